"""The address base in memory: places, their numbered doors and buildings, each with its code.

A *place* is a name inside one county: a street, an estate, a village with door numbers, a landmark.
Its *entries* are the numbers it has, in order. Columns of numpy arrays; 500,000 entries take about
20 MB. Pure: rows come in as an Arrow table, see `SCHEMA`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from geo.addresses.text import normalise


class Kind(StrEnum):
    """What a place is; decides which of its numbers counts."""

    STREET = "street"
    ESTATE = "estate"
    VILLAGE = "village"
    LANDMARK = "landmark"


#: One row per door or building. code: canonical, down to the building when known. number: door of a
#: street or village, building of an estate (A座 = 1), 0 of a landmark or a place without numbers.
#: units, floors: of the building, 0 unknown. aliases: other names, separated by "|".
SCHEMA = pa.schema(
    [
        ("code", pa.string()), ("place", pa.string()), ("kind", pa.string()), ("number", pa.int32()),
        ("units", pa.int16()), ("floors", pa.int16()), ("aliases", pa.string()),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Base:
    """Places (p,) and entries (n,).

    name, kind : of each place
    start : int64 (p + 1,), where the entries of a place begin
    number, units, floors : int32 (n,), ascending by number inside a place
    code : bytes (n,), canonical codes
    extent : finest prefix shared by all codes of a place
    by_name : normalised name or alias → places, with how surely the name means them (1 or .9)
    lengths : code lengths of the levels, coarse to fine
    """

    name: list[str]
    kind: list[str]
    start: npt.NDArray[np.int64]
    number: npt.NDArray[np.int32]
    units: npt.NDArray[np.int32]
    floors: npt.NDArray[np.int32]
    code: npt.NDArray[np.bytes_]
    extent: list[str]
    by_name: dict[str, list[tuple[int, float]]]
    lengths: tuple[int, ...]

    @classmethod
    def build(cls, rows: pa.Table, lengths: tuple[int, ...], county: int) -> Base:
        """Put rows of `SCHEMA` in order.

        Parameters
        ----------
        lengths : code lengths of the levels, coarse to fine, the building last
        county : length of the code inside which one name is one place
        """
        code = rows.column("code").to_pylist()
        names = rows.column("place").to_pylist()
        kinds = rows.column("kind").to_pylist()
        aliases = rows.column("aliases").to_pylist()
        ids: dict[tuple[str, str, str], int] = {}
        place = np.empty(len(code), dtype=np.int64)
        other: dict[int, set[str]] = defaultdict(set)
        for row, key in enumerate(zip(names, kinds, [one[:county] for one in code], strict=True)):
            at = place[row] = ids.setdefault(key, len(ids))
            if aliases[row]:
                other[at].update(one for one in aliases[row].split("|") if one)
        number = _int32(rows, "number")
        order = np.lexsort((number, place))
        start = np.searchsorted(place[order], np.arange(len(ids) + 1)).astype(np.int64)
        codes = np.array(code, dtype="S")[order] if code else np.empty(0, dtype="S1")
        by_name: dict[str, list[tuple[int, float]]] = defaultdict(list)
        plain = {name: normalise(name) for name in {key[0] for key in ids}}
        for (name, _, _), at in ids.items():
            by_name[plain[name]].append((at, 1.0))
        for at, found in other.items():
            for alias in sorted(found):
                by_name[normalise(alias)].append((at, 0.9))
        by_name.pop("", None)
        extent = [
            common([codes[start[p]].decode(), codes[start[p + 1] - 1].decode()], lengths)
            if start[p + 1] - start[p] < 2
            else common([one.decode() for one in codes[start[p] : start[p + 1]]], lengths)
            for p in range(len(ids))
        ]
        return cls(
            name=[key[0] for key in ids],
            kind=[key[1] for key in ids],
            start=start,
            number=number[order],
            units=_int32(rows, "units")[order],
            floors=_int32(rows, "floors")[order],
            code=codes,
            extent=extent,
            by_name=dict(by_name),
            lengths=lengths,
        )

    def entries(self, place: int, number: int) -> list[int]:
        """Entries of a place with this number."""
        low, high = int(self.start[place]), int(self.start[place + 1])
        part = self.number[low:high]
        first = int(np.searchsorted(part, number, "left"))
        last = int(np.searchsorted(part, number, "right"))
        return list(range(low + first, low + last))

    def between(self, place: int, number: int) -> tuple[int, int] | None:
        """Nearest entries below and above a number that is missing, same side of a street first.

        None when the number lies outside the numbers of the place.
        """
        low, high = int(self.start[place]), int(self.start[place + 1])
        part = self.number[low:high]
        numbered = part > 0
        if self.kind[place] == Kind.STREET:
            side = numbered & (part % 2 == number % 2)
            if (part[side] < number).any() and (part[side] > number).any():
                numbered = side
        below = np.flatnonzero(numbered & (part < number))
        above = np.flatnonzero(numbered & (part > number))
        if not len(below) or not len(above):
            return None
        return low + int(below[-1]), low + int(above[0])

    def codes_of(self, place: int) -> list[str]:
        """All codes of a place."""
        part = self.code[self.start[place] : self.start[place + 1]]
        return [one.decode() for one in part]


def common(codes: list[str], lengths: tuple[int, ...]) -> str:
    """Finest prefix of a level that all codes share.

    >>> common(["330102001051001", "330102001052001"], (4, 6, 9, 12, 15))
    '330102001'
    """
    low, high = min(codes), max(codes)
    same = (i for i, pair in enumerate(zip(low, high, strict=False)) if pair[0] != pair[1])
    shared = low[: next(same, min(len(low), len(high)))]
    fit = [length for length in lengths if length <= len(shared)]
    return shared[: fit[-1]] if fit else ""


def _int32(rows: pa.Table, name: str) -> npt.NDArray[np.int32]:
    filled = rows.column(name).fill_null(0)
    values: npt.NDArray[np.int32] = filled.to_numpy().astype(np.int32)
    return values
