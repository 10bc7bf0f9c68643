"""Looks up sessions and tokens for the doorkeeper."""

from __future__ import annotations

import logging
import time
from typing import Any

import sqlalchemy as sa

from app.database import transaction, translated_errors
from app.errors import Unavailable
from app.security.identity import Identity, Role
from app.security.known import Known, KnownDoors
from app.security.secrets import digest
from app.settings import AccountSettings

log = logging.getLogger("wusetu.security")

_WHO = "a.id as account, a.name, a.role, a.prefixes, a.zones"
SESSION = sa.text(
    f"select {_WHO}, s.id as number, null::text[] as scopes, "  # noqa: S608 - our own columns
    "extract(epoch from s.expires_at - now()) as rest, "
    # a clock that was set back: seen just now, not in days to come
    "greatest(extract(epoch from now() - s.seen_at), 0) as unused "
    "from account_session s join account a on a.id = s.account_id "
    "where s.digest = :digest and a.disabled_at is null and s.expires_at > now() "
    "and s.seen_at > now() - make_interval(secs => :idle)"
)
TOKEN = sa.text(
    f"select {_WHO}, t.id as number, t.scopes, "  # noqa: S608 - our own columns
    "extract(epoch from t.expires_at - now()) as rest, 0 as unused "
    "from account_token t join account a on a.id = t.account_id "
    "where t.digest = :digest and a.disabled_at is null and t.expires_at > now() "
    "and t.revoked_at is null"
)


class Doors:
    """The sessions and tokens of one application.

    Parameters
    ----------
    settings : how long sessions may sleep, and how long they outlive the database's silence
    """

    def __init__(self, settings: AccountSettings) -> None:
        self.known = KnownDoors(grace=settings.grace_minutes * 60)
        self._idle = settings.idle_minutes * 60.0
        self._engine: sa.Engine | None = None

    def open(self, engine: sa.Engine) -> None:
        """Use a database from now on."""
        self._engine = engine

    def session(self, secret: str) -> Known | None:
        """Session of a secret; None when it is unknown, over, or its account is disabled."""
        return self._look_up(SESSION, secret, self._idle)

    def token(self, secret: str) -> Known | None:
        """Token of a secret; None when it is unknown, over or revoked."""
        return self._look_up(TOKEN, secret, None)

    def note_use(self, found: Known) -> None:
        """Write down that a session or token is in use; what fails is tried again later."""
        table, column = (
            ("account_token", "used_at")
            if found.identity.how == "token"
            else ("account_session", "seen_at")
        )
        try:
            with transaction(self._database()) as connection:
                connection.execute(
                    sa.text(f"update {table} set {column} = now() where id = :id"),  # noqa: S608
                    {"id": found.number},
                )
        except (Unavailable, sa.exc.SQLAlchemyError) as error:
            log.warning("the use of a session was not noted: %s", type(error).__name__)

    def _database(self) -> sa.Engine:
        if self._engine is None:
            raise Unavailable("the database is not open yet")
        return self._engine

    def _look_up(self, question: sa.TextClause, secret: str, idle: float | None) -> Known | None:
        key = digest(secret)
        generation = self.known.generation  # before the transaction begins
        values: dict[str, Any] = {"digest": key}
        if idle is not None:
            values["idle"] = idle
        try:
            with translated_errors(), self._database().connect() as connection:
                row = connection.execute(question, values).one_or_none()
        except sa.exc.TimeoutError as error:
            raise Unavailable("all database connections are busy; try again") from error
        if row is None:
            self.known.forget(key)
            return None
        now = time.monotonic()
        found = Known(
            identity=Identity(
                account=row.account,
                name=row.name,
                role=Role(row.role),
                prefixes=None if row.prefixes is None else tuple(row.prefixes),
                zones=tuple(row.zones),
                scopes=None if row.scopes is None else frozenset(row.scopes),
                how="session" if row.scopes is None else "token",
            ),
            number=row.number,
            ends=now + float(row.rest),
            idle=idle,
            used=now - float(row.unused),
            noted=now - float(row.unused),
        )
        self.known.keep(key, found, generation)
        return found
