"""Corners of polygons as plain arrays, kept beside those who have them already. May import numpy, shapely.

Promises: what is kept belongs to one geometry object (they never change) and goes with it.
"""

from __future__ import annotations

import weakref
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

Floats = npt.NDArray[np.float64]


class Corners(NamedTuple):
    """Corners of all rings, one ring after the other, each closed.

    Attributes
    ----------
    x, y : float64 (n,)
        Coordinates of the polygon's CRS.
    last : bool (n,)
        The last one of its ring: no edge begins there.

    """

    x: Floats
    y: Floats
    last: npt.NDArray[np.bool_]


#: by `id` of the geometry, which is sure as long as the reference lives
_KNOWN: dict[int, tuple[weakref.ref[shapely.Geometry], Corners]] = {}


def corners(area: shapely.Geometry) -> Corners:
    """Corners of a Polygon or MultiPolygon; no look at the geometry where they are kept."""
    known = _KNOWN.get(id(area))
    if known is not None and known[0]() is area:
        return known[1]
    one = area
    if area.geom_type == "MultiPolygon" and shapely.get_num_geometries(area) == 1:
        one = shapely.get_geometry(area, 0)
    if one.geom_type == "Polygon" and not shapely.get_num_interior_rings(one):
        points = shapely.get_coordinates(one)
        last = np.zeros(len(points), np.bool_)
        last[-1:] = True
        return _made(points, last)
    rings = shapely.get_rings(shapely.get_parts(area))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    return _made(points, np.append(ring[1:] != ring[:-1], True)[: len(ring)])


def kept(area: shapely.Geometry) -> bool:
    """Whether corners are kept beside this area, which therefore has some."""
    known = _KNOWN.get(id(area))
    return known is not None and known[0]() is area


def keep(area: shapely.Geometry, points: Floats, ends: npt.NDArray[np.int64]) -> None:
    """Keep the corners of an area beside it.

    Parameters
    ----------
    area : Polygon or MultiPolygon
        Just made of these rings.
    points : float64 (n, 2)
        x, y of all rings, closed.
    ends : int64 (rings,)
        Stop of each ring.

    """
    last = np.zeros(len(points), np.bool_)
    last[ends - 1] = True
    key = id(area)
    # called when the geometry ends, before another can get its `id`
    gone = weakref.ref(area, lambda _: _KNOWN.pop(key, None))
    _KNOWN[key] = gone, _made(points, last)


def _made(points: Floats, last: npt.NDArray[np.bool_]) -> Corners:
    return Corners(points[:, 0].copy(), points[:, 1].copy(), last)
