"""OGC API - Tiles, TileJSON and MapLibre styles of the collections.

Imports services, `tiles`, and morecantile for the tile matrix set (WebMercatorQuad alone). Units are
drawn by the database's own function, cells from the arrays of their grid, zones as the border's page
draws them, hotspots and facilities from the relation their features come from.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import morecantile
import sqlalchemy as sa

from app.errors import NotFound
from app.ogc import documents, relations
from app.ogc.collections import Collection
from app.ogc.documents import HTML, MVT, TMS, Document, link
from app.ogc.parameters import Asked
from app.ogc.relations import Store
from app.services import cells_lookup, cells_tiles, coloured
from app.services import zones as zone_service
from app.services.cells_lookup import CellLayerKey
from tiles import cells as cell_tiles
from tiles import style, tilejson
from tiles.levels import ZoomRange
from tiles.palette import CLASSES, INK, WHITE

#: Zooms of what has no zooms of its own.
ANY_ZOOM = ZoomRange(0, 16)
CRS3857 = "http://www.opengis.net/def/crs/EPSG/0/3857"
MOST_ZOOM = 24
#: Numbers of single places leave as features, where it is written down, never in a tile.
UNTOLD = frozenset({"observed", "expected", "relative_risk", "z", "p"})


@lru_cache(maxsize=1)
def matrices() -> morecantile.TileMatrixSet:
    """Return the tile matrix set."""
    return morecantile.tms.get(TMS)


@dataclass(frozen=True)
class Drawn:
    """What a tile set shows.

    Attributes
    ----------
    title, zooms, bounds : of the whole set; bounds west south east north
    query : parameters that choose the same again
    layers : layer → property → description
    credit : source and licence, HTML
    """

    title: str
    zooms: ZoomRange
    bounds: tuple[float, float, float, float]
    query: Mapping[str, Any]
    layers: Mapping[str, Mapping[str, str]]
    credit: str


def layer_of(one: Collection) -> str:
    """Name of the layer of polygons or points in a collection's tiles."""
    return one.room


def drawn(store: Store, one: Collection, asked: Asked) -> Drawn:
    """Find what a tile set shows.

    Raises
    ------
    NotFound
        No such run, kind or period, or the level has no tiles yet.
    """
    credit = "模拟事件 simulated events" if one.map.simulated else ""
    bounds = one.map.bounds
    if not one.coloured:
        named = {
            name: f"{each.zh} · {each.en}"
            for name, each in one.fields.items()
            if name not in UNTOLD
        }
        if one.room == "zones":
            named = {name: named.get(name, "Number of the zone")
                     for name in ("id", "version", "name", "state", "in_force", "sides")}  # fmt: skip
        return Drawn(one.title, ANY_ZOOM, bounds, dict(asked.chosen), {layer_of(one): named}, "")
    with store.read() as connection:
        choice = relations.choose(connection, store.caches, one, asked)
        span = choice.span
        title = f"{one.title} · {choice.kind} · {span.start.isoformat()}"
        if one.room == "units":
            layer = coloured.find(
                connection, choice.facts.id, one.part, choice.kind, period=choice.period,
                order=span.ord,
            )  # fmt: skip
            west, south, east, north = layer.bounds
            return Drawn(
                title, layer.zooms, (west, south, east, north), choice.pinned(),
                tilejson.COLOURED_LAYERS,
                " · ".join(filter(None, (tilejson.attribution(layer.version), credit))),
            )  # fmt: skip
    fields = {"cell": "H3 index", **tilejson.COLOURED_FIELDS}
    fields.pop("name")
    zooms = cell_tiles.native(int(one.part))
    return Drawn(title, zooms, bounds, choice.pinned(), {layer_of(one): fields}, credit)


