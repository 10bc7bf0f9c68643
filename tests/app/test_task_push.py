"""Tasks told to an outside grid platform, and its signed reports back."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.errors import Invalid, LoginNeeded
from app.main import create_app
from app.services import task_push
from app.services.task_keys import KEY, SIGNATURE, TIME, Keys, read_keys, signature
from app.settings import TaskSettings

from .border_house import MINE, THEIRS, House
from .conftest import until
from .task_house import DISPATCHER, WORKER, sent, step, tasked

SECRET = "a secret of sixteen bytes and more"
REPORTS = "/api/tasks/reports"


@pytest.fixture(scope="module")
def home(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    yield from tasked(cluster, template, tmp_path_factory.mktemp("push"))


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    (folder / "k1").write_text(SECRET + "\n")
    file = folder / "keys.yaml"
    file.write_text("keys:\n  - {id: k1, secret_file: k1}\n")
    return file


@pytest.fixture(scope="module")
def client(home: House, keys_file: Path) -> Iterator[TestClient]:
    settings = home.settings().model_copy(update={"tasks": TaskSettings(keys_file=keys_file)})
    with TestClient(create_app(settings), follow_redirects=False) as one:
        yield one


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Address of a receiver and what it was told."""
    port, log = tmp_path / "port", tmp_path / "log"
    log.touch()
    script = Path(__file__).with_name("grid_platform.py")
    child = subprocess.Popen([sys.executable, str(script), str(port), str(log), SECRET])
    try:
        until(port.exists)
        yield f"http://127.0.0.1:{port.read_text()}/tasks", log
    finally:
        child.kill()
        child.wait()


def sink(home: House, url: str | None, keys: Keys) -> None:
    with home.engine.begin() as connection:
        task_push.set_sink(connection, "small", url, "k1" if url else None, keys)


def hurry(home: House) -> int:
    """Let what waits for another try be tried now; how many."""
    with home.engine.begin() as connection:
        return connection.execute(
            sa.text("update task_outbox set next_try = clock_timestamp() where sent_at is null")
        ).rowcount


def test_every_step_is_told_once_and_in_order(
    client: TestClient, home: House, keys_file: Path, platform: tuple[str, Path]
) -> None:
    url, log = platform
    sink(home, f"{url}?map=small&k=%E5%9B%BE", read_keys(keys_file))
    try:
        tasks = [sent(client, home)["id"] for _ in range(2)]
        for task in tasks:
            for to in ("accepted", "on_site", "feedback"):
                assert step(client, home, task, to).status_code == 200

        def all_told() -> bool:
            hurry(home)  # the server tells by itself; here the waits between tries are cut short
            task_push.send(home.engine, read_keys(keys_file))
            return hurry(home) == 0

        until(all_told)
    finally:
        sink(home, None, read_keys(keys_file))
    told = [json.loads(line) for line in log.read_text().splitlines()]
    assert len({one["delivery"] for one in told}) == len(told)
    for task in tasks:
        mine = [one for one in told if one["task"]["id"] == task]
        assert [one["step"]["step"] for one in mine] == ["sent", "accepted", "on_site", "feedback"]
        assert mine[0]["task"]["check"][0]["zh"]
        assert mine[-1]["task"]["answer"] == "confirmed"
    with home.engine.connect() as connection:
        tries = connection.execute(sa.text("select sum(tries), count(*) from task_outbox")).one()
    assert tries[0] > tries[1] == 8  # some had to be told again: nothing was lost by that


