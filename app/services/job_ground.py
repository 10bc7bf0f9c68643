"""What a job is computed on: the events of its area, its cells, and what is expected in them.

Imports `geo`. Promises: everything is cut to the jurisdiction the job was asked with, events by
their point, exposures by their unit; no number of another place takes part in anything.

Expected counts (METHODS 1, 2): inside the area, and nowhere else, each unit's part of the exposures
is taken, the part of a unit the area cuts by its share of the unit's ground; a cell has what its
parts of units have; the expected count of a kind is that share of the kind's events in the area.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cached_property
from typing import Any, cast
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import shapely
import sqlalchemy as sa

from app.api.area_models import AreaQuestion
from app.api.job_models import JobQuestion, Step
from app.api.models import Words
from app.errors import Invalid
from app.services import area_events, area_words
from app.services.analysis_shapes import many
from app.services.area_events import AreaEvents
from app.services.areas import Areas
from app.services.caches import Caches
from app.services.cells_grid import leaf_ids
from app.services.runs import RunFacts, newest_run, run_facts
from geo import cells as h3
from geo import exposure
from geo.cells import Overlap

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
#: Most cells of one job; the finest resolution with fewer is taken when none is asked for.
MOST_CELLS = 60_000
USUAL_CELLS = 20_000
RULE = Words(
    zh="预期数在所选区域内计算：各格按所在单位的底数（跨界单位按面积比例）分摊区域内同类事件总数，只用本辖区的数据。",
    en="Expected counts are made inside the area: its events of each kind are shared out by the "
    "exposures of the units (of a unit that is cut, by the share of its ground), from data of this "
    "jurisdiction alone.",
)
Said = Callable[[float, Step], None]


@dataclass(frozen=True, eq=False)
class Exposed:
    """Leaf units that share ground with the area.

    Attributes
    ----------
    parts : polygons (u,), the part of each unit inside the area
    inside : (u,) share of the unit's ground inside
    exposures : (M, u), nan = unknown, of the whole unit
    """

    ids: npt.NDArray[np.int32]
    parts: npt.NDArray[np.object_]
    inside: Floats
    exposures: Floats


class Study:
    """Everything a job looks at; read once, in the job's own process.

    Parameters
    ----------
    areas : Areas
        Snapshots of the process, opened for the installation itself.
    read : callable
        Transactions that claim the job's jurisdiction.
    said : callable
        Told how far the reading is: part 0–1 and the step.
    """

    def __init__(
        self,
        areas: Areas,
        read: Callable[[], Any],
        question: JobQuestion,
        scope: tuple[str, ...] | None,
        said: Said,
    ) -> None:
        self.question = question
        self._read = read
        self._caches = Caches()
        with read() as connection:
            run = question.run or newest_run(connection, question.pack)
            self.facts: RunFacts = run_facts(connection, self._caches, run)
            if self.facts.pack != question.pack:
                raise Invalid(f"run {run} is one of {self.facts.pack!r}, not of {question.pack!r}")
            self.approximate = bool(
                connection.scalar(
                    sa.text("select approximate from boundary_version where id = :id"),
                    {"id": self.facts.version_id},
                )
            )
        said(0.02, "counting")
        self.kinds = self._kinds()
        self.span = area_words.span(cast("AreaQuestion", question), areas.zone)
        self.events: AreaEvents = area_events.read(
            areas, question.pack, question.area, self.span, self.kinds,
            scope=scope, hours_of_week=question.hours_of_week,
        )  # fmt: skip
        self.scope = scope
        if self.events.outline is None:
            raise Invalid("the area holds no ground of this jurisdiction", {"field": "area"})

    def _kinds(self) -> tuple[str, ...]:
        wanted = self.question.kinds
        if wanted is None:
            return self.facts.kinds
        unknown = sorted(set(wanted) - set(self.facts.kinds))
        if unknown:
            raise Invalid(
                f"kinds: {unknown[0]!r} is not one of {', '.join(self.facts.kinds)}",
                {"field": "kinds", "reason": "unknown_kind"},
            )
        return tuple(kind for kind in self.facts.kinds if kind in wanted)

    @cached_property
    def covered(self) -> tuple[int, int]:
        """Span asked for, as far as there is data: from the run's first month to its last day.

        Steps before the first event or after the last would look like a quiet time.
        """
        start, end = self.span
        zone = ZoneInfo(self.events.time_zone)
        newest = max(filter(None, (self.facts.data_cutoff, self.events.newest)), default=None)
        if newest is not None:
            day = newest.astimezone(zone).date() + timedelta(days=1)
            end = min(end, int(datetime.combine(day, time(), zone).timestamp()))
        months = self.facts.periods.get("month")
        if months:
            first = datetime.combine(months[0].start, time(), zone)
            start = max(start, int(first.timestamp()))
        return (start, end) if start < end else self.span

    @property
    def outline(self) -> shapely.MultiPolygon:
        """The area, cut to the jurisdiction."""
        assert self.events.outline is not None
        return self.events.outline

    @cached_property
    def exposed(self) -> Exposed:
        """Leaf units of the run with ground in the area, those that may be seen alone."""
        ground = self.events.ground
        table = ground.table
        near = ground.near(self.outline)
        if self.scope is not None:
            near = near & ground.visible(self.scope)
        ids = leaf_ids(table)
        ids = ids[near[ids]]
        shapes = ground.shapes(ids.tolist())
        shapely.prepare(self.outline)
        whole = shapely.covers(self.outline, shapes)
        parts = shapes.copy()
        parts[~whole] = shapely.intersection(self.outline, shapes[~whole])
        area = shapely.area(shapely.transform(shapes, h3.equal_area))
        kept = np.array([many(one) for one in parts], object)
        part = shapely.area(shapely.transform(kept, h3.equal_area))
        some = part > 1e-9 * area
        ids, kept = ids[some], kept[some]
        values = np.full((len(self.facts.measures), len(ids)), np.nan)
        with self._read() as connection:
            rows = connection.execute(
                sa.text(
                    "select unit_id, exposures from run_unit where run_id = :run "
                    "and unit_id = any(:ids)"
                ),
                {"run": self.facts.id, "ids": ids.tolist()},
            )
            for row in rows:
                values[:, np.searchsorted(ids, row.unit_id)] = np.array(row.exposures, float)
        return Exposed(ids, kept, part[some] / area[some], values)

    @property
    def weights(self) -> Floats:
        """Weights of the measures per kind, (K, M)."""
        scene = self.facts.scene
        return np.array(
            [
                [scene.kinds[kind].weights.get(one, 0.0) for one in self.facts.measures]
                for kind in self.kinds
            ]
        )

    @cached_property
    def unit_shares(self) -> Floats:
        """Exposure share of each unit's part inside the area, (K, u); nan = no data."""
        one = self.exposed
        return exposure.kind_shares(
            one.exposures * one.inside, self.weights, np.zeros(len(one.ids), np.int64)
        )

    def resolution(self, wanted: int | None) -> int:
        """Resolution of the cells.

        Raises
        ------
        Invalid
            The one asked for has too many.
        """
        km2 = float(shapely.area(shapely.transform(self.outline, h3.equal_area))) * h3.KM2
        place = self.outline.representative_point()

        def about(res: int) -> float:
            return km2 / h3.area_km2(place.x, place.y, res)

        if wanted is not None:
            if about(wanted) > MOST_CELLS:
                raise Invalid(
                    f"the area has about {about(wanted):,.0f} cells of resolution {wanted}; "
                    f"at most {MOST_CELLS:,} are looked at: take a smaller area or coarser cells",
                    {"field": "parameters.res", "reason": "too_many_cells"},
                )
            return wanted
        return max((res for res in range(5, 11) if about(res) <= USUAL_CELLS), default=5)

    def cells(self, res: int) -> StudyCells:
        """Cells of the area with their counts and shares."""
        over = h3.overlap(self.exposed.parts, res)
        shares = np.stack([over.spread(row) for row in self.unit_shares])
        key = h3.cells(self.events.lon, self.events.lat, res)
        row = np.searchsorted(over.cells, key)
        row[row == len(over.cells)] = 0
        row[over.cells[row] != key] = -1
        return StudyCells(over, shares, row.astype(np.int64), self.events)


