"""Forecast: indices by hand, nothing known too early, shown only where it beats last year."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from geo import risk
from geo.forecast import YEAR, choose, forecast, judge, season, sign_flip

NAN = math.nan


def greedy(score: list[float], area: list[float], share: float) -> list[bool]:
    """Whole cells by falling density; what does not fit is passed over."""
    order = sorted(
        (i for i in range(len(score)) if not math.isnan(score[i])),
        key=lambda i: (-score[i] / area[i], i),
    )
    picked = [False] * len(score)
    room = share * sum(area) * (1 + 1e-9)
    for i in order:
        if area[i] <= room:
            picked[i] = True
            room -= area[i]
    return picked


@given(
    st.lists(
        st.tuples(st.one_of(st.integers(0, 5).map(float), st.just(NAN)), st.integers(1, 4)),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from([0.05, 0.1, 0.25, 0.5, 0.9]),
)
def test_the_densest_cells_are_chosen(cells: list[tuple[float, int]], share: float) -> None:
    score, area = [c[0] for c in cells], [float(c[1]) for c in cells]
    got = choose(score, area, share)
    assert got.tolist() == greedy(score, area, share)
    assert np.array(area)[got].sum() <= share * sum(area) * (1 + 1e-9)


def test_indices_by_hand() -> None:
    """Two months, four equal cells, one chosen: 3 of 8 events; the best choice had caught 4."""
    chosen = [[True, False, False, False], [False, True, False, False]]
    events = [[2, 1, 1, 0], [1, 1, 2, 0]]
    found = judge(chosen, events, np.ones(4))
    assert (found.hits, found.events) == (3, 8)
    assert found.by_month.tolist() == [2, 1]
    assert found.hit_rate == 3 / 8
    assert found.area_share == 0.25
    assert found.pai == pytest.approx((3 / 8) / (1 / 4))
    assert found.pei == pytest.approx(3 / 4)
    exact = stats.binomtest(3, 8).proportion_ci(method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))


@given(st.integers(0, 30), st.integers(0, 30))
def test_interval_is_the_exact_one(hits: int, more: int) -> None:
    found = judge([[True, False]], [[hits, more]], np.ones(2))
    if hits + more == 0:
        assert math.isnan(found.hit_rate)
        assert math.isnan(found.low)
        assert math.isnan(found.pei)
    else:
        exact = stats.binomtest(hits, hits + more).proportion_ci(method="exact")
        assert (found.low, found.high) == pytest.approx((exact.low, exact.high))


def test_choosing_all_or_nothing() -> None:
    all_ = judge([[True, True]], [[2, 3]], np.ones(2))
    assert (all_.pai, all_.pei, all_.hit_rate) == (1.0, 1.0, 1.0)
    nothing = judge([[False, False]], [[2, 3]], np.ones(2))
    assert math.isnan(nothing.pai)
    assert nothing.hits == 0


@given(st.lists(st.integers(-6, 6), max_size=9))
def test_sign_flip_counts_all_ways(differences: list[int]) -> None:
    every = [
        sum(s * d for s, d in zip(signs, differences, strict=True)) >= sum(differences)
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    assert sign_flip(differences) == pytest.approx(np.mean(every))


def test_season_is_drawn_towards_one_and_known_before() -> None:
    year = np.array([6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 18.0])
    factor = season(np.tile(year, 3))
    assert factor[:YEAR].tolist() == [1.0] * YEAR
    mean = year.mean()
    assert factor[12] == pytest.approx((1 + 6 / mean) / 2)
    assert factor[23] == pytest.approx((1 + 18 / mean) / 2)
    assert factor[35] == pytest.approx((1 + 2 * 18 / mean) / 3)
    changed = np.tile(year, 3)
    changed[20:] = 99
    np.testing.assert_array_equal(season(changed)[:21], factor[:21])
    assert season(np.zeros(30)).tolist() == [1.0] * 31


def static(seed: int, spread: float, n: int = 300, months: int = 36, mean: float = 1.0) -> Any:
    rng = np.random.default_rng(seed)
    theta = rng.gamma(1 / spread, spread, n) if spread else np.ones(n)
    return rng.poisson(mean * theta, (months, n))


def test_a_month_is_forecast_from_those_before_it() -> None:
    observed = static(1, 1.0)
    share = np.random.default_rng(2).gamma(3, 1, 300)
    whole = forecast(observed, share, held_out=6)
    for held in range(6):
        month = 30 + held
        before = forecast(observed[:month], share, held_out=1)
        assert observed[month][before.chosen].sum() == whole.model.by_month[held]
        last = choose(observed[month - 12 : month].sum(axis=0), np.ones(300), 0.1)
        assert observed[month][last].sum() == whole.last_year.by_month[held]
    changed = observed.copy()
    changed[35] = 0
    np.testing.assert_array_equal(
        forecast(changed, share, held_out=6).model.by_month[:5], whole.model.by_month[:5]
    )


def test_expected_is_level_times_season_times_risk() -> None:
    observed = static(3, 0.5)
    share = np.random.default_rng(4).gamma(3, 1, 300)
    share[7] = NAN
    found = forecast(observed, share)
    filtered = risk.filter_panel(observed, share)
    alpha = risk.unit_alpha(filtered.alpha, filtered.flags)[-1]
    theta = risk.relative_risk(alpha, filtered.s[-1], filtered.x[-1])
    want = share * filtered.rate[-12:].mean() * season(observed.sum(axis=1))[36] * theta
    np.testing.assert_allclose(found.expected, want)
    assert np.isnan(found.expected[7])
    assert not found.chosen[7]
    # about what a month has
    assert np.nansum(found.expected) == pytest.approx(observed.sum() / 36, rel=0.1)


def test_both_choose_the_same_area() -> None:
    found = forecast(static(5, 1.0), np.ones(300), area_share=0.05, held_out=4)
    assert found.model.area_share == found.last_year.area_share == 0.05
    assert found.chosen.sum() == 15
    assert found.model.events == found.last_year.events
    assert found.months == 4


def moving(seed: int) -> Any:
    """Hot cells that move every half year: a year's sum looks back too far."""
    rng = np.random.default_rng(seed)
    theta = np.ones((36, 300))
    for start in range(0, 36, 6):
        theta[start : start + 6, rng.choice(300, 15, replace=False)] = 9
    return rng.poisson(2.0 * theta)


