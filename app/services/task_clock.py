"""The clock of tasks: late ones are marked and escalated, the outside platform is told, runs are looked at.

Months of checks that are over are evaluated, too. One thread per worker; what it does is elected by locks of the database, so that many workers do it once.
"""

from __future__ import annotations

import logging
import threading

import sqlalchemy as sa

from app.database import translated_errors
from app.services import alerts, evaluation_clock, indicator_alerts, task_push
from app.services.task_keys import Keys

log = logging.getLogger("wusetu.tasks")

TICK = 2.0  # seconds between looks whether a task is late or a step waits to be told
CATCH_UP = 30  # ticks between looks for runs that were not looked at
EVALUATE = 300  # ticks between looks whether a month of checks is to be evaluated


class TaskClock:
    """The thread.

    Parameters
    ----------
    engine : of the installation itself
    keys : secrets of outside platforms
    zone : time zone of the installation
    """

    def __init__(self, engine: sa.Engine, keys: Keys, zone: str) -> None:
        self._engine = engine
        self._keys = keys
        self._zone = zone
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="task-clock", daemon=True)

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
            rounds += 1
            try:
                late(self._engine)
                if self._keys:
                    task_push.send(self._engine, self._keys)
                if rounds % CATCH_UP == 0:
                    alerts.catch_up(self._engine)
                    indicator_alerts.catch_up(self._engine, zone=self._zone)
                if rounds % EVALUATE == 0:
                    evaluation_clock.evaluate_due(self._engine, zone=self._zone)
                failed = False
            except Exception as error:  # whatever it is: the clock is for every map
                if not failed:  # once per failure
                    log.warning("the clock of tasks stands still: %s", type(error).__name__)
                failed = True


def late(engine: sa.Engine) -> int:
    """Mark late tasks and escalate them; how many steps."""
    with translated_errors(), engine.begin() as connection:
        found: int = connection.execute(sa.text("select task_time()")).scalar_one()
        return found
