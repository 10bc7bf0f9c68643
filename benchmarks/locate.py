"""Locate points in the finest units of the sample against three peers, index resident.

    python -m benchmarks.locate [--pack hangzhou[+alliance]] [--points 1000000] [--rounds 5] [--border 550000]
    python -m benchmarks.locate --smoke

Peers: geopandas.sjoin, a shapely tree of the points queried with prepared polygons, and SedonaDB
(in `.venv-bench`, made by scripts/bench.sh; left out where it is not there). Each on one thread,
rounds interleaved, medians; every process stays on one core. Ratios are of processor seconds: on a
quiet machine that is the time on the wall, which is printed beside it. Points fall into the box of
a unit picked at random, so dense towns get most of them and some lie outside of all. The peers'
polygons are indexed or in memory beforehand where they can keep an index (geopandas: tree of
polygons; shapely: prepared polygons; SedonaDB builds one per query); what they make of the points is
part of the time, reading the answer is not. Then every answer is compared, also on points on the
borders (vertices, edge midpoints, points on edges, each moved by one ulp). Exit code 1 when a goal
is missed or an answer of ours differs from GEOS.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely

from geo.locate import LocateIndex

ROOT = Path(__file__).resolve().parent.parent
GOALS = {"geopandas.sjoin": 30.0, "shapely tree of points": 15.0, "SedonaDB": 20.0}
NOTHING = np.iinfo(np.int32).max

Points = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int32]

# runs in .venv-bench: reads both tables once, then one join per line, and says seconds
SEDONA = """
import json, sys, time
import geopandas, numpy, pyarrow, sedonadb
folder = sys.argv[1]
sd = sedonadb.connect()
sd.sql("SET datafusion.execution.target_partitions = 1").execute()
grids = geopandas.read_parquet(folder + "/units.parquet")
sd.create_data_frame(grids).to_memtable().to_view("units")
for name in ("points", "border"):
    p = numpy.load(folder + "/" + name + ".npy")
    table = pyarrow.table({"i": numpy.arange(len(p)), "x": p[:, 0], "y": p[:, 1]})
    sd.create_data_frame(table).to_view("raw_" + name)
    made = sd.sql("select i, ST_Point(x, y, 4326) as geometry from raw_" + name)
    made.to_memtable().to_view(name)
print(json.dumps(sedonadb.__version__), flush=True)
for line in sys.stdin:
    name = line.strip()
    wall, processor = time.perf_counter(), time.process_time()
    found = sd.sql(
        "select p.i, u.id from units u join " + name + " p on ST_Intersects(u.geometry, p.geometry)"
    ).to_arrow_table()
    spent = [time.perf_counter() - wall, time.process_time() - processor]
    numpy.save(folder + "/answer.npy", numpy.column_stack([found["i"], found["id"]]))
    print(json.dumps(spent), flush=True)
