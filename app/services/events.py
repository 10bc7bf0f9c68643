"""Import of events: read, check, locate, store; and locating again on new boundaries.

Imports the rooms of this use-case (`event_files`, `event_rows`, `event_places`) and the database.
Promises: source + reference decide, so that sending a file again changes nothing; batches are
committed one by one, so that an interrupted import keeps what it has and is simply run again; what
spoils a file as a whole is told before anything is written; a broken row goes to the reject file.
"""

from __future__ import annotations

import csv
import queue
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO, TypeVar

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from app.database import transaction
from app.errors import Conflict, Invalid
from app.services import address_base, address_resolve
from app.services.event_files import Broken, Feed, Wanted, open_feed, quiet
from app.services.event_fresh import FreshRows
from app.services.event_mapping import EventMapping, load_mapping, parse_mapping
from app.services.event_places import (
    CrsWatch,
    Located,
    Place,
    locate_rows,
    open_place,
)
from app.services.event_rows import RowChecker, Rows
from app.services.event_store import EVENTS, EventStore
from geo.binning import LOCATED_BY

BATCH = 100_000
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
    review: int = 0
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
    fresh: FreshRows | None = None,
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
    fresh : FreshRows, optional
        Gets what was stored, for the snapshot to be made next.

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
        check_source(connection, pack, chosen)
        if chosen.columns.address and address_base.state(connection, pack):
            place = replace(place, base=address_resolve.Addresses().ground(connection, pack))
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
        _Writers(EventStore(engine, pack, chosen, place.version.id, fresh), report) as writers,
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
    if place.uncertain and not dry_run:
        with transaction(engine) as connection:
            report.review = address_resolve.queue(connection, pack, place.uncertain.items())
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
        writer.writerows((b.line, b.column, quiet(b.value), b.reason, b.text) for b in broken)
        file.flush()

    return write


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


def check_source(connection: sa.Connection, pack: str, mapping: EventMapping) -> None:
    """Refuse a mapping that says otherwise than its source whether events are real.

    Raises
    ------
    Conflict
        It does.
    """
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


class _Writers:
    """Stores batches, one transaction each, two at a time (references are distinct in a file)."""

    def __init__(self, store: EventStore, report: ImportReport) -> None:
        self.report = report
        self._store = store
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
        first = self._store.source is None
        events = events_table(rows, located)
        self._pending.append((len(rows), self._pool.submit(self._store.store, events)))
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


def events_table(rows: Rows, located: Located) -> pa.Table:
    """Rows as a table of `event_store.EVENTS`."""
    return pa.table(
        [
            rows.reference,
            rows.kind,
            pa.array(rows.occurred_at.astype("datetime64[us]")),
            pa.array(located.by.astype(np.uint8)),
            pa.array(located.mismatch),
            pa.array(located.unit),
            rows.code,
            rows.address,
            pa.array(rows.lon),
            pa.array(rows.lat),
        ],
        schema=EVENTS,
    )
