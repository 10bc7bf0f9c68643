"""Counts and logs every answer, by the template of its route and never by the address asked.

Raw ASGI. `Telemetry` stands outside of everything, `RouteNote` inside of everything: what the
router found is known only there. The fast ways before routing say their template themselves.
"""

from __future__ import annotations

import logging
import time

from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.logs import ACCESS
from app.services.metrics import Metrics

log = logging.getLogger(ACCESS)

#: Where no route was reached: refused before, or there is none.
NONE = "none"


class RouteNote:
    """Innermost middleware: notes which route answers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; afterwards the router has left its route in the scope."""
        try:
            await self.app(scope, receive, send)
        finally:
            if scope["type"] == "http":
                route = scope.get("route")
                if isinstance(route, APIRoute):
                    scope["state"]["route"] = route.path
                elif not scope["path"].startswith(("/api/", "/tiles/")):
                    scope["state"]["route"] = "page"


class Telemetry:
    """Outermost middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, then count and log."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        metrics: Metrics = scope["app"].state.metrics
        status = 0  # cut before it began

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        begun = time.perf_counter()
        metrics.running.inc()
        try:
            await self.app(scope, receive, watch)
        finally:
            seconds = time.perf_counter() - begun
            metrics.running.dec()
            route = state.get("route", NONE)
            metrics.finished(route, scope["method"], status, seconds)
            if log.isEnabledFor(logging.INFO):
                identity = state.get("identity")
                log.info(
                    "answered",
                    extra={
                        "request_id": state.get("request_id"),
                        "method": scope["method"],
                        "route": route,
                        "status": status,
                        "ms": round(seconds * 1000, 2),
                        "account": getattr(identity, "account", None),
                    },
                )
