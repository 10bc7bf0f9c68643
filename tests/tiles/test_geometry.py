"""Levels, simplification and border matching on small cases."""

from __future__ import annotations

import gzip
import math

import mapbox_vector_tile
import numpy as np
import shapely
from shapely import MultiPolygon, Polygon, box

from tiles import cut, geometry, levels, nodes
from tiles.geometry import Units
from tiles.levels import ZoomRange
from tiles.mvt import Columns


def units_of(names: tuple[str, ...], rows: list[tuple[int, int, shapely.Geometry]]) -> Units:
    """Units from (level, parent id, geometry), ids from 1."""
    geoms = np.array([row[2] for row in rows], object)
    label = shapely.point_on_surface(geoms)
    n = len(rows)
    return Units(
        names, np.arange(1, n + 1), np.array([r[1] for r in rows]), np.array([r[0] for r in rows]),
        [f"{k:02d}" for k in range(1, n + 1)], [f"n{k}" for k in range(n)],
        shapely.area(geoms), np.column_stack([shapely.get_x(label), shapely.get_y(label)]), geoms,
    )  # fmt: skip


def drawn(
    units: Units, ranges: dict[str, ZoomRange]
) -> tuple[dict[tuple[str, int], geometry.Shapes], geometry.Report]:
    report = geometry.Report()
    found = {(s.level, s.zoom): s for s in geometry.by_zoom(units, ranges, report)}
    return found, report


def test_known_ranges() -> None:
    names = ("city", "county", "town", "village", "grid")
    found = levels.ranges(names, {})
    assert {k: (r.low, r.high) for k, r in found.items()} == {
        "city": (4, 11), "county": (4, 11), "town": (5, 11), "village": (7, 12), "grid": (8, 13),
    }  # fmt: skip


def test_unnamed_levels_go_by_size_and_order() -> None:
    scale = 1 / math.cos(math.radians(30))
    for side_km, expected in ((36, (4, 11)), (9.4, (5, 11)), (2.4, (7, 12)), (1.06, (8, 13))):
        found = levels.by_size(side_km * 1000 * scale)
        assert (found.low, found.high) == expected
    assert levels.by_size(math.nan) == ZoomRange(4, 11)
    order = levels.ranges(("small", "large"), {"small": 1000.0, "large": 1e6})
    assert order["large"].low >= order["small"].low
    assert order["large"].high >= order["small"].high


def test_the_coarsest_level_is_there_where_the_whole_map_fits() -> None:
    world = levels.WORLD
    assert levels.ranges(("town", "grid"), {}, world / 150)["town"] == ZoomRange(5, 11)
    wide = levels.ranges(("town", "grid"), {}, world / 17)
    assert (wide["town"].low, wide["grid"].low) == (4, 8)
    assert levels.ranges(("town",), {}, world)["town"].low == levels.WORLD_ZOOM
    assert levels.ranges(("city",), {}, world / 150)["city"].low == levels.MIN_ZOOM


def test_units_at_the_poles_are_drawn_on_the_edge_of_the_world() -> None:
    units = units_of(
        ("town",),
        [
            (0, 0, box(-180, 84, 0, 90)),
            (0, 0, box(0, 86, 180, 90)),
            (0, 0, box(-180, -90, 180, -80)),
            (0, 0, box(100, -90, 180, -86)),
        ],
    )
    found, _ = drawn(units, {"town": ZoomRange(3, 5)})
    for (_, zoom), shapes in found.items():
        end = shapes.extent * 2**zoom
        label = geometry.label_units(geometry.project(units.label), zoom, shapes.extent)
        assert ((label >= 0) & (label < end)).all()
        x0, y0, x1, y1 = shapely.total_bounds(shapes.geoms)
        assert min(x0, y0) >= 0
        assert max(x1, y1) <= end
        columns = Columns.of(units.ids, {"code": units.codes})
        tiles = dict(
            cut.units_and_labels(
                shapes.geoms, label, (columns, columns), zoom=zoom, extent=shapes.extent
            )
        )
        seen = set()
        for data in tiles.values():
            layer = mapbox_vector_tile.decode(gzip.decompress(data))["units"]
            seen |= {one["properties"]["code"] for one in layer["features"]}
        assert seen == set(units.codes)


def test_project_is_epsg_3857() -> None:
    from pyproj import Transformer

    points = np.array([[120.15, 30.28], [-3.0, -55.0], [179.9, 84.0]])
    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(points[:, 0], points[:, 1])
    np.testing.assert_allclose(geometry.project(points), np.column_stack([x, y]), atol=1e-6)


def test_a_border_point_of_one_side_is_given_to_the_other() -> None:
    left = box(0, 0, 100, 100)
    right = MultiPolygon([box(100, 0, 200, 50), box(100, 50, 200, 100)]).buffer(0)
    lower, upper = box(100, 0, 200, 50), box(100.004, 50.003, 200, 100)
    made, wrong = nodes.match(np.array([left, lower, upper], object))
    assert wrong == 0
    assert nodes.unmatched(made).sum() == 0
    assert shapely.coverage_is_valid(made)
    assert nodes.match(np.array([left, right], object))[1] == 0


