"""OGC API - Features and Tiles over HTTP. Wiring only; the room is `app.ogc`.

Promises: every parameter is declared in `app.ogc.parameters` and an unknown one is 400, as the
standards want; an answer with coordinates says its reference system (`Content-Crs`); whoever may not
ask a collection does not find it in the list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from app.api.auditing import auditing
from app.api.dependencies import REVALIDATE, Store, StoreDep, accepts_gzip, errors
from app.api.models import ErrorBody
from app.ogc import collections, documents, features, look, pages, parameters, tiles
from app.ogc.collections import SELECTORS, Collection
from app.ogc.documents import GEOJSON, HTML, JSON, MVT, OPENAPI, SCHEMA, Document
from app.ogc.errors import bad
from app.ogc.features import Page
from app.ogc.pages import Where
from app.ogc.parameters import COMMON, DOCUMENT, Asked
from app.security.hosts import name_of
from app.settings import Settings
from tiles.palette import SETS

router = APIRouter(prefix="/ogc", tags=["ogc"])
#: Whole headers of 4 kB are what proxies usually take.
LONGEST_LINK = 1000
STYLE_JSON = "application/vnd.mapbox.style+json"

Name = Annotated[str, Path(description="Name of the collection, see /ogc/collections")]
Feature = Annotated[str, Path(description="Identifier of the feature")]
Matrices = Annotated[str, Path(description="WebMercatorQuad")]
Zoom = Annotated[str, Path(description="Zoom")]
Row = Annotated[str, Path(description="Row, from the north")]
Column = Annotated[str, Path(description="Column, from the west")]
Form = Annotated[str | None, Query(description="json or html; else what `Accept` prefers")]
Lang = Annotated[str | None, Query(description="Language of pages: zh or en")]


def _told(text: str, *media: str) -> dict[int | str, dict[str, Any]]:
    content: dict[str, Any] = {}
    for one in media:
        content[one] = {"schema": {"type": "string" if one == HTML else "object"}}
    return {200: {"description": text, "content": content}}


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        400: {"model": ErrorBody, "description": "A parameter is unknown or means nothing"},
        406: {"model": ErrorBody, "description": "It is not answered in the form asked for"},
        **errors(*statuses, 422, 503),
    }


async def _form(f: Form = None, lang: Lang = None) -> None:
    """Document what every document takes; `_read` reads it."""


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


def _own_rules(handler: Handler) -> Handler:
    """Let this room refuse parameters itself: 400 instead of 422, and properties as parameters."""
    handler.any_parameters = True  # type: ignore[attr-defined]
    return handler


# requests ----------------------------------------------------------------------------------------
def _base(request: Request) -> str:
    """Address of this room as its clients know it: behind a proxy the public one."""
    settings: Settings = request.app.state.settings
    public = settings.accounts.public_url
    host = request.headers.get("host", "")
    if settings.access == "accounts" and public:
        named = name_of(public.partition("://")[2].partition("/")[0])
        if named is not None and named == name_of(host):
            return f"{public.rstrip('/')}/ogc"
    return f"{str(request.base_url).rstrip('/')}/ogc"


def _address(request: Request, base: str) -> str:
    here = f"{base.removesuffix('/ogc')}{quote(request.url.path)}"
    return f"{here}?{request.url.query}" if request.url.query else here


def _read(request: Request, allowed: set[str] | frozenset[str] = DOCUMENT) -> dict[str, str]:
    return parameters.once(request.query_params.multi_items(), allowed)


def _where(request: Request, given: Mapping[str, str], base: str) -> Where:
    lang = parameters.language(given, request.headers.get("accept-language", ""))
    return Where(base, _address(request, base), lang)


def _answer(
    request: Request,
    given: Mapping[str, str],
    body: Document,
    page: Callable[[Where], str],
    *,
    media: str = JSON,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Answer a document, or its page."""
    base = _base(request)
    more = {"Cache-Control": REVALIDATE, "Vary": "Accept, Accept-Language", **(headers or {})}
    where = _where(request, given, base)
    if parameters.form(given, request.headers.get("accept", "")) == "html":
        more["Content-Language"] = where.lang
        return Response(page(where), media_type="text/html; charset=utf-8", headers=more)
    return Response(features.written(body), media_type=media, headers=more)


