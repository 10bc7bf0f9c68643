"""A small real map for the browser: two districts of the Hangzhou pack, loaded the ordinary way.

About 1,300 grids, 24 months and 40,000 events located by code, with one planted risk: disputes in
`HOT` rise from the 16th month on. No homicide happens in the last month.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
import sqlalchemy as sa

from app.database import transaction
from app.services import events, exposures, tile_archives
from app.services.assess import assess
from app.services.boundaries import import_units
from app.settings import PROJECT
from geo.codes import load_layout

PACK = "hangzhou"
COUNTIES = ("330108", "330110")
COUNTY = "330110"
HOT = "330110010"
HOT_NAME = "良渚街道"
MONTHS = [(2024 + i // 12, i % 12 + 1) for i in range(24)]
#: events per month in the two districts
KINDS = {
    "petition": 60, "vice": 40, "theft": 300, "dispute": 700, "fraud": 350,
    "fire": 90, "traffic_death": 10, "homicide": 2, "wage_arrears": 80,
}  # fmt: skip


def _units(folder: Path) -> gpd.GeoDataFrame:
    whole = gpd.read_parquet(folder / "units.parquet")
    part = whole[whole["code"].str.startswith(COUNTIES)].copy()
    city = whole[whole["level"] == "city"].copy()
    counties = part[part["level"] == "county"].geometry
    city.geometry = [shapely.union_all(np.array(counties))]
    return gpd.GeoDataFrame(pd.concat([city, part], ignore_index=True), crs=whole.crs)


def _events(grids: list[str], weights: np.ndarray) -> pd.DataFrame:
    rng = np.random.default_rng(20260101)
    codes = np.array(grids)
    hot = np.char.startswith(codes.astype(str), HOT)
    share = weights / weights.sum()
    rows = []
    for kind, each in KINDS.items():
        for t, (year, month) in enumerate(MONTHS):
            if kind == "homicide" and t == len(MONTHS) - 1:
                continue
            rise = 1 + 0.25 * max(0, t - 15) if kind == "dispute" else 1.0
            counts = rng.poisson(each * share * np.where(hot, rise, 1.0))
            where = codes[np.repeat(np.arange(len(codes)), counts)]
            seconds = rng.integers(0, 27 * 86400, len(where))
            start = int(datetime(year, month, 1, tzinfo=UTC).timestamp())
            rows.append(pd.DataFrame({"kind": kind, "code": where, "at": start + seconds}))
    made = pd.concat(rows, ignore_index=True)
    # some are known to the village only
    coarse = rng.random(len(made)) < 0.06
    made.loc[coarse, "code"] = made.loc[coarse, "code"].str[:12]
    made["reference"] = [f"e{i}" for i in range(len(made))]
    made["time"] = pd.to_datetime(made.pop("at"), unit="s").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return made


MAPPING = {
    "source": "made",
    "simulated": True,
    "scene": "nine-kinds",
    "columns": {"reference": "reference", "kind": "kind", "time": "time", "code": "code"},
}


def load(engine: sa.Engine, data_dir: Path) -> None:
    """Boundaries, exposures, events, run, tiles: what `make up` does, on a part of the city."""
    folder = PROJECT / "data" / "boundaries" / PACK
    units = _units(folder)
    with transaction(engine) as connection:
        import_units(
            connection,
            pack=PACK,
            label="2023-06",
            frame=units,
            layout=load_layout_file("unified-27"),
            title_zh="杭州市",
            title_en="Hangzhou",
        )
    values = pd.read_parquet(folder / "exposures.parquet")
    values = values[values["code"].str.startswith(COUNTIES)]
    values.to_parquet(data_dir / "exposures.parquet")
    exposures.import_file(engine, data_dir / "exposures.parquet", pack=PACK)
    residents = values[(values["measure"] == "resident") & (values["code"].str.len() == 15)]
    made = _events(residents["code"].tolist(), residents["value"].to_numpy(float))
    made.to_parquet(data_dir / "events.parquet")
    events.import_file(engine, data_dir / "events.parquet", pack=PACK, mapping=MAPPING)
    with transaction(engine) as connection:  # nine in ten have a point, too: cells count those
        connection.execute(
            sa.text(
                "update event set geom = label_point from unit where unit.id = unit_id "
                "and unit.boundary_version_id = event.boundary_version_id and event.id % 10 <> 0"
            )
        )
    assess(engine, PACK, "nine-kinds", cells=(6, 7, 8))
    with engine.connect() as connection:
        version = connection.execute(sa.text("select id from boundary_version")).scalar_one()
    tile_archives.build(engine, version, data_dir / "archives")


def load_layout_file(name: str):  # type: ignore[no-untyped-def]
    """Code layout shipped with the project."""
    import yaml

    path = PROJECT / "data" / "layouts" / f"{name}.yaml"
    return load_layout(yaml.safe_load(path.read_text(encoding="utf-8")))
