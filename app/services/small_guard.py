"""The guard against differencing (METHODS 11): questions of one account that differ by a few events.

Imports `geo.small_numbers`. Promises: two questions of one account that differ by 1 to 4 events are not both
answered, also across workers and restarts.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import shapely
import sqlalchemy as sa

from app.services.area_words import Asked, Bools
from app.services.asking import Asker
from geo import small_numbers as rule
from geo.cube import Columns, Question, UnitRanges

if TYPE_CHECKING:
    from app.services.areas import Sight

Ints = npt.NDArray[np.int64]

#: how long a question is remembered, hours; how many of one account and map
HOURS, MOST = 24, 200
#: with more events than this the overlap of two drawn areas is counted in their common ground
_FEW = 200_000


@dataclass(frozen=True)
class Guard:
    """What an earlier question of the account forbids.

    Attributes
    ----------
    whole : the answer would isolate 1 to 4 events: all of it is "<5"
    kinds : the same of one kind: no kind is told
    """

    whole: bool = False
    kinds: bool = False


@dataclass(frozen=True, eq=False)
class _Before:
    """An earlier question."""

    question: Question
    located: Bools | None


def guarded(
    asker: Asker,
    pack: str,
    sight: Sight,
    asked: Asked,
    counts: Ints,
    *,
    located: Bools | None,
) -> Guard:
    """Hold a question against earlier ones of the account, and remember it if it may be answered.

    Parameters
    ----------
    counts : (kinds,) events of the question by kind
    """
    question = asked.question
    if question is None:
        return Guard()
    asker_digest = hashlib.sha256(f"asked {asker.identity.account or 0}".encode()).digest()
    mine = _filter(question, located)
    shape = _packed(question)
    with asker.write() as connection:
        # one question of an account at a time: two at once would not see each other
        lock = int.from_bytes(asker_digest[:8], "big", signed=True)
        connection.execute(sa.text("select pg_advisory_xact_lock(:lock)"), {"lock": lock})
        connection.execute(sa.text("delete from asked_area where expires_at < clock_timestamp()"))
        rows = connection.execute(
            sa.text(
                "select filter, area from asked_area where pack = :pack and expires_at > "
                "clock_timestamp() order by id desc limit :most"
            ),
            {"pack": pack, "most": MOST},
        ).all()
        guard = Guard()
        new: _New | None = None
        same = [n for n, row in enumerate(rows) if row.filter == mine and bytes(row.area) == shape]
        # what was answered before is answered again: those after it were held against it
        for row in rows[same[-1] + 1 :] if same else rows:
            if new is None:
                few = int(counts.sum()) <= _FEW
                events = list(sight.rows(asked)) if few else None
                new = _New(sight, question, located, counts, events)
            one = new.against(_unpacked(row.filter, bytes(row.area)))
            guard = Guard(guard.whole or one.whole, guard.kinds or one.kinds)
            if guard.whole:
                return guard
        if not same:
            west, south, east, north = _bounds(question)
            connection.execute(
                sa.text(
                    "insert into asked_area (asker, pack, expires_at, filter, west, south, east, north, "
                    "area) values (:asker, :pack, clock_timestamp() + make_interval(hours => :hours), "
                    "cast(:filter as jsonb), :west, :south, :east, :north, :area)"
                ),
                {
                    "asker": asker_digest, "pack": pack, "hours": HOURS,
                    "filter": json.dumps(mine), "west": west, "south": south, "east": east,
                    "north": north, "area": shape,
                },
            )  # fmt: skip
    return guard


@dataclass(frozen=True, eq=False)
class _New:
    """The present question with its counts by kind, and its events when they are few."""

    sight: Sight
    question: Question
    located: Bools | None
    counts: Ints
    events: list[tuple[int, Columns]] | None

    def against(self, before: _Before) -> Guard:
        """Compare with one earlier question."""
        earlier = replace(before.question, breakdowns=frozenset({"kind"}), beside=None)
        then = self.sight.count(Asked(earlier, None, None), ("kind",), before.located).by_kind
        assert then is not None
        both = self._both(before)
        whole = rule.isolates(int(self.counts.sum()), int(then.sum()), int(both.sum()))
        kinds = rule.isolates(self.counts, then, both)
        return Guard(bool(whole), bool(np.asarray(kinds).any()))

    def _both(self, before: _Before) -> Ints:
        """Events that fit both questions, by kind."""
        kinds = len(self.sight.kinds)
        found = np.zeros(kinds, np.int64)
        other, area = before.question, self.question.area
        if self.events is None and self.located is before.located is None:
            common = _common(self.question, other)
            if common is not None:
                made = self.sight.count(Asked(common, None, None), ("kind",)).by_kind
                assert made is not None
                return made
            if type(area) is type(other.area):
                return found
        asked = Asked(self.question, None, None)
        names = [other.kinds is None or one in other.kinds for one in self.sight.kinds]
        for sign, rows in self.events if self.events is not None else self.sight.rows(asked):
            ok = (rows.time >= other.start) & (rows.time < other.end)
            ok &= np.array(names, np.bool_)[rows.kind]
            for mask in (self.located, before.located):
                if mask is not None:
                    ok &= mask[rows.located]
            if isinstance(other.area, UnitRanges):
                ok &= other.area.holds(rows.unit)
            else:
                assert isinstance(other.area, shapely.Geometry)
                at = np.flatnonzero(ok & ~np.isnan(rows.lon))
                shapely.prepare(other.area)
                inside = at[shapely.intersects_xy(other.area, rows.lon[at], rows.lat[at])]
                ok = np.zeros(len(ok), np.bool_)
                ok[inside] = True
            if other.hours_of_week is not None and ok.any():
                at = np.flatnonzero(ok)
                ok[at] = other.hours_of_week[self.sight.hour_of_week(rows.time[at])]
            found += sign * np.bincount(rows.kind[ok], minlength=kinds)
        return found


def _common(one: Question, other: Question) -> Question | None:
    """Question for what two questions of one sort have in common; None: nothing, or not of one sort."""
    start, end = max(one.start, other.start), min(one.end, other.end)
    kinds = one.kinds if other.kinds is None else other.kinds
    if one.kinds is not None and other.kinds is not None:
        kinds = one.kinds & other.kinds
    hours = [each.hours_of_week for each in (one, other) if each.hours_of_week is not None]
    both = np.logical_and.reduce(hours) if hours else None
    if start >= end or (kinds is not None and not kinds) or (both is not None and not both.any()):
        return None
    area: UnitRanges | shapely.MultiPolygon
    if isinstance(one.area, UnitRanges) and isinstance(other.area, UnitRanges):
        ranges = [
            (max(a, c), min(b, d))
            for a, b in one.area.ranges
            for c, d in other.area.ranges
            if max(a, c) < min(b, d)
        ]
        if not ranges:
            return None
        area = UnitRanges(tuple(ranges))
    elif isinstance(one.area, shapely.Geometry) and isinstance(other.area, shapely.Geometry):
        cut = shapely.get_parts(shapely.intersection(one.area, other.area))
        area = shapely.MultiPolygon([part for part in cut if part.geom_type == "Polygon"])
        if area.is_empty:
            return None
    else:
        return None
    return Question(
        area=area, start=start, end=end, kinds=kinds, hours_of_week=both,
        breakdowns=frozenset({"kind"}),
    )  # fmt: skip


def _filter(question: Question, located: Bools | None) -> dict[str, Any]:
    hours = question.hours_of_week
    return {
        "start": question.start,
        "end": question.end,
        "kinds": None if question.kinds is None else sorted(question.kinds),
        "hours": None if hours is None else np.flatnonzero(hours).tolist(),
        "located": None if located is None else np.flatnonzero(located).tolist(),
        "units": isinstance(question.area, UnitRanges),
    }


def _packed(question: Question) -> bytes:
    if isinstance(question.area, UnitRanges):
        return json.dumps(question.area.ranges).encode()
    assert isinstance(question.area, shapely.Geometry)
    return bytes(shapely.to_wkb(question.area))


def _bounds(question: Question) -> tuple[float, float, float, float]:
    if isinstance(question.area, shapely.Geometry):
        west, south, east, north = question.area.bounds
        return west, south, east, north
    return -180.0, -90.0, 180.0, 90.0


def _unpacked(given: dict[str, Any], body: bytes) -> _Before:
    def mask(numbers: list[int] | None, size: int) -> Bools | None:
        if numbers is None:
            return None
        made = np.zeros(size, np.bool_)
        made[numbers] = True
        return made

    area: UnitRanges | shapely.Geometry
    if given["units"]:
        area = UnitRanges(tuple((int(a), int(b)) for a, b in json.loads(body)))
    else:
        area = shapely.from_wkb(body)
    question = Question(
        area=area,
        start=given["start"],
        end=given["end"],
        kinds=None if given["kinds"] is None else frozenset(given["kinds"]),
        hours_of_week=mask(given["hours"], 168),
    )
    return _Before(question, mask(given["located"], 256))
