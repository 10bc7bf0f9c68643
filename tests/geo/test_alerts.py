"""Alerts against brute force, properties of their transitions, and bars by seeded simulation."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammaincc

from geo import alerts
from geo.alerts import LASTING, SINGLE, STEADY, AlertRule, Evidence

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "alerts.py"


def load() -> ModuleType:
    """The benchmark is a script, not an installed package."""
    spec = importlib.util.spec_from_file_location("alerts_benchmark", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["alerts_benchmark"] = module
    spec.loader.exec_module(module)
    return module


def evidence(n: int, **more: object) -> Evidence:
    """Cells that say nothing, but for what is given."""
    base = {
        "theta": np.ones(n), "p": np.full(n, 0.5), "s": np.full(n, 9.0), "theta_single": np.ones(n),
        "p_single": np.full(n, 0.5), "o": np.full(n, 9.0), "lasting": np.zeros(n, bool),
    }  # fmt: skip
    return Evidence(**{**base, **{name: np.asarray(one) for name, one in more.items()}})


# the largest set ----------------------------------------------------------------------------------
def largest(p: list[float], candidate: list[bool], fdr: float) -> int:
    """Size of the largest set by trying all of them."""
    at = [i for i, asked in enumerate(candidate) if asked]
    for size in range(len(at), 0, -1):
        for chosen in itertools.combinations(at, size):
            if np.mean([1 - p[i] for i in chosen]) <= fdr + 1e-12:
                return size
    return 0


@given(
    st.lists(st.tuples(st.sampled_from([0.2, 0.8, 0.9, 0.95, 0.97, 0.99, 0.999]), st.booleans()),
             max_size=9),
    st.sampled_from([0.01, 0.05, 0.2]),
)  # fmt: skip
def test_the_set_is_the_largest(cells: list[tuple[float, bool]], fdr: float) -> None:
    p, candidate = [one[0] for one in cells], [one[1] for one in cells]
    found = alerts.discoveries(p, candidate, fdr)
    assert found.sum() == largest(p, candidate, fdr)
    assert not (found & ~np.array(candidate, bool)).any()
    if found.any():
        assert np.mean(1 - np.array(p)[found]) <= fdr + 1e-12
        # nobody left out is surer than somebody chosen
        left = np.array(candidate, bool) & ~found
        assert not left.any() or np.array(p)[found].min() >= np.array(p)[left].max()


def test_no_data_is_never_chosen() -> None:
    assert alerts.discoveries([np.nan, 0.99], [True, True]).tolist() == [False, True]
    with pytest.raises(ValueError, match="differ"):
        alerts.discoveries([0.9], [True, False])


# what fires ---------------------------------------------------------------------------------------
def test_each_posterior_needs_risk_count_and_certainty() -> None:
    found = alerts.fires(
        evidence(
            6,
            theta=[2, 2, 1.4, 2, 1, 2],
            p=[0.999, 0.999, 0.999, 0.8, 0.5, 0.999],
            s=[9, 4, 9, 9, 9, 9],
            theta_single=[1, 1, 1, 1, 3, 1],
            p_single=[0.6, 0.6, 0.6, 0.6, 0.999, 0.1],
            lasting=[False, False, True, False, False, False],
        )
    )
    # beside two of 0.999 the 0.8 would make 6.7 %; the last one is clearly below in this period
    assert found.tolist() == [STEADY, 0, LASTING, 0, SINGLE, 0]


def test_open_alerts_do_not_pay_for_new_ones() -> None:
    p = [0.9999] * 30 + [0.85]
    one = evidence(31, theta=[2.0] * 31, p=p)
    assert alerts.fires(one).astype(bool).all()  # together they are sure enough
    open_ones = np.array([STEADY] * 30 + [0], np.uint8)
    assert alerts.fires(one, holds=open_ones).tolist() == [STEADY] * 30 + [0]


def test_lasting_asks_for_the_present_period_too() -> None:
    orange, blue = 4, 2
    seen = [[orange, orange, blue, orange], [blue, orange, orange, 5], [orange, blue, orange, 0]]
    assert alerts.lasting(np.array(seen, np.uint8)).tolist() == [True, False, True, False]
    assert alerts.lasting(np.array([[5]], np.uint8)).tolist() == [False]
    never = AlertRule(lasting_of=0)
    assert alerts.lasting(np.array(seen, np.uint8), never).tolist() == [False] * 4


def test_nothing_opens_where_nothing_happened() -> None:
    one = evidence(2, theta=[2.0, 2.0], p=[0.999, 0.999], o=[0, 1], lasting=[True, True])
    assert alerts.fires(one).tolist() == [0, STEADY | LASTING]
    # what is open may stay: low counts must not make it flap
    assert alerts.fires(one, holds=[STEADY, STEADY]).tolist() == [STEADY, STEADY | LASTING]


COUNT = st.integers(0, 40)


@given(
    st.lists(
        st.tuples(COUNT, st.floats(0.5, 30), st.integers(0, 1), st.integers(0, 60)),
        min_size=1, max_size=6,
    ),
    st.floats(0.5, 50),
    st.booleans(),
)  # fmt: skip
def test_a_unit_is_explained_by_those_inside(
    inside: list[tuple[int, float, int, int]], alpha: float, is_open: bool
) -> None:
    """Against the same counted unit by unit: what is left when units with an alert are taken out."""
    o, e = sum(one[0] for one in inside), sum(one[1] for one in inside)
    memory = 3.0  # every unit remembers alike: twice its expected count before this period
    x, s = memory * e, float(sum(one[0] + one[3] for one in inside))
    held = [one for one in inside if one[2]]
    below = alerts.Below(
        np.array([float(sum(one[0] for one in held))]), np.array([sum(one[1] for one in held)]),
        np.array([sum(one[1] * (one[0] + one[3]) / (memory * one[1]) for one in held)]),
    )  # fmt: skip
    found = alerts.unexplained(
        below, [STEADY if is_open else 0], o=np.array([float(o)]), e=np.array([e]),
        s=np.array([s]), x=np.array([x]), alpha=np.array([alpha]),
    )  # fmt: skip
    rest = [one for one in inside if not one[2]]
    left = (sum(one[0] for one in rest), sum(one[1] for one in rest))
    remembered = (sum(one[0] + one[3] for one in rest), memory * left[1])
    theta, p, number = zip(
        *(
            (float((alpha + a) / (alpha + b)), float(gammaincc(alpha + a, alpha + b)), a)
            for a, b in (left, remembered)
        ),
        strict=True,
    )
    near = any(abs(one - 0.8) < 1e-6 or abs(one - 0.95) < 1e-6 for one in p)
    near |= any(abs(one - 1.5) < 1e-6 for one in theta)
    if near:
        return
    opens = any(
        t >= 1.5 and one >= 0.95 and n >= 5 for t, one, n in zip(theta, p, number, strict=True)
    )
    expected = not held or (any(one >= 0.8 for one in p) if is_open else opens)
    assert found.tolist() == [expected]


@pytest.mark.parametrize(
    "wrong",
    [
        {"fdr": 0}, {"fdr": 1}, {"theta_min": 0}, {"min_count": -1}, {"clear_below": 0.9},
        {"lasting_of": 4}, {"theta_min": float("inf")},
    ],
)  # fmt: skip
def test_an_impossible_rule_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must|lies|cannot"):
        AlertRule(**wrong)  # type: ignore[arg-type]


# transitions --------------------------------------------------------------------------------------
def course(p: list[float], p_single: list[float], fired: list[int]) -> list[int]:
    """What holds one cell's alert, period by period."""
    holds, out = np.zeros(1, np.uint8), []
    for t, bits in enumerate(fired):
        one = evidence(1, p=[p[t]], p_single=[p_single[t]])
        holds = alerts.transition(holds, [bits], one).holds
        out.append(int(holds[0]))
    return out


