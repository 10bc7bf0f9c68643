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
from alembic.script import ScriptDirectory
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError

from app.errors import Conflict, Invalid, Unavailable
from app.settings import PROJECT, DatabaseSettings, Settings

SCHEMA = "wusetu"
DATABASE = "wusetu"
WEB_ROLE = "wusetu_web"
OWNER = "wusetu"  # of the private cluster
EVERYTHING = "-c wusetu.prefixes=*"


def resolve_url(settings: Settings) -> str:
    """URL a command or the server uses: the configured one, else the private cluster's.

    Without `WUSETU_DATABASE_URL` the private cluster is made and started when needed, and left
    running (`wusetu db stop` stops it). The schema is not touched: see `migrate`.

    Raises
    ------
    ClusterError
        The private cluster cannot be made or started; the message says why.
    Invalid
        `WUSETU_DATABASE_URL` is no address.
    """
    if settings.database.url:
        return checked_url(settings.database.url)
    from app.cluster import Cluster

    cluster = Cluster(settings.data_dir)
    cluster.start()
    cluster.create_database(DATABASE)
    return cluster.url(DATABASE)


def checked_url(url: str) -> str:
    """`url` as it is, when it is an address of a PostgreSQL server.

    Raises
    ------
    Invalid
        It is not; the message does not repeat it, for there may be a password in it.
    """
    try:
        parsed = sa.make_url(url)
        good = parsed.drivername in {"postgres", "postgresql", "postgresql+psycopg2"}
    except (ArgumentError, ValueError):
        good = False
    if not good:
        raise Invalid("WUSETU_DATABASE_URL is no postgresql:// address")
    return url


def plain_url(url: str) -> str:
    """`url` without SQLAlchemy's driver name, as libpq and psycopg2 take it."""
    return "postgresql://" + url.split("://", 1)[1]


def without_password(url: str) -> str:
    """`url` as it may be shown."""
    return sa.make_url(url).render_as_string(hide_password=True)


def _place(url: str) -> str:
    """Host and port of `url`, without user and password."""
    parsed = sa.make_url(url)
    host = parsed.host or parsed.query.get("host") or "the local socket"
    return f"{host}, port {parsed.port or parsed.query.get('port') or 5432}"


def answers(url: str) -> str | None:
    """None when the server at `url` lets us in, else its reason (first line)."""
    try:
        psycopg2.connect(plain_url(url), connect_timeout=10).close()
    except psycopg2.OperationalError as error:
        return str(error).strip().splitlines()[0]
    except psycopg2.ProgrammingError:
        # libpq repeats the address, password and all
        return "an option of the address is unknown or malformed"
    return None


def require_answer(url: str) -> None:
    """Do nothing when the server at `url` lets us in.

    Raises
    ------
    Unavailable
        It does not; the message names host, port and reason, never the password.
    """
    if reason := answers(url):
        raise Unavailable(f"the database at {_place(url)} does not answer: {reason}")


def make_engine(
    url: str, settings: DatabaseSettings | None = None, *, options: str = EVERYTHING
) -> sa.Engine:
    """Engine with our search path; `url` as SQLAlchemy or plain `postgresql://`.

    Without further word it speaks for the installation itself: it claims every jurisdiction. The
    web asks through `make_web_engine`.
    """
    if url.startswith(("postgres://", "postgresql://")):
        url = "postgresql+psycopg2://" + url.split("://", 1)[1]
    settings = settings or DatabaseSettings()
    return sa.create_engine(
        url,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,  # what is asked and stored stands in no log
        connect_args={
            "application_name": "wusetu",
            "options": f"-c search_path={SCHEMA},public -c timezone=UTC {options}".rstrip(),
        },
    )


def make_web_engine(url: str, settings: DatabaseSettings | None = None) -> sa.Engine:
    """Engine of the web: role `wusetu_web`, which owns nothing and sees what it claims.

    The private cluster lets the role log in by itself. A server of the user's is reached by
    `WUSETU_DATABASE_WEB_URL`, an address that logs in as the role; without it by the ordinary
    address, whose sessions then begin as the role.
    """
    settings = settings or DatabaseSettings()
    if settings.web_url:
        return make_engine(settings.web_url, settings, options="")
    if not settings.url and (parsed := sa.make_url(url)).username == OWNER:
        address = parsed.set(username=WEB_ROLE).render_as_string(hide_password=False)
        return make_engine(address, settings, options="")
    return make_engine(url, settings, options=f"-c role={WEB_ROLE}")


