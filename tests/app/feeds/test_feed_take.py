"""Batches of feeds: all of one with its cursor or nothing, jurisdictions, dead letters, replay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.database import claim, make_web_engine, transaction
from app.errors import Conflict, Invalid, NotFound
from app.feeds.base import Batch, Cursor
from app.feeds.records import chunk_of, lines_of, records_of
from app.services import feed_dead, feeds
from app.services.event_mapping import parse_mapping
from app.services.feed_take import MOST_DEAD, Taken, Taker, bury
from app.services.feeds import Feed

from .feed_house import entered, row, scalar, stored


@pytest.fixture
def taker(engine: sa.Engine, tmp_path: Path) -> Taker:
    return Taker(engine, tmp_path / "locate")


def batch(
    feed: Feed, rows: list[Any], key: str = "k1", cursor: Cursor | None = None,
    before: Cursor | None = None,
) -> Batch:  # fmt: skip
    """A batch of records."""
    return Batch(
        key=key, origin=f"request {key}", chunk=chunk_of(rows, feed.mapping),
        point=feed.mapping.columns.point, cursor=cursor, before=before,
    )  # fmt: skip


def send(taker: Taker, feed: Feed, *rows: Any, key: str = "k1") -> Taken:
    return taker.take(feed, batch(feed, list(rows), key))


def test_rows_dead_letters_cursor_and_origin_come_together(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], taker: Taker
) -> None:
    feed = entered(engine, mapping, "push")
    rows = [row(1), row(2, kind="飞碟"), row(3, lat=None), ValueError("no JSON"), row(4)]
    done = taker.take(feed, batch(feed, rows, cursor={"value": 7}, before={}))
    assert (done.rows, done.new, done.rejected, done.unchanged) == (5, 2, 3, 0)
    assert done.reasons == {"unknown_kind": 1, "half_point": 1, "json": 1}
    assert set(stored(engine)) == {"A1", "A4"}
    assert scalar(engine, "select cursor ->> 'value' from feed") == "7"
    assert scalar(engine, "select array_agg(place order by event_id) from feed_row") == ["1", "5"]
    with engine.connect() as connection:
        found = feed_dead.letters(connection, feed.id)
    assert [(one.place, one.reason, one.field) for one in found] == [
        ("4", "json", ""), ("3", "half_point", "lat"), ("2", "unknown_kind", "kind"),
    ]  # fmt: skip
    assert found[0].row is None
    assert found[2].row == row(2, kind="飞碟")


def test_a_key_is_taken_once(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], taker: Taker
) -> None:
    feed = entered(engine, mapping, "push")
    first = send(taker, feed, row(1), row(2, kind="飞碟"))
    again = send(taker, feed, row(9))
    assert again.known
    assert again.batch == first.batch
    assert set(stored(engine)) == {"A1"}
    assert scalar(engine, "select count(*) from feed_dead") == 1


def test_a_cursor_moved_by_another_refuses_the_batch(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], taker: Taker
) -> None:
    feed = entered(engine, mapping, "push")
    taker.take(feed, batch(feed, [row(1)], "a", {"value": 1}, {}))
    with pytest.raises(Conflict, match="somebody else"):
        taker.take(feed, batch(feed, [row(2)], "b", {"value": 2}, {}))
    assert set(stored(engine)) == {"A1"}
    assert scalar(engine, "select cursor ->> 'value' from feed") == "1"


def test_removed_and_paused_feeds_take_nothing(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], taker: Taker
) -> None:
    feed = entered(engine, mapping, "push")
    send(taker, feed, row(1), row(2, kind="飞碟"))
    with transaction(engine) as connection:
        feeds.pause(connection, feed, True)
    with pytest.raises(Conflict, match="paused"):
        send(taker, feed, row(3), key="k2")
    with transaction(engine) as connection:
        feeds.pause(connection, feed, False)
        feeds.remove(connection, feed)
    with pytest.raises(Conflict, match="removed"):
        send(taker, feed, row(3), key="k2")
    with engine.connect() as connection:
        assert feeds.origin_of(connection, "toy", "alarms", "A1").place == "1"
        with pytest.raises(NotFound, match="there are: none"):
            feeds.called(connection, "alarms")
    assert set(stored(engine)) == {"A1"}
    assert scalar(engine, "select count(*) from feed_dead") == 0
    # the name is free again, and its source goes on
    later = entered(engine, mapping, "push")
    assert send(taker, later, row(1)).unchanged == 1


def test_a_feed_stores_nothing_outside_its_jurisdiction(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], taker: Taker
) -> None:
    feed = entered(engine, mapping, "push", code="330105")
    done = send(
        taker, feed,
        row(1, lon=120.35), row(2), row(3, lon=None, lat=None, code="330102001"),
        row(4, lon=None, lat=None, code="330105002"), row(5, lon=None, lat=None, code="3301"),
        row(6, lon=None, lat=None),
    )  # fmt: skip
    assert done.reasons == {"elsewhere": 3}
    assert set(stored(engine)) == {"A1", "A4", "A6"}
    with pytest.raises(NotFound, match="no unit 330199"):
        entered(engine, mapping, "push", name="other", code="330199")


def test_what_looks_like_a_persons_is_kept_nowhere(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], taker: Taker
) -> None:
    feed = entered(engine, mapping, "push")
    send(
        taker, feed,
        row(1, address="电话13800138000"), row(2, kind="浙A12345"), row(3, kind="飞碟", code="13800138000"),
        row(4, kind="飞碟", note="13800138000", caller="13800138000"),
    )  # fmt: skip
    with engine.connect() as connection:
        found = feed_dead.letters(connection, feed.id)
        everything = json.dumps(
            [list(map(str, one)) for one in connection.execute(sa.text("select * from feed_dead"))],
            ensure_ascii=False,
        )
    assert "13800138000" not in everything
    assert "浙A12345" not in everything
    assert [one.row is None for one in found] == [False, True, True, True]
    assert "note" not in (found[0].row or {})


def test_the_same_dead_letter_is_kept_once_while_it_is_open(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], taker: Taker
) -> None:
    feed = entered(engine, mapping, "push")
    for key in ("a", "b"):
        send(taker, feed, row(1, kind="飞碟"), ValueError("no JSON"), key=key)
    assert scalar(engine, "select count(*) from feed_dead where row is not null") == 1
    assert scalar(engine, "select count(*) from feed_dead where row is null") == 2


def test_too_many_dead_letters_are_counted(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], taker: Taker
) -> None:
    feed = entered(engine, mapping, "push")
    send(taker, feed, row(0, kind="飞碟"))
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "insert into feed_dead (feed_id, batch_id, place, field, value, reason, said, digest) "
                "select feed_id, batch_id, n, '', '', 'json', '', n from feed_dead, "
                "generate_series(1, :most) n"
            ),
            {"most": MOST_DEAD - 3},
        )
    done = send(taker, feed, *(row(n, kind="飞碟") for n in range(1, 6)), key="k2")
    assert done.rejected == 5
    assert scalar(engine, "select unkept from feed_batch order by id desc limit 1") == 3
    assert scalar(engine, "select count(*) from feed_dead") == MOST_DEAD
    with engine.connect() as connection:
        assert bury(connection, feed, done.batch, batch(feed, []), []) == (0, 0)


def test_replay_after_the_mapping_was_mended(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], taker: Taker
) -> None:
    feed = entered(engine, mapping, "push")
    send(taker, feed, row(1), row(2, kind="纠纷"), row(3, kind="纠纷"), row(4, kind="飞碟"),
         ValueError("no JSON"))  # fmt: skip
    assert feed_dead.replay(taker, feed).failed == 3
    mended = {**mapping, "kinds": {"words": {"盗窃": "theft", "火警": "fire", "纠纷": "dispute"}}}
    with transaction(engine) as connection:
        feed = feeds.mend(connection, feed, mended)
    done = feed_dead.replay(taker, feed)
    assert (done.stored, done.superseded, done.failed, done.unkept) == (2, 0, 1, 1)
    assert stored(engine) == {"A1": "theft", "A2": "dispute", "A3": "dispute"}
    assert feed_dead.replay(taker, feed).stored == 0
    with engine.connect() as connection:
        left = feed_dead.letters(connection, feed.id)
        settled = feed_dead.letters(connection, feed.id, state="replayed")
        origin = feeds.origin_of(connection, "toy", "alarms", "A2")
    assert [one.reason for one in left] == ["json", "unknown_kind"]
    assert [one.row for one in settled] == [None, None]
    assert "replay" in origin.origin
    assert origin.place == "2"


def test_replay_never_overwrites_what_came_later(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], taker: Taker
) -> None:
    feed = entered(engine, mapping, "push")
    send(taker, feed, row(1, kind="纠纷"), row(2, kind="纠纷"), key="a")
    send(taker, feed, row(2, kind="纠纷", lon=120.15), key="b")  # the newer of two letters
    send(taker, feed, row(1, kind="火警"), key="c")  # came well meanwhile
    mended = {**mapping, "kinds": {"words": {"火警": "fire", "纠纷": "dispute"}}}
    with transaction(engine) as connection:
        feed = feeds.mend(connection, feed, mended)
    done = feed_dead.replay(taker, feed)
    assert (done.stored, done.superseded, done.failed) == (1, 2, 0)
    assert stored(engine) == {"A1": "fire", "A2": "dispute"}
    assert scalar(engine, "select st_x(geom) from event where reference = 'A2'") == 120.15


def test_replay_of_an_older_letter_corrects_an_older_event(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], taker: Taker
) -> None:
    feed = entered(engine, mapping, "push")
    send(taker, feed, row(1), key="a")
    send(taker, feed, row(1, kind="纠纷"), key="b")
    mended = {**mapping, "kinds": {"words": {"盗窃": "theft", "纠纷": "dispute"}}}
    with transaction(engine) as connection:
        feed = feeds.mend(connection, feed, mended)
    assert feed_dead.replay(taker, feed).stored == 1
    assert stored(engine) == {"A1": "dispute"}


def test_a_mapping_that_needs_more_than_was_kept(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], taker: Taker
) -> None:
    feed = entered(engine, mapping, "push")
    send(taker, feed, {**row(1, kind="飞碟"), "typ": "盗窃"})
    mended = {**mapping, "columns": {**mapping["columns"], "kind": "typ"}}
    with transaction(engine) as connection:
        feed = feeds.mend(connection, feed, mended)
    done = feed_dead.replay(taker, feed)
    assert (done.stored, done.failed) == (0, 1)
    with engine.connect() as connection:
        assert feed_dead.letters(connection, feed.id)[0].reason == "missing_kind"


def test_real_and_simulated_events_do_not_mix(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], taker: Taker
) -> None:
    feed = entered(engine, mapping, "push")
    send(taker, feed, row(1))
    with transaction(engine) as connection, pytest.raises(Conflict, match="real"):
        feeds.mend(connection, feed, {**mapping, "simulated": True})


def test_feeds_that_cannot_be_entered(
    engine: sa.Engine, pack: str, mapping: dict[str, Any]
) -> None:
    entered(engine, mapping, "push")
    with pytest.raises(Conflict, match="already"):
        entered(engine, mapping, "push")
    with pytest.raises(Invalid, match="no adapter 'mail'"):
        entered(engine, mapping, "mail", name="b")
    with pytest.raises(Invalid, match="source"):
        entered(engine, mapping, "push", name="No Name")
    with pytest.raises(Invalid, match="about a person"):
        entered(engine, {**mapping, "columns": {**mapping["columns"], "caller": "报警人"}}, "push",
                name="b")  # fmt: skip


def test_only_ones_own_feeds_are_seen(
    engine: sa.Engine, db_url: str, pack: str, mapping: dict[str, Any], taker: Taker
) -> None:
    for name, code, lon in (
        ("mine", "330102", 120.05),
        ("theirs", "330105", 120.35),
        ("all", "", 120.05),
    ):
        feed = entered(engine, mapping, "push", name=name, code=code)
        send(taker, feed, row(1, lon=lon), row(2, kind="飞碟"))
    web = make_web_engine(db_url)
    counts = {}
    for prefixes in (("330102",), ("330105001",), ("3301",), None, ()):
        with web.begin() as connection:
            claim(connection, prefixes)
            counts[prefixes] = [
                connection.execute(sa.text(f"select count(*) from {table}")).scalar_one()
                for table in ("feed", "feed_batch", "feed_dead")
            ]
    assert counts == {
        ("330102",): [1, 1, 1], ("330105001",): [0, 0, 0], ("3301",): [2, 2, 2], None: [3, 3, 3],
        (): [0, 0, 0],
    }  # fmt: skip
    for text in (
        "select settings from feed", "select cursor from feed", "select * from feed_row",
        "update feed set paused = true", "delete from feed_dead",
    ):  # fmt: skip
        with (
            pytest.raises(sa.exc.ProgrammingError, match="permission denied"),
            web.begin() as connection,
        ):
            connection.exec_driver_sql(text)
    web.dispose()


def test_numbers_beyond_64_bits_keep_their_digits(mapping: dict[str, Any]) -> None:
    code = "330102001001001" + "0" * 12
    chosen = parse_mapping(mapping)
    for text in (f'{{"code": {code}}}', f'{{"code": "{code}"}}'):
        chunk = chunk_of(lines_of(text.encode()), chosen)
        assert chunk.table["code"].to_pylist() == [code]
    assert records_of(f'{{"a": {{"b": [{{"code": {code}}}]}}}}'.encode(), "a.b") == [{"code": code}]


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[1", b'{"a": 1}', b"3", b'{"rows": {}}', b"[" * 10_000, b"\xff", b"[NaN]",
             rb'[{"ref": "\ud800", "n": 12345678901234567890}]'],
    ids=["empty", "brace", "cut", "object", "number", "rows", "deep", "bytes", "nan", "half"],
)  # fmt: skip
def test_documents_that_hold_no_rows(text: bytes) -> None:
    with pytest.raises(Invalid):
        records_of(text, "rows" if text[:1] == b"{" else "")


def test_lines_that_are_no_objects_are_broken_rows(mapping: dict[str, Any]) -> None:
    text = b'{"ref": "a"}\n\n[1]\nnull\n{"ref": 1e999}\n{"ref": \n"text"\n{"ref": "b"}\n'
    text += rb'{"ref": "\ud800", "n": 12345678901234567890}'
    chunk = chunk_of(lines_of(text), parse_mapping(mapping))
    assert chunk.lines.tolist() == [1, 7]
    assert [one.line for one in chunk.broken] == [2, 3, 4, 5, 6, 8]


def test_lines_are_counted_while_they_are_read() -> None:
    assert len(lines_of(b"x\n\n" * 3, 3)) == 3
    with pytest.raises(Invalid, match="more than 2 lines"):
        lines_of(b"x\n" * 3, 2)
