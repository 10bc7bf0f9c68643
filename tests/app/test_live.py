"""What happens now: nothing lost, nothing doubled, whatever breaks; to each what is its own."""

from __future__ import annotations

import contextlib
import json
import random
import select
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa
import uvicorn

from app.database import plain_url
from app.main import create_app
from app.services import live

from .border_house import DEEP, MINE, THEIRS, House, house
from .conftest import until

OFFICER = "border_officer"
RECONNECTS = 1_000
LISTENERS = 4


@pytest.fixture(scope="module")
def home(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    yield from house(cluster, template, tmp_path_factory.mktemp("live"))


@dataclass
class Served:
    """A server of its own, in a thread."""

    app: Any
    port: int


@pytest.fixture(scope="module")
def served(home: House) -> Iterator[Served]:
    app = create_app(home.settings())
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=5)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: bool(server.started and server.servers))
    yield Served(app, server.servers[0].sockets[0].getsockname()[1])
    app.state.live.close()
    server.should_exit = True
    thread.join()


@dataclass
class Heard:
    """One connection to the stream."""

    connection: socket.socket
    rest: bytes = b""
    events: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    ended: bool = False

    def more(self, seconds: float) -> bool:
        """Take in what comes within some time; whether anything did."""
        if self.ended or not select.select([self.connection], [], [], seconds)[0]:
            return False
        try:
            body = self.connection.recv(65536)
        except ConnectionError:
            body = b""
        self.ended = not body
        *whole, self.rest = (self.rest + body).split(b"\n\n")
        for block in whole:
            named = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line[:8])
            if b"id" in named and b"data" in named:
                self.events.append(
                    (int(named[b"id"]), named[b"event"].decode(), json.loads(named[b"data"]))
                )
        return not self.ended


def listen(served: Served, headers: dict[str, str], last: int | None) -> Heard:
    connection = socket.create_connection(("127.0.0.1", served.port))
    lines = ["GET /api/live HTTP/1.1", f"Host: 127.0.0.1:{served.port}",
             "Accept: text/event-stream", *(f"{k}: {v}" for k, v in headers.items())]  # fmt: skip
    if last is not None:
        lines.append(f"Last-Event-ID: {last}")
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return Heard(connection)


class Writers:
    """Threads that write events, with transactions that end late, or never."""

    def __init__(self, url: str, total: int) -> None:
        self.url, self.total = plain_url(url), total
        self.written: list[list[int]] = [[] for _ in range(4)]
        self.threads = [threading.Thread(target=self._write, args=(n,)) for n in range(4)]

    def __enter__(self) -> Writers:
        for one in self.threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.threads:
            one.join()

    def _write(self, n: int) -> None:
        dice = random.Random(n)
        connection = psycopg2.connect(self.url, options="-c search_path=wusetu,public")
        for k in range(self.total // 4):
            number = 1_000_000 * n + k
            with connection.cursor() as cursor:
                for part in range(dice.randint(1, 2)):
                    sides = dice.choice([None, [MINE], [MINE, THEIRS], [THEIRS]])
                    cursor.execute(
                        "insert into live_event (topic, sides, payload) values (%s, %s, %s)",
                        ("zone", sides, json.dumps({"number": 10 * number + part})),
                    )
                time.sleep(dice.choice([0, 0, 0.002, 0.02]))
                if dice.random() < 0.1:
                    connection.rollback()
                    continue
            connection.commit()
        connection.close()


class Listener:
    """One that hears, is cut off and comes back with the number it heard last."""

    def __init__(self, home: House, served: Served, last: int, seed: int) -> None:
        self.home, self.served, self.last, self.seed = home, served, last, seed
        self.headers = home.as_(OFFICER, MINE)
        self.seen: list[tuple[int, Any]] = []

    def take(self, one: Heard) -> None:
        for number, topic, data in one.events:
            if topic != "hello":
                self.seen.append((number, data["number"]))
        self.last = max([self.last, *(number for number, _, _ in one.events)])
        one.events.clear()

    def reconnect(self) -> None:
        """Come back again and again."""
        dice = random.Random(self.seed)
        for n in range(RECONNECTS // LISTENERS):
            if self.seed == 0 and n % 60 == 30:  # announcements stop for a while, too
                with self.home.engine.begin() as connection:
                    connection.exec_driver_sql(
                        "select pg_terminate_backend(pid) from pg_stat_activity "
                        "where application_name = 'wusetu run watch' "
                        "and datname = current_database()"
                    )
            one = listen(self.served, self.headers, self.last)
            wanted = dice.randint(0, 3)
            # cut while it answers, after its greeting, or after some events
            while len(one.events) < wanted and one.more(0.03):
                pass
            self.take(one)
            if dice.random() < 0.5:  # a lost line says no good-bye
                one.connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
                )
            one.connection.close()

    def catch_up(self, newest: int) -> None:
        """Hear the rest."""
        one = listen(self.served, self.headers, self.last)
        while self.last < newest:
            assert one.more(30)
            self.take(one)
        one.connection.close()


def test_nothing_is_lost_or_doubled_over_a_thousand_reconnects(home: House, served: Served) -> None:
    with home.engine.connect() as connection:
        first = live.newest(connection)
    listeners = [Listener(home, served, first, seed) for seed in range(LISTENERS)]
    with Writers(home.url, 3_000), ThreadPoolExecutor(LISTENERS) as threads:
        for one in [threads.submit(listener.reconnect) for listener in listeners]:
            one.result()
    with home.engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "select id, (payload ->> 'number')::bigint as number, sides from live_event "
                "where id > :first order by id"
            ),
            {"first": first},
        ).all()
    # the numbers have no gaps that a late transaction could fill
    whole = [(row.id, row.number) for row in rows if row.sides is None or MINE in row.sides]
    assert len(whole) > 1_500
    for listener in listeners:
        listener.catch_up(whole[-1][0])
        assert [number for number, _ in listener.seen] == [number for number, _ in whole]
        assert listener.seen == whole
    until(lambda: len(served.app.state.live) == 0)  # no stream is left open


