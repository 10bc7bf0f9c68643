"""The registry of devices: entered, listed, near a place, retired.

Takes connections of the web's role (row security decides what is seen and written) and plain
arguments, never a request. Promises: a bad row is refused with its reason and the good ones are
kept; no field holds what looks like a person, a phone or a plate; of another side's device inside a
shared zone its place, state and alarm are told, never its address code or a reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa
from pydantic import ValidationError

from app.api import device_models as models
from app.errors import Invalid, NotFound
from app.security.identity import Identity
from app.services.border import Borders, Map
from app.services.border_words import checked, names_person

_DEVICES = """
select d.id, d.pack, d.reference, d.kind, case when may_see(d.code) then d.code end as code,
  d.place as name, st_x(d.geom) as lon, st_y(d.geom) as lat, d.side, s.state, s.since, s.last_seen,
  d.every_s, d.simulated, a.id as alarm_id, a.rule_id, a.raised_at, a.zh, a.en,
  count(*) over () as total
from device d join device_state s on s.device_id = d.id
left join lateral (
  select a.id, a.rule_id, a.raised_at, w.zh, w.en from device_alarm a
  cross join lateral alarm_words(a.rule_id, a.version) w
  where a.state = 'raised' and a.devices @> array[d.id] order by a.id desc limit 1) a on true
where d.retired_at is null
  and (cast(:pack as text) is null or d.pack = :pack)
  and (cast(:within as text) is null or (d.code ^@ :within and may_see(d.code)))
  and (cast(:state as text) is null or s.state = :state)
  and (cast(:kind as text) is null or d.kind = :kind)
  and (not :alarming or a.id is not null)
order by d.side, d.id limit :limit
"""


def devices(  # noqa: PLR0917
    connection: sa.Connection,
    pack: str | None = None,
    within: str | None = None,
    state: str | None = None,
    kind: str | None = None,
    alarming: bool = False,
    limit: int = 5_000,
) -> models.DeviceList:
    """Read the devices that may be seen, side by side, by number.

    Parameters
    ----------
    within : canonical code of a unit; only one's own devices in it
    """
    rows = connection.execute(
        sa.text(_DEVICES),
        {
            "pack": pack, "within": within, "state": state, "kind": kind, "alarming": alarming,
            "limit": limit,
        },
    ).all()  # fmt: skip
    now: datetime = connection.execute(sa.text("select clock_timestamp()")).scalar_one()
    return models.DeviceList(
        devices=[_model(row) for row in rows], total=rows[0].total if rows else 0, as_of=now
    )


def _model(row: Any) -> models.Device:
    fields = dict(row._mapping)
    del fields["total"]
    alarm, rule = fields.pop("alarm_id"), fields.pop("rule_id")
    raised, zh, en = fields.pop("raised_at"), fields.pop("zh"), fields.pop("en")
    found = None
    if alarm is not None:
        found = models.DeviceAlarm(
            id=alarm, rule=rule, since=raised, words=models.Words(zh=zh, en=en)
        )
    return models.Device(**fields, alarming=alarm is not None, alarm=found)


def writable(connection: sa.Connection, pack: str, references: Sequence[str]) -> list[int]:
    """Numbers of one's own devices among some references; for who may send their readings."""
    found: Sequence[int] = (
        connection.execute(
            sa.text(
                "select id from device where pack = :pack and reference = any(:names) "
                "and may_see(code)"
            ),
            {"pack": pack, "names": sorted(set(references))},
        )
        .scalars()
        .all()
    )
    return list(found)


def readings(
    connection: sa.Connection, device: int, last: datetime | None, limit: int
) -> models.ReadingList:
    """Read what a device of one's own said, newest first.

    Parameters
    ----------
    last : only before this moment

    Raises
    ------
    NotFound
        No such device of one's own.
    """
    there = connection.execute(
        sa.text("select exists (select from device where id = :id and may_see(code))"),
        {"id": device},
    ).scalar_one()
    if not there:
        raise NotFound(f"no device {device}")
    rows = connection.execute(
        sa.text(
            "select at, seq, value, received_at from reading where device_id = :id "
            "and (cast(:last as timestamptz) is null or at < :last) "
            "order by at desc, seq desc limit :limit"
        ),
        {"id": device, "last": last, "limit": limit},
    )
    return models.ReadingList(
        device=device, readings=[models.Reading(**row._mapping) for row in rows]
    )


def retire(connection: sa.Connection, identity: Identity, device: int) -> None:
    """Take a device of one's own out of the registry and clear its alarms; its past is kept.

    Raises
    ------
    NotFound
        No such device of one's own.
    """
    done = connection.execute(
        sa.text(
            "update device set retired_at = clock_timestamp() "
            "where id = :id and retired_at is null and may_see(code)"
        ),
        {"id": device},
    )
    if done.rowcount == 0:
        raise NotFound(f"no device {device}")
    connection.execute(
        sa.text(
            "update device_alarm set state = 'cleared', cleared_at = clock_timestamp(), "
            "cleared_by = :account, reason = 'the device was retired' "
            "where device_id = :id and state = 'raised'"
        ),
        {"account": identity.account, "id": device},
    )


