"""Ranks against the plain way: all draws in one matrix, ranked by counting."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo import ranks

NAN = float("nan")


def units(seed: int, n: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.gamma(2, 5, n)
    return rng.poisson(x * rng.gamma(3, 1 / 3, n)).astype(float), x


def twin(
    alpha: float, s: Any, x: Any, draws: int, seed: int, interval: float
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Interval before widening: every draw kept, ranks counted pair by pair."""
    rng = np.random.default_rng(seed)
    n = len(s)
    table = np.empty((draws, n), dtype=int)
    for d in range(draws):
        theta = rng.standard_gamma((alpha + s).astype(np.float32), dtype=np.float32) * (
            1.0 / (alpha + x)
        ).astype(np.float32)
        table[d] = [1 + int((theta > theta[i]).sum()) for i in range(n)]
    table.sort(axis=0)
    cut = round((1 - interval) / 2 * draws - 0.5 + 1e-9)
    return table[cut], table[-1 - cut]


@pytest.mark.parametrize(("draws", "interval"), [(1, 0.9), (39, 0.9), (41, 0.9), (200, 0.5)])
def test_intervals_equal_the_plain_way(draws: int, interval: float) -> None:
    s, x = units(1, 60)
    rank, low, high = ranks.rank_intervals(3.0, s, x, draws, 7, interval=interval)
    want_low, want_high = twin(3.0, s, x, draws, 7, interval)
    np.testing.assert_array_equal(low, np.minimum(want_low, rank))
    np.testing.assert_array_equal(high, np.maximum(want_high, rank))
    assert rank.dtype == low.dtype == high.dtype == np.int32


def test_rank_counts_the_units_above() -> None:
    s, x = units(2, 80)
    s[5:9], x[5:9] = 4.0, 2.0
    rank, _, _ = ranks.rank_intervals(2.5, s, x, 10)
    theta = (2.5 + s) / (2.5 + x)
    assert rank.tolist() == [1 + int((theta > t).sum()) for t in theta]
    assert len(set(rank[5:9])) == 1


def test_same_seed_same_answer_other_seed_another() -> None:
    s, x = units(3, 300)
    one = ranks.rank_intervals(3.0, s, x, 100, 5)
    again = ranks.rank_intervals(3.0, s, x, 100, 5)
    other = ranks.rank_intervals(3.0, s, x, 100, 6)
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (one[1] != other[1]).any()
    np.testing.assert_array_equal(one[0], other[0])


def test_global_random_state_is_left_alone() -> None:
    s, x = units(3, 30)
    before = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]  # noqa: NPY002
    ranks.rank_intervals(3.0, s, x, 10, 5)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # type: ignore[index]  # noqa: NPY002


def test_units_without_data_have_no_rank_and_take_none() -> None:
    s, x = units(4, 50)
    kept = np.ones(50, dtype=bool)
    kept[[3, 20]] = False
    s[~kept] = x[~kept] = NAN
    every = ranks.rank_intervals(3.0, s, x, 50, 1)
    alone = ranks.rank_intervals(3.0, s[kept], x[kept], 50, 1)
    for whole, part in zip(every, alone, strict=True):
        np.testing.assert_array_equal(whole[kept], part)
        assert (whole[~kept] == 0).all()
    none = ranks.rank_intervals(3.0, np.full(4, NAN), np.full(4, NAN))
    assert all((v == 0).all() for v in none)
    assert all(v.size == 0 for v in ranks.rank_intervals(3.0, [], []))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 80), st.integers(1, 90))
def test_intervals_contain_the_rank_and_stay_in_range(seed: int, n: int, draws: int) -> None:
    s, x = units(seed, n)
    rank, low, high = ranks.rank_intervals(np.full(n, 2.0), s, x, draws, seed)
    assert ((low >= 1) & (low <= rank) & (rank <= high) & (high <= n)).all()


def test_true_ranks_lie_in_the_interval_as_often_as_it_says() -> None:
    rng = np.random.default_rng(8)
    inside, n = 0.0, 150
    for _ in range(40):
        x = rng.gamma(2, 5, n)
        theta = rng.gamma(4.0, 1 / 4.0, n)
        _, low, high = ranks.rank_intervals(4.0, rng.poisson(theta * x), x, 200, 1)
        true = 1 + np.argsort(np.argsort(-theta))
        inside += ((low <= true) & (true <= high)).mean() / 40
    assert 0.88 <= inside <= 0.94


def test_more_information_narrows_the_interval() -> None:
    s, x = units(9, 200)
    width = [
        float(np.mean(high - low))
        for _, low, high in (ranks.rank_intervals(3.0, m * s, m * x, 200, 1) for m in (1, 10))
    ]
    assert width[1] < width[0] / 2


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"draws": 0}, "draws"),
        ({"interval": 1.0}, "interval"),
        ({"s": [[1.0]], "x": [[1.0]]}, "shape"),
    ],
)
def test_wrong_input_says_what_is_wrong(wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ranks.rank_intervals(**{"alpha": 2.0, "s": [1.0], "x": [1.0], **wrong})
