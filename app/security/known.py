"""Sessions and tokens that were looked up, kept in memory until the database says otherwise.

The same rules as `app.services.kept`: what was read in an older generation is never kept, and while
nobody listens to the database's announcements every request asks the database. Times are counted
by the monotonic clock, so a jump of the wall clock ends no session and prolongs none.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from app.security.identity import Identity


@dataclass
class Known:
    """A session or token as it was looked up.

    Parameters
    ----------
    identity : who it is
    number : of the session or token
    ends : monotonic time of its absolute end
    idle : seconds it may go unused; None: as long as it likes (tokens)
    used : monotonic time of its last use known here
    noted : monotonic time its use was last written to the database
    """

    identity: Identity
    number: int
    ends: float
    idle: float | None
    used: float
    noted: float
    proven: float = field(default_factory=time.monotonic)

    def ended(self, now: float) -> bool:
        """Whether it is over for good."""
        return now >= self.ends

    def slept(self, now: float) -> bool:
        """Whether it went unused for too long, as far as this process knows."""
        return self.idle is not None and now >= self.used + self.idle


class KnownDoors:
    """Least recently used sessions and tokens by digest; threads may share it.

    Parameters
    ----------
    size : most kept
    grace : seconds a session may still read while the database does not answer
    """

    def __init__(self, size: int = 4096, grace: float = 900) -> None:
        self.size = size
        self.grace = grace
        self.live = False
        self.generation = 0
        self._lock = threading.Lock()
        self._found: OrderedDict[bytes, Known] = OrderedDict()

    def find(self, digest: bytes) -> Known | None:
        """Session or token, when it may be believed without asking."""
        with self._lock:
            found = self._found.get(digest) if self.live else None
            if found is not None:
                self._found.move_to_end(digest)
            return found

    def last(self, digest: bytes) -> Known | None:
        """Return what was known before the database fell silent, while the grace lasts.

        Nothing can be revoked in a database that does not answer; the grace bounds what a broken
        line to a healthy database could hide.
        """
        with self._lock:
            found = None if self.live else self._found.get(digest)
        if found is None or time.monotonic() > found.proven + self.grace:
            return None
        return found

    def keep(self, digest: bytes, known: Known, generation: int) -> None:
        """Keep what was read in a transaction that began in `generation`."""
        with self._lock:
            if generation != self.generation:
                return
            self._found[digest] = known
            self._found.move_to_end(digest)
            while len(self._found) > self.size:
                self._found.popitem(last=False)

    def forget(self, digest: bytes) -> None:
        """Forget one."""
        with self._lock:
            self.generation += 1
            self._found.pop(digest, None)

    def renew(self, *, live: bool) -> None:
        """Start a new generation; forget everything, except when only the line was lost."""
        with self._lock:
            self.generation += 1
            if live:
                self._found.clear()
            self.live = live

    def announced(self, payload: str) -> None:  # noqa: ARG002
        """Forget everything: accounts, sessions or tokens changed."""
        with self._lock:
            self.generation += 1
            self._found.clear()
