"""Relative risk of places from their counts: single-period posteriors, the overall score, colours.

Imports the kernels of `geo` (METHODS 3 to 5). Promises: one kind alone and the overall of several
are made as the run makes them, without history.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from app.api.analysis_models import Risk
from app.api.models import COLOURS
from app.services.analysis_expected import Weights
from app.services.analysis_rates import RunRates
from geo import risk, score
from geo.small_numbers import mask

Floats = npt.NDArray[np.float64]


def total(expected: Floats) -> Floats:
    """Sum over places, (n, K) to (K,); nan where no place has data."""
    known = np.isfinite(expected)
    return np.where(known.any(axis=0), np.where(known, expected, 0.0).sum(axis=0), np.nan)


def plain(observed: int) -> Risk:
    """Make a count nothing is expected for."""
    return Risk(
        observed=observed, observed_text=str(observed), suppressed=False, expected=None,
        relative_risk=None, low=None, high=None, exceedance=None, colour="none",
    )  # fmt: skip


def main_reference(rates: RunRates, weights: Weights) -> int:
    """Find the reference area whose prior is taken: that of most units of the area."""
    ids = weights.ids
    if not len(ids):
        return 0
    table, leaf = rates.table, rates.leaf
    levels = table.level_of[ids - 1]
    if not weights.drawn:
        # the prior is that of the finest level below
        below = np.flatnonzero(table.level_of == leaf) + 1
        for one, level in zip(ids.tolist(), levels.tolist(), strict=True):
            mine = below[table.ancestors[below, level] == one]
            if len(mine):
                return int(rates.references[leaf, mine[0]])
    numbers, counts = np.unique(rates.references[levels, ids], return_counts=True)
    return int(numbers[np.argmax(counts)])


class Risks:
    """Relative risks inside one question: its kinds and the newest prior of the finest level.

    Parameters
    ----------
    rates : RunRates or None
        None: nothing was assessed, there are counts only.
    weights : the area, which says whose prior
    kinds : kinds asked for; None all
    alike : all kinds count alike in the overall score. Harm weights are known: an overall score by
        them would tell hidden small counts (METHODS 11).
    """

    def __init__(
        self,
        rates: RunRates | None,
        weights: Weights,
        kinds: Collection[str] | None,
        *,
        alike: bool = False,
    ) -> None:
        self.rates = rates
        self.alike = alike
        if rates is None:
            return
        names = rates.facts.kinds
        reference = main_reference(rates, weights)
        default = float(np.exp(8.5))
        self.given = np.array([kinds is None or one in kinds for one in names], np.bool_)
        self.harm = [1.0 if alike else rates.facts.scene.kinds[kind].harm for kind in names]
        self.alpha = [rates.alpha.get((rates.leaf, reference, kind), default) for kind in names]
        self.overall_alpha = rates.alpha.get((rates.leaf, reference, "overall"), default)

    def by_kind(self, observed: Floats, expected: Floats) -> list[Risk]:
        """Relative risk of one place by kind of the run; observed, expected (K,)."""
        assert self.rates is not None
        found = risk.single(np.array(self.alpha), observed, expected)
        colour = risk.colours(found.p, found.theta, self.rates.rule)
        prior = _Prior(np.array(self.alpha), observed, expected)
        return [
            _risk(observed[k], expected[k], found, prior, at=k, colour=int(colour[k]))
            for k in range(len(observed))
        ]

    def overall(
        self, observed: Floats, expected: Floats | None, counted: npt.NDArray[np.int64]
    ) -> list[Risk]:
        """Relative risk of places over the kinds asked for.

        Parameters
        ----------
        observed, expected : (n, K) by kind of the run
        counted : (n,) events to be shown, those of kinds the run does not know too
        """
        if self.rates is None or expected is None or not self.given.any():
            return [plain(int(one)) for one in counted]
        expected = np.where(self.given, expected, np.nan)
        alpha = np.array(self.alpha)
        each = risk.exceedance(alpha, observed, expected)
        colours = risk.colours(each, risk.relative_risk(alpha, observed, expected), self.rates.rule)
        if self.given.sum() == 1:
            k = int(np.flatnonzero(self.given)[0])
            found = risk.single(alpha[k], observed[:, k], expected[:, k])
            prior = _Prior(np.full(len(counted), alpha[k]), observed[:, k], expected[:, k])
            colour, sums = colours[:, k], expected[:, k]
        else:
            whole = score.effective(observed.T[:, None], expected.T[:, None], self.harm)
            found = risk.single(self.overall_alpha, whole.observed[0], whole.expected[0])
            same = np.full(len(counted), self.overall_alpha)
            prior = _Prior(same, whole.observed[0], whole.expected[0])
            colour = risk.colours(found.p, found.theta, self.rates.rule)
            veto = (colours == risk.RED).any(axis=1) & (colour != 0)
            if not self.alike:
                colour = np.where(veto, np.maximum(colour, risk.RED - 1), colour)
            known = np.isfinite(expected).any(axis=1)
            sums = np.where(known, np.nansum(expected, axis=1), np.nan)
            if self.alike:
                told = self._telling(whole.observed[0], counted)
                found = risk.Posterior(
                    *(np.where(told, np.nan, one) for one in vars(found).values())
                )
                colour = np.where(told, 0, colour)
        return [
            _risk(float(counted[i]), float(sums[i]), found, prior, at=i, colour=int(colour[i]))
            for i in range(len(counted))
        ]

    @staticmethod
    def _telling(compared: Floats, counted: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Places whose relative risk would tell a small number.

        It tells the events of kinds that are compared; what the count has beyond them is known, too.
        """
        known = np.isfinite(compared)
        beyond = np.where(known, counted - np.where(known, compared, 0.0), 0.0)
        beyond = np.rint(beyond).astype(np.int64)
        told = mask(np.maximum(beyond, 0)) | ((beyond != 0) & mask(counted - beyond))
        # one alone would follow from the others and their sum
        return np.asarray(told | (told.any() & (beyond != 0)))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


class _Prior(NamedTuple):
    """What posteriors were made from: strength of the prior and effective counts, (n,)."""

    alpha: Floats
    observed: Floats
    expected: Floats


def _risk(
    observed: float, expected: float, found: risk.Posterior, prior: _Prior, *, at: int, colour: int
) -> Risk:
    count = round(float(observed))
    if not np.isfinite(expected):
        return plain(count)
    told = bool(np.isfinite(found.theta[at]))
    return Risk(
        observed=count,
        observed_text=str(count),
        suppressed=False,
        expected=float(expected),
        relative_risk=_finite(found.theta[at]),
        low=_finite(found.low[at]),
        high=_finite(found.high[at]),
        exceedance=_finite(found.p[at]),
        colour=COLOURS[colour],
        alpha=_finite(prior.alpha[at]) if told else None,
        effective_observed=_finite(prior.observed[at]) if told else None,
        effective_expected=_finite(prior.expected[at]) if told else None,
    )
