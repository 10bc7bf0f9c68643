"""What every route of the OGC API has in common: parameters as they are documented, addresses, answers.

Promises: every parameter is declared in `app.ogc.parameters` and an unknown one is 400, as the
standards want; whoever may not ask a collection does not find it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Header, Path, Query, Request, Response

from app.api.dependencies import REVALIDATE, Store, errors, failure
from app.ogc import collections, features, parameters
from app.ogc.collections import Collection
from app.ogc.documents import HTML, JSON, Document
from app.ogc.pages import Where
from app.ogc.parameters import DOCUMENT
from app.security.hosts import name_of
from app.settings import Settings

Name = Annotated[str, Path(description="Name of the collection, see /ogc/collections")]
Form = Annotated[str | None, Query(description="json or html; else what `Accept` prefers")]
Lang = Annotated[str | None, Query(description="Language of pages: zh or en")]


def told(text: str, *media: str) -> dict[int | str, dict[str, Any]]:
    """Documented answer of a route in the forms it has."""
    content: dict[str, Any] = {}
    for one in media:
        content[one] = {"schema": {"type": "string" if one == HTML else "object"}}
    return {200: {"description": text, "content": content}}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Documented errors of a route of this room."""
    return {
        400: failure("A parameter is unknown or means nothing"),
        406: failure("It is not answered in the form asked for"),
        **errors(*statuses, 422, 503),
    }


async def _form(f: Form = None, lang: Lang = None) -> None:
    """Document what every document takes; `read` reads it."""


async def _chosen(
    run: Annotated[str | None, Query(description="Units, cells: run; none: the newest")] = None,
    kind: Annotated[str | None, Query(description="Units, cells: kind or `overall`")] = None,
    period: Annotated[str | None, Query(description="Units, cells: month, quarter, year")] = None,
    ord: Annotated[  # noqa: A002 - the name of the period index everywhere
        str | None, Query(description="Units, cells: index of the period; none: newest complete")
    ] = None,
    job: Annotated[
        str | None, Query(description="Hotspots: job; none: newest of each method")
    ] = None,
) -> None:
    """Document what chooses run, kind, period and job."""


async def _paged(
    *,
    limit: Annotated[str | None, Query(description="Most features, 1 to 10000; 100")] = None,
    after: Annotated[str | None, Query(description="From the link `next`")] = None,
    bbox: Annotated[str | None, Query(description="Four or six numbers, order of bbox-crs")] = None,
    bbox_crs: Annotated[
        str | None, Query(alias="bbox-crs", description="Reference system of bbox")
    ] = None,
    datetime: Annotated[str | None, Query(description="Moment or interval, RFC 3339")] = None,
    filter: Annotated[str | None, Query(description="CQL2")] = None,  # noqa: A002 - the standard's
    filter_lang: Annotated[
        str | None, Query(alias="filter-lang", description="cql2-text or cql2-json")
    ] = None,
    filter_crs: Annotated[
        str | None, Query(alias="filter-crs", description="Reference system of the filter")
    ] = None,
) -> None:
    """Document what chooses features; properties are parameters, too (see queryables)."""


async def _system(
    crs: Annotated[str | None, Query(description="Reference system of the answer")] = None,
    purpose: Annotated[
        str | None, Query(description="What for, as it stands in the audit (hotspots)")
    ] = None,
    x_purpose: Annotated[str | None, Header(description="The same, percent-encoded")] = None,
) -> None:
    """Document reference system and purpose."""


FORM = Depends(_form)
CHOSEN = Depends(_chosen)
PAGED = Depends(_paged)
SYSTEM = Depends(_system)
Handler = Callable[..., Response]


def own_rules(handler: Handler) -> Handler:
    """Let this room refuse parameters itself: 400 instead of 422, and properties as parameters."""
    handler.any_parameters = True  # type: ignore[attr-defined]
    return handler


# requests ----------------------------------------------------------------------------------------
def base_of(request: Request) -> str:
    """Address of this room as its clients know it: behind a proxy the public one."""
    settings: Settings = request.app.state.settings
    public = settings.accounts.public_url
    host = request.headers.get("host", "")
    if settings.access == "accounts" and public:
        named = name_of(public.partition("://")[2].partition("/")[0])
        if named is not None and named == name_of(host):
            return f"{public.rstrip('/')}/ogc"
    return f"{str(request.base_url).rstrip('/')}/ogc"


def address_of(request: Request, base: str) -> str:
    """Whole address of a request as its client knows it."""
    here = f"{base.removesuffix('/ogc')}{quote(request.url.path)}"
    return f"{here}?{request.url.query}" if request.url.query else here


def read(request: Request, allowed: set[str] | frozenset[str] = DOCUMENT) -> dict[str, str]:
    """Parameters of a request.

    Raises
    ------
    BadRequest
        One is unknown, given twice, or holds a NUL.
    """
    return parameters.once(request.query_params.multi_items(), allowed)


def where_of(request: Request, given: Mapping[str, str], base: str) -> Where:
    """Addresses and language for a page."""
    lang = parameters.language(given, request.headers.get("accept-language", ""))
    return Where(base, address_of(request, base), lang)


def answer(
    request: Request,
    given: Mapping[str, str],
    body: Document,
    page: Callable[[Where], str],
    *,
    media: str = JSON,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Answer a document, or its page."""
    base = base_of(request)
    more = {"Cache-Control": REVALIDATE, "Vary": "Accept, Accept-Language", **(headers or {})}
    where = where_of(request, given, base)
    if parameters.form(given, request.headers.get("accept", "")) == "html":
        more["Content-Language"] = where.lang
        return Response(page(where), media_type="text/html; charset=utf-8", headers=more)
    return Response(features.written(body), media_type=media, headers=more)


def find(store: Store, name: str) -> Collection:
    """Find the collection of a name that the asker may ask."""
    with store.read() as connection:
        return collections.find(connection, store.caches, store.identity, name)


def catalogue(store: Store) -> list[Collection]:
    """All collections the asker may ask."""
    with store.read() as connection:
        return collections.catalogue(connection, store.caches, store.identity)
