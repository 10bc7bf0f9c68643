"""Area counts: equal to testing every event, whatever is asked."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import h3
import numpy as np
import pytest
import shapely

import geo.cube.build as build_module
from geo.cube import (
    Cells,
    Columns,
    Question,
    Snapshot,
    Spec,
    UnitRanges,
    ask,
)
from geo.shapes import circle, corridor

sys.path.insert(0, str(Path(__file__).parent))
from cube_twin import agree

SPEC = Spec(("fire", "theft", "fraud"))
T0 = 1_704_038_400  # 2024-01-01T00:00+08:00
DAY = 86_400
WEST, SOUTH = 120.0, 30.0


def events(
    n: int, seed: int = 1, *, days: int = 40, size: float = 0.1, lost: float = 0.1
) -> Columns:
    """Clustered events; some on the corners of tiles and blocks, some at midnight, some without a point."""
    rng = np.random.default_rng(seed)
    seats = rng.uniform([WEST, SOUTH], [WEST + size, SOUTH + size], (5, 2))
    at = seats[rng.integers(0, 5, n)] + rng.normal(0, size / 15, (n, 2))
    grid = rng.random(n) < 0.1
    at[grid] = np.round(at[grid] * 500) / 500
    time = T0 + rng.integers(0, days * DAY, n)
    midnight = rng.random(n) < 0.1
    time[midnight] = time[midnight] // 3600 * 3600
    at[rng.random(n) < lost] = np.nan
    return Columns(
        at[:, 0],
        at[:, 1],
        time,
        rng.integers(0, 3, n),
        rng.integers(0, 30, n),
        rng.integers(0, 4, n),
    )


ROWS = events(3000)
BIG = Snapshot.build(ROWS, SPEC)


@pytest.fixture(autouse=True)
def _cube_of_small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few events fill no block: let small ones into the cube."""


def small_blocks(monkeypatch: pytest.MonkeyPatch, rows: Columns, least: int = 5) -> Snapshot:
    monkeypatch.setattr(build_module, "_SMALL", least)
    return Snapshot.build(rows, SPEC)


AREAS = {
    "box": shapely.box(120.01, 30.01, 120.09, 30.08),
    "all": shapely.box(110, 20, 130, 40),
    "tile": shapely.box(120.02, 30.02, 120.022, 30.022),
    "on the grid": shapely.box(120.0, 30.0, 120.064, 30.064),
    "hole": shapely.Polygon(
        shapely.box(119.9, 29.9, 120.2, 30.2).exterior, [shapely.box(120.02, 30.02, 120.07, 30.08).exterior]
    ),
    "parts": shapely.MultiPolygon(
        [shapely.box(120.0, 30.0, 120.03, 30.1), shapely.box(120.03001, 30.0, 120.08, 30.05)]
    ),
    "sliver": shapely.Polygon([(119.9, 29.9), (120.2, 30.2), (120.2, 30.2000001)]),
    "star": shapely.Polygon(
        [(120.05 + r * np.cos(a), 30.05 + r * np.sin(a)) for a, r in zip(np.linspace(0, 6.2, 60), [0.06, 0.02] * 30, strict=True)]
    ),
    "circle": circle(120.05, 30.05, 3000),
    "corridor": corridor([(120.0, 30.0), (120.05, 30.06), (120.1, 30.05)], 700),
    "elsewhere": shapely.box(10, 10, 11, 11),
    "beside": shapely.box(118, 30.0, 119, 30.1),
}  # fmt: skip


