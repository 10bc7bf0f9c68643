"""Where events belong: one batch of Arrow rows in, the same rows with their unit and cells out.

May import numpy, pyarrow, shapely and the rooms of `geo`. Promises: pure (no clock, no file but the
folder it is loaded from, no state between batches), row order kept, each row decided by itself. So
an import, a bulk job and a Spark worker that run it on the same rows get the same bytes, however
the rows are cut into batches.

The rule: a code beats a point. Both given, they are compared at the finest level both know; when
they agree the finer of the two decides, when they disagree the code does and the row is marked.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely
from shapely import STRtree

from geo.locate import LocateError, LocateIndex

Ids = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

#: what decided the unit; the column `located` holds the position
LOCATED_BY = ("none", "code", "point", "address")
NONE, CODE, POINT, ADDRESS = range(4)

#: tiles that order rows for the count cube, and its blocks
TILES_PER_DEGREE = 500
TILES_PER_BLOCK = 16
_TILES_AROUND = 360 * TILES_PER_DEGREE

#: columns a batch must have; any others are handed through
INPUT = pa.schema(
    [
        pa.field("lon", pa.float64()),
        pa.field("lat", pa.float64()),
        pa.field("declared", pa.int32()),
    ]
)
#: columns `bin_batch` always adds; `tile`, `block` and `h3_<r>` come with the `BinSpec`
ADDED = pa.schema(
    [
        pa.field("unit", pa.int32()),
        pa.field("located", pa.uint8()),
        pa.field("mismatch", pa.bool_()),
        pa.field("comparable", pa.bool_()),
    ]
)
FORMAT = 1


class BinningError(ValueError):
    """A batch without the columns that are needed, or saved tables that are missing or damaged."""


@dataclass(frozen=True)
class BinSpec:
    """What is added to a batch besides its unit.

    keys : bool
        `tile` and `block`, int64, -1 without a point; see `tile_keys`.
    h3 : tuple of int
        Resolutions; one column `h3_<r>` uint64 each, 0 without a point.
    """

    keys: bool = False
    h3: tuple[int, ...] = ()


@dataclass(frozen=True)
class Locator:
    """Tables that tell the unit of a code or point on one boundary version.

    Ids count from 1; arrays over units have n + 1 entries, entry 0 stands for none.

    index : LocateIndex
        Of the units without children.
    rank : int64 (n + 1,)
        Position of the unit's level, coarse to fine; -1 for none.
    ancestors : int32 (n + 1, levels)
        The unit's own id at its level, 0 where it has none.
    open_ids : int32 (m,)
        Units that their children do not fill.
    open_shapes : object (m,)
        Their polygons, EPSG:4326.
    """

    index: LocateIndex
    rank: Ints
    ancestors: Ids
    open_ids: Ids
    open_shapes: npt.NDArray[np.object_]

    @cached_property
    def _tree(self) -> STRtree:
        return STRtree(self.open_shapes)

    def units_of_points(self, lon: Floats, lat: Floats) -> Ids:
        """Finest unit that covers each point (n,), int32; 0 where none does, or nan."""
        units: Ids = self.index.locate(lon, lat)
        ids = self.open_ids
        lost = np.flatnonzero((units == 0) & np.isfinite(lon) & np.isfinite(lat))
        if len(ids) and len(lost):
            points = shapely.points(lon[lost], lat[lost])
            point, parent = self._tree.query(points, predicate="covered_by")
            # finest level first, then the lowest id: of several the first one stays
            order = np.lexsort((ids[parent], -self.rank[ids[parent]]))[::-1]
            units[lost[point[order]]] = ids[parent[order]]
        return units

    def agree(self, a: Ids, b: Ids) -> Flags:
        """Tell whether units (n,) are the same at the finest level both know; none agrees never."""
        x, y = self.ancestors[a], self.ancestors[b]
        both = (x > 0) & (y > 0)
        last = both.shape[1] - 1 - np.argmax(both[:, ::-1], axis=1)
        rows = np.arange(len(a))
        same: Flags = both.any(axis=1) & (x[rows, last] == y[rows, last])
        return same

    def save(self, folder: Path) -> None:
        """Write to `folder`, which must not be there yet, all or nothing."""
        folder = Path(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        new.chmod(0o755)  # other users of the machine may run the workers
        try:
            self.index.save(new / "index")
            parts = self._parts()
            digests = {}
            for name, array in parts.items():
                np.save(new / f"{name}.npy", array)
                digests[name] = _digest(new / f"{name}.npy")
            meta = {"format": FORMAT, "sha256": digests}
            (new / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
            os.replace(new, folder)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise

    def _parts(self) -> dict[str, npt.NDArray[np.generic]]:
        encoded = shapely.to_wkb(self.open_shapes) if len(self.open_shapes) else []
        return {
            "rank": self.rank,
            "ancestors": self.ancestors,
            "open_ids": self.open_ids,
            "open_wkb": np.frombuffer(b"".join(encoded), dtype=np.uint8),
            "open_start": np.cumsum([0, *map(len, encoded)], dtype=np.int64),
        }

    @classmethod
    def load(cls, folder: Path) -> Locator:
        """Open what `save` wrote; the index is memory-mapped.

        Raises
        ------
        BinningError
            Missing, of another format, or changed since it was written; names the file.
        """
        folder = Path(folder)
        parts = {}
        try:
            meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
            if meta["format"] != FORMAT:
                raise BinningError(f"{folder} has format {meta['format']}, not {FORMAT}")
            for name, digest in meta["sha256"].items():
                path = folder / f"{name}.npy"
                if _digest(path) != digest:
                    raise BinningError(f"{path} is damaged (its digest differs)")
                parts[name] = np.load(path)
            blob, start = parts["open_wkb"], parts["open_start"].tolist()
            encoded = [blob[a:b].tobytes() for a, b in pairwise(start)]
            return cls(
                index=LocateIndex.load(folder / "index"),
                rank=parts["rank"],
                ancestors=parts["ancestors"],
                open_ids=parts["open_ids"],
                open_shapes=shapely.from_wkb(np.array(encoded, dtype=object)),
            )
        except FileNotFoundError as error:
            raise BinningError(f"{error.filename} is missing") from error
        except LocateError as error:
            raise BinningError(str(error)) from error
        except BinningError:
            raise
        except Exception as error:  # a damaged file makes its readers raise anything
            raise BinningError(f"{folder} cannot be read: {error}") from error


def bin_batch(
    batch: pa.RecordBatch,
    locator: Locator,
    spec: BinSpec = BinSpec(),
) -> pa.RecordBatch:
    """Locate the rows of a batch.

    Parameters
    ----------
    batch : pa.RecordBatch
        `lon`, `lat` float64, degrees EPSG:4326, null or nan where no point is given; `declared`
        int32, unit of the declared code, 0 or null without one; any further columns.
    locator : Locator
    spec : BinSpec

    Returns
    -------
    pa.RecordBatch
        The columns given, then `unit` int32 (0 none), `located` uint8 (position in `LOCATED_BY`),
        `mismatch` bool (code and point disagree), `comparable` bool (both were given), and what
        `spec` asks for.

    Raises
    ------
    BinningError
        A column is missing or of another type.
    """
    _check(batch.schema)
    lon, lat = _floats(batch.column("lon")), _floats(batch.column("lat"))
    declared = batch.column("declared").fill_null(0).to_numpy(zero_copy_only=False)
    has_point = np.isfinite(lon) & np.isfinite(lat)
    point = np.zeros(len(lon), dtype=np.int32)
    if has_point.all():
        point = locator.units_of_points(lon, lat)
    elif has_point.any():
        point[has_point] = locator.units_of_points(lon[has_point], lat[has_point])
    has_code = declared > 0
    comparable = has_code & has_point
    agree = np.zeros(len(lon), dtype=bool)
    # most rows of most feeds have either a code or a point
    rows = np.flatnonzero(comparable)
    agree[rows] = locator.agree(declared[rows], point[rows])
    finer = comparable & agree & (locator.rank[point] > locator.rank[declared])
    by_code = has_code & ~finer
    unit = np.where(by_code, declared, point).astype(np.int32)
    located = np.where(unit == 0, NONE, np.where(by_code, CODE, POINT)).astype(np.uint8)
    columns = [*batch.columns, pa.array(unit), pa.array(located)]
    columns += [pa.array(comparable & ~agree), pa.array(comparable)]
    fields = [*batch.schema, *ADDED]
    if spec.keys:
        tile, block = tile_keys(lon, lat)
        columns += [pa.array(tile), pa.array(block)]
        fields += [pa.field("tile", pa.int64()), pa.field("block", pa.int64())]
    for resolution in spec.h3:
        from geo.cells import cells

        columns.append(pa.array(cells(lon, lat, resolution), pa.uint64()))
        fields.append(pa.field(f"h3_{resolution}", pa.uint64()))
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def tile_keys(lon: Floats, lat: Floats) -> tuple[Ints, Ints]:
    """Tile and block of points.

    Parameters
    ----------
    lon, lat : float64 (n,)
        Degrees; nan without a point.

    Returns
    -------
    tile, block : int64 (n,)
        Row by row from the south-west corner (-180, -90) of the world; a tile is 0.002 degrees
        wide and closed at west and south, a block 16 x 16 tiles; -1 without a point.

    >>> tile_keys(np.array([-179.999, np.nan]), np.array([-89.997, 0.0]))[0].tolist()
    [180000, -1]
    """
    given = np.isfinite(lon) & np.isfinite(lat)
    x = np.floor((np.where(given, lon, 0.0) + 180) * TILES_PER_DEGREE).astype(np.int64)
    y = np.floor((np.where(given, lat, 0.0) + 90) * TILES_PER_DEGREE).astype(np.int64)
    tile = np.where(given, y * _TILES_AROUND + x, -1)
    wide = _TILES_AROUND // TILES_PER_BLOCK
    block = np.where(given, y // TILES_PER_BLOCK * wide + x // TILES_PER_BLOCK, -1)
    return tile, block


def _check(schema: pa.Schema) -> None:
    taken = [name for name in ADDED.names if name in schema.names]
    if taken:
        raise BinningError(f"the batch has a column {taken[0]!r} already")
    for field in INPUT:
        if field.name not in schema.names:
            raise BinningError(_say(f"the batch has no column {field.name!r}", schema.names))
        found = schema.field(field.name).type
        if found != field.type:
            raise BinningError(f"column {field.name!r} is {found}, not {field.type}")


def _say(text: str, names: Sequence[str]) -> str:
    return f"{text}; it has {', '.join(names) or 'none'}"


def _floats(column: pa.Array) -> Floats:
    values: Floats = column.to_numpy(zero_copy_only=False)
    return values


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
