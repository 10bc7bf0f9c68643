"""Indicators: every rule against a twin that follows its words one unit and period at a time."""

from __future__ import annotations

import math
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geo import indicators as kernel

SOME = st.one_of(st.just(math.nan), st.integers(0, 5).map(float))
PANEL = hnp.arrays(np.float64, st.tuples(st.integers(1, 7), st.integers(1, 5)), elements=SOME)
ROW = hnp.arrays(np.float64, st.integers(0, 9), elements=SOME)


def test_parts_come_before_what_is_made_of_them() -> None:
    links = {"total": ["a", "b"], "a": ["x", "b"], "b": ["x"], "x": []}
    order = kernel.in_order(links)
    assert sorted(order) == ["a", "b", "total", "x"]
    for name, parts in links.items():
        assert all(order.index(part) < order.index(name) for part in parts)
    long = {str(i): [str(i + 1)] for i in range(5000)}
    assert kernel.in_order(long)[0] == "5000"


@pytest.mark.parametrize(
    ("links", "path"),
    [
        ({"a": ["a"]}, ["a", "a"]),
        ({"t": ["a"], "a": ["b"], "b": ["c"], "c": ["a"]}, ["a", "b", "c", "a"]),
        ({"x": [], "y": ["x", "z"], "z": ["x", "y"]}, ["y", "z", "y"]),
    ],
)
def test_a_circle_is_named_from_end_to_end(links: dict[str, list[str]], path: list[str]) -> None:
    with pytest.raises(kernel.Circle) as caught:
        kernel.in_order(links)
    assert caught.value.path == path
    assert " → ".join(path) in str(caught.value)


@given(PANEL, st.integers(0, 5))
def test_a_ratio_is_never_infinite_and_says_where_it_would_be(top: np.ndarray, seed: int) -> None:
    bottom = np.random.default_rng(seed).choice([0.0, 1.0, 4.0, math.nan], top.shape)
    found = kernel.ratio(top, bottom, 100)
    for at in np.ndindex(top.shape):
        n, d = top[at], bottom[at]
        if math.isnan(n) or math.isnan(d) or d == 0:
            assert math.isnan(found.value[at])
            assert found.divided_by_zero[at] == (d == 0 and not math.isnan(n))
        else:
            assert found.value[at] == 100 * n / d
            assert not found.divided_by_zero[at]


@given(PANEL, st.integers(1, 4), st.integers(1, 3))
def test_mean_of_years_takes_the_same_period_of_each(
    panel: np.ndarray, step: int, years: int
) -> None:
    found = kernel.mean_of_years(panel, step, years)
    for t, u in np.ndindex(panel.shape):
        back = [t - k * step for k in range(years)]
        wanted = math.nan if min(back) < 0 else sum(panel[b, u] for b in back) / years
        assert np.array_equal(found[t, u], wanted, equal_nan=True) or math.isclose(
            found[t, u], wanted
        )


@given(st.integers(-(10**7), 10**7), st.integers(0, 4), st.integers(0, 4), st.booleans())
def test_printed_is_what_a_clerk_writes(number: int, given_: int, decimals: int, cut: bool) -> None:
    exact = Decimal(number).scaleb(-given_)
    rule = ROUND_DOWN if cut else ROUND_HALF_UP
    wanted = exact.quantize(Decimal(1).scaleb(-decimals), rounding=rule)
    found = kernel.printed(float(exact), decimals, cut=cut)
    assert f"{float(found):.{decimals}f}" == f"{wanted + 0:.{decimals}f}".replace("-0." + "0" * decimals, "0." + "0" * decimals)  # fmt: skip


def test_printed_examples() -> None:
    assert kernel.printed(100 * 8528 / 8881, 2, cut=True) == 96.02
    assert kernel.printed(100 * 8528 / 8881, 2) == 96.03
    assert kernel.printed(0.285, 2) == 0.29
    assert kernel.printed(100 * 0.57, 0, cut=True) == 57
    assert math.isnan(kernel.printed(math.nan, 1))


@pytest.mark.parametrize(
    ("value", "worst", "best", "score"),
    [(30, 30, 80, 0), (80, 30, 80, 100), (55, 30, 80, 50), (10, 30, 80, 0), (99, 30, 80, 100),
     (60, 60, 15, 0), (15, 60, 15, 100), (37.5, 60, 15, 50)],
)  # fmt: skip
def test_goalposts(value: float, worst: float, best: float, score: float) -> None:
    assert kernel.goalpost_score(value, worst, best) == pytest.approx(score)
    assert math.isnan(kernel.goalpost_score(math.nan, worst, best))


