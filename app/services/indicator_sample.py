"""Sample feeds of the shipped scenes: files of `data/scenes/samples/`, or made up from a recipe.

`<scene>.yaml` names the pack, files and what is made up; nothing here knows one scene from another.
Promises: everything goes through the ordinary imports; what is made up is drawn from the seed of the
file and marked as simulated; loading twice changes nothing.
"""

from __future__ import annotations

import math
import zlib
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import sqlalchemy as sa
import yaml
from pydantic import Field, ValidationError, model_validator

from app.errors import Invalid, NotFound
from app.services import indicator_feeds, indicator_register
from app.services.exposure_table import exposure_table
from app.services.indicator_calendar import spans
from app.services.indicator_ground import newest_map
from app.services.indicator_run import Made as MadeRun
from app.services.indicator_run import run
from app.services.scene_parts import Identifier, Name, Part, Positive, Share, Words
from app.services.scenes import FOLDER, Scene, load_scene
from app.services.units import read_units

SAMPLES = FOLDER / "samples"
Floats = npt.NDArray[np.float64]


class Recipe(Part):
    """How one measure is made up: by a rate, as a part of another, by sums per event, as a state."""

    per_month: Positive | None = None
    per: Positive = 10000
    of: Identifier | None = None
    season: Annotated[float, Field(ge=-1, le=1)] = 0.0
    part_of: Identifier | None = None
    share: Share = 0.5
    times: Identifier | None = None
    mean: Positive | None = None
    spread: Positive = 1.0
    stock: Positive | None = None
    growth: float = 0.0

    @model_validator(mode="after")
    def _one_way(self) -> Recipe:
        ways = [self.per_month, self.part_of, self.times, self.stock]
        if sum(way is not None for way in ways) != 1:
            raise ValueError("one of per_month, part_of, times, stock makes a measure")
        if (self.per_month or self.stock) and self.of is None:
            raise ValueError("of: the exposure it is proportional to")
        if self.times and self.mean is None:
            raise ValueError("mean: what one of them takes")
        return self


class Planted(Part):
    """A known change: below a unit, in `[first, last)`."""

    code: str
    measure: Identifier
    factor: Positive
    first: date
    last: date


class MadeUp(Part):
    """A feed drawn from a seed; days are local, `[first, last)`."""

    seed: int
    first: date
    last: date
    level: Identifier
    measures: dict[Identifier, Recipe] = Field(min_length=1)
    planted: list[Planted] = Field(default=[])


class Sample(Part):
    """`<scene>.yaml` of the samples."""

    pack: Name
    simulated: bool = True
    about: Words | None = None
    units: bool = Field(default=False, description="<scene>.units.csv is loaded first")
    values: bool = Field(default=False, description="<scene>.csv holds values")
    items: dict[Identifier, date] = Field(
        default={}, description="<scene>.<deadline>.csv holds things that run out, as of a day"
    )
    made: MadeUp | None = None
    kind: Literal["sample"] = "sample"


def sample_names() -> list[str]:
    """Scenes that have a sample."""
    return sorted(path.stem for path in SAMPLES.glob("*.yaml"))


def read_sample(name: str, folder: Path = SAMPLES) -> Sample:
    """Read what the sample of a scene is.

    Raises
    ------
    NotFound
        It has none.
    Invalid
        The file does not say what it should.
    """
    path = folder / f"{name}.yaml"
    if not path.is_file():
        raise NotFound(f"no sample of scene {name!r}; there are {', '.join(sample_names())}")
    try:
        return Sample.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        wrong = [
            f"{path.name}, {'.'.join(map(str, one['loc'])) or 'sample'}: {one['msg']}"
            for one in error.errors(include_url=False, include_context=False)
        ]
        raise Invalid("\n".join(wrong)) from error


def load(
    engine: sa.Engine,
    name: str,
    *,
    zone: str,
    today: date,
    pack: str | None = None,
    folder: Path = SAMPLES,
    scene: Scene | None = None,
) -> MadeRun:
    """Load the sample of a scene by the ordinary imports and compute its indicators.

    Parameters
    ----------
    engine : sa.Engine
    name : scene
    zone : time zone of the installation
    today : the present; samples of later days are refused
    pack : another pack than the sample's
    folder : where the files of the sample are
    scene : default: the one that ships

    Raises
    ------
    NotFound, Invalid
        There is no such sample, or a row of it was refused.
    """
    scene = scene or load_scene(name)
    sample = read_sample(name, folder)
    where = pack or sample.pack
    source = "sample of the project"
    if sample.units:
        _all(
            indicator_register.import_units(engine, folder / f"{name}.units.csv", pack=where), name
        )
    if sample.values:
        _all(
            indicator_feeds.import_values(
                engine, folder / f"{name}.csv", scene=scene, pack=where, source=source,
                simulated=sample.simulated, today=today,
            ),
            name,
        )  # fmt: skip
    for deadline, as_of in sample.items.items():
        _all(
            indicator_register.import_items(
                engine, folder / f"{name}.{deadline}.csv", scene=scene, deadline=deadline,
                pack=where, as_of=as_of, source=source, simulated=sample.simulated,
            ),
            name,
        )  # fmt: skip
    if sample.made is not None:
        table = make(engine, sample.made, where)
        _all(
            indicator_feeds.import_values(
                engine, table, scene=scene, pack=where, source="made up", simulated=True,
                through=sample.made.last, today=today,
            ),
            name,
        )  # fmt: skip
    return run(engine, scene, where, zone=zone)


