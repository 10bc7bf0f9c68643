"""Small numbers: what a reader could work out, by trying every table that fits."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo import small_numbers
from geo.small_numbers import SHOWN, SMALL, WITHHELD, Table, isolates, mask, shown, suppress

FAR = 9
"""A withheld number is tried up to this."""


def test_one_to_four_are_small() -> None:
    assert mask([0, 1, 4, 5, 99]).tolist() == [False, True, True, False, False]
    assert [shown(n) for n in (0, 1, 4, 5)] == ["0", "<5", "<5", "5"]
    assert shown(7, WITHHELD) == shown(2, WITHHELD) == "…"
    assert shown(7, SMALL) == "<5"
    assert shown(9, threshold=11) == "<11"
    assert mask([9, 12], 11).tolist() == [True, False]


def full(cells: Any) -> Any:
    """A table with its totals."""
    c = np.asarray(cells)
    wide = np.column_stack([c, c.sum(axis=1)])
    return np.vstack([wide, wide.sum(axis=0)])


def states(table: Table) -> Any:
    cells = table.cells
    if cells.ndim == 1:
        return np.append(cells, table.total)
    wide = np.column_stack([cells, table.rows])
    return np.vstack([wide, np.append(table.columns, table.total)])


def known(value: int, state: int) -> range:
    """What a number can be before adding up."""
    if state == SHOWN:
        return range(value, value + 1)
    return range(1, 5) if state == SMALL else range(max(value, 4) + FAR)


def possible(cells: Any, table: Table) -> list[set[int]]:
    """Values each number has in some table that fits all that is shown, totals included."""
    values = full(cells) if cells.ndim == 2 else np.append(cells, cells.sum())
    state = states(table)
    inner = state[:-1, :-1] if cells.ndim == 2 else state[:-1]
    found: list[set[int]] = [set() for _ in range(values.size)]
    choices = [known(int(v), int(s)) for v, s in zip(cells.ravel(), inner.ravel(), strict=True)]
    for guess in itertools.product(*choices):
        whole = np.array(guess).reshape(cells.shape)
        whole = full(whole) if cells.ndim == 2 else np.append(whole, whole.sum())
        if all(
            int(v) in known(int(t), int(s))
            for v, t, s in zip(whole.ravel(), values.ravel(), state.ravel(), strict=True)
        ):
            for place, v in enumerate(whole.ravel().tolist()):
                found[place].add(v)
    return found


def check(cells: Any) -> Table:
    table = suppress(cells)
    values = full(cells) if cells.ndim == 2 else np.append(cells, cells.sum())
    state = states(table)
    small = mask(values)
    assert (state[small] != SHOWN).all()
    assert (state[~small] != SMALL).all()
    options = possible(cells, table)
    for place in np.flatnonzero(small.ravel()):
        assert len(options[place]) > 1, (values, state, place)
    return table


@settings(max_examples=150)
@given(st.lists(st.one_of(st.integers(0, 6), st.integers(0, 1)), min_size=1, max_size=4))
def test_no_small_number_of_a_list_can_be_worked_out(counts: list[int]) -> None:
    check(np.array(counts))


@settings(max_examples=80)
@given(st.integers(0, 10**6), st.sampled_from([(1, 2), (2, 2), (2, 1), (1, 4), (3, 1)]))
def test_no_small_number_of_a_table_can_be_worked_out(seed: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    check(rng.choice([0, 0, 1, 1, 2, 3, 4, 5, 6], shape))


@pytest.mark.parametrize(
    "cells",
    [[[0, 0], [4, 4]], [[0, 3], [3, 1]], [[0, 4], [0, 4]], [[1, 1], [1, 1]], [[1, 3], [3, 0]]],
)
def test_tables_whose_totals_would_tell(cells: list[list[int]]) -> None:
    check(np.array(cells))


def by_programme(cells: Any, table: Table) -> bool:
    """Whether each small number has more than one value, by linear programmes: larger tables."""
    from scipy.optimize import linprog

    values, state = full(cells), states(table)
    rows, columns = values.shape
    sums = []
    for i in range(rows):
        one = np.zeros((rows, columns))
        one[i, :-1], one[i, -1] = 1, -1
        sums.append(one.ravel())
    for j in range(columns):
        one = np.zeros((rows, columns))
        one[:-1, j], one[-1, j] = 1, -1
        sums.append(one.ravel())
    bounds = [
        {SHOWN: (v, v), SMALL: (1, 4), WITHHELD: (0, None)}[s]
        for v, s in zip(values.ravel().tolist(), state.ravel().tolist(), strict=True)
    ]
    for place in np.flatnonzero(mask(values).ravel()):
        aim = np.zeros(values.size)
        aim[place] = 1
        least, most = (
            linprog(sign * aim, A_eq=np.array(sums), b_eq=np.zeros(len(sums)), bounds=bounds)
            for sign in (1, -1)
        )
        # sums of rows and columns: the ends of the range are whole numbers
        top = np.inf if most.status == 3 else -most.fun
        if round(top - least.fun, 6) < 1:
            return False
    return True


@pytest.mark.parametrize("seed", range(6))
def test_larger_tables_by_linear_programmes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cells = rng.poisson(rng.gamma(0.8, 6, (5, 4)))
    table = suppress(cells)
    assert by_programme(cells, table)
    # masking alone would not have been enough
    naive = Table(
        np.where(mask(cells), SMALL, SHOWN).astype(np.uint8),
        np.where(mask(cells.sum(axis=1)), SMALL, SHOWN).astype(np.uint8),
        np.where(mask(cells.sum(axis=0)), SMALL, SHOWN).astype(np.uint8),
        SHOWN,
    )
    assert mask(cells).any()
    if seed == 0:
        assert not by_programme(cells, naive)


def test_one_small_number_hides_the_next_larger() -> None:
    table = suppress([3, 20, 7, 0])
    assert table.cells.tolist() == [SMALL, SHOWN, SHOWN, WITHHELD]
    assert table.total == SHOWN
    assert suppress([3, 2, 50]).cells.tolist() == [SMALL, SMALL, SHOWN]
    # 1 + 1: both would be known from the sum
    assert WITHHELD in suppress([1, 1, 50]).cells.tolist()


def test_nothing_small_hides_nothing() -> None:
    table = suppress([[5, 0], [9, 12]])
    assert not table.cells.any()
    assert not table.rows.any()
    assert not table.columns.any()
    assert table.total == SHOWN


def test_totals_are_kept_where_cells_can_be_hidden() -> None:
    rng = np.random.default_rng(1)
    cells = 5 + rng.poisson(30, (8, 6))
    cells[2, 3] = 2
    table = suppress(cells)
    assert not table.rows.any()
    assert not table.columns.any()
    assert (table.cells != SHOWN).sum() == 4


def test_a_lone_number_and_none() -> None:
    lone = suppress([3])
    assert (lone.cells.tolist(), lone.total) == ([SMALL], SMALL)
    assert suppress([]).cells.shape == (0,)
    assert suppress(np.zeros((0, 4))).cells.shape == (0, 4)


def test_isolating_differences() -> None:
    # inside one another: 10 and 8 events leave 2
    assert isolates(10, 8, 8).tolist() is True
    assert not isolates(10, 8, 3)  # they differ by 12
    assert not isolates(10, 10, 10)  # the same events: nothing new is learned
    assert isolates([10, 50], [[8, 40], [10, 46]], [[8, 40], [10, 46]]).tolist() == [
        [True, False],
        [False, True],
    ]
    assert not isolates(10, 5, 5)
    assert isolates(10, 5, 5, threshold=6)


@given(st.sets(st.integers(0, 12)), st.sets(st.integers(0, 12)))
def test_isolating_is_the_symmetric_difference(a: set[int], b: set[int]) -> None:
    assert bool(isolates(len(a), len(b), len(a & b))) == (1 <= len(a ^ b) <= 4)


def test_bad_input_is_named() -> None:
    for bad in ([-1], [1.5]):
        with pytest.raises(ValueError, match="whole numbers"):
            suppress(bad)
    with pytest.raises(ValueError, match="shape"):
        suppress(np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="both"):
        isolates(3, 2, 3)
    assert small_numbers.THRESHOLD == 5
