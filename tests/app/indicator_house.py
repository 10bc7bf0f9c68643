"""Indicators of the small map: the ecology scene over its towns, for tests that walk all doors."""

from __future__ import annotations

from datetime import date

import pandas as pd
import sqlalchemy as sa

from app.services import indicator_feeds, indicator_run
from app.services.scenes import load_scene

TOWNS = ("330101001", "330101002", "330101003", "330102001", "330102002")


def keep_indicators(engine: sa.Engine) -> int:
    """Feed and compute the scene ecology-watch for the small map; returns the run."""
    rows = []
    for year in (2023, 2024):
        for n, town in enumerate(TOWNS, start=1):
            given = {
                "reports": 10 * n, "handling_hours": 50 * n, "joint_actions": 6 + n,
                "devices": 100, "devices_online": 90 + n,
            }  # fmt: skip
            rows += [(town, f"{year}-01", measure, value) for measure, value in given.items()]
            rows += [(town, str(year), measure, 12 * value) for measure, value in given.items()]
    table = pd.DataFrame(rows, columns=["code", "period", "measure", "value"]).astype(str)
    scene = load_scene("ecology-watch")
    report = indicator_feeds.import_values(
        engine, table, scene=scene, pack="small", today=date(2025, 6, 30), simulated=True
    )
    assert not report.broken
    return indicator_run.run(engine, scene, "small", zone="Asia/Shanghai").id


def change_indicators(connection: sa.Connection, prefix: str) -> None:
    """Give the units below a prefix other values and names, which no program could."""
    connection.exec_driver_sql(
        "alter table indicator_result disable trigger indicator_result_fixed"
    )
    for statement in (
        (
            "update indicator_result set value = array(select 3 * v from unnest(value) v), "
            "numerator = array(select 3 * v from unnest(numerator) v), "
            "class = array(select 5::smallint from unnest(class)) where code like :their"
        ),
        "update indicator_value set value = value * 3 where code like :their",
        "update indicator_unit set name = name || '改' where code like :their",
    ):
        connection.execute(sa.text(statement), {"their": prefix + "%"})
