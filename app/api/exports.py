"""A run as a file: everything needed to recompute every colour."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, StreamingResponse
from starlette.background import BackgroundTask

from app.api.auditing import AuditDep
from app.api.dependencies import PRIVATE, ExportDep, HeavyDep, Run, errors
from app.api.layers import LayerDep
from app.services import export as service
from app.services.runs import Layer

router = APIRouter(prefix="/api/runs/{run}", tags=["export"])
GPKG = "application/geopackage+sqlite3"


def _file(media_type: str, description: str) -> dict[int | str, dict[str, Any]]:
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {200: {"description": description, "content": content}}


def _asked(form: str, layer: Layer) -> dict[str, Any]:
    return {"format": form, **asdict(layer)}


@router.get(
    "/export.csv",
    operation_id="exportCsv",
    summary="One level, kind and period as CSV",
    response_class=Response,
    responses={
        **_file("text/csv", "UTF-8 with byte order mark; rows of notes begin with #"),
        **errors(404, 422, 503),
    },
)
def export_csv(
    *,
    run: Run,
    layer: LayerDep,
    store: ExportDep,
    auditing: AuditDep,
    _turn: HeavyDep,
) -> StreamingResponse:
    """Answer a file that opens in Excel as it is; codes stay text."""
    with auditing.entry("export", run=run, question=_asked("csv", layer)) as entry:
        with store.read() as connection:
            table = service.export_table(connection, store.caches, run, layer)
        entry.rows = len(table)

    def chunks() -> Iterator[bytes]:
        yield from service.csv_chunks(table)

    return StreamingResponse(
        chunks(),
        media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{table.file_name}.csv"',
            "Cache-Control": PRIVATE,
        },
    )


@router.get(
    "/export.gpkg",
    operation_id="exportGeoPackage",
    summary="One level, kind and period as GeoPackage",
    response_class=Response,
    responses={
        **_file(GPKG, "One layer of polygons, EPSG:4326; notes are the layer's metadata"),
        **errors(404, 422, 503),
    },
)
def export_gpkg(
    *,
    run: Run,
    layer: LayerDep,
    store: ExportDep,
    auditing: AuditDep,
    _turn: HeavyDep,
) -> FileResponse:
    """Answer the columns of the CSV with the shapes of the units, for QGIS and others."""
    folder = tempfile.TemporaryDirectory(prefix="wusetu-export-")
    try:
        with auditing.entry("export", run=run, question=_asked("gpkg", layer)) as entry:
            with store.read() as connection:
                table = service.export_table(connection, store.caches, run, layer)
                path = Path(folder.name) / f"{table.file_name}.gpkg"
                service.write_gpkg(connection, table, path)
            entry.rows = len(table)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(
        path,
        media_type=GPKG,
        filename=path.name,
        headers={"Cache-Control": PRIVATE},
        background=BackgroundTask(folder.cleanup),
    )
