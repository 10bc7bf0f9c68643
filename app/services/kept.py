"""Answers about published runs, kept ready for the answer before routing.

A published run never changes, so an answer about it can only become wrong by the run's going. Who
fills the store says which generation its transaction began in; every announcement of the database
(`run_watch`) starts a new generation and forgets everything. An answer read in an older generation
is therefore never kept, and none outlives its run by more than the announcement takes. While
nobody listens (`live` is false) nothing is kept and nothing found: each request asks the database.

Apart from these, and never found by `find`, are answers for the time the database is away: what was
kept when the line was lost, and spare copies of others (`spare`). Whoever gives one (`last`) says
since when it may be out of date. They are forgotten as soon as a run is heard to go, and when the
line is back: something may have been missed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import UTC, datetime
from typing import NamedTuple

from app.security.identity import Identity


class Answer(NamedTuple):
    """One answer in both encodings, with the tag of its content."""

    etag: bytes
    body: bytes
    squeezed: bytes


class Spare(NamedTuple):
    """A whole answer with status 200, not compressed."""

    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def address(identity: Identity, path: str) -> str:
    """Name under which an answer is kept: two jurisdictions never share one."""
    return f"{identity.scope_key} {path}"


class Kept:
    """Least recently used answers by address; threads may share it.

    Parameters
    ----------
    size : most answers kept
    spares : most spare copies kept
    """

    def __init__(self, size: int = 512, spares: int = 1024) -> None:
        self.size = size
        self.spares = spares
        self.live = False
        self.generation = 0
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._last: OrderedDict[str, Answer] = OrderedDict()
        self._spares: OrderedDict[str, Spare] = OrderedDict()
        self._lost: datetime | None = None
        self._failing: datetime | None = None

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def lost(self) -> datetime | None:
        """Since when the database is not heard any more; None: it is heard, or never was."""
        return self._lost

    def find(self, address: str) -> Answer | None:
        """Answer of an address, when it is kept and may be believed."""
        with self._lock:
            found = self._answers.get(address) if self.live else None
            if found is not None:
                self._answers.move_to_end(address)
            return found

    def keep(self, address: str, answer: Answer, generation: int) -> None:
        """Keep an answer whose transaction began when `generation` was the present one."""
        with self._lock:
            if not self.live or generation != self.generation:
                return
            self._answers[address] = answer
            self._answers.move_to_end(address)
            while len(self._answers) > self.size:
                self._answers.popitem(last=False)

    def last(self, address: str) -> tuple[Answer, datetime] | None:
        """Answer kept when the line was lost, and when that was; None while the line is there."""
        with self._lock:
            found = self._last.get(address)
            return None if found is None or self._lost is None else (found, self._lost)

    def spare(self, address: str, answer: Spare | None, generation: int) -> None:
        """Have a copy for the time the database is away, of what was read in `generation`.

        None forgets the copy: there is no such answer any more.
        """
        with self._lock:
            if answer is None:
                self._spares.pop(address, None)
            elif self.live and generation == self.generation:
                self._spares[address] = answer
                self._spares.move_to_end(address)
                while len(self._spares) > self.spares:
                    self._spares.popitem(last=False)

    def well(self) -> None:
        """Note that the database answered: failures from now on are new ones."""
        self._failing = None

    def has_spare(self, address: str) -> bool:
        """Whether there is a copy."""
        return address in self._spares

    def spared(self, address: str) -> tuple[Spare, datetime] | None:
        """Copy of an answer the database cannot give now, and since when it could not.

        To be asked when the line is lost, or after the database failed to answer.
        """
        with self._lock:
            found = self._spares.get(address)
            if found is None:
                return None
            if self._lost is not None:
                return found, self._lost
            # heard, but busy, slow or out of connections
            self._failing = self._failing or datetime.now(UTC)
            return found, self._failing

    def renew(self, *, live: bool) -> None:
        """Start a new generation; from now on announcements are heard (`live`) or not."""
        with self._lock:
            self.generation += 1
            if live:
                self._forget()
            elif self.live:
                self._last, self._answers = self._answers, OrderedDict()
                self._lost = datetime.now(UTC)
            self.live = live

    def announced(self, payload: str) -> None:  # noqa: ARG002
        """Forget everything: a run went."""
        with self._lock:
            self.generation += 1
            self._forget()

    def _forget(self) -> None:
        self._answers.clear()
        self._last.clear()
        self._spares.clear()
        self._lost = self._failing = None
