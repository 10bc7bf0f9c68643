"""H3 cells: keys of points, the cells of a map, and what of each unit lies in which cell.

May import numpy, pyarrow, shapely, h3ronpy and, to compile, `geo.deb`. Pure. The cell of a point is always computed
from the point at the wanted resolution: a parent cell is another one for 6.4 % of points, because
children do not fill their parents exactly.

Areas are compared in the cylindrical equal-area plane of the WGS84 ellipsoid (longitude, authalic
sine of latitude), where edges are straight between vertices, as they are in a unit's shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import h3ronpy  # type: ignore[import-untyped]
import h3ronpy.vector  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from geo.deb import compiled

RESOLUTIONS = (6, 7, 8, 9, 10)
"""Resolutions that are assessed: cells of about 36, 5.2, .74, .11 and .015 km²."""

CHUNK_STEPS = 4
"""A chunk of cells shares its ancestor this many resolutions up: at most 7^4 = 2,401 cells."""

LOST = 1e-6
"""Share of a unit's area that may be in no cell before the cover counts as wrong."""

Cells = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_ECCENTRICITY = np.sqrt(0.00669437999014)
_Q_POLE = 1 - (1 - _ECCENTRICITY**2) / (2 * _ECCENTRICITY) * np.log(
    (1 - _ECCENTRICITY) / (1 + _ECCENTRICITY)
)


class CellError(ValueError):
    """A shape that cells cannot cover; the message says which and why."""


def _resolution(res: int) -> int:
    if not 0 <= res <= 15:
        raise ValueError(f"H3 has resolutions 0 to 15, not {res}")
    return int(res)


def cells(lon: npt.ArrayLike, lat: npt.ArrayLike, res: int) -> Cells:
    """Cell of each point, computed from the point itself.

    Parameters
    ----------
    lon, lat : float (n,)
        EPSG:4326 degrees; nan in either: no point.
    res : int
        0 to 15.

    Returns
    -------
    uint64 (n,), 0 where there is no point

    Raises
    ------
    ValueError
        No such resolution; lengths that differ; a latitude beyond ± 90 or an infinite number.

    Examples
    --------
    >>> [hex(one) for one in cells([120.155, np.nan], [30.274, 30.0], 8).tolist()]
    ['0x88309ba6b1fffff', '0x0']
    """
    x, y = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"{x.shape} longitudes and {y.shape} latitudes")
    known = ~(np.isnan(x) | np.isnan(y))
    if np.any(np.abs(y[known]) > 90) or np.any(np.isinf(x[known])):
        raise ValueError("a latitude is in [-90, 90] and a longitude is finite")
    found = np.zeros(len(x), np.uint64)
    if known.any():
        keys = h3ronpy.vector.coordinates_to_cells(
            pa.array(y[known]), pa.array(x[known]), _resolution(res)
        )
        found[known] = pa.array(keys).to_numpy()
    return found


def centres(cell: Cells) -> Floats:
    """Centre of each cell, (n, 2) longitude latitude degrees."""
    if not len(cell):
        return np.zeros((0, 2))
    batch = pa.record_batch(h3ronpy.vector.cells_to_coordinates(pa.array(cell)))
    return np.column_stack([batch["lng"].to_numpy(), batch["lat"].to_numpy()])


def area_km2(lon: float, lat: float, res: int) -> float:
    """Square kilometres on the WGS84 ellipsoid of the cell at a place."""
    corners, _ = outlines(cells([lon], [lat], res))
    return float(shapely.Polygon(equal_area(corners)).area) * KM2


def ancestors(cell: Cells, res: int) -> Cells:
    """Ancestor of each cell at a coarser resolution: a name for a group, never a place to count."""
    if not len(cell):
        return np.zeros(0, np.uint64)
    return np.asarray(
        pa.array(h3ronpy.change_resolution(pa.array(cell), _resolution(res))).to_numpy()
    )


