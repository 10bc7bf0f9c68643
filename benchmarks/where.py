"""Where-am-I and alarm-to-screen on the alliance sample, over HTTP.

    wusetu sample load alliance
    python -m benchmarks.where [--pack alliance] [--places 2000] [--alarms 200]

A server is started in a thread of this process on the data folder's database, so client and server
share one interpreter: a server of its own is no slower. Places are drawn evenly over the map's
bounds and, one in two, within some 5 km of a line, and asked one after the other over one kept
connection. Alarms are rows of `live_event` (topic `device`, named `benchmark`, removed afterwards),
each written in a transaction of its own while a stream is open; measured is the time from before
the write to the event's last byte at the client. Printed: median, p95, p99, worst, and the goals
(p95 of 20 ms and of 1 s).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import threading
import time
from typing import Any

import numpy as np
import shapely
import sqlalchemy as sa
import uvicorn

from app import settings as settings_module
from app.database import open_engine
from app.main import create_app
from app.services import live


def shown(name: str, seconds: list[float], goal_ms: float) -> None:
    """Print one line of figures."""
    ms = np.array(seconds) * 1000
    p50, p95, p99 = np.percentile(ms, (50, 95, 99))
    met = "met" if p95 <= goal_ms else "MISSED"
    print(
        f"{name}: {len(ms)} asked, median {p50:.2f} ms, p95 {p95:.2f}, p99 {p99:.2f}, "
        f"worst {ms.max():.2f}; goal p95 {goal_ms:.0f} ms: {met}",
        flush=True,
    )


def places(connection: http.client.HTTPConnection, pack: str, number: int) -> np.ndarray:
    """Places to ask about, (number, 2)."""
    lines = asked(connection, f"/api/packs/{pack}/border/lines")["lines"]
    shapes = [shapely.from_geojson(json.dumps(one["geometry"])) for one in lines]
    west, south, east, north = shapely.total_bounds(shapes)
    random = np.random.default_rng(9)
    found = random.uniform((west - 0.3, south - 0.3), (east + 0.3, north + 0.3), (number, 2))
    corners = np.concatenate([shapely.get_coordinates(one) for one in shapes])
    near = corners[random.integers(len(corners), size=number // 2)]
    found[::2][: len(near)] = near + random.normal(0, 0.03, near.shape)
    return found


def asked(connection: http.client.HTTPConnection, path: str) -> dict[str, Any]:
    """Answer of an address."""
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, body
    found: dict[str, Any] = json.loads(body)
    return found


def where(port: int, pack: str, number: int) -> None:
    """Measure where-am-I."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    spots = places(connection, pack, number)
    took, on_line = [], 0
    for n, (lon, lat) in enumerate(spots.tolist()):
        start = time.perf_counter()
        found = asked(connection, f"/api/packs/{pack}/border/where?lon={lon:.6f}&lat={lat:.6f}")
        if n >= 20:  # the first ones open files and connections
            took.append(time.perf_counter() - start)
        on_line += found["metres_to_line"] < 5000
    print(f"{on_line} of {number} places are within 5 km of a line")
    shown("where", took, 20)


def alarms(engine: sa.Engine, port: int, number: int) -> None:
    """Measure the way from a row in the database to the client."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/api/live?topics=device", headers={"Accept": "text/event-stream"})
    stream = connection.getresponse()
    at: dict[int, float] = {}
    came = threading.Event()

    def read() -> None:
        for line in stream:
            if line.startswith(b"data: ") and b'"benchmark"' in line:
                at[json.loads(line[6:])["benchmark"]] = time.perf_counter()
                came.set()

    threading.Thread(target=read, daemon=True).start()
    time.sleep(1)
    took = []
    for n in range(number):
        came.clear()
        start = time.perf_counter()
        with engine.begin() as one:
            live.tell(one, "device", None, {"benchmark": n})
        assert came.wait(30), "an alarm did not come"
        took.append(at[n] - start)
    with engine.begin() as one:
        one.execute(sa.text("delete from live_event where payload ? 'benchmark'"))
    shown("alarm to client", took, 1000)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", default="alliance")
    parser.add_argument("--places", type=int, default=2000)
    parser.add_argument("--alarms", type=int, default=200)
    given = parser.parse_args()
    settings = settings_module.load()
    engine = open_engine(settings)
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not (server.started and server.servers):
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    where(port, given.pack, given.places)
    alarms(engine, port, given.alarms)
    app.state.live.close()
    server.should_exit = True
    thread.join(10)
    engine.dispose()


if __name__ == "__main__":
    main()
