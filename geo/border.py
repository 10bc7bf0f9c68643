"""Shared lines of jurisdictions, land beside them, distances to them. May import numpy, shapely, pyproj.

Pure. Everything is EPSG:4326, x (longitude) before y; an edge runs straight in longitude and
latitude between its two vertices, as polygons are stored. Lengths and distances are geodesic on
WGS84. Promises: a shared line is made of the polygons' own edges, none added, none moved; a
distance is right to a centimetre for edges up to 100 km.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

Floats = npt.NDArray[np.float64]

#: Centre of the equal-area projection of the four cities (METHODS 9), longitude and latitude.
CENTRE = (118.1, 28.6)
_GEOD = pyproj.Geod(ellps="WGS84")
#: Degrees; edges are cut to pieces of at most this for distances. A piece of 0.01 degrees leaves
#: its straight line on any azimuthal map by less than a centimetre.
_PIECE = 0.01
#: Metres; a line is buffered in stretches of about this length, each on a map of its own.
_STRETCH = 50_000.0
_ROUND = 32  # segments per quarter circle: a round end is right to 0.03 % of its radius


class BorderError(ValueError):
    """What was asked of a border makes no sense.

    Attributes
    ----------
    reason : str
        `bad_place`, `bad_size`, `empty`, `no_polygon`.

    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


def edges(polygons: npt.ArrayLike) -> Floats:
    """Edges that bound the union of polygons of a coverage, (n, 4): lon lat lon lat.

    Ends of an edge are in ascending order, edges too; an edge two of the polygons have in common
    lies inside and is left out. Holes count as any other ring.

    Parameters
    ----------
    polygons : Polygon, MultiPolygon or sequence of them
        Units that share vertices along common edges.

    Raises
    ------
    BorderError
        `no_polygon`: something that is no polygon.

    """
    shapes = np.atleast_1d(np.asarray(polygons, dtype=object))
    if not np.isin(shapely.get_type_id(shapes), (3, 6)).all():
        raise BorderError("no_polygon", "a side is made of polygons")
    rings = shapely.get_rings(shapely.get_parts(shapes))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    points = points + 0.0  # -0.0 and 0.0 are one place
    inner = ring[1:] == ring[:-1]
    first, last = points[:-1][inner], points[1:][inner]
    moved = (first != last).any(axis=1)
    first, last = first[moved], last[moved]
    turned = (first[:, 0] > last[:, 0]) | ((first[:, 0] == last[:, 0]) & (first[:, 1] > last[:, 1]))
    ordered = np.where(
        turned[:, None], np.column_stack([last, first]), np.column_stack([first, last])
    )
    found, times = np.unique(ordered, axis=0, return_counts=True)
    return np.ascontiguousarray(found[times == 1])


def shared_line(
    side_a: npt.ArrayLike, side_b: npt.ArrayLike, tolerance_m: float = 0.0
) -> shapely.MultiLineString:
    """Line two sides have in common, merged into runs.

    Parameters
    ----------
    side_a, side_b : polygons, as for `edges`
        Units of either side. Without a tolerance both belong to one coverage: common edges have
        the same two vertices, bit for bit, and the line is exact.
    tolerance_m : float
        For sources with gaps or overlaps: the parts of side A's outline that are within so many
        metres of side B's. Such a line runs beyond its true ends by at most the tolerance, and
        parts of up to twice the tolerance (touching corners) are left out.

    Returns
    -------
    MultiLineString
        EPSG:4326; empty when the sides have no edge in common.

    Raises
    ------
    BorderError
        `no_polygon`; `bad_size`: the tolerance is negative or not finite.

    """
    if not (np.isfinite(tolerance_m) and tolerance_m >= 0):
        raise BorderError("bad_size", f"a tolerance of {tolerance_m} metres makes no sense")
    one, other = edges(side_a), edges(side_b)
    if tolerance_m > 0:
        return _near(one, other, tolerance_m)
    both, times = np.unique(np.concatenate([one, other]), axis=0, return_counts=True)
    return _merged(both[times == 2])


def length_m(line: shapely.Geometry) -> float:
    """Geodesic length of a line or of a polygon's rings, metres: the sum over its edges."""
    points, part = shapely.get_coordinates(_rings(line), return_index=True)
    if len(points) < 2:
        return 0.0
    lengths = _GEOD.inv(points[:-1, 0], points[:-1, 1], points[1:, 0], points[1:, 1])[2]
    return float(np.sum(np.asarray(lengths)[part[1:] == part[:-1]]))


