"""Gi*: the golden vector, the formula cell by cell, neighbours, false discovery rate, residuals."""

from __future__ import annotations

import math
from typing import Any

import h3
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from geo import risk
from geo.hotspots import gi

NAN = math.nan


def test_golden_vector_to_eight_decimals() -> None:
    around = gi.band_neighbours([10, 20, 40, 15, 30, 30], [10, 10, 10, 20, 20, 30], 15)
    z = gi.gi_star([2, 3, 3.2, 5, 8, 7], around)
    want = [-1.39727626, -0.28917762, 0.65064964, -0.28917762, 1.23452088, 2.02424331]
    assert z.round(8).tolist() == want


def twin(x: Any, rows: list[list[int]]) -> list[float]:
    """METHODS 8 as it is written, over the cells that have data."""
    known = [i for i in range(len(x)) if not math.isnan(x[i])]
    n = len(known)
    mean = sum(x[i] for i in known) / n if n else NAN
    spread = math.sqrt(max(0.0, sum(x[i] ** 2 for i in known) / n - mean**2)) if n else NAN
    z = []
    for i in range(len(x)):
        near = [j for j in rows[i] if j in known]
        w = s1 = len(near)
        if i not in known:
            z.append(NAN)
        elif n < 2 or w == n or spread < 1e-9:
            z.append(0.0)
        else:
            z.append(
                (sum(x[j] for j in near) - mean * w)
                / (spread * math.sqrt((n * s1 - w**2) / (n - 1)))
            )
    return z


def rows_of(around: gi.Neighbours) -> list[list[int]]:
    return [
        around.indices[around.indptr[i] : around.indptr[i + 1]].tolist() for i in range(len(around))
    ]


@given(st.integers(0, 10**6), st.integers(1, 25), st.floats(0, 40), st.booleans())
def test_z_is_the_formula(seed: int, n: int, band: float, missing: bool) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 40, n), rng.integers(0, 40, n)
    around = gi.band_neighbours(x, y, band)
    rows = rows_of(around)
    for i in range(n):
        assert rows[i] == [j for j in range(n) if math.dist((x[i], y[i]), (x[j], y[j])) <= band]
    values = rng.normal(size=(3, n))
    values[1] = rng.integers(0, 2, n)
    if missing:
        values[rng.random((3, n)) < 0.3] = NAN
    before = values.copy()
    z = gi.gi_star(values, around)
    np.testing.assert_array_equal(values, before)
    for step in range(3):
        np.testing.assert_allclose(z[step], twin(values[step], rows), atol=1e-7)
        np.testing.assert_allclose(gi.gi_star(values[step], around), z[step])


def test_a_large_mean_costs_no_digits() -> None:
    around = gi.band_neighbours([10, 20, 40, 15, 30, 30], [10, 10, 10, 20, 20, 30], 15)
    values = np.array([2, 3, 3.25, 5, 8, 7])
    np.testing.assert_allclose(
        gi.gi_star(values + 2.0**24, around), gi.gi_star(values, around), atol=1e-9
    )


def test_equal_values_are_no_hotspot() -> None:
    around = gi.band_neighbours(np.arange(9), np.zeros(9), 1)
    assert gi.gi_star(np.full(9, 0.1), around).tolist() == [0.0] * 9
    assert gi.gi_star(np.full(9, 0.1) * 3e7, around).tolist() == [0.0] * 9
    assert np.isnan(gi.gi_star(np.full(9, NAN), around)).all()


def some_cells() -> np.ndarray[Any, Any]:
    names = h3.grid_disk("88309ba6b1fffff", 6)
    return np.random.default_rng(1).permutation(
        np.array([int(name, 16) for name in names], dtype=np.uint64)
    )


@pytest.mark.parametrize("k", [0, 1, 3])
def test_rings_are_those_of_the_library(k: int) -> None:
    cells = some_cells()[:90]
    at = {f"{int(c):x}": i for i, c in enumerate(cells)}
    rows = rows_of(gi.ring_neighbours(cells, k))
    for name, i in at.items():
        assert rows[i] == sorted(at[other] for other in h3.grid_disk(name, k) if other in at)
        assert i in rows[i]


def test_rings_around_a_pentagon() -> None:
    pentagon = h3.get_pentagons(6)[0]
    cells = np.array([int(c, 16) for c in h3.grid_disk(pentagon, 1)], dtype=np.uint64)
    around = gi.ring_neighbours(cells)
    assert len(cells) == 6
    assert np.diff(around.indptr).max() == 6


def test_bad_neighbours_are_named() -> None:
    cells = some_cells()
    with pytest.raises(ValueError, match="comes twice"):
        gi.ring_neighbours(np.append(cells, cells[3]))
    with pytest.raises(ValueError, match="k must"):
        gi.ring_neighbours(cells, -1)
    with pytest.raises(ValueError, match="shape"):
        gi.ring_neighbours(cells[None, :])
    with pytest.raises(ValueError, match="finite"):
        gi.band_neighbours([0, NAN], [0, 1], 1)
    with pytest.raises(ValueError, match="distance"):
        gi.band_neighbours([0, 1], [0, 1], -1)
    assert len(gi.ring_neighbours(np.zeros(0, np.uint64))) == 0
    around = gi.band_neighbours([0, 1], [0, 1], 1)
    with pytest.raises(ValueError, match="fit"):
        gi.gi_star([1.0], around)
    with pytest.raises(ValueError, match="finite"):
        gi.gi_star([1.0, math.inf], around)


