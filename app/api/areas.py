"""Exact counts in any area."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from app.api.area_models import AreaAnswer, AreaQuestion
from app.api.auditing import AuditDep
from app.api.dependencies import NO_STORE, AskDep, HeavyDep, Pack, errors
from app.api.quick_json import QuickRoute, asked
from app.services.area_words import shape as area_shape
from app.services.areas import Areas, ask
from app.services.asking import Asker

router = APIRouter(prefix="/api/packs/{pack}/areas", tags=["areas"], route_class=QuickRoute)

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
    responses=errors(404, 422, 503),
)
def count_area(
    *,
    pack: Pack,
    request: Request,
    response: Response,
    question: Annotated[AreaQuestion, Body(openapi_examples=EXAMPLES)],
    store: AskDep,
    auditing: AuditDep,
    _turn: HeavyDep,
) -> AreaAnswer:
    """Count every event stored until now, each once; a point on the edge is inside.

    An area that makes no sense is refused (422): `detail` names `field`, `reason` and, where the
    trouble has one, the place `at` (longitude, latitude, WGS84). Reasons: antimeridian, bad_geometry,
    bad_hours, bad_level, bad_size, bad_time, cells_in_scope, crossing, empty, empty_area,
    empty_span, end_before_start, no_hours, no_kinds, not_a_cell, not_closed, not_finite, off_map,
    too_complex, too_many_vertices, unknown_crs, unknown_kind, wrong_crs, zero_area.
    """
    response.headers["Cache-Control"] = NO_STORE  # the next event changes it
    areas: Areas = request.app.state.areas
    shape = area_shape(question.area)  # refused before anything is asked or written down
    with auditing.entry("ask_area", pack=pack, question=asked(question, shape)) as entry:
        asker = Asker(store.identity, store.caches, store.read, store.write)
        answer = ask(areas, pack, question, store.identity.prefixes, asker, shape=shape)
        entry.rows = answer.total or 0
    return answer
