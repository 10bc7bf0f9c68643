"""Area counts: the cube against a vectorised scan and PostGIS, in one run, one thread each.

    python -m benchmarks.area [--events 10000000] [--more 50000000] [--rounds 9] [--keep FOLDER] [--no-postgis]

Synthetic events over the extent of Hangzhou (the same at every run): 400 clusters 3 km wide, a third spread
evenly, three in a thousand around one market 400 m wide; 10 kinds, two years. Asked: how many events, of all
kinds, on whole days and part days in a circle of 1 km (at a random place, at the one with the median count
of 201 random places where anything happened, at the busiest of them, at the market), of 20 and 80 km and in
the city's outline with 18,000 vertices. The cube's time is that of the whole question in Python, from the
polygon as `geo.shapes` makes it to the answer; making polygons is not part of anybody's time.
Peers: numpy (box and time first, then `shapely.intersects_xy` on the prepared area) on arrays in memory,
and PostGIS `ST_Covers` with a GiST index in a private cluster, all in its memory. PostGIS is asked in two
ways, the area in the statement and the area in a row of a table, stored out of line (then it does not
compare the whole area with the one before for each event); the quicker one counts. What takes longer than 5 s
is asked twice, what takes longer than half a second three times (`rounds`).
`--more`: a second, larger set, of which only the cube is asked. Building is not part of the times.
This compares precomputation with scanning. Times are processor time of the one thread that answers
(of PostGIS: of its server process alone), so that other work on the machine does not decide them.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import shapely

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from geo.cube import Columns, Question, Snapshot, Spec, ask, store  # noqa: E402
from geo.shapes import circle, from_geojson  # noqa: E402

BOUNDS = (118.339744, 29.191556, 120.717682, 30.565534)
MARKET = (120.02, 30.11)
SLOW = 5.0  # seconds; of what takes longer two answers must do
T0, DAY, DAYS = 1_672_502_400, 86_400, 731
SPEC = Spec(tuple(f"kind{k}" for k in range(10)))
SPANS = {
    "whole days": (T0 + 100 * DAY, T0 + 465 * DAY),
    "part days": (T0 + 100 * DAY + 7_777, T0 + 465 * DAY + 5_555),
}


def events(n: int) -> Columns:
    """Make n events; the same every time."""
    rng = np.random.default_rng(20_240_101)
    low, high = np.array(BOUNDS[:2]), np.array(BOUNDS[2:])
    seats = rng.uniform(low, high, (400, 2))
    seat = rng.integers(0, 400, n)
    at = seats[seat] + rng.normal(0, 0.03, (n, 2))
    spread = rng.random(n) < 1 / 3
    at[spread] = rng.uniform(low, high, (int(spread.sum()), 2))
    time = T0 + rng.integers(0, DAYS * DAY, n)
    kind = rng.integers(0, 10, n)
    there = rng.random(n) < 0.003
    at[there] = MARKET + rng.normal(0, 0.004, (int(there.sum()), 2))
    return Columns(
        at[:, 0].copy(),
        at[:, 1].copy(),
        time,
        kind.astype(np.uint8),
        seat.astype(np.int32) + 1,
        (seat % 3).astype(np.uint8),
    )


def outline(vertices: int = 18_000) -> shapely.MultiPolygon:
    """Make a winding outline as large as the city, valid, with so many vertices."""
    rng = np.random.default_rng(7)
    angle = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    wave = sum(
        rng.normal() / f * np.sin(f * angle + rng.uniform(0, 6))
        for f in (2, 3, 5, 8, 13, 40, 90, 300)
    )
    radius = 1 + 0.12 * wave + rng.normal(0, 2e-5, vertices)
    x = (BOUNDS[0] + BOUNDS[2]) / 2 + 0.93 * radius * np.cos(angle)
    y = (BOUNDS[1] + BOUNDS[3]) / 2 + 0.55 * radius * np.sin(angle)
    return from_geojson(shapely.geometry.mapping(shapely.Polygon(np.column_stack([x, y]))))


def areas(snapshot: Snapshot) -> dict[str, shapely.MultiPolygon]:
    """Make what is asked; of small circles at places that differ in what happens there."""
    dice = np.random.default_rng(11)
    places = dice.uniform(np.add(BOUNDS[:2], 0.02), np.subtract(BOUNDS[2:], 0.02), (201, 2))
    whole = SPANS["whole days"]
    rounds = [circle(lon, lat, 1_000) for lon, lat in places.tolist()]
    counts = np.array([ask(snapshot, Question(one, *whole)).total for one in rounds])
    order = np.argsort(counts, kind="stable")
    order = order[counts[order] > 0]
    return {
        "1 km, random": rounds[0],
        "1 km, median": rounds[order[len(order) // 2]],
        "1 km, busiest of 201": rounds[order[-1]],
        "1 km, market": circle(*MARKET, 1_000),
        "20 km": circle(120.155, 30.27, 20_000),
        "80 km": circle(119.6, 29.9, 80_000),
        "city": outline(),
    }


@dataclass
class Scan:
    """Box and time on whole arrays, then the prepared area."""

    rows: Columns

    def __call__(self, area: shapely.MultiPolygon, start: int, end: int) -> int:
        r = self.rows
        west, south, east, north = area.bounds
        at = np.flatnonzero(
            (r.lon >= west) & (r.lon <= east) & (r.lat >= south) & (r.lat <= north)
            & (r.time >= start) & (r.time < end)
        )  # fmt: skip
        return int(shapely.intersects_xy(area, r.lon[at], r.lat[at]).sum())


class PostGIS:
    """A table with a GiST index in a private cluster, no parallel workers."""

    def __init__(self, folder: Path, rows: Columns) -> None:
        from app.cluster import Cluster
        from app.database import make_engine

        self.cluster = Cluster(folder)
        self.cluster.start()
        try:
            self._load(rows, make_engine)
        except BaseException:
            self.cluster.stop()
            raise

    def _load(self, rows: Columns, make_engine: Callable[[str], Any]) -> None:
        import pyarrow as pa
        import pyarrow.csv  # not above: it would count as memory of the cube

        self.engine = make_engine(self.cluster.url("postgres"))
        self.raw: Any = self.engine.raw_connection()
        self.cursor = self.raw.cursor()
        self.cursor.execute("create extension if not exists postgis")
        self.cursor.execute(
            "set maintenance_work_mem = '1GB'; set max_parallel_workers_per_gather = 0"
        )
        self.cursor.execute("create unlogged table given (x float8, y float8, t bigint)")
        for first in range(0, len(rows), 1_000_000):
            part = slice(first, first + 1_000_000)
            text = io.BytesIO()
            table = pa.table({"x": rows.lon[part], "y": rows.lat[part], "t": rows.time[part]})
            pyarrow.csv.write_csv(table, text, pyarrow.csv.WriteOptions(include_header=False))
            text.seek(0)
            self.cursor.copy_expert("copy given from stdin (format csv)", text)
        self.cursor.execute(
            "create unlogged table event as select ST_SetSRID(ST_MakePoint(x, y), 4326) as geom, t from given"
        )
        self.cursor.execute("drop table given")
        self.cursor.execute("create index on event using gist (geom)")
        self.raw.commit()
        self.raw.driver_connection.autocommit = True
        self.cursor.execute("vacuum analyze event")
        self.cursor.execute("create temp table asked (geom geometry)")
        self.cursor.execute("alter table asked alter column geom set storage external")
        self.area: shapely.MultiPolygon | None = None
        self.in_table = True
        self.cursor.execute("select pg_backend_pid()")
        self.process = self.cursor.fetchone()[0]
        self.cursor.execute("select version() || ', PostGIS ' || PostGIS_Lib_Version()")
        self.version = self.cursor.fetchone()[0].replace(" on ", ", ").split(",")
        self.version = f"{self.version[0]}, {self.version[-1].strip()}"

    def ready(self, area: shapely.MultiPolygon, start: int, end: int) -> None:
        """Choose the quicker way before anything is timed."""
        if area is not self.area:
            self.area = area
            self.cursor.execute(
                "truncate asked; insert into asked select ST_GeomFromWKB(%s, 4326)",
                (shapely.to_wkb(area),),
            )
            took = {}
            for in_table in (True, False):
                if not in_table and shapely.get_num_coordinates(area) > 5_000:
                    continue  # minutes instead of seconds
                self.in_table = in_table
                for _ in range(2):  # everything is in memory the second time
                    begin = self.clock()
                    self.ask(start, end)
                    took[in_table] = self.clock() - begin
                    if took[in_table] > SLOW:
                        break
            self.in_table = min(took, key=took.__getitem__)

    def ask(self, start: int, end: int) -> int:
        """Count in the area given last."""
        if self.in_table:
            self.cursor.execute(
                "select count(*) from asked, event"
                " where ST_Covers(asked.geom, event.geom) and t >= %s and t < %s",
                (start, end),
            )
        else:
            self.cursor.execute(
                "select count(*) from event"
                " where ST_Covers(ST_GeomFromWKB(%s, 4326), geom) and t >= %s and t < %s",
                (shapely.to_wkb(self.area), start, end),
            )
        return int(self.cursor.fetchone()[0])

    def __call__(self, area: shapely.MultiPolygon, start: int, end: int) -> int:
        self.ready(area, start, end)
        return self.ask(start, end)

    def clock(self) -> float:
        """Processor seconds of the server's process for this connection (Linux)."""
        return int(Path(f"/proc/{self.process}/schedstat").read_text().split()[0]) / 1e9

    def close(self) -> None:
        self.raw.close()
        self.engine.dispose()
        self.cluster.stop()


