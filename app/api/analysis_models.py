"""Models of the analyst's questions about areas: shapes, what is expected in them, saved areas."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from app.api.area_models import (
    MOST_CELLS,
    AreaAnswer,
    CircleShape,
    CorridorShape,
    Moment,
)
from app.api.models import Colour, Model, Words

Position = tuple[float, float]
LocatedBy = Literal["code", "point", "address", "none"]
Part = Literal[
    "kinds", "change", "children", "comparisons", "cells", "day", "week", "month", "hour_of_week"
]
MOST_UNITS = 2_000
MOST_AREAS = 50
DEEPEST = 6
WAYS = ("geojson", "wkt", "circle", "corridor", "rectangle", "units", "cells", "combine")


class RectangleShape(Model):
    """A rectangle along the axes of the declared CRS."""

    west: float
    south: float
    east: float
    north: float


class Combination(Model):
    """Several areas made one, in order: the first, then each of the others."""

    op: Literal["union", "minus", "intersect"]
    areas: list[AnalysisArea] = Field(min_length=1, max_length=MOST_AREAS)


class AnalysisArea(Model):
    """Where: exactly one of the eight ways to say it."""

    geojson: dict[str, Any] | None = Field(
        default=None, description="Polygon or MultiPolygon, or one Feature with it"
    )
    wkt: str | None = Field(default=None, description="POLYGON or MULTIPOLYGON")
    circle: CircleShape | None = None
    corridor: CorridorShape | None = None
    rectangle: RectangleShape | None = None
    units: list[Annotated[str, Field(min_length=1, max_length=64)]] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_UNITS,
        description="Unit codes: events recorded for these units or below them, with or without a "
        "point; inside `combine` they are their ground",
    )
    cells: list[str] | None = Field(
        default=None, min_length=1, max_length=MOST_CELLS, description="H3 cells, as their ground"
    )
    combine: Combination | None = None
    crs: str = Field(
        default="wgs84",
        max_length=40,
        description="CRS of the coordinates: wgs84, cgcs2000, gcj02, bd09, EPSG:n",
    )
    snap_metres: float | None = Field(
        default=None,
        gt=0,
        le=5_000,
        description="Corners this near to the border of a unit are moved onto it",
    )

    @model_validator(mode="after")
    def _one(self) -> AnalysisArea:
        given = [way for way in WAYS if getattr(self, way) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of {', '.join(WAYS)}; given: {', '.join(given) or 'none'}"
            )
        return self


class Reason(Model):
    """What was done to a shape, or why there is none, in words."""

    code: str = Field(description="Stable machine name")
    zh: str
    en: str
    at: Position | None = Field(default=None, description="Longitude and latitude of the spot")


class MultiPolygon(Model):
    """GeoJSON, EPSG:4326, longitude before latitude."""

    type: Literal["MultiPolygon"] = "MultiPolygon"
    coordinates: list[list[list[Position]]]


class ShapeInfo(Model):
    """An area as it will be counted."""

    geojson: MultiPolygon
    km2: float = Field(description="Geodesic area, square kilometres")
    vertices: int = Field(description="Corners, closing ones included")
    bbox: tuple[float, float, float, float] = Field(description="West south east north, degrees")
    reasons: list[Reason] = Field(
        description="What was done to it: snapped, cut to the jurisdiction"
    )


class UploadedShape(Model):
    """One feature of a file."""

    name: str = Field(description="As the file names it, else its place in the file from 1")
    shape: ShapeInfo | None = Field(description="null: it cannot be counted, see `reason`")
    reason: Reason | None = None


class Upload(Model):
    """Areas of a file, the good ones kept."""

    format: Literal["geojson", "kml", "gpkg", "shapefile"]
    crs: str = Field(description="CRS the coordinates were read in")
    shapes: list[UploadedShape]


class AnalysisQuestion(Model):
    """How many events, where, when, of which kinds, against what was to be expected."""

    area: AnalysisArea
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
    located_by: list[LocatedBy] | None = Field(
        default=None,
        min_length=1,
        max_length=4,
        description="Only events located in one of these ways; none: all",
    )
    run: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        default=None, description="Run whose exposures and rates are used; none: the newest"
    )
    compare: int = Field(default=5, ge=0, le=20, description="Comparison areas wanted")
    parts: list[Part] = Field(
        default=["kinds", "change", "children", "comparisons", "cells", "month", "hour_of_week"],
        max_length=9,
        description="What is wanted beside the overall answer; less is quicker while a shape moves",
    )
    level: str | None = Field(
        default=None,
        max_length=40,
        description="Level of the table of units; none: one with a table of readable length",
    )
    cell_res: int | None = Field(
        default=None,
        ge=4,
        le=12,
        description="H3 resolution of the cells inside; none: by the size of the area",
    )
    weights: Literal["raster", "area"] = Field(
        default="raster",
        description="How units partly inside count: by the raster a measure was imported from where "
        "there is one, else (or always) by area",
    )


class Risk(Model):
    """A count beside what was to be expected. Relative risk: gamma posterior of this span alone."""

    observed: int | None = Field(description="Events; null: 1 to 4, which this account may not see")
    observed_text: str = Field(description='The count as it may be shown: a number, or "<5"')
    suppressed: bool = Field(
        description="Hidden for being small, or so that a small one stays hidden"
    )
    expected: float | None = Field(description="Events to be expected; null: no exposure known")
    relative_risk: float | None = Field(description="1: as expected; null: no data or suppressed")
    low: float | None = Field(description="95 % interval")
    high: float | None
    exceedance: float | None = Field(
        description="P, the probability that the relative risk is above 1"
    )
    colour: Colour
    alpha: float | None = Field(
        default=None, description="Strength of the prior; null: no data or suppressed"
    )
    effective_observed: float | None = Field(
        default=None,
        description="o: relative risk is Gamma(alpha + o, alpha + e); of one kind the count itself, of "
        "several weighed by harm (METHODS 5)",
    )
    effective_expected: float | None = Field(default=None, description="e of the same")


class KindRisk(Risk):
    """One kind inside the area."""

    kind: str


class ChildRisk(Risk):
    """A unit that shares ground with the area: the part of it inside."""

    code: str | None = Field(description="null: events of no known unit")
    name: str | None
    name_en: str | None
    level: str | None
    share_inside: float | None = Field(description="Share of the unit's exposure inside, 0-1")
    rest: bool = Field(
        description="No unit of the table but what is known only to a coarser one: the table adds up"
    )


class ComparisonRisk(Risk):
    """A unit beside the area that is exposed alike."""

    code: str
    name: str
    name_en: str | None
    level: str
    similarity: float = Field(description="0-1; 1: the same exposures")


class KindChange(Model):
    """One kind in an earlier span; as `SpanChange`."""

    kind: str
    observed: int | None
    observed_text: str
    suppressed: bool
    ratio: float | None
    low: float | None
    high: float | None


class SpanChange(Model):
    """The same area in an earlier span; rate ratio per covered second (METHODS 6)."""

    start: datetime
    end: datetime
    observed: int | None
    observed_text: str
    suppressed: bool
    ratio: float | None = Field(description="This span against the earlier; null: too few events")
    low: float | None = Field(description="Exact 95 % interval; null high: without bound")
    high: float | None
    kinds: list[KindChange] = Field(
        default=[], description="By kind, when kinds and their change are asked for"
    )


class AnalysisChange(Model):
    """Change of the count."""

    previous: SpanChange | None = Field(description="null: before the first event of the map")
    last_year: SpanChange | None


class CellCount(Model):
    """Events inside the area in one H3 cell."""

    cell: str
    count: int | None
    count_text: str
    suppressed: bool


class UnitName(Model):
    """A unit."""

    code: str
    name: str
    name_en: str | None


class WeightRaster(Model):
    """A raster that says where inside units the exposure lies."""

    measure: str
    as_of: date = Field(description="Day it describes")
    source: str


class UnitWeights(Model):
    """How the units partly inside an area were weighed."""

    rule: Literal["area", "raster"] = Field(description="raster: at least one by a raster")
    cut: int = Field(description="Units partly inside; 0 for units asked for by code")
    by_raster: int = Field(
        description="Units of `cut` of which a raster has some measure; the rest count by area"
    )
    rasters: list[WeightRaster] = Field(description="Measures not named here count by area")


class AnalysisAnswer(Model):
    """An exact count, what was to be expected, and what it was compared with."""

    answer: AreaAnswer
    km2: float = Field(description="Geodesic area that was counted, square kilometres")
    cut: bool = Field(description="The area reached beyond the jurisdiction and was cut to it")
    rule: Words = Field(description="How the expected count and the relative risk were made")
    weights: UnitWeights = Field(description="How units partly inside count, also in `rule`")
    reference: UnitName | None = Field(description="What the area is compared with; null: the map")
    overall: Risk = Field(description="All kinds asked for, weighed by harm (METHODS 5)")
    kinds: list[KindRisk] = Field(description="Empty unless asked for")
    change: AnalysisChange | None = None
    child_level: str | None = None
    children: list[ChildRisk] = Field(default=[], description="They add up to the area")
    comparisons: list[ComparisonRisk] = Field(default=[], description="Most alike first")
    cell_res: int | None = None
    cells: list[CellCount] = Field(default=[], description="They add up to the events with a point")
    run: int | None = Field(description="Run of the rates; null: nothing was assessed yet")
    boundary_version: str
    cutoff: datetime | None = Field(description="Newest event of the run")
    suppressed: bool = Field(description="Something here is hidden for being small")


Scope = Literal["private", "jurisdiction"]
AreaName = Annotated[str, Field(min_length=1, max_length=80)]
AreaPurpose = Annotated[str, Field(min_length=1, max_length=200)]


class NewSavedArea(Model):
    """An area to keep."""

    pack: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    name: AreaName = Field(description="Never a person's name, number, phone or plate")
    purpose: AreaPurpose = Field(description="What it is kept for")
    scope: Scope = Field(
        default="private",
        description="jurisdiction: seen by everybody whose jurisdiction holds yours",
    )
    expires_on: date = Field(description="Last day it is kept; at most two years ahead")
    area: AnalysisArea


class SavedAreaChange(Model):
    """What to change; the rest stays."""

    name: AreaName | None = None
    purpose: AreaPurpose | None = None
    scope: Scope | None = None
    expires_on: date | None = None
    area: AnalysisArea | None = None


class SavedArea(Model):
    """An area somebody named."""

    id: int
    pack: str
    name: str
    purpose: str
    scope: Scope
    expires_on: date
    area: AnalysisArea
    created_at: datetime
    updated_at: datetime
    mine: bool = Field(description="Whether you may change it")
    notes: int = Field(description="Number of notes")


class NewNote(Model):
    """A remark about a saved area."""

    text: str = Field(min_length=1, max_length=2000)


class Note(Model):
    """A remark about a saved area."""

    id: int
    text: str
    created_at: datetime
    mine: bool
