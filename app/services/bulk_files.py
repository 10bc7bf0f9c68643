"""Inputs of a bulk job: files by path or URL, cut into parts that can be read alone.

Imports pyarrow and the readers of `event_files`; no database. Promises: a part is a range of whole
rows with their places in the file, so that whoever reads it, wherever, gets the same rows with the
same line numbers; Parquet is cut by its footer alone, CSV is read once to find where records end
(a newline inside quotes ends none). A gzip file cannot be read from its middle: its parts are of
the text, which is unpacked into the job's folder while parts are made.
"""

from __future__ import annotations

import gzip
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet

from app.errors import Invalid, NotFound, Unavailable
from app.services.event_files import (
    GEOMETRY,
    Chunk,
    CsvFeed,
    ParquetFeed,
    Wanted,
    _whole,
    _with_points,
    geometry_column,
)
from app.services.text_records import pieces, split_fields

PART_ROWS = 500_000
_SUFFIXES = {
    ".csv": "csv", ".txt": "csv", ".tsv": "csv",
    ".parquet": "parquet", ".pq": "parquet", ".geoparquet": "parquet",
}  # fmt: skip
_BLOCK = 4 << 20
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Input:
    """A file of a job.

    url : path or URL, as pyarrow's file systems take it
    size, changed : bytes and time of the last change (nanoseconds, 0 unknown) when it was cut
    geometry : name of the geometry column that gives the points, None: columns do
    header : names of the columns of a CSV, else empty
    encoding : of the text of a CSV
    unpacked : bytes of the text of a gzip file; 0: it is none
    """

    url: str
    format: str
    size: int
    changed: int
    geometry: str | None
    header: tuple[str, ...]
    encoding: str
    unpacked: int = 0

    @property
    def name(self) -> str:
        """Name without its folders."""
        return _name(self.url)

    @property
    def point(self) -> tuple[str, str] | None:
        """Columns a geometry becomes."""
        return GEOMETRY if self.geometry else None


@dataclass(frozen=True)
class Part:
    """Some rows of one input.

    number : position in the job, from 0
    input : position of the input
    start, stop : bytes of a CSV (unpacked), rows of a Parquet file, `[start, stop)`
    line : place of the first row (physical line, or row from 1)
    rows : how many
    """

    number: int
    input: int
    start: int
    stop: int
    line: int
    rows: int

    def body(self) -> dict[str, int]:
        """Plain numbers."""
        return asdict(self)


def expand(given: Sequence[str | Path]) -> list[str]:
    """Files named by paths and URLs; a folder stands for the files in it, in order of names.

    Raises
    ------
    NotFound
        No such file, or nothing to read in a folder.
    Unavailable
        The object store does not answer, or does not let us in.
    """
    found: list[str] = []
    for one in given:
        text = str(one)
        system, path, around = _system(text)
        info = _asked(text, lambda system=system, path=path: system.get_file_info(path))
        if info.type == pa.fs.FileType.NotFound:
            raise NotFound(f"no file {text}")
        if info.type == pa.fs.FileType.Directory:
            selector = pa.fs.FileSelector(path)
            inside = _asked(text, lambda system=system, s=selector: system.get_file_info(s))
            names = sorted(f.path for f in inside if f.is_file and _format(f.path))
            if not names:
                raise NotFound(f"{text} holds no {', '.join(_SUFFIXES)} file")
            if around[0]:  # a URL says %20 for a blank
                names = [quote(name, safe="/=:@,+!$&'()*;~") for name in names]
            found += [f"{around[0]}{name}{around[1]}" for name in names]
        else:
            found.append(text if around[0] else str(Path(text).resolve()))
    twice = {url for url in found if found.count(url) > 1}
    if twice:
        raise Invalid(f"{min(twice)} is given twice")
    return found


