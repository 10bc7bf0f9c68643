"""Clusters across borders: the simulation of METHODS 9, and who sees what."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from geo.hotspots import Cancelled, pooled
from geo.hotspots.pooled import ONE, SEVERAL, TOGETHER, pooled_scan
from geo.hotspots.scan import Times, Windows, scan

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "border.py"


def load() -> ModuleType:
    """The benchmark is a script, not an installed package."""
    spec = importlib.util.spec_from_file_location("border", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["border"] = module
    spec.loader.exec_module(module)
    return module


table = load()


def test_together_they_see_what_each_alone_does_not() -> None:
    # 79 replicates show p = .05 exactly; the draw is always the same; the benchmark has 400 maps
    power = {r.case: r for r in table.power_rows(150, 79, 20260101)}
    missed = [str(row) for row in power.values() if not row.passed]
    assert not missed, "\n".join(missed)
    rows = {(r.case, r.what): r.measured for r in table.together_rows(30, 79, 20260101)}
    assert 0.3 <= rows["RR 2, mean 2", "four alone"] <= 0.55
    assert rows["RR 2, mean 1", "four alone"] <= 0.25
    for case, pooled_ in power.items():
        assert pooled_.measured >= 1.7 * rows[case, "four alone"]
        assert rows[case, "only visible together"] >= 0.3


def test_false_alarms_stay_in_the_budget_and_recording_is_no_cluster() -> None:
    even, factor, without = table.false_alarm_rows(80, 79, 20260101)
    assert even.passed, even
    assert factor.passed, factor
    assert without.measured > 0.4, without
    (alone,) = table.alone_rows(60, 79, 20260101)
    assert alone.measured <= stats.binom.ppf(0.999, 60, 0.05) / 60, alone


def test_the_command_prints_the_table_and_its_verdict(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "TABLES", (table.alone_rows,))
    assert table.main(["--smoke"]) == 0
    assert "all bars met" in capsys.readouterr().out
    monkeypatch.setattr(
        table, "TABLES", (lambda *_: iter([table.Row("a", "b", 0.5, 9, 0.1, True)]),)
    )
    assert table.main(["--maps", "2"]) == 1
    assert "1 bars missed" in capsys.readouterr().out


def grid(hot: Any, sides: Any, seed: int = 3, risk: float = 3.0) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    at = np.arange(144)
    x, y = (at % 12) * 1000.0, (at // 12) * 1000.0
    cases = rng.poisson(4 * np.where(hot(x, y), risk, 1.0))
    return cases, np.ones(144), sides(x, y), x, y


def halves(x: Any, y: Any) -> Any:
    return (x > 5500).astype(int)


def quarters(x: Any, y: Any) -> Any:
    return (x > 5500) + 2 * (y > 5500)


def ask(world: tuple[Any, ...], **more: Any) -> pooled.PooledResult:
    return pooled_scan(*world, replicates=199, seed=1, **more)


def test_a_cluster_inside_one_side_is_seen_by_one() -> None:
    world = grid(lambda x, y: np.hypot(x - 2000, y - 8000) < 1500, halves)
    result = ask(world)
    assert [c.seen for c in result.clusters] == [ONE]
    (found,) = result.clusters
    assert found.alone == (0,)
    assert found.pooled
    assert not found.crosses
    (side,) = found.sides
    members = found.cluster.members
    assert (side.side, side.places) == (0, len(members))
    assert side.observed == world[0][members].sum() == found.cluster.observed
    assert side.expected == pytest.approx(found.cluster.expected)


def test_a_strong_cluster_on_the_border_is_seen_by_several() -> None:
    result = ask(grid(lambda x, y: np.hypot(x - 5500, y - 6000) < 2600, halves))
    first = result.clusters[0]
    assert first.seen == SEVERAL
    assert first.alone == (0, 1)
    assert first.crosses
    assert sum(s.observed for s in first.sides) == first.cluster.observed
    assert sum(s.expected for s in first.sides) == pytest.approx(first.cluster.expected)


def test_a_weak_cluster_on_the_corner_is_seen_only_together() -> None:
    seen = [
        ask(grid(lambda x, y: np.hypot(x - 5500, y - 5500) < 1700, quarters, seed, 1.8)).clusters
        for seed in range(8)
    ]
    together = [c for clusters in seen for c in clusters if c.seen == TOGETHER]
    assert len(together) >= 3
    for cluster in together:
        assert cluster.alone == ()
        assert cluster.crosses
        assert cluster.pooled
        assert cluster.cluster.p <= 0.05


def test_what_only_a_side_sees_is_kept() -> None:
    """A side's own scan can find what the pooled one does not call significant."""
    found = None
    for seed in range(60):
        world = grid(lambda x, y: np.hypot(x - 2000, y - 2000) < 1100, quarters, seed, 1.9)
        result = ask(world)
        alone = [c for c in result.clusters if not c.pooled]
        if alone:
            found = alone[0]
            assert found.seen == ONE
            (side,) = found.sides
            assert found.alone == (side.side,)
            assert found.cluster.p <= result.alpha_alone == 0.0125
            assert set(world[2][found.cluster.members]) == {side.side}
            break
    assert found is not None


