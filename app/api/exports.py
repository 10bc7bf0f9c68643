"""A run as a file: everything needed to recompute every colour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, StreamingResponse

from app.api.auditing import AuditDep, Auditing
from app.api.dependencies import PRIVATE, ExportDep, HeavyDep, Run, Store, errors
from app.api.files import asked_by, documented, file_made
from app.api.layers import LayerDep
from app.services import export as service
from app.services import export_files as files
from app.services.runs import Layer

router = APIRouter(prefix="/api/runs/{run}", tags=["export"])


def _asked(form: str, layer: Layer) -> dict[str, Any]:
    return {"format": form, **asdict(layer)}


@router.get(
    "/export.csv",
    operation_id="exportCsv",
    summary="One level, kind and period as CSV",
    response_class=Response,
    responses={
        **documented("text/csv", "UTF-8 with byte order mark; rows of notes begin with #"),
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
            table = service.export_table(
                connection, store.caches, run, layer, asked_by(store.identity)
            )
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


@router.get(
    "/export.gpkg",
    operation_id="exportGeoPackage",
    summary="One level, kind and period as GeoPackage",
    response_class=Response,
    responses={
        **documented(
            files.MEDIA["gpkg"],
            "One layer of polygons, EPSG:4326, with a style for QGIS; notes are the layer's metadata",
        ),
        **errors(404, 422, 503),
    },
)
def export_gpkg(
    *, run: Run, layer: LayerDep, store: ExportDep, auditing: AuditDep, _turn: HeavyDep
) -> FileResponse:
    """Answer the columns of the CSV with the shapes of the units, for QGIS and others."""
    return _made("gpkg", run, layer, store, auditing)


@router.get(
    "/export.parquet",
    operation_id="exportGeoParquet",
    summary="One level, kind and period as GeoParquet 1.1",
    response_class=Response,
    responses={
        **documented(
            files.MEDIA["parquet"],
            "Polygons, EPSG:4326, with their boxes; notes are the file's metadata, key `wusetu`",
        ),
        **errors(404, 422, 503),
    },
)
def export_parquet(
    *, run: Run, layer: LayerDep, store: ExportDep, auditing: AuditDep, _turn: HeavyDep
) -> FileResponse:
    """Answer the columns of the CSV with the shapes of the units, for geopandas, DuckDB, Spark."""
    return _made("parquet", run, layer, store, auditing)


@router.get(
    "/export.pmtiles",
    operation_id="exportPmtiles",
    summary="One level, kind and period as coloured tiles in one file",
    response_class=Response,
    responses={
        **documented(
            files.MEDIA["pmtiles"],
            "PMTiles 3 of vector tiles, layers `units` and `labels`; notes are the metadata `wusetu`",
        ),
        **errors(404, 422, 503),
    },
)
def export_pmtiles(
    *, run: Run, layer: LayerDep, store: ExportDep, auditing: AuditDep, _turn: HeavyDep
) -> FileResponse:
    """Answer a map that is drawn from one file, without this server."""
    return _made("pmtiles", run, layer, store, auditing)
