"""The door walk: by no door does a jurisdiction learn anything of another.

Every route of the API is walked with tokens of every role. A jurisdiction's answers must name
nothing of its neighbour, must be the same bytes whatever the neighbour's numbers are, and must not
tell "not yours" from "not there": not by status, text, headers or the statements behind it.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import re
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h3
import httpx
import numpy as np
import pytest
import sqlalchemy as sa
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from pmtiles.reader import MemorySource, Reader, all_tiles
from starlette.routing import Route

from app.api.dependencies import Door
from app.database import make_engine, transaction
from app.main import create_app
from app.security.identity import MAY, Role
from app.services import accounts, accounts_tokens, snapshots, tile_archives
from app.services.assess import assess
from app.settings import AccountSettings, CubeSettings, DatabaseSettings, Settings

from .conftest import KINDS, LEVELS, Small, install, until
from .indicator_house import change_indicators, keep_indicators
from .test_cells import scatter

MINE, THEIRS = "330101", "330102"
DEEP = "330101001"  # a jurisdiction inside a county
NAMES = {MINE: "mine", THEIRS: "theirs", DEEP: "deep", None: "all"}
CELLS = 7  # resolution
#: Well inside of mine, of theirs, and on the border of both.
PLACES = [h3.latlng_to_cell(29.5, lon, CELLS) for lon in (119.5, 120.5, 120.0)]
TILE = (7, 106, 53)  # all of the map
#: Addresses about whoever asks, not about the map: each decides by itself what it tells.
OWN = re.compile(r"/api/(session|accounts|tokens|oidc)(/|$)")
#: About the server and what was asked of it: other at every look, nothing of the map.
SERVER = re.compile(r"/metrics$|/api/health|/api/audit$")
#: Words that differ from answer to answer, or repeat the question.
PASSING = re.compile(
    rb'"request_id":"[^"]*"|"as_of":"[^"]*"|# (?:generated|counted as of):[^\r\n]*|'
    rb'"snapshot":(?:[0-9]+|null)|"query":"[^"]*"'
)


@dataclass
class Walked:
    """A house with two counties and a desk of every kind."""

    url: str
    engine: sa.Engine
    small: Small
    run: int
    tokens: dict[tuple[str, str | None], str]
    data_dir: Path
    digest: str

    def app(self) -> TestClient:
        """The application, with nothing remembered."""
        settings = Settings(
            access="accounts",
            database=DatabaseSettings(url=self.url, pool_size=2),
            accounts=AccountSettings(),
            cube=CubeSettings(check_seconds=0),  # a new snapshot half-way would be another answer
            data_dir=self.data_dir,
        )
        return TestClient(create_app(settings), follow_redirects=False)

    def as_(self, role: str, prefix: str | None) -> dict[str, str]:
        """Headers of a program of that role and jurisdiction."""
        return {"Authorization": f"Bearer {self.tokens[role, prefix]}"}


@pytest.fixture(scope="module")
def walked(
    cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Walked]:
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    name = f"w_{uuid.uuid4().hex[:12]}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name} template {template} strategy file_copy")
    url = cluster.url(name)
    engine = make_engine(url)
    small = install(engine)
    scatter(engine, small)
    run = assess(engine, "small", "nine-kinds", zone="Asia/Shanghai", cells=(CELLS,))
    tokens: dict[tuple[str, str | None], str] = {}
    with transaction(engine) as connection:
        for role, prefix in itertools.product(Role, (MINE, THEIRS, DEEP, None)):
            made = accounts.create(
                connection,
                f"{role}-{NAMES[prefix]}",
                role,
                kind="program",
                prefixes=None if prefix is None else [prefix],
            )
            _, tokens[role, prefix] = accounts_tokens.create(
                connection,
                account=made.id,
                title="walk",
                scopes=sorted(MAY[role]),
                days=1,
                longest=1,
            )
    keep_jobs(engine)
    keep_feeds(engine)
    keep_indicators(engine)
    data_dir = tmp_path_factory.mktemp("walked")
    tile_archives.build(engine, small.version, data_dir / "archives")
    snapshots.build(engine, data_dir, "small", "Asia/Shanghai")
    with engine.connect() as connection:
        digest = connection.execute(sa.text("select digest from run_cell")).scalar_one()
    yield Walked(url, engine, small, run, tokens, data_dir, digest)
    engine.dispose()
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()


def keep_feeds(engine: sa.Engine) -> None:
    """Enter a feed of either county with an arrival and a dead letter: feed 1 is mine, 2 theirs; 3 is everybody's."""
    with engine.begin() as connection:
        for prefix in (MINE, THEIRS, ""):
            connection.execute(
                sa.text(
                    "with made as (insert into feed (pack, name, code, adapter, mapping, settings) values "
                    "('small', 'feed' || :code, :code, 'push', :mapping, '{}') returning id), "
                    "batch as (insert into feed_batch (feed_id, key, origin, rows, rejected) "
                    "select id, 'k', :code || '001 came', 2, 1 from made returning id, feed_id) "
                    "insert into feed_dead (feed_id, batch_id, place, field, value, reason, said, digest) "
                    "select feed_id, id, '1', 'code', :code || '001', 'unknown_code', '', '' from batch"
                ),
                {
                    "code": prefix,
                    "mapping": json.dumps({"source": "f", "crs": "wgs84", "columns": {"time": "at"},
                                           "kinds": {"constant": "theft"}}),
                },
            )  # fmt: skip


