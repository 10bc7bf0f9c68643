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


JobQuestion = GiQuestion


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
    events: int = Field(description="Events with a point in the area and the span, all counted")
    simulated: bool = Field(description="Some events of this map are simulated")
    approximate: bool = Field(description="The boundaries are approximate")
    kinds: list[str]
    seed: int


class CellColumns(Model):
    """Cells of the area, one column per number, in ascending order of the cells."""

    cell: list[str] = Field(description="H3 cells")
    observed: list[int]
    expected: list[float | None] = Field(description="null: no exposure is known there")


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


JobResult = GiResult
