"""The same documents for people: HTML in Chinese and English, without script.

Imports Jinja (everything escaped), shapely and the look. A map is drawn as SVG from the shapes of the
page itself, so that a page needs nothing but its style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import jinja2
import numpy as np
import shapely

from app.ogc import look
from app.ogc.collections import Collection
from app.ogc.features import Page
from app.ogc.fields import Field
from app.ogc.parameters import Lang

_WORDS = {
    "product": ("五色图", "Wusetu"),
    "pages": ("页面", "Pages"),
    "path": ("位置", "Path"),
    "collections": ("数据集", "Collections"),
    "collection": ("数据集", "Collection"),
    "api": ("接口说明", "API"),
    "conformance": ("符合的标准", "Conformance"),
    "matrices": ("瓦片矩阵集", "Tile matrix sets"),
    "items": ("要素", "Features"),
    "nothing": ("还没有已发布的地图。", "No map has been published yet."),
    "connect": ("接入", "Connect"),
    "connect_text": (
        "在 QGIS、ArcGIS 等软件中新建 OGC API 连接，地址为：",
        "Add an OGC API connection in QGIS, ArcGIS or another client with this address:",
    ),
    "token_text": (
        "有账户的安装需要令牌：请求头 Authorization: Bearer …。",
        "Where there are accounts, send a token: header Authorization: Bearer ….",
    ),
    "show": ("显示", "Show"),
    "limit": ("每页", "Per page"),
    "properties": ("属性", "Properties"),
    "name": ("名称", "Name"),
    "type": ("类型", "Type"),
    "meaning": ("含义", "Meaning"),
    "links": ("链接", "Links"),
    "what": ("内容", "What"),
    "relation": ("关系", "Relation"),
    "form": ("格式", "Form"),
    "next": ("下一页", "Next page"),
    "counted": ("本页 {returned} 个，共 {matched} 个", "{returned} on this page of {matched}"),
    "yes": ("是", "yes"),
    "no": ("否", "no"),
    "kind": ("类别", "Kind"),
    "period": ("周期", "Period"),
    "landing_about": (
        "五色风险图的要素与瓦片：OGC API – Features 与 OGC API – Tiles。",
        "Features and tiles of the five-colour risk map: OGC API – Features and OGC API – Tiles.",
    ),
    "title": ("开放数据接口", "OGC API"),
    "month": ("月", "month"),
    "quarter": ("季", "quarter"),
    "year": ("年", "year"),
    "newest": ("最新完整", "newest complete"),
}  # fmt: skip
_TEMPLATES = jinja2.Environment(
    loader=jinja2.DictLoader(
        {"base": look.BASE, "macros": look.MACROS, "document": look.DOCUMENT,
         "landing": look.LANDING, "list": look.LIST, "collection": look.COLLECTION,
         "items": look.ITEMS, "item": look.ITEM, "api": look.API}
    ),
    autoescape=True,
    trim_blocks=True,
)  # fmt: skip
#: Said above a table already, or said by the colour: not among its columns.
SAID = frozenset(
    {
        "run",
        "kind",
        "period",
        "ord",
        "start",
        "end",
        "res",
        "level",
        "colour_name",
        "class_zh",
        "class_en",
        "fill",
    }
)
#: Property that is the identifier, too.
OWN = {"units": "code", "cells": "cell"}
#: Fill of features without a colour of their own.
PLAIN = "#8DA2BC"
#: Width of a drawing in its own units.
WIDE = 1000.0


@dataclass(frozen=True)
class Where:
    """Where a page stands.

    Attributes
    ----------
    base : address of the room, without a stroke at the end
    address : whole address of the page, with its query
    lang : its language
    """

    base: str
    address: str
    lang: Lang

    @property
    def root(self) -> str:
        """Address of the application."""
        return self.base.removesuffix("/ogc")

    def with_(self, **changes: str) -> str:
        """Address of this page with other parameters."""
        parts = urlsplit(self.address)
        query = {**dict(parse_qsl(parts.query)), **changes}
        return parts._replace(query=urlencode(query)).geturl()


def _render(
    name: str, where: Where, title: str, crumbs: Sequence[tuple[str, str]], **more: Any
) -> str:
    at = 0 if where.lang == "zh" else 1
    words = {key: pair[at] for key, pair in _WORDS.items()}

    def page(href: str) -> str:
        return f"{href}?{urlencode({'f': 'html', 'lang': where.lang})}"

    return _TEMPLATES.get_template(name).render(
        t=words,
        lang=where.lang,
        title=title,
        base=where.base,
        root=where.root,
        crumbs=[("OGC API", where.base), *crumbs],
        page=page,
        json=where.with_(f="json"),
        other=where.with_(f="html", lang="en" if where.lang == "zh" else "zh"),
        **more,
    )


def _said(where: Where, zh: str, en: str) -> str:
    return zh if where.lang == "zh" else en


def _word(where: Where, name: str) -> str:
    return _said(where, *_WORDS[name])


def document(
    where: Where, title: str, body: Mapping[str, Any], crumbs: Sequence[tuple[str, str]] = ()
) -> str:
    """Make the page of any document: its members as a list, its links as a table."""
    facts = {name: value for name, value in body.items() if name not in {"links", "title"}}
    return _render("document", where, title, crumbs, facts=facts, found_links=body.get("links", ()))


def landing(where: Where, found: Sequence[Collection]) -> str:
    """Make the landing page."""
    maps = [
        (_said(where, each.map.title.zh, each.map.title.en), [each, *others])
        for _, (each, *others) in groupby(found, key=lambda one: one.map.pack)
    ]
    return _render("landing", where, _word(where, "title"), (), maps=maps, here="landing",
                   about=_word(where, "landing_about"))  # fmt: skip


def listing(where: Where, found: Sequence[Collection]) -> str:
    """Make the page of the collections."""
    return _render("list", where, _word(where, "collections"), (), found=found, here="collections")


def api(where: Where, body: Mapping[str, Any]) -> str:
    """Make the page of the API definition."""
    return _render("api", where, _word(where, "api"), (), paths=body["paths"], here="api")


def _crumbs(where: Where, one: Collection) -> list[tuple[str, str]]:
    listed = f"{where.base}/collections"
    return [
        (_word(where, "collections"), listed),
        (_said(where, one.zh, one.en), f"{listed}/{quote(one.id)}"),
    ]


def collection(where: Where, one: Collection, body: Mapping[str, Any]) -> str:
    """Make the page of a collection, with a form that shows its features."""
    facts = {name: body[name] for name in ("id", "extent", "crs", "storageCrs") if name in body}
    choices: list[tuple[str, str, list[tuple[str, str, bool]]]] = []
    if one.coloured:
        kinds = [
            (each.id, _said(where, each.title.zh, each.title.en), each.id == "overall")
            for each in one.map.kinds
        ]
        periods = [(str(each), _word(where, each), False) for each in one.map.periods]
        choices = [
            ("kind", _word(where, "kind"), kinds),
            ("period", _word(where, "period"), periods),
        ]
    return _render(
        "collection", where, _said(where, one.zh, one.en), _crumbs(where, one)[:1],
        about=_said(where, one.about_zh, one.about_en), one=one, facts=facts,
        found_links=body["links"], choices=choices,
        address=f"{where.base}/collections/{quote(one.id)}",
    )  # fmt: skip


def items(where: Where, one: Collection, found: Page, following: str | None) -> str:
    """Make the page of features: a drawing, a table, the way to the next page."""
    here = f"{where.base}/collections/{quote(one.id)}/items"
    query = urlencode(
        {**{k: str(v) for k, v in found.pinned.items()}, "f": "html", "lang": where.lang}
    )
    columns = [
        field
        for field in one.fields.values()
        if not (one.coloured and (field.name in SAID or field.name == OWN[one.room]))
    ]
    rows = [
        {
            "id": each["id"],
            "href": f"{here}/{quote(str(each['id']), safe='')}?{query}",
            "cells": [_cell(where, field, each["properties"]) for field in columns],
        }
        for each in found.features
    ]
    return _render(
        "items", where, _said(where, one.zh, one.en), _crumbs(where, one),
        drawing=_drawing(found), rows=rows, columns=columns,
        returned=len(found.features), matched=found.matched, next=following,
        about=_moment(where, found),
    )  # fmt: skip


def item(where: Where, one: Collection, found: Page) -> str:
    """Make the page of one feature."""
    each = found.features[0]
    pairs = [(field, _cell(where, field, each["properties"])) for field in one.fields.values()]
    name = each["properties"].get("name") or each["id"]
    return _render(
        "item", where, str(name), _crumbs(where, one), drawing=_drawing(found), pairs=pairs,
        about=_moment(where, found),
    )  # fmt: skip


def _moment(where: Where, found: Page) -> str:
    if not found.pinned or not found.features:
        return ""
    first = found.features[0]["properties"]
    kind = first["kind"]
    return _said(
        where,
        f"第 {first['run']} 次运行 · {kind} · {first['start']} 至 {first['end']}（不含）",
        f"Run {first['run']} · {kind} · {first['start']} up to and without {first['end']}",
    )


def _cell(where: Where, field: Field, properties: Mapping[str, Any]) -> dict[str, Any]:
    value = properties.get(field.name)
    if value is None:
        text = "–"
    elif isinstance(value, bool):
        text = _word(where, "yes" if value else "no")
    elif isinstance(value, float):
        text = f"{value:.4g}"
    else:
        text = str(value)
    fill = properties.get("fill") if field.name in {"colour", "fill"} else None
    if field.name == "colour" and value is not None:
        text = str(properties[f"class_{where.lang}"])
        return {"text": text, "number": False, "fill": fill}
    return {"text": text, "number": isinstance(value, int | float) and not isinstance(value, bool),
            "fill": fill}  # fmt: skip


def _drawing(found: Page) -> dict[str, Any] | None:
    """Draw the shapes of a page: longitudes shortened by the cosine of the middle latitude."""
    shapes = np.empty(len(found.shapes), object)
    shapes[:] = found.shapes
    if not len(shapes):
        return None
    west, south, east, north = shapely.total_bounds(shapes).tolist()
    short = math.cos(math.radians((south + north) / 2))
    margin = max((east - west) * short, north - south, 1e-4) * 0.05
    scale = WIDE / (max((east - west) * short, north - south) + 2 * margin)
    left, top = west * short - margin, north + margin

    def place(xy: Any) -> Any:
        return np.column_stack([(xy[:, 0] * short - left) * scale, (top - xy[:, 1]) * scale])

    # a shape smaller than the grain stays as a dot of its own size
    drawn = shapely.simplify(shapely.transform(shapes, place), 0.6, preserve_topology=True)
    marks = []
    for shape, each in zip(drawn.tolist(), found.features, strict=True):
        properties = each["properties"]
        fill = properties.get("fill") or PLAIN
        mark: dict[str, Any] = {"fill": fill, "title": properties.get("name") or each["id"]}
        if shape.geom_type == "Point":
            mark |= {"x": round(shape.x, 1), "y": round(shape.y, 1), "d": ""}
        else:
            mark["d"] = _path(shape)
        marks.append(mark)
    wide = ((east - west) * short + 2 * margin) * scale
    high = (north - south + 2 * margin) * scale
    return {"box": f"0 0 {wide:.1f} {high:.1f}", "marks": marks, "radius": 7}


def _path(shape: shapely.Geometry) -> str:
    parts = []
    for ring in shapely.get_rings(shapely.get_parts(shape)):
        points = " ".join(
            f"{x:.1f} {y:.1f}" for x, y in shapely.get_coordinates(ring)[:-1].tolist()
        )
        parts.append(f"M{points}Z")
    return "".join(parts)
