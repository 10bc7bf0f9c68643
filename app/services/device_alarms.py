"""Alarms of devices: raised, joined, repeated, cleared, read.

What raises and ends is called by those who speak as the installation (`device_ingest`,
`device_clock`); reading and clearing by hand takes connections of the web's role. The database
itself tells open pages and audits who cleared what (triggers of 0013).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from app.api import device_models as models
from app.errors import Conflict, NotFound
from app.security.identity import Identity
from app.services.border_words import checked
from app.services.device_rules import Present
from geo import devices as kernel


def lock_near(connection: sa.Connection, rules: Iterable[Present]) -> None:
    """Let one transaction at a time decide about rules that ask neighbours: each sees the other's."""
    for number in sorted({one.id for one in rules if one.rule.near is not None}):
        connection.execute(
            sa.text("select pg_advisory_xact_lock(hashtext('wusetu device rule'), :rule)"),
            {"rule": number},
        )


def fulfilled(connection: sa.Connection, rule: Present, device: int, at: datetime) -> list[int]:
    """Raise the alarm of a rule that a device has begun to fulfil; its number, when there is one."""
    devices = [device]
    if rule.rule.near is not None:
        devices = _confirmed(connection, rule, device, at)
        if not devices:
            return []
    return raised(connection, rule, devices, at)


def _confirmed(connection: sa.Connection, rule: Present, device: int, at: datetime) -> list[int]:
    near = rule.rule.near
    assert near is not None
    # a group reaches at most twice as far, in space and time, as one device does
    rows = connection.execute(
        sa.text(
            "select d.id, st_x(d.geom) as lon, st_y(d.geom) as lat, "
            "case when d.id = :device then :at else t.hit_at end as hit_at "
            "from device_track t join device d on d.id = t.device_id "
            "where t.rule_id = :rule and t.version = :version and d.retired_at is null "
            "and (d.id = :device or t.hit_at between cast(:at as timestamptz) - 2 * cast(:within as interval) "
            "and cast(:at as timestamptz) + 2 * cast(:within as interval)) "
            "and st_dwithin(d.geom::geography, (select geom::geography from device where id = :device), "
            "2.01 * :metres) order by d.id"
        ),
        {
            "device": device, "rule": rule.id, "version": rule.version, "at": at,
            "within": near.within, "metres": near.metres,
        },
    ).all()  # fmt: skip
    ids = [row.id for row in rows]
    if device not in ids:
        return []
    group = kernel.confirmed(
        ids.index(device),
        np.array([row.lon for row in rows]),
        np.array([row.lat for row in rows]),
        [row.hit_at for row in rows],
        near,
    )
    return [ids[one] for one in group]


def raised(connection: sa.Connection, rule: Present, devices: list[int], at: datetime) -> list[int]:
    """Raise an alarm, or let one that there is go on.

    Parameters
    ----------
    devices : its own first
    """
    open_one = connection.execute(
        sa.text(
            "select id, devices from device_alarm where rule_id = :rule and state = 'raised' "
            "and devices && cast(:devices as int[]) order by id limit 1 for update"
        ),
        {"rule": rule.id, "devices": devices},
    ).one_or_none()
    if open_one is not None:
        more = [one for one in devices if one not in open_one.devices]
        if more:
            connection.execute(
                sa.text(
                    "update device_alarm set devices = devices || cast(:more as int[]) "
                    "where id = :id"
                ),
                {"id": open_one.id, "more": more},
            )
        return []
    last = connection.execute(
        sa.text(
            "select id, last_at from device_alarm where rule_id = :rule and device_id = :device "
            "order by last_at desc, id desc limit 1 for update"
        ),
        {"rule": rule.id, "device": devices[0]},
    ).one_or_none()
    if last is not None and kernel.same_alarm(last.last_at, at, rule.rule.quiet):
        connection.execute(
            sa.text(
                "update device_alarm set state = 'raised', repeats = repeats + 1, "
                "last_at = greatest(last_at, :at), cleared_at = null, cleared_by = null, "
                "reason = '', devices = :devices where id = :id"
            ),
            {"id": last.id, "at": at, "devices": devices},
        )
        return []
    number: int = connection.execute(
        sa.text(
            "insert into device_alarm (device_id, rule_id, version, pack, raised_at, last_at, "
            "devices, event_due) select d.id, :rule, :version, d.pack, :at, :at, :devices, :due "
            "from device d where d.id = :device returning id"
        ),
        {
            "rule": rule.id, "version": rule.version, "at": at, "devices": devices,
            "device": devices[0], "due": rule.event_kind is not None,
        },
    ).scalar_one()  # fmt: skip
    return [number]