def make_audit_engine(
    url: str,
    settings: DatabaseSettings | None = None,
    *,
    durable: bool = False,
    patience_ms: int = 2_000,
) -> sa.Engine:
    """Engine that adds to the audit: role `wusetu_web`, each statement a transaction of its own.

    No ping before use and no claim: one entry is one round trip.
    """
    settings = settings or DatabaseSettings()
    base = make_web_engine(url, settings)
    options = (
        f"-c search_path={SCHEMA},public -c timezone=UTC -c statement_timeout={patience_ms} "
        f"-c synchronous_commit={'on' if durable else 'off'}"
    )
    if base.url.username != WEB_ROLE and not settings.web_url:
        options += f" -c role={WEB_ROLE}"
    return sa.create_engine(
        base.url,
        pool_size=2,
        max_overflow=2,
        pool_timeout=patience_ms / 1000,
        pool_use_lifo=True,
        hide_parameters=True,
        isolation_level="AUTOCOMMIT",
        connect_args={
            "application_name": "wusetu audit",
            "options": options,
            "connect_timeout": max(2, patience_ms // 1000),
        },
    )


def claim(
    connection: sa.Connection,
    prefixes: tuple[str, ...] | None,
    *,
    role: str = "",
    account: int | None = None,
    zones: tuple[int, ...] = (),
    first: str = "",
) -> None:
    """Say for the present transaction who asks; `prefixes` None is everything (DESIGN 8).

    `first`: statements of ours to be sent before it, in the same round trip.
    """
    if prefixes is not None and not all(prefixes):
        raise Invalid("an empty code prefix would be everything")
    connection.exec_driver_sql(
        first + "select set_config('wusetu.prefixes', %(prefixes)s, true), "
        "set_config('wusetu.role', %(role)s, true), "
        "set_config('wusetu.account', %(account)s, true), "
        "set_config('wusetu.zones', %(zones)s, true)",
        {
            "prefixes": "*" if prefixes is None else ",".join(prefixes),
            "role": role,
            "account": "" if account is None else str(account),
            "zones": ",".join(map(str, zones)),
        },
    )


def migrate(url: str, revision: str = "head") -> None:
    """Bring the schema of the database at `url` to `revision`."""
    config = Config()
    config.set_main_option("script_location", str(PROJECT / "migrations"))
    config.attributes["url"] = url
    command.upgrade(config, revision)


def schema_revision(engine: sa.Engine) -> str | None:
    """Revision the schema is at; None when there is none yet."""
    with engine.connect() as connection:
        there = connection.scalar(
            sa.text("select to_regclass(:t) is not null"), {"t": f"{SCHEMA}.alembic_version"}
        )
        if not there:
            return None
        found: str | None = connection.scalar(
            sa.text(f"select version_num from {SCHEMA}.alembic_version")  # noqa: S608
        )
        return found


def newest_revision() -> str | None:
    """Revision this program is written for."""
    return ScriptDirectory(str(PROJECT / "migrations")).get_current_head()


def open_engine(settings: Settings) -> sa.Engine:
    """Engine for a command, on a schema it fits.

    The private cluster is brought up to date by itself; a server of the user's is not touched.

    Raises
    ------
    Unavailable
        The user's database does not answer (host, port and the server's reason are named) or has
        another schema; the message says how to mend it.
    """
    url = resolve_url(settings)
    if settings.database.url:
        require_answer(url)
    engine = make_engine(url, settings.database)
    with translated_errors():
        at = schema_revision(engine)
    needed = newest_revision()
    if at != needed:
        if settings.database.url:
            engine.dispose()
            raise Unavailable(
                f"the database schema is at {at or 'nothing'}, this program needs {needed}: "
                "run `wusetu db migrate`"
            )
        migrate(url)
    return engine


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn driver errors into domain errors, those of COPY too, which come bare."""
    try:
        yield
    except (IntegrityError, psycopg2.IntegrityError) as error:
        if isinstance(getattr(error, "orig", error), psycopg2.errors.UniqueViolation):
            raise Conflict("this exists already") from error
        raise Invalid("the data does not fit together") from error
    except (OperationalError, psycopg2.OperationalError) as error:
        cause = getattr(error, "orig", error)
        if isinstance(cause, psycopg2.errors.DiskFull):
            raise Unavailable(
                f"the disk of the database is full: {cause.diag.message_primary}; "
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
