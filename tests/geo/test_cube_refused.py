"""Rows, questions and areas that are no good are refused with the reason."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from geo.cube import (
    Cells,
    Columns,
    ColumnsError,
    Question,
    QuestionError,
    Snapshot,
    SnapshotError,
    Spec,
    UnitRanges,
    ask,
)
from geo.shapes import ShapeError

from .cube_ground import (
    AREAS,
    BIG,
    ROWS,
    T0,
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lon": [200.0]}, "row 0: lon 200.0 is out of range"),
        ({"lat": [-91.0]}, "row 0: lat"),
        ({"lon": [np.nan]}, "half a point"),
        ({"unit": [-1]}, "negative"),
        ({"time": [10**15]}, "time"),
        ({"kind": [300]}, "row 0: kind 300 is no uint8"),
        ({"time": [0.5]}, "row 0: time 0.5 is no int64"),
        ({"time": [0, 1]}, "time has shape"),
    ],
)  # fmt: skip
def test_bad_rows_are_refused(change: dict[str, list[float]], words: str) -> None:
    good: dict[str, list[float]] = {
        "lon": [120.0],
        "lat": [30.0],
        "time": [0],
        "kind": [0],
        "unit": [0],
    }
    with pytest.raises(ColumnsError, match=words):
        Columns(**{**good, **change})  # type: ignore[arg-type]


def test_bad_specs_and_kinds_are_refused() -> None:
    for kinds, zone in (
        ((), "UTC"),
        (("a", "a"), "UTC"),
        (("a",), "Mars/Olympus"),
        (tuple(map(str, range(257))), "UTC"),
    ):
        with pytest.raises(ValueError):  # noqa: PT011 several messages
            Spec(kinds, zone)
    with pytest.raises(SnapshotError, match="kind 2 is none of 1 kinds"):
        Snapshot.build(ROWS, Spec(("fire",)))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"end": T0}, "empty_span"),
        ({"end": T0 - 1}, "end_before_start"),
        ({"start": 0.5}, "bad_time"),
        ({"start": True}, "bad_time"),
        ({"kinds": set()}, "no_kinds"),
        ({"kinds": {"arson"}}, "unknown_kind"),
        ({"hours_of_week": np.zeros(168)}, "no_hours"),
        ({"hours_of_week": np.ones(24)}, "bad_hours"),
        ({"breakdowns": {"colour"}}, "unknown_breakdown"),
        ({"area": shapely.MultiPolygon()}, "empty_area"),
    ],
)
def test_bad_questions_are_refused(change: dict[str, object], reason: str) -> None:
    good: dict[str, object] = {"area": AREAS["box"], "start": T0, "end": T0 + 1}
    with pytest.raises(QuestionError) as caught:
        ask(BIG, Question(**{**good, **change}))  # type: ignore[arg-type]
    assert caught.value.reason == reason


def test_bad_areas_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for make in (
        lambda: UnitRanges(()),
        lambda: UnitRanges(((3, 3),)),
        lambda: Cells(np.zeros(0, np.uint64)),
    ):
        with pytest.raises(QuestionError, match=r"asked for|are none"):
            make()
    with pytest.raises(QuestionError, match="no H3 cell"):
        Cells(np.array([5], dtype=np.uint64))
    monkeypatch.setattr("geo.cube.cover.MOST_PIECES", 10)
    with pytest.raises(ShapeError) as caught:
        ask(BIG, Question(AREAS["star"], T0, T0 + 1))
    assert caught.value.reason == "too_complex"
