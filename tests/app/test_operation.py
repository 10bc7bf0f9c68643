"""Health, readiness, numbers for Prometheus, log lines, and what is answered without a database."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from app.logs import ACCESS, JsonLines
from app.main import create_app
from app.services.kept import Answer, Kept, Spare

from .conftest import Assessed, settings_for, until

STALE = "x-wusetu-stale"
ONE = Answer(b'"1"', b"body", b"squeezed")
COPY = Spare(((b"content-type", b"text/plain"),), b"copy")


@pytest.fixture
def app(assessed: Assessed) -> FastAPI:
    return create_app(settings_for(assessed.url))


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as one:
        until(lambda: app.state.kept.live)
        yield one


# health ------------------------------------------------------------------------------------------
def test_alive_and_ready_say_nothing_else(client: TestClient) -> None:
    assert client.get("/api/health/live").json() == {"live": True}
    assert client.get("/api/health/ready").json() == {"ready": True}
    assert client.get("/api/health/ready").headers["cache-control"] == "no-store"
    # probes know the machine by any address
    assert client.get("/api/health/ready", headers={"Host": "10.1.2.3"}).status_code == 200


def test_not_ready_without_a_database_but_alive() -> None:
    with TestClient(create_app(settings_for("postgresql://x@127.0.0.1:1/none"))) as client:
        answer = client.get("/api/health/ready")
        assert (answer.status_code, answer.json()) == (503, {"ready": False})
        assert client.get("/api/health/live").status_code == 200
        assert samples(client)["wusetu_database_up"] == [({}, 0.0)]


def test_an_older_schema_is_not_ready_and_a_newer_one_is(engine: sa.Engine, db_url: str) -> None:
    for revision, status in (("0000", 503), ("9999", 200)):
        with engine.begin() as connection:
            connection.execute(
                sa.text("update alembic_version set version_num = :one"), {"one": revision}
            )
        with TestClient(create_app(settings_for(db_url))) as client:
            assert client.get("/api/health/ready").status_code == status
            schema = next(
                one for one in client.get("/api/health").json()["components"]
                if one["name"] == "schema"
            )  # fmt: skip
            assert (schema["ok"], schema["version"]) == (status == 200, revision)


# numbers -----------------------------------------------------------------------------------------
def samples(client: TestClient) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for one in family.samples:
            found.setdefault(one.name, []).append((one.labels, one.value))
    return found


def test_requests_are_counted_by_route_and_never_by_address(
    client: TestClient, assessed: Assessed
) -> None:
    for code in ("330101", "330102", "33010299999"):
        client.get(f"/api/runs/{assessed.run}/units/{code}/why")
    for _ in range(2):  # by its route, then from memory
        assert client.get(f"/api/runs/{assessed.run}/values/grid/theft/month/5").is_success
    client.get("/api/runs/x/summary?level=grid")
    client.get(f"/tiles/{'0' * 64}/1/0/0.mvt")
    for stranger in ("/api/330101", "/330101", "/api/runs/1/units/330101"):
        client.get(stranger)
    client.request("BREW", "/api/manifest")
    found = samples(client)
    routes = {labels["route"]: 0.0 for labels, _ in found["wusetu_requests_total"]}
    for labels, value in found["wusetu_requests_total"]:
        routes[labels["route"]] += value
    assert routes["/api/runs/{run}/units/{code}/why"] == 3
    assert routes["/api/runs/{run}/values/{level}/{kind}/{period}/{ord}"] == 2
    assert routes["/tiles/{digest}/{z}/{x}/{y}.mvt"] == 1
    assert routes["/api/runs/{run}/summary"] == 1
    assert {"none", "page"} <= routes.keys()
    text = client.get("/metrics").text
    assert "330101" not in text
    assert "BREW" not in text
    assert not re.search(r'route="[^"]*[0-9]', text)
    used = {labels["state"] for labels, _ in found["wusetu_pool_connections"]}
    assert used == {"used", "idle", "size"}
    assert found["wusetu_run_age_seconds"][0][0] == {"pack": "small"}
    assert found["wusetu_run_age_seconds"][0][1] > 0
    assert found["wusetu_kept_answers"] == [({}, 1.0)]
    assert found["wusetu_database_up"] == [({}, 1.0)]


def test_errors_are_counted(
    app: FastAPI, assessed: Assessed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TestClient(app, raise_server_exceptions=False) as client:
        monkeypatch.setattr("app.services.summary.summary", None)
        address = f"/api/runs/{assessed.run}/summary?level=grid&ord=21"
        assert client.get(address).status_code == 500
        assert samples(client)["wusetu_errors_total"] == [({"route": "/api/runs/{run}/summary"}, 1)]


# log lines ---------------------------------------------------------------------------------------
def test_a_line_per_request_and_nothing_of_what_was_asked(
    client: TestClient, assessed: Assessed
) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    log = logging.getLogger(ACCESS)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        client.get(
            f"/api/runs/{assessed.run}/units/330101/why?kind=theft&ord=21",
            headers={"X-Request-ID": "mine"},
        )
        client.get("/api/packs/small/search?q=secret-street-5")
        client.get("/secret-street-5")
    finally:
        log.removeHandler(handler)
        log.setLevel(logging.NOTSET)
    lines = [json.loads(one) for one in stream.getvalue().splitlines()]
    assert [one["route"] for one in lines] == [
        "/api/runs/{run}/units/{code}/why",
        "/api/packs/{pack}/search",
        "page",
    ]
    assert lines[0]["request_id"] == "mine"
    assert (lines[0]["status"], lines[0]["method"], lines[0]["account"]) == (200, "GET", None)
    assert lines[0]["ms"] > 0
    assert "330101" not in stream.getvalue()
    assert "secret" not in stream.getvalue()


def test_an_exception_is_told_without_its_words() -> None:
    try:
        raise ValueError("at 120.15507, 30.27415")
    except ValueError:
        record = logging.getLogger("x").makeRecord(
            "x", logging.ERROR, __file__, 1, "request %s", ("7",), sys_exc_info()
        )
    line = json.loads(JsonLines().format(record))
    assert line["exception"] == "builtins.ValueError"
    assert "test_operation.py" in line["trace"][0]
    assert "120.15" not in json.dumps(line)


def sys_exc_info():  # type: ignore[no-untyped-def]
    import sys

    return sys.exc_info()


# without a database ------------------------------------------------------------------------------
def test_copies_are_given_only_while_the_line_is_lost_and_no_run_went() -> None:
    kept = Kept()
    kept.renew(live=True)
    kept.keep("/a", ONE, kept.generation)
    kept.spare("/b", COPY, kept.generation)
    assert kept.last("/a") is None
    kept.renew(live=False)
    lost = kept.lost
    kept.renew(live=False)  # each failed attempt to come back says so
    assert kept.find("/a") is None
    assert kept.last("/a") == (ONE, lost)
    assert kept.spared("/b") == (COPY, lost)
    kept.spare("/c", COPY, kept.generation)
    assert kept.spared("/c") is None, "nothing is copied unheard"
    kept.renew(live=True)
    assert (kept.last("/a"), kept.spared("/b"), kept.lost) == (None, None, None)


def test_copies_go_with_their_run() -> None:
    kept = Kept()
    kept.renew(live=True)
    began = kept.generation
    kept.keep("/a", ONE, began)
    kept.spare("/b", COPY, began)
    kept.announced("1")
    kept.keep("/a", ONE, began)
    kept.spare("/b", COPY, began)
    kept.renew(live=False)
    assert kept.last("/a") is None
    assert kept.spared("/b") is None


def test_each_failure_has_its_own_beginning() -> None:
    kept = Kept()
    kept.renew(live=True)
    kept.spare("/a", COPY, kept.generation)
    first = kept.spared("/a")
    assert first == kept.spared("/a")
    kept.well()
    second = kept.spared("/a")
    assert first is not None
    assert second is not None
    assert second[1] > first[1]


def test_the_least_recently_given_copy_goes_first() -> None:
    kept = Kept(spares=2)
    kept.renew(live=True)
    for name in ("/a", "/b", "/c"):
        kept.spare(name, COPY, kept.generation)
    assert [kept.has_spare(one) for one in ("/a", "/b", "/c")] == [False, True, True]
    kept.spare("/b", None, kept.generation)
    assert not kept.has_spare("/b")


def test_busy_connections_leave_what_was_asked_before(
    assessed: Assessed, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(settings_for(assessed.url))
    with TestClient(app) as client:
        until(lambda: app.state.kept.live)
        addresses = [
            "/api/manifest",
            f"/api/runs/{assessed.run}/summary?level=grid&ord=21",
            f"/api/runs/{assessed.run}/units/330101/why?ord=21",
        ]
        etag = client.get(addresses[0]).headers["etag"]
        app.state.kept.renew(live=True)
        # what the browser has is asked for once more: there is no copy of it
        assert client.get(addresses[0], headers={"If-None-Match": etag}).status_code == 200
        assert client.get(addresses[0], headers={"If-None-Match": etag}).status_code == 304
        before = [client.get(one) for one in addresses]
        app.state.web.pool._timeout = 0.05
        taken = [app.state.web.connect() for _ in range(app.state.web.pool.size())]
        try:
            for address, was in zip(addresses, before, strict=True):
                answer = client.get(address)
                assert answer.json() == was.json()
                assert STALE in answer.headers
                assert answer.headers["cache-control"] == "no-store"
            assert client.get(f"{addresses[1]}&kind=fire").status_code == 503
        finally:
            for one in taken:
                one.close()
        again = client.get(addresses[1])
        assert again.status_code == 200
        assert STALE not in again.headers
        assert samples(client)["wusetu_stale_answers_total"] == [({}, 3.0)]


def test_a_copy_is_not_given_to_whom_may_not_see(assessed: Assessed) -> None:
    from app.api.stale import SPARED

    assert not SPARED.fullmatch("/api/runs/1/export.csv")
    assert not SPARED.fullmatch("/api/runs/1/units/a/b/why")
