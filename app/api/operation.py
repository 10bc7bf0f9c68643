"""What machines ask about the server: whether it lives, whether it is ready, its numbers."""

from __future__ import annotations

import threading
import time
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from app.api.dependencies import Door, Store, errors
from app.api.models import Alive, Ready
from app.errors import WusetuError
from app.security.identity import LOCAL
from app.services import health as health_service
from app.services import metrics as metrics_service
from app.services.metrics import Metrics

router = APIRouter(tags=["operation"])

NO_STORE = {"Cache-Control": "no-store"}
#: Strangers may ask this: the database is not asked more often.
PAUSE = 1.0
PATIENCE_MS = 2_000

AdministerDep = Annotated[Store, Depends(Door("administer"))]


class _Readiness:
    """The last finding, at most `PAUSE` seconds old."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._ready = False

    def ask(self, store: Store) -> bool:
        with self._lock:
            if time.monotonic() >= self._until:
                try:
                    with store.read() as connection:
                        self._ready = health_service.ready(connection)
                except (WusetuError, sa.exc.SQLAlchemyError):
                    self._ready = False
                self._until = time.monotonic() + PAUSE
            return self._ready


@router.get(
    "/api/health/live",
    operation_id="live",
    summary="Whether the server runs",
    responses=errors(422, 503),
)
async def live(response: Response) -> Alive:
    """Answered to anybody, without asking the database."""
    response.headers.update(NO_STORE)
    return Alive(live=True)


@router.get(
    "/api/health/ready",
    operation_id="ready",
    summary="Whether questions can be answered",
    response_model=Ready,
    responses={503: {"model": Ready, "description": "Not at the moment"}, **errors(422)},
)
def ready(request: Request) -> JSONResponse:
    """Answered to anybody, without details: the database answers and its schema is new enough.

    503 does not mean that nothing is served: tiles and what was asked before are, marked as stale.
    """
    state = request.app.state
    if not hasattr(state, "readiness"):
        state.readiness = _Readiness()
    store = Store(state.web, LOCAL, state.caches.of(LOCAL.scope_key), PATIENCE_MS)
    found = state.readiness.ask(store)
    return JSONResponse({"ready": found}, status_code=200 if found else 503, headers=NO_STORE)


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Numbers for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "Text format of Prometheus; requests by route template, never by address",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **errors(422, 503),
    },
)
def metrics(request: Request, store: AdministerDep) -> Response:
    """Of this worker: requests, durations, errors, pools, kept answers, age of snapshots and runs."""
    state = request.app.state
    found: Metrics = state.metrics
    own = Store(state.engine, store.identity, store.caches, PATIENCE_MS)
    found.observe({"web": state.web, "own": state.engine}, state.kept)
    try:
        # the web's role does not know of snapshots
        with own.read() as connection:
            rows = connection.execute(metrics_service.AGES).all()
    except (WusetuError, sa.exc.SQLAlchemyError):
        rows = None  # the other numbers matter most just then
    found.ages(rows)
    return Response(found.text(), headers={**NO_STORE, "Content-Type": CONTENT_TYPE_LATEST})
