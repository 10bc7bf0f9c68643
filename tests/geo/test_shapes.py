"""Areas as given: made into valid polygons, or refused with the reason and the place."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pyproj
import pytest
import shapely

from geo.shapes import REASONS, ShapeError, circle, corridor, from_geojson, from_wkt, vertices

GEOD = pyproj.Geod(ellps="WGS84")
SQUARE = [[120, 30], [121, 30], [121, 31], [120, 31], [120, 30]]
HOLE = [[120.2, 30.2], [120.4, 30.2], [120.4, 30.4], [120.2, 30.2]]


def polygon(*rings: object) -> dict[str, object]:
    return {"type": "Polygon", "coordinates": list(rings)}


def many(n: int) -> list[list[float]]:
    angle = np.linspace(0, 2 * np.pi, n)
    ring = np.column_stack([120 + np.cos(angle), 30 + np.sin(angle)])
    ring[-1] = ring[0]
    return ring.tolist()


def test_good_geojson_is_taken_as_it_is() -> None:
    shape = from_geojson(polygon(SQUARE, HOLE))
    assert shape.equals_exact(shapely.MultiPolygon([shapely.Polygon(SQUARE, [HOLE])]))
    assert vertices(shape) == 9
    two = {
        "type": "MultiPolygon",
        "coordinates": [[SQUARE], [[[1, 1, 9], [2, 1, 9], [2, 2, 9], [1, 1, 9]]]],
    }
    assert len(from_geojson(two).geoms) == 2
    assert not from_geojson(two).has_z
    feature = {"type": "Feature", "geometry": polygon(SQUARE), "properties": {}}
    assert from_geojson(feature).area == 1
    assert from_geojson({"type": "FeatureCollection", "features": [feature]}).area == 1
    named = {
        **polygon(SQUARE),
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}},
    }
    assert from_geojson(named).area == 1


def test_coordinates_are_converted() -> None:
    x, y = pyproj.Transformer.from_crs(4326, 32650, always_xy=True).transform(
        *np.array(SQUARE, float).T
    )
    shape = from_geojson(polygon(np.column_stack([x, y]).tolist()), "EPSG:32650")
    assert np.allclose(shapely.get_coordinates(shape), SQUARE, atol=1e-8)
    moved = from_wkt(shapely.Polygon(SQUARE).wkt, "gcj02")
    assert 200 < GEOD.inv(120, 30, *shapely.get_coordinates(moved)[0])[2] < 900
    assert from_wkt("SRID=4490;" + shapely.Polygon(SQUARE).wkt).area == 1


BAD: dict[str, tuple[object, str, str]] = {
    "bow tie": (polygon([[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]), "wgs84", "crossing"),
    "parts that overlap": ({"type": "MultiPolygon", "coordinates": [[SQUARE], [[[120.5, 30.5], [122, 30.5], [122, 32], [120.5, 30.5]]]]}, "wgs84", "crossing"),
    "line": (polygon([[0, 0], [1, 1], [2, 2], [0, 0]]), "wgs84", "zero_area"),
    "two corners": (polygon([[0, 0], [1, 1], [0, 0]]), "wgs84", "zero_area"),
    "hole outside": (polygon(SQUARE, [[1, 1], [2, 1], [2, 2], [1, 1]]), "wgs84", "bad_geometry"),
    "open ring": (polygon(SQUARE[:-1]), "wgs84", "not_closed"),
    "nan": (polygon([[0, 0], [1, math.nan], [1, 1], [0, 0]]), "wgs84", "not_finite"),
    "antimeridian": (polygon([[179, 0], [-179, 0], [-179, 1], [179, 0]]), "wgs84", "antimeridian"),
    "round the globe": (polygon([[-100, 0], [0, -1], [100, 0], [0, 50], [-100, 0]]), "wgs84", "antimeridian"),
    "past 180": (polygon([[179, 0], [181, 0], [181, 1], [179, 0]]), "wgs84", "antimeridian"),
    "metres": (polygon([[5e5, 3e6], [6e5, 3e6], [6e5, 4e6], [5e5, 3e6]]), "wgs84", "wrong_crs"),
    "latitude first": (polygon([[30, 120], [31, 120], [31, 121], [30, 120]]), "wgs84", "wrong_crs"),
    "degrees said to be metres": (polygon([[9e9, 30], [9e9, 31], [8e9, 31], [9e9, 30]]), "EPSG:3857", "wrong_crs"),
    "crs inside": ({**polygon(SQUARE), "crs": {"type": "name", "properties": {"name": "EPSG:3857"}}}, "wgs84", "wrong_crs"),
    "crs without name": ({**polygon(SQUARE), "crs": 5}, "wgs84", "wrong_crs"),
    "unknown crs": (polygon(SQUARE), "mars", "unknown_crs"),
    "not of this world": (polygon([[math.inf, 0], [1, 0], [1, 1], [math.inf, 0]]), "wgs84", "not_finite"),
    "empty": (polygon(), "wgs84", "empty"),
    "empty part": ({"type": "MultiPolygon", "coordinates": []}, "wgs84", "empty"),
    "empty ring": (polygon([]), "wgs84", "empty"),
    "feature without geometry": ({"type": "Feature", "geometry": None}, "wgs84", "empty"),
    "two features": ({"type": "FeatureCollection", "features": [1, 2]}, "wgs84", "bad_geometry"),
    "point": ({"type": "Point", "coordinates": [1, 2]}, "wgs84", "bad_geometry"),
    "no object": ([1, 2], "wgs84", "bad_geometry"),
    "no list": ({"type": "Polygon", "coordinates": "SQUARE"}, "wgs84", "bad_geometry"),
    "no rings": ({"type": "MultiPolygon", "coordinates": ["x"]}, "wgs84", "bad_geometry"),
    "beyond floats": (polygon([[10**400, 1], [2, 1], [2, 2], [10**400, 1]]), "wgs84", "bad_geometry"),
    "words": (polygon([["a", "b"], ["c", "d"]]), "wgs84", "bad_geometry"),
    "single numbers": (polygon([1, 2, 3]), "wgs84", "bad_geometry"),
    "ragged": (polygon([[1, 2], [3], [4, 5], [1, 2]]), "wgs84", "bad_geometry"),
    "too many": (polygon(many(100_000)), "wgs84", "too_many_vertices"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_geojson_is_refused(name: str) -> None:
    given, crs, reason = BAD[name]
    with pytest.raises(ShapeError) as caught:
        from_geojson(given, crs)  # type: ignore[arg-type]
    assert caught.value.reason == reason
    assert reason in REASONS
    assert str(caught.value) == caught.value.message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("POLYGON((0 0,1 1,1 0,0 1,0 0))", "crossing"),
        ("POLYGON((0 0,1 0,1 1))", "not_closed"),
        ("POLYGON EMPTY", "empty"),
        ("POINT(1 1)", "bad_geometry"),
        ("POLYGON((0 0,", "bad_geometry"),
        ("CURVEPOLYGON EMPTY", "bad_geometry"),
        ("SRID=3857;POLYGON((0 0,1 0,1 1,0 0))", "wrong_crs"),
        ("POLYGON((0 0,1 nan,1 1,0 0))", "not_finite"),
        (shapely.Polygon(many(2000)).wkt, "too_many_vertices"),
        ("MULTIPOLYGON(((0 0,1 0,1 1,0 0)),EMPTY)", "empty"),
    ],
)
def test_bad_text_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ShapeError) as caught:
        from_wkt(text, max_vertices=1000)
    assert caught.value.reason == reason


def test_the_place_of_a_crossing_is_told() -> None:
    with pytest.raises(ShapeError) as caught:
        from_wkt("POLYGON((0 0,1 1,1 0,0 1,0 0))")
    assert caught.value.at == (0.5, 0.5)


def test_just_below_the_limit_is_taken() -> None:
    assert vertices(from_geojson(polygon(many(99_999)))) == 99_999
    assert vertices(from_wkt(shapely.Polygon(many(5)).wkt, max_vertices=6)) == 5
    with pytest.raises(ShapeError):
        from_wkt(shapely.Polygon(many(5)).wkt, max_vertices=5)


@pytest.mark.parametrize("metres", [1.0, 50.0, 1_000.0, 20_000.0, 150_000.0])
@pytest.mark.parametrize("lat", [0.0, 30.0, -65.0])
def test_a_circle_is_round_within_its_promise(metres: float, lat: float) -> None:
    ring = shapely.get_coordinates(circle(118.0, lat, metres))
    middle = (ring[1:] + ring[:-1]) / 2
    for points in (ring, middle):
        n = len(points)
        far = GEOD.inv(np.full(n, 118.0), np.full(n, lat), points[:, 0], points[:, 1])[2]
        assert abs(np.asarray(far) - metres).max() <= max(0.01, 1e-7 * metres)


@pytest.mark.parametrize("metres", [20.0, 1_000.0, 30_000.0])
def test_a_corridor_is_as_wide_as_promised(metres: float) -> None:
    line = [(118.0, 29.0), (118.3, 29.4), (119.0, 29.1)]
    shape = corridor(line, metres)
    assert len(shape.geoms) == 1
    # distance of the outline to the line, cut into pieces of 10 m
    dense = []
    for a, b in itertools.pairwise(line):
        n = int(GEOD.inv(*a, *b)[2] // 10)
        dense += [a, *GEOD.npts(*a, *b, n), b]
    places = np.array(dense)
    rng = np.random.default_rng(1)
    ring = shapely.get_coordinates(shape.geoms[0].exterior)
    edge = rng.integers(0, len(ring) - 1, 40)
    points = ring[edge] + rng.random((40, 1)) * (ring[edge + 1] - ring[edge])
    for x, y in points:
        n = len(places)
        near = np.asarray(
            GEOD.inv(np.full(n, x), np.full(n, y), places[:, 0], places[:, 1])[2]
        ).min()
        # a point of the line is at most 5 m from the nearest of its pieces' ends
        slack = math.hypot(metres, 5.0) - metres
        assert -0.02 <= near - metres <= 0.02 + slack


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: circle(120, 30, 0), "zero_area"),
        (lambda: circle(120, 30, -5), "zero_area"),
        (lambda: circle(120, 30, math.nan), "not_finite"),
        (lambda: circle(120, 30, 6e5), "bad_size"),
        (lambda: circle(30, 120, 10), "wrong_crs"),
        (lambda: circle(math.nan, 30, 10), "not_finite"),
        (lambda: circle(179.999, 0, 1000), "antimeridian"),
        (lambda: circle(0, 89.99, 5000), "antimeridian"),
        (lambda: corridor([(120, 30)], 10), "bad_geometry"),
        (lambda: corridor([(120, 30), "x"], 10), "bad_geometry"),  # type: ignore[list-item]
        (lambda: corridor([(120, 30), (120, 30)], 10), "zero_area"),
        (lambda: corridor([(179, 30), (-179, 30)], 10), "antimeridian"),
        (lambda: corridor([(0, 0), (100, 0)], 10), "bad_size"),
        (lambda: corridor([(120, 30), (121, 30)], 0), "zero_area"),
        (lambda: corridor([(500000, 30), (121, 30)], 10), "wrong_crs"),
        (lambda: corridor(np.zeros((100_000, 2)), 10), "too_many_vertices"),
    ],
)
def test_round_shapes_refuse(make: object, reason: str) -> None:
    with pytest.raises(ShapeError) as caught:
        make()  # type: ignore[operator]
    assert caught.value.reason == reason
