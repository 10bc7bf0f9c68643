"""A run as a file: everything needed to recompute every colour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse, StreamingResponse

from app.api.auditing import AuditDep, Auditing
from app.api.dependencies import PRIVATE, ExportDep, HeavyDep, Run, Store
from app.api.files import asked_by, attachment, file_made, file_route
from app.api.layers import LayerDep
from app.services import export as service
from app.services import export_files as files
from app.services.runs import Layer

router = APIRouter(prefix="/api/runs/{run}", tags=["export"])


def _asked(form: str, layer: Layer) -> dict[str, Any]:
    return {"format": form, **asdict(layer)}


@file_route(
    router,
    "/export.csv",
    "text/csv",
    operation_id="exportCsv",
    summary="One level, kind and period as CSV",
    file="UTF-8 with byte order mark; rows of notes begin with #",
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
            table = service.export_table(
                connection, store.caches, run, layer, asked_by(store.identity)
            )
        entry.rows = len(table)

    def chunks() -> Iterator[bytes]:
        yield from service.csv_chunks(table)

    return StreamingResponse(
        chunks(),
        media_type="text/csv; charset=utf-8",
        headers=attachment(f"{table.file_name}.csv", PRIVATE),
    )


def _made(
    form: files.Format, run: int, layer: Layer, store: Store, auditing: Auditing
) -> FileResponse:
    question, who = _asked(form, layer), asked_by(store.identity)
    with file_made(form) as made:
        with (
            auditing.entry("export", run=run, question=question) as entry,
            store.read() as connection,
        ):
            table = service.export_table(connection, store.caches, run, layer, who)
            made.name = f"{table.file_name}.{form}"
            entry.rows = files.write_run(connection, table, form, made.path)
        return made.answer()


@file_route(
    router,
    "/export.gpkg",
    files.MEDIA["gpkg"],
    operation_id="exportGeoPackage",
    summary="One level, kind and period as GeoPackage",
    file="One layer of polygons, EPSG:4326, with a style for QGIS; notes are the layer's metadata",
)
def export_gpkg(
    *, run: Run, layer: LayerDep, store: ExportDep, auditing: AuditDep, _turn: HeavyDep
) -> FileResponse:
    """Answer the columns of the CSV with the shapes of the units, for QGIS and others."""
    return _made("gpkg", run, layer, store, auditing)


@file_route(
    router,
    "/export.parquet",
    files.MEDIA["parquet"],
    operation_id="exportGeoParquet",
    summary="One level, kind and period as GeoParquet 1.1",
    file="Polygons, EPSG:4326, with their boxes; notes are the file's metadata, key `wusetu`",
)
def export_parquet(
    *, run: Run, layer: LayerDep, store: ExportDep, auditing: AuditDep, _turn: HeavyDep
) -> FileResponse:
    """Answer the columns of the CSV with the shapes of the units, for geopandas, DuckDB, Spark."""
    return _made("parquet", run, layer, store, auditing)


@file_route(
    router,
    "/export.pmtiles",
    files.MEDIA["pmtiles"],
    operation_id="exportPmtiles",
    summary="One level, kind and period as coloured tiles in one file",
    file="PMTiles 3 of vector tiles, layers `units` and `labels`; notes are the metadata `wusetu`",
)
def export_pmtiles(
    *, run: Run, layer: LayerDep, store: ExportDep, auditing: AuditDep, _turn: HeavyDep
) -> FileResponse:
    """Answer a map that is drawn from one file, without this server."""
    return _made("pmtiles", run, layer, store, auditing)
