"""Tables of an analyst's answer: units inside, areas exposed alike, H3 cells.

Imports `analysis_expected`, `analysis_risk` and `geo.cells`. Promises: the table of units adds up to
the area, in counts and in expected counts (what is known only to a coarser unit has a line); cells
add up to the events with a point; a comparison area shares no ground with the area.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import h3
import numpy as np
import numpy.typing as npt

from app.api.analysis_models import CellCount, ChildRisk, ComparisonRisk, UnitWeights
from app.services import area_words
from app.services.analysis_expected import Expecting, Weights, unit_weights
from app.services.analysis_rates import RunRates
from app.services.analysis_risk import Risks
from app.services.area_words import Asked, Bools, ranges, refuse
from app.services.areas import Sight
from app.services.units import UnitTable
from geo.cells import cells as cells_of
from geo.cube import Columns

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: a table of units is read, not scrolled: the finest level with at most so many is taken
ROWS = 40
MOST_ROWS = 1_000
#: cells of the view inside an area, when no resolution is asked for, and at most
CELLS, MOST_CELLS = 1_500, 20_000


@dataclass(frozen=True, eq=False)
class View:
    """Everything one question is answered from.

    Attributes
    ----------
    units : (u,) ids of the units asked for, none inside another; None: a drawn area
    weights : units with exposure in the area
    located : (256,) bool or None, which ways of being located count
    weighed : how the units the area cuts were weighed
    """

    sight: Sight
    asked: Asked
    units: Ints | None
    rates: RunRates | None
    weights: Weights
    expecting: Expecting | None
    risks: Risks
    located: Bools | None
    weighed: UnitWeights

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of the run, the order of (…, K)."""
        return self.rates.facts.kinds if self.rates else ()

    @property
    def own(self) -> UnitTable:
        """Units as they may be seen."""
        return self.rates.table if self.rates else self.sight.ground.table

    def place(self) -> Ints:
        """Position among the run's kinds of each kind of the counts; -1 none."""
        return np.array(
            [self.kinds.index(k) if k in self.kinds else -1 for k in self.sight.kinds], np.int64
        )

    def by_kind(self, counts: Ints) -> Floats:
        """Put counts (…, kinds of the counts) in the order of the run's kinds."""
        found = np.zeros((*counts.shape[:-1], len(self.kinds)))
        for at, place in enumerate(self.place().tolist()):
            if place >= 0:
                found[..., place] += counts[..., at]
        return found


@dataclass(frozen=True, eq=False)
class Events:
    """Events of an area as rows; `sign` -1 takes one away that is there too."""

    kind: npt.NDArray[np.uint8]
    unit: npt.NDArray[np.int32]
    lon: Floats
    lat: Floats
    sign: npt.NDArray[np.int64]


def read_events(view: View) -> Events:
    """Read the events of the area that are counted."""
    parts, signs = [], []
    for one, rows in view.sight.rows(view.asked):
        part = rows if view.located is None else rows.take(view.located[rows.located])
        parts.append(part)
        signs.append(np.full(len(part), one, np.int64))
    every = Columns.concat(parts)
    sign = np.concatenate([np.zeros(0, np.int64), *signs])
    return Events(every.kind, every.unit, every.lon, every.lat, sign)


# units -------------------------------------------------------------------------------------------
def child_level(view: View, wanted: str | None) -> str | None:
    """Level of the table of units; None: there is none to show."""
    table = view.own
    if wanted is not None:
        if wanted not in table.levels:
            refuse("level", "bad_level", f"{wanted!r} is not one of {', '.join(table.levels)}")
        return wanted
    if view.units is not None and len(view.units) == 1:
        below = np.flatnonzero(table.parent_of == view.units[0]) + 1
        return table.levels[int(table.level_of[below[0] - 1])] if len(below) else None
    sizes = [len(_members(view, level)) for level in range(len(table.levels))]
    good = [level for level, size in enumerate(sizes) if 1 <= size <= ROWS]
    if good:
        return table.levels[good[-1]]
    there = [level for level, size in enumerate(sizes) if size]
    return table.levels[there[0]] if there else None


def _members(view: View, level: int) -> Ints:
    """Ids of the units of a level that share ground with the area, ascending; own ones alone."""
    table = view.own
    if view.units is not None:
        inside = np.zeros(len(table) + 1, np.bool_)
        for one in view.units.tolist():
            inside |= table.ancestors[:, table.level_of[one - 1]] == one
        inside[1:] &= (table.level_of == level) & table.own
        every: Ints = np.flatnonzero(inside)
        return every
    found: Ints = np.unique(table.ancestors[view.weights.ids, level]).astype(np.int64)
    return np.asarray(found[(found > 0) & np.append(False, table.own)[found]])


