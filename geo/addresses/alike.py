"""Names that sound like one of the base or differ from it by a letter or two, in the county if known.

A slip of the keyboard mostly keeps the sound (江南村 for 姜南村): names of one sound come first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cache

from rapidfuzz import process
from rapidfuzz.distance import OSA

from geo.addresses.base import Base
from geo.addresses.names import PlaceMeaning, Unit, UnitMeaning
from geo.addresses.text import normalise

#: how surely a name means the one it is like: of one sound, or one letter off
SOUND, SURE = 0.58, 0.5


class Alike:
    """Names of units (towns and villages) and places, by county."""

    def __init__(self, units: Iterable[Unit], base: Base) -> None:
        self._county = base.lengths[1] if len(base.lengths) > 1 else base.lengths[0]
        self._units: dict[str, dict[str, list[tuple[str, str]]]] = defaultdict(
            lambda: defaultdict(list)
        )
        self._places: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for code, level, name in units:
            if level in ("town", "village"):
                self._units[code[: self._county]][normalise(name)].append((code, level))
        for name, found in base.by_name.items():
            for place, sure in found:
                if sure == 1.0:
                    county = base.code[base.start[place]].decode()[: self._county]
                    self._places[county][name].append(place)
        self._choices = {
            county: list({**self._units[county], **self._places[county]})
            for county in {*self._units, *self._places}
        }
        self._sounds: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        known: dict[str, str] = {}
        for county, names in self._choices.items():
            for name in names:
                said = known[name] = known.get(name) or _sound(name)
                self._sounds[county][said].append(name)
        self._everywhere = sorted({name for names in self._choices.values() for name in names})

    def find(
        self, piece: str, inside: set[str]
    ) -> tuple[tuple[UnitMeaning, ...], tuple[PlaceMeaning, ...]] | None:
        """Meanings of the names nearest to a piece of text, None when none is near enough.

        One letter may differ in a name of up to five, two in a longer one; all counties are
        searched when `inside` is empty.
        """
        if len(piece) < 3:
            return None
        counties = [one for one in inside if one in self._choices] or list(self._choices)
        said = _sound(piece)
        same = {name for county in counties for name in self._sounds[county].get(said, ())}
        if same:
            return self._meant(same, counties, SOUND)
        allowed = 1 if len(piece) <= 5 else 2
        if len(counties) == len(self._choices):
            near = self._near(piece, self._everywhere, allowed)
        else:
            near = [
                one
                for county in counties
                for one in self._near(piece, self._choices[county], allowed)
            ]
        if not near:
            return None
        best = min(distance for _, distance in near)
        return self._meant({name for name, distance in near if distance == best}, counties, SURE)

    def _meant(
        self, names: set[str], counties: list[str], sure: float
    ) -> tuple[tuple[UnitMeaning, ...], tuple[PlaceMeaning, ...]]:
        units: list[UnitMeaning] = []
        places: list[PlaceMeaning] = []
        for name in sorted(names):
            for county in counties:
                for code, level in self._units[county].get(name, ()):
                    units.append(UnitMeaning((code,), level, sure))
                places += [PlaceMeaning(one, sure) for one in self._places[county].get(name, ())]
        return tuple(units), tuple(places)

    @staticmethod
    def _near(piece: str, names: list[str], allowed: int) -> list[tuple[str, int]]:
        found = process.extract(piece, names, scorer=OSA.distance, score_cutoff=allowed, limit=30)
        return [(name, int(distance)) for name, distance, _ in found]


@cache
def _syllable(letter: str) -> str:
    from pypinyin import lazy_pinyin  # half a second of dictionaries

    return lazy_pinyin(letter)[0]


def _sound(text: str) -> str:
    """Syllables without tones, letter by letter: of two readings always the same one is taken."""
    return " ".join(map(_syllable, text))
