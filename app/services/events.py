"""Import of events: read, check, locate, store; and locating again on new boundaries.

Imports the rooms of this use-case (`event_files`, `event_rows`, `event_places`) and the database.
Promises: source + reference decide, so that sending a file again changes nothing; batches are
committed one by one, so that an interrupted import keeps what it has and is simply run again; what
spoils a file as a whole is told before anything is written; a broken row goes to the reject file.
"""

from __future__ import annotations

import csv
import io
import queue
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import sqlalchemy as sa

from app.database import raw, transaction
from app.errors import Conflict, Invalid
from app.services.event_files import Broken, Feed, Wanted, open_feed
from app.services.event_mapping import EventMapping, load_mapping, parse_mapping
from app.services.event_places import (
    CrsWatch,
    Located,
    Place,
    locate_rows,
    open_place,
)
from app.services.event_rows import RowChecker, Rows
from geo.binning import LOCATED_BY

BATCH = 50_000
REJECT_COLUMNS = ("line", "column", "value", "reason", "text")
_AHEAD = 1  # batches prepared while others are being written
_WRITERS = 2

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """Where an import is: rows read of all rows, and how many were refused so far."""

    done: int
    total: int
    rejected: int


@dataclass
class ImportReport:
    """What an import did; `reasons` counts rejects, `located` good rows by `located_by`."""

    source: str
    version: str
    rows: int = 0
    new: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    located: Counter[str] = field(default_factory=Counter)
    levels: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    mismatch: int = 0
    hint: str | None = None
    examples: list[Broken] = field(default_factory=list)
    dry_run: bool = False

    @property
    def mismatch_share(self) -> float | None:
        """Part of the events with a code and a point whose two disagree; None without any."""
        return self.mismatch / self.compared if self.compared else None


def import_file(
    engine: sa.Engine,
    path: str | Path,
    *,
    pack: str,
    mapping: str | Path | Mapping[str, Any] | EventMapping,
    source: str | None = None,
    rejects: str | Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    dry_run: bool = False,
    batch: int = BATCH,
    now: datetime | None = None,
    cache_folder: str | Path | None = None,
) -> ImportReport:
    """Import a file of events.

    Parameters
    ----------
    engine : sa.Engine
    path : str or Path
        CSV, NDJSON, GeoJSON (also gzip) or Parquet.
    pack : str
        Series of boundaries to locate in; its newest version is used.
    mapping : str, Path, dict or EventMapping
        See `event_mapping.load_mapping`.
    source : str, optional
        Name of the feed instead of the mapping's own.
    rejects : str or Path, optional
        CSV file for the rows that are refused: line, column, value, reason, text.
    progress : callable, optional
        Called after each batch.
    dry_run : bool
        Check and locate everything, store nothing.
    batch : int
        Rows per transaction, at least 1.
    now : datetime, optional
        The present (events later than a day ahead are refused).
    cache_folder : str or Path, optional
        Where the locate index is kept between imports; none: it is built for this one alone.

    Raises
    ------
    NotFound, Invalid, Conflict
        The file, mapping, pack or source cannot be used; nothing was written.
    """
    if batch < 1:
        raise Invalid(f"a batch has at least one row, not {batch}")
    if rejects is not None and Path(rejects).resolve() == Path(path).resolve():
        raise Invalid(f"the reject file {rejects} would overwrite the file itself")
    chosen = load_mapping(mapping)
    if source is not None:
        chosen = parse_mapping({**chosen.body(), "source": source})
    with engine.connect() as connection:
        place = open_place(connection, pack, cache_folder)
        _check_source(connection, pack, chosen)
    feed = open_feed(
        path,
        Wanted(
            columns=tuple(chosen.columns.names()),
            optional=tuple(chosen.columns.optional()),
            point=chosen.columns.point,
            encoding=chosen.encoding,
            delimiter=chosen.delimiter,
        ),
    )
    checker = RowChecker(
        chosen, feed.point, place.layout, chosen.allowed_kinds(), now or datetime.now(UTC)
    )
    report = ImportReport(chosen.source, place.version.label, dry_run=dry_run)
    watch = CrsWatch(place, chosen)
    with (
        _reject_file(rejects) as reject,
        _ahead(_prepared(feed, checker, place, batch)) as steps,
        _Writers(engine, pack, chosen, place, report) as writers,
    ):
        for rows, located, broken in steps:
            if not dry_run:
                writers.write(rows, located)
            _count(report, place, rows, located, broken)
            watch.add(rows, located)
            reject(broken)
            if progress:
                progress(Progress(report.rows, feed.rows, report.rejected))
        writers.finish()
    report.hint = watch.hint()
    return report


