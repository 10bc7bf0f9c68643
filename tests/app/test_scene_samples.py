"""Each scene that ships with a sample: its feed gives the figures its users know.

Everything goes through the ordinary imports, run and answers; no scene has code of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa

from app.api.indicator_models import IndicatorValue, League
from app.database import make_engine
from app.services import indicator_sample, indicator_values
from app.services.indicator_register import open_warnings
from app.services.indicator_values import Question
from app.services.scene_parts import STEPS
from app.services.scenes import load_scene, scene_names

TODAY = date(2026, 6, 30)
ZONE = "Asia/Shanghai"


class Sampled:
    """A scene with its sample loaded."""

    def __init__(self, engine: sa.Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        self.made = indicator_sample.load(engine, name, zone=ZONE, today=TODAY)
        self.scene = load_scene(name)

    def values(
        self, level: str, period: Any, start: str, indicator: str | None = None
    ) -> dict[tuple[str, str], IndicatorValue]:
        """Values of a period by indicator and code."""
        with self.engine.connect() as connection:
            asked = Question(level, period, self.ord(period, start), None, indicator)
            found = indicator_values.values(connection, self.name, None, asked)
        assert str(found.start) == start
        return {(row.indicator, row.code): row for row in found.rows}

    def one(self, level: str, period: Any, start: str, indicator: str) -> IndicatorValue:
        """Look up the value of the only unit of a level."""
        (found,) = self.values(level, period, start, indicator).values()
        return found

    def league(self, level: str, period: Any, start: str, indicator: str | None = None) -> League:
        """League table of a period."""
        with self.engine.connect() as connection:
            asked = Question(level, period, self.ord(period, start), None, indicator)
            return indicator_values.league(connection, self.name, None, asked)

    def ord(self, period: str, start: str) -> int:
        """Index of a period."""
        with self.engine.connect() as connection:
            found = connection.scalar(
                sa.text(
                    "select ord from indicator_period where run_id = :r and period = :p "
                    "and start = :s"
                ),
                {"r": self.made.id, "p": period, "s": start},
            )
        assert found is not None
        return int(found)


@pytest.fixture(scope="module")
def house(cluster: Any, template: str) -> Iterator[sa.Engine]:
    """One database for all samples: each has a pack of its own."""
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    name = f"s_{uuid.uuid4().hex[:12]}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name} template {template} strategy file_copy")
    engine = make_engine(cluster.url(name))
    yield engine
    engine.dispose()
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()


@pytest.fixture
def sampled(house: sa.Engine) -> Any:
    """Load a sample by name."""
    return lambda name: Sampled(house, name)


def test_every_indicator_scene_has_a_sample() -> None:
    assert indicator_sample.sample_names() == [
        name for name in scene_names() if load_scene(name).indicators
    ]


def test_nine_kinds_and_five_colours() -> None:
    scene = load_scene("nine-kinds")
    assert [kind.zh for kind in scene.kinds.values()] == [
        "访源", "黄赌毒", "偷盗", "纠纷", "电信诈骗", "火警", "交通亡人", "命案", "欠薪",
    ]  # fmt: skip
    assert [one.zh for one in scene.palette] == ["绿", "蓝", "黄", "橙", "红"]
    assert set(scene.measures) == {"resident", "floating", "firms", "dwellings"}
    assert scene.periods == ["month", "quarter", "year"]
    # a red grid becomes a task sheet that says what to check, and how
    for kind in scene.kinds:
        sheet = scene.task(kind)
        assert sheet is not None
        assert sheet.check
        assert sheet.how
    assert [one.step for one in scene.escalation] == list(STEPS)


def test_safety_report_has_seven_fields_and_33_indicators() -> None:
    scene = load_scene("safety-report")
    tree = scene.indicators
    assert tree is not None
    assert [one.zh for one in tree.fields] == [
        "刑事案件", "信访", "诉讼案件", "道路交通", "火灾", "生产安全事故", "非正常死亡",
    ]  # fmt: skip
    assert len(tree.indicators()) == 33
    assert scene.calendar == ["day", "month", "year"]
    assert scene.levels == ["city", "county", "town"]


def test_judicial_assessment_gives_the_printed_values_and_ranks(sampled: Any) -> None:
    found = sampled("judicial-assessment")
    tree = found.scene.indicators
    assert len(tree.fields) == 6
    assert len(tree.indicators()) == 29
    assert all(one.per is not None for one in tree.indicators())
    printed = {
        "private_lending_rate": {"浦东新区": ("4.43", 1), "青浦区": ("7.04", 2), "吴江区": ("16.47", 15),
                                 "嘉善县": ("17.50", 16)},
        "ip_rate": {"溧阳市": ("0.00", 1), "嘉善县": ("0.01", 6), "青浦区": ("0.02", 16),
                    "吴江区": ("1.78", 38)},
        "medical_rate": {"苍南县": ("0.03", 1), "嘉善县": ("0.07", 5), "吴江区": ("0.08", 9),
                         "青浦区": ("0.11", 18)},
    }  # fmt: skip
    for indicator, wanted in printed.items():
        table = found.league("county", "year", "2023-01-01", indicator)
        assert table.of == 100
        assert table.direction == "fall"
        rows = {row.name: row for row in table.rows}
        assert {name: (rows[name].printed, rows[name].rank) for name in wanted} == wanted
        for row in table.rows:
            assert row.rank_low <= row.rank <= row.rank_high
    # equal printed values share a rank
    ip = {row.name: row for row in found.league("county", "year", "2023-01-01", "ip_rate").rows}
    assert ip["溧阳市"].tied
    assert sum(row.rank == 1 for row in ip.values()) == 5
    # the mean of three years needs three
    early = found.values("county", "year", "2022-01-01", "ip_rate")
    assert all(row.value is None for row in early.values())


def test_longshan_turns_from_remind_to_interview(sampled: Any) -> None:
    found = sampled("longshan-index")
    scene = found.scene
    assert [one.id for one in scene.palette] == ["green", "blue", "orange", "red"]
    assert [len(one.groups) for one in scene.indicators.fields] == [1, 1, 1, 1]
    platforms = next(one for one in scene.indicators.indicators() if one.id == "dispute_rate").of
    assert len(platforms) == 11

    def story(village: str, months: range) -> list[tuple[str | None, str | None]]:
        return [
            (row.class_, row.step)
            for month in months
            for row in [
                found.values("village", "month", f"2022-{month:02d}-01", "total")[
                    "total", f"3307841082{village}"
                ]
            ]
        ]

    # red from September on: reminded, then supervised, then called in; none is skipped
    assert story("03", range(8, 13)) == [
        ("green", None), ("red", "remind"), ("red", "supervise"), ("red", "interview"),
        ("red", "interview"),
    ]  # fmt: skip
    # orange for three months: reminded in the second, supervised in the third
    assert story("07", range(4, 8)) == [
        ("green", None), ("orange", None), ("orange", "remind"), ("orange", "supervise"),
    ]  # fmt: skip
    assert story("05", range(1, 13)) == [("green", None)] * 12
    # in the last places two months running
    december = found.league("village", "month", "2022-12-01")
    last = {row.code[-2:]: row for row in december.rows}
    assert last["03"].last_places >= 3
    assert last["05"].last_places == 0
    assert max(last, key=lambda code: last[code].rank) == "03"


def test_inspection_index_is_an_index_of_indices(sampled: Any) -> None:
    found = sampled("inspection-index")
    rows = found.values("county", "month", "2023-06-01")
    xihu, binjiang = "330106", "330108"
    assert rows["discovery_rate", xihu].printed == "10.00"
    assert rows["discovery_rate", binjiang].printed == "40.00"
    assert rows["loop_index", xihu].value == pytest.approx(100)
    # notified 28 of 32, rectified 14 of 28, closed 7 of 14; goalposts 60, 50, 50 to 100
    parts = [100 * (28 / 32 - 0.6) / 0.4, 0, 0]
    assert rows["loop_index", binjiang].value == pytest.approx(0.2 * parts[0])
    days = 100 * (280 / 14 - 30) / (3 - 30)
    loop = 0.3 * days + 0.7 * 0.2 * parts[0]
    finding = 0.4 * 100 * (80 - 60) / 40 + 0.6 * 0
    assert rows["total", binjiang].value == pytest.approx(0.5 * finding + 0.5 * loop)
    city = found.values("city", "month", "2023-06-01", "discovery_rate")["discovery_rate", "3301"]
    assert city.value == pytest.approx(100 * (20 + 38 + 15 + 32) / (200 + 190 + 150 + 80))
    table = found.league("county", "month", "2023-06-01")
    assert table.rows[0].code == xihu
    assert table.rows[-1].code == binjiang


def test_finance_health_is_96_02_of_8881_firms(sampled: Any) -> None:
    found = sampled("finance-health")
    start = "2021-06-01"
    assert found.one("county", "month", start, "firms_monitored").printed == "8881"
    health = found.one("county", "month", start, "health_share")
    assert health.printed == "96.02"
    assert health.class_ == "green"
    worst = found.league("town", "month", start).rows[-1]
    assert (worst.printed, worst.class_) == ("88.86", "orange")


def test_disputes_on_building_sites_fall_by_40_per_cent(sampled: Any) -> None:
    found = sampled("building-sites")
    row = found.one("county", "year", "2022-01-01", "disputes")
    change = row.change.last_year
    assert (row.value, change.value) == (90, 150)
    assert change.ratio == pytest.approx(0.60)
    assert change.low < 0.6 < change.high < 1
    sites = found.values("facility", "year", "2022-01-01", "disputes")
    assert len(sites) == 10
    assert sum(one.value for one in sites.values()) == 90
    with found.engine.connect() as connection:
        points = connection.scalar(
            sa.text("select count(*) from scene_unit where level = 'facility' and geom is not null")
        )
    assert points == 10


def test_traffic_map_colours_villages_firms_and_schools(sampled: Any) -> None:
    found = sampled("traffic-codes")
    accidents = found.one("county", "year", "2021-01-01", "accidents").change.last_year
    deaths = found.one("county", "year", "2021-01-01", "deaths").change.last_year
    assert round(100 * (accidents.ratio - 1), 1) == -17.4
    assert round(100 * (deaths.ratio - 1), 1) == -16.9
    # village accidents are the county's but those of firms
    firms = found.values("firm", "month", "2021-12-01", "accident_rate")
    assert firms["accident_rate", "FIRM-1"].class_ == "green"
    bad = firms["accident_rate", "FIRM-4"]
    assert (bad.printed, bad.class_, bad.step) == ("7.50", "red", "interview")
    assert found.values("school", "month", "2021-12-01")["accident_rate", "SCHOOL-1"].value == 0


def test_village_warnings_by_deadline(sampled: Any) -> None:
    found = sampled("village-warnings")
    year = "2021-01-01"
    assert found.one("town", "year", year, "warnings_all").value == 942
    three = found.one("town", "year", year, "warnings_three").value
    assert three == 845
    important = found.one("town", "year", year, "important_share")
    assert important.printed == "85"
    assert (important.numerator, important.denominator) == (170, 200)
    # on a day: yellow before it runs out, red after; what was settled is not listed
    with found.engine.connect() as connection:
        open_ = open_warnings(connection, found.scene, "contract", "yinong", date(2021, 6, 30))
    assert {one.cls for one in open_} == {"yellow", "red"}
    for one in open_:
        assert one.cls == ("red" if one.due < date(2021, 6, 30) else "yellow")
        assert one.due <= date(2021, 7, 30)
    villages = found.values("village", "year", year, "warnings_all")
    assert sum(row.value for row in villages.values()) == 942
    assert len(villages) == 19


def test_league_knows_what_must_fall_and_what_must_rise(sampled: Any) -> None:
    found = sampled("safety-league")
    directions = [one.direction for one in found.scene.indicators.indicators()]
    assert (directions.count("fall"), directions.count("rise")) == (15, 7)
    table = found.league("county", "month", "2023-06-01")
    assert table.of == 14
    assert table.rows[0].name == "桐庐县"
    assert table.rows[-1].name == "钱塘区"
    assert all(row.rank_low <= row.rank <= row.rank_high for row in table.rows)
    # the middle of the table cannot be told apart, the ends can
    assert table.rows[0].group < table.rows[-1].group
    assert len({row.group for row in table.rows}) < 14
    for indicator, best in (("theft", min), ("cleared", max)):
        rows = found.league("county", "month", "2023-06-01", indicator).rows
        assert rows[0].value == best(row.value for row in rows)
    # last two places for six months: reminded, supervised, and the last one called in
    worst = found.values("county", "month", "2023-06-01", "total")["total", "330114"]
    assert worst.step == "interview"


def test_fatal_truck_accidents_fall_to_one(sampled: Any) -> None:
    found = sampled("heavy-trucks")
    by_year = {
        year: found.one("county", "year", f"{year}-01-01", "fatal_accidents").value
        for year in range(2016, 2022)
    }
    assert by_year[2016] >= 30
    assert by_year[2017] >= 30
    assert by_year[2021] == 1
    now = found.one("county", "year", "2021-01-01", "fatal_accidents").change.previous
    assert (now.value, now.ratio) == (4, None)  # too few for a ratio
    towns = found.values("town", "year", "2016-01-01", "fatal_rate")
    assert {row.class_ for row in towns.values()} & {"red", "orange", "yellow"}


def test_high_rise_fires_find_the_tower_that_burns(sampled: Any) -> None:
    found = sampled("highrise-fire")
    towers = found.values("building", "month", "2023-12-01", "fire_rate")
    assert len(towers) == 20
    worst = found.league("building", "year", "2022-01-01", "fire_rate").rows[-1]
    assert worst.code == "HR-07"
    assert towers["fire_rate", "HR-07"].class_ in {"red", "orange"}
    town = found.values("town", "year", "2022-01-01", "fires_count")
    both = found.values("building", "year", "2022-01-01", "fires_count")
    assert sum(one.value for one in both.values()) == town["fires_count", "330108001"].value


def test_ecology_watch_handles_faster_and_acts_jointly(sampled: Any) -> None:
    found = sampled("ecology-watch")
    time = found.one("county", "year", "2021-01-01", "handling_time").change.last_year
    joint = found.one("county", "year", "2021-01-01", "joint").change.last_year
    assert round(100 * (time.ratio - 1), 1) == -66.7
    assert round(100 * (joint.ratio - 1)) == 52
    assert time.low is None  # hours are no counts: no interval is made up
    assert joint.low is not None


def test_border_evaluation_compares_the_four_sides(sampled: Any) -> None:
    found = sampled("safe-border")
    rows = found.values("city", "month", "2023-12-01")
    assert rows["joined", "3308"].printed == "17"
    assert rows["in_time", "3308"].printed == "95.00"
    assert [row.name for row in found.league("city", "month", "2023-12-01").rows] == [
        "衢州市", "黄山市", "南平市", "上饶市",
    ]  # fmt: skip


def test_joint_border_work_by_side(sampled: Any) -> None:
    found = sampled("border-evaluation")
    rows = found.values("city", "month", "2023-12-01")
    assert rows["joint_share", "3308"].printed == "81.82"
    time, pace = (rows[name, "3308"] for name in ("handling_time", "handling_pace"))
    assert (time.printed, pace.printed) == ("4.50", "5.33")
    # the hours have no interval, the same turned round has one
    assert time.change.previous.low is None
    change = pace.change.previous
    assert change.low < change.ratio < change.high
    assert change.ratio == pytest.approx(1 / time.change.previous.ratio)
    best = found.league("city", "month", "2023-12-01").rows[0]
    assert (best.name, best.rank) == ("衢州市", 1)


def test_address_base_counts_codes_points_and_silent_meters(sampled: Any) -> None:
    found = sampled("address-base")
    rows = found.values("county", "month", "2023-06-01")
    assert rows["coded_share", "330105"].value == pytest.approx(100 * 2930 / 3000)
    assert rows["silent_meters", "330105"].value == 10
    assert rows["seen_share", "330105"].printed == "80.00"
    sheet = found.scene.task("silent_meters")
    assert sheet.due_hours == 4


def test_disputes_by_agency(sampled: Any) -> None:
    found = sampled("agency-disputes")
    rows = found.values("agency", "year", "2022-01-01", "dispute_rate")
    land, police = rows["dispute_rate", "A-01"], rows["dispute_rate", "A-05"]
    assert (land.printed, land.class_) == ("25.00", "red")
    assert (police.printed, police.class_) == ("0.00", "green")
    # no suit was decided: a division by 0 is said, and is no value
    lost = found.values("agency", "year", "2022-01-01", "lost_share")
    assert lost["lost_share", "A-05"].value is None
    assert any(
        note["reason"] == "division_by_zero" and note["code"] == "A-05" for note in found.made.notes
    )
    assert found.one("county", "year", "2022-01-01", "shell_share").printed == "2.00"
