"""Counts in small areas that are nearly round: equal to GEOS, point by point."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

import geo.cube.build as build_module
import geo.cube.count as count_module
import geo.cube.disc as disc_module
import geo.cube.slices as slices_module
from geo.corners import corners
from geo.cube import Columns, Question, Snapshot, Spec, ask
from geo.cube.disc import NOT_ROUND, disc
from geo.shapes import circle, from_geojson

from .cube_ground import hard_points

SPEC = Spec(("fire",))
T0 = 1_704_038_400


def ring(n: int, *, wide: float = 0.01, tall: float = 0.008, turn: float = 0.0, rough: float = 0.0) -> shapely.Polygon:  # fmt: skip
    """An ellipse about (120.05, 30.05) of n corners, turned, its radius rough by that part."""
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    radius = 1 + rough * np.random.default_rng(n).uniform(-1, 1, n)
    x, y = wide * radius * np.cos(angle), tall * radius * np.sin(angle)
    c, s = np.cos(turn), np.sin(turn)
    return shapely.Polygon(np.column_stack([120.05 + c * x - s * y, 30.05 + s * x + c * y]))


ROUND = {
    "30 m": circle(120.05, 30.05, 30),
    "1 m": circle(120.05, 30.05, 1),
    "300 m": circle(120.0640001, 30.05, 300),
    "1 km": circle(120.05, 30.05, 1000),
    "1 km in the north": circle(14.2, 67.3, 1000),
    "south and west": circle(-70.4, -33.1, 700),
    "on the corner of four blocks": circle(120.064, 30.016, 500),
    "ellipse": ring(200),
    "other way round": shapely.reverse(ring(120)),
    "few corners": ring(20),
    "rough": ring(300, rough=0.004),
}
OTHERWISE = {
    "turned": ring(200, turn=0.6, tall=0.003),
    "rougher": ring(300, rough=0.05),
    "eight corners": ring(8),
    "hole": ring(200).difference(ring(100, wide=0.005, tall=0.004)),
    "hole like itself": ring(200).difference(ring(100, wide=0.00995, tall=0.00796)),
    # round, but its middle lies outside; and three rings about a middle that lies inside
    "open band": ring(200)
    .difference(ring(200, wide=0.0099, tall=0.00792))
    .difference(shapely.box(120.05, 30.0499, 120.07, 30.0501)),
    "band and disc": shapely.MultiPolygon(
        [
            ring(200).difference(ring(200, wide=0.00997, tall=0.007976)),
            ring(200, wide=0.00993, tall=0.007944),
        ]
    ),
    "two": shapely.union(ring(100, wide=0.002, tall=0.001), circle(120.1, 30.05, 300)),
    "large": circle(120.05, 30.05, 9000),
}


def made(
    area: shapely.Geometry, monkeypatch: pytest.MonkeyPatch, side: int
) -> tuple[np.ndarray, Snapshot]:
    """Hard points, one in a second, in tiles of a size."""
    at = hard_points(area, np.random.default_rng(4))
    monkeypatch.setattr(build_module, "_CROWD", 0.0)
    monkeypatch.setattr(build_module, "_SPARSE", 0)
    monkeypatch.setattr(build_module, "_FINEST", side)
    zero = np.zeros(len(at))
    snapshot = Snapshot.build(
        Columns(at[:, 0], at[:, 1], T0 + np.arange(len(at)), zero, zero), SPEC
    )
    assert snapshot.arrays["side"][0] == side
    return at, snapshot


def counted(area: shapely.Geometry, snapshot: Snapshot, start: int, end: int) -> int:
    a = snapshot.arrays
    base = int(a["base"][0])
    return int(
        disc(
            *corners(area), int(a["side"][0]), a["block_key"], a["block_tiles"], a["tile_id"],
            a["tile_start"], a["time"], a["cell"], a["point"], start - base, end - base,
            int(a["step_edge"][-1]) - base - 1,
        )
    )  # fmt: skip


@pytest.mark.parametrize("side", [1, 4])
@pytest.mark.parametrize("name", ROUND)
def test_every_point_is_inside_or_not(
    name: str, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    area = ROUND[name]
    at, snapshot = made(area, monkeypatch, side)
    n = len(at)
    want = shapely.covers(area, shapely.points(at))
    assert counted(area, snapshot, T0, T0 + n) == want.sum() > 0
    found = [ask(snapshot, Question(area, T0 + i, T0 + i + 1)).total for i in range(n)]
    assert found == want.astype(int).tolist()
    # part of the time, and time in which nothing was
    assert ask(snapshot, Question(area, T0 + n // 3, T0 + n)).total == want[n // 3 :].sum()
    assert ask(snapshot, Question(area, T0 - 9, T0)).total == 0


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_is_not_round_small_and_one_ring_is_asked_otherwise(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    area = OTHERWISE[name]
    at, snapshot = made(area, monkeypatch, 4)
    assert counted(area, snapshot, T0, T0 + len(at)) == NOT_ROUND
    want = shapely.covers(area, shapely.points(at)).sum()
    assert ask(snapshot, Question(area, T0, T0 + len(at))).total == want


def test_a_needle_that_ends_on_a_tile_holds_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_CROWD", 0.0), ("_SPARSE", 0), ("_FINEST", 4)):
        monkeypatch.setattr(build_module, name, value)
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    for n in range(50):
        border = (37_500 + n) / 125 - 180  # a multiple of a tile
        for high in (10.0, 1e3, 1e5, 1e8):
            wide = 0.002 / high
            x = border - wide + wide * np.cos(angle)
            x[0] = border
            area = shapely.Polygon(np.column_stack([x, 30.05 + 0.002 * np.sin(angle)]))
            at = np.column_stack([np.append(x, np.nextafter(border, 999)), np.full(65, 30.05)])
            if not area.is_valid:
                continue  # corners have become one
            want = shapely.covers(area, shapely.points(at)).sum()
            zero = np.zeros(len(at))
            snapshot = Snapshot.build(Columns(at[:, 0], at[:, 1], zero + T0, zero, zero), SPEC)
            assert ask(snapshot, Question(area, T0, T0 + 1)).total == want > 0


@pytest.mark.parametrize("lon", [180.448, 180.6, -180.46, -180.9, 200.0])
def test_nothing_lies_beside_the_globe(lon: float) -> None:
    dice = np.random.default_rng(1)
    x = np.concatenate([dice.uniform(-180, -179, 4000), dice.uniform(179, 180, 4000)])
    zero = np.zeros(len(x))
    y = dice.uniform(29.8, 30.2, len(x))
    snapshot = Snapshot.build(Columns(x, y, zero + T0, zero, zero), SPEC)
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    for radius in (0.01, 0.03):
        area = shapely.Polygon(
            np.column_stack([lon + radius * np.cos(angle), 30 + radius * np.sin(angle)])
        )
        assert ask(snapshot, Question(area, T0, T0 + 1)).total == 0


def test_fine_tiles_are_asked_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    at, snapshot = made(ROUND["1 km"], monkeypatch, 16)
    assert counted(ROUND["1 km"], snapshot, T0, T0 + len(at)) == NOT_ROUND


def test_what_is_asked_from_outside_is_counted_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    area = from_geojson(shapely.geometry.mapping(ROUND["1 km"]))
    at, snapshot = made(area, monkeypatch, 4)
    every = Question(area, T0, T0 + len(at))
    by_kind = Question(area, T0, T0 + len(at), breakdowns=frozenset({"kind"}))
    assert ask(snapshot, every).total == ask(snapshot, by_kind).total > 0


def test_the_same_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    areas = [ROUND[name] for name in ("few corners", "1 m", "on the corner of four blocks")]
    areas += [OTHERWISE[name] for name in ("eight corners", "rougher", "large")]
    made_of = [(area, *made(area, monkeypatch, 4)) for area in areas]
    compiled = [counted(area, one, T0, T0 + len(at)) for area, at, one in made_of]
    for module in (slices_module, count_module, disc_module):
        for name, function in list(vars(module).items()):
            if hasattr(function, "py_func") and name != "disc":
                monkeypatch.setattr(module, name, function.py_func)
    # these are made of instructions
    monkeypatch.setattr(count_module, "AT_ONCE", False)
    monkeypatch.setattr(slices_module, "ahead", lambda *_: None)
    monkeypatch.setitem(globals(), "disc", disc.py_func)
    assert [counted(area, one, T0, T0 + len(at)) for area, at, one in made_of] == compiled