def test_goalposts_that_are_one_post_divide_by_0() -> None:
    with pytest.raises(ValueError, match="divide by 0"):
        kernel.goalpost_score([1.0], 5, 5)


@given(ROW, st.lists(st.integers(0, 5), unique=True, max_size=4))
def test_band_is_the_first_whose_end_is_reached(values: np.ndarray, ends: list[int]) -> None:
    ends = sorted(ends)
    found = kernel.band(values, ends)
    for value, at in zip(values, found, strict=True):
        if math.isnan(value):
            assert at == -1
            continue
        wanted = next((i for i, end in enumerate(ends) if value <= end), len(ends))
        assert at == wanted


def test_scores_of_classes_and_classes_of_scores() -> None:
    assert kernel.class_score([0, 1, 2, -1], 3)[:3].tolist() == [100, 50, 0]
    assert math.isnan(kernel.class_score([-1], 3)[0])
    least = (85.0, 70.0, 50.0, 0.0)
    found = kernel.score_class([100, 85, 84.9999, 70, 50, 0, math.nan], least)
    assert found.tolist() == [0, 0, 1, 1, 2, 3, -1]
    # a mean that misses 85 by the last bit is 85
    assert kernel.score_class([85 - 1e-12], least).tolist() == [0]
    with pytest.raises(ValueError, match="two classes"):
        kernel.class_score([0], 1)


@given(
    st.lists(PANEL, min_size=1, max_size=1),
    st.lists(st.integers(0, 4), min_size=3, max_size=3).filter(any),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(0, 9),
)
def test_combine_is_the_mean_of_what_is_known(
    shapes: list[np.ndarray], weights: list[int], least: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    parts = [rng.choice([math.nan, 0.0, 20.0, 100.0], shapes[0].shape) for _ in weights]
    found = kernel.combine(parts, weights, least)
    for at in np.ndindex(shapes[0].shape):
        known = [
            (part[at], w)
            for part, w in zip(parts, weights, strict=True)
            if not math.isnan(part[at])
        ]
        weight = sum(w for _, w in known)
        if weight == 0 or weight < least * sum(weights) - 1e-12:
            assert math.isnan(found[at])
        else:
            assert math.isclose(found[at], sum(v * w for v, w in known) / weight)


def test_weights_of_nothing_divide_by_0() -> None:
    with pytest.raises(ValueError, match="divide by 0"):
        kernel.combine([np.ones((1, 1))], [0.0])
    with pytest.raises(ValueError, match="one weight per part"):
        kernel.combine([np.ones((1, 1))], [0.5, 0.5])


def _rank(values: list[float], at: int, direction: str, ties: str) -> float:
    mine = values[at]
    better = [v for v in values if not math.isnan(v) and (v < mine if direction == "fall" else v > mine)]  # fmt: skip
    if ties == "dense":
        return 1 + len(set(better))
    same = sum(v == mine for v in values)
    return 1 + len(better) + ((same - 1) / 2 if ties == "average" else 0)


@given(ROW, st.sampled_from(["fall", "rise"]), st.sampled_from(["dense", "min", "average"]))
def test_league_counts_who_is_better(values: np.ndarray, direction: str, ties: str) -> None:
    rank, tied = kernel.league(values, direction, ties)  # type: ignore[arg-type]
    for at, value in enumerate(values):
        if math.isnan(value):
            assert rank[at] == 0
            assert not tied[at]
        else:
            assert rank[at] == _rank(values.tolist(), at, direction, ties)
            assert tied[at] == (sum(v == value for v in values) > 1)


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(20, 40), st.integers(1, 6)),
               elements=st.integers(0, 4).map(float)),
    st.sampled_from(["fall", "rise"]),
    st.sampled_from([0.5, 0.8, 0.9]),
)  # fmt: skip
def test_rank_bounds_cut_the_same_number_of_draws_at_each_end(
    drawn: np.ndarray, direction: str, interval: float
) -> None:
    rank, _ = kernel.league(drawn[0], direction, "min")  # type: ignore[arg-type]
    low, high = kernel.rank_bounds(drawn, rank, direction, interval)  # type: ignore[arg-type]
    cut = int((1 - interval) / 2 * len(drawn) + 1e-9)
    for unit in range(drawn.shape[1]):
        best, worst = [], []
        for row in drawn:
            ahead = sum(v < row[unit] if direction == "fall" else v > row[unit] for v in row)
            best.append(1 + ahead)
            worst.append(ahead + sum(v == row[unit] for v in row))
        assert low[unit] == min(sorted(best)[cut], rank[unit])
        assert high[unit] == max(sorted(worst)[len(drawn) - 1 - cut], rank[unit])


