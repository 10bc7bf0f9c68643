"""What every answer carries: request id, security headers, and a last net for unexpected errors.

Raw ASGI, so that it costs next to nothing per tile. Promises: no answer without `X-Request-ID`;
no answer may be kept unless its route says so; HEAD is GET without the body; an error nobody
expected becomes the one error body with status 500, its full trace goes to the log, and nothing of
it to the client.
"""

from __future__ import annotations

import logging
import re
import uuid

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.models import ErrorBody

log = logging.getLogger("wusetu.web")

# MapLibre runs its workers from blob: URLs and draws images from data: and blob: URLs. Inline
# style attributes (chart tool tips) are allowed, inline <style> and any inline script are not.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "worker-src 'self' blob:",
        "child-src 'self' blob:",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "style-src 'self'",
        "style-src-attr 'unsafe-inline'",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "SAMEORIGIN",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(self)",
}
# A proxy may pass its own id on; anything that could break a log line is replaced.
_SAFE_ID = re.compile(rb"^[A-Za-z0-9._-]{1,64}$")


def request_id(scope: Scope) -> str:
    """Id of this request, as set by the envelope."""
    found: str = scope.get("state", {}).get("request_id", "-")
    return found


def error_answer(status: int, body: ErrorBody) -> JSONResponse:
    """Make the one JSON error body an answer; never cached. 429 and 503 say when to come back."""
    headers = {"Cache-Control": "no-store"}
    if status in {429, 503}:
        headers["Retry-After"] = "5"
    return JSONResponse(body.model_dump(mode="json"), status_code=status, headers=headers)


def _never_kept(scope: Scope, headers: MutableHeaders) -> None:
    """Let nobody keep what belongs to a jurisdiction: the next one at this screen may have another.

    On a single machine there is only one, and keeping saves asking.
    """
    identity = scope["state"].get("identity")
    if identity is not None and identity.how == "single":
        return
    said = headers.get("Cache-Control", "")
    if said.startswith("private"):
        headers["Cache-Control"] = "private, no-store"
    elif said.startswith("public") and scope["path"].startswith(("/tiles/", "/api/")):
        # the same for everyone who may come in: a browser may keep it, what stands between may not
        headers["Cache-Control"] = said.replace("public", "private", 1)


class Envelope:
    """Outermost middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, complete the answer's headers, catch what nobody caught."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        identity = given.decode("ascii") if _SAFE_ID.match(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = identity
        started = False
        public = scope["app"].state.settings.accounts.public_url
        secure = public is not None and public.startswith("https:")
        # every address that answers GET answers HEAD (RFC 9110 9.3.2): monitors ask that way
        head = scope["method"] == "HEAD"
        inner = {**scope, "method": "GET"} if head else scope

        async def complete(message: Message) -> None:
            nonlocal started
            if head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = identity
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                if secure:
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
                headers.setdefault("Cache-Control", "private, no-cache")
                _never_kept(scope, headers)
            await send(message)

        try:
            await self.app(inner, receive, complete)
        except Exception:
            # the address may hold a place; the route says where in the program to look
            route = scope["state"].get("route", "no route")
            log.exception("request %s: %s %s", identity, scope["method"], route)
            if started:  # half an answer is on its way: only cutting the line tells the client
                raise
            body = ErrorBody(
                code="internal",
                message="something went wrong inside; quote the request id to your administrator",
                request_id=identity,
            )
            await error_answer(500, body)(scope, receive, complete)
