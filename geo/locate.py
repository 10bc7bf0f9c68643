"""Which unit holds a point: exact and fast. May import numpy, shapely.

Promises: the answer is that of GEOS for the rule "*covers*, lowest id wins" at every point, edges
and corners included, however the polygons overlap or leave gaps. A raster answers wherever no
edge is near; only points in cells that an edge touches are tested against the few polygons there.
Built once per boundary version, saved, memory-mapped and checked by digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Progress = Callable[[float], None]

FORMAT = 1
#: cells per polygon and in all: finer helps little and costs memory (4 bytes each)
_CELLS_PER_POLYGON = 1024
_CELLS_LEAST, _CELLS_MOST = 1 << 18, 1 << 24
# Edges are widened by this part of a cell when marking the cells they touch. Rounding while a
# point is put into its cell moves it by less than 1e-11 of a cell.
_MARGIN = 1e-6
_CHUNK = 1 << 22
_PARTS = ("raster", "slot_start", "slot_polygon", "ids", "wkb", "wkb_start")


class LocateError(ValueError):
    """Polygons that cannot be indexed, or a saved index that is missing or damaged."""


@dataclass(frozen=True)
class _Grid:
    west: float
    south: float
    per_degree: float
    rows: int
    columns: int

    def to_cells(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        return (x - self.west) * self.per_degree, (y - self.south) * self.per_degree


@dataclass(frozen=True)
class LocateIndex:
    """Raster of ids with exact polygons for the cells that an edge touches.

    Made by `build` or `load`. Safe to share between threads.
    """

    grid: _Grid
    raster: npt.NDArray[np.int32]  # id > 0, 0 none, -(slot + 1) an edge is near
    slot_start: npt.NDArray[np.int64]
    slot_polygon: npt.NDArray[np.int32]  # positions into ids, ascending inside a slot
    ids: npt.NDArray[np.int32]
    wkb: npt.NDArray[np.uint8]
    wkb_start: npt.NDArray[np.int64]
    _polygons: npt.NDArray[np.object_] = field(repr=False)

    @classmethod
    def build(
        cls, geoms: npt.ArrayLike, ids: npt.ArrayLike, progress: Progress | None = None
    ) -> LocateIndex:
        """Index polygons.

        Parameters
        ----------
        geoms : object (n,)
            Valid shapely Polygons or MultiPolygons, x y in degrees (or any unit); empty ones are
            never found.
        ids : int32 (n,)
            Positive and strictly ascending; when several polygons cover a point the lowest wins.
        progress : callable, optional
            Called with the part done, 0 to 1.

        Raises
        ------
        LocateError
            An invalid or non-polygonal geometry, or ids that are not ascending.

        """
        shapes, numbers = _checked(geoms, ids)
        report = progress or (lambda _: None)
        grid = _choose_grid(shapes)
        cells, polygons, edges = _edge_cells(shapes, grid)
        report(0.4)
        raster = np.zeros(grid.rows * grid.columns, dtype=np.int32)
        border = np.zeros(len(raster), dtype=bool)
        border[cells] = True
        keys = [cells * len(shapes) + polygons]
        keys += _fill(
            raster, border, numbers, edges, grid, progress=lambda part: report(0.4 + 0.5 * part)
        )
        # by sorting: numpy's unique hashes, which is eight times slower on millions of keys
        pairs = np.sort(np.concatenate(keys))
        pairs = pairs[_changes(pairs)]
        slot_start = _changes(pairs // max(len(shapes), 1))
        slot_cell = pairs[slot_start] // max(len(shapes), 1)
        raster[slot_cell] = -1 - np.arange(len(slot_cell), dtype=np.int32)
        encoded = shapely.to_wkb(shapes)
        report(1.0)
        return cls(
            grid=grid,
            raster=raster,
            slot_start=np.append(slot_start, len(pairs)).astype(np.int64),
            slot_polygon=(pairs % max(len(shapes), 1)).astype(np.int32),
            ids=numbers,
            wkb=np.frombuffer(b"".join(encoded), dtype=np.uint8),
            wkb_start=np.cumsum([0, *map(len, encoded)], dtype=np.int64),
            _polygons=_prepared(shapes),
        )

    def locate(
        self, lon: npt.ArrayLike, lat: npt.ArrayLike, threads: int = 1
    ) -> npt.NDArray[np.int32]:
        """Id of the unit that covers each point.

        Parameters
        ----------
        lon, lat : float64 (n,)
            In the CRS of the polygons; nan is nowhere.
        threads : int
            Threads to share the work.

        Returns
        -------
        int32 (n,)
            Lowest id among the polygons that cover the point (edges count); 0 = none.

        """
        x = np.ascontiguousarray(lon, dtype=np.float64)
        y = np.ascontiguousarray(lat, dtype=np.float64)
        if x.shape != y.shape or x.ndim != 1:
            raise ValueError(f"longitude has shape {x.shape}, latitude {y.shape}: want (n,) twice")
        starts = range(0, len(x), 1 << 18)
        pieces = [slice(s, s + (1 << 18)) for s in starts]
        if threads > 1 and len(pieces) > 1:
            with ThreadPoolExecutor(threads) as pool:
                answers = list(pool.map(lambda p: self._locate(x[p], y[p]), pieces))
        else:
            answers = [self._locate(x[p], y[p]) for p in pieces]
        return np.concatenate(answers) if answers else np.zeros(0, dtype=np.int32)

    def _locate(self, x: Floats, y: Floats) -> npt.NDArray[np.int32]:
        u, v = self.grid.to_cells(x, y)
        with np.errstate(invalid="ignore"):
            inside = (u >= 0) & (u < self.grid.columns) & (v >= 0) & (v < self.grid.rows)
        where = np.flatnonzero(inside)
        cell = v[where].astype(np.int64) * self.grid.columns + u[where].astype(np.int64)
        value = self.raster[cell]
        found = np.zeros(len(x), dtype=np.int32)
        found[where] = np.maximum(value, 0)
        near = value < 0
        points, slots = where[near], -1 - value[near].astype(np.int64)
        at, end = self.slot_start[slots], self.slot_start[slots + 1]
        # candidates in ascending order: the first that covers is the lowest
        while len(points):
            candidate = self.slot_polygon[at]
            hit = shapely.intersects_xy(self._polygons[candidate], x[points], y[points])
            found[points[hit]] = self.ids[candidate[hit]]
            at += 1
            left = ~hit & (at < end)
            points, at, end = points[left], at[left], end[left]
        return found

    def save(self, folder: Path) -> None:
        """Write to `folder`, all or nothing; what stood there before is replaced."""
        folder = Path(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            digests = {}
            for name in _PARTS:
                np.save(new / f"{name}.npy", getattr(self, name))
                digests[name] = _digest(new / f"{name}.npy")
            meta = {"format": FORMAT, "grid": vars(self.grid), "sha256": digests}
            (new / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
            try:
                if folder.exists():
                    os.replace(folder, old / "old")
                os.replace(new, folder)
            finally:
                shutil.rmtree(old, ignore_errors=True)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise

    @classmethod
    def load(cls, folder: Path, mmap: bool = True, check: bool = True) -> LocateIndex:
        """Open what `save` wrote.

        Parameters
        ----------
        folder : Path
            Folder given to `save`.
        mmap : bool
            Map the arrays instead of reading them, so that processes share one copy.
        check : bool
            Compare every file with its digest first.

        Raises
        ------
        LocateError
            Missing, of another format, or changed since it was written; names the file.

        """
        folder = Path(folder)
        advice = f"delete {folder} and it will be built again"
        try:
            meta: dict[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
            if meta["format"] != FORMAT:
                raise LocateError(f"{folder} has format {meta['format']}, not {FORMAT}: {advice}")
            parts = {}
            for name in _PARTS:
                path = folder / f"{name}.npy"
                if check and _digest(path) != meta["sha256"][name]:
                    raise LocateError(f"{path} is damaged (its digest differs): {advice}")
                parts[name] = np.load(path, mmap_mode="r" if mmap else None)
            grid = _Grid(**meta["grid"])
        except FileNotFoundError as error:
            raise LocateError(f"{error.filename} is missing: {advice}") from error
        except (OSError, KeyError, TypeError, ValueError, EOFError) as error:
            if isinstance(error, LocateError):
                raise
            raise LocateError(f"{folder} cannot be read ({error}): {advice}") from error
        blob = np.asarray(parts["wkb"])
        encoded = [blob[a:b].tobytes() for a, b in pairwise(parts["wkb_start"].tolist())]
        shapes = shapely.from_wkb(np.array(encoded, dtype=object))
        return cls(grid=grid, **parts, _polygons=_prepared(shapes))


def _checked(
    geoms: npt.ArrayLike, ids: npt.ArrayLike
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.int32]]:
    shapes = np.array(geoms, dtype=object, ndmin=1)
    numbers = np.array(ids, dtype=np.int32, ndmin=1)
    if shapes.shape != numbers.shape or shapes.ndim != 1:
        raise LocateError(f"{len(shapes)} polygons and {len(numbers)} ids")
    if len(numbers) and (numbers[0] < 1 or (np.diff(numbers) <= 0).any()):
        raise LocateError("ids must be positive and strictly ascending")
    kind = shapely.get_type_id(shapes)
    wrong = np.flatnonzero((kind != 3) & (kind != 6))
    if len(wrong):
        raise LocateError(f"id {numbers[wrong[0]]} is no polygon: {shapes[wrong[0]]!r:.80}")
    wrong = np.flatnonzero(~shapely.is_valid(shapes))
    if len(wrong):
        reason = shapely.is_valid_reason(shapes[wrong[0]])
        raise LocateError(f"id {numbers[wrong[0]]} is not valid: {reason}")
    return shapely.force_2d(shapes), numbers


def _prepared(shapes: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Prepare for many point tests, ready for several threads.

    GEOS makes the parts of a prepared polygon on use and without a lock: the first test makes a
    simple locator, the second an indexed one. After that it only reads.
    """
    shapely.prepare(shapes)
    corner = shapely.get_point(shapely.get_exterior_ring(shapely.get_geometry(shapes, 0)), 0)
    for _ in range(3):
        shapely.intersects_xy(shapes, shapely.get_x(corner), shapely.get_y(corner))
    return shapes