def test_what_is_down_is_told_later(client: TestClient, home: House, keys_file: Path) -> None:
    keys = read_keys(keys_file)
    down = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(500)))
    sink(home, "http://127.0.0.1:9/", Keys({"k1": SECRET.encode()}))
    try:
        task = sent(client, home)["id"]
        hurry(home)
        until(lambda: bool(task_push.send(home.engine, keys, client=down).waiting))
        with home.engine.connect() as connection:
            row = connection.execute(
                sa.text("select * from task_outbox where task_id = :id"), {"id": task}
            ).one()
        assert row.sent_at is None
        hurry(home)
        # without the secret it waits, too
        assert task_push.send(home.engine, Keys({})).waiting == 1
    finally:
        sink(home, None, keys)
    assert step(client, home, task, "accepted").status_code == 200
    with home.engine.connect() as connection:
        assert (
            connection.execute(
                sa.text("select count(*) from task_outbox where task_id = :id"), {"id": task}
            ).scalar_one()
            == 1
        )  # nobody to tell any more; what waited is kept
    with pytest.raises(Invalid), home.engine.begin() as connection:
        task_push.set_sink(connection, "small", "ftp://x", "k1", keys)
    with pytest.raises(Invalid), home.engine.begin() as connection:
        task_push.set_sink(connection, "small", "http://x", "k9", keys)


def report(client: TestClient, home: House, body: dict[str, Any], *, role: str = DISPATCHER,
           prefix: str = MINE, **spoiled: Any) -> httpx.Response:  # fmt: skip
    """Send a signed report, spoiled in one way."""
    content = json.dumps(body).encode()
    keys = Keys({"k1": spoiled.get("secret", SECRET).encode()})
    at = int(time.time()) + spoiled.get("late", 0)
    headers = keys.signed("k1", "POST", spoiled.get("path", REPORTS), content, at=at)
    if spoiled.get("first"):  # the scheme before
        headers[SIGNATURE] = signature(
            SECRET.encode(), "k1", at, f"POST {REPORTS}", content, version=1
        )
    headers |= spoiled.get("headers", {})
    for name in spoiled.get("without", ()):
        del headers[name]
    return client.post(
        REPORTS, content=spoiled.get("content", content),
        headers={**headers, "Content-Type": "application/json", **home.as_(role, prefix)},
    )  # fmt: skip


def test_an_address_that_is_none_holds_nothing_up(
    client: TestClient, home: House, keys_file: Path
) -> None:
    """It is refused; one that got in all the same is noted, and the clock goes on."""
    keys = read_keys(keys_file)
    odd = (
        "http://a..b/tasks",
        "http://[::1/tasks",
        "http://h:port/tasks",
        "http://h:99999/",
        "http:///x",
    )
    for url in odd:
        with home.engine.begin() as connection, pytest.raises(Invalid, match="url"):
            task_push.set_sink(connection, "small", url, "k1", keys)
    sink(home, "http://127.0.0.1:9/tasks", keys)
    try:
        for url in odd[:3]:
            with home.engine.begin() as connection:
                connection.execute(
                    sa.text("update task_sink set url = :url where pack = 'small'"), {"url": url}
                )
            sent(client, home)
            hurry(home)
            task_push.send(home.engine, keys)
            with home.engine.connect() as connection:
                noted = connection.execute(
                    sa.text(
                        "select tries, error from task_outbox where sent_at is null order by id"
                    )
                ).all()
            assert all(one.tries and one.error for one in noted)
    finally:
        sink(home, None, keys)
        with home.engine.begin() as connection:
            connection.execute(sa.text("delete from task_outbox where sent_at is null"))


def test_a_signed_report_takes_a_step_once(client: TestClient, home: House) -> None:
    task = sent(client, home)["id"]
    body = {"task": task, "to": "accepted", "key": str(uuid.uuid4()), "note": "平台已接单"}
    first, again = report(client, home, body), report(client, home, body)
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert first.json()["state"] == "accepted"
    assert report(client, home, {**body, "key": str(uuid.uuid4())}).status_code == 409
    form = {"answer": "not_confirmed"}
    for to in ("on_site", "feedback"):
        more = {"form": form} if to == "feedback" else {}
        found = report(client, home, {"task": task, "to": to, "key": str(uuid.uuid4()), **more})
        assert found.status_code == 200, found.text
    judged = {"task": task, "to": "verified", "key": str(uuid.uuid4())}
    assert report(client, home, judged, role=WORKER).status_code == 403
    assert report(client, home, judged).json()["answer"] == "not_confirmed"


