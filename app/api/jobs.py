"""Questions worked on in the background."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response

from app.api.auditing import AuditDep
from app.api.dependencies import Door, HeavyDep, Store, errors
from app.api.job_models import Job, JobQuestion, JobResult
from app.services import jobs
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

    The same question with the same seed on the same data has the same result, byte for byte.
    """
    asked = question.model_dump(mode="json", exclude_none=True)
    with auditing.entry("ask_area", pack=question.pack, question=asked), store.write() as one:
        job = jobs.create(one, store.identity, question, request.app.state.settings.jobs)
    _runner(request).wake()
    response.headers["Location"] = f"/api/jobs/{job.id}"
    response.headers["Cache-Control"] = "private, no-store"
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
    response.headers["Cache-Control"] = "private, no-store"
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
    response.headers["Cache-Control"] = "private, no-store"
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
    response.headers["Cache-Control"] = "private, no-store"
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
    return Response(
        body, media_type="application/json", headers={"Cache-Control": "private, no-store"}
    )
