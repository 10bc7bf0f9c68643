"""Unit shapes for every zoom: simplified together, so neighbours and levels keep one border.

May import `geo`; pure functions of arrays. At each zoom the finest units shown there are
simplified as one coverage (a shared edge is simplified once) and every coarser unit is the union
of its children, so a county's border is exactly its grids' borders. Then everything is rounded to
whole tile units, point by point, which keeps shared edges shared. A unit that has nothing left is
given one tile unit: no unit is missing at any zoom of its level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from tiles import levels as lv
from tiles.nodes import match, unmatched
from tiles.rings import Geoms, Int, snap

Float = NDArray[np.float64]
RADIUS = lv.WORLD / (2 * math.pi)

AREA_SLACK = 1e-3
"""Children may miss or exceed their parent by this share of its area before it is reported."""


MAX_LATITUDE = math.degrees(math.atan(math.sinh(math.pi)))
"""Where the square world of EPSG:3857 ends, degrees; the poles themselves are infinitely far."""


def project(lonlat: Float) -> Float:
    """EPSG:4326 to EPSG:3857, (n, 2) longitude latitude degrees to (n, 2) x y metres.

    What lies beyond `MAX_LATITUDE` is drawn on the edge of the world.
    """
    x = np.radians(lonlat[:, 0]) * RADIUS
    latitude = np.clip(lonlat[:, 1], -MAX_LATITUDE, MAX_LATITUDE)
    y = np.log(np.tan(np.pi / 4 + np.radians(latitude) / 2)) * RADIUS
    return np.column_stack([x, y])


def unit_size(zoom: int, extent: int) -> float:
    """EPSG:3857 metres per tile unit."""
    return float(lv.WORLD / (extent * 2**zoom))


def to_units(geoms: Geoms, zoom: int, extent: int) -> Geoms:
    """EPSG:3857 to tile units of the world (x east, y south)."""
    size = unit_size(zoom, extent)
    half = lv.WORLD / 2
    made: Geoms = shapely.transform(
        geoms, lambda c: np.column_stack([(c[:, 0] + half) / size, (half - c[:, 1]) / size])
    )
    return made


def to_mercator(geoms: Geoms, zoom: int, extent: int) -> Geoms:
    """Tile units of the world to EPSG:3857, inverse of `to_units`."""
    size = unit_size(zoom, extent)
    half = lv.WORLD / 2
    made: Geoms = shapely.transform(
        geoms, lambda c: np.column_stack([c[:, 0] * size - half, half - c[:, 1] * size])
    )
    return made


@dataclass(frozen=True)
class Units:
    """The units of one boundary version.

    Attributes
    ----------
    levels : tuple of str
        Coarse to fine.
    ids : int64 (n,)
        Ascending.
    parents : int64 (n,)
        Id of the next coarser unit present, 0 = none.
    level : int64 (n,)
        Index into `levels`.
    codes, names : list of str
    area_km2 : float64 (n,)
    label : float64 (n, 2)
        Label point, longitude latitude.
    geoms : object (n,)
        Valid Polygon or MultiPolygon, EPSG:4326.
    names_en : list of str
        Empty where there is none; an empty list: nowhere.
    """

    levels: tuple[str, ...]
    ids: Int
    parents: Int
    level: Int
    codes: list[str]
    names: list[str]
    area_km2: Float
    label: Float
    geoms: Geoms
    names_en: list[str] = field(default_factory=list)


@dataclass
class Report:
    """What could not be done as meant; the numbers are for people to read."""

    unmatched: list[str] = field(default_factory=list)
    """Codes of units that overlap a neighbour or leave a sliver: such edges are simplified apart."""
    alone: list[str] = field(default_factory=list)
    """Codes of units their children do not add up to; they were simplified by themselves."""
    filled: list[str] = field(default_factory=list)
    """Codes of units whose children leave a part out; that part joined the coverage."""
    minimal: dict[str, int] = field(default_factory=dict)
    """Level and zoom → units drawn as one tile unit."""
    rounded: int = 0
    """Shapes that plain rounding would have made invalid."""

    def as_dict(self) -> dict[str, object]:
        """JSON form."""
        return {
            "unmatched": self.unmatched,
            "simplified_alone": self.alone,
            "left_over_filled": self.filled,
            "one_tile_unit": self.minimal,
            "rounded_by_precision_model": self.rounded,
        }


@dataclass(frozen=True)
class Shapes:
    """All units of one level at one zoom.

    Attributes
    ----------
    index : int64 (m,)
        Positions in `Units`, ascending.
    geoms : object (m,)
        MultiPolygon in whole tile units of the world (x east, y south); never empty.
    """

    level: str
    zoom: int
    extent: int
    index: Int
    geoms: Geoms


@dataclass(frozen=True)
class _Tree:
    """Units and made-up helpers in one tree in which every parent is exactly one level up."""

    parent: Int  # position, −1: none
    level: Int
    geoms: Geoms  # EPSG:3857
    units: int  # the first so many are real units
    alone: NDArray[np.bool_]  # own shape is drawn, not the union of children

    def leaves(self, finest: int) -> Int:
        """Positions of the coverage when nothing finer than level `finest` counts."""
        inside = self.level <= finest
        has_child = np.zeros(len(self.level), bool)
        children = inside & (self.parent >= 0)
        has_child[self.parent[children]] = True
        return np.flatnonzero(inside & ~has_child)


def _union(geoms: Geoms, exact: bool) -> shapely.Geometry:
    if len(geoms) == 1:
        return geoms[0]
    if exact:
        merged = shapely.coverage_union_all(geoms)
        if shapely.is_valid(merged):
            return merged
    return shapely.union_all(_valid(geoms))


def _valid(geoms: Geoms) -> Geoms:
    bad = ~shapely.is_valid(geoms)
    if bad.any():
        geoms = geoms.copy()
        geoms[bad] = shapely.make_valid(geoms[bad], method="structure", keep_collapsed=False)
    return geoms


def _tree(units: Units, report: Report) -> _Tree:
    """Fill skipped levels with helpers, and parts no child covers with one helper leaf each."""
    n = len(units.ids)
    position = {int(i): k for k, i in enumerate(units.ids)}
    parent = [position.get(int(p), -1) if p else -1 for p in units.parents]
    level = units.level.tolist()
    geoms: list[shapely.Geometry] = list(shapely.transform(units.geoms, project))
    helpers: dict[tuple[int, int], int] = {}
    for k in range(n):
        top = parent[k]
        if top < 0:
            continue
        for missing in range(level[top] + 1, level[k]):
            if (top, missing) not in helpers:
                helpers[top, missing] = len(parent)
                parent.append(top)
                level.append(missing)
                geoms.append(None)
            top = helpers[top, missing]
        parent[k] = top
    children: dict[int, list[int]] = {}
    for k, top in enumerate(parent):
        if top >= 0:
            children.setdefault(top, []).append(k)
    for k in sorted(range(n, len(parent)), key=lambda k: -level[k]):
        geoms[k] = shapely.union_all([geoms[c] for c in children[k]])
    area = shapely.area(np.array(geoms, object)).tolist()
    alone = np.zeros(n, bool)
    for top, below in children.items():
        if abs(sum(area[c] for c in below) - area[top]) <= AREA_SLACK * area[top]:
            continue
        together = shapely.union_all([geoms[c] for c in below])
        left = shapely.difference(geoms[top], together)
        if shapely.area(shapely.difference(together, geoms[top])) > AREA_SLACK * area[top]:
            alone[top] = True
            report.alone.append(units.codes[top])
        if shapely.area(left) > AREA_SLACK * area[top]:
            report.filled.append(units.codes[top])
            parent.append(top)
            level.append(level[top] + 1)
            geoms.append(_polygons_only(left))
    return _Tree(
        np.array(parent, np.int64),
        np.array(level, np.int64),
        np.array(geoms, object),
        n,
        np.concatenate([alone, np.zeros(len(parent) - n, bool)]),
    )


def _polygons_only(geom: shapely.Geometry) -> shapely.Geometry:
    parts = shapely.get_parts(geom)
    return shapely.union_all(parts[shapely.get_type_id(parts) == 3])


def simplify_together(geoms: Geoms, tolerance: float) -> Geoms:
    """Simplify a coverage; what comes out invalid is simplified by itself."""
    try:
        simple: Geoms = shapely.coverage_simplify(geoms, tolerance)
    except shapely.GEOSException:
        simple = shapely.simplify(geoms, tolerance / 2, preserve_topology=True)
    bad = ~shapely.is_valid(simple) | shapely.is_empty(simple)
    if bad.any():
        simple[bad] = shapely.simplify(geoms[bad], tolerance / 2, preserve_topology=True)
    return simple


def _dissolve(tree: _Tree, current: Geoms, finest: int, exact: bool) -> None:
    """Set `current` of every parent down to level `finest` from its children, fine to coarse."""
    for level in range(finest, 0, -1):
        rows = np.flatnonzero((tree.level == level) & (tree.parent >= 0))
        rows = rows[np.argsort(tree.parent[rows], kind="stable")]
        tops, first = np.unique(tree.parent[rows], return_index=True)
        for top, below in zip(tops.tolist(), np.split(rows, first[1:]), strict=True):
            current[top] = _union(current[below], exact)


def by_zoom(
    units: Units,
    ranges: Mapping[str, lv.ZoomRange],
    report: Report,
    progress: Callable[[str, int, int], None] | None = None,
) -> Iterator[Shapes]:
    """Shapes of every level at every zoom of its range, from the greatest zoom to the least.

    Parameters
    ----------
    units : Units
    ranges : mapping
        Zoom range per level of `units.levels`; finer levels start and end no earlier.
    report : Report
        Filled while iterating.
    progress : callable
        Called with a text, zooms done and zooms in all.

    Yields
    ------
    Shapes
        Per zoom, coarse level first.
    """
    tree = _tree(units, report)
    span = [ranges[level] for level in units.levels]
    full = min(r.high for r in span)
    low, high = min(r.low for r in span), max(r.high for r in span)
    middle = math.radians(float(np.median(units.label[:, 1])))
    scale = 1 / math.cos(middle)
    label = project(units.label)
    current = tree.geoms.copy()
    finest = len(units.levels) - 1
    leaves = tree.leaves(finest)
    current[leaves], wrong = match(current[leaves])
    exact = wrong == 0
    if not exact:
        report.unmatched = [
            units.codes[k] for k in leaves[unmatched(current[leaves])] if k < tree.units
        ]
    previous: tuple[int, float] | None = None
    for done, zoom in enumerate(range(high, low - 1, -1)):
        if progress:
            progress("simplify", done, high - low + 1)
        finest = max((k for k, r in enumerate(span) if r.low <= zoom), default=0)
        tolerance = lv.tolerance(zoom, full, scale)
        leaves = tree.leaves(finest)
        if previous != (finest, tolerance):
            current[leaves] = simplify_together(current[leaves], tolerance)
            _dissolve(tree, current, finest, exact)
        previous = (finest, tolerance)
        for k, level in enumerate(units.levels):
            if zoom in span[k]:
                index = np.flatnonzero(units.level == k)
                drawn = current[index]
                own = tree.alone[index]
                if own.any():
                    drawn[own] = shapely.simplify(tree.geoms[index[own]], tolerance / 2)
                yield _on_grid(
                    Shapes(level, zoom, lv.extent(zoom, span[k]), index, drawn), label, report
                )


def _on_grid(shapes: Shapes, label: Float, report: Report) -> Shapes:
    """Round EPSG:3857 shapes to tile units; what vanishes becomes one unit at its label."""
    zoom, extent = shapes.zoom, shapes.extent
    geoms, repaired = snap(to_units(shapes.geoms, zoom, extent))
    report.rounded += int(repaired.sum())
    gone = np.flatnonzero(shapely.is_empty(geoms))
    if len(gone):
        report.minimal[f"{shapes.level} {zoom}"] = len(gone)
        corner = label_units(label[shapes.index[gone]], zoom, extent)
        geoms[gone] = [one_unit(x, y) for x, y in corner.tolist()]
    return replace(shapes, geoms=geoms)


def label_units(label: Float, zoom: int, extent: int) -> Int:
    """Tile unit `[k, k + 1)` of the world that holds each EPSG:3857 point, int64 (n, 2)."""
    size = unit_size(zoom, extent)
    half = lv.WORLD / 2
    found = np.column_stack([(label[:, 0] + half) / size, (half - label[:, 1]) / size])
    return np.clip(np.floor(found), 0, extent * 2**zoom - 1).astype(np.int64)


def one_unit(x: int, y: int) -> shapely.MultiPolygon:
    """Make the smallest polygon a tile can hold, at the upper left corner (x, y)."""
    ring = [(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)]
    return shapely.MultiPolygon([shapely.Polygon(ring)])


def sides(units: Units) -> dict[str, float]:
    """Typical edge of a unit per level, EPSG:3857 metres (for `levels.ranges`)."""
    area = shapely.area(shapely.transform(units.geoms, project))
    found: dict[str, float] = {}
    for k, level in enumerate(units.levels):
        of = area[units.level == k]
        found[level] = math.sqrt(float(of.sum()) / len(of)) if len(of) else math.nan
    return found


def width(units: Units) -> float:
    """West to east across all units, EPSG:3857 metres (for `levels.ranges`)."""
    west, _, east, _ = shapely.total_bounds(units.geoms)
    return math.radians(east - west) * RADIUS


def bounds(units: Units, level: int) -> tuple[float, float, float, float]:
    """West south east north of one level, degrees."""
    box = shapely.total_bounds(units.geoms[units.level == level])
    return (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
