"""Give neighbours the same border points, so that they can be simplified as one coverage.

Pure numpy, scipy and shapely. Real boundaries often meet in a T: one side has a point where the
other runs straight on. Nothing visible is wrong, but the two sides no longer share an edge and
would be simplified apart. Here such points are inserted on the other side, and points nearly the
same become the same.
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tiles.rings import Geoms, Int

MERGE = 0.01
"""Points closer than this are one, metres of EPSG:3857."""
REACH = 0.25
"""A point this close to a neighbour's edge becomes a point of it, metres of EPSG:3857; half of
what the finest tile can show."""


def unmatched(geoms: Geoms) -> NDArray[np.bool_]:
    """Polygons with an edge that overlaps or misses their neighbour's, bool (n,)."""
    found: NDArray[np.bool_] = ~shapely.is_empty(shapely.coverage_invalid_edges(geoms))
    return found


def match(geoms: Geoms) -> tuple[Geoms, int]:
    """Insert missing border points.

    Parameters
    ----------
    geoms : object (n,)
        Valid polygons, EPSG:3857.

    Returns
    -------
    geoms : object (n,)
        The same shapes within `REACH`; a shape that would become invalid is left alone.
    wrong : int
        Polygons that still do not fit their neighbours: real gaps or overlaps.
    """
    bad = unmatched(geoms)
    if not bad.any():
        return geoms, 0
    kind, coordinates, offsets = shapely.to_ragged_array(geoms)
    rings = offsets[0].astype(np.int64)
    owner = _owner(offsets)
    points, place = np.unique(coordinates[:, :2], axis=0, return_inverse=True)
    place = place.reshape(-1)
    ring_of = np.repeat(np.arange(len(rings) - 1), np.diff(rings))
    in_bad = bad[owner[ring_of]]
    merged = _merge(points, np.unique(place[in_bad]))[place]
    first = np.flatnonzero((ring_of[1:] == ring_of[:-1]) & (in_bad[1:] | in_bad[:-1]))
    at, inserted = _inserts(merged, first, merged[in_bad])
    moved = np.insert(merged, at, inserted, axis=0)
    extra = np.bincount(ring_of[at - 1], minlength=len(rings) - 1)
    grown = np.concatenate([[0], np.cumsum(np.diff(rings) + extra)])
    made: Geoms = shapely.from_ragged_array(kind, moved, (grown, *offsets[1:]))
    made = shapely.remove_repeated_points(made)
    fine = shapely.is_valid(made) & ~shapely.is_empty(made)
    made = np.where(fine, made, geoms)
    return made, int(unmatched(made).sum())


def _owner(offsets: tuple[NDArray[np.int64], ...]) -> Int:
    """Feature of each ring."""
    polygon = np.repeat(np.arange(len(offsets[1]) - 1), np.diff(offsets[1]))
    if len(offsets) == 2:
        return polygon
    feature: Int = np.repeat(np.arange(len(offsets[2]) - 1), np.diff(offsets[2]))[polygon]
    return feature


def _merge(points: NDArray[np.float64], which: Int) -> NDArray[np.float64]:
    """Points (m, 2), those of `which` closer than `MERGE` replaced by the first of each pair."""
    pairs = cKDTree(points[which]).query_pairs(MERGE, output_type="ndarray")
    target = np.arange(len(which))
    np.minimum.at(target, pairs.max(axis=1), pairs.min(axis=1))
    for _ in range(4):  # a chain of close points ends at its first
        target = target[target]
    result = points.copy()
    result[which] = points[which][target]
    return result


def _inserts(
    coordinates: NDArray[np.float64], first: Int, candidates: NDArray[np.float64]
) -> tuple[Int, NDArray[np.float64]]:
    """Where to insert which candidate points into the edges `first` → `first + 1`, in order."""
    start, end = coordinates[first], coordinates[first + 1]
    edges = shapely.linestrings(np.stack([start, end], axis=1))
    near = np.unique(candidates, axis=0)
    tree = shapely.STRtree(shapely.points(near))
    edge, point = tree.query(edges, predicate="dwithin", distance=REACH)
    along = end[edge] - start[edge]
    length2 = (along**2).sum(axis=1)
    offset = near[point] - start[edge]
    t = (offset * along).sum(axis=1) / np.where(length2 > 0, length2, 1)
    new = (
        (t > 0)
        & (t < 1)
        & (length2 > 0)
        & ~np.all(near[point] == start[edge], axis=1)
        & ~np.all(near[point] == end[edge], axis=1)
    )
    edge, point, t = edge[new], point[new], t[new]
    order = np.lexsort((t, edge))
    return first[edge[order]] + 1, near[point[order]]
