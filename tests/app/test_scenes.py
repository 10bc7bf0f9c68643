"""Scenes: those that ship are valid; what is wrong in one is named with line and field."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from app.errors import Invalid, NotFound
from app.services.scene_schema import FILE, schema, schema_text
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


TREE = """name: tree
title: {zh: 树, en: Tree}
calendar: [month]
palette:
  - {id: good, zh: 好, en: Good, colour: "#00FF00", score_min: 50}
  - {id: bad, zh: 差, en: Bad, colour: "#FF0000", score_min: 0}
feeds:
  - id: feed
    zh: 源
    en: Feed
    every: month
    measures:
      - {id: cases, zh: 案, en: Cases, unit: {zh: 件, en: cases}}
      - {id: people, zh: 人, en: People, unit: {zh: 人, en: people}, stock: true}
indicators:
  zh: 指数
  en: Index
  fields:
    - id: one
      zh: 一
      en: One
      groups:
        - id: group
          zh: 组
          en: Group
          indicators:
            - {id: rate, zh: 率, en: Rate, type: rate, of: cases, per: {measure: people}, goalposts: {worst: 5, best: 0}, weight: 0.5}
            - {id: mix, zh: 合, en: Mix, type: index, parts: [{id: rate}], weight: 0.5}
escalation:
  - {step: remind, when: {colour: bad}}
tasks:
  rate: {check: [{zh: 查, en: Check}], how: [{zh: 看, en: Look}]}
brief:
  title: {zh: 简报, en: Brief}
  sentences:
    - {about: rise, zh: "{unit}升", en: "{unit} rose"}
