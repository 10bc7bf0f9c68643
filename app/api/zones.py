"""Joint-control zones and two-sided checks over HTTP. Wiring only."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from app.api.auditing import AuditDep
from app.api.border import BorderDep, BordersDep, ZoneWriteDep
from app.api.border_models import (
    Check,
    CheckAnswerDraft,
    CheckDraft,
    CheckList,
    Decision,
    VersionDraft,
    ZoneDetail,
    ZoneDraft,
    ZoneIndex,
    ZoneList,
)
from app.api.dependencies import NO_STORE, Door, Kind, Ord, Pack, PeriodType, Store, errors
from app.errors import NotFound
from app.security.identity import LOCAL
from app.services import border as places
from app.services import checks as checks_service
from app.services import zone_index as index_service
from app.services import zones as service

router = APIRouter(tags=["border"])
ZoneApproveDep = Annotated[Store, Depends(Door("zone:approve"))]
CheckDep = Annotated[Store, Depends(Door("check:write"))]
ZoneNumber = Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of the zone")]
VersionNumber = Annotated[int, Path(ge=1, le=2**31 - 1, description="Version of the zone")]
CheckNumber = Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of the check")]


@router.get(
    "/api/zones",
    operation_id="listZones",
    summary="Joint-control zones that may be seen",
    responses=errors(422, 503),
)
def list_zones(
    *,
    response: Response,
    store: BorderDep,
    pack: Annotated[
        str | None, Query(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Only of this map")
    ] = None,
) -> ZoneList:
    """Each with the version in force, else the newest, and its shape."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        found = service.zones(connection, pack)
        maps = sorted({one.pack for one in found})
        tiles = {
            one: f"/tiles/zones/{one}/{service.token(connection, store.identity, one)}"
            "/{z}/{x}/{y}.mvt"
            for one in maps
        }
    return ZoneList(zones=found, tiles=tiles)


@router.post(
    "/api/zones",
    operation_id="makeZone",
    summary="Make a zone: drawn, or some metres on both sides of the shared line",
    status_code=201,
    responses=errors(404, 409, 422, 503),
)
def make_zone(*, draft: ZoneDraft, store: ZoneWriteDep, borders: BordersDep) -> ZoneDetail:
    """Make a zone that is live when every side of its members has approved it."""
    with store.write() as connection:
        return service.make(borders, connection, store.identity, draft)