def test_it_is_shown_where_it_wins() -> None:
    found = forecast(moving(6), np.ones(300), area_share=0.05, held_out=12)
    assert found.beats_last_year
    assert found.p <= 0.05
    assert found.model.pai > found.last_year.pai
    assert found.model.pei > found.last_year.pei


def test_it_is_not_shown_where_there_is_nothing_to_know() -> None:
    """Even risk: both choose at random; .05 of such maps at most look better by chance."""
    shown = sum(
        forecast(static(seed, 0.0, 100, 24), np.ones(100), held_out=12).beats_last_year
        for seed in range(200)
    )
    assert shown <= stats.binom.ppf(0.999, 200, 0.05)


def test_too_few_months_held_out_show_nothing() -> None:
    assert not forecast(moving(6), np.ones(300), area_share=0.05, held_out=4).beats_last_year


def test_areas_count() -> None:
    observed = np.tile([3, 3, 0, 0, 1, 1], (20, 1))
    found = forecast(observed, np.ones(6), [1.0, 9, 5, 5, 4, 4], area_share=0.36, held_out=2)
    # by density 0, 1, then 4 and 5; 1 and 9 leave nothing of 28 · .36
    assert found.chosen.tolist() == [True, True, False, False, False, False]
    assert found.model.area_share == found.last_year.area_share == pytest.approx(10 / 28)
    assert found.last_year.hits == 12
    small = forecast(observed, np.ones(6), [1.0, 9, 5, 5, 4, 4], area_share=0.2, held_out=2)
    assert small.chosen.tolist() == [True, False, False, False, True, False]
    assert not small.chosen[1]
    none = forecast(observed, np.ones(6), np.ones(6), area_share=0.1, held_out=2)
    assert not none.chosen.any()
    assert math.isnan(none.model.pai)
    assert not none.beats_last_year


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"observed": np.zeros(3)}, "shape"),
        ({"observed": np.zeros((17, 2))}, "17 months"),
        ({"held_out": 0}, "months"),
        ({"area": [1.0]}, "one \\(n,\\)"),
        ({"area": [1.0, 0.0]}, "above 0"),
        ({"area_share": 1.0}, "share of the area"),
        ({"share": [1.0]}, "share must"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], words: str) -> None:
    good: dict[str, Any] = {"observed": np.ones((18, 2)), "share": [1.0, 1.0]}
    with pytest.raises(ValueError, match=words):
        forecast(**(good | change))


def test_bad_choices_are_named() -> None:
    with pytest.raises(ValueError, match="choices"):
        judge([[True]], [[1, 2]], [1.0, 1.0])
