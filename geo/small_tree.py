"""Small numbers of units inside units: one choice of what is hidden for the tables of all levels (METHODS 11).

May import numpy and geo.small_numbers. Pure.

A table of one level alone hides well what is small in it; the table of the next level of the same area would
tell it, when what was hidden beside a small number has only one part there, or is all of its parent. Here
the numbers of all levels are hidden together, so that whoever has every table knows no more than one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo.small_numbers import SHOWN, SMALL, THRESHOLD, WITHHELD, Ints, States, mask


@dataclass(frozen=True)
class Nested:
    """States, `SHOWN`, `SMALL` or `WITHHELD`.

    Attributes
    ----------
    total : (n,) uint8
        Of each unit with all below it; the first is the whole.
    own : (n,) uint8
        Of what is known to a unit and to none below it. Of a unit with nothing below: its total's.
    """

    total: States
    own: States


def nested(parent: npt.ArrayLike, own: npt.ArrayLike, threshold: int = THRESHOLD) -> Nested:
    """Hide small numbers of units inside units, and what would give them away at any level.

    A family is a unit with its parts: the units directly below it and what is known to it alone. In every
    family whose sum is shown either nothing is hidden or at least two numbers that can go up and down
    against each other; a unit that is hidden has a part that is hidden, all the way down. Zeros stay shown.
    One of several small numbers may be withheld ("…") where "<5" of all of them would tell too much.

    Parameters
    ----------
    parent : (n,) ints
        Position of the unit above; -1 for the first, which is the whole. Each stands before those below.
    own : (n,) ints
        Events known to the unit and to none below it.
    threshold : int
        Small is below it.

    Returns
    -------
    Nested

    Raises
    ------
    ValueError
        A unit stands before the one above it, or a count is negative.
    """
    up, count = np.asarray(parent, np.int64), np.asarray(own, np.int64)
    n = len(up)
    if not n or up[0] != -1 or (up[1:] < 0).any() or (up[1:] >= np.arange(1, n)).any():
        raise ValueError("the first is the whole, and each unit stands after the one above it")
    if (count < 0).any():
        raise ValueError("counts are not negative")
    total = count.copy()
    for one in range(n - 1, 0, -1):
        total[up[one]] += total[one]
    # parts are numbered 0 to n − 1 for units, n to 2 n − 1 for what is known to a unit alone
    parts: list[list[int]] = [[] for _ in range(n)]
    for one in range(1, n):
        if total[one]:
            parts[up[one]].append(one)
    for one in range(n):
        if parts[one] and count[one]:
            parts[one].append(n + one)
    value = np.concatenate([total, count])
    state = np.where(mask(value, threshold), SMALL, SHOWN).astype(np.uint8)
    for one in range(n - 1, -1, -1):
        if parts[one]:
            _family(one, np.array(parts[one], np.int64), value, state)
    for one in range(n):
        if parts[one] and state[one] != SHOWN:
            mine = np.array(parts[one], np.int64)
            if (state[mine] == SHOWN).all():
                # else the parts would tell what their unit hides
                state[mine[np.argmin(value[mine])]] = WITHHELD
    alone = np.array([not one for one in parts], np.bool_)
    return Nested(state[:n], np.where(alone, state[:n], state[n:]).astype(np.uint8))


def _family(one: int, mine: Ints, value: Ints, state: States) -> None:
    """Hide what must be hidden of the parts of a unit, and the unit itself where they do not suffice.

    What is withheld can go up and down, by induction; "<5" at least one way. So one that is withheld and
    any other protect each other.
    """
    if len(mine) > 1 and state[one] == SMALL:
        state[one] = WITHHELD  # four parts of "<5" in one would all be 1
    hidden = state[mine] != SHOWN
    if not hidden.any():
        return
    rest = mine[~hidden]
    free = (state[mine] == WITHHELD).any()
    if len(rest) and not (free and hidden.sum() > 1):
        state[rest[np.argmin(value[rest])]] = WITHHELD
        return
    if not free:
        state[mine[np.argmax(value[mine])]] = WITHHELD
    if len(mine) == 1 and state[one] == SHOWN:
        state[one] = WITHHELD
