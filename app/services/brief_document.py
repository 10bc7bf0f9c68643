"""The monthly brief as a document: HTML by Jinja, PDF by Typst. Templates in data/reports.

Promises: one file, no script, nothing fetched; every sentence carries the number of its entry in the
list of sources; run, boundary version, cut-off, wording and check digits stand on every page.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from app.api.brief_models import Brief, BriefChange, BriefRow, BriefSentence, KeptBrief
from app.api.models import Words
from app.services import brief_map
from app.services import brief_say as text
from app.services.report_document import FILL, FOLDER, fonts
from app.services.report_map import FONT, svg_text
from tiles.palette import CLASSES, INK

Lang = Literal["zh", "en"]
NAME = {one.id: (one.zh, one.en) for one in CLASSES}
WORDS = {
    "kicker": ("五色图 · 月报", "Wusetu · Monthly brief"),
    "kind": ("类别", "Kind"),
    "observed": ("件数", "Events"),
    "last_year": ("上年同期", "Last year"),
    "previous": ("上月", "Month before"),
    "ratio": ("日均之比（区间）", "Ratio per day (interval)"),
    "few": ("件数少", "few events"),
    "name": ("名称", "Name"),
    "expected": ("预期", "Expected"),
    "theta": ("相对风险（区间）", "Relative risk (interval)"),
    "rank": ("名次（区间）", "Rank (interval)"),
    "colour": ("颜色", "Colour"),
    "was": ("上月", "Before"),
    "map": ("地图", "Map"),
    "sources": ("附：数字出处", "Annex: where the numbers stand"),
    "sources_note": (
        "每句话后的序号指向此表；地址是系统接口，“#”后为其中的位置。",
        "The number after a sentence leads here; addresses are those of the system's interface, with the place in the answer after “#”.",
    ),
    "calculated": ("由以下各数算得", "calculated from"),
    "rule": ("方法本身的数", "a number of the method itself"),
    "nothing": ("没有符合的", "there is none"),
    "in_all": ("共 {n} 个地址", "{n} addresses in all"),
    "page": ("第 {n} 页，共 {all} 页", "Page {n} of {all}"),
    "approximate": ("近似边界", "Approximate boundaries"),
    "simulated": ("模拟事件", "Simulated events"),
}  # fmt: skip
#: Addresses printed of one number; JSON has all of them.
MOST = 20
NUMERALS = "一二三四五六七八九十"


def _pick(lang: Lang) -> Callable[[Words], str]:
    return lambda words: words.zh if lang == "zh" else words.en


def _word(name: str, lang: Lang) -> str:
    return WORDS[name][lang == "en"]


def _brackets(value: str, lang: Lang) -> str:
    return value if lang == "zh" else value.replace("（", " (").replace("）", ")")


def _ratio(change: BriefChange | None, lang: Lang) -> str:
    if change is None:
        return "–"
    if change.ratio_text:
        mark = {"more": "▲ ", "less": "▼ "}.get(change.which, "")
        return mark + _brackets(change.ratio_text, lang)
    return _word("few", lang) if change.which == "few" else "–"


def _row(row: BriefRow, lang: Lang) -> dict[str, str]:
    def between(value: str, low: str, high: str) -> str:
        return _brackets(f"{value}（{low}–{high}）", lang)

    risk = _word("few", lang)
    if row.theta is not None and row.low is not None and row.high is not None:
        risk = between(text.ratio(row.theta), text.end(row.low), text.end(row.high))
    colour = NAME[row.colour][lang == "en"]
    was = NAME[row.previous_colour][lang == "en"] if row.previous_colour else "–"
    return {
        "name": row.name.zh if lang == "zh" else row.name.en,
        "code": row.code,
        "colour": colour,
        "fill": FILL[row.colour].fill,
        "was": was if was != colour else "",
        "observed": row.observed_text,
        "expected": "–" if row.expected is None else text.expected(row.expected),
        "risk": risk,
        "rank": between(str(row.rank), str(row.rank_low), str(row.rank_high)),
        "address": row.address,
    }


def _sources(one: BriefSentence, lang: Lang) -> list[dict[str, Any]]:
    """List what a sentence was made from, each with its addresses."""
    pick = _pick(lang)
    return [
        {
            "text": pick(fact.text),
            "what": pick(fact.what),
            "how": fact.how,
            "addresses": (addresses := [fact.address] if fact.address else fact.of)[:MOST],
            "more": _word("in_all", lang).replace("{n}", str(len(addresses)))
            if len(addresses) > MOST
            else "",
            "without": _word("rule" if fact.how == "rule" else "nothing", lang),
        }
        for fact in one.facts
    ]


def _grouped(sources: list[dict[str, Any]], lang: Lang) -> list[dict[str, str]]:
    """Put the same on paper: one line per answer of the interface, with the places in it."""
    found: dict[str, list[str]] = {}
    for one in sources:
        if not one["addresses"]:
            found.setdefault(one["without"], []).append(f"{one['what']} {one['text']}")
            continue
        base, _, place = one["addresses"][0].partition("#")
        if len(one["addresses"]) > 1:
            other, _, last = one["addresses"][-1].partition("#")
            base = base if other == base else f"{base} … {other}"
            place = f"{_word('calculated', lang)} {place} … {last}"
        found.setdefault(base, []).append(f"{one['what']} {one['text']} {place}")
    return [{"address": base, "places": "; ".join(places)} for base, places in found.items()]


def chart(brief: Brief, lang: Lang) -> str | None:
    """Kinds against the same month last year (else the month before): dot, interval, 1; log axis."""
    which: Literal["last_year", "previous"] = (
        "last_year" if any(one.last_year for one in brief.kinds) else "previous"
    )
    rows = [(one, getattr(one, which)) for one in brief.kinds]
    known = [change for _, change in rows if change is not None and change.ratio is not None]
    if len(known) < 2:
        return None
    width, left, right, step = 510.0, 96.0, 502.0, 14.0
    ends = [1.0, *(v for one in known for v in (one.ratio, one.low, one.high or one.ratio) if v)]
    span = max(0.35, *(abs(math.log2(v)) for v in ends)) * 1.08

    def x(value: float) -> float:
        at = min(max(math.log2(max(value, 1e-9)) / span, -1), 1)
        return (left + right) / 2 + at * (right - left) / 2

    height = 18 + step * len(rows)
    ticks = [v for v in (0.25, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 4) if abs(math.log2(v)) <= span]
    body = [
        f'<line x1="{x(v):.1f}" x2="{x(v):.1f}" y1="13" y2="{height - 2:g}" '
        f'stroke="{INK if v == 1 else "#E3E6EA"}" stroke-width="{0.8 if v == 1 else 0.6}"/>'
        + svg_text(x(v), 9, f"{v:g}", 7.5, text_anchor="middle", fill="#646E7B")
        for v in ticks
    ]
    body.append(svg_text(0, 9, _word(which, lang) + (" = 1"), 7.5, fill="#646E7B"))
    for at, (one, change) in enumerate(rows):
        y = 18 + step * at + step / 2
        body.append(svg_text(0, y + 3, _pick(lang)(one.title), 8.5))
        if change is None or change.ratio is None or change.low is None:
            body.append(svg_text(x(1) + 5, y + 3, _word("few", lang), 7.5, fill="#646E7B"))
            continue
        high = change.high if change.high is not None else 2**span
        body.append(
            f'<line x1="{x(change.low):.1f}" x2="{x(high):.1f}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="{INK}" stroke-width="1.3"/>'
            f'<circle cx="{x(change.ratio):.1f}" cy="{y:.1f}" r="3.2" '
            f'fill="{INK if change.which in ("more", "less") else "#FFFFFF"}" stroke="{INK}" '
            f'stroke-width="1.1"/>'
        )
    label = escape(_word("ratio", lang))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}pt" height="{height:g}pt" font-family="{FONT}" fill="{INK}" role="img" '
        f'aria-label="{label}">' + "".join(body) + "</svg>"
    )


@dataclass(frozen=True)
class Copy:
    """One document to be made.

    Attributes
    ----------
    kept : the wording, as it was written down
    now : when the document is made
    site : what stands before an address of the system, without a slash at its end; may be empty
    """

    brief: Brief
    kept: KeptBrief
    lang: Lang
    now: datetime
    site: str


def content(copy: Copy) -> dict[str, Any]:
    """Everything a template prints, but the drawings."""
    brief, kept, lang, site = copy.brief, copy.kept, copy.lang, copy.site
    pick, zh = _pick(lang), lang == "zh"
    clock = ZoneInfo(brief.time_zone)
    cutoff = f"{brief.data_cutoff.astimezone(clock):%Y-%m-%d %H:%M}" if brief.data_cutoff else "–"
    number, sections, sources = 0, [], []
    for at, section in enumerate(brief.sections):
        sentences = []
        for one in section.sentences:
            found = _sources(one, lang)
            index = None
            if found:
                number += 1
                index = number
                sources.append(
                    {
                        "n": number,
                        "facts": found,
                        "lines": _grouped(found, lang),
                        "page": site + one.page if one.page else "",
                    }
                )
            sentences.append({"text": pick(one.text), "n": index})
        mark = f"{NUMERALS[at]}、" if zh else f"{at + 1}. "
        sections.append(
            {"id": section.id, "title": mark + pick(section.title), "sentences": sentences}
        )
    made = copy.now.astimezone(clock)
    check = f"{kept.digest[:12]}"
    footer = (
        f"第 {brief.run} 次评估 · 边界 {brief.boundary_version} · 数据截至 {cutoff} · 文稿第 {kept.version} 版 · 校验码 {check}"
        if zh
        else f"Run {brief.run} · boundaries {brief.boundary_version} · data as of {cutoff} · wording {kept.version} · check {check}"
    )
    badges = [_word(name, lang) for name in ("approximate", "simulated") if getattr(brief, name)]
    scope = pick(brief.scope_name)
    return {
        "lang": lang,
        "region": "CN" if zh else "GB",
        "title": f"{scope}{pick(brief.title)}" if zh else f"{scope}: {pick(brief.title)}",
        "month": pick(brief.month_name),
        "made": f"{made:%Y-%m-%d %H:%M}",
        "badges": badges,
        "words": {name: _word(name, lang) for name in WORDS},
        "figures": [
            {"label": pick(one.label), "value": pick(one.fact.text), "note": pick(one.note)}
            for one in brief.figures
        ],
        "sections": sections,
        "kinds": [
            {
                "title": pick(one.title),
                "observed": one.observed_text,
                "last_year": one.last_year.before_text if one.last_year else "–",
                "last_year_ratio": _ratio(one.last_year, lang),
                "previous": one.previous.before_text if one.previous else "–",
                "previous_ratio": _ratio(one.previous, lang),
            }
            for one in brief.kinds
        ],
        "tables": [
            {
                "title": pick(one.title)
                + (f"（共 {one.of} 个参加排名）" if zh else f" (of {one.of} ranked)"),
                "rows": [_row(row, lang) for row in one.rows],
            }
            for one in brief.tables
        ],
        "map_title": f"{pick(brief.map.level_title)}{'风险评估色' if zh else ': risk colour'}".capitalize(),
        "sources": sources,
        "site": site,
        "footer": footer,
        "page": _word("page", lang),
    }


def drawings(connection: sa.Connection, copy: Copy) -> dict[str, str | None]:
    """SVGs by name; None where there is nothing to draw."""
    return {
        "map": brief_map.draw(connection, copy.brief, copy.lang),
        "chart": chart(copy.brief, copy.lang),
    }


def html(connection: sa.Connection, copy: Copy) -> bytes:
    """Print-ready page: one file, no script, nothing fetched."""
    import jinja2
    import markupsafe

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined
    )
    drawn = drawings(connection, copy)
    svg = {
        name: markupsafe.Markup(body) if body else ""  # noqa: S704 - our own drawing, escaped there
        for name, body in drawn.items()
    }
    page = environment.get_template("brief.html")
    return page.render(**content(copy), svg=svg).encode()


def pdf(connection: sa.Connection, copy: Copy, data_dir: Path) -> bytes:
    """Brief as PDF, A4.

    Raises
    ------
    Unavailable
        There is no Chinese font.
    """
    import typst

    found, families = fonts(data_dir)
    drawn = drawings(connection, copy)
    with tempfile.TemporaryDirectory(prefix="wusetu-brief-") as name:
        folder = Path(name)
        body = {**content(copy), "fonts": list(families)}
        for part, svg in drawn.items():
            body[part] = svg is not None
            if svg is not None:
                (folder / f"{part}.svg").write_text(svg, encoding="utf-8")
        (folder / "data.json").write_text(json.dumps(body, ensure_ascii=False), encoding="utf-8")
        main = folder / "brief.typ"
        main.write_bytes((FOLDER / "brief.typ").read_bytes())
        made: bytes = typst.compile(
            main, root=folder, font_paths=found, format="pdf", timestamp=int(copy.now.timestamp())
        )
    return made
