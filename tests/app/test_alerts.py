"""Looking for alerts in runs: opened once, updated, closed, quiet, waiting, escalated, with words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from app.errors import Conflict, Invalid, NotFound
from app.services import alerts
from app.services.alert_rows import holds
from app.services.alert_rules import rules_of
from app.services.alert_words import Course, Numbers, closing, reason
from app.services.assess import assess
from app.services.runs import read_facts
from app.services.scene_parts import Persistent, When
from app.services.tracks import read_alpha
from geo import alerts as kernel
from geo import risk

from .border_house import House
from .conftest import HOT, NO_EXPOSURE, Small
from .task_house import tasked


@pytest.fixture(scope="module")
def home(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    yield from tasked(cluster, template, tmp_path_factory.mktemp("alerts"))


def rows(engine: sa.Engine, query: str = "select * from alert order by id") -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(one) for one in connection.execute(sa.text(query)).mappings()]


def brute(engine: sa.Engine, run: int, level: str, first: int, last: int) -> set[tuple[str, str]]:
    """Alerts open after the periods `first` … `last`, cell by cell, from the stored rows alone."""
    with engine.connect() as connection:
        facts = read_facts(connection, run)
        fitted = read_alpha(connection, run, level, facts.kinds, "month")
        found = connection.execute(
            sa.text(
                "select a.* from assessment a join unit u on u.id = a.unit_id and u.boundary_version_id = "
                ":version where run_id = :run and period = 'month' and kind = any(:kinds) "
                "and u.level = :level order by array_position(:kinds, kind), unit_id"
            ),
            {"run": run, "level": level, "kinds": list(facts.kinds), "version": facts.version_id},
        ).mappings().all()  # fmt: skip
    (reference,) = {area for area, _ in fitted}
    rule = kernel.AlertRule()
    held = np.zeros(len(found), np.uint8)
    for t in range(first, last + 1):
        cells = []
        for row in found:
            strength = [
                float(
                    risk.unit_alpha(
                        fitted[reference, row["kind"]][at], np.array([row["flags"][at]])
                    )[0]
                )
                for at in range(t + 1)
            ]
            o, e = row["observed"], row["expected"]
            steady = risk.posterior(strength[t], row["memory_s"][t], row["memory_x"][t])
            single = risk.single(strength[t], o[t], e[t])
            oranges = 0
            for at in range(max(0, t - 2), t + 1):
                alone = risk.single(strength[at], o[at], e[at])
                colour = int(risk.colours(alone.p, alone.theta))
                oranges += colour >= risk.ORANGE
            cells.append((steady.theta, steady.p, row["memory_s"][t], single.theta, single.p, o[t],
                          colour >= risk.ORANGE and oranges >= 2))  # fmt: skip
        theta, p, s, alone_theta, alone_p, o, lasts = (
            np.array(one) for one in zip(*cells, strict=True)
        )
        one = kernel.Evidence(
            theta, p, s, alone_theta, alone_p, o.astype(float), lasts.astype(bool)
        )
        held = kernel.transition(held, kernel.fires(one, rule, held), one, rule).holds
    return {(row["code"], row["kind"]) for row, bits in zip(found, held, strict=True) if bits}


def test_the_stored_run_gives_what_the_kernel_says(engine: sa.Engine, small: Small) -> None:
    """Every level, three months one after the other, against cells worked out one by one."""
    run = assess(engine, "small", "nine-kinds", zone="Asia/Shanghai", look=False)
    report = alerts.update(engine, run, since=date(2024, 9, 1))
    found = rows(engine)
    assert report.periods == 3
    assert report.opened == len(found)
    assert report.open == sum(one["state"] == "open" for one in found)
    levels = {one["level"] for one in found}
    assert "grid" in levels
    assert not levels & {"city", "county"}  # too few units
    for level in ("grid",):
        is_open = {(one["code"], one["kind"]) for one in found if one["state"] == "open"
                   and one["level"] == level}  # fmt: skip
        assert is_open == brute(engine, run, level, 19, 21)
    assert NO_EXPOSURE not in {one["code"] for one in found}
    # the same again: nothing happens, nothing is written
    before = rows(engine, "select * from alert_event order by id")
    again = alerts.update(engine, run)
    assert (again.opened, again.updated, again.closed) == (0, 0, 0)
    assert rows(engine, "select * from alert_event order by id") == before
    with pytest.raises(NotFound):
        alerts.update(engine, 999)
    with pytest.raises(Invalid):
        alerts.update(engine)


def test_a_new_run_updates_and_never_doubles(engine: sa.Engine, small: Small) -> None:
    first = assess(engine, "small", "nine-kinds", zone="Asia/Shanghai")
    found = rows(engine, "select * from alert where kind = 'theft' and level = 'grid' order by id")
    hot = max(found, key=lambda one: one["exceedance"])
    assert all(one["observed"] > 0 for one in rows(engine))  # nothing opens where nothing happened
    assert hot["run"] == first  # looked at by itself, when it was published
    with engine.begin() as connection:  # late events of the same month
        connection.execute(
            sa.text(
                "insert into event (source_id, reference, kind, occurred_at, located_by, boundary_version_id, "
                "unit_id) select min(id), 'late' || n, 'theft', '2024-11-20T04:00:00Z', 'code', :version, "
                ":unit from event_source, generate_series(1, 6) n group by n"
            ),
            {"version": small.version, "unit": small.id_of(hot["code"])},
        )
    second = assess(engine, "small", zone="Asia/Shanghai")
    (again,) = [one for one in rows(engine) if (one["code"], one["kind"]) == (hot["code"], "theft")]
    assert again["id"] == hot["id"]
    assert again["run"] == second
    assert again["observed"] == hot["observed"] + 6
    assert again["version"] == hot["version"] + 1
    assert f"{again['observed']}件" in again["reason_zh"]
    with pytest.raises(Conflict, match="older"):
        alerts.update(engine, first)
    twice = rows(
        engine,
        "select code, kind from alert where state = 'open' group by 1, 2 having count(*) > 1",
    )
    assert twice == []
    # steps are numbered without a gap, and each is in the audit once
    assert (
        rows(engine, "select alert_id from alert_event group by 1 having count(*) <> max(n)") == []
    )
    audit = rows(
        engine,
        "select question ->> 'alert' as alert, question ->> 'n' as n from audit_entry "
        "where action like 'alert.%' group by 1, 2 having count(*) > 1",
    )
    assert audit == []
    counts = rows(engine, "select (select count(*) from alert_event) as steps, "
                  "(select count(*) from audit_entry where action like 'alert.%') as audited")  # fmt: skip
    assert counts[0]["steps"] == counts[0]["audited"] > 0


def test_an_alert_people_closed_keeps_quiet_for_a_while(engine: sa.Engine, small: Small) -> None:
    run = assess(engine, "small", "nine-kinds", zone="Asia/Shanghai", look=False)

    def look(upto: int) -> None:
        """Look as if the run ended there."""
        with engine.begin() as connection:
            connection.execute(
                sa.text("update run set located = jsonb_set(located, '{months,1}', to_jsonb(:upto)) "
                        "where id = :run"),
                {"run": run, "upto": upto},
            )  # fmt: skip
        alerts.update(engine, run)

    def states() -> list[str]:
        return [
            one["state"] for one in rows(engine) if (one["code"], one["kind"]) == (HOT, "theft")
        ]

    july = 12 * 2024 + 6
    look(july)
    assert states() == ["open"]
    with engine.begin() as connection:
        connection.execute(sa.text("select alert_close(id, 'desk', 'r', 2) from alert where code = :hot "
                                   "and kind = 'theft'"), {"hot": HOT})  # fmt: skip
    for month in (july, july + 1, july + 2):
        look(month)
        assert states() == ["closed"]
    look(july + 3)
    assert states() == ["closed", "open"]


def test_an_alert_whose_exposure_is_lost_says_so(engine: sa.Engine, small: Small) -> None:
    del small
    run = assess(engine, "small", "nine-kinds", zone="Asia/Shanghai", look=False)
    alerts.update(engine, run, since=date(2024, 9, 1))
    lost = rows(engine, "select * from alert where state = 'open' and level = 'grid' order by id")[
        0
    ]
    with engine.begin() as connection:
        connection.execute(
            sa.text("delete from exposure where code = :code"), {"code": lost["code"]}
        )
    alerts.update(engine, assess(engine, "small", "nine-kinds", zone="Asia/Shanghai", look=False))
    (one,) = rows(engine, f"select * from alert where id = {int(lost['id'])}")
    assert (one["state"], one["closed_by"]) == ("closed", "rule")
    assert one["closed_reason"].endswith("没有数据：底数缺失")


def test_units_that_ended_close_their_alerts(home: House) -> None:
    with home.engine.begin() as connection:
        gone = connection.execute(
            sa.text(
                "select id from alert where state = 'open' and kind = 'theft' order by id limit 1"
            )
        ).scalar_one()
        connection.execute(sa.text("alter table alert disable trigger alert_guarded"))
        connection.execute(sa.text("update alert set code = '330109', grids = '{}', why_not = 'no_grids', "
                                   "version = version + 1 where id = :id"), {"id": gone})  # fmt: skip
        connection.execute(sa.text("alter table alert enable trigger alert_guarded"))
    alerts.update(home.engine, pack="small")
    (one,) = rows(home.engine, f"select * from alert where id = {int(gone)}")
    assert (one["state"], one["closed_by"]) == ("closed", "unit_ended")


def test_the_database_lets_nothing_go_back(home: House) -> None:
    with home.engine.connect() as connection:
        for statement in (
            "update alert set state = 'open', version = version + 1 where state = 'closed'",
            "update alert set observed = 1",
            "update alert set code = '3301', version = version + 1",
            "update alert_event set n = n + 1",
            "insert into alert select * from alert where state = 'open' limit 1",
        ):
            place = connection.begin()
            with pytest.raises(sa.exc.DBAPIError):
                connection.execute(sa.text(statement))
            place.rollback()


def test_what_waits_competes_again_the_next_week(home: House) -> None:
    with home.engine.begin() as connection:  # a week goes by, and all but one grid had its share
        connection.execute(sa.text("alter table alert disable trigger alert_guarded"))
        connection.execute(
            sa.text("update alert set week = week - 7, overflow_rank = case when state = 'open' then 9 end, "
                    "version = version + 1")
        )  # fmt: skip
        connection.execute(sa.text("alter table alert enable trigger alert_guarded"))
    report = alerts.update(home.engine, pack="small")
    found = rows(home.engine, "select * from alert where state = 'open' and level = 'grid'")
    assert report.updated
    by_grid: dict[str, list[dict[str, Any]]] = {}
    for one in rows(home.engine, "select * from alert where state = 'open' and run = opened_run"):
        by_grid.setdefault(one["budget_code"], []).append(one)
    assert max(map(len, by_grid.values())) > 3
    for members in by_grid.values():
        members.sort(key=lambda one: -one["priority"])
        ranks = [one["overflow_rank"] for one in members]
        assert ranks == [None] * len(ranks[:3]) + list(range(1, len(ranks) - 2))
    assert len({one["week"] for one in found}) == 1


# escalation, rules, words ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("when", "history", "days", "expected"),
    [
        (When(colour="red"), [5], 1, True),
        (When(colour="orange"), [2, 5], 1, True),
        (When(colour="red"), [5, 4], 1, False),
        (When(persistent=Persistent(colour="orange", of=2, within=3)), [4, 2, 5], 1, True),
        (When(persistent=Persistent(colour="orange", of=2, within=3)), [4, 4, 2, 2], 1, False),
        (When(open_days=30), [2], 30, True),
        (When(colour="red", open_days=30), [5], 29, False),
        (When(any_of=[When(colour="red"), When(open_days=9)]), [2], 10, True),
        (When(overdue_days=1), [5], 99, False),
    ],
)
def test_conditions(when: When, history: list[int], days: int, expected: bool) -> None:
    assert holds(when, np.array(history, np.uint8), days) is expected


def test_rules_come_from_the_scene() -> None:
    usual = rules_of({"kinds": {"theft": {"zh": "偷盗", "en": "Theft", "harm": 2}}})
    assert usual.kernel() == kernel.AlertRule()
    assert usual.watched
    assert usual.template("theft").check
    own = rules_of(
        {
            "kinds": {},
            "alerts": {"fdr": 0.01, "persistent": None, "min_count": 3},
            "tasks": {
                "theft": {
                    "check": [{"zh": "门", "en": "Door"}],
                    "how": [{"zh": "看", "en": "Look"}],
                }
            },
            "escalation": [{"step": "remind", "when": {"colour": "red"}}],
        }
    )
    assert (own.kernel().fdr, own.kernel().lasting_of, own.kernel().min_count) == (0.01, 0, 3)
    assert own.template("theft").check[0].zh == "门"
    # the sheet for every other kind
    line = {"zh": "人", "en": "All"}
    both = rules_of({"kinds": {}, "tasks": {"overall": {"check": [line], "how": [line]}}})
    assert both.template("theft").check[0].zh == "人"
    assert len(own.escalation) == 1
    assert not rules_of({"kinds": {}, "alerts": None}).watched


@pytest.mark.parametrize(
    ("steps", "hours"),
    [
        (None, {"remind": 0, "supervise": 24, "interview": 72}),
        # what the scene says of a step; the others as usual, but never before an earlier one
        ({"supervise": {"any_of": [{"colour": "red"}, {"overdue_days": 3}]}},
         {"remind": 0, "supervise": 72, "interview": 72}),
        ({"remind": {"overdue_days": 1}, "interview": {"overdue_days": 10}},
         {"remind": 24, "supervise": 24, "interview": 240}),
        # not by time alone: nothing the clock could know
        ({"interview": {"colour": "red", "overdue_days": 9}},
         {"remind": 0, "supervise": 24, "interview": 72}),
    ],
)  # fmt: skip
def test_late_tasks_are_raised_when_the_scene_says(
    steps: dict[str, Any] | None, hours: dict[str, int]
) -> None:
    given = [{"step": step, "when": when} for step, when in (steps or {}).items()]
    body = {"kinds": {}} | ({"escalation": given} if given else {})
    assert rules_of(body).overdue_hours() == hours


def test_reasons_are_made_of_the_numbers() -> None:
    one = Numbers(25, 7.67, 2.6, 1.9, 3.5, 0.99999, 25.8, 8.1, True, 5, False)
    words = reason("month", date(2025, 12, 1), one, Course(1, 1, 2))
    assert words.zh == (
        "2025年12月发生25件，预期7.7件，连同此前记忆的0.80件（预期0.43件）；"
        "相对风险2.6（95%区间1.9–3.5），高于预期的概率>99.9%；已持续3个月。"
    )
    assert words.en == (
        "December 2025: 25 observed, 7.7 expected, with 0.80 remembered from before (0.43 expected); "
        "relative risk 2.6 (95% interval 1.9 to 3.5), >99.9% likely above expectation; in its 3rd month."
    )
    assert (
        closing("month", date(2025, 12, 1), one)
        == "2025年12月发生25件，预期7.7件，高于预期的概率>99.9%"
    )
    nothing = replace(one, observed=0, expected=math.nan, p=math.nan)
    assert closing("month", date(2025, 12, 1), nothing) == "2025年12月没有数据：底数缺失"
    fresh = reason("month", date(2025, 12, 1), one, Course(2, 2, 0))
    assert "新出现" in fresh.zh
    assert "new: nothing" in fresh.en
    odd = Numbers(25, 7.67, 2.6, 1.9, 3.5, 0.9, 25.0, 7.67, True, 5, True)
    assert "先核对数据" in reason("quarter", date(2025, 10, 1), odd, Course(0, 1, 1)).zh
    assert "orange has lasted" in reason("year", date(2025, 1, 1), odd, Course(4, 4, 0)).en
