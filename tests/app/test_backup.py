"""Backup and restore, proven by count and checksum; the upgrade from the first schema."""

from __future__ import annotations

import json
import os
import stat
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from fastapi.testclient import TestClient

from app.cli import cli
from app.database import claim, make_engine, make_web_engine, transaction
from app.errors import Conflict, Invalid, Unavailable
from app.main import create_app
from app.security.identity import Role
from app.services import accounts, backup, tile_archives
from app.services.assess import assess

from .conftest import install, settings_for

SECURITY = """
select json_agg(x order by x::text) from (
  select c.relname, c.relrowsecurity, c.relforcerowsecurity,
    -- no list of grants means those of the owner, which a restored table may have written out
    coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's'::"char" else 'r' end, c.relowner))::text as acl,
    (select json_agg(a.attname || a.attacl::text order by a.attnum) from pg_attribute a
     where a.attrelid = c.oid and a.attacl is not null) as columns,
    (select json_agg(concat(p.polname, p.polcmd, pg_get_expr(p.polqual, p.polrelid)) order by p.polname)
     from pg_policy p where p.polrelid = c.oid) as policies,
    (select json_agg(pg_get_triggerdef(t.oid) order by t.tgname) from pg_trigger t
     where t.tgrelid = c.oid and not t.tgisinternal) as triggers
  from pg_class c where c.relnamespace = 'wusetu'::regnamespace and c.relkind in ('r', 'v', 'S')
) as x
"""
FUNCTIONS = """
select json_agg(pg_get_functiondef(p.oid) || coalesce(p.proacl::text, '') order by p.proname)
from pg_proc p where p.pronamespace = 'wusetu'::regnamespace
"""


@pytest.fixture
def empty(cluster: Any) -> Iterator[Callable[[], str]]:
    """Maker of databases with nothing in them."""
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    made: list[str] = []

    def one() -> str:
        made.append(f"b_{uuid.uuid4().hex[:12]}")
        with admin.connect() as connection:
            connection.exec_driver_sql(f"create database {made[-1]}")
        return str(cluster.url(made[-1]))

    yield one
    with admin.connect() as connection:
        for name in made:
            connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()


@pytest.fixture
def full(engine: sa.Engine, db_url: str, tmp_path: Path) -> tuple[Path, Path, int]:
    """A whole house in this test's database: map, tiles, run, account. Data folder, file, run."""
    small = install(engine)
    home = tmp_path / "home"
    tile_archives.build(engine, small.version, home / "archives")
    run = assess(engine, "small", "nine-kinds", finest="town", zone="Asia/Shanghai")
    with transaction(engine) as connection:
        accounts.create(connection, "officer", Role.analyst, prefixes=["330101"])
    return home, tmp_path / "all.wusetu", run


def answers(url: str, run: int, home: Path) -> dict[str, Any]:
    """What the services answer, without moments that pass."""
    addresses = [
        "/api/manifest", f"/api/runs/{run}", f"/api/runs/{run}/summary?level=town&ord=21",
        f"/api/runs/{run}/ranking?level=town&ord=21", f"/api/runs/{run}/values/town/theft/month/5",
        f"/api/runs/{run}/units/330101/why?ord=21", f"/api/runs/{run}/units/330102/series",
        f"/api/runs/{run}/export.csv?level=town&ord=21", "/api/packs/small/search?q=3301",
        "/api/packs/small/units/330102001",
    ]  # fmt: skip
    with TestClient(create_app(settings_for(url, data_dir=home))) as client:
        found: dict[str, Any] = {}
        for one in addresses:
            answer = client.get(one)
            assert answer.status_code == 200, (one, answer.text)
            found[one] = [
                line for line in answer.content.splitlines() if b"# generated" not in line
            ]
        question = {
            "area": {"unit": "330101"}, "start": "2023-01-01", "end": "2025-01-01",
            "breakdowns": ["kind", "month"],
        }  # fmt: skip
        counted = client.post("/api/packs/small/areas/count", json=question).json()
        found["area"] = {one: counted[one] for one in ("total", "by_kind", "by_month")}
    return found


