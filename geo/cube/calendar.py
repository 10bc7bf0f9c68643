"""Local days and hours of a time zone on whole arrays. May import numpy.

Promises: day d is [start of d, start of d + 1), where a day starts at its local 00:00: the later
one where the clock shows it twice, the moment of the change where the clock skips it. The hour of
the week is what the wall clock shows, Monday 00:00-01:00 is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
DAY, WEEK = 86_400, 604_800
_MONDAY = 72  # 1970-01-01 was a Thursday: hours since its Monday


@dataclass(frozen=True)
class Calendar:
    """Local days of a span of time.

    Attributes
    ----------
    first : int
        Local day of `edges[0]`, days since 1970-01-01.
    edges : int64 (n + 1,)
        Start of every local day, seconds since 1970 UTC.
    since, offset : int64 (m,)
        From `since[j]` on the clock shows UTC + `offset[j]` seconds.

    """

    first: int
    edges: Ints
    since: Ints
    offset: Ints

    def day(self, time: Ints) -> Ints:
        """Days since 1970-01-01 of moments inside the span."""
        found: Ints = self.first + np.searchsorted(self.edges, time, side="right") - 1
        return found

    def local(self, time: Ints) -> Ints:
        """Wall clock as seconds since 1970-01-01T00:00 local."""
        if len(self.since) == 1:
            return np.asarray(time + self.offset[0])
        at = np.searchsorted(self.since, time, side="right") - 1
        return time + self.offset[np.maximum(at, 0)]

    def hour_of_week(self, time: Ints) -> Ints:
        """0 to 167, Monday 00:00 local first."""
        return (self.local(time) // 3600 + _MONDAY) % 168


@lru_cache(maxsize=64)
def calendar(time_zone: str, start: int, stop: int) -> Calendar:
    """Calendar of a zone whose days hold all of [start, stop], seconds since 1970."""
    zone = ZoneInfo(time_zone)
    since, offset = _offsets(zone, start - 3 * DAY, stop + 3 * DAY)
    first = (start + int(offset[0])) // DAY - 1
    last = (stop + int(offset[-1])) // DAY + 2
    edges = np.zeros(last - first + 1, dtype=np.int64)
    until = np.append(since[1:], np.iinfo(np.int64).max // 4)
    for j, (begin, end, shift) in enumerate(zip(since, until, offset, strict=True)):
        if j:  # midnights the clock skipped
            edges[_midnights(begin + offset[j - 1], begin + shift, first, last)] = begin
        low = first * DAY if j == 0 else begin + shift
        there = _midnights(low, end + shift, first, last)
        edges[there] = (np.arange(there.start, there.stop) + first) * DAY - shift
    edges.flags.writeable = False
    return Calendar(first, edges, since, offset)


def _midnights(low: int, high: int, first: int, last: int) -> slice:
    """Positions of the local midnights in [low, high)."""
    a = min(max(-(-int(low) // DAY), first), last + 1) - first
    b = min(max(-(-int(high) // DAY), first), last + 1) - first
    return slice(a, max(a, b))


def _offsets(zone: ZoneInfo, start: int, stop: int) -> tuple[Ints, Ints]:
    """Find the changes of the clock: look once a week, then halve."""

    def at(moment: int) -> int:
        shift = datetime.fromtimestamp(moment, UTC).astimezone(zone).utcoffset()
        assert shift is not None
        return int(shift.total_seconds())

    first = datetime(1, 1, 3, tzinfo=UTC).timestamp()
    final = datetime(9999, 12, 29, tzinfo=UTC).timestamp()
    start, stop = max(start, int(first)), min(stop, int(final))
    since, offset = [start], [at(start)]
    moment = start
    while moment < stop:
        following = min(moment + WEEK, stop)
        if at(following) != offset[-1]:
            low, high = moment, following
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if at(middle) == offset[-1] else (low, middle)
            since.append(high)
            offset.append(at(high))
            moment = high
        else:
            moment = following
    return np.array(since, dtype=np.int64), np.array(offset, dtype=np.int64)
