"""OGC API - Tiles over HTTP: tile sets, tiles, their style. Wiring only; the room is `app.ogc.tiles`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from app.api.dependencies import REVALIDATE, Store, StoreDep, accepts_gzip
from app.api.ogc_requests import (
    CHOSEN,
    FORM,
    Name,
    answer,
    base_of,
    failures,
    find,
    own_rules,
    read,
    told,
)
from app.ogc import documents, features, pages, parameters, tiles
from app.ogc.collections import SELECTORS, Collection
from app.ogc.documents import HTML, JSON, MVT
from app.ogc.errors import bad
from app.ogc.parameters import COMMON, Asked
from tiles.palette import SETS

router = APIRouter(prefix="/ogc", tags=["ogc"])
STYLE_JSON = "application/vnd.mapbox.style+json"

Matrices = Annotated[str, Path(description="WebMercatorQuad")]
Zoom = Annotated[str, Path(description="Zoom")]
Row = Annotated[str, Path(description="Row, from the north")]
Column = Annotated[str, Path(description="Column, from the west")]


def _shown(
    request: Request, store: Store, name: str, more: tuple[str, ...] = ()
) -> tuple[Collection, dict[str, str], Asked]:
    one = find(store, name)
    given = read(request, {*COMMON, "datetime", *SELECTORS[one.room], *more})
    return one, given, parameters.asked(one, given)


@router.get(
    "/collections/{collection}/tiles",
    operation_id="ogcTileSets",
    summary="OGC API: tile sets of a collection",
    response_class=Response,
    responses={**told("Tile sets", JSON, HTML), **failures(404)},
    dependencies=[FORM, CHOSEN],
)
@own_rules
def tile_sets(request: Request, collection: Name, store: StoreDep) -> Response:
    """Answer the one tile set there is, WebMercatorQuad."""
    one, given, asked = _shown(request, store, collection)
    base = base_of(request)
    body = tiles.sets(base, one, tiles.drawn(store, one, asked))
    crumbs = [(one.id, documents.address(base, one))]
    return answer(request, given, body, lambda where: pages.document(where, "Tiles", body, crumbs))


@router.get(
    "/collections/{collection}/tiles/{matrices}",
    operation_id="ogcTileSet",
    summary="OGC API: a tile set",
    response_class=Response,
    responses={**told("Tile set", JSON, HTML), **failures(404)},
    dependencies=[FORM, CHOSEN],
)
@own_rules
def tile_set(request: Request, collection: Name, matrices: Matrices, store: StoreDep) -> Response:
    """Answer limits, layers and the address template of the tiles."""
    tiles.known(matrices)
    one, given, asked = _shown(request, store, collection)
    base = base_of(request)
    body = tiles.tileset(base, one, tiles.drawn(store, one, asked))
    crumbs = [(one.id, documents.address(base, one))]
    return answer(request, given, body, lambda where: pages.document(where, matrices, body, crumbs))


@router.get(
    "/collections/{collection}/tiles/{matrices}/tilejson.json",
    operation_id="ogcTileJson",
    summary="OGC API: TileJSON of a collection",
    response_class=Response,
    responses={**told("TileJSON 3.0", JSON), **failures(404)},
    dependencies=[FORM, CHOSEN],
)
@own_rules
def tile_json(request: Request, collection: Name, matrices: Matrices, store: StoreDep) -> Response:
    """Answer TileJSON 3.0 with the addresses of the tiles."""
    tiles.known(matrices)
    one, _, asked = _shown(request, store, collection)
    body = tiles.tile_json(base_of(request), one, tiles.drawn(store, one, asked))
    return Response(features.written(body), media_type=JSON, headers={"Cache-Control": REVALIDATE})


@router.get(
    "/collections/{collection}/style.json",
    operation_id="ogcMapStyle",
    summary="OGC API: MapLibre style of a collection",
    response_class=Response,
    responses={**told("MapLibre style, version 8", STYLE_JSON), **failures(404)},
    dependencies=[FORM, CHOSEN],
)
@own_rules
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
    body = tiles.map_style(base_of(request), one, tiles.drawn(store, one, asked), palette)
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
        **failures(404),
    },
    dependencies=[FORM, CHOSEN],
)
@own_rules
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
    one = find(store, collection)
    given = read(request, {*COMMON, "datetime", *SELECTORS[one.room]})
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
    responses={**told("Tile matrix sets", JSON, HTML), **failures()},
    dependencies=[FORM],
)
@own_rules
def matrix_sets(request: Request, store: StoreDep) -> Response:  # noqa: ARG001 - the door
    """Answer the one there is, WebMercatorQuad."""
    given = read(request)
    body = tiles.matrix_sets(base_of(request))
    return answer(
        request, given, body, lambda where: pages.document(where, "Tile matrix sets", body)
    )


@router.get(
    "/tileMatrixSets/{matrices}",
    operation_id="ogcMatrixSet",
    summary="OGC API: a tile matrix set",
    response_class=Response,
    responses={**told("Tile matrix set", JSON, HTML), **failures(404)},
    dependencies=[FORM],
)
@own_rules
def matrix_set(request: Request, matrices: Matrices, store: StoreDep) -> Response:  # noqa: ARG001
    """Answer its scales, origin and sizes."""
    given = read(request)
    body = tiles.matrix_set(base_of(request), matrices)
    crumbs = [("tileMatrixSets", f"{base_of(request)}/tileMatrixSets")]
    return answer(request, given, body, lambda where: pages.document(where, matrices, body, crumbs))
