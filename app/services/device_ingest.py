"""Readings into the store, and what rules make of them, in one transaction.

Speaks as the installation itself: whose devices may be written is asked before (`services/devices`).
Promises: device, time and number decide, so that sending again changes nothing; a reading is looked
at by every rule in the transaction that stores it, so that none is stored and not looked at; devices
are locked in the order of their numbers, so that batches wait for each other and never for ever.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from app.database import transaction
from app.services import device_alarms as alarms
from app.services.device_rows import Refused, Row, parse
from app.services.device_rules import Present, present
from app.settings import Settings
from geo import devices as kernel
from geo.devices import Heard, Limits, Track

#: Most readings of one transaction.
BATCH = 5_000
_DAYS = 10_000


class Device(NamedTuple):
    """A device and how it is heard, locked for the transaction."""

    id: int
    pack: str
    reference: str
    kind: str
    code: str
    every_s: int
    state: kernel.State
    heard: Heard


@dataclass
class Report:
    """What became of a batch: rows stored now, rows there already, rows refused."""

    stored: int = 0
    known: int = 0
    refused: list[Refused] = field(default_factory=list)
    alarms: list[int] = field(default_factory=list)


_LOCK = sa.text("""
select d.id, d.pack, d.reference, d.kind, d.code, d.every_s, s.state, s.last_seen, s.last_at, s.returns
from device d join device_state s on s.device_id = d.id
where d.pack = :pack and d.reference = any(:names) and d.retired_at is null
  and (cast(:side as text) is null or d.side = :side)
  and (cast(:allowed as int[]) is null or d.id = any(:allowed))
order by d.id for no key update of s
""")
_INSERT = sa.text("""
insert into reading (device_id, at, seq, value)
select * from unnest(cast(:ids as int[]), cast(:ats as timestamptz[]), cast(:seqs as int[]),
                     cast(:values as double precision[]))
on conflict do nothing returning device_id, at, seq
""")
_HEARD = sa.text("""
update device_state s set last_seen = n.last_seen, last_at = n.last_at, state = n.state,
  since = case when s.state = n.state then s.since else n.last_seen end,
  returns = case when n.again then array_append(s.returns[cardinality(s.returns) - :most + 2:], n.last_seen)
                 else s.returns end
from (select * from unnest(cast(:ids as int[]), cast(:seen as timestamptz[]), cast(:own as timestamptz[]),
                           cast(:states as text[]), cast(:again as boolean[]))
      as n (id, last_seen, last_at, state, again)) n
