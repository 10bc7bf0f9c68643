"""Sides of a map, the lines they share, and where a place is. Imports `geo.border`.

Takes connections and plain arguments, never a request. Promises: what is found here of another
side is its code, its name, the line shared with it, and what a zone in force names; the database
decides (`holds_side`), this module only cuts units.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import shapely
import sqlalchemy as sa

from app.api import border_models as models
from app.database import transaction
from app.errors import Forbidden, Invalid, NotFound
from app.security.identity import Identity
from app.services.boundaries import leaf_index
from app.services.boundaries import newest_version as _newest
from app.services.caches import Lru
from app.services.device_near import near_devices
from app.services.units import UnitTable
from geo import border
from geo.border import LineIndex
from geo.locate import LocateIndex


@dataclass(frozen=True, eq=False)
class Line:
    """Line of two sides: code and name of both, metres, shape."""

    side_a: str
    name_a: str
    side_b: str
    name_b: str
    length_m: float
    shape: shapely.MultiLineString


@dataclass(frozen=True, eq=False)
class Map:
    """What the border needs to know of one boundary version; never changes.

    Parameters
    ----------
    table : all units, as the installation sees them
    level : level whose units are the sides
    sides : codes of the sides → names, ascending
    locate : index of the leaf units
    lines : all lines; `Borders.lines` gives those of one's own sides
    """

    version: int
    label: str
    table: UnitTable
    level: str
    sides: dict[str, str]
    locate: LocateIndex
    lines: tuple[Line, ...]

    def side(self, code: str) -> models.Side:
        """Side of a code, with its names."""
        return models.Side(code=code, name=self.sides[code], name_en=self.english(code))

    def english(self, code: str) -> str | None:
        """English name of a unit; None where it has none, or is not of this map."""
        found = self.table.lookup(code)
        return self.table.names_en[found - 1] if found else None

    def side_of(self, code: str) -> str | None:
        """Side a unit's code lies in."""
        return next((one for one in self.sides if code.startswith(one)), None)

    def side_at(self, lon: float, lat: float) -> str | None:
        """Side of a place; None outside of the map."""
        unit = int(self.locate.locate(np.array([lon]), np.array([lat]))[0])
        return self.side_of(self.table.codes[unit - 1]) if unit else None


class Borders:
    """Maps and lines one application holds. Threads share it.

    Parameters
    ----------
    engine : of the installation itself
    data_dir : where locate indexes are
    units : unit table of a version, as the installation sees it
    """

    def __init__(
        self,
        engine: sa.Engine,
        data_dir: Path,
        units: Callable[[sa.Connection, int], UnitTable],
    ) -> None:
        self.engine = engine
        self._data_dir = data_dir
        self._units = units
        self._maps: Lru[Map] = Lru(8)
        self._lines: Lru[tuple[LineIndex, list[Line]]] = Lru(64)

    def map(self, connection: sa.Connection, pack: str) -> Map:
        """Map of the newest boundaries of a pack.

        Parameters
        ----------
        connection : any; the version is looked up with it

        Raises
        ------
        NotFound
            There is no such pack.
        """
        version: int | None = connection.execute(
            sa.text(
                "select id from boundary_version where pack = :pack "
                "order by valid_from desc, id desc limit 1"
            ),
            {"pack": pack},
        ).scalar_one_or_none()
        if version is None:
            raise NotFound(f"no map {pack!r}")
        return self._maps.get(version, lambda: self._make(pack, version))

    def englisher(self, connection: sa.Connection) -> Callable[[str, str], str | None]:
        """Pack and code of a unit → its English name, whoever asks."""
        known = functools.cache(lambda pack: self.map(connection, pack))
        return lambda pack, code: known(pack).english(code)

    def _make(self, pack: str, version: int) -> Map:
        with transaction(self.engine) as connection:
            table = self._units(connection, version)
            about = _newest(connection, pack)
            index = leaf_index(connection, about, self._data_dir / "locate")
            level = next((one for one in table.levels if table.range(one)[1] > 1), table.levels[-1])
            first, count = table.range(level)
            sides = dict(
                sorted(
                    (table.codes[i], table.names[i]) for i in range(first - 1, first - 1 + count)
                )
            )
            ensure_lines(connection, version, level, sides)
            lines = stored_lines(connection, version)
            return Map(version, about.label, table, level, sides, index, lines)

    def lines(self, here: Map, identity: Identity) -> tuple[LineIndex, list[Line]]:
        """Lines of the sides an account holds, ready for distances; the rule of `holds_side`."""

        def make() -> tuple[LineIndex, list[Line]]:
            found = [one for one in here.lines if spoken_for(identity, (one.side_a, one.side_b))]
            return LineIndex(np.array([one.shape for one in found], dtype=object)), found

        return self._lines.get((here.version, identity.scope_key), make)


