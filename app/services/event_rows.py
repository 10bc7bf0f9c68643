"""Rows of a feed checked and put into our words, a whole chunk at a time.

Imports pyarrow, numpy, `geo.codes`, `geo.crs`; knows nothing of the database and of no clock (the
present is an argument). Promises: every row is either in the result or in the list of broken rows
with line, column and the first reason found; equal content gives equal references whenever and in
whatever batches it is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyproj

from app.services import event_persons as persons
from app.services import event_times as times
from app.services.event_files import Broken, Chunk
from app.services.event_mapping import EventMapping
from geo import crs
from geo.codes import CodeError, CodeLayout

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST_AHEAD = timedelta(days=1)
LONGEST_REFERENCE, LONGEST_ADDRESS = 200, 500
#: integers below are exact in a float64
_EXACT = float(1 << 53)


@dataclass(frozen=True)
class Rows:
    """Good rows of a chunk, in file order.

    lines : int64 (n,)
    reference, kind, code, address : text (n,), null where not given (reference and kind never)
    occurred_at : datetime64[us] (n,), UTC
    x, y : float64 (n,) as declared, nan where no point is given
    lon, lat : float64 (n,) WGS84 degrees, nan where no point is given
    """

    lines: npt.NDArray[np.int64]
    reference: pa.Array
    kind: pa.Array
    occurred_at: times.Instants
    x: Floats
    y: Floats
    lon: Floats
    lat: Floats
    code: pa.Array
    address: pa.Array

    def __len__(self) -> int:
        return len(self.lines)

    def filter(self, keep: Flags) -> Rows:
        """Keep the rows (n,) that are true."""
        if keep.all():
            return self
        mask = pa.array(keep)
        return Rows(
            self.lines[keep], self.reference.filter(mask), self.kind.filter(mask),
            self.occurred_at[keep], self.x[keep], self.y[keep], self.lon[keep], self.lat[keep],
            self.code.filter(mask), self.address.filter(mask),
        )  # fmt: skip


#: how often each key of a run was met; None: once
Counts = npt.NDArray[np.int32] | None


class Tally:
    """Counts how often keys were met before; memory 8 to 12 bytes per distinct key."""

    def __init__(self) -> None:
        self._runs: list[tuple[npt.NDArray[np.uint64], Counts]] = []

    def add(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Count `keys` (n,); how often each was met before, in order, int64 (n,).

        >>> tally = Tally()
        >>> tally.add(np.array([5, 7, 5], dtype=np.uint64)).tolist()
        [0, 0, 1]
        >>> tally.add(np.array([5, 8], dtype=np.uint64)).tolist()
        [2, 0]
        """
        # sorting keys alone is several times faster than sorting positions by them, and in most
        # feeds no key comes twice
        unique = np.sort(keys)
        if len(keys) == 0 or (unique[1:] == unique[:-1]).any() or self._met(unique).any():
            return self._again(keys)
        self._keep(unique, None)
        return np.zeros(len(keys), dtype=np.int64)

    def _met(self, unique: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """How often ascending keys were met before."""
        before = np.zeros(len(unique), dtype=np.int64)
        for run, counts in self._runs:
            at = np.minimum(np.searchsorted(run, unique), len(run) - 1)
            before += np.where(run[at] == unique, 1 if counts is None else counts[at], 0)
        return before

    def _again(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        new = np.ones(len(keys), dtype=bool)
        new[1:] = ordered[1:] != ordered[:-1]
        group = np.cumsum(new) - 1
        unique, first = ordered[new], np.flatnonzero(new)
        before = self._met(unique)
        result = np.empty(len(keys), dtype=np.int64)
        result[order] = np.arange(len(keys)) - first[group] + before[group]
        if len(unique):
            self._keep(unique, np.bincount(group).astype(np.int32))
        return result

    def _keep(self, unique: npt.NDArray[np.uint64], many: Counts) -> None:
        self._runs.append((unique, many))
        # runs of falling size, so that a key is merged only a few times
        while len(self._runs) > 1 and len(self._runs[-1][0]) * 2 > len(self._runs[-2][0]):
            (b, b_counts), (a, a_counts) = self._runs.pop(), self._runs.pop()
            both = np.concatenate([a, b])
            if a_counts is None and b_counts is None:
                ordered = np.sort(both)
                if not (ordered[1:] == ordered[:-1]).any():
                    self._runs.append((ordered, None))
                    continue
            order = np.argsort(both, kind="stable")
            ordered = both[order]
            each = [
                np.ones(len(run), np.int32) if counts is None else counts
                for run, counts in ((a, a_counts), (b, b_counts))
            ]
            starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
            total = np.add.reduceat(np.concatenate(each)[order], starts).astype(np.int32)
            self._runs.append((ordered[starts], total))


class RowChecker:
    """Checks the chunks of one file, in order.

    Parameters
    ----------
    mapping : EventMapping
    point : (str, str) or None
        Columns of east and north in the chunks.
    layout : CodeLayout or None
        How codes are cut; None: a code is any text.
    kinds : list of str
        Kind ids allowed.
    now : datetime
        The present, with a time zone.
    """

    def __init__(
        self,
        mapping: EventMapping,
        point: tuple[str, str] | None,
        layout: CodeLayout | None,
        kinds: list[str],
        now: datetime,
    ) -> None:
        self.mapping = mapping
        self.point = point
        self.layout = layout
        self.kinds = kinds
        self.geographic = mapping.crs in crs.NAMED or pyproj.CRS(mapping.crs).is_geographic
        self.earliest = np.datetime64(EARLIEST.replace(tzinfo=None), "us")
        self.latest = np.datetime64((now.astimezone(UTC) + LATEST_AHEAD).replace(tzinfo=None), "us")
        self._tally = Tally()

    def check(self, chunk: Chunk) -> tuple[Rows, list[Broken]]:
        """Good rows and broken rows of a chunk; the broken ones in order of their lines."""
        work = _Work(chunk, self.mapping)
        n = len(chunk.lines)
        names = self.mapping.columns
        reference = work.text(names.reference)
        address = work.text(names.address)
        if names.reference:
            work.refuse(pc.is_null(reference), names.reference, "missing_reference",
                        lambda _: "the row has no reference")  # fmt: skip
            self._words(work, reference, names.reference, LONGEST_REFERENCE)
        if names.address:
            self._words(work, address, names.address, LONGEST_ADDRESS)
        word, kind = self._kind(work, n)
        occurred_at = self._time(work)
        code = self._code(work, n)
        x, y, lon, lat = self._point(work, n)
        rows = Rows(chunk.lines, reference, kind, occurred_at, x, y, lon, lat, code, address)
        keep = ~work.bad
        rows, word = rows.filter(keep), word if keep.all() else word.filter(pa.array(keep))
        if names.reference:
            keys = pd.util.hash_array(
                rows.reference.to_numpy(zero_copy_only=False), categorize=False
            )
            again = self._tally.add(keys) > 0
            if again.any():
                texts = rows.reference
                for row in np.flatnonzero(again).tolist():
                    value = persons.shown(texts[row].as_py())
                    work.broken.append(
                        Broken(int(rows.lines[row]), names.reference, value, "repeated_reference",
                               "an earlier row of this file has the same reference"))  # fmt: skip
                rows = rows.filter(~again)
        else:
            rows = self._derived(rows, word)
        return rows, sorted([*chunk.broken, *work.broken], key=lambda b: b.line)

    def _words(self, work: _Work, text: pa.Array, column: str, longest: int) -> None:
        work.refuse(pc.match_substring(text, "\0"), column, "bad_character",
                    lambda _: "holds a NUL character")  # fmt: skip
        long = pc.greater(pc.utf8_length(text), longest)
        work.refuse(long, column, "too_long", lambda _: f"is longer than {longest} characters")
        found = persons.find(text)
        mask = np.zeros(len(text), dtype=bool)
        mask[list(found)] = True
        work.refuse(mask, column, "person",
                    lambda row: f"looks like a person's {found[row]}; Wusetu never holds one",
                    hidden=True)  # fmt: skip

    def _kind(self, work: _Work, n: int) -> tuple[pa.Array, pa.Array]:
        kinds = self.mapping.kinds
        if kinds.constant is not None or self.mapping.columns.kind is None:
            constant = pa.array([kinds.constant], pa.string()).take(pa.array(np.zeros(n, np.int8)))
            return constant, constant
        column = self.mapping.columns.kind
        word = work.text(column)
        words = kinds.words if kinds.words is not None else {kind: kind for kind in self.kinds}
        index = pc.index_in(word, value_set=pa.array(list(words), pa.string()))
        kind = pa.array(list(words.values()), pa.string()).take(index)
        missing = pc.is_null(word)
        work.refuse(missing, column, "missing_kind", lambda _: "the row has no kind")
        if kinds.default is not None:
            kind = pc.fill_null(kind, kinds.default)
        else:
            known = ", ".join(list(words)[:12]) + (" …" if len(words) > 12 else "")
            work.refuse(pc.is_null(kind), column, "unknown_kind",
                        lambda _: f"no kind of the mapping; known are {known}")  # fmt: skip
        return word, kind

    def _time(self, work: _Work) -> times.Instants:
        where, zone = self.mapping.columns.time, self.mapping.time_zone
        names = where.names()
        column = work.column(names[0])
        if where.year is not None:
            at = times.from_parts([work.numbers(name) for name in names], zone)
        elif len(names) == 2:
            both = pc.binary_join_element_wise(*(work.text(name) for name in names), " ")
            at = times.from_text(both, where.format, zone)
        elif pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            at = times.from_timestamps(column, zone)
        elif where.format.startswith("epoch"):
            at = times.from_epoch(work.numbers(names[0]), where.format)
        else:
            at = times.from_text(work.text(names[0]), where.format, zone)
        unread = np.isnat(at)
        if unread.any():
            absent = work.absent(names[0])
            work.refuse(absent, names[0], "missing_time", lambda _: "the row has no time")
            shape = "" if where.year is not None else f" as {where.format}"
            work.refuse(unread, names, "bad_time", lambda _: f"is no time to be read{shape}")
        for mask, what in ((at < self.earliest, "before 2000"), (at > self.latest, "to come")):
            work.refuse(mask, names, "implausible_time",
                        partial(_instant, at, what))  # fmt: skip
        return at

    def _code(self, work: _Work, n: int) -> pa.Array:
        column = self.mapping.columns.code
        if column is None:
            return pa.nulls(n, pa.string())
        text = work.text(column)
        layout = self.layout
        if layout is None:
            self._words(work, text, column, LONGEST_REFERENCE)
            return text
        given = text.to_numpy(zero_copy_only=False)
        codes, reasons = layout.parse_many(given)
        wrong = np.array([r is not None and r != "empty" for r in reasons], dtype=bool)

        def say(row: int) -> str:
            try:
                layout.parse(given[row])
            except CodeError as error:
                # the value stands in a column of its own
                return str(error).partition(repr(given[row]))[2].strip()
            return "is no code"

        for reason in sorted({reasons[row] for row in np.flatnonzero(wrong)}):
            work.refuse(reasons == reason, column, f"code_{reason}", say)
        return pa.array(codes, pa.string())

    def _point(self, work: _Work, n: int) -> tuple[Floats, Floats, Floats, Floats]:
        if self.point is None:
            none = np.full(n, np.nan)
            return none, none, none, none
        east, north = self.point
        x, y = work.numbers(east), work.numbers(north)
        absent_x, absent_y = work.absent(east), work.absent(north)
        for name, value, absent in ((east, x, absent_x), (north, y, absent_y)):
            work.refuse(~absent & ~np.isfinite(value), name, "bad_coordinate",
                        lambda _: "is no number")  # fmt: skip
        for name, mask in ((north, absent_y & ~absent_x), (east, absent_x & ~absent_y)):
            work.refuse(mask, name, "half_point", lambda _: "one of the two coordinates is missing")
        both = self.point
        given = np.isfinite(x) & np.isfinite(y)
        if self.geographic:
            with np.errstate(invalid="ignore"):
                outside = given & ((np.abs(x) > 180) | (np.abs(y) > 90))
                swapped = outside & (np.abs(x) <= 90) & (np.abs(y) <= 180)
            work.refuse(swapped, both, "swapped", lambda _: "longitude and latitude look swapped")
            work.refuse(outside, both, "out_of_range",
                        lambda _: "is no longitude (-180 to 180) and latitude (-90 to 90)")  # fmt: skip
        x = np.where(given & ~work.bad, x, np.nan)
        y = np.where(given & ~work.bad, y, np.nan)
        lon, lat = crs.to_wgs84(x, y, self.mapping.crs)
        lost = np.isfinite(x) & ~np.isfinite(lon)
        with np.errstate(invalid="ignore"):
            lost |= (np.abs(lon) > 180) | (np.abs(lat) > 90)
        work.refuse(
            lost,
            both,
            "out_of_range",
            lambda _: f"lies outside what {self.mapping.crs} can express",
        )
        return x, y, lon, lat

    def _derived(self, rows: Rows, word: pa.Array) -> Rows:
        """Rows with a reference made of their content and of how often it came before."""
        numbers = np.empty((len(rows), 3), dtype="<i8")
        numbers[:, 0] = rows.occurred_at.astype(np.int64)
        numbers[:, 1] = rows.x.astype("<f8").view("<i8")
        numbers[:, 2] = rows.y.astype("<f8").view("<i8")
        fixed = numbers.tobytes()
        joined = pc.binary_join_element_wise(
            *(pc.fill_null(part, "") for part in (word, rows.code, rows.address)), "\x1f"
        )
        digests = [
            hashlib.blake2b(fixed[24 * i : 24 * i + 24] + text.encode(), digest_size=12).digest()
            for i, text in enumerate(joined.to_pylist())
        ]
        table = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 12)
        keys = np.ascontiguousarray(table[:, :8]).view("<u8").ravel().astype(np.uint64)
        before = self._tally.add(keys)
        reference = pa.array(
            [f"content-{d.hex()}-{k + 1}" for d, k in zip(digests, before.tolist(), strict=True)],
            pa.string(),
        )
        return Rows(rows.lines, reference, rows.kind, rows.occurred_at, rows.x, rows.y,
                    rows.lon, rows.lat, rows.code, rows.address)  # fmt: skip


def _instant(at: times.Instants, what: str, row: int) -> str:
    return f"{str(at[row])[:16]} UTC is {what}"


def _digits(column: pa.Array) -> pa.Array:
    """Floats (n,) as text: integers a float holds exactly by their digits, null for nan."""
    values = pc.cast(column, pa.float64())
    # a column of integers with gaps is often stored as floats; 3.3e+11 would be no code
    whole = pc.and_(pc.less(pc.abs(values), _EXACT), pc.equal(values, pc.trunc(values)))
    whole = pc.fill_null(whole, False)
    integers = pc.cast(pc.if_else(whole, values, 0.0), pa.int64())
    text = pc.if_else(whole, pc.cast(integers, pa.string()), pc.cast(column, pa.string()))
    return pc.if_else(pc.is_nan(values), pa.scalar(None, pa.string()), text)


class _Work:
    """One chunk while it is checked: its columns as text or numbers, and what is wrong so far."""

    def __init__(self, chunk: Chunk, mapping: EventMapping) -> None:
        self.chunk = chunk
        self.bad: Flags = np.zeros(len(chunk.lines), dtype=bool)
        self.broken: list[Broken] = []
        self._nulls = pa.array(["", *mapping.null_values], pa.string())
        self._texts: dict[str, pa.Array] = {}

    def column(self, name: str) -> pa.Array:
        """Column as found."""
        found = self.chunk.table.column(name)
        array = found.combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = array.chunk(0) if array.num_chunks else pa.array([], array.type)
        return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array

    def text(self, name: str | None) -> pa.Array:
        """Column as trimmed text, null where not given; all null without a column."""
        if name is None:
            return pa.nulls(len(self.bad), pa.string())
        if name not in self._texts:
            column = self.column(name)
            if pa.types.is_binary(column.type) or pa.types.is_nested(column.type):
                column = pa.array([None if v is None else str(v) for v in column.to_pylist()])
            if pa.types.is_floating(column.type):
                column = _digits(column)
            text = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
            null = pc.is_in(text, value_set=self._nulls)
            if pc.any(null).as_py():
                text = pc.if_else(null, pa.scalar(None, pa.string()), text)
            self._texts[name] = text
        return self._texts[name]

    def numbers(self, name: str) -> Floats:
        """Column as float64 (n,), nan where not given or no number."""
        column = self.column(name)
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            column = self.text(name)
        try:
            values: Floats = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            given = pd.Series(column.to_pylist(), dtype=object)
            values = pd.to_numeric(given, errors="coerce").to_numpy(np.float64)
        return np.where(np.isfinite(values), values, np.nan)

    def absent(self, name: str) -> Flags:
        """Rows (n,) where a column is not given."""
        column = self.column(name)
        if pa.types.is_string(column.type):
            column = self.text(name)
        absent: Flags = pc.is_null(column, nan_is_null=True).to_numpy(zero_copy_only=False)
        return absent

    def refuse(
        self,
        mask: Flags | pa.Array,
        columns: str | Sequence[str],
        reason: str,
        say: Callable[[int], str],
        hidden: bool = False,
    ) -> None:
        """Note rows (n,) as broken that were good so far; `say` gives the text of a row."""
        if not isinstance(mask, np.ndarray):
            mask = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
        new = mask & ~self.bad
        if not new.any():
            return
        self.bad |= new
        table = self.chunk.table
        names = [columns] if isinstance(columns, str) else list(columns)
        for row in np.flatnonzero(new).tolist():
            values = (table.column(name)[row].as_py() for name in names)
            value = ", ".join("" if v is None else persons.shown(v) for v in values)
            self.broken.append(
                Broken(int(self.chunk.lines[row]), " ".join(names),
                       persons.WITHHELD if hidden else value, reason, say(row)))  # fmt: skip
