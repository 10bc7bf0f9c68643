"""Emerging hotspots: the definitions one by one, a plain twin, the trend against scipy."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.hotspots import emerging as em
from geo.hotspots import gi
from geo.hotspots.emerging import classify, emerging, mann_kendall


def kendall(x: list[float]) -> tuple[float, float]:
    """Kendall 1975 pair by pair."""
    known = [v for v in x if not math.isnan(v)]
    n = len(known)
    if n < 3:
        return math.nan, math.nan
    s = sum((b > a) - (b < a) for a, b in itertools.combinations(known, 2))
    ties = sum(u * (u - 1) * (2 * u + 5) for u in (known.count(v) for v in set(known)))
    variance = (n * (n - 1) * (2 * n + 5) - ties) / 18
    z = (s - (s > 0) + (s < 0)) / math.sqrt(variance) if variance else 0.0
    return z, math.erfc(abs(z) / math.sqrt(2))


values = st.one_of(st.integers(-3, 3).map(float), st.just(math.nan), st.floats(-9, 9))


@given(st.lists(values, min_size=1, max_size=15))
def test_trend_is_kendalls(x: list[float]) -> None:
    z, p = mann_kendall(np.array(x)[:, None])
    np.testing.assert_allclose((z[0], p[0]), kendall(x), rtol=1e-9, atol=1e-12)


def test_a_known_trend() -> None:
    """Twelve rising values: S = 66, Var = 12·11·29/18, z = 65 / 14.583."""
    z, p = mann_kendall(np.arange(12.0)[:, None])
    assert z[0] == pytest.approx(65 / math.sqrt(12 * 11 * 29 / 18))
    assert p[0] < 1e-4


def spelled(z: list[float], state: list[int]) -> int:
    """The module's definitions, read from the top."""
    trend, p = kendall(z)
    known = sum(not math.isnan(v) for v in z)
    now = state[-1]
    for sign in (1, -1):
        on = [s == sign for s in state]
        most = known > 0 and sum(on) >= 0.9 * known
        if now == sign:
            run = len(list(itertools.takewhile(bool, reversed(on))))
            if sum(on) == 1:
                return sign * em.NEW
            if most and p <= 0.05:
                return sign * (em.INTENSIFYING if sign * trend > 0 else em.DIMINISHING)
            if most:
                return sign * em.PERSISTENT
            if run == sum(on):
                return sign * em.CONSECUTIVE
            if -sign in state:
                return sign * em.OSCILLATING
            return sign * em.SPORADIC
        if now == 0 and most:
            return sign * em.HISTORICAL
    return em.NONE


@given(st.integers(1, 14), st.integers(0, 10**6), st.sampled_from([0.1, 0.5, 0.9, 0.97]))
def test_every_cell_has_the_category_as_spelled(steps: int, seed: int, often: float) -> None:
    rng = np.random.default_rng(seed)
    n = 12
    state = np.where(rng.random((steps, n)) < often, rng.choice([1, 1, 1, -1], n), 0)
    state[rng.random((steps, n)) < 0.05] *= -1
    z = (
        state * 3
        + rng.normal(size=(steps, n))
        + np.outer(np.arange(steps), rng.choice([-0.5, 0, 0.5], n))
    )
    missing = rng.random((steps, n)) < 0.05
    z[missing], state[missing] = math.nan, 0
    got = classify(z, state)
    want = [spelled(z[:, i].tolist(), state[:, i].tolist()) for i in range(n)]
    assert got.tolist() == want
    np.testing.assert_array_equal(classify(-z, -state), -got)


UP, DOWN, FLAT = np.arange(10.0), -np.arange(10.0), np.tile([0.0, 1.0], 5)
CASES: list[tuple[str, str, Any]] = [
    ("new", "0000000001", FLAT),
    ("new", "---------1".replace("-", "c"), FLAT),
    ("consecutive", "0000000011", FLAT),
    ("consecutive", "0000111111", FLAT),
    ("intensifying", "1111111111", UP),
    ("intensifying", "0111111111", UP),
    ("diminishing", "1111111111", DOWN),
    ("persistent", "1111111111", FLAT),
    ("persistent", "1111101111", FLAT),
    ("sporadic", "1010100001", FLAT),
    ("sporadic", "0110000011", FLAT),
    ("oscillating", "0c10000011", FLAT),
    ("historical", "1111111110", FLAT),
    ("none", "1111111100", FLAT),
    ("none", "0000000000", FLAT),
]


@pytest.mark.parametrize(("name", "steps", "z"), CASES)
def test_each_category(name: str, steps: str, z: Any) -> None:
    state = np.array([{"0": 0, "1": 1, "c": -1}[s] for s in steps])[:, None]
    for sign in (1, -1):
        got = int(classify(sign * z[:, None], sign * state)[0])
        assert got == sign * em.CATEGORIES.index(name)


def test_cold_now_after_much_heat_is_a_cold_spot() -> None:
    state = np.array([1] * 9 + [-1])[:, None]
    assert classify(FLAT[:, None], state)[0] == -em.NEW
    state[0] = -1
    assert classify(FLAT[:, None], state)[0] == -em.OSCILLATING


def test_a_growing_hotspot_on_a_map() -> None:
    rng = np.random.default_rng(4)
    at = np.arange(900)
    x, y = at % 30, at // 30
    around = gi.band_neighbours(x, y, 1.5)
    panel = rng.normal(size=(12, 900))
    fire = np.hypot(x - 8, y - 8) <= 3
    fresh = np.hypot(x - 22, y - 22) <= 3
    ice = np.hypot(x - 22, y - 8) <= 3
    panel[:, fire] += np.linspace(2.0, 9, 12)[:, None]
    panel[-1, fresh] += 5
    panel[:, ice] -= 3
    found = emerging(panel, around)
    centre = {name: int(np.flatnonzero((x == a) & (y == b))[0]) for name, a, b in
              (("fire", 8, 8), ("fresh", 22, 22), ("ice", 22, 8))}  # fmt: skip
    names = found.names()
    assert names[centre["fire"]] == "hot: intensifying"
    assert names[centre["fresh"]] == "hot: new"
    assert names[centre["ice"]].startswith("cold: ")
    quiet = (
        ~(np.hypot(x - 8, y - 8) <= 5)
        & ~(np.hypot(x - 22, y - 22) <= 5)
        & ~(np.hypot(x - 22, y - 8) <= 5)
    )
    assert np.mean(found.category[quiet] == 0) > 0.9
    np.testing.assert_array_equal(found.state, gi.hot_and_cold(gi.gi_star(panel, around)))
    assert found.trend_p[centre["fire"]] < 0.05


def test_bad_input_is_named() -> None:
    around = gi.band_neighbours([0, 1], [0, 0], 1)
    with pytest.raises(ValueError, match="T ≥ 1"):
        emerging(np.zeros(2), around)
    with pytest.raises(ValueError, match="T ≥ 1"):
        classify(np.zeros((0, 2)), np.zeros((0, 2)))
    with pytest.raises(ValueError, match="shape"):
        mann_kendall([1.0, 2.0])
