"""The events of the sample, made up: simulated, and written for the ordinary import.

Imports `geo.simulate` and `sample_packs`; no database. Promises: the same pack, number and seed give
the same file; the truth about planted risks and broken rows is written beside the events.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import yaml

from app.errors import Invalid
from app.services.sample_packs import Pack, plants, read_kinds, read_world
from geo import simulate as sim

SOURCE = "simulated"
_FORMATS = (".csv", ".parquet")


@dataclass(frozen=True)
class Made:
    """Events made for a pack, with the truth."""

    pack: Pack
    simulation: sim.Simulation
    plants: list[sim.Plant]
    names: Mapping[str, str]

    @property
    def good(self) -> int:
        """Rows that an import keeps."""
        rows: int = self.simulation.table.num_rows
        return rows - sum(self.simulation.bad.values())


def make_events(pack: Pack, events: int | None = None, seed: int | None = None) -> Made:
    """Make up the events of a pack.

    Parameters
    ----------
    events : int, optional
        About how many (before the planted risks); default: what the pack says. A small file has
        fewer broken rows.
    seed : int, optional
        Default: the pack's.
    """
    if events is not None and events < 1:
        raise Invalid(f"at least one event, not {events}")
    rule = pack.simulation
    world = read_world(pack)
    planted = plants(pack, world)
    wanted = events or rule.events
    scale = min(1.0, wanted / 50_000)
    bad = sim.Bad(**{k: max(1, round(v * scale)) for k, v in vars(sim.Bad()).items()})
    result = sim.simulate(
        world.places,
        read_kinds(),
        events=wanted,
        first=rule.first,
        last=rule.last,
        plants=planted,
        rng=np.random.default_rng(rule.seed if seed is None else seed),
        bad=bad,
        prefix=rule.prefix,
    )
    return Made(pack, result, planted, world.names)


def mapping_body(pack: Pack) -> dict[str, Any]:
    """Give the mapping of the made files for the ordinary import."""
    return {
        "source": SOURCE,
        "simulated": True,
        "scene": pack.scene,
        "crs": "wgs84",
        "time_zone": "Asia/Shanghai",
        "encoding": "utf-8",
        "columns": {
            "reference": "reference", "kind": "kind", "time": "occurred_at",
            "lon": "lon", "lat": "lat", "code": "code", "address": "address",
        },
        "kinds": {"words": {kind.word: name for name, kind in read_kinds().items()}},
    }  # fmt: skip


def write_events(made: Made, out: Path) -> dict[str, Path]:
    """Write events to `out` (.csv or .parquet), and beside it mapping, truth and counts.

    Returns
    -------
    dict
        `events`, `mapping`, `truth`, `counts` → path.

    Raises
    ------
    Invalid
        Another ending, or the folder cannot be written.
    """
    if out.suffix.lower() not in _FORMATS:
        raise Invalid(f"{out.name}: a made file ends in {' or '.join(_FORMATS)}")
    files = {
        "events": out,
        "mapping": out.with_suffix(".mapping.yaml"),
        "truth": out.with_suffix(".truth.csv"),
        "counts": out.with_suffix(".counts.json"),
    }
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = out.with_name(out.name + ".part")
        if out.suffix.lower() == ".csv":
            pyarrow.csv.write_csv(made.simulation.table, partial)
        else:
            pyarrow.parquet.write_table(made.simulation.table, partial, compression="zstd")
        partial.replace(out)
        text = yaml.safe_dump(mapping_body(made.pack), allow_unicode=True, sort_keys=False)
        files["mapping"].write_text(
            f"# Made-up events of the sample pack {made.pack.pack}: not real.\n" + text,
            encoding="utf-8",
        )
        with files["truth"].open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["code", "name", "kind", "first", "last", "relative_risk", "story"])
            for plant in made.plants:
                writer.writerow([plant.code, made.names[plant.code], plant.kind or "all",
                                 plant.first, plant.last, plant.relative_risk, plant.story])  # fmt: skip
        body = {
            "rows": made.simulation.table.num_rows,
            "good": made.good,
            "located": dict(made.simulation.located),
            "disagreeing": made.simulation.disagreeing,
            "broken": dict(made.simulation.bad),
        }
        files["counts"].write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise Invalid(f"{out} cannot be written: {error.strerror or error}") from error
    return files
