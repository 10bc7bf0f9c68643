"""Text files cut into records: decoding, quotes, physical lines. May import numpy alone.

Promises: memory is bounded by the block; what is handed out is UTF-8 and ends with whole records;
each record knows its physical line (from 1), also behind newlines inside quotes; lines may end
with a newline, return and newline, or (a whole file of) returns alone; an undecodable
byte is told with its offset and line. A quote opens a field only at the field's start, as readers
of CSV agree; elsewhere it is a character like any other.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.errors import Invalid

Ints = npt.NDArray[np.int64]

_QUOTE, _NEWLINE, _RETURN = 0x22, 0x0A, 0x0D
#: longer than any field of a table: a quote still open after this many bytes was never meant
LONGEST = 1 << 20
LONGEST_LINE = 64 << 20
_CHINESE = re.compile(rb"[\xe4-\xe9][\x80-\xbf]{2}")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Piece:
    """Whole records.

    text : UTF-8 bytes
    starts, ends : int64 (n,), byte range [start, end) of each record, blank ones left out
    first_line : physical line of the first byte
    """

    text: bytes
    starts: Ints
    ends: Ints
    first_line: int

    def lines(self) -> Ints:
        """Physical line of each record's first byte, int64 (n,)."""
        newlines = np.flatnonzero(np.frombuffer(self.text, np.uint8) == _NEWLINE)
        lines: Ints = self.first_line + np.searchsorted(newlines, self.starts).astype(np.int64)
        return lines

    def record(self, row: int) -> str:
        """Text of one record, without its line end."""
        return self.text[self.starts[row] : self.ends[row]].decode("utf-8")

    def records(self) -> Iterator[bytes]:
        """Bytes of every record, without its line end."""
        for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True):
            yield self.text[start:end]

    def without_first(self) -> Piece:
        """Everything behind the first record."""
        cut = int(self.starts[1]) if len(self.starts) > 1 else len(self.text)
        return Piece(
            self.text[cut:],
            self.starts[1:] - cut,
            self.ends[1:] - cut,
            self.first_line + self.text.count(b"\n", 0, cut),
        )


def split_fields(record: str, delimiter: str, where: str = "table") -> list[str]:
    """Fields of one CSV record, the header line of the file `where`.

    Raises
    ------
    Invalid
        It cannot be cut, as with a line end outside of quotes.
    """
    try:
        return next(csv.reader([record], delimiter=delimiter), [])
    except csv.Error as error:
        raise Invalid(f"{where}: the header line cannot be read: {error}") from error


def pieces(
    read: Callable[[int], bytes],
    encoding: str,
    block: int,
    where: str,
    delimiter: str | None,
    *,
    line: int = 1,
    offset: int = 0,
) -> Iterator[Piece]:
    """Cut a stream of bytes into pieces of whole records.

    Parameters
    ----------
    read : callable
        `read(n)` gives at most `n` bytes, none at the end.
    encoding : str
        `utf-8` or `gb18030`; a byte order mark of UTF-8 decides for UTF-8. `bytes` leaves the text
        as it is, whatever its encoding.
    block : int
        Bytes read at once.
    where : str
        Name of the file in messages.
    delimiter : str or None
        CSV: the delimiter, quotes count. None: every line is a record.
    line, offset : int
        Physical line and byte the stream begins at, when it is a part of a file.

    Raises
    ------
    Invalid
        A byte that is not text, a quote that is never closed, a line without an end.
    """
    carry, rest = b"", b""
    first = offset == 0
    returns: bool | None = None  # lines end with a return alone; None: no line end seen yet
    while True:
        data = read(block)
        if first:
            first = False
            if data.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise Invalid(f"{where} is UTF-16 text, not {encoding}: save it as UTF-8")
            if data.startswith(_BOM):
                data, offset = data[3:], 3
                encoding = encoding if encoding == "bytes" else "utf-8"
        last = not data
        data = rest + data
        returns = _returns(data, last) if returns is None else returns
        data = data.replace(b"\r", b"\n") if returns else data
        # 0x0A is never part of a longer character, neither in UTF-8 nor in GB18030
        cut = len(data) if last else data.rfind(b"\n") + 1
        rest = data[cut:]
        if len(rest) > LONGEST_LINE:
            raise Invalid(
                f"{where}: line {line + data.count(bytes([_NEWLINE]))} is longer than "
                f"{LONGEST_LINE >> 20} MB; this is no table of one record per line"
            )
        raw = data[:cut]
        text = _utf8(raw, encoding, where, offset, line + carry.count(b"\n"))
        offset += len(raw)
        if carry:
            text = carry + text
        if text:
            if last and not text.endswith(b"\n"):
                text += b"\n"
            starts, ends, cut = _records(text, delimiter)
            if len(text) - cut > LONGEST or (last and cut < len(text)):
                raise Invalid(
                    f"{where}, line {line + text.count(bytes([_NEWLINE]), 0, cut)}: a quote is "
                    "opened in this record and never closed"
                )
            if cut:
                yield Piece(text[:cut], starts, ends, line)
            line += text.count(b"\n", 0, cut)
            carry = text[cut:]
        if last:
            return


