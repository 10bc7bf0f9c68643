"""What an area question says, in the words of `geo.cube`, and its answer in the words of the web.

Imports `geo.shapes`, `geo.crs` and the words of `geo.cube`, never a snapshot. Promises: what makes
no sense is refused with the reason, the field and the place; a unit's events without a point are
never guessed into a polygon.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, NoReturn, Protocol, TypeAlias
from zoneinfo import ZoneInfo

import h3
import numpy as np
import numpy.typing as npt
import shapely
import sqlalchemy as sa

from app.api.area_models import AreaAnswer, AreaQuestion, AreaShape, DateCounts, UnitCount
from app.errors import Invalid, NotFound
from app.services.units import UnitTable
from geo import shapes
from geo.crs import CrsError, to_wgs84
from geo.cube import Answer, Cells, Question, QuestionError, Series, UnitRanges
from geo.shapes import ShapeError

Bools = npt.NDArray[np.bool_]
Shape: TypeAlias = shapely.MultiPolygon | Cells | str | tuple[str, ...]
"""A unit is its code until the boundaries are known; several units are a tuple."""

_FIELDS = {
    "bad_time": "end", "empty_span": "end", "end_before_start": "end",
    "no_kinds": "kinds", "unknown_kind": "kinds", "bad_hours": "hours_of_week",
    "no_hours": "hours_of_week", "unknown_breakdown": "breakdowns",
}  # fmt: skip


class Ground:
    """Units of one boundary version with their boxes; shapes are read when first needed."""

    def __init__(
        self, table: UnitTable, read: Callable[[], AbstractContextManager[sa.Connection]]
    ) -> None:
        self.table = table
        self._read = read
        self._lock = threading.Lock()
        self._boxes: npt.NDArray[np.float64] | None = None
        self._shapes: dict[int, shapely.Geometry] = {}

    @property
    def boxes(self) -> npt.NDArray[np.float64]:
        """West, south, east, north and label point of every unit: (N, 6), row `id - 1`."""
        if self._boxes is None:
            with self._read() as connection:
                rows = connection.execute(
                    sa.text(
                        "select st_xmin(geom), st_ymin(geom), st_xmax(geom), st_ymax(geom), "
                        "st_x(label_point), st_y(label_point) from unit "
                        "where boundary_version_id = :version order by id"
                    ),
                    {"version": self.table.version_id},
                ).all()
            self._boxes = np.array([tuple(row) for row in rows], float).reshape(-1, 6)
        return self._boxes

    def shapes(self, ids: Sequence[int]) -> npt.NDArray[np.object_]:
        """Shapes of units, EPSG:4326."""
        with self._lock:
            missing = [number for number in ids if number not in self._shapes]
            if missing:
                with self._read() as connection:
                    rows = connection.execute(
                        sa.text(
                            "select id, st_asbinary(geom) from unit "
                            "where boundary_version_id = :version and id = any(:ids)"
                        ),
                        {"version": self.table.version_id, "ids": missing},
                    ).all()
                for number, body in rows:
                    self._shapes[number] = shapely.from_wkb(bytes(body))
            return np.array([self._shapes[number] for number in ids], dtype=object)

    def below(self, unit: int) -> Bools:
        """Whether each unit is `unit` or one below it: (N + 1,), by id."""
        level = int(self.table.level_of[unit - 1])
        same: Bools = self.table.ancestors[:, level] == unit
        return same

    def visible(self, scope: Sequence[str]) -> Bools:
        """Whether the code of each unit begins with one of the scope's: (N + 1,), by id."""
        prefixes = tuple(scope)
        return np.array([False, *(code.startswith(prefixes) for code in self.table.codes)])

    def near(self, area: shapely.Geometry) -> Bools:
        """Whether each unit's box meets the area's: (N + 1,), by id."""
        west, south, east, north = area.bounds
        box = self.boxes
        found = np.zeros(len(box) + 1, np.bool_)
        found[1:] = (
            (box[:, 0] < east) & (box[:, 2] > west) & (box[:, 1] < north) & (box[:, 3] > south)
        )
        return found

    def share_ground(self, area: shapely.Geometry, ids: npt.NDArray[np.int32]) -> Bools:
        """Whether units (n,) and the area overlap by more than an edge."""
        shapely.prepare(area)
        label = self.boxes[ids - 1, 4:]
        found: Bools = shapely.contains_xy(area, label[:, 0], label[:, 1])
        rest = np.flatnonzero(~found)
        if len(rest):
            other = self.shapes(ids[rest].tolist())
            meet = shapely.intersects(area, other)
            found[rest[meet]] = ~shapely.touches(area, other[meet])
        return found


