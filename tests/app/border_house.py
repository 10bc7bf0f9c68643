"""A house at a border: the small map, its two counties as sides, a desk of every kind on both."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.database import make_engine, transaction
from app.main import create_app
from app.security.identity import MAY, Role
from app.services import accounts, accounts_tokens
from app.settings import AccountSettings, CubeSettings, DatabaseSettings, Settings

from .conftest import Small, install

MINE, THEIRS, DEEP = "330101", "330102", "330101001"
#: The line the two counties share, and a place of each.
LON, SOUTH, NORTH = 120.0, 29.0, 30.0
NAMES = {MINE: "mine", THEIRS: "theirs", DEEP: "deep", None: "all"}


@dataclass
class House:
    """The house, in a database of its own."""

    url: str
    engine: sa.Engine
    small: Small
    tokens: dict[tuple[str, str | None], str]
    ids: dict[tuple[str, str | None], int]
    data_dir: Path

    def settings(self) -> Settings:
        """Settings of the application."""
        return Settings(
            access="accounts",
            database=DatabaseSettings(url=self.url, pool_size=4),
            accounts=AccountSettings(),
            cube=CubeSettings(check_seconds=0),
            data_dir=self.data_dir,
        )

    def app(self) -> TestClient:
        """The application."""
        return TestClient(create_app(self.settings()), follow_redirects=False)

    def as_(self, role: str, prefix: str | None) -> dict[str, str]:
        """Headers of a program of that role and jurisdiction."""
        return {"Authorization": f"Bearer {self.tokens[role, prefix]}"}


def house(cluster: Any, template: str, data_dir: Path) -> Iterator[House]:
    """Make the house, and take it down."""
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    name = f"b_{uuid.uuid4().hex[:12]}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name} template {template} strategy file_copy")
    url = cluster.url(name)
    engine = make_engine(url)
    small = install(engine)
    tokens: dict[tuple[str, str | None], str] = {}
    ids: dict[tuple[str, str | None], int] = {}
    roles = (Role.viewer, Role.border_officer, Role.dispatcher, Role.admin, Role.grid_worker)
    with transaction(engine) as connection:
        for role, prefix in itertools.product(roles, (MINE, THEIRS, DEEP, None)):
            made = accounts.create(
                connection, f"{role}-{NAMES[prefix]}", role, kind="program",
                prefixes=None if prefix is None else [prefix],
            )  # fmt: skip
            ids[role, prefix] = made.id
            _, tokens[role, prefix] = accounts_tokens.create(
                connection, account=made.id, title="border", scopes=sorted(MAY[role]), days=1,
                longest=1,
            )  # fmt: skip
    yield House(url, engine, small, tokens, ids, data_dir)
    engine.dispose()
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()