# entering ----------------------------------------------------------------------------------------
def enter(
    borders: Borders,
    connection: sa.Connection,
    identity: Identity,
    pack: str,
    rows: Sequence[Any],
    *,
    simulated: bool = False,
) -> models.DeviceReport:
    """Enter or change devices, by side and reference; a retired one comes back.

    Parameters
    ----------
    rows : objects as `DeviceDraft` describes them
    simulated : they are made up

    Raises
    ------
    NotFound
        There is no such map.
    """
    here = borders.map(connection, pack)
    report = models.DeviceReport(new=0, changed=0, unchanged=0, refused=[])
    seen: dict[str, int] = {}
    for index, row in enumerate(rows):
        try:
            draft = models.DeviceDraft.model_validate(row)
            if draft.reference in seen:
                raise Invalid(
                    f"row {seen[draft.reference]} has the same reference",
                    {"field": "reference", "reason": "twice"},
                )
            values = _placed(connection, here, identity, draft)
            done = _upsert(connection, pack, draft, values, simulated)
            seen[draft.reference] = index
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = ".".join(str(step) for step in first["loc"])[:64]
            if names_person(name):
                name = ""
            report.refused.append(
                models.RefusedRow(row=index, field=name, reason="malformed", text=first["msg"])
            )
            continue
        except Invalid as error:
            detail = error.detail if isinstance(error.detail, dict) else {}
            report.refused.append(
                models.RefusedRow(
                    row=index, field=detail.get("field", ""),
                    reason=detail.get("reason", "invalid"), text=error.message,
                )
            )  # fmt: skip
            continue
        setattr(report, done, getattr(report, done) + 1)
    return report


def _placed(
    connection: sa.Connection, here: Map, identity: Identity, draft: models.DeviceDraft
) -> dict[str, Any]:
    """Find unit, side and position of a device.

    Raises
    ------
    Invalid
        Nowhere on the map, not one's own, or words that name a person.
    """
    if (draft.lon is None) != (draft.lat is None):
        raise Invalid("lon and lat go together", {"field": "lon", "reason": "half_point"})
    if draft.code is None and draft.lon is None:
        raise Invalid("give a code, or lon and lat", {"field": "code", "reason": "nowhere"})
    for name, text in (("reference", draft.reference), ("code", draft.code or "")):
        if what := names_person(text):
            # an address code of 27 digits holds no identity number, one of 18 may look like it
            if name == "code" and here.table.canonical(text) is not None:
                continue
            raise Invalid(f"{name} looks like a {what}", {"field": name, "reason": "person"})
    if draft.code is not None:
        code = here.table.canonical(draft.code) or draft.code
        unit = finest(here, code)
        if unit is None:
            raise Invalid("no unit has this code", {"field": "code", "reason": "unknown"})
    else:
        assert draft.lon is not None
        assert draft.lat is not None
        unit = int(here.locate.locate(np.array([draft.lon]), np.array([draft.lat]))[0]) or None
        if unit is None:
            raise Invalid("it stands in no unit of the map", {"field": "lon", "reason": "outside"})
        code = here.table.codes[unit - 1]
    side = here.side_of(code)
    if side is None or not identity.sees(code):
        # not there and not yours are one answer
        field = "code" if draft.code is not None else "lon"
        raise Invalid(
            "it stands in no unit of this account's jurisdiction",
            {"field": field, "reason": "not_yours"},
        )
    lon, lat = draft.lon, draft.lat
    if lon is None:
        point = connection.execute(
            sa.text(
                "select st_x(label_point) as lon, st_y(label_point) as lat from unit "
                "where boundary_version_id = :version and id = :id"
            ),
            {"version": here.version, "id": unit},
        ).one()
        lon, lat = point.lon, point.lat
    return {
        "side": side, "code": code, "by": "point" if draft.code is None else "code",
        "place": checked("name", draft.name, 80), "lon": lon, "lat": lat,
    }  # fmt: skip


def finest(here: Map, code: str) -> int | None:
    """Finest unit a canonical code lies in; None: none."""
    for length in range(len(code), 0, -1):
        unit = here.table.lookup(code[:length])
        if unit is not None and code.startswith(here.table.codes[unit - 1]):
            return unit
    return None


def _upsert(
    connection: sa.Connection,
    pack: str,
    draft: models.DeviceDraft,
    values: dict[str, Any],
    simulated: bool,
) -> str:
    given = {
        **values, "pack": pack, "reference": draft.reference, "kind": draft.kind,
        "every": draft.every_s, "simulated": simulated,
    }  # fmt: skip
    found = connection.execute(
        sa.text(
            "select id, retired_at, may_see(code) as own, "
            "(kind, side, code, located_by, place, every_s, st_x(geom), st_y(geom)) = (:kind, :side, :code, :by, :place, :every, "
            "cast(:lon as double precision), cast(:lat as double precision)) as same "
            "from device d where pack = :pack and side = :side and reference = :reference"
        ),
        given,
    ).one_or_none()
    if found is not None and not found.own:
        raise Invalid("this reference is taken", {"field": "reference", "reason": "taken"})
    if found is not None and found.same and found.retired_at is None:
        return "unchanged"
    if found is not None:
        connection.execute(
            sa.text(
                "update device set kind = :kind, side = :side, code = :code, located_by = :by, "
                "place = :place, every_s = :every, retired_at = null, "
                "geom = st_setsrid(st_makepoint(:lon, :lat), 4326) where id = :id"
            ),
            {**given, "id": found.id},
        )
        return "changed"
    try:
        with connection.begin_nested():
            connection.execute(
                sa.text(
                    "insert into device (pack, reference, kind, side, code, located_by, place, "
                    "geom, every_s, simulated) values (:pack, :reference, :kind, :side, :code, "
                    ":by, :place, st_setsrid(st_makepoint(:lon, :lat), 4326), :every, :simulated)"
                ),
                given,
            )
    except sa.exc.IntegrityError as error:
        # a part of the side that may not be seen has it
        raise Invalid(
            "this reference is taken", {"field": "reference", "reason": "taken"}
        ) from error
    return "new"
