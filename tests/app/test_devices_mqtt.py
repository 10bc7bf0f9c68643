"""Readings by MQTT through a real Mosquitto: whatever is killed, none is lost and none doubled."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.cluster import Cluster
from app.database import make_engine, migrate
from app.errors import Invalid
from app.services.device_ingest import Ingest
from app.services.device_mqtt import Listener, parse_broker
from app.services.device_simulate import Made, Sender
from app.settings import Settings

from .border_house import MINE
from .broker import Mosquitto
from .conftest import install, until

COUNT = 20
BEGIN = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    one = Mosquitto(tmp_path / "broker")
    one.start()
    yield one
    one.kill()


@pytest.fixture
def made(engine: sa.Engine) -> list[Made]:
    """Devices on the small map."""
    return enter(engine)


def enter(engine: sa.Engine) -> list[Made]:
    install(engine)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "insert into device (pack, reference, kind, side, code, located_by, geom, every_s) "
                "select 'small', 'd-' || n, 'smoke', :mine, :mine, 'point', "
                "st_setsrid(st_makepoint(119.5, 29.5), 4326), 60 from generate_series(1, :count) n"
            ),
            {"mine": MINE, "count": COUNT},
        )
    return [Made("small", MINE, f"d-{n}", "smoke") for n in range(1, COUNT + 1)]


class Running:
    """A listener in a thread of this process."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self._thread = threading.Thread(target=listener.run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.listener.stop()
        self._thread.join()


@pytest.fixture
def listening(db_url: str, broker: Mosquitto) -> Iterator[Callable[..., Running]]:
    """Starts listeners on this test's database and broker, subscribed."""
    running: list[Running] = []
    engines = []

    def start(**more: Any) -> Running:
        engine = make_engine(db_url)
        engines.append(engine)
        told = threading.Event()
        one = Running(
            Listener(
                Ingest(engine, Settings()), parse_broker(broker.url), receipts=True,
                tell=lambda _: told.set(), **more,
            )
        )  # fmt: skip
        running.append(one)
        assert told.wait(30)
        return one

    yield start
    for one in running:
        one.stop()
    for engine in engines:
        engine.dispose()


def sender_on(broker: Mosquitto) -> Sender:
    one = Sender(parse_broker(broker.url), "test-sender")
    assert one.wait(30)
    return one


def send(sender: Sender, made: list[Made], first: int, rounds: int) -> None:
    for n in range(first, first + rounds):
        for one in made:
            sender.send(one, (BEGIN + timedelta(seconds=n)).isoformat(), float(n), seq=n)


def settle(sender: Sender) -> None:
    """Wait for every receipt, sending again what has none."""

    def all_of() -> bool:
        sender.send_again(2)
        return len(sender) == 0

    until(all_of, 120)
    assert sender.refused == []


def assert_stored_once(engine: sa.Engine, rounds: int) -> None:
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "select d.reference, count(*), count(distinct (r.at, r.seq)), min(r.value), max(r.value), "
                "sum(r.value) from reading r join device d on d.id = r.device_id group by 1"
            )
        ).all()
    total = rounds * (rounds - 1) / 2
    assert (
        sorted(tuple(row[1:]) for row in rows) == [(rounds, rounds, 0, rounds - 1, total)] * COUNT
    )


def test_readings_come_in_once(
    engine: sa.Engine, made: list[Made], broker: Mosquitto, listening: Callable[..., Running]
) -> None:
    one = listening()
    sender = sender_on(broker)
    send(sender, made, 0, 10)
    send(sender, made, 5, 5)  # again
    client = sender._client
    for topic, body in (
        (f"wusetu/small/{MINE}/d-1", "no json"), (f"wusetu/small/{MINE}/d-1", '{"at": "x"}'),
        (f"wusetu/small/{MINE}/d-1", '{"device": "d-2", "at": "2026-01-01T00:00:00Z"}'),
        (f"wusetu/small/{MINE}/nobody", f'{{"at": "{BEGIN.isoformat()}"}}'),
        ("wusetu/small/%/d-1", "{}"), (f"wusetu/small/{MINE}/d-1", "\0"), (f"wusetu/small/{MINE}/d-1", ""),
    ):  # fmt: skip
        client.publish(topic, body, qos=1)
    settle(sender)
    counts = one.listener.counts
    until(lambda: sum(counts.refused.values()) == 7)
    assert counts.refused == {
        "no_json": 3, "bad_time": 1, "other_device": 1, "unknown_device": 1, "bad_topic": 1,
    }  # fmt: skip
    assert counts.acknowledged == counts.messages
    assert counts.stored + counts.known == counts.messages - 7
    sender.close()
    assert_stored_once(engine, 10)


