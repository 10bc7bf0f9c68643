"""Vector tiles of H3 cells, encoded on demand from arrays in memory.

May import `geo.cells`. A tile holds every cell that reaches into it, whole: clients draw a tile
inside its own square, so nothing has to be cut. Feature ids are places in the grid plus one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geo import cells as h3
from tiles import levels as lv
from tiles.cut import compress
from tiles.geometry import RADIUS, project
from tiles.levels import ZoomRange
from tiles.mvt import POLYGON, Columns, Value, layer, ring_commands
from tiles.palette import CLASSES
from tiles.rings import Rings

LAYER = "cells"
"""Name of the layer in a tile."""

LOW = {6: 6, 7: 9, 8: 10, 9: 12, 10: 14}
"""Zoom from which cells of a resolution are wide enough to be read (14 to 20 CSS pixels)."""

EARLIER = 2
"""The coarsest resolution there is also serves this many zooms before its own."""

NATIVE = 3
"""Zooms after `LOW` for which tiles are made; clients enlarge them beyond."""

MAX_ZOOM = 22


def ranges(resolutions: Sequence[int]) -> dict[int, ZoomRange]:
    """Zooms at which each resolution is shown, `[low, high]`, without gap or overlap.

    Parameters
    ----------
    resolutions : those there are, in any order

    Examples
    --------
    >>> {res: (one.low, one.high) for res, one in ranges([6, 7, 8]).items()}
    {6: (4, 8), 7: (9, 9), 8: (10, 22)}
    """
    known = sorted(set(resolutions) & set(LOW))
    found = {}
    for at, res in enumerate(known):
        low = LOW[res] if at else LOW[res] - EARLIER
        high = LOW[known[at + 1]] - 1 if at + 1 < len(known) else MAX_ZOOM
        found[res] = ZoomRange(low, high)
    return found


def native(res: int) -> ZoomRange:
    """Zooms for which tiles of a resolution are made."""
    return ZoomRange(max(0, LOW[res] - EARLIER), LOW[res] + NATIVE)


class CellLayer:
    """The cells of one grid, ready to be cut into tiles. Threads may share it.

    Parameters
    ----------
    cells : uint64 (n,)
        One resolution, ascending.
    codes : str (n,)
        Code of the unit a cell belongs to when a map is looked into.
    places : int (n,)
        Places in the grid, from 0; none given: all of them in order.

    Notes
    -----
    20 bytes per cell; outlines are worked out per tile, for keeping them would take 200.
    """

    def __init__(
        self,
        cells: h3.Cells,
        codes: Sequence[str],
        res: int,
        places: NDArray[np.integer] | None = None,
    ) -> None:
        self.cells = cells
        self.codes = codes
        self.res = res
        self.ids = (np.arange(len(cells)) if places is None else places).astype(np.int32) + 1
        centre = h3.centres(cells)
        self.at = project(centre) / lv.WORLD
        # a corner is at most 1.5 mean edges from the centre, wherever on the icosahedron
        lat = float(np.abs(centre[:, 1]).max()) if len(cells) else 0.0
        middle = centre[len(cells) // 2] if len(cells) else (0.0, 0.0)
        edge = math.sqrt(h3.area_km2(float(middle[0]), float(middle[1]), res) / 2.598) * 1000
        self.reach = 1.5 * edge / math.cos(math.radians(min(lat + 1, 85))) / (2 * math.pi * RADIUS)

    def tile(self, zoom: int, x: int, y: int, values: NDArray[np.uint8] | None = None) -> bytes:
        """Make one tile, gzip; empty where no cell reaches into it.

        Parameters
        ----------
        values : uint8 (2, n)
            Colours and relative risks of the layer's cells, as packed for the map: the properties
            of a coloured tile are added. None: shapes alone.
        """
        size = 2.0**-zoom
        reach = self.reach + size * lv.BUFFER
        # rows count from the north, mercator from the south
        west, north = x * size - 0.5, 0.5 - y * size
        near = np.flatnonzero(
            (self.at[:, 0] >= west - reach)
            & (self.at[:, 0] <= west + size + reach)
            & (self.at[:, 1] <= north + reach)
            & (self.at[:, 1] >= north - size - reach)
        )
        if not len(near):
            return b""
        corners, start = h3.outlines(self.cells[near])
        world = project(corners) / lv.WORLD
        scale = lv.EXTENT / size
        local = np.column_stack([(world[:, 0] - west) * scale, (north - world[:, 1]) * scale])
        inside = _touching(local, start)
        near = near[inside]
        if not len(near):
            return b""
        count = np.diff(start)
        kept = np.repeat(inside, count)
        feature = np.arange(len(near))
        rings = Rings(
            np.rint(local[kept]).astype(np.int64), count[inside], feature,
            np.zeros(len(near), bool), feature, len(near),
        )  # fmt: skip
        names = [f"{one:x}" for one in self.cells[near].tolist()]
        properties: dict[str, Sequence[Value]] = {
            "cell": names,
            "code": [self.codes[i] for i in near.tolist()],
        }
        if values is not None:
            properties |= coloured(values[:, near])
        columns = Columns.of(self.ids[near], properties)
        commands = ring_commands(rings)
        return compress(
            layer(LAYER, columns, feature.tolist(), commands, kind=POLYGON, extent=lv.EXTENT)
        )


def coloured(values: NDArray[np.uint8]) -> dict[str, list[Value]]:
    """Properties of coloured features from packed values, (2, n): as in the tiles of units."""
    classes = [CLASSES[one] for one in values[0].tolist()]
    theta = np.round(2.0 ** ((values[1].astype(float) - 128) / 16), 4).tolist()
    return {
        "colour": [one.value for one in classes],
        "colour_name": [one.id for one in classes],
        "class_zh": [one.meaning_zh for one in classes],
        "class_en": [one.meaning_en for one in classes],
        "theta": [
            one if risk else None for one, risk in zip(theta, values[1].tolist(), strict=True)
        ],
    }


def _touching(local: NDArray[np.float64], start: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which cells' boxes touch the tile with its margin, (n,)."""
    low = np.minimum.reduceat(local, start[:-1])
    high = np.maximum.reduceat(local, start[:-1])
    margin = lv.EXTENT * lv.BUFFER
    touch: NDArray[np.bool_] = np.all((high >= -margin) & (low <= lv.EXTENT + margin), axis=1)
    return touch
