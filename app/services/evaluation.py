"""How the sides work together: checks by side and month. Imports `geo.change`.

Takes connections of the web's role: a side sees the checks it is part of, and how each side of these
did. Promises: every share and time comes with an exact interval, every change with one or not at all.

Of the checks opened in a month, for each side of them:

- *answers*: the side accepted or declined; of all.
- *joint*: every side accepted; of all.
- *solved*: closed by a desk after at least one report from a checkpoint, not ended by time or refusal; of
  those that ended.
- *handling*: hours from opening to end, of those that ended; *response*: hours until the side answered, of
  those it answered. Means, with the interval of a constant rate (Garwood), which is exact when times are
  exponential.

Shares have Clopper–Pearson intervals. Changes are rate ratios to the month before (METHODS 6).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import sqlalchemy as sa
from scipy import special

from app.api import treaty_models as models
from app.errors import Invalid
from app.services.border_assess import interval
from app.services.periods import first_day, month_number
from geo.change import rate_ratio

#: Months that are answered at once.
MOST = 60
_EARLIEST, _LATEST = 12 * 1900, 12 * 3000 - 1

_CASES = """
select c.id, c.sides, c.state,
  (12 * extract(year from c.opened_at at time zone :zone)
   + extract(month from c.opened_at at time zone :zone) - 1)::int as month,
  extract(epoch from c.ended_at - c.opened_at) / 3600 as hours,
  exists (select from check_event e where e.check_id = c.id and e.step in ('hit', 'no_hit')) as reported,
  (select coalesce(json_object_agg(e.side, json_build_array(e.step,
     extract(epoch from e.at - c.opened_at) / 3600)), '{}')
   from check_event e where e.check_id = c.id and e.step in ('accept', 'decline')) as answers
from check_case c join zone z on z.id = c.zone_id
where z.pack = :pack and (cast(:number as int) is null or c.zone_id = :number)
  and c.opened_at >= (cast(:first as date))::timestamp at time zone :zone
  and c.opened_at < (cast(:stop as date))::timestamp at time zone :zone
"""


@dataclass
class Tally:
    """What happened of one side's checks of one month."""

    cases: int = 0
    answered: int = 0
    joint: int = 0
    ended: int = 0
    solved: int = 0
    handling: list[float] = field(default_factory=list)
    response: list[float] = field(default_factory=list)


def share(part: int, whole: int, level: float = 0.95) -> tuple[float | None, float, float]:
    """Return part / whole with its Clopper–Pearson interval; 0 of 0 is unknown, from 0 to 1.

    >>> [round(one, 3) for one in share(8, 10)]
    [0.8, 0.444, 0.975]
    """
    if not whole:
        return None, 0.0, 1.0
    tail = (1 - level) / 2
    low = float(special.betaincinv(part, whole - part + 1, tail)) if part else 0.0
    high = float(special.betaincinv(part + 1, whole - part, 1 - tail)) if part < whole else 1.0
    return part / whole, low, high


def tallies(  # noqa: PLR0917
    connection: sa.Connection, pack: str, zone: int | None, first: int, stop: int, calendar: str
) -> dict[tuple[int, str], Tally]:  # fmt: skip
    """Count the checks that may be seen by month number and side."""
    rows = connection.execute(
        sa.text(_CASES),
        {
            "pack": pack, "number": zone, "zone": calendar, "first": first_day(first),
            "stop": first_day(stop),
        },
    )  # fmt: skip
    found: dict[tuple[int, str], Tally] = defaultdict(Tally)
    for row in rows:
        said: Mapping[str, Sequence[object]] = row.answers
        joint = all(said.get(side, ("",))[0] == "accept" for side in row.sides)
        ended = row.state not in {"open", "running"}
        for side in row.sides:
            one = found[row.month, side]
            one.cases += 1
            one.joint += joint
            one.ended += ended
            one.solved += row.state == "closed" and row.reported
            if ended:
                one.handling.append(float(row.hours))
            if side in said:
                one.answered += 1
                one.response.append(float(str(said[side][1])))
    return found


def evaluation(  # noqa: PLR0917
    connection: sa.Connection, names: Mapping[str, str], pack: str, zone: int | None, start: date,
    end: date, calendar: str,
) -> models.Evaluation:  # fmt: skip
    """Evaluate the months from that of `start` to that of `end`, both included, by side.

    Parameters
    ----------
    names : side → name
    calendar : time zone of the months

    Raises
    ------
    Invalid
        The end before the start, or too many months.
    """
    first, last = month_number(start), month_number(end)
    if not 0 <= last - first < MOST or not _EARLIEST <= first <= last <= _LATEST:
        raise Invalid(
            f"from and to: at most {MOST} months between 1900 and 2999, in order",
            {"field": "to", "reason": "span"},
        )
    counted = tallies(connection, pack, zone, first - 1, last + 1, calendar)
    sides = sorted({side for _, side in counted})
    rows = [
        models.EvaluationMonth(
            month=first_day(month), side=side, name=names.get(side, side),
            cases=counted.get((month, side), Tally()).cases,
            **_measures(
                counted.get((month, side), Tally()), counted.get((month - 1, side), Tally())
            ),
        )
        for month in range(first, last + 1)
        for side in sides
    ]  # fmt: skip
    return models.Evaluation(
        pack=pack, zone=zone, **{"from": first_day(first), "to": first_day(last + 1)}, months=rows
    )


def _measures(now: Tally, before: Tally) -> dict[str, models.EvaluationMeasure]:
    return {
        "answers": _part(now.answered, now.cases, before.answered, before.cases),
        "joint": _part(now.joint, now.cases, before.joint, before.cases),
        "solved": _part(now.solved, now.ended, before.solved, before.ended),
        "handling": _time(now.handling, before.handling),
        "response": _time(now.response, before.response),
    }


def _part(k: int, n: int, k0: int, n0: int) -> models.EvaluationMeasure:
    value, low, high = share(k, n)
    change = rate_ratio(k, n, k0, n0)
    return models.EvaluationMeasure(
        value=value, low=low if n else None, high=high if n else None, part=k, whole=n,
        **_changes(change.ratio, change.low, change.high),
    )  # fmt: skip


def _time(hours: Sequence[float], before: Sequence[float]) -> models.EvaluationMeasure:
    n, total, n0, total0 = len(hours), math.fsum(hours), len(before), math.fsum(before)
    value = low = high = None
    if n and total > 0:
        value = total / n
        bottom, top = interval(n, total)
        low, high = 1 / top, 1 / bottom
    # how long one takes is the inverse of how many are done in an hour
    change = rate_ratio(n0, total0, n, total)
    return models.EvaluationMeasure(
        value=value, low=low, high=high, part=n, whole=n,
        **_changes(change.ratio, change.low, change.high),
    )  # fmt: skip


def _changes(*values: object) -> dict[str, float | None]:
    found = [float(np.asarray(one).ravel()[0]) for one in values]
    known = all(math.isfinite(one) for one in found)
    names = ("change", "change_low", "change_high")
    return {name: one if known else None for name, one in zip(names, found, strict=True)}
