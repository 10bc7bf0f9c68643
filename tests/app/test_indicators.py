"""Indicators from a scene file to the API: a scene written here, fed here, asked over HTTP.

The scene exists nowhere in the program: what works for it works for any.
"""

from __future__ import annotations

import csv
import uuid
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from fastapi.testclient import TestClient

from app.cli.indicators import command as indicators_command
from app.cli.scene import command as scene_command
from app.database import claim, make_engine, make_web_engine, transaction
from app.errors import Conflict, Invalid, NotFound
from app.main import create_app
from app.services import indicator_feeds, indicator_register, indicator_run, scene_store
from app.services.indicator_values import Question, league, values
from app.services.indicators import feed_states, newest_run, scene_detail
from app.services.scenes import Scene, load_scene, parse_scene

from .conftest import Small, install, settings_for

TODAY = date(2025, 6, 30)
ZONE = "Asia/Shanghai"
# parks of a city nobody else knows
PARKS = """
name: parks
title: {zh: 公园, en: Parks}
version: 1
levels: [city, county, town]
calendar: [month, year]
measures:
  resident: {zh: 常住人口, en: Residents, unit: {zh: 人, en: people}}
events:
  - {id: bicycles, zh: 偷盗, en: Thefts, kinds: [theft]}
feeds:
  - id: keepers
    zh: 管理员
    en: Keepers
    every: month
    stops_after: 2
    measures:
      - {id: visits, zh: 游客, en: Visits, unit: {zh: 人次, en: visits}}
      - {id: complaints, zh: 投诉, en: Complaints, unit: {zh: 件, en: complaints}}
      - {id: lamps, zh: 路灯, en: Lamps, unit: {zh: 盏, en: lamps}, stock: true}
      - {id: lamps_lit, zh: 亮灯, en: Lamps lit, unit: {zh: 盏, en: lamps}, stock: true}
indicators:
  zh: 公园指数
  en: Park index
  fields:
    - id: order
      zh: 秩序
      en: Order
      weight: 0.6
      groups:
        - id: order_group
          zh: 秩序
          en: Order
          indicators:
            - {id: theft_rate, zh: 盗窃, en: Theft, type: rate, of: bicycles, per: {measure: resident, factor: 10000}, risk: true}
            - {id: complaint_rate, zh: 投诉, en: Complaints, type: rate, of: complaints, per: {measure: visits, factor: 1000}, goalposts: {worst: 20, best: 0}}
    - id: light
      zh: 照明
      en: Light
      weight: 0.4
      groups:
        - id: light_group
          zh: 照明
          en: Light
          indicators:
            - {id: lit, zh: 亮灯率, en: Lamps lit, type: share, of: lamps_lit, per: {measure: lamps}, direction: rise, bands: [{class: red, up_to: 60}, {class: orange, up_to: 80}, {class: green}]}
ranking: {by: total}
escalation:
  - {step: remind, when: {colour: red}}
"""
TOWNS = ["330101001", "330101002", "330101003", "330102001", "330102002"]


