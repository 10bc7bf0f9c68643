"""Shared lines, land beside them and distances to them, against brute force and the real counties."""

from __future__ import annotations

import itertools

import geopandas
import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from app.settings import PROJECT
from geo import border
from geo.border import BorderError, LineIndex, distance_to_line, length_m, shared_line

GEOD = pyproj.Geod(ellps="WGS84")
SIDES = ("3308", "3410", "3507", "3611")


@pytest.fixture(scope="module")
def counties() -> geopandas.GeoDataFrame:
    """35 real counties of four cities."""
    frame = geopandas.read_parquet(PROJECT / "data/boundaries/alliance/units.parquet")
    found = frame[frame.level == "county"].sort_values("code")
    assert len(found) == 35
    return found


@pytest.fixture(scope="module")
def lines(counties: geopandas.GeoDataFrame) -> dict[tuple[str, str], shapely.MultiLineString]:
    """Line of each two sides."""
    side = counties.code.str[:4]
    return {
        (a, b): shared_line(
            counties.geometry[side == a].to_numpy(), counties.geometry[side == b].to_numpy()
        )
        for a, b in itertools.combinations(SIDES, 2)
    }


def brute(lon: float, lat: float, edges: np.ndarray) -> float:
    """Least geodesic distance to edges (n, 4), by narrowing each edge from both sides."""
    low, high = np.zeros(len(edges)), np.ones(len(edges))
    here = np.full(len(edges), lon), np.full(len(edges), lat)

    def at(share: np.ndarray) -> np.ndarray:
        x = edges[:, 0] + share * (edges[:, 2] - edges[:, 0])
        y = edges[:, 1] + share * (edges[:, 3] - edges[:, 1])
        return np.asarray(GEOD.inv(*here, x, y)[2])

    for _ in range(40):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        nearer = at(left) < at(right)
        low, high = np.where(nearer, low, left), np.where(nearer, right, high)
    return float(min(at((low + high) / 2).min(), at(np.zeros(len(edges))).min(),
                     at(np.ones(len(edges))).min()))  # fmt: skip


def as_edges(line: shapely.Geometry) -> np.ndarray:
    points, part = shapely.get_coordinates(shapely.get_parts(line), return_index=True)
    inner = part[1:] == part[:-1]
    return np.column_stack([points[:-1][inner], points[1:][inner]])


def test_lines_of_the_four_cities_agree_with_their_polygons(
    counties: geopandas.GeoDataFrame, lines: dict[tuple[str, str], shapely.MultiLineString]
) -> None:
    """Each city's outline and that of all four, made by GEOS, leave twice what is shared."""
    shapes = counties.geometry.to_numpy()
    side = counties.code.str[:4].to_numpy()
    outlines = sum(length_m(shapely.coverage_union_all(shapes[side == one])) for one in SIDES)
    whole = length_m(shapely.coverage_union_all(shapes))
    total = sum(length_m(line) for line in lines.values())
    assert total == pytest.approx((outlines - whole) / 2, abs=1.0)
    assert total > 500_000
    met = {pair for pair, line in lines.items() if not line.is_empty}
    assert met == {("3308", "3410"), ("3308", "3507"), ("3308", "3611"), ("3410", "3611"),
                   ("3507", "3611")}  # fmt: skip


def test_lines_of_all_counties_agree_with_their_polygons(counties: geopandas.GeoDataFrame) -> None:
    shapes = counties.geometry.to_numpy()
    total = sum(length_m(shared_line(a, b)) for a, b in itertools.combinations(shapes, 2))
    whole = length_m(shapely.coverage_union_all(shapes))
    assert total == pytest.approx((sum(map(length_m, shapes)) - whole) / 2, abs=1.0)


def test_a_line_is_made_of_edges_both_sides_have(
    counties: geopandas.GeoDataFrame, lines: dict[tuple[str, str], shapely.MultiLineString]
) -> None:
    side = counties.code.str[:4]
    have = {
        one: {tuple(edge) for edge in border.edges(counties.geometry[side == one].to_numpy())}
        for one in SIDES
    }
    for (a, b), line in lines.items():
        mine = as_edges(line)
        ordered = [min(tuple(e), (e[2], e[3], e[0], e[1])) for e in mine.tolist()]
        assert set(map(tuple, ordered)) == have[a] & have[b]
        assert len(ordered) == len(set(map(tuple, ordered)))


def test_both_directions_are_one_line(counties: geopandas.GeoDataFrame) -> None:
    shapes = dict(zip(counties.code, counties.geometry, strict=True))
    one = shared_line(shapes["330824"], shapes["341022"])
    assert one.equals_exact(shared_line(shapes["341022"], shapes["330824"]), 0)
    assert length_m(one) > 1000


