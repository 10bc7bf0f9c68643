"""What the points of a feed look like: every wrong declaration is told by trying, a right one never."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from app.feeds.base import Batch
from app.feeds.records import chunk_of
from app.services import feed_diagnosis
from app.services.feed_diagnosis import Diagnosis, judge
from app.services.feed_health import health
from app.services.feed_take import Taker
from app.services.feeds import Feed
from geo import crs

from .conftest import SOUTH, STEP, WEST
from .feed_house import entered


def scattered(n: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Points of the toy city near the borders of its grids, WGS84, with their true codes."""
    random = np.random.default_rng(seed)
    near = random.uniform(-0.011, 0.011, (n, 2))
    column, line = random.integers(1, 4, n), random.integers(1, 4, n)
    lon = WEST + column * STEP + near[:, 0]
    lat = SOUTH + line * STEP + near[:, 1]
    codes = []
    for x, y in zip(lon, lat, strict=True):
        c, r = int((x - WEST) / STEP), int((y - SOUTH) / STEP)
        codes.append(f"3301{('02', '05')[c // 2]}{r // 2 + 1:03}{c % 2 + 1:03}{r % 2 + 1:03}")
    return lon, lat, codes


def sent(taker: Taker, feed: Feed, true: str, n: int = 400, codes: bool = True) -> Any:
    """Send points as a source with the CRS `true` would."""
    lon, lat, known = scattered(n)
    if true == "swapped":
        lat, lon = crs.from_wgs84(lon, lat, feed.mapping.crs)
    else:
        lon, lat = crs.from_wgs84(lon, lat, true)
    rows = [
        {
            "ref": f"R{i}", "kind": "盗窃", "at": "2024-05-06", "lon": float(lon[i]),
            "lat": float(lat[i]), "code": known[i] if codes else None,
        }
        for i in range(n)
    ]  # fmt: skip
    chunk = chunk_of(rows, feed.mapping)
    return taker.take(feed, Batch(f"k-{true}", "request", chunk, feed.mapping.columns.point))


@pytest.mark.parametrize("declared", ["wgs84", "cgcs2000", "gcj02", "bd09"])
@pytest.mark.parametrize("true", ["wgs84", "gcj02", "bd09", "swapped"])
def test_every_wrong_declaration_is_told(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], tmp_path: Path, declared: str, true: str
) -> None:
    feed = entered(engine, {**mapping, "crs": declared}, "push")
    sent(Taker(engine, tmp_path / "locate"), feed, true)
    with engine.connect() as connection:
        (one,), _ = health(connection, "Asia/Shanghai")
    right = true == declared or {true, declared} == {"wgs84", "cgcs2000"}
    if right:
        assert one.diagnosis is None
        assert one.mismatch == 0
        return
    assert one.diagnosis is not None
    assert one.diagnosis.reading == true
    assert one.diagnosis.share > 0.1
    assert one.diagnosis.reading_share == 0
    if true != "swapped":
        assert one.mismatch / one.compared == pytest.approx(one.diagnosis.share, abs=0.05)


def test_swapped_points_without_codes_are_told(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], tmp_path: Path
) -> None:
    feed = entered(engine, mapping, "push")
    done = sent(Taker(engine, tmp_path / "locate"), feed, "swapped", n=30, codes=False)
    assert done.reasons == {"swapped": 30}
    with engine.connect() as connection:
        (one,), _ = health(connection, "Asia/Shanghai")
    assert one.diagnosis == Diagnosis("swapped", 1.0, 0.0, 30)


def test_what_no_reading_explains_is_told_as_that() -> None:
    found = {"n": 1000, "declared": 500, "gcj02": 495, "bd09": 505, "swapped": 1000}
    assert judge([found]) == Diagnosis(None, 0.5, None, 1000)
    few = {"n": 1000, "declared": 19, "gcj02": 0, "bd09": 505, "swapped": 1000}
    assert judge([few]) is None
    assert judge([few, few]) == Diagnosis("gcj02", 0.019, 0.0, 2000)
    assert judge([]) is None


def test_a_projected_feed_is_only_asked_whether_it_is_swapped(
    engine: sa.Engine, pack: str, mapping: dict[str, Any], tmp_path: Path
) -> None:
    columns = {k: v for k, v in mapping["columns"].items() if k not in ("lon", "lat")}
    body = {**mapping, "crs": "EPSG:4549", "columns": {**columns, "x": "lon", "y": "lat"}}
    feed = entered(engine, body, "push")
    taker = Taker(engine, tmp_path / "locate")
    lon, lat, known = scattered(50)
    x, y = crs.from_wgs84(lon, lat, "EPSG:4549")
    rows = [
        {"ref": f"R{i}", "kind": "盗窃", "at": "2024-05-06", "lon": float(y[i]), "lat": float(x[i]),
         "code": known[i]}
        for i in range(50)
    ]  # fmt: skip
    chunk = chunk_of(rows, feed.mapping)
    found = feed_diagnosis.tried(chunk, feed.mapping, feed.mapping.columns.point, taker.place(feed))
    assert found == {"n": 50, "declared": 50, "swapped": 0}
