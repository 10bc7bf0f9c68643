"""PostgreSQL's binary COPY format, written and read by numpy: no Python object per value.

May import numpy and pyarrow. `rows` is for columns that are fixed for the whole block: a scalar, an
array of numbers with the same length in every row, or text; text of several lengths cuts the block
into runs of equal length. `arrow_rows` is for Arrow columns: texts of any length, nulls.
Format: PostgreSQL documentation, COPY, "Binary Format"; arrays as in `array_send`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

HEADER = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
TRAILER = b"\xff\xff"
INT2, INT4, FLOAT8 = 21, 23, 701
_TO_2000 = 946_684_800_000_000  # PostgreSQL counts microseconds from 2000-01-01
_WIRE = {INT2: ">i2", INT4: ">i4", FLOAT8: ">f8"}

Column = int | str | npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]


def _field(number: int, column: Column) -> list[tuple[Any, ...]]:
    """Fields of one column in the record type: length word, then the value as it is sent."""
    size = (f"l{number}", ">i4")
    if isinstance(column, int):
        return [size, (f"v{number}", ">i4")]
    if isinstance(column, str):
        return [size, (f"v{number}", f"S{len(column.encode())}")] if column else [size]
    if column.dtype.kind == "S":
        return [size, (f"v{number}", column.dtype)]
    wire = _WIRE[_oid(column)]
    if column.ndim == 1:
        return [size, (f"v{number}", wire)]
    element = np.dtype([("l", ">i4"), ("v", wire)])
    return [size, (f"a{number}", ">i4", (5,)), (f"v{number}", element, (column.shape[1],))]


def _oid(column: npt.NDArray[Any]) -> int:
    kinds = {"<i2": INT2, "<i4": INT4, "<f8": FLOAT8}
    if column.dtype.str not in kinds:
        raise ValueError(f"a column is int16, int32 or float64, not {column.dtype}")
    return kinds[column.dtype.str]


def _block(columns: Sequence[Column], rows: int) -> bytes:
    fields = [field for number, column in enumerate(columns) for field in _field(number, column)]
    kind = np.dtype([("columns", ">i2"), *fields])
    record = np.zeros(rows, kind)
    record["columns"] = len(columns)
    for number, column in enumerate(columns):
        value = f"v{number}"
        if isinstance(column, str) and not column:
            continue
        record[f"l{number}"] = kind[value].itemsize
        if isinstance(column, str):
            record[value] = column.encode()
        elif isinstance(column, int) or column.ndim == 1:
            record[value] = column
        else:
            # dimensions, has nulls, element type, length, first index
            oid = _oid(column)
            record[f"a{number}"] = (1, 0, oid, column.shape[1], 1)
            record[f"l{number}"] = 20 + kind[value].itemsize
            record[value]["l"] = np.dtype(_WIRE[oid]).itemsize
            record[value]["v"] = column
    return record.tobytes()


def rows(columns: Sequence[Column]) -> Iterator[bytes]:
    """Rows of a table, without header and trailer.

    Parameters
    ----------
    columns : in table order: `int` or `str` constants; arrays `(n,)` of int16, int32, float64 or
        `S` bytes (text); arrays `(n, T)` of numbers (SQL arrays, first index 1)

    Yields
    ------
    bytes, one block per run of rows whose texts all have the same lengths

    Raises
    ------
    ValueError
        Columns of different lengths or of a type that has no wire form.
    """
    arrays = [column for column in columns if isinstance(column, np.ndarray)]
    sizes = {len(column) for column in arrays}
    if len(sizes) > 1:
        raise ValueError(f"columns of different lengths: {sorted(sizes)}")
    count = sizes.pop() if sizes else 1
    if count == 0:
        return
    texts = [column for column in arrays if column.dtype.kind == "S"]
    lengths = np.zeros((count, 1), np.int64)
    if texts:
        lengths = np.stack([np.char.str_len(text) for text in texts], axis=1)
    edges = np.flatnonzero((np.diff(lengths, axis=0) != 0).any(axis=1)) + 1
    bounds = [0, *edges.tolist(), count]
    for start, stop in itertools.pairwise(bounds):
        yield _block([_cut(column, start, stop) for column in columns], stop - start)


def _cut(column: Column, start: int, stop: int) -> Column:
    if not isinstance(column, np.ndarray):
        return column
    part = column[start:stop]
    if part.dtype.kind != "S":
        return part
    length = int(np.char.str_len(part[:1])[0])
    # a text of no length has no field in a numpy record
    return part.astype(f"S{length}") if length else ""


def arrow_rows(columns: Sequence[pa.Array]) -> memoryview:
    """Rows of a table, without header and trailer.

    Parameters
    ----------
    columns : in table order, (n,) each: text, binary, booleans, integers, float64, timestamps (as
        microseconds in UTC) or fixed-size binary (bytes as PostgreSQL takes them); nulls allowed

    Raises
    ------
    ValueError
        Columns of different lengths or of a type that has no wire form.
    """
    sizes = {len(column) for column in columns}
    if len(sizes) != 1:
        raise ValueError(f"columns of different lengths: {sorted(sizes)}")
    count = sizes.pop()
    if count == 0:
        return memoryview(b"")
    # what has the same length in every row is laid side by side, the rest is joined row by row
    fixed: list[Bytes] = [_big(np.full(count, len(columns)), ">i2")]
    pieces: list[pa.Array] = []
    for column in columns:
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        if pa.types.is_string(array.type) or pa.types.is_binary(array.type):
            texts = pc.cast(array, pa.large_binary())
        elif array.null_count == 0:
            values = _wire_bytes(array)
            fixed += [_big(np.full(count, values.shape[1]), ">i4"), values]
            continue
        else:
            values = _wire_bytes(array.drop_null())
            given = array.is_valid().to_numpy(zero_copy_only=False)
            ends = np.concatenate(([0], np.cumsum(given, dtype=np.int64))) * values.shape[1]
            texts = pc.if_else(
                pa.array(given), _binary(ends, values), pa.scalar(None, pa.large_binary())
            )
        fixed.append(_big(pc.fill_null(pc.binary_length(texts), -1).to_numpy(), ">i4"))
        if texts.null_count < count:
            pieces += [_side_by_side(fixed), pc.fill_null(texts, b"")]
            fixed = []
    if fixed:
        pieces.append(_side_by_side(fixed))
    joined = pc.binary_join_element_wise(*pieces, pa.scalar(b"", pa.large_binary()))
    _, offsets, data = joined.buffers()
    ends = np.frombuffer(offsets, np.int64)
    return memoryview(data)[int(ends[joined.offset]) : int(ends[joined.offset + count])]


def _wire_bytes(array: pa.Array) -> Bytes:
    """Values without nulls as they are sent, (n, bytes each)."""
    kind = array.type
    if pa.types.is_fixed_size_binary(kind):
        width = kind.byte_width
        whole = np.frombuffer(array.buffers()[1], np.uint8)
        start = array.offset * width
        return whole[start : start + len(array) * width].reshape(-1, width)
    if pa.types.is_boolean(kind):
        return _big(array.to_numpy(zero_copy_only=False), "u1")
    if pa.types.is_timestamp(kind):
        micro = pc.cast(array, pa.timestamp("us")).to_numpy(zero_copy_only=False)
        return _big(micro.astype("datetime64[us]").astype(np.int64) - _TO_2000, ">i8")
    wires = {pa.int16(): ">i2", pa.int32(): ">i4", pa.int64(): ">i8", pa.float64(): ">f8"}
    if kind not in wires:
        raise ValueError(f"no wire form of {kind}")
    return _big(array.to_numpy(zero_copy_only=False), wires[kind])


def _big(values: npt.NDArray[Any], wire: str) -> Bytes:
    """Numbers (n,) as bytes (n, size)."""
    sent = np.ascontiguousarray(values.astype(wire))
    return sent.view(np.uint8).reshape(len(values), sent.itemsize)


def _side_by_side(parts: Sequence[Bytes]) -> pa.Array:
    """Bytes (n, k) of several parts as one binary column (n,)."""
    table = np.concatenate(parts, axis=1)
    ends = np.arange(len(table) + 1, dtype=np.int64) * table.shape[1]
    return _binary(ends, table)


def _binary(ends: npt.NDArray[np.int64], data: Bytes) -> pa.Array:
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(ends) - 1, buffers)


def read_columns(data: bytes, types: Sequence[str]) -> list[npt.NDArray[Any]]:
    """Read a binary COPY of number columns without nulls.

    Parameters
    ----------
    data : all of it, header and trailer included
    types : numpy types of the columns as they are sent (`>i2`, `>i4`, `>f8`)

    Returns
    -------
    list of arrays (rows,), native byte order

    Raises
    ------
    ValueError
        The data is no binary COPY of such columns.
    """
    blocks: list[list[npt.NDArray[Any]]] = []
    stream = ColumnStream(types, blocks.append)
    stream.write(data)
    stream.finish()
    if not blocks:
        return [np.zeros(0, np.dtype(kind).newbyteorder("=")) for kind in types]
    return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]


class ColumnStream:
    """File a binary COPY of number columns without nulls is written to, read as it comes.

    Parameters
    ----------
    types : numpy types of the columns as they are sent (`>i2`, `>i4`, `>i8`, `>f8`)
    convert : called with each block, a list of arrays (rows,) in native byte order
    block : least bytes that are parsed at once

    Raises
    ------
    ValueError
        By `write` or `finish`: the data is no binary COPY of such columns.
    """

    def __init__(
        self,
        types: Sequence[str],
        convert: Callable[[list[npt.NDArray[Any]]], None],
        block: int = 1 << 22,
    ) -> None:
        self.types = tuple(types)
        self._convert = convert
        self._block = block
        fields = [
            field
            for number, kind in enumerate(types)
            for field in ((f"l{number}", ">i4"), (f"v{number}", kind))
        ]
        self._record = np.dtype([("columns", ">i2"), *fields])
        self._waiting = bytearray()
        self._begun = False

    def write(self, data: bytes) -> int:
        """Take the next bytes."""
        self._waiting += data
        if len(self._waiting) >= self._block:
            self._parse(len(self._waiting) - len(TRAILER))
        return len(data)

    def finish(self) -> None:
        """Parse what is left.

        Raises
        ------
        ValueError
            The data is no binary COPY of such columns.
        """
        if not self._waiting.endswith(TRAILER):
            raise ValueError(self._wrong())
        self._parse(len(self._waiting) - len(TRAILER))
        if bytes(self._waiting) != TRAILER:
            raise ValueError(self._wrong())

    def _wrong(self) -> str:
        return f"not a binary COPY of {len(self.types)} columns {' '.join(self.types)}"

    def _parse(self, end: int) -> None:
        start = 0
        if not self._begun:
            if not self._waiting.startswith(HEADER[:11]):
                raise ValueError(self._wrong())
            self._begun = True
            start = len(HEADER)
        count = max(0, end - start) // self._record.itemsize
        if count:
            record = np.frombuffer(bytes(self._waiting[: start + count * self._record.itemsize]),
                                   self._record, offset=start)  # fmt: skip
            right = record["columns"] == len(self.types)
            for number, kind in enumerate(self.types):
                right &= record[f"l{number}"] == np.dtype(kind).itemsize
            if not right.all():
                raise ValueError(self._wrong())
            self._convert(
                [
                    record[f"v{number}"].astype(np.dtype(kind).newbyteorder("="))
                    for number, kind in enumerate(self.types)
                ]
            )
        del self._waiting[: start + count * self._record.itemsize]