def _prepared(
    feed: Feed, checker: RowChecker, place: Place, batch: int
) -> Iterator[tuple[Rows, Located, list[Broken]]]:
    for chunk in feed.chunks(batch):
        rows, broken = checker.check(chunk)
        rows, located, lost = locate_rows(rows, place, checker.mapping)
        yield rows, located, sorted([*broken, *lost], key=lambda b: b.line)


@contextmanager
def _ahead(items: Iterator[T]) -> Iterator[Iterator[T]]:
    """Make `items` in a thread of its own, a few ahead: one reads while the database writes."""
    done = object()
    ready: queue.Queue[Any] = queue.Queue(maxsize=_AHEAD)
    stop = threading.Event()

    def put(item: Any) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put((done, None))
        except BaseException as error:  # handed to the thread that waits
            put((done, error))

    def take() -> Iterator[T]:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is done:
                return
            yield item

    thread = threading.Thread(target=work, name="events-reader", daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        stop.set()
        thread.join()


@contextmanager
def _reject_file(path: str | Path | None) -> Iterator[Callable[[list[Broken]], None]]:
    """Append broken rows to a CSV file that opens in a spreadsheet; nothing without a path."""
    if path is None:
        yield lambda _: None
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(path).open("w", encoding="utf-8-sig", newline=""))
        except OSError as error:
            raise Invalid(f"the reject file {path} cannot be written: {error.strerror}") from error
        yield _reject_rows(file)


def _reject_rows(file: TextIO) -> Callable[[list[Broken]], None]:
    writer = csv.writer(file)
    writer.writerow(REJECT_COLUMNS)

    def write(broken: list[Broken]) -> None:
        writer.writerows((b.line, b.column, _quiet(b.value), b.reason, b.text) for b in broken)
        file.flush()

    return write


def _quiet(value: str) -> str:
    """Value that a spreadsheet will not run as a formula."""
    formula = value[:1] in ("=", "+", "@", "\t", "\r") or (
        value[:1] == "-" and not value[1:2].isdigit()
    )
    return "'" + value if formula else value


def _count(
    report: ImportReport, place: Place, rows: Rows, located: Located, broken: list[Broken]
) -> None:
    report.rows += len(rows) + len(broken)
    report.rejected += len(broken)
    report.reasons.update(b.reason for b in broken)
    report.examples += broken[: max(0, 5 - len(report.examples))]
    by = np.bincount(located.by, minlength=len(LOCATED_BY))
    report.located.update({name: int(n) for name, n in zip(LOCATED_BY, by, strict=True) if n})
    level = np.bincount(place.rank[located.unit] + 1, minlength=len(place.levels) + 1)
    named = zip(("none", *place.levels), level, strict=True)
    report.levels.update({name: int(n) for name, n in named if n})
    report.compared += int(located.both.sum())
    report.mismatch += int(located.mismatch.sum())


def _check_source(connection: sa.Connection, pack: str, mapping: EventMapping) -> None:
    simulated = connection.scalar(
        sa.text("select simulated from event_source where pack = :pack and name = :name"),
        {"pack": pack, "name": mapping.source},
    )
    if simulated is not None and simulated != mapping.simulated:
        there, here = ("simulated", "real") if simulated else ("real", "simulated")
        raise Conflict(
            f"source {mapping.source!r} of pack {pack!r} holds {there} events and the mapping "
            f"says {here}: give them a source of their own"
        )


_SOURCE = sa.text(
    "insert into event_source (pack, name, simulated, crs, time_zone, mapping) "
    "values (:pack, :name, :simulated, :crs, :zone, :mapping) "
    "on conflict (pack, name) do update set crs = excluded.crs, "
    "time_zone = excluded.time_zone, mapping = excluded.mapping returning id"
).bindparams(sa.bindparam("mapping", type_=sa.JSON))

