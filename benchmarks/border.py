"""Four sides alone and together: the simulation of METHODS 9.

    python -m benchmarks.border [--maps 400] [--replicates 239] [--seed 20260101] [--smoke]

20 × 20 cells in four quadrants, the sides; a 4 × 4 cluster of doubled risk on the corner where they
meet, Poisson counts around a mean per cell, circles to 25 % of E, α = .05 for all pooled and α / 4 for
each side alone. A cluster is found when a significant window holds one of its cells. A false alarm
is a significant window on a map without a cluster; "30 % more" is a map whose first side records
1.3 times what the others do. Prints one line per bar with what was measured; exit code 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo.hotspots.pooled import TOGETHER, PooledResult, pooled_scan
from geo.hotspots.scan import ScanResult, Windows, scan

SIDE = 20
ALPHA = 0.05
SHARE = 0.25
_GRID = np.arange(SIDE * SIDE)
X, Y = (_GRID % SIDE) * 1000.0, (_GRID // SIDE) * 1000.0
SIDES = (_GRID % SIDE >= SIDE // 2) + 2 * (_GRID // SIDE >= SIDE // 2)
HOT = (np.abs(_GRID % SIDE - 9.5) < 2) & (np.abs(_GRID // SIDE - 9.5) < 2)
EVEN = np.ones(SIDE * SIDE)


@dataclass(frozen=True)
class Row:
    """One bar: what was asked, what was found; without a bar it is for information."""

    case: str
    what: str
    measured: float
    maps: int
    bar: float | None = None
    at_most: bool = False
    told: str = ""

    @property
    def passed(self) -> bool:
        if self.bar is None:
            return True
        return self.measured <= self.bar if self.at_most else self.measured >= self.bar

    def __str__(self) -> str:
        error = math.sqrt(self.measured * (1 - self.measured) / self.maps)
        line = f"{self.case:<34} {self.what:<30} {self.measured:6.3f} ± {error:.3f}"
        if self.bar is None:
            return f"{line}  (no bar) {self.told}"
        sign = "≤" if self.at_most else "≥"
        return f"{line}  {sign} {self.bar:<5g} {'pass' if self.passed else 'MISS'} {self.told}"


def hits(result: ScanResult, level: float) -> bool:
    """A significant window holds a cell of the planted cluster."""
    return any(c.p <= level and HOT[c.members].any() for c in result.clusters)


MEANS = (2.0, 1.0)


def maps_with_cluster(mean: float, maps: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Counts of maps with the planted cluster."""
    rng = np.random.default_rng([seed, int(10 * mean)])
    for _ in range(maps):
        yield rng.poisson(mean * np.where(HOT, 2.0, 1.0))


def power_rows(maps: int, replicates: int, seed: int) -> Iterator[Row]:
    """Power of the pooled scan with the factor, RR 2."""
    windows = Windows.build(X, Y, EVEN, SHARE)
    for mean, bar, told in zip(MEANS, (0.82, 0.46), ("[.87]", "[.53]"), strict=True):
        found = sum(
            hits(scan(cases, EVEN, windows, replicates=replicates, seed=k, groups=SIDES), ALPHA)
            for k, cases in enumerate(maps_with_cluster(mean, maps, seed))
        )
        yield Row(f"RR 2, mean {mean:g}", "pooled, with factor", found / maps, maps, bar, told=told)


def together_rows(maps: int, replicates: int, seed: int) -> Iterator[Row]:
    """Of the same maps: what the four find alone, and what is only visible together."""
    for mean, told in zip(MEANS, ("[.40–.45]", "[.17]"), strict=True):
        found: list[PooledResult] = [
            pooled_scan(
                cases, EVEN, SIDES, X, Y, alpha=ALPHA, max_share=SHARE, replicates=replicates, seed=k
            )
            for k, cases in enumerate(maps_with_cluster(mean, maps, seed))
        ]  # fmt: skip
        alone = [any(hits(a, r.alpha_alone) for a in r.alone) for r in found]
        anything = [any(c.p <= r.alpha_alone for a in r.alone for c in a.clusters) for r in found]
        together = [
            any(c.seen == TOGETHER and HOT[c.cluster.members].any() for c in r.clusters)
            for r in found
        ]
        case = f"RR 2, mean {mean:g}"
        yield Row(case, "four alone", float(np.mean(alone)), maps, told=told)
        yield Row(case, "four alone, anything at all", float(np.mean(anything)), maps)
        yield Row(case, "only visible together", float(np.mean(together)), maps)


def false_alarm_rows(maps: int, replicates: int, seed: int) -> Iterator[Row]:
    """False alarms without a cluster: even recording, and one side that records 30 % more."""
    windows = Windows.build(X, Y, EVEN, SHARE)
    more = np.where(SIDES == 0, 1.3, 1.0)
    for case, risk, factor, bar, told in (
        ("no cluster, mean 2", EVEN, True, 0.07, ""),
        ("no cluster, one side 30 % more", more, True, 0.07, "[.054]"),
        ("no cluster, one side 30 % more", more, False, None, "[.55]"),
    ):
        rng = np.random.default_rng([seed, 7])
        alarms = 0
        for trial in range(maps):
            result = scan(
                rng.poisson(2.0 * risk), EVEN, windows, replicates=replicates, seed=trial,
                groups=SIDES if factor else None,
            )  # fmt: skip
            alarms += bool(result.clusters and result.clusters[0].p <= ALPHA)
        what = f"pooled, {'with' if factor else 'without'} factor"
        yield Row(case, what, alarms / maps, maps, bar, at_most=True, told=told)


def alone_rows(maps: int, replicates: int, seed: int) -> Iterator[Row]:
    """False alarms of the four alone: the same budget as the pooled scan."""
    rng = np.random.default_rng([seed, 8])
    parts = []
    for side in range(4):
        here: npt.NDArray[np.int64] = np.flatnonzero(side == SIDES)
        parts.append((here, Windows.build(X[here], Y[here], EVEN[here], SHARE)))
    alarms = 0
    for trial in range(maps):
        cases = rng.poisson(2.0, SIDE * SIDE)
        alarms += any(
            scan(
                cases[here], EVEN[here], windows, replicates=replicates, seed=4 * trial + side
            ).clusters[0].p
            <= ALPHA / 4
            for side, (here, windows) in enumerate(parts)
        )  # fmt: skip
    yield Row("no cluster, mean 2", "four alone", alarms / maps, maps, 0.07, at_most=True)


TABLES = (power_rows, together_rows, false_alarm_rows, alone_rows)


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 when a bar is missed."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--maps", type=int, default=400)
    options.add_argument("--replicates", type=int, default=239)
    options.add_argument("--seed", type=int, default=20260101)
    options.add_argument("--smoke", action="store_true", help="smallest size, no bars")
    given = options.parse_args(arguments)
    maps, replicates = (3, 79) if given.smoke else (given.maps, given.replicates)
    print(f"# {maps} maps of {SIDE} × {SIDE} cells, {replicates} replicates, seed {given.seed}")
    missed = 0
    for table in TABLES:
        for row in table(maps, replicates, given.seed):
            print(row, flush=True)
            missed += not row.passed
    print("all bars met" if not missed else f"{missed} bars missed")
    return int(bool(missed) and not given.smoke)


if __name__ == "__main__":
    sys.exit(main())
