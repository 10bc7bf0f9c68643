"""Models of devices: registry, readings, rules, alarms."""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.api.models import Model

DeviceState = Literal["online", "flapping", "offline"]
AlarmState = Literal["raised", "cleared"]
PackName = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Name of the map")
]
Reference = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]
KindName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
UnitCode = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z]+$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
MOST_DEVICES, MOST_READINGS = 2_000, 5_000


class Words(Model):
    """A text in both interface languages."""

    zh: str = Field(min_length=1, max_length=80)
    en: str = Field(min_length=1, max_length=80)


class DeviceAlarm(Model):
    """Alarm a device is part of."""

    id: int
    rule: int
    since: datetime
    words: Words


class Device(Model):
    """A sensor bound to a place."""

    id: int
    pack: str
    reference: str = Field(description="Its own name on its side")
    kind: str
    code: str | None = Field(description="Finest unit or address code; null: another side's")
    name: str = Field(description="Name of the place")
    lon: float
    lat: float
    side: str
    state: DeviceState
    since: datetime = Field(description="When it came into this state")
    last_seen: datetime | None = Field(description="When it was last heard; null: never")
    every_s: int = Field(description="It says something at least every so many seconds")
    simulated: bool
    alarming: bool
    alarm: DeviceAlarm | None = Field(default=None, description="The newest one raised")


class DeviceList(Model):
    """Devices that may be seen."""

    devices: list[Device]
    total: int = Field(description="How many there are, also beyond the limit")
    as_of: datetime


class DeviceDraft(Model):
    """A device to be entered, or changed where the reference is known; code or place, or both."""

    reference: Reference
    kind: KindName
    code: UnitCode | None = Field(
        default=None, description="Address code down to the room, in any zero-filled form"
    )
    lon: float | None = Field(default=None, ge=-180, le=180, description="WGS84")
    lat: float | None = Field(default=None, ge=-90, le=90, description="WGS84")
    name: str = Field(default="", max_length=80, description="Name of the place, never of a person")
    every_s: int = Field(default=60, ge=1, le=604_800)


class DeviceBatch(Model):
    """Devices of a map; a bad one is refused with its reason, the others are kept."""

    pack: PackName
    devices: list[Any] = Field(
        min_length=1, max_length=MOST_DEVICES, description="Objects as DeviceDraft describes them"
    )


class RefusedRow(Model):
    """A row that was not stored."""

    row: int = Field(description="From 0, as sent")
    field: str
    reason: str = Field(description="One word for programs")
    text: str


class DeviceReport(Model):
    """What became of a batch of devices."""

    new: int
    changed: int
    unchanged: int
    refused: list[RefusedRow]


class ReadingBatch(Model):
    """Readings of a map's devices; a bad one is refused with its reason, the others are kept."""

    pack: PackName
    side: UnitCode | None = Field(
        default=None, description="Whose devices; needed when several sides use the same references"
    )
    readings: list[Any] = Field(
        min_length=1,
        max_length=MOST_READINGS,
        description="Objects with `device` (its reference), `at` (ISO 8601 with offset), `seq` "
        "(whole number, default 0) and `value` (finite number; none: a sign of life)",
    )


class ReadingReport(Model):
    """What became of a batch of readings."""

    stored: int
    known: int = Field(description="There already: device, time and seq are the same")
    refused: list[RefusedRow]
    alarms: int = Field(description="Alarms they raised")


class Reading(Model):
    """What a device said."""

    at: datetime
    seq: int
    value: float | None
    received_at: datetime


class ReadingList(Model):
    """What a device of one's own said, newest first."""

    device: int
    readings: list[Reading]


class Night(Model):
    """Hours of the installation's time zone, over midnight where `from` is later than `to`."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    begin: time = Field(alias="from", description="From this time of day …")
    end: time = Field(alias="to", description="… until before this one")


class Neighbours(Model):
    """Confirmation by devices of the kind nearby."""

    n: int = Field(ge=2, le=100, description="Devices that show it, itself included")
    metres: float = Field(gt=0, le=50_000)
    within_s: int = Field(ge=1, le=86_400)


class RuleDraft(Model):
    """When readings raise an alarm. All that is given has to be fulfilled together."""

    pack: PackName
    within: UnitCode = Field(description="Devices in this unit")
    kind: KindName = Field(description="Devices of this kind")
    words: Words = Field(description="What the alarm is called")
    sense: Literal["above", "below", "silence"] = Field(
        description="above: at least level; below: at most level; silence: nothing above level"
    )
    level: Finite = 0.0
    reset: Finite | None = Field(
        default=None, description="What began goes on until a value is beyond it; null: level"
    )
    hold_s: int = Field(default=0, ge=0, le=2_592_000, description="So long without a break")
    night: Night | None = Field(default=None, description="Only in these hours")
    quiet_s: int = Field(
        default=0,
        ge=0,
        le=2_592_000,
        description="Raised again so soon, it is the same alarm; at least 60 s whatever stands here",
    )
    neighbours: Neighbours | None = None
    heard: bool = Field(default=True, description="silence: only while the device itself is heard")
    event_kind: KindName | None = Field(
        default=None, description="Kind of the event an alarm raises; null: none"
    )
    enabled: bool = True


class DeviceRule(RuleDraft):
    """A rule in force."""

    id: int
    version: int
    side: str
    valid_from: datetime


class RuleList(Model):
    """Rules of one's own."""

    rules: list[DeviceRule]


class Alarm(Model):
    """An alarm of a device."""

    id: int
    pack: str
    device: int
    reference: str
    kind: str = Field(description="Of the device")
    side: str
    place: str
    code: str | None = Field(description="null: another side's")
    lon: float
    lat: float
    rule: int
    words: Words
    state: AlarmState
    raised_at: datetime
    last_at: datetime = Field(description="When it was last raised")
    repeats: int = Field(description="How often it was raised again too soon to be another one")
    devices: list[int] = Field(description="Devices that showed it and may be seen, its own first")
    cleared_at: datetime | None
    reason: str = Field(description="Why it was cleared by hand; another side's is not told")
    simulated: bool


class AlarmList(Model):
    """Alarms that may be seen."""

    alarms: list[Alarm]
    as_of: datetime


class AlarmClear(Model):
    """Clear an alarm by hand."""

    reason: str = Field(min_length=1, max_length=200)
