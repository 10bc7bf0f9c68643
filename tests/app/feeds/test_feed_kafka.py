"""A topic of a real broker in KRaft mode: every message once, whatever breaks, offsets of our own.

Needs Java, the jars of `scripts/kafka.sh FOLDER` (`WUSETU_KAFKA_JARS=FOLDER`) and confluent-kafka.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.feeds.base import Source
from app.feeds.kafka import KafkaSource
from app.services.feed_run import Runner, open_source
from app.services.feed_take import Taker
from app.services.feeds import Feed

from ..conftest import until
from .feed_house import entered, row, scalar, stored

kafka = pytest.importorskip("confluent_kafka", reason="the extra `kafka` is not installed")
admin = pytest.importorskip("confluent_kafka.admin")
pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a broker."""
    jars, java = os.environ.get("WUSETU_KAFKA_JARS"), shutil.which("java")
    if not jars or java is None:
        pytest.skip("no Kafka here: scripts/kafka.sh FOLDER, then WUSETU_KAFKA_JARS=FOLDER")
    folder = tmp_path_factory.mktemp("kafka")
    port, other = free_port(), free_port()
    config = folder / "server.properties"
    config.write_text(
        f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{other}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{other}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={folder / "logs"}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
"""
    )
    run = [java, "-Xmx256m", "-cp", f"{jars}/*"]
    subprocess.run(
        [*run, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", str(config)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    child = subprocess.Popen([*run, "kafka.Kafka", str(config)], stdout=subprocess.DEVNULL)
    try:
        address = f"127.0.0.1:{port}"

        def answers() -> bool:
            assert child.poll() is None, "the broker ended"
            try:
                client = admin.AdminClient({"bootstrap.servers": address}, logger=None)
                return bool(client.list_topics(timeout=2).brokers)
            except kafka.KafkaException:
                return False

        until(answers, 120)
        yield address
    finally:
        child.kill()
        child.wait()


@pytest.fixture
def topic(brokers: str) -> str:
    """An empty topic of two partitions."""
    name = f"calls-{uuid.uuid4().hex[:8]}"
    client = admin.AdminClient({"bootstrap.servers": brokers})
    (made,) = client.create_topics([admin.NewTopic(name, 2, 1)]).values()
    made.result(60)
    return name


def send(brokers: str, topic: str, *values: bytes, partition: int = 0) -> None:
    producer = kafka.Producer({"bootstrap.servers": brokers, "enable.idempotence": True})
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(60) == 0


def said(*rows: Any) -> list[bytes]:
    return [json.dumps(one).encode() for one in rows]


@pytest.fixture
def runner(engine: sa.Engine, tmp_path: Path) -> Runner:
    return Runner(Taker(engine, tmp_path / "locate"))


def feed_of(
    engine: sa.Engine, mapping: dict[str, Any], brokers: str, topic: str, **more: Any
) -> Feed:
    return entered(engine, mapping, "kafka", brokers=brokers, topic=topic, wait_s=5, **more)


def test_every_message_once_with_our_own_offsets(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], brokers: str, topic: str, runner: Runner
) -> None:
    send(brokers, topic, *said(row(1), [row(2), row(3)], row(4, kind="飞碟")), b"no json")
    send(brokers, topic, *said(row(5), row(6)), partition=1)
    feed = feed_of(engine, mapping, brokers, topic)
    look = runner.look(feed.id)
    assert (look.new, look.rejected, look.error) == (5, 2, None)
    assert scalar(engine, "select cursor -> 'offsets' from feed") == {"0": 4, "1": 2}
    places = scalar(engine, "select array_agg(place order by place) from feed_row")
    assert places == ["0:0", "0:1:1", "0:1:2", "1:0", "1:1"]
    assert runner.look(feed.id).batches == 0
    send(brokers, topic, *said(row(7), row(1, kind="火警")))
    look = runner.look(feed.id)
    assert (look.new, look.updated) == (1, 1)
    assert len(stored(engine)) == 6


def test_what_breaks_after_a_batch_is_gone_on_with(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], brokers: str, topic: str, tmp_path: Path
) -> None:
    send(brokers, topic, *said(*(row(n) for n in range(10))))
    feed = feed_of(engine, mapping, brokers, topic, batch=3)

    class Breaks(KafkaSource):
        def batches(self, cursor: dict[str, Any]) -> Any:
            for n, one in enumerate(super().batches(cursor)):
                if n == 2:
                    raise RuntimeError("power")
                yield one

    def opener(one: Feed) -> Source:
        return Breaks(one.settings, one.mapping)

    taker = Taker(engine, tmp_path / "locate")
    assert Runner(taker, opener).look(feed.id).error
    assert len(stored(engine)) == 6
    assert Runner(taker, open_source).look(feed.id).new == 4
    assert scalar(engine, "select sum(rows) from feed_batch") == 10


def test_a_topic_or_broker_that_is_not_there(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], brokers: str, runner: Runner
) -> None:
    feed = feed_of(engine, mapping, brokers, "nothing-of-the-kind")
    assert "nothing-of-the-kind" in (runner.look(feed.id).error or "")
    feed = feed_of(engine, mapping, "127.0.0.1:1", "calls", name="b")
    assert "do not answer" in (runner.look(feed.id).error or "")
