"""Values of a map that were asked before, answered in raw ASGI before routing.

Switching kind or period asks for one small byte string that many browsers share. The ordinary
route (`assessments.values`) makes it and keeps it in `app.state.kept`; from then on it is answered
here until the run goes. Only plain `GET`s without a query are answered: everything else, and every
error, is the route's. While the database is away the last values are answered, marked as stale.
"""

from __future__ import annotations

from datetime import datetime

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.dependencies import PRIVATE, accepts_gzip, names_tag
from app.api.stale import mark
from app.security.identity import Identity
from app.services.kept import Answer, Kept, address

_COMMON = [
    (b"cache-control", PRIVATE.encode()),
    (b"vary", b"Accept-Encoding"),
    (b"content-type", b"application/octet-stream"),
]


VALUES = "/api/runs/{run}/values/{level}/{kind}/{period}/{ord}"
CELL_VALUES = "/api/runs/{run}/cells/{res}/values/{kind}/{period}/{ord}/{chunk}"


class FastValues:
    """Middleware that answers kept values and passes everything else on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from the kept answers, else pass on."""
        if (
            scope["type"] == "http"
            and scope["method"] == "GET"
            and not scope["query_string"]
            and scope["path"].startswith("/api/runs/")
        ):
            kept: Kept = scope["app"].state.kept
            identity: Identity = scope["state"]["identity"]
            if identity.may("see_map"):
                name = address(identity, scope["path"])
                if (found := kept.find(name)) is not None:
                    await _send(scope, send, found)
                    return
                if (last := kept.last(name)) is not None:
                    await _send(scope, send, *last)
                    return
        await self.app(scope, receive, send)


async def _send(scope: Scope, send: Send, found: Answer, since: datetime | None = None) -> None:
    parts = scope["path"].split("/")
    # /api/runs/{run}/values/… or /api/runs/{run}/cells/{res}/values/…
    scope["state"]["route"] = VALUES if parts[4] == "values" else CELL_VALUES
    accepted = tags = b""
    for name, value in scope["headers"]:
        if name == b"accept-encoding":
            accepted = value
        elif name == b"if-none-match":
            tags = tags + b"," + value if tags else value
    headers = [(b"etag", found.etag), *_COMMON]
    if since is not None:
        headers[1] = (b"cache-control", b"no-store")
        headers.insert(0, mark(scope, since))
    if tags and names_tag(tags, found.etag):
        await send({"type": "http.response.start", "status": 304, "headers": headers[:-1]})
        await send({"type": "http.response.body", "body": b""})
        return
    body = found.body
    if accepts_gzip(accepted):
        body = found.squeezed
        headers.append((b"content-encoding", b"gzip"))
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
