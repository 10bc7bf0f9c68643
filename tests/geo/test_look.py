"""Looking at 64 events at once: the bits of looking at one after the other, in every way there is."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from geo.cube import count
from geo.cube.look import TOGETHER, WAYS, features, looking, lowest, ones

HERE = [feature for feature in WAYS if feature in features()]
DICE = np.random.default_rng(64)
CELL = DICE.integers(0, 1 << 16, 500).astype(np.uint16)
# corners, and on either side of a spot's
CELL[:6] = 0, 255, 255 << 8, 65535, 8 * 256 + 7, 7 * 256 + 8
CELL.flags.writeable = False  # as in a snapshot
SETS = {
    "any": DICE.integers(0, 1 << 32, (2, 32)).astype(np.uint32),
    "few": (DICE.integers(0, 1 << 32, (2, 32)) & 0x11041021).astype(np.uint32),
    "none and all": np.array([[0] * 32, [0xFFFFFFFF] * 32], np.uint32),
    "all and none": np.array([[0xFFFFFFFF] * 32, [0] * 32], np.uint32),
    "a row and a column": np.array([[0xFFFFFFFF] + [0] * 31, [1 << 31] * 32], np.uint32),
}


def held(spots: np.ndarray, cell: int) -> tuple[int, int]:
    """Whether the cell's spot is in each set, by row and column."""
    row, column = cell // 256 // 8, cell % 256 // 8
    return int(spots[0, row]) >> column & 1, int(spots[1, row]) >> column & 1


def twin(spots: np.ndarray, low: int, high: int) -> tuple[int, list[int]]:
    both = [held(spots, int(one)) for one in CELL[low:high]]
    return sum(sure for sure, _ in both), [low + i for i, (_, edge) in enumerate(both) if edge]


def kernel(look: Any) -> Any:
    @numba.njit
    def run(cell: Any, at: int, spots: Any) -> Any:
        return look(cell, at, spots)

    return run


@pytest.mark.skipif(not HERE, reason="this processor looks up one event after the other")
@pytest.mark.parametrize("feature", HERE)
@pytest.mark.parametrize("name", SETS)
def test_all_64_are_told(feature: str, name: str) -> None:
    run = kernel(looking(feature))
    for at in (0, 1, 63, len(CELL) - TOGETHER):
        want = [held(SETS[name], int(one)) for one in CELL[at : at + TOGETHER]]
        found = run(CELL, at, SETS[name])
        for k in range(2):
            assert int(found[k]) == sum(bits[k] << i for i, bits in enumerate(want))


@pytest.mark.skipif(not HERE, reason="this processor looks up one event after the other")
@pytest.mark.parametrize(
    ("cell", "spots"),
    [
        (np.zeros(200, np.uint16)[::2], SETS["any"]),
        (np.zeros(100, np.uint32), SETS["any"]),
        (CELL, np.asfortranarray(SETS["any"])),
        (CELL, SETS["any"].astype(np.uint64)),
        (CELL, SETS["any"][0]),
    ],
    ids=["gaps", "wide", "columns", "wide sets", "one set"],
)
def test_arrays_that_lie_otherwise_are_refused(cell: np.ndarray, spots: np.ndarray) -> None:
    with pytest.raises(numba.TypingError, match="is not array"):
        kernel(looking(HERE[0]))(cell, 0, spots)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("way", ["compiled", "one by one", "plain"])
def test_events_inside_are_counted_and_those_to_be_tested_kept(
    way: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Any = count.spots_sure
    if way != "compiled":
        monkeypatch.setattr(count, "AT_ONCE", False)
        run = run.py_func
    if way == "one by one":
        run = numba.njit(run)
    for low, high in [(0, 500), (0, 64), (0, 63), (5, 6), (436, 500), (64, 128), (100, 165), (70, 71),
                      (30, 94), (63, 65), (7, 7), (499, 500)]:  # fmt: skip
        sure, edges = twin(SETS[name], low, high)
        open_at = np.full(3 + high - low, -1, np.int64)
        total, n = run(open_at, 3, SETS[name], CELL, low, high)
        assert (total, open_at[3:n].tolist()) == (sure, edges)
        assert open_at[:3].tolist() == [-1] * 3


def test_bits_are_counted_and_found() -> None:
    @numba.njit
    def run(bits: Any) -> Any:
        return ones(bits), lowest(bits)

    for bits in (1, 6, 1 << 63, (1 << 64) - 1, 0xF0F0 << 20):
        want = bits.bit_count(), (bits & -bits).bit_length() - 1
        assert tuple(map(int, run(np.uint64(bits)))) == want
