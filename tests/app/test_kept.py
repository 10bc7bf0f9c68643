"""Answers kept ready: right while they are kept, gone with their run, never kept unheard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.main import create_app
from app.services import values as values_service
from app.services.assess import assess
from app.services.kept import Answer, Kept

from .conftest import Assessed, Small, settings_for, until

ONE = Answer(b'"1"', b"body", b"squeezed")


def test_nothing_is_kept_while_nobody_listens() -> None:
    kept = Kept()
    kept.keep("/a", ONE, kept.generation)
    assert len(kept) == 0
    kept.renew(live=True)
    kept.keep("/a", ONE, kept.generation)
    assert kept.find("/a") == ONE
    kept.renew(live=False)
    assert kept.find("/a") is None


def test_an_answer_of_an_older_generation_is_not_kept() -> None:
    kept = Kept()
    kept.renew(live=True)
    began = kept.generation
    kept.renew(live=True)  # a run went while the answer was being made
    kept.keep("/a", ONE, began)
    assert kept.find("/a") is None


def test_the_least_recently_used_goes_first() -> None:
    kept = Kept(size=2)
    kept.renew(live=True)
    for address in ("/a", "/b"):
        kept.keep(address, ONE, kept.generation)
    kept.find("/a")
    kept.keep("/c", ONE, kept.generation)
    assert [kept.find(one) is not None for one in ("/a", "/b", "/c")] == [True, False, True]


@pytest.fixture
def client(assessed: Assessed) -> Iterator[TestClient]:
    app = create_app(settings_for(assessed.url))
    with TestClient(app) as one:
        until(lambda: app.state.kept.live)
        yield one


def test_a_kept_answer_is_the_routes_answer(
    client: TestClient, assessed: Assessed, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"/api/runs/{assessed.run}/values/grid/theft/month/5"
    encodings = ("identity", "gzip")
    made = [client.get(address, headers={"Accept-Encoding": one}) for one in encodings]
    # from here on the route cannot answer
    monkeypatch.setattr(values_service, "compressed", None)
    for before, encoding in zip(made, encodings, strict=True):
        after = client.get(address, headers={"Accept-Encoding": encoding})
        assert after.content == before.content
        ours = {**after.headers, "x-request-id": ""}
        assert ours == {**before.headers, "x-request-id": ""}
    etag = made[0].headers["etag"]
    again = client.get(address, headers={"If-None-Match": f'"x", {etag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"].startswith("private")


def test_a_query_or_another_method_is_the_routes_business(
    client: TestClient, assessed: Assessed
) -> None:
    address = f"/api/runs/{assessed.run}/values/grid/theft/month/5"
    assert client.get(address).status_code == 200
    assert client.get(address, params={"level": "town"}).status_code == 422
    assert client.post(address).status_code == 405


def test_answers_go_when_the_run_is_pruned_failed_or_truncated(
    engine: sa.Engine, db_url: str, small: Small
) -> None:
    app = create_app(settings_for(db_url))
    with TestClient(app) as client:
        for statement in (
            "delete from run",
            "update run set status = 'failed'",
            "truncate run cascade",
        ):
            run = assess(engine, "small", finest="town", zone="Asia/Shanghai")
            until(lambda: app.state.kept.live)
            address = f"/api/runs/{run}/values/town/fire/month/0"
            until(
                lambda address=address: client.get(address).is_success and len(app.state.kept) > 0
            )  # type: ignore[misc]
            with engine.begin() as connection:
                connection.execute(sa.text(statement))
            until(lambda address=address: client.get(address).status_code == 404)  # type: ignore[misc]


def test_a_lost_connection_forgets_and_comes_back(
    engine: sa.Engine, db_url: str, small: Small
) -> None:
    app = create_app(settings_for(db_url))
    with TestClient(app):
        until(lambda: app.state.kept.live)
        generation = app.state.kept.generation
        with engine.begin() as connection:
            ended = connection.scalar(
                sa.text(
                    "select count(pg_terminate_backend(pid)) from pg_stat_activity "
                    "where application_name = 'wusetu run watch' "
                    "and datname = current_database()"
                )
            )
        assert ended == 1
        # one renewal for the loss, one for the return
        until(lambda: app.state.kept.live and app.state.kept.generation >= generation + 2)
