"""A map as one HTML file that opens without a network: folium, its scripts inlined.

Promises: the file asks nobody for anything (Leaflet is carried inside, there are no tiles: the
ground is drawn from the area and its units); names and numbers are text of JSON, never of code.
"""

from __future__ import annotations

import base64
import json
import re
from functools import lru_cache
from html import escape
from typing import Any

import shapely

from app.services.report import Report, Row
from app.services.report_map import legend
from app.services.report_words import NAME, headline, line, word
from app.settings import PROJECT
from tiles.palette import CLASSES, INK

LEAFLET = PROJECT / "data" / "vendor" / "leaflet"
FILL = {one.id: one.light.fill for one in CLASSES}
#: What a browser would fetch by itself.
OUTSIDE = re.compile(
    r"""<(?:script|link|img|iframe|object|embed)\b[^>]*\b(?:src|href|data)\s*=\s*["']?(?:https?:)?//"""
)
#: Nothing outside the file may be asked for, whatever it holds.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)
STYLE = """
html, body { margin: 0; height: 100% }
body { font: 14px/1.5 Inter, "Noto Sans SC", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif;
  color: #12161C; font-variant-numeric: tabular-nums }
.leaflet-container { background: #EEF0F2; font: inherit }
.folium-map { position: absolute !important; inset: 0; width: 100% !important; height: 100% !important; left: 0 !important; top: 0 !important }
.card { position: absolute; z-index: 1000; background: #fff; border: 1px solid #C8CED6; border-radius: 8px; padding: 10px 14px; max-width: 380px }
#about { left: 56px; top: 12px } #legend { right: 12px; bottom: 26px }
.card h1 { font-size: 18px; margin: 0 0 2px } .card p { margin: 4px 0 }
.card summary { cursor: pointer } .badge { border: 1px solid #12161C; border-radius: 4px; padding: 0 6px; margin-right: 6px; font-size: 12px }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 12px; font-size: 12px; margin: 6px 0; max-height: 40vh; overflow: auto }
dt { color: #646E7B } dd { margin: 0; overflow-wrap: anywhere }
#legend div { display: flex; align-items: center; gap: 8px; font-size: 13px } #legend span { flex: 1 }
#legend i { width: 16px; height: 12px; border: 1px solid #12161C }
.none { background: repeating-linear-gradient(-45deg, #F1F2F4 0 4px, #A9B0BA 4px 5.6px) }
@media (max-width: 640px) { #about { left: 52px; right: 8px; max-width: none } }
"""


@lru_cache(maxsize=1)
def _leaflet() -> tuple[str, str]:
    """Leaflet's script and style, the pictures of the style inside it."""

    def inlined(found: re.Match[str]) -> str:
        path = LEAFLET / found[1]
        if not path.is_file():
            return "none"  # of markers, which are not used
        return f"url(data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()})"

    script = (LEAFLET / "leaflet.js").read_text(encoding="utf-8")
    style = (LEAFLET / "leaflet.css").read_text(encoding="utf-8")
    script = script.replace("//# sourceMappingURL=leaflet.js.map", "")
    return script, re.sub(r"url\(([^)#]+)\)", inlined, style)


def _feature(report: Report, row: Row) -> dict[str, Any]:
    made = line(report, row)
    return {
        "type": "Feature",
        "geometry": json.loads(shapely.to_geojson(row.geometry)),
        "properties": {
            # the tip sets them as HTML, as they are
            "name": escape(made.name),
            "observed": escape(made.observed),
            "expected": escape(made.expected),
            "ratio": escape(made.ratio),
            "interval": escape(made.interval),
            "class": escape(made.colour_name),
            "colour": made.colour,
        },
    }


def page(report: Report) -> bytes:
    """Make the file."""
    import folium
    from branca.element import Element

    script, style = _leaflet()
    bounds = report.outline.bounds if report.outline is not None else (-180.0, -60.0, 180.0, 75.0)
    west, south, east, north = bounds
    one = folium.Map(
        location=[(south + north) / 2, (west + east) / 2], tiles=None, control_scale=True,
        attribution_control=False, zoom_snap=0.25,
    )  # fmt: skip
    one.default_js, one.default_css = [], []
    fields = ["name", "observed", "expected", "ratio", "interval", "class"]
    aliases = [word(report, name) for name in fields]

    def layer(title: str, rows: list[Row], **look: object) -> None:
        features = [_feature(report, row) for row in rows if row.geometry is not None]
        if not features:
            return
        folium.GeoJson(
            {"type": "FeatureCollection", "features": features},
            name=escape(title),  # the list of layers sets it as HTML
            style_function=lambda feature: {
                "fillColor": FILL[feature["properties"]["colour"]],
                "fillOpacity": 1.0,
                "color": "#3F4854",
                "weight": 1,
                **look,
            },
            highlight_function=lambda _: {"weight": 3, "color": INK},
            tooltip=folium.GeoJsonTooltip(fields=fields, aliases=aliases),
        ).add_to(one)

    layer(word(report, "comparisons"), report.of("comparison"))
    layer(word(report, "units"), report.of("unit"))
    if report.outline is not None:
        area = report.of("area")
        if any(row.geometry is not None for row in report.of("unit")):
            layer(report.title, area, fill=False, color=INK, weight=4)
        else:
            layer(report.title, area, color=INK, weight=4)
        one.fit_bounds([[south, west], [north, east]], padding=(30, 30))
    folium.LayerControl(collapsed=True).add_to(one)
    figure: Any = one.get_root()
    head = (
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{escape(report.title)}</title><style>{style}{STYLE}</style>"
        f"<script>{script}</script>"
    )
    figure.header.add_child(Element(_plain(head)), name="carried", index=0)
    figure.html.add_child(Element(_plain(_cards(report))), name="cards")
    made = str(figure.render())
    if outside := OUTSIDE.search(made):
        raise AssertionError(f"the file would ask {outside[0][:200]}")
    return made.encode()


def _plain(text: str) -> str:
    """Keep Jinja, through which folium sends everything, from reading braces of ours."""
    return "{% raw %}" + text.replace("{% endraw %}", "") + "{% endraw %}"


def _cards(report: Report) -> str:
    """Say beside the map, as text, what it shows: sentence, facts, legend."""
    facts = "".join(f"<dt>{escape(a)}</dt><dd>{escape(b)}</dd>" for a, b in report.facts)
    badges = "".join(f'<span class="badge">{escape(one)}</span>' for one in report.badges)
    rule = report.answer.rule.zh if report.lang == "zh" else report.answer.rule.en
    classes = "".join(
        f'<div><i class="{name}"'
        + ("" if name == "none" else f' style="background:{FILL[name]}"')
        + f"></i><span>{escape(text)}</span>{count}</div>"
        for name, text, count in legend(report)
    )
    colour = NAME[report.of("area")[0].colour or "none"][report.lang == "en"]
    return (
        f'<div class="card" id="about"><h1>{escape(report.title)}</h1>{badges}'
        f"<p><b>{escape(colour)}</b> {escape(headline(report))}</p>"
        f"<details><summary>{escape(word(report, 'method'))}</summary>"
        f"<p>{escape(rule)}</p><dl>{facts}</dl></details></div>"
        f'<div class="card" id="legend">{classes}</div>'
    )
