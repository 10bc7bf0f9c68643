"""Snapshots of the events of a pack: made, kept, published, removed. Imports `geo.cube`.

A snapshot is a folder `<data folder>/snapshots/<digest>` and a row of `cube_snapshot` that says
what it sees of the store of record. Promises: the folder is whole and on the disk before the row
that names it is committed, so what is published is never torn; one process of the installation
makes snapshots at a time (an advisory lock of the database, which dies with its holder); what a
killed one leaves behind is nameless and goes with the next; a snapshot that is missing or damaged
is refused, never read in part. It can be made again from PostgreSQL at any time.

A snapshot belongs to one boundary version, the newest of its pack: its unit ids are that
version's. Events located in another version keep their points and have no unit in it.
Opening one is for `app.services.areas` alone, and for making the next here.
"""

# ruff: noqa: S608 - the pieces of the statements are constants of this file

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from app.database import transaction
from app.errors import Conflict, NotFound, WusetuError
from app.services import event_changes
from app.services.boundaries import newest_version
from app.services.event_fresh import FreshRows
from app.services.event_mapping import parse_mapping
from geo.cube import Columns, Snapshot, SnapshotError, Spec
from geo.cube.store import check_format

FOLDER = "snapshots"
KEEP = 2
#: tells our locks from other advisory locks; any constants do
LOCK_SPACE, MAKING = 0x5A75, 1
DELTA_ROWS = 20_000
DELTA_SHARE = 0.005
_ELSEWHERE = event_changes.LOCATED.index("elsewhere")

Progress = Callable[[str, int, int], None]
"""Called with what is being done, steps done and steps in all (0: not known)."""


def silent(text: str, done: int, total: int) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class Published:
    """A row of `cube_snapshot`; see the comments there."""

    id: int
    pack: str
    boundary_version_id: int
    time_zone: str
    taken: str
    server: int
    digest: str
    events: int
    elsewhere: int
    bytes: int
    newest: datetime | None
    made_by: str
    read_at: datetime
    published_at: datetime


_SELECT = (
    "select id, pack, boundary_version_id, time_zone, taken::text, server, digest, events, "
    "elsewhere, bytes, newest, made_by, read_at, published_at from cube_snapshot "
)


def published(connection: sa.Connection, pack: str, version: int, zone: str) -> list[Published]:
    """Usable snapshots of a boundary version, newest first.

    Those of another server's counting (a restored dump brings their rows along) are left out.
    """
    rows = connection.execute(
        sa.text(
            _SELECT + "where pack = :pack and boundary_version_id = :version "
            "and time_zone = :zone "
            "and server = (select system_identifier from pg_control_system()) order by id desc"
        ),
        {"pack": pack, "version": version, "zone": zone},
    )
    return [Published(*row) for row in rows]


def path_of(data_dir: Path, digest: str) -> Path:
    """Folder of a snapshot."""
    return data_dir / FOLDER / digest


def open_snapshot(data_dir: Path, one: Published, *, verify: bool = True) -> Snapshot:
    """Snapshot that a row names, memory-mapped.

    Raises
    ------
    SnapshotError
        It is missing, torn, damaged or another one; the message names the file and the reason.
    """
    folder = path_of(data_dir, one.digest)
    snapshot = Snapshot.load(folder, verify=verify)
    if snapshot.digest != one.digest or len(snapshot) != one.events:
        raise SnapshotError(f"{folder} holds another snapshot than the one that was published")
    return snapshot


def trouble(data_dir: Path, one: Published) -> str | None:
    """Say what is visibly wrong with the files of a snapshot, not reading them; None: nothing."""
    folder = path_of(data_dir, one.digest)
    try:
        size = sum(path.stat().st_size for path in folder.iterdir())
    except OSError as error:
        return f"{folder} cannot be read: {error.strerror}"
    if size != one.bytes:
        return f"{folder} has {size} bytes, not {one.bytes}"
    try:
        check_format(folder)
    except SnapshotError as error:  # of an older program
        return str(error)
    return None


def why_renew(
    connection: sa.Connection, data_dir: Path, pack: str, zone: str, delta_rows: int = DELTA_ROWS
) -> str | None:
    """Reason for making a new snapshot of a pack; None: the present one will do.

    One is made where there is none for the newest boundaries, where its files are visibly wrong,
    and when `delta_rows` rows or 0.5 % of the events changed, whichever is more.
    """
    version = newest_version(connection, pack)
    there = published(connection, pack, version.id, zone)
    if not there:
        return "there is no snapshot yet"
    if (wrong := trouble(data_dir, there[0])) is not None:
        return wrong
    limit = max(delta_rows, int(there[0].events * DELTA_SHARE))
    changed = event_changes.count_changes(connection, pack, there[0].taken, limit)
    return f"{changed:,} changed events or more" if changed >= limit else None