@given(
    st.lists(st.one_of(st.floats(0, 1), st.just(NAN), st.floats(0, 0.01)), max_size=40),
    st.floats(0.01, 0.5),
)
def test_false_discovery_rate_is_that_of_scipy(p: list[float], q: float) -> None:
    values = np.array(p)
    picked = gi.fdr(values, q)
    known = ~np.isnan(values)
    assert not picked[~known].any()
    if known.any():
        adjusted = stats.false_discovery_control(values[known], method="bh")
        # at the very edge both are right
        sure = np.abs(adjusted - q) > 1e-12
        np.testing.assert_array_equal(picked[known][sure], (adjusted <= q)[sure])


def test_bad_p_values_are_named() -> None:
    with pytest.raises(ValueError, match="in \\[0, 1\\]"):
        gi.fdr([1.1])
    with pytest.raises(ValueError, match="q must"):
        gi.fdr([0.1], 0)
    with pytest.raises(ValueError, match="side is"):
        gi.p_values([1.0], "less")


def test_p_values() -> None:
    z = np.array([-1.5, 0.0, 2.0, NAN, 9.0])
    np.testing.assert_allclose(gi.p_values(z), 2 * stats.norm.sf(np.abs(z)))
    np.testing.assert_allclose(gi.p_values(z, "greater"), stats.norm.sf(z))


def test_hot_and_cold_step_by_step() -> None:
    z = np.array([[6.0, 0.1, -5.0, NAN], [1.0, 0.2, -1.0, 0.0]])
    assert gi.hot_and_cold(z).tolist() == [[1, 0, -1, 0], [0, 0, 0, 0]]
    assert gi.hot_and_cold(z[0]).tolist() == [1, 0, -1, 0]


def test_a_map_without_hotspots_has_few_false_ones() -> None:
    """With nothing there the chance that FDR .05 picks any cell is about .05; dependence lowers it."""
    rng = np.random.default_rng(6)
    around = gi.ring_neighbours(some_cells())
    any_ = sum(
        bool(gi.hot_and_cold(gi.gi_star(rng.normal(size=len(around)), around)).any())
        for _ in range(400)
    )
    assert any_ <= stats.binom.ppf(0.999, 400, 0.05)


def test_a_planted_hotspot_is_found_in_residuals_where_counts_mislead() -> None:
    rng = np.random.default_rng(2)
    cells = some_cells()
    around = gi.ring_neighbours(cells)
    far = [h3.grid_distance(f"{int(cells[0]):x}", f"{int(c):x}") >= 5 for c in cells]
    there = far.index(True)
    crowd, hot = int(cells[0]), int(cells[there])
    near = {
        name: np.isin(cells, [int(c, 16) for c in h3.grid_disk(f"{name:x}", 1)])
        for name in (crowd, hot)
    }
    assert not (near[crowd] & near[hot]).any()
    expected = np.where(near[crowd], 60.0, 6.0)
    observed = rng.poisson(expected * np.where(near[hot], 2.5, 1.0))
    by_count = gi.hot_and_cold(gi.gi_star(observed, around))
    for kind in ("standardised", "excess"):
        z = gi.gi_star(gi.residuals(observed, expected, kind=kind), around)
        assert gi.hot_and_cold(z)[there] == 1
        assert gi.hot_and_cold(z)[0] != 1
    assert by_count[0] == 1  # many people are no hotspot


def test_residuals() -> None:
    o, e = [4, 6, 2, 9, 0, 3, 5, 1], np.array([10, 15, 8, 12, 2, 9, 11, 5]) * 30 / 72
    alpha = float(risk.filter_panel([o], e).alpha[0])
    got = gi.residuals(o, e)
    np.testing.assert_allclose(got, (np.array(o) - e) / np.sqrt(e + e**2 / alpha))
    excess = gi.residuals(o, e, 2.0, kind="excess")
    np.testing.assert_allclose(excess, (2.0 + np.array(o)) / (2.0 + e) - 1)
    assert np.isnan(gi.residuals([1, 2, 3], [1, 0, NAN], 1.0)).tolist() == [False, True, True]
    for bad in (
        {"observed": [1], "expected": [1, 2]},
        {"observed": [-1], "expected": [1], "alpha": 1.0},
        {"observed": [-1], "expected": [1]},
        {"observed": [1], "expected": [-1], "alpha": 1.0},
        {"observed": [1], "expected": [1], "alpha": 0.0},
        {"observed": [1], "expected": [1], "kind": "raw"},
    ):
        with pytest.raises(ValueError, match=r"must be|negative|above 0|kind is"):
            gi.residuals(**bad)  # type: ignore[arg-type]


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.floats(0.5, 50))
def test_standardised_residuals_have_variance_one(seed: int, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    e = np.full(20_000, 7.0)
    o = rng.poisson(e * rng.gamma(alpha, 1 / alpha, e.size))
    assert gi.residuals(o, e, alpha).std() == pytest.approx(1, abs=0.1)
