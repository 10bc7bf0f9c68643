"""Packed values: bounds, ends, round trip."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiles import packed


def slow_byte(theta: float) -> int:
    """The definition, one value at a time."""
    if math.isnan(theta):
        return 0
    if theta == 0:
        return 1
    if math.isinf(theta):
        return 255
    return min(255, max(1, round(128 + 16 * math.log2(theta))))


@given(st.lists(st.floats(min_value=0, allow_nan=False) | st.just(math.nan), max_size=20))
def test_quantise_equals_its_definition(theta: list[float]) -> None:
    assert packed.quantise_theta(theta).tolist() == [slow_byte(t) for t in theta]


def test_every_byte_is_its_own_inverse() -> None:
    steps = np.arange(256, dtype=np.uint8)
    assert (packed.quantise_theta(packed.theta_of(steps)) == steps).all()
    assert packed.theta_of(128) == 1.0
    assert packed.theta_of([1, 255]) == pytest.approx([packed.LOWEST, packed.HIGHEST])


@given(st.floats(packed.LOWEST, packed.HIGHEST))
def test_error_bound_holds_inside_the_scale(theta: float) -> None:
    found = float(packed.theta_of(packed.quantise_theta([theta]))[0])
    assert max(found / theta, theta / found) <= (1 + packed.RELATIVE_ERROR) * (1 + 1e-12)
    assert pytest.approx(0.0219, abs=1e-4) == packed.RELATIVE_ERROR


def test_worked_example_of_the_docs() -> None:
    payload = packed.pack([5, 2, 0], [2.0, 1.0, math.nan])
    assert payload.hex(" ") == "05 02 00 90 80 00"
    colour, theta = packed.unpack(payload)
    assert colour.tolist() == [5, 2, 0]
    np.testing.assert_array_equal(theta, [2.0, 1.0, np.nan])


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"-0\.5"):
        packed.quantise_theta([1.0, -0.5])
    with pytest.raises(ValueError, match="0 to 5"):
        packed.pack([6], [1.0])
    with pytest.raises(ValueError, match="relative risks"):
        packed.pack([1, 2], [1.0])
    with pytest.raises(ValueError, match="two bytes"):
        packed.unpack(b"\x00\x01\x02")
    assert packed.pack([], []) == b""
