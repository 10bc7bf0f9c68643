"""Pooled runs read again: the list, clusters as GeoJSON, vector tiles.

Takes connections of the web's role: row security decides what is seen.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Any

import sqlalchemy as sa

from app.api import treaty_models as models
from app.api.border_models import Side
from app.api.models import Period, Words
from app.errors import NotFound
from app.services.periods import MONTHS, month_number

English = Callable[[str, str], str | None]

_RUNS = """
select r.*, t.name as treaty,
  (select coalesce(json_object_agg(seen, n), '{}') from (
     select seen, count(*) as n from pooled_cluster c where c.run_id = r.id group by seen) one) as seen,
  (select (c.months ->> 0)::int from run m join run_coverage c on c.run_id = m.id
   where m.pack = r.pack and m.status = 'published' order by m.id desc limit 1) as first
from pooled_run r join treaty t on t.id = r.treaty_id
where (cast(:pack as text) is null or r.pack = :pack) and (cast(:run as int) is null or r.id = :run)
  and (cast(:run as int) is not null or not exists (
    select from pooled_run n where n.treaty_id = r.treaty_id and n.period = r.period
      and n.start = r.start and n.id > r.id))
order by r.start desc, r.period, r.id desc
"""
METHOD = (
    (
        "泊松扫描统计量，圆窗至多含预期数的 {share:.0%}、半径至多 {radius:.0f} 千米；各侧预期数按本侧总数折算"
        "（记录率系数）；合看显著性水平 {alpha:g}，各侧单看 {own:.4g}，每类各自计；蒙特卡洛 {replicates} 次；"
        "等积投影 LAEA（118.1E 28.6N）。"
    ),
    (
        "Poisson scan statistic, circles up to {share:.0%} of what is expected and {radius:.0f} km; each "
        "side's expected counts scaled to its own total (reporting-rate factor); level {alpha:g} for all "
        "together, {own:.4g} for each side alone, for each kind; {replicates} Monte Carlo replicates; "
        "equal-area projection LAEA (118.1E 28.6N)."
    ),
)


def no_english(_pack: str, _code: str) -> str | None:
    """Without boundaries at hand there are no English names."""
    return None


def runs(
    connection: sa.Connection,
    *,
    pack: str | None = None,
    run: int | None = None,
    english: English = no_english,
) -> list[models.PooledRun]:
    """Pooled runs that may be seen: of every period the newest, or one by number.

    Parameters
    ----------
    english : pack and code of a side → its English name, the same for every side that asks
    """
    rows = connection.execute(sa.text(_RUNS), {"pack": pack, "run": run})
    return [_run(row, english) for row in rows]


def one_run(connection: sa.Connection, run: int, english: English = no_english) -> models.PooledRun:
    """One pooled run.

    Raises
    ------
    NotFound
        There is none that may be seen.
    """
    found = runs(connection, run=run, english=english)
    if not found:
        raise NotFound(f"no pooled run {run}")
    return found[0]


def _run(row: sa.Row[Any], english: English) -> models.PooledRun:
    number = {
        "share": row.max_share, "radius": row.max_radius / 1000, "alpha": row.alpha,
        "own": row.alpha / len(row.sides), "replicates": row.replicates,
    }  # fmt: skip
    seen = Counter(row.seen)
    return models.PooledRun(
        id=row.id, pack=row.pack, period=row.period, ord=ord_of(row.period, row.start, row.first),
        **{"from": row.start, "to": row.stop}, cutoff=row.cutoff, made_at=row.made_at,
        treaty=row.treaty, version=row.version,
        sides=[
            Side(code=one, name=row.names.get(one, one), name_en=english(row.pack, one))
            for one in row.sides
        ],
        method=Words(zh=METHOD[0].format(**number), en=METHOD[1].format(**number)),
        resolution=row.resolution, delay_days=row.delay_days, min_count=row.min_count,
        kinds=sorted(row.totals), factor=row.factor, totals=row.totals, sources=row.sources,
        alpha=row.alpha, alpha_alone=row.alpha / len(row.sides), replicates=row.replicates,
        seed=row.seed, seen={one: seen[one] for one in ("one", "several", "together")},
        simulated=row.simulated, digest=row.digest, tiles=f"/tiles/pooled/{row.id}/{{z}}/{{x}}/{{y}}.mvt",
    )  # fmt: skip


def ord_of(period: Period, start: date, first: int | None) -> int | None:
    """Index of a period in a map whose data begins in a month; None before it."""
    if first is None:
        return None
    size = MONTHS[period]
    found = month_number(start) // size - first // size
    return found if found >= 0 else None


_CLUSTERS = """
select number, kind, seen, pooled, p, llr, observed, expected, low, high, radius_m, cells, sides,
  st_x(centre) as lon, st_y(centre) as lat, st_asgeojson(geom, 6) as geometry
