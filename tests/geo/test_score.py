"""The composite against plain loops; contributions, veto, index."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo import risk, score

NAN = float("nan")
HARM = (100.0, 5.0, 1.0)


def counts(seed: int, n: int = 40, periods: int = 6) -> tuple[Any, Any, Any, Any]:
    """Three kinds of different frequency: observed, expected, colours, harm."""
    rng = np.random.default_rng(seed)
    observed, expected, seen = [], [], []
    for mean in (0.1, 2.0, 15.0):
        c = rng.lognormal(0, 0.8, n)
        o = rng.poisson(mean * n * c / c.sum() * rng.gamma(3, 1 / 3, n), (periods, n))
        found = risk.filter_panel(o, c)
        alpha = risk.unit_alpha(found.alpha, found.flags)
        observed.append(o)
        expected.append(found.expected)
        seen.append(risk.colour_panel(alpha, found.s, found.x)[0])
    return np.array(observed, float), np.array(expected), np.array(seen), HARM


def twin_contributions(o: Any, e: Any, w: Any, k: Any, alpha: float, t: int, i: int) -> list[float]:
    """METHODS 5 for one unit, period by period, forward."""
    kinds = range(len(w))
    s_kind = [0.0 for _ in kinds]
    x_kind = [0.0 for _ in kinds]
    x = 0.0
    for u in range(t + 1):
        known = [j for j in kinds if not np.isnan(e[j][u][i])]
        f = sum(w[j] * e[j][u][i] for j in known)
        v = sum(w[j] ** 2 * e[j][u][i] for j in known)
        worth = f / v if v > 0 else 0.0
        for j in kinds:
            s_kind[j] *= k[u][i]
            x_kind[j] *= k[u][i]
            if j in known:
                s_kind[j] += worth * w[j] * o[j][u][i]
                x_kind[j] += worth * w[j] * e[j][u][i]
        x = k[u][i] * x + worth * f
    return [(s_kind[j] - x_kind[j]) / (alpha + x) for j in kinds]


def test_effective_counts_equal_the_formula() -> None:
    o, e, _, w = counts(1)
    found = score.effective(o, e, w)
    for t, i in ((0, 0), (3, 7), (5, 39)):
        total = sum(w[j] * o[j, t, i] for j in range(3))
        f = sum(w[j] * e[j, t, i] for j in range(3))
        v = sum(w[j] ** 2 * e[j, t, i] for j in range(3))
        assert found.observed[t, i] == pytest.approx(total * f / v)
        assert found.expected[t, i] == pytest.approx(f * f / v)


def test_effective_count_has_the_variance_of_a_count() -> None:
    rng = np.random.default_rng(2)
    e = np.array([0.2, 3.0, 9.0])[:, None, None] * np.ones((3, 1, 200_000))
    found = score.effective(rng.poisson(e), e, HARM)
    assert found.observed.mean() == pytest.approx(found.expected[0, 0], rel=0.02)
    assert found.observed.var() == pytest.approx(found.expected[0, 0], rel=0.05)


def test_one_kind_alone_is_that_kind() -> None:
    o, e, seen, _ = counts(3)
    overall = score.composite(o[2:], e[2:], [7.0], np.zeros_like(seen[2:]))
    alone = risk.filter_expected(o[2], e[2])
    np.testing.assert_allclose(overall.s, alone.s)
    np.testing.assert_allclose(overall.alpha, alone.alpha, rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 100))
def test_scale_of_the_harm_weights_does_not_matter(seed: int, scale: float) -> None:
    o, e, seen, w = counts(seed, n=20, periods=3)
    one = score.composite(o, e, w, seen)
    other = score.composite(o, e, np.array(w) * scale, seen)
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 5), st.booleans())
def test_contributions_add_up(seed: int, t: int, spoiled: bool) -> None:
    o, e, seen, w = counts(seed)
    if spoiled:
        e[0, :, :5] = NAN
        o[2, 3:, 9] += 5000
    found = score.composite(o, e, w, seen)
    alpha = risk.unit_alpha(found.alpha, found.flags)
    parts = score.contributions(o, e, w, found.k, alpha[t], ord=t)
    np.testing.assert_allclose(parts.sum(axis=0), found.theta[t] - 1, atol=1e-9, rtol=0)


def test_contributions_equal_the_twin_and_work_for_one_unit() -> None:
    o, e, seen, w = counts(5)
    e[1, :, 4] = NAN
    o[2, 3:, 9] += 5000
    found = score.composite(o, e, w, seen)
    alpha = risk.unit_alpha(found.alpha, found.flags)
    assert found.flags[3, 9] & risk.CHECK
    for t in (0, 2, 5):
        every = score.contributions(o, e, w, found.k, alpha[t], ord=t)
        for i in (0, 4, 9, 39):
            want = twin_contributions(o, e, w, found.k, alpha[t, i], t, i)
            np.testing.assert_allclose(every[:, i], want, atol=1e-12)
            one = slice(i, i + 1)
            alone = score.contributions(
                o[:, : t + 1, one], e[:, : t + 1, one], w, found.k[: t + 1, one], alpha[t, i]
            )
            np.testing.assert_allclose(alone[:, 0], want, atol=1e-12)


def test_a_unit_without_any_exposure_is_no_data() -> None:
    o, e, seen, w = counts(6)
    e[:, :, 3] = NAN
    seen[:, :, 3] = risk.NONE
    found = score.composite(o, e, w, seen)
    assert np.isnan(found.theta[:, 3]).all()
    assert np.isnan(found.observed[:, 3]).all()
    assert (found.colours[:, 3] == risk.NONE).all()
    assert not found.flags[:, 3].any()
    assert np.isnan(score.contributions(o, e, w, found.k, found.alpha[-1])[:, 3]).all()
    assert not np.isnan(np.delete(found.theta, 3, axis=1)).any()


def test_a_kind_that_is_missing_is_left_out_with_its_events() -> None:
    o, e, _, w = counts(7)
    e[0, :, 3] = NAN
    o[0, :, 3] = 900
    found = score.effective(o, e, w)
    want = score.effective(o[1:, :, 3:4], e[1:, :, 3:4], w[1:])
    np.testing.assert_allclose(found.observed[:, 3:4], want.observed)


def test_nothing_expected_is_blue_not_an_error() -> None:
    zero = np.zeros((3, 2, 9))
    found = score.composite(zero, zero, HARM, np.full(zero.shape, risk.BLUE))
    assert (found.theta == 1).all()
    assert (found.colours == risk.BLUE).all()
    assert (score.contributions(zero, zero, HARM, found.k, found.alpha[-1]) == 0).all()


def test_red_in_one_kind_lifts_to_orange_and_says_so() -> None:
    o, e, seen, w = counts(8)
    seen[:] = risk.BLUE
    plain = score.composite(o, e, w, seen)
    i = int(np.flatnonzero(plain.colours[2] == risk.BLUE)[0])
    seen[1, 2, i] = risk.RED
    lifted = score.composite(o, e, w, seen)
    assert lifted.colours[2, i] == risk.ORANGE
    assert lifted.flags[2, i] == plain.flags[2, i] | risk.VETO
    same = np.ones(plain.colours.shape, dtype=bool)
    same[2, i] = False
    np.testing.assert_array_equal(lifted.colours[same], plain.colours[same])
    np.testing.assert_array_equal(lifted.flags[same], plain.flags[same])


def test_what_is_orange_already_is_not_called_raised() -> None:
    o, e, seen, w = counts(11)
    seen[:] = risk.BLUE
    plain = score.composite(o, e, w, seen)
    assert (plain.colours == risk.ORANGE).any()
    seen[:] = risk.RED
    found = score.composite(o, e, w, seen)
    raised = (found.flags & risk.VETO) > 0
    np.testing.assert_array_equal(raised, plain.colours < risk.ORANGE)


def test_the_veto_never_lowers_a_colour() -> None:
    o, e, seen, w = counts(9)
    o[:, :, 0] = 10 * e[:, :, 0] + 20
    seen[:] = risk.RED
    found = score.composite(o, e, w, seen)
    assert found.colours[-1, 0] == risk.RED
    assert not found.flags[-1, 0] & risk.VETO
    assert (found.colours >= risk.ORANGE).all()


def test_index_has_fixed_goalposts() -> None:
    found = score.governance_index([0.0, 0.25, 0.5, 2**-0.5, 1, 2**0.5, 2, 5, NAN])
    np.testing.assert_allclose(found[:-1], [0, 0, 0, 25, 50, 75, 100, 100])
    assert np.isnan(found[-1])


def test_wrong_input_says_what_is_wrong() -> None:
    o, e, seen, w = counts(10)
    with pytest.raises(ValueError, match=r"\(K, T, n\)"):
        score.effective(o[0], e[0], w)
    with pytest.raises(ValueError, match=r"harm must have shape \(3,\)"):
        score.effective(o, e, [1.0])
    for bad in ([0.0, 0, 0], [1.0, -1, 1], [NAN, 1, 1]):
        with pytest.raises(ValueError, match="harm weights"):
            score.effective(o, e, bad)
    with pytest.raises(ValueError, match="kind_colours"):
        score.composite(o, e, w, seen[0])
    with pytest.raises(ValueError, match="k must have shape"):
        score.contributions(o, e, w, np.zeros((1, 1)), 2.0)
    with pytest.raises(IndexError):
        score.contributions(o, e, w, np.zeros(o.shape[1:]), 2.0, ord=6)
