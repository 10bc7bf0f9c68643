"""Parts of a scene that say what is done: classes, alerts, escalation, tasks, sentences of the brief.

Pure pydantic models; imports `tiles.palette` for the usual five colours. `Scene.alerts`,
`Scene.escalation`, `Scene.tasks` and `Scene.brief` hand them to whoever raises alerts, writes task
sheets or the monthly brief; none of them is code of one scene.
"""

from __future__ import annotations

import string
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from tiles import palette

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=80)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1000)]
Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9A-Fa-f]{6}$")]
Step = Literal["remind", "supervise", "interview"]
STEPS: tuple[Step, ...] = ("remind", "supervise", "interview")


class Part(BaseModel):
    """Base of every part: unknown keys are refused, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Title(Part):
    """A name in both interface languages."""

    zh: Text
    en: Text


class Words(Part):
    """A sentence in both interface languages."""

    zh: Line
    en: Line


# classes ----------------------------------------------------------------------------------------


class PaletteClass(Title):
    """A class of the palette. Classes stand from the best to the worst."""

    id: Identifier
    colour: Colour = Field(description="Fill, #RRGGBB")
    score_min: Annotated[float, Field(ge=0, le=100)] | None = Field(
        default=None, description="Scores from here on belong to this class; the worst class says 0"
    )


#: Scores of the usual five classes, best first: green from 80, then blue, yellow, orange; red below 20.
SCORE_MIN = (80.0, 60.0, 40.0, 20.0, 0.0)


def usual_palette() -> list[PaletteClass]:
    """Green, blue, yellow, orange, red of the map, best first."""
    return [
        PaletteClass(id=one.id, zh=one.zh, en=one.en, colour=one.light.fill, score_min=least)
        for one, least in zip(palette.CLASSES[1:], SCORE_MIN, strict=True)
    ]


# alerts -----------------------------------------------------------------------------------------


class Persistent(Part):
    """A class or a worse one in `of` of `within` consecutive periods."""

    colour: Identifier = "orange"
    of: Count = 2
    within: Count = 3

    @model_validator(mode="after")
    def _possible(self) -> Persistent:
        if self.of > self.within:
            raise ValueError(f"{self.of} of {self.within} periods can never be reached")
        return self


class Budget(Part):
    """Most new alerts per unit of a level and week; the rest is ranked and waits."""

    level: Identifier = "grid"
    per_week: Count = 3


class IndicatorAlerts(Part):
    """Indicators that open alerts by themselves: by the step of the escalation they have reached."""

    named: list[Identifier] = Field(
        default=[],
        max_length=60,
        description="Indicators, groups, fields or total; none named: every indicator with a class",
    )
    from_step: Step = Field(default="remind", description="Opens from this step on")


class AlertRules(Part):
    """When an alert opens and closes (METHODS 7)."""

    fdr: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.05, description="Posterior expected false discovery rate of a period's alerts"
    )
    theta_min: Positive = Field(default=1.5, description="Least relative risk")
    min_count: Annotated[int, Field(ge=0)] = Field(
        default=5, description="Least remembered (S) or observed (O) events"
    )
    close_below: Share = Field(
        default=0.80, description="Closes when P of the posterior that opened it falls below"
    )
    clear_below: Share = Field(
        default=0.20, description="Closes when P of the single period is at most this"
    )
    persistent: Persistent | None = Field(
        default=Persistent(), description="Opens too; null: never by persistence"
    )
    budget: Budget | None = Field(default=Budget(), description="null: no cap")
    period: Literal["month", "quarter", "year"] = "month"
    levels: list[Identifier] = Field(
        default=[], description="Levels that are watched; none named: all of the run"
    )
    indicators: IndicatorAlerts | None = Field(
        default=None, description="Indicators open alerts, too; null: they do not"
    )

    @model_validator(mode="after")
    def _hysteresis(self) -> AlertRules:
        if self.clear_below >= self.close_below:
            raise ValueError("clear_below must lie below close_below")
        return self


# escalation -------------------------------------------------------------------------------------


class LastPlaces(Part):
    """Among the last places of a league table, `running` periods running."""

    places: Count
    running: Count = 2


class When(Part):
    """A condition; what it names must hold at once, `any_of` in at least one case."""

    colour: Identifier | None = Field(
        default=None, description="This class of the palette or a worse one in the present period"
    )
    persistent: Persistent | None = None
    last_places: LastPlaces | None = None
    open_days: Count | None = Field(default=None, description="An alert is open for so many days")
    overdue_days: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="A task is overdue for so many days"
    )
    any_of: list[When] = Field(default=[], description="At least one of these")

    @model_validator(mode="after")
    def _something(self) -> When:
        if not any(
            (
                self.colour, self.persistent, self.last_places, self.any_of,
                self.open_days is not None, self.overdue_days is not None,
            )
        ):  # fmt: skip
            raise ValueError(
                "says nothing: name colour, persistent, last_places, open_days, overdue_days or any_of"
            )
        return self

    def conditions(self) -> list[When]:
        """Itself and everything below `any_of`."""
        return [self, *(deeper for one in self.any_of for deeper in one.conditions())]


class EscalationStep(Part):
    """One step; steps are taken in order and none is skipped."""

    step: Step
    when: When
    words: Words | None = Field(default=None, description="What is told to whom it concerns")
    dispatch: bool = Field(
        default=False,
        description="A task is sent by itself to the desk on duty when an alert takes this step",
    )


# tasks ------------------------------------------------------------------------------------------


class TaskTemplate(Part):
    """Task sheet of a kind or indicator: what to check, and how."""

    check: list[Words] = Field(min_length=1, max_length=12, description="What to check")
    how: list[Words] = Field(min_length=1, max_length=12, description="How to go about it")
    measures: list[Words] = Field(
        default=[], max_length=12, description="Measures the feedback form offers"
    )
    due_hours: Annotated[int, Field(ge=1, le=24 * 90)] = 48


# brief ------------------------------------------------------------------------------------------

#: What a sentence of the brief may speak of, and what stands there.
PLACES = {
    "area": "name of the area the brief is about",
    "period": "the period, as 2025年12月",
    "unit": "name of a unit",
    "units": "names of units, in order",
    "kind": "name of a kind",
    "indicator": "name of an indicator, group or field",
    "value": "value of this period with its unit",
    "previous": "value of the period before",
    "last_year": "value of the same period of last year",
    "change": "change in per cent, or a word where numbers are small",
    "ratio": "rate ratio",
    "low": "lower end of its interval",
    "high": "upper end of its interval",
    "observed": "events observed",
    "expected": "events expected",
    "theta": "relative risk",
    "rank": "rank",
    "rank_low": "best rank of its interval",
    "rank_high": "worst rank of its interval",
    "colour": "name of a class",
    "count": "a number of things",
    "share": "a share in per cent",
    "alerts": "alerts opened",
    "tasks": "tasks sent",
    "closed": "tasks closed",
    "confirmed": "alerts confirmed on site",
    "days": "days",
    "step": "step of the escalation",
}
About = Literal[
    "title", "summary", "rise", "fall", "why", "alerts", "tasks", "escalation", "quality", "end"
]


def places_of(text: str) -> list[str]:
    """Names of the places of a sentence, in order.

    Raises
    ------
    ValueError
        A brace is not closed, or a place has a format of its own.
    """
    found = []
    for _, name, form, conversion in string.Formatter().parse(text):
        if name is None:
            continue
        if form or conversion:
            raise ValueError(f"{{{name}}}: a place has a name only")
        found.append(name)
    return found


def _known_places(text: str) -> str:
    for place in places_of(text):
        if place not in PLACES:
            raise ValueError(f"unknown place {{{place}}}; there are {', '.join(PLACES)}")
    return text


SentenceText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=300),
    BeforeValidator(lambda text: _known_places(text) if isinstance(text, str) else text),
]


class Sentence(Part):
    """A sentence of the brief with places such as {unit} and {change}."""

    about: About = Field(description="What the sentence is said about")
    zh: SentenceText
    en: SentenceText
    least: Finite | None = Field(
        default=None, description="Said only when the ratio (rise: at least, fall: at most) is this"
    )
    most: Count = Field(default=5, description="Said of so many units or indicators at most")

    @model_validator(mode="after")
    def _same_places(self) -> Sentence:
        zh, en = set(places_of(self.zh)), set(places_of(self.en))
        if zh != en:
            odd = ", ".join(f"{{{one}}}" for one in sorted(zh ^ en))
            raise ValueError(f"{odd} stands in one language only")
        return self


class Brief(Part):
    """Text of the monthly brief."""

    title: Title
    sentences: list[Sentence] = Field(min_length=1, max_length=60)

    @field_validator("sentences")
    @classmethod
    def _one_title(cls, value: list[Sentence]) -> list[Sentence]:
        if sum(one.about == "title" for one in value) > 1:
            raise ValueError("two sentences are the title")
        return value

    def about(self, what: About) -> list[Sentence]:
        """Sentences about something, in order."""
        return [one for one in self.sentences if one.about == what]
