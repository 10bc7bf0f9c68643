"""Exact counts in any area."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response
from fastapi.routing import APIRoute
from starlette.types import Message

from app.api.area_models import AreaAnswer, AreaQuestion
from app.api.dependencies import AskDep, Pack, errors
from app.api.models import ErrorBody
from app.errors import WusetuError
from app.services.areas import Areas, ask

#: 100,000 corners with 15 digits each and their brackets
MOST_BYTES = 8 * 1024 * 1024


class TooLarge(WusetuError):
    """A request body above the limit."""

    code = "too_large"
    status = 413


class LimitedRoute(APIRoute):
    """Stops reading a body that grows too large, whatever length it declared."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Give the handler that counts what it reads."""
        handler = super().get_route_handler()

        async def limited(request: Request) -> Response:
            body = bytearray()
            async for piece in request.stream():
                body += piece
                if len(body) > MOST_BYTES:
                    raise TooLarge(f"the request is larger than {MOST_BYTES:,} bytes")
            whole: Message = {"type": "http.request", "body": bytes(body), "more_body": False}
            left = iter([whole])

            async def receive() -> Message:
                return next(left, None) or await request.receive()

            return await handler(Request(request.scope, receive))

        return limited


router = APIRouter(prefix="/api/packs/{pack}/areas", tags=["areas"], route_class=LimitedRoute)

EXAMPLES = {
    "circle": {
        "summary": "Within 1,500 m of a place, by kind",
        "value": {
            "area": {"circle": {"lon": 120.155, "lat": 30.274, "metres": 1500}},
            "start": "2024-01-01",
            "end": "2024-07-01",
            "breakdowns": ["kind"],
        },
    },
    "polygon": {
        "summary": "A drawn polygon in GCJ-02, nights only",
        "value": {
            "area": {
                "geojson": {
                    "type": "Polygon",
                    "coordinates": [[[120.1, 30.2], [120.2, 30.2], [120.2, 30.3], [120.1, 30.2]]],
                },
                "crs": "gcj02",
            },
            "start": "2024-05-01T18:00:00+08:00",
            "end": "2024-06-01T06:00:00+08:00",
            "hours_of_week": [0, 1, 2, 3, 24, 25, 26, 27],
            "breakdowns": ["day", "hour_of_week"],
        },
    },
}


@router.post(
    "/count",
    operation_id="countArea",
    summary="Exact number of events in any area and any time",
    responses={
        **errors(404, 422, 503),
        413: {"model": ErrorBody, "description": "The request is larger than 8 MB"},
    },
)
def count_area(
    pack: Pack,
    request: Request,
    response: Response,
    question: Annotated[AreaQuestion, Body(openapi_examples=EXAMPLES)],
    store: AskDep,
) -> AreaAnswer:
    """Count every event stored until now, each once; a point on the edge is inside.

    An area that makes no sense is refused (422): `detail` names `field`, `reason` and, where the
    trouble has one, the place `at` (longitude, latitude, WGS84). Reasons: antimeridian, bad_geometry,
    bad_hours, bad_level, bad_size, bad_time, cells_in_scope, crossing, empty, empty_area,
    empty_span, end_before_start, no_hours, no_kinds, not_a_cell, not_closed, not_finite,
    too_complex, too_many_vertices, unknown_crs, unknown_kind, wrong_crs, zero_area.
    """
    response.headers["Cache-Control"] = "private, no-store"  # the next event changes it
    areas: Areas = request.app.state.areas
    return ask(areas, pack, question, store.identity.prefixes)
