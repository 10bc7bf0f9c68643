"""Reports as documents: PDF and PNG by Typst, print-ready HTML by Jinja. Templates in data/reports.

Promises: nothing is fetched; what is printed is text, not pictures of text; a missing Chinese font
is said before anything is made, with the way to mend it.
"""

from __future__ import annotations

import json
import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.errors import Unavailable
from app.services import report_charts, report_map
from app.services.report import Report, Row
from app.services.report_words import NAME, WORDS, changes, headline, line, word
from app.settings import PROJECT
from tiles.palette import CLASSES

FOLDER = PROJECT / "data" / "reports"
FILL = {one.id: one.light for one in CLASSES}
#: Families that have Chinese, the one wanted first.
FAMILIES = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC",
    "Microsoft YaHei", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback",
)  # fmt: skip
MOST_ROWS = 60


def font_folders(data_dir: Path) -> list[Path]:
    """Folders fonts are looked for in, beside the system's own."""
    given = [Path(one) for one in os.environ.get("WUSETU_FONTS", "").split(os.pathsep) if one]
    return [one for one in (*given, data_dir / "deb" / "usr" / "share" / "fonts") if one.is_dir()]


@lru_cache(maxsize=4)
def _fonts(folders: tuple[Path, ...]) -> tuple[Any, tuple[str, ...]]:
    """Fonts of folders and system, and the families with Chinese among them; looked up once."""
    import typst

    found = typst.Fonts(font_paths=list(folders))
    there = set(found.families())
    return found, tuple(one for one in FAMILIES if one in there)


def fonts(data_dir: Path) -> tuple[Any, tuple[str, ...]]:
    """Fonts for Typst, and the families to set the text in.

    Raises
    ------
    Unavailable
        None of them has Chinese.
    """
    found = _fonts(tuple(font_folders(data_dir)))
    if not found[1]:
        _fonts.cache_clear()  # one may be installed while we run
        raise Unavailable(
            "there is no Chinese font for the report: `make setup` installs one, or install Noto Sans "
            "CJK (Debian, Ubuntu: apt-get install fonts-noto-cjk), or name its folder in WUSETU_FONTS"
        )
    return found


def _table(report: Report, rows: list[Row]) -> list[dict[str, str]]:
    return [
        {**vars(made), "fill": FILL[made.colour].fill}
        for made in (line(report, row) for row in rows[:MOST_ROWS])
    ]


def _figures(report: Report) -> list[dict[str, str]]:
    """Four numbers under the headline."""
    one = report.of("area")[0]
    zh = report.lang == "zh"

    def figure(name: str, value: str, note: str) -> dict[str, str]:
        return {"label": word(report, name), "value": value, "note": note}

    made = line(report, one)
    p = "–" if one.p is None else f"{one.p:.3f}"
    return [
        figure("observed", made.observed, "件" if zh else "events"),
        figure("expected", made.expected, "件" if zh else "events"),
        figure("ratio", made.ratio, "1 = 与预期相同" if zh else "1 = as expected"),
        figure("interval", made.interval, f"P = {p}"),
    ]


def content(report: Report) -> dict[str, Any]:
    """Everything a template prints, but the drawings."""
    area = report.of("area")[0]
    colour = area.colour or "none"
    fill = FILL[colour]
    run = report.answer.run
    at = report.answer.cutoff
    cutoff = f"{at.astimezone(report.made.tzinfo):%Y-%m-%d %H:%M}" if at else "–"
    zh = report.lang == "zh"
    footer = (
        f"第 {run or '–'} 次评估 · 边界 {report.answer.boundary_version} · 数据截至 {cutoff}"
        if zh
        else f"Run {run or '–'} · boundaries {report.answer.boundary_version} · data as of {cutoff}"
    )
    return {
        "lang": report.lang,
        "region": "CN" if zh else "GB",
        "title": report.title,
        "kicker": "五色图 · 研判" if zh else "Wusetu · Analysis",
        "headline": headline(report),
        "class": {"name": NAME[colour][not zh], "fill": fill.fill, "on": fill.on},
        "figures": _figures(report),
        "changes": changes(report),
        "badges": report.badges,
        "words": {name: word(report, name) for name in WORDS},
        "units": _table(report, report.of("unit")),
        "comparisons": _table(report, report.of("comparison")),
        "rule": report.answer.rule.zh if zh else report.answer.rule.en,
        "suppressed": word(report, "suppressed") if report.answer.suppressed else "",
        "colour_note": word(report, "colour_note"),
        "facts": [list(one) for one in report.facts],
        "footer": f"{footer} · {report.made:%Y-%m-%d %H:%M}",
        "page": word(report, "page"),
    }


def drawings(report: Report) -> dict[str, str | None]:
    """SVGs by name; None where there is nothing to draw."""
    # a kind nothing was seen or expected of says nothing on paper; the tables have it
    kinds = [row for row in report.of("kind") if row.observed != 0 or row.expected is not None]
    return {
        "map": report_map.draw(report, badges=False),
        "kinds": report_charts.intervals(report, kinds) if len(kinds) > 1 else None,
        "months": report_charts.months(report),
        "hours": report_charts.hours(report),
    }


def html(report: Report) -> bytes:
    """Print-ready page: one file, no script, nothing fetched."""
    import jinja2
    import markupsafe

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined
    )
    svg = {
        name: markupsafe.Markup(body) if body else ""  # noqa: S704 - our own drawing, escaped there
        for name, body in drawings(report).items()
    }
    return environment.get_template("report.html").render(**content(report), svg=svg).encode()


def pdf(report: Report, data_dir: Path) -> bytes:
    """Report as PDF, A4.

    Raises
    ------
    Unavailable
        There is no Chinese font.
    """
    import typst

    found, families = fonts(data_dir)
    with tempfile.TemporaryDirectory(prefix="wusetu-report-") as name:
        folder = Path(name)
        drawn = drawings(report)
        body = {**content(report), "fonts": list(families)}
        for part in ("kinds", "months", "hours"):
            body[part] = drawn[part] is not None
        for part, svg in drawn.items():
            if svg is not None:
                (folder / f"{part}.svg").write_text(svg, encoding="utf-8")
        (folder / "data.json").write_text(json.dumps(body, ensure_ascii=False), encoding="utf-8")
        main = folder / "report.typ"
        main.write_bytes((FOLDER / "report.typ").read_bytes())
        made: bytes = typst.compile(
            main,
            root=folder,
            font_paths=found,
            format="pdf",
            timestamp=int(report.made.timestamp()),
        )
    return made


def png(report: Report, data_dir: Path, ppi: float = 200) -> bytes:
    """Draw the map with title, sentence, legend and sources as a picture.

    Raises
    ------
    Unavailable
        There is no Chinese font.
    """
    import typst

    found, families = fonts(data_dir)
    with tempfile.TemporaryDirectory(prefix="wusetu-report-") as name:
        folder = Path(name)
        (folder / "map.svg").write_text(report_map.draw(report), encoding="utf-8")
        body = {**content(report), "fonts": list(families)}
        (folder / "data.json").write_text(json.dumps(body, ensure_ascii=False), encoding="utf-8")
        main = folder / "map.typ"
        main.write_bytes((FOLDER / "map.typ").read_bytes())
        made = typst.compile(main, root=folder, font_paths=found, format="png", ppi=ppi)
    assert isinstance(made, bytes)
    return made
