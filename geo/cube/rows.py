"""The events that match a question, as rows: for what counts alone cannot say. May import numpy.

Promises: the events of `ask` for the same question, each exactly once, whatever the size of a part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from geo.cube import count
from geo.cube.build import loose, placed, unplaced
from geo.cube.columns import Columns, Delta
from geo.cube.cover import Cover, cover
from geo.cube.question import Answer, Cells, Question, UnitRanges
from geo.cube.snapshot import Snapshot
from geo.cube.tally import Tally, matches, span

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
_NOTHING = np.zeros(0, dtype=np.int64)
#: events looked at together: some 40 bytes each
PART = 1 << 20


def rows(
    snapshot: Snapshot, question: Question, delta: Delta | None = None
) -> Iterator[tuple[int, Columns]]:
    """Events that match, in parts, and the sign of each part.

    Parameters
    ----------
    snapshot : Snapshot
    question : Question
        Area (a polygon or units; breakdowns are not looked at), time, kinds, hours.
    delta : Delta, optional
        What changed since.

    Yields
    ------
    sign : int
        1, or -1 for events that were taken away and are in a part before.
    Columns
        For a polygon only rows with a point; for units also those without.

    Raises
    ------
    ValueError
        The area is of cells.
    QuestionError
        `unknown_kind`.

    """
    area = question.area
    if isinstance(area, Cells):
        raise ValueError("rows of cells are those of their polygons")
    kinds = question.mask(snapshot.spec.kinds)
    arrays = snapshot.arrays
    if len(arrays["time"]):
        if isinstance(area, UnitRanges):
            for part in _positions(arrays, _blocks_of(area, arrays)):
                found = _chosen(arrays, part, question, snapshot, kinds)
                yield 1, found.take(area.holds(found.unit))
        else:
            found_cover = cover(area, arrays)
            whole = _tiles(arrays, found_cover.blocks)
            inner = found_cover.tiles[:, 0]
            spans = np.concatenate([whole, np.column_stack([inner, inner + 1])])
            for part in _positions(arrays, spans):
                yield 1, _chosen(arrays, part, question, snapshot, kinds)
            at = _rim(arrays, found_cover, question, kinds)
            yield 1, _in_hours(placed(arrays, at), question, snapshot)
    apart = [(1, loose(arrays))]
    if isinstance(area, UnitRanges):
        for first, stop in area.ranges:
            low, high = np.searchsorted(arrays["unplaced_unit"], [first, min(stop, 1 << 31)])
            apart.append((1, unplaced(arrays, slice(int(low), int(high)))))
    if delta is not None:
        apart += [(1, delta.added), (-1, delta.removed)]
    for sign, given in apart:
        if len(given):
            found = given.take(matches(given, question, snapshot.spec))
            if not isinstance(area, UnitRanges):
                found = found.take(~np.isnan(found.lon))
            yield sign, found


def ask_located(
    snapshot: Snapshot, question: Question, located: Bools, delta: Delta | None = None
) -> Answer:
    """Count like `ask`, only events located in certain ways.

    Parameters
    ----------
    located : bool (256,)
        By `Columns.located`: whether it counts.

    Notes
    -----
    Every event of the area is looked at: some 20 million a second. For a polygon
    `Answer.unplaced` is of `question.beside`, as with `ask`.

    """
    tally = Tally(snapshot.spec, question)
    by_unit = isinstance(question.area, UnitRanges)
    for sign, part in rows(snapshot, question, delta):
        kept = part.take(located[part.located])
        tally.count(kept, sign)
        if by_unit:
            _beside(tally, kept, sign)
    if not by_unit and question.beside is not None:
        arrays = snapshot.arrays
        apart = []
        for first, stop in question.beside.ranges:
            low, high = np.searchsorted(arrays["unplaced_unit"], [first, min(stop, 1 << 31)])
            apart.append((1, unplaced(arrays, slice(int(low), int(high)))))
        if delta is not None:
            apart += [(1, delta.added), (-1, delta.removed)]
        for sign, part in apart:
            without = part.take(np.isnan(part.lon) & located[part.located])
            _beside(tally, without.take(matches(without, question, snapshot.spec)), sign)
    return tally.answer()


def _beside(tally: Tally, found: Columns, sign: int) -> None:
    unit, number = np.unique(found.unit[np.isnan(found.lon)], return_counts=True)
    if len(unit):
        tally.unplaced.append((unit.astype(np.int64), sign * number.astype(np.int64)))


def _blocks_of(area: UnitRanges, arrays: dict[str, Array]) -> Array:
    ok = area.holds(arrays["dict_unit"])
    held = np.add.reduceat(ok, arrays["dict_start"][:-1].astype(np.int64), dtype=np.int64)
    return _tiles(arrays, np.flatnonzero(held))


def _tiles(arrays: dict[str, Array], blocks: Array) -> Array:
    """First tile and stop of blocks."""
    tiles = arrays["block_tiles"].astype(np.int64)
    return np.column_stack([tiles[blocks], tiles[blocks + 1]])


def _positions(arrays: dict[str, Array], spans: Array) -> Iterator[Array]:
    """Positions of the events of spans of tiles, in parts of bounded size."""
    if not len(spans):
        return
    first = arrays["tile_start"][spans[:, 0]].astype(np.int64)
    stop = arrays["tile_start"][spans[:, 1]].astype(np.int64)
    done = np.cumsum(stop - first)
    total, begin = int(done[-1]), 0
    before = done - (stop - first)
    while begin < total:
        end = min(begin + PART, total)
        low = int(np.searchsorted(done, begin, side="right"))
        high = int(np.searchsorted(before, end))
        sizes = np.minimum(done[low:high], end) - np.maximum(before[low:high], begin)
        start = first[low:high] + np.maximum(begin - before[low:high], 0)
        offset = np.repeat(start - (np.cumsum(sizes) - sizes), sizes)
        yield offset + np.arange(len(offset))
        begin = end


def _rim(arrays: dict[str, Array], found: Cover, question: Question, kinds: Bools) -> Array:
    """Positions of the events in tiles that an edge touches which match in place, time and kind."""
    base, last = int(arrays["base"][0]), int(arrays["step_edge"][-1])
    start, end = max(question.start, int(arrays["step_edge"][0])), min(question.end, last)
    if start >= end:
        return _NOTHING
    at: Array = count.rim(
        found.rim, found.within, found.edged, found.stretch_at, found.stretch,
        found.run_from, found.run_edge, found.u, found.v, found.x, found.y,
        arrays["block_key"], int(arrays["side"][0]), arrays["tile_id"], arrays["tile_start"],
        arrays["time"], arrays["kind"], arrays["cell"], arrays["point"],
        kinds, start - base, end - base, last - base - 1, True, True, _NOTHING,
    )[1]  # fmt: skip
    return at


def _chosen(
    arrays: dict[str, Array], at: Array, question: Question, snapshot: Snapshot, kinds: Bools
) -> Columns:
    """Rows of positions that match in time, kind and hour."""
    time = arrays["time"][at] + arrays["base"][0]
    ok = (time >= question.start) & (time < question.end)
    kept = at[ok]
    found = placed(arrays, kept[kinds[arrays["kind"][kept]]])
    return _in_hours(found, question, snapshot)


def _in_hours(found: Columns, question: Question, snapshot: Snapshot) -> Columns:
    if question.hours_of_week is None or not len(found):
        return found
    hour = span(snapshot.spec, found.time).hour_of_week(found.time)
    return found.take(question.hours_of_week[hour])
