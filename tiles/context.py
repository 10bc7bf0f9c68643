"""Neutral surroundings (provinces, neighbouring cities and counties) as one small archive.

Layer `context`: polygons with `kind` (province, city, county), `name` and `code`; zooms 4 to 10.
Files are GeoJSON in EPSG:4326. A feature says its kind, name and code itself, or carries the
columns of the packaged sources (`province_name`, `district_adcode`, …).
"""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from tiles import archive, cut, geometry
from tiles import levels as lv
from tiles.mvt import POLYGON, Columns
from tiles.rings import Geoms, snap
from tiles.tilejson import CONTEXT_FIELDS, SCHEMA, vector_layers

ZOOMS = lv.ZoomRange(4, 10)
KINDS = ("province", "city", "county")
SOURCE_NAMES = {"province": "province", "city": "city", "county": "district"}


class ContextError(Exception):
    """A file of surroundings cannot be read; the message says which and why."""


def files(folder: Path) -> list[Path]:
    """GeoJSON files of a folder in name order; none when it does not exist."""
    return sorted([*folder.glob("*.geojson"), *folder.glob("*.geojson.gz")])


def fingerprint(paths: list[Path]) -> str:
    """Sha256 of the contents of the files, in order; kept in the archive made of them."""
    total = hashlib.sha256()
    for path in paths:
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _describe(properties: dict[str, Any]) -> tuple[str, str, str] | None:
    """Kind, name, code of a feature; None when it does not say."""
    kind = properties.get("kind")
    if kind in KINDS:
        return kind, str(properties.get("name", "")), str(properties.get("code", ""))
    for finest in reversed(KINDS):
        column = SOURCE_NAMES[finest]
        if properties.get(f"{column}_name"):
            return (
                finest,
                str(properties[f"{column}_name"]),
                str(properties.get(f"{column}_adcode", "")),
            )
    return None


def read(paths: list[Path]) -> tuple[list[tuple[str, str, str]], Geoms]:
    """Kind, name and code, and the EPSG:4326 polygon of every feature.

    Raises
    ------
    ContextError
        A file that is no GeoJSON, or a feature that is no polygon or does not say what it is.
    """
    about: list[tuple[str, str, str]] = []
    shapes: list[shapely.Geometry] = []
    for path in paths:
        try:
            opened = gzip.open if path.suffix == ".gz" else open
            with opened(path, "rt", encoding="utf-8") as file:
                features = json.load(file)["features"]
            for number, feature in enumerate(features):
                shape = shapely.from_geojson(json.dumps(feature["geometry"]))
                words = _describe(feature["properties"])
                if words is None or shape.geom_type not in ("Polygon", "MultiPolygon"):
                    raise ContextError(
                        f"{path.name}: feature {number} needs kind (one of {', '.join(KINDS)}), "
                        "name, code and a polygon"
                    )
                about.append(words)
                shapes.append(shape)
        except (OSError, ValueError, KeyError, TypeError, shapely.GEOSException) as error:
            raise ContextError(f"{path.name} is not readable GeoJSON: {error!r}") from error
    return about, np.array(shapes, object)


def build(
    paths: list[Path], folder: Path
) -> tuple[archive.Written, tuple[float, float, float, float]]:
    """Write the archive; also its bounds (west south east north, degrees).

    Raises
    ------
    ContextError
        See `read`.
    """
    about, shapes = read(paths)
    if not about:
        raise ContextError("the surroundings have no feature")
    kinds = np.array([words[0] for words in about])
    mercator = shapely.transform(shapely.make_valid(shapes), geometry.project)
    columns = Columns.of(
        np.arange(1, len(about) + 1),
        {
            "kind": [words[0] for words in about],
            "name": [words[1] for words in about],
            "code": [words[2] for words in about],
        },
    )
    tiles: list[tuple[int, int, int, bytes]] = []
    for zoom in ZOOMS:
        simple = mercator.copy()
        for kind in KINDS:  # each kind is a coverage of its own
            one = kinds == kind
            if one.any():
                simple[one] = geometry.simplify_together(
                    mercator[one], lv.tolerance(zoom, ZOOMS.high + 1, 1.0)
                )
        extent = lv.extent(zoom, ZOOMS)
        snapped, _ = snap(geometry.to_units(simple, zoom, extent))
        parts = cut.polygons(snapped, zoom, extent)
        tiles += [
            (zoom, x, y, data)
            for (x, y), data in cut.join(extent, [("context", POLYGON, columns, parts)])
        ]
    west, south, east, north = shapely.total_bounds(shapes).tolist()
    bounds = (west, south, east, north)
    written = archive.write(
        folder,
        tiles,
        bounds,
        {
            "name": "context",
            "version": f"{SCHEMA}.0.0",
            "type": "baselayer",
            "sources": fingerprint(paths),
            "vector_layers": vector_layers({"context": CONTEXT_FIELDS}, ZOOMS),
        },
    )
    return written, bounds
