"""What one side tells by a treaty: its cells' exposures and counts, merged as the treaty says.

Imports `geo.cells` and `geo.hotspots.told`. Promises: `tell_side` reads one side's events and hands out
nothing but what may cross; the same events, exposures and terms give the same `SideTold`, bit for
bit, wherever they lie.

An event belongs to the side its recorded unit lies in, and to the cell its point lies in; without a
point, or with one in a cell that is none of the side's, it is not told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.database import raw
from app.errors import Invalid
from app.services import cells_grid
from app.services.binary_copy import ColumnStream
from app.services.boundaries import newest_version
from app.services.exposure_table import exposure_table
from app.services.periods import first_day, month_number, spans
from app.services.treaties import Terms
from app.services.units import UnitTable, read_units
from geo import cells as h3
from geo.hotspots.told import Told, tell

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Key = tuple[str, str, date]
"""Kind, period type, first day of the period."""

_POINTS = """
copy (
  select st_x(e.geom), st_y(e.geom), (kind_list.place - 1)::int4,
    (12 * extract(year from local_time) + extract(month from local_time) - 1)::int4
  from event e
  join event_source s on s.id = e.source_id and s.pack = %(pack)s
  join unit u on u.boundary_version_id = e.boundary_version_id and u.id = e.unit_id
    and u.code ^@ %(side)s
  join unnest(%(kinds)s) with ordinality as kind_list (kind, place) on kind_list.kind = e.kind
  cross join lateral (select e.occurred_at at time zone %(zone)s as local_time) as clock
  where e.geom is not null and local_time < %(cutoff)s::date
) to stdout (format binary)
"""


@dataclass(frozen=True, eq=False)
class SideTold:
    """What a side told.

    Attributes
    ----------
    side, name : code prefix and name
    cutoff : local day; everything told happened before it
    simulated : some of the events are made up
    cells : uint64 (n,) ascending, of the treaty's resolution: all that share area with the side
    exposures : measure → (n,) float64, of the side's part of each cell; nan = missing
    periods : period type → first days of the periods told, ascending, without gap
    told : key → counts; a period told without a row had no event
    withheld : key → events told nowhere (fewer than the least count); not told to others
    """

    side: str
    name: str
    cutoff: date
    simulated: bool
    cells: h3.Cells
    exposures: Mapping[str, Floats]
    periods: Mapping[str, tuple[date, ...]]
    told: Mapping[Key, Told]

    def digest(self) -> str:
        """Sha256 of all of it."""
        found = hashlib.sha256()
        found.update(repr((self.side, self.cutoff, self.simulated, dict(self.periods))).encode())
        found.update(self.cells.astype("<u8").tobytes())
        for measure in sorted(self.exposures):
            found.update(measure.encode() + self.exposures[measure].astype("<f8").tobytes())
        for key in sorted(self.told):
            one = self.told[key]
            if len(one.name):
                found.update(repr(key).encode())
                found.update(one.name.astype("<u8").tobytes() + one.events.astype("<i8").tobytes())
        return found.hexdigest()


def tell_side(
    engine: sa.Engine, pack: str, side: str, terms: Terms, *, on: date, zone: str
) -> SideTold:
    """Count a side's events as the treaty lets them cross.

    Parameters
    ----------
    engine : of the installation itself
    on : local day it is; what happened less than `delay_days` before is not told
    zone : calendar of the periods

    Raises
    ------
    NotFound
        There is no such map.
    Invalid
        The side is no unit of it, or has no cells.
    """
    with engine.connect() as connection:
        table = read_units(connection, newest_version(connection, pack).id)
    if side not in table.codes:
        raise Invalid(f"map {pack!r} has no unit {side!r}", {"field": "side", "reason": "unknown"})
    grid = cells_grid.ensure(engine, table, terms.resolution)
    cutoff = on - timedelta(days=terms.delay_days)
    with engine.connect() as connection:
        connection.exec_driver_sql("set transaction isolation level repeatable read, read only")
        cells, exposures = _exposures(connection, table, grid, side, terms, cutoff)
        events = _points(connection, pack, side, terms, zone, cutoff)
        simulated = connection.execute(
            sa.text("select coalesce(bool_or(simulated), false) from event_source where pack = :p"),
            {"p": pack},
        ).scalar_one()
    periods, told = _count(events, cells, terms, cutoff)
    name = table.names[table.codes.index(side)]
    return SideTold(side, name, cutoff, bool(simulated), cells, exposures, periods, told)


def _exposures(  # noqa: PLR0917
    connection: sa.Connection, table: UnitTable, grid: cells_grid.Grid, side: str, terms: Terms,
    cutoff: date,
) -> tuple[h3.Cells, dict[str, Floats]]:  # fmt: skip
    """Cells of a side, and what of its units' exposures lies in them."""
    over = grid.over
    leaf = np.array([table.codes[one - 1].startswith(side) for one in grid.leaves.tolist()])
    pair = np.flatnonzero(leaf[over.unit])
    if not len(pair):
        raise Invalid(f"{side} has no units", {"field": "side", "reason": "empty"})
    row, at = np.unique(over.cell_of[pair], return_inverse=True)
    values = exposure_table(connection, table.version_id, terms.measures, cutoff)[:, grid.leaves]
    found = {}
    for measure, leaves in zip(terms.measures, values, strict=True):
        part = leaves[over.unit[pair]] * over.weight[pair]
        known = ~np.isnan(part)
        total = np.bincount(at, np.where(known, part, 0.0), len(row))
        some = np.bincount(at, known, len(row)) > 0
        found[measure] = np.where(some, total, np.nan)
    return over.cells[row], found


