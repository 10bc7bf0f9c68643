"""Who is at the border now: sides and desks, never a person; seen by both sides, gone when not heard."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.api.border_models import CheckDraft
from app.database import claim
from app.security.identity import Identity, Role
from app.services import border_measures, checks, evaluation_clock, live

from .border_house import DEEP, MINE, THEIRS, House, house
from .conftest import until
from .test_evaluation import CASES, enter, zone

OFFICER, DISPATCHER, VIEWER = "border_officer", "dispatcher", "viewer"
PATH = "/api/packs/small/border/presence"
ZONE = "Asia/Shanghai"


@pytest.fixture(scope="module")
def home(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    for one in house(cluster, template, tmp_path_factory.mktemp("presence")):
        with one.engine.begin() as connection:
            zone(connection, [MINE, THEIRS])
            for code, name in ((MINE, "县值班台"), (DEEP, "镇值班台")):
                connection.execute(
                    sa.text(
                        "insert into duty_desk (pack, code, side, name) "
                        "values ('small', :code, :side, :name)"
                    ),
                    {"code": code, "side": code[:6], "name": name},
                )
        yield one


@pytest.fixture(scope="module")
def client(home: House) -> Iterator[TestClient]:
    with home.app() as one:
        yield one


@pytest.fixture(autouse=True)
def nobody(home: House) -> None:
    """Each test begins with nobody there and nothing told."""
    with home.engine.begin() as connection:
        connection.execute(sa.text("delete from presence"))
        connection.execute(sa.text("delete from live_event"))


def be(
    client: TestClient, home: House, prefix: str | None, role: str = OFFICER, **body: Any
) -> Any:
    return client.post(PATH, json=body, headers=home.as_(role, prefix))


def seen(client: TestClient, home: House, prefix: str | None, role: str = OFFICER) -> list[Any]:
    answer = client.get(PATH, headers=home.as_(role, prefix))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["good_for_s"] == 90
    return [(one["side"], one["desk_name"]) for one in body["present"]]


def told(client: TestClient, home: House, prefix: str | None) -> list[str]:
    answer = client.get("/api/live?last=0&topics=presence", headers=home.as_(OFFICER, prefix))
    return [line for line in answer.text.splitlines() if line.startswith("data:")]


def test_a_desk_is_seen_by_both_sides(client: TestClient, home: House) -> None:
    assert be(client, home, MINE).status_code == 200
    assert seen(client, home, MINE) == [(MINE, "县值班台")]
    # the desk's unit is named in the zone: the other side sees the desk
    assert seen(client, home, THEIRS) == [(MINE, "县值班台")]
    # a desk of a town inside: its own people, and the side's; the neighbour learns the side alone
    assert be(client, home, DEEP, DISPATCHER).status_code == 200
    assert set(seen(client, home, MINE)) == {(MINE, "县值班台"), (MINE, "镇值班台")}
    assert set(seen(client, home, THEIRS)) == {(MINE, "县值班台"), (MINE, None)}
    # an officer whose side has no desk of that unit: the side
    be(client, home, THEIRS)
    assert (THEIRS, None) in seen(client, home, MINE)
    # who speaks for everything is at no desk
    before = seen(client, home, None)
    assert be(client, home, None).status_code == 200
    assert seen(client, home, None) == before
    assert be(client, home, None, side=MINE).status_code == 200
    assert (MINE, None) in seen(client, home, MINE)


def test_nobody_says_it_for_another(client: TestClient, home: House) -> None:
    with home.engine.connect() as connection:
        desk = connection.execute(
            sa.text("select id from duty_desk where code = :code"), {"code": MINE}
        ).scalar_one()
    for body in ({"side": THEIRS}, {"desk": 10**6}):
        assert be(client, home, MINE, **body).status_code == 403
    assert be(client, home, THEIRS, desk=desk).status_code == 403
    assert be(client, home, DEEP, DISPATCHER, desk=desk).status_code == 403
    assert be(client, home, MINE, VIEWER).status_code == 403
    assert client.post(PATH.replace("small", "none"), json={}, headers=home.as_(OFFICER, MINE)).status_code == 404  # fmt: skip
    assert seen(client, home, None) == []
    # the database itself writes for one's own side only, and never what is not a side or desk
    with home.engine.begin() as connection:
        columns = connection.execute(
            sa.text(
                "select column_name from information_schema.columns where table_name = 'presence'"
            )
        ).scalars()
        assert sorted(columns) == ["desk_id", "pack", "seen_at", "side", "since"]


def test_coming_and_going_is_told_once(client: TestClient, home: House) -> None:
    for _ in range(3):
        be(client, home, MINE)
    for prefix in (MINE, THEIRS):
        (line,) = told(client, home, prefix)
        assert '"state":"there"' in line
        assert '"account"' not in line
        assert '"desk"' not in line  # the neighbour may not see every desk
    assert told(client, home, "330101001") == []
    with home.engine.begin() as connection:  # a minute and a half goes by
        connection.execute(
            sa.text("update presence set seen_at = seen_at - make_interval(secs => 91)")
        )
    assert seen(client, home, THEIRS) == []
    live.end_in_time(home.engine)  # the server's own clock may be first
    until(lambda: len(told(client, home, THEIRS)) == 2)
    assert '"state":"gone"' in told(client, home, THEIRS)[1]
    with home.engine.connect() as connection:
        assert connection.execute(sa.text("select count(*) from presence")).scalar_one() == 0


def test_when_a_desk_came_and_went_is_not_kept(client: TestClient, home: House) -> None:
    with home.engine.begin() as connection:  # of something else, as old
        live.tell(connection, "zone", [MINE], {"zone": 1})
    be(client, home, MINE)
    assert len(told(client, home, MINE)) == 1
    with home.engine.begin() as connection:
        connection.execute(sa.text("update live_event set at = at - make_interval(secs => 91)"))
    live.end_in_time(home.engine)  # the server's own clock may be first
    assert told(client, home, MINE) == []
    with home.engine.connect() as connection:
        topics = connection.execute(sa.text("select topic from live_event")).scalars()
        assert list(topics) == ["zone"]


# what the loop lacked -----------------------------------------------------------------------------
def test_two_identical_checks_at_one_moment_are_one(home: House) -> None:
    identity = Identity(
        account=home.ids[OFFICER, MINE], name="mine", role=Role.border_officer, prefixes=(MINE,),
        zones=(), scopes=None, how="token",
    )  # fmt: skip
    draft = CheckDraft(
        reference="同-1", reason="试", ends_at=datetime.now(UTC) + timedelta(hours=1)
    )
    opened: list[int] = []

    def open_one() -> None:
        with home.engine.begin() as connection:
            claim(connection, (MINE,), role=OFFICER, account=identity.account)
            opened.append(checks.open_check(connection, identity, 1, draft).id)

    other = threading.Thread(target=open_one)
    with home.engine.begin() as connection:
        claim(connection, (MINE,), role=OFFICER, account=identity.account)
        opened.append(checks.open_check(connection, identity, 1, draft).id)
        other.start()
        until(lambda: not other.is_alive() or _waiting(home) > 0)
    other.join()
    assert len(opened) == 2
    assert len(set(opened)) == 1


def _waiting(home: House) -> int:
    with home.engine.connect() as connection:
        found: int = connection.execute(
            sa.text(
                "select count(*) from pg_locks where locktype = 'advisory' and not granted and "
                "database = (select oid from pg_database where datname = current_database())"
            )
        ).scalar_one()
    return found


def test_devices_are_in_the_audit(client: TestClient, home: House) -> None:
    mine = home.as_(OFFICER, MINE)
    one = {"reference": "a-1", "kind": "smoke", "lon": 119.5, "lat": 29.5, "name": "林场"}

    def enter_one(**more: Any) -> None:
        body = {"pack": "small", "devices": [one | more]}
        assert client.post("/api/devices", json=body, headers=mine).status_code == 200

    enter_one()
    enter_one()  # the same again is no change
    enter_one(name="北林场")
    number = client.get("/api/devices?pack=small", headers=mine).json()["devices"][0]["id"]
    readings = client.get(f"/api/devices/{number}/readings", headers=mine)
    assert readings.status_code == 200
    assert client.delete(f"/api/devices/{number}", headers=mine).status_code == 204
    enter_one(name="北林场")
    with home.engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "select action, account_id, row_count from audit_entry "
                "where question ->> 'device' = :id order by id"
            ),
            {"id": str(number)},
        ).all()
    assert [row.action for row in rows] == [
        "device.entered", "device.changed", "see_records", "device.retired", "device.entered",
    ]  # fmt: skip
    assert {row.account_id for row in rows} == {home.ids[OFFICER, MINE]}
    assert rows[2].row_count == 0


def test_a_map_that_cannot_be_evaluated_keeps_no_other_from_it(home: House) -> None:
    def runs() -> int:
        with home.engine.connect() as connection:
            found: int = connection.execute(
                sa.text("select count(*) from indicator_run where scene = :scene"),
                {"scene": border_measures.SCENE},
            ).scalar_one()
        return found

    def due() -> list[str]:
        return evaluation_clock.evaluate_due(
            home.engine, zone=ZONE, now=datetime.fromisoformat("2024-07-01T12:00:00+08:00")
        )

    before = runs()
    with home.engine.begin() as connection:
        for case in CASES:
            enter(connection, 1, [MINE, THEIRS], *case)
        # maps without boundaries, one on either side of the good one
        for pack in ("absent", "zone-only"):
            zone(connection, [MINE, THEIRS])
            number = connection.execute(sa.text("select max(id) from zone")).scalar_one()
            connection.execute(
                sa.text("update zone set pack = :pack where id = :id"),
                {"pack": pack, "id": number},
            )
            enter(connection, number, [MINE, THEIRS], *CASES[0])
    assert due() == ["small"]
    assert due() == []  # it is not made again because of the others
    assert runs() == before + 1
    with home.engine.begin() as connection:
        connection.execute(sa.text("delete from check_case"))
        connection.execute(sa.text("delete from zone where pack <> 'small'"))
        connection.execute(sa.text("delete from evaluation_clock"))
        connection.execute(
            sa.text("delete from indicator_run where scene = :scene"),
            {"scene": border_measures.SCENE},
        )


def test_months_are_evaluated_by_themselves(home: House) -> None:
    """When a month is over, and again when the last of its checks had to be."""

    def due(day: str, hour: int = 12) -> list[str]:
        moment = datetime.fromisoformat(f"{day}T{hour:02}:00:00+08:00")
        return evaluation_clock.evaluate_due(home.engine, zone=ZONE, now=moment)

    def looks() -> list[tuple[str, int]]:
        with home.engine.connect() as connection:
            rows = connection.execute(
                sa.text("select month::text, looks from evaluation_clock order by month")
            )
            return [(row.month, row.looks) for row in rows]

    with home.engine.begin() as connection:
        connection.execute(sa.text("delete from check_case"))
    assert due("2024-06-01") == []
    with home.engine.begin() as connection:
        for case in CASES:
            enter(connection, 1, [MINE, THEIRS], *case)
    assert due("2024-05-20") == []  # the month is not over
    assert due("2024-07-01") == ["small"]
    assert due("2024-07-03") == []
    assert looks() == [("2024-06-01", 1)]
    assert due("2024-07-05") == ["small"]
    assert due("2024-07-31") == []
    assert due("2024-08-20") == ["small"]  # nobody looked for a while: once is enough
    assert looks() == [("2024-06-01", 2), ("2024-07-01", 2)]
    with home.engine.connect() as connection:
        runs, joint = connection.execute(
            sa.text(
                "select count(distinct r.id), max(v.value[2]) from indicator_run r "
                "join indicator_result v on v.run_id = r.id and v.indicator = 'joint_share' "
                "and v.period = 'month' and v.code = :mine where r.scene = :scene"
            ),
            {"mine": MINE, "scene": border_measures.SCENE},
        ).one()
    assert runs == 3
    assert joint == pytest.approx(100 * 10 / 12)
