"""The application with accounts, on a database of its own, and desks that log in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.database import make_engine, transaction
from app.main import create_app
from app.security import passwords
from app.security.identity import Role
from app.services import accounts, accounts_login
from app.settings import AccountSettings, DatabaseSettings, Settings

from ..conftest import until

PASSWORD = "correct horse battery"
OTHER = "seven quiet lanterns"
SITE = "https://testserver"


def settings_of(url: str, **more: Any) -> Settings:
    """Settings of an application with accounts."""
    return Settings(
        access="accounts",
        database=DatabaseSettings(url=url, pool_size=4),
        accounts=AccountSettings(**more),
    )


@dataclass
class House:
    """The running application."""

    app: FastAPI
    engine: sa.Engine
    settings: Settings

    def browser(self, site: str = SITE, **more: Any) -> TestClient:
        """A browser nobody has logged in with."""
        return TestClient(self.app, base_url=site, follow_redirects=False, **more)

    def account(
        self, name: str, role: str = "viewer", password: str | None = PASSWORD, **more: Any
    ) -> int:
        """Make an account; with its password set by its link."""
        more.setdefault("prefixes", None)
        with transaction(self.engine) as connection:
            made = accounts.create(connection, name, Role(role), **more)
            link = accounts.new_link(connection, made.id, 1)
        if password is not None:
            accounts_login.use_link(
                self.engine, self.settings.accounts, link=link.secret, password=password
            )
            self.sql("delete from account_session where account_id = :id", id=made.id)
        return made.id

    def logged_in(self, name: str, password: str = PASSWORD, **more: Any) -> TestClient:
        """A browser that is logged in, and repeats its CSRF token by itself."""
        one = self.browser()
        answer = login(one, name, password, **more)
        assert answer.status_code == 204, answer.text
        one.headers["X-CSRF-Token"] = one.cookies["__Host-wusetu_csrf"]
        return one

    def desk(self, name: str, role: str = "viewer", **more: Any) -> TestClient:
        """A new account and a browser logged in with it."""
        self.account(name, role, **more)
        return self.logged_in(name)

    def sql(self, text: str, **values: Any) -> list[Any]:
        """Ask the database behind the application's back."""
        with self.engine.begin() as connection:
            found = connection.execute(sa.text(text), values)
            return list(found) if found.returns_rows else []

    def events(self) -> list[str]:
        """What happened to accounts, in order."""
        return [row.what for row in self.sql("select what from account_event order by id")]


def login(client: TestClient, name: str, password: str = PASSWORD, **more: Any) -> httpx.Response:
    """Try to log in."""
    return client.post("/api/session", json={"name": name, "password": password, **more})


def code_of(answer: httpx.Response) -> str:
    """Stable name of the error of an answer."""
    found: str = answer.json()["code"]
    return found


@pytest.fixture(autouse=True)
def _quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that take a millisecond; what the real ones cost is asked in `test_passwords`."""
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(1, 64, 1))
    monkeypatch.setattr(passwords, "_NOBODY", [])


@pytest.fixture
def open_house(db_url: str) -> Iterator[Callable[..., House]]:
    """Open the application with settings of one's own."""
    opened: list[tuple[TestClient, sa.Engine]] = []

    def opener(**more: Any) -> House:
        settings = settings_of(db_url, **more)
        app = create_app(settings)
        lifespan = TestClient(app, base_url=SITE)
        lifespan.__enter__()
        engine = make_engine(db_url)
        opened.append((lifespan, engine))
        until(lambda: app.state.doors.known.live)
        return House(app, engine, settings)

    yield opener
    for lifespan, engine in opened:
        lifespan.__exit__(None, None, None)
        engine.dispose()


@pytest.fixture
def house(open_house: Callable[..., House]) -> House:
    """The application with accounts, and none yet."""
    return open_house()
