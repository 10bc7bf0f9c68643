"""The five colours: classes, the rule of METHODS 4, its application.

May import numpy only. The rule is scene data; what stands here are the tested defaults.
`geo.risk` hands all of it on: import from there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

COLOURS = ("none", "green", "blue", "yellow", "orange", "red")
NONE, GREEN, BLUE, YELLOW, ORANGE, RED = range(6)
_ABOVE = ("red", "orange", "yellow")


@dataclass(frozen=True)
class ColourRule:
    """Thresholds (P, θ) of METHODS 4; the first row that matches from red down wins.

    A class the scene does not have is `None`. Red, orange and yellow ask for P and θ at or above
    their thresholds, green for both at or below; what matches no row is blue.
    """

    red: tuple[float, float] | None = (0.95, 1.5)
    orange: tuple[float, float] | None = (0.80, 1.25)
    yellow: tuple[float, float] | None = (0.65, 1.1)
    green: tuple[float, float] | None = (0.20, 0.80)
    version: int = 1

    def __post_init__(self) -> None:
        for name in ("red", "orange", "yellow", "green"):
            row = getattr(self, name)
            if row is not None and not (0 <= row[0] <= 1 and 0 < row[1] < math.inf):
                raise ValueError(f"{name}: P must be in [0, 1] and theta above 0, got {row}")
        above = [row for row in (self.red, self.orange, self.yellow) if row is not None]
        for strong, weak in itertools.pairwise(above):
            if strong[0] < weak[0] or strong[1] < weak[1]:
                raise ValueError(f"thresholds must fall from red to yellow, got {above}")
        if self.green is not None and any(row[1] <= self.green[1] for row in above):
            raise ValueError("green must lie below every class of higher risk")

    @classmethod
    def from_rows(cls, rows: Mapping[str, Mapping[str, float]], version: int = 1) -> ColourRule:
        """Make the rule of a scene; classes left out do not exist.

        Parameters
        ----------
        rows : mapping
            `{"red": {"p_min": .95, "theta_min": 1.5}, …, "green": {"p_max": .2, "theta_max": .8}}`.

        Raises
        ------
        ValueError
            On an unknown colour, a missing threshold, thresholds out of order.
        """
        if unknown := set(rows) - {*_ABOVE, "green"}:
            raise ValueError(f"unknown colour {sorted(unknown)}; known: {[*_ABOVE, 'green']}")
        found: dict[str, tuple[float, float]] = {}
        for name, row in rows.items():
            end = "max" if name == "green" else "min"
            if set(row) != {f"p_{end}", f"theta_{end}"}:
                raise ValueError(f"{name} needs p_{end} and theta_{end}, got {sorted(row)}")
            found[name] = (float(row[f"p_{end}"]), float(row[f"theta_{end}"]))
        return cls(
            red=found.get("red"),
            orange=found.get("orange"),
            yellow=found.get("yellow"),
            green=found.get("green"),
            version=version,
        )

    def rows(self) -> dict[str, dict[str, float]]:
        """Return what `from_rows` takes: what the API shows."""
        table: dict[str, dict[str, float]] = {}
        for name, row in zip(_ABOVE, (self.red, self.orange, self.yellow), strict=True):
            if row is not None:
                table[name] = {"p_min": row[0], "theta_min": row[1]}
        if self.green is not None:
            table["green"] = {"p_max": self.green[0], "theta_max": self.green[1]}
        return table


def colours(
    p: npt.ArrayLike, theta: npt.ArrayLike, rule: ColourRule | None = None
) -> npt.NDArray[np.uint8]:
    """Colour classes of METHODS 4: index into `COLOURS`, 0 = no data where θ or P is nan.

    Parameters
    ----------
    p, theta : arrays of one shape
    rule : ColourRule

    Returns
    -------
    uint8 of that shape

    Examples
    --------
    >>> colours([.99, .9, .7, .5, .1, np.nan], [2, 1.3, 1.2, 1, .5, np.nan]).tolist()
    [5, 4, 3, 2, 1, 0]
    """
    r = rule or ColourRule()
    exceeds = np.asarray(p, dtype=np.float64)
    risk = np.asarray(theta, dtype=np.float64)
    out = np.full(np.broadcast_shapes(exceeds.shape, risk.shape), BLUE, dtype=np.uint8)
    for row, colour in ((r.yellow, YELLOW), (r.orange, ORANGE), (r.red, RED)):
        if row is not None:
            out[(exceeds >= row[0]) & (risk >= row[1])] = colour
    if r.green is not None:
        out[(exceeds <= r.green[0]) & (risk <= r.green[1])] = GREEN
    out[np.isnan(exceeds) | np.isnan(risk)] = NONE
    return out
