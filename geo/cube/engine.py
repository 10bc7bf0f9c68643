"""A question to a snapshot and what changed since. May import the files beside this one."""

from __future__ import annotations

from typing import Any

import h3
import numpy as np
import numpy.typing as npt
import shapely

from geo.corners import corners
from geo.cube import count, quick
from geo.cube import cover as cover_module
from geo.cube.build import BLOCKS_PER_DEGREE, loose, placed, unplaced
from geo.cube.calendar import calendar
from geo.cube.columns import Columns, Delta
from geo.cube.cover import EVERY, MARGIN, SPOTS, Cover, cover, too_complex
from geo.cube.question import Answer, Cells, Question, UnitRanges
from geo.cube.snapshot import Snapshot
from geo.cube.tally import Tally, inside

Array = npt.NDArray[Any]
_NOTHING = np.zeros(0, dtype=np.int64)
_ALL = np.zeros(0, dtype=np.bool_)
#: moments that fit 64 bits with room to spare
_FAR = 1 << 60


def ask(snapshot: Snapshot, question: Question, delta: Delta | None = None) -> Answer:
    """Count exactly.

    Parameters
    ----------
    snapshot : Snapshot
        All events at one moment.
    question : Question
        Area, time, kinds, hours of the week, breakdowns.
    delta : Delta, optional
        What changed since; every row is looked at, so keep it small (100,000 rows cost a few ms).

    Raises
    ------
    QuestionError
        `unknown_kind`: a kind that is not in the snapshot's spec.
    ShapeError
        `too_complex`: so many edges run through the map that an answer would take gigabytes.

    """
    arrays = snapshot.arrays
    if delta is None and question.plain and not snapshot.view.loose:
        return Answer.number(_polygon(snapshot, question, _NOTHING))
    tally = Tally(snapshot.spec, question)
    if question.in_polygon and not question.breakdowns - {"kind"}:
        by_kind = tally.kind if question.breakdowns else _NOTHING
        tally.total += _polygon(snapshot, question, by_kind)
    elif len(arrays["time"]):
        _Count(tally, arrays, question.mask(snapshot.spec.kinds)).area()
    if len(arrays["loose_time"]):
        tally.add(loose(arrays))
    ranges = question.area if isinstance(question.area, UnitRanges) else question.beside
    if ranges is not None and len(arrays["unplaced_unit"]):
        # an area may be beside hundreds of ranges, of which few have such events
        edges = np.searchsorted(
            arrays["unplaced_unit"], np.minimum(np.array(ranges.ranges, np.int64), 1 << 31)
        )
        some = edges[edges[:, 0] < edges[:, 1]].tolist()
        if some:
            tally.add(Columns.concat(unplaced(arrays, slice(low, high)) for low, high in some))
    if delta is not None:
        tally.add(delta.added)
        tally.add(delta.removed, -1)
    return tally.answer()


def _polygon(snapshot: Snapshot, question: Question, by_kind: Array) -> int:
    """Count what no hour of the week, day or unit is asked of."""
    view = snapshot.view
    kinds = view.every if question.kinds is None else question.mask(snapshot.spec.kinds)
    if not view.events:
        return 0
    x, y, last = corners(question.area)
    total: int = quick.polygon(
        view.words, x, y, last, MARGIN, cover_module.MOST_PIECES, kinds,
        max(int(question.start), -_FAR), min(int(question.end), _FAR), by_kind,
    )  # fmt: skip
    if total < 0:
        raise too_complex()
    return total


