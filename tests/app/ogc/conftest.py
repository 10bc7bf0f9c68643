"""The small map with cells, tiles, zones, facilities and jobs, and the application in a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h3
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.database import make_engine, transaction
from app.main import create_app
from app.security.identity import MAY, Role
from app.services import accounts, accounts_tokens, tile_archives
from app.services.assess import assess
from app.settings import PROJECT, DatabaseSettings, Settings

from ..conftest import Small, install
from ..test_cells import scatter

RES = 6
MINE, THEIRS = "330101", "330102"
HOT = [h3.latlng_to_cell(29.5, lon, RES) for lon in (119.5, 120.5)]
#: The server in a process of its own: GDAL holds the interpreter while it waits for an answer.
SERVE = """
import sys, uvicorn
from app.main import application
one = uvicorn.Server(uvicorn.Config(application, factory=True, host="127.0.0.1", port=0, log_level="warning"))
started = one.startup
async def startup(sockets=None):
    await started(sockets=sockets)
    print(one.servers[0].sockets[0].getsockname()[1], flush=True)
one.startup = startup
one.run()
"""


@dataclass
class House:
    """A map with everything the standards' room shows."""

    small: Small
    url: str
    engine: sa.Engine
    run: int
    data: Path
    tokens: dict[tuple[str, str | None], str]

    def settings(self, **more: Any) -> Settings:
        """Settings of an application on it."""
        return Settings(
            data_dir=self.data, database=DatabaseSettings(url=self.url, pool_size=2), **more
        )

    def as_(self, role: str, prefix: str | None) -> dict[str, str]:
        """Headers of a program."""
        return {"Authorization": f"Bearer {self.tokens[role, prefix]}"}


@pytest.fixture(scope="session")
def house(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    name = f"o_{uuid.uuid4().hex[:12]}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name} template {template} strategy file_copy")
    url = cluster.url(name)
    engine = make_engine(url)
    small = install(engine)
    scatter(engine, small)
    run = assess(engine, "small", "nine-kinds", zone="Asia/Shanghai", cells=(RES,))
    data = tmp_path_factory.mktemp("ogc")
    tile_archives.build(engine, small.version, data / "archives")
    tokens: dict[tuple[str, str | None], str] = {}
    with transaction(engine) as connection:
        for role in Role:
            for prefix in (MINE, THEIRS, None):
                made = accounts.create(
                    connection, f"{role}-{prefix or 'all'}", role, kind="program",
                    prefixes=None if prefix is None else [prefix],
                )  # fmt: skip
                _, tokens[role, prefix] = accounts_tokens.create(
                    connection, account=made.id, title="ogc", scopes=sorted(MAY[role]), days=1,
                    longest=1,
                )  # fmt: skip
    furnish(engine)
    yield House(small, url, engine, run, data, tokens)
    engine.dispose()
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()


