"""Files of areas: every format, the good ones kept, bombs and nonsense refused."""

from __future__ import annotations

import io
import json
import sqlite3
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.database import make_engine
from app.errors import Invalid
from app.main import create_app
from app.services import analysis_upload
from app.settings import LimitSettings
from geo.crs import from_wgs84

from .conftest import install, settings_for

GOOD = shapely.Polygon([(119.2, 29.2), (119.8, 29.2), (119.8, 29.8), (119.2, 29.2)])
HOLED = shapely.Polygon(
    shapely.box(120.1, 29.1, 120.9, 29.9).exterior, [shapely.box(120.3, 29.3, 120.5, 29.5).exterior]
)
CROSSED = shapely.Polygon([(119, 29), (120, 30), (120, 29), (119, 30)])
KML = """<?xml version="1.0" encoding="UTF-8"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document>
{}</Document></kml>"""
MARK = """<Placemark><name>{}</name><Polygon><outerBoundaryIs><LinearRing><coordinates>
{}</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark>"""


@pytest.fixture(scope="module")
def client(
    cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    name = f"u_{uuid.uuid4().hex[:12]}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name} template {template} strategy file_copy")
    url = cluster.url(name)
    engine = make_engine(url)
    install(engine)
    data = tmp_path_factory.mktemp("uploads")
    with TestClient(
        create_app(settings_for(url, data_dir=data, limits=LimitSettings(heavy_rate=0)))
    ) as one:
        yield one
    engine.dispose()
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()


def send(client: TestClient, body: bytes, crs: str | None = None, status: int = 200) -> Any:
    answer = client.post(
        "/api/packs/small/areas/upload",
        files={"file": ("areas", body)},
        data={"crs": crs} if crs else {},
    )
    assert answer.status_code == status, answer.text
    return answer.json()


def frame(crs: str = "EPSG:4326") -> geopandas.GeoDataFrame:
    made = geopandas.GeoDataFrame(
        {"name": ["农贸市场", "夜市", "坏"]}, geometry=[GOOD, HOLED, CROSSED], crs="EPSG:4326"
    )
    return made.to_crs(crs)


def geojson() -> bytes:
    return str(frame().to_json()).encode()


def kml() -> bytes:
    def ring(shape: shapely.Polygon) -> str:
        return " ".join(f"{x},{y},0" for x, y in shape.exterior.coords)

    marks = zip(
        ("农贸市场", "夜市", "坏"), (GOOD, shapely.Polygon(HOLED.exterior), CROSSED), strict=True
    )
    return KML.format("".join(MARK.format(name, ring(shape)) for name, shape in marks)).encode()


def gpkg(tmp_path: Path, crs: str = "EPSG:4326") -> bytes:
    path = tmp_path / f"{uuid.uuid4().hex}.gpkg"
    frame(crs).to_file(path, driver="GPKG")
    return path.read_bytes()


def zipped(tmp_path: Path, crs: str = "EPSG:4326", skip: tuple[str, ...] = ()) -> bytes:
    folder = tmp_path / uuid.uuid4().hex
    folder.mkdir()
    frame(crs).to_file(folder / "区域.shp", encoding="utf-8")
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            if path.suffix not in skip:
                archive.write(path, f"sub/{path.name}")
        archive.writestr("sub/readme.txt", "x")
    return made.getvalue()


def made(one: dict[str, Any]) -> shapely.Geometry:
    return shapely.from_geojson(json.dumps(one["shape"]["geojson"]))


@pytest.mark.parametrize("form", ["geojson", "kml", "gpkg", "shapefile"])
@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32650"])
def test_every_format_is_read(client: TestClient, tmp_path: Path, form: str, crs: str) -> None:
    body = {
        "geojson": geojson, "kml": kml,
        "gpkg": lambda: gpkg(tmp_path, crs), "shapefile": lambda: zipped(tmp_path, crs),
    }[form]()  # fmt: skip
    found = send(client, body)
    assert found["format"] == form
    good, holed, bad = found["shapes"]
    assert [one["name"] for one in found["shapes"]] == ["农贸市场", "夜市", "坏"]
    assert shapely.equals_exact(shapely.normalize(made(good)), shapely.normalize(
        shapely.MultiPolygon([GOOD])), 1e-7)  # fmt: skip
    wanted = shapely.Polygon(HOLED.exterior) if form == "kml" else HOLED
    assert made(holed).area == pytest.approx(wanted.area, rel=1e-4)
    assert bad["shape"] is None
    assert bad["reason"]["code"] == "crossing"
    assert bad["reason"]["zh"]
    assert bad["reason"]["at"] == pytest.approx([119.5, 29.5], abs=1e-3)
    counted = client.post(
        "/api/packs/small/areas/analyse",
        json={
            "area": {"geojson": good["shape"]["geojson"]},
            "start": "2023-01-01",
            "end": "2025-01-01",
        },
    )
    assert counted.status_code == 200


def test_a_declared_crs_is_used(client: TestClient) -> None:
    shifted = shapely.transform(
        GOOD, lambda at: np.column_stack(from_wgs84(at[:, 0], at[:, 1], "gcj02"))
    )
    body = json.dumps(shapely.geometry.mapping(shifted)).encode()
    (one,) = send(client, body, "gcj02")["shapes"]
    assert shapely.equals_exact(shapely.normalize(made(one)), shapely.normalize(
        shapely.MultiPolygon([GOOD])), 1e-5)  # fmt: skip
    assert send(client, body, "nonsense", 422)["detail"]["reason"] == "unknown_crs"


