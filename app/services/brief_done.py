"""What was done in the month: alerts about it, the tasks made of them, what was found, how long it took.

An alert belongs to a month when it was open in it (by the periods it was looked at in, not by the
clock); times are those of the tasks sent in the calendar month. Numbers of an alert's unit are those
of this month, for the alert itself tells the newest it was looked at.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from app.api.brief_models import BriefSentence
from app.services import brief_say as text
from app.services.alerts_read import alerts
from app.services.brief_facts import Facts
from app.services.brief_say import Said, Templates, fact, joined, plain
from app.services.loop import health
from app.services.scenes import OVERALL

MOST, TOLD = 5_000, 5
#: A task that was declined waits for another desk.
DONE = ("verified", "closed", "merged")


def _counted(addresses: list[str]) -> Said:
    return fact(len(addresses), text.count(len(addresses)), how="count", of=addresses)


def _of_month(facts: Facts) -> tuple[list[Any], bool]:
    """Alerts that were open in the month, most urgent first; whether there is any of the map."""
    found = alerts(
        facts.connection, pack=facts.run.pack, within=facts.scope_code or None, limit=MOST,
        small=facts.small,
    )  # fmt: skip
    month = facts.span.start
    mine = [
        one for one in found
        if one.about == "kind" and one.period == "month" and one.opened_period <= month <= one.last_period
    ]  # fmt: skip
    for one in mine:
        facts.keep(f"/api/alerts/{one.id}", one)
    return mine, bool(found)


def _top(say: Templates, facts: Facts, one: Any) -> Said | None:
    kind = plain("综合", "overall") if one.kind == OVERALL else facts.kind_title(one.kind)
    source = facts.why(one.code, one.kind)
    found = facts.answer(source)
    state = facts.unit_state(one.code, one.kind)
    if found["estimate"] is None or state or 0 < (found["observed"] or 0) < 5:
        return None
    slots = {
        slot: facts.number(source, f"/estimate/{slot}", text.ratio)
        for slot in ("theta", "low", "high")
    }
    return say.part(
        "alert_unit", name=facts.unit_name(one.code), kind=kind,
        observed=facts.counted(source, "/observed", state),
        expected=facts.number(source, "/expected", text.expected), **slots,
    )  # fmt: skip


def sentences(say: Templates, facts: Facts) -> list[BriefSentence]:
    """Sentences about alerts and tasks; one that says so when there are none."""
    mine, ever = _of_month(facts)
    page = facts.page(facts.scope_code)
    if not mine:
        return [say.say("no_alerts" if ever else "no_loop", page)]
    month = facts.span.start
    at = {one.id: f"/api/alerts/{one.id}" for one in mine}
    opened = [f"{at[one.id]}#/opened_period" for one in mine if one.opened_period == month]
    earlier = [f"{at[one.id]}#/opened_period" for one in mine if one.opened_period != month]
    located = [f"{at[one.id]}#/grids" for one in mine if one.grids]
    made = [
        say.say(
            "alerts", page,
            count=_counted([f"{one}#/state" for one in at.values()]), opened=_counted(opened),
            earlier=_counted(earlier), located=_counted(located),
        )
    ]  # fmt: skip
    told = [one for one in mine[: 3 * TOLD] if facts.table.lookup(one.code) is not None]
    parts = [part for one in told if (part := _top(say, facts, one))]
    if parts:
        made.append(say.say("alert_top", page, items=joined(parts[:TOLD], "；", "; ")))
    made += _tasks(say, mine)
    made += _times(say, facts)
    return made


def _tasks(say: Templates, mine: list[Any]) -> list[BriefSentence]:
    page = "/tasks"
    tasks = [
        (f"/api/alerts/{one.id}#/tasks/{n}", task)
        for one in mine
        for n, task in enumerate(one.tasks)
    ]
    if not tasks:
        return [say.say("no_tasks", page)]
    made = [
        say.say(
            "tasks", page,
            count=_counted([f"{at}/id" for at, _ in tasks]),
            closed=_counted([f"{at}/state" for at, task in tasks if task.state in DONE]),
            open=_counted([f"{at}/state" for at, task in tasks if task.state not in DONE]),
            overdue=_counted([f"{at}/overdue" for at, task in tasks if task.overdue]),
        )
    ]  # fmt: skip
    answers = {
        name: [f"/api/alerts/{one.id}#/answer" for one in mine if one.answer == name]
        for name in ("confirmed", "not_confirmed", "unclear")
    }
    if any(answers.values()):
        slots = {name: _counted(found) for name, found in answers.items()}
        made.append(say.say("answers", page, **slots))
    return made


def _times(say: Templates, facts: Facts) -> list[BriefSentence]:
    """Tell the times of the tasks sent in the calendar month."""
    span = facts.span
    within = {"within": facts.scope_code} if facts.scope_code else {}
    query = urlencode({"pack": facts.run.pack, "from": span.start, "to": span.end, **within})
    found = health(
        facts.connection, facts.run.pack, span.start, span.end, facts.scope_code or None,
        zone=facts.run.time_zone, small=facts.small,
    )  # fmt: skip
    at = next(n for n, one in enumerate(found.times) if one.state == "feedback")
    hours = found.times[at].hours
    if hours.value is None or hours.low is None or hours.high is None:
        return []
    source = facts.keep(f"/api/loop?{query}", found)
    place = f"/times/{at}/hours"

    def printed(value: float) -> str:
        return f"{value:.1f}"

    return [
        say.say(
            "times", "/tasks", month=facts.month_said(),
            count=facts.number(source, f"{place}/n", text.count),
            median=facts.number(source, f"{place}/value", printed),
            low=facts.number(source, f"{place}/low", printed),
            high=facts.number(source, f"{place}/high", printed),
        )
    ]  # fmt: skip