def cut(url: str, wanted: Wanted, part_rows: int) -> tuple[Input, list[Part]]:
    """Input and its parts, numbered from 0, of one file.

    Raises
    ------
    NotFound, Invalid, Unavailable
        The file cannot be used; the message says where and why.
    """
    system, path, _ = _system(url)
    info = _asked(url, lambda: system.get_file_info(path))
    if not info.is_file:
        raise NotFound(f"no file {url}")
    name = _name(url)
    if info.size == 0:
        raise Invalid(f"{name} is empty (0 bytes)")
    form = _format(url)
    if form is None:
        raise Invalid(
            f"{name}: a bulk job reads {', '.join(_SUFFIXES)}, text also with .gz; "
            "`wusetu events import` reads GeoJSON and NDJSON, too"
        )
    base = Input(url, form, info.size, info.mtime_ns or 0, None, (), wanted.encoding)
    with _asked(url, lambda: system.open_input_file(path)) as file:
        head = file.read(4)
        file.seek(0)
        if head == b"PAR1":
            done, parts = _cut_parquet(base, file, wanted, part_rows)
        elif base.format == "parquet":
            raise Invalid(f"{name} is truncated or no Parquet file: it does not begin like one")
        elif head[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=file) as text:
                read = _whole(text.read, Path(name))
                done, parts = _cut_csv(base, read, wanted, part_rows, packed=True)
        else:
            done, parts = _cut_csv(base, file.read, wanted, part_rows)
    if not parts:
        raise Invalid(f"{name} has no rows")
    return done, parts


def unpack(source: Input, path: Path) -> None:
    """Write the text of a gzip file to `path`, whole or not at all; others are left as they are.

    Raises
    ------
    NotFound, Invalid, Unavailable
        The file is gone or another one, or there is no room.
    """
    if not source.unpacked or (path.is_file() and path.stat().st_size == source.unpacked):
        return
    system, there = _unchanged(source)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, new = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with (
            os.fdopen(handle, "wb") as target,
            _asked(source.url, lambda: system.open_input_file(there)) as packed,
            gzip.GzipFile(fileobj=packed) as text,
        ):
            read = _whole(text.read, Path(source.name))
            while data := _asked(source.url, lambda: read(_BLOCK)):
                try:
                    target.write(data)
                except OSError as error:
                    raise Unavailable(
                        f"{source.name} cannot be unpacked into {path.parent}: {error.strerror}"
                    ) from error
            target.flush()
            os.fsync(target.fileno())
        Path(new).chmod(0o644)
        os.replace(new, path)
    except BaseException:
        Path(new).unlink(missing_ok=True)
        raise


def clear(folder: Path) -> None:
    """Remove what was unpacked."""
    shutil.rmtree(folder, ignore_errors=True)


def _unchanged(source: Input) -> tuple[Any, str]:
    """File system and path of an input that is still the one that was cut."""
    system, path, _ = _system(source.url)
    info = _asked(source.url, lambda: system.get_file_info(path))
    if not info.is_file:
        raise NotFound(f"no file {source.url}")
    if info.size != source.size or (info.mtime_ns or 0) != source.changed:
        raise Invalid(f"{source.name} has changed since the job began: begin a new job")
    return system, path


def open_part(
    source: Input, part: Part, wanted: Wanted, unpacked: Path | None = None
) -> CsvPart | ParquetPart:
    """Reader of a part.

    Parameters
    ----------
    source, part, wanted : as cut
    unpacked : where the text of a gzip file lies

    Raises
    ------
    NotFound, Invalid, Unavailable
        The file is gone, or is not the one that was cut.
    """
    system, path = _unchanged(source)
    if source.unpacked:
        if unpacked is None or not unpacked.is_file():
            raise Invalid(f"{source.name} is not unpacked: run the job again")
        system, path = pa.fs.LocalFileSystem(), str(unpacked)
    kind = CsvPart if source.format == "csv" else ParquetPart
    return kind(system, path, source, part, wanted)