def test_it_stays_open_until_its_own_posterior_lets_go() -> None:
    # opened by the single period alone: it is that one's P that counts
    assert course([0.7, 0.9, 0.9], [0.99, 0.85, 0.7], [SINGLE, 0, 0]) == [SINGLE, SINGLE, 0]
    # confirmed by the memory, it no longer needs the single period
    assert course([0.9, 0.99, 0.85], [0.99, 0.9, 0.5], [2, 3, 0]) == [SINGLE, 3, STEADY]
    # clearly below in this period: closed, whatever is remembered
    assert course([0.99, 0.99], [0.9, 0.15], [STEADY, 0]) == [STEADY, 0]


def test_low_counts_do_not_make_it_flap() -> None:
    assert course([0.97] + [0.85, 0.95] * 4, [0.9] + [0.45] * 8, [1] + [0] * 8) == [STEADY] * 9


def test_the_same_period_again_closes_nothing_but_no_data() -> None:
    one = evidence(3, p=[0.1, 0.99, np.nan], p_single=[0.1, 0.99, np.nan])
    step = alerts.transition([STEADY, 0, STEADY], [0, SINGLE, 0], one, same_period=True)
    assert step.holds.tolist() == [STEADY, SINGLE, 0]
    assert step.opened.tolist() == [False, True, False]
    assert step.closed.tolist() == [False, False, True]


