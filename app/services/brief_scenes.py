"""What scenes of indicators say in the brief: their own sentences, filled with their indicators' values.

A scene with `indicators` and `brief` speaks when it has a published run of the map with this month. Its
sentences about the whole (summary), rises and falls are said; `least` and `most` are its own, and a rise or
fall needs an interval that leaves out 1, whatever `least` is. Others are left to the sections of the brief.
To roles that do not see small numbers only the index is told: indicators would tell their counts.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from app.api.brief_models import BriefSection, BriefSentence
from app.api.models import Words
from app.services import brief_say as text
from app.services.brief_facts import Facts, names_of
from app.services.brief_say import Said, Templates, fact, plain
from app.services.indicator_values import Question, text_of, values
from app.services.indicators import Run, levels_of, moments, newest_run, scenes, unit_of
from app.services.scene_parts import Sentence, places_of
from app.services.scene_tree import TOTAL


def sections(facts: Facts) -> list[BriefSection]:
    """One section per scene that has something to say of this month."""
    found = []
    for one in scenes(facts.connection).scenes:
        if one.indicators == 0 or facts.run.pack not in one.packs:
            continue
        run = newest_run(facts.connection, one.name, facts.run.pack)
        sentences = _sentences(facts, run) if run.scene.brief is not None else []
        if sentences:
            title = run.scene.title
            name = Words(zh=title.zh, en=title.en)
            found.append(BriefSection(id=f"scene-{one.name}", title=name, sentences=sentences))
    return found


def _sentences(facts: Facts, run: Run) -> list[BriefSentence]:
    brief, tree = run.scene.brief, run.scene.indicators
    if brief is None or tree is None or "month" not in run.scene.calendar:
        return []
    at = next(
        (
            one.ord
            for one in moments(facts.connection, run, "month")
            if one.start == facts.span.start
        ),
        None,
    )
    levels = levels_of(facts.connection, run)
    own = facts.table.levels[facts.table.level_of[facts.root - 1]] if facts.root else None
    if at is None or own not in levels or facts.root is None:
        return []
    here = facts.table.codes[facts.root - 1]
    made = []
    source = _ask(facts, run, own, at, here)
    for one in brief.about("summary"):
        rows = _rows(facts, source, here)
        if TOTAL in rows:
            made += _say(facts, run, source, one, rows[TOTAL])
    finer = levels[levels.index(own) + 1 :][:1]
    if not facts.small or not finer:
        return made
    source = _ask(facts, run, finer[0], at, here)
    for about, way in (("rise", 1), ("fall", -1)):
        for one in brief.about("rise" if about == "rise" else "fall"):
            for row in _changed(facts, source, one, way)[: one.most]:
                made += _say(facts, run, source, one, row)
    return made


def _ask(facts: Facts, run: Run, level: str, at: int, within: str) -> str:
    name, pack = run.scene.name, run.pack
    query = {"level": level, "period": "month", "ord": at, "within": within, "pack": pack}
    answer = values(facts.connection, name, pack, Question(level, "month", at, within))
    return facts.keep(f"/api/indicators/{name}/values?{urlencode(query)}", answer)


def _rows(facts: Facts, source: str, code: str) -> dict[str, int]:
    """Places of a unit's rows in an answer, by indicator."""
    rows = facts.answer(source)["rows"]
    return {row["indicator"]: n for n, row in enumerate(rows) if row["code"] == code}


def _changed(facts: Facts, source: str, one: Sentence, way: int) -> list[int]:
    """Rows that rose or fell against the month before, strongest first."""
    found: list[tuple[float, int]] = []
    for n, row in enumerate(facts.answer(source)["rows"]):
        change = row["change"]["previous"]
        if change is None or change["ratio"] is None or change["low"] is None:
            continue
        ratio, low, high = change["ratio"], change["low"], change["high"]
        out = low > 1 if way > 0 else high is not None and high < 1
        least = one.least is None or (ratio >= one.least if way > 0 else ratio <= one.least)
        if out and least:
            found.append((-way * ratio, n))
    return [n for _, n in sorted(found)]


def _say(facts: Facts, run: Run, source: str, one: Sentence, n: int) -> list[BriefSentence]:
    """Fill a sentence from a row; nothing when it has a place the row does not fill, or a digit."""
    row: dict[str, Any] = facts.value(source, f"/rows/{n}")
    tree = run.scene.indicators
    node = tree.find(row["indicator"]) if tree is not None else None
    if node is None:
        return []
    unit = unit_of(run.scene, node)
    name = names_of(row)

    def number(pointer: str, printed: str, *, units: bool = False) -> Said:
        after = (unit.zh, f" {unit.en}") if units and unit.zh != "%" else ("%" * units,) * 2
        said = fact(
            facts.value(source, f"/rows/{n}{pointer}"), printed,
            address=facts.at(source, f"/rows/{n}{pointer}"),
        )  # fmt: skip
        return Said(said.zh + after[0], said.en + after[1], said.facts)

    slots: dict[str, Said] = {
        "area": facts.scope_name,
        "period": facts.month_said(),
        "unit": plain(name.zh, name.en),
        "indicator": plain(node.zh, node.en),
        "value": number("/printed", row["printed"], units=True),
    }
    change = row["change"]["previous"]
    if change is not None and change["ratio"] is not None and change["low"] is not None:
        slots["previous"] = number(
            "/change/previous/value", text_of(node, change["value"]), units=True
        )
        slots["ratio"] = number("/change/previous/ratio", text.ratio(change["ratio"]))
        slots["low"] = number("/change/previous/low", text.end(change["low"]))
        slots["high"] = number("/change/previous/high", text.end(change["high"]))
    wanted = set(places_of(one.zh))
    if not wanted <= slots.keys() or text.has_digit(one.zh) or text.has_digit(one.en):
        return []
    words = Words(zh=one.zh, en=one.en)
    page = f"/report#{urlencode({'map': run.pack, 'scope': row['code'], 'ind': row['indicator']})}"
    made = Templates({}, {one.about: words}).say(
        one.about, page, **{name: slots[name] for name in wanted}
    )
    return [made]
