"""A process that sends a queue of steps, or looks for alerts, until it is killed.

    python killed_tasks.py URL steps QUEUE.json
    python killed_tasks.py URL alerts RUN

Says a line after each thing done. Sends the whole queue from its beginning every time, as a phone does
that does not know what came through.
"""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path

from app.database import claim, make_engine, make_web_engine
from app.errors import Conflict
from app.services import alerts, tasks
from app.settings import DatabaseSettings


def steps(url: str, queue: Path) -> None:
    """Send the queue."""
    engine = make_web_engine(url, DatabaseSettings(url=url))
    for number, (task, step, key, detail) in enumerate(json.loads(queue.read_text())):
        with engine.begin() as connection:
            claim(connection, ("330101",), role="dispatcher")
            try:
                tasks.take(connection, task, step, key=uuid.UUID(key), detail=detail)
            except Conflict as error:
                print(f"refused {number} {error.message}", flush=True)
                continue
        print(f"done {number}", flush=True)


if __name__ == "__main__":
    if sys.argv[2] == "steps":
        steps(sys.argv[1], Path(sys.argv[3]))
    else:
        print("began", flush=True)
        alerts.update(make_engine(sys.argv[1]), int(sys.argv[3]))
    print("all done", flush=True)