def keep_jobs(engine: sa.Engine) -> None:
    """Store what a job of either county found: job 1 is mine, job 2 theirs."""
    for prefix in (MINE, THEIRS):
        found = json.dumps({"type": "scan", "clusters": [], "about": f"{prefix}001"}).encode()
        with engine.begin() as connection:
            job = connection.execute(
                sa.text(
                    "insert into analysis_job (type, state, pack, question, account_id, prefixes, rows, "
                    "expires_at) select 'scan', 'done', 'small', cast(:question as jsonb), id, prefixes, "
                    "5, 'infinity' from account where name = :name returning id"
                ),
                {
                    "name": f"analyst-{NAMES[prefix]}",
                    "question": json.dumps(
                        {
                            "type": "scan", "pack": "small", "start": "2024-01-01",
                            "end": "2024-02-01", "area": {"units": [prefix + "001"]},
                        }
                    ),
                },
            ).scalar_one()  # fmt: skip
            for name, body in (("json", zlib.compress(found)), ("tif", found), ("png", found)):
                connection.execute(
                    sa.text("insert into analysis_result values (:job, :name, :body)"),
                    {"job": job, "name": name, "body": body},
                )


def doors(route: APIRoute) -> set[str]:
    """Actions a route demands."""
    found: set[str] = set()
    waiting = [route.dependant]
    while waiting:
        one = waiting.pop()
        if isinstance(one.call, Door):
            found.add(one.call.action)
        waiting.extend(one.dependencies)
    return found


def api_routes(client: TestClient) -> list[APIRoute]:
    """Every documented route, also those behind included routers."""
    found: list[APIRoute] = []
    waiting = list(client.app.routes)  # type: ignore[attr-defined]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, APIRoute):
            found.append(one)
        waiting.extend(getattr(getattr(one, "original_router", None), "routes", ()))
    return found


def test_every_route_says_who_may_ask(walked: Walked) -> None:
    with walked.app() as client:
        documented = {
            (method.upper(), path)
            for path, one in client.app.openapi()["paths"].items()  # type: ignore[attr-defined]
            for method in one
        }
        seen = set()
        for route in api_routes(client):
            for method in route.methods:
                seen.add((method, route.path))
                if not OWN.match(route.path) and not route.path.startswith("/api/health/"):
                    assert len(doors(route)) == 1, f"{method} {route.path} has no door"
        assert {one for one in documented if one[0] != "HEAD"} <= seen
        plain = [one.path for one in client.app.routes if type(one) is Route]  # type: ignore[attr-defined]
        assert set(plain) <= {"/api/openapi.json"}


@pytest.mark.parametrize("role", Role)
def test_a_role_passes_its_own_doors_only(walked: Walked, role: Role) -> None:
    with walked.app() as client:
        for route in api_routes(client):
            if not (wanted := doors(route)):
                continue
            (action,) = wanted
            path = fill(route.path, {**POOL, "run": walked.run})
            for method in route.methods - {"HEAD"}:
                answer = client.request(method, path, headers=walked.as_(role, None), json={})
                allowed = action in MAY[role]
                assert (answer.status_code == 403) is not allowed, (method, path, answer.text)