def refuse(
    field: str, reason: str, message: str, at: tuple[float, float] | None = None
) -> NoReturn:
    """Raise what the web answers with 422: reason, field, and the place where there is one."""
    raise Invalid(
        f"{field}: {message}",
        {"field": field, "reason": reason, "at": list(at) if at is not None else None},
    )


def shape(area: AreaShape) -> Shape:
    """Area of a request.

    Raises
    ------
    Invalid
        It cannot be counted; with reason and place.
    """
    try:
        return _shape(area)
    except ShapeError as error:
        refuse("area", error.reason, error.message, error.at)
    except CrsError as error:
        refuse("area", "wrong_crs", str(error))
    except QuestionError as error:
        refuse("area", error.reason, error.message)


def _shape(area: AreaShape) -> Shape:
    if area.geojson is not None:
        return shapes.from_geojson(area.geojson, area.crs)
    if area.wkt is not None:
        return shapes.from_wkt(area.wkt, area.crs)
    if area.circle is not None:
        x, y = _converted([(area.circle.lon, area.circle.lat)], area.crs)[0]
        return shapes.circle(x, y, area.circle.metres)
    if area.corridor is not None:
        line = _converted(area.corridor.coordinates, area.crs)
        return shapes.corridor(line, area.corridor.metres)
    if area.cells is not None:
        return Cells(np.array([_cell(text) for text in area.cells], np.uint64))
    assert area.unit is not None
    return area.unit


def _converted(places: Sequence[tuple[float, float]], crs: str) -> list[tuple[float, float]]:
    lon, lat = np.array(places, float).T
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        raise ShapeError("not_finite", "a coordinate is not a finite number")
    lon, lat = to_wgs84(lon, lat, crs)
    return list(zip(lon.tolist(), lat.tolist(), strict=True))


def is_cell(text: str) -> bool:
    """Whether a text names an H3 cell."""
    try:
        return bool(h3.is_valid_cell(text))
    except OverflowError:  # a number, but not of 64 bits
        return False


def _cell(text: str) -> int:
    if not is_cell(text):
        raise QuestionError("not_a_cell", f"{text!r} is no H3 cell")
    return int(h3.str_to_int(text))


class Timed(Protocol):
    """What has a span of time."""

    @property
    def start(self) -> datetime | date:
        """First moment."""

    @property
    def end(self) -> datetime | date:
        """Moment after the last."""


def span(wanted: Timed, zone: str) -> tuple[int, int]:
    """Start and end of a request in seconds since 1970.

    Raises
    ------
    Invalid
        Empty, reversed, with fractions of a second.
    """
    start, end = (_moment(getattr(wanted, name), zone, name) for name in ("start", "end"))
    if start == end:
        refuse("end", "empty_span", "the time span is empty: it ends where it starts")
    if end < start:
        refuse("end", "end_before_start", "the time span ends before it starts")
    return start, end


def _moment(value: datetime | date, zone: str, field: str) -> int:
    if not isinstance(value, datetime):
        value = datetime.combine(value, time(), ZoneInfo(zone))
    if value.microsecond:
        refuse(field, "bad_time", "give whole seconds")
    return int(value.timestamp())


