"""What each collection's features are, as one relation the conditions of a question are put on.

Imports services: units are the table of units with the values of a run (the bytes the map is
coloured with), cells the grid with the same bytes, everything else what the lists of the interface
answer. Promises: row security and rights are those of these lists; nothing is read past them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, cast
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import shapely
import sqlalchemy as sa

from app.api.models import Period
from app.errors import NotFound
from app.ogc.collections import Collection, moments
from app.ogc.errors import bad
from app.ogc.fields import SQL, Field
from app.ogc.parameters import Asked, touches
from app.security.identity import Identity
from app.services import (
    border_desks,
    cells_lookup,
    cells_tiles,
    devices,
    job_geojson,
    jobs,
    values,
)
from app.services import zones as zone_service
from app.services.caches import Caches
from app.services.cells_lookup import CellLayerKey
from app.services.periods import Span
from app.services.runs import Layer, RunFacts, run_facts
from app.services.units import unit_table
from geo import cells as h3
from tiles import levels as lv
from tiles.geometry import project
from tiles.palette import CLASSES

#: Devices of one answer; the list of the interface has the same bound.
MOST_DEVICES = 20_000
#: Jobs looked through for the newest of every method.
MOST_JOBS = 200
SPOTS = ("gi", "scan", "emerging")
#: Between the key a page begins after and the jobs its features are of.
PINNED = "~"
_NUMBERS = re.compile(rf"[0-9]{{1,18}}(,[0-9]{{1,18}}){{0,{len(SPOTS) - 1}}}", re.ASCII)


class Store(Protocol):
    """The database as one request sees it (`app.api.dependencies.Store`)."""

    caches: Caches
    identity: Identity

    def read(self) -> Any:
        """Begin a read-only transaction."""


@dataclass(frozen=True)
class Relation:
    """Features of a question before its conditions.

    Attributes
    ----------
    table : columns `key` (what pages are ordered by), `id`, `geometry`, and the properties
    total : how many features match, where that is known already; None: to be counted
    done : whether page and limit were applied already
    placed : whether the box was applied already
    shapes : outlines by `key` where the relation has none of its own
    events : counted events the rows tell of, for the audit
    jobs : jobs the rows are of where nobody chose one; the next page is to be of the same
    """

    table: sa.FromClause
    total: int | None = None
    done: bool = False
    placed: bool = False
    shapes: Mapping[int, shapely.Geometry] | None = None
    events: int | None = None
    jobs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Choice:
    """Run, kind and period a coloured collection is asked for; `empty`: no period at that time."""

    facts: RunFacts
    kind: str
    period: Period
    span: Span
    empty: bool

    def layer(self, level: str) -> Layer:
        """Return the layer of a level."""
        return Layer(level, self.kind, self.period, self.span.ord)

    def pinned(self) -> dict[str, Any]:
        """Parameters that choose the same again, whatever is published meanwhile."""
        return {
            "run": self.facts.id, "kind": self.kind, "period": self.period, "ord": self.span.ord,
        }  # fmt: skip


def choose(
    connection: sa.Connection, caches: Caches, collection: Collection, asked: Asked
) -> Choice:
    """Find run, kind and period: the newest run, overall, the newest complete month unless it says.

    A moment without an index takes the newest period it touches.

    Raises
    ------
    NotFound
        The map has no such run, kind or period.
    """
    given = asked.chosen
    run = int(given.get("run", collection.map.run))
    if not 0 < run < 2**31:
        raise NotFound(f"no published run {run}")
    facts = run_facts(connection, caches, run)
    if facts.pack != collection.map.pack:
        raise NotFound(f"no published run {run}")
    if collection.room == "units":
        facts.level(collection.part)
    kind = facts.kind(given.get("kind", "overall"))
    period = cast("Period", given.get("period", next(iter(facts.periods))))
    spans = facts.periods.get(period, ())
    zone = ZoneInfo(facts.time_zone)
    moment = asked.moment
    if "ord" in given:
        span = facts.span(period, int(given["ord"]))
    else:
        facts.span(period, 0)
        complete = [one for one in spans if one.complete] or list(spans)
        span = complete[-1]
        if moment is not None:
            met = [one for one in spans if touches(moment, *moments(one, zone))]
            span = met[-1] if met else span
    empty = moment is not None and not touches(moment, *moments(span, zone))
    return Choice(facts, kind, period, span, empty)


# units and cells ---------------------------------------------------------------------------------
_COLOURED = """
  cast(:run as bigint) as run, cast(:kind as text) as kind, cast(:period as text) as period,
  cast(:ord as bigint) as ord, cast(:start as date) as start, cast(:stop as date) as "end",
  v.colour, (cast(:names as text[]))[v.colour + 1] as colour_name,
  (cast(:zh as text[]))[v.colour + 1] as class_zh, (cast(:en as text[]))[v.colour + 1] as class_en,
  (cast(:fills as text[]))[v.colour + 1] as fill,
  case when v.risk > 0 then cast(round(cast(power(2.0, (v.risk - 128) / 16.0) as numeric), 4)
    as float8) end as theta
