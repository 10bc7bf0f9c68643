"""Readers of files of rows: CSV, NDJSON, Parquet (GeoJSON: `event_geojson`), as Arrow tables.

Imports pyarrow and shapely; knows nothing of the database. Promises: memory is bounded by
the batch; every row carries its place (physical line of a CSV or NDJSON file, also behind quoted
newlines; row number of Parquet, feature number of GeoJSON; all from 1); `open_feed` reads the file
once from end to end before it answers, so what spoils the file as a whole (empty, truncated, wrong
encoding, a quote never closed, a column that is not there) is told before any row is handed out. A
row that cannot be read is a `Broken`, not an error.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from app.errors import Invalid, NotFound
from app.services.text_records import Piece, pieces, split_fields

#: names of the two columns a geometry becomes when the mapping names no point columns
GEOMETRY = ("geometry (x)", "geometry (y)")
FORMATS = ("csv", "ndjson", "geojson", "parquet")
_SUFFIXES = {
    ".csv": "csv", ".txt": "csv", ".tsv": "csv",
    ".ndjson": "ndjson", ".jsonl": "ndjson", ".geojsonl": "ndjson",
    ".geojson": "geojson",
    ".parquet": "parquet", ".pq": "parquet", ".geoparquet": "parquet",
}  # fmt: skip
_SAMPLE_LINES = 1000
#: an integer that may be beyond 64 bits
_LONG_INTEGER = re.compile(rb"[:,\[\s]-?\d{19,}")


@dataclass(frozen=True)
class Broken:
    """A row that is not loaded: its place, and what is wrong with it.

    The value is that of a mapped column; the rest of a row is never copied, for it may hold what
    is about a person.
    """

    line: int
    column: str
    value: str
    reason: str
    text: str


@dataclass(frozen=True)
class Chunk:
    """Some rows of a file.

    table : the mapped columns, as found (text, numbers or timestamps)
    lines : int64 (n,), place of each row
    broken : rows of this part of the file that could not be read
    """

    table: pa.Table
    lines: npt.NDArray[np.int64]
    broken: list[Broken] = field(default_factory=list)


@dataclass(frozen=True)
class Wanted:
    """What to read: columns by name, and how the text is written.

    optional : columns that formats which leave out what is empty (JSON) need not have
    point : columns of east and north among them; None: take a geometry when the file has one
    """

    columns: tuple[str, ...]
    optional: tuple[str, ...] = ()
    point: tuple[str, str] | None = None
    encoding: str = "utf-8"
    delimiter: str = ","


class Feed(ABC):
    """A file of rows that was read once and found whole.

    Attributes
    ----------
    rows : int
        Rows in the file, readable or not.
    point : (str, str) or None
        Columns of east and north in the chunks' tables.
    """

    def __init__(self, path: Path, wanted: Wanted) -> None:
        self.path = path
        self.wanted = wanted
        self.rows = 0
        self.point = wanted.point

    @abstractmethod
    def chunks(self, batch: int) -> Iterator[Chunk]:
        """Hand out the rows in file order, at most `batch` at a time."""

    def _need(self, there: Sequence[str], optional: Sequence[str] = ()) -> None:
        missing = [n for n in self.wanted.columns if n not in there and n not in optional]
        if missing:
            raise Invalid(
                f"{self.path.name} has no column {', '.join(map(repr, missing))}; "
                f"its columns are {', '.join(map(repr, there))}"
            )


def open_feed(path: str | Path, wanted: Wanted) -> Feed:
    """Open a file of rows and read it once to the end.

    Raises
    ------
    NotFound
        There is no such file.
    Invalid
        The file as a whole cannot be used; the message says where and why.
    """
    from app.services.event_geojson import GeoJsonFeed  # it is made of what stands here

    path = Path(path)
    kinds: dict[str, type[Feed]] = {
        "csv": CsvFeed, "ndjson": JsonFeed, "geojson": GeoJsonFeed, "parquet": ParquetFeed,
    }  # fmt: skip
    feed = kinds[file_format(path)](path, wanted)
    if feed.rows == 0:
        raise Invalid(f"{path.name} has no rows")
    return feed


def column_names(path: str | Path, wanted: Wanted) -> list[str]:
    """Names of the columns of a CSV or Parquet file; the columns of `wanted` play no part.

    Raises
    ------
    NotFound, Invalid
        There is no such file, or it has no columns to name.
    """
    path = Path(path)
    format_ = file_format(path)
    if format_ == "parquet":
        try:
            return list(pa.parquet.read_schema(path).names)
        except (pa.ArrowException, OSError) as error:
            raise Invalid(f"{path.name} is truncated or no Parquet file: {error}") from error
    if format_ != "csv":
        raise Invalid(f"{path.name}: CSV or Parquet is read here, not {format_}")
    for piece in text_pieces(path, wanted.encoding, 1 << 20, wanted.delimiter):
        if len(piece.starts):
            return [n.strip() for n in split_fields(piece.record(0), wanted.delimiter, path.name)]
    raise Invalid(f"{path.name} is empty: not even a header line")


def file_format(path: Path) -> str:
    """Format of a file, one of `FORMATS`, by its name and first bytes.

    Raises
    ------
    NotFound
        There is no such file.
    Invalid
        Empty, or not one of the formats that are read.
    """
    if not path.is_file():
        raise NotFound(f"no file {path}")
    if path.stat().st_size == 0:
        raise Invalid(f"{path.name} is empty (0 bytes)")
    with path.open("rb") as file:
        head = file.read(4)
    if head == b"PAR1":
        return "parquet"
    suffixes = [s.lower() for s in path.suffixes]
    name = suffixes[-1] if suffixes else ""
    if name == ".gz":
        name = suffixes[-2] if len(suffixes) > 1 else ""
    if name == ".json":
        with open_binary(path) as stream:
            start = _whole(stream.read, path)(65536)
        return "geojson" if b"FeatureCollection" in start else "ndjson"
    if name not in _SUFFIXES:
        raise Invalid(
            f"{path.name}: format not known by its name; read are "
            f"{', '.join(_SUFFIXES)} and .json, text formats also with .gz"
        )
    return _SUFFIXES[name]


def is_gzip(path: Path) -> bool:
    """Tell by the first bytes whether a file is gzip."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def open_binary(path: Path) -> BinaryIO:
    """Open a file's bytes as a stream, unpacked when it is gzip."""
    return cast("BinaryIO", gzip.open(path, "rb") if is_gzip(path) else path.open("rb"))