def stored_lines(connection: sa.Connection, version: int) -> tuple[Line, ...]:
    """Lines of a version that may be seen with this connection."""
    rows = connection.execute(
        sa.text(
            "select side_a, name_a, side_b, name_b, length_m, st_asbinary(geom) as body "
            "from border_line where boundary_version_id = :version order by side_a, side_b"
        ),
        {"version": version},
    )
    return tuple(
        Line(
            row.side_a, row.name_a, row.side_b, row.name_b, row.length_m,
            shapely.from_wkb(bytes(row.body)),
        )
        for row in rows
    )  # fmt: skip


def ensure_lines(connection: sa.Connection, version: int, level: str, sides: dict[str, str]) -> int:
    """Find and store the lines of a version once; how many were stored now.

    Parameters
    ----------
    connection : of the installation itself, in a transaction
    """
    connection.execute(sa.text("select pg_advisory_xact_lock(hashtext('wusetu border lines'))"))
    there = connection.execute(
        sa.text("select exists (select from border_made where boundary_version_id = :version)"),
        {"version": version},
    ).scalar_one()
    if there:
        return 0
    rows = connection.execute(
        sa.text(
            "select code, st_asbinary(geom) as body from unit "
            "where boundary_version_id = :version and level = :level order by code"
        ),
        {"version": version, "level": level},
    ).all()
    shapes = {row.code: shapely.from_wkb(bytes(row.body)) for row in rows}
    tree = shapely.STRtree(list(shapes.values()))
    codes = list(shapes)
    stored = 0
    for i, j in sorted(map(tuple, tree.query(list(shapes.values()), "intersects").T.tolist())):
        if i >= j:
            continue
        a, b = codes[i], codes[j]
        line = border.shared_line(shapes[a], shapes[b])
        if line.is_empty:
            continue
        stored += 1
        connection.execute(
            sa.text(
                "insert into border_line (boundary_version_id, side_a, side_b, name_a, name_b, "
                "length_m, geom) values (:version, :a, :b, :name_a, :name_b, :length, "
                "st_geomfromwkb(:body, 4326))"
            ),
            {
                "version": version, "a": a, "b": b, "name_a": sides[a],
                "name_b": sides[b], "length": border.length_m(line),
                "body": shapely.to_wkb(line),
            },
        )  # fmt: skip
    connection.execute(
        sa.text("insert into border_made (boundary_version_id, sides) values (:version, :sides)"),
        {"version": version, "sides": sorted(sides)},
    )
    return stored


def spoken_for(identity: Identity, sides: Sequence[str]) -> list[str]:
    """Sides an account holds whole."""
    if identity.prefixes is None:
        return list(sides)
    return [one for one in sides if one.startswith(identity.prefixes)]


def speaking(identity: Identity, sides: Sequence[str], given: str | None) -> str:
    """Side an account speaks for.

    Raises
    ------
    Forbidden
        It holds none of the sides, or not the given one.
    Invalid
        It holds several and did not say which.
    """
    own = spoken_for(identity, sides)
    if given is not None:
        if given not in own:
            raise Forbidden("this account does not speak for that side")
        return given
    if not own:
        raise Forbidden("this account speaks for none of the sides")
    if len(own) > 1:
        raise Invalid(
            f"say for which side: {', '.join(own)}", {"field": "side", "reason": "ambiguous"}
        )
    return own[0]


def lines(
    borders: Borders, connection: sa.Connection, identity: Identity, pack: str
) -> models.BorderLines:
    """Lines of the asker's sides."""
    here = borders.map(connection, pack)
    _, rows = borders.lines(here, identity)
    found = [
        models.BorderLine(
            side_a=here.side(row.side_a),
            side_b=here.side(row.side_b),
            length_m=row.length_m,
            geometry=json.loads(shapely.to_geojson(row.shape)),
        )
        for row in rows
    ]
    own = spoken_for(identity, list(here.sides))
    known = {one.code for line in found for one in (line.side_a, line.side_b)} | set(own)
    return models.BorderLines(
        pack=pack,
        boundary_version=here.label,
        sides=[here.side(one) for one in sorted(known)],
        own=own,
        lines=found,
        length_m=sum(one.length_m for one in found),
    )