"""
_UNITS = f"""
select u.id as key, u.code as id, u.geom as geometry, u.code, u.name, u.name_en, u.level,
  p.code as parent, u.area_km2, {_COLOURED}
from unit u
cross join (select cast(:payload as bytea) as body) given
cross join lateral (select get_byte(given.body, u.id - :first) as colour,
                           get_byte(given.body, :n + u.id - :first) as risk) v
left join unit p on p.boundary_version_id = u.boundary_version_id and p.id = u.parent_id
where u.boundary_version_id = :version and u.level = :level and may_see(u.code) and not :empty
"""  # noqa: S608
_CELLS = f"""
select v.key, v.id, st_geomfromwkb(v.body, 4326) as geometry, v.id as cell,
  cast(:res as bigint) as res, v.code, {_COLOURED}
from unnest(cast(:keys as int[]), cast(:cells as text[]), cast(:codes as text[]),
  cast(:colours as int[]), cast(:risks as int[]), cast(:bodies as bytea[]))
  as v(key, id, code, colour, risk, body)
where not :empty
"""  # noqa: S608


def _given(choice: Choice) -> dict[str, Any]:
    return {
        **choice.pinned(), "start": choice.span.start, "stop": choice.span.end,
        "names": [one.id for one in CLASSES], "zh": [one.meaning_zh for one in CLASSES],
        "en": [one.meaning_en for one in CLASSES], "fills": [one.light.fill for one in CLASSES],
        "empty": choice.empty,
    }  # fmt: skip


def _table(text: str, given: Mapping[str, Any], fields: Iterable[Field]) -> sa.FromClause:
    columns: list[sa.ColumnClause[Any]] = [
        sa.column("key"), sa.column("id", sa.Text), sa.column("geometry"),
    ]  # fmt: skip
    kinds: dict[str, Any] = {
        "string": sa.Text(), "integer": sa.BigInteger(), "number": sa.Double(),
        "boolean": sa.Boolean(), "date": sa.Date(), "date-time": sa.DateTime(timezone=True),
    }  # fmt: skip
    columns += [sa.column(one.name, kinds[one.type]) for one in fields]
    return sa.text(text).bindparams(**given).columns(*columns).subquery("f")


def units(
    connection: sa.Connection, caches: Caches, collection: Collection, choice: Choice
) -> Relation:
    """Units of a level with the values of a run, kind and period."""
    layer = choice.layer(collection.part)
    payload, _ = values.compressed(connection, caches, choice.facts.id, layer)
    first, _ = unit_table(connection, caches, choice.facts.version_id).range(collection.part)
    given = {
        **_given(choice), "payload": payload, "n": len(payload) // 2, "first": first,
        "version": choice.facts.version_id, "level": collection.part,
    }  # fmt: skip
    return Relation(_table(_UNITS, given, collection.fields.values()))


def cells(store: Store, collection: Collection, choice: Choice, asked: Asked) -> Relation:
    """Cells of a grid that may be seen, with the values of a run, kind and period."""
    key = CellLayerKey(int(collection.part), choice.kind, choice.period, choice.span.ord)
    with store.read() as connection:
        digest = cells_lookup.digest_of(connection, choice.facts, key.res)
    layer = cells_tiles.layer(store, digest)
    with store.read() as connection:
        payload = cells_lookup.coloured(connection, store.caches, choice.facts.id, key)
    near = np.arange(len(layer.cells))
    if asked.identifier is not None:
        near = np.flatnonzero(layer.cells == np.uint64(_index(asked.identifier)))
    if asked.box is not None:
        near = _near(layer.at, layer.reach, asked.box)
        near = near[shapely.intersects(outlines(layer.cells[near]), asked.box)]
    total, done = len(near), not asked.equal and asked.filter is None
    if done:
        if asked.after is not None:
            near = near[layer.ids[near] > whole(asked.after)]
        near = near[: asked.limit + 1]
    if choice.empty:
        total, near = 0, near[:0]
    ids = layer.ids[near]
    shapes = outlines(layer.cells[near])
    asks_place = asked.filter is not None
    given = {
        **_given(choice), "res": key.res, "keys": ids.tolist(),
        "cells": [f"{one:x}" for one in layer.cells[near].tolist()],
        "codes": [layer.codes[at] for at in near.tolist()],
        "colours": payload[0, ids - 1].tolist(), "risks": payload[1, ids - 1].tolist(),
        "bodies": shapely.to_wkb(shapes).tolist() if asks_place else [None] * len(near),
    }  # fmt: skip
    return Relation(
        _table(_CELLS, given, collection.fields.values()),
        total if done else None,
        done,
        True,
        dict(zip(ids.tolist(), shapes, strict=True)),
    )


def _index(text: str) -> int:
    """Read an H3 index; 0, which is none, for what is none."""
    return int(text, 16) if re.fullmatch(r"8[0-9a-f]{14}", text) else 0


def _near(at: npt.NDArray[np.float64], reach: float, box: shapely.Geometry) -> npt.NDArray[np.intp]:
    """Cells whose centre (as parts of the world) is within reach of the bounds of a box."""
    west, south, east, north = box.bounds
    corners = np.array([[west, max(south, -85.0)], [east, min(north, 85.0)]])
    low, high = project(corners) / lv.WORLD
    found = ((at >= low - reach) & (at <= high + reach)).all(axis=1)
    return np.flatnonzero(found)


def outlines(cells: h3.Cells) -> npt.NDArray[np.object_]:
    """Polygons of cells, longitude latitude."""
    if not len(cells):
        return np.zeros(0, object)
    corners, start = h3.outlines(cells)
    rings = shapely.linearrings(corners, indices=np.repeat(np.arange(len(cells)), np.diff(start)))
    found: npt.NDArray[np.object_] = shapely.polygons(rings)
    return found


def whole(text: str) -> int:
    """Read the key of a feature as a number; what is none stands behind all others."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 2**62


