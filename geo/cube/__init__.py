"""Exact counts of events in any area and any time, at once. May import numpy, numba, shapely, h3.

Events are kept as sorted columns with a cumulative cube over blocks, kinds and local days. A
question takes whole blocks from the cube, whole tiles by binary search and tests only the events
of tiles that an edge touches, exactly. Promises: the answer equals testing every event one by one.

>>> import numpy as np
>>> from geo.shapes import circle
>>> rows = Columns(lon=[120.1, 120.2], lat=[30.2, 30.3], time=[0, 60], kind=[0, 1], unit=[5, 6])
>>> snapshot = Snapshot.build(rows, Spec(("fire", "theft")))
>>> ask(snapshot, Question(circle(120.1, 30.2, 1000), start=0, end=86_400)).total
1
"""

from pathlib import Path

from geo.cube.stale import forget, place

# before anything compiled is loaded
if _kept := place():
    forget(Path(__file__).parent, _kept)

from geo.cube.columns import Columns, ColumnsError, Delta, Spec
from geo.cube.engine import ask
from geo.cube.question import (
    BREAKDOWNS,
    Answer,
    Area,
    Cells,
    Question,
    QuestionError,
    Series,
    UnitRanges,
)
from geo.cube.snapshot import Snapshot
from geo.cube.store import SnapshotError

__all__ = [
    "BREAKDOWNS",
    "Answer",
    "Area",
    "Cells",
    "Columns",
    "ColumnsError",
    "Delta",
    "Question",
    "QuestionError",
    "Series",
    "Snapshot",
    "SnapshotError",
    "Spec",
    "UnitRanges",
    "ask",
]