def outlines(cell: Cells) -> tuple[Floats, Ints]:
    """Corners of cells, counter-clockwise, without the closing one.

    Returns
    -------
    xy : float64 (P, 2)
        Longitude latitude; a cell across the antimeridian continues beyond ± 180.
    start : int64 (n + 1,)
        Corners of cell i are `xy[start[i]:start[i + 1]]`: six, five of a pentagon, and more where
        a cell bends over an edge of H3's icosahedron.
    """
    if not len(cell):
        return np.zeros((0, 2)), np.zeros(1, np.int64)
    # little-endian WKB of a polygon with one ring: order, type, rings, points, then x y pairs
    wkb = pa.array(h3ronpy.vector.cells_to_wkb_polygons(pa.array(cell)))
    blobs = wkb.cast(pa.large_binary())
    offsets = np.frombuffer(blobs.buffers()[1], np.int64)[: len(blobs) + 1]
    data = np.frombuffer(blobs.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    points = (np.diff(offsets) - 13) // 16
    starts = np.concatenate([[0], np.cumsum(points)])
    keep = np.ones(len(data), bool)
    heads = (offsets[:-1] - offsets[0])[:, None] + np.arange(13)
    keep[heads.ravel()] = False
    closed = data[keep].view("<f8").reshape(-1, 2)
    last = np.ones(len(closed), bool)
    last[starts[1:] - 1] = False
    start = starts - np.arange(len(starts))
    xy = closed[last].copy()
    first = np.repeat(xy[start[:-1], 0], np.diff(start))
    xy[:, 0] -= 360 * np.rint((xy[:, 0] - first) / 360)
    return xy, start


def equal_area(lonlat: Floats) -> Floats:
    """Longitude latitude degrees to the plane in which areas are compared, (n, 2) radians, sine.

    Snyder, Map Projections (USGS 1395), 3-11 and 3-12: y = q / 2, the authalic sine scaled.
    """
    sine = np.sin(np.radians(lonlat[:, 1]))
    e = _ECCENTRICITY
    q = (1 - e * e) * (
        sine / (1 - e * e * sine * sine) - np.log((1 - e * sine) / (1 + e * sine)) / (2 * e)
    )
    return np.column_stack([np.radians(lonlat[:, 0]), q / 2])


KM2 = 6378.137**2
"""Square kilometres per unit of area of the plane."""


@dataclass(frozen=True, eq=False)
class Overlap:
    """What of each unit lies in which cell, rows grouped by cell.

    Attributes
    ----------
    res : int
    cells : uint64 (n,)
        Ascending, each once: every cell that shares area with a unit.
    start : int64 (n + 1,)
        Rows of cell i are `start[i]:start[i + 1]`; at least one.
    unit : int32 (m,)
        Row of the unit in the shapes given, ascending inside a cell.
    weight : float64 (m,)
        area(unit ∩ cell) / area(unit), in (0, 1]; adds up to 1 over the cells of a unit.
    km2 : float64 (m,)
        area(unit ∩ cell).
    """

    res: int
    cells: Cells
    start: Ints
    unit: npt.NDArray[np.int32]
    weight: Floats
    km2: Floats

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def cell_of(self) -> Ints:
        """Cell row of each pair, (m,)."""
        return np.repeat(np.arange(len(self.cells)), np.diff(self.start))

    def spread(self, values: Floats) -> Floats:
        """Sum of what units hold, by area: (n,) from (units,); nan where all parts are nan.

        The total over the cells is the total over the units that are not nan.
        """
        part = values[self.unit] * self.weight
        known = ~np.isnan(part)
        total = np.add.reduceat(np.where(known, part, 0.0), self.start[:-1])
        return np.where(np.logical_or.reduceat(known, self.start[:-1]), total, np.nan)

    def owner(self, label: npt.NDArray[np.integer]) -> Ints:
        """Label (units,) that holds most of each cell's area inside the map, (n,); ties: lowest."""
        of_pair = label[self.unit].astype(np.int64)
        cell = self.cell_of
        order = np.lexsort((of_pair, cell))
        group = np.flatnonzero(
            (np.diff(cell[order], prepend=-1) != 0) | (np.diff(of_pair[order], prepend=-1) != 0)
        )
        area = np.add.reduceat(self.km2[order], group)
        owner, at = of_pair[order][group], cell[order][group]
        best = np.lexsort((owner, -area, at))
        return owner[best[np.flatnonzero(np.diff(at[best], prepend=-1))]]


def overlap(shapes: npt.NDArray[np.object_], res: int) -> Overlap:
    """Cells of a map and the exact part of every unit in each of them.

    Parameters
    ----------
    shapes : polygons or multipolygons (u,)
        EPSG:4326, valid; those that share ground each give their own part.
    res : int

    Raises
    ------
    CellError
        A unit without area, or one the cells found do not cover.
    """
    # H3's own cover says which pairs to look at; areas decide which of them there are
    wkb = pa.array(shapely.to_wkb(shapes), pa.binary())
    mode = h3ronpy.ContainmentMode.Covers
    cover = pa.array(h3ronpy.vector.wkb_to_cells(wkb, _resolution(res), mode))
    count = np.diff(np.asarray(cover.offsets))
    unit = np.repeat(np.arange(len(shapes), dtype=np.int32), count)
    key = np.asarray(cover.flatten().to_numpy(), np.uint64)
    found, row = np.unique(key, return_inverse=True)
    corners, start = outlines(found)
    area, total = _areas(shapes, unit, row, equal_area(corners), start)
    if not (total > 0).all():
        raise CellError(f"unit in row {int(np.argmin(total))} has no area")
    covered = np.bincount(unit, weights=area, minlength=len(shapes))
    short = np.abs(covered - total) > LOST * total
    if short.any():
        at = int(np.argmax(short))
        raise CellError(
            f"cells of resolution {res} hold {covered[at] / total[at]:.6f} of the unit in row {at}"
        )
    # a cell that only touches a unit has none of it
    real = area > 1e-12 * total[unit]
    unit, row, area = unit[real], row[real], area[real]
    covered = np.bincount(unit, weights=area, minlength=len(shapes))
    order = np.lexsort((unit, row))
    unit, row, area = unit[order], row[order], area[order]
    used, row = np.unique(row, return_inverse=True)
    return Overlap(
        res,
        found[used],
        np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(used)))]).astype(np.int64),
        unit,
        area / covered[unit],
        area * KM2,
    )


