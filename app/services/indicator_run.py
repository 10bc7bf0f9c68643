"""Runs of indicators: all levels, periods and indicators of a scene at one moment, immutable.

`run` reads with `indicator_panels`, computes with `indicator_compute` and writes by COPY inside one
transaction: a run is there whole or not at all. It keeps the scene version it was made with.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.database import raw, transaction
from app.errors import Conflict, Invalid
from app.services import indicator_alerts, scene_store
from app.services.binary_copy import HEADER, TRAILER, rows
from app.services.indicator_compute import Node, compute
from app.services.indicator_ground import Ground, level_order, newest_map, read_ground
from app.services.indicator_panels import (
    Panels,
    Sources,
    finest_used,
    read_sources,
    stopped,
)
from app.services.scene_tree import Calendar
from app.services.scenes import Scene

#: Days kept of day values: what last year's same day needs, and a month more.
DAYS = 400
NOTES = 500
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Made:
    """A finished run."""

    id: int
    scene: str
    version: int
    as_of: date
    units: int
    results: int
    notes: list[dict[str, Any]]
    stopped: list[str]


def run(
    engine: sa.Engine,
    scene: Scene,
    pack: str,
    *,
    zone: str,
    progress: Progress = lambda _text, _done, _total: None,
) -> Made:
    """Compute the indicators of a scene for a pack, publish them, and look for alerts in them.

    Parameters
    ----------
    engine : sa.Engine
    scene : valid scene; applied when it is not yet
    pack : name of the map, or of a register of units
    zone : time zone of the installation; the scene's own goes before

    Raises
    ------
    Invalid
        The scene has no indicators, or nothing was imported for it.
    NotFound
        The pack has no units.
    Conflict
        Another scene of the same name and number is in force.
    """
    if scene.indicators is None:
        raise Invalid(f"scene {scene.name} has no indicators: `wusetu assess` takes its kinds")
    with transaction(engine) as connection:
        version, _ = scene_store.apply(connection, scene)
    with transaction(engine) as connection:
        connection.exec_driver_sql("set transaction isolation level repeatable read")
        made = _run(connection, version, pack, scene.time_zone or zone, progress)
    indicator_alerts.after_run(engine, made.id, zone=zone)
    return made


def _given_levels(connection: sa.Connection, ground: Ground, scene: Scene) -> list[str]:
    """Levels of the units values were given for."""
    codes = connection.scalars(
        sa.text(
            "select code from indicator_value where pack = :pack and scene = :scene group by code "
            "union select code from indicator_item where pack = :pack and scene = :scene"
        ),
        {"pack": ground.pack, "scene": scene.name},
    )
    return sorted({ground.units[code].level for code in codes if code in ground.units})


def _run(
    connection: sa.Connection,
    version: scene_store.Version,
    pack: str,
    zone: str,
    progress: Progress,
) -> Made:
    scene = version.scene
    whole = read_ground(connection, pack, scene.levels)
    order = level_order(connection, pack, scene.levels, newest_map(connection, pack))
    finest = finest_used(scene, order, _given_levels(connection, whole, scene))
    ground = read_ground(connection, pack, scene.levels, finest)
    shown = [one for one in ground.levels if not scene.levels or one in scene.levels]
    if not shown:
        raise Invalid(
            f"scene {scene.name} shows the levels {', '.join(scene.levels)}; the pack {pack} has "
            f"{', '.join(order)}"
        )
    sources = read_sources(connection, scene, ground, zone)
    span = sources.span()
    if span is None:
        raise Invalid(
            f"nothing was imported for scene {scene.name} and pack {pack}: "
            "`wusetu indicators import FILE`"
        )
    first, as_of = span
    panels = Panels(ground, sources, first, as_of)
    covers = {one.name: one for one in sources.covers}
    ends = [said for feed in scene.feeds if (said := _end(feed, covers, as_of, pack)) is not None]
    number = _begin(connection, version, ground, sources, as_of, scene, ends)
    written = 0
    notes: list[dict[str, Any]] = []
    steps = [(level, period) for level in shown for period in scene.calendar]
    _write_units(connection, number, ground, shown)
    for period in scene.calendar:
        _write_periods(connection, number, panels, period)
    for done, (level, period) in enumerate(steps):
        progress(f"{level}, {period}", done, len(steps))
        found = compute(scene, panels, level, period)
        if period != "day":  # a day without a case is nothing odd
            notes += _notes(found, ground, panels, level, period, scene)
        written += _write(connection, number, ground, level, period, found, panels)
    connection.execute(
        sa.text(
            "update indicator_run set status = 'published', published_at = now(), "
            "notes = cast(:notes as jsonb) where id = :id"
        ),
        {"id": number, "notes": json.dumps(notes[:NOTES], ensure_ascii=False)},
    )
    units = sum(len(ground.codes(level)) for level in shown)
    return Made(number, scene.name, version.version, as_of, units, written, notes, ends)


def _end(feed: Any, covers: dict[str, Any], as_of: date, pack: str) -> str | None:
    cover = covers.get(feed.id)
    if cover is None:
        return f"feed {feed.id} ({feed.zh}) has sent nothing for {pack}"
    return stopped(cover, feed, as_of)


def _begin(  # noqa: PLR0917
    connection: sa.Connection,
    version: scene_store.Version,
    ground: Ground,
    sources: Sources,
    as_of: date,
    scene: Scene,
    ends: list[str],
) -> int:
    told = {said.split(" ", 2)[1]: said for said in ends}
    covers = {one.name: one for one in sources.covers}
    names = [*(one.id for one in scene.feeds), *(n for n in covers if n not in told)]
    feeds = []
    for name in dict.fromkeys(names):
        cover = covers.get(name)
        feeds.append(
            {
                "id": name,
                "every": cover.every if cover else None,
                "first": cover.first.isoformat() if cover else None,
                "through": cover.through.isoformat() if cover else None,
                "simulated": bool(cover and cover.simulated),
                "stopped": told.get(name),
            }
        )
    number: int = connection.execute(
        sa.text(
            "insert into indicator_run (pack, scene, scene_version_id, boundary_version_id, status, "
            "as_of, simulated, feeds) values (:pack, :scene, :version, :map, 'running', :as_of, "
            ":simulated, cast(:feeds as jsonb)) returning id"
        ),
        {
            "pack": ground.pack,
            "scene": scene.name,
            "version": version.id,
            "map": ground.version,
            "as_of": as_of,
            "simulated": any(one.simulated for one in sources.covers),
            "feeds": json.dumps(feeds, ensure_ascii=False),
        },
    ).scalar_one()
    return number


# writing ------------------------------------------------------------------------------------------


def _cut(panels: Panels, period: Calendar) -> int:
    """Index of the first period that is kept."""
    return max(0, len(panels.spans(period)) - DAYS) if period == "day" else 0


def _write_periods(
    connection: sa.Connection, number: int, panels: Panels, period: Calendar
) -> None:
    connection.execute(
        sa.text(
            "insert into indicator_period values (:run, :period, :ord, :start, :stop, :complete)"
        ),
        [
            {
                "run": number,
                "period": period,
                "ord": at,
                "start": one.start,
                "stop": one.stop,
                "complete": one.start >= panels.first and one.stop <= panels.stop,
            }
            for at, one in enumerate(panels.spans(period)[_cut(panels, period) :])
        ],
    )


def _write_units(connection: sa.Connection, number: int, ground: Ground, shown: list[str]) -> None:
    levels = set(shown)
    found = [
        {
            "run": number,
            "code": code,
            "level": one.level,
            "name": one.name,
            "name_en": one.name_en,
            "path": ground.path(code),
            "place": one.place,
        }
        for code, one in ground.units.items()
        if one.level in levels
    ]
    if found:
        connection.execute(
            sa.text(
                "insert into indicator_unit values "
                "(:run, :code, :level, :name, :name_en, :path, :place)"
            ),
            found,
        )


_ARRAYS = ("numerator", "denominator", "value", "score", "classes", "steps")


def _write(  # noqa: PLR0917
    connection: sa.Connection,
    number: int,
    ground: Ground,
    level: str,
    period: Calendar,
    found: dict[str, Node],
    panels: Panels,
) -> int:
    codes = ground.codes(level)
    if not codes:
        return 0
    code = np.array([one.encode() for one in codes], "S")
    place = np.array([ground.units[one].place.encode() for one in codes], "S")
    start = _cut(panels, period)
    for name, node in found.items():
        columns: list[Any] = [number, level, period, name, code, place]
        names = ["run_id", "level", "period", "indicator", "code", "place"]
        for field in _ARRAYS:
            values = getattr(node, field)
            if values is None:
                continue
            names.append({"classes": "class", "steps": "step"}.get(field, field))
            columns.append(_column(values[start:]))
        _copy(connection, f"copy indicator_result ({', '.join(names)})", columns)
    return len(found) * len(codes)


def _column(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    turned = np.ascontiguousarray(values.T)
    return turned.astype(np.int16) if turned.dtype.kind == "i" else turned.astype(np.float64)


def _copy(connection: sa.Connection, command: str, columns: list[Any]) -> None:
    body = io.BytesIO(b"".join(_blocks(columns)))
    with raw(connection).cursor() as cursor:
        cursor.copy_expert(f"{command} from stdin (format binary)", body)


def _blocks(columns: list[Any]) -> Iterator[bytes]:
    yield HEADER
    yield from rows(columns)
    yield TRAILER


def _notes(  # noqa: PLR0917
    found: dict[str, Node],
    ground: Ground,
    panels: Panels,
    level: str,
    period: Calendar,
    scene: Scene,
) -> Iterator[dict[str, Any]]:
    """Divisions by 0: indicator, denominator, unit and periods."""
    codes = ground.codes(level)
    calendar = panels.spans(period)
    tree = scene.indicators
    for name, node in found.items():
        if node.divided_by_zero is None or not node.divided_by_zero.any():
            continue
        one = tree.find(name) if tree else None
        per = getattr(getattr(one, "per", None), "measure", "")
        for unit in np.flatnonzero(node.divided_by_zero.any(axis=0)).tolist():
            when = np.flatnonzero(node.divided_by_zero[:, unit])
            yield {
                "reason": "division_by_zero",
                "indicator": name,
                "measure": per,
                "level": level,
                "code": codes[unit],
                "period": period,
                "first": calendar[int(when[0])].start.isoformat(),
                "last": calendar[int(when[-1])].start.isoformat(),
                "periods": len(when),
                "text": f"{name} of {codes[unit]}: {per} is 0 in {len(when)} {period}(s) from "
                f"{calendar[int(when[0])].start}: division by 0, no value",
            }


def prune(engine: sa.Engine, scene: str, pack: str, keep: int) -> int:
    """Remove all but the newest `keep` runs of a scene; how many went.

    Raises
    ------
    Conflict
        None would be left.
    """
    if keep < 1:
        raise Conflict("at least one run stays")
    with transaction(engine) as connection:
        gone = connection.execute(
            sa.text(
                "delete from indicator_run where pack = :pack and scene = :scene and id not in "
                "(select id from indicator_run where pack = :pack and scene = :scene "
                "order by id desc limit :keep)"
            ),
            {"pack": pack, "scene": scene, "keep": keep},
        )
    return gone.rowcount
