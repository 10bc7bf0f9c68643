"""Questions about the assessed cells of a run: which there are, their values, how many of each class.

What a single cell's numbers follow from is in `cells_explain`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.api.models import (
    COLOURS,
    CellChunk,
    CellCounts,
    CellInfo,
    ClassCount,
    Period,
)
from app.errors import NotFound
from app.services.caches import Caches
from app.services.cells_grid import Places, places
from app.services.runs import RunFacts, run_facts
from app.services.units import unit_table
from geo import cells as h3
from tiles import cells as cell_tiles


@dataclass(frozen=True)
class CellLayerKey:
    """One layer of cells: a resolution in one period, seen by one kind (or `overall`)."""

    res: int
    kind: str
    period: Period
    ord: int


def tile_address(digest: str) -> str:
    """Address template of the tiles of a grid."""
    return f"/tiles/cells/{digest}/{{z}}/{{x}}/{{y}}.mvt"


def layers(connection: sa.Connection, caches: Caches, run: int) -> list[CellInfo]:
    """Resolutions a run is assessed at that have a cell the asker may see, coarse first.

    There are none when no event has a point.
    """
    found = connection.execute(
        sa.text(
            "select res, digest, total.inside, total.outside, total.no_point from run_cell "
            "left join run_cell_totals as total using (run_id, res) where run_id = :run order by res"
        ),
        {"run": run},
    ).all()
    own = {row.res: int(places(connection, caches, row.digest).own.sum()) for row in found}
    rows = [row for row in found if own[row.res]]
    shown = cell_tiles.ranges([row.res for row in rows])
    return [
        CellInfo(
            res=row.res,
            count=own[row.res],
            tiles=tile_address(row.digest),
            min_zoom=shown[row.res].low,
            max_zoom=shown[row.res].high,
            tiles_min_zoom=cell_tiles.native(row.res).low,
            tiles_max_zoom=cell_tiles.native(row.res).high,
            inside=row.inside,
            outside=row.outside,
            no_point=row.no_point,
        )
        for row in rows
    ]


def digest_of(connection: sa.Connection, facts: RunFacts, res: int) -> str:
    """Digest of the grid of a resolution of a run.

    Raises
    ------
    NotFound
        The run has no cells of that resolution.
    """
    digest = connection.execute(
        sa.text("select digest from run_cell where run_id = :run and res = :res"),
        {"run": facts.id, "res": res},
    ).scalar_one_or_none()
    if digest is None:
        known = connection.execute(
            sa.text("select res from run_cell where run_id = :run order by res"), {"run": facts.id}
        ).scalars()
        there = ", ".join(map(str, known)) or "none"
        raise NotFound(f"run {facts.id} has no cells of resolution {res}; there are {there}")
    return str(digest)


def chunks(connection: sa.Connection, caches: Caches, run: int, res: int) -> list[CellChunk]:
    """Chunks of a run's cells with their bounds.

    Raises
    ------
    NotFound
        No such run or resolution.
    """
    facts = run_facts(connection, caches, run)
    grid = places(connection, caches, digest_of(connection, facts, res))
    at = h3.centres(grid.cells)
    # a cell reaches beyond its centre
    reach = math.degrees(math.sqrt(h3.area_km2(float(at[0, 0]), float(at[0, 1]), res)) / 6371)
    found = []
    for chunk in grid.chunks:
        part = at[chunk.slice][grid.own[chunk.slice]]
        if not len(part):
            continue
        wide = reach / max(0.1, math.cos(math.radians(float(np.abs(part[:, 1]).max()))))
        found.append(
            CellChunk(
                chunk=f"{chunk.chunk:x}",
                first_id=chunk.first + 1,
                count=chunk.n,
                bounds=(
                    round(float(part[:, 0].min()) - wide, 5),
                    round(float(part[:, 1].min()) - reach, 5),
                    round(float(part[:, 0].max()) + wide, 5),
                    round(float(part[:, 1].max()) + reach, 5),
                ),
            )
        )
    return found


def values(
    connection: sa.Connection, caches: Caches, run: int, layer: CellLayerKey, chunk: int
) -> bytes:
    """Payload of one chunk: colours, then relative risks, in the order of its cells.

    Cells the asker may not see whole are 0, as cells without data; the database makes them so.

    Raises
    ------
    NotFound
        No such run, resolution, kind, period or chunk.
    """
    facts = run_facts(connection, caches, run)
    facts.kind(layer.kind)
    facts.span(layer.period, layer.ord)
    found = connection.execute(
        sa.text("select own_values(:run, :res, :kind, :period, :ord, cast(:chunk as bigint))"),
        {"run": run, "chunk": chunk, **vars(layer)},
    ).scalar_one_or_none()
    if found is None:
        digest_of(connection, facts, layer.res)
        raise NotFound(f"run {run} has no cells of resolution {layer.res} in {chunk:x}")
    return bytes(found)


def coloured(
    connection: sa.Connection, caches: Caches, run: int, layer: CellLayerKey
) -> npt.NDArray[np.uint8]:
    """Colours and relative risks of all cells of a layer, (2, n) in the order of the grid.

    Cells the asker may not see are 0, as in `values`.

    Raises
    ------
    NotFound
        No such run, resolution, kind or period.
    """
    facts = run_facts(connection, caches, run)
    facts.kind(layer.kind)
    facts.span(layer.period, layer.ord)
    grid = places(connection, caches, digest_of(connection, facts, layer.res))
    return _values(connection, grid, run, layer)


def _colours(
    connection: sa.Connection, grid: Places, run: int, layer: CellLayerKey
) -> npt.NDArray[np.uint8]:
    """Colours of all cells of a layer, (n,); 0 for those the asker may not see."""
    colour: npt.NDArray[np.uint8] = _values(connection, grid, run, layer)[0]
    return colour


def _values(
    connection: sa.Connection, grid: Places, run: int, layer: CellLayerKey
) -> npt.NDArray[np.uint8]:
    """Colours and relative risks, (2, n); 0 for those the asker may not see."""
    found = np.zeros((2, len(grid.cells)), np.uint8)
    place = {chunk.chunk: chunk for chunk in grid.chunks}
    rows = connection.execute(
        sa.text(
            "select chunk, own_values(:run, :res, :kind, :period, :ord, chunk) as payload "
            "from cell_grid_part where boundary_version_id = :version and res = :res"
        ),
        {"run": run, "version": grid.version_id, **vars(layer)},
    )
    for row in rows:
        if row.payload is not None:
            chunk = place[row.chunk]
            found[:, chunk.slice] = np.frombuffer(row.payload, np.uint8).reshape(2, chunk.n)
    return found


def counts(
    connection: sa.Connection,
    caches: Caches,
    run: int,
    layer: CellLayerKey,
    within: str | None = None,
) -> CellCounts:
    """Cells of each class; `within`: those that belong to a unit, by the greatest part.

    Only cells the asker may see are counted.

    Raises
    ------
    NotFound
        No such run, resolution, kind, period or unit.
    """
    facts = run_facts(connection, caches, run)
    facts.kind(layer.kind)
    span = facts.span(layer.period, layer.ord)
    grid = places(connection, caches, digest_of(connection, facts, layer.res))
    before: npt.NDArray[np.int64] | None = None
    earlier = CellLayerKey(layer.res, layer.kind, layer.period, layer.ord - 1)
    code = None
    if within is None and grid.everything:
        rows = connection.execute(
            sa.text(
                "select ord, counts from run_cell_class where run_id = :run and res = :res "
                "and kind = :kind and period = :period and ord between :ord - 1 and :ord"
            ),
            {"run": run, **vars(layer)},
        )
        by_ord = {row.ord: np.array(row.counts) for row in rows}
        now, before = by_ord[layer.ord], by_ord.get(layer.ord - 1)
    else:
        mine = grid.own
        if within is not None:
            table = unit_table(connection, caches, facts.version_id)
            scope = table.find(within)
            code = table.codes[scope - 1]
            mine = mine & (table.ancestors[grid.owner, table.level_of[scope - 1]] == scope)
        now = np.bincount(_colours(connection, grid, run, layer)[mine], minlength=6)
        if layer.ord:
            before = np.bincount(_colours(connection, grid, run, earlier)[mine], minlength=6)
    return CellCounts(
        run=run,
        res=layer.res,
        kind=layer.kind,
        period=layer.period,
        start=span.start,
        within=code,
        counts=[
            ClassCount(
                colour=colour,
                count=int(now[i]),
                change=int(now[i] - before[i]) if before is not None else None,
            )
            for i, colour in enumerate(COLOURS)
        ],
    )
