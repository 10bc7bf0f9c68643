"""Vector tiles (Mapbox Vector Tile 2.1) from whole columns at once.

Pure numpy and shapely. Written because a general encoder, one geometry at a time, takes several
times as long: the points of all features of a zoom are turned into commands in one pass.
Numbers in comments are field numbers of the specification's `vector_tile.proto`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiles.rings import Geoms, Int, Rings, from_geometries

POINT, POLYGON = 1, 3
MOVE_TO_ONE, CLOSE = 9, 15

Value = str | int | float | None


def varint(value: int) -> bytes:
    """One unsigned number, protobuf base-128."""
    return SMALL[value] if value < MANY else _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


MANY = 1 << 14
SMALL = tuple(_varint(value) for value in range(MANY))
"""The numbers tags and lengths are mostly made of."""


def varints(values: Int) -> tuple[bytes, Int]:
    """Many unsigned numbers.

    Parameters
    ----------
    values : int64 (m,)
        In `[0, 2**63)`.

    Returns
    -------
    data : bytes
        All encodings one after the other.
    ends : int64 (m,)
        End of each in `data`.
    """
    size = np.ones(len(values), np.int64)
    limit = 7
    while limit < 63 and (more := values >= (1 << limit)).any():
        size += more
        limit += 7
    ends = np.cumsum(size)
    out = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
    begin = ends - size
    for k in range(int(size.max(initial=0))):
        has = size > k
        part = (values[has] >> (7 * k)) & 0x7F
        out[begin[has] + k] = part | np.where(size[has] > k + 1, 0x80, 0)
    return out.tobytes(), ends


def zigzag(values: Int) -> Int:
    """Signed to unsigned: 0, −1, 1, −2 become 0, 1, 2, 3."""
    return (values << 1) ^ (values >> 63)


def polygon_commands(geoms: Geoms, origin: Int) -> list[bytes]:
    """Geometry field of each polygon feature.

    Parameters
    ----------
    geoms : object (n,)
        Polygons in whole tile units of the world; points that are not (where an edge was cut)
        are rounded, the same way on both sides of a border.
    origin : int64 (n, 2)
        Upper left corner of the tile of each feature, same units.

    Returns
    -------
    list of bytes
        Packed commands; empty where the polygon has no area at this resolution.
    """
    rings = from_geometries(geoms)
    if not len(rings.xy):
        return [b""] * len(geoms)
    local = rings.xy - np.repeat(origin[rings.feature], rings.length, axis=0)
    return ring_commands(
        Rings(local, rings.length, rings.polygon, rings.hole, rings.feature, rings.n)
    )


def ring_commands(rings: Rings) -> list[bytes]:
    """Geometry field of each polygon feature, from rings in units of their tile."""
    return _commands(rings.cleaned().oriented())


def _commands(rings: Rings) -> list[bytes]:
    if not len(rings.xy):
        return [b""] * rings.n
    length, start = rings.length, rings.start
    point_feature = np.repeat(rings.feature, length)
    before = np.concatenate([np.zeros((1, 2), np.int64), rings.xy[:-1]])
    before[np.concatenate([[True], point_feature[1:] != point_feature[:-1]])] = 0
    delta = zigzag(rings.xy - before)
    # a ring is: move-to, x, y, line-to (n - 1), (n - 1) * (x, y), close
    first = np.cumsum(2 * length + 3) - (2 * length + 3)
    out = np.empty(int((2 * length + 3).sum()), np.int64)
    out[first] = MOVE_TO_ONE
    out[first + 3] = (length - 1) << 3 | 2
    out[first + 2 * length + 2] = CLOSE
    place = np.arange(len(rings.xy)) - np.repeat(start, length)
    at = np.repeat(first, length) + np.where(place == 0, 1, 2 + 2 * place)
    out[at], out[at + 1] = delta[:, 0], delta[:, 1]
    data, ends = varints(out)
    numbers = np.bincount(rings.feature, weights=2 * length + 3, minlength=rings.n)
    last = np.cumsum(numbers.astype(np.int64))
    stop = np.where(last > 0, ends[np.maximum(last - 1, 0)], 0)
    begin = np.concatenate([[0], stop[:-1]])
    return [data[a:b] for a, b in zip(begin.tolist(), stop.tolist(), strict=True)]


def point_commands(local: Int) -> list[bytes]:
    """Geometry field of single points, int64 (n, 2) in units of their tile."""
    signed = zigzag(local)
    head = bytes([MOVE_TO_ONE])
    return [head + varint(x) + varint(y) for x, y in signed.tolist()]


@dataclass(frozen=True)
class Columns:
    """Properties of all features of a source, encoded once and used in many tiles.

    Attributes
    ----------
    keys : tuple of str
    rows : list of tuple
        Encoded values per feature, one per key; empty where the feature has not this key.
    ids : list of bytes
        Encoded feature id field per feature.
    """

    keys: tuple[str, ...]
    rows: list[tuple[bytes, ...]]
    ids: list[bytes]

    @classmethod
    def of(cls, ids: NDArray[np.integer], columns: dict[str, Sequence[Value]]) -> Columns:
        """Encode; strings stay strings, whole numbers (from 0) become unsigned numbers, others doubles.

        None: the feature has not this key.
        """
        encoded = [[_value(v) for v in column] for column in columns.values()]
        return cls(
            tuple(columns),
            list(zip(*encoded, strict=True)) if encoded else [()] * len(ids),
            [b"\x08" + varint(int(i)) for i in ids],  # Feature.id = 1
        )


def _value(value: Value) -> bytes:
    if value is None:
        return b""
    if isinstance(value, float):
        return b"\x19" + struct.pack("<d", value)  # Value.double_value = 3
    if isinstance(value, str):
        text = value.encode()
        return b"\x0a" + varint(len(text)) + text  # Value.string_value = 1
    return b"\x28" + varint(value)  # Value.uint_value = 5


def layer(
    name: str,
    columns: Columns,
    features: Sequence[int],
    commands: Sequence[bytes],
    *,
    kind: int,
    extent: int,
) -> bytes:
    """One layer of a tile, ready to be joined to others.

    Parameters
    ----------
    name : str
    columns : Columns
    features : sequence of int
        Row of `columns` of each feature.
    commands : sequence of bytes
        Geometry field of each feature; features with an empty one are left out.
    kind : int
        `POINT` or `POLYGON`.
    extent : int
        Tile units per edge.

    Returns
    -------
    bytes
        Empty when no feature is left.
    """
    values: dict[bytes, int] = {}
    body = bytearray()
    shape = b"\x18" + bytes([kind]) + b"\x22"  # Feature.type = 3, Feature.geometry = 4
    for row, command in zip(features, commands, strict=True):
        if not command:
            continue
        tags = b"".join(
            [
                key + varint(values.setdefault(value, len(values)))
                for key, value in zip(SMALL, columns.rows[row], strict=False)
                if value
            ]
        )
        rest = b"".join((varint(len(tags)), tags, shape, varint(len(command)), command))
        feature = columns.ids[row] + b"\x12" + rest  # Feature.tags = 2
        body += b"\x12" + varint(len(feature)) + feature  # Layer.features = 2
    if not body:
        return b""
    title = name.encode()
    head = b"\x78\x02\x0a" + varint(len(title)) + title  # Layer.version = 15, Layer.name = 1
    for text in columns.keys:
        key_text = text.encode()
        body += b"\x1a" + varint(len(key_text)) + key_text  # Layer.keys = 3
    for value in values:
        body += b"\x22" + varint(len(value)) + value  # Layer.values = 4
    body += b"\x28" + varint(extent)  # Layer.extent = 5
    return b"\x1a" + varint(len(head) + len(body)) + head + bytes(body)  # Tile.layers = 3
