"""What happens now, told to open pages; and the clock of checks and zones.

`live_event` is the record; the channel `wusetu_live` only wakes. An event gets its number at the
very end of its transaction, one transaction at a time, so whoever sees a number sees all before it:
a reader that remembers the last number it was given misses nothing and gets nothing twice.
Imports nothing of the web.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from types import FrameType
from typing import Any, NamedTuple

import sqlalchemy as sa

from app.database import translated_errors
from app.errors import WusetuError

log = logging.getLogger("wusetu.live")

CHANNEL = "wusetu_live"
#: What happened is told for so long.
KEPT = timedelta(days=3)
BATCH = 500
TICK = 1.0  # seconds between looks whether the time of something is over


class Event(NamedTuple):
    """One thing that happened."""

    id: int
    at: datetime
    topic: str
    payload: dict[str, Any]


def events_after(
    connection: sa.Connection, last: int, topics: Sequence[str], most: int = BATCH
) -> list[Event]:
    """Read what happened after number `last`, in order, as far as the asker may see it."""
    rows = connection.execute(
        sa.text(
            "select id, at, topic, payload from live_event "
            "where id > :last and topic = any(:topics) order by id limit :most"
        ),
        {"last": last, "topics": list(topics), "most": most},
    )
    return [Event(*row) for row in rows]


def newest(connection: sa.Connection) -> int:
    """Greatest number that may be seen; 0: nothing happened yet."""
    found: int = connection.execute(
        sa.text("select coalesce(max(id), 0) from live_event")
    ).scalar_one()
    return found


def tell(
    connection: sa.Connection, topic: str, sides: Sequence[str] | None, payload: dict[str, Any]
) -> None:
    """Tell something when the transaction ends.

    Parameters
    ----------
    topic : run, zone, check, device, alert, task, presence
    sides : code prefixes it belongs to; None (the installation alone): everybody
    payload : what changed, by number or code; pages ask for the rest
    """
    connection.execute(
        sa.text(
            "insert into live_event (topic, sides, payload) "
            "values (:topic, :sides, cast(:payload as jsonb))"
        ).bindparams(sa.bindparam("payload", type_=sa.JSON)),
        {"topic": topic, "sides": None if sides is None else list(sides), "payload": payload},
    )


class Hub:
    """Wakes the open streams of one application. A listener of `run_watch`; threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self.live = False
        #: Streams that began under another number end: who asks has to come through the door again.
        self.doors = 0
        self.closing = False

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self) -> asyncio.Event:
        """Event that is set whenever something may have happened; of the running loop."""
        mine = asyncio.Event()
        with self._lock:
            self._waiting[mine] = asyncio.get_running_loop()
        return mine

    def leave(self, mine: asyncio.Event) -> None:
        """End of a stream."""
        with self._lock:
            self._waiting.pop(mine, None)

    def announced(self, payload: str) -> None:  # noqa: ARG002
        """Hear that something happened."""
        self._wake()

    def renew(self, *, live: bool) -> None:
        """Hear that announcements are heard or not; some may have been missed."""
        self.live = live
        self._wake()

    def doors_changed(self) -> None:
        """Hear that an account, session or token changed."""
        self.doors += 1
        self._wake()

    def close(self) -> None:
        """End all streams."""
        self.closing = True
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            for mine, loop in self._waiting.items():
                if not loop.is_closed():
                    loop.call_soon_threadsafe(mine.set)


@contextlib.contextmanager
def ending(hub: Hub) -> Iterator[None]:
    """Let open streams end when the server is told to stop; it would wait for them otherwise."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(hub.close)
        former = before[signal.Signals(number)]
        if callable(former):
            former(number, frame)

    for number, former in before.items():
        if callable(former):
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, former in before.items():
            if callable(former):
                signal.signal(number, former)


class DoorsHeard:
    """Listener of the accounts' channel: forgets what is known of them and ends open streams.

    Parameters
    ----------
    known : what is kept of accounts
    hub : the streams
    """

    def __init__(self, known: Any, hub: Hub) -> None:
        self._known = known
        self._hub = hub

    def announced(self, payload: str) -> None:
        """Hear one announcement."""
        self._known.announced(payload)
        self._hub.doors_changed()

    def renew(self, *, live: bool) -> None:
        """Hear that announcements are heard or not."""
        self._known.renew(live=live)
        self._hub.doors_changed()


class Clock:
    """The thread that ends checks and zones in time, one worker at a time, and clears old news.

    Parameters
    ----------
    engine : of the installation itself
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="border-clock", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        failed, rounds = False, 0
        while not self._stop.wait(TICK):
            try:
                end_in_time(self._engine)
                if rounds % 3600 == 0:
                    clear(self._engine)
                failed, rounds = False, rounds + 1
            except (WusetuError, sa.exc.SQLAlchemyError) as error:
                if not failed:  # once per failure
                    log.warning("checks and zones are not ended: %s", type(error).__name__)
                failed = True


def end_in_time(engine: sa.Engine) -> int:
    """End checks and zones whose time is over, let go of pages that are not heard any more; how many."""
    with translated_errors(), engine.begin() as connection:
        found: int = connection.execute(sa.text("select border_time()")).scalar_one()
        gone: int = connection.execute(sa.text("select presence_time()")).scalar_one()
        return found + gone


def clear(engine: sa.Engine) -> int:
    """Remove what happened too long ago to be asked for; how much."""
    with translated_errors(), engine.begin() as connection:
        return connection.execute(
            sa.text("delete from live_event where at < now() - :kept"), {"kept": KEPT}
        ).rowcount
