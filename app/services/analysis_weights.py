"""How much of a unit that an area cuts counts: by ground, or by where a raster says the exposure lies.

Imports `exposure_grids`, `analysis_expected` and the kernels of `geo`. For unit i, kind k and the measures m
the kind weighs, C_ik = Σ_m b_km x_im (METHODS 1, b the weight over the reference area's total), and

    share_ik = Σ_m b_km x_im s_im / Σ_m b_km x_im

where s_im is the raster's share of the measure inside, or the share of ground: where no raster of the
measure is kept, or where it has nothing in the unit. Promises: a unit inside counts whole and units
asked for by code are not weighed; shares of areas that partition a unit add up to 1.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import shapely
import sqlalchemy as sa

from app.api.analysis_models import UnitWeights, WeightRaster
from app.services import exposure_grids
from app.services.analysis_expected import Weights
from app.services.analysis_rates import RunRates
from app.services.asking import Asker
from app.services.caches import Caches
from app.services.exposure_grids import Raster
from geo.raster_grid import UnitGrid, shares

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: a unit inside by more than this is whole
_WHOLE = 1 - 1e-9


def rasters_of(
    connection: sa.Connection, caches: Caches, rates: RunRates | None
) -> dict[str, Raster]:
    """Rasters that weigh the units of a run, by measure: the newest no later than the run."""
    if rates is None:
        return {}
    facts = rates.facts
    day = facts.published_at.astimezone(ZoneInfo(facts.time_zone)).date()
    return exposure_grids.rasters(connection, caches, facts.version_id, facts.measures, day)


def told(weights: Weights, used: list[Raster], by_raster: int) -> UnitWeights:
    """Say how the units of an area were weighed."""
    cut = int((weights.share < _WHOLE).sum())
    return UnitWeights(
        rule="raster" if by_raster else "area",
        cut=cut,
        by_raster=by_raster,
        rasters=[
            WeightRaster(measure=one.measure, as_of=one.as_of, source=one.source) for one in used
        ],
    )


def weighed(
    asker: Asker,
    rates: RunRates,
    weights: Weights,
    found: dict[str, Raster],
    area: shapely.MultiPolygon,
) -> tuple[Weights, UnitWeights]:
    """Weigh the units that an area cuts by rasters.

    Parameters
    ----------
    weights : of a drawn area, by ground
    found : rasters by measure
    area : EPSG:4326
    """
    rows = np.flatnonzero(weights.share < _WHOLE)
    if not found or not len(rows) or not weights.drawn:
        return weights, told(weights, [], 0)
    assert weights.parts is not None
    measures = rates.facts.measures
    by_measure = np.repeat(weights.share[:, None], len(measures), axis=1)
    touched = np.zeros(len(rows), np.bool_)
    used = []
    grids = _grids(asker, list(found.values()), weights.ids[rows])
    for measure, raster in found.items():
        mine = [grids[raster.id].get(unit) for unit in weights.ids[rows].tolist()]
        at = np.array([i for i, grid in enumerate(mine) if grid is not None], np.int64)
        if not len(at):
            continue
        parts = weights.parts[rows[at]]
        rests = None
        if raster.plane.projection.is_projected:
            assert weights.shapes is not None
            rests = shapely.difference(weights.shapes[rows[at]], area)
        part = shares(raster.plane, [grid for grid in mine if grid is not None], parts, rests)
        good = np.isfinite(part)
        if good.any():
            by_measure[rows[at[good]], measures.index(measure)] = part[good]
            touched[at[good]] = True
            used.append(raster)
    if not used:
        return weights, told(weights, [], 0)
    by_kind = _by_kind(asker.caches, rates, weights, rows[touched], by_measure)
    return (
        replace(weights, by_measure=by_measure, by_kind=by_kind),
        told(weights, used, int(touched.sum())),
    )


def _grids(asker: Asker, rasters: list[Raster], ids: Ints) -> dict[int, dict[int, UnitGrid | None]]:
    """Read the units of rasters, one transaction for those that are not kept."""
    wanted = ids.tolist()
    kept = {one.id: exposure_grids.lately(asker.caches, one, wanted) for one in rasters}
    missing = {
        one.id: left
        for one in rasters
        if (left := [unit for unit in wanted if unit not in kept[one.id]])
    }
    if missing:
        with asker.read() as connection:
            for one in rasters:
                if one.id in missing:
                    kept[one.id] |= exposure_grids.read(
                        connection, asker.caches, one, missing[one.id]
                    )
    return kept


def _by_kind(
    caches: Caches, rates: RunRates, weights: Weights, touched: Ints, by_measure: Floats
) -> Floats:
    """Shares by kind of the run, (n, K); those of the rows `touched` by the head of this file."""
    ids = weights.ids
    found = np.repeat(weights.share[:, None], len(rates.facts.kinds), axis=1)
    references = rates.references[rates.leaf, ids[touched]]
    for reference in np.unique(references).tolist():
        rows = touched[references == reference]
        parts = caches.measure_parts.get(
            (rates.facts.id, reference), partial(measure_parts, rates, reference)
        )
        # a measure that is not known is one the kind does not weigh, or the kind has no data
        exposure = np.nan_to_num(rates.exposures[ids[rows]])
        whole = exposure @ parts.T
        inside = (exposure * by_measure[rows]) @ parts.T
        some = whole > 0
        found[rows] = np.where(some, inside / np.where(some, whole, 1.0), found[rows])
    return found


def measure_parts(rates: RunRates, reference: int) -> Floats:
    """Share of the exposure that one unit of each measure is, (K, M): b of the head of this file.

    Found from the shares and exposures of the run's finest units that may be seen, so that who sees a
    part of the reference area finds what holds for the whole; not negative. Measures that are in
    proportion to each other in all these units are told apart in any way: their sum is right.
    """
    import scipy.optimize  # a third of a second that servers without rasters never need

    scene = rates.facts.scene
    measures = rates.facts.measures
    found = np.zeros((len(rates.facts.kinds), len(measures)))
    mine = np.zeros(len(rates.table) + 1, np.bool_)
    mine[1:] = rates.table.level_of == rates.leaf
    mine &= rates.references[rates.leaf] == reference
    for k, kind in enumerate(rates.facts.kinds):
        given = scene.kinds[kind].weights
        used = [m for m, name in enumerate(measures) if given.get(name, 0.0) > 0]
        x, c = rates.exposures[:, used], rates.shares[:, k]
        rows = np.flatnonzero(mine & np.isfinite(c) & np.isfinite(x).all(axis=1))
        if not len(rows):
            continue
        scale = x[rows].max(axis=0)
        scale[scale <= 0] = 1.0
        found[k, used] = scipy.optimize.nnls(x[rows] / scale, c[rows])[0] / scale
    return found
