"""Models of the border: lines, places, zones, checks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from app.api.models import Model

ZoneState = Literal["draft", "proposed", "live", "expired", "rejected"]
CheckState = Literal["open", "running", "declined", "closed", "expired"]
CheckStep = Literal["open", "accept", "decline", "hit", "no_hit", "close", "expire"]
SideCode = Annotated[str, Field(min_length=1, max_length=27, pattern=r"^[0-9A-Za-z]+$")]
Moment = Annotated[AwareDatetime, Field(description="With its offset")]
Geometry = dict[str, Any]


class Side(Model):
    """A jurisdiction at the border: a unit of the coarsest level with two or more units."""

    code: str
    name: str = Field(description="As in the boundaries; its code where only the code is known")
    name_en: str | None


class BorderLine(Model):
    """Line two sides share."""

    side_a: Side
    side_b: Side
    length_m: float = Field(description="Geodesic, metres")
    geometry: Geometry = Field(description="GeoJSON MultiLineString, EPSG:4326")


class BorderLines(Model):
    """Lines of one's own sides."""

    pack: str
    boundary_version: str
    sides: list[Side] = Field(description="One's own sides and their neighbours")
    own: list[str] = Field(description="Codes of the sides one speaks for")
    lines: list[BorderLine]
    length_m: float = Field(description="All together, metres")


class PlaceUnit(Model):
    """A unit a place lies in."""

    code: str
    name: str
    name_en: str | None
    level: str


class Place(Model):
    """A position, EPSG:4326."""

    lon: float
    lat: float


class Desk(Model):
    """An office on duty; never a person."""

    id: int
    code: str = Field(description="Unit it is on duty for")
    side: str
    name: str
    office_line: str | None
    hours: str


class Presence(Model):
    """A side, or a desk of it, with the border page open; never a person."""

    side: str
    side_name: str
    desk: int | None = Field(description="null: the side alone is known")
    desk_name: str | None
    since: datetime = Field(description="Open without a break since")


class PresenceList(Model):
    """Who is there, sides in order."""

    present: list[Presence]
    good_for_s: int = Field(description="A page that was not heard for so long counts as closed")
    as_of: datetime


class PresenceDraft(Model):
    """Where a page is open."""

    side: SideCode | None = Field(
        default=None, description="Needed of accounts that speak for several sides"
    )
    desk: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        default=None,
        description="The desk; none: that of the account's unit, or the only one inside of it",
    )


class DeskDraft(Model):
    """A desk to be entered."""

    code: SideCode
    name: str = Field(min_length=1, max_length=80)
    office_line: str | None = Field(
        default=None, max_length=24, description="Telephone of the office; no mobile numbers"
    )
    hours: str = Field(default="", max_length=80)


class Checkpoint(Model):
    """A place where vehicles and goods are looked at."""

    id: int
    code: str
    name: str
    side: str
    kind: str
    lon: float
    lat: float
    metres: float | None = Field(default=None, description="From the place asked about")


class CheckpointDraft(Model):
    """A checkpoint to be entered; its side is where it stands."""

    code: str = Field(pattern=r"^[\w.-]{1,64}$")
    name: str = Field(min_length=1, max_length=80)
    kind: str = Field(default="road", pattern=r"^[a-z][a-z0-9_]{0,39}$")
    lon: float = Field(ge=-180, le=180)
    lat: float = Field(ge=-90, le=90)


class NearDevice(Model):
    """A sensor near a place."""

    id: int
    kind: str
    state: str
    side: str
    lon: float
    lat: float
    metres: float
    last_seen: datetime | None


class ZoneHere(Model):
    """A zone in force at a place."""

    id: int
    version: int
    name: str
    sides: list[str]
    valid_to: datetime | None


class Where(Model):
    """Where a place is, seen from the border."""

    pack: str
    boundary_version: str
    lon: float
    lat: float
    side: Side | None = Field(description="null: outside of the map")
    units: list[PlaceUnit] = Field(
        description="Coarse to fine; of another side only the side and members of shared zones"
    )
    metres_to_line: float | None = Field(
        description="Geodesic, to the nearest line of one's own sides; null: there is none"
    )
    nearest: Place | None = Field(description="Nearest place of that line")
    azimuth: float | None = Field(description="Direction to it, degrees from north, clockwise")
    other_side: Side | None = Field(description="Side across that line")
    zones: list[ZoneHere] = Field(description="In force here")
    desks: list[Desk] = Field(
        description="Those on duty for this ground and those zones here name; else all one may see"
    )
    checkpoints: list[Checkpoint] = Field(description="The nearest five")
    devices: list[NearDevice] = Field(description="The nearest five")
    as_of: datetime


class Approval(Model):
    """What a side decided."""

    side: str
    decision: Literal["approve", "reject"]
    reason: str
    at: datetime


