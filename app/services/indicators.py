"""Questions about scenes and published runs of indicators.

Takes a connection and plain arguments. Ranks, values and notes are of what the connection may see
and of nothing else. A run keeps its scene version; `palette`, units and names are that version's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from app.api import indicator_models as shown
from app.api.models import Words
from app.errors import NotFound
from app.services import scene_store
from app.services.indicator_calendar import stop_of
from app.services.indicator_compute import factor_of
from app.services.scene_checks import scored, shares
from app.services.scene_parts import Title
from app.services.scene_tree import TOTAL, Branch, Calendar, Group, Indicator
from app.services.scenes import Scene, load_scene, scene_names

EMPTY = Title(zh="无", en="none")


@dataclass(frozen=True)
class Run:
    """A published run and the scene it keeps."""

    id: int
    pack: str
    version: scene_store.Version
    as_of: date
    simulated: bool
    feeds: list[dict[str, Any]]
    published_at: datetime

    @property
    def scene(self) -> Scene:
        """The scene as it was."""
        return self.version.scene


_RUN = (
    "select id, pack, scene_version_id, as_of, simulated, feeds, published_at from indicator_run "
    "where scene = :scene and status = 'published' and (cast(:pack as text) is null or pack = :pack) "
)


def newest_run(connection: sa.Connection, scene: str, pack: str | None = None) -> Run:
    """Newest published run of a scene, of one pack or of any.

    Raises
    ------
    NotFound
        There is none.
    """
    row = connection.execute(
        sa.text(_RUN + "order by id desc limit 1"), {"scene": scene, "pack": pack}
    ).one_or_none()
    if row is None:
        where = f" for {pack}" if pack else ""
        raise NotFound(f"no published run of the indicators of scene {scene!r}{where}")
    return _run(connection, row)


def numbered_run(connection: sa.Connection, number: int) -> Run:
    """Read the published run of a number, which is there."""
    row = connection.execute(
        sa.text(
            "select id, pack, scene_version_id, as_of, simulated, feeds, published_at "
            "from indicator_run where id = :id and status = 'published'"
        ),
        {"id": number},
    ).one()
    return _run(connection, row)


def _run(connection: sa.Connection, row: sa.Row[Any]) -> Run:
    version = scene_store.by_id(connection, row.scene_version_id)
    return Run(row.id, row.pack, version, row.as_of, row.simulated, row.feeds, row.published_at)


def newest_runs(connection: sa.Connection, scene: str) -> list[Run]:
    """Newest published run of each pack, by pack."""
    rows = connection.execute(
        sa.text(
            _RUN.replace("select id", "select distinct on (pack) id") + "order by pack, id desc"
        ),
        {"scene": scene, "pack": None},
    ).all()
    return [_run(connection, row) for row in rows]


# scenes -------------------------------------------------------------------------------------------


def words(title: Title) -> Words:
    """Title as the API shows it."""
    return Words(zh=title.zh, en=title.en)


def scenes(connection: sa.Connection) -> shown.SceneList:
    """Scenes in force or shipped, by name."""
    newest: dict[str, scene_store.Version] = {}
    for one in scene_store.versions(connection):
        newest.setdefault(one.name, one)
    packs: dict[str, list[str]] = {}
    for row in connection.execute(
        sa.text(
            "select distinct scene, pack from indicator_run where status = 'published' "
            "order by scene, pack"
        )
    ):
        packs.setdefault(row.scene, []).append(row.pack)
    found = []
    for name in sorted({*newest, *scene_names()}):
        applied = newest.get(name)
        scene = applied.scene if applied else load_scene(name)
        found.append(_brief(scene, applied.applied_at if applied else None, packs.get(name, [])))
    return shown.SceneList(scenes=found)


def _brief(scene: Scene, applied_at: datetime | None, packs: list[str]) -> shown.SceneBrief:
    return shown.SceneBrief(
        name=scene.name,
        title=words(scene.title),
        version=scene.version,
        kinds=len(scene.kinds),
        indicators=len(scene.indicators.indicators()) if scene.indicators else 0,
        applied_at=applied_at,
        packs=packs,
    )


def scene_detail(connection: sa.Connection, name: str) -> shown.SceneDetail:
    """Palette, tree, versions and newest runs of a scene.

    Raises
    ------
    NotFound
        There is no such scene.
    """
    applied = scene_store.versions(connection, name)
    scene = applied[0].scene if applied else scene_store.scene_of(connection, name)
    runs = newest_runs(connection, name)
    brief = _brief(scene, applied[0].applied_at if applied else None, [one.pack for one in runs])
    return shown.SceneDetail(
        **brief.model_dump(),
        palette=[
            shown.PaletteInfo(
                id=one.id, name=words(one), colour=one.colour, score_min=one.score_min
            )
            for one in scene.palette
        ],
        level_names={level: words(name) for level, name in scene.level_names.items()},
        tree=_tree(scene),
        versions=[
            shown.SceneVersionInfo(
                version=one.version, digest=one.digest, applied_at=one.applied_at
            )
            for one in applied
        ],
        runs=[run_info(connection, one) for one in runs],
    )


def _tree(scene: Scene) -> shown.TreeInfo | None:
    tree = scene.indicators
    if tree is None:
        return None
    weights, has = shares(tree), scored(tree)

    def indicator(one: Indicator, group: Group) -> shown.IndicatorInfo:
        return shown.IndicatorInfo(
            id=one.id,
            name=words(one),
            type=one.type,
            direction=one.direction if one.type != "index" else "rise",
            unit=words(unit_of(scene, one)),
            denominator=words(name_of(scene, one.per.measure)) if one.per else None,
            factor=factor_of(one),
            decimals=one.decimals,
            cut=one.cut,
            weight=weights[group.id][one.id],
            scored=has[one.id],
            aggregation=one.aggregation,
            parts=[part.id for part in one.parts],
        )

    return shown.TreeInfo(
        name=words(tree),
        fields=[
            shown.FieldInfo(
                id=field.id,
                name=words(field),
                weight=weights[TOTAL][field.id],
                groups=[
                    shown.GroupInfo(
                        id=group.id,
                        name=words(group),
                        weight=weights[field.id][group.id],
                        indicators=[indicator(one, group) for one in group.indicators],
                    )
                    for group in field.groups
                ],
            )
            for field in tree.fields
        ],
    )


def name_of(scene: Scene, measure: str) -> Title:
    """Name of a measure."""
    named: dict[str, Title] = {one.id: one for one in scene.events}
    named |= {one.id: one for feed in scene.feeds for one in feed.measures}
    if measure in named:
        return named[measure]
    if measure in scene.measures:
        return scene.measures[measure]
    if measure in scene.kinds:
        return scene.kinds[measure]
    for deadline in scene.deadlines:
        if measure in deadline.measure_ids():
            return deadline
    return EMPTY


def measure_unit(scene: Scene, measure: str) -> Title:
    """Find the unit a measure is counted in; events are cases."""
    for feed in scene.feeds:
        for one in feed.measures:
            if one.id == measure:
                return one.unit
    if measure in scene.measures:
        return scene.measures[measure].unit
    return Title(zh="起", en="cases")


def unit_of(scene: Scene, one: Indicator | Group | Branch | object) -> Title:
    """Find the unit of the values of an indicator; of groups, fields and total: points."""
    if not isinstance(one, Indicator) or one.type == "index":
        return one.unit if isinstance(one, Indicator) and one.unit else Title(zh="分", en="points")
    if one.unit is not None:
        return one.unit
    if one.type == "share":
        return Title(zh="%", en="%")
    top = measure_unit(scene, one.of[0])
    if one.per is None:
        return top
    below = one.per.zh or name_of(scene, one.per.measure).zh
    under = one.per.en or name_of(scene, one.per.measure).en.lower()
    return Title(zh=f"{top.zh}/{below}"[:80], en=f"{top.en} per {under}"[:80])


def is_counted(scene: Scene, one: object) -> bool:
    """Whether the numerator of an indicator counts events, so that chance has a law."""
    if not isinstance(one, Indicator) or one.type not in {"count", "rate", "share"}:
        return False
    amounts = {m.id for feed in scene.feeds for m in feed.measures if not m.counted or m.stock}
    return not amounts.intersection(one.of) and not set(one.of) & set(scene.measures)


# runs ---------------------------------------------------------------------------------------------


def run_info(connection: sa.Connection, run: Run) -> shown.IndicatorRun:
    """Levels, periods, feeds and notes of a run."""
    periods: dict[Calendar, list[shown.CalendarPeriod]] = {}
    for period in run.scene.calendar:
        periods[period] = []
    for row in connection.execute(
        sa.text(
            "select period, ord, start, stop, complete from indicator_period where run_id = :run "
            "order by period, ord"
        ),
        {"run": run.id},
    ):
        periods[row.period].append(
            shown.CalendarPeriod(ord=row.ord, start=row.start, end=row.stop, complete=row.complete)
        )
    notes = connection.scalar(
        sa.text("select notes from indicator_run_notes where run_id = :run"), {"run": run.id}
    )
    return shown.IndicatorRun(
        run=run.id,
        pack=run.pack,
        version=run.version.version,
        as_of=run.as_of,
        simulated=run.simulated,
        published_at=run.published_at,
        levels=levels_of(connection, run),
        periods=periods,
        feeds=feeds_of(run),
        notes=[one["text"] for one in notes or ()],
    )


def levels_of(connection: sa.Connection, run: Run) -> list[str]:
    """Levels of a run the asker has units of, coarse to fine."""
    there = set(
        connection.scalars(
            sa.text("select distinct level from indicator_unit where run_id = :run"),
            {"run": run.id},
        )
    )
    depth = {
        row.level: row.depth
        for row in connection.execute(
            sa.text(
                "select level, max(cardinality(path)) as depth from indicator_unit "
                "where run_id = :run group by level"
            ),
            {"run": run.id},
        )
    }
    order = [one for one in run.scene.levels if one in there]
    rest = sorted((one for one in there if one not in order), key=lambda one: (depth[one], one))
    return [*order, *rest]


def feeds_of(run: Run) -> list[shown.FeedState]:
    """Say what the sources of a run cover."""
    names: dict[str, Title] = {one.id: one for one in run.scene.feeds}
    names |= {one.id: one for one in run.scene.deadlines}
    names["events"] = Title(zh="地图事件", en="Events of the map")
    return [
        shown.FeedState(
            id=one["id"],
            name=words(names.get(one["id"], EMPTY)),
            every=one["every"],
            first=one["first"],
            through=one["through"],
            simulated=one["simulated"],
            stopped=one["stopped"],
        )
        for one in run.feeds
    ]


@dataclass(frozen=True)
class Moment:
    """A period of a run."""

    period: Calendar
    ord: int
    start: date
    stop: date
    complete: bool

    def days(self, as_of: date) -> int:
        """Days of it that are over."""
        return (min(self.stop, as_of) - self.start).days


def moments(connection: sa.Connection, run: Run, period: Calendar) -> list[Moment]:
    """Periods of a type, in order.

    Raises
    ------
    NotFound
        The run has none.
    """
    rows = connection.execute(
        sa.text(
            "select ord, start, stop, complete from indicator_period "
            "where run_id = :run and period = :period order by ord"
        ),
        {"run": run.id, "period": period},
    ).all()
    if not rows:
        raise NotFound(
            f"run {run.id} has no {period} values; scene {run.scene.name} has "
            f"{', '.join(run.scene.calendar)}"
        )
    return [Moment(period, row.ord, row.start, row.stop, row.complete) for row in rows]


def moment(found: list[Moment], ord_: int | None) -> Moment:
    """Period by its index; none: the newest complete one, else the newest.

    Raises
    ------
    NotFound
        There is no such period.
    """
    if ord_ is None:
        return next((one for one in reversed(found) if one.complete), found[-1])
    if ord_ >= len(found):
        raise NotFound(f"no {found[0].period} {ord_}; there are {len(found)}, counted from 0")
    return found[ord_]


# feeds --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FeedNow:
    """A feed as it stands on a day."""

    pack: str
    scene: str
    feed: str
    first: date
    through: date
    stopped: str | None


def feed_states(connection: sa.Connection, today: date) -> list[FeedNow]:
    """Say what every feed has covered, and whether it has stopped by `today`."""
    rules = {
        (one.name, feed.id): feed
        for one in _newest(scene_store.versions(connection))
        for feed in one.scene.feeds
    }
    for name in scene_names():
        scene = load_scene(name)
        for feed in scene.feeds:
            rules.setdefault((name, feed.id), feed)
    found = []
    for row in connection.execute(
        sa.text(
            "select pack, scene, feed, first, through from indicator_feed "
            "order by pack, scene, feed"
        )
    ):
        rule = rules.get((row.scene, row.feed))
        missed = 0
        start = row.through
        while rule and missed < rule.stops_after and (stop_of(rule.every, start)) <= today:
            start = stop_of(rule.every, start)
            missed += 1
        ended = rule is not None and missed >= rule.stops_after
        text = f"stopped: nothing since {row.through - timedelta(days=1)}" if ended else None
        found.append(FeedNow(row.pack, row.scene, row.feed, row.first, row.through, text))
    return found


def _newest(found: Iterable[scene_store.Version]) -> list[scene_store.Version]:
    kept: dict[str, scene_store.Version] = {}
    for one in found:
        kept.setdefault(one.name, one)
    return list(kept.values())
