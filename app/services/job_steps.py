"""Steps of time inside a span. Seconds since 1970 UTC; every step is [edge, next edge)."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from app.errors import Invalid

Ints = npt.NDArray[np.int64]
DAY = 86_400
#: Most steps of one job.
MOST = 1_000


def moment(seconds: int) -> datetime:
    """Time of seconds since 1970."""
    return datetime.fromtimestamp(int(seconds), UTC)


def back(span: tuple[int, int], days: int) -> Ints:
    """Edges of equal steps of so many days, counted back from the end; only whole ones.

    Raises
    ------
    Invalid
        Not one fits, or too many do.
    """
    start, end = span
    number = (end - start) // (days * DAY)
    if number < 1:
        raise Invalid(
            f"the span is shorter than one step of {days} days",
            {"field": "parameters.step_days", "reason": "short_span"},
        )
    if number > MOST:
        raise Invalid(
            f"the span has {number:,} steps of {days} days, at most {MOST:,} are looked at",
            {"field": "parameters.step_days", "reason": "too_many_steps"},
        )
    return end - days * DAY * np.arange(number, -1, -1, dtype=np.int64)


def _next(day: date, step: Literal["week", "month", "quarter"]) -> date:
    if step == "week":
        return day + timedelta(days=7)
    months = day.month + (1 if step == "month" else 3)
    return date(day.year + (months - 1) // 12, (months - 1) % 12 + 1, 1)


def local(span: tuple[int, int], step: Literal["week", "month", "quarter"], zone: str) -> Ints:
    """Edges of the weeks (from Monday), months or quarters that lie wholly inside a span.

    Raises
    ------
    Invalid
        Fewer than two do, or too many.
    """
    clock = ZoneInfo(zone)
    day = moment(span[0]).astimezone(clock).date()
    if step == "week":
        day -= timedelta(days=day.weekday())
    else:
        day = day.replace(day=1)
        if step == "quarter":
            day = day.replace(month=(day.month - 1) // 3 * 3 + 1)
    edges: list[int] = []
    while len(edges) <= MOST + 1:
        at = int(datetime.combine(day, time(), clock).timestamp())
        if at > span[1]:
            break
        if at >= span[0]:
            edges.append(at)
        day = _next(day, step)
    if not 3 <= len(edges) <= MOST + 1:
        raise Invalid(
            f"the span holds {max(0, len(edges) - 1)} whole {step}s; 2 to {MOST:,} are needed",
            {"field": "parameters.step", "reason": "steps"},
        )
    return np.array(edges, np.int64)
