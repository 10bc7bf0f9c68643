"""Made-up devices and readings, for trying things and for the benchmark.

Imports numpy, `device_mqtt` and `devices`. Promises: the same seed gives the same devices; what is
made here is marked as simulated and stays so.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import paho.mqtt.client as mqtt
import shapely
import sqlalchemy as sa

from app.database import transaction
from app.errors import Invalid
from app.security.identity import LOCAL
from app.services import devices as registry
from app.services.border import Borders
from app.services.device_mqtt import PREFIX, Broker, client_for, connect

#: kind → share of the devices, pace in seconds, name of the place
KINDS: dict[str, tuple[float, int, str]] = {
    "smoke": (0.5, 60, "烟感"),
    "infrared": (0.3, 60, "红外"),
    "water": (0.2, 900, "水表"),
}


@dataclass(frozen=True)
class Made:
    """A made-up device as its readings name it."""

    pack: str
    side: str
    reference: str
    kind: str


def make(
    engine: sa.Engine,
    borders: Borders,
    pack: str,
    count: int,
    seed: int,
    *,
    every_s: int | None = None,
) -> list[Made]:
    """Enter made-up devices at random places of a map, nearer to shared lines than elsewhere.

    Parameters
    ----------
    count : how many
    seed : the same gives the same devices
    every_s : pace of all; None: that of their kind

    Raises
    ------
    NotFound
        There is no such map.
    """
    with transaction(engine) as connection:
        here = borders.map(connection, pack)
        rng = np.random.default_rng(seed)
        places = _places(connection, here, count, rng)
        kinds = rng.choice(list(KINDS), size=len(places), p=[one[0] for one in KINDS.values()])
        rows: list[dict[str, Any]] = []
        for n, ((lon, lat), kind) in enumerate(zip(places, kinds, strict=True), start=1):
            _, pace, word = KINDS[str(kind)]
            rows.append(
                {
                    "reference": f"sim-{kind}-{n:04d}", "kind": str(kind), "lon": lon, "lat": lat,
                    "name": f"{word}{n:04d}", "every_s": every_s or pace,
                }
            )  # fmt: skip
        report = registry.enter(borders, connection, LOCAL, pack, rows, simulated=True)
        if report.refused:
            raise Invalid(f"{len(report.refused)} made-up devices: {report.refused[0].text}")
        found = connection.execute(
            sa.text(
                "select pack, side, reference, kind from device where pack = :pack "
                "and reference = any(:names) order by id"
            ),
            {"pack": pack, "names": [row["reference"] for row in rows]},
        )
        return [Made(*row) for row in found]


def _places(
    connection: sa.Connection, here: Any, count: int, rng: np.random.Generator
) -> list[tuple[float, float]]:
    """Places inside the map (count,): two of three within some kilometres of a shared line."""
    lines = shapely.get_parts(np.array([one.shape for one in here.lines], dtype=object))
    west, south, east, north = connection.execute(
        sa.text(
            "select st_xmin(e), st_ymin(e), st_xmax(e), st_ymax(e) from "
            "(select st_extent(geom) e from unit where boundary_version_id = :v) s"
        ),
        {"v": here.version},
    ).one()
    found: list[tuple[float, float]] = []
    for _ in range(200):
        need = 2 * (count - len(found)) + 16
        lon, lat = rng.uniform(west, east, need), rng.uniform(south, north, need)
        if len(lines):
            near = rng.random(need) < 2 / 3
            points = shapely.line_interpolate_point(
                rng.choice(lines, need),
                rng.random(need),
                normalized=True,
            )
            lon = np.where(near, shapely.get_x(points) + rng.normal(0, 0.015, need), lon)
            lat = np.where(near, shapely.get_y(points) + rng.normal(0, 0.015, need), lat)
        inside = np.asarray(here.locate.locate(lon, lat)) > 0
        found += [
            (round(float(x), 6), round(float(y), 6))
            for x, y in zip(lon[inside], lat[inside], strict=True)
        ]
        if len(found) >= count:
            return found[:count]
    raise Invalid("no places were found inside the map")


def value(kind: str, at: datetime, rng: np.random.Generator, *, fire: bool = False) -> float:
    """One reading: smoke in percent, infrared 0 or 1, water in litres per hour."""
    if kind == "smoke":
        return round(float(np.clip(80 + 5 * rng.normal() if fire else 4 + rng.normal(), 0, 100)), 2)
    if kind == "infrared":
        return 1.0 if fire or rng.random() < 0.001 else 0.0
    busy = 6 <= (at.hour + 8) % 24 < 23
    return round(float(rng.exponential(20)), 1) if busy and rng.random() < 0.3 else 0.0


class Sender:
    """Sends readings by MQTT and keeps each until it is told that it is stored.

    A broker that is killed may forget what it acknowledged; who sends keeps a reading until its
    receipt comes (`--receipts` of the listener) and sends it again until then.

    Parameters
    ----------
    broker : where to
    name : of the session
    prefix : as of the listener
    """

    def __init__(self, broker: Broker, name: str, prefix: str = PREFIX) -> None:
        self._prefix = prefix
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str, int], tuple[str, float]] = {}
        self.refused: list[tuple[str, str, int, str]] = []
        self.certain = 0
        self.again = 0
        self._ready = threading.Event()
        self._client = client_for(broker, name, keep=False)
        self._client.max_inflight_messages_set(2_000)
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._receipt
        connect(self._client, broker)

    def __len__(self) -> int:
        return len(self._open)

    def wait(self, seconds: float) -> bool:
        """Wait until it is subscribed to its receipts."""
        return self._ready.wait(seconds)

    def _connected(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(f"{self._prefix}-stored/#", qos=1)

    def _receipt(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        topic = message.topic.replace(f"{self._prefix}-stored/", f"{self._prefix}/", 1)
        with self._lock:
            for at, seq, said in json.loads(message.payload):
                if self._open.pop((topic, at, seq), None) is None:
                    continue
                if said == "ok":
                    self.certain += 1
                else:
                    self.refused.append((topic, at, seq, said))

    def send(self, one: Made, at: str, reading: float | None, seq: int = 0) -> None:
        """Send one reading; `at` is ISO 8601 with its offset."""
        topic = f"{self._prefix}/{one.pack}/{one.side}/{one.reference}"
        body = json.dumps({"at": at, "seq": seq, "value": reading})
        with self._lock:
            self._open[topic, at, seq] = body, time.monotonic()
        self._client.publish(topic, body, qos=1)

    def send_again(self, older: float) -> int:
        """Send what has waited for its receipt for so many seconds once more; how much."""
        now = time.monotonic()
        with self._lock:
            late = [(key, body) for key, (body, sent) in self._open.items() if now - sent > older]
            for key, body in late:
                self._open[key] = body, now
        for key, body in late:
            self._client.publish(key[0], body, qos=1)
        self.again += len(late)
        return len(late)

    def close(self) -> None:
        """End, whatever waits."""
        self._client.disconnect()
        self._client.loop_stop()


def now_text() -> str:
    """Return the present as a reading writes it."""
    return datetime.now(UTC).isoformat()


def play(
    sender: Sender, made: list[Made], *, seconds: int, every: int, fires: int, seed: int
) -> int:
    """Send a reading of each device every so many seconds; how many were sent.

    Parameters
    ----------
    fires : so many devices see smoke in the second half
    """
    rng = np.random.default_rng(seed)
    smoky = {one.reference for one in made if one.kind == "smoke"}
    burning = set(sorted(smoky)[:fires])
    begin, sent, rounds = time.monotonic(), 0, max(1, seconds // every)
    for n in range(rounds):
        # spread over the interval, as devices are
        for k, one in enumerate(made):
            due = begin + every * (n + k / len(made))
            if (wait := due - time.monotonic()) > 0.002:
                time.sleep(wait)
            at = datetime.now(UTC)
            fire = one.reference in burning and 2 * n >= rounds
            sender.send(one, at.isoformat(), value(one.kind, at, rng, fire=fire), seq=n)
            sent += 1
        sender.send_again(30)
    return sent
