"""The archive file: round trip, determinism, damage."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tiles import archive
from tiles.archive import Archive, ArchiveError
from tiles.cut import compress

BOUNDS = (119.0, 29.0, 121.0, 31.0)


def made(folder: Path, n: int = 40) -> tuple[archive.Written, list[tuple[int, int, int, bytes]]]:
    tiles = [(9, 400 + k, 200 + k % 7, compress(b"tile %d" % (k % 5))) for k in range(n)]
    tiles += [(4, 12, 6, compress(b"top"))]
    return archive.write(folder, tiles, BOUNDS, {"name": "x"}), tiles


def test_round_trip(tmp_path: Path) -> None:
    written, tiles = made(tmp_path)
    with Archive(archive.path_of(tmp_path, written.digest)) as one:
        assert {(z, x, y): one.get(z, x, y) for z, x, y, _ in tiles} == {
            (z, x, y): data for z, x, y, data in tiles
        }
        assert sorted(one.addresses()) == sorted((z, x, y) for z, x, y, _ in tiles)
        assert len(one) == written.tiles == len(tiles)
        assert (one.min_zoom, one.max_zoom, one.bounds) == (4, 9, BOUNDS)
        for missing in ((9, 0, 0), (9, 511, 511), (9, 512, 0), (9, -1, 0), (3, 0, 0), (12, 0, 0)):
            assert one.get(*missing) is None


def test_many_tiles_use_leaf_directories(tmp_path: Path) -> None:
    tiles = [(12, x, y, compress(b"%d %d" % (x, y))) for x in range(110) for y in range(110)]
    written = archive.write(tmp_path, tiles, BOUNDS, {})
    with Archive(archive.path_of(tmp_path, written.digest)) as one:
        assert len(one) == 12_100
        assert all(one.get(z, x, y) == data for z, x, y, data in tiles[::37])


def test_same_content_same_name_whatever_the_order(tmp_path: Path) -> None:
    first, tiles = made(tmp_path / "a")
    again = archive.write(tmp_path / "b", reversed(tiles), BOUNDS, {"name": "x"})
    assert again == first
    other = archive.write(tmp_path / "b", tiles, BOUNDS, {"name": "y"})
    assert other.digest != first.digest


def test_nothing_half_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        archive.write(tmp_path, [], BOUNDS, {})
    with pytest.raises(TypeError):
        archive.write(tmp_path, [(4, 0, 0, b"x")], BOUNDS, {"bad": object()})
    assert list(tmp_path.iterdir()) == []


def test_threads_read_at_once(tmp_path: Path) -> None:
    written, tiles = made(tmp_path)
    wrong: list[int] = []
    with Archive(archive.path_of(tmp_path, written.digest)) as one:

        def read() -> None:
            for z, x, y, data in tiles * 20:
                if one.get(z, x, y) != data:
                    wrong.append(x)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_missing_and_damaged_files_say_so(tmp_path: Path) -> None:
    written, _ = made(tmp_path)
    path = archive.path_of(tmp_path, written.digest)
    whole = path.read_bytes()
    with pytest.raises(ArchiveError, match="cannot be opened"):
        Archive(tmp_path / "none.pmtiles")
    for content, words in (
        (whole[:50], "no header"),
        (b"", "no header"),
        (b"PK" + whole[2:], "not a PMTiles"),
        (whole[:-1], "cut short"),
        (whole[:127] + bytes(200) + whole[327:], "damaged"),
        (whole[:98] + b"\x01" + whole[99:], "gzip vector tiles"),
    ):
        path.write_bytes(content)
        with pytest.raises(ArchiveError, match=words):
            Archive(path)


def test_a_file_cut_while_open_is_an_error_not_a_crash(tmp_path: Path) -> None:
    written, tiles = made(tmp_path)
    path = archive.path_of(tmp_path, written.digest)
    with Archive(path) as one:
        with path.open("r+b") as file:
            file.truncate(300)
        with pytest.raises(ArchiveError, match="cut short"):
            one.get(*tiles[-2][:3])


@pytest.mark.parametrize("name", ["../x", "A" * 64, "0" * 63, "0" * 64 + "\n", ""])
def test_a_digest_is_only_a_digest(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveError, match="not a digest"):
        archive.path_of(tmp_path, name)
