"""Health of the loop over HTTP. Wiring only."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.api.dependencies import NO_STORE, StoreDep, Within, errors
from app.api.task_models import Loop
from app.services import loop as service
from app.services.small_numbers import sees_small

router = APIRouter(tags=["tasks"])


@router.get(
    "/api/loop",
    operation_id="loopHealth",
    summary="How alerts become tasks and tasks are answered",
    responses=errors(422, 503),
)
def loop_health(
    *,
    request: Request,
    response: Response,
    store: StoreDep,
    pack: Annotated[str, Query(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Map")],
    from_: Annotated[
        date | None, Query(alias="from", description="First day, of the map's time zone")
    ] = None,
    to: Annotated[date | None, Query(description="Day after the last")] = None,
    within: Within = None,
) -> Loop:
    """Volume, how far tasks came, how long it took, what was found, what it changed.

    Days are those of the map's time zone. Who may not see records is given no count of 1 to 4 events.
    """
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        return service.health(
            connection, pack, from_, to, within,
            zone=request.app.state.settings.time_zone, small=sees_small(store.identity),
        )  # fmt: skip
