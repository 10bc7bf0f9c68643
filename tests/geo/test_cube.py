"""Area counts: equal to testing every event, whatever is asked."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import h3
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import geo.corners as corners_module
import geo.cube.build as build_module
import geo.cube.count as count_module
import geo.cube.cover as cover_module
import geo.cube.edges as edges_module
import geo.cube.engine as engine_module
import geo.cube.quick as quick_module
import geo.cube.runs as runs_module
import geo.cube.slices as slices_module
import geo.cube.views as views_module
from geo.corners import corners
from geo.cube import (
    Cells,
    Columns,
    Delta,
    Question,
    Snapshot,
    Spec,
    UnitRanges,
    ask,
)
from geo.cube.rows import ask_located
from geo.cube.rows import rows as matching_rows
from geo.shapes import ShapeError, circle, corridor, from_geojson

from .cube_ground import (
    AREAS,
    BIG,
    DAY,
    ROWS,
    SPEC,
    T0,
    events,
    fine_tiles,
    hard_points,
    small_blocks,
)
from .cube_twin import agree


@pytest.mark.parametrize("name", AREAS)
def test_areas(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fine = [fine_tiles(monkeypatch, ROWS, side) for side in (4, 16)]
    for snapshot in (BIG, small_blocks(monkeypatch, ROWS), *fine):
        beside = UnitRanges(((0, 3), (7, 9)))
        agree(ROWS, snapshot, Question(AREAS[name], T0, T0 + 30 * DAY, beside=beside))


TIMES = {
    "days": (T0 + 3 * DAY, T0 + 9 * DAY),
    "part days": (T0 + 3 * DAY + 12_345, T0 + 9 * DAY + 54_321),
    "one second": (T0 + 5 * DAY, T0 + 5 * DAY + 1),
    "inside a day": (T0 + 5 * DAY + 10, T0 + 5 * DAY + 70_000),
    "from long ago": (0, T0 + 7 * DAY + 1),
    "for ever": (-(10**10), 10**11),
    "before": (0, T0),
    "after": (T0 + 100 * DAY, T0 + 101 * DAY),
}


@pytest.mark.parametrize("name", TIMES)
def test_times(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    start, end = TIMES[name]
    for snapshot in (BIG, small_blocks(monkeypatch, ROWS), fine_tiles(monkeypatch, ROWS, 8)):
        for area in (AREAS["all"], AREAS["star"]):
            agree(ROWS, snapshot, Question(area, start, end))
            agree(ROWS, snapshot, Question(area, start, end, kinds={"theft", "fraud"}))


def test_the_first_day_before_its_first_event(monkeypatch: pytest.MonkeyPatch) -> None:
    first = int(ROWS.time.min())
    rows = ROWS.take(ROWS.time > first + 3600)
    first = int(rows.time.min())
    assert first // DAY == (first - 60) // DAY
    for snapshot in (Snapshot.build(rows, SPEC), fine_tiles(monkeypatch, rows)):
        for area in (AREAS["all"], AREAS["star"], AREAS["tile"], UnitRanges(((3, 9),))):
            agree(rows, snapshot, Question(area, T0, first))
            agree(rows, snapshot, Question(area, first - 60, first - 1, kinds={"theft"}))
            agree(rows, snapshot, Question(area, first - 60, first + 1))


def test_long_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    # a cube that may be no larger than this has steps of several days
    monkeypatch.setattr(build_module, "CUBE_MOST", 100)
    snapshot = small_blocks(monkeypatch, ROWS)
    assert len(snapshot.arrays["step_edge"]) < len(snapshot.arrays["day_edge"])
    assert snapshot.arrays["part_shift"][0] > 1
    for start, end in TIMES.values():
        agree(ROWS, snapshot, Question(AREAS["hole"], start, end))


def test_the_seconds_that_a_part_leaves_out() -> None:
    # so many within the same few seconds that what was cut off of a second decides
    rng = np.random.default_rng(6)
    n = 4000
    rows = Columns(
        rng.uniform(120.0, 120.03, n), rng.uniform(30.0, 30.03, n),
        T0 + 5 * DAY + 7 + rng.integers(0, 9, n), rng.integers(0, 3, n), np.ones(n),
    )  # fmt: skip
    rows.time[:2] = T0, T0 + 40 * DAY
    snapshot = Snapshot.build(rows, SPEC)
    assert snapshot.arrays["part_shift"][0] == 1
    assert snapshot.arrays["cube_row"].max() >= 0
    for second in range(6, 17):
        for kinds in (None, frozenset({"theft"})):
            until = Question(AREAS["all"], 0, T0 + 5 * DAY + second, kinds, breakdowns={"kind"})
            hit = (rows.time < until.end) & until.mask(SPEC.kinds)[rows.kind]
            found = ask(snapshot, until)
            assert found.total == int(hit.sum())
            assert found.by_kind is not None
            assert found.by_kind.tolist() == np.bincount(rows.kind[hit], minlength=3).tolist()


@pytest.mark.parametrize("power", [0.02, 1, 30])
def test_times_that_are_not_spread_evenly(power: float) -> None:
    rng = np.random.default_rng(7)
    n = 3000
    rows = Columns(
        rng.uniform(120.0, 120.03, n), rng.uniform(30.0, 30.03, n),
        T0 + (40 * DAY * rng.random(n) ** power).astype(np.int64), np.zeros(n), np.ones(n),
    )  # fmt: skip
    snapshot = Snapshot.build(rows, SPEC)
    area = shapely.box(120.0, 30.0, 120.02, 30.04)
    inside = (rows.lon <= 120.02) & (rows.lon >= 120.0)
    for start in np.quantile(rows.time, [0, 0.1, 0.5, 0.9, 1]).astype(int).tolist():
        for end in (start + 1, start + 900, start + 20 * DAY, T0 + 41 * DAY):
            want = int((inside & (rows.time >= start) & (rows.time < end)).sum())
            assert ask(snapshot, Question(area, start, end)).total == want


def test_rows_as_high_as_tiles_when_there_are_very_many_edges(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    snapshot = fine_tiles(monkeypatch, ROWS, 2)
    runs = len(cover_module.cover(AREAS["star"], snapshot.arrays).run_edge)
    monkeypatch.setattr(cover_module, "MOST_PIECES", runs - 1)
    assert cover_module.cover(AREAS["star"], snapshot.arrays).within.shape[1] == 1
    agree(ROWS, snapshot, Question(AREAS["star"], T0, T0 + 30 * DAY + 5))


def test_tiles_are_smaller_where_more_events_stand_together() -> None:
    sides = [
        int(Snapshot.build(events(n, size=0.02), SPEC).arrays["side"][0])
        for n in (99, 9000, 90_000)
    ]
    assert sides[0] == 1
    assert sides == sorted(set(sides))


@pytest.mark.parametrize("first", [-90 * DAY, -(10**10), 4_294_967_296 - 9 * DAY, 10**11])
def test_before_1970_and_beyond_32_bits(first: int) -> None:
    rows = dataclasses.replace(ROWS, time=ROWS.time - T0 + first)
    rows.time[5] = first - 50 * 365 * DAY
    snapshot = Snapshot.build(rows, SPEC)
    assert snapshot.arrays["cube_row"].max() >= 0
    assert not len(snapshot.arrays["loose_time"])
    for start, end in ((-(10**12), 10**12), (first + DAY + 7, first + 20 * DAY + 9)):
        agree(rows, snapshot, Question(AREAS["hole"], start, end))


def test_strays_do_not_stretch_the_cube(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = events(6000)
    rows.time[:3] = [-(10**9), 10**10, 10**11]
    rows.lon[:3], rows.lat[:3] = 120.05, 30.05
    monkeypatch.setattr(build_module, "CUBE_MOST", 3000)
    snapshot = small_blocks(monkeypatch, rows)
    assert len(snapshot.arrays["loose_time"]) >= 3
    assert len(snapshot) == 6000
    agree(rows, snapshot, Question(AREAS["box"], -(10**11), 10**12))


@pytest.mark.parametrize(
    "zone", ["Europe/London", "America/St_Johns", "Asia/Kathmandu", "America/Santiago"]
)
def test_clocks_that_change(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = Spec(SPEC.kinds, zone)
    rng = np.random.default_rng(5)
    rows = events(1500, 2, days=400)
    # an hour around each change of 2024
    rows.time[:400] = rng.choice(
        [1_711_846_800, 1_729_990_800, 1_710_052_200, 1_712_458_800, 1_725_768_000], 400
    )
    rows.time[:400] += rng.integers(-7200, 7200, 400)
    monkeypatch.setattr(build_module, "_SMALL", 5)
    snapshot = Snapshot.build(rows, spec)
    hours = np.zeros(168, dtype=bool)
    hours[[0, 1, 2, 23, 24, 47, 50, 140, 143, 144, 145, 146, 147, 166, 167]] = True
    agree(rows, snapshot, Question(AREAS["all"], T0 + 5000, T0 + 399 * DAY))
    agree(rows, snapshot, Question(AREAS["star"], T0 + 5000, T0 + 399 * DAY, hours_of_week=hours))


def test_hours_of_the_week(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    snapshot = small_blocks(monkeypatch, ROWS)
    for p in (0.02, 0.5, 0.98):
        hours = rng.random(168) < p
        for area in (AREAS["hole"], UnitRanges(((3, 12),))):
            agree(ROWS, snapshot, Question(area, T0 + 77, T0 + 20 * DAY + 5, hours_of_week=hours))


@pytest.mark.parametrize(
    "ranges", [((4, 5),), ((0, 30),), ((0, 1),), ((2, 9), (20, 2**40)), ((500, 600),)]
)
def test_units(ranges: tuple[tuple[int, int], ...], monkeypatch: pytest.MonkeyPatch) -> None:
    # units in stripes, so that blocks are whole, mixed and empty
    rows = dataclasses.replace(
        ROWS,
        unit=np.where(
            np.isnan(ROWS.lon), ROWS.unit, ((np.nan_to_num(ROWS.lon) - 119.9) * 100)
        ).astype(np.int32),
    )
    snapshot = small_blocks(monkeypatch, rows)
    agree(rows, snapshot, Question(UnitRanges(ranges), T0 + 99, T0 + 22 * DAY + 1))
    agree(rows, snapshot, Question(UnitRanges(ranges), 0, T0 * 2, kinds={"fire"}))


@pytest.mark.parametrize("res", [0, 3, 5, 7, 9, 11])
def test_cells(res: int, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = small_blocks(monkeypatch, ROWS)
    known = [
        h3.latlng_to_cell(y, x, res) for x, y in zip(ROWS.lon, ROWS.lat, strict=True) if x == x
    ]
    some = np.array([h3.str_to_int(c) for c in sorted(set(known))[::2]], dtype=np.uint64)
    agree(
        ROWS, snapshot, Question(Cells(some), T0 + 5, T0 + 30 * DAY, beside=UnitRanges(((1, 2),)))
    )


def test_cells_of_mixed_resolutions_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = small_blocks(monkeypatch, ROWS)
    ids = [h3.str_to_int(h3.latlng_to_cell(30.05, 120.05, r)) for r in (5, 6, 8)]
    agree(ROWS, snapshot, Question(Cells(np.array(ids)), 0, T0 * 2))


def test_cells_by_the_pole_and_the_antimeridian() -> None:
    rng = np.random.default_rng(1)
    n = 600
    lon, lat = np.where(rng.random(n) < 0.5, 179.95, -180) + rng.random(n) / 20, rng.random(n) / 10
    lat[:100], lon[:100] = 89.9 + rng.random(100) / 10, rng.uniform(-180, 180, 100)
    rows = Columns(lon, lat, T0 + np.arange(n), np.zeros(n), np.ones(n))
    snapshot = Snapshot.build(rows, SPEC)
    for x, y in ((180, 0.05), (0, 90)):
        ids = np.array([h3.str_to_int(h3.latlng_to_cell(y, x, 4))], dtype=np.uint64)
        agree(rows, snapshot, Question(Cells(ids), 0, T0 * 2))


@pytest.mark.parametrize("side", [1, 16])
@pytest.mark.parametrize("name", [n for n in AREAS if n != "all"])
def test_every_edge_and_corner(name: str, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    area, rng = AREAS[name], np.random.default_rng(4)
    at = hard_points(area, rng)
    rows = Columns(at[:, 0], at[:, 1], np.full(len(at), T0), np.zeros(len(at)), np.arange(len(at)))
    snapshot = fine_tiles(monkeypatch, rows, side)
    found = ask(snapshot, Question(area, T0, T0 + 1, breakdowns={"unit"}))
    shapely.prepare(area)
    want = np.flatnonzero(shapely.covers(area, shapely.points(at)))
    assert found.by_unit is not None
    assert found.by_unit.keys.tolist() == want.tolist()


def comb(teeth: int) -> shapely.Polygon:
    """Many edges side by side in every row."""
    x = 120 + np.arange(2 * teeth) / (2 * teeth) / 10
    y = np.where(np.arange(2 * teeth) % 2, 30.09, 30.01 + np.arange(2 * teeth) % 7 / 1000)
    return shapely.Polygon([*zip(x, y, strict=True), (120.1, 30.0), (120.0, 30.0)])


def coast(corners_: int) -> shapely.Polygon:
    """Many edges one after the other in every row."""
    angle = np.linspace(0, 2 * np.pi, corners_, endpoint=False)
    radius = 0.04 * (1 + 0.2 * np.sin(5 * angle) + 0.01 * np.sin(corners_ / 7 * angle))
    return shapely.Polygon(
        np.column_stack([120.05 + radius * np.cos(angle), 30.05 + radius * np.sin(angle)])
    )


@pytest.mark.parametrize("side", [1, 4, 16])
@pytest.mark.parametrize("area", [comb(150), coast(9000)], ids=["comb", "coast"])
def test_many_edges_in_a_row(
    area: shapely.Polygon, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert area.is_valid
    at = hard_points(area, np.random.default_rng(side))[::7]
    rows = Columns(at[:, 0], at[:, 1], np.full(len(at), T0), np.zeros(len(at)), np.zeros(len(at)))
    snapshot = fine_tiles(monkeypatch, rows, side)
    shapely.prepare(area)
    want = shapely.covers(area, shapely.points(at)).sum()
    for few in (runs_module._FEW, 2, 10_000):
        monkeypatch.setattr(runs_module, "_FEW", few)
        assert ask(snapshot, Question(area, T0, T0 + 1)).total == want


def test_corners_are_kept_beside_what_has_them_and_go_with_it() -> None:
    for make in (
        lambda: circle(120.05, 30.05, 3000),
        lambda: corridor([(120.0, 30.0), (120.05, 30.06), (120.1, 30.05)], 700),
        lambda: from_geojson(shapely.geometry.mapping(AREAS["hole"])),
        lambda: from_geojson(shapely.geometry.mapping(AREAS["parts"])),
    ):
        area = make()
        assert id(area) in corners_module._KNOWN
        kept = corners(area)
        again = corners(shapely.from_wkb(shapely.to_wkb(area)))  # which nobody keeps
        for one, other in zip(kept, again, strict=True):
            assert one.tolist() == other.tolist()
        key = id(area)
        del area
        assert key not in corners_module._KNOWN


def test_wide_ranges_of_places_and_times_still_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    n = 2000
    rows = Columns(
        rng.uniform(-180, 180, n),
        rng.uniform(-90, 90, n),
        T0 + rng.integers(0, 3 * 10**9, n),
        np.zeros(n),
        np.zeros(n),
    )
    # so many blocks of keys that place and time no longer fit one number
    monkeypatch.setattr(build_module, "_KEY_BITS", 32)
    agree(
        rows, Snapshot.build(rows, SPEC), Question(shapely.box(-170, -80, 160, 70), 0, T0 + 10**9)
    )


coordinate = st.integers(0, 24).map(lambda n: n / 240)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    corners=st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=9, unique=True),
    seed=st.integers(0, 1000),
)
def test_any_polygon_holds_what_it_covers(corners: list[tuple[float, float]], seed: int) -> None:
    middle = np.mean(corners, axis=0)
    around = sorted(corners, key=lambda p: np.arctan2(p[1] - middle[1], p[0] - middle[0]))
    area = shapely.Polygon([(120 + x, 30 + y) for x, y in around])
    if not area.is_valid or area.area == 0:
        return
    at = hard_points(area, np.random.default_rng(seed))
    rows = Columns(at[:, 0], at[:, 1], np.full(len(at), T0), np.zeros(len(at)), np.arange(len(at)))
    found = ask(Snapshot.build(rows, SPEC), Question(area, T0, T0 + 1, breakdowns={"unit"}))
    shapely.prepare(area)
    assert found.by_unit is not None
    assert (
        found.by_unit.keys.tolist()
        == np.flatnonzero(shapely.covers(area, shapely.points(at))).tolist()
    )


@pytest.mark.parametrize("area", [AREAS["hole"], AREAS["beside"], UnitRanges(((3, 9), (11, 12)))])
def test_rows_are_those_that_are_counted(
    area: shapely.Polygon | UnitRanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = fine_tiles(monkeypatch, ROWS, 4)
    monkeypatch.setattr("geo.cube.rows.PART", 100)
    hours = np.arange(168) % 5 > 0
    for start, end in TIMES.values():
        question = Question(
            area, start, end, {"fire", "theft"}, hours, breakdowns={"kind"}, beside=UnitRanges(((0, 9),))
        )  # fmt: skip
        delta = Delta(events(50, 3), ROWS.take(np.arange(80)))
        some = np.array([True, False, True, False] * 64)
        parts = list(matching_rows(snapshot, question, delta))
        assert sum(sign * len(part) for sign, part in parts) == ask(snapshot, question, delta).total
        for located in (np.ones(256, dtype=bool), some):
            kept = [part.take(located[part.located]) for part in (delta.added, delta.removed)]
            want = ask(
                Snapshot.build(ROWS.take(located[ROWS.located]), SPEC), question, Delta(*kept)
            )
            assert plain_counts(ask_located(snapshot, question, located, delta)) == plain_counts(
                want
            )


def plain_counts(answer: object) -> tuple[object, ...]:
    unplaced = answer.unplaced  # type: ignore[attr-defined]
    keyed = dict(zip(unplaced.keys.tolist(), unplaced.counts.tolist(), strict=True))
    return answer.total, answer.by_kind.tolist(), keyed  # type: ignore[attr-defined]


def test_breakdowns_add_up_and_parts_too() -> None:
    halves = [ROWS.take(np.arange(0, 3000, 2)), ROWS.take(np.arange(1, 3000, 2))]
    question = Question(
        AREAS["circle"], T0 + 3, T0 + 33 * DAY, breakdowns={"kind", "day", "unit", "hour_of_week"}
    )
    whole = ask(BIG, question)
    parts = [ask(Snapshot.build(half, SPEC), question) for half in halves]
    assert whole.total == sum(part.total for part in parts)
    assert whole.by_kind is not None
    assert whole.by_day is not None
    assert whole.by_unit is not None
    assert whole.by_hour_of_week is not None
    for counts in (whole.by_kind, whole.by_day.counts, whole.by_unit.counts, whole.by_hour_of_week):
        assert counts.sum() == whole.total


def test_the_side_of_a_line_is_exact() -> None:
    rng = np.random.default_rng(2)
    for _ in range(300):
        a, b = rng.uniform(100, 121, 2), rng.uniform(100, 121, 2)
        p = a + rng.random() * (b - a)
        p = np.nextafter(p, p + rng.integers(-1, 2, 2))
        ax, ay, bx, by, px, py = map(Fraction, [*a.tolist(), *b.tolist(), *p.tolist()])
        det = (ax - px) * (by - py) - (ay - py) * (bx - px)
        want = (det > 0) - (det < 0)
        assert edges_module.turn(*a, *b, *p) == want
        assert edges_module.turn.py_func(*a, *b, *p) == want


def test_compiled_and_plain_code_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ROWS.take(np.arange(0, 3000, 5))

    def plain(snapshot: Snapshot, question: Question, by_kind: np.ndarray) -> int:
        arrays, mask = snapshot.arrays, question.mask(snapshot.spec.kinds)
        words = [int(arrays[name][0]) for name in ("base", "side", "part_shift")]
        total = quick_module.counted(
            *words, *(arrays[name] for name, _, _ in views_module.COLUMNS),
            *corners(question.area), cover_module.MARGIN, cover_module.MOST_PIECES, mask,
            question.start, question.end, by_kind,
        )  # fmt: skip
        if total < 0:
            raise cover_module.too_complex()
        return total

    monkeypatch.setattr(engine_module, "_polygon", plain)
    # these are made of instructions
    monkeypatch.setattr(count_module, "AT_ONCE", False)
    monkeypatch.setattr(slices_module, "ahead", lambda *_: None)
    for module in (
        edges_module,
        runs_module,
        cover_module,
        slices_module,
        count_module,
        quick_module,
    ):
        for name, function in list(vars(module).items()):
            if hasattr(function, "py_func"):
                monkeypatch.setattr(module, name, function.py_func)
    hours = np.arange(168) % 5 > 0
    for least in (3, 10_000):
        snapshot = small_blocks(monkeypatch, rows, least)
        for area in (
            AREAS["on the grid"],
            AREAS["hole"],
            AREAS["star"],
            UnitRanges(((3, 9),)),
            AREAS["beside"],
        ):
            agree(rows, snapshot, Question(area, T0 + 99, T0 + 20 * DAY + 1))
        agree(
            rows,
            snapshot,
            Question(AREAS["hole"], T0 + 99, T0 + 20 * DAY, hours_of_week=hours, kinds={"fire"}),
        )
        for asked in ({"kinds": {"fire"}}, {"kinds": {"fire"}, "hours_of_week": hours}):
            agree(rows, snapshot, Question(AREAS["all"], T0 + 99, T0 + 20 * DAY + 1, **asked))
    many = Columns.concat([rows] * 40)
    crowded = Snapshot.build(many, SPEC)
    one = shapely.box(119.9, 29.9, 120.05, 30.05)
    for question in (
        Question(one, 0, 10**10),
        Question(one, T0 + 9, T0 + 10 * DAY),
        Question(one, T0 + 9, T0 + 10 * DAY, breakdowns={"day"}),
    ):
        assert ask(crowded, question).total == 40 * ask(Snapshot.build(rows, SPEC), question).total
    monkeypatch.setattr(cover_module, "MOST_PIECES", 1)
    with pytest.raises(ShapeError):
        ask(BIG, Question(AREAS["star"], T0, T0 + 1))


def test_the_benchmark_runs(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.area", "--events", "20000", "--more", "30000", "--rounds", "1", "--no-postgis"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "all counts equal: yes" in done.stdout
