"""Every documented question, asked in every odd way by every role: only documented answers come."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import uuid
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import anyio
import h3
import pytest
import schemathesis
import sqlalchemy as sa
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.failures import FailureGroup

from app.api.task_models import TaskDraft
from app.database import make_engine, transaction
from app.main import create_app
from app.security.identity import MAY, Role
from app.services import accounts, accounts_tokens, tasks, tile_archives
from app.services.assess import assess
from app.settings import DatabaseSettings, JobSettings, LimitSettings, Settings

from ..app.conftest import KINDS, LEVELS, install
from ..app.indicator_house import keep_indicators

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
#: What of an answer is another at each request and no part of the documentation.
PASSING = re.compile(rb'"request_id": ?"[^"]*"|"as_of": ?"[^"]*"')
PASSING_HEADERS = frozenset({"x-request-id", "date", "content-length", "server-timing"})
#: Who asks: nobody, and every role with everything and with one county.
DESKS: list[tuple[str, str | None]] = [
    ("nobody", None),
    *((role, prefix) for role in Role for prefix in (None, "330101")),
]


@dataclass
class House:
    """A served small map with accounts of every role."""

    client: TestClient
    schema: Any
    values: dict[str, list[Any]]
    tokens: dict[tuple[str, str | None], str]
    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    #: answers that were held against the documentation already
    known: set[tuple[Any, ...]] = field(default_factory=set)

    def as_(self, desk: tuple[str, str | None]) -> dict[str, str]:
        """Headers of who asks."""
        return {"Authorization": f"Bearer {self.tokens[desk]}"} if desk in self.tokens else {}


@pytest.fixture(scope="module")
def house(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    name = f"f_{uuid.uuid4().hex[:12]}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name} template {template} strategy file_copy")
    url = cluster.url(name)
    engine = make_engine(url)
    small = install(engine)
    run = assess(engine, "small", "nine-kinds", zone="Asia/Shanghai")
    keep_indicators(engine)
    data: Path = tmp_path_factory.mktemp("data")
    tile_archives.build(engine, small.version, data / "archives")
    tokens: dict[tuple[str, str | None], str] = {}
    with transaction(engine) as connection:
        for desk in DESKS[1:]:
            role, prefix = desk
            made = accounts.create(
                connection,
                f"{role}-{prefix or 'all'}",
                Role(role),
                kind="program",
                prefixes=None if prefix is None else [prefix],
            )
            _, tokens[desk] = accounts_tokens.create(
                connection, account=made.id, title="fuzz", scopes=sorted(MAY[Role(role)]),
                days=1, longest=1,
            )  # fmt: skip
    sensors(engine)
    rooms(engine)
    configured = Settings(
        access="accounts",
        data_dir=data,
        database=DatabaseSettings(url=url, pool_size=2),
        jobs=JobSettings(at_once=0),  # asked, never worked on
        limits=LimitSettings(rate=0, heavy_rate=0),  # how often is another test's question
    )
    app = create_app(configured)
    with TestClient(app, follow_redirects=False, raise_server_exceptions=False) as client:
        schema = schemathesis.openapi.from_dict(app.openapi())
        house = House(client, schema, real_values(engine, run), tokens)
        kept = {
            "name": "market", "purpose": "patrol", "pack": "small", "scope": "private",
            "expires_on": str(datetime.now(UTC).date() + timedelta(days=9)),
            "area": {"units": ["330101"]},
        }  # fmt: skip
        for desk in tokens:
            client.post("/api/areas", json=kept, headers=house.as_(desk))
        yield house
    engine.dispose()
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()


def sensors(engine: sa.Engine) -> None:
    """Enter two devices with a reading, a rule and an alarm each."""
    with engine.begin() as connection:
        for statement in (
            (
                "insert into device (pack, reference, kind, side, code, located_by, geom) select 'small', 'd-' || n, "
                "'smoke', '330101', '330101001', 'point', 'SRID=4326;POINT(119.5 29.5)' from generate_series(1, 2) n"
            ),
            (
                "insert into device_rule (version, pack, side, within, kind, title_zh, title_en, sense, level) select 1, "
                "'small', '330101', '330101', 'smoke', '烟', 'Smoke', 'above', 1 from generate_series(1, 2)"
            ),
            (
                "insert into device_alarm (device_id, rule_id, version, pack, raised_at, last_at, devices) "
                "select id, id, 1, 'small', now(), now(), array[id] from device"
            ),
            "select make_reading_days(current_date, current_date)",
            "insert into reading (device_id, at, value) select id, now(), 5 from device",
        ):
            connection.exec_driver_sql(statement)


def rooms(engine: sa.Engine) -> None:
    """Enter desks, tasks, zones, a treaty with its package and run, and a job of an analyst with results."""
    with engine.begin() as connection:
        for statement in (
            (
                "insert into duty_desk (pack, code, side, name) select 'small', code, code, 'desk ' || code "
                "from unnest(array['330101', '330102']) code"
            ),
            (
                "insert into zone (pack, name, side, sides) select 'small', 'zone ' || n, '330101', "
                "'{330101,330102}' from generate_series(1, 2) n"
            ),
            (
                "insert into zone_version (zone_id, version, state, side, sides, units, valid_from, geom) "
                "select id, 1, 'live', '330101', sides, sides, now() - interval '1 day', "
                "st_multi(st_makeenvelope(119.9, 29.4, 120.1, 29.6, 4326)) from zone order by id"
            ),
            "insert into treaty (pack, name) values ('small', 'counties')",
            (
                "insert into feed (pack, name, code, adapter, mapping, settings) select 'small', 'feed' || code, code, "
                """'push', '{"source": "f", "crs": "wgs84", "columns": {"time": "at"}, "kinds": {"constant": "theft"}}', """
                "'{}' from unnest(array['330101', '']) code"
            ),
            (
                "insert into feed_batch (feed_id, key, origin, rows, rejected) select id, 'k', 'a request', 2, 1 from feed"
            ),
            (
                "insert into feed_dead (feed_id, batch_id, place, field, value, reason, said, digest) "
                "select feed_id, id, '1', 'at', 'x', 'bad_time', 'is no time', '' from feed_batch"
            ),
            (
                "insert into treaty_version (treaty_id, version, side, sides, resolution, periods, delay_days, "
                "min_count, kinds, valid_from, note, digest) select id, 1, '330101', '{330101,330102}', 6, "
                "'{quarter}', 7, 5, '{}', '2024-01-01', 'counties', repeat('0', 64) from treaty"
            ),
            (
                "insert into pooled_run (pack, treaty_id, version, sides, names, period, start, stop, cutoff, "
                "resolution, delay_days, min_count, alpha, max_share, max_radius, replicates, seed, factor, totals, "
                "sources, simulated, digest) select 'small', treaty_id, 1, sides, '{}', 'quarter', '2024-01-01', "
                "'2024-04-01', '2024-04-01', 6, 7, 5, .05, .25, 30000, 999, 1, '{}', '{}', '{}', true, '' "
                "from treaty_version"
            ),
            (
                "insert into analysis_job (type, state, pack, question, account_id, prefixes, rows, expires_at) "
                'select \'scan\', \'done\', \'small\', \'{"type": "scan", "pack": "small", "start": '
                '"2024-01-01", "end": "2024-02-01", "area": {"units": ["330101"]}}\', id, prefixes, 5, '
                "'infinity' from account where name ^@ 'analyst-' order by id"
            ),
        ):
            connection.exec_driver_sql(statement)
        body = json.dumps({"type": "scan", "clusters": []}).encode()
        for name, kept in (("json", zlib.compress(body)), ("tif", body), ("png", body)):
            connection.execute(
                sa.text("insert into analysis_result select id, :name, :body from analysis_job"),
                {"name": name, "body": kept},
            )
        found = connection.execute(
            sa.text(
                "select min(id) from alert where state = 'open' group by left(code, 6) order by 1"
            )
        )
        for alert in list(found.scalars()):
            tasks.make(connection, TaskDraft(alert=alert))


def real_values(engine: sa.Engine, run: int) -> dict[str, list[Any]]:
    """What is there, by the name parameters have in addresses and queries."""
    with engine.connect() as connection:
        digests = list(connection.execute(sa.text("select digest from tile_archive")).scalars())
    codes = ["3301", "330101", "330102", "330101001", "330102000001", "330101001001001", "330103"]
    cells = [h3.latlng_to_cell(29.5, lon, res) for lon in (119.5, 120.5) for res in (6, 8)]
    return {
        "run": [run], "pack": ["small"], "level": LEVELS, "kind": ["overall", *KINDS, "noise"],
        "period": ["month", "quarter", "year"], "ord": [0, 1, 3, 21, 22, 32767], "code": codes,
        "within": codes, "res": [6, 7, 8, 9], "cell": cells,
        "chunk": [h3.cell_to_parent(one, res) for one in cells for res in (2, 4, 5)],
        "digest": [*digests, "0" * 64], "z": [0, 6, 9], "x": [0, 53, 425], "y": [0, 26, 210],
        "account": [1, 2, 3], "token": [1, 2], "session": [1], "provider": ["none"],
        "limit": [1, 50], "q": ["3301", "村", "网格 1"], "set": ["wall"], "next": ["/"], "area": [1, 2], "job": [1, 2],
        "scene": ["nine-kinds", "ecology-watch", "ecology-watch", "none"], "indicator": ["total", "joint"], "zone": [1, 2], "item": [1], "version": [1], "check": [1, 2], "alert": [1, 2], "task": [1, 2], "photo": [1], "treaty": ["counties"], "pooled": [1], "package": [1], "device": [1, 2], "rule": [1, 2], "alarm": [1, 2], "feed": [1, 2],
        "state": ["online", "raised"],
        "collection": ["units-small-grid", "units-small-county", "zones-small", "hotspots-small", "facilities-small"],
        "feature": [*codes, "1", "device-1"], "matrices": ["WebMercatorQuad"],
    }  # fmt: skip


def with_real(case: Any, house: House, random: Any) -> None:
    """Put what is there in the place of half of what was made up."""
    for place in (case.path_parameters, case.query):
        for name in list(place or ()):
            if name in house.values and random.random() < 0.75:
                place[name] = random.choice(house.values[name])
    if isinstance(case.body, dict):
        real = {
            "start": "2023-01-01", "end": "2025-01-01", "kinds": ["theft", "fire"],
            "area": random.choice([
                {"unit": "330101"}, {"circle": {"lon": 120.0, "lat": 29.5, "metres": 20000}},
                {"wkt": "POLYGON((119 29, 121 29, 121 30, 119 30, 119 29))"},
            ]),
            "scope": "private", "expires_on": str(datetime.now(UTC).date() + timedelta(days=9)), "pack": "small",
            "name": "market", "purpose": "patrol", "parts": ["kinds", "children", "cells"],
            "role": "viewer", "prefixes": ["330101001"], "scopes": ["see_map"], "days": 1,
        }  # fmt: skip
        if "compare" in case.body:
            real["area"] = random.choice(
                [
                    {"units": ["330101"]},
                    {"rectangle": {"west": 119, "south": 29, "east": 120, "north": 30}},
                ]
            )
        for name in list(case.body):
            if name in real and random.random() < 0.5:
                case.body[name] = real[name]


def operations(house: House) -> dict[str, Any]:
    """Documented operations by method and address."""
    found = {}
    for one in house.schema.get_all_operations():
        operation = one.ok()
        found[operation.label] = operation
    return found


def plain_part(part: object) -> Any:
    """Part of a form as it can be sent: what is no text or bytes as its text."""
    return part if part is None or isinstance(part, bytes | str) else str(part)


def ask(house: House, case: Any, desk: tuple[str, str | None], wrong: dict[str, str]) -> None:
    """Send a case; note each kind of answer that is not documented once."""
    sent = case.as_transport_kwargs(base_url="http://testserver")
    headers = {
        name: value
        for name, value in dict(sent.pop("headers", {})).items()
        if name.lower() not in {"authorization", "cookie", "host", "content-length"}
    }
    sent.pop("cookies", None)
    if isinstance(sent.get("data"), bytes | str):
        sent["content"] = sent.pop("data")
    if sent.get("files"):
        given = sent["files"]
        sent["files"] = [
            (name, tuple(map(plain_part, part)) if isinstance(part, tuple) else plain_part(part))
            for name, part in (given.items() if isinstance(given, dict) else given)
        ]
    answer = house.client.request(**sent, headers={**headers, **house.as_(desk)})
    answer.request.read()  # a form with a file is a stream
    label = case.operation.label
    house.statuses.setdefault(label, Counter())[answer.status_code] += 1
    said = tuple(sorted((k, v) for k, v in answer.headers.items() if k not in PASSING_HEADERS))
    one = (label, answer.status_code, said, PASSING.sub(b"", answer.content))
    if one in house.known:  # the very same answer: nothing new to find
        return
    house.known.add(one)
    try:
        case.validate_response(answer, checks=CHECKS)
    except FailureGroup as found:
        for failure in found.exceptions:
            key = f"{label} {answer.status_code} {type(failure).__name__}"
            text = f"{key} by {desk}: {failure}\n{sent}\n{answer.text[:300]}"
            wrong.setdefault(key, text[:2000])


def plainly(house: House, operation: Any, wrong: dict[str, str]) -> None:
    """Ask for what is there, from every desk."""
    random = Random(operation.label)
    for desk in DESKS:
        path = {
            one.name: random.choice(house.values[one.name]) for one in operation.path_parameters
        }
        query = {
            one.name: random.choice(house.values[one.name])
            for one in operation.query
            if one.is_required or (one.name in house.values and random.random() < 0.5)
        }
        case = operation.Case(path_parameters=path, query=query)
        ask(house, case, desk, wrong)


def strangely(house: House, operation: Any, wrong: dict[str, str]) -> None:
    """Ask for what is there, but for one value of a query that names nothing."""
    random = Random(operation.label)
    desk = (Role.admin, None)
    for stranger in operation.query:
        query = {
            one.name: random.choice(house.values[one.name])
            for one in operation.query
            if one.name in house.values and (one.is_required or one.name in ("pack", "within"))
        }
        path = {
            one.name: random.choice(house.values[one.name]) for one in operation.path_parameters
        }
        for value in ("none", "999999", "0"):
            case = operation.Case(path_parameters=path, query={**query, stranger.name: value})
            ask(house, case, desk, wrong)


@pytest.mark.parametrize(
    "tries", [2, pytest.param(440, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_every_answer_is_documented(house: House, tries: int) -> None:
    """Questions to every operation from every desk, made-up ones from some; the same at every run.

    `tries`: made-up questions, as many valid as invalid, to each operation.
    """
    wrong: dict[str, str] = {}
    desks = itertools.cycle(DESKS)  # from one operation to the next: every desk has its turns
    for operation in operations(house).values():
        plainly(house, operation, wrong)
        strangely(house, operation, wrong)
        for mode in GenerationMode:
            search(house, operation, mode, desks, tries, wrong)
    assert not wrong, "\n\n".join(wrong.values())
    asked = {label: set(found) for label, found in house.statuses.items()}
    assert asked.keys() == operations(house).keys()
    # what programs may ask was mostly answered, not only refused; accounts are for people
    own = ("/api/session", "/api/accounts", "/api/tokens", "/api/oidc")
    ours = {label for label in asked if not label.split()[1].startswith(own)}
    reached = {label for label in ours if asked[label] & {200, 201, 202, 204}}
    assert len(reached) >= 0.6 * len(ours), sorted(ours - reached)


def search(
    house: House,
    operation: Any,
    mode: GenerationMode,
    desks: Iterator[tuple[str, str | None]],
    tries: int,
    wrong: dict[str, str],
) -> None:
    """Ask one operation from one desk after the other; note each kind of wrong answer once."""

    @settings(
        max_examples=tries, derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    @given(operation.as_strategy(generation_mode=mode), st.randoms(use_true_random=False))
    def one(case: Any, random: Any) -> None:
        desk = next(desks)
        with_real(case, house, random)
        ask(house, case, desk, wrong)

    # nothing to get wrong, nothing more to ask
    with contextlib.suppress(Unsatisfiable):
        one()


ODD = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["..", "%00", "%2e%2e", "%2F", "\0", "é", "①", "٣", "1_0", "+1", "-1", "1.0", "1e3"]
    ),
    st.sampled_from(["", " 1", "9" * 20, "9" * 5000, "\ud800", "a" * 64, "0" * 64, "nan", "𝟙"]),
    st.integers(-2, 2**40).map(str),
)


async def raw_answer(app: Any, path: str, query: bytes, token: str) -> tuple[int, bytes]:
    """Answer of the application to a path no client of HTTP would send."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": path, "raw_path": path.encode("utf-8", "surrogateescape"),
        "query_string": query, "root_path": "", "client": ("testclient", 1), "server": ("testserver", 80),
        "headers": [(b"host", b"testserver"), (b"authorization", b"Bearer " + token.encode())],
    }  # fmt: skip
    said: list[Any] = []

    waiting = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        while not waiting:  # the client stays until it has its answer
            await anyio.sleep(60)
        return waiting.pop()

    async def send(message: Any) -> None:
        said.append(message)

    await app(scope, receive, send)
    return said[0]["status"], b"".join(one.get("body", b"") for one in said[1:])


