"""The work of a bulk job on one part: read, check, locate, write. The same for every engine.

Imports the rooms of events, `geo.binning` and `geo.cube`; no database, and no Spark either:
`run_batches` takes and gives Arrow batches, which is what an in-process loop and `mapInArrow` both
call. Promises: what is written depends on the job alone, byte for byte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from app.errors import WusetuError
from app.services import bulk_jobs
from app.services.bulk_files import open_part
from app.services.bulk_jobs import Job
from app.services.event_files import Broken
from app.services.event_places import locate_rows
from app.services.event_rows import RowChecker
from app.services.event_store import EVENTS
from app.services.events import events_table
from geo.binning import LOCATED_BY, BinSpec, tile_keys
from geo.cube.columns import Columns

BATCH = 65_536
#: a batch of work, and what comes back
TASKS = pa.schema([pa.field("job", pa.string()), pa.field("part", pa.int32())])
RESULTS = pa.schema(
    [
        pa.field("part", pa.int32()),
        pa.field("rows", pa.int64()),
        pa.field("rejected", pa.int64()),
        pa.field("error", pa.string()),
    ]
)
#: length of a reference made of the content, without its ordinal
CONTENT = len("content-") + 24


def run_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Do the parts named by batches of `TASKS`; one row of `RESULTS` each.

    An error the user can mend comes back in its row; the parts after it are not begun.
    """
    for batch in batches:
        for folder, number in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            error, body = None, {"rows": 0, "rejected": 0}
            try:
                body = do_part(_opened(folder), number)
            except WusetuError as problem:
                error = problem.message
            row = [[number], [body["rows"]], [body["rejected"]], [error]]
            arrays = [pa.array(v, f.type) for v, f in zip(row, RESULTS, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=RESULTS)
            if error is not None:
                return


@lru_cache(maxsize=2)
def _opened(folder: str) -> Job:
    return bulk_jobs.open_job(folder)


def do_part(job: Job, number: int) -> dict[str, Any]:
    """Read, check, locate and write one part; what is said about it.

    Raises
    ------
    WusetuError
        The input cannot be read, or the job is damaged.
    """
    part = job.parts[number]
    feed = open_part(job.inputs[part.input], part, job.wanted, job.unpacked(part.input))
    place = job.place
    checker = RowChecker(job.mapping, feed.point, place.layout, list(job.kinds), job.now)
    tally: Counter[str] = Counter()
    located_by: Counter[str] = Counter()
    levels: Counter[str] = Counter()
    tables: list[pa.Table] = []
    nowhere: list[pa.Table] = []
    refused: list[Broken] = []
    for chunk in feed.chunks(BATCH):
        checked, broken = checker.check(chunk)
        rows, located, lost = locate_rows(checked, place, job.mapping)
        gone = pa.array(~np.isin(checked.lines, rows.lines))
        nowhere.append(
            pa.table({"reference": checked.reference, "line": checked.lines}).filter(gone)
        )
        refused += sorted([*broken, *lost], key=lambda b: b.line)
        tables.append(events_table(rows, located).append_column("line", pa.array(rows.lines)))
        by = np.bincount(located.by, minlength=len(LOCATED_BY))
        located_by.update(dict(zip(LOCATED_BY, by.tolist(), strict=True)))
        level = np.bincount(place.rank[located.unit] + 1, minlength=len(place.levels) + 1)
        levels.update(dict(zip(("none", *place.levels), level.tolist(), strict=True)))
        tally.update(compared=int(located.both.sum()), mismatch=int(located.mismatch.sum()))
    empty = [f.type for f in EVENTS] + [pa.int64()]
    names = [*EVENTS.names, "line"]
    table = pa.concat_tables(
        [pa.table([pa.array([], t) for t in empty], names=names), *tables]
    ).combine_chunks()
    del tables
    body = {
        **part.body(),
        "good": len(table),
        "rejected": len(refused),
        "compared": tally["compared"],
        "mismatch": tally["mismatch"],
        "located": {k: n for k, n in located_by.items() if n},
        "levels": {k: n for k, n in levels.items() if n},
    }
    lost_rows = pa.concat_tables([table.select(["reference", "line"]).slice(0, 0), *nowhere])
    folder = job.folder / "parts" / f"{number:05}"
    write_part(job, folder, table, lost_rows.combine_chunks(), refused=refused, body=body)
    return body


def write_part(
    job: Job,
    folder: Path,
    table: pa.Table,
    nowhere: pa.Table,
    *,
    refused: list[Broken],
    body: dict[str, Any],
) -> None:
    """Write the files of a part: all or nothing.

    Parameters
    ----------
    table : located events, columns of `EVENTS` and `line`
    nowhere : `reference` and `line` of rows that were good but lead nowhere: their references count
    """
    derived = job.mapping.columns.reference is None

    def write(new: Path) -> None:
        pa.parquet.write_table(
            _with_cells(table, job.spec), new / "events.parquet", compression="zstd",
            compression_level=1, use_dictionary=["kind"], write_statistics=False,
        )  # fmt: skip
        write_cube(cube_table(table, job.kinds), new / "cube.arrow")
        every = pa.concat_tables([table.select(["reference", "line"]), nowhere])
        np.save(new / "keys.npy", reference_keys(every, derived))
        pa.parquet.write_table(nowhere, new / "nowhere.parquet")
        lines = [[b.line, b.column, b.value, b.reason, b.text] for b in refused]
        (new / "rejects.json").write_bytes(orjson.dumps(lines))
        digests = {name: bulk_jobs.file_digest(new / name) for name in bulk_jobs.FILES}
        told = orjson.dumps({**body, "sha256": digests}, option=orjson.OPT_SORT_KEYS)
        (new / "part.json").write_bytes(told)

    bulk_jobs.publish(folder, write)


def _with_cells(table: pa.Table, spec: BinSpec) -> pa.Table:
    """Events with the H3 cells that were asked for."""
    if not spec.h3:
        return table
    from geo.cells import cells

    lon, lat = table["lon"].to_numpy(), table["lat"].to_numpy()
    for resolution in spec.h3:
        column = pa.array(cells(lon, lat, resolution), pa.uint64())
        table = table.append_column(f"h3_{resolution}", column)
    return table


def cube_table(table: pa.Table, kinds: tuple[str, ...]) -> pa.Table:
    """Take what the count cube needs, by tile, kind and time; ties as in the part."""
    lon, lat = table["lon"].to_numpy(), table["lat"].to_numpy()
    tile, _ = tile_keys(lon, lat)
    kind = pc.index_in(table["kind"], value_set=pa.array(kinds, pa.string()))
    columns = {
        "tile": tile,
        "kind": kind.to_numpy().astype(np.uint8),
        # whole seconds, a fraction cut off downward
        "time": table["occurred_at"].to_numpy().astype("datetime64[s]").astype(np.int64),
        "unit": table["unit"].to_numpy(),
        "located": table["located"].to_numpy(),
        "lon": lon,
        "lat": lat,
    }
    order = np.lexsort((columns["time"], columns["kind"], tile))
    return pa.table({name: pa.array(column[order]) for name, column in columns.items()})


def write_cube(table: pa.Table, path: Path) -> None:
    """Write a cube part; it can be memory-mapped."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def read_cube(path: Path) -> Columns:
    """Read a cube part."""
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
        return Columns(
            **{n: table[n].to_numpy() for n in ("lon", "lat", "time", "kind", "unit", "located")}
        )


def reference_keys(rows: pa.Table, derived: bool) -> npt.NDArray[np.void]:
    """Hash of every reference (without its ordinal when derived) and its line, sorted."""
    text = rows["reference"]
    text = pc.utf8_slice_codeunits(text, 0, CONTENT) if derived else text
    hashes = pd.util.hash_array(text.to_numpy(), categorize=False)
    lines = rows["line"].to_numpy()
    order = np.lexsort((lines, hashes))
    keys = np.empty(len(hashes), dtype=[("key", "<u8"), ("line", "<i8")])
    keys["key"], keys["line"] = hashes[order], lines[order]
    return keys