"""


def leaves(packs: str) -> npt.NDArray[np.object_]:
    """Finest units of sample packs (joined by `+`), each in code order."""
    return np.concatenate([_leaves(pack) for pack in packs.split("+")])


def _leaves(pack: str) -> npt.NDArray[np.object_]:
    """Those whose code begins no other."""
    frame = gpd.read_parquet(ROOT / "data" / "boundaries" / pack / "units.parquet")
    frame = frame.sort_values("code")
    above = {code[:k] for code in frame.code for k in range(2, len(code))}
    return np.asarray(frame.geometry[~frame.code.isin(above)].to_numpy())


def scattered(shapes: npt.NDArray[np.object_], n: int, rng: np.random.Generator) -> Points:
    """Points in the boxes of units picked at random."""
    bounds = shapely.bounds(shapes)[rng.integers(0, len(shapes), n)]
    return rng.uniform(bounds[:, :2], bounds[:, 2:])


def on_borders(shapes: npt.NDArray[np.object_], n: int, rng: np.random.Generator) -> Points:
    """Vertices, edge midpoints and points on edges, each also one ulp aside in x and y."""
    rings = shapely.get_rings(shapely.get_parts(shapes))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    same = ring[1:] == ring[:-1]
    pick = rng.permutation(int(same.sum()))[: n // 27 + 1]
    a, b = points[:-1][same][pick], points[1:][same][pick]
    base = np.concatenate([a, (a + b) / 2, a + rng.random((len(a), 1)) * (b - a)])
    x = [base[:, 0], *(np.nextafter(base[:, 0], to) for to in (-np.inf, np.inf))]
    y = [base[:, 1], *(np.nextafter(base[:, 1], to) for to in (-np.inf, np.inf))]
    pool = np.concatenate([np.column_stack([i, j]) for i in x for j in y])
    return np.ascontiguousarray(pool[rng.permutation(len(pool))[:n]])


def lowest(n: int, point: npt.ArrayLike, unit: npt.ArrayLike) -> Ids:
    """One id per point (n,) out of pairs: the lowest, 0 for none."""
    found = np.full(n, NOTHING, dtype=np.int32)
    np.minimum.at(found, np.asarray(point), np.asarray(unit, dtype=np.int32))
    return np.where(found == NOTHING, 0, found).astype(np.int32)


class Contest:
    """Everybody's polygons, ready; each contestant maps points to (seconds, ids)."""

    def __init__(self, shapes: npt.NDArray[np.object_], sets: dict[str, Points]) -> None:
        self.sets = sets
        self.ids = np.arange(1, len(shapes) + 1, dtype=np.int32)
        begin = time.process_time()
        index = LocateIndex.build(shapes, self.ids)
        self.build = time.process_time() - begin
        self.folder = tempfile.TemporaryDirectory(prefix="wusetu-locate-")
        self.path = Path(self.folder.name)
        index.save(self.path / "index")
        begin = time.process_time()
        self.index = LocateIndex.load(self.path / "index")
        self.load = time.process_time() - begin
        self.bytes = sum(f.stat().st_size for f in (self.path / "index").iterdir())
        self.frame = gpd.GeoDataFrame({"id": self.ids}, geometry=shapes, crs="EPSG:4326")
        assert len(self.frame.sindex) == len(shapes)
        self.prepared = np.array([shapely.from_wkb(shapely.to_wkb(one)) for one in shapes])
        shapely.prepare(self.prepared)
        self.frame.to_parquet(self.path / "units.parquet")
        for name, points in sets.items():
            np.save(self.path / f"{name}.npy", points)

    def wusetu(self, name: str) -> tuple[float, float, Ids]:
        points = self.sets[name]
        x, y = np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])
        wall, processor = time.perf_counter(), time.process_time()
        found = self.index.locate(x, y)
        return time.perf_counter() - wall, time.process_time() - processor, found

    def geopandas(self, name: str) -> tuple[float, float, Ids]:
        points = gpd.GeoDataFrame(geometry=shapely.points(self.sets[name]), crs="EPSG:4326")
        wall, processor = time.perf_counter(), time.process_time()
        pairs = gpd.sjoin(points, self.frame, predicate="intersects")
        spent = time.perf_counter() - wall, time.process_time() - processor
        return *spent, lowest(len(points), pairs.index, pairs["id"])

    def tree(self, name: str) -> tuple[float, float, Ids]:
        points = shapely.points(self.sets[name])
        wall, processor = time.perf_counter(), time.process_time()
        unit, point = shapely.STRtree(points).query(self.prepared, predicate="covers")
        spent = time.perf_counter() - wall, time.process_time() - processor
        return *spent, lowest(len(points), point, self.ids[unit])


