"""Where a span of time begins and ends in the tiles, found from a guess: the same as by searching."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from geo.cube.slices import AHEAD, slices_in

LAST = 700 * 86_400
# more than are fetched together
SIZES = 3 * (1, 2, 11, 12, 23, 24, 25, 26, 49, 100, 1_000, 5_000, 3)
DICE = np.random.default_rng(8)


def times(way: str, n: int) -> np.ndarray:
    if way == "even":
        made = DICE.integers(0, LAST + 1, n)
    elif way == "late":
        made = LAST - (LAST * DICE.random(n) ** 6).astype(np.int64)
    elif way == "early":
        made = (LAST * DICE.random(n) ** 6).astype(np.int64)
    elif way == "two moments":
        made = DICE.choice([5_000, LAST - 5_000], n)
    else:
        made = np.full(n, {"first": 0, "middle": LAST // 2, "last": LAST}[way])
    return np.sort(made).astype(np.uint32)


@pytest.mark.parametrize("plain", [False, True], ids=["compiled", "plain"])
@pytest.mark.parametrize("way", ["even", "late", "early", "two moments", "first", "middle", "last"])
def test_a_guess_finds_what_a_search_finds(
    way: str, plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Any = slices_in
    if plain:
        run = slices_in.py_func
        monkeypatch.setitem(run.__globals__, "ahead", lambda *_: None)
        for name in ("_near", "search"):
            function = run.__globals__[name]
            monkeypatch.setitem(run.__globals__, name, function.py_func)
    parts = [times(way, n) for n in SIZES]
    time = np.concatenate(parts)
    tile_start = np.concatenate([[0], np.cumsum(SIZES)]).astype(np.uint32)
    tiles = np.column_stack([DICE.permutation(len(SIZES)), np.zeros(len(SIZES), np.int64)])
    moments = [-9, 0, 1, 4_999, 5_000, 5_001, LAST // 7, LAST // 2, LAST - 5_000, LAST, LAST + 1,
               (1 << 32) - 1, 1 << 40]  # fmt: skip
    moments += [int(part[len(part) // 3]) + d for part in parts[5:10] for d in (0, 1)]
    for start in moments:
        end = moments[int(DICE.integers(len(moments)))]
        found = np.empty((AHEAD, 4), np.int64)
        for first in range(0, len(tiles), AHEAD):
            run(found, tiles, first, tile_start, time, start, end, LAST)
            for i in range(min(AHEAD, len(tiles) - first)):
                t = tiles[first + i, 0]
                low, part = int(tile_start[t]), parts[t].astype(np.int64)
                want = np.searchsorted(part, [start, end]) + low
                assert found[i, :2].tolist() == want.tolist()
