"""The middleware at the door: finds out who asks, before anything answers.

Raw ASGI, between the envelope and everything that answers. Promises: nothing behind it is reached
without an `Identity` in `scope["state"]["identity"]`, except the few public addresses below; what
the client sends can never set that identity; an unsafe request of a session carries the session's
own CSRF token and comes from a page of ours.
"""

from __future__ import annotations

import logging
import time
from typing import Protocol
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.envelope import error_answer, request_id
from app.api.models import ErrorBody
from app.errors import Unavailable, WusetuError
from app.security.hosts import is_loopback, name_of, origin_of, same_site
from app.security.identity import LOCAL
from app.security.known import Known, KnownDoors
from app.security.secrets import LONGEST, TOKEN_PREFIX, csrf_of, digest, same
from app.settings import Settings

log = logging.getLogger("wusetu.security")

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Answered to anybody: they say nothing about the map.
PUBLIC = frozenset(
    {
        ("GET", "/login"),
        ("HEAD", "/login"),
        ("GET", "/mark.svg"),
        ("GET", "/api/health/live"),
        ("HEAD", "/api/health/live"),
        ("GET", "/api/health/ready"),
        ("HEAD", "/api/health/ready"),
        ("GET", "/api/session/ways"),
        ("POST", "/api/session"),
        ("POST", "/api/session/link"),
    }
)
#: Program code of the front end, and the way to and from an OpenID provider.
PUBLIC_FOLDERS = ("/assets/", "/api/oidc/")
#: Asked by probes that know the machine by any address.
ANY_HOST = frozenset({"/api/health/live", "/api/health/ready"})
CSRF_HEADER = b"x-csrf-token"


class Doors(Protocol):
    """What the doorkeeper asks about a secret (`app.services.accounts_doors`)."""

    known: KnownDoors

    def session(self, secret: str) -> Known | None:
        """Look up a session."""

    def token(self, secret: str) -> Known | None:
        """Look up a program's token."""

    def note_use(self, found: Known) -> None:
        """Write down that it was used."""


class Refused(Exception):
    """The request does not get in."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def cookie_name(settings: Settings, scheme: str, name: str = "session") -> str:
    """Name of a cookie of ours: with https the browser itself guards it (`__Host-`)."""
    return f"__Host-wusetu_{name}" if is_https(settings, scheme) else f"wusetu_{name}"


def is_https(settings: Settings, scheme: str) -> bool:
    """Whether people reach us by https: the public address says so, else the request."""
    public = settings.accounts.public_url
    return public.startswith("https:") if public else scheme == "https"


def cookie(headers: list[tuple[bytes, bytes]], name: str) -> str | None:
    """Value of a cookie; None when it is not there, or there twice with different values."""
    wanted = name.encode() + b"="
    found: set[bytes] = set()
    for key, value in headers:
        if key == b"cookie":
            for part in value.split(b";"):
                if (bare := part.strip()).startswith(wanted):
                    found.add(bare[len(wanted) :])
    if len(found) != 1:
        return None
    text = found.pop().decode("latin-1")
    return text if 0 < len(text) <= LONGEST else None


def _header(headers: list[tuple[bytes, bytes]], name: bytes) -> str | None:
    values = [value for key, value in headers if key == name]
    return b",".join(values).decode("latin-1") if values else None


class Doorkeeper:
    """Middleware that lets in who may come in."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the identity and pass on, or answer why not."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here speaks by web socket
            await send({"type": "websocket.close", "code": 1008})
            return
        state = scope.setdefault("state", {})
        state.pop("identity", None)
        settings: Settings = scope["app"].state.settings
        try:
            host = _own_host(scope, settings)
            _own_page(scope, settings, host)
            if settings.access == "single":
                _own_machine(scope)
                state["identity"] = LOCAL
                await self.app(scope, receive, send)
                return
            if _public(scope):
                await self.app(scope, receive, send)
                return
            found = await _identify(scope, settings)
        except Refused as no:
            await _refusal(scope, no)(scope, receive, send)
            return
        except WusetuError as error:  # the database does not answer
            body = ErrorBody(code=error.code, message=error.message, request_id=request_id(scope))
            answer = error_answer(error.status, body)
            answer.headers["Retry-After"] = "5"
            await answer(scope, receive, send)
            return
        state["identity"] = found.identity
        state["door"] = found
        await self.app(scope, receive, _varying(send))


def _own_host(scope: Scope, settings: Settings) -> str:
    """Return the `Host` header when it names us, against names rebound to this machine."""
    given = [value for key, value in scope["headers"] if key == b"host"]
    host = given[0].decode("latin-1") if len(given) == 1 else ""
    name = name_of(host)
    if scope["path"] in ANY_HOST:
        return host
    if name is not None and (is_loopback(name) or name in settings.server.names):
        return host
    public = settings.accounts.public_url
    if name is not None and public is not None and settings.access == "accounts":
        origin = origin_of(f"http://{host}"), origin_of(f"https://{host}")
        if origin_of(public) in origin or name == name_of(public.partition("://")[2]):
            return host
    raise Refused(
        421,
        "wrong_host",
        "this server is not known by this name; see WUSETU_SERVER_NAMES and "
        "WUSETU_ACCOUNTS_PUBLIC_URL",
    )


