"""Packed values: one byte of colour and one of relative risk per unit.

Pure numpy. The payload is `n` bytes of colour (0 no data, 1 green … 5 red), then `n` bytes of
relative risk θ on a logarithmic scale: 0 = no data, otherwise `128 + 16 log2 θ`, rounded and kept
in 1…255. So a byte is a factor of 2^(1/16); read back, θ is within a factor of 2^(1/32) (2.2 %)
for θ in [2^(-127/16), 2^(127/16)] = [0.0041, 245]; outside it is the nearer end. θ = 1 is byte 128
exactly. The map needs no more; exact numbers come from the unpacked table.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Bytes = NDArray[np.uint8]

STEPS = 16
"""Bytes per doubling of θ."""
ONE = 128
"""Byte of θ = 1."""
RELATIVE_ERROR = 2 ** (1 / (2 * STEPS)) - 1
"""Largest relative error of a θ inside the scale."""
LOWEST, HIGHEST = 2 ** ((1 - ONE) / STEPS), 2 ** ((255 - ONE) / STEPS)
"""Ends of the scale."""


def quantise_theta(theta: ArrayLike) -> Bytes:
    """Relative risk to bytes.

    Parameters
    ----------
    theta : float (n,)
        `nan` = no data; `inf` is the upper end, 0 the lower.

    Returns
    -------
    uint8 (n,)

    Raises
    ------
    ValueError
        A negative relative risk.
    """
    values = np.asarray(theta, float)
    if (values < 0).any():
        raise ValueError(f"relative risk is never negative: {values[values < 0][0]}")
    with np.errstate(divide="ignore"):
        step = np.clip(np.rint(ONE + STEPS * np.log2(values)), 1, 255)
    return np.where(np.isnan(values), 0, step).astype(np.uint8)


def theta_of(quantised: ArrayLike) -> NDArray[np.float64]:
    """Bytes to relative risk, uint8 (n,) to float64 (n,); byte 0 is `nan`."""
    step = np.asarray(quantised, np.uint8).astype(float)
    return np.where(step == 0, np.nan, 2.0 ** ((step - ONE) / STEPS))


def pack(colour: ArrayLike, theta: ArrayLike) -> bytes:
    """Payload of `packed_values`.

    Parameters
    ----------
    colour : int (n,)
        0…5.
    theta : float (n,)
        Relative risk, `nan` = no data.

    Raises
    ------
    ValueError
        Lengths differ, or a colour is not 0…5.
    """
    colours = np.asarray(colour)
    risk = quantise_theta(theta)
    if colours.shape != risk.shape or colours.ndim != 1:
        raise ValueError(f"{colours.shape} colours and {risk.shape} relative risks")
    if ((colours < 0) | (colours > 5)).any():
        raise ValueError("a colour is a number from 0 to 5")
    return colours.astype(np.uint8).tobytes() + risk.tobytes()


def unpack(payload: bytes | memoryview) -> tuple[Bytes, NDArray[np.float64]]:
    """Colours uint8 (n,) and relative risks float64 (n,) of a payload.

    Raises
    ------
    ValueError
        The payload has an odd number of bytes.
    """
    both = np.frombuffer(payload, np.uint8)
    if len(both) % 2:
        raise ValueError(f"a payload has two bytes per unit, not {len(both)} in all")
    n = len(both) // 2
    return both[:n].copy(), theta_of(both[n:])
