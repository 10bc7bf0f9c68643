"""When a client goes away, what runs for it stops.

Raw ASGI, inside of what is answered from memory. Promises: when the client of a question (GET, or
about an area) hangs up, its running statement is cancelled in the database and later ones are not
begun, so that connection and thread are free for others; changes are never cut short.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import psycopg2
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import WusetuError
from app.security.limits import AREA

log = logging.getLogger("wusetu.web")

#: Between two statements there is nothing to cancel: try again.
AGAIN = 0.1


class ClientGone(WusetuError):
    """Nobody waits for the answer any more."""

    code = "client_gone"
    status = 499


class Running:
    """The database connections that work for one request; several threads may use it."""

    def __init__(self) -> None:
        self.gone = False
        self._lock = threading.Lock()
        self._connections: list[Any] = []

    @contextlib.contextmanager
    def using(self, connection: Any) -> Iterator[None]:
        """Let the psycopg2 connection be cancelled while the block runs.

        Raises
        ------
        ClientGone
            There is nobody to work for.
        """
        with self._lock:
            if self.gone:
                raise ClientGone("the client went away")
            self._connections.append(connection)
        try:
            yield
        finally:
            # waits for a cancel under way: it must not hit the connection's next user
            with self._lock:
                self._connections.remove(connection)

    def cancel(self) -> bool:
        """Cancel what runs now; whether there was something."""
        with self._lock:
            self.gone = True
            for one in self._connections:
                try:
                    one.cancel()
                except psycopg2.Error as error:
                    log.warning("a statement was not cancelled: %s", type(error).__name__)
            return bool(self._connections)


RUNNING: ContextVar[Running | None] = ContextVar("wusetu_running", default=None)


def client_gone() -> bool:
    """Whether nobody waits for the present request any more."""
    running = RUNNING.get()
    return running is not None and running.gone


@contextlib.contextmanager
def cancellable(connection: Any) -> Iterator[None]:
    """Let the present request's leaving client cancel a psycopg2 connection."""
    running = RUNNING.get()
    if running is None:
        yield
    else:
        with running.using(connection):
            yield


class Leaving:
    """Middleware that watches for the client's hanging up."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and give up when nobody waits any more."""
        if scope["type"] != "http" or not (scope["method"] == "GET" or AREA.match(scope["path"])):
            await self.app(scope, receive, send)
            return
        running = Running()
        messages: asyncio.Queue[Message] = asyncio.Queue()
        token = RUNNING.set(running)
        giving_up = anyio.CancelScope()

        async def watch() -> None:
            # bodies are whole and small here, see `limits`
            while (message := await receive())["type"] != "http.disconnect":
                messages.put_nowait(message)
            messages.put_nowait(message)
            if over:
                return
            giving_up.cancel()
            while await asyncio.to_thread(running.cancel):
                await asyncio.sleep(AGAIN)

        over = False

        async def sending(message: Message) -> None:
            nonlocal over
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                over = True  # a client that hangs up now has what it wanted
            await send(message)

        watching = asyncio.create_task(watch())
        try:
            with giving_up:
                await self.app(scope, messages.get, sending)
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            RUNNING.reset(token)
