"""Response models of the API: what the front end and every other client may rely on.

Numbers carry their unit in the field description. Times are ISO 8601; dates are local calendar.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Level = str
Period = Literal["month", "quarter", "year"]
Colour = Literal["none", "green", "blue", "yellow", "orange", "red"]
COLOURS: tuple[Colour, ...] = ("none", "green", "blue", "yellow", "orange", "red")


class Model(BaseModel):
    """Base of all: unknown fields are an error, so a typing slip shows in a test."""

    model_config = ConfigDict(extra="forbid")


class ErrorBody(Model):
    """The one shape of every error."""

    code: str = Field(description="Stable machine name of the error")
    message: str = Field(description="What was wrong and how to mend it")
    detail: Any = Field(default=None, description="Field errors or further facts")
    request_id: str = Field(description="Quote this when you ask for help")


class Words(Model):
    """A name in both interface languages."""

    zh: str
    en: str


class KindInfo(Model):
    """An event kind of the scene; `overall` is the first of the list."""

    id: str
    title: Words
    harm: float | None = Field(description="Harm weight in the overall score; null for overall")
    weights: dict[str, float] = Field(description="Exposure weights per measure, adding up to 1")


class MeasureInfo(Model):
    """An exposure measure of the scene."""

    id: str
    title: Words
    unit: Words


class PeriodInfo(Model):
    """One period of a run."""

    ord: int = Field(description="Index, from 0, into every series of this period type")
    start: date = Field(description="First local day")
    end: date = Field(description="Day after the last local day")
    complete: bool = Field(description="False when the data does not cover the whole period")


class LevelInfo(Model):
    """A level of the boundary version, coarse to fine."""

    id: Level
    title: Words
    count: int = Field(description="Units of this level")
    first_id: int = Field(description="Unit id of the first in code order; ids are contiguous")
    tiles: str = Field(description="Address template {z}/{x}/{y} of the geometry tiles; immutable")
    tilejson: str
    min_zoom: int
    max_zoom: int
    counties: list[tuple[str, int, int]] = Field(
        description="Packing: (county code, first unit id, number of units), in id order"
    )


class CellInfo(Model):
    """H3 cells of one resolution, assessed."""

    res: int = Field(description="H3 resolution")
    count: int = Field(description="Cells on the map that the asker may see")
    tiles: str = Field(description="Address template {z}/{x}/{y} of the geometry tiles; immutable")
    min_zoom: int = Field(description="First zoom at which this resolution is shown")
    max_zoom: int = Field(description="Last zoom at which this resolution is shown")
    tiles_min_zoom: int
    tiles_max_zoom: int = Field(description="Tiles are enlarged beyond")
    inside: int | None = Field(
        description="Events with a point in one of the map's cells; null for a part of the map"
    )
    outside: int | None = Field(description="Events with a point in a cell off the map")
    no_point: int | None = Field(
        description="Events without a point; with the other two all of the run"
    )


class ColourRuleInfo(Model):
    """The rule behind the colours, thresholds as in the scene."""

    version: int
    rows: dict[str, dict[str, float]]


class MapInfo(Model):
    """One map: a pack with its newest published run."""

    pack: str
    title: Words
    run: int
    scene: str
    scene_title: Words
    boundary_version: str
    approximate: bool = Field(description="Some shapes are not surveyed")
    simulated: bool = Field(description="Some events are made up")
    published_at: datetime
    data_cutoff: datetime | None = Field(description="Newest event used")
    time_zone: str
    bounds: tuple[float, float, float, float] = Field(
        description="West south east north, degrees; west > east: over the 180th meridian"
    )
    levels: list[LevelInfo]
    cells: list[CellInfo] = Field(description="Resolutions of H3 cells, coarse first; may be none")
    kinds: list[KindInfo]
    measures: list[MeasureInfo]
    periods: dict[Period, list[PeriodInfo]]
    rule: ColourRuleInfo
    located: dict[str, Any] = Field(description="Events by located_by, by level, mismatch count")
    grid_share: float | None = Field(description="Share of events located to the finest level, 0–1")
    context_tiles: str | None = Field(description="Neutral surroundings as tiles; null: none")


class Manifest(Model):
    """What there is to look at."""

    version: str
    maps: list[MapInfo]


class UnitBrief(Model):
    """A unit in a list."""

    id: int
    code: str
    level: Level
    name: str
    name_en: str | None
    parent: str | None = Field(description="Code of the next coarser unit")


class UnitDetail(UnitBrief):
    """A unit with its place."""

    full_code: str | None = Field(description="Zero-filled code of the layout (27 digits)")
    area_km2: float
    approximate: bool
    bounds: tuple[float, float, float, float]
    label_point: tuple[float, float] = Field(description="Longitude, latitude")
    ancestors: list[UnitBrief] = Field(description="Coarse to fine, without the unit itself")
    child_level: Level | None
    children_count: int


class Estimate(Model):
    """A relative risk with what is known about it."""

    theta: float = Field(description="Posterior mean; 1 = as expected")
    low: float = Field(description="Lower end of the central 95 % interval")
    high: float = Field(description="Upper end of the central 95 % interval")
    p: float = Field(description="P(theta > 1)")


class Contribution(Model):
    """What one kind adds to or takes from theta − 1."""

    kind: str
    value: float
    observed: int
    expected: float
    colour: Colour


class RateChange(Model):
    """Change against an earlier period, from single-period counts."""

    against: date
    observed: int
    ratio: float | None = Field(description="Rate ratio; null under 5 events (too few)")
    low: float | None
    high: float | None


class Rank(Model):
    """Rank among the units of the same level and reference area."""

    rank: int
    low: int = Field(description="Lower end of the 90 % interval")
    high: int
    of: int


class Why(Model):
    """Why a unit has its colour; an exported CSV recomputes every number here."""

    run: int
    unit: UnitBrief
    kind: str
    period: Period
    start: date
    colour: Colour
    previous_colour: Colour | None
    observed: int | None = Field(description="O, events; null: no data")
    expected: float | None = Field(description="E, events")
    estimate: Estimate | None
    single: Estimate | None = Field(description="The same from this period alone")
    single_ratio: float | None = Field(description="O / E of this period")
    alpha: float | None = Field(description="Strength of the prior, events")
    remembered_observed: float | None = Field(description="S without this period")
    remembered_expected: float | None = Field(description="X without this period")
    memory_share: float | None = Field(description="X − E over X, 0–1")
    history_dropped: bool
    flags: list[str] = Field(description="check_exposure, outweighs, veto, short_history …")
    veto_kinds: list[str] = Field(description="Kinds at red that raised the overall colour")
    share: float | None = Field(description="C, share of the reference area's exposure")
    reference: UnitBrief | None = Field(description="Reference area; null: the whole map")
    complexity: float | None = Field(description="100 = an average unit")
    exposures: dict[str, float | None]
    contributions: list[Contribution] = Field(description="Kind overall only; add up to theta − 1")
    previous: RateChange | None
    last_year: RateChange | None
    index: float | None = Field(description="Governance index 0–100, overall only")
    rule_version: int


class SeriesPoint(Model):
    """One period of one unit and kind."""

    start: date
    complete: bool
    observed: int | None
    expected: float | None
    theta: float | None
    low: float | None
    high: float | None
    colour: Colour


class Series(Model):
    """All periods of one unit and kind, in order."""

    run: int
    unit: UnitBrief
    kind: str
    period: Period
    points: list[SeriesPoint]


class RankingRow(Model):
    """One line of a league table; never without its interval."""

    unit: UnitBrief
    colour: Colour
    theta: float
    observed: int
    expected: float
    rank: int = Field(description="Rank in the reference area, 1 = highest risk")
    low: int
    high: int


class Ranking(Model):
    """Units in descending order of relative risk."""

    run: int
    level: Level
    kind: str
    period: Period
    start: date
    within: str | None = Field(description="Code of the unit whose descendants are listed")
    of: int = Field(description="Units ranked in the reference area")
    total: int = Field(description="Rows before the limit")
    rows: list[RankingRow]


class ClassCount(Model):
    """Units of one colour, and the change from the period before."""

    colour: Colour
    count: int
    change: int | None


class KindSummary(Model):
    """One kind inside the scope."""

    kind: str
    observed: int
    previous: int | None
    change: RateChange | None = Field(description="Against the same period last year")
    worst: Colour
    counts: dict[Colour, int]


class Summary(Model):
    """A scope at a glance: legend counts, kinds, trend."""

    run: int
    level: Level
    kind: str
    period: Period
    start: date
    within: str | None
    counts: list[ClassCount]
    kinds: list[KindSummary]
    trend: list[SeriesPoint] = Field(description="The scope unit itself over all periods")
    class_trend: list[dict[Colour, int]] = Field(description="Class counts per period, in order")
    located: dict[str, Any]
    grid_share: float | None


class CellChunk(Model):
    """Cells whose values travel together."""

    chunk: str = Field(description="Name: H3 index of their common ancestor, hexadecimal")
    first_id: int = Field(description="Feature id of the first; ids are contiguous")
    count: int
    bounds: tuple[float, float, float, float] = Field(description="West south east north")


class CellCounts(Model):
    """Cells of each class; a cell belongs to the unit that holds most of it."""

    run: int
    res: int
    kind: str
    period: Period
    start: date
    within: str | None
    counts: list[ClassCount]


class CellPart(Model):
    """A leaf unit's part in a cell."""

    unit: UnitBrief
    share_of_unit: float = Field(description="Part of the unit's area in the cell, 0–1")
    km2: float


