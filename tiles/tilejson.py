"""TileJSON 3.0 of geometry and coloured tiles, and the metadata kept inside an archive.

Imports nothing beyond `tiles.levels`. Addresses are given in, nothing here knows a host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from tiles.levels import ZoomRange

SCHEMA = 1
"""Version of layers and properties; raised when one is renamed, removed or changes its meaning."""

VERSION = f"{SCHEMA}.1.0"
"""The same with its additions; an archive of another version is made anew."""

UNIT_FIELDS = {
    "code": "Canonical unit code",
    "name": "Name of the unit",
    "level": "Level of the unit",
    "parent": "Code of the next coarser unit; empty at the top",
}
LABEL_FIELDS = {
    **UNIT_FIELDS,
    "name_en": "English name; empty where there is none",
    "rank": "1 = the largest unit of the level: placed first",
}
COLOURED_FIELDS = {
    "code": "Canonical unit code",
    "name": "Name of the unit",
    "colour": "0 no data, 1 green, 2 blue, 3 yellow, 4 orange, 5 red",
    "colour_name": "none, green, blue, yellow, orange, red",
    "class_zh": "Meaning of the colour, Chinese",
    "class_en": "Meaning of the colour, English",
    "theta": "Relative risk within 2.2 %; absent when there is no data",
}
CONTEXT_FIELDS = {
    "kind": "province, city or county",
    "name": "Name of the area",
    "code": "Code of the area",
}
CONTEXT_LABEL_FIELDS = {
    **CONTEXT_FIELDS,
    "name_en": "English name; empty where there is none",
    "rank": "1 = the largest area of its kind: placed first",
}


def vector_layers(
    layers: Mapping[str, Mapping[str, str]], zooms: ZoomRange
) -> list[dict[str, Any]]:
    """`vector_layers` of TileJSON: id, fields and zooms of each layer."""
    return [
        {"id": name, "fields": dict(fields), "minzoom": zooms.low, "maxzoom": zooms.high}
        for name, fields in layers.items()
    ]


GEOMETRY_LAYERS = {"units": UNIT_FIELDS, "labels": LABEL_FIELDS}
COLOURED_LAYERS = {"units": COLOURED_FIELDS, "labels": COLOURED_FIELDS}


def attribution(version: Mapping[str, Any]) -> str:
    """Source and licence of a version as shown on a map; HTML, as TileJSON wants it."""
    parts = [str(version["source"]), str(version["licence"])]
    if version["approximate"]:
        parts.append("近似边界 approximate boundaries")
    return " · ".join(escape(part) for part in parts if part)


def metadata(version: Mapping[str, Any], level: str, zooms: ZoomRange) -> dict[str, Any]:
    """Metadata of an archive of one level.

    Parameters
    ----------
    version : mapping
        pack, label, title_zh, title_en, source, licence, approximate of a boundary version.
    """
    return {
        "name": f"{version['title_zh']} {version['title_en']} · {level}",
        "version": VERSION,
        "type": "overlay",
        "pack": version["pack"],
        "boundary_version": version["label"],
        "level": level,
        "attribution": attribution(version),
        "vector_layers": vector_layers(GEOMETRY_LAYERS, zooms),
    }


def document(
    name: str,
    tiles: str,
    layers: Mapping[str, Mapping[str, str]],
    *,
    zooms: ZoomRange,
    bounds: Sequence[float],
    attribution_html: str,
) -> dict[str, Any]:
    """Make a TileJSON 3.0 document.

    Parameters
    ----------
    name : str
    tiles : str
        Absolute address template with `{z}`, `{x}` and `{y}`.
    layers : mapping
        Layer → field → description.
    zooms : ZoomRange
    bounds : sequence of float
        West south east north, degrees.
    attribution_html : str
    """
    west, south, east, north = bounds
    return {
        "tilejson": "3.0.0",
        "name": name,
        "version": VERSION,
        "scheme": "xyz",
        "tiles": [tiles],
        "minzoom": zooms.low,
        "maxzoom": zooms.high,
        "bounds": [west, south, east, north],
        "center": [(west + east) / 2, (south + north) / 2, zooms.low],
        "attribution": attribution_html,
        "vector_layers": vector_layers(layers, zooms),
    }
