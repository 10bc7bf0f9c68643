"""How the loop runs: alerts, tasks, how long each step takes, what was found, what it changed.

Takes connections of the web's role, so the numbers are those of the asker's jurisdiction. Imports
`geo.change` and scipy's special functions. Proportions: Wilson, for a map's loop has few answers at first;
medians: order statistics (exact binomial), no assumption about the times; effect: exact conditional rate
ratio of METHODS 6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from typing import Any, Literal

import numpy as np
import sqlalchemy as sa
from scipy import special

from app.api import task_models as models
from geo.change import rate_ratio
from geo.small_numbers import mask

STATES: tuple[Literal["accepted", "on_site", "feedback", "verified", "closed"], ...] = (
    "accepted", "on_site", "feedback", "verified", "closed",
)  # fmt: skip
CONFIDENCE = 0.95


def proportion(part: int, whole: int) -> models.Interval:
    """Share with its Wilson interval; nothing without a whole.

    >>> found = proportion(9, 10)
    >>> round(found.low, 3), round(found.high, 3)
    (0.596, 0.982)
    """
    if not whole:
        return models.Interval(value=None, low=None, high=None, n=0)
    # Wilson 1927; scipy.stats has it, too, but takes most of a second to import
    z2 = float(special.ndtri((1 + CONFIDENCE) / 2)) ** 2
    middle = (part + z2 / 2) / (whole + z2)
    half = math.sqrt(z2 * (part * (whole - part) / whole + z2 / 4)) / (whole + z2)
    low = max(0.0, middle - half) if part else 0.0
    high = min(1.0, middle + half) if part < whole else 1.0
    return models.Interval(value=part / whole, low=low, high=high, n=whole)


def median(values: Sequence[float]) -> models.Interval:
    """Median with the interval of two order statistics; below 6 values there is none.

    The interval from the k-th smallest to the k-th greatest covers the median with 1 − 2 P(B < k),
    B binomial (n, ½).

    >>> median([1, 2, 3, 4, 5, 6, 7]).low, median([1.0]).low
    (1.0, None)
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = len(ordered)
    if not n:
        return models.Interval(value=None, low=None, high=None, n=0)
    # the least k with P(B <= k) of at least half of what is left out: P(B < k) is below it
    k = int(np.argmax(special.bdtr(np.arange(n + 1), n, 0.5) >= (1 - CONFIDENCE) / 2))
    low = high = None
    if k >= 1:
        low, high = float(ordered[k - 1]), float(ordered[n - k])
    return models.Interval(value=float(np.median(ordered)), low=low, high=high, n=n)


