"""Lines, where a place is, zones and checks of two sides, over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyproj
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.services import live

from .border_house import DEEP, MINE, THEIRS, House, house
from .conftest import until

OFFICER = "border_officer"
PACK = "/api/packs/small/border"


@pytest.fixture(scope="module")
def home(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    yield from house(cluster, template, tmp_path_factory.mktemp("border"))


@pytest.fixture(scope="module")
def client(home: House) -> Iterator[TestClient]:
    with home.app() as one:
        yield one


def soon(hours: float = 2) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


def make(client: TestClient, home: House, **more: Any) -> dict[str, Any]:
    """A zone of both counties, proposed by mine."""
    body = {"pack": "small", "name": "甲乙联控区", "units": [MINE, THEIRS], "metres": 5000} | more
    answer = client.post("/api/zones", json=body, headers=home.as_(OFFICER, MINE))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def decide(client: TestClient, home: House, zone: int, prefix: str | None, decision: str,
           version: int = 1, **more: Any) -> Any:  # fmt: skip
    return client.post(
        f"/api/zones/{zone}/versions/{version}/decisions",
        json={"decision": decision} | more, headers=home.as_(OFFICER, prefix),
    )  # fmt: skip


def live_zone(client: TestClient, home: House, **more: Any) -> int:
    zone: int = make(client, home, **more)["id"]
    for prefix in (MINE, THEIRS):
        assert decide(client, home, zone, prefix, "approve").status_code == 200
    return zone


def test_the_line_is_the_shared_edge(client: TestClient, home: House) -> None:
    answer = client.get(PACK + "/lines", headers=home.as_(OFFICER, MINE)).json()
    (line,) = answer["lines"]
    assert (line["side_a"]["code"], line["side_b"]["code"]) == (MINE, THEIRS)
    assert answer["own"] == [MINE]
    for side in (line["side_a"], line["side_b"], *answer["sides"]):
        assert side["name_en"] == f"County {side['code'][-3:]}"
    metres = pyproj.Geod(ellps="WGS84").inv(120, 29, 120, 30)[2]
    assert line["length_m"] == pytest.approx(metres, abs=0.01)
    # inside a county one does not speak for a side
    deep = client.get(PACK + "/lines", headers=home.as_(OFFICER, DEEP)).json()
    assert (deep["lines"], deep["sides"]) == ([], [])


def test_where_am_i(client: TestClient, home: House) -> None:
    zone = live_zone(client, home, name="何处联控区", metres=3000)
    for prefix, lon in ((MINE, 119.99), (THEIRS, 120.01)):
        made = client.post(
            PACK + "/desks", headers=home.as_(OFFICER, prefix),
            json={"code": prefix, "name": f"{prefix}值班", "office_line": "0570-601 0110"},
        )  # fmt: skip
        assert made.status_code == 201, made.text
        made = client.post(
            PACK + "/checkpoints", headers=home.as_(OFFICER, prefix),
            json={"code": f"K-{prefix}", "name": "卡点", "lon": lon, "lat": 29.5},
        )  # fmt: skip
        assert made.status_code == 201, made.text
    far = client.post(
        PACK + "/checkpoints", headers=home.as_(OFFICER, THEIRS),
        json={"code": "far", "name": "远卡点", "lon": 120.9, "lat": 29.5},
    )  # fmt: skip
    assert far.status_code == 201
    place = "?lon=119.98&lat=29.5"
    found = client.get(PACK + "/where" + place, headers=home.as_(OFFICER, MINE)).json()
    assert found["side"]["code"] == MINE
    assert found["other_side"]["code"] == THEIRS
    metres = pyproj.Geod(ellps="WGS84").inv(119.98, 29.5, 120, 29.5)[2]
    assert found["metres_to_line"] == pytest.approx(metres, abs=1)
    assert found["azimuth"] == pytest.approx(90, abs=0.1)
    assert [one["level"] for one in found["units"]][:2] == ["city", "county"]
    assert len(found["units"]) == 5
    assert [one["name_en"] for one in found["units"]][1] == f"County {MINE[-3:]}"
    assert found["other_side"]["name_en"] == f"County {THEIRS[-3:]}"
    assert zone in [one["id"] for one in found["zones"]]
    assert {one["side"] for one in found["desks"]} == {MINE, THEIRS}
    # the far one of the other side is in no zone
    assert [one["code"] for one in found["checkpoints"]] == [f"K-{MINE}", f"K-{THEIRS}"]
    assert found["checkpoints"][0]["metres"] == pytest.approx(969.3, abs=1)
    # across the line: the side and no more, the zone's members being the two sides
    over = client.get(PACK + "/where?lon=120.2&lat=29.5", headers=home.as_(OFFICER, MINE)).json()
    assert (over["side"]["code"], over["other_side"]["code"]) == (THEIRS, MINE)
    assert [one["code"] for one in over["units"]] == ["3301", THEIRS]
    assert over["zones"] == []
    # by a code of one's own; not of the neighbour's
    assert (
        client.get(PACK + f"/where?code={DEEP}", headers=home.as_(OFFICER, MINE)).json()["side"][
            "code"
        ]
        == MINE
    )
    answer = client.get(PACK + "/where?code=330102001", headers=home.as_(OFFICER, MINE))
    assert answer.status_code == 404
    outside = client.get(PACK + "/where?lon=10&lat=10", headers=home.as_(OFFICER, MINE)).json()
    assert (outside["side"], outside["units"]) == (None, [])
    for wrong in ("", "?lon=1", "?lon=1&lat=2&code=3301", "?lon=999&lat=0"):
        answer = client.get(PACK + "/where" + wrong, headers=home.as_(OFFICER, MINE))
        assert answer.status_code == 422, wrong


def test_a_zone_is_live_when_both_sides_agree(client: TestClient, home: House) -> None:
    draft = make(client, home, name="草案", state="draft")
    zone = draft["id"]
    assert draft["version"]["state"] == "draft"
    theirs = home.as_(OFFICER, THEIRS)
    assert client.get(f"/api/zones/{zone}", headers=theirs).status_code == 404
    assert decide(client, home, zone, MINE, "approve").status_code == 409
    assert decide(client, home, zone, THEIRS, "approve").status_code == 404
    assert decide(client, home, zone, MINE, "propose").status_code == 200
    assert client.get(f"/api/zones/{zone}", headers=theirs).status_code == 200
    one = decide(client, home, zone, MINE, "approve").json()
    assert one["version"]["state"] == "proposed"
    assert not one["version"]["in_force"]
    assert decide(client, home, zone, MINE, "approve").status_code == 409
    assert decide(client, home, zone, DEEP, "approve").status_code == 404
    assert decide(client, home, zone, None, "approve").status_code == 422  # for which side?
    both = decide(client, home, zone, None, "approve", side=THEIRS).json()
    assert both["version"]["state"] == "live"
    assert both["version"]["in_force"]
    assert {one["side"] for one in both["version"]["approvals"]} == {MINE, THEIRS}
    # the next version takes its place, a rejected one does not
    for n, end in ((2, "reject"), (3, "approve")):
        body = {"units": [MINE, THEIRS], "metres": 1000 * n}
        added = client.post(f"/api/zones/{zone}/versions", json=body, headers=theirs)
        assert added.status_code == 201, added.text
        assert added.json()["version"]["version"] == 1  # in force meanwhile
        assert decide(client, home, zone, THEIRS, "approve", n).status_code == 200
        if end == "reject":
            assert decide(client, home, zone, MINE, end, n).status_code == 422  # no reason
        found = decide(client, home, zone, MINE, end, n, reason="太宽")
        assert found.status_code == 200, found.text
    states = {one["version"]: one["state"] for one in found.json()["versions"]}
    assert states == {1: "expired", 2: "rejected", 3: "live"}
    with home.engine.connect() as connection:
        actions = connection.execute(
            sa.text("select action from audit_entry where question ->> 'zone' = :zone order by id"),
            {"zone": str(zone)},
        ).scalars().all()  # fmt: skip
    assert actions.count("zone.approve") == 5
    assert {"zone.made", "zone.proposed", "zone.live", "zone.reject", "zone.rejected",
            "zone.expired"} <= set(actions)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"units": [MINE, DEEP]}, "one_side"),
        ({"units": [MINE, "999999"]}, "unknown_unit"),
        ({"metres": None}, "one_way"),
        ({"area": {"type": "Polygon", "coordinates": []}}, "one_way"),
        ({"metres": None, "area": {"type": "Point", "coordinates": [1, 2]}}, "bad_geometry"),
        ({"units": [DEEP, "330102001003"]}, "no_line"),
        ({"name": "司机电话 13800138000"}, "person"),
        ({"valid_to": "2020-01-01T00:00:00Z"}, "end_before_start"),
        (
            {"metres": None, "area": {"type": "Polygon", "coordinates": [
                [[119.1, 29.1], [119.2, 29.1], [119.2, 29.2], [119.1, 29.1]]]}},
            "beside",
        ),
    ],
)  # fmt: skip
def test_zones_that_make_no_sense(
    client: TestClient, home: House, change: dict[str, Any], reason: str
) -> None:
    body = {"pack": "small", "name": "区", "units": [MINE, THEIRS], "metres": 500} | change
    answer = client.post("/api/zones", json=body, headers=home.as_(OFFICER, MINE))
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]["reason"] == reason


def test_what_is_sent_once_more_is_taken_once(client: TestClient, home: House) -> None:
    zone = live_zone(client, home, name="重发联控区")
    mine = home.as_(OFFICER, MINE)
    body = {"reference": "重-1", "reason": "试", "ends_at": soon()}
    first, again = (
        client.post(f"/api/zones/{zone}/checks", json=body, headers=mine) for _ in range(2)
    )
    assert first.status_code == again.status_code == 201
    number = first.json()["id"]
    assert again.json()["id"] == number
    other = client.post(f"/api/zones/{zone}/checks", json=body | {"ends_at": soon(3)}, headers=mine)
    assert other.json()["id"] != number
    for step in ({"answer": "accept"}, {"answer": "hit", "place": "K3"}):
        said = step | {"at": datetime.now(UTC).isoformat()}
        for _ in range(2):
            answer = client.post(f"/api/checks/{number}/answers", json=said, headers=mine)
            assert answer.status_code == 200, answer.text
    found = client.get(f"/api/checks/{number}", headers=mine).json()
    assert [one["step"] for one in found["events"]] == ["open", "accept", "hit"]
    assert len(found["reports"]) == 1


def test_a_check_of_both_sides(client: TestClient, home: House) -> None:
    zone = live_zone(client, home, name="核查联控区")
    mine, theirs = home.as_(OFFICER, MINE), home.as_("dispatcher", THEIRS)
    body = {
        "reference": "开公侦〔2026〕0417",
        "reason": "木材盗运，疑沿县道入皖",
        "ends_at": soon(),
    }
    made = client.post(f"/api/zones/{zone}/checks", json=body, headers=mine)
    assert made.status_code == 201, made.text
    number = made.json()["id"]
    path = f"/api/checks/{number}/answers"

    def say(headers: dict[str, str], answer: str, **more: Any) -> Any:
        return client.post(path, json={"answer": answer} | more, headers=headers)

    listed = client.get("/api/checks?running=true", headers=theirs).json()["checks"]
    assert [one["reference"] for one in listed if one["id"] == number] == [body["reference"]]
    assert say(theirs, "hit").status_code == 409  # not accepted yet
    assert say(theirs, "close").status_code == 409  # not its own
    assert say(mine, "decline").status_code == 422  # no reason
    assert say(mine, "accept").json()["state"] == "running"
    assert say(mine, "decline", reason="不便").status_code == 409  # answered already
    assert say(theirs, "accept").json()["state"] == "running"
    point = client.post(
        PACK + "/checkpoints", headers=home.as_(OFFICER, THEIRS),
        json={"code": "check-1", "name": "龙田卡点", "lon": 120.01, "lat": 29.4},
    )  # fmt: skip
    assert point.status_code == 201
    assert say(mine, "no_hit", checkpoint="check-1").status_code == 404  # the other side's
    found = say(theirs, "hit", checkpoint="check-1", place="县道 216 K3")
    assert found.status_code == 200, found.text
    assert found.json()["reports"][0]["checkpoint"] == "龙田卡点"
    assert say(theirs, "hit", place="车牌浙H12345").status_code == 422
    assert say(home.as_(OFFICER, DEEP), "hit").status_code == 404  # belongs to no such zone
    closed = say(mine, "close").json()
    assert closed["state"] == "closed"
    assert [one["step"] for one in closed["events"]] == ["open", "accept", "accept", "hit", "close"]
    assert say(theirs, "no_hit").status_code == 409
    with home.engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "select action, account, role from audit_entry "
                "where question ->> 'check' = :number order by (question ->> 'n')::int"
            ),
            {"number": str(number)},
        ).all()
    assert [row.action for row in rows] == [
        "check.open", "check.accept", "check.accept", "check.hit", "check.close"
    ]  # fmt: skip
    assert {(row.account, row.role) for row in rows} == {
        ("border_officer-mine", "border_officer"), ("dispatcher-theirs", "dispatcher")
    }  # fmt: skip


@pytest.mark.parametrize(
    "reference",
    ["11010519491231002X", "110105194912310021", "1380 013 8000", "浙A12345", "浙 h·12345", "无号",
     "姓名 1", "a\u0000b1", "１３８００１３８０００", "", "Driver 7", "110105491231002"],
)  # fmt: skip
def test_a_reference_of_a_person_is_refused(
    client: TestClient, home: House, reference: str
) -> None:
    with home.engine.connect() as connection:
        zone = connection.execute(
            sa.text("select min(zone_id) from zone_version where state = 'live'")
        ).scalar_one_or_none()
    zone = zone or live_zone(client, home)
    body = {"reference": reference, "reason": "查", "ends_at": soon()}
    answer = client.post(f"/api/zones/{zone}/checks", json=body, headers=home.as_(OFFICER, MINE))
    assert answer.status_code == 422
    if reference and reference.isprintable():
        assert not re.search(r"\d{6}", answer.text) or reference not in answer.json()["message"]


def test_time_ends_checks_and_zones(client: TestClient, home: House) -> None:
    zone = live_zone(client, home, name="短联控区", valid_to=soon())
    mine = home.as_(OFFICER, MINE)
    body = {"reference": "A-1", "reason": "查", "ends_at": soon()}
    number = client.post(f"/api/zones/{zone}/checks", json=body, headers=mine).json()["id"]
    with home.engine.begin() as connection:  # time passes
        connection.exec_driver_sql("set local session_replication_role = replica")
        connection.exec_driver_sql(
            f"update check_case set opened_at = now() - interval '2 hours', "
            f"ends_at = now() - interval '1 hour' where id = {number}"
        )
        connection.exec_driver_sql(
            "update zone_version set valid_from = now() - interval '2 hours', "
            f"valid_to = now() - interval '1 hour' where zone_id = {zone}"
        )
    path = f"/api/checks/{number}"
    assert (
        client.post(path + "/answers", json={"answer": "accept"}, headers=mine).status_code == 409
    )
    until(lambda: client.get(path, headers=mine).json()["state"] == "expired")
    live.end_in_time(home.engine)
    found = client.get(path, headers=mine).json()
    assert [one["step"] for one in found["events"]] == ["open", "expire"]
    assert found["events"][-1]["side"] is None
    until(
        lambda: (
            client.get(f"/api/zones/{zone}", headers=mine).json()["version"]["state"] == "expired"
        )
    )
    answer = client.post(f"/api/zones/{zone}/checks", json=body, headers=mine)
    assert answer.status_code == 404


def test_tiles_of_zones(client: TestClient, home: House) -> None:
    zone = live_zone(client, home, name="瓦片联控区")
    listed = client.get("/api/zones?pack=small", headers=home.as_(OFFICER, THEIRS)).json()
    address = listed["tiles"]["small"].replace("{z}/{x}/{y}", "6/53/26")
    tile = client.get(address, headers=home.as_(OFFICER, THEIRS))
    assert tile.status_code == 200, tile.text
    assert "瓦片联控区".encode() in tile.content
    assert client.get(address, headers=home.as_(OFFICER, MINE)).status_code == 404  # not its name
    decide(client, home, zone, MINE, "approve")
    make(client, home, name="又一区")
    assert client.get(address, headers=home.as_(OFFICER, THEIRS)).status_code == 404
    empty = client.get("/api/zones?pack=small", headers=home.as_(OFFICER, DEEP)).json()
    assert empty["zones"] == []


def test_desks_are_offices(client: TestClient, home: House) -> None:
    for line, status in (("0570-601 0111", 201), ("13800138000", 422), ("+86 138 0013 8000", 422),
                         ("0086-13800138000", 422), ("问老王", 422)):  # fmt: skip
        answer = client.post(
            PACK + "/desks", headers=home.as_(OFFICER, MINE),
            json={"code": MINE, "name": f"值班 {line[:4]}", "office_line": line},
        )  # fmt: skip
        assert answer.status_code == status, (line, answer.text)
    for code in (THEIRS, "330102001", "3301"):
        answer = client.post(
            PACK + "/desks", headers=home.as_(OFFICER, MINE), json={"code": code, "name": "x"}
        )
        assert answer.status_code == 403
