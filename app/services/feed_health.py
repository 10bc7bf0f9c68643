"""How feeds are: when something last came, how much of it could be used, what their points look like.

Imports `feed_diagnosis` and the database. Promises: the states are a matter of arrivals and failures
alone (no threshold on contents but "nothing of the last batch could be used"); shares are those of the
last week under the present mapping; only what the claimed jurisdiction may see is read.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any, Literal

import sqlalchemy as sa

from app.services.feed_diagnosis import SWAPPED, Diagnosis, judge

State = Literal["fine", "late", "stopped", "failing", "new", "paused"]
WINDOW = timedelta(days=7)
DAYS = 30
#: a feed is late after so many of its intervals, and has stopped after so many
LATE, STOPPED = 1.5, 4.0
#: arrivals looked at to learn an interval, and the fewest that teach one
LEARN, LEAST = 40, 6
_SHORTEST = 60.0

_FEEDS = """
select f.id, f.pack, f.name, f.title, f.code, f.adapter, f.mapping ->> 'crs' as crs,
  coalesce((f.mapping ->> 'simulated')::boolean, false) as simulated, f.expected_s, f.every_s,
  f.paused, f.looked_at, f.failures, f.error, f.made_at, f.mapped_at,
  (select count(*) from feed_dead d where d.feed_id = f.id and d.state = 'open') as dead
from feed f
where f.removed_at is null and (cast(:pack as text) is null or f.pack = :pack)
  and (cast(:id as int) is null or f.id = :id)
