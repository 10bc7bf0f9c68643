"""Models of treaties and of what all sides see together."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field

from app.api.border_models import Side, SideCode
from app.api.job_models import JobProblem, JobState, Step
from app.api.models import Model, Period, Words

TreatyState = Literal["proposed", "accepted", "in_force", "over", "rejected"]
Seen = Literal["one", "several", "together"]


class TreatyDecision(Model):
    """What a side decided."""

    side: str
    decision: Literal["accept", "reject"]
    reason: str
    at: datetime
    signed: bool = Field(description="With the side's key, in its own installation")


class TreatyVersion(Model):
    """Terms of a treaty and who accepted them."""

    version: int
    state: TreatyState = Field(description="accepted: all did, its time has not come")
    proposed_by: str
    sides: list[str] = Field(description="Code prefixes, ascending")
    resolution: int = Field(description="H3 resolution of the cells that cross")
    periods: list[Period]
    delay_days: int = Field(description="A period crosses so many days after its end")
    min_count: int = Field(description="No count from 1 to below it crosses")
    kinds: dict[str, dict[str, float]] = Field(description="Kind → exposure → weight")
    valid_from: date
    valid_to: date | None = Field(description="First day it holds no longer; null: until another")
    note: str
    digest: str = Field(description="sha256 of the terms")
    decisions: list[TreatyDecision]
    waiting: list[str] = Field(description="Sides that have not decided")


class Treaty(Model):
    """An agreement about what crosses the lines between sides, newest version first."""

    name: str
    pack: str
    in_force: int | None = Field(description="Version in force")
    versions: list[TreatyVersion]


class TreatyList(Model):
    """Treaties of one's own sides."""

    treaties: list[Treaty]


class TreatyDraft(Model):
    """Terms to be proposed."""

    pack: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="A known one: its next version"
    )
    side: SideCode | None = Field(
        default=None, description="For which side, when the account speaks for several"
    )
    sides: list[SideCode] = Field(min_length=2, max_length=16)
    resolution: int = Field(default=6, ge=4, le=8)
    periods: list[Period] = Field(default=["quarter"], min_length=1, max_length=3)
    delay_days: int = Field(default=7, ge=0, le=3660)
    min_count: int = Field(default=5, ge=2, le=1000)
    kinds: list[str] | None = Field(
        default=None, max_length=50, description="Of the project's scene; default all of them"
    )
    valid_from: date
    valid_to: date | None = None
    note: str = Field(default="", max_length=500)


class TreatyDecisionDraft(Model):
    """Decision about a version for one's own side."""

    version: int = Field(ge=1, le=2**31 - 1)
    decision: Literal["accept", "reject"]
    reason: str = Field(default="", max_length=500)
    side: SideCode | None = Field(
        default=None, description="For which side, when the account speaks for several"
    )


class TreatyPackage(Model):
    """A package sent from here."""

    id: int
    version: int
    side: str
    sequence: int = Field(description="Ascending per side")
    key: str = Field(description="Name of the key it is signed with")
    cutoff: date = Field(description="Everything told happened before this local day")
    made_at: datetime
    sha256: str = Field(description="Of the file")
    rows: int
    bytes: int
    manifest: str = Field(description="Signature, line feed, the manifest it signs")
    data: str = Field(description="Address of the file")


class TreatyPackages(Model):
    """Packages sent from here by a treaty."""

    treaty: str
    packages: list[TreatyPackage]


class PooledRun(Model):
    """One period as all sides of a treaty see it together."""

    id: int
    pack: str
    period: Period
    ord: int | None = Field(description="Of the map's newest run, when that has this period")
    start: date = Field(alias="from", description="First local day")
    stop: date = Field(alias="to", description="First local day after it")
    cutoff: date = Field(description="Every side told what it knew before this local day")
    made_at: datetime
    treaty: str
    version: int
    sides: list[Side]
    method: Words
    resolution: int
    delay_days: int
    min_count: int
    kinds: list[str] = Field(description="Kinds looked at")
    factor: dict[str, dict[str, float | None]] = Field(
        description="Kind → side → reporting rate against all"
    )
    totals: dict[str, dict[str, int]] = Field(description="Kind → side → events told")
    sources: dict[str, str] = Field(description="Side → digest of what it told")
    alpha: float = Field(description="False alarms of one kind: pooled, and all sides alone")
    alpha_alone: float = Field(description="Of one side")
    replicates: int
    seed: int
    seen: dict[Seen, int] = Field(description="Number of clusters")
    simulated: bool
    digest: str = Field(description="The same wherever the same numbers are pooled")
    tiles: str = Field(description="Address of its vector tiles")


