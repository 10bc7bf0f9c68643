"""Rows of a Kafka topic. Imports confluent-kafka, which is installed on request only (extra `kafka`).

Promises: the offsets are those of our own database, committed with the rows before them, so that a
message is stored once, whatever breaks; those of the broker are never asked and never moved. A message
is one JSON object or a list of them; what is none of these is a dead letter at its offset.
"""

from __future__ import annotations

import hashlib
import importlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from app.errors import Invalid, Unavailable
from app.feeds.base import Batch, Cursor, KafkaSettings, read_secret
from app.feeds.records import chunk_of, read_json
from app.services.event_mapping import EventMapping

_PATIENCE = 15.0
#: bytes of messages after which a batch is closed
LARGEST = 64 << 20


class KafkaSource:
    """Reads every partition from where it was left."""

    def __init__(
        self,
        settings: KafkaSettings,
        mapping: EventMapping,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            kafka: Any = importlib.import_module("confluent_kafka")
        except ImportError as error:
            raise Invalid("Kafka needs its extra: pip install 'wusetu[kafka]'") from error
        self.settings, self.mapping = settings, mapping
        self.problems: list[str] = []
        self._clock = clock
        self._kafka = kafka
        config: dict[str, Any] = {
            "bootstrap.servers": settings.brokers,
            "group.id": "wusetu",  # demanded, never used: partitions are assigned by hand
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
            "security.protocol": ("SASL_" if settings.user else "")
            + ("SSL" if settings.tls else "PLAINTEXT"),
        }
        if settings.user:
            config |= {
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": settings.user,
                "sasl.password": read_secret(settings.password_file) or "",
            }
        if settings.ca_file:
            config["ssl.ca.location"] = str(settings.ca_file)
        self._consumer: Any = kafka.Consumer(config, logger=None)

    def close(self) -> None:
        """Leave the brokers."""
        self._consumer.close()

    def batches(self, cursor: Cursor) -> Iterator[Batch]:
        """Read until no message came for `wait_s`.

        Raises
        ------
        Unavailable
            The brokers do not answer, or there is no such topic.
        """
        offsets = self._assign({int(p): int(o) for p, o in cursor.get("offsets", {}).items()})
        while True:
            found = self._messages()
            if not found:
                return
            records: list[Any] = []
            places: list[str] = []
            before = dict(offsets)
            for message in found:
                rows = _rows(message.value())
                where = f"{message.partition()}:{message.offset()}"
                records += rows
                places += [
                    where if len(rows) == 1 else f"{where}:{n}" for n in range(1, len(rows) + 1)
                ]
                offsets[message.partition()] = message.offset() + 1
            spans = (
                f"{part}:{before.get(part, 0)}-{to - 1}"
                for part, to in sorted(offsets.items())
                if to != before.get(part, 0)
            )
            n = int(cursor.get("n", 0)) + 1
            following = {
                "offsets": {str(part): to for part, to in sorted(offsets.items())}, "n": n,
            }  # fmt: skip
            said = f"{self.settings.topic} {', '.join(spans)}"
            yield Batch(
                key=key_of(n, said),
                origin=said[:480],
                chunk=chunk_of(records, self.mapping),
                point=self.mapping.columns.point,
                cursor=following,
                before=cursor,
                places=places,
            )
            cursor = following

    def _assign(self, offsets: dict[int, int]) -> dict[int, int]:
        kafka, topic = self._kafka, self.settings.topic
        try:
            about = self._consumer.list_topics(topic, timeout=_PATIENCE).topics[topic]
        except kafka.KafkaException as error:
            raise Unavailable(f"the brokers of {topic} do not answer: {_said(error)}") from error
        if about.error is not None:
            raise Unavailable(f"topic {topic}: {about.error.str()}")
        self._consumer.assign(
            [
                kafka.TopicPartition(topic, part, offsets.get(part, kafka.OFFSET_BEGINNING))
                for part in sorted(about.partitions)
            ]
        )
        return offsets

    def _messages(self) -> list[Any]:
        """At most one batch of messages."""
        kafka = self._kafka
        found: list[Any] = []
        size = 0
        end = self._clock() + self.settings.wait_s
        while (
            len(found) < self.settings.batch
            and size < LARGEST
            and (left := end - self._clock()) > 0
        ):
            try:
                come = self._consumer.consume(
                    min(500, self.settings.batch - len(found)), timeout=left if not found else 0.2
                )
            except kafka.KafkaException as error:
                raise Unavailable(f"{self.settings.topic}: {_said(error)}") from error
            for message in come:
                problem = message.error()
                if problem is None:
                    found.append(message)
                    size += len(message.value() or b"")
                elif problem.code() != kafka.KafkaError._PARTITION_EOF:
                    raise Unavailable(f"{self.settings.topic}: {problem.str()}")
            if found and not come:
                break
        return found


def key_of(n: int, said: str) -> str:
    """Key of the n-th batch: of a topic made anew the same offsets come again, with other messages.

    >>> key_of(1, "calls 0:0-9") == key_of(2, "calls 0:0-9"), len(key_of(1, "t" * 249)) <= 200
    (False, True)
    """
    return f"offsets-{n}-{hashlib.sha256(said.encode()).hexdigest()[:40]}"


def _said(error: Any) -> str:
    return str(error.args[0].str() if error.args else error)[:200]


def _rows(value: bytes | None) -> list[Any]:
    try:
        body = read_json(value or b"")
    except (ValueError, RecursionError):
        return [ValueError("the message is not JSON")]
    return body if isinstance(body, list) and body else [body]
