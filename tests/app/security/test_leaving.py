"""A client that hangs up stops what runs for it: a real server, a real socket, a real statement."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI

from app.database import transaction
from app.main import create_app
from app.services import accounts, accounts_login
from app.settings import CubeSettings, DatabaseSettings, LimitSettings, Settings

from ..conftest import install, until
from .conftest import PASSWORD, settings_of

COUNT = "/api/packs/small/areas/count"
AREA = {"area": {"unit": "330101"}, "start": "2022-01-01", "end": "2026-01-01"}


@contextmanager
def serving(app: FastAPI) -> Iterator[int]:
    """Port of a real server."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(timeout=60)
    assert not thread.is_alive()


def patient(url: str, pool_size: int = 8) -> Settings:
    """Settings of a server that never gives up by itself, and does nothing of its own accord."""
    return Settings(
        database=DatabaseSettings(url=url, pool_size=pool_size, statement_timeout_ms=0),
        cube=CubeSettings(check_seconds=0),
        limits=LimitSettings(heavy_wait_seconds=3600),
    )


@contextmanager
def locked(engine: sa.Engine, table: str) -> Iterator[None]:
    """Let every statement that reads the table wait for as long as the block takes."""
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql(f"lock table {table} in access exclusive mode")
        yield


def waiting(engine: sa.Engine) -> int:
    """Statements of the application that wait for a lock now."""
    with engine.connect() as connection:
        found: int = connection.exec_driver_sql(
            "select count(*) from pg_stat_activity where datname = current_database() "
            "and application_name = 'wusetu' and state = 'active' and wait_event_type = 'Lock'"
        ).scalar_one()
        return found


def ask(port: int, method: str, path: str, body: object = None) -> socket.socket:
    """Send a request and do not wait for its answer."""
    one = socket.create_connection(("127.0.0.1", port), timeout=60)
    sent = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    if sent:
        head += f"Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n"
    one.sendall(head.encode() + b"\r\n" + sent)
    return one


def status(one: socket.socket) -> int:
    """Status of the answer."""
    with closing(one):
        return int(one.recv(64).split()[1])


@pytest.mark.parametrize(
    ("table", "request_"),
    [
        ("run", ("GET", "/api/runs")),
        ("boundary_version", ("GET", "/api/packs/small/units/330101")),
        ("boundary_version", ("POST", COUNT, AREA)),  # read by the snapshots' own store
        ("run", ("GET", "/api/runs/1/export.csv?level=grid")),
    ],
)
def test_the_statement_of_a_client_that_left_is_cancelled(
    engine: sa.Engine, db_url: str, table: str, request_: tuple[str, str]
) -> None:
    install(engine)
    app = create_app(patient(db_url, pool_size=1))
    with serving(app) as port:
        with locked(engine, table):
            one = ask(port, *request_)
            until(lambda: waiting(engine) == 1)
            assert app.state.web.pool.checkedout() + app.state.engine.pool.checkedout() >= 1
            one.close()
            until(lambda: waiting(engine) == 0)  # while the lock is still held
            until(lambda: app.state.web.pool.checkedout() == 0)  # the one connection is free
            until(lambda: app.state.budgets.turns.running.total() == 0)
        # nothing is left behind: the same question is answered
        assert status(ask(port, *request_)) in {200, 404}
    with engine.connect() as connection:
        assert connection.exec_driver_sql("select count(*) from audit_entry").scalar_one() <= 1


def test_whoever_waits_for_a_turn_and_leaves_takes_none(engine: sa.Engine, db_url: str) -> None:
    install(engine)
    app = create_app(patient(db_url))
    turns = app.state.budgets.turns
    with serving(app) as port:
        with locked(engine, "boundary_version"):
            first = [ask(port, "POST", COUNT, AREA) for _ in range(turns.per_account)]
            until(lambda: turns.running.total() == turns.per_account)
            late = ask(port, "POST", COUNT, AREA)
            until(lambda: len(turns.queue) == 1)
            late.close()
            until(lambda: len(turns.queue) == 0)
            assert turns.running.total() == turns.per_account
        assert [status(one) for one in first] == [200] * turns.per_account


def test_changes_are_not_cut_short(engine: sa.Engine, db_url: str) -> None:
    settings = settings_of(db_url)
    with transaction(engine) as connection:
        made = accounts.create(connection, "desk", accounts.Role.viewer)
        link = accounts.new_link(connection, made.id, 1)
    accounts_login.use_link(engine, settings.accounts, link=link.secret, password=PASSWORD)
    with serving(create_app(settings)) as port:

        def sessions() -> int:
            with engine.connect() as connection:
                found: int = connection.exec_driver_sql(
                    "select count(*) from account_event where what = 'login'"
                ).scalar_one()
                return found

        before = sessions()
        with locked(engine, "account_session"):
            login = {"name": "desk", "password": PASSWORD}
            one = ask(port, "POST", "/api/session", login)
            until(lambda: waiting(engine) == 1)
            one.close()
        until(lambda: sessions() == before + 1)
