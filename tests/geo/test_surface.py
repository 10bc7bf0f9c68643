"""Density: every kernel added by hand, the integral, the edge, the bandwidth, the plane."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import geometry_mask

from geo import surface
from geo.surface import KERNELS, SurfaceError, default_bandwidth, density

HERE = (118.1, 28.6)


def cloud(seed: int, n: int, wide: float = 0.02) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return HERE[0] + rng.normal(0, wide, n), HERE[1] + rng.normal(0, wide, n)


def star(seed: int) -> shapely.Polygon:
    rng = np.random.default_rng(seed)
    turn = np.sort(rng.random(9)) * 2 * np.pi
    far = 0.01 + 0.04 * rng.random(9)
    ring = np.column_stack([HERE[0] + far * np.cos(turn), HERE[1] + far * np.sin(turn)])
    return shapely.Polygon(ring).buffer(0)


def kernel(name: str, away: Any) -> Any:
    """Not normalised; `away` in bandwidths."""
    if name == "quartic":
        return np.where(away < 1, (1 - away**2) ** 2, 0.0)
    return np.where(away <= 4, np.exp(-(away**2) / 2), 0.0)


def cell_of(found: surface.Surface, x: float, y: float) -> tuple[int, int]:
    """Column and row of a place in metres."""
    left, top = found.transform.c, found.transform.f
    return math.floor((x - left) / found.cell), math.floor((top - y) / found.cell)


def twin(found: surface.Surface, lon: Any, lat: Any) -> Any:
    """Every event's kernel over the cells inside, each divided by its own sum there."""
    there = pyproj.Transformer.from_crs("EPSG:4326", found.crs, always_xy=True)
    east, north = there.transform(lon, lat)
    rows, columns = found.values.shape
    inside = ~np.isnan(found.values)
    added = np.zeros((rows, columns))
    row_at, column_at = np.indices((rows, columns))
    for x, y in zip(east, north, strict=True):
        column, row = cell_of(found, x, y)
        away = np.hypot(row_at - row, column_at - column) * found.cell / found.bandwidth
        mass = np.where(inside, kernel(found.kernel, away), 0.0)
        added += mass / mass.sum()
    return np.where(inside, added / (found.cell**2 / 1e6), np.nan)


@settings(max_examples=25)
@given(
    st.integers(0, 10**6),
    st.integers(1, 25),
    st.sampled_from(KERNELS),
    st.floats(300, 3000),
    st.booleans(),
)
def test_density_is_the_sum_of_kernels(
    seed: int, n: int, name: str, wide: float, cut: bool
) -> None:
    lon, lat = cloud(seed, n)
    area = star(seed) if cut else None
    inside = shapely.intersects_xy(area, lon, lat) if area is not None else np.ones(n, bool)
    if not inside.any():
        with pytest.raises(SurfaceError, match="no event"):
            density(lon, lat, area, bandwidth=wide, kernel=name)
        return
    found = density(lon, lat, area, bandwidth=wide, kernel=name, cell=wide / 3)
    assert (found.events, found.outside) == (inside.sum(), n - inside.sum())
    assert found.integral() == pytest.approx(found.events, rel=1e-9)
    want = twin(found, lon[inside], lat[inside])
    np.testing.assert_allclose(found.values, want, rtol=1e-6, atol=1e-9 * np.nanmax(want))
    assert (found.bandwidth, found.cell, found.rule) == (wide, wide / 3, "given")


def test_the_cut_is_every_cell_that_touches_the_area() -> None:
    area = star(3)
    found = density(*cloud(3, 500), area, bandwidth=1500)
    there = pyproj.Transformer.from_crs("EPSG:4326", found.crs, always_xy=True)
    flat = shapely.transform(shapely.segmentize(area, 0.001), there.transform, interleaved=False)
    outside = geometry_mask([flat], found.values.shape, found.transform, all_touched=True)
    np.testing.assert_array_equal(np.isnan(found.values), outside)


def test_no_fall_towards_the_edge() -> None:
    """Even events in a square: with the edge rule the density is even up to the border."""
    rng = np.random.default_rng(1)
    box = shapely.box(118.0, 28.5, 118.2, 28.7)
    lon, lat = 118 + 0.2 * rng.random(60_000), 28.5 + 0.2 * rng.random(60_000)
    found = density(lon, lat, box, bandwidth=2000)
    km2 = pyproj.Geod(ellps="WGS84").geometry_area_perimeter(box)[0] / 1e6
    middle = found.values[15:-15, 15:-15]
    assert np.nanmean(middle) == pytest.approx(60_000 / abs(km2), rel=0.02)
    edge = found.values[3:6, 15:-15]
    assert np.nanmean(edge) == pytest.approx(60_000 / abs(km2), rel=0.06)


