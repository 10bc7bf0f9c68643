"""Errors over HTTP: one body, stable codes, no internals, headers on every answer."""

from __future__ import annotations

import logging

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.api.dependencies import StoreDep
from app.api.models import ErrorBody
from app.database import make_engine, raw
from app.main import create_app

from .conftest import HOT, settings_for


def _error(answer, status: int, code: str) -> ErrorBody:
    assert answer.status_code == status, answer.text
    body = ErrorBody.model_validate(answer.json())
    assert body.code == code
    assert body.request_id == answer.headers["x-request-id"]
    assert answer.headers["cache-control"] == "no-store"
    return body


@pytest.mark.parametrize(
    "address",
    [
        "/api/nothing",
        "/api/runs/99",
        "/api/runs/99/summary?level=grid",
        "/api/runs/1/values/street/overall/month/0",
        "/api/runs/1/values/grid/noise/month/0",
        "/api/runs/1/values/grid/overall/month/22",
        "/api/runs/1/summary?level=street",
        "/api/runs/1/ranking?level=grid&within=9999",
        "/api/runs/1/units/9999/why",
        "/api/runs/1/units/9999/series",
        "/api/runs/1/export.csv?level=street",
        "/api/runs/1/export.gpkg?level=grid&kind=noise",
        "/api/packs/big/units/3301",
        "/api/packs/small/units/9999",
        "/api/packs/small/units/9999/children",
        "/api/packs/big/search?q=a",
        "/no/such/page",
    ],
)
def test_what_is_not_there(client: TestClient, address: str) -> None:
    _error(client.get(address), 404, "not_found")


@pytest.mark.parametrize(
    ("address", "field", "reason"),
    [
        ("/api/manifest?pack=small", "query.pack", "unknown parameter; allowed: none"),
        ("/api/runs?packs=small", "query.packs", "unknown parameter; allowed: pack"),
        ("/api/runs?pack=small&pack=big", "query.pack", "given twice"),
        ("/api/runs/1/summary?level=grid&whitin=3301", "query.whitin", "allowed: kind, level"),
        ("/api/runs/1/summary", "query.level", "required"),
        ("/api/runs/1/summary?level=grid&period=week", "query.period", "'month', 'quarter'"),
        ("/api/runs/1/summary?level=grid&ord=-1", "query.ord", "greater than or equal to 0"),
        ("/api/runs/1/summary?level=grid&ord=one", "query.ord", "integer"),
        ("/api/runs/1/summary?level=grid%27", "query.level", "pattern"),
        ("/api/runs/1/ranking?level=grid&limit=0", "query.limit", "greater than or equal to 1"),
        ("/api/runs/0", "path.run", "greater than or equal to 1"),
        ("/api/runs/one", "path.run", "integer"),
        ("/api/runs/1/values/grid/overall/week/0", "path.period", "'month', 'quarter'"),
        ("/api/packs/small/search", "query.q", "required"),
        ("/api/packs/small/search?q=" + "a" * 65, "query.q", "pattern"),
        ("/api/packs/small/search?q=%00", "query.q", "pattern"),
        ("/api/packs/small/units/33%00", "path.code", "pattern"),
        ("/api/packs/Small!/units/1", "path.pack", "pattern"),
    ],
)
def test_what_is_malformed_is_named(
    client: TestClient, address: str, field: str, reason: str
) -> None:
    body = _error(client.get(address), 422, "invalid")
    assert [row["field"] for row in body.detail] == [field]
    assert reason in body.detail[0]["reason"]
    assert field in body.message


@pytest.mark.parametrize("address", ["/api/health", "/api/manifest", "/api/nope", "/"])
def test_head_is_get_without_the_body(client: TestClient, address: str) -> None:
    got, head = client.get(address), client.head(address)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


