"""Scenes: what is counted, against which exposures, and how a number becomes a colour.

A scene is one YAML file of `data/scenes/`. It is read once, checked completely, and stored with
every run as it was (`run.scene_body`). Its parts are in `scene_parts` (classes, alerts, escalation,
tasks, brief) and `scene_tree` (feeds, indicators, ranking); `scene_checks` holds them to each other.
Imports `geo` for the kernel's own parameter types; knows neither the web nor the database.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from app.errors import Invalid, NotFound
from app.services.scene_checks import Misfits, misfits
from app.services.scene_parts import (
    AlertRules,
    Brief,
    EscalationStep,
    Identifier,
    Name,
    PaletteClass,
    Part,
    Positive,
    Share,
    TaskTemplate,
    Title,
    usual_palette,
)
from app.services.scene_tree import (
    CALENDAR,
    Calendar,
    Deadline,
    EventMeasure,
    Feed,
    Ranking,
    Tree,
)
from app.settings import PROJECT
from app.yaml_text import read_yaml

FOLDER = PROJECT / "data" / "scenes"
DEFAULT = "nine-kinds"
OVERALL = "overall"
TOLERANCE = 1e-9

PeriodType = Literal["month", "quarter", "year"]


class Measure(Title):
    """An exposure measure and the unit it is counted in."""

    unit: Title


class Kind(Title):
    """An event kind: its harm weight and what exposes a unit to it."""

    harm: Positive = Field(description="Weight in the overall score")
    weights: dict[Identifier, Share] = Field(min_length=1, description="Adding up to 1")

    @field_validator("weights")
    @classmethod
    def _add_up(cls, value: dict[str, float]) -> dict[str, float]:
        total = sum(value.values())
        if abs(total - 1) > TOLERANCE:
            raise ValueError(f"weights add up to {total:.10g}, not to 1")
        return value


class Filter(Part):
    """Parameters of the drifting filter (METHODS 3)."""

    q: Annotated[float, Field(gt=0, lt=1)] = 0.005
    epsilon: Annotated[float, Field(gt=0, lt=1)] = 0.05
    reset_alpha: Positive = 2.0
    memory_max: Annotated[float, Field(gt=0, lt=1)] = 0.98


class Above(Part):
    """Row of the colour rule above expectation: both thresholds must be reached."""

    p_min: Share
    theta_min: Positive


class Below(Part):
    """Row of the colour rule below expectation: both thresholds must be reached."""

    p_max: Share
    theta_max: Positive


class Rule(Part):
    """Thresholds of the colours (METHODS 4); first matching row from the top, else blue."""

    version: Annotated[int, Field(ge=1)]
    red: Above
    orange: Above
    yellow: Above | None = Field(default=None, description="Left out: a scene without yellow")
    green: Below

    @model_validator(mode="after")
    def _ordered(self) -> Rule:
        rows = [row for row in (self.red, self.orange, self.yellow) if row]
        for upper, lower in itertools.pairwise(rows):
            if lower.p_min > upper.p_min or lower.theta_min > upper.theta_min:
                raise ValueError("thresholds must not rise from red to orange to yellow")
        last = rows[-1]
        if self.green.p_max >= last.p_min or self.green.theta_max >= last.theta_min:
            raise ValueError("green must lie below the lowest warning row")
        return self

    def rows(self) -> dict[str, dict[str, float]]:
        """Thresholds by colour, in the order they are tried."""
        body = self.model_dump(exclude={"version"}, exclude_none=True)
        return {colour: dict(row) for colour, row in body.items()}


class Ranks(Part):
    """How rank intervals are drawn (METHODS 5)."""

    draws: Annotated[int, Field(ge=50, le=10_000)] = 400
    seed: Annotated[int, Field(ge=0)] = 20260101
    interval: Annotated[float, Field(gt=0, lt=1)] = 0.90


def _usual_rule() -> Rule:
    """Make the colour rule of METHODS 4."""
    return Rule(
        version=1,
        red=Above(p_min=0.95, theta_min=1.5),
        orange=Above(p_min=0.80, theta_min=1.25),
        yellow=Above(p_min=0.65, theta_min=1.1),
        green=Below(p_max=0.20, theta_max=0.80),
    )


class Scene(Part):
    """A complete, validated scene: kinds of events, indicators, or both."""

    name: Name
    title: Title
    version: Annotated[int, Field(ge=1)] = 1
    reference_level: Identifier | None = Field(
        default=None,
        description="Expected counts are taken inside one unit of this level; none: the whole map",
    )
    time_zone: str | None = Field(
        default=None, description="Calendar of the periods; none: the setting of the installation"
    )
    measures: dict[Identifier, Measure] = Field(default={}, description="Exposures of the map")
    kinds: dict[Identifier, Kind] = Field(
        default={}, max_length=60, description="Kinds of events that are assessed and coloured"
    )
    periods: list[PeriodType] = Field(
        default=["month", "quarter", "year"], min_length=1, description="Periods of the assessment"
    )
    filter: Filter = Filter()
    colour_rule: Rule = Field(
        default_factory=_usual_rule, description="Needed where there are kinds; usual: METHODS 4"
    )
    ranks: Ranks = Ranks()
    palette: list[PaletteClass] = Field(
        default_factory=usual_palette,
        min_length=2,
        max_length=8,
        description="Classes from the best to the worst; usual: the five colours",
    )
    levels: list[Identifier] = Field(
        default=[], max_length=8, description="Levels of the indicators, coarse to fine; none: all"
    )
    level_names: dict[Identifier, Title] = Field(
        default={}, description="Names of levels the map does not have, such as facility"
    )
    calendar: list[Calendar] = Field(
        default=["month", "year"], min_length=1, description="Periods of the indicators"
    )
    feeds: list[Feed] = Field(default=[], max_length=30)
    events: list[EventMeasure] = Field(
        default=[], max_length=60, description="Measures counted from the events of the map"
    )
    deadlines: list[Deadline] = Field(default=[], max_length=20)
    indicators: Tree | None = None
    ranking: Ranking = Ranking()
    alerts: AlertRules | None = Field(
        default=None, description="Usual where there are kinds: METHODS 7; null: no alerts"
    )
    escalation: list[EscalationStep] = Field(default=[], max_length=3)
    tasks: dict[str, TaskTemplate] = Field(
        default={}, description="By kind, indicator or deadline; overall: for every other kind"
    )
    brief: Brief | None = None

    @model_validator(mode="before")
    @classmethod
    def _usual_alerts(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "alerts" in value or not value.get("kinds"):
            return value
        given = value.get("palette")
        named = [one.get("id") for one in given if isinstance(one, dict)] if isinstance(given, list) else None  # fmt: skip
        usual = {} if named is None or "orange" in named else {"persistent": None}
        return {**value, "alerts": usual}

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ZoneInfo(value)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:
                raise ValueError(f"unknown time zone {value!r}") from error
        return value

    @field_validator("periods")
    @classmethod
    def _each_once(cls, value: list[PeriodType]) -> list[PeriodType]:
        if len(set(value)) != len(value):
            raise ValueError("a period is named twice")
        return sorted(value, key=("month", "quarter", "year").index)

    @field_validator("kinds")
    @classmethod
    def _not_overall(cls, value: dict[str, Kind]) -> dict[str, Kind]:
        if OVERALL in value:
            raise ValueError("'overall' is the score over all kinds and cannot be a kind")
        return value

    @field_validator("calendar")
    @classmethod
    def _calendar_once(cls, value: list[Calendar]) -> list[Calendar]:
        if len(set(value)) != len(value):
            raise ValueError("a period is named twice")
        return sorted(value, key=CALENDAR.index)

    @model_validator(mode="after")
    def _fits_together(self) -> Scene:
        if not self.kinds and self.indicators is None:
            raise ValueError("a scene has kinds or indicators: this one has neither")
        if self.kinds and not self.measures:
            raise ValueError("kinds are weighed by measures: name them")
        if self.kinds and "colour_rule" not in self.model_fields_set:
            raise ValueError("kinds are coloured by a colour_rule: give it")
        if found := misfits(self):
            raise Misfits(found)
        return self

    @property
    def rule(self) -> Rule:
        """The colour rule."""
        return self.colour_rule

    def task(self, kind: str) -> TaskTemplate | None:
        """Task sheet of a kind or indicator: its own, else that of `overall`."""
        return self.tasks.get(kind, self.tasks.get(OVERALL))

    def palette_class(self, name: str) -> PaletteClass:
        """Look up a class of the palette.

        Raises
        ------
        NotFound
            The palette has no such class.
        """
        for one in self.palette:
            if one.id == name:
                return one
        raise NotFound(f"the palette of {self.name} has no class {name!r}")

    def body(self) -> dict[str, Any]:
        """Dump the scene as stored with a run; `Scene.model_validate` reads it back."""
        return self.model_dump(mode="json", by_alias=True)


class _Lines:
    """Line of every place of a YAML document; finds keys given twice."""

    def __init__(self, node: yaml.Node | None, where: str) -> None:
        self.node = node
        self.where = where
        if node is not None:
            self._check(node)

    def _check(self, node: yaml.Node) -> None:
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if key.value in seen:
                    line = key.start_mark.line + 1
                    raise Invalid(f"{self.where}, line {line}: {key.value!r} is given twice")
                seen.add(key.value)
                self._check(value)
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                self._check(value)

    def line(self, place: tuple[int | str, ...]) -> int:
        """Line (from 1) of the deepest node on the way to `place`."""
        node, line = self.node, 1
        for step in place:
            if isinstance(node, yaml.MappingNode):
                found = [(k, v) for k, v in node.value if k.value == str(step)]
                if not found:
                    break
                line, node = found[0][0].start_mark.line + 1, found[0][1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                if step >= len(node.value):
                    break
                node = node.value[step]
                line = node.start_mark.line + 1
            else:
                break
        return line


def parse_scene(text: str, where: str = "scene") -> Scene:
    """Read a scene from YAML text.

    Parameters
    ----------
    text : the document
    where : name of the document in messages

    Raises
    ------
    Invalid
        Everything that is wrong, one line each: file, line, field, reason.
    """
    node, body = read_yaml(text, where)
    lines = _Lines(node, where)
    if not isinstance(body, dict):
        raise Invalid(f"{where}: a scene is a mapping with name, title, measures, kinds …")
    try:
        return Scene.model_validate(body)
    except ValidationError as error:
        detail = [
            {"line": lines.line(place), "field": _field(place), "reason": reason}
            for place, reason in _reasons(error)
        ]
        text = "\n".join(
            f"{where}, line {row['line']}, {row['field']}: {row['reason']}" for row in detail
        )
        raise Invalid(text, detail) from error


def _field(place: tuple[int | str, ...]) -> str:
    return ".".join(str(step) for step in place) or "scene"


def _reasons(error: ValidationError) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Place and reason of everything that is wrong."""
    for item in error.errors(include_url=False):
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, Misfits):
            yield from cause.found
        else:
            yield item["loc"], re.sub(r"^Value error, ", "", item["msg"])


def scene_names() -> list[str]:
    """Names of the scenes that ship with the project, in order."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_scene(name: str | Path = DEFAULT) -> Scene:
    """Scene by name (`data/scenes/<name>.yaml`) or by path of a YAML file.

    Raises
    ------
    NotFound
        No such scene; the message names those there are.
    Invalid
        The file is not a valid scene.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        if str(name) not in scene_names():
            raise NotFound(f"no scene {str(name)!r}; there are {', '.join(scene_names())}")
        path = FOLDER / f"{name}.yaml"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise NotFound(f"no scene file {path}") from error
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError too
        raise Invalid(f"{str(path)!r}: cannot be read as UTF-8 text: {error}") from error
    return parse_scene(text, str(path.name))
