"""Cells of a part of the map: those whose every unit is the asker's, and the database decides."""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h3
import mapbox_vector_tile
import numpy as np
import pytest
import shapely
import sqlalchemy as sa

from app.database import claim, make_engine, make_web_engine
from app.errors import NotFound
from app.services import cells_assess, cells_explain, cells_lookup, cells_tiles
from app.services.assess import assess
from app.services.caches import Caches
from app.services.cells_grid import places
from app.services.cells_lookup import CellLayerKey
from tiles.packed import unpack

from .conftest import Small, install
from .test_cells import World, scatter

RESOLUTIONS = (6, 7)
COUNTIES = ("330101", "330102")
SCOPES: list[tuple[str, ...]] = [
    ("330101",),
    ("330102",),
    ("330101001", "330101002"),
    ("330102001001",),
    COUNTIES,
    ("3301",),
    ("33010",),
    ("44",),
]


@pytest.fixture(scope="module")
def world(cluster: Any, template: str) -> Iterator[World]:
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    name = f"s_{uuid.uuid4().hex[:12]}"
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
def web(world: World) -> Iterator[sa.Engine]:
    engine = make_web_engine(world.url)
    yield engine
    engine.dispose()


@contextmanager
def asking(web: sa.Engine, prefixes: tuple[str, ...] | None) -> Iterator[sa.Connection]:
    with web.connect() as connection, connection.begin():
        claim(connection, prefixes)
        yield connection


class Desk:
    """What one jurisdiction asks, with a memory of its own as in the server."""

    def __init__(self, web: sa.Engine, prefixes: tuple[str, ...] | None) -> None:
        self.web, self.prefixes, self.caches = web, prefixes, Caches()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        with asking(self.web, self.prefixes) as connection:
            yield connection


def seen_by(small: Small, prefixes: tuple[str, ...], res: int) -> set[str]:
    """Cells of the map that share no ground with a leaf unit of somebody else, one by one."""
    parents = {one.parent for one in small.places}
    leaves = [one for one in small.places if one.code not in parents]
    found = set()
    # a little more than the map: cells are wider than they look at its edge
    box = h3.LatLngPoly([(28.8, 118.8), (28.8, 121.2), (30.2, 121.2), (30.2, 118.8)])
    for cell in h3.polygon_to_cells(box, res):
        shape = shapely.Polygon([(lon, lat) for lat, lon in h3.cell_to_boundary(cell)])
        on = [one for one in leaves if shape.intersection(shapely.box(*one.box)).area > 1e-9]
        if on and all(one.code.startswith(prefixes) for one in on):
            found.add(cell)
    return found


def cells_of(desk: Desk, run: int, res: int) -> tuple[list[str], Any]:
    with desk.read() as connection:
        digest = connection.execute(
            sa.text("select digest from run_cell where run_id = :run and res = :res"),
            {"run": run, "res": res},
        ).scalar_one()
        grid = places(connection, desk.caches, digest)
    return [f"{one:x}" for one in grid.cells[grid.own].tolist()], grid


