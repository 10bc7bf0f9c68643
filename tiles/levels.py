"""Which level is shown at which zoom, and how finely it is drawn there.

Pure numbers; imports nothing of the project. Zooms are those of 512-pixel map clients (MapLibre):
at zoom z the world is `512 * 2**z` CSS pixels wide and one tile is one 512-pixel square.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WORLD = 40075016.685578488
"""Width of the EPSG:3857 world, metres."""

EXTENT = 4096
"""Tile units per tile edge below the greatest zoom of a level."""

EXTENT_TOP = 8192
"""Tile units at the greatest zoom, which clients enlarge; MapLibre keeps no finer grid."""

BUFFER = 1 / 64
"""Margin around a tile, as a share of its edge: room for the widest border line."""

DETAIL_M = 2.0
"""Ground metres of simplification at the greatest zooms, so that enlarging stays true."""

DETAIL_UNITS = 6.0
"""Simplification at smaller zooms, in 1/4096 of a tile: three quarters of a CSS pixel."""

MIN_ZOOM, MAX_ZOOM = 4, 13

WORLD_ZOOM = 3
"""The least zoom of the command view; maps too wide for `MIN_ZOOM` begin here."""


@dataclass(frozen=True)
class ZoomRange:
    """Zooms `[low, high]` of a level, both ends included."""

    low: int
    high: int

    def __contains__(self, zoom: int) -> bool:
        return self.low <= zoom <= self.high

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(range(self.low, self.high + 1))


KNOWN: Mapping[str, ZoomRange] = {
    "city": ZoomRange(4, 11),
    "county": ZoomRange(4, 11),
    "town": ZoomRange(5, 11),
    "village": ZoomRange(7, 12),
    "grid": ZoomRange(8, 13),
}
"""Ranges of the levels of the unified code."""


def by_size(side_m: float) -> ZoomRange:
    """Range of a level no one named, from the size of its units.

    Parameters
    ----------
    side_m : float
        Typical edge of a unit in EPSG:3857 metres: square root of total area over number.

    Returns
    -------
    ZoomRange
        From the zoom at which a unit is about four CSS pixels wide, in `[4, 10]`, to the zoom at
        which it is a fifth of a tile, in `[11, 13]`. The known ranges follow the same rule.
    """
    if not (math.isfinite(side_m) and side_m > 0):
        return ZoomRange(MIN_ZOOM, 11)
    low = round(math.log2(4 * WORLD / (512 * side_m)))
    high = math.ceil(math.log2(WORLD / (5 * side_m)))
    return ZoomRange(min(max(low, MIN_ZOOM), 10), min(max(high, 11), MAX_ZOOM))


def ranges(
    levels: Sequence[str], sides_m: Mapping[str, float], width_m: float = 0.0
) -> dict[str, ZoomRange]:
    """Range of each level, coarse to fine; a finer level never starts or ends before a coarser.

    The coarsest level is there already where the whole map fits on a screen, whatever its name: a
    country known by its towns alone must not be empty until one zooms in.

    Parameters
    ----------
    levels : sequence of str
        Levels of one boundary version, coarse to fine.
    sides_m : mapping
        Typical unit edge per level, EPSG:3857 metres; used where the level has no known range.
    width_m : float
        West to east across the map, EPSG:3857 metres; 0: not known.
    """
    result: dict[str, ZoomRange] = {}
    whole = MAX_ZOOM if width_m <= 0 else math.floor(math.log2(WORLD / width_m))
    low, high = WORLD_ZOOM, 0
    for place, level in enumerate(levels):
        found = KNOWN.get(level) or by_size(sides_m.get(level, math.nan))
        if place == 0 and whole < found.low:
            found = ZoomRange(max(whole, WORLD_ZOOM), found.high)
        low, high = max(low, found.low), max(high, found.high)
        result[level] = ZoomRange(low, high)
    return result


def extent(zoom: int, of: ZoomRange) -> int:
    """Tile units per edge of a level at a zoom."""
    return EXTENT_TOP if zoom >= of.high else EXTENT


def tolerance(zoom: int, full: int, scale: float) -> float:
    """Tolerance of `shapely.coverage_simplify` at a zoom, EPSG:3857 metres.

    Parameters
    ----------
    zoom : int
    full : int
        Least zoom that some level keeps for enlarging: from here on `DETAIL_M` is meant.
    scale : float
        EPSG:3857 metres per ground metre (1 / cos latitude).
    """
    if zoom >= full:
        return DETAIL_M * scale
    return max(DETAIL_UNITS * WORLD / (EXTENT * 2.0**zoom), DETAIL_M * scale)
