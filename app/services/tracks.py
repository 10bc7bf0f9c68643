"""Stored results of a run as arrays: one track per unit, kind and period type.

The one place that reads `assessment`, `run_rate`, `run_unit` and `packed_values`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.database import raw
from app.services.binary_copy import read_columns
from app.services.runs import Layer, RunFacts
from app.services.scenes import OVERALL
from app.services.units import UnitTable
from geo import risk

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Track:
    """Everything stored of one unit and kind, arrays (T,) over the periods of one type.

    `s`, `x`, `k` are those of METHODS 3; for the kind `overall` they are on the scale of O' and E'
    (METHODS 5), while `observed` and `expected` are the plain sums over the kinds.
    """

    observed: Ints
    expected: Floats
    s: Floats
    x: Floats
    k: Floats
    colour: Ints
    flags: Ints

    @property
    def fresh_observed(self) -> Floats:
        """O, or O' of the overall: S without what was remembered. Shape (T,)."""
        return np.asarray(self.s - self.k * np.concatenate([[0.0], self.s[:-1]]))

    @property
    def fresh_expected(self) -> Floats:
        """E, or E' of the overall: X without what was remembered. Shape (T,)."""
        return np.asarray(self.x - self.k * np.concatenate([[0.0], self.x[:-1]]))


def read_tracks(
    connection: sa.Connection, run: int, unit_ids: Sequence[int], kinds: Sequence[str], period: str
) -> dict[tuple[int, str], Track]:
    """Tracks of some units and kinds, keyed by unit id and kind."""
    rows = connection.execute(
        sa.text(
            "select unit_id, kind, observed, expected, memory_s, memory_x, memory_k, colour, flags "
            "from assessment where run_id = :run and unit_id = any(:units) "
            "and kind = any(:kinds) and period = :period"
        ),
        {"run": run, "units": list(unit_ids), "kinds": list(kinds), "period": period},
    )
    return {
        (row.unit_id, row.kind): Track(
            observed=np.array(row.observed, np.int32),
            expected=np.array(row.expected, np.float64),
            s=np.array(row.memory_s, np.float64),
            x=np.array(row.memory_x, np.float64),
            k=np.array(row.memory_k, np.float64),
            colour=np.array(row.colour, np.int32),
            flags=np.array(row.flags, np.int32),
        )
        for row in rows
    }


@dataclass(frozen=True, eq=False)
class Slice:
    """One period of many units, arrays (n,) in the order of `ids`; the fields of `Track`."""

    ids: Ints
    observed: Ints
    expected: Floats
    s: Floats
    x: Floats
    k: Floats
    fresh_observed: Floats
    fresh_expected: Floats
    colour: Ints
    flags: Ints


SLICE = """
copy (
  select unit_id, observed[{i}], expected[{i}], memory_s[{i}], memory_x[{i}], memory_k[{i}],
    coalesce(memory_s[{i} - 1], 0), coalesce(memory_x[{i} - 1], 0), colour[{i}], flags[{i}]
  from assessment where run_id = {run} and kind = %s and period = %s
    and unit_id between {first} and {last} order by unit_id
) to stdout (format binary)
"""
SLICE_TYPES = (">i4", ">i4", *(">f8",) * 6, ">i2", ">i2")


def read_slice(connection: sa.Connection, run: int, layer: Layer, first: int, count: int) -> Slice:
    """Read one period of the units `first` … `first + count - 1`, in id order."""
    # arrays of the database count from 1; the element before the first is null
    query = SLICE.format(i=int(layer.ord) + 1, run=int(run), first=first, last=first + count - 1)
    buffer = io.BytesIO()
    with raw(connection).cursor() as cursor:
        cursor.copy_expert(cursor.mogrify(query, (layer.kind, layer.period)).decode(), buffer)
    columns = read_columns(buffer.getvalue(), SLICE_TYPES)
    ids, observed, expected, s, x, k, s0, x0, colour, flags = columns
    return Slice(
        ids=ids.astype(np.int32),
        observed=observed.astype(np.int32),
        expected=expected,
        s=s,
        x=x,
        k=k,
        fresh_observed=s - k * s0,
        fresh_expected=x - k * x0,
        colour=colour.astype(np.int32),
        flags=flags.astype(np.int32),
    )


