"""Coverage: repairs are told, gaps and overlaps are measured, label points lie inside."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from pyproj import Geod
from shapely import box

from geo.coverage import (
    CoverageReport,
    geodesic_km2,
    inspect,
    label_points,
    repair,
)

BOW = "POLYGON((0 0, 2 2, 2 0, 0 2, 0 0))"


def array(*shapes: shapely.Geometry | str | None) -> np.ndarray:
    out = np.empty(len(shapes), dtype=object)
    out[:] = [shapely.from_wkt(s) if isinstance(s, str) else s for s in shapes]
    return out


def tiles(n: int, size: float = 0.1) -> np.ndarray:
    return np.array(
        [
            box(120 + i * size, 30 + j * size, 120 + (i + 1) * size, 30 + (j + 1) * size)
            for j in range(n)
            for i in range(n)
        ]
    )


def test_area_is_that_of_the_ellipsoid() -> None:
    ring = shapely.Polygon(
        [(120, 30), (121, 30), (121, 31), (120, 31)],
        [[(120.4, 30.4), (120.6, 30.4), (120.6, 30.6), (120.4, 30.6)]],
    )
    two = shapely.MultiPolygon([ring, box(122, 30, 122.5, 30.5)])
    geod = Geod(ellps="WGS84")
    want = [
        abs(geod.geometry_area_perimeter(shapely.geometry.polygon.orient(ring))[0]) / 1e6,
        abs(geod.geometry_area_perimeter(shapely.orient_polygons(two))[0]) / 1e6,
        0.0,
        0.0,
        0.0,
    ]
    got = geodesic_km2(array(ring, two, shapely.Polygon(), None, shapely.Point(1, 1)))
    assert np.allclose(got, want, rtol=1e-12)
    assert geodesic_km2([shapely.reverse(ring)])[0] == pytest.approx(want[0])


def test_repair_tells_what_it_did() -> None:
    spiral = shapely.Polygon([(0, 0), (4, 0), (4, 4), (1, 4), (1, 1), (3, 1), (3, 5), (0, 5)])
    shapes, repairs = repair(
        array(
            box(0, 0, 1, 1),
            BOW,
            None,
            shapely.Polygon(),
            "LINESTRING(0 0,1 1)",
            "POLYGON((0 0,1 1,2 2,0 0))",
            "POLYGON Z((0 0 5,1 0 5,1 1 5,0 0 5))",
            spiral,
            shapely.GeometryCollection([box(0, 0, 1, 1), shapely.Point(5, 5)]),
            shapely.Polygon([(0, 0), (1, np.inf), (1, 0)]),
        )
    )
    assert {s.geom_type for s in shapes} == {"MultiPolygon"}
    assert shapely.is_valid(shapes).all()
    assert not shapely.has_z(shapes).any()
    told = [(r.reason.split("[")[0], r.lost) for r in repairs]
    assert told == [
        ("", False),
        ("Self-intersection", False),
        ("no geometry", True),
        ("no geometry", True),
        ("a LineString, not a polygon", True),
        ("no area is left (Self-intersection", True),
        ("", False),
        ("Self-intersection", False),
        ("parts that are not polygons", False),
        ("a coordinate is not a number", True),
    ]
    assert shapely.area(shapes[1]) == pytest.approx(2)
    # the two lobes run in opposite directions: the drawn ring measures nothing
    assert repairs[1].change_km2 == pytest.approx(repairs[1].after_km2, rel=1e-3)
    assert shapely.area(shapes[8]) == pytest.approx(1)
    assert (shapely.is_empty(shapes) == [r.lost for r in repairs]).all()
    assert repair([])[1] == []


def test_a_perfect_coverage_is_clean() -> None:
    shapes = tiles(5)
    report = inspect(shapes, [str(i) for i in range(25)])
    assert report == CoverageReport(units=25)
    assert report.clean
    assert inspect([], []).clean


def test_gaps_and_overlaps_are_measured() -> None:
    shapes = tiles(5)
    names = [f"u{i:02d}" for i in range(25)]
    hole = shapes[12]
    wide = shapely.box(120.1, 30.1, 120.25, 30.2)
    changed = [*shapes[:6], wide, *shapes[7:12], *shapes[13:]]
    report = inspect(changed, names[:12] + names[13:])
    assert not report.clean
    assert [(o.code, o.other) for o in report.overlaps] == [("u06", "u07")]
    want = geodesic_km2([box(120.2, 30.1, 120.25, 30.2)])[0]
    assert report.overlaps[0].km2 == pytest.approx(want, rel=1e-6)
    assert len(report.gaps) == 1
    assert report.gaps[0].km2 == pytest.approx(geodesic_km2([hole])[0], rel=1e-4)
    assert hole.contains(shapely.Point(report.gaps[0].lon, report.gaps[0].lat))
    assert {"u06", "u07"} <= set(report.mismatched)


def test_twins_islands_and_the_contained_overlap() -> None:
    a, b = box(120, 30, 121, 31), box(120.2, 30.2, 120.4, 30.4)
    report = inspect(array(a, b, a), ["a", "b", "twin"])
    assert {(o.code, o.other) for o in report.overlaps} == {
        ("a", "twin"),
        ("a", "b"),
        ("b", "twin"),
    }
    # an island in a lake: the lake is the gap, the island is not
    ring = shapely.difference(a, box(120.1, 30.1, 120.9, 30.9))
    report = inspect(array(ring, b), ["ring", "island"])
    want = geodesic_km2([box(120.1, 30.1, 120.9, 30.9)])[0] - geodesic_km2([b])[0]
    assert sum(g.km2 for g in report.gaps) == pytest.approx(want, rel=1e-4)


def test_overlaps_equal_brute_force() -> None:
    rng = np.random.default_rng(4)
    shapes = shapely.buffer(shapely.points(np.array([120, 30]) + rng.random((40, 2))), 0.08)
    names = np.array([f"{i:02d}" for i in range(40)])
    report = inspect(shapes, names)
    want = {}
    for i in range(40):
        for j in range(i + 1, 40):
            size = geodesic_km2([shapely.intersection(shapes[i], shapes[j])])[0]
            if size > 1e-6:
                want[names[i], names[j]] = size
    assert {(o.code, o.other): o.km2 for o in report.overlaps} == pytest.approx(want)
    sizes = [o.km2 for o in report.overlaps]
    assert sizes == sorted(sizes, reverse=True)


def test_children_against_their_parents() -> None:
    parents = {"A": box(120, 30, 120.2, 30.1), "B": box(120.2, 30, 120.4, 30.1)}
    out = box(120.1, 30, 120.23, 30.1)
    children = array(box(120, 30, 120.1, 30.1), out, box(120.23, 30, 120.4, 30.1))
    report = inspect(children, ["1", "2", "3"], ["A", "A", "B"], parents)
    assert [(o.code, o.parent) for o in report.outside] == [("2", "A")]
    left = geodesic_km2([box(120.2, 30, 120.23, 30.1)])[0]
    assert report.outside[0].km2 == pytest.approx(left, rel=1e-4)
    assert [u.code for u in report.uncovered] == ["B"]
    assert report.uncovered[0].km2 == pytest.approx(left, rel=1e-4)
    # neighbours match each other: only the parents are missed
    assert report.overlaps == report.gaps == report.mismatched == ()
    # as large together as their parent, and yet one lies on the other
    twice = array(box(120, 30, 120.1, 30.1), box(120.05, 30, 120.15, 30.1))
    report = inspect(twice, ["1", "2"], ["A", "A"], parents)
    assert [u.code for u in report.uncovered] == ["A"]
    assert report.uncovered[0].km2 == pytest.approx(report.overlaps[0].km2, rel=1e-3)
    assert inspect(children, ["1", "2", "3"], [None, "X", "B"], parents).outside == ()


def test_rounding_is_no_finding() -> None:
    shapes = array(box(120, 30, 120.1, 30.1), box(120.1 + 1e-12, 30, 120.2, 30.1))
    report = inspect(shapes, ["a", "b"])
    assert report.overlaps == report.gaps == ()


def test_label_points_lie_inside_and_far_from_the_edge() -> None:
    rng = np.random.default_rng(1)
    blobs = shapely.buffer(shapely.points(np.array([118, 60]) + rng.random((30, 2)) * 3), 0.4)
    horse = shapely.difference(blobs, shapely.buffer(shapely.centroid(blobs), 0.35))
    seat = shapely.Point(0, 0)
    sliver = shapely.from_wkt("POLYGON((0 0, 10 0.00001, 10 0, 0 0))")
    two = shapely.union_all([box(0, 0, 1, 1), box(5, 5, 7, 7)])
    shapes = array(*horse, sliver, two, "POLYGON((0 60, 4 60, 4 61, 0 61, 0 60))")
    points = label_points(shapes)
    assert shapely.contains_properly(shapes, points).all()
    assert shapely.distance(points[31], shapely.Point(6, 6)) < 0.02
    thin = shapely.difference(
        shapely.buffer(seat, 0.4, quad_segs=64), shapely.buffer(seat, 0.3999, quad_segs=64)
    )
    assert shapely.contains_properly(thin, label_points([thin])[0])
    # at 60 degrees north three degrees by one are wider on the ground than 1.2 by 1.2
    wide = shapely.union_all([box(0, 60, 3, 61), box(5, 60, 6.2, 61.2)])
    assert label_points([wide])[0].x < 3
    # at 60 degrees north four degrees by one are twice as wide as high on the ground
    assert points[32].y == pytest.approx(60.5, abs=0.01)


def test_the_seven_invalid_villages(shared: Path) -> None:
    frame = gpd.read_parquet(shared / "hierarchy" / "tw_villages.parquet")
    shapes, repairs = repair(frame.geometry.to_numpy())
    assert shapely.is_valid(shapes).all()
    assert sum(bool(r.reason) for r in repairs) == 7
    assert not any(r.lost for r in repairs)
    assert max(abs(r.change_km2) for r in repairs if r.reason) < 1e-4


def test_real_counties_are_an_exact_coverage(shared: Path) -> None:
    frame = gpd.read_file(shared / "cn_boundaries" / "counties5_amap_wgs84.geojson")
    shapes, _ = repair(frame.geometry.to_numpy())
    report = inspect(shapes, frame.district_adcode.astype(str).tolist())
    assert report.overlaps == report.mismatched == ()
