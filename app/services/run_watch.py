"""Listens to the database for runs that come and go, and renews the kept answers.

One thread with one connection of its own. Promises: answers are kept only while the connection is
proven to hear (its own greeting came back through the channel); a lost connection stops the
keeping at once, and a silent one after `PULSE` seconds; it comes back by itself.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import uuid
from typing import Any

import psycopg2

from app.database import plain_url
from app.services.kept import Kept

log = logging.getLogger("wusetu.watch")

CHANNEL = "wusetu_run"
PULSE = 5.0  # seconds between proofs that the silent connection still hears
PATIENCE = 10.0  # seconds a proof may take
PAUSE = 1.0  # seconds before the next attempt to connect


class RunWatch:
    """The listening thread of one application.

    Parameters
    ----------
    url : database, as for `make_engine`; a pooler in transaction mode cannot be listened to, and
        then nothing is kept
    kept : the answers it guards
    """

    def __init__(self, url: str, kept: Kept) -> None:
        self._url = plain_url(url)
        self._kept = kept
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
                if self._kept.live or not failed:  # once per failure, not once per attempt
                    log.warning("runs are not watched: %s", str(error).strip().partition("\n")[0])
                failed = True
            finally:
                self._kept.renew(live=False)
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
                cursor.execute(f"listen {CHANNEL}")
            while True:
                if not self._hears(connection):
                    return
                if not self._kept.live:
                    self._kept.renew(live=True)
                if self._wait(connection, PULSE) is None:
                    return
        finally:
            connection.close()

    def _hears(self, connection: Any) -> bool:
        """Greet oneself through the channel; False when told to stop meanwhile."""
        greeting = f"greeting {uuid.uuid4().hex}"
        with connection.cursor() as cursor:
            cursor.execute("select pg_notify(%s, %s)", (CHANNEL, greeting))
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
                said = connection.notifies.pop(0).payload
                if until is not None and said == until:
                    return True
                if not said.startswith("greeting "):
                    self._kept.renew(live=self._kept.live)
            readable, _, _ = select.select([connection, self._stop_read], [], [], seconds)
            if self._stop_read in readable:
                return None
            if not readable:
                if until is not None:
                    raise TimeoutError("the connection does not hear announcements")
                return False

    def _stopped(self, seconds: float) -> bool:
        return bool(select.select([self._stop_read], [], [], seconds)[0])
