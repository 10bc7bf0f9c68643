"""The events of an area as rows, for work that counts cannot do. Imports `areas` and `geo.cube`.

The second way to a snapshot beside `areas.ask`, for `job_ground` alone. Promises: the same events
as `ask` counts for the same polygon, each exactly once: cut to the caller's scope first, *covers*,
only events with a point; in an order that depends on nothing but the events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import shapely

from app.api.analysis_models import AnalysisArea
from app.services import analysis_shapes
from app.services.area_words import Ground
from app.services.areas import Areas
from geo.cube import Columns
from geo.cube.calendar import calendar

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class AreaEvents:
    """Events of an area, (n,) each, ordered by time, place and kind.

    Attributes
    ----------
    lon, lat : float64, EPSG:4326 degrees
    time : int64, seconds since 1970 UTC
    kind : uint8, position in `kinds`
    kinds : names of the kinds asked for
    outline : the area, cut to the scope; None: the scope holds nothing of it
    """

    lon: Floats
    lat: Floats
    time: npt.NDArray[np.int64]
    kind: npt.NDArray[np.uint8]
    kinds: tuple[str, ...]
    outline: shapely.MultiPolygon | None
    ground: Ground
    boundary_version: str
    time_zone: str

    def __len__(self) -> int:
        return len(self.lon)

    @property
    def newest(self) -> datetime | None:
        """Time of the newest event."""
        return datetime.fromtimestamp(int(self.time[-1]), UTC) if len(self) else None


def everything(ground: Ground, scope: Sequence[str] | None) -> shapely.MultiPolygon | None:
    """All ground a scope may see; None: nothing."""
    seen = ground.visible(scope) if scope is not None else np.arange(len(ground.table) + 1) > 0
    # the coarsest units that may be seen hold the ground of all of them
    ids = (np.flatnonzero(seen[1:] & ~seen[ground.table.parent_of]) + 1).tolist()
    return analysis_shapes.many(shapely.union_all(ground.shapes(ids))) if ids else None


def read(
    areas: Areas,
    pack: str,
    wanted: AnalysisArea | None,
    span: tuple[int, int],
    kinds: Sequence[str],
    *,
    scope: tuple[str, ...] | None,
    hours_of_week: Sequence[int] | None = None,
) -> AreaEvents:
    """Events with a point in an area.

    Parameters
    ----------
    wanted : None: everything the scope allows; units are their ground
    span : [start, end), seconds since 1970 UTC
    kinds : names; those the snapshot does not have simply have no event
    scope : code prefixes the caller may see; None: everything

    Raises
    ------
    NotFound, Invalid, Unavailable
        As `areas.ask`.
    """
    held, ground, head = areas.present(pack)
    if wanted is None:
        area = everything(ground, scope)
    else:
        drawn = analysis_shapes.drawn(wanted, ground, scope)
        area = analysis_shapes.outline(drawn.shape, ground, scope)
    place = np.full(len(held.kinds), 255, np.uint8)
    for number, name in enumerate(kinds):
        if name in held.kinds:
            place[held.kinds.index(name)] = number

    zone = held.snapshot.spec.time_zone
    hours = None
    if hours_of_week is not None:
        hours = np.zeros(168, np.bool_)
        hours[list(hours_of_week)] = True

    def clock(time: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return calendar(zone, int(time.min()), int(time.max()) + 1).hour_of_week(time)

    def chosen(rows: Columns) -> Columns:
        if area is None:
            return Columns.empty()
        west, south, east, north = area.bounds
        with np.errstate(invalid="ignore"):  # rows without a point
            ok = (rows.time >= span[0]) & (rows.time < span[1]) & (place[rows.kind] != 255)
            ok &= (rows.lon >= west) & (rows.lon <= east)
            ok &= (rows.lat >= south) & (rows.lat <= north)
        at = np.flatnonzero(ok)
        shapely.prepare(area)
        if len(at) and hours is not None:
            at = at[hours[clock(rows.time[at])]]
        # of a point and an area "intersects" and "covered by" are one, as in `geo.cube`
        return rows.take(at[shapely.intersects_xy(area, rows.lon[at], rows.lat[at])])

    there = Columns.concat([chosen(held.snapshot.columns()), chosen(held.delta.added)])
    gone = chosen(held.delta.removed)
    both = Columns.concat([there, gone])
    sign = np.repeat([1, -1], [len(there), len(gone)])
    kind = place[both.kind]
    lon, lat = both.lon + 0.0, both.lat + 0.0
    order = np.lexsort((kind, lat, lon, both.time))
    key = np.column_stack([both.time[order], lon[order], lat[order], kind[order]])
    first = np.ones(len(order), np.bool_)
    first[1:] = (key[1:] != key[:-1]).any(axis=1)
    at = np.flatnonzero(first)
    # a corrected event is taken away as often as its old row was there
    left = np.add.reduceat(sign[order], at) if len(at) else np.zeros(0, np.int64)
    rows = np.repeat(order[at], np.maximum(left, 0))
    return AreaEvents(
        lon[rows], lat[rows], both.time[rows], kind[rows], tuple(kinds), area, ground,
        str(head.label), zone,
    )  # fmt: skip
