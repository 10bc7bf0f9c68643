"""What an open alert says after a period: numbers, reason, grids, budget, escalation.

Takes panels of a run and what was stored before; decides nothing about opening and closing (that is
`geo.alerts`) and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.services import alert_words
from app.services.alert_grids import Located, located
from app.services.alert_panel import Panel
from app.services.alert_rules import STEPS, Rules
from app.services.alert_words import Numbers
from app.services.periods import Span, month_number
from app.services.runs import RunFacts
from app.services.scene_parts import When
from app.services.units import UnitTable
from geo import alerts as kernel
from geo.colours import COLOURS


@dataclass(frozen=True, eq=False)
class Look:
    """Everything one look at a run goes by."""

    facts: RunFacts
    table: UnitTable
    rules: Rules
    rule: kernel.AlertRule
    levels: tuple[str, ...]
    finest: str

    @property
    def period(self) -> str:
        """Period type that is watched."""
        return self.rules.alerts.period


@dataclass(eq=False)
class Open:
    """An alert that is open, or about to be."""

    code: str
    level: str
    kind: int
    at: int
    holds: int
    fired: int  # ever since it opened
    now: int  # in this period
    opened: date
    row: dict[str, Any] = field(default_factory=dict)  # as stored; empty: about to be opened
    explained: bool = False  # closed for alerts of units inside

    @property
    def cell(self) -> tuple[int, int]:
        """Kind index and position of the unit in its level."""
        return self.kind, self.at


def rows_of(
    look: Look, span: Span, panels: dict[str, Panel], found: list[Open]
) -> Iterator[tuple[Open, dict[str, Any]]]:
    """Columns of every open alert after this period, budget and escalation apart."""
    by_level: dict[str, list[Open]] = {}
    for one in found:
        by_level.setdefault(one.level, []).append(one)
    for level, members in by_level.items():
        panel = panels[level]
        numbers = panel.numbers([(*one.cell, one.holds) for one in members])
        places = located(look.table, panels[look.finest], panel, [one.cell for one in members])
        for one, number, place in zip(members, numbers, places, strict=True):
            yield one, _columns(look, span, panel, one, number=number, place=place)


def _columns(
    look: Look, span: Span, panel: Panel, one: Open, *, number: Numbers, place: Located
) -> dict[str, Any]:
    since = age(look.period, one.opened, span.start)
    kind = look.facts.kinds[one.kind]
    words = alert_words.reason(
        look.period, span.start, number, alert_words.Course(one.now, one.fired, since)
    )
    history = panel.colours[:, one.kind, one.at]
    excess = max(number.expected * (number.theta - 1), 0.0)
    return {
        "pack": look.facts.pack,
        "scene": look.facts.scene.name,
        "code": one.code,
        "level": one.level,
        "name": look.table.names[panel.first + one.at - 1],
        "kind": kind,
        "period": look.period,
        "fired": one.fired,
        "holds": one.holds,
        "is_new": one.fired == kernel.SINGLE,
        "run": look.facts.id,
        "opened_period": one.opened,
        "last_period": span.start,
        "colour": number.colour,
        "observed": number.observed,
        "expected": number.expected,
        "relative_risk": number.theta,
        "low": number.low,
        "high": number.high,
        "exceedance": number.p,
        "priority": look.rules.harm.get(kind, 1.0) * excess,
        "reason_zh": words.zh,
        "reason_en": words.en,
        "located_share": place.share,
        "grids": list(place.codes),
        "why_not": place.why_not,
        "budget_code": _budget_code(look, one, place),
        "escalation": _escalation(look, one, history, span),
    }


def age(period: str, opened: date, start: date) -> int:
    """Periods between two first days."""
    months = month_number(start) - month_number(opened)
    return months // {"month": 1, "quarter": 3, "year": 12}[period]


def _budget_code(look: Look, one: Open, place: Located) -> str:
    """Find the unit whose weekly budget an alert counts against: where its first grid lies."""
    budget = look.rules.alerts.budget
    code = place.codes[0] if place.codes else one.code
    if budget is None or budget.level not in look.table.levels:
        return code
    unit = look.table.find(code)
    above = int(look.table.ancestors[unit, look.table.levels.index(budget.level)])
    return look.table.codes[above - 1] if above else code


def budgeted(
    connection: sa.Connection, look: Look, rows: list[tuple[Open, dict[str, Any]]], now: datetime
) -> None:
    """Give each alert its place behind the budget of its week; what waited competes again."""
    local = now.astimezone(ZoneInfo(look.facts.time_zone)).date()
    monday = local - timedelta(days=local.weekday())
    budget = look.rules.alerts.budget
    asking = []
    for one, row in rows:
        was = one.row
        if was and (was["overflow_rank"] is None or budget is None or was["week"] >= monday):
            row |= {"week": was["week"], "overflow_rank": was["overflow_rank"],
                    "budget_code": was["budget_code"]}  # fmt: skip
            if budget is None:
                row["overflow_rank"] = None
        else:
            row |= {"week": monday, "overflow_rank": None}
            asking.append(row)
    if budget is None or not asking:
        return
    there = connection.execute(
        sa.text(
            "select budget_code, count(*) as number from alert where pack = :pack and week = :week "
            "and about = 'kind' and overflow_rank is null group by 1"
        ),
        {"pack": look.facts.pack, "week": monday},
    )
    used = {row.budget_code: row.number for row in there}
    codes = sorted({row["budget_code"] for row in asking})
    key = np.array([codes.index(row["budget_code"]) for row in asking])
    ranks = kernel.overflow(
        key,
        np.array([row["priority"] for row in asking]),
        np.array([used.get(row["budget_code"], 0) for row in asking]),
        budget.per_week,
    )
    for row, rank in zip(asking, ranks.tolist(), strict=True):
        row["overflow_rank"] = rank or None


# escalation --------------------------------------------------------------------------------------
def _escalation(look: Look, one: Open, history: npt.NDArray[np.uint8], span: Span) -> str:
    """Step of the escalation after this period: at most one further, in order."""
    before = one.row.get("escalation", "none")
    if one.row and one.row["last_period"] >= span.start:
        return str(before)  # once per period
    reached = 0 if before == "none" else STEPS.index(before) + 1
    following = next(
        (rule for rule in look.rules.escalation if STEPS.index(rule.step) >= reached), None
    )
    if following is not None and holds(following.when, history, (span.end - one.opened).days):
        return following.step
    return str(before)


def holds(when: When, history: npt.NDArray[np.uint8], open_days: int) -> bool:
    """Whether a condition of an escalation holds for an alert.

    Parameters
    ----------
    history : (depth,) colours, the present period last
    open_days : days from its first period to the end of this one

    Notes
    -----
    `overdue_days` is asked of tasks (`task_time`), `last_places` of league tables; neither holds here.
    """
    asked = []
    if when.colour is not None:
        asked.append(_at_least(history[-1:], when.colour, 1))
    if when.persistent is not None:
        one = when.persistent
        asked.append(_at_least(history[-one.within :], one.colour, one.of))
    if when.open_days is not None:
        asked.append(open_days >= when.open_days)
    if when.any_of:
        asked.append(any(holds(one, history, open_days) for one in when.any_of))
    if when.overdue_days is not None or when.last_places is not None:
        asked.append(False)
    return all(asked)


def _at_least(history: npt.NDArray[np.uint8], colour: str, of: int) -> bool:
    return colour in COLOURS and int((history >= COLOURS.index(colour)).sum()) >= of
