"""Rate ratios against scipy's exact binomial test and against their own coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from geo import change

NAN = float("nan")
INF = float("inf")


@pytest.mark.parametrize("interval", [0.8, 0.95])
def test_interval_equals_the_exact_binomial_test(interval: float) -> None:
    rng = np.random.default_rng(1)
    for o1, o0 in [*rng.integers(0, 60, (60, 2)).tolist(), [0, 9], [9, 0], [5, 0], [0, 5]]:
        e1, e0 = rng.uniform(0.2, 9, 2)
        found = change.rate_ratio(o1, e1, o0, e0, interval)
        if max(o1, o0) < 5:
            assert np.isnan(found.ratio)
            continue
        limits = stats.binomtest(o1, o1 + o0).proportion_ci(interval, method="exact")
        low = limits.low / (1 - limits.low) * e0 / e1
        assert found.low == pytest.approx(low, rel=1e-9)
        if o0:
            assert found.ratio == pytest.approx((o1 / e1) / (o0 / e0))
            high = limits.high / (1 - limits.high) * e0 / e1
            assert found.high == pytest.approx(high, rel=1e-9)
        else:
            assert found.ratio == found.high == INF


def test_interval_covers_at_least_as_often_as_it_says() -> None:
    """Exactly, by summing the Poisson probabilities of every pair that misses."""
    count = np.arange(120)
    o1, o0 = np.meshgrid(count, count, indexing="ij")
    for mean, ratio in ((8, 1.0), (20, 1.0), (15, 2.0), (30, 0.5)):
        found = change.rate_ratio(o1, 1.0, o0, 1.0)
        weight = np.outer(stats.poisson.pmf(count, mean * ratio), stats.poisson.pmf(count, mean))
        known = ~np.isnan(found.low)
        hit = known & (found.low <= ratio) & (ratio <= found.high)
        assert weight[hit].sum() / weight[known].sum() >= 0.95


@pytest.mark.parametrize(("o1", "o0", "known"), [(4, 4, 0), (0, 0, 0), (5, 0, 1), (0, 5, 1)])
def test_never_a_bare_ratio_on_fewer_than_five(o1: int, o0: int, known: int) -> None:
    found = change.rate_ratio(o1, 1, o0, 1)
    assert [not np.isnan(v) for v in (found.ratio, found.low, found.high)] == [bool(known)] * 3


@pytest.mark.parametrize("exposure", [0.0, NAN, INF])
def test_no_exposure_no_ratio(exposure: float) -> None:
    for found in (
        change.rate_ratio(9, exposure, 9, 1),
        change.rate_ratio(9, 1, 9, exposure),
        change.rate_ratio(9, exposure, 0, 1),
        change.rate_ratio(0, exposure, 9, 1),
    ):
        assert all(np.isnan(v) for v in (found.ratio, found.low, found.high))


def test_swapping_the_periods_inverts_the_ratio() -> None:
    one = change.rate_ratio([8, 30, 5], [1, 2, 3.0], [5, 4, 60], 2.5)
    other = change.rate_ratio([5, 4, 60], 2.5, [8, 30, 5], [1, 2, 3.0])
    np.testing.assert_allclose(one.ratio, 1 / other.ratio)
    np.testing.assert_allclose(one.low, 1 / other.high)
    np.testing.assert_allclose(one.high, 1 / other.low)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((-1, 1, 5, 1), "not negative"),
        ((6, -1, 5, 1), "not negative"),
        ((6, 1, 5, 1, 0), "interval"),
    ],
)
def test_wrong_input_says_what_is_wrong(arguments: tuple[float, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        change.rate_ratio(*arguments)
