"""GeoPackage, GeoParquet and PMTiles, opened again by their own tools."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import geopandas
import jsonschema
import mapbox_vector_tile
import numpy as np
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
import sqlalchemy as sa
from click.testing import CliRunner
from pmtiles.reader import MmapSource, Reader, all_tiles
from pmtiles.tile import Compression, TileType
from pyproj import CRS

from app.cli import cli
from app.errors import Invalid, NotFound
from app.services import export_pmtiles, export_shapes
from app.services.caches import Caches
from app.services.export import export_table
from app.services.export_files import find_boundaries, write_boundaries, write_run
from app.services.runs import Layer
from tiles import palette
from tiles.archive import Archive, path_of

from ...mvt_rules import problems
from ..conftest import Place
from .conftest import BOTH, DEEP, MINE, Shop

FORMS = ("gpkg", "parquet", "pmtiles")
#: What GeoParquet 1.1.0 demands of the value of the key `geo`, as far as our files use it.
GEO = {
    "type": "object",
    "required": ["version", "primary_column", "columns"],
    "properties": {
        "version": {"const": "1.1.0"},
        "primary_column": {"type": "string", "minLength": 1},
        "columns": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "type": "object",
                "required": ["encoding", "geometry_types"],
                "properties": {
                    "encoding": {"const": "WKB"},
                    "geometry_types": {
                        "type": "array",
                        "uniqueItems": True,
                        "items": {"pattern": "^(Multi)?(Point|LineString|Polygon)( Z)?$"},
                    },
                    "crs": {"type": "object"},
                    "edges": {"enum": ["planar", "spherical"]},
                    "bbox": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
                    "covering": {
                        "required": ["bbox"],
                        "properties": {
                            "bbox": {
                                "required": ["xmin", "ymin", "xmax", "ymax"],
                                "additionalProperties": {
                                    "type": "array", "minItems": 2, "maxItems": 2,
                                    "items": {"type": "string"},
                                },
                            }
                        },
                    },
                },
            },
        },
    },
}  # fmt: skip


def _table(shop: Shop, level: str = "grid", kind: str = "overall"):
    with shop.engine.connect() as connection:
        return export_table(connection, Caches(), shop.run, Layer(level, kind, "month", 21))


def _places(shop: Shop, level: str) -> list[Place]:
    return [one for one in shop.small.places if one.level == level]


def _run_path(shop: Shop, form: str, level: str = "grid") -> str:
    return f"/api/runs/{shop.run}/export.{form}?level={level}&ord=21"


def _boundary_path(shop: Shop, form: str, level: str | None = None) -> str:
    more = f"?level={level}" if level else ""
    return f"/api/boundaries/{shop.small.version}/export.{form}{more}"


def _tiles(path: Path) -> dict[tuple[int, int, int], dict[str, Any]]:
    """Every tile of an archive, read by the library of the format and by a general decoder."""
    import gzip

    with path.open("rb") as file:
        return {
            zxy: mapbox_vector_tile.decode(
                gzip.decompress(data), default_options={"y_coord_down": True}
            )
            for zxy, data in all_tiles(MmapSource(file))
        }


def _features(path: Path, layer: str) -> dict[int, dict[int, dict[str, Any]]]:
    """Properties by zoom and id of a layer."""
    found: dict[int, dict[int, dict[str, Any]]] = {}
    for (z, _, _), tile in _tiles(path).items():
        for one in tile.get(layer, {"features": []})["features"]:
            found.setdefault(z, {})[one["id"]] = one["properties"]
    return found


# GeoParquet --------------------------------------------------------------------------------------
def _check_geo(path: Path) -> dict[str, Any]:
    geo: dict[str, Any] = json.loads(pq.read_metadata(path).metadata[b"geo"])
    jsonschema.validate(geo, GEO)
    column = geo["columns"][geo["primary_column"]]
    assert CRS.from_json_dict(column["crs"]).to_epsg() == 4326
    assert column["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
    return column


@pytest.mark.parametrize("kind", ["overall", "theft"])
def test_a_run_as_geoparquet(shop: Shop, tmp_path: Path, kind: str) -> None:
    table = _table(shop, kind=kind)
    path = tmp_path / "run.parquet"
    with shop.engine.connect() as connection:
        assert write_run(connection, table, "parquet", path) == len(table)
    column = _check_geo(path)
    frame = geopandas.read_parquet(path)
    assert frame.crs == "EPSG:4326"
    assert set(table.columns) == set(frame.columns) - {"geometry"}
    for name, values in table.columns.items():
        found = [None if value != value else value for value in frame[name].tolist()]
        assert found == values, name
    with shop.engine.connect() as connection:
        shapes = connection.execute(
            sa.text(
                "select code, st_asbinary(geom) from unit where level = 'grid' "
                "and boundary_version_id = :v"
            ),
            {"v": shop.small.version},
        ).all()
    exact = {code: shapely.from_wkb(bytes(shape)) for code, shape in shapes}
    assert len(exact) == len(frame)
    for code, shape in zip(frame["code"], frame.geometry, strict=True):
        assert shape.equals_exact(exact[code], 0)
    assert set(shapely.get_type_id(frame.geometry)) == {6}
    assert column["bbox"] == pytest.approx(frame.total_bounds.tolist(), abs=0)
    told = pq.read_table(path, columns=["bbox"])["bbox"].to_pylist()  # geopandas leaves it out
    boxes = np.array([list(one.values()) for one in told])
    assert np.array_equal(boxes, shapely.bounds(frame.geometry.to_numpy()))
    part = geopandas.read_parquet(path, bbox=(119.0, 29.0, 119.1, 29.1))
    assert 0 < len(part) < len(frame)
    notes = json.loads(pq.read_metadata(path).metadata[b"wusetu"])
    assert notes == table.notes


def test_notes_say_whence_how_and_who(shop: Shop, tmp_path: Path) -> None:
    file = shop.file(_run_path(shop, "parquet"), tmp_path / "one.parquet")
    notes = json.loads(pq.read_metadata(file).metadata[b"wusetu"])
    assert notes["map"] == "small"
    assert notes["run"].startswith(f"{shop.run}, published 20")
    assert notes["boundary version"] == "2023"
    assert notes["boundary source"] == "drawn here"
    assert notes["boundary licence"] == "CC0 1.0"
    assert notes["shapes"].startswith("approximate")
    assert notes["scene"] == "nine-kinds, version 1"
    assert notes["events"] == "simulated"
    assert notes["data cutoff"].startswith("2024-11-30T")
    assert notes["asked by"] == "analyst-all (analyst)"
    assert "empirical Bayes" in notes["method"]
    assert notes["generated"].startswith("20")


def test_memory_is_that_of_a_batch(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small batches give the same rows, in as many row groups."""
    monkeypatch.setattr(export_shapes, "BYTES", 1000)
    seen: list[int] = []
    plain = export_shapes._grouped

    def watched(rows: Any) -> Any:
        for group in plain(rows):
            seen.append(len(group))
            yield group

    monkeypatch.setattr(export_shapes, "_grouped", watched)
    table = _table(shop)
    small, whole = tmp_path / "small.parquet", tmp_path / "whole.parquet"
    with shop.engine.connect() as connection:
        write_run(connection, table, "parquet", small)
        groups = len(seen)
        monkeypatch.setattr(export_shapes, "BYTES", 10**9)
        write_run(connection, table, "parquet", whole)
    assert groups > 5
    assert pq.read_metadata(small).num_row_groups == groups
    assert pq.read_metadata(whole).num_row_groups == 1
    assert pq.read_table(small).equals(pq.read_table(whole))


