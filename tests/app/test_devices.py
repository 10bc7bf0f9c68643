"""Devices: entered, heard, looked at by rules, seen by whom they concern. A real database, real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from .border_house import LON, MINE, THEIRS, House, house
from .conftest import until

OFFICER = ("border_officer", MINE)
#: A place of mine inside the zone, one outside of it, and one of theirs inside.
INSIDE, OUTSIDE, ACROSS = (LON - 0.01, 29.5), (119.2, 29.5), (LON + 0.01, 29.5)


@pytest.fixture
def home(cluster: Any, template: str, tmp_path: Any) -> Iterator[House]:
    yield from house(cluster, template, tmp_path)


def now() -> datetime:
    return datetime.now(UTC)


def at(seconds: float = 0) -> str:
    return (now() + timedelta(seconds=seconds)).isoformat()


def zone_of(engine: sa.Engine) -> None:
    """A zone in force on both sides of the line."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "insert into zone (pack, name, side, sides) values "
            f"('small', 'joint', '{MINE}', '{{{MINE},{THEIRS}}}')"
        )
        connection.exec_driver_sql(
            "insert into zone_version (zone_id, version, state, side, sides, units, valid_from, geom) "
            f"select id, 1, 'live', '{MINE}', '{{{MINE},{THEIRS}}}', '{{{MINE},{THEIRS}}}', "
            "now() - interval '1 day', st_multi(st_makeenvelope(119.9, 29.4, 120.1, 29.6, 4326)) from zone"
        )


def enter(
    client: TestClient, home: House, who: tuple[str, str | None], *rows: dict[str, Any]
) -> Any:
    answer = client.post(
        "/api/devices", headers=home.as_(*who), json={"pack": "small", "devices": list(rows)}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def device(reference: str, place: tuple[float, float], **more: Any) -> dict[str, Any]:
    return {"reference": reference, "kind": "smoke", "lon": place[0], "lat": place[1], **more}


def send(client: TestClient, home: House, who: tuple[str, str | None], *rows: Any) -> Any:
    answer = client.post(
        "/api/devices/readings",
        headers=home.as_(*who),
        json={"pack": "small", "readings": list(rows)},
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def rule(**more: Any) -> dict[str, Any]:
    return {
        "pack": "small", "within": MINE, "kind": "smoke", "words": {"zh": "烟雾", "en": "Smoke"},
        "sense": "above", "level": 50, "event_kind": "fire", **more,
    }  # fmt: skip


def make_rule(client: TestClient, home: House, **more: Any) -> int:
    answer = client.post("/api/devices/rules", headers=home.as_(*OFFICER), json=rule(**more))
    assert answer.status_code == 201, answer.text
    found: int = answer.json()["id"]
    return found


def listed(client: TestClient, home: House, who: tuple[str, str | None]) -> list[dict[str, Any]]:
    answer = client.get("/api/devices?pack=small", headers=home.as_(*who))
    assert answer.status_code == 200, answer.text
    return answer.json()["devices"]


def test_an_alarm_is_raised_told_and_an_event(home: House) -> None:
    zone_of(home.engine)
    with home.app() as client:
        report = enter(
            client, home, OFFICER, device("s-1", INSIDE), device("s-2", OUTSIDE),
            device("s-3", ACROSS), {"reference": "s-4", "kind": "smoke", "code": "330101001001001"},
        )  # fmt: skip
        assert report["new"] == 3
        assert [(one["row"], one["reason"]) for one in report["refused"]] == [(2, "not_yours")]
        make_rule(client, home)
        first = at()
        sent = send(
            client, home, OFFICER, {"device": "s-1", "at": first, "value": 80},
            {"device": "s-2", "at": first, "value": 10}, {"device": "s-9", "at": first, "value": 1},
            {"device": "s-1", "at": "now", "value": 1}, {"device": "s-1", "at": first, "owner": "x"},
        )  # fmt: skip
        assert (sent["stored"], sent["known"], sent["alarms"]) == (2, 0, 1)
        assert [(one["row"], one["reason"]) for one in sent["refused"]] == [
            (2, "unknown_device"), (3, "bad_time"), (4, "unknown_field"),
        ]  # fmt: skip
        again = send(client, home, OFFICER, {"device": "s-1", "at": first, "value": 80})
        assert (again["stored"], again["known"], again["alarms"]) == (0, 1, 0)
        mine = {one["reference"]: one for one in listed(client, home, OFFICER)}
        assert [mine[name]["state"] for name in ("s-1", "s-2", "s-4")] == [
            "online",
            "online",
            "offline",
        ]
        assert mine["s-1"]["alarming"]
        assert not mine["s-2"]["alarming"]
        theirs = listed(client, home, ("border_officer", THEIRS))
        assert [(one["reference"], one["code"], one["alarming"]) for one in theirs] == [
            ("s-1", None, True)
        ]
        for who in (OFFICER, ("border_officer", THEIRS)):
            told = client.get("/api/live?last=0&topics=device,alarm", headers=home.as_(*who)).text
            assert told.count("event: alarm") == 1
            assert told.count("event: device") == (2 if who == OFFICER else 1)
        number = mine["s-1"]["id"]
        path = f"/api/devices/{number}/readings"
        assert [
            one["value"] for one in client.get(path, headers=home.as_(*OFFICER)).json()["readings"]
        ] == [80]
        assert client.get(path, headers=home.as_("border_officer", THEIRS)).status_code == 404

        def stored() -> int:
            with home.engine.connect() as connection:
                return connection.scalar(
                    sa.text(
                        "select count(*) from event e join event_source s on s.id = e.source_id "
                        "where s.name = 'devices' and e.kind = 'fire' and e.unit_id is not null"
                    )
                )

        until(lambda: stored() == 1)
        alarm = client.get(
            "/api/alarms?state=raised", headers=home.as_("border_officer", THEIRS)
        ).json()["alarms"][0]
        assert (alarm["device"], alarm["code"], alarm["words"]["en"]) == (number, None, "Smoke")
        answer = client.post(
            f"/api/alarms/{alarm['id']}/clear",
            headers=home.as_("border_officer", THEIRS),
            json={"reason": "seen"},
        )
        assert answer.status_code == 409
        answer = client.post(
            f"/api/alarms/{alarm['id']}/clear",
            headers=home.as_("dispatcher", MINE),
            json={"reason": "seen"},
        )
        assert answer.json()["state"] == "cleared"
        where = client.get(
            f"/api/packs/small/border/where?lon={LON}&lat=29.5",
            headers=home.as_("border_officer", THEIRS),
        ).json()
        assert [one["id"] for one in where["devices"]] == [number]
