"""The overall score: harm-weighted composite, its veto and its explanation (METHODS 5).

May import numpy and `geo.risk`. Pure. Counts of all kinds stand in one array `(K, T, n)`, kinds
in scene order, periods in order; `nan` in an expected count = no data for that kind and unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo import risk
from geo.risk import Bytes, ColourRule, DebParameters, Floats


@dataclass(frozen=True)
class Effective:
    """The composite as one Poisson-like count per unit and period.

    Attributes
    ----------
    observed, expected : (T, n) float64
        O' = W·F/V and E' = F²/V; nan = no data for any kind.
    factor : (T, n) float64
        F/V, worth of one harm-weighted event in effective events; 0 where nothing is expected.
    """

    observed: Floats
    expected: Floats
    factor: Floats


@dataclass(frozen=True)
class CompositeResult:
    """The overall relative risk of every unit and period.

    Attributes
    ----------
    observed, expected : (T, n) float64
        O' and E' (effective, not plain sums).
    s, x, k : (T, n) float64
        Remembered O' and E' with this period, memory applied.
    alpha : (T,) float64
        Strength of the prior; of a unit see `risk.unit_alpha`.
    dispersion : (T,) float64
    theta, p : (T, n) float64
        Posterior mean and P(θ > 1).
    colours : (T, n) uint8
        After the veto.
    flags : (T, n) uint8
        Bits of `assessment.flags`, 8 = raised by the veto.
    """

    observed: Floats
    expected: Floats
    s: Floats
    x: Floats
    k: Floats
    alpha: Floats
    dispersion: Floats
    theta: Floats
    p: Floats
    colours: Bytes
    flags: Bytes


def _harm(harm: npt.ArrayLike, kinds: int) -> Floats:
    weights = np.asarray(harm, dtype=np.float64)
    if weights.shape != (kinds,):
        raise ValueError(f"harm must have shape ({kinds},), got {weights.shape}")
    if not np.all(np.isfinite(weights) & (weights >= 0)) or not np.any(weights > 0):
        raise ValueError(f"harm weights are finite, not negative, not all 0; got {weights}")
    return weights


def effective(observed: npt.ArrayLike, expected: npt.ArrayLike, harm: npt.ArrayLike) -> Effective:
    """Harm-weighted counts on the scale of a Poisson count (METHODS 5).

    W = Σ w O, F = Σ w E and V = Σ w² E over the kinds with data; W·F/V has the expectation and,
    for Poisson counts, the variance F²/V.

    Parameters
    ----------
    observed, expected : (K, T, n)
        Events of a kind without expected count (nan) are left out.
    harm : (K,) weights w

    Raises
    ------
    ValueError
        On wrong shapes or weights.
    """
    o = np.asarray(observed, dtype=np.float64)
    e = np.asarray(expected, dtype=np.float64)
    if o.ndim != 3 or o.shape != e.shape:
        raise ValueError(
            f"observed and expected must both be (K, T, n), got {o.shape} and {e.shape}"
        )
    weights = _harm(harm, o.shape[0])
    none = np.ones(o.shape[1:], dtype=np.bool_)
    w_sum, f_sum, v_sum = (np.zeros(o.shape[1:]) for _ in range(3))
    for weight, counts, base in zip(weights, o, e, strict=True):
        known = ~np.isnan(base)
        none &= ~known
        w_sum += weight * np.where(known, counts, 0.0)
        f_sum += weight * np.where(known, base, 0.0)
        v_sum += weight * weight * np.where(known, base, 0.0)
    factor = np.divide(f_sum, v_sum, out=np.zeros_like(f_sum), where=v_sum > 0)
    gap = np.where(none, np.nan, 0.0)
    return Effective(w_sum * factor + gap, f_sum * factor + gap, factor + gap)


def composite(
    observed: npt.ArrayLike,
    expected: npt.ArrayLike,
    harm: npt.ArrayLike,
    kind_colours: npt.ArrayLike,
    *,
    parameters: DebParameters | None = None,
    rule: ColourRule | None = None,
) -> CompositeResult:
    """Assess the overall relative risk: DEB on O', E', the same colour rule, the veto (METHODS 5).

    Parameters
    ----------
    observed, expected : (K, T, n)
    harm : (K,)
    kind_colours : (K, T, n) uint8
        Colours of the kinds; any red lifts the overall colour to at least orange.

    Raises
    ------
    ValueError
        On wrong shapes, weights or counts.
    """
    seen = np.asarray(kind_colours)
    if seen.shape != np.shape(observed):
        raise ValueError(f"kind_colours must have shape {np.shape(observed)}, got {seen.shape}")
    base = effective(observed, expected, harm)
    # no data is nan in E'; the count beside it is never read
    result = risk.filter_expected(
        np.where(np.isnan(base.expected), 0.0, base.observed), base.expected, parameters
    )
    alpha = risk.unit_alpha(result.alpha, result.flags, parameters)
    theta = risk.relative_risk(alpha, result.s, result.x)
    p = risk.exceedance(alpha, result.s, result.x)
    colours = risk.colours(p, theta, rule)
    lift = (seen == risk.RED).any(axis=0) & (colours != risk.NONE) & (colours < risk.ORANGE)
    colours[lift] = risk.ORANGE
    flags = result.flags | np.where(lift, np.uint8(risk.VETO), np.uint8(0))
    return CompositeResult(
        base.observed,
        base.expected,
        result.s,
        result.x,
        result.k,
        result.alpha,
        result.dispersion,
        theta,
        p,
        colours,
        flags,
    )


def contributions(
    observed: npt.ArrayLike,
    expected: npt.ArrayLike,
    harm: npt.ArrayLike,
    k: npt.ArrayLike,
    alpha: npt.ArrayLike,
    *,
    ord: int = -1,  # noqa: A002 - the name of the period index everywhere
) -> Floats:
    """Return what each kind adds to, or takes from, θ − 1 in one period (METHODS 5).

    Kind k gives (F/V)·w_k (S_k − X_k) / (α + X), where S_k and X_k collect (F/V)·w_k·O and
    (F/V)·w_k·E of every period with the overall's memory. The sum over kinds is θ − 1.

    Parameters
    ----------
    observed, expected : (K, T, n)
        All periods up to `ord` at least; later ones are not read. For one unit pass n = 1.
    harm : (K,)
    k : (T, n)
        The overall's memory (`CompositeResult.k`, column `assessment.memory_k`).
    alpha : scalar or (n,)
        Prior strength of the overall in that period per unit (`risk.unit_alpha`).
    ord : int
        Index of the period; negative counts from the end.

    Returns
    -------
    (K, n) float64; nan = no data, 0 for a kind without data in a unit with data

    Raises
    ------
    IndexError
        When the period does not exist.
    """
    o = np.asarray(observed, dtype=np.float64)
    e = np.asarray(expected, dtype=np.float64)
    memory = np.asarray(k, dtype=np.float64)
    base = effective(o, e, harm)
    weights = _harm(harm, o.shape[0])
    if memory.shape != o.shape[1:]:
        raise ValueError(f"k must have shape {o.shape[1:]}, got {memory.shape}")
    last = range(o.shape[1])[ord]
    weight = np.ones(o.shape[2])
    x = np.zeros(o.shape[2])
    excess = np.zeros((o.shape[0], o.shape[2]))
    for t in range(last, -1, -1):
        share = weight * base.factor[t] * weights[:, None]
        excess += np.where(np.isnan(e[:, t]), 0.0, share * (o[:, t] - e[:, t]))
        x += weight * base.expected[t]
        weight = weight * memory[t]
        if not np.any(weight > 0):
            break
    return np.asarray(
        (excess + np.where(np.isnan(x), np.nan, 0.0)) / (np.asarray(alpha) + x), dtype=np.float64
    )


def governance_index(theta: npt.ArrayLike) -> Floats:
    """50 · (1 + log2 θ) clipped to [0, 100]: θ = ½, 1, 2 give 0, 50, 100 (METHODS 5).

    Goalposts are fixed, so periods compare. nan stays nan.

    Examples
    --------
    >>> governance_index([0.25, 0.5, 1.0, 2.0, 9.0]).tolist()
    [0.0, 0.0, 50.0, 100.0, 100.0]
    """
    with np.errstate(divide="ignore"):
        index = 50.0 * (1.0 + np.log2(np.asarray(theta, dtype=np.float64)))
    return np.asarray(np.clip(index, 0.0, 100.0), dtype=np.float64)