def _returns(data: bytes, last: bool) -> bool | None:
    """Whether the lines of a file that starts with `data` end with a return and no newline.

    None as long as no line end is there, or its second byte may follow.
    """
    if b"\n" in data:
        return False
    at = data.find(b"\r")
    return True if at >= 0 and (last or at + 1 < len(data)) else None


def check_utf8(read: Callable[[int], bytes], where: str) -> None:
    """Read a stream of bytes to its end and see that it is UTF-8.

    Raises
    ------
    Invalid
        The first byte that is not, with its offset and line.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, line, last = 0, 1, False
    while not last:
        data = read(1 << 20)
        last = not data
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(data, final=last)
        except UnicodeDecodeError as error:
            at = error.start - pending
            raise Invalid(
                f"{where}, line {line + data.count(bytes([_NEWLINE]), 0, max(at, 0))}, "
                f"byte {offset + at}: not UTF-8 text"
            ) from error
        offset += len(data)
        line += data.count(b"\n")


def _utf8(raw: bytes, encoding: str, where: str, offset: int, line: int) -> bytes:
    if encoding == "bytes":
        return raw
    try:
        if encoding == "utf-8":
            raw.decode("utf-8")
            return raw
        if _is_utf8(raw):
            raise Invalid(f"{where} is UTF-8 text, not {encoding}: declare `encoding: utf-8`")
        return raw.decode(encoding).encode("utf-8")
    except UnicodeDecodeError as error:
        at = line + raw.count(b"\n", 0, error.start)
        other = "gb18030" if encoding == "utf-8" else "utf-8"
        try:
            raw.decode(other)
            hint = f"; it would fit {other}: declare `encoding: {other}`"
        except UnicodeDecodeError:
            hint = ""
        raise Invalid(
            f"{where}, line {at}, byte {offset + error.start}: not {encoding} text{hint}"
        ) from error


def _is_utf8(raw: bytes) -> bool:
    """Tell UTF-8 Chinese from GB18030: a few characters of three bytes, and no byte astray."""
    if len(_CHINESE.findall(raw[: 1 << 16])) < 4:
        return False
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _records(text: bytes, delimiter: str | None) -> tuple[Ints, Ints, int]:
    """Byte ranges of the whole records in `text` and where they stop."""
    array = np.frombuffer(text, np.uint8)
    stops = np.flatnonzero(array == _NEWLINE)
    if delimiter:
        quotes = np.flatnonzero(array == _QUOTE)
        if len(quotes):
            stops = stops[~_inside(array, quotes, stops, ord(delimiter))]
    if len(stops) == 0:
        none = np.zeros(0, dtype=np.int64)
        return none, none, 0
    starts = np.concatenate(([0], stops[:-1] + 1)).astype(np.int64)
    ends = stops.astype(np.int64)
    ends = ends - ((ends > starts) & (array[np.maximum(ends - 1, 0)] == _RETURN))
    full = ends > starts
    return starts[full], ends[full], int(stops[-1]) + 1


def _inside(
    array: npt.NDArray[np.uint8], quotes: Ints, stops: Ints, delimiter: int
) -> npt.NDArray[np.bool_]:
    """Which of the newlines at `stops` stand inside a quoted field."""
    before = np.where(quotes > 0, array[np.maximum(quotes - 1, 0)], _NEWLINE)
    after = np.where(
        quotes + 1 < len(array), array[np.minimum(quotes + 1, len(array) - 1)], _NEWLINE
    )
    # well-formed: quotes alternate, an opener stands at a field's start (or doubles the closer
    # before it), a closer at a field's end
    edges = np.array([delimiter, _NEWLINE, _RETURN], dtype=np.uint8)
    opener_ok = np.isin(before[0::2], edges[:2]) | (before[0::2] == _QUOTE)
    closer_ok = np.isin(after[1::2], edges) | (after[1::2] == _QUOTE)
    if opener_ok.all() and closer_ok.all():
        odd: npt.NDArray[np.bool_] = np.searchsorted(quotes, stops) % 2 == 1
        return odd
    # stray quotes: follow them one by one
    ranges: list[tuple[int, int]] = []
    opened, skip = -1, -1
    for at, ahead, behind in zip(quotes.tolist(), before.tolist(), after.tolist(), strict=True):
        if at == skip:
            continue
        if opened < 0:
            if ahead in (delimiter, _NEWLINE):
                opened = at
        elif behind == _QUOTE:
            skip = at + 1
        else:
            ranges.append((opened, at))
            opened = -1
    if opened >= 0:
        ranges.append((opened, len(array)))
    result = np.zeros(len(stops), dtype=bool)
    if ranges:
        spans = np.array(ranges)
        index = np.searchsorted(spans[:, 0], stops) - 1
        found = index >= 0
        result[found] = stops[found] < spans[index[found], 1]
    return result
