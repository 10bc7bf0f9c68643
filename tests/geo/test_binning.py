"""The binning kernel against a brute-force twin, and whatever way rows are cut into batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.binning import (
    ADDED,
    CODE,
    INPUT,
    NONE,
    POINT,
    TILES_PER_BLOCK,
    TILES_PER_DEGREE,
    BinningError,
    BinSpec,
    Locator,
    bin_batch,
    tile_keys,
)
from geo.locate import LocateIndex

# ids: 1 city, 2-3 counties, 4-5 grids of county 2; county 3 has no children, the city a rest
BOXES = {
    1: (0.0, 0.0, 4.0, 2.0),
    2: (0.0, 0.0, 2.0, 2.0),
    3: (2.0, 0.0, 3.0, 2.0),
    4: (0.0, 0.0, 1.0, 2.0),
    5: (1.0, 0.0, 2.0, 2.0),
}
LEVEL = {1: 0, 2: 1, 3: 1, 4: 2, 5: 2}
ABOVE = {1: [1, 0, 0], 2: [1, 2, 0], 3: [1, 3, 0], 4: [1, 2, 4], 5: [1, 2, 5]}


@pytest.fixture(scope="module")
def locator() -> Locator:
    leaves = [3, 4, 5]
    return Locator(
        LocateIndex.build([shapely.box(*BOXES[i]) for i in leaves], leaves),
        np.array([-1, *(LEVEL[i] for i in BOXES)]),
        np.array([[0, 0, 0], *(ABOVE[i] for i in BOXES)], dtype=np.int32),
        np.array([1], dtype=np.int32),
        np.array([shapely.box(*BOXES[1])], dtype=object),
    )


def batch(rows: list[tuple[float | None, float | None, int]]) -> pa.RecordBatch:
    columns = [pa.array([row[i] for row in rows], INPUT.field(i).type) for i in range(3)]
    return pa.RecordBatch.from_arrays(columns, schema=INPUT)


def slowly(lon: float | None, lat: float | None, declared: int) -> tuple[int, int, bool, bool]:
    """One row by the words of the rule."""
    has_point = lon is not None and lat is not None and np.isfinite(lon) and np.isfinite(lat)
    point = 0
    if has_point:
        covering = [i for i, b in BOXES.items() if b[0] <= lon <= b[2] and b[1] <= lat <= b[3]]
        leaves = [i for i in covering if i in (3, 4, 5)]
        point = min(leaves) if leaves else (1 if 1 in covering else 0)
    if not declared:
        return point, POINT if point else NONE, False, False
    if not has_point:
        return declared, CODE, False, False
    same = False
    if point:
        level = min(LEVEL[point], LEVEL[declared])
        same = ABOVE[point][level] == ABOVE[declared][level]
    if same and LEVEL[point] > LEVEL[declared]:
        return point, POINT, False, True
    return declared, CODE, not same, True


coordinate = st.one_of(
    st.none(), st.just(float("nan")), st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0]), st.floats(-1, 5)
)
row = st.tuples(coordinate, coordinate, st.integers(0, 5))


@settings(deadline=None)
@given(st.lists(row, max_size=20))
def test_the_rule_row_by_row(locator: Locator, rows: list) -> None:
    done = bin_batch(batch(rows), locator)
    found = list(zip(*(done.column(name).to_pylist() for name in ADDED.names), strict=True))
    assert found == [slowly(*one) for one in rows]


@settings(deadline=None)
@given(st.lists(row, min_size=1, max_size=20), st.integers(1, 20))
def test_batches_may_be_cut_anywhere(locator: Locator, rows: list, at: int) -> None:
    spec = BinSpec(keys=True, h3=(7,))
    whole = bin_batch(batch(rows), locator, spec)
    parts = [bin_batch(batch(part), locator, spec) for part in (rows[:at], rows[at:])]
    assert pa.Table.from_batches(parts).to_pylist()[len(rows) :] == []
    joined = pa.Table.from_batches(parts).combine_chunks()
    for name in whole.schema.names[3:]:
        assert joined[name].to_pylist() == whole.column(name).to_pylist()


def test_other_columns_are_handed_through(locator: Locator) -> None:
    given_batch = batch([(0.5, 0.5, 0), (None, None, 3)]).append_column("time", pa.array([5, 6]))
    done = bin_batch(given_batch, locator)
    assert done.schema.names == ["lon", "lat", "declared", "time", *ADDED.names]
    assert done.column("time").to_pylist() == [5, 6]


def test_what_is_no_batch_of_events_is_refused(locator: Locator) -> None:
    good = batch([(0.5, 0.5, 0)])
    with pytest.raises(BinningError, match="no column 'lat'"):
        bin_batch(good.select(["lon", "declared"]), locator)
    with pytest.raises(BinningError, match="'lon' is string"):
        bin_batch(good.set_column(0, "lon", pa.array(["a"])), locator)
    with pytest.raises(BinningError, match="has a column 'unit' already"):
        bin_batch(good.append_column("unit", pa.array([1])), locator)


def test_keys_of_tiles_and_blocks() -> None:
    lon = np.array([-180.0, -179.998, 120.0, 120.0019, 120.0021, np.nan])
    lat = np.array([-90.0, -90.0, 30.0, 30.0, 30.0, 1.0])
    tile, block = tile_keys(lon, lat)
    assert tile[:2].tolist() == [0, 1]
    assert tile[2] == tile[3] == tile[4] - 1
    assert block[0] == block[1] == 0
    assert (tile[5], block[5]) == (-1, -1)


def test_saved_tables_are_the_same_or_refused(locator: Locator, tmp_path: Path) -> None:
    locator.save(tmp_path / "there")
    again = Locator.load(tmp_path / "there")
    rows = [(3.5, 0.5, 0), (0.5, 0.5, 2), (2.5, 1.0, 4), (None, None, 5)]
    assert bin_batch(batch(rows), again) == bin_batch(batch(rows), locator)
    path = tmp_path / "there" / "ancestors.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BinningError, match=r"ancestors\.npy is damaged"):
        Locator.load(tmp_path / "there")
    with pytest.raises(BinningError, match="is missing"):
        Locator.load(tmp_path / "nowhere")


def test_blocks_are_those_of_the_count_cube() -> None:
    from geo.cube import build

    assert TILES_PER_DEGREE / TILES_PER_BLOCK == build.BLOCKS_PER_DEGREE
