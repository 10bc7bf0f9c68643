"""Neutral surroundings (provinces, neighbouring cities and counties) as one small archive.

Layer `context`: polygons with `kind` (province, city, county), `name` and `code`; zooms 4 to 10.
Layer `context_labels`: one point for each of them that is not part of the map itself, with
`name_en`. Files are GeoJSON in EPSG:4326. A feature says its kind, name and code itself, or carries
the columns of the packaged sources (`province_name`, `district_adcode`, …). A file `names.csv` beside
them (code, name, name_en; codes without trailing zeros) gives English names, and names to cities of
which only counties are there.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from geo.coverage import label_points
from tiles import archive, cut, geometry
from tiles import levels as lv
from tiles.mvt import POINT, POLYGON, Columns
from tiles.rings import Geoms, snap
from tiles.tilejson import CONTEXT_FIELDS, CONTEXT_LABEL_FIELDS, VERSION, vector_layers

ZOOMS = lv.ZoomRange(4, 10)
KINDS = ("province", "city", "county")
SOURCE_NAMES = {"province": "province", "city": "city", "county": "district"}
NAMES = "names.csv"
LENGTHS = {"province": 2, "city": 4, "county": 6}
"""Digits of a code without its trailing zeros (GB/T 2260)."""


class ContextError(Exception):
    """A file of surroundings cannot be read; the message says which and why."""


def files(folder: Path) -> list[Path]:
    """GeoJSON files of a folder in name order; none when it does not exist."""
    return sorted([*folder.glob("*.geojson"), *folder.glob("*.geojson.gz")])


def fingerprint(paths: list[Path], own: Collection[str] = ()) -> str:
    """Sha256 of the contents of the files, in order, of the names beside them, and of `own`.

    It is kept in the archive made of them.
    """
    total = hashlib.sha256()
    beside = {path.parent / NAMES for path in paths}
    for path in [*paths, *sorted(path for path in beside if path.is_file())]:
        total.update(hashlib.sha256(path.read_bytes()).digest())
    total.update(" ".join(sorted(own)).encode())
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


def read_names(paths: list[Path]) -> dict[str, tuple[str, str]]:
    """Code → name and English name, from the `names.csv` beside the files.

    Raises
    ------
    ContextError
        A file that is not UTF-8 or lacks one of the columns code, name, name_en.
    """
    found: dict[str, tuple[str, str]] = {}
    for path in sorted({path.parent / NAMES for path in paths}):
        if not path.is_file():
            continue
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                found |= {r["code"]: (r["name"], r["name_en"] or "") for r in csv.DictReader(file)}
        except (OSError, UnicodeDecodeError, KeyError) as error:
            raise ContextError(f"{path.name} needs code, name, name_en: {error!r}") from error
    return found


@dataclass(frozen=True)
class Labels:
    """Names around the map, one point each; columns of one length.

    Attributes
    ----------
    at : float64 (n, 2)
        Longitude latitude.
    kind, name, name_en, code : list of str
    rank : list of int
        1 = the largest of its kind.
    """

    at: geometry.Float
    kind: list[str]
    name: list[str]
    name_en: list[str]
    code: list[str]
    rank: list[int]


def labels(
    about: list[tuple[str, str, str]],
    shapes: Geoms,
    names: dict[str, tuple[str, str]],
    own: Collection[str],
) -> Labels:
    """Label points of what is not the map's own.

    Parameters
    ----------
    about, shapes
        As `read` answers them.
    names
        As `read_names` answers them.
    own : codes
        Units of the map; what they or units above them hold gets no label here, and the rest of an
        area of which they are a part gets its own point.
    """
    code = [words[2][: LENGTHS[words[0]]] for words in about]
    mine = tuple(own)
    inside = np.array([one.startswith(mine) for one in code]) if mine else np.zeros(len(code), bool)
    counties = np.array([words[0] == "county" for words in about])
    cover = shapely.union_all(shapes[inside & counties]) if (inside & counties).any() else None
    parts: dict[tuple[str, str], tuple[str, list[shapely.Geometry]]] = {}
    for k, (kind, name, _) in enumerate(about):
        if inside[k]:
            continue
        if kind == "county" and code[k][:4] in names:
            city = parts.setdefault(("city", code[k][:4]), (names[code[k][:4]][0], []))
            city[1].append(shapes[k])
        if kind == "county":
            parts[kind, code[k]] = (name, [shapes[k]])
        elif kind == "province" or not any(c[:4] == code[k] for c in code if len(c) == 6):
            rest = shapely.difference(shapes[k], cover) if cover is not None else shapes[k]
            if not rest.is_empty:
                parts[kind, code[k]] = (name, [rest])
    whole = np.array([shapely.union_all(shape) for _, shape in parts.values()], object)
    area = shapely.area(whole)
    kinds = [kind for kind, _ in parts]
    rank = [0] * len(kinds)
    for kind in KINDS:
        rows = [k for k, one in enumerate(kinds) if one == kind]
        for place, k in enumerate(sorted(rows, key=lambda k: -area[k]), 1):
            rank[k] = place
    point = label_points(whole) if len(whole) else np.empty(0, object)
    return Labels(
        np.column_stack([shapely.get_x(point), shapely.get_y(point)]).reshape(-1, 2),
        kinds,
        [name for name, _ in parts.values()],
        [names.get(one, ("", ""))[1] for _, one in parts],
        [one for _, one in parts],
        rank,
    )


def build(
    paths: list[Path], folder: Path, own: Collection[str] = ()
) -> tuple[archive.Written, tuple[float, float, float, float]]:
    """Write the archive; also its bounds (west south east north, degrees).

    Parameters
    ----------
    paths, folder
    own : codes
        Coarsest units of the map the surroundings are for.

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
    names = labels(about, shapely.make_valid(shapes), read_names(paths), own)
    name_columns = Columns.of(
        np.arange(1, len(names.code) + 1),
        {
            "kind": names.kind,
            "name": names.name,
            "name_en": names.name_en,
            "code": names.code,
            "rank": names.rank,
        },
    )
    name_at = geometry.project(names.at)
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
        points = cut.points(geometry.label_units(name_at, zoom, extent), extent)
        layers = [
            ("context", POLYGON, columns, parts),
            ("context_labels", POINT, name_columns, points),
        ]
        tiles += [(zoom, x, y, data) for (x, y), data in cut.join(extent, layers)]
    west, south, east, north = shapely.total_bounds(shapes).tolist()
    bounds = (west, south, east, north)
    written = archive.write(
        folder,
        tiles,
        bounds,
        {
            "name": "context",
            "version": VERSION,
            "type": "baselayer",
            "sources": fingerprint(paths, own),
            "vector_layers": vector_layers(
                {"context": CONTEXT_FIELDS, "context_labels": CONTEXT_LABEL_FIELDS}, ZOOMS
            ),
        },
    )
    return written, bounds
