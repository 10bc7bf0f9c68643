"""The small map, assessed, with tiles, and the application with desks of two jurisdictions."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.database import make_engine, transaction
from app.main import create_app
from app.security.identity import MAY, Role
from app.services import accounts, accounts_tokens, tile_archives
from app.services.assess import assess
from app.settings import AccountSettings, DatabaseSettings, Settings

from ..conftest import Small, install

MINE, DEEP = "330101", "330102001"
BOTH = f"{MINE} {DEEP}"  # a county, and a town of another one
NAMES = {MINE: "mine", DEEP: "deep", BOTH: "both", None: "all"}


@dataclass(frozen=True)
class Shop:
    """What the tests of a file share: read only."""

    small: Small
    url: str
    engine: sa.Engine
    run: int
    data_dir: Path
    client: TestClient
    tokens: dict[tuple[str, str | None], str]

    def get(self, path: str, role: str = "analyst", prefix: str | None = None) -> Any:
        """Ask as a program of that role and jurisdiction."""
        token = self.tokens[role, prefix]
        return self.client.get(path, headers={"Authorization": f"Bearer {token}"})

    def file(self, path: str, to: Path, prefix: str | None = None) -> Path:
        """A file the application answers, stored."""
        answer = self.get(path, prefix=prefix)
        assert answer.status_code == 200, answer.text
        to.write_bytes(answer.content)
        return to


@pytest.fixture(scope="session")
def shop(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    name = f"x_{uuid.uuid4().hex[:12]}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name} template {template} strategy file_copy")
    url = cluster.url(name)
    engine = make_engine(url)
    small = install(engine)
    with engine.begin() as connection:
        connection.execute(
            sa.text("update boundary_version set source = 'drawn here', licence = 'CC0 1.0'")
        )
    run = assess(engine, "small", "nine-kinds", zone="Asia/Shanghai")
    data_dir = tmp_path_factory.mktemp("shop")
    tile_archives.build(engine, small.version, data_dir / "archives")
    tokens: dict[tuple[str, str | None], str] = {}
    with transaction(engine) as connection:
        for role, prefix in (("analyst", None), ("analyst", MINE), ("analyst", DEEP), ("analyst", BOTH),
                             ("viewer", None), ("auditor", None)):  # fmt: skip
            made = accounts.create(
                connection, f"{role}-{NAMES[prefix]}", Role(role), kind="program",
                prefixes=None if prefix is None else prefix.split(),
            )  # fmt: skip
            _, tokens[role, prefix] = accounts_tokens.create(
                connection, account=made.id, title="files", scopes=sorted(MAY[Role(role)]),
                days=1, longest=1,
            )  # fmt: skip
    settings = Settings(
        access="accounts",
        database=DatabaseSettings(url=url, pool_size=2),
        accounts=AccountSettings(),
        data_dir=data_dir,
    )
    with TestClient(create_app(settings), follow_redirects=False) as client:
        yield Shop(small, url, engine, run, data_dir, client, tokens)
    engine.dispose()
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()
