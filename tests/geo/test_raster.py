"""Raster sums: equal to intersecting every pixel, conserved, read piece by piece, clear refusals."""

from __future__ import annotations

import tracemalloc
from functools import reduce
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.transform import from_origin
from rasterio.windows import Window
from shapely import affinity

from geo.raster import RasterError, sum_by_area
from geo.raster_grid import MOST

GRID = from_origin(118.0, 30.0, 0.01, 0.01)


def write(path: Path, data: np.ndarray, grid: Affine = GRID, **more: Any) -> Path:
    """A GeoTIFF of one or more bands."""
    bands = data if data.ndim == 3 else data[None]
    with rasterio.open(
        path, "w", driver="GTiff", count=len(bands), height=bands.shape[1], width=bands.shape[2],
        dtype=bands.dtype, transform=grid, **({"crs": "EPSG:4326"} | more),
    ) as file:  # fmt: skip
        file.write(bands)
    return path


def brute(
    values: np.ndarray, grid: Affine, shapes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every pixel cut with every polygon (in the raster's plane): sums, known part, cover."""
    height, width = values.shape
    column, row = np.meshgrid(np.arange(width), np.arange(height))
    corner = np.stack([column.ravel(), row.ravel()], axis=1)[:, None, :]
    rings = corner + np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])
    a, b, c, d, e, f = tuple(grid)[:6]
    x, y = rings[..., 0], rings[..., 1]
    pixels = shapely.polygons(np.stack([a * x + b * y + c, d * x + e * y + f], axis=-1))
    tree = shapely.STRtree(pixels)
    shape, pixel = tree.query(shapes, predicate="intersects")
    part = shapely.area(shapely.intersection(shapes[shape], pixels[pixel])) / abs(grid.determinant)
    value = values.ravel()[pixel]
    good = ~np.isnan(value)
    cover = np.bincount(pixel, part, values.size)
    share = value * part / np.maximum(cover[pixel], 1)
    sums = np.bincount(shape[good], share[good], len(shapes))
    # of nothing bincount makes integers
    known = np.bincount(shape[good], part[good], len(shapes)).astype(float)
    with np.errstate(invalid="ignore"):
        known /= shapely.area(shapes) / abs(grid.determinant)
    return sums, known, cover.reshape(values.shape)


def same_as_brute(path: Path, values: np.ndarray, grid: Affine, shapes: np.ndarray) -> None:
    found = sum_by_area(path, shapes)
    sums, known, cover = brute(values, grid, shapes)
    got = np.nan_to_num(found.values)
    assert got == pytest.approx(sums, rel=1e-7, abs=1e-7)
    assert found.known == pytest.approx(known, rel=1e-6, abs=1e-6)
    # whether a pixel is touched by a hair more than rounding is nobody's question
    most, fewest = [
        (np.nan_to_num(values)[cover > hair] * (1 - cover[cover > hair]).clip(0)).sum()
        for hair in (1e-12, 1e-6)
    ]
    assert fewest * (1 - 1e-6) - 1e-6 <= found.outside <= most * (1 + 1e-6) + 1e-6
    assert found.assigned + found.outside == pytest.approx(found.total, rel=1e-9)
    shared = (np.nan_to_num(values) * (cover - 1).clip(0)).sum()
    assert found.shared == pytest.approx(shared, rel=1e-5, abs=1e-5)


def seats(n: int, seed: int, box: tuple[float, float, float, float]) -> np.ndarray:
    """A coverage of `box`."""
    rng = np.random.default_rng(seed)
    west, south, east, north = box
    points = shapely.multipoints(rng.random((n, 2)) * [east - west, north - south] + [west, south])
    cells = shapely.get_parts(shapely.voronoi_polygons(points, extend_to=shapely.box(*box)))
    return shapely.intersection(cells, shapely.box(*box))


