"""How a zone stands: observed and expected events of the cells inside, all its sides together.

Reads what a run keeps of cells, as the installation itself, and hands out sums over the zone alone.
Promises: no single event and no single cell is handed out; a side that has at
least one and fewer than the least count of the treaty in force between the zone's sides (5 without one) of
events in the zone withholds all numbers of that period (METHODS 11), also when only a difference to
other answers would be so small (`zone_told`); a period is told after the treaty's delay.

Observed O and expected E = Σ C r over cells whose centre lies in the zone and the kinds asked; E of
a cell is that of its own city, so a province that records more expects more (METHODS 9). Relative
risk, interval, exceedance and colour are those of O and E alone, without memory (METHODS 3, 4), with
the cities' priors weighted by E.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
import sqlalchemy as sa

from app.api.border_models import ZoneDetail, ZoneIndex
from app.api.models import Period
from app.errors import NotFound
from app.services import cells_assess, cells_grid, treaties
from app.services.caches import Caches
from app.services.cells_count import load
from app.services.runs import RunFacts, newest_run, run_facts
from app.services.scenes import OVERALL
from app.services.units import unit_table
from app.services.zone_told import Told
from geo import cells as h3
from geo import risk
from geo.change import rate_ratio

Floats = npt.NDArray[np.float64]


@dataclass
class _Sums:
    """Observed (K, M) of kinds and months by side, expected (T,) and its sum weighted by alpha (T,)."""

    observed: dict[str, npt.NDArray[np.int64]]
    expected: Floats
    alpha: Floats
    cells: int = 0


def index(  # noqa: PLR0917
    connection: sa.Connection,
    caches: Caches,
    zone: ZoneDetail,
    period: Period,
    ord_: int,
    kind: str,
) -> ZoneIndex:
    """Index of a zone's version in force, of the newest run of its map.

    Parameters
    ----------
    connection : of the installation itself, one moment

    Raises
    ------
    NotFound
        No run, no cells, no such kind or period.
    """
    assert zone.version is not None
    facts = run_facts(connection, caches, newest_run(connection, zone.pack))
    facts.kind(kind)
    span = facts.span(period, ord_)
    day = connection.execute(sa.text("select current_date")).scalar_one()
    least, finest = treaties.limits(connection, zone.pack, zone.version.sides, day)
    res = _resolution(connection, facts, finest)
    sums = _sums(connection, caches, facts, zone, res, period, kind)
    first = cells_assess.first_month(facts)
    told = Told(
        np.stack(list(sums.observed.values())),
        {
            name: [(one.covered_start - first, one.covered_end - first) for one in spans]
            for name, spans in facts.periods.items()
        },
        least,
    )
    number = None if kind == OVERALL else facts.kinds.index(kind)
    late = timedelta(days=treaties.delay(connection, zone.pack, zone.version.sides, day))
    withheld = span.end + late > day or not told.may(number, period, ord_)
    o, e = float(told.observed(number, period, ord_).sum()), float(sums.expected[ord_])
    found: dict[str, Any] = dict.fromkeys(
        ("observed", "expected", "relative_risk", "low", "high", "exceedance", "colour", "change",
         "change_low", "change_high")
    )  # fmt: skip
    if not withheld:
        found |= {"observed": round(o), "expected": e}
        if e > 0:
            found |= _risk(facts, o, e, float(sums.alpha[ord_] / e))
        if ord_ > 0 and told.may(number, period, ord_ - 1):
            o0 = float(told.observed(number, period, ord_ - 1).sum())
            found |= _change(o, e, o0, float(sums.expected[ord_ - 1]), least)
    return ZoneIndex(
        zone=zone.id, version=zone.version.version, run=facts.id, res=res, cells=sums.cells,
        period=period, ord=ord_, kind=kind, withheld=withheld, min_count=least, **found,
    )  # fmt: skip


def _risk(facts: RunFacts, o: float, e: float, alpha: float) -> dict[str, Any]:
    one = risk.single(alpha, o, e)
    rule = risk.ColourRule.from_rows(
        facts.scene.colour_rule.rows(), facts.scene.colour_rule.version
    )
    colour = int(
        np.asarray(risk.colours(np.asarray([one.p]), np.asarray([one.theta]), rule)).ravel()[0]
    )
    return {
        "relative_risk": float(one.theta), "low": float(one.low), "high": float(one.high),
        "exceedance": float(one.p), "colour": risk.COLOURS[colour],
    }  # fmt: skip


def _change(o: float, e: float, o0: float, e0: float, least: int) -> dict[str, Any]:
    """Ratio of relative risks to the period before; none with few events."""
    if min(o, o0) < least or min(e, e0) <= 0:
        return {}
    found = rate_ratio(np.asarray([o]), np.asarray([e]), np.asarray([o0]), np.asarray([e0]))
    ratio, low, high = (float(np.asarray(one).ravel()[0]) for one in
                        (found.ratio, found.low, found.high))  # fmt: skip
    return {"change": ratio, "change_low": low, "change_high": high}


def _resolution(connection: sa.Connection, facts: RunFacts, finest: int) -> int:
    found: int | None = connection.execute(
        sa.text("select max(res) from run_cell where run_id = :run and res <= :finest"),
        {"run": facts.id, "finest": finest},
    ).scalar_one()
    if found is None:
        raise NotFound(f"run {facts.id} has no cells: no event has a point")
    return found


def _sums(  # noqa: PLR0917
    connection: sa.Connection, caches: Caches, facts: RunFacts, zone: ZoneDetail, res: int,
    period: Period, kind: str,
) -> _Sums:  # fmt: skip
    assert zone.version is not None
    table = unit_table(connection, caches, facts.version_id)
    digest = connection.execute(
        sa.text("select digest from run_cell where run_id = :run and res = :res"),
        {"run": facts.id, "res": res},
    ).scalar_one()
    grid = cells_grid.places(connection, caches, digest)
    area = connection.execute(
        sa.text(
            "select st_asbinary(geom) from zone_version where zone_id = :zone and version = :v"
        ),
        {"zone": zone.id, "v": zone.version.version},
    ).scalar_one()
    shape = shapely.from_wkb(bytes(area))
    kinds = list(range(len(facts.kinds))) if kind == OVERALL else [facts.kinds.index(kind)]
    spans = facts.periods[period]
    months = spans[-1].covered_end - cells_assess.first_month(facts)
    found = _Sums(
        {one: np.zeros((len(facts.kinds), months), np.int64) for one in zone.version.sides},
        np.zeros(len(spans)), np.zeros(len(spans)),
    )  # fmt: skip
    rates = _rates(connection, facts, res, period)
    for chunk in grid.chunks:
        cells = grid.cells[chunk.first : chunk.first + chunk.n]
        lonlat = h3.centres(cells)
        inside = np.flatnonzero(shapely.contains_xy(shape, lonlat[:, 0], lonlat[:, 1]))
        if not len(inside):
            continue
        part = cells_grid.read(connection, table, res, chunk.chunk)
        references = part.over.owner(
            cells_assess.leaf_references(table, part.leaves, facts.scene.reference_level)
        )
        shares = _shares(connection, facts, res, chunk.chunk)
        owner = [table.codes[unit - 1] for unit in grid.owner[chunk.first + inside].tolist()]
        side = [next((one for one in found.observed if code.startswith(one)), "") for code in owner]
        mine = np.array([one != "" for one in side])
        inside, kept = inside[mine], [one for one in side if one]
        found.cells += len(inside)
        where = {int(cell): name for cell, name in zip(cells[inside], kept, strict=True)}
        counts = load(connection, facts.id, res, chunk.chunk)
        use = np.isin(counts.cell, cells[inside]) & (counts.kind < len(facts.kinds))
        for cell, k, month, n in zip(
            counts.cell[use].tolist(), counts.kind[use].tolist(), counts.month[use].tolist(),
            counts.events[use].tolist(), strict=True,
        ):  # fmt: skip
            if month < months:
                found.observed[where[cell]][k, month] += n
        for place in inside.tolist():
            for k in kinds:
                fit = rates.get((int(references[place]), facts.kinds[k]))
                share = shares[place, k]
                if fit is not None and np.isfinite(share):
                    part_e = share * np.nan_to_num(fit[0])
                    found.expected += part_e
                    found.alpha += part_e * np.nan_to_num(fit[1])
    return found


def _rates(
    connection: sa.Connection, facts: RunFacts, res: int, period: Period
) -> dict[tuple[int, str], tuple[Floats, Floats]]:
    rows = connection.execute(
        sa.text(
            "select reference_id, kind, rate, alpha from run_cell_rate where run_id = :run "
            "and res = :res and period = :period and kind <> 'overall'"
        ),
        {"run": facts.id, "res": res, "period": period},
    )
    return {
        (row.reference_id, row.kind): (np.array(row.rate, float), np.array(row.alpha, float))
        for row in rows
    }


def _shares(connection: sa.Connection, facts: RunFacts, res: int, chunk: int) -> Floats:
    """Exposure shares of the cells of a chunk, (n, K)."""
    body = connection.execute(
        sa.text("select shares from run_cell_own where run_id = :run and res = :res "
                "and chunk = :chunk"),
        {"run": facts.id, "res": res, "chunk": chunk},
    ).scalar_one()  # fmt: skip
    width = len(facts.kinds) + len(facts.measures)
    found: Floats = np.frombuffer(bytes(body), "<f8").reshape(-1, width)[:, : len(facts.kinds)]
    return found
