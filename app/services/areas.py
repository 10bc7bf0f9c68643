"""Exact counts in any area: the one function that hands areas to a snapshot. Imports `geo.cube`.

`ask` is the only door to a snapshot in this program. Promises: an answer counts every event that
was committed before the question's transaction began, each exactly once, whatever the age of the
snapshot; a damaged or missing snapshot is never counted from; a newer one is opened aside, so that
no question waits for it.

How: a process holds the newest snapshot memory-mapped, and beside it what changed since as rows,
moved forward at each question by what the transactions that ended meanwhile wrote (one statement
when none did, two otherwise). What it holds is a snapshot of the database plus its changes, so it
moves forward only while the snapshot is kept there: see `snapshots.clean`.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
import sqlalchemy as sa

from app.api.area_models import AreaAnswer, AreaQuestion
from app.errors import NotFound, Unavailable
from app.services import area_words, event_changes, small_numbers, snapshots
from app.services.area_words import Asked, Bools, Ground, Shape
from app.services.asking import Asker
from app.services.boundaries import newest_version
from app.services.caches import Caches
from app.services.units import unit_table
from geo.cube import Answer, Columns, Delta, Question, Snapshot, SnapshotError, Spec
from geo.cube import ask as count
from geo.cube.calendar import calendar
from geo.cube.rows import ask_located, rows

log = logging.getLogger("wusetu.areas")
Ints = npt.NDArray[np.int64]
_NUMBERS = itertools.count(1)

#: with fewer events and no snapshot they are read and counted at each question
FEW = 50_000

Read = Callable[[], AbstractContextManager[sa.Connection]]

_HEAD = """
select pg_current_snapshot()::text as taken, now() as at, pg_is_in_recovery() as standby,
  pg_postmaster_start_time() as started, v.id as version, v.label, v.pack,
  (select max(c.id) from cube_snapshot c where c.pack = %(pack)s
    and c.boundary_version_id = v.id and c.time_zone = %(zone)s) as newest,
  exists (select from cube_snapshot where id = %(held)s and digest = %(digest)s) as kept
from boundary_version v where v.pack = %(pack)s order by v.valid_from desc limit 1
"""


@dataclass(frozen=True)
class Held:
    """A snapshot with what changed since: all events at `taken`. Never changed, only replaced.

    `number` is another one whenever the events are others, in this process.
    """

    snapshot: Snapshot
    about: snapshots.Published | None
    version: int
    started: datetime
    taken: str
    kinds: tuple[str, ...]
    delta: Delta
    newest: datetime | None
    elsewhere: int
    number: int = field(default_factory=lambda: next(_NUMBERS))

    @property
    def changed(self) -> int:
        """Rows of the delta."""
        return len(self.delta.added) + len(self.delta.removed)

    def forward(self, changes: event_changes.Changes) -> Held:
        """State after `changes`."""
        if not len(changes):
            return replace(self, taken=changes.taken)
        added, removed = changes.added, changes.removed
        later = [snapshots.newest(added), self.newest]
        mark = event_changes.LOCATED.index("elsewhere")
        return replace(
            self,
            taken=changes.taken,
            kinds=changes.kinds,
            delta=Delta(
                Columns.concat([self.delta.added, added]),
                Columns.concat([self.delta.removed, removed]),
            ),
            newest=max(filter(None, later), default=None),
            number=next(_NUMBERS),
            elsewhere=self.elsewhere
            + int(np.count_nonzero(added.located == mark))
            - int(np.count_nonzero(removed.located == mark)),
        )


class _Pack:
    """What a process holds of one pack."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.held: Held | None = None
        self.ready: tuple[snapshots.Published, Snapshot] | None = None
        self.opening: int | None = None
        self.refused: set[int] = set()


