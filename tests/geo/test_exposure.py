"""Shares and complexity against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo import exposure

NAN = float("nan")
# 0 / 0 is decided on, not met by accident
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
WEIGHTS = [[0.5, 0.5, 0, 0], [0, 0, 0.25, 0.75], [1 / 3, 1 / 3, 1 / 3, 0], [0, 0, 0, 1]]


def measures(seed: int, n: int, areas: int, gaps: float) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.lognormal(5, 1, (4, n))
    x[rng.random((4, n)) < gaps] = NAN
    x[rng.random((4, n)) < gaps] = 0.0
    return x, rng.integers(0, areas, n) * 10 - 3


def twin(x: Any, weights: Any, reference: Any) -> list[list[float]]:
    out = []
    for a in weights:
        used = [m for m in range(len(a)) if a[m] > 0]
        row = [NAN] * len(reference)
        for area in set(reference.tolist()):
            units = [
                i
                for i in range(len(reference))
                if reference[i] == area
                and all(x[m][i] == x[m][i] for m in used)
                and any(x[m][i] > 0 for m in used)
            ]
            total = {m: sum(x[m][i] for i in units) for m in used}
            if all(total[m] > 0 for m in used):
                for i in units:
                    row[i] = sum(a[m] * x[m][i] / total[m] for m in used)
        out.append(row)
    return out


cases = st.builds(
    measures,
    st.integers(0, 10_000),
    st.integers(1, 60),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.1, 0.6]),
)


@settings(max_examples=80, deadline=None)
@given(cases)
def test_shares_equal_the_twin_and_add_up_to_one(case: tuple[Any, Any]) -> None:
    x, reference = case
    shares = exposure.kind_shares(x, WEIGHTS, reference)
    np.testing.assert_allclose(shares, twin(x, WEIGHTS, reference), rtol=1e-12)
    for row in shares:
        for area in set(reference.tolist()):
            part = row[reference == area]
            if not np.isnan(part).all():
                assert np.nansum(part) == pytest.approx(1.0)


@settings(max_examples=40, deadline=None)
@given(cases, st.floats(1e-3, 1e3))
def test_unit_of_a_measure_does_not_matter(case: tuple[Any, Any], scale: float) -> None:
    x, reference = case
    one = exposure.kind_shares(x, WEIGHTS, reference)
    other = exposure.kind_shares(x * np.array([[scale], [1], [1], [1]]), WEIGHTS, reference)
    np.testing.assert_allclose(one, other, rtol=1e-9)


def test_missing_or_zero_is_no_data() -> None:
    x = [[10, 30, 0, NAN, 0], [10, 10, 20, 5, 0]]
    shares = exposure.kind_shares(x, [[1, 0], [0.5, 0.5]], [1] * 5)
    np.testing.assert_allclose(shares[0], [0.25, 0.75, NAN, NAN, NAN])
    np.testing.assert_allclose(shares[1], [0.25, 0.5, 0.25, NAN, NAN])


def test_a_measure_that_is_nowhere_is_missing_in_that_area_only() -> None:
    shares = exposure.kind_shares([[0, 0, 2, 2], [1, 1, 1, 3]], [[0.5, 0.5]], list("aabb"))
    np.testing.assert_allclose(shares, [[NAN, NAN, 0.375, 0.625]])


def test_complexity_equals_the_formula() -> None:
    x, reference = measures(4, 40, 2, 0.0)
    shares = exposure.kind_shares(x, WEIGHTS, reference)
    index = exposure.complexity(shares, reference)
    for i in range(40):
        units = int((reference == reference[i]).sum())
        assert index[i] == pytest.approx(100 * units * sum(shares[k, i] for k in range(4)) / 4)
    for area in set(reference.tolist()):
        assert index[reference == area].mean() == pytest.approx(100.0)


def test_complexity_of_a_unit_with_gaps_uses_what_is_known() -> None:
    index = exposure.complexity([[0.5, 0.5, NAN, NAN], [0.2, 0.4, 0.4, NAN]], [0] * 4)
    np.testing.assert_allclose(index, [(100 + 60) / 2, (100 + 120) / 2, 120, NAN])


def test_no_units_at_all() -> None:
    assert exposure.kind_shares(np.zeros((2, 0)), [[0.5, 0.5]], []).shape == (1, 0)
    assert exposure.complexity(np.zeros((2, 0)), []).shape == (0,)


@pytest.mark.parametrize(
    ("x", "weights", "reference", "complaint"),
    [
        ([1, 2], [[1]], [0, 0], "fit together"),
        ([[1, 2]], [[0.5, 0.5]], [0, 0], "fit together"),
        ([[1, -2]], [[1]], [0, 0], r"exposures\[0, 1\] is -2"),
        ([[1, float("inf")]], [[1]], [0, 0], r"exposures\[0, 1\] is inf"),
        ([[1, 2]], [[0.9]], [0, 0], "add up to 1"),
        ([[1, 2], [1, 2]], [[1.5, -0.5]], [0, 0], "add up to 1"),
        ([[1, 2]], [[1]], [0], r"reference must have shape \(2,\)"),
    ],
)
def test_wrong_input_says_what_is_wrong(
    x: Any, weights: Any, reference: Any, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        exposure.kind_shares(x, weights, reference)


def test_wrong_shares_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"\(K, n\)"):
        exposure.complexity([0.5, 0.5], [0, 0])