def buffer_both_sides(line: shapely.Geometry, metres: float) -> shapely.MultiPolygon:
    """All places within so many metres of a line, with round ends.

    Made in stretches of about 50 km, each in an equal-area projection of its own, and put together:
    the outline is within 0.05 % of `metres` (at least 2 cm) of the true one.

    Parameters
    ----------
    line : LineString or MultiLineString
        EPSG:4326.
    metres : float
        Above 0, at most 100 km.

    Raises
    ------
    BorderError
        `empty`: there is no line; `bad_size`.

    """
    if not 0 < metres <= 100_000:
        raise BorderError("bad_size", f"{metres} metres: above 0 and at most 100,000")
    if shapely.is_empty(line):
        raise BorderError("empty", "there is no line")
    pieces = []
    for run in shapely.get_parts(np.asarray([line], dtype=object)):
        points = shapely.get_coordinates(shapely.segmentize(run, _PIECE))
        steps = np.asarray(
            _GEOD.inv(points[:-1, 0], points[:-1, 1], points[1:, 0], points[1:, 1])[2]
        )
        stretch = np.floor(np.cumsum(steps) / _STRETCH)
        cuts = [0, *(np.flatnonzero(np.diff(stretch)) + 1).tolist(), len(points) - 1]
        for start, stop in itertools.pairwise(cuts):
            if stop > start:
                pieces.append(_beside(points[start : stop + 1], metres))
    merged = shapely.union_all(np.asarray(pieces, dtype=object))
    parts = shapely.get_parts(shapely.make_valid(merged))
    kept = parts[shapely.get_type_id(parts) == 3]
    found: shapely.MultiPolygon = shapely.multipolygons(shapely.orient_polygons(kept))
    return found


@dataclass(frozen=True)
class Nearest:
    """Nearest place of a line.

    Parameters
    ----------
    metres : geodesic distance
    lon, lat : the place, degrees EPSG:4326
    line : number of the line it is on, as given to `LineIndex`
    azimuth : direction from the place asked for, degrees from north, clockwise, in [0, 360)

    """

    metres: float
    lon: float
    lat: float
    line: int
    azimuth: float


class LineIndex:
    """Lines made ready for distances: made once, asked often, never changed.

    Candidates are found by a tree of pieces in the plane of the equal-area projection; distances
    are geodesic. Within 400 km of the projection's centre the plane's distances are right to 0.1 %,
    and the search reaches 1 % beyond the nearest one there.

    Parameters
    ----------
    lines : sequence of LineString or MultiLineString
        EPSG:4326; empty ones are never nearest.
    centre : (float, float), optional
        Of the projection; without it the middle of the lines' bounds.

    """

    def __init__(self, lines: npt.ArrayLike, centre: tuple[float, float] | None = None) -> None:
        shapes = np.atleast_1d(np.asarray(lines, dtype=object))
        runs, owner = shapely.get_parts(shapely.segmentize(shapes, _PIECE), return_index=True)
        points, part = shapely.get_coordinates(runs, return_index=True)
        inner = part[1:] == part[:-1]
        self._first = np.ascontiguousarray(points[:-1][inner])
        self._last = np.ascontiguousarray(points[1:][inner])
        self._line = owner[part[1:][inner]]
        if centre is None:
            box = shapely.total_bounds(shapes) if len(self._line) else np.zeros(4)
            centre = (float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2)
        self._plane = equal_area(*centre)
        ends = [
            np.column_stack(self._plane(end[:, 0], end[:, 1])) for end in (self._first, self._last)
        ]
        self._tree = shapely.STRtree(
            shapely.linestrings(np.stack(ends, axis=1)) if len(self._line) else []
        )

    def __len__(self) -> int:
        return len(self._line)

    def nearest(self, lon: float, lat: float) -> Nearest | None:
        """Nearest place of all lines; None when there is no line.

        Raises
        ------
        BorderError
            `bad_place`: not a longitude and latitude.

        """
        if not (np.isfinite(lon) and np.isfinite(lat) and abs(lon) <= 180 and abs(lat) <= 90):
            raise BorderError("bad_place", f"{lon}, {lat} is no longitude and latitude")
        if not len(self._line):
            return None
        here = shapely.points(*self._plane(lon, lat))
        _, apart = self._tree.query_nearest(here, return_distance=True)
        reach = float(apart[0]) * 1.01 + 1.0
        found = self._tree.query(here, predicate="dwithin", distance=reach)
        share, metres, azimuth = _feet(lon, lat, self._first[found], self._last[found])
        best = int(np.argmin(metres))
        piece = int(found[best])
        place = self._first[piece] + share[best] * (self._last[piece] - self._first[piece])
        return Nearest(
            float(metres[best]), float(place[0]), float(place[1]),
            int(self._line[piece]), float(azimuth[best] % 360.0),
        )  # fmt: skip


