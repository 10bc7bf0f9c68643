"""A toy city of sixteen square grids, and files of events in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
import sqlalchemy as sa
import yaml

from app.database import transaction
from app.services.boundaries import import_units
from app.settings import PROJECT
from geo.codes import CodeLayout, load_layout

WEST, SOUTH, STEP = 120.0, 30.0, 0.1
NAMES = {
    "3301": "杭州市", "330102": "上城区", "330105": "拱墅区",
    "330102001": "清波街道", "330102002": "湖滨街道",
    "330105001": "米市巷街道", "330105002": "湖墅街道",
}  # fmt: skip


@pytest.fixture(scope="session")
def layout() -> CodeLayout:
    """The shipped 27-digit layout."""
    text = (PROJECT / "data/layouts/unified-27.yaml").read_text(encoding="utf-8")
    return load_layout(yaml.safe_load(text))


@pytest.fixture(scope="session")
def toy() -> gpd.GeoDataFrame:
    """Units of the toy city, coarse to fine.

    County: two columns each; town: two rows each; village: one column of a town; grid: one cell.
    Every town has a 城东社区 and a 城西社区, every village grids 第1网格 and 第2网格.
    """
    column, row = (a.ravel() for a in np.meshgrid(np.arange(4), np.arange(4)))
    shapes = shapely.box(
        WEST + column * STEP,
        SOUTH + row * STEP,
        WEST + (column + 1) * STEP,
        SOUTH + (row + 1) * STEP,
    )
    codes = [
        f"3301{('02', '05')[c // 2]}{r // 2 + 1:03}{c % 2 + 1:03}{r % 2 + 1:03}"
        for c, r in zip(column, row, strict=True)
    ]
    frames = []
    for level, length in (("city", 4), ("county", 6), ("town", 9), ("village", 12), ("grid", 15)):
        frame = gpd.GeoDataFrame({"code": [c[:length] for c in codes]}, geometry=shapes, crs=4326)
        frame = frame.dissolve("code").reset_index() if length < 15 else frame
        frame["level"] = level
        frame["name"] = frame.code.map(
            lambda c: (
                NAMES.get(c)
                or (("城东社区", "城西社区")[int(c[-1]) - 1] if len(c) == 12 else f"第{c[-1]}网格")
            )
        )
        frames.append(frame)
    units = gpd.pd.concat(frames, ignore_index=True)
    return gpd.GeoDataFrame(units, geometry="geometry", crs=4326)


@pytest.fixture
def pack(engine: sa.Engine, toy: gpd.GeoDataFrame, layout: CodeLayout) -> str:
    """The toy city, stored."""
    with transaction(engine) as connection:
        import_units(connection, pack="toy", label="1", frame=toy, layout=layout)
    return "toy"


@pytest.fixture
def mapping() -> dict[str, Any]:
    """Mapping with every column there is."""
    return {
        "source": "alarm",
        "columns": {
            "reference": "ref", "kind": "kind", "time": "at", "lon": "lon", "lat": "lat",
            "code": "code", "address": "address",
        },
        "kinds": {"words": {"盗窃": "theft", "火警": "fire"}},
    }  # fmt: skip


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a CSV with the columns of `mapping`; rows are dictionaries over good defaults."""

    def make(*rows: dict[str, Any], name: str = "events.csv", encoding: str = "utf-8") -> Path:
        lines = ["ref,kind,at,lon,lat,code,address"]
        for number, row in enumerate(rows, 1):
            good = {
                "ref": f"A{number}", "kind": "盗窃", "at": "2024-05-06 07:08:09",
                "lon": "120.05", "lat": "30.05", "code": "", "address": "",
            }  # fmt: skip
            unknown = set(row) - set(good)
            assert not unknown, unknown
            lines.append(",".join(str(v) for v in (good | row).values()))
        path = tmp_path / name
        path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
        return path

    return make
