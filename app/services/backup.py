"""Backup into one file and back: everything that cannot be made again, proven by count and checksum.

A backup is a zip file: `database.dump` (pg_dump, custom format, of the schema), the tile archives,
and last of all `manifest.json`, with rows and checksum of every table and sha256 of every file. A
file without it was cut short and is refused. Counts, checksums and dump are of one moment: all read
the same snapshot of the database. Snapshots for counting areas are made again, not kept.

Promises: the backup appears under its name whole or not at all, readable by its owner alone; a
restore goes into a database without our tables only, reads the whole file before it changes
anything, and leaves nothing behind when a count or checksum differs. Roles belong to the server, so
they are made where they are missing; row security and grants are part of the dump.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa

from app import postgres
from app.database import SCHEMA, make_engine, newest_revision, plain_url
from app.errors import Conflict, Invalid, Unavailable
from app.services.manifest import VERSION
from tiles.archive import path_of

FORMAT = 1
DUMP = "database.dump"
MANIFEST = "manifest.json"
FOLDER = "archives"
#: Made again by the restore.
REBUILT = frozenset({"cube_snapshot"})
BLOCK = 2**20

Progress = Callable[[str], None]

# the same as the migration that invents them; the driver takes `%%` for `%`
ROLES = """
do $$
declare
  name text;
begin
  foreach name in array array['wusetu_web', 'wusetu_ingest'] loop
    begin
      execute format('create role %%I login nosuperuser nocreatedb nocreaterole noinherit', name);
    exception when duplicate_object or unique_violation then null;
    end;
  end loop;
end
$$
"""
# portable between versions of the server, which hash functions of its own are not; 60 bits of a
# row's md5, added up: the order of rows does not matter
CHECKSUM = (
    "select count(*), coalesce(sum(('x' || substr(md5(t::text), 1, 15))::bit(60)::bigint), 0)::text "
    "from {table} as t"
)


@dataclass(frozen=True)
class Made:
    """What a backup or restore held."""

    rows: int
    tables: int
    archives: int
    bytes: int
    schema: str


def silent(text: str) -> None:
    """Report no progress."""


def tables(connection: sa.Connection) -> list[str]:
    """Names of our tables whose rows are kept."""
    found = connection.execute(
        sa.text("select tablename from pg_tables where schemaname = :schema order by tablename"),
        {"schema": SCHEMA},
    ).scalars()
    return [one for one in found if one not in REBUILT]


def sums(connection: sa.Connection, progress: Progress = silent) -> dict[str, dict[str, Any]]:
    """Rows and checksum of every table, in the moment of the connection's transaction."""
    quote = connection.dialect.identifier_preparer.quote
    found = {}
    for name in tables(connection):
        progress(f"adding up {name}")
        statement = CHECKSUM.format(table=f"{SCHEMA}.{quote(name)}")
        rows, checksum = connection.exec_driver_sql(statement).one()
        found[name] = {"rows": rows, "checksum": checksum}
    return found


