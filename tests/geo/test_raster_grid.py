"""Shares of a raster inside parts of polygons: equal to cutting every pixel, conserved, read in pieces."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin

from geo import raster, raster_grid
from geo.pixels import Pieces, weigh
from geo.raster import sum_by_area
from geo.raster_grid import Gathering, Plane, UnitGrid, shares, signed_areas

Grids = dict[int, UnitGrid]
UNITS = [
    shapely.box(118.003, 29.952, 118.031, 29.983),
    shapely.Polygon([(118.031, 29.952), (118.07, 29.94), (118.06, 29.99), (118.031, 29.983)]),
]
UTM = "EPSG:32650"
PLANES = {
    "degrees": ("EPSG:4326", from_origin(118.0, 30.0, 0.004, 0.003)),
    "metres": (UTM, from_origin(595_000, 3_320_000, 400, 300)),
}


def write(path: Path, data: np.ndarray, plane: str = "degrees", **more: object) -> Path:
    crs, grid = PLANES[plane]
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=data.shape[0], width=data.shape[1],
        dtype=data.dtype, crs=crs, transform=grid, nodata=-1, **more,
    ) as file:  # fmt: skip
        file.write(data, 1)
    return path


def kept(path: Path, units: list[shapely.Geometry]) -> tuple[Plane, Grids]:
    found: Grids = {}
    planes = []

    def keep(plane: Plane, number: int, grid: UnitGrid) -> None:
        planes.append(plane)
        assert number not in found
        found[number] = grid

    sum_by_area(path, units, keep=keep)
    return planes[0], found


def brute(values: np.ndarray, part: shapely.Geometry) -> float:
    """Sum over a part in degrees, every pixel cut."""
    a, _, c, _, e, f = tuple(PLANES["degrees"][1])[:6]
    found: float = sum(
        float(value)
        * shapely.box(c + a * x, f + e * (y + 1), c + a * (x + 1), f + e * y)
        .intersection(part)
        .area
        for (y, x), value in np.ndenumerate(values)
        if value > 0
    )
    return found


def pies(unit: shapely.Geometry, angle: float, x: float, y: float) -> list[shapely.Geometry]:
    """Two halves of a unit, cut through a point of its box at an angle."""
    west, south, east, north = unit.bounds
    at = np.array([west + x * (east - west), south + y * (north - south)])
    along = np.array([np.cos(angle), np.sin(angle)])
    side = np.array([-along[1], along[0]])
    return [
        unit.intersection(
            shapely.Polygon([at - along, at + along, at + along + k * side, at - along + k * side])
        )
        for k in (1, -1)
    ]


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 1000),
    angle=st.floats(0, 3.1),
    x=st.floats(0.05, 0.95),
    y=st.floats(0.05, 0.95),
)
def test_equal_to_cutting_every_pixel_and_conserved(
    tmp_path_factory: pytest.TempPathFactory, seed: int, angle: float, x: float, y: float
) -> None:
    random = np.random.default_rng(seed)
    data = np.where(random.random((20, 20)) < 0.2, -1, random.gamma(0.3, 50, (20, 20)))
    data[0, 0] = 1
    path = write(tmp_path_factory.getbasetemp() / "hypo.tif", data)
    plane, grids = kept(path, UNITS)
    for number, unit in enumerate(UNITS):
        halves = pies(unit, angle, x, y)
        grid = grids[number]
        found = shares(plane, [grid, grid], np.array(halves))
        whole = brute(data, unit)
        assert found == pytest.approx([brute(data, half) / whole for half in halves], abs=1e-6)
        assert found.sum() == pytest.approx(1, abs=1e-9)


def test_people_in_one_half(tmp_path: Path) -> None:
    data = np.zeros((20, 20))
    data[:, :4] = 7  # west of 118.016
    unit = shapely.box(118.0, 29.95, 118.032, 29.99)
    plane, grids = kept(write(tmp_path / "half.tif", data), [unit])
    west, east = (
        shapely.box(118.0, 29.95, 118.016, 29.99),
        shapely.box(118.016, 29.95, 118.032, 29.99),
    )
    quarter = shapely.box(118.0, 29.95, 118.004, 29.99)
    found = shares(plane, [grids[0]] * 3, np.array([west, east, quarter]))
    assert found == pytest.approx([1, 0, 0.25], abs=1e-10)


@pytest.mark.parametrize("plane", ["degrees", "metres"])
def test_many_parts_and_two(tmp_path: Path, plane: str) -> None:
    data = np.random.default_rng(3).random((50, 50)) ** 6
    where, grids = kept(write(tmp_path / "a.tif", data, plane), UNITS)
    unit = UNITS[1]
    west, south, east, north = unit.bounds
    cuts = np.linspace(west, east, 8)
    parts = np.array(
        [unit.intersection(shapely.box(a, south, b, north)) for a, b in pairwise(cuts)]
    )
    alone = shares(where, [grids[1]] * 7, parts)
    assert alone.sum() == pytest.approx(1, abs=1e-12 if plane == "degrees" else 1e-6)
    one, other = pies(unit, 0.7, 0.4, 0.6)
    found = shares(where, [grids[1]] * 2, np.array([one, other]), np.array([other, one]))
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert found[0] == pytest.approx(shares(where, [grids[1]], np.array([one]))[0], abs=1e-6)


def test_read_in_pieces_as_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.default_rng(4).random((64, 64))
    path = write(tmp_path / "a.tif", data, tiled=True, blockxsize=16, blockysize=16)
    _, once = kept(path, UNITS)
    monkeypatch.setattr(raster, "_WINDOW", 1)
    _, pieces = kept(path, UNITS)
    assert once.keys() == pieces.keys() == {0, 1}
    for number, grid in once.items():
        other = pieces[number]
        assert (grid.column, grid.row, grid.factor) == (other.column, other.row, other.factor)
        assert np.array_equal(grid.amounts, other.amounts)
        assert grid.total == other.total


def test_of_large_polygons_squares_of_pixels_are_kept(tmp_path: Path) -> None:
    data = np.random.default_rng(5).random((20, 20))
    plane, grids = kept(write(tmp_path / "a.tif", data), UNITS)
    edges, starts = plane.edges(np.array(UNITS))
    areas = signed_areas(edges, starts)
    box = np.array([[0, 0, 20, 20]] * 2)
    pieces = Pieces(edges, starts, np.sign(areas), box, np.abs(areas))
    coarse = Gathering(pieces, most=30)
    coarse.add(np.arange(2), np.zeros(2, np.int64), (np.ones((20, 20)), data))
    grid = coarse.take(1)
    assert grid is not None
    assert (grid.factor, grid.amounts.shape) == (4, (5, 5))
    halves = pies(UNITS[1], 0.3, 0.5, 0.5)
    found = shares(plane, [grid] * 2, np.array(halves))
    fine = shares(plane, [grids[1]] * 2, np.array(halves))
    assert found.sum() == pytest.approx(1, abs=1e-12)
    # what lies in a square is spread over what the polygon has of it
    assert found == pytest.approx(fine, abs=0.1)
    assert coarse.take(1) is None


def test_nothing_known_or_nobody_there_keeps_nothing(tmp_path: Path) -> None:
    data = np.full((20, 20), -1.0)
    data[:, 8:] = 3
    _, grids = kept(write(tmp_path / "none.tif", data), UNITS)
    assert set(grids) == {1}
    data[:, :8] = 0
    _, grids = kept(write(tmp_path / "nobody.tif", data), UNITS)
    assert set(grids) == {1}


def test_amounts_beyond_what_is_kept_in_four_bytes(tmp_path: Path) -> None:
    data = np.full((20, 20), 1e300)
    plane, grids = kept(write(tmp_path / "huge.tif", data), UNITS)
    halves = pies(UNITS[0], 0, 0.5, 0.25)
    assert shares(plane, [grids[0]] * 2, np.array(halves)) == pytest.approx([0.75, 0.25])


def test_parts_off_the_grid_and_empty_ones(tmp_path: Path) -> None:
    plane, grids = kept(write(tmp_path / "a.tif", np.ones((20, 20))), UNITS)
    off = np.array([shapely.box(100, 10, 101, 11), shapely.Polygon()])
    assert shares(plane, [grids[0]] * 2, off).tolist() == [0, 0]
    nothing = UnitGrid(0, 0, 1, np.zeros((2, 2), np.float32), 0.0)
    assert np.isnan(shares(plane, [nothing], off[:1])).all()
    with pytest.raises(raster_grid.BeyondError, match="lies beyond it"):
        Plane("EPSG:3031", plane.transform).edges(np.array([shapely.box(0, 80, 1, 90.1)]))


def test_the_same_uncompiled(tmp_path: Path) -> None:
    plane, grids = kept(write(tmp_path / "a.tif", np.random.default_rng(6).random((20, 20))), UNITS)
    edges, _ = plane.edges(np.array(UNITS[1:]))
    grid = grids[1]
    scaled = edges - np.array([grid.column, grid.row] * 2)
    plain = weigh.py_func(scaled, grid.amounts)  # type: ignore[attr-defined]
    assert abs(plain) == pytest.approx(grid.total, rel=1e-12)