order by f.pack, f.name
"""
_ARRIVALS = sa.text("""
select arrived_at, rows, rejected, newest, origin from feed_batch
where feed_id = :id order by arrived_at desc, id desc limit :limit
""")
_WEEK = sa.text("""
select rows, new, updated, rejected, reasons, compared, mismatch, tried from feed_batch
where feed_id = :id and arrived_at >= :since order by arrived_at desc limit 5000
""")
_DAYS = sa.text("""
select (arrived_at at time zone :zone)::date as day, sum(rows) as rows, sum(rejected) as rejected
from feed_batch where feed_id = :id and arrived_at >= :since group by 1
""")


@dataclass(frozen=True)
class Day:
    """Rows that arrived on one local day."""

    day: date
    rows: int
    rejected: int


@dataclass(frozen=True)
class Health:
    """A feed and how it is.

    Parameters
    ----------
    expected_s : declared interval, else the one learnt, None while there is none
    learnt : whether it was learnt
    since_s : seconds since the last arrival
    lag_s : seconds from the newest event to the arrival that brought it
    rows, rejected, compared, mismatch : of the last week under the present mapping
    """

    id: int
    pack: str
    name: str
    title: str
    code: str
    adapter: str
    crs: str
    simulated: bool
    state: State
    expected_s: float | None
    learnt: bool
    last_arrival: datetime | None
    last_origin: str | None
    since_s: float | None
    lag_s: float | None
    looked_at: datetime | None
    failures: int
    error: str | None
    rows: int
    new: int
    updated: int
    rejected: int
    compared: int
    mismatch: int
    reasons: dict[str, int]
    dead: int
    days: list[Day]
    diagnosis: Diagnosis | None


def health(
    connection: sa.Connection, zone: str, *, pack: str | None = None, feed: int | None = None
) -> tuple[list[Health], datetime]:
    """Look how feeds are at one moment, by map and name; and that moment.

    Parameters
    ----------
    zone : time zone of the days
    """
    now: datetime = connection.execute(sa.text("select clock_timestamp()")).scalar_one()
    rows = connection.execute(sa.text(_FEEDS), {"pack": pack, "id": feed}).all()
    return [_one(connection, row, zone, now) for row in rows], now


def _one(connection: sa.Connection, row: sa.Row[Any], zone: str, now: datetime) -> Health:
    arrivals = connection.execute(_ARRIVALS, {"id": row.id, "limit": LEARN}).all()
    since = max(now - WINDOW, row.mapped_at)
    week = connection.execute(_WEEK, {"id": row.id, "since": since}).all()
    last = arrivals[0] if arrivals else None
    expected = row.expected_s or learnt([one.arrived_at for one in arrivals])
    reasons: Counter[str] = Counter()
    for one in week:
        reasons.update(one.reasons)
    gone = (now - last.arrived_at).total_seconds() if last else None
    total, rejected = (sum(getattr(one, name) for one in week) for name in ("rows", "rejected"))
    newest = max((one.newest for one in arrivals if one.newest), default=None)
    return Health(
        id=row.id, pack=row.pack, name=row.name, title=row.title, code=row.code,
        adapter=row.adapter, crs=row.crs, simulated=row.simulated,
        state=state(
            paused=row.paused,
            failing=row.failures > 0
            or bool(last and last.rows and last.rejected == last.rows
                    and last.arrived_at >= row.mapped_at),
            since_s=gone,
            expected_s=expected,
            age_s=(now - row.made_at).total_seconds(),
        ),
        expected_s=expected, learnt=expected is not None and row.expected_s is None,
        last_arrival=last.arrived_at if last else None, last_origin=last.origin if last else None,
        since_s=gone,
        lag_s=(last.arrived_at - newest).total_seconds() if last and newest else None,
        looked_at=row.looked_at, failures=row.failures, error=row.error,
        rows=total, rejected=rejected,
        new=sum(one.new for one in week), updated=sum(one.updated for one in week),
        compared=sum(one.compared for one in week), mismatch=sum(one.mismatch for one in week),
        reasons=dict(reasons.most_common()), dead=row.dead,
        days=_days(connection, row.id, zone, now),
        diagnosis=judge(one.tried for one in week if one.tried) or _turned(total, reasons),
    )  # fmt: skip


def _turned(rows: int, reasons: Counter[str]) -> Diagnosis | None:
    """Diagnosis of a feed without codes: points that only fit the map the other way round."""
    turned = reasons[SWAPPED]
    if turned < 20 or turned * 2 < rows:
        return None
    return Diagnosis(SWAPPED, turned / rows, 0.0, rows)


def learnt(arrivals: list[datetime]) -> float | None:
    """Interval of arrivals, newest first: the median of their gaps; None: too few.

    >>> day = datetime(2024, 1, 1)
    >>> learnt([day - timedelta(hours=n) for n in range(10)])
    3600.0
    """
    gaps = [(new - old).total_seconds() for new, old in pairwise(arrivals)]
    if len(gaps) < LEAST - 1:
        return None
    # a burst of batches of one delivery is no pace
    apart = [gap for gap in gaps if gap >= 1.0]
    if len(apart) < LEAST - 1:
        return None
    return float(math.ceil(max(median(apart), _SHORTEST)))


def state(
    *,
    paused: bool,
    failing: bool,
    since_s: float | None,
    expected_s: float | None,
    age_s: float,
) -> State:
    """State of a feed.

    Parameters
    ----------
    failing : the last look failed, or nothing of the last batch could be used
    since_s : seconds since the last arrival, None: nothing came yet
    expected_s : its interval, None: not known
    age_s : seconds since it was entered

    >>> state(paused=False, failing=False, since_s=100, expected_s=60, age_s=1e6)
    'late'
    """
    if paused:
        return "paused"
    if failing:
        return "failing"
    waited = age_s if since_s is None else since_s
    if expected_s is not None and waited > STOPPED * expected_s:
        return "stopped"
    if since_s is None:
        return "new"
    if expected_s is not None and waited > LATE * expected_s:
        return "late"
    return "fine"


def _days(connection: sa.Connection, feed: int, zone: str, now: datetime) -> list[Day]:
    from zoneinfo import ZoneInfo

    today = now.astimezone(ZoneInfo(zone)).date()
    first = today - timedelta(days=DAYS - 1)
    start = datetime(first.year, first.month, first.day, tzinfo=ZoneInfo(zone))
    rows = connection.execute(_DAYS, {"id": feed, "zone": zone, "since": start}).all()
    found = {row.day: row for row in rows}
    days = [first + timedelta(days=n) for n in range(DAYS)]
    return [
        Day(day, int(found[day].rows), int(found[day].rejected)) if day in found else Day(day, 0, 0)
        for day in days
    ]
