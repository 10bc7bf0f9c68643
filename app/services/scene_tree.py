"""The indicators of a scene: what is measured, the tree of three levels, ranks. Pure pydantic models.

`fields` hold `groups`, `groups` hold indicators. An indicator is made of *measures*: kinds and
exposures of the scene, events by kind, measures of feeds, counts of deadlines. What parts say of
each other is checked in `scene_checks`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from app.services.scene_parts import (
    Count,
    Finite,
    Identifier,
    Part,
    Positive,
    Share,
    Title,
)

Calendar = Literal["day", "month", "quarter", "year"]
CALENDAR: tuple[Calendar, ...] = ("day", "month", "quarter", "year")
Direction = Literal["fall", "rise"]
Weight = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Type = Literal["count", "rate", "share", "duration", "index"]
#: The whole tree as an indicator: the index over all fields.
TOTAL = "total"


# where numbers come from --------------------------------------------------------------------------


class FeedMeasure(Title):
    """A number a feed sends per unit and period."""

    id: Identifier
    unit: Title
    stock: bool = Field(
        default=False,
        description="A state (residents, vehicles): averaged over time; else a flow: added up",
    )
    counted: bool = Field(
        default=True,
        description="Counts events or things, so that changes have an interval; false: an amount",
    )
    over_units: Literal["sum", "mean"] = Field(
        default="sum", description="What a coarser unit has that the feed does not name itself"
    )


class Feed(Title):
    """Where measures come from, and when it counts as stopped."""

    id: Identifier
    every: Calendar = Field(description="Finest period its rows are about")
    absent: Literal["zero", "unknown"] = Field(
        default="unknown",
        description="What a missing row means inside of what the feed covers",
    )
    stops_after: Count = Field(
        default=2, description="Periods without any row after which the feed counts as stopped"
    )
    measures: list[FeedMeasure] = Field(min_length=1, max_length=100)


class EventMeasure(Title):
    """Events of the map, counted by kind as the map names them."""

    id: Identifier
    kinds: list[Identifier] = Field(min_length=1)


class DeadlineKind(Title):
    """A kind of things that run out, named in the feed by its id."""

    id: Identifier


class Deadline(Title):
    """Things that run out: a warning some days before, until they are done.

    Makes measures: `<id>_due` that run out in the period, `<id>_overdue` of those that were not done
    in time, `<id>_warned` whose warning began in the period, `<id>_rectified` of those that are done
    by its end; `<id>_important_warned` and `<id>_important_rectified` of the important ones;
    `<id>_<kind>_warned` by kind.
    """

    id: Identifier
    kinds: list[DeadlineKind] = Field(min_length=1, max_length=30)
    warn_days: Annotated[int, Field(ge=0, le=3650)] = 30
    warning: Identifier = Field(default="yellow", description="Class of a warning")
    overdue: Identifier = Field(default="red", description="Class of what is overdue")

    def measure_ids(self) -> list[str]:
        """Names of the measures it makes."""
        plain = ("due", "overdue", "warned", "rectified", "important_warned", "important_rectified")
        return [
            f"{self.id}_{what}" for what in (*plain, *(f"{one.id}_warned" for one in self.kinds))
        ]


# the tree -----------------------------------------------------------------------------------------


class Per(Part):
    """Denominator of a rate, share or duration, always with its name."""

    measure: Identifier = Field(description="Measure that is divided by")
    factor: Positive | None = Field(
        default=None, description="10000: per 10,000; none: 100 for a share (per cent), else 1"
    )
    zh: Annotated[str, Field(max_length=40)] = ""
    en: Annotated[str, Field(max_length=40)] = ""


class Goalposts(Part):
    """Fixed ends of a score: 0 at `worst`, 100 at `best`, straight between, cut off outside."""

    worst: Finite
    best: Finite

    @model_validator(mode="after")
    def _apart(self) -> Goalposts:
        if self.worst == self.best:
            raise ValueError(f"worst and best are both {self.best:g}: the score would divide by 0")
        return self


class Band(Part):
    """A class by value: up to `up_to` and with it; the last band is open."""

    cls: Identifier = Field(alias="class")
    up_to: Finite | None = None


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class IndexPart(Part):
    """An indicator, group or field an index is made of."""

    id: Identifier
    weight: Weight | None = None


class Indicator(Title):
    """One indicator."""

    id: Identifier
    type: Type
    of: Annotated[
        list[Identifier],
        BeforeValidator(_listed, json_schema_input_type=Identifier | list[Identifier]),
    ] = Field(default=[], max_length=40, description="Measures that are added up")
    parts: list[IndexPart] = Field(
        default=[], max_length=60, description="What an index is made of"
    )
    per: Per | None = None
    direction: Direction = "fall"
    weight: Weight | None = Field(
        default=None,
        description="Inside its group; all of a group have one, adding up to 1, or none",
    )
    unit: Title | None = Field(
        default=None, description="Default: what type and measure make of it"
    )
    aggregation: Literal["sum", "mean", "mean_3_years"] = Field(
        default="sum",
        description="Over time: sum of the finer periods, their mean, or the mean with the same "
        "period of the two years before",
    )
    goalposts: Goalposts | None = None
    bands: list[Band] | None = Field(default=None, min_length=2, max_length=12)
    risk: bool = Field(
        default=False, description="Class by the scene's colour rule, compared between units"
    )
    decimals: Annotated[int, Field(ge=0, le=6)] = 2
    cut: bool = Field(default=False, description="Printed digits are cut off, not rounded")

    @field_validator("of")
    @classmethod
    def _each_once(cls, value: list[str]) -> list[str]:
        if len(set(value)) != len(value):
            raise ValueError("a measure is named twice")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Indicator:
        if self.type == "index":
            if not self.parts:
                raise ValueError("an index names its parts")
            if self.of or self.per:
                raise ValueError("an index has parts, neither of nor per")
        else:
            if not self.of:
                raise ValueError(f"a {self.type} says of what")
            if self.parts:
                raise ValueError(f"a {self.type} has no parts; only an index has")
        if self.type in ("rate", "share", "duration") and self.per is None:
            raise ValueError(f"a {self.type} names its denominator (per)")
        if self.type == "count" and self.per is not None:
            raise ValueError("a count has no denominator; a rate has")
        return self

    @model_validator(mode="after")
    def _one_way_to_a_class(self) -> Indicator:
        ways = [name for name in ("goalposts", "bands", "risk") if getattr(self, name)]
        if len(ways) > 1:
            raise ValueError(f"{' and '.join(ways)}: one of them makes the class")
        if self.risk and self.type not in ("count", "rate"):
            raise ValueError(f"risk compares counts; a {self.type} has goalposts or bands")
        if self.goalposts:
            falls = self.goalposts.best < self.goalposts.worst
            if falls is not (self.direction == "fall"):
                raise ValueError(
                    f"direction is {self.direction}, but best {self.goalposts.best:g} is "
                    f"{'below' if falls else 'above'} worst {self.goalposts.worst:g}"
                )
        return self

    @model_validator(mode="after")
    def _bands_rise(self) -> Indicator:
        if self.bands:
            ends = [one.up_to for one in self.bands]
            if ends[-1] is not None or None in ends[:-1]:
                raise ValueError("every band but the last says up_to, the last one is open")
            known = [end for end in ends if end is not None]
            if sorted(set(known)) != known:
                raise ValueError("up_to must rise from band to band")
        return self

    @property
    def scored(self) -> bool:
        """Whether it makes a score by itself."""
        return bool(self.goalposts or self.bands or self.risk or self.type == "index")


class Group(Title):
    """A group of indicators."""

    id: Identifier
    weight: Weight | None = None
    indicators: list[Indicator] = Field(min_length=1, max_length=60)


class Branch(Title):
    """A field: the first level of the tree."""

    id: Identifier
    weight: Weight | None = None
    groups: list[Group] = Field(min_length=1, max_length=20)

    def indicators(self) -> Iterator[Indicator]:
        """Its indicators, in order."""
        for group in self.groups:
            yield from group.indicators


class Tree(Title):
    """Three levels of indicators below one index."""

    fields: list[Branch] = Field(min_length=1, max_length=20)
    least_weight: Share = Field(
        default=0.5,
        description="A score is given when parts of at least this weight are known",
    )

    def indicators(self) -> list[Indicator]:
        """All indicators, in order."""
        return [one for field in self.fields for one in field.indicators()]

    def find(self, wanted: str) -> Tree | Branch | Group | Indicator | None:
        """Look up a node by its id; `total` is the tree itself."""
        if wanted == TOTAL:
            return self
        return self.nodes.get(wanted)

    @cached_property
    def nodes(self) -> dict[str, Branch | Group | Indicator]:
        """Every node below by its id."""
        found: list[Branch | Group | Indicator] = []
        for field in self.fields:
            found += [field, *field.groups, *field.indicators()]
        return {one.id: one for one in reversed(found)}

    def ids(self) -> list[str]:
        """Ids of every node: total, then field, its groups, their indicators."""
        found = [TOTAL]
        for field in self.fields:
            found.append(field.id)
            for group in field.groups:
                found += [group.id, *(one.id for one in group.indicators)]
        return found


class Ranking(Part):
    """League tables: rank 1 is the best unit."""

    by: Identifier = Field(default=TOTAL, description="Indicator, group, field or total")
    ties: Literal["dense", "min", "average"] = Field(
        default="min", description="1 2 2 4 (min), 1 2 2 3 (dense), 1 2.5 2.5 4 (average)"
    )
    printed: bool = Field(
        default=True, description="Units whose printed values are equal share a rank"
    )
    draws: Annotated[int, Field(ge=50, le=10_000)] = 400
    seed: Annotated[int, Field(ge=0)] = 20260101
    interval: Annotated[float, Field(gt=0, lt=1)] = 0.90
