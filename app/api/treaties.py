"""Treaties and pooled hotspots over HTTP. Wiring only."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from app.api.auditing import AuditDep
from app.api.border import BorderDep, BordersDep
from app.api.dependencies import NO_STORE, PRIVATE, Door, Pack, Store, errors
from app.api.treaty_models import (
    Evaluation,
    PooledClusters,
    PooledDraft,
    PooledJob,
    PooledList,
    Treaty,
    TreatyDecisionDraft,
    TreatyDraft,
    TreatyList,
    TreatyPackage,
    TreatyPackages,
)
from app.errors import NotFound
from app.services import evaluation as evaluation_service
from app.services import pooled as pooled_service
from app.services import pooled_jobs
from app.services import treaty_answers as service
from app.services import treaty_packages as packages_service
from app.services.periods import first_day, month_number

router = APIRouter(tags=["border"])
DecideDep = Annotated[Store, Depends(Door("treaty:decide"))]
PullDep = Annotated[Store, Depends(Door("treaty:pull"))]
TreatyName = Annotated[
    str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Name of the treaty")
]
PackFilter = Annotated[
    str | None, Query(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Only of this map")
]
PooledNumber = Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of the pooled run")]

JobId = Annotated[int, Path(ge=1, le=2**53, description="Number of the job")]


def today(request: Request) -> date:
    """Local day it is."""
    return datetime.now(ZoneInfo(request.app.state.settings.time_zone)).date()


@router.get(
    "/api/treaties",
    operation_id="listTreaties",
    summary="Treaties of one's own sides, every version with its decisions",
    responses=errors(422, 503),
)
def list_treaties(
    *, request: Request, response: Response, store: BorderDep, pack: PackFilter = None
) -> TreatyList:
    """Newest version first; in force is what every side accepted and whose time has come."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        return TreatyList(treaties=service.treaties(connection, today(request), pack=pack))


@router.post(
    "/api/treaties",
    operation_id="proposeTreaty",
    summary="Propose a treaty or the next version of one",
    status_code=201,
    responses=errors(404, 409, 422, 503),
)
def propose_treaty(
    *, request: Request, draft: TreatyDraft, store: DecideDep, borders: BordersDep
) -> Treaty:
    """Every side, the proposing one too, has to accept it before it is in force."""
    with store.write() as connection:
        return service.propose(borders, connection, store.identity, draft, today(request))


@router.get(
    "/api/treaties/{treaty}",
    operation_id="treaty",
    summary="One treaty",
    responses=errors(404, 422, 503),
)
def treaty(*, treaty: TreatyName, request: Request, response: Response, store: BorderDep) -> Treaty:
    """Newest version first."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        return service.one_treaty(connection, today(request), treaty)


@router.post(
    "/api/treaties/{treaty}/decisions",
    operation_id="decideTreaty",
    summary="Accept or reject a version for one's own side",
    responses=errors(404, 409, 422, 503),
)
def decide_treaty(
    *, treaty: TreatyName, request: Request, decision: TreatyDecisionDraft, store: DecideDep
) -> Treaty:
    """Each side decides once."""
    with store.write() as connection:
        return service.decide(connection, store.identity, treaty, decision, today(request))


@router.get(
    "/api/treaties/{treaty}/packages",
    operation_id="treatyPackages",
    summary="Packages sent from here, for the other sides' installations",
    responses=errors(404, 422, 503),
)
def treaty_packages(
    *,
    treaty: TreatyName,
    response: Response,
    store: PullDep,
    side: Annotated[
        str | None, Query(pattern=r"^[0-9A-Za-z]{1,27}$", description="Only of this side")
    ] = None,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="Only after this number")] = 0,
) -> TreatyPackages:
    """Oldest first, each with its signed manifest; the file has an address of its own."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        rows = packages_service.sent(connection, treaty, side=side, after=after)
    return TreatyPackages(
        treaty=treaty,
        packages=[
            TreatyPackage(
                id=row.id, version=row.version, side=row.side, sequence=row.sequence,
                key=row.key_id, cutoff=row.cutoff, made_at=row.made_at, sha256=row.digest,
                rows=row.rows, bytes=row.bytes, manifest=row.manifest,
                data=f"/api/treaties/{treaty}/packages/{row.id}/data.parquet",
            )
            for row in rows
        ],
    )  # fmt: skip


@router.get(
    "/api/treaties/{treaty}/packages/{package}/data.parquet",
    operation_id="treatyPackageData",
    summary="File of a package: GeoParquet",
    response_class=Response,
    responses={
        200: {
            "content": {
                "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}}
            },
            "description": "GeoParquet",
        },
        **errors(404, 422, 503),
    },
)
def treaty_package_data(
    *,
    treaty: TreatyName,
    package: Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of the package")],
    store: PullDep,
    auditing: AuditDep,
) -> Response:
    """As it was signed, byte for byte; written down in the audit."""
    asked = {"treaty": treaty, "package": package}
    with auditing.entry("treaty.pull", question=asked), store.read() as connection:
        body = packages_service.sent_data(connection, treaty, package)
    return Response(
        body, media_type="application/vnd.apache.parquet", headers={"Cache-Control": NO_STORE}
    )


