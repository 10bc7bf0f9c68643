"""The clock of devices: silence and being offline have no reading that would tell them.

One process at a time, elected by an advisory lock per look; every server worker and every listener
has one. Also turns alarms into events, makes days of readings ahead and drops old ones. Imports
nothing of the web.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from app.database import transaction
from app.errors import WusetuError
from app.services import device_alarms as alarms
from app.services.border import Borders
from app.services.device_ingest import limits
from app.services.device_rules import as_present
from app.services.devices import finest
from app.services.event_mapping import parse_mapping
from app.services.event_store import EVENTS, EventStore
from app.settings import Settings
from geo import devices as kernel
from geo.binning import LOCATED_BY
from geo.devices import Heard

log = logging.getLogger("wusetu.devices")

#: Source of the events alarms raise; those of made-up devices have one of their own.
SOURCE, SIMULATED = "devices", "devices-simulated"
_HOUSEKEEPING = timedelta(hours=1)
_EVENTS = 1_000

_ELECT = sa.text("select pg_try_advisory_xact_lock(hashtext('wusetu device clock'))")
#: Whose state time may change: not heard for long, or flapping.
_DUE = sa.text("""
select s.device_id, s.state, s.last_seen, s.last_at, s.returns, d.every_s
from device_state s join device d on d.id = s.device_id
where s.state = 'flapping'
   or (s.state = 'online' and s.last_seen < cast(:now as timestamptz)
       - make_interval(secs => greatest(d.every_s * cast(:after as double precision), :least)))
order by s.device_id for no key update of s skip locked
""")
_SILENT = sa.text("""
select r.*, d.id as device, s.state as heard_state,
  coalesce(t.since, greatest(r.valid_from, d.made_at)) as last
from device_rule r
join device d on d.pack = r.pack and d.kind = r.kind and d.code ^@ r.within and d.retired_at is null
join device_state s on s.device_id = d.id
left join device_track t on t.device_id = d.id and t.rule_id = r.id and t.version = r.version
where r.sense = 'silence' and r.valid_to is null and r.enabled and not coalesce(t.hit, false)
  and coalesce(t.since, greatest(r.valid_from, d.made_at))
      <= cast(:now as timestamptz) - make_interval(secs => r.hold_s)
  and (cast(:locked as int[]) is null or d.id = any(:locked))