where s.device_id = n.id
""")


class Ingest:
    """Takes readings in for one process; threads share it.

    Parameters
    ----------
    engine : of the installation itself
    settings : how long readings are kept, when a device is offline, whose night it is
    """

    def __init__(self, engine: sa.Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings.devices
        self.zone = ZoneInfo(settings.time_zone)
        self._days: set[date] = set()

    def limits(self, every_s: int) -> Limits:
        """When a device of that pace is offline or flapping."""
        return limits(self.settings, every_s)

    def take(
        self,
        pack: str,
        rows: Sequence[Any],
        *,
        side: str | None = None,
        allowed: Sequence[int] | None = None,
    ) -> Report:
        """Store what is good of some rows and look at it; at most `BATCH`.

        Parameters
        ----------
        pack : map of the devices
        side : whose they are; None: any, as long as a reference means one device
        rows : objects as they came, see `device_rows`
        allowed : numbers of the devices that may be written; None: all

        Raises
        ------
        Unavailable
            The database does not answer; nothing of the batch is stored.
        """
        with transaction(self.engine) as connection:
            now: datetime = connection.execute(sa.text("select clock_timestamp()")).scalar_one()
            good, bad = parse(rows, now, timedelta(days=self.settings.keep_days))
            days = {row.at.astimezone(UTC).date() for row in good} - self._days
            for day in sorted(days):  # where the clock has not made them yet
                connection.execute(sa.text("select make_reading_days(:day, :day)"), {"day": day})
            report = self._take(connection, (pack, side), good, Report(refused=bad), allowed, now)
        # known after the commit, not before: what is rolled back is not there
        self._days = self._days | days if len(self._days) < _DAYS else days
        return report

    def _take(  # noqa: PLR0917
        self,
        connection: sa.Connection,
        where: tuple[str, str | None],
        rows: list[Row],
        report: Report,
        allowed: Sequence[int] | None,
        now: datetime,
    ) -> Report:
        names = sorted({row.device for row in rows})
        if not names:
            return report
        found = connection.execute(
            _LOCK,
            {
                "pack": where[0],
                "side": where[1],
                "names": names,
                "allowed": None if allowed is None else list(allowed),
            },
        ).all()
        devices = {row.reference: _device(row) for row in found}
        twice = {name for name, n in Counter(row.reference for row in found).items() if n > 1}
        fresh: dict[tuple[int, datetime, int], Row] = {}
        for row in rows:
            one = devices.get(row.device)
            if row.device in twice:
                report.refused.append(
                    Refused(row.n, "device", "ambiguous", "several sides have one: say which")
                )
            elif one is None:
                report.refused.append(
                    Refused(row.n, "device", "unknown_device", "there is no such device")
                )
            elif (one.id, row.at, row.seq) in fresh:
                report.known += 1
            else:
                fresh[one.id, row.at, row.seq] = row
        report.refused.sort()
        if not fresh:
            return report
        keys = sorted(fresh)
        stored = connection.execute(
            _INSERT,
            {
                "ids": [key[0] for key in keys],
                "ats": [key[1] for key in keys],
                "seqs": [key[2] for key in keys],
                "values": [fresh[key].value for key in keys],
            },
        )
        new = sorted(tuple(row) for row in stored)
        report.stored = len(new)
        report.known += len(keys) - len(new)
        if new:
            by_id = {one.id: one for one in devices.values()}
            said: dict[int, list[tuple[datetime, float | None]]] = defaultdict(list)
            for key in new:
                said[key[0]].append((key[1], fresh[key].value))
            self._hear(connection, by_id, said, now)
            report.alarms = self._look(connection, where[0], by_id, said)
        return report

    def forget_days(self) -> None:
        """Look again which days there are; some were dropped."""
        self._days = set()

    def _hear(
        self,
        connection: sa.Connection,
        devices: dict[int, Device],
        said: dict[int, list[tuple[datetime, float | None]]],
        now: datetime,
    ) -> None:
        ids, seen, own, states, again = [], [], [], [], []
        for number in sorted(said):
            one = devices[number]
            bounds = self.limits(one.every_s)
            heard = one.heard
            for at, _ in said[number]:
                heard = kernel.arrive(heard, now, at, bounds)
            ids.append(number)
            seen.append(heard.last_seen)
            own.append(heard.last_at)
            states.append(kernel.state_of(heard, now, bounds))
            again.append(heard.returns != one.heard.returns)
        connection.execute(
            _HEARD,
            {
                "ids": ids, "seen": seen, "own": own, "states": states, "again": again,
                "most": self.settings.flapping_returns,
            },
        )  # fmt: skip

    def _look(
        self,
        connection: sa.Connection,
        pack: str,
        devices: dict[int, Device],
        said: dict[int, list[tuple[datetime, float | None]]],
    ) -> list[int]:
        """Let every rule look at every new reading; numbers of alarms raised."""
        rules = present(connection, pack, self.zone)
        pairs = [
            (number, one)
            for number in sorted(said)
            for one in rules
            if one.kind == devices[number].kind and devices[number].code.startswith(one.within)
        ]
        if not pairs:
            return []
        tracks = _tracks(connection, [number for number, _ in pairs])
        changed: dict[tuple[int, int], tuple[int, Track]] = {}
        steps: list[Step] = []
        for number, rule in pairs:
            version, before = tracks.get((number, rule.id), (0, Track()))
            before = before if version == rule.version else Track()
            if before.since is None:  # then only how far it came matters, and the device knows that
                before = before._replace(at=devices[number].heard.last_at)
            track = before
            gap = self.limits(devices[number].every_s).offline
            for at, value in said[number]:
                after = kernel.step(rule.rule, track, at, value, gap)
                if after.hit != track.hit:
                    steps.append(Step(at, number, rule, after.hit))
                track = after
            if track[1:] != before[1:] or (track.since is not None and track != before):
                changed[number, rule.id] = (rule.version, track)
        alarms.lock_near(connection, {one.rule for one in steps})
        _keep(connection, changed)
        raised = []
        for one in sorted(steps, key=lambda one: (one.at, one.device, one.rule.id)):
            if one.hit:
                raised += alarms.fulfilled(connection, one.rule, one.device, one.at)
            else:
                alarms.ended(connection, one.rule, one.device, one.at)
        return raised


def _device(row: sa.Row[Any]) -> Device:
    heard = Heard(row.last_seen, row.last_at, tuple(row.returns))
    return Device(
        row.id, row.pack, row.reference, row.kind, row.code, row.every_s, row.state, heard
    )


class Step(NamedTuple):
    """A rule began (`hit`) or ended to be fulfilled by a device."""

    at: datetime
    device: int
    rule: Present
    hit: bool


def limits(settings: Any, every_s: int) -> Limits:
    """When a device of that pace is offline or flapping, by the settings of devices."""
    return Limits(
        offline=timedelta(seconds=max(every_s * settings.offline_after, settings.offline_least_s)),
        window=timedelta(minutes=settings.flapping_minutes),
        returns=settings.flapping_returns,
    )


def _tracks(connection: sa.Connection, ids: list[int]) -> dict[tuple[int, int], tuple[int, Track]]:
    rows = connection.execute(
        sa.text(
            "select device_id, rule_id, version, at, since, hit, hit_at from device_track "
            "where device_id = any(:ids)"
        ),
        {"ids": sorted(set(ids))},
    )
    return {
        (row.device_id, row.rule_id): (row.version, Track(row.at, row.since, row.hit, row.hit_at))
        for row in rows
    }


def _keep(connection: sa.Connection, changed: dict[tuple[int, int], tuple[int, Track]]) -> None:
    if not changed:
        return
    keys = sorted(changed)
    tracks = [changed[key][1] for key in keys]
    connection.execute(
        sa.text(
            "insert into device_track (device_id, rule_id, version, at, since, hit, hit_at) "
            "select * from unnest(cast(:devices as int[]), cast(:rules as int[]), "
            "cast(:versions as int[]), cast(:ats as timestamptz[]), cast(:sinces as timestamptz[]), "
            "cast(:hits as boolean[]), cast(:hit_ats as timestamptz[])) "
            "on conflict (device_id, rule_id) do update set version = excluded.version, "
            "at = excluded.at, since = excluded.since, hit = excluded.hit, hit_at = excluded.hit_at"
        ),
        {
            "devices": [key[0] for key in keys], "rules": [key[1] for key in keys],
            "versions": [changed[key][0] for key in keys], "ats": [one.at for one in tracks],
            "sinces": [one.since for one in tracks], "hits": [one.hit for one in tracks],
            "hit_ats": [one.hit_at for one in tracks],
        },
    )  # fmt: skip