@pytest.mark.parametrize("level", [None, "town"])
def test_boundaries_as_geoparquet(shop: Shop, tmp_path: Path, level: str | None) -> None:
    path = shop.file(_boundary_path(shop, "parquet", level), tmp_path / "b.parquet")
    _check_geo(path)
    frame = geopandas.read_parquet(path)
    wanted = [one for one in shop.small.places if level in (None, one.level)]
    assert frame["code"].tolist() == [one.code for one in wanted]
    assert frame["level"].tolist() == [one.level for one in wanted]
    parents = [None if value != value else value for value in frame["parent_code"]]
    assert parents == [one.parent for one in wanted]
    labels = shapely.points(frame["label_lon"], frame["label_lat"])
    assert shapely.covers(frame.geometry.to_numpy(), labels).all()
    notes = json.loads(pq.read_metadata(path).metadata[b"wusetu"])
    assert notes["boundary licence"] == "CC0 1.0"
    assert notes["valid"] == "from 2023-01-01"


# GeoPackage --------------------------------------------------------------------------------------
def _styles(path: Path) -> dict[str, tuple[str, str]]:
    with sqlite3.connect(path) as file:
        rows = file.execute(
            "select f_table_name, styleQML, styleSLD from layer_styles where useAsDefault"
        ).fetchall()
        listed = file.execute(
            "select data_type from gpkg_contents where table_name = 'layer_styles'"
        ).fetchall()
    assert listed == [("attributes",)]
    return {name: (qml, sld) for name, qml, sld in rows}


