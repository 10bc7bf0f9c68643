"""Cells of a run: counted from points, assessed with the rule of units, served, pruned."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h3
import mapbox_vector_tile
import numpy as np
import pytest
import shapely
import sqlalchemy as sa
from click.testing import CliRunner
from fastapi.testclient import TestClient

from app.cli.cells import command
from app.database import make_engine
from app.errors import Invalid, NotFound
from app.main import create_app
from app.services import cells_assess
from app.services.assess import assess, assess_area
from app.services.caches import Caches
from app.services.periods import month_bounds
from app.services.runs import prune_runs, run_facts
from app.services.units import read_units
from geo import cells as geo_cells
from geo import exposure
from tiles.packed import unpack

from .conftest import KINDS, NO_EXPOSURE, ZONE, Small, install, settings_for

RESOLUTIONS = (6, 7)
OFF = (10.0, 50.0)


@dataclass(frozen=True)
class World:
    """The small map with points, assessed; read only."""

    small: Small
    url: str
    engine: sa.Engine
    run: int
    points: dict[str, tuple[float, float]]


def scatter(engine: sa.Engine, small: Small) -> dict[str, tuple[float, float]]:
    """Give most events a point in their unit, some of no unit one off the map."""
    random = np.random.default_rng(3)
    box = {place.code: place.box for place in small.places}
    points = {}
    for number, event in enumerate(small.events):
        if event.kind == "noise" or random.random() < 0.1:
            continue
        if event.unit is None:
            if number % 7 == 0:
                points[f"e{number}"] = OFF
            continue
        w, s, e, n = box[event.unit]
        points[f"e{number}"] = (float(random.uniform(w, e)), float(random.uniform(s, n)))
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "update event set geom = st_setsrid(st_makepoint(:x, :y), 4326) where reference = :r"
            ),
            [{"r": name, "x": x, "y": y} for name, (x, y) in points.items()],
        )
    return points


@pytest.fixture(scope="module")
def world(cluster: Any, template: str) -> Iterator[World]:
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    name = f"c_{uuid.uuid4().hex[:12]}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name} template {template} strategy file_copy")
    url = cluster.url(name)
    engine = make_engine(url)
    small = install(engine)
    points = scatter(engine, small)
    run = assess(engine, "small", "nine-kinds", zone="Asia/Shanghai", cells=RESOLUTIONS)
    yield World(small, url, engine, run, points)
    engine.dispose()
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()


@pytest.fixture(scope="module")
def client(world: World) -> Iterator[TestClient]:
    with TestClient(create_app(settings_for(world.url)), base_url="http://localhost") as one:
        yield one


def counted(world: World, res: int) -> Counter[tuple[str, str, int]]:
    """Events by cell, kind and month from the first, one at a time."""
    found: Counter[tuple[str, str, int]] = Counter()
    for number, event in enumerate(world.small.events):
        at = world.points.get(f"e{number}")
        if at is not None:
            local = event.at.astimezone(ZONE)
            month = 12 * local.year + local.month - 1 - (12 * 2023 + 1)
            found[h3.latlng_to_cell(at[1], at[0], res), event.kind, month] += 1
    return found


def get(client: TestClient, address: str, **query: Any) -> Any:
    answer = client.get(address, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def colours(
    client: TestClient, run: int, res: int, kind: str, period: str, ord_: int
) -> np.ndarray:
    """Bytes of all chunks in the order of the cells."""
    base = f"/api/runs/{run}/cells/{res}"
    bodies = [
        client.get(f"{base}/values/{kind}/{period}/{ord_}/{one['chunk']}").content
        for one in get(client, base + "/chunks")
    ]
    return np.concatenate([unpack(body)[0] for body in bodies])


def grid_of(world: World, res: int) -> list[str]:
    """Cells of the map by brute force: those that share ground with a unit."""
    with world.engine.connect() as connection:
        rows = connection.execute(
            sa.text("select cells from cell_grid_part where res = :res order by first"),
            {"res": res},
        ).scalars()
        return [f"{one:x}" for row in rows for one in np.frombuffer(row, "<u8").tolist()]


@pytest.mark.parametrize("res", RESOLUTIONS)
def test_every_event_is_in_one_cell_or_has_no_point(world: World, res: int) -> None:
    """Σ cells + events without a point = Σ units + events of no unit, for every kind and period."""
    wanted = counted(world, res)
    with world.engine.connect() as connection:
        facts = run_facts(connection, Caches(), world.run)
        counts = cells_assess.load(connection, world.run, res)
        row = connection.execute(
            sa.text("select * from run_cell where run_id = :run and res = :res"),
            {"run": world.run, "res": res},
        ).one()
        units = {
            (one.kind, one.period): np.array(one.observed)
            for one in connection.execute(
                sa.text(
                    "select kind, period, observed from assessment where run_id = :run "
                    "and unit_id = 1 and kind <> 'overall'"
                ),
                {"run": world.run},
            )
        }
    found = Counter(
        {
            (f"{cell:x}", facts.kinds[kind], month): events
            for cell, kind, month, events in zip(
                counts.cell.tolist(), counts.kind.tolist(), counts.month.tolist(),
                counts.events.tolist(), strict=True,
            )
        }
    )  # fmt: skip
    assert found == wanted
    assert row.outside == sum(1 for at in world.points.values() if at == OFF) > 0
    assert row.inside + row.outside + row.no_point == facts.event_count
    for period, spans in facts.periods.items():
        bounds = month_bounds(spans, cells_assess.first_month(facts))
        for at, kind in enumerate(facts.kinds):
            mine = counts.take(counts.kind == at)
            in_cells = np.bincount(
                np.searchsorted(bounds, mine.month, side="right") - 1, mine.events, len(spans)
            )
            without = np.zeros(len(spans))
            no_unit = np.zeros(len(spans))
            for number, event in enumerate(world.small.events):
                if event.kind != kind:
                    continue
                local = event.at.astimezone(ZONE).date()
                place = next(s.ord for s in spans if s.start <= local < s.end)
                without[place] += f"e{number}" not in world.points
                no_unit[place] += event.unit is None
            if (
                kind == "theft"
            ):  # seven of another boundary version, without a point and a unit here
                day = next(
                    s.ord for s in spans if s.start <= np.datetime64("2023-06-01").item() < s.end
                )
                without[day] += 7
                no_unit[day] += 7
            assert (in_cells + without).tolist() == (units[kind, period] + no_unit).tolist()


@pytest.mark.parametrize("period", ["month", "quarter", "year"])
def test_cells_are_assessed_with_the_rule_of_units(
    world: World, client: TestClient, period: str
) -> None:
    res = 6
    # given dense counts and shares of every cell, made one by one
    names = grid_of(world, res)
    place = {name: at for at, name in enumerate(names)}
    with world.engine.connect() as connection:
        facts = run_facts(connection, Caches(), world.run)
        table = read_units(connection, facts.version_id)
    leaves = [
        code
        for code in table.codes
        if not any(o.startswith(code) and o != code for o in table.codes)
    ]
    values = np.array(
        [[world.small.exposures[c].get(m, np.nan) for c in leaves] for m in facts.measures]
    )
    by_code = {one.code: one.box for one in world.small.places}
    over = geo_cells.overlap(np.array([shapely.box(*by_code[code]) for code in leaves]), res)
    assert [f"{one:x}" for one in over.cells.tolist()] == names
    weights = cells_assess.kind_weights(facts)
    of_units = exposure.kind_shares(values, weights, np.zeros(len(leaves)))
    shares = np.stack([over.spread(row) for row in of_units])
    spans = facts.periods[period]  # type: ignore[index]
    bounds = month_bounds(spans, cells_assess.first_month(facts))
    observed = np.zeros((len(facts.kinds), len(spans), len(names)), np.int32)
    for (cell, kind, month), events in counted(world, res).items():
        if cell in place:
            at = int(np.searchsorted(bounds, month, side="right")) - 1
            observed[facts.kinds.index(kind), at, place[cell]] += events
    scene = facts.scene.model_copy(
        update={"kinds": {kind: facts.scene.kinds[kind] for kind in facts.kinds}}
    )
    # when they are assessed as units are
    blocks = assess_area(observed, shares, scene, np.arange(len(names), dtype=np.int32))
    for block in blocks:
        # then the map shows the same colours
        for t in range(len(spans) - 1, -1, -7 if period == "month" else -1):
            mine = colours(client, world.run, res, block.kind, period, t)
            assert mine.tolist() == block.colour[t].tolist(), (block.kind, t)
        # and one cell in three tells the same numbers when asked
        t = len(spans) - 1
        for at in range(0, len(names), max(1, len(names) // 3)):
            why = get(
                client, f"/api/runs/{world.run}/cells/{names[at]}/why",
                kind=block.kind, period=period, ord=t,
            )["why"]  # fmt: skip
            assert why["observed"] == block.observed[t, at]
            if np.isnan(block.expected[t, at]):
                assert why["colour"] == "none"
                assert why["estimate"] is None
                continue
            assert why["expected"] == pytest.approx(block.expected[t, at], rel=1e-9)
            assert why["estimate"]["theta"] == pytest.approx(block.theta[t, at], rel=1e-9)
            if block.kind == "overall":
                total = sum(one["value"] for one in why["contributions"])
                assert total == pytest.approx(why["estimate"]["theta"] - 1, abs=1e-9)


def test_the_legend_counts_what_the_map_shows(world: World, client: TestClient) -> None:
    shown = colours(client, world.run, 7, "theft", "month", 21)
    base = f"/api/runs/{world.run}/cells/7/counts"
    whole = get(client, base, kind="theft", ord=21)["counts"]
    assert [one["count"] for one in whole] == np.bincount(shown, minlength=6).tolist()
    # no data is a class: cells wholly inside the unit without exposure
    assert whole[0]["colour"] == "none"
    assert whole[0]["count"] > 0
    # each cell belongs to one county, so counties add up
    parts = [get(client, base, kind="theft", ord=21, within=f"33010{n}")["counts"] for n in (1, 2)]
    for at in range(6):
        assert sum(part[at]["count"] for part in parts) == whole[at]["count"]
        assert sum(part[at]["change"] for part in parts) == whole[at]["change"]


def test_a_cell_says_where_its_exposure_comes_from(world: World, client: TestClient) -> None:
    box = next(one.box for one in world.small.places if one.code == NO_EXPOSURE)
    inside = h3.latlng_to_cell((box[1] + box[3]) / 2, (box[0] + box[2]) / 2, 7)
    found = get(client, f"/api/runs/{world.run}/cells/{inside}/why", ord=3)
    assert found["parts"][0]["unit"]["code"] == NO_EXPOSURE
    assert 0.99 < found["inside"] <= 1
    edge = h3.latlng_to_cell(29.5, 119.0001, 7)
    half = get(client, f"/api/runs/{world.run}/cells/{edge}/why", ord=3)
    assert 0.05 < half["inside"] < 0.95
    assert half["why"]["unit"]["code"] == edge
    assert sum(one["km2"] for one in half["parts"]) == pytest.approx(
        half["inside"] * half["area_km2"], rel=1e-6
    )
    series = get(client, f"/api/runs/{world.run}/cells/{edge}/series", kind="theft")["points"]
    assert len(series) == 22
    why = get(client, f"/api/runs/{world.run}/cells/{edge}/why", kind="theft", ord=21)["why"]
    assert series[21]["observed"] == why["observed"]
    assert series[21]["colour"] == why["colour"]
    assert series[20]["colour"] == why["previous_colour"]
    assert series[21]["theta"] == why["estimate"]["theta"]


def test_tiles_hold_every_cell_with_its_place_as_id(world: World, client: TestClient) -> None:
    info = next(one for one in manifest(client)["cells"] if one["res"] == 6)
    names = grid_of(world, 6)
    seen = set()
    z = 8
    for x in range(2**z):
        if not 118 < x / 2**z * 360 - 180 < 122:
            continue
        for y in range(100, 112):
            address = info["tiles"].format(z=z, x=x, y=y)
            answer = client.get(address)
            assert answer.status_code in (200, 204)
            assert "immutable" in answer.headers["cache-control"]
            if answer.status_code == 204:
                continue
            for one in mapbox_vector_tile.decode(answer.content)["cells"]["features"]:
                assert names[one["id"] - 1] == one["properties"]["cell"]
                assert one["properties"]["code"].startswith("33010")
                seen.add(one["id"])
    assert seen == set(range(1, len(names) + 1))
    tag = answer.headers["etag"]
    assert client.get(address, headers={"if-none-match": tag}).status_code == 304


def manifest(client: TestClient) -> dict[str, Any]:
    return get(client, "/api/manifest")["maps"][0]


def test_the_manifest_lists_the_resolutions(world: World, client: TestClient) -> None:
    cells = manifest(client)["cells"]
    assert [one["res"] for one in cells] == [6, 7]
    assert cells[0]["max_zoom"] + 1 == cells[1]["min_zoom"]
    assert cells[0]["count"] == len(grid_of(world, 6))
    etag = client.get("/api/manifest").headers["etag"]
    assert client.get("/api/manifest", headers={"if-none-match": etag}).status_code == 304


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("cells/8/chunks", 404),
        ("cells/16/chunks", 422),
        ("cells/6/values/theft/month/99/823097fffffffff", 404),
        ("cells/6/values/rain/month/0/823097fffffffff", 404),
        ("cells/6/values/theft/month/0/85283473fffffff", 404),
        ("cells/6/values/theft/month/0/nonsense", 422),
        ("cells/6/counts?within=999999", 404),
        ("cells/6/counts?wihtin=3301", 422),
        ("cells/861f1d487ffffff/why", 404),
        ("cells/881f1d4895fffff/why", 404),
        ("cells/861f1d487ffffff/series?kind=rain", 404),
    ],
)
def test_what_is_not_there_is_said(
    world: World, client: TestClient, address: str, status: int
) -> None:
    answer = client.get(f"/api/runs/{world.run}/{address}")
    assert answer.status_code == status
    assert answer.json()["code"]


def test_tiles_that_are_not_there(world: World, client: TestClient) -> None:
    info = manifest(client)["cells"][0]
    address = info["tiles"].format
    assert client.get(address(z=3, x=1, y=1)).status_code == 404
    assert client.get(address(z=8, x=256, y=1)).status_code == 422
    assert client.get(f"/tiles/cells/{'0' * 64}/8/1/1.mvt").status_code == 404
    assert client.get("/tiles/cells/nonsense/8/1/1.mvt").status_code == 422


def test_values_are_private_small_and_asked_once(world: World, client: TestClient) -> None:
    base = f"/api/runs/{world.run}/cells/7"
    one = get(client, base + "/chunks")[0]
    address = f"{base}/values/overall/month/0/{one['chunk']}"
    plain = client.get(address, headers={"accept-encoding": "identity"})
    assert len(plain.content) == 2 * one["count"] <= 2 * 7**4
    assert plain.headers["cache-control"].startswith("private")
    again = client.get(address, headers={"if-none-match": plain.headers["etag"]})
    assert again.status_code == 304


def test_a_map_without_points_has_no_cells(small: Small, engine: sa.Engine) -> None:
    run = assess(engine, "small", "nine-kinds", zone="Asia/Shanghai")
    with engine.connect() as connection:
        for table in ("run_cell", "run_cell_count", "run_leaf", "cell_grid"):
            assert connection.execute(sa.text(f"select count(*) from {table}")).scalar() == 0
    with pytest.raises(Invalid, match="no events with a point"):
        cells_assess.assess_more(engine, run, [6], lambda *_: None)
    with pytest.raises(NotFound, match="no published run 99"):
        cells_assess.assess_more(engine, 99, [6], lambda *_: None)


def contents(engine: sa.Engine, run: int) -> dict[str, list[Any]]:
    """Everything stored of the cells of a run."""
    with engine.connect() as connection:
        return {
            table: [
                tuple(bytes(v) if isinstance(v, memoryview) else repr(v) for v in row)
                for row in connection.execute(
                    sa.text(
                        f"select {columns} from {table} where run_id = :run order by 1, 2, 3, 4, 5"
                    ),
                    {"run": run},
                )
            ]
            for table, columns in {
                "run_cell": "res, digest, cells, inside, outside, no_point",
                "run_cell_value": "res, kind, period, ord, chunk, payload",
                "run_cell_rate": "res, reference_id, kind, period, rate, alpha, short, marks",
                "run_cell_class": "res, kind, period, ord, counts",
            }.items()
        }


def test_what_is_assessed_later_is_the_same_and_goes_with_its_run(
    small: Small, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    scatter(engine, small)
    first = assess(engine, "small", "nine-kinds", zone="Asia/Shanghai", cells=(6,))
    # when events come after the run, and its cells are assessed after that
    second = assess(engine, "small", "nine-kinds", zone="Asia/Shanghai", cells=())
    with engine.begin() as connection:
        connection.execute(sa.text("update event set geom = null where kind = 'theft'"))
    monkeypatch.setattr("app.cli.runs._engine", lambda: _Keep(engine))
    said = CliRunner().invoke(command, ["assess", "--pack", "small", "--res", "6"])
    assert said.exit_code == 0, said.output
    assert f"run {second}, resolution 6: " in said.output
    # then nothing differs from what came with the run
    assert contents(engine, first) == contents(engine, second)
    again = CliRunner().invoke(command, ["assess", "--pack", "small", "--res", "6"])
    assert "there already" in again.output
    listed = CliRunner().invoke(command, ["status"])
    assert listed.output.count("resolution  6") == 2
    # and a pruned run takes its cells along
    with engine.begin() as connection:
        assert prune_runs(connection, 1) == [first]
        for table in ("run_cell", "run_cell_count", "run_leaf", "run_cell_value", "run_cell_rate"):
            runs = connection.execute(sa.text(f"select distinct run_id from {table}")).scalars()
            assert set(runs) == {second}


class _Keep:
    """An engine of the test's as the commands open one; closing is the test's."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def __enter__(self) -> sa.Engine:
        return self.engine

    def __exit__(self, *_: object) -> None:
        """Leave it open."""


