"""Which units of the finest level an alert is about, or why it names none. Pure.

Promises: every alert has grids or a reason; a grid is named only when its own remembered events stand
above what is to be expected of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from app.services.alert_panel import Panel
from app.services.units import UnitTable

MOST = 12
#: Part of the excess the named grids have to make up.
ENOUGH = 0.5
#: Part of the unit's events that has to be located to the finest level.
LOCATED = 0.5


@dataclass(frozen=True)
class Located:
    """Grids of an alert, greatest excess first.

    Attributes
    ----------
    share : part of the unit's events of the period located to the finest level; None: no event
    why_not : why there is no grid
    """

    codes: tuple[str, ...]
    share: float | None
    why_not: Literal["no_grids", "not_located", "no_single_grid"] | None


def located(
    table: UnitTable, finest: Panel, panel: Panel, cells: list[tuple[int, int]]
) -> list[Located]:
    """Find the grids of alerts of one level.

    Parameters
    ----------
    finest : panel of the finest level
    panel : panel of the alerts' level
    cells : kind index and position in that level
    """
    if panel.level == finest.level:
        return [
            Located((table.codes[panel.first + at - 1],), 1.0 if panel.o[kind, at] else None, None)
            for kind, at in cells
        ]
    column = table.levels.index(panel.level)
    count = finest.o.shape[1]
    above = table.ancestors[finest.first : finest.first + count, column]
    found = []
    for kind, at in cells:
        inside = np.flatnonzero(above == panel.first + at)
        total = panel.o[kind, at]
        events = finest.o[kind, inside]
        share = float(min(events.sum() / total, 1.0)) if total else None
        if not len(inside):
            found.append(Located((), share, "no_grids"))
            continue
        remembered = finest.s[kind, inside]
        excess = np.nan_to_num(remembered - finest.x[kind, inside])
        good = (remembered >= 2) & (excess > 0)
        everything = excess[excess > 0].sum()
        order = np.flatnonzero(good)[np.argsort(-excess[good], kind="stable")][:MOST]
        sums = np.cumsum(excess[order])
        if share is not None and share < LOCATED:
            found.append(Located((), share, "not_located"))
        elif not len(order) or sums[-1] < ENOUGH * everything:
            found.append(Located((), share, "no_single_grid"))
        else:
            enough = int(np.searchsorted(sums, ENOUGH * everything)) + 1
            names = tuple(table.codes[finest.first + inside[i] - 1] for i in order[:enough])
            found.append(Located(names, share, None))
    return found
