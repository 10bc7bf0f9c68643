"""Where the exposure of units that ended went. Imports the database only to read the table.

Promise: what is carried over is conserved: shares of one unit add up to 1, and a successor whose
other predecessors are not given has no value (nan) instead of a part of one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa


@dataclass(frozen=True)
class Step:
    """On `effective`, `share` of `from_code` went to `to_code` (perhaps the same code)."""

    from_code: str
    to_code: str
    share: float
    effective: date


class Succession:
    """Steps that lead to the units of one boundary version.

    Parameters
    ----------
    steps : iterable of Step
    valid_from, valid_to : date
        First day of the version, day after its last (None: still valid).
    units : collection of str
        Codes of the version.
    since : mapping, optional
        Code → first day of a unit of this code in an older version; a continuing unit whose own
        value is not given is thereby told from a new one.
    """

    def __init__(
        self,
        steps: Iterable[Step],
        valid_from: date,
        units: Collection[str],
        valid_to: date | None = None,
        since: Mapping[str, date] | None = None,
    ) -> None:
        groups: dict[tuple[str, date], list[Step]] = defaultdict(list)
        for step in steps:
            groups[step.from_code, step.effective].append(step)
        self._steps = []
        for (code, effective), group in groups.items():
            # A version without a known first day is told by its units: it has no unit that ended,
            # and of a unit that gave a part away and goes on it has every successor.
            goes_on = {s.to_code for s in group}
            past = effective <= valid_from or (
                code in goes_on
                and (valid_to is None or effective < valid_to)
                and all(to in units for to in goes_on)
            )
            if past or code not in units:
                self._steps += group
        self._since = since or {}

    @classmethod
    def load(
        cls,
        connection: sa.Connection,
        pack: str,
        valid_from: date,
        valid_to: date | None,
        units: Collection[str],
    ) -> Succession:
        """Succession of a pack, for the version with this validity and these codes."""
        rows = connection.execute(
            sa.text(
                "select from_code, to_code, share, effective from succession where pack = :pack"
            ),
            {"pack": pack},
        )
        steps = [Step(*row) for row in rows]
        since = connection.execute(
            sa.text(
                "select u.code, min(v.valid_from) from unit u join boundary_version v on "
                "v.id = u.boundary_version_id where v.pack = :pack and v.valid_from < :first "
                "and u.code = any(:codes) group by u.code"
            ),
            # older versions alone: the first day of the version itself may be "ever"
            {
                "pack": pack,
                "first": valid_from,
                "codes": sorted({step.to_code for step in steps}),
            },
        )
        return cls(steps, valid_from, units, valid_to, {row[0]: row[1] for row in since})

    def carry(self, values: Mapping[str, float], as_of: date) -> dict[str, float]:
        """Values by code on the day `as_of`, brought to the codes of the version.

        >>> day = date(2021, 4, 9)
        >>> steps = [Step("A", "B", 0.25, day), Step("A", "C", 0.75, day)]
        >>> succession = Succession(steps, day, {"B", "C"})
        >>> succession.carry({"A": 100.0, "B": 10.0, "C": 1.0}, date(2020, 11, 1))
        {'B': 35.0, 'C': 76.0}
        """
        result = dict(values)
        stages: dict[date, list[Step]] = defaultdict(list)
        for step in self._steps:
            if step.effective > as_of:
                stages[step.effective].append(step)
        for effective in sorted(stages):
            self._apply(result, stages[effective], effective)
        return result

    def _apply(self, values: dict[str, float], steps: list[Step], effective: date) -> None:
        leaving = {step.from_code: values.get(step.from_code) for step in steps}
        into: dict[str, list[Step]] = defaultdict(list)
        for step in steps:
            into[step.to_code].append(step)
        for code in leaving:
            values.pop(code, None)
        for code, parts in into.items():
            found = [leaving[step.from_code] for step in parts]
            if all(value is None for value in found):
                continue
            continues = code not in leaving and self._since.get(code, effective) < effective
            if any(value is None for value in found) or (continues and code not in values):
                values[code] = float("nan")
                continue
            own = values.get(code, 0.0)
            values[code] = own + sum(
                step.share * value
                for step, value in zip(parts, found, strict=True)
                if value is not None
            )
