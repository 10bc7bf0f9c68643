"""Counting rows one by one, exactly. May import numpy, shapely, h3.

Promises: this is the plain meaning of a question. It counts what no index holds (the delta, rows
without a point, rows far outside the usual time); the index must agree with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import h3
import numpy as np
import numpy.typing as npt
import shapely

from geo.cells import cells
from geo.cube.calendar import Calendar, calendar
from geo.cube.columns import Columns, Spec
from geo.cube.question import Answer, Area, Cells, Question, Series, UnitRanges

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
_NONE = Series(np.zeros(0, np.int64), np.zeros(0, np.int64))


@dataclass
class Tally:
    """Counts under way: days, hours and units as dense or keyed arrays, added up from pieces."""

    spec: Spec
    question: Question
    total: int = 0
    kind: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    hour: Ints = field(default_factory=lambda: np.zeros(168, np.int64))
    days: list[tuple[Ints, Ints]] = field(default_factory=list)
    units: list[tuple[Ints, Ints]] = field(default_factory=list)
    unplaced: list[tuple[Ints, Ints]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kind = np.zeros(len(self.spec.kinds), np.int64)

    @property
    def wants_day(self) -> bool:
        """Days are needed: by themselves, or for weeks and months."""
        return bool(self.question.breakdowns & {"day", "week", "month"})

    def begins(self, day: Ints) -> Bools:
        """Whether a day, week or month that is asked for begins with each day (since 1970)."""
        asked = self.question.breakdowns
        if "day" in asked:
            return np.ones(len(day), dtype=np.bool_)
        found: Bools = np.zeros(len(day), dtype=np.bool_)
        if "week" in asked:
            found |= (day + 3) % 7 == 0  # 1970-01-01 was a Thursday
        if "month" in asked:
            date = day.astype("datetime64[D]")
            found |= date == date.astype("datetime64[M]").astype("datetime64[D]")
        return found

    def add(self, rows: Columns, sign: int = 1) -> None:
        """Count rows that match the question; `sign` -1 takes them away."""
        rows = rows.take(matches(rows, self.question, self.spec))
        point = ~np.isnan(rows.lon)
        by_unit = isinstance(self.question.area, UnitRanges)
        self._unplaced(rows.unit[~point], sign)
        self.count(rows if by_unit else rows.take(point), sign)

    def count(self, rows: Columns, sign: int = 1) -> None:
        """Count rows that are known to match and to be inside."""
        if not len(rows):
            return
        asked = self.question.breakdowns
        self.total += sign * len(rows)
        if "kind" in asked:
            self.kind += sign * np.bincount(rows.kind, minlength=len(self.kind))
        if self.wants_day or "hour_of_week" in asked:
            days = span(self.spec, rows.time)
            if self.wants_day:
                self.days.append(_counted(days.day(rows.time), sign))
            if "hour_of_week" in asked:
                hours = days.hour_of_week(rows.time)
                self.hour += sign * np.bincount(hours, minlength=168)
        if "unit" in asked:
            self.units.append(_counted(rows.unit, sign))

    def _unplaced(self, unit: npt.NDArray[np.int32], sign: int) -> None:
        if len(unit):
            self.unplaced.append(_counted(unit, sign))

    def answer(self) -> Answer:
        """Put the pieces together."""
        asked = self.question.breakdowns
        if not (asked or self.unplaced):
            return Answer(int(self.total))
        day = _series(self.days) if self.wants_day else _NONE
        date, counts = day.keys.astype("datetime64[D]"), day.counts
        # 1970-01-01 was a Thursday: weeks of numpy begin on that day
        monday = (date.astype(np.int64) + 3) // 7 * 7 - 3
        month = date.astype("datetime64[M]").astype("datetime64[D]")
        return Answer(
            total=int(self.total),
            by_kind=self.kind if "kind" in asked else None,
            by_day=Series(date, counts) if "day" in asked else None,
            by_week=_dated(monday, counts) if "week" in asked else None,
            by_month=_dated(month.astype(np.int64), counts) if "month" in asked else None,
            by_hour_of_week=self.hour if "hour_of_week" in asked else None,
            by_unit=_united(self.units) if "unit" in asked else None,
            unplaced=_united(self.unplaced),
        )


def matches(rows: Columns, question: Question, spec: Spec) -> Bools:
    """Which rows match, place included; a row without a point: by its unit (see `Question.beside`)."""
    ok = (rows.time >= question.start) & (rows.time < question.end)
    ok &= question.mask(spec.kinds)[rows.kind]
    if question.hours_of_week is not None and ok.any():
        at = np.flatnonzero(ok)
        days = span(spec, rows.time[at])
        ok[at] = question.hours_of_week[days.hour_of_week(rows.time[at])]
    if isinstance(question.area, UnitRanges):
        ok &= question.area.holds(rows.unit)
        return ok
    point = ~np.isnan(rows.lon)
    at = np.flatnonzero(ok & point)
    ok[at] = inside(question.area, rows.lon[at], rows.lat[at])
    beside = question.beside
    ok[~point] &= beside.holds(rows.unit[~point]) if beside else False
    return ok


def inside(area: Area, lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64]) -> Bools:
    """Whether each point is in a polygon (which covers it) or in one of the cells."""
    if isinstance(area, Cells):
        ok: Bools = np.zeros(len(lon), dtype=np.bool_)
        resolution = np.array([h3.get_resolution(h3.int_to_str(i)) for i in area.ids.tolist()])
        for one in np.unique(resolution):
            # each resolution from the point: a child may lie outside its parent
            ok |= np.isin(cells(lon, lat, int(one)), area.ids[resolution == one])
        return ok
    assert not isinstance(area, UnitRanges)
    west, south, east, north = area.bounds
    ok = (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)
    at = np.flatnonzero(ok)
    shapely.prepare(area)
    # of a point and an area "intersects" and "covered by" are one; this makes no point objects
    ok[at] = shapely.intersects_xy(area, lon[at], lat[at])
    return ok


def span(spec: Spec, time: Ints) -> Calendar:
    """Calendar for all of `time` (not empty)."""
    # whole years, so that the same few calendars are made once
    year = 366 * 86_400
    low, high = int(time.min()) // year * year, (int(time.max()) // year + 1) * year
    return calendar(spec.time_zone, low, high)


def _counted(keys: npt.NDArray[np.int64] | npt.NDArray[np.int32], sign: int) -> tuple[Ints, Ints]:
    values, counts = np.unique(keys, return_counts=True)
    return values.astype(np.int64), sign * counts.astype(np.int64)


def _series(pieces: list[tuple[Ints, Ints]]) -> Series:
    if not pieces:
        return Series(np.zeros(0, np.int64), np.zeros(0, np.int64))
    keys, at = np.unique(np.concatenate([k for k, _ in pieces]), return_inverse=True)
    counts = np.zeros(len(keys), np.int64)
    np.add.at(counts, at, np.concatenate([c for _, c in pieces]))
    return Series(keys[counts != 0], counts[counts != 0])


def _dated(day: Ints, counts: Ints) -> Series:
    found = _series([(day, counts)])
    return Series(found.keys.astype("datetime64[D]"), found.counts)


def _united(pieces: list[tuple[Ints, Ints]]) -> Series:
    found = _series(pieces)
    return Series(found.keys.astype(np.int32), found.counts)
