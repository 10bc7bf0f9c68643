"""Days, months, quarters and years of indicators: periods, what is inside of what, reading dates.

Pure. A day is its number (proleptic ordinal); periods are half-open `[start, stop)`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from app.services.periods import first_day, month_number
from app.services.scene_tree import CALENDAR, Calendar

MONTHS = {"month": 1, "quarter": 3, "year": 12}
#: Periods of one year, for what is compared with last year; a day is found by its date.
IN_YEAR = {"month": 12, "quarter": 4, "year": 1}
_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_MONTH = re.compile(r"(\d{4})-(\d{2})")
_QUARTER = re.compile(r"(\d{4})-?[Qq]([1-4])")
_YEAR = re.compile(r"(\d{4})")


@dataclass(frozen=True)
class Span:
    """A period, `[start, stop)`."""

    start: date
    stop: date


def read_period(text: str) -> tuple[Calendar, date] | None:
    """Period of a text: 2025-12-03, 2025-12, 2025-Q4 or 2025; None: it is none.

    >>> read_period("2025-Q4")
    ('quarter', datetime.date(2025, 10, 1))
    """
    try:
        if found := _DAY.fullmatch(text):
            return "day", date(int(found[1]), int(found[2]), int(found[3]))
        if found := _MONTH.fullmatch(text):
            return "month", date(int(found[1]), int(found[2]), 1)
        if found := _QUARTER.fullmatch(text):
            return "quarter", date(int(found[1]), 3 * int(found[2]) - 2, 1)
        if found := _YEAR.fullmatch(text):
            return "year", date(int(found[1]), 1, 1)
    except ValueError:
        return None
    return None


def stop_of(period: Calendar, start: date) -> date:
    """Day after the last of a period."""
    if period == "day":
        return start + timedelta(days=1)
    return first_day(month_number(start) + MONTHS[period])


def start_of(period: Calendar, day: date) -> date:
    """First day of the period a day lies in."""
    if period == "day":
        return day
    size = MONTHS[period]
    return first_day(month_number(day) // size * size)


def later(period: Calendar, start: date, steps: int) -> date:
    """Start of a period some steps later (or earlier)."""
    if period == "day":
        return start + timedelta(days=steps)
    return first_day(month_number(start) + steps * MONTHS[period])


def spans(period: Calendar, first: date, stop: date) -> list[Span]:
    """Periods that touch `[first, stop)`, in order."""
    found = []
    start = start_of(period, first)
    while start < stop:
        end = stop_of(period, start)
        found.append(Span(start, end))
        start = end
    return found


def inside(finer: list[Span], coarser: list[Span]) -> npt.NDArray[np.int64]:
    """Index of the coarser period each finer one lies in; both cover the same days."""
    starts = np.array([one.start.toordinal() for one in coarser])
    days = np.array([one.start.toordinal() for one in finer])
    return np.searchsorted(starts, days, side="right") - 1


def a_year_before(period: Calendar, start: date) -> date:
    """Start of the same period of last year; 29 February is compared with the 28th."""
    if period == "day":
        try:
            return start.replace(year=start.year - 1)
        except ValueError:
            return start.replace(year=start.year - 1, day=28)
    return first_day(month_number(start) - 12)


def finer_or_same(period: Calendar) -> list[Calendar]:
    """Periods that add up to this one, itself first, then finer ones."""
    return list(reversed(CALENDAR[: CALENDAR.index(period) + 1]))
