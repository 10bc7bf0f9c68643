"""GeoParquet 1.1 from a stream of batches. Imports pyarrow, shapely and pyproj.

Promises: one row group per batch, so memory is that of a batch; every row has its box in the column
`bbox`, declared as covering, so that readers skip row groups they do not need; CRS as PROJJSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyproj import CRS

from app.services.export_shapes import GEOMETRY, Stream

VERSION = "1.1.0"
NOTES = "wusetu"
"""Key of our own notes in the file's metadata, JSON."""
BBOX = "bbox"
CORNERS = ("xmin", "ymin", "xmax", "ymax")
BOX = pa.struct([pa.field(name, pa.float64(), nullable=False) for name in CORNERS])


def write(stream: Stream, path: Path, notes: Mapping[str, str]) -> int:
    """Write a file; the number of its rows.

    Parameters
    ----------
    stream : with a column `geometry` of WKB MultiPolygons, EPSG:4326
    path : the file; what was half written is the caller's to remove
    notes : kept in the file's metadata under `NOTES`
    """
    schema = stream.schema.append(pa.field(BBOX, BOX, nullable=False)).with_metadata(
        {
            "geo": json.dumps(metadata(stream.bounds)),
            NOTES: json.dumps(dict(notes), ensure_ascii=False),
        }
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in stream:
            corners = shapely.bounds(
                shapely.from_wkb(batch.column(GEOMETRY).to_numpy(zero_copy_only=False))
            )
            box = pa.StructArray.from_arrays(
                [pa.array(corners[:, k]) for k in range(4)], fields=list(BOX)
            )
            writer.write_batch(
                pa.RecordBatch.from_arrays([*batch.columns, box], schema=schema),
                row_group_size=batch.num_rows,
            )
    return stream.rows


def metadata(bounds: list[float] | None) -> dict[str, Any]:
    """Value of the key `geo`, GeoParquet 1.1; no bounds: a file without rows."""
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": ["MultiPolygon"],
        "crs": CRS.from_epsg(4326).to_json_dict(),
        "edges": "planar",
        "covering": {"bbox": {name: [BBOX, name] for name in CORNERS}},
    }
    if bounds:
        column["bbox"] = bounds
    return {"version": VERSION, "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}
