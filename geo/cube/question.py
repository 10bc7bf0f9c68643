"""What may be asked and what is answered. May import numpy, shapely, h3, geo.corners.

Promises: a question that makes no sense is refused with a reason when it is made; nothing that is
refused is ever answered with 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import h3
import numpy as np
import numpy.typing as npt
import shapely

from geo.corners import kept

Ints = npt.NDArray[np.int64]
BREAKDOWNS = ("kind", "day", "week", "month", "hour_of_week", "unit")
#: machine words of `QuestionError.reason`
REASONS = (
    "bad_hours", "bad_time", "empty_area", "empty_span", "end_before_start", "no_hours", "no_kinds",
    "not_a_cell", "unknown_breakdown", "unknown_kind",
)  # fmt: skip


class QuestionError(ValueError):
    """A question that cannot be asked; `reason` is one of `REASONS`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass(frozen=True)
class UnitRanges:
    """Units by ranges of their ids; as an area: events by their *recorded* unit.

    A code prefix is one range per level. An event known only to a unit (no point) counts too.

    Attributes
    ----------
    ranges : tuple of (int, int)
        Half-open [first, stop), ids from 0; they may touch and overlap. Unit 0 is "no unit known".

    Raises
    ------
    QuestionError
        `empty_area`: no range, or one that is empty or negative.

    """

    ranges: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        if not self.ranges:
            raise QuestionError("empty_area", "no unit is asked for")
        merged: list[tuple[int, int]] = []
        for first, stop in sorted((int(a), int(b)) for a, b in self.ranges):
            if first < 0 or stop <= first:
                raise QuestionError("empty_area", f"units [{first}, {stop}) are none")
            if merged and first <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
            else:
                merged.append((first, stop))
        object.__setattr__(self, "ranges", tuple(merged))

    def holds(self, unit: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Whether each unit is in a range."""
        edges = np.array(self.ranges, dtype=np.int64).ravel()
        odd: npt.NDArray[np.bool_] = np.searchsorted(edges, unit, side="right") % 2 == 1
        return odd


@dataclass(frozen=True)
class Cells:
    """H3 cells as an area: events whose point has one of the cells, by h3's own assignment.

    Attributes
    ----------
    ids : uint64 (n,)
        Cells of any resolution, mixed ones too; an event in two of them counts once.

    Raises
    ------
    QuestionError
        `empty_area`: no cell; `not_a_cell`: an id that h3 does not know.

    """

    ids: npt.NDArray[np.uint64]

    def __post_init__(self) -> None:
        ids = np.unique(np.asarray(self.ids, dtype=np.uint64))
        if not len(ids):
            raise QuestionError("empty_area", "no cell is asked for")
        for one in ids.tolist():
            if not h3.is_valid_cell(h3.int_to_str(one)):
                raise QuestionError("not_a_cell", f"{one:x} is no H3 cell")
        object.__setattr__(self, "ids", ids)


Area: TypeAlias = shapely.MultiPolygon | shapely.Polygon | UnitRanges | Cells


@dataclass(frozen=True, init=False)
class Question:
    """How many events, where, when, of which kinds.

    Attributes
    ----------
    area : MultiPolygon, Polygon, UnitRanges or Cells
        A polygon (valid, EPSG:4326, from `geo.shapes`) holds the points it *covers*: its edges and
        corners count as inside.
    start, end : int
        [start, end), seconds since 1970 UTC; part days count exactly.
    kinds : set of str or None
        Names in `Spec.kinds`; None all.
    hours_of_week : bool (168,) or None
        Local hours that count, Monday 00:00-01:00 first; None all.
    breakdowns : set of str
        Of `BREAKDOWNS`; each is returned on its own (they are not crossed).
    beside : UnitRanges or None
        For a polygon or cells: the units whose extent meets the area. Their events without a point
        are reported beside the count (`Answer.unplaced`) and never guessed into it.

    Raises
    ------
    QuestionError
        `empty_span`, `end_before_start`, `bad_time`, `no_kinds`, `bad_hours` (not 168), `no_hours`
        (none counts), `unknown_breakdown`, `empty_area`.

    """

    area: Area
    start: int
    end: int
    kinds: frozenset[str] | None = None
    hours_of_week: npt.NDArray[np.bool_] | None = None
    breakdowns: frozenset[str] = frozenset()
    beside: UnitRanges | None = None

    def __init__(  # noqa: PLR0917 the attributes
        self,
        area: Area,
        start: int,
        end: int,
        kinds: frozenset[str] | None = None,
        hours_of_week: npt.NDArray[np.bool_] | None = None,
        breakdowns: frozenset[str] = frozenset(),
        beside: UnitRanges | None = None,
    ) -> None:
        # all at once, not one by one past the lock: a question about 1 km is counted in 15 millionths of
        # a second
        self.__dict__.update(
            area=area, start=start, end=end, kinds=kinds, hours_of_week=hours_of_week,
            breakdowns=breakdowns, beside=beside,
        )  # fmt: skip
        self._check()

    def _check(self) -> None:
        # quick ways first
        if type(self.start) is not int or type(self.end) is not int:
            self._check_times()
        if self.end == self.start:
            raise QuestionError("empty_span", "the time span is empty: it ends where it starts")
        if self.end < self.start:
            raise QuestionError("end_before_start", "the time span ends before it starts")
        if isinstance(self.area, shapely.Geometry) and not kept(self.area) and self.area.is_empty:
            raise QuestionError("empty_area", "the area is empty")
        if self.kinds is not None:
            object.__setattr__(self, "kinds", frozenset(self.kinds))
            if not self.kinds:
                raise QuestionError("no_kinds", "no kind is asked for")
        if self.breakdowns:
            object.__setattr__(self, "breakdowns", frozenset(self.breakdowns))
            unknown = sorted(self.breakdowns - set(BREAKDOWNS))
            if unknown:
                raise QuestionError("unknown_breakdown", f"{unknown[0]!r}: not one of {BREAKDOWNS}")
        elif type(self.breakdowns) is not frozenset:
            object.__setattr__(self, "breakdowns", frozenset())
        if self.hours_of_week is not None:
            hours = np.asarray(self.hours_of_week, dtype=np.bool_)
            if hours.shape != (168,):
                raise QuestionError("bad_hours", f"hours of the week have shape {hours.shape}")
            if not hours.any():
                raise QuestionError("no_hours", "no hour of the week is asked for")
            object.__setattr__(self, "hours_of_week", None if hours.all() else hours)

    def _check_times(self) -> None:
        for name, value in (("start", self.start), ("end", self.end)):
            if type(value) is not int and not isinstance(value, np.integer):
                raise QuestionError(
                    "bad_time", f"{name} is {value!r}: want whole seconds since 1970"
                )

    @property
    def in_polygon(self) -> bool:
        """Whether it asks for a polygon and all hours of the week."""
        return self.hours_of_week is None and isinstance(self.area, shapely.Geometry)

    @property
    def plain(self) -> bool:
        """Whether the answer is one number."""
        return not self.breakdowns and self.beside is None and self.in_polygon

    def mask(self, kinds: tuple[str, ...]) -> npt.NDArray[np.bool_]:
        """Which positions of `kinds` are asked for; `unknown_kind` for a name that is not there."""
        if self.kinds is None:
            return np.ones(len(kinds), dtype=np.bool_)
        unknown = sorted(self.kinds - set(kinds))
        if unknown:
            raise QuestionError("unknown_kind", f"{unknown[0]!r}: not one of {kinds}")
        return np.array([kind in self.kinds for kind in kinds], dtype=np.bool_)


class Series(NamedTuple):
    """Counts by a key, ascending keys, only counts other than 0."""

    keys: npt.NDArray[Any]
    counts: Ints


_NONE = Series(np.zeros(0, np.int32), np.zeros(0, np.int64))
for _part in _NONE:
    _part.flags.writeable = False  # one for all answers


@dataclass(frozen=True)
class Answer:
    """Counts; a breakdown that was not asked for is None.

    Attributes
    ----------
    total : int
        Events that match. Each breakdown adds up to it.
    by_kind : int64 (kinds,) or None
        In the order of `Spec.kinds`.
    by_day, by_week, by_month : Series or None
        Keys datetime64[D]: the local day, the Monday of its ISO week, the first of its month.
    by_hour_of_week : int64 (168,) or None
        Monday 00:00 local first.
    by_unit : Series or None
        Keys int32: the recorded unit of the events (0 none), not the unit the point lies in.
    unplaced : Series
        Events without a point by unit that match in kind and time. For a polygon or cells they are
        those of `Question.beside`, *not* in `total`; for `UnitRanges` they are part of `total`.

    """

    total: int
    by_kind: Ints | None = None
    by_day: Series | None = None
    by_week: Series | None = None
    by_month: Series | None = None
    by_hour_of_week: Ints | None = None
    by_unit: Series | None = None
    unplaced: Series = _NONE

    @classmethod
    def number(cls, total: int) -> Answer:
        """Answer without breakdowns, quickly: what is not set is what the class has."""
        made = object.__new__(cls)
        made.__dict__["total"] = total
        return made
