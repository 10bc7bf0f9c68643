"""The sections of the monthly brief: what rose, where, why. Imports facts and templates.

Promises: which sentence is chosen follows from numbers alone, by the rules of METHODS 5 and 6: an
interval that leaves out 1 is a rise or a fall, fewer than 5 events are no ratio.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

from app.api.brief_models import BriefSentence
from app.api.models import RateChange
from app.services import brief_say as text
from app.services.brief_facts import LEVELS, Facts, Kind
from app.services.brief_say import Said, Templates, fact, joined, plain
from app.services.manifest import LEVEL_TITLES
from geo import small_numbers as rule
from tiles.palette import CLASSES

NAME = {one.id: (one.zh, one.en.lower()) for one in CLASSES}
WARM = ("red", "orange")
#: Units told in sentences; the others are in the table.
TOLD, FINE, CAUSES = 6, 5, 3
#: Contributions below this are told of no kind.
LEAST = 0.02
BEFORE = {
    "last_year": plain("上年同期", "the same month last year"),
    "previous": plain("上月", "the month before"),
}


def colour(facts: Facts, source: str, pointer: str) -> Said:
    """Colour by its name."""
    value = facts.value(source, pointer)
    zh, en = NAME[value]
    return fact(value, zh, en, address=facts.at(source, pointer))


def change(facts: Facts, kind: Kind, against: str) -> tuple[str, dict[str, Said]] | None:
    """Which way a count went, and the slots that say so; None: there is nothing to compare with.

    Returns
    -------
    more, less, same; zero: a rise from nothing; few: too few events or kept back; plain: a count
    without an interval
    """
    found = kind.change(against)
    if found is None:
        return None
    source, pointer, ratio = found
    before = facts.counted(
        source, f"{pointer}/observed", kind.states[against], ratio.observed if ratio else None
    )
    slots = {"against": BEFORE[against], "before": before}
    shown = kind.states[against] == 0 and kind.states["now"] == 0
    if ratio is None:
        return ("plain" if shown else "few"), slots
    if not shown or ratio.low is None:
        return "few", slots
    if ratio.ratio is None:  # nothing before: no multiple of it
        return ("zero" if ratio.low > 1 else "plain"), slots
    for name in ("ratio", "low", "high"):
        value = getattr(ratio, name)
        # an upper end beyond all bounds is null in the answer
        slots[name] = fact(
            value,
            (text.ratio if name == "ratio" else text.end)(value),
            address=facts.at(source, f"{pointer}/{name}"),
        )
    return _direction(ratio), slots


def _direction(change: RateChange) -> str:
    if change.low is not None and change.low > 1:
        return "more"
    return "less" if change.high is not None and change.high < 1 else "same"


def overview(say: Templates, facts: Facts) -> list[BriefSentence]:
    """How many, against which earlier months, and how the units are coloured."""
    overall = facts.kinds[0]
    parts = []
    for against in ("last_year", "previous"):
        found = change(facts, overall, against)
        if found is not None:
            which, slots = found
            parts.append(say.part(f"total_{'plain' if which == 'zero' else which}", **slots))
    found_month = fact(
        facts.span.start.isoformat(),
        *facts.month_name,
        address=facts.at(facts.main, "/start"),
    )
    made = [
        say.say(
            "total", facts.page(facts.scope_code),
            month=found_month, scope=facts.scope_name, observed=facts.total(),
            changes=joined(parts, "", ""),
        )
    ]  # fmt: skip
    for source, level in facts.levels_told():
        made.append(_classes(say, facts, source, level))
    return made


def _classes(say: Templates, facts: Facts, source: str, level: str) -> BriefSentence:
    parts, total, addresses = [], 0, []
    for at, row in enumerate(facts.answer(source)["counts"]):
        total += row["count"]
        addresses.append(facts.at(source, f"/counts/{at}/count"))
    for at, row in reversed(list(enumerate(facts.answer(source)["counts"]))):
        if row["colour"] == "none" and row["count"] == 0:
            continue
        here = f"/counts/{at}"
        slots = {
            "colour": plain(*NAME[row["colour"]]),
            "count": fact(row["count"], text.count(row["count"]), address=facts.at(source, f"{here}/count")),
        }  # fmt: skip
        turned = row["change"]
        if turned:
            slots["change"] = fact(
                turned, text.count(abs(turned)), address=facts.at(source, f"{here}/change")
            )
        parts.append(
            say.part("class_more" if (turned or 0) > 0 else "class_less" if turned else "class_same", **slots)
        )  # fmt: skip
    return say.say(
        "classes", facts.page(facts.scope_code, level=level),
        units=fact(total, text.count(total), how="sum", of=addresses),
        level=plain(*LEVELS(level)), counts=joined(parts, "、"),
    )  # fmt: skip


def _sorted(say: Templates, facts: Facts, against: str) -> dict[str, list[tuple[float, Said]]]:
    """Kinds by which way they went against an earlier period, each with the size of its ratio."""
    found: dict[str, list[tuple[float, Said]]] = {"more": [], "less": [], "same": [], "few": []}
    for kind in facts.kinds[1:]:
        compared = change(facts, kind, against)
        if compared is None or compared[0] == "plain":
            continue
        which, slots = compared
        slots.pop("against")
        ratio = slots.get("ratio")
        if which == "same" and ratio:
            # told by name alone, the numbers are in the table: the ratio says how it was told apart
            found["same"].append((0.0, Said(kind.title.zh, kind.title.en, ratio.facts)))
            continue
        slots["kind"] = kind.title
        slots["observed"] = facts.counted(*kind.now, kind.states["now"])
        name = {"few": "few_kind", "zero": "changed_zero"}.get(which, "changed")
        size = float(ratio.facts[0].value or 0) if ratio else float("inf")
        found["more" if which == "zero" else which].append((size, say.part(name, **slots)))
    return found


def rose(say: Templates, facts: Facts) -> list[BriefSentence]:
    """Kinds that rose, fell, stayed or are too few, against each earlier period."""
    made: list[BriefSentence] = []
    page = facts.page(facts.scope_code)
    first = True
    for against in ("last_year", "previous"):
        found = _sorted(say, facts, against)
        if not any(found.values()):
            continue
        for which, name, down in (("more", "rose", True), ("less", "fell", False)):
            parts = [one for _, one in sorted(found[which], key=lambda one: one[0], reverse=down)]
            if parts:
                items = joined(parts, "；", "; ")
                made.append(say.say(name, page, against=BEFORE[against], items=items))
            elif which == "more":
                made.append(
                    say.say("none_rose", page, against=BEFORE[against], basis=_lows(facts, against))
                )
        if first:  # against the first period only: the second repeats the same kinds
            made += _others(say, found, page)
        first = False
    return made or [say.say("no_past", page)]


def _lows(facts: Facts, against: str) -> Said:
    """Lower ends of the intervals: none is above 1."""
    found = [change(facts, kind, against) for kind in facts.kinds[1:]]
    return joined(one[1]["low"] for one in found if one is not None and "low" in one[1])


def _others(
    say: Templates, found: dict[str, list[tuple[float, Said]]], page: str
) -> list[BriefSentence]:
    made = []
    if found["same"]:
        parts = [one for _, one in found["same"]]
        addresses = [one.facts[0].address or "" for one in parts]
        number = fact(len(parts), text.count(len(parts)), how="count", of=addresses)
        names = joined(plain(one.zh, one.en) for one in parts)
        made.append(say.say("steady", page, count=number, items=names))
    if found["few"]:
        parts = [one for _, one in found["few"]]
        made.append(say.say("few", page, items=joined(parts, "；", "; ")))
    return made


def _unit(say: Templates, facts: Facts, code: str) -> BriefSentence:
    source = facts.why(code)
    found = facts.answer(source)
    now = colour(facts, source, "/colour")
    was = found["previous_colour"]
    if was is None:
        turn = say.part("is", colour=now)
    elif was == found["colour"]:
        turn = say.part("stayed", colour=now)
    else:
        turn = say.part("turned", colour=now, was=colour(facts, source, "/previous_colour"))
    state = facts.unit_state(code)
    slots = {
        "name": facts.unit_name(code),
        "turn": turn,
        "observed": facts.counted(source, "/observed", state),
    }
    if state or found["estimate"] is None:
        return say.say("unit_few", facts.page(code), **slots)
    rank = facts.rank_at(code)
    league = facts.league
    for slot, at in (("rank", "rank"), ("rank_low", "low"), ("rank_high", "high")):
        value = facts.value(league, f"{rank}/{at}")
        slots[slot] = fact(value, text.count(value), address=facts.at(league, f"{rank}/{at}"))
    for slot, at in (("theta", "theta"), ("low", "low"), ("high", "high")):
        slots[slot] = facts.number(source, f"/estimate/{at}", text.ratio)
    return say.say(
        "unit", facts.page(code), **slots,
        expected=facts.number(source, "/expected", text.expected),
        of=facts.number(league, "/of", text.count),
        level=plain(*LEVELS(facts.main_level)),
    )  # fmt: skip


def where(say: Templates, facts: Facts) -> list[BriefSentence]:
    """Red and orange units with their numbers and ranks, and the highest of the finer level."""
    warm = facts.warm()
    made = [_unit(say, facts, code) for code in warm[:TOLD]]
    page = facts.page(facts.scope_code)
    level = plain(*LEVELS(facts.main_level))
    if not warm:
        counts = facts.answer(facts.main)["counts"]
        at = [n for n, row in enumerate(counts) if row["colour"] in WARM]
        basis = joined(facts.number(facts.main, f"/counts/{n}/count", text.count) for n in at)
        made.append(say.say("none_warm", page, level=level, basis=basis))
    told = [facts.value(facts.league, facts.rank_at(code)) for code in warm[:TOLD]]
    if len(told) > 1 and max(one["low"] for one in told) <= min(one["high"] for one in told):
        names = joined(facts.unit_name(code) for code in warm[:TOLD])
        basis = joined(
            facts.number(facts.league, f"{facts.rank_at(code)}/{end}", text.count)
            for code in warm[:TOLD]
            for end in ("low", "high")
        )
        made.append(say.say("tied", page, names=names, basis=basis))
    if len(warm) > TOLD:
        rest = warm[TOLD:]
        more = fact(
            len(rest), text.count(len(rest)), how="count",
            of=[facts.at(facts.league, f"{facts.rank_at(code)}/colour") for code in rest],
        )  # fmt: skip
        made.append(say.say("more", page, count=more, level=level))
    if facts.fine_level is not None:
        parts = [_fine(say, facts, code) for code in facts.fine_top(FINE)]
        if parts:
            made.append(
                say.say(
                    "fine", facts.page(facts.scope_code, level=facts.fine_level),
                    level=plain(*LEVELS(facts.fine_level)), items=joined(parts, "；", "; "),
                )
            )  # fmt: skip
    return made


def _fine(say: Templates, facts: Facts, code: str) -> Said:
    source = facts.why(code)
    slots = {
        "name": facts.unit_name(code),
        "parent": facts.parent_name(code),
        "colour": colour(facts, source, "/colour"),
    }
    if facts.unit_state(code):
        return say.part("fine_few", **slots)
    for slot in ("theta", "low", "high"):
        slots[slot] = facts.number(source, f"/estimate/{slot}", text.ratio)
    return say.part("fine_unit", **slots)


def why(say: Templates, facts: Facts) -> list[BriefSentence]:
    """Say what lifts those units: contributions, veto, dropped history, doubtful exposures."""
    made = []
    told = facts.warm()[:TOLD] or [
        code for code in facts.fine_top(FINE) if facts.answer(facts.why(code))["colour"] in WARM
    ]
    for code in told:
        source = facts.why(code)
        found = facts.answer(source)
        name, page = facts.unit_name(code), facts.page(code)
        causes = sorted(enumerate(found["contributions"]), key=lambda one: -one[1]["value"])
        parts = []
        for at, one in causes[:CAUSES]:
            if one["value"] < LEAST:
                continue
            state = facts.unit_state(code, one["kind"])
            kind = facts.kind_title(one["kind"])
            here = f"/contributions/{at}"
            if state:  # its contribution would tell the count
                parts.append(say.part("why_plain", kind=kind))
                continue
            if one["observed"] < rule.THRESHOLD:
                value = facts.number(source, f"{here}/value", text.signed)
                parts.append(say.part("why_few", kind=kind, value=value))
                continue
            parts.append(
                say.part(
                    "why_kind", kind=kind,
                    value=facts.number(source, f"{here}/value", text.signed),
                    observed=facts.counted(source, f"{here}/observed", state),
                    expected=facts.number(source, f"{here}/expected", text.expected),
                )
            )  # fmt: skip
        if parts:
            made.append(say.say("why", page, name=name, items=joined(parts)))
        else:
            basis = joined(
                facts.number(source, f"/contributions/{at}/value", text.signed)
                for at, one in causes[:1]
                if facts.unit_state(code, one["kind"]) == rule.SHOWN
            )
            made.append(say.say("why_none", page, name=name, basis=basis))
        if found["veto_kinds"]:
            kinds = joined(facts.kind_title(one) for one in found["veto_kinds"])
            places = [f"/veto_kinds/{n}" for n in range(len(found["veto_kinds"]))]
            basis = joined(facts.number(source, one, str) for one in places)
            made.append(say.say("veto", page, name=name, kinds=kinds, basis=basis))
        if found["history_dropped"]:
            basis = facts.number(source, "/history_dropped", str)
            made.append(say.say("dropped", page, name=name, basis=basis))
        if "check_exposure" in found["flags"]:
            place = f"/flags/{found['flags'].index('check_exposure')}"
            made.append(say.say("check", page, name=name, basis=facts.number(source, place, str)))
    return made or [say.say("why_nothing", facts.page(facts.scope_code))]


def data(say: Templates, facts: Facts) -> list[BriefSentence]:
    """Run, boundaries, cut-off, method."""
    run = facts.run
    clock = run.data_cutoff.astimezone(ZoneInfo(run.time_zone)) if run.data_cutoff else None
    info = facts.run_source()
    scene = facts.scene_source()
    made = [
        say.say(
            "run", None,
            run=fact(run.id, str(run.id), address=facts.at(info, "/id")),
            scene=plain(run.scene.title.zh, run.scene.title.en),
            version=fact(run.scene.version, str(run.scene.version), how="rule"),
            rule=facts.number(scene, "/rule_version", str) if scene
            else fact(run.scene.colour_rule.version, str(run.scene.colour_rule.version), how="rule"),
            boundary=fact(
                facts.label, facts.label, address=facts.at(info, "/boundary_version")
            ),
            cutoff=fact(
                facts.value(info, "/data_cutoff"), f"{clock:%Y-%m-%d %H:%M}" if clock else "–",
                address=facts.at(info, "/data_cutoff"),
            ),
        )
    ]  # fmt: skip
    share = facts.value(facts.main, "/grid_share")
    if share is not None:
        zh, en = LEVEL_TITLES.get(run.levels[-1], (run.levels[-1], run.levels[-1]))
        made.append(
            say.say(
                "located", None, level=plain(zh, en.lower()),
                share=facts.number(facts.main, "/grid_share", text.percent),
            )
        )  # fmt: skip
    if not facts.span.complete:
        made.append(say.say("incomplete", None, month=facts.month_said()))
    made.append(say.say("method"))
    if not facts.small:
        made.append(say.say("small"))
    made.append(say.say("colour_note"))
    return made