def _own_page(scope: Scope, settings: Settings, host: str) -> None:
    """Refuse what a page of another site makes a browser send."""
    if scope["method"] in SAFE_METHODS:
        return
    headers = scope["headers"]
    public = settings.accounts.public_url
    if not same_site(
        _header(headers, b"origin"),
        _header(headers, b"sec-fetch-site"),
        origin_of(public) if public else None,
        host,
    ):
        raise Refused(403, "csrf", "the request comes from a page of another site")


def _own_machine(scope: Scope) -> None:
    """Refuse connections from elsewhere: without accounts only this machine is served."""
    for place in (scope.get("server"), scope.get("client")):
        name = place[0] if place else None
        # names are not addresses: a socket in the file system, the client of the tests
        if name and name[0] in "0123456789:" and not is_loopback(name):
            raise Refused(
                403,
                "single_machine",
                "without accounts only this machine itself is served; see WUSETU_ACCESS",
            )


def _public(scope: Scope) -> bool:
    path: str = scope["path"]
    return (scope["method"], path) in PUBLIC or (
        # a step upwards would lead out of the folder, to files that are not public
        scope["method"] in {"GET", "HEAD"}
        and path.startswith(PUBLIC_FOLDERS)
        and not {".", ".."} & set(path.replace("\\", "/").split("/"))
    )


async def _identify(scope: Scope, settings: Settings) -> Known:
    """Session or token of the request.

    Raises
    ------
    Refused
        There is none, it is over, or an unsafe request lacks its CSRF token.
    Unavailable
        The database does not answer.
    """
    headers = scope["headers"]
    doors: Doors = scope["app"].state.doors
    given = [value for key, value in headers if key == b"authorization"]
    if given:
        kind, _, secret = given[0].decode("latin-1").partition(" ")
        secret = secret.strip()
        if (
            len(given) != 1
            or kind.lower() != "bearer"
            or not secret.startswith(TOKEN_PREFIX)
            or len(secret) > LONGEST
        ):
            raise Refused(401, "login_needed", "the Authorization header holds no token of ours")
        found = await _find(doors, secret, token=True, safe=scope["method"] in SAFE_METHODS)
        if found is None:
            raise Refused(401, "login_needed", "the token is unknown, over or revoked")
        return found
    name = cookie_name(settings, scope["scheme"])
    session = cookie(headers, name)
    found = None
    # a token is none of a browser's, also while it is known here as a token
    if session is not None and not session.startswith(TOKEN_PREFIX):
        found = await _find(doors, session, token=False, safe=scope["method"] in SAFE_METHODS)
    if session is None or found is None:
        raise Refused(401, "login_needed", "log in first")
    if scope["method"] not in SAFE_METHODS:
        repeated = _header(headers, CSRF_HEADER)
        if repeated is None or not same(repeated, csrf_of(session)):
            raise Refused(403, "csrf", "the header X-CSRF-Token is missing or not this session's")
    return found


async def _find(doors: Doors, secret: str, *, token: bool, safe: bool) -> Known | None:
    """Look a secret up, in memory when that may be believed."""
    key = digest(secret)
    found = doors.known.find(key)
    now = time.monotonic()
    if found is None or found.ended(now) or found.slept(now):
        look_up = doors.token if token else doors.session
        try:
            found = await run_in_threadpool(look_up, secret)
        except Unavailable:
            found = doors.known.last(key) if safe else None
            if found is None or found.ended(now) or found.slept(now):
                raise
    if found is not None:
        found.used = now
        if now > found.noted + NOTE_EVERY:
            found.noted = now
            await run_in_threadpool(doors.note_use, found)
    return found


NOTE_EVERY = 30.0  # seconds between notes that a session is in use


def _refusal(scope: Scope, no: Refused) -> Response:
    """Answer a refusal: pages go to the login page, everything else gets the error body."""
    path: str = scope["path"]
    if (
        no.status == 401
        and scope["method"] in {"GET", "HEAD"}
        and not path.startswith(("/api/", "/tiles/", "/metrics"))
        # other people's programs read it, and people do: only they are sent to log in
        and not (path.startswith("/ogc") and "text/html" not in _accepted(scope))
    ):
        wanted = path
        if scope["query_string"]:
            wanted += "?" + scope["query_string"].decode("latin-1")
        # the browser carries what stands after `#` over by itself
        to = "/login" if wanted == "/" else f"/login?next={quote(wanted, safe='/')}"
        return RedirectResponse(to, status_code=303, headers={"Cache-Control": "no-store"})
    body = ErrorBody(code=no.code, message=no.message, request_id=request_id(scope))
    answer = error_answer(no.status, body)
    if no.status == 401:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="wusetu"'
    return answer


def _accepted(scope: Scope) -> str:
    return _header(scope["headers"], b"accept") or ""


def _varying(send: Send) -> Send:
    """Let a browser not give one account's answer to the next one at the same desk."""

    async def vary(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if not any(
                key == b"cache-control" and value[:6] == b"public" for key, value in headers
            ):
                message = {**message, "headers": [*headers, (b"vary", b"Cookie, Authorization")]}
        await send(message)

    return vary
