"""Every request parameter and the database, as named dependencies.

A parameter nobody declared is an error, not ignored: a misspelt filter must never widen an answer.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, get_args

import psycopg2.errors
import sqlalchemy as sa
from fastapi import Depends, Path, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from app.api.models import ErrorBody, Period
from app.database import claim, raw, translated_errors
from app.errors import Forbidden, Unavailable
from app.security.identity import Action, Identity
from app.security.leaving import ClientGone, cancellable, client_gone
from app.security.limits import Budgets
from app.services.caches import Caches

PRIVATE = "private, max-age=3600"  # a published run never changes, but only its readers keep it
REVALIDATE = "private, no-cache"  # may change at any time; the ETag makes asking again cheap
NO_STORE = "private, no-store"  # what it says is true now and for this asker


#: The one way to write a whole number; Python alone also takes `1_0`, `+1`, `1.0` and ` 1`.
WHOLE_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)


def _declared(route: APIRoute) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    """Names of the query parameters, and place and name of all whole numbers."""
    names: set[str] = set()
    numbers: set[tuple[str, str]] = set()
    waiting: list[Dependant] = [route.dependant]
    while waiting:
        one = waiting.pop()
        names.update(field.alias for field in one.query_params)
        for place, fields in (("path", one.path_params), ("query", one.query_params)):
            for field in fields:
                kind = field.field_info.annotation
                if kind is int or int in get_args(kind):
                    numbers.add((place, field.alias))
        waiting.extend(one.dependencies)
    return frozenset(names), frozenset(numbers)


def _odd_numbers(request: Request, numbers: frozenset[tuple[str, str]]) -> list[dict[str, Any]]:
    """Whole numbers that are not written the one way: two addresses must not mean one thing."""
    wrong = []
    for place, name in sorted(numbers):
        # the router has taken path parameters apart already, as text
        value = (request.path_params if place == "path" else request.query_params).get(name)
        if isinstance(value, str) and not WHOLE_NUMBER.fullmatch(value):
            reason = "give an integer in plain digits"
            wrong.append({"type": "int", "loc": (place, name), "msg": reason, "input": value})
    return wrong


async def known_parameters(request: Request) -> None:
    """Refuse parameters the route does not declare or that are given twice, and odd numbers."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or getattr(route.endpoint, "any_parameters", False):
        return
    declared, numbers = _declared(route)
    wrong = _odd_numbers(request, numbers)
    seen: set[str] = set()
    for name, value in request.query_params.multi_items():
        if name not in declared:
            allowed = ", ".join(sorted(declared)) or "none"
            reason = f"unknown parameter; allowed: {allowed}"
        elif name in seen:
            reason = "given twice"
        else:
            seen.add(name)
            continue
        wrong.append({"type": "extra", "loc": ("query", name), "msg": reason, "input": value})
    if wrong:
        raise RequestValidationError(wrong)


class Store:
    """The database as one request sees it: the web's role, with the jurisdiction of who asks."""

    def __init__(
        self, engine: sa.Engine, identity: Identity, caches: Caches, timeout_ms: int
    ) -> None:
        self.engine = engine
        self.identity = identity
        self.caches = caches
        self.timeout_ms = timeout_ms

    def etag(self, text: str) -> str:
        """Weak ETag of an answer named `text`, another one for every jurisdiction."""
        return f'W/"{self.identity.scope_key}-{text}"'

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One read-only, repeatable transaction with the statement time limit of the settings.

        Raises
        ------
        Unavailable
            The database does not answer, all connections are busy, or a statement took too long.
        ClientGone
            Nobody waits for the answer any more.
        """
        with self._transaction("repeatable read, read only") as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction that may change what the role of the web may change.

        Raises
        ------
        Unavailable, ClientGone
            As `read`.
        Conflict
            It is there already.
        """
        with self._transaction("read committed, read write") as connection:
            yield connection

    @contextmanager
    def _transaction(self, mode: str) -> Iterator[sa.Connection]:
        try:
            with (
                translated_errors(),
                self.engine.connect() as connection,
                cancellable(raw(connection)),
                connection.begin(),
            ):
                one = self.identity
                claim(
                    connection, one.prefixes, role=one.role, account=one.account, zones=one.zones,
                    first=f"set transaction isolation level {mode}; "
                    f"set local statement_timeout = {int(self.timeout_ms)}; ",
                )  # fmt: skip
                yield connection
        except sa.exc.TimeoutError as error:
            raise Unavailable("all database connections are busy; try again") from error
        except Unavailable as error:
            cause = getattr(error.__cause__, "orig", error.__cause__)
            if isinstance(cause, psycopg2.errors.QueryCanceled):
                if client_gone():
                    raise ClientGone("the client went away") from error
                raise Unavailable("the question took too long; narrow it") from error
            raise


