"""Brute force for the cube: every event, one by one, in the words of the question."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import h3
import numpy as np
import shapely

from geo.cube import Answer, Cells, Columns, Question, Snapshot, Spec, UnitRanges, ask


def twin(rows: Columns, spec: Spec, q: Question) -> dict[str, object]:
    zone = ZoneInfo(spec.time_zone)
    out: dict[str, Counter] = {
        name: Counter()
        for name in ("kind", "day", "week", "month", "hour_of_week", "unit", "unplaced")
    }
    cells = set(q.area.ids.tolist()) if isinstance(q.area, Cells) else set()
    levels = {h3.get_resolution(h3.int_to_str(cell)) for cell in cells}
    total = 0
    for i in range(len(rows)):
        t, kind, unit = int(rows.time[i]), spec.kinds[rows.kind[i]], int(rows.unit[i])
        local = datetime.fromtimestamp(t, UTC).astimezone(zone)
        hour = local.weekday() * 24 + local.hour
        if not q.start <= t < q.end or (q.kinds is not None and kind not in q.kinds):
            continue
        if q.hours_of_week is not None and not q.hours_of_week[hour]:
            continue
        point = not np.isnan(rows.lon[i])
        if isinstance(q.area, UnitRanges):
            if not any(a <= unit < b for a, b in q.area.ranges):
                continue
            if not point:
                out["unplaced"][unit] += 1
        elif not point:
            if q.beside and any(a <= unit < b for a, b in q.beside.ranges):
                out["unplaced"][unit] += 1
            continue
        elif isinstance(q.area, Cells):
            x, y = float(rows.lon[i]), float(rows.lat[i])
            if not any(h3.str_to_int(h3.latlng_to_cell(y, x, level)) in cells for level in levels):
                continue
        elif not shapely.covers(q.area, shapely.Point(rows.lon[i], rows.lat[i])):
            continue
        total += 1
        day = local.date()
        out["kind"][kind] += 1
        out["day"][day] += 1
        out["week"][day - timedelta(days=day.weekday())] += 1
        out["month"][day.replace(day=1)] += 1
        out["hour_of_week"][hour] += 1
        out["unit"][unit] += 1
    return {"total": total, **{k: dict(v) for k, v in out.items()}}


def plain(answer: Answer, spec: Spec) -> dict[str, object]:
    def dated(series: object) -> dict[date, int]:
        assert series is not None
        return {k.item(): int(c) for k, c in zip(series.keys, series.counts, strict=True)}  # type: ignore[attr-defined]

    def keyed(series: object) -> dict[int, int]:
        assert series is not None
        assert list(series.keys) == sorted(set(series.keys))  # type: ignore[attr-defined]
        return {int(k): int(c) for k, c in zip(series.keys, series.counts, strict=True)}  # type: ignore[attr-defined]

    assert answer.by_kind is not None
    assert answer.by_hour_of_week is not None
    return {
        "total": answer.total,
        "kind": {k: int(c) for k, c in zip(spec.kinds, answer.by_kind, strict=True) if c},
        "day": dated(answer.by_day),
        "week": dated(answer.by_week),
        "month": dated(answer.by_month),
        "hour_of_week": {h: int(c) for h, c in enumerate(answer.by_hour_of_week) if c},
        "unit": keyed(answer.by_unit),
        "unplaced": keyed(answer.unplaced),
    }


def agree(rows: Columns, snapshot: Snapshot, q: Question, delta: object = None) -> None:
    """The answer is that of brute force over `rows`, whichever breakdowns are asked for."""
    want = twin(rows, snapshot.spec, q)
    fields = {
        name: getattr(q, name)
        for name in ("area", "start", "end", "kinds", "hours_of_week", "beside")
    }
    every = frozenset({"kind", "day", "week", "month", "hour_of_week", "unit"})
    got = plain(ask(snapshot, Question(**fields, breakdowns=every), delta), snapshot.spec)  # type: ignore[arg-type]
    assert got == want
    for asked in (set(), {"kind"}, {"day"}, {"kind", "month"}, {"unit"}, {"hour_of_week"}):
        one = ask(snapshot, Question(**fields, breakdowns=frozenset(asked)), delta)  # type: ignore[arg-type]
        assert one.total == want["total"]
        if "kind" in asked:
            assert one.by_kind is not None
            assert one.by_kind.tolist() == [want["kind"].get(k, 0) for k in snapshot.spec.kinds]  # type: ignore[attr-defined]
        if "day" in asked:
            assert one.by_day is not None
            assert {
                k.item(): c
                for k, c in zip(one.by_day.keys, one.by_day.counts.tolist(), strict=True)
            } == want["day"]