def test_a_geopackage_brings_its_colours(shop: Shop, tmp_path: Path) -> None:
    path = shop.file(_run_path(shop, "gpkg"), tmp_path / "run.gpkg")
    assert [name for name, _ in pyogrio.list_layers(path)] == ["assessment", "layer_styles"]
    ((name, (qml, sld)),) = _styles(path).items()
    assert name == "assessment"
    categories = {
        one.get("value"): one.get("symbol") for one in ET.fromstring(qml).iter("category")
    }
    symbols = {
        one.get("name"): one.find("layer/Option/Option[@name='color']").get("value")
        for one in ET.fromstring(qml).findall("renderer-v2/symbols/symbol")
    }
    for one in palette.CLASSES:
        red, green, blue = bytes.fromhex(one.light.fill[1:])
        assert symbols[categories[one.id]] == f"{red},{green},{blue},255"
        assert one.light.fill in sld
    frame = geopandas.read_file(path, layer="assessment")
    assert set(frame["colour"]) <= set(categories)
    assert len(frame) == len(_places(shop, "grid"))
    assert pyogrio.read_info(path, layer="assessment")["layer_metadata"]["events"] == "simulated"


def test_boundaries_as_geopackage(shop: Shop, tmp_path: Path) -> None:
    path = shop.file(_boundary_path(shop, "gpkg"), tmp_path / "b.gpkg")
    levels = ["city", "county", "town", "village", "grid"]
    assert [name for name, _ in pyogrio.list_layers(path)] == [*levels, "layer_styles"]
    assert list(_styles(path)) == levels
    for level in levels:
        frame = geopandas.read_file(path, layer=level)
        assert frame["code"].tolist() == [one.code for one in _places(shop, level)]
        info = pyogrio.read_info(path, layer=level)
        assert info["layer_metadata"]["boundary source"] == "drawn here"
        assert (info["geometry_type"], info["crs"]) == ("MultiPolygon", "EPSG:4326")


# PMTiles -----------------------------------------------------------------------------------------
def test_a_run_as_pmtiles(shop: Shop, tmp_path: Path) -> None:
    path = shop.file(_run_path(shop, "pmtiles"), tmp_path / "run.pmtiles")
    table = _table(shop)
    with path.open("rb") as file:
        reader = Reader(MmapSource(file))
        header, about = reader.header(), reader.metadata()
    assert (header["tile_type"], header["tile_compression"]) == (TileType.MVT, Compression.GZIP)
    assert header["clustered"]
    assert about["wusetu"]["run"].startswith(f"{shop.run}, published")
    assert "模拟事件" in about["attribution"]
    assert "近似边界" in about["attribution"]
    assert "CC0 1.0" in about["attribution"]
    assert [one["id"] for one in about["vector_layers"]] == ["units", "labels"]
    by_code = dict(zip(table.columns["code"], range(len(table)), strict=True))
    for layer in ("units", "labels"):
        zooms = _features(path, layer)
        assert sorted(zooms) == list(range(header["min_zoom"], header["max_zoom"] + 1))
        for found in zooms.values():
            assert sorted(found) == table.ids
            for number, one in found.items():
                at = by_code[one["code"]]
                assert table.ids[at] == number
                assert one["colour_name"] == table.columns["colour"][at]
                assert one["colour"] == [c.id for c in palette.CLASSES].index(one["colour_name"])
                assert one.get("theta") == table.columns["relative_risk"][at]
                assert one["observed"] == table.columns["observed"][at]
                assert ("theta" in one) == (one["colour"] != 0)