@pytest.mark.parametrize("examples", [300, pytest.param(5000, marks=pytest.mark.slow)])
def test_paths_of_tiles_and_values(house: House, examples: int) -> None:
    """What the raw middlewares make of paths: they never break and never leave their folder."""
    token = house.tokens["viewer", None]
    run, digests = house.values["run"][0], house.values["digest"]
    number = st.one_of(st.integers(0, 30).map(str), ODD)
    known = st.one_of(st.sampled_from(["grid", "overall", "month", "21", str(run)]), ODD)
    tile = st.builds(
        "/tiles/{}/{}/{}/{}.{}".format, st.one_of(st.sampled_from(digests), ODD), number, number,
        number, st.sampled_from(["mvt", "mvt", "pbf", "MVT", "mvt/"]),
    )  # fmt: skip
    values = st.builds(
        f"/api/runs/{run}/values/{{}}/{{}}/{{}}/{{}}".format, known, known, known, known
    )
    coloured = st.builds(
        f"/tiles/coloured/{run}/grid/overall/month/21/{{}}/{{}}/{{}}.mvt".format,
        number,
        number,
        number,
    )
    other = st.lists(ODD, max_size=6).map(lambda parts: "/" + "/".join(parts))
    seen: Counter[int] = Counter()

    @settings(
        max_examples=examples, derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    @given(st.one_of(tile, tile, values, coloured, other), st.binary(max_size=6))
    def one(path: str, query: bytes) -> None:
        try:
            path.encode()
        except UnicodeEncodeError:  # no server hands on what is not UTF-8
            path = path.encode("utf-8", "replace").decode()
        assert house.client.portal is not None
        status, body = house.client.portal.call(
            raw_answer, house.client.app, path, b"" if len(query) < 4 else query, token
        )
        seen[status] += 1
        assert status < 500, (path, body)
        assert status < 400 or b"request_id" in body, (path, status, body)

    one()
    assert seen[200] + seen[204] > 0
    assert seen[404] > 0