# lists of the interface --------------------------------------------------------------------------
def listed(
    rows: Sequence[Mapping[str, Any]], fields: Iterable[Field], events: int | None = None
) -> Relation:
    """Rows with `key`, `id`, `geometry` (GeoJSON) and properties as a relation."""
    listed_fields = list(fields)
    types = ", ".join(f'"{one.name}" {SQL[one.type]}' for one in listed_fields)
    names = ", ".join(f'r."{one.name}"' for one in listed_fields)
    text = (
        'select r."key" collate "C" as "key", r."id", st_setsrid(st_geomfromgeojson(r."shape"), 4326) as geometry, '  # noqa: S608
        f"{names} from jsonb_to_recordset(cast(:rows as jsonb)) "
        f'as r("key" text, "id" text, "shape" jsonb, {types})'
    )
    body = json.dumps([{**one, "shape": one["geometry"]} for one in rows], default=_text)
    return Relation(_table(text, {"rows": body}, listed_fields), events=events)


def _text(value: Any) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()


def _point(lon: float, lat: float) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [lon, lat]}


def zones(connection: sa.Connection, collection: Collection, asked: Asked) -> Relation:
    """Zones that may be seen, each in its version in force, else its newest."""
    rows = []
    for one in zone_service.zones(connection, collection.map.pack):
        version = one.version
        if version is None or version.geometry is None:
            continue
        if asked.moment and not touches(asked.moment, version.valid_from, version.valid_to):
            continue
        rows.append(
            {
                "key": f"{one.id:012}", "id": str(one.id), "zone": one.id, "name": one.name,
                "geometry": version.model_dump(mode="json")["geometry"],
                "version": version.version, "state": version.state, "in_force": version.in_force,
                "side": one.side, "sides": ",".join(version.sides),
                "units": ",".join(version.units), "metres": version.metres,
                "valid_from": version.valid_from, "valid_to": version.valid_to,
            }
        )  # fmt: skip
    return listed(rows, collection.fields.values())