def _all(report: indicator_feeds.Report, name: str) -> None:
    """Do nothing when every row was good.

    Raises
    ------
    Invalid
        One was not.
    """
    if report.broken:
        one = report.broken[0]
        raise Invalid(
            f"sample of {name}, line {one.line}, {one.column}: {one.value!r} {one.text} "
            f"({report.rejected} row(s) refused)"
        )


def make(engine: sa.Engine, recipe: MadeUp, pack: str) -> pd.DataFrame:
    """Make up the values of a feed: columns code, period, measure, value.

    Raises
    ------
    NotFound, Invalid
        The pack has no map, level or exposure the recipe names.
    """
    with engine.connect() as connection:
        version = newest_map(connection, pack)
        if version is None:
            raise NotFound(f"the pack {pack!r} has no map: `wusetu sample load {pack}`")
        table = read_units(connection, version)
        names = sorted({one.of for one in recipe.measures.values() if one.of})
        exposures = exposure_table(connection, version, names, recipe.last)
    first, count = table.range(recipe.level)
    codes = np.array(table.codes[first - 1 : first - 1 + count], dtype=object)
    base = {
        name: np.nan_to_num(exposures[row, first : first + count]) for row, name in enumerate(names)
    }
    days = spans("day", recipe.first, recipe.last)
    made: dict[str, Floats] = {}
    frames = []
    for name, one in recipe.measures.items():
        # a seed of its own: another measure added above changes nothing below
        rng = np.random.default_rng([recipe.seed, zlib.crc32(name.encode())])
        if one.stock is not None:
            frames.append(_stock(name, one, recipe, codes, base))
            continue
        values = _flow(name, one, recipe, codes, base, made, rng, [d.start for d in days])
        made[name] = values
        at, unit = np.nonzero(values)
        text = np.array([d.start.isoformat() for d in days], dtype=object)
        frames.append(
            pd.DataFrame(
                {
                    "code": codes[unit],
                    "period": text[at],
                    "measure": name,
                    "value": values[at, unit],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _flow(  # noqa: PLR0917
    name: str,
    one: Recipe,
    recipe: MadeUp,
    codes: npt.NDArray[np.object_],
    base: dict[str, Floats],
    made: dict[str, Floats],
    rng: np.random.Generator,
    days: list[date],
) -> Floats:
    """Values (days, units) of something that happens."""
    for other in (one.part_of, one.times):
        if other is not None and other not in made:
            raise Invalid(f"measure {name!r} is made of {other!r}, which stands above it")
    if one.part_of is not None:
        whole = made[one.part_of]
        share = np.clip(one.share * _planted(name, recipe, codes, days), 0, 1)
        part: Floats = rng.binomial(whole.astype(np.int64), share).astype(np.float64)
        return part
    if one.times is not None:
        assert one.mean is not None
        whole = made[one.times]
        mean = one.mean * whole
        total = np.maximum(rng.normal(mean, one.spread * np.sqrt(whole)), 0.3 * mean)
        return np.asarray(np.round(total, 1), dtype=np.float64)
    assert one.per_month is not None
    assert one.of is not None
    year = np.array([math.cos(2 * math.pi * (d.timetuple().tm_yday - 200) / 365) for d in days])
    rate = one.per_month * base[one.of] / one.per / 30.4
    mean = np.outer(1 + one.season * year, rate) * _planted(name, recipe, codes, days)
    drawn = rng.poisson(mean).astype(np.float64)
    if one.mean is not None:
        size = rng.gamma((one.mean / one.spread) ** 2, one.spread**2 / one.mean, drawn.shape)
        drawn = np.round(drawn * size, 1)
    return drawn


def _planted(name: str, recipe: MadeUp, codes: npt.NDArray[np.object_], days: list[date]) -> Floats:
    """Factor of each day and unit, (days, units)."""
    factor = np.ones((len(days), len(codes)))
    for one in recipe.planted:
        if one.measure == name:
            when = np.array([one.first <= day < one.last for day in days])
            here = np.array([str(code).startswith(one.code) for code in codes])
            factor[np.ix_(when, here)] *= one.factor
    return factor


def _stock(
    name: str, one: Recipe, recipe: MadeUp, codes: npt.NDArray[np.object_], base: dict[str, Floats]
) -> pd.DataFrame:
    """Values of a state, month by month."""
    assert one.stock is not None
    assert one.of is not None
    frames = []
    for at, month in enumerate(spans("month", recipe.first, recipe.last)):
        value = np.round(one.stock * base[one.of] * (1 + one.growth) ** at)
        frames.append(
            pd.DataFrame(
                {
                    "code": codes,
                    "period": month.start.strftime("%Y-%m"),
                    "measure": name,
                    "value": value,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


__all__ = ["SAMPLES", "Sample", "load", "make", "read_sample", "sample_names"]
