"""The H3 cells of a run: geometry tiles, values, class counts, one cell."""

from __future__ import annotations

import gzip
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Path, Request, Response

from app.api.assessments import PAYLOAD
from app.api.dependencies import (
    PRIVATE,
    Kind,
    KindPath,
    Ord,
    OrdPath,
    PeriodPath,
    PeriodType,
    Run,
    StoreDep,
    Within,
    accepts_gzip,
    errors,
    not_modified,
)
from app.api.models import CellChunk, CellCounts, CellWhy, Series
from app.api.packed_answer import packed_answer
from app.api.tiles import MEDIA, Column, Row, Zoom
from app.errors import Invalid, NotFound
from app.services import cells_explain, cells_lookup
from app.services import cells_tiles as tiles_service
from app.services.cells_lookup import CellLayerKey

router = APIRouter(tags=["cells"])
# what a tile holds is the asker\'s: where jurisdictions are, nobody keeps it (`app.api.envelope`)
IMMUTABLE = "private, max-age=31536000, immutable"

RUN = "/api/runs/{run}/cells"

Resolution = Annotated[int, Path(ge=0, le=15, description="H3 resolution")]
Index = Annotated[
    str, Path(pattern=r"^8[0-9a-f]{14}$", description="H3 index of a cell, hexadecimal")
]
Chunk = Annotated[
    str, Path(pattern=r"^8[0-9a-f]{14}$", description="Name of a chunk, see `chunks`")
]
Digest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="See the manifest")]


@router.get(
    RUN + "/{res}/chunks",
    operation_id="cellChunks",
    summary="Chunks in which values of cells travel",
    responses=errors(404, 422, 503),
)
def chunks(run: Run, res: Resolution, store: StoreDep, response: Response) -> list[CellChunk]:
    """Name, feature ids and bounds of every chunk: what is on the screen is asked for."""
    response.headers["Cache-Control"] = PRIVATE
    with store.read() as connection:
        return cells_lookup.chunks(connection, store.caches, run, res)


@router.get(
    RUN + "/{res}/values/{kind}/{period}/{ord}/{chunk}",
    operation_id="cellValues",
    summary="Colours and relative risks of a chunk of cells, two bytes per cell",
    response_class=Response,
    responses={**PAYLOAD, **errors(404, 422, 503)},
)
def values(
    *,
    request: Request,
    run: Run,
    res: Resolution,
    kind: KindPath,
    period: PeriodPath,
    ord: OrdPath,  # noqa: A002 - the name of the period index everywhere
    chunk: Chunk,
    store: StoreDep,
) -> Response:
    """Answer as for the units of a level; byte `i` belongs to cell `first_id + i` of the chunk."""

    def make(connection: sa.Connection) -> tuple[bytes, bytes]:
        body = cells_lookup.values(
            connection, store.caches, run, CellLayerKey(res, kind, period, ord), int(chunk, 16)
        )
        return body, gzip.compress(body, 4, mtime=0)

    return packed_answer(request, store, run, f"{res}-{kind}-{period}-{ord}-{chunk}", make)


@router.get(
    RUN + "/{res}/counts",
    operation_id="cellCounts",
    summary="Cells of each class",
    responses=errors(404, 422, 503),
)
def counts(
    *,
    run: Run,
    res: Resolution,
    store: StoreDep,
    response: Response,
    kind: Kind = "overall",
    period: PeriodType = "month",
    ord: Ord = 0,  # noqa: A002
    within: Within = None,
) -> CellCounts:
    """Legend counts of the whole map or of the cells that belong to a unit."""
    response.headers["Cache-Control"] = PRIVATE
    with store.read() as connection:
        return cells_lookup.counts(
            connection, store.caches, run, CellLayerKey(res, kind, period, ord), within
        )


@router.get(
    RUN + "/{cell}/why",
    operation_id="cellWhy",
    summary="Why a cell has its colour",
    responses=errors(404, 422, 503),
)
def why(
    *,
    run: Run,
    cell: Index,
    store: StoreDep,
    response: Response,
    kind: Kind = "overall",
    period: PeriodType = "month",
    ord: Ord = 0,  # noqa: A002
) -> CellWhy:
    """Observed, expected, memory, relative risk with interval, and the units it lies in."""
    response.headers["Cache-Control"] = PRIVATE
    with store.read() as connection:
        return cells_explain.why(
            connection, store.caches, run, int(cell, 16), kind=kind, period=period, ord_=ord
        )


@router.get(
    RUN + "/{cell}/series",
    operation_id="cellSeries",
    summary="All periods of one cell and kind",
    responses=errors(404, 422, 503),
)
def series(
    *,
    run: Run,
    cell: Index,
    store: StoreDep,
    response: Response,
    kind: Kind = "overall",
    period: PeriodType = "month",
) -> Series:
    """Observed and expected counts, relative risk with interval and colour, in order."""
    response.headers["Cache-Control"] = PRIVATE
    with store.read() as connection:
        return cells_explain.series(
            connection, store.caches, run, int(cell, 16), kind=kind, period=period
        )


@router.get(
    "/tiles/cells/{digest}/{z}/{x}/{y}.mvt",
    operation_id="cellTile",
    summary="Cells as a vector tile",
    response_class=Response,
    responses={
        200: {"content": {MEDIA: {}}, "description": "Vector tile, layer `cells`"},
        204: {"description": "No cell is in this tile"},
        **errors(404, 422, 503),
    },
)
def tile(
    *, request: Request, digest: Digest, z: Zoom, x: Column, y: Row, store: StoreDep
) -> Response:
    """Shapes only, with `cell` (H3 index) and `code` (the unit it belongs to); immutable."""
    if x >= 1 << z or y >= 1 << z:
        raise Invalid(f"there is no tile {z}/{x}/{y} in the world")
    layer = tiles_service.layer(store, digest)
    zooms = tiles_service.native(layer)
    if z not in zooms:
        raise NotFound(f"these tiles have zooms {zooms.low} to {zooms.high}, not {z}")
    data = store.caches.cell_tiles.get((digest, z, x, y), lambda: layer.tile(z, x, y))
    packed = accepts_gzip(request.headers.get("accept-encoding", "").encode("latin-1"))
    # another one for every jurisdiction: a tile holds the cells that may be seen
    etag = f'"{store.identity.scope_key}-{digest[:16]}{"-gzip" if packed else ""}"'
    headers = {"ETag": etag, "Cache-Control": IMMUTABLE, "Vary": "Accept-Encoding"}
    if not_modified(request, etag):
        return Response(status_code=304, headers=headers)
    if not data:
        return Response(status_code=204, headers=headers)
    if packed:
        headers["Content-Encoding"] = "gzip"
    else:
        data = gzip.decompress(data)
    return Response(data, media_type=MEDIA, headers=headers)
