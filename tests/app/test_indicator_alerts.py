"""Indicators open alerts by the step of the scene's escalation; tasks are sent by themselves where it says so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
import yaml

from app.errors import Conflict, Invalid, NotFound
from app.services import indicator_alerts, indicator_feeds, indicator_run, tasks
from app.services.indicator_alerts import colour_of
from app.services.scenes import Scene, parse_scene

from .border_house import DEEP, House, house

ZONE = "Asia/Shanghai"
TOWNS = ("330101001", "330101002", "330101003", "330102001", "330102002")
#: Lamps of the towns; nobody else knows this scene.
LAMPS = """
name: lamps
title: {zh: 路灯, en: Lamps}
version: 1
levels: [county, town]
calendar: [month]
palette:
  - {id: fine, zh: 好, en: fine, colour: "#B7E0AC", score_min: 60}
  - {id: dim, zh: 暗, en: dim, colour: "#E58A2E", score_min: 30}
  - {id: dark, zh: 黑, en: dark, colour: "#C8342C", score_min: 0}
feeds:
  - id: keepers
    zh: 管理员
    en: Keepers
    every: month
    measures:
      - {id: lamps, zh: 路灯, en: Lamps, unit: {zh: 盏, en: lamps}, stock: true}
      - {id: lit, zh: 亮灯, en: Lit, unit: {zh: 盏, en: lamps}, stock: true}
      - {id: broken, zh: 损坏, en: Broken, unit: {zh: 盏, en: lamps}}
indicators:
  zh: 照明
  en: Light
  fields:
    - id: light
      zh: 照明
      en: Light
      groups:
        - id: light_group
          zh: 照明
          en: Light
          indicators:
            - {id: lit_share, zh: 亮灯率, en: Lamps lit, type: share, of: lit, per: {measure: lamps}, direction: rise, bands: [{class: dark, up_to: 50}, {class: dim, up_to: 80}, {class: fine}]}
            - {id: breakage, zh: 损坏灯数, en: Lamps broken, type: count, of: broken, unit: {zh: 盏, en: lamps}, decimals: 0, bands: [{class: fine, up_to: 1}, {class: dim, up_to: 9}, {class: dark}]}
alerts: {levels: [town], indicators: {named: [lit_share, breakage]}}
escalation:
  - {step: remind, when: {colour: dark}}
  - {step: supervise, when: {persistent: {colour: dark, of: 2, within: 2}}, dispatch: true}
tasks:
  lit_share:
    check: [{zh: 哪几盏不亮, en: Which lamps are out}]
    how: [{zh: 夜里走一遍, en: Walk there at night}]