_ZONE = """
select time_zone from run where pack = :pack and status = 'published' order by id desc limit 1
"""
_COUNTS = """
select count(*) as tasks,
  count(*) filter (where said @> '{accepted}') as accepted,
  count(*) filter (where said @> '{feedback}') as acted,
  count(*) filter (where t.state = 'closed') as closed,
  count(*) filter (where t.state in ('verified', 'closed') and t.answer = 'confirmed') as confirmed,
  count(*) filter (where t.state in ('verified', 'closed') and t.answer = 'not_confirmed') as not_confirmed,
  count(*) filter (where t.state in ('verified', 'closed') and t.answer = 'unclear') as unclear,
  count(*) filter (where t.state = 'declined') as declined,
  count(*) filter (where t.state = 'merged') as merged,
  count(*) filter (where said @> '{overdue}') as overdue,
  count(*) filter (where t.overdue and t.state in ('sent', 'accepted', 'on_site')) as overdue_now
from task t, lateral (select array_agg(step) as said from task_event e where e.task_id = t.id) s
where t.pack = :pack and (cast(:within as text) is null or t.code ^@ :within)
  and t.made_at >= coalesce(cast(:start as date)::timestamp at time zone :zone, '-infinity')
  and t.made_at < coalesce(cast(:end as date)::timestamp at time zone :zone, 'infinity')
"""
_ALERTS = """
select count(*) as alerts, count(*) filter (where state = 'open') as open,
  count(*) filter (where cardinality(grids) > 0) as located,
  sum(located_share * observed) / nullif(sum(observed) filter (where located_share is not null), 0)
    as located_share
from alert a
where a.pack = :pack and (cast(:within as text) is null or a.code ^@ :within)
  and a.opened_at >= coalesce(cast(:start as date)::timestamp at time zone :zone, '-infinity')
  and a.opened_at < coalesce(cast(:end as date)::timestamp at time zone :zone, 'infinity')
"""
_TIMES = """
select e.step, array_agg(extract(epoch from e.at - t.made_at) / 3600) as hours
from task t join lateral (
  select step, min(at) as at from task_event where task_id = t.id and step = any(:states) group by 1) e on true
where t.pack = :pack and (cast(:within as text) is null or t.code ^@ :within)
  and t.made_at >= coalesce(cast(:start as date)::timestamp at time zone :zone, '-infinity')
  and t.made_at < coalesce(cast(:end as date)::timestamp at time zone :zone, 'infinity')
group by 1
"""
# The period a task was made for against the first whole one after its closing, of the newest run.
_EFFECT = """
with chosen as (
  select max(id) as run from run where pack = :pack and status = 'published'),
closed as (
  select t.id, t.code, t.kind, a.period, a.opened_period, (e.at at time zone :zone)::date as closed
  from task t join alert a on a.id = t.alert_id and a.about = 'kind'
  join task_event e on e.task_id = t.id and e.step = 'closed'
  where t.pack = :pack and t.state = 'closed' and t.answer = 'confirmed'
    and (cast(:within as text) is null or t.code ^@ :within)
    and t.made_at >= coalesce(cast(:start as date)::timestamp at time zone :zone, '-infinity')
    and t.made_at < coalesce(cast(:end as date)::timestamp at time zone :zone, 'infinity')),
pairs as (
  select distinct on (c.id) c.id, s.observed[b.ord + 1] as o0, s.expected[b.ord + 1] as e0,
    s.observed[f.ord + 1] as o1, s.expected[f.ord + 1] as e1
  from closed c cross join chosen
  join run_unit u on u.run_id = chosen.run and u.code = c.code
  join assessment s on s.run_id = chosen.run and s.unit_id = u.unit_id and s.kind = c.kind
    and s.period = c.period
  join run_period b on b.run_id = chosen.run and b.period = c.period and b.start = c.opened_period
  join run_period f on f.run_id = chosen.run and f.period = c.period and f.start > c.closed and f.complete
  order by c.id, f.start)
select count(*) as tasks, coalesce(sum(o0), 0) as o0, coalesce(sum(e0), 0) as e0,
  coalesce(sum(o1), 0) as o1, coalesce(sum(e1), 0) as e1 from pairs
where e0 > 0 and e1 > 0 and e0 < 'nan' and e1 < 'nan'
"""


def health(
    connection: sa.Connection,
    pack: str,
    start: date | None = None,
    end: date | None = None,
    within: str | None = None,
    *,
    zone: str,
    small: bool = True,
) -> models.Loop:
    """Numbers of alerts opened and tasks sent in `[start, end)`, of one's own units.

    Counts of alerts and tasks are work, listed one by one to whoever sees them here; counts of events
    (the effect) are hidden when they are small.

    Parameters
    ----------
    start, end : days of the map's time zone: that of its newest run
    within : only this unit and what is below it, by code
    zone : time zone of the installation, where the map has no run
    small : whether who asks is given counts of 1 to 4
    """
    zone = connection.execute(sa.text(_ZONE), {"pack": pack}).scalar_one_or_none() or zone
    asked = {"pack": pack, "start": start, "end": end, "within": within, "zone": zone}
    raised = connection.execute(sa.text(_ALERTS), asked).one()
    counts = connection.execute(sa.text(_COUNTS), asked).one()
    hours = {
        row.step: [float(one) for one in row.hours]
        for row in connection.execute(sa.text(_TIMES), {**asked, "states": list(STATES)})
    }
    return models.Loop(
        pack=pack,
        time_zone=zone,
        alerts=raised.alerts,
        alerts_open=raised.open,
        located=proportion(raised.located, raised.alerts),
        located_share=raised.located_share,
        **counts._mapping,
        times=[models.TimeTo(state=one, hours=median(hours.get(one, []))) for one in STATES],
        precision=proportion(counts.confirmed, counts.confirmed + counts.not_confirmed),
        effect=_effect(connection.execute(sa.text(_EFFECT), asked).one(), small=small),
        as_of=connection.execute(sa.text("select clock_timestamp()")).scalar_one(),
    )


def _effect(row: sa.Row[Any], *, small: bool) -> models.Effect:
    # a ratio would tell the one by the other
    gone = not small and bool(mask([row.o0, row.o1]).any())
    found = rate_ratio(row.o1, row.e1, row.o0, row.e0) if row.tasks and not gone else None

    def told(value: object) -> float | None:
        number = float(np.asarray(value))
        return number if np.isfinite(number) else None

    return models.Effect(
        before=None if not small and mask(row.o0) else row.o0,
        after=None if not small and mask(row.o1) else row.o1,
        expected_before=row.e0,
        expected_after=row.e1,
        ratio=told(found.ratio) if found else None,
        low=told(found.low) if found else None,
        high=told(found.high) if found else None,
        tasks=row.tasks,
    )
