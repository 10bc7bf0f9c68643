"""The process of one job: takes it up, computes, stores the result. Run by `job_runner`.

Promises: it works with the jurisdiction the job was asked with; it holds the job's advisory lock as
long as it runs, so that others see when it is gone; a job that was cancelled, or has taken too
long, ends it at once, whatever it is computing; nothing is stored but whole results.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module

import sqlalchemy as sa

from app.api.job_models import JobQuestion, Step
from app.api.treaty_models import PooledQuestion
from app.database import (
    claim,
    make_engine,
    make_web_engine,
    resolve_url,
    transaction,
    translated_errors,
)
from app.errors import WusetuError
from app.logs import configure
from app.services import job_pooled, jobs
from app.services.areas import Areas
from app.services.caches import Caches
from app.services.job_ground import Study
from app.services.job_work import Outcome, Work
from app.settings import Settings, load

log = logging.getLogger("wusetu.jobs")

#: Pause between two looks whether the job is still wanted, seconds.
LOOK = 0.2
#: Exit codes: done or nothing to do; failed and said so; not wanted any more.
DONE, FAILED, UNWANTED = 0, 1, 4


class Watch:
    """Writes progress and looks whether the job is wanted, in a thread of its own."""

    def __init__(self, engine: sa.Engine, job: int, longest: float) -> None:
        self._engine = engine
        self._job = job
        self._end = time.monotonic() + longest
        self._state: tuple[float, Step] = (0.0, "opening")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="job-watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End: from now on the caller decides what becomes of the job."""
        self._over.set()
        self._thread.join()

    def said(self, progress: float, step: Step) -> None:
        """Note how far the job is; never goes back."""
        self._state = (max(progress, self._state[0]), step)

    def _run(self) -> None:
        while not self._over.wait(LOOK):
            progress, step = self._state
            try:
                with transaction(self._engine) as connection:
                    wanted = jobs.report(connection, self._job, progress, step)
                    if wanted and time.monotonic() > self._end:
                        jobs.fail(connection, self._job, "too_long", "it took too long; narrow it")
                        wanted = False
            except WusetuError:
                wanted = False  # without the database nothing can be stored either
            if not wanted and not self._over.is_set():
                os._exit(UNWANTED)  # kernels may not be asked


@contextmanager
def _held(engine: sa.Engine, job: int) -> Iterator[bool]:
    """Hold the job's lock; False when another process does."""
    key = {"space": jobs.LOCK_SPACE, "key": job % 2147483647}
    with (
        translated_errors(),
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
    ):
        mine = bool(connection.scalar(sa.text("select pg_try_advisory_lock(:space, :key)"), key))
        try:
            yield mine
        finally:
            if mine:
                connection.execute(sa.text("select pg_advisory_unlock(:space, :key)"), key)


Read = Callable[[], AbstractContextManager[sa.Connection]]


def reader(engine: sa.Engine, scope: tuple[str, ...] | None) -> Read:
    """Make transactions that read what a jurisdiction may see."""

    @contextmanager
    def read() -> Iterator[sa.Connection]:
        with transaction(engine) as connection:
            connection.exec_driver_sql("set transaction isolation level repeatable read, read only")
            claim(connection, scope)
            yield connection

    return read


def compute(
    engines: tuple[sa.Engine, sa.Engine],
    settings: Settings,
    question: JobQuestion,
    scope: tuple[str, ...] | None,
    work: Work,
) -> Outcome:
    """Answer a job's question; the same question on the same data is the same answer.

    Parameters
    ----------
    engines : of the installation itself, for snapshots, and of the web, for all else

    Raises
    ------
    WusetuError
        It makes no sense, or cannot be answered.
    """
    owner, web = engines
    areas = Areas(reader(owner, None), Caches(), settings.data_dir, settings.time_zone)
    study = Study(areas, reader(web, scope), question, scope, work.said)
    found = import_module(f"app.services.job_{question.type}").run(study, question, work)
    return found if isinstance(found, Outcome) else Outcome(found)


def _store(connection: sa.Connection, job: int, outcome: Outcome) -> None:
    """Store what was found and say done; nothing when the job is not wanted any more."""
    result = outcome.result
    if outcome.keep is not None:
        if not jobs.hold(connection, job):
            return
        result = outcome.keep(connection)
    parts = {"json": result.model_dump_json().encode()}
    parts |= {
        name: part
        for name, part in (("tif", outcome.tif), ("png", outcome.png))
        if part is not None
    }
    jobs.finish(
        connection, job,
        method=result.method, run=result.run, rows=result.events, parts=parts,
    )  # fmt: skip


def work_on(settings: Settings, url: str, job: int) -> int:
    """Take a job up and end it; returns the exit code."""
    engine = make_engine(url, settings.database)
    with _held(engine, job) as mine:
        if not mine:
            return DONE
        with transaction(engine) as connection:
            row = jobs.begin(connection, job)
        if row is None:
            return DONE
        watch = Watch(engine, job, settings.jobs.longest_seconds)
        watch.start()
        try:
            work = Work(watch.said, lambda: False)
            if row.question["type"] == "pooled":
                pooled = PooledQuestion.model_validate_json(json.dumps(row.question))
                outcome = job_pooled.run(engine, settings.time_zone, pooled, work)
            else:
                question = jobs.QUESTION.validate_python(row.question)
                scope = None if row.prefixes is None else tuple(row.prefixes)
                web = make_web_engine(url, settings.database)
                outcome = compute((engine, web), settings, question, scope, work)
            watch.said(0.98, "storing")
            watch.stop()
            with transaction(engine) as connection:
                _store(connection, job, outcome)
        except WusetuError as error:
            watch.stop()
            with transaction(engine) as connection:
                jobs.fail(connection, job, error.code, error.message)
            return FAILED
        except Exception:
            watch.stop()
            log.exception("job %s", job)
            with transaction(engine) as connection:
                jobs.fail(
                    connection, job, "internal",
                    f"something went wrong inside; tell your administrator: job {job}",
                )  # fmt: skip
            return FAILED
    return DONE


def main() -> None:
    """`python -m app.services.job_process JOB`."""
    settings = load()
    configure(settings.log)
    os.nice(5)  # questions of people who wait come first
    sys.exit(work_on(settings, resolve_url(settings), int(sys.argv[1])))


if __name__ == "__main__":
    main()
