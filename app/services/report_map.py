"""The map of a report as SVG: the area, its units in their classes, legend, scale, badges.

Imports `tiles.palette` for the colours. Drawn in an equal-area plane around the area, in points
(1/72 inch), so that paper, screen and PNG show the same. No text is an image.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from html import escape

import numpy as np
import pyproj
import shapely

from app.services.report import Report, Row
from geo.surface import plane
from tiles.palette import CLASSES, INK

WIDTH, HEIGHT = 510.0, 268.0
#: The map itself; the legend stands beside it, so that nothing covers the area.
MAP = 366.0
MARGIN = 16.0
FONT = "Noto Sans CJK SC, Noto Sans SC, PingFang SC, Microsoft YaHei, sans-serif"
BY_ID = {one.id: one for one in CLASSES}
LABELLED = 14


class Page:
    """From degrees to points on the page."""

    def __init__(
        self,
        shapes: Iterable[shapely.Geometry],
        outline: shapely.Geometry,
        size: tuple[float, float] = (MAP, HEIGHT),
    ) -> None:
        west, south, east, north = outline.bounds
        self._there = pyproj.Transformer.from_crs(
            "EPSG:4326", plane((west + east) / 2, (south + north) / 2), always_xy=True
        )
        frame = np.array([self._plane(one).bounds for one in (outline, *shapes)])
        low, high = frame[:, :2].min(axis=0), frame[:, 2:].max(axis=0)
        wide, tall = np.maximum(high - low, 1.0)
        width, height = size
        self.scale = float(min((width - 2 * MARGIN) / wide, (height - 2 * MARGIN) / tall))
        middle = (low + high) / 2
        self._left = middle[0] - width / 2 / self.scale
        self._top = middle[1] + height / 2 / self.scale

    def _plane(self, shape: shapely.Geometry) -> shapely.Geometry:
        dense = shapely.segmentize(shape, max(1e-4, _widest(shape) / 200))
        return shapely.transform(dense, self._there.transform, interleaved=False)

    def place(self, shape: shapely.Geometry) -> shapely.Geometry:
        """Shape in points, simplified to what can be seen."""
        made = shapely.transform(
            self._plane(shape),
            lambda xy: np.column_stack(
                [(xy[:, 0] - self._left) * self.scale, (self._top - xy[:, 1]) * self.scale]
            ),
        )
        return shapely.simplify(made, 0.15, preserve_topology=True)


def _widest(shape: shapely.Geometry) -> float:
    west, south, east, north = shape.bounds
    return float(max(east - west, north - south))


def path(shape: shapely.Geometry) -> str:
    """SVG path of polygons."""
    parts = []
    for polygon in shapely.get_parts(shape):
        if polygon.geom_type != "Polygon":
            continue
        for ring in shapely.get_rings(polygon):
            xy = shapely.get_coordinates(ring)[:-1]
            points = "L".join(f"{x:.2f} {y:.2f}" for x, y in xy.tolist())
            parts.append(f"M{points}Z")
    return "".join(parts)


def scale_bar(scale: float) -> tuple[float, str]:
    """Length in points and label of a round distance of about a fifth of the map."""
    metres = MAP / 5 / scale
    power = 10 ** math.floor(math.log10(metres))
    value = next(one * power for one in (5, 2, 1) if one * power <= metres)
    return value * scale, f"{value / 1000:g} km" if value >= 1000 else f"{value:g} m"


def _fill(row: Row) -> str:
    if row.colour in (None, "none"):
        return "url(#hatch)"
    return BY_ID[str(row.colour)].light.fill


def svg_text(x: float, y: float, text: str, size: float = 8, **more: object) -> str:
    """Write SVG text at a point; further attributes with `_` for `-`."""
    extra = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}"{extra}>{escape(text)}</text>'


def legend(report: Report) -> list[tuple[str, str, int]]:
    """Classes with their meaning and the number of units shown, red first, no data always."""
    counts = Counter(row.colour or "none" for row in report.of("unit") if row.geometry is not None)
    if not counts:
        counts[report.answer.overall.colour] = 1
    return [
        (one.id, f"{one.zh} {one.meaning_zh}" if report.lang == "zh" and one.value else
         one.meaning_zh if report.lang == "zh" else one.meaning_en, counts[one.id])
        for one in (*reversed(CLASSES[1:]), CLASSES[0])
    ]  # fmt: skip


def draw(report: Report, badges: bool = True) -> str:
    """Draw the map; without its badges where the page shows them beside it."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" '
        f'width="{WIDTH:g}pt" height="{HEIGHT:g}pt" font-family="{FONT}" fill="{INK}" role="img" '
        f'aria-label="{escape(report.title)}">'
    )
    hatch = BY_ID["none"].light
    defs = (
        f'<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(-45)"><rect width="6" height="6" fill="{hatch.fill}"/>'
        f'<line x1="0" y1="0" x2="6" y2="0" stroke="{hatch.hatch}" stroke-width="1.6"/></pattern>'
        f'<clipPath id="frame"><rect width="{MAP:g}" height="{HEIGHT:g}"/></clipPath></defs>'
    )
    body = [
        head,
        defs,
        f'<rect width="{MAP:g}" height="{HEIGHT:g}" fill="#F4F5F6"/>',
    ]
    if report.outline is not None:
        body.append('<g clip-path="url(#frame)">')
        body += _ground(report)
        body.append("</g>")
    body += _legend(report, report.badges if badges else [])
    body.append("</svg>")
    return "".join(body)


