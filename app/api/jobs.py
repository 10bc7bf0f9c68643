"""Questions worked on in the background."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response

from app.api.auditing import AuditDep, Auditing
from app.api.dependencies import NO_STORE, Door, ExportDep, HeavyDep, Store, errors
from app.api.files import attachment
from app.api.job_models import Job, JobQuestion, JobResult
from app.api.quick_json import asked
from app.services import area_words, job_geojson, jobs
from app.services.job_runner import Runner

router = APIRouter(prefix="/api/jobs", tags=["jobs"])

#: Results hold exact counts of small places: for those who may see records.
JobsDep = Annotated[Store, Depends(Door("see_records"))]
JobId = Annotated[int, Path(ge=1, le=2**53, description="Number of the job")]

EXAMPLES = {
    "gi": {
        "summary": "Hot and cold cells of one unit",
        "value": {
            "type": "gi",
            "pack": "hangzhou",
            "area": {"units": ["330106"]},
            "start": "2024-01-01",
            "end": "2024-07-01",
            "kinds": ["theft"],
            "parameters": {"ring": 1, "q": 0.05},
            "seed": 1,
        },
    },
}


def _runner(request: Request) -> Runner:
    found: Runner = request.app.state.runner
    return found


@router.post(
    "",
    operation_id="askJob",
    summary="Ask something that takes longer than a request",
    status_code=202,
    responses=errors(404, 422, 503),
)
def ask_job(
    *,
    request: Request,
    response: Response,
    question: Annotated[JobQuestion, Body(openapi_examples=EXAMPLES)],
    store: JobsDep,
    auditing: AuditDep,
) -> Job:
    """Store the question; a process of its own works on it, inside the asker's jurisdiction.

    The same question with the same seed on the same data has the same result, byte for byte. A span
    that is empty or ends before it starts is refused (422) with `detail.field` and `detail.reason`.
    """
    settings = request.app.state.settings
    area_words.span(question, settings.time_zone)  # refused now, not when its turn has come
    with (
        auditing.entry("ask_area", pack=question.pack, question=asked(question)),
        store.write() as one,
    ):
        job = jobs.create(one, store.identity, question, settings.jobs)
    _runner(request).wake()
    response.headers["Location"] = f"/api/jobs/{job.id}"
    response.headers["Cache-Control"] = NO_STORE
    return job


@router.get(
    "",
    operation_id="listJobs",
    summary="One's own jobs, newest first",
    responses=errors(422, 503),
)
def list_jobs(
    *,
    response: Response,
    store: JobsDep,
    pack: Annotated[
        str | None, Query(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Of this map alone")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="Most jobs wanted")] = 50,
) -> list[Job]:
    """List them; an admin sees the jobs of all accounts whose jurisdiction lies inside his own."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        return jobs.listed(connection, store.identity, pack, limit)


@router.get(
    "/{job}",
    operation_id="job",
    summary="How far a job is",
    responses=errors(404, 422, 503),
)
def job(*, job: JobId, response: Response, store: JobsDep) -> Job:
    """State, progress, and the question it can be asked again with."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        return jobs.read(connection, store.identity, job)


@router.delete(
    "/{job}",
    operation_id="endJob",
    summary="Cancel a job, or remove one that has ended",
    responses=errors(404, 422, 503),
)
def end_job(*, request: Request, job: JobId, response: Response, store: JobsDep) -> Job:
    """Answer the job as it was left: `cancelled`, or as it had ended; then it is gone."""
    response.headers["Cache-Control"] = NO_STORE
    with store.write() as connection:
        left = jobs.end(connection, store.identity, job)
    _runner(request).kill(job)
    return left


@router.get(
    "/{job}/result",
    operation_id="jobResult",
    summary="What a job found",
    responses={200: {"model": JobResult}, **errors(404, 422, 503)},
    response_model=None,
)
def job_result(*, job: JobId, store: JobsDep, auditing: AuditDep, _turn: HeavyDep) -> Response:
    """404 while it is not done. The bytes are those that were stored."""
    with auditing.entry("ask_area", question={"job": job}) as entry:
        with store.read() as connection:
            about, body = jobs.body(connection, store.identity, job, "json")
        entry.pack, entry.rows = about.question.pack, about.rows
    return Response(body, media_type="application/json", headers={"Cache-Control": NO_STORE})


def _file(media_type: str, description: str) -> dict[int | str, dict[str, Any]]:
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {200: {"description": description, "content": content}}


def _part(job: int, name: str, form: str, store: Store, auditing: Auditing) -> tuple[Job, bytes]:
    """Part of a result that leaves as a file; written down as an export."""
    with auditing.entry("export", question={"job": job, "format": form}) as entry:
        with store.read() as connection:
            about, body = jobs.body(connection, store.identity, job, name)
        entry.pack, entry.rows = about.question.pack, about.rows
    return about, body


def _answer(about: Job, body: bytes, media_type: str, ending: str) -> Response:
    name = f"wusetu-{about.question.pack}-job{about.id}-{about.type}.{ending}"
    return Response(
        body,
        media_type=media_type,
        headers=attachment(name, NO_STORE),
    )


@router.get(
    "/{job}/result.geojson",
    operation_id="jobGeoJson",
    summary="What a job found, as shapes",
    response_class=Response,
    responses={
        **_file("application/geo+json", "FeatureCollection, EPSG:4326"),
        **errors(404, 422, 503),
    },
)
def job_shapes(*, job: JobId, store: ExportDep, auditing: AuditDep, _turn: HeavyDep) -> Response:
    """Cells as hexagons with their columns, clusters as their ground; 404 of tables and surfaces."""
    with auditing.entry("export", question={"job": job, "format": "geojson"}) as entry:
        with store.read() as connection:
            about, body = jobs.body(connection, store.identity, job, "json")
        made = job_geojson.collection(json.loads(body))
        entry.pack, entry.rows = about.question.pack, about.rows
    return _answer(about, made, "application/geo+json", "geojson")


@router.get(
    "/{job}/result.tif",
    operation_id="jobRaster",
    summary="The surface a job made, as a cloud-optimised GeoTIFF",
    response_class=Response,
    responses={
        **_file("image/tiff", "One band, events per km², in an equal-area plane; nan outside"),
        **errors(404, 422, 503),
    },
)
def job_raster(*, job: JobId, store: ExportDep, auditing: AuditDep, _turn: HeavyDep) -> Response:
    """Answer the raster with its method, question, run and cut-off as tags."""
    about, body = _part(job, "tif", "tif", store, auditing)
    return _answer(about, body, "image/tiff; application=geotiff; profile=cloud-optimized", "tif")


@router.get(
    "/{job}/result.png",
    operation_id="jobPicture",
    summary="The surface a job made, drawn in greys for the map",
    response_class=Response,
    responses={
        **_file("image/png", "Web Mercator; `picture.bounds` of the result says where it lies"),
        **errors(404, 422, 503),
    },
)
def job_picture(*, job: JobId, store: JobsDep, auditing: AuditDep) -> Response:
    """Answer the picture of the layer; the result itself says where it lies and what greys mean."""
    with auditing.entry("ask_area", question={"job": job, "format": "png"}) as entry:
        with store.read() as connection:
            about, body = jobs.body(connection, store.identity, job, "png")
        entry.pack, entry.rows = about.question.pack, about.rows
    return Response(body, media_type="image/png", headers={"Cache-Control": NO_STORE})
