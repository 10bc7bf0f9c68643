"""Which names stand in a text: units and places, full, short and by alias, longest first.

One automaton (Aho–Corasick) finds every name of the base at once; of overlapping ones the longest
stays. A short form (西湖 for 西湖区) counts less, and not at all where it begins another word.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import ahocorasick_rs

from geo.addresses.base import Base, Kind
from geo.addresses.text import normalise


class Unit(NamedTuple):
    """A unit an address may name."""

    code: str
    level: str
    name: str


class UnitMeaning(NamedTuple):
    """What a name says about units: one of `codes`, of a level, this surely (0 to 1)."""

    codes: tuple[str, ...]
    level: str
    sure: float


class PlaceMeaning(NamedTuple):
    """A place a name may mean, this surely."""

    place: int
    sure: float


@dataclass(frozen=True)
class Span:
    """A name at [start, end) of the text."""

    start: int
    end: int
    units: tuple[UnitMeaning, ...]
    places: tuple[PlaceMeaning, ...]


_UNIT_ENDS = {
    "city": ("市",),
    "county": ("区", "县", "市"),
    "town": ("街道", "镇", "乡"),
    "village": ("社区", "村委会", "居委会", "村"),
}
_PLACE_ENDS = {
    Kind.STREET: ("大道", "大街", "路", "街", "巷", "弄"),
    Kind.ESTATE: ("小区", "花园", "公寓", "新村", "家园", "苑", "里"),
}
#: a short name before these begins another word: 西湖大道 is not 西湖区
_GOES_ON = re.compile(
    "路|街|巷|弄|大道|大街|大桥|桥|苑|园|里|花园|小区|小学|中学|中心|公寓|新村|新城|府|城|港|山|湖|村|江|广场"
    "|[东南西北中](?:路|街|苑|区|门|站|村)"
)


def shorts(name: str, ends: Iterable[str]) -> str | None:
    """Name without its ending when two characters or more are left."""
    for end in ends:
        if name.endswith(end) and len(name) - len(end) >= 2:
            return name[: -len(end)]
    return None


class Names:
    """All names of a base and of the units of a boundary version.

    Parameters
    ----------
    units : iterable of Unit
    other : mapping
        Further name of units (old names, aliases) → (codes it may mean now, level, how surely).
    """

    def __init__(
        self, units: Iterable[Unit], base: Base, other: Mapping[str, UnitMeaning] | None = None
    ) -> None:
        full: dict[tuple[str, str], list[str]] = defaultdict(list)
        short: dict[tuple[str, str], list[str]] = defaultdict(list)
        for code, level, name in units:
            plain = normalise(name)
            full[plain, level].append(code)
            brief = shorts(plain, _UNIT_ENDS.get(level, ()))
            if brief:
                short[brief, level].append(code)
        named: dict[str, list[UnitMeaning]] = defaultdict(list)
        for (name, level), codes in full.items():
            named[name].append(UnitMeaning(tuple(codes), level, 1.0))
        for name, meaning in (other or {}).items():
            named[normalise(name)].append(meaning)
        for (name, level), codes in short.items():
            named[name].append(UnitMeaning(tuple(codes), level, 0.6))
        named.pop("", None)
        placed: dict[str, list[PlaceMeaning]] = {
            name: [PlaceMeaning(*one) for one in found] for name, found in base.by_name.items()
        }
        for name, found in base.by_name.items():
            for place, sure in found:
                brief = shorts(name, _PLACE_ENDS.get(Kind(base.kind[place]), ()))
                if brief and sure == 1.0:
                    placed.setdefault(brief, []).append(PlaceMeaning(place, 0.6))
        self.words = sorted(named.keys() | placed.keys())
        self._units = [tuple(named.get(word, ())) for word in self.words]
        self._places = [tuple(placed.get(word, ())) for word in self.words]
        self._sure = [
            max([one.sure for one in units] + [one.sure for one in places])
            for units, places in zip(self._units, self._places, strict=True)
        ]
        self._found = ahocorasick_rs.AhoCorasick(self.words) if self.words else None

    def spans(self, text: str) -> list[Span]:
        """Names in normalised text, in order, none overlapping another."""
        if self._found is None:
            return []
        matches = self._found.find_matches_as_indexes(text, overlapping=True)
        good = [
            (start - end, -self._sure[at], start, end, at)
            for at, start, end in matches
            if self._sure[at] > 0.6 or not _GOES_ON.match(text, end)
        ]
        good.sort()
        taken = bytearray(len(text))
        kept = []
        for _, _, start, end, at in good:
            if not any(taken[start:end]):
                taken[start:end] = b"\1" * (end - start)
                kept.append(Span(start, end, self._units[at], self._places[at]))
        return sorted(kept, key=lambda span: span.start)
