"""What happens now, as Server-Sent Events: `GET /api/live`.

Promises: events come in order of their numbers, each once; a client that comes back with the last
number it was given (`Last-Event-ID`) gets what happened since, as long as it is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from app.api.dependencies import StoreDep, errors
from app.errors import Invalid, Unavailable
from app.security.identity import Action, Identity
from app.services import live as service
from app.services.live import Event, Hub

router = APIRouter(tags=["live"])

STREAM = "text/event-stream"
HEARTBEAT = 15.0  # seconds of silence after which a comment is sent, and the record is looked at
DEAF = 1.0  # seconds between looks while the database's announcements are not heard
LONGEST = 600.0  # seconds after which a client has to come through the door again
#: Who may hear of what: any of these actions.
TOPICS: dict[str, tuple[Action, ...]] = {
    "run": ("see_map",),
    "alert": ("see_map",),
    "zone": ("border:read",),
    "check": ("border:read",),
    "device": ("border:read",),
    "alarm": ("border:read",),
    "task": ("work_tasks", "dispatch"),
    "presence": ("border:read",),
}
_NUMBER = 19
#: One event of the stream, as the documentation describes each (OpenAPI 3.1).
EVENT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]{1,19}$", "description": "Number of the event"},
        "event": {"type": "string", "enum": list(TOPICS), "description": "Its topic"},
        "data": {"type": "string", "description": "JSON: `at` and what changed"},
    },
    "required": ["id", "event", "data"],
}


def topics_of(identity: Identity, wanted: Sequence[str] | None) -> list[str]:
    """Topics an account may hear of, of those it wants."""
    return [
        topic
        for topic, actions in TOPICS.items()
        if (wanted is None or topic in wanted) and any(identity.may(one) for one in actions)
    ]


@router.get(
    "/api/live",
    operation_id="liveEvents",
    summary="What happens now: runs, zones, checks, devices, alarms, alerts, tasks, desks",
    response_class=Response,
    responses={
        200: {
            "content": {STREAM: {"schema": EVENT}},
            "description": "Events, one after the other",
        },
        **errors(422, 503),
    },
)
async def live_events(
    *,
    request: Request,
    store: StoreDep,
    topics: Annotated[
        str | None,
        Query(max_length=100, description=f"Only these, with commas: {', '.join(TOPICS)}"),
    ] = None,
    last: Annotated[
        int | None,
        Query(ge=0, le=2**63 - 1, description="As Last-Event-ID, for the first connection"),
    ] = None,
    last_event_id: Annotated[
        str | None, Header(description="Number of the last event one was given")
    ] = None,
) -> Response:
    """Without `Last-Event-ID` it begins now; with it, with what happened since.

    Who does not say `Accept: text/event-stream` is given what there is since, and no stream.
    """
    wanted = None
    if topics:
        wanted = topics.split(",")
        if not set(wanted) <= TOPICS.keys():
            raise Invalid(
                f"topics: there are {', '.join(TOPICS)}", {"field": "topics", "reason": "unknown"}
            )
    if last_event_id:
        if not (
            last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < _NUMBER
        ):
            raise Invalid(
                "Last-Event-ID is a number this server gave",
                {"field": "last-event-id", "reason": "malformed"},
            )
        last = int(last_event_id)
    mine = topics_of(store.identity, wanted)
    hub: Hub = request.app.state.live

    def after(number: int) -> list[Event]:
        with store.read() as connection:
            return service.events_after(connection, number, mine)

    def newest() -> int:
        with store.read() as connection:
            return service.newest(connection)

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    if STREAM not in request.headers.get("accept", ""):
        there = [] if last is None else await run_in_threadpool(after, last)
        return Response(b"".join(map(_written, there)), media_type=STREAM, headers=headers)
    doors = hub.doors
    number = await run_in_threadpool(newest) if last is None else last
    return StreamingResponse(_stream(hub, doors, number, after), media_type=STREAM, headers=headers)


async def _stream(
    hub: Hub, doors: int, number: int, after: Callable[[int], list[Event]]
) -> AsyncIterator[bytes]:
    """Give what happens after `number`, until the client goes, or has to come through the door again."""
    end = time.monotonic() + LONGEST
    woken = hub.join()  # before the record is first looked at: nothing falls between
    try:
        # the number it begins at: a client that hears nothing else can still come back
        yield b"retry: 1000\nid: %d\nevent: hello\ndata: {}\n\n" % number
        while True:
            waiting = await run_in_threadpool(after, number)
            if waiting:
                number = waiting[-1].id
                yield b"".join(map(_written, waiting))
                continue  # there may be more; the client took this part
            if hub.closing or hub.doors != doors or time.monotonic() > end:
                return
            heard = await _wait(woken, HEARTBEAT if hub.live else DEAF)
            woken.clear()
            if not heard and hub.live:
                yield b": still here\n\n"
    except Unavailable:
        return  # the client comes back with the last number it has
    finally:
        hub.leave(woken)


async def _wait(woken: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await woken.wait()
        return True
    return False


def _written(event: Event) -> bytes:
    data = to_json({"at": event.at, **event.payload})
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.id, event.topic.encode(), data)
