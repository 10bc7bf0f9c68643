"""How much one request, one account and one worker may take.

Raw ASGI behind the doorkeeper and before everything that answers. Promises: nothing behind it sees
headers, an address or a body above the limits of the settings; a body is whole when the
application is called; one account cannot take what belongs to the others of the worker. All
memory is bounded; nothing is shared between workers, so `n` workers allow `n` times as much.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.envelope import error_answer, request_id
from app.api.models import ErrorBody
from app.errors import TooMany, Unavailable
from app.security.identity import Identity
from app.settings import LimitSettings, Settings

#: Questions whose bodies hold a shape, a photo, or rows of a feed.
AREA = re.compile(r"/api/packs/[^/]+/areas/|/api/tasks/[^/]+/photos$|/api/feeds/[^/]+/batches$")
#: Accounts remembered; the one not seen for longest is forgotten.
ACCOUNTS = 10_000


class Buckets:
    """Token buckets by account; used in one thread only.

    Parameters
    ----------
    rate : tokens that come per second; 0: everything is allowed
    burst : most tokens of one bucket
    clock : seconds that never go back
    """

    def __init__(
        self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.rate = rate
        self.burst = float(burst)
        self._clock = clock
        self._found: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> float:
        """Take a token; 0, or the seconds until there is one."""
        if not self.rate:
            return 0.0
        now = self._clock()
        tokens, at = self._found.pop(key, (self.burst, now))
        tokens = min(self.burst, tokens + (now - at) * self.rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self.rate
        self._found[key] = (tokens if wait else tokens - 1, now)
        while len(self._found) > ACCOUNTS:
            self._found.popitem(last=False)
        return wait


class Turns:
    """Turns for heavy work: few at once, fewer of one account, a short queue in order.

    Used in the event loop of one worker only.

    Parameters
    ----------
    jobs : most at once
    per_account : most at once of one account
    waiting : most that wait
    patience : seconds one waits at most
    """

    def __init__(self, jobs: int, per_account: int, waiting: int, patience: float) -> None:
        self.jobs = jobs
        self.per_account = per_account
        self.waiting = waiting
        self.patience = patience
        self.running: Counter[str] = Counter()
        self.queue: deque[tuple[str, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Wait for a turn, hold it while the block runs.

        Raises
        ------
        TooMany
            The account itself has too much under way.
        Unavailable
            The worker has.
        """
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (key, mine)
        self.queue.append(place)
        self._admit()
        if not mine.done() and len(self.queue) > self.waiting:
            self.queue.remove(place)
            raise self._busy(key)
        try:
            async with asyncio.timeout(self.patience):
                await mine
        except BaseException as error:
            if mine.done() and not mine.cancelled():  # given and given up at the same moment
                self._end(key)
            else:
                self.queue.remove(place)
            if isinstance(error, TimeoutError):
                raise self._busy(key) from error
            raise
        try:
            yield
        finally:
            self._end(key)

    def _busy(self, key: str) -> TooMany | Unavailable:
        seconds = max(1, math.ceil(self.patience / 2))
        if self.running[key] >= self.per_account:
            return TooMany(
                "this account has too many areas and exports under way; wait for them", seconds
            )
        busy = Unavailable("too many areas and exports are under way; try again")
        busy.retry_after = seconds
        return busy

    def _admit(self) -> None:
        for place in list(self.queue):
            if self.running.total() >= self.jobs:
                return
            key, future = place
            if self.running[key] < self.per_account and not future.done():
                self.queue.remove(place)
                self.running[key] += 1
                future.set_result(None)

    def _end(self, key: str) -> None:
        self.running[key] -= 1
        if not self.running[key]:
            del self.running[key]
        self._admit()


class Budgets:
    """Everything one worker counts."""

    def __init__(self, settings: LimitSettings) -> None:
        self.all = Buckets(settings.rate, settings.burst)
        self.heavy = Buckets(settings.heavy_rate, settings.heavy_burst)
        self.turns = Turns(
            settings.heavy_jobs,
            settings.heavy_per_account,
            settings.heavy_waiting,
            settings.heavy_wait_seconds,
        )

    @asynccontextmanager
    async def heavy_turn(self, identity: Identity) -> AsyncIterator[None]:
        """Hold a turn for heavy work.

        Raises
        ------
        TooMany, Unavailable
            The account or the worker has too much to do.
        """
        if identity.how != "single" and (wait := self.heavy.take(key_of(identity))):
            raise TooMany("too many areas and exports of this account; slow down", math.ceil(wait))
        async with self.turns.turn(key_of(identity)):
            yield


def key_of(identity: Identity) -> str:
    """Return what an identity's budget is kept under."""
    return str(identity.account) if identity.account is not None else identity.how


class Refusal(Exception):
    """The request goes beyond a limit."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Limits:
    """Middleware that refuses what is too large or too often."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on that keeps the limits, with its body whole."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        settings: Settings = scope["app"].state.settings
        identity = scope["state"].get("identity")
        try:
            has_body = _check_head(scope, settings.limits)
            if identity is not None and identity.how != "single":
                budgets: Budgets = scope["app"].state.budgets
                if wait := budgets.all.take(key_of(identity)):
                    body = _body(scope, "too_many", "too many requests of this account; slow down")
                    answer = error_answer(429, body)
                    answer.headers["Retry-After"] = str(math.ceil(wait))
                    await answer(scope, receive, send)
                    return
            if has_body:
                receive = await _whole_body(scope, receive, settings.limits)
        except Refusal as no:
            answer = error_answer(no.status, _body(scope, no.code, no.message))
            answer.headers["Connection"] = "close"  # what is still coming is not read
            await answer(scope, receive, send)
            return
        except Gone:
            return
        await self.app(scope, receive, send)


class Gone(Exception):
    """The client went away before its body was there."""


def _body(scope: Scope, code: str, message: str) -> ErrorBody:
    return ErrorBody(code=code, message=message, request_id=request_id(scope))


def _check_head(scope: Scope, limits: LimitSettings) -> bool:
    """Check headers, address and declared length; whether there is a body."""
    target = len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"])
    if target > limits.target_bytes:
        raise Refusal(
            414, "address_too_long", f"the address is longer than {limits.target_bytes:,} bytes"
        )
    size, has_body = 0, False
    for name, value in scope["headers"]:
        size += len(name) + len(value)
        if name == b"content-length":
            declared = int(value) if value.isdigit() and len(value) < 16 else 2**53
            if declared > body_limit(scope, limits):
                raise _too_large(scope, limits)
            has_body = has_body or declared > 0
        elif name == b"transfer-encoding":
            has_body = True
    if size > limits.header_bytes:
        raise Refusal(
            431, "headers_too_large", f"the headers are larger than {limits.header_bytes:,} bytes"
        )
    return has_body


def body_limit(scope: Scope, limits: LimitSettings) -> int:
    """Largest body of the address, bytes."""
    return limits.area_bytes if AREA.match(scope["path"]) else limits.body_bytes


def _too_large(scope: Scope, limits: LimitSettings) -> Refusal:
    most = body_limit(scope, limits)
    return Refusal(413, "too_large", f"the request is larger than {most:,} bytes")


async def _whole_body(scope: Scope, receive: Receive, limits: LimitSettings) -> Receive:
    """Read the body, never more of it than allowed; returns a `receive` that has it ready."""
    most = body_limit(scope, limits)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > most:
                    raise _too_large(scope, limits)
    except TimeoutError as error:
        raise Refusal(408, "too_slow", "the body of the request took too long to come") from error
    whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def ready() -> Message:
        return whole.pop() if whole else await receive()

    return ready
