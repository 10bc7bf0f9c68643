"""Models of questions worked on in the background, and of what they find."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from app.api.analysis_models import AnalysisArea
from app.api.area_models import Moment
from app.api.models import Model, Words

JobType = Literal["gi", "scan", "knox", "emerging", "density", "forecast"]
JobState = Literal["queued", "running", "done", "failed", "cancelled"]
Step = Literal["", "opening", "counting", "exposures", "computing", "testing", "drawing", "storing"]
Hot = Literal["hot", "cold", "none"]
PACK = r"^[a-z0-9][a-z0-9-]{0,39}$"

Res = Annotated[
    int | None,
    Field(ge=5, le=11, description="H3 resolution; none: the finest with at most 20,000 cells"),
]
Ring = Annotated[int, Field(ge=1, le=10, description="Neighbours: cells up to so many steps away")]
Level = Annotated[float, Field(gt=0, lt=1, description="False discovery rate over the cells")]


class GiParameters(Model):
    """Gi* on H3 cells (METHODS 8)."""

    res: Res = None
    ring: Ring = 1
    q: Level = 0.05


class ScanParameters(Model):
    """Scan statistic of Kulldorff on H3 cells (METHODS 8)."""

    mode: Literal["spatial", "prospective", "retrospective"] = Field(
        default="prospective",
        description="spatial: circles over the whole span; prospective: cylinders that end now; "
        "retrospective: cylinders that end at any time",
    )
    res: Res = None
    max_share: float = Field(
        default=0.1, gt=0, le=0.5, description="Largest share of the expected count in a circle"
    )
    max_metres: float | None = Field(
        default=None, gt=0, le=500_000, description="Largest radius; none: by the share alone"
    )
    step_days: int = Field(
        default=7, ge=1, le=366, description="Steps of time, counted back from the end"
    )
    longest_steps: int | None = Field(
        default=None,
        ge=1,
        le=366,
        description="Longest cylinder; none: half of the steps, 30 at most",
    )
    replicates: int = Field(default=999, ge=19, le=9_999, description="Monte Carlo replicates")
    max_clusters: int = Field(default=10, ge=1, le=100)


Edges = Annotated[list[float], Field(min_length=2, max_length=21)]


class KnoxParameters(Model):
    """Near-repeat table (METHODS 8)."""

    metres: Edges = Field(
        default=[0, 100, 200, 400, 800, 1600],
        description="Edges of the distance bands, ascending; a band holds its lower edge",
    )
    days: Edges = Field(
        default=[0, 1, 3, 7, 14, 28], description="Edges of the time bands, days, ascending"
    )
    replicates: int = Field(default=999, ge=19, le=9_999, description="Permutations of the times")


class EmergingParameters(Model):
    """How hot and cold spots come and go (METHODS 8)."""

    res: Res = None
    ring: Ring = 1
    q: Level = 0.05
    step: Literal["week", "month", "quarter"] = Field(
        default="month", description="Local calendar; steps the span cuts are left out"
    )


class DensityParameters(Model):
    """Kernel density in metres."""

    metres: float | None = Field(
        default=None, ge=1, le=100_000, description="Bandwidth; none: from the spread of the events"
    )
    cell: float | None = Field(
        default=None, ge=1, le=50_000, description="Cells of the grid, metres; none: a part of it"
    )
    kernel: Literal["quartic", "gaussian"] = "quartic"


class ForecastParameters(Model):
    """Next month's events by cell (METHODS 12)."""

    res: Res = None
    area_share: float = Field(
        default=0.1, gt=0, lt=0.5, description="Part of the ground that may be chosen"
    )
    held_out: int = Field(default=6, ge=1, le=24, description="Months the method is judged on")


class JobBase(Model):
    """What every job is asked."""

    pack: str = Field(pattern=PACK, description="Name of the map")
    area: AnalysisArea | None = Field(
        default=None, description="Where; none: the whole map, as far as the jurisdiction reaches"
    )
    start: Moment = Field(description="First moment: a time with its offset, or a local day")
    end: Moment = Field(description="Moment after the last")
    kinds: list[str] | None = Field(
        default=None, min_length=1, max_length=256, description="none: all kinds of the run"
    )
    hours_of_week: list[Annotated[int, Field(ge=0, le=167)]] | None = Field(
        default=None,
        min_length=1,
        max_length=168,
        description="Local hours that count, 0 is Monday 00:00-01:00; none: all",
    )
    run: int | None = Field(
        default=None, ge=1, le=2**31 - 1, description="Run whose exposures are used; none: newest"
    )
    seed: int = Field(
        default=20260101, ge=0, le=2**53 - 1, description="Of everything that is drawn by chance"
    )


class GiQuestion(JobBase):
    """Where do events cluster, cell by cell."""

    type: Literal["gi"]
    parameters: GiParameters = GiParameters()


