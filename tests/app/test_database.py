"""The schema can be made, and every table and column says what it holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.cluster import Cluster
from app.database import migrate, newest_revision, open_engine, schema_revision
from app.docsite.catalogue import read
from app.errors import Invalid, Unavailable
from app.settings import DatabaseSettings, Settings


def test_every_table_and_column_is_commented(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        found = read(connection).relations
    bare = [one.name for one in found if not one.comment]
    bare += [f"{one.name}.{name}" for one in found for name, _, text in one.columns if not text]
    assert len(found) > 80
    assert bare == []


def test_a_command_refuses_a_foreign_schema_it_does_not_fit(cluster: Cluster) -> None:
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql("create database bare_schema")
    settings = Settings(database=DatabaseSettings(url=cluster.url("bare_schema")))
    try:
        with pytest.raises(Unavailable, match="wusetu db migrate"):
            open_engine(settings)
        migrate(cluster.url("bare_schema"))
        engine = open_engine(settings)
        assert schema_revision(engine) == newest_revision()
        engine.dispose()
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql("drop database bare_schema with (force)")
        admin.dispose()


@pytest.mark.parametrize(
    "url", ["garbage", "mysql://me:secret@host/db", "postgresql://me:secret@host:x/db"]
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(Invalid, match="WUSETU_DATABASE_URL is no postgresql:// address") as caught:
        open_engine(Settings(database=DatabaseSettings(url=url)))
    assert "secret" not in caught.value.message


def test_a_server_that_is_not_there_is_named_with_its_reason() -> None:
    url = "postgresql://me:secret@127.0.0.1:1/db"
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1, port 1 .*refused") as caught:
        open_engine(Settings(database=DatabaseSettings(url=url)))
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("command", [["boundaries", "list"], ["db", "migrate"], ["serve"]])
def test_commands_say_that_the_server_is_not_there(command: list[str], tmp_path: Path) -> None:
    # a process of its own: serving changes the handlers of signals
    more = ["--port", "0"] if command == ["serve"] else []
    found = subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", *command, *more],
        env=os.environ
        | {
            "WUSETU_DATABASE_URL": "postgresql://me:secret@127.0.0.1:1/db",
            "WUSETU_DATA_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 2
    assert found.stderr.startswith("wusetu: the database at 127.0.0.1, port 1 does not answer: ")
    assert len(found.stderr.splitlines()) == 1