def test_a_late_transaction_is_not_skipped(home: House) -> None:
    """Numbers come with the commit: what began first and ended last comes last."""
    with home.engine.connect() as early, home.engine.connect() as late:
        start = live.newest(early)
        early.rollback()
        live.tell(early, "zone", [MINE], {"which": "early"})
        live.tell(late, "zone", [MINE], {"which": "late"})
        late.commit()
        seen = live.events_after(late, start, ["zone"])
        assert [one.payload["which"] for one in seen] == ["late"]
        late.rollback()
        early.commit()
        rest = live.events_after(late, seen[-1].id, ["zone"])
        assert [one.payload["which"] for one in rest] == ["early"]


def test_each_hears_its_own(home: House, served: Served) -> None:
    desks = {
        "mine": home.as_(OFFICER, MINE), "theirs": home.as_(OFFICER, THEIRS),
        "deep": home.as_(OFFICER, DEEP), "all": home.as_("admin", None),
        "viewer": home.as_("viewer", MINE), "grid": home.as_("grid_worker", MINE),
    }  # fmt: skip
    with contextlib.ExitStack() as stack:
        heard = {}
        for name, headers in desks.items():
            heard[name] = listen(served, headers, None)
            stack.enter_context(contextlib.closing(heard[name].connection))
            while not heard[name].events:
                assert heard[name].more(30)
        with home.engine.begin() as connection:
            for topic, sides, word in (
                ("zone", [MINE], "m"), ("zone", [THEIRS], "t"), ("check", [MINE, THEIRS], "both"),
                ("task", [DEEP], "d"), ("run", None, "end"),
            ):  # fmt: skip
                live.tell(connection, topic, sides, {"word": word})
        got = {}
        for name, one in heard.items():
            while one.events[-1][2].get("word") != "end":
                assert one.more(30)
            got[name] = [data["word"] for _, topic, data in one.events if topic != "hello"]
    assert got == {
        "mine": ["m", "both", "end"], "theirs": ["t", "both", "end"], "deep": ["end"],
        "all": ["m", "t", "both", "d", "end"], "viewer": ["end"], "grid": ["d", "end"],
    }  # fmt: skip


def test_a_stream_ends_with_its_account(home: House, served: Served) -> None:
    until(lambda: served.app.state.live.live)
    one = listen(served, home.as_("dispatcher", THEIRS), None)
    while not one.events:
        assert one.more(30)
    with home.engine.begin() as connection:
        connection.execute(
            sa.text("update account set disabled_at = now() where id = :id"),
            {"id": home.ids["dispatcher", THEIRS]},
        )
    while one.more(30):
        pass
    assert one.ended
    one.connection.close()
    again = listen(served, home.as_("dispatcher", THEIRS), 0)
    while b"\r\n" not in again.rest:
        assert again.more(30)
    assert b" 401 " in again.rest.split(b"\r\n")[0]
    again.connection.close()


def test_odd_numbers_and_topics_are_refused(home: House, served: Served) -> None:
    import httpx

    base = f"http://127.0.0.1:{served.port}/api/live"
    headers = home.as_(OFFICER, MINE)
    for query, more in (("?topics=all", {}), ("?last=-1", {}), ("", {"Last-Event-ID": "x"}),
                        ("", {"Last-Event-ID": "9" * 30}), ("?topics=", {"Last-Event-ID": "٣"})):  # fmt: skip
        sent = {**headers, **{k: v.encode() for k, v in more.items()}}
        assert httpx.get(base + query, headers=sent).status_code == 422, (query, more)
    plain = httpx.get(base + "?last=0&topics=run", headers=headers)
    assert plain.status_code == 200
    assert "event: zone" not in plain.text
