"""Prospective space-time scan: milliseconds per replicate, and how soon it gives up.

    python -m benchmarks.scan [--cells 10000] [--windows 30] [--replicates 20] [--smoke]

Cells on a jittered grid with lognormal exposures, a year of days, circles to 10 % of E, windows of 1 to 30
days that end today. No peer: no Python package for the scan statistic was found. The same windows are
also searched one by one (`each`), which must give the same maximum to the last digit. Processor
seconds of one thread.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from dataclasses import dataclass

import numpy as np

from geo.hotspots import Cancelled
from geo.hotspots.scan import Times, Windows, scan
from geo.hotspots.search import Search, Spans


@dataclass
class Clock:
    """Wall and processor seconds since the last question."""

    wall: float = 0.0
    cpu: float = 0.0

    def lap(self) -> tuple[float, float]:
        before = self.wall, self.cpu
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self.wall - before[0], self.cpu - before[1]


def main() -> int:
    """Read the options and run; 1 when the two searches differ or giving up takes a second."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--cells", type=int, default=10_000)
    options.add_argument("--windows", type=int, default=30)
    options.add_argument("--days", type=int, default=365)
    options.add_argument("--events", type=float, default=300.0, help="a day")
    options.add_argument("--replicates", type=int, default=20)
    options.add_argument("--smoke", action="store_true", help="smallest size, no goals")
    given = options.parse_args()
    cells, replicates = (400, 3) if given.smoke else (given.cells, given.replicates)
    rng = np.random.default_rng(1)
    at, side = np.arange(cells), int(np.ceil(np.sqrt(cells)))
    x = at % side * 800.0 + rng.normal(0, 1, cells)
    y = at // side * 800.0 + rng.normal(0, 1, cells)
    share = rng.lognormal(0, 0.8, cells)
    expected = np.tile(share / share.sum() * given.events, (given.days, 1))
    cases = rng.poisson(expected)
    clock = Clock()
    clock.lap()
    windows = Windows.build(x, y, expected)
    _, build = clock.lap()
    times = Times(given.windows)
    scan(cases, expected, windows, times, replicates=1)  # compiles
    clock.lap()
    scan(cases, expected, windows, times, replicates=0)
    _, observed = clock.lap()
    scan(cases, expected, windows, times, replicates=replicates)
    wall, cpu = clock.lap()
    wall, cpu = (1000 * t / replicates for t in (wall - observed, cpu - observed))
    print(
        f"# {cells:,} cells × {given.windows} windows, {int(cases.sum()):,} events in {given.days} "
        f"days: {windows.circles:,} circles, {windows.circles * given.windows:,} windows; one thread"
    )
    print(f"circles found {build:.1f} s, every window of the data {observed:.2f} s (cpu)")
    print(
        f"a replicate {cpu:.0f} ms cpu, {wall:.0f} ms wall; 999 replicates {cpu * 0.999:.0f} s cpu"
    )
    spans = Spans(given.days, 1, given.windows, False)
    search = Search(windows, spans, expected * (cases.sum() / expected.sum()), int(cases.sum()), 2)
    late = cases[spans.first :].astype(np.int32)
    plain = max(float(found.max()) for _, found, _, _ in search.each(late, None))
    same = search.largest(late, None) == plain
    print(f"largest LLR in blocks and one by one equal: {'yes' if same else 'NO'}")
    # processor seconds: on a busy machine the clock also counts what others do
    waits: list[float] = []
    before = time.process_time()

    def asked() -> bool:
        nonlocal before
        now = time.process_time()
        waits.append(now - before)
        before = now
        return len(waits) > 150

    with contextlib.suppress(Cancelled):
        again = Windows.build(x, y, expected, cancelled=asked)
        scan(cases, expected, again, times, cancelled=asked)
    print(
        f"longest time between two questions whether to give up {max(waits):.2f} s cpu (goal 1 s)"
    )
    return int(not same or (max(waits) > 1 and not given.smoke))


if __name__ == "__main__":
    sys.exit(main())
