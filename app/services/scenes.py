"""Scenes: what is counted, against which exposures, and how a number becomes a colour.

A scene is one YAML file of `data/scenes/`. It is read once, checked completely, and stored with
every run as it was (`run.scene_body`). Imports `geo` for the kernel's own parameter types; knows
neither the web nor the database.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from app.errors import Invalid, NotFound
from app.settings import PROJECT
from app.yaml_text import read_yaml

FOLDER = PROJECT / "data" / "scenes"
DEFAULT = "nine-kinds"
OVERALL = "overall"
TOLERANCE = 1e-9

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=80)]
PeriodType = Literal["month", "quarter", "year"]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Title(_Part):
    """A name in both interface languages."""

    zh: Text
    en: Text


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


class Filter(_Part):
    """Parameters of the drifting filter (METHODS 3)."""

    q: Annotated[float, Field(gt=0, lt=1)] = 0.005
    epsilon: Annotated[float, Field(gt=0, lt=1)] = 0.05
    reset_alpha: Positive = 2.0
    memory_max: Annotated[float, Field(gt=0, lt=1)] = 0.98


class Above(_Part):
    """Row of the colour rule above expectation: both thresholds must be reached."""

    p_min: Share
    theta_min: Positive


class Below(_Part):
    """Row of the colour rule below expectation: both thresholds must be reached."""

    p_max: Share
    theta_max: Positive


class Rule(_Part):
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


class Ranks(_Part):
    """How rank intervals are drawn (METHODS 5)."""

    draws: Annotated[int, Field(ge=50, le=10_000)] = 400
    seed: Annotated[int, Field(ge=0)] = 20260101
    interval: Annotated[float, Field(gt=0, lt=1)] = 0.90


class Scene(_Part):
    """A complete, validated scene."""

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
    measures: dict[Identifier, Measure] = Field(min_length=1)
    kinds: dict[Identifier, Kind] = Field(min_length=1, max_length=60)
    periods: list[PeriodType] = Field(default=["month", "quarter", "year"], min_length=1)
    filter: Filter = Filter()
    colour_rule: Rule
    ranks: Ranks = Ranks()

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

    @model_validator(mode="after")
    def _measures_exist(self) -> Scene:
        for kind, body in self.kinds.items():
            unknown = sorted(set(body.weights) - set(self.measures))
            if unknown:
                raise ValueError(
                    f"kind {kind!r} weighs unknown measure {unknown[0]!r}; "
                    f"measures are {', '.join(self.measures)}"
                )
        return self

    def body(self) -> dict[str, Any]:
        """Dump the scene as stored with a run; `Scene.model_validate` reads it back."""
        return self.model_dump(mode="json")


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
        detail = []
        for item in error.errors(include_url=False, include_context=False):
            field = ".".join(str(step) for step in item["loc"]) or "scene"
            reason = re.sub(r"^Value error, ", "", item["msg"])
            detail.append({"line": lines.line(item["loc"]), "field": field, "reason": reason})
        text = "\n".join(
            f"{where}, line {row['line']}, {row['field']}: {row['reason']}" for row in detail
        )
        raise Invalid(text, detail) from error


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
