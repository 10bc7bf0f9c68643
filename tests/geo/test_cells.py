"""Cells of points, and what of each unit lies in which cell, against h3-py and GEOS."""

from __future__ import annotations

import h3
import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geo import cells, exposure


def star(lon: float, lat: float, size: float, points: int, seed: int) -> shapely.Polygon:
    """A jagged polygon with a jagged hole."""
    random = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    rim = np.column_stack([np.cos(angle), np.sin(angle)])
    outer = rim * random.uniform(0.5, 1.0, points)[:, None] * size
    inner = rim * random.uniform(0.1, 0.3, points)[:, None] * size
    return shapely.Polygon(outer + np.array([lon, lat]), [inner + np.array([lon, lat])])


def twin(shapes: list[shapely.Geometry], res: int) -> dict[tuple[int, int], float]:
    """Parts of units in cells by GEOS, one pair at a time."""
    plane = shapely.transform(np.array(shapes), cells.equal_area)
    found = {}
    for number, (shape, flat) in enumerate(zip(shapes, plane, strict=True)):
        w, s, e, n = shape.buffer(0.4 / 2.6 ** (res - 5)).bounds
        corners = h3.LatLngPoly([(s, w), (s, e), (n, e), (n, w)])
        for name in h3.h3shape_to_cells(corners, res):
            rim = np.array([(x, y) for y, x in h3.cell_to_boundary(name)])
            part = flat.intersection(shapely.Polygon(cells.equal_area(rim))).area
            if part > 1e-12 * flat.area:
                found[int(name, 16), number] = part / flat.area
    return found


def pairs(over: cells.Overlap) -> dict[tuple[int, int], float]:
    keys = zip(over.cells[over.cell_of].tolist(), over.unit.tolist(), strict=True)
    return dict(zip(keys, over.weight.tolist(), strict=True))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), min_size=1, max_size=20),
    st.integers(0, 15),
)
def test_the_cell_of_a_point_is_that_of_h3(points: list[tuple[float, float]], res: int) -> None:
    lon, lat = np.array(points).T
    wanted = [int(h3.latlng_to_cell(y, x, res), 16) for x, y in points]
    assert cells.cells(lon, lat, res).tolist() == wanted


def test_a_cell_is_never_taken_from_its_children() -> None:
    # given many points of a city
    random = np.random.default_rng(1)
    lon, lat = random.uniform(119, 120, 20_000), random.uniform(29, 30, 20_000)
    fine = cells.cells(lon, lat, 10)
    for res in (6, 7, 8, 9):
        # then the ancestor of the fine cell is another one for some of them
        differ = np.mean(cells.cells(lon, lat, res) != cells.ancestors(fine, res))
        assert 0.01 < differ < 0.2


def test_no_point_is_no_cell_and_nonsense_is_refused() -> None:
    assert cells.cells([120.0, np.nan, 120.0], [30.0, 30.0, np.nan], 8)[1:].tolist() == [0, 0]
    assert len(cells.cells([], [], 8)) == 0
    with pytest.raises(ValueError, match="latitude"):
        cells.cells([30.0], [120.0], 8)
    with pytest.raises(ValueError, match="finite"):
        cells.cells([np.inf], [20.0], 8)
    with pytest.raises(ValueError, match="resolutions"):
        cells.cells([30.0], [20.0], 16)
    with pytest.raises(ValueError, match="longitudes"):
        cells.cells([30.0], [20.0, 21.0], 8)


def test_outlines_and_centres_are_those_of_h3() -> None:
    names = [
        h3.latlng_to_cell(y, x, r)
        for x, y in ((120, 30), (-123, 49), (10.5, -33.3))
        for r in (6, 10)
    ]
    names += [*sorted(h3.get_pentagons(6))[:2], h3.latlng_to_cell(10.0, 179.9999, 6)]
    xy, start = cells.outlines(np.array([int(name, 16) for name in names], np.uint64))
    for at, name in enumerate(names):
        mine = xy[start[at] : start[at + 1]]
        theirs = np.array([(x, y) for y, x in h3.cell_to_boundary(name)])
        turned = np.abs((mine - theirs + 180) % 360 - 180)
        assert turned.max() < 1e-9
        assert np.ptp(mine[:, 0]) < 1  # in one piece across the antimeridian
        centre = cells.centres(np.array([int(name, 16)], np.uint64))[0]
        assert centre == pytest.approx(h3.cell_to_latlng(name)[::-1], abs=1e-9)


def bent_cell() -> str:
    """A cell over an edge of the icosahedron: it has more than six corners and is not convex."""
    box = h3.LatLngPoly([(29.0, 118.3), (29.0, 120.7), (30.6, 120.7), (30.6, 118.3)])
    return max(sorted(h3.h3shape_to_cells(box, 7)), key=lambda one: len(h3.cell_to_boundary(one)))


