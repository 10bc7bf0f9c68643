"""League tables: units by relative risk, never without the interval of their rank (METHODS 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.api.models import COLOURS, Ranking, RankingRow
from app.services.caches import Caches
from app.services.runs import Layer, RunFacts, run_facts
from app.services.tracks import Floats, Ints, parameters, read_alpha, read_slice
from app.services.units import UnitTable, unit_table
from geo import ranks, risk


@dataclass(frozen=True, eq=False)
class RankedArea:
    """Units with data of one level and reference area in one period, in id order; arrays (n,)."""

    ids: Ints
    theta: Floats
    observed: Ints
    expected: Floats
    colour: Ints
    rank: Ints
    low: Ints
    high: Ints

    def __len__(self) -> int:
        return len(self.ids)


def _rank_area(
    connection: sa.Connection,
    facts: RunFacts,
    layer: Layer,
    members: Ints,
    reference: int,
) -> RankedArea:
    first, last = int(members[0]), int(members[-1])
    found = read_slice(connection, facts.id, layer, first, last - first + 1)
    keep = np.isin(found.ids, members) & ~np.isnan(found.x)
    rates = read_alpha(connection, facts.id, layer.level, [layer.kind], layer.period)
    alpha = (
        risk.unit_alpha(
            rates[reference, layer.kind][layer.ord], found.flags[keep], parameters(facts)
        )
        if keep.any()
        else np.empty(0)
    )
    s, x = found.s[keep], found.x[keep]
    drawn = facts.scene.ranks
    rank, low, high = ranks.rank_intervals(
        alpha, s, x, draws=drawn.draws, seed=drawn.seed, interval=drawn.interval
    )
    return RankedArea(
        ids=found.ids[keep],
        theta=risk.relative_risk(alpha, s, x),
        observed=found.observed[keep],
        expected=found.expected[keep],
        colour=found.colour[keep],
        rank=rank,
        low=low,
        high=high,
    )


def ranked_areas(
    connection: sa.Connection,
    caches: Caches,
    facts: RunFacts,
    table: UnitTable,
    *,
    layer: Layer,
    within: int | None = None,
) -> list[RankedArea]:
    """Ranked units of every reference area that holds units of the scope.

    Ranks are among *all* units with data of the reference area, whatever the scope. Drawn once per
    run, level, kind, period and area, then kept.
    """
    first, _ = table.range(layer.level)
    references = table.references(layer.level, facts.scene.reference_level)
    areas = np.unique(references[table.members(layer.level, within)])

    def area(reference: int) -> RankedArea:
        members = (np.flatnonzero(references == reference) + first).astype(np.int32)
        key = (facts.id, layer, reference)
        return caches.ranks.get(
            key,
            lambda: _rank_area(connection, facts, layer, members, reference),
        )

    return [area(int(reference)) for reference in areas]


def ranking(
    connection: sa.Connection,
    caches: Caches,
    run: int,
    layer: Layer,
    *,
    within: str | None = None,
    limit: int = 100,
) -> Ranking:
    """Units of a level inside a scope, highest relative risk first; equal ones in code order.

    `of` counts the units with data of the reference areas the scope touches: with one area (the
    usual case) it is what every rank is out of.

    Raises
    ------
    NotFound
        No such run, level, kind, period or unit.
    """
    facts = run_facts(connection, caches, run)
    span = facts.check(layer)
    table = unit_table(connection, caches, facts.version_id)
    scope = table.find(within) if within is not None else None
    areas = ranked_areas(connection, caches, facts, table, layer=layer, within=scope)
    first, _ = table.range(layer.level)
    inside = table.members(layer.level, scope)

    def joined(name: str) -> npt.NDArray[np.generic]:
        return np.concatenate([getattr(one, name) for one in areas] or [np.empty(0)])

    ids = joined("ids").astype(np.int32)
    theta = joined("theta").astype(np.float64)
    shown = np.flatnonzero(inside[ids - first]) if len(ids) else np.empty(0, np.int64)
    order = shown[np.lexsort((ids[shown], -theta[shown]))]
    columns = {
        name: joined(name) for name in ("observed", "expected", "colour", "rank", "low", "high")
    }
    rows = [
        RankingRow(
            unit=table.brief(int(ids[at])),
            colour=COLOURS[int(columns["colour"][at])],
            theta=float(theta[at]),
            observed=int(columns["observed"][at]),
            expected=float(columns["expected"][at]),
            rank=int(columns["rank"][at]),
            low=int(columns["low"][at]),
            high=int(columns["high"][at]),
        )
        for at in order[:limit]
    ]
    return Ranking(
        run=run,
        level=layer.level,
        kind=layer.kind,
        period=layer.period,
        start=span.start,
        within=table.codes[scope - 1] if scope else None,
        of=len(ids),
        total=len(shown),
        rows=rows,
    )