def _choose_grid(shapes: npt.NDArray[np.object_]) -> _Grid:
    if shapely.is_empty(shapes).all():
        return _Grid(0.0, 0.0, 1.0, 1, 1)
    bounds = shapely.total_bounds(shapes)
    west, south, east, north = bounds.tolist()
    cells = min(max(len(shapes) * _CELLS_PER_POLYGON, _CELLS_LEAST), _CELLS_MOST)
    width, height = max(east - west, 1e-9), max(north - south, 1e-9)
    # a long thin map must not ask for more columns than cells
    per_degree = min((cells / (width * height)) ** 0.5, cells / 4 / max(width, height))
    # one empty cell all around: what rounds outward still falls into the raster
    columns, rows = int(width * per_degree) + 3, int(height * per_degree) + 3
    return _Grid(west - 1 / per_degree, south - 1 / per_degree, per_degree, rows, columns)


@dataclass(frozen=True)
class _Edges:
    """Edges in cell units with the position of their polygon."""

    u0: Floats
    v0: Floats
    u1: Floats
    v1: Floats
    polygon: Ints


def _edges(shapes: npt.NDArray[np.object_], grid: _Grid) -> _Edges:
    simple, multi = shapely.get_parts(shapes, return_index=True)
    rings, part = shapely.get_rings(simple, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    u, v = grid.to_cells(points[:, 0], points[:, 1])
    same = ring[1:] == ring[:-1]
    polygon = multi[part[ring[:-1][same]]].astype(np.int64)
    return _Edges(u[:-1][same], v[:-1][same], u[1:][same], v[1:][same], polygon)


def _changes(values: Ints) -> Ints:
    """Positions in a sorted array where a new value begins."""
    return np.flatnonzero(np.diff(values, prepend=-1))


def _spread(first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """Index of the range and the number for every integer of the ranges [first, last]."""
    length = np.maximum(last - first + 1, 0)
    which = np.repeat(np.arange(len(first)), length)
    begin = np.cumsum(length) - length
    return which, np.arange(len(which)) - begin[which] + first[which]


def _edge_cells(shapes: npt.NDArray[np.object_], grid: _Grid) -> tuple[Ints, Ints, _Edges]:
    """Cells that an edge touches, each with the polygon (pairs may repeat)."""
    e = _edges(shapes, grid)
    low, high = np.minimum(e.v0, e.v1), np.maximum(e.v0, e.v1)
    first = np.floor(low - _MARGIN).astype(np.int64)
    which, row = _spread(first, np.floor(high + _MARGIN).astype(np.int64))
    # the part of each edge inside the widened row, then its columns
    rise = e.v1[which] - e.v0[which]
    with np.errstate(divide="ignore", invalid="ignore"):
        a = (row - _MARGIN - e.v0[which]) / rise
        b = (row + 1 + _MARGIN - e.v0[which]) / rise
    flat = rise == 0
    a, b = np.where(flat, 0, a).clip(0, 1), np.where(flat, 1, b).clip(0, 1)
    run = e.u1[which] - e.u0[which]
    ua, ub = e.u0[which] + a * run, e.u0[which] + b * run
    start = np.floor(np.minimum(ua, ub) - _MARGIN).astype(np.int64)
    piece, column = _spread(start, np.floor(np.maximum(ua, ub) + _MARGIN).astype(np.int64))
    return row[piece] * grid.columns + column, e.polygon[which][piece], e


def _fill(
    raster: npt.NDArray[np.int32],
    border: npt.NDArray[np.bool_],
    ids: npt.NDArray[np.int32],
    e: _Edges,
    grid: _Grid,
    *,
    progress: Progress,
) -> list[Ints]:
    """Write ids into the cells no edge touches; give back the (cell, polygon) keys of the others.

    A cell without an edge lies inside a polygon when its centre does. Centres are found by
    scanlines: crossings of a row's centre line, sorted, enclose runs of columns two by two.
    """
    low, high = np.minimum(e.v0, e.v1), np.maximum(e.v0, e.v1)
    # centre lines c with low <= c < high: a vertex on the line is counted once
    first = np.ceil(low - 0.5).astype(np.int64)
    which, row = _spread(first, np.ceil(high - 0.5).astype(np.int64) - 1)
    part = (row + 0.5 - e.v0[which]) / (e.v1[which] - e.v0[which])
    u = e.u0[which] + part * (e.u1[which] - e.u0[which])
    polygon = e.polygon[which]
    # lowest polygon last: what is written later stays
    order = np.lexsort((u, row, -polygon))
    u, row, polygon = u[order], row[order], polygon[order]
    start = np.ceil(u[0::2] - 0.5).astype(np.int64)
    end = np.floor(u[1::2] - 0.5).astype(np.int64)
    row, polygon = row[0::2], polygon[0::2]
    total = np.cumsum(np.maximum(end - start + 1, 0))
    keys: list[Ints] = []
    done = 0
    while done < len(start):
        base = total[done - 1] if done else 0
        stop = max(int(np.searchsorted(total, base + _CHUNK)), done + 1)
        run, column = _spread(start[done:stop], end[done:stop])
        cell = row[done:stop][run] * grid.columns + column
        owner = polygon[done:stop][run]
        near = border[cell]
        keys.append(cell[near] * len(ids) + owner[near])
        raster[cell[~near]] = ids[owner[~near]]
        done = stop
        progress(done / len(start))
    return keys


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
