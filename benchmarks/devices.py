"""Devices that send readings by MQTT: how many per second, how late they are stored and an alarm is seen.

A private PostgreSQL, a real Mosquitto, `wusetu devices listen` and `wusetu serve` as they are run, and
600 made-up devices with a reading each per second. Prints the lag of readings (sent → committed),
the time from an alarm's reading to the event in the stream of a page, by MQTT and by HTTP, what was
lost, and the memory of the listener.

    python -m benchmarks.devices [--devices 600] [--seconds 60] [--smoke]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import sqlalchemy as sa

from app.cluster import Cluster
from app.database import make_engine, migrate
from app.services.border import Borders
from app.services.caches import ScopedCaches
from app.services.device_mqtt import parse_broker
from app.services.device_simulate import Made, Sender, make, play
from app.services.units import unit_table
from app.settings import PROJECT
from tests.app.broker import Mosquitto
from tests.app.conftest import install

MAIN = "from app.cli import main; main()"


@contextlib.contextmanager
def started(env: dict[str, str], word: str, *arguments: str) -> Iterator[tuple[int, str]]:
    """A command that runs; its process and the line with a word in it."""
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments], env=env, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            line = next((one for one in process.stdout if word in one), None)
            assert line, f"{arguments[0]} did not start"
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield process.pid, line.strip()
        finally:
            process.terminate()


def cpu(pid: int) -> float:
    """Seconds of processor a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak(pid: int) -> float:
    """Largest memory of a process, MB (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(one for one in lines if one.startswith("VmHWM")).split()[1]) / 1024


class Stream(threading.Thread):
    """The page: hears alarms and when."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.heard: dict[int, float] = {}
        self.ready = threading.Event()
        self._address = address

    def run(self) -> None:
        """Listen until the server goes."""
        with (
            contextlib.suppress(httpx.HTTPError),
            httpx.stream(
                "GET", f"{self._address}/api/live?topics=alarm", timeout=None,
                headers={"Accept": "text/event-stream"},
            ) as answer,
        ):  # fmt: skip
            for line in answer.iter_lines():
                if line.startswith("event: hello"):
                    self.ready.set()
                elif line.startswith("data: ") and '"alarm"' in line:
                    found = json.loads(line[6:])
                    if found["state"] == "raised":
                        self.heard.setdefault(found["device"], time.monotonic())


