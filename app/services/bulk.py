"""Bulk imports: files → parts on disk (here or on Spark) → events in the database.

Imports the rooms of the job and the database. Promises: the first step needs the database only to
copy the boundaries, so its parts can be made anywhere; an interrupted job goes on with the parts
that are missing; a part is adopted in one transaction, once, and adopting again changes nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import sqlalchemy as sa

from app.errors import Conflict, Invalid
from app.services import bulk_jobs
from app.services.boundaries import newest_version
from app.services.bulk_files import PART_ROWS, clear, cut, expand, unpack
from app.services.bulk_jobs import Job
from app.services.bulk_parts import TASKS, read_cube, run_batches
from app.services.bulk_settle import settle, write_rejects
from app.services.event_fresh import FreshRows
from app.services.event_mapping import EventMapping, load_mapping, parse_mapping
from app.services.event_places import open_place
from app.services.event_store import EVENTS, EventStore
from app.services.events import Progress, check_source
from geo.cube.columns import Columns

ENGINES = ("local", "spark")
_WRITERS = 2


@dataclass
class BulkReport:
    """What a job found; `located` and `levels` count good rows."""

    source: str
    version: str
    parts: int = 0
    rows: int = 0
    good: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    located: Counter[str] = field(default_factory=Counter)
    levels: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    mismatch: int = 0
    reused: int = 0


@dataclass
class AdoptReport:
    """What adopting did; `skipped` parts had been adopted before."""

    source: str
    pack: str
    parts: int = 0
    skipped: int = 0
    new: int = 0
    updated: int = 0
    unchanged: int = 0


def prepare(
    engine: sa.Engine,
    inputs: Sequence[str | Path],
    folder: str | Path,
    *,
    pack: str,
    mapping: str | Path | dict[str, Any] | EventMapping,
    source: str | None = None,
    h3: Sequence[int] = (),
    part_rows: int = PART_ROWS,
    now: datetime | None = None,
    cache_folder: str | Path | None = None,
) -> Job:
    """Make a job, or open the same one again; nothing of the inputs is located yet.

    Parameters
    ----------
    engine : sa.Engine
    inputs : paths or URLs of GeoParquet, Parquet and CSV (also gzip) files, or folders of them
    folder : folder of the job; for Spark one that every worker sees under this path
    pack : series of boundaries to locate in; its newest version is used
    mapping : see `event_mapping.load_mapping`
    source : name of the feed instead of the mapping's own
    h3 : resolutions of cells to write beside each event
    part_rows : rows per part, at least 1
    now : the present (events later than a day ahead are refused)
    cache_folder : where the locate index is kept

    Raises
    ------
    NotFound, Invalid, Conflict, Unavailable
        An input, the mapping, the pack or the folder cannot be used.
    """
    if part_rows < 1:
        raise Invalid(f"a part has at least one row, not {part_rows}")
    wrong = [resolution for resolution in h3 if not 0 <= resolution <= 15]
    if wrong:
        raise Invalid(f"H3 has no resolution {wrong[0]}: 0 to 15")
    chosen = load_mapping(mapping)
    if source is not None:
        chosen = parse_mapping({**chosen.body(), "source": source})
    wanted = bulk_jobs.wanted_of(chosen)
    kinds = chosen.allowed_kinds()
    with engine.connect() as connection:
        place = open_place(connection, pack, cache_folder)
        check_source(connection, pack, chosen)
    files: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for url in expand(inputs):
        file, its = cut(url, wanted, part_rows)
        for part in its:
            parts.append({**part.body(), "input": len(files), "number": len(parts)})
        files.append(asdict(file))
    version = bulk_jobs.version_body(place.version)
    body = {
        "format": bulk_jobs.FORMAT,
        "mapping": chosen.body(),
        "pack": pack,
        "version": {name: version[name] for name in ("id", "label", "digest")},
        "kinds": kinds,
        "h3": sorted(set(h3)),
        "now": (now or datetime.now(UTC)).isoformat(),
        "inputs": files,
        "parts": parts,
    }
    return bulk_jobs.create(Path(folder), body, place)


def run(
    job: Job,
    *,
    engine: str = "local",
    jobs: int = 1,
    master: str = "local[*]",
    progress: Callable[[Progress], None] | None = None,
) -> BulkReport:
    """Do the parts of a job that are missing, then settle repeated references.

    Parameters
    ----------
    job : Job
    engine : `local` or `spark`
    jobs : processes of the local engine; 1: this one alone
    master : of Spark
    progress : called after each part

    Raises
    ------
    Invalid, NotFound, Unavailable
        An input cannot be read as a whole, or the engine is not there; the parts finished so far
        stay, and the same call goes on with the others.
    """
    if engine not in ENGINES:
        raise Invalid(f"engine {engine!r} is none: {', '.join(ENGINES)}")
    total = sum(part.rows for part in job.parts)
    there = {part.number: job.done(part.number) for part in job.parts}
    missing = [number for number, body in there.items() if body is None]
    reused = len(there) - len(missing)
    rows = sum(body["rows"] for body in there.values() if body)
    rejected = sum(body["rejected"] for body in there.values() if body)
    damaged = [n for n in job.settled() or () if job.done(n, settled=True) is None]
    if missing or damaged:
        # settled anew, from the parts
        (job.folder / "settled.json").unlink(missing_ok=True)
    # here and once: workers share the job's folder
    for number in sorted({job.parts[one].input for one in missing}):
        unpack(job.inputs[number], job.unpacked(number))
    results = _spark(job, missing, master) if engine == "spark" else _local(job, missing, jobs)
    for number, its_rows, its_rejected, error in results:
        if error is not None:
            raise Invalid(f"part {number}: {error}")
        rows, rejected = rows + its_rows, rejected + its_rejected
        if progress:
            progress(Progress(rows, total, rejected))
    settle(job)
    write_rejects(job)
    clear(job.unpacked(0).parent)
    return report(job, reused)


Result = tuple[int, int, int, str | None]


def _spark(job: Job, numbers: list[int], master: str) -> Iterator[Result]:
    from app.services.bulk_spark import check_java, check_pyspark, run_spark

    check_java()
    check_pyspark()
    if numbers:
        yield from run_spark(job.folder, numbers, master)


def _local(job: Job, numbers: list[int], jobs: int) -> Iterator[Result]:
    if jobs <= 1 or len(numbers) <= 1:
        for number in numbers:
            yield from _tasks(str(job.folder), number)
        return
    # spawned: a fork would share threads and connections of this process
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting: list[Future[list[Result]]] = [
            pool.submit(_tasks, str(job.folder), number) for number in numbers
        ]
        try:
            for future in waiting:
                yield from future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _tasks(folder: str, number: int) -> list[Result]:
    batch = pa.RecordBatch.from_arrays(
        [pa.array([folder]), pa.array([number], pa.int32())], schema=TASKS
    )
    return [
        (row["part"], row["rows"], row["rejected"], row["error"])
        for done in run_batches([batch])
        for row in done.to_pylist()
    ]


def report(job: Job, reused: int = 0) -> BulkReport:
    """Add up what is said about the parts of a finished job."""
    _complete(job)
    result = BulkReport(job.mapping.source, job.body["version"]["label"], reused=reused)
    for part in job.parts:
        where = job.at(part.number)
        body = json.loads((where / "part.json").read_text(encoding="utf-8"))
        result.parts += 1
        result.good += body["good"]
        result.rejected += body["rejected"]
        result.rows += body["good"] + body["rejected"]
        result.located.update(body["located"])
        result.levels.update(body["levels"])
        result.compared += body["compared"]
        result.mismatch += body["mismatch"]
        for one in json.loads((where / "rejects.json").read_bytes()):
            result.reasons[one[3]] += 1
    return result


def cube_columns(job: Job) -> Columns:
    """Rows of all cube parts of a finished job; cubes add up.

    Raises
    ------
    Conflict
        The job is not finished.
    """
    _complete(job)
    return Columns.concat(read_cube(job.at(p.number) / "cube.arrow") for p in job.parts)


def adopt(
    engine: sa.Engine,
    folder: str | Path,
    *,
    again: bool = False,
    progress: Callable[[Progress], None] | None = None,
    fresh: FreshRows | None = None,
) -> AdoptReport:
    """Store the events of a finished job.

    Parameters
    ----------
    engine : sa.Engine
    folder : folder of the job
    again : compare parts with the table that were adopted before, and restore what differs
    progress : called after each batch
    fresh : gets what was stored, for the snapshot to be made next

    Raises
    ------
    NotFound, Invalid, Conflict
        The job is not there, not finished, damaged, of a source of another nature, or located on
        boundaries that are not the newest of this database; nothing was written.
    """
    job = bulk_jobs.open_job(folder)
    _complete(job)
    bodies = {}
    for part in job.parts:
        body = job.done(part.number, settled=True)
        if body is None:
            raise Invalid(
                f"part {part.number} of {job.folder} is damaged: run the job again, it makes the "
                "missing parts anew"
            )
        bodies[part.number] = body
    with engine.connect() as connection:
        version = newest_version(connection, job.pack)
        located = job.body["version"]
        if (version.id, version.digest) != (located["id"], located["digest"]):
            raise Conflict(
                f"the job was located on boundaries {located['label']} of {job.pack}, the newest "
                f"of this database are {version.label}: begin a new job"
            )
        check_source(connection, job.pack, job.mapping)
        before = set(
            connection.scalars(
                sa.text("select part from bulk_part where job = :job"), {"job": job.digest}
            )
        )
    store = EventStore(engine, job.pack, job.mapping, version.id, fresh)
    result = AdoptReport(job.mapping.source, job.pack)
    total = sum(body["good"] for body in bodies.values())
    done = 0
    todo = []
    for part in job.parts:
        result.parts += 1
        if part.number in before and not again:
            result.skipped += 1
            result.unchanged += bodies[part.number]["good"]
            done += bodies[part.number]["good"]
        else:
            todo.append(part.number)
    with ThreadPoolExecutor(_WRITERS, thread_name_prefix="bulk-writer") as pool:
        try:
            # the first makes the source, which the others need
            for group in (todo[:1], todo[1:]):
                for new, updated, count in pool.map(lambda n: _adopt_part(store, job, n), group):
                    result.new += new
                    result.updated += updated
                    result.unchanged += count - new - updated
                    done += count
                    if progress:
                        progress(Progress(done, total, 0))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return result


_NOTED = sa.text(
    "insert into bulk_part (job, part, source_id, events) values (:job, :part, :source, :events) "
    "on conflict (job, part) do nothing"
)


def _adopt_part(store: EventStore, job: Job, number: int) -> tuple[int, int, int]:
    path = job.at(number) / "events.parquet"
    table = pa.parquet.read_table(path, columns=EVENTS.names)
    noted = _NOTED.bindparams(job=job.digest, part=number, events=len(table))
    new, updated = store.store(table, noted)
    return new, updated, len(table)


def _complete(job: Job) -> None:
    if job.settled() is None:
        raise Conflict(f"the job in {job.folder} is not finished: run it again to go on")
