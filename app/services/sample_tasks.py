"""Alerts and tasks of a sample: twelve months looked at, desks on duty, some tasks in several states.

Everything goes through the ordinary services, the same at every load. Desks are offices with made-up
names; nothing here stands for a person.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from app.api.task_models import TaskDraft
from app.database import claim, transaction
from app.services import alerts, tasks
from app.services.periods import Span

MONTHS = 12
#: Where each task is brought to, and how many hours ago it was sent.
COURSE = ("accepted", "on_site", "feedback", "verified", "closed")
STATES: tuple[tuple[str, int], ...] = (
    ("sent", 3), ("sent", 51), ("accepted", 20), ("accepted", 43), ("on_site", 9), ("feedback", 26),
    ("verified", 30), ("closed", 40), ("closed", 28), ("closed", 47), ("declined", 6), ("sent", 1),
)  # fmt: skip
FEEDBACK: tuple[dict[str, Any], ...] = (
    {"answer": "confirmed", "measures": ["现场整改"], "count": 6},
    {"answer": "confirmed", "measures": ["增派巡查", "告知提醒"], "count": 3},
    {"answer": "unclear", "measures": ["增派巡查"], "count": 1},
    {"answer": "confirmed", "measures": ["移交部门"], "count": 2},
    {"answer": "not_confirmed", "measures": [], "count": 0},
)
NOTE = {"declined": "该网格已由邻近值班台处理", "feedback": "已到场核实"}


def load(engine: sa.Engine, pack: str, run: int) -> str | None:
    """Look for alerts in the run of a sample and send some tasks; None: it was done before."""
    with transaction(engine) as connection:
        seen = connection.execute(
            sa.text("select max(run) from alert_clock where pack = :pack"), {"pack": pack}
        ).scalar_one()
    if seen is not None and seen >= run:
        return None
    if seen is not None:
        report = alerts.update(engine, run)
        return f"{report.opened} opened, {report.closed} closed, {report.open} open"
    with transaction(engine) as connection:
        starts = list(
            connection.execute(
                sa.text(
                    "select start from run_period where run_id = :run and period = 'month' order by ord"
                ),
                {"run": run},
            ).scalars()
        )
        now: datetime = connection.execute(sa.text("select clock_timestamp()")).scalar_one()
        _desks(connection, pack)
    if not starts:
        return None
    last = starts[-1]

    def moment(span: Span) -> datetime:
        # as if the newest month ended now
        return now - timedelta(days=(last - span.start).days)

    report = alerts.update(engine, run, since=starts[-MONTHS:][0], moment=moment)
    with transaction(engine) as connection:
        claim(connection, None, role="grid_worker")
        made = sum(1 for _ in _tasks(connection, pack, now))
        connection.execute(sa.text("select task_time()"))  # what is late by now is marked
    return f"{report.opened} opened, {report.open} open, {made} tasks"


def _desks(connection: sa.Connection, pack: str) -> None:
    """One desk per county and town of the map."""
    connection.execute(
        sa.text(
            "insert into duty_desk (pack, code, side, name, hours) "
            "select v.pack, u.code, coalesce(c.code, u.code), left(u.name, 60) || '网格值班台', '8:00-20:00' "
            "from boundary_version v join unit u on u.boundary_version_id = v.id "
            "left join unit c on c.boundary_version_id = v.id and c.level = 'county' and u.code ^@ c.code "
            "where v.pack = :pack and u.level in ('county', 'town') "
            "and v.id = (select max(id) from boundary_version where pack = :pack) on conflict do nothing"
        ),
        {"pack": pack},
    )


def _tasks(connection: sa.Connection, pack: str, now: datetime) -> Iterator[int]:
    """Tasks of the most urgent alerts, one per village, grids first, each brought to its state."""
    found = connection.execute(
        sa.text(
            "select id from (select distinct on (left(code, 12)) id, level, colour, priority from alert "
            "where pack = :pack and state = 'open' and overflow_rank is null and level in ('village', 'grid') "
            "order by left(code, 12), level = 'grid' desc, colour desc, priority desc, id) first "
            "order by level = 'grid' desc, colour desc, priority desc, id limit :most"
        ),
        {"pack": pack, "most": len(STATES)},
    ).scalars()
    for number, (alert, (state, hours)) in enumerate(zip(list(found), STATES, strict=False)):
        made = now - timedelta(hours=hours)
        task = tasks.make(connection, TaskDraft(alert=alert), made=made).id
        steps = (
            (state,)
            if state == "declined"
            else COURSE[: COURSE.index(state) + 1]
            if state != "sent"
            else ()
        )
        for at, step in enumerate(steps):
            tasks.take(
                connection, task, step, at=made + timedelta(minutes=(at + 1) * (35 + 11 * number)), note=NOTE.get(step, ""),
                detail=FEEDBACK[number % len(FEEDBACK)] if step == "feedback" else None,
            )  # fmt: skip
        yield task


def remove(connection: sa.Connection, pack: str) -> None:
    """Remove the alerts and tasks of a map, and the desks made here."""
    for statement in (
        "delete from task where pack = :pack",
        "delete from alert where pack = :pack",
        "delete from alert_clock where pack = :pack",
        "delete from indicator_alert_clock where pack = :pack",
        "delete from evaluation_clock where pack = :pack",
        "delete from duty_desk where pack = :pack and name like '%网格值班台'",
    ):
        connection.execute(sa.text(statement), {"pack": pack})