class ScanQuestion(JobBase):
    """Is there an excess in some circle, and lately."""

    type: Literal["scan"]
    parameters: ScanParameters = ScanParameters()


class KnoxQuestion(JobBase):
    """Does it happen again near by, soon after."""

    type: Literal["knox"]
    parameters: KnoxParameters = KnoxParameters()


class EmergingQuestion(JobBase):
    """Which cells become hot, stay hot, cool down."""

    type: Literal["emerging"]
    parameters: EmergingParameters = EmergingParameters()


class DensityQuestion(JobBase):
    """How dense are events, as a surface."""

    type: Literal["density"]
    parameters: DensityParameters = DensityParameters()


class ForecastQuestion(JobBase):
    """Where next month's events will be, when that can be told better than by last year."""

    type: Literal["forecast"]
    parameters: ForecastParameters = ForecastParameters()


JobQuestion = Annotated[
    GiQuestion
    | ScanQuestion
    | KnoxQuestion
    | EmergingQuestion
    | DensityQuestion
    | ForecastQuestion,
    Field(discriminator="type"),
]


class JobProblem(Model):
    """Why a job failed."""

    code: str = Field(
        description="Stable machine name; `interrupted`: its process went away, ask it again"
    )
    message: str


class Job(Model):
    """A question worked on in the background."""

    id: int
    type: JobType
    state: JobState
    progress: float = Field(description="Part that is done, 0 to 1")
    step: Step = Field(description="What is being done; empty before and after")
    question: JobQuestion = Field(description="As it was asked; sent again it is the same job")
    mine: bool = Field(description="Whether the asker of this answer asked the job")
    method: Words | None = Field(description="The method, once it is done")
    rows: int | None = Field(description="Events the result is made of, once it is done")
    error: JobProblem | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime = Field(description="When it goes, with its result")


class Found(Model):
    """What every result says about itself."""

    method: Words = Field(description="What was computed, in one or two sentences")
    rule: Words | None = Field(description="How expected counts were made; null: none are used")
    pack: str
    run: int = Field(description="Run whose exposures and kinds were used")
    boundary_version: str
    time_zone: str
    cutoff: datetime | None = Field(description="Data cut-off of the run")
    newest: datetime | None = Field(description="Newest event that was counted; null: none")
    covered_start: datetime = Field(
        description="First moment of the span asked for for which there is data"
    )
    covered_end: datetime = Field(description="Moment after the last for which there is data")
    events: int = Field(description="Events with a point in the area and the span, all counted")
    simulated: bool = Field(description="Some events of this map are simulated")
    approximate: bool = Field(description="The boundaries are approximate")
    kinds: list[str]
    seed: int


class CellColumns(Model):
    """Cells of the area, one column per number, in ascending order of the cells."""

    cell: list[str] = Field(description="H3 cells")
    observed: list[int]
    expected: list[float | None] = Field(
        description="Of the kinds whose exposure is known there; null: of none"
    )


class GiCells(CellColumns):
    """Gi* of every cell."""

    residual: list[float | None] = Field(
        description="EB-adjusted relative risk less 1, what Gi* is computed on; null: no data"
    )
    z: list[float | None]
    p: list[float | None] = Field(description="Two-sided")
    found: list[Hot] = Field(description="hot, cold: significant under the false discovery rate")


class GiResult(Found):
    """Cells that are hot or cold."""

    type: Literal["gi"]
    question: GiQuestion
    res: int = Field(description="H3 resolution that was used")
    ring: int
    q: float
    alpha: float | None = Field(description="Strength of the prior of the EB adjustment")
    hot: int = Field(description="Cells that are significantly hot")
    cold: int
    cells: GiCells


class ScanCluster(Model):
    """A circle, or cylinder, with more events than expected."""

    rank: int = Field(description="1: the one with the largest LLR")
    centre: tuple[float, float] = Field(description="Longitude latitude")
    metres: float = Field(description="Radius to the farthest centre of a cell")
    cells: list[str] = Field(description="Its H3 cells")
    start: datetime = Field(description="First moment")
    end: datetime = Field(description="Moment after the last")
    observed: int
    expected: float
    relative_risk: float | None = Field(
        description="Inside against outside; null: nothing lies outside"
    )
    llr: float = Field(description="Log likelihood ratio")
    p: float = Field(description="Rank among the replicates / (replicates + 1)")
    significant: bool = Field(description="p at most .05")


