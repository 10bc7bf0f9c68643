"""Do polygons tile the ground? Repair, inspect, measure. May import numpy, shapely, pyproj.

Promises: geometries are x y in WGS84 degrees; areas are geodesic (Karney, GRS of WGS84), in square
kilometres; nothing is repaired without saying so, and nothing is hidden: what is smaller than
`LEAST_KM2` is rounding, everything else is listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import Geod
from shapely import GEOSException

Shapes = npt.NDArray[np.object_]
Floats = npt.NDArray[np.float64]

#: one square metre: below it two drawings of one line differ by rounding alone
LEAST_KM2 = 1e-6
# less than a quarter of a square metre anywhere, in square degrees; far above rounding
_LEAST_DEGREES = 2e-11
_POLYGON, _MULTI = 3, 6


@dataclass(frozen=True)
class Repair:
    """What happened to one geometry.

    `reason` is empty when it was good; `lost` means nothing polygonal was left. Areas are km²;
    `before_km2` is that of the rings as drawn (nan when there is none).
    """

    reason: str = ""
    lost: bool = False
    before_km2: float = float("nan")
    after_km2: float = float("nan")

    @property
    def change_km2(self) -> float:
        """Area won (positive) or lost by the repair."""
        return self.after_km2 - self.before_km2


@dataclass(frozen=True)
class Overlap:
    """Two units of one level on the same ground."""

    code: str
    other: str
    km2: float


@dataclass(frozen=True)
class Gap:
    """Ground that units enclose and none covers; lon lat is a point inside."""

    lon: float
    lat: float
    km2: float


@dataclass(frozen=True)
class Outside:
    """A child that leaves its parent."""

    code: str
    parent: str
    km2: float


@dataclass(frozen=True)
class Uncovered:
    """A parent that its children do not fill."""

    code: str
    km2: float


@dataclass(frozen=True)
class CoverageReport:
    """What `inspect` found in one level; every list largest first."""

    units: int
    overlaps: tuple[Overlap, ...] = ()
    gaps: tuple[Gap, ...] = ()
    mismatched: tuple[str, ...] = ()
    outside: tuple[Outside, ...] = ()
    uncovered: tuple[Uncovered, ...] = ()

    @property
    def clean(self) -> bool:
        """Nothing found."""
        return not (self.overlaps or self.gaps or self.mismatched or self.outside or self.uncovered)


@lru_cache(maxsize=1)
def _geod() -> Geod:
    return Geod(ellps="WGS84")


def geodesic_km2(geoms: npt.ArrayLike) -> Floats:
    """Area on the WGS84 ellipsoid, km² (n,); edges are geodesics; ring direction plays no part.

    Empty geometries and None have area 0; parts that are no polygons have none.
    """
    array = np.array(geoms, dtype=object, ndmin=1)
    parts, owner = shapely.get_parts(array, return_index=True)
    is_polygon = shapely.get_type_id(parts) == _POLYGON
    # a collection of collections does not come out of GEOS overlays
    parts, owner = parts[is_polygon], owner[is_polygon]
    rings, part = shapely.get_rings(parts, return_index=True)
    outer = np.diff(part, prepend=-1) != 0
    points, ring = shapely.get_coordinates(rings, return_index=True)
    ends = np.searchsorted(ring, np.arange(len(rings) + 1))
    geod = _geod()
    area = np.zeros(len(array))
    lon, lat = np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])
    for i in range(len(rings)):
        piece = slice(ends[i], ends[i + 1])
        size = abs(geod.polygon_area_perimeter(lon[piece], lat[piece])[0]) / 1e6
        area[owner[part[i]]] += size if outer[i] else -size
    return area


def label_points(geoms: npt.ArrayLike) -> Shapes:
    """Point (n,) farthest from the edge of each polygon (pole of inaccessibility), always inside.

    Measured in a plane where a degree of longitude is as long as it is at the unit's middle;
    its distance to the edge is within 5 % of the root of the area of the greatest.
    """
    array = np.array(geoms, dtype=object, ndmin=1)
    bounds = shapely.bounds(array)
    shrink = np.cos(np.radians((bounds[:, 1] + bounds[:, 3]) / 2)).clip(0.01)
    flat = _scaled(array, shrink)
    points = np.empty(len(array), dtype=object)
    try:
        # the default tolerance is made of the bounds: 20 times slower for long thin units
        tolerance = np.maximum(0.05 * np.sqrt(shapely.area(flat)), 1e-12)
        centre = shapely.get_point(shapely.maximum_inscribed_circle(flat, tolerance), 0)
        points[:] = shapely.points(shapely.get_x(centre) / shrink, shapely.get_y(centre))
    except GEOSException:
        points[:] = shapely.point_on_surface(array)
    # slivers thinner than the tolerance
    bad = ~shapely.contains_properly(array, points)
    points[bad] = shapely.point_on_surface(array[bad])
    return points


def _scaled(array: Shapes, x_factor: Floats) -> Shapes:
    points, owner = shapely.get_coordinates(array, return_index=True)
    points[:, 0] *= x_factor[owner]
    scaled: Shapes = shapely.set_coordinates(array.copy(), points)
    return scaled


def repair(geoms: npt.ArrayLike) -> tuple[Shapes, list[Repair]]:
    """Make every geometry a valid MultiPolygon in two dimensions.

    Rings that cross are rebuilt from the area they enclose; lines and points that remain, and
    geometries that are no polygons, are dropped.

    Returns
    -------
    shapes : MultiPolygon (n,)
        Empty where nothing polygonal is left.
    repairs : list of Repair (n,)
        With a reason where something was done.

    """
    array = np.array(geoms, dtype=object, ndmin=1)
    out = np.empty(len(array), dtype=object)
    done = [Repair()] * len(array)
    missing = shapely.is_missing(array) | shapely.is_empty(array)
    flat = shapely.force_2d(np.where(missing, shapely.MultiPolygon(), array))
    kind = shapely.get_type_id(flat)
    polygonal = (kind == _POLYGON) | (kind == _MULTI)
    finite = np.isfinite(shapely.bounds(flat)).all(axis=1) | missing
    # GEOS says "valid" of an infinite ring in some cases: bounds decide first
    good = polygonal & finite & ~missing
    good[good] = shapely.is_valid(flat[good])
    out[good] = _multi(flat[good])
    for i in np.flatnonzero(~good).tolist():
        out[i], done[i] = _repair_one(flat[i], bool(missing[i]), bool(finite[i]))
    return out, done


def _repair_one(
    shape: shapely.Geometry, missing: bool, finite: bool
) -> tuple[shapely.Geometry, Repair]:
    nothing = shapely.MultiPolygon()
    if missing:
        return nothing, Repair("no geometry", lost=True)
    if not finite:
        return nothing, Repair("a coordinate is not a number", lost=True)
    if shape.geom_type not in ("Polygon", "MultiPolygon", "GeometryCollection"):
        return nothing, Repair(f"a {shape.geom_type}, not a polygon", lost=True)
    reason = shapely.is_valid_reason(shape)
    if reason == "Valid Geometry":
        reason = "parts that are not polygons"
    made = shapely.make_valid(shape, method="structure", keep_collapsed=False)
    pieces = [p for p in shapely.get_parts(shapely.get_parts([made])) if p.geom_type == "Polygon"]
    pieces = [p for p in pieces if not p.is_empty]
    if not pieces:
        return nothing, Repair(f"no area is left ({reason})", lost=True)
    whole = _multi(np.array([shapely.union_all(pieces)], dtype=object))[0]
    before, after = geodesic_km2([shape])[0], geodesic_km2([whole])[0]
    return whole, Repair(reason, before_km2=float(before), after_km2=float(after))


def _multi(array: Shapes) -> Shapes:
    if len(array) == 0:
        return array
    parts, owner = shapely.get_parts(array, return_index=True)
    many = np.empty(len(array), dtype=object)
    shapely.multipolygons(parts, indices=owner, out=many)
    return many


def inspect(
    geoms: npt.ArrayLike,
    codes: Sequence[str],
    parents: Sequence[str | None] | None = None,
    parent_geoms: dict[str, shapely.Geometry] | None = None,
) -> CoverageReport:
    """Look for overlaps, gaps and unmatched edges among the units of one level.

    Parameters
    ----------
    geoms : MultiPolygon (n,)
        Valid (see `repair`), not empty.
    codes : (n,)
        Their codes.
    parents : (n,), optional
        Code of each unit's parent, None without one.
    parent_geoms : dict, optional
        Shape of every parent.

    Returns
    -------
    CoverageReport
        Overlaps pair by pair; gaps as the holes of the union (ground enclosed by units and
        covered by none: a lake left out shows too); `mismatched`: units whose edge differs from
        their neighbour's, by however little; `outside` and `uncovered` against the parents.

    """
    array = np.array(geoms, dtype=object, ndmin=1)
    names = np.asarray(codes, dtype=object)
    if len(array) == 0:
        return CoverageReport(0)
    # polygons without an invalid edge match all their neighbours exactly: only the others can
    # overlap anything
    suspect = np.flatnonzero(~shapely.is_empty(shapely.coverage_invalid_edges(array)))
    pairs, sizes = _overlaps(array, suspect)
    shared = np.zeros(len(array))
    np.add.at(shared, pairs.ravel(), np.repeat(sizes, 2))
    outside, uncovered = _against_parents(array, names, shared, parents, parent_geoms or {})
    real = sizes > LEAST_KM2
    overlaps = [
        Overlap(str(names[a]), str(names[b]), float(s))
        for (a, b), s in zip(pairs[real].tolist(), sizes[real].tolist(), strict=True)
    ]
    return CoverageReport(
        units=len(array),
        overlaps=tuple(sorted(overlaps, key=lambda o: (-o.km2, o.code, o.other))),
        gaps=_gaps(_union(array, suspect)),
        mismatched=tuple(names[suspect].tolist()),
        outside=outside,
        uncovered=uncovered,
    )


def _overlaps(array: Shapes, suspect: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], Floats]:
    """Pairs of positions (k, 2) that share ground, however little, and how much (km²)."""
    tree = shapely.STRtree(array)
    first, second = tree.query(array[suspect], predicate="intersects")
    pairs = np.sort(np.stack([suspect[first], second], axis=1), axis=1)
    pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    shared = shapely.intersection(array[pairs[:, 0]], array[pairs[:, 1]])
    flat = shapely.area(shared) > 0
    return pairs[flat], geodesic_km2(shared[flat])


def _union(array: Shapes, suspect: npt.NDArray[np.intp]) -> shapely.Geometry:
    clean = np.ones(len(array), dtype=bool)
    clean[suspect] = False
    try:
        whole = shapely.coverage_union_all(array[clean])
    except GEOSException:
        return shapely.union_all(array)
    return shapely.union_all([whole, *array[suspect]]) if len(suspect) else whole


def _gaps(whole: shapely.Geometry) -> tuple[Gap, ...]:
    parts, rings = shapely.get_parts(whole), []
    for part in parts[shapely.get_type_id(parts) == _POLYGON]:
        rings += list(part.interiors)
    # an island inside a hole is covered: take it out
    holes = shapely.difference(shapely.polygons(np.array(rings, dtype=object)), whole)
    size = geodesic_km2(holes) if len(rings) else np.zeros(0)
    real = np.flatnonzero(size > LEAST_KM2)
    inside = shapely.point_on_surface(holes[real])
    found = [
        Gap(float(p.x), float(p.y), float(s))
        for p, s in zip(inside, size[real].tolist(), strict=True)
    ]
    return tuple(sorted(found, key=lambda g: (-g.km2, g.lon)))


def _against_parents(
    array: Shapes,
    names: Shapes,
    shared_km2: Floats,
    parents: Sequence[str | None] | None,
    shapes: dict[str, shapely.Geometry],
) -> tuple[tuple[Outside, ...], tuple[Uncovered, ...]]:
    if parents is None:
        return (), ()
    children: dict[str, list[int]] = {}
    for i, code in enumerate(parents):
        if code is not None and code in shapes:
            children.setdefault(code, []).append(i)
    outside: list[Outside] = []
    uncovered: list[Uncovered] = []
    plane = shapely.area(array)
    for code, rows in children.items():
        parent = shapes[code]
        shapely.prepare(parent)
        leaving = [i for i, inside in zip(rows, shapely.covers(parent, array[rows]), strict=True)
                   if not inside]  # fmt: skip
        doubtful = float(shared_km2[rows].sum())
        if leaving:
            size = geodesic_km2(shapely.difference(array[leaving], parent))
            doubtful += float(size.sum())
            outside += [
                Outside(str(names[i]), code, float(s))
                for i, s in zip(leaving, size.tolist(), strict=True)
                if s > LEAST_KM2
            ]
        if doubtful < LEAST_KM2 and abs(plane[rows].sum() - parent.area) < _LEAST_DEGREES:
            # children inside, none on another, as large as the parent together: they fill it
            continue
        left = float(geodesic_km2(shapely.difference(parent, shapely.union_all(array[rows])))[0])
        if left > LEAST_KM2:
            uncovered.append(Uncovered(code, left))
    return (
        tuple(sorted(outside, key=lambda o: (-o.km2, o.code))),
        tuple(sorted(uncovered, key=lambda u: (-u.km2, u.code))),
    )
