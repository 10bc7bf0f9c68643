"""What may be told of counts: no small number, nothing lost, nothing made up."""

from __future__ import annotations

from typing import Any

import h3
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.hotspots.told import UP, WHOLE, Told, place, tell

RES = 6
GROUND = np.array(
    sorted(
        int(one, 16)
        for top in ("832806fffffffff", "83280efffffffff")
        for one in h3.cell_to_children(top, RES)
    ),
    np.uint64,
)[::3]


def above(cell: int, level: int) -> int:
    return int(h3.cell_to_parent(f"{cell:x}", level), 16)


def twin(cells: list[int], counts: list[int], least: int) -> tuple[dict[int, int], int]:
    """The rule, word by word."""
    told = {c: n for c, n in zip(cells, counts, strict=True) if n >= least}
    rest = {c: n for c, n in zip(cells, counts, strict=True) if 0 < n < least}
    for level in range(RES - 1, RES - 1 - UP, -1):
        for parent in {above(c, level) for c in rest}:
            mine = [c for c in rest if above(c, level) == parent]
            if sum(rest[c] for c in mine) >= least:
                told[parent] = sum(rest.pop(c) for c in mine)
    if sum(rest.values()) >= least:
        told[WHOLE] = sum(rest.values())
        rest = {}
    return told, sum(rest.values())


worlds = st.tuples(
    st.integers(0, 2**32), st.sampled_from([0.02, 0.2, 1.0, 4.0]), st.sampled_from([2, 5, 9])
)


def world(seed: int, mean: float) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    cells = np.sort(rng.choice(GROUND, rng.integers(1, len(GROUND)), replace=False))
    expected = rng.gamma(0.7, 1.5, len(cells))
    expected[rng.random(len(cells)) < 0.1] = np.nan
    return cells, rng.poisson(mean * np.nan_to_num(expected, nan=0.2)), expected


@given(worlds)
def test_the_rule(given_: tuple[int, float, int]) -> None:
    seed, mean, least = given_
    cells, counts, _ = world(seed, mean)
    told = tell(cells, counts, RES, least)
    want, withheld = twin(cells.tolist(), counts.tolist(), least)
    assert dict(zip(told.name.tolist(), told.events.tolist(), strict=True)) == want
    assert told.withheld == withheld < least
    assert told.events.sum() + withheld == counts.sum()
    assert (told.events >= least).all()
    assert (np.diff(told.name.astype(float)) > 0).all()


@given(worlds)
def test_what_is_placed_fits_what_was_told(given_: tuple[int, float, int]) -> None:
    seed, mean, least = given_
    cells, counts, expected = world(seed, mean)
    told = tell(cells, counts, RES, least)
    found = place(told, cells, expected, RES, least)
    assert found.sum() == counts.sum() - told.withheld
    large = counts >= least
    assert np.array_equal(found[large], counts[large])
    assert (found >= 0).all()
    sums: dict[int, int] = {}
    names = set(told.name.tolist())
    for cell, n in zip(cells.tolist(), found.tolist(), strict=True):
        chain = [cell, *(above(cell, level) for level in range(RES - 1, RES - 1 - UP, -1)), WHOLE]
        owner = next((one for one in chain if one in names), None)
        if owner is None:
            assert n == 0
        else:
            sums[owner] = sums.get(owner, 0) + n
    assert sums == dict(zip(told.name.tolist(), told.events.tolist(), strict=True))


def test_within_a_sum_nothing_clusters() -> None:
    """A heap in one small cell is spread over the cells it may stand in, by what is expected."""
    parent = above(int(GROUND[0]), RES - 1)
    cells = np.array(sorted(int(c, 16) for c in h3.cell_to_children(f"{parent:x}", RES)), np.uint64)
    counts = np.array([4, 4, 0, 0, 0, 0, 0])
    found = place(tell(cells, counts, RES, 5), cells, np.ones(7), RES, 5)
    assert sorted(found.tolist()) == [1, 1, 1, 1, 1, 1, 2]
    twice = place(tell(cells, counts, RES, 5), cells, [3, 1, 1, 1, 1, 1, np.nan], RES, 5)
    assert twice.tolist() == [3, 1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize(
    ("name", "events"),
    [
        (int(h3.latlng_to_cell(10, 10, RES), 16), 7),
        (int(h3.latlng_to_cell(10, 10, RES - 1), 16), 7),
        (int(h3.latlng_to_cell(29.5, 119.5, RES - UP - 1), 16), 7),
        (int(h3.latlng_to_cell(29.5, 119.5, RES + 1), 16), 7),
    ],
)
def test_what_the_side_cannot_have_told_is_refused(name: int, events: int) -> None:
    told = Told(np.array([name], np.uint64), np.array([events]), 0)
    with pytest.raises(ValueError, match="told"):
        place(told, GROUND, np.ones(len(GROUND)), RES, 5)


def test_a_rest_with_no_cell_left_is_refused() -> None:
    told = Told(np.array([WHOLE, int(GROUND[0])], np.uint64), np.array([7, 8]), 0)
    with pytest.raises(ValueError, match="rest"):
        place(told, GROUND[:1], np.ones(1), RES, 5)


def test_bad_counts() -> None:
    with pytest.raises(ValueError, match="counts"):
        tell(GROUND, np.full(len(GROUND), -1), RES, 5)
    with pytest.raises(ValueError, match="counts"):
        tell(GROUND, np.zeros(3, int), RES, 5)
