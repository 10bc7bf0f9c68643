"""The documents about the collections: landing page, conformance, collections, queryables, schemas.

Imports the catalogue and the vocabulary. Everything is a plain mapping in the words of the standards
(OGC 17-069r4, 18-058r1, 19-079r2, 21-065r2, 20-057); addresses are made from the base given in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from app.ogc.collections import SELECTORS, SHAPES, Collection
from app.ogc.crs import CRS84

JSON, HTML, GEOJSON = "application/json", "text/html", "application/geo+json"
SCHEMA = "application/schema+json"
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
MVT = "application/vnd.mapbox-vector-tile"
TMS = "WebMercatorQuad"
_OGC = "http://www.opengis.net/def/rel/ogc/1.0"
_FEATURES = "http://www.opengis.net/spec/ogcapi-features"
_CQL2 = "http://www.opengis.net/spec/cql2/1.0/conf"
_TILES = "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf"

#: What is declared, and tested in tests/app/ogc. Left out on purpose: docs/ogc.md says what and why.
CONFORMANCE = (
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-common-2/1.0/conf/collections",
    f"{_FEATURES}-1/1.0/conf/core",
    f"{_FEATURES}-1/1.0/conf/oas30",
    f"{_FEATURES}-1/1.0/conf/html",
    f"{_FEATURES}-1/1.0/conf/geojson",
    f"{_FEATURES}-2/1.0/conf/crs",
    f"{_FEATURES}-3/1.0/conf/queryables",
    f"{_FEATURES}-3/1.0/conf/queryables-query-parameters",
    f"{_FEATURES}-3/1.0/conf/filter",
    f"{_FEATURES}-3/1.0/conf/features-filter",
    f"{_CQL2}/cql2-text",
    f"{_CQL2}/cql2-json",
    f"{_CQL2}/basic-cql2",
    f"{_CQL2}/advanced-comparison-operators",
    f"{_CQL2}/case-insensitive-comparison",
    f"{_CQL2}/basic-spatial-functions",
    f"{_CQL2}/basic-spatial-functions-plus",
    f"{_CQL2}/spatial-functions",
    f"{_CQL2}/property-property",
    f"{_TILES}/core",
    f"{_TILES}/tileset",
    f"{_TILES}/tilesets-list",
    f"{_TILES}/geodata-tilesets",
    f"{_TILES}/mvt",
    "http://www.opengis.net/spec/tms/2.0/conf/tilematrixset",
    "http://www.opengis.net/spec/tms/2.0/conf/json-tilematrixset",
)

Document = dict[str, Any]


def link(href: str, rel: str, media: str, title: str = "", **more: Any) -> Document:
    """Make a link."""
    found = {"href": href, "rel": rel, "type": media, **more}
    if title:
        found["title"] = title
    return found


def both(href: str, rel: str, media: str, title: str) -> list[Document]:
    """Link to a document and to its page."""
    return [
        link(href, rel, media, title),
        link(f"{href}?f=html", rel, HTML, f"{title} (HTML)"),
    ]


def own(href: str) -> list[Document]:
    """Link a document to itself and its page."""
    return [
        link(href, "self", JSON, "This document"),
        link(f"{href}?f=html", "alternate", HTML, "This document as HTML"),
    ]


def landing(base: str) -> Document:
    """Make the landing page."""
    return {
        "title": "五色图 Wusetu",
        "description": "五色风险图的要素与瓦片。\nFeatures and tiles of the five-colour risk map.",
        "links": [
            *own(base),
            link(f"{base}/api", "service-desc", OPENAPI, "API definition"),
            link(f"{base}/api?f=html", "service-doc", HTML, "API documentation"),
            *both(f"{base}/conformance", "conformance", JSON, "Conformance classes"),
            *both(f"{base}/conformance", f"{_OGC}/conformance", JSON, "Conformance classes"),
            *both(f"{base}/collections", "data", JSON, "Collections"),
            *both(f"{base}/collections", f"{_OGC}/data", JSON, "Collections"),
            link(f"{base}/tileMatrixSets", f"{_OGC}/tiling-schemes", JSON, "Tile matrix sets"),
        ],
    }


def conformance(base: str) -> Document:
    """Make the declaration of conformance."""
    return {"conformsTo": list(CONFORMANCE), "links": own(f"{base}/conformance")}


def collections(base: str, found: Sequence[Collection]) -> Document:
    """Make the list of collections."""
    systems = list(dict.fromkeys(one.uri for each in found for one in each.crs))
    return {
        "links": own(f"{base}/collections"),
        "crs": systems or [CRS84],
        "collections": [collection(base, one) for one in found],
    }


def address(base: str, one: Collection) -> str:
    """Address of a collection."""
    return f"{base}/collections/{quote(one.id)}"


def collection(base: str, one: Collection) -> Document:
    """Make the description of a collection."""
    here = address(base, one)
    extent: Document = {"spatial": {"bbox": [list(one.map.bounds)], "crs": CRS84}}
    if one.interval:
        extent["temporal"] = {
            "interval": [[_moment(one.interval[0]), _moment(one.interval[1])]],
            "trs": "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian",
        }
    links = [
        *own(here),
        link(f"{here}/items", "items", GEOJSON, f"{one.title}: GeoJSON"),
        link(f"{here}/items?f=html", "items", HTML, f"{one.title}: HTML"),
        link(f"{here}/queryables", f"{_OGC}/queryables", SCHEMA, "Queryables"),
        link(f"{here}/schema", f"{_OGC}/schema", SCHEMA, "Schema of the features"),
        link(f"{here}/schema", "describedby", SCHEMA, "Schema of the features"),
        link(f"{here}/tiles", f"{_OGC}/tilesets-vector", JSON, "Vector tiles"),
        link(f"{here}/style.json", "stylesheet", "application/vnd.mapbox.style+json",
             "MapLibre style"),
    ]  # fmt: skip
    return {
        "id": one.id,
        "title": one.title,
        "description": one.about,
        "extent": extent,
        "itemType": "feature",
        "crs": [each.uri for each in one.crs],
        "storageCrs": CRS84,
        "links": links,
    }


def _moment(at: Any) -> str:
    return str(at.isoformat().replace("+00:00", "Z"))


def queryables(base: str, one: Collection) -> Document:
    """Make the JSON Schema of what can be filtered."""
    named = {name: each.schema() for name, each in one.fields.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{address(base, one)}/queryables",
        "type": "object",
        "title": one.title,
        "additionalProperties": False,
        "properties": {
            **named,
            "geometry": {"title": "Geometry", "x-ogc-role": "primary-geometry",
                         "format": SHAPES[one.room]},
        },
    }  # fmt: skip


def schema(base: str, one: Collection) -> Document:
    """Make the JSON Schema of the features' properties, with their roles."""
    found = queryables(base, one)
    found["$id"] = f"{address(base, one)}/schema"
    if one.coloured:
        for name, role in (("start", "start"), ("end", "end")):
            found["properties"][name]["x-ogc-role"] = f"primary-interval-{role}"
    return found


