"""An analyst's answer as it leaves the house: what every form of file is made from.

Takes an answer that was already made for who asked, so what was suppressed there is suppressed in
every file. Promises: every file says run, boundary version, question, who, when and data cut-off,
and carries the badges of approximate boundaries and simulated events.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import shapely
import sqlalchemy as sa

from app.api.analysis_models import (
    AnalysisAnswer,
    AnalysisArea,
    AnalysisQuestion,
    KindChange,
    Risk,
    SpanChange,
)
from app.api.dependencies import Store
from app.errors import Invalid
from app.services import analysis_shapes
from app.services.areas import Sight
from app.services.event_persons import looks_like
from app.services.manifest import VERSION
from app.services.runs import RunFacts, run_facts

Lang = Literal["zh", "en"]
#: Columns of the one table every tabular file has; see docs/exports.md.
COLUMNS = (
    "part", "code", "name", "level", "observed", "observed_text", "expected", "relative_risk",
    "low", "high", "p", "colour", "suppressed", "share_inside", "similarity", "start", "end",
    "alpha", "effective_observed", "effective_expected",
)  # fmt: skip
RECOMPUTE = (
    "relative_risk, low, high, p: mean, 2.5 % and 97.5 % point and probability above 1 of the gamma "
    "distribution with shape alpha + effective_observed and rate alpha + effective_expected; colour = "
    "first row of the rule whose p_min and theta_min (green: p_max and theta_max) hold for p and "
    "relative_risk, else blue, none without a relative risk; of all kinds together (part area, unit, "
    "comparison) at least orange when one kind is red (veto)"
)


@dataclass(frozen=True)
class Row:
    """A line of the table: a place, kind or span with what was counted in it."""

    part: str
    code: str | None = None
    name: str | None = None
    level: str | None = None
    observed: int | None = None
    observed_text: str = ""
    expected: float | None = None
    relative_risk: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    colour: str | None = None
    suppressed: bool = False
    share_inside: float | None = None
    similarity: float | None = None
    start: str | None = None
    end: str | None = None
    alpha: float | None = None
    effective_observed: float | None = None
    effective_expected: float | None = None
    geometry: shapely.Geometry | None = field(default=None, compare=False)


@dataclass(frozen=True, eq=False)
class Report:
    """Everything a file is made from.

    Attributes
    ----------
    notes : facts by English name, for machines
    facts : the same for people, in the language of the file: (label, text)
    badges : what must be seen at every size
    outline : the area, EPSG:4326; None: nothing of it may be seen
    kinds : titles of the kinds in the language of the file
    """

    lang: Lang
    title: str
    question: AnalysisQuestion
    answer: AnalysisAnswer
    rows: list[Row]
    notes: dict[str, str]
    facts: list[tuple[str, str]]
    badges: list[str]
    outline: shapely.MultiPolygon | None
    kinds: dict[str, str]
    made: datetime
    file_name: str

    def of(self, part: str) -> list[Row]:
        """Rows of one part."""
        return [row for row in self.rows if row.part == part]


def _word(lang: Lang, zh: str, en: str) -> str:
    return zh if lang == "zh" else en


def checked_title(title: str | None, lang: Lang) -> str:
    """Title as it is printed.

    Raises
    ------
    Invalid
        It names a person by a number, or holds what cannot be printed.
    """
    found = (title or "").strip() or _word(lang, "区域研判报告", "Area analysis")
    if not found.isprintable():
        raise Invalid("title: it holds invisible characters", {"field": "title"})
    if what := looks_like(found):
        raise Invalid(
            f"title: it holds a {what}; reports are about areas, never persons",
            {"field": "title", "reason": "person"},
        )
    return found


def build(
    store: Store,
    sight: Sight,
    question: AnalysisQuestion,
    answer: AnalysisAnswer,
    *,
    lang: Lang,
    title: str | None,
    now: datetime,
) -> Report:
    """Put an answer into the words of a report.

    Parameters
    ----------
    sight : the moment the answer was made at
    now : when the file is made

    Raises
    ------
    Invalid
        The title is none.
    """
    heading = checked_title(title, lang)
    facts: RunFacts | None = None
    with store.read() as connection:
        if answer.run is not None:
            facts = run_facts(connection, store.caches, answer.run)
        approximate = bool(
            connection.scalar(
                sa.text("select approximate from boundary_version where id = :id"),
                {"id": sight.version},
            )
        )
    scope = store.identity.prefixes
    drawn = analysis_shapes.drawn(question.area, sight.ground, scope)
    outline = analysis_shapes.outline(drawn.shape, sight.ground, scope)
    titles = {
        name: _word(lang, kind.zh, kind.en)
        for name, kind in (facts.scene.kinds.items() if facts else ())
    }
    clock = ZoneInfo(answer.answer.time_zone)
    made = now.astimezone(clock)
    badges = []
    if approximate:
        badges.append(_word(lang, "近似边界", "Approximate boundaries"))
    if facts is not None and facts.simulated:
        badges.append(_word(lang, "模拟事件", "Simulated events"))
    return Report(
        lang=lang,
        title=heading,
        question=question,
        answer=answer,
        rows=list(_rows(sight, answer, titles, outline, lang)),
        notes=_notes(store, question, answer, facts, heading, made=made, badges=badges),
        facts=_facts(store, question, answer, facts, lang, titles=titles, made=made),
        badges=badges,
        outline=outline,
        kinds=titles,
        made=made,
        file_name=f"wusetu-{answer.answer.pack}-area-{str(question.start)[:10]}-{str(question.end)[:10]}",
    )


def _risk(found: Risk) -> dict[str, Any]:
    return {
        "observed": found.observed,
        "observed_text": found.observed_text,
        "expected": found.expected,
        "relative_risk": found.relative_risk,
        "low": found.low,
        "high": found.high,
        "p": found.exceedance,
        "colour": found.colour,
        "suppressed": found.suppressed,
        "alpha": found.alpha,
        "effective_observed": found.effective_observed,
        "effective_expected": found.effective_expected,
    }


def _changes(answer: AnalysisAnswer, titles: dict[str, str]) -> Iterator[Row]:
    for name in ("previous", "last_year") if answer.change is not None else ():
        span = getattr(answer.change, name)
        if span is None:
            continue
        dates = {"start": span.start.isoformat(), "end": span.end.isoformat()}
        yield Row(name, **_change(span), **dates)
        for one in span.kinds:
            title = titles.get(one.kind, one.kind)
            yield Row(f"{name}_kind", code=one.kind, name=title, **_change(one), **dates)


def _change(found: SpanChange | KindChange) -> dict[str, Any]:
    return {
        "observed": found.observed,
        "observed_text": found.observed_text,
        "relative_risk": found.ratio,
        "low": found.low,
        "high": found.high,
        "suppressed": found.suppressed,
    }


def _rows(
    sight: Sight,
    answer: AnalysisAnswer,
    titles: dict[str, str],
    outline: shapely.MultiPolygon | None,
    lang: Lang,
) -> Iterator[Row]:
    yield Row("area", geometry=outline, **_risk(answer.overall))
    for kind in answer.kinds:
        yield Row("kind", code=kind.kind, name=titles.get(kind.kind, kind.kind), **_risk(kind))
    yield from _changes(answer, titles)
    for part, units in (("unit", answer.children), ("comparison", answer.comparisons)):
        for unit in units:
            yield Row(
                part,
                code=unit.code,
                name=unit.name
                if unit.name is None
                else _word(lang, unit.name, unit.name_en or unit.name),
                level=unit.level,
                share_inside=getattr(unit, "share_inside", None),
                similarity=getattr(unit, "similarity", None),
                geometry=_ground(sight, unit.code) if not getattr(unit, "rest", False) else None,
                **_risk(unit),
            )
    for cell in answer.cells:
        yield Row(
            "cell", code=cell.cell, observed=cell.count, observed_text=cell.count_text,
            suppressed=cell.suppressed, geometry=_hexagon(cell.cell),
        )  # fmt: skip
    for name in ("by_month", "by_week", "by_day"):
        series = getattr(answer.answer, name)
        if series is not None:
            for day, count in zip(series.dates, series.counts, strict=True):
                yield Row(
                    name.removeprefix("by_"), observed=count, observed_text=_text(count),
                    suppressed=count is None, start=day.isoformat(),
                )  # fmt: skip
    if answer.answer.by_hour_of_week is not None:
        for hour, count in enumerate(answer.answer.by_hour_of_week):
            yield Row(
                "hour_of_week", code=str(hour), observed=count, observed_text=_text(count),
                suppressed=count is None,
            )  # fmt: skip


def _text(count: int | None) -> str:
    return "<5" if count is None else str(count)


def _ground(sight: Sight, code: str | None) -> shapely.Geometry | None:
    number = sight.ground.table.lookup(code) if code else None
    return sight.ground.shapes([number])[0] if number is not None else None


def _hexagon(cell: str) -> shapely.Geometry:
    import h3

    return shapely.Polygon([(lon, lat) for lat, lon in h3.cell_to_boundary(cell)])


def _day(value: datetime | date) -> str:
    return value.isoformat() if not isinstance(value, datetime) else value.isoformat(" ", "minutes")


def area_words(area: AnalysisArea, lang: Lang) -> str:
    """Say in a few words what was drawn or chosen."""
    if area.units is not None:
        names = "、".join(area.units[:5]) if lang == "zh" else ", ".join(area.units[:5])
        more = len(area.units) - 5
        tail = _word(lang, f" 等 {len(area.units)} 个单位", f" and {more} more") if more > 0 else ""
        return _word(lang, "单位 ", "units ") + names + tail
    if area.circle is not None:
        one = area.circle
        return _word(
            lang,
            f"圆：{one.lon:.5f}, {one.lat:.5f}，半径 {one.metres:,.0f} 米（{area.crs}）",
            f"circle: {one.lon:.5f}, {one.lat:.5f}, radius {one.metres:,.0f} m ({area.crs})",
        )
    if area.corridor is not None:
        n, metres = len(area.corridor.coordinates), area.corridor.metres
        return _word(
            lang,
            f"走廊：{n} 个顶点，两侧 {metres:,.0f} 米（{area.crs}）",
            f"corridor: {n} corners, {metres:,.0f} m to either side ({area.crs})",
        )
    if area.cells is not None:
        return _word(lang, f"{len(area.cells)} 个 H3 网格", f"{len(area.cells)} H3 cells")
    if area.combine is not None:
        op = {
            "union": ("合并", "union"),
            "minus": ("相减", "difference"),
            "intersect": ("相交", "intersection"),
        }
        zh, en = op[area.combine.op]
        n = len(area.combine.areas)
        return _word(lang, f"{n} 个区域{zh}", f"{en} of {n} areas")
    name = ("矩形", "rectangle") if area.rectangle is not None else ("多边形", "polygon")
    return _word(lang, f"{name[0]}（{area.crs}）", f"{name[1]} ({area.crs})")


def _notes(
    store: Store,
    question: AnalysisQuestion,
    answer: AnalysisAnswer,
    facts: RunFacts | None,
    title: str,
    *,
    made: datetime,
    badges: list[str],
) -> dict[str, str]:
    asked = question.model_dump(mode="json", exclude_none=True, exclude={"format", "lang", "title"})
    return {
        "title": title,
        "map": answer.answer.pack,
        "boundary version": answer.boundary_version,
        "run": f"{facts.id}, published {facts.published_at.isoformat()}" if facts else "none",
        "scene": f"{facts.scene.name}, version {facts.scene.version}" if facts else "none",
        "question": json.dumps(asked, ensure_ascii=False),
        "time zone": answer.answer.time_zone,
        "area km2": f"{answer.km2:.6g}" + (", cut to the jurisdiction" if answer.cut else ""),
        "data cutoff": answer.cutoff.isoformat() if answer.cutoff else "none",
        "counted as of": answer.answer.as_of.isoformat(),
        "events": "simulated" if facts is not None and facts.simulated else "as received",
        "badges": ", ".join(badges) or "none",
        "expected": answer.rule.en,
        "colour rule": json.dumps(
            {"version": facts.scene.colour_rule.version, **facts.scene.colour_rule.rows()}
            if facts
            else {}
        ),
        "recompute": RECOMPUTE,
        "suppressed": "counts below 5, and those that would tell them, are shown as <5"
        if answer.suppressed
        else "nothing",
        "asked by": f"{store.identity.name} ({store.identity.role})",
        "generated": f"{made.isoformat(timespec='seconds')}, Wusetu {VERSION}",
    }


def _facts(
    store: Store,
    question: AnalysisQuestion,
    answer: AnalysisAnswer,
    facts: RunFacts | None,
    lang: Lang,
    *,
    titles: dict[str, str],
    made: datetime,
) -> list[tuple[str, str]]:
    def row(zh: str, en: str, text: str) -> tuple[str, str]:
        return _word(lang, zh, en), text

    clock = ZoneInfo(answer.answer.time_zone)
    comma = _word(lang, "、", ", ")
    kinds = comma.join(titles.get(one, one) for one in question.kinds or ())
    if question.hours_of_week is None:
        hours = _word(lang, "全部时段", "all hours")
    else:
        hours = _word(
            lang,
            f"每周 {len(question.hours_of_week)} 个小时",
            f"{len(question.hours_of_week)} hours of the week",
        )
    found = [
        row("区域", "Area", area_words(question.area, lang)),
        row("面积", "Ground", f"{answer.km2:,.2f} km²"
            + (_word(lang, "（已按辖区裁切）", " (cut to the jurisdiction)") if answer.cut else "")),
        row("时段", "Span", _word(lang, f"{_day(question.start)} 起，{_day(question.end)} 止（不含）",
                                f"from {_day(question.start)} up to and without {_day(question.end)}")),
        row("类别", "Kinds", kinds or _word(lang, "全部", "all")),
        row("小时", "Hours", hours),
    ]  # fmt: skip
    if question.located_by is not None:
        found.append(row("定位方式", "Located by", comma.join(question.located_by)))
    if answer.reference is not None:
        one = answer.reference
        name = _word(lang, one.name, one.name_en or one.name)
        found.append(row("参照范围", "Compared with", f"{name} {one.code}"))
    cutoff = answer.cutoff.astimezone(clock) if answer.cutoff else None
    none = _word(lang, "无", "none")
    return [
        *found,
        row("评估", "Run", str(facts.id) if facts else none),
        row("边界版本", "Boundary version", answer.boundary_version),
        row("数据截至", "Data cut-off", f"{cutoff:%Y-%m-%d %H:%M}" if cutoff else none),
        row("出具", "Made by", f"{store.identity.name} · {made:%Y-%m-%d %H:%M}"),
    ]
