"""Corners of a drawn shape moved onto the borders of units. Imports shapely.

Promises: no corner moves further than asked; a corner of a border is preferred to a place on its
edge; a shape that snapping would break is refused at the spot.
"""

from __future__ import annotations

import numpy as np
import shapely

from app.services.area_words import Ground, refuse
from geo.shapes import ShapeError, from_geojson

_METRES = 111_320.0


def snapped(
    shape: shapely.MultiPolygon, metres: float, ground: Ground
) -> tuple[shapely.MultiPolygon, int]:
    """Shape with its corners moved, and how many were.

    Raises
    ------
    Invalid
        The shape crosses itself or vanishes when its corners are moved.
    """
    degrees = metres / _METRES
    scale = float(np.cos(np.radians(shape.centroid.y)))
    reach = degrees / max(scale, 0.05)
    west, south, east, north = shape.bounds
    box = shapely.box(west - reach, south - degrees, east + reach, north + degrees)
    level = len(ground.table.levels) - 1
    near = ground.near(box)
    near[1:] &= ground.table.level_of == level
    ids = np.flatnonzero(near)
    if not len(ids):
        return shape, 0
    borders = shapely.boundary(ground.shapes(ids.tolist()))
    # in a plane where both directions are metres, near enough for some kilometres
    flat = shapely.transform(borders, lambda at: at * (scale, 1.0))
    lines = shapely.get_parts(flat)
    tree = shapely.STRtree(lines)
    corners = shapely.get_coordinates(shape)
    points = shapely.points(corners * (scale, 1.0))
    corner_at = shapely.points(np.unique(shapely.get_coordinates(flat), axis=0))
    corner_tree = shapely.STRtree(corner_at)
    moved = corners.copy()
    found, which = corner_tree.query_nearest(points, max_distance=degrees, all_matches=False)
    moved[found] = shapely.get_coordinates(corner_at[which]) / (scale, 1.0)
    left = np.setdiff1d(np.arange(len(points)), found)
    if len(left):
        some, line = tree.query_nearest(points[left], max_distance=degrees, all_matches=False)
        along = shapely.line_locate_point(lines[line], points[left][some])
        at = shapely.line_interpolate_point(lines[line], along)
        moved[left[some]] = shapely.get_coordinates(at) / (scale, 1.0)
    changed = int(np.count_nonzero((moved != corners).any(axis=1)))
    if not changed:
        return shape, 0
    made = shapely.set_coordinates(shapely.from_wkb(shapely.to_wkb(shape)), moved)
    try:
        return from_geojson(shapely.geometry.mapping(made)), changed
    except ShapeError as error:
        refuse("area", error.reason, f"after snapping: {error.message}", error.at)
