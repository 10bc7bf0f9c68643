"""Gi* against the analytic form of esda on the same cells: time, and the z of both.

    python -m benchmarks.gi [--cells 50000] [--rounds 5] [--smoke]

H3 cells of resolution 8 in a filled disk, values with planted hotspots, rings of 1. esda has an
environment of its own (`.venv-bench`, made by `make bench`): it runs in a process there and reads
cells and neighbourhoods from a file. Both are timed with the neighbourhoods at hand, and without
esda's permutations; rounds are interleaved. Processor seconds of one thread, medians.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import h3
import numpy as np
import numpy.typing as npt

from geo.hotspots import gi

ROOT = Path(__file__).resolve().parents[1]
GOAL = 100.0
SAME = 1e-9

PEER = """
import sys, time, warnings
warnings.filterwarnings("ignore")
import numpy as np, esda, libpysal
from esda.getisord import G_Local
folder = sys.argv[1]
data = np.load(folder + "/map.npz")
indptr, indices, values = data["indptr"], data["indices"], data["values"]
near = {i: [int(j) for j in indices[indptr[i]:indptr[i + 1]]] for i in range(len(values))}
w = libpysal.weights.W(near, silence_warnings=True)
print(esda.__version__, flush=True)
for line in sys.stdin:
    wall, spent = time.perf_counter(), time.process_time()
    # binary weights, the cell itself among its neighbours, no permutations
    found = G_Local(values, w, transform="B", permutations=0, star=None)
    spent, wall = time.process_time() - spent, time.perf_counter() - wall
    np.save(folder + "/z.npy", found.Zs)
    print(wall, spent, flush=True)
"""


class Esda:
    """The peer's process; it has the map and its weights before the first question."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.folder = folder
        script = folder / "peer.py"
        script.write_text(PEER, encoding="utf-8")
        self.process = subprocess.Popen(
            [str(python), str(script), str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
        self.version = self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line:
            raise SystemExit("the peer ended; its words are above")
        return line

    def z(self) -> tuple[float, float, npt.NDArray[np.float64]]:
        """Wall seconds, processor seconds, z."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        wall, spent = (float(v) for v in self._line().split())
        return wall, spent, np.load(self.folder / "z.npy")

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def world(number: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.float64]]:
    """Cells of a filled disk around one place and standardised residuals with hotspots."""
    k = 0
    while 3 * k * (k + 1) + 1 < number:
        k += 1
    names = h3.grid_disk("88309ba6b1fffff", k)
    cells = np.sort(np.array([int(name, 16) for name in names], dtype=np.uint64))[:number]
    rng = np.random.default_rng(1)
    values = rng.normal(size=len(cells))
    values[rng.integers(0, len(cells), len(cells) // 100)] += 4
    return cells, values


def timed(values: npt.NDArray[np.float64], around: gi.Neighbours) -> tuple[float, float]:
    wall, spent = time.perf_counter(), time.process_time()
    gi.gi_star(values, around)
    return time.perf_counter() - wall, time.process_time() - spent


def main() -> int:
    """Read the options and run; 1 when the goal is missed or the z differ."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--cells", type=int, default=50_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--smoke", action="store_true", help="smallest size, no peer, no goal")
    given = options.parse_args()
    number, rounds = (500, 1) if given.smoke else (given.cells, given.rounds)
    cells, values = world(number)
    begun = time.process_time()
    around = gi.ring_neighbours(cells)
    build = time.process_time() - begun
    ours = gi.gi_star(values, around)
    spent: dict[str, list[tuple[float, float]]] = {"wusetu": []}
    print(
        f"# {len(cells):,} cells, {len(around.indices):,} neighbours (found in {build:.2f} s, "
        f"not in the times), {rounds} rounds, one thread"
    )
    worst = np.nan
    python = ROOT / ".venv-bench" / "bin" / "python"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peer = None
        if not given.smoke and python.exists():
            np.savez(
                folder / "map.npz", indptr=around.indptr, indices=around.indices, values=values
            )
            peer = Esda(python, folder)
            spent[f"esda {peer.version}"] = []
        for _ in range(rounds):
            # ours takes so little that one call measures the clock
            spent["wusetu"] += [timed(values, around) for _ in range(20)]
            if peer is not None:
                wall, cpu, theirs = peer.z()
                spent[f"esda {peer.version}"].append((wall, cpu))
                worst = float(np.abs(ours - theirs).max())
        if peer is not None:
            peer.close()
    print(
        f"{'':16}{'cpu ms':>10}{'wall ms':>10}{'ratio':>9}{'goal':>9}{'largest difference of z':>26}"
    )
    base = median(cpu for _, cpu in spent["wusetu"])
    missed = False
    for who, times in spent.items():
        wall, cpu = (1000 * median(t) for t in zip(*times, strict=True))
        ratio = cpu / 1000 / base
        other = who != "wusetu"
        missed |= other and (ratio < GOAL or not worst < SAME)
        goal = f"≥ {GOAL:.0f} ×" if other else ""
        print(f"{who:16}{cpu:10.2f}{wall:10.2f}{ratio:8.0f}×{goal:>9}{worst if other else 0:26.1e}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
