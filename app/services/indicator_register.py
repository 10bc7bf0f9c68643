"""Units the map does not have, and things that run out, from files.

Columns `code, level, name …` (register of units) and `reference, code, kind, due, done …`. Promises:
each bad row is named with line, column and reason, the good ones are kept; sending a file again
changes nothing; nothing of a person is stored: texts that look like a person's number are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import sqlalchemy as sa

from app.database import transaction
from app.errors import Invalid
from app.services.event_persons import looks_like
from app.services.indicator_calendar import read_period
from app.services.indicator_feeds import EARLIEST, NOTE_FEED, Known, Report, known_codes, read_table
from app.services.indicator_ground import canonical, layout_of, newest_map
from app.services.scene_tree import Deadline
from app.services.scenes import Scene
from geo.codes import CodeLayout
from geo.indicators import OVERDUE, WARNED, deadline_state

_LEVEL = re.compile(r"[a-z][a-z0-9_]{0,39}")
Row = dict[str, Any]
Fault = tuple[str, str, str]
"""Column, reason, text."""


def _records(table: pd.DataFrame) -> list[Row]:
    return cast("list[Row]", table.to_dict("records"))


# units --------------------------------------------------------------------------------------------

_UNIT = sa.text("""
insert into scene_unit (pack, code, level, name, name_en, parent, place, geom)
values (:pack, :code, :level, :name, :name_en, :parent, :place,
        st_setsrid(st_makepoint(cast(:lon as float8), cast(:lat as float8)), 4326))
on conflict (pack, code) do update set level = excluded.level, name = excluded.name,
  name_en = excluded.name_en, parent = excluded.parent, place = excluded.place, geom = excluded.geom
""")


def import_units(engine: sa.Engine, path: Path, *, pack: str) -> Report:
    """Import units the map does not have.

    Columns code, level, name; perhaps name_en, parent, lon, lat (WGS84). A parent is a unit of the
    map or of an earlier line; on a map it is needed, for it decides who sees the unit.

    Raises
    ------
    Invalid
        The file cannot be used; nothing was written.
    """
    table = read_table(path, ("code", "level", "name"), ("name_en", "parent", "lon", "lat"))
    report = Report(rows=len(table))
    good: list[Row] = []
    with transaction(engine) as connection:
        version = newest_map(connection, pack)
        layout = layout_of(connection, version)
        on_map = set(
            connection.scalars(
                sa.text("select code from unit where boundary_version_id = :v"), {"v": version}
            )
        )
        places = dict(known_codes(connection, pack).place) if _any(connection, pack) else {}
        for row in _records(table):
            fault = next(_unit_faults(row, places, on_map, layout), None)
            if fault is not None:
                report.refuse(row["line"], fault[0], row[fault[0]], fault[1], fault[2])
                continue
            parent = canonical(layout, row["parent"]) if row["parent"] else None
            if parent is not None and parent not in places:
                parent = row["parent"]
            place = places[parent] if on_map and parent else row["code"]
            places[row["code"]] = place
            good.append(
                {
                    **{name: row[name] for name in ("code", "level", "name")},
                    "pack": pack,
                    "name_en": row["name_en"] or None,
                    "parent": parent,
                    "place": place,
                    "lon": float(row["lon"]) if row["lon"] else None,
                    "lat": float(row["lat"]) if row["lat"] else None,
                }
            )
        if good:
            connection.execute(_UNIT, good)
    report.stored = len(good)
    return report


def _any(connection: sa.Connection, pack: str) -> bool:
    return bool(
        connection.scalar(
            sa.text(
                "select exists (select from boundary_version where pack = :pack) "
                "or exists (select from scene_unit where pack = :pack)"
            ),
            {"pack": pack},
        )
    )


def _unit_faults(
    row: Row, places: dict[str, str], on_map: set[str], layout: CodeLayout | None
) -> Iterator[Fault]:
    """Everything wrong with a row of the register."""
    code, parent = row["code"], row["parent"]
    if not code or len(code) > 64:
        yield "code", "bad_code", "has 1 to 64 characters"
    if canonical(layout, code) in on_map:
        yield "code", "on_map", "the map has this unit itself"
    if not _LEVEL.fullmatch(row["level"]):
        yield "level", "bad_level", "is no name of a level (small letters, digits, _)"
    if not row["name"] or len(row["name"]) > 80:
        yield "name", "bad_name", "has 1 to 80 characters"
    for column in ("code", "name", "name_en"):
        if what := looks_like(row[column]):
            yield column, "person", f"looks like a {what}: never stored"
    if parent and canonical(layout, parent) not in places and parent not in places:
        yield "parent", "unknown_parent", "is no unit of the map or of an earlier line"
    if on_map and not parent:
        yield "parent", "no_parent", "a unit beside a map says which unit it lies in"
    if bool(row["lon"]) != bool(row["lat"]):
        yield "lon", "half_a_point", "lon and lat come together"
    elif row["lon"] and not _point(row["lon"], row["lat"]):
        yield "lon", "bad_point", "lon and lat are no place in degrees"


def _point(lon: str, lat: str) -> bool:
    try:
        return -180 <= float(lon) <= 180 and -90 <= float(lat) <= 90
    except ValueError:
        return False


# things that run out ------------------------------------------------------------------------------

_ITEM = sa.text("""
insert into indicator_item (pack, scene, deadline, reference, kind, important, code, place, due, done)
values (:pack, :scene, :deadline, :reference, :kind, :important, :code, :place, :due, :done)
on conflict (pack, scene, deadline, reference) do update set kind = excluded.kind,
  important = excluded.important, code = excluded.code, place = excluded.place, due = excluded.due,
  done = excluded.done