def test_grid_lies_where_the_events_are() -> None:
    lon, lat = cloud(2, 40, 0.01)
    lon, lat = np.append(lon, 118.16), np.append(lat, 28.63)
    found = density(lon, lat, bandwidth=400)
    west, south, east, north = found.bounds_lonlat()
    assert west < lon.min() < lon.max() < east
    assert south < lat.min() < lat.max() < north
    there = pyproj.Transformer.from_crs("EPSG:4326", found.crs, always_xy=True)
    column, row = cell_of(found, *there.transform(118.16, 28.63))
    assert found.values[row, column] == pytest.approx(
        np.nanmax(found.values[row - 3 : row + 4, column - 3 : column + 4]),
        rel=0.01,
    )
    # one event, alone: its peak is that of the kernel, 3 / (π h²)
    assert found.values[row, column] == pytest.approx(3 / (math.pi * 0.4**2), rel=0.02)


@pytest.mark.parametrize("name", KERNELS)
def test_default_bandwidth(name: str) -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(0, 1000, 4000), rng.normal(0, 1000, 4000)
    factor = 1 if name == "gaussian" else math.sqrt(8)
    want = 1000 * 4000 ** (-1 / 6) * factor
    assert default_bandwidth(x, y, name) == pytest.approx(want, rel=0.03)
    # far points do not widen it much
    far = default_bandwidth(np.append(x, [9e5] * 20), np.append(y, [9e5] * 20), name)
    assert far == pytest.approx(want, rel=0.04)
    found = density(*cloud(5, 300), kernel=name)
    assert found.rule == "default"
    assert found.cell == pytest.approx(found.bandwidth / 8)


def test_half_of_the_events_at_one_place_still_have_a_bandwidth() -> None:
    x, y = np.append(np.zeros(60), np.arange(40.0) * 100), np.zeros(100)
    assert default_bandwidth(x, y) > 0


def test_kernels_of_equal_spread_look_alike() -> None:
    lon, lat = cloud(6, 3000)
    area = shapely.Point(HERE).buffer(0.03)
    one = density(lon, lat, area, kernel="quartic", bandwidth=2828, cell=250)
    two = density(lon, lat, area, kernel="gaussian", bandwidth=1000, cell=250)
    assert one.values.shape == two.values.shape
    assert np.nanmax(np.abs(one.values - two.values)) < 0.15 * np.nanmax(two.values)


def test_a_large_grid_gets_coarser_and_then_is_refused() -> None:
    lon, lat = cloud(7, 50, 0.2)
    found = density(lon, lat, bandwidth=1000, max_cells=60_000)
    assert 125 < found.cell <= 500
    assert found.values.size <= 60_000
    with pytest.raises(SurfaceError, match="more than 2,000"):
        density(lon, lat, bandwidth=1000, max_cells=2000)
    with pytest.raises(SurfaceError, match="more than 60,000"):
        density(lon, lat, bandwidth=1000, cell=100, max_cells=60_000)


def test_events_without_a_place_are_said() -> None:
    lon, lat = cloud(8, 10)
    lon[2] = math.nan
    found = density(lon, lat, bandwidth=900)
    assert (found.events, found.outside) == (9, 1)


def test_events_on_the_very_border_are_in() -> None:
    box = shapely.box(118.0, 28.5, 118.1, 28.6)
    ring = shapely.get_coordinates(shapely.segmentize(box, 0.0173))
    found = density(ring[:, 0], ring[:, 1], box, bandwidth=500)
    assert found.events == len(ring)
    assert found.integral() == pytest.approx(len(ring))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kernel": "box"}, "kernel is one of"),
        ({"lon": [118.0]}, "longitudes"),
        ({"area": shapely.Polygon()}, "empty shape"),
        ({"area": shapely.Point(118, 28.5)}, "no polygon"),
        ({"area": shapely.box(0, 0, 1, 1)}, "no event"),
        ({"bandwidth": 0.0}, "above 0 m"),
        ({"bandwidth": math.inf}, "above 0 m"),
        ({"cell": 300.0}, "at most half"),
        ({"lon": [118.0], "lat": [28.5], "bandwidth": None}, "at least 2"),
        ({"lon": [118.0, 118.0], "lat": [28.5, 28.5], "bandwidth": None}, "one place"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], words: str) -> None:
    good: dict[str, Any] = {"lon": [118.0, 118.01], "lat": [28.5, 28.51], "bandwidth": 500.0}
    with pytest.raises(SurfaceError, match=words):
        density(**(good | change))
