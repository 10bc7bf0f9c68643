"""Coordinate reference systems of answers and questions, axis order as each authority says.

Imports pyproj, numpy, shapely. Inside everything is longitude latitude (CRS84); promises: numbers
of EPSG:4326 and EPSG:4490 are latitude first, those of the Gauss-Krüger zones northing first, those
of EPSG:3857 easting first. CGCS2000 and WGS 84 are taken for the same (they differ by centimetres).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from app.ogc.errors import bad

Floats = npt.NDArray[np.float64]
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
#: Pieces an edge of a box is cut into before it is carried to another plane.
EDGE = 32


@dataclass(frozen=True)
class Crs:
    """A system coordinates may be asked and answered in.

    Attributes
    ----------
    uri : its name in the standards
    code : its name for pyproj
    swapped : whether the authority puts north before east
    geographic : degrees
    """

    uri: str
    code: str
    swapped: bool
    geographic: bool

    @property
    def digits(self) -> int:
        """Decimals of about a centimetre."""
        return 7 if self.geographic else 2

    def out(self, lonlat: Floats) -> Floats:
        """Longitude latitude (n, 2) to numbers of this system in its own axis order."""
        if self.code == "OGC:CRS84":
            return lonlat
        x, y = _there(self.code).transform(lonlat[:, 0], lonlat[:, 1])
        return np.column_stack([y, x] if self.swapped else [x, y])

    def back(self, given: Floats) -> Floats:
        """Numbers of this system in its own axis order (n, 2) to longitude latitude."""
        if self.code == "OGC:CRS84":
            return given
        xy = given[:, ::-1] if self.swapped else given
        lon, lat = _there(self.code).transform(xy[:, 0], xy[:, 1], direction="INVERSE")
        return np.column_stack([lon, lat])


@lru_cache(maxsize=32)
def _there(code: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs("OGC:CRS84", code, always_xy=True)


@lru_cache(maxsize=64)
def epsg(number: int) -> Crs:
    """Look a system of EPSG up."""
    found = pyproj.CRS.from_epsg(number)
    first = found.axis_info[0].direction
    return Crs(f"{_EPSG}{number}", f"EPSG:{number}", first == "north", found.is_geographic)


DEFAULT = Crs(CRS84, "OGC:CRS84", swapped=False, geographic=True)


def offered(bounds: Sequence[float]) -> list[Crs]:
    """Systems of a map with some bounds (west south east north): the default first.

    Maps of China have their Gauss-Krüger zone of three degrees in CGCS2000, too.
    """
    found = [DEFAULT, epsg(4326), epsg(4490), epsg(3857)]
    west, south, east, north = bounds
    lon, lat = (west + east) / 2, (south + north) / 2
    if 73.5 <= lon < 136.5 and 3 <= lat <= 54:
        # EPSG:4534 has the central meridian 75° E, each next one 3° more
        found.append(epsg(4534 + round((lon - 75) / 3)))
    return found


_URN = re.compile(r"urn:ogc:def:crs:(EPSG|OGC):[^:]*:([A-Za-z0-9]+)")


def chosen(text: str | None, there: Sequence[Crs], name: str) -> Crs:
    """System a parameter names; the default when there is none.

    Raises
    ------
    BadRequest
        It is not offered here.
    """
    if text is None:
        return DEFAULT
    wanted = text.strip().removeprefix("[").removesuffix("]")
    if found := _URN.fullmatch(wanted):
        wanted = f"{found[1]}:{found[2]}"
    for one in there:
        if wanted in {one.uri, one.code, one.uri.replace("http:", "https:")}:
            return one
    raise bad(name, f"not offered here; there are {', '.join(one.uri for one in there)}")


def box(text: str, crs: Crs) -> shapely.Geometry:
    """Ground of a `bbox` parameter in longitude latitude.

    Parameters
    ----------
    text : four numbers, or six with heights that do not count, in the axis order of `crs`

    Raises
    ------
    BadRequest
        It is no box.
    """
    parts = text.split(",")
    try:
        numbers = [float(one) for one in parts]
    except ValueError:
        raise bad("bbox", "numbers with commas between them are wanted") from None
    if len(numbers) == 6:
        numbers = [*numbers[:2], *numbers[3:5]]
    if len(numbers) != 4:
        raise bad("bbox", "four numbers are wanted, or six with heights")
    if not np.isfinite(numbers).all():
        raise bad("bbox", "numbers are finite")
    if crs.swapped:
        numbers = [numbers[1], numbers[0], numbers[3], numbers[2]]
    west, south, east, north = numbers
    if south > north:
        raise bad("bbox", "the lower edge lies above the upper one")
    if not crs.geographic:
        if west > east:
            raise bad("bbox", "the left edge lies right of the right one")
        return _carried(shapely.box(west, south, east, north), crs)
    if west > east:  # over the 180th meridian
        return shapely.MultiPolygon(
            [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
        )
    return _flat(west, south, east, north)


def _flat(west: float, south: float, east: float, north: float) -> shapely.Geometry:
    """Box, line or point: a box without area is no polygon."""
    if west == east and south == north:
        return shapely.Point(west, south)
    if west == east or south == north:
        return shapely.LineString([(west, south), (east, north)])
    return shapely.box(west, south, east, north)


def _carried(plane: shapely.Geometry, crs: Crs) -> shapely.Geometry:
    west, south, east, north = plane.bounds
    flat = _flat(west, south, east, north)
    fine = shapely.segmentize(flat, max(east - west, north - south, 1e-9) / EDGE)
    # back() takes the authority's order, the box here is east before north
    return inside(
        shapely.transform(fine, lambda xy: crs.back(xy[:, ::-1] if crs.swapped else xy)), "bbox"
    )


def inside(shape: shapely.Geometry, name: str) -> shapely.Geometry:
    """Return a shape when all its numbers mean a place.

    Raises
    ------
    BadRequest
        Some do not.
    """
    if not np.isfinite(shapely.get_coordinates(shape)).all():
        raise bad(name, "it lies outside of where this reference system means anything")
    return shape


def ground(shape: shapely.Geometry, crs: Crs, name: str) -> shapely.Geometry:
    """Carry a shape of a question to longitude latitude.

    Raises
    ------
    BadRequest
        It lies where the system means nothing.
    """
    return inside(shapely.transform(shape, crs.back), name)


def told(shapes: npt.NDArray[np.object_], crs: Crs) -> npt.NDArray[np.object_]:
    """Carry shapes of an answer from longitude latitude, rounded to about a centimetre."""
    if not len(shapes):
        return shapes
    carried = shapely.transform(shapes, lambda xy: np.round(crs.out(xy), crs.digits))
    found: npt.NDArray[np.object_] = np.asarray(carried, object)
    return found
