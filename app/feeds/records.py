"""Rows that come as JSON or as objects, put into a chunk. Imports `event_files`.

Promises: only the mapped columns are taken; a line that is no JSON object is a broken row, never the
end of the batch; whole numbers beyond 64 bits keep their digits; a column may be a path, `a.b` or
`coordinates.0`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from app.errors import Invalid
from app.services.event_files import (
    _LONG_INTEGER,
    Broken,
    Chunk,
    _integer,
    _json_column,
    _reach,
)
from app.services.event_mapping import EventMapping

NOT_JSON = "json"
#: lines of one answer or request
MOST_LINES = 1_000_000


def read_json(text: bytes) -> Any:
    """Read JSON; numbers of more than 18 digits become text.

    Raises
    ------
    ValueError
        It is none.
    """
    if _LONG_INTEGER.search(text):
        orjson.loads(text)  # the other reader takes what is no text: halves of surrogates
        return json.loads(text, parse_int=_integer, parse_constant=_no_number)
    return orjson.loads(text)


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def lines_of(text: bytes, most: int = MOST_LINES) -> list[Any]:
    """Read NDJSON; a line that cannot be read is an exception in its place.

    Raises
    ------
    Invalid
        There are more than `most`; what a line becomes is many times larger than a short line.
    """
    found: list[Any] = []
    for line in io.BytesIO(text):
        if not line.strip():
            continue
        if len(found) == most:
            raise Invalid(f"more than {most:,} lines")
        try:
            found.append(read_json(line))
        except (ValueError, RecursionError) as error:
            found.append(ValueError(f"the line is not JSON: {str(error)[:120]}"))
    return found


def records_of(text: bytes, path: str = "") -> list[Any]:
    """Read a JSON document: a list, or the list at `path` in it.

    Raises
    ------
    Invalid
        It is no JSON, or there is no list at that place.
    """
    try:
        body = read_json(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"the answer is no JSON: {str(error)[:120]}") from error
    found = body
    if path:
        found = _reach(body, path) if isinstance(body, dict) else None
    if not isinstance(found, list):
        raise Invalid(f"there is no list of rows at {path!r}" if path else "it is no list of rows")
    return found


def chunk_of(records: Sequence[Any], mapping: EventMapping) -> Chunk:
    """Chunk of records: dictionaries, or an exception for what could not be read; lines from 1."""
    lines: list[int] = []
    bodies: list[dict[str, Any]] = []
    broken: list[Broken] = []
    for line, one in enumerate(records, 1):
        if isinstance(one, dict):
            lines.append(line)
            bodies.append(one)
        else:
            said = str(one) if isinstance(one, ValueError) else "the row is not a JSON object"
            broken.append(Broken(line, "", "", NOT_JSON, said))
    columns = {
        name: _column([_reach(body, name) for body in bodies]) for name in mapping.columns.names()
    }
    return Chunk(pa.table(columns), np.array(lines, dtype=np.int64), broken)


def _column(values: list[Any]) -> pa.Array:
    try:
        array = pa.array(values)
        if pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
            return array
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        pass
    return _json_column(values)
