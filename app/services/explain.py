"""Stored results of one area in the words of the interface: why it has its colour, how it went.

Units and cells are explained alike. Every number is recomputed with the kernel that made it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from app.api.models import (
    COLOURS,
    Contribution,
    Estimate,
    Period,
    RateChange,
    SeriesPoint,
    UnitBrief,
    Why,
)
from app.services.periods import Span, month_number
from app.services.runs import RunFacts
from app.services.scenes import OVERALL
from app.services.tracks import Floats, Track
from geo import change, risk, score

FLAGS = {
    risk.CHECK: "check_exposure",
    risk.OUTWEIGHS: "outweighs",
    risk.VETO: "veto",
    risk.SHORT: "short_history",
}


def flag_names(flags: int) -> list[str]:
    """Names of the bits of `assessment.flags`, without "history dropped"."""
    return [name for bit, name in FLAGS.items() if flags & bit]


def estimate(alpha: float, s: float, x: float) -> Estimate | None:
    """Relative risk with its interval; None without data."""
    if math.isnan(x):
        return None
    found = risk.posterior(alpha, s, x)
    return Estimate(
        theta=float(found.theta), low=float(found.low), high=float(found.high), p=float(found.p)
    )


def number(value: float) -> float | None:
    """Finite number, else None (JSON knows neither nan nor inf)."""
    return float(value) if math.isfinite(value) else None


def rate_change(now: Span, observed: int, before: Span, earlier: int) -> RateChange:
    """Change of the event rate per covered day between two periods (METHODS 6).

    Both counts are single-period counts of the unit itself, so a month with 28 days compares
    fairly with one of 31, and a quarter the data covers only in part with a full one.
    """
    found = change.rate_ratio(observed, now.covered_days, earlier, before.covered_days)
    return RateChange(
        against=before.start,
        observed=earlier,
        ratio=number(float(found.ratio)),
        low=number(float(found.low)),
        high=number(float(found.high)),
    )


def same_last_year(periods: tuple[Span, ...], span: Span) -> Span | None:
    """Return the same period one year earlier, None when the run does not reach back."""
    wanted = month_number(span.start) - 12
    for one in periods:
        if month_number(one.start) == wanted:
            return one
    return None


def _changes(
    facts: RunFacts, period: Period, span: Span, track: Track
) -> tuple[RateChange | None, RateChange | None]:
    """Change against the previous period and against the same period last year."""
    observed = int(track.observed[span.ord])
    periods = facts.periods[period]
    before = periods[span.ord - 1] if span.ord else None
    year = same_last_year(periods, span)
    previous, last_year = (
        rate_change(span, observed, one, int(track.observed[one.ord])) if one else None
        for one in (before, year)
    )
    return previous, last_year


def _contributions(
    facts: RunFacts, tracks: Mapping[str, Track], alpha: float, ord_: int
) -> list[Contribution]:
    kinds = [tracks[kind] for kind in facts.kinds]
    values = score.contributions(
        np.stack([one.observed[:, None] for one in kinds]),
        np.stack([one.expected[:, None] for one in kinds]),
        [facts.scene.kinds[kind].harm for kind in facts.kinds],
        tracks[OVERALL].k[:, None],
        alpha,
        ord=ord_,
    )[:, 0]
    return [
        Contribution(
            kind=kind,
            value=float(value),
            observed=int(track.observed[ord_]),
            expected=number(track.expected[ord_]) or 0.0,
            colour=COLOURS[track.colour[ord_]],
        )
        for kind, track, value in zip(facts.kinds, kinds, values, strict=True)
    ]


@dataclass(frozen=True)
class Ground:
    """What an area is exposed to.

    Attributes
    ----------
    share : C of METHODS 1; None for the overall score and without data
    reference : area its numbers are compared with; None: the whole map
    complexity : 100 = average; None without data
    exposures : measure → amount
    """

    share: float | None
    reference: UnitBrief | None
    complexity: float | None
    exposures: dict[str, float | None]


def explain(
    facts: RunFacts,
    unit: UnitBrief,
    tracks: Mapping[str, Track],
    alpha: float,
    ground: Ground,
    *,
    kind: str,
    period: Period,
    ord_: int,
) -> Why:
    """Why an area, be it a unit or a cell, has its colour (METHODS 3, "what the user reads").

    Parameters
    ----------
    unit : the area, or the unit it is told by
    tracks : of `kind`; for the overall score of all kinds
    alpha : strength of the prior of `kind` in the period
    """
    track = tracks[kind]
    s, x = float(track.s[ord_]), float(track.x[ord_])
    fresh_o, fresh_e = float(track.fresh_observed[ord_]), float(track.fresh_expected[ord_])
    known = not math.isnan(x)
    expected, observed = number(track.expected[ord_]), int(track.observed[ord_])
    found = estimate(alpha, s, x)
    flags = int(track.flags[ord_])
    span = facts.periods[period][ord_]
    previous, last_year = _changes(facts, period, span, track) if known else (None, None)
    overall = kind == OVERALL
    return Why(
        run=facts.id,
        unit=unit,
        kind=kind,
        period=period,
        start=span.start,
        colour=COLOURS[track.colour[ord_]],
        previous_colour=COLOURS[track.colour[ord_ - 1]] if ord_ else None,
        observed=observed,
        expected=expected,
        estimate=found,
        single=estimate(alpha, fresh_o, fresh_e),
        single_ratio=observed / expected if known and expected else None,
        alpha=alpha if known else None,
        remembered_observed=s - fresh_o if known else None,
        remembered_expected=x - fresh_e if known else None,
        memory_share=(x - fresh_e) / x if known and x > 0 else None,
        history_dropped=bool(flags & risk.DROPPED),
        flags=flag_names(flags),
        veto_kinds=[
            one
            for one in facts.kinds
            if overall and flags & risk.VETO and tracks[one].colour[ord_] == risk.RED
        ],
        share=ground.share,
        reference=ground.reference,
        complexity=ground.complexity,
        exposures=ground.exposures,
        contributions=_contributions(facts, tracks, alpha, ord_) if overall and known else [],
        previous=previous,
        last_year=last_year,
        index=float(score.governance_index(found.theta)) if overall and found else None,
        rule_version=facts.scene.colour_rule.version,
    )


def points(facts: RunFacts, period: Period, track: Track, alpha: Floats) -> list[SeriesPoint]:
    """All periods of one track; `alpha` (T,) as from `track_alpha`."""
    found = risk.posterior(alpha, track.s, track.x)
    return [
        SeriesPoint(
            start=span.start,
            complete=span.complete,
            observed=int(track.observed[t]),
            expected=number(track.expected[t]),
            theta=number(found.theta[t]),
            low=number(found.low[t]),
            high=number(found.high[t]),
            colour=COLOURS[track.colour[t]],
        )
        for t, span in enumerate(facts.periods[period])
    ]
