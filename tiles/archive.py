"""Tile archives: one PMTiles (version 3) file, named by its own digest and never changed.

May import the `pmtiles` library only. `write` is atomic: the file appears under its name whole or
not at all. `Archive` reads the directory once; after that a tile is one search and one `pread`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pmtiles.tile import (
    Compression,
    TileType,
    deserialize_directory,
    deserialize_header,
    tileid_to_zxy,
    zxy_to_tileid,
)
from pmtiles.writer import Writer

HEADER = 127
DIGEST = re.compile(r"[0-9a-f]{64}")


class ArchiveError(Exception):
    """The archive is missing, cut short or not an archive; the message says which and where."""


@dataclass(frozen=True)
class Written:
    """What `write` made."""

    digest: str
    bytes: int
    tiles: int


def path_of(folder: Path, digest: str) -> Path:
    """File of an archive.

    Raises
    ------
    ArchiveError
        When `digest` is not 64 hexadecimal digits: a digest comes from addresses.
    """
    if not DIGEST.fullmatch(digest):
        raise ArchiveError(f"not a digest: {digest[:80]!r}")
    return folder / f"{digest}.pmtiles"


def write(
    folder: Path,
    tiles: Iterable[tuple[int, int, int, bytes]],
    bounds: tuple[float, float, float, float],
    metadata: Mapping[str, Any],
) -> Written:
    """Write an archive; the same tiles and metadata give the same file and digest.

    Parameters
    ----------
    folder : Path
        Made if missing.
    tiles : iterable of (z, x, y, gzip bytes)
        In any order, each address once.
    bounds : tuple of float
        West south east north, degrees.
    metadata : mapping
        JSON, kept in the archive.

    Raises
    ------
    ValueError
        When there is no tile at all.
    """
    entries = sorted((zxy_to_tileid(z, x, y), data) for z, x, y, data in tiles)
    if not entries:
        raise ValueError("an archive needs at least one tile")
    folder.mkdir(parents=True, exist_ok=True)
    header = _header(tileid_to_zxy(entries[0][0])[0], bounds)
    handle, name = tempfile.mkstemp(prefix=".writing-", suffix=".pmtiles", dir=folder)
    try:
        with os.fdopen(handle, "w+b") as file:
            writer: Any = Writer(file)  # type: ignore[no-untyped-call]
            for tile_id, data in entries:
                writer.write_tile(tile_id, data)
            writer.finalize(header, dict(metadata))
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.chmod(name, 0o644)
        os.replace(name, path_of(folder, digest))
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Written(digest, size, len(entries))


def _header(low: int, bounds: tuple[float, float, float, float]) -> dict[str, Any]:
    west, south, east, north = (round(v * 1e7) for v in bounds)
    return {
        "tile_type": TileType.MVT,
        "tile_compression": Compression.GZIP,
        "min_lon_e7": west,
        "min_lat_e7": south,
        "max_lon_e7": east,
        "max_lat_e7": north,
        "center_zoom": low,
        "center_lon_e7": (west + east) // 2,
        "center_lat_e7": (south + north) // 2,
    }


def tile_id(z: int, x: int, y: int) -> int:
    """Place of a tile in an archive: zoom by zoom, along a Hilbert curve.

    So at every zoom the tiles below one tile follow each other.
    """
    return int(zxy_to_tileid(z, x, y))


def write_file(
    path: Path,
    tiles: Iterable[tuple[int, int, int, bytes]],
    bounds: tuple[float, float, float, float],
    metadata: Mapping[str, Any],
) -> int:
    """Write tiles as they come to a file of one's own; the number of tiles.

    Nothing is held but the directory (about 100 bytes a tile). A file that was not finished is
    removed.

    Parameters
    ----------
    path : Path
    tiles : iterable of (z, x, y, gzip bytes)
        Ascending by `tile_id`, each address once.
    bounds, metadata
        As for `write`.

    Raises
    ------
    ValueError
        No tile at all, or not in order.
    """
    count, last, low = 0, -1, 0
    try:
        with path.open("w+b") as file:
            writer: Any = Writer(file)  # type: ignore[no-untyped-call]
            for z, x, y, data in tiles:
                here = tile_id(z, x, y)
                if here <= last:
                    raise ValueError(f"tile {z}/{x}/{y} is not in order")
                if not count:
                    low = z
                writer.write_tile(here, data)
                last = here
                count += 1
            if not count:
                raise ValueError("an archive needs at least one tile")
            writer.finalize(_header(low, bounds), dict(metadata))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return count


class Archive:
    """An open archive; safe to use from many threads.

    Attributes
    ----------
    min_zoom, max_zoom : int
    bounds : tuple of float
        West south east north, degrees.
    metadata : dict
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise ArchiveError(f"tile archive {path.name} cannot be opened: {error}") from error
        try:
            self._read_directory()
        except ArchiveError:
            self.close()
            raise
        except Exception as error:
            self.close()
            raise ArchiveError(f"tile archive {path.name} is damaged: {error!r}") from error

    def _read_directory(self) -> None:
        size = os.fstat(self._file).st_size
        if size < HEADER:
            raise ArchiveError(f"tile archive {self.path.name} has {size} bytes: no header")
        start = os.pread(self._file, HEADER, 0)
        if start[:8] != b"PMTiles\x03":
            raise ArchiveError(f"{self.path.name} is not a PMTiles 3 archive")
        header = deserialize_header(start)
        for part in ("root", "metadata", "leaf_directory", "tile_data"):
            end = int(header[f"{part}_offset"]) + int(header[f"{part}_length"])  # type: ignore[literal-required]
            if end > size:
                raise ArchiveError(
                    f"tile archive {self.path.name} is cut short: its {part.replace('_', ' ')} "
                    f"ends at byte {end}, the file at {size}"
                )
        if (header["tile_type"], header["tile_compression"]) != (TileType.MVT, Compression.GZIP):
            raise ArchiveError(f"{self.path.name} does not hold gzip vector tiles")
        self.min_zoom, self.max_zoom = int(header["min_zoom"]), int(header["max_zoom"])
        self.bounds = tuple(
            header[k] / 1e7 for k in ("min_lon_e7", "min_lat_e7", "max_lon_e7", "max_lat_e7")
        )

        packed = os.pread(self._file, header["metadata_length"], header["metadata_offset"])
        self.metadata: dict[str, Any] = json.loads(gzip.decompress(packed))
        self._data = header["tile_data_offset"]
        entries: list[tuple[int, int, int, int]] = []
        queue = [(header["root_offset"], header["root_length"])]
        seen: set[tuple[int, int]] = set()
        while queue:
            offset, length = part_of = queue.pop()
            if part_of in seen or offset + length > size:
                raise ArchiveError(f"{self.path.name}: its directory goes round or outside")
            seen.add(part_of)
            for entry in deserialize_directory(os.pread(self._file, length, offset)):
                if entry.run_length:
                    if entry.offset + entry.length > header["tile_data_length"]:
                        raise ArchiveError(f"{self.path.name}: a tile lies outside the file")
                    entries.append((entry.tile_id, entry.run_length, entry.offset, entry.length))
                else:
                    queue.append((header["leaf_directory_offset"] + entry.offset, entry.length))
        entries.sort()
        self._ids = [entry[0] for entry in entries]
        self._entries = entries

    def __len__(self) -> int:
        return sum(entry[1] for entry in self._entries)

    def get(self, z: int, x: int, y: int) -> bytes | None:
        """Gzip bytes of a tile, or None when it is empty or outside the zoom range.

        Raises
        ------
        ArchiveError
            When the file has become shorter under our hands.
        """
        if not (self.min_zoom <= z <= self.max_zoom and 0 <= x < 1 << z and 0 <= y < 1 << z):
            return None
        tile_id = zxy_to_tileid(z, x, y)
        place = bisect_right(self._ids, tile_id) - 1
        if place < 0:
            return None
        first, run, offset, length = self._entries[place]
        if tile_id >= first + run:
            return None
        data = os.pread(self._file, length, self._data + offset)
        if len(data) != length:
            raise ArchiveError(f"tile archive {self.path.name} is cut short")
        return data

    def addresses(self) -> list[tuple[int, int, int]]:
        """(z, x, y) of every tile, in archive order."""
        return [tileid_to_zxy(first + k) for first, run, _, _ in self._entries for k in range(run)]

    def close(self) -> None:
        """Close the file; no tile can be read after that."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
