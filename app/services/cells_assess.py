"""Assess the H3 cells of a run with the rule of its units, and publish them.

Everything is made from what the run keeps: counts per cell and the exposures of its leaf units. So
a resolution may be assessed with the run, in the transaction that publishes it, or later, and is
the same. Numbers of a single cell follow from its counts and what the filter fitted
(`risk.replay`); stored are the colours, which must not change once they were seen.

Memory grows with cells × periods of one kind, never with the number of kinds: about 90 bytes each.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.database import raw, transaction
from app.errors import Invalid
from app.services import cells_grid, cells_own
from app.services.caches import Caches
from app.services.cells_count import CellCounts, load
from app.services.cells_grid import Grid
from app.services.periods import month_bounds
from app.services.runs import RunFacts, run_facts
from app.services.scenes import OVERALL, Scene
from app.services.units import UnitTable, read_units
from geo import cells as h3
from geo import risk, score
from tiles.packed import quantise_theta

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Progress = Callable[[str, int, int], None]

WITH_RUN = 50_000
"""Cells up to which a resolution is assessed together with its run."""

BLOCK = 4096
"""Cells whose kinds are weighed together at a time."""

MARKS = risk.CHECK | risk.OUTWEIGHS
"""Flags that depend on other cells, and so are stored."""


@dataclass(frozen=True, eq=False)
class Panel:
    """What is assessed: cells of a grid with their counts.

    Attributes
    ----------
    row : (m,) place of each count's cell, ascending; counts outside of the grid are left out
    shares : (K, n) exposure shares, nan = no data
    reference : (n,) unit id of the reference area, 0 the whole map
    """

    row: Ints
    counts: CellCounts
    shares: Floats
    reference: Ints

    def dense(self, kind: int, bounds: Sequence[int], cells: slice) -> Floats:
        """Events of one kind, (T, n) over periods that begin at months `bounds`."""
        size = cells.stop - cells.start
        a, b = np.searchsorted(self.row, [cells.start, cells.stop])
        mine = np.flatnonzero(self.counts.kind[a:b] == kind) + a
        period = np.searchsorted(bounds, self.counts.month[mine], side="right") - 1
        flat = period * size + (self.row[mine] - cells.start)
        sums = np.bincount(flat, self.counts.events[mine], len(bounds) * size)
        return np.asarray(sums, np.float64).reshape(len(bounds), size)


@dataclass(frozen=True, eq=False)
class Assessed:
    """One kind of one period type in one reference area: arrays (T, m) or (T,)."""

    kind: str
    colour: Bytes
    theta: Floats
    rate: Floats
    alpha: Floats
    flags: Bytes


def locate_rows(cells: h3.Cells, counts: CellCounts) -> tuple[Ints, CellCounts, int]:
    """Places of the counts' cells; what is inside the grid, and the events outside of it."""
    row = np.searchsorted(cells, counts.cell)
    inside = cells[np.minimum(row, len(cells) - 1)] == counts.cell
    return row[inside], counts.take(inside), int(counts.events[~inside].sum())


def members(panel: Panel, where: Ints) -> Panel:
    """Cut a panel down to the cells at the places `where` (ascending)."""
    if len(where) == panel.shares.shape[1]:
        return panel
    place = np.full(panel.shares.shape[1], -1)
    place[where] = np.arange(len(where))
    row = place[panel.row]
    kept = row >= 0
    return Panel(row[kept], panel.counts.take(kept), panel.shares[:, where], panel.reference[where])


