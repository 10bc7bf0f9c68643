"""Change of an area's count against earlier spans (METHODS 6). Imports `geo.change`.

Promises: the earlier count is exact like the present one; rates are per second that counts, so
months of 28 and of 31 days compare fairly, and hours of the week too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from app.api.analysis_models import AnalysisChange, KindChange, SpanChange
from app.services.analysis_expected import matching_seconds
from app.services.area_words import Asked, Bools
from app.services.areas import Sight
from geo import change
from geo.cube import Answer


def changes(
    sight: Sight,
    asked: Asked,
    located: Bools | None,
    observed: Answer,
    *,
    first: date | None,
    kinds: Sequence[str] = (),
) -> AnalysisChange:
    """Compare with the previous span and with the same span last year.

    Parameters
    ----------
    observed : events of the present span, by kind
    first : local day before which the map has no events; earlier spans are not compared with
    kinds : kinds that are compared one by one, too
    """
    question = asked.question
    if question is None:
        return AnalysisChange(previous=None, last_year=None)
    zone = ZoneInfo(sight.zone)
    try:
        start, end = (
            datetime.fromtimestamp(one, UTC).astimezone(zone)
            for one in (question.start, question.end)
        )
    except (OverflowError, ValueError):  # beside the years 1 to 9999 there is nothing to compare
        return AnalysisChange(previous=None, last_year=None)

    def against(low: datetime | None, high: datetime | None) -> SpanChange | None:
        if low is None or high is None or low >= high or (first and low.date() < first):
            return None
        return _change(sight, asked, located, observed, span=(low, high), kinds=kinds)

    return AnalysisChange(
        previous=against(*previous(start, end)),
        last_year=against(year_before(start), year_before(end)),
    )


def previous(start: datetime, end: datetime) -> tuple[datetime | None, datetime]:
    """Span of the same length before: whole months by whole months, else by days or seconds.

    >>> previous(datetime(2024, 3, 1), datetime(2024, 5, 1))[0]
    datetime.datetime(2024, 1, 1, 0, 0)
    """
    months = (end.year - start.year) * 12 + end.month - start.month
    try:
        if months and all(one.day == 1 and one.time() == one.min.time() for one in (start, end)):
            number = start.year * 12 + start.month - 1 - months
            return start.replace(year=number // 12, month=number % 12 + 1), start
        if start.time() == end.time():
            # by the clock, so that a change of summer time moves nothing
            return start - timedelta(days=(end.date() - start.date()).days), start
        return start - (end.astimezone(UTC) - start.astimezone(UTC)), start
    except (OverflowError, ValueError):  # before the year 1
        return None, start


def year_before(moment: datetime) -> datetime | None:
    """Return the same local time a year earlier; the 29th of February is the 28th then."""
    if moment.year <= 1:
        return None
    day = 28 if moment.month == 2 and moment.day == 29 else moment.day
    return moment.replace(year=moment.year - 1, day=day)


def _change(
    sight: Sight,
    asked: Asked,
    located: Bools | None,
    observed: Answer,
    *,
    span: tuple[datetime, datetime],
    kinds: Sequence[str],
) -> SpanChange:
    question = asked.question
    assert question is not None
    low, high = (int(one.timestamp()) for one in span)
    wanted = frozenset({"kind"} if kinds else ())
    earlier = replace(question, start=low, end=high, breakdowns=wanted, beside=None)
    before = sight.count(Asked(earlier, asked.outline, None), sorted(wanted), located)
    found = before.total
    hours = question.hours_of_week
    now = matching_seconds(question.start, question.end, hours, sight.zone)
    then = matching_seconds(low, high, hours, sight.zone)
    made = change.rate_ratio(observed.total, now, found, then)
    return SpanChange(
        start=span[0], end=span[1], observed=found, observed_text=str(found), suppressed=False,
        ratio=finite(made.ratio), low=finite(made.low), high=finite(made.high),
        kinds=_kinds(sight, (observed, before), (now, then), kinds),
    )  # fmt: skip


def _kinds(
    sight: Sight, counts: tuple[Answer, Answer], seconds: tuple[int, int], kinds: Sequence[str]
) -> list[KindChange]:
    """Change of each kind; one the counts do not know has none."""
    if not kinds:
        return []
    now, before = (
        dict(zip(sight.kinds, one.by_kind.tolist(), strict=True))
        for one in counts
        if one.by_kind is not None
    )
    new, old = ([one.get(kind, 0) for kind in kinds] for one in (now, before))
    made = change.rate_ratio(new, seconds[0], old, seconds[1])
    return [
        KindChange(
            kind=kind, observed=old[k], observed_text=str(old[k]), suppressed=False,
            ratio=finite(made.ratio[k]), low=finite(made.low[k]), high=finite(made.high[k]),
        )
        for k, kind in enumerate(kinds)
    ]  # fmt: skip


def finite(value: npt.ArrayLike) -> float | None:
    """Finite number, else None."""
    number = float(np.asarray(value))
    return number if np.isfinite(number) else None
