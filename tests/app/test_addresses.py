"""Addresses in words from end to end: base, API, jurisdictions, the queue, feeds, files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import pyarrow as pa
import pyarrow.csv
import pytest
import shapely
import sqlalchemy as sa
import yaml
from click.testing import CliRunner
from fastapi.testclient import TestClient

from app.cli import cli
from app.database import transaction
from app.errors import Invalid, NotFound
from app.feeds.base import Batch
from app.feeds.records import chunk_of
from app.main import create_app
from app.security.identity import MAY, Role
from app.services import accounts, accounts_tokens, address_base, address_resolve, boundaries, feeds
from app.services.boundary_checks import Notes
from app.services.events import import_file
from app.services.feed_take import Taker
from app.settings import DatabaseSettings, Settings
from geo.addresses.base import SCHEMA
from geo.codes import load_layout

PACK = "town"
LAYOUT = Path(__file__).resolve().parents[2] / "data" / "layouts" / "unified-27.yaml"
UNITS = [
    ("3301", "city", "杭州市", (0, 0, 4, 2)),
    ("330106", "county", "西湖区", (0, 0, 2, 2)),
    ("330109", "county", "萧山区", (2, 0, 4, 2)),
    ("330106003", "town", "翠苑街道", (0, 0, 2, 2)),
    ("330109007", "town", "瓜沥镇", (2, 0, 4, 2)),
    ("330106003051", "village", "翠苑一区社区", (0, 0, 2, 2)),
    ("330109007201", "village", "江南村", (2, 0, 4, 2)),
    ("330106003051001", "grid", "翠苑一区社区第1网格", (0, 0, 1, 2)),
    ("330106003051002", "grid", "翠苑一区社区第2网格", (1, 0, 2, 2)),
    ("330109007201001", "grid", "江南村第1网格", (2, 0, 4, 2)),
]
ROWS = [
    *[("3301060030510010", n, "文三路", "street", n, 0, 0, None) for n in range(1, 10)],
    *[("3301060030510020", n, "文三路", "street", n + 20, 0, 0, None) for n in range(1, 10)],
    *[("3301060030510020", n + 50, "阳光花园", "estate", n, 2, 6, "老阳光") for n in range(1, 5)],
    *[("3301090072010010", n, "人民路", "street", n, 0, 0, None) for n in range(1, 5)],
    *[("3301060030510010", n + 70, "人民路", "street", n, 0, 0, None) for n in range(1, 5)],
]


def table() -> pa.Table:
    rows = [(f"{code[:15]}{n:04d}", *rest) for code, n, *rest in ROWS]
    return pa.Table.from_pylist(
        [dict(zip(SCHEMA.names, row, strict=True)) for row in rows], schema=SCHEMA
    )


@pytest.fixture
def town(engine: sa.Engine) -> sa.Engine:
    """A map of one city with its address base."""
    shapes = [shapely.box(120 + w / 50, 30 + s / 50, 120 + e / 50, 30 + n / 50) for *_, (w, s, e, n) in UNITS]  # fmt: skip
    frame = gpd.GeoDataFrame(
        {
            "code": [one[0] for one in UNITS],
            "level": [one[1] for one in UNITS],
            "name": [one[2] for one in UNITS],
        },
        geometry=shapes,
        crs=4326,
    )
    with transaction(engine) as connection:
        boundaries.import_units(
            connection, pack=PACK, label="1", frame=frame,
            layout=load_layout(yaml.safe_load(LAYOUT.read_text(encoding="utf-8"))),
            notes=Notes(),
        )  # fmt: skip
    address_base.store(engine, PACK, table(), "made", simulated=True)
    return engine


@pytest.fixture
def ground(town: sa.Engine) -> address_resolve.Ground:
    with town.connect() as connection:
        return address_resolve.Addresses().ground(connection, PACK)


def test_a_base_is_read_as_it_was_stored(ground: address_resolve.Ground) -> None:
    assert ground.resolve("西湖区文三路7号").code == "3301060030510010007"
    assert ground.resolve("老阳光3幢1单元502").code == "330106003051002005301050502"
    assert ground.resolve("人民路2号").status == "ambiguous"


def test_bad_rows_are_refused_with_their_line_and_the_good_are_kept(town: sa.Engine) -> None:
    good = table().slice(0, 3).to_pylist()
    bad = [
        {**good[0], "code": "999901"},
        {**good[0], "code": "3.30106E+17"},
        {**good[0], "kind": "house"},
        {**good[0], "place": "  "},
        {**good[0], "number": -1},
        {**good[0], "place": "文三路 13800138000"},
        {**good[0], "aliases": "浙A12345"},
    ]
    rows = pa.Table.from_pylist([*good, *bad], schema=SCHEMA)
    report = address_base.store(town, PACK, rows, "second", simulated=False)
    assert report.stored == 3
    assert dict(report.reasons) == {
        "unknown_code": 2, "unknown_kind": 1, "no_place": 1, "negative": 1, "person": 2,
    }  # fmt: skip
    assert report.rejects[0] == (5, "unknown_code", "999901")
    assert all("138" not in value for *_, value in report.rejects)


def test_a_base_without_a_good_row_leaves_the_old_one(town: sa.Engine) -> None:
    rows = pa.Table.from_pylist([{**table().to_pylist()[0], "code": "99"}], schema=SCHEMA)
    with pytest.raises(Invalid, match="no row"):
        address_base.store(town, PACK, rows, "bad", simulated=False)
    with town.connect() as connection:
        assert address_base.described(connection, PACK) == ("made", True)
        assert address_base.read_rows(connection, PACK).num_rows == len(ROWS)


def test_what_is_learnt_is_known_at_once(town: sa.Engine) -> None:
    known = address_resolve.Addresses()
    with town.connect() as connection:
        first = known.ground(connection, PACK)
        assert known.ground(connection, PACK) is first
    with transaction(town) as connection:
        uncertain = [
            (text, first.resolve(text)) for text in ("人民路2号3单元", "人民路2号", "小阳光4幢")
        ]
        assert address_resolve.queue(connection, PACK, uncertain) == 2
        assert address_resolve.queue(connection, PACK, uncertain) == 2
        items = address_resolve.review(connection, PACK, "open", 10)
    assert {(one.text, one.seen) for one in items} == {("人民路2号", 2), ("小阳光4幢", 2)}


def test_without_a_base_the_error_says_what_to_do(engine: sa.Engine) -> None:
    with engine.connect() as connection, pytest.raises(NotFound, match="addresses import"):
        address_resolve.Addresses().ground(connection, "nowhere")


@pytest.fixture
def house(
    town: sa.Engine, db_url: str, tmp_path: Path
) -> Iterator[tuple[TestClient, dict[str, dict[str, str]]]]:
    """The application with accounts, and headers of programs of several desks."""
    settings = Settings(database=DatabaseSettings(url=db_url), data_dir=tmp_path, access="accounts")
    headers = {}
    with transaction(town) as connection:
        for name, role, prefixes in [
            ("all", Role.analyst, None), ("west", Role.analyst, ["330106"]),
            ("east", Role.analyst, ["330109"]), ("viewer", Role.viewer, ["330106"]),
        ]:  # fmt: skip
            made = accounts.create(connection, name, role, kind="program", prefixes=prefixes)
            _, token = accounts_tokens.create(
                connection, account=made.id, title="addresses", scopes=sorted(MAY[role]), days=1,
                longest=1,
            )  # fmt: skip
            headers[name] = {"Authorization": f"Bearer {token}"}
    with TestClient(create_app(settings)) as client:
        yield client, headers


def ask(client: TestClient, headers: dict[str, str], *texts: str) -> list[dict[str, Any]]:
    answer = client.post(
        "/api/addresses/resolve", json={"pack": PACK, "addresses": list(texts)}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["answers"]
    return found


def test_over_http(house: tuple[TestClient, dict[str, dict[str, str]]]) -> None:
    client, headers = house
    first, second = ask(client, headers["all"], "西湖区文三路21号", "人民路2号")
    assert first["code"] == "3301060030510020001"
    assert first["level"] == "building"
    assert first["name"] == "杭州市西湖区翠苑街道翠苑一区社区翠苑一区社区第2网格"
    assert (second["status"], second["certain"]) == ("ambiguous", False)
    assert {one["code"] for one in second["candidates"]} == {
        "3301060030510010072", "3301090072010010002",
    }  # fmt: skip
    assert second["reasons"][-1] == "several"


def test_an_answer_names_nothing_of_the_neighbour(
    house: tuple[TestClient, dict[str, dict[str, str]]],
) -> None:
    client, headers = house
    own, theirs, both = ask(
        client, headers["east"], "萧山区人民路2号", "西湖区文三路21号", "人民路2号"
    )
    assert own["code"] == "3301090072010010002"
    assert (theirs["status"], theirs["code"], theirs["reasons"]) == ("none", None, ["outside"])
    assert [one["code"] for one in both["candidates"]] == ["3301090072010010002"]
    assert "330106" not in json.dumps([own, theirs, both])


def test_the_queue_is_settled_by_its_jurisdiction_and_learnt_from(
    house: tuple[TestClient, dict[str, dict[str, str]]], town: sa.Engine
) -> None:
    client, headers = house
    with transaction(town) as connection:
        ground = address_resolve.Addresses().ground(connection, PACK)
        texts = ["西湖区电子大楼4幢", "人民路3号", "萧山区某地"]
        address_resolve.queue(connection, PACK, [(one, ground.resolve(one)) for one in texts])
    address = f"/api/addresses/review?pack={PACK}"
    assert client.get(address, headers=headers["viewer"]).status_code == 403
    whole = client.get(address, headers=headers["all"]).json()["items"]
    assert {one["text"] for one in whole} == {"西湖区电子大楼4幢", "人民路3号", "萧山区某地"}
    west = client.get(address, headers=headers["west"]).json()["items"]
    assert [one["text"] for one in west] == ["西湖区电子大楼4幢"]
    item = west[0]["id"]
    settle = f"/api/addresses/review/{item}"
    assert client.post(settle, json={"code": "330106003051002"}, headers=headers["east"]).status_code == 404  # fmt: skip
    wrong = client.post(settle, json={"code": "99"}, headers=headers["west"])
    assert wrong.status_code == 422
    body = {
        "code": "330106003051002", "alias": {"name": "电子大楼", "place": "阳光花园"},
    }  # fmt: skip
    done = client.post(settle, json=body, headers=headers["west"])
    assert done.status_code == 200, done.text
    assert (done.json()["state"], done.json()["settled_code"]) == ("settled", "330106003051002")
    again = client.post(settle, json=body, headers=headers["west"])
    assert again.status_code == 409
    (exact, learnt) = ask(client, headers["west"], "西湖区电子大楼4幢2单元301室", "电子大楼3幢")
    assert (exact["code"], exact["reasons"], exact["certain"]) == (
        "330106003051002", ["settled"], True,
    )  # fmt: skip
    assert learnt["code"] == "3301060030510020053"


def test_a_decision_that_says_nothing_dismisses(
    house: tuple[TestClient, dict[str, dict[str, str]]], town: sa.Engine
) -> None:
    client, headers = house
    with transaction(town) as connection:
        ground = address_resolve.Addresses().ground(connection, PACK)
        address_resolve.queue(connection, PACK, [("不知何处9号", ground.resolve("不知何处9号"))])
    address = f"/api/addresses/review?pack={PACK}"
    item = client.get(address, headers=headers["all"]).json()["items"][0]["id"]
    settle = f"/api/addresses/review/{item}"
    odd = {"alias": {"name": "不知何处"}}
    assert client.post(settle, json=odd, headers=headers["all"]).status_code == 422
    person = {"code": "330106", "alias": {"name": "何处13800138000"}}
    assert client.post(settle, json=person, headers=headers["all"]).status_code == 422
    done = client.post(settle, json={}, headers=headers["all"])
    assert done.json()["state"] == "dismissed"


def test_a_feed_is_located_by_its_addresses_and_the_uncertain_wait(
    town: sa.Engine, tmp_path: Path
) -> None:
    file = tmp_path / "feed.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["reference", "kind", "time", "address"])
        for n, text in enumerate(
            [
                "西湖区文三路21号",
                "闻三路22号",
                "人民路2号",
                "萧山区瓜沥镇",
                "阳光花园2幢1单元302",
            ]
        ):
            writer.writerow([f"A{n}", "theft", f"2024-05-0{n + 1} 08:00", text])
    mapping = {
        "source": "desk", "scene": "nine-kinds", "time_zone": "Asia/Shanghai",
        "columns": {"reference": "reference", "kind": "kind", "time": "time", "address": "address"},
    }  # fmt: skip
    report = import_file(
        town, file, pack=PACK, mapping=mapping, now=datetime(2024, 6, 1, tzinfo=UTC)
    )
    assert report.new == 5
    with town.connect() as connection:
        codes = connection.execute(
            sa.text(
                "select e.reference, u.code, e.located_by from event e left join unit u on "
                "u.id = e.unit_id and u.boundary_version_id = e.boundary_version_id order by 1"
            )
        ).all()
        queue = address_resolve.review(connection, PACK, "open", 10)
    assert [tuple(row) for row in codes] == [
        ("A0", "330106003051002", "address"),
        ("A1", None, "none"),
        ("A2", None, "none"),
        ("A3", "330109007", "address"),
        ("A4", "330106003051002", "address"),
    ]
    assert {one.text for one in queue} == {"闻三路22号", "人民路2号"}
    assert report.review == 2


def test_texts_of_a_feed_wait_for_no_neighbour(
    town: sa.Engine, ground: address_resolve.Ground, tmp_path: Path
) -> None:
    mapping = {
        "source": "desk", "scene": "nine-kinds", "time_zone": "Asia/Shanghai",
        "columns": {"reference": "reference", "kind": "kind", "time": "time", "address": "address"},
    }  # fmt: skip
    texts = {"闻三路22号": "330106", "萧山区人名路": "330109", "人民路2号": "3301"}
    for text, code in texts.items():
        found = ground.resolve(text)
        assert not found.certain
        assert found.code[:6] == code, (text, found)
    with transaction(town) as connection:
        feed = feeds.add(
            connection,
            pack=PACK,
            name="desk",
            adapter="push",
            mapping=mapping,
            settings={},
            code="330106",
        )
    rows = [
        {"reference": str(n), "kind": "theft", "time": "2024-05-01 08:00", "address": text}
        for n, text in enumerate(texts)
    ]
    batch = Batch(key="k", origin="test", chunk=chunk_of(rows, feed.mapping), point=None)
    Taker(town, tmp_path / "locate").take(feed, batch)
    with town.connect() as connection:
        queue = address_resolve.review(connection, PACK, "open", 10)
    assert {one.text for one in queue} == {"闻三路22号", "人民路2号"}


def test_the_command_line(
    town: sa.Engine, db_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WUSETU_DATABASE_URL", db_url)

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, ["addresses", *words])
        return done.exit_code, done.output

    pyarrow.csv.write_csv(table(), tmp_path / "base.csv")
    code, said = run("import", str(tmp_path / "base.csv"), "--pack", PACK, "--source", "file")
    assert (code, said.split()[0]) == (0, str(len(ROWS)))
    (tmp_path / "names.csv").write_text("name,code\n旧西湖县,330106\n", encoding="utf-8")
    assert run("names", str(tmp_path / "names.csv"), "--pack", PACK) == (0, "1 names\n")
    asked, answered = tmp_path / "asked.csv", tmp_path / "answered.csv"
    asked.write_text("id,where\n1,旧西湖县文三路3号\n2,人民路2号\n", encoding="utf-8")
    code, said = run(
        "resolve", str(asked), str(answered), "--pack", PACK, "--column", "where", "--review"
    )
    assert (code, said.splitlines()) == (
        0, ["1 in the review queue", "2 addresses: 1 ambiguous, 1 found"],
    )  # fmt: skip
    rows = list(csv.DictReader(answered.open(encoding="utf-8")))
    assert [row["resolved_code"] for row in rows] == ["3301060030510010003", "3301"]
    assert [row["id"] for row in rows] == ["1", "2"]
    code, said = run("resolve", str(asked), str(asked), "--pack", PACK)
    assert code != 0
    code, _ = run("sample", "--pack", PACK, "--addresses", "300", "--noisy", str(tmp_path / "noisy.csv"), "--noisy-rows", "40")  # fmt: skip
    assert code == 0
    assert len((tmp_path / "noisy.csv").read_text(encoding="utf-8").splitlines()) == 41


def test_a_file_without_its_columns_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "base.csv"
    file.write_text("place,kind\n文三路,street\n", encoding="utf-8")
    with pytest.raises(Invalid, match="no column code"):
        address_base.read_file(file)
    file.write_text("code,place,kind,number\n3301,文三路,street,many\n", encoding="utf-8")
    with pytest.raises(Invalid, match="cannot be read"):
        address_base.read_file(file)
    with pytest.raises(NotFound):
        address_base.read_file(tmp_path / "none.csv")
