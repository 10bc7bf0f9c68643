"""What the map needs to colour itself: one byte string per level, kind and period."""

from __future__ import annotations

import gzip
from dataclasses import asdict

import numpy as np
import sqlalchemy as sa

from app.services.caches import Caches
from app.services.runs import Layer, run_facts
from app.services.units import unit_table


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
    first, count = unit_table(connection, caches, facts.version_id).range(layer.level)
    found = np.zeros((2, count), np.uint8)
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
    return found.tobytes()
