"""Models of the monthly brief: sentences, and the numbers each was made from.

Imports the base models alone. Every number a sentence prints is one of its facts, in order.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from app.api.models import Colour, Level, Model, Words

How = Literal["value", "count", "sum", "difference", "rule"]


class BriefFact(Model):
    """A number, colour or day as a sentence prints it, and where it stands."""

    slot: str = Field(
        description="Its place in the sentence's template; basis: not printed, the sentence rests on it"
    )
    what: Words
    value: bool | float | int | str | None = Field(
        description="As it stands there; null: kept back"
    )
    text: Words = Field(description="As it is printed")
    address: str | None = Field(
        description="Address of the API with a JSON pointer (RFC 6901) as fragment; null: see `of`"
    )
    how: How = Field(
        description="value: at the address; count, sum, difference: of those in `of`; "
        "rule: a number of the method itself"
    )
    of: list[str] = Field(description="Addresses it was calculated from, in order")


class BriefSentence(Model):
    """A sentence, from a template of the scene."""

    id: str = Field(description="Name of its template")
    text: Words
    facts: list[BriefFact]
    page: str | None = Field(description="Page that shows these numbers, from the root of the site")


class BriefSection(Model):
    """Sentences under a heading."""

    id: str
    title: Words
    sentences: list[BriefSentence]


class BriefFigure(Model):
    """A key figure."""

    label: Words
    fact: BriefFact
    note: Words


class BriefRow(Model):
    """A line of the table of units."""

    code: str
    name: Words
    colour: Colour
    previous_colour: Colour | None
    observed: int | None = Field(description="Events; null: kept back")
    observed_text: str
    expected: float | None
    theta: float | None
    low: float | None
    high: float | None
    rank: int
    rank_low: int
    rank_high: int
    address: str = Field(description="Where its numbers stand: why the unit has its colour")
    rank_address: str = Field(description="Where its rank stands, with a JSON pointer")


class BriefChange(Model):
    """A kind against an earlier month."""

    before_text: str
    ratio: float | None = Field(description="Rate ratio per day; null: too few, or kept back")
    low: float | None
    high: float | None = Field(description="Null beside a ratio: beyond all bounds")
    ratio_text: str = Field(description="Ratio with its interval, or empty")
    which: Literal["more", "less", "same", "zero", "few", "plain"]


class BriefKind(Model):
    """A kind in the scope, as the table of kinds prints it."""

    kind: str
    title: Words
    observed_text: str
    last_year: BriefChange | None
    previous: BriefChange | None


class BriefTable(Model):
    """Units of a level with their numbers."""

    title: Words
    of: int = Field(description="Units ranked")
    rows: list[BriefRow]


class BriefMap(Model):
    """What the map of the brief shows."""

    level: Level
    colours: dict[str, Colour] = Field(description="Colour by code")
    over: Level | None = Field(description="Level whose borders are drawn over it, with names")
    level_title: Words


class Brief(Model):
    """A monthly brief in both languages."""

    pack: str
    title: Words
    scope: str | None = Field(description="Code of the unit it is about; null: the whole map")
    scope_name: Words
    month: date = Field(description="First day of the month")
    month_name: Words
    ord: int
    complete: bool = Field(description="False when the data does not cover the whole month")
    run: int
    boundary_version: str
    boundary_version_id: int
    scene: str
    scene_version: int
    approximate: bool
    simulated: bool
    data_cutoff: datetime | None
    time_zone: str
    small_numbers: Literal["shown", "hidden"] = Field(
        description="hidden: counts of 1 to 4 are <5, for roles that do not see records"
    )
    figures: list[BriefFigure]
    sections: list[BriefSection]
    kinds: list[BriefKind] = Field(description="All kinds together first")
    tables: list[BriefTable]
    map: BriefMap


class KeptBrief(Model):
    """A wording of a brief that was given out."""

    version: int
    month: date
    scope: str | None
    run: int
    digest: str = Field(description="SHA-256 of the brief, hexadecimal; stands on the paper")
    made_at: datetime


class BriefAnswer(Model):
    """A brief, and the kept version that says the same."""

    brief: Brief
    digest: str = Field(description="SHA-256 of the brief, hexadecimal; stands on the paper")
    kept: KeptBrief | None = Field(description="Null: no document of this wording was given out")