# API definition ----------------------------------------------------------------------------------
def _query(name: str, text: str, schema: Document, **more: Any) -> Document:
    return {"name": name, "in": "query", "description": text, "required": False,
            "schema": schema, **more}  # fmt: skip


def _answers(media: str, text: str, *, missing: bool = True) -> Document:
    told = {
        "400": {"$ref": "#/components/responses/Invalid"},
        "401": {"$ref": "#/components/responses/Nobody"},
        "403": {"$ref": "#/components/responses/Forbidden"},
    }
    if missing:
        told["404"] = {"$ref": "#/components/responses/Missing"}
    object_ = {"schema": {"type": "object"}}
    return {
        "200": {"description": text, "content": {media: object_, HTML: {"schema": {"type": "string"}}}},
        **told,
    }  # fmt: skip


def _get(name: str, text: str, media: str, parameters: Sequence[Any] = ()) -> Document:
    form = [{"$ref": "#/components/parameters/f"}, {"$ref": "#/components/parameters/lang"}]
    return {
        "get": {
            "operationId": name,
            "summary": text,
            "tags": ["OGC"],
            "parameters": [*form, *parameters],
            "responses": _answers(media, text, missing="collections/" in name or bool(parameters)),
        }
    }


def openapi(base: str, found: Sequence[Collection], most: int, usual: int) -> Document:
    """Make the API definition (OpenAPI 3.0), every collection with its own parameters.

    Parameters
    ----------
    most, usual : largest page, and that without `limit`
    """
    paths: Document = {
        "/": _get("landing", "Landing page", JSON),
        "/conformance": _get("conformance", "Conformance classes", JSON),
        "/collections": _get("collections", "Collections", JSON),
        "/tileMatrixSets": _get("tileMatrixSets", "Tile matrix sets", JSON),
        f"/tileMatrixSets/{TMS}": _get("tileMatrixSet", TMS, JSON),
    }
    crs = {"type": "string", "format": "uri"}
    for one in found:
        here = f"/collections/{one.id}"
        systems = {**crs, "enum": [each.uri for each in one.crs]}
        named = {f"{each.name}": each for each in one.fields.values()}
        items = [
            {**_query("limit", "Most features of one page",
                      {"type": "integer", "minimum": 1, "maximum": most, "default": usual})},
            _query("after", "Where the page begins: take it from the link `next`", {"type": "string"}),
            _query("bbox", "Ground the features touch, in the axis order of bbox-crs",
                   {"type": "array", "minItems": 4, "maxItems": 6, "items": {"type": "number"}},
                   style="form", explode=False),
            _query("bbox-crs", "Reference system of bbox", systems),
            _query("crs", "Reference system of the answer", systems),
            _query("datetime", "Moment or interval, RFC 3339; units and cells: the newest period "
                   "it touches", {"type": "string"}),
            _query("filter", "CQL2", {"type": "string"}),
            _query("filter-lang", "Language of filter",
                   {"type": "string", "enum": ["cql2-text", "cql2-json"], "default": "cql2-text"}),
            _query("filter-crs", "Reference system of coordinates in filter", systems),
            *(
                _query(name, ("Chooses what is shown: " if name in SELECTORS[one.room] else "")
                       + f"{each.zh} · {each.en}", _plain(each.schema()))
                for name, each in named.items()
            ),
        ]  # fmt: skip
        name = one.id
        paths |= {
            here: _get(f"collections/{name}", one.title, JSON),
            f"{here}/queryables": _get(f"collections/{name}/queryables", "Queryables", SCHEMA),
            f"{here}/schema": _get(f"collections/{name}/schema", "Schema", SCHEMA),
            f"{here}/items": _get(f"collections/{name}/items", one.title, GEOJSON, items),
            f"{here}/items/{{featureId}}": _get(
                f"collections/{name}/item", f"{one.title}: one feature", GEOJSON,
                [
                    {"name": "featureId", "in": "path", "required": True,
                     "schema": {"type": "string"}},
                    _query("crs", "Reference system of the answer", systems),
                    *(each for each in items if each["name"] in SELECTORS[one.room]),
                ],
            ),
            f"{here}/tiles": _get(f"collections/{name}/tiles", "Tile sets", JSON),
            f"{here}/tiles/{TMS}": _get(f"collections/{name}/tileset", "Tile set", JSON),
        }  # fmt: skip
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "五色图 Wusetu · OGC API",
            "version": "1.0.0",
            "description": "Features and tiles of the five-colour risk map.",
            "license": {"name": "Apache-2.0"},
        },
        "servers": [{"url": base}],
        "tags": [{"name": "OGC"}],
        "paths": paths,
        "components": {
            "parameters": {
                "f": _query("f", "Form of the answer", {"type": "string", "enum": ["json", "html"]}),
                "lang": _query("lang", "Language of pages", {"type": "string", "enum": ["zh", "en"]}),
            },
            "responses": {
                "Invalid": _error("A parameter is unknown or means nothing"),
                "Nobody": _error("Nobody is logged in: send a token"),
                "Forbidden": _error("This account may not do this"),
                "Missing": _error("There is no such thing, or not for this account"),
            },
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["code", "message"],
                    "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
                }
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }  # fmt: skip


def _plain(schema: Document) -> Document:
    return {name: value for name, value in schema.items() if name not in {"title", "description"}}


def _error(text: str) -> Document:
    reference = {"schema": {"$ref": "#/components/schemas/Error"}}
    return {"description": text, "content": {JSON: reference}}
