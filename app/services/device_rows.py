"""Rows of readings as they come in, each good or refused with its own reason. Standard library only.

No clock: the present is an argument. A row is an object with `device`, `at`, and maybe `seq` and
`value`, nothing else: there is no field that could hold a person.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
FIELDS = frozenset({"device", "at", "seq", "value"})
#: Clocks of devices run ahead by some.
AHEAD = timedelta(minutes=5)
_SEQ = 2**31 - 1


class Row(NamedTuple):
    """A good row; `n` counts from 0 in what was sent."""

    n: int
    device: str
    at: datetime
    seq: int
    value: float | None


class Refused(NamedTuple):
    """A row that is not stored; `reason` is a word for programs, `text` one for people."""

    n: int
    field: str
    reason: str
    text: str


def parse(rows: Sequence[Any], now: datetime, kept: timedelta) -> tuple[list[Row], list[Refused]]:
    """Look at each row.

    Parameters
    ----------
    now : the present, with its offset
    kept : readings older than this are refused
    """
    good: list[Row] = []
    bad: list[Refused] = []
    for n, row in enumerate(rows):
        found = _row(n, row, now, kept)
        if isinstance(found, Row):
            good.append(found)
        else:
            bad.append(found)
    return good, bad


def _row(n: int, row: Any, now: datetime, kept: timedelta) -> Row | Refused:
    if not isinstance(row, dict):
        return Refused(n, "", "no_object", "a reading is an object with device, at, value")
    if not row.keys() <= FIELDS:
        return Refused(n, "", "unknown_field", "fields are device, at, seq, value and no others")
    reference = row.get("device")
    at, seq, value = _time(row.get("at")), row.get("seq", 0), _number(row.get("value"))
    wrong = None
    if not isinstance(reference, str) or not REFERENCE.fullmatch(reference):
        wrong = "device", "bad_device", "device is the reference of a device"
    elif at is None:
        wrong = "at", "bad_time", "at is an ISO 8601 time with its offset"
    elif at > now + AHEAD:
        wrong = "at", "to_come", "at lies in the future"
    elif at < now - kept:
        wrong = "at", "too_old", f"readings are kept for {kept.days} days"
    elif isinstance(seq, bool) or not isinstance(seq, int) or not 0 <= seq <= _SEQ:
        wrong = "seq", "bad_seq", f"seq is a whole number from 0 to {_SEQ}"
    elif value is not None and not math.isfinite(value):
        wrong = "value", "bad_value", "value is a finite number, or null"
    else:
        return Row(n, reference, at, seq, value)
    return Refused(n, *wrong)


def _number(value: object) -> float | None:
    """Value as a float; nan when it is none, None when it is not given."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _time(text: object) -> datetime | None:
    if not isinstance(text, str) or len(text) > 40:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found if found.utcoffset() is not None and 1970 <= found.year < 9000 else None
    except (ValueError, OverflowError):
        return None
