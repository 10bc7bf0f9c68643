"""The neutral surroundings."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import mapbox_vector_tile
import pytest
import sqlalchemy as sa

from app.errors import Invalid
from app.services import tile_archives
from tiles import context
from tiles.archive import Archive, path_of

ROOT = Path(__file__).resolve().parents[2]


def feature(properties: dict[str, Any], west: float = 119.0) -> dict[str, Any]:
    ring = [[west, 29], [west + 1, 29], [west + 1, 30], [west, 30], [west, 29]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


@pytest.fixture
def surroundings(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    own = [feature({"kind": "province", "name": "浙江省", "code": "33"})]
    packaged = [
        feature({"province_name": "安徽省", "province_adcode": 340000}, 118.0),
        feature({"province_name": "安徽省", "city_name": "黄山市", "district_name": "歙县",
                 "district_adcode": 341021}, 118.0),
    ]  # fmt: skip
    for name, features in (("a.geojson", own), ("b.geojson", packaged)):
        (folder / name).write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return folder


def test_every_area_is_in_every_zoom(surroundings: Path, tmp_path: Path) -> None:
    written, bounds = context.build(context.files(surroundings), tmp_path / "out")
    assert bounds == (118.0, 29.0, 120.0, 30.0)
    wanted = {
        ("province", "浙江省", "33"), ("province", "安徽省", "340000"), ("county", "歙县", "341021"),
    }  # fmt: skip
    seen: dict[int, set[tuple[str, str, str]]] = {}
    with Archive(path_of(tmp_path / "out", written.digest)) as archive:
        for z, x, y in archive.addresses():
            tile = mapbox_vector_tile.decode(gzip.decompress(archive.get(z, x, y) or b""))
            seen.setdefault(z, set()).update(
                (p["kind"], p["name"], p["code"])
                for p in (f["properties"] for f in tile["context"]["features"])
            )
    assert seen == dict.fromkeys(range(4, 11), wanted)


def names_of(archive: Archive) -> dict[int, list[dict[str, Any]]]:
    """Zoom → properties of the label points, with the place as `at` (longitude, latitude)."""
    seen: dict[int, list[dict[str, Any]]] = {}
    for z, x, y in archive.addresses():
        tile = mapbox_vector_tile.decode(
            gzip.decompress(archive.get(z, x, y) or b""),
            default_options={"y_coord_down": True},
        )
        layer = tile.get("context_labels", {"features": [], "extent": 1})
        for one in layer["features"]:
            px, py = one["geometry"]["coordinates"]
            lon = (x + px / layer["extent"]) / 2**z * 360 - 180
            north = math.pi * (1 - 2 * (y + py / layer["extent"]) / 2**z)
            at = (lon, math.degrees(math.atan(math.sinh(north))))
            seen.setdefault(z, []).append({**one["properties"], "at": at})
    return seen


def test_names_stand_around_the_map_and_not_on_it(surroundings: Path, tmp_path: Path) -> None:
    # given a county of the map itself, another of the same city, and the names of both
    more = [
        feature({"kind": "county", "name": "休宁县", "code": "341022"}, 117.0),
        feature({"kind": "county", "name": "西湖区", "code": "330106"}, 119.0),
    ]
    (surroundings / "d.geojson").write_text(json.dumps({"features": more}))
    (surroundings / "names.csv").write_text(
        "code,name,name_en\n341021,歙县,She County\n3410,黄山市,Huangshan\n34,安徽省,Anhui\n",
        encoding="utf-8",
    )
    files = context.files(surroundings)
    written, _ = context.build(files, tmp_path / "out", own=["3301"])
    with Archive(path_of(tmp_path / "out", written.digest)) as archive:
        seen = names_of(archive)
    assert sorted(seen) == list(range(4, 11))
    for found in seen.values():
        # then what is the map's own has no name here; the province around it keeps no room for one
        assert sorted((p["kind"], p["code"], p["name"], p["name_en"]) for p in found) == [
            ("city", "3410", "黄山市", "Huangshan"),
            ("county", "341021", "歙县", "She County"),
            ("county", "341022", "休宁县", ""),
            ("province", "34", "安徽省", "Anhui"),
        ]
    # the city is named in the middle of its counties
    (city,) = [p for p in seen[10] if p["kind"] == "city"]
    assert city["at"] == pytest.approx((118.0, 29.5), abs=0.3)
    # another map or other names are other surroundings
    one = context.fingerprint(files, ["3301"])
    assert one != context.fingerprint(files, ["3302"])
    (surroundings / "names.csv").unlink()
    assert one != context.fingerprint(files, ["3301"])


def test_names_without_their_columns_are_refused(surroundings: Path, tmp_path: Path) -> None:
    (surroundings / "names.csv").write_text("code,english\n34,Anhui\n")
    with pytest.raises(context.ContextError, match=r"names\.csv needs code, name, name_en"):
        context.build(context.files(surroundings), tmp_path / "out")


def test_a_build_adds_them_once(
    engine: sa.Engine, version: int, folder: Path, surroundings: Path
) -> None:
    first = tile_archives.build(engine, version, folder, surroundings=surroundings)
    with engine.connect() as connection:
        assert tile_archives.context_digest(connection, version) == first.archives["context"]
    assert not tile_archives.build(engine, version, folder, surroundings=surroundings).made
    (surroundings / "b.geojson").unlink()
    changed = tile_archives.build(engine, version, folder, surroundings=surroundings)
    assert changed.archives["context"] != first.archives["context"]
    assert changed.archives["village"] == first.archives["village"]


def test_a_version_without_surroundings(
    engine: sa.Engine, version: int, folder: Path, tmp_path: Path
) -> None:
    built = tile_archives.build(engine, version, folder, surroundings=tmp_path / "none")
    assert "context" not in built.archives
    with engine.connect() as connection:
        assert tile_archives.context_digest(connection, version) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "c.geojson is not readable GeoJSON"),
        ('{"features": [{"properties": {}, "geometry": null}]}', "c.geojson"),
        (json.dumps({"features": [feature({"name": "x"})]}), "feature 0 needs kind"),
    ],
)
def test_bad_files_are_named(
    engine: sa.Engine, version: int, folder: Path, surroundings: Path, text: str, words: str
) -> None:
    (surroundings / "c.geojson").write_text(text)
    with pytest.raises(Invalid, match=words):
        tile_archives.build(engine, version, folder, surroundings=surroundings)
    with engine.connect() as connection:
        assert connection.execute(sa.text("select count(*) from tile_archive")).scalar() == 0


def test_the_shipped_surroundings_can_be_read() -> None:
    paths = context.files(ROOT / "data" / "boundaries" / "context")
    if not paths:
        pytest.skip("no surroundings are shipped")
    about, shapes = context.read(paths)
    assert len(about) == len(shapes) > 4
    assert all(name and code for _, name, code in about)
    # every neighbour of the samples has a name in both languages
    names = context.labels(about, shapes, context.read_names(paths), ["3301"])
    assert all(names.name)
    assert all(names.name_en)
    assert {"Huzhou", "Shaoxing"} <= set(names.name_en)
    assert not any(code.startswith("3301") for code in names.code)