def _whole(call: Any, path: Path) -> Any:
    """`call`, with the errors of a broken gzip file told as ours."""

    def wrapped(*args: Any) -> Any:
        try:
            return call(*args)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Invalid(f"{path.name} is truncated or damaged: {error}") from error

    return wrapped


def text_pieces(path: Path, encoding: str, block: int, quoted: str | None) -> Iterator[Piece]:
    """Pieces of a text file as UTF-8, cut between records; see `text_records.pieces`."""
    with open_binary(path) as stream:
        yield from pieces(_whole(stream.read, path), encoding, block, path.name, quoted)


class CsvFeed(Feed):
    """Comma-separated text with a header line."""

    def __init__(self, path: Path, wanted: Wanted) -> None:
        super().__init__(path, wanted)
        names: list[str] | None = None
        for piece in text_pieces(path, wanted.encoding, 4 << 20, wanted.delimiter):
            if names is None and len(piece.starts):
                names = [
                    n.strip() for n in split_fields(piece.record(0), wanted.delimiter, path.name)
                ]
                self.rows -= 1
            self.rows += len(piece.starts)
        if names is None:
            raise Invalid(f"{path.name} is empty: not even a header line")
        self._need(names)
        used = wanted.columns
        twice = [name for name in used if names.count(name) > 1]
        if twice:
            raise Invalid(f"{path.name}: the header names column {twice[0]!r} twice")
        self._width = len(names)
        self._used = {f"c{names.index(name)}": name for name in used}

    def chunks(self, batch: int) -> Iterator[Chunk]:
        """Hand out the rows in file order, at most `batch` at a time."""
        block = min(max(batch * 128, 1 << 16), 16 << 20)
        header = True
        for whole in text_pieces(self.path, self.wanted.encoding, block, self.wanted.delimiter):
            piece = whole
            if header and len(piece.starts):
                piece, header = piece.without_first(), False
            if len(piece.starts):
                yield from _slices(self._parse(piece), batch)

    def _parse(self, piece: Piece) -> Chunk:
        wrong: list[tuple[int, int]] = []  # record (from 0), fields found

        def skip(row: Any) -> str:
            wrong.append((row.number - 1, row.actual_columns))
            return "skip"

        table = pa.csv.read_csv(
            pa.BufferReader(piece.text),
            read_options=pa.csv.ReadOptions(
                use_threads=False,
                column_names=[f"c{i}" for i in range(self._width)],
                block_size=len(piece.text) + 1,
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=self.wanted.delimiter,
                newlines_in_values=True,
                invalid_row_handler=skip,
            ),
            convert_options=pa.csv.ConvertOptions(
                check_utf8=False,
                include_columns=list(self._used),
                column_types=dict.fromkeys(self._used, pa.string()),
                strings_can_be_null=False,
            ),
        ).rename_columns(list(self._used.values()))
        lines = piece.lines()
        if len(table) + len(wrong) != len(lines):
            raise Invalid(
                f"{self.path.name}: between lines {lines[0]} and {lines[-1]} the quotes do not "
                f"allow to tell {len(lines)} records from {len(table) + len(wrong)}"
            )
        keep = np.ones(len(lines), dtype=bool)
        broken = []
        for row, found in wrong:
            keep[row] = False
            text = f"{found} fields where the header has {self._width}"
            broken.append(Broken(int(lines[row]), "", "", "fields", text))
        return Chunk(table, lines[keep], broken)


