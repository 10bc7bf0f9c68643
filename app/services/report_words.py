"""What a report says in sentences, Chinese and English. Imports `report`."""

from __future__ import annotations

from dataclasses import dataclass

from app.services.report import Report, Row
from tiles.palette import CLASSES

MEANING = {one.id: (one.meaning_zh, one.meaning_en) for one in CLASSES}
NAME = {one.id: (one.zh, one.en) for one in CLASSES}
WORDS = {
    "map": ("地图", "Map"),
    "kinds": ("按类别", "By kind"),
    "units": ("区域内各单位", "Units inside"),
    "comparisons": ("对照区域", "Comparison areas"),
    "months": ("按月", "By month"),
    "hours": ("一周中的小时", "Hours of the week"),
    "change": ("变化", "Change"),
    "method": ("方法与数据", "Method and data"),
    "name": ("名称", "Name"),
    "observed": ("观测", "Observed"),
    "expected": ("预期", "Expected"),
    "ratio": ("相对风险", "Relative risk"),
    "interval": ("95% 区间", "95 % interval"),
    "class": ("风险评估色", "Risk colour"),
    "share": ("在内份额", "Share inside"),
    "similarity": ("相似度", "Similarity"),
    "previous": ("较上一时段", "Against the span before"),
    "last_year": ("较上年同期", "Against the same span last year"),
    "few": ("件数少", "few events"),
    "page": ("第 {n} 页，共 {all} 页", "Page {n} of {all}"),
    "none": ("无数据", "No data"),
    "colour_note": (
        "“风险评估色”由概率与相对风险共同决定，不是法定预警等级。",
        "The risk colour follows from probability and relative risk; it is no statutory warning level.",
    ),
    "suppressed": (
        "为保护小数，1 至 4 件显示为“<5”，能推算出它们的数一并隐去。",
        "Counts of 1 to 4 are shown as <5, and so are those that would tell them.",
    ),
}


@dataclass(frozen=True)
class Line:
    """A row of a printed table, all of it text."""

    name: str
    code: str
    observed: str
    expected: str
    ratio: str
    interval: str
    colour: str
    colour_name: str
    last: str


def word(report: Report, name: str) -> str:
    """Return a word of the language of the file."""
    zh, en = WORDS[name]
    return zh if report.lang == "zh" else en


def headline(report: Report) -> str:
    """Say in one sentence how many, against how many, and what that means."""
    one = report.of("area")[0]
    zh = report.lang == "zh"
    count = one.observed_text if one.observed is None else f"{one.observed:,}"
    if one.expected is None or one.relative_risk is None or one.low is None or one.high is None:
        return f"区域内共 {count} 件。" if zh else f"{count} events in the area."
    meaning = MEANING[one.colour or "none"][not zh]
    if zh:
        return (
            f"区域内共 {count} 件，预期 {one.expected:,.1f} 件，相对风险 {one.relative_risk:.2f}"
            f"（95% 区间 {one.low:.2f}–{one.high:.2f}）：{meaning}。"
        )
    return (
        f"{count} events in the area against {one.expected:,.1f} expected, relative risk "
        f"{one.relative_risk:.2f} (95 % interval {one.low:.2f}\u2060–\u2060{one.high:.2f}): {meaning.lower()}."
    )


def changes(report: Report) -> list[str]:
    """Say how the count changed; never a ratio where there are too few events."""
    zh = report.lang == "zh"
    found = []
    for name in ("previous", "last_year"):
        for row in report.of(name):
            if row.relative_risk is None or row.low is None:
                ratio = word(report, "few")
            else:
                high = f"{row.high:.2f}" if row.high is not None else "∞"
                ratio = f"× {row.relative_risk:.2f}" + (
                    f"（{row.low:.2f}–{high}）" if zh else f" ({row.low:.2f}–{high})"
                )
            days = f"{(row.start or '')[:10]} – {(row.end or '')[:10]}"
            text = f"{word(report, name)}：{ratio}，" if zh else f"{word(report, name)}: {ratio}, "
            text += f"{days} {row.observed_text} 件" if zh else f"{row.observed_text} in {days}"
            found.append(text)
    return found


def line(report: Report, row: Row) -> Line:
    """Row as it is printed."""
    zh = report.lang == "zh"
    none = "–"
    last = row.share_inside if row.part == "unit" else row.similarity
    return Line(
        name=row.name or row.code or ("未知单位" if zh else "no known unit"),
        code=(row.code or "") if row.name else "",
        observed=row.observed_text if row.observed is None else f"{row.observed:,}",
        expected=none if row.expected is None else f"{row.expected:,.1f}",
        ratio=none if row.relative_risk is None else f"{row.relative_risk:.2f}",
        interval=none
        if row.low is None or row.high is None or row.relative_risk is None
        else f"{row.low:.2f}–{row.high:.2f}",
        colour=row.colour or "none",
        colour_name=NAME[row.colour or "none"][not zh],
        last=none if last is None else f"{100 * last:.0f}%",
    )