class PooledList(Model):
    """Pooled runs of a map, newest period first."""

    pack: str
    runs: list[PooledRun]


class PooledDraft(Model):
    """Ask for a period to be looked at by all sides together."""

    pack: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Map")
    treaty: str | None = Field(
        default=None, pattern=r"^[a-z0-9][a-z0-9-]{0,39}$",
        description="Needed where the map has several in force",
    )  # fmt: skip
    period: Period
    start: date | None = Field(
        default=None, alias="from",
        description="First local day of the period; none: the newest all sides told",
    )  # fmt: skip


class PooledQuestion(Model):
    """The same as it is stored: a job of type `pooled`."""

    type: Literal["pooled"] = "pooled"
    pack: str
    treaty: str
    period: Period
    start: date | None = None


class PooledResult(Model):
    """What such a job keeps: the number of the pooled run it made."""

    type: Literal["pooled"] = "pooled"
    run: int
    events: int
    method: Words


class PooledJob(Model):
    """A pooled run being made in the background."""

    id: int
    state: JobState
    progress: float = Field(description="Part that is done, 0 to 1")
    step: Step = Field(description="What is being done; empty before and after")
    pack: str
    treaty: str
    period: Period
    start: date | None = Field(
        alias="from", description="As asked; null: the newest all sides told"
    )
    run: int | None = Field(description="The pooled run, once it is done")
    mine: bool = Field(description="Whether the asker of this answer asked for it")
    error: JobProblem | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime = Field(description="When the job goes; the pooled run stays")


class PooledSide(Model):
    """What of a cluster lies in a side."""

    side: str
    name: str
    name_en: str | None
    cells: int = Field(description="0: not in the window")
    observed: int
    expected: float
    relative_risk: float | None = Field(description="observed / expected")
    low: float | None = Field(description="Exact 95 % interval")
    high: float | None
    p_alone: float | None = Field(
        description="Of this part when the side sees only itself; null: not in the window"
    )
    found_alone: bool


class PooledCluster(Model):
    """A cluster: who sees it, and what lies in it."""

    number: int
    kind: str
    seen: Seen
    pooled: bool = Field(description="False: only a side itself finds it")
    crosses: bool = Field(description="It has cells of several sides")
    p: float = Field(description="Of the scan that found it")
    llr: float
    observed: int
    expected: float
    relative_risk: float = Field(description="observed / expected")
    low: float = Field(description="Exact 95 % interval")
    high: float
    radius_m: float
    centre: tuple[float, float] = Field(description="Longitude, latitude")
    cells: list[str]
    sides: list[PooledSide] = Field(description="Every side of the run")
    start: date = Field(alias="from")
    stop: date = Field(alias="to")
    reasons: Words


class PooledFeature(Model):
    """GeoJSON feature of a cluster: the union of its cells."""

    type: Literal["Feature"] = "Feature"
    id: int
    geometry: dict[str, Any]
    properties: PooledCluster


class PooledClusters(Model):
    """GeoJSON FeatureCollection."""

    type: Literal["FeatureCollection"] = "FeatureCollection"
    run: PooledRun
    features: list[PooledFeature]


class EvaluationMeasure(Model):
    """A share (0 to 1) or a mean time (hours), with an exact 95 % interval."""

    value: float | None = Field(description="null: nothing to measure")
    low: float | None
    high: float | None
    part: int = Field(description="Of a share: how many; of a time: how many were timed")
    whole: int = Field(description="Of how many")
    change: float | None = Field(
        description="Ratio to the month before (of times: longer is above 1); null: too few"
    )
    change_low: float | None
    change_high: float | None


class EvaluationMonth(Model):
    """How a side did in the checks opened in a month."""

    month: date = Field(description="First local day")
    side: str
    name: str
    cases: int = Field(description="Checks it was part of")
    answers: EvaluationMeasure = Field(description="It accepted or declined")
    joint: EvaluationMeasure = Field(description="All sides accepted")
    solved: EvaluationMeasure = Field(
        description="Of those that ended: closed after a report from a checkpoint"
    )
    handling: EvaluationMeasure = Field(description="Hours from opening to end")
    response: EvaluationMeasure = Field(description="Hours until it answered")


class Evaluation(Model):
    """How the sides work together, by month and side."""

    pack: str
    zone: int | None
    start: date = Field(alias="from", description="First local day")
    stop: date = Field(alias="to", description="First local day after the last month")
    months: list[EvaluationMonth]