def assess_panel(
    panel: Panel, scene: Scene, kinds: Sequence[str], bounds: Sequence[int]
) -> Iterator[Assessed]:
    """All kinds, then `overall`, of one reference area (METHODS 2–5).

    Says the same as `assess.assess_area` on dense counts. `kinds` is the order of the counts and
    shares: that of the run, for a scene read back from the database has forgotten its own.
    """
    parameters = risk.DebParameters(**scene.filter.model_dump())
    rule = risk.ColourRule.from_rows(scene.colour_rule.rows(), scene.colour_rule.version)
    n, periods = panel.shares.shape[1], len(bounds)
    rates = np.empty((len(kinds), periods))
    red = np.zeros((periods, n), bool)
    for at, kind in enumerate(kinds):
        observed = panel.dense(at, bounds, slice(0, n))
        found = risk.filter_panel(observed, panel.shares[at], parameters)
        alpha = risk.unit_alpha(found.alpha, found.flags, parameters)
        colour, theta = risk.colour_panel(alpha, found.s, found.x, rule)
        red |= colour == risk.RED
        rates[at] = found.rate
        yield Assessed(kind, colour, theta, found.rate, found.alpha, found.flags)
    harm = [scene.kinds[kind].harm for kind in kinds]
    weighed, base = np.empty((periods, n)), np.empty((periods, n))
    for a in range(0, n, BLOCK):
        block = slice(a, min(a + BLOCK, n))
        observed = np.stack([panel.dense(at, bounds, block) for at in range(len(harm))])
        both = score.effective(observed, expected_of(panel.shares[:, block], rates), harm)
        weighed[:, block], base[:, block] = both.observed, both.expected
    # no data is nan in E'; the count beside it is never read
    found = risk.filter_expected(np.where(np.isnan(base), 0.0, weighed), base, parameters)
    alpha = risk.unit_alpha(found.alpha, found.flags, parameters)
    colour, theta = risk.colour_panel(alpha, found.s, found.x, rule)
    lift = red & (colour != risk.NONE) & (colour < risk.ORANGE)
    colour[lift] = risk.ORANGE
    flags = found.flags | np.where(lift, np.uint8(risk.VETO), np.uint8(0))
    yield Assessed(OVERALL, colour, theta, np.full(periods, np.nan), found.alpha, flags)


def expected_of(shares: Floats, rates: Floats) -> Floats:
    """E of each kind and period, (K, T, n) from shares (K, n) and rates (K, T)."""
    usable = np.where(shares > 0, shares, np.nan)
    return np.asarray(usable[:, None, :] * rates[:, :, None])


def make_panel(
    grid: Grid,
    counts: CellCounts,
    exposures: Floats,
    facts: RunFacts,
    table: UnitTable,
) -> tuple[Panel, int]:
    """Panel of a grid, and the events outside of it; `exposures` (M, u) of the leaf units."""
    row, inside, outside = locate_rows(grid.over.cells, counts)
    unit_reference = leaf_references(table, grid.leaves, facts.scene.reference_level)
    reference = grid.over.owner(unit_reference)
    shares = h3.reference_shares(
        grid.over, exposures, kind_weights(facts), unit_reference, reference
    )
    return Panel(row, inside, shares, reference), outside


def first_month(facts: RunFacts) -> int:
    """Month of the first event: what months of counts are counted from."""
    return next(iter(facts.periods.values()))[0].covered_start


def kind_weights(facts: RunFacts) -> Floats:
    """Exposure weights of a run's kinds: (K, M)."""
    kinds = facts.scene.kinds
    return np.array(
        [[kinds[kind].weights.get(one, 0.0) for one in facts.measures] for kind in facts.kinds]
    )


def leaf_references(table: UnitTable, leaves: npt.NDArray[np.int32], level: str | None) -> Ints:
    """Find the reference area of each leaf: its ancestor of the scene's level, 0 the whole map."""
    if level is None or level not in table.levels:
        return np.zeros(len(leaves), np.int64)
    column = table.levels.index(level)
    found = table.ancestors[leaves, column].astype(np.int64)
    # one area compared with itself would always be as expected
    return np.where(found == leaves, 0, found)


def read_leaf_exposures(connection: sa.Connection, run: int, measures: int) -> Floats:
    """Exposures of the leaf units of a run, (M, u)."""
    blob = connection.execute(
        sa.text("select exposures from run_leaf where run_id = :run"), {"run": run}
    ).scalar_one()
    return np.frombuffer(blob, "<f8").reshape(measures, -1)


def store_leaves(
    connection: sa.Connection, run: int, leaves: npt.NDArray[np.int32], exposures: Floats
) -> None:
    """Keep the exposures of the leaf units with a run: `exposures` (M, u)."""
    connection.execute(
        sa.text("insert into run_leaf values (:run, :unit, :exposures)"),
        {
            "run": run,
            "unit": leaves.astype("<i4").tobytes(),
            "exposures": np.ascontiguousarray(exposures, "<f8").tobytes(),
        },
    )