def test_rank_bounds_want_a_value_for_every_rank() -> None:
    with pytest.raises(ValueError, match="no value in a draw"):
        kernel.rank_bounds(np.array([[math.nan, 1.0]]), [1, 2], "fall", 0.9)
    low, high = kernel.rank_bounds(np.full((5, 2), math.nan), [0, 0], "fall", 0.9)
    assert (low.tolist(), high.tolist()) == ([0, 0], [0, 0])


def test_alike_units_share_a_group() -> None:
    # 1 and 2 overlap, 3 stands alone, the last has no data
    group = kernel.alike([1, 2, 3, 0], [1, 1, 3, 0], [2, 2, 3, 0])
    assert group.tolist() == [1, 1, 2, 0]
    # a group reaches as far as its first: 3 overlaps 2, but not 1
    assert kernel.alike([1, 2, 3], [1, 2, 3], [2, 3, 3]).tolist() == [1, 1, 2]


@given(
    hnp.arrays(np.bool_, st.tuples(st.integers(1, 8), st.integers(1, 3))),
    st.integers(1, 4),
    st.integers(0, 3),
)
def test_of_last_counts_the_periods_behind(held: np.ndarray, of: int, more: int) -> None:
    within = of + more
    found = kernel.of_last(held, of, within)
    for t, u in np.ndindex(held.shape):
        assert found[t, u] == (sum(held[max(0, t - within + 1) : t + 1, u]) >= of)
    assert np.array_equal(kernel.running(held, of), kernel.of_last(held, of, of))


def test_what_can_never_be_reached_is_refused() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        kernel.of_last(np.ones((2, 2)), 3, 2)


@given(PANEL, st.sampled_from(["fall", "rise"]), st.integers(1, 3))
def test_last_places(panel: np.ndarray, direction: str, places: int) -> None:
    found = kernel.last_places(panel, direction, places)  # type: ignore[arg-type]
    for t, u in np.ndindex(panel.shape):
        mine = panel[t, u]
        worse = sum(v > mine if direction == "fall" else v < mine for v in panel[t])
        better = sum(v < mine if direction == "fall" else v > mine for v in panel[t])
        # who shares the first place is never among the last
        assert found[t, u] == (not math.isnan(mine) and worse < places and better > 0)


def test_nobody_is_last_where_all_are_equal() -> None:
    """A month without any event puts no unit behind another."""
    assert not kernel.last_places([[0.0, 0.0, 0.0], [math.nan, 5.0, math.nan]], "fall", 1).any()
    assert kernel.last_places([[0.0, 0.0, 1.0]], "fall", 2).tolist() == [[False, False, True]]


@given(hnp.arrays(np.bool_, st.tuples(st.just(3), st.integers(1, 9), st.integers(1, 3))))
def test_escalation_rises_by_one_and_skips_no_step(reached: np.ndarray) -> None:
    found = kernel.escalation(reached)
    for unit in range(reached.shape[2]):
        now = 0
        for t in range(reached.shape[1]):
            wanted = [step + 1 for step in range(3) if reached[step, t, unit]]
            if not wanted:
                now = 0
            elif max(wanted) > now:
                now += 1
            assert found[t, unit] == now


def test_deadlines_warn_before_and_are_overdue_after() -> None:
    due = np.array([100.0] * 6)
    done = np.array([math.nan, math.nan, math.nan, math.nan, 95.0, 120.0])
    for day, wanted in (
        (69, [kernel.WAITING] * 6),
        (70, [kernel.WARNED] * 6),
        (95, [kernel.WARNED] * 4 + [kernel.DONE, kernel.WARNED]),
        (100, [kernel.WARNED] * 4 + [kernel.DONE, kernel.WARNED]),
        (101, [kernel.OVERDUE] * 4 + [kernel.DONE, kernel.OVERDUE]),
        (120, [kernel.OVERDUE] * 4 + [kernel.DONE, kernel.DONE]),
    ):
        assert kernel.deadline_state(due, done, day, 30).tolist() == wanted
