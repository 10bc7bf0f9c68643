"""Scenes: those that ship are valid; what is wrong in one is named with line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import Invalid, NotFound
from app.services.scenes import Scene, load_scene, parse_scene, scene_names
from geo.risk import ColourRule, DebParameters

# Fixed here, so that the numbers of the shipped scene may change.
TEXT = """# The default scene: nine kinds of events, five colours. METHODS gives the formulas.
name: nine-kinds
title: {zh: 公共安全风险, en: Public safety risk}
version: 1
reference_level: city        # expected counts are taken inside one city; absent level: the whole map
measures:
  resident: {zh: 常住人口, en: Residents, unit: {zh: 人, en: people}}
  floating: {zh: 流动人口, en: Floating population, unit: {zh: 人, en: people}}
  firms: {zh: 企业, en: Firms, unit: {zh: 家, en: firms}}
  dwellings: {zh: 房屋, en: Dwellings, unit: {zh: 套, en: dwellings}}
kinds:                       # weights add up to 1 per kind; harm orders the overall score
  petition:      {zh: 访源, en: Petition, harm: 2, weights: {resident: 0.5, floating: 0.5}}
  vice:          {zh: 黄赌毒, en: Vice, harm: 3, weights: {firms: 0.5, floating: 0.5}}
  theft:         {zh: 偷盗, en: Theft, harm: 2, weights: {dwellings: 0.5, floating: 0.5}}
  dispute:       {zh: 纠纷, en: Dispute, harm: 1, weights: {resident: 0.3333333333333333, floating: 0.3333333333333333, firms: 0.3333333333333334}}
  fraud:         {zh: 电信诈骗, en: Telecom fraud, harm: 4, weights: {resident: 0.5, floating: 0.5}}
  fire:          {zh: 火警, en: Fire, harm: 5, weights: {dwellings: 0.5, firms: 0.5}}
  traffic_death: {zh: 交通亡人, en: Traffic death, harm: 40, weights: {resident: 0.5, floating: 0.5}}
  homicide:      {zh: 命案, en: Homicide, harm: 100, weights: {resident: 0.5, floating: 0.5}}
  wage_arrears:  {zh: 欠薪, en: Wage arrears, harm: 3, weights: {firms: 0.5, floating: 0.5}}
periods: [month, quarter, year]
filter: {q: 0.005, epsilon: 0.05, reset_alpha: 2.0, memory_max: 0.98}
colour_rule:                 # first matching row; p = P(theta > 1)
  version: 1
  red: {p_min: 0.95, theta_min: 1.5}
  orange: {p_min: 0.80, theta_min: 1.25}
  yellow: {p_min: 0.65, theta_min: 1.1}
  green: {p_max: 0.20, theta_max: 0.80}
ranks: {draws: 400, seed: 20260101, interval: 0.90}
"""


@pytest.mark.parametrize("name", scene_names())
def test_shipped_scenes_are_valid_and_fit_the_kernel(name: str) -> None:
    scene = load_scene(name)
    assert scene.name == name
    assert Scene.model_validate(scene.body()) == scene
    DebParameters(**scene.filter.model_dump())
    rule = ColourRule.from_rows(scene.colour_rule.rows(), scene.colour_rule.version)
    assert rule.rows() == scene.colour_rule.rows()


def test_the_default_scene_says_what_methods_says() -> None:
    scene = load_scene()
    assert list(scene.kinds) == [
        "petition", "vice", "theft", "dispute", "fraud", "fire", "traffic_death", "homicide",
        "wage_arrears",
    ]  # fmt: skip
    assert scene.reference_level == "city"
    assert scene.kinds["theft"].weights == {"dwellings": 0.5, "floating": 0.5}
    assert scene.colour_rule.red.p_min == 0.95


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "reason"),
    [
        ("{firms: 0.5, floating: 0.5}", "{firms: 0.4, floating: 0.5}", 13, "kinds.vice.weights", "0.9"),
        ("harm: 5,", "harm: -5,", 17, "kinds.fire.harm", "greater than 0"),
        ("harm: 5,", "harm: .inf,", 17, "kinds.fire.harm", "finite"),
        ("harm: 5,", "", 17, "kinds.fire.harm", "required"),
        ("harm: 5,", "harm: 5, colour: red,", 17, "kinds.fire.colour", "not permitted"),
        ("  fire: ", "  Fire!: ", 17, "kinds.Fire!.[key]", "pattern"),
        ("  fire: ", "  overall: ", 11, "kinds", "cannot be a kind"),
        ("p_min: 0.95", "p_min: 1.5", 25, "colour_rule.red.p_min", "less than or equal to 1"),
        ("theta_min: 1.25", "theta_min: 1.6", 23, "colour_rule", "must not rise"),
        ("theta_max: 0.80", "theta_max: 1.2", 23, "colour_rule", "green must lie below"),
        ("epsilon: 0.05", "epsilon: 1.0", 22, "filter.epsilon", "less than 1"),
        ("version: 1\nref", "version: 1\ntime_zone: Mars/Base\nref", 5, "time_zone", "unknown time zone"),
        ("[month, quarter, year]", "[month, week]", 21, "periods.1", "'month', 'quarter' or 'year'"),
        ("[month, quarter, year]", "[month, month]", 21, "periods", "named twice"),
        ("{resident: 0.5, floating: 0.5}}\n  vice", "{people: 1.0}}\n  vice", 12, "kinds.petition.weights.people", "unknown measure 'people'"),
        ("draws: 400", "draws: 1", 29, "ranks.draws", "50"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_line_and_field(
    old: str, new: str, line: int, field: str, reason: str
) -> None:
    assert old in TEXT
    with pytest.raises(Invalid) as caught:
        parse_scene(TEXT.replace(old, new, 1), "mine.yaml")
    found = caught.value.detail[0]
    assert found["field"] == field
    assert reason in found["reason"]
    assert found["line"] == line
    assert caught.value.message.startswith(f"mine.yaml, line {line}, {field}: ")


def test_everything_wrong_is_named_at_once() -> None:
    text = TEXT.replace("harm: 5,", "harm: -5,").replace("p_min: 0.95", "p_min: 2")
    with pytest.raises(Invalid) as caught:
        parse_scene(text)
    assert len(caught.value.detail) == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is a mapping"),
        ("- a\n- b\n", "is a mapping"),
        ("name: [1\n", "line 2: not YAML"),
        ("name: a\ntitle: b\nname: c\n", "line 3: 'name' is given twice"),
        ("kinds:\n  fire: {harm: 1, harm: 2}\n", "line 2: 'harm' is given twice"),
        ("name: \x01\n", "not YAML"),
    ],
)
def test_what_is_no_scene_at_all(text: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        parse_scene(text)


def test_unknown_names_list_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nine-kinds"):
        load_scene("ten-kinds")
    with pytest.raises(NotFound, match="no scene file"):
        load_scene(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_bytes(TEXT.encode("gbk"))
    with pytest.raises(Invalid, match="cannot be read as UTF-8"):
        load_scene(tmp_path / "b.yaml")
    (tmp_path / "c.yaml").write_text("\ufeff" + TEXT, encoding="utf-8")
    assert load_scene(tmp_path / "c.yaml") == parse_scene(TEXT)


def test_a_scene_without_yellow() -> None:
    text = "\n".join(line for line in TEXT.splitlines() if "yellow" not in line)
    assert list(parse_scene(text).colour_rule.rows()) == ["red", "orange", "green"]
