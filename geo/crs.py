"""Coordinates to WGS84 and back. May import numpy, pyproj, shapely.

Promises: x (east, longitude) always stands before y; arrays are float64 degrees (or the unit of
the EPSG system); GCJ-02 and BD-09 are inverted exactly (the forward formula of the answer gives
the input again, < 1e-4 m), not by the common one-step approximation. CGCS2000 and WGS84 agree
within centimetres and are taken as one. A coordinate that cannot be converted is nan.

GCJ-02 and BD-09 have no published definition: the formulas are the ones in common use, which agree
with published twin maps to a few metres. Outside the box 72.004-137.8347 E, 0.8293-55.8271 N they
leave coordinates as they are.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from pyproj.exceptions import CRSError, ProjError

Floats = npt.NDArray[np.float64]
Bounds = tuple[float, float, float, float]

NAMED = ("wgs84", "cgcs2000", "gcj02", "bd09")
CHINA: Bounds = (72.004, 0.8293, 137.8347, 55.8271)
_WORLD: Bounds = (-180.0, -90.0, 180.0, 90.0)
_A = 6378245.0  # Krasovsky 1940, the ellipsoid inside the formula
_EE = 0.00669342162296594323
_BD = np.pi * 3000.0 / 180.0
_TOLERANCE = 1e-11  # degrees, about a micrometre
_EPSG = re.compile(r"epsg:(\d{4,6})", re.IGNORECASE)


class CrsError(ValueError):
    """A coordinate reference system that is unknown or cannot be reached exactly."""


def normalise(crs: str) -> str:
    """`wgs84`, `cgcs2000`, `gcj02`, `bd09` or `EPSG:n`; other spellings of these are understood.

    Raises
    ------
    CrsError
        For anything else, or an EPSG number that is not in the register.

    """
    text = crs.strip()
    plain = re.sub(r"[-_ ]", "", text).lower()
    if plain in NAMED:
        return plain
    found = _EPSG.fullmatch(text)
    if not found:
        raise CrsError(f"unknown CRS {crs!r}: use one of {', '.join(NAMED)} or EPSG:n")
    name = f"EPSG:{int(found[1])}"
    if name == "EPSG:4326":
        return "wgs84"
    if name == "EPSG:4490":
        return "cgcs2000"
    _transformer(name, True)
    return name


def to_wgs84(lon: npt.ArrayLike, lat: npt.ArrayLike, crs: str) -> tuple[Floats, Floats]:
    """Convert coordinates of `crs` to WGS84.

    Parameters
    ----------
    lon, lat : (n,)
        East and north in the unit of `crs`.
    crs : str
        See `normalise`.

    Returns
    -------
    lon, lat : float64 (n,)
        Degrees; nan where the input is not finite or outside what `crs` can express.

    Raises
    ------
    CrsError
        Unknown CRS, or no transformation to WGS84 better than a guess is known.

    """
    return _convert(lon, lat, crs, True)


def from_wgs84(lon: npt.ArrayLike, lat: npt.ArrayLike, crs: str) -> tuple[Floats, Floats]:
    """Convert WGS84 degrees to `crs`; the forward direction of `to_wgs84`."""
    return _convert(lon, lat, crs, False)


def geometries_to_wgs84(geoms: npt.ArrayLike, crs: str) -> npt.NDArray[np.object_]:
    """Every vertex of shapely geometries (n,) by `to_wgs84`; shared vertices stay shared."""
    array = np.asarray(geoms, dtype=object)
    name = normalise(crs)
    if name in ("wgs84", "cgcs2000"):
        return array
    changed: npt.NDArray[np.object_] = shapely.transform(
        array, lambda x, y: _convert(x, y, name, True), interleaved=False
    )
    return changed


def area(crs: str) -> Bounds:
    """West, south, east, north of the area `crs` is meant for, WGS84 degrees."""
    name = normalise(crs)
    if name == "wgs84":
        return _WORLD
    if name in ("cgcs2000", "gcj02", "bd09"):
        return CHINA
    use = pyproj.CRS.from_user_input(name).area_of_use
    return (use.west, use.south, use.east, use.north) if use else _WORLD


def looks_like(lon: npt.ArrayLike, lat: npt.ArrayLike, within: Bounds | None = None) -> str | None:
    """Guess what is wrong with degrees that should lie `within` (west, south, east, north).

    Returns
    -------
    str or None
        `swapped` when they only fit after exchanging longitude and latitude, `metres` when they
        are far too large for degrees, `outside` when neither explains them, None when nothing is
        wrong. Decided by the majority of the finite points; nothing to judge gives None.

    """
    x, y = np.asarray(lon, dtype=np.float64).ravel(), np.asarray(lat, dtype=np.float64).ravel()
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    if len(x) == 0:
        return None
    box = _WORLD if within is None else within
    if np.mean(_inside(x, y, box)) >= 0.5:
        return None
    if np.mean(_inside(y, x, box)) >= 0.5:
        return "swapped"
    if np.mean((np.abs(x) > 400) | (np.abs(y) > 400)) >= 0.5:
        return "metres"
    return "outside"


def _inside(x: Floats, y: Floats, box: Bounds) -> npt.NDArray[np.bool_]:
    return (x >= box[0]) & (x <= box[2]) & (y >= box[1]) & (y <= box[3])


@lru_cache(maxsize=64)
def _transformer(name: str, to_wgs: bool) -> pyproj.Transformer:
    try:
        here = pyproj.CRS.from_user_input(name)
    except CRSError as error:
        raise CrsError(f"{name} is not in the EPSG register") from error
    if not (here.is_geographic or here.is_projected) or len(here.axis_info) > 2:
        raise CrsError(f"{name} ({here.name}) is not a map of two dimensions")
    # CGCS2000 is WGS84 within centimetres, but the register states no such transformation
    base = here.geodetic_crs
    wgs = base if base is not None and base.to_epsg() == 4490 else pyproj.CRS.from_epsg(4326)
    pair = (here, wgs) if to_wgs else (wgs, here)
    try:
        # a ballpark transformation would be off by up to some hundred metres without a word
        return pyproj.Transformer.from_crs(*pair, always_xy=True, allow_ballpark=False)
    except ProjError as error:
        raise CrsError(
            f"no published transformation between {name} ({here.name}) and WGS84: "
            "convert the file with your surveyor's parameters first"
        ) from error


def _convert(
    lon: npt.ArrayLike, lat: npt.ArrayLike, crs: str, to_wgs: bool
) -> tuple[Floats, Floats]:
    name = normalise(crs)
    # copies: the caller's arrays are never written
    x, y = np.array(lon, dtype=np.float64), np.array(lat, dtype=np.float64)
    if x.shape != y.shape:
        raise ValueError(f"longitude has shape {x.shape}, latitude {y.shape}")
    if name == "gcj02":
        x, y = (_invert if to_wgs else _apply)(x, y, _gcj02)
    elif name == "bd09":
        x, y = (_invert if to_wgs else _apply)(x, y, _bd09)
    elif name not in NAMED:
        out: Any = _transformer(name, to_wgs).transform(x, y)
        x, y = np.asarray(out[0], dtype=np.float64), np.asarray(out[1], dtype=np.float64)
    broken = ~(np.isfinite(x) & np.isfinite(y))
    if broken.any():
        x, y = np.where(broken, np.nan, x), np.where(broken, np.nan, y)
    return x, y


def _apply(x: Floats, y: Floats, formula: Any) -> tuple[Floats, Floats]:
    inside = _inside(x, y, CHINA)
    x[inside], y[inside] = formula(x[inside], y[inside])
    return x, y


def _invert(x: Floats, y: Floats, formula: Any) -> tuple[Floats, Floats]:
    # fixed point: the formulas shift by a slowly changing offset (derivative below .01), so each
    # step gains two digits and more; the smooth formula is followed past the box's own edge
    inside = _inside(x, y, CHINA)
    goal_x, goal_y = x[inside], y[inside]
    at_x, at_y = goal_x.copy(), goal_y.copy()
    for _ in range(30):
        fx, fy = formula(at_x, at_y)
        dx, dy = goal_x - fx, goal_y - fy
        at_x += dx
        at_y += dy
        if len(dx) == 0 or max(np.abs(dx).max(), np.abs(dy).max()) < _TOLERANCE:
            break
    x[inside], y[inside] = at_x, at_y
    return x, y


def _gcj02(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """WGS84 to GCJ-02, without the box."""
    x, y = lon - 105.0, lat - 35.0
    root = np.sqrt(np.abs(x))
    ripple = (20.0 * np.sin(6.0 * x * np.pi) + 20.0 * np.sin(2.0 * x * np.pi)) * 2.0 / 3.0
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + ripple
    north += (20.0 * np.sin(y * np.pi) + 40.0 * np.sin(y / 3.0 * np.pi)) * 2.0 / 3.0
    north += (160.0 * np.sin(y / 12.0 * np.pi) + 320.0 * np.sin(y * np.pi / 30.0)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + ripple
    east += (20.0 * np.sin(x * np.pi) + 40.0 * np.sin(x / 3.0 * np.pi)) * 2.0 / 3.0
    east += (150.0 * np.sin(x / 12.0 * np.pi) + 300.0 * np.sin(x / 30.0 * np.pi)) * 2.0 / 3.0
    phi = np.radians(lat)
    magic = 1.0 - _EE * np.sin(phi) ** 2
    d_lat = north * 180.0 / ((_A * (1.0 - _EE)) / (magic * np.sqrt(magic)) * np.pi)
    d_lon = east * 180.0 / (_A / np.sqrt(magic) * np.cos(phi) * np.pi)
    return lon + d_lon, lat + d_lat


def _bd09(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """WGS84 to BD-09, without the box."""
    x, y = _gcj02(lon, lat)
    radius = np.hypot(x, y) + 0.00002 * np.sin(y * _BD)
    angle = np.arctan2(y, x) + 0.000003 * np.cos(x * _BD)
    return radius * np.cos(angle) + 0.0065, radius * np.sin(angle) + 0.006