def test_spans_that_do_not_meet_are_two_clusters() -> None:
    rng = np.random.default_rng(2)
    at = np.arange(144)
    x, y = (at % 12) * 1000.0, (at // 12) * 1000.0
    e = np.ones((8, 144))
    cases = rng.poisson(e)
    near = np.hypot(x - 2000, y - 8000) < 1500
    cases[5:, near] = rng.poisson(4.0, (3, int(near.sum())))
    result = pooled_scan(cases, e, halves(x, y), x, y, times=Times(4), replicates=199, seed=1)
    assert result.clusters[0].seen == ONE
    assert (result.clusters[0].cluster.first, result.clusters[0].cluster.last) == (5, 7)
    (side,) = result.clusters[0].sides
    assert side.observed == cases[5:][:, result.clusters[0].cluster.members].sum()


@given(st.integers(0, 10**6), st.integers(1, 4))
def test_factors_give_each_side_its_own_total(seed: int, number: int) -> None:
    rng = np.random.default_rng(seed)
    sides = np.concatenate([np.arange(number), rng.integers(0, number, 20)])
    e = rng.gamma(1, 1, (3, len(sides))) + 0.1
    e[:, rng.random(len(sides)) < 0.1] = np.nan
    cases = rng.poisson(np.nan_to_num(e, nan=2.0))
    known = ~np.isnan(e[0])
    factors = pooled.reporting_factors(cases, e, sides)
    rate = cases[:, known].sum() / e[:, known].sum() if known.any() else np.nan
    for side in range(number):
        here = known & (sides == side)
        if not here.any():
            assert np.isnan(factors[side])
        elif rate > 0:
            scaled = e[:, here].sum() * rate * factors[side]
            assert scaled == pytest.approx(cases[:, here].sum())


def test_the_factor_changes_what_is_expected() -> None:
    cases, e, sides, x, y = grid(lambda x, y: x > 99999, halves)
    cases = cases + 2 * sides
    with_, without = (
        pooled_scan(cases, e, sides, x, y, replicates=39, factor=f) for f in (True, False)
    )
    windows = Windows.build(x, y, e, 0.25)
    want = scan(cases, e, windows, replicates=39, groups=sides)
    assert [c.llr for c in with_.pooled.clusters] == [c.llr for c in want.clusters]
    assert without.pooled.clusters[0].p == 1 / 40
    assert without.clusters[0].sides[-1].expected == pytest.approx(
        without.clusters[0].cluster.expected
        - sum(s.expected for s in without.clusters[0].sides[:-1])
    )
    assert with_.factors[1] > 1 > with_.factors[0]


def test_the_plane_keeps_areas() -> None:
    geod = pyproj.Geod(ellps="WGS84")
    for lon, lat in ((117.2, 27.1), (118.1, 28.6), (120.6, 30.5)):
        ring_x = np.array([lon, lon + 0.2, lon + 0.2, lon])
        ring_y = np.array([lat, lat, lat + 0.2, lat + 0.2])
        true = abs(geod.polygon_area_perimeter(ring_x, ring_y)[0])
        x, y = pooled.to_plane(ring_x, ring_y)
        flat = abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
        assert flat == pytest.approx(true, rel=1e-5)
    x, y = pooled.to_plane([118.1, np.nan], [28.6, 28.6])
    assert (x[0], y[0]) == pytest.approx((0, 0), abs=1e-6)
    assert np.isnan(x[1])
    assert np.isnan(y[1])


def test_progress_and_giving_up() -> None:
    world = grid(lambda x, y: x < 0, halves)
    told: list[float] = []
    pooled_scan(*world, replicates=39, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)
    with pytest.raises(Cancelled):
        pooled_scan(*world, replicates=39, cancelled=lambda: len(told) > 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"replicates": 38}, "cannot show"),
        ({"alpha": 0.0}, "alpha"),
        ({"sides": np.zeros(3, int)}, "sides must"),
        ({"sides": np.zeros(144)}, "sides must"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], words: str) -> None:
    cases, e, sides, x, y = grid(lambda x, y: x < 0, halves)
    world = {"cases": cases, "expected": e, "sides": sides, "x": x, "y": y, "replicates": 39}
    with pytest.raises(ValueError, match=words):
        pooled_scan(**(world | change))


def test_a_side_without_exposure_is_no_obstacle() -> None:
    cases, e, sides, x, y = grid(lambda x, y: np.hypot(x - 2000, y - 8000) < 1500, halves)
    e = np.where(sides == 1, np.nan, e)
    result = pooled_scan(cases, e, sides, x, y, replicates=79)
    assert result.clusters[0].seen == ONE
    assert np.isnan(result.factors[1])
    assert result.alone[1].left_out == cases[sides == 1].sum()