@pytest.mark.parametrize("path", ["/api/manifest", "/api/runs", "/tiles/x/y/tilejson.json", "/"])
def test_nobody_is_let_in_without_proof(walked: Walked, path: str) -> None:
    with walked.app() as client:
        for headers in ({}, {"Authorization": "Bearer wst_nothing"}, {"Cookie": "session=1"}):
            answer = client.get(path, headers=headers)
            assert answer.status_code in ({303, 302, 307} if path == "/" else {401})


POOL: dict[str, Any] = {
    "run": 1, "pack": "small", "level": "grid", "kind": "overall", "period": "month", "ord": 21,
    "code": MINE, "res": 8, "cell": "", "chunk": "", "digest": "0" * 64, "z": 0, "x": 0, "y": 0,
}  # fmt: skip
POOL["cell"] = POOL["chunk"] = h3.latlng_to_cell(29.5, 119.5, 8)


def fill(path: str, values: dict[str, Any]) -> str:
    return re.sub(r"{(\w+)(?::\w+)?}", lambda found: str(values.get(found[1], 1)), path)


def questions(walked: Walked, path: str) -> Iterator[str]:
    """Addresses that ask everything a route can be asked, of both counties."""
    codes = [MINE, THEIRS, DEEP, "3301", "330102001", "330101001001", "330102000001",
             "330101001001001", "330102000001001"]  # fmt: skip
    pool: dict[str, list[Any]] = {
        "run": [walked.run, walked.run + 1],
        "pack": ["small", "other"],
        "level": LEVELS,
        "kind": ["overall", "theft"],
        "period": ["month", "year"],
        "ord": [1],
        "code": codes,
        "res": [CELLS, 8],
        "cell": PLACES,
        "chunk": sorted({h3.cell_to_parent(cell, CELLS - 4) for cell in PLACES}),
        "digest": ["0" * 64, walked.digest],
        "area": [1, 2], "job": [1, 2], "item": [1], "zone": [1, 2], "check": [1],
        "version": [1, 2], "scene": ["nine-kinds", "ecology-watch"], "alert": [1, 2], "task": [1, 2], "photo": [1],
        "device": [1, 2], "rule": [1, 2], "alarm": [1, 2], "token": ["0" * 16],
        "treaty": ["theirs", "shared"], "pooled": [1, 2], "package": [1, 2],
        "collection": ["units-small-county", f"cells-small-{CELLS}", "hotspots-small", "zones-small",
                       "facilities-small"],
        "feature": [THEIRS, PLACES[1], "2", "device-2"],
        "matrices": ["WebMercatorQuad"], "feed": [1, 2, 3],
        "z": [TILE[0]], "x": [TILE[1]], "y": [TILE[2]],
    }  # fmt: skip
    names = re.findall(r"{(\w+)", path)
    for values in itertools.product(*(pool[name] for name in names)):
        yield fill(path, dict(zip(names, values, strict=True)))


def queries(path: str) -> list[str]:
    """Query strings a route understands."""
    if path.endswith(("/summary", "/ranking")):
        return [
            f"?level={level}&kind={kind}&ord=21{within}"
            for level in ("grid", "county")
            for kind in ("overall", "theft")
            for within in ("", f"&within={MINE}", f"&within={THEIRS}", "&within=3301")
        ]
    if path.startswith("/api/boundaries/"):
        return ["?level=town"] if path.endswith(".pmtiles") else [""]
    if path.endswith("/export.pmtiles"):
        return ["?level=town&ord=21"]
    if path.endswith("/export.parquet"):
        return ["?level=grid&ord=21"]
    if "/export." in path:
        return [f"?level={level}&ord=21" for level in ("grid", "county")]
    if path.endswith("/search"):
        return ["?q=3301", f"?q={THEIRS}", "?q=乙", "?q=1"]
    if path.endswith("/why"):
        return ["", "?kind=theft&ord=21"]
    if path.startswith("/api/indicators/"):
        more = ("", f"&within={MINE}", f"&within={THEIRS}", "&within=3301", "&indicator=joint")
        return [f"?level=town&period=year{one}" for one in more] + ["?level=county", "?level=city"]
    if path.endswith("/border/where"):
        return ["?lon=119.9&lat=29.5", "?lon=120.1&lat=29.5", f"?code={MINE}", f"?code={THEIRS}",
                f"?code={DEEP}", "?code=330102001"]  # fmt: skip
    if path.endswith("/zones/{zone}/index"):
        return ["?ord=1"]
    if path.endswith("/api/live"):
        return ["?last=0"]
    if path.endswith(("/api/loop", "/api/desks")):
        return ["?pack=small"]
    if path.endswith("/cells/{res}/counts"):
        return ["?kind=theft&ord=21", f"?ord=21&within={MINE}", f"?ord=21&within={THEIRS}"]
    return [""]


