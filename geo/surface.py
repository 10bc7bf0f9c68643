"""Density of events in metres on an equal-area grid.

May import numpy, scipy, shapely, pyproj, affine, rasterio (rasterising). Pure.

Promises: the grid lies in a Lambert azimuthal equal-area plane around the middle of what is asked, its
cells are squares of a stated size, values are events per km², and **the integral over the grid is the
number of events** (to 1e-9 of it). Edge rule: what an event's kernel would spread beyond the area is
spread over its part inside instead (each kernel is divided by its own mass inside, Diggle 1985), so
density does not fall off towards the edge just because nothing is counted beyond.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from affine import Affine
from rasterio.features import rasterize

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

KERNELS = ("quartic", "gaussian")
#: cells of a bandwidth: an event moves to the middle of its cell, at most .09 of the bandwidth away
FINE = 8
#: cells of a grid at most
CELLS = 4_000_000
#: standard deviation of a quartic kernel of radius 1 along one axis, squared: 1/8
_QUARTIC_SPREAD = math.sqrt(1 / 8)
#: a Gaussian ends here, in standard deviations; .03 % would lie beyond
_GAUSSIAN_REACH = 4.0
#: longest edge in degrees when a shape changes its CRS
_DENSE = 0.002


class SurfaceError(ValueError):
    """Points or an area no density can be made of; the message says why."""


@dataclass(frozen=True)
class Surface:
    """A density.

    Attributes
    ----------
    values : (rows, columns) float64
        Events per km², first row in the north; nan outside the area.
    transform : Affine
        Column and row to metres (upper left corner of a cell).
    crs : str
        PROJ text of the plane; axes east, north.
    cell, bandwidth : float
        Metres; the bandwidth of a quartic kernel is its radius, of a Gaussian its standard deviation.
    kernel : str
    events : int
        Events in it; `values` × cell area add up to it.
    outside : int
        Events given that lie outside the area or have no place.
    rule : str
        Where the bandwidth comes from: "given" or "default".
    """

    values: Floats
    transform: Affine
    crs: str
    cell: float
    bandwidth: float
    kernel: str
    events: int
    outside: int
    rule: str

    def integral(self) -> float:
        """Events that the values add up to."""
        return float(np.nansum(self.values)) * self.cell * self.cell / 1e6

    def bounds_lonlat(self) -> tuple[float, float, float, float]:
        """West, south, east, north of the grid in degrees (EPSG:4326)."""
        rows, columns = self.values.shape
        west, north = self.transform.c, self.transform.f
        east, south = west + columns * self.cell, north - rows * self.cell
        back = pyproj.Transformer.from_crs(self.crs, "EPSG:4326", always_xy=True)
        box: tuple[float, float, float, float] = back.transform_bounds(west, south, east, north)
        return box


def plane(lon: float, lat: float) -> str:
    """PROJ text of the equal-area plane around a place (EPSG:4326 degrees)."""
    return f"+proj=laea +lat_0={lat:.4f} +lon_0={lon:.4f} +datum=WGS84 +units=m +no_defs"


def default_bandwidth(x: npt.ArrayLike, y: npt.ArrayLike, kernel: str = "quartic") -> float:
    """Bandwidth from the spread of the points, metres.

    Gaussian: `σ n^(−1/6)` (Scott 1992, two dimensions) with σ the smaller of the root mean square of
    both axes' standard deviations and the median distance from the median centre / 1.1774 (equal for
    a round normal cloud; few far points do not widen it). Quartic: the radius of the same standard
    deviation, 2.83 times that.

    Raises
    ------
    SurfaceError
        Fewer than 2 different places.
    """
    east, north = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(east) < 2:
        raise SurfaceError("a bandwidth needs at least 2 events: give one")
    spread = math.sqrt((float(np.var(east)) + float(np.var(north))) / 2)
    away = np.hypot(east - np.median(east), north - np.median(north))
    robust = float(np.median(away)) / 1.1774
    sigma = min(spread, robust) if robust > 0 else spread
    if not sigma > 0:
        raise SurfaceError("all events lie at one place: give a bandwidth")
    gauss = float(sigma * len(east) ** (-1 / 6))
    return gauss if kernel == "gaussian" else gauss / _QUARTIC_SPREAD


def _weights(kernel: str, bandwidth: float, cell: float) -> Floats:
    """Kernel on the grid, (2r+1, 2r+1), adding up to 1."""
    far = bandwidth * (_GAUSSIAN_REACH if kernel == "gaussian" else 1.0)
    reach = math.ceil(far / cell)
    step = np.arange(-reach, reach + 1) * cell
    away = (step[:, None] ** 2 + step[None, :] ** 2) / bandwidth**2
    if kernel == "gaussian":
        mass = np.where(away <= _GAUSSIAN_REACH**2, np.exp(-away / 2), 0.0)
    else:
        mass = np.where(away < 1, (1 - away) ** 2, 0.0)
    return np.asarray(mass / mass.sum(), dtype=np.float64)


def _spread(values: Floats, weights: Floats) -> Floats:
    from scipy import signal  # most of a second, and only jobs convolve

    spread = signal.oaconvolve(values, weights, mode="full")
    r = weights.shape[0] // 2
    # the transform leaves noise around 0
    inner = spread[r : r + values.shape[0], r : r + values.shape[1]]
    return np.maximum(np.asarray(inner, dtype=np.float64), 0.0)


def density(
    lon: npt.ArrayLike,
    lat: npt.ArrayLike,
    area: shapely.Geometry | None = None,
    *,
    bandwidth: float | None = None,
    kernel: str = "quartic",
    cell: float | None = None,
    max_cells: int = CELLS,
) -> Surface:
    """Kernel density of points, cut to an area.

    Parameters
    ----------
    lon, lat : (n,) float64
        EPSG:4326 degrees; nan = no place.
    area : shapely Polygon or MultiPolygon, optional
        EPSG:4326; every cell that touches it belongs to the grid. Without one, the box of the points
        widened by the kernel's reach, where nothing is cut off.
    bandwidth : float, optional
        Metres; `default_bandwidth` without.
    kernel : str
        "quartic" (0 beyond the bandwidth) or "gaussian" (cut at 4 bandwidths).
    cell : float, optional
        Metres; bandwidth / 8 without, coarser where the grid would be too large.
    max_cells : int
        Largest grid.

    Raises
    ------
    SurfaceError
        No event inside, an empty area, a bad bandwidth, kernel or cell, or a grid that is too large
        for a cell of half the bandwidth.
    """
    if kernel not in KERNELS:
        raise SurfaceError(f"kernel is one of {', '.join(KERNELS)}, not {kernel!r}")
    x, y = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise SurfaceError(f"{x.shape} longitudes and {y.shape} latitudes")
    given = len(x)
    known = np.isfinite(x) & np.isfinite(y)
    if area is not None:
        if area.is_empty or area.geom_type not in ("Polygon", "MultiPolygon"):
            raise SurfaceError("the area is an empty shape or no polygon")
        shapely.prepare(area)
        known &= shapely.intersects_xy(area, np.where(known, x, 0), np.where(known, y, 0))
    x, y = x[known], y[known]
    if not len(x):
        raise SurfaceError("no event lies in the area")
    box = area.bounds if area is not None else (x.min(), y.min(), x.max(), y.max())
    crs = plane((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    there = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    east, north = (np.asarray(v, np.float64) for v in there.transform(x, y))
    wide = default_bandwidth(east, north, kernel) if bandwidth is None else float(bandwidth)
    if not (math.isfinite(wide) and wide > 0):
        raise SurfaceError(f"the bandwidth must be above 0 m, got {bandwidth}")
    if cell is not None and not 0 < cell <= wide / 2:
        raise SurfaceError(f"a cell must be above 0 and at most half of the bandwidth, {wide:g} m")
    shape = None
    if area is None:
        margin = wide * (_GAUSSIAN_REACH if kernel == "gaussian" else 1.0)
        frame = (
            east.min() - margin,
            north.min() - margin,
            east.max() + margin,
            north.max() + margin,
        )
    else:
        shape = shapely.transform(
            shapely.segmentize(area, _DENSE),
            there.transform,
            interleaved=False,
        )
        frame = shape.bounds
    side, rows, columns = _grid(frame, wide, cell, max_cells)
    west = (frame[0] + frame[2]) / 2 - columns * side / 2
    top = (frame[1] + frame[3]) / 2 + rows * side / 2
    transform = Affine(side, 0, west, 0, -side, top)
    row = np.clip(np.floor((top - north) / side).astype(np.int64), 0, rows - 1)
    column = np.clip(np.floor((east - west) / side).astype(np.int64), 0, columns - 1)
    counts = np.bincount(row * columns + column, minlength=rows * columns).astype(np.float64)
    counts = counts.reshape(rows, columns)
    inside: Bools = np.ones((rows, columns), np.bool_)
    if shape is not None:
        burned = rasterize(
            [(shape, 1)],
            out_shape=(rows, columns),
            transform=transform,
            all_touched=True,
            dtype="uint8",
        )
        # a point on the very edge may round into a cell the area does not touch
        inside = (burned > 0) | (counts > 0)
    weights = _weights(kernel, wide, side)
    held = _spread(inside.astype(np.float64), weights)
    share = np.divide(counts, held, out=np.zeros_like(counts), where=counts > 0)
    values = np.where(inside, _spread(share, weights), 0.0)
    # what the transform's rounding took or gave, 1e-12 or so
    values *= len(x) / values.sum() / (side * side / 1e6)
    return Surface(
        np.where(inside, values, np.nan), transform, crs, side, wide, kernel, len(x), given - len(x),
        "default" if bandwidth is None else "given",
    )  # fmt: skip


def _grid(
    frame: tuple[float, float, float, float], wide: float, cell: float | None, max_cells: int
) -> tuple[float, int, int]:
    """Cell size, rows and columns; coarser than asked by default where the grid is too large."""
    width, height = frame[2] - frame[0], frame[3] - frame[1]

    def size(side: float) -> tuple[int, int]:
        return max(1, math.ceil(height / side) + 1), max(1, math.ceil(width / side) + 1)

    side = wide / FINE if cell is None else float(cell)
    rows, columns = size(side)
    while cell is None and rows * columns > max_cells and side < wide / 2:
        side = min(wide / 2, side * 1.1)
        rows, columns = size(side)
    if rows * columns > max_cells:
        raise SurfaceError(
            f"{rows} × {columns} cells of {side:.4g} m are more than {max_cells:,}: take a wider "
            "bandwidth, larger cells or a smaller area"
        )
    return side, rows, columns
