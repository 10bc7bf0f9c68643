"""Exposure shares of the kinds and the complexity index (METHODS 1).

May import numpy. Pure. Missing exposure is `nan` going in and `nan` (no data) coming out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def _reference(reference: npt.ArrayLike, n: int) -> npt.NDArray[np.int64]:
    """Turn labels of reference areas into numbers from 0."""
    labels = np.asarray(reference)
    if labels.shape != (n,):
        raise ValueError(f"reference must have shape ({n},), got {labels.shape}")
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def kind_shares(
    exposures: npt.ArrayLike, weights: npt.ArrayLike, reference: npt.ArrayLike
) -> Floats:
    """C_ik = Σ_m a_mk s_im, each unit's part of its reference area's exposure (METHODS 1).

    A unit takes part in a kind when all measures the kind weighs are known there and one of them
    is above 0; the shares s are taken over the units that take part, so Σ_i C_ik = 1 in every
    reference area whatever is missing. A measure that is 0 all over the area is missing there.

    Parameters
    ----------
    exposures : (M, n) float64
        x_im, not negative; nan = unknown.
    weights : (K, M) float64
        a_mk, each row adding up to 1.
    reference : (n,)
        Label of each unit's reference area.

    Returns
    -------
    (K, n) float64, nan = no data

    Raises
    ------
    ValueError
        On wrong shapes, negative or infinite exposures, weights that do not add up to 1.

    Examples
    --------
    >>> kind_shares([[1, 3, np.nan]], [[1.0]], [0, 0, 0]).tolist()
    [[0.25, 0.75, nan]]
    """
    x = np.asarray(exposures, dtype=np.float64)
    a = np.asarray(weights, dtype=np.float64)
    if x.ndim != 2 or a.ndim != 2 or a.shape[1] != x.shape[0]:
        raise ValueError(
            f"exposures (M, n) and weights (K, M) do not fit together: {x.shape}, {a.shape}"
        )
    if np.any(x < 0) or np.any(np.isinf(x)):
        m, i = np.argwhere((x < 0) | np.isinf(x))[0]
        raise ValueError(f"exposures[{m}, {i}] is {x[m, i]}: finite and not negative, or nan")
    if not np.all(a >= 0) or not np.allclose(a.sum(axis=1), 1.0, atol=1e-6):
        raise ValueError("the weights of a kind are not negative and add up to 1")
    area = _reference(reference, x.shape[1])
    areas = int(area.max(initial=-1)) + 1
    shares = np.full((a.shape[0], x.shape[1]), np.nan)
    for kind, row in enumerate(a / a.sum(axis=1, keepdims=True)):
        used = row > 0
        part = x[used]
        member = ~np.isnan(part).any(axis=0) & (part > 0).any(axis=0)
        total = np.stack([np.bincount(area[member], m[member], areas) for m in part])
        # 0 / 0 over a whole area: the measure is missing there, and so is the kind
        member &= np.asarray((total > 0).all(axis=0), dtype=np.bool_)[area]
        at = area[member]
        shares[kind, member] = row[used] @ (part[:, member] / total[:, at])
    return shares


def complexity(shares: npt.ArrayLike, reference: npt.ArrayLike) -> Floats:
    """Complexity index: 100 × n_units × mean over kinds of C_ik; 100 = an average unit (METHODS 1).

    Kinds without data for the unit are left out of its mean; n_units counts, per kind, the units
    of the reference area with data, so the average is 100 whatever is missing.

    Parameters
    ----------
    shares : (K, n) float64
        As from `kind_shares`.
    reference : (n,)

    Returns
    -------
    (n,) float64, nan = no data for any kind

    Examples
    --------
    >>> complexity([[0.25, 0.75, np.nan]], [0, 0, 0]).tolist()
    [50.0, 150.0, nan]
    """
    c = np.asarray(shares, dtype=np.float64)
    if c.ndim != 2:
        raise ValueError(f"shares must have shape (K, n), got {c.shape}")
    area = _reference(reference, c.shape[1])
    areas = int(area.max(initial=-1)) + 1
    total = np.zeros(c.shape[1])
    known = np.zeros(c.shape[1])
    for row in c:
        member = ~np.isnan(row)
        units = np.bincount(area[member], minlength=areas)
        total[member] += row[member] * units[area[member]]
        known += member
    index = np.full(c.shape[1], np.nan)
    np.divide(100.0 * total, known, out=index, where=known > 0)
    return index
