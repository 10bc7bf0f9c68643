"""Mappings: what is wrong is named by its field; persons are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from app.errors import Invalid, NotFound
from app.services.event_mapping import FOLDER, load_mapping, parse_mapping, person_column
from app.services.scenes import load_scene

GOOD: dict[str, Any] = {
    "source": "alarm",
    "columns": {"time": "at", "kind": "kind", "lon": "x", "lat": "y"},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """GOOD with one field changed; `...` takes it out."""
    body: dict[str, Any] = yaml.safe_load(yaml.safe_dump(GOOD))
    *way, last = path.split(".")
    at = body
    for step in way:
        at = at.setdefault(step, {})
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return body


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("source", ..., "source: Field required"),
        ("source", "Alarm 110", "source: String should match"),
        ("columns.kind", ..., "columns.kind is missing"),
        ("columns.time", ..., "columns.time: Field required"),
        ("columns.lat", ..., "columns: `lon` and `lat` go together"),
        ("columns.x", "X", "columns: `x` and `y` go together"),
        ("columns.district", "D", "columns.district: Extra inputs"),
        ("columns.time", {"year": "Y", "day": "D"}, "columns.time: `month` is missing"),
        ("columns.time", {"column": "a", "date": "b"}, "columns.time: give either"),
        ("columns.time", {"column": "a", "format": "dd.mm"}, "columns.time: format 'dd.mm'"),
        ("columns.time", {"time": "b"}, "columns.time: give either"),
        ("crs", "utm", "crs: unknown CRS 'utm'"),
        ("crs", "EPSG:99999", "crs: EPSG:99999"),
        ("time_zone", "Asia/Hangzhou", "time_zone: unknown time zone"),
        ("encoding", "latin-1", "encoding: encoding 'latin-1' is not read"),
        ("scene", "nine", "scene: no scene 'nine'; there are"),
        ("kinds.words", {"偷": "stealing"}, "kinds: 'stealing' is no kind of scene nine-kinds"),
        ("kinds", {"constant": "theft", "default": "fire"}, "kinds: `constant` stands alone"),
        ("delimiter", ";;", "delimiter: String should have"),
        ("outside", "ignore", "outside: String should match"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(path: str, value: Any, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_mapping(changed(path, value))
    assert said in caught.value.message


@pytest.mark.parametrize(
    "columns",
    [
        {"name": "姓名"},
        {"id_number": "sfzh"},
        {"phone": "tel"},
        {"plate": "hp"},
        {"reference": "身份证号码"},
        {"reference": "PHONE"},
        {"address": "报警人地址"},
        {"kind": "name"},
        {"reference": "contactTel"},
        {"reference": "姓 名"},
        {"reference": "ＰＨＯＮＥ"},
        {"reference": "pho\u200bne"},
        {"reference": "Téléphone"},
        {"reference": "電話號碼"},
        {"reference": "身分證字號"},
        {"reference": "전화번호"},
        {"reference": "телефон"},
        {"reference": "properties.name"},
        {"address": "联系人住址"},
        {"code": "ID-No.sfzh"},
        {"time": {"date": "d", "time": "caller_time"}},
    ],
)
def test_a_mapping_of_a_person_is_refused_as_a_whole(columns: dict[str, Any]) -> None:
    body = changed("columns", {**GOOD["columns"], **columns})
    with pytest.raises(Invalid, match="never persons"):
        parse_mapping(body)


@pytest.mark.parametrize(
    "name",
    [
        "案件编号",
        "street_name",
        "报警时间",
        "案发地址",
        "NEIGHBOURHOOD",
        "街道名称",
        "编号",
        "hotel",
        "nominal_code",
        "place.name",
        "properties.code",
        "身份",
        "联系街道",
    ],
)
def test_columns_of_places_are_not_persons(name: str) -> None:
    assert not person_column(name)


def test_good_mappings() -> None:
    mapping = parse_mapping(changed("encoding", "GBK"))
    assert mapping.encoding == "gb18030"
    assert parse_mapping(mapping.body()) == mapping
    assert parse_mapping(changed("kinds.words", {110: "theft"})).kinds.words == {"110": "theft"}
    one = parse_mapping({"source": "a", "columns": {"time": "t", "code": "c"},
                         "kinds": {"constant": "theft"}})  # fmt: skip
    assert one.columns.names() == ["c", "t"]
    assert one.allowed_kinds() == list(load_scene("nine-kinds").kinds)


def test_every_shipped_mapping_is_good() -> None:
    names = [path.stem for path in FOLDER.glob("*.yaml")]
    assert "vancouver-thefts" in names
    for name in names:
        assert load_mapping(name).source


def test_files(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="vancouver-thefts"):
        load_mapping(tmp_path / "none.yaml")
    file = tmp_path / "a.yaml"
    file.write_text("source: a\n  columns: b\n", encoding="utf-8")
    with pytest.raises(Invalid, match=r"a\.yaml, line 2: not YAML"):
        load_mapping(file)
    file.write_bytes("source: 盗窃".encode("gbk"))
    with pytest.raises(Invalid, match="UTF-8"):
        load_mapping(file)
    file.write_text("- 1", encoding="utf-8")
    with pytest.raises(Invalid, match="a mapping has"):
        load_mapping(file)
    # a scene beside the mapping
    scene = load_scene("nine-kinds").body() | {"name": "mine"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(scene), encoding="utf-8")
    file.write_text(yaml.safe_dump(GOOD | {"scene": "mine.yaml"}), encoding="utf-8")
    assert "theft" in load_mapping(file).allowed_kinds()