def test_a_coverage_with_nodata(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    data = (rng.random((60, 80)) * 100).astype("float32")
    data[rng.random(data.shape) < 0.2] = -9999
    path = write(tmp_path / "a.tif", data, nodata=-9999)
    values = np.where(data == -9999, np.nan, data.astype(float))
    # over the east edge of the raster too
    same_as_brute(path, values, GRID, seats(120, 2, (118.1, 29.5, 118.93, 29.91)))


points = st.tuples(st.floats(-2, 10), st.floats(-2, 8))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(points, min_size=3, max_size=7), min_size=1, max_size=3),
    st.floats(-180, 180),
    st.sampled_from([1.0, 0.05, 37.0]),
    st.booleans(),
    st.booleans(),
)
def test_any_shapes_and_grids(
    tmp_path_factory: pytest.TempPathFactory,
    corners: list[list[tuple[float, float]]], turn: float, size: float, flip: bool, snap: bool,
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("r")
    cos, sin = np.cos(np.radians(turn)) * size / 1000, np.sin(np.radians(turn)) * size / 1000
    down = 1 if flip else -1
    grid = Affine(cos, -sin * down, 118.0, sin, cos * down, 30.0)
    rings = [np.round(np.array(c)) if snap else np.array(c) for c in corners]
    hulls = [shapely.make_valid(shapely.polygons(ring)) for ring in rings]
    # in pixels, with holes where they meet; then on the ground
    merged = shapely.make_valid(reduce(shapely.symmetric_difference, hulls))
    parts = [g for g in shapely.get_parts(shapely.get_parts([merged])) if g.geom_type == "Polygon"]
    if not parts:
        return
    matrix = [grid.a, grid.b, grid.d, grid.e, grid.c, grid.f]
    ground = affinity.affine_transform(shapely.multipolygons(parts), matrix)
    if not ground.is_valid or ground.area < 1e-9:
        return
    values = np.random.default_rng(5).random((6, 8)) * 10
    if (brute(values, grid, np.array([ground]))[2] > 1e-6).any():
        path = write(folder / "a.tif", values, grid)
        same_as_brute(path, values, grid, np.array([ground]))


def test_edges_on_pixel_edges_and_smaller_than_a_pixel(tmp_path: Path) -> None:
    values = np.arange(16.0).reshape(4, 4)
    path = write(tmp_path / "a.tif", values, from_origin(0, 4, 1, 1))
    shapes = np.array([
        shapely.box(1, 1, 3, 3), shapely.box(0, 0, 4, 1), shapely.box(2.25, 3.25, 2.75, 3.75),
        shapely.Point(3.5, 3.5).buffer(0.3), shapely.Polygon(),
    ])  # fmt: skip
    found = sum_by_area(path, shapes)
    assert found.values[:3] == pytest.approx([5 + 6 + 9 + 10, 12 + 13 + 14 + 15, 2 / 4])
    assert found.values[3] == pytest.approx(3 * shapes[3].area)
    assert np.isnan(found.values[4])
    assert found.known == pytest.approx([1, 1, 1, 1, 0])


def test_overlaps_share(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.full((4, 4), 10.0), from_origin(0, 4, 1, 1))
    found = sum_by_area(path, [shapely.box(0, 0, 4, 2), shapely.box(0, 0, 4, 4)])
    assert found.values.tolist() == [40, 120]
    assert (found.total, found.outside, found.shared) == (160, 0, 80)


def test_another_crs_is_exact_in_its_own_plane(tmp_path: Path) -> None:
    shapes = seats(40, 3, (118.0, 29.0, 119.0, 30.0))
    move = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32650", always_xy=True)
    # a hundred times denser than what is asked for
    moved = shapely.transform(
        shapely.segmentize(shapes, 0.0002), lambda p: np.column_stack(move.transform(*p.T))
    )
    grid = from_origin(590_000, 3_330_000, 3000, 3000)
    values = np.random.default_rng(1).random((44, 44)) * 1000
    path = write(tmp_path / "a.tif", values, grid, crs="EPSG:32650")
    found = sum_by_area(path, shapes)
    sums, _, _ = brute(values, grid, moved)
    assert found.values == pytest.approx(sums, rel=1e-7)
    assert found.crs == "EPSG:32650"
    assert found.assigned + found.outside == pytest.approx(found.total, rel=1e-9)
    # a plane that says nothing of its CRS is the same once that is said
    bare = write(tmp_path / "b.tif", values, grid, crs=None)
    assert (sum_by_area(bare, shapes, crs="EPSG:32650").values == found.values).all()


def test_degrees_against_ground_area(tmp_path: Path) -> None:
    # as the module says: parts of pixels in degrees differ from those on the ground by 0.002 %
    grid = from_origin(118.0, 30.2, 1 / 120, 1 / 120)
    values = np.random.default_rng(1).random((60, 60)) * 1000
    path = write(tmp_path / "a.tif", values, grid)
    shapes = seats(30, 4, (118.05, 29.75, 118.45, 30.15))
    row = np.arange(60)
    ellipsoid = pyproj.Geod(ellps="WGS84")
    found = sum_by_area(path, shapes)
    on_ground = np.zeros(len(shapes))
    for r in row:
        for c in range(60):
            west, north = 118.0 + c / 120, 30.2 - r / 120
            box = shapely.box(west, north - 1 / 120, west + 1 / 120, north)
            whole = abs(ellipsoid.geometry_area_perimeter(box)[0])
            for i in np.flatnonzero(shapely.intersects(shapes, box)):
                cut = shapely.intersection(shapes[i], box)
                part = abs(ellipsoid.geometry_area_perimeter(cut)[0]) / whole
                on_ground[i] += part * values[r, c]
    assert found.values == pytest.approx(on_ground, rel=2e-5)


def test_real_grids_and_conservation(tmp_path: Path, shared: Path) -> None:
    towns = gpd.read_parquet(shared / "hierarchy" / "tw_towns.parquet").geometry.to_numpy()
    rng = np.random.default_rng(2)
    west, south, east, north = shapely.total_bounds(towns)
    size = 1 / 240
    shape = (int((north - south) / size) + 3, int((east - west) / size) + 3)
    data = rng.lognormal(3, 2, shape)
    path = write(tmp_path / "a.tif", data, from_origin(west - size, north + size, size, size))
    found = sum_by_area(path, towns)
    assert abs(found.assigned + found.outside - found.total) < 1e-9 * found.total
    assert found.shared < 1e-9 * found.total
    assert (found.known > 0.999999).all()
    assert found.values.sum() == pytest.approx(found.assigned)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int32", "float32", "float64"])
def test_types(tmp_path: Path, dtype: str) -> None:
    data = np.arange(12).reshape(3, 4).astype(dtype)
    path = write(tmp_path / "a.tif", data, from_origin(0, 3, 1, 1), nodata=11)
    found = sum_by_area(path, [shapely.box(0, 0, 4, 3)])
    assert found.values.tolist() == [55]
    assert found.known[0] == pytest.approx(11 / 12)


def test_scale_mask_and_what_counts_as_none(tmp_path: Path) -> None:
    grid, whole = from_origin(0, 2, 1, 1), [shapely.box(0, 0, 2, 2)]
    path = write(tmp_path / "a.tif", np.array([[1, 2], [3, 200]], dtype="uint8"), grid)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (10.0,), (1.0,)
    assert sum_by_area(path, whole).values.tolist() == [11 + 21 + 31 + 2001]
    assert sum_by_area(path, whole, nodata=200).values.tolist() == [11 + 21 + 31]
    found = sum_by_area(path, whole, nodata=200, zero=True)
    assert (found.values.tolist(), found.known.tolist()) == ([63], [1])
    with rasterio.open(path, "r+") as file:
        file.write_mask(np.array([[255, 0], [255, 255]], dtype="uint8"))
    assert sum_by_area(path, whole, nodata=200).values.tolist() == [11 + 31]
    nan = write(tmp_path / "b.tif", np.array([[1, np.nan], [np.nan, 4]]), grid)
    found = sum_by_area(nan, [*whole, shapely.box(1, 1, 2, 2)])
    assert found.values[0] == 5
    assert found.known.tolist() == [0.5, 0]
    assert np.isnan(found.values[1])
    low = write(tmp_path / "c.tif", np.array([[1, -3.4028235e38]] * 2, dtype="float32"), grid)
    assert sum_by_area(low, whole, nodata=-3.4028235e38).values.tolist() == [2]


@pytest.mark.parametrize(
    ("dtype", "nodata"), [("uint8", -9999), ("uint16", -1), ("uint8", np.nan), ("int16", 6.9)]
)
def test_a_none_that_whole_numbers_cannot_hold(tmp_path: Path, dtype: str, nodata: float) -> None:
    # cast to the numbers of the file these are 241, 65535, 0 and 6, which all mean something
    data = np.array([[0, 6, 241, np.iinfo(dtype).max]], dtype=dtype)
    path = write(tmp_path / "a.tif", data, from_origin(0, 1, 1, 1))
    found = sum_by_area(path, [shapely.box(0, 0, 4, 1)], nodata=nodata)
    assert (found.values.tolist(), found.known.tolist()) == ([int(data.sum())], [1])


def test_bands(tmp_path: Path) -> None:
    data = np.array([np.full((2, 2), 1.0), np.full((2, 2), 5.0)])
    path = write(tmp_path / "a.tif", data, from_origin(0, 2, 1, 1))
    with rasterio.open(path, "r+") as file:
        file.set_band_description(2, "floating")
    whole = [shapely.box(0, 0, 2, 2)]
    assert sum_by_area(path, whole, band=2).values.tolist() == [20]
    with pytest.raises(RasterError, match=r"has 2 bands \(1, 2 floating\): say which"):
        sum_by_area(path, whole)
    with pytest.raises(RasterError, match="has no band 3"):
        sum_by_area(path, whole, band=3)


@pytest.mark.parametrize(
    ("data", "more", "options", "message"),
    [
        (np.full((2, 2), np.nan), {}, {}, "no value under the polygons"),
        (np.full((2, 2), 7), {"nodata": 7}, {}, "no value under the polygons"),
        (np.array([[1.0, 1], [-5, 1]]), {}, {}, r"-5 in column 0, row 1 \(from 0\) is below 0"),
        (np.array([[1.0, np.inf], [1, 1]]), {}, {}, "inf in column 1, row 0 .* is infinite"),
        (np.ones((2, 2)), {"crs": None}, {}, "does not say its CRS"),
        (np.ones((2, 2)), {}, {"crs": "EPSG:32650"}, "its CRS is WGS 84, not WGS 84 / UTM"),
        (np.ones((2, 2)), {"crs": None}, {"crs": "EPSG:0"}, "the CRS is not known"),
        (np.ones((2, 2)), {"grid": from_origin(10, 2, 1, 1)}, {}, "they do not meet"),
        (np.ones((2, 2)), {"grid": Affine.identity()}, {}, "has no position instead of a grid"),
        (np.ones((2, 2)), {"grid": Affine(1, 1, 0, 1, 1, 0)}, {}, "pixels have no area"),
        (np.ones((2, 2), dtype="complex64"), {}, {}, "complex"),
    ],
)
def test_refusals(
    tmp_path: Path, data: np.ndarray, more: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "a.tif", data, **({"grid": from_origin(0, 2, 1, 1)} | more))
    with pytest.raises(RasterError, match=message):
        sum_by_area(path, [shapely.box(0, 0, 2, 2)], **options)


def test_more_refusals(tmp_path: Path) -> None:
    whole = [shapely.box(0, 0, 2, 2)]
    with pytest.raises(RasterError, match="cannot be read as a raster"):
        sum_by_area(tmp_path / "none.tif", whole)
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(RasterError, match="cannot be read as a raster"):
        sum_by_area(tmp_path / "text.tif", whole)
    points = [GroundControlPoint(r, c, c, 2 - r) for r in (0, 2) for c in (0, 2)]
    bare = {"driver": "GTiff", "count": 1, "height": 2, "width": 2, "dtype": "uint8"}
    with rasterio.open(tmp_path / "gcp.tif", "w", gcps=points, crs="EPSG:4326", **bare) as file:
        file.write(np.ones((1, 2, 2), dtype="uint8"))
    with pytest.raises(RasterError, match="only ground control points"):
        sum_by_area(tmp_path / "gcp.tif", whole)
    path = write(tmp_path / "a.tif", np.ones((2, 2)), from_origin(0, 2, 1, 1))
    with pytest.raises(RasterError, match=r"shape 1 .* is no valid polygon"):
        sum_by_area(path, [*whole, shapely.Point(1, 1)])
    polar = write(tmp_path / "p.tif", np.ones((2, 2)), from_origin(0, 2, 1, 1), crs="EPSG:3857")
    with pytest.raises(RasterError, match=r"cannot be drawn in .*lies beyond it"):
        sum_by_area(polar, [shapely.box(0, 80, 2, 90.1)])
    data = path.read_bytes()
    big = write(tmp_path / "t.tif", np.ones((400, 400)), from_origin(0, 2, 0.005, 0.005))
    big.write_bytes(big.read_bytes()[: 400 * 400 * 4])
    with pytest.raises(RasterError, match=r"rows 0 to \d+ cannot be read .*the file is damaged"):
        sum_by_area(big, whole)
    assert data == path.read_bytes()


@pytest.mark.parametrize("tiled", [True, False])
def test_a_country_in_bounded_memory(tmp_path: Path, tiled: bool) -> None:
    """1.2 thousand million pixels, 4.8 GB unpacked: never more than a window of it in memory."""
    grid = from_origin(75.0, 55.0, 0.001, 0.001)
    path = tmp_path / "country.tif"
    blocks = {"tiled": True, "blockxsize": 512, "blockysize": 512} if tiled else {"blockysize": 1}
    with rasterio.open(
        path, "w", driver="GTiff", width=40_000, height=30_000, count=1, dtype="float32",
        crs="EPSG:4326", transform=grid, sparse_ok=True, compress="deflate", **blocks,
    ) as file:  # fmt: skip
        file.write(np.full((3000, 4000), 2.0, dtype="float32"), 1, Window(9000, 9000, 4000, 3000))
    # nine squares of 500 pixels all over, one square over the values, larger than a window
    spread = [
        shapely.box(75.1 + 4 * i, 54.1 - 2.9 * i, 75.6 + 4 * i, 54.6 - 2.9 * i)
        for i in (0, 1, 2, 4, 5, 6, 7, 8, 9)
    ]
    shapes = np.array([*spread, shapely.box(84.0005, 43.0005, 88.0, 46.0)])
    sum_by_area(path, shapes[:1])  # compiles
    kept = []
    tracemalloc.start()
    try:
        found = sum_by_area(path, shapes, keep=lambda *one: kept.append(one))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.values[-1] == pytest.approx(2 * 3999.5 * 2999.5)
    assert found.values[0] == 0
    assert found.pixels < 20_000_000
    assert peak < 200e6
    # of the large square squares of pixels are kept, of the empty ones nothing
    ((_, number, grid),) = kept
    assert (number, grid.factor) == (9, 28)
    assert grid.amounts.size <= 1.1 * MOST


def test_one_huge_block_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "strip.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=20_000, height=20_000, count=1, dtype="uint8",
        crs="EPSG:4326", transform=GRID, sparse_ok=True, tiled=True, blockxsize=16_400,
        blockysize=16_400,
    ):  # fmt: skip
        pass
    with pytest.raises(RasterError, match="TILED=YES"):
        sum_by_area(path, [shapely.box(118, 29, 119, 30)])
