"""Make the sample packs of `data/boundaries/` from public files in a folder given as argument.

    python scripts/build_packs.py FOLDER [--pack hangzhou|alliance] [--out data/boundaries]

Real: counties, cities, all codes and names, most town seats, county totals of residents. Modelled:
the shapes of towns, villages and grids, and every other exposure. `PROVENANCE.md` beside the packs
says where each file comes from. Deterministic: the same files give the same packs.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pack_exposures  # beside this file
import pandas as pd
import shapely

from geo import tessellate as tess

SEED = 20240101
VALID_FROM = "2023-06-30"  # day of the code list
CITY_CORE = {"3301": (120.165, 30.262)}  # where the whole city is densest


@dataclass(frozen=True)
class Plan:
    """What a pack is made of."""

    pack: str
    cities: tuple[str, ...]
    grids: int
    fewest: int
    most: int


PLANS = {
    "hangzhou": Plan("hangzhou", ("3301",), 15_000, 3, 8),
    "alliance": Plan("alliance", ("3308", "3410", "3507", "3611"), 14_600, 1, 4),
}


def village_name(name: str) -> str:
    """Everyday name: the committee's name without the committee."""
    for tail, kind in (
        ("村民委员会", "村"),
        ("村委会", "村"),
        ("居民委员会", "社区"),
        ("居委会", "社区"),
    ):
        if name.endswith(tail) and len(name) > len(tail):
            base = name[: -len(tail)]
            return base if base.endswith((kind, "社区", "村")) else base + kind
    return name


def read_codes(folder: Path) -> pd.DataFrame:
    """Codes and names of all levels."""
    return pd.read_csv(folder / "cn_codes/divisions5_2023.csv.gz", dtype=str).assign(
        level=lambda f: f.level.map(
            {"1": "province", "2": "city", "3": "county", "4": "town", "5": "village"}
        )
    )


def town_order(name: str) -> int:
    """Subdistricts stand in the middle, then towns, townships, farms and zones."""
    if name.endswith("街道"):
        return 0
    if name.endswith("镇"):
        return 1
    return 2 if name.endswith("乡") else 3


def place_seats(
    towns: pd.DataFrame,
    known: dict[str, tuple[float, float]],
    samples: np.ndarray,
    middle: np.ndarray,
    latitude: float,
) -> np.ndarray:
    """Seats of all towns (plane): the real one, else well spread over what is left of the county."""
    real = {c: tess.to_plane(np.array([known[c]]), latitude)[0] for c in towns.code if c in known}
    fixed = np.array(list(real.values())).reshape(-1, 2)
    unknown = [c for c in towns.code if c not in real]
    placed = tess.spread(samples, fixed, len(unknown))
    placed = placed[np.argsort(np.hypot(*(placed - middle).T), kind="stable")]
    names = dict(zip(towns.code, towns.name, strict=True))
    for code, spot in zip(
        sorted(unknown, key=lambda c: (town_order(names[c]), c)), placed, strict=True
    ):
        real[code] = spot
    return np.array([real[c] for c in towns.code])


def grids_per_village(weight: np.ndarray, plan: Plan) -> np.ndarray:
    """Grids of each village by population, `plan.grids` in all where the limits allow."""
    low, high = 0.0, 100.0 * plan.grids
    for _ in range(60):
        scale = (low + high) / 2
        count = np.clip(np.rint(weight * scale), plan.fewest, plan.most)
        low, high = (scale, high) if count.sum() < plan.grids else (low, scale)
    return count.astype(np.int64)


class Density:
    """How densely people live: hills around the seats, a higher one around the city's core."""

    def __init__(
        self, spots: np.ndarray, need: np.ndarray, polygon: shapely.Geometry,
        latitude: float, core: tuple[float, float] | None,
    ) -> None:  # fmt: skip
        gap = np.sqrt(polygon.area * np.cos(np.radians(latitude)) / len(spots))
        near = np.full(len(spots), gap)
        if len(spots) > 1:
            near = np.minimum(gap, tess.cKDTree(spots).query(spots, k=2)[0][:, 1])
        self.spots, self.latitude, self.core = spots, latitude, core
        self.width = np.maximum(0.35 * near, 0.004)
        self.height = need / self.width**2
        self.top = 0.0

    def __call__(self, xy: np.ndarray) -> np.ndarray:
        """Relative density of points in degrees, in (0, 1]."""
        at = tess.to_plane(xy, self.latitude)
        square = ((at[:, None, :] - self.spots[None]) ** 2).sum(axis=2)
        hill = (self.height * np.exp(-square / (2 * self.width**2))).sum(axis=1)
        flat = np.median(self.height)
        value = 0.22 * flat + np.minimum(hill, 3 * flat)
        if self.core is not None:
            c = tess.to_plane(np.array([self.core]), self.latitude)[0]
            value *= 1 + 6 * np.exp(-np.hypot(*(at - c).T) / 0.06)
        self.top = max(self.top, float(value.max()))
        return value / self.top


