"""Models of alerts, tasks and the health of the loop."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from app.api.models import Model

AlertState = Literal["open", "closed"]
TaskState = Literal[
    "sent", "accepted", "on_site", "feedback", "verified", "closed", "merged", "declined"
]
TaskStepName = Literal[
    "sent", "accepted", "on_site", "feedback", "verified", "closed", "declined", "returned",
    "handed_over", "merged", "overdue", "escalated",
]  # fmt: skip
StepTo = Literal["accepted", "declined", "on_site", "feedback", "returned", "verified", "closed"]
Answer = Literal["confirmed", "not_confirmed", "unclear"]
Escalation = Literal["none", "remind", "supervise", "interview"]
Colour = Literal["none", "green", "blue", "yellow", "orange", "red"]
WhyNot = Literal["no_grids", "not_located", "no_single_grid"]
Number = Annotated[int, Field(ge=1, le=2**31 - 1)]
Note = Annotated[str, Field(max_length=500)]


class Words(Model):
    """A sentence in both interface languages."""

    zh: str
    en: str


# alerts ------------------------------------------------------------------------------------------
class AlertStep(Model):
    """A step of an alert."""

    n: int
    step: Literal["open", "update", "escalate", "answer", "close"]
    at: datetime
    run: int | None
    period: date | None = Field(description="First day of the period")


class AlertGrid(Model):
    """A unit of the finest level an alert is about."""

    code: str
    name: str


class AlertTask(Model):
    """A task made of an alert."""

    id: int
    state: TaskState
    overdue: bool


class Alert(Model):
    """A unit whose risk of a kind is above what is to be expected."""

    id: int
    pack: str
    run: int = Field(description="Run it was last looked at with; may have been pruned since")
    code: str
    name: str
    name_en: str | None
    level: str
    about: Literal["kind", "indicator"] = Field(
        description="A risk, or a step of an indicator's escalation"
    )
    kind: str = Field(description="Kind of events, or id of the indicator")
    title: Words | None = Field(description="Name of the indicator; null: a kind, named by the map")
    value: float | None = Field(description="Value of the indicator; null: a kind, or hidden")
    colour: Colour
    state: AlertState
    period: Literal["month", "quarter", "year"]
    opened_period: date = Field(description="First day of the period it opened in")
    last_period: date = Field(description="First day of the newest period it was looked at in")
    new: bool = Field(description="Only the single period says so, the memory does not yet")
    reason: Words
    relative_risk: float | None = Field(description="null, as the next four: of an indicator")
    low: float | None = Field(description="Lower end of the 95 % interval")
    high: float | None
    exceedance: float | None = Field(description="Probability that the relative risk is above 1")
    observed: int | None = Field(
        description="null: hidden for being small, or an indicator that counts nothing"
    )
    observed_text: str = Field(description='The count, or "<5"')
    expected: float | None
    located_share: float | None = Field(
        description="Part of the unit's events located to the finest level; null: no event"
    )
    grids: list[AlertGrid] = Field(description="Greatest excess first")
    why_not: WhyNot | None = Field(description="Why there is no grid")
    overflow_rank: int | None = Field(description="Place behind the weekly budget; null: within")
    escalation: Escalation
    answer: Answer | None = Field(description="What the newest closed task found")
    opened_at: datetime
    closed_at: datetime | None
    closed_by: (
        Literal[
            "rule", "unit_ended", "not_watched", "desk", "confirmed", "not_confirmed", "unclear"
        ]
        | None
    )
    closed_reason: str
    quiet_until: date | None = Field(
        description="Closed by people: does not open again before this period"
    )
    steps: list[AlertStep]
    tasks: list[AlertTask]


class AlertList(Model):
    """Alerts, the most urgent first."""

    alerts: list[Alert]
    located_share: float | None = Field(
        description="Part of the listed alerts' events located to the finest level"
    )
    as_of: datetime


class AlertClose(Model):
    """Closing an alert by hand."""

    reason: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        description="Why; never a name or number of a person"
    )


# tasks -------------------------------------------------------------------------------------------
class TaskStep(Model):
    """A step of a task."""

    n: int
    step: TaskStepName
    state: TaskState = Field(description="State after it")
    at: datetime = Field(description="When it happened, as reported")
    by_role: str = Field(description="Role that took it; empty: the clock or the outside platform")
    note: str


class Task(Model):
    """A place to look at: what to check, how, until when, and how far it is."""

    id: int
    pack: str
    alert: int | None = Field(description="Alert it was made of")
    code: str
    name: str
    level: str
    kind: str
    title: Words | None = Field(
        description="Name of the indicator it is about; null: a kind, named by the map"
    )
    colour: Colour
    reason: Words
    check: list[Words] = Field(description="What to check")
    how: list[Words] = Field(description="How to go about it")
    offers: list[Words] = Field(description="Measures the feedback form offers")
    state: TaskState
    due_at: datetime = Field(description="Feedback is due by then")
    overdue: bool
    escalation: Escalation
    desk: str | None = Field(description="Desk on duty it was sent to; null: there is none")
    desk_code: str | None = Field(description="Unit that desk is on duty for")
    lon: float = Field(description="Label point of the unit, EPSG:4326")
    lat: float
    answer: Answer | None
    measures: list[str] = Field(description="What was done")
    count: int | None = Field(description="Cases dealt with")
    merged_into: int | None
    photos: list[int]
    steps: list[TaskStep]
    version: int = Field(description="Number of the last step")
    changed_at: datetime


class TaskList(Model):
    """Tasks, those due first first."""

    tasks: list[Task]
    as_of: datetime = Field(description="Give it as `since` to hear what changed after")


class TaskDraft(Model):
    """A task to be made of an alert."""

    alert: Number
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")] | None = Field(
        default=None, description="Kind whose task sheet is taken; none: that of the alert"
    )
    desk: Number | None = Field(default=None, description="Desk; none: the nearest on duty")
    key: UUID | None = Field(default=None, description="The same again changes nothing")


class Position(Model):
    """Where a step was taken; only whether it was inside the unit and how far off is kept."""

    lon: Annotated[float, Field(ge=-180, le=180)]
    lat: Annotated[float, Field(ge=-90, le=90)]
    accuracy_m: Annotated[float, Field(ge=0, le=100_000)] | None = None


class Feedback(Model):
    """What was found and done."""

    answer: Answer
    measures: list[Annotated[str, Field(min_length=1, max_length=80)]] = Field(
        default_factory=list, max_length=12, description="What was done, words of the task sheet"
    )
    count: Annotated[int, Field(ge=0, le=100_000)] | None = Field(
        default=None, description="Cases dealt with"
    )
    note: Note = Field(default="", description="Never a name or number of a person")


class StepDraft(Model):
    """A step to be taken."""

    to: StepTo
    at: AwareDatetime | None = Field(
        default=None, description="When it happened, for steps taken without a signal; none: now"
    )
    note: Note = Field(default="", description="Never a name or number of a person")
    position: Position | None = None
    form: Feedback | None = Field(default=None, description="With `feedback`, and only with it")
    key: UUID = Field(description="Made by the client: the same again changes nothing")
    expected_version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        default=None, description="409 when another step came first"
    )


class Handover(Model):
    """Another desk for a task."""

    desk: Number
    note: Note = ""
    key: UUID | None = None


class Merge(Model):
    """Another task that takes this one in."""

    into: Number
    note: Note = ""
    key: UUID | None = None


class PhotoMade(Model):
    """A photo that was taken in."""

    photo: int
    width: int
    height: int
    bytes: int


class TaskDesk(Model):
    """A desk on duty: an office, never a person."""

    id: int
    pack: str
    code: str = Field(description="Unit it is on duty for")
    name: str
    office_line: str | None
    hours: str
    active: int = Field(description="Tasks on its table")


class DeskList(Model):
    """Duty desks of one's own units."""

    desks: list[TaskDesk]
    as_of: datetime


