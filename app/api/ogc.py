"""OGC API - Features over HTTP, and the documents about it. Wiring only; the room is `app.ogc`.

Promises: an answer with coordinates says its reference system (`Content-Crs`); whoever may not ask a
collection does not find it in the list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Request, Response

from app.api.auditing import auditing
from app.api.dependencies import Store, StoreDep, errors
from app.api.ogc_requests import (
    CHOSEN,
    FORM,
    PAGED,
    SYSTEM,
    Name,
    address_of,
    answer,
    base_of,
    catalogue,
    failures,
    find,
    own_rules,
    read,
    told,
)
from app.ogc import documents, features, look, pages, parameters
from app.ogc.collections import SELECTORS, Collection
from app.ogc.documents import GEOJSON, HTML, JSON, OPENAPI, SCHEMA, Document
from app.ogc.features import Page
from app.ogc.pages import Where
from app.ogc.parameters import COMMON

router = APIRouter(prefix="/ogc", tags=["ogc"])
#: Whole headers of 4 kB are what proxies usually take.
LONGEST_LINK = 1000

Feature = Annotated[str, Path(description="Identifier of the feature")]


# documents ---------------------------------------------------------------------------------------
def landing(request: Request, store: StoreDep) -> Response:
    """Answer where everything is."""
    given = read(request)
    base = base_of(request)
    return answer(
        request, given, documents.landing(base),
        lambda where: pages.landing(where, catalogue(store)),
    )  # fmt: skip


for _path, _listed in (("", True), ("/", False)):
    router.add_api_route(
        _path,
        own_rules(landing),
        operation_id="ogcLanding" if _listed else "ogcLandingSlash",
        summary="OGC API: landing page",
        response_class=Response,
        responses={**told("Landing page", JSON, HTML), **failures()},
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
    responses={**told("Conformance classes", JSON, HTML), **failures()},
    dependencies=[FORM],
)
@own_rules
def conformance(request: Request, store: StoreDep) -> Response:  # noqa: ARG001 - the door
    """Answer what is declared; docs/ogc.md says what is not and why."""
    given = read(request)
    body = documents.conformance(base_of(request))
    return answer(request, given, body, lambda where: pages.document(where, "Conformance", body))


@router.get(
    "/api",
    operation_id="ogcApi",
    summary="OGC API: definition (OpenAPI 3.0)",
    response_class=Response,
    responses={**told("API definition", OPENAPI, HTML), **failures()},
    dependencies=[FORM],
)
@own_rules
def definition(request: Request, store: StoreDep) -> Response:
    """Answer the definition of this room alone; the rest is at /api/openapi.json."""
    given = read(request)
    found = catalogue(store)
    body = documents.openapi(base_of(request), found, parameters.MOST, parameters.LIMIT)
    return answer(request, given, body, lambda where: pages.api(where, body), media=OPENAPI)


@router.get(
    "/collections",
    operation_id="ogcCollections",
    summary="OGC API: collections that may be asked",
    response_class=Response,
    responses={**told("Collections", JSON, HTML), **failures()},
    dependencies=[FORM],
)
@own_rules
def list_collections(request: Request, store: StoreDep) -> Response:
    """Answer the collections of every map."""
    given = read(request)
    found = catalogue(store)
    body = documents.collections(base_of(request), found)
    return answer(request, given, body, lambda where: pages.listing(where, found))


@router.get(
    "/collections/{collection}",
    operation_id="ogcCollection",
    summary="OGC API: a collection",
    response_class=Response,
    responses={**told("Collection", JSON, HTML), **failures(404)},
    dependencies=[FORM],
)
@own_rules
def collection(request: Request, collection: Name, store: StoreDep) -> Response:
    """Answer extent, reference systems and links."""
    given = read(request)
    one = find(store, collection)
    body = documents.collection(base_of(request), one)
    return answer(request, given, body, lambda where: pages.collection(where, one, body))


def _schema(
    request: Request,
    name: str,
    store: Store,
    make: Callable[[str, Collection], Document],
    word: str,
) -> Response:
    given = read(request)
    one = find(store, name)
    body = make(base_of(request), one)
    crumbs = [(one.id, documents.address(base_of(request), one))]
    return answer(
        request, given, body, lambda where: pages.document(where, word, body, crumbs), media=SCHEMA
    )


@router.get(
    "/collections/{collection}/queryables",
    operation_id="ogcQueryables",
    summary="OGC API: what a collection can be filtered by",
    response_class=Response,
    responses={**told("JSON Schema", SCHEMA, HTML), **failures(404)},
    dependencies=[FORM],
)
@own_rules
def queryables(request: Request, collection: Name, store: StoreDep) -> Response:
    """Answer the names and types filters and parameters may use."""
    return _schema(request, collection, store, documents.queryables, "Queryables")


@router.get(
    "/collections/{collection}/schema",
    operation_id="ogcSchema",
    summary="OGC API: schema of a collection's features",
    response_class=Response,
    responses={**told("JSON Schema", SCHEMA, HTML), **failures(404)},
    dependencies=[FORM],
)
@own_rules
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
        **told("GeoJSON, in the reference system asked for", GEOJSON, HTML),
        **failures(404),
    },
    dependencies=[FORM, PAGED, SYSTEM, CHOSEN],
)
@own_rules
def items(request: Request, collection: Name, store: StoreDep) -> Response:
    """Answer a page; properties are parameters too, see queryables. `next` leads to the rest."""
    one = find(store, collection)
    given = read(request, parameters.allowed(one))
    asked = parameters.asked(one, given)
    found = _audited(request, one, given, lambda: features.page(store, one, asked))
    base = base_of(request)
    here = f"{documents.address(base, one)}/items"
    address = Where(base, address_of(request, base), "zh")
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
    return answer(
        request, given, body, lambda where: pages.items(where, one, found, following), media=GEOJSON,
        headers={"Content-Crs": f"<{asked.crs.uri}>", "Link": _header(links)},
    )  # fmt: skip


@router.get(
    "/collections/{collection}/items/{feature}",
    operation_id="ogcItem",
    summary="OGC API: one feature",
    response_class=Response,
    responses={
        **told("GeoJSON, in the reference system asked for", GEOJSON, HTML),
        **failures(404),
    },
    dependencies=[FORM, SYSTEM, CHOSEN],
)
@own_rules
def item(request: Request, collection: Name, feature: Feature, store: StoreDep) -> Response:
    """Answer a feature by its identifier: unit code, H3 index, number."""
    one = find(store, collection)
    given = read(request, {*COMMON, "crs", "purpose", *SELECTORS[one.room]})
    asked = parameters.asked(one, given)
    found = _audited(request, one, given, lambda: features.one(store, one, feature, asked))
    base = base_of(request)
    address = Where(base, address_of(request, base), "zh")
    links = [
        documents.link(address.with_(f="json"), "self", GEOJSON, "This feature"),
        documents.link(address.with_(f="html"), "alternate", HTML, "This feature as HTML"),
        documents.link(documents.address(base, one), "collection", JSON, one.title),
    ]
    return answer(
        request, given, {**found.features[0], "links": links},
        lambda where: pages.item(where, one, found), media=GEOJSON,
        headers={"Content-Crs": f"<{asked.crs.uri}>", "Link": _header(links)},
    )  # fmt: skip