def read_alpha(
    connection: sa.Connection,
    run: int,
    level: str,
    kinds: Sequence[str],
    period: str,
) -> dict[tuple[int, str], Floats]:
    """Strength of the prior per period, (T,), keyed by reference area and kind."""
    rows = connection.execute(
        sa.text(
            "select reference_id, kind, alpha from run_rate where run_id = :run "
            "and level = :level and kind = any(:kinds) and period = :period"
        ),
        {"run": run, "level": level, "kinds": list(kinds), "period": period},
    )
    return {(row.reference_id, row.kind): np.array(row.alpha, np.float64) for row in rows}


def parameters(facts: RunFacts) -> risk.DebParameters:
    """Filter parameters of the run's scene."""
    return risk.DebParameters(**facts.scene.filter.model_dump())


def track_alpha(facts: RunFacts, alpha: Floats, track: Track) -> Floats:
    """Strength of the prior of one unit per period, (T,): weaker where its counts are suspect."""
    return risk.unit_alpha(alpha, track.flags, parameters(facts))


def reference_of(facts: RunFacts, table: UnitTable, unit_id: int) -> int:
    """Find the reference area of one unit: unit id, 0 the whole map."""
    level = table.levels[table.level_of[unit_id - 1]]
    first, _ = table.range(level)
    return int(table.references(level, facts.scene.reference_level)[unit_id - first])


def read_exposures(connection: sa.Connection, run: int, unit_id: int) -> sa.Row[Any] | None:
    """Exposures, shares and complexity of one unit in a run."""
    return connection.execute(
        sa.text(
            "select exposures, shares, complexity from run_unit "
            "where run_id = :run and unit_id = :unit"
        ),
        {"run": run, "unit": unit_id},
    ).one_or_none()


def read_colours(
    connection: sa.Connection,
    facts: RunFacts,
    table: UnitTable,
    layer: Layer,
    within: int | None = None,
    *,
    kinds: Sequence[str],
    ords: Sequence[int],
) -> dict[tuple[str, int], npt.NDArray[np.uint8]]:
    """Colours of the units of a layer's level and period type inside `within`, from packed rows.

    Keyed by kind and ord; those of the layer itself are not read unless they are asked for.
    Only the colour half of each payload leaves the database, and only of the counties that hold
    units of the scope.
    """
    members = table.members(layer.level, within)
    first, count = table.range(layer.level)
    ids = np.flatnonzero(members) + first
    low, high = (int(ids[0]), int(ids[-1])) if len(ids) else (0, -1)
    found = {(kind, ord_): np.zeros(count, np.uint8) for kind in kinds for ord_ in ords}
    rows = connection.execute(
        sa.text(
            "select kind, ord, first_id, n, substring(payload from 1 for n) as colours "
            "from packed_values where run_id = :run and level = :level and period = :period "
            "and kind = any(:kinds) and ord = any(:ords) "
            "and first_id <= :high and first_id + n > :low"
        ),
        {
            "run": facts.id,
            "level": layer.level,
            "period": layer.period,
            "kinds": list(kinds),
            "ords": list(ords),
            "low": low,
            "high": high,
        },
    )
    missing = members.copy()
    for row in rows:
        at = row.first_id - first
        found[row.kind, row.ord][at : at + row.n] = np.frombuffer(row.colours, np.uint8)
        missing[at : at + row.n] = False
    if missing.any():
        ids = np.flatnonzero(missing) + first
        _unpacked_colours(connection, facts, layer, found, ids=ids, first=first)
    return {key: colours[members] for key, colours in found.items()}


def _unpacked_colours(
    connection: sa.Connection,
    facts: RunFacts,
    layer: Layer,
    found: dict[tuple[str, int], npt.NDArray[np.uint8]],
    *,
    ids: npt.NDArray[np.int64],
    first: int,
) -> None:
    """Fill units whose packed row may not be read: it is cut by county, the jurisdiction is not."""
    rows = connection.execute(
        sa.text(
            "select unit_id, kind, colour from assessment where run_id = :run "
            "and period = :period and kind = any(:kinds) and unit_id = any(:ids)"
        ),
        {
            "run": facts.id,
            "period": layer.period,
            "kinds": list({kind for kind, _ in found}),
            "ids": ids.tolist(),
        },
    ).all()
    for row in rows:
        for (kind, ord_), colours in found.items():
            if kind == row.kind:
                colours[row.unit_id - first] = row.colour[ord_]


def scope_kinds(facts: RunFacts) -> list[str]:
    """Kinds of a run with `overall` first, as the manifest lists them."""
    return [OVERALL, *facts.kinds]