def bomb() -> bytes:
    found = io.BytesIO()
    with (
        zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.shp", "w", force_zip64=True) as target,
    ):
        for _ in range(80):
            target.write(bytes(2**20))
    return found.getvalue()


def lying() -> bytes:
    """A zip whose directory says that a large file is small."""
    body = bytearray(bomb())
    at = body.rfind(b"PK\x01\x02")
    body[at + 24 : at + 28] = (1000).to_bytes(4, "little")
    return bytes(body)


def many(number: int) -> bytes:
    one = {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(GOOD)}
    return json.dumps({"type": "FeatureCollection", "features": [one] * number}).encode()


def empty_zip(names: list[str]) -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return found.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"hello", b"\x89PNG\r\n\x1a\n", b"{", b'{"type": "FeatureCollection"}', b"[" * 5000, b"{" * 5000,
        b"<kml></kml>", b"<html><body></body></html>", b"SQLite format 3\x00" + bytes(500), b"PK\x03\x04zzz",
        bomb(), lying(), many(201), many(0), empty_zip(["a.txt"]), empty_zip(["a.shp", "b.shp"]),
        empty_zip(["../../a.shp", "../../a.shx"]), empty_zip([f"{n}.txt" for n in range(100)]),
        b'<?xml version="1.0"?><!DOCTYPE k [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><kml>&b;</kml>',
        b'<?xml version="1.0"?><!DOCTYPE k [<!ENTITY f SYSTEM "file:///etc/passwd">]><kml>&f;</kml>',
    ],
    ids=range(21),
)  # fmt: skip
def test_what_is_no_file_of_areas_is_refused(
    client: TestClient, body: bytes, tmp_path: Path
) -> None:
    found = send(client, body, status=422)
    assert found["detail"]["reason"] == "bad_file", found
    assert found["detail"]["words"]["zh"]
    assert "root:" not in json.dumps(found)


HOUSE = """<OGRVRTDataSource><OGRVRTLayer name="house"><SrcDataSource>{}</SrcDataSource>
</OGRVRTLayer></OGRVRTDataSource>"""


def test_a_file_cannot_name_files_of_the_server(client: TestClient, tmp_path: Path) -> None:
    """GDAL goes by what a file holds: a virtual data source would be followed."""
    house = tmp_path / "house.geojson"
    house.write_bytes(geojson())
    evil = HOUSE.format(house)
    entity = f'<!DOCTYPE kml [<!ENTITY house SYSTEM "file://{house}">]>'
    for body in (
        evil, f'<?xml version="1.0"?><!-- x -->{evil}', KML.format(evil), f"<kml>{evil}</kml>",
        f"<kml><!--{evil}--></kml>", f"<kml><![CDATA[{evil}]]></kml>",
        entity + KML.format(MARK.format("&house;", "0,0 1,0 1,1 0,0")),
    ):  # fmt: skip
        for encoding in ("utf-8", "utf-16"):
            answer = send(client, body.encode(encoding), status=422)
            assert answer["detail"]["reason"] == "bad_file"
            assert "农贸市场" not in json.dumps(answer, ensure_ascii=False)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.shp", evil)
    assert "no Shapefile" in send(client, buffer.getvalue(), status=422)["message"]


@pytest.mark.parametrize(
    "statement",
    [
        "create view house as select * from areas", "create virtual table house using fts4(words)",
        'create virtual table "using rtree" using fts4(words)',
        "create virtual table [ using rtree( ] using fts4(words)",
    ],
)  # fmt: skip
def test_a_geopackage_is_tables_alone(client: TestClient, tmp_path: Path, statement: str) -> None:
    gpkg(tmp_path)
    (path,) = tmp_path.glob("*.gpkg")
    with closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.commit()
    assert "plain table" in send(client, path.read_bytes(), status=422)["message"]


def test_a_shapefile_must_say_where_it_is(client: TestClient, tmp_path: Path) -> None:
    body = zipped(tmp_path, skip=(".prj",))
    assert "crs" in send(client, body, status=422)["message"]
    assert send(client, body, "wgs84")["shapes"][0]["shape"]


def test_names_of_persons_are_withheld(client: TestClient) -> None:
    one = {
        "type": "Feature",
        "properties": {"name": "张三 13800138000"},
        "geometry": shapely.geometry.mapping(GOOD),
    }
    (found,) = send(client, json.dumps(one).encode())["shapes"]
    assert found["name"] == "(withheld)"
    assert found["shape"]


def test_forms_are_taken_apart_byte_by_byte() -> None:
    body = bytes(range(256)) * 40 + b"\r\n--\r\n\n\r"
    boundary = "xYz123"
    raw = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="crs"\r\n\r\nbd09\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode() + body + f"\r\n--{boundary}--\r\n".encode()  # fmt: skip
    found = analysis_upload.form(f"multipart/form-data; boundary={boundary}", raw)
    assert found.body == body
    assert found.crs == "bd09"
    for kind, bad in (
        ("application/json", raw), ("multipart/form-data", raw), ("multipart/form-data; boundary=no", raw),
        (f"multipart/form-data; boundary={boundary}", raw.replace(b'name="file"', b'name="other"')),
    ):  # fmt: skip
        with pytest.raises(Invalid):
            analysis_upload.form(kind, bad)