class ScanResult(Found):
    """Clusters by falling LLR; none shares a cell with one before it."""

    type: Literal["scan"]
    question: ScanQuestion
    res: int
    places: int = Field(description="Cells with data")
    circles: int
    steps: int = Field(description="Steps of time; 1: purely spatial")
    longest_steps: int
    scan_start: datetime = Field(description="First moment that is scanned: steps are whole")
    total: int = Field(description="Events scanned")
    left_out: int = Field(
        description="Events where no exposure of their kind is known, or before the first whole step"
    )
    replicates: int
    clusters: list[ScanCluster]


class KnoxBand(Model):
    """Pairs of events so far apart, so long apart."""

    metres_from: float
    metres_to: float
    days_from: float
    days_to: float
    observed: int
    expected: float
    ratio: float | None = Field(description="null: none is expected")
    p: float = Field(description='"Greater", by permutation')
    significant: bool = Field(description="p at most .05 and ratio at least 1.2")


class KnoxResult(Found):
    """Near-repeat table."""

    type: Literal["knox"]
    question: KnoxQuestion
    replicates: int
    bands: list[KnoxBand] = Field(description="Row by row: distances, in each the times")


EmergingName = Literal[
    "none", "new", "consecutive", "intensifying", "persistent", "diminishing", "sporadic",
    "oscillating", "historical",
]  # fmt: skip


class EmergingCells(CellColumns):
    """What became of every cell."""

    category: list[EmergingName]
    found: list[Hot] = Field(description="Whether the category is one of hot or of cold spots")
    z: list[float | None] = Field(description="Gi* of the last step")
    trend: list[float | None] = Field(description="Mann–Kendall z of Gi* over the steps")
    trend_p: list[float | None]
    hot_steps: list[int]
    cold_steps: list[int]


class EmergingResult(Found):
    """Categories of hot and cold spots."""

    type: Literal["emerging"]
    question: EmergingQuestion
    res: int
    ring: int
    q: float
    steps: list[datetime] = Field(description="First moments of the steps")
    steps_end: datetime = Field(description="Moment after the last step")
    left_out: int = Field(description="Events before the first and after the last whole step")
    counts: dict[str, int] = Field(description='Cells by "hot: new", "cold: sporadic", …')
    cells: EmergingCells


class Shade(Model):
    """One class of a surface, in grey; surfaces never use the five colours."""

    above: float = Field(description="Events per km²")
    colour: str = Field(description="#rrggbb; below the first class nothing is drawn")


class Picture(Model):
    """The surface drawn for the map: `result.png`, in Web Mercator."""

    bounds: tuple[float, float, float, float] = Field(description="West south east north, degrees")
    width: int
    height: int
    legend: list[Shade] = Field(description="Ascending")


class DensityResult(Found):
    """A surface of events per km²; `result.tif` is the raster itself."""

    type: Literal["density"]
    question: DensityQuestion
    bandwidth: float = Field(description="Metres")
    bandwidth_rule: Literal["given", "default"]
    kernel: Literal["quartic", "gaussian"]
    cell: float = Field(description="Metres")
    crs: str = Field(description="Equal-area plane of the raster, PROJ")
    rows: int
    columns: int
    integral: float = Field(description="Events the surface adds up to")
    highest: float = Field(description="Events per km²")
    picture: Picture


class ForecastScore(Model):
    """How well chosen cells caught the events of the months held out."""

    hits: int = Field(description="Events in the chosen cells, n")
    events: int = Field(description="All events, N")
    hit_rate: float | None = Field(description="n / N; null: no events")
    low: float | None = Field(description="95 % interval of the hit rate, exact")
    high: float | None
    area_share: float = Field(description="a / A")
    pai: float | None = Field(description="Predictive accuracy index (n/N) / (a/A)")
    pei: float | None = Field(
        description="Predictive efficiency index n / n*, n* the most such an area could have caught"
    )
    by_month: list[int] = Field(description="Hits of each month")


class ForecastCells(CellColumns):
    """Cells of the next month; `observed` are the events of the last whole month."""

    chosen: list[bool] = Field(description="One of the cells with the highest expected density")
    per_km2: list[float | None] = Field(description="Expected events per km²")


class ForecastResult(Found):
    """What is expected next month, and what the method was worth."""

    type: Literal["forecast"]
    question: ForecastQuestion
    res: int
    shown: bool = Field(
        description="Whether the method beat the same cells as last year; when not, there are no "
        "cells: there is nothing to show"
    )
    month: datetime = Field(description="First moment of the month that is forecast")
    held_out_start: datetime = Field(description="First moment of the months held out")
    held_out: int = Field(description="Months")
    model: ForecastScore
    last_year: ForecastScore = Field(description="The same cells as last year, at equal area")
    p: float = Field(description="One-sided exact sign-flip test on the months")
    cells: ForecastCells | None
    picture: Picture | None


JobResult = Annotated[
    GiResult | ScanResult | KnoxResult | EmergingResult | DensityResult | ForecastResult,
    Field(discriminator="type"),
]
