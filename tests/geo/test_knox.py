"""Near-repeat: every pair by hand, exact expectation, permutations, bounds."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from geo.hotspots import Cancelled
from geo.hotspots import knox as near_repeat
from geo.hotspots.knox import knox

FAR = (0, 1, 100, 200, 400)
LATE = (0, 1, 7, 14)


def band(value: float, edges: tuple[float, ...]) -> int | None:
    for k, (low, high) in enumerate(itertools.pairwise(edges)):
        if low <= value < high:
            return k
    return None


def twin(x: Any, y: Any, days: Any, far: Any, late: Any) -> np.ndarray[Any, Any]:
    """Every pair."""
    table = np.zeros((len(far) - 1, len(late) - 1), int)
    for i, j in itertools.combinations(range(len(x)), 2):
        d = band(math.hypot(x[i] - x[j], y[i] - y[j]), far)
        t = band(abs(days[i] - days[j]), late)
        if d is not None and t is not None:
            table[d, t] += 1
    return table


def events(seed: int, n: int, whole: bool = True) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    days = rng.random(n) * 30
    # whole metres: a distance on the edge of a band is on it exactly
    return (
        rng.integers(0, 9, n) * 50.0,
        rng.integers(0, 9, n) * 50.0,
        np.floor(days) if whole else days,
    )


@settings(max_examples=60)
@given(
    st.integers(0, 10**6),
    st.integers(0, 40),
    st.booleans(),
    st.sampled_from([FAR, (50, 150), (0, 250, 251)]),
    st.sampled_from([LATE, (2, 5, 30), (0, 0.5)]),
)
def test_every_pair_is_in_its_band(seed: int, n: int, whole: bool, far: Any, late: Any) -> None:
    x, y, days = events(seed, n, whole)
    found = knox(x, y, days, far, late, replicates=3)
    np.testing.assert_array_equal(found.observed, twin(x, y, days, far, late))
    # in the mean over all permutations
    by_distance = twin(x, y, days * 0, far, (0, 1))[:, 0]
    by_time = twin(x * 0, y * 0, days, (0, 1), late)[0]
    pairs = max(1, n * (n - 1) // 2)
    np.testing.assert_allclose(found.expected, np.outer(by_distance, by_time) / pairs)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(found.ratio, found.observed / found.expected)
    assert found.events == n


def test_expected_is_the_mean_of_all_permutations() -> None:
    x, y, days = events(4, 6)
    tables = [twin(x, y, days[list(p)], FAR, LATE) for p in itertools.permutations(range(6))]
    np.testing.assert_allclose(
        knox(x, y, days, FAR, LATE, replicates=0).expected, np.mean(tables, 0)
    )


def test_p_is_the_share_of_permutations_with_as_many() -> None:
    x, y, days = events(5, 7)
    observed = twin(x, y, days, FAR, LATE)
    every = [
        twin(x, y, days[list(p)], FAR, LATE) >= observed for p in itertools.permutations(range(7))
    ]
    exact = np.mean(every, axis=0)
    found = knox(x, y, days, FAR, LATE, replicates=3000, seed=2)
    slack = 4.5 * np.sqrt(exact * (1 - exact) / 3000) + 1 / 3000
    assert np.all(np.abs(found.p - exact) <= slack)
    assert np.all(found.p >= 1 / 3001)
    assert np.all(np.isnan(knox(x, y, days, FAR, LATE, replicates=0).p))


def test_planted_repeats_are_found_where_they_are() -> None:
    rng = np.random.default_rng(1)
    n = 1500
    x, y, days = rng.random(n) * 9000, rng.random(n) * 9000, np.floor(rng.random(n) * 365)
    again = rng.choice(n, 90, replace=False)
    x = np.append(x, x[again] + rng.normal(0, 30, 90))
    y = np.append(y, y[again] + rng.normal(0, 30, 90))
    days = np.append(days, days[again] + rng.integers(1, 7, 90))
    found = knox(x, y, days, (0, 100, 500, 1000), (0, 7, 14, 28), replicates=199, seed=1)
    assert found.p[0, 0] == 1 / 200
    assert found.ratio[0, 0] > 3
    assert (found.p[1:, 1:] > 0.01).all()


def test_no_repeats_are_found_where_there_are_none() -> None:
    rng = np.random.default_rng(3)
    small = 0
    for seed in range(100):
        x, y, days = rng.random(120) * 900, rng.random(120) * 900, np.floor(rng.random(120) * 60)
        found = knox(x, y, days, (0, 100), (0, 7), replicates=99, seed=seed)
        small += bool(found.p[0, 0] <= 0.05)
    assert small <= stats.binom.ppf(0.999, 100, 0.05)


def test_same_seed_same_answer() -> None:
    x, y, days = events(6, 60)
    one, two, other = (knox(x, y, days, FAR, LATE, replicates=50, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.p, two.p)
    assert not np.array_equal(one.p, other.p)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, days = events(7, 120, False)
    one = knox(x, y, days, FAR, LATE, replicates=5)
    monkeypatch.setattr(near_repeat, "_BLOCK", 7)
    two = knox(x, y, days, FAR, LATE, replicates=5)
    np.testing.assert_array_equal(one.observed, two.observed)
    np.testing.assert_allclose(one.expected, two.expected)


def test_progress_and_giving_up() -> None:
    x, y, days = events(8, 50)
    told: list[float] = []
    knox(x, y, days, FAR, LATE, replicates=4, progress=told.append)
    assert told == [0.25, 0.5, 0.75, 1.0]
    with pytest.raises(Cancelled):
        knox(x, y, days, FAR, LATE, replicates=4, cancelled=lambda: True)
    with pytest.raises(Cancelled):
        knox(
            x,
            y,
            days,
            FAR,
            LATE,
            replicates=9,
            progress=told.append,
            cancelled=lambda: len(told) > 6,
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"days": [1.0]}, "2 places"),
        ({"days": [1.0, math.nan]}, "finite"),
        ({"x": [1.0, math.inf]}, "finite"),
        ({"distances": [5]}, "2 to 256"),
        ({"distances": [0, 5, 5]}, "ascending"),
        ({"times": [-1, 5]}, "ascending"),
        ({"times": [0, math.inf]}, "2 to 256"),
        ({"replicates": -1}, "not negative"),
        ({"max_pairs": 0}, "1 pairs are nearer"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], words: str) -> None:
    good = {"x": [0.0, 1.0], "y": [0.0, 1.0], "days": [0, 1], "distances": FAR, "times": LATE}
    with pytest.raises(ValueError, match=words):
        knox(**(good | change))
