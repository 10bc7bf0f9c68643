"""Runs and boundary versions as GeoPackage, GeoParquet 1.1 and PMTiles.

Takes a connection and plain arguments, never a request. Promises: what a connection may not see is in
no file; every file says map, boundary version with source and licence, who asked and when, and of a
run its number, scene, method, period, data cut-off and whether events are simulated.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from app.api.models import COLOURS
from app.errors import NotFound
from app.services import export_gpkg, export_parquet, export_pmtiles, export_shapes
from app.services.caches import Caches
from app.services.export import ExportTable, made_notes, version_notes
from app.services.tile_archives import version_row
from app.services.units import unit_table
from tiles import qgis, tilejson
from tiles.palette import CLASSES

Format = Literal["gpkg", "parquet", "pmtiles"]
FORMATS: tuple[Format, ...] = get_args(Format)
MEDIA: dict[Format, str] = {
    "gpkg": "application/geopackage+sqlite3",
    "parquet": "application/vnd.apache.parquet",
    "pmtiles": "application/vnd.pmtiles",
}
ASSESSMENT = "assessment"
"""Layer of a run in a GeoPackage."""
TEXTS = ("code", "name", "name_en", "parent_code", "colour", "flags")
WHOLE = ("observed", "rank", "rank_low", "rank_high", "ranked")
UNIT_FIELDS = {
    "code": "Canonical unit code",
    "name": "Name of the unit",
    "name_en": "English name; absent where there is none",
    "level": "Level of the unit",
    "parent": "Code of the next coarser unit; absent at the top",
}
RUN_FIELDS = {
    **tilejson.COLOURED_FIELDS,
    "name_en": UNIT_FIELDS["name_en"],
    "parent": UNIT_FIELDS["parent"],
    "theta": "Relative risk; absent when there is no data",
    "low": "2.5 % point of the relative risk",
    "high": "97.5 % point of the relative risk",
    "p": "Probability that the relative risk is above 1",
    "observed": "Events",
    "expected": "Events expected",
}


# runs --------------------------------------------------------------------------------------------
def arrow_table(table: ExportTable) -> pa.Table:
    """Columns of an exported run with their types; None is null."""
    kinds = dict.fromkeys(TEXTS, pa.string()) | dict.fromkeys(WHOLE, pa.int64())
    return pa.table(
        {
            name: pa.array(values, kinds.get(name, pa.float64()))
            for name, values in table.columns.items()
        }
    )


def write_run(connection: sa.Connection, table: ExportTable, form: Format, path: Path) -> int:
    """Write a layer of a run with the shapes of its units; the number of units.

    Parameters
    ----------
    path : a new file; what was half written is the caller's to remove

    Raises
    ------
    NotFound
        PMTiles: the level has no tiles yet, or none of its units may be seen.
    """
    if form == "pmtiles":
        export_pmtiles.write(
            connection, table.version_id, [_run_layer(table)], path, _run_about(connection, table)
        )
        return len(table)
    stream = export_shapes.with_shapes(connection, table.version_id, table.ids, arrow_table(table))
    if form == "parquet":
        return export_parquet.write(stream, path, table.notes)
    rows = export_gpkg.write_layer(stream, path, ASSESSMENT, table.notes)
    style = export_gpkg.Style("五色图", qgis.coloured_qml(), qgis.coloured_sld(ASSESSMENT))
    export_gpkg.write_styles(path, {ASSESSMENT: style})
    return rows


def _run_layer(table: ExportTable) -> export_pmtiles.TileLayer:
    columns = table.columns
    classes = [CLASSES[COLOURS.index(one)] for one in columns["colour"]]
    return export_pmtiles.TileLayer(
        level=table.level,
        polygons="units",
        labels="labels",
        ids=np.array(table.ids, np.int64),
        properties={
            "code": columns["code"],
            "name": columns["name"],
            "colour": [one.value for one in classes],
            "colour_name": [one.id for one in classes],
            "class_zh": [one.meaning_zh for one in classes],
            "class_en": [one.meaning_en for one in classes],
            "theta": columns["relative_risk"],
            "name_en": columns["name_en"],
            "parent": columns["parent_code"],
            **{name: columns[name] for name in ("low", "high", "p", "observed", "expected")},
        },
        fields=RUN_FIELDS,
    )


def _run_about(connection: sa.Connection, table: ExportTable) -> dict[str, Any]:
    notes = table.notes
    version = version_row(connection, table.version_id)
    about = _about(
        version,
        f"{version['title_zh']} {version['title_en']} · {table.level} · {notes['kind']} · "
        f"{notes['period']}",
        notes,
    )
    if notes["events"] == "simulated":
        about["attribution"] += " · 模拟事件 simulated events"
    return about


def _about(version: dict[str, Any], title: str, notes: dict[str, str]) -> dict[str, Any]:
    """Metadata of an archive, as PMTiles names them, and the notes."""
    return {
        "name": title,
        "description": f"Wusetu · {notes['generated']}",
        "version": tilejson.VERSION,
        "type": "overlay",
        "attribution": tilejson.attribution(version),
        "wusetu": notes,
    }


# boundary versions -------------------------------------------------------------------------------
@dataclass(frozen=True)
class LevelUnits:
    """A level of a boundary version and how many of its units may be seen."""

    level: str
    units: int


@dataclass(frozen=True)
class Boundaries:
    """A boundary version as it may be seen."""

    version: int
    pack: str
    label: str
    title_zh: str
    title_en: str
    layout: str | None
    levels: tuple[LevelUnits, ...]
    approximate: bool
    source: str
    licence: str
    valid_from: date
    valid_to: date | None
    digest: str

    @property
    def rows(self) -> int:
        """Units of all levels."""
        return sum(one.units for one in self.levels)


LIST = """
select v.id as version, v.pack, v.label, v.title_zh, v.title_en, v.layout, v.approximate, v.source,
  v.licence, v.valid_from, v.valid_to, v.digest, v.levels,
  (select jsonb_object_agg(level, units) from (
     select level, count(*) as units from unit
     where boundary_version_id = v.id and may_see(code) group by level) as own) as own