class JsonFeed(Feed):
    """One JSON object per line; a column may be a path through objects, `a.b`."""

    def __init__(self, path: Path, wanted: Wanted) -> None:
        super().__init__(path, wanted)
        seen: dict[str, None] = {}
        found: set[str] = set()
        checked = 0
        for piece in text_pieces(path, wanted.encoding, 4 << 20, None):
            for row in range(min(len(piece.starts), _SAMPLE_LINES - checked)):
                try:
                    body = orjson.loads(piece.record(row))
                except orjson.JSONDecodeError:
                    continue
                if isinstance(body, dict):
                    seen.update(dict.fromkeys(body))
                    found |= {n for n in wanted.columns if _reach(body, n) is not None}
            checked = min(_SAMPLE_LINES, checked + len(piece.starts))
            self.rows += len(piece.starts)
        if self.rows == 0:
            raise Invalid(f"{path.name} is empty: no line with content")
        if not seen:
            raise Invalid(f"{path.name}: no line of the first {checked} is a JSON object")
        # a column may be left out where it is empty; one that is never there is a mistake
        self._need([*seen, *(name for name in found if name not in seen)], wanted.optional)

    def chunks(self, batch: int) -> Iterator[Chunk]:
        """Hand out the rows in file order, at most `batch` at a time."""
        block = min(max(batch * 256, 1 << 16), 16 << 20)
        for piece in text_pieces(self.path, self.wanted.encoding, block, None):
            if len(piece.starts):
                yield from _slices(self._parse(piece), batch)

    def _parse(self, piece: Piece) -> Chunk:
        names = self.wanted.columns
        lines = piece.lines()
        keep = np.ones(len(lines), dtype=bool)
        broken: list[Broken] = []
        bodies: list[dict[str, Any]] = []
        for row, record in enumerate(piece.records()):
            try:
                body = orjson.loads(record)
                problem = None if isinstance(body, dict) else "is not a JSON object"
            except orjson.JSONDecodeError as error:
                problem = f"is not JSON: {error}"
            if problem is None and _LONG_INTEGER.search(record):
                # read as a float it would lose its digits: it is kept as text
                body = json.loads(record, parse_int=_integer)
            if problem:
                keep[row] = False
                broken.append(Broken(int(lines[row]), "", "", "json", f"the line {problem}"))
            else:
                bodies.append(body)
        columns = {}
        for name in names:
            simple = all(name in body for body in bodies[:_SAMPLE_LINES])
            values = [b.get(name) for b in bodies] if simple else [_reach(b, name) for b in bodies]
            columns[name] = _json_column(values)
        return Chunk(pa.table(columns), lines[keep], broken)


def _integer(digits: str) -> int | str:
    return digits if len(digits) > 18 else int(digits)


def _reach(body: dict[str, Any], name: str) -> Any:
    if name in body or "." not in name:
        return body.get(name)
    value: Any = body
    for step in name.split("."):
        if isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, dict):
            value = value.get(step)
        else:
            return None
    return value


def _json_column(values: list[Any]) -> pa.Array:
    try:
        # numbers only, or text only: the common cases
        array = pa.array(values)
        if array.type in (pa.string(), pa.float64(), pa.int64()) or array.null_count == len(array):
            return array
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        pass
    text = [
        v if v is None or isinstance(v, str) else orjson.dumps(v).decode("utf-8") for v in values
    ]
    return pa.array(text, pa.string())