def areas() -> Iterator[dict[str, Any]]:
    """Area questions that reach into both counties."""
    shapes = [
        {"wkt": "POLYGON((119 29, 121 29, 121 30, 119 30, 119 29))"},
        {"circle": {"lon": 120.5, "lat": 29.5, "metres": 30000}},
        {"unit": "3301"}, {"unit": MINE}, {"unit": THEIRS},
        {"cells": [h3.latlng_to_cell(29.5, lon, 6) for lon in (119.5, 120.5)]},
    ]  # fmt: skip
    for shape in shapes:
        yield {
            "area": shape,
            "start": "2022-01-01",
            "end": "2026-01-01",
            "breakdowns": ["kind", "month", "unit"],
        }


def analyses() -> Iterator[dict[str, Any]]:
    """Analysts' questions that reach into both counties."""
    wkt = {"wkt": "POLYGON((119 29, 121 29, 121 30, 119 30, 119 29))"}
    shapes = [
        wkt, {"circle": {"lon": 120.02, "lat": 29.5, "metres": 30000}, "snap_metres": 900},
        {"units": ["3301"]}, {"units": [MINE]}, {"units": [THEIRS]}, {"units": [MINE, THEIRS]},
        {"combine": {"op": "minus", "areas": [wkt, {"units": [MINE]}]}},
        {"combine": {"op": "intersect", "areas": [wkt, {"units": [THEIRS]}]}},
    ]  # fmt: skip
    for shape in shapes:
        yield {"area": shape, "start": "2022-01-01", "end": "2026-01-01", "compare": 20}
    yield {
        "area": shapes[0], "start": "2023-03-03T03:03:03+08:00", "end": "2023-09-09",
        "hours_of_week": list(range(60)), "level": "grid",
    }  # fmt: skip


def walk(walked: Walked, client: TestClient, headers: dict[str, str]) -> dict[str, httpx.Response]:
    """Every answer of the map that can be had."""
    found = {}
    for route in api_routes(client):
        if not doors(route) or "GET" not in route.methods or SERVER.match(route.path):
            continue
        for address, query in itertools.product(questions(walked, route.path), queries(route.path)):
            found[address + query] = client.get(address + query, headers=headers)
    for number, question in enumerate(areas()):
        found[f"area {number}"] = client.post(
            "/api/packs/small/areas/count", headers=headers, json=question
        )
    for number, question in enumerate(analyses()):
        for path, body in (("analyse", question), ("shape", question["area"])):
            found[f"area {path} {number}"] = client.post(
                f"/api/packs/small/areas/{path}", headers=headers, json=body
            )
    for number, area in enumerate(
        (
            {"circle": {"lon": 120, "lat": 29.5, "metres": 30000}},
            {"units": [MINE]},
            {"units": [THEIRS]},
        )
    ):
        found[f"area file {number}"] = client.post(
            "/api/packs/small/areas/export",
            headers=headers,
            json={"area": area, "start": "2022-01-01", "end": "2026-01-01", "format": "csv"},
        )
    return found


def inside_parquet(body: bytes) -> bytes:
    """Words of a GeoParquet file: notes, then rows; its own compression hides them."""
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(body))
    notes = json.loads(table.schema.metadata[b"wusetu"])
    del notes["generated"]
    return f"{notes} {table.to_pydict()}".encode()


def inside_pmtiles(body: bytes) -> bytes:
    """Words of an archive of tiles: metadata, then every tile."""
    found = Reader(MemorySource(body))
    about = found.metadata()
    del about["wusetu"]["generated"], about["description"]
    tiles = {zxy: gzip.decompress(data) for zxy, data in all_tiles(MemorySource(body))}
    where = re.compile("zoom|_lon_|_lat_|count")  # offsets depend on the length of the time
    head = {name: value for name, value in found.header().items() if where.search(name)}
    return f"{head} {about} ".encode() + b"".join(
        str(zxy).encode() + data for zxy, data in sorted(tiles.items())
    )