class Areas:
    """The snapshots one process holds. Threads share it.

    Parameters
    ----------
    read : callable
        Makes one repeatable, read-only transaction.
    data_dir : Path
    zone : str
        Local days, weeks and months are this zone's.
    """

    def __init__(self, read: Read, caches: Caches, data_dir: Path, zone: str) -> None:
        self.read = read
        self.caches = caches
        self.data_dir = data_dir
        self.zone = zone
        self._lock = threading.Lock()
        self._packs: dict[str, _Pack] = {}
        self._ground: dict[int, Ground] = {}

    def _pack(self, pack: str) -> _Pack:
        with self._lock:
            return self._packs.setdefault(pack, _Pack())

    def ground(self, connection: sa.Connection, version: int) -> Ground:
        """Units of a boundary version, read once."""
        found = self._ground.get(version)
        if found is None:
            found = Ground(unit_table(connection, self.caches, version), self.read)
            with self._lock:
                while len(self._ground) >= 4:
                    self._ground.pop(next(iter(self._ground)))
                self._ground[version] = found
        return found

    def present(self, pack: str) -> tuple[Held, Ground, sa.Row[Any]]:
        """All events of a pack as they are now.

        Raises
        ------
        NotFound
            There is no such pack.
        Unavailable
            There is no snapshot that can be used and too many events to count without one.
        """
        state = self._pack(pack)
        # one at a time: what is held only moves forward, and a transaction that begins after the
        # one before it has ended sees no less
        with state.lock, self.read() as connection:
            held = state.held
            head = self._head(connection, pack, held)
            if held is None or not self._good(held, head):
                held = self._open(connection, state, pack, head)
            elif state.ready is not None:
                held = self._switch(state, held, head)
            if held is not None:
                if held.about and head.newest and head.newest > held.about.id:
                    self._open_aside(connection, state, pack, head)
                if held.taken != head.taken:
                    changes = event_changes.read_changes(
                        connection, pack, held.version,
                        since=held.taken, taken=head.taken, kinds=held.kinds,
                    )  # fmt: skip
                    was, held = held.newest, held.forward(changes)
                    if len(changes.removed) and snapshots.newest(changes.removed) == was:
                        held = replace(held, newest=snapshots.newest_stored(connection, pack))
                state.held = held
                return held, self.ground(connection, held.version), head
            ground = self.ground(connection, head.version)
        return self._directly(pack, head), ground, head

    def _head(self, connection: sa.Connection, pack: str, held: Held | None) -> sa.Row[Any]:
        about = held.about if held else None
        row = connection.exec_driver_sql(
            _HEAD,
            {
                "pack": pack, "zone": self.zone,
                "held": about.id if about else None, "digest": about.digest if about else None,
            },
        ).one_or_none()  # fmt: skip
        if row is None:
            newest_version(connection, pack)  # says which packs there are
            raise NotFound(f"there are no boundaries of {pack!r}")
        if row.standby:
            # a standby does not tell which transactions are under way
            raise Unavailable("areas are counted at the primary database, this is a standby")
        return row

    @staticmethod
    def _good(held: Held, head: sa.Row[Any]) -> bool:
        # a server that was started again may have been put back in time
        return bool(head.kept and held.version == head.version and held.started == head.started)

    def _open(
        self, connection: sa.Connection, state: _Pack, pack: str, head: sa.Row[Any]
    ) -> Held | None:
        """Newest snapshot that is whole; None: there is none."""
        state.held, state.ready = None, None
        for one in snapshots.published(connection, pack, head.version, self.zone):
            if one.id in state.refused:
                continue
            try:
                snapshot = snapshots.open_snapshot(self.data_dir, one)
            except SnapshotError as error:
                self._refuse(state, one, error)
                continue
            return _hold(one, snapshot, head.started)
        return None

    @staticmethod
    def _refuse(state: _Pack, one: snapshots.Published, error: SnapshotError) -> None:
        state.refused.add(one.id)
        log.error(
            "snapshot %s of %s cannot be used: %s. Counting goes on from the one before it; "
            "`wusetu cube build %s` makes a new one",
            one.id, one.pack, error, one.pack,
        )  # fmt: skip

    def _switch(self, state: _Pack, held: Held, head: sa.Row[Any]) -> Held:
        """Go over to a snapshot that was opened aside."""
        assert state.ready is not None
        one, snapshot = state.ready
        state.ready = None
        # the newest one is always kept
        return _hold(one, snapshot, head.started) if one.id == head.newest else held

    def _open_aside(
        self, connection: sa.Connection, state: _Pack, pack: str, head: sa.Row[Any]
    ) -> None:
        """Open the newest snapshot in a thread of its own; the next question finds it."""
        if state.opening == head.newest or head.newest in state.refused or state.ready:
            return
        one = next(
            (
                one
                for one in snapshots.published(connection, pack, head.version, self.zone)
                if one.id == head.newest
            ),
            None,
        )
        if one is None:  # of another server's counting
            state.refused.add(head.newest)
            return
        state.opening = one.id

        def work() -> None:
            try:
                snapshot = snapshots.open_snapshot(self.data_dir, one)
            except SnapshotError as error:
                self._refuse(state, one, error)
            else:
                state.ready = (one, snapshot)
            finally:
                state.opening = None

        threading.Thread(target=work, name=f"snapshot-{one.id}", daemon=True).start()

    def _directly(self, pack: str, head: sa.Row[Any]) -> Held:
        """All events read for this one question, when they are few."""
        with self.read() as connection:
            kinds = snapshots.allowed_kinds(connection, pack)
            number = connection.execute(
                sa.text(
                    "select count(*) from (select from event e join event_source s "
                    "on s.id = e.source_id and s.pack = :pack limit :most) as counted"
                ),
                {"pack": pack, "most": FEW + 1},
            ).scalar_one()
        if number > FEW:
            raise Unavailable(
                f"the snapshot of {pack!r} is missing or damaged and is being made; "
                f"`wusetu cube build {pack}` makes it at once"
            )
        with self.read() as connection:
            found = event_changes.read_all(
                connection, pack, head.version,
                extra_kinds=kinds or ("none",),
            )  # fmt: skip
        return Held(
            snapshot=Snapshot.build(found.rows, Spec(found.kinds, self.zone)),
            about=None,
            version=head.version,
            started=head.started,
            taken=found.moment.taken,
            kinds=found.kinds,
            delta=Delta(),
            newest=snapshots.newest(found.rows),
            elsewhere=snapshots.elsewhere(found.rows),
        )


