"""Areas of an uploaded file: GeoJSON, KML, GeoPackage or a zipped Shapefile. Imports pyogrio.

Promises: the kind of file is told by its bytes, not by its name; a zip is looked at before it is
unpacked and never fills the disk; what cannot be counted is named with its reason, the rest kept;
nothing of the file stays.
"""

from __future__ import annotations

import json
import math
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn

import numpy as np
import pyogrio
import pyproj
import shapely

from app.api.analysis_models import Upload, UploadedShape
from app.errors import Invalid
from app.services import analysis_shapes
from app.services.area_words import Ground
from app.services.event_persons import shown
from app.services.shape_words import reason
from app.services.upload_checks import NotPlain, check_geopackage, check_shapefile, plain_kml
from geo.crs import CrsError, normalise
from geo.shapes import MAX_VERTICES, ShapeError, from_geojson

Format = Literal["geojson", "kml", "gpkg", "shapefile"]
#: features of one file; bytes of all files of a zip together, and how many times its own size
MOST_FEATURES = 200
MOST_BYTES = 64 * 2**20
MOST_ENTRIES = 64
_PARTS = {".shp", ".shx", ".dbf", ".prj", ".cpg"}
_NAMES = ("name", "名称", "title", "标题", "label", "id")


class Feature(NamedTuple):
    """One feature of a file; `geometry` is GeoJSON."""

    name: str
    geometry: dict[str, Any] | None


class Form(NamedTuple):
    """What a multipart form brought."""

    body: bytes
    crs: str | None


def form(content_type: str, body: bytes) -> Form:
    """Take a form of one file apart.

    Raises
    ------
    Invalid
        It is no multipart form, or has no file.
    """
    if not content_type.lower().startswith("multipart/form-data"):
        _bad("send the file as multipart/form-data, field `file`")
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    found: bytes | None = None
    crs: str | None = None
    for part in message.iter_parts() if message.is_multipart() else ():
        field = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if not isinstance(payload, bytes):
            continue
        if field == "file":
            found = payload
        elif field == "crs":
            crs = payload.decode("utf-8", "replace").strip()[:40] or None
        else:
            _bad(f"unknown field {str(field)[:40]!r}; allowed: file, crs")
    if not found:
        _bad("there is no file in the form, field `file`")
    return Form(found, crs)


def uploaded(given: Form, ground: Ground, scope: tuple[str, ...] | None) -> Upload:
    """Areas of a file, each as it will be counted.

    Raises
    ------
    Invalid
        The file as a whole cannot be read.
    """
    kind = _kind(given.body)
    if kind == "geojson":
        crs = given.crs or "wgs84"
        features = list(_geojson(given.body))
    elif kind == "kml":
        crs = given.crs or "wgs84"  # KML has no other of its own
        features, _ = _kml(given.body)
    elif kind == "gpkg":
        features, stored = _geopackage(given.body)
        crs = _crs(given.crs, stored)
    else:
        features, stored = _shapefile(given.body)
        crs = _crs(given.crs, stored)
    try:
        normalise(crs)
    except CrsError as error:
        raise Invalid(
            f"crs: {error}", {"field": "crs", "reason": "unknown_crs", "at": None}
        ) from error
    if not features:
        _bad("the file holds no feature")
    shapes = [_shape(one, crs, ground, scope) for one in features]
    return Upload(format=kind, crs=crs, shapes=shapes)


def _bad(message: str) -> NoReturn:
    raise Invalid(f"file: {message}", {"field": "file", "reason": "bad_file", "at": None})


def _kind(body: bytes) -> Format:
    if body.startswith(b"PK\x03\x04"):
        return "shapefile"
    if body.startswith(b"SQLite format 3\x00"):
        return "gpkg"
    text = body[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"{"):
        return "geojson"
    if text.startswith(b"<"):
        return "kml"
    _bad("this is no GeoJSON, KML, GeoPackage or zipped Shapefile")


def _geojson(body: bytes) -> Iterator[Feature]:
    try:
        found = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        _bad(f"the GeoJSON cannot be read: {error}")
    features = found.get("features") if found.get("type") == "FeatureCollection" else [found]
    if not isinstance(features, list):
        _bad("the collection has no list of features")
    _few(len(features))
    member = found.get("crs")
    for number, one in enumerate(features, start=1):
        if not isinstance(one, dict):
            yield Feature(str(number), None)
            continue
        is_feature = one.get("type") == "Feature"
        geometry = one.get("geometry") if is_feature else one
        properties = one.get("properties") if is_feature else None
        if isinstance(geometry, dict) and member is not None:
            geometry = {"crs": member, **geometry}
        yield Feature(
            _name(properties if isinstance(properties, dict) else {}, number),
            geometry if isinstance(geometry, dict) else None,
        )


def _few(number: int) -> None:
    if number > MOST_FEATURES:
        _bad(f"the file holds {number:,} features, more than {MOST_FEATURES}")


def _name(properties: dict[str, Any], number: int) -> str:
    lower = {str(key).lower(): value for key, value in properties.items()}
    for key in _NAMES:
        value = lower.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return shown(str(value).strip()[:80])
    return str(number)