def until(condition: Any, seconds: float) -> bool:
    """Wait for something; whether it happened."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def percentiles(values: list[float]) -> str:
    """p50, p95 and the longest, in milliseconds."""
    if not values:
        return "none"
    return ", ".join(
        f"{name} {1e3 * x:.0f} ms"
        for name, x in zip(("p50", "p95", "max"), np.quantile(values, [0.5, 0.95, 1]), strict=True)
    )


def alarms(
    engine: sa.Engine, stream: Stream, sender: Sender, address: str, made: list[Made], tries: int
) -> None:
    """Raise alarms one after the other, by MQTT and by HTTP, and print how long each took."""
    with engine.connect() as connection:
        rows = connection.execute(sa.text("select reference, id from device where pack = 'small'"))
        ids: dict[str, int] = {row.reference: row.id for row in rows}
    smoky = [one for one in made if one.kind == "smoke"]
    for way in ("MQTT", "HTTP"):
        took = []
        for one in smoky[:tries] if way == "MQTT" else smoky[-tries:]:
            stream.heard.clear()
            at = datetime.now(UTC).isoformat()
            begin = time.monotonic()
            if way == "MQTT":
                sender.send(one, at, 99.0, seq=1_000_000)
            else:
                answer = httpx.post(
                    f"{address}/api/devices/readings",
                    json={
                        "pack": "small", "side": one.side,
                        "readings": [{"device": one.reference, "at": at, "seq": 2_000_000, "value": 99}],
                    },
                )  # fmt: skip
                answer.raise_for_status()
            if until(lambda one=one: ids[one.reference] in stream.heard, 30):
                took.append(stream.heard[ids[one.reference]] - begin)
        print(f"alarm to screen by {way}: {len(took)} of {tries} seen, {percentiles(took)}")


def measure(folder: Path, devices: int, seconds: int, tries: int) -> int:
    """Run it all; 0 when nothing was lost."""
    cluster = Cluster(folder / "data")
    cluster.start()
    broker = Mosquitto(folder / "broker")
    try:
        cluster.create_database("wusetu")
        url = cluster.url("wusetu")
        migrate(url)
        engine = make_engine(url)
        install(engine)
        caches = ScopedCaches().of("*;")
        borders = Borders(
            engine, folder / "data", lambda c, version: unit_table(c, caches, version)
        )
        made = make(engine, borders, "small", devices, 1, every_s=10)
        with engine.begin() as connection:
            for side in sorted({one.side for one in made}):
                connection.execute(
                    sa.text(
                        "insert into device_rule (version, pack, side, within, kind, title_zh, title_en, "
                        "sense, level, event_kind) values (1, 'small', :side, :side, 'smoke', '烟雾', "
                        "'Smoke', 'above', 50, 'fire')"
                    ),
                    {"side": side},
                )
        broker.start()
        env = {
            **os.environ, "WUSETU_DATA_DIR": str(folder / "data"), "WUSETU_DATABASE_URL": url,
            "WUSETU_SERVER_PORT": "0",
        }  # fmt: skip
        with (
            started(env, "listening", "devices", "listen", "--broker", broker.url, "--receipts") as (
                listener, _,
            ),
            started(env, "http://", "serve", "--port", "0") as (_, line),
        ):  # fmt: skip
            address = line[line.index("http://") :].split()[0].rstrip("/")
            stream = Stream(address)
            stream.start()
            sender = Sender(parse_broker(broker.url), "bench")
            assert sender.wait(30)
            assert stream.ready.wait(60)
            return report(engine, listener, stream, sender, address, made, (seconds, tries))
    finally:
        broker.kill()
        cluster.stop()


def report(
    engine: sa.Engine, listener: int, stream: Stream, sender: Sender, address: str,
    made: list[Made], size: tuple[int, int],
) -> int:  # fmt: skip
    """Send, and print what came of it."""
    seconds, tries = size
    begin, used = time.monotonic(), cpu(listener)
    sent = play(sender, made, seconds=seconds, every=1, fires=0, seed=1)
    spent = time.monotonic() - begin
    caught_up = time.monotonic()
    until(lambda: not len(sender), 120)
    behind = time.monotonic() - caught_up
    used = cpu(listener) - used
    with engine.connect() as connection:
        row = connection.execute(
            sa.text(
                "select count(*) as n, count(distinct (device_id, at, seq)) as one, "
                "percentile_cont(array[0.5, 0.95, 1.0]) within group "
                "(order by extract(epoch from received_at - at)) as lag from reading"
            )
        ).one()
    p50, p95, longest = row.lag
    print(
        f"{len(made)} devices for {spent:.0f} s: {sent} readings sent, {sent / spent:.0f} readings/s"
    )
    print(
        f"lag sent → stored: p50 {1e3 * p50:.0f} ms, p95 {1e3 * p95:.0f} ms, max {1e3 * longest:.0f} ms"
    )
    print(
        f"stored {row.n}, lost {sent - row.n}, doubled {row.n - row.one}, sent again {sender.again}"
    )
    print(f"all stored {behind:.1f} s after the last was sent")
    memory = peak(listener)
    print(f"listener: at most {memory:.0f} MB, {100 * used / spent:.0f} % of one core")
    alarms(engine, stream, sender, address, made, tries)
    sender.close()
    return 0 if row.n == sent == row.one else 1


def main() -> int:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", type=int, default=600)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--alarms", type=int, default=40, help="alarms each way")
    parser.add_argument("--smoke", action="store_true", help="the smallest run")
    given = parser.parse_args()
    if given.smoke:
        given.devices, given.seconds, given.alarms = 30, 2, 2
    with tempfile.TemporaryDirectory(prefix="wusetu-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "data").mkdir(mode=0o755)
        if (deb := PROJECT / ".wusetu" / "deb").is_dir():
            (folder / "data" / "deb").symlink_to(deb)
        return measure(folder, given.devices, given.seconds, given.alarms)


if __name__ == "__main__":
    sys.exit(main())
