"""The sample packs of `data/boundaries/` read: what they say, their units, their planted risks.

Imports `geo.simulate`, `geo.exposure`, `app.services.scenes`; no database. Promises: a pack file is
checked completely and what is wrong is named by its field; planted risks are drawn from the pack's
own seed, so the same pack has the same truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from app.errors import Invalid, NotFound
from app.settings import PROJECT
from geo import simulate as sim

PACKS = PROJECT / "data" / "boundaries"
_EARTH_KM = 6371.0088


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Words(_Part):
    """A title in both languages."""

    zh: str
    en: str


class Near(_Part):
    """All units of a level whose label point lies within `km` of a point (longitude, latitude)."""

    point: tuple[float, float]
    km: Annotated[float, Field(gt=0)]
    level: str = "village"


class PlantRule(_Part):
    """A planted risk of the pack file; without days it lasts all the time."""

    code: str | None = None
    near: Near | None = None
    kind: str | None = None
    relative_risk: Annotated[float, Field(gt=0)]
    first: date | None = None
    last: date | None = None
    story: str = ""


class ScatterRule(_Part):
    """Planted risks on units drawn by lot, with a relative risk between `low` and `high`.

    `kinds`: `one` (drawn by frequency) or `all`. A third of them lasts all the time, a third
    begins and a third ends on the way.
    """

    count: Annotated[int, Field(ge=1)]
    level: str
    kinds: Literal["one", "all"]
    low: Annotated[float, Field(gt=0)]
    high: Annotated[float, Field(gt=0)]


class SimulationRule(_Part):
    """How the events of a pack are made; days are local, `[first, last)`."""

    events: Annotated[int, Field(ge=1)]
    seed: int
    first: date
    last: date
    prefix: str
    plants: list[PlantRule] = []
    scatter: list[ScatterRule] = []


class ExposureRule(_Part):
    """What is said about the exposures of a pack."""

    source: str


class TreatyRule(_Part):
    """A treaty between the units of the coarsest level, and how many newest periods are pooled."""

    name: str
    resolution: int
    periods: list[Literal["month", "quarter", "year"]]
    delay_days: int
    min_count: int
    kinds: list[str]
    newest: dict[Literal["month", "quarter", "year"], int]
    replicates: Annotated[int, Field(ge=19)]


class Pack(_Part):
    """`pack.yaml`."""

    pack: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    label: str
    title: Words
    layout: str
    scene: str
    addresses: int = Field(
        default=0, ge=0, description="Made-up addresses of its address base; 0: none"
    )
    scenes: list[str] = Field(default=[], description="Scenes whose sample feeds are loaded too")
    valid_from: date
    source: str
    licence: str
    real: list[str]
    approximate: list[str]
    provinces: dict[str, str]
    exposures: ExposureRule
    simulation: SimulationRule
    treaty: TreatyRule | None = None

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return PACKS / self.pack


def pack_names() -> list[str]:
    """Packs that ship with the project."""
    return sorted(path.parent.name for path in PACKS.glob("*/pack.yaml"))


def read_pack(name: str) -> Pack:
    """Read `data/boundaries/<name>/pack.yaml`.

    Raises
    ------
    NotFound
        No such pack; the message names those there are.
    Invalid
        The file does not say what it should.
    """
    path = PACKS / name / "pack.yaml"
    if name not in pack_names():
        raise NotFound(f"no sample pack {name!r}; there are {', '.join(pack_names()) or 'none'}")
    try:
        return Pack.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        wrong = [
            f"{name}/pack.yaml, {'.'.join(map(str, one['loc'])) or 'pack'}: {one['msg']}"
            for one in error.errors(include_url=False, include_context=False)
        ]
        raise Invalid("\n".join(wrong)) from error
    except yaml.YAMLError as error:
        raise Invalid(f"{name}/pack.yaml: not YAML: {error}") from error


def read_kinds() -> dict[str, sim.Kind]:
    """Kinds of `data/boundaries/simulation.yaml`, in scene order."""
    body = yaml.safe_load((PACKS / "simulation.yaml").read_text(encoding="utf-8"))
    return {
        kind: sim.Kind(
            word=str(one["word"]),
            weight=float(one["weight"]),
            season=tuple(body["seasons"][one["season"]]),
            hours=tuple(body["hours"][one["hours"]]),
            weekend=float(one["weekend"]),
        )
        for kind, one in body["kinds"].items()
    }


@dataclass(frozen=True)
class World:
    """A pack read for the simulator: its leaf units, and all units to plant risks in."""

    places: sim.Places
    codes: npt.NDArray[np.object_]
    names: Mapping[str, str]
    levels: npt.NDArray[np.object_]
    shapes: npt.NDArray[np.object_]


def read_world(pack: Pack) -> World:
    """Read units and exposures of a pack."""
    import geopandas as gpd
    import pandas as pd

    from app.services.scenes import load_scene
    from geo.exposure import kind_shares

    units = gpd.read_parquet(pack.folder / "units.parquet")
    leaves = units[units.level == "grid"].sort_values("code")
    scene = load_scene(pack.scene)
    table = pd.read_parquet(pack.folder / "exposures.parquet").pivot_table(
        index="code", columns="measure", values="value"
    )
    exposure = table.reindex(leaves.code)[list(scene.measures)].to_numpy(np.float64).T
    # events happen where the exposure is not known, too: as in the middle of all grids
    middle = np.nanmedian(exposure, axis=1, keepdims=True)
    exposure = np.where(np.isnan(exposure), middle, exposure)
    weights = np.array(
        [[k.weights.get(m, 0.0) for m in scene.measures] for k in scene.kinds.values()]
    )
    share = kind_shares(exposure, weights, np.zeros(len(leaves)))
    names = dict(zip(units.code, units.name, strict=True))
    codes = leaves.code.to_numpy(dtype=object)
    villages: dict[str, str] = {}
    for village in sorted({code[:12] for code in codes}):
        steps = (names[village[:n]] for n in (4, 6, 9, 12))
        villages[village] = pack.provinces[village[:2]] + "".join(steps)
    grid = [names[code].removeprefix(names[code[:12]]) for code in codes]
    places = sim.Places(
        codes=codes,
        shapes=leaves.geometry.to_numpy(),
        share=np.nan_to_num(share),
        address=np.array([villages[code[:12]] for code in codes], dtype=object),
        grid_name=np.array(grid, dtype=object),
    )
    return World(
        places,
        units.code.to_numpy(dtype=object),
        names,
        units.level.to_numpy(dtype=object),
        units.geometry.to_numpy(),
    )


def plants(pack: Pack, world: World) -> list[sim.Plant]:
    """Planted risks of a pack, one per unit."""
    import shapely

    rule = pack.simulation
    found: list[sim.Plant] = []
    for one in rule.plants:
        if one.near is not None:
            level = world.levels == one.near.level
            spot = shapely.centroid(world.shapes[level])
            lon, lat = shapely.get_x(spot), shapely.get_y(spot)
            x = np.radians(lon - one.near.point[0]) * np.cos(np.radians(one.near.point[1]))
            y = np.radians(lat - one.near.point[1])
            codes = world.codes[level][_EARTH_KM * np.hypot(x, y) <= one.near.km].tolist()
        else:
            codes = [one.code]
        for code in codes:
            if code not in world.names:
                raise Invalid(f"{pack.pack}/pack.yaml: a plant names {code}, which is no unit")
            found.append(
                sim.Plant(
                    code, one.kind, one.first or rule.first, one.last or rule.last,
                    one.relative_risk, one.story,
                )
            )  # fmt: skip
    return found + scattered(pack, world, found)


def scattered(pack: Pack, world: World, planted: list[sim.Plant]) -> list[sim.Plant]:
    """Planted risks drawn by lot; no unit twice, none above, below or at one planted before."""
    rule = pack.simulation
    rng = np.random.default_rng([rule.seed, 1])
    kinds = read_kinds()
    weight = np.array([kind.weight for kind in kinds.values()])
    months = sim.month_starts(rule.first, rule.last)
    taken = {plant.code for plant in planted}
    found: list[sim.Plant] = []
    for one in rule.scatter:
        here = world.codes[world.levels == one.level]
        free = [
            code
            for code in here
            if not any(code.startswith(other) or other.startswith(code) for other in taken)
        ]
        for i, code in enumerate(rng.permutation(np.array(free, dtype=object))[: one.count]):
            kind = str(rng.choice(list(kinds), p=weight / weight.sum()))
            turn = months[int(rng.integers(len(months) // 4, len(months) * 3 // 4))]
            risk = float(np.exp(rng.uniform(np.log(one.low), np.log(one.high))))
            found.append(
                sim.Plant(
                    code,
                    kind if one.kinds == "one" else None,
                    turn if i % 3 == 1 else rule.first,
                    turn if i % 3 == 2 else rule.last,
                    round(risk, 2),
                    f"by lot: {('lasting', 'new', 'ended')[i % 3]}",
                )
            )
        taken |= {plant.code for plant in found}
    return found
