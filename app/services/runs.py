"""Published runs: their facts, the list of them, pruning.

A run is immutable once published; `RunFacts` is read once and kept. That it is still there (and
still published) is asked each time, so a pruned run answers "not found" at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from app.api.models import Period, PeriodInfo, RunInfo
from app.errors import Conflict, Invalid, NotFound
from app.services.caches import Caches
from app.services.periods import Span, month_number, spans
from app.services.scenes import OVERALL, Scene


@dataclass(frozen=True)
class Layer:
    """One layer of a map: a level in one period, seen by one kind (or `overall`)."""

    level: str
    kind: str
    period: Period
    ord: int


@dataclass(frozen=True, eq=False)
class RunFacts:
    """What every question about a run needs.

    Attributes
    ----------
    kinds : kinds in scene order, without `overall`
    periods : per period type the periods, index = ord
    """

    id: int
    pack: str
    version_id: int
    scene: Scene
    time_zone: str
    kinds: tuple[str, ...]
    measures: tuple[str, ...]
    periods: dict[Period, tuple[Span, ...]]
    event_count: int
    located: dict[str, Any]
    grid_share: float | None
    simulated: bool
    data_cutoff: datetime | None
    published_at: datetime
    levels: tuple[str, ...]

    def kind(self, kind: str) -> str:
        """Return `kind` when the run has it, or raise NotFound."""
        if kind != OVERALL and kind not in self.kinds:
            raise NotFound(f"no kind {kind!r} in run {self.id}; there are {self._list_kinds()}")
        return kind

    def _list_kinds(self) -> str:
        return ", ".join((OVERALL, *self.kinds))

    def span(self, period: Period, ord_: int) -> Span:
        """Return one period, or raise NotFound."""
        found = self.periods.get(period, ())
        if not 0 <= ord_ < len(found):
            raise NotFound(
                f"no {period} {ord_} in run {self.id}; there are {len(found)}, counted from 0"
            )
        return found[ord_]

    def level(self, level: str) -> str:
        """Return `level` when the run has it, or raise NotFound."""
        if level not in self.levels:
            raise NotFound(
                f"no level {level!r} in run {self.id}; there are {', '.join(self.levels)}"
            )
        return level

    def check(self, layer: Layer) -> Span:
        """Return the period of a layer the run has, or raise NotFound."""
        self.kind(layer.kind)
        self.level(layer.level)
        return self.span(layer.period, layer.ord)

    def period_infos(self) -> dict[Period, list[PeriodInfo]]:
        """Periods as the API shows them."""
        return {
            period: [
                PeriodInfo(ord=one.ord, start=one.start, end=one.end, complete=one.complete)
                for one in found
            ]
            for period, found in self.periods.items()
        }


def run_facts(connection: sa.Connection, caches: Caches, run: int) -> RunFacts:
    """Facts of a published run.

    Raises
    ------
    NotFound
        There is no such run, it is not published, or it was pruned.
    """
    status = connection.execute(
        sa.text("select status from run where id = :run"), {"run": run}
    ).scalar_one_or_none()
    if status != "published":
        raise NotFound(f"no published run {run}")
    return caches.runs.get(run, lambda: read_facts(connection, run))


def read_facts(connection: sa.Connection, run: int) -> RunFacts:
    """Facts of a run whose rows are all in, published or about to be."""
    row = connection.execute(
        sa.text(
            "select run.id, run.pack, boundary_version_id, scene_body, run.time_zone, kinds, "
            "measures, simulated, data_cutoff, published_at, totals.event_count, "
            "totals.located, months, "
            "(select array_agg(distinct level) from run_rate where run_id = run.id) as assessed, "
            "boundary_version.levels "
            "from run join boundary_version on boundary_version.id = boundary_version_id "
            "join run_coverage on run_coverage.run_id = run.id "
            "left join run_totals as totals on totals.run_id = run.id "
            "where run.id = :run"
        ),
        {"run": run},
    ).one()
    starts = connection.execute(
        sa.text("select min(start) as first, max(start) as last from run_period "
                "where run_id = :run and period = 'month'"),
        {"run": run},
    ).one()  # fmt: skip
    scene = Scene.model_validate(row.scene_body)
    first, last = row.months or (month_number(starts.first), month_number(starts.last))
    present = set(row.assessed or ())
    levels = tuple(level for level in row.levels if level in present)
    if row.located is not None:
        events = row.event_count
        located = {name: value for name, value in row.located.items() if name != "months"}
    else:  # a jurisdiction that is a part of the map: what its own units add up to
        events, located = _own_totals(connection, row, levels)
    return RunFacts(
        id=row.id,
        pack=row.pack,
        version_id=row.boundary_version_id,
        scene=scene,
        time_zone=row.time_zone,
        kinds=tuple(row.kinds),
        measures=tuple(row.measures),
        periods={period: tuple(spans(period, first, last)) for period in scene.periods},
        event_count=events,
        located=located,
        grid_share=finest_share(located, row.levels, events),
        simulated=row.simulated,
        data_cutoff=row.data_cutoff,
        published_at=row.published_at,
        levels=levels,
    )


OWN_TOTALS = """
with own as (
  select unit_id, level, parent_id, (select sum(o) from unnest(observed) as o) as events
  from assessment
  join unit_skeleton on boundary_version_id = :version and unit_skeleton.id = unit_id
  where run_id = :run and kind = 'overall'
    and period = (select min(period) from run_period where run_id = :run))
