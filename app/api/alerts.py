"""Alerts over HTTP. Wiring only."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from app.api.dependencies import NO_STORE, Door, Store, StoreDep, Within, errors
from app.api.task_models import Alert, AlertClose, AlertList, AlertState
from app.services import alerts_read as service
from app.services.border import now
from app.services.small_numbers import sees_small

router = APIRouter(prefix="/api/alerts", tags=["alerts"])
DispatchDep = Annotated[Store, Depends(Door("dispatch"))]
AlertNumber = Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of the alert")]
PackQuery = Annotated[
    str | None, Query(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Only of this map")
]


@router.get(
    "",
    operation_id="listAlerts",
    summary="Alerts of one's own units, the most urgent first",
    responses=errors(422, 503),
)
def list_alerts(
    *,
    response: Response,
    store: StoreDep,
    pack: PackQuery = None,
    state: Annotated[AlertState | None, Query(description="Only in this state")] = None,
    kind: Annotated[
        str | None, Query(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="Only of this kind")
    ] = None,
    within: Within = None,
    limit: Annotated[int, Query(ge=1, le=2000, description="At most so many")] = 500,
) -> AlertList:
    """Open ones first, those within the weekly budget before the rest; with steps and tasks.

    Who may not see records is given no count of 1 to 4.
    """
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        found = service.alerts(
            connection, pack=pack, state=state, kind=kind, within=within, limit=limit,
            small=sees_small(store.identity),
        )  # fmt: skip
        return AlertList(
            alerts=found, located_share=service.located_share(found), as_of=now(connection)
        )


@router.get(
    "/{alert}",
    operation_id="alert",
    summary="One alert",
    responses=errors(404, 422, 503),
)
def alert(*, alert: AlertNumber, response: Response, store: StoreDep) -> Alert:
    """With every step and its tasks."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        return service.one_alert(connection, alert, small=sees_small(store.identity))


@router.post(
    "/{alert}/close",
    operation_id="closeAlert",
    summary="Close an alert by hand",
    responses=errors(404, 409, 422, 503),
)
def close_alert(*, alert: AlertNumber, draft: AlertClose, store: DispatchDep) -> Alert:
    """Keep it closed for some periods; the reason is written down and audited."""
    with store.write() as connection:
        return service.close(connection, alert, draft.reason)