def packs(connection: sa.Connection) -> list[str]:
    """Packs with boundaries and a source of events."""
    return list(
        connection.scalars(
            sa.text(
                "select distinct pack from event_source where pack in "
                "(select pack from boundary_version) order by pack"
            )
        )
    )


def build(  # noqa: PLR0917 - what, where, and how it goes
    engine: sa.Engine,
    data_dir: Path,
    pack: str,
    zone: str,
    progress: Progress = silent,
    fresh: FreshRows | None = None,
) -> Published:
    """Make a snapshot of all events of a pack from PostgreSQL, and publish it.

    Rows of `fresh` that are there as they were stored are not read again.

    Raises
    ------
    NotFound
        The pack has no boundaries.
    Conflict
        Its boundaries went or changed meanwhile.
    """
    with making(engine, progress):
        return _build(engine, data_dir, pack, zone, progress, fresh)


def compact(
    engine: sa.Engine, data_dir: Path, pack: str, zone: str, progress: Progress = silent
) -> Published | None:
    """Fold what changed into the newest snapshot, and publish the result.

    Without a snapshot that can be used, and for kinds it does not know, all of it is made again.

    Returns
    -------
    Published or None
        None: nothing had changed.
    """
    with making(engine, progress):
        return _compact(engine, data_dir, pack, zone, progress)


def renew(
    engine: sa.Engine,
    data_dir: Path,
    pack: str,
    zone: str,
    progress: Progress = silent,
    *,
    delta_rows: int = DELTA_ROWS,
    wait: bool = True,
    fresh: FreshRows | None = None,
) -> Published | None:
    """`compact` when there is a reason to (see `why_renew`), else nothing.

    Parameters
    ----------
    wait : bool
        False: leave it to the process that is making snapshots at the moment, if there is one.
    fresh : FreshRows, optional
        What was just stored; see `build`.
    """

    def reason() -> str | None:
        with engine.connect() as connection:
            return why_renew(connection, data_dir, pack, zone, delta_rows)

    if reason() is None:
        return None
    try:
        with making(engine, progress, wait=wait):
            if reason() is None:  # another one has just done it
                return None
            return _compact(engine, data_dir, pack, zone, progress, fresh)
    except Busy:
        return None


class Busy(Conflict):
    """Another process makes snapshots at the moment."""

    code = "busy"


@contextmanager
def making(engine: sa.Engine, progress: Progress = silent, *, wait: bool = True) -> Iterator[None]:
    """Hold the one lock under which snapshots are made, published and removed.

    Raises
    ------
    Busy
        Another process holds it and `wait` is false.
    """
    key = {"space": LOCK_SPACE, "key": MAKING}
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.scalar(sa.text("select pg_try_advisory_lock(:space, :key)"), key):
            if not wait:
                raise Busy("another process makes a snapshot at the moment")
            progress("waiting for another process that makes a snapshot", 0, 0)
            time.sleep(0.2)
        try:
            yield
        finally:
            connection.execute(sa.text("select pg_advisory_unlock(:space, :key)"), key)


def _build(  # noqa: PLR0917 - as `build`
    engine: sa.Engine,
    data_dir: Path,
    pack: str,
    zone: str,
    progress: Progress,
    fresh: FreshRows | None = None,
) -> Published:
    event_changes.adopt(engine)
    with engine.connect() as connection:
        version = newest_version(connection, pack)
        extra = allowed_kinds(connection, pack)
        guess = connection.scalar(
            sa.text("select reltuples::bigint from pg_class where oid = 'event'::regclass")
        )
    with engine.connect() as connection, connection.begin():
        total = max(int(guess or 0), 0)
        everything = event_changes.read_all(
            connection,
            pack,
            version.id,
            lambda rows: progress("reading events", rows, max(total, rows)),
            extra or ("none",),
            fresh,
        )
    progress("arranging", 0, 0)
    rows = everything.rows
    # one without any event or scene still needs a name for its first kind
    snapshot = Snapshot.build(rows, Spec(everything.kinds, zone))
    return _publish(
        engine, data_dir, snapshot, progress,
        {
            "pack": pack, "version": version.id, "zone": zone, "made_by": "build",
            "taken": everything.moment.taken, "server": everything.moment.server,
            "read_at": everything.moment.at, "newest": newest(rows),
            "elsewhere": elsewhere(rows),
        },
    )  # fmt: skip


