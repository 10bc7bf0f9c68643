"""Writing alerts: every change of a row is a step the database itself writes down, audits and tells.

Takes a connection of the installation inside the one transaction of a look.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from app.services import alert_words
from app.services.alert_panel import Panel
from app.services.alert_rows import Look, Open, age
from app.services.alert_rules import STEPS
from app.services.periods import Span


@dataclass
class Written:
    """How many alerts were opened, updated, escalated."""

    opened: int = 0
    updated: int = 0
    escalated: int = 0


#: Periods after which an alert of a scene nobody assesses any more is closed.
UNSEEN = 2
#: Columns that make an update a step; the others go with them.
MATTER = (
    "fired", "holds", "is_new", "last_period", "colour", "observed", "expected", "relative_risk",
    "exceedance", "located_share", "grids", "why_not", "overflow_rank", "week", "escalation", "run",
)  # fmt: skip
_KEYS = ("pack", "scene", "code", "level", "name", "kind", "period", "opened_period")


def write(
    connection: sa.Connection,
    look: Look,
    rows: list[tuple[Open, dict[str, Any]]],
    now: datetime,
) -> Written:
    """Insert what is new and update what changed; a row that says the same is left alone."""
    report = Written()
    fresh = [
        {**row, "opened_run": look.facts.id, "opened_at": now} for one, row in rows if not one.row
    ]
    if fresh:
        names = list(fresh[0])
        connection.execute(
            sa.text(
                f"insert into alert ({', '.join(names)}) "  # noqa: S608 - names of this module
                f"values ({', '.join(':' + name for name in names)})"
            ),
            fresh,
        )
        report.opened += len(fresh)
        report.escalated += sum(row["escalation"] != "none" for row in fresh)
    changed = [
        {**row, "id": one.row["id"]}
        for one, row in rows
        if one.row and any(_differs(one.row[name], row[name]) for name in MATTER)
    ]
    if changed:
        names = [name for name in changed[0] if name not in {*_KEYS, "id"}]
        connection.execute(
            sa.text(
                "update alert set version = version + 1, "  # noqa: S608
                + ", ".join(f"{name} = :{name}" for name in names)
                + " where id = :id and state = 'open'"
            ),
            changed,
        )
        was = {one.row["id"]: one.row["escalation"] for one, _ in rows if one.row}
        report.updated += len(changed)
        report.escalated += sum(was[row["id"]] != row["escalation"] for row in changed)
    return report


def _differs(old: Any, new: Any) -> bool:
    if isinstance(old, float) and isinstance(new, float):
        return not np.isclose(old, new, rtol=1e-9, atol=0)
    return bool(old != new)


def close(
    connection: sa.Connection,
    look: Look,
    closed: list[Open],
    *,
    panel: Panel,
    span: Span,
    now: datetime,
) -> None:
    """Close what nothing holds any more; the reason says with which numbers."""
    if not closed:
        return
    numbers = panel.numbers([(*one.cell, one.holds) for one in closed])
    connection.execute(
        sa.text(
            "update alert set state = 'closed', closed_at = greatest(:now, opened_at), "
            "closed_by = 'rule', closed_reason = :reason, version = version + 1, run = :run, "
            "last_period = :last where id = :id"
        ),
        [
            {
                "id": one.row["id"], "now": now, "run": look.facts.id, "last": span.start,
                "reason": alert_words.closing(look.period, span.start, number)
                          + ("；已由下级单位的预警说明" if one.explained else ""),
            }
            for one, number in zip(closed, numbers, strict=True)
        ],
    )  # fmt: skip


def ended(connection: sa.Connection, look: Look) -> int:
    """Close alerts of units that are no longer on the map, and those nobody looks at any more.

    That is of a level, kind or period the rules no longer name, where the look was one of their own
    scene; of another scene, or of a level this run was not assessed for (`--level`), those no look has
    seen for two periods.
    """
    rows = connection.execute(
        sa.text(
            "select id, code, kind, level, period, scene, last_period from alert "
            "where pack = :pack and about = 'kind' and state = 'open'"
        ),
        {"pack": look.facts.pack},
    ).all()
    gone = [
        {"id": row.id, "run": look.facts.id} for row in rows if look.table.lookup(row.code) is None
    ]
    newest = look.facts.periods[look.rules.alerts.period][-1].start
    named = look.rules.alerts.levels
    why: dict[str, list[int]] = {}
    for row in rows:
        if look.table.lookup(row.code) is None:
            continue
        level, kind = row.level in look.levels, row.kind in look.facts.kinds
        if row.scene != look.facts.scene.name:
            seen = level and kind and row.period == look.period
            if not seen and age(row.period, row.last_period, newest) >= UNSEEN:
                why.setdefault(f"场景“{row.scene}”已{UNSEEN}期没有评估", []).append(row.id)
        elif kind and row.level not in look.facts.levels and (not named or row.level in named):
            # a run that stops at a coarser level says nothing of it
            if age(row.period, row.last_period, newest) >= UNSEEN:
                why.setdefault(f"这一层级已{UNSEEN}期没有评估", []).append(row.id)
        elif not kind:
            why.setdefault("不再评估这一类别", []).append(row.id)
        elif not level:
            why.setdefault("不再关注这一层级", []).append(row.id)
        elif row.period != look.period:
            why.setdefault("不再按这一周期预警", []).append(row.id)
    over = sum(not_watched(connection, ids, reason) for reason, ids in why.items())
    if gone:
        connection.execute(
            sa.text(
                "update alert set state = 'closed', closed_at = clock_timestamp(), run = :run, "
                "closed_by = 'unit_ended', version = version + 1 where id = :id"
            ),
            gone,
        )
    return len(gone) + over


def not_watched(connection: sa.Connection, ids: list[int], reason: str) -> int:
    """Close alerts nobody looks at any more; how many."""
    if not ids:
        return 0
    return connection.execute(
        sa.text(
            "update alert set state = 'closed', closed_at = clock_timestamp(), "
            "closed_by = 'not_watched', closed_reason = :reason, version = version + 1 "
            "where id = any(:ids) and state = 'open'"
        ),
        {"ids": ids, "reason": reason},
    ).rowcount


def escalate_tasks(connection: sa.Connection, pack: str) -> None:
    """Bring tasks under way to the escalation of their alert."""
    connection.execute(
        sa.text(
            "select task_step(t.id, 'escalated', '', clock_timestamp(), null, null, '', "
            "jsonb_build_object('escalation', a.escalation, 'why', 'alert')) "
            "from task t join alert a on a.id = t.alert_id where t.pack = :pack "
            "and t.state in ('sent', 'accepted', 'on_site', 'feedback', 'verified') "
            "and array_position(cast(:order as text[]), a.escalation) "
            "> array_position(cast(:order as text[]), t.escalation)"
        ),
        {"pack": pack, "order": ["none", *STEPS]},
    )
