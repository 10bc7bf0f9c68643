"""A drop folder: whole files only, each once, what cannot be read put aside."""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.database import transaction
from app.errors import Invalid, NotFound
from app.feeds.base import FolderSettings
from app.feeds.folder import FolderSource
from app.services import feeds
from app.services.event_files import CsvFeed
from app.services.event_mapping import parse_mapping
from app.services.feed_run import Look, Runner
from app.services.feed_take import Taker
from app.services.feeds import Feed

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


@dataclass
class House:
    """A feed of a folder and who looks at it; time passes when told to."""

    engine: sa.Engine
    mapping: dict[str, Any]
    folder: Path
    runner: Runner
    clock: Clock
    number: int = 0

    def enter(self, **settings: Any) -> Feed:
        """Enter the feed; its files settle within a second unless it says otherwise."""
        feed = entered(
            self.engine, self.mapping, "folder",
            **{"folder": str(self.folder), "settle_s": 1, **settings},
        )  # fmt: skip
        self.number = feed.id
        return feed

    def drop(self, name: str, text: str) -> None:
        """Put a file into the folder."""
        drop(self.folder, name, text)

    def look(self, later: float = 0) -> Look:
        """Look at it, some seconds later."""
        self.clock.now += later
        return self.runner.look(self.number)

    def settled(self) -> Look:
        """Look at it until what lies there grows no more."""
        self.look()
        return self.look(later=2)


@pytest.fixture
def house(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], folder: Path, clock: Clock,
    tmp_path: Path,
) -> House:  # fmt: skip
    """A house without a feed yet."""
    runner = Runner(
        Taker(engine, tmp_path / "locate"),
        lambda feed: FolderSource(feed.settings, feed.mapping, batch=3, clock=clock),
    )
    return House(engine, mapping, folder, runner, clock)


def test_a_file_is_taken_when_it_grows_no_more(house: House) -> None:
    house.enter(settle_s=5)
    whole = csv_of([row(n) for n in range(1, 6)])
    path = house.folder / "one.csv"
    path.write_text(whole[:60])
    assert house.look().waiting == 1
    house.clock.now += 4
    path.write_text(whole)  # it grew: the waiting begins anew
    assert house.look().waiting == 1
    assert house.look(later=4.9).batches == 0
    assert stored(house.engine) == {}
    look = house.look(later=0.2)
    assert (look.batches, look.rows, look.new, look.waiting) == (2, 5, 5, 0)
    assert set(stored(house.engine)) == {f"A{n}" for n in range(1, 6)}
    assert sorted(os.listdir(house.folder)) == ["taken"]
    assert os.listdir(house.folder / "taken") == ["one.csv"]


def test_what_is_no_file_of_rows_is_left_alone(house: House, tmp_path: Path) -> None:
    house.enter()
    text = csv_of([row(1)])
    for name in (".hidden.csv", "a.csv.part", "b.tmp", "c.FILEPART"):
        (house.folder / name).write_text(text)
    (house.folder / "sub").mkdir()
    outside = tmp_path / "outside.csv"
    outside.write_text(text)
    (house.folder / "link.csv").symlink_to(outside)
    os.mkfifo(house.folder / "pipe.csv")
    for _ in range(3):
        look = house.look(later=100)
        assert (look.batches, look.waiting, look.error) == (0, 0, None)
    assert stored(house.engine) == {}


def test_a_marker_is_waited_for(house: House) -> None:
    house.enter(marker=".ok")
    house.drop("one.csv", csv_of([row(1)]))
    for _ in range(3):
        assert house.look(later=100).batches == 0
    (house.folder / "one.csv.ok").touch()
    house.look()
    assert house.look(later=100).new == 1
    assert sorted(os.listdir(house.folder)) == ["taken"]


def test_the_same_file_again_changes_nothing(house: House) -> None:
    house.enter()
    text = csv_of([row(1), row(2, kind="飞碟")])
    for again in range(2):
        house.drop("one.csv", text)
        look = house.settled()
        assert (look.batches, look.known) == (1 - again, again)
    assert sorted(os.listdir(house.folder / "taken")) == ["one-2.csv", "one.csv"]
    assert scalar(house.engine, "select count(*) from feed_dead") == 1
    assert scalar(house.engine, "select sum(rows) from feed_batch") == 2


def test_a_correction_changes_the_event_and_where_it_came_from(house: House) -> None:
    house.enter()
    for name, kind in (("one.csv", "盗窃"), ("two.csv", "火警")):
        house.drop(name, csv_of([row(1), row(2, kind=kind)]))
        house.settled()
    assert stored(house.engine) == {"A1": "theft", "A2": "fire"}
    with house.engine.connect() as connection:
        first = feeds.origin_of(connection, "toy", "alarms", "A1")
        second = feeds.origin_of(connection, "toy", "alarms", "A2")
        with pytest.raises(NotFound, match="A9"):
            feeds.origin_of(connection, "toy", "alarms", "A9")
    assert (first.origin, first.place) == ("one.csv, rows 2 to 3", "2")
    assert (second.origin, second.place) == ("two.csv, rows 2 to 3", "3")
    assert second.batch > first.batch