@pytest.mark.parametrize("res", [6, 8])
def test_parts_of_units_equal_those_of_geos(res: int) -> None:
    size = {6: 0.12, 8: 0.02}[res]
    shapes: list[shapely.Geometry] = [
        star(119.5 + 0.05 * k, 30 + 0.03 * k, size, 5 + 9 * k, k) for k in range(4)
    ]
    shapes.append(
        shapely.MultiPolygon([star(120, 29, size / 3, 9, 7), star(120 + 2 * size, 29, size, 9, 8)])
    )
    shapes.append(shapely.box(119.1001, 29.1, 119.1002, 29.1001))  # far smaller than a cell
    found, wanted = pairs(cells.overlap(np.array(shapes), res)), twin(shapes, res)
    assert found.keys() == wanted.keys()
    for key, weight in wanted.items():
        assert found[key] == pytest.approx(weight, abs=1e-9)


def test_bent_cells_are_measured_too() -> None:
    name = bent_cell()
    assert len(h3.cell_to_boundary(name)) > 6
    lat, lon = h3.cell_to_latlng(name)
    shapes = [star(lon + 0.01, lat, 0.06, 12, 3)]
    found, wanted = pairs(cells.overlap(np.array(shapes), 7)), twin(shapes, 7)
    assert found.keys() == wanted.keys()
    for key, weight in wanted.items():
        assert found[key] == pytest.approx(weight, abs=1e-9)


@settings(deadline=None, max_examples=25)
@given(
    lon=st.floats(-179, 179), lat=st.floats(-70, 70), points=st.integers(3, 40), seed=st.integers(0, 999)
)  # fmt: skip
def test_nothing_of_a_unit_is_lost(lon: float, lat: float, points: int, seed: int) -> None:
    shape = star(lon, lat, 0.02, points, seed)
    over = cells.overlap(np.array([shape, shape]), 8)
    assert np.bincount(over.unit, over.weight) == pytest.approx([1, 1], abs=1e-12)
    geodesic = (
        abs(pyproj.Geod(ellps="WGS84").geometry_area_perimeter(shapely.orient_polygons(shape))[0])
        / 1e6
    )
    assert np.bincount(over.unit, over.km2)[0] == pytest.approx(geodesic, rel=1e-3)
    assert np.all(np.diff(over.cells.astype(np.int64)) > 0)
    assert np.all(np.diff(over.start) > 0)


def test_what_units_hold_is_spread_by_area_and_conserved() -> None:
    shapes = np.array([shapely.box(119 + 0.1 * k, 30, 119.1 + 0.1 * k, 30.1) for k in range(4)])
    over = cells.overlap(shapes, 7)
    values = np.array([10.0, np.nan, 30.0, 0.0])
    spread = over.spread(values)
    assert np.nansum(spread) == pytest.approx(40, rel=1e-12)
    only_missing = np.isin(np.arange(len(over)), over.cell_of[over.unit != 1], invert=True)
    assert np.isnan(spread[only_missing]).all()
    assert only_missing.any()
    assert not np.isnan(spread[~only_missing]).any()


def test_a_cell_belongs_to_whom_most_of_it_is() -> None:
    shapes = np.array([shapely.box(119, 30, 119.003, 30.1), shapely.box(119.003, 30, 119.1, 30.1)])
    over = cells.overlap(shapes, 6)
    owner = over.owner(np.array([7, 5]))
    for at in range(len(over)):
        rows = slice(over.start[at], over.start[at + 1])
        part = dict(
            zip(np.array([7, 5])[over.unit[rows]].tolist(), over.km2[rows].tolist(), strict=True)
        )
        assert owner[at] == max(part, key=lambda label: part[label])
    # the same area twice: the lowest label
    twice = cells.overlap(np.array([shapes[0], shapes[0]]), 6)
    assert set(twice.owner(np.array([7, 5])).tolist()) == {5}


def test_shares_of_cells_are_those_of_their_units() -> None:
    random = np.random.default_rng(5)
    shapes = np.array([shapely.box(119 + 0.05 * k, 30, 119.05 + 0.05 * k, 30.1) for k in range(8)])
    values = random.lognormal(3, 1, (3, 8))
    values[1, 2] = np.nan
    weights = np.array([[0.5, 0.5, 0], [0, 0, 1.0]])
    over = cells.overlap(shapes, 7)
    one = np.zeros(8, int)
    # one area: the sum of the units' own shares, and together one
    shares = cells.reference_shares(over, values, weights, one, over.owner(one))
    for kind, row in enumerate(exposure.kind_shares(values, weights, one)):
        assert shares[kind] == pytest.approx(over.spread(row), rel=1e-12, nan_ok=True)
        assert np.nansum(shares[kind]) == pytest.approx(1, rel=1e-12)
    # two areas: a cell across the border is measured by the totals of the area it belongs to
    two = np.repeat([1, 2], 4)
    owner = over.owner(two)
    shares = cells.reference_shares(over, values, weights, two, owner)
    totals = {area: values[2, two == area].sum() for area in (1, 2)}
    for at in range(len(over)):
        rows = slice(over.start[at], over.start[at + 1])
        held = (values[2, over.unit[rows]] * over.weight[rows]).sum()
        assert shares[1, at] == pytest.approx(held / totals[owner[at]], rel=1e-12)


def test_a_unit_without_area_is_named() -> None:
    flat = shapely.Polygon([(119, 30), (119.1, 30), (119.2, 30)])
    with pytest.raises(cells.CellError, match="row 1 has no area"):
        cells.overlap(np.array([shapely.box(119, 30, 119.1, 30.1), flat]), 7)