def test_tiles_are_drawn_as_the_map_draws_them(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shapes are those of the map's own archive, tile by tile, in however small blocks."""
    with shop.engine.connect() as connection:
        digest = connection.execute(
            sa.text("select digest from tile_archive where level = 'village'")
        ).scalar_one()
    ours: dict[tuple[int, int, int], dict[int, Any]] = {}
    with Archive(path_of(shop.data_dir / "archives", digest)) as archive:
        for zxy in archive.addresses():
            tile = mapbox_vector_tile.decode(_plain(archive.get(*zxy) or b""))
            ours[zxy] = {one["id"]: one["geometry"] for one in tile["units"]["features"]}
    blocks: list[Any] = []
    plain = export_pmtiles._block

    def counted(*given: Any, **more: Any) -> Any:
        blocks.append(more["block"])
        return plain(*given, **more)

    monkeypatch.setattr(export_pmtiles, "_block", counted)
    for most in (16_000_000, 3_000):
        monkeypatch.setattr(export_pmtiles, "BLOCK_BYTES", most)
        path = tmp_path / f"{most}.pmtiles"
        with shop.engine.connect() as connection:
            write_run(connection, _table(shop, "village"), "pmtiles", path)
        with path.open("rb") as file:
            theirs = {
                zxy: {
                    one["id"]: one["geometry"]
                    for one in mapbox_vector_tile.decode(_plain(data))["units"]["features"]
                }
                for zxy, data in all_tiles(MmapSource(file))
            }
            assert Reader(MmapSource(file)).header()["clustered"]
        assert theirs == ours
    assert {one[0] for one in blocks} == {0, 7, 8}  # of the world, and cut as small as need be


def _plain(data: bytes) -> bytes:
    import gzip

    return gzip.decompress(data)


def test_boundaries_as_pmtiles(shop: Shop, tmp_path: Path) -> None:
    path = shop.file(_boundary_path(shop, "pmtiles"), tmp_path / "b.pmtiles")
    with path.open("rb") as file:
        about = Reader(MmapSource(file)).metadata()
        raw = [_plain(data) for _, data in all_tiles(MmapSource(file))]
    described = {one["id"]: one for one in about["vector_layers"]}
    assert [text for tile in raw for text in problems(tile)] == []
    tiles = _tiles(path)
    for level in ("city", "county", "town", "village", "grid"):
        wanted = {shop.small.id_of(one.code): one.code for one in _places(shop, level)}
        for layer in (level, f"{level}_labels"):
            zooms: dict[int, dict[int, str]] = {}
            for (z, _, _), tile in tiles.items():
                for one in tile.get(layer, {"features": []})["features"]:
                    zooms.setdefault(z, {})[one["id"]] = one["properties"]["code"]
                    assert one["properties"]["level"] == level
                    assert set(one["properties"]) <= set(described[layer]["fields"])
            low, high = described[layer]["minzoom"], described[layer]["maxzoom"]
            assert zooms == dict.fromkeys(range(low, high + 1), wanted)


def test_gdal_reads_the_archive(shop: Shop, tmp_path: Path) -> None:
    if "PMTiles" not in pyogrio.list_drivers():
        pytest.skip("this GDAL has no driver for PMTiles")
    path = shop.file(_run_path(shop, "pmtiles", "town"), tmp_path / "run.pmtiles")
    assert {name for name, _ in pyogrio.list_layers(path)} == {"units", "labels"}
    frame = pyogrio.read_dataframe(path, layer="labels")
    table = _table(shop, "town")
    assert dict(zip(frame["code"], frame["colour_name"], strict=True)) == dict(
        zip(table.columns["code"], table.columns["colour"], strict=True)
    )


# whose ---------------------------------------------------------------------------------------------
def _codes(path: Path, form: str) -> set[str]:
    if form == "parquet":
        return set(geopandas.read_parquet(path)["code"])
    if form == "gpkg":
        layers = [name for name, _ in pyogrio.list_layers(path) if name != "layer_styles"]
        return {code for one in layers for code in geopandas.read_file(path, layer=one)["code"]}
    return {
        one["properties"]["code"]
        for tile in _tiles(path).values()
        for layer in tile.values()
        for one in layer["features"]
    }


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("prefix", [MINE, DEEP, BOTH])
def test_a_jurisdiction_gets_its_own_units_only(
    shop: Shop, tmp_path: Path, form: str, prefix: str
) -> None:
    own = {one.code for one in shop.small.places if one.code.startswith(tuple(prefix.split()))}
    for name, address in (("b", _boundary_path(shop, form)), ("r", _run_path(shop, form))):
        path = shop.file(address, tmp_path / f"{name}.{form}", prefix)
        wanted = own if name == "b" else {code for code in own if len(code) == 15}
        assert _codes(path, form) == wanted
    other = shop.get(_run_path(shop, form, "city"), prefix=prefix)
    if form == "pmtiles":
        assert other.status_code == 404
    else:
        path = tmp_path / f"c.{form}"
        path.write_bytes(other.content)
        assert _codes(path, form) == set()
    answer = shop.get(_boundary_path(shop, form, "city"), prefix=prefix)
    assert answer.status_code == 404


@pytest.mark.parametrize("form", FORMS)
def test_doors_and_errors(shop: Shop, form: str) -> None:
    for address in (_run_path(shop, form), _boundary_path(shop, form)):
        assert shop.get(address, role="viewer").status_code == 403
        assert shop.client.get(address).status_code == 401
        assert shop.get(address.replace(".pmtiles", ".csvx")).status_code in (200, 404)
    assert shop.get(f"/api/boundaries/99/export.{form}").status_code == 404
    assert shop.get(_boundary_path(shop, form, "street")).status_code == 404
    assert shop.get(_boundary_path(shop, form) + "?kind=theft").status_code == 422
    assert shop.get(f"/api/runs/{shop.run}/export.{form}?level=street").status_code == 404


def test_the_list_of_boundaries(shop: Shop) -> None:
    found = shop.get("/api/boundaries", role="viewer").json()
    assert (found[0]["label"], found[0]["version"]) == ("2023", shop.small.version)
    counts = {one["level"]: one["units"] for one in found[0]["levels"]}
    assert counts["grid"] == len(_places(shop, "grid"))
    assert found[0]["licence"] == "CC0 1.0"
    assert [one["label"] for one in found] == ["2023", "2020"]
    assert shop.get("/api/boundaries?pack=other").json() == []
    own = shop.get("/api/boundaries", prefix=MINE).json()
    assert [one["label"] for one in own] == ["2023"]  # of 2020 nothing is its own
    assert {one["level"] for one in own[0]["levels"]} == {"county", "town", "village", "grid"}


def test_files_leave_an_entry_in_the_audit(shop: Shop) -> None:
    shop.get(_boundary_path(shop, "parquet", "town") + "&purpose=a+map+for+print", prefix=MINE)
    shop.get(_run_path(shop, "pmtiles", "town"), prefix=MINE)
    rows = shop.get("/api/audit?action=export", role="auditor").json()
    rows = rows["entries"] if isinstance(rows, dict) else rows
    run, version = rows[0], rows[1]
    assert run["run"] == shop.run
    assert run["question"]["format"] == "pmtiles"
    assert version["question"] == {
        "format": "parquet", "boundaries": shop.small.version, "level": "town",
    }  # fmt: skip
    towns = [one for one in _places(shop, "town") if one.code.startswith(MINE)]
    assert {run["rows"], version["rows"]} == {len(towns)}
    assert (version["pack"], version["purpose"]) == ("small", "a map for print")


def test_nothing_is_left_behind(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for form in FORMS:
        assert shop.get(_run_path(shop, form, "town")).status_code == 200
        assert shop.get(_run_path(shop, form, "street")).status_code == 404
    assert list(tmp_path.iterdir()) == []


# command line --------------------------------------------------------------------------------------
def test_the_command_writes_every_format(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WUSETU_DATABASE_URL", shop.url)
    run = CliRunner()
    for form in FORMS:
        for name, more in (
            (f"run.{form}", ["--level", "town", "--kind", "theft"]),
            (f"units.{form}", ["--boundaries", "--level", "town"]),
            (f"old.{form}", ["--boundaries", "--label", "2020"]),
        ):
            done = run.invoke(cli, ["export", str(tmp_path / name), "--pack", "small", *more])
            if name == "old.pmtiles":
                assert isinstance(done.exception, NotFound)
                assert "wusetu tiles build" in done.exception.message
                continue
            assert done.exit_code == 0, done.exception
            wanted = {"3301"} if name.startswith("old") else {
                one.code for one in _places(shop, "town")
            }  # fmt: skip
            assert _codes(tmp_path / name, form) == wanted
    before = sorted(tmp_path.iterdir())
    for wrong, reason in (
        (["a.csv", "--pack", "small", "--boundaries"], "boundaries are written as"),
        (["a.gpkg", "--run", "1", "--boundaries"], "give --pack with --boundaries"),
        (["a.gpkg", "--pack", "small"], "give --level"),
        (["a.gpkg", "--pack", "small", "--level", "town", "--label", "2023"], "goes with"),
        (["a.gpkg", "--pack", "small", "--boundaries", "--label", "1999"], "no version '1999'"),
    ):
        failed = run.invoke(cli, ["export", str(tmp_path / wrong[0]), *wrong[1:]])
        assert isinstance(failed.exception, Invalid | NotFound)
        assert reason in failed.exception.message
    assert sorted(tmp_path.iterdir()) == before


def test_one_moment_for_all_of_a_file(shop: Shop, tmp_path: Path) -> None:
    """A file is written by one transaction: what changes meanwhile is not in it."""
    with shop.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        one = find_boundaries(connection, shop.small.version, "town")
        assert write_boundaries(connection, Caches(), one, "parquet", tmp_path / "a.parquet") == 5