@pytest.mark.parametrize(
    "spoiled",
    [
        {"secret": "another secret of sixteen bytes"}, {"late": -301}, {"late": 330},
        {"path": "/api/tasks"}, {"path": REPORTS + "?x=1"}, {"content": b'{"task": 2, "to": "accepted"}'},
        {"headers": {KEY: "k2"}}, {"headers": {TIME: "soon"}}, {"headers": {SIGNATURE: "0" * 64}},
        {"without": [SIGNATURE]}, {"without": [KEY, TIME, SIGNATURE]},
    ],
    ids=str,
)  # fmt: skip
def test_a_report_that_is_not_signed_well_is_refused(
    client: TestClient, home: House, spoiled: dict[str, Any]
) -> None:
    task = sent(client, home)["id"]
    body = {"task": task, "to": "accepted", "key": str(uuid.uuid4())}
    assert report(client, home, body, **spoiled).status_code == 401
    with home.engine.connect() as connection:
        assert connection.execute(
            sa.text("select state from task where id = :id"), {"id": task}
        ).scalar_one() == "sent"  # fmt: skip


def test_a_signature_covers_the_query(client: TestClient, home: House) -> None:
    """The first scheme left it out: it is good where there is none."""
    body = {"task": sent(client, home)["id"], "to": "accepted", "key": str(uuid.uuid4())}
    assert report(client, home, body, first=True).status_code == 200
    keys, now = Keys({"k1": SECRET.encode()}), int(time.time())
    plain, asked = "/tasks", "/tasks?map=small"
    second = keys.signed("k1", "POST", asked, b"{}")
    assert keys.check(second, "POST", asked, b"{}") == "k1"
    # neither another query, nor none, nor the same mark under the first scheme
    for target in (plain, asked + "&all=1", "/tasks?map=other"):
        with pytest.raises(LoginNeeded):
            keys.check(second, "POST", target, b"{}")
    bare = second | {SIGNATURE: second[SIGNATURE].removeprefix("v2=")}
    with pytest.raises(LoginNeeded):
        keys.check(bare, "POST", plain, b"{}")
    for line, version in ((plain, 1), (asked, 1)):
        mark = signature(SECRET.encode(), "k1", now, f"POST {line}", b"{}", version=version)
        first = {KEY: "k1", TIME: str(now), SIGNATURE: mark}
        with pytest.raises(LoginNeeded):
            keys.check(first, "POST", asked, b"{}")


def test_a_report_from_elsewhere_finds_no_task(client: TestClient, home: House) -> None:
    task = sent(client, home)["id"]
    body = {"task": task, "to": "accepted", "key": str(uuid.uuid4())}
    assert report(client, home, body, prefix=THEIRS).status_code == 404
    assert report(client, home, body, role="viewer").status_code == 403
    person = {**body, "note": "电话 13812345678"}
    assert report(client, home, person).status_code == 422
    assert report(client, home, {**body, "form": {"answer": "unclear"}}).status_code == 422


def test_keys_are_read_with_their_mistakes(tmp_path: Path) -> None:
    assert not read_keys(None)
    (tmp_path / "short").write_text("short")
    (tmp_path / "good").write_text(SECRET)
    file = tmp_path / "keys.yaml"
    for text in ("keys: [{id: a, secret_file: short}]", "keys: [{id: a, secret_file: none}]", "nothing",
                 "keys: [{id: a, secret_file: good}, {id: a, secret_file: good}]", "keys: {"):  # fmt: skip
        file.write_text(text)
        with pytest.raises(Invalid) as caught:
            read_keys(file)
        assert SECRET not in caught.value.message
    with pytest.raises(Invalid):
        Keys({}).signed("k1", "POST", "/", b"")
    with pytest.raises(LoginNeeded):
        Keys({}).check({}, "POST", "/", b"")
