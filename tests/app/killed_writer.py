"""Program of `test_snapshots`: stores events and folds them in until it is killed, over and over.

Arguments: database URL and data folder. Each line of standard input names a stage and at which of
its moments, counted from 1, the next writer ends itself with SIGKILL; writers are forks of this
program, so that what takes long to import is imported once. Every moment is one before (or just
after) something reaches the disk or the database. What was acknowledged goes to standard output,
one JSON object per line, then the exit status.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from app.database import make_engine
from app.services import snapshots
from app.services.event_fresh import FreshRows
from app.services.event_mapping import parse_mapping
from app.services.event_store import EVENTS, EventStore
from geo.cube import store

url, folder = sys.argv[1], Path(sys.argv[2])
wanted = {"stage": "", "left": 0}


def say(**words: object) -> None:
    """Write a line that survives us."""
    os.write(1, (json.dumps(words) + "\n").encode())


def step(about: str) -> None:
    """Count a moment; end at the one we were told."""
    wanted["left"] -= about == wanted["stage"]
    if wanted["left"] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def before(about: str, function: Callable[..., Any], after: bool = False) -> Callable[..., Any]:
    """Let a function be one of the moments: just before it, or just after."""

    def wrapped(*args: Any, **more: Any) -> Any:
        if not after:
            step(about)
        found = function(*args, **more)
        if after:
            step(about)
        return found

    return wrapped


def write(me: int) -> None:
    """Store as an import does, correct and fold in until killed."""
    engine = make_engine(url)
    with engine.connect() as connection:
        version = connection.scalar(sa.text("select max(id) from boundary_version"))
    fresh = FreshRows(folder)
    stored = EventStore(engine, "small", MAPPING, version, fresh)
    for batch in range(1000):
        names = [f"w{me}-{batch}-{n}" for n in range(25)]
        stored.store(events(names))
        say(stored=names)
        step("acknowledged")
        if batch % 2:  # one of every second batch: it is read back, the others are not
            with engine.begin() as connection:
                connection.execute(CORRECT, {"name": names[0]})
        snapshots.renew(engine, folder, "small", "Asia/Shanghai", delta_rows=1, fresh=fresh)


def events(names: list[str]) -> pa.Table:
    """Fires at one place."""
    n = len(names)
    columns = [
        names, ["fire"] * n, np.full(n, "2024-01-01", "datetime64[us]"), np.full(n, 2, np.uint8),
        np.zeros(n, np.bool_), np.zeros(n, np.int32), [None] * n, [None] * n,
        np.full(n, 119.5), np.full(n, 29.5),
    ]  # fmt: skip
    arrays = [pa.array(v, f.type) for v, f in zip(columns, EVENTS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=EVENTS)


MAPPING = parse_mapping(
    {
        "source": "feed",
        "simulated": True,
        "columns": {"reference": "ref", "kind": "kind", "time": "at", "lon": "lon", "lat": "lat"},
    }
)
CORRECT = sa.text("update event set kind = 'theft' where reference = :name")
rename = os.rename
# in the transaction of a batch, when all of it was sent
FreshRows.add = before("ingest", FreshRows.add)  # type: ignore[method-assign]
store.os.fsync = before("file", os.fsync)  # type: ignore[attr-defined]
store.os.rename = before("rename", rename)  # type: ignore[attr-defined]
snapshots.shutil.rmtree = before("remove", snapshots.shutil.rmtree)  # type: ignore[attr-defined]
snapshots._put_in_place = before("publish", snapshots._put_in_place, after=True)
snapshots.clean = before("clean", snapshots.clean)

for number, line in enumerate(sys.stdin):
    stage, moment = line.split()
    child = os.fork()
    if child == 0:
        wanted.update(stage=stage, left=int(moment))
        write(number)
    _, status = os.waitpid(child, 0)
    say(killed=os.waitstatus_to_exitcode(status))