class CellWhy(Model):
    """Why a cell has its colour."""

    cell: str = Field(description="H3 index, hexadecimal")
    res: int
    centre: tuple[float, float] = Field(description="Longitude, latitude")
    area_km2: float
    inside: float = Field(description="Part of the cell inside the map, 0–1")
    parts: list[CellPart] = Field(description="Units its exposure comes from, largest part first")
    why: Why = Field(description="As of a unit; `unit` is the cell, its code the H3 index")


class SearchHit(Model):
    """A unit found by name or code."""

    unit: UnitBrief
    path: str = Field(description="Names of its ancestors")
    bounds: tuple[float, float, float, float]


class SearchAnswer(Model):
    """Best first."""

    query: str
    hits: list[SearchHit]


class RunInfo(Model):
    """A run in the list of runs."""

    id: int
    pack: str
    scene: str
    status: str
    boundary_version: str
    event_count: int | None = Field(
        description="Events of the whole map; null for a jurisdiction that is a part of it"
    )
    data_cutoff: datetime | None
    started_at: datetime
    published_at: datetime | None


class ComponentHealth(Model):
    """One part of the installation."""

    name: str
    ok: bool
    version: str | None = None
    message: str | None = None


class Alive(Model):
    """The server runs."""

    live: bool


class Ready(Model):
    """Whether questions can be answered; no details, for anybody may ask."""

    ready: bool


class Health(Model):
    """Whether everything works."""

    ok: bool
    components: list[ComponentHealth]