""")


def import_items(
    engine: sa.Engine,
    path: Path,
    *,
    scene: Scene,
    deadline: str,
    pack: str,
    as_of: date,
    source: str = "",
    simulated: bool = False,
) -> Report:
    """Import things that run out.

    Columns reference, code, kind, due; perhaps done, important. `as_of` is the day the list
    describes: nothing after it is known to be done.

    Raises
    ------
    Invalid
        The file cannot be used, or the scene has no such deadline; nothing was written.
    """
    rule = _rule(scene, deadline)
    table = read_table(path, ("reference", "code", "kind", "due"), ("done", "important"))
    report = Report(rows=len(table))
    good: list[Row] = []
    seen: set[str] = set()
    with transaction(engine) as connection:
        known = known_codes(connection, pack)
        for row in _records(table):
            fault = next(_item_faults(row, rule, known, as_of, seen), None)
            if fault is not None:
                report.refuse(row["line"], fault[0], row[fault[0]], fault[1], fault[2])
                continue
            seen.add(row["reference"])
            code = known.find(row["code"])
            assert code is not None
            good.append(
                {
                    "pack": pack, "scene": scene.name, "deadline": deadline,
                    "reference": row["reference"], "kind": row["kind"], "code": code,
                    "place": known.place[code], "due": _day(row["due"]), "done": _day(row["done"]),
                    "important": row["important"].lower() in {"1", "true"},
                }
            )  # fmt: skip
        if good:
            connection.execute(_ITEM, good)
            # the list is a register: it is whole from the year of its first warning on
            first = min(one["due"] for one in good) - timedelta(days=rule.warn_days)
            first = first.replace(month=1, day=1)
            connection.execute(
                NOTE_FEED,
                {
                    "pack": pack, "scene": scene.name, "feed": deadline, "source": source,
                    "simulated": simulated, "period": "day", "first": min(first, as_of),
                    "through": as_of + timedelta(days=1),
                },
            )  # fmt: skip
    report.stored = len(good)
    return report


@dataclass(frozen=True)
class Warned:
    """Something that runs out and is not settled."""

    reference: str
    kind: str
    code: str
    due: date
    important: bool
    cls: str


def open_warnings(
    connection: sa.Connection, scene: Scene, deadline: str, pack: str, day: date
) -> list[Warned]:
    """List what is warned or overdue on a day, the most urgent first.

    Raises
    ------
    Invalid
        The scene has no such deadline.
    """
    rule = _rule(scene, deadline)
    rows = connection.execute(
        sa.text(
            "select reference, kind, code, due, done, important from indicator_item where "
            "pack = :pack and scene = :scene and deadline = :deadline order by due, reference"
        ),
        {"pack": pack, "scene": scene.name, "deadline": deadline},
    ).all()
    states = deadline_state(
        [row.due.toordinal() for row in rows],
        [row.done.toordinal() if row.done else np.nan for row in rows],
        day.toordinal(),
        rule.warn_days,
    )
    classes = {WARNED: rule.warning, OVERDUE: rule.overdue}
    return [
        Warned(row.reference, row.kind, row.code, row.due, row.important, classes[int(state)])
        for row, state in zip(rows, states, strict=True)
        if int(state) in classes
    ]


def _rule(scene: Scene, deadline: str) -> Deadline:
    rule = next((one for one in scene.deadlines if one.id == deadline), None)
    if rule is None:
        there = ", ".join(one.id for one in scene.deadlines) or "none"
        raise Invalid(f"scene {scene.name} has no deadline {deadline!r}; there are {there}")
    return rule


def _item_faults(
    row: Row, rule: Deadline, known: Known, as_of: date, seen: set[str]
) -> Iterator[Fault]:
    """Everything wrong with a row of things that run out."""
    reference = row["reference"]
    if not reference or len(reference) > 40:
        yield "reference", "bad_reference", "has 1 to 40 characters"
    if what := looks_like(reference):
        yield "reference", "person", f"looks like a {what}: never stored"
    if reference in seen:
        yield "reference", "repeated", "stands in an earlier line"
    if known.find(row["code"]) is None:
        yield "code", "unknown_code", "no unit of this pack has this code"
    kinds = sorted(one.id for one in rule.kinds)
    if row["kind"] not in kinds:
        yield "kind", "unknown_kind", f"is no kind of this deadline; there are {', '.join(kinds)}"
    due = _day(row["due"])
    if due is None:
        yield "due", "bad_date", "is no day like 2025-12-03"
    elif due < EARLIEST:
        yield "due", "early", f"is before {EARLIEST}"
    done = _day(row["done"])
    if row["done"] and done is None:
        yield "done", "bad_date", "is no day like 2025-12-03"
    if done is not None and done > as_of:
        yield "done", "future", f"is after the day of the list, {as_of}"
    if row["important"].lower() not in {"", "0", "1", "true", "false"}:
        yield "important", "bad_flag", "is 0 or 1"


def _day(text: str) -> date | None:
    found = read_period(text)
    return found[1] if found and found[0] == "day" else None
