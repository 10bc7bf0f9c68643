"""Every file format, every CRS, every kind of bad file: each has its own clear reason."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from shapely import box

from app.errors import Invalid
from app.services.boundary_checks import Notes
from app.services.boundary_files import Source, parse_source, read, read_all
from geo import crs

COUNTIES = gpd.GeoDataFrame(
    {"代码": ["330102", "330105"], "名称": ["上城区", "拱墅区"]},
    geometry=[box(120.1, 30.2, 120.2, 30.3), box(120.2, 30.2, 120.3, 30.3)],
    crs=4326,
)
PLAIN = COUNTIES.set_axis(["code", "name", "geometry"], axis=1)
COLUMNS: dict[str, Any] = {"code": "代码", "name": "名称"}


def shapefile(folder: Path, encoding: str, declared: bool, name: str = "县") -> Path:
    folder.mkdir()
    pyogrio.write_dataframe(COUNTIES, folder / f"{name}.shp", encoding=encoding)
    if not declared:
        (folder / f"{name}.cpg").unlink()
    return folder / f"{name}.shp"


def zipped(shp: Path) -> Path:
    path = shp.parent.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for part in shp.parent.iterdir():
            archive.write(part, f"数据/{part.name}")
        archive.writestr(f"__MACOSX/数据/._{shp.name}", "x")
    return path


def check(source: Source) -> Notes:
    notes = Notes()
    frame = read(source, notes)
    assert frame.code.tolist() == ["330102", "330105"]
    assert frame["name"].tolist() == ["上城区", "拱墅区"]
    assert np.allclose(
        shapely.total_bounds(frame.geometry.to_numpy()), [120.1, 30.2, 120.3, 30.3], atol=1e-6
    )
    assert notes.rejects == []
    return notes


def test_geojson_geopackage_flatgeobuf_and_geoparquet(tmp_path: Path) -> None:
    PLAIN.to_file(tmp_path / "a.geojson")
    PLAIN.to_file(tmp_path / "a.gpkg", layer="counties")
    PLAIN.to_file(tmp_path / "a.fgb", SPATIAL_INDEX="NO")
    PLAIN.to_parquet(tmp_path / "a.parquet")
    for suffix in ("geojson", "gpkg", "fgb", "parquet"):
        check(Source(tmp_path / f"a.{suffix}"))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(tmp_path / "a.geojson", "a.geojson")
    check(Source(tmp_path / "b.zip"))


@pytest.mark.parametrize(
    ("encoding", "declared", "said", "noted"),
    [
        ("GBK", True, None, False),
        ("GBK", False, "gbk", False),
        ("GBK", False, None, True),
        ("UTF-8", False, None, False),
        ("UTF-8", True, None, False),
    ],
)
def test_shapefiles_in_chinese(
    tmp_path: Path, encoding: str, declared: bool, said: str | None, noted: bool
) -> None:
    shp = shapefile(tmp_path / "s", encoding, declared)
    for path in (shp, zipped(shp)):
        notes = check(Source(path, encoding=said, **COLUMNS))
        assert [("GB18030" in note) for note in notes.notes] == [True] * noted


def test_a_wrong_encoding_is_told(tmp_path: Path) -> None:
    shp = shapefile(tmp_path / "s", "GBK", declared=False)
    with pytest.raises(Invalid, match=r"is not utf-8 .*say --encoding"):
        read(Source(shp, encoding="utf-8", **COLUMNS), Notes())
    with pytest.raises(Invalid, match="unknown encoding: klingon"):
        read(Source(shp, encoding="klingon", **COLUMNS), Notes())


def test_geojson_with_bom_and_in_gbk(tmp_path: Path) -> None:
    text = PLAIN.to_json(ensure_ascii=False)
    (tmp_path / "bom.geojson").write_bytes(b"\xef\xbb\xbf" + text.encode())
    check(Source(tmp_path / "bom.geojson"))
    path = tmp_path / "gbk.geojson"
    path.write_bytes(text.encode("gbk"))
    check(Source(path, encoding="gbk"))
    with pytest.raises(
        Invalid, match=r"gbk\.geojson is not utf-8 \(byte \d+\): say --encoding gbk"
    ):
        read(Source(path), Notes())


@pytest.mark.parametrize("name", ["gcj02", "bd09", "EPSG:4549", "EPSG:32650", "cgcs2000"])
def test_declared_crs(tmp_path: Path, name: str) -> None:
    there = shapely.transform(
        PLAIN.geometry.to_numpy(), lambda x, y: crs.from_wgs84(x, y, name), interleaved=False
    )
    PLAIN.set_geometry(there).set_crs(None, allow_override=True).to_parquet(tmp_path / "a.parquet")
    check(Source(tmp_path / "a.parquet", crs=name))
    if name.startswith("EPSG"):
        frame = PLAIN.set_geometry(there).set_crs(name, allow_override=True)
        frame.to_parquet(tmp_path / "b.parquet")
        assert check(Source(tmp_path / "b.parquet")).notes == []
        shutil.rmtree(tmp_path / "s", ignore_errors=True)
        (tmp_path / "s").mkdir()
        frame.to_file(tmp_path / "s" / "c.shp")
        check(Source(tmp_path / "s" / "c.shp"))


def test_a_declaration_beats_the_file_and_is_noted(tmp_path: Path) -> None:
    frame = PLAIN.to_crs(32650).set_crs(32651, allow_override=True)
    frame.to_parquet(tmp_path / "a.parquet")
    notes = check(Source(tmp_path / "a.parquet", crs="EPSG:32650"))
    assert notes.notes == ["a.parquet says it is EPSG:32651; read as EPSG:32650, as declared"]


def test_no_crs_at_all(tmp_path: Path) -> None:
    PLAIN.set_crs(None, allow_override=True).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(Invalid, match=r"a\.parquet does not say its CRS: declare it"):
        read(Source(tmp_path / "a.parquet"), Notes())
    with pytest.raises(Invalid, match=r"a\.parquet: unknown CRS 'mars'"):
        read(Source(tmp_path / "a.parquet", crs="mars"), Notes())


def swapped(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    shapes = shapely.transform(
        frame.geometry.to_numpy(), lambda x, y: (y, x), interleaved=False
    )  # fmt: skip
    return frame.set_geometry(shapes).set_crs(None, allow_override=True)


@pytest.mark.parametrize(
    ("frame", "declared", "message"),
    [
        (swapped(PLAIN), "wgs84", r"2 of 2 units do not fit the CRS \w+: longitude and latitude are swapped"),
        (swapped(PLAIN), "gcj02", r"2 of 2 units do not fit the CRS \w+: longitude and latitude are swapped"),
        (swapped(PLAIN.to_crs(4549)), "EPSG:4549", "longitude and latitude are swapped"),
        (PLAIN, "EPSG:4549", "coordinates are in degrees, not in the unit"),
        (PLAIN.to_crs(32650), "wgs84", "coordinates are in metres, not degrees"),
        (PLAIN.to_crs(32650), "bd09", "coordinates are in metres, not degrees"),
        (PLAIN.translate(-60).to_frame("geometry").join(PLAIN[["code"]]), "gcj02",
         r"outside the area of the declared CRS \(west south east north 72\.004 "),
    ],
)  # fmt: skip
def test_coordinates_that_do_not_fit_the_crs(
    tmp_path: Path, frame: gpd.GeoDataFrame, declared: str, message: str
) -> None:
    frame.set_crs(None, allow_override=True).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(Invalid, match=message) as caught:
        read(Source(tmp_path / "a.parquet", crs=declared), Notes())
    assert "a.parquet: row 1" in caught.value.message


def test_one_swapped_row_among_good_ones_is_left_out(tmp_path: Path) -> None:
    more = pd.concat([PLAIN, swapped(PLAIN[:1]).assign(code="330106").set_crs(4326)])
    more.to_parquet(tmp_path / "a.parquet")
    notes = Notes()
    frame = read(Source(tmp_path / "a.parquet"), notes)
    assert frame.code.tolist() == ["330102", "330105"]
    assert [(r.place, r.code) for r in notes.rejects] == [("a.parquet: row 3", "330106")]
    assert "swapped" in notes.rejects[0].reason


def geojson(path: Path, *features: tuple[Any, Any]) -> Path:
    body = {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"code": code, "name": "n"},
                "geometry": rings and {"type": "Polygon", "coordinates": rings},
            }
            for code, rings in features
        ],
    }
    path.write_text(json.dumps(body))
    return path


RING = [[120.1, 30.1], [120.2, 30.1], [120.2, 30.2], [120.1, 30.1]]


def test_an_unclosed_ring_is_left_out(tmp_path: Path) -> None:
    path = geojson(tmp_path / "a.geojson", ("330102", [RING]), ("330105", [RING[:3]]))
    notes = Notes()
    assert read(Source(path), notes).code.tolist() == ["330102"]
    assert [(r.place, r.code, r.reason) for r in notes.rejects] == [
        ("a.geojson: row 2", "330105", "its ring is not closed")
    ]


def bad_files(folder: Path, whole: Path) -> dict[str, tuple[Path, str]]:
    """Name → (file, what the error must say)."""
    cases: dict[str, tuple[Path, str]] = {}

    def case(name: str, content: bytes | str, message: str) -> None:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        cases[name] = (path, message)

    case("nothing.geojson", "", r"nothing\.geojson is empty \(0 bytes\)")
    case("nothing.parquet", "", r"is empty \(0 bytes\)")
    case("nothing.zip", "", r"is empty \(0 bytes\)")
    case("blank.geojson", "\ufeff \n", r"blank\.geojson is empty$")
    case(
        "half.geojson", '{"type":"FeatureCollection","features":[', r"half\.geojson cannot be read"
    )
    case("none.geojson", '{"type":"FeatureCollection","features":[]}', "has no rows")
    case("half.parquet", whole.read_bytes()[:-200], r"half\.parquet cannot be read: .*[Pp]arquet")
    case("zip.zip", b"PK\x03\x04garbage", r"zip\.zip cannot be read")
    case("table.csv", "code,name\n1,2\n", r"is no file of units; those are \.geojson")
    pd.DataFrame({"code": ["1"]}).to_parquet(folder / "flat.parquet")
    cases["flat.parquet"] = (folder / "flat.parquet", "a table without shapes")
    with zipfile.ZipFile(folder / "empty.zip", "w") as archive:
        archive.writestr("read.me", "x")
    cases["empty.zip"] = (folder / "empty.zip", r"has no file of units inside; there are: none")
    cases["lost"] = (folder / "lost.geojson", "is no file")
    cases["folder"] = (folder, "is no file")
    return cases


def test_every_bad_file_has_its_reason(tmp_path: Path) -> None:
    PLAIN.to_parquet(tmp_path / "whole.parquet")
    for path, message in bad_files(tmp_path, tmp_path / "whole.parquet").values():
        with pytest.raises(Invalid, match=message):
            read(Source(path), Notes())


def test_a_missing_column_lists_what_there_is(tmp_path: Path) -> None:
    PLAIN.to_file(tmp_path / "a.geojson")
    with pytest.raises(Invalid, match=r"no column 'CODE'; its columns: code, name$"):
        read(Source(tmp_path / "a.geojson", code="CODE"), Notes())
    COUNTIES.to_file(tmp_path / "b.geojson")
    with pytest.raises(Invalid, match=r"no column 'code'; say which .*--code.*: 代码, 名称$"):
        read(Source(tmp_path / "b.geojson"), Notes())
    with pytest.raises(Invalid, match="no column 'kind'"):
        read(Source(tmp_path / "a.geojson", level_column="kind"), Notes())


def test_layers(tmp_path: Path) -> None:
    PLAIN.to_file(tmp_path / "a.gpkg", layer="counties")
    PLAIN[:1].to_file(tmp_path / "a.gpkg", layer="towns")
    with pytest.raises(Invalid, match=r"several layers: say layer=…; its layers: counties, towns"):
        read(Source(tmp_path / "a.gpkg"), Notes())
    with pytest.raises(Invalid, match="no layer 'x'"):
        read(Source(tmp_path / "a.gpkg", layer="x"), Notes())
    check(Source(tmp_path / "a.gpkg", layer="counties"))
    PLAIN.to_file(tmp_path / "one.geojson")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.write(tmp_path / "one.geojson", "one.geojson")
        archive.write(tmp_path / "one.geojson", "two.geojson")
    with pytest.raises(Invalid, match=r"several: say layer=….*one\.geojson, two\.geojson"):
        read(Source(tmp_path / "two.zip"), Notes())
    check(Source(tmp_path / "two.zip", layer="two"))


def test_sources_are_written_in_one_line() -> None:
    defaults = Source(Path(), crs="gcj02", name="NAME")
    got = parse_source("dir/a.parquet; level=town ;code=CODE;", defaults)
    assert got == Source(Path("dir/a.parquet"), level="town", code="CODE", name="NAME", crs="gcj02")
    for text in ("a.parquet;lvl=town", "a.parquet;level", "a;level="):
        with pytest.raises(Invalid, match="keys: level, level_column"):
            parse_source(text, defaults)
    with pytest.raises(Invalid, match="names no file"):
        parse_source(";level=town", defaults)
    with pytest.raises(Invalid, match="key 'code' is given twice"):
        parse_source("a;code=x;code=y", defaults)


def test_levels_by_file_and_by_column(tmp_path: Path) -> None:
    PLAIN.to_parquet(tmp_path / "a.parquet")
    PLAIN.assign(kind=["county", "town"], up=[None, "330102"]).to_parquet(tmp_path / "b.parquet")
    steps: list[tuple[str, float]] = []
    frame = read_all(
        [
            Source(tmp_path / "a.parquet", level="county"),
            Source(tmp_path / "b.parquet", level_column="kind", parent="up", name_en="code"),
        ],
        Notes(),
        lambda *step: steps.append(step),
    )
    assert frame.level.tolist() == ["county", "county", "county", "town"]
    assert frame.parent.tolist() == [None, None, None, "330102"]
    assert frame.name_en.tolist() == [None, None, "330102", "330105"]
    assert frame.place.tolist()[2] == "b.parquet: row 1"
    assert steps == [("read a.parquet", 0.0), ("read b.parquet", 0.5)]
