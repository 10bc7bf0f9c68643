"""Local calendar periods: months, and the quarters and years they add up to.

Pure. A month is one number, `12 · year + month − 1`, so that spans of months are ranges.

What "covered" means (`coverage`): the data covers the local calendar from the first day of the
month of the first event up to and without the first day of the month after the newest event (the
data cutoff). Every month inside is complete by definition, a quarter or year only when all its
months are covered. The month of the cutoff may in truth still be running; its expected counts come
from the same days as its observed counts (METHODS 2), so its colours stay comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

MONTHS = {"month": 1, "quarter": 3, "year": 12}


def month_number(day: date) -> int:
    """Return the number of the month of `day`.

    >>> month_number(date(2024, 3, 31)) - month_number(date(2023, 12, 1))
    3
    """
    return 12 * day.year + day.month - 1


def first_day(month: int) -> date:
    """First day of a month by number.

    >>> first_day(month_number(date(2024, 3, 31)))
    datetime.date(2024, 3, 1)
    """
    return date(month // 12, month % 12 + 1, 1)


@dataclass(frozen=True)
class Span:
    """One period: local days `[start, end)`.

    `covered_start`, `covered_end` bound the part `[ , )` of it the data covers; both are month
    numbers, like `first_month` and `last_month` (inclusive) of the calendar period itself.
    """

    ord: int
    start: date
    end: date
    covered_start: int
    covered_end: int
    complete: bool

    @property
    def covered_days(self) -> int:
        """Days of the period the data covers."""
        return (first_day(self.covered_end) - first_day(self.covered_start)).days


def spans(period: str, first: int, last: int) -> list[Span]:
    """Periods of one type that touch the months `first` … `last`, both included, in order.

    >>> [s.start.isoformat() for s in spans("quarter", 12 * 2024 + 1, 12 * 2024 + 3)]
    ['2024-01-01', '2024-04-01']
    >>> [s.complete for s in spans("quarter", 12 * 2024 + 1, 12 * 2024 + 5)]
    [False, True]
    """
    size = MONTHS[period]
    found = []
    for ord_, index in enumerate(range(first // size, last // size + 1)):
        start, end = index * size, (index + 1) * size
        covered = max(start, first), min(end, last + 1)
        found.append(
            Span(ord_, first_day(start), first_day(end), *covered, covered == (start, end))
        )
    return found


def month_bounds(periods: Sequence[Span], first: int) -> list[int]:
    """Index of the first month of each period in an array of months that begins at `first`."""
    return [span.covered_start - first for span in periods]