def children(
    view: View, level: str, counts: Ints, expected: Floats | None, events: Events | None
) -> list[ChildRisk]:
    """Table of the units of a level, and a line for what is known only to coarser ones.

    Parameters
    ----------
    counts : (kinds of the counts,) of the area
    expected : (K,) of the area
    events : the area's events; None: units are counted one by one
    """
    number = view.own.levels.index(level)
    ids = _members(view, number)
    if len(ids) > MOST_ROWS:
        refuse("level", "bad_level", f"the area holds {len(ids):,} units of level {level}: "
               f"a table has at most {MOST_ROWS:,}")  # fmt: skip
    observed = _counted(view, ids, number, events)
    parts = _expected(view, ids, number)
    rest = counts - observed.sum(axis=0)
    left = None if expected is None or parts is None else _left(expected, parts)
    table = view.own
    rows = np.concatenate([observed, rest[None]])
    both = None if parts is None or left is None else np.concatenate([parts, left[None]])
    made = view.risks.overall(view.by_kind(rows), both, rows.sum(axis=1))
    share = _shares(view, ids, number)
    found = [
        ChildRisk(
            **vars(one),
            code=table.codes[unit - 1],
            name=table.names[unit - 1],
            name_en=table.names_en[unit - 1],
            level=level,
            share_inside=part,
            rest=False,
        )
        for one, unit, part in zip(made, ids.tolist(), share, strict=False)
    ]
    if rest.any() or (left is not None and np.nansum(left) > 1e-9):
        found.append(
            ChildRisk(
                **vars(made[-1]),
                code=None,
                name=None,
                name_en=None,
                level=None,
                share_inside=None,
                rest=True,
            )
        )
    return found


def _left(expected: Floats, parts: Floats) -> Floats:
    """Take what coarser units expect beyond their parts; below the noise of adding: nothing."""
    sums = np.where(np.isfinite(parts), parts, 0.0).sum(axis=0)
    left = expected - sums
    return np.where(left > 1e-9 * np.maximum(expected, 1e-300), left, np.nan)


def _counted(view: View, ids: Ints, level: int, events: Events | None) -> Ints:
    """Events by unit and kind, (n, kinds of the counts), by the recorded unit."""
    kinds = len(view.sight.kinds)
    table = view.sight.ground.table
    if events is None:
        assert view.asked.question is not None
        return np.array([count_units(view, int(one)) for one in ids.tolist()]).reshape(-1, kinds)
    row = np.full(len(table) + 1, len(ids), np.int64)
    row[ids] = np.arange(len(ids))
    under = row[table.ancestors[events.unit, level]]
    sums = np.bincount(
        under * kinds + events.kind, weights=events.sign, minlength=(len(ids) + 1) * kinds
    )
    return np.rint(sums).astype(np.int64).reshape(-1, kinds)[: len(ids)]


def count_units(view: View, unit: int) -> Ints:
    """Events recorded for a unit or below it, by kind of the counts."""
    if view.expecting is None:
        return _count_unit(view, unit)
    key, caches = view.expecting.key, view.expecting.caches
    return caches.unit_counts.get((key, unit), lambda: _count_unit(view, unit))


def _count_unit(view: View, unit: int) -> Ints:
    question = view.asked.question
    assert question is not None
    inside = view.sight.ground.below(unit)
    inside[1:] &= view.own.own
    one = replace(question, area=ranges(inside), breakdowns=frozenset({"kind"}), beside=None)
    found = view.sight.count(Asked(one, None, None), ("kind",), view.located)
    assert found.by_kind is not None
    return found.by_kind


def _expected(view: View, ids: Ints, level: int) -> Floats | None:
    """Work out the expected counts of the parts of units inside, (n, K)."""
    if view.expecting is None:
        return None
    if not view.weights.drawn:
        return view.expecting.units(unit_weights(ids))
    each = view.expecting.units(view.weights)
    table = view.own
    row = np.searchsorted(ids, table.ancestors[view.weights.ids, level])
    row = np.minimum(row, len(ids) - 1) if len(ids) else row
    mine = ids[row] == table.ancestors[view.weights.ids, level] if len(ids) else row < 0
    sums = np.zeros((len(ids), each.shape[1]))
    known = np.zeros_like(sums, dtype=np.bool_)
    np.add.at(sums, row[mine], np.nan_to_num(each[mine]))
    np.logical_or.at(known, row[mine], np.isfinite(each[mine]))
    return np.where(known, sums, np.nan)


