"""Locate: equal to brute force at every corner, edge and junction; saved, checked, shared."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.locate import LocateError, LocateIndex

BOUNDARIES = Path(__file__).resolve().parents[2] / "data" / "boundaries"


def brute(shapes: np.ndarray, ids: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Every polygon against every point; the lowest id that covers."""
    points = shapely.points(x, y)
    found = np.zeros(len(x), dtype=np.int32)
    for shape, number in sorted(zip(shapes, ids, strict=True), key=lambda p: -p[1]):
        shapely.prepare(shape)
        found[shapely.covers(shape, points)] = number
    return found


def hard_points(shapes: np.ndarray, rng: np.random.Generator, n: int) -> np.ndarray:
    """Vertices, edge midpoints, points on and a hair beside edges, and anywhere around."""
    rings = shapely.get_rings(shapely.get_parts(shapes))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    same = ring[1:] == ring[:-1]
    a, b = points[:-1][same], points[1:][same]
    t = rng.random((len(a), 1))
    west, south, east, north = shapely.total_bounds(shapes)
    pad = 0.1 * max(east - west, north - south)
    around = rng.uniform([west - pad, south - pad], [east + pad, north + pad], (n, 2))
    on = a + t * (b - a)
    pool = np.concatenate([points, (a + b) / 2, on, on + rng.normal(0, 1e-13, on.shape)])
    return np.concatenate([pool[rng.permutation(len(pool))[: 3 * n]], around])


def agree(shapes: np.ndarray, ids: np.ndarray, n: int, seed: int = 1) -> LocateIndex:
    points = hard_points(shapes, np.random.default_rng(seed), n)
    index = LocateIndex.build(shapes, ids)
    found = index.locate(points[:, 0], points[:, 1])
    assert found.dtype == np.int32
    assert (found != brute(shapes, ids, points[:, 0], points[:, 1])).sum() == 0
    return index


def voronoi(n: int, seed: int, west: float = 119.0, south: float = 29.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    box = shapely.box(west, south, west + 2, south + 1.5)
    seats = shapely.multipoints(rng.random((n, 2)) * [2, 1.5] + [west, south])
    cells = shapely.get_parts(shapely.voronoi_polygons(seats, extend_to=box))
    return shapely.intersection(cells, box)


def test_a_coverage() -> None:
    shapes = voronoi(300, 3)
    index = agree(shapes, np.arange(1, 301, dtype=np.int32), 20_000)
    assert (index.raster > 0).mean() > 0.5


def test_squares_whose_edges_lie_on_cell_edges() -> None:
    # T-junctions everywhere: rows of bricks
    shapes = np.array(
        [
            shapely.box(i + 0.5 * (j % 2), j, i + 1 + 0.5 * (j % 2), j + 1)
            for j in range(12)
            for i in range(12)
        ]
    )
    ids = np.arange(10, 10 + len(shapes), dtype=np.int32)
    agree(shapes, ids, 5_000)
    index = LocateIndex.build(shapes, ids)
    # corner of three bricks: the lowest wins
    assert index.locate([1.0], [1.0]).tolist() == [10]


def test_overlaps_gaps_holes_parts_and_slivers() -> None:
    rng = np.random.default_rng(8)
    blobs = shapely.buffer(shapely.points(rng.random((60, 2)) * 2), rng.uniform(0.01, 0.8, 60))
    rings = shapely.difference(blobs[:20], shapely.buffer(shapely.centroid(blobs[:20]), 0.1))
    many = np.array(
        [
            shapely.union_all(shapely.buffer(shapely.points(p), 0.02))
            for p in rng.random((10, 5, 2)) * 2
        ]
    )
    sliver = shapely.from_wkt("POLYGON((0 0, 2 1.0000001, 2 1, 0 0))")
    needle = shapely.box(0.3, -1, 0.3 + 1e-12, 3)
    shapes = np.array([*rings, needle, *many, *blobs, sliver], dtype=object)
    agree(shapes, np.arange(1, len(shapes) + 1, dtype=np.int32) * 3, 5_000)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(0, 6)] * 2, *[st.integers(1, 4)] * 2), min_size=1, max_size=8),
    st.floats(-0.5, 0.5),
)
def test_any_boxes(boxes: list[tuple[int, int, int, int]], turn: float) -> None:
    from shapely import affinity

    shapes = np.array(
        [affinity.rotate(shapely.box(x, y, x + w, y + h), turn) for x, y, w, h in boxes]
    )
    agree(shapes, np.arange(1, len(shapes) + 1, dtype=np.int32), 200)


