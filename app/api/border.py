"""The border over HTTP: lines, where a place is, desks, checkpoints. Wiring only."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app.api.border_models import (
    BorderLines,
    Checkpoint,
    CheckpointDraft,
    Desk,
    DeskDraft,
    PresenceDraft,
    PresenceList,
    Where,
)
from app.api.dependencies import NO_STORE, PRINTABLE, Door, Pack, Store, errors
from app.errors import Invalid
from app.services import border as service
from app.services import border_desks
from app.services import presence as presence_service

router = APIRouter(prefix="/api/packs/{pack}/border", tags=["border"])
BorderDep = Annotated[Store, Depends(Door("border:read"))]
ZoneWriteDep = Annotated[Store, Depends(Door("zone:write"))]
OnDutyDep = Annotated[Store, Depends(Door("check:write"))]


def borders_of(request: Request) -> service.Borders:
    """Return the maps and lines of the application."""
    found: service.Borders = request.app.state.borders
    return found


BordersDep = Annotated[service.Borders, Depends(borders_of)]


@router.get(
    "/lines",
    operation_id="borderLines",
    summary="Lines of one's own sides with their neighbours",
    responses=errors(404, 422, 503),
)
def border_lines(
    *, pack: Pack, response: Response, store: BorderDep, borders: BordersDep
) -> BorderLines:
    """Lines found from the edges both sides have; the sides one speaks for."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        return service.lines(borders, connection, store.identity, pack)


@router.get(
    "/where",
    operation_id="borderWhere",
    summary="Which side, which units, how far to the line, which zones, desks, checkpoints, devices",
    responses=errors(404, 422, 503),
)
def border_where(
    *,
    pack: Pack,
    response: Response,
    store: BorderDep,
    borders: BordersDep,
    lon: Annotated[float | None, Query(ge=-180, le=180, description="Longitude, WGS84")] = None,
    lat: Annotated[float | None, Query(ge=-90, le=90, description="Latitude, WGS84")] = None,
    code: Annotated[
        str | None, Query(pattern=PRINTABLE, description="Unit code instead of a place")
    ] = None,
) -> Where:
    """Give either `lon` and `lat` or `code`. Positions asked for are written down nowhere."""
    response.headers["Cache-Control"] = NO_STORE
    if (lon is None) != (lat is None) or (lon is None) == (code is None):
        raise Invalid("give lon and lat, or code", {"field": "lon", "reason": "one_way"})
    at: tuple[float, float] | str = code or ""
    if lon is not None and lat is not None:
        at = (lon, lat)
    with store.read() as connection:
        return service.where(borders, connection, store.identity, pack, at)


@router.get(
    "/desks",
    operation_id="dutyDesks",
    summary="Duty desks: one's own and those shared in zones in force",
    responses=errors(404, 422, 503),
)
def duty_desks(
    *, pack: Pack, response: Response, store: BorderDep, borders: BordersDep
) -> list[Desk]:
    """Offices, never persons."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        borders.map(connection, pack)
        return border_desks.desks(connection, pack)


@router.post(
    "/desks",
    operation_id="addDutyDesk",
    summary="Enter a duty desk of one's own side",
    status_code=201,
    responses=errors(404, 409, 422, 503),
)
def add_duty_desk(*, pack: Pack, one: DeskDraft, store: ZoneWriteDep, borders: BordersDep) -> Desk:
    """Enter an office with its telephone; mobile numbers are refused."""
    with store.write() as connection:
        return border_desks.add_desk(borders, connection, store.identity, pack, one)


@router.get(
    "/presence",
    operation_id="deskPresence",
    summary="Sides and duty desks with the border page open now",
    responses=errors(404, 422, 503),
)
def desk_presence(
    *, pack: Pack, response: Response, store: BorderDep, borders: BordersDep
) -> PresenceList:
    """One's own, and those of sides in a zone in force with one's own; never a person."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        here = borders.map(connection, pack)
        return presence_service.present(connection, here.sides, pack)


@router.post(
    "/presence",
    operation_id="bePresent",
    summary="Say that the border page of one's own side or desk is open",
    responses=errors(404, 422, 503),
)
def be_present(
    *, pack: Pack, draft: PresenceDraft, store: OnDutyDep, borders: BordersDep
) -> PresenceList:
    """Say it every half minute; answers who is there. Which account it was is written nowhere."""
    with store.write() as connection:
        here = borders.map(connection, pack)
        presence_service.be(connection, store.identity, here.sides, pack, draft)
        return presence_service.present(connection, here.sides, pack)


@router.get(
    "/checkpoints",
    operation_id="checkpoints",
    summary="Checkpoints: one's own and those in zones in force",
    responses=errors(404, 422, 503),
)
def checkpoints(
    *, pack: Pack, response: Response, store: BorderDep, borders: BordersDep
) -> list[Checkpoint]:
    """Where vehicles and goods are looked at."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        borders.map(connection, pack)
        return border_desks.checkpoints(connection, pack)


@router.post(
    "/checkpoints",
    operation_id="addCheckpoint",
    summary="Enter a checkpoint on one's own side",
    status_code=201,
    responses=errors(404, 409, 422, 503),
)
def add_checkpoint(
    *, pack: Pack, one: CheckpointDraft, store: ZoneWriteDep, borders: BordersDep
) -> Checkpoint:
    """Its side is the one it stands on."""
    with store.write() as connection:
        return border_desks.add_checkpoint(borders, connection, store.identity, pack, one)
