"""The analyst's questions about areas: shapes, and what was to be expected in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request, Response

from app.api.analysis_models import (
    AnalysisAnswer,
    AnalysisArea,
    AnalysisQuestion,
    ShapeInfo,
    Upload,
)
from app.api.auditing import AuditDep
from app.api.dependencies import NO_STORE, AskDep, HeavyDep, Pack, errors
from app.api.quick_json import QuickRoute, asked
from app.errors import Invalid
from app.services import analysis as service
from app.services import analysis_shapes, analysis_upload, shape_words
from app.services.areas import Areas, look
from app.services.asking import Asker

router = APIRouter(prefix="/api/packs/{pack}/areas", tags=["analysis"], route_class=QuickRoute)

EXAMPLES = {
    "market": {
        "summary": "Around a market since March, against the city",
        "value": {
            "area": {"circle": {"lon": 120.155, "lat": 30.274, "metres": 1500}},
            "start": "2024-03-01",
            "end": "2024-07-01",
            "kinds": ["fraud"],
        },
    },
    "moving": {
        "summary": "While a shape is being moved: the overall answer alone",
        "value": {
            "area": {"rectangle": {"west": 120.1, "south": 30.2, "east": 120.2, "north": 30.3}},
            "start": "2024-01-01",
            "end": "2025-01-01",
            "parts": [],
            "compare": 0,
        },
    },
    "combined": {
        "summary": "A district without a circle in it, nights only",
        "value": {
            "area": {
                "combine": {
                    "op": "minus",
                    "areas": [
                        {"units": ["330106"]},
                        {"circle": {"lon": 120.13, "lat": 30.26, "metres": 800}},
                    ],
                }
            },
            "start": "2024-01-01",
            "end": "2025-01-01",
            "hours_of_week": [0, 1, 2, 3, 4, 5],
        },
    },
}


@contextmanager
def _worded() -> Iterator[None]:
    """Give what is refused its reason in words of both languages, `detail.words`."""
    try:
        yield
    except Invalid as error:
        if isinstance(error.detail, dict) and "reason" in error.detail:
            why = shape_words.reason(str(error.detail["reason"]), message=error.message)
            error.detail = {**error.detail, "words": {"zh": why.zh, "en": why.en}}
        raise


@router.post(
    "/shape",
    operation_id="shapeArea",
    summary="An area as it will be counted",
    responses=errors(404, 422, 503),
)
def shape_area(
    *,
    pack: Pack,
    request: Request,
    response: Response,
    area: Annotated[AnalysisArea, Body()],
    store: AskDep,
    _turn: HeavyDep,
) -> ShapeInfo:
    """Combine, convert and snap an area; cut to the jurisdiction. Nothing is counted.

    A bad shape is refused (422): `detail.reason` is a machine word, `detail.at` the spot (longitude,
    latitude), `detail.words` the reason in Chinese and English.
    """
    response.headers["Cache-Control"] = NO_STORE
    areas: Areas = request.app.state.areas
    with _worded():
        sight = look(areas, pack, store.identity.prefixes)
        return analysis_shapes.shaped(area, sight.ground, store.identity.prefixes)


FILE = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "GeoJSON, KML, GeoPackage or a zipped Shapefile",
                        },
                        "crs": {
                            "type": "string",
                            "maxLength": 40,
                            "description": "CRS of its coordinates; none: what the file says, else wgs84",
                        },
                    },
                }
            }
        },
    }
}


async def _form(request: Request) -> analysis_upload.Form:
    body = await request.body()
    with _worded():
        return analysis_upload.form(request.headers.get("content-type", ""), body)


@router.post(
    "/upload",
    operation_id="uploadAreas",
    summary="Areas of a file",
    responses=errors(404, 422, 503),
    openapi_extra=FILE,
)
def upload_areas(
    *,
    pack: Pack,
    request: Request,
    response: Response,
    store: AskDep,  # before the file is looked at
    given: Annotated[analysis_upload.Form, Depends(_form)],
    _turn: HeavyDep,
) -> Upload:
    """Read the areas of a file, at most 200; bad ones are named with their reason, the rest kept.

    Nothing of the file is stored. A file that cannot be read is refused (422).
    """
    response.headers["Cache-Control"] = NO_STORE
    areas: Areas = request.app.state.areas
    with _worded():
        sight = look(areas, pack, store.identity.prefixes)
        return analysis_upload.uploaded(given, sight.ground, store.identity.prefixes)


@router.post(
    "/analyse",
    operation_id="analyseArea",
    summary="How many events in an area, against what was to be expected",
    responses=errors(404, 422, 503),
)
def analyse_area(
    *,
    pack: Pack,
    request: Request,
    response: Response,
    question: Annotated[AnalysisQuestion, Body(openapi_examples=EXAMPLES)],
    store: AskDep,
    auditing: AuditDep,
    _turn: HeavyDep,
) -> AnalysisAnswer:
    """Exact counts, expected counts, relative risk with interval, change, units, comparisons, cells.

    `rule` says how it was made. What makes no sense is refused (422) as by `countArea`.
    """
    response.headers["Cache-Control"] = NO_STORE
    areas: Areas = request.app.state.areas
    written = asked(question)
    with (
        _worded(),
        auditing.entry("ask_area", pack=pack, run=question.run, question=written) as entry,
    ):
        asker = Asker(store.identity, store.caches, store.read, store.write)
        answer = service.analyse(areas, asker, pack, question)
        entry.rows = answer.overall.observed or 0
    return answer
