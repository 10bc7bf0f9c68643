"""Areas as people give them, made into polygons or refused with a reason. May import geo.crs, geo.corners.

Promises: what comes back is a valid MultiPolygon in EPSG:4326, x (longitude) before y, holes and
parts as given; nothing is repaired, closed, cut or turned silently. What cannot be a counted area
raises `ShapeError` with a machine word, a sentence and, where there is one, the place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from geo.corners import keep
from geo.crs import CrsError, from_wgs84, normalise, to_wgs84

Floats = npt.NDArray[np.float64]
Place = tuple[float, float]

#: shapes with this many vertices or more are refused unless the caller says otherwise
MAX_VERTICES = 100_000
#: machine words of `ShapeError.reason`
REASONS = (
    "antimeridian", "bad_geometry", "bad_size", "crossing", "empty", "not_closed", "not_finite",
    "too_complex", "too_many_vertices", "unknown_crs", "wrong_crs", "zero_area",
)  # fmt: skip
_GEOD = pyproj.Geod(ellps="WGS84")
_TOLERANCE = 0.01  # metres between a round shape and its polygon, at most
_PIECE = 400.0  # metres: a straight edge of this length leaves its geodesic by < 5 mm below 70°
_LONGEST, _WIDEST = 5_000_000.0, 500_000.0
_AT = re.compile(r"\[(-?[\d.eE+-]+) (-?[\d.eE+-]+)")
_SRID = re.compile(r"\s*SRID=(\d+);", re.IGNORECASE)
#: what the old GeoJSON member "crs" may say without contradicting longitude, latitude
_LONLAT = re.compile(r"(CRS84|EPSG:{1,2}(4326|4490))$", re.IGNORECASE)


class ShapeError(ValueError):
    """An area that cannot be counted.

    Attributes
    ----------
    reason : str
        One of `REASONS`.
    at : (float, float) or None
        Longitude and latitude of the trouble, where it has one place.

    """

    def __init__(self, reason: str, message: str, at: Place | None = None) -> None:
        super().__init__(message)
        self.reason, self.message, self.at = reason, message, at


def from_geojson(
    mapping: Mapping[str, Any], crs: str = "wgs84", max_vertices: int = MAX_VERTICES
) -> shapely.MultiPolygon:
    """Area of a GeoJSON Polygon, MultiPolygon, or a Feature (or collection of one) with it.

    Parameters
    ----------
    mapping : mapping
        Parsed GeoJSON; a third coordinate is dropped.
    crs : str
        CRS of the coordinates, see `geo.crs.normalise`. Vertices are converted; edges are straight
        between the converted vertices.
    max_vertices : int
        Shapes with as many vertices (closing ones included) or more are refused.

    Returns
    -------
    MultiPolygon
        Valid, EPSG:4326.

    Raises
    ------
    ShapeError
        Crossing edges, no area, rings not closed, too many vertices, coordinates that are no
        longitude and latitude, a shape across the antimeridian, anything that is no polygon.

    """
    geometry = _geometry(mapping)
    kind, parts = geometry.get("type"), geometry.get("coordinates")
    if kind not in ("Polygon", "MultiPolygon"):
        raise ShapeError("bad_geometry", f"an area is a Polygon or MultiPolygon, not {kind!r}")
    if not isinstance(parts, Sequence) or isinstance(parts, str):
        raise ShapeError("bad_geometry", f"the coordinates of the {kind} are not a list")
    polygons = [parts] if kind == "Polygon" else parts
    left = max_vertices
    rings: list[list[Floats]] = []
    for n, polygon in enumerate(polygons):
        if not isinstance(polygon, Sequence) or isinstance(polygon, str):
            raise ShapeError("bad_geometry", f"part {n + 1} is not a list of rings")
        rings.append([])
        for m, ring in enumerate(polygon):
            # counted before they are converted: a huge list costs nothing
            left -= len(ring) if isinstance(ring, Sequence) else 0
            if left <= 0:
                raise _too_many(max_vertices)
            rings[-1].append(_ring(ring, f"part {n + 1}, ring {m + 1}"))
    return _area(rings, crs)


def from_wkt(
    text: str, crs: str = "wgs84", max_vertices: int = MAX_VERTICES
) -> shapely.MultiPolygon:
    """Area of a POLYGON or MULTIPOLYGON in well-known text; otherwise as `from_geojson`.

    A leading `SRID=n;` is understood and must not contradict `crs`.
    """
    found = _SRID.match(text)
    if found:
        given = _crs(f"EPSG:{found[1]}")
        if given != _crs(crs) and {given, _crs(crs)} != {"wgs84", "cgcs2000"}:
            raise ShapeError("wrong_crs", f"the text says SRID {found[1]}, the request {crs}")
        text = text[found.end() :]
    if text.count(",") >= max_vertices:
        raise _too_many(max_vertices)
    try:
        shape = shapely.from_wkt(text)
    except shapely.errors.ShapelyError as error:
        word = "not_closed" if "closed linestring" in str(error) else "bad_geometry"
        raise ShapeError(word, f"the well-known text cannot be read: {error}") from error
    except NotImplementedError as error:
        raise ShapeError(
            "bad_geometry", "an area has straight edges; curves are not read"
        ) from error
    if shape is None or shape.geom_type not in ("Polygon", "MultiPolygon"):
        name = "nothing" if shape is None else shape.geom_type
        raise ShapeError("bad_geometry", f"an area is a POLYGON or MULTIPOLYGON, not {name}")
    if shapely.get_num_coordinates(shape) >= max_vertices:
        raise _too_many(max_vertices)
    rings = [
        [shapely.get_coordinates(ring) for ring in shapely.get_rings(part)]
        for part in shapely.get_parts(shape)
    ]
    return _area(rings, crs)


def circle(lon: float, lat: float, metres: float) -> shapely.MultiPolygon:
    """All places within `metres` of a point.

    Distance is geodesic on WGS84; the polygon's edge is within 1 cm (beyond 100 km: 1e-7 of the
    radius) of the true circle, half of it outside and half inside.

    Parameters
    ----------
    lon, lat : float
        Degrees, WGS84.
    metres : float
        Radius, above 0 and at most 500 km.

    Raises
    ------
    ShapeError
        Not finite, out of range, or reaching over the antimeridian or a pole.

    """
    _check_size(metres, "radius")
    _check_place(np.array([[lon, lat]]), "the centre")
    ring = _round(lon, lat, metres)
    # corners in the order of their angle, all as far from the middle: nothing crosses
    return _area([[ring]], "wgs84", sound=metres >= 1 and abs(lat) <= 80)


def corridor(coords: npt.ArrayLike, metres: float) -> shapely.MultiPolygon:
    """All places within `metres` of a line.

    The line runs along geodesics between its vertices and the ends are round. The polygon's edge
    is within 2 cm (beyond 100 km of width: 2e-7 of it) of the true one below 70 degrees of latitude.

    Parameters
    ----------
    coords : (n, 2)
        Longitude and latitude of the line's vertices, n >= 2, degrees WGS84.
    metres : float
        Distance to either side, above 0 and at most 500 km.

    Raises
    ------
    ShapeError
        As `circle`; also a line without length, or above 5,000 km.

    """
    _check_size(metres, "width")
    try:
        line = np.array(coords, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ShapeError("bad_geometry", f"the line is no list of positions: {error}") from error
    if line.ndim != 2 or line.shape[1] not in (2, 3) or len(line) < 2:
        raise ShapeError("bad_geometry", "a line needs two or more positions [longitude, latitude]")
    if len(line) >= MAX_VERTICES:
        raise _too_many(MAX_VERTICES)
    line = line[:, :2]
    _check_place(line, "the line")
    line = line[np.append(True, (np.diff(line, axis=0) != 0).any(axis=1))]
    if len(line) < 2:
        raise ShapeError("zero_area", "the line has no length", _place(line[0]))
    if (abs(np.diff(line[:, 0])) > 180).any():
        raise ShapeError("antimeridian", "the line crosses the antimeridian")
    angle, _, length = _GEOD.inv(line[:-1, 0], line[:-1, 1], line[1:, 0], line[1:, 1])
    if length.sum() > _LONGEST:
        raise ShapeError("bad_size", f"the line is {length.sum() / 1000:.0f} km long, above 5,000")
    pieces = [shapely.Polygon(_round(place[0], place[1], metres)) for place in line.tolist()]
    for start, stop, towards, metric in zip(line[:-1], line[1:], angle, length, strict=True):
        pieces.append(_strip(start, stop, float(towards), float(metric), metres))
    merged = shapely.union_all(pieces)
    rings = [
        [shapely.get_coordinates(ring) for ring in shapely.get_rings(part)]
        for part in shapely.get_parts(merged)
    ]
    return _area(rings, "wgs84")


def vertices(area: shapely.MultiPolygon) -> int:
    """Count the vertices, closing ones included."""
    return int(shapely.get_num_coordinates(area))


# from here on: helpers ---------------------------------------------------------------------------
def _geometry(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(mapping, Mapping):
        raise ShapeError("bad_geometry", "the area is no GeoJSON object")
    _check_member(mapping.get("crs"))
    if mapping.get("type") == "FeatureCollection":
        features = mapping.get("features")
        if not isinstance(features, Sequence) or len(features) != 1:
            raise ShapeError("bad_geometry", "an area is one feature; the collection has not one")
        return _geometry(features[0])
    if mapping.get("type") == "Feature":
        geometry = mapping.get("geometry")
        if geometry is None:
            raise ShapeError("empty", "the feature has no geometry")
        return _geometry(geometry)
    return mapping


def _check_member(member: object) -> None:
    """Refuse the old member "crs" where it says that the coordinates are something else."""
    if member is None:
        return
    properties = member.get("properties") if isinstance(member, Mapping) else None
    name = properties.get("name") if isinstance(properties, Mapping) else None
    if not isinstance(name, str) or not _LONLAT.search(name):
        raise ShapeError(
            "wrong_crs", f'the member "crs" says {name!r}: give the CRS beside the area'
        )


def _ring(ring: object, where: str) -> Floats:
    try:
        points = _plain(ring)
        if points is None:
            points = np.array(ring, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ShapeError("bad_geometry", f"{where} is no list of positions: {error}") from error
    if points.size == 0:
        raise ShapeError("empty", f"{where} is empty")
    if points.ndim != 2 or points.shape[1] not in (2, 3, 4):
        raise ShapeError("bad_geometry", f"{where} is no list of positions [longitude, latitude]")
    points = points[:, :2]
    if not np.isfinite(points).all():
        raise ShapeError("not_finite", f"{where} has a coordinate that is not a finite number")
    if (points[0] != points[-1]).any():
        raise ShapeError("not_closed", f"{where} does not end where it begins", _place(points[0]))
    if len(points) < 4:
        raise ShapeError("zero_area", f"{where} has fewer than three corners", _place(points[0]))
    return points


def _plain(ring: object) -> Floats | None:
    """Array of a list of pairs of floats, twice as fast as numpy makes it; None: it is not one."""
    if not isinstance(ring, list) or set(map(type, ring)) != {list} or set(map(len, ring)) != {2}:
        return None
    numbers = list(chain.from_iterable(ring))
    if set(map(type, numbers)) != {float}:
        return None  # whole numbers, texts, null: numpy's own rules
    return np.fromiter(numbers, np.float64, len(numbers)).reshape(-1, 2)


def _crs(crs: str) -> str:
    try:
        return normalise(crs)
    except CrsError as error:
        raise ShapeError("unknown_crs", str(error)) from error


def _area(parts: list[list[Floats]], crs: str, *, sound: bool = False) -> shapely.MultiPolygon:
    """Check rings given in `crs` and put them together; `sound`: they are known not to cross."""
    known = _crs(crs)
    if not any(parts) or not all(parts):
        raise ShapeError("empty", "the area is empty")
    rings = [ring for part in parts for ring in part]
    sizes = np.array([len(ring) for ring in rings])
    points = np.concatenate(rings)
    if not np.isfinite(points).all():
        raise ShapeError("not_finite", "the area has a coordinate that is not a finite number")
    if known not in ("wgs84", "cgcs2000"):
        given = points
        points = np.column_stack(to_wgs84(points[:, 0], points[:, 1], known))
        # what does not come back is no place of that system: longitudes may have been wound round
        back = np.column_stack(from_wgs84(points[:, 0], points[:, 1], known))
        near = abs(back - given) <= 1e-6 * (1 + abs(given))
        lost = np.flatnonzero(~(np.isfinite(points) & near).all(axis=1))
        if len(lost):
            x, y = given[lost[0]].tolist()
            raise ShapeError("wrong_crs", f"{x:.10g}, {y:.10g} is no place in {crs}")
    ends = np.cumsum(sizes)
    _check_place(points, "the area")
    step = np.diff(points[:, 0])
    step[ends[:-1] - 1] = 0  # from one ring to the next
    if (abs(step) > 180).any() or np.ptp(points[:, 0]) > 180:
        at = _place(points[int(np.argmax(abs(step)))])
        raise ShapeError("antimeridian", "the area spans the antimeridian: cut it there", at)
    pieces: Iterator[Floats] = iter(np.split(points, ends[:-1]))
    polygons = []
    for part in parts:
        loops = [next(pieces) for _ in part]
        polygons.append(shapely.Polygon(loops[0], loops[1:]))
    shape = shapely.MultiPolygon(polygons)
    if not sound and not shapely.is_valid(shape):
        for polygon in polygons:
            if shapely.convex_hull(polygon).geom_type != "Polygon":
                at = _place(shapely.get_coordinates(polygon)[0])
                text = "the area has no extent: its corners lie on a line"
                raise ShapeError("zero_area", text, at)
        raise _invalid(shapely.is_valid_reason(shape))
    if not shape.area > 0:
        raise ShapeError("zero_area", "the area is so thin that it has no extent")
    keep(shape, points, ends)  # who counts in it need not ask for them
    return shape


def _invalid(reason: str) -> ShapeError:
    found = _AT.search(reason)
    at = (float(found[1]), float(found[2])) if found else None
    where = f" near {at[0]:.6f}, {at[1]:.6f}" if at else ""
    if "elf-intersection" in reason:
        return ShapeError("crossing", f"edges of the area cross or overlap{where}", at)
    words = reason.split("[", maxsplit=1)[0].strip().lower()
    return ShapeError("bad_geometry", f"the area is not valid{where}: {words}", at)


def _check_place(points: Floats, what: str) -> None:
    if not np.isfinite(points).all():
        raise ShapeError("not_finite", f"{what} has a coordinate that is not a finite number")
    x, y = points[:, 0], points[:, 1]
    off = np.flatnonzero((abs(x) > 180) | (abs(y) > 90))
    if not len(off):
        return
    at = points[off[0]]
    if (abs(y) <= 90).all() and (abs(x) <= 360).all() and (abs(x) <= 180).any():
        message = f"{what} passes longitude 180: cut it at the antimeridian"
        raise ShapeError("antimeridian", message, _place(at))
    hint = (
        "longitude stands first" if (abs(x) <= 90).all() and (abs(y) <= 180).all() else "which CRS?"
    )
    text = f"{at[0]:.10g}, {at[1]:.10g} is no longitude and latitude: {hint}"
    raise ShapeError("wrong_crs", text)


def _check_size(metres: float, what: str) -> None:
    if not math.isfinite(metres):
        raise ShapeError("not_finite", f"the {what} is not a finite number")
    if metres <= 0:
        raise ShapeError("zero_area", f"the {what} must be above 0 metres, not {metres:g}")
    if metres > _WIDEST:
        raise ShapeError("bad_size", f"the {what} is {metres / 1000:g} km, above 500")


def _place(point: Floats) -> Place:
    return float(point[0]), float(point[1])


def _too_many(limit: int) -> ShapeError:
    return ShapeError("too_many_vertices", f"the area has {limit:,} vertices or more: simplify it")


def _round(lon: float, lat: float, metres: float) -> Floats:
    """Make the closed ring of a geodesic circle whose edge runs half inside and half outside the true one."""
    tolerance = max(_TOLERANCE, 1e-7 * metres)
    # in the plane the middle of an edge lies as far in as its ends lie out: 4; it bends in degrees
    n = max(32, math.ceil(math.pi * math.sqrt(metres / (3 * tolerance))))
    sagitta = metres * (1 - math.cos(math.pi / n))
    angle = np.linspace(0.0, 360.0, n, endpoint=False)
    x, y, _ = _GEOD.fwd(np.full(n, lon), np.full(n, lat), angle, np.full(n, metres + sagitta / 2))
    ring = np.column_stack([x, y])
    if (abs(ring[:, 0] - lon) > 180).any() or abs(lat) + metres / 111_000 > 90:
        raise ShapeError(
            "antimeridian", "the area reaches over the antimeridian or a pole", (lon, lat)
        )
    return np.vstack([ring, ring[:1]])


def _strip(
    start: Floats, stop: Floats, angle: float, length: float, metres: float
) -> shapely.Polygon:
    """Quadrilateral band along one geodesic."""
    n = max(1, math.ceil(length / _PIECE))
    inner = (
        np.array(_GEOD.npts(start[0], start[1], stop[0], stop[1], n - 1))
        if n > 1
        else np.empty((0, 2))
    )
    line = np.vstack([start, inner.reshape(-1, 2), stop])
    # direction of the geodesic at every point, from its far end (the start has none to itself)
    back = _GEOD.inv(np.full(n, start[0]), np.full(n, start[1]), line[1:, 0], line[1:, 1])[1]
    towards = np.append(angle, np.asarray(back) + 180.0)
    sides = []
    for turn in (-90.0, 90.0):
        x, y, _ = _GEOD.fwd(line[:, 0], line[:, 1], towards + turn, np.full(n + 1, metres))
        if (abs(np.asarray(x) - line[:, 0]) > 180).any():
            raise ShapeError(
                "antimeridian", "the corridor reaches over the antimeridian", _place(start)
            )
        sides.append(np.column_stack([x, y]))
    return shapely.Polygon(np.vstack([sides[0], sides[1][::-1]]))
