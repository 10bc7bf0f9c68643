"""Engine, sessions, migrations: the one place that knows how to reach the store of record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import psycopg2.errors
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from app.errors import Conflict, Invalid, Unavailable
from app.settings import PROJECT, DatabaseSettings, Settings

SCHEMA = "wusetu"
DATABASE = "wusetu"


def resolve_url(settings: Settings) -> str:
    """URL a command or the server uses: the configured one, else the private cluster's.

    Without `WUSETU_DATABASE_URL` the private cluster is made and started when needed, and left
    running (`wusetu db stop` stops it). The schema is not touched: see `migrate`.

    Raises
    ------
    ClusterError
        The private cluster cannot be made or started; the message says why.
    """
    if settings.database.url:
        return settings.database.url
    from app.cluster import Cluster

    cluster = Cluster(settings.data_dir)
    cluster.start()
    cluster.create_database(DATABASE)
    return cluster.url(DATABASE)


def plain_url(url: str) -> str:
    """`url` without SQLAlchemy's driver name, as libpq and psycopg2 take it."""
    return "postgresql://" + url.split("://", 1)[1]


def without_password(url: str) -> str:
    """`url` as it may be shown."""
    return sa.make_url(url).render_as_string(hide_password=True)


def answers(url: str) -> str | None:
    """None when the server at `url` lets us in, else its reason (first line)."""
    try:
        psycopg2.connect(plain_url(url), connect_timeout=10).close()
    except psycopg2.OperationalError as error:
        return str(error).strip().splitlines()[0]
    return None


def make_engine(url: str, settings: DatabaseSettings | None = None) -> sa.Engine:
    """Engine with our search path; `url` as SQLAlchemy or plain `postgresql://`."""
    if url.startswith(("postgres://", "postgresql://")):
        url = "postgresql+psycopg2://" + url.split("://", 1)[1]
    settings = settings or DatabaseSettings()
    return sa.create_engine(
        url,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args={
            "application_name": "wusetu",
            "options": f"-c search_path={SCHEMA},public -c timezone=UTC",
        },
    )


def migrate(url: str, revision: str = "head") -> None:
    """Bring the schema of the database at `url` to `revision`."""
    config = Config()
    config.set_main_option("script_location", str(PROJECT / "migrations"))
    config.attributes["url"] = url
    command.upgrade(config, revision)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn driver errors into domain errors."""
    try:
        yield
    except IntegrityError as error:
        if isinstance(error.orig, psycopg2.errors.UniqueViolation):
            raise Conflict("this exists already") from error
        raise Invalid("the data does not fit together") from error
    except OperationalError as error:
        if isinstance(error.orig, psycopg2.errors.DiskFull):
            raise Unavailable(
                f"the disk of the database is full: {error.orig.diag.message_primary}; "
                "`wusetu db status` says where it is and what is free"
            ) from error
        raise Unavailable("the database does not answer") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable("the database connection was lost") from error
        raise


@contextmanager
def transaction(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction: committed at the end, rolled back on any error."""
    with translated_errors(), engine.begin() as connection:
        yield connection


def raw(connection: sa.Connection) -> Any:
    """Psycopg2 connection underneath, for COPY."""
    return connection.connection.driver_connection
