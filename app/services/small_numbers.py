"""Small numbers in answers about areas (METHODS 11): who may see them, and what others get.

Imports `geo.small_numbers`, the one rule of what is small and what must be hidden with it. Promises:
of a table with its total no small number can be worked out by subtraction; two questions of one
account that differ by 1 to 4 events are not both answered, also across workers and restarts.

Not promised: that nothing can be worked out from three and more questions together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
import shapely
import sqlalchemy as sa

from app.api.analysis_models import (
    AnalysisAnswer,
    AnalysisChange,
    CellCount,
    Risk,
    SpanChange,
)
from app.api.area_models import AreaAnswer, DateCounts, UnitCount
from app.security.identity import Identity
from app.services.area_words import Asked, Bools
from app.services.asking import Asker
from geo import small_numbers as rule
from geo.cube import Cells, Columns, Question, UnitRanges

if TYPE_CHECKING:
    from app.services.areas import Sight

Ints = npt.NDArray[np.int64]
Some = TypeVar("Some", bound=Risk)

#: how long a question is remembered, hours; how many of one account and map
HOURS, MOST = 24, 200
#: with more events than this the overlap of two drawn areas is counted in their common ground
_FEW = 200_000
#: a list longer than this is told by its small values and one more
_LONG = 60


def sees_small(identity: Identity) -> bool:
    """Whether somebody is given counts of 1 to 4: who may see records. The one place of this rule."""
    return identity.may("see_records")


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


# hiding ------------------------------------------------------------------------------------------
def states(counts: Sequence[int]) -> list[int]:
    """Tell what is hidden of a list whose total is shown, if that is not small itself.

    Returns
    -------
    list of `SHOWN`, `SMALL`, `WITHHELD`; one longer than the list: the last is the total's
    """
    values = np.asarray(counts, np.int64)
    if len(values) <= _LONG:
        table = rule.suppress(values)
        return [*table.cells.tolist(), table.total]
    found = np.where(rule.mask(values), rule.SMALL, rule.SHOWN)
    # two of each small value and the cheapest other decide for all: more small ones protect more
    picked = [
        int(at) for one in range(1, rule.THRESHOLD) for at in np.flatnonzero(values == one)[:2]
    ]
    if not picked:
        return [*found.tolist(), rule.SHOWN]
    others = np.flatnonzero(values >= rule.THRESHOLD)
    others = others if len(others) else np.flatnonzero(values == 0)
    if len(others):
        picked.append(int(others[np.argmin(values[others])]))
    table = rule.suppress(values[picked])
    found[picked] = np.maximum(found[picked], table.cells)
    return [*found.tolist(), table.total]


def _text(count: int, state: int) -> str:
    return rule.shown(count, state)


def _risk(one: Some, state: int) -> Some:
    if state == rule.SHOWN or one.observed is None:
        return one
    return one.model_copy(
        update={
            "observed": None, "observed_text": _text(one.observed, state), "suppressed": True,
            "relative_risk": None, "low": None, "high": None, "exceedance": None, "colour": "none",
        }
    )  # fmt: skip


def _risks(rows: list[Some]) -> tuple[list[Some], int]:
    """Rows with what must be hidden, and the state of their total."""
    if not rows:
        return rows, rule.SHOWN
    made = states([one.observed or 0 for one in rows])
    return [_risk(one, state) for one, state in zip(rows, made, strict=False)], made[-1]


def hidden(answer: AnalysisAnswer, guard: Guard) -> AnalysisAnswer:
    """Answer for somebody who may not see small numbers."""
    counted = answer.overall.observed or 0
    total = rule.SMALL if guard.whole or 0 < counted < rule.THRESHOLD else rule.SHOWN
    kinds, kinds_total = _risks(answer.kinds)
    kinds_hidden = [one.suppressed for one in kinds]
    if guard.kinds or guard.whole:
        kinds = [_risk(one, rule.WITHHELD) for one in answer.kinds]
    children, children_total = _risks(answer.children)
    cells, cells_total = _cells(answer.cells)
    inner, inner_total = _area(answer.answer, guard)
    total = max(total, kinds_total, children_total, cells_total, inner_total,
                key=lambda one: (one != rule.SHOWN, one == rule.SMALL))  # fmt: skip
    if guard.whole:
        children = [_risk(one, rule.WITHHELD) for one in answer.children]
        cells = [_cell(one, rule.WITHHELD) for one in answer.cells]
    if total != rule.SHOWN:
        # of one table alone the total is its only number
        inner = inner.model_copy(
            update={"total": None, "total_text": _all(counted, total), "suppressed": True}
        )
    overall = _risk(answer.overall, total)
    if total != rule.SHOWN:
        overall = overall.model_copy(update={"observed_text": _all(counted, total)})
    comparisons = [
        _risk(one, rule.SMALL if 0 < (one.observed or 0) < rule.THRESHOLD else rule.SHOWN)
        for one in answer.comparisons
    ]
    made = answer.model_copy(
        update={
            "answer": inner, "overall": overall, "kinds": kinds, "children": children,
            "cells": cells, "comparisons": comparisons,
            "change": _change(answer.change, total, guard),
        }
    )  # fmt: skip
    some = (
        total != rule.SHOWN or inner.suppressed or any(kinds_hidden)
        or any(one.suppressed for one in (*kinds, *children, *comparisons))
        or any(one.suppressed for one in cells)
    )  # fmt: skip
    return made.model_copy(update={"suppressed": some})


def _all(count: int, state: int) -> str:
    """Text of a total: what differs too little from an earlier answer is "<5" as well."""
    return f"<{rule.THRESHOLD}" if state == rule.SMALL else _text(count, state)


def _cell(one: CellCount, state: int) -> CellCount:
    if state == rule.SHOWN or one.count is None:
        return one
    return one.model_copy(
        update={"count": None, "count_text": _text(one.count, state), "suppressed": True}
    )


def _cells(rows: list[CellCount]) -> tuple[list[CellCount], int]:
    if not rows:
        return rows, rule.SHOWN
    made = states([one.count or 0 for one in rows])
    # cells add up to the events with a point, which no other number tells: no total to hide
    return [_cell(one, state) for one, state in zip(rows, made, strict=False)], made[-1]


def _change(change: AnalysisChange | None, total: int, guard: Guard) -> AnalysisChange | None:
    if change is None:
        return None

    def shown(span: SpanChange | None) -> SpanChange | None:
        if span is None:
            return None
        made = hidden_span(span, guard)
        if total != rule.SHOWN:
            made = made.model_copy(update={"ratio": None, "low": None, "high": None})
        return made

    return AnalysisChange(previous=shown(change.previous), last_year=shown(change.last_year))


def hidden_span(span: SpanChange, guard: Guard) -> SpanChange:
    """Earlier count for somebody who may not see small numbers; a ratio would tell it."""
    if span.observed is None or not (guard.whole or 0 < span.observed < rule.THRESHOLD):
        return span
    return span.model_copy(
        update={
            "observed": None, "observed_text": f"<{rule.THRESHOLD}", "suppressed": True,
            "ratio": None, "low": None, "high": None,
        }
    )  # fmt: skip


def _listed(counts: Sequence[int | None], whole: bool) -> tuple[list[int | None], int]:
    given = [one or 0 for one in counts]
    if not given:
        return [], rule.SHOWN
    made = [rule.WITHHELD] * (len(given) + 1) if whole else states(given)
    return [
        one if state == rule.SHOWN else None for one, state in zip(given, made, strict=False)
    ], rule.SHOWN if whole else made[-1]


def _area(answer: AreaAnswer, guard: Guard) -> tuple[AreaAnswer, int]:
    """Hide what must be hidden of a count; with the state its tables demand for the total."""
    counted = answer.total or 0
    total = rule.SMALL if guard.whole or 0 < counted < rule.THRESHOLD else rule.SHOWN
    update: dict[str, Any] = {"by_day": None, "by_week": None}
    some = total != rule.SHOWN
    demanded = [total]
    if answer.by_kind is not None:
        listed, state = _listed(list(answer.by_kind.values()), guard.whole or guard.kinds)
        update["by_kind"] = dict(zip(answer.by_kind, listed, strict=True))
        demanded.append(state)
    if answer.by_hour_of_week is not None:
        listed, state = _listed(answer.by_hour_of_week, guard.whole)
        update["by_hour_of_week"] = listed
        demanded.append(state)
    if answer.by_month is not None:
        listed, state = _listed(answer.by_month.counts, guard.whole)
        update["by_month"] = DateCounts(dates=answer.by_month.dates, counts=listed)
        demanded.append(state)
    if answer.by_unit is not None:
        listed, state = _listed([one.count for one in answer.by_unit], guard.whole)
        update["by_unit"] = _renamed(answer.by_unit, listed)
        demanded.append(state)
    beside = [
        None if guard.whole or 0 < (one.count or 0) < rule.THRESHOLD else one.count
        for one in answer.unplaced
    ]
    update["unplaced"] = _renamed(answer.unplaced, beside)
    total = max(demanded, key=lambda one: (one != rule.SHOWN, one == rule.SMALL))
    if total != rule.SHOWN:
        update |= {"total": None, "total_text": _all(counted, total)}
    some = total != rule.SHOWN or any(
        None in listed
        for listed in (
            list((update.get("by_kind") or {}).values()), update.get("by_hour_of_week") or [],
            update["by_month"].counts if "by_month" in update else [], beside,
            [one.count for one in update.get("by_unit") or []],
        )
    )  # fmt: skip
    return answer.model_copy(update={**update, "suppressed": some}), total


def _renamed(rows: list[UnitCount], counts: Sequence[int | None]) -> list[UnitCount]:
    return [
        row.model_copy(update={"count": count}) for row, count in zip(rows, counts, strict=True)
    ]


def counted(asker: Asker, pack: str, sight: Sight, asked: Asked, answer: AreaAnswer) -> AreaAnswer:
    """Count for somebody who may not see small numbers."""
    question = asked.question
    if question is not None and isinstance(question.area, Cells):
        # held against earlier questions by their ground
        question = replace(question, area=asked.outline)
    if question is None:
        return _area(answer, Guard())[0]
    one = Asked(replace(question, breakdowns=frozenset({"kind"}), beside=None), None, None)
    counts = sight.count(one, ("kind",)).by_kind
    assert counts is not None
    return _area(answer, guarded(asker, pack, sight, one, counts, located=None))[0]


# the guard against differencing ------------------------------------------------------------------
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
