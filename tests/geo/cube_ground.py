"""Events, areas and snapshots that the tests of the cube share."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

import geo.cube.build as build_module
from geo.cube import (
    Columns,
    Snapshot,
    Spec,
)
from geo.shapes import circle, corridor

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


def small_blocks(monkeypatch: pytest.MonkeyPatch, rows: Columns, least: int = 5) -> Snapshot:
    monkeypatch.setattr(build_module, "_SMALL", least)
    return Snapshot.build(rows, SPEC)


def fine_tiles(monkeypatch: pytest.MonkeyPatch, rows: Columns, side: int = 16) -> Snapshot:
    monkeypatch.setattr(build_module, "_CROWD", 0.0)
    monkeypatch.setattr(build_module, "_SPARSE", 0)
    monkeypatch.setattr(build_module, "_FINEST", side)
    snapshot = small_blocks(monkeypatch, rows)
    assert snapshot.arrays["side"][0] == side
    return snapshot


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