def cube(snapshot: Snapshot) -> Callable[[shapely.MultiPolygon, int, int], int]:
    """Ask the cube."""
    return lambda area, start, end: ask(snapshot, Question(area, start, end)).total


def measure(
    ways: dict[str, Callable[..., int]], rounds: int, snapshot: Snapshot
) -> Iterator[tuple[str, str, dict[str, tuple[float, float, int, int]]]]:
    """Median and least milliseconds, rounds, and count, of every way for every question; the ways take turns."""
    for name, area in areas(snapshot).items():
        shapely.prepare(area)
        for span, (start, end) in SPANS.items():
            for function in ways.values():
                if isinstance(function, PostGIS):
                    function.ready(area, start, end)
            took: dict[str, list[float]] = {way: [] for way in ways}
            counts: dict[str, int] = {}
            for turn in range(rounds):
                for way, function in ways.items():
                    # what takes seconds is asked two or three times, the quick ones in every round
                    if turn >= 2 and np.median(took[way]) > (0.5 if turn >= 3 else SLOW):
                        continue
                    for _ in range(5 if way in {"cube", "before"} else 1):
                        clock = getattr(function, "clock", time.thread_time)
                        begin = clock()
                        counts[way] = function(area, start, end)
                        took[way].append(clock() - begin)
            yield (
                name,
                span,
                {
                    way: (
                        1000 * float(np.median(every)),
                        1000 * min(every),
                        len(every),
                        counts[way],
                    )
                    for way, every in took.items()
                },
            )


