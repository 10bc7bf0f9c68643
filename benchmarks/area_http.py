"""Area counts through the web server: times of whole requests at 10 million events.

    python -m benchmarks.area_http [--events 10000000] [--requests 60] [--keep FOLDER]

A private cluster gets 15,000 grids (with villages, towns, counties), and the snapshot of the synthetic
events of `benchmarks.area` is published beside it as `wusetu cube build` does (the table of events stays
empty: a question reads the snapshot and what changed since, which is nothing). Then the real server is
started, and one client asks on one kept connection, one question after the other: circles of 1, 20 and
80 km at random places, given as circles and as GeoJSON, and the city's outline with 18,000 corners; part
days, half of the questions of all kinds and half of two, half of them with the breakdowns by kind and by
month. Printed are the times from the first byte sent to the last one read, and how much of it the server's
process computed on average (that changes less with other work on the machine, by half at most).
Goals: p50 at most 15 ms, p99 at most 60 ms. Ends with 1 when an answer was not 200.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import shapely

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.area import SPEC, events, outline  # noqa: E402
from benchmarks.load import Connection, quantile, served  # noqa: E402
from geo.cube import Snapshot  # noqa: E402
from geo.shapes import circle  # noqa: E402

ZONE = "Asia/Shanghai"
Times = dict[str, tuple[list[float], float]]


def publish(folder: Path, n: int, url: str) -> None:
    """Make a map with units and a snapshot of n events."""
    import yaml

    from app.database import make_engine, migrate, transaction
    from app.services import event_changes, snapshots
    from app.services.boundaries import import_units, newest_version
    from benchmarks.import_memory import units
    from geo.codes import load_layout

    migrate(url)
    engine = make_engine(url)
    layout = load_layout(yaml.safe_load((ROOT / "data/layouts/unified-27.yaml").read_text()))
    with transaction(engine) as connection:
        import_units(connection, pack="bench", label="1", frame=units(), layout=layout)
    snapshot = Snapshot.build(events(n), SPEC)
    with engine.connect() as connection:
        version = newest_version(connection, "bench").id
    with engine.connect() as connection, connection.begin():
        seen = event_changes.read_all(connection, "bench", version, extra_kinds=SPEC.kinds).moment
    snapshots._publish(
        engine, folder, snapshot, snapshots.silent,
        {
            "pack": "bench", "version": version, "zone": ZONE, "made_by": "build",
            "taken": seen.taken, "server": seen.server, "read_at": seen.at,
            "newest": None, "elsewhere": 0,
        },
    )  # fmt: skip
    engine.dispose()


def questions(n: int) -> dict[str, list[bytes]]:
    """Bodies by what they ask, n each; the same at every run."""
    dice = np.random.default_rng(3)
    whole = shapely.geometry.mapping(outline())
    found: dict[str, list[bytes]] = {}
    for name, metres in (("1 km", 1_000), ("20 km", 20_000), ("80 km", 80_000), ("city", 0)):
        for way in ("circle", "polygon") if metres else ("polygon",):
            bodies = []
            for i in range(n):
                lon, lat = float(dice.uniform(119.1, 120.4)), float(dice.uniform(29.6, 30.4))
                area: dict[str, Any] = {"geojson": whole}
                if way == "circle":
                    area = {"circle": {"lon": lon, "lat": lat, "metres": metres}}
                elif metres:
                    area = {"geojson": shapely.geometry.mapping(circle(lon, lat, metres))}
                asked: dict[str, Any] = {
                    "area": area, "start": "2023-03-01T06:30:00+08:00", "end": "2024-06-01",
                }  # fmt: skip
                asked |= {"breakdowns": ["kind", "month"]} if i % 2 else {}
                asked |= {"kinds": ["kind2", "kind5"]} if i % 4 >= 2 else {}
                bodies.append(json.dumps(asked).encode())
            found[f"{name}, {way}"] = bodies
    return found


def processor(address: str) -> float:
    """Seconds of processor time the server has used."""
    with urllib.request.urlopen(address + "metrics", timeout=60) as answer:
        found = re.search(r"^process_cpu_seconds_total (\S+)", answer.read().decode(), re.MULTILINE)
    assert found
    return float(found[1])


async def drive(address: str, asked: dict[str, list[bytes]]) -> tuple[Times, int]:
    """Ask everything; seconds of each request and of the server's processor, and wrong answers."""
    place = urlsplit(address)
    line = Connection(place.hostname or "127.0.0.1", place.port or 80)
    path, wrong = "/api/packs/bench/areas/count", 0
    took: Times = {}
    for bodies in asked.values():  # compiles what is not compiled yet, opens the snapshot
        for body in bodies[:4]:
            wrong += await line.ask(path, body) != 200
    for name, bodies in asked.items():
        times: list[float] = []
        before = processor(address)
        for body in bodies:
            begin = time.perf_counter()
            wrong += await line.ask(path, body) != 200
            times.append(time.perf_counter() - begin)
        took[name] = times, (processor(address) - before) / len(bodies)
    line.close()
    return took, wrong


def main() -> int:
    """Print the table; 1 when a question was not answered."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--requests", type=int, default=60, help="of each sort")
    parser.add_argument(
        "--keep", type=Path, help="folder for database and snapshot; else a new one"
    )
    parser.add_argument("--address", help="of a server that has it all: ask it, make nothing")
    chosen = parser.parse_args()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, shapely {shapely.__version__}, "
          f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)  # fmt: skip
    asked = questions(chosen.requests)
    if chosen.address:
        took, wrong = asyncio.run(drive(chosen.address, asked))
        return report(took, wrong, chosen.events)
    from app.cluster import Cluster

    with tempfile.TemporaryDirectory(prefix="wusetu-http-") as place:
        folder = chosen.keep or Path(place)
        there = (folder / "snapshots").exists()
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)  # the cluster's user must get through
        cluster = Cluster(folder)
        cluster.start()
        try:
            url = cluster.url("bench")
            if not there:
                cluster.create_database("bench")
                publish(folder, chosen.events, url)
            os.environ |= {"WUSETU_DATABASE_URL": url, "WUSETU_DATA_DIR": str(folder)}
            with served(None) as address:
                took, wrong = asyncio.run(drive(address, asked))
        finally:
            cluster.stop()
    return report(took, wrong, chosen.events)


def report(took: Times, wrong: int, n: int) -> int:
    """Print the table; 1 when a question was not answered."""
    print(
        f"\n{n:,} events, one client\n\n"
        "| area | requests | p50, ms | p99, ms | most, ms | of the server's processor, ms |"
    )
    print("|---|---|---|---|---|---|")
    every = [second for times, _ in took.values() for second in times]
    mean = sum(cpu for _, cpu in took.values()) / len(took)
    for name, (times, cpu) in [*took.items(), ("all", (every, mean))]:
        print(
            f"| {name} | {len(times)} | {quantile(times, 0.5):.1f} | {quantile(times, 0.99):.1f} | "
            f"{max(times) * 1000:.1f} | {cpu * 1000:.1f} |"
        )
    print(f"\nload at the end {os.getloadavg()[0]:.1f}; answers other than 200: {wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
