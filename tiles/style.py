"""MapLibre style (version 8) of the coloured map, for clients that are not our front end.

Needs no sprite and no glyph server: no data is a plain grey with its own outline, and labels are
drawn by the client's own fonts.
"""

from __future__ import annotations

from typing import Any

from tiles.palette import CLASSES, INK, WHITE

PAGE = {"light": "#F4F5F6", "wall": "#0E1217"}


def coloured(name: str, tilejson: str, palette: str = "light") -> dict[str, Any]:
    """Style of one run, level, kind and period.

    Parameters
    ----------
    name : str
    tilejson : str
        Absolute address of the TileJSON document.
    palette : str
        One of `palette.SETS`.
    """
    dark = palette.endswith("wall")
    fills: list[Any] = ["match", ["get", "colour"]]
    for one in CLASSES[1:]:
        fills += [[one.value], one.fill(palette).fill]  # QGIS reads lists only
    none = CLASSES[0].fill(palette)
    return {
        "version": 8,
        "name": name,
        "metadata": {
            "wusetu:classes": {
                one.id: {"zh": one.meaning_zh, "en": one.meaning_en, "fill": one.fill(palette).fill}
                for one in CLASSES
            }
        },
        "sources": {"coloured": {"type": "vector", "url": tilejson}},
        "layers": [
            {
                "id": "ground",
                "type": "background",
                "paint": {"background-color": PAGE["wall" if dark else "light"]},
            },
            {
                "id": "units",
                "type": "fill",
                "source": "coloured",
                "source-layer": "units",
                # the last entry is the default: colour 0, no data
                "paint": {"fill-color": [*fills, none.fill], "fill-antialias": True},
            },
            {
                "id": "no-data",
                "type": "line",
                "source": "coloured",
                "source-layer": "units",
                "filter": ["==", ["get", "colour"], 0],
                "paint": {"line-color": none.hatch, "line-width": 1.6, "line-dasharray": [2, 2]},
            },
            {
                "id": "borders",
                "type": "line",
                "source": "coloured",
                "source-layer": "units",
                "paint": {"line-color": "#000000" if dark else WHITE, "line-width": 0.6},
            },
            {
                "id": "labels",
                "type": "symbol",
                "source": "coloured",
                "source-layer": "labels",
                "layout": {
                    "text-field": ["get", "name"],
                    "text-size": 12,
                    "symbol-sort-key": ["-", 0, ["get", "colour"]],
                },
                "paint": {
                    "text-color": WHITE if dark else INK,
                    "text-halo-color": "#000000" if dark else WHITE,
                    "text-halo-width": 2 if dark else 1.5,
                },
            },
        ],
    }