def _find(store: Store, name: str) -> Collection:
    with store.read() as connection:
        return collections.find(connection, store.caches, store.identity, name)


def _catalogue(store: Store) -> list[Collection]:
    with store.read() as connection:
        return collections.catalogue(connection, store.caches, store.identity)


# documents ---------------------------------------------------------------------------------------
def landing(request: Request, store: StoreDep) -> Response:
    """Answer where everything is."""
    given = _read(request)
    base = _base(request)
    return _answer(
        request, given, documents.landing(base),
        lambda where: pages.landing(where, _catalogue(store)),
    )  # fmt: skip


for _path, _listed in (("", True), ("/", False)):
    router.add_api_route(
        _path,
        _own_rules(landing),
        operation_id="ogcLanding" if _listed else "ogcLandingSlash",
        summary="OGC API: landing page",
        response_class=Response,
        responses={**_told("Landing page", JSON, HTML), **_errors()},
        dependencies=[FORM],
        include_in_schema=_listed,
    )


@router.get(
    "/style.css",
    operation_id="ogcStyle",
    summary="OGC API: style sheet of the pages",
    response_class=Response,
    responses={
        200: {"description": "CSS", "content": {"text/css": {"schema": {"type": "string"}}}},
        **errors(422, 503),
    },
)
def style_sheet(store: StoreDep) -> Response:  # noqa: ARG001 - every route has a door
    """Answer the style sheet."""
    return Response(
        look.STYLE, media_type="text/css", headers={"Cache-Control": "private, max-age=600"}
    )


@router.get(
    "/conformance",
    operation_id="ogcConformance",
    summary="OGC API: classes it conforms to",
    response_class=Response,
    responses={**_told("Conformance classes", JSON, HTML), **_errors()},
    dependencies=[FORM],
)
@_own_rules
def conformance(request: Request, store: StoreDep) -> Response:  # noqa: ARG001 - the door
    """Answer what is declared; docs/ogc.md says what is not and why."""
    given = _read(request)
    body = documents.conformance(_base(request))
    return _answer(request, given, body, lambda where: pages.document(where, "Conformance", body))


@router.get(
    "/api",
    operation_id="ogcApi",
    summary="OGC API: definition (OpenAPI 3.0)",
    response_class=Response,
    responses={**_told("API definition", OPENAPI, HTML), **_errors()},
    dependencies=[FORM],
)
@_own_rules
def definition(request: Request, store: StoreDep) -> Response:
    """Answer the definition of this room alone; the rest is at /api/openapi.json."""
    given = _read(request)
    found = _catalogue(store)
    body = documents.openapi(_base(request), found, parameters.MOST, parameters.LIMIT)
    return _answer(request, given, body, lambda where: pages.api(where, body), media=OPENAPI)


@router.get(
    "/collections",
    operation_id="ogcCollections",
    summary="OGC API: collections that may be asked",
    response_class=Response,
    responses={**_told("Collections", JSON, HTML), **_errors()},
    dependencies=[FORM],
)
@_own_rules
def list_collections(request: Request, store: StoreDep) -> Response:
    """Answer the collections of every map."""
    given = _read(request)
    found = _catalogue(store)
    body = documents.collections(_base(request), found)
    return _answer(request, given, body, lambda where: pages.listing(where, found))


@router.get(
    "/collections/{collection}",
    operation_id="ogcCollection",
    summary="OGC API: a collection",
    response_class=Response,
    responses={**_told("Collection", JSON, HTML), **_errors(404)},
    dependencies=[FORM],
)
@_own_rules
def collection(request: Request, collection: Name, store: StoreDep) -> Response:
    """Answer extent, reference systems and links."""
    given = _read(request)
    one = _find(store, collection)
    body = documents.collection(_base(request), one)
    return _answer(request, given, body, lambda where: pages.collection(where, one, body))


