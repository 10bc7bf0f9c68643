"""From rows to the arranged arrays of a snapshot, and back. May import numpy.

Promises: a pure function of the multiset of rows and the spec; equal rows give equal bytes. Points
are kept bit by bit (-0.0 as 0.0), times to the second.

Arrangement. The globe is cut into blocks of .032 degrees, a block into `side` x `side` tiles and a
tile into 256 x 256 cells. `side` is 1 to 16, the larger the more events stand together, but it
grows slowly: looking at an event's cell takes a fifth of a nanosecond, finding a tile fifty. Events with
a point stand in the order (block, tile, time, rest), so that a tile and a time are one slice:

======================================  =========================================================
point float64 (n, 2)                    longitude, latitude: side by side, so that one look gets both
time uint32 (n,)                        seconds since `base`
kind uint8 (n,)                         position in the spec's kinds
cell uint16 (n,)                        256 * row + column of the cell inside the tile
code uint8, uint16 or uint32 (n,)       position in the block's list of (unit, located)
side int64 (1,)                         tiles along a side of a block
block_key int32 (B,)                    row * BLOCK_COLUMNS + column, ascending
block_tiles uint32 (B + 1,)             first tile of each block
tile_id uint8                           `side` * row + column inside the block
tile_start uint32 (T + 1,)              first event of each tile
dict_start, dict_unit, dict_located     the block's list of (unit, located)
cube_row int32 (B,)                     position in the cube, -1: so few events that a look is quicker
cube uint32 (S + 1, K, C)               events of a kind and block before each step of time
step_edge int64 (S + 1,)                starts of the steps: 1, 2, 4 ... 128 local days
day_edge int64 (D + 1,)                 starts of the local days
part_start uint32 (C + 1,)              per block of the cube, step and kind, in the order of time:
part uint16                             seconds since the start of the step, without the lowest
part_shift int64 (1,)                   so many bits
======================================  =========================================================

Rows without a point (`unplaced_*`) and the few far outside the usual time (`loose_*`: one wrong
year must not stretch the cube) stand apart, sorted.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from geo.cube.calendar import DAY, calendar
from geo.cube.columns import Columns, Spec
from geo.cube.store import SnapshotError

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

BLOCKS_PER_DEGREE = 31.25
CELLS = 256  # along a side of a tile
BLOCK_COLUMNS = 11_264  # 360 degrees hold 11,251 blocks
#: numbers in the cube at most, as long as steps of 128 days allow; 4 bytes each
CUBE_MOST = 1 << 25
_SMALL = 256  # events of a block below which it is counted by looking
_CROWD = 400  # events in the tile of an event, on average, times `side`, above which tiles are made smaller
_FINEST = 16  # a tile inside its block is one byte
_SPARSE = 8  # events per tile, at least, so that tiles take no memory
_LONGEST = 128  # days of a step
_REACH = 20_000  # days on either side of the middle event: 32 bits of seconds
_STRAY = 4_096  # of so many events one at either end may be left out to keep the days few
_CHUNK = 1 << 22
_KEY_BITS = 63

_LOOSE = tuple(f.name for f in fields(Columns))
_UNPLACED = ("time", "kind", "unit", "located")


def arrange(rows: Columns, spec: Spec) -> dict[str, Array]:
    """Arrange rows; the names are those of the table above.

    Raises
    ------
    SnapshotError
        A kind that is no position in `spec.kinds`; more than 4 billion rows.

    """
    kinds = len(spec.kinds)
    if len(rows) and rows.kind.max() >= kinds:
        raise SnapshotError(f"kind {rows.kind.max()} is none of {kinds} kinds")
    if len(rows) >= 1 << 32:
        raise SnapshotError(f"{len(rows)} rows in one snapshot: want fewer than 2^32")
    point = ~np.isnan(rows.lon)
    apart = rows.take(~point)
    order = np.lexsort((apart.located, apart.time, apart.kind, apart.unit))
    out = {f"unplaced_{name}": getattr(apart, name)[order] for name in _UNPLACED}
    placed = rows if point.all() else rows.take(point)
    usual = _usual(placed, spec)
    loose = placed.take(~usual)
    # -0.0 and 0.0 are one place: one of them in the file
    loose = Columns(**{**vars(loose), "lon": loose.lon + 0.0, "lat": loose.lat + 0.0})
    order = np.lexsort([getattr(loose, name) for name in _LOOSE])
    out |= {f"loose_{name}": getattr(loose, name)[order] for name in _LOOSE}
    if len(loose):
        placed = placed.take(usual)
    out |= _index(placed, spec)
    for array in out.values():
        array.flags.writeable = False  # as a mapped file is: one compiled version serves both
    return out


def columns(arrays: dict[str, Array]) -> Columns:
    """All rows of the arrays, in the order of the arrays."""
    return Columns.concat([placed(arrays), loose(arrays), unplaced(arrays)])


def placed(arrays: dict[str, Array], at: Ints | None = None) -> Columns:
    """Rows of the arrangement; with `at` those at given positions."""
    starts = arrays["tile_start"][arrays["block_tiles"]]
    if at is None:
        block = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        where: Any = slice(None)
    else:
        block = np.searchsorted(starts, at, side="right") - 1
        where = at
    entry = arrays["dict_start"][block] + arrays["code"][where]
    point = arrays["point"][where]
    return Columns.trusted(
        lon=point[:, 0].copy(),
        lat=point[:, 1].copy(),
        time=arrays["time"][where] + arrays["base"][0],
        kind=arrays["kind"][where],
        unit=arrays["dict_unit"][entry],
        located=arrays["dict_located"][entry],
    )


def loose(arrays: dict[str, Array]) -> Columns:
    """Rows with a point far outside the usual time."""
    return Columns.trusted(**{name: arrays[f"loose_{name}"] for name in _LOOSE})


def unplaced(arrays: dict[str, Array], part: slice = slice(None)) -> Columns:
    """Rows without a point, by unit."""
    found = {name: arrays[f"unplaced_{name}"][part] for name in _UNPLACED}
    nowhere = np.full(len(found["time"]), np.nan)
    return Columns.trusted(lon=nowhere, lat=nowhere, **found)


# from here on: helpers ---------------------------------------------------------------------------
def _usual(rows: Columns, spec: Spec) -> npt.NDArray[np.bool_]:
    """Rows whose time is no stray."""
    n = len(rows)
    if not n:
        return np.ones(0, dtype=np.bool_)
    middle = int(np.partition(rows.time, n // 2)[n // 2])
    ok = abs(rows.time - middle) < _REACH * DAY
    counts = np.unique(_blocks(rows), return_counts=True)[1]
    cells = int((counts >= _SMALL).sum()) * len(spec.kinds)
    if n >= _STRAY and cells * int(np.ptp(rows.time[ok]) // DAY + 3) > CUBE_MOST:
        spare = n // _STRAY
        ends = np.partition(rows.time, (spare, n - 1 - spare))
        # by whole days, so that equal times stay together
        low, high = ends[spare] // DAY * DAY, (ends[n - 1 - spare] // DAY + 1) * DAY
        ok &= (rows.time >= low) & (rows.time < high)
    return ok


def _blocks(rows: Columns) -> npt.NDArray[np.int32]:
    """Block key of every row."""
    key = np.empty(len(rows), dtype=np.int32)
    for first in range(0, len(rows), _CHUNK):
        part = slice(first, first + _CHUNK)
        # all coordinates here are positive: cutting off is rounding down
        x = ((rows.lon[part] + 180.0) * BLOCKS_PER_DEGREE).astype(np.int32)
        y = ((rows.lat[part] + 90.0) * BLOCKS_PER_DEGREE).astype(np.int32)
        key[part] = y * BLOCK_COLUMNS + x
    return key


def _tiles(rows: Columns, side: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16]]:
    """Tile inside the block, and cell inside the tile, of every row."""
    tile, cell = np.empty(len(rows), dtype=np.uint8), np.empty(len(rows), dtype=np.uint16)
    # a power of two times the blocks: the same rounding, so each cell lies in its block
    scale = BLOCKS_PER_DEGREE * side * CELLS
    for first in range(0, len(rows), _CHUNK):
        part = slice(first, first + _CHUNK)
        x = ((rows.lon[part] + 180.0) * scale).astype(np.int32)
        y = ((rows.lat[part] + 90.0) * scale).astype(np.int32)
        tile[part] = (y // CELLS % side) * side + x // CELLS % side
        cell[part] = (y % CELLS) * CELLS + x % CELLS
    return tile, cell


def _side(counts: Ints) -> int:
    """Tiles along a side of every block, from the number of events of each block."""
    n = int(counts.sum())
    together = float((counts.astype(np.float64) ** 2).sum()) / max(n, 1)
    side = 1
    while side < _FINEST and together > _CROWD * side**3:
        if _SPARSE * int(np.minimum(counts, (2 * side) ** 2).sum()) > n:
            break
        side *= 2
    return side


def _order(rows: Columns, base: int, rank: Ints, tile: npt.NDArray[np.uint8]) -> tuple[Ints, Ints]:
    """Order of the rows and the sorted keys (block rank, tile)."""
    place = (rank << 8) | tile
    bits = int(np.ptp(rows.time)).bit_length() if len(rows) else 0
    if (int(rank.max()) if len(rank) else 0).bit_length() + 8 + bits <= _KEY_BITS:
        key = (place << bits) | (rows.time - base)
        order = np.argsort(key)
        key = key[order]
        same = key[1:] == key[:-1]
    else:
        order = np.lexsort([rows.time, place])
        key = place[order]
        time = rows.time[order]
        same = (key[1:] == key[:-1]) & (time[1:] == time[:-1])
    del key
    if same.any():
        # rows alike in place and time: the rest decides, so that no order is left to chance
        tied = np.append(False, same) | np.append(same, False)
        group = np.cumsum(~np.append(False, same))[tied]
        at = order[tied]
        rest = (
            rows.located[at], rows.unit[at], rows.lat[at] + 0.0, rows.lon[at] + 0.0,
            rows.kind[at], group,
        )  # fmt: skip
        order[tied] = at[np.lexsort(rest)]
    return order, place[order]


def _index(rows: Columns, spec: Spec) -> dict[str, Array]:
    n = len(rows)
    base = int(rows.time.min()) if n else 0
    block = _blocks(rows)
    block_key, counts = np.unique(block, return_counts=True)
    side = _side(counts)
    rank = np.searchsorted(block_key, block).astype(np.int64)
    del block
    tile_of, cell = _tiles(rows, side)
    order, place = _order(rows, base, rank, tile_of)
    del tile_of, rank
    time = (rows.time - base).astype(np.uint32)[order]
    out: dict[str, Array] = {"base": np.array([base]), "side": np.array([side])}
    out["point"], out["time"] = np.empty((n, 2)), time
    for column, given in enumerate((rows.lon, rows.lat)):
        out["point"][:, column] = given[order]
    out["point"] += 0.0  # -0.0 and 0.0 are one place
    out["kind"], out["cell"] = rows.kind[order], cell[order]
    tile = np.flatnonzero(np.diff(place, prepend=-1))
    out["tile_id"] = (place[tile] & 255).astype(np.uint8)
    out["tile_start"] = np.append(tile, n).astype(np.uint32)
    first = np.searchsorted(place[tile] >> 8, np.arange(len(block_key) + 1))
    out["block_key"], out["block_tiles"] = block_key, first.astype(np.uint32)
    rank = place >> 8
    out |= _dictionary(rank, rows.unit[order], rows.located[order], len(block_key))
    del place, order, cell
    out |= _cube(rank, out["kind"], time, base, len(block_key), spec)
    return out


def _dictionary(
    rank: Ints, unit: npt.NDArray[np.int32], located: npt.NDArray[np.uint8], blocks: int
) -> dict[str, Array]:
    tag = (rank << 40) | (unit.astype(np.int64) << 8) | located
    order = np.argsort(tag)
    tag = tag[order]
    new = np.diff(tag, prepend=-1) != 0
    entry = tag[new]
    start = np.searchsorted(entry >> 40, np.arange(blocks + 1))
    most = int(np.diff(start).max()) if blocks else 0
    narrow = np.uint8 if most <= 1 << 8 else np.uint16 if most <= 1 << 16 else np.uint32
    code = np.empty(len(tag), dtype=narrow)
    code[order] = np.cumsum(new) - 1 - start[tag >> 40]
    return {
        "code": code,
        "dict_start": start.astype(np.uint32),
        "dict_unit": ((entry >> 8) & 0x7FFFFFFF).astype(np.int32),
        "dict_located": (entry & 255).astype(np.uint8),
    }


def _cube(  # noqa: PLR0917 columns of one table
    rank: Ints,
    kind: npt.NDArray[np.uint8],
    time: npt.NDArray[np.uint32],
    base: int,
    blocks: int,
    spec: Spec,
) -> dict[str, Array]:
    kinds = len(spec.kinds)
    counts = np.bincount(rank, minlength=blocks)
    row = np.full(blocks, -1, dtype=np.int32)
    row[counts >= _SMALL] = np.arange((counts >= _SMALL).sum())
    held = int((counts >= _SMALL).sum())
    last = base + (int(time.max()) if len(time) else 0)
    days = calendar(spec.time_zone, base, last)
    low = int(np.searchsorted(days.edges, base, side="right")) - 1
    high = int(np.searchsorted(days.edges, last, side="right"))
    day_edge = days.edges[low : high + 1].copy()
    step = 1
    while step < _LONGEST and held * kinds * (-(-(len(day_edge) - 1) // step) + 1) > CUBE_MOST:
        step *= 2
    step_edge = day_edge[::step]
    if step_edge[-1] != day_edge[-1]:
        step_edge = np.append(step_edge, day_edge[-1])
    steps = len(step_edge) - 1
    longest = int(np.diff(step_edge).max())
    # what is cut off is looked up in the tiles when it matters
    shift = max(0, (longest - 1).bit_length() - 16)
    bits = longest.bit_length()
    key, n = np.empty(int(counts[row >= 0].sum()), np.int64), 0
    for first in range(0, len(rank), _CHUNK):
        part = slice(first, first + _CHUNK)
        block = row[rank[part]].astype(np.int64)
        there = block >= 0
        second = time[part][there].astype(np.int64) + base
        at = np.searchsorted(step_edge, second, side="right") - 1
        cell = (block[there] * steps + at) * kinds + kind[part][there]
        key[n : n + len(cell)] = (cell << bits) | (second - step_edge[at])
        n += len(cell)
    key.sort()
    short = np.empty(n, np.uint16)
    for first in range(0, n, _CHUNK):
        part = slice(first, first + _CHUNK)
        short[part] = (key[part] & ((1 << bits) - 1)) >> shift
    key >>= bits
    new = np.flatnonzero(np.diff(key, prepend=-1))
    cell = key[new]
    cube = np.zeros((steps + 1, kinds, held), dtype=np.uint32)
    cube[cell // kinds % steps + 1, cell % kinds, cell // (kinds * steps)] = np.diff(new, append=n)
    np.cumsum(cube, axis=0, dtype=np.uint32, out=cube)
    return {
        "cube": cube,
        "cube_row": row,
        "step_edge": step_edge.copy(),
        "day_edge": day_edge,
        "part_start": np.searchsorted(key, np.arange(held + 1) * (kinds * steps)).astype(np.uint32),
        "part": short,
        "part_shift": np.array([shift]),
    }