def publish(
    connection: sa.Connection,
    facts: RunFacts,
    table: UnitTable,
    grid: Grid,
    progress: Progress,
) -> None:
    """Assess one resolution of a run and write everything into the open transaction."""
    counts = load(connection, facts.id, grid.res)
    exposures = read_leaf_exposures(connection, facts.id, len(facts.measures))
    panel, outside = make_panel(grid, counts, exposures, facts, table)
    inside = int(panel.counts.events.sum())
    key = {"run": facts.id, "res": grid.res}
    connection.execute(
        sa.text(
            "insert into run_cell (run_id, res, boundary_version_id, digest, cells, inside, "
            "outside, no_point) values (:run, :res, :version, :digest, :cells, :inside, :outside, "
            ":no_point)"
        ),
        {
            **key,
            "version": grid.version_id,
            "digest": grid.digest,
            "cells": len(grid),
            "inside": inside,
            "outside": outside,
            "no_point": facts.event_count - inside - outside,
        },
    )
    writer = _Writer(connection, facts.id, grid)
    areas = np.unique(panel.reference).tolist()
    total = len(facts.periods) * (len(facts.kinds) + 1) * len(grid)
    done = 0
    for period, spans in facts.periods.items():
        bounds = month_bounds(spans, first_month(facts))
        layers: dict[str, tuple[Bytes, Bytes]] = {}
        for area in areas:
            where = np.flatnonzero(panel.reference == area)
            for found in assess_panel(members(panel, where), facts.scene, facts.kinds, bounds):
                progress(f"cells {grid.res}, {period}", done, total)
                writer.rate(int(area), period, found, where)
                if len(areas) == 1:
                    writer.layer(period, found.kind, found.colour, quantise_theta(found.theta))
                else:
                    shape = (len(bounds), len(grid))
                    colour, theta = layers.setdefault(
                        found.kind, (np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))
                    )
                    colour[:, where], theta[:, where] = found.colour, quantise_theta(found.theta)
                done += len(where)
        for kind, (colour, theta) in layers.items():
            writer.layer(period, kind, colour, theta)
    writer.finish()
    cells_own.store(connection, facts, grid, panel, exposures)


def _field(value: bytes) -> bytes:
    return struct.pack(">i", len(value)) + value


class _Writer:
    """Rows of one resolution of a run."""

    def __init__(self, connection: sa.Connection, run: int, grid: Grid) -> None:
        self.connection = connection
        self.run = run
        self.grid = grid
        self.head = (
            struct.pack(">h", 7)
            + _field(struct.pack(">i", run))
            + _field(struct.pack(">h", grid.res))
        )
        self.names = [_field(struct.pack(">q", chunk.chunk)) for chunk in grid.chunks]
        self.rates: list[dict[str, object]] = []
        self.classes: list[dict[str, object]] = []

    def rate(self, area: int, period: str, found: Assessed, where: Ints) -> None:
        """Note what was fitted to the cells at the places `where`."""
        t, i = np.nonzero(found.flags & MARKS)
        marks = np.column_stack([t, where[i], found.flags[t, i] & MARKS]).astype("<i4")
        short = (found.flags & risk.SHORT).any(axis=1)
        self.rates.append(
            {
                "run": self.run,
                "res": self.grid.res,
                "area": area,
                "kind": found.kind,
                "period": period,
                "rate": found.rate.tolist(),
                "alpha": found.alpha.tolist(),
                "short": short.tolist(),
                "marks": marks.tobytes(),
            }
        )

    def layer(self, period: str, kind: str, colour: Bytes, theta: Bytes) -> None:
        """Send the values of one kind and period type, (T, n) each."""
        name = _field(kind.encode()) + _field(period.encode())
        buffer = io.BytesIO()
        buffer.write(b"PGCOPY\n\xff\r\n\0" + b"\0" * 8)
        for t in range(len(colour)):
            head = self.head + name + _field(struct.pack(">h", t))
            for chunk, chunk_name in zip(self.grid.chunks, self.names, strict=True):
                body = colour[t, chunk.slice].tobytes() + theta[t, chunk.slice].tobytes()
                buffer.write(head + chunk_name + _field(body))
            self.classes.append(
                {
                    "run": self.run,
                    "res": self.grid.res,
                    "kind": kind,
                    "period": period,
                    "ord": t,
                    "counts": np.bincount(colour[t], minlength=6).tolist(),
                }
            )
        buffer.write(b"\xff\xff")
        buffer.seek(0)
        with raw(self.connection).cursor() as cursor:
            cursor.copy_expert("copy run_cell_value from stdin (format binary)", buffer)

    def finish(self) -> None:
        """Write the small tables."""
        self.connection.execute(
            sa.text(
                "insert into run_cell_rate values (:run, :res, :area, :kind, :period, :rate, "
                ":alpha, :short, :marks)"
            ),
            self.rates,
        )
        self.connection.execute(
            sa.text(
                "insert into run_cell_class values (:run, :res, :kind, :period, :ord, :counts)"
            ),
            self.classes,
        )


