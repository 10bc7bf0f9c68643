"""The scan statistic: published numbers, every window by brute force, null maps, replicates, giving up."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from geo.hotspots import Cancelled, search
from geo.hotspots import scan as scanning
from geo.hotspots.scan import Times, Windows, scan

STATS = Path(__file__).resolve().parents[3] / "shared" / "data" / "stats"
PRINTED = STATS / "ny_circular_cartesian_satscan.txt"
needs_data = pytest.mark.skipif(not PRINTED.exists(), reason="the shared data are not here")


def new_york() -> tuple[Any, Any, Any, Any]:
    xy = np.loadtxt(STATS / "satscan_ny_coords.txt")
    cases = np.loadtxt(STATS / "satscan_ny_cases.txt")[:, 1]
    return xy[:, 2], xy[:, 1], cases, np.loadtxt(STATS / "satscan_ny_pop.txt")[:, 2]


def printed() -> dict[str, list[str]]:
    """Values of the printed result by their label, in order of the clusters."""
    found: dict[str, list[str]] = {}
    for line in PRINTED.read_text(encoding="utf-8").splitlines():
        label, colon, value = line.partition(":")
        if colon:
            found.setdefault(label.strip(" ."), []).append(value.strip())
    return found


@needs_data
def test_new_york_leukaemia_to_the_printed_digits() -> None:
    x, y, cases, population = new_york()
    windows = Windows.build(x, y, population, 0.5)
    result = scan(cases, population, windows, replicates=999, seed=1)
    said = printed()
    assert result.total == 552
    llrs = [f"{c.llr:.6f}" for c in result.clusters[:6]]
    assert llrs == said["Log likelihood ratio"]
    assert llrs == ["14.083511", "9.019716", "6.114140", "4.651839", "3.363518", "3.209485"]
    assert [str(c.observed) for c in result.clusters[:6]] == said["Number of cases"]
    assert [f"{c.expected:.2f}" for c in result.clusters[:6]] == said["Expected cases"]
    assert [f"{c.relative_risk:.2f}" for c in result.clusters[:6]] == said["Relative risk"]
    first = {
        int(v) for v in PRINTED.read_text().split("included.:")[1].split("Overlap")[0].split(",")
    }
    assert {int(m) + 1 for m in result.clusters[0].members} == first
    assert len(first) == 28
    for cluster, text in zip(result.clusters, said["P-value"], strict=False):
        p = float(text)
        # both are Monte Carlo answers of 999 replicates
        assert cluster.p == pytest.approx(p, abs=0.002 + 4 * math.sqrt(2 * p * (1 - p) / 999))


@needs_data
def test_new_york_with_circles_to_a_tenth() -> None:
    x, y, cases, population = new_york()
    windows = Windows.build(x, y, population)
    result = scan(cases, population, windows, replicates=99, seed=1)
    assert f"{result.clusters[0].llr:.6f}" == "11.577255"
    assert len(result.clusters[0].members) == 26
    assert result.clusters[0].p <= 0.02


def llr(c: float, e: float, total: float) -> float:
    """METHODS 8."""
    if c <= e:
        return 0.0
    rest = total - c
    return c * math.log(c / e) + (rest * math.log(rest / (total - e)) if rest else 0.0)


def circles(x: Any, y: Any, e: Any, share: float, far: float = math.inf) -> set[tuple[int, Any]]:
    """Centre and places of every circle: all places within the distance of some place."""
    found = set()
    for i in range(len(x)):
        if not e[i] > 0:
            continue
        away = np.hypot(x - x[i], y - y[i])
        for radius in away[e > 0]:
            inside = frozenset(np.flatnonzero((away <= radius * (1 + 1e-9)) & (e > 0)).tolist())
            if e[sorted(inside)].sum() <= share * e.sum() * (1 + 1e-12) and radius <= far:
                found.add((i, inside))
    return found


def ranges(steps: int, times: Times | None) -> list[tuple[int, int]]:
    """First and last step of every window."""
    if times is None:
        return [(0, steps - 1)]
    return [
        (a, b)
        for a, b in itertools.combinations_with_replacement(range(steps), 2)
        if times.shortest <= b - a + 1 <= times.longest
        and (not times.prospective or b == steps - 1)
    ]


def twin(cases: Any, e: Any, shapes: set[tuple[int, Any]], times: Times | None) -> dict[int, float]:
    """Best LLR of every centre, every window looked at."""
    best: dict[int, float] = {}
    total = cases.sum()
    e = e * (total / e.sum())
    for centre, inside in shapes:
        for a, b in ranges(len(cases), times):
            part = np.ix_(range(a, b + 1), sorted(inside))
            c = cases[part].sum()
            value = llr(c, e[part].sum(), total) if c >= 2 else 0.0
            best[centre] = max(best.get(centre, 0.0), value)
    return best


def world(seed: int, n: int, steps: int, grid: bool) -> tuple[Any, Any, Any, Any]:
    rng = np.random.default_rng(seed)
    if grid:
        places = rng.permutation(36)[:n]
        x, y = (places % 6) * 500.0, (places // 6) * 500.0
    else:
        x, y = rng.random(n) * 3000, rng.random(n) * 3000
    e = rng.gamma(1, 1, (steps, n)) + 0.01
    return x, y, rng.poisson(e * rng.choice([1, 1, 4], n)), e


TIMES = [None, Times(2), Times(3, 2), Times(1), Times(2, 1, prospective=False), Times(9, 2, False)]


@settings(max_examples=60)
@given(
    st.integers(0, 10**6),
    st.integers(1, 14),
    st.integers(2, 4),
    st.booleans(),
    st.sampled_from([0.1, 0.3, 0.5, 1.0]),
    st.sampled_from(TIMES),
)
def test_every_window_is_looked_at(
    seed: int, n: int, steps: int, grid: bool, share: float, times: Times | None
) -> None:
    x, y, cases, e = world(seed, n, steps, grid)
    e[:, 0] = np.nan if seed % 3 == 0 else e[:, 0]  # a place without data
    known = np.nan_to_num(e)
    counted = np.where(known.sum(axis=0) > 0, cases, 0)
    windows = Windows.build(x, y, e, share)
    shapes = circles(x, y, known.sum(axis=0), share)
    assert windows.circles == len(shapes)
    result = scan(cases, e, windows, times, replicates=0, max_clusters=100)
    assert result.total == counted.sum()
    assert result.left_out == cases.sum() - counted.sum()
    if not counted.sum():
        assert result.clusters == ()
        return
    best = twin(counted, known, shapes, times)
    # the first cluster is the best window; each next one the best of a centre that is still free
    left = {c: v for c, v in best.items() if v > 1e-9}
    taken: set[int] = set()
    for cluster in result.clusters:
        members = set(cluster.members.tolist())
        assert (cluster.centre, frozenset(members)) in shapes
        assert not members & taken
        taken |= members
        assert cluster.llr == pytest.approx(left[cluster.centre], rel=1e-9)
        part = np.ix_(range(cluster.first, cluster.last + 1), sorted(members))
        assert (cluster.first, cluster.last) in ranges(steps, times)
        assert cluster.observed == counted[part].sum()
        scaled = known * (counted.sum() / known.sum())
        assert cluster.expected == pytest.approx(scaled[part].sum())
        assert cluster.llr == pytest.approx(
            llr(cluster.observed, cluster.expected, counted.sum()), rel=1e-9
        )
        assert math.isnan(cluster.p)
    if left:
        assert result.clusters[0].llr == pytest.approx(max(left.values()), rel=1e-9)
    order = [c.llr for c in result.clusters]
    assert order == sorted(order, reverse=True)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 36), st.integers(1, 25), st.booleans())
def test_blocks_lose_no_window(seed: int, n: int, steps: int, grid: bool) -> None:
    x, y, cases, e = world(seed, n, steps, grid)
    if not cases.sum():
        return
    windows = Windows.build(x, y, e, 0.5)
    e *= cases.sum() / e.sum()
    for spans in (
        search.Spans(steps, 1, 20, False),
        search.Spans(steps, 1, 3, True),
        search.Spans(steps, steps, steps, False),
    ):
        looked = search.Search(windows, spans, e, int(cases.sum()), 2)
        late = cases[spans.first :].astype(np.int32)
        best = max(float(llrs.max(initial=0)) for _, llrs, _, _ in looked.each(late, None))
        assert looked.largest(late, None) == best  # to the last digit: p-values compare them


def test_blocks_get_longer_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, cases, e = world(3, 36, 8, False)
    windows = Windows.build(x, y, e, 0.5)
    e *= cases.sum() / e.sum()
    spans = search.Spans(8, 1, 6, False)
    late = cases[spans.first :].astype(np.int32)
    plain = search.Search(windows, spans, e, int(cases.sum()), 2)
    monkeypatch.setattr(search, "_LEAST", 600)
    short = search.Search(windows, spans, e, int(cases.sum()), 2)
    assert len(short._stops) * 6 <= 600 < len(plain._stops) * 6
    assert short.largest(late, None) == plain.largest(late, None)


def test_circles_end_at_a_radius() -> None:
    x, y, _, e = world(5, 20, 1, False)
    found = Windows.build(x, y, e, 0.5, max_radius=700.0)
    assert found.circles == len(circles(x, y, e[0], 0.5, 700.0))
    assert all(
        found.radius(i, int(found.indptr[i + 1] - found.indptr[i])) <= 700
        for i in range(20)
        if found.indptr[i + 1] > found.indptr[i]
    )


def test_a_place_above_the_share_is_no_centre() -> None:
    windows = Windows.build([0, 1, 2], [0, 0, 0], [8, 1, 1], 0.2)
    assert windows.indptr.tolist() == [0, 0, 1, 3]


def test_a_planted_cluster_is_found_and_nothing_else() -> None:
    rng = np.random.default_rng(4)
    grid = np.arange(400)
    x, y = (grid % 20) * 1000.0, (grid // 20) * 1000.0
    hot = np.hypot(x - 5000, y - 14000) <= 2100
    e = np.full((12, 400), 0.6)
    cases = rng.poisson(e)
    cases[9:] = rng.poisson(np.where(hot, 2.4, 0.6), (3, 400))
    windows = Windows.build(x, y, e)
    result = scan(cases, e, windows, Times(6), replicates=199, seed=2)
    first = result.clusters[0]
    assert first.p == 1 / 200
    assert (first.first, first.last) == (9, 11)
    assert np.mean(hot[first.members]) > 0.85
    assert np.isin(np.flatnonzero(hot), first.members).mean() > 0.85
    assert all(c.p > 0.05 for c in result.clusters[1:])
    anywhere = scan(cases[:, ::-1][::-1], e, windows, Times(4, 1, False), replicates=99, seed=2)
    assert (anywhere.clusters[0].first, anywhere.clusters[0].last) == (0, 2)
    assert anywhere.clusters[0].p == 0.01


def null_maps(number: int, seed: int, share: Any, groups: Any = None) -> int:
    """Significant scans among maps without a cluster."""
    rng = np.random.default_rng(seed)
    grid = np.arange(100)
    windows = Windows.build(grid % 10, grid // 10, np.ones(100), 0.25)
    return sum(
        scan(
            rng.poisson(3.0 * share), np.ones(100), windows, replicates=99, seed=trial, groups=groups
        ).clusters[0].p <= 0.05
        for trial in range(number)
    )  # fmt: skip


def test_null_maps_are_significant_as_often_as_said() -> None:
    """200 maps at .05: 10 are expected, 20 is the .999 quantile of the binomial."""
    found = null_maps(200, 11, np.ones(100))
    assert found <= stats.binom.ppf(0.999, 200, 0.05)
    assert found >= stats.binom.ppf(0.001, 200, 0.05)  # nor is it conservative


def test_groups_that_record_more_are_no_cluster() -> None:
    half = (np.arange(100) % 10 >= 5).astype(int)
    more = np.where(half == 1, 1.5, 1.0)
    assert null_maps(200, 12, more, half) <= stats.binom.ppf(0.999, 200, 0.05)
    assert null_maps(50, 12, more) > 25


def test_replicates_are_drawn_as_expected() -> None:
    rng = np.random.default_rng(1)
    e = rng.gamma(2, 1, (6, 8))
    e[2, 3] = 0
    groups = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    totals = np.array([40, 900, 0])  # fewer and more cases than cells; none
    for first in (0, 4):
        draw = scanning._Draw(e, groups, totals, first)
        drawn = np.array([draw(5, r) for r in range(400)])
        assert drawn.shape == (400, 6 - first, 8)
        for group, total in enumerate(totals):
            part = e * (groups == group)
            mean = total * part[first:] / part.sum()
            got = drawn[:, :, groups == group].sum(axis=0)
            want = 400 * mean[:, groups == group]
            if not first:
                assert np.all(drawn[:, :, groups == group].sum(axis=(1, 2)) == total)
            assert np.all(got[want == 0] == 0)
            known = want > 0
            if known.any():
                assert np.abs((got - want)[known] / np.sqrt(want[known])).max() < 4.5
    assert np.array_equal(draw(5, 3), drawn[3])
    assert not np.array_equal(draw(6, 3), drawn[3])


def small() -> tuple[Any, Any, Windows]:
    x, y, cases, e = world(8, 30, 5, False)
    return cases, e, Windows.build(x, y, e, 0.4)


def test_same_seed_same_answer_whatever_the_threads() -> None:
    cases, e, windows = small()
    for times in (Times(3), Times(3, 1, False), None):
        one = scan(cases, e, windows, times, replicates=40, seed=3)
        two = scan(cases, e, windows, times, replicates=40, seed=3, threads=2)
        other = scan(cases, e, windows, times, replicates=40, seed=4)
        assert np.array_equal(one.maxima, two.maxima)
        assert [(c.centre, c.p) for c in one.clusters] == [(c.centre, c.p) for c in two.clusters]
        assert not np.array_equal(one.maxima, other.maxima)
        assert [c.llr for c in one.clusters] == [c.llr for c in other.clusters]
        # the first replicates of a longer run are those of a shorter one
        assert np.array_equal(
            scan(cases, e, windows, times, replicates=7, seed=3).maxima, one.maxima[:7]
        )


def test_p_is_the_rank() -> None:
    cases, e, windows = small()
    result = scan(cases, e, windows, replicates=19, seed=3)
    for cluster in result.clusters:
        assert cluster.p == (1 + (result.maxima >= cluster.llr - 1e-9).sum()) / 20
    assert result.p(math.inf) == 1 / 20
    assert result.p(0.0) == 1.0


def test_scale_of_the_expected_is_free_and_inputs_stay() -> None:
    cases, e, windows = small()
    before = cases.copy(), e.copy()
    one = scan(cases, e, windows, Times(2), replicates=9)
    two = scan(cases, e * 37, windows, Times(2), replicates=9)
    assert [c.llr for c in two.clusters] == pytest.approx([c.llr for c in one.clusters])
    assert np.array_equal(cases, before[0])
    assert np.array_equal(e, before[1])


def test_progress_rises_to_one() -> None:
    cases, e, windows = small()
    told: list[float] = []
    scan(cases, e, windows, replicates=5, progress=told.append)
    assert told == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("after", [0, 1, 30])
def test_it_gives_up_when_asked(after: int, threads: int) -> None:
    cases, e, windows = small()
    asked = itertools.count()
    with pytest.raises(Cancelled):
        scan(
            cases, e, windows, Times(3), replicates=200, threads=threads,
            cancelled=lambda: next(asked) >= after,
        )  # fmt: skip


def test_it_is_asked_before_every_stretch_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than CHUNK additions (a tenth of a second) lie between two questions."""
    cases, e, windows = small()
    asked = 0
    most = 0

    def watch(kernel: Callable[..., Any], spans: int) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            nonlocal most
            start, stop = arguments[spans : spans + 2]
            work = (
                int(windows.indptr[stop] - windows.indptr[start])
                * arguments[3 if spans == 7 else 6].shape[1]
            )
            most = max(most, work if stop - start > 1 else 0)
            return kernel(*arguments)

        return counted

    monkeypatch.setattr(search, "CHUNK", 4000)
    monkeypatch.setattr(search, "best_of_each", watch(search.best_of_each, 7))
    monkeypatch.setattr(search, "best_of_all", watch(search.best_of_all, 11))

    def question() -> bool:
        nonlocal asked
        asked += 1
        return False

    scan(cases, e, windows, Times(5), replicates=10, cancelled=question)
    assert 0 < most <= 4000
    assert asked > 11


