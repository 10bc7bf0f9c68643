"""The encoder against PostGIS and against a general decoder."""

from __future__ import annotations

import gzip
from typing import Any

import mapbox_vector_tile
import numpy as np
import pytest
import shapely
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from shapely import MultiPolygon, Polygon, box
from shapely.geometry import shape

from tiles import cut, geometry, levels, rings
from tiles.mvt import POLYGON, Columns, layer, polygon_commands, varint, varints, zigzag

E = levels.EXTENT


def decode(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = mapbox_vector_tile.decode(data, default_options={"y_coord_down": True})
    return found


@given(st.lists(st.integers(0, 2**50), max_size=50))
def test_varints_are_varints(values: list[int]) -> None:
    data, ends = varints(np.array(values, np.int64))
    assert data == b"".join(varint(v) for v in values)
    assert ends.tolist() == np.cumsum([len(varint(v)) for v in values]).tolist()


@given(st.integers(-(2**40), 2**40))
def test_zigzag(value: int) -> None:
    slow = 2 * value if value >= 0 else -2 * value - 1
    assert int(zigzag(np.array([value]))[0]) == slow


def test_command_bytes_of_the_specification() -> None:
    """Polygon of section 4.3.5.5 of the specification."""
    commands = polygon_commands(
        np.array([Polygon([(3, 6), (8, 12), (20, 34)])], object), np.zeros((1, 2), np.int64)
    )
    assert list(commands[0]) == [9, 6, 12, 18, 10, 12, 24, 44, 15]


def star(rng: np.random.Generator, x: float, y: float, r: float) -> Polygon:
    angle = np.sort(rng.uniform(0, 2 * np.pi, 12))
    reach = r * rng.uniform(0.4, 1, 12)
    return shapely.make_valid(
        Polygon(np.column_stack([x + reach * np.cos(angle), y + reach * np.sin(angle)]))
    )


def sample(seed: int, n: int, size: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        x, y = rng.uniform(0, 4 * E, 2)
        one = star(rng, x, y, size)
        if rng.random() < 0.3:
            one = one.difference(shapely.affinity.scale(one, 0.3, 0.3))
        if rng.random() < 0.3:
            one = one.union(star(rng, x + 2 * size, y, size / 2))
        made.append(one)
    return rings.snap(np.array(made, object))[0]


@pytest.mark.parametrize("size", [3.0, 40.0, 3000.0])
def test_same_picture_as_the_shapes(size: float) -> None:
    """Cut at 16 tiles and decoded, the polygons cover what they covered."""
    geoms = sample(3, 60, size)
    geoms = geoms[~shapely.is_empty(geoms)]
    columns = Columns.of(np.arange(len(geoms)), {"n": list(range(len(geoms)))})
    pieces: dict[int, list[shapely.Geometry]] = {}
    for (x, y), part in cut.polygons(geoms, 4, E).items():
        tile = decode(layer("units", columns, *part, kind=POLYGON, extent=E))
        for feature in tile["units"]["features"]:
            assert feature["properties"]["n"] == feature["id"]
            inner = shape(feature["geometry"]).intersection(box(0, 0, E, E))
            moved = shapely.transform(inner, lambda c, o=(x * E, y * E): c + np.array(o))
            pieces.setdefault(feature["id"], []).append(moved)
    world = box(0, 0, 16 * E, 16 * E)
    for i, geom in enumerate(geoms):
        exact = geom.intersection(world)
        if exact.is_empty:
            continue
        difference = shapely.union_all(pieces[i]).symmetric_difference(exact).area
        # an edge that was cut leans by at most half a unit, for its cut end is rounded
        cut_apart = len(pieces[i]) > 1 or not geom.within(world)
        assert difference <= (exact.length / 2 if cut_apart else 1e-6), i


def test_same_features_as_postgis(engine: sa.Engine) -> None:
    """ST_AsMVT of the same shapes: same ids, same area within what PostGIS itself thins out."""
    geoms = sample(5, 40, 300.0)
    zoom = 4
    mercator = geometry.to_mercator(geoms, zoom, E)
    columns = Columns.of(np.arange(1, 41), {"code": [f"c{k}" for k in range(40)]})
    parts = cut.polygons(geoms, zoom, E)
    with engine.connect() as connection:
        connection.execute(
            sa.text("create temp table s as select * from unnest(:id, :wkb) as q(id, wkb)"),
            {"id": list(range(1, 41)), "wkb": [w.hex() for w in shapely.to_wkb(mercator)]},
        )
        for (x, y), part in sorted(parts.items()):
            theirs = connection.execute(
                sa.text(
                    "select ST_AsMVT(q, 'units', 4096, 'geom', 'id') from (select id,"
                    " 'c' || (id - 1) as code, ST_AsMVTGeom("
                    "ST_SetSRID(ST_GeomFromWKB(decode(wkb, 'hex')), 3857),"
                    " ST_TileEnvelope(:z, :x, :y), 4096, 64, true) as geom from s) q"
                    " where geom is not null"
                ),
                {"z": zoom, "x": x, "y": y},
            ).scalar_one()
            expected = {
                f["id"]: f for f in decode(bytes(theirs)).get("units", {}).get("features", [])
            }
            ours = {
                f["id"]: f
                for f in decode(layer("units", columns, *part, kind=POLYGON, extent=E))["units"]["features"]
            }  # fmt: skip
            assert set(expected) == set(ours)
            for i, feature in ours.items():
                assert feature["properties"] == expected[i]["properties"]
                a, b = shape(feature["geometry"]), shape(expected[i]["geometry"]).buffer(0)
                # PostGIS drops points that move an edge by less than half a unit
                assert a.symmetric_difference(b).area <= 1 + a.length, (x, y, i)


def test_snap_keeps_shapes_valid_and_rounds() -> None:
    bow = Polygon([(0, 0), (10.4, 0), (5.2, 0.4), (10.4, 9), (0, 9), (5.2, 0.6)])
    thin = Polygon([(0, 0), (100, 0), (100, 0.3)])
    two = MultiPolygon([box(0, 0, 5, 5), box(10, 0, 10.2, 0.2)])
    ring = box(0, 0, 9, 9).difference(box(4.1, 4.1, 4.4, 4.4))
    made, repaired = rings.snap(np.array([bow, thin, two, ring, box(1, 1, 2, 2)], object))
    assert shapely.is_valid(made).all()
    assert shapely.is_empty(made).tolist() == [False, True, False, False, False]
    assert made[2].equals(box(0, 0, 5, 5))
    assert made[3].equals(box(0, 0, 9, 9))
    assert repaired[0]
    coordinates = shapely.get_coordinates(made)
    assert (coordinates == np.rint(coordinates)).all()


def test_empty_input() -> None:
    nothing = np.array([MultiPolygon()], object)
    assert polygon_commands(nothing, np.zeros((1, 2), np.int64)) == [b""]
    assert rings.snap(nothing)[0][0].is_empty
    assert layer("units", Columns.of(np.arange(1), {}), [0], [b""], kind=POLYGON, extent=E) == b""


def test_a_thread_every_tile_rounds_away_is_drawn_at_its_label() -> None:
    thread = Polygon([(10, 0), (9010, 1), (9011, 1)])
    geoms = np.array([MultiPolygon([thread]), MultiPolygon([box(100, 100, 300, 300)])], object)
    assert all(0 not in rows for rows, _ in cut.polygons(geoms, 4, E).values())
    columns = Columns.of(np.array([1, 2]), {"code": ["a", "b"]})
    label = np.array([[5000, 0], [200, 200]])
    tiles = dict(cut.units_and_labels(geoms, label, (columns, columns), zoom=4, extent=E))
    tile = decode(gzip.decompress(tiles[1, 0]))
    assert [f["id"] for f in tile["units"]["features"]] == [1]
    assert shape(tile["units"]["features"][0]["geometry"]).equals(box(904, 0, 905, 1))


def test_a_label_on_a_tile_border_is_in_the_tile_that_begins_there() -> None:
    parts = cut.points(np.array([[E - 1, 5], [E, 5], [2 * E, E]]), E)
    assert {tile: rows for tile, (rows, _) in parts.items()} == {
        (0, 0): [0],
        (1, 0): [1],
        (2, 1): [2],
    }
    assert parts[1, 0][1] == [bytes([9, 0, 10])]