@pytest.mark.parametrize("address", ["/api/runs", "/api/packs/small/units/1", "/api/openapi.json"])
def test_no_answer_is_kept_unless_it_says_so(client: TestClient, address: str) -> None:
    assert client.get(address).headers["cache-control"] in {"private, no-cache", "no-store"}


@pytest.mark.parametrize("address", ["/api/manifest", "/api/runs/1/summary", "/", "/index.html"])
def test_a_wrong_method(client: TestClient, address: str) -> None:
    _error(client.post(address), 405, "method_not_allowed")


def test_an_unexpected_error_shows_nothing_and_logs_everything(
    db_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make_engine(db_url)
    with engine.begin() as connection:
        connection.execute(sa.text("drop table packed_values cascade"))
        connection.execute(sa.text("alter table run rename column pack to secret_name"))
    engine.dispose()
    with TestClient(create_app(settings_for(db_url))) as client, caplog.at_level(logging.ERROR):
        answer = client.get("/api/manifest", headers={"X-Request-ID": "wall-7"})
    body = _error(answer, 500, "internal")
    assert body.request_id == "wall-7"
    assert "secret_name" not in answer.text
    assert "select" not in answer.text
    assert body.detail is None
    assert "request wall-7: GET /api/manifest" in caplog.text
    assert "does not exist" in caplog.text


def test_a_database_that_does_not_answer(cluster: object) -> None:
    url = cluster.url("no_such_database")  # type: ignore[attr-defined]
    with TestClient(create_app(settings_for(url))) as client:
        body = _error(client.get("/api/manifest"), 503, "unavailable")
        assert "no_such_database" not in body.message
        health = client.get("/api/health")
        assert health.status_code == 503
        assert health.json()["ok"] is False
        assert [one["name"] for one in health.json()["components"]] == ["wusetu", "postgresql"]


@pytest.mark.parametrize("bare", [False, True])
def test_a_statement_that_takes_too_long(db_url: str, bare: bool) -> None:
    app = create_app(settings_for(db_url))

    @app.get("/api/slow")
    def slow(store: StoreDep) -> None:
        with store.read() as connection:
            if bare:  # as COPY does it, past the engine's own error classes
                raw(connection).cursor().execute("select pg_sleep(60)")
            else:
                connection.execute(sa.text("select pg_sleep(60)"))

    # routes added after the front end's catch-all are still before it for addresses under /api
    app.state.settings.database.statement_timeout_ms = 500
    with TestClient(app) as client:
        body = _error(client.get("/api/slow"), 503, "unavailable")
    assert "too long" in body.message


def test_too_many_at_once_are_told_to_come_back(db_url: str) -> None:
    settings = settings_for(db_url)
    settings.database.pool_size = 1
    with TestClient(create_app(settings)) as client:
        client.app.state.web.pool._timeout = 0.2  # type: ignore[attr-defined]
        with client.app.state.web.connect():  # type: ignore[attr-defined]
            body = _error(client.get("/api/manifest"), 503, "unavailable")
    assert "busy" in body.message


@pytest.mark.parametrize(
    ("given", "kept"), [("a-1.B_2", True), ("x" * 65, False), ("a b", False), ("a\tb", False)]
)
def test_a_request_id_is_passed_on_when_it_is_safe(
    client: TestClient, given: str, kept: bool
) -> None:
    answer = client.get("/api/runs", headers={"X-Request-ID": given})
    assert (answer.headers["x-request-id"] == given) is kept


@pytest.mark.parametrize(
    "address",
    ["/", "/api/manifest", "/api/runs/99", "/api/nothing", f"/api/runs/1/units/{HOT}/why"],
)
def test_security_headers_are_everywhere(client: TestClient, address: str) -> None:
    headers = client.get(address).headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy["script-src"] == "'self'"
    assert policy["worker-src"] == "'self' blob:"
    assert policy["connect-src"] == "'self'"
    assert "unsafe-inline" not in policy["style-src"] + policy["default-src"]
    assert "unsafe-eval" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert "access-control-allow-origin" not in headers