@router.get(
    "/api/pooled",
    operation_id="listPooled",
    summary="What all sides see together: the newest run of every period",
    responses=errors(422, 503),
)
def list_pooled(
    *,
    response: Response,
    store: BorderDep,
    borders: BordersDep,
    pack: Annotated[str, Query(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Map")],
) -> PooledList:
    """Newest period first, with method, data cut-off, and clusters by who sees them."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        return PooledList(
            pack=pack,
            runs=pooled_service.runs(connection, pack=pack, english=borders.englisher(connection)),
        )


@router.post(
    "/api/pooled",
    operation_id="assessPooled",
    summary="Look at a period anew, all sides together",
    status_code=202,
    responses=errors(404, 409, 422, 503),
)
def assess_pooled(
    *,
    request: Request,
    response: Response,
    draft: PooledDraft,
    store: DecideDep,
    auditing: AuditDep,
) -> PooledJob:
    """For who speaks for a side of the treaty; a process of its own works on it.

    It reads only what crosses by the treaty. The run it makes is seen by all sides.
    """
    asked = draft.model_dump(mode="json", by_alias=True, exclude_none=True)
    with (
        auditing.entry("pooled.assess", pack=draft.pack, question=asked),
        store.write() as connection,
    ):
        job = pooled_jobs.create(
            connection, store.identity, draft, request.app.state.settings.jobs, today(request)
        )
    request.app.state.runner.wake()
    response.headers["Location"] = f"/api/pooled/jobs/{job.id}"
    response.headers["Cache-Control"] = NO_STORE
    return job


@router.get(
    "/api/pooled/jobs/{job}",
    operation_id="pooledJob",
    summary="How far a pooled run is",
    responses=errors(404, 422, 503),
)
def pooled_job(*, job: JobId, response: Response, store: DecideDep) -> PooledJob:
    """One's own; `run` is its number once it is done."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        return pooled_jobs.read(connection, store.identity, job)


@router.delete(
    "/api/pooled/jobs/{job}",
    operation_id="endPooledJob",
    summary="Cancel a pooled run that waits or is made, or remove the job when it has ended",
    responses=errors(404, 422, 503),
)
def end_pooled_job(
    *, job: JobId, request: Request, response: Response, store: DecideDep
) -> PooledJob:
    """Answer the job as it was left; a run that was made stays."""
    response.headers["Cache-Control"] = NO_STORE
    with store.write() as connection:
        left = pooled_jobs.end(connection, store.identity, job)
    request.app.state.runner.kill(job)
    return left


@router.get(
    "/api/pooled/{pooled}/clusters",
    operation_id="pooledClusters",
    summary="Clusters of a pooled run as GeoJSON",
    responses=errors(404, 422, 503),
)
def pooled_clusters(
    *, pooled: PooledNumber, response: Response, store: BorderDep, borders: BordersDep
) -> PooledClusters:
    """Who sees each, with p-values, and the counts of every side."""
    response.headers["Cache-Control"] = PRIVATE
    with store.read() as connection:
        return pooled_service.clusters(connection, pooled, borders.englisher(connection))


@router.get(
    "/tiles/pooled/{pooled}/{z}/{x}/{y}.mvt",
    operation_id="pooledTile",
    summary="Vector tile of a pooled run",
    response_class=Response,
    responses={
        200: {
            "content": {"application/vnd.mapbox-vector-tile": {}},
            "description": "Layers `cells` (class per kind, cluster numbers) and `clusters` (id: "
            "its number; `seen kind p observed expected radius_m cells sides`)",
        },
        204: {"description": "Nothing here"},
        **errors(404, 422, 503),
    },
)
def pooled_tile(
    *,
    pooled: PooledNumber,
    z: Annotated[int, Path(ge=0, le=22, description="Zoom")],
    x: Annotated[int, Path(ge=0, lt=2**22, description="Column")],
    y: Annotated[int, Path(ge=0, lt=2**22, description="Row from the north")],
    store: BorderDep,
) -> Response:
    """Immutable, like the run."""
    if x >= 2**z or y >= 2**z:
        raise NotFound("no such tile")
    with store.read() as connection:
        body = pooled_service.tile(connection, pooled, z, x, y)
    headers = {"Cache-Control": PRIVATE}
    if not body:
        return Response(status_code=204, headers=headers)
    return Response(body, media_type="application/vnd.mapbox-vector-tile", headers=headers)


@router.get(
    "/api/packs/{pack}/border/evaluation",
    operation_id="borderEvaluation",
    summary="How the sides work together: checks by side and month",
    responses=errors(404, 422, 503),
)
def border_evaluation(
    *,
    pack: Pack,
    request: Request,
    response: Response,
    store: BorderDep,
    borders: BordersDep,
    start: Annotated[
        date | None, Query(alias="from", description="A day of the first month; a year ago")
    ] = None,
    end: Annotated[
        date | None, Query(alias="to", description="A day of the last month; the present one")
    ] = None,
    zone: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Only of this zone")] = None,
) -> Evaluation:
    """Answers, joint action, solved share, handling time of the checks one's sides are part of."""
    response.headers["Cache-Control"] = NO_STORE
    last = end or today(request)
    # a year without the month of the same name
    first = start or first_day(max(12, month_number(last) - 11))
    with store.read() as connection:
        here = borders.map(connection, pack)
        return evaluation_service.evaluation(
            connection, here.sides, pack, zone, first, last, request.app.state.settings.time_zone
        )