def tile(store: Store, one: Collection, asked: Asked, z: int, x: int, y: int) -> tuple[bytes, bool]:  # noqa: PLR0917
    """One vector tile, and whether it is gzip; empty: nothing is there.

    Raises
    ------
    NotFound
        No such run, kind, period or job, or no tile of this number in the world.
    """
    if not 0 <= z <= MOST_ZOOM or not (0 <= x < 1 << z and 0 <= y < 1 << z):
        raise NotFound(f"there is no tile {z}/{y}/{x} in the world")
    if one.room == "zones":
        with store.read() as connection:
            return zone_service.tile(connection, one.map.pack, z, x, y), False
    if not one.coloured:
        return _generic(store, one, asked, z, x, y), False
    with store.read() as connection:
        choice = relations.choose(connection, store.caches, one, asked)
        if choice.empty:
            return b"", False
        if one.room == "units":
            layer = coloured.find(
                connection, choice.facts.id, one.part, choice.kind, period=choice.period,
                order=choice.span.ord,
            )  # fmt: skip
            return coloured.tile(connection, layer, z, x, y), False
        key = CellLayerKey(int(one.part), choice.kind, choice.period, choice.span.ord)
        values = cells_lookup.coloured(connection, store.caches, choice.facts.id, key)
        digest = cells_lookup.digest_of(connection, choice.facts, key.res)
    if z not in cell_tiles.native(key.res):
        return b"", False
    grid = cells_tiles.layer(store, digest)
    return grid.tile(z, x, y, values[:, grid.ids - 1]), True


def _generic(store: Store, one: Collection, asked: Asked, z: int, x: int, y: int) -> bytes:  # noqa: PLR0917
    """Draw a relation as the database does it."""
    with store.read() as connection:
        if one.room == "facilities":
            relation = relations.facilities(connection, store.identity, one)
        else:
            relation = relations.hotspots(connection, store.identity, one, asked)
        columns = relation.table.c
        square = sa.func.ST_TileEnvelope(z, x, y)
        shape = sa.func.ST_AsMVTGeom(
            sa.func.ST_Transform(columns.geometry, 3857), square, 4096, 64, sa.true()
        )
        named = [columns[name] for name in one.fields if name not in UNTOLD]
        inner = sa.select(shape.label("shape"), columns.id.label("id"), *named).subquery("q")
        found = connection.execute(
            sa.select(
                sa.func.ST_AsMVT(sa.literal_column("q.*"), layer_of(one), 4096, "shape")
            ).select_from(inner).where(inner.c.shape.is_not(None))
        ).scalar_one()  # fmt: skip
    return bytes(found or b"")


def unpacked(body: bytes, packed: bool) -> bytes:
    """Bytes of a tile without compression."""
    return gzip.decompress(body) if packed and body else body


# documents ---------------------------------------------------------------------------------------
def matrix_sets(base: str) -> Document:
    """List the tile matrix sets."""
    one = matrices()
    href = f"{base}/tileMatrixSets/{TMS}"
    return {
        "tileMatrixSets": [
            {"id": TMS, "title": one.title, "uri": str(one.uri), "crs": CRS3857,
             "links": [link(href, "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme",
                            "application/json", TMS)]}
        ],
        "links": documents.own(f"{base}/tileMatrixSets"),
    }  # fmt: skip


def matrix_set(base: str, name: str) -> Document:
    """Describe the tile matrix set.

    Raises
    ------
    NotFound
        It is not offered.
    """
    known(name)
    found: Document = json.loads(matrices().model_dump_json(exclude_none=True))
    found["links"] = documents.own(f"{base}/tileMatrixSets/{TMS}")
    return found


def known(name: str) -> None:
    """Do nothing when a tile matrix set is offered.

    Raises
    ------
    NotFound
        It is not.
    """
    if name != TMS:
        raise NotFound(f"there is no tile matrix set {name!r}; there is {TMS}")


def sets(base: str, one: Collection, seen: Drawn) -> Document:
    """List the tile sets of a collection."""
    here = f"{documents.address(base, one)}/tiles"
    href = f"{here}/{TMS}{_query(seen.query)}"
    return {
        "tilesets": [
            {**_head(seen), "links": [
                link(href, "self", "application/json", "Tile set"),
                *_template(base, one, seen),
            ]}
        ],
        "links": documents.own(here),
    }  # fmt: skip


def _query(query: Mapping[str, Any]) -> str:
    return f"?{urlencode(query)}" if query else ""


def _head(seen: Drawn) -> Document:
    return {
        "title": seen.title,
        "dataType": "vector",
        "crs": CRS3857,
        "tileMatrixSetURI": str(matrices().uri),
        "tileMatrixSetId": TMS,
    }


def _template(base: str, one: Collection, seen: Drawn) -> list[Document]:
    here = f"{documents.address(base, one)}/tiles/{TMS}"
    query = _query(seen.query)
    return [
        link(f"{here}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}{query}", "item", MVT,
             "Vector tiles", templated=True),
        link(f"{here}/tilejson.json{query}", "describedby", "application/json", "TileJSON 3.0"),
    ]  # fmt: skip