_AROUND = """
select now() as at,
  (select coalesce(json_agg(json_build_object('id', z.id, 'version', v.version, 'name', z.name,
            'sides', v.sides, 'units', v.units, 'valid_to', v.valid_to) order by z.id), '[]')
   from zone z join zone_version v on v.zone_id = z.id
   where z.pack = :pack and v.state = 'live' and v.valid_from <= now()
     and (v.valid_to is null or v.valid_to > now())
     and v.geom && place and st_covers(v.geom, place)) as zones,
  (select coalesce(json_agg(json_build_object('id', id, 'code', code, 'side', side, 'name', name,
            'office_line', office_line, 'hours', hours) order by side, code, name), '[]')
   from duty_desk where pack = :pack) as desks,
  (select coalesce(json_agg(one), '[]') from (
     select id, code, name, side, kind, st_x(geom) as lon, st_y(geom) as lat,
            st_distance(geom::geography, place::geography) as metres
     from (select * from checkpoint where pack = :pack order by geom <-> place limit 40) near
     -- the nearest in degrees, of which the nearest in metres
     order by metres, id limit 5) one) as checkpoints
from (select st_setsrid(st_makepoint(:lon, :lat), 4326) as place) asked
"""


def where(
    borders: Borders,
    connection: sa.Connection,
    identity: Identity,
    pack: str,
    at: tuple[float, float] | str,
) -> models.Where:
    """Where a place is: its side, units, metres to the line, zones, desks, checkpoints.

    Parameters
    ----------
    at : longitude and latitude EPSG:4326, or the code of a unit of one's own (its label point)

    Raises
    ------
    NotFound
        No such map; no unit of that code that may be seen.
    """
    here = borders.map(connection, pack)
    if isinstance(at, str):
        at = _place_of(connection, here, at)
    lon, lat = at
    unit = int(here.locate.locate(np.array([lon]), np.array([lat]))[0])
    chain = [] if not unit else [*here.table.path(unit), unit]
    side = here.side_of(here.table.codes[unit - 1]) if unit else None
    index, rows = borders.lines(here, identity)
    row = connection.execute(sa.text(_AROUND), {"pack": pack, "lon": lon, "lat": lat}).one()
    found = index.nearest(lon, lat)
    line = rows[found.line] if found else None
    across = None
    if line is not None:
        # seen from the side one stands on; from elsewhere, the one that is not one's own
        own = side if side in {line.side_a, line.side_b} else None
        own = own or next(iter(spoken_for(identity, [line.side_a, line.side_b])), line.side_a)
        across = here.side(line.side_b if own == line.side_a else line.side_a)
    members = [code for zone in row.zones for code in zone["units"]]
    known = {code for one in rows for code in (one.side_a, one.side_b)}
    known |= set(spoken_for(identity, list(here.sides)))
    if side is not None and any(one.startswith(side) for one in identity.prefixes or ()):
        known.add(side)
    shown = side if side in known else None
    # own desks on duty for this ground, and those the zones here name; else all that may be seen
    near = {here.table.codes[one - 1] for one in chain} | set(members)
    shown_desks = [one for one in row.desks if one["code"] in near] or row.desks
    return models.Where(
        pack=pack,
        boundary_version=here.label,
        lon=lon,
        lat=lat,
        side=here.side(shown) if shown else None,
        units=_units(here, identity, chain, shown, members),
        metres_to_line=found.metres if found else None,
        nearest=models.Place(lon=found.lon, lat=found.lat) if found else None,
        azimuth=found.azimuth if found else None,
        other_side=across,
        zones=[
            models.ZoneHere(**{name: zone[name] for name in models.ZoneHere.model_fields})
            for zone in row.zones
        ],
        desks=[models.Desk(**one) for one in shown_desks],
        checkpoints=[models.Checkpoint(**one) for one in row.checkpoints],
        devices=near_devices(connection, pack, lon, lat),
        as_of=row.at,
    )


def _place_of(connection: sa.Connection, here: Map, text: str) -> tuple[float, float]:
    code = here.table.canonical(text) or text
    row = connection.execute(
        sa.text(
            "select st_x(label_point) as lon, st_y(label_point) as lat from unit "
            "where boundary_version_id = :version and code = :code and may_see(code)"
        ),
        {"version": here.version, "code": code},
    ).one_or_none()
    if row is None:
        raise NotFound(f"no unit {text!r} in this map")
    return float(row.lon), float(row.lat)


def _units(
    here: Map, identity: Identity, chain: list[int], side: str | None, members: Sequence[str]
) -> list[models.PlaceUnit]:
    """Units of a place, cut to one's own, the side itself, and members of zones in force."""
    found = []
    for unit in chain:
        brief = here.table.brief(unit)
        own = identity.sees(brief.code) or (
            # what contains one's own jurisdiction has a name, too
            identity.prefixes is not None
            and any(one.startswith(brief.code) for one in identity.prefixes)
        )
        if own or brief.code == side or brief.code in members:
            found.append(
                models.PlaceUnit(
                    code=brief.code, name=brief.name, name_en=brief.name_en, level=brief.level
                )
            )
    return found


def now(connection: sa.Connection) -> datetime:
    """Time of the database."""
    found: datetime = connection.execute(sa.text("select clock_timestamp()")).scalar_one()
    return found