def grids(engine: sa.Engine, table: UnitTable, wanted: Sequence[int] | None = None) -> list[Grid]:
    """Grids to assess together with a run: the resolutions wanted, else those of few cells.

    Raises
    ------
    Invalid
        The shapes of the version cannot be covered by cells.
    """
    if wanted is None:
        with engine.connect() as connection:
            wanted = [
                res
                for res in h3.RESOLUTIONS
                if cells_grid.expected_cells(connection, table.version_id, res) <= WITH_RUN
            ]
    return [cells_grid.ensure(engine, table, res) for res in wanted]


def assess_more(
    engine: sa.Engine, run: int, resolutions: Sequence[int], progress: Progress
) -> dict[int, int]:
    """Assess further resolutions of a published run, from the events it was made of.

    Each resolution appears in one transaction; those that are there stay as they are.

    Returns
    -------
    dict
        Resolution → cells, of those newly made.

    Raises
    ------
    NotFound
        There is no such published run.
    Invalid
        A resolution that is not assessed, or no event of the run has a point.
    """
    unknown = sorted(set(resolutions) - set(h3.RESOLUTIONS))
    if unknown:
        known = ", ".join(map(str, h3.RESOLUTIONS))
        raise Invalid(f"cells of resolution {unknown[0]} are not assessed; there are {known}")
    with engine.connect() as connection:
        facts = run_facts(connection, Caches(), run)
        table = read_units(connection, facts.version_id)
        there = set(
            connection.execute(
                sa.text("select res from run_cell where run_id = :run"), {"run": run}
            ).scalars()
        )
        counted = connection.execute(
            sa.text("select exists (select from run_leaf where run_id = :run)"), {"run": run}
        ).scalar_one()
    if not counted:
        raise Invalid(
            f"run {run} has no events with a point, or is older than cells: assess the map again"
        )
    made = {}
    for res in sorted(set(resolutions) & there):
        _complete(engine, table, run, res)
    for res in sorted(set(resolutions) - there):
        progress(f"cells {res}, the map", 0, 1)
        grid = cells_grid.ensure(engine, table, res)
        with transaction(engine) as connection:
            # held until the end, so that a pruning meanwhile waits and finds everything
            connection.execute(sa.text("select from run where id = :run for share"), {"run": run})
            publish(connection, run_facts(connection, Caches(), run), table, grid, progress)
            announce(connection, run)
        made[res] = len(grid)
    return made


def _complete(engine: sa.Engine, table: UnitTable, run: int, res: int) -> None:
    """Store what single cells need beside a resolution assessed before that was kept."""
    with transaction(engine) as connection:
        if cells_own.stored(connection, run, res):
            return
        facts = run_facts(connection, Caches(), run)
        grid = cells_grid.read(connection, table, res)
        exposures = read_leaf_exposures(connection, run, len(facts.measures))
        panel, _ = make_panel(grid, load(connection, run, res), exposures, facts, table)
        cells_own.store(connection, facts, grid, panel, exposures)


def announce(connection: sa.Connection, run: int) -> None:
    """Tell listeners that there is more to see of a run."""
    note = json.dumps({"run": run, "cells": True})
    connection.execute(sa.text("select pg_notify('wusetu_run', :note)"), {"note": note})