def ulps(points: np.ndarray) -> np.ndarray:
    """Every point, and its eight neighbours one unit in the last place away."""
    x = [np.nextafter(points[:, 0], w) for w in (-np.inf, np.inf)]
    y = [np.nextafter(points[:, 1], w) for w in (-np.inf, np.inf)]
    return np.concatenate(
        [np.column_stack([a, b]) for a in (points[:, 0], *x) for b in (points[:, 1], *y)]
    )


def border_points(shapes: np.ndarray, rng: np.random.Generator, n: int) -> np.ndarray:
    """n points: vertices, edge midpoints, points on edges, each also moved by one ulp."""
    rings = shapely.get_rings(shapely.get_parts(shapes))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    same = ring[1:] == ring[:-1]
    a, b = points[:-1][same], points[1:][same]
    pick = rng.permutation(len(a))[: n // 27 + 1]
    a, b = a[pick], b[pick]
    t = rng.random((len(a), 1))
    pool = ulps(np.concatenate([a, (a + b) / 2, a + t * (b - a)]))
    return pool[rng.permutation(len(pool))[:n]]


def by_geos(shapes: np.ndarray, ids: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The same rule, by the tree and the predicate of GEOS alone."""
    found = np.full(len(points), np.iinfo(np.int32).max)
    point, shape = shapely.STRtree(shapes).query(shapely.points(points), predicate="covered_by")
    np.minimum.at(found, point, ids[shape])
    return np.where(found == np.iinfo(np.int32).max, 0, found)


def sample_leaves(pack: str) -> np.ndarray:
    """Finest units of a sample pack, in code order."""
    frame = gpd.read_parquet(BOUNDARIES / pack / "units.parquet").sort_values("code")
    above = {code[:k] for code in frame.code for k in (4, 6, 9, 12) if k < len(code)}
    return frame.geometry[~frame.code.isin(above)].to_numpy()


def test_borders_of_sample_grids() -> None:
    shapes = sample_leaves("hangzhou")[::7]
    points = border_points(shapes, np.random.default_rng(4), 20_000)
    ids = np.arange(1, len(shapes) + 1, dtype=np.int32)
    found = LocateIndex.build(shapes, ids).locate(points[:, 0], points[:, 1])
    assert (found != by_geos(shapes, ids, points)).sum() == 0


@pytest.mark.slow
@pytest.mark.parametrize("source", ["hangzhou", "alliance", "taiwan"])
def test_half_a_million_border_points(source: str, shared: Path) -> None:
    if source == "taiwan":  # real villages, which overlap and leave gaps
        frame = gpd.read_parquet(shared / "hierarchy" / "tw_villages.parquet")
        shapes = shapely.make_valid(frame.geometry.to_numpy())
        shapes = shapes[np.isin(shapely.get_type_id(shapes), (3, 6))]
    else:
        shapes = sample_leaves(source)
    points = border_points(shapes, np.random.default_rng(5), 550_000)
    assert len(points) >= 500_000
    ids = np.arange(1, len(shapes) + 1, dtype=np.int32)
    found = LocateIndex.build(shapes, ids).locate(points[:, 0], points[:, 1], threads=2)
    assert (found != by_geos(shapes, ids, points)).sum() == 0
    # also far from borders: nearly all points that the raster alone answers
    west, south, east, north = shapely.total_bounds(shapes)
    anywhere = np.random.default_rng(6).uniform([west, south], [east, north], (300_000, 2))
    found = LocateIndex.build(shapes, ids).locate(anywhere[:, 0], anywhere[:, 1])
    assert (found != by_geos(shapes, ids, anywhere)).sum() == 0


rings = st.lists(
    st.tuples(st.integers(-8, 8), st.integers(-8, 8)), min_size=3, max_size=9, unique=True
)


@settings(max_examples=25, deadline=None)
@given(st.lists(rings, min_size=1, max_size=6), st.sampled_from([1.0, 1e-7, 0.1, 1e6]))
def test_any_polygons(corners: list[list[tuple[int, int]]], size: float) -> None:
    made = shapely.make_valid(np.array([shapely.Polygon(c) for c in corners]))
    parts = [
        [g for g in shapely.get_parts(shapely.get_parts([one])) if g.geom_type == "Polygon"]
        for one in made
    ]
    shapes = np.array([shapely.multipolygons(p) for p in parts if p])
    shapes = shapely.transform(shapes, lambda p: 118.0 + p * size)
    shapes = shapes[shapely.is_valid(shapes) & ~shapely.is_empty(shapes)] if len(shapes) else shapes
    if len(shapes) == 0:
        return
    ids = np.arange(1, len(shapes) + 1, dtype=np.int32)
    rng = np.random.default_rng(1)
    points = np.concatenate([border_points(shapes, rng, 400), hard_points(shapes, rng, 100)])
    found = LocateIndex.build(shapes, ids).locate(*points.T)
    assert (found == brute(shapes, ids, *points.T)).all()
    assert (found == by_geos(shapes, ids, points)).all()


def test_more_polygons_in_a_cell_than_a_record_holds() -> None:
    # a fan of 300 triangles meets in one point, far from anything else
    angle = np.linspace(0, 2 * np.pi, 301)
    rim = np.column_stack([np.cos(angle), np.sin(angle)]) * 0.001
    fan = [shapely.Polygon([(0, 0), rim[i], rim[i + 1]]) for i in range(300)]
    shapes = np.array([*fan, shapely.box(50, 50, 60, 60)])
    ids = np.arange(1, len(shapes) + 1, dtype=np.int32)
    points = border_points(shapes, np.random.default_rng(2), 3000)
    points = np.concatenate([points, np.random.default_rng(3).normal(0, 4e-4, (3000, 2))])
    found = LocateIndex.build(shapes, ids).locate(*points.T)
    assert (found == by_geos(shapes, ids, points)).all()


def test_real_nested_units(shared: Path) -> None:
    frame = gpd.read_parquet(shared / "hierarchy" / "tw_towns.parquet").sort_values("TOWNCODE")
    shapes = frame.geometry.to_numpy()
    agree(shapes, np.arange(1, len(shapes) + 1, dtype=np.int32), 8_000)


def test_nowhere() -> None:
    index = LocateIndex.build([shapely.box(0, 0, 1, 1)], [7])
    x = np.array([np.nan, 0.5, np.inf, -np.inf, 1e300, -1e300, 2.0, 0.5])
    y = np.array([0.5, np.nan, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    assert index.locate(x, y).tolist() == [0, 0, 0, 0, 0, 0, 0, 7]
    assert index.locate([], []).tolist() == []
    nothing = LocateIndex.build([], [])
    assert nothing.locate([0.0], [0.0]).tolist() == [0]
    hollow = LocateIndex.build([shapely.Polygon(), shapely.box(0, 0, 1, 1)], [1, 2])
    assert hollow.locate([0.5, 5.0], [0.5, 0.0]).tolist() == [2, 0]
    with pytest.raises(ValueError, match="shape"):
        index.locate([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("shapes", "ids", "message"),
    [
        ([shapely.Point(1, 2)], [1], "id 1 is no polygon"),
        ([None], [1], "id 1 is no polygon"),
        ([shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])], [4], "id 4 is not valid"),
        ([shapely.box(0, 0, 1, 1)] * 2, [2, 1], "ascending"),
        ([shapely.box(0, 0, 1, 1)] * 2, [1, 1], "ascending"),
        ([shapely.box(0, 0, 1, 1)], [0], "positive"),
        ([shapely.box(0, 0, 1, 1)], [1, 2], "1 polygons and 2 ids"),
    ],
)
def test_what_cannot_be_indexed(shapes: list, ids: list, message: str) -> None:
    with pytest.raises(LocateError, match=message):
        LocateIndex.build(shapes, ids)


def test_saved_and_loaded(tmp_path: Path) -> None:
    shapes = voronoi(200, 4)
    index = LocateIndex.build(shapes, np.arange(1, 201))
    points = hard_points(shapes, np.random.default_rng(2), 4_000)
    folder = tmp_path / "locate" / "v1"
    index.save(folder)
    index.save(folder)
    assert [p.name for p in folder.parent.iterdir()] == ["v1"]
    for mmap in (True, False):
        again = LocateIndex.load(folder, mmap=mmap)
        assert again.mapped == mmap
        found = again.locate(points[:, 0], points[:, 1])
        assert (found == index.locate(points[:, 0], points[:, 1])).all()


def test_damage_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "v1"
    index = LocateIndex.build([shapely.box(0, 0, 1, 1)], [1])
    with pytest.raises(LocateError, match=r"meta\.json is missing"):
        LocateIndex.load(folder)
    for name in ("raster", "wkb"):
        index.save(folder)
        path = folder / f"{name}.npy"
        data = bytearray(path.read_bytes())
        data[-5] ^= 1
        path.write_bytes(data)
        with pytest.raises(LocateError, match=rf"{name}\.npy is damaged"):
            LocateIndex.load(folder)
    index.save(folder)
    (folder / "ids.npy").unlink()
    with pytest.raises(LocateError, match=r"ids\.npy is missing"):
        LocateIndex.load(folder)
    index.save(folder)
    (folder / "meta.json").write_text("{")
    with pytest.raises(LocateError, match="cannot be read"):
        LocateIndex.load(folder)
    index.save(folder)
    meta = folder / "meta.json"
    meta.write_text(meta.read_text().replace('"format": 3', '"format": 0'))
    with pytest.raises(LocateError, match="has format 0"):
        LocateIndex.load(folder)


def test_threads_share_one_index() -> None:
    shapes = shapely.segmentize(voronoi(400, 6), 0.002)
    ids = np.arange(1, 401)
    points = hard_points(shapes, np.random.default_rng(3), 100_000)
    x, y = points[:, 0], points[:, 1]
    right = LocateIndex.build(shapes, ids).locate(x, y)
    assert (LocateIndex.build(shapes, ids).locate(x, y, threads=2) == right).all()
    for _ in range(3):
        fresh = LocateIndex.build(shapes, ids)
        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(lambda _, f=fresh: f.locate(x, y), range(4)):
                assert (found == right).all()


def test_a_million_points_against_twenty_thousand_polygons() -> None:
    shapes = shapely.segmentize(voronoi(20_000, 5), 0.0008)
    done: list[float] = []
    index = LocateIndex.build(shapes, np.arange(1, 20_001), progress=done.append)
    assert done == sorted(done)
    assert done[-1] == 1.0
    rng = np.random.default_rng(6)
    x, y = rng.uniform(119, 121, 1_000_000), rng.uniform(29, 30.5, 1_000_000)
    start = time.process_time()
    found = index.locate(x, y)
    # about a quarter of a second of the processor
    assert time.process_time() - start < 10
    assert (found > 0).all()
    some = slice(0, 20_000)
    tree = shapely.STRtree(shapes)
    point, polygon = tree.query(shapely.points(x[some], y[some]), predicate="covered_by")
    assert (found[some][point] == polygon + 1).all()
