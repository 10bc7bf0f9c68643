"""Events of a pack counted per unit, kind and local month, and summed up the levels.

Counting happens in the database (one pass, one row per unit × kind × month that has events), so
memory does not grow with the number of events.

Conservation: an event counts in the unit it is located to and in every ancestor of it. So a unit's
count is the sum of its children's plus the events known only at its own level, months add up to
quarters and years, and events without any unit are in no unit but in `EventCounts.located`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.database import raw
from app.errors import Invalid
from app.services.binary_copy import read_columns
from app.services.units import UnitTable

Ints = npt.NDArray[np.int32]

# Unit 0: no unit, or one of another boundary version; -1 would need a signed trick for nothing.
COUNT = """
copy (
  select case when event.boundary_version_id = %(version)s then coalesce(unit_id, 0) else 0 end,
    (kind_list.place - 1)::int4,
    (12 * extract(year from local_time) + extract(month from local_time) - 1)::int4,
    count(*)::int4
  from event
  join event_source on event_source.id = source_id and event_source.pack = %(pack)s
  join unnest(%(kinds)s) with ordinality as kind_list (kind, place) on kind_list.kind = event.kind
  cross join lateral (select occurred_at at time zone %(zone)s as local_time) as clock
  group by 1, 2, 3
) to stdout (format binary)
"""

DESCRIBE = """
select located_by, event.kind = any(:kinds) as wanted, count(*) as events,
  count(*) filter (where mismatch) as mismatch,
  count(*) filter (where unit_id is not null and boundary_version_id <> :version) as elsewhere,
  max(occurred_at) as newest, bool_or(simulated) as simulated
from event join event_source on event_source.id = source_id
where event_source.pack = :pack
group by 1, 2
"""


@dataclass(frozen=True, eq=False)
class EventCounts:
    """Counted events.

    Attributes
    ----------
    unit, kind, month, events : (R,) int32
        Unit id (0 none), index of the kind, index of the month from `first_month`, events.
    first_month, last_month : month numbers (see `periods`), both included
    located : as stored in `run.located`
    """

    unit: Ints
    kind: Ints
    month: Ints
    events: Ints
    first_month: int
    last_month: int
    total: int
    located: dict[str, Any]
    simulated: bool
    data_cutoff: datetime

    @property
    def months(self) -> int:
        """Months from the first to the last event, both included."""
        return self.last_month - self.first_month + 1


def count_events(
    connection: sa.Connection, pack: str, kinds: Sequence[str], zone: str, table: UnitTable
) -> EventCounts:
    """Count the events of a pack for one boundary version.

    Raises
    ------
    Invalid
        The pack has no event of these kinds.
    """
    described = connection.execute(
        sa.text(DESCRIBE), {"kinds": list(kinds), "version": table.version_id, "pack": pack}
    ).all()
    wanted = [row for row in described if row.wanted]
    if not wanted:
        other = sum(row.events for row in described)
        seen = f"{other} events of other kinds" if other else "no events"
        raise Invalid(
            f"{pack}: there are {seen}; the scene counts {', '.join(kinds)}. "
            "Import events first: `wusetu events import`"
        )
    found = _read(connection, pack, kinds, zone, table.version_id)
    unit, kind, month, events = found.T
    first, last = int(month.min()), int(month.max())
    levels = np.append(table.level_of, -1)[unit - 1]  # unit 0 takes the last entry
    by_level = {
        level: int(events[levels == number].sum()) for number, level in enumerate(table.levels)
    }
    by = dict.fromkeys(("code", "point", "address", "none"), 0)
    for row in wanted:
        by[row.located_by] += row.events
    elsewhere = sum(row.elsewhere for row in wanted)
    return EventCounts(
        unit=unit,
        kind=kind,
        month=(month - first).astype(np.int32),
        events=events,
        first_month=first,
        last_month=last,
        total=int(events.sum()),
        located={
            "by": by,
            "level": by_level,
            "no_unit": int(events[unit == 0].sum()) - elsewhere,
            "other_version": elsewhere,
            "mismatch": sum(row.mismatch for row in wanted),
            "other_kinds": sum(row.events for row in described if not row.wanted),
        },
        simulated=any(row.simulated for row in wanted),
        data_cutoff=max(row.newest for row in wanted),
    )


def _read(
    connection: sa.Connection, pack: str, kinds: Sequence[str], zone: str, version: int
) -> Ints:
    buffer = io.BytesIO()
    with raw(connection).cursor() as cursor:
        query = cursor.mogrify(
            COUNT, {"pack": pack, "kinds": list(kinds), "zone": zone, "version": version}
        )
        cursor.copy_expert(query.decode(), buffer)
    return np.stack(read_columns(buffer.getvalue(), (">i4",) * 4), axis=1)


def level_counts(counts: EventCounts, table: UnitTable, level: str, kinds: int) -> Ints:
    """Events of every unit of a level, its descendants' included: (K, months, n) int32."""
    first, size = table.range(level)
    column = table.levels.index(level)
    owner = table.ancestors[counts.unit, column].astype(np.int64)
    found = np.zeros((kinds, counts.months, size), np.int32)
    inside = owner > 0
    # kind by kind, so that the float64 sums of bincount are never all there at once
    for kind in range(kinds):
        rows = inside & (counts.kind == kind)
        flat = counts.month[rows].astype(np.int64) * size + (owner[rows] - first)
        sums = np.bincount(flat, weights=counts.events[rows], minlength=counts.months * size)
        found[kind] = np.rint(sums).reshape(counts.months, size)
    return found


def period_sums(months: Ints, bounds: Sequence[int]) -> Ints:
    """Add months up to periods: months (K, M, n) → (K, T, n); `bounds` as from `month_bounds`."""
    return np.add.reduceat(months, list(bounds), axis=1).astype(np.int32)
