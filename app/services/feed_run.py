"""Looking at feeds: once, or again and again. Imports `feed_take` and the adapters.

Promises: a feed is looked at by one process at a time (a lock of the database that ends with the
process); what fails is written down with the feed, looked at again later each time, and stops no other
feed; a look ended at any moment has stored whole batches with their cursor.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from app.database import transaction, translated_errors
from app.errors import Invalid, WusetuError
from app.feeds.base import Source
from app.feeds.folder import FolderSource
from app.services import event_persons, feeds
from app.services.feed_take import Taken, Taker
from app.services.feeds import Feed

log = logging.getLogger("wusetu.feeds")

LONGEST_PAUSE = 3_600
TICK = 1.0

#: A feed that fails is looked at later each time; one with a file that is waited for, soon.
_NOTE = sa.text("""
update feed set
  failures = case when cast(:error as text) is null then 0 else failures + 1 end,
  error = :error,
  looked_at = case when cast(:error as text) is null then clock_timestamp() else looked_at end,
  next_look = clock_timestamp() + make_interval(secs => least(
    coalesce(cast(:soon as double precision), 'infinity'),
    case when cast(:error as text) is null then every_s
         else least(every_s * power(2, least(failures + 1, 12)), greatest(:longest, every_s)) end))
where id = :id
""")


@dataclass
class Look:
    """What one look at a feed did."""

    label: str = ""
    batches: int = 0
    known: int = 0
    rows: int = 0
    new: int = 0
    updated: int = 0
    rejected: int = 0
    waiting: int = 0
    error: str | None = None
    busy: bool = False

    def add(self, taken: Taken) -> None:
        """Count a batch."""
        if taken.known:
            self.known += 1
            return
        self.batches += 1
        self.rows += taken.rows
        self.new += taken.new
        self.updated += taken.updated
        self.rejected += taken.rejected


def open_source(feed: Feed) -> Source:
    """Open the adapter of a feed.

    Raises
    ------
    Invalid
        It is one that is not looked at, or its secret or library is missing.
    """
    if feed.adapter == "folder":
        return FolderSource(feed.settings, feed.mapping)
    if feed.adapter == "pull":
        from app.feeds.pull import PullSource

        return PullSource(feed.settings, feed.mapping)
    if feed.adapter == "sql":
        from app.feeds.sql import SqlSource

        return SqlSource(feed.settings, feed.mapping)
    if feed.adapter == "kafka":
        from app.feeds.kafka import KafkaSource

        return KafkaSource(feed.settings, feed.mapping)
    raise Invalid(f"the feed {feed.label} is pushed: programs send it, nobody looks")


class Runner:
    """Looks at feeds; keeps what folders remember between looks.

    Parameters
    ----------
    taker : stores what comes
    opener : opens adapters; a test opens its own
    """

    def __init__(self, taker: Taker, opener: Callable[[Feed], Source] = open_source) -> None:
        self.taker = taker
        self._open = opener
        self._folders: dict[tuple[int, datetime], Source] = {}

    def look(self, feed: int) -> Look:
        """Look at a feed once, now; everything that is there is taken."""
        look = Look(f"feed {feed}")
        with _alone(self.taker.engine, feed) as mine:
            if mine:
                self._look(feed, look)
            else:
                look.busy = True
        return look

    def _look(self, number: int, look: Look) -> None:
        settle = None
        try:
            with self.taker.engine.connect() as connection:
                feed = feeds.find(connection, number)
            look.label = feed.label
            settle = getattr(feed.settings, "settle_s", None)
            source = self._source(feed)
            try:
                for batch in source.batches(feed.cursor):
                    look.add(self.taker.take(feed, batch))
            finally:
                if feed.adapter != "folder":
                    source.close()
            look.waiting = getattr(source, "waiting", 0)
            look.error = "; ".join(source.problems) or None
        except WusetuError as error:
            look.error = error.message
        except Exception as error:  # of one feed: it must not end the others
            log.exception("%s cannot be looked at", look.label)
            look.error = f"{type(error).__name__}: see the log"
        look.error = _told(look.error)
        self._note(number, look, settle)

    def due(self) -> list[int]:
        """List the feeds whose time has come."""
        with translated_errors(), self.taker.engine.connect() as connection:
            return list(
                connection.scalars(
                    sa.text(
                        "select id from feed where removed_at is null and not paused "
                        "and adapter <> 'push' and next_look <= clock_timestamp() order by next_look"
                    )
                )
            )

    def watch(self, stop: threading.Event, tell: Callable[[Look], None]) -> None:
        """Look at what is due until `stop` is set."""
        failed = False
        while not stop.is_set():
            try:
                for feed in self.due():
                    if stop.is_set():
                        return
                    tell(self.look(feed))
                failed = False
            except (WusetuError, sa.exc.SQLAlchemyError) as error:
                if not failed:  # once per failure
                    log.warning("feeds are not looked at: %s", type(error).__name__)
                failed = True
            stop.wait(TICK)

    def _source(self, feed: Feed) -> Source:
        if feed.adapter != "folder":
            return self._open(feed)
        key = (feed.id, feed.mapped_at)
        if key not in self._folders:
            self._folders[key] = self._open(feed)
        return self._folders[key]

    def _note(self, feed: int, look: Look, settle: float | None) -> None:
        with transaction(self.taker.engine) as connection:
            connection.execute(
                _NOTE,
                {
                    "error": look.error, "longest": LONGEST_PAUSE, "id": feed,
                    "soon": settle if look.waiting else None,
                },
            )  # fmt: skip


def _told(error: str | None) -> str | None:
    r"""Error as it may be stored and shown: as UTF-8 without NUL, nothing that looks like a person's.

    >>> _told("no \x00 name \udcb1"), _told("bad value 13800138000 of x")
    ('no ? name ?', '(withheld): what failed holds what looks like a phone number')
    """
    if error is None:
        return None
    found = event_persons.looks_like(error)
    if found:
        return f"{event_persons.WITHHELD}: what failed holds what looks like a {found}"
    return error.replace("\0", "?").encode("utf-8", "replace").decode("utf-8")[:500]


@contextmanager
def _alone(engine: sa.Engine, feed: int) -> Iterator[bool]:
    """Lock of one feed, while the block runs and the process lives; false: another one has it."""
    alone = engine.execution_options(isolation_level="AUTOCOMMIT")
    with translated_errors(), alone.connect() as connection:
        words = sa.text("select pg_try_advisory_lock(hashtext('wusetu feed'), :id)")
        mine = bool(connection.execute(words, {"id": feed}).scalar_one())
        try:
            yield mine
        finally:
            if mine and not connection.invalidated:
                connection.execute(
                    sa.text("select pg_advisory_unlock(hashtext('wusetu feed'), :id)"), {"id": feed}
                )
