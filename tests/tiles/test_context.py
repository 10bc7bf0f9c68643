"""The neutral surroundings."""

from __future__ import annotations

import gzip
import json
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