def test_building_circles_gives_up_too() -> None:
    with pytest.raises(Cancelled):
        Windows.build([0, 1], [0, 0], [1, 1], cancelled=lambda: True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cases": [[1, 2]]}, "do not fit"),
        ({"cases": [1.5, 1, 1]}, "whole numbers"),
        ({"cases": [-1, 1, 1]}, "whole numbers"),
        ({"cases": [math.nan, 1, 1]}, "whole numbers"),
        ({"cases": [2.0**31, 1, 1]}, "more than"),
        ({"expected": [-1, 1, 1]}, "not negative"),
        ({"expected": [math.inf, 1, 1]}, "finite"),
        ({"cases": [[1, 1, 1], [0, 0, 0]], "expected": [[0, 1, 1], [1, 1, 1]], "times": Times(2)},
         "place 0 in step 0"),
        ({"times": Times(3, 2)}, "shortest window"),
        ({"groups": [0, 1]}, "groups must be"),
        ({"groups": [0.0, 1, 1]}, "groups must be"),
        ({"groups": [0, -1, 1]}, "from 0"),
        ({"seed": -1}, "seed"),
        ({"replicates": -1}, "replicates"),
        ({"threads": 0}, "threads"),
        ({"min_cases": 0}, "min_cases"),
    ],
)  # fmt: skip
def test_bad_input_is_named(change: dict[str, Any], words: str) -> None:
    windows = Windows.build([0, 1, 2], [0, 0, 0], [1, 1, 1], 0.5)
    given_: dict[str, Any] = {"cases": [1, 2, 3], "expected": [1, 1, 1], "windows": windows}
    with pytest.raises(ValueError, match=words):
        scan(**(given_ | change))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": [0, 1]}, "do not fit"),
        ({"x": [0, 1, math.nan]}, "must be finite"),
        ({"expected": [1, -1, 1]}, "not negative"),
        ({"max_share": 0}, "max_share"),
        ({"max_share": 1.1}, "max_share"),
        ({"max_radius": -1}, "max_radius"),
        ({"limit": 2}, "more than 2 places"),
    ],
)
def test_bad_circles_are_named(change: dict[str, Any], words: str) -> None:
    given_: dict[str, Any] = {
        "x": [0, 1, 2],
        "y": [0, 0, 0],
        "expected": [1, 1, 1],
        "max_share": 1.0,
    }
    with pytest.raises(ValueError, match=words):
        Windows.build(**(given_ | change))