@router.get(
    "/api/zones/{zone}",
    operation_id="zone",
    summary="A zone with its versions, desks and checkpoints",
    responses=errors(404, 422, 503),
)
def zone(*, zone: ZoneNumber, response: Response, store: BorderDep) -> ZoneDetail:
    """Versions newest first."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        return service.zone(connection, zone)


@router.post(
    "/api/zones/{zone}/versions",
    operation_id="addZoneVersion",
    summary="Add a version to a zone",
    status_code=201,
    responses=errors(404, 409, 422, 503),
)
def add_zone_version(
    *, zone: ZoneNumber, draft: VersionDraft, store: ZoneWriteDep, borders: BordersDep
) -> ZoneDetail:
    """Add it; the one in force stays so until this one is live."""
    with store.write() as connection:
        return service.add_version(borders, connection, store.identity, zone, draft)


@router.post(
    "/api/zones/{zone}/versions/{version}/decisions",
    operation_id="decideZone",
    summary="Propose, approve or reject a version for one's own side",
    responses=errors(404, 409, 422, 503),
)
def decide_zone(
    *, zone: ZoneNumber, version: VersionNumber, decision: Decision, store: ZoneApproveDep
) -> ZoneDetail:
    """Each side decides once; the last approval makes it live."""
    with store.write() as connection:
        return service.decide(connection, store.identity, zone, version, decision)


@router.get(
    "/api/zones/{zone}/index",
    operation_id="zoneIndex",
    summary="How a zone stands in a period, all sides together",
    responses=errors(404, 422, 503),
)
def zone_index(
    *,
    zone: ZoneNumber,
    request: Request,
    response: Response,
    store: BorderDep,
    auditing: AuditDep,
    ord: Ord,  # noqa: A002 - the parameter's name
    period: PeriodType = "month",
    kind: Kind = "overall",
) -> ZoneIndex:
    """Observed and expected events of the cells inside; single events never leave their side."""
    response.headers["Cache-Control"] = NO_STORE
    state = request.app.state
    with store.read() as connection:
        found = service.zone(connection, zone)
    if found.version is None or not found.version.in_force:
        raise NotFound(f"no zone {zone} in force")
    # counts of cells of all sides, which the web's role does not see
    own = Store(state.engine, LOCAL, state.caches.of(LOCAL.scope_key), store.timeout_ms)
    asked = {"zone": zone, "version": found.version.version, "period": period, "ord": ord,
             "kind": kind}  # fmt: skip
    with auditing.entry("zone.index", pack=found.pack, question=asked) as entry:
        with own.read() as connection:
            answer = index_service.index(connection, own.caches, found, period, ord, kind)
        entry.rows = answer.observed
    return answer


@router.get(
    "/tiles/zones/{pack}/{token}/{z}/{x}/{y}.mvt",
    operation_id="zoneTile",
    summary="Vector tile of zones",
    response_class=Response,
    responses={
        200: {
            "content": {"application/vnd.mapbox-vector-tile": {}},
            "description": "Layer `zones`; `id version name state in_force sides`",
        },
        204: {"description": "Nothing here"},
        **errors(404, 422, 503),
    },
)
def zone_tile(
    *,
    pack: Pack,
    token: Annotated[str, Path(pattern=r"^[0-9a-f]{16}$", description="See `tiles` of the zones")],
    z: Annotated[int, Path(ge=0, le=22, description="Zoom")],
    x: Annotated[int, Path(ge=0, description="Column")],
    y: Annotated[int, Path(ge=0, description="Row from the north")],
    store: BorderDep,
) -> Response:
    """404 once something changed: ask for the zones again."""
    if x >= 2**z or y >= 2**z:
        raise NotFound("no such tile")
    with store.read() as connection:
        if service.token(connection, store.identity, pack) != token:
            raise NotFound("the zones have changed")
        body = service.tile(connection, pack, z, x, y)
    headers = {"Cache-Control": NO_STORE}
    if not body:
        return Response(status_code=204, headers=headers)
    return Response(body, media_type="application/vnd.mapbox-vector-tile", headers=headers)


# checks ------------------------------------------------------------------------------------------
@router.post(
    "/api/zones/{zone}/checks",
    operation_id="openCheck",
    summary="Open a two-sided check for a zone in force",
    status_code=201,
    responses=errors(404, 422, 503),
)
def open_check(*, zone: ZoneNumber, draft: CheckDraft, store: CheckDep) -> Check:
    """Take a case reference, a reason and an end; nothing of a person or vehicle is taken."""
    with store.write() as connection:
        return checks_service.open_check(connection, store.identity, zone, draft)


@router.get(
    "/api/checks",
    operation_id="listChecks",
    summary="Checks of one's own sides, newest first",
    responses=errors(422, 503),
)
def list_checks(
    *,
    response: Response,
    store: BorderDep,
    zone: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Only of this zone")] = None,
    running: Annotated[bool, Query(description="Only those that are not over")] = False,
    limit: Annotated[int, Query(ge=1, le=500, description="At most so many")] = 100,
) -> CheckList:
    """With every step and answer."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        found = checks_service.checks(connection, zone=zone, running=running, limit=limit)
        return CheckList(checks=found, as_of=places.now(connection))


@router.get(
    "/api/checks/{check}",
    operation_id="check",
    summary="One check",
    responses=errors(404, 422, 503),
)
def check(*, check: CheckNumber, response: Response, store: BorderDep) -> Check:
    """With every step and answer."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        return checks_service.one_check(connection, check)


@router.post(
    "/api/checks/{check}/answers",
    operation_id="answerCheck",
    summary="Accept, decline, report or close, for one's own side",
    responses=errors(404, 409, 422, 503),
)
def answer_check(*, check: CheckNumber, answer: CheckAnswerDraft, store: CheckDep) -> Check:
    """Only the opening side closes; only a side that accepted reports; each side answers once."""
    with store.write() as connection:
        return checks_service.answer(connection, store.identity, check, answer)