def distance_to_line(lon: float, lat: float, line: shapely.Geometry) -> float:
    """Geodesic metres from a place to a line; of a line asked often make a `LineIndex`.

    Raises
    ------
    BorderError
        `empty`: there is no line; `bad_place`.

    """
    found = LineIndex([line]).nearest(lon, lat)
    if found is None:
        raise BorderError("empty", "there is no line")
    return found.metres


@lru_cache(maxsize=32)
def equal_area(lon: float, lat: float) -> pyproj.Proj:
    """Equal-area projection around a place (METHODS 9: `CENTRE`), metres."""
    return pyproj.Proj(proj="laea", lon_0=lon, lat_0=lat, ellps="WGS84")


# from here on: helpers ---------------------------------------------------------------------------
def _merged(found: Floats) -> shapely.MultiLineString:
    if not len(found):
        return shapely.MultiLineString()
    merged = shapely.line_merge(
        shapely.multilinestrings(shapely.linestrings(found.reshape(-1, 2, 2)))
    )
    # GEOS gives the runs in the order of its own tables: sort them, so that equal is equal
    runs = sorted(
        shapely.get_parts(merged), key=lambda run: shapely.get_coordinates(run)[[0, -1]].tolist()
    )
    line: shapely.MultiLineString = shapely.multilinestrings(runs)
    return line


def _near(one: Floats, other: Floats, metres: float) -> shapely.MultiLineString:
    """Parts of one outline within some metres of another, both as edges."""
    if not (len(one) and len(other)):
        return shapely.MultiLineString()
    middle = one.reshape(-1, 2).mean(axis=0)
    plane = equal_area(float(middle[0]), float(middle[1]))

    def flat(lines: Floats) -> shapely.Geometry:
        cut = shapely.segmentize(_merged(lines), _PIECE)
        return shapely.transform(cut, lambda at: np.column_stack(plane(at[:, 0], at[:, 1])))

    found = shapely.intersection(flat(one), shapely.buffer(flat(other), metres, quad_segs=8))
    runs = shapely.get_parts(found)
    runs = runs[shapely.get_type_id(runs) == 1]
    runs = shapely.get_parts(shapely.line_merge(shapely.multilinestrings(runs)))
    runs = runs[shapely.length(runs) > 2 * metres]
    back = shapely.transform(
        shapely.multilinestrings(runs),
        lambda at: np.column_stack(plane(at[:, 0], at[:, 1], inverse=True)),
    )
    line: shapely.MultiLineString = back
    return line


def _rings(shape: shapely.Geometry) -> npt.NDArray[np.object_]:
    """Lines of a geometry, those of polygons by ring."""
    parts = shapely.get_parts(np.asarray([shape], dtype=object))
    areal = shapely.get_type_id(parts) == 3
    return np.concatenate([parts[~areal], shapely.get_rings(parts[areal])])


def _beside(points: Floats, metres: float) -> shapely.Geometry:
    middle = points[len(points) // 2]
    plane = equal_area(float(middle[0]), float(middle[1]))
    line = shapely.linestrings(np.column_stack(plane(points[:, 0], points[:, 1])))
    area = shapely.buffer(line, metres, quad_segs=_ROUND)
    return shapely.transform(
        area, lambda at: np.column_stack(plane(at[:, 0], at[:, 1], inverse=True))
    )


def _feet(lon: float, lat: float, first: Floats, last: Floats) -> tuple[Floats, Floats, Floats]:
    """Where on short edges the nearest places are: share of the edge, metres, azimuth; each (n,).

    On the azimuthal map around the asked place distances from it are true, so the foot of the
    perpendicular there is the nearest place; its distance is then asked of the ellipsoid.
    """
    n = len(first)
    here = np.full(2 * n, lon), np.full(2 * n, lat)
    ends = np.concatenate([first, last])
    azimuth, _, apart = _GEOD.inv(*here, ends[:, 0], ends[:, 1])
    angle = np.radians(azimuth)
    flat = np.column_stack([apart * np.sin(angle), apart * np.cos(angle)])
    start, along = flat[:n], flat[n:] - flat[:n]
    size = np.einsum("ij,ij->i", along, along)
    share = -np.einsum("ij,ij->i", start, along) / np.where(size > 0, size, 1.0)
    share = np.clip(share, 0.0, 1.0)
    place = first + share[:, None] * (last - first)
    azimuth, _, metres = _GEOD.inv(here[0][:n], here[1][:n], place[:, 0], place[:, 1])
    return share, np.asarray(metres), np.asarray(azimuth)
