"""Our tiles read by `@mapbox/vector-tile`, `pbf` and `pmtiles`, the readers of other people's maps."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.settings import PROJECT
from tiles import palette
from tiles.archive import Archive, path_of

from ...mvt_rules import problems
from .conftest import Shop

READ = PROJECT / "frontend" / "clients" / "read.mjs"
LEVEL, KIND, ORD = "town", "theft", 21


def read(path: Path) -> dict[str, Any]:
    """What node says is in an archive, or in a folder of tiles."""
    node = os.environ.get("PLAYWRIGHT_NODEJS_PATH") or shutil.which("node")
    if node is None or not (PROJECT / "frontend/node_modules/@mapbox/vector-tile").is_dir():
        pytest.skip("no Node.js with the front end's packages (cd frontend; npm ci)")
    done = subprocess.run(
        [node, str(READ), str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def colours(shop: Shop) -> dict[int, tuple[str, int]]:
    """Code and colour of every unit, from the store of record."""
    with shop.engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "select unit_id, a.code, colour[:at] as colour from assessment a "
                "join unit u on u.id = unit_id and u.boundary_version_id = :version "
                "where run_id = :run and kind = :kind and period = 'month' and level = :level"
            ),
            {"at": ORD + 1, "run": shop.run, "kind": KIND, "level": LEVEL,
             "version": shop.small.version},
        ).all()  # fmt: skip
    return {row.unit_id: (row.code, row.colour) for row in rows}


def same_units(found: dict[str, Any], wanted: dict[int, tuple[str, int]]) -> None:
    zooms: dict[str, set[tuple[str, int, str, int]]] = {}
    for address, tile in found["tiles"].items():
        assert set(tile) <= {"units", "labels"}
        for name, features in tile.items():
            for one in features:
                about = one["properties"]
                assert one["type"] == (3 if name == "units" else 1)
                if name == "units":
                    # every polygon has its outer ring first: the reader puts no hole alone
                    assert one["rings"]
                assert about["colour_name"] == palette.CLASSES[about["colour"]].id
                assert ("theta" in about) == (about["colour"] != 0)
                seen = (name, one["id"], about["code"], about["colour"])
                zooms.setdefault(address.split("/", 1)[0], set()).add(seen)
    whole = {(name, i, *one) for name in ("units", "labels") for i, one in wanted.items()}
    assert zooms
    for seen in zooms.values():
        assert seen == whole


@pytest.fixture(scope="module")
def coloured(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with every coloured tile of a level, as it was answered."""
    folder = tmp_path_factory.mktemp("coloured")
    base = f"/tiles/coloured/{shop.run}/{LEVEL}/{KIND}/month/{ORD}"
    with shop.engine.connect() as connection:
        digest = connection.execute(
            sa.text("select digest from tile_archive where level = :level"), {"level": LEVEL}
        ).scalar_one()
    with Archive(path_of(shop.data_dir / "archives", digest)) as archive:
        addresses = archive.addresses()
    for z, x, y in addresses:
        answer = shop.get(f"{base}/{z}/{x}/{y}.mvt")
        assert answer.status_code == 200
        (folder / f"{z}-{x}-{y}.mvt").write_bytes(answer.content)
    return folder


def test_coloured_tiles_are_read(shop: Shop, coloured: Path) -> None:
    same_units(read(coloured), colours(shop))


def test_an_exported_archive_is_read(shop: Shop, tmp_path: Path) -> None:
    path = shop.file(
        f"/api/runs/{shop.run}/export.pmtiles?level={LEVEL}&kind={KIND}&ord={ORD}",
        tmp_path / "run.pmtiles",
    )
    found = read(path)
    assert found["metadata"]["wusetu"]["map"] == "small"
    assert found["header"]["specVersion"] == 3
    same_units(found, colours(shop))


def test_coloured_tiles_keep_the_rules(coloured: Path) -> None:
    for file in sorted(coloured.iterdir()):
        assert problems(file.read_bytes()) == [], file.name


@pytest.mark.parametrize("level", ["city", "county", "town", "village", "grid"])
def test_the_maps_own_tiles_keep_the_rules(shop: Shop, level: str) -> None:
    with shop.engine.connect() as connection:
        digest = connection.execute(
            sa.text("select digest from tile_archive where level = :level"), {"level": level}
        ).scalar_one()
    with Archive(path_of(shop.data_dir / "archives", digest)) as archive:
        for address in archive.addresses():
            assert problems(gzip.decompress(archive.get(*address) or b"")) == [], address


def test_the_rules_find_what_is_wrong() -> None:
    """Tiles that are wrong in one way each."""
    from mapbox_vector_tile.Mapbox import vector_tile_pb2

    def tile(**wrong: Any) -> bytes:
        made = vector_tile_pb2.tile()
        layer = made.layers.add()
        layer.name, layer.version, layer.extent = "units", wrong.get("version", 2), 4096
        layer.keys.extend(wrong.get("keys", ["code"]))
        for text in wrong.get("values", ["a"]):
            layer.values.add().string_value = text
        for number in wrong.get("ids", [1]):
            one = layer.features.add()
            one.id, one.type = number, 3
            one.tags.extend(wrong.get("tags", [0, 0]))
            one.geometry.extend(wrong.get("geometry", [9, 0, 0, 18, 8, 0, 0, 8, 15]))
        data: bytes = made.SerializeToString()
        return data

    assert problems(tile()) == []
    for wrong, reason in (
        ({"version": 1}, "version 1"),
        ({"keys": ["code", "code"]}, "key told twice"),
        ({"values": ["a", "a"]}, "value told twice"),
        ({"values": ["a", "b"]}, "values that no feature has"),
        ({"ids": [1, 1]}, "told twice"),
        ({"tags": [0]}, "no pairs"),
        ({"tags": [1, 0]}, "key that is not there"),
        ({"tags": [0, 1]}, "value that is not there"),
        ({"geometry": [9, 0, 0, 18, 0, 8, 8, 0, 15]}, "hole before its polygon"),
        ({"geometry": [9, 0, 0, 18, 8, 0, 0, 8]}, "open"),
        ({"geometry": [9, 0, 0, 26, 8, 0, 0, 8, 7, 7, 15]}, "told again"),
        ({"geometry": [9, 0, 0, 18, 8, 0, 8, 0, 15]}, "without area"),
        ({"geometry": [9, 0, 0, 18, 8, 0, 0, 0, 15]}, "goes nowhere"),
        ({"geometry": [9, 0, 0, 18, 8, 0, 0]}, "cut short"),
    ):
        assert any(reason in text for text in problems(tile(**wrong))), wrong
