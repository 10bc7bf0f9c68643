"""The last answers about the map while the database is away, and said to be so.

Raw ASGI, inside of compression. What is asked of the map most (`SPARED`) is copied as it is given;
when the database is not heard any more the copy is given at once, when it is heard but cannot
answer the copy replaces its 503. Promises: a copy is given only to the jurisdiction it was made for
and only for what the account may do; it always carries `X-Wusetu-Stale: <since, ISO time>`; none
is given after its run was heard to go. Values have their own copies (`fast_values`).
"""

from __future__ import annotations

import re
from datetime import datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.security.identity import Identity
from app.services.kept import Kept, Spare, address
from app.services.metrics import Metrics

STALE = b"x-wusetu-stale"
SPARED = re.compile(
    r"/api/manifest|/api/runs/[0-9]+/(summary|ranking|units/[^/]+/(why|series))", re.ASCII
)
#: Larger answers are not copied, bytes.
LARGEST = 256_000
_KEPT_HEADERS = frozenset({b"content-type", b"etag", b"cache-control"})


def mark(scope: Scope, since: datetime) -> tuple[bytes, bytes]:
    """Header of a stale answer; it is counted, too."""
    metrics: Metrics = scope["app"].state.metrics
    metrics.stale.inc()
    return STALE, since.isoformat(timespec="seconds").encode()


class StaleAnswers:
    """Middleware that copies answers and gives the copies while the database is away."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and copy or replace the answer."""
        if (
            scope["type"] != "http"
            or scope["method"] != "GET"
            or not SPARED.fullmatch(scope["path"])
        ):
            await self.app(scope, receive, send)
            return
        identity: Identity = scope["state"]["identity"]
        if not identity.may("see_map"):
            await self.app(scope, receive, send)
            return
        kept: Kept = scope["app"].state.kept
        name = address(identity, f"{scope['path']}?{scope['query_string'].decode('latin-1')}")
        if kept.lost is not None and (found := kept.spared(name)) is not None:
            await _give(scope, send, found)
            return
        generation = kept.generation  # before the transaction begins
        if kept.live and not kept.has_spare(name):
            # a 304 would leave nothing to copy; what routing notes in the scope must stay in ours
            scope["headers"] = [one for one in scope["headers"] if one[0] != b"if-none-match"]
        watch = _Watch(send)
        await self.app(scope, receive, watch)
        if watch.status in {200, 304}:
            kept.well()
        if watch.failed is not None:
            found = kept.spared(name)
            if found is None:
                for message in watch.failed:
                    await send(message)
            else:
                await _give(scope, send, found)
        elif watch.copy is not None:
            kept.spare(name, watch.copy, generation)
        elif watch.status not in {200, 304}:
            kept.spare(name, None, generation)


class _Watch:
    """Passes an answer on and copies it; holds a 503 back."""

    def __init__(self, send: Send) -> None:
        self.send = send
        self.status = 0
        self.failed: list[Message] | None = None
        self.copy: Spare | None = None
        self._headers: tuple[tuple[bytes, bytes], ...] = ()
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.status == 503:
                self.failed = []
            self._headers = tuple(
                (key, value) for key, value in message["headers"] if key in _KEPT_HEADERS
            )
        elif self.status == 200 and len(self._body) <= LARGEST:
            self._body += message.get("body", b"")
            if not message.get("more_body") and len(self._body) <= LARGEST:
                self.copy = Spare(self._headers, bytes(self._body))
        if self.failed is not None:
            self.failed.append(message)
            return
        await self.send(message)


async def _give(scope: Scope, send: Send, found: tuple[Spare, datetime]) -> None:
    answer, since = found
    # nobody may keep it: the next question shall find out whether the database is back
    headers = [one for one in answer.headers if one[0] != b"cache-control"]
    headers += [
        (b"cache-control", b"no-store"),
        mark(scope, since),
        (b"content-length", b"%d" % len(answer.body)),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
