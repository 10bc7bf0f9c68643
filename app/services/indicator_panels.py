"""Measures as panels: what each unit had in each period, from feeds, events, exposures, deadlines.

Promises: what is not known is nan, never 0; a value given for a unit and period counts before what
its parts add up to; a unit is known only when all of its parts that ever sent the measure are; a
period is known only where its source covers it up to the newest day of the run.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import sqlalchemy as sa

from app.database import raw
from app.services.exposure_table import exposure_table
from app.services.indicator_calendar import Span, finer_or_same, inside, spans, stop_of
from app.services.indicator_ground import Ground
from app.services.scene_tree import Calendar, Deadline, Feed, FeedMeasure
from app.services.scenes import Scene

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cover:
    """What a source covers: `[first, through)`, row by row of period `every`."""

    name: str
    every: Calendar
    first: date
    through: date
    simulated: bool
    source: str = ""


@dataclass
class Source:
    """Rows of one measure: `rows` has columns period, start (ordinal), code, value."""

    rows: pd.DataFrame
    cover: Cover | None
    every: Calendar
    absent: Literal["zero", "unknown"]
    stock: bool
    over_units: Literal["sum", "mean"]
    counted: bool
    reporting: set[str] = field(default_factory=set)


@dataclass
class Sources:
    """Everything a scene is computed from."""

    measures: dict[str, Source]
    fixed: dict[str, dict[str, float]]
    covers: list[Cover]

    def span(self) -> tuple[date, date] | None:
        """First day and the day after the last any source covers."""
        if not self.covers:
            return None
        return min(one.first for one in self.covers), max(one.through for one in self.covers)


# reading ----------------------------------------------------------------------------------------


def read_sources(connection: sa.Connection, scene: Scene, ground: Ground, zone: str) -> Sources:
    """Read what the measures of a scene are made of.

    Parameters
    ----------
    connection : sa.Connection
    scene : Scene
    ground : units
    zone : time zone of the days events fall on
    """
    found = Sources({}, {}, [])
    _read_feeds(connection, scene, ground, found)
    _read_events(connection, scene, ground, zone, found)
    _read_deadlines(connection, scene, ground, found)
    day = (found.span() or (date.min, date.max))[1]
    _read_exposures(connection, scene, ground, day, found)
    return found


def _read_feeds(connection: sa.Connection, scene: Scene, ground: Ground, found: Sources) -> None:
    if not scene.feeds:
        return
    covers = {
        row.feed: Cover(row.feed, row.period, row.first, row.through, row.simulated, row.source)
        for row in connection.execute(
            sa.text(
                "select feed, period, first, through, simulated, source from indicator_feed "
                "where pack = :pack and scene = :scene order by feed"
            ),
            {"pack": ground.pack, "scene": scene.name},
        )
    }
    table = _values(connection, ground.pack, scene.name)
    parts = {str(name): part for name, part in table.groupby("measure", observed=True)}
    for feed in scene.feeds:
        cover = covers.get(feed.id)
        if cover is not None:
            found.covers.append(cover)
        reporting = _reporting(feed, parts, ground) if feed.absent == "zero" else set()
        for measure in feed.measures:
            rows = parts.get(measure.id, table.iloc[:0])
            found.measures[measure.id] = _source(feed, measure, rows, cover, reporting)


def _source(
    feed: Feed, measure: FeedMeasure, rows: pd.DataFrame, cover: Cover | None, reporting: set[str]
) -> Source:
    return Source(
        rows, cover, feed.every, feed.absent, measure.stock, measure.over_units, measure.counted,
        reporting,
    )  # fmt: skip


def _values(connection: sa.Connection, pack: str, scene: str) -> pd.DataFrame:
    buffer = io.StringIO()
    with raw(connection).cursor() as cursor:
        query = cursor.mogrify(
            "copy (select measure, period, start - date '0001-01-01' + 1, code, value "
            "from indicator_value where pack = %s and scene = %s) to stdout (format csv)",
            (pack, scene),
        )
        cursor.copy_expert(query.decode(), buffer)
    buffer.seek(0)
    return pd.read_csv(
        buffer,
        header=None,
        names=["measure", "period", "start", "code", "value"],
        dtype={"measure": "category", "period": "category", "start": "int64", "code": "str",
               "value": "float64"},
        keep_default_na=False,
    )  # fmt: skip


def _reporting(feed: Feed, parts: Mapping[str, pd.DataFrame], ground: Ground) -> set[str]:
    """Units of which a missing row means 0: those with the parent of any that sent something."""
    sent = {
        code
        for measure in feed.measures
        if measure.id in parts
        for code in parts[measure.id].code[parts[measure.id].period == feed.every].unique()
    }
    homes = {
        (ground.units[code].level, ground.units[code].parent)
        for code in sent
        if code in ground.units
    }
    return {code for code, one in ground.units.items() if (one.level, one.parent) in homes}


_EVENTS = """
copy (
  select case when event.boundary_version_id = %(version)s then coalesce(unit_id, 0) else 0 end,
    event.kind, (occurred_at at time zone %(zone)s)::date - date '0001-01-01' + 1, count(*)
  from event join event_source on event_source.id = source_id and event_source.pack = %(pack)s
  where event.kind = any(%(kinds)s)
  group by 1, 2, 3
) to stdout (format csv)
"""


def _read_events(
    connection: sa.Connection, scene: Scene, ground: Ground, zone: str, found: Sources
) -> None:
    wanted: dict[str, list[str]] = {one.id: one.kinds for one in scene.events}
    tree = scene.indicators
    used = {name for one in tree.indicators() for name in one.of} if tree else set()
    wanted |= {kind: [kind] for kind in scene.kinds if kind in used}
    if not wanted or ground.table is None:
        return
    kinds = sorted({kind for some in wanted.values() for kind in some})
    # what a feed has covered is known by all kinds of it: a quiet kind is 0, not missing
    span = connection.execute(
        sa.text(
            "select (min(occurred_at) at time zone :zone)::date as first, "
            "(max(occurred_at) at time zone :zone)::date as last, "
            "bool_or(simulated) as simulated from event join event_source on "
            "event_source.id = source_id where pack = :pack"
        ),
        {"zone": zone, "pack": ground.pack},
    ).one()
    if span.first is None:
        return
    buffer = io.StringIO()
    with raw(connection).cursor() as cursor:
        query = cursor.mogrify(
            _EVENTS,
            {"version": ground.version, "zone": zone, "pack": ground.pack, "kinds": kinds},
        )
        cursor.copy_expert(query.decode(), buffer)
    buffer.seek(0)
    rows = pd.read_csv(
        buffer,
        header=None,
        names=["unit", "kind", "start", "value"],
        dtype={"unit": "int64", "kind": "str", "start": "int64", "value": "float64"},
        keep_default_na=False,
    )
    # the month of the first event counts as covered, as in the assessment of the map
    cover = Cover(
        "events", "day", span.first.replace(day=1), span.last + timedelta(days=1),
        bool(span.simulated),
    )  # fmt: skip
    found.covers.append(cover)
    for name, some in wanted.items():
        part = rows[rows.kind.isin(some)]
        found.measures[name] = Source(
            _events_by_level(part, ground), cover, "day", "zero", stock=False, over_units="sum",
            counted=True, reporting=set(ground.units),
        )  # fmt: skip


def _events_by_level(rows: pd.DataFrame, ground: Ground) -> pd.DataFrame:
    """Events of every unit of every level, those of its descendants included."""
    assert ground.table is not None
    parts = []
    codes = np.array([*ground.table.codes, ""], dtype=object)
    for column, level in enumerate(ground.table.levels):
        if level not in ground.levels:
            continue
        owner = ground.table.ancestors[rows.unit.to_numpy(), column]
        part = pd.DataFrame(
            {"start": rows.start.to_numpy(), "code": codes[owner - 1], "value": rows.value}
        )[owner > 0]
        parts.append(part.groupby(["start", "code"], as_index=False)["value"].sum())
    found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(
        {"start": [], "code": [], "value": []}
    )  # fmt: skip
    found["period"] = "day"
    return found


def _read_exposures(
    connection: sa.Connection, scene: Scene, ground: Ground, day: date, found: Sources
) -> None:
    names = list(scene.measures)
    if not names or ground.version is None or ground.table is None:
        return
    table = exposure_table(connection, ground.version, names, day)
    for row, name in enumerate(names):
        found.fixed[name] = {
            code: float(table[row, at])
            for at, code in enumerate(ground.table.codes, 1)
            if code in ground.units and not np.isnan(table[row, at])
        }


def _read_deadlines(
    connection: sa.Connection, scene: Scene, ground: Ground, found: Sources
) -> None:
    for deadline in scene.deadlines:
        cover_row = connection.execute(
            sa.text(
                "select period, first, through, simulated, source from indicator_feed "
                "where pack = :pack and scene = :scene and feed = :feed"
            ),
            {"pack": ground.pack, "scene": scene.name, "feed": deadline.id},
        ).one_or_none()
        if cover_row is None:
            continue
        cover = Cover(
            deadline.id, "day", cover_row.first, cover_row.through, cover_row.simulated,
            cover_row.source,
        )  # fmt: skip
        found.covers.append(cover)
        items = pd.DataFrame(
            connection.execute(
                sa.text(
                    "select kind, important, code, due - date '0001-01-01' + 1 as due, "
                    "done - date '0001-01-01' + 1 as done from indicator_item "
                    "where pack = :pack and scene = :scene and deadline = :deadline"
                ),
                {"pack": ground.pack, "scene": scene.name, "deadline": deadline.id},
            ).all(),
            columns=["kind", "important", "code", "due", "done"],
        )
        for name, rows in deadline_rows(deadline, items, cover).items():
            # "by the end of the period" is another number for each period: none adds up
            found.measures[name] = Source(
                rows, cover, "day", "zero", stock=False, over_units="sum", counted=True,
                reporting={*ground.units},
            )  # fmt: skip


def deadline_rows(deadline: Deadline, items: pd.DataFrame, cover: Cover) -> dict[str, pd.DataFrame]:
    """Measures of things that run out, one row per unit and day of the event.

    A thing is *warned* on day `due − warn_days` unless it was done before; it is *rectified* when it
    is done by the day the source covers, and counts on the day of its warning, so that the share of
    warnings that were rectified is a share of the same things; *overdue* counts on the due day what
    was not done by then.
    """
    day = items.due.astype("float64")
    done = items.done.astype("float64")
    warn = day - deadline.warn_days
    last = cover.through.toordinal()
    warned = ~(done < warn)
    rectified = warned & (done < last)
    overdue = (day < last) & ~(done <= day)
    important = items.important.astype(bool)
    masks: dict[str, tuple[Any, Any]] = {
        "due": (day, np.ones(len(items), dtype=bool)),
        "overdue": (day, overdue),
        "warned": (warn, warned),
        "rectified": (warn, rectified),
        "important_warned": (warn, warned & important),
        "important_rectified": (warn, rectified & important),
    }
    for kind in deadline.kinds:
        masks[f"{kind.id}_warned"] = (warn, warned & (items.kind == kind.id))
    found = {}
    for name, (when, mask) in masks.items():
        rows = pd.DataFrame({"start": when[mask], "code": items.code[mask]})
        rows = rows.groupby(["start", "code"], as_index=False).size()
        rows = rows.rename(columns={"size": "value"})
        rows["start"] = rows["start"].astype("int64")
        rows["value"] = rows["value"].astype("float64")
        rows["period"] = "day"
        found[f"{deadline.id}_{name}"] = rows
    return found


# panels -----------------------------------------------------------------------------------------


class Panels:
    """Panels (T, n) of every measure, level and period type, made once each.

    Parameters
    ----------
    ground : units
    sources : what was read
    first, stop : days all panels reach over, `[first, stop)`
    """

    def __init__(self, ground: Ground, sources: Sources, first: date, stop: date) -> None:
        self.ground = ground
        self.sources = sources
        self.first = first
        self.stop = stop
        self._made: dict[tuple[str, str, str], Floats] = {}
        self._calendars: dict[Calendar, list[Span]] = {}
        self._quiet: dict[str, set[str]] = {}
        self._split: dict[str, dict[tuple[str, str], pd.DataFrame]] = {}

    def spans(self, period: Calendar) -> list[Span]:
        """Periods of a type, in order."""
        if period not in self._calendars:
            self._calendars[period] = spans(period, self.first, self.stop)
        return self._calendars[period]

    def total(self, measures: Sequence[str], level: str, period: Calendar, how: str) -> Floats:
        """Sum of several measures, (T, n)."""
        parts = [self.panel(one, level, period, how) for one in measures]
        found: Floats = np.sum(parts, axis=0)
        return found

    def panel(self, measure: str, level: str, period: Calendar, how: str = "sum") -> Floats:
        """Panel (T, n) of one measure; `how` says how finer periods of a flow come together."""
        key = (measure, level, f"{period} {how}")
        if key not in self._made:
            self._made[key] = self._make(measure, level, period, how)
        return self._made[key]

    def _make(self, measure: str, level: str, period: Calendar, how: str) -> Floats:
        codes = self.ground.codes(level)
        shape = (len(self.spans(period)), len(codes))
        if measure in self.sources.fixed:
            values = self.sources.fixed[measure]
            row = np.array([values.get(code, np.nan) for code in codes])
            return np.array(np.broadcast_to(row, shape))
        source = self.sources.measures.get(measure)
        if source is None or source.cover is None:
            return np.full(shape, np.nan)
        own = np.full(shape, np.nan)
        for given in finer_or_same(period):
            part = self._given(measure, source, level, given)
            if part is not None:
                rolled = self._roll(part, source, given, period, how)
                own = np.where(np.isnan(own), rolled, own)
        below = self.ground.levels.index(level) + 1
        if below < len(self.ground.levels) and not np.isfinite(own).all():
            summed = self._from_below(measure, source, level, period, how, shape)
            if summed is not None:
                own = np.where(np.isnan(own), summed, own)
        return own

    def _rows(self, measure: str, source: Source) -> dict[tuple[str, str], pd.DataFrame]:
        """Rows of a measure by level and period type."""
        if measure not in self._split:
            levels = {code: one.level for code, one in self.ground.units.items()}
            rows = source.rows.assign(level=source.rows.code.map(levels))
            self._split[measure] = {
                (str(level), str(period)): part
                for (level, period), part in rows.groupby(["level", "period"], observed=True)
            }
        return self._split[measure]

    def _silent(self, measure: str, source: Source) -> set[str]:
        """Units whose silence about a measure means 0.

        Of what reports at all: those without parts that report, and those that sent it themselves;
        what only its parts send is added up from them.
        """
        if measure not in self._quiet:
            units = self.ground.units
            parents = {units[code].parent for code in source.reporting}
            sent = set(source.rows.code.unique())
            self._quiet[measure] = {
                code for code in source.reporting if code not in parents or code in sent
            }
        return self._quiet[measure]

    def _given(self, measure: str, source: Source, level: str, period: Calendar) -> Floats | None:
        """Find what was given for units of a level and a period type; None: nothing."""
        rows = self._rows(measure, source).get((level, period))
        fill = source.absent == "zero" and period == source.every and not source.stock
        spots = self.ground.index(level)
        silent = self._silent(measure, source) if fill else set()
        reporting = [spots[code] for code in silent if code in spots]
        if rows is None and not reporting:
            return None
        calendar = self.spans(period)
        found = np.full((len(calendar), len(spots)), np.nan)
        assert source.cover is not None
        if reporting:
            covered = np.array(
                [source.cover.first <= one.start and one.stop <= source.cover.through
                 for one in calendar]
            )  # fmt: skip
            found[np.ix_(covered, np.array(sorted(reporting)))] = 0.0
        if rows is not None:
            starts = np.array([one.start.toordinal() for one in calendar])
            at = np.searchsorted(starts, rows.start.to_numpy())
            unit = rows.code.map(spots).to_numpy()
            good = (at < len(starts)) & (starts[np.minimum(at, len(starts) - 1)] == rows.start)
            found[at[good], unit[good]] = rows.value.to_numpy()[good]
        return found

    def _roll(
        self, part: Floats, source: Source, given: Calendar, period: Calendar, how: str
    ) -> Floats:
        """Finer periods together: sums of flows, means of stocks; nan where any is missing."""
        if given == period:
            return part
        coarse = self.spans(period)
        home = inside(self.spans(given), coarse)
        edges = np.searchsorted(home, np.arange(len(coarse)))
        # what the run does not reach yet is left out, what the source misses is not
        total = np.add.reduceat(part, edges, axis=0)
        if source.stock or how == "mean":
            total = total / np.bincount(home, minlength=len(coarse))[:, None]
        # a first period that begins before the data would be too small
        whole = np.array([one.start >= self.first for one in coarse])
        return np.where(whole[:, None], total, np.nan)

    def _from_below(  # noqa: PLR0917
        self, measure: str, source: Source, level: str, period: Calendar, how: str,
        shape: tuple[int, int],
    ) -> Floats | None:  # fmt: skip
        """Sum or mean of the parts of each unit, whatever finer level they are of."""
        total = np.zeros(shape)
        number = np.zeros(shape[1])
        for finer in self.ground.levels[self.ground.levels.index(level) + 1 :]:
            codes = self.ground.codes(finer)
            homes = [self.ground.units[code].parent for code in codes]
            spots = self.ground.index(level)
            parent = np.array([spots.get(home, -1) if home else -1 for home in homes])
            if not (parent >= 0).any():
                continue
            part = self.panel(measure, finer, period, how)
            ever = np.isfinite(part).any(axis=0) & (parent >= 0)
            if not ever.any():
                continue
            np.add.at(total.T, parent[ever], part[:, ever].T)
            np.add.at(number, parent[ever], 1)
        if not number.any():
            return None
        if source.over_units == "mean":
            with np.errstate(divide="ignore", invalid="ignore"):
                total = total / number
        return np.where(number > 0, total, np.nan)


def stopped(cover: Cover, feed: Feed, as_of: date) -> str | None:
    """Say that a feed has stopped, and since when; None: it goes on."""
    missed = 0
    start = cover.through
    while (end := stop_of(feed.every, start)) <= as_of:
        missed += 1
        start = end
        if missed >= feed.stops_after:
            return (
                f"feed {feed.id} ({feed.zh}) has stopped: nothing since "
                f"{cover.through - timedelta(days=1)}, one row every {feed.every} was expected"
            )
    return None


def finest_used(scene: Scene, order: Sequence[str], given: Sequence[str]) -> str | None:
    """Finest level that matters: of those the scene shows and those values were given for."""
    used = [one for one in order if one in scene.levels or one in given]
    return used[-1] if used else None
