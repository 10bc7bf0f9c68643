"""Joint-control zones: made, decided, shown. Imports `geo.border` and `geo.shapes`.

Takes connections of the web's role (row security decides what is seen) and plain arguments, never a
request. Promises: a zone is live only when every side of its members approved it; a version's ground
and members never change; every step is audited and told by the database in its own transaction.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import shapely
import sqlalchemy as sa

from app.api import border_models as models
from app.errors import Invalid, NotFound
from app.security.identity import Identity
from app.services import border_desks
from app.services.border import Borders, Map, speaking
from app.services.border_words import checked
from app.services.refusals import refused
from geo import border, shapes

#: Zones of one map; more than a page can show are a mistake.
MOST_CORNERS = 20_000

_FORCE = (
    "(v.state = 'live' and v.valid_from <= now() and (v.valid_to is null or v.valid_to > now()))"
)
_VERSIONS = f"""
select v.zone_id, v.version, v.state, v.side, v.sides, v.units, v.metres, v.valid_from, v.valid_to,
  v.note, v.made_at, {_FORCE} as in_force,
  case when :shapes then st_asgeojson(v.geom, 7) end as geometry,
  (select coalesce(json_agg(json_build_object('side', a.side, 'decision', a.decision,
     'reason', a.reason, 'at', a.at) order by a.at, a.side), '[]')
   from zone_approval a where a.zone_id = v.zone_id and a.version = v.version) as approvals