class _Count:
    """One question over the arranged events."""

    def __init__(
        self, tally: Tally, arrays: dict[str, Array], kinds: npt.NDArray[np.bool_]
    ) -> None:
        self.tally, self.arrays, self.kinds = tally, arrays, kinds
        question = tally.question
        asked = question.breakdowns
        self.base, edge = int(arrays["base"][0]), arrays["step_edge"]
        self.start = max(question.start, int(edge[0]))
        self.end = min(question.end, int(edge[-1]))
        self.last = int(edge[-1]) - self.base - 1
        self.hours = question.hours_of_week if question.hours_of_week is not None else _ALL
        self.daily = tally.wants_day
        self.by_kind = tally.kind if "kind" in asked else _NOTHING
        self.by_hour = tally.hour if "hour_of_week" in asked else _NOTHING
        self.by_day = np.zeros(len(arrays["day_edge"]) - 1, np.int64) if self.daily else _NOTHING
        self.by_entry = (
            np.zeros(len(arrays["dict_unit"]), np.int64) if "unit" in asked else _NOTHING
        )
        # what the cube cannot say needs a look at the events
        self.look = (
            bool(len(self.hours) + len(self.by_hour) + len(self.by_entry))
            or (self.daily and len(edge) != len(arrays["day_edge"]))  # steps of several days
        )  # fmt: skip

    def area(self) -> None:
        """Count what the question's area holds."""
        if self.start >= self.end:
            return
        area = self.tally.question.area
        if isinstance(area, UnitRanges):
            self._units(area)
        elif isinstance(area, Cells):
            self._cells(area)
        else:
            self._cover(cover(area, self.arrays), test=True)
        self._finish()

    def _cover(self, found: Cover, test: bool) -> None:
        self._blocks(found.blocks)
        self._whole(found.tiles)
        a, question = self.arrays, self.tally.question
        if not len(found.rim):
            return
        # positions are needed for what is not counted on the way
        keep = not test or self.look or self.daily
        total, at = count.rim(
            found.rim, found.within, found.edged, found.stretch_at, found.stretch,
            found.run_from, found.run_edge, found.u, found.v, found.x, found.y,
            a["block_key"], int(a["side"][0]), a["tile_id"], a["tile_start"],
            a["time"], a["kind"], a["cell"], a["point"],
            self.kinds, self.start - self.base, self.end - self.base, self.last, test, keep,
            _NOTHING if keep else self.by_kind,
        )  # fmt: skip
        if not keep:
            self.tally.total += total
            return
        if test and not len(self.hours) + len(self.by_hour) + len(self.by_entry):
            count.dated(
                at, a["time"], a["kind"], self.base, a["day_edge"], self.by_day, self.by_kind
            )
            self.tally.total += total
            return
        rows = placed(a, at)
        if question.hours_of_week is not None and len(rows):
            hour = self._clock().hour_of_week(rows.time)
            rows = rows.take(question.hours_of_week[hour])
        if not test and len(rows):
            rows = rows.take(inside(question.area, rows.lon, rows.lat))
        self.tally.count(rows)

    def _units(self, area: UnitRanges) -> None:
        """By recorded unit: blocks whose every unit counts are whole, others are looked through."""
        a = self.arrays
        ok = area.holds(a["dict_unit"])
        start = a["dict_start"][:-1].astype(np.int64)
        held = np.add.reduceat(ok, start, dtype=np.int64)
        full = held == np.diff(a["dict_start"].astype(np.int64))
        self._blocks(np.flatnonzero(full))
        self._whole(self._tiles(np.flatnonzero((held > 0) & ~full)), ok)

    def _cells(self, area: Cells) -> None:
        """Cells as polygons: their tiles are sure away from the edges, the rest is asked of h3."""
        rings = [
            np.array(h3.cell_to_boundary(h3.int_to_str(i)))[:, ::-1] for i in area.ids.tolist()
        ]
        widest = max(float(np.ptp(ring[:, 0])) for ring in rings)
        highest = max(float(abs(ring[:, 1]).max()) for ring in rings)
        if widest > 90 or highest > 85:
            # around a pole or across the antimeridian a ring of longitudes is no polygon
            everything = self._tiles(np.arange(len(self.arrays["block_key"])))
            self._cover(_rim_only(everything), test=False)
            return
        # an edge is a great circle, drawn here straight: they differ by less than this, in degrees
        longest = max(float(abs(np.diff(ring, axis=0)).max()) for ring in rings)
        apart = np.radians(longest) * longest / 8 / max(np.cos(np.radians(highest)), 0.05)
        shape = shapely.union_all([shapely.Polygon(ring) for ring in rings])
        spots = BLOCKS_PER_DEGREE * SPOTS * int(self.arrays["side"][0])
        margin = MARGIN + spots * apart + 0.001
        self._cover(cover(shape, self.arrays, margin), test=False)

    def _blocks(self, blocks: Array) -> None:
        if not len(blocks):
            return
        a = self.arrays
        row = a["cube_row"][blocks]
        in_cube = row >= 0
        if self.look or not in_cube.all():
            self._whole(self._tiles(blocks if self.look else blocks[~in_cube]))
            blocks = blocks[:0] if self.look else blocks[in_cube]
            if not len(blocks):
                return
        edge = a["step_edge"]
        counts = np.zeros((2, len(self.kinds)), np.int64)
        at = np.searchsorted(edge, [self.start, self.end], side="right") - 1
        for n, moment in enumerate((self.start, self.end)):
            count.before(
                counts[n], blocks, a["cube_row"], a["cube"], a["part_start"], a["part"],
                int(a["part_shift"][0]), self.kinds, len(self.by_kind) > 0, int(at[n]), moment - int(edge[at[n]]),
                moment - self.base, a["block_tiles"], a["tile_start"], a["time"], a["kind"],
            )  # fmt: skip
        found = counts[1] - counts[0]
        self.tally.total += int(found.sum())
        if len(self.by_kind):
            self.by_kind += found
        if self.daily:
            # before the start, before each midnight between that matters, before the end
            first, last = int(at[0]) + 1, int(np.searchsorted(edge, self.end))
            between = first + np.flatnonzero(self.tally.begins(self._days()[first:last]))
            sums = np.zeros(len(between), np.int64)
            count.by_step(sums, a["cube_row"][blocks], a["cube"], self.kinds, between)
            every = np.concatenate([counts[:1].sum(axis=1), sums, counts[1:].sum(axis=1)])
            self.by_day[np.append(first - 1, between)] += np.diff(every)

    def _tiles(self, blocks: Array) -> Array:
        """All tiles of blocks, with their block."""
        start = self.arrays["block_tiles"].astype(np.int64)
        n = start[blocks + 1] - start[blocks]
        within = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
        return np.column_stack([np.repeat(start[blocks], n) + within, np.repeat(blocks, n)])

    def _whole(self, tiles: Array, code_ok: Array = _ALL) -> None:
        if not len(tiles):
            return
        a = self.arrays
        if not (len(code_ok) or self.look or self.daily):
            self.tally.total += count.slices_of(
                tiles, a["tile_start"], a["time"], a["kind"], self.kinds,
                self.start - self.base, self.end - self.base, self.last, self.by_kind,
            )  # fmt: skip
            return
        if len(self.hours) + len(self.by_hour):
            days = self._clock()
            since, offset = days.since, days.offset
        else:
            since = offset = _NOTHING
        self.tally.total += count.whole(
            tiles, a["tile_start"], a["time"], a["kind"], a["code"], a["dict_start"], self.kinds,
            self.start - self.base, self.end - self.base, self.last, code_ok, self.hours,
            self.base, since, offset, a["day_edge"],
            self.by_kind, self.by_day, self.by_hour, self.by_entry,
        )  # fmt: skip

    def _clock(self) -> Any:
        edge = self.arrays["step_edge"]
        return calendar(self.tally.spec.time_zone, int(edge[0]), int(edge[-1]))

    def _days(self) -> Array:
        """Days since 1970 of the local days of the cube."""
        edge = self.arrays["day_edge"]
        days = calendar(self.tally.spec.time_zone, int(edge[0]), int(edge[-1]))
        return days.day(edge[:-1])

    def _finish(self) -> None:
        a = self.arrays
        if self.daily:
            some = self.by_day != 0
            self.tally.days.append((self._days()[some], self.by_day[some]))
        if len(self.by_entry):
            unit = a["dict_unit"].astype(np.int64)
            some = self.by_entry != 0
            self.tally.units.append((unit[some], self.by_entry[some]))


def _rim_only(tiles: Array) -> Cover:
    """Everything is to be tested."""
    bits = np.full((len(tiles), 1), EVERY, np.uint32)
    small = np.zeros(0, np.int32)
    none = np.zeros(0)
    return Cover(
        np.zeros(0, np.int64), tiles[:0], tiles, bits & 0, bits,
        np.zeros((len(tiles), 1), np.int32), np.zeros((0, 4), np.int32), small,
        np.zeros((0, 2), np.int32), none, none, none, none,
    )  # fmt: skip