def ended(connection: sa.Connection, rule: Present, device: int, at: datetime) -> None:
    """Clear alarms that none of their devices shows any more."""
    connection.execute(
        sa.text(
            "update device_alarm a set state = 'cleared', cleared_at = greatest(:at, a.last_at) "
            "where a.rule_id = :rule and a.state = 'raised' and a.devices @> array[:device] "
            "and (not :near or not exists (select from device_track t where t.rule_id = a.rule_id "
            "and t.version = :version and t.device_id = any (a.devices) and t.hit))"
        ),
        {
            "rule": rule.id, "device": device, "at": at, "version": rule.version,
            "near": rule.rule.near is not None,
        },
    )  # fmt: skip


# reading and clearing ----------------------------------------------------------------------------
_ALARMS = """
select a.id, a.pack, a.device_id as device, d.reference, d.kind, d.side, d.place,
  case when may_see(d.code) then d.code end as code,
  st_x(d.geom) as lon, st_y(d.geom) as lat, a.rule_id as rule, a.state, a.raised_at, a.last_at,
  a.repeats, a.cleared_at, case when may_see(d.code) then a.reason else '' end as reason, w.zh, w.en, d.simulated,
  array(select m.id from device m where m.id = any (a.devices) order by m.id <> a.device_id, m.id) as devices
from device_alarm a join device d on d.id = a.device_id
cross join lateral alarm_words(a.rule_id, a.version) w
where (cast(:id as bigint) is null or a.id = :id)
  and (cast(:pack as text) is null or a.pack = :pack)
  and (cast(:state as text) is null or a.state = :state)
order by a.id desc limit :limit
"""


def alarms(
    connection: sa.Connection,
    *,
    number: int | None = None,
    pack: str | None = None,
    state: str | None = None,
    limit: int = 200,
) -> list[models.Alarm]:
    """Read the alarms that may be seen, newest first."""
    rows = connection.execute(
        sa.text(_ALARMS), {"id": number, "pack": pack, "state": state, "limit": limit}
    )
    return [_model(row) for row in rows]


def _model(row: Any) -> models.Alarm:
    fields = dict(row._mapping)
    words = models.Words(zh=fields.pop("zh"), en=fields.pop("en"))
    return models.Alarm(**fields, words=words)


def clear(connection: sa.Connection, identity: Identity, number: int, reason: str) -> models.Alarm:
    """Clear an alarm of one's own device by hand.

    Raises
    ------
    NotFound
        No such alarm that may be seen.
    Conflict
        It is cleared, or the device is not one's own.
    Invalid
        The reason is missing or names a person.
    """
    found = alarms(connection, number=number)
    if not found:
        raise NotFound(f"no alarm {number}")
    why = checked("reason", reason, 200, needed=True)
    if found[0].code is None:
        raise Conflict("the other side's alarm: its own desk clears it")
    done = connection.execute(
        sa.text(
            "update device_alarm set state = 'cleared', cleared_at = clock_timestamp(), "
            "cleared_by = :account, reason = :reason where id = :id and state = 'raised'"
        ),
        {"id": number, "account": identity.account, "reason": why},
    )
    if done.rowcount == 0:
        raise Conflict("it is cleared already")
    return alarms(connection, number=number)[0]