@pytest.mark.parametrize("res", RESOLUTIONS)
@pytest.mark.parametrize("prefixes", SCOPES, ids="+".join)
def test_a_cell_is_seen_when_all_its_units_are_ones_own(
    world: World, web: sa.Engine, prefixes: tuple[str, ...], res: int
) -> None:
    desk, whole = Desk(web, prefixes), Desk(web, None)
    wanted = seen_by(world.small, prefixes, res)
    names, _ = cells_of(desk, world.run, res)
    assert set(names) == wanted
    all_names, _ = cells_of(whole, world.run, res)
    if prefixes == COUNTIES:
        # border cells of two units that are both one's own are one's own
        apart = [cells_of(Desk(web, (one,)), world.run, res)[0] for one in COUNTIES]
        assert len(wanted) > sum(map(len, apart)) > 0
    if prefixes in (("3301",), COUNTIES):
        assert names == all_names
    with desk.read() as connection, whole.read() as everything:
        info = {one.res: one for one in cells_lookup.layers(connection, desk.caches, world.run)}
        assert (res in info) is bool(wanted)
        if wanted:
            assert info[res].count == len(wanted)
            assert info[res].inside is info[res].outside is info[res].no_point is None
        chunks = {one.chunk for one in cells_lookup.chunks(connection, desk.caches, world.run, res)}
        layer = CellLayerKey(res, "theft", "month", 21)
        mask = np.array([name in wanted for name in all_names])
        count = np.zeros(6, int)
        for chunk in cells_lookup.chunks(everything, whole.caches, world.run, res):
            at = slice(chunk.first_id - 1, chunk.first_id - 1 + chunk.count)
            payload = (everything, whole.caches, world.run, layer, int(chunk.chunk, 16))
            theirs = np.stack([unpack(cells_lookup.values(*payload))[i] for i in (0, 1)])
            if not mask[at].any():
                assert chunk.chunk not in chunks
                with pytest.raises(NotFound):
                    cells_lookup.values(connection, desk.caches, world.run, layer, payload[4])
                continue
            body = np.frombuffer(
                cells_lookup.values(connection, desk.caches, world.run, layer, payload[4]),
                np.uint8,
            ).reshape(2, -1)
            full = np.frombuffer(cells_lookup.values(*payload), np.uint8).reshape(2, -1)
            assert (body == np.where(mask[at], full, 0)).all()
            assert theirs.shape == body.shape
            count += np.bincount(full[0][mask[at]], minlength=6)
        counted = cells_lookup.counts(connection, desk.caches, world.run, layer)
        assert [one.count for one in counted.counts] == count.tolist()


