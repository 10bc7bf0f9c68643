"""What one period of a run says about every unit × kind of a level, as the kernel takes it.

Reads `assessment` and `run_rate`; imports `geo.alerts` and `geo.risk`. One COPY per level and period.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.database import raw
from app.services.alert_rules import Rules
from app.services.alert_words import Numbers
from app.services.binary_copy import read_columns
from app.services.runs import RunFacts
from app.services.tracks import Floats, parameters, read_alpha
from app.services.units import UnitTable
from geo import alerts, risk


class Watched(Protocol):
    """What is looked at, see `alert_rows.Look`."""

    @property
    def facts(self) -> RunFacts:
        """Facts of the run."""

    @property
    def table(self) -> UnitTable:
        """Units of its map."""

    @property
    def rule(self) -> alerts.AlertRule:
        """Rule of the kernel."""

    @property
    def rules(self) -> Rules:
        """Rules of the scene."""

    @property
    def period(self) -> str:
        """Period type that is watched."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One period of a level; arrays `(K, n)`, kinds in scene order, units in id order.

    Attributes
    ----------
    first : id of the first unit
    colours : (depth, K, n), those of the map, the present period last
    alone : (within, K, n), colours of each period by itself, the present one last
    alpha : strength of the prior of each unit
    """

    level: str
    first: int
    o: Floats
    e: Floats
    s: Floats
    x: Floats
    alpha: Floats
    flags: npt.NDArray[np.uint8]
    colours: npt.NDArray[np.uint8]
    alone: npt.NDArray[np.uint8]
    rule: alerts.AlertRule

    @cached_property
    def evidence(self) -> alerts.Evidence:
        """Both posteriors of every cell."""
        return alerts.Evidence(
            theta=risk.relative_risk(self.alpha, self.s, self.x),
            p=risk.exceedance(self.alpha, self.s, self.x),
            s=self.s,
            theta_single=risk.relative_risk(self.alpha, self.o, self.e),
            p_single=risk.exceedance(self.alpha, self.o, self.e),
            o=self.o,
            lasting=alerts.lasting(self.alone, self.rule),
        )

    def numbers(self, cells: list[tuple[int, int, int]]) -> list[Numbers]:
        """Numbers of single cells.

        Parameters
        ----------
        cells : kind index, position, bits of what holds the alert
        """
        if not cells:
            return []
        kind, at, holds = np.array(cells).T
        steady = (holds & (alerts.STEADY | alerts.LASTING)) != 0
        s = np.where(steady, self.s[kind, at], self.o[kind, at])
        x = np.where(steady, self.x[kind, at], self.e[kind, at])
        found = risk.posterior(self.alpha[kind, at], s, x)
        return [
            Numbers(
                observed=int(self.o[k, i]),
                expected=float(self.e[k, i]),
                theta=float(found.theta[n]),
                low=float(found.low[n]),
                high=float(found.high[n]),
                p=float(found.p[n]),
                s=float(s[n]),
                x=float(x[n]),
                steady=bool(steady[n]),
                colour=int(self.colours[-1, k, i]),
                check=bool(self.flags[k, i] & risk.CHECK),
            )
            for n, (k, i) in enumerate(zip(kind.tolist(), at.tolist(), strict=True))
        ]


def read_panel(connection: sa.Connection, look: Watched, level: str, ord_: int) -> Panel:
    """Read one period of a level; a unit or kind without a row is no data."""
    facts, table, rule, period = look.facts, look.table, look.rule, look.period
    depth, within = look.rules.depth(), rule.lasting_within
    first, count = table.range(level)
    kinds = list(facts.kinds)
    i = int(ord_) + 1  # arrays of the database count from 1
    back = ", ".join(f"coalesce(colour[{i - d}], 0::smallint)" for d in range(depth))
    past = "".join(
        f", coalesce(observed[{i - d}], 0), coalesce(expected[{i - d}], 'nan'), "
        f"coalesce(flags[{i - d}], 0::smallint)"
        for d in range(within)
    )
    query = (
        "copy (select array_position(%s, kind), unit_id, "  # noqa: S608 - numbers; names are bound
        f"memory_s[{i}], memory_x[{i}], {back}{past} "
        f"from assessment where run_id = {int(facts.id)} and period = %s and kind = any(%s) "
        f"and unit_id between {first} and {first + count - 1}) to stdout (format binary)"
    )
    buffer = io.BytesIO()
    with raw(connection).cursor() as cursor:
        cursor.copy_expert(cursor.mogrify(query, (kinds, period, kinds)).decode(), buffer)
    types = (">i4", ">i4", ">f8", ">f8", *(">i2",) * depth, *(">i4", ">f8", ">i2") * within)
    kind, unit, *columns = read_columns(buffer.getvalue(), types)
    at = (kind.astype(np.int64) - 1, unit.astype(np.int64) - first)
    shape = (len(kinds), count)

    def spread(values: npt.NDArray[np.generic], empty: float) -> Floats:
        whole = np.full(shape, empty)
        whole[at] = values
        return whole

    s, x = (spread(values, np.nan) for values in columns[:2])
    colours = np.stack([spread(one, 0) for one in columns[2 : 2 + depth]][::-1])
    rest = columns[2 + depth :]
    references = table.references(level, facts.scene.reference_level)
    fitted = read_alpha(connection, facts.id, level, kinds, period)
    own, periods = parameters(facts), []
    for d in range(min(within, ord_ + 1)):
        o, e, flags = (
            spread(one, low) for one, low in zip(rest[3 * d :], (0, np.nan, 0), strict=False)
        )
        marks = flags.astype(np.uint8)
        alpha = np.full(shape, np.nan)
        for (reference, name), strengths in fitted.items():
            alpha[kinds.index(name), references == reference] = strengths[ord_ - d]
        periods.append((o, e, marks, risk.unit_alpha(alpha, marks, own)))
    painted = risk.ColourRule.from_rows(
        facts.scene.colour_rule.rows(), facts.scene.colour_rule.version
    )
    alone = np.stack(
        [risk.colour_panel(alpha, o, e, painted)[0] for o, e, _, alpha in periods[::-1]]
    )
    o, e, marks, alpha = periods[0]
    return Panel(
        level=level, first=first, o=o, e=e, s=s, x=x, alpha=alpha, flags=marks, rule=rule,
        colours=colours.astype(np.uint8), alone=alone,
    )  # fmt: skip