def _points(  # noqa: PLR0917
    connection: sa.Connection, pack: str, side: str, terms: Terms, zone: str, cutoff: date
) -> tuple[Floats, Floats, Ints, Ints]:
    """Longitude, latitude, kind (index of the sorted kinds), month number of a side's events."""
    parts: list[list[npt.NDArray[Any]]] = []
    stream = ColumnStream((">f8", ">f8", ">i4", ">i4"), parts.append)
    asked = {
        "pack": pack, "side": side, "kinds": sorted(terms.kinds), "zone": zone, "cutoff": cutoff,
    }  # fmt: skip
    with raw(connection).cursor() as cursor:
        cursor.copy_expert(cursor.mogrify(_POINTS, asked).decode(), stream)
    stream.finish()
    lon, lat, kind, month = (
        np.concatenate([part[i] for part in parts]) if parts else np.zeros(0) for i in range(4)
    )
    return lon, lat, kind.astype(np.int64), month.astype(np.int64)


def _count(
    events: tuple[Floats, Floats, Ints, Ints], cells: h3.Cells, terms: Terms, cutoff: date
) -> tuple[dict[str, tuple[date, ...]], dict[Key, Told]]:
    lon, lat, kind, month = events
    kinds = sorted(terms.kinds)
    if not len(lon):
        return dict.fromkeys(terms.periods, ()), {}
    first, last = int(month.min()), min(int(month.max()), month_number(cutoff))
    cell = h3.cells(lon, lat, terms.resolution)
    at = np.minimum(np.searchsorted(cells, cell), len(cells) - 1)
    inside = cells[at] == cell
    at, kind, month = at[inside], kind[inside], month[inside]
    periods: dict[str, tuple[date, ...]] = {}
    told: dict[Key, Told] = {}
    for period in terms.periods:
        whole = [
            one for one in spans(period, first, last) if one.complete and one.end <= cutoff
        ]  # fmt: skip
        periods[period] = tuple(one.start for one in whole)
        for span in whole:
            low, high = month_number(span.start), month_number(span.end)
            mine = (month >= low) & (month < high)
            sums = np.bincount(
                kind[mine] * len(cells) + at[mine], minlength=len(kinds) * len(cells)
            )
            for number, counts in zip(kinds, sums.reshape(len(kinds), -1), strict=True):
                told[number, period, span.start] = tell(
                    cells, counts, terms.resolution, terms.min_count
                )
    return periods, told


def day_after(period: str, start: date) -> date:
    """First day after a period that begins on `start`.

    >>> day_after("quarter", date(2025, 10, 1))
    datetime.date(2026, 1, 1)
    """
    from app.services.periods import MONTHS

    return first_day(month_number(start) + MONTHS[period])
