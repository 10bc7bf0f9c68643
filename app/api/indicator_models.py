"""Answers about scenes and indicators."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from app.api.models import Level, Model, Words

Calendar = Literal["day", "month", "quarter", "year"]


class SceneBrief(Model):
    """A scene in a list."""

    name: str
    title: Words
    version: int
    kinds: int = Field(description="Kinds of events it assesses")
    indicators: int = Field(description="Indicators of its tree")
    applied_at: datetime | None = Field(description="null: ships with the program, not applied yet")
    packs: list[str] = Field(description="Packs with a published run of its indicators")


class SceneList(Model):
    """Scenes that are in force or ship with the program."""

    scenes: list[SceneBrief]


class PaletteInfo(Model):
    """A class of the palette, best first."""

    id: str
    name: Words
    colour: str = Field(description="Fill, #RRGGBB")
    score_min: float | None


class IndicatorInfo(Model):
    """An indicator."""

    id: str
    name: Words
    type: Literal["count", "rate", "share", "duration", "index"]
    direction: Literal["fall", "rise"] = Field(description="What is good")
    unit: Words
    denominator: Words | None = Field(description="Name of what is divided by")
    factor: float
    decimals: int
    cut: bool = Field(description="Printed digits are cut off, not rounded")
    weight: float = Field(description="Share in its group; 0: shown only")
    scored: bool = Field(description="Has a score of 0 to 100 and a class")
    aggregation: Literal["sum", "mean", "mean_3_years"]
    parts: list[str] = Field(description="What an index is made of")


class GroupInfo(Model):
    """A group of indicators."""

    id: str
    name: Words
    weight: float
    indicators: list[IndicatorInfo]


class FieldInfo(Model):
    """A field: the first level of the tree."""

    id: str
    name: Words
    weight: float
    groups: list[GroupInfo]


class TreeInfo(Model):
    """The tree of indicators; the index over all fields is `total`."""

    name: Words
    fields: list[FieldInfo]


class CalendarPeriod(Model):
    """A period of a run of indicators."""

    ord: int = Field(description="Index, from 0")
    start: date
    end: date = Field(description="Day after the last")
    complete: bool


class FeedState(Model):
    """What a source of a run covers."""

    id: str
    name: Words
    every: Calendar | None
    first: date | None
    through: date | None = Field(description="Day after the last it covers; null: nothing came")
    simulated: bool
    stopped: str | None = Field(description="Says so when it has stopped")


class IndicatorRun(Model):
    """A published run of a scene's indicators."""

    run: int
    pack: str
    version: int = Field(description="Version of the scene it keeps")
    as_of: date
    simulated: bool
    published_at: datetime
    levels: list[Level] = Field(description="Coarse to fine")
    periods: dict[Calendar, list[CalendarPeriod]]
    feeds: list[FeedState]
    notes: list[str] = Field(description="Divisions by 0 and the like; none for a part of the map")


class SceneVersionInfo(Model):
    """A version of a scene."""

    version: int
    digest: str
    applied_at: datetime


class SceneDetail(SceneBrief):
    """A scene: palette, tree, versions, runs."""

    palette: list[PaletteInfo]
    level_names: dict[str, Words] = Field(
        description="Levels the map does not have, such as facility"
    )
    tree: TreeInfo | None
    versions: list[SceneVersionInfo] = Field(description="Newest first; none: never applied")
    runs: list[IndicatorRun] = Field(description="Newest published run of each pack")


class IndicatorChange(Model):
    """Change against another period."""

    value: float | None = Field(description="Value of the other period")
    difference: float | None
    ratio: float | None = Field(description="null: fewer than 5 events, or no ratio of an index")
    low: float | None = Field(description="95 % interval, exact; null: not counted, or too few")
    high: float | None = Field(description="null: not counted, too few, or without an end")


class Changes(Model):
    """Change against the period before and the same one of last year."""

    previous: IndicatorChange | None
    last_year: IndicatorChange | None


class IndicatorValue(Model):
    """One value of one unit."""

    code: str
    name: str
    name_en: str | None
    parent: str | None
    indicator: str
    value: float | None = Field(description="null: no data")
    printed: str = Field(
        description='Value as it is printed, without its unit; "<5" or "…": suppressed'
    )
    suppressed: bool = Field(
        default=False, description="A count of 1 to 4, or what would tell one, is not shown"
    )
    numerator: float | None
    denominator: float | None
    score: float | None = Field(description="0 to 100, 100 is best")
    class_: str | None = Field(
        alias="class", description="Class of the palette; null: none or no data"
    )
    colour: str | None
    step: Literal["remind", "supervise", "interview"] | None
    change: Changes
    series: list[float | None] = Field(description="This and up to 11 periods before, in order")


class IndicatorValues(Model):
    """Values of a level and period."""

    run: int
    scene: str
    version: int
    pack: str
    level: Level
    period: Calendar
    ord: int
    start: date
    end: date
    complete: bool
    simulated: bool
    as_of: date
    feeds: list[FeedState]
    rows: list[IndicatorValue] = Field(description="By indicator in tree order, units by code")


class LeagueRow(Model):
    """A unit of a league table."""

    code: str
    name: str
    name_en: str | None
    rank: float | None = Field(
        description="1 = best; x.5 where ties share the mean rank; null: suppressed, as all below"
    )
    rank_low: int | None
    rank_high: int | None
    tied: bool
    group: int | None = Field(description="Units of one group cannot be told apart")
    value: float | None
    printed: str = Field(description='"<5" or "…": suppressed')
    suppressed: bool = Field(
        default=False, description="A count of 1 to 4, or what would tell one, is not shown"
    )
    score: float | None
    class_: str | None = Field(alias="class")
    colour: str | None
    last_places: int = Field(description="Periods running among the last places the scene watches")


class League(Model):
    """League table, best first; never without intervals of the ranks."""

    run: int
    scene: str
    version: int
    pack: str
    level: Level
    period: Calendar
    ord: int
    start: date
    end: date
    indicator: str
    direction: Literal["fall", "rise"]
    ties: Literal["dense", "min", "average"]
    interval: float
    of: int = Field(description="Units with data that may be seen: what ranks are out of")
    simulated: bool
    rows: list[LeagueRow]