PART = st.floats(0, 1)


@given(
    st.lists(st.tuples(PART, PART, st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=20)
)
def test_every_cell_is_decided_by_itself(cells: list[tuple[float, float, int, int]]) -> None:
    p, p_single, holds, fired = (np.array(one) for one in zip(*cells, strict=True))
    fired = np.where(p_single <= 0.2, 0, fired)  # as `fires` gives it
    step = alerts.transition(holds, fired, evidence(len(p), p=p, p_single=p_single))
    for i, (now, alone, before, bits) in enumerate(zip(p, p_single, holds, fired, strict=True)):
        keeps = 0
        if now >= 0.8:
            keeps |= STEADY | LASTING
        if alone >= 0.8:
            keeps |= SINGLE
        after = 0 if alone <= 0.2 else (int(before) & keeps) | int(bits)
        assert step.holds[i] == after
        assert step.opened[i] == (before == 0 and after != 0)
        assert step.closed[i] == (before != 0 and after == 0)


# budget -------------------------------------------------------------------------------------------
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), max_size=30),
    st.lists(st.integers(0, 4), min_size=5, max_size=5),
    st.integers(0, 4),
)
def test_the_budget_takes_the_most_urgent_first(
    cells: list[tuple[int, int]], spent: list[int], cap: int
) -> None:
    key = np.array([one[0] for one in cells], int)
    priority = np.array([one[1] for one in cells], float)
    used = np.array([spent[k] for k in key], int)
    found = alerts.overflow(key, priority, used, cap)
    for k in range(5):
        mine = [i for i in range(len(cells)) if key[i] == k]
        order = sorted(mine, key=lambda i: (-priority[i], i))
        room = max(cap - spent[k], 0)
        assert [int(found[i]) for i in order[:room]] == [0] * len(order[:room])
        past = max(spent[k] - cap, 0)
        assert [int(found[i]) for i in order[room:]] == [
            past + n for n in range(1, len(order) - room + 1)
        ]


def test_a_budget_needs_one_of_each() -> None:
    with pytest.raises(ValueError, match="differ"):
        alerts.overflow([1], [1.0, 2.0], [0], 1)
    with pytest.raises(ValueError, match="negative"):
        alerts.overflow([1], [1.0], [0], -1)


# bars ---------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def table() -> ModuleType:
    return load()


def test_bars_of_the_sample(table: ModuleType) -> None:
    """All of the sample once; `python -m benchmarks.alerts` has more seeds and more to tell."""
    rows = list(table.sample_rows(20260101, 1, quick=True))
    assert not [str(row) for row in rows if not row.passed]
    assert sum(row.bar is not None for row in rows) == 5


def test_bars_of_the_maps(table: ModuleType) -> None:
    rows = list(table.map_rows(20260101, 12))
    assert not [str(row) for row in rows if not row.passed]
    assert sum(row.bar is not None for row in rows) == 8
