"""Make the files of the tutorial (`data/example/`): a made-up county, its households, its events.

    .venv/bin/python scripts/example_data.py [FOLDER]

The same bytes at every run. Nothing in them is real: no such county, codes that nobody has, events
drawn at random, with a risk three times as high planted in two villages. As in real feeds the
events are in GCJ-02, their words are Chinese, and a few rows are broken.
"""

from __future__ import annotations

import csv
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import shapely

from geo.crs import from_wgs84

HERE = Path(__file__).resolve().parent.parent / "data" / "example"
SEED = 20260101
CENTRE = (119.93, 29.55)
TOWNS = {"城关镇": "Chengguan", "东溪镇": "Dongxi", "南岭乡": "Nanling", "西塘镇": "Xitang"}
VILLAGES = 6
WORDS = ("新", "上", "下", "大", "前", "后")
MONTHS = 24
MEAN = {"盗窃": 2.0, "纠纷": 3.5}  # per village and month
HOT = {"9901010003": ("盗窃", 0), "9901030005": ("盗窃", 18)}  # kind, first month of the risk
RISK = 3.0


def shapes(rng: np.random.Generator) -> dict[str, tuple[str, str, str, str, shapely.Geometry]]:
    """Units by code: level, name, English name, parent, shape."""
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    radius = 0.12 * (1 + 0.06 * np.sin(3 * turn) + 0.05 * np.cos(5 * turn))
    outline = shapely.Polygon(
        np.column_stack(
            [CENTRE[0] + radius * np.cos(turn), CENTRE[1] + 0.85 * radius * np.sin(turn)]
        )
    )
    quarter = outline.bounds
    middle = ((quarter[0] + quarter[2]) / 2, (quarter[1] + quarter[3]) / 2)
    seeds: list[tuple[float, float]] = []
    for at, (east, north) in enumerate(((0, 1), (1, 1), (1, 0), (0, 0))):
        while len(seeds) < VILLAGES * (at + 1):
            x = rng.uniform(*((middle[0], quarter[2]) if east else (quarter[0], middle[0])))
            y = rng.uniform(*((middle[1], quarter[3]) if north else (quarter[1], middle[1])))
            far = all((x - a) ** 2 + (y - b) ** 2 > 0.026**2 for a, b in seeds)
            if far and outline.buffer(-0.012).contains(shapely.Point(x, y)):
                seeds.append((x, y))
    cells = shapely.voronoi_polygons(shapely.MultiPoint(seeds), extend_to=outline, ordered=True)
    villages = [
        shapely.set_precision(shapely.intersection(one, outline), 1e-6) for one in cells.geoms
    ]
    units: dict[str, tuple[str, str, str, str, shapely.Geometry]] = {
        "9901": ("county", "示范县", "Model County", "", shapely.union_all(villages))
    }
    for at, (town, english) in enumerate(TOWNS.items()):
        code = f"9901{at + 1:02}"
        own = villages[at * VILLAGES : (at + 1) * VILLAGES]
        units[code] = ("town", town, english, "9901", shapely.union_all(own))
        for place, shape in enumerate(own):
            name = f"{WORDS[place]}{town[:1]}村"
            units[f"{code}{place + 1:04}"] = (
                "village",
                name,
                f"{english} {place + 1}",
                code,
                shape,
            )
    return units


def points(shape: shapely.Geometry, n: int, rng: np.random.Generator) -> np.ndarray:
    """Points anywhere inside a shape, (n, 2)."""
    west, south, east, north = shape.buffer(-0.0004).bounds
    found = np.empty((0, 2))
    while len(found) < n:
        tried = np.column_stack([rng.uniform(west, east, 64), rng.uniform(south, north, 64)])
        inside = shapely.contains_xy(shape.buffer(-0.0004), tried[:, 0], tried[:, 1])
        found = np.concatenate([found, tried[inside]])
    return found[:n]


def main(folder: Path = HERE) -> None:
    """Write the three files."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    units = shapes(rng)
    features = [
        {
            "type": "Feature",
            "properties": {
                "code": code,
                "level": level,
                "name": name,
                "name_en": english,
                "parent": parent or None,
            },
            "geometry": json.loads(shapely.to_geojson(shape)),
        }
        for code, (level, name, english, parent, shape) in units.items()
    ]
    lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in features)
    (folder / "areas.geojson").write_text(
        f'{{"type": "FeatureCollection", "features": [\n{lines}\n]}}\n', encoding="utf-8"
    )
    villages = {code: one for code, one in units.items() if one[0] == "village"}
    households = {code: int(rng.lognormal(6.4, 0.45)) for code in villages}
    with (folder / "households.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["编码", "村名", "户数"])
        table.writerows([code, villages[code][1], households[code]] for code in villages)
    mean = sum(households.values()) / len(households)
    rows = []
    first = datetime(2024, 1, 1)  # noqa: DTZ001 - local time of the feed
    for month in range(MONTHS):
        start = datetime(first.year + month // 12, month % 12 + 1, 1)  # noqa: DTZ001
        days = ((start + timedelta(days=32)).replace(day=1) - start).days
        for code, (_, _, _, _, shape) in villages.items():
            for kind, expected in MEAN.items():
                rate = expected * households[code] / mean
                if code in HOT and HOT[code][0] == kind and month >= HOT[code][1]:
                    rate *= RISK
                for lon, lat in points(shape, int(rng.poisson(rate)), rng):
                    when = start + timedelta(minutes=int(rng.integers(0, days * 24 * 60)))
                    east, north = from_wgs84([lon], [lat], "gcj02")
                    rows.append([when, kind, f"{east[0]:.6f}", f"{north[0]:.6f}"])
    rows.sort(key=lambda one: one[0])
    with (folder / "events.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["编号", "类别", "时间", "经度", "纬度"])
        for number, (when, kind, east, north) in enumerate(rows, 1):
            table.writerow([f"A{number:05}", kind, f"{when:%Y-%m-%d %H:%M}", east, north])
        # three rows as they come in real files
        table.writerow(["X00001", "噪声", "2025-12-02 10:30", "119.934500", "29.548000"])
        table.writerow(["X00002", "盗窃", "2025-13-02 10:30", "119.934500", "29.548000"])
        table.writerow(["X00003", "纠纷", "2025-12-05 21:15", "29.548000", "119.934500"])


if __name__ == "__main__":
    main(*(Path(one) for one in sys.argv[1:2]))