class Door:
    """Dependency of a route: what its callers must be allowed to do. It hands out the store.

    Every route that answers something about the map has exactly one; a test refuses a route
    without. What the role may do is asked here, what the jurisdiction sees is the database's.

    Parameters
    ----------
    action : what the identity must be allowed to do
    """

    def __init__(self, action: Action) -> None:
        self.action = action

    async def __call__(self, request: Request) -> Store:
        """Return the store for who asks.

        `async` here and above: nothing waits, and a plain function would cost a hop to another
        thread.

        Raises
        ------
        Forbidden
            The role, or the scope of the token, does not allow it.
        """
        identity: Identity = request.state.identity
        if not identity.may(self.action):
            raise Forbidden(f"this account may not do this ({self.action})")
        state = request.app.state
        return Store(
            state.web,
            identity,
            state.caches.of(identity.scope_key),
            state.settings.database.statement_timeout_ms,
        )


async def _turn(request: Request) -> AsyncIterator[None]:
    budgets: Budgets = request.app.state.budgets
    async with budgets.heavy_turn(request.state.identity):
        yield


#: For routes with heavy work: holds one of few turns until the answer is made.
HeavyDep = Annotated[None, Depends(_turn, scope="function")]

StoreDep = Annotated[Store, Depends(Door("see_map"))]
AskDep = Annotated[Store, Depends(Door("ask_area"))]
ExportDep = Annotated[Store, Depends(Door("export"))]

Run = Annotated[int, Path(ge=1, le=2**31 - 1, description="Run number, see the manifest")]
Pack = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Name of the map")]
PRINTABLE = (
    r"^[^\x00-\x1f\x7f]{1,64}$"  # the database takes no NUL, and no name has a control character
)
Code = Annotated[
    str, Path(pattern=PRINTABLE, description="Unit code; zero-filled forms are accepted")
]
LevelPath = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="Level id")]
KindPath = Annotated[
    str, Path(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="Kind id or `overall`")
]
PeriodPath = Annotated[Period, Path(description="Period type")]
OrdPath = Annotated[int, Path(ge=0, le=32767, description="Index of the period in the manifest")]
Level = Annotated[str, Query(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="Level id")]
Kind = Annotated[str, Query(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="Kind id or `overall`")]
PeriodType = Annotated[Period, Query(description="Period type")]
Ord = Annotated[int, Query(ge=0, le=32767, description="Index of the period in the manifest")]
Within = Annotated[
    str | None,
    Query(pattern=PRINTABLE, description="Only this unit's descendants; none: the map"),
]
Limit = Annotated[int, Query(ge=1, le=50_000, description="Most rows wanted")]
Phrase = Annotated[
    str, Query(pattern=PRINTABLE, description="Part of a name, or a code in any form")
]


def not_modified(request: Request, etag: str) -> bool:
    """Whether the client already has what `etag` names."""
    given = ",".join(request.headers.getlist("if-none-match"))
    return bool(given) and names_tag(given.encode("latin-1"), etag.encode())


def names_tag(header: bytes, etag: bytes) -> bool:
    """Whether `If-None-Match` names the tag (weak comparison, RFC 9110 13.1.2)."""
    bare = etag.removeprefix(b"W/")
    return header.strip() == b"*" or any(
        part.strip().removeprefix(b"W/") == bare for part in header.split(b",")
    )


def accepts_gzip(header: bytes) -> bool:
    """Whether an `Accept-Encoding` header allows gzip (RFC 9110 12.5.3)."""
    if header in {b"gzip", b"gzip, deflate", b"gzip, deflate, br", b"gzip, deflate, br, zstd"}:
        return True
    star = False
    for part in header.decode("latin-1").lower().split(","):
        name, _, weight = part.partition(";")
        try:
            allowed = float(weight.strip().removeprefix("q=") or 1) > 0
        except ValueError:
            allowed = False
        if name.strip() in {"gzip", "x-gzip"}:
            return allowed
        star = star or (name.strip() == "*" and allowed)
    return star


RETRY_AFTER: dict[str, Any] = {
    "Retry-After": {
        "description": "Seconds after which asking again makes sense",
        "schema": {"type": "integer", "minimum": 1},
    }
}


def failure(description: str, **more: Any) -> dict[str, Any]:
    """Document an error of a route.

    By the name of its schema, which `GET /api/health` brings in: with the model itself the framework
    makes a serialiser for every error of every route, half of what starting a server took.
    """
    schema = {"$ref": f"#/components/schemas/{ErrorBody.__name__}"}
    return {"description": description, **more, "content": {"application/json": {"schema": schema}}}


# Documented errors: every route lists those it can answer.
ERRORS: dict[int, dict[str, Any]] = {
    401: failure("Nobody is logged in, or not any more"),
    403: failure("This account may not do this"),
    404: failure("No such run, unit, level, kind or period"),
    408: failure("The body of the request took too long to come"),
    409: failure("It does not fit the present state"),
    413: failure("The body of the request is too large"),
    414: failure("The address is too long"),
    421: failure("This server is not known by this name"),
    422: failure("A parameter is missing, unknown or out of bounds"),
    429: failure("Too many requests of this account", headers=RETRY_AFTER),
    431: failure("The headers are too large"),
    503: failure(
        "The database does not answer at the moment, or too much is under way", headers=RETRY_AFTER
    ),
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Documented errors of a route: its own, and those of the door and the limits before it."""
    always = (401, 403, 408, 413, 414, 421, 429, 431)
    return {status: ERRORS[status] for status in (*always, *statuses)}
