"""What all sides of a treaty told: from events of this installation, or from packages of others.

A side whose public key was registered here as another installation's tells by packages alone; every
other side's events lie here. A side that sent nothing yet is missing from the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import sqlalchemy as sa

from app.services import border as places
from app.services import treaty_packages as packages
from app.services.boundaries import newest_version
from app.services.treaties import Version
from app.services.treaty_side import SideTold, tell_side
from app.services.units import read_units


def foreign(connection: sa.Connection) -> set[str]:
    """Sides that tell by packages."""
    return set(
        connection.execute(sa.text("select distinct side from treaty_key where not own")).scalars()
    )


def gather(
    engine: sa.Engine, version: Version, *, on: date, zone: str,
    tell: Callable[[str], None] = lambda _text: None,
) -> tuple[list[SideTold], dict[str, Any]]:  # fmt: skip
    """Find what the sides told, and where it is from: side → digest.

    Raises
    ------
    NotFound, Invalid
        See `tell_side`.
    """
    with engine.connect() as connection:
        others = foreign(connection)
    found, sources = [], {}
    for side in version.terms.sides:
        if side in others:
            with engine.connect() as connection:
                one = packages.newest(connection, version, side)
            if one is None:
                tell(f"{side}: no package of version {version.terms.version} yet")
                continue
        else:
            one = tell_side(engine, version.pack, side, version.terms, on=on, zone=zone)
        tell(f"{side}: {len(one.cells):,} cells, told up to {one.cutoff}")
        found.append(one)
        sources[side] = one.digest()
    return found, sources


def ensure_lines(engine: sa.Engine, pack: str) -> None:
    """Find the shared lines of the newest boundaries, once."""
    with engine.begin() as connection:
        table = read_units(connection, newest_version(connection, pack).id)
        level = next((one for one in table.levels if table.range(one)[1] > 1), table.levels[-1])
        first, count = table.range(level)
        sides = {table.codes[i]: table.names[i] for i in range(first - 1, first - 1 + count)}
        places.ensure_lines(connection, table.version_id, level, sides)
