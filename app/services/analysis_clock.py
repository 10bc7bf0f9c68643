"""Expected counts that tell nothing of single events, for whoever may not see small numbers (METHODS 11).

Following the events of the reference area inside a span would tell them: of a whole city, or between
two spans that differ by a day, the expected count is the count itself. So the rates of the run, which
are published, are spread by the clock: evenly over the seconds of a period. Hours of the week weigh as
they do in the whole history of the reference area, unless that would tell a small number.

Imports `analysis_rates`, `areas` and the calendar. Promises: whole periods are the run's own; no
result depends on fewer than 5 events.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from app.services.analysis_rates import RunRates
from app.services.area_words import Asked, ranges
from app.services.areas import Sight
from geo.cube import Question
from geo.cube.calendar import calendar
from geo.small_numbers import mask

Floats = npt.NDArray[np.float64]


def seconds_by_hour(start: int, end: int, zone: str) -> Floats:
    """Seconds of [start, end) in each local hour of the week, (168,)."""
    if start >= end:
        return np.zeros(168)
    step = 900  # the clock changes at whole quarters of an hour everywhere
    edges = np.arange(start // step, -(-end // step) + 1, dtype=np.int64) * step
    length = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)
    hours = calendar(zone, start, end).hour_of_week(edges[:-1])
    return np.bincount(hours, weights=length, minlength=168).astype(np.float64)


def history(sight: Sight, rates: RunRates) -> tuple[int, int]:
    """Span of the run: from its first period to its newest event, seconds since 1970."""
    zone = ZoneInfo(sight.zone)
    periods = rates.facts.periods[rates.period]

    def moment(day: object) -> int:
        return int(datetime.combine(day, datetime.min.time(), zone).timestamp())  # type: ignore[arg-type]

    first, last = moment(periods[0].start), moment(periods[-1].end)
    cutoff = rates.facts.data_cutoff
    return first, last if cutoff is None else min(last, int(cutoff.timestamp()) + 1)


def spread(
    sight: Sight, rates: RunRates, question: Question, *, place: tuple[int, int], hours: Floats
) -> Floats:
    """Events per unit of share in a span, (K,): the run's rates spread by the clock.

    Parameters
    ----------
    question : whose span and hours of the week count
    place : level and reference area
    hours : (K, 168) weight of each hour of the week, see `hours_weights`
    """
    zone = ZoneInfo(sight.zone)
    _, cutoff = history(sight, rates)
    newest = cutoff
    if rates.whole and sight.newest is not None:
        newest = max(cutoff, int(sight.newest.astimezone(UTC).timestamp()) + 1)
    wanted = (
        np.ones(168) if question.hours_of_week is None else question.hours_of_week.astype(float)
    )
    periods = rates.facts.periods[rates.period]
    edges = [
        tuple(
            int(datetime.combine(day, datetime.min.time(), zone).timestamp())
            for day in (one.start, one.end)
        )
        for one in periods
    ]
    whole = np.array([seconds_by_hour(a, min(b, cutoff), sight.zone) for a, b in edges])
    inside = np.array(
        [
            seconds_by_hour(max(a, question.start), min(b, question.end, cutoff), sight.zone)
            for a, b in edges
        ]
    )
    later = seconds_by_hour(max(question.start, cutoff), min(question.end, newest), sight.zone)
    found = np.zeros(len(rates.facts.kinds))
    for k, kind in enumerate(rates.facts.kinds):
        rate = rates.rates.get((*place, kind))
        if rate is None:
            found[k] = np.nan
            continue
        full = whole @ hours[k]
        good = np.isfinite(rate) & (full > 0)
        part = (inside * wanted) @ hours[k]
        found[k] = float(np.sum(rate[good] * part[good] / full[good]))
        year = np.flatnonzero(good)[-12:]
        if len(year) and later.any():
            # after the run: as fast as in its last year
            found[k] += rate[year].sum() / full[year].sum() * float((later * wanted) @ hours[k])
    return found


def hours_weights(sight: Sight, rates: RunRates, question: Question, reference: int) -> Floats:
    """Events per second in each hour of the week over the history, (K, 168); 1 where all count alike.

    A kind with 1 to 4 events in an hour has the weights of all kinds; with 1 to 4 of these, 1.
    """
    kinds = rates.facts.kinds
    if question.hours_of_week is None:
        return np.ones((len(kinds), 168))
    start, end = history(sight, rates)
    seconds = seconds_by_hour(start, end, sight.zone)
    area = ranges(rates.base[reference])
    counts = np.zeros((len(kinds), 168), np.int64)
    for k, kind in enumerate(kinds):
        if kind in sight.kinds:
            one = Question(
                area=area, start=start, end=end, kinds=frozenset({kind}),
                breakdowns=frozenset({"hour_of_week"}),
            )  # fmt: skip
            by_hour = sight.count(Asked(one, None, None), ("hour_of_week",)).by_hour_of_week
            assert by_hour is not None
            counts[k] = by_hour
    every = counts.sum(axis=0)
    usual = np.ones(168) if _tells(every) else every / np.maximum(seconds, 1)
    return np.array(
        [usual if _tells(one) else one / np.maximum(seconds, 1) for one in counts]
    ).reshape(-1, 168)


def _tells(counts: npt.NDArray[np.int64]) -> bool:
    return bool(mask(counts).any() or not counts.any())


def points(
    sight: Sight, rates: RunRates, question: Question, reference: int, finest: npt.NDArray[np.bool_]
) -> Floats:
    """Share of the events known to the finest level that those with a point have, in all history, (K,)."""
    kinds = rates.facts.kinds
    placed = np.ones(len(kinds))
    start, end = history(sight, rates)
    inside = rates.base[reference]
    for k, kind in enumerate(kinds):
        if kind not in sight.kinds:
            continue
        one = replace(
            question, area=ranges(inside), start=start, end=end, kinds=frozenset({kind}),
            hours_of_week=None, breakdowns=frozenset(), beside=None,
        )  # fmt: skip
        found = sight.count(Asked(one, None, None), ())
        without = int(found.unplaced.counts.sum())
        fine = found.total
        if not np.array_equal(finest, inside) and finest.any():
            fine = sight.count(Asked(replace(one, area=ranges(finest)), None, None), ()).total
        with_point = found.total - without
        if fine and not mask([with_point, without, abs(fine - with_point)]).any():
            placed[k] = with_point / fine
    return placed
