"""Small numbers in tables of units: hidden alike at every level (METHODS 11). Imports `geo.small_tree`.

Promises: what the tables of all levels of one question tell together tells no small number, whichever of
them is asked for first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from app.services.area_words import Asked, Bools
from app.services.units import UnitTable
from geo.small_numbers import SHOWN, WITHHELD
from geo.small_tree import Nested, nested

if TYPE_CHECKING:
    from app.services.areas import Sight

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class UnitStates:
    """What is hidden of the units of one question.

    Attributes
    ----------
    ids : (n,) units with events or above some, ascending; the first is 0, the whole
    known : (n,) whether events are recorded for the unit itself
    made : their states
    """

    table: UnitTable
    ids: Ints
    known: Bools
    made: Nested

    @property
    def whole(self) -> int:
        """State of the total."""
        return int(self.made.total[0])

    def unit(self, unit: int) -> int:
        """State of a unit with all below it."""
        at = int(np.searchsorted(self.ids, unit))
        there = at < len(self.ids) and self.ids[at] == unit
        return int(self.made.total[at]) if there else SHOWN

    def together(self, chosen: Bools) -> int:
        """State of a sum over recorded units: hidden when one of its parts is. `chosen` by id."""
        mine = self.known & chosen[self.ids]
        return WITHHELD if (self.made.own[mine] != SHOWN).any() else SHOWN

    def rest(self, level: str, shown: set[int]) -> int:
        """State of what a table of units of a level has no line for."""
        above = self.table.ancestors[:, self.table.levels.index(level)]
        return self.together(~np.isin(above, sorted(shown)))

    def row(self, unit: int, under: npt.NDArray[np.int32]) -> int:
        """State of a line of a table by `Asked.under`: a unit with all below it, or what is known to it."""
        mine = under == unit
        if not unit:
            return self.together(mine)
        level = int(self.table.level_of[unit - 1])
        below = self.known & (self.table.ancestors[self.ids, level] == unit)
        if mine[self.ids[below]].all():
            return self.unit(unit)
        return self.together(mine)


def unit_states(sight: Sight, asked: Asked, located: Bools | None) -> UnitStates:
    """Count the recorded units of a question, and choose what is hidden of them."""
    table = sight.ground.table
    assert asked.question is not None
    one = Asked(replace(asked.question, breakdowns=frozenset({"unit"}), beside=None), None, None)
    series = sight.count(one, ("unit",), located).by_unit
    assert series is not None
    recorded = np.zeros(len(table) + 1, np.int64)
    recorded[series.keys] = series.counts
    there = recorded > 0
    there[0] = True
    there[np.unique(table.ancestors[np.flatnonzero(recorded)])] = True
    ids: Ints = np.flatnonzero(there)
    above = np.append(0, table.parent_of)[ids]
    parent = np.searchsorted(ids, above)
    parent[0] = -1
    return UnitStates(table, ids, recorded[ids] > 0, nested(parent, recorded[ids]))
