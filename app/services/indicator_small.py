"""Small numbers of indicators: "<5", and what else is hidden with it (METHODS 11).

Imports `geo.small_tree`, the choice over units inside units. Promises: to who may not see records no count of
1 to 4 of a unit is told, nor worked out from the tables of all levels of one indicator and period, from the
change, the series, the score, the rank, or the index of which it is the only hidden part.

Not promised: that nothing can be worked out from periods inside each other (eleven months and their year) or
from indicators that add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.api import indicator_models as shown
from app.services.indicators import Run, is_counted
from app.services.scene_checks import links, shares
from app.services.scene_tree import Indicator
from app.services.scenes import Scene
from geo import indicators as kernel
from geo.small_numbers import SHOWN, SMALL, THRESHOLD, WITHHELD
from geo.small_tree import nested

States = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_SQL = """
select r.indicator, r.code, u.path, numerator[cast(:first as int) : cast(:last as int)] as numerator,
  denominator[cast(:first as int) : cast(:last as int)] as denominator
from indicator_result r join indicator_unit u using (run_id, code)
where r.run_id = :run and r.period = :period and r.indicator = any(:indicators)
"""


@dataclass(frozen=True, eq=False)
class Hidden:
    """What is hidden of a run in some periods.

    Attributes
    ----------
    units, ords : place of each code, and of each index of a period
    value : indicator → (units, ords) state of its value
    bottom : indicator → (units, ords) whether its denominator is hidden, too
    rough : index → (units, ords) whether it is told in whole numbers
    """

    units: dict[str, int]
    ords: dict[int, int]
    value: dict[str, States]
    bottom: dict[str, Bools]
    rough: dict[str, Bools]

    def state(self, indicator: str, code: str, ord_: int) -> int:
        """State of a value."""
        at = self._at(code, ord_)
        return int(self.value[indicator][at]) if at and indicator in self.value else SHOWN

    def is_rough(self, indicator: str, code: str, ord_: int) -> bool:
        """Whether an index has hidden parts, so that its decimals would tell of them."""
        at = self._at(code, ord_)
        return bool(at and indicator in self.rough and self.rough[indicator][at])

    def bottomless(self, indicator: str, code: str, ord_: int) -> bool:
        """Whether a denominator is hidden."""
        at = self._at(code, ord_)
        return bool(at and indicator in self.bottom and self.bottom[indicator][at])

    def _at(self, code: str, ord_: int) -> tuple[int, int] | None:
        if code not in self.units or ord_ not in self.ords:
            return None
        return self.units[code], self.ords[ord_]


def hidden(
    connection: sa.Connection, run: Run, period: str, ords: Iterable[int], indicators: Sequence[str]
) -> Hidden:
    """Choose what is hidden of indicators and of what is made of them, over all levels that may be seen.

    Parameters
    ----------
    ords : indices of the periods that are told of
    indicators : all that go into an answer, parts of an index included
    """
    scene = run.scene
    tree = scene.indicators
    assert tree is not None
    wanted = sorted(set(ords))
    nodes = {name: tree.find(name) for name in indicators}
    leaves = {
        name: one
        for name, one in nodes.items()
        if isinstance(one, Indicator) and _tables(scene, one)
    }
    first = wanted[0] if wanted else 0
    rows = (
        connection.execute(
            sa.text(_SQL),
            {
                "run": run.id, "period": period, "first": first + 1, "last": (wanted or [0])[-1] + 1,
                "indicators": list(leaves),
            },
        ).all()
        if leaves
        else []
    )  # fmt: skip
    paths = {row.code: row.path for row in rows}
    codes = sorted(paths, key=lambda code: (len(paths[code]), code))
    units = {code: at for at, code in enumerate(codes)}
    # the first is everything that may be seen; a unit whose parent may not be seen hangs on it
    parent = np.array(
        [-1] + [next((units[up] + 1 for up in paths[c][-2::-1] if up in units), 0) for c in codes]
    )
    shape = (len(codes), len(wanted))
    places = {one: at for at, one in enumerate(wanted)}
    made = Hidden(units, places, {}, {}, {})
    tops = {name: np.zeros(shape) for name in leaves}
    bottoms = {name: np.zeros(shape) for name in leaves}
    at_ords = [one - first for one in wanted]
    for row in rows:
        for target, given in ((tops, row.numerator), (bottoms, row.denominator)):
            if given:
                known = np.array([np.nan if v is None else v for v in given], dtype=np.float64)
                padded = np.append(known, np.full(max(0, at_ords[-1] + 1 - len(known)), np.nan))
                target[row.indicator][units[row.code]] = padded[at_ords]
    for name, one in leaves.items():
        times = 3.0 if one.aggregation == "mean_3_years" else 1.0
        top, bottom = tops[name] * times, bottoms[name] * times
        count, rest, below = _tables(scene, one) or (False, False, False)
        state = np.zeros(shape, np.uint8)
        if count:
            state = _states(parent, top)
        if rest:
            # of 98 of 100 the two others are told as well; it is not the 98 that are "<5"
            state = np.where(
                (_states(parent, bottom - top) != SHOWN) & (state == SHOWN), WITHHELD, state
            )
        under = _states(parent, bottom) if below else np.zeros(shape, np.uint8)
        if count and below:
            state = np.where(state == SHOWN, np.where(under != SHOWN, WITHHELD, SHOWN), state)
        made.value[name] = state.astype(np.uint8)
        made.bottom[name] = (under != SHOWN) | ((state != SHOWN) & below)
    _indices(scene, made, shape)
    return made


def _tables(scene: Scene, one: Indicator) -> tuple[bool, bool, bool] | None:
    """Whether its numerator, what is left of its denominator, and its denominator count events."""
    if one.type == "index":
        return None
    counted = is_counted(scene, one)
    below = one.per is not None and _is_event(scene, one.per.measure)
    found = (counted, counted and below and one.type == "share", below)
    return found if any(found) else None


def _is_event(scene: Scene, measure: str) -> bool:
    """Whether a denominator counts events, as against people, firms, vehicles that are there."""
    if measure in scene.kinds:
        return True
    return any(
        m.id == measure and m.counted and not m.stock for feed in scene.feeds for m in feed.measures
    )


def _states(parent: Ints, counts: npt.NDArray[np.float64]) -> States:
    """States of counts of units inside units, (units, ords); what is no data is 0."""
    whole = np.rint(np.nan_to_num(np.maximum(counts, 0), nan=0.0)).astype(np.int64)
    small = (whole > 0) & (whole < THRESHOLD)
    found = np.where(small, SMALL, SHOWN).astype(np.uint8)
    for t in np.flatnonzero(small.any(axis=0)).tolist():
        given = np.append(0, whole[:, t])
        below = np.zeros(len(given), np.int64)
        np.add.at(below, parent[1:], given[1:])
        given[0] = below[0]
        made = nested(parent, np.maximum(given - below, 0)).total[1:]
        found[:, t] = np.where(small[:, t] & (made == SHOWN), SMALL, made)
    return found


def _indices(scene: Scene, made: Hidden, shape: tuple[int, int]) -> None:
    """Say of every index what its hidden parts mean for it."""
    assert scene.indicators is not None
    weights, below = shares(scene.indicators), links(scene.indicators)
    for name in kernel.in_order(below):
        if name in made.value or not below[name]:
            continue
        number, lone = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
        rough = np.zeros(shape, np.bool_)
        for part, weight in weights[name].items():
            if weight <= 0 or part not in made.value:
                continue
            one = scene.indicators.find(part)
            away = made.value[part] != SHOWN
            number += away
            rough |= away | made.rough.get(part, False)
            # a score of the remembered level is not the count of one period
            lone |= away & (not (isinstance(one, Indicator) and one.risk))
        withheld = (number == 1) & lone
        made.value[name] = np.where(withheld, WITHHELD, SHOWN).astype(np.uint8)
        made.rough[name] = rough & ~withheld


# telling ------------------------------------------------------------------------------------------


def text(state: int) -> str:
    """Text of what is hidden: "<5" or "…"."""
    return f"<{THRESHOLD}" if state == SMALL else "…"


def told(
    row: shown.IndicatorValue,
    one: object,
    found: Hidden,
    *,
    at: int,
    before: int | None,
    earlier: int | None,
) -> shown.IndicatorValue:
    """Value for somebody who may not see small numbers.

    Parameters
    ----------
    one : node of the tree
    at, before, earlier : index of its period, the one before, the same of last year
    """
    name, code = row.indicator, row.code
    state = found.state(name, code, at)
    first = at + 1 - len(row.series)
    series = [_whole(v, found, name, code, first + n) for n, v in enumerate(row.series)]
    update: dict[str, object] = {
        "series": series,
        "change": shown.Changes(
            previous=_change(row.change.previous, found, name, code, at=at, other=before),
            last_year=_change(row.change.last_year, found, name, code, at=at, other=earlier),
        ),
    }
    if found.bottomless(name, code, at):
        # amounts over a small count: their mean alone
        update |= {"denominator": None, "numerator": None}
    if state != SHOWN:
        update |= {
            "value": None, "printed": text(state), "numerator": None, "score": None, "step": None,
            "suppressed": True,
        }  # fmt: skip
        if not (isinstance(one, Indicator) and one.risk):
            # the class of a remembered level is the colour of the map; others are bands of the count
            update |= {"class_": None, "colour": None}
    elif found.is_rough(name, code, at):
        value = _rounded(row.value)
        update |= {
            "value": value, "printed": "—" if value is None else f"{value:.0f}",
            "score": _rounded(row.score),
        }  # fmt: skip
    return row.model_copy(update=update)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(round(value))


def _whole(
    value: float | None, found: Hidden, name: str, code: str, ord_: int
) -> float | None:  # fmt: skip
    if found.state(name, code, ord_) != SHOWN:
        return None
    return _rounded(value) if found.is_rough(name, code, ord_) else value


def _change(
    one: shown.IndicatorChange | None,
    found: Hidden,
    name: str,
    code: str,
    *,
    at: int,
    other: int | None,
) -> shown.IndicatorChange | None:
    if one is None or other is None:
        return one
    now, then = found.state(name, code, at), found.state(name, code, other)
    if now == then == SHOWN:
        if not (found.is_rough(name, code, at) or found.is_rough(name, code, other)):
            return one
        return one.model_copy(
            update={"value": _rounded(one.value), "difference": _rounded(one.difference)}
        )
    value = _whole(one.value, found, name, code, other)
    return shown.IndicatorChange(value=value, difference=None, ratio=None, low=None, high=None)


def ranked(
    row: shown.LeagueRow, one: object, found: Hidden, indicator: str, at: int
) -> shown.LeagueRow:  # fmt: skip
    """Row of a league table for somebody who may not see small numbers: no rank where it would tell."""
    state = found.state(indicator, row.code, at)
    if state != SHOWN:
        update: dict[str, object] = {
            "rank": None, "rank_low": None, "rank_high": None, "group": None, "value": None,
            "printed": text(state), "score": None, "last_places": 0, "tied": False, "suppressed": True,
        }  # fmt: skip
        if not (isinstance(one, Indicator) and one.risk):
            update |= {"class_": None, "colour": None}
        return row.model_copy(update=update)
    if not found.is_rough(indicator, row.code, at):
        return row
    value = _rounded(row.value)
    return row.model_copy(
        update={
            "value": value, "printed": "—" if value is None else f"{value:.0f}",
            "score": _rounded(row.score),
        }
    )  # fmt: skip