def test_bad_times_are_named() -> None:
    with pytest.raises(ValueError, match="shortest"):
        Times(2, 3)
    with pytest.raises(ValueError, match="shortest"):
        Times(2, 0)


def test_nothing_is_no_cluster() -> None:
    none: npt.NDArray[Any] = np.zeros(0)
    assert scan(none, none, Windows.build(none, none, none)).clusters == ()
    windows = Windows.build([0, 1], [0, 0], [1, 1], 0.5)
    told: list[float] = []
    assert scan([0, 0], [1, 1], windows, progress=told.append).clusters == ()
    blank = Windows.build([0, 1], [0, 0], [math.nan, 0])
    assert blank.circles == 0
    result = scan([3, 4], [math.nan, 0], blank)
    assert (result.clusters, result.total, result.left_out) == ((), 0, 7)


def test_a_window_with_all_cases_has_an_endless_relative_risk() -> None:
    windows = Windows.build([0, 1, 2], [0, 0, 0], [1, 1, 1], 0.5)
    found = scan([6, 0, 0], [1, 1, 1], windows, replicates=0).clusters[0]
    assert found.relative_risk == math.inf
    assert found.llr == pytest.approx(6 * math.log(3))
    assert found.radius == 0


def test_each_group_is_scaled_to_its_own_total() -> None:
    cases, e, windows = small()
    groups = (np.arange(30) >= 12).astype(int)
    scaled = e.copy()
    for group in (0, 1):
        here = groups == group
        scaled[:, here] *= cases[:, here].sum() / e[:, here].sum()
    found = scan(cases, e, windows, Times(3), replicates=9, groups=groups)
    assert found.clusters
    for cluster in found.clusters:
        part = np.ix_(range(cluster.first, cluster.last + 1), cluster.members)
        assert cluster.expected == pytest.approx(scaled[part].sum())
