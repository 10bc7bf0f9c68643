"""References that several parts of a bulk job share. Imports the job's rooms; no database.

A part sees only itself. Here the parts are compared: an explicit reference stays with its first row
(by part, then row) and the others are refused, as in an import of one file; a reference made of the
content counts on from the parts before it in the same file, and a row that an earlier file of the
job had already is refused. Promises: memory is bounded by the bucket of hashes compared at once; a
hash decides nothing, texts do; finished parts stay as they are, a changed copy stands beside them.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from app.services import bulk_jobs, event_persons
from app.services.bulk_jobs import Job
from app.services.bulk_parts import CONTENT, write_part
from app.services.event_files import Broken, quiet
from app.services.events import REJECT_COLUMNS
from geo.binning import LOCATED_BY

#: hashes compared at once, 16 bytes each
_BUCKET = 8_000_000


@dataclass(frozen=True)
class _Change:
    """Lines of a part to refuse, and new references of others."""

    drop: set[int]
    rename: dict[int, str]


def settle(job: Job) -> None:
    """Settle the references of all parts, which must be done; harmless to repeat."""
    if job.settled() is not None:
        return
    shutil.rmtree(job.folder / "settled", ignore_errors=True)
    # what killed workers left
    for path in (job.folder / "parts").glob(".*"):
        shutil.rmtree(path, ignore_errors=True)
    changes = _changes(job)
    for number, change in sorted(changes.items()):
        _rewrite(job, number, change)
    told = json.dumps({"parts": sorted(changes)})
    bulk_jobs.write_file(job.folder / "settled.json", told.encode())


def _shared(job: Job) -> dict[int, list[int]]:
    """Lines whose hash stands in more than one part, or again in one, by part."""
    keys = [
        np.load(job.folder / "parts" / f"{part.number:05}" / "keys.npy", mmap_mode="r")
        for part in job.parts
    ]
    total = sum(map(len, keys))
    buckets = max(1, -(-total // _BUCKET))
    width = (1 << 64) // buckets
    found: dict[int, list[int]] = {}
    for bucket in range(buckets):
        low = np.uint64(bucket * width)
        high = np.uint64((bucket + 1) * width) if bucket + 1 < buckets else None
        hashes, lines, part = [], [], []
        for number, one in enumerate(keys):
            a = int(np.searchsorted(one["key"], low))
            b = len(one) if high is None else int(np.searchsorted(one["key"], high))
            hashes.append(np.asarray(one["key"][a:b]))
            lines.append(np.asarray(one["line"][a:b]))
            part.append(np.full(b - a, number, dtype=np.uint32))
        every = np.concatenate(hashes)
        order = np.argsort(every, kind="stable")
        every = every[order]
        again = np.zeros(len(every), dtype=bool)
        again[1:] = every[1:] == every[:-1]
        if not again.any():
            continue
        both = again.copy()
        both[:-1] |= again[1:]
        at = order[both]
        where, line = np.concatenate(part)[at], np.concatenate(lines)[at]
        for number in np.unique(where).tolist():
            found.setdefault(number, []).extend(line[where == number].tolist())
    return found


def _changes(job: Job) -> dict[int, _Change]:
    derived = job.mapping.columns.reference is None
    frames = []
    for number, lines in _shared(job).items():
        folder = job.folder / "parts" / f"{number:05}"
        rows = pa.concat_tables(
            pa.parquet.read_table(folder / f"{name}.parquet", columns=["reference", "line"])
            for name in ("events", "nowhere")
        )
        rows = rows.filter(pc.is_in(rows["line"], value_set=pa.array(lines, pa.int64())))
        frames.append(
            pd.DataFrame(
                {
                    "part": number,
                    "input": job.parts[number].input,
                    "line": rows["line"].to_numpy(),
                    "text": rows["reference"].to_pylist(),
                }
            )
        )
    if not frames:
        return {}
    every = pd.concat(frames, ignore_index=True).sort_values(["part", "line"])
    every["old"] = every["text"]
    if derived:
        every["text"] = every["text"].str.slice(0, CONTENT)
        # how many of one file, and how many any file before had
        every["ordinal"] = every.groupby(["text", "input"]).cumcount() + 1
        most = every.groupby(["text", "input"])["ordinal"].max()
        before = most.groupby(level=0).transform(lambda s: s.cummax().shift(fill_value=0))
        every = every.join(before.rename("before"), on=["text", "input"])
        every["drop"] = every["ordinal"] <= every["before"]
        every["new"] = every["text"] + "-" + every["ordinal"].astype(str)
    else:
        every["drop"] = every.duplicated("text", keep="first")
        every["new"] = every["old"]
    changed = every[every["drop"] | (every["new"] != every["old"])]
    result = {}
    for part, frame in changed.groupby("part"):
        kept = frame[~frame["drop"]]
        result[int(str(part))] = _Change(
            set(frame.loc[frame["drop"], "line"].tolist()),
            dict(zip(kept["line"].tolist(), kept["new"].tolist(), strict=True)),
        )
    return result


def _rewrite(job: Job, number: int, change: _Change) -> None:
    source = job.folder / "parts" / f"{number:05}"
    table = pa.parquet.read_table(source / "events.parquet")
    table = table.select([n for n in table.column_names if not n.startswith("h3_")])
    nowhere = pa.parquet.read_table(source / "nowhere.parquet")
    column = job.mapping.columns.reference
    text = "an earlier row of this job has the same reference"
    if column is None:
        text = "an earlier file of this job has the same row"
    refused = [Broken(*one) for one in orjson.loads((source / "rejects.json").read_bytes())]
    # a repeated row is not located: what that found does not count
    refused = [b for b in refused if b.line not in change.drop]
    drop = pa.array(sorted(change.drop), pa.int64())
    for rows in (table, nowhere):
        again = rows.filter(pc.is_in(rows["line"], value_set=drop))
        for line, name in zip(
            again["line"].to_pylist(), again["reference"].to_pylist(), strict=True
        ):
            value = event_persons.shown(name) if column else ""
            refused.append(Broken(line, column or "", value, "repeated_reference", text))
    lines = table["line"].to_pylist()
    names = table["reference"].to_pylist()
    names = [change.rename.get(line, name) for line, name in zip(lines, names, strict=True)]
    at = table.schema.get_field_index("reference")
    table = table.set_column(at, "reference", pa.array(names, pa.string()))
    table = table.filter(pc.invert(pc.is_in(table["line"], value_set=drop))).combine_chunks()
    nowhere = nowhere.filter(pc.invert(pc.is_in(nowhere["line"], value_set=drop)))
    body: dict[str, Any] = json.loads((source / "part.json").read_text(encoding="utf-8"))
    del body["sha256"]
    body |= {"good": len(table), "rejected": len(refused)}
    by = np.bincount(table["located"].to_numpy(), minlength=len(LOCATED_BY)).tolist()
    body["located"] = {k: n for k, n in zip(LOCATED_BY, by, strict=True) if n}
    level = np.bincount(
        job.place.rank[table["unit"].to_numpy()] + 1, minlength=len(job.place.levels) + 1
    )
    named = zip(("none", *job.place.levels), level.tolist(), strict=True)
    body["levels"] = {k: n for k, n in named if n}
    body["mismatch"] = int(pc.sum(table["mismatch"]).as_py() or 0)
    known = job.place.units_of_codes(table["code"].combine_chunks()) > 0
    body["compared"] = int((known & np.isfinite(table["lon"].to_numpy())).sum())
    refused.sort(key=lambda b: b.line)
    write_part(
        job, job.folder / "settled" / f"{number:05}", table, nowhere, refused=refused, body=body
    )


def rejects(job: Job) -> Iterator[tuple[str, Broken]]:
    """Every refused row with the name of its file, in order."""
    for part in job.parts:
        path = job.at(part.number) / "rejects.json"
        for one in orjson.loads(path.read_bytes()):
            yield job.inputs[part.input].name, Broken(*one)


def write_rejects(job: Job) -> None:
    """Write all refused rows of a settled job into `rejects.csv`."""
    new = job.folder / ".rejects.csv"
    with new.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", *REJECT_COLUMNS))
        for name, b in rejects(job):
            writer.writerow((name, b.line, b.column, quiet(b.value), b.reason, b.text))
    new.replace(job.folder / "rejects.csv")
