"""Feeds over HTTP: programs send rows, desks look, nobody sees another jurisdiction's feeds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.database import transaction
from app.main import create_app
from app.security.identity import MAY, Role
from app.services import accounts, accounts_tokens
from app.services.feeds import Feed
from app.services.task_keys import Keys
from app.settings import DatabaseSettings, Settings, TaskSettings

from .feed_house import entered, row, scalar, stored

SECRET = "a secret of sixteen bytes and more"
NDJSON = {"Content-Type": "application/x-ndjson"}


@dataclass
class House:
    """The application, and tokens by role and jurisdiction."""

    client: TestClient
    tokens: dict[str, str]

    def send(self, feed: Feed, body: bytes, who: str = "analyst-330102", **headers: str) -> Any:
        """Send rows."""
        path = f"/api/feeds/{feed.id}/batches"
        return self.client.post(path, content=body, headers=self.as_(who) | headers)

    def as_(self, who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[who]}"}

    def get(self, path: str, who: str = "analyst-330102") -> Any:
        return self.client.get(f"/api/feeds{path}", headers=self.as_(who))


@pytest.fixture
def house(engine: sa.Engine, db_url: str, pack: str, tmp_path: Path) -> Iterator[House]:
    (tmp_path / "k1").write_text(SECRET)
    keys = tmp_path / "keys.yaml"
    keys.write_text("keys:\n  - {id: k1, secret_file: k1}\n")
    tokens = {}
    with transaction(engine) as connection:
        for role, prefix in (
            (Role.analyst, "330102"), (Role.analyst, "330105"), (Role.analyst, None),
            (Role.viewer, None), (Role.dispatcher, "330102"),
        ):  # fmt: skip
            name = f"{role}-{prefix or 'all'}"
            made = accounts.create(
                connection,
                name,
                role,
                kind="program",
                prefixes=None if prefix is None else [prefix],
            )
            for title, scopes in ((name, sorted(MAY[role])), (f"{name}-read", ["see_map"])):
                _, tokens[title] = accounts_tokens.create(
                    connection, account=made.id, title="feeds", scopes=scopes, days=1, longest=1
                )
    settings = Settings(
        access="accounts", database=DatabaseSettings(url=db_url, pool_size=2), data_dir=tmp_path / "data",
        tasks=TaskSettings(keys_file=keys),
    )  # fmt: skip
    with TestClient(create_app(settings), follow_redirects=False) as client:
        yield House(client, tokens)


def lines(*rows: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in rows)


def test_a_program_sends_rows(engine: sa.Engine, mapping: dict[str, Any], house: House) -> None:
    feed = entered(engine, mapping, "push", code="330102", title="110 calls")
    body = lines(row(1), row(2, kind="飞碟"), row(3, lon=120.35)) + b"{broken\n"
    answer = house.send(feed, body, **NDJSON, **{"Idempotency-Key": "day-1"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    refused = {one["row"]: one["reason"] for one in told.pop("refused")}
    assert refused == {2: "unknown_kind", 3: "elsewhere", 4: "json"}
    assert told == {
        "batch": told["batch"], "known": False, "rows": 4, "new": 1, "updated": 0, "unchanged": 0,
        "rejected": 3, "mismatch": 0,
    }  # fmt: skip
    again = house.send(feed, body, **NDJSON, **{"Idempotency-Key": "day-1"}).json()
    assert (again["known"], again["batch"], again["rows"]) == (True, told["batch"], 0)
    assert stored(engine) == {"A1": "theft"}
    # the same as JSON, as a list and as an object
    for key, text in (("a", [row(4)]), ("b", {"rows": [row(5)]})):
        answer = house.send(
            feed,
            json.dumps(text).encode(),
            **{"Content-Type": "application/json", "Idempotency-Key": key},
        )
        assert answer.json()["new"] == 1
    one = house.get(f"/{feed.id}").json()
    assert (one["state"], one["title"], one["rows"], one["dead"]) == ("fine", "110 calls", 6, 3)
    assert one["last_origin"] == "request b of analyst-330102"
    # another program's batch of the same name is another one
    other = house.send(feed, lines(row(6)), "analyst-all", **NDJSON, **{"Idempotency-Key": "day-1"})
    assert (other.json()["known"], other.json()["new"]) == (False, 1)
    listed = house.get("").json()
    assert [found["id"] for found in listed["feeds"]] == [feed.id]
    account = scalar(engine, "select account_id from feed_batch order by id limit 1")
    assert account == scalar(engine, "select id from account where name = 'analyst-330102'")


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, b"{}", 422), ({"Idempotency-Key": ""}, b"{}", 422),
        ({"Idempotency-Key": "k" * 151}, b"{}", 422), ({"Idempotency-Key": "a b"}, b"{}", 422),
        ({"Idempotency-Key": "k", "Content-Type": "text/csv"}, b"a,b", 422),
        ({"Idempotency-Key": "k", "Content-Type": "application/json"}, b"[", 422),
        ({"Idempotency-Key": "k", "Content-Type": "application/json"}, b'{"row": []}', 422),
        ({"Idempotency-Key": "k", "Content-Type": "application/json"}, b"", 422),
        ({"Idempotency-Key": "k", **NDJSON}, b"{}\n" * 50_001, 422),
    ],
    ids=["nokey", "emptykey", "longkey", "space", "csv", "broken", "norows", "nothing", "many"],
)  # fmt: skip
def test_requests_that_are_refused_as_a_whole(
    engine: sa.Engine, mapping: dict[str, Any], house: House, headers: dict[str, str], body: bytes,
    status: int,
) -> None:  # fmt: skip
    feed = entered(engine, mapping, "push")
    answer = house.send(feed, body, "analyst-all", **headers)
    assert answer.status_code == status, answer.text
    assert scalar(engine, "select count(*) from feed_batch") == 0


def test_doors_of_a_feed(
    engine: sa.Engine, mapping: dict[str, Any], house: House, tmp_path: Path
) -> None:
    feed = entered(engine, mapping, "push", code="330102")
    key = {"Idempotency-Key": "k", **NDJSON}
    wanted = {
        "analyst-330105": 404, "viewer-all": 403, "dispatcher-330102": 403,
        "analyst-330102-read": 403, "analyst-all": 200,
    }  # fmt: skip
    for who, status in wanted.items():
        assert house.send(feed, lines(row(1)), who, **key).status_code == status, who
    for path in (f"/{feed.id}", f"/{feed.id}/dead"):
        assert house.get(path, "analyst-330105").status_code == 404
        assert house.get(path, "viewer-all").status_code == 403
    assert house.get(f"/{feed.id}", "dispatcher-330102").status_code == 200
    assert house.get(f"/{feed.id}/dead", "dispatcher-330102").status_code == 403
    assert house.get("", "analyst-330105").json()["feeds"] == []
    other = entered(engine, mapping, "folder", name="b", folder=str(tmp_path))
    answer = house.send(other, lines(row(1)), "analyst-all", **key)
    assert answer.status_code == 409
    assert str(tmp_path) not in answer.text


def test_a_session_sends_no_rows(
    engine: sa.Engine, db_url: str, pack: str, mapping: dict[str, Any]
) -> None:
    from app.security.identity import Identity

    assert Identity(1, "d", Role.analyst, None, (), None, "session").may("feed:push")
    # the machine's own user may: there are no tokens in the single mode
    feed = entered(engine, mapping, "push")
    with TestClient(create_app(Settings(database=DatabaseSettings(url=db_url)))) as client:
        answer = client.post(
            f"/api/feeds/{feed.id}/batches", content=lines(row(1)),
            headers={"Idempotency-Key": "k", **NDJSON},
        )  # fmt: skip
    assert answer.json()["new"] == 1


def test_a_feed_with_a_key_wants_signatures(
    engine: sa.Engine, mapping: dict[str, Any], house: House
) -> None:
    feed = entered(engine, mapping, "push", key="k1")
    body, key = lines(row(1)), {"Idempotency-Key": "k", **NDJSON}
    path = f"/api/feeds/{feed.id}/batches"
    assert house.send(feed, body, "analyst-all", **key).status_code == 403
    signed = Keys({"k1": SECRET.encode()}).signed("k1", "POST", path, body)
    assert house.send(feed, body + b" ", "analyst-all", **key, **signed).status_code == 401
    assert scalar(engine, "select count(*) from feed_batch") == 0
    assert house.send(feed, body, "analyst-all", **key, **signed).status_code == 200


def test_dead_letters_are_read_by_page_and_replayed(
    engine: sa.Engine, mapping: dict[str, Any], house: House
) -> None:
    feed = entered(engine, mapping, "push", code="330102")
    rows = [row(n, kind="纠纷") for n in range(5)]
    house.send(feed, lines(*rows), **NDJSON, **{"Idempotency-Key": "k"})
    first = house.get(f"/{feed.id}/dead?limit=3").json()
    second = house.get(f"/{feed.id}/dead?limit=3&before={first['next']}").json()
    assert [one["place"] for one in first["letters"] + second["letters"]] == list("54321")
    assert second["next"] is None
    assert first["letters"][0]["row"]["ref"] == "A4"
    assert (
        scalar(engine, "select sum(row_count) from audit_entry where action = 'see_records'") == 5
    )
    path = f"/api/feeds/{feed.id}/replay"
    assert house.client.post(path, headers=house.as_("analyst-330105")).status_code == 404
    assert house.client.post(path, headers=house.as_("analyst-330102")).json() == {
        "stored": 0, "superseded": 0, "failed": 5, "unkept": 0,
    }  # fmt: skip
    with engine.begin() as connection:
        connection.exec_driver_sql(
            """update feed set mapping = jsonb_set(mapping, '{kinds,words,纠纷}', '"dispute"')"""
        )
    assert house.client.post(path, headers=house.as_("analyst-330102")).json()["stored"] == 5
    assert set(stored(engine).values()) == {"dispute"}
    assert house.get(f"/{feed.id}/dead").json()["letters"] == []
