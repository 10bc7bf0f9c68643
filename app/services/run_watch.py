"""Listens to what the database announces, and renews what is kept in memory.

One thread with one connection of its own for all channels. Promises: things are kept only while the
connection is proven to hear (its own greeting came back through a channel); a lost connection stops
the keeping at once, and a silent one after `PULSE` seconds; it comes back by itself.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import uuid
from collections.abc import Mapping
from typing import Any, Protocol

import psycopg2
from psycopg2 import sql

from app.database import plain_url

log = logging.getLogger("wusetu.watch")

RUNS = "wusetu_run"
ACCOUNTS = "wusetu_account"
GREETINGS = "wusetu_greeting"
PULSE = 5.0  # seconds between proofs that the silent connection still hears
PATIENCE = 10.0  # seconds a proof may take
PAUSE = 1.0  # seconds before the next attempt to connect


class Listener(Protocol):
    """Something kept in memory that the database's announcements guard."""

    def announced(self, payload: str) -> None:
        """Hear one announcement of the channel."""

    def renew(self, *, live: bool) -> None:
        """From now on announcements are heard (`live`) or not; some may have been missed."""


class RunWatch:
    """The listening thread of one application.

    Parameters
    ----------
    url : database, as for `make_engine`; a pooler in transaction mode cannot be listened to, and
        then nothing is kept
    listeners : what is guarded, by channel
    """

    def __init__(self, url: str, listeners: Mapping[str, Listener]) -> None:
        self._url = plain_url(url)
        self._listeners = dict(listeners)
        self._live = False
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name="run-watch", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and wait for the thread."""
        os.write(self._stop_write, b"x")
        self._thread.join()
        os.close(self._stop_read)
        os.close(self._stop_write)

    def _run(self) -> None:
        failed = False
        while True:
            try:
                self._listen()
                return
            except (psycopg2.Error, OSError, TimeoutError) as error:
                if self._live or not failed:  # once per failure, not once per attempt
                    log.warning("runs are not watched: %s", str(error).strip().partition("\n")[0])
                failed = True
            finally:
                self._renew(live=False)
            if self._stopped(PAUSE):
                return

    def _listen(self) -> None:
        """Listen until told to stop.

        Raises
        ------
        psycopg2.Error, OSError, TimeoutError
            The connection could not be made, was lost, or no longer hears.
        """
        connection = psycopg2.connect(
            self._url, application_name="wusetu run watch", connect_timeout=int(PATIENCE)
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for channel in (GREETINGS, *self._listeners):
                    cursor.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
            while True:
                if not self._hears(connection):
                    return
                if not self._live:
                    self._renew(live=True)
                if self._wait(connection, PULSE) is None:
                    return
        finally:
            connection.close()

    def _hears(self, connection: Any) -> bool:
        """Greet oneself through a channel; False when told to stop meanwhile."""
        greeting = uuid.uuid4().hex
        with connection.cursor() as cursor:
            cursor.execute("select pg_notify(%s, %s)", (GREETINGS, greeting))
        return self._wait(connection, PATIENCE, until=greeting) is not None

    def _wait(self, connection: Any, seconds: float, until: str | None = None) -> bool | None:
        """Wait for announcements.

        Returns True when `until` came, False when the time passed and nothing was waited for, None
        when told to stop.

        Raises
        ------
        TimeoutError
            `until` did not come in time.
        """
        while True:
            connection.poll()
            while connection.notifies:
                said = connection.notifies.pop(0)
                if said.channel == GREETINGS:
                    if until is not None and said.payload == until:
                        return True
                else:
                    self._listeners[said.channel].announced(said.payload)
            readable, _, _ = select.select([connection, self._stop_read], [], [], seconds)
            if self._stop_read in readable:
                return None
            if not readable:
                if until is not None:
                    raise TimeoutError("the connection does not hear announcements")
                return False

    def _renew(self, *, live: bool) -> None:
        self._live = live
        for one in self._listeners.values():
            one.renew(live=live)

    def _stopped(self, seconds: float) -> bool:
        return bool(select.select([self._stop_read], [], [], seconds)[0])
