"""Files of units to one table: GeoJSON, GeoPackage, Shapefile (zipped or not), GeoParquet.

Promises: every row knows the file and row it came from; what cannot be read says which file, what
is wrong and what there is instead; coordinates come out as WGS84.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow
import pyogrio
import shapely

from app.errors import Invalid
from app.services import boundary_checks as checks
from app.services.boundary_checks import Notes, Progress, Reject

_TEXT = (".geojson", ".json")
_PARQUET = (".parquet", ".geoparquet")
_TABLES = (".gpkg", ".shp", ".fgb")
_INSIDE_ZIP = (".shp", ".gpkg", ".geojson", ".json")
#: What the readers raise on a damaged file.
_UNREADABLE = (
    OSError, ValueError, RuntimeError, pyarrow.ArrowException, zipfile.BadZipFile,
    shapely.errors.ShapelyError,
)  # fmt: skip
READABLE = (*_TEXT, *_PARQUET, *_TABLES, ".zip")


@dataclass(frozen=True)
class Source:
    """One file and which of its columns say what.

    `level` names the level of every row, `level_column` the column that does; with neither, the
    layout tells it from the code. Unset column names fall back to `code`, `name`, `name_en`,
    `parent` where the file has them.
    """

    path: Path
    level: str | None = None
    level_column: str | None = None
    code: str | None = None
    name: str | None = None
    name_en: str | None = None
    parent: str | None = None
    layer: str | None = None
    crs: str | None = None
    encoding: str | None = None


KEYS = tuple(f.name for f in fields(Source) if f.name != "path")


def parse_source(text: str, defaults: Source) -> Source:
    """Source from `FILE;key=value;…`; what is not said is taken from `defaults`.

    Raises
    ------
    Invalid
        A key that is none of `KEYS`, or one given twice.
    """
    path, *pairs = [part.strip() for part in text.split(";")]
    said: dict[str, str] = {}
    for pair in filter(None, pairs):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not value:
            raise Invalid(f"source {text!r}: {pair!r} is no key=value; keys: {', '.join(KEYS)}")
        if key not in KEYS:
            raise Invalid(f"source {text!r}: there is no key {key!r}; keys: {', '.join(KEYS)}")
        if key in said:
            raise Invalid(f"source {text!r}: key {key!r} is given twice")
        said[key] = value
    if not path:
        raise Invalid(f"source {text!r} names no file")
    return replace(defaults, path=Path(path), **said)


def read_all(sources: Sequence[Source], notes: Notes, progress: Progress) -> gpd.GeoDataFrame:
    """Rows of all files, as `boundaries.import_units` takes them, WGS84.

    Raises
    ------
    Invalid
        With the file and the reason.
    """
    frames = []
    for i, source in enumerate(sources):
        progress(f"read {source.path.name}", i / len(sources))
        frames.append(read(source, notes))
    return gpd.GeoDataFrame(pd.concat(frames, ignore_index=True), geometry="geometry")


def read(source: Source, notes: Notes) -> gpd.GeoDataFrame:
    """Rows of one file; see `read_all`."""
    what = source.path.name
    frame = _open(source, notes)
    if len(frame) == 0:
        raise Invalid(f"{what} has no rows")
    declared = _crs(frame, source, notes)
    units = gpd.GeoDataFrame(
        {
            "code": _column(frame, source, "code", required=True),
            "level": source.level or _column(frame, source, "level_column"),
            "name": _column(frame, source, "name", required=source.name is not None),
            "name_en": _column(frame, source, "name_en"),
            "parent": _column(frame, source, "parent"),
            "place": [f"{what}: row {i + 1}" for i in range(len(frame))],
        },
        geometry=frame.geometry.to_numpy(),
    )
    if "_unclosed" in frame:
        open_rings = frame["_unclosed"].to_numpy(dtype=bool)
        for row in units[open_rings].itertuples():
            notes.rejects.append(Reject(row.place, str(row.code), "its ring is not closed"))
        units = units[~open_rings]
    units = checks.standard(units)
    return checks.to_wgs84(units, declared, notes, what)


def _column(
    frame: gpd.GeoDataFrame, source: Source, key: str, required: bool = False
) -> Any:  # a Series, or None for a column of nothing
    chosen = getattr(source, key)
    name = chosen or ("" if key == "level_column" else key)
    if name in frame.columns:
        return frame[name].to_numpy(dtype=object)
    if chosen is None and not required:
        return None
    there = ", ".join(str(c) for c in frame.columns if c not in ("geometry", "_unclosed"))
    ask = f"; say which holds the {key} (--{key.replace('_', '-')} or {key}=…)"
    raise Invalid(
        f"{source.path.name} has no column {name!r}{'' if chosen else ask}; "
        f"its columns: {there or 'none'}"
    )


def _crs(frame: gpd.GeoDataFrame, source: Source, notes: Notes) -> str:
    what, own = source.path.name, frame.crs
    if source.crs is not None:
        number = own.to_epsg() if own is not None else None
        said = source.crs.upper()
        if number not in (None, 4326) and said.startswith("EPSG:") and said != f"EPSG:{number}":
            notes.notes.append(f"{what} says it is EPSG:{number}; read as {said}, as declared")
        return source.crs
    if own is None:
        raise Invalid(f"{what} does not say its CRS: declare it (--crs wgs84, gcj02, EPSG:n …)")
    number = own.to_epsg() or own.to_epsg(min_confidence=25)
    if number is None:
        raise Invalid(f"{what} has the CRS {own.name!r}, which has no EPSG number: declare --crs")
    return f"EPSG:{number}"


def _open(source: Source, notes: Notes) -> gpd.GeoDataFrame:
    path, what = source.path, source.path.name
    if not path.is_file():
        raise Invalid(f"{path} is no file")
    if path.stat().st_size == 0:
        raise Invalid(f"{what} is empty (0 bytes)")
    suffix = path.suffix.lower()
    if suffix not in READABLE:
        raise Invalid(f"{what} is no file of units; those are {', '.join(READABLE)}")
    try:
        if suffix in _PARQUET:
            return _parquet(path)
        if suffix in _TEXT:
            return _vector(_utf8(path, source.encoding), None)
        if suffix == ".zip":
            return _zipped(source, notes)
        layer = _layer(path, source) if suffix == ".gpkg" else None
        return _shapefile(str(path), source, notes, layer) if suffix == ".shp" else _vector(
            str(path), None, layer
        )  # fmt: skip
    except Invalid:
        raise
    except UnicodeDecodeError as error:
        raise Invalid(
            f"{what} is not {error.encoding} (byte {error.start}): say --encoding gbk or another"
        ) from error
    except LookupError as error:
        raise Invalid(f"{what}: {error}") from error
    except _UNREADABLE as error:
        text = " ".join(str(error).replace(str(path), what).split())
        raise Invalid(f"{what} cannot be read: {text or type(error).__name__}") from error


def _parquet(path: Path) -> gpd.GeoDataFrame:
    try:
        return gpd.read_parquet(path)
    except ValueError as error:
        if "geo metadata" in str(error).lower():
            raise Invalid(f"{path.name} is a table without shapes (no GeoParquet)") from error
        raise


def _utf8(path: Path, encoding: str | None) -> io.BytesIO:
    content = path.read_bytes()
    content = content.decode(encoding or "utf-8-sig").encode() if encoding else content
    content = content.removeprefix(b"\xef\xbb\xbf")
    if not content.strip():
        raise Invalid(f"{path.name} is empty")
    if not encoding:
        # GDAL would pass broken names on
        content.decode("utf-8")
    return io.BytesIO(content)


def _vector(
    where: str | io.BytesIO, encoding: str | None, layer: str | None = None
) -> gpd.GeoDataFrame:
    def once(on_invalid: str) -> Any:
        if isinstance(where, io.BytesIO):
            where.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pyogrio.read_dataframe(
                where, layer=layer, encoding=encoding, on_invalid=on_invalid
            )

    frame = once("ignore")
    if not isinstance(frame, gpd.GeoDataFrame):
        raise Invalid("it is a table without shapes")
    missing = frame.geometry.isna().to_numpy()
    if missing.any():
        # shapes that only exist when mended: their rings are not closed
        frame["_unclosed"] = missing & ~once("fix").geometry.isna().to_numpy()
    return frame


def _shapefile(
    where: str, source: Source, notes: Notes, layer: str | None = None
) -> gpd.GeoDataFrame:
    if source.encoding:
        "".encode(source.encoding)  # an unknown name is an error here, not somewhere in GDAL
        return _vector(where, source.encoding, layer)
    declared = pyogrio.read_info(where, layer=layer)["encoding"]
    if declared and declared.upper() != "ISO-8859-1":
        return _vector(where, None, layer)
    # neither a .cpg file nor a code page in the table: try what Chinese files use
    for encoding in ("UTF-8", "GB18030"):
        try:
            frame = _vector(where, encoding, layer)
        except UnicodeDecodeError:
            continue
        if encoding != "UTF-8":
            notes.notes.append(f"{source.path.name} does not say its encoding; read as {encoding}")
        return frame
    raise Invalid(
        f"{source.path.name} does not say its encoding, and it is neither UTF-8 nor GBK: "
        "say --encoding"
    )


def _layer(path: Path, source: Source) -> str | None:
    names = [str(name) for name in np.asarray(pyogrio.list_layers(path))[:, 0]]
    if source.layer in names or (source.layer is None and len(names) == 1):
        return source.layer or names[0]
    ask = f"has no layer {source.layer!r}" if source.layer else "has several layers: say layer=…"
    raise Invalid(f"{path.name} {ask}; its layers: {', '.join(names) or 'none'}")


def _zipped(source: Source, notes: Notes) -> gpd.GeoDataFrame:
    path = source.path
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if n.lower().endswith(_INSIDE_ZIP)]
    names = [n for n in names if not n.startswith("__MACOSX")]
    if source.layer is not None:
        chosen = [n for n in names if Path(n).stem == source.layer or n == source.layer]
    else:
        chosen = names
    if len(chosen) != 1:
        listed = ", ".join(names) or "none"
        ask = "has no" if not chosen else "has several: say layer=… for one"
        raise Invalid(f"{path.name} {ask} file of units inside; there are: {listed}")
    inside = f"/vsizip/{path.resolve()}/{chosen[0]}"
    if chosen[0].lower().endswith(".shp"):
        return _shapefile(inside, source, notes)
    return _vector(inside, source.encoding)