class Report(Model):
    """A step reported by the outside platform."""

    task: Number
    to: StepTo
    at: AwareDatetime | None = None
    note: Note = ""
    form: Feedback | None = None
    key: UUID


# loop --------------------------------------------------------------------------------------------
class Interval(Model):
    """A number with its 95 % interval; null: too little to say."""

    value: float | None
    low: float | None
    high: float | None
    n: int = Field(description="Of how many")


class TimeTo(Model):
    """Median hours from sending to a state."""

    state: Literal["accepted", "on_site", "feedback", "verified", "closed"]
    hours: Interval


class Effect(Model):
    """Events after against before, in the units tasks were closed of."""

    before: int | None = Field(description="null: hidden for being small")
    after: int | None = Field(description="null: hidden for being small")
    expected_before: float
    expected_after: float
    ratio: float | None = Field(
        description="Null: fewer than 5 events in both, or a count is hidden"
    )
    low: float | None
    high: float | None
    tasks: int = Field(description="Closed tasks with a period after")


class Loop(Model):
    """How the loop runs: alert → task → feedback."""

    pack: str
    time_zone: str = Field(description="Its days are those asked about")
    alerts: int = Field(description="Opened in the time asked about")
    alerts_open: int
    located: Interval = Field(description="Alerts that carry a grid")
    located_share: float | None = Field(
        description="Part of the alerts' events located to the finest level"
    )
    tasks: int = Field(description="Sent in the time asked about")
    accepted: int
    acted: int = Field(description="With feedback")
    closed: int
    confirmed: int
    not_confirmed: int
    unclear: int
    declined: int
    merged: int
    overdue: int = Field(description="Were late at some time")
    overdue_now: int
    times: list[TimeTo]
    precision: Interval = Field(
        description="Confirmed of confirmed and not confirmed (Wilson); unclear ones apart"
    )
    effect: Effect
    as_of: datetime
