"""Boundary versions: the list of them, and each as a file."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse
from pydantic import Field

from app.api.auditing import AuditDep, Auditing
from app.api.dependencies import ExportDep, HeavyDep, Store, StoreDep, errors
from app.api.files import asked_by, file_made, file_route
from app.api.models import Model, Words
from app.services import export_files as service

router = APIRouter(prefix="/api/boundaries", tags=["export"])

Version = Annotated[
    int, Path(ge=1, le=2**31 - 1, description="Number of the boundary version, see the list")
]
ChosenLevel = Annotated[
    str | None,
    Query(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="Only this level; none: all of them"),
]


class BoundaryLevel(Model):
    """A level of a boundary version."""

    level: str
    units: int = Field(description="Units of it that the asker may see")


class BoundaryInfo(Model):
    """A dated set of units that tile the ground."""

    version: int = Field(description="Its number, for the addresses of its files")
    pack: str
    label: str = Field(description="Its name, unique in the map")
    title: Words
    levels: list[BoundaryLevel] = Field(description="Coarse to fine")
    valid_from: date = Field(description="First day of validity")
    valid_to: date | None = Field(description="Day after the last; null: still valid")
    approximate: bool = Field(description="Some shapes are not surveyed")
    source: str
    licence: str


@router.get(
    "",
    operation_id="listBoundaries",
    summary="Boundary versions, newest first in each map",
    responses=errors(422, 503),
)
def list_boundaries(
    store: StoreDep,
    pack: Annotated[
        str | None,
        Query(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Only versions of this map"),
    ] = None,
) -> list[BoundaryInfo]:
    """All versions of which the asker may see some unit."""
    with store.read() as connection:
        found = service.list_boundaries(connection, pack)
    return [
        BoundaryInfo(
            version=one.version,
            pack=one.pack,
            label=one.label,
            title=Words(zh=one.title_zh, en=one.title_en),
            levels=[BoundaryLevel(level=each.level, units=each.units) for each in one.levels],
            valid_from=one.valid_from,
            valid_to=one.valid_to,
            approximate=one.approximate,
            source=one.source,
            licence=one.licence,
        )
        for one in found
    ]


def _made(
    form: service.Format, version: int, level: str | None, store: Store, auditing: Auditing
) -> FileResponse:
    question = {"format": form, "boundaries": version, "level": level}
    with file_made(form) as made:
        with auditing.entry("export", question=question) as entry, store.read() as connection:
            one = service.find_boundaries(connection, version, level)
            entry.pack = one.pack
            made.name = f"{service.boundary_file_name(one)}.{form}"
            who = asked_by(store.identity)
            entry.rows = service.write_boundaries(
                connection, store.caches, one, form, made.path, asked_by=who
            )
        return made.answer()


@file_route(
    router,
    "/{version}/export.gpkg",
    service.MEDIA["gpkg"],
    operation_id="exportBoundariesGeoPackage",
    summary="A boundary version as GeoPackage",
    file="A layer per level, EPSG:4326, with a style for QGIS",
)
def export_boundaries_gpkg(
    *,
    version: Version,
    store: ExportDep,
    auditing: AuditDep,
    _turn: HeavyDep,
    level: ChosenLevel = None,
) -> FileResponse:
    """Answer the units inside the asker's jurisdiction with codes, names and shapes."""
    return _made("gpkg", version, level, store, auditing)


@file_route(
    router,
    "/{version}/export.parquet",
    service.MEDIA["parquet"],
    operation_id="exportBoundariesGeoParquet",
    summary="A boundary version as GeoParquet 1.1",
    file="All levels in one table, EPSG:4326, with boxes",
)
def export_boundaries_parquet(
    *,
    version: Version,
    store: ExportDep,
    auditing: AuditDep,
    _turn: HeavyDep,
    level: ChosenLevel = None,
) -> FileResponse:
    """Answer the units inside the asker's jurisdiction with codes, names and shapes."""
    return _made("parquet", version, level, store, auditing)


@file_route(
    router,
    "/{version}/export.pmtiles",
    service.MEDIA["pmtiles"],
    operation_id="exportBoundariesPmtiles",
    summary="A boundary version as tiles in one file",
    file="PMTiles 3 of vector tiles; per level a layer of its name and one of labels",
)
def export_boundaries_pmtiles(
    *,
    version: Version,
    store: ExportDep,
    auditing: AuditDep,
    _turn: HeavyDep,
    level: ChosenLevel = None,
) -> FileResponse:
    """Answer the units inside the asker's jurisdiction as a map in one file."""
    return _made("pmtiles", version, level, store, auditing)
