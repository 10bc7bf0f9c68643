"""Planted clusters at the points where three provinces meet, on the 35 real counties of the alliance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import geopandas
import numpy as np
import pandas as pd
import pytest

from app.services.border_assess import Method, Region, region, search
from app.services.sample_packs import PACKS, read_pack
from app.services.treaties import Terms, scene_kinds
from app.services.treaty_side import SideTold
from geo import cells as h3
from geo.hotspots.pooled import reporting_factors, to_plane
from geo.hotspots.told import tell

START = date(2025, 10, 1)
SIDES = ("3308", "3410", "3507", "3611")
TERMS = Terms(
    "four-cities", 1, SIDES, 6, ("quarter",), 7, 5, scene_kinds(["theft", "fraud"]),
    date(2024, 1, 1),
)  # fmt: skip
#: Events of a quarter in the sample, all four together.
TOTAL = {"theft": 2_500, "fraud": 3_600}
METHOD = Method(replicates=99)
SEEDS = range(3)


@pytest.fixture(scope="module")
def ground() -> Region:
    """The sides' cells and exposures as the pack has them; nothing told yet."""
    units = geopandas.read_parquet(PACKS / "alliance" / "units.parquet")
    assert (units.level == "county").sum() == 35
    leaves = units[units.level == "grid"].sort_values("code")
    table = pd.read_parquet(PACKS / "alliance" / "exposures.parquet").pivot_table(
        index="code", columns="measure", values="value"
    )
    values = table.reindex(leaves.code)
    sides = []
    for side in SIDES:
        own = leaves.code.str.startswith(side).to_numpy()
        over = h3.overlap(leaves.geometry.to_numpy()[own], TERMS.resolution)
        exposures = {one: over.spread(values[one].to_numpy()[own]) for one in TERMS.measures}
        sides.append(
            SideTold(side, side, date(2026, 1, 1), True, over.cells, exposures,
                     {"quarter": (START,)}, {})
        )  # fmt: skip
    return region(sides, TERMS)


def told(ground: Region, seed: int, *, planted: bool) -> Region:
    """Make up a quarter as the pack plants it; the second side records 30 % more."""
    rng = np.random.default_rng([20240102, seed])
    rules = [
        one for one in read_pack("alliance").simulation.plants if "three provinces" in one.story
    ]
    assert len(rules) == 2
    counts = {}
    for kind in sorted(TERMS.kinds):
        mean = TOTAL[kind] * np.nan_to_num(ground.share[kind])
        mean *= np.where(ground.side == SIDES.index("3410"), 1.3, 1.0)
        for rule in rules if planted else []:
            if rule.kind == kind and rule.near is not None:
                x, y = to_plane(*([value] for value in rule.near.point))
                near = np.hypot(ground.x - x, ground.y - y) <= 1000 * rule.near.km
                mean = np.where(near, rule.relative_risk * mean, mean)
        counts[kind] = rng.poisson(mean)
    sides = tuple(
        replace(
            one,
            told={
                (kind, "quarter", START): tell(one.cells, n[ground.side == at], 6, 5)
                for kind, n in counts.items()
            },
        )
        for at, one in enumerate(ground.sides)
    )
    return replace(ground, sides=sides)


def runs(ground: Region, *, planted: bool) -> Iterator[dict[str, list[tuple[str, int, float]]]]:
    """Of each seed, per kind: who sees the clusters that cross a line, in how many sides, p."""
    for seed in SEEDS:
        found = search(told(ground, seed, planted=planted), TERMS, METHOD, "quarter", START)
        yield {
            kind: [
                (c.seen, len(c.sides), c.cluster.p) for c in one.result.clusters if c.crosses
            ]
            for kind, one in found.items() if one.result is not None
        }  # fmt: skip


def test_planted_clusters_are_found_and_half_of_them_only_together(ground: Region) -> None:
    found = list(runs(ground, planted=True))
    seen = [{kind: {row[0] for row in one[kind]} for kind in one} for one in found]
    any_ = sum(bool(one[kind]) for one in seen for kind in one)
    together = sum("together" in one[kind] for one in seen for kind in one)
    # six planted clusters: nearly all are found, half of them by no side alone
    assert any_ >= 4, seen
    assert together >= 3, seen
    # at least one of them over three provinces
    assert any(row[1] >= 3 and row[0] == "together" for one in found for k in one for row in one[k])


def test_a_province_that_records_more_is_no_cluster(ground: Region) -> None:
    quiet = list(runs(ground, planted=False))
    assert sum(bool(one[kind]) for one in quiet for kind in one) <= 2, quiet
    here = told(ground, 0, planted=False)
    for kind in TERMS.kinds:
        cases = here.counts(kind, "quarter", START, TERMS)
        factors = reporting_factors(cases, here.share[kind], here.side)
        assert factors[SIDES.index("3410")] == pytest.approx(1.3 / (1.3 * 0.15 + 0.85), abs=0.12)
