"""Alerts by seeded simulation: precision, sensitivity, false alarms; and the time of a whole month.

    python -m benchmarks.alerts [--seeds 3] [--maps 200] [--seed 20260101] [--no-speed]

*Maps* are those of METHODS 7 (208 units, lognormal exposures, ten of them hot). *Sample* is the sample
pack: its real exposures and its planted risks, 24 months one after the other, every level with at least
20 units, nine kinds; besides, 40 new problems of relative risk 3 in town × kind cells of mean 12 or more.
Precision is told in two ways: of what fires in a month, the part where the planted risks raise the mean of
unit and kind by a fifth or more; of the alerts that open, the part whose true mean is above what the
exposure lets expect, lasting differences between units included (what the false discovery rate is about). A null sample has no planted risk and no lasting difference between units.
*Speed*: one month of 15,000 grids × 10 kinds with 24 months of events, read, assessed, published and
looked at for alerts, in a private cluster. Prints one line per bar; exit code 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.services.sample_packs import plants, read_kinds, read_pack, read_world  # noqa: E402
from geo import alerts, risk  # noqa: E402
from geo import simulate as sim  # noqa: E402

Floats = npt.NDArray[np.float64]
PACK = "hangzhou"
NEW = 40
MEAN, RISK = 12.0, 3.0
STEADY_AGE = 8
RAISED = 1.2
LEAST_UNITS = 20
LENGTHS = {"town": 9, "village": 12, "grid": 15}


@dataclass(frozen=True)
class Row:
    """One bar: what was asked, what was found; without a bar it is for information."""

    case: str
    what: str
    measured: float
    bar: float | None = None
    at_most: bool = False

    @property
    def passed(self) -> bool:
        """Whether the bar is met."""
        if self.bar is None:
            return True
        return self.measured <= self.bar if self.at_most else self.measured >= self.bar

    def __str__(self) -> str:
        bar = "" if self.bar is None else f"{'≤' if self.at_most else '≥'} {self.bar:g}"
        mark = "" if self.passed else "MISS"
        return f"{self.case:<38}{self.what:<44}{self.measured:>9.4f}  {bar:<8}{mark}"


@dataclass
class Tally:
    """What became of all cells of some looks.

    `carried` are unit × kind × months that fire, `opened` alerts; *planted*: the planted risks raise
    the mean by a fifth or more; *above*: the true mean is above what the exposure lets expect.
    """

    carried: int = 0
    carried_planted: int = 0
    opened: int = 0
    opened_above: int = 0
    opened_planted: int = 0
    unit_months: int = 0
    first: list[bool] = field(default_factory=list)
    steady: list[bool] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add another one."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def look(
        self, month: Month, planted: npt.NDArray[np.bool_], above: npt.NDArray[np.bool_]
    ) -> None:
        """Add one month; truth `(K, n)`."""
        self.carried += int(month.fired.sum())
        self.carried_planted += int((month.fired & planted).sum())
        self.opened += int(month.opened.sum())
        self.opened_planted += int((month.opened & planted).sum())
        self.opened_above += int((month.opened & above).sum())
        self.unit_months += month.opened.size

    @property
    def per_thousand(self) -> float:
        """Opened alerts per 1,000 unit × kind × months."""
        return 1000 * self.opened / self.unit_months


def part(some: int, of: int) -> float:
    """Share; 1 of nothing."""
    return some / of if of else 1.0


class Month(NamedTuple):
    """A month: its number; cells `(K, n)` whose alert opens, is open, and that fire."""

    t: int
    opened: npt.NDArray[np.bool_]
    open: npt.NDArray[np.bool_]
    fired: npt.NDArray[np.bool_]


def looked(
    observed: npt.NDArray[np.int64], share: Floats, rule: alerts.AlertRule
) -> Iterator[Month]:
    """Look at month after month; counts `(K, T, n)`, shares `(K, n)`."""
    kinds, periods, n = observed.shape
    shape = (periods, kinds, n)
    o = observed.astype(np.float64)
    s, x, e, alpha = (np.empty(shape) for _ in range(4))
    colour = np.empty(shape, np.uint8)
    for k in range(kinds):
        found = risk.filter_panel(o[k], share[k])
        s[:, k], x[:, k], e[:, k] = found.s, found.x, found.expected
        alpha[:, k] = risk.unit_alpha(found.alpha, found.flags)
        colour[:, k], _ = risk.colour_panel(alpha[:, k], o[k], found.expected)
    holds = np.zeros((kinds, n), np.uint8)
    for t in range(periods):
        evidence = alerts.Evidence(
            theta=risk.relative_risk(alpha[t], s[t], x[t]),
            p=risk.exceedance(alpha[t], s[t], x[t]),
            s=s[t],
            theta_single=risk.relative_risk(alpha[t], o[:, t], e[t]),
            p_single=risk.exceedance(alpha[t], o[:, t], e[t]),
            o=o[:, t],
            lasting=alerts.lasting(colour[max(0, t + 1 - rule.lasting_within) : t + 1], rule),
        )
        fired = alerts.fires(evidence, rule, holds)
        step = alerts.transition(holds, fired, evidence, rule)
        holds = step.holds
        yield Month(t, step.opened, holds != 0, fired != 0)


# the sample --------------------------------------------------------------------------------------
@cache
def world() -> tuple[sim.Places, tuple[sim.Plant, ...], tuple[object, ...]]:
    """Leaf units of the sample, its planted risks, its months."""
    pack = read_pack(PACK)
    there = read_world(pack)
    months = sim.month_starts(pack.simulation.first, pack.simulation.last)
    return there.places, tuple(plants(pack, there)), tuple(months)


def means(seed: int, *, null: bool, background: float) -> tuple[Floats, Floats, list[sim.Plant]]:
    """Mean counts without and with planted risks, `(K, T, n)`, and the new problems of this seed."""
    places, planted, months = world()
    kinds = read_kinds()
    rng = np.random.default_rng([seed, 7])
    lasting = sim.lasting_background(places, len(kinds), rng, background) if background else (
        np.ones((len(kinds), len(places.codes)))
    )  # fmt: skip
    events = read_pack(PACK).simulation.events

    def counted(found: list[sim.Plant]) -> Floats:
        return sim.expected_counts(
            places, kinds, events=events, months=list(months), plants=found, background=lasting
        )  # type: ignore[arg-type]

    base = counted([])
    if null:
        return base, base, []
    towns = sorted({code[:9] for code in places.codes})
    group = np.searchsorted(towns, [code[:9] for code in places.codes])
    names = list(kinds)
    busy = []
    for k in range(len(names)):
        mean = np.array([np.bincount(group, month) for month in base[k]]).min(axis=0)
        busy += [(k, town) for town in np.flatnonzero(mean >= MEAN)]
    taken = {plant.code[:9] for plant in planted if len(plant.code) >= 9}
    free = [(k, town) for k, town in busy if towns[town] not in taken]
    chosen = rng.permutation(len(free))[:NEW]
    fresh = [
        sim.Plant(towns[free[i][1]], names[free[i][0]], months[3 + int(rng.integers(10))],
                  months[-1], RISK)
        for i in chosen
    ]  # fmt: skip
    return base, counted([*planted, *fresh]), fresh


def sample(
    seed: int, *, null: bool = False, background: float = 0.2, without: str = ""
) -> dict[str, Tally]:
    """Look at 24 months of a sample, one after the other, at every level."""
    places, _, months = world()
    base, mean, fresh = means(seed, null=null, background=background)
    counts = np.random.default_rng([seed, 11]).poisson(mean)
    names = list(read_kinds())
    rule = alerts.AlertRule()
    found = {}
    for level, length in LENGTHS.items():
        codes, group = np.unique([code[:length] for code in places.codes], return_inverse=True)
        if len(codes) < LEAST_UNITS or level == without:
            continue

        def summed(
            values: npt.NDArray[np.generic], group: object = group, n: int = len(codes)
        ) -> Floats:
            flat = values.reshape(-1, values.shape[-1])
            return np.array([np.bincount(group, row, minlength=n) for row in flat]).reshape(
                *values.shape[:-1], n
            )

        o = summed(counts).astype(np.int64)
        share = summed(places.share)
        true, plain = summed(mean), summed(base)
        raised = true >= RAISED * plain
        rate = true.sum(axis=2) / share.sum(axis=1)[:, None]
        above = true > share[:, None, :] * rate[:, :, None]
        tally = Tally()
        wanted = {
            (names.index(one.kind), int(np.searchsorted(codes, one.code))): months.index(one.first)
            for one in fresh
            if len(one.code) == length and one.kind is not None
        }
        for month in looked(o, share, rule):
            tally.look(month, raised[:, month.t], above[:, month.t])
            for (k, at), start in wanted.items():
                if month.t == start:
                    tally.first.append(bool(month.open[k, at]))
                elif month.t >= start + STEADY_AGE:
                    tally.steady.append(bool(month.open[k, at]))
        found[level] = tally
    return found


def total(found: dict[str, Tally]) -> Tally:
    """Sum over the levels."""
    whole = Tally()
    for one in found.values():
        whole.add(one)
    return whole


def sample_rows(seed: int, seeds: int, *, quick: bool = False) -> Iterator[Row]:
    """Bars on the sample; `quick`: the null sample without grids, and no line for information."""
    levels: dict[str, Tally] = {name: Tally() for name in LENGTHS}
    quiet, lumpy = Tally(), Tally()
    for n in range(seeds):
        for level, one in sample(seed + n).items():
            levels[level].add(one)
        without = "grid" if quick else ""
        quiet.add(total(sample(seed + n, null=True, background=0.0, without=without)))
        if not quick:
            lumpy.add(total(sample(seed + n, null=True, background=0.2)))
    whole = total(levels)
    yield Row("sample, 24 months", "precision: planted, month by month",
              part(whole.carried_planted, whole.carried), 0.90)  # fmt: skip
    yield Row(
        "", "precision: above expectation, opened", part(whole.opened_above, whole.opened), 0.90
    )
    yield Row("", "planted, opened", part(whole.opened_planted, whole.opened))
    for level, one in levels.items():
        yield Row(f"  {level}", "planted, month by month", part(one.carried_planted, one.carried))
        yield Row("", "above expectation, opened", part(one.opened_above, one.opened))
        yield Row("", "planted, opened", part(one.opened_planted, one.opened))
        yield Row("", "opened per sample", one.opened / seeds)
    yield Row(
        "RR 3, mean ≥ 12",
        "open in the first month of a new problem",
        float(np.mean(whole.first)),
        0.67,
    )
    yield Row("", "open once steady", float(np.mean(whole.steady)), 0.90)
    yield Row(
        "null sample",
        "opened per 1,000 unit × kind × months",
        quiet.per_thousand,
        0.5,
        at_most=True,
    )
    if not quick:
        yield Row(
            "no planted risk, background sd .2",
            "opened per 1,000 unit × kind × months",
            lumpy.per_thousand,
        )


# maps of METHODS 7 --------------------------------------------------------------------------------
UNITS, HOT, PERIODS, BEGIN = 208, 10, 20, 9


def map_tally(seed: int, maps: int, mean: float, relative: float) -> Tally:
    """Ten of 208 units are hot from the tenth period on, ten others all the time."""
    tally = Tally()
    rule = alerts.AlertRule()
    for n in range(maps):
        rng = np.random.default_rng([seed, n, round(100 * mean)])
        share = rng.lognormal(0, 0.8, UNITS)
        share /= share.sum()
        size = np.full(UNITS, 1.0)
        raised = np.zeros((PERIODS, UNITS), bool)
        if relative > 1:
            hot = rng.permutation(UNITS)[: 2 * HOT]
            # units of exactly this mean: what is asked is the power at a mean
            share[hot] = 1 / UNITS
            raised[BEGIN:, hot[:HOT]] = True
            raised[:, hot[HOT:]] = True
        expected = mean * UNITS * share * size
        counts = rng.poisson(expected * np.where(raised, relative, 1.0))
        for month in looked(counts[None], share[None], rule):
            hot_now = raised[month.t][None]
            tally.look(month, hot_now, hot_now)
            if relative > 1 and month.t == BEGIN:
                tally.first += month.open[0, hot[:HOT]].tolist()
            if relative > 1 and month.t >= STEADY_AGE:
                tally.steady += month.open[0, hot[HOT:]].tolist()
    return tally


def map_rows(seed: int, maps: int) -> Iterator[Row]:
    """Bars of METHODS 7 on its own maps."""
    for mean in (12.0, 30.0):
        one = map_tally(seed, maps, mean, RISK)
        bars = (0.67, 0.90, 0.90) if mean == MEAN else (None, None, None)
        yield Row(f"map, RR 3, mean {mean:g}", "open in the first month of a new problem",
                  float(np.mean(one.first)), bars[0])  # fmt: skip
        yield Row("", "open once steady", float(np.mean(one.steady)), bars[1])
        yield Row("", "precision, month by month", part(one.carried_planted, one.carried), bars[2])
        yield Row("", "precision of those that open", part(one.opened_above, one.opened))
    for mean in (0.2, 1.0, 5.0, 12.0, 60.0):
        one = map_tally(seed, maps, mean, 1.0)
        yield Row(f"map, null, mean {mean:g}", "opened per 1,000 unit-months", one.per_thousand, 0.5,
                  at_most=True)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Print all rows; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3, help="samples")
    parser.add_argument("--maps", type=int, default=200, help="maps per case")
    parser.add_argument("--seed", type=int, default=20260101)
    given = parser.parse_args(arguments)
    missed = 0
    for rows in (map_rows(given.seed, given.maps), sample_rows(given.seed, given.seeds)):
        for row in rows:
            print(row, flush=True)
            missed += not row.passed
    print("all bars met" if not missed else f"{missed} bars missed")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
