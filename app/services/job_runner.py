"""Starts the processes of jobs, ends them, and says which were interrupted. One per worker.

Promises: never more processes at once than the settings allow, over all workers; a job whose
process is gone is failed as interrupted; when the server stops, its processes stop with it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time

import sqlalchemy as sa

from app.database import transaction
from app.errors import WusetuError
from app.services import jobs
from app.settings import PROJECT, Settings

log = logging.getLogger("wusetu.jobs")

#: Old jobs are looked for so often, seconds.
TIDY = 600.0
#: So long a server that stops waits for its killed processes' locks to be free, seconds.
NOTICED = 10.0


class Runner:
    """The watching thread of one worker."""

    def __init__(self, engine: sa.Engine, url: str, settings: Settings) -> None:
        self._engine = engine
        self._url = url
        self._settings = settings
        self._over = threading.Event()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._tidied = -TIDY
        self._thread = threading.Thread(target=self._run, name="job-runner", daemon=True)

    def start(self) -> None:
        """Begin."""
        if self._settings.jobs.at_once:
            self._thread.start()

    def stop(self) -> None:
        """End, and the processes with it; their jobs are interrupted."""
        self._over.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            children = dict(self._children)
        for child in children.values():
            with contextlib.suppress(ProcessLookupError):
                child.kill()
        for child in children.values():
            child.wait()
        if children:
            with contextlib.suppress(WusetuError, sa.exc.SQLAlchemyError):
                self._bury_all(list(children))

    def wake(self) -> None:
        """There is something to do: do not wait for the next look."""
        self._wake.set()

    def kill(self, job: int) -> None:
        """End the process of a job that was cancelled, when it is one of ours."""
        with self._lock:
            child = self._children.get(job)
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
        self._wake.set()

    def _run(self) -> None:
        silent = False
        while not self._over.is_set():
            try:
                self.look()
                silent = False
            except (WusetuError, sa.exc.SQLAlchemyError) as error:
                if not silent:
                    log.warning("jobs were not looked after: %s", type(error).__name__)
                silent = True
            self._wake.wait(self._settings.jobs.look_seconds)
            self._wake.clear()

    def look(self) -> None:
        """Look once: at processes that have ended, at what waits, at what is old."""
        with self._lock:
            ended = [job for job, child in self._children.items() if child.poll() is not None]
            codes = [(one, self._children.pop(one).returncode) for one in ended]
        for one, code in codes:
            if code:
                log.info("the process of job %s ended with %s", one, code)
            # it may have gone before it took the job up
            with transaction(self._engine) as connection:
                jobs.fail(
                    connection, one, "interrupted", "its process could not be started",
                    states=("queued",),
                )  # fmt: skip
        self._bury()
        while not self._over.is_set():
            with transaction(self._engine) as connection:
                job = jobs.claim_next(connection, self._settings.jobs)
            if job is None:
                break
            self._start(job)
        if time.monotonic() - self._tidied > TIDY:
            with transaction(self._engine) as connection:
                jobs.forget_old(connection)
            self._tidied = time.monotonic()

    def _bury_all(self, killed: list[int]) -> None:
        # a database notices only after a moment that who held a lock is gone
        end = time.monotonic() + NOTICED
        while True:
            self._bury()
            with transaction(self._engine) as connection:
                if not jobs.any_running(connection, killed):
                    return
            if time.monotonic() > end:  # the next server to start says it
                return
            time.sleep(0.05)

    def _bury(self) -> None:
        with transaction(self._engine) as connection:
            for job in jobs.bury(connection):
                log.warning("job %s was interrupted", job)

    def _start(self, job: int) -> None:
        settings = self._settings
        environment = {
            **os.environ,
            "WUSETU_DATABASE_URL": self._url,
            "WUSETU_DATA_DIR": str(settings.data_dir),
            "WUSETU_TIME_ZONE": settings.time_zone,
            "WUSETU_JOBS_LONGEST_SECONDS": str(settings.jobs.longest_seconds),
            "WUSETU_LOG": settings.log,
        }
        with self._lock:
            if self._over.is_set():
                return
            self._children[job] = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "app.services.job_process", str(job)],
                env=environment,
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        threading.Thread(target=self._await, args=(self._children[job],), daemon=True).start()

    def _await(self, child: subprocess.Popen[bytes]) -> None:
        child.wait()
        self._wake.set()  # its place is free