@dataclass(frozen=True, eq=False)
class StudyCells:
    """Cells of an area.

    Attributes
    ----------
    over : the parts of units in each of the n cells
    shares : (K, n) exposure shares; nan = no data
    row : (events,) cell of each event, -1 where no unit has ground
    """

    over: Overlap
    shares: Floats
    row: Ints
    events: AreaEvents

    def __len__(self) -> int:
        return len(self.over)

    @property
    def names(self) -> list[str]:
        """Cells as H3 writes them."""
        return [f"{one:x}" for one in self.over.cells.tolist()]

    @property
    def km2(self) -> Floats:
        """Ground of the area in each cell, (n,)."""
        return np.asarray(np.add.reduceat(self.over.km2, self.over.start[:-1]), np.float64)

    def counts(self, chosen: npt.NDArray[np.bool_] | None = None) -> Ints:
        """Events per kind and cell, (K, n)."""
        kinds, n = self.shares.shape
        good = self.row >= 0
        if chosen is not None:
            good &= chosen
        flat = self.events.kind[good].astype(np.int64) * n + self.row[good]
        return np.bincount(flat, minlength=kinds * n).reshape(kinds, n).astype(np.int64)

    def comparable(self, counts: Ints) -> Ints:
        """Events per cell, (n,), of the kinds whose exposure is known there: what `expected` is of."""
        return np.asarray(np.where(np.isnan(self.shares), 0, counts).sum(axis=0), np.int64)

    def expected(self, counts: Ints) -> Floats:
        """Return expected events per cell, (n,), for these counts (K, n): Σ_k C_ck Σ_c O_ck (METHODS 2).

        Only cells with data take part in a kind's total; nan where no kind with events has data.
        """
        total = np.zeros(self.shares.shape[1])
        known = np.zeros(len(total), np.bool_)
        for share, count in zip(self.shares, counts, strict=True):
            good = ~np.isnan(share)
            if not good.any():
                continue
            total[good] += share[good] / share[good].sum() * count[good].sum()
            known |= good
        return np.where(known, total, np.nan)