def test_distances_are_those_of_brute_force(
    lines: dict[tuple[str, str], shapely.MultiLineString],
) -> None:
    pairs = [pair for pair, line in lines.items() if not line.is_empty]
    index = LineIndex([lines[pair] for pair in pairs], border.CENTRE)
    edges = [as_edges(lines[pair]) for pair in pairs]
    whole = np.concatenate(edges)
    random = np.random.default_rng(6)
    places = random.uniform((116.3, 26.3), (119.3, 30.5), (24, 2)).tolist()
    near = whole[random.integers(len(whole), size=16)]
    places += (near[:, :2] + random.normal(0, 0.003, (16, 2))).tolist()
    for lon, lat in places:
        found = index.nearest(lon, lat)
        assert found is not None
        assert found.metres == pytest.approx(brute(lon, lat, whole), abs=0.05)
        assert found.metres == pytest.approx(brute(lon, lat, edges[found.line]), abs=0.05)
        to, _, metres = GEOD.inv(lon, lat, found.lon, found.lat)
        assert metres == pytest.approx(found.metres, abs=1e-6)
        assert (to - found.azimuth) % 360 == pytest.approx(0, abs=1e-6) or metres < 0.01


@given(
    st.lists(
        st.tuples(st.floats(117, 119, width=32), st.floats(27, 30, width=32)),
        min_size=2, max_size=6, unique=True,
    ),
    st.floats(115, 121), st.floats(26, 31),
)  # fmt: skip
def test_any_line_is_measured_to_a_metre(
    corners: list[tuple[float, float]], lon: float, lat: float
) -> None:
    """Edges of up to 400 km, which no brute force takes as one."""
    line = shapely.LineString(corners)
    cut = shapely.segmentize(line, 0.02)
    assert distance_to_line(lon, lat, line) == pytest.approx(brute(lon, lat, as_edges(cut)), abs=1)


def test_a_place_on_the_line_is_at_no_distance(
    lines: dict[tuple[str, str], shapely.MultiLineString],
) -> None:
    line = lines["3308", "3611"]
    for lon, lat in shapely.get_coordinates(line)[::97].tolist():
        assert distance_to_line(lon, lat, line) < 0.001


def test_land_beside_a_line(lines: dict[tuple[str, str], shapely.MultiLineString]) -> None:
    line = lines["3308", "3410"]
    area = border.buffer_both_sides(line, 5000)
    assert area.is_valid
    edges = as_edges(line)
    corners = shapely.get_coordinates(area)
    for lon, lat in corners[:: len(corners) // 40].tolist():
        assert brute(lon, lat, edges) == pytest.approx(5000, rel=0.0005)
    assert shapely.covers(area, line)


def test_a_line_of_sources_with_gaps() -> None:
    """Two squares 8 m apart meet within 10 m and not without."""
    gap = 8 / 111_320
    one = shapely.box(118.0, 28.0, 118.1, 28.1)
    other = shapely.box(118.0, 28.1 + gap, 118.1, 28.2)
    assert shared_line(one, other).is_empty
    found = shared_line(one, other, tolerance_m=10)
    top = GEOD.line_length([118.0, 118.1], [28.1, 28.1])
    assert top <= length_m(found) <= top + 2 * 10
    corner = shapely.box(118.1, 28.1, 118.2, 28.2)
    assert shared_line(one, corner, tolerance_m=10).is_empty
    exact = shapely.box(118.0, 28.1, 118.1, 28.2)
    assert length_m(shared_line(one, exact)) == pytest.approx(top, abs=1e-6)


def test_what_makes_no_sense_is_refused() -> None:
    square = shapely.box(0, 0, 1, 1)
    for call, reason in (
        (lambda: shared_line(shapely.Point(0, 0), square), "no_polygon"),
        (lambda: shared_line(square, square, tolerance_m=-1), "bad_size"),
        (lambda: border.buffer_both_sides(shapely.MultiLineString(), 10), "empty"),
        (lambda: border.buffer_both_sides(square.boundary, 0), "bad_size"),
        (lambda: distance_to_line(0, 0, shapely.MultiLineString()), "empty"),
        (lambda: distance_to_line(float("nan"), 0, square.boundary), "bad_place"),
    ):
        with pytest.raises(BorderError) as caught:
            call()
        assert caught.value.reason == reason
    assert LineIndex([shapely.MultiLineString()]).nearest(0, 0) is None
