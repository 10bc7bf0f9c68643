"""GeoPackage from streams of batches, with styles, so that QGIS colours its layers at once.

Imports pyogrio. Promises: memory is that of a batch; the notes are the metadata of every layer; styles
stand in the table `layer_styles` as QGIS itself writes it (QML and SLD, used as default).
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.services.export_shapes import GEOMETRY, Stream

SHAPE = "geom"
"""Column of the shapes in a file."""
STYLES = """
create table if not exists layer_styles (
  id integer primary key autoincrement not null,
  f_table_catalog text(256), f_table_schema text(256), f_table_name text(256),
  f_geometry_column text(256), styleName text(30), styleQML text, styleSLD text,
  useAsDefault boolean, description text, owner text(30), ui text(30),
  update_time datetime default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
)
"""
CONTENTS = """
insert or ignore into gpkg_contents (table_name, data_type, identifier, description)
values ('layer_styles', 'attributes', 'layer_styles', 'styles of the layers for QGIS')
"""


@dataclass(frozen=True)
class Style:
    """How a layer is drawn, in the two languages QGIS reads."""

    name: str
    qml: str
    sld: str


def write_layer(stream: Stream, path: Path, layer: str, notes: Mapping[str, str]) -> int:
    """Add a layer of polygons (EPSG:4326) to a file, which is made when missing; its rows."""
    from pyogrio.raw import write_arrow

    write_arrow(
        stream.reader(),
        path,
        layer=layer,
        driver="GPKG",
        geometry_name=GEOMETRY,
        geometry_type="MultiPolygon",
        crs="EPSG:4326",
        layer_options={"GEOMETRY_NAME": SHAPE},
        layer_metadata=dict(notes),
    )
    return stream.rows


def write_styles(path: Path, styles: Mapping[str, Style]) -> None:
    """Give layers of a file the style they are opened with.

    Parameters
    ----------
    styles : layer → style
    """
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        file.execute(STYLES)
        file.execute(CONTENTS)
        for layer, style in styles.items():
            file.execute(
                "insert into layer_styles (f_table_catalog, f_table_schema, f_table_name, "
                "f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, owner) "
                "values ('', '', ?, ?, ?, ?, ?, 1, '', '')",
                (layer, SHAPE, style.name, style.qml, style.sld),
            )
