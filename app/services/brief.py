"""The monthly brief: what rose, where, why, what was done; every sentence from numbers of the API.

Takes a connection and plain arguments, never a request. Promises: every number printed is a fact with
the address it stands at (or those it was calculated from); what the asker's role may not see is kept
back here already (METHODS 11); the same run and scope give the same brief.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from app.api.brief_models import (
    Brief,
    BriefChange,
    BriefFigure,
    BriefKind,
    BriefMap,
    BriefRow,
    BriefSection,
    BriefTable,
)
from app.api.models import COLOURS, Words
from app.errors import NotFound
from app.services import brief_done, brief_scenes
from app.services import brief_say as text
from app.services import brief_sections as sections
from app.services.brief_facts import LEVELS, Facts, Kind, names_of
from app.services.brief_say import Said, fact
from app.services.caches import Caches
from app.services.periods import Span
from app.services.runs import Layer, RunFacts, newest_run, run_facts
from app.services.scenes import OVERALL
from app.services.tracks import read_colours
from app.services.units import unit_table

ROWS = 40
#: With more units than this the map shows the coarser level.
MAPPED = 500


@dataclass(frozen=True)
class About:
    """What a brief is wanted about.

    Attributes
    ----------
    month : first day of the month; None: the newest complete one
    within : code of a unit; None: the whole map
    run : run; None: the newest published one
    small : whether counts of 1 to 4 may be told
    """

    pack: str
    month: date | None = None
    ord: int | None = None
    within: str | None = None
    run: int | None = None
    small: bool = True


def _span(facts: RunFacts, about: About) -> Span:
    spans = facts.periods.get("month", ())
    if about.ord is not None:
        return facts.span("month", about.ord)
    if about.month is None:
        if not spans:
            raise NotFound(f"run {facts.id} has no months")
        return next((one for one in reversed(spans) if one.complete), spans[-1])
    for one in spans:
        if one.start == about.month:
            return one
    there = f"{spans[0].start:%Y-%m} to {spans[-1].start:%Y-%m}" if spans else "none"
    raise NotFound(f"no month {about.month:%Y-%m} in run {facts.id}; there are {there}")


def _figures(facts: Facts) -> list[BriefFigure]:
    def figure(zh: str, en: str, said: Said, note_zh: str, note_en: str) -> BriefFigure:
        one = said.facts[0]
        return BriefFigure(
            label=Words(zh=zh, en=en), fact=one.model_copy(update={"slot": "figure"}),
            note=Words(zh=note_zh, en=note_en),
        )  # fmt: skip

    overall = facts.kinds[0]
    made = [figure("件数", "Events", facts.total(), *facts.month_name)]
    for against, zh, en in (
        ("last_year", "较上年同期", "vs last year"),
        ("previous", "较上月", "vs last month"),
    ):
        found = sections.change(facts, overall, against)
        if found is None:
            continue
        slots = found[1]
        if "ratio" in slots:
            low, high = slots["low"], slots["high"]
            made.append(
                figure(
                    zh,
                    en,
                    slots["ratio"],
                    f"区间 {low.zh}–{high.zh}",
                    f"interval {low.en}–{high.en}",
                )
            )
        else:
            made.append(
                figure(
                    zh, en, slots["before"], "件，件数少，不作比较", "events, too few to compare"
                )
            )
    for source, level in facts.levels_told():
        counts = facts.answer(source)["counts"]
        at = [n for n, row in enumerate(counts) if row["colour"] in sections.WARM]
        total = sum(counts[n]["count"] for n in at)
        units = sum(row["count"] for row in counts)
        zh, en = LEVELS(level)
        said = fact(
            total, text.count(total), how="sum",
            of=[facts.at(source, f"/counts/{n}/count") for n in at],
        )  # fmt: skip
        made.append(
            figure(f"红、橙{zh}", f"Red, orange {en}", said, f"共 {units:,} 个", f"of {units:,}")
        )
    return made[:5]


def _kinds(facts: Facts) -> list[BriefKind]:
    def against(kind: Kind, name: str) -> BriefChange | None:
        found = sections.change(facts, kind, name)
        if found is None:
            return None
        which, slots = found
        value = {
            slot: slots[slot].facts[0].value for slot in ("ratio", "low", "high") if slot in slots
        }
        text_ = f"{slots['ratio'].zh}（{slots['low'].zh}–{slots['high'].zh}）" if value else ""
        return BriefChange.model_validate(
            {
                "before_text": slots["before"].zh, "ratio": value.get("ratio"),
                "low": value.get("low"), "high": value.get("high"), "ratio_text": text_, "which": which,
            }
        )  # fmt: skip

    return [
        BriefKind(
            kind=one.id,
            title=Words(zh=one.title.zh, en=one.title.en[:1].upper() + one.title.en[1:]),
            observed_text=facts.counted(*one.now, one.states["now"]).zh,
            last_year=against(one, "last_year"),
            previous=against(one, "previous"),
        )
        for one in facts.kinds
    ]


def _table(facts: Facts, league: str, rows: list[int]) -> list[BriefRow]:
    made = []
    for at in rows:
        row = facts.value(league, f"/rows/{at}")
        code = row["unit"]["code"]
        source = facts.why(code)
        why = facts.answer(source)
        state = facts.unit_state(code)
        risk = why["estimate"] if not state else None
        made.append(
            BriefRow(
                code=code,
                name=names_of(row["unit"]),
                colour=why["colour"],
                previous_colour=why["previous_colour"],
                observed=None if state else why["observed"],
                observed_text=facts.counted(source, "/observed", state).zh,
                expected=why["expected"],
                theta=risk and risk["theta"],
                low=risk and risk["low"],
                high=risk and risk["high"],
                rank=row["rank"],
                rank_low=row["low"],
                rank_high=row["high"],
                address=source,
                rank_address=facts.at(league, f"/rows/{at}"),
            )
        )
    return made


def _tables(facts: Facts) -> list[BriefTable]:
    """All units of the main level, and the red and orange ones of the finer."""
    zh, en = LEVELS(facts.main_level)
    rows = facts.answer(facts.league)["rows"]
    made = [
        BriefTable(
            title=Words(zh=f"各{zh}", en=en.capitalize()),
            of=facts.value(facts.league, "/of"),
            rows=_table(facts, facts.league, list(range(min(ROWS, len(rows))))),
        )
    ]
    if facts.fine_level is not None:
        zh, en = LEVELS(facts.fine_level)
        source = facts.fine_league
        warm = [
            at
            for at, row in enumerate(facts.answer(source)["rows"])
            if row["colour"] in sections.WARM
        ]
        if warm:
            made.append(
                BriefTable(
                    title=Words(zh=f"红、橙{zh}", en=f"Red and orange {en}"),
                    of=facts.value(source, "/of"),
                    rows=_table(facts, source, warm[:ROWS]),
                )
            )
    return made


def _map(connection: sa.Connection, facts: Facts) -> BriefMap:
    level = facts.main_level
    if facts.fine_level is not None and facts.fine_count <= MAPPED:
        level = facts.fine_level
    table = facts.table
    layer = Layer(level, OVERALL, "month", facts.span.ord)
    found = read_colours(
        connection, facts.run, table, layer, facts.scope_id, kinds=[OVERALL], ords=[facts.span.ord]
    )[OVERALL, facts.span.ord]
    ids = facts.members(level)
    zh, en = LEVELS(level)
    return BriefMap(
        level=level,
        colours={
            table.codes[int(one) - 1]: COLOURS[int(number)]
            for one, number in zip(ids, found, strict=True)
        },
        over=facts.main_level if level != facts.main_level else None,
        level_title=Words(zh=zh, en=en),
    )


def scope(connection: sa.Connection, caches: Caches, about: About) -> str:
    """Code of the unit a brief is about, canonical; empty: the whole map.

    Raises
    ------
    NotFound
        No such map or unit.
    """
    if about.within is None:
        return ""
    run = run_facts(connection, caches, about.run or newest_run(connection, about.pack))
    table = unit_table(connection, caches, run.version_id)
    return str(table.codes[table.find(about.within) - 1])


def build(connection: sa.Connection, caches: Caches, about: About) -> Brief:
    """Write the brief of a month.

    Raises
    ------
    NotFound
        No such map, run, month or unit.
    """
    run = run_facts(connection, caches, about.run or newest_run(connection, about.pack))
    if run.pack != about.pack:
        raise NotFound(f"run {run.id} is not one of {about.pack!r}")
    span = _span(run, about)
    table = unit_table(connection, caches, run.version_id)
    facts = Facts(connection, caches, run, table, span, within=about.within, small=about.small)
    say = text.templates()
    parts = {
        "summary": sections.overview(say, facts),
        "rose": sections.rose(say, facts),
        "where": sections.where(say, facts),
        "why": sections.why(say, facts),
        "done": brief_done.sentences(say, facts),
        "data": sections.data(say, facts),
    }
    return Brief(
        pack=run.pack,
        title=say.title("brief"),
        scope=facts.scope_code or None,
        scope_name=Words(zh=facts.scope_name.zh, en=facts.scope_name.en),
        month=span.start,
        month_name=Words(zh=facts.month_name[0], en=facts.month_name[1]),
        ord=span.ord,
        complete=span.complete,
        run=run.id,
        boundary_version=facts.label,
        boundary_version_id=run.version_id,
        scene=run.scene.name,
        scene_version=run.scene.version,
        approximate=facts.approximate,
        simulated=run.simulated,
        data_cutoff=run.data_cutoff,
        time_zone=run.time_zone,
        small_numbers="shown" if about.small else "hidden",
        figures=_figures(facts),
        sections=[
            *(
                BriefSection(id=name, title=say.title(name), sentences=sentences)
                for name, sentences in parts.items()
                if name != "data"
            ),
            *brief_scenes.sections(facts),
            BriefSection(id="data", title=say.title("data"), sentences=parts["data"]),
        ],
        kinds=_kinds(facts),
        tables=_tables(facts),
        map=_map(connection, facts),
    )
