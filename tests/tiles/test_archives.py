"""The whole way: units in the database → shapes → archives; checked by decoding every tile."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import mapbox_vector_tile
import numpy as np
import pytest
import shapely
import sqlalchemy as sa
from shapely.geometry import shape

from app.errors import NotFound
from app.services import tile_archives
from tiles import geometry
from tiles.archive import Archive, path_of
from tiles.geometry import Units

GOLDEN = Path(__file__).parent / "golden"
Feature = dict[str, Any]


def decode(data: bytes) -> dict[str, Any]:
    """Layers of a compressed tile, y south as in the tile itself."""
    found: dict[str, Any] = mapbox_vector_tile.decode(
        gzip.decompress(data), default_options={"y_coord_down": True}
    )
    return found


def every_tile(archive: Archive) -> list[tuple[int, int, int, dict[str, Any]]]:
    return [(z, x, y, decode(archive.get(z, x, y) or b"")) for z, x, y in archive.addresses()]


def open_archives(built: tile_archives.Built, folder: Path) -> dict[str, Archive]:
    return {level: Archive(path_of(folder, digest)) for level, digest in built.archives.items()}


def test_every_unit_is_in_every_zoom_with_one_label(
    built: tile_archives.Built, folder: Path, units: Units
) -> None:
    for k, level in enumerate(units.levels):
        archive = open_archives(built, folder)[level]
        wanted = set(units.ids[units.level == k].tolist())
        shapes: dict[int, set[int]] = {}
        labels: dict[int, Counter[int]] = {}
        for z, _, _, tile in every_tile(archive):
            extent = tile["units"]["extent"] if "units" in tile else tile["labels"]["extent"]
            assert extent == (8192 if z == archive.max_zoom else 4096)
            shapes.setdefault(z, set()).update(f["id"] for f in tile["units"]["features"])
            labels.setdefault(z, Counter()).update(
                f["id"] for f in tile.get("labels", {"features": []})["features"]
            )
            for feature in tile["units"]["features"]:
                assert shape(feature["geometry"]).is_valid
                assert shape(feature["geometry"]).area > 0
        assert list(shapes) == list(range(archive.min_zoom, archive.max_zoom + 1))
        for z, found in shapes.items():
            assert found == wanted, (level, z)
            assert labels[z] == Counter(wanted), (level, z)


def test_properties(built: tile_archives.Built, folder: Path, units: Units) -> None:
    archive = open_archives(built, folder)["village"]
    seen: dict[int, Feature] = {}
    for _, _, _, tile in every_tile(archive):
        for layer in ("units", "labels"):
            for feature in tile.get(layer, {"features": []})["features"]:
                seen.setdefault(feature["id"], {}).update(feature["properties"])
    areas = units.area_km2[units.level == 2]
    for k, i in enumerate(units.ids[units.level == 2].tolist()):
        assert seen[i] == {
            "code": units.codes[i - 1],
            "name": units.names[i - 1],
            "name_en": "",
            "level": "village",
            "parent": "330106001",
            "rank": 1 + int((areas > areas[k]).sum()),
        }
    top = open_archives(built, folder)["county"]
    assert decode(top.get(*top.addresses()[0]) or b"")["units"]["features"][0]["properties"][
        "parent"
    ] == ""  # fmt: skip


def world_shapes(archive: Archive, zoom: int) -> dict[int, shapely.Geometry]:
    """Polygons of a zoom, put together from the inner squares of its tiles, in tile units."""
    parts: dict[int, list[shapely.Geometry]] = {}
    for z, x, y, tile in every_tile(archive):
        if z != zoom:
            continue
        extent = tile["units"]["extent"]
        square = shapely.box(0, 0, extent, extent)
        for feature in tile["units"]["features"]:
            inner = shape(feature["geometry"]).intersection(square)
            moved = shapely.transform(inner, lambda c, o=(x * extent, y * extent): c + np.array(o))
            parts.setdefault(feature["id"], []).append(moved)
    return {i: shapely.union_all(p) for i, p in parts.items()}


def test_neighbours_leave_no_gap_and_levels_agree(
    built: tile_archives.Built, folder: Path, units: Units
) -> None:
    archives = open_archives(built, folder)
    squares = 0  # units drawn as one tile unit lie on top of a neighbour
    for zoom in range(7, 12):
        village = world_shapes(archives["village"], zoom)
        town = world_shapes(archives["town"], zoom)
        factor = 2 if zoom == 11 else 1  # the town's greatest zoom has the finer raster
        squares = built.report["one_tile_unit"].get(f"village {zoom}", 0)
        together = shapely.union_all(list(village.values()))
        summed = sum(g.area for g in village.values())
        assert summed - together.area <= squares + 1e-6
        of_town = shapely.transform(town[2], lambda c, f=factor: c / f)
        difference = together.symmetric_difference(of_town).area
        if factor == 1:
            assert difference <= squares + 1e-6, zoom
        else:  # half a unit along the border
            assert difference <= of_town.length / 2
        # the two towns touch along their whole border and share nothing else
        assert town[2].intersection(town[3]).area < 1e-6
        # the hole that belongs to nobody stays a hole while it is wider than a unit
        if zoom >= 8:
            assert len(shapely.get_parts(town[3])[0].interiors) == 1


def test_greatest_zoom_is_true_to_two_metres(
    built: tile_archives.Built, folder: Path, units: Units
) -> None:
    archive = open_archives(built, folder)["village"]
    drawn = world_shapes(archive, archive.max_zoom)
    exact = geometry.to_units(
        shapely.transform(units.geoms, geometry.project), archive.max_zoom, 8192
    )
    metres = geometry.unit_size(archive.max_zoom, 8192) * np.cos(np.radians(30))
    for i, polygon in drawn.items():
        assert shapely.hausdorff_distance(polygon, exact[i - 1]) * metres < 2.5, i


def dump(archive: Archive, z: int, x: int, y: int) -> str:
    """A tile as text, one feature a line, so that a change can be read."""
    lines = []
    for name, layer in decode(archive.get(z, x, y) or b"").items():
        lines.append(f"layer {name} extent {layer['extent']} version {layer['version']}")
        for feature in layer["features"]:
            words = json.dumps(feature["properties"], ensure_ascii=False, sort_keys=True)
            lines.append(f"  {feature['id']} {words} {shape(feature['geometry']).wkt}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("level", "zoom"), [("village", 7), ("village", 11), ("town", 5), ("county", 4)]
)
def test_golden_tiles(built: tile_archives.Built, folder: Path, level: str, zoom: int) -> None:
    archive = open_archives(built, folder)[level]
    z, x, y = next(address for address in archive.addresses() if address[0] == zoom)
    found = dump(archive, z, x, y)
    path = GOLDEN / f"{level}-{z}-{x}-{y}.txt"
    if os.environ.get("BLESS"):  # after reading the change
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8"), "if the change is meant: BLESS=1 pytest"


def test_a_second_build_does_nothing(
    engine: sa.Engine, version: int, built: tile_archives.Built, folder: Path
) -> None:
    stamps = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    again = tile_archives.build(engine, version, folder)
    assert (built.made, again.made) == (True, False)
    assert again.archives == built.archives
    assert {p: p.stat().st_mtime_ns for p in folder.iterdir()} == stamps


def test_a_lost_file_comes_back_under_its_name(
    engine: sa.Engine, version: int, built: tile_archives.Built, folder: Path
) -> None:
    path = path_of(folder, built.archives["town"])
    before = path.read_bytes()
    path.write_bytes(before[:-7])
    again = tile_archives.build(engine, version, folder)
    assert again.made
    assert again.archives == built.archives
    assert path.read_bytes() == before


def test_an_interrupted_build_leaves_nothing(engine: sa.Engine, version: int, folder: Path) -> None:
    def stop(text: str, done: int, total: int) -> None:
        if text == "archive":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tile_archives.build(engine, version, folder, stop)
    with engine.connect() as connection:
        for table in ("tile_geometry", "tile_archive"):
            assert connection.execute(sa.text(f"select count(*) from {table}")).scalar() == 0
    assert tile_archives.build(engine, version, folder).made


def test_rows_say_what_the_files_hold(
    engine: sa.Engine, version: int, built: tile_archives.Built, folder: Path, units: Units
) -> None:
    with engine.connect() as connection:
        rows = connection.execute(sa.text("select * from tile_archive")).mappings().all()
        counts = connection.execute(
            sa.text("select level, zoom, count(*) from tile_geometry group by 1, 2")
        ).fetchall()
    assert len(rows) == 3
    for row in rows:
        archive = Archive(path_of(folder, row["digest"]))
        assert (row["min_zoom"], row["max_zoom"]) == (archive.min_zoom, archive.max_zoom)
        assert row["tiles"] == len(archive)
        assert row["bytes"] == archive.path.stat().st_size
        assert row["bounds"] == pytest.approx(archive.bounds, abs=1e-6)
        assert archive.metadata["vector_layers"][0]["id"] == "units"
        assert "made up" in archive.metadata["attribution"]
    assert {(level, zoom): n for level, zoom, n in counts} == {
        (level, zoom): int((units.level == k).sum())
        for k, level in enumerate(units.levels)
        for zoom in {0: range(4, 12), 1: range(5, 12), 2: range(7, 13)}[k]
    }


def test_no_such_version(engine: sa.Engine, folder: Path) -> None:
    with pytest.raises(NotFound, match="99"):
        tile_archives.build(engine, 99, folder)
    assert not folder.exists()
