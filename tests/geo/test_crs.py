"""CRS: exact inverses, the real twin of GCJ-02, refusals, diagnosis of swapped coordinates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from pyproj import Geod

from geo import crs

GEOD = Geod(ellps="WGS84")


def grid() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.uniform(73.0, 135.0, 20_000), rng.uniform(3.0, 53.0, 20_000)


@pytest.mark.parametrize("name", ["gcj02", "bd09"])
def test_there_and_back(name: str) -> None:
    lon, lat = grid()
    there = crs.from_wgs84(lon, lat, name)
    back = crs.to_wgs84(*there, name)
    shifted = GEOD.inv(lon, lat, *there)[2]
    assert 10 < shifted.min() < shifted.max() < 3000
    assert GEOD.inv(lon, lat, *back)[2].max() < 1e-3


def test_known_points() -> None:
    # published examples of the widely used formulas
    there = crs.from_wgs84([116.404], [39.915], "gcj02")
    assert np.allclose(np.ravel(there), [116.41024449916938, 39.91640428150164], atol=1e-9)
    there = crs.from_wgs84(*crs.to_wgs84([116.404], [39.915], "gcj02"), "bd09")
    assert np.allclose(np.ravel(there), [116.41036949371029, 39.92133699351021], atol=1e-9)


@pytest.mark.parametrize("name", ["gcj02", "bd09"])
def test_outside_china_nothing_moves(name: str) -> None:
    lon, lat = [2.35, 71.9, 138.0, 110.0, 110.0], [48.85, 30.0, 30.0, 0.5, 56.0]
    for convert in (crs.to_wgs84, crs.from_wgs84):
        x, y = convert(lon, lat, name)
        assert x.tolist() == lon
        assert y.tolist() == lat


def test_the_real_twin_agrees(shared: Path) -> None:
    folder = shared / "cn_boundaries"
    twin = gpd.read_file(folder / "counties5_amap_gcj02.geojson")
    true = gpd.read_file(folder / "counties5_amap_wgs84.geojson")
    twin = twin.set_index(twin.district_adcode.astype(str)).sort_index().geometry
    true = true.set_index(true.district_adcode.astype(str)).sort_index().geometry
    turned = crs.geometries_to_wgs84(twin.values, "gcj02")
    # the twin is another year's drawing: most vertices agree, the rest was redrawn
    ends, ring = shapely.get_coordinates(
        shapely.get_rings(shapely.get_parts(true.values)), return_index=True
    )
    pairs = np.stack([ends[:-1], ends[1:]], axis=1)[ring[:-1] == ring[1:]]
    lines = shapely.STRtree(shapely.linestrings(pairs))  # segment by segment: quick to search

    def away(shapes: Any) -> np.ndarray:
        points = shapely.points(shapely.get_coordinates(shapes)[::7])
        (at, _), far = lines.query_nearest(points, return_distance=True, all_matches=False)
        assert np.array_equal(at, np.arange(len(points)))
        return far

    metres = away(turned) * 111_000
    untouched = away(twin.values)
    assert np.quantile(metres, 0.25) < 0.5
    assert np.median(metres) < 10  # the sources themselves differ by 35 m in the middle
    # there and back, every vertex
    x, y = shapely.get_coordinates(twin.values).T
    back = crs.from_wgs84(*shapely.get_coordinates(turned).T, "gcj02")
    assert GEOD.inv(x, y, *back)[2].max() < 1e-3
    assert np.median(untouched) * 111_000 > 100


def test_shared_vertices_stay_shared() -> None:
    pair = shapely.from_wkt(
        ["POLYGON((120 30,121 30,121 31,120 30))", "POLYGON((121 30,122 30,121 31,121 30))"]
    )
    one, two = crs.geometries_to_wgs84(pair, "gcj02")
    assert shapely.intersection(one, two).geom_type == "LineString"


def test_epsg_in_both_directions() -> None:
    x, y = crs.from_wgs84([-123.1], [49.25], "EPSG:32610")
    assert 492_000 < x[0] < 493_000
    assert 5_454_000 < y[0] < 5_457_000
    lon, lat = crs.to_wgs84(x, y, "epsg:32610")
    assert np.allclose([lon[0], lat[0]], [-123.1, 49.25], atol=1e-9)


def test_cgcs2000_is_wgs84() -> None:
    assert crs.to_wgs84([120.1], [30.2], "CGCS2000")[0].tolist() == [120.1]
    assert crs.normalise("EPSG:4490") == "cgcs2000"
    assert crs.normalise("WGS 84") == "wgs84"
    # Gauss-Kruger zone at 120 E, easting first
    lon, lat = crs.to_wgs84([500_000.0], [3_300_000.0], "EPSG:4549")
    assert lon[0] == pytest.approx(120.0)
    assert 29.7 < lat[0] < 29.9


@pytest.mark.parametrize("name", ["mars", "EPSG:99999", "EPSG:", "4326", "EPSG:4978", "EPSG:5703"])
def test_unknown_crs(name: str) -> None:
    with pytest.raises(crs.CrsError, match=name):
        crs.to_wgs84([1.0], [2.0], name)


def test_a_guess_is_refused() -> None:
    # Xi'an 1980 has no public parameters
    with pytest.raises(crs.CrsError, match="surveyor"):
        crs.to_wgs84([1.0], [2.0], "EPSG:2343")


def test_what_cannot_be_converted_is_nan() -> None:
    for name in ("wgs84", "gcj02", "bd09", "EPSG:32610"):
        x, y = crs.to_wgs84([np.nan, np.inf, 121.0], [30.0, 30.0, np.nan], name)
        assert np.isnan(x).all()
        assert np.isnan(y).all()
    assert np.isnan(crs.to_wgs84([1e12], [1e12], "EPSG:32610")[0]).all()


def test_the_input_is_not_written() -> None:
    lon, lat = np.array([120.0]), np.array([30.0])
    for name in ("wgs84", "gcj02"):
        x, _ = crs.to_wgs84(lon, lat, name)
        x[0] = 0
    assert lon.tolist() == [120.0]
    assert lat.tolist() == [30.0]


def test_diagnosis() -> None:
    lon, lat = grid()
    assert crs.looks_like(lon, lat) is None
    assert crs.looks_like(lat, lon) == "swapped"
    assert crs.looks_like([30.2], [120.1], (118.0, 29.0, 121.0, 31.0)) == "swapped"
    assert crs.looks_like([49.2], [-23.1]) is None
    assert crs.looks_like([49.2], [-23.1], crs.CHINA) == "outside"
    assert crs.looks_like([492_000.0], [5_455_000.0]) == "metres"
    assert crs.looks_like([], []) is None
    assert crs.looks_like([np.nan], [1.0]) is None
    assert crs.area("EPSG:32610") == (-126.0, 0.0, -120.0, 84.0)