select coalesce(sum(events) filter (where parent_id is null
         or parent_id not in (select unit_id from own)), 0)::bigint as events,
  coalesce(sum(events) filter (where level = :finest), 0)::bigint as finest
from own
"""


def _own_totals(
    connection: sa.Connection, run: sa.Row[Any], levels: tuple[str, ...]
) -> tuple[int, dict[str, Any]]:
    """Events of the units that may be seen, and of those known to the finest level."""
    found = connection.execute(
        sa.text(OWN_TOTALS),
        {
            "version": run.boundary_version_id,
            "run": run.id,
            "finest": levels[-1] if levels else "",
        },
    ).one()
    return found.events, {"level": {levels[-1]: found.finest}} if levels else {}


def finest_share(located: dict[str, Any], levels: list[str], events: int) -> float | None:
    """Share of the events located to the finest level, 0–1; None without events."""
    if not events:
        return None
    return float(located.get("level", {}).get(levels[-1], 0)) / events


COLUMNS = (
    "select run.id, run.pack, scene, status, label as boundary_version, "
    "run_totals.event_count, data_cutoff, "
    "started_at, run.published_at from run "
    "join boundary_version on boundary_version.id = boundary_version_id "
    "left join run_totals on run_totals.run_id = run.id "
)


def list_runs(
    connection: sa.Connection, pack: str | None = None, published_only: bool = True
) -> list[RunInfo]:
    """List runs, newest first."""
    rows = connection.execute(
        sa.text(
            COLUMNS + "where (cast(:pack as text) is null or run.pack = :pack) "
            "and (status = 'published' or not :published) order by run.id desc"
        ),
        {"pack": pack, "published": published_only},
    )
    return [RunInfo.model_validate(dict(row._mapping)) for row in rows]


def run_info(connection: sa.Connection, run: int) -> RunInfo:
    """One published run.

    Raises
    ------
    NotFound
        There is no such published run.
    """
    row = connection.execute(
        sa.text(COLUMNS + "where run.id = :run and status = 'published'"), {"run": run}
    ).one_or_none()
    if row is None:
        raise NotFound(f"no published run {run}")
    return RunInfo.model_validate(dict(row._mapping))


def newest_run(connection: sa.Connection, pack: str) -> int:
    """Find the number of the newest published run of a pack.

    Raises
    ------
    NotFound
        Nothing of that pack is published.
    """
    found = connection.execute(
        sa.text("select max(id) from run where pack = :pack and status = 'published'"),
        {"pack": pack},
    ).scalar_one()
    if found is None:
        raise NotFound(f"no published run of {pack!r}: run `wusetu assess --pack {pack}`")
    return int(found)


def quality_notes(connection: sa.Connection, facts: RunFacts) -> list[str]:
    """Say what to look at before believing a run: data-quality notes."""
    notes = []
    located = facts.located
    if located["no_unit"]:
        notes.append(f"{located['no_unit']:,} events are located to no unit and in no colour")
    if located["other_version"]:
        notes.append(
            f"{located['other_version']:,} events are located in another boundary version: "
            "locate them again (`wusetu events`)"
        )
    if located["other_kinds"]:
        notes.append(f"{located['other_kinds']:,} events are of kinds the scene does not count")
    if located["mismatch"]:
        notes.append(f"{located['mismatch']:,} events have a code and a point that disagree")
    missing = connection.execute(
        sa.text(
            "select unit.level, count(*) as units from run_unit "
            "join unit on unit.boundary_version_id = :version and unit.id = unit_id "
            "where run_id = :run and complexity is null group by 1"
        ),
        {"run": facts.id, "version": facts.version_id},
    ).all()
    for level in facts.levels:
        for row in missing:
            if row.level == level:
                notes.append(f"{row.units:,} units of level {level} have no exposure: no data")
    batches = connection.execute(
        sa.text(
            "select kind, level, count(*) as periods from run_rate, unnest(dispersion) as phi "
            "where run_id = :run and period = 'month' and phi > 1.5 and phi < 'nan' "
            "and kind <> 'overall' group by 1, 2 having count(*) > 2 order by 3 desc limit 5"
        ),
        {"run": facts.id},
    )
    notes += [
        f"{row.kind} at level {row.level} jumps from month to month {row.periods} times "
        "(dispersion above 1.5): is it recorded in batches?"
        for row in batches
    ]
    return notes


def prune_runs(connection: sa.Connection, keep: int, pack: str | None = None) -> list[int]:
    """Delete all but the newest `keep` published runs of each pack, and failed runs.

    A run that is being computed is left alone. Returns the ids that were deleted, ascending.

    Raises
    ------
    Invalid
        `keep` is under 1: the map would have nothing to show.
    Conflict
        Nothing of that pack was ever assessed.
    """
    if keep < 1:
        raise Invalid(f"keep at least 1 run, not {keep}: the map would have nothing to show")
    known = connection.execute(sa.text("select distinct pack from run order by pack")).scalars()
    packs = list(known)
    if pack is not None and pack not in packs:
        raise Conflict(f"no run of pack {pack!r}; there are {', '.join(packs) or 'none'}")
    deleted = connection.execute(
        sa.text(
            "delete from run where status <> 'running' "
            "and (cast(:pack as text) is null or pack = :pack) and id not in ("
            " select id from (select id, row_number() over (partition by pack order by id desc) "
            " as place from run where status = 'published') as newest where place <= :keep) "
            "returning id"
        ),
        {"pack": pack, "keep": keep},
    ).scalars()
    return sorted(deleted)
