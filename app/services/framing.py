"""Boxes of what may reach over the 180th meridian. Pure but for the reading of parts.

A box over the meridian has a west greater than its east (RFC 7946, 5.2). Longitudes are degrees in
[-180, 180]; shapes are stored cut at the meridian, so each part lies on one side of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa


class Box(NamedTuple):
    """West, south, east, north in degrees; west > east: over the 180th meridian."""

    west: float
    south: float
    east: float
    north: float


def short_way(parts: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """West and east of the narrowest box that holds all parts, given as (west, east) each.

    Of equally narrow ones the one that does not reach over the meridian.

    >>> short_way([(170.0, 180.0), (-180.0, -175.0)])
    (170.0, -175.0)
    >>> short_way([(-100.0, -90.0), (80.0, 90.0)])
    (-100.0, 90.0)
    """
    ordered = sorted(parts)
    first, reached = ordered[0]
    widest, found = 0.0, None
    for west, east in ordered[1:]:
        if west - reached > widest:
            widest, found = west - reached, (west, reached)
        reached = max(reached, east)
    if found is not None and widest > 360 - (reached - first):
        return found
    return first, reached


def framed(
    connection: sa.Connection,
    version_id: int,
    box: Any,
    *,
    level: str | None = None,
    unit: int | None = None,
) -> Box:
    """Box of a unit or a level: `box` as the database measures it, or the short way if narrower."""
    plain = Box(*box)
    if plain.east - plain.west <= 180:
        return plain
    rows = connection.execute(
        sa.text(
            "select st_xmin(part.geom) as west, st_xmax(part.geom) as east from unit, "
            "st_dump(unit.geom) as part where boundary_version_id = :version "
            "and (cast(:level as text) is null or level = :level) "
            "and (cast(:unit as int) is null or id = :unit)"
        ),
        {"version": version_id, "level": level, "unit": unit},
    )
    west, east = short_way((row.west, row.east) for row in rows)
    return Box(west, plain.south, east, plain.north)
