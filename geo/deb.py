"""The recursion of METHODS 3 that cannot be vectorised, compiled.

May import numpy and numba only. Pure: no state, no randomness, one thread. Public entry is
`geo.risk`; the functions here take checked, contiguous float64 arrays and do not check again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Function = TypeVar("Function", bound=Callable[..., object])

DROPPED = 1
CHECK = 2
SHORT = 16


def compiled(function: Function) -> Function:
    """`numba.njit` with a cache beside the source, seen by the type checker as the function."""
    return cast("Function", numba.njit(cache=True, error_model="numpy")(function))


@compiled
def log_gamma(z: float) -> float:
    """Return ln Γ(z) for z > 0: Stirling from 7 on, shifted up below; absolute error under 1e-12 z.

    Written out because `math.lgamma` carries a sign and a reflection nobody needs here and
    takes twice as long.
    """
    product = 1.0
    while z < 7.0:
        product *= z
        z += 1.0
    r = 1.0 / z
    r2 = r * r
    tail = r * (
        1 / 12
        - r2 * (1 / 360 - r2 * (1 / 1260 - r2 * (1 / 1680 - r2 * (1 / 1188 - r2 * 691 / 360360))))
    )
    value = (z - 0.5) * math.log(z) - z + 0.9189385332046727 + tail
    if product != 1.0:
        value -= math.log(product)
    return value


@compiled
def polygamma(z: float) -> tuple[float, float]:
    """Return ψ(z) and ψ'(z) for z > 0: asymptotic series from 7 on, recurrence below."""
    digamma = 0.0
    trigamma = 0.0
    while z < 7.0:
        r = 1.0 / z
        digamma -= r
        trigamma += r * r
        z += 1.0
    r = 1.0 / z
    r2 = r * r
    digamma += (
        math.log(z)
        - 0.5 * r
        - r2
        * (
            1 / 12
            - r2 * (1 / 120 - r2 * (1 / 252 - r2 * (1 / 240 - r2 * (1 / 132 - r2 * 691 / 32760))))
        )
    )
    trigamma += r * (
        1.0
        + r * 0.5
        + r2
        * (1 / 6 - r2 * (1 / 30 - r2 * (1 / 42 - r2 * (1 / 30 - r2 * (5 / 66 - r2 * 691 / 2730)))))
    )
    return digamma, trigamma


@compiled
def log_marginal(o: Floats, e: Floats, alpha: float) -> float:
    """Σ [lnΓ(α+o) − lnΓ(α) + α ln α − (α+o) ln(α+e)] (METHODS 3 step 4)."""
    base = log_gamma(alpha) - alpha * math.log(alpha)
    total = 0.0
    for i in range(o.size):
        z = alpha + o[i]
        total += log_gamma(z) - z * math.log(alpha + e[i]) - base
    return total


@compiled
def slopes(o: Floats, e: Floats, alpha: float) -> tuple[float, float]:
    """First and second derivative of `log_marginal` with respect to u = ln α."""
    digamma, trigamma = polygamma(alpha)
    base = 1.0 + math.log(alpha) - digamma
    first = 0.0
    second = 0.0
    for i in range(o.size):
        z = alpha + o[i]
        b = alpha + e[i]
        psi, psi1 = polygamma(z)
        first += psi - math.log(b) - z / b + base
        second += psi1 - trigamma + 1.0 / alpha - 2.0 / b + z / (b * b)
    return alpha * first, alpha * alpha * second + alpha * first


@compiled
def fit_log_alpha(o: Floats, e: Floats, low: float, high: float) -> float:
    """Maximise `log_marginal` over u = ln α in [low, high]; returns u to about 1e-9.

    A scan in steps of about 1 finds the right hill (the likelihood can have a second one at
    the upper end), Newton kept inside a shrinking bracket climbs it.
    """
    steps = max(1, math.ceil(high - low))
    step = (high - low) / steps
    best = 0
    top = -math.inf
    for g in range(steps + 1):
        value = log_marginal(o, e, math.exp(low + g * step))
        if value > top:
            top = value
            best = g
    left = low + max(best - 1, 0) * step
    right = low + min(best + 1, steps) * step
    u = low + best * step
    for _ in range(60):
        first, second = slopes(o, e, math.exp(u))
        if first > 0.0:
            left = u
        else:
            right = u
        new = u - first / second if second < 0.0 else 0.5 * (left + right)
        if not left <= new <= right:
            # at an end of the range the slope points outward and the bracket is empty
            new = 0.5 * (left + right)
        if abs(new - u) < 1e-9:
            return new
        u = new
    return u


@compiled
def memory(  # noqa: PLR0917 - numba calls it positionally
    o: float,
    e: float,
    s: float,
    x: float,
    alpha: float,
    w: float,
    log_gamma_w: float,
    log_w: float,
    q: float,
    odds: float,
    memory_max: float,
) -> tuple[float, float]:
    """Return k of steps 1 and 2, and the odds that the unit left its past behind.

    `s`, `x` and `alpha` are those of the period before, `w` is the strength after a reset.
    """
    k = min(memory_max, 1.0 / (1.0 + q * max(1.0, s, x)))
    # o ln e and lnΓ(o+1) stand in both marginals and cancel, so e = 0 is no case
    a = alpha + k * s
    b = alpha + k * x
    fresh = log_gamma(w + o) - log_gamma_w + w * log_w - (w + o) * math.log(w + e)
    kept = log_gamma(a + o) - log_gamma(a) + a * math.log(b)
    kept -= (a + o) * math.log(b + e)
    # beyond e^700 the memory is gone to the last digit anyway
    ratio = odds * math.exp(min(700.0, fresh - kept))
    return k / (1.0 + ratio), ratio


