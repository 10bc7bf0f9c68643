"""The one map of a brief as SVG: units in their classes, borders and names of the coarser level.

Imports the drawing of reports (`report_map`) and the palette. In points (1/72 inch), equal-area.
"""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import Literal

import shapely
import sqlalchemy as sa

from app.api.brief_models import Brief
from app.services.report_map import BY_ID, FONT, Page, path, scale_bar, svg_text
from tiles.palette import CLASSES, INK

WIDTH, HEIGHT, MAP = 510.0, 282.0, 372.0
LINE, BORDER = "#3F4854", "#12161C"


def shapes_of(
    connection: sa.Connection, version_id: int, codes: list[str]
) -> dict[str, shapely.Geometry]:
    """Shapes of units by code, EPSG:4326; those that may be seen."""
    rows = connection.execute(
        sa.text(
            "select code, st_asbinary(geom) as geom from unit "
            "where boundary_version_id = :version and code = any(:codes)"
        ),
        {"version": version_id, "codes": codes},
    ).all()
    found = shapely.from_wkb([bytes(row.geom) for row in rows])
    return dict(zip((row.code for row in rows), found, strict=True))


def draw(connection: sa.Connection, brief: Brief, lang: Literal["zh", "en"]) -> str | None:
    """Draw the map with its legend; None: there is nothing to draw."""
    shapes = shapes_of(connection, brief.boundary_version_id, list(brief.map.colours))
    if not shapes:
        return None
    names = {row.code: row.name for row in brief.tables[0].rows} if brief.tables else {}
    over = shapes_of(connection, brief.boundary_version_id, list(names)) if brief.map.over else {}
    outline = shapely.union_all(list(over.values() or shapes.values()), grid_size=1e-6)
    page = Page((), outline, (MAP, HEIGHT))
    label = {"zh": brief.scope_name.zh, "en": brief.scope_name.en}[lang]
    hatch = BY_ID["none"].light
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" '
        f'width="{WIDTH:g}pt" height="{HEIGHT:g}pt" font-family="{FONT}" fill="{INK}" role="img" '
        f'aria-label="{escape(label)}">'
        f'<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(-45)"><rect width="6" height="6" fill="{hatch.fill}"/>'
        f'<line x1="0" y1="0" x2="6" y2="0" stroke="{hatch.hatch}" stroke-width="1.6"/></pattern></defs>'
    )
    body = [head]
    thin = "0.35" if len(shapes) > 60 else "0.6"
    for code, shape in shapes.items():
        colour = brief.map.colours[code]
        fill = "url(#hatch)" if colour == "none" else BY_ID[colour].light.fill
        body.append(
            f'<path d="{path(page.place(shape))}" fill="{fill}" fill-rule="evenodd" '
            f'stroke="{LINE if not over else "#FFFFFF"}" stroke-width="{thin}"/>'
        )
    for shape in over.values():
        d = path(page.place(shape))
        body.append(
            f'<path d="{d}" fill="none" stroke="#FFFFFF" stroke-width="2.2" stroke-linejoin="round"/>'
        )
    for shape in over.values():
        d = path(page.place(shape))
        body.append(
            f'<path d="{d}" fill="none" stroke="{LINE}" stroke-width="0.9" stroke-linejoin="round"/>'
        )
    body.append(
        f'<path d="{path(page.place(outline))}" fill="none" stroke="{BORDER}" stroke-width="1.6" '
        f'stroke-linejoin="round"/>'
    )
    body += _names(page, over or shapes, {code: getattr(one, lang) for code, one in names.items()})
    length, text = scale_bar(page.scale)
    y = HEIGHT - 8
    body.append(
        f'<path d="M4 {y - 4:g}v4h{length:.2f}v-4" fill="none" stroke="{INK}" stroke-width="1.1"/>'
        + svg_text(8 + length, y, text, 8)
    )
    body += _legend(brief, lang)
    body.append("</svg>")
    return "".join(body)


def _names(page: Page, shapes: dict[str, shapely.Geometry], names: dict[str, str]) -> list[str]:
    body: list[str] = []
    taken: list[shapely.Geometry] = []
    halo = {"stroke": "#FFFFFF", "stroke_width": 2.6, "paint_order": "stroke"}
    placed = [(code, page.place(shape)) for code, shape in shapes.items() if names.get(code)]
    for code, shape in sorted(placed, key=lambda one: -one[1].area):
        at = shapely.maximum_inscribed_circle(shape, 0.5).coords[0] if not shape.is_empty else None
        if at is None:
            continue
        half = sum(4.2 if ord(one) > 255 else 2.3 for one in names[code])
        box = shapely.box(at[0] - half, at[1] - 6, at[0] + half, at[1] + 5)
        if any(box.intersects(one) for one in taken):
            continue  # a label that does not fit is dropped, not shrunk
        taken.append(box)
        body.append(
            svg_text(
                at[0], at[1] + 3, names[code], 8, text_anchor="middle", stroke_linejoin="round", **halo
            )
        )  # fmt: skip
    return body


def _legend(brief: Brief, lang: str) -> list[str]:
    left, y = MAP + 12, 10.0
    zh = lang == "zh"
    counts: Counter[str] = Counter(brief.map.colours.values())
    unit = brief.map.level_title.zh + "数" if zh else brief.map.level_title.en.capitalize()
    body = [
        svg_text(left, y + 8, "风险评估色" if zh else "Risk colour", 8, font_weight=700),
        svg_text(WIDTH, y + 8, unit, 8, text_anchor="end", fill="#646E7B"),
    ]
    y += 16
    for one in (*reversed(CLASSES[1:]), CLASSES[0]):
        fill = "url(#hatch)" if one.id == "none" else one.light.fill
        text = (f"{one.zh} {one.meaning_zh}" if one.value else one.zh) if zh else one.meaning_en
        body.append(
            f'<rect x="{left:g}" y="{y:g}" width="14" height="11" fill="{fill}" stroke="{INK}" '
            f'stroke-width="0.5"/>'
            + svg_text(left + 20, y + 9, text, 8)
            + svg_text(WIDTH, y + 9, str(counts.get(one.id, 0)), 8, text_anchor="end")
        )
        y += 16
    return body
