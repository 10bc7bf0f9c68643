"""From the first schema to the newest with rows in it, and what lets old programs run meanwhile."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from fastapi.testclient import TestClient

from app.database import SCHEMA, make_engine, migrate, newest_revision, raw, schema_revision
from app.main import create_app
from app.settings import PROJECT

from .conftest import Assessed, install, settings_for

FIRST = "0001"
#: Tables of a run, as far as the first schema has them; parents first.
RUN_TABLES = ("run", "run_period", "run_unit", "run_rate", "assessment", "packed_values")


@pytest.fixture(scope="module")
def bare(cluster: Any) -> Iterator[str]:
    """A database with nothing in it."""
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    name = f"u_{uuid.uuid4().hex[:12]}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name}")
    yield cluster.url(name)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()


def revisions() -> list[str]:
    walked = ScriptDirectory(str(PROJECT / "migrations")).walk_revisions()
    return [one.revision for one in walked][::-1]


Columns = dict[tuple[str, str], tuple[str, bool, bool]]


def columns(engine: sa.Engine) -> Columns:
    """(table, column) → type, whether it must be given, whether the database fills it by itself."""
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "select c.table_name, column_name, format_type(a.atttypid, a.atttypmod) as kind, "
                "c.is_nullable = 'NO' as needed, "
                "c.column_default is not null or c.is_identity = 'YES' "
                "or c.is_generated = 'ALWAYS' as filled "
                "from information_schema.columns c join pg_attribute a "
                "on a.attrelid = format('%I.%I', c.table_schema, c.table_name)::regclass "
                "and a.attname = column_name where c.table_schema = :schema"
            ),
            {"schema": SCHEMA},
        )
        return {
            (row.table_name, row.column_name): (row.kind, row.needed, row.filled) for row in rows
        }


def copy(source: sa.Engine, target: sa.Engine, table: str, names: list[str]) -> None:
    """Copy rows of a table, the named columns alone."""
    listed = ", ".join(names)
    buffer = io.StringIO()
    with source.connect() as connection:
        raw(connection).cursor().copy_expert(
            f"copy (select {listed} from {table}) to stdout", buffer
        )
    buffer.seek(0)
    with target.begin() as connection:
        raw(connection).cursor().copy_expert(f"copy {table} ({listed}) from stdin", buffer)


def answers(url: str, run: int, folder: Path) -> dict[str, Any]:
    addresses = [
        f"/api/runs/{run}", f"/api/runs/{run}/summary?level=grid&ord=21",
        f"/api/runs/{run}/ranking?level=county&ord=21",
        f"/api/runs/{run}/values/grid/overall/quarter/5",
        f"/api/runs/{run}/units/330101/why?ord=21", f"/api/runs/{run}/units/330102/series",
        "/api/packs/small/search?q=3301", "/api/packs/small/units/330102001",
        "/api/packs/small/units/3301/children",
    ]  # fmt: skip
    with TestClient(create_app(settings_for(url, data_dir=folder))) as client:
        found: dict[str, Any] = {"manifest": client.get("/api/manifest").json()["maps"]}
        for one in addresses:
            answer = client.get(one)
            assert answer.status_code == 200, (one, answer.text)
            found[one] = answer.content
        question = {
            "area": {"unit": "330101"},
            "start": "2023-01-01", "end": "2025-01-01", "breakdowns": ["kind", "month", "unit"],
        }  # fmt: skip
        counted = client.post("/api/packs/small/areas/count", json=question).json()
        found["area"] = {one: counted[one] for one in ("total", "by_kind", "by_month", "by_unit")}
        return found


def test_a_full_database_is_upgraded_and_answers_the_same(
    bare: str, assessed: Assessed, tmp_path: Path
) -> None:
    """Also: at every step older programs find what they know, and may write what they wrote."""
    engine = make_engine(bare)
    steps = revisions()
    assert steps[0] == FIRST
    migrate(bare, FIRST)
    install(engine)
    before = columns(engine)
    for table in RUN_TABLES:
        names = [column for name, column in before if name == table]
        copy(assessed.engine, engine, table, names)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "select setval(pg_get_serial_sequence('run', 'id'), (select max(id) from run))"
        )
    for step in steps[1:]:
        migrate(bare, step)
        after = columns(engine)
        for (table, column), (kind, needed, filled) in before.items():
            assert (table, column) in after, f"{step} takes {table}.{column} away"
            now = after[table, column]
            assert now[0] == kind, f"{step} changes the type of {table}.{column}"
            assert not now[1] or needed or now[2], f"{step} demands {table}.{column}"
            assert now[2] or not filled, f"{step} no longer fills {table}.{column}"
        old_tables = {table for table, _ in before}
        for (table, column), (_, needed, filled) in after.items():
            if table in old_tables and (table, column) not in before:
                assert filled or not needed, f"{step} demands {table}.{column} of older programs"
        before = after
    assert schema_revision(engine) == newest_revision()
    engine.dispose()
    upgraded = answers(bare, assessed.run, tmp_path)
    assert upgraded == answers(assessed.url, assessed.run, tmp_path)
    assert upgraded["area"]["total"] > 1000
