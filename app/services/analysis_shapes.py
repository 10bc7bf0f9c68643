"""Areas of the analyst's questions, made one polygon or a list of units, or refused in words.

Imports `geo.shapes` and what `area_words` knows of units. Promises: nothing is repaired silently;
whatever was done to a shape (snapped to a border) is said in words, zh and en; a bad one is refused
with its reason and, where it has one, its spot.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import h3
import numpy as np
import shapely

from app.api.analysis_models import (
    DEEPEST,
    AnalysisArea,
    Combination,
    MultiPolygon,
    Reason,
    RectangleShape,
    ShapeInfo,
)
from app.api.area_models import AreaShape
from app.errors import Invalid
from app.services import area_words
from app.services.area_words import Ground, Shape, refuse
from app.services.shape_words import reason
from geo.coverage import geodesic_km2
from geo.shapes import MAX_VERTICES


@dataclass(frozen=True)
class Drawn:
    """An area before it is cut to a jurisdiction.

    Attributes
    ----------
    shape : MultiPolygon, or the codes of units
    notes : what was done to it
    """

    shape: shapely.MultiPolygon | tuple[str, ...]
    notes: list[Reason] = field(default_factory=list)


def drawn(area: AnalysisArea, ground: Ground, scope: tuple[str, ...] | None) -> Drawn:
    """Area as it was asked, of one polygon or of units.

    Raises
    ------
    Invalid
        It makes no sense; `detail` has `field`, `reason` and `at`.
    NotFound
        A unit that is not there or not the asker's.
    """
    if area.units is not None:
        area_words.members(tuple(area.units), ground, _visible(ground, scope))
        return Drawn(tuple(area.units))
    notes: list[Reason] = []
    return Drawn(_polygon(area, ground, scope, notes, 0), notes)


def outline(
    area: Shape, ground: Ground, scope: tuple[str, ...] | None
) -> shapely.MultiPolygon | None:
    """Ground of an area, cut to a jurisdiction; None: nothing of it may be seen."""
    if isinstance(area, tuple):
        area = _ground_of(area, ground, scope)
    assert isinstance(area, shapely.MultiPolygon)
    return area if scope is None else area_words.clipped(area, ground, scope)


def _visible(ground: Ground, scope: tuple[str, ...] | None) -> area_words.Bools | None:
    return None if scope is None else ground.visible(scope)


def _ground_of(
    codes: tuple[str, ...], ground: Ground, scope: tuple[str, ...] | None
) -> shapely.MultiPolygon:
    inside = area_words.members(codes, ground, _visible(ground, scope))
    # the coarsest of them hold the ground of all
    ids = np.flatnonzero(inside[1:] & ~inside[ground.table.parent_of]) + 1
    found = ground.shapes(ids.tolist())
    return many(found[0] if len(found) == 1 else shapely.union_all(found))


def many(shape: shapely.Geometry) -> shapely.MultiPolygon:
    """Polygons of a geometry as one MultiPolygon; lines and points fall away."""
    return shapely.MultiPolygon(
        [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
    )


def _polygon(
    area: AnalysisArea,
    ground: Ground,
    scope: tuple[str, ...] | None,
    notes: list[Reason],
    depth: int,
) -> shapely.MultiPolygon:
    found: shapely.MultiPolygon
    if area.combine is not None:
        if depth >= DEEPEST:
            refuse("area", "too_deep", f"areas are combined more than {DEEPEST} deep")
        found = _combined(area.combine, ground, scope, notes, depth + 1)
    elif area.units is not None:
        found = _ground_of(tuple(area.units), ground, scope)
    elif area.cells is not None:
        found = _cells(area.cells)
    elif area.rectangle is not None:
        found = _rectangle(area.rectangle, area.crs)
    else:
        plain = AreaShape(
            geojson=area.geojson, wkt=area.wkt, circle=area.circle, corridor=area.corridor,
            crs=area.crs,
        )  # fmt: skip
        made = area_words.shape(plain)
        assert isinstance(made, shapely.MultiPolygon)
        found = made
    if area.snap_metres is not None:
        from app.services.analysis_snap import snapped

        found, moved = snapped(found, area.snap_metres, ground)
        if moved:
            notes.append(reason("snapped", count=moved))
    return found


def _rectangle(box: RectangleShape, crs: str) -> shapely.MultiPolygon:
    if not (box.west < box.east and box.south < box.north):
        refuse("area", "bad_size", "west must be below east and south below north")
    ring = [[box.west, box.south], [box.east, box.south], [box.east, box.north],
            [box.west, box.north], [box.west, box.south]]  # fmt: skip
    made = area_words.shape(AreaShape(geojson={"type": "Polygon", "coordinates": [ring]}, crs=crs))
    assert isinstance(made, shapely.MultiPolygon)
    return made


def _cells(cells: list[str]) -> shapely.MultiPolygon:
    rings = []
    for one in cells:
        if not area_words.is_cell(one):
            refuse("area", "not_a_cell", f"{one!r} is no H3 cell")
        ring = [(lon, lat) for lat, lon in h3.cell_to_boundary(one)]
        if np.ptp([lon for lon, _ in ring]) > 180:
            refuse("area", "antimeridian", f"cell {one} lies on the antimeridian")
        rings.append(ring)
    return many(shapely.union_all([shapely.Polygon(ring) for ring in rings]))


def _combined(
    wanted: Combination,
    ground: Ground,
    scope: tuple[str, ...] | None,
    notes: list[Reason],
    depth: int,
) -> shapely.MultiPolygon:
    parts = [_polygon(one, ground, scope, notes, depth) for one in wanted.areas]
    if sum(int(shapely.get_num_coordinates(one)) for one in parts) >= MAX_VERTICES:
        refuse("area", "too_many_vertices", f"together {MAX_VERTICES:,} vertices or more")
    found: shapely.Geometry = parts[0]
    if wanted.op == "union":
        found = shapely.union_all(parts)
    elif wanted.op == "minus" and len(parts) > 1:
        found = shapely.difference(found, shapely.union_all(parts[1:]))
    elif wanted.op == "intersect":
        for one in parts[1:]:
            found = shapely.intersection(found, one)
    made = many(found)
    if made.is_empty or not made.area > 0:
        refuse("area", "empty_area", "nothing is left of the areas together")
    return made


def described(shape: shapely.MultiPolygon, notes: list[Reason]) -> ShapeInfo:
    """Area in the words of the web."""
    west, south, east, north = shape.bounds
    return ShapeInfo(
        geojson=MultiPolygon(
            coordinates=[
                [[(x, y) for x, y in shapely.get_coordinates(ring).tolist()]
                 for ring in shapely.get_rings(part)]
                for part in shapely.get_parts(shape)
            ]
        ),
        km2=km2(shape),
        vertices=int(shapely.get_num_coordinates(shape)),
        bbox=(west, south, east, north),
        reasons=notes,
    )  # fmt: skip


def km2(shape: shapely.MultiPolygon) -> float:
    """Geodesic area, square kilometres."""
    return float(geodesic_km2(np.array([shape], dtype=object))[0])


def refused(error: Invalid) -> Reason:
    """Reason of a refusal, in words of both languages."""
    detail = error.detail if isinstance(error.detail, dict) else {}
    at = detail.get("at")
    return reason(
        str(detail.get("reason", "bad_geometry")),
        at=(float(at[0]), float(at[1])) if at else None,
        message=error.message,
    )


def shaped(area: AnalysisArea, ground: Ground, scope: tuple[str, ...] | None) -> ShapeInfo:
    """Area as it will be counted, with what was done to it.

    Raises
    ------
    Invalid, NotFound
        As `drawn`; also when nothing of it lies in the jurisdiction.
    """
    made = drawn(area, ground, scope)
    cut = outline(made.shape, ground, scope)
    if cut is None:
        refuse("area", "outside", "the area lies outside of your jurisdiction")
    notes = list(made.notes)
    if not isinstance(made.shape, tuple) and cut.area < made.shape.area * (1 - 1e-12):
        notes.append(reason("cut"))
    return described(cut, notes)
