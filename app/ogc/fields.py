"""Properties of the features: the closed vocabulary of filters, queryables and schemas.

Imports the palette alone. A property that is not in these lists can be neither asked nor filtered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tiles.palette import CLASSES

Type = Literal["string", "integer", "number", "boolean", "date", "date-time"]

SQL: dict[Type, str] = {
    "string": "text",
    "integer": "bigint",
    "number": "float8",
    "boolean": "boolean",
    "date": "date",
    "date-time": "timestamptz",
}


@dataclass(frozen=True)
class Field:
    """A property of a feature.

    Attributes
    ----------
    name : as in GeoJSON, in filters and as a parameter
    type : JSON Schema type, or the format of a string
    zh, en : what it is
    enum : the values there are; empty: any
    """

    name: str
    type: Type
    zh: str
    en: str
    enum: tuple[str | int, ...] = ()

    def schema(self) -> dict[str, Any]:
        """Write it as JSON Schema."""
        found: dict[str, Any] = {"title": self.en, "description": f"{self.zh} · {self.en}"}
        if self.type in {"date", "date-time"}:
            found |= {"type": "string", "format": self.type}
        else:
            found["type"] = self.type
        if self.enum:
            found["enum"] = list(self.enum)
        return found


RUN = (
    Field("run", "integer", "运行编号", "Run number"),
    Field("kind", "string", "类别，综合为 overall", "Kind, or overall"),
    Field("period", "string", "周期类型", "Period type", ("month", "quarter", "year")),
    Field("ord", "integer", "周期序号", "Index of the period"),
    Field("start", "date", "周期首日", "First day of the period"),
    Field("end", "date", "周期末日的次日", "Day after the last of the period"),
)
COLOUR = (
    Field("colour", "integer", "颜色 0–5", "Colour, 0 no data to 5 red", (0, 1, 2, 3, 4, 5)),
    Field("colour_name", "string", "颜色名", "Name of the colour", tuple(c.id for c in CLASSES)),
    Field("class_zh", "string", "颜色含义", "Meaning of the colour, Chinese"),
    Field("class_en", "string", "颜色含义（英文）", "Meaning of the colour, English"),
    Field("fill", "string", "填充色", "Fill, #rrggbb"),
    Field(
        "theta", "number", "相对风险，误差 2.2 % 内", "Relative risk within 2.2 %; none: no data"
    ),
)
UNIT = (
    Field("code", "string", "统一编码", "Unit code"),
    Field("name", "string", "名称", "Name"),
    Field("name_en", "string", "英文名", "English name"),
    Field("level", "string", "层级", "Level"),
    Field("parent", "string", "上级编码", "Code of the next coarser unit"),
    Field("area_km2", "number", "面积（平方千米）", "Area, km²"),
    *RUN,
    *COLOUR,
)
CELL = (
    Field("cell", "string", "H3 编号", "H3 index"),
    Field("res", "integer", "H3 分辨率", "H3 resolution"),
    Field("code", "string", "所属单位编码", "Code of the unit it belongs to"),
    *RUN,
    *COLOUR,
)
HOTSPOT = (
    Field("job", "integer", "作业编号", "Number of the job"),
    Field("type", "string", "方法", "Method", ("emerging", "gi", "scan")),
    Field("found", "string", "热点或冷点", "Hot or cold", ("hot", "cold")),
    Field("rank", "integer", "聚集名次", "Rank of the cluster"),
    Field("cell", "string", "H3 编号", "H3 index"),
    Field("category", "string", "新兴热点类别", "Category of the emerging spot"),
    Field("observed", "integer", "发生件数", "Observed events"),
    Field("expected", "number", "预期件数", "Expected events"),
    Field("relative_risk", "number", "相对风险", "Relative risk"),
    Field("z", "number", "z 值", "z score"),
    Field("p", "number", "p 值", "p value"),
    Field("significant", "boolean", "是否显著", "Whether it is significant"),
    Field("start", "date-time", "开始", "From"),
    Field("end", "date-time", "结束（不含）", "Up to and without"),
)
ZONE = (
    Field("zone", "integer", "联防区编号", "Number of the zone"),
    Field("name", "string", "名称", "Name"),
    Field("version", "integer", "版本", "Version"),
    Field("state", "string", "状态", "State"),
    Field("in_force", "boolean", "是否生效", "Whether it is in force"),
    Field("side", "string", "提出方", "Side that made it"),
    Field("sides", "string", "各方，逗号分隔", "All sides, by comma"),
    Field("units", "string", "成员单位，逗号分隔", "Member units, by comma"),
    Field("metres", "number", "界线两侧米数", "Metres to either side of the line"),
    Field("valid_from", "date-time", "生效时间", "Valid from"),
    Field("valid_to", "date-time", "失效时间", "Valid until"),
)
FACILITY = (
    Field("type", "string", "设施类型", "Type", ("site", "checkpoint", "device")),
    Field("name", "string", "名称", "Name"),
    Field("kind", "string", "类别", "Kind, or level of a site"),
    Field("code", "string", "编码", "Code"),
    Field("side", "string", "所属方", "Side"),
    Field("state", "string", "设备状态", "State of a device"),
    Field("alarming", "boolean", "是否报警", "Whether a device has an alarm"),
    Field("simulated", "boolean", "是否模拟", "Whether a device is made up"),
)
