"""Tiles over HTTP: headers, negotiation, errors, TileJSON, coloured tiles, style."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mapbox_vector_tile
import numpy as np
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.api.dependencies import accepts_gzip
from app.database import make_engine
from app.main import create_app
from app.services import tile_archives
from app.settings import DatabaseSettings, Settings
from tiles import geometry, packed, palette
from tiles.archive import Archive, path_of
from tiles.geometry import Units

YEAR = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Served:
    """A running application on the awkward map with one published run."""

    client: TestClient
    engine: sa.Engine
    built: tile_archives.Built
    folder: Path
    run: int

    def archive(self, level: str) -> Archive:
        return Archive(path_of(self.folder, self.built.archives[level]))

    def address(self) -> str:
        z, x, y = self.archive("village").addresses()[-1]
        return f"/tiles/{self.built.archives['village']}/{z}/{x}/{y}.mvt"


@contextmanager
def serve(url: str, folder: Path, units: Units, insert: Any, publish: Any) -> Iterator[Served]:
    engine = make_engine(url)
    version = insert(engine, units, "awkward")
    run = publish(engine, units, version)
    built = tile_archives.build(engine, version, folder / "archives")
    settings = Settings(data_dir=folder, database=DatabaseSettings(url=url, pool_size=2))
    with TestClient(create_app(settings), base_url="http://map.example") as client:
        yield Served(client, engine, built, folder / "archives", run)
    engine.dispose()


@pytest.fixture(scope="module")
def served(
    module_db_url: str, tmp_path_factory: pytest.TempPathFactory, units: Units, stores: Any
) -> Iterator[Served]:
    """For tests that only read."""
    with serve(module_db_url, tmp_path_factory.mktemp("data"), units, *stores) as one:
        yield one


@pytest.fixture
def own(db_url: str, tmp_path: Path, units: Units, stores: Any) -> Iterator[Served]:
    """For a test that breaks something."""
    with serve(db_url, tmp_path, units, *stores) as one:
        yield one


@pytest.fixture
def client(served: Served) -> TestClient:
    return served.client


@pytest.fixture
def built(served: Served) -> tile_archives.Built:
    return served.built


@pytest.fixture
def archive(served: Served) -> Archive:
    return served.archive("village")


@pytest.fixture
def address(served: Served) -> str:
    return served.address()


@pytest.fixture
def run(served: Served) -> int:
    return served.run


def decode(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = mapbox_vector_tile.decode(data, default_options={"y_coord_down": True})
    return found


def test_every_tile_is_served_as_stored(
    client: TestClient, built: tile_archives.Built, archive: Archive
) -> None:
    for z, x, y in archive.addresses():
        answer = client.get(f"/tiles/{built.archives['village']}/{z}/{x}/{y}.mvt")
        assert answer.status_code == 200
        assert answer.content == gzip.decompress(archive.get(z, x, y) or b"")
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["cache-control"] == YEAR
        assert answer.headers["content-type"] == "application/vnd.mapbox-vector-tile"
        assert int(answer.headers["content-length"]) == len(archive.get(z, x, y) or b"")
        assert answer.headers["x-request-id"]


def test_a_client_without_gzip_gets_it_plain(
    client: TestClient, address: str, archive: Archive
) -> None:
    for accepted in ("identity", "br", "gzip;q=0", ""):
        answer = client.get(address, headers={"Accept-Encoding": accepted})
        assert "content-encoding" not in answer.headers
        assert "units" in decode(answer.content)
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert answer.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        ("gzip, deflate, br, zstd", True), ("gzip", True), ("GZIP;q=0.5", True), ("*", True),
        ("br, *;q=0.1", True), ("deflate, x-gzip", True), ("", False), ("identity", False),
        ("gzip;q=0", False), ("*, gzip;q=0", False), ("*;q=0", False), ("gzip;q=x", False),
        ("gzipped", False),
    ],
)  # fmt: skip
def test_accept_encoding(header: str, allowed: bool) -> None:
    assert accepts_gzip(header.encode()) is allowed


def test_etag_and_304(client: TestClient, address: str) -> None:
    first = client.get(address)
    tag = first.headers["etag"]
    again = client.get(address, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    assert again.headers["cache-control"] == YEAR
    assert client.get(address, headers={"If-None-Match": f'"x", W/{tag}'}).status_code == 304
    assert client.get(address, headers={"If-None-Match": '"other"'}).status_code == 200
    plain = client.get(address, headers={"Accept-Encoding": "identity"})
    assert plain.headers["etag"] != tag  # another encoding is another representation


def test_head(client: TestClient, address: str) -> None:
    got, head = client.get(address), client.head(address)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]


def test_empty_tile_is_204_and_kept(client: TestClient, built: tile_archives.Built) -> None:
    answer = client.get(f"/tiles/{built.archives['village']}/9/0/0.mvt")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["cache-control"] == YEAR


@pytest.mark.parametrize(
    ("rest", "status", "code"),
    [
        ("{digest}/9/512/0.mvt", 400, "bad_tile"),
        ("{digest}/9/-1/0.mvt", 400, "bad_tile"),
        ("{digest}/9/1.5/0.mvt", 400, "bad_tile"),
        ("{digest}/9/٣/0.mvt", 400, "bad_tile"),
        ("{digest}/99/0/0.mvt", 400, "bad_tile"),
        ("{digest}/9/0x1/0.mvt", 400, "bad_tile"),
        ("{digest}/3/0/0.mvt", 404, "not_found"),
        ("{digest}/14/0/0.mvt", 404, "not_found"),
        ("0" * 64 + "/9/0/0.mvt", 404, "not_found"),
        ("..%2f..%2f..%2fetc/9/0/0.mvt", 404, "not_found"),
        ("{digest}%00/9/0/0.mvt", 404, "not_found"),
        ("{upper}/9/0/0.mvt", 404, "not_found"),
    ],
)
def test_bad_addresses(
    client: TestClient, built: tile_archives.Built, rest: str, status: int, code: str
) -> None:
    digest = built.archives["village"]
    answer = client.get("/tiles/" + rest.format(digest=digest, upper=digest.upper()))
    body = answer.json()
    assert (answer.status_code, body["code"]) == (status, code)
    assert set(body) == {"code", "message", "detail", "request_id"}
    assert body["request_id"] == answer.headers["x-request-id"]
    assert "immutable" not in answer.headers.get("cache-control", "")


def test_writing_is_refused(client: TestClient, address: str) -> None:
    answer = client.post(address)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD"


def test_damaged_archive_is_503_without_a_path(own: Served) -> None:
    digest = own.built.archives["town"]
    path = path_of(own.folder, digest)
    path.write_bytes(path.read_bytes()[:200])
    answer = own.client.get(f"/tiles/{digest}/9/0/0.mvt")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert str(own.folder) not in answer.text


def test_a_tile_broken_inside_is_503_for_clients_without_gzip(own: Served) -> None:
    digest = own.built.archives["town"]
    path = path_of(own.folder, digest)
    with Archive(path) as whole:
        (z, x, y), *_ = whole.addresses()
        good = whole.get(z, x, y)
    assert good is not None
    path.write_bytes(path.read_bytes().replace(good, b"\0" * len(good)))
    answer = own.client.get(f"/tiles/{digest}/{z}/{x}/{y}.mvt", headers={"Accept-Encoding": ""})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


def test_geometry_tilejson(client: TestClient, built: tile_archives.Built, units: Units) -> None:
    answer = client.get("/tiles/awkward/village/tilejson.json").json()
    assert answer["tilejson"] == "3.0.0"
    assert answer["tiles"] == [
        f"http://map.example/tiles/{built.archives['village']}/{{z}}/{{x}}/{{y}}.mvt"
    ]
    assert (answer["minzoom"], answer["maxzoom"]) == (7, 12)
    assert answer["bounds"] == pytest.approx([120.0, 30.0, 120.03, 30.04])
    assert answer["attribution"] == "made up · CC0"
    assert [layer["id"] for layer in answer["vector_layers"]] == ["units", "labels"]
    assert set(answer["vector_layers"][0]["fields"]) == {"code", "name", "level", "parent"}
    for missing in ("awkward/grid", "nowhere/village"):
        assert client.get(f"/tiles/{missing}/tilejson.json").status_code == 404


COLOURED = "/tiles/coloured/{run}/{level}/theft/month/0"


def test_coloured_tiles_equal_the_values_of_every_unit(served: Served, units: Units) -> None:
    client, run = served.client, served.run
    classes = {one.value: one for one in palette.CLASSES}
    for k, level in enumerate(units.levels):
        with served.engine.connect() as connection:
            payload = connection.execute(
                sa.text("select payload from packed_values where run_id = :r and level = :l"),
                {"r": run, "l": level},
            ).scalar_one()
        colour, theta = packed.unpack(payload)
        ids = units.ids[units.level == k].tolist()
        archive = served.archive(level)
        seen: dict[int, set[int]] = {}
        labels: list[tuple[int, int]] = []
        for z, x, y in archive.addresses():
            answer = client.get(COLOURED.format(run=run, level=level) + f"/{z}/{x}/{y}.mvt")
            assert answer.status_code == 200, answer.text
            assert answer.headers["cache-control"].startswith("private")
            tile = decode(answer.content)
            for feature in tile["units"]["features"]:
                i = feature["id"]
                seen.setdefault(z, set()).add(i)
                row = ids.index(i)
                one = classes[int(colour[row])]
                words = {
                    "code": units.codes[i - 1], "name": units.names[i - 1], "colour": one.value,
                    "colour_name": one.id, "class_zh": one.meaning_zh, "class_en": one.meaning_en,
                }  # fmt: skip
                found = feature["properties"]
                if np.isnan(theta[row]):
                    assert found == words
                else:
                    assert found.pop("theta") == pytest.approx(theta[row], abs=6e-5)
                    assert found == words
            labels += [(z, f["id"]) for f in tile.get("labels", {"features": []})["features"]]
        zooms = range(archive.min_zoom, archive.max_zoom + 1)
        assert seen == {z: set(ids) for z in zooms}
        assert sorted(labels) == sorted((z, i) for z in zooms for i in ids)


def test_a_unit_without_a_packed_row_is_no_data(own: Served) -> None:
    with own.engine.begin() as connection:
        connection.execute(sa.text("delete from packed_values"))
    z, x, y = own.archive("village").addresses()[0]
    address = COLOURED.format(run=own.run, level="village") + f"/{z}/{x}/{y}.mvt"
    tile = decode(own.client.get(address).content)
    assert {f["properties"]["colour_name"] for f in tile["units"]["features"]} == {"none"}
    assert len(tile["units"]["features"]) == 6


def test_coloured_zooms_outside_the_range(client: TestClient, run: int, units: Units) -> None:
    base = COLOURED.format(run=run, level="village")
    assert client.get(f"{base}/6/53/26.mvt").status_code == 204
    at = geometry.label_units(geometry.project(units.label[3:4]), 14, 8192)[0]
    tile = decode(client.get(f"{base}/14/{at[0] // 8192}/{at[1] // 8192}.mvt").content)
    assert tile["units"]["extent"] == 8192
    assert 4 in [f["id"] for f in tile["labels"]["features"]]
    assert client.get(f"{base}/9/512/0.mvt").status_code == 422


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("99/village/theft/month/0", "no published run 99"),
        ("{run}/grid/theft/month/0", "has no level 'grid'"),
        ("{run}/village/arson/month/0", "has no kind 'arson'"),
        ("{run}/village/theft/month/5", "no month number 5"),
        ("{run}/village/theft/year/0", "no year number 0"),
    ],
)
def test_coloured_layers_that_are_not_there(
    client: TestClient, run: int, path: str, words: str
) -> None:
    for rest in ("/9/426/210.mvt", "/tilejson.json", "/style.json"):
        answer = client.get(f"/tiles/coloured/{path.format(run=run)}{rest}")
        assert answer.status_code == 404
        assert words in answer.json()["message"]


def test_an_unpublished_run_is_not_shown(own: Served) -> None:
    z, x, y = own.archive("village").addresses()[0]
    with own.engine.begin() as connection:
        connection.execute(sa.text("update run set status = 'running'"))
        empty = connection.execute(
            sa.text("select coloured_tile(:r, 'village', 'theft', 'month', 0, :z, :x, :y)"),
            {"r": own.run, "z": z, "x": x, "y": y},
        ).scalar_one()
    assert bytes(empty) == b""
    answer = own.client.get(COLOURED.format(run=own.run, level="village") + f"/{z}/{x}/{y}.mvt")
    assert answer.status_code == 404


def test_the_function_reads_as_its_caller(served: Served) -> None:
    with served.engine.connect() as connection:
        row = connection.execute(
            sa.text(
                "select p.prosecdef, p.provolatile, p.proparallel, obj_description(p.oid)"
                " from pg_proc p where proname = 'coloured_tile'"
            )
        ).one()
    assert (row[0], row[1], row[2]) == (False, "s", "s")
    assert "colour_name" in row[3]


def test_coloured_tilejson_and_style(client: TestClient, run: int) -> None:
    base = COLOURED.format(run=run, level="village")
    document = client.get(f"{base}/tilejson.json").json()
    assert document["tiles"] == [f"http://map.example{base}/{{z}}/{{x}}/{{y}}.mvt"]
    assert set(document["vector_layers"][0]["fields"]) == {
        "code", "name", "colour", "colour_name", "class_zh", "class_en", "theta",
    }  # fmt: skip
    for chosen in palette.SETS:
        style = client.get(f"{base}/style.json", params={"set": chosen}).json()
        assert style["sources"]["coloured"]["url"] == f"http://map.example{base}/tilejson.json"
        fill = next(layer for layer in style["layers"] if layer["type"] == "fill")
        match = fill["paint"]["fill-color"]
        # every label as a list: QGIS reads no other
        given = {one: fill for (one,), fill in zip(match[2:-1:2], match[3:-1:2], strict=True)}
        assert given == {c.value: c.fill(chosen).fill for c in palette.CLASSES[1:]}
        assert match[-1] == palette.CLASSES[0].fill(chosen).fill
    assert client.get(f"{base}/style.json?set=rainbow").status_code == 422
