"""No difference of two answers about a zone is a small number."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.services.zone_told import Told

LEAST = 5
MONTHS = 12
PERIODS = {
    "month": [(n, n + 1) for n in range(MONTHS)],
    "quarter": [(n, n + 3) for n in range(0, MONTHS, 3)],
    "year": [(0, MONTHS)],
}


def test_what_all_kinds_have_together_does_not_tell_one() -> None:
    counts = np.zeros((2, 3, MONTHS), np.int64)
    counts[:, :, 0] = [[9, 8, 2], [7, 6, 0]]
    told = Told(counts, PERIODS, LEAST)
    assert told.may(None, "month", 0)
    assert told.may(0, "month", 0)
    assert not told.may(2, "month", 0)
    assert not told.may(1, "month", 0)  # 32 - 16 - 14 would be the 2
    counts[0, 1, 0] = 3  # two that are not told: 5 together
    counts[1, 1, 0] = 0
    told = Told(counts, PERIODS, LEAST)
    assert not told.may(1, "month", 0)
    assert told.may(0, "month", 0)
    assert told.may(None, "month", 0)


def test_a_quarter_does_not_tell_a_month() -> None:
    counts = np.full((2, 1, MONTHS), 6, np.int64)
    counts[1, 0, 2] = 1
    told = Told(counts, PERIODS, LEAST)
    assert told.may(0, "year", 0)
    assert told.may(0, "quarter", 0)
    assert not told.may(0, "month", 2)
    assert not told.may(0, "month", 0)  # 13 - 6 - 6 would be the 1
    assert told.may(0, "month", 1)
    assert all(told.may(0, "month", n) for n in range(3, MONTHS))


@given(arrays(np.int64, (2, 3, MONTHS), elements=st.integers(0, 9)))
def test_what_is_left_of_a_sum_is_nothing_or_enough(counts: np.ndarray) -> None:
    told = Told(counts, PERIODS, LEAST)
    sums = {
        (kind, period, n): counts[:, slice(None) if kind is None else [kind], a:b].sum((1, 2))
        for kind in (None, 0, 1, 2)
        for period, spans in PERIODS.items()
        for n, (a, b) in enumerate(spans)
    }
    for (kind, period, n), mine in sums.items():
        if not told.may(kind, period, n):
            continue
        a, b = PERIODS[period][n]
        families = [[(k, period, n) for k in range(3)]] if kind is None else []
        families += [
            [(kind, part, m) for m, (c, d) in enumerate(PERIODS[part]) if a <= c and d <= b]
            for part in PERIODS
            if part != period
        ]
        for family in families:
            if not family or (sum(sums[one] for one in family) != mine).any():
                continue
            rest = mine - sum((sums[one] for one in family if told.may(*one)), np.zeros(2, int))
            assert all(one == 0 or one >= LEAST for one in rest), (kind, period, n)
