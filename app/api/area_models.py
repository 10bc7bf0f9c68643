"""Models of questions about any area, and of their answers."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BeforeValidator, Field, model_validator

from app.api.models import Model

Breakdown = Literal["kind", "day", "week", "month", "hour_of_week", "unit"]
Position = tuple[float, float]


def _moment(value: object) -> object:
    """Tell a day from a time: a time at midnight without its offset would pass for a day."""
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        return date.fromisoformat(value)
    if isinstance(value, str):
        found = datetime.fromisoformat(value)
        if found.tzinfo is None:
            raise ValueError("a time needs its offset, such as +08:00")
        return found
    raise ValueError("give a day or a time with its offset as text")


Moment = Annotated[AwareDatetime | date, BeforeValidator(_moment)]
MOST_CELLS = 10_000
MOST_CORNERS = 100_000


class CircleShape(Model):
    """All places within a distance of one place."""

    lon: float = Field(description="Longitude in the declared CRS")
    lat: float = Field(description="Latitude in the declared CRS")
    metres: float = Field(description="Radius on the ground, metres, above 0 and at most 500 km")


class CorridorShape(Model):
    """All places within a distance of a line."""

    coordinates: list[Position] = Field(
        min_length=2,
        max_length=MOST_CORNERS,
        description="Longitude and latitude of the line's corners in the declared CRS",
    )
    metres: float = Field(description="Distance to either side, metres, above 0 and at most 500 km")


class AreaShape(Model):
    """Where: exactly one of the six ways to say it."""

    geojson: dict[str, Any] | None = Field(
        default=None, description="Polygon or MultiPolygon, or one Feature with it"
    )
    wkt: str | None = Field(default=None, description="POLYGON or MULTIPOLYGON")
    circle: CircleShape | None = None
    corridor: CorridorShape | None = None
    unit: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Unit code: events recorded for this unit or one below it, with or without a "
        "point; zero-filled forms are accepted",
    )
    cells: list[str] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_CELLS,
        description="H3 cells of any resolution; an event counts when its point has one of them",
    )
    crs: str = Field(
        default="wgs84",
        max_length=40,
        description="CRS of geojson, wkt, circle and corridor: wgs84, cgcs2000, gcj02, bd09, EPSG:n",
    )

    @model_validator(mode="after")
    def _one(self) -> AreaShape:
        ways = ("geojson", "wkt", "circle", "corridor", "unit", "cells")
        given = [way for way in ways if getattr(self, way) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of {', '.join(ways)}; given: {', '.join(given) or 'none'}"
            )
        return self


class AreaQuestion(Model):
    """How many events, where, when, of which kinds."""

    area: AreaShape
    start: Moment = Field(
        description="First moment, to the second: a time with its offset, or a local day"
    )
    end: Moment = Field(
        description="Moment after the last: a time with its offset, or a local day (its beginning)"
    )
    kinds: list[str] | None = Field(default=None, max_length=256, description="none: all kinds")
    hours_of_week: list[Annotated[int, Field(ge=0, le=167)]] | None = Field(
        default=None,
        max_length=168,
        description="Local hours that count, 0 is Monday 00:00-01:00; none: all",
    )
    breakdowns: list[Breakdown] = Field(
        default=[], max_length=6, description="Breakdowns wanted; each adds up to the total"
    )
    level: str | None = Field(
        default=None,
        max_length=40,
        description="Level of the breakdown by unit; none: the children of `area.unit`, else the "
        "finest level",
    )


class DateCounts(Model):
    """Counts by local day, week (its Monday) or month (its first); dates without events left out."""

    dates: list[date] = Field(description="Ascending")
    counts: list[int | None] = Field(description="null: hidden for being small")


class UnitCount(Model):
    """Events of one unit."""

    code: str | None = Field(description="null: no unit of these boundaries is known")
    name: str | None
    level: str | None
    count: int | None = Field(description="null: hidden for being small")


class AreaAnswer(Model):
    """An exact count, and what it was counted from."""

    pack: str
    boundary_version: str
    snapshot: int | None = Field(
        description="Number of the snapshot; null: so few events that they were counted directly"
    )
    changed: int | None = Field(
        description="Rows added or taken away since the snapshot, all counted too; of the whole "
        "map, so null for a jurisdiction that is a part of it"
    )
    as_of: datetime = Field(description="Everything stored until then is counted")
    data_cutoff: datetime | None = Field(
        description="Newest event of the map; null: there are none, or the jurisdiction is a part"
    )
    time_zone: str = Field(description="Zone of days, weeks, months and hours")
    total: int | None = Field(
        description="Events that match; null: 1 to 4, which this account may not see (METHODS 11)"
    )
    total_text: str = Field(
        default="", description='The total as it may be shown: "<5" when hidden'
    )
    suppressed: bool = Field(default=False, description="Some count here is hidden")
    by_kind: dict[str, int | None] | None = None
    by_day: DateCounts | None = None
    by_week: DateCounts | None = None
    by_month: DateCounts | None = None
    by_hour_of_week: list[int | None] | None = Field(
        default=None, description="168 counts, Monday 00:00-01:00 first"
    )
    by_unit: list[UnitCount] | None = Field(
        default=None,
        description="Recorded units, cut to `level`; an event known only above it stands under the "
        "coarser unit",
    )
    unplaced: list[UnitCount] = Field(
        description="Events without a point, by unit. Of a unit asked for they are part of the "
        "total; of any other area they are not in it: those of all units that share ground with it"
    )
    other_boundaries: int | None = Field(
        description="Events of the whole map located on other boundaries only: their points count, "
        "for units they are missing until `wusetu events relocate`; null for a jurisdiction that is a part of it"
    )
