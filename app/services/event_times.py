"""Times of events: from what a feed writes to an instant. Imports pyarrow, pandas, numpy.

Promises: a time with an offset is taken at its word, one without is local time of the feed's zone
(the hour that a clock change repeats is taken as the first, one it leaves out as its end). What
cannot be read is nat, never a guess.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Instants = npt.NDArray[np.datetime64]
Floats = npt.NDArray[np.float64]

NAT = np.datetime64("NaT", "us")
_OFFSET = r"(Z|z|[+-][0-9]{2}(:?[0-9]{2})?)$"


def localise(naive: Instants, zone: str) -> Instants:
    """UTC instants (n,) of local times (n,), datetime64[us]; nat stays."""
    index = pd.DatetimeIndex(naive)
    first = np.ones(len(index), dtype=bool)
    aware: Any = index.tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
    utc: Instants = aware.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[us]")
    return utc


def from_text(text: pa.Array, pattern: str, zone: str) -> Instants:
    """UTC instants (n,) of texts (n,); nat where null or not to be read as `pattern`."""
    if pattern in ("epoch_s", "epoch_ms"):
        seconds = pd.to_numeric(pd.Series(text.to_pylist(), dtype=object), errors="coerce")
        return from_epoch(seconds.to_numpy(np.float64), pattern)
    if pattern == "iso":
        try:
            # the common case, by one pass in C: all good, none with an offset
            naive = pc.cast(text, pa.timestamp("us")).to_numpy(zero_copy_only=False)
            return localise(naive, zone)
        except pa.ArrowInvalid:
            pass
    result = np.full(len(text), NAT)
    if pattern == "iso":
        tail = pc.utf8_slice_codeunits(text, 8, 64)  # the date's own dashes are no offset
        aware = pc.fill_null(pc.match_substring_regex(tail, _OFFSET), False)
        aware = aware.to_numpy(zero_copy_only=False)
        rule = "ISO8601"
    else:
        aware = np.full(len(text), "%z" in pattern or "%Z" in pattern)
        rule = pattern
    given = pc.is_valid(text).to_numpy(zero_copy_only=False)
    for group, offset in ((given & ~aware, False), (given & aware, True)):
        if group.any():
            values = text.filter(pa.array(group)).to_pylist()
            read = pd.to_datetime(pd.Series(values), format=rule, errors="coerce", utc=offset)
            index = pd.DatetimeIndex(read)
            if offset:
                utc = index.tz_localize(None).to_numpy().astype("datetime64[us]")
            else:
                utc = localise(index.to_numpy().astype("datetime64[us]"), zone)
            result[group] = utc
    return result


def from_epoch(value: Floats, pattern: str) -> Instants:
    """UTC instants (n,) of seconds or milliseconds since 1970."""
    scale = 1e6 if pattern == "epoch_s" else 1e3
    result = np.full(len(value), NAT)
    good = np.isfinite(value) & (np.abs(value) * scale < 2.0**62)
    result[good] = np.round(value[good] * scale).astype(np.int64).astype("datetime64[us]")
    return result


def from_timestamps(column: pa.Array, zone: str) -> Instants:
    """UTC instants (n,) of an Arrow column of timestamps or dates."""
    aware = pa.types.is_timestamp(column.type) and column.type.tz is not None
    try:
        moment = pc.cast(column, pa.timestamp("us", column.type.tz if aware else None), safe=False)
    except pa.ArrowInvalid:
        return np.full(len(column), NAT)
    values = moment.to_numpy(zero_copy_only=False).astype("datetime64[us]")
    return values if aware else localise(values, zone)


def from_parts(parts: list[Floats], zone: str) -> Instants:
    """UTC instants (n,) of year, month, day, hour, minute, second (as many as given, (n,) each).

    nat where a part is nan, no whole number, or no such day or time of day.
    """
    n = len(parts[0])
    lowest = (1, 1, 1, 0, 0, 0)
    most = (9999, 12, 31, 23, 59, 59)
    good = np.ones(n, dtype=bool)
    whole = []
    for part, low, high in zip(parts, lowest, most, strict=False):
        with np.errstate(invalid="ignore"):
            good &= np.isfinite(part) & (part == np.floor(part)) & (part >= low) & (part <= high)
        whole.append(np.where(good, part, low).astype(np.int64))
    whole += [np.full(n, low, dtype=np.int64) for low in lowest[len(whole) :]]
    year, month, day, hour, minute, second = whole
    first = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    date = first.astype("datetime64[D]") + (day - 1)
    good &= date.astype("datetime64[M]") == first
    clock = (hour * 3600 + minute * 60 + second) * 1_000_000
    naive = date.astype("datetime64[us]") + clock
    naive[~good] = NAT
    return localise(naive, zone)
