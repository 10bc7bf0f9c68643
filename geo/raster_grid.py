"""A raster kept polygon by polygon, and how a part of a polygon shares in it.

May import numpy, shapely, pyproj. Pure. Promises: a part of a polygon gets the sum of the pixels by exact
area weights over the sum of the whole polygon, so that shares of parts that make up a polygon add up
to 1 (to rounding, some 1e-12, on grids in degrees; on projected grids two complementary parts do,
and many parts to about 1e-7, since straight lines in degrees are bent there and cut lines bend in
other places). A polygon keeps the pixels of its own box alone, at most `MOST`: of larger ones, squares of
pixels are made one, and each holds what the polygon has in it. A pixel without a value holds nothing.
Only the proportions inside one polygon are kept, the greatest being 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from geo.pixels import Box, Pieces, add_grid, weigh

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WGS84 = "EPSG:4326"
#: longest edge in degrees when polygons change their CRS: 220 m at most
DENSE = 0.002
#: most pixels kept of a polygon
MOST = 1 << 14


class BeyondError(ValueError):
    """A corner that cannot be drawn in the CRS of a raster.

    Attributes
    ----------
    shape : number of the polygon, from 0
    at : longitude and latitude
    """

    def __init__(self, shape: int, at: list[float], crs: str) -> None:
        super().__init__(f"shape {shape} (from 0) cannot be drawn in {crs}: {at} lies beyond it")
        self.shape = shape
        self.at = at


@dataclass(frozen=True)
class Plane:
    """Where the pixels of a raster are.

    Attributes
    ----------
    crs : as pyproj reads it
    transform : a b c d e f: x = a column + b row + c, y = d column + e row + f
    """

    crs: str
    transform: tuple[float, float, float, float, float, float]

    @cached_property
    def projection(self) -> pyproj.CRS:
        """CRS of the raster."""
        return pyproj.CRS.from_user_input(self.crs)

    @cached_property
    def same(self) -> bool:
        """Whether longitude and latitude are its coordinates."""
        return self.projection.equals(pyproj.CRS(WGS84), ignore_axis_order=True)

    @cached_property
    def _move(self) -> pyproj.Transformer:
        return pyproj.Transformer.from_crs(WGS84, self.projection, always_xy=True)

    def edges(self, shapes: npt.NDArray[np.object_]) -> tuple[Floats, Ints]:
        """Edges of polygons in pixels.

        Parameters
        ----------
        shapes : object (n,), Polygons or MultiPolygons, EPSG:4326

        Returns
        -------
        edges : float64 (m, 4), x y x y (column, row), polygon after polygon
        starts : int64 (n + 1,), polygon i has the edges [starts[i], starts[i + 1])

        Raises
        ------
        BeyondError
            A corner cannot be drawn in the CRS.
        """
        shapes = shapely.orient_polygons(shapely.force_2d(shapes))
        if not self.same:
            shapes = shapely.segmentize(shapes, DENSE)
        polygons, of = shapely.get_parts(shapes, return_index=True)
        rings, part = shapely.get_rings(polygons, return_index=True)
        points, ring = shapely.get_coordinates(rings, return_index=True)
        x, y = points[:, 0], points[:, 1]
        if not self.same:
            x, y = self._move.transform(x, y)
        a, b, c, d, e, f = self.transform
        size = a * e - b * d
        with np.errstate(invalid="ignore"):  # what cannot be moved is infinite
            u = (e * x - b * y + (b * f - e * c)) / size
            v = (-d * x + a * y + (d * c - a * f)) / size
        joined = ring[1:] == ring[:-1]
        owner = of[part[ring]]
        lost = ~(np.isfinite(u) & np.isfinite(v))
        if lost.any():
            raise BeyondError(int(owner[lost][0]), points[lost][0].tolist(), self.projection.name)
        edges = np.column_stack([u[:-1], v[:-1], u[1:], v[1:]])[joined]
        starts = np.searchsorted(owner[:-1][joined], np.arange(len(shapes) + 1)).astype(np.int64)
        return np.ascontiguousarray(edges), starts


def signed_areas(edges: Floats, starts: Ints) -> Floats:
    """Areas (n,) of polygons in pixels, in the sense in which `geo.pixels` counts heights."""
    areas = np.zeros(len(starts) - 1)
    filled = np.flatnonzero(np.diff(starts))
    if len(filled):
        first = starts[filled]
        # about the polygon's own corner: far from the origin the products would lose digits
        base = np.repeat(edges[first, :2], np.diff(starts)[filled], axis=0)
        a, b = edges[:, :2] - base, edges[:, 2:] - base
        areas[filled] = np.add.reduceat((b[:, 1] - a[:, 1]) * (a[:, 0] + b[:, 0]) / -2, first)
    return areas


@dataclass(frozen=True, eq=False)
class UnitGrid:
    """What one polygon has of a raster.

    Attributes
    ----------
    column, row : first pixel of the raster
    factor : pixels of the raster along one side of a pixel kept
    amounts : float32 (h, w), per area; the greatest is 1
    total : their sum over the polygon by exact area weights, in pixels kept
    """

    column: int
    row: int
    factor: int
    amounts: npt.NDArray[np.float32]
    total: float

    def sum(self, edges: Floats, sign: float) -> float:
        """Sum over a polygon given by its edges (m, 4) in pixels of the raster."""
        scaled = (edges - np.array([self.column, self.row] * 2, np.float64)) / self.factor
        return float(sign * weigh(scaled, self.amounts))


class Gathering:
    """Grids of polygons being filled window by window."""

    def __init__(self, pieces: Pieces, most: int = MOST) -> None:
        self._pieces = pieces
        self._most = most
        self._open: dict[int, tuple[Box, Floats]] = {}

    def add(self, chosen: Ints, corner: Ints, layers: tuple[Floats, Floats]) -> None:
        """Add a window; see `geo.pixels.add_values`."""
        for number in chosen.tolist():
            if number not in self._open:
                c0, r0, c1, r1 = self._pieces.boxes[number].tolist()
                wide, tall = c1 - c0, r1 - r0
                factor = max(1, math.ceil(math.sqrt(wide * tall / self._most)))
                size = (2, -(-tall // factor), -(-wide // factor))
                self._open[number] = Box(c0, r0, factor), np.zeros(size)
            box, grid = self._open[number]
            add_grid(self._pieces, number, (corner, *layers), box, grid)

    def take(self, number: int) -> UnitGrid | None:
        """Give a polygon whose last window was added; None: nothing is in it."""
        if number not in self._open:
            return None
        box, (amounts, parts) = self._open.pop(number)
        np.divide(amounts, parts, out=amounts, where=parts > 0)
        most = float(amounts.max())
        if not most > 0:
            return None
        kept = (amounts / most).astype(np.float32)
        grid = UnitGrid(box.column, box.row, box.factor, kept, 0.0)
        pieces = self._pieces
        edges = pieces.edges[pieces.starts[number] : pieces.starts[number + 1]]
        total = grid.sum(edges, float(pieces.signs[number]))
        return UnitGrid(box.column, box.row, box.factor, kept, total) if total > 0 else None


def shares(
    plane: Plane,
    grids: Sequence[UnitGrid],
    parts: npt.NDArray[np.object_],
    rests: npt.NDArray[np.object_] | None = None,
) -> Floats:
    """Share of each polygon's amounts that lies in a part of it.

    Parameters
    ----------
    plane : where the pixels are
    grids : (n,)
    parts : object (n,), Polygons or MultiPolygons inside each polygon, EPSG:4326
    rests : object (n,), what is left of each polygon; wanted on projected grids (see above)

    Returns
    -------
    float64 (n,), 0 to 1; nan: nothing is known where the polygon is
    """
    inside = _sums(plane, grids, parts)
    if rests is None:
        whole = np.array([one.total for one in grids], np.float64)
    else:
        whole = inside + _sums(plane, grids, rests)
    found = np.full(len(grids), np.nan)
    np.divide(inside, whole, out=found, where=whole > 0)
    clipped: Floats = np.clip(found, 0.0, 1.0)
    return clipped


def _sums(plane: Plane, grids: Sequence[UnitGrid], parts: npt.NDArray[np.object_]) -> Floats:
    edges, starts = plane.edges(parts)
    signs = np.sign(signed_areas(edges, starts))
    return np.array(
        [
            max(one.sum(edges[starts[i] : starts[i + 1]], float(signs[i])), 0.0)
            for i, one in enumerate(grids)
        ],
        np.float64,
    )
