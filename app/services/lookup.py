"""Questions about one unit: why it has its colour, and how it went over time.

Every number is recomputed from what the run stored, with the kernel that made it.
"""

from __future__ import annotations

import sqlalchemy as sa

from app.api.models import (
    Period,
    Series,
    SeriesPoint,
    Why,
)
from app.services.caches import Caches
from app.services.explain import Ground, explain, points
from app.services.runs import RunFacts, run_facts
from app.services.scenes import OVERALL
from app.services.tracks import (
    read_alpha,
    read_exposures,
    read_tracks,
    reference_of,
    track_alpha,
)
from app.services.units import UnitTable, unit_table


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
    facts.span(period, ord_)
    table = unit_table(connection, caches, facts.version_id)
    unit_id = table.find(code)
    level = facts.level(table.levels[table.level_of[unit_id - 1]])
    reference = reference_of(facts, table, unit_id)
    kinds = [OVERALL, *facts.kinds] if kind == OVERALL else [kind]
    tracks = read_tracks(connection, run, [unit_id], kinds, period)
    rates = read_alpha(connection, run, level, [kind], period)[reference, kind]
    alpha = float(track_alpha(facts, rates, tracks[unit_id, kind])[ord_])
    exposures = read_exposures(connection, run, unit_id)
    shares = exposures.shares if exposures else None
    ground = Ground(
        share=shares[facts.kinds.index(kind)] if shares and kind != OVERALL else None,
        reference=table.brief(reference) if reference else None,
        complexity=exposures.complexity if exposures else None,
        exposures=dict(zip(facts.measures, exposures.exposures, strict=True)) if exposures else {},
    )
    return explain(
        facts, table.brief(unit_id), {name: tracks[unit_id, name] for name in kinds}, alpha, ground,
        kind=kind, period=period, ord_=ord_,
    )  # fmt: skip


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