@dataclass(frozen=True)
class Asked:
    """A question for one boundary version.

    Attributes
    ----------
    question : Question or None
        None: the caller's scope holds nothing of the area.
    outline : MultiPolygon or None
        What the units of events without a point must share ground with to be told; None for a
        unit, whose events without a point are counted.
    under : int32 (N + 1,) or None
        By id of the recorded unit: the unit it is counted under, 0 none. None: not asked for.
    """

    question: Question | None
    outline: shapely.MultiPolygon | None
    under: npt.NDArray[np.int32] | None


def question(
    wanted: AreaQuestion,
    area: Shape,
    times: tuple[int, int],
    ground: Ground,
    kinds: Sequence[str],
    *,
    scope: Sequence[str] | None,
) -> Asked:
    """Put a request in the words of the cube.

    Raises
    ------
    NotFound
        No such unit, or none in the scope.
    Invalid
        A kind, hour or level that is not there.
    """
    table = ground.table
    visible = ground.visible(scope) if scope is not None else None
    unit = table.lookup(area) if isinstance(area, str) else None
    under = None
    if "unit" in wanted.breakdowns:
        under = _under(table, unit, wanted.level)
        if visible is not None:
            under[~visible] = 0
    elif wanted.level is not None:
        refuse("level", "bad_level", "a level is for the breakdown by unit")
    unknown = sorted(set(wanted.kinds or ()) - set(kinds))
    if unknown:
        refuse("kinds", "unknown_kind", f"{unknown[0]!r} is not one of {', '.join(kinds)}")
    outline: shapely.MultiPolygon | None = None
    place: shapely.MultiPolygon | Cells | UnitRanges
    if isinstance(area, str | tuple):
        place = ranges(members(area, ground, visible))
    elif isinstance(area, Cells):
        if visible is not None:
            refuse("area", "cells_in_scope", "ask with the shape of the cells: what you may see is "
                   "a part of the map, and a cell is counted whole")  # fmt: skip
        place, outline = area, _outline(area)
    else:
        _check_on_map(area, ground)
        cut = clipped(area, ground, scope) if scope is not None else area
        if cut is None:
            return Asked(None, None, under)
        place = outline = cut
    beside = None
    if outline is not None:
        near = ground.near(outline)
        beside = near if visible is None else near & visible
    hours = None
    if wanted.hours_of_week is not None:
        hours = np.zeros(168, np.bool_)
        hours[wanted.hours_of_week] = True
    try:
        made = Question(
            area=place,
            start=times[0],
            end=times[1],
            kinds=None if wanted.kinds is None else frozenset(wanted.kinds),
            hours_of_week=hours,
            breakdowns=frozenset(wanted.breakdowns),
            beside=ranges(beside) if beside is not None and beside.any() else None,
        )
    except QuestionError as error:
        refuse(_FIELDS.get(error.reason, "area"), error.reason, error.message)
    return Asked(made, outline, under)


def _check_on_map(area: shapely.MultiPolygon, ground: Ground) -> None:
    """Refuse an area that no unit of the map is near: not a count of 0, but a CRS taken for another."""
    if ground.near(area).any() or not len(ground.boxes):
        return
    box = ground.boxes
    west, south = box[:, :2].min(axis=0).tolist()
    east, north = box[:, 2:4].max(axis=0).tolist()
    at = area.representative_point()
    refuse(
        "area",
        "off_map",
        f"it lies off the map, which is {west:.2f} to {east:.2f} E and {south:.2f} to {north:.2f} N: "
        "wrong CRS, or latitude before longitude?",
        (at.x, at.y),
    )


