"""Conservation on real ground: Taiwan's three levels, 7,000 villages, several reference areas."""

from __future__ import annotations

import io
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import sqlalchemy as sa

from app.database import raw, transaction
from app.services.assess import assess
from app.services.boundaries import import_units
from app.services.caches import Caches
from app.services.runs import run_facts
from app.services.scenes import parse_scene
from app.services.units import read_units
from geo import exposure, risk

SCENE = """
name: by-area
title: {zh: 测试, en: Test}
reference_level: county
measures:
  area_km2: {zh: 面积, en: Area, unit: {zh: 平方千米, en: km²}}
kinds:
  fire: {zh: 火警, en: Fire, harm: 5, weights: {area_km2: 1}}
  theft: {zh: 偷盗, en: Theft, harm: 1, weights: {area_km2: 1}}
periods: [month, quarter]
colour_rule:
  version: 1
  red: {p_min: 0.95, theta_min: 1.5}
  orange: {p_min: 0.80, theta_min: 1.25}
  green: {p_max: 0.20, theta_max: 0.80}
"""
LEVELS = {
    "county": ("tw_counties", "COUNTY"),
    "town": ("tw_towns", "TOWN"),
    "village": ("tw_villages", "VILL"),
}


def _frame(folder: Path) -> gpd.GeoDataFrame:
    parts = []
    for level, (file, prefix) in LEVELS.items():
        frame = gpd.read_parquet(folder / "hierarchy" / f"{file}.parquet")
        names = [name for name in frame.columns if name.startswith(prefix)]
        code = next(name for name in names if name.endswith("CODE"))
        parts.append(
            gpd.GeoDataFrame(
                {"code": frame[code].astype(str), "level": level, "name": frame[code]},
                geometry=frame.geometry,
                crs=4326,
            )
        )
    return gpd.GeoDataFrame(pd.concat(parts, ignore_index=True), crs=4326)


def test_conservation_on_taiwan(engine: sa.Engine, shared: Path) -> None:
    with transaction(engine) as connection:
        version = import_units(
            connection, pack="taiwan", label="2021", frame=_frame(shared)
        ).version
        table = read_units(connection, version.id)
        random = np.random.default_rng(5)
        number = 30_000
        unit = random.integers(0, len(table) + 1, number)  # 0: known to no unit
        kind = random.choice(["fire", "theft"], number)
        month = random.integers(0, 5, number)
        source = connection.execute(
            sa.text(
                "insert into event_source (pack, name, crs, time_zone, mapping) "
                "values ('taiwan', 'feed', 'wgs84', 'Asia/Taipei', '{}') returning id"
            )
        ).scalar_one()
        lines = [
            f"{source}\t{n}\t{kind[n]}\t2024-0{month[n] + 1}-15 12:00+08\tcode\t"
            f"{version.id}\t{unit[n] or chr(92) + 'N'}\n"
            for n in range(number)
        ]  # fmt: skip
        raw(connection).cursor().copy_expert(
            "copy event (source_id, reference, kind, occurred_at, located_by, "
            "boundary_version_id, unit_id) from stdin",
            io.StringIO("".join(lines)),
        )
    run = assess(engine, "taiwan", parse_scene(SCENE), zone="Asia/Taipei")
    with engine.connect() as connection:
        facts = run_facts(connection, Caches(), run)
        rows = connection.execute(
            sa.text(
                "select unit_id, kind, period, observed, colour from assessment "
                "where run_id = :run and kind <> 'overall'"
            ),
            {"run": run},
        ).all()
        references = connection.execute(
            sa.text("select level, count(distinct reference_id) from run_rate group by 1")
        ).all()
        areas = dict(
            connection.execute(
                sa.text("select id, area_km2 from unit where boundary_version_id = :v"),
                {"v": version.id},
            ).all()
        )
    size = len(table) + 1
    found = {k: np.zeros((size, 5), int) for k in ("fire", "theft")}
    quarters = {k: np.zeros((size, 2), int) for k in ("fire", "theft")}
    colours = {k: np.zeros((size, 5), int) for k in ("fire", "theft")}
    for row in rows:
        (found if row.period == "month" else quarters)[row.kind][row.unit_id] = row.observed
        if row.period == "month":
            colours[row.kind][row.unit_id] = row.colour
    parent = np.concatenate([[0], table.parent_of])
    for name, counts in found.items():
        own = np.zeros((size, 5), int)
        np.add.at(own, (unit[kind == name], month[kind == name]), 1)
        below = np.zeros((size, 5), int)
        np.add.at(below, parent[1:], counts[1:])
        # Σ children + known only at this level = parent, for every unit and month
        assert (counts[1:] == below[1:] + own[1:]).all()
        assert (below[0] + own[0]).sum() == (kind == name).sum()
        assert (quarters[name][:, 0] == counts[:, :3].sum(axis=1)).all()
        assert (quarters[name][:, 1] == counts[:, 3:].sum(axis=1)).all()
    assert facts.located["no_unit"] == (unit == 0).sum()
    assert facts.event_count == number
    # counties are compared over the whole map, towns and villages inside their county
    with_parent = {
        level: len(np.unique(table.references(level, "county"))) for level in ("town", "village")
    }
    assert dict(map(tuple, references)) == {"county": 1, **with_parent}
    assert with_parent["village"] == 22
    # one county by hand
    county = table.range("county")[0]
    ids = np.flatnonzero(table.ancestors[:, 0] == county)
    ids = ids[table.level_of[ids - 1] == 2]
    share = exposure.kind_shares([[areas[i] for i in ids]], [[1.0]], np.zeros(len(ids)))[0]
    result = risk.filter_panel(found["fire"][ids].T.astype(float), share)
    alpha = risk.unit_alpha(result.alpha, result.flags)
    rule = risk.ColourRule(yellow=None)
    wanted = risk.colours(
        risk.exceedance(alpha, result.s, result.x),
        risk.relative_risk(alpha, result.s, result.x),
        rule,
    )
    assert (wanted == colours["fire"][ids].T).all()
    assert 3 not in np.unique(np.concatenate([*colours.values()]))