class Sedona:
    """SedonaDB in a process of its own."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [str(python), "-c", SEDONA, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.version = str(self._answer())

    def _answer(self) -> object:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("SedonaDB stopped: see above")
        return json.loads(line)

    def __call__(self, name: str) -> tuple[float, float, Ids]:
        assert self.process.stdin is not None
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        wall, processor = self._answer()  # type: ignore[misc]
        pairs = np.load(self.folder / "answer.npy")
        points = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return wall, processor, lowest(len(points), pairs[:, 0], pairs[:, 1])

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@dataclass(frozen=True)
class Size:
    """How much; `every`: of the units only each so-manieth."""

    points: int = 1_000_000
    rounds: int = 5
    border: int = 550_000
    every: int = 1


SMOKE = Size(points=2000, rounds=1, border=2000, every=15)


def run(pack: str, size: Size, sedona: Path) -> int:
    """Run and print; 1 when a goal is missed (but for SMOKE) or an answer differs from GEOS."""
    rng = np.random.default_rng(1)
    shapes, rounds = leaves(pack)[:: size.every], size.rounds
    sets = {
        "points": scattered(shapes, size.points, rng),
        "border": on_borders(shapes, size.border, rng),
    }
    contest = Contest(shapes, sets)
    contestants: dict[str, Callable[[str], tuple[float, float, Ids]]] = {
        "wusetu": contest.wusetu,
        "geopandas.sjoin": contest.geopandas,
        "shapely tree of points": contest.tree,
    }
    versions = f"geopandas {gpd.__version__}, shapely {shapely.__version__}"
    versions += f" (GEOS {shapely.geos_version_string})"
    with ExitStack() as stack:
        stack.callback(contest.folder.cleanup)
        if sedona.exists() and size != SMOKE:
            peer = Sedona(sedona, contest.path)
            stack.callback(peer.close)
            contestants["SedonaDB"] = peer
            versions += f", SedonaDB {peer.version}"
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
        answers: dict[str, Ids] = {}
        contest.wusetu("points")  # compiles
        for _ in range(rounds):
            for name, locate in contestants.items():
                wall, processor, answers[name] = locate("points")
                spent[name].append((processor, wall))
        borders = {name: locate("border")[2] for name, locate in contestants.items()}
    print(
        f"# {size.points:,} points, {len(shapes):,} units of {pack}, {rounds} rounds, one thread; {versions}"
    )
    print(
        f"# our index: built once in {contest.build:.1f} s, opened in {contest.load:.2f} s, "
        f"{contest.bytes / 1e6:.0f} MB; {(answers['wusetu'] == 0).mean():.1%} of the points in no unit"
    )
    print(
        f"# {len(sets['border']):,} points on borders; differences from the tree's answers (GEOS)"
    )
    print(f"{'':24}{'cpu s':>9}{'wall s':>9}{'ratio':>9}{'goal':>8}{'differ':>9}{'on borders':>12}")
    truth, border_truth = answers["shapely tree of points"], borders["shapely tree of points"]
    ours = median(p for p, _ in spent["wusetu"])
    missed = False
    for name, times in spent.items():
        processor, wall = (median(t) for t in zip(*times, strict=True))
        ratio, goal = processor / ours, GOALS.get(name)
        differ = int((answers[name] != truth).sum())
        on_border = int((borders[name] != border_truth).sum())
        missed |= goal is not None and ratio < goal and size != SMOKE
        missed |= name == "wusetu" and differ + on_border > 0
        wanted = f"≥ {goal:.0f} ×" if goal else ""
        print(
            f"{name:24}{processor:9.3f}{wall:9.3f}{ratio:8.1f}×{wanted:>8}{differ:9,}{on_border:12,}"
        )
    return int(missed)


def main() -> int:
    """Read the options and run."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--pack", default="hangzhou")
    options.add_argument("--points", type=int, default=Size.points)
    options.add_argument("--rounds", type=int, default=Size.rounds)
    options.add_argument("--border", type=int, default=Size.border)
    options.add_argument(
        "--smoke", action="store_true", help="smallest size, no goals, no SedonaDB"
    )
    given = options.parse_args()
    size = SMOKE if given.smoke else Size(given.points, given.rounds, given.border)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    python = ROOT / ".venv-bench" / "bin" / "python"
    return run(given.pack, size, python)


if __name__ == "__main__":
    sys.exit(main())
