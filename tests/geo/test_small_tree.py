"""Small numbers of units inside units: nothing is worked out from the tables of all levels together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from geo.small_numbers import SHOWN, SMALL, WITHHELD
from geo.small_tree import nested

Tree = tuple[list[int], list[int]]


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Units of three levels with what is known to each alone."""
    parent, own = [-1], [draw(st.sampled_from([0, 0, 0, 3, 9]))]
    number = st.sampled_from([0, 1, 1, 2, 3, 4, 4, 5, 6, 10, 30])
    for _ in range(draw(st.integers(1, 4))):
        middle = len(parent)
        parent.append(0)
        own.append(draw(st.sampled_from([0, 0, 0, 1, 4, 7])))
        for _ in range(draw(st.integers(0, 3))):
            parent.append(middle)
            own.append(draw(number))
    return parent, own


def tables(parent: list[int], own: list[int]) -> list[list[tuple[list[int], int]]]:
    """Tables of each level: the parts of every line (positions in `own`) and whether it is shown."""
    n = len(parent)
    depth = [0] * n
    for one in range(1, n):
        depth[one] = depth[parent[one]] + 1
    below: list[list[int]] = [[one] for one in range(n)]
    for one in range(n - 1, 0, -1):
        below[parent[one]] += below[one]
    made = nested(parent, own)
    found = [[(below[0], int(made.total[0]))]]
    for level in range(1, max(depth) + 1):
        lines = [(below[one], int(made.total[one])) for one in range(n) if depth[one] == level]
        # what is known only to coarser units stands in one line, hidden when a part of it is
        coarser = [one for one in range(n) if depth[one] < level]
        hidden = any(made.own[one] != SHOWN for one in coarser if own[one])
        lines.append((coarser, WITHHELD if hidden else SHOWN))
        found.append(lines)
    return found


@given(trees())
@settings(max_examples=250, deadline=None)
@example(([-1, 0, 0, 1, 2, 2], [0, 0, 0, 30, 3, 20]))
@example(([-1, 0, 0, 1, 2], [0, 0, 0, 3, 10]))
@example(([-1, 0, 0, 1, 2], [0, 0, 0, 3, 0]))
@example(([-1, 0, 1], [0, 0, 3]))
@example(([-1, 0, 1], [3, 1, 4]))
@example(([-1, 0, 0, 1, 1, 2, 2, 2], [0, 0, 0, 1, 1, 1, 1, 1]))
@example(([-1, 0, 0, 1, 1], [4, 0, 0, 4, 4]))
def test_no_small_number_follows_from_the_tables_of_all_levels(tree: Tree) -> None:
    parent, own = tree
    n = len(parent)
    lines = [line for table in tables(parent, own) for line in table]
    equations, values = [], []
    least, most = np.zeros(n), np.full(n, np.inf)
    bounds, limits = [], []
    for parts, state in lines:
        row = np.isin(np.arange(n), parts).astype(float)
        count = sum(own[one] for one in parts)
        if state == SHOWN:
            assert not 0 < count < 5, "a small number is shown"
            equations.append(row)
            values.append(count)
        elif state == SMALL:
            assert 0 < count < 5
            bounds += [row, -row]
            limits += [4.0, -1.0]
    for parts, _ in lines:
        count = sum(own[one] for one in parts)
        if not 0 < count < 5:
            continue
        goal = np.isin(np.arange(n), parts).astype(float)
        ends = [
            linprog(
                sign * goal,
                A_ub=np.array(bounds) if bounds else None, b_ub=limits or None,
                A_eq=np.array(equations) if equations else None, b_eq=values or None,
                bounds=list(zip(least, most, strict=True)), method="highs",
            )
            for sign in (1, -1)
        ]  # fmt: skip
        low = ends[0].fun
        high = -ends[1].fun if ends[1].status == 0 else np.inf
        assert low is not None
        assert high - low > 0.99, (parent, own, parts, low, high)


def test_a_child_alone_in_its_parent_is_not_told() -> None:
    """Of one level 3 and 10 would be hidden and 50 shown; 10 is all of its parent."""
    parent, own = [-1, 0, 0, 0, 1, 2, 3], [0, 0, 0, 0, 3, 10, 50]
    made = nested(parent, own)
    assert made.total.tolist() == [SHOWN, SMALL, WITHHELD, SHOWN, WITHHELD, WITHHELD, SHOWN]
    assert made.own[4:].tolist() == [WITHHELD, WITHHELD, SHOWN]


def test_nothing_small_hides_nothing() -> None:
    made = nested([-1, 0, 0, 1], [7, 0, 5, 9])
    assert not made.total.any()
    assert not made.own.any()


def test_many_units_take_no_time() -> None:
    rng = np.random.default_rng(1)
    parent = [-1, *([0] * 14), *(1 + np.sort(rng.integers(0, 14, 15_000))).tolist()]
    made = nested(parent, np.append(np.zeros(15, int), rng.poisson(2, 15_000)))
    assert made.total[0] == SHOWN


@pytest.mark.parametrize(
    ("parent", "own"),
    [([], []), ([0], [1]), ([-1, 2, 0], [0, 0, 0]), ([-1, -1], [0, 0]), ([-1, 0], [0, -1])],
)
def test_bad_input_is_named(parent: list[int], own: list[int]) -> None:
    with pytest.raises(ValueError, match=r"stands after|not negative"):
        nested(parent, own)
