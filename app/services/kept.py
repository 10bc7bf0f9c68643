"""Answers about published runs, kept ready for the answer before routing.

A published run never changes, so an answer about it can only become wrong by the run's going. Who
fills the store says which generation its transaction began in; every announcement of the database
(`run_watch`) starts a new generation and forgets everything. An answer read in an older generation
is therefore never kept, and none outlives its run by more than the announcement takes. While
nobody listens (`live` is false) nothing is kept and nothing found: each request asks the database.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

from app.security.identity import Identity


class Answer(NamedTuple):
    """One answer in both encodings, with the tag of its content."""

    etag: bytes
    body: bytes
    squeezed: bytes


def address(identity: Identity, path: str) -> str:
    """Name under which an answer is kept: two jurisdictions never share one."""
    return f"{identity.scope_key} {path}"


class Kept:
    """Least recently used answers by address; threads may share it.

    Parameters
    ----------
    size : most answers kept
    """

    def __init__(self, size: int = 512) -> None:
        self.size = size
        self.live = False
        self.generation = 0
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, Answer] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

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

    def renew(self, *, live: bool) -> None:
        """Forget everything; from now on announcements are heard (`live`) or not."""
        with self._lock:
            self.generation += 1
            self.live = live
            self._answers.clear()

    def announced(self, payload: str) -> None:  # noqa: ARG002
        """Forget everything: a run went."""
        self.renew(live=self.live)
