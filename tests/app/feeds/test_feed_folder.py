"""A drop folder: whole files only, each once, what cannot be read put aside."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import Invalid, NotFound
from app.feeds.base import FolderSettings
from app.feeds.folder import FolderSource
from app.services import feeds
from app.services.event_mapping import parse_mapping
from app.services.feed_run import Runner
from app.services.feed_take import Taker

from .feed_house import Clock, csv_of, drop, entered, row, scalar, stored


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    made = tmp_path / "in"
    made.mkdir()
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def runner(engine: sa.Engine, tmp_path: Path, clock: Clock) -> Runner:
    """Looks at folders; time passes when told to."""
    return Runner(
        Taker(engine, tmp_path / "locate"),
        lambda feed: FolderSource(feed.settings, feed.mapping, batch=3, clock=clock),
    )


def test_a_file_is_taken_when_it_grows_no_more(
    engine: sa.Engine,
    pack: str,
    mapping: dict[str, Any],
    folder: Path,
    runner: Runner,
    clock: Clock,
) -> None:
    feed = entered(engine, mapping, "folder", folder=str(folder), settle_s=5)
    whole = csv_of([row(n) for n in range(1, 6)])
    path = folder / "one.csv"
    path.write_text(whole[:60])
    assert runner.look(feed.id).waiting == 1
    clock.now += 4
    path.write_text(whole)  # it grew: the waiting begins anew
    assert runner.look(feed.id).waiting == 1
    clock.now += 4.9
    assert runner.look(feed.id).batches == 0
    assert stored(engine) == {}
    clock.now += 0.2
    look = runner.look(feed.id)
    assert (look.batches, look.rows, look.new, look.waiting) == (2, 5, 5, 0)
    assert set(stored(engine)) == {f"A{n}" for n in range(1, 6)}
    assert sorted(os.listdir(folder)) == ["taken"]
    assert os.listdir(folder / "taken") == ["one.csv"]


def test_what_is_no_file_of_rows_is_left_alone(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], folder: Path, runner: Runner,
    clock: Clock, tmp_path: Path,
) -> None:  # fmt: skip
    feed = entered(engine, mapping, "folder", folder=str(folder), settle_s=1)
    text = csv_of([row(1)])
    for name in (".hidden.csv", "a.csv.part", "b.tmp", "c.FILEPART"):
        (folder / name).write_text(text)
    (folder / "sub").mkdir()
    outside = tmp_path / "outside.csv"
    outside.write_text(text)
    (folder / "link.csv").symlink_to(outside)
    os.mkfifo(folder / "pipe.csv")
    for _ in range(3):
        clock.now += 100
        look = runner.look(feed.id)
        assert (look.batches, look.waiting, look.error) == (0, 0, None)
    assert stored(engine) == {}


def test_a_marker_is_waited_for(
    engine: sa.Engine,
    pack: str,
    mapping: dict[str, Any],
    folder: Path,
    runner: Runner,
    clock: Clock,
) -> None:
    feed = entered(engine, mapping, "folder", folder=str(folder), settle_s=1, marker=".ok")
    drop(folder, "one.csv", csv_of([row(1)]))
    for _ in range(3):
        clock.now += 100
        assert runner.look(feed.id).batches == 0
    (folder / "one.csv.ok").touch()
    runner.look(feed.id)
    clock.now += 100
    assert runner.look(feed.id).new == 1
    assert sorted(os.listdir(folder)) == ["taken"]


def test_the_same_file_again_changes_nothing(
    engine: sa.Engine,
    pack: str,
    mapping: dict[str, Any],
    folder: Path,
    runner: Runner,
    clock: Clock,
) -> None:
    feed = entered(engine, mapping, "folder", folder=str(folder), settle_s=1)
    text = csv_of([row(1), row(2, kind="飞碟")])
    for again in range(2):
        drop(folder, "one.csv", text)
        runner.look(feed.id)
        clock.now += 2
        look = runner.look(feed.id)
        assert (look.batches, look.known) == (1 - again, again)
    assert sorted(os.listdir(folder / "taken")) == ["one-2.csv", "one.csv"]
    assert scalar(engine, "select count(*) from feed_dead") == 1
    assert scalar(engine, "select sum(rows) from feed_batch") == 2


def test_a_correction_changes_the_event_and_where_it_came_from(
    engine: sa.Engine,
    pack: str,
    mapping: dict[str, Any],
    folder: Path,
    runner: Runner,
    clock: Clock,
) -> None:
    feed = entered(engine, mapping, "folder", folder=str(folder), settle_s=1)
    for name, kind in (("one.csv", "盗窃"), ("two.csv", "火警")):
        drop(folder, name, csv_of([row(1), row(2, kind=kind)]))
        runner.look(feed.id)
        clock.now += 2
        runner.look(feed.id)
    assert stored(engine) == {"A1": "theft", "A2": "fire"}
    with engine.connect() as connection:
        first = feeds.origin_of(connection, "toy", "alarms", "A1")
        second = feeds.origin_of(connection, "toy", "alarms", "A2")
        with pytest.raises(NotFound, match="A9"):
            feeds.origin_of(connection, "toy", "alarms", "A9")
    assert (first.origin, first.place) == ("one.csv, rows 2 to 3", "2")
    assert (second.origin, second.place) == ("two.csv, rows 2 to 3", "3")
    assert second.batch > first.batch


def test_a_file_that_cannot_be_read_is_waited_for_then_put_aside(
    engine: sa.Engine,
    pack: str,
    mapping: dict[str, Any],
    folder: Path,
    runner: Runner,
    clock: Clock,
) -> None:
    feed = entered(engine, mapping, "folder", folder=str(folder), settle_s=1, patience_s=60)
    whole = gzip.compress(csv_of([row(n) for n in range(50)]).encode())
    (folder / "half.csv.gz").write_bytes(whole[: len(whole) // 2])
    drop(folder, "good.csv", csv_of([row(1)]))
    runner.look(feed.id)
    clock.now += 2
    look = runner.look(feed.id)
    assert look.new == 1  # the other one is not held up
    assert "waited for" in (look.error or "")
    clock.now += 30
    assert runner.look(feed.id).waiting == 1
    clock.now += 60
    look = runner.look(feed.id)
    assert "put aside in failed/: half.csv.gz" in (look.error or "")
    reason = (folder / "failed" / "half.csv.gz.reason.txt").read_text()
    assert "half.csv.gz" in reason
    assert scalar(engine, "select failures from feed") >= 2
    # it goes on failing until somebody looked
    assert runner.look(feed.id).error
    (folder / "failed" / "half.csv.gz").unlink()
    assert runner.look(feed.id).error is None
    assert scalar(engine, "select failures from feed") == 0


def test_a_folder_that_is_gone_is_told(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], folder: Path, runner: Runner
) -> None:
    feed = entered(engine, mapping, "folder", folder=str(folder))
    folder.rmdir()
    assert str(folder) in (runner.look(feed.id).error or "")
    assert scalar(engine, "select next_look > clock_timestamp() + interval '90 s' from feed")


def test_settings_that_cannot_be_used(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match="no folder"):
        entered(engine, mapping, "folder", folder=str(tmp_path / "nowhere"))
    with pytest.raises(Invalid, match="folder: give the whole path"):
        entered(engine, mapping, "folder", folder="here")
    with pytest.raises(Invalid, match="settle_s"):
        entered(engine, mapping, "folder", folder=str(tmp_path), settle_s=0)
    with pytest.raises(Invalid, match="surprise"):
        entered(engine, mapping, "folder", folder=str(tmp_path), surprise=1)


def test_files_are_taken_by_name(tmp_path: Path, mapping: dict[str, Any]) -> None:
    clock = Clock()
    source = FolderSource(
        FolderSettings(folder=tmp_path, settle_s=1), parse_mapping(mapping), clock=clock
    )
    for name in ("b.csv", "a.csv", "c.csv"):
        drop(tmp_path, name, csv_of([row(1)]))
    assert list(source.batches({})) == []
    clock.now += 2
    assert [one.origin[:5] for one in source.batches({})] == ["a.csv", "b.csv", "c.csv"]
