"""Which unit holds a point: exact and fast. May import numpy, shapely and what compiles.

Promises: the answer is that of GEOS for the rule "*covers*, lowest id wins" at every point, edges
and corners included, however the polygons overlap or leave gaps. A raster answers wherever no
edge is near; points in cells that an edge touches are tested against the edges of that cell, and
GEOS itself is asked where rounding could decide (on an edge or a hair beside it). Built once per boundary version, saved, memory-mapped and checked by
digest; the polygons are unpacked only when GEOS is asked.
"""

from __future__ import annotations

import hashlib
import json
import mmap as mmap_module
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from geo.inside import POLYGON_BITS, UNSURE, locate_many
from geo.locate_build import Grid, Progress, choose_grid, raster_and_records

Floats = npt.NDArray[np.float64]

FORMAT = 3
_PIECE = 1 << 16
_PARTS = ("raster", "words", "ids", "wkb", "wkb_start")


class LocateError(ValueError):
    """Polygons that cannot be indexed, or a saved index that is missing or damaged."""


@dataclass(frozen=True)
class LocateIndex:
    """Raster of ids with exact polygons for the cells that an edge touches.

    Made by `build` or `load`. Safe to share between threads.
    """

    grid: Grid
    raster: npt.NDArray[np.int32]  # id > 0, 0 none, -1 - word of the record where edges are
    words: npt.NDArray[np.int64]  # records: see `geo.inside`
    ids: npt.NDArray[np.int32]
    wkb: npt.NDArray[np.uint8]
    wkb_start: npt.NDArray[np.int64]
    _unpacked: npt.NDArray[np.object_] = field(repr=False)
    _lock: Lock = field(repr=False, default_factory=Lock)

    @property
    def mapped(self) -> bool:
        """Whether the raster lies in a file that processes share."""
        base: Any = self.raster
        while isinstance(base, np.ndarray):
            base = base.base
        return isinstance(base, mmap_module.mmap)

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
        grid = choose_grid(shapes)
        raster, words = raster_and_records(shapes, numbers, grid, report)
        encoded = shapely.to_wkb(shapes)
        report(1.0)
        return cls(
            grid=grid,
            raster=_read_only(raster),
            words=_read_only(words),
            ids=numbers,
            wkb=np.frombuffer(b"".join(encoded), dtype=np.uint8),
            wkb_start=np.cumsum([0, *map(len, encoded)], dtype=np.int64),
            _unpacked=np.full(len(shapes), None, dtype=object),
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
        x = _read_only(np.ascontiguousarray(lon, dtype=np.float64))
        y = _read_only(np.ascontiguousarray(lat, dtype=np.float64))
        if x.shape != y.shape or x.ndim != 1:
            raise ValueError(f"longitude has shape {x.shape}, latitude {y.shape}: want (n,) twice")
        found = np.zeros(len(x), dtype=np.int32)
        pieces = [slice(s, s + _PIECE) for s in range(0, len(x), _PIECE)]
        if threads > 1 and len(pieces) > 1:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(lambda p: self._locate(x[p], y[p], found[p]), pieces))
        else:
            for p in pieces:
                self._locate(x[p], y[p], found[p])
        return found

    def _locate(self, x: Floats, y: Floats, found: npt.NDArray[np.int32]) -> None:
        grid = self.grid
        if not locate_many(self.raster, self.words, grid.size, (x, y), found):
            return
        points = np.flatnonzero(found == UNSURE)
        found[points] = 0
        u, v = grid.to_cells(x[points], y[points])
        cell = v.astype(np.int64) * grid.columns + u.astype(np.int64)
        record = -1 - self.raster[cell].astype(np.int64)
        halves = self.words.view(np.int32)
        at = 2 * (record + 2)
        end = at + (self.words[record] & POLYGON_BITS)
        # candidates in ascending order: the first that covers is the lowest
        while len(points):
            candidate = halves[at]
            shapes = self._polygons(np.searchsorted(self.ids, candidate))
            hit = shapely.intersects_xy(shapes, x[points], y[points])
            found[points[hit]] = candidate[hit]
            at += 1
            left = ~hit & (at < end)
            points, at, end = points[left], at[left], end[left]

    def _polygons(self, positions: npt.NDArray[np.intp]) -> npt.NDArray[np.object_]:
        """Polygons by position, unpacked and prepared when first asked for."""
        new = np.unique(positions)
        with self._lock:
            new = new[shapely.is_missing(self._unpacked[new])]
            if len(new):
                start, end = self.wkb_start[new].tolist(), self.wkb_start[new + 1].tolist()
                encoded = [self.wkb[a:b].tobytes() for a, b in zip(start, end, strict=True)]
                shapes = shapely.from_wkb(np.array(encoded, dtype=object))
                self._unpacked[new] = _prepared(shapes)
            return self._unpacked[positions]

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
            digests["grid"] = _grid_digest(vars(self.grid))
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
            if _grid_digest(meta["grid"]) != meta["sha256"]["grid"]:
                raise LocateError(f"{folder / 'meta.json'} is damaged: {advice}")
            grid = Grid(**meta["grid"])
        except FileNotFoundError as error:
            raise LocateError(f"{error.filename} is missing: {advice}") from error
        except LocateError:
            raise
        except Exception as error:  # a damaged file makes its readers raise anything
            raise LocateError(f"{folder} cannot be read ({error}): {advice}") from error
        # as plain arrays: the compiled kernel wants them, and they stay mapped
        plain = {name: _read_only(np.asarray(array)) for name, array in parts.items()}
        return cls(
            grid=grid,
            raster=plain["raster"],
            words=plain["words"],
            ids=plain["ids"],
            wkb=plain["wkb"],
            wkb_start=plain["wkb_start"],
            _unpacked=np.full(len(plain["ids"]), None, dtype=object),
        )


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Forbid writing: what is mapped is like that anyway, and so the kernel is compiled once."""
    view = array.view()
    view.flags.writeable = False
    return view


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


def _grid_digest(grid: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(grid, sort_keys=True).encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
