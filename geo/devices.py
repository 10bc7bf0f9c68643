"""What devices say: when a rule is fulfilled, when a device is heard, what its neighbours confirm.

May import numpy and pyproj only. Pure: no clock (the present is an argument), no state between calls.
Promises: every function here has a brute-force twin in `tests/geo/test_devices.py` that looks at all
readings at once; here one reading is looked at after the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyproj

Floats = npt.NDArray[np.float64]
Sense = Literal["above", "below", "silence"]
State = Literal["online", "flapping", "offline"]

_EARTH = pyproj.Geod(ellps="WGS84")


class Near(NamedTuple):
    """Confirmation by neighbours: `n` devices, itself included, within `metres` and `within`."""

    n: int
    metres: float
    within: timedelta


@dataclass(frozen=True)
class Rule:
    """When readings of one device raise an alarm.

    Parameters
    ----------
    sense : above: value >= level; below: value <= level; silence: no value > level for `hold`
    level : in the measure of the device
    reset : what began goes on while value >= reset (above) or <= reset (below); None: level
    hold : so long without a break, [0, …); for silence > 0
    night : local hours [from, to) in which it counts, over midnight where from > to; None: always
    zone : whose hours these are
    quiet : an alarm raised again within [0, quiet) is the same one
    near : devices that have to show it together; None: one is enough
    heard : silence counts only while the device itself is heard
    """

    sense: Sense
    level: float
    zone: tzinfo
    reset: float | None = None
    hold: timedelta = timedelta(0)
    night: tuple[time, time] | None = None
    quiet: timedelta = timedelta(0)
    near: Near | None = None
    heard: bool = True


class Track(NamedTuple):
    """How far a device is with a rule.

    at : newest reading looked at; None: none
    since : above, below: begin of the run that goes on, None: none; silence: last value > level
    hit : the newest reading fulfilled the rule
    hit_at : when it was last fulfilled
    """

    at: datetime | None = None
    since: datetime | None = None
    hit: bool = False
    hit_at: datetime | None = None


def in_night(at: datetime, night: tuple[time, time] | None, zone: tzinfo) -> bool:
    """Whether a moment lies in local hours [from, to), over midnight where from > to.

    >>> from datetime import UTC
    >>> in_night(datetime(2026, 1, 1, 23, tzinfo=UTC), (time(22), time(5)), UTC)
    True
    """
    if night is None:
        return True
    begin, end = night
    local = at.astimezone(zone).time()
    if begin < end:
        return begin <= local < end
    return local >= begin or local < end


def step(rule: Rule, track: Track, at: datetime, value: float | None, gap: timedelta) -> Track:
    """Look at one reading.

    Readings of a device come in the order of their time; one that comes late changes nothing but
    the last flow of a silence, and a sign of life (value None) nothing at all.

    Parameters
    ----------
    at : of the reading, with its offset
    value : finite
    gap : after a longer pause than this a run begins anew
    """
    if value is None:
        return track
    late = track.at is not None and at < track.at
    if rule.sense == "silence":
        if value > rule.level and (track.since is None or at > track.since):
            return Track(max(at, track.at or at), at, False, track.hit_at)
        return track if late else track._replace(at=at)
    if late:
        return track
    going = track.since is not None and track.at is not None and at - track.at <= gap
    limit = rule.reset if going and rule.reset is not None else rule.level
    holds = value >= limit if rule.sense == "above" else value <= limit
    if not (holds and in_night(at, rule.night, rule.zone)):
        return Track(at, None, False, track.hit_at)
    since = track.since if going and track.since is not None else at
    hit = at - since >= rule.hold
    return Track(at, since, hit, at if hit else track.hit_at)


def silent(rule: Rule, last: datetime, now: datetime, state: State) -> bool:
    """Whether a silence rule is fulfilled: nothing since `last` for `hold` or longer."""
    if rule.heard and state == "offline":
        return False  # nothing is known of what says nothing at all
    return now - last >= rule.hold and in_night(now, rule.night, rule.zone)


def same_alarm(last: datetime, at: datetime, quiet: timedelta) -> bool:
    """Whether an alarm raised `at` is the one last raised at `last` again."""
    return at - last < quiet


# being heard -------------------------------------------------------------------------------------
class Heard(NamedTuple):
    """What is known of a device's being heard.

    last_seen : when something last arrived; None: never
    last_at : newest time of its own
    returns : arrivals after it had been offline, the newest few, ascending
    """

    last_seen: datetime | None = None
    last_at: datetime | None = None
    returns: tuple[datetime, ...] = ()


class Limits(NamedTuple):
    """When a device is offline, and when it flaps.

    offline : nothing for longer than this
    window : so many `returns` in (now - window, now] are flapping
    """

    offline: timedelta
    window: timedelta
    returns: int


def arrive(heard: Heard, received: datetime, at: datetime, limits: Limits) -> Heard:
    """Note an arrival.

    It is a return when both the arrivals and the device's own times show a pause: readings that
    were kept back somewhere and come all at once are none.
    """
    returns = heard.returns
    if (
        heard.last_seen is not None
        and heard.last_at is not None
        and received - heard.last_seen > limits.offline
        and at - heard.last_at > limits.offline
    ):
        returns = (*returns, received)[-limits.returns :]
    seen = received if heard.last_seen is None else max(received, heard.last_seen)
    own = at if heard.last_at is None else max(at, heard.last_at)
    return Heard(seen, own, returns)


def state_of(heard: Heard, now: datetime, limits: Limits) -> State:
    """Whether a device is online, flapping or offline."""
    if heard.last_seen is None or now - heard.last_seen > limits.offline:
        return "offline"
    recent = sum(now - limits.window < one <= now for one in heard.returns)
    return "flapping" if recent >= limits.returns else "online"


# neighbours --------------------------------------------------------------------------------------
def distances(lon: float, lat: float, lons: Floats, lats: Floats) -> Floats:
    """Geodesic metres from a place to places (n,), WGS84 degrees."""
    n = len(lons)
    _, _, metres = _EARTH.inv(np.full(n, lon), np.full(n, lat), lons, lats)
    return np.asarray(metres, dtype=np.float64)


def confirmed(
    new: int, lons: Floats, lats: Floats, hit_at: Iterable[datetime], near: Near
) -> list[int]:
    """Group that confirms an alarm once device `new` shows it too.

    A device is confirmed when, itself included, `near.n` devices within `near.metres` of it were
    fulfilled within `near.within` of it. A new one can confirm itself or one of its neighbours.

    Parameters
    ----------
    new : index of the device that was just fulfilled
    lons, lats : float64 (n,), WGS84 degrees, of all devices that are candidates
    hit_at : (n,), when each was last fulfilled

    Returns
    -------
    list
        Indices, the confirmed device first, the others ascending; empty: none is confirmed.
        The new device goes before its neighbours, among these the smallest index.
    """
    times = np.array([one.timestamp() for one in hit_at])

    def around(one: int) -> npt.NDArray[np.intp]:
        close = distances(float(lons[one]), float(lats[one]), lons, lats) <= near.metres
        close &= np.abs(times - times[one]) <= near.within.total_seconds()
        return np.flatnonzero(close)

    mine = around(new)
    for centre in (new, *(int(one) for one in mine if one != new)):
        group = around(centre)
        if len(group) >= near.n:
            return [centre, *(int(one) for one in group if one != centre)]
    return []
