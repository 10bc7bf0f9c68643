"""Exposures by unit: what was imported (`exposures`), read for the units of a boundary version.

Promises: values reach today's units through the succession, so that nothing is added twice and totals
are conserved; a value that is not there is nan, never a guess; `area_km2` is computed, never stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.errors import NotFound
from app.services.succession import Succession

Floats = npt.NDArray[np.float64]

AREA = "area_km2"


def exposure_table(
    connection: sa.Connection, version: int, measures: Sequence[str], on: date
) -> Floats:
    """Exposure of every unit of a boundary version.

    Parameters
    ----------
    connection : sa.Connection
    version : int
        Id of the boundary version.
    measures : sequence of str
        M names; `area_km2` is the area of the unit.
    on : date
        Values describing a later day are not used.

    Returns
    -------
    float64 (M, n_units + 1)
        By unit id; entry 0 is nan. The value given for the unit itself, the newest there is; else
        the sum over its children when all of them have one; else nan. A value given for a unit
        says nothing about its parts.

    Raises
    ------
    NotFound
        There is no such version.
    """
    head = connection.execute(
        sa.text("select pack, levels, valid_from, valid_to from boundary_version where id = :v"),
        {"v": version},
    ).one_or_none()
    if head is None:
        raise NotFound(f"no boundary version {version}")
    units = connection.execute(
        sa.text(
            "select code, level, parent_id, area_km2 from unit "
            "where boundary_version_id = :v order by id"
        ),
        {"v": version},
    ).all()
    ids = {unit.code: i for i, unit in enumerate(units, 1)}
    rank = np.array([-1, *(head.levels.index(unit.level) for unit in units)])
    parents = np.array([0, *(unit.parent_id or 0 for unit in units)])
    given = connection.execute(
        sa.text(
            "select measure, as_of, code, value from exposure "
            "where pack = :pack and measure = any(:measures) and as_of <= :on"
        ),
        {"pack": head.pack, "measures": list(measures), "on": on},
    ).all()
    succession = Succession.load(connection, head.pack, head.valid_from, head.valid_to, ids)
    groups: dict[tuple[str, date], dict[str, float]] = {}
    for row in given:
        groups.setdefault((row.measure, row.as_of), {})[row.code] = row.value
    table = np.full((len(measures), len(units) + 1), np.nan)
    # newest day first: an older value never replaces a newer one
    for (measure, day), values in sorted(groups.items(), key=lambda g: g[0][1], reverse=True):
        row_of = table[list(measures).index(measure)]
        for code, value in succession.carry(values, day).items():
            unit = ids.get(code)
            if unit is not None and np.isnan(row_of[unit]):
                row_of[unit] = value
    for level in range(len(head.levels) - 1, -1, -1):
        # children may be of any finer level: they are all filled before their parent
        _fill_parents(table, np.flatnonzero((rank[parents] == level) & (parents > 0)), parents)
    if AREA in measures:
        table[list(measures).index(AREA)] = [np.nan, *(unit.area_km2 for unit in units)]
    return table


def _fill_parents(table: Floats, children: npt.NDArray[np.intp], parents: Any) -> None:
    """Sum values of `children` into the parents that have none; one missing child spoils it."""
    if len(children) == 0:
        return
    above = np.unique(parents[children])
    for row in table:
        total = np.zeros(len(row))
        np.add.at(total, parents[children], row[children])
        open_ = above[np.isnan(row[above])]
        row[open_] = total[open_]
