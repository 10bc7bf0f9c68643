"""Whether every part of the installation works, with its version."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from app.api.models import ComponentHealth, Health
from app.database import newest_revision
from app.services.kept import Kept
from app.services.manifest import VERSION
from app.services.snapshots import path_of

ARCHIVES = "archives"


def _schema(connection: sa.Connection) -> ComponentHealth:
    revision = connection.execute(
        sa.text("select to_regclass('alembic_version') is not null")
    ).scalar_one()
    if not revision:
        return ComponentHealth(
            name="schema", ok=False, message="there are no tables: run `wusetu db migrate`"
        )
    found = connection.execute(sa.text("select version_num from alembic_version")).scalar()
    needed = newest_revision()
    message = None
    if found is not None and needed is not None and found < needed:
        message = f"this program is written for {needed}: run `wusetu db migrate`"
    elif found != needed:
        # older programs run on a newer schema while a new version is rolled out
        message = f"this program is written for {needed}, and works on a newer one meanwhile"
    good = found is not None and (needed is None or found >= needed)
    return ComponentHealth(name="schema", ok=good, version=found, message=message)


def _archives(connection: sa.Connection, folder: Path) -> ComponentHealth:
    wanted = connection.execute(sa.text("select distinct digest, bytes from tile_archive")).all()
    missing = [one for one, _ in wanted if not (folder / f"{one}.pmtiles").is_file()]
    if missing:
        message = (
            f"{len(missing)} of {len(wanted)} tile archives are missing: run `wusetu tiles build`"
        )
        return ComponentHealth(name="archives", ok=False, message=message)
    torn = [one for one, size in wanted if (folder / f"{one}.pmtiles").stat().st_size != size]
    if torn:
        message = (
            f"{len(torn)} of {len(wanted)} tile archives are damaged: run `wusetu tiles build`"
        )
        return ComponentHealth(name="archives", ok=False, message=message)
    return ComponentHealth(name="archives", ok=True, message=f"{len(wanted)} files")


def _newest_run(connection: sa.Connection) -> ComponentHealth:
    row = connection.execute(
        sa.text(
            "select id, published_at from run where status = 'published' order by id desc limit 1"
        )
    ).one_or_none()
    if row is None:
        return ComponentHealth(name="run", ok=True, message="nothing was assessed yet")
    return ComponentHealth(
        name="run", ok=True, version=str(row.id), message=row.published_at.isoformat()
    )


def ready(connection: sa.Connection) -> bool:
    """Whether questions can be answered: the database answers and its schema is new enough."""
    return _schema(connection).ok


def snapshots_health(connection: sa.Connection, data_dir: Path) -> ComponentHealth:
    """Snapshots for counting areas; they mend themselves, so a missing one is no failure."""
    rows = connection.execute(
        sa.text("select distinct on (pack) pack, digest, read_at from cube_snapshot "
                "order by pack, id desc")
    ).all()  # fmt: skip
    missing = [row.pack for row in rows if not path_of(data_dir, row.digest).is_dir()]
    message = ", ".join(f"{row.pack} of {row.read_at.isoformat()}" for row in rows) or "none yet"
    if missing:
        message = f"being made again: {', '.join(missing)}"
    return ComponentHealth(name="snapshots", ok=True, message=message)


def watch_health(kept: Kept) -> ComponentHealth:
    """Whether announcements are heard; without, every question asks the database."""
    since = kept.lost
    if kept.live:
        message = f"heard, {len(kept)} answers kept ready"
    elif since is not None:
        message = f"not heard since {since.isoformat(timespec='seconds')}"
    else:
        message = "not heard: each question asks the database"
    return ComponentHealth(name="announcements", ok=True, message=message)


def database_health(connection: sa.Connection, data_dir: Path) -> list[ComponentHealth]:
    """Database, schema, tile archives and newest run."""
    versions = connection.execute(
        sa.text(
            "select current_setting('server_version') as server, "
            "(select extversion from pg_extension where extname = 'postgis') as postgis"
        )
    ).one()
    found = [
        ComponentHealth(name="postgresql", ok=True, version=versions.server),
        ComponentHealth(name="postgis", ok=versions.postgis is not None, version=versions.postgis),
    ]
    schema = _schema(connection)
    found.append(schema)
    if schema.ok:
        found += [
            _archives(connection, data_dir / ARCHIVES),
            _newest_run(connection),
        ]
    return found


def health(components: list[ComponentHealth]) -> Health:
    """Put the components together; the application itself stands first."""
    every = [ComponentHealth(name="wusetu", ok=True, version=VERSION), *components]
    return Health(ok=all(one.ok for one in every), components=every)