def village_slots(where: np.ndarray, seat: np.ndarray, urban: int) -> np.ndarray:
    """Order of places: `urban` communities next to the seat, each class in order of its bearing."""
    away = np.argsort(np.hypot(*(where - seat).T), kind="stable")
    bearing = np.arctan2(*(where - seat).T)
    near, far = away[:urban], away[urban:]
    return np.concatenate(
        [
            near[np.argsort(bearing[near], kind="stable")],
            far[np.argsort(bearing[far], kind="stable")],
        ]
    )


def county_seeds(
    county: pd.Series, towns: pd.DataFrame, villages: pd.DataFrame,
    known: dict[str, tuple[float, float]], latitude: float,
) -> tuple[list[np.ndarray], list[int]]:  # fmt: skip
    """Seeds of the grids of one county (plane), and for each the row of its village."""
    code, polygon = str(county.name), county.geometry
    rng = np.random.default_rng([SEED, int(code)])
    even = tess.to_plane(tess.sample_inside(polygon, 6000, rng), latitude)
    streets = [
        known[c]
        for c, n in zip(towns.code, towns.name, strict=True)
        if c in known and n.endswith("街道")
    ]
    middle = np.mean(streets, axis=0) if streets else (float(county.lon), float(county.lat))
    middle = tess.to_plane(np.array([middle]), latitude)[0]
    spots = place_seats(towns, known, even, middle, latitude)
    need = villages.groupby("town").grids.sum().reindex(towns.code).to_numpy(float)
    density = Density(spots, need, polygon, latitude, CITY_CORE.get(code[:4]))
    density(tess.from_plane(even, latitude))  # fixes the scale
    total = max(40 * int(need.sum()), 60_000)
    samples = tess.to_plane(tess.sample_inside(polygon, total, rng, density), latitude)
    label = tess.balanced_labels(samples, spots, need / need.sum())
    seeds: list[np.ndarray] = []
    rows: list[int] = []
    for t, town in enumerate(towns.code):
        own = samples[label == t]
        lots = villages[villages.town == town]
        if len(own) < 4 * int(lots.grids.sum()):
            raise SystemExit(f"{town}: {len(own)} points for {lots.grids.sum()} grids")
        part = tess.cluster(own, len(lots), rng)
        where = tess.medoids(own, part, len(lots))
        slots = village_slots(where, spots[t], int(lots.urban.sum()))
        ordered = np.concatenate([lots.index[lots.urban], lots.index[~lots.urban]])
        for slot, v in zip(slots, ordered, strict=True):
            points = own[part == slot]
            k = int(villages.grids[v])
            if len(points) < k:
                raise SystemExit(f"{villages.code[v]}: {len(points)} points, {k} grids")
            spot = tess.medoids(points, tess.cluster(points, k, rng), k)
            seeds.append(spot[np.lexsort((spot[:, 0], -spot[:, 1]))])  # numbered from the north
            rows += [int(v)] * k
    return seeds, rows


