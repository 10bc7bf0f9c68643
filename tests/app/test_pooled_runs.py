"""What all sides see together: one installation, and two that exchange packages, find the same."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import mapbox_vector_tile
import numpy as np
import pytest
import shapely
import sqlalchemy as sa
import uvicorn

from app.api.models import Period
from app.database import make_engine, transaction
from app.errors import Forbidden, Invalid, NotFound
from app.main import create_app
from app.services import (
    border_assess,
    treaties,
    treaty_keys,
    treaty_packages,
    treaty_pull,
    treaty_sources,
    treaty_terms,
)
from app.services.border_assess import Method
from app.services.treaties import Terms, Version
from app.settings import AccountSettings, CubeSettings, DatabaseSettings, Settings

from .border_house import DEEP, LON, MINE, THEIRS, House, house
from .conftest import until
from .test_cells import scatter

DAY, START, ZONE = date(2024, 12, 20), date(2024, 7, 1), "Asia/Shanghai"
OFFICER = "border_officer"
METHOD = Method(replicates=199, max_radius=25_000)
QUARTER: Period = "quarter"
TERMS = Terms(
    "counties", 1, (MINE, THEIRS), 6, ("quarter", "year"), 7, 5,
    treaties.scene_kinds(["theft", "fraud"]), date(2023, 1, 1),
)  # fmt: skip


def plant(engine: sa.Engine) -> None:
    """Put frauds on both sides of the line: many together, few for each."""
    rng = np.random.default_rng(5)
    lon = np.concatenate([LON - rng.uniform(0.004, 0.15, 6), LON + rng.uniform(0.004, 0.15, 8)])
    lat = 29.5 + rng.uniform(-0.105, 0.105, 14)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "insert into event (source_id, reference, kind, occurred_at, located_by, "
                "boundary_version_id, unit_id, geom) select (select min(id) from event_source), "
                ":name, 'fraud', timestamptz '2024-08-08 12:00+08', 'point', u.boundary_version_id, "
                "u.id, p.geom from (select st_setsrid(st_makepoint(:x, :y), 4326) as geom) p "
                "join unit u on u.level = 'county' and st_covers(u.geom, p.geom)"
            ),
            [
                {"name": f"plant-{n}", "x": x, "y": y}
                for n, (x, y) in enumerate(zip(lon.tolist(), lat.tolist(), strict=True))
            ],
        )


def accept_all(engine: sa.Engine, terms: Terms = TERMS) -> Version:
    with transaction(engine) as connection:
        number = treaties.propose(connection, "small", terms.sides[0], terms)
        for side in terms.sides:
            treaties.decide(connection, terms.name, number, side, "accept")
    with engine.connect() as connection:
        return treaties.in_force(connection, DAY, name=terms.name)


def pool(engine: sa.Engine, version: Version, period: str = QUARTER, start: date = START) -> int:
    treaty_sources.ensure_lines(engine, "small")
    sides, sources = treaty_sources.gather(engine, version, on=DAY, zone=ZONE)
    (found,) = border_assess.assess(
        engine, version, sides, period, [start], METHOD, sources=sources
    )
    return found


@dataclass
class Two:
    """A house that hosts both sides, and two installations of one side each."""

    home: House
    version: Version
    run: int
    alone: dict[str, sa.Engine]
    urls: dict[str, str]
    folder: Path


@pytest.fixture(scope="module")
def two(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("two")
    for home in house(cluster, template, folder / "home"):
        scatter(home.engine, home.small)
        plant(home.engine)
        home.engine.dispose()
        admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
        urls, engines = {}, {}
        for side, other in ((MINE, THEIRS), (THEIRS, MINE)):
            name = f"i_{secrets.token_hex(6)}"
            with admin.connect() as connection:
                connection.exec_driver_sql(
                    f"create database {name} template {sa.make_url(home.url).database} "
                    "strategy file_copy"
                )
            urls[side] = cluster.url(name)
            engines[side] = make_engine(urls[side])
            with engines[side].begin() as connection:  # no event of the other side is here
                connection.execute(
                    sa.text(
                        "delete from event e using unit u where u.id = e.unit_id and "
                        "u.boundary_version_id = e.boundary_version_id and u.code ^@ :other"
                    ),
                    {"other": other},
                )
        version = accept_all(home.engine)
        yield Two(home, version, pool(home.engine, version), engines, urls, folder)
        for side, engine in engines.items():
            engine.dispose()
            with admin.connect() as connection:
                name = sa.make_url(urls[side]).database or ""
                connection.exec_driver_sql(f"drop database {name} with (force)")
        admin.dispose()


def agree(two: Two) -> dict[str, Version]:
    """Both installations accept the same terms, each signed at home."""
    a, b = two.alone[MINE], two.alone[THEIRS]
    for side, engine, other in ((MINE, a, b), (THEIRS, b, a)):
        with transaction(engine) as connection:
            private = treaty_keys.own_key(connection, two.folder / side, side)[1]
        with transaction(other) as connection:
            treaty_keys.register(connection, side, private.public_key().public_bytes_raw().hex())
    with transaction(a) as connection:
        treaties.propose(connection, "small", MINE, TERMS)
    for side, engine, other in ((MINE, a, b), (THEIRS, b, a)):
        treaty_terms.decide(engine, two.folder / side, "counties", 1, side, "accept", "", DAY)
        with engine.connect() as connection:
            body = treaty_terms.document(connection, "counties", 1, DAY)
        treaty_terms.take_in(other, body, "small", DAY)
    found = {}
    for side, engine in two.alone.items():
        with engine.connect() as connection:
            found[side] = treaties.in_force(connection, DAY, name="counties")
    return found


@contextmanager
def served(two: Two, side: str) -> Iterator[str]:
    """The installation of one side on a real socket."""
    settings = Settings(
        access="accounts", database=DatabaseSettings(url=two.urls[side], pool_size=2),
        accounts=AccountSettings(), cube=CubeSettings(check_seconds=0),
        data_dir=two.folder / side,
    )  # fmt: skip
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(settings), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
        thread.start()
        try:
            until(lambda: server.started)
            yield f"http://127.0.0.1:{place.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def content(engine: sa.Engine, run: int) -> tuple[Any, ...]:
    with engine.connect() as connection:
        digest = connection.execute(
            sa.text("select digest from pooled_run where id = :run"), {"run": run}
        ).scalar_one()
        clusters = connection.execute(
            sa.text(
                "select number, kind, seen, p, llr, observed, expected, cells, sides, "
                "st_astext(geom) from pooled_cluster where run_id = :run order by number"
            ),
            {"run": run},
        ).all()
        cells = connection.execute(
            sa.text(
                "select cell, sides, colours, clusters from pooled_cell where run_id = :run "
                "order by cell"
            ),
            {"run": run},
        ).all()
    return digest, [tuple(map(str, one)) for one in clusters], [tuple(map(str, c)) for c in cells]


def test_one_house_and_two_installations_find_the_same(two: Two) -> None:
    want = content(two.home.engine, two.run)
    versions = agree(two)
    assert {one.digest for one in versions.values()} == {two.version.digest}
    mine, theirs = two.alone[MINE], two.alone[THEIRS]
    # nothing can be pooled before the other side told something
    sides, _ = treaty_sources.gather(mine, versions[MINE], on=DAY, zone=ZONE)
    assert [one.side for one in sides] == [MINE]
    with pytest.raises(Invalid, match="fewer than two"):
        border_assess.assess(mine, versions[MINE], sides, QUARTER, [START], METHOD)
    # one way by file, the other by HTTP
    one = treaty_packages.export(
        mine, two.folder / MINE, versions[MINE], MINE, on=DAY, zone=ZONE
    )  # fmt: skip
    path = treaty_packages.write_files(one, two.folder / "post")[1]
    treaty_packages.take_in(theirs, treaty_packages.read_files(path), DAY)
    treaty_packages.export(
        theirs, two.folder / THEIRS, versions[THEIRS], THEIRS, on=DAY, zone=ZONE
    )  # fmt: skip
    token, weak = two.home.tokens[OFFICER, MINE], two.home.tokens["dispatcher", MINE]
    with served(two, THEIRS) as address:
        with pytest.raises(Forbidden, match="token"):
            treaty_pull.fetch(address, "counties", THEIRS, 0, weak)
        with pytest.raises(NotFound, match="no such treaty"):
            treaty_pull.fetch(address, "others", THEIRS, 0, token)
        with pytest.raises(NotFound, match="no such treaty"):  # of no side of it
            treaty_pull.fetch(address, "counties", THEIRS, 0, two.home.tokens[OFFICER, DEEP])
        fetched = treaty_pull.fetch(address, "counties", THEIRS, 0, token)
        assert fetched is not None
        treaty_packages.take_in(mine, fetched, DAY)
        assert treaty_pull.fetch(address, "counties", THEIRS, 1, token) is None
        with mine.connect() as connection:
            assert treaty_pull.taken(connection, "counties", THEIRS) == 1
    for side, engine in two.alone.items():
        assert content(engine, pool(engine, versions[side])) == want
        with engine.connect() as connection:  # and still has no event of the other
            codes = connection.execute(
                sa.text(
                    "select distinct left(u.code, 6) from event e join unit u on u.id = e.unit_id "
                    "and u.boundary_version_id = e.boundary_version_id where length(u.code) >= 6"
                )
            ).scalars()
            assert set(codes) == {side}


@pytest.mark.parametrize("address", ["http://map.example", "ftp://x", "https://", "https://a:b@c/",
                                     "https://x/?q=1", "http://10.0.0.1"])  # fmt: skip
def test_nothing_is_fetched_without_encryption(address: str) -> None:
    with pytest.raises(Invalid):
        treaty_pull.fetch(address, "counties", MINE, 0, "token")


def test_the_planted_cluster_is_only_visible_together(two: Two) -> None:
    with two.home.app() as client:
        mine, theirs = (two.home.as_(OFFICER, side) for side in (MINE, THEIRS))
        listed = client.get("/api/pooled?pack=small", headers=mine).json()["runs"]
        (run,) = [one for one in listed if one["id"] == two.run]
        assert (run["period"], run["from"], run["to"]) == ("quarter", "2024-07-01", "2024-10-01")
        assert run["cutoff"] == "2024-12-13"
        assert run["simulated"]
        assert (run["alpha"], run["alpha_alone"], run["min_count"]) == (0.05, 0.025, 5)
        assert "118.1E" in run["method"]["zh"]
        assert "118.1E" in run["method"]["en"]
        answer = client.get(f"/api/pooled/{two.run}/clusters", headers=mine)
        body = answer.json()
        assert body == client.get(f"/api/pooled/{two.run}/clusters", headers=theirs).json()
        first = body["features"][0]["properties"]
        assert (first["seen"], first["crosses"], first["kind"]) == ("together", True, "fraud")
        assert first["p"] <= 0.05
        assert abs(first["centre"][0] - LON) < 0.1
        assert shapely.geometry.shape(body["features"][0]["geometry"]).covers(
            shapely.Point(first["centre"])
        )
        assert sum(one["observed"] for one in first["sides"]) == first["observed"]
        assert sum(one["expected"] for one in first["sides"]) == pytest.approx(first["expected"])
        for one in first["sides"]:
            assert one["p_alone"] > run["alpha_alone"]
            assert one["low"] <= one["relative_risk"] <= one["high"]
        assert first["low"] <= first["relative_risk"] <= first["high"]
        for one in (*run["sides"], *first["sides"]):
            assert one["name_en"] == f"County {(one.get('code') or one['side'])[-3:]}"
            assert f"{one['name']} p=" in first["reasons"]["zh"]
            assert f"{one['name_en']} p=" in first["reasons"]["en"]
        for words in first["reasons"].values():
            assert f"{first['observed']}" in words
        assert sum(run["seen"].values()) == len(body["features"])
        # nobody below a side, nobody without the door
        deep = two.home.as_(OFFICER, DEEP)
        assert client.get("/api/pooled?pack=small", headers=deep).json()["runs"] == []
        assert client.get(f"/api/pooled/{two.run}/clusters", headers=deep).status_code == 404
        assert client.get(f"/tiles/pooled/{two.run}/7/106/53.mvt", headers=deep).status_code == 404
        viewer = two.home.as_("viewer", MINE)
        assert client.get(f"/api/pooled/{two.run}/clusters", headers=viewer).status_code == 403


def test_its_tiles(two: Two) -> None:
    with two.home.app() as client:
        headers = two.home.as_(OFFICER, MINE)
        answer = client.get(f"/tiles/pooled/{two.run}/6/53/26.mvt", headers=headers)
        assert answer.status_code == 200
        layers = mapbox_vector_tile.decode(answer.content)
        body = client.get(f"/api/pooled/{two.run}/clusters", headers=headers).json()
        clusters = {one["id"]: one["properties"] for one in layers["clusters"]["features"]}
        assert set(clusters) == {one["id"] for one in body["features"]}
        for one in body["features"]:
            assert clusters[one["id"]]["seen"] == one["properties"]["seen"]
        cells = {
            one["properties"]["cell"]: one["properties"] for one in layers["cells"]["features"]
        }
        first = body["features"][0]["properties"]
        for cell in first["cells"]:
            assert "1" in cells[cell]["clusters"].split(",")
        assert any("," in one["sides"] for one in cells.values())  # cells of both sides
        for one in cells.values():
            assert one["overall"] == max(one["theft"], one["fraud"])
            assert 0 <= one["overall"] <= 5
        assert client.get(f"/tiles/pooled/{two.run}/9/0/0.mvt", headers=headers).status_code == 204
        assert client.get(f"/tiles/pooled/{two.run}/1/2/0.mvt", headers=headers).status_code == 404


def test_a_run_never_changes_and_the_same_numbers_are_the_same_run(two: Two) -> None:
    again = pool(two.home.engine, two.version)
    assert content(two.home.engine, again) == content(two.home.engine, two.run)
    for table, change in (
        ("pooled_run", "seed = 1"), ("pooled_cluster", "p = 1"), ("pooled_cell", "cell = 1"),
        ("treaty_version", "min_count = 2"), ("treaty_decision", "reason = ''"),
    ):  # fmt: skip
        with pytest.raises(sa.exc.IntegrityError), two.home.engine.begin() as connection:
            connection.execute(sa.text(f"update {table} set {change}"))
    # of a period only the newest run is listed; the older one is still there
    with two.home.app() as client:
        headers = two.home.as_(OFFICER, MINE)
        listed = client.get("/api/pooled?pack=small", headers=headers).json()["runs"]
        assert [one["id"] for one in listed if one["from"] == "2024-07-01"] == [again]
        assert client.get(f"/api/pooled/{two.run}/clusters", headers=headers).status_code == 200


def test_periods_that_cannot_be_pooled(two: Two) -> None:
    sides, _ = treaty_sources.gather(two.home.engine, two.version, on=DAY, zone=ZONE)
    for period, start, error in (
        ("month", START, Invalid), (QUARTER, date(2024, 10, 1), NotFound),
        (QUARTER, date(2024, 8, 1), NotFound),
    ):  # fmt: skip
        with pytest.raises(error):
            border_assess.assess(two.home.engine, two.version, sides, period, [start], METHOD)
    # the first months are not whole, the last quarter is not over
    assert border_assess.common(sides, QUARTER)[0] == date(2023, 4, 1)
    assert border_assess.common(sides, QUARTER)[-1] == START
    assert border_assess.common(sides, "year") == []


def test_delay_keeps_what_is_fresh(two: Two) -> None:
    late = Terms.of({**TERMS.body(), "delay_days": 80})
    from app.services.treaty_side import tell_side

    told = tell_side(two.home.engine, "small", MINE, late, on=DAY, zone=ZONE)
    assert told.cutoff == date(2024, 10, 1)
    assert told.periods["quarter"][-1] == START
    told = tell_side(two.home.engine, "small", MINE, late, on=date(2024, 12, 19), zone=ZONE)
    assert told.periods["quarter"][-1] == date(2024, 4, 1)
