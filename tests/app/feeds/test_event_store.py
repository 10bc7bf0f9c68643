"""Storing the same events from two sides at once."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from app.services.event_mapping import parse_mapping
from app.services.event_store import EVENTS, EventStore


def events(names: list[str]) -> pa.Table:
    n = len(names)
    columns = [
        names, ["fire"] * n, np.full(n, "2024-01-01", "datetime64[us]"), np.full(n, 2, np.uint8),
        np.zeros(n, np.bool_), np.zeros(n, np.int32), [None] * n, [None] * n,
        np.full(n, 120.05), np.full(n, 30.05),
    ]  # fmt: skip
    arrays = [pa.array(v, f.type) for v, f in zip(columns, EVENTS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=EVENTS)


@pytest.mark.usefixtures("pack")
def test_copied_and_merged_at_once_in_opposite_orders(
    engine: sa.Engine, mapping: dict[str, Any]
) -> None:
    chosen = parse_mapping(mapping)
    copies, merges = EventStore(engine, "toy", chosen, 1), EventStore(engine, "toy", chosen, 1)
    for store in (copies, merges):
        assert store.store(events(["before"])) is not None
    copies._direct, merges._direct = True, False
    names = [f"n{number:05}" for number in range(20_000)]
    results: list[tuple[int, int] | BaseException] = []
    gate = threading.Barrier(2)

    def run(store: EventStore, of: list[str]) -> None:
        rows = events(of)
        gate.wait()
        try:
            results.append(store.store(rows))
        except BaseException as error:  # the test says which
            results.append(error)

    threads = [
        threading.Thread(target=run, args=(copies, names[::-1])),
        threading.Thread(target=run, args=(merges, names)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # whoever was first: each event once, and nobody is turned away
    assert sorted(map(str, results)) == ["(0, 0)", "(20000, 0)"]
    with engine.connect() as connection:
        assert connection.scalar(sa.text("select count(*) from event")) == len(names) + 1
