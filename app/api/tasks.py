"""Tasks over HTTP. Wiring only."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import AwareDatetime

from app.api.alerts import DispatchDep, PackQuery
from app.api.dependencies import NO_STORE, Door, Store, Within, errors
from app.api.task_models import (
    DeskList,
    Handover,
    Merge,
    PhotoMade,
    Report,
    StepDraft,
    Task,
    TaskDraft,
    TaskList,
    TaskState,
)
from app.services import task_photos as photos
from app.services import task_push as push
from app.services import tasks as service
from app.services.border import now
from app.services.small_numbers import sees_small
from app.services.task_keys import KEY, SIGNATURE, TIME, Keys

router = APIRouter(tags=["tasks"])
WorkDep = Annotated[Store, Depends(Door("work_tasks"))]
TaskNumber = Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of the task")]
PhotoNumber = Annotated[int, Path(ge=1, le=2**63 - 1, description="Number of the photo")]


def _told(store: Store, found: Task) -> Task:
    """Task as it is told to who asks: no count of 1 to 4 in its reason without records."""
    return found if sees_small(store.identity) else service.without_small(found)


@router.get(
    "/api/tasks",
    operation_id="listTasks",
    summary="Tasks of one's own units, those due first first",
    responses=errors(422, 503),
)
def list_tasks(
    *,
    response: Response,
    store: WorkDep,
    pack: PackQuery = None,
    state: Annotated[TaskState | None, Query(description="Only in this state")] = None,
    mine: Annotated[
        bool,
        Query(description="Only those sent to desks on duty for all of one's own jurisdiction"),
    ] = False,
    within: Within = None,
    since: Annotated[
        AwareDatetime | None, Query(description="Only those that changed later: an earlier `as_of`")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many")] = 200,
) -> TaskList:
    """Those under way first; with every step."""
    response.headers["Cache-Control"] = NO_STORE
    own = store.identity.prefixes if mine else None
    with store.read() as connection:
        # before the tasks: what changes meanwhile is told the next time
        as_of = now(connection)
        found = service.tasks(
            connection, pack=pack, states=[state] if state else None, within=within, since=since,
            own=own, limit=limit,
        )  # fmt: skip
        return TaskList(tasks=[_told(store, one) for one in found], as_of=as_of)


@router.post(
    "/api/tasks",
    operation_id="makeTask",
    summary="Make a task of an alert and send it to a desk",
    status_code=201,
    responses=errors(404, 409, 422, 503),
)
def make_task(*, draft: TaskDraft, store: DispatchDep) -> Task:
    """One task per alert is under way at a time: 409 names it."""
    with store.write() as connection:
        return _told(store, service.make(connection, draft))


async def _signed(
    request: Request,
    x_wusetu_key: Annotated[str, Header(max_length=64, description="Id of the shared secret")] = "",
    x_wusetu_time: Annotated[
        str, Header(max_length=12, description="Unix seconds, five minutes off at most")
    ] = "",
    x_wusetu_signature: Annotated[
        str, Header(max_length=67, description="v2= and HMAC-SHA256, see docs/alerts.md")
    ] = "",
) -> str:
    keys: Keys = request.app.state.task_keys
    given = {KEY: x_wusetu_key, TIME: x_wusetu_time, SIGNATURE: x_wusetu_signature}
    query = request.scope["query_string"].decode("latin-1")
    target = request.scope["path"] + (f"?{query}" if query else "")
    return keys.check(given, request.method, target, await request.body())


@router.post(
    "/api/tasks/reports",
    operation_id="reportTask",
    summary="A step reported by an outside grid platform, signed",
    responses=errors(404, 409, 422, 503),
)
def report_task(
    *,
    store: WorkDep,
    key_id: Annotated[str, Depends(_signed)],  # noqa: ARG001 - checked, not used
    report: Report,
) -> Task:
    """Beside the token of the platform's account a signature is needed; 401 without."""
    with store.write() as connection:
        return _told(store, push.take_report(connection, store.identity, report))


