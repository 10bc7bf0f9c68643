"""What the numbers of one cell follow from, kept cell by cell so that the database can guard it.

The web reads single cells through the function `own_cell`, which looks at the claimed jurisdiction:
whoever may not see all units of a cell gets nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.errors import NotFound
from app.services.cells_grid import Grid
from app.services.runs import RunFacts
from app.services.scenes import OVERALL

if TYPE_CHECKING:
    from app.services.cells_assess import Panel

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.void]

PERIODS = ("month", "quarter", "year")
COUNT = np.dtype([("kind", "u1"), ("month", "<u2"), ("events", "<u4")])
MARK = np.dtype([("kind", "u1"), ("period", "u1"), ("ord", "<u2"), ("bits", "u1")])


@dataclass(frozen=True, eq=False)
class OwnCell:
    """One cell: shares (K,), exposures (M,), its counts and its marks as rows."""

    shares: Floats
    exposures: Floats
    counts: Rows
    marks: Rows

    def marks_of(self, kind: int, period: str) -> Rows:
        """Return the marks of one kind (the number of kinds: overall) and period type."""
        mine = (self.marks["kind"] == kind) & (self.marks["period"] == PERIODS.index(period))
        found: Rows = self.marks[mine]
        return found


def store(
    connection: sa.Connection, facts: RunFacts, grid: Grid, panel: Panel, exposures: Floats
) -> None:
    """Keep the cells of a resolution whose rates are stored; `exposures` (M, u) of the leaves."""
    size = len(grid)
    spread = np.array([grid.over.spread(row) for row in exposures]).reshape(-1, size)
    measured = np.concatenate([panel.shares, spread]).T
    counts = np.empty(len(panel.row), COUNT)
    for name in COUNT.names or ():
        counts[name] = getattr(panel.counts, name)
    marked, marks = _marks(connection, facts, grid.res)
    count_at = np.searchsorted(panel.row, np.arange(size + 1))
    mark_at = np.searchsorted(marked, np.arange(size + 1))
    rows = []
    for chunk in grid.chunks:
        edges = slice(chunk.first, chunk.first + chunk.n + 1)
        rows.append(
            {
                "run": facts.id,
                "res": grid.res,
                "chunk": chunk.chunk,
                "shares": np.ascontiguousarray(measured[chunk.slice], "<f8").tobytes(),
                **_cut("count", counts, count_at[edges]),
                **_cut("mark", marks, mark_at[edges]),
            }
        )
    connection.execute(
        sa.text(
            "insert into run_cell_own values (:run, :res, :chunk, :shares, :count_at, :counts, "
            ":mark_at, :marks)"
        ),
        rows,
    )


def _cut(name: str, rows: Rows, edges: npt.NDArray[np.integer]) -> dict[str, bytes]:
    first, last = int(edges[0]), int(edges[-1])
    return {
        f"{name}_at": (edges - first).astype("<i4").tobytes(),
        f"{name}s": rows[first:last].tobytes(),
    }


def _marks(
    connection: sa.Connection, facts: RunFacts, res: int
) -> tuple[npt.NDArray[np.int64], Rows]:
    """Place of each mark of a resolution, ascending, and the marks."""
    kinds = (*facts.kinds, OVERALL)
    places, parts = [np.zeros(0, np.int64)], [np.zeros(0, MARK)]
    for row in connection.execute(
        sa.text("select kind, period, marks from run_cell_rate where run_id = :run and res = :res"),
        {"run": facts.id, "res": res},
    ):
        triples = np.frombuffer(row.marks, "<i4").reshape(-1, 3)
        part = np.empty(len(triples), MARK)
        part["kind"], part["period"] = kinds.index(row.kind), PERIODS.index(row.period)
        part["ord"], part["bits"] = triples[:, 0], triples[:, 2]
        parts.append(part)
        places.append(triples[:, 1].astype(np.int64))
    place, rows = np.concatenate(places), np.concatenate(parts)
    order = np.lexsort((rows["ord"], rows["kind"], rows["period"], place))
    return place[order], rows[order]


def stored(connection: sa.Connection, run: int, res: int) -> bool:
    """Whether the cells of a resolution are kept one by one."""
    found = connection.execute(
        sa.text("select exists (select from run_cell_own where run_id = :run and res = :res)"),
        {"run": run, "res": res},
    ).scalar_one()
    return bool(found)


def read(connection: sa.Connection, facts: RunFacts, res: int, chunk: int, place: int) -> OwnCell:
    """Read the cell at a place of a chunk, from 0.

    Raises
    ------
    NotFound
        The database does not give it to who asks, or the run is older than single cells.
    """
    row: Any = connection.execute(
        sa.text("select * from own_cell(:run, :res, :chunk, :place)"),
        {"run": facts.id, "res": res, "chunk": chunk, "place": place},
    ).one_or_none()
    if row is None:
        raise NotFound(
            f"run {facts.id} keeps no single cells of resolution {res}: "
            f"`wusetu cells assess --res {res}` adds them"
        )
    numbers = np.frombuffer(row.shares, "<f8")
    kinds = len(facts.kinds)
    return OwnCell(
        numbers[:kinds],
        numbers[kinds:],
        np.frombuffer(row.counts, COUNT),
        np.frombuffer(row.marks, MARK),
    )