def test_everything_comes_back(
    engine: sa.Engine, db_url: str, full: tuple[Path, Path, int], tmp_path: Path,
    empty: Callable[[], str],
) -> None:  # fmt: skip
    home, file, run = full
    made = backup.backup(engine, db_url, home, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert made.rows > 6000
    assert made.archives >= 5
    other, target = tmp_path / "other", empty()
    restored = backup.restore(target, other, file)
    assert (restored.rows, restored.tables) == (made.rows, made.tables)
    fresh = make_engine(target)
    with engine.connect() as before, fresh.connect() as after:
        assert backup.sums(after) == backup.sums(before)
        assert backup.sums(before)["event"]["rows"] > 6000
        for statement in (SECURITY, FUNCTIONS):
            was, now = (
                one.exec_driver_sql(statement).scalar_one() for one in (before, after)
            )  # fmt: skip
            assert now == was
        names = before.exec_driver_sql("select digest from tile_archive").scalars()
        for digest in names:
            path = f"archives/{digest}.pmtiles"
            assert (other / path).read_bytes() == (home / path).read_bytes()
    # row security holds for the web's role
    web = make_web_engine(target)
    with web.connect() as connection, connection.begin():
        claim(connection, ("330101",))
        codes = connection.exec_driver_sql("select distinct code from assessment").scalars().all()
        assert codes
        assert all(one.startswith("330101") for one in codes)
        with pytest.raises(sa.exc.ProgrammingError):
            connection.exec_driver_sql("select count(*) from event")
    web.dispose()
    fresh.dispose()
    assert answers(target, run, other) == answers(db_url, run, home)


def test_commands(
    db_url: str, full: tuple[Path, Path, int], tmp_path: Path, empty: Callable[[], str]
) -> None:
    home, file, _ = full
    runner = CliRunner()
    env = {"WUSETU_DATABASE_URL": db_url, "WUSETU_DATA_DIR": str(home)}
    done = runner.invoke(cli, ["backup", str(file)], env=env, catch_exceptions=False)
    assert done.exit_code == 0
    assert "tile archives" in done.output
    target, other = empty(), tmp_path / "other"
    done = runner.invoke(
        cli, ["restore", str(file)], catch_exceptions=False,
        env={"WUSETU_DATABASE_URL": target, "WUSETU_DATA_DIR": str(other)},
    )  # fmt: skip
    assert "restored and proven" in done.output
    assert done.exit_code == 0
    fresh = make_engine(target)
    with fresh.connect() as connection:  # snapshots were made again
        assert connection.exec_driver_sql("select count(*) from cube_snapshot").scalar() == 1
    fresh.dispose()
    assert any((other / "snapshots").iterdir())


def test_only_into_an_empty_database_and_never_over_a_file(
    engine: sa.Engine, db_url: str, full: tuple[Path, Path, int]
) -> None:
    home, file, _ = full
    backup.backup(engine, db_url, home, file)
    with pytest.raises(Conflict, match="already"):
        backup.restore(db_url, home, file)
    with pytest.raises(Conflict, match="there already"):
        backup.backup(engine, db_url, home, file)
    assert [one.name for one in file.parent.iterdir() if one.is_file()] == [file.name]


def test_a_damaged_file_changes_nothing(
    engine: sa.Engine, db_url: str, full: tuple[Path, Path, int], empty: Callable[[], str],
    tmp_path: Path,
) -> None:  # fmt: skip
    home, file, _ = full
    backup.backup(engine, db_url, home, file)
    whole = file.read_bytes()
    target = empty()
    bad = tmp_path / "bad"
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 1
    for content in (whole[: len(whole) // 2], bytes(flipped), b"", b"PK"):
        bad.write_bytes(content)
        with pytest.raises(Invalid):
            backup.restore(target, tmp_path / "other", bad)
    fresh = make_engine(target)
    with fresh.connect() as connection:
        assert not connection.scalar(sa.text("select to_regnamespace('wusetu') is not null"))

    # whole to look at, but the rows are not those that were counted
    def lie(manifest: dict[str, Any]) -> None:
        manifest["tables"]["event"]["rows"] += 1

    def newer(manifest: dict[str, Any]) -> None:
        manifest["schema"] = "9999"

    for change, error in ((lie, Unavailable), (newer, Invalid)):
        with zipfile.ZipFile(file) as source, zipfile.ZipFile(bad, "w") as changed:
            for one in source.namelist():
                content = source.read(one)
                if one == backup.MANIFEST:
                    manifest = json.loads(content)
                    change(manifest)
                    content = json.dumps(manifest).encode()
                changed.writestr(one, content)
        with pytest.raises(error):
            backup.restore(target, tmp_path / "other", bad)
        with fresh.connect() as connection:
            assert not connection.scalar(sa.text("select to_regnamespace('wusetu') is not null"))
    fresh.dispose()


def test_missing_or_damaged_tiles_stop_a_backup(
    engine: sa.Engine, db_url: str, full: tuple[Path, Path, int]
) -> None:
    home, file, _ = full
    one = next((home / "archives").glob("*.pmtiles"))
    one.write_bytes(one.read_bytes()[:-1])
    with pytest.raises(Conflict, match="damaged"):
        backup.backup(engine, db_url, home, file)
    one.unlink()
    with pytest.raises(Conflict, match="missing"):
        backup.backup(engine, db_url, home, file)
    assert not [one for one in file.parent.iterdir() if one.is_file()]


def test_the_password_is_on_no_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "WUSETU_DATA_DIR" not in os.environ:
        pytest.skip("no data folder")
    arguments, environment = backup._call(
        Path(os.environ["WUSETU_DATA_DIR"]), "postgresql+psycopg2://a:open-sesame@db/x", "pg_dump"
    )
    assert "open-sesame" not in " ".join(arguments)
    assert environment["PGPASSWORD"] == "open-sesame"
