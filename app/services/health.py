"""Whether every part of the installation works, with its version."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from app.api.models import ComponentHealth, Health
from app.services.manifest import VERSION

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
    return ComponentHealth(name="schema", ok=found is not None, version=found)


def _archives(connection: sa.Connection, folder: Path) -> ComponentHealth:
    digests = connection.execute(sa.text("select distinct digest from tile_archive")).scalars()
    wanted = sorted(digests)
    missing = [one for one in wanted if not (folder / f"{one}.pmtiles").is_file()]
    if missing:
        message = f"{len(missing)} of {len(wanted)} tile archives are missing: run `wusetu tiles`"
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
        found += [_archives(connection, data_dir / ARCHIVES), _newest_run(connection)]
    return found


def health(components: list[ComponentHealth]) -> Health:
    """Put the components together; the application itself stands first."""
    every = [ComponentHealth(name="wusetu", ok=True, version=VERSION), *components]
    return Health(ok=all(one.ok for one in every), components=every)
