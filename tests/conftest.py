"""Fixtures: a real private cluster, one migrated template, a clone of it per test."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.cluster import Cluster
from app.database import make_engine, migrate

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL cluster of the tests' own, on an address no one else uses."""
    root = Path(tempfile.mkdtemp(prefix="wusetu-test-"))
    os.chmod(root, 0o755)
    one = Cluster(root)
    one.start()
    yield one
    one.stop()
    shutil.rmtree(root, ignore_errors=True)


def _admin(cluster: Cluster, *statements: str) -> None:
    engine = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.fixture(scope="session")
def template(cluster: Cluster) -> str:
    """Name of a database with the whole schema and no rows."""
    _admin(cluster, "create database wusetu_template")
    migrate(cluster.url("wusetu_template"))
    return "wusetu_template"


@pytest.fixture
def db_url(cluster: Cluster, template: str) -> Iterator[str]:
    """URL of an empty database of this test alone."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    _admin(cluster, f"create database {name} template {template}")
    yield cluster.url(name)
    _admin(cluster, f"drop database {name} with (force)")


@pytest.fixture
def engine(db_url: str) -> Iterator[sa.Engine]:
    """Engine on this test's database."""
    one = make_engine(db_url)
    yield one
    one.dispose()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The real data; tests that need it are skipped where it is not beside the project."""
    if not SHARED.exists():
        pytest.skip("the real data is not beside the project")
    return SHARED