@compiled
def replay(  # noqa: PLR0917 - numba calls it positionally
    observed: Floats,
    expected: Floats,
    alpha: Floats,
    q: float,
    odds: float,
    reset_alpha: float,
    memory_max: float,
    log_high: float,
) -> tuple[Floats, Floats, Floats, npt.NDArray[np.uint8]]:
    """Run steps 1–3 of METHODS 3 with the strengths of the prior already known.

    What `recurse` says of one unit depends on the others only through `alpha`; with it the unit's
    own history is enough.

    Parameters
    ----------
    observed, expected : (T, n) float64, nan in `expected` = no data
    alpha : (T,) float64

    Returns
    -------
    s, x, k : (T, n) float64, nan without data
    flags : (T, n) uint8, bit 1 only
    """
    periods, n = observed.shape
    s_all = np.full((periods, n), np.nan)
    x_all = np.full((periods, n), np.nan)
    k_all = np.full((periods, n), np.nan)
    flags = np.zeros((periods, n), np.uint8)
    for i in range(n):
        s = 0.0
        x = 0.0
        before = math.exp(log_high)
        for t in range(periods):
            o = observed[t, i]
            e = expected[t, i]
            if math.isnan(e):
                continue
            w = min(before, reset_alpha)
            k = 0.0
            if x > 0.0 or s > 0.0:
                k, ratio = memory(
                    o, e, s, x, before, w, log_gamma(w), math.log(w), q, odds, memory_max
                )
                if ratio > 1.0:
                    flags[t, i] |= DROPPED
            s = k * s + o
            x = k * x + e
            s_all[t, i] = s
            x_all[t, i] = x
            k_all[t, i] = k
            before = alpha[t]
    return s_all, x_all, k_all, flags


@compiled
def recurse(  # noqa: PLR0912, PLR0915, PLR0917 - one loop: numba calls it positionally
    observed: Floats,
    expected: Floats,
    usable: npt.NDArray[np.bool_],
    suspect: npt.NDArray[np.bool_],
    q: float,
    odds: float,
    reset_alpha: float,
    memory_max: float,
    thin: float,
    check_ratio: float,
    check_count: float,
    min_events: float,
    min_units: int,
    log_low: float,
    log_high: float,
) -> tuple[Floats, Floats, Floats, Floats, npt.NDArray[np.uint8]]:
    """Run steps 1–4 of METHODS 3 over all periods of one panel.

    Parameters
    ----------
    observed, expected : (T, n) float64
        O and E; `expected` is read only where `usable`.
    usable : (n,) bool
        Units with exposure.
    suspect : (T, n) bool
        Units already marked "check exposure or duplicates" in this period.
    odds : float
        ε / (1 − ε).

    Returns
    -------
    s, x, k : (T, n) float64, nan where not usable
    alpha : (T,) float64
    flags : (T, n) uint8, bits 1, 2 and 16 of `assessment.flags`
    """
    periods, n = observed.shape
    s_all = np.full((periods, n), np.nan)
    x_all = np.full((periods, n), np.nan)
    k_all = np.full((periods, n), np.nan)
    alphas = np.empty(periods)
    flags = np.zeros((periods, n), np.uint8)
    s = np.zeros(n)
    x = np.zeros(n)
    x2 = np.zeros(n)
    fit_o = np.empty(n)
    fit_e = np.empty(n)
    ceiling = math.exp(log_high)
    alpha = ceiling
    units = 0
    for i in range(n):
        if usable[i]:
            units += 1
    for t in range(periods):
        w = min(alpha, reset_alpha)
        log_gamma_w = log_gamma(w)
        log_w = math.log(w)
        total_x = 0.0
        for i in range(n):
            if not usable[i]:
                continue
            o = observed[t, i]
            e = expected[t, i]
            k = 0.0
            if x[i] > 0.0 or s[i] > 0.0:
                k, ratio = memory(
                    o, e, s[i], x[i], alpha, w, log_gamma_w, log_w, q, odds, memory_max
                )
                if ratio > 1.0:
                    flags[t, i] |= DROPPED
            s[i] = k * s[i] + o
            x[i] = k * x[i] + e
            x2[i] = k * k * x2[i] + e
            s_all[t, i] = s[i]
            x_all[t, i] = x[i]
            k_all[t, i] = k
            total_x += x[i]
        floor = thin * total_x / max(1, units)
        members = 0
        events = 0.0
        for i in range(n):
            if not usable[i]:
                continue
            if suspect[t, i] or s[i] > check_ratio * x[i] + check_count:
                flags[t, i] |= CHECK
            elif x[i] >= floor and x2[i] > 0.0:
                effective = x[i] / x2[i]
                fit_o[members] = s[i] * effective
                fit_e[members] = x[i] * effective
                members += 1
                events += s[i]
        if events < min_events or members < min_units:
            alpha = ceiling
            for i in range(n):
                if usable[i]:
                    flags[t, i] |= SHORT
        else:
            alpha = math.exp(fit_log_alpha(fit_o[:members], fit_e[:members], log_low, log_high))
        alphas[t] = alpha
    return s_all, x_all, k_all, alphas, flags
