"""The reader of GeoJSON rows: GDAL reads the features, codes beyond 64 bits keep their digits.

Imports pyogrio and `app.services.event_files`, whose promises hold here. GDAL reads a number of more
than 18 digits as a float. A file with such a number is therefore read from a copy in the temporary
folder in which those numbers stand in quotes; the copy is made and read in pieces, and is gone with
the feed.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from app.errors import Invalid
from app.services.event_files import (
    GEOMETRY,
    Broken,
    Chunk,
    Feed,
    Wanted,
    _whole,
    _with_points,
    is_gzip,
    open_binary,
)
from app.services.event_persons import shown
from app.services.text_records import check_utf8

#: a file up to this size is read again to tell broken coordinates from none
_LARGEST_READ_AGAIN = 512 << 20
_BLOCK = 4 << 20
#: a whole string; else a whole number beyond 64 bits; else the beginning of a string cut off
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|(?<![\w.+-])(-?\d{19,})(?=[\s,\]}])|(")', re.DOTALL)
#: what a number is made of: at the end of a block it may go on in the next
_NUMBER = b"0123456789+-.eE"
#: no text of a record is as long; a quote was never closed
_LONGEST_TEXT = 64 << 20
_LONG = re.compile(rb"\d{19}")


def quote_long_numbers(stream: BinaryIO, out: BinaryIO, block: int = _BLOCK) -> int:
    """Copy JSON; whole numbers of 19 and more digits become strings of the same digits.

    Parameters
    ----------
    stream, out
        JSON as UTF-8; what stands in strings is copied as it is.
    block
        Bytes in memory at a time (more while one string is longer).

    Returns
    -------
    int
        Numbers put in quotes.

    Raises
    ------
    Invalid
        A text that does not end.
    """
    quoted = 0
    rest = b""
    while True:
        more = stream.read(block)
        text = rest + more
        at = 0
        # what may go on in the next block is left for it
        end = len(text.rstrip(_NUMBER)) if more else len(text)
        for token in _TOKEN.finditer(text):
            if more and (token[2] or token.end() >= end):
                end = min(end, token.start())
                break
            if token[1]:
                out.write(text[at : token.start()] + b'"' + token[1] + b'"')
                at = token.end()
                quoted += 1
        if not more:
            out.write(text[at:])
            return quoted
        out.write(text[at:end])
        rest = text[end:]
        if len(rest) > _LONGEST_TEXT:
            raise Invalid("a text of more than 64 MB: a quote is not closed")


class GeoJsonFeed(Feed):
    """A GeoJSON feature collection of points, read by GDAL in batches."""

    def __init__(self, path: Path, wanted: Wanted) -> None:
        super().__init__(path, wanted)
        with open_binary(path) as stream:
            check_utf8(_whole(stream.read, path), path.name)
        self._where = ("/vsigzip/" if is_gzip(path) else "") + str(path.resolve())
        self._copy = self._with_long_numbers_quoted()
        if self._copy is not None:
            self._where = self._copy.name
        if self.point is None:
            self.point = GEOMETRY
        import pyogrio

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                info = pyogrio.read_info(self._where, force_feature_count=True)
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
            raise Invalid(f"{path.name} is truncated or no GeoJSON: {error}") from error
        self.rows = int(info["features"])
        self._fields = list(info["fields"])
        self._stated: dict[int, str] | None = None
        self._need(self._fields, wanted.optional)

    def _with_long_numbers_quoted(self) -> Any:
        """Open a temporary copy whose long numbers are strings; None: there are none."""
        before = b""
        with open_binary(self.path) as stream:
            while block := stream.read(_BLOCK):
                if _LONG.search(before + block):
                    break
                before = block[-18:]
            else:
                return None
        copy = tempfile.NamedTemporaryFile(prefix="wusetu-", suffix=".geojson")  # noqa: SIM115 - it lives as long as the feed
        with open_binary(self.path) as stream:
            quoted = quote_long_numbers(stream, copy)  # type: ignore[arg-type]
        copy.flush()
        if quoted:
            return copy
        copy.close()
        return None

    def chunks(self, batch: int) -> Iterator[Chunk]:
        """Hand out the rows in file order, at most `batch` at a time."""
        import pyogrio

        names = self.wanted.columns
        there = [name for name in names if name in self._fields]
        geometry = self.wanted.point is None
        at = 1
        with pyogrio.raw.open_arrow(
            self._where,
            columns=there,
            read_geometry=geometry,
            batch_size=batch,
            use_pyarrow=True,
            datetime_as_string=True,
        ) as (meta, reader):
            name = meta["geometry_name"] or "wkb_geometry"
            while (record_batch := _quietly(reader)) is not None:
                table = pa.Table.from_batches([record_batch])
                lines = np.arange(at, at + len(table), dtype=np.int64)
                at += len(table)
                broken: list[Broken] = []
                if geometry and table[name].null_count:
                    table, lines, broken = self._without_broken(table, lines, name)
                chunk = _with_points(table, lines, name if geometry else None, names)
                yield Chunk(chunk.table, chunk.lines, [*broken, *chunk.broken])

    def _without_broken(
        self, table: pa.Table, lines: npt.NDArray[np.int64], name: str
    ) -> tuple[pa.Table, npt.NDArray[np.int64], list[Broken]]:
        """Take out the rows without a geometry whose feature does state coordinates."""
        if self._stated is None:
            self._stated = self._coordinates()
        unread = table[name].is_null().to_numpy()
        wrong = np.array(
            [bad and line in self._stated for bad, line in zip(unread, lines.tolist(), strict=True)]
        )
        broken = [
            Broken(line, "geometry", self._stated[line], "bad_coordinate",
                   "is no pair of numbers")
            for line in lines[wrong].tolist()
        ]  # fmt: skip
        return table.filter(pa.array(~wrong)), lines[~wrong], broken

    def _coordinates(self) -> dict[int, str]:
        """Find what features state as coordinates that are no two numbers, by feature number."""
        with open_binary(self.path) as stream:
            data = stream.read(_LARGEST_READ_AGAIN + 1)
        if len(data) > _LARGEST_READ_AGAIN:
            return {}
        try:
            features = orjson.loads(data)["features"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return {}
        if len(features) != self.rows:
            return {}
        stated = {}
        for number, feature in enumerate(features, 1):
            geometry = feature.get("geometry") if isinstance(feature, dict) else None
            given = geometry.get("coordinates") if isinstance(geometry, dict) else geometry
            # no geometry, or an empty point, is an event without a place
            if given is None or given == []:
                continue
            numbers = isinstance(given, list) and len(given) >= 2
            if not numbers or any(type(v) not in (int, float) for v in given[:2]):
                stated[number] = shown(orjson.dumps(given).decode("utf-8"))
        return stated


def _quietly(reader: Any) -> Any:
    """Next batch, None at the end; what GDAL says of single features is told as `Broken`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return next(iter(reader), None)