def _shares(view: View, ids: Ints, level: int) -> list[float | None]:
    """Share of the exposure of each unit that lies inside: mean over the kinds."""
    if not view.weights.drawn or view.rates is None:
        return [1.0] * len(ids)
    rates, table = view.rates, view.own
    leaf = np.flatnonzero((table.level_of == rates.leaf) & table.own) + 1
    known = np.where(np.isfinite(rates.shares), rates.shares, 0.0)
    mean = known.mean(axis=1)
    whole = np.bincount(table.ancestors[leaf, level], weights=mean[leaf], minlength=len(table) + 1)
    inside = np.bincount(
        table.ancestors[view.weights.ids, level],
        weights=(known[view.weights.ids] * view.weights.of_kinds).mean(axis=1),
        minlength=len(table) + 1,
    )
    return [
        float(min(inside[one] / whole[one], 1.0)) if whole[one] > 0 else None
        for one in ids.tolist()
    ]


# comparisons -------------------------------------------------------------------------------------
def comparisons(view: View, wanted: int) -> list[ComparisonRisk]:
    """Units exposed most like the area, of the level whose units are most like it, beside it."""
    rates, expecting = view.rates, view.expecting
    if rates is None or expecting is None or not len(view.weights.ids) or not wanted:
        return []
    mine = np.nansum(rates.exposures[view.weights.ids] * view.weights.of_measures, axis=0)
    profile = np.log1p(mine)
    best: tuple[float, int, Ints, Floats] | None = None
    for name in rates.facts.levels:
        level = rates.table.levels.index(name)
        ids = _beside(view, level)
        if not len(ids):
            continue
        logs = np.log1p(rates.exposures[ids])
        apart = np.sqrt(np.mean((logs - profile) ** 2, axis=1))
        far = abs(float(np.median(logs.mean(axis=1))) - float(profile.mean()))
        # one unit is compared with its own level
        if view.units is not None and len(view.units) == 1:
            far = abs(level - int(rates.table.level_of[view.units[0] - 1]))
        elif len(ids) < wanted:
            far += 100.0
        if best is None or far < best[0]:
            best = far, level, ids, apart
    if best is None:
        return []
    _, level, ids, apart = best
    order = np.lexsort((ids, apart))[:wanted]
    ids, apart = ids[order], apart[order]
    counts = np.array([count_units(view, int(one)) for one in ids.tolist()])
    made = view.risks.overall(
        view.by_kind(counts), expecting.units(unit_weights(ids)), counts.sum(axis=1)
    )
    table = rates.table
    return [
        ComparisonRisk(
            **vars(one),
            code=table.codes[unit - 1],
            name=table.names[unit - 1],
            name_en=table.names_en[unit - 1],
            level=table.levels[level],
            similarity=float(np.exp(-far)),
        )
        for one, unit, far in zip(made, ids.tolist(), apart.tolist(), strict=True)
    ]


def _beside(view: View, level: int) -> Ints:
    """Units of a level with exposures that share no ground with the area."""
    rates = view.rates
    assert rates is not None
    table = rates.table
    good = np.zeros(len(table) + 1, np.bool_)
    good[1:] = (table.level_of == level) & table.own
    good &= np.isfinite(rates.exposures).all(axis=1) & np.isfinite(rates.shares).any(axis=1)
    touched = np.zeros(len(table) + 1, np.bool_)
    touched[table.ancestors[view.weights.ids, level]] = True
    if view.units is not None:
        for one in view.units.tolist():
            touched |= table.ancestors[:, table.level_of[one - 1]] == one
    return np.flatnonzero(good & ~touched)


# cells -------------------------------------------------------------------------------------------
def cell_resolution(km2: float, wanted: int | None) -> int:
    """H3 resolution of the view inside an area.

    Raises
    ------
    Invalid
        The area would have too many cells of the one asked for.
    """
    if wanted is not None:
        if km2 / h3.average_hexagon_area(wanted, unit="km^2") > MOST_CELLS:
            refuse("cell_res", "too_many_cells", f"the area has more than {MOST_CELLS:,} cells of "
                   f"resolution {wanted}")  # fmt: skip
        return wanted
    return max(
        (r for r in range(4, 11) if km2 / h3.average_hexagon_area(r, unit="km^2") <= CELLS),
        default=4,
    )


def cells(events: Events, res: int) -> list[CellCount]:
    """Events with a point by H3 cell, ascending cells, only those with events."""
    point = ~np.isnan(events.lon)
    cell = cells_of(events.lon[point], events.lat[point], res)
    ids, at = np.unique(cell, return_inverse=True)
    count = np.rint(np.bincount(at, weights=events.sign[point], minlength=len(ids))).astype(int)
    return [
        CellCount(
            cell=h3.int_to_str(int(one)), count=number, count_text=str(number), suppressed=False
        )
        for one, number in zip(ids.tolist(), count.tolist(), strict=True)
        if number
    ]


def units_asked(sight: Sight, codes: tuple[str, ...], own: Bools) -> Ints:
    """Ids of the coarsest units of a list of codes that may be seen, none inside another."""
    inside = area_words.members(codes, sight.ground) & own
    found: Ints = np.flatnonzero(inside[1:] & ~inside[sight.ground.table.parent_of]) + 1
    return found