def feed(path: Path, months: list[str], *, without: str = "") -> Path:
    """Write a feed: town number n has n complaints among 1,000 visits, and 50 n of 100 lamps lit."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["code", "period", "measure", "value"])
        for month in months:
            for n, town in enumerate(TOWNS, start=1):
                if town == without:
                    continue
                writer.writerow([town, month, "visits", 1000])
                writer.writerow([town, month, "complaints", 5 * n])
                writer.writerow([town, month, "lamps", 100])
                writer.writerow([town, month, "lamps_lit", min(100, 40 + 15 * n)])
    return path


MONTHS = [f"{year}-{month:02d}" for year in (2023, 2024) for month in range(1, 13)]


def imported(engine: sa.Engine, scene: Scene, path: Path) -> indicator_feeds.Report:
    """Import a feed of the small map."""
    return indicator_feeds.import_values(
        engine, path, scene=scene, pack="small", source="keepers", today=TODAY
    )


def _admin(cluster: Any, *statements: str) -> None:
    engine = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.fixture(scope="module")
def ready(
    cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Small, Scene]]:
    """Name of a database with the small map and the scene fed and computed; tests get copies."""
    name = f"p_{uuid.uuid4().hex[:12]}"
    _admin(cluster, f"create database {name} template {template} strategy file_copy")
    engine = make_engine(cluster.url(name))
    small = install(engine)
    folder = tmp_path_factory.mktemp("parks")
    path = folder / "parks.yaml"
    path.write_text(PARKS, encoding="utf-8")
    scene = load_scene(path)
    report = imported(engine, scene, feed(folder / "feed.csv", MONTHS))
    assert (report.stored, report.rejected) == (24 * 5 * 4, 0)
    indicator_run.run(engine, scene, "small", zone=ZONE)
    engine.dispose()
    yield name, small, scene
    _admin(cluster, f"drop database {name} with (force)")


@pytest.fixture
def db_url(cluster: Any, ready: tuple[str, Small, Scene]) -> Iterator[str]:
    """URL of a copy of this test alone."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    _admin(cluster, f"create database {name} template {ready[0]} strategy file_copy")
    yield cluster.url(name)
    _admin(cluster, f"drop database {name} with (force)")


@pytest.fixture
def small(ready: tuple[str, Small, Scene]) -> Small:
    """The small map, as it stands in every copy."""
    return ready[1]


@pytest.fixture
def parks(ready: tuple[str, Small, Scene], tmp_path: Path) -> Scene:
    """The scene, in a file of a temporary folder too; fed and computed once."""
    (tmp_path / "parks.yaml").write_text(PARKS, encoding="utf-8")
    return ready[2]


def test_a_scene_nobody_knows_works_from_end_to_end(
    parks: Scene, small: Small, engine: sa.Engine, db_url: str
) -> None:
    with TestClient(create_app(settings_for(db_url))) as client:
        listed = {one["name"]: one for one in client.get("/api/scenes").json()["scenes"]}
        assert listed["parks"] | {"applied_at": None} == {
            "name": "parks", "title": {"zh": "公园", "en": "Parks"}, "version": 1, "kinds": 0,
            "indicators": 3, "applied_at": None, "packs": ["small"],
        }  # fmt: skip
        assert listed["nine-kinds"]["packs"] == []
        scene = client.get("/api/scenes/parks").json()
        assert [field["weight"] for field in scene["tree"]["fields"]] == [0.6, 0.4]
        # only what has a score weighs: both of the first group, the one of the second
        assert [
            [one["weight"] for one in group["indicators"]]
            for field in scene["tree"]["fields"]
            for group in field["groups"]
        ] == [[0.5, 0.5], [1.0]]
        run = scene["runs"][0]
        assert run["levels"] == ["city", "county", "town"]
        assert [len(run["periods"][one]) for one in ("month", "year")] == [24, 2]
        asked = client.get("/api/indicators/parks/values?level=town&period=month&ord=16")
        assert asked.status_code == 200
        body = asked.json()
        assert body["start"] == "2024-05-01"
        rows = {(row["indicator"], row["code"]): row for row in body["rows"]}
        assert rows["complaint_rate", TOWNS[2]]["printed"] == "15.00"
        assert rows["complaint_rate", TOWNS[2]]["score"] == 25
        assert rows["lit", TOWNS[0]]["class"] == "red"
        assert rows["lit", TOWNS[0]]["step"] == "remind"
        assert rows["lit", TOWNS[1]]["class"] == "orange"
        assert rows["lit", TOWNS[4]]["class"] == "green"
        assert len(rows["lit", TOWNS[4]]["series"]) == 12
        same = rows["complaint_rate", TOWNS[2]]["change"]["last_year"]
        assert same["ratio"] == 1
        assert same["low"] < 1 < same["high"]
        # thefts are those of the map, counted by unit and local month
        wanted = sum(
            TOWNS[0] in small.ancestors(one.unit) for one in small.events
            if one.kind == "theft" and (one.at.year, one.at.month) == (2024, 5)
        )  # fmt: skip
        assert rows["theft_rate", TOWNS[0]]["numerator"] == wanted
        people = small.exposures[TOWNS[0]]["resident"]
        assert rows["theft_rate", TOWNS[0]]["value"] == pytest.approx(1e4 * wanted / people)
        # a county has what its towns add up to
        county = client.get("/api/indicators/parks/values?level=county&ord=16&indicator=lit").json()
        assert {row["code"]: row["value"] for row in county["rows"]} == {
            "330101": pytest.approx((55 + 70 + 85) / 3), "330102": pytest.approx(100),
        }  # fmt: skip
        table = client.get(
            "/api/indicators/parks/league?level=town&ord=16&indicator=complaint_rate"
        )
        assert [row["code"] for row in table.json()["rows"]] == TOWNS
        assert [row["rank"] for row in table.json()["rows"]] == [1, 2, 3, 4, 5]
        total = client.get("/api/indicators/parks/league?level=town&ord=16").json()
        assert total["direction"] == "rise"
        assert [row["value"] for row in total["rows"]] == sorted(
            (row["value"] for row in total["rows"]), reverse=True
        )
        inside = client.get("/api/indicators/parks/league?level=town&ord=16&within=330102").json()
        assert {row["code"] for row in inside["rows"]} == set(TOWNS[3:])
        assert inside["of"] == 5  # ranks are among all
        for address, status in {
            "/api/scenes/none": 404,
            "/api/indicators/none/values?level=town": 404,
            "/api/indicators/parks/values?level=grid": 404,
            "/api/indicators/parks/values?level=town&period=day": 404,
            "/api/indicators/parks/values?level=town&ord=24": 404,
            "/api/indicators/parks/values?level=town&indicator=none": 404,
            "/api/indicators/parks/values?level=town&within=9": 404,
            "/api/indicators/parks/values?level=town&pack=other": 404,
            "/api/indicators/parks/league?level=town&indicator=none": 404,
            "/api/indicators/parks/values": 422,
            "/api/indicators/parks/values?level=town&period=week": 422,
        }.items():
            assert client.get(address).status_code == status, address
    assert parks.indicators is not None
    with engine.connect() as connection:
        detail = scene_detail(connection, "parks")
    assert detail.runs[0].feeds[0].stopped is None