def members(area: str | tuple[str, ...], ground: Ground, visible: Bools | None = None) -> Bools:
    """Whether each unit is one of `area` or below one: (N + 1,), by id.

    Raises
    ------
    NotFound
        No such unit, or nothing of it may be seen: one answer for both.
    """
    every = np.zeros(len(ground.table) + 1, np.bool_)
    for code in (area,) if isinstance(area, str) else area:
        unit = ground.table.lookup(code)
        inside = ground.below(unit) if unit is not None else None
        if inside is not None and visible is not None:
            inside = inside & visible
        if inside is None or not inside.any():
            # the same whether it is not there or not for this caller
            raise NotFound(f"no unit {code!r} in this map")
        every |= inside
    return every


def _outline(cells: Cells) -> shapely.MultiPolygon:
    whole = shapely.union_all(
        [part for one in cells.ids.tolist() for part in _ground_of(h3.int_to_str(one))]
    )
    return shapely.MultiPolygon([p for p in shapely.get_parts(whole) if p.geom_type == "Polygon"])


def _ground_of(cell: str) -> list[shapely.Polygon]:
    """Ground of a cell, EPSG:4326; cut at the antimeridian; around a pole all to its parallel."""
    ring = np.array(h3.cell_to_boundary(cell))[:, ::-1]
    if np.ptp(ring[:, 0]) <= 180:
        return [shapely.Polygon(ring)]
    level, lowest = h3.get_resolution(cell), float(abs(ring[:, 1]).min())
    if h3.latlng_to_cell(90, 0, level) == cell:
        return [shapely.box(-180, lowest, 180, 90)]
    if h3.latlng_to_cell(-90, 0, level) == cell:
        return [shapely.box(-180, -90, 180, -lowest)]
    parts = []
    for turn in (0, 360):  # as seen from the east and from the west of the antimeridian
        x = np.where(ring[:, 0] < 0, ring[:, 0] + 360, ring[:, 0]) - turn
        half = shapely.Polygon(np.column_stack([x, ring[:, 1]]))
        parts.append(shapely.intersection(half, shapely.box(-180, -90, 180, 90)))
    return parts


def clipped(
    area: shapely.MultiPolygon, ground: Ground, scope: Sequence[str]
) -> shapely.MultiPolygon | None:
    """Part of an area on the ground of a jurisdiction; None: no part."""
    seen = ground.visible(scope)
    # the coarsest units that may be seen hold the ground of all of them
    ids = (np.flatnonzero(seen[1:] & ~seen[ground.table.parent_of]) + 1).tolist()
    if not ids:
        return None
    cut = shapely.intersection(area, shapely.union_all(ground.shapes(ids)))
    parts = [part for part in shapely.get_parts(cut) if part.geom_type == "Polygon"]
    return shapely.MultiPolygon(parts) if parts else None


def ranges(inside: Bools) -> UnitRanges:
    """Ids as half-open ranges."""
    edges = np.flatnonzero(np.diff(np.r_[False, inside, False].astype(np.int8)))
    return UnitRanges(tuple((int(a), int(b)) for a, b in edges.reshape(-1, 2)))


def _under(table: UnitTable, unit: int | None, level: str | None) -> npt.NDArray[np.int32]:
    """By id: the unit it is counted under; conserves counts, 0 stays 0."""
    ids = np.arange(len(table) + 1, dtype=np.int32)
    if level is None and unit is not None:
        found = ids.copy()
        found[:] = 0
        found[unit] = unit
        for number in range(len(table.levels)):
            at = np.flatnonzero(table.level_of == number) + 1
            parent = table.parent_of[at - 1]
            child = np.where(parent == unit, at, found[parent])
            found[at] = np.where(at == unit, unit, child)
        return found
    if level is None:
        return ids
    if level not in table.levels:
        refuse("level", "bad_level", f"{level!r} is not one of {', '.join(table.levels)}")
    found = np.zeros_like(ids)
    for number in range(table.levels.index(level) + 1):
        ancestor = table.ancestors[:, number]
        found = np.where(ancestor > 0, ancestor, found)
    return found


