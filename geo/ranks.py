"""Ranks with intervals from posterior draws (METHODS 5).

May import numpy. Deterministic: the caller gives the seed, no global random state is touched.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]

BLOCK = 40


def rank_intervals(
    alpha: npt.ArrayLike,
    s: npt.ArrayLike,
    x: npt.ArrayLike,
    draws: int = 400,
    seed: int = 0,
    *,
    interval: float = 0.90,
) -> tuple[Ints, Ints, Ints]:
    """Rank of every unit by θ with the central interval of its rank over posterior draws.

    Each draw takes θ_i ~ Gamma(α + S_i, α + X_i) for all units and ranks them; the interval cuts
    `floor((1 − interval) / 2 · draws)` draws off at each end. A rank by the posterior mean can
    fall outside of it (a small unit at the top); the interval is then widened to contain it.

    Parameters
    ----------
    alpha : scalar or (n,) float64
        Prior strength per unit (`risk.unit_alpha`).
    s, x : (n,) float64
        nan = no data.
    draws : int
        At least 1.
    seed : int
        Same seed, same arrays: same answer.
    interval : float
        In (0, 1).

    Returns
    -------
    rank, low, high : (n,) int32
        1 = highest θ; equal θ share the smaller rank (1 2 2 4). 0 0 0 = no data.

    Notes
    -----
    Memory: about `(BLOCK + 2 · cut) · n` 4-byte numbers, whatever the number of draws.
    """
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    if not 0 < interval < 1:
        raise ValueError(f"interval must be in (0, 1), got {interval}")
    a, remembered, base = np.broadcast_arrays(
        *(np.asarray(v, dtype=np.float64) for v in (alpha, s, x))
    )
    if a.ndim != 1:
        raise ValueError(f"s and x must have shape (n,), got {a.shape}")
    known = np.flatnonzero(~(np.isnan(a) | np.isnan(remembered) | np.isnan(base)))
    rank, low, high = (np.zeros(a.size, dtype=np.int32) for _ in range(3))
    if known.size == 0:
        return rank, low, high
    shape = a[known] + remembered[known]
    rate = a[known] + base[known]
    theta = shape / rate
    order = np.sort(-theta)
    rank[known] = 1 + np.searchsorted(order, -theta, side="left")
    bottom, top = _extremes(shape, rate, draws, seed, interval)
    low[known] = np.minimum(bottom, rank[known])
    high[known] = np.maximum(top, rank[known])
    return rank, low, high


def _extremes(
    shape: npt.NDArray[np.float64],
    rate: npt.NDArray[np.float64],
    draws: int,
    seed: int,
    interval: float,
) -> tuple[Ints, Ints]:
    """Order statistics cut + 1 from both ends of each unit's ranks, kept block by block."""
    # the small number keeps 0.05 · 400 = 20 from becoming 19.999…
    keep = int((1 - interval) / 2 * draws + 1e-9) + 1
    random = np.random.default_rng(seed)
    n = shape.size
    smallest = np.empty((n, 0), dtype=np.int32)
    largest = np.empty((n, 0), dtype=np.int32)
    slope = (1.0 / rate).astype(np.float32)
    small = shape.astype(np.float32)
    places = np.arange(1, n + 1, dtype=np.int32)
    for start in range(0, draws, BLOCK):
        rows = min(BLOCK, draws - start)
        ranks = np.empty((n, rows), dtype=np.int32)
        for column in range(rows):
            theta = random.standard_gamma(small, dtype=np.float32) * slope
            ranks[np.argsort(-theta), column] = places
        smallest = _keep(np.concatenate([smallest, ranks], axis=1), keep)
        largest = -_keep(np.concatenate([-largest, -ranks], axis=1), keep)
    return smallest.max(axis=1), largest.min(axis=1)


def _keep(values: Ints, count: int) -> Ints:
    """Keep the `count` smallest of every row, in no order."""
    if values.shape[1] <= count:
        return values
    return np.partition(values, count - 1, axis=1)[:, :count]