def furnish(engine: sa.Engine) -> None:
    """Enter zones, checkpoints, devices, sites, and what jobs of two accounts found."""
    statements = (
        (
            "insert into zone (pack, name, side, sides) values ('small', '联防一区', '330101', '{330101,330102}'), "
            "('small', 'their draft', '330102', '{330102}')"
        ),
        (
            "insert into zone_version (zone_id, version, state, side, sides, units, valid_from, geom) "
            "select id, 1, case when cardinality(sides) > 1 then 'live' else 'draft' end, side, "
            "'{330101,330102}', '{330101,330102}', '2024-03-01Z', "
            "st_multi(st_makeenvelope(119.9, 29.4, 120.1, 29.6, 4326)) from zone order by id"
        ),
        (
            "insert into checkpoint (pack, code, side, name, kind, geom) values "
            "('small', 'cp-1', '330101', '一号卡', 'road', 'SRID=4326;POINT(119.95 29.5)')"
        ),
        (
            "insert into device (pack, reference, kind, side, code, located_by, place, geom) values "
            "('small', 'd-1', 'smoke', '330101', '330101001', 'point', '烟感', 'SRID=4326;POINT(119.2 29.2)'), "
            "('small', 'd-2', 'smoke', '330102', '330102001', 'point', 'theirs', 'SRID=4326;POINT(120.9 29.9)')"
        ),
        (
            "insert into scene_unit (pack, code, level, name, place, geom) values "
            "('small', 'site-1', 'site', '工地', '330101001', 'SRID=4326;POINT(119.3 29.3)'), "
            "('small', 'site-2', 'site', 'their site', '330102001', 'SRID=4326;POINT(120.3 29.3)'), "
            "('small', 'site-3', 'site', 'nowhere', '330101001', null)"
        ),
    )
    scan = {
        "type": "scan", "covered_start": "2024-01-01T00:00:00+08:00",
        "covered_end": "2024-03-01T00:00:00+08:00",
        "clusters": [
            {"rank": 1, "centre": [119.5, 29.5], "metres": 0.0, "cells": HOT[:1],
             "start": "2024-02-01T00:00:00+08:00", "end": "2024-03-01T00:00:00+08:00",
             "observed": 31, "expected": 9.5, "relative_risk": 3.4, "llr": 9.0, "p": 0.001,
             "significant": True},
        ],
    }  # fmt: skip
    gi = {
        "type": "gi", "covered_start": "2024-01-01T00:00:00+08:00",
        "covered_end": "2024-03-01T00:00:00+08:00",
        "cells": {
            "cell": [*HOT, h3.latlng_to_cell(29.9, 119.9, RES)], "observed": [9, 8, 7],
            "expected": [1.5, 20.5, 7.0], "residual": [1.0, -1.0, 0.0], "z": [3.0, -3.0, 0.1],
            "p": [0.003, 0.003, 0.9], "found": ["hot", "cold", "none"],
        },
    }  # fmt: skip
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
        for account in (None, "analyst-330101"):
            for kind, body in (("scan", scan), ("gi", gi)):
                job = connection.execute(
                    sa.text(
                        "insert into analysis_job (type, state, pack, question, account_id, prefixes, "
                        "rows, expires_at) select :kind, 'done', 'small', cast(:question as jsonb), "
                        "(select id from account where name = :name), "
                        "(select prefixes from account where name = :name), 77, 'infinity' returning id"
                    ),
                    {
                        "kind": kind, "name": account,
                        "question": json.dumps(
                            {"type": kind, "pack": "small", "start": "2024-01-01", "end": "2024-03-01"}
                        ),
                    },
                ).scalar_one()  # fmt: skip
                connection.execute(
                    sa.text("insert into analysis_result values (:job, 'json', :body)"),
                    {"job": job, "body": zlib.compress(json.dumps(body).encode())},
                )


@pytest.fixture(scope="session")
def client(house: House) -> Iterator[TestClient]:
    """The application on one machine."""
    with TestClient(create_app(house.settings()), follow_redirects=False) as one:
        yield one


@pytest.fixture(scope="session")
def many(house: House) -> Iterator[TestClient]:
    """The same with accounts."""
    made = create_app(house.settings(access="accounts"))
    with TestClient(made, follow_redirects=False) as one:
        yield one


@contextmanager
def process(house: House, **more: str) -> Iterator[str]:
    """Address of the application in a process of its own."""
    environment = {
        **os.environ, "WUSETU_DATABASE_URL": house.url, "WUSETU_DATA_DIR": str(house.data),
        "WUSETU_JOBS_AT_ONCE": "0", **more,
    }  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", SERVE],
        env=environment,
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    ) as one:
        try:
            assert one.stdout is not None
            port = one.stdout.readline().strip()
            assert port, "the server did not start"
            yield f"http://127.0.0.1:{port}"
        finally:
            one.terminate()
            one.wait(60)


@pytest.fixture(scope="session")
def address(house: House) -> Iterator[str]:
    """Address of the application on one machine, in a process."""
    with process(house) as one:
        yield one