def nothing(kinds: Sequence[str], breakdowns: Sequence[str]) -> Answer:
    """Answer of an area that holds nothing."""
    days = Series(np.zeros(0, "datetime64[D]"), np.zeros(0, np.int64))
    units = Series(np.zeros(0, np.int32), np.zeros(0, np.int64))
    return Answer(
        total=0,
        by_kind=np.zeros(len(kinds), np.int64) if "kind" in breakdowns else None,
        by_day=days if "day" in breakdowns else None,
        by_week=days if "week" in breakdowns else None,
        by_month=days if "month" in breakdowns else None,
        by_hour_of_week=np.zeros(168, np.int64) if "hour_of_week" in breakdowns else None,
        by_unit=units if "unit" in breakdowns else None,
    )


def total(parts: Sequence[Answer], kinds: int) -> Answer:
    """Answers of parts of the events, added up; `kinds` may be more than a part knows."""

    def dense(name: str, size: int) -> npt.NDArray[np.int64] | None:
        given = [getattr(part, name) for part in parts]
        if given[0] is None:
            return None
        found = np.zeros(size, np.int64)
        for one in given:
            found[: len(one)] += one
        return found

    def keyed(name: str) -> Series | None:
        given = [getattr(part, name) for part in parts]
        if given[0] is None:
            return None
        return _added(
            np.concatenate([one.keys for one in given]),
            np.concatenate([one.counts for one in given]),
        )

    return Answer(
        total=sum(part.total for part in parts),
        by_kind=dense("by_kind", kinds),
        by_day=keyed("by_day"),
        by_week=keyed("by_week"),
        by_month=keyed("by_month"),
        by_hour_of_week=dense("by_hour_of_week", 168),
        by_unit=keyed("by_unit"),
        unplaced=keyed("unplaced") or Series(np.zeros(0, np.int32), np.zeros(0, np.int64)),
    )


def _added(keys: npt.NDArray[Any], counts: npt.NDArray[np.int64]) -> Series:
    values, at = np.unique(keys, return_inverse=True)
    sums = np.zeros(len(values), np.int64)
    np.add.at(sums, at, counts)
    return Series(values[sums != 0], sums[sums != 0])


def answer(
    found: Answer, asked: Asked, ground: Ground, kinds: Sequence[str], facts: dict[str, Any]
) -> AreaAnswer:
    """Answer in the words of the web; `facts` are the fields that say what was counted."""
    unplaced, under = found.unplaced, asked.under
    if asked.outline is not None and len(unplaced.keys):
        share = ground.share_ground(asked.outline, unplaced.keys)
        unplaced = Series(unplaced.keys[share], unplaced.counts[share])
    by_unit = None
    if found.by_unit is not None and under is not None:
        by_unit = _units(ground.table, _added(under[found.by_unit.keys], found.by_unit.counts))
    return AreaAnswer(
        **facts,
        total=found.total,
        total_text=str(found.total),
        by_kind=None
        if found.by_kind is None
        else dict(zip(kinds, found.by_kind.tolist(), strict=True)),
        by_day=_dates(found.by_day),
        by_week=_dates(found.by_week),
        by_month=_dates(found.by_month),
        by_hour_of_week=None if found.by_hour_of_week is None else found.by_hour_of_week.tolist(),
        by_unit=by_unit,
        unplaced=_units(ground.table, unplaced),
    )


def _dates(series: Series | None) -> DateCounts | None:
    if series is None:
        return None
    return DateCounts(
        dates=series.keys.astype("datetime64[D]").tolist(), counts=series.counts.tolist()
    )


def _units(table: UnitTable, series: Series) -> list[UnitCount]:
    return [
        UnitCount(
            code=table.codes[number - 1] if number else None,
            name=table.names[number - 1] if number else None,
            level=table.levels[table.level_of[number - 1]] if number else None,
            count=number_of,
        )
        for number, number_of in zip(series.keys.tolist(), series.counts.tolist(), strict=True)
    ]