@router.get(
    "/api/tasks/{task}",
    operation_id="task",
    summary="One task",
    responses=errors(404, 422, 503),
)
def task(*, task: TaskNumber, response: Response, store: WorkDep) -> Task:
    """With every step."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        return _told(store, service.one_task(connection, task))


@router.post(
    "/api/tasks/{task}/steps",
    operation_id="stepTask",
    summary="Accept, decline, arrive, report, return, verify, close",
    responses=errors(404, 409, 422, 503),
)
def step_task(*, task: TaskNumber, draft: StepDraft, store: WorkDep) -> Task:
    """States cannot be skipped: 409 names the present one. The same key again changes nothing.

    `returned`, `verified` and `closed` need `dispatch`. Of a position only whether it was inside the
    unit, and how far off, is kept.
    """
    with store.write() as connection:
        return _told(store, service.step(connection, store.identity, task, draft))


@router.post(
    "/api/tasks/{task}/handover",
    operation_id="handOverTask",
    summary="Hand a task to another desk",
    responses=errors(404, 409, 422, 503),
)
def hand_over_task(*, task: TaskNumber, draft: Handover, store: DispatchDep) -> Task:
    """Send it anew, to a desk on duty for its unit or one that contains it."""
    with store.write() as connection:
        return _told(store, service.handover(connection, task, draft))


@router.post(
    "/api/tasks/{task}/merge",
    operation_id="mergeTask",
    summary="Merge a task into another",
    responses=errors(404, 409, 422, 503),
)
def merge_task(*, task: TaskNumber, draft: Merge, store: DispatchDep) -> Task:
    """Let the other one answer for both when it is closed."""
    with store.write() as connection:
        return _told(store, service.merge(connection, task, draft))


FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["key", "photo"],
                    "additionalProperties": False,
                    "properties": {
                        "key": {
                            "type": "string",
                            "format": "uuid",
                            "description": "Made by the client: the same again changes nothing",
                        },
                        "photo": {
                            "type": "string",
                            "format": "binary",
                            "description": "JPEG, PNG or WebP, at most 5 MB and 40 megapixels",
                        },
                    },
                }
            }
        },
    }
}


async def _form(request: Request) -> photos.Form:
    return photos.form(request.headers.get("content-type", ""), await request.body())


@router.post(
    "/api/tasks/{task}/photos",
    operation_id="addTaskPhoto",
    summary="Add a photo of the place",
    status_code=201,
    responses=errors(404, 409, 422, 503),
    openapi_extra=FORM,
)
def add_task_photo(
    *,
    task: TaskNumber,
    store: WorkDep,  # before the file is looked at
    given: Annotated[photos.Form, Depends(_form)],
) -> PhotoMade:
    """Photos are of places, not of people. Encoded anew: nothing a camera wrote into it is kept."""
    with store.write() as connection:
        return photos.add(connection, task, given)


@router.get(
    "/api/tasks/{task}/photos/{photo}",
    operation_id="taskPhoto",
    summary="A photo of a task",
    response_class=Response,
    responses={
        200: {
            "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
            "description": "JPEG, at most 1600 pixels a side",
        },
        **errors(404, 422, 503),
    },
)
def task_photo(*, task: TaskNumber, photo: PhotoNumber, store: WorkDep) -> Response:
    """Kept by nobody but who asks."""
    with store.read() as connection:
        body = photos.read(connection, task, photo)
    return Response(body, media_type="image/jpeg", headers={"Cache-Control": NO_STORE})


@router.get(
    "/api/desks",
    operation_id="listDesks",
    summary="Duty desks of one's own units and of those that contain them",
    responses=errors(422, 503),
)
def list_desks(
    *,
    response: Response,
    store: WorkDep,
    pack: Annotated[str, Query(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Map")],
) -> DeskList:
    """Offices, never persons."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        return DeskList(desks=service.desks(connection, pack), as_of=now(connection))
