"""What a run says about expected counts, as arrays: read once per run and jurisdiction, then kept.

Imports `tracks`, `runs` and `units`. Promises: nothing here changes while the run exists.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.api.models import Period
from app.errors import NotFound
from app.services.caches import Caches
from app.services.runs import RunFacts, newest_run, run_facts
from app.services.scenes import OVERALL
from app.services.units import UnitTable, unit_table
from geo import risk

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class RunRates:
    """Exposures, rates and priors of a run.

    Attributes
    ----------
    shares : (N + 1, K) by unit id; nan: no exposure, or not to be seen
    exposures : (N + 1, M) by unit id, nan missing
    leaf : index of the finest assessed level that has exposures
    references : (L, N + 1) reference area by level and unit id
    rates : per level, reference and kind (T,) events per unit of share
    alpha : per level, reference and kind (or overall): newest strength of the prior
    counted : per reference and kind (T,): events of what may be seen of it when the run was made
    base : per reference: (N + 1,) bool, units whose events `counted` holds
    """

    facts: RunFacts
    table: UnitTable
    period: Period
    rule: risk.ColourRule
    shares: Floats
    exposures: Floats
    leaf: int
    references: Ints
    rates: dict[tuple[int, int, str], Floats]
    alpha: dict[tuple[int, int, str], float]
    counted: dict[tuple[int, str], Floats]
    base: dict[int, npt.NDArray[np.bool_]] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether everything may be seen."""
        return bool(self.table.own.all())


def rates_of(
    connection: sa.Connection, caches: Caches, pack: str, version: int, run: int | None
) -> RunRates | None:
    """Rates of a run, or of the newest one; None: nothing was assessed on these boundaries.

    Raises
    ------
    NotFound
        The run is not there or of another pack.
    """
    if run is None:
        try:
            run = newest_run(connection, pack)
        except NotFound:
            return None
        facts = run_facts(connection, caches, run)
        if facts.version_id != version:
            return None
    else:
        facts = run_facts(connection, caches, run)
        if facts.pack != pack:
            raise NotFound(f"no published run {run} of {pack!r}")
        if facts.version_id != version:
            raise NotFound(f"run {run} was made on other boundaries than those that are counted by")
    return caches.rates.get(run, lambda: _read(connection, caches, facts))


def _read(connection: sa.Connection, caches: Caches, facts: RunFacts) -> RunRates:
    table = unit_table(connection, caches, facts.version_id)
    size = len(table) + 1
    shares = np.full((size, len(facts.kinds)), np.nan)
    exposures = np.full((size, len(facts.measures)), np.nan)
    for row in connection.execute(
        sa.text("select unit_id, shares, exposures from run_unit where run_id = :run"),
        {"run": facts.id},
    ):
        shares[row.unit_id] = np.array(row.shares, np.float64)
        exposures[row.unit_id] = np.array(row.exposures, np.float64)
    known = np.isfinite(shares).any(axis=1)
    assessed = [table.levels.index(level) for level in facts.levels]
    with_exposure = [n for n in assessed if known[1:][table.level_of == n].any()]
    leaf = max(with_exposure or assessed or [len(table.levels) - 1])
    references = np.zeros((len(table.levels), size), np.int32)
    for number, level in enumerate(table.levels):
        first, count = table.range(level)
        references[number, first : first + count] = table.references(
            level, facts.scene.reference_level
        )
    period: Period = next(one for one in ("month", "quarter", "year") if facts.periods.get(one))
    rates: dict[tuple[int, int, str], Floats] = {}
    alpha: dict[tuple[int, int, str], float] = {}
    for row in connection.execute(
        sa.text(
            "select level, reference_id, kind, rate, alpha from run_rate "
            "where run_id = :run and period = :period"
        ),
        {"run": facts.id, "period": period},
    ):
        key = (table.levels.index(row.level), row.reference_id, row.kind)
        rates[key] = np.array(row.rate, np.float64)
        last = [one for one in row.alpha if one is not None and np.isfinite(one)]
        alpha[key] = float(last[-1]) if last else float(np.exp(8.5))
    made = RunRates(
        facts=facts,
        table=table,
        period=period,
        rule=risk.ColourRule.from_rows(
            facts.scene.colour_rule.rows(), facts.scene.colour_rule.version
        ),
        shares=shares,
        exposures=exposures,
        leaf=leaf,
        references=references,
        rates=rates,
        alpha=alpha,
        counted={},
    )
    for reference in sorted({key[1] for key in rates}):
        _counted(connection, made, reference)
    return made


def _counted(connection: sa.Connection, rates: RunRates, reference: int) -> None:
    """Fill `base` and `counted` of one reference area: its coarsest units that may be seen."""
    table, facts = rates.table, rates.facts
    inside = np.zeros(len(table) + 1, np.bool_)
    if reference:
        inside |= table.ancestors[:, table.level_of[reference - 1]] == reference
    else:
        inside[1:] = True
    inside[1:] &= table.own
    rates.base[reference] = inside
    top = np.flatnonzero(inside[1:] & ~inside[table.parent_of]) + 1
    sums = {kind: np.zeros(len(facts.periods[rates.period])) for kind in facts.kinds}
    for row in connection.execute(
        sa.text(
            "select kind, observed from assessment where run_id = :run and period = :period "
            "and unit_id = any(:units) and kind <> :overall"
        ),
        {"run": facts.id, "period": rates.period, "units": top.tolist(), "overall": OVERALL},
    ):
        if row.kind in sums:
            sums[row.kind] += np.array(row.observed, np.float64)
    for kind, values in sums.items():
        rates.counted[reference, kind] = values