def _compact(  # noqa: PLR0917 - as `compact`
    engine: sa.Engine,
    data_dir: Path,
    pack: str,
    zone: str,
    progress: Progress,
    fresh: FreshRows | None = None,
) -> Published | None:
    with engine.connect() as connection:
        version = newest_version(connection, pack)
        there = published(connection, pack, version.id, zone)
    if not there:
        return _build(engine, data_dir, pack, zone, progress, fresh)
    base = there[0]
    progress("opening the snapshot", 0, 0)
    try:
        snapshot = open_snapshot(data_dir, base)
    except SnapshotError:
        return _build(engine, data_dir, pack, zone, progress, fresh)
    progress("reading changes", 0, 0)
    with engine.connect() as connection, connection.begin():
        moment = event_changes.begin(connection)
        changes = event_changes.read_changes(
            connection, pack, version.id,
            since=base.taken, taken=moment.taken, kinds=snapshot.spec.kinds, fresh=fresh,
        )  # fmt: skip
        last = max(filter(None, (base.newest, newest(changes.added))), default=None)
        if len(changes.removed):
            last = newest_stored(connection, pack)
    if not len(changes):
        return None
    if changes.kinds != snapshot.spec.kinds or len(changes) > base.events:
        return _build(engine, data_dir, pack, zone, progress, fresh)
    progress("merging", 0, 0)
    try:
        merged = snapshot.merge(changes.added, changes.removed)
    except SnapshotError:
        # it does not hold what the database says it held: the database is right
        return _build(engine, data_dir, pack, zone, progress, fresh)
    return _publish(
        engine, data_dir, merged, progress,
        {
            "pack": pack, "version": version.id, "zone": zone, "made_by": "compact",
            "taken": moment.taken, "server": moment.server, "read_at": moment.at,
            "newest": last,
            "elsewhere": base.elsewhere + elsewhere(changes.added) - elsewhere(changes.removed),
        },
    )  # fmt: skip


def allowed_kinds(connection: sa.Connection, pack: str) -> tuple[str, ...]:
    """Kinds the feeds of a pack may bring, so that asking for one without events is no error."""
    found: set[str] = set()
    for body in connection.scalars(
        sa.text("select mapping from event_source where pack = :pack"), {"pack": pack}
    ):
        try:
            found.update(parse_mapping(body).allowed_kinds())
        except WusetuError:  # a mapping of before, or of another program: it names no kinds
            continue
    return tuple(sorted(found))


def newest(rows: Columns) -> datetime | None:
    """Time of the newest row, to the second; None: there is no row."""
    return datetime.fromtimestamp(int(rows.time.max()), UTC) if len(rows) else None


def elsewhere(rows: Columns) -> int:
    """Events that were located in another boundary version."""
    return int(np.count_nonzero(rows.located == _ELSEWHERE))


def newest_stored(connection: sa.Connection, pack: str) -> datetime | None:
    """Time of the newest event of a pack as it is stored, to the second."""
    found: datetime | None = connection.scalar(
        sa.text(
            "select date_trunc('second', max(e.occurred_at)) from event e "
            "join event_source s on s.id = e.source_id and s.pack = :pack"
        ),
        {"pack": pack},
    )
    return found


def _publish(
    engine: sa.Engine,
    data_dir: Path,
    snapshot: Snapshot,
    progress: Progress,
    values: dict[str, Any],
) -> Published:
    """Store the files, then the row that names them, then remove what nobody needs any more."""
    progress("writing", 0, 0)
    root = data_dir / FOLDER
    new = root / f"new-{uuid.uuid4().hex}"
    try:
        digest = snapshot.save(new)
        folder = path_of(data_dir, digest)
        _put_in_place(new, folder)
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        raise Conflict(f"the snapshot cannot be written to {root}: {error.strerror}") from error
    size = sum(path.stat().st_size for path in folder.iterdir())
    progress("publishing", 0, 0)
    with transaction(engine) as connection:
        if not connection.scalar(
            sa.text("select exists (select from boundary_version where id = :version)"), values
        ):
            raise Conflict(f"the boundaries of {values['pack']} went meanwhile: nothing published")
        number = connection.execute(
            sa.text(
                "insert into cube_snapshot (pack, boundary_version_id, time_zone, taken, server, "
                "digest, events, elsewhere, bytes, newest, made_by, read_at) values (:pack, "
                ":version, :zone, :taken, :server, :digest, :events, :elsewhere, :bytes, :newest, "
                ":made_by, :read_at) returning id"
            ),
            {**values, "digest": digest, "events": len(snapshot), "bytes": size},
        ).scalar_one()
    progress("removing what is old", 0, 0)
    clean(engine, data_dir, values["pack"])
    with engine.connect() as connection:
        row = connection.execute(sa.text(_SELECT + "where id = :id"), {"id": number}).one_or_none()
    if row is None:
        raise Conflict(f"the snapshot of {values['pack']} was removed while it was published")
    return Published(*row)


