"""Relative risk of one kind: expected counts, the DEB filter, posteriors, colours (METHODS 2–4).

May import numpy, scipy, `geo.deb` and `geo.colours`. Pure: no clock, no randomness, inputs are never changed.
Panels are `(T, n)` float64, periods in order; `nan` in a share, and in whatever is derived from
it, means *no data*. One call is one level × kind × period type × reference area.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from geo import deb
from geo.colours import (
    BLUE,
    COLOURS,
    GREEN,
    NONE,
    ORANGE,
    RED,
    YELLOW,
    ColourRule,
    colours,
)

__all__ = [
    "BLUE",
    "CHECK",
    "COLOURS",
    "DROPPED",
    "GREEN",
    "NONE",
    "ORANGE",
    "OUTWEIGHS",
    "RED",
    "SHORT",
    "VETO",
    "YELLOW",
    "ColourRule",
    "DebParameters",
    "DebResult",
    "Expected",
    "Posterior",
    "colour_panel",
    "colours",
    "dispersion",
    "exceedance",
    "expected_counts",
    "filter_expected",
    "filter_panel",
    "posterior",
    "relative_risk",
    "replay",
    "single",
    "unit_alpha",
]

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

DROPPED = deb.DROPPED
CHECK = deb.CHECK
OUTWEIGHS = 4
VETO = 8
SHORT = deb.SHORT


@dataclass(frozen=True)
class DebParameters:
    """Constants of METHODS 3; a scene may change them, the defaults are the tested ones.

    Attributes
    ----------
    q : float
        Loss of memory per remembered event (.005; weeks .001).
    epsilon : float
        Chance that a unit left its past behind in this period, in [0, 1).
    reset_alpha : float
        Strength of the prior after a reset, and at most of a unit marked `CHECK`.
    memory_max : float
        Upper bound of k, in [0, 1).
    outweigh_share, outweigh_units : float
        A unit with more than max(outweigh_share, outweigh_units / n) of the exposure is compared
        with the rest.
    check_ratio, check_count : float
        O > check_ratio · E + check_count (and the same of S and X) is no risk but an error.
    thin : float
        Units with X below this part of the mean X say nothing about α.
    min_events, min_units : float, int
        With fewer the prior is the strongest one (everything blue).
    log_alpha_low, log_alpha_high : float
        Range of ln α.
    """

    q: float = 0.005
    epsilon: float = 0.05
    reset_alpha: float = 2.0
    memory_max: float = 0.98
    outweigh_share: float = 0.20
    outweigh_units: float = 4.0
    check_ratio: float = 20.0
    check_count: float = 20.0
    thin: float = 0.02
    min_events: float = 5.0
    min_units: int = 5
    log_alpha_low: float = -2.5
    log_alpha_high: float = 8.5

    def __post_init__(self) -> None:
        positive = ("q", "reset_alpha", "outweigh_share", "check_ratio")
        for name in positive:
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("outweigh_units", "check_count", "thin", "min_events", "min_units"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("epsilon", "memory_max"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}")
        if not -20 <= self.log_alpha_low < self.log_alpha_high <= 20:
            raise ValueError(
                "log_alpha_low and log_alpha_high must be ascending and in [-20, 20], got "
                f"{self.log_alpha_low}, {self.log_alpha_high}"
            )


@dataclass(frozen=True)
class Expected:
    """Step 0: expected counts and who was set aside.

    Attributes
    ----------
    expected : (T, n) float64
        E = C · r_t, nan = no data.
    rate : (T,) float64
        r_t, events per unit of share; nan when no unit has exposure.
    outweighs : (n,) bool
        Units compared with the rest because they hold too much of the exposure.
    suspect : (T, n) bool
        Units with O > 20 E + 20 at the first pass.
    """

    expected: Floats
    rate: Floats
    outweighs: npt.NDArray[np.bool_]
    suspect: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class DebResult:
    """What the filter knows at the end of each period.

    Attributes
    ----------
    expected, s, x, k : (T, n) float64
        E, remembered events and expected events with this period, memory applied; nan = no data.
    alpha : (T,) float64
        Strength of the prior; of a single unit see `unit_alpha`.
    rate : (T,) float64
        r_t; nan when E was given (composite).
    dispersion : (T,) float64
        φ of this period against the one before, nan for the first and where undefined.
    flags : (T, n) uint8
        Bits of `assessment.flags`: 1 history dropped (the reset is likelier than not), 2 check
        exposure or duplicates, 4 outweighs its reference area, 16 too little for a prior.
    """

    expected: Floats
    s: Floats
    x: Floats
    k: Floats
    alpha: Floats
    rate: Floats
    dispersion: Floats
    flags: Bytes


@dataclass(frozen=True)
class Posterior:
    """Gamma posterior of θ: mean, central 95 % interval, P = P(θ > 1); nan = no data."""

    theta: Floats
    low: Floats
    high: Floats
    p: Floats


def _panel(name: str, values: npt.ArrayLike) -> Floats:
    """Check counts: `(T, n)`, finite, not negative."""
    panel = np.ascontiguousarray(values, dtype=np.float64)
    if panel.ndim != 2:
        raise ValueError(f"{name} must have shape (T, n), got {panel.shape}")
    if not np.all(np.isfinite(panel) & (panel >= 0)):
        t, i = np.argwhere(~(np.isfinite(panel) & (panel >= 0)))[0]
        raise ValueError(f"{name}[{t}, {i}] is {panel[t, i]}: counts are finite and not negative")
    return panel


def expected_counts(
    observed: npt.ArrayLike, share: npt.ArrayLike, parameters: DebParameters | None = None
) -> Expected:
    """Indirect standardisation with both reference guards (METHODS 2 and 3 step 0).

    Parameters
    ----------
    observed : (T, n) counts
    share : (n,) float64
        C, any positive scale; nan or 0 = no data. Events of such units are in no rate.

    Raises
    ------
    ValueError
        On a wrong shape, a count that is negative or not finite, a negative or infinite share.
    """
    p = parameters or DebParameters()
    counts = _panel("observed", observed)
    c = np.asarray(share, dtype=np.float64)
    periods, n = counts.shape
    if c.shape != (n,):
        raise ValueError(f"share must have shape ({n},), got {c.shape}")
    if np.any(c < 0) or np.any(np.isinf(c)):
        raise ValueError("shares are finite and not negative; missing is nan")
    usable = c > 0
    units = int(usable.sum())
    outweighs = np.zeros(n, dtype=np.bool_)
    suspect = np.zeros((periods, n), dtype=np.bool_)
    if units == 0:
        nothing = np.full((periods, n), np.nan)
        return Expected(nothing, np.full(periods, np.nan), outweighs, suspect)
    shares = np.where(usable, c, 0.0)
    limit = max(p.outweigh_share, p.outweigh_units / units)
    outweighs = shares > limit * shares.sum()
    if np.all(outweighs[usable]):
        # only under a scene's own limits; the tested ones always leave three quarters
        outweighs = np.zeros(n, dtype=np.bool_)
    reference = (usable & ~outweighs).astype(np.float64)
    rate = counts @ reference / (shares @ reference)
    suspect = (counts > p.check_ratio * shares * rate[:, None] + p.check_count) & usable
    for t in np.flatnonzero(suspect.any(axis=1)):
        rest = reference * ~suspect[t]
        exposure = shares @ rest
        if exposure > 0:
            rate[t] = counts[t] @ rest / exposure
    expected = np.where(usable, c, np.nan) * rate[:, None]
    return Expected(expected, rate, outweighs, suspect)


def dispersion(observed: Floats, expected: Floats, counted: npt.NDArray[np.bool_]) -> Floats:
    """φ of adjacent periods: 1 = Poisson, above 1.5 = recorded in batches (METHODS 3, diagnostics).

    Given a unit's total N over two neighbouring periods, a constant risk makes the later count
    binomial with p = E_t / (E_t + E_{t−1}); φ is the pooled squared deviation over the pooled
    binomial variance, the latter less what estimating the rate takes: Σ N p (1−p) (1 − N/ΣN).

    Parameters
    ----------
    observed, expected : (T, n) float64
    counted : (T, n) bool
        Cells that took part; a pair counts where both of its cells did.

    Returns
    -------
    (T,) float64, nan for the first period and where fewer than 2 units had events
    """
    phi = np.full(observed.shape[0], np.nan)
    for t in range(1, observed.shape[0]):
        total = observed[t] + observed[t - 1]
        use = counted[t] & counted[t - 1] & (total > 0)
        number, now = total[use], expected[t, use]
        both = now + expected[t - 1, use]
        if number.size < 2 or not np.all(both > 0):
            continue
        p = now / both
        variance = number * p * (1 - p) * (1 - number / number.sum())
        if variance.sum() > 0:
            phi[t] = np.square(observed[t, use] - number * p).sum() / variance.sum()
    return phi


def filter_expected(
    observed: npt.ArrayLike,
    expected: npt.ArrayLike,
    parameters: DebParameters | None = None,
    suspect: npt.NDArray[np.bool_] | None = None,
) -> DebResult:
    """Run steps 1–4 of METHODS 3 on given expected counts.

    Parameters
    ----------
    observed, expected : (T, n) float64
        `expected` nan in the whole column = no data.
    suspect : (T, n) bool, optional
        Cells marked `CHECK` beforehand.

    Raises
    ------
    ValueError
        On wrong shapes, a negative count, an expected count that is negative, infinite, or
        missing in some periods only.
    """
    p = parameters or DebParameters()
    counts = _panel("observed", observed)
    e = np.ascontiguousarray(expected, dtype=np.float64)
    if e.shape != counts.shape:
        raise ValueError(f"expected must have shape {counts.shape}, got {e.shape}")
    missing = np.isnan(e)
    usable: npt.NDArray[np.bool_] = np.asarray(~missing.all(axis=0), dtype=np.bool_)
    if np.any(missing[:, usable]):
        raise ValueError("a unit's expected count is missing in some periods and not in others")
    if np.any(e < 0) or np.any(np.isinf(e)):
        raise ValueError("expected counts are finite and not negative; missing is nan")
    marked = np.zeros(e.shape, dtype=np.bool_)
    if suspect is not None:
        marked |= suspect
    s, x, k, alpha, flags = deb.recurse(
        counts,
        e,
        usable,
        marked,
        p.q,
        p.epsilon / (1 - p.epsilon),
        p.reset_alpha,
        p.memory_max,
        p.thin,
        p.check_ratio,
        p.check_count,
        p.min_events,
        p.min_units,
        p.log_alpha_low,
        p.log_alpha_high,
    )
    phi = dispersion(counts, e, usable & ((flags & CHECK) == 0))
    return DebResult(e, s, x, k, alpha, np.full(e.shape[0], np.nan), phi, flags)


def filter_panel(
    observed: npt.ArrayLike, share: npt.ArrayLike, parameters: DebParameters | None = None
) -> DebResult:
    """Drifting empirical Bayes with reset over one panel (METHODS 3).

    Parameters
    ----------
    observed : (T, n) counts
        May be fractional: the past of a split or merged unit is shared out by exposure.
    share : (n,) float64
        C; nan or 0 = no data.

    Returns
    -------
    DebResult

    Raises
    ------
    ValueError
        See `expected_counts`.

    Examples
    --------
    >>> result = filter_panel([[4, 6, 2, 9, 0, 3, 5, 1]], [10, 15, 8, 12, 2, 9, 11, 5])
    >>> result.expected.sum().round(9), bool(result.k.any())
    (np.float64(30.0), False)
    """
    counts = _panel("observed", observed)
    base = expected_counts(counts, share, parameters)
    result = filter_expected(counts, base.expected, parameters, base.suspect)
    flags = result.flags | np.where(base.outweighs, np.uint8(OUTWEIGHS), np.uint8(0))
    return DebResult(
        result.expected,
        result.s,
        result.x,
        result.k,
        result.alpha,
        base.rate,
        result.dispersion,
        flags,
    )


def replay(
    observed: npt.ArrayLike,
    expected: npt.ArrayLike,
    alpha: npt.ArrayLike,
    parameters: DebParameters | None = None,
) -> tuple[Floats, Floats, Floats, Bytes]:
    """Work out again what the filter knew of single units, from their own counts and the α it fitted.

    A unit's history meets the others' only in α, so the answer is that of `filter_expected` on
    the whole panel, to the last digit.

    Parameters
    ----------
    observed, expected : (T, n) float64
        From the first period on; `expected` nan in the whole column = no data.
    alpha : (T,) float64
        `DebResult.alpha` of the panel.

    Returns
    -------
    s, x, k : (T, n) float64
    flags : (T, n) uint8, bit `DROPPED` only

    Raises
    ------
    ValueError
        On shapes that do not fit.
    """
    p = parameters or DebParameters()
    counts = _panel("observed", observed)
    e = np.ascontiguousarray(expected, dtype=np.float64)
    strength = np.ascontiguousarray(alpha, dtype=np.float64)
    if e.shape != counts.shape or strength.shape != counts.shape[:1]:
        raise ValueError(
            f"observed {counts.shape}, expected {e.shape} and alpha {strength.shape} do not fit"
        )
    return deb.replay(
        counts,
        e,
        strength,
        p.q,
        p.epsilon / (1 - p.epsilon),
        p.reset_alpha,
        p.memory_max,
        p.log_alpha_high,
    )


def unit_alpha(
    alpha: npt.ArrayLike, flags: npt.ArrayLike, parameters: DebParameters | None = None
) -> Floats:
    """Strength of the prior per unit: α, but at most 2 for a unit marked `CHECK` (METHODS 3 step 4).

    Every posterior of the filter must be made with it.

    Parameters
    ----------
    alpha : scalar or (T,)
    flags : (n,) with a scalar alpha, (T,) of one unit or (T, n) with alpha (T,)

    Returns
    -------
    float64, the shape of `flags`
    """
    p = parameters or DebParameters()
    strength = np.asarray(alpha, dtype=np.float64)
    bits = np.asarray(flags)
    if bits.ndim == 2 and strength.ndim == 1:
        strength = strength[:, None]
    weak = np.minimum(strength, p.reset_alpha)
    return np.where((bits & CHECK) != 0, weak, strength).astype(np.float64)


def relative_risk(alpha: npt.ArrayLike, s: npt.ArrayLike, x: npt.ArrayLike) -> Floats:
    """θ = (α + S) / (α + X), the posterior mean; arguments broadcast."""
    a = np.asarray(alpha, dtype=np.float64)
    return np.asarray((a + np.asarray(s)) / (a + np.asarray(x)), dtype=np.float64)


def exceedance(alpha: npt.ArrayLike, s: npt.ArrayLike, x: npt.ArrayLike) -> Floats:
    """P(θ > 1) for θ ~ Gamma(α + S, rate α + X) (METHODS 3 step 5); arguments broadcast."""
    a = np.asarray(alpha, dtype=np.float64)
    return np.asarray(special.gammaincc(a + np.asarray(s), a + np.asarray(x)), dtype=np.float64)


def posterior(
    alpha: npt.ArrayLike, s: npt.ArrayLike, x: npt.ArrayLike, interval: float = 0.95
) -> Posterior:
    """Mean, central interval and P(θ > 1) of θ ~ Gamma(α + S, rate α + X); arguments broadcast.

    The interval costs about ten times the rest: for whole panels take `exceedance`.

    Examples
    --------
    >>> posterior(2.87, 25.8, 8.1).theta.round(2)
    np.float64(2.61)
    """
    if not 0 < interval < 1:
        raise ValueError(f"interval must be in (0, 1), got {interval}")
    a = np.asarray(alpha, dtype=np.float64)
    shape = np.asarray(a + np.asarray(s), dtype=np.float64)
    scale = np.asarray(a + np.asarray(x), dtype=np.float64)
    tail = (1 - interval) / 2
    return Posterior(
        theta=np.asarray(shape / scale, dtype=np.float64),
        low=np.asarray(special.gammaincinv(shape, tail) / scale, dtype=np.float64),
        high=np.asarray(special.gammainccinv(shape, tail) / scale, dtype=np.float64),
        p=np.asarray(special.gammaincc(shape, scale), dtype=np.float64),
    )


def single(
    alpha: npt.ArrayLike, o: npt.ArrayLike, e: npt.ArrayLike, interval: float = 0.95
) -> Posterior:
    """Return the posterior of one period alone: S = O, X = E (METHODS 3 step 5)."""
    return posterior(alpha, o, e, interval)


def colour_panel(
    alpha: npt.ArrayLike, s: npt.ArrayLike, x: npt.ArrayLike, rule: ColourRule | None = None
) -> tuple[Bytes, Floats]:
    """Colours and θ of many cells at once; P is worked out only where θ leaves the choice open.

    Same answer as `colours(exceedance(…), relative_risk(…), rule)`.

    Parameters
    ----------
    alpha, s, x : broadcast together; alpha per unit (`unit_alpha`)

    Returns
    -------
    colour uint8, theta float64
    """
    r = rule or ColourRule()
    a, remembered, base = np.broadcast_arrays(
        np.asarray(alpha, dtype=np.float64), np.asarray(s), np.asarray(x)
    )
    theta = relative_risk(a, remembered, base)
    above = min(
        (row[1] for row in (r.red, r.orange, r.yellow) if row is not None), default=math.inf
    )
    below = r.green[1] if r.green is not None else -math.inf
    # ½ can satisfy no row where theta satisfies none
    p = np.where(np.isnan(theta), np.nan, 0.5)
    ask = (theta >= above) | (theta <= below)
    p[ask] = exceedance(a[ask], remembered[ask], base[ask])
    return colours(p, theta, r), theta
