"""Operating characteristics of the colours: the tables of METHODS 4 and 5, by seeded simulation.

    python -m benchmarks.operating_characteristics [--maps 400] [--seed 20260101] [--no-speed]

Maps of 208 units with lognormal exposures (σ = .8); 10 of them hot unless said otherwise. A mean
is the expected count of the average unit per period. "first" = no history; "steady" = periods 9
to 12 of a risk that was always there; "age a" = a-th period of a new risk, or after an ended one:
ten units are hot at any time, and in the 9th period all ten risks move to other units. Prints one
line per bar with what was measured, and for information some lines without a bar; exit code 1
when a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from geo import risk, score

Floats = npt.NDArray[np.float64]
UNITS = 208
HOT = 10
STEADY = 8
PERIODS = 12
NULL_MEANS = (0.05, 0.2, 1.0, 3.0, 5.0, 12.0, 30.0, 60.0)

# kind: (mean count of the average unit, harm weight): 25,000 events a month over 208 towns, from
# daily business to the very rare; harm of data/scenes/nine-kinds.yaml
KINDS = {
    "petition": (9.0, 2.0),
    "vice": (6.0, 3.0),
    "theft": (24.0, 2.0),
    "dispute": (48.0, 1.0),
    "fraud": (20.0, 4.0),
    "fire": (5.0, 5.0),
    "traffic_death": (0.4, 40.0),
    "homicide": (0.03, 100.0),
    "wage_arrears": (8.0, 3.0),
}
COMMON = "vice"


@dataclass(frozen=True)
class Row:
    """One bar: what was asked, what was found; without a bar it is for information."""

    case: str
    what: str
    measured: float
    bar: float | None = None
    at_most: bool = False
    tested: float | None = None

    @property
    def passed(self) -> bool:
        if self.bar is None:
            return True
        return self.measured <= self.bar if self.at_most else self.measured >= self.bar

    def __str__(self) -> str:
        line = f"{self.case:<36} {self.what:<20} {self.measured:>8.4f}"
        if self.bar is None:
            return f"{line}  (no bar)"
        sign = "≤" if self.at_most else "≥"
        tested = "" if self.tested is None else f"[{self.tested:g}]"
        return f"{line}  {sign} {self.bar:<7g} {tested:<8} {'pass' if self.passed else 'MISS'}"


@dataclass
class Tally:
    """Colours counted over maps: rows hot or not, columns colours."""

    counts: Floats = field(default_factory=lambda: np.zeros((2, 6)))

    def add(self, colours: npt.NDArray[np.uint8], hot: npt.NDArray[np.bool_]) -> None:
        flat = np.atleast_2d(colours)
        for group in (0, 1):
            self.counts[group] += np.bincount(flat[:, hot == group].ravel(), minlength=6)

    def everyone(self) -> Tally:
        """The same with all units called cold."""
        return Tally(np.stack([self.counts.sum(axis=0), np.zeros(6)]))

    def rate(self, *colours: int) -> float:
        """Part of the cold units with these colours."""
        return float(self.counts[0, list(colours)].sum() / self.counts[0].sum())

    def power(self, *colours: int) -> float:
        """Part of the hot units with these colours."""
        return float(self.counts[1, list(colours)].sum() / self.counts[1].sum())

    def ppv(self, *colours: int) -> float:
        """Part of the units with these colours that are hot."""
        picked = self.counts[:, list(colours)].sum(axis=1)
        return float(picked[1] / picked.sum()) if picked.sum() else 1.0


def shares(rng: np.random.Generator) -> Floats:
    c = rng.lognormal(0.0, 0.8, UNITS)
    return np.asarray(c / c.sum(), dtype=np.float64)


def paint(observed: npt.ArrayLike, share: Floats) -> tuple[npt.NDArray[np.uint8], risk.DebResult]:
    """Colours of every period and unit, the way the product makes them."""
    result = risk.filter_panel(observed, share)
    alpha = risk.unit_alpha(result.alpha, result.flags)
    return risk.colour_panel(alpha, result.s, result.x)[0], result


def courses(start: float, then: float, periods: int = PERIODS) -> Floats:
    """Relative risk of the hot units over the periods: `start` for 8 periods, `then` after."""
    return np.where(np.arange(periods) < STEADY, start, then).astype(np.float64)


def world(
    rng: np.random.Generator, course: Floats, other: Floats | None
) -> tuple[Floats, npt.NDArray[np.bool_], Floats]:
    """Shares, hot units and relative risks (T, n); ten further units follow `other`."""
    c = shares(rng)
    picked = rng.permutation(UNITS)
    hot = np.zeros(UNITS, dtype=np.bool_)
    hot[picked[:HOT]] = True
    level = np.where(hot, course[:, None], 1.0)
    if other is not None:
        level[:, picked[HOT : 2 * HOT]] = other[:, None]
    return c, hot, level


def simulate(
    seed: int,
    maps: int,
    mean: float,
    course: Floats,
    rows: slice,
    background: float = 0.0,
    other: Floats | None = None,
) -> Tally:
    """Colours of the periods `rows` over many maps with 10 hot units on `course`."""
    rng = np.random.default_rng(seed)
    tally = Tally()
    for _ in range(maps):
        c, hot, level = world(rng, course, other)
        theta = np.exp(rng.normal(-(background**2) / 2, background, UNITS))
        colours, _result = paint(rng.poisson(mean * UNITS * c * level * theta), c)
        tally.add(colours[rows], hot)
    return tally


def null_rows(seed: int, maps: int) -> Iterator[Row]:
    """No hot unit at all; of the means .05 to 60 the worst one counts."""
    for case, rows, bars in (
        ("null, worst mean .05–60, first", slice(0, 1), (0.001, 0.006, 0.965)),
        ("null, worst mean, steady", slice(STEADY, None), (0.0005, 0.003, 0.98)),
    ):
        tested = (0.0004, 0.0038, 0.977) if rows.stop else (0.0, 0.0013, 0.991)
        course = courses(1, 1, rows.stop or PERIODS)
        # all units are alike here: the ten are no hotter than the rest
        found = [simulate(seed, maps, mean, course, rows).everyone() for mean in NULL_MEANS]
        yield Row(case, "red", max(t.rate(risk.RED) for t in found), bars[0], True, tested[0])
        yield Row(case, "orange", max(t.rate(risk.ORANGE) for t in found), bars[1], True, tested[1])
        yield Row(case, "blue", min(t.rate(risk.BLUE) for t in found), bars[2], False, tested[2])


def power_rows(seed: int, maps: int) -> Iterator[Row]:
    """Relative risk 3 and 2, first and steady."""
    first = slice(0, 1)
    steady = slice(STEADY, None)
    red, warm = (risk.RED,), (risk.RED, risk.ORANGE)
    for mean, bar, tested in ((12.0, 0.66, 0.72), (30.0, 0.90, 0.94)):
        found = simulate(seed, maps, mean, courses(3, 3, 1), first)
        case = f"RR 3, first, mean {mean:g}"
        yield Row(case, "red", found.power(*red), bar, False, tested)
        yield Row(case, "PPV red", found.ppv(*red), 0.95, False, 0.99)
    for mean, bar, tested in (
        (1.0, 0.50, 0.56),
        (3.0, 0.81, 0.86),
        (5.0, 0.90, 0.94),
        (12.0, 0.96, 0.99),
    ):
        found = simulate(seed, maps, mean, courses(3, 3), steady)
        case = f"RR 3, steady, mean {mean:g}"
        yield Row(case, "red", found.power(*red), bar, False, tested)
        yield Row(case, "PPV red", found.ppv(*red), 0.95, False)
        if mean in (3.0, 12.0):
            low, seen = (0.79, 0.85) if mean == 3.0 else (0.92, 0.96)
            yield Row(case, "PPV red + orange", found.ppv(*warm), low, False, seen)
    found = simulate(seed, maps, 60.0, courses(2, 2, 1), first)
    yield Row("RR 2, first, mean 60", "red", found.power(*red), 0.45, False, 0.51)
    for mean, bar, tested in ((5.0, 0.58, 0.65), (12.0, 0.84, 0.89), (60.0, 0.97, 1.0)):
        found = simulate(seed, maps, mean, courses(2, 2), steady)
        yield Row(
            f"RR 2, steady, mean {mean:g}", "red + orange", found.power(*warm), bar, False, tested
        )


def change_rows(seed: int, maps: int) -> Iterator[Row]:
    """Risks that begin or end, and a restless background."""
    for age, bar, tested in ((1, 0.46, 0.53), (3, 0.76, 0.82)):
        rows, length = slice(STEADY + age - 1, STEADY + age), STEADY + age
        found = simulate(seed, maps, 12.0, courses(1, 3, length), rows, other=courses(3, 1, length))
        case = f"new RR 3, mean 12, age {age}"
        yield Row(case, "red", found.power(risk.RED), bar, False, tested)
        # nothing was ever uneven before, so the prior is at its strongest when all ten begin
        alone = simulate(seed, maps, 12.0, courses(1, 3, length), rows)
        yield Row(f"{case}, even city", "red", alone.power(risk.RED))
    for age, bar, tested in ((3, 0.12, 0.07), (6, 0.03, 0.0)):
        rows, length = slice(STEADY + age - 1, STEADY + age), STEADY + age
        found = simulate(seed, maps, 12.0, courses(3, 1, length), rows, other=courses(1, 3, length))
        case = f"ended RR 3, mean 12, age {age}"
        yield Row(case, "still red", found.power(risk.RED), bar, True, tested)
    found = simulate(seed, maps, 12.0, courses(3, 3), slice(STEADY, None), background=0.2)
    case = "background sd .2, RR 3, mean 12"
    yield Row(case, "red", found.power(risk.RED), 0.92, False, 0.97)
    yield Row(case, "PPV red", found.ppv(risk.RED), 0.88, False, 0.93)


def giant_rows(seed: int, maps: int) -> Iterator[Row]:
    """One unit holds half of the exposure; the 207 others, mean 12, are all alike."""
    for ratio in (2.0, 0.5):
        rng = np.random.default_rng(seed)
        warm = np.zeros(PERIODS)
        green = np.zeros(PERIODS)
        for _ in range(maps):
            c = shares(rng)
            c[0] = c[1:].sum()
            theta = np.ones(UNITS)
            theta[0] = ratio
            lam = 12.0 * (UNITS - 1) * c / c[1:].sum() * theta
            colours, _result = paint(rng.poisson(np.tile(lam, (PERIODS, 1))), c)
            warm = np.maximum(warm, (colours[:, 1:] >= risk.ORANGE).sum(axis=1))
            green = np.maximum(green, (colours[:, 1:] == risk.GREEN).sum(axis=1))
        case = f"half of the exposure at RR {ratio:g}"
        yield Row(case, "warm, worst map", float(warm.max()), 8, True)
        yield Row(case, "green, worst map", float(green.max()), 30, True)


def feed_rows(seed: int, maps: int) -> Iterator[Row]:
    """A duplicated feed puts 1,000 events on the unit of median exposure, first or 9th period."""
    for name, when in (("first", 0), ("9th", STEADY)):
        rng = np.random.default_rng(seed)
        blue = np.empty(maps)
        red, flagged = 0, 0
        for i in range(maps):
            c = shares(rng)
            unit = int(np.argsort(c)[UNITS // 2])
            observed = rng.poisson(np.tile(12.0 * UNITS * c, (when + 1, 1)))
            observed[when, unit] += 1000
            colours, result = paint(observed, c)
            blue[i] = (np.delete(colours[when], unit) == risk.BLUE).mean()
            red += int(colours[when, unit] == risk.RED)
            flagged += int(result.flags[when, unit] & risk.CHECK > 0)
        case = f"one unit + 1,000 events, {name}"
        yield Row(case, "others blue", float(blue.mean()), 0.95)
        yield Row(case, "that unit red", red / maps, 1)
        yield Row(case, "that unit flagged", flagged / maps, 1)


def simulate_overall(
    seed: int,
    maps: int,
    course: Floats,
    kinds: tuple[str, ...],
    other: Floats | None = None,
    scale: float = 1.0,
) -> list[Tally]:
    """Overall colours of each period; the hot units follow `course` in `kinds`."""
    rng = np.random.default_rng(seed)
    tallies = [Tally() for _ in course]
    harm = [weight for _, weight in KINDS.values()]
    for _ in range(maps):
        c, hot, level = world(rng, course, other)
        observed, expected, seen = [], [], []
        for kind, (mean, _weight) in KINDS.items():
            ratio = level if kind in kinds else np.ones_like(level)
            counts = rng.poisson(scale * mean * UNITS * c * ratio)
            colours, result = paint(counts, c)
            observed.append(counts)
            expected.append(result.expected)
            seen.append(colours)
        overall = score.composite(observed, expected, harm, seen)
        for tally, colours in zip(tallies, overall.colours, strict=True):
            tally.add(colours, hot)
    return tallies


def merged(tallies: list[Tally]) -> Tally:
    return Tally(np.sum([t.counts for t in tallies], axis=0))


def overall_rows(seed: int, maps: int) -> Iterator[Row]:
    """The bars of METHODS 5: red or orange overall, veto included."""
    warm = (risk.RED, risk.ORANGE)
    every = tuple(KINDS)
    null = simulate_overall(seed, maps, courses(1, 1), ())
    for case, found in (
        ("overall null, first", null[0]),
        ("overall null, steady", merged(null[STEADY:])),
    ):
        yield Row(case, "red + orange", found.everyone().rate(*warm), 0.004, True, 0.001)
    one = simulate_overall(seed, maps, courses(3, 3), (COMMON,))
    case = "overall, RR 3, one common kind"
    yield Row(case, "first, warm", one[0].power(*warm), 0.39, False, 0.46)
    steady = merged(one[STEADY:])
    yield Row(case, "steady, warm", steady.power(*warm), 0.78, False, 0.84)
    yield Row(case, "steady, PPV", steady.ppv(*warm), 0.93, False)
    both = merged(simulate_overall(seed, maps, courses(2, 2), every)[STEADY:])
    case = "overall, RR 2, all kinds"
    yield Row(case, "steady, warm", both.power(*warm), 0.36, False, 0.43)
    yield Row(case, "steady, PPV", both.ppv(*warm), 0.93, False)
    moved = simulate_overall(
        seed, maps, courses(1, 2, STEADY + 3), every, courses(2, 1, STEADY + 3)
    )
    yield Row(case, "age 3, warm", moved[-1].power(*warm), 0.56, False, 0.64)
    rare = merged(simulate_overall(seed, maps, courses(2, 2), every, scale=0.25)[STEADY:])
    case = "same, a quarter of the events"
    yield Row(case, "steady, warm", rare.power(*warm))
    yield Row(case, "steady, PPV", rare.ppv(*warm))
    yield Row(case, "steady, PPV red", rare.ppv(risk.RED))


def speed_rows(seed: int, _maps: int) -> Iterator[Row]:
    """15,000 units × 10 kinds × 36 periods, colours and all, one thread."""
    rng = np.random.default_rng(seed)
    n = 15_000
    c = rng.lognormal(0.0, 0.8, n)
    c /= c.sum()
    means = np.geomspace(0.02, 20.0, 10)
    panels = [rng.poisson(m * n * c * rng.gamma(8.0, 1 / 8, n), (36, n)) for m in means]
    paint(panels[0][:2, :50], c[:50])
    start = time.process_time()
    for panel in panels:
        paint(panel, c)
    seconds = time.process_time() - start
    yield Row("15,000 units × 10 kinds × 36", "CPU seconds", seconds, 10.0, True, 3.0)


TABLES: tuple[Callable[[int, int], Iterator[Row]], ...] = (
    null_rows,
    power_rows,
    change_rows,
    giant_rows,
    feed_rows,
    overall_rows,
)


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--maps", type=int, default=400, help="simulated maps per case")
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--no-speed", action="store_true", help="leave the timing out")
    options = parser.parse_args(arguments)
    tables = TABLES if options.no_speed else (*TABLES, speed_rows)
    print(f"{options.maps} maps per case, seed {options.seed}; [in METHODS]")
    missed = 0
    for table in tables:
        for row in table(options.seed, options.maps):
            print(row, flush=True)
            missed += not row.passed
    print("all bars met" if not missed else f"{missed} bars missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