def test_a_file_that_cannot_be_read_is_waited_for_then_put_aside(house: House) -> None:
    house.enter(patience_s=60)
    whole = gzip.compress(csv_of([row(n) for n in range(50)]).encode())
    (house.folder / "half.csv.gz").write_bytes(whole[: len(whole) // 2])
    house.drop("good.csv", csv_of([row(1)]))
    look = house.settled()
    assert look.new == 1  # the other one is not held up
    assert "waited for" in (look.error or "")
    assert house.look(later=30).waiting == 1
    look = house.look(later=60)
    assert "put aside in failed/: half.csv.gz" in (look.error or "")
    reason = (house.folder / "failed" / "half.csv.gz.reason.txt").read_text()
    assert "half.csv.gz" in reason
    assert scalar(house.engine, "select failures from feed") >= 2
    # it goes on failing until somebody looked
    assert house.look().error
    (house.folder / "failed" / "half.csv.gz").unlink()
    assert house.look().error is None
    assert scalar(house.engine, "select failures from feed") == 0


def test_a_folder_that_is_gone_is_told(house: House) -> None:
    house.enter()
    house.folder.rmdir()
    assert str(house.folder) in (house.look().error or "")
    assert scalar(house.engine, "select next_look > clock_timestamp() + interval '90 s' from feed")


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


@pytest.mark.parametrize("taken_before", [1, 2], ids=["between", "behind"])
def test_a_file_written_anew_while_it_is_read_is_not_lost(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], folder: Path, clock: Clock,
    tmp_path: Path, taken_before: int,
) -> None:  # fmt: skip
    feed = entered(engine, mapping, "folder", folder=str(folder), settle_s=1)
    source = FolderSource(feed.settings, feed.mapping, batch=3, clock=clock)
    taker = Taker(engine, tmp_path / "locate")
    drop(folder, "day.csv", csv_of([row(n) for n in range(1, 7)]))
    assert list(source.batches({})) == []
    clock.now += 2
    found = source.batches({})
    for _ in range(taken_before):
        taker.take(feed, next(found))
    drop(folder, "day.csv", csv_of([row(n) for n in range(7, 9)]))
    assert list(found) == []
    assert os.listdir(folder) == ["day.csv"]
    assert list(source.batches({})) == []  # it has to settle again
    clock.now += 2
    for batch in source.batches({}):
        taker.take(feed, batch)
    assert set(stored(engine)) == {f"A{n}" for n in [*range(1, 3 * taken_before + 1), 7, 8]}
    assert os.listdir(folder / "taken") == ["day.csv"]


def test_names_that_are_no_text_hold_up_nobody(house: House) -> None:
    house.enter(patience_s=60)
    good, bad = (house.folder / os.fsdecode(name) for name in (b"\xb1\xa8.csv", b"\xb1\xa9.csv"))
    good.write_text(csv_of([row(1)]))
    bad.write_text("ref,kind\n")
    look = house.settled()
    assert look.new == 1
    assert "??.csv" in (look.error or "")
    assert scalar(house.engine, "select origin from feed_batch").startswith("??.csv")
    assert "put aside in failed/: ??.csv" in (house.look(later=100).error or "")
    assert scalar(house.engine, "select error from feed") == "put aside in failed/: ??.csv"


def test_a_file_that_breaks_in_its_middle_holds_up_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.enter(patience_s=60)
    parse = CsvFeed._parse

    def breaks(self: CsvFeed, piece: Any) -> Any:
        if self.path.name.startswith("a"):
            raise Invalid("the quotes do not fit") if "1" in self.path.name else ValueError("张三")
        return parse(self, piece)

    monkeypatch.setattr(CsvFeed, "_parse", breaks)
    for name in ("a1.csv", "a2.csv", "b.csv"):
        house.drop(name, csv_of([row(1)]))
    look = house.settled()
    assert look.new == 1
    assert "the quotes do not fit" in (look.error or "")
    assert "张三" not in (look.error or "")
    house.look(later=100)
    failed = sorted(os.listdir(house.folder / "failed"))
    assert failed == ["a1.csv", "a1.csv.reason.txt", "a2.csv", "a2.csv.reason.txt"]


def test_what_is_no_header_is_not_told(house: House) -> None:
    house.enter()
    house.drop("bare.csv", "A1,盗窃,张三,杭州\nA2,盗窃,李四,杭州\n")
    house.drop("bare2.csv", "A1,盗窃,13800138000,杭州\nA2,盗窃,,杭州\n")
    error = house.settled().error or ""
    assert "bare.csv has no column" in error
    assert "张三" not in error
    assert "138" not in error


def test_files_are_moved_into_folders_of_its_own_only(house: House, tmp_path: Path) -> None:
    house.enter(patience_s=0)
    elsewhere = tmp_path / "keys"
    elsewhere.mkdir()
    (house.folder / "failed").symlink_to(elsewhere)
    house.drop("authorized_keys", "no rows")
    assert "is a link" in (house.settled().error or "")
    assert os.listdir(elsewhere) == []
    (house.folder / "failed").unlink()
    # a link where the reason is to be written is no way out either
    (house.folder / "failed").mkdir()
    secret = tmp_path / "secret"
    secret.write_text("kept")
    (house.folder / "failed" / "authorized_keys.reason.txt").symlink_to(secret)
    house.look()
    assert secret.read_text() == "kept"


def test_the_same_file_is_read_again_with_a_mended_mapping(house: House) -> None:
    feed = house.enter()
    text = csv_of([row(1), row(2, kind="纠纷")])
    mended = {"words": {"盗窃": "fire", "纠纷": "dispute"}}
    for wanted in ({"A1": "theft"}, {"A1": "fire", "A2": "dispute"}):
        house.drop("one.csv", text)
        house.settled()
        assert stored(house.engine) == wanted
        with transaction(house.engine) as connection:
            feeds.mend(connection, feed, {**house.mapping, "kinds": mended})
