"""A scope at a glance: how many units of each colour, kinds, trends.

Colours come from packed rows alone, so the answer costs the same for 22 neighbourhoods and for
15,000 grids.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.api.models import (
    COLOURS,
    ClassCount,
    Colour,
    KindSummary,
    Period,
    SeriesPoint,
    Summary,
)
from app.services.caches import Caches
from app.services.explain import rate_change, same_last_year
from app.services.lookup import unit_points
from app.services.periods import Span
from app.services.runs import Layer, RunFacts, run_facts
from app.services.tracks import (
    Ints,
    read_colours,
    read_tracks,
    scope_kinds,
)
from app.services.units import unit_table


def class_counts(colours: npt.NDArray[np.uint8]) -> dict[Colour, int]:
    """Units of each colour; every colour is there, with 0 when no unit has it."""
    counts = np.bincount(colours, minlength=len(COLOURS))
    return {colour: int(counts[number]) for number, colour in enumerate(COLOURS)}


def _totals(
    connection: sa.Connection, facts: RunFacts, units: list[int], period: Period
) -> dict[str, Ints]:
    """Events per kind and period inside the scope: (T,) each."""
    size = len(facts.periods[period])
    totals = {kind: np.zeros(size, np.int64) for kind in scope_kinds(facts)}
    tracks = read_tracks(connection, facts.id, units, scope_kinds(facts), period)
    for (_, kind), track in tracks.items():
        totals[kind] += track.observed
    return {kind: total.astype(np.int32) for kind, total in totals.items()}


def _kind_rows(
    facts: RunFacts,
    period: Period,
    span: Span,
    totals: dict[str, Ints],
    colours: dict[tuple[str, int], npt.NDArray[np.uint8]],
) -> list[KindSummary]:
    year = same_last_year(facts.periods[period], span)
    rows = []
    for kind in scope_kinds(facts):
        counts = class_counts(colours[kind, span.ord])
        worst = max((n for n, colour in enumerate(COLOURS) if counts[colour]), default=0)
        observed = int(totals[kind][span.ord])
        rows.append(
            KindSummary(
                kind=kind,
                observed=observed,
                previous=int(totals[kind][span.ord - 1]) if span.ord else None,
                change=rate_change(span, observed, year, int(totals[kind][year.ord]))
                if year
                else None,
                worst=COLOURS[worst],
                counts=counts,
            )
        )
    return rows


def _map_trend(facts: RunFacts, period: Period, totals: Ints) -> list[SeriesPoint]:
    """Trend of a map of several top units: its counts; it has no relative risk of its own."""
    return [
        SeriesPoint(
            start=span.start,
            complete=span.complete,
            observed=int(totals[span.ord]),
            expected=None,
            theta=None,
            low=None,
            high=None,
            colour="none",
        )
        for span in facts.periods[period]
    ]


def summary(
    connection: sa.Connection,
    caches: Caches,
    run: int,
    layer: Layer,
    within: str | None = None,
) -> Summary:
    """Legend counts, kinds and trends of a scope.

    Counts of events are those of the scope unit itself, so events known only at its own level are
    in them; without `within` the scope is the whole map (all units that have no coarser one).

    Raises
    ------
    NotFound
        No such run, level, kind, period or unit.
    """
    facts = run_facts(connection, caches, run)
    span = facts.check(layer)
    kind, period = layer.kind, layer.period
    table = unit_table(connection, caches, facts.version_id)
    scope = table.find(within) if within is not None else None
    units = [scope] if scope else table.top()
    totals = _totals(connection, facts, units, period)
    ords = [one.ord for one in facts.periods[period]]
    shown = read_colours(connection, facts, table, layer, scope, kinds=[kind], ords=ords)
    kinds = read_colours(
        connection, facts, table, layer, scope, kinds=scope_kinds(facts), ords=[span.ord]
    )
    now = class_counts(shown[kind, span.ord])
    before = class_counts(shown[kind, span.ord - 1]) if span.ord else None
    trend = (
        unit_points(connection, facts, table, units[0], kind=kind, period=period)
        if len(units) == 1
        else _map_trend(facts, period, totals[kind])
    )
    return Summary(
        run=run,
        level=layer.level,
        kind=kind,
        period=period,
        start=span.start,
        within=table.codes[scope - 1] if scope else None,
        counts=[
            ClassCount(
                colour=colour,
                count=count,
                change=count - before[colour] if before else None,
            )
            for colour, count in now.items()
        ],
        kinds=_kind_rows(facts, period, span, totals, kinds),
        trend=trend,
        class_trend=[class_counts(shown[kind, one]) for one in ords],
        located=facts.located,
        grid_share=facts.grid_share,
    )