def _schema(
    request: Request,
    name: str,
    store: Store,
    make: Callable[[str, Collection], Document],
    word: str,
) -> Response:
    given = _read(request)
    one = _find(store, name)
    body = make(_base(request), one)
    crumbs = [(one.id, documents.address(_base(request), one))]
    return _answer(
        request, given, body, lambda where: pages.document(where, word, body, crumbs), media=SCHEMA
    )


@router.get(
    "/collections/{collection}/queryables",
    operation_id="ogcQueryables",
    summary="OGC API: what a collection can be filtered by",
    response_class=Response,
    responses={**_told("JSON Schema", SCHEMA, HTML), **_errors(404)},
    dependencies=[FORM],
)
@_own_rules
def queryables(request: Request, collection: Name, store: StoreDep) -> Response:
    """Answer the names and types filters and parameters may use."""
    return _schema(request, collection, store, documents.queryables, "Queryables")


@router.get(
    "/collections/{collection}/schema",
    operation_id="ogcSchema",
    summary="OGC API: schema of a collection's features",
    response_class=Response,
    responses={**_told("JSON Schema", SCHEMA, HTML), **_errors(404)},
    dependencies=[FORM],
)
@_own_rules
def schema(request: Request, collection: Name, store: StoreDep) -> Response:
    """Answer names, types and roles of the properties."""
    return _schema(request, collection, store, documents.schema, "Schema")


# features ----------------------------------------------------------------------------------------
def _audited(
    request: Request, one: Collection, given: Mapping[str, str], make: Callable[[], Page]
) -> Page:
    """Make a page; exact counts that leave are written down as an export is."""
    if one.room != "hotspots":
        return make()
    audit = auditing(request, request.headers.get("x-purpose"), given.get("purpose"))
    question = {
        "collection": one.id,
        "format": "ogc",
        **({"job": given["job"]} if "job" in given else {}),
    }
    with audit.entry("export", pack=one.map.pack, question=question) as entry:
        found = make()
        entry.rows = found.events
    return found


def _header(found: list[Document]) -> str:
    """Links as a header, as long as proxies take them."""
    links = [f'<{one["href"]}>; rel="{one["rel"]}"; type="{one["type"]}"' for one in found]
    return ", ".join(one for one in links if len(one) < LONGEST_LINK)


@router.get(
    "/collections/{collection}/items",
    operation_id="ogcItems",
    summary="OGC API: features of a collection",
    response_class=Response,
    responses={
        **_told("GeoJSON, in the reference system asked for", GEOJSON, HTML),
        **_errors(404),
    },
    dependencies=[FORM, PAGED, SYSTEM, CHOSEN],
)
@_own_rules
def items(request: Request, collection: Name, store: StoreDep) -> Response:
    """Answer a page; properties are parameters too, see queryables. `next` leads to the rest."""
    one = _find(store, collection)
    given = _read(request, parameters.allowed(one))
    asked = parameters.asked(one, given)
    found = _audited(request, one, given, lambda: features.page(store, one, asked))
    base = _base(request)
    here = f"{documents.address(base, one)}/items"
    address = Where(base, _address(request, base), "zh")
    links = [
        documents.link(address.with_(f="json"), "self", GEOJSON, "This page"),
        documents.link(address.with_(f="html"), "alternate", HTML, "This page as HTML"),
        documents.link(documents.address(base, one), "collection", JSON, one.title),
    ]
    following = None
    if found.after is not None:
        pinned = {name: str(value) for name, value in found.pinned.items()}
        following = f"{here}?{urlencode({**given, **pinned, 'after': found.after})}"
        links.append(documents.link(following, "next", GEOJSON, "Next page"))
    body = features.collection_of(found, links)
    return _answer(
        request, given, body, lambda where: pages.items(where, one, found, following), media=GEOJSON,
        headers={"Content-Crs": f"<{asked.crs.uri}>", "Link": _header(links)},
    )  # fmt: skip