def _put_in_place(new: Path, folder: Path) -> None:
    """Give a written folder its name, flushed; equal content of before makes room."""
    if folder.exists():
        try:
            Snapshot.load(folder)
        except SnapshotError:
            folder.rename(new.with_name(f"old-{uuid.uuid4().hex}"))
        else:  # the same events once more
            shutil.rmtree(new)
            return
    new.rename(folder)
    handle = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def clean(engine: sa.Engine, data_dir: Path, pack: str) -> None:
    """Remove what no reader needs: only while `making`.

    The two newest snapshots of the newest boundary version published stay, and with them what was
    removed from the events since the elder one. Rows first, then files: killed in between, files
    without a name are left, and they go the next time.
    """
    with transaction(engine) as connection:
        connection.execute(
            sa.text(
                "with newest as (select boundary_version_id, time_zone, server from cube_snapshot "
                "  where pack = :pack order by id desc limit 1), "
                "kept as (select c.id from cube_snapshot c join newest using "
                "  (boundary_version_id, time_zone, server) where c.pack = :pack "
                "  order by c.id desc limit :keep) "
                "delete from cube_snapshot where pack = :pack and id not in (select id from kept)"
            ),
            {"pack": pack, "keep": KEEP},
        )
        connection.execute(
            sa.text(
                "delete from event_removed r using (select taken from cube_snapshot "
                "  where pack = :pack order by id limit 1) as eldest "
                "where r.pack = :pack and pg_visible_in_snapshot(r.removed_in, eldest.taken)"
            ),
            {"pack": pack},
        )
        named = set(connection.scalars(sa.text("select digest from cube_snapshot")))
    for folder in (data_dir / FOLDER).iterdir():
        if folder.name not in named and folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Status:
    """How a pack's snapshots are: newest first, what the newest lacks, what is wrong with it."""

    pack: str
    version: str
    snapshots: list[Published]
    changed: int
    wrong: str | None


def status(connection: sa.Connection, data_dir: Path, pack: str, zone: str) -> Status:
    """How the snapshots of a pack are.

    Raises
    ------
    NotFound
        The pack has no boundaries.
    """
    version = newest_version(connection, pack)
    there = published(connection, pack, version.id, zone)
    if not there:
        return Status(pack, version.label, [], 0, "there is no snapshot yet")
    changed = event_changes.count_changes(connection, pack, there[0].taken, 10_000_000)
    return Status(pack, version.label, there, changed, trouble(data_dir, there[0]))


def verify(
    engine: sa.Engine, data_dir: Path, pack: str, zone: str, progress: Progress = silent
) -> list[tuple[Published, str | None]]:
    """Read every file of a pack's snapshots, and compare the newest with the store of record.

    Returns
    -------
    list of (Published, str or None)
        What is wrong with each; None: whole, and (the newest) equal to PostgreSQL event by event.

    Raises
    ------
    NotFound
        There is no snapshot.
    """
    with engine.connect() as connection:
        version = newest_version(connection, pack)
        there = published(connection, pack, version.id, zone)
    if not there:
        raise NotFound(f"{pack} has no snapshot: run `wusetu cube build {pack}`")
    found: list[tuple[Published, str | None]] = []
    for one in there:
        progress(f"reading snapshot {one.id}", 0, 0)
        try:
            snapshot = open_snapshot(data_dir, one)
            wrong = _compare(engine, one, snapshot, progress) if one is there[0] else None
        except SnapshotError as error:
            wrong = str(error)
        found.append((one, wrong))
    return found


def _compare(
    engine: sa.Engine, one: Published, snapshot: Snapshot, progress: Progress
) -> str | None:
    """How a snapshot and its changes differ from a snapshot made afresh; None: not at all."""
    with engine.connect() as connection, connection.begin():
        everything = event_changes.read_all(
            connection,
            one.pack,
            one.boundary_version_id,
            lambda rows: progress("reading events", rows, 0),
            snapshot.spec.kinds,
        )
        if everything.kinds != snapshot.spec.kinds:
            return "there are kinds it does not know: run `wusetu cube compact`"
        changes = event_changes.read_changes(
            connection, one.pack, one.boundary_version_id,
            since=one.taken, taken=everything.moment.taken, kinds=everything.kinds,
        )  # fmt: skip
    progress("comparing", 0, 0)
    fresh = Snapshot.build(everything.rows, snapshot.spec)
    try:
        merged = snapshot.merge(changes.added, changes.removed)
    except SnapshotError as error:
        return f"it does not fit the events: {error}"
    same = fresh.arrays.keys() == merged.arrays.keys() and all(
        np.array_equal(fresh.arrays[name], merged.arrays[name], equal_nan=True)
        for name in fresh.arrays
    )
    return None if same else "it differs from the events: run `wusetu cube build`"
