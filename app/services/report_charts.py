"""The charts of a report as SVG, in the language of the product (LOOK 5).

Interval: dot and line on a log axis, thin vertical = 1. Series: ink. Hour × weekday: seven greys,
never the five colours. Numbers that are suppressed are drawn as such.
"""

from __future__ import annotations

import math
from html import escape

from app.services.report import Report, Row
from tiles.palette import CLASSES, INK

FONT = "Noto Sans CJK SC, Noto Sans SC, PingFang SC, Microsoft YaHei, sans-serif"
FILL = {one.id: one.light.fill for one in CLASSES}
GREYS = ("#F1F2F4", "#DDE1E5", "#C3C9D0", "#A3ABB6", "#7F8995", "#5A6572", "#3F4854")
DAYS = {"zh": "一二三四五六日", "en": ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")}
WIDTH = 510.0


def _svg(height: float, body: list[str], label: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:g}" '
        f'width="{WIDTH:g}pt" height="{height:g}pt" font-family="{FONT}" fill="{INK}" role="img" '
        f'aria-label="{escape(label)}">' + "".join(body) + "</svg>"
    )


def _text(x: float, y: float, text: str, size: float = 8, **more: object) -> str:
    extra = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}"{extra}>{escape(text)}</text>'


def intervals(report: Report, rows: list[Row]) -> str:
    """Relative risks with their intervals, one line each, on a log axis of ¼ to 8."""
    left, right, step = 240.0, WIDTH - 8, 15.0
    low, high = math.log2(0.25), math.log2(8)

    def x(value: float) -> float:
        at = (math.log2(min(max(value, 0.25), 8)) - low) / (high - low)
        return left + at * (right - left)

    height = 20 + step * len(rows)
    body = []
    for value, label in ((0.25, "¼"), (0.5, "½"), (1, "1"), (2, "2"), (4, "4"), (8, "8")):
        heavy = value == 1
        body.append(
            f'<line x1="{x(value):.1f}" x2="{x(value):.1f}" y1="14" y2="{height - 2:g}" '
            f'stroke="{INK if heavy else "#E3E6EA"}" stroke-width="{0.8 if heavy else 0.6}"/>'
            + _text(x(value), 9, label, 7.5, text_anchor="middle", fill="#646E7B")
        )
    zh = report.lang == "zh"
    for name, place in (
        (("观测", "Observed"), 150.0),
        (("预期", "Expected"), 190.0),
        (("倍数", "Ratio"), 228.0),
    ):
        body.append(_text(place, 9, name[not zh], 7.5, text_anchor="end", fill="#646E7B"))
    for at, row in enumerate(rows):
        y = 20 + step * at + step / 2
        body.append(_text(0, y + 3, row.name or row.code or "", 8.5))
        body.append(_text(150, y + 3, row.observed_text, 8.5, text_anchor="end"))
        if row.expected is not None:
            body.append(_text(190, y + 3, f"{row.expected:,.1f}", 8.5, text_anchor="end"))
        if row.relative_risk is None or row.low is None or row.high is None:
            continue
        body.append(_text(228, y + 3, f"{row.relative_risk:.2f}", 8.5, text_anchor="end"))
        body.append(
            f'<line x1="{x(row.low):.1f}" x2="{x(row.high):.1f}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="{INK}" stroke-width="1.3"/>'
            f'<circle cx="{x(row.relative_risk):.1f}" cy="{y:.1f}" r="3.6" '
            f'fill="{FILL[row.colour or "none"]}" stroke="{INK}" stroke-width="0.9"/>'
        )
    return _svg(height, body, "相对风险" if zh else "Relative risk")


def months(report: Report) -> str | None:
    """Draw counts by month as a line with its points; None: there are none to draw."""
    rows = report.of("month")
    known = [row.observed for row in rows if row.observed is not None]
    if len(rows) < 2 or not known:
        return None
    height, base, left = 96.0, 78.0, 24.0
    most = max([*known, 1])
    step = (WIDTH - left - 20) / max(1, len(rows) - 1)

    def y(count: int) -> float:
        return base - 62 * count / most

    body = [
        f'<line x1="{left}" x2="{WIDTH:g}" y1="{base}" y2="{base}" stroke="#A3ABB6" stroke-width="0.6"/>',
        _text(left - 4, y(most) + 3, str(most), 7.5, text_anchor="end", fill="#646E7B"),
        _text(left - 4, base + 3, "0", 7.5, text_anchor="end", fill="#646E7B"),
    ]
    points = [
        (left + at * step, y(row.observed)) if row.observed is not None else None
        for at, row in enumerate(rows)
    ]
    line, open_ = "", False
    for point in points:
        if point is None:
            open_ = False
            continue
        line += f"{'L' if open_ else 'M'}{point[0]:.1f} {point[1]:.1f}"
        open_ = True
    body.append(f'<path d="{line}" fill="none" stroke="{INK}" stroke-width="1.6"/>')
    every = max(1, math.ceil(len(rows) / 12))
    for at, (row, point) in enumerate(zip(rows, points, strict=True)):
        x = left + at * step
        if point is None:
            body.append(_text(x, base - 4, "<5", 7, text_anchor="middle", fill="#646E7B"))
        else:
            body.append(f'<circle cx="{x:.1f}" cy="{point[1]:.1f}" r="1.8" fill="{INK}"/>')
        if at % every == 0:
            body.append(
                _text(x, base + 12, (row.start or "")[:7], 7, text_anchor="middle", fill="#646E7B")
            )
    return _svg(height, body, "按月" if report.lang == "zh" else "By month")


def hours(report: Report) -> str | None:
    """Hour × weekday in seven greys, figures in the darkest; None: not asked for."""
    rows = report.of("hour_of_week")
    if len(rows) != 168:
        return None
    counts = [row.observed for row in rows]
    most = max([one for one in counts if one is not None] + [1])
    left, width, height = 24.0, (WIDTH - 24) / 24, 14.0
    body = [
        _text(left + width * (hour + 0.5), 8, str(hour), 7, text_anchor="middle", fill="#646E7B")
        for hour in range(0, 24, 3)
    ]
    for day in range(7):
        top = 12 + day * height
        body.append(_text(left - 6, top + 10, DAYS[report.lang][day], 8, text_anchor="end"))
        for hour in range(24):
            count = counts[24 * day + hour]
            x = left + width * hour
            if count is None:
                body.append(
                    f'<rect x="{x:.2f}" y="{top:g}" width="{width - 1:.2f}" height="{height - 1:g}" '
                    f'fill="none" stroke="#C8CED6" stroke-width="0.5"/>'
                    + _text(x + width / 2, top + 9.5, "<5", 6, text_anchor="middle", fill="#646E7B")
                )
                continue
            shade = min(6, math.ceil(6 * count / most))
            body.append(
                f'<rect x="{x:.2f}" y="{top:g}" width="{width - 1:.2f}" height="{height - 1:g}" '
                f'fill="{GREYS[shade]}"/>'
            )
            if shade >= 5:
                body.append(
                    _text(
                        x + width / 2,
                        top + 9.5,
                        str(count),
                        6.5,
                        text_anchor="middle",
                        fill="#FFFFFF",
                    )
                )
    return _svg(12 + 7 * height, body, "每周小时" if report.lang == "zh" else "Hours of the week")