@router.get(
    "/collections/{collection}/items/{feature}",
    operation_id="ogcItem",
    summary="OGC API: one feature",
    response_class=Response,
    responses={
        **_told("GeoJSON, in the reference system asked for", GEOJSON, HTML),
        **_errors(404),
    },
    dependencies=[FORM, SYSTEM, CHOSEN],
)
@_own_rules
def item(request: Request, collection: Name, feature: Feature, store: StoreDep) -> Response:
    """Answer a feature by its identifier: unit code, H3 index, number."""
    one = _find(store, collection)
    given = _read(request, {*COMMON, "crs", "purpose", *SELECTORS[one.room]})
    asked = parameters.asked(one, given)
    found = _audited(request, one, given, lambda: features.one(store, one, feature, asked))
    base = _base(request)
    address = Where(base, _address(request, base), "zh")
    links = [
        documents.link(address.with_(f="json"), "self", GEOJSON, "This feature"),
        documents.link(address.with_(f="html"), "alternate", HTML, "This feature as HTML"),
        documents.link(documents.address(base, one), "collection", JSON, one.title),
    ]
    return _answer(
        request, given, {**found.features[0], "links": links},
        lambda where: pages.item(where, one, found), media=GEOJSON,
        headers={"Content-Crs": f"<{asked.crs.uri}>", "Link": _header(links)},
    )  # fmt: skip


# tiles -------------------------------------------------------------------------------------------
def _shown(
    request: Request, store: Store, name: str, more: tuple[str, ...] = ()
) -> tuple[Collection, dict[str, str], Asked]:
    one = _find(store, name)
    given = _read(request, {*COMMON, "datetime", *SELECTORS[one.room], *more})
    return one, given, parameters.asked(one, given)


@router.get(
    "/collections/{collection}/tiles",
    operation_id="ogcTileSets",
    summary="OGC API: tile sets of a collection",
    response_class=Response,
    responses={**_told("Tile sets", JSON, HTML), **_errors(404)},
    dependencies=[FORM, CHOSEN],
)
@_own_rules
def tile_sets(request: Request, collection: Name, store: StoreDep) -> Response:
    """Answer the one tile set there is, WebMercatorQuad."""
    one, given, asked = _shown(request, store, collection)
    base = _base(request)
    body = tiles.sets(base, one, tiles.drawn(store, one, asked))
    crumbs = [(one.id, documents.address(base, one))]
    return _answer(request, given, body, lambda where: pages.document(where, "Tiles", body, crumbs))


@router.get(
    "/collections/{collection}/tiles/{matrices}",
    operation_id="ogcTileSet",
    summary="OGC API: a tile set",
    response_class=Response,
    responses={**_told("Tile set", JSON, HTML), **_errors(404)},
    dependencies=[FORM, CHOSEN],
)
@_own_rules
def tile_set(request: Request, collection: Name, matrices: Matrices, store: StoreDep) -> Response:
    """Answer limits, layers and the address template of the tiles."""
    tiles.known(matrices)
    one, given, asked = _shown(request, store, collection)
    base = _base(request)
    body = tiles.tileset(base, one, tiles.drawn(store, one, asked))
    crumbs = [(one.id, documents.address(base, one))]
    return _answer(
        request, given, body, lambda where: pages.document(where, matrices, body, crumbs)
    )


@router.get(
    "/collections/{collection}/tiles/{matrices}/tilejson.json",
    operation_id="ogcTileJson",
    summary="OGC API: TileJSON of a collection",
    response_class=Response,
    responses={**_told("TileJSON 3.0", JSON), **_errors(404)},
    dependencies=[FORM, CHOSEN],
)
@_own_rules
def tile_json(request: Request, collection: Name, matrices: Matrices, store: StoreDep) -> Response:
    """Answer TileJSON 3.0 with the addresses of the tiles."""
    tiles.known(matrices)
    one, _, asked = _shown(request, store, collection)
    body = tiles.tile_json(_base(request), one, tiles.drawn(store, one, asked))
    return Response(features.written(body), media_type=JSON, headers={"Cache-Control": REVALIDATE})