"""


def test_the_tree_is_good() -> None:
    scene = parse_scene(TREE)
    assert Scene.model_validate(scene.body()) == scene
    assert scene.indicators is not None
    assert scene.indicators.ids() == ["total", "one", "group", "rate", "mix"]
    assert scene.alerts is None  # nothing is assessed
    sheet = scene.task("rate")
    assert sheet is not None
    assert sheet.due_hours == 48
    assert scene.task("other") is None
    assert load_scene().alerts is not None


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "reason"),
    [
        # a circle, named from end to end
        ("parts: [{id: rate}]", "parts: [{id: mix}]", 28, "indicators.fields.0.groups.0.indicators.1.parts", "circle: mix → mix"),
        ("parts: [{id: rate}]", "parts: [{id: group}]", 28, "indicators.fields.0.groups.0.indicators.1.parts", "circle: group → mix → group"),
        ("parts: [{id: rate}]", "parts: [{id: total}]", 28, "indicators.fields.0.groups.0.indicators.1.parts", "circle: total → one → group → mix → total"),
        # weights
        ("weight: 0.5}\n            - {id: mix", "weight: 0.4}\n            - {id: mix", 26, "indicators.fields.0.groups.0.indicators", "weights of the parts of 'group' add up to 0.9, not to 1"),
        (", weight: 0.5}\n            - {id: mix", "}\n            - {id: mix", 26, "indicators.fields.0.groups.0.indicators", "'rate' has none; give all of them or none"),
        ("goalposts: {worst: 5, best: 0}, ", "", 27, "indicators.fields.0.groups.0.indicators.0.weight", "nothing makes a score of 'rate'"),
        ("parts: [{id: rate}]", "parts: [{id: rate, weight: 0.7}]", 28, "indicators.fields.0.groups.0.indicators.1.parts", "add up to 0.7"),
        # names
        ("measure: people", "measure: folk", 27, "indicators.fields.0.groups.0.indicators.0.per.measure", "unknown denominator 'folk'; there are cases, people"),
        ("of: cases", "of: casus", 27, "indicators.fields.0.groups.0.indicators.0.of.0", "unknown measure 'casus'"),
        ("parts: [{id: rate}]", "parts: [{id: none}]", 28, "indicators.fields.0.groups.0.indicators.1.parts.0.id", "unknown indicator 'none'"),
        ("{id: people, zh", "{id: cases, zh", 14, "feeds.0.measures.1.id", "measure 'cases' is there already"),
        ("{id: mix", "{id: rate", 28, "indicators.fields.0.groups.0.indicators.1.id", "'rate' is there already"),
        ("- id: group", "- id: total", 23, "indicators.fields.0.groups.0.id", "'total' is there already"),
        # division by 0
        ("worst: 5, best: 0", "worst: 5, best: 5", 27, "indicators.fields.0.groups.0.indicators.0.goalposts", "worst and best are both 5: the score would divide by 0"),
        ("per: {measure: people}", "per: {measure: people, factor: 0}", 27, "indicators.fields.0.groups.0.indicators.0.per.factor", "greater than 0"),
        ("per: {measure: people}, ", "", 27, "indicators.fields.0.groups.0.indicators.0", "a rate names its denominator"),
        # direction
        ("worst: 5, best: 0", "worst: 0, best: 5", 27, "indicators.fields.0.groups.0.indicators.0", "direction is fall, but best 5 is above worst 0"),
        ("goalposts: {worst: 5, best: 0}", "bands: [{class: bad, up_to: 3}, {class: good}]", 27, "indicators.fields.0.groups.0.indicators.0.bands", "classes go from best to worst"),
        ("goalposts: {worst: 5, best: 0}", "bands: [{class: good, up_to: 3}, {class: bad, up_to: 5}]", 27, "indicators.fields.0.groups.0.indicators.0", "the last one is open"),
        ("goalposts: {worst: 5, best: 0}", "bands: [{class: good, up_to: 3}, {class: good, up_to: 2}, {class: bad}]", 27, "indicators.fields.0.groups.0.indicators.0", "must rise from band to band"),
        # classes
        ("goalposts: {worst: 5, best: 0}", "bands: [{class: fine, up_to: 3}, {class: bad}]", 27, "indicators.fields.0.groups.0.indicators.0.bands.0.class", "the palette has no class 'fine'; it has good, bad"),
        ("goalposts: {worst: 5, best: 0}", "risk: true", 4, "palette", "the palette has no class 'blue'; it has good, bad; `risk` needs red, orange, yellow, green, blue"),
        ("when: {colour: bad}", "when: {any_of: [{persistent: {colour: red}}]}", 30, "escalation.0.when.any_of.0.persistent.colour", "the palette has no class 'red'"),
        ("score_min: 0}", "score_min: 10}", 4, "palette", "no class for scores from 0"),
        (", score_min: 0}", "}", 6, "palette.1", "'bad' has no score_min, others have one"),
        ("score_min: 50", "score_min: 0", 4, "palette", "score_min must fall"),
        ('"#00FF00"', "green", 5, "palette.0.colour", "pattern"),
        # what is done
        ("step: remind", "step: shout", 30, "escalation.0.step", "'remind', 'supervise' or 'interview'"),
        ("when: {colour: bad}", "when: {}", 30, "escalation.0.when", "says nothing"),
        ("when: {colour: bad}", "when: {persistent: {colour: bad, of: 3, within: 2}}", 30, "escalation.0.when.persistent", "3 of 2 periods can never be reached"),
        ("  rate: {check", "  rats: {check", 32, "tasks.rats", "'rats' is no kind, indicator or deadline"),
        ('en: "{unit} rose"', 'en: "{name} rose"', 36, "brief.sentences.0.en", "unknown place {name}"),
        ('en: "{unit} rose"', 'en: "it rose"', 36, "brief.sentences.0", "{unit} stands in one language only"),
        ('en: "{unit} rose"', 'en: "{unit rose"', 36, "brief.sentences.0.en", "expected '}'"),
        ("calendar: [month]", "calendar: [day]", 3, "calendar.0", "no feed knows a day"),
        ("calendar: [month]", "calendar: [month]\nranking: {by: none}", 4, "ranking.by", "unknown indicator 'none'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_named(
    old: str, new: str, line: int, field: str, reason: str
) -> None:
    assert old in TREE
    with pytest.raises(Invalid) as caught:
        parse_scene(TREE.replace(old, new, 1), "tree.yaml")
    found = caught.value.detail[0]
    assert reason in found["reason"]
    assert (found["field"], found["line"]) == (field, line)


def test_the_schema_is_that_of_the_models() -> None:
    assert FILE.read_text(encoding="utf-8") == schema_text(), "run `wusetu scene schema`"
    validator = jsonschema.Draft202012Validator(schema())
    for name in scene_names():
        body = yaml.safe_load((FILE.parent / f"{name}.yaml").read_text(encoding="utf-8"))
        assert not list(validator.iter_errors(body)), name
    body = yaml.safe_load(TREE)
    body["indicators"]["fields"][0]["groups"][0]["indicators"][0]["type"] = "sum"
    assert list(validator.iter_errors(body))


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