def _shapefile(body: bytes) -> tuple[list[Feature], str | None]:
    """Unpack the one Shapefile of a zip beside nothing else, never more than it says."""
    with tempfile.TemporaryDirectory(prefix="wusetu-upload-") as folder:
        try:
            with zipfile.ZipFile(_stream(body)) as archive:
                _unpack(archive, Path(folder))
        except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError, RuntimeError,
                NotImplementedError, ValueError) as error:  # fmt: skip
            if isinstance(error, Invalid):
                raise
            _bad(f"the zip cannot be read: {type(error).__name__}")
        path = Path(folder) / "areas.shp"
        try:
            check_shapefile(path)
        except NotPlain as error:
            _bad(str(error))
        return _read(path)


def _stream(body: bytes) -> Any:
    import io

    return io.BytesIO(body)


def _unpack(archive: zipfile.ZipFile, folder: Path) -> None:
    entries = archive.infolist()
    if len(entries) > MOST_ENTRIES:
        _bad(f"the zip holds {len(entries):,} files, more than {MOST_ENTRIES}")
    if sum(one.file_size for one in entries) > MOST_BYTES:
        _bad(f"the zip unpacks to more than {MOST_BYTES // 2**20} MB")
    shapes = [
        one for one in entries
        if Path(one.filename).suffix.lower() == ".shp" and "__MACOSX" not in one.filename
    ]  # fmt: skip
    if len(shapes) != 1:
        _bad(f"the zip holds {len(shapes)} Shapefiles: want one")
    stem = shapes[0].filename[: -len(".shp")]
    left = MOST_BYTES
    for one in entries:
        suffix = Path(one.filename).suffix.lower()
        if suffix not in _PARTS or one.filename[: -len(suffix)].lower() != stem.lower():
            continue
        if one.flag_bits & 1:
            _bad("the zip is encrypted")
        with archive.open(one) as source, (folder / f"areas{suffix}").open("wb") as target:
            # the sizes a zip declares may lie
            while piece := source.read(65_536):
                left -= len(piece)
                if left < 0:
                    _bad(f"the zip unpacks to more than {MOST_BYTES // 2**20} MB")
                target.write(piece)


def _kml(body: bytes) -> tuple[list[Feature], str | None]:
    try:
        body = plain_kml(body)
    except NotPlain as error:
        _bad(str(error))
    with tempfile.TemporaryDirectory(prefix="wusetu-upload-") as folder:
        path = Path(folder) / "areas.kml"
        path.write_bytes(body)
        return _read(path)


def _geopackage(body: bytes) -> tuple[list[Feature], str | None]:
    with tempfile.TemporaryDirectory(prefix="wusetu-upload-") as folder:
        path = Path(folder) / "areas.gpkg"
        path.write_bytes(body)
        try:
            check_geopackage(path)
        except NotPlain as error:
            _bad(str(error))
        return _read(path)


def _read(path: Path) -> tuple[list[Feature], str | None]:
    """Features of all layers of a file and its CRS."""
    features: list[Feature] = []
    crs: set[str | None] = set()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layers = pyogrio.list_layers(path)
            for layer in [str(row[0]) for row in layers if row[1] is not None][:16]:
                meta, _, geometries, columns = pyogrio.raw.read(
                    path, layer=layer, max_features=MOST_FEATURES + 1, force_2d=True
                )
                if geometries is None:
                    continue
                crs.add(meta["crs"])
                names = [str(one) for one in meta["fields"]]
                _few(len(features) + len(geometries))
                for row, body in enumerate(geometries):
                    values = {n: _text(c[row]) for n, c in zip(names, columns, strict=True)}
                    shape = None if body is None else shapely.from_wkb(body)
                    features.append(
                        Feature(
                            _name(values, len(features) + 1),
                            None if shape is None else shapely.geometry.mapping(shape),
                        )
                    )
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError,
            pyogrio.errors.GeometryError, pyogrio.errors.FeatureError,
            pyogrio.errors.FieldError, pyogrio.errors.CRSError,
            shapely.errors.ShapelyError, UnicodeDecodeError, ValueError, IndexError,
            NotImplementedError) as error:  # fmt: skip
        if isinstance(error, Invalid):
            raise
        _bad(f"the file cannot be read: {type(error).__name__}")
    if len(crs) > 1:
        _bad("the layers of the file have different coordinate systems: send one layer")
    return features, next(iter(crs), None)


def _text(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value


def _crs(given: str | None, stored: str | None) -> str:
    """CRS of a file: what is said beside it, else its own."""
    if given:
        return given
    if stored is None:
        _bad("the file does not say its coordinate system: choose one (`crs`)")
    try:
        code = pyproj.CRS.from_user_input(stored).to_epsg(min_confidence=70)
    except pyproj.exceptions.CRSError:
        code = None
    if code is None:
        _bad("the coordinate system of the file is none with an EPSG number: convert it first")
    return {4326: "wgs84", 4490: "cgcs2000"}.get(code, f"EPSG:{code}")


def _shape(one: Feature, crs: str, ground: Ground, scope: tuple[str, ...] | None) -> UploadedShape:
    if one.geometry is None:
        return UploadedShape(name=one.name, shape=None, reason=reason("empty"))
    try:
        shape = from_geojson(one.geometry, crs, MAX_VERTICES)
    except ShapeError as error:
        why = reason(error.reason, at=error.at, message=error.message)
        return UploadedShape(name=one.name, shape=None, reason=why)
    cut = analysis_shapes.outline(shape, ground, scope)
    if cut is None:
        return UploadedShape(name=one.name, shape=None, reason=reason("outside"))
    notes = [reason("cut")] if cut.area < shape.area * (1 - 1e-12) else []
    return UploadedShape(name=one.name, shape=analysis_shapes.described(cut, notes))