def resident(folder: Path) -> tuple[float, float]:
    """MB of a process that has asked everything, and after it has touched every byte."""
    code = (
        "import sys; from pathlib import Path; from benchmarks.area import *\n"
        "snapshot = Snapshot.load(Path(sys.argv[1]), verify=False); way = cube(snapshot)\n"
        "def now():\n"
        "    text = Path('/proc/self/status').read_text()\n"
        "    return int(text.split('VmRSS:')[1].split()[0]) / 1024\n"
        "for area in areas(snapshot).values(): [way(area, *span) for span in SPANS.values()]\n"
        "asked = now()\n"
        "for array in snapshot.arrays.values(): array.sum()\n"
        "print(asked, now())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    asked, touched = done.stdout.split()
    return float(asked), float(touched)


def prepare(n: int, folder: Path) -> Snapshot:
    """Snapshot of n events, opened from disk."""
    if not folder.exists():
        rows = events(n)
        begin = time.perf_counter()
        made = Snapshot.build(rows, SPEC)
        built = time.perf_counter() - begin
        made.save(folder)
        print(f"\n{n:,} events: built in {built:.1f} s, {made.nbytes / 1e6:,.0f} MB of files")
        del rows, made
    else:
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(f"\n{n:,} events: opened as they were kept, {size / 1e6:,.0f} MB of files")
        for path in folder.glob("*.npy"):
            store.forget(path)  # as after a start of the machine, whoever read them since
    Snapshot.load(folder)  # from disk, as the server does it
    resident(folder)  # compiles what is not compiled yet, which takes memory of its own
    asked, touched = resident(folder)
    allowed = 25 * n / 1e6 + 400
    print(f"resident memory: {asked:,.0f} MB when all was asked, {touched:,.0f} MB with every byte read; "
          f"25 B per event + 400 MB = {allowed:,.0f} MB", flush=True)  # fmt: skip
    return Snapshot.load(folder, verify=False)


def compare(ways: dict[str, Any], rounds: int, snapshot: Snapshot) -> bool:
    """Print a row as soon as it was measured; whether all counts are equal."""
    peers = [way for way in ways if way != "cube"]
    print(
        "\n| area | time | events | cube, ms | least | "
        + " | ".join(f"{p}, ms | rounds | ratio" for p in peers)
        + " | equal |"
    )
    print("|---|---|---|---|---|" + "---|---|---|" * len(peers) + "---|", flush=True)
    equal = True
    for name, span, one in measure(ways, rounds, snapshot):
        ours, least, _, total = one["cube"]
        same = len({count for *_, count in one.values()}) == 1
        equal &= same
        cells = "".join(
            f" {one[p][0]:.{1 if one[p][0] < 100 else 0}f} | {one[p][2]} | {one[p][0] / ours:.0f} × |"
            for p in peers
        )
        print(
            f"| {name} | {span} | {total:,} | {ours:.3f} | {least:.3f} |{cells} {'yes' if same else 'NO'} |",
            flush=True,
        )
    return equal


def main() -> int:
    """Print the tables; 1 when counts differ."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--more", type=int, default=50_000_000, help="0: no second set")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--keep", type=Path, help="folder for the snapshots, used again when there")
    parser.add_argument("--no-postgis", action="store_true")
    args = parser.parse_args()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, numba {numba.__version__}, "
          f"shapely {shapely.__version__} (GEOS {shapely.geos_version_string}), "
          f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="wusetu-area-") as place:
        folder = Path(place)
        folder.chmod(0o755)  # the cluster's user must get through
        kept = args.keep or folder
        snapshot = prepare(args.events, kept / f"events-{args.events}")
        rows = events(args.events)
        ways: dict[str, Any] = {"cube": cube(snapshot), "numpy": Scan(rows)}
        server = None
        try:
            if not args.no_postgis:
                server = PostGIS(folder / "data", rows)
                print(server.version)
                ways["PostGIS"] = server
            equal = compare(ways, args.rounds, snapshot)
        finally:
            if server:
                server.close()
        if args.more:
            del rows, ways
            larger = prepare(args.more, kept / f"events-{args.more}")
            second = measure(
                {"before": cube(snapshot), "cube": cube(larger)}, args.rounds, snapshot
            )
            print(f"\n| area | time | events | {args.events:,}: ms | least | {args.more:,}: ms | least "
                  "| growth | of the least |\n|---|---|---|---|---|---|---|---|---|")  # fmt: skip
            for name, span, one in second:
                ours, least, _, total = one["cube"]
                before, least_before, *_ = one["before"]
                print(
                    f"| {name} | {span} | {total:,} | {before:.3f} | {least_before:.3f} | {ours:.3f} | "
                    f"{least:.3f} | {ours / before:.2f} × | {least / least_before:.2f} × |",
                    flush=True,
                )
        print(
            f"\nload at the end {os.getloadavg()[0]:.1f}; all counts equal: {'yes' if equal else 'NO'}"
        )
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
