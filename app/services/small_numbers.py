"""Small numbers in answers about areas (METHODS 11): who may see them, and what others get.

Imports `geo.small_numbers`, the one rule of what is small and what must be hidden with it. Promises:
of a table with its total no small number can be worked out by subtraction, nor of the tables of units of
several levels together; two questions of one account that differ by 1 to 4 events are not both answered.

Not promised: that nothing can be worked out from three and more questions together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from app.api.analysis_models import (
    AnalysisAnswer,
    AnalysisChange,
    CellCount,
    ChildRisk,
    KindChange,
    KindRisk,
    Risk,
    SpanChange,
)
from app.api.area_models import AreaAnswer, DateCounts, UnitCount
from app.security.identity import Identity
from app.services.area_words import Asked
from app.services.asking import Asker
from app.services.small_guard import Guard, guarded
from app.services.small_units import UnitStates, unit_states
from geo import small_numbers as rule
from geo.cube import Cells

if TYPE_CHECKING:
    from app.services.areas import Sight

Ints = npt.NDArray[np.int64]
Some = TypeVar("Some", bound=Risk)


def sees_small(identity: Identity) -> bool:
    """Whether somebody is given counts of 1 to 4: who may see records. The one place of this rule."""
    return identity.may("see_records")


# hiding ------------------------------------------------------------------------------------------
states = rule.listed


def _text(count: int, state: int) -> str:
    return rule.shown(count, state)


def _risk(one: Some, state: int) -> Some:
    if state == rule.SHOWN or one.observed is None:
        return one
    return one.model_copy(
        update={
            "observed": None, "observed_text": _text(one.observed, state), "suppressed": True,
            "relative_risk": None, "low": None, "high": None, "exceedance": None, "colour": "none",
            "alpha": None, "effective_observed": None, "effective_expected": None,
        }
    )  # fmt: skip


def hidden(
    answer: AnalysisAnswer, guard: Guard, asked: Asked, units: UnitStates | None
) -> AnalysisAnswer:
    """Answer for somebody who may not see small numbers; `units` when there is a table of them."""
    counted = answer.overall.observed or 0
    total = rule.SMALL if guard.whole or 0 < counted < rule.THRESHOLD else rule.SHOWN
    inner, inner_total = _area(answer.answer, guard, asked)
    # one choice for both tables of kinds: two would tell each other's
    told = inner.by_kind or {}
    kinds = [
        _risk(one, _state(one.observed or 0)) if told.get(one.kind, 0) is None else one
        for one in answer.kinds
    ]
    kinds_total = rule.SHOWN
    children, children_total = _children(answer.children, units)
    cells, cells_total = _cells(answer.cells)
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
            "change": _change(answer.change, total, guard, kinds),
        }
    )  # fmt: skip
    some = (
        total != rule.SHOWN or inner.suppressed
        or any(one.suppressed for one in (*kinds, *children, *comparisons))
        or any(one.suppressed for one in cells)
    )  # fmt: skip
    return made.model_copy(update={"suppressed": some})


def _state(count: int) -> int:
    return rule.SMALL if 0 < count < rule.THRESHOLD else rule.WITHHELD


def _children(rows: list[ChildRisk], units: UnitStates | None) -> tuple[list[ChildRisk], int]:
    """Hide what must be hidden of a table of units, alike at every level; with the state of its total."""
    if units is None or not rows:
        return rows, rule.SHOWN
    table, made = units.table, []
    ids = [table.lookup(one.code) or 0 if one.code else 0 for one in rows]
    for one, unit in zip(rows, ids, strict=True):
        if one.rest:
            level = next((each.level for each in rows if each.level), table.levels[-1])
            made.append(_risk(one, units.rest(level, set(ids) - {0})))
        else:
            made.append(_risk(one, units.unit(unit)))
    return made, units.whole


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


def _change(
    change: AnalysisChange | None, total: int, guard: Guard, kinds: Sequence[KindRisk]
) -> AnalysisChange | None:
    if change is None:
        return None
    gone = {one.kind for one in kinds if one.observed is None}

    def shown(span: SpanChange | None) -> SpanChange | None:
        if span is None:
            return None
        made = hidden_span(span, guard)
        if total != rule.SHOWN:
            made = made.model_copy(update=_NO_RATIO)
        # a ratio would tell the present count
        rows = [one.model_copy(update=_NO_RATIO) if one.kind in gone else one for one in made.kinds]
        return made.model_copy(update={"kinds": rows})

    return AnalysisChange(previous=shown(change.previous), last_year=shown(change.last_year))


_NO_RATIO = {"ratio": None, "low": None, "high": None}


def hidden_span(span: SpanChange, guard: Guard) -> SpanChange:
    """Earlier count for somebody who may not see small numbers; a ratio would tell it."""
    if span.observed is None:
        return span
    made = states([one.observed or 0 for one in span.kinds]) if span.kinds else [rule.SHOWN]
    all_gone = guard.whole or 0 < span.observed < rule.THRESHOLD
    if all_gone or guard.kinds:
        made = [rule.WITHHELD] * len(span.kinds) + made[-1:]
    kinds = [_kind(one, state) for one, state in zip(span.kinds, made, strict=False)]
    if not all_gone and made[-1] == rule.SHOWN:
        return span.model_copy(update={"kinds": kinds})
    text = _all(span.observed, rule.SMALL if all_gone else made[-1])
    return span.model_copy(
        update={
            "observed": None,
            "observed_text": text,
            "suppressed": True,
            "kinds": kinds,
            **_NO_RATIO,
        }
    )


def _kind(one: KindChange, state: int) -> KindChange:
    if state == rule.SHOWN or one.observed is None:
        return one
    text = _text(one.observed, state)
    return one.model_copy(
        update={"observed": None, "observed_text": text, "suppressed": True, **_NO_RATIO}
    )


def _listed(
    counts: Sequence[int | None], whole: bool, asked: Sequence[bool] | None = None
) -> tuple[list[int | None], int]:
    """Hide what must be hidden of counts; with the state of their total.

    What was not asked for is 0 and everybody knows: it hides nothing.
    """
    if asked is not None and not all(asked):
        some = [n for n, one in enumerate(asked) if one]
        found: list[int | None] = list(counts)
        inner, total = _listed([counts[n] for n in some], whole)
        for n, one in zip(some, inner, strict=True):
            found[n] = one
        return found, total
    given = [one or 0 for one in counts]
    if not given:
        return [], rule.SHOWN
    made = [rule.WITHHELD] * (len(given) + 1) if whole else states(given)
    return [
        one if state == rule.SHOWN else None for one, state in zip(given, made, strict=False)
    ], rule.SHOWN if whole else made[-1]


def _area(
    answer: AreaAnswer, guard: Guard, asked: Asked, units: UnitStates | None = None
) -> tuple[AreaAnswer, int]:
    """Hide what must be hidden of a count; with the state its tables demand for the total."""
    question = asked.question
    kinds = hours = None
    if question is not None and question.kinds is not None and answer.by_kind is not None:
        kinds = [one in question.kinds for one in answer.by_kind]
    if question is not None and question.hours_of_week is not None:
        hours = question.hours_of_week.tolist()
    counted = answer.total or 0
    total = rule.SMALL if guard.whole or 0 < counted < rule.THRESHOLD else rule.SHOWN
    update: dict[str, Any] = {"by_day": None, "by_week": None}
    some = total != rule.SHOWN
    demanded = [total]
    if answer.by_kind is not None:
        listed, state = _listed(list(answer.by_kind.values()), guard.whole or guard.kinds, kinds)
        update["by_kind"] = dict(zip(answer.by_kind, listed, strict=True))
        demanded.append(state)
    if answer.by_hour_of_week is not None:
        listed, state = _listed(answer.by_hour_of_week, guard.whole, hours)
        update["by_hour_of_week"] = listed
        demanded.append(state)
    if answer.by_month is not None:
        listed, state = _listed(answer.by_month.counts, guard.whole)
        update["by_month"] = DateCounts(dates=answer.by_month.dates, counts=listed)
        demanded.append(state)
    if answer.by_unit is not None:
        update["by_unit"] = _by_unit(answer.by_unit, guard, asked, units)
        demanded.append(units.whole if units is not None else rule.SHOWN)
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


def _by_unit(
    rows: list[UnitCount], guard: Guard, asked: Asked, units: UnitStates | None
) -> list[UnitCount]:
    """Hide what must be hidden of counts by unit."""
    if units is None or asked.under is None or guard.whole:
        return _renamed(rows, [None] * len(rows))
    ids = [units.table.lookup(one.code) or 0 if one.code else 0 for one in rows]
    made = [units.row(unit, asked.under) for unit in ids]
    return _renamed(
        rows,
        [one.count if state == rule.SHOWN else None for one, state in zip(rows, made, strict=True)],
    )


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
        return _area(answer, Guard(), asked)[0]
    one = Asked(replace(question, breakdowns=frozenset({"kind"}), beside=None), None, None)
    counts = sight.count(one, ("kind",)).by_kind
    assert counts is not None
    units = unit_states(sight, asked, None) if answer.by_unit is not None else None
    return _area(answer, guarded(asker, pack, sight, one, counts, located=None), asked, units)[0]
