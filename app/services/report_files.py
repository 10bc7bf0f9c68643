"""Reports as tables and layers: CSV, GeoPackage, GeoJSON, GeoParquet.

All have the same rows and columns (`report.COLUMNS`); what was suppressed is empty with "<5" beside
it. CSV: as the CSV of a run (docs/api.md), notes first, codes with a tab.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from app.services.export import ExportTable, csv_chunks
from app.services.report import COLUMNS, Report, Row

NUMBERS = (
    "expected", "relative_risk", "low", "high", "p", "share_inside", "similarity",
    "alpha", "effective_observed", "effective_expected",
)  # fmt: skip
#: Layers of a GeoPackage by the parts they hold.
LAYERS = {"area": ("area",), "units": ("unit",), "comparisons": ("comparison",), "cells": ("cell",)}


def csv(report: Report) -> bytes:
    """Make notes and one table."""
    columns: dict[str, list[Any]] = {
        name: [getattr(row, name) for row in report.rows] for name in COLUMNS
    }
    columns["suppressed"] = ["yes" if one else "no" for one in columns["suppressed"]]
    table = ExportTable(
        run=report.answer.run or 0,
        version_id=0,
        level="",
        ids=[],
        file_name=report.file_name,
        notes=report.notes,
        columns=columns,
    )
    return b"".join(csv_chunks(table))


def _frame(rows: list[Row]) -> Any:
    """Rows as a GeoDataFrame, EPSG:4326."""
    import geopandas
    import pandas

    frame = pandas.DataFrame([{name: getattr(row, name) for name in COLUMNS} for row in rows])
    frame = frame.reindex(columns=list(COLUMNS))
    frame["observed"] = frame["observed"].astype("Int64")
    for name in NUMBERS:
        frame[name] = frame[name].astype("float64")
    for name in set(COLUMNS) - {"observed", "suppressed", *NUMBERS}:
        frame[name] = frame[name].astype("string")
    frame["suppressed"] = frame["suppressed"].astype("bool")
    shapes = np.array([_many(row.geometry) for row in rows], object)
    return geopandas.GeoDataFrame(frame, geometry=shapes, crs="EPSG:4326")


def _many(shape: shapely.Geometry | None) -> shapely.Geometry | None:
    if shape is None or shape.geom_type == "MultiPolygon":
        return shape
    return shapely.MultiPolygon([shape])


def gpkg(report: Report, path: Path) -> None:
    """Layers area, units, comparisons and cells, and the table of all rows without shapes."""
    import pyogrio

    for layer, parts in LAYERS.items():
        rows = [row for row in report.rows if row.part in parts and row.geometry is not None]
        if rows:
            _frame(rows).to_file(
                path, layer=layer, driver="GPKG", engine="pyogrio", layer_metadata=report.notes
            )
    table = _frame(report.rows).drop(columns="geometry")
    pyogrio.write_dataframe(
        table, path, layer="numbers", driver="GPKG", layer_metadata=report.notes
    )


def geojson(report: Report) -> bytes:
    """FeatureCollection of all rows with a shape; the others, and the notes, as further members."""
    features, others = [], []
    for row in report.rows:
        body = {name: getattr(row, name) for name in COLUMNS}
        if row.geometry is None:
            others.append(body)
            continue
        shape = shapely.set_precision(row.geometry, 1e-9, mode="pointwise")
        features.append(
            {
                "type": "Feature",
                "geometry": json.loads(shapely.to_geojson(shape)),
                "properties": body,
            }
        )
    whole = {
        "type": "FeatureCollection",
        "name": report.title,
        "about": report.notes,
        "numbers": others,
        "features": features,
    }
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()


def parquet(report: Report, path: Path) -> None:
    """GeoParquet 1.0; the notes are key-value metadata of the file, `wusetu`."""
    import geopandas
    import pyarrow.parquet

    frame = _frame(report.rows)
    assert isinstance(frame, geopandas.GeoDataFrame)
    table = _arrow(frame)
    notes = json.dumps(report.notes, ensure_ascii=False).encode()
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), b"wusetu": notes})
    pyarrow.parquet.write_table(table, path, compression="zstd")


def _arrow(frame: Any) -> Any:
    """Arrow table with GeoParquet's own metadata, written and read once by geopandas."""
    import io

    import pyarrow.parquet

    held = io.BytesIO()
    frame.to_parquet(held, schema_version="1.0.0")
    held.seek(0)
    return pyarrow.parquet.read_table(held)
