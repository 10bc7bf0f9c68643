"""What may be told of a zone's counts, so that no difference of two answers is a small number. Pure.

A count of a kind in a period is told when every side has 0 or at least the least count. Of what it is
the sum of, so much is withheld that what is left, when all parts that are told are taken away, is 0 or at
least the least count, too: the kinds of `overall`, the quarters of a year, the months of a year or quarter.
Sums come first: rather than a sum its smallest parts are withheld. Not promised: differences over several
kinds of parts at once, or between zones that lie in each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Months = tuple[int, int]
"""Columns `[ , )` of a period."""

#: Parts of a period, each kind of them by itself.
PARTS: Mapping[str, tuple[str, ...]] = {
    "month": (), "quarter": ("month",), "year": ("quarter", "month"),
}  # fmt: skip
Question = tuple[int | None, str, int]
"""Index of a kind (None: all together), type of a period and its index."""


class Told:
    """Decides what is told.

    Parameters
    ----------
    counts : int (S, K, M) of sides, kinds, months
    periods : type → columns of each period; a month is one of them
    least : least count
    """

    def __init__(self, counts: Ints, periods: Mapping[str, Sequence[Months]], least: int) -> None:
        self._counts, self._periods, self._least = counts, periods, least
        kinds = (None, *range(counts.shape[1]))
        # sums before their parts: what is not told itself needs nothing withheld
        every = [
            (kind, period, n)
            for kind in kinds
            for period in reversed(tuple(PARTS))
            for n in range(len(periods[period]))
        ]
        self._sums = {one: self.observed(*one) for one in every}
        self._told = {one for one in every if self._large(self._sums[one])}
        for one in every:
            if one in self._told:
                for parts in self._families(*one):
                    self._withhold(parts)

    def observed(self, kind: int | None, period: str, ord_: int) -> Ints:
        """Add up the counts of the sides, (S,)."""
        start, end = self._periods[period][ord_]
        rows = slice(None) if kind is None else slice(kind, kind + 1)
        found: Ints = self._counts[:, rows, start:end].sum(axis=(1, 2))
        return found

    def may(self, kind: int | None, period: str, ord_: int) -> bool:
        """Whether it is told."""
        return (kind, period, ord_) in self._told

    def _withhold(self, parts: Sequence[Question]) -> None:
        """Withhold more of some parts until those withheld are none or enough.

        A part that is told has 0 or enough of every side: to withhold it spoils no other sum.
        """
        left = np.zeros(len(self._counts), np.int64)
        for one in parts:
            if one not in self._told:
                left = left + self._sums[one]
        for one in sorted(parts, key=lambda one: int(self._sums[one].sum())):
            if self._large(left):
                return
            if one in self._told and self._sums[one].any():
                self._told.remove(one)
                left = left + self._sums[one]

    def _large(self, counts: Ints) -> bool:
        return not bool(np.any((counts > 0) & (counts < self._least)))

    def _families(self, kind: int | None, period: str, ord_: int) -> Iterator[list[Question]]:
        if kind is None:
            yield [(one, period, ord_) for one in range(self._counts.shape[1])]
        start, end = self._periods[period][ord_]
        for part in PARTS[period]:
            yield [
                (kind, part, n)
                for n, (first, last) in enumerate(self._periods[part])
                if start <= first and last <= end
            ]