from zone_version v join zone z on z.id = v.zone_id
where (cast(:zone as int) is null or z.id = :zone) and (cast(:pack as text) is null or z.pack = :pack)
order by v.zone_id, v.version desc
"""  # noqa: S608


def zones(connection: sa.Connection, pack: str | None = None) -> list[models.Zone]:
    """Zones that may be seen, each with the version in force, else the newest."""
    rows = connection.execute(
        sa.text(
            "select id, pack, name, side, sides from zone "
            "where cast(:pack as text) is null or pack = :pack order by id"
        ),
        {"pack": pack},
    ).all()
    versions = _versions(connection, None, pack, with_shapes=True)
    return [models.Zone(**row._mapping, version=_present(versions[row.id])) for row in rows]


def zone(connection: sa.Connection, number: int) -> models.ZoneDetail:
    """Read a zone with its versions, desks and checkpoints.

    Raises
    ------
    NotFound
        There is none, or none that may be seen.
    """
    row = connection.execute(
        sa.text("select id, pack, name, side, sides from zone where id = :zone"), {"zone": number}
    ).one_or_none()
    if row is None:
        raise NotFound(f"no zone {number}")
    versions = _versions(connection, number, None, with_shapes=True)[number]
    now = _present(versions)
    members = set(now.units) if now else set()
    desks = [one for one in border_desks.desks(connection, row.pack) if one.code in members]
    points: list[models.Checkpoint] = []
    if now is not None and members:
        inside = set(
            connection.execute(
                sa.text(
                    "select c.id from checkpoint c, zone_version v where v.zone_id = :zone "
                    "and v.version = :version and c.pack = :pack and st_covers(v.geom, c.geom)"
                ),
                {"zone": number, "version": now.version, "pack": row.pack},
            ).scalars()
        )
        points = [one for one in border_desks.checkpoints(connection, row.pack) if one.id in inside]
    return models.ZoneDetail(
        **row._mapping, version=now, versions=versions, desks=desks, checkpoints=points
    )


def _versions(
    connection: sa.Connection, number: int | None, pack: str | None, *, with_shapes: bool
) -> dict[int, list[models.ZoneVersion]]:
    found: dict[int, list[models.ZoneVersion]] = defaultdict(list)
    rows = connection.execute(
        sa.text(_VERSIONS), {"zone": number, "pack": pack, "shapes": with_shapes}
    )
    for row in rows:
        fields = dict(row._mapping)
        number = fields.pop("zone_id")
        fields["geometry"] = json.loads(row.geometry) if row.geometry else None
        found[number].append(models.ZoneVersion(**fields))
    return found


def _present(versions: Sequence[models.ZoneVersion]) -> models.ZoneVersion | None:
    return next((one for one in versions if one.in_force), versions[0] if versions else None)


def make(
    borders: Borders, connection: sa.Connection, identity: Identity, draft: models.ZoneDraft
) -> models.ZoneDetail:
    """Make a zone with its first version, a draft or proposed to the other sides.

    Raises
    ------
    NotFound, Forbidden, Invalid
        As `add_version`.
    """
    here = borders.map(connection, draft.pack)
    units, sides, side, ground = _ground(borders, here, identity, draft)
    number: int = connection.execute(
        sa.text("insert into zone (pack, name, side, sides) values (:pack, :name, :side, :sides) "
                "returning id"),
        {
            "pack": draft.pack, "name": checked("name", draft.name, 80, needed=True), "side": side,
            "sides": [side],
        },
    ).scalar_one()  # fmt: skip
    _store(connection, identity, number, 1, draft, (units, sides, side, ground))
    return zone(connection, number)


def add_version(
    borders: Borders,
    connection: sa.Connection,
    identity: Identity,
    number: int,
    draft: models.VersionDraft,
) -> models.ZoneDetail:
    """Add a version; the one in force stays so until this one is live.

    Raises
    ------
    NotFound
        No such zone that may be seen.
    Forbidden
        The account speaks for none of the sides of the members.
    Invalid
        Unknown units, one side only, members without a common line, a shape that makes no sense.
    """
    row = connection.execute(
        sa.text("select pack from zone where id = :zone"), {"zone": number}
    ).one_or_none()
    if row is None:
        raise NotFound(f"no zone {number}")
    here = borders.map(connection, row.pack)
    made = _ground(borders, here, identity, draft)
    with borders.engine.connect() as own:  # versions that may not be seen are counted, too
        last: int = own.execute(
            sa.text("select coalesce(max(version), 0) from zone_version where zone_id = :zone"),
            {"zone": number},
        ).scalar_one()
    # two at once: the key lets one of them in, the other is told to try again
    _store(connection, identity, number, last + 1, draft, made)
    return zone(connection, number)


def _store(  # noqa: PLR0917
    connection: sa.Connection,
    identity: Identity,
    number: int,
    version: int,
    draft: models.VersionDraft,
    made: tuple[list[str], list[str], str, shapely.MultiPolygon],
) -> None:
    units, sides, side, ground = made
    start = draft.valid_from or datetime.now(UTC)
    if draft.valid_to is not None and draft.valid_to <= start:
        raise Invalid(
            "valid_to is not after valid_from", {"field": "valid_to", "reason": "end_before_start"}
        )
    connection.execute(
        sa.text(
            "insert into zone_version (zone_id, version, state, side, sides, units, metres, "
            "valid_from, valid_to, note, geom, made_by) values (:zone, :version, 'draft', :side, "
            ":sides, :units, :metres, :valid_from, :valid_to, :note, "
            "st_multi(st_geomfromwkb(:body, 4326)), :account)"
        ),
        {
            "zone": number, "version": version, "side": side, "sides": sides, "units": units,
            "metres": draft.metres, "valid_from": start, "valid_to": draft.valid_to,
            "note": checked("note", draft.note, 500), "body": shapely.to_wkb(ground),
            "account": identity.account,
        },
    )  # fmt: skip
    if draft.state == "proposed":
        _decide(connection, identity, number, version, side, "propose", "")


def _ground(
    borders: Borders, here: Map, identity: Identity, draft: models.VersionDraft
) -> tuple[list[str], list[str], str, shapely.MultiPolygon]:
    """Members, their sides, the side that asks, and the ground of a version."""
    units = sorted({here.table.canonical(one) or one for one in draft.units})
    ids = []
    sides = set()
    for code in units:
        found, side = here.table.lookup(code), here.side_of(code)
        if found is None or side is None:
            raise Invalid(
                f"no unit {code!r} that lies on a side of this map",
                {"field": "units", "reason": "unknown_unit"},
            )
        ids.append(found)
        sides.add(side)
    if len(sides) < 2:
        raise Invalid(
            "a zone has members of two sides or more", {"field": "units", "reason": "one_side"}
        )
    side = speaking(identity, sorted(sides), draft.side)
    if (draft.area is None) == (draft.metres is None):
        raise Invalid("give exactly one of area and metres", {"field": "area", "reason": "one_way"})
    if draft.area is not None:
        try:
            ground = shapes.from_geojson(draft.area, "wgs84", MOST_CORNERS)
        except shapes.ShapeError as error:
            raise Invalid(
                f"area: {error.message}",
                {"field": "area", "reason": error.reason, **({"at": error.at} if error.at else {})},
            ) from error
    else:
        assert draft.metres is not None
        ground = border.buffer_both_sides(_line(borders, here, ids), draft.metres)
    with borders.engine.connect() as connection:
        met = connection.execute(
            sa.text(
                "select array_agg(distinct u.code) from unit u where boundary_version_id = :version "
                "and id = any(:ids) and st_intersects(geom, st_geomfromwkb(:body, 4326))"
            ),
            {
                "version": here.version, "body": shapely.to_wkb(ground),
                "ids": [here.table.find(one) for one in sides],
            },
        ).scalar_one()  # fmt: skip
    if set(met or ()) != sides:
        missing = ", ".join(sorted(sides - set(met or ())))
        raise Invalid(
            f"the area does not reach into {missing}", {"field": "area", "reason": "beside"}
        )
    return units, sorted(sides), side, ground


def _line(borders: Borders, here: Map, ids: Sequence[int]) -> shapely.MultiLineString:
    """Line members of different sides share."""
    with borders.engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "select code, st_asbinary(geom) as body from unit "
                "where boundary_version_id = :version and id = any(:ids)"
            ),
            {"version": here.version, "ids": list(ids)},
        ).all()
    by_side: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        by_side[here.side_of(row.code) or ""].append(shapely.from_wkb(bytes(row.body)))
    runs = []
    sides = sorted(by_side)
    for i, a in enumerate(sides):
        for b in sides[i + 1 :]:
            runs.extend(shapely.get_parts(border.shared_line(by_side[a], by_side[b])))
    if not runs:
        raise Invalid(
            "the members of different sides share no line; draw the zone instead",
            {"field": "units", "reason": "no_line"},
        )
    found: shapely.MultiLineString = shapely.multilinestrings(runs)
    return found


def decide(
    connection: sa.Connection,
    identity: Identity,
    number: int,
    version: int,
    wanted: models.Decision,
) -> models.ZoneDetail:
    """Propose, approve or reject a version for one's own side.

    Raises
    ------
    NotFound
        No such version that may be seen.
    Forbidden
        The account speaks for none of its sides.
    Conflict
        It does not fit: decided already, not proposed, over.
    """
    sides = connection.execute(
        sa.text("select sides from zone_version where zone_id = :zone and version = :version"),
        {"zone": number, "version": version},
    ).scalar_one_or_none()
    if sides is None:
        raise NotFound(f"no version {version} of zone {number}")
    side = speaking(identity, sides, wanted.side)
    reason = checked("reason", wanted.reason, 500, needed=wanted.decision == "reject")
    _decide(connection, identity, number, version, side, wanted.decision, reason)
    return zone(connection, number)


def _decide(  # noqa: PLR0917
    connection: sa.Connection, identity: Identity, number: int, version: int, side: str,
    decision: str, reason: str,
) -> str:  # fmt: skip
    with refused():
        found: str | None = connection.execute(
            sa.text(
                "select zone_decide(:zone, :version, :side, :decision, :reason, :account)"
            ),
            {
                "zone": number, "version": version, "side": side, "decision": decision,
                "reason": reason, "account": identity.account,
            },
        ).scalar_one()  # fmt: skip
    if found is None:
        raise NotFound(f"no version {version} of zone {number}")
    return found


# tiles -------------------------------------------------------------------------------------------
def token(connection: sa.Connection, identity: Identity, pack: str) -> str:
    """Name of the zones of a map as the asker sees them now; another one after each change."""
    rows = connection.execute(
        sa.text(
            f"select v.zone_id, v.version, v.state, {_FORCE} as in_force "  # noqa: S608
            "from zone_version v join zone z on z.id = v.zone_id where z.pack = :pack "
            "order by 1, 2"
        ),
        {"pack": pack},
    ).all()
    text = repr((identity.scope_key, [tuple(row) for row in rows]))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


_TILE = f"""
with asked as (
  select st_tileenvelope(:z, :x, :y) as tile, st_transform(st_tileenvelope(:z, :x, :y, margin => 0.125), 4326) as wide
), found as (
  select z.id, v.version, z.name, v.state, {_FORCE} as in_force, array_to_string(v.sides, ',') as sides,
         st_asmvtgeom(st_transform(v.geom, 3857), a.tile, 4096, 256, true) as geom
  from asked a join zone_version v on v.geom && a.wide join zone z on z.id = v.zone_id
  where z.pack = :pack and v.state in ('draft', 'proposed', 'live', 'expired')
    and (v.state <> 'expired' or not exists (
      select from zone_version n where n.zone_id = v.zone_id and n.version > v.version
        and n.state in ('live', 'expired')))
)
select st_asmvt(found, 'zones', 4096, 'geom', 'id') from found where geom is not null
"""  # noqa: S608


def tile(connection: sa.Connection, pack: str, z: int, x: int, y: int) -> bytes:
    """Vector tile with layer `zones`: feature id the zone's, `version name state in_force sides`."""
    found = connection.execute(sa.text(_TILE), {"pack": pack, "z": z, "x": x, "y": y}).scalar_one()
    return bytes(found or b"")