def test_a_real_overlap_is_left_and_counted() -> None:
    geoms = np.array([box(0, 0, 100, 100), box(90, 0, 200, 100)], object)
    made, wrong = nodes.match(geoms)
    assert wrong == 2
    assert shapely.equals(made, geoms).all()


def test_a_missing_level_joins_the_coverage() -> None:
    """A county with one town, whose other half is villages without a town."""
    units = units_of(
        ("county", "town", "village"),
        [
            (0, 0, box(0, 0, 0.4, 0.2)),
            (1, 1, box(0, 0, 0.2, 0.2)),
            (2, 2, box(0, 0, 0.2, 0.1)),
            (2, 2, box(0, 0.1, 0.2, 0.2)),
            (2, 1, box(0.2, 0, 0.4, 0.1)),
            (2, 1, box(0.2, 0.1, 0.4, 0.2)),
        ],
    )
    ranges = {"county": ZoomRange(4, 9), "town": ZoomRange(5, 9), "village": ZoomRange(8, 10)}
    found, report = drawn(units, ranges)
    assert report.as_dict() == {
        "unmatched": [], "simplified_alone": [], "left_over_filled": [], "one_tile_unit": {},
        "rounded_by_precision_model": 0,
    }  # fmt: skip
    for zoom in range(6, 10):
        county, town = found["county", zoom].geoms[0], found["town", zoom].geoms[0]
        assert abs(town.area / county.area - 0.5) < 0.02
        assert shapely.covers(county, town)


def test_children_that_leave_a_part_out_do_not_shrink_their_parent() -> None:
    units = units_of(
        ("county", "town"),
        [(0, 0, box(0, 0, 0.4, 0.2)), (1, 1, box(0, 0, 0.2, 0.2)), (1, 1, box(0.2, 0, 0.3, 0.2))],
    )
    found, report = drawn(units, {"county": ZoomRange(4, 9), "town": ZoomRange(5, 9)})
    assert report.filled == ["01"]
    assert report.alone == []
    exact = geometry.to_units(
        shapely.transform(units.geoms[:1], geometry.project), 8, levels.EXTENT
    )[0]
    assert found["county", 8].geoms[0].symmetric_difference(exact).area / exact.area < 1e-3


def test_children_beyond_their_parent_do_not_stretch_it() -> None:
    units = units_of(
        ("county", "town"),
        [(0, 0, box(0, 0, 0.4, 0.2)), (1, 1, box(0, 0, 0.2, 0.2)), (1, 1, box(0.2, 0, 0.5, 0.2))],
    )
    found, report = drawn(units, {"county": ZoomRange(4, 9), "town": ZoomRange(5, 9)})
    assert report.alone == ["01"]
    exact = geometry.to_units(
        shapely.transform(units.geoms[:1], geometry.project), 8, levels.EXTENT
    )[0]
    assert found["county", 8].geoms[0].symmetric_difference(exact).area / exact.area < 1e-3


def test_overlapping_units_are_all_drawn() -> None:
    """An imperfect coverage: every unit stays, valid, near its shape, and is reported."""
    rng = np.random.default_rng(2)
    shapes = []
    for _ in range(30):
        x, y = rng.uniform(0, 0.5, 2)
        shapes.append((0, 0, shapely.Point(120 + x, 30 + y).buffer(0.05)))
    units = units_of(("zone",), shapes)
    ranges = levels.ranges(units.levels, geometry.sides(units))
    found, report = drawn(units, ranges)
    assert len(report.unmatched) > 20
    for zoom in ranges["zone"]:
        shapes_at = found["zone", zoom]
        assert len(shapes_at.geoms) == 30
        assert shapely.is_valid(shapes_at.geoms).all()
        if zoom >= 9:
            exact = geometry.to_units(
                shapely.transform(units.geoms, geometry.project), zoom, shapes_at.extent
            )
            off = shapely.area(shapely.symmetric_difference(shapes_at.geoms, exact))
            assert (off / shapely.area(exact)).max() < 0.03


def test_a_thread_cut_apart_keeps_its_place() -> None:
    """A ribbon thinner than a tile unit, over many tiles, is drawn somewhere at every zoom."""
    ribbon = Polygon([(120, 30), (121, 30.7), (121.00001, 30.7), (120.00001, 30)])
    units = units_of(("zone",), [(0, 0, ribbon), (0, 0, box(119, 29, 119.5, 29.5))])
    found, report = drawn(units, {"zone": ZoomRange(4, 12)})
    assert report.minimal
    columns = Columns.of(units.ids, {"code": units.codes})
    for zoom in range(4, 13):
        one = found["zone", zoom]
        label = geometry.label_units(geometry.project(units.label), zoom, one.extent)
        seen = set()
        for _, data in cut.units_and_labels(
            one.geoms, label, (columns, columns), zoom=zoom, extent=one.extent
        ):
            tile = mapbox_vector_tile.decode(gzip.decompress(data))
            seen |= {feature["id"] for feature in tile.get("units", {"features": []})["features"]}
        assert seen == {1, 2}, zoom
