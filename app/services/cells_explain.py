"""Questions about one assessed cell of a run: why it has its colour, and how it went over time.

Its numbers are worked out from what the run keeps (counts, exposures of its units, what the filter
fitted) with the kernel that made its colour; the colour itself is the stored one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.api.models import (
    CellPart,
    CellWhy,
    Period,
    Series,
    UnitBrief,
)
from app.errors import NotFound
from app.services import cells_assess, cells_grid, cells_own
from app.services.caches import Caches
from app.services.cells_grid import places
from app.services.cells_lookup import digest_of
from app.services.cells_own import OwnCell
from app.services.explain import Ground, explain, number, points
from app.services.periods import month_bounds
from app.services.runs import RunFacts, run_facts
from app.services.scenes import OVERALL
from app.services.tracks import Track, parameters
from app.services.units import UnitTable, unit_table
from geo import cells as h3
from geo import risk, score

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Cell:
    """A cell of a run with everything its numbers follow from."""

    facts: RunFacts
    table: UnitTable
    res: int
    cell: int
    place: int
    chunk: int
    within: int
    over: h3.Overlap
    leaves: npt.NDArray[np.int32]
    owner: int
    reference: int
    own: OwnCell
    months: npt.NDArray[np.int64]

    @property
    def brief(self) -> UnitBrief:
        """The cell as a unit is described."""
        name = f"{self.cell:x}"
        return UnitBrief(
            id=self.place + 1,
            code=name,
            level=f"cell{self.res}",
            name=name,
            name_en=None,
            parent=self.table.codes[self.owner - 1],
        )


def find(connection: sa.Connection, caches: Caches, run: int, cell: int) -> _Cell:
    """Read what the numbers of a cell follow from.

    Raises
    ------
    NotFound
        No such run, or the cell is none of its cells, or not all of its units are the asker's.
    """
    facts = run_facts(connection, caches, run)
    res = cell >> 52 & 15
    digest = digest_of(connection, facts, res)
    grid = places(connection, caches, digest)
    place = int(np.searchsorted(grid.cells, np.uint64(cell)))
    there = place < len(grid.cells) and int(grid.cells[place]) == cell
    if not there or not grid.own[place]:
        raise NotFound(f"cell {cell:x} is not on the map of run {run}")
    table = unit_table(connection, caches, facts.version_id)
    home = next(one for one in grid.chunks if one.first <= place < one.first + one.n)
    part = cells_grid.read(connection, table, res, home.chunk)
    over = part.over
    at = place - home.first
    a, b = int(over.start[at]), int(over.start[at + 1])
    one = h3.Overlap(
        res, over.cells[at : at + 1], np.array([0, b - a]), over.unit[a:b], over.weight[a:b],
        over.km2[a:b],
    )  # fmt: skip
    unit_reference = cells_assess.leaf_references(table, part.leaves, facts.scene.reference_level)
    own = cells_own.read(connection, facts, res, home.chunk, at)
    months = np.zeros((len(facts.kinds), _months(facts)), np.int64)
    months[own.counts["kind"], own.counts["month"]] = own.counts["events"]
    return _Cell(
        facts, table, res, cell, place, home.chunk, at, one, part.leaves,
        int(grid.owner[place]), int(one.owner(unit_reference)[0]), own, months,
    )  # fmt: skip


def _months(facts: RunFacts) -> int:
    spans = next(iter(facts.periods.values()))
    return spans[-1].covered_end - spans[0].covered_start


@dataclass(frozen=True, eq=False)
class _Fit:
    """What was fitted to the cells: (T,) each, with the stored flags of one cell."""

    rate: Floats
    alpha: Floats
    flags: npt.NDArray[np.uint8]


def _fits(connection: sa.Connection, one: _Cell, period: Period) -> dict[str, _Fit]:
    rows = connection.execute(
        sa.text(
            "select kind, rate, alpha, short from run_cell_rate where run_id = :run "
            "and res = :res and reference_id = :area and period = :period"
        ),
        {"run": one.facts.id, "res": one.res, "area": one.reference, "period": period},
    )
    kinds = (*one.facts.kinds, OVERALL)
    found = {}
    for row in rows:
        flags = np.where(row.short, risk.SHORT, 0).astype(np.uint8)
        marks = one.own.marks_of(kinds.index(row.kind), period)
        flags[marks["ord"]] |= marks["bits"]
        found[row.kind] = _Fit(np.array(row.rate, float), np.array(row.alpha, float), flags)
    return found


def _tracks(
    connection: sa.Connection, one: _Cell, period: Period, kind: str
) -> tuple[dict[str, Track], dict[str, Floats]]:
    """Tracks of a kind (of all kinds for `overall`) and the strength of their priors, (T,)."""
    facts = one.facts
    rule = risk.ColourRule.from_rows(
        facts.scene.colour_rule.rows(), facts.scene.colour_rule.version
    )
    bounds = month_bounds(facts.periods[period], cells_assess.first_month(facts))
    observed = np.add.reduceat(one.months, bounds, axis=1)
    fits = _fits(connection, one, period)
    tracks: dict[str, Track] = {}
    alphas: dict[str, Floats] = {}

    def track(name: str, o: Floats, e: Floats, plain: tuple[Floats, Floats], lift: Floats) -> None:
        fit = fits[name]
        s, x, k, flags = risk.replay(o[:, None], e[:, None], fit.alpha, parameters(facts))
        flags = np.where(np.isnan(x[:, 0]), 0, flags[:, 0] | fit.flags).astype(np.uint8)
        alpha = risk.unit_alpha(fit.alpha, flags, parameters(facts))
        colour, _ = risk.colour_panel(alpha, s[:, 0], x[:, 0], rule)
        raised = (lift > 0) & (colour != risk.NONE) & (colour < risk.ORANGE)
        colour[raised] = risk.ORANGE
        tracks[name] = Track(
            plain[0].astype(np.int32), plain[1], s[:, 0], x[:, 0], k[:, 0],
            colour.astype(np.int32),
            (flags | np.where(raised, risk.VETO, 0)).astype(np.int32),
        )  # fmt: skip
        alphas[name] = alpha

    names = facts.kinds if kind == OVERALL else (kind,)
    none = np.zeros(observed.shape[1])
    for name in names:
        at = facts.kinds.index(name)
        share = one.own.shares[at : at + 1, None]
        e = cells_assess.expected_of(share, fits[name].rate[None])[0, :, 0]
        o = observed[at].astype(float)
        track(name, o, e, (o, e), none)
    if kind == OVERALL:
        expected = np.stack([tracks[name].expected for name in names])[:, :, None]
        counted = observed[:, :, None].astype(float)
        harm = [facts.scene.kinds[name].harm for name in names]
        both = score.effective(counted, expected, harm)
        missing = np.isnan(expected[:, :, 0])
        plain = np.where(missing.all(axis=0), np.nan, np.nansum(expected[:, :, 0], axis=0))
        red = np.stack([tracks[name].colour == risk.RED for name in names]).any(axis=0)
        base = both.expected[:, 0]
        weighed = np.where(np.isnan(base), 0.0, both.observed[:, 0])
        track(OVERALL, weighed, base, (observed.sum(axis=0), plain), red.astype(float))
    _keep_published(connection, one, period, tracks)
    return tracks, alphas


def _keep_published(
    connection: sa.Connection, one: _Cell, period: Period, tracks: dict[str, Track]
) -> None:
    """Put the stored colours into tracks: what was published stays as it was seen."""
    rows = connection.execute(
        sa.text(
            "select kind, ord, colour "
            "from own_colours(:run, :res, :chunk, :at, cast(:kinds as text[]), :period)"
        ),
        {
            "run": one.facts.id,
            "res": one.res,
            "kinds": list(tracks),
            "period": period,
            "chunk": one.chunk,
            "at": one.within,
        },
    )
    for row in rows:
        tracks[row.kind].colour[row.ord] = row.colour


def why(
    connection: sa.Connection,
    caches: Caches,
    run: int,
    cell: int,
    *,
    kind: str = OVERALL,
    period: Period = "month",
    ord_: int = 0,
) -> CellWhy:
    """Why a cell has its colour, in the words of a unit's `Why`.

    Raises
    ------
    NotFound
        No such run, kind or period, or the cell is none of the run's.
    """
    facts = run_facts(connection, caches, run)
    facts.kind(kind)
    facts.span(period, ord_)
    one = find(connection, caches, run, cell)
    tracks, alphas = _tracks(connection, one, period, kind)
    unit = one.table.brief
    ground = Ground(
        share=number(one.own.shares[facts.kinds.index(kind)]) if kind != OVERALL else None,
        reference=unit(one.reference) if one.reference else None,
        complexity=None,
        exposures={
            name: number(value)
            for name, value in zip(facts.measures, one.own.exposures, strict=True)
        },
    )
    answer = explain(
        facts, one.brief, tracks, float(alphas[kind][ord_]), ground,
        kind=kind, period=period, ord_=ord_,
    )  # fmt: skip
    lon, lat = h3.centres(one.over.cells)[0].tolist()
    whole = h3.area_km2(lon, lat, one.res)
    order = np.argsort(-one.over.km2, kind="stable")
    return CellWhy(
        cell=f"{cell:x}",
        res=one.res,
        centre=(lon, lat),
        area_km2=whole,
        inside=min(1.0, float(one.over.km2.sum()) / whole),
        parts=[
            CellPart(
                unit=unit(int(one.leaves[one.over.unit[i]])),
                share_of_unit=float(one.over.weight[i]),
                km2=float(one.over.km2[i]),
            )
            for i in order.tolist()
        ],
        why=answer,
    )


def series(
    connection: sa.Connection, caches: Caches, run: int, cell: int, *, kind: str, period: Period
) -> Series:
    """All periods of one cell and kind, in order.

    Raises
    ------
    NotFound
        No such run, kind or period type, or the cell is none of the run's.
    """
    facts = run_facts(connection, caches, run)
    facts.kind(kind)
    facts.span(period, 0)
    one = find(connection, caches, run, cell)
    tracks, alphas = _tracks(connection, one, period, kind)
    return Series(
        run=run,
        unit=one.brief,
        kind=kind,
        period=period,
        points=points(facts, period, tracks[kind], alphas[kind]),
    )
