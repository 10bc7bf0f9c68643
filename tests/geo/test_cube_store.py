"""Snapshots as they are kept: changed, saved, read again, torn, in large pages."""

from __future__ import annotations

import copy
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

import geo.cube.views as views_module
from geo.cube import (
    Columns,
    Delta,
    Question,
    Snapshot,
    SnapshotError,
    UnitRanges,
    ask,
    store,
)
from geo.shapes import circle

from .cube_ground import AREAS, BIG, DAY, ROWS, SOUTH, SPEC, T0, WEST, events, small_blocks
from .cube_twin import agree


@pytest.mark.parametrize("name", ["time", "point", "cube"])
def test_arrays_of_another_type_are_refused(name: str) -> None:
    for wrong in (BIG.arrays[name].astype(np.float32), BIG.arrays[name][..., None]):
        broken = Snapshot(SPEC, BIG.arrays | {name: wrong})
        with pytest.raises(SnapshotError, match=f"{name} is"):
            ask(broken, Question(AREAS["box"], T0, T0 + DAY))


@pytest.mark.parametrize("removed", [0, 700])
def test_a_delta_adds_and_removes(removed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = small_blocks(monkeypatch, ROWS)
    added, gone = events(500, 9), ROWS.take(np.arange(removed))
    now = Columns.concat([ROWS.take(np.arange(removed, len(ROWS))), added])
    for area in (AREAS["star"], UnitRanges(((2, 9),))):
        question = Question(area, T0 + 5, T0 + 30 * DAY + 77, beside=UnitRanges(((0, 4),)))
        agree(now, snapshot, question, Delta(added, gone))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_merge_is_the_build_of_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added, gone = events(400, 7, days=80), ROWS.take(np.arange(0, 900, 3))
    merged = small_blocks(monkeypatch, ROWS).merge(added, gone)
    rest = np.ones(len(ROWS), dtype=bool)
    rest[:900:3] = False
    rows = Columns.concat([added, ROWS.take(rest)])
    shuffled = rows.take(np.random.default_rng(1).permutation(len(rows)))
    built = Snapshot.build(
        [shuffled.take(np.arange(100)), shuffled.take(np.arange(100, len(rows)))], SPEC
    )
    assert merged.save(tmp_path / "a") == built.save(tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert len(merged) == len(rows)


def test_rows_alike_are_removed_one_by_one() -> None:
    one = events(1, lost=0)
    four = Snapshot.build([one, one, one, one], SPEC)
    assert len(four.merge(Columns.empty(), Columns.concat([one, one]))) == 2
    with pytest.raises(SnapshotError, match="1 rows to be removed are not there"):
        four.merge(one, Columns.concat([one] * 6))


def test_rows_come_back_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    def sorted_rows(rows: Columns) -> list[tuple[object, ...]]:
        every = zip(rows.lon, rows.lat, rows.time, rows.kind, rows.unit, rows.located, strict=True)
        return sorted(
            tuple(None if x != x else x.item() for x in row) for row in every if row[0] == row[0]
        )

    assert sorted_rows(small_blocks(monkeypatch, ROWS).columns()) == sorted_rows(ROWS)
    assert len(Snapshot.build(ROWS, SPEC).columns()) == len(ROWS)


def test_a_saved_snapshot_answers_the_same(tmp_path: Path) -> None:
    digest = BIG.save(tmp_path / "s")
    for mmap in (True, False):
        again = Snapshot.load(tmp_path / "s", mmap=mmap)
        assert again.digest == digest
        assert again.nbytes == BIG.nbytes
        agree(ROWS, again, Question(AREAS["hole"], T0, T0 + 9 * DAY))
    with pytest.raises(FileExistsError):
        BIG.save(tmp_path / "s")
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize("way", ["pickled", "copied"])
def test_a_copy_has_addresses_of_its_own(way: str) -> None:
    question = Question(circle(WEST + 0.05, SOUTH + 0.05, 3000), T0, T0 + 40 * DAY)
    one = Snapshot.build(ROWS, SPEC)
    total = ask(one, question).total  # whose addresses are known from here on
    other = pickle.loads(pickle.dumps(one)) if way == "pickled" else copy.deepcopy(one)
    own = {array.ctypes.data for array in other.arrays.values()}
    assert own.isdisjoint({array.ctypes.data for array in one.arrays.values() if array.size})
    words = other.view.words
    assert {
        int(words[views_module.FIRST + n * views_module.WORDS])
        for n in range(len(views_module.COLUMNS))
    } <= own
    assert ask(other, question).total == total > 0


def test_a_torn_snapshot_is_refused(tmp_path: Path) -> None:
    def broken(change: object) -> Path:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        BIG.save(folder)
        change(folder)  # type: ignore[operator]
        return folder

    def flip(folder: Path) -> None:
        raw = bytearray((folder / "point.npy").read_bytes())
        raw[-1] ^= 1
        (folder / "point.npy").write_bytes(raw)

    for change, words in (
        (flip, "point.npy is damaged"),
        (lambda f: (f / "time.npy").unlink(), "time.npy is missing"),
        (lambda f: (f / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda f: (f / "manifest.json").write_text("{"), "cannot be read"),
        (lambda f: (f / "manifest.json").write_text("[]"), "cannot be read"),
        (lambda f: (f / "manifest.json").write_text('{"format": 99}'), "has format 99"),
        (lambda f: (f / "manifest.json").write_text('{"format": 1}'), "has format 1, not 5"),
        (lambda f: (f / "time.npy").write_bytes(b""), "damaged"),
    ):
        with pytest.raises(SnapshotError, match=words):
            Snapshot.load(broken(change))


@pytest.mark.skipif(sys.platform != "linux", reason="large pages are asked of Linux")
def test_large_files_are_asked_for_in_large_pages_and_do_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big, small = np.arange(1 << 19), np.arange(8)
    store.write(tmp_path / "s", {"big": big, "small": small}, {})

    def flags(name: str) -> set[str]:
        found: set[str] = set()
        of = ""
        for line in Path("/proc/self/smaps").read_text().splitlines():
            if line.startswith("VmFlags:") and of.endswith(name):
                found |= set(line.split()[1:])
            elif "-" in line.split()[0]:
                of = line
        return found

    arrays = store.read(tmp_path / "s", verify=True, mmap=True)[0]
    assert "hg" in flags("big.npy")
    assert "hg" not in flags("small.npy")
    assert (arrays["big"] == big).all()
    monkeypatch.setattr("geo.cube.store._POPULATE", 9_999)  # no system knows it
    monkeypatch.setattr("geo.cube.store.mapping.MADV_HUGEPAGE", 9_998)
    again = store.read(tmp_path / "s", verify=True, mmap=True)[0]
    assert (again["big"] == big).all()
    assert (again["small"] == small).all()


def test_nothing_is_left_of_a_save_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr("geo.cube.store.os.rename", full)
    with pytest.raises(OSError, match="no space"):
        BIG.save(tmp_path / "s")
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_of_nothing(tmp_path: Path) -> None:
    empty = Snapshot.build(Columns.empty(), SPEC)
    empty.save(tmp_path / "e")
    for snapshot in (empty, Snapshot.load(tmp_path / "e")):
        agree(Columns.empty(), snapshot, Question(AREAS["box"], 0, T0))
        agree(Columns.empty(), snapshot, Question(UnitRanges(((0, 5),)), 0, T0))
        agree(ROWS, snapshot, Question(AREAS["box"], T0, T0 + DAY), Delta(ROWS))
    grown = empty.merge(ROWS, Columns.empty())
    assert grown.save(tmp_path / "g") == BIG.save(tmp_path / "b")