def _areas(
    shapes: npt.NDArray[np.object_],
    unit: npt.NDArray[np.int32],
    row: Ints,
    corners: Floats,
    start: Ints,
) -> tuple[Floats, Floats]:
    """Area of each pair (m,) and of each unit (u,), in the plane."""
    plane = shapely.transform(shapes, equal_area)
    total = np.asarray(shapely.area(plane))
    parts, part_unit = shapely.get_parts(plane, return_index=True)
    rings, ring_part = shapely.get_rings(parts, return_index=True)
    xy, ring_point = shapely.get_coordinates(rings, return_index=True)
    ring_start = np.searchsorted(ring_point, np.arange(len(rings) + 1))
    first = np.searchsorted(part_unit[ring_part], np.arange(len(shapes) + 1))
    exterior = np.diff(ring_part, prepend=-1) != 0
    hexagon = _convex(corners, start)
    area = _clip_all(
        xy, ring_start, exterior, first, unit.astype(np.int64), row, corners, start, hexagon
    )
    odd = np.flatnonzero(~hexagon[row])
    if len(odd):  # cells bent over an edge of the icosahedron: few, and not convex
        bent = np.array(
            [shapely.Polygon(corners[start[i] : start[i + 1]]) for i in row[odd]], object
        )
        area[odd] = shapely.area(shapely.intersection(plane[unit[odd]], bent))
    return area, total


@compiled
def _convex(corners: Floats, start: Ints) -> npt.NDArray[np.bool_]:
    """Whether each cell turns left at all of its corners."""
    found = np.ones(start.size - 1, np.bool_)
    for i in range(start.size - 1):
        a, n = start[i], start[i + 1] - start[i]
        if n > 8:
            found[i] = False
            continue
        for k in range(n):
            p, q, r = a + k, a + (k + 1) % n, a + (k + 2) % n
            ux, uy = corners[q, 0] - corners[p, 0], corners[q, 1] - corners[p, 1]
            vx, vy = corners[r, 0] - corners[q, 0], corners[r, 1] - corners[q, 1]
            if ux * vy - uy * vx <= 0:
                found[i] = False
    return found