def village_table(codes: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Villages with everyday name, weight of population and number of grids."""
    table = codes[codes.level == "village"].sort_values("code").reset_index(drop=True)
    table["town"] = table.code.str[:9]
    table["county"] = table.code.str[:6]
    table["label"] = table.name.map(village_name)
    table["urban"] = table.label.str.endswith("社区")
    rng = np.random.default_rng([SEED, int(plan.cities[0])])
    kind = np.where(table.urban, 1.5, np.where(table.label.str.endswith("村"), 1.0, 0.4))
    weight = kind * rng.lognormal(0, 0.4, len(table))
    table["grids"] = grids_per_village(weight, plan)
    return table


def build_units(plan: Plan, folder: Path, names_en: dict[str, str]) -> gpd.GeoDataFrame:
    """All units of a pack, every level an exact coverage, coarse levels unions of fine ones."""
    codes = read_codes(folder)
    codes = codes[codes.code.str[:4].isin(plan.cities)]
    shapes = gpd.read_file(folder / "cn_boundaries/counties5_amap_wgs84.geojson")
    shapes = shapes[shapes.district_adcode.str[:4].isin(plan.cities)].set_index("district_adcode")
    seats = pd.read_csv(
        folder / "cn_codes/town_seats_geonames_wgs84.csv", dtype={"code": str, "county": str}
    )
    known = {c: (x, y) for c, x, y in zip(seats.code, seats.lon, seats.lat, strict=True)}
    counties = codes[codes.level == "county"].sort_values("code").code.tolist()
    towns = codes[codes.level == "town"].sort_values("code")
    villages = village_table(codes, plan)
    latitude = float(np.mean(shapely.total_bounds(shapes.geometry.values)[[1, 3]]))
    seeds: list[np.ndarray] = []
    grid_village: list[int] = []
    for county in counties:
        some, rows = county_seeds(
            shapes.loc[county],
            towns[towns.code.str[:6] == county],
            villages[villages.county == county],
            known,
            latitude,
        )
        seeds += some
        grid_village += rows
    order = np.argsort(np.array(grid_village), kind="stable")
    points = tess.from_plane(np.concatenate(seeds)[order], latitude)
    village_of = np.array(grid_village)[order]
    county_of = np.searchsorted(counties, villages.county.to_numpy()[village_of])
    town_of = np.unique(villages.town, return_inverse=True)[1][village_of]
    cells = one_piece(
        shapes.geometry[counties].to_numpy(),
        points,
        county_of,
        (town_of, village_of),
        int(plan.cities[0]),
    )
    return assemble(codes, villages, cells, village_of, names_en)


def one_piece(
    parents: np.ndarray,
    seeds: np.ndarray,
    parent_of: np.ndarray,
    groups: tuple[np.ndarray, ...],
    salt: int,
) -> np.ndarray:
    """Cells of the seeds such that every group (coarse first) is in one piece.

    A seed whose cell is cut off from its group moves into the largest cell of the group's main part.
    """
    seeds = seeds.copy()
    for _ in range(20):
        cells = tess.tessellate(parents, seeds, parent_of, np.random.default_rng([SEED, salt, 1]))
        area = shapely.area(cells)
        rng = np.random.default_rng([SEED, salt, 2])
        moved: set[int] = set()
        for label in groups:
            whole = tess.dissolve(cells, label, int(label.max()) + 1)
            for group in np.flatnonzero(shapely.get_num_geometries(whole) > 1):
                members = np.flatnonzero(label == group)
                parts = shapely.get_parts(whole[group])
                main = parts[np.argmax(shapely.area(parts))]
                within = shapely.contains_xy(main, seeds[members, 0], seeds[members, 1])
                if moved & set(members.tolist()):
                    continue
                for seed in members[~within]:
                    kin = members[within & (groups[-1][members] == groups[-1][seed])]
                    room = kin if len(kin) else members[within]
                    room = np.array([r for r in room if r not in moved])
                    if not len(room):
                        continue
                    host = room[np.argmax(area[room])]
                    spots = tess.sample_inside(cells[host], 200, rng)
                    free = np.minimum(
                        np.hypot(*(spots - seeds[host]).T),
                        2 * shapely.distance(shapely.points(spots), cells[host].boundary),
                    )
                    seeds[seed] = spots[np.argmax(free)]
                    moved |= {int(seed), int(host)}
        if not moved:
            return cells
    return cells


def assemble(
    codes: pd.DataFrame,
    villages: pd.DataFrame,
    cells: np.ndarray,
    village_of: np.ndarray,
    names_en: dict[str, str],
) -> gpd.GeoDataFrame:
    """One frame of all levels, in level and code order."""
    number = np.arange(len(cells)) - np.searchsorted(village_of, village_of) + 1
    village_code = villages.code.to_numpy()[village_of]
    frames = [
        pd.DataFrame(
            {
                "code": [f"{c}{n:03d}" for c, n in zip(village_code, number, strict=True)],
                "level": "grid",
                "name": [
                    f"{villages.label[v]}第{n}网格" for v, n in zip(village_of, number, strict=True)
                ],
                "geometry": cells,
            }
        )
    ]
    names = dict(zip(codes.code, codes.name, strict=True)) | dict(
        zip(villages.code, villages.label, strict=True)
    )
    for level, length in (("village", 12), ("town", 9), ("county", 6), ("city", 4)):
        finer = frames[-1]
        parents, label = np.unique(finer.code.str[:length], return_inverse=True)
        frames.append(
            pd.DataFrame(
                {
                    "code": parents,
                    "level": level,
                    "name": [names[c] for c in parents],
                    "geometry": tess.dissolve(finer.geometry.to_numpy(), label, len(parents)),
                }
            )
        )
    frame = gpd.GeoDataFrame(pd.concat(frames[::-1], ignore_index=True), crs=4326)
    frame["name_en"] = frame.code.map(names_en)
    frame["approximate"] = frame.level.isin(["town", "village", "grid"])
    frame["geometry"] = shapely.normalize(frame.geometry.to_numpy())
    return frame[["code", "level", "name", "name_en", "approximate", "geometry"]]


def check(units: gpd.GeoDataFrame, folder: Path) -> None:
    """Stop unless every level is an exact coverage, nested, valid and without slivers."""
    for level, rows in units.groupby("level", sort=False):
        geoms = rows.geometry.to_numpy()
        if not shapely.coverage_is_valid(geoms) or not shapely.is_valid(geoms).all():
            raise SystemExit(f"{level}: no exact coverage")
        parts = shapely.get_num_geometries(geoms)
        thin = tess.thinness(geoms)
        area = shapely.area(geoms) * 111.2**2 * np.cos(np.radians(geoms[0].centroid.y))
        print(
            f"  {level:8} {len(rows):6} units, {int((parts > 1).sum())} in several parts, "
            f"km2 {area.min():.4f} / {np.median(area):.3f} / {area.max():.1f}, "
            f"thinness min {thin.min():.2f} 1% {np.quantile(thin, 0.01):.2f}, "
            f"{shapely.get_num_coordinates(geoms).sum()} vertices"
        )
    real = gpd.read_file(folder / "cn_boundaries/counties5_amap_wgs84.geojson").set_index(
        "district_adcode"
    )
    ours = units[units.level == "county"].set_index("code").geometry
    differ = max(
        shapely.hausdorff_distance(ours[c].boundary, real.geometry[c].boundary) for c in ours.index
    )
    print(f"  counties differ from the real ones by {differ * 111200:.2f} m at most")
    if differ > 2 * tess.SNAP:
        raise SystemExit("a county moved by more than the snapping")


def build_context(folder: Path, out: Path) -> None:
    """Neutral surroundings: four provinces and the counties around and inside the packs."""
    out.mkdir(parents=True, exist_ok=True)
    source = folder / "cn_boundaries"
    sets = {
        "provinces": ("province", ["provinces4_tianditu_wgs84"]),
        "cities": ("city", ["cities5_tianditu_wgs84"]),
        "counties": ("county", ["neighbour_counties_tianditu_wgs84", "counties5_tianditu_wgs84"]),
    }
    for name, (kind, files) in sets.items():
        column = {"province": "province", "city": "city", "county": "district"}[kind]
        frame = pd.concat([gpd.read_file(source / f"{file}.geojson") for file in files])
        frame = gpd.GeoDataFrame(
            {
                "kind": kind,
                "name": frame[f"{column}_name"].to_numpy(),
                "code": frame[f"{column}_adcode"].to_numpy(),
            },
            geometry=frame.geometry.to_numpy(),
            crs=4326,
        ).sort_values("code")
        text = frame.to_json(drop_id=True, ensure_ascii=False, separators=(",", ":"))
        (out / f"{name}.geojson").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("data/boundaries"))
    parser.add_argument("--pack", choices=sorted(PLANS), action="append")
    arguments = parser.parse_args()
    english = pd.read_csv(arguments.out / "names_en.csv", dtype=str)
    names_en = dict(zip(english.code, english.name_en, strict=True))
    for pack in arguments.pack or list(PLANS):
        began = time.perf_counter()
        units = build_units(PLANS[pack], arguments.folder, names_en)
        print(f"{pack}: {len(units)} units, {time.perf_counter() - began:.0f} s")
        check(units, arguments.folder)
        target = arguments.out / pack
        target.mkdir(parents=True, exist_ok=True)
        units.to_parquet(target / "units.parquet", compression="zstd", compression_level=19)
        exposures, successions = pack_exposures.build(units, pack, arguments.folder)
        exposures.to_parquet(target / "exposures.parquet", compression="zstd", index=False)
        if len(successions):
            successions.to_csv(target / "successions.csv", index=False, lineterminator="\n")
        for file in sorted(target.glob("*.parquet")):
            print(f"  {file.name} {file.stat().st_size / 1e6:.1f} MB")
    if arguments.pack is None:
        build_context(arguments.folder, arguments.out / "context")


if __name__ == "__main__":
    main()