from pooled_cluster where run_id = :run order by number
"""


def clusters(
    connection: sa.Connection, run: int, english: English = no_english
) -> models.PooledClusters:
    """Clusters of a pooled run, first those only all together see.

    Raises
    ------
    NotFound
        There is no such run that may be seen.
    """
    about = one_run(connection, run, english)
    rows = connection.execute(sa.text(_CLUSTERS), {"run": run})
    features = [
        models.PooledFeature(
            id=row.number, geometry=json.loads(row.geometry), properties=_cluster(row, about)
        )
        for row in rows
    ]
    return models.PooledClusters(run=about, features=features)


def _cluster(row: sa.Row[Any], about: models.PooledRun) -> models.PooledCluster:
    parts = {one["side"]: one for one in row.sides}
    none = {"cells": 0, "observed": 0, "expected": 0.0, "low": None, "high": None,
            "p_alone": None, "found_alone": False}  # fmt: skip
    sides = []
    for side in about.sides:
        part = parts.get(side.code, {"side": side.code, **none})
        ratio = part["observed"] / part["expected"] if part["expected"] else None
        sides.append(
            models.PooledSide(name=side.name, name_en=side.name_en, relative_risk=ratio, **part)
        )
    return models.PooledCluster(
        number=row.number, kind=row.kind, seen=row.seen, pooled=row.pooled, crosses=len(parts) > 1,
        p=row.p, llr=row.llr, observed=row.observed, expected=row.expected,
        relative_risk=row.observed / row.expected, low=row.low, high=row.high,
        radius_m=row.radius_m, centre=(row.lon, row.lat), cells=[f"{one:x}" for one in row.cells],
        sides=sides, **{"from": about.start, "to": about.stop},
        reasons=_reasons(row, [one for one in sides if one.cells], about),
    )  # fmt: skip


def _reasons(row: sa.Row[Any], sides: list[models.PooledSide], about: models.PooledRun) -> Words:
    ratio = row.observed / row.expected
    zh = f"{row.observed} 件，预期 {row.expected:.1f} 件，为预期的 {ratio:.2f} 倍（{row.low:.2f}–{row.high:.2f}）"
    en = (
        f"{row.observed} events, {row.expected:.1f} expected: {ratio:.2f} times "
        f"({row.low:.2f}–{row.high:.2f})"
    )
    alone_zh = "，".join(
        f"{one.name} p={one.p_alone:.3f}" for one in sides if one.p_alone is not None
    )
    alone_en = ", ".join(
        f"{one.name_en or one.name} p={one.p_alone:.3f}" for one in sides if one.p_alone is not None
    )
    level = f"{about.alpha_alone:.4g}"
    if row.seen == "together":
        zh += f"。合看 p={row.p:.3f}；各侧单看都不显著（水平 {level}）：{alone_zh}。"
        en += f". Together p = {row.p:.3f}; no side alone finds it (level {level}): {alone_en}."
    elif row.seen == "several":
        zh += f"。合看 p={row.p:.3f}；多侧单看也能发现：{alone_zh}。"
        en += f". Together p = {row.p:.3f}; several sides find a part of it alone: {alone_en}."
    else:
        how = (f"合看 p={row.p:.3f}", f"together p = {row.p:.3f}") if row.pooled else (
            f"单看 p={row.p:.4f}（水平 {level}），合看不显著", f"alone p = {row.p:.4f} (level {level}), not together"
        )  # fmt: skip
        zh += f"。{how[0]}；一侧单看可见：{alone_zh}。"
        en += f". {how[1]}; one side finds it alone: {alone_en}."
    return Words(zh=zh, en=en)


_TILE = """
with asked as (
  select st_tileenvelope(:z, :x, :y) as tile,
    st_transform(st_tileenvelope(:z, :x, :y, margin => 0.0625), 4326) as wide
), cells as (
  select to_hex(c.cell) as cell, array_to_string(c.sides, ',') as sides,
    array_to_string(c.clusters, ',') as clusters, c.colours,
    st_asmvtgeom(st_transform(c.geom, 3857), a.tile, 4096, 64, true) as geom
  from asked a join pooled_cell c on c.geom && a.wide where c.run_id = :run
), clusters as (
  select c.number, c.seen, c.kind, c.p, c.observed, c.expected, c.radius_m,
    cardinality(c.cells) as cells, jsonb_array_length(c.sides) as sides,
    st_asmvtgeom(st_transform(c.geom, 3857), a.tile, 4096, 64, true) as geom
  from asked a join pooled_cluster c on c.geom && a.wide where c.run_id = :run
)
select coalesce((select st_asmvt(cells, 'cells', 4096, 'geom') from cells where geom is not null), '')
  || coalesce((select st_asmvt(clusters, 'clusters', 4096, 'geom', 'number') from clusters
               where geom is not null), '')
"""


def tile(connection: sa.Connection, run: int, z: int, x: int, y: int) -> bytes:
    """Vector tile of a pooled run.

    Layer `cells`: `cell` (H3), `sides`, `clusters` (numbers, comma-separated) and per kind, and for
    `overall`, the class 0 to 5. Layer `clusters`: feature id is the number; `seen kind p observed
    expected radius_m cells sides`.

    Raises
    ------
    NotFound
        There is no such run that may be seen.
    """
    there = connection.execute(
        sa.text("select exists (select from pooled_run where id = :run)"), {"run": run}
    ).scalar_one()
    if not there:
        raise NotFound(f"no pooled run {run}")
    found = connection.execute(sa.text(_TILE), {"run": run, "z": z, "x": x, "y": y}).scalar_one()
    return bytes(found or b"")