"""


@pytest.fixture(scope="module")
def home(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    for one in house(cluster, template, tmp_path_factory.mktemp("lamps")):
        with one.engine.begin() as connection:
            connection.execute(
                sa.text(
                    "insert into duty_desk (pack, code, side, name) "
                    "values ('small', :code, :side, '镇值班台')"
                ),
                {"code": DEEP, "side": DEEP[:6]},
            )
        yield one


def month(
    home: House, scene: Scene, when: str, lit: dict[str, int], broken: int = 0, **more: int
) -> int:
    """Send a month of lamps, 100 per town and all lit but where it says so; `more` measures; the run."""
    rows = []
    for town in TOWNS:
        given = {"lamps": 100, "lit": lit.get(town, 100), "broken": broken if town == DEEP else 0}
        given |= {name: value if town == DEEP else 0 for name, value in more.items()}
        rows += [(town, when, name, value) for name, value in given.items()]
    table = pd.DataFrame(rows, columns=["code", "period", "measure", "value"]).astype(str)
    report = indicator_feeds.import_values(
        home.engine, table, scene=scene, pack="small", today=date(2025, 12, 31)
    )
    assert not report.broken
    return indicator_run.run(home.engine, scene, "small", zone=ZONE).id


def alerts(home: House, **wanted: Any) -> list[Any]:
    where = "".join(f" and {name} = :{name}" for name in wanted)
    with home.engine.connect() as connection:
        return list(
            connection.execute(
                sa.text(f"select * from alert where scene = 'lamps'{where} order by id"), wanted
            ).mappings()
        )


def of(home: House, alert: int) -> list[Any]:
    with home.engine.connect() as connection:
        return list(
            connection.execute(
                sa.text("select * from task where alert_id = :id order by id"), {"id": alert}
            ).mappings()
        )


def test_from_the_first_dark_month_to_the_last(home: House) -> None:
    scene = parse_scene(LAMPS, "lamps.yaml")
    dark, other = DEEP, "330102001"
    first = month(home, scene, "2025-01", {dark: 40, other: 50}, broken=3)
    there = alerts(home)
    assert [(one["code"], one["kind"], one["escalation"]) for one in there] == [
        (dark, "lit_share", "remind"), (other, "lit_share", "remind"),
    ]  # fmt: skip
    one = there[0]
    assert (one["about"], one["value"], one["observed"], one["opened_run"]) == (
        "indicator", 40.0, 40, first,
    )  # fmt: skip
    assert (one["expected"], one["relative_risk"]) == (None, None)
    assert one["colour"] == 5  # the worst of three
    assert one["reason_zh"] == "2025年1月亮灯率40.00%，黑，达到提醒条件。"
    assert one["reason_en"] == "January 2025: Lamps lit 40.00 %, dark: reminder."
    assert one["why_not"] == "not_located"  # the map goes on to villages and grids
    assert of(home, one["id"]) == []
    # the same period again opens nothing more, and closes nothing
    month(home, scene, "2025-01", {dark: 100, other: 50})
    assert [each["id"] for each in alerts(home, state="open")] == [each["id"] for each in there]
    # dark again: the next step, and a task by itself where a desk is on duty
    month(home, scene, "2025-01", {dark: 40, other: 50})
    month(home, scene, "2025-02", {dark: 45, other: 40})
    here, there_too = alerts(home, state="open")
    assert (here["id"], here["escalation"], there_too["escalation"]) == (
        one["id"], "supervise", "supervise",
    )  # fmt: skip
    (task,) = of(home, here["id"])
    assert (task["desk"], task["kind"], task["state"]) == ("镇值班台", "lit_share", "sent")
    assert task["look"]["check"][0]["en"] == "Which lamps are out"
    assert of(home, there_too["id"]) == []  # nobody on duty there
    # looked at once more: no second task; an older run is refused
    assert indicator_alerts.update(home.engine, _newest(home), zone=ZONE).sent == 0
    assert len(of(home, here["id"])) == 1
    with pytest.raises(Conflict):
        indicator_alerts.update(home.engine, first, zone=ZONE)
    with pytest.raises(NotFound):
        indicator_alerts.update(home.engine, 10**6, zone=ZONE)
    # what was declined waits for people
    with home.engine.begin() as connection:
        connection.execute(
            sa.text("select task_step(:id, 'declined', '', now(), null, null, '远', '{}')"),
            {"id": task["id"]},
        )
    # light again: it closes with the reason; the other one stays dark
    month(home, scene, "2025-03", {other: 40})
    closed = alerts(home, id=here["id"])[0]
    assert (closed["state"], closed["closed_by"], closed["closed_reason"]) == (
        "closed", "rule", "2025年3月不再达到任何升级条件",
    )  # fmt: skip
    assert len(of(home, here["id"])) == 1
    (left,) = alerts(home, state="open")
    # counts: a few broken lamps are no alert, many are
    month(home, scene, "2025-04", {other: 40}, broken=12)
    assert [each["reason_zh"] for each in alerts(home, kind="breakage")] == [
        "2025年4月损坏灯数12盏，黑，达到提醒条件。"
    ]
    # a scene that watches no indicator any more closes what is open, and says why
    body = yaml.safe_load(LAMPS) | {"version": 2}
    del body["alerts"]
    month(home, parse_scene(yaml.safe_dump(body, allow_unicode=True)), "2025-05", {other: 40})
    assert alerts(home, state="open") == []
    gone = alerts(home, id=left["id"])[0]
    assert (gone["closed_by"], gone["closed_reason"]) == ("not_watched", "场景不再对指标预警")
    with home.engine.connect() as connection:
        steps = connection.execute(
            sa.text("select step from alert_event where alert_id = :id order by n"),
            {"id": left["id"]},
        ).scalars()
        assert next(iter(steps)) == "open"
        assert connection.execute(
            sa.text(
                "select count(*) from audit_entry where action = 'alert.close' "
                "and question ->> 'alert' = :id"
            ),
            {"id": str(left["id"])},
        ).scalar_one() == 1  # fmt: skip


def _newest(home: House) -> int:
    with home.engine.connect() as connection:
        found: int = connection.execute(
            sa.text("select max(id) from indicator_run where scene = 'lamps'")
        ).scalar_one()
    return found


def test_the_clock_catches_up(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose look failed is looked at by the clock, once."""
    body = yaml.safe_load(LAMPS) | {"name": "lamps-late"}
    scene = parse_scene(yaml.safe_dump(body, allow_unicode=True))
    with monkeypatch.context() as patch:
        patch.setattr(indicator_alerts, "after_run", lambda *_, **__: None)
        month(home, scene, "2025-01", {DEEP: 10})
    with home.engine.connect() as connection:
        count = sa.text("select count(*) from alert where scene = 'lamps-late'")
        assert connection.execute(count).scalar_one() == 0
    assert indicator_alerts.catch_up(home.engine, zone=ZONE) == 1
    assert indicator_alerts.catch_up(home.engine, zone=ZONE) == 0
    with home.engine.connect() as connection:
        assert connection.execute(count).scalar_one() == 1


