"""Cells of a jurisdiction that is a part of the map."""

import gzip
import struct
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

AT_ONCE = 1000
Span = tuple[int, int, list[str]]


def upgrade() -> None:
    sql = Path(__file__).parent.parent / "sql" / "0011_scoped_cells.sql"
    connection = op.get_bind()
    connection.exec_driver_sql(sql.read_text(encoding="utf-8").replace("%", "%%"))
    fill_spans(connection)
    unpack_values(connection)


def fill_spans(connection: sa.Connection) -> None:
    """Cut the chunks of the grids there are."""
    keys = connection.execute(
        sa.text("select boundary_version_id as version, res, chunk from cell_grid_part")
    ).all()
    codes: dict[int, dict[int, str]] = {}
    for key in keys:
        if key.version not in codes:
            found = connection.execute(
                sa.text("select id, code from unit where boundary_version_id = :version"),
                {"version": key.version},
            )
            codes = {key.version: {row.id: row.code for row in found}}
        part = connection.execute(
            sa.text(
                "select n, start, unit from cell_grid_part where boundary_version_id = :version "
                "and res = :res and chunk = :chunk"
            ),
            key._asdict(),
        ).one()
        start = struct.unpack(f"<{part.n + 1}i", part.start)
        unit = struct.unpack(f"<{start[-1]}i", part.unit)
        connection.execute(
            sa.text("insert into cell_grid_span values (:version, :res, :chunk, :at, :n, :codes)"),
            [
                {**key._asdict(), "at": at, "n": n, "codes": names}
                for at, n, names in spans(start, unit, codes[key.version])
            ],
        )


def spans(start: tuple[int, ...], unit: tuple[int, ...], codes: dict[int, str]) -> Iterator[Span]:
    """Runs of cells with the same units: place, number, codes."""
    first, before = 0, sorted(unit[start[0] : start[1]])
    for at in range(1, len(start)):
        here = sorted(unit[start[at] : start[at + 1]]) if at < len(start) - 1 else None
        if here != before:
            yield first, at - first, [codes[one] for one in before]
            first, before = at, here or []


def unpack_values(connection: sa.Connection) -> None:
    """Store the values there are as they are, not as gzip."""
    last = None
    key = "run_id, res, kind, period, ord, chunk"
    while True:
        rows = connection.execute(
            sa.text(
                f"select {key}, payload from run_cell_value "  # noqa: S608
                + (
                    f"where ({key}) > (:run_id, :res, :kind, :period, :ord, :chunk) "
                    if last
                    else ""
                )
                + f"order by {key} limit {AT_ONCE}"
            ),
            last or {},
        ).all()
        if not rows:
            return
        connection.execute(
            sa.text(
                "update run_cell_value set payload = :payload where run_id = :run_id and res = :res "
                "and kind = :kind and period = :period and ord = :ord and chunk = :chunk"
            ),
            [{**row._asdict(), "payload": gzip.decompress(row.payload)} for row in rows],
        )
        last = rows[-1]._asdict()
        del last["payload"]
