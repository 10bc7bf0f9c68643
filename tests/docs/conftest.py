"""A place to follow pages in: a folder like the project's, a database, the commands on the path."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.settings import PROJECT

# the helpers beside this file, and those of the browser tests
sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).parent))

from docs_desk import Desk
from docs_pages import DOCS


def _database(cluster: Any, template: str) -> Iterator[str]:
    name = f"docs_{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name} template {template} strategy file_copy")
        yield cluster.url(name)
        connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()


@pytest.fixture(scope="session")
def model_url(cluster: Any, template: str) -> Iterator[str]:
    yield from _database(cluster, template)


@pytest.fixture(scope="session")
def empty_url(cluster: Any, template: str) -> Iterator[str]:
    """A database with the schema and no rows."""
    yield from _database(cluster, template)


@pytest.fixture
def fresh_url(cluster: Any) -> Iterator[str]:
    """A database with nothing in it, not even a schema."""
    yield from _database(cluster, "template0")


@pytest.fixture(scope="session")
def desk(model_url: str, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The desk of a reader who has followed the tutorial."""
    home = tmp_path_factory.mktemp("docs")
    folder = home / "wusetu"
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("data", "scripts", "Makefile"):
        (folder / name).symlink_to(PROJECT / name)
    for name in ("python", "wusetu"):
        (programs / name).symlink_to(Path(sys.executable).with_name(name))
    one = Desk(folder, model_url, home / "data")
    one.follow(DOCS / "zh" / "tutorial.md")
    return one
