"""Compile what counts and locates, once: test workers and servers that start side by side would each do it.

    python scripts/compiled.py

What was compiled is kept beside the sources; a second run takes a second.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import shapely

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from geo.cube import Columns, Question, Snapshot, Spec, ask
from geo.locate import LocateIndex
from geo.shapes import circle

EVENTS, START, DAY = 3_000, 1_700_000_000, 86_400


def main() -> None:
    """Ask one question of each kind of a small snapshot, and where its events lie."""
    dice = np.random.default_rng(1)
    lon, lat = dice.uniform(120, 120.2, EVENTS), dice.uniform(30, 30.2, EVENTS)
    rows = Columns(
        lon, lat, START + dice.integers(0, 60 * DAY, EVENTS),
        dice.integers(0, 2, EVENTS).astype(np.uint8),
        dice.integers(1, 9, EVENTS).astype(np.int32), np.zeros(EVENTS, np.uint8),
    )  # fmt: skip
    snapshot = Snapshot.build(rows, Spec(("a", "b"), "Asia/Shanghai"))
    corners = [(120.02, 30.1), (120.1, 30.02), (120.18, 30.1), (120.1, 30.18)]
    diamond = shapely.MultiPolygon([shapely.Polygon(corners)])
    for area in (diamond, circle(120.1, 30.1, 800)):
        for breakdowns in (frozenset[str](), frozenset({"kind"}), frozenset({"kind", "month"})):
            ask(snapshot, Question(area, START + 5, START + 30 * DAY + 7, breakdowns=breakdowns))
    LocateIndex.build(np.array([diamond]), np.array([1])).locate(lon, lat)


if __name__ == "__main__":
    main()
