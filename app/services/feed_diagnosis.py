"""What is wrong with the points of a feed: read under every reading they may have, held against the codes.

Imports `event_rows`, `event_places` and `geo.crs`. Promises: nothing is decided by how a number looks.
A reading is tried on rows that have a code and a point, and what it does to the share that disagrees is
what is told; where no reading explains it, none is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from app.services.event_files import Chunk
from app.services.event_mapping import EventMapping
from app.services.event_places import Place
from app.services.event_rows import Floats, _Work
from geo import crs
from geo.codes import CodeLayout

#: rows of one batch that are tried
SAMPLE = 2_000
#: fewer disagreeing points say nothing
LEAST = 20
SWAPPED = "swapped"
_NAMED = ("wgs84", "gcj02", "bd09")


@dataclass(frozen=True)
class Diagnosis:
    """What the points of a feed look like.

    Parameters
    ----------
    reading : wgs84, gcj02, bd09 or swapped; None: no reading explains it
    share : part of the tried points that disagree with their codes as declared
    reading_share : the same under the reading; None without one
    points : how many were tried
    """

    reading: str | None
    share: float
    reading_share: float | None
    points: int


def readings(declared: str) -> list[str]:
    """Other readings worth trying for points declared so.

    >>> readings("cgcs2000"), readings("EPSG:4549")
    (['gcj02', 'bd09', 'swapped'], ['swapped'])
    """
    same = "wgs84" if declared == "cgcs2000" else declared
    named = [name for name in _NAMED if name != same] if declared in crs.NAMED else []
    return [*named, SWAPPED]


def tried(
    chunk: Chunk, mapping: EventMapping, point: tuple[str, str] | None, place: Place
) -> dict[str, int] | None:
    """How many points of a chunk disagree with their codes, under each reading.

    Parameters
    ----------
    chunk : rows as they came, also those refused for their points

    Returns
    -------
    dict or None
        `n` points tried, `declared` disagreeing as declared, and one entry per reading; None where
        nothing can be compared.
    """
    if point is None or mapping.columns.code is None or not len(chunk.lines):
        return None
    work = _Work(chunk, mapping)
    x, y = work.numbers(point[0]), work.numbers(point[1])
    units = place.units_of_codes(_codes(work.text(mapping.columns.code), place.layout))
    at = np.flatnonzero(np.isfinite(x) & np.isfinite(y) & (units > 0))
    if not len(at):
        return None
    if len(at) > SAMPLE:
        at = at[np.linspace(0, len(at) - 1, SAMPLE).astype(np.int64)]
    x, y, units = x[at], y[at], units[at]

    def wrong(name: str) -> int:
        lon, lat = _read(x, y, name, mapping.crs)
        found = place.locator.units_of_points(lon, lat)
        return int((~place.locator.agree(units, found)).sum())

    found = {"n": len(at), "declared": wrong(mapping.crs)}
    return found | {name: wrong(name) for name in readings(mapping.crs)}


def _codes(text: pa.Array, layout: CodeLayout | None) -> pa.Array:
    if layout is None:
        return text
    codes, _ = layout.parse_many(text.to_numpy(zero_copy_only=False))
    return pa.array(codes, pa.string())


def _read(x: Floats, y: Floats, name: str, declared: str) -> tuple[Floats, Floats]:
    lon, lat = crs.to_wgs84(y, x, declared) if name == SWAPPED else crs.to_wgs84(x, y, name)
    with np.errstate(invalid="ignore"):
        bad = (np.abs(lon) > 180) | (np.abs(lat) > 90)
    return np.where(bad, np.nan, lon), np.where(bad, np.nan, lat)


def judge(found: Iterable[Mapping[str, int]]) -> Diagnosis | None:
    """Diagnosis of what was tried in some batches of one declared CRS; None: nothing is wrong.

    Few points disagree at every border; a reading has to halve them, and half a hundredth of the
    points (and `LEAST` of them) have to disagree before anything is said.

    >>> judge([{"n": 100, "declared": 60, "gcj02": 2, "bd09": 55, "swapped": 100}]).reading
    'gcj02'
    >>> judge([{"n": 100, "declared": 60, "gcj02": 58, "bd09": 55, "swapped": 100}]).reading is None
    True
    >>> judge([{"n": 9000, "declared": 30, "gcj02": 4000, "bd09": 5000, "swapped": 9000}])
    """
    sums: dict[str, int] = {}
    for one in found:
        for name, count in one.items():
            sums[name] = sums.get(name, 0) + count
    n, wrong = sums.pop("n", 0), sums.pop("declared", 0)
    if wrong < LEAST or wrong < 0.005 * n or not sums:
        return None
    best = min(sums, key=lambda name: sums[name])
    if sums[best] * 2 <= wrong:
        return Diagnosis(best, wrong / n, sums[best] / n, n)
    # without an explanation only a share no border makes is worth a word
    return Diagnosis(None, wrong / n, None, n) if wrong >= 0.2 * n else None