order by d.id, r.id
""")


def look(engine: sa.Engine, settings: Settings) -> int | None:
    """Look once at what time has changed; how much, None: another process looks just now.

    Raises
    ------
    Unavailable
        The database does not answer.
    """
    with transaction(engine) as connection:
        if not connection.execute(_ELECT).scalar_one():
            return None
        now: datetime = connection.execute(sa.text("select clock_timestamp()")).scalar_one()
        return _states(connection, settings, now) + _silences(connection, settings, now)


def _states(connection: sa.Connection, settings: Settings, now: datetime) -> int:
    """Devices that went offline, and those that flap no more."""
    own = settings.devices
    rows = connection.execute(
        _DUE, {"now": now, "after": own.offline_after, "least": own.offline_least_s}
    ).all()
    done = 0
    for row in rows:
        heard = Heard(row.last_seen, row.last_at, tuple(row.returns))
        state = kernel.state_of(heard, now, limits(own, row.every_s))
        if state != row.state:
            connection.execute(
                sa.text(
                    "update device_state set state = :state, since = :now where device_id = :id"
                ),
                {"state": state, "now": now, "id": row.device_id},
            )
            done += 1
    return done


def _silences(connection: sa.Connection, settings: Settings, now: datetime) -> int:
    """Devices whose silence has become long enough."""
    waiting = {row.device for row in connection.execute(_SILENT, {"now": now, "locked": None})}
    if not waiting:
        return 0
    # what came in since is waited for by nobody: those devices are looked at next time
    locked = list(
        connection.execute(
            sa.text(
                "select device_id from device_state where device_id = any(:ids) "
                "order by device_id for no key update skip locked"
            ),
            {"ids": sorted(waiting)},
        ).scalars()
    )
    zone = ZoneInfo(settings.time_zone)
    done = 0
    for row in connection.execute(_SILENT, {"now": now, "locked": locked}).all():
        one = as_present(row, zone)
        if not kernel.silent(one.rule, row.last, now, row.heard_state):
            continue
        connection.execute(
            sa.text(
                "insert into device_track (device_id, rule_id, version, since, hit, hit_at) "
                "values (:device, :rule, :version, :last, true, :now) "
                "on conflict (device_id, rule_id) do update set version = excluded.version, "
                "at = case when device_track.version = excluded.version then device_track.at end, "
                "since = excluded.since, hit = true, hit_at = excluded.hit_at"
            ),
            {
                "device": row.device, "rule": one.id, "version": one.version, "last": row.last,
                "now": now,
            },
        )  # fmt: skip
        alarms.raised(connection, one, [row.device], now)
        done += 1
    return done


def raise_events(engine: sa.Engine, borders: Borders, settings: Settings) -> int:
    """Store the events of alarms that have none yet; how many.

    The event and the note that it is stored are one transaction, and the number of the alarm is the
    event's reference: each alarm raises one event, whatever breaks in between.

    Raises
    ------
    Unavailable
        The database does not answer.
    """
    with transaction(engine) as connection:
        rows = connection.execute(
            sa.text(
                "select a.id, a.pack, a.raised_at, r.event_kind, d.code, d.located_by, "
                "d.simulated, st_x(d.geom) as lon, st_y(d.geom) as lat from device_alarm a "
                "join device d on d.id = a.device_id "
                "join device_rule r on r.id = a.rule_id and r.version = a.version "
                "where a.event_due order by a.id limit :most"
            ),
            {"most": _EVENTS},
        ).all()
        maps = {row.pack: borders.map(connection, row.pack) for row in rows}
    groups: dict[tuple[str, bool], list[Any]] = defaultdict(list)
    for row in rows:
        groups[row.pack, row.simulated].append(row)
    for (pack, simulated), alike in groups.items():
        here = maps[pack]
        source = SIMULATED if simulated else SOURCE
        mapping = parse_mapping(
            {
                "source": source, "simulated": simulated, "time_zone": settings.time_zone,
                "columns": {
                    "reference": "alarm", "kind": "kind", "time": "raised_at",
                    "code": "code", "lon": "lon", "lat": "lat",
                },
            }
        )  # fmt: skip
        ids = [row.id for row in alike]
        EventStore(engine, pack, mapping, here.version).store(
            pa.table(
                [
                    pa.array([f"alarm-{row.id}" for row in alike]),
                    pa.array([row.event_kind for row in alike]),
                    pa.array([row.raised_at.replace(tzinfo=None) for row in alike]),
                    pa.array(
                        np.array([LOCATED_BY.index(row.located_by) for row in alike], np.uint8)
                    ),
                    pa.array([False] * len(alike)),
                    pa.array(np.array([finest(here, row.code) or 0 for row in alike], np.int32)),
                    pa.array([row.code for row in alike], pa.string()),
                    pa.nulls(len(alike), pa.string()),
                    pa.array(np.array([row.lon for row in alike], np.float64)),
                    pa.array(np.array([row.lat for row in alike], np.float64)),
                ],
                schema=EVENTS,
            ),
            sa.text(
                "update device_alarm set event_due = false where id = any(:ids) and :source > 0"
            ).bindparams(ids=ids),
        )
    return len(rows)


def keep_house(engine: sa.Engine, settings: Settings) -> tuple[int, int]:
    """Make days of readings ahead and drop old ones; how many of each."""
    with transaction(engine) as connection:
        if not connection.execute(_ELECT).scalar_one():
            return 0, 0
        row = connection.execute(
            sa.text(
                "select make_reading_days(today - 1, today + 2) as made, "
                "drop_reading_days(today - :keep) as gone "
                "from (select (now() at time zone 'UTC')::date as today) one"
            ),
            {"keep": settings.devices.keep_days},
        ).one()
        return int(row.made), int(row.gone)


class DeviceClock:
    """The thread that looks.

    Parameters
    ----------
    engine : of the installation itself
    borders : where a device's unit is found for its event
    settings : how often it looks
    """

    def __init__(self, engine: sa.Engine, borders: Borders, settings: Settings) -> None:
        self._engine, self._borders, self._settings = engine, borders, settings
        self._stop = threading.Event()
        self._house: datetime | None = None
        self._thread = threading.Thread(target=self._run, name="device-clock", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def once(self, now: datetime) -> None:
        """One look with everything that belongs to it."""
        if self._house is None or now - self._house > _HOUSEKEEPING:
            keep_house(self._engine, self._settings)
            self._house = now
        look(self._engine, self._settings)
        raise_events(self._engine, self._borders, self._settings)

    def _run(self) -> None:
        failed = False
        while not self._stop.wait(self._settings.devices.tick_seconds):
            try:
                self.once(datetime.now(ZoneInfo("UTC")))
                failed = False
            except (WusetuError, sa.exc.SQLAlchemyError) as error:
                if not failed:  # once per failure
                    log.warning("devices are not looked at: %s", type(error).__name__)
                failed = True
