"""Files cut into parts: the same rows with the same places as read in one go."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import Invalid, NotFound
from app.services import bulk_files
from app.services.bulk_files import Input, cut, expand, open_part, unpack
from app.services.event_files import Wanted, open_feed

from .object_store import BUCKET, object_store

WANTED = Wanted(columns=("ref", "at"))
Rows = list[tuple[int, str, str]]


def in_parts(path: Path, wanted: Wanted, part_rows: int) -> tuple[Rows, list[int]]:
    source, parts = cut(str(path), wanted, part_rows)
    found: Rows = []
    broken = []
    text = path.with_name("text")
    unpack(source, text)
    assert text.exists() == bool(source.unpacked)
    for part in parts:
        for chunk in open_part(source, part, wanted, text).chunks(3):
            broken += [b.line for b in chunk.broken]
            found += rows_of(chunk)
    assert [p.number for p in parts] == list(range(len(parts)))
    assert all(p.rows <= part_rows for p in parts)
    return found, broken


def rows_of(chunk) -> Rows:
    columns = [chunk.table[name].to_pylist() for name in ("ref", "at")]
    return list(zip(chunk.lines.tolist(), *columns, strict=True))


def in_one_go(path: Path, wanted: Wanted) -> tuple[Rows, list[int]]:
    found: Rows = []
    broken = []
    for chunk in open_feed(path, wanted).chunks(3):
        broken += [b.line for b in chunk.broken]
        found += rows_of(chunk)
    return found, broken


field = st.text(st.sampled_from('ab"\n ,七杭'), max_size=6)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(field, field), min_size=1, max_size=12),
    st.integers(1, 5),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "gb18030"]),
    st.booleans(),
    st.sampled_from(["csv", "csv.gz", "members.csv.gz"]),
)
def test_csv_parts_are_the_file(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str]],
    part_rows: int,
    end: str,
    encoding: str,
    short: bool,
    name: str,
) -> None:
    text = io.StringIO()
    frame = pd.DataFrame(rows, columns=["ref", "at"])
    frame.to_csv(text, index=False, lineterminator=end, quoting=1)
    body = text.getvalue() + ("only one field" if short else "")
    path = tmp_path_factory.mktemp("csv") / f"events.{name}"
    data = body.encode(encoding)
    if name.startswith("members"):  # a gzip file may be several, one after the other
        data = gzip.compress(data[:9]) + gzip.compress(data[9:])
    path.write_bytes(gzip.compress(data) if name == "csv.gz" else data)
    wanted = Wanted(WANTED.columns, encoding="gb18030" if encoding == "gb18030" else "utf-8")
    assert in_parts(path, wanted, part_rows) == in_one_go(path, wanted)


@pytest.mark.parametrize("part_rows", [1, 2, 100])
def test_lines_that_end_with_a_return(tmp_path: Path, part_rows: int) -> None:
    path = tmp_path / "old.csv"
    path.write_bytes(b"ref,at\ra,1\rb,2\r\rc,3")
    assert in_parts(path, WANTED, part_rows) == in_one_go(path, WANTED)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 50))
def test_parquet_parts_are_the_file(
    tmp_path_factory: pytest.TempPathFactory, rows: int, group: int, part_rows: int
) -> None:
    path = tmp_path_factory.mktemp("parquet") / "events.parquet"
    table = pa.table({"ref": [f"r{i}" for i in range(rows)], "at": [str(i) for i in range(rows)]})
    pa.parquet.write_table(table, path, row_group_size=group)
    assert in_parts(path, WANTED, part_rows) == in_one_go(path, WANTED)


def test_row_groups_are_kept_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    table = pa.table({"ref": ["a"] * 10, "at": ["b"] * 10})
    pa.parquet.write_table(table, path, row_group_size=4)
    _, parts = cut(str(path), WANTED, 5)
    assert [(p.start, p.stop) for p in parts] == [(0, 4), (4, 8), (8, 10)]
    _, parts = cut(str(path), WANTED, 3)
    assert [(p.start, p.stop) for p in parts] == [(0, 3), (3, 4), (4, 7), (7, 10)]


def test_urls_and_folders(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "readme.md"):
        (tmp_path / name).write_text("ref,at\nx,1\n")
    there = [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    assert expand([tmp_path]) == there
    urls = expand([f"file://{tmp_path}"])
    assert urls == [f"file://{name}" for name in there]
    source, parts = cut(urls[0], WANTED, 10)
    assert rows_of(next(open_part(source, parts[0], WANTED).chunks(10))) == [(2, "x", "1")]
    with pytest.raises(Invalid, match="given twice"):
        expand([there[0], there[0]])


def packed(data: bytes) -> bytes:
    """Gzip file of no date: names of tests are the same in every process."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty.csv", b"", "is empty"),
        ("header.csv", b"ref,at\n", "has no rows"),
        ("other.csv", b"a,b\n1,2\n", "has no column 'ref', 'at'; its columns are 'a', 'b'"),
        ("twice.csv", b"ref,at,at\n1,2,3\n", "names column 'at' twice"),
        ("open.csv", b'ref,at\n1,"2\n3,4\n', "line 2: a quote is opened"),
        ("packed.csv", b"\x1f\x8b\x08\x00", "truncated or damaged"),
        ("cut.csv.gz", packed(b"ref,at\na,1\n" * 99)[:-9], "truncated or damaged"),
        ("empty.csv.gz", packed(b""), "not even a header"),
        ("table.parquet.gz", packed(b"PAR1"), "no Parquet file"),
        ("lines.ndjson.gz", packed(b"{}"), "events import"),
        ("map.geojson", b"{}", "events import"),
        ("not.parquet", b"no parquet at all", "no Parquet file"),
        ("cut.parquet", b"PAR1 and nothing more", "no Parquet file"),
    ],
)
def test_what_cannot_be_cut(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(Invalid, match=message):
        cut(str(tmp_path / name), WANTED, 10)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        expand([tmp_path / "none.csv"])
    with pytest.raises(NotFound, match="holds no"):
        expand([tmp_path])
    with pytest.raises(Invalid, match="no address"):
        expand(["gopher://somewhere/a.csv"])


def test_a_file_that_changed_is_not_read_on(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("ref,at\na,1\n")
    source, parts = cut(str(path), WANTED, 10)
    path.write_text("ref,at\na,1\nb,2\n")
    with pytest.raises(Invalid, match="has changed since the job began"):
        open_part(source, parts[0], WANTED)


def test_what_is_unpacked_is_the_file_that_was_cut(tmp_path: Path) -> None:
    path, text = tmp_path / "events.csv.gz", tmp_path / "job" / "text"
    path.write_bytes(gzip.compress(b"ref,at\na,1\nb,2\n"))
    source, parts = cut(str(path), WANTED, 1)
    assert source.unpacked == 15
    with pytest.raises(Invalid, match="is not unpacked"):
        open_part(source, parts[0], WANTED, text)
    text.parent.mkdir()
    text.write_bytes(b"torn")
    unpack(source, text)
    assert text.read_bytes() == b"ref,at\na,1\nb,2\n"
    assert list(text.parent.iterdir()) == [text]
    path.write_bytes(gzip.compress(b"ref,at\na,1\nb,3\nc,4\n"))
    text.unlink()
    with pytest.raises(Invalid, match="has changed since"):
        unpack(source, text)
    assert list(text.parent.iterdir()) == []


def test_names_in_a_folder_by_url_that_a_url_writes_otherwise(tmp_path: Path) -> None:
    names = ["50%.csv", "a b.csv", "a%20b.csv", "h#x.csv", "q?x.csv", "year=2024.csv", "点.csv"]
    for name in names:
        (tmp_path / name).write_text(name)
    for folder in (f"file://{tmp_path}", str(tmp_path)):
        urls = expand([folder])
        assert [bulk_files._name(url) for url in urls] == names
        for url, name in zip(urls, names, strict=True):
            system, path, _ = bulk_files._system(url)
            with system.open_input_file(path) as file:
                assert file.read().decode() == name


def test_an_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects by URL, of any S3-compatible store: an object, a folder of them, what is not there."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    body = "ref,at\n" + "".join(f"r{i},{i}\n" for i in range(500))
    (tmp_path / "day").mkdir()
    (tmp_path / "day" / "a.csv").write_text(body)
    (tmp_path / "day" / "b.csv.gz").write_bytes(gzip.compress(body.encode()))
    (tmp_path / "day" / "readme.md").write_text("no events")
    frame = pd.read_csv(tmp_path / "day" / "a.csv", dtype=str)
    frame.to_parquet(tmp_path / "day" / "c.parquet", row_group_size=90)
    with object_store(tmp_path) as (store, asked):
        urls = expand([f"s3://{BUCKET}/day{store}"])
        names = ("a.csv", "b.csv.gz", "c.parquet")
        assert urls == [f"s3://{BUCKET}/day/{name}{store}" for name in names]
        assert expand(urls[:1]) == urls[:1]
        for url, name in zip(urls, names, strict=True):
            source, parts = cut(url, WANTED, 100)
            assert source.name == name
            assert source.changed > 0
            text = tmp_path / "text"
            unpack(source, text)
            asked.clear()
            found = []
            for part in parts:
                for chunk in open_part(source, part, WANTED, text).chunks(64):
                    found += [(ref, at) for _, ref, at in rows_of(chunk)]
            assert found == list(zip(frame.ref, frame["at"], strict=True))
            assert any("bytes=" in one for one in asked) == (not source.unpacked)
        with pytest.raises(NotFound, match="no file"):
            expand([f"s3://{BUCKET}/none.csv{store}"])
        source, parts = cut(urls[0], WANTED, 100)
        (tmp_path / "day" / "a.csv").write_text(body + "x,1\n")
        with pytest.raises(Invalid, match=r"a\.csv has changed since"):
            open_part(source, parts[0], WANTED)
    assert isinstance(source, Input)


def test_bytes_that_are_no_text_are_told_by_line(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(b"ref,at\n" + b"a,1\n" * 5 + b"\xff,2\n" + b"a,1\n" * 5)
    source, parts = cut(str(path), WANTED, 3)
    with pytest.raises(Invalid, match="line 7, byte 27"):
        list(open_part(source, parts[1], WANTED).chunks(10))
    assert np.sum([p.rows for p in parts]) == 11
