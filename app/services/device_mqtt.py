"""Readings by MQTT: a subscriber that acknowledges a message after its rows are committed, never before.

Imports paho and `device_ingest`; nothing of the web. Promises: what the broker holds for this session
is stored, whatever breaks in between (broker, database, network, this process), and stored once:
a message is acknowledged on the connection it came on and after the commit, so that it comes again
otherwise, and device, time and number make it harmless then. A message that can never be stored is
refused with its reason, counted, and acknowledged.
"""

from __future__ import annotations

import json
import logging
import queue
import ssl
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from app.errors import Invalid, Unavailable, WusetuError
from app.services.device_ingest import BATCH, Ingest
from app.services.device_rows import REFERENCE

log = logging.getLogger("wusetu.devices")

PREFIX = "wusetu"
#: The broker keeps the session of a subscriber that is away for so long, seconds.
SESSION = 7 * 86_400
#: Messages the broker may send ahead of their acknowledgements.
AHEAD = 2_000
#: After the first message of a batch, wait so long for more.
LINGER = 0.02
LARGEST = 1 << 20
_BACK_OFF = (0.2, 30.0)
_REPORT = 60.0


@dataclass(frozen=True)
class Broker:
    """Where a broker is and how one proves who one is.

    Parameters
    ----------
    host, port : its address
    tls : speak TLS and check the certificate against `ca` (none: those of the system)
    user, password : None: none
    ca, certificate, key : PEM files
    """

    host: str
    port: int
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def parse_broker(url: str, password: str | None = None, **files: Path | None) -> Broker:
    """Broker of an address: mqtt://[user@]host[:1883] or mqtts://[user@]host[:8883].

    Raises
    ------
    Invalid
        It is no such address; a password in it is not repeated.
    """
    wrong = Invalid("a broker is mqtt://[user@]host[:port] or mqtts://[user@]host[:port]")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise wrong from error
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname or parts.path.strip("/"):
        raise wrong
    if parts.query or parts.fragment:
        raise wrong
    if parts.password:
        raise Invalid("a password in an address is seen by everybody: use --password-file")
    tls = parts.scheme == "mqtts"
    if not tls and any(files.values()):
        raise Invalid("--ca, --cert and --key need mqtts://")
    return Broker(
        parts.hostname, port or (8883 if tls else 1883), tls,
        unquote(parts.username) if parts.username else None, password, **files,
    )  # fmt: skip


def client_for(broker: Broker, name: str, *, keep: bool) -> mqtt.Client:
    """Client that is not connected yet.

    Parameters
    ----------
    name : the broker knows the session by it
    keep : acknowledge by hand
    """
    made = mqtt.Client(
        CallbackAPIVersion.VERSION2, name, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=keep
    )
    made.reconnect_delay_set(min_delay=1, max_delay=30)
    if broker.user is not None:
        made.username_pw_set(broker.user, broker.password)
    if broker.tls:
        try:
            context = ssl.create_default_context(cafile=str(broker.ca) if broker.ca else None)
            if broker.certificate:
                context.load_cert_chain(str(broker.certificate), broker.key and str(broker.key))
        except (OSError, ssl.SSLError) as error:
            raise Invalid(f"the TLS files cannot be used: {error}") from error
        made.tls_set_context(context)
    return made