@router.get(
    "/collections/{collection}/style.json",
    operation_id="ogcMapStyle",
    summary="OGC API: MapLibre style of a collection",
    response_class=Response,
    responses={**_told("MapLibre style, version 8", STYLE_JSON), **_errors(404)},
    dependencies=[FORM, CHOSEN],
)
@_own_rules
def map_style(
    request: Request,
    collection: Name,
    store: StoreDep,
    set_: Annotated[
        str | None, Query(alias="set", description=f"Set of fills: {', '.join(SETS)}")
    ] = None,
) -> Response:
    """Answer a style that draws the collection's tiles in its colours."""
    one, _, asked = _shown(request, store, collection, ("set",))
    palette = set_ or SETS[0]
    if palette not in SETS:
        raise bad("set", f"one of {', '.join(SETS)}")
    body = tiles.map_style(_base(request), one, tiles.drawn(store, one, asked), palette)
    return Response(
        features.written(body), media_type=STYLE_JSON, headers={"Cache-Control": REVALIDATE}
    )


@router.get(
    "/collections/{collection}/tiles/{matrices}/{z}/{y}/{x}",
    operation_id="ogcTile",
    summary="OGC API: a vector tile",
    response_class=Response,
    responses={
        200: {
            "content": {MVT: {"schema": {"type": "string", "format": "binary"}}},
            "description": "Vector tile",
        },
        204: {"description": "Nothing is in this tile"},
        **_errors(404),
    },
    dependencies=[FORM, CHOSEN],
)
@_own_rules
def tile(  # noqa: PLR0917
    request: Request,
    collection: Name,
    matrices: Matrices,
    z: Zoom,
    y: Row,
    x: Column,
    store: StoreDep,
) -> Response:
    """Answer a Mapbox vector tile of WebMercatorQuad: zoom, row, column."""
    tiles.known(matrices)
    one = _find(store, collection)
    given = _read(request, {*COMMON, "datetime", *SELECTORS[one.room]})
    if given.pop("f", "mvt") != "mvt":
        raise bad("f", "mvt")
    numbers = [_number(part) for part in (z, x.removesuffix(".mvt"), y)]
    body, packed = tiles.tile(store, one, parameters.asked(one, given), *numbers)
    headers = {"Cache-Control": REVALIDATE, "Vary": "Accept-Encoding"}
    if not body:
        return Response(status_code=204, headers=headers)
    accepted = request.headers.get("accept-encoding", "").encode("latin-1")
    if packed and accepts_gzip(accepted):
        headers["Content-Encoding"] = "gzip"
    else:
        body = tiles.unpacked(body, packed)
    return Response(body, media_type=MVT, headers=headers)


def _number(text: str) -> int:
    """Read a number of a tile; what is none is no tile of the world."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


@router.get(
    "/tileMatrixSets",
    operation_id="ogcMatrixSets",
    summary="OGC API: tile matrix sets",
    response_class=Response,
    responses={**_told("Tile matrix sets", JSON, HTML), **_errors()},
    dependencies=[FORM],
)
@_own_rules
def matrix_sets(request: Request, store: StoreDep) -> Response:  # noqa: ARG001 - the door
    """Answer the one there is, WebMercatorQuad."""
    given = _read(request)
    body = tiles.matrix_sets(_base(request))
    return _answer(
        request, given, body, lambda where: pages.document(where, "Tile matrix sets", body)
    )


@router.get(
    "/tileMatrixSets/{matrices}",
    operation_id="ogcMatrixSet",
    summary="OGC API: a tile matrix set",
    response_class=Response,
    responses={**_told("Tile matrix set", JSON, HTML), **_errors(404)},
    dependencies=[FORM],
)
@_own_rules
def matrix_set(request: Request, matrices: Matrices, store: StoreDep) -> Response:  # noqa: ARG001
    """Answer its scales, origin and sizes."""
    given = _read(request)
    body = tiles.matrix_set(_base(request), matrices)
    crumbs = [("tileMatrixSets", f"{_base(request)}/tileMatrixSets")]
    return _answer(
        request, given, body, lambda where: pages.document(where, matrices, body, crumbs)
    )
