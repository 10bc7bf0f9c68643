"""Starts the private cluster again when it dies under a running server.

May import `app.cluster`. Promises: a cluster that was killed comes back by itself, with growing
pauses while it cannot; one that was stopped on purpose (`wusetu db stop`) stays stopped; nothing is
started any more once `stop` was called.
"""

from __future__ import annotations

import logging
import threading

from app.cluster import Cluster
from app.errors import WusetuError

log = logging.getLogger("wusetu.cluster")

#: Seconds between two looks; a look reads one small file and asks the system for one process.
LOOK = 1.0
#: Seconds to the next attempt after a failed one, doubling up to the longest.
PAUSE, LONGEST = 1.0, 60.0


class Guard:
    """The watching thread of one server.

    Parameters
    ----------
    cluster : the cluster the server runs on
    look, pause, longest : seconds, see above
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        look: float = LOOK,
        pause: float = PAUSE,
        longest: float = LONGEST,
    ) -> None:
        self._cluster = cluster
        self._look, self._pause, self._longest = look, pause, longest
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cluster-guard", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End; an attempt that is under way is waited for."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        wait, pause = self._look, self._pause
        dead = False  # an attempt that failed may have tidied up what told of the death
        while not self._stop.wait(wait):
            try:
                if not dead and not self._cluster.died():
                    continue
                if not dead:
                    log.warning("PostgreSQL died; it is started again")
                dead = True
                self._cluster.start()
                log.warning("PostgreSQL runs again")
                wait, pause, dead = self._look, self._pause, False
            except (WusetuError, OSError) as error:
                log.warning("PostgreSQL cannot be started: %s", error)
                wait, pause = pause, min(2 * pause, self._longest)