def _hold(one: snapshots.Published, snapshot: Snapshot, started: datetime) -> Held:
    return Held(
        snapshot=snapshot,
        about=one,
        version=one.boundary_version_id,
        started=started,
        taken=one.taken,
        kinds=snapshot.spec.kinds,
        delta=Delta(),
        newest=one.newest,
        elsewhere=one.elsewhere,
    )


def ask(
    areas: Areas,
    pack: str,
    wanted: AreaQuestion,
    scope: Sequence[str] | None = None,
    asker: Asker | None = None,
    *,
    shape: Shape | None = None,
) -> AreaAnswer:
    """Count the events of an area exactly: the only way to a snapshot.

    Parameters
    ----------
    areas : Areas
    pack : str
    wanted : AreaQuestion
    scope : sequence of str, optional
        Code prefixes the caller may see: every area is cut to their ground (a unit or its
        children: to those below them) before it is counted. None: everything.
    asker : Asker, optional
        Who asks: without access to records small numbers are hidden. None: the installation.
    shape : optional
        What `area_words.shape` made of the area, where the caller has it already.

    Raises
    ------
    NotFound
        No such pack or unit, or a unit outside of the scope.
    Invalid
        The area, time span or a kind makes no sense; `detail` has `reason`, `field` and, where it
        has one, the place `at` (longitude, latitude).
    Unavailable
        The database does not answer, or there is no snapshot yet.
    """
    if shape is None:
        shape = area_words.shape(wanted.area)  # refused before the database is asked anything
    span = area_words.span(wanted, areas.zone)
    sight = look(areas, pack, scope)
    asked = sight.asked(wanted, shape, span)
    answer = sight.answer(sight.count(asked, wanted.breakdowns), asked)
    if asker is None or small_numbers.sees_small(asker.identity):
        return answer
    return small_numbers.counted(asker, pack, sight, asked, answer)


