"""The events of an area as rows, for work that counts cannot do. Imports `areas` and `geo.cube`.

Asks `areas.look` as the other questions do. Promises: the same events as `ask` counts for the same
polygon, each exactly once: cut to the caller's scope first, *covers*, only events with a point; in an
order that depends on nothing but the events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import shapely

from app.api.analysis_models import AnalysisArea
from app.api.area_models import AreaQuestion
from app.services import analysis_shapes
from app.services.area_words import Ground
from app.services.areas import Areas, look
from geo.cube import Columns

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
    sight = look(areas, pack, scope)
    if wanted is None:
        area = everything(sight.ground, scope)
    else:
        drawn = analysis_shapes.drawn(wanted, sight.ground, scope)
        area = analysis_shapes.outline(drawn.shape, sight.ground, scope)
    there = [name for name in kinds if name in sight.kinds]
    place = np.full(256, 255, np.uint8)
    for name in there:
        place[sight.kinds.index(name)] = list(kinds).index(name)
    parts: list[tuple[int, Columns]] = []
    if area is not None and there:
        question = AreaQuestion.model_construct(
            start=None,
            end=None,
            kinds=there,
            hours_of_week=hours_of_week,
            breakdowns=[],
            level=None,
        )
        parts = list(sight.rows(sight.asked(question, area, span)))
    both = Columns.concat([columns for _, columns in parts])
    sign = np.repeat([one for one, _ in parts], [len(columns) for _, columns in parts])
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
        lon[rows], lat[rows], both.time[rows], kind[rows], tuple(kinds), area, sight.ground,
        sight.label, sight.zone,
    )  # fmt: skip