@pytest.mark.parametrize("name", AREAS)
def test_areas(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for snapshot in (BIG, small_blocks(monkeypatch, ROWS)):
        beside = UnitRanges(((0, 3), (7, 9)))
        agree(ROWS, snapshot, Question(AREAS[name], T0, T0 + 30 * DAY, beside=beside))


TIMES = {
    "days": (T0 + 3 * DAY, T0 + 9 * DAY),
    "part days": (T0 + 3 * DAY + 12_345, T0 + 9 * DAY + 54_321),
    "one second": (T0 + 5 * DAY, T0 + 5 * DAY + 1),
    "inside a day": (T0 + 5 * DAY + 10, T0 + 5 * DAY + 70_000),
    "from long ago": (0, T0 + 7 * DAY + 1),
    "for ever": (-(10**10), 10**11),
    "before": (0, T0),
    "after": (T0 + 100 * DAY, T0 + 101 * DAY),
}


@pytest.mark.parametrize("name", TIMES)
def test_times(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    start, end = TIMES[name]
    for snapshot in (BIG, small_blocks(monkeypatch, ROWS)):
        for area in (AREAS["all"], AREAS["star"]):
            agree(ROWS, snapshot, Question(area, start, end))
            agree(ROWS, snapshot, Question(area, start, end, kinds={"theft", "fraud"}))


def test_long_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    # a cube that may be no larger than this has steps of several days
    monkeypatch.setattr(build_module, "CUBE_MOST", 100)
    snapshot = small_blocks(monkeypatch, ROWS)
    assert len(snapshot.arrays["step_edge"]) < len(snapshot.arrays["day_edge"])
    assert snapshot.arrays["part_high"].max() > 0
    for start, end in TIMES.values():
        agree(ROWS, snapshot, Question(AREAS["hole"], start, end))


def test_strays_do_not_stretch_the_cube(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = events(6000)
    rows.time[:3] = [-(10**9), 10**10, 10**11]
    rows.lon[:3], rows.lat[:3] = 120.05, 30.05
    monkeypatch.setattr(build_module, "CUBE_MOST", 3000)
    snapshot = small_blocks(monkeypatch, rows)
    assert len(snapshot.arrays["loose_time"]) >= 3
    assert len(snapshot) == 6000
    agree(rows, snapshot, Question(AREAS["box"], -(10**11), 10**12))


@pytest.mark.parametrize(
    "zone", ["Europe/London", "America/St_Johns", "Asia/Kathmandu", "America/Santiago"]
)
def test_clocks_that_change(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = Spec(SPEC.kinds, zone)
    rng = np.random.default_rng(5)
    rows = events(1500, 2, days=400)
    # an hour around each change of 2024
    rows.time[:400] = rng.choice(
        [1_711_846_800, 1_729_990_800, 1_710_052_200, 1_712_458_800, 1_725_768_000], 400
    )
    rows.time[:400] += rng.integers(-7200, 7200, 400)
    monkeypatch.setattr(build_module, "_SMALL", 5)
    snapshot = Snapshot.build(rows, spec)
    hours = np.zeros(168, dtype=bool)
    hours[[0, 1, 2, 23, 24, 47, 50, 140, 143, 144, 145, 146, 147, 166, 167]] = True
    agree(rows, snapshot, Question(AREAS["all"], T0 + 5000, T0 + 399 * DAY))
    agree(rows, snapshot, Question(AREAS["star"], T0 + 5000, T0 + 399 * DAY, hours_of_week=hours))


def test_hours_of_the_week(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    snapshot = small_blocks(monkeypatch, ROWS)
    for p in (0.02, 0.5, 0.98):
        hours = rng.random(168) < p
        for area in (AREAS["hole"], UnitRanges(((3, 12),))):
            agree(ROWS, snapshot, Question(area, T0 + 77, T0 + 20 * DAY + 5, hours_of_week=hours))


@pytest.mark.parametrize(
    "ranges", [((4, 5),), ((0, 30),), ((0, 1),), ((2, 9), (20, 2**40)), ((500, 600),)]
)
def test_units(ranges: tuple[tuple[int, int], ...], monkeypatch: pytest.MonkeyPatch) -> None:
    # units in stripes, so that blocks are whole, mixed and empty
    rows = dataclasses.replace(
        ROWS,
        unit=np.where(
            np.isnan(ROWS.lon), ROWS.unit, ((np.nan_to_num(ROWS.lon) - 119.9) * 100)
        ).astype(np.int32),
    )
    snapshot = small_blocks(monkeypatch, rows)
    agree(rows, snapshot, Question(UnitRanges(ranges), T0 + 99, T0 + 22 * DAY + 1))
    agree(rows, snapshot, Question(UnitRanges(ranges), 0, T0 * 2, kinds={"fire"}))


@pytest.mark.parametrize("res", [0, 3, 5, 7, 9, 11])
def test_cells(res: int, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = small_blocks(monkeypatch, ROWS)
    known = [
        h3.latlng_to_cell(y, x, res) for x, y in zip(ROWS.lon, ROWS.lat, strict=True) if x == x
    ]
    some = np.array([h3.str_to_int(c) for c in sorted(set(known))[::2]], dtype=np.uint64)
    agree(
        ROWS, snapshot, Question(Cells(some), T0 + 5, T0 + 30 * DAY, beside=UnitRanges(((1, 2),)))
    )


def test_cells_of_mixed_resolutions_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = small_blocks(monkeypatch, ROWS)
    ids = [h3.str_to_int(h3.latlng_to_cell(30.05, 120.05, r)) for r in (5, 6, 8)]
    agree(ROWS, snapshot, Question(Cells(np.array(ids)), 0, T0 * 2))


def test_cells_by_the_pole_and_the_antimeridian() -> None:
    rng = np.random.default_rng(1)
    n = 600
    lon, lat = np.where(rng.random(n) < 0.5, 179.95, -180) + rng.random(n) / 20, rng.random(n) / 10
    lat[:100], lon[:100] = 89.9 + rng.random(100) / 10, rng.uniform(-180, 180, 100)
    rows = Columns(lon, lat, T0 + np.arange(n), np.zeros(n), np.ones(n))
    snapshot = Snapshot.build(rows, SPEC)
    for x, y in ((180, 0.05), (0, 90)):
        ids = np.array([h3.str_to_int(h3.latlng_to_cell(y, x, 4))], dtype=np.uint64)
        agree(rows, snapshot, Question(Cells(ids), 0, T0 * 2))


def hard_points(shape: shapely.Geometry, rng: np.random.Generator) -> np.ndarray:
    """Vertices, midpoints, points on edges, and their neighbours one bit away."""
    rings = shapely.get_rings(shapely.get_parts(shape))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    same = ring[1:] == ring[:-1]
    a, b = points[:-1][same], points[1:][same]
    on = a + rng.random((len(a), 1)) * (b - a)
    level = np.column_stack(
        [
            rng.uniform(points[:, 0].min() - 0.01, points[:, 0].max() + 0.01, len(points)),
            points[:, 1],
        ]
    )
    pool = [points, (a + b) / 2, on, level]
    pool += [np.nextafter(p, p + rng.choice([-1, 1], p.shape)) for p in pool]
    west, south, east, north = shape.bounds
    pool.append(rng.uniform([west - 0.01, south - 0.01], [east + 0.01, north + 0.01], (100, 2)))
    return np.concatenate(pool)


@pytest.mark.parametrize("name", [n for n in AREAS if n != "all"])
def test_every_edge_and_corner(name: str) -> None:
    area, rng = AREAS[name], np.random.default_rng(4)
    at = hard_points(area, rng)
    rows = Columns(at[:, 0], at[:, 1], np.full(len(at), T0), np.zeros(len(at)), np.arange(len(at)))
    snapshot = Snapshot.build(rows, SPEC)
    found = ask(snapshot, Question(area, T0, T0 + 1, breakdowns={"unit"}))
    shapely.prepare(area)
    want = np.flatnonzero(shapely.covers(area, shapely.points(at)))
    assert found.by_unit is not None
    assert found.by_unit.keys.tolist() == want.tolist()
