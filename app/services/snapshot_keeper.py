"""Folds changes into snapshots beside the running server. Imports `snapshots`.

Promises: questions never wait for it: the work is done by a process of its own, at low priority;
one of all workers starts it (an advisory lock); killed at any time, the last snapshot stands.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable

import sqlalchemy as sa

from app.database import translated_errors
from app.errors import WusetuError
from app.services import snapshots
from app.settings import PROJECT, Settings

log = logging.getLogger("wusetu.snapshots")

KEEPING = 2
_PROGRAM = "from app.cli import main; main()"


class Keeper:
    """The watching thread of one worker.

    Parameters
    ----------
    engine : sa.Engine
    url : str
        Address of the database for the process that does the work.
    settings : Settings
    warm : callable
        Called once at the start with the packs that have a snapshot.
    """

    def __init__(
        self,
        engine: sa.Engine,
        url: str,
        settings: Settings,
        warm: Callable[[list[str]], None],
    ) -> None:
        self._engine = engine
        self._url = url
        self._settings = settings
        self._warm = warm
        self._stop = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="snapshot-keeper", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is being made is given up, the snapshot before stays."""
        self._stop.set()
        child = self._child
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
        self._thread.join()

    def _run(self) -> None:
        with contextlib.suppress(WusetuError, sa.exc.SQLAlchemyError):
            with self._engine.connect() as connection:
                there = list(connection.scalars(sa.text("select distinct pack from cube_snapshot")))
            self._warm(there)
        pause = self._settings.cube.check_seconds
        while pause and not self._stop.wait(pause):
            try:
                self.look()
            except (WusetuError, sa.exc.SQLAlchemyError) as error:
                # the next look tries again; a database that is away is told by the health page
                log.warning("snapshots were not looked after: %s", error)

    def look(self) -> bool:
        """Look once; True when a process was started and has ended well."""
        with translated_errors(), self._engine.connect() as connection:
            reasons = {
                pack: why
                for pack in snapshots.packs(connection)
                if (
                    why := snapshots.why_renew(
                        connection,
                        self._settings.data_dir,
                        pack,
                        self._settings.time_zone,
                        self._settings.cube.delta_rows,
                    )
                )
            }
        if not reasons:
            return False
        key = {"space": snapshots.LOCK_SPACE, "key": KEEPING}
        with (
            translated_errors(),
            self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        ):
            if not connection.scalar(sa.text("select pg_try_advisory_lock(:space, :key)"), key):
                return False  # another worker is at it
            try:
                return self._work(reasons)
            finally:
                connection.execute(sa.text("select pg_advisory_unlock(:space, :key)"), key)

    def _work(self, reasons: dict[str, str]) -> bool:
        for pack, why in reasons.items():
            log.info("snapshot of %s: %s", pack, why)
        environment = {
            **os.environ,
            "WUSETU_DATABASE_URL": self._url,
            "WUSETU_DATA_DIR": str(self._settings.data_dir),
            "WUSETU_TIME_ZONE": self._settings.time_zone,
            "WUSETU_CUBE_DELTA_ROWS": str(self._settings.cube.delta_rows),
        }
        if self._stop.is_set():
            return False
        self._child = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", _PROGRAM, "cube", "compact", "--background"],
            env=environment,
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        _, said = self._child.communicate()
        code = self._child.returncode
        self._child = None
        if code and not self._stop.is_set():
            log.error("snapshots were not made: %s", said.decode(errors="replace")[-1000:])
        return code == 0
