"""Values of a raster summed per polygon by exact area weights.

May import numpy, shapely, pyproj, rasterio. Promises: a pixel's value is spread evenly over the pixel in the raster's own coordinates, and each
polygon gets the part it covers, exactly (no sampling, no pixel centres). On an equal-area or local
metric grid that is the share of the ground. On a grid in degrees the ground under a pixel narrows
towards the pole; within one pixel that moves at most tan(latitude) / 4 × its height (radians) of its
value between its halves: 0.002 % for 30″ at 30°, 0.06 % for ¼°. Polygons are moved to the raster's
CRS with their edges densified to 200 m; straight lines in degrees stay right to about a millimetre.
The file is read window by window: memory does not grow with it. Where polygons overlap they share
the pixel in proportion, so nothing is counted twice: assigned + outside = total.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import rasterio
import shapely
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from geo.pixels import Pieces, add_cover, add_values
from geo.raster_grid import WGS84, BeyondError, Gathering, Plane, UnitGrid, signed_areas

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Progress = Callable[[float], None]
Keep = Callable[[Plane, int, UnitGrid], None]

#: pixels of a window; about 60 bytes each while it is worked on
_WINDOW = 1 << 20
#: largest block (bytes) of a file that is unpacked at once
_BLOCK = 256 << 20
_CACHE = 64 << 20


class RasterError(ValueError):
    """A raster that cannot be used; the message says where, why and how to mend it."""


@dataclass(frozen=True)
class RasterSums:
    """What `sum_by_area` found; amounts are in the unit of the raster.

    values : float64 (n,), sum per polygon; nan where no pixel with a value touches it
    known : float64 (n,), part (0 to 1) of the polygon's area (in the raster's plane) whose pixels
        have a value; the rest has none or lies beyond the raster
    total : all of every pixel that some polygon touches
    assigned, outside : its parts inside and outside of the polygons; they add up to `total`
    shared : of `assigned`, what lies in several polygons and was divided among them
    pixels, windows : pixels touched that have a value; windows read
    crs, band : what was read
    """

    values: Floats
    known: Floats
    total: float
    assigned: float
    outside: float
    shared: float
    pixels: int
    windows: int
    crs: str
    band: int


def sum_by_area(
    path: str | Path,
    geoms: npt.ArrayLike,
    *,
    band: int | None = None,
    crs: str | None = None,
    nodata: float | None = None,
    zero: bool = False,
    progress: Progress | None = None,
    keep: Keep | None = None,
) -> RasterSums:
    """Sum a raster of amounts per pixel (people, dwellings) over polygons.

    Parameters
    ----------
    path : str or Path
        GeoTIFF, or whatever else GDAL reads.
    geoms : object (n,)
        Valid shapely Polygons or MultiPolygons, EPSG:4326, longitude latitude.
    band : int, optional
        From 1; needed where there are several.
    crs : str, optional
        CRS of a file that does not say it.
    nodata : float, optional
        Value that means "none", beside what the file declares; nan always does.
    zero : bool
        Read "none" as 0 instead of as unknown.
    progress : callable, optional
        Called with the part done, 0 to 1.
    keep : callable, optional
        Called with the plane of the raster, the number of a polygon and what lies where in it
        (`geo.raster_grid`), for each in which something lies, as soon as all of it was read.

    Raises
    ------
    RasterError
        Not readable, several bands and none chosen, no CRS or another than said, no or a
        degenerate grid, blocks too large to unpack, no polygon over the raster, no value under
        the polygons, a value below 0 or infinite.
    """
    shapes = np.array(geoms, dtype=object, ndmin=1)
    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=_CACHE, GDAL_NUM_THREADS="1"))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            source = stack.enter_context(rasterio.open(path))
        except RasterioError as error:
            raise RasterError(f"{path} cannot be read as a raster: {error}") from error
        reader = _Reader(source, Path(path).name, band=band, crs=crs, nodata=nodata, zero=zero)
        return _sum(reader, shapes, progress or (lambda _: None), keep)


class _Reader:
    """An open raster that was checked, and its values as float64, nan where there is none."""

    def __init__(
        self,
        source: Any,
        name: str,
        *,
        band: int | None,
        crs: str | None,
        nodata: float | None,
        zero: bool,
    ) -> None:
        self.source, self.name, self.nodata, self.zero = source, name, nodata, zero
        self.band = _band(source, name, band)
        self.grid: Affine = source.transform
        kind = source.dtypes[self.band - 1]
        if kind.startswith("complex"):
            raise RasterError(f"{name}: band {self.band} holds complex numbers, not amounts")
        if self.grid == Affine.identity():
            points = "only ground control points" if source.gcps[0] else "no position"
            raise RasterError(
                f"{name} has {points} instead of a grid on the ground: warp it first (gdalwarp)"
            )
        self.crs = _crs(source, name, crs)
        a, b, c, d, e, f = tuple(self.grid)[:6]
        self.plane = Plane(self.crs.to_wkt(), (a, b, c, d, e, f))
        size = abs(self.grid.determinant)
        if not (np.isfinite(list(self.grid)).all() and size > 0):
            raise RasterError(f"{name}: its pixels have no area (transform {tuple(self.grid)[:6]})")
        tall, wide = source.block_shapes[self.band - 1]
        if tall * wide * np.dtype(kind).itemsize > _BLOCK:
            raise RasterError(
                f"{name} is stored in blocks of {wide:,} × {tall:,} pixels, too large to be read "
                "piece by piece: gdal_translate -co TILED=YES makes one that is not"
            )
        # strips are read whole, tiles by the square
        self.wide = source.width if wide >= source.width else _multiple(wide, _WINDOW**0.5)
        self.tall = _multiple(tall, _WINDOW / min(self.wide, source.width))

    def windows(self, west: int, north: int, east: int, south: int) -> Iterator[Ints]:
        """Windows (column, row, last column + 1, last row + 1) on the file's blocks."""
        for row in range(north // self.tall * self.tall, south, self.tall):
            for column in range(west // self.wide * self.wide, east, self.wide):
                yield np.array(
                    [
                        max(column, west),
                        max(row, north),
                        min(column + self.wide, east),
                        min(row + self.tall, south),
                    ]
                )

    def read(self, box: Ints) -> Floats:
        """Values (h, w) of a window."""
        c0, r0, c1, r1 = box.tolist()
        window = Window(c0, r0, c1 - c0, r1 - r0)
        try:
            raw = self.source.read(self.band, window=window)
            there = self.source.read_masks(self.band, window=window) > 0
        except RasterioError as error:
            raise RasterError(
                f"{self.name}: columns {c0} to {c1 - 1}, rows {r0} to {r1 - 1} cannot be read "
                f"({error.__cause__ or error}): the file is damaged"
            ) from error
        if self.nodata is not None:
            # compared as stored: 3.4e38 of a float32 is not that of a float64; what whole numbers cannot
            # hold (-9999 of bytes, nan) would become one that means something
            stored = np.asarray(self.nodata)
            if raw.dtype.kind == "f":
                with np.errstate(over="ignore"):
                    stored = stored.astype(raw.dtype)
            there &= raw != stored
        values: Floats = raw.astype(np.float64)
        there &= ~np.isnan(values)
        values *= self.source.scales[self.band - 1]
        values += self.source.offsets[self.band - 1]
        wrong = there & ~((values >= 0) & np.isfinite(values))
        if wrong.any():
            row, column = np.argwhere(wrong)[0] + (r0, c0)
            value = values[row - r0, column - c0]
            text = "is below 0" if value < 0 else "is infinite"
            raise RasterError(
                f"{self.name}: {value:.10g} in column {column}, row {row} (from 0) {text}; "
                "if that means no data, say so (nodata)"
            )
        values[~there] = 0.0 if self.zero else np.nan
        return values


def _multiple(block: int, wanted: float) -> int:
    """Smallest multiple of `block` that is not below `wanted`, one at least."""
    return max(1, -(-int(wanted) // block)) * block


def _band(source: Any, name: str, band: int | None) -> int:
    if band is None and source.count > 1:
        listed = ", ".join(
            f"{i} {text}".strip()
            for i, text in enumerate((d or "" for d in source.descriptions), 1)
        )
        raise RasterError(f"{name} has {source.count} bands ({listed}): say which one (band)")
    if band is not None and not 1 <= band <= source.count:
        raise RasterError(f"{name} has no band {band}: it has {source.count}, counted from 1")
    return band or 1


def _crs(source: Any, name: str, said: str | None) -> pyproj.CRS:
    own = None
    try:
        if source.crs:
            own = pyproj.CRS.from_wkt(source.crs.to_wkt())
        given = pyproj.CRS.from_user_input(said) if said else None
    except (pyproj.exceptions.CRSError, RasterioError) as error:
        raise RasterError(f"{name}: the CRS is not known: {error}") from error
    if own is not None and given is not None and own != given:
        raise RasterError(f"{name} says that its CRS is {own.name}, not {given.name}")
    found = own or given
    if found is None:
        raise RasterError(f"{name} does not say its CRS: say it (crs, for example EPSG:4326)")
    if not (found.is_geographic or found.is_projected):
        raise RasterError(f"{name}: {found.name} is neither geographic nor projected")
    return found


def _pieces(shapes: npt.NDArray[np.object_], reader: _Reader) -> Pieces:
    kinds = shapely.get_type_id(shapes)
    wrong = np.flatnonzero(((kinds != 3) & (kinds != 6)) | ~shapely.is_valid(shapes))
    if len(wrong):
        raise RasterError(f"shape {wrong[0]} (from 0) is no valid polygon")
    try:
        edges, starts = reader.plane.edges(shapes)
    except BeyondError as error:
        raise RasterError(f"{reader.name}: {error}") from error
    boxes = np.zeros((len(shapes), 4), dtype=np.int64)
    areas = signed_areas(edges, starts)
    filled = np.flatnonzero(np.diff(starts))
    first = starts[filled]
    if len(filled):
        low = np.minimum.reduceat(edges, first, axis=0)
        high = np.maximum.reduceat(edges, first, axis=0)
        extent = np.column_stack([np.floor(low[:, :2]), np.floor(high[:, :2]) + 1])
        size = [reader.source.width, reader.source.height] * 2
        boxes[filled] = np.clip(extent, 0, size).astype(np.int64)
    return Pieces(edges, starts, np.sign(areas), boxes, np.abs(areas))


def _sum(
    reader: _Reader, shapes: npt.NDArray[np.object_], report: Progress, keep: Keep | None
) -> RasterSums:
    pieces = _pieces(shapes, reader)
    gathering = Gathering(pieces)
    boxes = pieces.boxes
    there = np.flatnonzero((boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3]))
    if len(there) == 0:
        raise RasterError(_apart(reader, shapes))
    west, north = boxes[there, :2].min(axis=0).tolist()
    east, south = boxes[there, 2:].max(axis=0).tolist()
    totals = np.zeros((2, len(shapes)))
    amounts = np.zeros(3)
    pixels = read = 0
    for box in reader.windows(west, north, east, south):
        chosen = there[
            (boxes[there, :2] < box[2:]).all(axis=1) & (boxes[there, 2:] > box[:2]).all(axis=1)
        ]
        if len(chosen) == 0:
            continue
        # windows come row by row: the one with the last corner of a polygon is its last
        ends = chosen[(boxes[chosen, 2:] <= box[2:]).all(axis=1)]
        # no more than the polygons need
        box[:2] = np.maximum(box[:2], boxes[chosen, :2].min(axis=0))
        box[2:] = np.minimum(box[2:], boxes[chosen, 2:].max(axis=0))
        corner = box[:2].copy()
        cover = np.zeros((int(box[3] - box[1]), int(box[2] - box[0])))
        add_cover(pieces, chosen, corner, cover)
        values = reader.read(box)
        add_values(pieces, chosen, corner, (cover, values), totals)
        if keep is not None:
            gathering.add(chosen, corner, (cover, values))
            for number in ends.tolist():
                if (grid := gathering.take(number)) is not None:
                    keep(reader.plane, number, grid)
        used = (cover > 0) & ~np.isnan(values)
        value, part = values[used], cover[used]
        amounts += [
            value.sum(),
            (value * (1 - np.minimum(part, 1))).sum(),
            (value * np.where(part > 1 + 1e-9, part - 1, 0)).sum(),
        ]
        pixels += int(used.sum())
        read += 1
        report(((box[3] - north) / (south - north)).item())
    if pixels == 0:
        raise RasterError(
            f"{reader.name}: band {reader.band} has no value under the polygons, only nodata"
        )
    sums, known = totals
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(pieces.areas > 0, known / pieces.areas, 0.0)
    report(1.0)
    return RasterSums(
        values=np.where(known > 0, sums, np.nan),
        known=np.minimum(share, 1.0),
        total=float(amounts[0]),
        assigned=float(sums.sum()),
        outside=float(amounts[1]),
        shared=float(amounts[2]),
        pixels=pixels,
        windows=read,
        crs=reader.crs.to_string() if reader.crs.to_authority() else reader.crs.name,
        band=reader.band,
    )


def _apart(reader: _Reader, shapes: npt.NDArray[np.object_]) -> str:
    """Say where the raster and the polygons are, in degrees."""
    source, grid = reader.source, reader.grid
    column = np.array([0, source.width, 0, source.width])
    row = np.array([0, 0, source.height, source.height])
    x = grid.a * column + grid.b * row + grid.c
    y = grid.d * column + grid.e * row + grid.f
    lon, lat = pyproj.Transformer.from_crs(reader.crs, WGS84, always_xy=True).transform(x, y)
    bounds = shapely.total_bounds(shapes)
    return (
        f"{reader.name} lies at {min(lon):.4f} to {max(lon):.4f} E, {min(lat):.4f} to "
        f"{max(lat):.4f} N; the polygons at {bounds[0]:.4f} to {bounds[2]:.4f} E, "
        f"{bounds[1]:.4f} to {bounds[3]:.4f} N: they do not meet"
    )
