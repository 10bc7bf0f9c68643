"""Questions about one unit: why it has its colour, and how it went over time.

Every number is recomputed from what the run stored, with the kernel that made it.
"""

from __future__ import annotations

import math

import numpy as np
import sqlalchemy as sa

from app.api.models import (
    COLOURS,
    Contribution,
    Estimate,
    Period,
    RateChange,
    Series,
    SeriesPoint,
    Why,
)
from app.services.caches import Caches
from app.services.periods import Span, month_number
from app.services.runs import RunFacts, run_facts
from app.services.scenes import OVERALL
from app.services.tracks import (
    Floats,
    Track,
    read_alpha,
    read_exposures,
    read_tracks,
    reference_of,
    track_alpha,
)
from app.services.units import UnitTable, unit_table
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
    facts: RunFacts, unit_id: int, tracks: dict[tuple[int, str], Track], alpha: float, ord_: int
) -> list[Contribution]:
    kinds = [tracks[unit_id, kind] for kind in facts.kinds]
    overall = tracks[unit_id, OVERALL]
    values = score.contributions(
        np.stack([one.observed[:, None] for one in kinds]),
        np.stack([one.expected[:, None] for one in kinds]),
        [facts.scene.kinds[kind].harm for kind in facts.kinds],
        overall.k[:, None],
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


def why(
    connection: sa.Connection,
    caches: Caches,
    run: int,
    code: str,
    *,
    kind: str = OVERALL,
    period: Period = "month",
    ord_: int = 0,
) -> Why:
    """Why a unit has its colour (METHODS 3, "what the user reads"; 5 for the overall score).

    For the overall score `remembered_*`, `single` and `memory_share` are on the scale of the
    harm-weighted counts O' and E'; `observed`, `expected` and `single_ratio` are plain sums.

    Raises
    ------
    NotFound
        No such run, unit, kind or period.
    """
    facts = run_facts(connection, caches, run)
    facts.kind(kind)
    span = facts.span(period, ord_)
    table = unit_table(connection, caches, facts.version_id)
    unit_id = table.find(code)
    level = facts.level(table.levels[table.level_of[unit_id - 1]])
    reference = reference_of(facts, table, unit_id)
    kinds = [OVERALL, *facts.kinds] if kind == OVERALL else [kind]
    tracks = read_tracks(connection, run, [unit_id], kinds, period)
    track = tracks[unit_id, kind]
    rates = read_alpha(connection, run, level, [kind], period)[reference, kind]
    alpha = float(track_alpha(facts, rates, track)[ord_])
    s, x = float(track.s[ord_]), float(track.x[ord_])
    fresh_o, fresh_e = float(track.fresh_observed[ord_]), float(track.fresh_expected[ord_])
    known = not math.isnan(x)
    expected = number(track.expected[ord_])
    found = estimate(alpha, s, x)
    flags = int(track.flags[ord_])
    exposures = read_exposures(connection, run, unit_id)
    shares = exposures.shares if exposures else None
    share = shares[facts.kinds.index(kind)] if shares and kind != OVERALL else None
    observed = int(track.observed[ord_])
    changes = _changes(facts, period, span, track) if known else (None, None)
    return Why(
        run=run,
        unit=table.brief(unit_id),
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
            if kind == OVERALL
            and flags & risk.VETO
            and tracks[unit_id, one].colour[ord_] == risk.RED
        ],
        share=share,
        reference=table.brief(reference) if reference else None,
        complexity=exposures.complexity if exposures else None,
        exposures=dict(zip(facts.measures, exposures.exposures, strict=True)) if exposures else {},
        contributions=_contributions(facts, unit_id, tracks, alpha, ord_)
        if kind == OVERALL and known
        else [],
        previous=changes[0],
        last_year=changes[1],
        index=float(score.governance_index(found.theta)) if kind == OVERALL and found else None,
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


def unit_points(
    connection: sa.Connection,
    facts: RunFacts,
    table: UnitTable,
    unit_id: int,
    *,
    kind: str,
    period: Period,
) -> list[SeriesPoint]:
    """All periods of one unit and kind."""
    level = facts.level(table.levels[table.level_of[unit_id - 1]])
    track = read_tracks(connection, facts.id, [unit_id], [kind], period)[unit_id, kind]
    rates = read_alpha(connection, facts.id, level, [kind], period)
    alpha = rates[reference_of(facts, table, unit_id), kind]
    return points(facts, period, track, track_alpha(facts, alpha, track))


def series(
    connection: sa.Connection, caches: Caches, run: int, code: str, *, kind: str, period: Period
) -> Series:
    """All periods of one unit and kind, in order.

    Raises
    ------
    NotFound
        No such run, unit, kind or period type.
    """
    facts = run_facts(connection, caches, run)
    facts.kind(kind)
    facts.span(period, 0)
    table = unit_table(connection, caches, facts.version_id)
    unit_id = table.find(code)
    return Series(
        run=run,
        unit=table.brief(unit_id),
        kind=kind,
        period=period,
        points=unit_points(connection, facts, table, unit_id, kind=kind, period=period),
    )
