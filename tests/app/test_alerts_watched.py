"""Alerts nobody watches any more are closed with a reason; red ones are sent by themselves where a scene says so."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import sqlalchemy as sa

from app.services import alerts
from app.services.assess import assess

from .conftest import Small


def rows(engine: sa.Engine, query: str, **values: Any) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(one) for one in connection.execute(sa.text(query), values).mappings()]


def run_of(engine: sa.Engine, **changed: Any) -> int:
    """Assess the small map; its scene says something else about alerts than the shipped one."""
    run = assess(engine, "small", "nine-kinds", zone="Asia/Shanghai", look=False)
    with engine.begin() as connection:
        for name, value in changed.items():
            connection.execute(
                sa.text(
                    "update run set scene_body = jsonb_set(scene_body::jsonb, array[:name], "
                    "cast(:value as jsonb)) where id = :run"
                ),
                {"name": name, "value": json.dumps(value), "run": run},
            )
    return run


def closed(engine: sa.Engine) -> dict[str, int]:
    found = rows(
        engine, "select closed_reason as why, count(*) as number from alert "
        "where closed_by = 'not_watched' group by 1",
    )  # fmt: skip
    return {one["why"]: one["number"] for one in found}


def test_a_level_and_a_scene_nobody_watches_any_more(engine: sa.Engine, small: Small) -> None:
    del small
    alerts.update(engine, run_of(engine), since=date(2024, 9, 1))
    there = "select id from alert where state = 'open' order by id"
    before = rows(engine, there)
    assert before
    report = alerts.update(engine, run_of(engine, alerts={"levels": ["county"]}))
    assert report.closed == len(before)
    assert closed(engine) == {"不再关注这一层级": len(before)}
    # watched again, they are opened anew: nobody closed them by hand
    alerts.update(engine, run_of(engine))
    again = rows(engine, there)
    assert again
    # the scene raises none any more: the clock finds the run and closes the rest
    run_of(engine, alerts=None)
    assert alerts.catch_up(engine) == 1
    assert closed(engine) == {"不再关注这一层级": len(before), "场景不再预警": len(again)}
    assert rows(engine, there) == []
    steps = rows(
        engine, "select e.detail from alert_event e join alert a on a.id = e.alert_id "
        "where e.step = 'close' and a.closed_by = 'not_watched'",
    )  # fmt: skip
    assert len(steps) == len(before) + len(again)
    assert {one["detail"]["by"] for one in steps} == {"not_watched"}


def test_alerts_of_another_scene_wait_two_periods(engine: sa.Engine, small: Small) -> None:
    """A scene that is assessed beside this one keeps its alerts; one nobody assesses loses them."""
    del small
    run = run_of(engine)
    alerts.update(engine, run, since=date(2024, 9, 1))
    first, second = rows(engine, "select id from alert where state = 'open' order by id limit 2")
    with engine.begin() as connection:
        connection.execute(sa.text("alter table alert disable trigger alert_guarded"))
        for one, months in ((first, 1), (second, 2)):
            connection.execute(
                sa.text(
                    "update alert set scene = 'former', kind = 'wolves', version = version + 1, "
                    "opened_period = opened_period - make_interval(months => :months), "
                    "last_period = last_period - make_interval(months => :months) where id = :id"
                ),
                {"months": months, "id": one["id"]},
            )
        connection.execute(sa.text("alter table alert enable trigger alert_guarded"))
    alerts.update(engine, run)
    states = rows(
        engine, "select id, state, closed_reason from alert where kind = 'wolves' order by id"
    )
    assert [(one["state"], one["closed_reason"]) for one in states] == [
        ("open", ""), ("closed", "场景“former”已2期没有评估"),
    ]  # fmt: skip


def test_red_alerts_are_sent_by_themselves_where_the_scene_says(
    engine: sa.Engine, small: Small
) -> None:
    del small
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "insert into duty_desk (pack, code, side, name) "
                "values ('small', '330101', '330101', '值班台')"
            )
        )
    report = alerts.update(engine, run_of(engine), since=date(2024, 9, 1))
    assert report.sent == 0  # usual: a desk does it
    assert rows(engine, "select id from task") == []
    step = {"step": "remind", "when": {"colour": "red"}, "dispatch": True}
    report = alerts.update(engine, run_of(engine, escalation=[step]))
    wanted = rows(
        engine, "select id, code from alert where state = 'open' and escalation <> 'none' "
        "and overflow_rank is null order by id",
    )  # fmt: skip
    mine = {one["id"] for one in wanted if one["code"].startswith("330101")}
    assert mine
    assert len(mine) < len(wanted)  # no desk is on duty in the other county
    tasks = rows(engine, "select alert_id, desk, state from task order by id")
    assert {one["alert_id"] for one in tasks} == mine
    assert len(tasks) == len(mine) == report.sent
    assert {(one["desk"], one["state"]) for one in tasks} == {("值班台", "sent")}
    audited = rows(engine, "select account_id from audit_entry where action = 'task.sent'")
    assert [one["account_id"] for one in audited] == [None] * len(mine)
    # once per alert, whatever became of it
    with engine.begin() as connection:
        connection.execute(
            sa.text("select task_step(id, 'declined', '', now(), null, null, '远', '{}') from task")
        )
    assert alerts.update(engine, run_of(engine, escalation=[step])).sent == 0


def another_scene(engine: sa.Engine, number: int) -> None:
    """Make an open alert one of a scene and kind that no look here is about."""
    with engine.begin() as connection:
        connection.execute(sa.text("alter table alert disable trigger alert_guarded"))
        connection.execute(
            sa.text(
                "update alert set scene = 'former', kind = 'wolves', escalation = 'remind', "
                "overflow_rank = null, version = version + 1 where id = :id"
            ),
            {"id": number},
        )
        connection.execute(sa.text("alter table alert enable trigger alert_guarded"))


def test_a_scene_sends_no_task_for_another_one(engine: sa.Engine, small: Small) -> None:
    del small
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "insert into duty_desk (pack, code, side, name) "
                "values ('small', '330101', '330101', '值班台')"
            )
        )
    alerts.update(engine, run_of(engine), since=date(2024, 9, 1))
    query = "select id from alert where state = 'open' and code like '330101%' order by id limit 1"
    (one,) = rows(engine, query)
    another_scene(engine, one["id"])
    step = {"step": "remind", "when": {"colour": "red"}, "dispatch": True}
    assert alerts.update(engine, run_of(engine, escalation=[step])).sent > 0
    assert rows(engine, "select state from alert where id = :id", id=one["id"]) == [
        {"state": "open"}
    ]
    assert rows(engine, "select id from task where alert_id = :id", id=one["id"]) == []


def test_an_older_run_closes_nothing_a_later_one_keeps(engine: sa.Engine, small: Small) -> None:
    del small
    silent = run_of(engine, alerts=None)
    alerts.update(engine, run_of(engine), since=date(2024, 9, 1))
    assert alerts.update(engine, silent).closed == 0
    assert closed(engine) == {}


def test_alerts_of_indicators_take_no_place_of_the_week(engine: sa.Engine, small: Small) -> None:
    del small
    run = run_of(engine)
    alerts.update(engine, run, since=date(2024, 9, 1))
    query = (
        "select code, kind, overflow_rank from alert where about = 'kind' and week = "
        "(select max(week) from alert) order by code, kind"
    )
    before = rows(engine, query)
    assert any(one["overflow_rank"] is None for one in before)
    with engine.begin() as connection:
        columns = (
            "pack, code, level, name, period, fired, holds, is_new, opened_run, run, opened_period, "
            "last_period, colour, priority, reason_zh, reason_en, grids, why_not, week, budget_code, "
            "opened_at"
        )
        connection.execute(
            sa.text(
                f"insert into alert (scene, about, kind, {columns}) "
                f"select 'lamps', 'indicator', kind || n, {columns} from alert "
                "cross join generate_series(1, 3) n where state = 'open'"
            )
        )
        connection.execute(sa.text("delete from alert where about = 'kind'"))
        connection.execute(sa.text("delete from alert_clock"))
    alerts.update(engine, run, since=date(2024, 9, 1))
    assert rows(engine, query) == before


def test_a_run_that_stops_at_a_coarser_level_closes_none_of_the_finer_ones(
    engine: sa.Engine, small: Small
) -> None:
    del small
    alerts.update(engine, run_of(engine), since=date(2024, 9, 1))
    finer = (
        "select id from alert where state = 'open' and level not in ('county', 'city') order by id"
    )
    before = rows(engine, finer)
    assert before
    coarse = assess(
        engine, "small", "nine-kinds", zone="Asia/Shanghai", finest="county", look=False
    )
    alerts.update(engine, coarse)
    assert closed(engine) == {}
    assert rows(engine, finer) == before
    # but not for ever
    with engine.begin() as connection:
        connection.execute(sa.text("alter table alert disable trigger alert_guarded"))
        connection.execute(
            sa.text(
                "update alert set version = version + 1, "
                "opened_period = opened_period - interval '2 months', "
                "last_period = last_period - interval '2 months' where id = :id"
            ),
            {"id": before[0]["id"]},
        )
        connection.execute(sa.text("alter table alert enable trigger alert_guarded"))
    alerts.update(engine, coarse)
    assert closed(engine) == {"这一层级已2期没有评估": 1}
    assert rows(engine, finer) == before[1:]