def test_totals_are_the_weighted_means_of_what_they_are_made_of(
    parks: Scene, engine: sa.Engine
) -> None:
    with engine.connect() as connection:
        found = values(connection, "parks", "small", Question("town", "month", 16))
    score = {(row.indicator, row.code): row.score for row in found.rows}
    assert parks.indicators is not None
    for town in TOWNS:
        parts = [score[one, town] or 0.0 for one in ("theft_rate", "complaint_rate")]
        order, light = sum(parts) / 2, score["light", town] or 0.0
        assert score["order", town] == pytest.approx(order)
        assert score["total", town] == pytest.approx(0.6 * order + 0.4 * light)


def test_a_broken_scene_never_replaces_a_working_one(
    parks: Scene, engine: sa.Engine, db_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WUSETU_DATABASE_URL", db_url)
    broken = tmp_path / "broken.yaml"
    broken.write_text(PARKS.replace("weight: 0.4", "weight: 0.5"), encoding="utf-8")
    runner = CliRunner()
    found = runner.invoke(scene_command, ["apply", str(broken)])
    assert isinstance(found.exception, Invalid)
    # another one under the same number is refused, too
    other = tmp_path / "other.yaml"
    other.write_text(PARKS.replace("worst: 20", "worst: 30"), encoding="utf-8")
    found = runner.invoke(scene_command, ["apply", str(other)])
    assert isinstance(found.exception, Conflict)
    assert "give it version 2" in str(found.exception)
    with engine.connect() as connection:
        assert scene_store.find(connection, "parks").scene == parks
    # under the next number it comes into force; the old run keeps its own
    other.write_text(
        PARKS.replace("worst: 20", "worst: 30").replace("version: 1", "version: 2"),
        encoding="utf-8",
    )
    said = runner.invoke(scene_command, ["apply", str(other)])
    assert "scene parks, version 2, is in force now" in said.output
    assert "is in force already" in runner.invoke(scene_command, ["apply", str(other)]).output
    with engine.connect() as connection:
        assert scene_store.find(connection, "parks").version == 2
        kept = newest_run(connection, "parks").scene
        assert kept == parks
        assert [one.version for one in scene_detail(connection, "parks").versions] == [2, 1]
    said = runner.invoke(scene_command, ["diff", str(tmp_path / "parks.yaml"), str(other)])
    assert said.exit_code == 1
    place = "indicators.fields.order.groups.order_group.indicators.complaint_rate.goalposts.worst"
    assert said.output.splitlines() == ["~ version: 1 → 2", f"~ {place}: 20.0 → 30.0"]
    for statement in ("update scene_version set version = 9", "update indicator_run set pack = 'x'",
                      "update indicator_result set code = 'x'"):  # fmt: skip
        with pytest.raises(sa.exc.DBAPIError, match="never changed"), engine.begin() as connection:
            connection.exec_driver_sql(statement)


def test_an_old_run_is_read_as_it_was(parks: Scene, engine: sa.Engine, tmp_path: Path) -> None:
    del parks
    changed = parse_scene(
        PARKS.replace("up_to: 60", "up_to: 10").replace("version: 1", "version: 2"), "parks"
    )
    asked = Question("town", "month", 16, None, "lit")

    def classes() -> list[str | None]:
        with engine.connect() as connection:
            return [row.class_ for row in values(connection, "parks", None, asked).rows]

    before = classes()
    with transaction(engine) as connection:
        scene_store.apply(connection, changed)
    assert classes() == before == ["red", "orange", "green", "green", "green"]
    indicator_run.run(engine, changed, "small", zone=ZONE)
    assert classes() == ["orange", "orange", "green", "green", "green"]
    assert indicator_run.prune(engine, "parks", "small", 1) == 1
    del tmp_path


def test_a_feed_that_stops_is_named_and_is_no_data(
    parks: Scene, engine: sa.Engine, small: Small, tmp_path: Path
) -> None:
    del small
    with engine.begin() as connection:
        connection.execute(sa.text("delete from indicator_value where start >= '2024-06-01'"))
        connection.execute(sa.text("update indicator_feed set through = '2024-06-01'"))
    made = indicator_run.run(engine, parks, "small", zone=ZONE)
    assert len(made.stopped) == 1
    assert "feed keepers (管理员) has stopped: nothing since 2024-05-31" in made.stopped[0]
    with engine.connect() as connection:
        found = values(connection, "parks", "small", Question("town", "month", 20))
        states = {one.id: one.stopped for one in found.feeds}
        assert states["events"] is None
        assert states["keepers"] == made.stopped[0]
        by = {(row.indicator, row.code): row.value for row in found.rows}
        assert by["complaint_rate", TOWNS[0]] is None  # never 0, never the last one
        assert by["theft_rate", TOWNS[0]] is not None
        # by today both have stopped; what was covered is told
        now = {one.feed: one for one in feed_states(connection, TODAY)}
    assert now["keepers"].stopped == "stopped: nothing since 2024-05-31"
    # it goes on again, with one town missing: the county is not known, nothing is made up
    late = feed(tmp_path / "late.csv", MONTHS[17:], without=TOWNS[1])
    imported(engine, parks, late)
    made = indicator_run.run(engine, parks, "small", zone=ZONE)
    assert made.stopped == []
    with engine.connect() as connection:
        found = values(connection, "parks", None, Question("county", "month", 20, None, "lit"))
    assert {row.code: row.value for row in found.rows} == {"330101": None, "330102": 100.0}


def test_a_share_of_a_part_of_a_month_is_compared_as_it_is(
    parks: Scene, engine: sa.Engine, tmp_path: Path
) -> None:
    """Numerator and denominator are both of those ten days: only a state is counted by the day."""
    del parks
    text = PARKS.replace("name: parks", "name: gates").replace("every: month", "every: day")
    scene = parse_scene(text.replace("calendar: [month, year]", "calendar: [day, month]"))
    days = [f"2025-05-{day:02d}" for day in range(1, 32)]
    days += [f"2025-06-{day:02d}" for day in range(1, 11)]
    path = feed(tmp_path / "days.csv", days)
    imported(engine, scene, path)
    indicator_run.run(engine, scene, "small", zone=ZONE)
    with engine.connect() as connection:
        found = values(connection, "gates", "small", Question("town", "month", 28))
        row = next(
            one for one in found.rows if (one.indicator, one.code) == ("complaint_rate", TOWNS[2])
        )
    assert not found.complete
    assert (row.value, row.numerator, row.denominator) == (15, 150, 10_000)
    assert row.change.previous is not None
    assert row.change.previous.value == 15
    assert row.change.previous.ratio == pytest.approx(1)


def test_division_by_0_is_named_and_is_no_value(
    parks: Scene, engine: sa.Engine, tmp_path: Path
) -> None:
    path = tmp_path / "zero.csv"
    path.write_text(f"code,period,measure,value\n{TOWNS[0]},2024-03,visits,0\n", encoding="utf-8")
    imported(engine, parks, path)
    made = indicator_run.run(engine, parks, "small", zone=ZONE)
    (note,) = [one for one in made.notes if one["level"] == "town"]
    assert note["text"] == (
        f"complaint_rate of {TOWNS[0]}: visits is 0 in 1 month(s) from 2024-03-01: "
        "division by 0, no value"
    )
    with engine.connect() as connection:
        found = values(connection, "parks", None, Question("town", "month", 14, TOWNS[0]))
        told = scene_detail(connection, "parks").runs[0].notes
    (row,) = [one for one in found.rows if one.indicator == "complaint_rate"]
    assert (row.value, row.printed, row.numerator, row.denominator) == (None, "—", 5, 0)
    assert note["text"] in told


def test_bad_rows_are_named_and_good_ones_kept(
    small: Small, engine: sa.Engine, tmp_path: Path
) -> None:
    del small
    scene = parse_scene(PARKS.replace("name: parks", "name: lawns"))
    path = tmp_path / "feed.csv"
    rows = [
        (TOWNS[0], "2024-01", "visits", "10"),
        ("", "2024-01", "visits", "10"),
        ("990101001", "2024-01", "visits", "10"),
        (TOWNS[0], "2024-01", "noise", "10"),
        (TOWNS[0], "01/2024", "visits", "10"),
        (TOWNS[0], "2024-13", "visits", "10"),
        (TOWNS[0], "2024-01-05", "visits", "10"),
        (TOWNS[0], "2027-01", "visits", "10"),
        (TOWNS[0], "1901-01", "visits", "10"),
        (TOWNS[0], "2024-02", "visits", ""),
        (TOWNS[0], "2024-02", "visits", "many"),
        (TOWNS[0], "2024-02", "visits", "-1"),
        (TOWNS[0], "2024-02", "visits", "inf"),
        (f"{TOWNS[0]}{'0' * 18}", "2024-01", "visits", "12"),
        (TOWNS[1], "2024", "visits", "99"),
    ]
    path.write_text(
        "code,period,measure,value\n" + "".join(",".join(row) + "\n" for row in rows),
        encoding="utf-8",
    )
    report = imported(engine, scene, path)
    assert [(one.line, one.column, one.reason) for one in report.broken] == [
        (3, "code", "code_empty"), (4, "code", "unknown_code"), (5, "measure", "unknown_measure"),
        (6, "period", "bad_period"), (7, "period", "bad_period"), (8, "period", "too_fine"),
        (9, "period", "future"), (10, "period", "early"), (11, "value", "missing_value"),
        (12, "value", "bad_value"), (13, "value", "negative"), (14, "value", "bad_value"),
        (15, "code", "repeated"),
    ]  # fmt: skip
    assert (report.rows, report.stored) == (15, 2)
    again = imported(engine, scene, path)
    assert (again.stored, again.unchanged) == (0, 2)
    (tmp_path / "odd.csv").write_text("code,month,value\n1,2,3\n", encoding="utf-8")
    with pytest.raises(Invalid, match=r"no column 'period', 'measure'; its columns are 'code'"):
        imported(engine, scene, tmp_path / "odd.csv")
    with pytest.raises(NotFound):
        imported(engine, scene, tmp_path / "none.csv")
    with pytest.raises(Invalid, match="neither a map nor units"):
        indicator_feeds.import_values(engine, path, scene=scene, pack="nowhere", today=TODAY)


@pytest.mark.parametrize("due", ["0001-01-05", "1025-03-01"])
def test_a_thing_that_ran_out_before_all_records_is_a_slip(
    due: str, engine: sa.Engine, small: Small, tmp_path: Path
) -> None:
    """A year with a digit wrong would make panels of every day since."""
    del small
    path = tmp_path / "items.csv"
    path.write_text(
        f"reference,code,kind,due\nA-1,330101001,lease,{due}\nA-2,330101001,lease,2025-07-01\n",
        encoding="utf-8",
    )
    scene = load_scene("village-warnings")
    report = indicator_register.import_items(
        engine, path, scene=scene, pack="small", deadline=scene.deadlines[0].id, as_of=TODAY
    )
    assert report.stored == 1
    assert [(one.column, one.reason) for one in report.broken] == [("due", "early")]


def test_units_and_things_that_run_out_hold_nothing_of_persons(
    small: Small, engine: sa.Engine, tmp_path: Path
) -> None:
    del small
    units = tmp_path / "units.csv"
    units.write_text(
        "code,level,name,parent,lon,lat\n"
        "SITE-1,site,工地一,330101001,119.2,29.2\n"
        "SITE-2,site,工地二,330101001,,\n"
        "SITE-3,Site!,工地三,330101001,,\n"
        "SITE-4,site,工地四,,,\n"
        "SITE-5,site,工地五,990000,,\n"
        "SITE-6,site,工地六,330101001,119,\n"
        "SITE-7,site,工地七,330101001,300,29\n"
        "SITE-8,site,13800138000,330101001,,\n"
        "330101001,site,镇,330101,,\n"
        ",site,无,330101001,,\n",
        encoding="utf-8",
    )
    report = indicator_register.import_units(engine, units, pack="small")
    assert report.stored == 2
    assert [(one.line, one.column, one.reason) for one in report.broken] == [
        (4, "level", "bad_level"), (5, "parent", "no_parent"), (6, "parent", "unknown_parent"),
        (7, "lon", "half_a_point"), (8, "lon", "bad_point"), (9, "name", "person"),
        (10, "code", "on_map"), (11, "code", "bad_code"),
    ]  # fmt: skip
    assert report.broken[5].value == "(withheld)"
    scene = load_scene("village-warnings")
    items = tmp_path / "items.csv"
    items.write_text(
        "reference,code,kind,due,done,important\n"
        "C1,SITE-1,lease,2024-03-31,,1\n"
        "C1,SITE-1,lease,2024-03-31,,1\n"
        "110105194912310021X,SITE-1,lease,2024-03-31,,\n"
        "C2,NONE,lease,2024-03-31,,\n"
        "C3,SITE-1,loan,2024-03-31,,\n"
        "C4,SITE-1,lease,soon,,\n"
        "C5,SITE-1,lease,2024-03-31,2030-01-01,\n"
        "C6,SITE-1,lease,2024-03-31,,maybe\n"
        "浙A12345,SITE-1,lease,2024-03-31,,\n",
        encoding="utf-8",
    )
    report = indicator_register.import_items(
        engine, items, scene=scene, deadline="contract", pack="small", as_of=date(2024, 4, 30)
    )
    assert report.stored == 2
    assert [(one.line, one.reason) for one in report.broken] == [
        (3, "repeated"), (5, "unknown_code"), (6, "unknown_kind"), (7, "bad_date"), (8, "future"),
        (9, "bad_flag"), (10, "person"),
    ]  # fmt: skip
    with pytest.raises(Invalid, match="no deadline 'permit'; there are contract"):
        indicator_register.import_items(
            engine, items, scene=scene, deadline="permit", pack="small", as_of=TODAY
        )


def test_a_jurisdiction_sees_its_own_and_what_is_ranked_there(
    parks: Scene, engine: sa.Engine, db_url: str
) -> None:
    del parks
    web = make_web_engine(db_url)
    try:
        with web.connect() as connection:
            claim(connection, ("330101",))
            found = values(connection, "parks", None, Question("town", "month", 16))
            assert {row.code for row in found.rows} == set(TOWNS[:3])
            table = league(
                connection, "parks", None, Question("town", "month", 16, None, "complaint_rate")
            )
            assert (table.of, [row.rank for row in table.rows]) == (3, [1, 2, 3])
            with pytest.raises(NotFound):
                values(connection, "parks", None, Question("city", "month", 16))
            with pytest.raises(NotFound):
                values(connection, "parks", None, Question("town", "month", 16, "330102"))
            detail = scene_detail(connection, "parks")
            assert detail.runs[0].levels == ["county", "town"]
            assert detail.runs[0].notes == []
            with pytest.raises(sa.exc.ProgrammingError):
                connection.exec_driver_sql("select notes from indicator_run")
    finally:
        web.dispose()
    del engine


def test_small_numbers_are_not_told(parks: Scene, engine: sa.Engine, tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    lines = ["code,period,measure,value"]
    lines += [f"{TOWNS[0]},2024-06,complaints,3", f"{TOWNS[4]},2024-08,complaints,1"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert imported(engine, parks, path).rejected == 0
    indicator_run.run(engine, parks, "small", zone=ZONE)

    def ask(level: str, ord_: int, *, small: bool) -> dict[tuple[str, str], Any]:
        question = Question(level, "month", ord_, small=small)
        with engine.connect() as connection:
            found = values(connection, "parks", None, question)
        return {(row.code, row.indicator): row for row in found.rows}

    june, rate = 17, "complaint_rate"
    whole, told = ask("town", june, small=True), ask("town", june, small=False)
    own = [told[town, rate] for town in TOWNS]
    # 3 of its county's 28: the least of its sisters goes with it, at every level the rest is told
    assert [row.printed for row in own[:2]] == ["<5", "…"]
    assert [row.value for row in own[2:]] == [whole[town, rate].value for town in TOWNS[2:]]
    for row in own[:2]:
        assert row.suppressed
        assert (row.value, row.numerator, row.denominator, row.score) == (None,) * 4
        assert (row.class_, row.colour, row.step) == (None,) * 3
        assert row.series[-1] is None
        assert all(one is not None for one in row.series[:-1])
        change = row.change.previous
        assert (change.difference, change.ratio, change.low, change.high) == (None,) * 4
    assert whole[TOWNS[0], rate].numerator == 3
    above = ask("county", june, small=False)
    assert above["330101", rate].numerator == 28
    # nor is it in the index whose only hidden part it is; of several the decimals are gone
    for town in TOWNS[:2]:
        group = told[town, "order_group"]
        alone = not told[town, "theft_rate"].suppressed
        assert group.value == (None if alone else round(whole[town, "order_group"].value))
        assert group.suppressed == alone
        assert told[town, "total"].value in {None, round(whole[town, "total"].value)}
    for town in TOWNS[2:]:
        if not told[town, "theft_rate"].suppressed:
            assert told[town, "total"].value == whole[town, "total"].value
    # the month after tells neither it nor the way from it
    later = ask("town", june + 1, small=False)[TOWNS[0], rate]
    assert later.value == ask("town", june + 1, small=True)[TOWNS[0], rate].value
    assert (later.change.previous.value, later.change.previous.difference) == (None, None)
    assert (later.series[-2], later.change.previous.ratio) == (None, None)
    with engine.connect() as connection:
        table = league(
            connection, "parks", None, Question("town", "month", june, None, rate, small=False)
        )
    assert [row.code for row in table.rows] == [*TOWNS[2:], *TOWNS[:2]]
    for row in table.rows[3:]:
        assert (row.rank, row.rank_low, row.rank_high, row.group, row.value) == (None,) * 5
        assert row.printed in {"<5", "…"}


def test_what_is_left_of_a_hundred_is_small_too(
    parks: Scene, engine: sa.Engine, tmp_path: Path
) -> None:
    body = PARKS.replace("stock: true", "stock: false").replace("name: parks", "name: parks-two")
    path = tmp_path / "two.yaml"
    path.write_text(body, encoding="utf-8")
    scene = load_scene(path)
    imported(engine, scene, feed(tmp_path / "feed.csv", MONTHS))
    few = tmp_path / "few.csv"
    few.write_text(
        f"code,period,measure,value\n{TOWNS[3]},2024-06,lamps_lit,98\n", encoding="utf-8"
    )
    imported(engine, scene, few)
    indicator_run.run(engine, scene, "small", zone=ZONE)
    with engine.connect() as connection:
        found = values(
            connection, "parks-two", None, Question("town", "month", 17, None, "lit", small=False)
        )
    # 2 of 100 lamps are out
    told = {row.code: row for row in found.rows}
    # its sister has none left: so its county is hidden as well, the other one, and a town of that
    assert [told[town].printed for town in TOWNS] == ["55.00", "70.00", "…", "…", "100.00"]
    assert told[TOWNS[3]].value is None
    assert told[TOWNS[3]].numerator is None
    assert told[TOWNS[0]].numerator == 55
    del parks


def test_from_the_command_line(
    small: Small, db_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del small
    monkeypatch.setenv("WUSETU_DATABASE_URL", db_url)
    path = tmp_path / "parks.yaml"
    path.write_text(PARKS, encoding="utf-8")
    runner = CliRunner()

    def call(*words: Any) -> str:
        found = runner.invoke(indicators_command, [str(word) for word in words])
        assert found.exception is None, found.output
        return found.output

    file = feed(tmp_path / "feed.csv", MONTHS)
    said = call("import", file, "--scene", path, "--pack", "small", "--source", "keepers")
    assert "0 new or changed, 480 unchanged, 0 rejected" in said
    said = call("run", "--scene", path, "--pack", "small")
    assert "run       2 of parks, version 1: 8 units" in said
    # from now on the scene is known by its name
    call("run", "--scene", "parks", "--pack", "small")
    assert "small        parks                keepers        2023-01-01 to 2025-01-01" in call(
        "status"
    )
    file.write_text("code,period,measure,value\n1,2,3,4\n", encoding="utf-8")
    found = runner.invoke(
        indicators_command,
        ["import", str(file), "--scene", "parks", "--pack", "small", "--rejects",
         str(tmp_path / "no.csv")],
    )  # fmt: skip
    assert found.exit_code == 3
    assert "unknown_code" in (tmp_path / "no.csv").read_text(encoding="utf-8-sig")
    said = runner.invoke(scene_command, ["check", str(path), "nine-kinds"]).output
    assert "good: parks, version 1: 2 fields, 2 groups, 3 indicators" in said
    assert "9 kinds" in said
    broken = tmp_path / "broken.yaml"
    broken.write_text(PARKS.replace("weight: 0.4", "weight: 0.5"), encoding="utf-8")
    found = runner.invoke(scene_command, ["check", str(path), str(broken)])
    assert found.exit_code == 2
    assert "broken.yaml, line 25, indicators.fields: weights of the fields add up to 1.1" in found.output  # fmt: skip


def test_a_scene_without_indicators_or_values_says_so(small: Small, engine: sa.Engine) -> None:
    del small
    with pytest.raises(Invalid, match="has no indicators"):
        indicator_run.run(engine, load_scene("nine-kinds"), "small", zone=ZONE)
    other = PARKS.replace("kinds: [theft]", "kinds: [nothing]").replace(
        "name: parks", "name: lawns"
    )
    scene = parse_scene(other)
    indicator_run.run(engine, scene, "small", zone=ZONE)  # the map's events say what is covered
    with pytest.raises(Invalid, match="nothing was imported for scene finance-health"):
        indicator_run.run(engine, load_scene("finance-health"), "small", zone=ZONE)
    with pytest.raises(NotFound, match="neither a map nor units"):
        indicator_run.run(engine, scene, "nowhere", zone=ZONE)