def test_two_reference_areas_are_assessed_apart() -> None:
    """Each area's panel is cut out, assessed by itself and put back in its place."""
    random = np.random.default_rng(2)
    n, months = 60, 6
    cell = np.sort(random.choice(1000, n, replace=False)).astype(np.uint64)
    observed = random.poisson(3, (len(KINDS), months, n))
    kind, month, at = np.nonzero(observed)
    order = np.lexsort((month, kind, at))
    kind, month, at = kind[order], month[order], at[order]
    counts = cells_assess.CellCounts(
        cell[at], kind.astype(np.uint8), month.astype(np.uint16),
        observed[kind, month, at].astype(np.uint32),
    )  # fmt: skip
    panel = cells_assess.Panel(at, counts, random.random((len(KINDS), n)), at[:0])
    where = np.flatnonzero(random.random(n) < 0.5)
    part = cells_assess.members(
        cells_assess.Panel(panel.row, counts, panel.shares, np.zeros(n, int)), where
    )
    for number in range(len(KINDS)):
        dense = part.dense(number, range(months), slice(0, len(where)))
        assert dense.tolist() == observed[number][:, where].tolist()
        halves = part.dense(number, [0, 3], slice(2, 9))
        wanted = np.add.reduceat(observed[number][:, where[2:9]], [0, 3], axis=0)
        assert halves.tolist() == wanted.tolist()
