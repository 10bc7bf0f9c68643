"""Looking for alerts in a published run: opened, updated, closed, escalated (METHODS 7).

One transaction per map, one at a time; killed in between, nothing has changed and the next look catches
up. Periods are taken one after the other, those the last look did not see yet included, so that nothing
depends on how often it looks. The decisions are `geo.alerts`; every change of a row is a step the
database itself writes down, audits and tells.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import sqlalchemy as sa

from app.database import transaction, translated_errors
from app.errors import Conflict, Invalid, NotFound, WusetuError
from app.services import alert_dispatch, alert_store
from app.services.alert_panel import Panel, read_panel
from app.services.alert_rows import Look, Open, budgeted, rows_of
from app.services.alert_rules import LEAST_UNITS, Rules, rules_of
from app.services.periods import Span
from app.services.runs import newest_run, read_facts
from app.services.units import UnitTable, read_units
from geo import alerts as kernel

log = logging.getLogger("wusetu.alerts")


@dataclass
class Report:
    """What one look did."""

    pack: str
    run: int
    periods: int = 0
    opened: int = 0
    closed: int = 0
    updated: int = 0
    escalated: int = 0
    waiting: int = 0
    sent: int = 0
    open: int = 0


def update(
    engine: sa.Engine,
    run: int | None = None,
    *,
    pack: str | None = None,
    since: date | None = None,
    moment: Callable[[Span], datetime] | None = None,
) -> Report:
    """Look for alerts in a published run.

    Parameters
    ----------
    run : number of the run; None: the newest of `pack`
    since : for a map that was never looked at: the first period that starts then or later; none: only
        the newest one
    moment : when what is found in a period opens and closes; none: now. For made-up pasts

    Raises
    ------
    NotFound
        No such run.
    Conflict
        The run is older than the one looked at before.
    """
    with transaction(engine) as connection:
        if run is None:
            if pack is None:
                raise Invalid("name a run or a map")
            run = newest_run(connection, pack)
        row = connection.execute(
            sa.text(
                "select pack, scene, scene_body from run where id = :run and status = 'published'"
            ),
            {"run": run},
        ).one_or_none()
        if row is None:
            raise NotFound(f"no published run {run}")
        connection.execute(
            sa.text("select pg_advisory_xact_lock(hashtextextended('wusetu alerts ' || :pack, 0))"),
            {"pack": row.pack},
        )
        rules = rules_of(row.scene_body)
        report = Report(row.pack, run)
        look = _look(connection, run, rules)
        if look is None:
            report.closed = _unwatched(connection, run, row.pack, row.scene)
            return report
        done = _clock(connection, look)
        spans = look.facts.periods[look.rules.alerts.period]
        first = _first(spans, done, since)
        for span in spans[first:]:
            at = moment(span) if moment else None
            again = done is not None and span.start <= done
            _period(connection, look, span, report, again=again, moment=at)
            report.periods += 1
        report.closed += alert_store.ended(connection, look)
        if moment is None:
            report.sent = alert_dispatch.send(
                connection, row.pack, look.rules.escalation, about="kind", run=run
            )
        _set_clock(connection, look, spans[-1])
        report.open = connection.execute(
            sa.text("select count(*) from alert where pack = :pack and state = 'open'"),
            {"pack": row.pack},
        ).scalar_one()
        return report


def after_run(engine: sa.Engine, run: int) -> Report | None:
    """Look for alerts in a run that was just published; what fails is tried again by the clock.

    The run stands whatever happens here.
    """
    try:
        return update(engine, run)
    except (WusetuError, sa.exc.SQLAlchemyError) as error:
        log.warning("run %s: alerts were not looked for: %s", run, type(error).__name__)
        return None


def catch_up(engine: sa.Engine) -> int:
    """Look at the newest run of each map alerts were looked for before, when it was not seen yet.

    Returns
    -------
    int
        Number of runs looked at.
    """
    with translated_errors(), engine.connect() as connection:
        runs = connection.execute(
            sa.text(
                "select newest.run from (select pack, max(id) as run from run "
                "where status = 'published' group by 1) newest "
                "join (select pack, max(run) as run from alert_clock group by 1) seen using (pack) "
                "where newest.run > seen.run order by 1"
            )
        ).scalars()
        waiting = list(runs)
    return sum(after_run(engine, run) is not None for run in waiting)


def _unwatched(connection: sa.Connection, run: int, pack: str, scene: str) -> int:
    """Close the alerts of a scene that raises none any more, but for those a later run was looked at for."""
    ids = connection.execute(
        sa.text(
            "select id from alert where pack = :pack and scene = :scene and about = 'kind' "
            "and state = 'open' and run <= :run order by id for update"
        ),
        {"pack": pack, "scene": scene, "run": run},
    ).scalars()
    return alert_store.not_watched(connection, list(ids), "场景不再预警")


# what is looked at -------------------------------------------------------------------------------
def _look(connection: sa.Connection, run: int, rules: Rules) -> Look | None:
    """Facts of a run; None where nothing is watched."""
    if not rules.watched or not rules.names:
        return None
    facts = read_facts(connection, run)
    if rules.alerts.period not in facts.periods or not facts.levels or not facts.kinds:
        return None
    table = read_units(connection, facts.version_id)
    named = rules.alerts.levels
    levels = tuple(
        level
        for level in facts.levels
        if (level in named if named else table.range(level)[1] >= LEAST_UNITS)
    )
    return Look(facts, table, rules, rules.kernel(), levels, facts.levels[-1])


def _clock(connection: sa.Connection, look: Look) -> date | None:
    """First day of the newest period looked at before; None: this map was never looked at.

    Raises
    ------
    Conflict
        The run is older than the one looked at before.
    """
    rows = connection.execute(
        sa.text("select run, last_period from alert_clock where pack = :pack and period = :period"),
        {"pack": look.facts.pack, "period": look.period},
    ).all()
    if not rows:
        return None
    newest = max(row.run for row in rows)
    if look.facts.id < newest:
        raise Conflict(f"run {look.facts.id} is older than run {newest}, looked at before")
    found: date = max(row.last_period for row in rows)
    return found


def _set_clock(connection: sa.Connection, look: Look, span: Span) -> None:
    for level in look.levels:
        connection.execute(
            sa.text(
                "insert into alert_clock (pack, level, period, run, last_period) "
                "values (:pack, :level, :period, :run, :last) on conflict (pack, level, period) "
                "do update set run = excluded.run, at = excluded.at, "
                "last_period = greatest(alert_clock.last_period, excluded.last_period)"
            ),
            {
                "pack": look.facts.pack, "level": level, "period": look.period,
                "run": look.facts.id, "last": span.start,
            },
        )  # fmt: skip


def _first(spans: tuple[Span, ...], done: date | None, since: date | None) -> int:
    """Ord of the first period to look at: the newest one again when it was seen before."""
    last = len(spans) - 1
    after = [span.ord for span in spans if span.start > done] if done is not None else []
    if done is not None:
        return after[0] if after else last
    if since is not None:
        return next((span.ord for span in spans if span.start >= since), last)
    return last


# one period --------------------------------------------------------------------------------------
def _period(
    connection: sa.Connection,
    look: Look,
    span: Span,
    report: Report,
    *,
    again: bool,
    moment: datetime | None,
) -> None:
    """Decide about every unit × kind of every level in one period, and write it down."""
    now = moment or connection.execute(sa.text("select clock_timestamp()")).scalar_one()
    panels = {
        level: read_panel(connection, look, level, span.ord)
        for level in {*look.levels, look.finest}
    }
    fresh: list[Open] = []
    kept: list[Open] = []
    below = _Finer(look.table)
    for level in reversed(
        look.levels
    ):  # fine to coarse: a coarser unit only for what is left of it
        panel = panels[level]
        there, quiet = _stored(connection, look, level, span)
        holds = np.zeros(panel.o.shape, np.uint8)
        for one in there:
            holds[one.cell] = one.holds
        fired = kernel.fires(panel.evidence, look.rule, holds)
        opening = fired.copy()
        for cell in quiet:
            opening[cell] = 0
        decided = kernel.transition(holds, opening, panel.evidence, look.rule, same_period=again)
        own = kernel.unexplained(
            below.of(panel), holds, look.rule,
            o=panel.o, e=panel.e, s=panel.s, x=panel.x, alpha=panel.alpha,
        )  # fmt: skip
        decided = _without(decided, holds, own, again=again)
        closed = []
        for one in there:
            one.now = int(opening[one.cell])
            one.fired |= one.now
            if decided.closed[one.cell]:
                one.explained = not own[one.cell]
                closed.append(one)
            else:
                one.holds = int(decided.holds[one.cell])
                kept.append(one)
        alert_store.close(connection, look, closed, panel=panel, span=span, now=now)
        report.closed += len(closed)
        for kind, at in np.argwhere(decided.opened).tolist():
            bits = int(decided.holds[kind, at])
            code = look.table.codes[panel.first + at - 1]
            fresh.append(Open(code, level, kind, at, bits, bits, bits, span.start))
        below.add(panel, decided.holds != 0)
    rows = list(rows_of(look, span, panels, [*fresh, *kept]))
    budgeted(connection, look, rows, now)
    written = alert_store.write(connection, look, rows, now)
    report.opened += written.opened
    report.updated += written.updated
    report.escalated += written.escalated
    report.waiting = sum(row["overflow_rank"] is not None for _, row in rows)
    alert_store.escalate_tasks(connection, look.facts.pack)


def _without(
    decided: kernel.Step, holds: kernel.Bytes, own: kernel.Bools, *, again: bool
) -> kernel.Step:
    """Take away what finer alerts explain; a period looked at again closes nothing."""
    stays = own | ((holds != 0) & (decided.holds != 0)) if again else own
    after = np.where(stays, decided.holds, 0).astype(np.uint8)
    return kernel.Step(after, (holds == 0) & (after != 0), (holds != 0) & (after == 0))


class _Finer:
    """What open alerts of the levels looked at before hold of the units above them."""

    def __init__(self, table: UnitTable) -> None:
        self._table = table
        self._held: tuple[Panel, tuple[kernel.Floats, ...]] | None = None

    def of(self, panel: Panel) -> kernel.Below:
        """Add up what is below each unit of a level."""
        if self._held is None:
            empty = np.zeros(panel.o.shape)
            return kernel.Below(empty, empty, empty)
        finer, held = self._held
        ids = finer.first + np.arange(finer.o.shape[1])
        above = self._table.ancestors[ids, self._table.levels.index(panel.level)]
        at = np.where(above > 0, above - panel.first, -1)
        inside = (at >= 0) & (at < panel.o.shape[1])
        made = []
        for values in held:
            one = np.zeros(panel.o.shape)
            for k, row in enumerate(values):
                one[k] = np.bincount(at[inside], row[inside], minlength=panel.o.shape[1])
            made.append(one)
        return kernel.Below(*made)

    def add(self, panel: Panel, is_open: kernel.Bools) -> None:
        """Note the open alerts of a level; where there is none, those below it."""
        below = self.of(panel)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(panel.x > 0, panel.s / panel.x, 0.0)
        own = (panel.o, panel.e, panel.e * ratio)
        held = tuple(
            np.where(is_open, one, other)
            for one, other in zip(own, (below.o, below.e, below.m), strict=True)
        )
        self._held = (panel, held)


_STORED = """
select * from alert where pack = :pack and level = :level and state = 'open' and about = 'kind'
  and kind = any(:kinds)
order by id for update
"""
_QUIET = """
select distinct code, kind from alert where pack = :pack and level = :level and state = 'closed'
  and about = 'kind' and kind = any(:kinds) and quiet_until > :start
"""


def _stored(
    connection: sa.Connection, look: Look, level: str, span: Span
) -> tuple[list[Open], list[tuple[int, int]]]:
    """Open alerts of a level whose units are on this map, and cells that keep quiet."""
    first, count = look.table.range(level)
    kinds = list(look.facts.kinds)
    asked = {"pack": look.facts.pack, "level": level, "kinds": kinds, "start": span.start}

    def place(code: str) -> int | None:
        found = look.table.lookup(code)
        return found - first if found and first <= found < first + count else None

    there = []
    for row in connection.execute(sa.text(_STORED), asked).mappings():
        at = place(row["code"])
        if at is not None:
            there.append(
                Open(row["code"], level, kinds.index(row["kind"]), at, row["holds"], row["fired"], 0,
                     row["opened_period"], dict(row))
            )  # fmt: skip
    quiet = [
        (kinds.index(row.kind), at)
        for row in connection.execute(sa.text(_QUIET), asked)
        if (at := place(row.code)) is not None
    ]
    return there, quiet