def tileset(base: str, one: Collection, seen: Drawn) -> Document:
    """Describe a tile set with its limits, as the tile matrix set counts."""
    west, south, east, north = seen.bounds
    if west > east:
        west, east = -180.0, 180.0
    limits = []
    for zoom in range(seen.zooms.low, seen.zooms.high + 1):
        first = matrices().tile(west, min(north, 85), zoom)
        last = matrices().tile(min(east, 179.999999), max(south, -85), zoom)
        limits.append(
            {"tileMatrix": str(zoom), "minTileRow": first.y, "maxTileRow": last.y,
             "minTileCol": first.x, "maxTileCol": last.x}
        )  # fmt: skip
    here = f"{documents.address(base, one)}/tiles/{TMS}{_query(seen.query)}"
    scheme = "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme"
    return {
        **_head(seen),
        "tileMatrixSetLimits": limits,
        "boundingBox": {"lowerLeft": [west, south], "upperRight": [east, north],
                        "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"},
        "layers": [
            {"id": name, "dataType": "vector",
             "propertiesSchema": {"type": "object", "properties": {
                 key: {"description": text} for key, text in fields.items()}}}
            for name, fields in seen.layers.items()
        ],
        "links": [
            link(here, "self", "application/json", "Tile set"),
            link(f"{here}{'&' if '?' in here else '?'}f=html", "alternate", HTML, "Tile set (HTML)"),
            link(f"{base}/tileMatrixSets/{TMS}", scheme, "application/json", TMS),
            *_template(base, one, seen),
        ],
    }  # fmt: skip


def tile_json(base: str, one: Collection, seen: Drawn) -> Document:
    """Make the TileJSON 3.0 of a collection."""
    here = f"{documents.address(base, one)}/tiles/{TMS}"
    return tilejson.document(
        seen.title,
        f"{here}/{{z}}/{{y}}/{{x}}{_query(seen.query)}",
        seen.layers,
        zooms=seen.zooms,
        bounds=seen.bounds,
        attribution_html=seen.credit,
    )


def map_style(base: str, one: Collection, seen: Drawn, palette: str) -> Document:
    """Make the MapLibre style of a collection.

    Parameters
    ----------
    palette : one of `tiles.palette.SETS`
    """
    url = f"{documents.address(base, one)}/tiles/{TMS}/tilejson.json{_query(seen.query)}"
    if one.room == "units":
        return style.coloured(seen.title, url, palette)
    dark = palette.endswith("wall")
    ink = WHITE if dark else INK
    common = {"source": "shown", "source-layer": layer_of(one)}
    if one.room == "facilities":
        fills: Any = [
            "match",
            ["get", "type"],
            ["site"],  # QGIS reads lists only
            "#2F62A0",
            ["checkpoint"],
            "#7A5B00",
            "#646E7B",
        ]
        layers = [
            {"id": "facilities", "type": "circle", **common,
             "paint": {"circle-radius": 5, "circle-color": fills, "circle-stroke-color": WHITE,
                       "circle-stroke-width": 1.5}},
        ]  # fmt: skip
    else:
        layers = [
            {"id": "areas", "type": "fill", **common, "paint": {"fill-color": _fill(one, palette),
             "fill-opacity": 0.25 if one.room == "zones" else 1}},
            {"id": "edges", "type": "line", **common,
             "paint": {"line-color": ink if one.room == "zones" else WHITE,
                       "line-width": 1.6 if one.room == "zones" else 0.4}},
        ]  # fmt: skip
    ground = {"id": "ground", "type": "background",
              "paint": {"background-color": style.PAGE["wall" if dark else "light"]}}  # fmt: skip
    return {
        "version": 8,
        "name": seen.title,
        "sources": {"shown": {"type": "vector", "url": url}},
        "layers": [ground, *layers],
    }


def _fill(one: Collection, palette: str) -> Any:
    if one.room == "zones":
        return "#646E7B"
    if one.room == "hotspots":
        red, blue = CLASSES[5].fill(palette).fill, CLASSES[2].fill(palette).fill
        return ["match", ["get", "found"], ["hot"], red, blue]
    found: list[Any] = ["match", ["get", "colour"]]
    for each in CLASSES[1:]:
        found += [[each.value], each.fill(palette).fill]
    return [*found, CLASSES[0].fill(palette).fill]
