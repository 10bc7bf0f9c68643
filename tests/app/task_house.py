"""A house with alerts: the small map assessed and looked at, a duty desk per county and town."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.services import alerts
from app.services.assess import assess

from .border_house import DEEP, MINE, THEIRS, House, house

DISPATCHER, WORKER = "dispatcher", "grid_worker"
PHOTOS = "/api/tasks/{}/photos"


def tasked(cluster: Any, template: str, data_dir: Path) -> Iterator[House]:
    """Make the house, and take it down."""
    for home in house(cluster, template, data_dir):
        run = assess(home.engine, "small", "nine-kinds", zone="Asia/Shanghai", look=False)
        alerts.update(home.engine, run, since=date(2024, 9, 1))
        with home.engine.begin() as connection:
            more_alerts(connection)
            for code in (MINE, THEIRS, DEEP, "330102001"):
                connection.execute(
                    sa.text(
                        "insert into duty_desk (pack, code, side, name) "
                        "values ('small', :code, :side, :name)"
                    ),
                    {"code": code, "side": code[:6], "name": f"值班台 {code}"},
                )
        yield home


def more_alerts(connection: sa.Connection) -> None:
    """Open alerts of the other kinds beside those that were found: tests use them up."""
    columns = """pack, scene, level, period, fired, holds, is_new, opened_run, run, opened_period,
        last_period, colour, observed, expected, relative_risk, low, high, exceedance, priority,
        reason_zh, reason_en, located_share, grids, why_not, week, budget_code, overflow_rank,
        opened_at"""
    connection.execute(
        sa.text(
            f"insert into alert (code, name, kind, {columns}) "
            f"select distinct on (a.code, k.kind) a.code, a.name, k.kind, {columns} from alert a "
            "cross join unnest(array['theft', 'fire', 'fraud', 'vice', 'petition', 'dispute']) k (kind) "
            "where a.state = 'open' and not exists (select from alert b where b.code = a.code "
            "and b.kind = k.kind and b.state = 'open') order by a.code, k.kind, a.id"
        )
    )


def key() -> str:
    """A key as a phone makes it."""
    return str(uuid.uuid4())


def spare_alert(home: House, prefix: str = MINE, kind: str | None = None) -> int:
    """An open alert of a jurisdiction no task was made of."""
    with home.engine.connect() as connection:
        found: int = connection.execute(
            sa.text(
                "select id from alert a where state = 'open' and code ^@ :prefix "
                "and (cast(:kind as text) is null or kind = :kind) "
                "and not exists (select from task t where t.alert_id = a.id) order by id limit 1"
            ),
            {"prefix": prefix, "kind": kind},
        ).scalar_one()
    return found


def sent(client: TestClient, home: House, prefix: str = MINE, **more: Any) -> dict[str, Any]:
    """A task of a spare alert."""
    body = {"alert": spare_alert(home, prefix)} | more
    answer = client.post("/api/tasks", json=body, headers=home.as_(DISPATCHER, prefix[:6]))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def step(
    client: TestClient, home: House, task: int, to: str, *, role: str = WORKER,
    prefix: str | None = MINE, **more: Any
) -> Any:  # fmt: skip
    """Take a step; the answer."""
    if to == "feedback" and "form" not in more:
        more["form"] = {"answer": "confirmed", "measures": ["现场整改"], "count": 3}
    body = {"to": to, "key": key()} | more
    return client.post(f"/api/tasks/{task}/steps", json=body, headers=home.as_(role, prefix))


def brought_to(client: TestClient, home: House, task: int, state: str) -> dict[str, Any]:
    """Take a task of mine to a state, step by step."""
    found: dict[str, Any] = {}
    for to in ("accepted", "on_site", "feedback", "verified", "closed"):
        role = DISPATCHER if to in {"verified", "closed"} else WORKER
        answer = step(client, home, task, to, role=role)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        if to == state:
            break
    return found
