"""An address in words → a unified code, with how sure that is, and why.

Every name in the text is evidence: a place with its number proposes codes, units and further places
agree or disagree with them. The best proposal wins only with a clear lead; else the answer is
ambiguous and names the candidates. Nothing is guessed silently: `certain` is set only where
no evidence speaks against the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from geo.addresses.alike import Alike
from geo.addresses.base import Base, Kind, common
from geo.addresses.names import Names, PlaceMeaning, Span, Unit, UnitMeaning
from geo.addresses.text import Numbers, normalise, numbers


class Status(StrEnum):
    """How an address was resolved."""

    FOUND = "found"
    UNSURE = "unsure"
    AMBIGUOUS = "ambiguous"
    NONE = "none"


@dataclass(frozen=True)
class Candidate:
    """A code an address may mean, with a score (any unit; larger is likelier) and reasons."""

    code: str
    score: float
    reasons: tuple[str, ...]
    place: int = -1
    against: int = 0
    exact: bool = False
    entry: int = -1


@dataclass(frozen=True)
class Resolved:
    """Answer to one address.

    code : canonical, "" when there is none; of ambiguous ones what all candidates share
    confidence : 0 to 1
    certain : true when the answer may be used without looking
    reasons : machine words, see `REASONS`
    candidates : other codes, best first, at most five
    place : index of the place of the base behind `code`, -1 when none is
    """

    status: Status
    code: str
    confidence: float
    certain: bool
    reasons: tuple[str, ...]
    candidates: tuple[Candidate, ...] = ()
    numbers: Numbers = field(default_factory=Numbers)
    place: int = -1


REASONS = {
    "place": "a place of the base is named",
    "alias": "by an alias",
    "short": "by a short form of its name",
    "alike": "the name differs by a letter or two from one of the base",
    "number": "its number is in the base",
    "between": "its number lies between two that are in the base",
    "number-unknown": "its number is not in the base",
    "room": "unit, floor and room fit the building",
    "no-such-room": "the building has no such unit or floor",
    "agrees": "a named unit agrees",
    "disagrees": "a named unit disagrees",
    "crossing": "a second place agrees",
    "unit-only": "no place is named, only units",
    "several": "several places fit equally well",
    "nothing": "no name of the base or of a unit is in the text",
}
#: from this confidence on an answer is certain; set on a tuning set, see benchmarks/addresses.py
CERTAIN = 0.8
_WEIGHT = {"city": 0.2, "county": 0.6, "town": 0.6, "village": 0.7, "grid": 0.9}
_LEAD = 0.15
_FILLER = re.compile(
    r"附近|旁边|对面|门口|交叉口|路口|隔壁|靠近|方向|内|处|边上|往[东南西北]|约?\d+米"
)
_COUNTED = re.compile(r"[\d()\-a-z]|号院|号|幢|单元|层|楼|室|房|弄|第|组|网格")
_PIECE = re.compile(
    r".+?(?:街道|大道|社区|小区|公寓|花园|家园|新村|网格|路|街|巷|弄|苑|村|镇|乡|区|县|府|城|园|院|校|场|楼)(?!\d*[幢号])"
)


class Resolver:
    """Resolver over one base and the units of one boundary version.

    Parameters
    ----------
    units : iterable of Unit
    other : mapping
        Further names of units (old names, aliases), see `Names`.
    """

    def __init__(
        self, units: Iterable[Unit], base: Base, other: Mapping[str, UnitMeaning] | None = None
    ) -> None:
        known = list(units)
        self.base = base
        self.names = Names(known, base, other)
        self.alike = Alike(known, base)
        self._grid = base.lengths[-2] if len(base.lengths) > 1 else base.lengths[-1]
        self._village = base.lengths[-3] if len(base.lengths) > 2 else self._grid

    def resolve(self, text: str) -> Resolved:
        """Resolve one address."""
        plain = normalise(text)
        spans = self.names.spans(plain)
        found = self._candidates(plain, spans)
        if not any(one.exact for one in found) or _unread(plain, spans) >= 2:
            mended = self._mend(plain, spans)
            if mended != spans:
                spans = mended
                found = self._candidates(plain, spans)
        if not found:
            found = self._units_only(spans)
        return self._judge(plain, spans, found)

    def resolve_many(self, texts: Iterable[str]) -> list[Resolved]:
        """`resolve` of each; the same text is resolved once."""
        known: dict[str, Resolved] = {}
        answers = []
        for text in texts:
            answer = known.get(text)
            if answer is None:
                answer = known[text] = self.resolve(text)
            answers.append(answer)
        return answers

    # proposals ----------------------------------------------------------------------------------
    def _candidates(self, text: str, spans: list[Span]) -> list[Candidate]:
        proposals: list[list[Candidate]] = []
        for at, span in enumerate(spans):
            if span.places:
                end = spans[at + 1].start if at + 1 < len(spans) else len(text)
                said = numbers(text[span.end : end])
                proposals.append(self._of_span(span, said, spans))
            else:
                proposals.append([])
        result = []
        for at, mine in enumerate(proposals):
            others = [one for i, one in enumerate(proposals) if i != at and one]
            result += [self._beside(one, others) for one in mine]
        return result

    def _of_span(self, span: Span, said: Numbers, spans: list[Span]) -> list[Candidate]:
        found = []
        for meaning in span.places:
            context = [one.units for one in spans if one is not span and one.units]
            for code, first, reasons, entry in self._numbered(meaning, said, context):
                score, against = first, 0
                told = list(reasons)
                for units in context:
                    weight, agrees = self._agreement(code, units)
                    score += weight if agrees else -1.3 * weight
                    if agrees:
                        told.append("agrees")
                    elif weight > 0.2:
                        against += 1
                        told.append("disagrees")
                found.append(
                    Candidate(
                        code, score, tuple(dict.fromkeys(told)), meaning.place, against,
                        "number" in reasons, entry,
                    )
                )  # fmt: skip
        return found

    def _numbered(
        self, meaning: PlaceMeaning, said: Numbers, context: list[tuple[UnitMeaning, ...]]
    ) -> list[tuple[str, float, list[str], int]]:
        base, place = self.base, meaning.place
        kind = base.kind[place]
        reasons = ["place"]
        if meaning.sure < 1:
            reasons.append(
                "alike" if meaning.sure < 0.6 else "short" if meaning.sure < 0.9 else "alias"
            )
        number = (said.building or said.door) if kind == Kind.ESTATE else said.door
        if kind == Kind.LANDMARK or (kind != Kind.ESTATE and not number):
            number = 0 if kind == Kind.LANDMARK else (said.building if not said.door else 0)
        if not number:
            bonus = 0.3 if kind == Kind.LANDMARK else 0.0
            return [(self._narrowed(place, context), meaning.sure + bonus, reasons, -1)]
        entries = base.entries(place, number)
        if entries:
            # a building of an estate says more than the door of the street before it
            bonus = 0.8 if kind == Kind.ESTATE else 0.6
            return [
                (base.code[one].decode(), meaning.sure + bonus, [*reasons, "number"], one)
                for one in entries
            ]
        around = base.between(place, number)
        if around:
            codes = [base.code[one].decode() for one in around]
            shared = common(codes, base.lengths)
            return [(shared[: self._grid], meaning.sure + 0.25, [*reasons, "between"], -1)]
        told = [*reasons, "number-unknown"]
        return [(self._narrowed(place, context), meaning.sure - 0.25, told, -1)]

    def _narrowed(self, place: int, context: list[tuple[UnitMeaning, ...]]) -> str:
        """Extent of a place, cut to the units named beside it where it reaches into them."""
        extent = self.base.extent[place]
        finer = [
            code
            for units in context
            for meaning in units
            for code in meaning.codes
            if len(code) > len(extent) and code.startswith(extent)
        ]
        if not finer:
            return extent
        codes = self.base.codes_of(place)
        inside = [one for one in codes if any(one.startswith(code) for code in finer)]
        return common(inside, self.base.lengths) if inside else extent

    @staticmethod
    def _agreement(code: str, units: tuple[UnitMeaning, ...]) -> tuple[float, bool]:
        """How much a named unit weighs, and whether it agrees with a code."""
        best = 0.0
        for meaning in units:
            if any(code.startswith(one) or one.startswith(code) for one in meaning.codes):
                best = max(best, _WEIGHT.get(meaning.level, 0.5) * meaning.sure)
        if best:
            return best, True
        weights = [_WEIGHT.get(one.level, 0.5) * one.sure for one in units]
        return min(weights), False

    def _beside(self, one: Candidate, others: list[list[Candidate]]) -> Candidate:
        """Weigh a candidate with what the other places of the text say."""
        score, told, against = one.score, list(one.reasons), one.against
        for group in others:
            shared = max(len(common([one.code, other.code], self.base.lengths)) for other in group)
            if shared >= min(self._village, len(one.code)):
                score += 0.7 if shared >= self._grid else 0.5
                told.append("crossing")
            else:
                score -= 0.3
                against += 1
        reasons = tuple(dict.fromkeys(told))
        return Candidate(one.code, score, reasons, one.place, against, one.exact, one.entry)

    def _units_only(self, spans: list[Span]) -> list[Candidate]:
        named = [span.units for span in spans if span.units]
        found: dict[str, Candidate] = {}
        for units in named:
            for meaning in units:
                for code in meaning.codes:
                    score, against = 0.0, 0
                    for other in named:
                        weight, agrees = self._agreement(code, other)
                        agrees = agrees and any(code.startswith(c) for m in other for c in m.codes)
                        score += weight if agrees else -0.5 * weight
                        against += 0 if agrees else 1
                    told = ("unit-only",) + (("disagrees",) if against else ())
                    best = found.get(code)
                    if best is None or best.score < score:
                        found[code] = Candidate(code, score, told, against=against)
        return list(found.values())

    # names that are nearly right ------------------------------------------------------------------
    def _mend(self, text: str, spans: list[Span]) -> list[Span]:
        """All spans, with those of names alike in what no name covers."""
        inside = {
            code[: self.base.lengths[1]] if len(self.base.lengths) > 1 else code
            for span in spans
            for meaning in span.units
            if meaning.sure >= 0.9
            for code in meaning.codes
        }
        kept: list[Span] = []
        at = 0
        for span in [*spans, Span(len(text), len(text), (), ())]:
            runs = _runs(text[at : span.start], at)
            whole = self._grown(text, runs, span, inside)
            if whole:
                runs.pop()
            for run, start in runs:
                longer = self._led(text, kept, run, start, inside)
                if longer:
                    kept[-1] = longer
                else:
                    kept += self._like(run, start, inside)
            kept += [whole or span] if span.start < span.end else []
            at = span.end
        return kept

    def _grown(
        self, text: str, runs: list[tuple[str, int]], span: Span, inside: set[str]
    ) -> Span | None:
        """Span of a name of which only the end was spelt rightly: 绿成雅居府 for 绿城雅居府."""
        if not runs or not span.places or runs[-1][1] + len(runs[-1][0]) != span.start:
            return None
        start = runs[-1][1]
        found = self.alike.find(text[start : span.end], inside)
        return Span(start, span.end, *found) if found and found[1] else None

    def _led(
        self, text: str, kept: list[Span], run: str, start: int, inside: set[str]
    ) -> Span | None:
        """Span of a name whose begin was taken for the short form of a unit: 翠苑农市场."""
        if not kept or kept[-1].end != start or any(one.sure > 0.6 for one in kept[-1].units):
            return None
        begin = kept[-1].start
        found = self.alike.find(text[begin : start + len(run)], inside)
        return Span(begin, start + len(run), *found) if found and found[1] else None

    def _like(self, run: str, start: int, inside: set[str]) -> list[Span]:
        whole = self.alike.find(run, inside)
        if whole:
            return [Span(start, start + len(run), *whole)]
        result = []
        for piece, begin in _pieces(run, start):
            found = self.alike.find(piece, inside) if piece != run else None
            if found:
                result.append(Span(begin, begin + len(piece), *found))
        return result

    # the verdict -----------------------------------------------------------------------------------
    def _judge(self, text: str, spans: list[Span], found: list[Candidate]) -> Resolved:
        if not found:
            return Resolved(Status.NONE, "", 0.0, False, ("nothing",))
        ranked = sorted(found, key=lambda one: (-one.score, -len(one.code), one.code))
        best = ranked[0]
        rivals = [one for one in ranked[1:] if not _within(one.code, best.code)]
        lead = best.score - rivals[0].score if rivals else 2.0
        others = tuple(rivals[:5])
        if lead < _LEAD:
            level = [one for one in rivals if best.score - one.score < _LEAD]
            shared = common([best.code, *(one.code for one in level)], self.base.lengths)
            told = (*best.reasons, "several")
            return Resolved(Status.AMBIGUOUS, shared, 0.3, False, told, (best, *others)[:5])
        code, told, said = self._down_to_room(text, spans, best)
        confidence = 0.98
        confidence -= 0.35 * min(best.against, 2)
        confidence -= 0.3 if "alike" in told else 0.0
        confidence -= 0.05 if {"alias", "short"} & set(told) else 0.0
        confidence -= 0.1 if "number-unknown" in told else 0.0
        confidence -= 0.05 if "between" in told else 0.0
        confidence -= 0.25 if lead < 0.35 else 0.0
        if "alike" in told and ("agrees" in told or "crossing" in told) and "number" in told:
            confidence += 0.15
        if "unit-only" in told and len(code) < self._village:
            confidence -= 0.05
        unread = _unread(text, spans)
        if "short" in told and (unread or not {"agrees", "crossing"} & set(told)):
            confidence -= 0.15
        if unread >= 2:
            confidence -= 0.3 if "unit-only" in told else 0.2
        confidence = max(0.05, round(confidence, 2))
        certain = confidence >= CERTAIN
        status = Status.FOUND if certain else Status.UNSURE
        return Resolved(status, code, confidence, certain, told, others, said, best.place)

    def _down_to_room(
        self, text: str, spans: list[Span], best: Candidate
    ) -> tuple[str, tuple[str, ...], Numbers]:
        """Append unit, floor and room where the building of an estate is known to have them."""
        span = next((s for s in spans if any(m.place == best.place for m in s.places)), None)
        if best.entry < 0 or span is None:
            return best.code, best.reasons, Numbers()
        after = [s.start for s in spans if s.start >= span.end]
        said = numbers(text[span.end : min(after, default=len(text))])
        if not (said.unit or said.room):
            return best.code, best.reasons, said
        units, floors = int(self.base.units[best.entry]), int(self.base.floors[best.entry])
        if not units or said.unit > units or said.floor > floors:
            told = (*best.reasons, "no-such-room") if units else best.reasons
            return best.code, told, said
        unit = said.unit or (1 if units == 1 else 0)
        if not unit:
            return best.code, best.reasons, said
        code = f"{best.code}{unit:02d}"
        if said.floor:
            code += f"{said.floor:02d}" + (f"{said.room:04d}" if said.room else "")
        return code, (*best.reasons, "room"), said


def _unread(text: str, spans: list[Span]) -> int:
    """Count the characters no name covers, but for numbers, their words and what tells nearness."""
    at, left = 0, 0
    for span in [*spans, Span(len(text), len(text), (), ())]:
        gap = _FILLER.sub("", text[at : span.start])
        left += len(_COUNTED.sub("", gap))
        at = span.end
    return left


def _within(code: str, other: str) -> bool:
    return code.startswith(other) or other.startswith(code)


def _runs(gap: str, offset: int) -> list[tuple[str, int]]:
    """Find the runs of words in a gap, with where they begin."""
    words = _FILLER.sub(lambda m: " " * len(m[0]), gap)
    return [
        (run[0], offset + run.start())
        for run in re.finditer(r"[^\d()\-\s]+", words)
        if len(run[0]) >= 2
    ]


def _pieces(run: str, offset: int) -> list[tuple[str, int]]:
    """Parts of a run that end as names do, with where they begin."""
    result, at = [], 0
    for piece in _PIECE.finditer(run):
        result.append((piece[0], offset + piece.start()))
        at = piece.end()
    if at < len(run):
        result.append((run[at:], offset + at))
    return [one for one in result if len(one[0]) >= 2]
