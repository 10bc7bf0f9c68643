"""Change between two periods, from their single-period counts (METHODS 6).

May import numpy and scipy. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]

MIN_EVENTS = 5


@dataclass(frozen=True)
class Change:
    """A rate ratio with its exact interval; nan = too few events or no exposure."""

    ratio: Floats
    low: Floats
    high: Floats


def rate_ratio(
    o1: npt.ArrayLike,
    e1: npt.ArrayLike,
    o0: npt.ArrayLike,
    e0: npt.ArrayLike,
    interval: float = 0.95,
) -> Change:
    """(o1 / e1) / (o0 / e0) with the exact conditional interval (METHODS 6).

    Given N = o1 + o0, o1 is binomial with odds ρ·e1/e0, so Clopper–Pearson limits of that
    probability, turned back into ρ, cover at least as often as they say (Przyborowski and
    Wilenski 1940). All arguments broadcast.

    Parameters
    ----------
    o1, o0 : counts, the later and the earlier one
    e1, e0 : float64
        What the counts are measured against: expected counts, or days, in the same unit.
    interval : float
        Coverage, in (0, 1).

    Returns
    -------
    Change
        nan where neither count reaches 5 events (never a bare ratio on fewer) and where an
        exposure is 0 or missing; `ratio` and `high` are inf when o0 = 0.

    Raises
    ------
    ValueError
        On negative counts or exposures.

    Examples
    --------
    >>> found = rate_ratio(20, 1, 10, 1)
    >>> [round(float(v), 3) for v in (found.ratio, found.low, found.high)]
    [2.0, 0.894, 4.785]
    """
    if not 0 < interval < 1:
        raise ValueError(f"interval must be in (0, 1), got {interval}")
    later, base1, earlier, base0 = np.broadcast_arrays(
        *(np.asarray(v, dtype=np.float64) for v in (o1, e1, o0, e0))
    )
    if any(np.any(v < 0) for v in (later, base1, earlier, base0)):
        raise ValueError("counts and exposures are not negative")
    known = (np.maximum(later, earlier) >= MIN_EVENTS) & (base1 > 0) & (base0 > 0)
    known &= np.isfinite(base1) & np.isfinite(base0)
    tail = (1 - interval) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(known, base0 / base1, np.nan)
        ratio = scale * later / earlier
        # the ends the beta distribution does not have: no later events, no earlier ones
        bottom = np.where(later > 0, special.betaincinv(later, earlier + 1, tail), 0.0)
        top = np.where(earlier > 0, special.betaincinv(later + 1, earlier, 1 - tail), 1.0)
        low = scale * bottom / (1 - bottom)
        high = np.where(top < 1, scale * top / (1 - top), np.where(known, np.inf, np.nan))
    return Change(
        np.asarray(ratio, dtype=np.float64),
        np.asarray(low, dtype=np.float64),
        np.asarray(high, dtype=np.float64),
    )