def said(address: str, answer: httpx.Response) -> bytes:
    """What an answer says beyond repeating the question."""
    body = answer.content
    kind = answer.headers.get("content-type", "")
    if kind.startswith("application/geopackage"):
        return b""  # looked at below; a file of a database says the time all over
    passing = {"x-request-id", "date", "server", "content-length"}
    if kind == "application/vnd.apache.parquet" and "/export.parquet" in address:
        body, passing = inside_parquet(body), passing | {"etag", "last-modified"}
    if kind == "application/vnd.pmtiles":
        body, passing = inside_pmtiles(body), passing | {"etag", "last-modified"}
    body = PASSING.sub(b"", body)
    headers = [
        f"{name}: {value}" for name, value in sorted(answer.headers.items()) if name not in passing
    ]
    return b"\n".join([str(answer.status_code).encode(), *map(str.encode, headers), body])


def shortest(words: set[str]) -> set[str]:
    """Words without those that hold another one: whatever has the longer has the shorter, too."""
    kept: list[str] = []
    for word in sorted(words, key=len):
        if not any(one in word for one in kept):
            kept.append(word)
    return set(kept)


#: Three who must learn nothing of the neighbour, and one who sees all.
WALKERS: list[tuple[str, str | None]] = [
    ("analyst", MINE), ("admin", DEEP), ("viewer", MINE), ("admin", None),
]  # fmt: skip
Told = dict[tuple[str, str | None], dict[str, bytes]]


def told(walked: Walked) -> Told:
    """What everybody is told by every door, of an application with nothing remembered."""
    with walked.app() as client:
        return {
            desk: {
                address: said(address, one)
                for address, one in walk(walked, client, walked.as_(*desk)).items()
            }
            for desk in WALKERS
        }


@pytest.fixture(scope="module")
def before(walked: Walked) -> Told:
    """The walk before the neighbour's numbers change; as long as the walks are, made once."""
    return told(walked)


def test_no_answer_names_the_neighbour(walked: Walked, before: Told) -> None:
    with walked.engine.connect() as connection:
        rows = connection.execute(
            sa.text("select code, name, name_en from unit where code like :their"),
            {"their": THEIRS + "%"},
        ).all()
        mine = set(
            connection.execute(
                sa.text("select unnest(array[name, name_en]) from unit where code not like :their"),
                {"their": THEIRS + "%"},
            ).scalars()
        )
    words = shortest({text for row in rows for text in row if text} - mine)
    hidden = re.compile(b"|".join(re.escape(one.encode()) for one in sorted(words, reverse=True)))
    for desk in (("analyst", MINE), ("admin", DEEP)):
        for address, answer in before[desk].items():
            text = answer
            if answer[:1] in {b"4", b"5"}:  # the status: the question's own words
                for part in re.findall(r"[\w]+", address):
                    text = text.replace(part.encode(), b"")
                if address.startswith("area"):
                    text = text.replace(THEIRS.encode(), b"")
            assert not hidden.search(text), (address, hidden.search(text))
    everything = before["admin", None]
    assert sum(bool(hidden.search(text)) for text in everything.values()) > 20


def test_a_geopackage_holds_ones_own_units_only(walked: Walked, tmp_path: Any) -> None:
    import geopandas

    with walked.app() as client:
        path = f"/api/runs/{walked.run}/export.gpkg?level=grid&ord=21"
        answer = client.get(path, headers=walked.as_("analyst", MINE))
    file = tmp_path / "one.gpkg"
    file.write_bytes(answer.content)
    frame = geopandas.read_file(file, layer="assessment")
    assert set(frame.code.str[:6]) == {MINE}
    assert THEIRS.encode() not in answer.content