class CsvPart(CsvFeed):
    """Some records of a CSV."""

    def __init__(
        self, system: pa.fs.FileSystem, path: str, source: Input, part: Part, wanted: Wanted
    ) -> None:
        self.path = Path(source.name)
        self.wanted = wanted
        self.rows = part.rows
        self.point = wanted.point
        self._width = len(source.header)
        self._used = {f"c{source.header.index(name)}": name for name in wanted.columns}
        self._open = lambda: system.open_input_file(path)
        self._source, self._part = source, part

    def chunks(self, batch: int) -> Iterator[Chunk]:
        """Hand out the rows in file order."""
        block = min(max(batch * 128, 1 << 16), 16 << 20)
        part = self._part
        with _asked(self._source.url, self._open) as file:
            file.seek(part.start)
            left = part.stop - part.start

            def read(size: int) -> bytes:
                nonlocal left
                data: bytes = file.read(min(size, left)) if left else b""
                left -= len(data)
                return data

            for piece in pieces(
                read, self._source.encoding, block, self._source.name, self.wanted.delimiter,
                line=part.line, offset=part.start,
            ):  # fmt: skip
                if len(piece.starts):
                    yield self._parse(piece)


class ParquetPart(ParquetFeed):
    """Some rows of a Parquet file."""

    def __init__(
        self, system: pa.fs.FileSystem, path: str, source: Input, part: Part, wanted: Wanted
    ) -> None:
        self.path = Path(source.name)
        self.wanted = wanted
        self.rows = part.rows
        self.point = wanted.point or source.point
        self._geometry = source.geometry
        self._open = lambda: system.open_input_file(path)
        self._source, self._part = source, part

    def chunks(self, batch: int) -> Iterator[Chunk]:
        """Hand out the rows in file order, at most `batch` at a time."""
        start, stop = self._part.start, self._part.stop
        try:
            with (
                _asked(self._source.url, self._open) as raw,
                pa.parquet.ParquetFile(raw, pre_buffer=True) as file,
            ):
                sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
                ends = np.cumsum(sizes)
                first = int(np.searchsorted(ends, start, side="right"))
                last = int(np.searchsorted(ends, stop, side="left"))
                at = int(ends[first] - sizes[first])
                for found in file.iter_batches(
                    batch, row_groups=list(range(first, last + 1)), columns=self._columns()
                ):
                    low, high = max(start - at, 0), min(stop - at, len(found))
                    if low < high:
                        table = pa.Table.from_batches([found.slice(low, high - low)])
                        lines = np.arange(at + low + 1, at + high + 1, dtype=np.int64)
                        yield _with_points(table, lines, self._geometry, self.wanted.columns)
                    at += len(found)
        except (pa.ArrowException, OSError) as error:
            raise Invalid(
                f"{self._source.name} is truncated or no Parquet file: {error}"
            ) from error


def _cut_parquet(base: Input, raw: Any, wanted: Wanted, part_rows: int) -> tuple[Input, list[Part]]:
    try:
        with pa.parquet.ParquetFile(raw) as file:
            names = file.schema_arrow.names
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            geo = (file.schema_arrow.metadata or {}).get(b"geo")
    except (pa.ArrowException, OSError) as error:
        raise Invalid(f"{base.name} is truncated or no Parquet file: {error}") from error
    _need(base, wanted, names)
    geometry = geometry_column(geo, names, base.name) if geo and not wanted.point else None
    done = Input(base.url, "parquet", base.size, base.changed, geometry, (), base.encoding)
    # row groups are kept whole unless one alone is more than a part
    edges = [0]
    at = 0
    for size in sizes:
        if at + size - edges[-1] > part_rows and at > edges[-1]:
            edges.append(at)
        while at + size - edges[-1] > part_rows:
            edges.append(edges[-1] + part_rows)
        at += size
    if at > edges[-1]:
        edges.append(at)
    parts = [
        Part(i, 0, start, stop, start + 1, stop - start)
        for i, (start, stop) in enumerate(itertools.pairwise(edges))
    ]
    return done, parts


