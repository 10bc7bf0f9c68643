"""Polygons as flat integer rings: the one form in which tiles are snapped and encoded.

Pure numpy and shapely. Coordinates are tile units, x east and y south, as in a tile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

Int = NDArray[np.int64]
Geoms = NDArray[np.object_]


@dataclass(frozen=True)
class Rings:
    """Open rings of `n` polygonal features, in feature order, exteriors before their holes.

    Attributes
    ----------
    xy : int64 (P, 2)
        Points of all rings, the closing point left out.
    length : int64 (R,)
        Points per ring.
    polygon : int64 (R,)
        Polygon of each ring, ascending.
    hole : bool (R,)
    feature : int64 (R,)
        Feature of each ring, ascending, in `[0, n)`.
    n : int
    """

    xy: Int
    length: Int
    polygon: Int
    hole: NDArray[np.bool_]
    feature: Int
    n: int

    @property
    def start(self) -> Int:
        """First point of each ring, int64 (R,)."""
        return np.cumsum(self.length) - self.length

    def next_point(self) -> Int:
        """Index of the point after each point, round its ring, int64 (P,)."""
        after = np.arange(1, len(self.xy) + 1)
        start, filled = self.start, self.length > 0
        after[(start + self.length - 1)[filled]] = start[filled]
        return after

    def area2(self) -> Int:
        """Twice the signed area of each ring, exact; positive: clockwise on the screen."""
        if not len(self.xy):
            return np.zeros(len(self.length), np.int64)
        # relative to the ring's first point: products stay far below 2**63
        base = self.xy - np.repeat(self.xy[self.start[self.length > 0]],
                                   self.length[self.length > 0], axis=0)  # fmt: skip
        after = base[self.next_point()]
        cross = base[:, 0] * after[:, 1] - after[:, 0] * base[:, 1]
        total = np.zeros(len(self.length), np.int64)
        filled = np.flatnonzero(self.length)
        total[filled] = np.add.reduceat(cross, self.start[filled])
        return total

    def take(self, points: NDArray[np.bool_], rings: NDArray[np.bool_]) -> Rings:
        """Keep the marked points and rings; a point of a dropped ring is dropped."""
        owner = np.repeat(np.arange(len(self.length)), self.length)
        points = points & rings[owner]
        length = np.bincount(owner[points], minlength=len(self.length))
        return Rings(
            self.xy[points], length[rings].astype(np.int64), self.polygon[rings],
            self.hole[rings], self.feature[rings], self.n,
        )  # fmt: skip

    def cleaned(self) -> Rings:
        """Drop repeated points, then rings without area, then holes without their exterior."""
        if not len(self.xy):
            return self
        same = np.all(self.xy == self.xy[self.next_point()], axis=1)
        once = self.take(~same, np.ones(len(self.length), bool))
        flat = (once.length < 3) | (once.area2() == 0)
        gone = np.unique(once.polygon[flat & ~once.hole])
        return once.take(np.ones(len(once.xy), bool), ~(flat | np.isin(once.polygon, gone)))

    def oriented(self) -> Rings:
        """Exteriors with positive area, holes with negative, as vector tiles want it."""
        turn = (self.area2() > 0) == self.hole
        place = np.arange(len(self.xy)) - np.repeat(self.start, self.length)
        start, length = np.repeat(self.start, self.length), np.repeat(self.length, self.length)
        index = start + np.where(np.repeat(turn, self.length), length - 1 - place, place)
        return Rings(self.xy[index], self.length, self.polygon, self.hole, self.feature, self.n)

    def geometries(self) -> Geoms:
        """MultiPolygon per feature, object (n,); a feature without rings is empty."""
        start = self.start
        closed = np.insert(np.arange(len(self.xy)), start + self.length, start)
        rings = np.concatenate([[0], np.cumsum(self.length + 1)])
        polygons, first = np.unique(self.polygon, return_index=True)
        polygon_feature = self.feature[first]
        parts = np.bincount(polygon_feature, minlength=self.n)
        offsets = (
            rings,
            np.concatenate([first, [len(self.length)]]),
            np.concatenate([[0], np.cumsum(parts)]),
        )
        if not len(polygons):
            return np.array([shapely.MultiPolygon()] * self.n, object)
        made: Geoms = shapely.from_ragged_array(
            shapely.GeometryType.MULTIPOLYGON, self.xy[closed].astype(float), offsets
        )
        return made


def from_geometries(geoms: Geoms) -> Rings:
    """Rings of polygonal geometries (Polygon, MultiPolygon, empty), rounded to integers.

    Parameters
    ----------
    geoms : object (n,)
        In tile units; anything but polygons counts as empty.
    """
    n = len(geoms)
    polygonal = np.isin(shapely.get_type_id(geoms), (3, 6)) & ~shapely.is_empty(geoms)
    which = np.flatnonzero(polygonal)
    if not len(which):
        none = np.zeros(0, np.int64)
        return Rings(np.zeros((0, 2), np.int64), none, none, none.astype(bool), none, n)
    kind, coordinates, offsets = shapely.to_ragged_array(geoms[which])
    of_ring, of_polygon = offsets[0].astype(np.int64), offsets[1].astype(np.int64)
    polygons = len(of_polygon) - 1
    polygon = np.repeat(np.arange(polygons), np.diff(of_polygon))
    owner = (
        np.repeat(np.arange(len(which)), np.diff(offsets[2]))
        if kind == shapely.GeometryType.MULTIPOLYGON
        else np.arange(polygons)
    )
    closing = np.zeros(len(coordinates), bool)
    closing[of_ring[1:] - 1] = True
    return Rings(
        np.rint(coordinates[~closing, :2]).astype(np.int64),
        np.diff(of_ring) - 1,
        polygon,
        np.arange(len(polygon)) != of_polygon[polygon],
        which[owner[polygon]],
        n,
    )


def snap(geoms: Geoms) -> tuple[Geoms, NDArray[np.bool_]]:
    """Round valid polygons to whole tile units and keep them valid.

    Points are rounded one by one, so neighbours that share an edge still share it. Where that
    alone makes a polygon invalid (an edge rounded across a narrow neck) that polygon is
    rounded by GEOS' precision model instead.

    Parameters
    ----------
    geoms : object (n,)
        Valid Polygon or MultiPolygon, tile units.

    Returns
    -------
    geoms : object (n,)
        MultiPolygon on whole units; empty where nothing of the area is left.
    repaired : bool (n,)
    """
    rounded = from_geometries(geoms).cleaned().geometries()
    bad = ~shapely.is_valid(rounded)
    if bad.any():
        source = geoms[bad]
        invalid = ~shapely.is_valid(source)
        source[invalid] = shapely.make_valid(
            source[invalid], method="structure", keep_collapsed=False
        )
        fixed = shapely.set_precision(source, 1.0)
        rounded[bad] = from_geometries(fixed).cleaned().geometries()
    return rounded, bad
