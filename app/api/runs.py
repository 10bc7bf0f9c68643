"""Published runs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.api.dependencies import Run, StoreDep, errors
from app.api.models import RunInfo
from app.services import runs as service

router = APIRouter(prefix="/api/runs", tags=["runs"])


@router.get(
    "", operation_id="listRuns", summary="Published runs, newest first", responses=errors(422, 503)
)
def list_runs(
    store: StoreDep,
    pack: Annotated[
        str | None,
        Query(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Only runs of this map"),
    ] = None,
) -> list[RunInfo]:
    """All published runs, or those of one pack."""
    with store.read() as connection:
        return service.list_runs(connection, pack)


@router.get(
    "/{run}", operation_id="run", summary="One published run", responses=errors(404, 422, 503)
)
def run(run: Run, store: StoreDep) -> RunInfo:
    """Say what was assessed, when, and with which data."""
    with store.read() as connection:
        return service.run_info(connection, run)
