"""What a side told as a GeoParquet file, and back. Imports pyarrow.

One row per number told. `part` says of what: `exposure` (`measure`, `value` of the side's part of a
cell; null: missing) or `count` (`kind`, `period`, `start`, `events`; `cell` the H3 index of a cell, of
the ancestor several cells were told under, or 0 for the rest of the side). `geometry` is the centre of
`cell`, a WKB point in OGC:CRS84, null for 0. A period told without a row had no event.

Promises: a file says exactly what `SideTold` holds, so both sides compute with the same bits; reading
refuses whatever the terms do not allow, before anything is kept.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import date
from itertools import pairwise
from typing import Any

import h3 as h3lib
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from app.errors import Invalid
from app.services.border_words import checked
from app.services.periods import MONTHS, first_day, month_number
from app.services.treaties import Terms
from app.services.treaty_side import Key, SideTold, day_after
from geo import cells as h3
from geo.hotspots.told import UP, WHOLE, Told, place

#: Largest file and most rows that are read.
MOST_BYTES = 64 * 2**20
MOST_ROWS = 5_000_000
SCHEMA = pa.schema(
    [
        pa.field("part", pa.string(), nullable=False),
        pa.field("cell", pa.string(), nullable=False),
        pa.field("kind", pa.string()),
        pa.field("period", pa.string()),
        pa.field("start", pa.date32()),
        pa.field("events", pa.int64()),
        pa.field("measure", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("geometry", pa.binary()),
    ]
)
#: Read as dictionaries, so that a word is checked once and not written out for every row before.
_WORDS = ["part", "cell", "kind", "period", "measure"]
_LONGEST = 64
_ROWS = 2**16
MOST_PERIODS = 1_200
_GEO = {
    "version": "1.1.0",
    "primary_column": "geometry",
    "columns": {"geometry": {"encoding": "WKB", "geometry_types": ["Point"]}},
}


def write(side: SideTold) -> bytes:
    """File of what a side told; the same for the same numbers."""
    columns: dict[str, list[Any]] = {one: [] for one in SCHEMA.names if one != "geometry"}

    def add(cells: h3.Cells, **values: Any) -> None:
        for name, column in columns.items():
            if name == "cell":
                column.extend(f"{one:x}" for one in cells.tolist())
            else:
                given = values.get(name)
                column.extend(given if isinstance(given, list) else [given] * len(cells))

    for measure in sorted(side.exposures):
        value = side.exposures[measure]
        known: list[float | None] = [None if np.isnan(one) else one for one in value.tolist()]
        add(side.cells, part="exposure", measure=measure, value=known)
    for kind, period, start in sorted(side.told):
        told = side.told[kind, period, start]
        add(
            told.name, part="count", kind=kind, period=period, start=start,
            events=told.events.tolist(),
        )  # fmt: skip
    index = np.array([int(one, 16) for one in columns["cell"]], np.uint64)
    points: npt.NDArray[np.object_] = np.full(len(index), None, dtype=object)
    real = index != WHOLE
    points[real] = shapely.to_wkb(shapely.points(h3.centres(index[real])))
    table = pa.table({**columns, "geometry": pa.array(points.tolist(), pa.binary())}, schema=SCHEMA)
    out = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata({"geo": json.dumps(_GEO)}), out, compression="zstd",
        use_dictionary=["part", "cell", "kind", "period", "measure"],
    )  # fmt: skip
    return out.getvalue()


def read(body: bytes, terms: Terms, about: Mapping[str, Any]) -> SideTold:
    """Read a file strictly.

    Parameters
    ----------
    about : the manifest: side, name, cutoff, simulated, periods, rows

    Raises
    ------
    Invalid
        `detail.reason` is `content`; the message says what is not as agreed.
    """
    table = _table(body, int(about["rows"]))
    part = table["part"].to_numpy(zero_copy_only=False)
    try:
        cell = np.array([int(one, 16) for one in table["cell"].to_pylist()], np.uint64)
    except (ValueError, OverflowError) as error:
        raise _bad("a cell is no H3 index") from error
    exposure, count = part == "exposure", part == "count"
    if not (exposure | count).all():
        raise _bad("a row is neither exposure nor count")
    cells, exposures = _read_exposures(table.filter(pa.array(exposure)), cell[exposure], terms)
    cutoff = date.fromisoformat(about["cutoff"])
    periods = _periods(about["periods"], terms, cutoff)
    told = _read_counts(table.filter(pa.array(count)), cell[count], terms, periods)
    everywhere = np.ones(len(cells))
    for key, one in told.items():
        try:
            place(one, cells, everywhere, terms.resolution, terms.min_count)
        except ValueError as error:
            raise _bad(f"{key[0]}, {key[1]} {key[2]}: {error}") from error
    return SideTold(
        str(about["side"]), _name(str(about["name"])), cutoff,
        bool(about["simulated"]), cells, exposures, periods, told,
    )  # fmt: skip


def _name(text: str) -> str:
    """Name of a side, in words that could be shown to anybody."""
    try:
        found = checked("name", text, 80, needed=True)
    except Invalid as error:
        raise _bad(error.message) from error
    if found != text:
        raise _bad("name: spaces or signs that are written otherwise")
    return found


def _bad(words: str) -> Invalid:
    return Invalid(f"the package is not as agreed: {words}", {"reason": "content"})


def _table(body: bytes, rows: int) -> pa.Table:
    try:
        file = pq.ParquetFile(io.BytesIO(body))
        schema = file.schema_arrow.remove_metadata()
        if not schema.equals(SCHEMA):
            raise _bad(f"columns {', '.join(schema.names)} of other names or types")
        size = sum(
            file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups)
        )
        if file.metadata.num_rows != rows or rows > MOST_ROWS or size > 16 * MOST_BYTES:
            raise _bad(f"{file.metadata.num_rows:,} rows of {size:,} bytes")
        found = _read_words(body)
    except (pa.ArrowException, OSError) as error:
        raise _bad("it is no readable Parquet file") from error
    return found


def _read_words(body: bytes) -> pa.Table:
    """Read all columns but the geometry, which follows from the cells; no word is a long one."""
    file = pq.ParquetFile(io.BytesIO(body), read_dictionary=_WORDS)
    names = [one for one in SCHEMA.names if one != "geometry"]
    wanted = pa.schema([SCHEMA.field(one) for one in names])
    parts = []
    for batch in file.iter_batches(_ROWS, columns=names):
        for name in _WORDS:
            words = batch.column(name).dictionary
            if len(words) and pc.max(pc.binary_length(words)).as_py() > _LONGEST:
                raise _bad(f"a {name} is too long")
        parts.append(batch.cast(wanted))
    return pa.Table.from_batches(parts, schema=wanted)


def _periods(given: Mapping[str, Any], terms: Terms, cutoff: date) -> dict[str, tuple[date, ...]]:
    try:
        found = {
            str(period): tuple(date.fromisoformat(one) for one in starts)
            for period, starts in given.items()
        }
    except (TypeError, ValueError) as error:
        raise _bad("a period does not begin on a day") from error
    if set(found) != set(terms.periods):
        raise _bad(f"periods {', '.join(sorted(found))}, agreed are {', '.join(terms.periods)}")
    for period, starts in found.items():
        if len(starts) > MOST_PERIODS:
            raise _bad(f"more than {MOST_PERIODS:,} of period {period}")
        for start in starts:
            if start != first_day(month_number(start) // MONTHS[period] * MONTHS[period]):
                raise _bad(f"{start} is the first day of no {period}")
        for one, other in pairwise(starts):
            if other != day_after(period, one):
                raise _bad(f"{period}: a gap after {one}")
        if starts and day_after(period, starts[-1]) > cutoff:
            raise _bad(f"{period} {starts[-1]} is not over at {cutoff}")
    return found


def _read_exposures(
    table: pa.Table, cell: h3.Cells, terms: Terms
) -> tuple[h3.Cells, dict[str, npt.NDArray[np.float64]]]:
    measure = table["measure"].to_numpy(zero_copy_only=False)
    value = table["value"].to_numpy(zero_copy_only=False).astype(np.float64)
    cells = np.unique(cell)
    if not len(cells) or ((cells >> np.uint64(52)) & np.uint64(15) != terms.resolution).any():
        raise _bad(f"cells are not of resolution {terms.resolution}")
    if not all(h3lib.is_valid_cell(f"{one:x}") for one in cells.tolist()):
        raise _bad("a cell is no H3 index")
    if np.any(value < 0) or np.any(np.isinf(value)):
        raise _bad("an exposure is negative or infinite")
    found = {}
    for name in terms.measures:
        mine = measure == name
        if not np.array_equal(cell[mine], cells):
            raise _bad(f"exposure {name} is not told once for every cell")
        found[name] = value[mine]
    if len(table) != len(cells) * len(terms.measures):
        raise _bad("exposures beyond those agreed")
    return cells, found


def _read_counts(
    table: pa.Table, cell: h3.Cells, terms: Terms, periods: Mapping[str, tuple[date, ...]]
) -> dict[Key, Told]:
    kind, period, start = (table[one].to_pylist() for one in ("kind", "period", "start"))
    if table["events"].null_count:
        raise _bad("a count is missing")
    events = table["events"].to_numpy().astype(np.int64)
    if len(events) and events.min() < terms.min_count:
        raise _bad(f"a count below {terms.min_count}")
    level = (cell >> np.uint64(52)) & np.uint64(15)
    fits = (cell == WHOLE) | ((level <= terms.resolution) & (level >= terms.resolution - UP))
    if not fits.all():
        raise _bad(
            f"a count of no cell of resolutions {terms.resolution - UP} to {terms.resolution}"
        )
    rows: dict[Key, list[int]] = {
        (one, name, day): []
        for one in terms.kinds
        for name, days in periods.items()
        for day in days
    }
    for at, key in enumerate(zip(kind, period, start, strict=True)):
        if key not in rows:
            raise _bad(f"a count of {key[0]}, {key[1]} {key[2]}, which is not agreed or not told")
        rows[key].append(at)
    found = {}
    for key, places in rows.items():
        names = cell[places]
        if len(names) > 1 and not (names[1:] > names[:-1]).all():
            raise _bad(f"{key[0]}, {key[1]} {key[2]}: cells are not told once and in order")
        found[key] = Told(names, events[places], 0)
    return found
