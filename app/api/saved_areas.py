"""Named areas and their notes over HTTP: wiring only."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from app.api.account_store import ERRORS
from app.api.analysis_models import NewNote, NewSavedArea, Note, SavedArea, SavedAreaChange
from app.api.dependencies import NO_STORE, AskDep, errors
from app.services import saved_areas as service

router = APIRouter(prefix="/api/areas", tags=["analysis"])

Number = Annotated[int, Path(ge=1, le=2**53 - 1, description="Number of the saved area")]
PackQuery = Annotated[
    str | None,
    Query(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Only of this map; none: of all"),
]
CONFLICT: dict[int | str, dict[str, Any]] = {409: ERRORS[409]}


def _zone(request: Request, response: Response) -> str:
    response.headers["Cache-Control"] = NO_STORE
    zone: str = request.app.state.settings.time_zone
    return zone


@router.get(
    "",
    operation_id="listSavedAreas",
    summary="Saved areas, newest first",
    responses=errors(422, 503),
)
def list_saved_areas(
    request: Request, response: Response, store: AskDep, pack: PackQuery = None
) -> list[SavedArea]:
    """List one's own and those shared inside one's jurisdiction; those that ended are gone."""
    with store.read() as connection:
        return service.listed(connection, _zone(request, response), pack)


@router.post(
    "",
    operation_id="saveArea",
    summary="Keep an area under a name",
    status_code=201,
    responses={**errors(404, 422, 503), **CONFLICT},
)
def save_area(body: NewSavedArea, request: Request, response: Response, store: AskDep) -> SavedArea:
    """Keep an area as it is asked; text that looks like a person's number is refused (422)."""
    with store.write() as connection:
        return service.create(connection, _zone(request, response), body, store.identity)


@router.get(
    "/{area}", operation_id="savedArea", summary="A saved area", responses=errors(404, 422, 503)
)
def saved_area(area: Number, request: Request, response: Response, store: AskDep) -> SavedArea:
    """Answer one area."""
    with store.read() as connection:
        return service.one(connection, _zone(request, response), area)


@router.patch(
    "/{area}",
    operation_id="changeSavedArea",
    summary="Change a saved area of one's own",
    responses=errors(404, 422, 503),
)
def change_saved_area(
    area: Number, body: SavedAreaChange, request: Request, response: Response, store: AskDep
) -> SavedArea:
    """Change name, purpose, scope, last day or the area itself."""
    with store.write() as connection:
        return service.change(connection, _zone(request, response), area, body)


@router.delete(
    "/{area}",
    operation_id="deleteSavedArea",
    summary="Delete a saved area of one's own",
    status_code=204,
    responses=errors(404, 422, 503),
)
def delete_saved_area(area: Number, request: Request, response: Response, store: AskDep) -> None:
    """Delete it with its notes."""
    with store.write() as connection:
        service.delete(connection, _zone(request, response), area)


@router.get(
    "/{area}/notes",
    operation_id="areaNotes",
    summary="Notes of a saved area",
    responses=errors(404, 422, 503),
)
def area_notes(area: Number, request: Request, response: Response, store: AskDep) -> list[Note]:
    """List them, oldest first."""
    with store.read() as connection:
        return service.notes(connection, _zone(request, response), area)


@router.post(
    "/{area}/notes",
    operation_id="addAreaNote",
    summary="Add a note to a saved area",
    status_code=201,
    responses={**errors(404, 422, 503), **CONFLICT},
)
def add_area_note(
    area: Number, body: NewNote, request: Request, response: Response, store: AskDep
) -> Note:
    """Add a note; text that looks like a person's number is refused (422)."""
    with store.write() as connection:
        return service.add_note(connection, _zone(request, response), area, body)