def test_the_broker_is_killed(
    engine: sa.Engine, made: list[Made], broker: Mosquitto, listening: Callable[..., Running]
) -> None:
    one = listening()
    sender = sender_on(broker)
    for n in range(3):
        send(sender, made, 20 * n, 10)
        broker.kill()
        send(sender, made, 20 * n + 10, 10)
        broker.start()
        until(lambda n=n: one.listener.counts.connections == n + 2)  # type: ignore[misc]
    settle(sender)
    sender.close()
    assert_stored_once(engine, 60)


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A server of this test alone, which commits to disk as ever."""
    folder = Path(tempfile.mkdtemp(prefix="wusetu-devices-"))
    folder.chmod(0o755)
    if (deb := Path(os.environ["WUSETU_DATA_DIR"]) / "deb").exists():
        (folder / "deb").symlink_to(deb.resolve())
    one = Cluster(folder)
    one.start()
    one.create_database("wusetu")
    migrate(one.url("wusetu"))
    yield one
    one.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_the_database_is_killed(broker: Mosquitto, own_cluster: Cluster) -> None:
    """Every process of it, twice, while readings come; nothing is acknowledged until it is back."""
    engine = make_engine(own_cluster.url("wusetu"))
    made = enter(engine)
    told = threading.Event()
    one = Running(
        Listener(
            Ingest(engine, Settings()), parse_broker(broker.url), receipts=True,
            tell=lambda _: told.set(),
        )
    )  # fmt: skip
    sender = None
    try:
        assert told.wait(30)
        sender = sender_on(broker)
        counts = one.listener.counts
        for n in range(2):
            send(sender, made, 20 * n, 10)
            for pid in own_cluster._members():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            until(lambda: own_cluster._members() == set())
            before = counts.acknowledged, counts.failures
            send(sender, made, 20 * n + 10, 10)
            until(lambda before=before: counts.failures >= before[1] + 2)  # type: ignore[misc]
            assert counts.acknowledged == before[0]
            own_cluster.start()
        # all of it is still at the broker: nothing is sent again
        until(lambda: len(sender) == 0, 120)
        assert (sender.again, sender.refused) == (0, [])
    finally:
        one.stop()
        if sender:
            sender.close()
    assert_stored_once(engine, 40)
    engine.dispose()


def test_the_subscriber_is_killed(
    engine: sa.Engine, made: list[Made], broker: Mosquitto, db_url: str, tmp_path: Path
) -> None:
    """The command itself, killed while readings come; its session goes on."""
    arguments = [
        sys.executable, "-c", "from app.cli import main; main()", "devices", "listen", "--broker", broker.url, "--receipts",
        "--name", "one", "--no-clock",
    ]  # fmt: skip
    env = {**os.environ, "WUSETU_DATABASE_URL": db_url, "WUSETU_DATA_DIR": str(tmp_path)}

    def start() -> subprocess.Popen[str]:
        one = subprocess.Popen(arguments, env=env, stdout=subprocess.PIPE, text=True)
        assert one.stdout
        assert one.stdout.readline().startswith("listening")
        return one

    def stored() -> int:
        with engine.connect() as connection:
            found: int = connection.execute(sa.text("select count(*) from reading")).scalar_one()
            return found

    process = start()
    sender = sender_on(broker)
    send(sender, made, 0, 40)
    until(lambda: stored() > 0)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process = start()
    # what the broker held for it comes by itself: nothing is sent again
    until(lambda: stored() == 40 * COUNT, 120)
    # but for receipts that were not told any more
    settle(sender)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert "readings stored" in process.stdout.read()  # type: ignore[union-attr]
    sender.close()
    assert_stored_once(engine, 40)


def test_what_a_broker_address_is(tmp_path: Path) -> None:
    one = parse_broker("mqtts://gate@broker.example", "secret", ca=tmp_path)
    assert (one.host, one.port, one.tls, one.user) == ("broker.example", 8883, True, "gate")
    assert "secret" not in repr(one)
    for url in (
        "broker", "http://x", "mqtt://", "mqtt://x:99999", "mqtt://x/topic", "mqtt://x?a=1",
        "mqtt://u:secret@x",
    ):  # fmt: skip
        with pytest.raises(Invalid) as caught:
            parse_broker(url)
        assert "secret" not in caught.value.message
    with pytest.raises(Invalid, match="mqtts"):
        parse_broker("mqtt://x", ca=tmp_path)
