"""Tiles over HTTP.

Geometry tiles never change, so their address is immutable and they are answered in raw ASGI
before routing: already compressed, one search and one read. Everything else here is ordinary
routes. Colours are answers about a run: private, as every value is.
"""

from __future__ import annotations

import gzip
import logging
import re
import threading
import zlib
from pathlib import Path
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi import Path as PathParameter
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.dependencies import (
    PRIVATE,
    KindPath,
    LevelPath,
    OrdPath,
    Pack,
    PeriodPath,
    Run,
    StoreDep,
    accepts_gzip,
    errors,
)
from app.api.envelope import error_answer, request_id
from app.api.models import ErrorBody
from app.errors import Invalid, NotFound
from app.services import coloured, tile_archives
from tiles import style, tilejson
from tiles.archive import Archive, ArchiveError, path_of
from tiles.levels import ZoomRange

log = logging.getLogger("wusetu.tiles")

MEDIA = "application/vnd.mapbox-vector-tile"
IMMUTABLE = b"public, max-age=31536000, immutable"
FAST_PATH = re.compile(r"/tiles/([0-9a-f]{64})/([^/]{1,20})/([^/]{1,20})/([^/]{1,20})\.mvt")
NUMBER = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)
MAX_ZOOM = 24


class Archives:
    """Open archives of one folder; each is opened at its first tile and stays open."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[str, Archive] = {}
        self._lock = threading.Lock()

    def get(self, digest: str) -> Archive | None:
        """Archive of a digest; None when there is no such file.

        Raises
        ------
        ArchiveError
            The file is there and is damaged.
        """
        found = self._open.get(digest)
        if found is None:
            path = path_of(self.folder, digest)
            if not path.is_file():
                return None
            with self._lock:
                found = self._open.get(digest) or self._open.setdefault(digest, Archive(path))
        return found


class GeometryTiles:
    """Middleware that answers geometry tiles and passes everything else on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._archives: Archives | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer `/tiles/<digest>/z/x/y.mvt`, else pass on."""
        if scope["type"] == "http" and scope["path"].startswith("/tiles/"):
            found = FAST_PATH.fullmatch(scope["path"])
            if found:
                scope["state"]["route"] = "/tiles/{digest}/{z}/{x}/{y}.mvt"
                await self._tile(found, scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _tile(self, found: re.Match[str], scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in {"GET", "HEAD"}:
            answer = error_answer(405, _error(scope, "method_not_allowed", "tiles are only read"))
            answer.headers["Allow"] = "GET, HEAD"
            await answer(scope, receive, send)
            return
        digest, *numbers = found.groups()
        if not all(NUMBER.fullmatch(number) for number in numbers):
            body = _error(scope, "bad_tile", "zoom, column and row are whole numbers")
            await error_answer(400, body)(scope, receive, send)
            return
        z, x, y = (int(number) for number in numbers)
        if z > MAX_ZOOM or x >= 1 << z or y >= 1 << z:
            body = _error(scope, "bad_tile", f"there is no tile {z}/{x}/{y} in the world")
            await error_answer(400, body)(scope, receive, send)
            return
        try:
            archive = self._folder(scope).get(digest)
            data = archive.get(z, x, y) if archive else None
        except ArchiveError as error:
            log.error("request %s: %s", request_id(scope), error)
            body = _error(scope, "unavailable", "these tiles are damaged; build them again")
            await error_answer(503, body)(scope, receive, send)
            return
        if archive is None:
            body = _error(scope, "not_found", "there are no such tiles; read the manifest again")
            await error_answer(404, body)(scope, receive, send)
            return
        if not archive.min_zoom <= z <= archive.max_zoom:
            zooms = f"{archive.min_zoom} to {archive.max_zoom}"
            body = _error(scope, "not_found", f"these tiles have zooms {zooms}, not {z}")
            await error_answer(404, body)(scope, receive, send)
            return
        try:
            await _send(scope, send, digest, data)
        except ArchiveError as error:  # whole to look at, broken inside
            log.error("request %s: tile %s/%s/%s: %s", request_id(scope), z, x, y, error)
            body = _error(scope, "unavailable", "these tiles are damaged; build them again")
            await error_answer(503, body)(scope, receive, send)

    def _folder(self, scope: Scope) -> Archives:
        if self._archives is None:
            self._archives = Archives(folder_of(scope["app"]))
        return self._archives


async def _send(scope: Scope, send: Send, digest: str, data: bytes | None) -> None:
    accepted = known = b""
    for name, value in scope["headers"]:
        if name == b"accept-encoding":
            accepted = value
        elif name == b"if-none-match":
            known = value
    packed = accepts_gzip(accepted)
    # the address holds the digest, so within it the tag only tells the two encodings apart
    tag = f'"{digest[:16]}{"-gzip" if packed else ""}"'.encode()
    headers = [(b"cache-control", IMMUTABLE), (b"etag", tag), (b"vary", b"Accept-Encoding")]
    if known and (known.strip() == b"*" or tag in known):
        status, data = 304, b""
    elif data is None:
        status, data = 204, b""
    else:
        status = 200
        headers.append((b"content-type", MEDIA.encode()))
        if packed:
            headers.append((b"content-encoding", b"gzip"))
        else:
            try:
                data = gzip.decompress(data)
            except (OSError, EOFError, zlib.error) as error:
                raise ArchiveError(f"a tile of {digest} is broken: {error}") from error
        headers.append((b"content-length", str(len(data)).encode()))
        if scope["method"] == "HEAD":
            data = b""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


def _error(scope: Scope, code: str, message: str) -> ErrorBody:
    return ErrorBody(code=code, message=message, request_id=request_id(scope))


router = APIRouter(prefix="/tiles", tags=["tiles"])

PaletteSet = Annotated[
    Literal["light", "wall", "stepped_light", "stepped_wall"],
    Query(alias="set", description="Set of fills"),
]
Zoom = Annotated[int, PathParameter(ge=0, le=MAX_ZOOM, description="Zoom")]
Column = Annotated[int, PathParameter(ge=0, lt=2**MAX_ZOOM, description="Column, from the west")]
Row = Annotated[int, PathParameter(ge=0, lt=2**MAX_ZOOM, description="Row, from the north")]


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


@router.get("/{pack}/{level}/tilejson.json", responses=errors(404, 422, 503))
def geometry_tilejson(
    pack: Pack, level: LevelPath, request: Request, response: Response, store: StoreDep
) -> dict[str, Any]:
    """TileJSON 3.0 of the newest boundary version of a map; level `context`: surroundings."""
    with store.read() as connection:
        row = (
            connection.execute(
                sa.text(
                    "select v.pack, v.label, v.title_zh, v.title_en, v.source, v.licence,"
                    " v.approximate, a.digest, a.min_zoom, a.max_zoom, a.bounds"
                    " from boundary_version v join tile_archive a on a.boundary_version_id = v.id"
                    " where v.pack = :pack and a.level = :level"
                    " order by v.valid_from desc, v.id desc limit 1"
                ),
                {"pack": pack, "level": level},
            )
            .mappings()
            .one_or_none()
        )
    if row is None:
        raise NotFound(f"map {pack!r} has no tiles of level {level!r}")
    response.headers["Cache-Control"] = "public, no-cache"
    surroundings = level == tile_archives.CONTEXT
    return tilejson.document(
        f"{row['title_zh']} {row['title_en']} · {level}",
        f"{_base(request)}/tiles/{row['digest']}/{{z}}/{{x}}/{{y}}.mvt",
        {"context": tilejson.CONTEXT_FIELDS} if surroundings else tilejson.GEOMETRY_LAYERS,
        zooms=ZoomRange(row["min_zoom"], row["max_zoom"]),
        bounds=row["bounds"],
        attribution_html=tilejson.attribution(dict(row)),
    )


async def _when(period: PeriodPath, ord: OrdPath) -> tuple[str, int]:  # noqa: A002
    return period, ord


When = Annotated[tuple[str, int], Depends(_when)]


def chosen(
    run: Run, level: LevelPath, kind: KindPath, when: When, store: StoreDep
) -> coloured.ColouredLayer:
    """Resolve the layer an address names, or answer 404."""
    period, order = when
    with store.read() as connection:
        return coloured.find(connection, run, level, kind, period=period, order=order)


Chosen = Annotated[coloured.ColouredLayer, Depends(chosen)]
COLOURED = "/coloured/{run}/{level}/{kind}/{period}/{ord}"


@router.get(COLOURED + "/tilejson.json", responses=errors(404, 422, 503))
def coloured_tilejson(layer: Chosen, request: Request, response: Response) -> dict[str, Any]:
    """TileJSON 3.0 of the coloured map of one run, level, kind and period."""
    response.headers["Cache-Control"] = PRIVATE
    credit = tilejson.attribution(layer.version)
    if layer.simulated:
        credit += " · 模拟事件 simulated events"
    address = str(request.url).partition("?")[0].removesuffix("tilejson.json")
    return tilejson.document(
        layer.title,
        address + "{z}/{x}/{y}.mvt",
        tilejson.COLOURED_LAYERS,
        zooms=layer.zooms,
        bounds=layer.bounds,
        attribution_html=credit,
    )


@router.get(COLOURED + "/style.json", responses=errors(404, 422, 503))
def coloured_style(
    layer: Chosen, request: Request, response: Response, palette: PaletteSet = "light"
) -> dict[str, Any]:
    """MapLibre style of the coloured map."""
    response.headers["Cache-Control"] = PRIVATE
    address = str(request.url).partition("?")[0].removesuffix("style.json")
    return style.coloured(layer.title, address + "tilejson.json", palette)


@router.get(
    COLOURED + "/{z}/{x}/{y}.mvt",
    response_class=Response,
    responses={
        200: {"content": {MEDIA: {}}, "description": "Vector tile"},
        204: {"description": "Nothing of the map is in this tile"},
        **errors(404, 422, 503),
    },
)
def coloured_tile(layer: Chosen, z: Zoom, x: Column, y: Row, store: StoreDep) -> Response:
    """Coloured vector tile, rendered by the database; empty below the level's least zoom."""
    if x >= 1 << z or y >= 1 << z:
        raise Invalid(f"there is no tile {z}/{x}/{y} in the world")
    with store.read() as connection:
        data = coloured.tile(connection, layer, z, x, y)
    headers = {"Cache-Control": PRIVATE}
    if not data:
        return Response(status_code=204, headers=headers)
    return Response(data, media_type=MEDIA, headers=headers)


def folder_of(app: FastAPI) -> Path:
    """Folder of the archives of an application."""
    return Path(app.state.settings.data_dir) / "archives"


def install(app: FastAPI) -> None:
    """Add the fast path; call it after the middleware it shall skip (later is further out)."""
    app.add_middleware(GeometryTiles)
