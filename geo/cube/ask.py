"""A question to a snapshot and what changed since. May import the files beside this one."""

from __future__ import annotations

from geo.cube.columns import Delta
from geo.cube.question import Answer, Question
from geo.cube.snapshot import Snapshot
from geo.cube.tally import Tally


def ask(snapshot: Snapshot, question: Question, delta: Delta | None = None) -> Answer:
    """Count exactly.

    Parameters
    ----------
    snapshot : Snapshot
        All events at one moment.
    question : Question
        Area, time, kinds, hours of the week, breakdowns.
    delta : Delta, optional
        What changed since; every row is looked at, so keep it small (100,000 rows cost a few ms).

    Raises
    ------
    QuestionError
        `unknown_kind`: a kind that is not in the snapshot's spec.
    ShapeError
        `too_complex`: so many edges run through the map that an answer would take gigabytes.

    """
    tally = Tally(snapshot.spec, question)
    tally.add(snapshot.columns())
    if delta is not None:
        tally.add(delta.added)
        tally.add(delta.removed, -1)
    return tally.answer()