def _call(data_dir: Path, url: str, name: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of a PostgreSQL program; the password is in neither line."""
    programs = postgres.find(data_dir)[0]
    parsed = sa.make_url(plain_url(url))
    environment = {**os.environ, **programs.env}
    if parsed.password is not None:
        environment["PGPASSWORD"] = str(parsed.password)
    target = parsed._replace(password=None).render_as_string(hide_password=False)
    return [str(programs.bin / name), f"--dbname={target}", *arguments], environment


def _reason(stderr: IO[bytes]) -> str:
    stderr.seek(0)
    lines = stderr.read().decode(errors="replace").strip().splitlines()
    return lines[0] if lines else "it did not say why"


@contextlib.contextmanager
def _moment(engine: sa.Engine) -> Iterator[tuple[sa.Connection, str]]:
    """One repeatable transaction, and the name under which others can read the same moment."""
    own = engine.execution_options(isolation_level="REPEATABLE READ")
    with own.connect() as connection, connection.begin():
        name = connection.exec_driver_sql("select pg_export_snapshot()").scalar_one()
        yield connection, name


def backup(
    engine: sa.Engine, url: str, data_dir: Path, file: Path, progress: Progress = silent
) -> Made:
    """Write a backup.

    Raises
    ------
    Conflict
        The file is there already, or a tile archive is missing or damaged.
    Unavailable
        pg_dump failed, or the disk is full; the message says why.
    """
    if file.exists():
        raise Conflict(f"{file} is there already")
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        with os.fdopen(descriptor, "w+b") as out:
            with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED, allowZip64=True) as bundle:
                made = _fill(bundle, engine, url, data_dir, progress)
            out.flush()
            os.fsync(out.fileno())
        os.link(part, file)  # not `replace`: never over a file that appeared meanwhile
        return Made(**{**made, "bytes": file.stat().st_size})
    except FileExistsError as error:
        raise Conflict(f"{file} is there already") from error
    except OSError as error:
        raise Unavailable(f"{file} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def _fill(
    bundle: zipfile.ZipFile, engine: sa.Engine, url: str, data_dir: Path, progress: Progress
) -> dict[str, Any]:
    files: dict[str, dict[str, Any]] = {}
    with _moment(engine) as (connection, moment):
        progress("dumping")
        arguments, environment = _call(
            data_dir, url, "pg_dump", "--format=custom", f"--schema={SCHEMA}", "--no-owner",
            f"--snapshot={moment}", *(f"--exclude-table-data={SCHEMA}.{one}" for one in REBUILT),
        )  # fmt: skip
        with tempfile.TemporaryFile() as said:
            with subprocess.Popen(  # noqa: S603
                arguments, env=environment, stdout=subprocess.PIPE, stderr=said
            ) as dumping:
                assert dumping.stdout is not None
                try:
                    files[DUMP] = _copy_in(bundle, DUMP, dumping.stdout)
                except BaseException:
                    dumping.kill()
                    raise
            if dumping.returncode:
                raise Unavailable(f"the database cannot be dumped: {_reason(said)}")
        there = sums(connection, progress)
        digests = list(
            connection.exec_driver_sql("select distinct digest from tile_archive").scalars()
        )
        revision = connection.exec_driver_sql("select version_num from alembic_version").scalar()
        server = connection.exec_driver_sql("show server_version").scalar()
    for digest in sorted(digests):
        progress(f"tiles {digest[:12]}")
        path = path_of(data_dir / FOLDER, digest)
        name = f"{FOLDER}/{path.name}"
        try:
            with path.open("rb") as tiles:
                files[name] = _copy_in(bundle, name, tiles)
        except FileNotFoundError as error:
            raise Conflict(f"tiles {digest[:12]}… are missing: run `wusetu tiles build`") from error
        if files[name]["sha256"] != digest:
            raise Conflict(f"tiles {digest[:12]}… are damaged: run `wusetu tiles build`")
    manifest = {
        "format": FORMAT, "program": VERSION, "schema": revision, "postgresql": server,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"), "tables": there, "files": files,
    }  # fmt: skip
    bundle.writestr(MANIFEST, json.dumps(manifest, indent=1))
    rows = sum(one["rows"] for one in there.values())
    return {"rows": rows, "tables": len(there), "archives": len(digests), "schema": revision or ""}


def _copy_in(bundle: zipfile.ZipFile, name: str, source: IO[bytes]) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with bundle.open(name, "w", force_zip64=True) as target:
        while block := source.read(BLOCK):
            target.write(block)
            digest.update(block)
            size += len(block)
    return {"bytes": size, "sha256": digest.hexdigest()}


def read_manifest(bundle: zipfile.ZipFile, file: Path) -> dict[str, Any]:
    """Return what a backup says it holds.

    Raises
    ------
    Invalid
        It is no backup of ours, was cut short, or is of a newer program.
    """
    try:
        found: dict[str, Any] = json.loads(bundle.read(MANIFEST))
    except (KeyError, ValueError) as error:
        raise Invalid(f"{file} is no backup, or was cut short") from error
    if found.get("format") != FORMAT:
        raise Invalid(f"{file} is of format {found.get('format')}, this program knows {FORMAT}")
    newest = newest_revision() or ""
    if not found["schema"] or found["schema"] > newest:
        raise Invalid(
            f"{file} has the schema {found['schema']}, this program knows {newest}: use a newer one"
        )
    return found


def _check_files(
    bundle: zipfile.ZipFile, file: Path, manifest: dict[str, Any], progress: Progress
) -> None:
    if set(bundle.namelist()) != {*manifest["files"], MANIFEST}:
        raise Invalid(f"{file} does not hold the files it names")
    for name, wanted in manifest["files"].items():
        progress(f"checking {name}")
        digest = hashlib.sha256()
        try:
            with bundle.open(name) as source:
                while block := source.read(BLOCK):
                    digest.update(block)
        except (zipfile.BadZipFile, EOFError) as error:
            raise Invalid(f"{file} is damaged: {name}") from error
        if digest.hexdigest() != wanted["sha256"]:
            raise Invalid(f"{file} is damaged: {name}")


def restore(url: str, data_dir: Path, file: Path, progress: Progress = silent) -> Made:
    """Bring a backup back into an empty database, and prove it.

    The schema is that of the backup; migrate it afterwards. Snapshots are not made here.

    Raises
    ------
    Invalid
        The file is no backup, or damaged; nothing was changed.
    Conflict
        The database holds tables of ours; nothing was changed.
    Unavailable
        pg_restore failed, or counts or checksums differ; the database is as empty as before.
    """
    try:
        bundle = zipfile.ZipFile(file)
    except (OSError, zipfile.BadZipFile) as error:
        raise Invalid(f"{file} cannot be read as a backup: {error}") from error
    engine = make_engine(url)
    try:
        with bundle:
            manifest = read_manifest(bundle, file)
            _require_empty(engine)
            _check_files(bundle, file, manifest, progress)
            archives = [one for one in manifest["files"] if one != DUMP]
            for name in archives:
                _put_archive(bundle, name, data_dir)
            with engine.begin() as connection:
                connection.exec_driver_sql(ROLES)
                for extension in ("postgis", "pg_trgm"):
                    connection.exec_driver_sql(
                        f"create extension if not exists {extension} schema public"
                    )
                connection.exec_driver_sql(f"drop schema if exists {SCHEMA}")  # it is empty
            progress("restoring")
            _pour(bundle, url, data_dir)
            with engine.begin() as connection:
                connection.exec_driver_sql("analyze")
            _prove(engine, manifest, progress)
    finally:
        engine.dispose()
    return Made(
        rows=sum(one["rows"] for one in manifest["tables"].values()),
        tables=len(manifest["tables"]),
        archives=len(archives),
        bytes=file.stat().st_size,
        schema=manifest["schema"],
    )


def _require_empty(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        there = connection.execute(
            sa.text(
                "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace "
                "where n.nspname = :schema"
            ),
            {"schema": SCHEMA},
        ).scalar_one()
    if there:
        raise Conflict(
            "this database holds tables of Wusetu already; restore into an empty one, for example "
            "with another WUSETU_DATA_DIR"
        )


def _put_archive(bundle: zipfile.ZipFile, name: str, data_dir: Path) -> None:
    """Put an archive in its place, whole or not at all; what is there and the same size stays."""
    path = path_of(data_dir / FOLDER, Path(name).stem)
    if path.is_file() and path.stat().st_size == bundle.getinfo(name).file_size:
        with path.open("rb") as there:
            if hashlib.file_digest(there, "sha256").hexdigest() == path.stem:
                return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        with bundle.open(name) as source, part.open("wb") as target:
            shutil.copyfileobj(source, target, BLOCK)
            target.flush()
            os.fsync(target.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _pour(bundle: zipfile.ZipFile, url: str, data_dir: Path) -> None:
    arguments, environment = _call(
        data_dir, url, "pg_restore", "--no-owner", "--exit-on-error", "--single-transaction"
    )
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(  # noqa: S603
            arguments, env=environment, stdin=subprocess.PIPE, stderr=said
        ) as pouring:
            assert pouring.stdin is not None

            def feed() -> None:
                assert pouring.stdin is not None
                # it may end early and says why itself
                with contextlib.suppress(BrokenPipeError), pouring.stdin, bundle.open(DUMP) as dump:
                    shutil.copyfileobj(dump, pouring.stdin, BLOCK)

            feeding = threading.Thread(target=feed)
            feeding.start()
            feeding.join()
        if pouring.returncode:
            raise Unavailable(f"the backup cannot be restored: {_reason(said)}")


def _prove(engine: sa.Engine, manifest: dict[str, Any], progress: Progress) -> None:
    with engine.connect() as connection:
        there = sums(connection, progress)
    wanted = manifest["tables"]
    wrong = [name for name in sorted({*wanted, *there}) if wanted.get(name) != there.get(name)]
    if wrong:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"drop schema {SCHEMA} cascade")
        raise Unavailable(
            f"the restored rows differ from those of the backup: {', '.join(wrong)}; nothing is kept"
        )
