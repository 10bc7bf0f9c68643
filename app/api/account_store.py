"""What the routes of accounts share: the store, who may use it, the documented errors.

What belongs to one's own login (password, codes, sessions, making tokens) takes a session: a
token must not be able to renew itself. Where accounts are off every such route answers 409.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import sqlalchemy as sa
from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request

from app.api.dependencies import RETRY_AFTER, failure
from app.api.dependencies import errors as map_errors
from app.api.models_accounts import OpenSessionInfo
from app.database import transaction
from app.errors import Conflict, Forbidden, Unavailable
from app.security.doors import Asking, demand
from app.security.identity import Identity
from app.services import accounts_login
from app.settings import Settings

#: Hashing a password takes 64 MiB and a core: only so many at once, the others wait their turn.
HASHING = 2
WAITING = 64

ERRORS: dict[int, dict[str, Any]] = {
    401: failure("Nobody is logged in, or a secret is wrong"),
    403: failure("This account may not do this"),
    409: failure("It does not fit the present state"),
    429: failure("Too many tries; see Retry-After", headers=RETRY_AFTER),
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Documented errors of a route, those of accounts and those of everything."""
    own: dict[int | str, dict[str, Any]] = {one: ERRORS[one] for one in statuses if one in ERRORS}
    return {**map_errors(*(one for one in statuses if one not in ERRORS)), **own}


class AccountStore:
    """Accounts as one request sees them."""

    def __init__(self, request: Request) -> None:
        self.settings: Settings = request.app.state.settings
        self.request = request
        if self.settings.access == "single":
            raise Conflict("accounts are off on a single machine; see WUSETU_ACCESS")
        self.engine: sa.Engine = request.app.state.engine

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction; afterwards this process forgets what it knew of accounts."""
        with self.read() as connection:
            yield connection
        self.forget()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One transaction."""
        try:
            with transaction(self.engine) as connection:
                connection.exec_driver_sql(
                    f"set local statement_timeout = {self.settings.database.statement_timeout_ms}"
                )
                yield connection
        except sa.exc.TimeoutError as error:
            raise Unavailable("all database connections are busy; try again") from error

    def forget(self) -> None:
        """Forget what this process knew, before the database's own announcement comes."""
        self.request.app.state.doors.known.announced("own")

    async def slow(self, work: Any, *args: Any, **more: Any) -> Any:
        """Run something that hashes a password, a few at a time.

        Raises
        ------
        Unavailable
            Too many wait already.
        """
        limiter: CapacityLimiter = self.request.app.state.hashing
        if limiter.statistics().tasks_waiting >= WAITING:
            busy = Unavailable("too many people log in at this moment; try again")
            busy.retry_after = 5
            raise busy
        try:
            found = await to_thread.run_sync(lambda: work(*args, **more), limiter=limiter)
        except sa.exc.TimeoutError as error:
            raise Unavailable("all database connections are busy; try again") from error
        self.forget()
        return found


async def _store(request: Request) -> AccountStore:
    return AccountStore(request)


Accounts = Annotated[AccountStore, Depends(_store)]


async def _person(identity: Asking) -> Identity:
    """Identity of a session; programs are refused."""
    if identity.how == "token":
        raise Forbidden("this takes a login: a token cannot do it")
    return identity


async def _admin(identity: Annotated[Identity, Depends(_person)]) -> Identity:
    demand(identity, "administer")
    return identity


Person = Annotated[Identity, Depends(_person)]
Admin = Annotated[Identity, Depends(_admin)]


def agent(request: Request) -> str:
    """Return what the browser says it is, shortened."""
    return request.headers.get("user-agent", "")[:400]


def open_sessions(
    request: Request, found: list[accounts_login.OpenSession]
) -> list[OpenSessionInfo]:
    """Say which of the sessions is the one that asks."""
    door = request.scope["state"].get("door")
    present = door.number if door is not None and door.identity.how == "session" else None
    return [
        OpenSessionInfo.model_validate({**vars(one), "present": one.id == present}) for one in found
    ]