def _ground(report: Report) -> list[str]:
    assert report.outline is not None
    units = [row for row in report.of("unit") if row.geometry is not None]
    page = Page((), report.outline)
    area = page.place(report.outline)
    body = []
    if units:
        # ground no unit of the table has is no data, never empty
        body.append(f'<path d="{path(area)}" fill="url(#hatch)" fill-rule="evenodd"/>')
        for row in units:
            assert row.geometry is not None
            body.append(
                f'<path d="{path(page.place(row.geometry))}" fill="{_fill(row)}" '
                f'fill-rule="evenodd" stroke="#3F4854" stroke-width="0.6"/>'
            )
        # outside of what was asked the map steps back, as on the screen
        frame = shapely.box(-10, -10, MAP + 10, HEIGHT + 10)
        veil = shapely.difference(frame, shapely.make_valid(area))
        body.append(
            f'<path d="{path(veil)}" fill="#FFFFFF" fill-opacity="0.78" fill-rule="evenodd"/>'
        )
    else:
        row = report.of("area")[0]
        body.append(f'<path d="{path(area)}" fill="{_fill(row)}" fill-rule="evenodd"/>')
    body.append(
        f'<path d="{path(area)}" fill="none" stroke="#FFFFFF" stroke-width="4" stroke-linejoin="round"/>'
        f'<path d="{path(area)}" fill="none" stroke="{INK}" stroke-width="1.8" stroke-linejoin="round"/>'
    )
    named = sorted(units, key=lambda row: -(row.observed or 0))[:LABELLED]
    taken: list[shapely.Geometry] = []
    for row in named:
        inside = shapely.intersection(
            shapely.make_valid(page.place(row.geometry)), shapely.make_valid(area)
        )
        if inside.is_empty or not row.name:
            continue
        at = inside.representative_point()
        half = 4.2 * len(row.name)
        box = shapely.box(at.x - half, at.y - 7, at.x + half, at.y + 4)
        held = shapely.intersection(inside, box).area / box.area
        if held < 0.75 or any(box.intersects(one) for one in taken):
            continue  # a label that does not fit is dropped, not shrunk
        taken.append(box)
        halo = {"stroke": "#FFFFFF", "stroke_width": 2.5, "paint_order": "stroke"}
        middle = {"text_anchor": "middle", "stroke_linejoin": "round"}
        body.append(svg_text(at.x, at.y + 2, row.name, 8, **halo, **middle))
    length, label = scale_bar(page.scale)
    y = HEIGHT - 10
    body.append(
        f'<path d="M12 {y - 4:g}v4h{length:.2f}v-4" fill="none" stroke="{INK}" stroke-width="1.1"/>'
        + svg_text(16 + length, y, label, 8)
    )
    return body


def _legend(report: Report, badges: list[str]) -> list[str]:
    """Badges and legend beside the map: at every size, in every export."""
    left, y = MAP + 14, 0.0
    body = []
    for badge in badges:
        wide = sum(8.0 if ord(one) > 255 else 4.4 for one in badge) + 12
        box = (
            f'<rect x="{left:g}" y="{y + 0.5:g}" width="{wide:g}" height="15" rx="4" fill="#FFFFFF" '
            f'stroke="{INK}" stroke-width="0.8"/>'
        )
        body.append(box + svg_text(left + 6, y + 11, badge, 8))
        y += 20
    units = any(row.geometry is not None for row in report.of("unit"))
    words = ("单位数", "Units") if units else ("本区域", "This area")
    y += 6
    body.append(
        svg_text(
            left, y + 8, "风险评估色" if report.lang == "zh" else "Risk colour", 8, font_weight=700
        )
    )
    body.append(
        svg_text(WIDTH, y + 8, words[report.lang == "en"], 8, text_anchor="end", fill="#646E7B")
    )
    y += 14
    for name, text, count in legend(report):
        fill = "url(#hatch)" if name == "none" else BY_ID[name].light.fill
        box = (
            f'<rect x="{left:g}" y="{y:g}" width="14" height="11" fill="{fill}" stroke="{INK}" '
            f'stroke-width="0.5"/>'
        )
        body.append(
            box
            + svg_text(left + 20, y + 9, text, 8)
            + svg_text(WIDTH, y + 9, str(count), 8, text_anchor="end")
        )
        y += 16
    return body
