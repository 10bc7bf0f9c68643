"""One assessment run: every level × kind × period of METHODS 1–6, published in one transaction.

A run is visible to nobody until its last row is in: everything is written in the transaction that
publishes it. Killed in between, nothing has changed; the next assess of the pack removes what the
dead one had announced (its row with status `running`). One assess per pack at a time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import sqlalchemy as sa
from pydantic import ValidationError

from app.api.models import Period
from app.database import transaction, translated_errors
from app.errors import Conflict, Invalid, WusetuError
from app.services import alerts, cells_assess, cells_count
from app.services.boundaries import newest_version
from app.services.cells_count import read_points
from app.services.cells_grid import leaf_ids
from app.services.counts import EventCounts, Ints, count_events, level_counts, period_sums
from app.services.exposure_table import exposure_table
from app.services.periods import Span, month_bounds, spans
from app.services.publish import Writer
from app.services.runs import read_facts
from app.services.scene_store import scene_of
from app.services.scenes import DEFAULT, OVERALL, Scene, load_scene, scene_names
from app.services.tracks import Floats
from app.services.units import UnitTable, read_units
from app.settings import load
from geo import exposure, risk, score

Progress = Callable[[str, int, int], None]


def silent(stage: str, done: int, total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Everything the computation needs; nothing is read after this."""

    pack: str
    scene: Scene
    zone: str
    table: UnitTable
    counts: EventCounts
    exposures: Floats  # (M, N + 1) by unit id, nan = missing
    levels: tuple[str, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds in scene order."""
        return tuple(self.scene.kinds)

    @property
    def measures(self) -> tuple[str, ...]:
        """Measures in scene order."""
        return tuple(self.scene.measures)

    def weights(self) -> Floats:
        """Exposure weights of the kinds: (K, M)."""
        return np.array(
            [
                [kind.weights.get(one, 0.0) for one in self.measures]
                for kind in self.scene.kinds.values()
            ]
        )

    def spans(self, period: Period) -> list[Span]:
        """Periods of one type."""
        return spans(period, self.counts.first_month, self.counts.last_month)


@dataclass(frozen=True, eq=False)
class Block:
    """Results of one level, reference area, period type and kind; arrays (T, m) unless said.

    `units` (m,) are the ids, ascending; `alpha`, `rate`, `dispersion` are (T,).
    """

    kind: str
    units: Ints
    observed: Ints
    expected: Floats
    s: Floats
    x: Floats
    k: Floats
    colour: Ints
    flags: Ints
    theta: Floats
    alpha: Floats
    rate: Floats
    dispersion: Floats


def assess_area(observed: Ints, shares: Floats, scene: Scene, units: Ints) -> Iterator[Block]:
    """All kinds, then `overall`, of one level, period type and reference area (METHODS 2–5).

    Parameters
    ----------
    observed : (K, T, m) counts of the area's units
    shares : (K, m) exposure shares, nan = no data
    scene : kinds in the order of the first axis, filter and colour rule
    units : (m,) unit ids
    """
    parameters = risk.DebParameters(**scene.filter.model_dump())
    rule = risk.ColourRule.from_rows(scene.colour_rule.rows(), scene.colour_rule.version)
    expected = np.empty(observed.shape)
    colours = np.empty(observed.shape, np.uint8)
    for at, kind in enumerate(scene.kinds):
        found = risk.filter_panel(observed[at], shares[at], parameters)
        alpha = risk.unit_alpha(found.alpha, found.flags, parameters)
        colours[at], theta = risk.colour_panel(alpha, found.s, found.x, rule)
        expected[at] = found.expected
        yield Block(
            kind=kind,
            units=units,
            observed=observed[at],
            expected=found.expected,
            s=found.s,
            x=found.x,
            k=found.k,
            colour=colours[at].astype(np.int32),
            flags=found.flags.astype(np.int32),
            theta=theta,
            alpha=found.alpha,
            rate=found.rate,
            dispersion=found.dispersion,
        )
    harm = [kind.harm for kind in scene.kinds.values()]
    overall = score.composite(observed, expected, harm, colours, parameters=parameters, rule=rule)
    missing = np.isnan(expected)
    sums = np.where(missing, 0.0, expected).sum(axis=0)
    yield Block(
        kind=OVERALL,
        units=units,
        observed=observed.sum(axis=0, dtype=np.int32),
        expected=np.where(missing.all(axis=0), np.nan, sums),
        s=overall.s,
        x=overall.x,
        k=overall.k,
        colour=overall.colours.astype(np.int32),
        flags=overall.flags.astype(np.int32),
        theta=overall.theta,
        alpha=overall.alpha,
        rate=np.full(len(overall.alpha), np.nan),
        dispersion=overall.dispersion,
    )


def choose_scene(connection: sa.Connection, pack: str, scene: Scene | str | Path | None) -> Scene:
    """Scene to assess with: the one given, else that of the pack's newest run, else the default.

    The newest run's scene is the shipped one of that name, else what is stored with the run.

    Raises
    ------
    NotFound, Invalid
        See `load_scene`.
    """
    if isinstance(scene, Scene):
        return scene
    if scene is not None:
        name = Path(scene)
        if name.suffix not in {".yaml", ".yml"} and str(name) not in scene_names():
            return scene_of(connection, str(name))  # one of the user's own that was applied
        return load_scene(scene)
    last = connection.execute(
        sa.text(
            "select scene, scene_body from run where pack = :pack and status = 'published' "
            "order by id desc limit 1"
        ),
        {"pack": pack},
    ).one_or_none()
    if last is None:
        return load_scene(DEFAULT)
    if last.scene in scene_names():
        return load_scene(last.scene)
    # a file of the user's own, which may be gone by now: the run knows what it said
    try:
        return Scene.model_validate(last.scene_body)
    except ValidationError as error:
        raise Invalid(
            f"{pack}: the scene {last.scene!r} of the newest run does not fit this program any "
            "more: give one with --scene"
        ) from error


def chosen_levels(table: UnitTable, finest: str | None) -> tuple[str, ...]:
    """Levels down to `finest`, which coarser ones always come with; None: all that have units.

    Raises
    ------
    NotFound
        The map has no such level.
    """
    present = tuple(level for level in table.levels if table.range(level)[1])
    if finest is None:
        return present
    table.range(finest)
    return tuple(one for one in present if table.levels.index(one) <= table.levels.index(finest))


def read_inputs(
    connection: sa.Connection,
    pack: str,
    scene: Scene | str | Path | None,
    finest: str | None,
    zone: str,
) -> Inputs:
    """Read and check everything a run is made of.

    Raises
    ------
    NotFound, Invalid
        No such pack, scene or level; no events; no exposures.
    """
    chosen = choose_scene(connection, pack, scene)
    zone = chosen.time_zone or zone
    table = read_units(connection, newest_version(connection, pack).id)
    levels = chosen_levels(table, finest)
    counts = count_events(connection, pack, list(chosen.kinds), zone, table)
    today = datetime.now(ZoneInfo(zone)).date()
    exposures = exposure_table(connection, table.version_id, list(chosen.measures), today)
    if np.isnan(exposures).all():
        raise Invalid(
            f"{pack}: no unit has a value of {', '.join(chosen.measures)}. "
            "Import exposures first: `wusetu exposures import`"
        )
    return Inputs(pack, chosen, zone, table, counts, exposures, levels)


@contextmanager
def pack_lock(engine: sa.Engine, pack: str, wait: bool, progress: Progress) -> Iterator[None]:
    """Hold the one right to assess a pack; it dies with its connection.

    Raises
    ------
    Conflict
        Another assess runs and `wait` is false.
    """
    key = sa.text("select hashtextextended('wusetu assess ' || :pack, 0)")
    with translated_errors(), engine.connect() as connection:
        number = connection.execute(key, {"pack": pack}).scalar_one()
        # the lock is the session's; an open transaction would only hold back vacuum
        connection.commit()
        raw_connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        got = raw_connection.execute(
            sa.text("select pg_try_advisory_lock(:key)"), {"key": number}
        ).scalar_one()
        if not got:
            if not wait:
                raise Conflict(f"{pack} is being assessed already; try again when that is done")
            progress("waiting for another assess of this pack", 0, 1)
            raw_connection.execute(sa.text("select pg_advisory_lock(:key)"), {"key": number})
        try:
            yield
        finally:
            raw_connection.execute(sa.text("select pg_advisory_unlock(:key)"), {"key": number})


def assess(
    engine: sa.Engine,
    pack: str,
    scene: Scene | str | Path | None = None,
    *,
    finest: str | None = None,
    cells: Sequence[int] | None = None,
    zone: str | None = None,
    wait: bool = True,
    look: bool = True,
    progress: Progress = silent,
) -> int:
    """Assess a pack and publish the run.

    Parameters
    ----------
    scene : a scene, its name, a YAML file; None: that of the pack's newest run, else the default
    finest : finest level to assess; None: all levels present
    cells : H3 resolutions to assess too; None: those of at most `cells_assess.WITH_RUN` cells
    zone : calendar of the periods where the scene names none; None: the setting
    wait : whether to wait for another assess of the same pack
    look : whether to look for alerts in the run, once it is published
    progress : called with the stage, what is done and what there is to do

    Returns
    -------
    int
        Number of the run.

    Raises
    ------
    NotFound, Invalid
        Something the run needs is not there or wrong; nothing was changed.
    Conflict
        Another assess runs and `wait` is false.
    """
    local = zone or load().time_zone
    with pack_lock(engine, pack, wait, progress):
        with transaction(engine) as connection:
            connection.execute(
                sa.text("delete from run where pack = :pack and status = 'running'"),
                {"pack": pack},
            )
        progress("counting events", 0, 1)
        with transaction(engine) as connection:
            # one snapshot: events that arrive meanwhile are in all numbers of the run or in none
            connection.exec_driver_sql("set transaction isolation level repeatable read")
            inputs = read_inputs(connection, pack, scene, finest, local)
            points = read_points(connection, pack, inputs.kinds, inputs.zone, inputs.counts)
        grids = cells_assess.grids(engine, inputs.table, cells) if len(points) else []
        run = _announce(engine, inputs)
        try:
            with transaction(engine) as connection:
                _write(connection, run, inputs, progress)
                if len(points):
                    leaves = leaf_ids(inputs.table)
                    cells_assess.store_leaves(connection, run, leaves, inputs.exposures[:, leaves])
                    cells_count.store(connection, run, points)
                for grid in grids:
                    facts = read_facts(connection, run)
                    cells_assess.publish(connection, facts, inputs.table, grid, progress)
                _publish(connection, run, inputs)
        except BaseException as error:
            _give_up(engine, run, error)
            raise
    if look:
        alerts.after_run(engine, run)
    return run


def _announce(engine: sa.Engine, inputs: Inputs) -> int:
    """Insert the run with status `running`, so that others see that one is on its way."""
    counts = inputs.counts
    # the span of months cannot be told from the periods when the scene has no months
    located = {**counts.located, "months": [counts.first_month, counts.last_month]}
    with transaction(engine) as connection:
        found: int = connection.execute(
            sa.text(
                "insert into run (pack, boundary_version_id, scene, scene_body, status, time_zone, "
                "kinds, measures, event_count, located, simulated, data_cutoff) values "
                "(:pack, :version, :scene, :body, 'running', :zone, :kinds, :measures, :events, "
                ":located, :simulated, :cutoff) returning id"
            ),
            {
                "pack": inputs.pack,
                "version": inputs.table.version_id,
                "scene": inputs.scene.name,
                "body": json.dumps(inputs.scene.body(), ensure_ascii=False),
                "zone": inputs.zone,
                "kinds": list(inputs.kinds),
                "measures": list(inputs.measures),
                "events": counts.total,
                "located": json.dumps(located),
                "simulated": counts.simulated,
                "cutoff": counts.data_cutoff,
            },
        ).scalar_one()
    return found


def _give_up(engine: sa.Engine, run: int, error: BaseException) -> None:
    """Say that the run failed; one that was cancelled leaves no trace."""
    with transaction(engine) as connection:
        if not isinstance(error, Exception):
            connection.execute(sa.text("delete from run where id = :run"), {"run": run})
            return
        message = error.message if isinstance(error, WusetuError) else f"{type(error).__name__}"
        connection.execute(
            sa.text("update run set status = 'failed', message = :message where id = :run"),
            {"run": run, "message": message},
        )


def _publish(connection: sa.Connection, run: int, inputs: Inputs) -> None:
    # readers come at once, before the database looks at the new rows by itself; only the columns
    # that are searched, for statistics of arrays are dear
    connection.exec_driver_sql("analyze assessment (run_id, unit_id, kind, period)")
    connection.exec_driver_sql("analyze packed_values (run_id, level, kind, period, ord)")
    connection.execute(
        sa.text("update run set status = 'published', published_at = now() where id = :run"),
        {"run": run},
    )
    note: dict[str, Any] = {"run": run, "pack": inputs.pack}
    connection.execute(sa.text("select pg_notify('wusetu_run', :note)"), {"note": json.dumps(note)})


def _write(connection: sa.Connection, run: int, inputs: Inputs, progress: Progress) -> None:
    """Compute everything and send it into the open transaction."""
    table, scene = inputs.table, inputs.scene
    kinds = len(scene.kinds)
    # progress counts unit × kind × period type, whatever the number of reference areas
    total = sum(table.range(one)[1] for one in inputs.levels) * len(scene.periods) * (kinds + 1)
    done = 0
    with Writer(connection, run, table) as writer:
        for period in scene.periods:
            writer.periods(period, inputs.spans(period))
        for level in inputs.levels:
            first, count = table.range(level)
            references = table.references(level, scene.reference_level)
            exposures = inputs.exposures[:, first : first + count]
            shares = exposure.kind_shares(exposures, inputs.weights(), references)
            writer.units(level, exposures, shares, exposure.complexity(shares, references))
            months = level_counts(inputs.counts, table, level, kinds)
            for period in scene.periods:
                bounds = month_bounds(inputs.spans(period), inputs.counts.first_month)
                observed = period_sums(months, bounds)
                for reference in np.unique(references):
                    members = np.flatnonzero(references == reference)
                    units = (members + first).astype(np.int32)
                    area = assess_area(observed[:, :, members], shares[:, members], scene, units)
                    for block in area:
                        progress(f"{level}, {period}", done, total)
                        writer.block(level, period, int(reference), block)
                        done += len(units)
                writer.packed(level, period)
        progress("writing the rest", total, total)
