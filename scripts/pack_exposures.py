"""Exposures and successions of the sample packs: census totals real, their spread modelled.

Used by `build_packs.py`. Residents of a county are the 2020 census brought to today's districts;
floating population, firms, dwellings and everything below a county are made up to look plausible.
"""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd

SEED = 20240102
AS_OF = "2023-06-30"  # the day of the units the values are spread over
EFFECTIVE = "2021-04-09"
REFORM = "浙江省人民政府关于调整杭州市部分行政区划的通知 (2021)"
# residents of the 2020 census as the city published them for the districts of 2021
PUBLISHED = {
    "330102": 1_323_467, "330105": 1_120_985, "330109": 2_011_699, "330110": 1_226_673,
    "330113": 1_175_841, "330114": 769_150,
}  # fmt: skip
SINGLE_HOLES = {"hangzhou": 14, "alliance": 10}  # grids without exposure
WHOLE_HOLES = {"hangzhou": 2, "alliance": 1}  # villages all of whose grids are without


def census(folder: Path) -> pd.DataFrame:
    """Census rows by the codes of 2020."""
    path = folder / "cn_population/county_census2020_ghsl.csv"
    frame = pd.read_csv(path, dtype={"CODE": str}).set_index("CODE")
    return pd.DataFrame(
        {
            "resident": frame.POPU,
            "floating": frame.POPU * (frame.POPU_REG_P + frame.POPU_REG_O),
        }
    )


def successions(old: pd.DataFrame) -> pd.DataFrame:
    """Hangzhou 2021. Shares of residents, derived from census counts before and after."""
    was = old.resident
    to_qiantang = was["330102"] + was["330104"] - PUBLISHED["330102"]
    rows = [
        ("330102", "330102", 1.0),
        ("330103", "330105", 1.0),
        ("330104", "330102", 1 - to_qiantang / was["330104"]),
        ("330104", "330114", to_qiantang / was["330104"]),
        ("330105", "330105", 1.0),
        ("330109", "330109", PUBLISHED["330109"] / was["330109"]),
        ("330109", "330114", 1 - PUBLISHED["330109"] / was["330109"]),
        ("330110", "330110", PUBLISHED["330110"] / was["330110"]),
        ("330110", "330113", PUBLISHED["330113"] / was["330110"]),
    ]
    source = f"{REFORM}; share of residents, census 2020; approximate for every other measure"
    return pd.DataFrame(
        [(a, b, round(s, 9), EFFECTIVE, source) for a, b, s in rows],
        columns=["from_code", "to_code", "share", "effective", "source"],
    )  # fmt: skip


def county_totals(old: pd.DataFrame, moves: pd.DataFrame, counties: list[str]) -> pd.DataFrame:
    """Residents and floating population of today's counties."""
    carried = {measure: {} for measure in old}
    for measure in old:
        sums = carried[measure]
        for code, value in old[measure].items():
            parts = moves[moves.from_code == code]
            for to, share in (
                zip(parts.to_code, parts.share, strict=True) if len(parts) else [(code, 1.0)]
            ):
                sums[to] = sums.get(to, 0.0) + value * share
    return pd.DataFrame(carried).loc[counties]


def whole_numbers(total: float, weight: np.ndarray) -> np.ndarray:
    """Share out `round(total)` by weight in whole numbers (largest remainders)."""
    exact = weight / weight.sum() * round(total)
    down = np.floor(exact).astype(np.int64)
    rest = round(total) - int(down.sum())
    down[np.argsort(down - exact, kind="stable")[:rest]] += 1
    return down


def build(units: gpd.GeoDataFrame, pack: str, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Long table of exposures, and the successions of the pack."""
    old = census(folder)
    moves = successions(old) if pack == "hangzhou" else successions(old).iloc[:0]
    counties = units[units.level == "county"].code.tolist()
    totals = county_totals(old, successions(old), counties)
    names = dict(zip(units.code, units.name, strict=True))
    grids = units[units.level == "grid"][["code"]].reset_index(drop=True)
    grids["village"], grids["town"] = grids.code.str[:12], grids.code.str[:9]
    rng = np.random.default_rng([SEED, int(counties[0])])
    n = len(grids)
    label = grids.village.map(names)
    urban = label.str.endswith("社区").to_numpy()
    zone = grids.town.map(names).str.contains("开发区|商业城|世纪城|工业").to_numpy()
    # a town's own character: some have many migrants, some many firms
    towns, of_town = np.unique(grids.town, return_inverse=True)
    migrants = rng.lognormal(0, 0.35, len(towns))[of_town]
    business = rng.lognormal(0, 0.45, len(towns))[of_town]
    weight = {"resident": np.where(urban, 1.25, 1.0) * rng.lognormal(0, 0.35, n)}
    weight["floating"] = (
        weight["resident"] * migrants * np.where(urban, 1.2, 0.8) * rng.lognormal(0, 0.5, n)
    )
    weight["firms"] = (
        weight["resident"] ** 0.7 * business * np.where(zone, 4.0, 1.0)
        * np.where(urban, 1.4, 0.8) * rng.lognormal(0, 0.7, n)
    )  # fmt: skip
    weight["dwellings"] = weight["resident"] * rng.lognormal(0, 0.12, n)
    totals["firms"] = 0.04 * totals.resident + 0.12 * totals.floating
    totals["dwellings"] = totals.resident / 2.6
    code = grids.code.str[:6].to_numpy()
    for measure, values in weight.items():
        grids[measure] = 0
        for county in counties:
            mine = code == county
            grids.loc[mine, measure] = whole_numbers(totals[measure][county], values[mine])
    return long_table(grids, pack, rng), moves


def long_table(grids: pd.DataFrame, pack: str, rng: np.random.Generator) -> pd.DataFrame:
    """Rows per grid; planted holes are stated one level up, so that no total changes."""
    measures = ["resident", "floating", "firms", "dwellings"]
    villages = np.unique(grids.village)
    whole = rng.choice(villages, WHOLE_HOLES[pack], replace=False)
    rest = grids[~grids.village.isin(whole)]
    single = rng.choice(rest.code, SINGLE_HOLES[pack], replace=False)
    hole = grids.code.isin(single) | grids.village.isin(whole)
    by_village = grids.groupby("village", as_index=False)[measures].sum()
    by_town = grids.groupby("town", as_index=False)[measures].sum()
    stated = grids[grids.code.isin(single)].village.unique()
    parts = [
        grids[~hole][["code", *measures]],
        by_village[by_village.village.isin(stated)].rename(columns={"village": "code"}),
        by_town[by_town.town.isin([v[:9] for v in whole])].rename(columns={"town": "code"}),
    ]
    wide = pd.concat(parts, ignore_index=True)
    table = wide.melt("code", measures, "measure", "value").sort_values(["code", "measure"])
    table["value"] = table.value.astype(float)
    return table.assign(as_of=AS_OF).reset_index(drop=True)