def change_their_numbers(engine: sa.Engine) -> None:
    """Give the neighbour other events, values, exposures and names, as the owner could."""
    their = {"their": THEIRS + "%"}
    with engine.begin() as connection:
        for statement in (
            (
                "update assessment set observed = array(select 7 + 3 * o from unnest(observed) o), "
                "memory_s = array(select 99 + s from unnest(memory_s) s), "
                "colour = array(select 5 - c from unnest(colour) c) where code like :their"
            ),
            (
                "update packed_values set payload = decode(repeat('05', 2 * n), 'hex') "
                "where county_code like :their"
            ),
            (
                "update run_unit set exposures = array(select 2 * e from unnest(exposures) e), "
                "complexity = 1 where code like :their"
            ),
            "update exposure set value = value * 3 where code like :their",
            "update unit set name = name || '改', name_en = 'Changed' where code like :their",
            "update run set event_count = event_count + 1000",
            "update run_cell_class set counts = array[1, 2, 3, 4, 5, 6]",
            "update run_cell set inside = inside + 1000, outside = 7, no_point = 7",
            "update run_cell_rate set marks = ''",
            "update run_leaf set exposures = ''",
            (
                "insert into event (source_id, reference, kind, occurred_at, located_by, "
                "boundary_version_id, unit_id, geom) select (select min(id) from event_source), "
                "'new ' || id || '-' || n, 'theft', timestamptz '2023-06-01 12:00Z', 'point', "
                "boundary_version_id, id, label_point "
                "from unit, generate_series(1, 9) n where code like :their and level = 'grid'"
            ),
        ):
            connection.execute(sa.text(statement), their if ":their" in statement else {})
        change_their_cells(connection)
        change_indicators(connection, THEIRS)


def change_their_cells(connection: sa.Connection) -> None:
    """Give other values to every cell that is not wholly mine, those on the border too."""
    spans = connection.execute(sa.text("select chunk, at, n, codes from cell_grid_span")).all()
    mine: dict[int, set[int]] = {}
    for one in spans:
        here = mine.setdefault(one.chunk, set())
        if all(code.startswith(MINE) for code in one.codes):
            here.update(range(one.at, one.at + one.n))
    size = {one.chunk: max(x.at + x.n for x in spans if x.chunk == one.chunk) for one in spans}
    places, payloads = [], []
    for row in connection.execute(
        sa.text(
            "select ctid, chunk, payload from run_cell_value where kind in ('overall', 'theft')"
        )
    ):
        n = size[row.chunk]
        payload = bytearray(row.payload)
        for place in set(range(n)) - mine[row.chunk]:
            payload[place], payload[n + place] = 5 - payload[place], 200
        places.append(row.ctid)
        payloads.append(bytes(payload))
    connection.execute(
        sa.text(
            "update run_cell_value as v set payload = new.payload "
            "from unnest(cast(:places as tid[]), :payloads) as new (place, payload) "
            "where v.ctid = new.place"
        ),
        {"places": places, "payloads": payloads},
    )
    for row in connection.execute(sa.text("select chunk, shares from run_cell_own")).all():
        n = size[row.chunk]
        shares = np.frombuffer(row.shares, "<f8").reshape(n, -1).copy()
        shares[sorted(set(range(n)) - mine[row.chunk])] *= 2
        connection.execute(
            sa.text("update run_cell_own set shares = :shares where chunk = :chunk"),
            {"shares": shares.tobytes(), "chunk": row.chunk},
        )


def test_the_neighbours_numbers_change_nothing(walked: Walked, before: Told) -> None:
    change_their_numbers(walked.engine)
    after = told(walked)
    for desk in WALKERS[:3]:
        assert before[desk].keys() == after[desk].keys()
        for address in before[desk]:
            assert before[desk][address] == after[desk][address], (desk, address)
    changed = [
        a for a in before["admin", None] if before["admin", None][a] != after["admin", None][a]
    ]
    assert len(changed) > 20  # who may see it does


def test_not_yours_and_not_there_are_one_answer(walked: Walked) -> None:
    """Also in what is asked of the database: time tells nothing either."""
    absent = "330103"
    statements: list[str] = []
    with walked.app() as client:
        headers = walked.as_("analyst", MINE)

        @sa.event.listens_for(client.app.state.web, "before_cursor_execute")  # type: ignore[attr-defined]
        def note(_c: Any, _u: Any, statement: str, *_: Any) -> None:
            statements.append(statement)

        run = f"/api/runs/{walked.run}"
        for pattern in (
            run + "/units/{}/why", run + "/units/{}/series", "/api/packs/small/units/{}",
            "/api/packs/small/units/{}/children", run + "/summary?level=grid&within={}",
            run + "/ranking?level=grid&within={}",
        ):  # fmt: skip
            seen = []
            for code in (THEIRS, absent, THEIRS, absent):
                statements.clear()
                answer = client.get(pattern.format(code), headers=headers)
                assert answer.status_code == 404
                body = said(pattern, answer).replace(code.encode(), b"CODE")
                seen.append((body, [re.sub(r"'[^']*'", "''", one) for one in statements]))
            assert seen[2] == seen[3], pattern
            assert seen[0][0] == seen[1][0]