@compiled
def _clip_all(  # noqa: PLR0917 - numba calls it positionally
    xy: Floats,
    ring_start: Ints,
    exterior: npt.NDArray[np.bool_],
    first: Ints,
    unit: Ints,
    row: Ints,
    corners: Floats,
    start: Ints,
    convex: npt.NDArray[np.bool_],
) -> Floats:
    """Area of unit ∩ cell per pair; 0 for cells that are not convex.

    Sutherland–Hodgman: a ring clipped by a convex cell may get edges that run back along the cell's
    border, and those enclose nothing, so the area is exact for rings of any form.
    """
    longest = 0
    for k in range(ring_start.size - 1):
        longest = max(longest, ring_start[k + 1] - ring_start[k])
    # each half-plane adds at most one point per crossing pair of edges
    size = 2 * longest + 32
    ax, ay, bx, by = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    out = np.zeros(unit.size)
    for pair in range(unit.size):
        c = row[pair]
        if not convex[c]:
            continue
        p, n = start[c], start[c + 1] - start[c]
        ox, oy = corners[p, 0], corners[p, 1]
        total = 0.0
        for ring in range(first[unit[pair]], first[unit[pair] + 1]):
            m = ring_start[ring + 1] - ring_start[ring] - 1
            # relative to a corner of the cell: the products keep their digits
            for k in range(m):
                ax[k] = xy[ring_start[ring] + k, 0] - ox
                ay[k] = xy[ring_start[ring] + k, 1] - oy
            for side in range(n):
                if m == 0:
                    break
                px, py = corners[p + side, 0] - ox, corners[p + side, 1] - oy
                q = p + (side + 1) % n
                dx, dy = corners[q, 0] - ox - px, corners[q, 1] - oy - py
                made = 0
                lx, ly = ax[m - 1], ay[m - 1]
                last = dx * (ly - py) - dy * (lx - px)
                for k in range(m):
                    x, y = ax[k], ay[k]
                    here = dx * (y - py) - dy * (x - px)
                    if (here >= 0) != (last >= 0):
                        share = last / (last - here)
                        bx[made] = lx + share * (x - lx)
                        by[made] = ly + share * (y - ly)
                        made += 1
                    if here >= 0:
                        bx[made] = x
                        by[made] = y
                        made += 1
                    lx, ly, last = x, y, here
                ax, ay, bx, by = bx, by, ax, ay
                m = made
            if m < 3:
                continue
            twice = 0.0
            for k in range(m):
                j = k + 1 if k + 1 < m else 0
                twice += ax[k] * ay[j] - ax[j] * ay[k]
            total += abs(twice) if exterior[ring] else -abs(twice)
        out[pair] = max(0.0, total / 2)
    return out


def reference_shares(
    over: Overlap,
    exposures: Floats,
    weights: Floats,
    unit_reference: npt.NDArray[np.integer],
    cell_reference: npt.NDArray[np.integer],
) -> Floats:
    """Exposure share of each cell and kind: the area-weighted sum of its units' (METHODS 1).

    A unit's share is taken over its own reference area; where a cell reaches over the border of
    two, the part on the far side is measured by the totals of the cell's own area, so that one
    rate fits the whole cell.

    Parameters
    ----------
    exposures : (M, u) of the units, nan = unknown
    weights : (K, M), rows adding up to 1
    unit_reference : (u,) labels
    cell_reference : (n,) labels of the same kind

    Returns
    -------
    (K, n) float64, nan = no data; over the cells of a map with one reference area each kind with
    any data adds up to 1
    """
    kinds = weights.shape[0]
    shares = np.full((kinds, len(over)), np.nan)
    for kind in range(kinds):
        row = weights[kind] / weights[kind].sum()
        used = row > 0
        part = exposures[used]
        # as in `exposure.kind_shares`
        member = ~np.isnan(part).any(axis=0) & (part > 0).any(axis=0)
        for label in np.unique(cell_reference):
            inside = member & (unit_reference == label)
            totals = part[:, inside].sum(axis=1)
            if not inside.any() or not (totals > 0).all():
                continue
            of_unit = np.where(member, row[used] @ (part / totals[:, None]), np.nan)
            spread = over.spread(of_unit)
            here = cell_reference == label
            shares[kind, here] = spread[here]
    return shares
