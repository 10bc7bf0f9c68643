"""A made-up address base over the units of a map, and addresses as people write them.

Imports `geo.addresses.sample` and the base. Promises: seeded; stored through the ordinary import.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from app.services import address_base
from app.services.boundaries import newest_version
from geo.addresses.sample import Writer, make_base

SOURCE = "made up for the sample: names recombined, numbers drawn"


def load(engine: sa.Engine, pack: str, addresses: int, seed: int) -> address_base.BaseReport:
    """Make and store a base of about so many addresses.

    Raises
    ------
    NotFound, Invalid
        No such map, or its codes cannot be cut.
    """
    with engine.connect() as connection:
        units = address_base.read_units(connection, newest_version(connection, pack))
    rows = make_base(units, np.random.default_rng(seed), addresses)
    return address_base.store(engine, pack, rows, SOURCE, simulated=True)


def write_noisy(engine: sa.Engine, pack: str, path: Path, rows: int, seed: int) -> int:
    """Write addresses of the base with noise: `address`, `means` (code of the building)."""
    with engine.connect() as connection:
        version = newest_version(connection, pack)
        units = address_base.read_units(connection, version)
        table = address_base.read_rows(connection, pack)
        old: dict[str, list[str]] = {}
        for name, meaning in address_base.other_names(connection, pack, version).items():
            for code in meaning.codes:
                old.setdefault(code, []).append(name)
    rng = np.random.default_rng(seed + 1)
    writer = Writer(units, old)
    count = min(rows, int(table.num_rows))
    picked = table.take(rng.choice(table.num_rows, count, replace=False)).to_pylist()
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["address", "means"])
        out.writerows(writer.written(row, rng) for row in picked)
    return count
