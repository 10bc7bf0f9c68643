"""Alerts become tasks, tasks are taken step by step, over HTTP."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from PIL import Image

from app.services import live, loop
from app.services.task_clock import late

from .border_house import DEEP, MINE, THEIRS, House
from .conftest import until
from .task_house import (
    DISPATCHER,
    PHOTOS,
    WORKER,
    brought_to,
    key,
    sent,
    spare_alert,
    step,
    tasked,
)


@pytest.fixture(scope="module")
def home(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    yield from tasked(cluster, template, tmp_path_factory.mktemp("tasks"))


@pytest.fixture(scope="module")
def client(home: House) -> Iterator[TestClient]:
    with home.app() as one:
        yield one


def get(client: TestClient, home: House, path: str, role: str = DISPATCHER,
        prefix: str | None = MINE) -> Any:  # fmt: skip
    return client.get(path, headers=home.as_(role, prefix))


def steps_of(home: House, table: str, number: int) -> list[str]:
    with home.engine.connect() as connection:
        return list(
            connection.execute(
                sa.text(f"select step from {table}_event where {table}_id = :id order by n"),
                {"id": number},
            ).scalars()
        )


def audited(home: House, what: str, number: int) -> list[str]:
    with home.engine.connect() as connection:
        return list(
            connection.execute(
                sa.text(
                    "select action from audit_entry where action like :what "
                    "and question ->> :name = :id order by id"
                ),
                {"what": f"{what}.%", "name": what, "id": str(number)},
            ).scalars()
        )


# alerts -------------------------------------------------------------------------------------------
def test_alerts_are_of_ones_own_units_and_say_why(client: TestClient, home: House) -> None:
    answer = get(client, home, "/api/alerts?pack=small&state=open")
    assert answer.status_code == 200
    assert "no-store" in answer.headers["cache-control"]
    body = answer.json()
    found = body["alerts"]
    assert found
    assert {one["code"][:6] for one in found} == {MINE}
    assert len({(one["code"], one["kind"]) for one in found}) == len(found)
    for one in found:
        assert one["grids"] or one["why_not"]
        assert one["name_en"] == f"{one['level'].title()} {one['code'][-3:]}"
        assert all(grid["code"].startswith(one["code"]) for grid in one["grids"])
        assert f"{one['observed']}件" in one["reason"]["zh"]
        assert f"{one['observed']} observed" in one["reason"]["en"]
        assert one["low"] <= one["relative_risk"] <= one["high"]
        assert one["steps"][0]["step"] == "open"
    assert 0 <= body["located_share"] <= 1
    waiting = [bool(one["overflow_rank"]) for one in found]
    assert waiting == sorted(waiting)
    everybody = get(client, home, "/api/alerts?state=open", "admin", None).json()["alerts"]
    assert {one["code"][:6] for one in everybody} == {MINE, THEIRS}
    deep = get(client, home, "/api/alerts", WORKER, DEEP).json()["alerts"]
    assert {one["code"][:9] for one in deep} <= {DEEP}
    kind = found[0]["kind"]
    some = get(client, home, f"/api/alerts?kind={kind}&within={DEEP}").json()["alerts"]
    assert all(one["kind"] == kind and one["code"].startswith(DEEP) for one in some)


def test_an_alert_of_another_is_not_there(client: TestClient, home: House) -> None:
    theirs = spare_alert(home, THEIRS)
    for path in (f"/api/alerts/{theirs}", "/api/alerts/999999"):
        assert get(client, home, path).status_code == 404
    close = {"reason": "数据重复"}
    for number in (theirs, 999999):
        answer = client.post(f"/api/alerts/{number}/close", json=close,
                             headers=home.as_(DISPATCHER, MINE))  # fmt: skip
        assert answer.status_code == 404
    assert client.post(f"/api/alerts/{theirs}/close", json=close,
                       headers=home.as_("viewer", THEIRS)).status_code == 403  # fmt: skip


def test_closing_by_hand_is_told_audited_and_final(client: TestClient, home: House) -> None:
    number = spare_alert(home)
    path, headers = f"/api/alerts/{number}/close", home.as_(DISPATCHER, MINE)
    person = client.post(path, json={"reason": "找张三 13812345678"}, headers=headers)
    assert person.status_code == 422
    assert "1381234" not in person.text
    with home.engine.connect() as connection:
        before = live.newest(connection)
    answer = client.post(path, json={"reason": "重复上报，数据已更正"}, headers=headers)
    assert answer.status_code == 200
    one = answer.json()
    assert (one["state"], one["closed_by"]) == ("closed", "desk")
    assert one["quiet_until"] > one["last_period"]
    assert client.post(path, json={"reason": "再来"}, headers=headers).status_code == 409
    assert steps_of(home, "alert", number)[-1] == "close"
    assert audited(home, "alert", number) == [
        f"alert.{name}" for name in steps_of(home, "alert", number)
    ]
    with home.engine.connect() as connection:
        told = [
            e
            for e in live.events_after(connection, before, ["alert"])
            if e.payload["alert"] == number
        ]
    assert [one.payload["step"] for one in told] == ["close"]


# tasks --------------------------------------------------------------------------------------------
def test_from_alert_to_closed(client: TestClient, home: House) -> None:
    task = sent(client, home)
    number, alert = task["id"], task["alert"]
    assert task["state"] == "sent"
    assert task["check"]
    assert task["how"]
    assert task["code"].startswith(task["desk_code"])
    assert not task["overdue"]
    again = client.post("/api/tasks", json={"alert": alert}, headers=home.as_(DISPATCHER, MINE))
    assert again.status_code == 409
    assert again.json()["detail"] == {"task": number}
    assert step(client, home, number, "accepted").json()["state"] == "accepted"
    here = {"lon": task["lon"], "lat": task["lat"], "accuracy_m": 12}
    assert step(client, home, number, "on_site", position=here).json()["state"] == "on_site"
    told = step(client, home, number, "feedback", note="", form={
        "answer": "confirmed", "measures": ["现场整改", "增派巡查"], "count": 6, "note": "东侧已协商"}).json()  # fmt: skip
    assert (told["answer"], told["measures"], told["count"]) == (
        "confirmed",
        ["现场整改", "增派巡查"],
        6,
    )
    assert told["steps"][-1]["note"] == "东侧已协商"
    assert step(client, home, number, "verified").status_code == 403  # who reports does not judge
    assert step(client, home, number, "verified", role=DISPATCHER).json()["state"] == "verified"
    closed = step(client, home, number, "closed", role=DISPATCHER).json()
    assert closed["state"] == "closed"
    assert [one["state"] for one in closed["steps"]] == [
        "sent", "accepted", "on_site", "feedback", "verified", "closed"
    ]  # fmt: skip
    assert [one["by_role"] for one in closed["steps"]][1:4] == [WORKER] * 3
    there = get(client, home, f"/api/alerts/{alert}").json()
    assert (there["state"], there["closed_by"], there["answer"]) == (
        "closed",
        "confirmed",
        "confirmed",
    )
    assert [one["step"] for one in there["steps"]][-2:] == ["answer", "close"]
    assert audited(home, "task", number) == [
        f"task.{name}" for name in steps_of(home, "task", number)
    ]
    with home.engine.connect() as connection:
        place = connection.execute(
            sa.text("select detail from task_event where task_id = :id and step = 'on_site'"),
            {"id": number},
        ).scalar_one()
    assert place == {"place": {"inside": True, "metres": 0}}  # not the position


def test_a_task_is_about_a_kind_there_is(client: TestClient, home: House) -> None:
    alert, headers = spare_alert(home), home.as_(DISPATCHER, MINE)
    odd = client.post("/api/tasks", json={"alert": alert, "kind": "nonsense"}, headers=headers)
    assert odd.status_code == 422
    assert odd.json()["detail"]["field"] == "kind"
    made = client.post("/api/tasks", json={"alert": alert, "kind": "fire"}, headers=headers)
    assert (made.status_code, made.json()["kind"]) == (201, "fire")


def test_an_unclear_answer_keeps_the_alert(client: TestClient, home: House) -> None:
    task = sent(client, home)
    number = task["id"]
    for to in ("accepted", "on_site"):
        step(client, home, number, to)
    step(client, home, number, "feedback", form={"answer": "unclear"})
    for to in ("verified", "closed"):
        step(client, home, number, to, role=DISPATCHER)
    there = get(client, home, f"/api/alerts/{task['alert']}").json()
    assert (there["state"], there["answer"]) == ("open", "unclear")
    assert [one["id"] for one in there["tasks"]] == [number]


def test_states_cannot_be_skipped(client: TestClient, home: House) -> None:
    number = sent(client, home)["id"]
    for to in ("on_site", "feedback"):
        answer = step(client, home, number, to)
        assert answer.status_code == 409
        assert answer.json()["detail"] == {"state": "sent", "version": 1}
    assert step(client, home, number, "closed", role=DISPATCHER).status_code == 409
    assert step(client, home, number, "accepted", expected_version=7).status_code == 409
    assert step(client, home, number, "accepted", expected_version=1).status_code == 200
    assert step(client, home, number, "accepted").status_code == 409
    assert steps_of(home, "task", number) == ["sent", "accepted"]


def test_the_same_key_changes_nothing(client: TestClient, home: House) -> None:
    number = sent(client, home)["id"]
    mine = key()
    first = step(client, home, number, "accepted", key=mine)
    second = step(client, home, number, "accepted", key=mine)
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert step(client, home, number, "on_site", key=mine).status_code == 409
    made = key()
    body = {"alert": spare_alert(home), "key": made}
    one, two = (
        client.post("/api/tasks", json=body, headers=home.as_(DISPATCHER, MINE)) for _ in range(2)
    )
    assert one.json() == two.json()


def test_steps_taken_without_a_signal_keep_their_time(client: TestClient, home: House) -> None:
    number = sent(client, home)["id"]
    future = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    found = step(client, home, number, "accepted", at=future).json()
    assert datetime.fromisoformat(found["steps"][-1]["at"]) <= datetime.now(UTC)
    past = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    found = step(client, home, number, "on_site", at=past).json()
    times = [one["at"] for one in found["steps"]]
    assert times == sorted(times)


def test_returned_feedback_is_done_again(client: TestClient, home: House) -> None:
    number = sent(client, home)["id"]
    brought_to(client, home, number, "feedback")
    assert step(client, home, number, "returned", role=DISPATCHER).status_code == 422  # why?
    found = step(client, home, number, "returned", role=DISPATCHER, note="缺照片").json()
    assert found["state"] == "accepted"
    assert step(client, home, number, "on_site").status_code == 200


@pytest.mark.parametrize(
    ("to", "more"),
    [
        ("accepted", {"note": "联系电话 13812345678"}),
        ("feedback", {"form": {"answer": "confirmed", "note": "浙A12345"}}),
        ("feedback", {"form": {"answer": "confirmed", "measures": ["身份证 1"]}}),
        ("feedback", {"form": {"answer": "maybe"}}),
        ("accepted", {"form": {"answer": "confirmed"}}),
        ("declined", {}),
        ("sent", {}),
        ("merged", {}),
    ],
)
def test_what_does_not_belong_is_refused(
    client: TestClient, home: House, to: str, more: dict[str, Any]
) -> None:
    number = sent(client, home)["id"] if to in {"accepted", "declined"} else 1
    assert step(client, home, number, to, **more).status_code == 422


def test_another_jurisdiction_has_no_such_task(client: TestClient, home: House) -> None:
    number = sent(client, home)["id"]
    theirs = home.as_(DISPATCHER, THEIRS)
    absent = client.get("/api/tasks/999999", headers=theirs)
    there = client.get(f"/api/tasks/{number}", headers=theirs)
    assert there.status_code == absent.status_code == 404
    body = {"to": "accepted", "key": key()}
    assert client.post(f"/api/tasks/{number}/steps", json=body, headers=theirs).status_code == 404
    alert = {"alert": spare_alert(home)}
    assert client.post("/api/tasks", json=alert, headers=theirs).status_code == 404
    assert number not in {
        one["id"] for one in client.get("/api/tasks", headers=theirs).json()["tasks"]
    }


def test_listing(client: TestClient, home: House) -> None:
    first = get(client, home, "/api/tasks").json()
    task = sent(client, home)
    since = first["as_of"].replace("+", "%2B")
    changed = get(client, home, f"/api/tasks?since={since}").json()["tasks"]
    assert [one["id"] for one in changed] == [task["id"]]
    some = get(
        client, home, f"/api/tasks?state=sent&within={task['code']}&pack=small&limit=5"
    ).json()
    assert {one["state"] for one in some["tasks"]} == {"sent"}
    # a county's desk is not the town's: mine are those sent to desks on duty for all of it
    mine = get(client, home, "/api/tasks?mine=true").json()["tasks"]
    assert {one["desk_code"] for one in mine} <= {MINE, None}
    worker = get(client, home, "/api/tasks?mine=true", WORKER, DEEP).json()["tasks"]
    assert {one["desk_code"] for one in worker} <= {DEEP, MINE}
    desks = get(client, home, "/api/desks?pack=small", WORKER, DEEP).json()["desks"]
    assert {one["code"] for one in desks} == {MINE, DEEP}
    assert sum(one["active"] for one in desks) > 0


def test_handing_over_and_declining(client: TestClient, home: House) -> None:
    number = sent(client, home)["id"]
    assert step(client, home, number, "declined", note="不在辖区").json()["state"] == "declined"
    desks = {
        one["code"]: one["id"] for one in get(client, home, "/api/desks?pack=small").json()["desks"]
    }
    county, headers = desks[MINE], home.as_(DISPATCHER, MINE)
    path = f"/api/tasks/{number}/handover"
    assert client.post(path, json={"desk": 999}, headers=headers).status_code == 404
    assert (
        client.post(path, json={"desk": county}, headers=home.as_(WORKER, MINE)).status_code == 403
    )
    body = {"desk": county, "key": key()}
    found = client.post(path, json=body, headers=headers).json()
    assert (found["state"], found["desk_code"]) == ("sent", MINE)
    assert client.post(path, json=body, headers=headers).json() == found
    brought_to(client, home, number, "feedback")
    assert client.post(path, json={"desk": county}, headers=headers).status_code == 409


def test_merging_answers_for_both(client: TestClient, home: House) -> None:
    one, two = sent(client, home), sent(client, home)
    headers = home.as_(DISPATCHER, MINE)

    def merge(task: int, into: int) -> Any:
        return client.post(f"/api/tasks/{task}/merge", json={"into": into}, headers=headers)

    assert merge(one["id"], one["id"]).status_code == 409
    theirs = sent(client, home, THEIRS)
    assert merge(one["id"], theirs["id"]).status_code == 409
    found = merge(one["id"], two["id"]).json()
    assert (found["state"], found["merged_into"]) == ("merged", two["id"])
    assert merge(two["id"], one["id"]).status_code == 409
    brought_to(client, home, two["id"], "closed")
    for task in (one, two):
        there = get(client, home, f"/api/alerts/{task['alert']}").json()
        assert (there["state"], there["answer"]) == ("closed", "confirmed")


def test_late_tasks_are_marked_and_escalated_once(client: TestClient, home: House) -> None:
    number = sent(client, home)["id"]
    with home.engine.begin() as connection:  # time passes
        connection.execute(sa.text("alter table task disable trigger task_guarded"))
        connection.execute(
            sa.text(
                "update task set due_at = now() - make_interval(hours => :hours) where id = :id"
            ),
            {"id": number, "hours": 80},
        )
        connection.execute(sa.text("alter table task enable trigger task_guarded"))
    path = f"/api/tasks/{number}"
    # the server's own clock may be first, or at it just now
    until(lambda: late(home.engine) > 0 or get(client, home, path).json()["escalation"] != "none")
    found = get(client, home, path).json()
    assert found["overdue"]
    assert found["escalation"] == "supervise"  # three days late, as the scene says
    assert steps_of(home, "task", number) == ["sent", "overdue", "escalated"]
    assert late(home.engine) == 0
    assert step(client, home, number, "accepted").status_code == 200


# photos -------------------------------------------------------------------------------------------
def picture(form: str = "JPEG", size: tuple[int, int] = (400, 300), **more: Any) -> bytes:
    image = Image.new("RGB", size, (180, 40, 40))
    image.putpixel((0, 0), (0, 255, 0))
    out = io.BytesIO()
    image.save(out, form, **more)
    return out.getvalue()


def with_position() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    exif[0x010F] = "CameraMaker"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (30.0, 15.0, 33.0)
    return picture(exif=exif, comment=b"somebody")


def add_photo(client: TestClient, home: House, task: int, body: bytes, mine: str | None = None,
              role: str = WORKER, prefix: str = MINE) -> Any:  # fmt: skip
    return client.post(
        PHOTOS.format(task), data={"key": mine or key()}, headers=home.as_(role, prefix),
        files={"photo": ("a.jpg", body, "image/jpeg")},
    )  # fmt: skip


def test_photos_keep_nothing_but_pixels(client: TestClient, home: House) -> None:
    number = sent(client, home)["id"]
    mine = key()
    made = add_photo(client, home, number, with_position(), mine)
    assert made.status_code == 201
    assert (made.json()["width"], made.json()["height"]) == (300, 400)  # upright
    assert add_photo(client, home, number, with_position(), mine).json() == made.json()
    photo = made.json()["photo"]
    answer = get(client, home, f"{PHOTOS.format(number)}/{photo}", WORKER)
    assert answer.headers["content-type"] == "image/jpeg"
    assert b"CameraMaker" not in answer.content
    assert b"somebody" not in answer.content
    with Image.open(io.BytesIO(answer.content)) as image:
        assert not image.getexif()
        assert image.size == (300, 400)
    assert get(client, home, f"/api/tasks/{number}").json()["photos"] == [photo]
    assert get(client, home, f"{PHOTOS.format(number)}/{photo}", WORKER, THEIRS).status_code == 404
    assert add_photo(client, home, number, picture(), prefix=THEIRS).status_code == 404


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_other_formats_become_jpeg(client: TestClient, home: House, form: str) -> None:
    number = sent(client, home)["id"]
    made = add_photo(client, home, number, picture(form, (2400, 1200)))
    assert (made.json()["width"], made.json()["height"]) == (1600, 800)


@pytest.mark.parametrize("what", ["gif", "text", "cut", "bomb", "large", "empty"])
def test_what_is_no_photo_is_refused(client: TestClient, home: House, what: str) -> None:
    body = {
        "gif": lambda: picture("GIF"),
        "text": lambda: b"not a picture",
        "cut": lambda: picture(size=(800, 800))[:700],
        "bomb": lambda: picture("PNG", (7000, 7000)),
        "large": lambda: picture() + b"\0" * (5 * 2**20),
        "empty": lambda: b"",
    }[what]()  # fmt: skip
    answer = add_photo(client, home, sent(client, home)["id"], body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]["field"] == "photo"


def test_a_form_is_key_and_photo(client: TestClient, home: House) -> None:
    path, headers = PHOTOS.format(1), home.as_(WORKER, MINE)
    photo = ("a.jpg", picture(), "image/jpeg")
    assert (
        client.post(path, data={"key": "7"}, files={"photo": photo}, headers=headers).status_code
        == 422
    )
    assert client.post(path, files={"photo": photo}, headers=headers).status_code == 422
    odd = client.post(
        path, data={"key": key(), "name": "x"}, files={"photo": photo}, headers=headers
    )
    assert odd.status_code == 422
    assert client.post(path, content=b"{}", headers=headers).status_code == 422
    big = client.post(path, content=b"0" * (9 * 2**20), headers=headers)
    assert big.status_code == 413


# the loop -----------------------------------------------------------------------------------------
def test_health_of_the_loop(client: TestClient, home: House) -> None:
    body = get(client, home, "/api/loop?pack=small").json()
    with home.engine.connect() as connection:
        states = dict(
            connection.execute(
                sa.text("select state, count(*) from task where code ^@ :mine group by 1"),
                {"mine": MINE},
            ).all()  # type: ignore[arg-type]
        )
        alerts = connection.execute(
            sa.text("select count(*) from alert where code ^@ :mine"), {"mine": MINE}
        ).scalar_one()
    assert body["tasks"] == sum(states.values())
    assert body["closed"] == states["closed"]
    assert body["alerts"] == alerts
    assert body["merged"] == states["merged"]
    assert body["overdue"] == 1
    assert body["precision"]["n"] == body["confirmed"] + body["not_confirmed"] > 0
    assert body["unclear"] == 1
    assert body["precision"]["low"] <= body["precision"]["value"] <= body["precision"]["high"]
    assert [one["state"] for one in body["times"]] == list(loop.STATES)
    assert body["located"]["n"] == alerts
    empty = get(client, home, "/api/loop?pack=small&from=2020-01-01&to=2020-02-01").json()
    assert (empty["tasks"], empty["alerts"], empty["precision"]["value"]) == (0, 0, None)
    theirs = get(client, home, "/api/loop?pack=small", prefix=THEIRS).json()
    assert theirs["tasks"] < body["tasks"]