_INCOMING = """
create temporary table if not exists incoming (
  reference text not null, kind text not null, occurred_at timestamptz not null,
  located_by text not null, mismatch boolean not null, unit_id int, code text, address text,
  lon double precision, lat double precision
) on commit delete rows
"""
_COPY = "copy incoming from stdin (format csv)"
# ordered, so that two imports of one feed at once wait for each other instead of deadlocking
_MERGE = sa.text("""
with stored as (
  insert into event as e (source_id, reference, kind, occurred_at, located_by, mismatch,
                          boundary_version_id, unit_id, code, address, geom)
  select :source, reference, kind, occurred_at, located_by, mismatch, :version, unit_id, code,
         address, st_setsrid(st_makepoint(lon, lat), 4326)
  from incoming order by reference
  on conflict (source_id, reference) do update
    set kind = excluded.kind, occurred_at = excluded.occurred_at,
        located_by = excluded.located_by, mismatch = excluded.mismatch,
        boundary_version_id = excluded.boundary_version_id, unit_id = excluded.unit_id,
        code = excluded.code, address = excluded.address, geom = excluded.geom,
        imported_at = now()
    where (e.kind, e.occurred_at, e.located_by, e.mismatch, e.boundary_version_id, e.unit_id,
           e.code, e.address)
          is distinct from
          (excluded.kind, excluded.occurred_at, excluded.located_by, excluded.mismatch,
           excluded.boundary_version_id, excluded.unit_id, excluded.code, excluded.address)
       or st_asbinary(e.geom) is distinct from st_asbinary(excluded.geom)
  returning (xmax = 0) as is_new
)
select count(*) filter (where is_new), count(*) filter (where not is_new) from stored
""")


class _Writers:
    """Stores batches, one transaction each, two at a time (references are distinct in a file)."""

    def __init__(
        self,
        engine: sa.Engine,
        pack: str,
        mapping: EventMapping,
        place: Place,
        report: ImportReport,
    ) -> None:
        self.engine = engine
        self.pack = pack
        self.mapping = mapping
        self.place = place
        self.report = report
        self._source: int | None = None
        self._pool = ThreadPoolExecutor(_WRITERS, thread_name_prefix="events-writer")
        self._pending: deque[tuple[int, Future[tuple[int, int]]]] = deque()

    def __enter__(self) -> _Writers:
        return self

    def __exit__(self, *_: object) -> None:
        # interrupted: what is being written is finished, what waits is left
        self._pool.shutdown(wait=True, cancel_futures=True)

    def write(self, rows: Rows, located: Located) -> None:
        """Store a batch, now or soon; raises what an earlier batch raised."""
        if len(rows) == 0:
            return
        first = self._source is None
        self._pending.append((len(rows), self._pool.submit(self._store, rows, located)))
        # the first batch makes the source, which the others need
        self._settle(0 if first else _WRITERS)

    def finish(self) -> None:
        """Wait for every batch."""
        self._settle(0)

    def _settle(self, left: int) -> None:
        while len(self._pending) > left:
            count, future = self._pending.popleft()
            new, updated = future.result()
            self.report.new += new
            self.report.updated += updated
            self.report.unchanged += count - new - updated

    def _store(self, rows: Rows, located: Located) -> tuple[int, int]:
        text = _copy_text(rows, located)
        with transaction(self.engine) as connection:
            source = self._source or self._make_source(connection)
            connection.exec_driver_sql(_INCOMING)
            with raw(connection).cursor() as cursor:
                cursor.copy_expert(_COPY, text)
            new, updated = connection.execute(
                _MERGE, {"source": source, "version": self.place.version.id}
            ).one()
        self._source = source
        return int(new), int(updated)

    def _make_source(self, connection: sa.Connection) -> int:
        mapping = self.mapping
        source: int = connection.execute(
            _SOURCE,
            {
                "pack": self.pack, "name": mapping.source, "simulated": mapping.simulated,
                "crs": mapping.crs, "zone": mapping.time_zone, "mapping": mapping.body(),
            },
        ).scalar_one()  # fmt: skip
        return source


def _copy_text(rows: Rows, located: Located) -> io.BytesIO:
    """Batch as CSV for COPY: null is nothing, the empty text is ""."""
    at = pa.array(rows.occurred_at.astype("datetime64[us]"))
    table = pa.table(
        {
            "reference": rows.reference,
            "kind": rows.kind,
            "occurred_at": pc.binary_join_element_wise(pc.cast(at, pa.string()), "Z", ""),
            "located_by": pa.array(LOCATED_BY).take(pa.array(located.by)),
            "mismatch": pa.array(located.mismatch),
            "unit": pa.array(located.unit, mask=located.unit == 0),
            "code": rows.code,
            "address": rows.address,
            "lon": pa.array(rows.lon, mask=np.isnan(rows.lon)),
            "lat": pa.array(rows.lat, mask=np.isnan(rows.lat)),
        }
    )
    sink = io.BytesIO()
    pa.csv.write_csv(table, sink, pa.csv.WriteOptions(include_header=False))
    sink.seek(0)
    return sink
