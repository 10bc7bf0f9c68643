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

import sqlalchemy as sa

from app.database import make_engine
from app.services import snapshots
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
    """Store, correct and fold in until killed."""
    engine = make_engine(url)
    for batch in range(1000):
        names = [f"w{me}-{batch}-{n}" for n in range(25)]
        with engine.begin() as connection:
            connection.execute(INSERT, {"names": names})
            step("ingest")
        say(stored=names)
        step("acknowledged")
        with engine.begin() as connection:
            connection.execute(CORRECT, {"name": names[0]})
        snapshots.compact(engine, folder, "small", "Asia/Shanghai")


INSERT = sa.text(
    "insert into event (source_id, reference, kind, occurred_at, located_by, geom) "
    "select (select id from event_source), name, 'fire', '2024-01-01', 'point', "
    "st_setsrid(st_makepoint(119.5, 29.5), 4326) from unnest(cast(:names as text[])) name"
)
CORRECT = sa.text("update event set kind = 'theft' where reference = :name")
rename = os.rename
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