class ParquetFeed(Feed):
    """Parquet; GeoParquet points are used when the mapping names no point columns."""

    def __init__(self, path: Path, wanted: Wanted) -> None:
        super().__init__(path, wanted)
        self._geometry: str | None = None
        try:
            with pa.parquet.ParquetFile(path) as file:
                self.rows = file.metadata.num_rows
                names = file.schema_arrow.names
                geo = (file.schema_arrow.metadata or {}).get(b"geo")
                if geo and self.point is None:
                    self._geometry = geometry_column(geo, names, path.name)
                    self.point = GEOMETRY
                self._need(names)
                for _ in file.iter_batches(65536, columns=self._columns()):
                    pass
        except (pa.ArrowException, OSError) as error:
            raise Invalid(f"{path.name} is truncated or no Parquet file: {error}") from error

    def _columns(self) -> list[str]:
        extra = [self._geometry] if self._geometry else []
        return [*self.wanted.columns, *extra]

    def chunks(self, batch: int) -> Iterator[Chunk]:
        """Hand out the rows in file order, at most `batch` at a time."""
        names = self.wanted.columns
        at = 1
        with pa.parquet.ParquetFile(self.path) as file:
            for record_batch in file.iter_batches(batch, columns=self._columns()):
                table = pa.Table.from_batches([record_batch])
                lines = np.arange(at, at + len(table), dtype=np.int64)
                at += len(table)
                yield _with_points(table, lines, self._geometry, names)


def geometry_column(geo: bytes, names: list[str], where: str) -> str:
    """Name the column of the points, by the GeoParquet metadata of a file.

    Raises
    ------
    Invalid
        The metadata is no JSON object, or names no column of the file.
    """
    try:
        body = orjson.loads(geo)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"{where}: its GeoParquet metadata (`geo`) is no JSON: {error}") from error
    column = body.get("primary_column") if isinstance(body, dict) else None
    if not isinstance(column, str) or column not in names:
        raise Invalid(
            f"{where}: its GeoParquet metadata (`geo`) names no column with points "
            f"(`primary_column` is {str(column)[:40]!r})"
        )
    return column


def _with_points(
    table: pa.Table, lines: npt.NDArray[np.int64], geometry: str | None, names: Iterable[str]
) -> Chunk:
    """Chunk of a table, its geometry column turned into the columns `GEOMETRY`."""
    for name in names:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), pa.string()))
    if geometry is None:
        return Chunk(table.select(list(names)), lines)
    import shapely

    shapes, curved = _read_shapes(table[geometry].to_numpy(zero_copy_only=False))
    given = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    good = ~given | (shapely.get_type_id(shapes) == 0)
    good &= ~curved
    broken = [
        Broken(
            int(lines[row]), geometry, "curve" if curved[row] else shapes[row].geom_type,
            "geometry", "is not a point",
        )
        for row in np.flatnonzero(~good)
    ]  # fmt: skip
    x, y = shapely.get_x(shapes), shapely.get_y(shapes)
    result = table.select(list(names))
    for name, values in zip(GEOMETRY, (x, y), strict=True):
        column = pa.array(values, pa.float64(), mask=~given | ~good)
        result = result.append_column(name, column)
    if broken:
        return Chunk(result.filter(pa.array(good)), lines[good], broken)
    return Chunk(result, lines)


def _read_shapes(bodies: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Shapes of WKB, None for what cannot be read, and which of them are curves."""
    import shapely

    try:
        return shapely.from_wkb(bodies, on_invalid="ignore"), np.zeros(len(bodies), bool)
    except NotImplementedError:  # one curve, and nothing of the others is told
        shapes, curved = np.full(len(bodies), None, object), np.zeros(len(bodies), bool)
        for row, body in enumerate(bodies):
            try:
                shapes[row] = shapely.from_wkb(body, on_invalid="ignore")
            except NotImplementedError:
                curved[row] = True
        return shapes, curved


def _slices(chunk: Chunk, batch: int) -> Iterator[Chunk]:
    if len(chunk.table) <= batch:
        yield chunk
        return
    for at in range(0, len(chunk.table), batch):
        yield Chunk(
            chunk.table.slice(at, batch),
            chunk.lines[at : at + batch],
            chunk.broken if at == 0 else [],
        )


def quiet(value: str) -> str:
    """Write a value so that a spreadsheet does not run it as a formula."""
    # the wide ones begin a formula too in Chinese Excel
    formula = value[:1] in tuple("=+@＝＋＠\t\r\n") or (
        value[:1] in ("-", "－") and not value[1:2].isdigit()
    )
    return "'" + value if formula else value
