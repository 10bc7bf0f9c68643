"""Rows of another database. Imports SQLAlchemy.

Promises: nothing is written there (read-only sessions where the database knows them, and always rolled
back); only the mapped columns and the cursor are read; rows of one cursor value are never split between
two looks, so that none is passed over; the password goes into no message. The cursor is a number, a text
or a time, and is handed out with the rows it stands behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from app.errors import Invalid, Unavailable
from app.feeds.base import Batch, Cursor, SqlSettings, read_secret
from app.feeds.records import chunk_of
from app.services.event_mapping import EventMapping

#: rows that may share one value of the cursor
MOST_ALIKE = 1_000_000


class SqlSource:
    """Reads what is beyond the cursor, in its order."""

    def __init__(self, settings: SqlSettings, mapping: EventMapping) -> None:
        self.settings = settings
        self.mapping = mapping
        self.problems: list[str] = []
        url = sa.make_url(settings.url)
        password = read_secret(settings.password_file)
        if password:
            url = url.set(password=password)
        try:
            self._engine = sa.create_engine(url, hide_parameters=True, poolclass=sa.NullPool)
        except (ImportError, sa.exc.ArgumentError) as error:
            raise Invalid(f"no driver for {url.drivername} is installed here") from error
        own = settings
        wanted = list(dict.fromkeys([*mapping.columns.names(), own.cursor]))
        columns: list[Any] = [sa.column(name) for name in wanted]
        self._rows: Any
        if own.query:
            self._rows = sa.text(own.query.rstrip("; \n")).columns(*columns).subquery("feed")
        else:
            schema, _, name = own.table.rpartition(".")
            self._rows = sa.table(name, *columns, schema=schema or None)
        self._at = self._rows.c[own.cursor]

    def close(self) -> None:
        """Let go of the connection."""
        self._engine.dispose()

    def batches(self, cursor: Cursor) -> Iterator[Batch]:
        """Read batch after batch.

        Raises
        ------
        Unavailable
            The database does not answer, or has no such table or column.
        Invalid
            The cursor's column holds what is no number, text or time.
        """
        after = _loaded(cursor)
        start = _back(after, self.settings.overlap)
        while rows := self._read(start):
            reached = rows[-1][self.settings.cursor]
            # inside the overlap nothing may be new; the cursor never goes back
            after = reached if after is None or reached > after else after
            following = {**_kept(after), "n": int(cursor.get("n", 0)) + 1}
            yield self._batch(rows, cursor, following)
            cursor, start = following, reached
            if len(rows) < self.settings.batch:
                return

    def _batch(self, rows: list[dict[str, Any]], cursor: Cursor, following: Cursor) -> Batch:
        name = self.settings.cursor
        first, last = rows[0][name], rows[-1][name]
        return Batch(
            key=f"rows-{following['n']}",
            origin=f"{self.settings.table or 'query'}, {name} {first} to {last}"[:480],
            chunk=chunk_of(rows, self.mapping),
            point=self.mapping.columns.point,
            cursor=following,
            before=cursor,
            places=[f"{name}={row[name]}" for row in rows],
        )

    def _read(self, after: Any) -> list[dict[str, Any]]:
        """Rows beyond a value, in order; all rows of the last value."""
        rows, at, most = self._rows, self._at, self.settings.batch
        beyond = sa.select(rows).where(at.is_not(None)).order_by(at)
        if after is not None:
            beyond = beyond.where(at > after)
        try:
            with self._engine.connect() as connection:
                _read_only(connection)
                found = [dict(row) for row in connection.execute(beyond.limit(most)).mappings()]
                if len(found) == most:
                    last = found[-1][self.settings.cursor]
                    alike = sa.select(rows).where(at == last).limit(MOST_ALIKE)
                    found = [row for row in found if row[self.settings.cursor] != last]
                    found += [dict(row) for row in connection.execute(alike).mappings()]
                connection.rollback()
        except sa.exc.SQLAlchemyError as error:
            cause = str(getattr(error, "orig", error)).strip().splitlines()
            raise Unavailable(
                f"the database of the feed: {cause[0][:300] if cause else '?'}"
            ) from error
        return [{name: _plain(value) for name, value in row.items()} for row in found]


def _read_only(connection: sa.Connection) -> None:
    name = connection.dialect.name
    if name == "postgresql":
        connection.exec_driver_sql("set transaction read only")
    elif name == "sqlite":
        connection.exec_driver_sql("pragma query_only = on")
    elif name in {"mysql", "mariadb"}:
        connection.exec_driver_sql("set transaction read only")


def _plain(value: Any) -> Any:
    """Value of a database as a number, text or time."""
    if value is None or isinstance(value, bool | int | float | str | datetime):
        return value
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - local, as dates are
    return str(value)


def _kept(value: Any) -> Cursor:
    """Cursor as JSON."""
    if isinstance(value, datetime):
        return {"value": value.isoformat(), "type": "time"}
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        return {"value": value}
    raise Invalid(f"the cursor's column holds {type(value).__name__}: give a number, text or time")


def _loaded(cursor: Cursor) -> Any:
    value = cursor.get("value")
    return datetime.fromisoformat(str(value)) if cursor.get("type") == "time" else value


def _back(value: Any, overlap: float) -> Any:
    if value is None or not overlap:
        return value
    if isinstance(value, datetime):
        return value - timedelta(seconds=overlap)
    if isinstance(value, str):
        raise Invalid("overlap: the cursor is a text; it has no distance to go back")
    return value - (int(overlap) if isinstance(value, int) else overlap)