class Sight:
    """A pack at one moment, as far as one asker may see it.

    Several questions about one moment are asked of it. What it counts was cut to the jurisdiction
    by `asked`, the only way to a question.
    """

    def __init__(
        self, held: Held, ground: Ground, head: sa.Row[Any], scope: Sequence[str] | None
    ) -> None:
        self._held = held
        self._head = head
        self.ground = ground
        self.scope = scope

    @property
    def version(self) -> int:
        """Boundary version whose units the events are counted by."""
        return self._held.version

    @property
    def label(self) -> str:
        """Name of the boundary version."""
        return str(self._head.label)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds in the order of counts by kind."""
        return self._held.kinds

    @property
    def zone(self) -> str:
        """Zone of local days."""
        return self._held.snapshot.spec.time_zone

    def hour_of_week(self, time: Ints) -> Ints:
        """Local hours of the week of moments, seconds since 1970."""
        low, high = (int(time.min()), int(time.max())) if len(time) else (0, 0)
        return calendar(self.zone, low, high).hour_of_week(time)

    @property
    def elsewhere(self) -> int:
        """Events of the whole map located on other boundaries only."""
        return self._held.elsewhere

    @property
    def newest(self) -> datetime | None:
        """Time of the newest event of the whole map: for whoever sees all of it."""
        return self._held.newest

    @property
    def moment(self) -> tuple[object, ...]:
        """Key of all events as they are now: equal keys, equal counts."""
        return (self._held.version, self._held.number)

    def asked(self, wanted: AreaQuestion, shape: Shape, span: tuple[int, int]) -> Asked:
        """Put a request in the words of the cube, cut to what may be seen.

        Raises
        ------
        NotFound, Invalid
            As `ask`.
        """
        return area_words.question(wanted, shape, span, self.ground, self.kinds, scope=self.scope)

    def count(
        self, asked: Asked, breakdowns: Sequence[str], located: Bools | None = None
    ) -> Answer:
        """Count; `located` (256,): only events whose way of being located (a number) counts."""
        if asked.question is None:
            return area_words.nothing(self.kinds, breakdowns)
        return _count(self._held, asked.question, located)

    def rows(self, asked: Asked) -> Iterator[tuple[int, Columns]]:
        """Events themselves, in parts with their sign: -1 takes away what was in a part before."""
        if asked.question is not None:
            for snapshot, question, delta in _pieces(self._held, asked.question):
                yield from rows(snapshot, question, delta)

    def answer(self, found: Answer, asked: Asked) -> AreaAnswer:
        """Answer in the words of the web, with what was counted."""
        held, whole = self._held, self.scope is None
        return area_words.answer(
            found,
            asked,
            self.ground,
            held.kinds,
            facts={
                "pack": self._head.pack,
                "boundary_version": self._head.label,
                "snapshot": held.about.id if held.about else None,
                "changed": held.changed if whole else None,
                "as_of": self._head.at,
                "data_cutoff": held.newest if whole else None,
                "time_zone": self.zone,
                "other_boundaries": held.elsewhere if whole else None,
            },
        )


def look(areas: Areas, pack: str, scope: Sequence[str] | None) -> Sight:
    """All events of a pack as they are now, as far as `scope` may see them.

    Raises
    ------
    NotFound, Unavailable
        As `ask`.
    """
    held, ground, head = areas.present(pack)
    return Sight(held, ground, head, scope)


def _pieces(held: Held, question: Question) -> list[tuple[Snapshot, Question, Delta]]:
    """List what has to be asked: the snapshot with its delta; apart, kinds it does not know."""
    known = held.snapshot.spec.kinds
    if len(held.kinds) == len(known):
        return [(held.snapshot, question, held.delta)]
    old = [rows.kind < len(known) for rows in (held.delta.added, held.delta.removed)]
    pieces: list[tuple[Snapshot, Question, Delta]] = []
    asked = held.kinds if question.kinds is None else question.kinds
    if within := frozenset(asked) & frozenset(known):
        delta = Delta(held.delta.added.take(old[0]), held.delta.removed.take(old[1]))
        pieces.append((held.snapshot, replace(question, kinds=within), delta))
    delta = Delta(held.delta.added.take(~old[0]), held.delta.removed.take(~old[1]))
    spec = Spec(held.kinds, held.snapshot.spec.time_zone)
    pieces.append((Snapshot.build(Columns.empty(), spec), question, delta))
    return pieces


def _count(held: Held, question: Question, located: Bools | None = None) -> Answer:
    parts = [
        count(*piece) if located is None else ask_located(piece[0], piece[1], located, piece[2])
        for piece in _pieces(held, question)
    ]
    return parts[0] if len(parts) == 1 else area_words.total(parts, len(held.kinds))


#: End of a span of part days that holds every event.
_LATE = 2**32 - 1


def _diamond(ground: Ground) -> shapely.MultiPolygon:
    """Area inside a map whose slanted edges cut through its events."""
    west, south = ground.boxes[:, :2].min(axis=0)
    east, north = ground.boxes[:, 2:4].max(axis=0)
    middle = ((west + east) / 2, (south + north) / 2)
    corners = [(west, middle[1]), (middle[0], south), (east, middle[1]), (middle[0], north)]
    return shapely.MultiPolygon([shapely.Polygon(corners)])


def warm(areas: Areas, packs: Iterator[str] | Sequence[str]) -> None:
    """Open the snapshots of packs before the first question; what goes wrong is told then."""
    compiled = False
    for pack in packs:
        try:
            held, ground, _ = areas.present(pack)
            if not compiled and len(ground.boxes):
                # on a new machine the first question compiles what answers, for half a minute
                for breakdowns in (frozenset[str](), frozenset({"kind", "month"})):
                    _count(held, Question(_diamond(ground), 1, _LATE, breakdowns=breakdowns))
                compiled = True
        except (NotFound, Unavailable) as error:
            log.info("%s is not warmed: %s", pack, error.message)