def facilities(connection: sa.Connection, identity: Identity, collection: Collection) -> Relation:
    """Sites of scenes; checkpoints and devices for who may read the border."""
    pack = collection.map.pack
    sites = connection.execute(
        sa.text(
            "select code, name, level as kind, st_x(geom) as lon, st_y(geom) as lat "
            "from scene_unit where pack = :pack and geom is not null order by code"
        ),
        {"pack": pack},
    )
    rows: list[dict[str, Any]] = [
        {"id": f"site-{one.code}", "type": "site", **one._mapping} for one in sites
    ]
    if identity.may("border:read"):
        rows += [
            {"id": f"checkpoint-{one.id}", "type": "checkpoint", "name": one.name,
             "kind": one.kind, "code": one.code, "side": one.side, "lon": one.lon, "lat": one.lat}
            for one in border_desks.checkpoints(connection, pack)
        ]  # fmt: skip
        rows += [
            {"id": f"device-{one.id}", "type": "device", "name": one.name, "kind": one.kind,
             "code": one.code, "side": one.side, "state": one.state, "alarming": one.alarming,
             "simulated": one.simulated, "lon": one.lon, "lat": one.lat}
            for one in devices.devices(connection, pack, limit=MOST_DEVICES).devices
        ]  # fmt: skip
    for one in rows:
        one |= {"key": one["id"], "geometry": _point(one["lon"], one["lat"])}
    return listed(rows, collection.fields.values())


def hotspots(
    connection: sa.Connection, identity: Identity, collection: Collection, asked: Asked
) -> Relation:
    """Places that one's own jobs found hot or cold, and their clusters.

    Raises
    ------
    NotFound
        There is no such job, or it found no places.
    """
    rows: list[dict[str, Any]] = []
    events = 0
    numbers = _jobs(connection, identity, collection, asked)
    for number in numbers:
        about, body = jobs.body(connection, identity, number, "json")
        result = json.loads(body)
        if result.get("cells") or "clusters" in result:
            events += about.rows or 0
            rows += _spots(number, about.type, result, about.question, asked)
    found = listed(rows, collection.fields.values(), events)
    return found if "job" in asked.chosen else replace(found, jobs=tuple(numbers))


def _jobs(
    connection: sa.Connection, identity: Identity, collection: Collection, asked: Asked
) -> list[int]:
    """Numbers of the jobs whose places are asked, in order."""
    pack = collection.map.pack
    if "job" in asked.chosen:
        return [_spotted(connection, identity, pack, int(asked.chosen["job"]))]
    pinned = (asked.after or "").partition(PINNED)[2]
    if pinned:
        if not _NUMBERS.fullmatch(pinned):
            raise bad("after", "take it from the link `next`")
        return [_spotted(connection, identity, pack, int(one)) for one in pinned.split(",")]
    newest: dict[str, int] = {}
    for one in jobs.listed(connection, identity, pack, MOST_JOBS):
        if one.state == "done" and one.type in SPOTS:
            newest.setdefault(one.type, one.id)
    return sorted(newest.values())


def _spotted(connection: sa.Connection, identity: Identity, pack: str, number: int) -> int:
    """Look one's own job up that has places on a map; its number."""
    if not 0 < number < 2**63:
        raise NotFound(f"no job {number}")
    one = jobs.read(connection, identity, number)
    if one.question.pack != pack or one.type not in SPOTS or one.state != "done":
        raise NotFound(f"job {number} has no places on this map")
    return number


def _spots(
    number: int, kind: str, result: Mapping[str, Any], question: Any, asked: Asked
) -> list[dict[str, Any]]:
    features = json.loads(job_geojson.collection(dict(result)))["features"]
    rows = []
    for at, one in enumerate(features):
        given = one["properties"]
        found = given.get("found")
        if found is None:  # a cluster of the scan is a place with more than expected
            found = "hot"
        if found == "none":
            continue
        start = given.get("start") or result.get("covered_start") or str(question.start)
        end = given.get("end") or result.get("covered_end") or str(question.end)
        row = {
            name: given.get(name)
            for name in ("rank", "cell", "category", "observed", "expected", "relative_risk", "z",
                         "p", "significant")
        }  # fmt: skip
        row |= {
            "key": f"{number:019}-{at:07}", "id": f"{number}-{one['id']}", "geometry": one["geometry"], "job": number,
            "type": kind, "found": found, "start": start, "end": end,
        }  # fmt: skip
        if row["significant"] is None:
            row["significant"] = True  # what is left is hot or cold by the method's own test
        if asked.moment and not touches(asked.moment, _when(start), _when(end)):
            continue
        rows.append(row)
    return rows


def _when(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo("UTC"))
