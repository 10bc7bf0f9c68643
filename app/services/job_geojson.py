"""Results as GeoJSON, EPSG:4326, longitude before latitude; cells as their hexagons.

Made from the stored result alone. Properties carry the names of the columns; what the whole result
says of itself is the member `about` of the collection.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import shapely

from app.errors import NotFound
from geo import cells as h3


def collection(result: dict[str, Any]) -> bytes:
    """GeoJSON of a result's JSON.

    Raises
    ------
    NotFound
        Its kind of result has no places: a table, or a surface.
    """
    if result.get("cells"):
        features = _cells(result["cells"])
    elif "clusters" in result:
        features = [_cluster(one) for one in result["clusters"]]
    else:
        why = " that may be shown" if result["type"] == "forecast" else ""
        raise NotFound(f"this result of type {result['type']} has no shapes{why}")
    about = {name: value for name, value in result.items() if name not in {"cells", "clusters"}}
    whole = {"type": "FeatureCollection", "about": about, "features": features}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()


def _rings(names: list[str]) -> list[list[list[float]]]:
    corners, start = h3.outlines(np.array([int(one, 16) for one in names], np.uint64))
    rounded = np.round(corners, 7)
    rings = []
    for a, b in zip(start[:-1].tolist(), start[1:].tolist(), strict=True):
        ring = rounded[a:b].tolist()
        rings.append([*ring, ring[0]])
    return rings


def _cells(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    others = [name for name in columns if name != "cell"]
    return [
        {
            "type": "Feature",
            "id": cell,
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"cell": cell, **{name: columns[name][at] for name in others}},
        }
        for at, (cell, ring) in enumerate(
            zip(columns["cell"], _rings(columns["cell"]), strict=True)
        )
    ]


def _cluster(one: dict[str, Any]) -> dict[str, Any]:
    shape = shapely.union_all([shapely.Polygon(ring) for ring in _rings(one["cells"])])
    return {
        "type": "Feature",
        "id": one["rank"],
        "geometry": json.loads(shapely.to_geojson(shape)),
        "properties": {name: value for name, value in one.items() if name != "cells"},
    }