def _cut_csv(
    base: Input, read: Callable[[int], bytes], wanted: Wanted, part_rows: int, packed: bool = False
) -> tuple[Input, list[Part]]:
    ahead = read(3)
    bom = ahead == _BOM
    size = len(ahead)

    def more(most: int) -> bytes:
        nonlocal ahead, size
        data = read(most)
        size += len(data)
        data, ahead = ahead + data, b""
        return data

    encoding = "utf-8" if bom else wanted.encoding
    names: list[str] | None = None
    parts: list[Part] = []
    start = line = rows = 0
    offset = 3 if bom else 0
    for piece in pieces(more, "bytes", _BLOCK, base.name, wanted.delimiter):
        starts = piece.starts
        if names is None and len(starts):
            header = _header(piece.text[starts[0] : piece.ends[0]], encoding, base.name)
            names = [n.strip() for n in split_fields(header, wanted.delimiter, base.name)]
            starts = starts[1:]
        at = 0
        while at < len(starts):
            if rows == 0:
                begin = int(starts[at])
                start, line = offset + begin, piece.first_line + piece.text.count(b"\n", 0, begin)
            take = min(part_rows - rows, len(starts) - at)
            rows, at = rows + take, at + take
            if rows == part_rows:
                stop = offset + (int(starts[at]) if at < len(starts) else len(piece.text))
                parts.append(Part(len(parts), 0, start, min(stop, size), line, rows))
                rows = 0
        offset += len(piece.text)
    if rows:
        parts.append(Part(len(parts), 0, start, size, line, rows))
    if names is None:
        raise Invalid(f"{base.name} is empty: not even a header line")
    _need(base, wanted, names)
    twice = [name for name in wanted.columns if names.count(name) > 1]
    if twice:
        raise Invalid(f"{base.name}: the header names column {twice[0]!r} twice")
    done = Input(
        base.url, "csv", base.size, base.changed, None, tuple(names), encoding,
        size if packed else 0,
    )  # fmt: skip
    return done, parts


def _header(text: bytes, encoding: str, name: str) -> str:
    try:
        return text.decode(encoding)
    except UnicodeDecodeError as error:
        raise Invalid(f"{name}, line 1: not {encoding} text") from error


def _need(base: Input, wanted: Wanted, names: Sequence[str]) -> None:
    missing = [name for name in wanted.columns if name not in names]
    if missing:
        raise Invalid(
            f"{base.name} has no column {', '.join(map(repr, missing))}; "
            f"its columns are {', '.join(map(repr, names))}"
        )


def _name(url: str) -> str:
    """Name of a file by path or URL, without its folders and what a URL asks besides."""
    return PurePosixPath(unquote(url.partition("?")[0]) if "://" in url else url).name


def _format(url: str) -> str | None:
    """Format by a name; None: it is not read."""
    name = _name(url).lower()
    return _SUFFIXES.get(PurePosixPath(name.removesuffix(".gz")).suffix)


def _system(text: str) -> tuple[Any, str, tuple[str, str]]:
    """File system, path in it, and what stands around a path of it in a URL (empty: local)."""
    if "://" not in text:
        return pa.fs.LocalFileSystem(), str(Path(text).resolve()), ("", "")
    try:
        system, path = pa.fs.FileSystem.from_uri(text)
    except (pa.ArrowException, ValueError, OSError) as error:
        raise Invalid(f"{text} is no address of a file: {error}") from error
    scheme, _, rest = text.partition("://")
    return system, path, (f"{scheme}://", "".join(rest.partition("?")[1:]))


def _asked(url: str, call: Any) -> Any:
    """Ask a store; its refusal is told as ours."""
    try:
        return call()
    except FileNotFoundError as error:
        raise NotFound(f"no file {url}") from error
    except (OSError, pa.ArrowException) as error:
        raise Unavailable(f"{url} cannot be read: {error}") from error