def test_numbers_of_ones_own_cells_are_those_of_the_whole(world: World, web: sa.Engine) -> None:
    desk, whole = Desk(web, ("330101",)), Desk(web, None)
    names, _ = cells_of(desk, world.run, 7)
    everybody, _ = cells_of(whole, world.run, 7)
    ask = {"kind": "overall", "period": "month"}
    with desk.read() as connection, whole.read() as everything:
        for name in names[:: max(1, len(names) // 12)]:
            cell = int(name, 16)
            mine = cells_explain.why(connection, desk.caches, world.run, cell, ord_=20, **ask)  # type: ignore[arg-type]
            full = cells_explain.why(everything, whole.caches, world.run, cell, ord_=20, **ask)  # type: ignore[arg-type]
            assert mine == full
            series = (connection, desk.caches, world.run, cell)
            assert cells_explain.series(*series, kind="theft", period="quarter") == (
                cells_explain.series(
                    everything, whole.caches, world.run, cell, kind="theft", period="quarter"
                )
            )
        hidden = sorted(set(everybody) - set(names))
        absent = h3.latlng_to_cell(10, 10, 7)
        said = set()
        for name in (hidden[0], hidden[-1], absent):
            with pytest.raises(NotFound) as told:
                cells_explain.why(
                    connection,
                    desk.caches,
                    world.run,
                    int(name, 16),
                    ord_=20,
                    **ask,  # type: ignore[arg-type]
                )
            said.add(str(told.value).replace(name, "CELL"))
        assert len(said) == 1


def test_tiles_hold_ones_own_cells_alone_with_the_ids_of_everybody(
    world: World, web: sa.Engine
) -> None:
    desk, whole = Desk(web, ("330101",)), Desk(web, None)
    names, grid = cells_of(desk, world.run, 6)
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for who, one in (("mine", desk), ("all", whole)):
        layer = cells_tiles.layer(one, grid.digest)
        features = {}
        for x in range(52, 55):
            for y in range(24, 28):
                if data := layer.tile(6, x, y):
                    tile = mapbox_vector_tile.decode(gzip.decompress(data))
                    features.update(
                        {one["id"]: one["properties"] for one in tile["cells"]["features"]}
                    )
        found[who] = features
    assert {one["cell"] for one in found["mine"].values()} == set(names)
    assert all(one["code"].startswith("330101") for one in found["mine"].values())
    assert len(found["all"]) > len(found["mine"]) > 0
    for number, properties in found["mine"].items():
        assert found["all"][number]["cell"] == properties["cell"]


CLOSED = ("run_leaf", "run_cell_count", "run_cell_value", "run_cell_class")


@pytest.mark.parametrize("prefixes", [("330101",), ()], ids=["a county", "nothing"])
def test_the_database_gives_nothing_else(
    world: World, web: sa.Engine, prefixes: tuple[str, ...]
) -> None:
    """Whatever the program asks: only rows and bytes of cells that may be seen whole."""

    def ask(statement: str, **given: Any) -> list[Any]:
        with asking(web, prefixes) as connection:
            return list(connection.execute(sa.text(statement), given).all())

    def refused(statement: str) -> bool:
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
            ask(statement)
        return True

    for table in CLOSED:
        assert ask(f"select count(*) from {table}")[0][0] == 0, table
    assert refused("select * from run_cell_own")
    assert refused("select inside from run_cell")
    assert refused("select marks from run_cell_rate")
    assert ask("select * from run_cell_totals") == []
    mine = {code for row in ask("select codes from cell_grid_span") for code in row.codes}
    assert bool(mine) is bool(prefixes)
    assert all(code.startswith(prefixes) for code in mine)
    rates = ask("select distinct reference_id from run_cell_rate")
    assert bool(rates) is bool(prefixes)
    names = set(cells_of(Desk(web, prefixes), world.run, 7)[0]) if prefixes else set()
    parts = ask("select chunk, n, cells from cell_grid_part where res = 7")
    shown = 0
    for part in parts:
        given = {"run": world.run, "chunk": part.chunk}
        payload = ask("select own_values(:run, 7, 'theft', 'month', 21, :chunk)", **given)[0][0]
        told = ask(
            "select (select count(*) from own_cell(:run, 7, :chunk, place)) as cell, (select count(*) "
            "from own_colours(:run, 7, :chunk, place, '{theft}', 'month')) as colours "
            "from generate_series(0, :n - 1) as place order by place",
            **given,
            n=part.n,
        )
        found = np.frombuffer(payload or bytes(2 * part.n), np.uint8).reshape(2, -1)
        for place, cell in enumerate(np.frombuffer(part.cells, "<u8").tolist()):
            seen = f"{cell:x}" in names
            shown += seen
            assert bool(told[place].cell) is bool(told[place].colours) is seen
            assert seen or not found[:, place].any()
    assert bool(shown) is bool(prefixes)


def test_the_functions_belong_to_nobody_else(world: World) -> None:
    """Open to the web's role alone, not to everybody who may log in."""
    with world.engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "select proname, prosecdef, proconfig, proacl::text from pg_proc "
                "where proname in ('own_cell', 'own_values', 'own_colours')"
            )
        ).all()
    assert len(rows) == 3
    for row in rows:
        assert row.prosecdef
        assert row.proconfig == ["search_path=wusetu, pg_temp"]
        assert "wusetu_web=X/" in row.proacl
        assert not row.proacl.startswith("{=X")
        assert ",=X" not in row.proacl


def test_a_run_from_before_gets_its_single_cells_later(world: World, web: sa.Engine) -> None:
    desk = Desk(web, None)
    names, _ = cells_of(desk, world.run, 6)
    cell = int(names[0], 16)

    def ask() -> Any:
        with desk.read() as connection:
            return cells_explain.why(connection, desk.caches, world.run, cell, ord_=20)

    before = ask()
    with world.engine.begin() as connection:
        kept = connection.execute(
            sa.text("delete from run_cell_own where res = 6 returning *")
        ).all()
    with pytest.raises(NotFound, match="wusetu cells assess --res 6"):
        ask()
    made = cells_assess.assess_more(world.engine, world.run, [6], lambda *_: None)
    assert made == {}
    assert ask() == before
    with world.engine.connect() as connection:
        again = connection.execute(sa.text("select * from run_cell_own where res = 6")).all()
    as_bytes = [
        sorted(tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in rows)
        for rows in (kept, again)
    ]
    assert as_bytes[0] == as_bytes[1]