def test_a_small_count_is_in_no_sentence(home: House) -> None:
    text = LAMPS.replace("{class: fine, up_to: 1}", "{class: fine, up_to: 0}").replace(
        "{class: dim, up_to: 9}", "{class: dim, up_to: 2}"
    )
    body = yaml.safe_load(text) | {"name": "lamps-few"}
    month(home, parse_scene(yaml.safe_dump(body, allow_unicode=True)), "2025-01", {}, broken=3)
    with home.engine.connect() as connection:
        one = connection.execute(
            sa.text("select * from alert where scene = 'lamps-few'")
        ).mappings().one()  # fmt: skip
    assert one["observed"] == 3
    assert one["reason_zh"] == "2025年1月损坏灯数不足5（不列出），黑，达到提醒条件。"
    with home.app() as client:
        for role, observed, value in (("viewer", None, None), ("dispatcher", 3, 3.0)):
            told = client.get(f"/api/alerts/{one['id']}", headers=home.as_(role, None)).json()
            assert (told["observed"], told["value"]) == (observed, value)
            assert told["title"] == {"zh": "损坏灯数", "en": "Lamps broken"}


def test_what_a_share_leaves_is_in_no_sentence(home: House) -> None:
    """Of 98 of 100 the two others are as small as two."""
    body = yaml.safe_load(LAMPS) | {"name": "lamps-rest"}
    body["feeds"][0]["measures"].append(
        {"id": "mended", "zh": "已修", "en": "Mended", "unit": {"zh": "盏", "en": "lamps"}}
    )
    bands = [{"class": "dark", "up_to": 99}, {"class": "dim", "up_to": 99.5}, {"class": "fine"}]
    body["indicators"]["fields"][0]["groups"][0]["indicators"].append(
        {"id": "mended_share", "zh": "修复率", "en": "Mended", "type": "share", "of": "mended",
         "per": {"measure": "broken"}, "direction": "rise", "bands": bands}
    )  # fmt: skip
    body["alerts"]["indicators"]["named"] = ["mended_share"]
    scene = parse_scene(yaml.safe_dump(body, allow_unicode=True))
    query = sa.text("select * from alert where scene = 'lamps-rest' and code = :code")
    month(home, scene, "2025-01", {}, broken=100, mended=98)
    with home.engine.connect() as connection:
        one = connection.execute(query, {"code": DEEP}).mappings().one()
    assert (one["value"], one["observed"], one["hidden"]) == (98.0, 98, True)
    assert one["reason_zh"] == "2025年1月修复率（不列出），黑，达到提醒条件。"
    with home.app() as client:
        for role, observed, value in (("viewer", None, None), ("dispatcher", 98, 98.0)):
            told = client.get(f"/api/alerts/{one['id']}", headers=home.as_(role, None)).json()
            assert (told["observed"], told["value"]) == (observed, value)
            assert "98" not in told["reason"]["en"]
    # many are left: nothing is hidden
    month(home, scene, "2025-02", {}, broken=100, mended=60)
    with home.engine.connect() as connection:
        one = connection.execute(query, {"code": DEEP}).mappings().one()
    assert (one["value"], one["hidden"]) == (60.0, False)
    assert one["reason_en"].startswith("February 2025: Mended 60.00 %, dark")


@pytest.mark.parametrize(
    ("classes", "expected"), [(2, [0, 1, 5]), (3, [0, 1, 3, 5]), (4, [0, 1, 2, 4, 5])]
)
def test_colours_by_place(classes: int, expected: list[int]) -> None:
    body = yaml.safe_load(LAMPS)
    ends = np.linspace(100, 0, classes + 1)[1:]
    body["palette"] = [
        {"id": f"c{n}", "zh": "类", "en": "class", "colour": "#000000", "score_min": float(end)}
        for n, end in enumerate(ends)
    ]
    worst = f"c{classes - 1}"
    for one in body["indicators"]["fields"][0]["groups"][0]["indicators"]:
        one["bands"] = [{"class": "c0", "up_to": 1}, {"class": worst}]
        one["direction"] = "fall"
    for step in body["escalation"]:
        step["when"] = {"colour": worst}
    scene = parse_scene(yaml.safe_dump(body, allow_unicode=True))
    assert [colour_of(scene, place) for place in range(classes + 1)] == expected


@pytest.mark.parametrize(
    ("old", "new", "field", "reason"),
    [
        ("named: [lit_share, breakage]", "named: [none]", "alerts.indicators.named.0", "'none'"),
        ("indicators: {named", "period: year, indicators: {named", "alerts.period", "month only"),
        ("indicators: {named: [lit_share, breakage]}", "indicators: {from_step: interview}",
         "alerts.indicators", "no such step"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(old: str, new: str, field: str, reason: str) -> None:
    assert old in LAMPS
    with pytest.raises(Invalid) as caught:
        parse_scene(LAMPS.replace(old, new, 1))
    found = [one for one in caught.value.detail if one["field"] == field]
    assert found, caught.value.detail
    assert reason in found[0]["reason"]


def test_tasks_of_indicators_keep_their_sheet(home: House) -> None:
    body = yaml.safe_load(LAMPS) | {"name": "lamps-sheet"}
    month(home, parse_scene(yaml.safe_dump(body, allow_unicode=True)), "2025-01", {})
    with home.engine.connect() as connection:
        rules = tasks.rules_for(connection, "small", None, indicators_of="lamps-sheet")
        assert rules.template("lit_share").check[0].zh == "哪几盏不亮"
        assert tasks.rules_for(connection, "small", None, indicators_of="nothing").tasks == {}