class ZoneVersion(Model):
    """A zone as it was, is or is to be."""

    version: int
    state: ZoneState
    in_force: bool
    side: str = Field(description="Side that made it")
    sides: list[str] = Field(description="All have to approve")
    units: list[str] = Field(description="Codes of member units")
    metres: float | None = Field(description="To either side of the line; null: drawn")
    valid_from: datetime
    valid_to: datetime | None
    note: str
    made_at: datetime
    approvals: list[Approval]
    geometry: Geometry | None = Field(default=None, description="GeoJSON, EPSG:4326")


class Zone(Model):
    """A joint-control zone."""

    id: int
    pack: str
    name: str
    side: str = Field(description="Side that made it")
    sides: list[str] = Field(description="Sides that see it")
    version: ZoneVersion | None = Field(
        description="The one in force, else the newest that may be seen"
    )


class ZoneDetail(Zone):
    """A zone with everything that belongs to it."""

    versions: list[ZoneVersion] = Field(description="Newest first, with shapes")
    desks: list[Desk]
    checkpoints: list[Checkpoint]


class ZoneList(Model):
    """Zones that may be seen."""

    zones: list[Zone]
    tiles: dict[str, str] = Field(
        description="Address template of vector tiles by map; another one after each change"
    )


class VersionDraft(Model):
    """A version of a zone: drawn, or so many metres on both sides of the line its members share."""

    units: list[SideCode] = Field(
        min_length=2, max_length=64, description="Member units, of two sides or more"
    )
    area: Geometry | None = Field(default=None, description="GeoJSON Polygon or MultiPolygon")
    metres: float | None = Field(default=None, gt=0, le=50_000)
    valid_from: Moment | None = Field(default=None, description="none: from now on")
    valid_to: Moment | None = None
    note: str = Field(default="", max_length=500)
    state: Literal["draft", "proposed"] = "proposed"
    side: SideCode | None = Field(
        default=None, description="Side one speaks for, when there are several"
    )


class ZoneDraft(VersionDraft):
    """A new zone with its first version."""

    pack: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    name: str = Field(min_length=1, max_length=80)


class Decision(Model):
    """What a side decides about a version. `propose` shows a draft to the other sides."""

    decision: Literal["propose", "approve", "reject"]
    reason: str = Field(default="", max_length=500, description="Needed to reject")
    side: SideCode | None = None


class ZoneIndex(Model):
    """How a zone stands in a period, from the cells of all its sides together; never records."""

    zone: int
    version: int
    run: int
    res: int = Field(description="H3 resolution of the cells")
    cells: int = Field(description="Cells whose centre lies in the zone")
    period: str
    ord: int
    kind: str
    withheld: bool = Field(
        description="A side has 1 to min_count - 1 events here, a difference to other answers "
        "would be so few, or the delay is not over: no number is shown"
    )
    min_count: int
    observed: int | None
    expected: float | None
    relative_risk: float | None
    low: float | None
    high: float | None
    exceedance: float | None = Field(description="Probability that the relative risk is above 1")
    colour: str | None
    change: float | None = Field(
        description="Ratio to the period before; null: none, or too few events"
    )
    change_low: float | None
    change_high: float | None


class CheckDraft(Model):
    """A check to be opened for a zone in force."""

    reference: str = Field(
        min_length=1, max_length=40, description="Number of a case file: of no person, no vehicle"
    )
    reason: str = Field(min_length=1, max_length=200)
    ends_at: Moment
    kinds: list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]] = Field(
        default=[], max_length=20
    )
    side: SideCode | None = None


class CheckAnswerDraft(Model):
    """An answer to a check."""

    answer: Literal["accept", "decline", "hit", "no_hit", "close"]
    reason: str = Field(default="", max_length=200, description="Needed to decline")
    checkpoint: str | None = Field(
        default=None, max_length=64, description="Code of the checkpoint that reports"
    )
    place: str = Field(default="", max_length=120)
    at: Moment | None = Field(default=None, description="When it happened; none: now")
    side: SideCode | None = None


class CheckSide(Model):
    """How a side stands to a check."""

    side: str
    answer: Literal["accept", "decline"] | None
    reason: str
    at: datetime | None


class CheckReport(Model):
    """What a checkpoint reported."""

    side: str
    answer: Literal["hit", "no_hit"]
    checkpoint: str | None
    place: str
    reason: str
    at: datetime


class CheckEvent(Model):
    """A step of a check."""

    n: int
    step: CheckStep
    side: str | None
    before: CheckState | None
    after: CheckState
    at: datetime


class Check(Model):
    """A two-sided check."""

    id: int
    pack: str
    zone: int
    zone_name: str
    version: int
    side: str = Field(description="Side that opened it, and closes it")
    reference: str
    reason: str
    kinds: list[str]
    state: CheckState
    opened_at: datetime
    ends_at: datetime
    ended_at: datetime | None
    sides: list[CheckSide]
    reports: list[CheckReport]
    events: list[CheckEvent]


class CheckList(Model):
    """Checks, newest first."""

    checks: list[Check]
    as_of: datetime
