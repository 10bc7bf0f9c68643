"""The coloured map of a published run, as the database renders it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app.errors import NotFound
from tiles.levels import ZoomRange


@dataclass(frozen=True)
class ColouredLayer:
    """One run, level, kind and period that exists."""

    run: int
    level: str
    kind: str
    period: str
    ord: int
    title: str
    zooms: ZoomRange
    bounds: list[float]
    version: dict[str, Any]
    simulated: bool


def find(
    connection: sa.Connection, run: int, level: str, kind: str, *, period: str, order: int
) -> ColouredLayer:
    """Look a layer up.

    Raises
    ------
    NotFound
        No such published run, or the run lacks the level's tiles, the kind or the period; the
        message says which.
    """
    row = (
        connection.execute(
            sa.text(
                "select r.kinds, r.simulated, v.levels, v.pack, v.label, v.title_zh, v.title_en,"
                " v.source, v.licence, v.approximate, p.start, a.min_zoom, a.max_zoom, a.bounds"
                " from run r join boundary_version v on v.id = r.boundary_version_id"
                " left join run_period p"
                " on p.run_id = r.id and p.period = :period and p.ord = :ord"
                " left join tile_archive a on a.boundary_version_id = v.id and a.level = :level"
                " where r.id = :run and r.status = 'published'"
            ),
            {"run": run, "level": level, "period": period, "ord": order},
        )
        .mappings()
        .one_or_none()
    )
    if row is None:
        raise NotFound(f"there is no published run {run}")
    if level not in row["levels"]:
        raise NotFound(f"run {run} has no level {level!r}; it has {', '.join(row['levels'])}")
    if kind != "overall" and kind not in row["kinds"]:
        raise NotFound(f"run {run} has no kind {kind!r}")
    if row["start"] is None:
        raise NotFound(f"run {run} has no {period} number {order}")
    if row["min_zoom"] is None:
        raise NotFound(f"level {level!r} of run {run} has no tiles yet: run `wusetu tiles build`")
    return ColouredLayer(
        run, level, kind, period, order,
        f"{row['title_zh']} {row['title_en']} · {level} · {kind} · {row['start']:%Y-%m-%d}",
        ZoomRange(row["min_zoom"], row["max_zoom"]), list(row["bounds"]), dict(row),
        row["simulated"],
    )  # fmt: skip


def tile(connection: sa.Connection, layer: ColouredLayer, z: int, x: int, y: int) -> bytes:
    """Vector tile, not compressed; empty when nothing of the layer is there."""
    found = connection.execute(
        sa.text("select coloured_tile(:run, :level, :kind, :period, :ord, :z, :x, :y)"),
        {
            "run": layer.run, "level": layer.level, "kind": layer.kind, "period": layer.period,
            "ord": layer.ord, "z": z, "x": x, "y": y,
        },
    ).scalar()  # fmt: skip
    return bytes(found or b"")