def test_no_tile_is_kept_between_a_browser_and_the_server(walked: Walked) -> None:
    with walked.app() as client:
        asked = walked.as_("viewer", MINE)
        (shown,) = client.get("/api/manifest", headers=asked).json()["maps"]
        at = {"z": 8, "x": 213, "y": 106}
        kept = {
            what: client.get(address.format(**at), headers=asked).headers["cache-control"]
            for what, address in (
                ("cells", shown["cells"][0]["tiles"]),
                ("units", shown["levels"][0]["tiles"]),
            )
        }
        document = client.get(
            f"/tiles/small/{shown['levels'][0]['id']}/tilejson.json", headers=asked
        )
    # cells are those of a jurisdiction, the shapes of units everybody's who may come in
    assert kept == {
        "cells": "private, no-store",
        "units": "private, max-age=31536000, immutable",
    }
    assert document.status_code == 200, document.text
    assert document.headers["cache-control"] == "private, no-cache"


def test_kept_answers_are_not_shared(walked: Walked) -> None:
    """The fast way of values knows whom it answers."""
    path = f"/api/runs/{walked.run}/values/grid/overall/month/21"
    with walked.app() as client:
        until(lambda: client.app.state.kept.live)  # type: ignore[attr-defined]
        bodies = {}
        for _ in range(2):
            for prefix in (None, MINE, THEIRS, DEEP):
                answer = client.get(path, headers=walked.as_("viewer", prefix))
                assert answer.headers["cache-control"] == "private, no-store"
                assert bodies.setdefault(prefix, answer.content) == answer.content
        assert len(set(bodies.values())) == 4
        assert client.get(path).status_code == 401
        etags = {
            client.get(path, headers=walked.as_("viewer", prefix)).headers["etag"]
            for prefix in bodies
        }
        assert len(etags) == 4