from boundary_version v
where (cast(:pack as text) is null or v.pack = :pack)
  and (cast(:version as int) is null or v.id = :version)
order by v.pack, v.valid_from desc, v.id desc
"""


def list_boundaries(
    connection: sa.Connection, pack: str | None = None, version: int | None = None
) -> list[Boundaries]:
    """Boundary versions of which some unit may be seen, newest first in each map."""
    rows = connection.execute(sa.text(LIST), {"pack": pack, "version": version}).mappings()
    found = []
    for row in rows:
        body = dict(row)
        own, levels = body.pop("own"), body.pop("levels")
        if own:
            counts = tuple(LevelUnits(one, own[one]) for one in levels if one in own)
            found.append(Boundaries(**body, levels=counts))
    return found


def find_boundaries(
    connection: sa.Connection, version: int, level: str | None = None
) -> Boundaries:
    """Find a boundary version, with all its levels or one.

    Raises
    ------
    NotFound
        No such version or level, or none of its units may be seen.
    """
    found = list_boundaries(connection, version=version)
    if not found:
        raise NotFound(f"no boundary version {version}")
    if level is None:
        return found[0]
    chosen = tuple(one for one in found[0].levels if one.level == level)
    if not chosen:
        names = ", ".join(one.level for one in found[0].levels)
        raise NotFound(f"no level {level!r} in boundary version {version}; there are {names}")
    return Boundaries(**{**found[0].__dict__, "levels": chosen})


def boundary_file_name(one: Boundaries) -> str:
    """Name of a file without its ending."""
    label = re.sub(r"[^\w.-]+", "-", one.label)
    level = f"-{one.levels[0].level}" if len(one.levels) == 1 else ""
    return f"wusetu-{one.pack}-boundaries-{label}{level}"


def boundary_notes(one: Boundaries, asked_by: str) -> dict[str, str]:
    """Facts by English name, for machines, as those of a run."""
    valid = f"from {one.valid_from.isoformat()}"
    if one.valid_to:
        valid += f" up to and without {one.valid_to.isoformat()}"
    return {
        "map": one.pack,
        "title": f"{one.title_zh} {one.title_en}",
        "boundary version": one.label,
        "valid": valid,
        "levels": ", ".join(f"{each.level} ({each.units})" for each in one.levels),
        **version_notes(one.__dict__),
        "code layout": one.layout or "none",
        "digest": one.digest,
        "units": "area_km2: geodesic, WGS84; shapes and label points EPSG:4326, longitude first",
        **made_notes(asked_by),
    }


def write_boundaries(
    connection: sa.Connection,
    caches: Caches,
    one: Boundaries,
    form: Format,
    path: Path,
    *,
    asked_by: str = "command line",
) -> int:
    """Write the units of a boundary version that may be seen; their number.

    GeoPackage: a layer per level. GeoParquet: all in one table. PMTiles: per level a layer of its name
    and one of labels (`town`, `town_labels`).

    Raises
    ------
    NotFound
        PMTiles: a level has no tiles yet.
    """
    notes = boundary_notes(one, asked_by)
    levels = [each.level for each in one.levels]
    if form == "parquet":
        return export_parquet.write(
            export_shapes.units(connection, one.version, levels), path, notes
        )
    if form == "pmtiles":
        layers = [_boundary_layer(connection, caches, one, level) for level in levels]
        title = f"{one.title_zh} {one.title_en} · {', '.join(levels)}"
        export_pmtiles.write(
            connection, one.version, layers, path, _about(one.__dict__, title, notes)
        )
        return one.rows
    styles, rows = {}, 0
    for level in levels:
        stream = export_shapes.units(connection, one.version, [level])
        rows += export_gpkg.write_layer(stream, path, level, notes)
        styles[level] = export_gpkg.Style("边界", qgis.outline_qml(), qgis.outline_sld(level))
    export_gpkg.write_styles(path, styles)
    return rows


def _boundary_layer(
    connection: sa.Connection, caches: Caches, one: Boundaries, level: str
) -> export_pmtiles.TileLayer:
    table = unit_table(connection, caches, one.version)
    ids = table.own_ids(level).astype(np.int64)

    def named(values: Sequence[Any], at: Sequence[int]) -> list[Any]:
        return [(values[k - 1] or None) if k else None for k in at]

    return export_pmtiles.TileLayer(
        level=level,
        polygons=level,
        labels=f"{level}_labels",
        ids=ids,
        properties={
            "code": named(table.codes, ids.tolist()),
            "name": named(table.names, ids.tolist()),
            "name_en": named(table.names_en, ids.tolist()),
            "level": [level] * len(ids),
            "parent": named(table.codes, table.parent_of[ids - 1].tolist()),
        },
        fields=UNIT_FIELDS,
    )
