"""Readers: records, lines and encodings exactly; what spoils a file is told with its place."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import geopandas as gpd
import pyarrow as pa
import pyarrow.parquet
import pytest
import shapely

from app.errors import Invalid
from app.services.event_files import GEOMETRY, Feed, Wanted, column_names, open_feed
from app.services.text_records import check_utf8, pieces

PLAIN = ["", "a", "盗窃", "1.5", " ", "x y", "é"]
ODD = ['a "q"\nb', "a,b", 'say "x"', "two\nlines", "two\r\nlines", '"', "\n", '""', ",", "\n\n"]


def read(feed: Feed, batch: int = 1000) -> tuple[list[dict[str, Any]], list[int], list[Any]]:
    """Rows, lines, broken rows."""
    rows, lines, broken = [], [], []
    for chunk in feed.chunks(batch):
        assert len(chunk.table) == len(chunk.lines) <= batch
        rows += chunk.table.to_pylist()
        lines += chunk.lines.tolist()
        broken += chunk.broken
    return rows, lines, broken


def by_the_standard_library(text: str) -> list[tuple[int, str]]:
    """Line and text of every record that is not blank."""
    found = []
    physical = text.split("\n")
    reader = csv.reader(io.StringIO(text, newline=""))
    start = 0
    for row in reader:
        end = reader.line_num
        record = "\n".join(physical[start:end]).removesuffix("\r")
        if row:
            found.append((start + 1, record))
        start = end
    return found


@pytest.mark.parametrize("seed", range(60))
def test_records_are_those_of_the_standard_library(seed: int) -> None:
    rng = random.Random(seed)
    out = io.StringIO(newline="")
    writer = csv.writer(
        out,
        lineterminator=rng.choice(["\n", "\r\n"]),
        quoting=rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    )
    for _ in range(rng.randint(1, 30)):
        pool = PLAIN + (ODD if rng.random() < 0.5 else [])
        writer.writerow([rng.choice(pool) for _ in range(3)])
        if rng.random() < 0.2:
            out.write("\n")
        if rng.random() < 0.2:
            # quotes where no quote opens a field
            out.write('5" pipe,a"b,"c"d"e\n')
    text = out.getvalue()
    encoding = rng.choice(["utf-8", "gb18030"])
    data = text.encode(encoding)
    if encoding == "utf-8" and rng.random() < 0.3:
        data = b"\xef\xbb\xbf" + data
    found = []
    for piece in pieces(io.BytesIO(data).read, encoding, rng.randint(1, 80), "f", ","):
        for row, line in enumerate(piece.lines().tolist()):
            found.append((line, piece.record(row)))
    assert found == by_the_standard_library(text)


def test_rows_and_lines_of_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        '\nref, kind ,note\nA1,x,"two\nlines"\n\nA2,y\nA3,"z",plain\nA4,5" pipe,1,2\nA5,w,end',
        encoding="utf-8",
    )
    feed = open_feed(path, Wanted(("kind", "ref")))
    assert feed.rows == 5
    for batch in (1, 2, 10):
        rows, lines, broken = read(feed, batch)
        assert rows == [{"kind": k, "ref": r} for k, r in (("x", "A1"), ("z", "A3"), ("w", "A5"))]
        assert lines == [3, 7, 9]
        assert [(b.line, b.reason, b.text, b.value) for b in broken] == [
            (6, "fields", "2 fields where the header has 3", ""),
            (8, "fields", "4 fields where the header has 3", ""),
        ]
    assert column_names(path, Wanted(())) == ["ref", "kind", "note"]


def test_large_csv_in_many_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", encoding="gb18030", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ref", "note"])
        writer.writerows(
            (f"A{i}", "甲\n乙" if i % 7 == 0 else "丙" * (i % 5)) for i in range(40_000)
        )
    rows, lines, _ = read(open_feed(path, Wanted(("ref", "note"), encoding="gb18030")), 500)
    assert [row["ref"] for row in rows] == [f"A{i}" for i in range(40_000)]
    extra = [(i + 6) // 7 for i in range(40_000)]
    assert lines == [i + 2 + extra[i] for i in range(40_000)]
    assert rows[7]["note"] == "甲\n乙"


@pytest.mark.parametrize(
    ("content", "encoding", "said"),
    [
        (b"", "utf-8", "empty (0 bytes)"),
        (b"\n\n", "utf-8", "not even a header line"),
        (
            "ref\nA1\n盗窃\n".encode("gbk"),
            "utf-8",
            "line 3, byte 7: not utf-8 text; it would fit gb18030",
        ),
        ("ref\nA1\n街道x\n".encode() + b"\xff\n", "gb18030", "line 4, byte 15: not gb18030"),
        ("ref\nA1\n杭州市街道\n".encode(), "gb18030", "is UTF-8 text, not gb18030"),
        ("ref\nA1\n".encode("utf-16"), "utf-8", "UTF-16"),
        (b'ref\nA1\n"A2\nA3\n', "utf-8", "line 3: a quote is opened"),
        (b"kind,ref,ref\n", "utf-8", "names column 'ref' twice"),
        (b"kind;ref\n", "utf-8", "no column 'ref'; its columns are 'kind;ref'"),
    ],
)
def test_spoilt_text(tmp_path: Path, content: bytes, encoding: str, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(Invalid) as caught:
        open_feed(path, Wanted(("ref",), encoding=encoding))
    assert said in caught.value.message


def test_the_byte_is_counted_from_the_start_of_the_file(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbfref\n" + b"A1234567\n" * 1_000_000
    path = tmp_path / "a.csv"
    path.write_bytes(data + b"\xff\n")
    with pytest.raises(Invalid, match=rf"line 1000002, byte {len(data)}: not utf-8"):
        open_feed(path, Wanted(("ref",)))


def test_a_quote_never_closed_is_found_before_it_fills_the_memory() -> None:
    data = b'ref\n"A1\n' + b"x,y,z\n" * 700_000
    taken = io.BytesIO(data)
    with pytest.raises(Invalid, match="line 2: a quote is opened"):
        list(pieces(taken.read, "utf-8", 1 << 20, "f", ","))
    assert taken.tell() < 4 << 20


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1 << 20])
def test_utf8_is_checked_across_blocks(size: int) -> None:
    good = "甲乙\n丙\n".encode() * 3
    check_utf8(lambda _: stream.read(size), "f") if (stream := io.BytesIO(good)) else None
    bad = io.BytesIO(good + b"\xff\n")
    with pytest.raises(Invalid, match=rf"line 7, byte {len(good)}: not UTF-8"):
        check_utf8(lambda _: bad.read(size), "f")


def test_ndjson(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    lines = [
        '{"ref": "A1", "at": {"lon": 120.5}, "code": 330102}',
        "",
        '{"ref": "A2", "at": {}',
        '{"ref": "A3", "code": 330102001001001000100010001}',
        "[1]",
        '{"ref": 4, "at": {"lon": "x"}, "code": true}',
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    feed = open_feed(path, Wanted(("ref", "at.lon", "code"), optional=("none",)))
    assert feed.rows == 5
    for batch in (1, 10):
        rows, at, broken = read(feed, batch)
        assert [str(row["ref"]) for row in rows] == ["A1", "A3", "4"]
        assert at == [1, 4, 6]
        assert [(b.line, b.reason) for b in broken] == [(3, "json"), (5, "json")]
        assert str(rows[0]["at.lon"]) == "120.5"
        # more digits than a number of the reader holds: kept as text
        assert str(rows[1]["code"]) == "330102001001001000100010001"
    with pytest.raises(Invalid, match="no column 'where'; its columns are 'ref', 'at', 'code'"):
        open_feed(path, Wanted(("ref", "where")))
    path.write_text("\n\n", encoding="utf-8")
    with pytest.raises(Invalid, match="empty"):
        open_feed(path, Wanted(("ref",)))
    path.write_text("ref\nA1\n", encoding="utf-8")
    with pytest.raises(Invalid, match="is a JSON object"):
        open_feed(path, Wanted(("ref",)))


@pytest.fixture
def shapes() -> gpd.GeoDataFrame:
    geoms = [shapely.Point(120.1, 30.1), None, shapely.box(0, 0, 1, 1), shapely.Point(120.2, 30.2)]
    return gpd.GeoDataFrame({"ref": ["A1", "A2", "A3", "A4"]}, geometry=geoms, crs=4326)


@pytest.mark.parametrize("name", ["a.geojson", "a.json", "a.parquet"])
def test_geometries_become_points(tmp_path: Path, shapes: gpd.GeoDataFrame, name: str) -> None:
    path = tmp_path / name
    if name.endswith("parquet"):
        shapes.to_parquet(path)
    else:
        shapes.to_file(path, driver="GeoJSON")
    feed = open_feed(path, Wanted(("ref",)))
    assert (feed.rows, feed.point) == (4, GEOMETRY)
    rows, lines, broken = read(feed, 3)
    assert [(r["ref"], r[GEOMETRY[0]], r[GEOMETRY[1]]) for r in rows] == [
        ("A1", 120.1, 30.1), ("A2", None, None), ("A4", 120.2, 30.2),
    ]  # fmt: skip
    assert lines == [1, 2, 4]
    assert [(b.line, b.reason, b.value) for b in broken] == [(3, "geometry", "Polygon")]


def test_spoilt_geojson_and_parquet(tmp_path: Path, shapes: gpd.GeoDataFrame) -> None:
    path = tmp_path / "a.geojson"
    shapes.to_file(path)
    whole = path.read_bytes()
    with pytest.raises(Invalid, match="no column 'kind'; its columns are 'ref'"):
        open_feed(path, Wanted(("ref", "kind")))
    path.write_bytes(whole[:-40])
    with pytest.raises(Invalid, match="truncated"):
        open_feed(path, Wanted(("ref",)))
    path.write_bytes(whole.replace(b"A3", b"\xff3"))
    with pytest.raises(Invalid, match="not UTF-8"):
        open_feed(path, Wanted(("ref",)))
    path = tmp_path / "a.parquet"
    pa.parquet.write_table(pa.table({"ref": ["A1"]}), path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(Invalid, match="truncated"):
        open_feed(path, Wanted(("ref",)))
    path.write_bytes(b"PAR1")
    with pytest.raises(Invalid, match="truncated"):
        open_feed(path, Wanted(("ref",)))


def test_a_json_file_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"ref": "A1"}), encoding="utf-8")
    assert read(open_feed(path, Wanted(("ref",))))[0] == [{"ref": "A1"}]
    path = tmp_path / "a.tsv"
    path.write_text("ref\tkind\nA1\tx, y\n", encoding="utf-8")
    assert read(open_feed(path, Wanted(("kind",), delimiter="\t")))[0] == [{"kind": "x, y"}]


@pytest.mark.parametrize("block", [3, 4, 7, 1 << 20])
def test_line_ends_of_an_old_mac(block: int) -> None:
    data = 'ref,kind\rA1,盗窃\rA2,"x\ry"\r\rA3,z'.encode()
    found = [
        (line, piece.record(row))
        for piece in pieces(io.BytesIO(data).read, "utf-8", block, "f", ",")
        for row, line in enumerate(piece.lines().tolist())
    ]
    assert found == [(1, "ref,kind"), (2, "A1,盗窃"), (3, 'A2,"x\ny"'), (6, "A3,z")]


def test_a_csv_of_an_old_mac_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("ref,kind\rA1,盗窃\rA2,x\r".encode("gb18030"))
    wanted = Wanted(("kind",), encoding="gb18030")
    assert column_names(path, wanted) == ["ref", "kind"]
    rows, lines, broken = read(open_feed(path, wanted))
    assert (rows, lines, broken) == ([{"kind": "盗窃"}, {"kind": "x"}], [2, 3], [])


def test_a_header_with_a_line_end_inside_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"ref,ki\rnd\nA1,x\n")
    for call in (lambda: column_names(path, Wanted(())), lambda: open_feed(path, Wanted(("ref",)))):
        with pytest.raises(Invalid, match="the header line cannot be read"):
            call()


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.geojson"])
def test_a_file_without_rows_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.csv":
        path.write_text("ref,kind\n", encoding="utf-8")
    elif name == "a.parquet":
        pyarrow.parquet.write_table(pa.table({"ref": pa.array([], pa.string())}), path)
    else:
        path.write_text('{"type": "FeatureCollection", "features": []}', encoding="utf-8")
    with pytest.raises(Invalid, match=f"{name} has no rows"):
        open_feed(path, Wanted(("ref",), optional=("ref",)))


def test_an_integer_of_json_keeps_its_digits(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    code = "330105001001001000100010001"
    path.write_text(
        f'{{"code": {code}, "n": 1.12345678901234567890123}}\n{{"code": "330102", "n": 2}}\n'
        '{"code": 330105001001, "n": 3}\n{"code": null, "n": 4}\n',
        encoding="utf-8",
    )
    rows, _, broken = read(open_feed(path, Wanted(("code", "n"))))
    assert [row["code"] for row in rows] == [code, "330102", "330105001001", None]
    assert broken == []


def test_broken_coordinates_of_geojson_are_refused(tmp_path: Path, capfd: Any) -> None:
    path = tmp_path / "a.geojson"
    geometries: list[Any] = [
        {"type": "Point", "coordinates": [120.05, 30.05]},
        {"type": "Point", "coordinates": ["a", None]},
        None,
        {"type": "Point", "coordinates": []},
        {"type": "Point", "coordinates": [120.1]},
    ]
    features = [
        {"type": "Feature", "properties": {"ref": f"A{i}"}, "geometry": g}
        for i, g in enumerate(geometries, 1)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    rows, lines, broken = read(open_feed(path, Wanted(("ref",))))
    assert [row["ref"] for row in rows] == ["A1", "A3", "A4"]
    assert lines == [1, 3, 4]
    assert [(b.line, b.column, b.reason) for b in broken] == [
        (2, "geometry", "bad_coordinate"), (5, "geometry", "bad_coordinate"),
    ]  # fmt: skip
    out = capfd.readouterr()
    assert out.out + out.err == ""
