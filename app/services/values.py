"""What the map needs to colour itself: one byte string per level, kind and period."""

from __future__ import annotations

import gzip
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.services.caches import Caches
from app.services.runs import Layer, RunFacts, run_facts
from app.services.tracks import parameters, read_alpha, read_slice
from app.services.units import UnitTable, unit_table
from geo import risk
from tiles.packed import pack


def compressed(
    connection: sa.Connection, caches: Caches, run: int, layer: Layer
) -> tuple[bytes, bytes]:
    """`values` as they are and as gzip, kept: a published run never changes.

    Whether the run is still there is asked of the database each time.

    Raises
    ------
    NotFound
        No such run, level, kind or period.
    """
    run_facts(connection, caches, run)

    def make() -> tuple[bytes, bytes]:
        body = values(connection, caches, run, layer)
        return body, gzip.compress(body, 4, mtime=0)

    return caches.payloads.get((run, layer), make)


def values(connection: sa.Connection, caches: Caches, run: int, layer: Layer) -> bytes:
    """Colours, then relative risks, of all units of a level in id order: `2 n` bytes.

    Byte `i` is the colour (0 … 5) of unit `first_id + i`, byte `n + i` its relative risk as in
    `packed_values.payload`. The rows of the counties are put together here, so a reader needs only
    `first_id` and `n` of the manifest.

    Raises
    ------
    NotFound
        No such run, level, kind or period.
    """
    facts = run_facts(connection, caches, run)
    facts.check(layer)
    table = unit_table(connection, caches, facts.version_id)
    first, count = table.range(layer.level)
    found = np.zeros((2, count), np.uint8)
    missing = table.members(layer.level, None)
    rows = connection.execute(
        sa.text(
            "select first_id, n, payload from packed_values where run_id = :run "
            "and level = :level and kind = :kind and period = :period and ord = :ord"
        ),
        {"run": run, **asdict(layer)},
    )
    for row in rows:
        at = row.first_id - first
        found[:, at : at + row.n] = np.frombuffer(row.payload, np.uint8).reshape(2, row.n)
        missing[at : at + row.n] = False
    if missing.any():
        # packed rows are cut by county: a jurisdiction inside one is answered from the units' rows
        _unpacked(connection, facts, table, layer, found=found, missing=missing)
    return found.tobytes()


def _unpacked(
    connection: sa.Connection,
    facts: RunFacts,
    table: UnitTable,
    layer: Layer,
    *,
    found: npt.NDArray[np.uint8],
    missing: npt.NDArray[np.bool_],
) -> None:
    """Fill the `missing` units of `found` (2, n) from `assessment`."""
    first, count = table.range(layer.level)
    rows = read_slice(connection, facts.id, layer, first, count)
    places = rows.ids - first
    references = table.references(layer.level, facts.scene.reference_level)[places]
    rates = read_alpha(connection, facts.id, layer.level, [layer.kind], layer.period)
    alpha = risk.unit_alpha(
        np.array([rates[int(one), layer.kind][layer.ord] for one in references], np.float64),
        rows.flags,
        parameters(facts),
    )
    theta = risk.relative_risk(alpha, rows.s, rows.x)
    payload = pack(rows.colour.astype(np.uint8), theta)
    wanted = missing[places]
    found[:, places[wanted]] = np.frombuffer(payload, np.uint8).reshape(2, len(places))[:, wanted]