def border_of(engine: sa.Engine) -> None:
    """Give the neighbour a desk, a checkpoint, devices, a draft, news; and one zone that is shared."""
    with engine.begin() as connection:
        for statement in (
            (
                "insert into duty_desk (pack, code, side, name) values "
                "('small', '330102001', '330102', 'their desk'), ('small', '330102', '330102', 'shared desk')"
            ),
            (
                "insert into checkpoint (pack, code, side, name, kind, geom) values "
                "('small', 'their-point', '330102', 'their point', 'road', 'SRID=4326;POINT(120.9 29.9)'), "
                "('small', 'shared-point', '330102', 'shared point', 'road', 'SRID=4326;POINT(120.01 29.5)')"
            ),
            (
                "insert into zone (pack, name, side, sides) values "
                "('small', 'their draft', '330102', '{330102}'), "
                "('small', 'shared zone', '330102', '{330101,330102}')"
            ),
            (
                "insert into zone_version (zone_id, version, state, side, sides, units, valid_from, geom) "
                "select id, 1, case when cardinality(sides) = 1 then 'draft' else 'live' end, '330102', "
                "'{330101,330102}', case when cardinality(sides) = 1 then '{330101,330102001}'::text[] "
                "else '{330101,330102}' end, now() - interval '1 day', "
                "st_multi(st_makeenvelope(119.9, 29.4, 120.1, 29.6, 4326)) from zone order by id"
            ),
            (
                "insert into live_event (topic, sides, payload) values "
                """('task', '{330102}', '{"said": "their news"}')"""
            ),
            (
                "insert into device (pack, reference, kind, side, code, located_by, place, geom) values "
                "('small', 'd-1', 'smoke', '330102', '330102001', 'point', 'their device', 'SRID=4326;POINT(120.9 29.9)'), "
                "('small', 'd-2', 'smoke', '330102', '330102001', 'point', 'shared device', 'SRID=4326;POINT(120.01 29.5)')"
            ),
            (
                "insert into device_rule (version, pack, side, within, kind, title_zh, title_en, sense, level) values "
                "(1, 'small', '330102', '330102', 'smoke', 'x', 'their rule', 'above', 1), "
                "(1, 'small', '330102', '330102', 'smoke', 'x', 'shared rule', 'above', 1)"
            ),
            (
                "insert into device_alarm (device_id, rule_id, version, pack, raised_at, last_at, devices) "
                "select d.id, r.id, 1, 'small', now(), now(), array[d.id] from device d, device_rule r "
                "where split_part(d.place, ' ', 1) = split_part(r.title_en, ' ', 1)"
            ),
            "insert into treaty (pack, name) values ('small', 'theirs'), ('small', 'shared')",
            (
                "insert into treaty_version (treaty_id, version, side, sides, resolution, periods, delay_days, "
                "min_count, kinds, valid_from, note, digest) select id, 1, '330102', case when name = 'shared' "
                "then '{330101,330102}' else '{330102,330103}' end::text[], 6, '{quarter}', 7, 5, '{}', "
                "'2024-01-01', case when name = 'shared' then 'shared treaty' else 'their treaty' end, "
                "repeat('0', 64) from treaty order by id"
            ),
            (
                "insert into treaty_key (key_id, side, public_key, own) values "
                "(repeat('a', 16), '330102', repeat('0', 64), true)"
            ),
            (
                "insert into treaty_package (treaty_id, version, side, sides, direction, sequence, nonce, key_id, "
                "cutoff, made_at, digest, rows, manifest, data) select treaty_id, 1, '330102', sides, 'out', 1, "
                "repeat(treaty_id::text, 32), repeat('a', 16), '2024-01-01', now(), repeat('0', 64), 1, "
                "replace(note, 'treaty', 'package'), convert_to(replace(note, 'treaty', 'package'), 'utf8') "
                "from treaty_version order by treaty_id"
            ),
            (
                "insert into pooled_run (pack, treaty_id, version, sides, names, period, start, stop, cutoff, "
                "resolution, delay_days, min_count, alpha, max_share, max_radius, replicates, seed, factor, totals, "
                "sources, simulated, digest) select 'small', treaty_id, 1, sides, jsonb_build_object(sides[1], "
                "replace(note, 'treaty', 'pooled')), 'quarter', '2024-01-01', '2024-04-01', '2024-04-01', 6, 7, 5, "
                ".05, .25, 30000, 999, 1, '{}', '{}', '{}', true, '' from treaty_version order by treaty_id"
            ),
            "update device_state set state = 'online', last_seen = now()",
            "select make_reading_days(current_date, current_date)",
            "insert into reading (device_id, at, value) select id, now(), 4711.25 from device",
        ):
            connection.exec_driver_sql(statement)


def test_the_border_shows_what_is_shared_and_no_more(walked: Walked) -> None:
    border_of(walked.engine)
    words = (
        "desk",
        "point",
        "draft",
        "zone",
        "news",
        "device",
        "rule",
        "treaty",
        "pooled",
        "package",
    )
    with walked.app() as client:
        for role, prefix in (("border_officer", MINE), ("border_officer", DEEP)):
            found = walk(walked, client, walked.as_(role, prefix))
            texts = {
                address: said(address, one).decode(errors="replace")
                for address, one in found.items()
                if one.status_code < 400
            }
            whole = "\n".join(texts.values())
            for word in words:
                assert f"their {word}" not in whole, (prefix, word)
            shared = {word for word in words if f"shared {word}" in whole}
            if prefix == DEEP:
                assert not shared
                continue
            assert shared == set(words) - {"draft", "news"}
            assert "4711.25" not in whole
            for address, text in texts.items():
                # of the neighbour's units: the side itself, where a line or a zone names it
                assert not re.search(THEIRS + r"[0-9]", text), address
                if THEIRS in text:
                    shown = r"/border/|/ogc/collections/(zones|facilities)-|/api/(zones|devices|alarms|treaties|pooled)"
                    assert re.search(shown, address), address
            # the installation sees all of it
        everything = walk(walked, client, walked.as_("admin", None))
        whole = "\n".join(one.text for one in everything.values())
        assert {word for word in words if f"their {word}" in whole} == {*words} - {"zone"}


assert set(KINDS) >= {"theft"}