def connect(made: mqtt.Client, broker: Broker) -> None:
    """Begin to connect, for as long as it takes, with a session that is kept."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = SESSION
    properties.ReceiveMaximum = AHEAD
    made.connect_async(
        broker.host, broker.port, keepalive=30, clean_start=False, properties=properties
    )
    made.loop_start()


class Message(NamedTuple):
    """A message that waits to be stored; `connection` is the one it came on."""

    connection: int
    mid: int
    topic: str
    payload: bytes


@dataclass
class Counts:
    """What a listener did so far."""

    messages: int = 0
    stored: int = 0
    known: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    connections: int = 0
    failures: int = 0


class Listener:
    """Subscribes and stores until it is stopped.

    Parameters
    ----------
    ingest : where readings go
    broker : whom to ask
    name : of the session; two listeners of one name throw each other out
    prefix : topics are <prefix>/<map>/<side>/<device>
    receipts : tell <prefix>-stored/<map>/<side>/<device> what was stored or refused
    tell : called when it is subscribed
    """

    def __init__(
        self,
        ingest: Ingest,
        broker: Broker,
        *,
        name: str = "wusetu-listen",
        prefix: str = PREFIX,
        receipts: bool = False,
        tell: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.ingest, self.broker, self.prefix, self.receipts = ingest, broker, prefix, receipts
        self.counts = Counts()
        self._tell = tell
        self._waiting: queue.Queue[Message] = queue.Queue()
        self._lock = threading.Lock()  # which connection is the present one
        self._connection = 0
        self._stop = threading.Event()
        self._wrong: str | None = None
        self._client = client_for(broker, name, keep=True)
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._came
        self._said: dict[str, float] = {}

    def stop(self) -> None:
        """End after the batch that is being stored; the broker keeps what comes meanwhile."""
        self._stop.set()

    def run(self) -> Counts:
        """Listen until `stop`.

        Raises
        ------
        Invalid
            The broker does not let it subscribe.
        """
        connect(self._client, self.broker)
        report = time.monotonic() + _REPORT
        try:
            while not self._stop.is_set() and self._wrong is None:
                batch = self._batch()
                if batch:
                    self._keep(batch)
                if time.monotonic() > report:
                    report = time.monotonic() + _REPORT
                    log.info("readings: %s", self.counts)
        finally:
            self._client.disconnect()
            self._client.loop_stop()
        if self._wrong is not None:
            raise Invalid(self._wrong)
        return self.counts

    # the thread of the client --------------------------------------------------------------------
    def _connected(
        self, client: mqtt.Client, _data: Any, flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._once(f"the broker refuses: {reason}")
            return
        with self._lock:
            self._connection += 1
            self.counts.connections += 1
        log.info("connected, session %s", "goes on" if flags.session_present else "is new")
        client.subscribe(f"{self.prefix}/+/+/+", qos=1)

    def _subscribed(
        self, _client: mqtt.Client, _data: Any, _mid: int, reasons: list[Any], _properties: Any
    ) -> None:
        if any(one.is_failure for one in reasons):
            self._wrong = f"the broker does not let it subscribe: {reasons[0]}"
        else:
            self._tell(f"{self.prefix}/+/+/+ at {self.broker.host}:{self.broker.port}")

    def _disconnected(
        self, _client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if not self._stop.is_set():
            self._once(f"the connection to the broker is lost: {reason}")

    def _came(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        self._waiting.put(Message(self._connection, message.mid, topic, bytes(message.payload)))

    # the thread that stores ----------------------------------------------------------------------
    def _batch(self) -> list[Message]:
        """Messages that wait, at most what one transaction takes."""
        try:
            found = [self._waiting.get(timeout=0.2)]
        except queue.Empty:
            return []
        end = time.monotonic() + LINGER
        while len(found) < BATCH:
            try:
                found.append(self._waiting.get(timeout=max(0.0, end - time.monotonic())))
            except queue.Empty:
                break
        return found

    def _keep(self, batch: list[Message]) -> None:
        """Store a batch and acknowledge it; as often as it takes."""
        pause = _BACK_OFF[0]
        while True:
            try:
                done = self._store(batch)
                break
            except Unavailable as error:
                self.counts.failures += 1
                self._once(f"readings wait: {error.message}")
            except WusetuError as error:
                if len(batch) == 1:
                    self._refuse("not_storable", batch[0].topic, type(error).__name__)
                    done = []
                    break
                # one of them is the reason: each for itself, with nothing taken for granted
                self.ingest.forget_days()
                for one in batch:
                    self._keep([one])
                return
            if self._stop.wait(pause):
                return  # nothing acknowledged: it comes again
            pause = min(2 * pause, _BACK_OFF[1])
        self._acknowledge(batch)
        self.counts.messages += len(batch)
        if self.receipts:
            for topic, rows in done:
                self._client.publish(topic, json.dumps(rows), qos=1)

    def _store(self, batch: list[Message]) -> list[tuple[str, list[Any]]]:
        """Store rows, map by map; receipts as topic and rows [at, seq, "ok" or reason]."""
        groups: dict[tuple[str, str], list[tuple[str, Any]]] = defaultdict(list)
        for message in batch:
            place = self._place(message.topic)
            if place is None:
                self._refuse("bad_topic", message.topic)
                continue
            pack, side, name = place
            for row in self._rows(message):
                if isinstance(row, dict) and row.setdefault("device", name) != name:
                    self._refuse("other_device", message.topic)
                else:
                    groups[pack, side].append((message.topic, row))
        receipts: dict[str, list[Any]] = defaultdict(list)
        for (pack, side), rows in groups.items():
            for first in range(0, len(rows), BATCH):
                part = rows[first : first + BATCH]
                done = self.ingest.take(pack, [row for _, row in part], side=side)
                self.counts.stored += done.stored
                self.counts.known += done.known
                reasons = {one.n: one.reason for one in done.refused}
                for n, reason in reasons.items():
                    self._refuse(reason, part[n][0])
                if self.receipts:
                    for n, (topic, row) in enumerate(part):
                        if isinstance(row, dict):
                            said = [row.get("at"), row.get("seq", 0), reasons.get(n, "ok")]
                            receipts[self._receipt(topic)].append(said)
        return list(receipts.items())

    def _place(self, topic: str) -> tuple[str, str, str] | None:
        parts = topic.removeprefix(self.prefix + "/").split("/")
        if len(parts) != 3 or not all(REFERENCE.fullmatch(one) for one in parts):
            return None
        return parts[0], parts[1], parts[2]

    def _receipt(self, topic: str) -> str:
        return f"{self.prefix}-stored/{topic.removeprefix(self.prefix + '/')}"

    def _rows(self, message: Message) -> Iterable[Any]:
        if len(message.payload) > LARGEST:
            self._refuse("too_large", message.topic)
            return []
        try:
            body = json.loads(message.payload)
        except (ValueError, RecursionError):
            self._refuse("no_json", message.topic)
            return []
        return body if isinstance(body, list) else [body]

    def _acknowledge(self, batch: list[Message]) -> None:
        with self._lock:
            for one in batch:
                # a number of an earlier connection may mean another message by now
                if one.connection == self._connection:
                    self._client.ack(one.mid, 1)
                    self.counts.acknowledged += 1

    def _refuse(self, reason: str, topic: str, more: str = "") -> None:
        self.counts.refused[reason] += 1
        shown = topic if self._place(topic) else "a topic of another form"
        self._once(f"refused ({reason}) of {shown} {more}".rstrip())

    def _once(self, text: str) -> None:
        """Log a text, at most once a minute, and never too many different ones."""
        now = time.monotonic()
        if now - self._said.get(text, -_REPORT) >= _REPORT:
            if len(self._said) > 1_000:
                self._said.clear()
            self._said[text] = now
            log.warning("%s", text)
