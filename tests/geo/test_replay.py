"""A single unit worked out again from its own counts and the fitted priors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo import risk


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(6, 40))
def test_one_unit_alone_is_what_it_was_among_all(seed: int, periods: int, units: int) -> None:
    # given a panel with quiet, missing and suddenly hot units
    random = np.random.default_rng(seed)
    share = random.lognormal(0, 1, units)
    share[0] = np.nan
    observed = random.poisson(np.where(np.isnan(share), 1, share) * 3, (periods, units)).astype(
        float
    )
    observed[periods // 2 :, -1] *= 9
    observed[:, 1] = 0
    parameters = risk.DebParameters()
    whole = risk.filter_panel(observed, share, parameters)
    for unit in range(units):
        # when it is worked out again by itself
        column = slice(unit, unit + 1)
        s, x, k, flags = risk.replay(
            observed[:, column], whole.expected[:, column], whole.alpha, parameters
        )
        # then nothing differs, to the last digit
        np.testing.assert_array_equal(s, whole.s[:, column])
        np.testing.assert_array_equal(x, whole.x[:, column])
        np.testing.assert_array_equal(k, whole.k[:, column])
        np.testing.assert_array_equal(flags, whole.flags[:, column] & risk.DROPPED)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        risk.replay(np.zeros((3, 2)), np.zeros((3, 2)), np.zeros(2))
