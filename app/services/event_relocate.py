"""Events located again on new boundaries, and the list of feeds. Imports `event_places`.

Promises: the same rule as at import; batches are committed one by one and an event that is right
already is not touched, so that running it again finishes what was interrupted; no event is lost:
one that lies in no unit any more is known nowhere.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import sqlalchemy as sa

from app.database import raw, transaction
from app.services.event_places import Place, apply_rule, open_place
from geo.binning import LOCATED_BY

BATCH = 50_000


@dataclass
class RelocateReport:
    """What was done; `located` counts all events by `located_by` on the new boundaries."""

    version: str
    events: int = 0
    changed: int = 0
    lost: int = 0
    located: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class FeedInfo:
    """A feed and what it holds; `mismatch_share` is None without comparable events."""

    name: str
    simulated: bool
    crs: str
    time_zone: str
    events: int
    first: datetime | None
    last: datetime | None
    located: dict[str, int]
    compared: int
    mismatch: int

    @property
    def mismatch_share(self) -> float | None:
        """Part of the events with a code and a point whose two disagree."""
        return self.mismatch / self.compared if self.compared else None


_READ = sa.text("""
select e.id, st_x(e.geom) as lon, st_y(e.geom) as lat, e.code, e.address
from event e where e.source_id = any(:sources) and e.id > :after order by e.id limit :batch
""")
_UPDATE = sa.text("""
with changed as (
  update event e set boundary_version_id = :version, unit_id = r.unit_id,
                     located_by = r.located_by, mismatch = r.mismatch
  from relocated r, (select id, unit_id from event) old
  where e.id = r.id and old.id = e.id
    and (e.boundary_version_id, e.unit_id, e.located_by, e.mismatch) is distinct from
        (cast(:version as int), r.unit_id, r.located_by, r.mismatch)
  returning old.unit_id is not null and e.unit_id is null as lost
)
select count(*), count(*) filter (where lost) from changed
""")


def relocate(
    engine: sa.Engine,
    *,
    pack: str,
    cache_folder: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    batch: int = BATCH,
) -> RelocateReport:
    """Locate every event of a pack in its newest boundary version.

    Parameters
    ----------
    engine : sa.Engine
    pack : str
    cache_folder : str or Path, optional
        Where the locate index is kept; none: it is built for this time alone.
    progress : callable, optional
        Called after each batch with events done and events in all.
    batch : int
        Events per transaction.

    Raises
    ------
    NotFound
        The pack has no boundaries.
    """
    with engine.connect() as connection:
        place = open_place(connection, pack, cache_folder)
        sources = list(
            connection.scalars(
                sa.text("select id from event_source where pack = :pack"), {"pack": pack}
            )
        )
        total = connection.scalar(
            sa.text("select count(*) from event where source_id = any(:s)"), {"s": sources}
        )
    report = RelocateReport(place.version.label)
    after = 0
    while True:
        with transaction(engine) as connection:
            rows = connection.execute(
                _READ, {"sources": sources, "after": after, "batch": batch}
            ).all()
            if not rows:
                return report
            _relocate_batch(connection, place, rows, report)
        after = rows[-1].id
        report.events += len(rows)
        if progress:
            progress(report.events, int(total or 0))


def _relocate_batch(
    connection: sa.Connection, place: Place, rows: Sequence[Any],
    report: RelocateReport,
) -> None:  # fmt: skip
    ids, lon, lat, code, address = zip(*rows, strict=True)
    located = apply_rule(
        place,
        np.array(lon, dtype=np.float64),
        np.array(lat, dtype=np.float64),
        pa.array(code, pa.string()),
        pa.array(address, pa.string()),
    )
    by = np.bincount(located.by, minlength=len(LOCATED_BY))
    report.located.update({name: int(n) for name, n in zip(LOCATED_BY, by, strict=True) if n})
    table = pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "unit": pa.array(located.unit, mask=located.unit == 0),
            "by": pa.array(LOCATED_BY).take(pa.array(located.by)),
            "mismatch": pa.array(located.mismatch),
        }
    )
    text = io.BytesIO()
    pa.csv.write_csv(table, text, pa.csv.WriteOptions(include_header=False))
    text.seek(0)
    connection.exec_driver_sql(
        "create temporary table if not exists relocated "
        "(id bigint, unit_id int, located_by text, mismatch boolean) on commit delete rows"
    )
    with raw(connection).cursor() as cursor:
        cursor.copy_expert("copy relocated from stdin (format csv)", text)
    changed, lost = connection.execute(_UPDATE, {"version": place.version.id}).one()
    report.changed += int(changed)
    report.lost += int(lost)


def feeds(connection: sa.Connection, pack: str | None = None) -> list[tuple[str, FeedInfo]]:
    """Pack and feed, in order of their names."""
    rows = connection.execute(
        sa.text("""
select s.pack, s.name, s.simulated, s.crs, s.time_zone, count(e.id) as events,
       min(e.occurred_at) as first, max(e.occurred_at) as last,
       count(e.id) filter (where e.located_by = 'code') as by_code,
       count(e.id) filter (where e.located_by = 'point') as by_point,
       count(e.id) filter (where e.located_by = 'address') as by_address,
       count(e.id) filter (where e.located_by = 'none') as by_none,
       count(e.id) filter (where e.code is not null and e.geom is not null) as compared,
       count(e.id) filter (where e.mismatch) as mismatch
from event_source s left join event e on e.source_id = s.id
where cast(:pack as text) is null or s.pack = :pack
group by s.id order by s.pack, s.name
"""),
        {"pack": pack},
    )
    return [
        (
            row.pack,
            FeedInfo(
                row.name, row.simulated, row.crs, row.time_zone, row.events, row.first, row.last,
                {"code": row.by_code, "point": row.by_point, "address": row.by_address,
                 "none": row.by_none},
                row.compared, row.mismatch,
            ),
        )
        for row in rows
    ]  # fmt: skip
