"""What there is to look at, and whether everything works."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.api.dependencies import ERRORS, REVALIDATE, Store, StoreDep, errors, not_modified
from app.api.models import ComponentHealth, ErrorBody, Health, Manifest
from app.errors import Unavailable
from app.services import health as health_service
from app.services import manifest as manifest_service

router = APIRouter(prefix="/api", tags=["map"])


@router.get(
    "/manifest",
    operation_id="manifest",
    summary="Maps, levels, kinds, periods, colour rule",
    responses={
        304: {"description": "Nothing was published since the ETag the client sent"},
        **errors(422, 503),
    },
)
def manifest(request: Request, response: Response, store: StoreDep) -> Manifest:
    """One map per pack with its newest published run; no maps while nothing was assessed."""
    with store.read() as connection:
        rows = manifest_service.newest_runs(connection)
        etag = store.etag(manifest_service.manifest_digest(rows))
        headers = {"ETag": etag, "Cache-Control": REVALIDATE}
        if not_modified(request, etag):
            return Response(status_code=304, headers=headers)  # type: ignore[return-value]
        response.headers.update(headers)
        return manifest_service.manifest(connection, store.caches, rows)


@router.get(
    "/health",
    operation_id="health",
    summary="Whether every part works, with its version",
    response_model=Health,
    tags=["operation"],
    responses={
        503: {"model": Health, "description": "A part does not work"},
        **errors(422),
        422: {**ERRORS[422], "model": ErrorBody},  # the schema that all others name
    },
)
def health(request: Request, store: StoreDep) -> JSONResponse:
    """Database, PostGIS, schema, tile archives and the newest run."""
    try:
        with store.read() as connection:
            components = health_service.database_health(
                connection, request.app.state.settings.data_dir
            )
        state = request.app.state
        own = Store(state.engine, store.identity, store.caches, store.timeout_ms)
        if all(one.name != "schema" or one.ok for one in components):
            with own.read() as connection:  # the web's role does not know of snapshots
                components.append(
                    health_service.snapshots_health(connection, state.settings.data_dir)
                )
        components.append(health_service.watch_health(state.kept))
    except Unavailable as error:
        components = [ComponentHealth(name="postgresql", ok=False, message=error.message)]
    found = health_service.health(components)
    return JSONResponse(
        found.model_dump(mode="json"),
        status_code=200 if found.ok else 503,
        headers={"Cache-Control": "no-store"},
    )
