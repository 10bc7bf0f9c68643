"""Rows fetched over HTTP from a real server: pages, cursors, tags, failures."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from app.database import transaction
from app.errors import Invalid
from app.feeds.pull import PullSource
from app.services import feeds
from app.services.feed_run import Runner
from app.services.feed_take import Taker

from .feed_house import entered, row, scalar, stored

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Site:
    """A server that answers by a function, and what it was asked."""

    base: str = ""
    answer: Callable[[str, dict[str, str], dict[str, str]], Answer] = lambda *_: (404, {}, b"")
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    one = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {k: v[0] for k, v in parse_qs(parts.query).items()}
            headers = {k.lower(): v for k, v in self.headers.items()}
            one.asked.append((self.path, headers))
            status, more, body = one.answer(parts.path, query, headers)
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    one.base = f"http://127.0.0.1:{server.server_port}"
    yield one
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def waits() -> list[float]:
    """Pauses between tries; nobody really waits."""
    return []


@pytest.fixture
def runner(engine: sa.Engine, tmp_path: Path, waits: list[float]) -> Runner:
    return Runner(
        Taker(engine, tmp_path / "locate"),
        lambda feed: PullSource(
            feed.settings, feed.mapping, sleep=waits.append, jitter=lambda: 1.0
        ),
    )


def page(rows: list[dict[str, Any]], **more: Any) -> bytes:
    return json.dumps({"items": rows} | more, ensure_ascii=False).encode()


JSON = {"Content-Type": "application/json"}


def test_pages_by_a_token_of_the_answer(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], site: Site, runner: Runner
) -> None:
    rows = [row(n) for n in range(10)]

    def answer(_: str, query: dict[str, str], __: dict[str, str]) -> Answer:
        at = int(query.get("after", 0))
        assert query["size"] == "4"
        more = {"next": str(at + 4)} if at + 4 < len(rows) else {}
        return 200, JSON, page(rows[at : at + 4], **more)

    site.answer = answer
    feed = entered(engine, mapping, "pull", url=f"{site.base}/rows?size=4", records="items",
                   cursor="answer:next", cursor_param="after")  # fmt: skip
    look = runner.look(feed.id)
    assert (look.batches, look.new, look.error) == (3, 10, None)
    assert len(site.asked) == 3
    # the last page is asked again, and what was added to it is new
    assert runner.look(feed.id).batches == 0
    rows.append(row(10))
    look = runner.look(feed.id)
    assert (look.batches, look.new) == (1, 1)
    rows += [row(n) for n in range(11, 16)]
    assert runner.look(feed.id).new == 5
    assert set(stored(engine)) == {f"A{n}" for n in range(16)}


def test_the_highest_value_of_a_column_is_the_cursor(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], site: Site, runner: Runner
) -> None:
    rows = [row(n) | {"seq": n} for n in range(1, 8)]

    def answer(_: str, query: dict[str, str], __: dict[str, str]) -> Answer:
        found = [one for one in rows if one["seq"] > int(query.get("since", 0))]
        return 200, JSON, json.dumps(found[:3]).encode()

    site.answer = answer
    feed = entered(engine, mapping, "pull", url=f"{site.base}/rows", cursor="row:seq",
                   cursor_param="since")  # fmt: skip
    assert runner.look(feed.id).new == 7
    assert scalar(engine, "select cursor ->> 'value' from feed") == "7"
    rows[0] = row(1, kind="火警") | {"seq": 8}  # a correction comes with a new number
    look = runner.look(feed.id)
    assert (look.new, look.updated) == (0, 1)
    assert stored(engine)["A1"] == "fire"


def test_links_and_ndjson(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], site: Site, runner: Runner
) -> None:
    def answer(path: str, query: dict[str, str], _: dict[str, str]) -> Answer:
        at = int(query.get("page", 1))
        text = "".join(json.dumps(row(n)) + "\n" for n in range(at * 2, at * 2 + 2))
        headers = {"Content-Type": "application/x-ndjson; charset=utf-8"}
        if at < 3:
            headers["Link"] = f'<{path}?page={at + 1}>; rel="next"'
        return 200, headers, text.encode() + (b"no json\n" if at == 2 else b"")

    site.answer = answer
    feed = entered(engine, mapping, "pull", url=f"{site.base}/rows", cursor="link")
    look = runner.look(feed.id)
    assert (look.batches, look.new, look.rejected) == (3, 6, 1)
    assert runner.look(feed.id).batches == 0


def test_a_key_in_the_address_of_a_page_is_not_told(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], site: Site, runner: Runner
) -> None:
    def answer(path: str, query: dict[str, str], _: dict[str, str]) -> Answer:
        at = int(query.get("page", 1))
        more = {"Link": f'<{path}?key=s3cret&page={at + 1}>; rel="next"'} if at < 3 else {}
        return 200, JSON | more, json.dumps([row(at)]).encode()

    site.answer = answer
    feed = entered(engine, mapping, "pull", url=f"{site.base}/rows?key=s3cret", cursor="link")
    assert runner.look(feed.id).new == 3
    told = scalar(engine, "select array_agg(origin order by id) from feed_batch")
    assert told == [f"{site.base}/rows page {n}" for n in (1, 2, 3)]
    site.answer = lambda *_: (500, JSON, b"")
    assert "s3cret" not in (runner.look(feed.id).error or "")


def test_a_link_to_another_server_is_not_followed(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], site: Site, runner: Runner
) -> None:
    more = {"links": [{"rel": "next", "href": "http://127.0.0.1:1/steal"}]}
    site.answer = lambda *_: (200, JSON, page([row(1)], **more))
    feed = entered(engine, mapping, "pull", url=f"{site.base}/rows", records="items", cursor="link")
    assert "another server" in (runner.look(feed.id).error or "")
    assert stored(engine) == {}


def test_a_redirect_is_not_followed(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], site: Site, runner: Runner
) -> None:
    site.answer = lambda *_: (302, {"Location": "/elsewhere"}, b"")
    feed = entered(engine, mapping, "pull", url=f"{site.base}/rows?key=secret")
    error = runner.look(feed.id).error or ""
    assert "answered 302" in error
    assert "secret" not in error
    assert len(site.asked) == 1


@pytest.mark.parametrize("header", ["etag", "last-modified"])
def test_what_did_not_change_is_not_sent_again(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], site: Site, runner: Runner, header: str
) -> None:
    tag = {"v": "1"}
    asks = {"etag": "if-none-match", "last-modified": "if-modified-since"}[header]

    def answer(_: str, __: dict[str, str], headers: dict[str, str]) -> Answer:
        if headers.get(asks) == tag["v"]:
            return 304, {}, b""
        kind = "盗窃" if tag["v"] in ("1", "3") else "火警"
        return 200, JSON | {header: tag["v"]}, json.dumps([row(1, kind=kind)]).encode()

    site.answer = answer
    feed = entered(engine, mapping, "pull", url=f"{site.base}/rows")
    assert runner.look(feed.id).new == 1
    assert runner.look(feed.id).batches == 0
    assert site.asked[-1][1][asks] == "1"
    # changed and changed back: the same content as at first is news again
    for value, kind in (("2", "fire"), ("3", "theft")):
        tag["v"] = value
        assert runner.look(feed.id).updated == 1
        assert stored(engine) == {"A1": kind}


def test_all_is_fetched_again_with_a_mended_mapping(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], site: Site, runner: Runner
) -> None:
    def answer(_: str, __: dict[str, str], headers: dict[str, str]) -> Answer:
        if headers.get("if-none-match") == "1":
            return 304, {}, b""
        return 200, JSON | {"etag": "1"}, json.dumps([row(1), row(2, kind="纠纷")]).encode()

    site.answer = answer
    feed = entered(engine, mapping, "pull", url=f"{site.base}/rows")
    runner.look(feed.id)
    with transaction(engine) as connection:
        feeds.mend(
            connection, feed, {**mapping, "kinds": {"words": {"盗窃": "fire", "纠纷": "dispute"}}}
        )
    look = runner.look(feed.id)
    assert (look.new, look.updated) == (1, 1)
    assert stored(engine) == {"A1": "fire", "A2": "dispute"}
    assert runner.look(feed.id).batches == 0


def test_without_a_tag_the_same_content_is_no_arrival(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], site: Site, runner: Runner
) -> None:
    site.answer = lambda *_: (200, JSON, json.dumps([row(1), row(2, kind="飞碟")]).encode())
    feed = entered(engine, mapping, "pull", url=f"{site.base}/rows")
    assert runner.look(feed.id).new == 1
    for _ in range(2):
        assert runner.look(feed.id).batches == 0
    assert scalar(engine, "select count(*) from feed_batch") == 1


def test_only_what_is_packed_once_is_read(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], site: Site, runner: Runner
) -> None:
    once = gzip.compress(json.dumps([row(1)]).encode())
    feed = entered(engine, mapping, "pull", url=f"{site.base}/rows")
    for body, packed in ((gzip.compress(once), "gzip, gzip"), (zlib.compress(b"[]"), "deflate")):
        site.answer = lambda *_, b=body, p=packed: (200, JSON | {"Content-Encoding": p}, b)
        assert "packed as" in (runner.look(feed.id).error or "")
    site.answer = lambda *_: (200, JSON | {"Content-Encoding": "gzip"}, once)
    assert runner.look(feed.id).new == 1


def test_broken_lines_are_tried_again_later_each_time(
    engine: sa.Engine,
    pack: str,
    mapping: dict[str, Any],
    site: Site,
    runner: Runner,
    waits: list[float],
) -> None:
    script = [(503, {}), (429, {"Retry-After": "7"}), (500, {}), (200, JSON)]

    def answer(*_: Any) -> Answer:
        status, headers = script[min(len(site.asked), 4) - 1]
        return status, headers, json.dumps([row(1)]).encode()

    site.answer = answer
    feed = entered(engine, mapping, "pull", url=f"{site.base}/rows", tries=4)
    assert runner.look(feed.id).new == 1
    assert waits == [0.5, 7.0, 2.0]


def test_a_server_that_fails_is_told_and_left_alone_for_longer(
    engine: sa.Engine,
    pack: str,
    mapping: dict[str, Any],
    site: Site,
    runner: Runner,
    waits: list[float],
) -> None:
    site.answer = lambda *_: (503, {}, b"")
    feed = entered(engine, mapping, "pull", url=f"{site.base}/rows", tries=2, every_s=100)
    for failures in (1, 2):
        assert "answered 503, 2 times" in (runner.look(feed.id).error or "")
        assert scalar(engine, "select failures from feed") == failures
        wait = scalar(engine, "select extract(epoch from next_look - clock_timestamp()) from feed")
        assert 100 * 2**failures - 60 < wait <= 100 * 2**failures
    assert len(waits) == 2
    site.answer = lambda *_: (200, JSON, b"[]")
    assert runner.look(feed.id).error is None
    assert scalar(engine, "select failures from feed") == 0


def test_nobody_there(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], runner: Runner, waits: list[float]
) -> None:
    feed = entered(engine, mapping, "pull", url="http://127.0.0.1:1/rows", tries=3)
    assert "does not answer (ConnectError), 3 times" in (runner.look(feed.id).error or "")
    assert waits == [0.5, 1.0]


@pytest.mark.parametrize(
    "body", [b"{}", b"<html>", b'{"items": 3}', b"", b'{"items": [}'],
    ids=["object", "html", "number", "empty", "broken"],
)  # fmt: skip
def test_what_is_no_list_of_rows_fails(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], site: Site, runner: Runner, body: bytes
) -> None:
    site.answer = lambda *_: (200, JSON, body)
    feed = entered(engine, mapping, "pull", url=f"{site.base}/rows", records="items")
    assert runner.look(feed.id).error
    assert scalar(engine, "select count(*) from feed_batch") == 0


def test_a_token_goes_with_the_question_and_into_no_message(
    engine: sa.Engine,
    pack: str,
    mapping: dict[str, Any],
    site: Site,
    runner: Runner,
    tmp_path: Path,
) -> None:
    file = tmp_path / "token"
    file.write_text("hush-hush\n")
    site.answer = lambda *_: (403, {}, b"")
    feed = entered(engine, mapping, "pull", url=f"{site.base}/rows", token_file=str(file))
    error = runner.look(feed.id).error or ""
    assert "refuses us (403)" in error
    assert site.asked[0][1]["authorization"] == "Bearer hush-hush"
    assert "hush" not in error
    assert "hush" not in str(scalar(engine, "select settings::text from feed"))
    file.unlink()
    assert "cannot be read" in (runner.look(feed.id).error or "")


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"url": "ftp://host/"}, "http"), ({"url": "http://me:pw@host/"}, "without user"),
        ({"url": "http://host/", "token_file": "/t"}, "https:// only"),
        ({"url": "http://host/", "cursor": "newest"}, "cursor"), ({}, "url"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], settings: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(Invalid, match=wrong) as caught:
        entered(engine, mapping, "pull", **settings)
    assert "pw" not in caught.value.message
