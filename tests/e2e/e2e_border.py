"""A map with borders for the browser: the four cities of the alliance down to the town, two desks.

Real shapes and codes of 35 counties and 580 towns; about 18,000 made-up events of fourteen months
with points, and a doubled risk where three provinces meet. Each city has a border officer; both sides of
one shared line have a duty desk, a checkpoint and a zone in force.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import sqlalchemy as sa
from e2e_map import load_layout_file
from playwright.sync_api import APIRequestContext

from app.database import make_engine, transaction
from app.security.identity import Role
from app.services import (
    accounts,
    border_assess,
    events,
    exposures,
    tile_archives,
    treaties,
    treaty_sources,
)
from app.services.assess import assess
from app.services.boundaries import import_units
from app.settings import PROJECT

PACK = "alliance"
SIDES = ("3308", "3410", "3507", "3611")
#: Two sides, their counties at the shared line, and the place three provinces meet.
MINE, THEIRS = "3308", "3410"
KAIHUA, XIUNING = "330824", "341022"
CORNER = (118.19, 29.40)
#: A place on each side of the line of Kaihua and Xiuning.
HERE, OVER = (118.26, 29.42), (118.24, 29.45)
ZONE = "齐溪–龙田联控区"
PASSWORD = "five colours and ink 5"
KINDS = {"theft": 900, "dispute": 220, "fraud": 100}
MONTHS = [(2024, 11), (2024, 12), *((2025, i + 1) for i in range(12))]


def _units() -> gpd.GeoDataFrame:
    whole = gpd.read_parquet(PROJECT / "data" / "boundaries" / PACK / "units.parquet")
    return whole[whole["level"].isin(["city", "county", "town"])].reset_index(drop=True)


def _events(units: gpd.GeoDataFrame, people: pd.Series) -> pd.DataFrame:
    rng = np.random.default_rng(20260102)
    towns = units[units["level"] == "town"]
    points = towns.geometry.representative_point()
    x, y = points.x.to_numpy(), points.y.to_numpy()
    codes = towns["code"].to_numpy(str)
    weight = people.reindex(codes).fillna(1.0).to_numpy(float)
    near = np.hypot((x - CORNER[0]) * 0.87, y - CORNER[1]) < 0.16
    rows = []
    for kind, each in KINDS.items():
        for t, (year, month) in enumerate(MONTHS):
            risk = np.where(near & (kind == "theft") & (t >= 8), 1.9, 1.0)
            counts = rng.poisson(each * weight / weight.sum() * risk)
            where = np.repeat(np.arange(len(codes)), counts)
            start = int(datetime(year, month, 1, tzinfo=UTC).timestamp())
            rows.append(
                pd.DataFrame({
                    "kind": kind, "code": codes[where],
                    "at": start + rng.integers(0, 27 * 86400, len(where)),
                })
            )  # fmt: skip
    made = pd.concat(rows, ignore_index=True)
    made["reference"] = [f"b{i}" for i in range(len(made))]
    made["time"] = pd.to_datetime(made.pop("at"), unit="s").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return made


MAPPING = {
    "source": "made",
    "simulated": True,
    "scene": "nine-kinds",
    "columns": {"reference": "reference", "kind": "kind", "time": "time", "code": "code"},
}


def load(engine: sa.Engine, data_dir: Path) -> None:
    """Boundaries, exposures, events, run, tiles, the ordinary way."""
    units = _units()
    with transaction(engine) as connection:
        import_units(
            connection, pack=PACK, label="2023", frame=units,
            layout=load_layout_file("unified-27"), title_zh="四省边际四市",
            title_en="Four cities of four provinces",
        )  # fmt: skip
    values = pd.read_parquet(PROJECT / "data" / "boundaries" / PACK / "exposures.parquet")
    values["code"] = values["code"].str[:9]
    values = values.groupby(["code", "measure", "as_of"], as_index=False)["value"].sum()
    values.to_parquet(data_dir / "exposures.parquet")
    exposures.import_file(engine, data_dir / "exposures.parquet", pack=PACK)
    people = values[values["measure"] == "resident"].set_index("code")["value"]
    _events(units, people).to_parquet(data_dir / "events.parquet")
    events.import_file(engine, data_dir / "events.parquet", pack=PACK, mapping=MAPPING)
    with transaction(engine) as connection:  # spread over the towns: the same at every run
        connection.execute(
            sa.text(
                "update event set geom = st_translate(label_point, "
                "(hashint8(event.id) % 1000) * 2.5e-5, (hashint8(event.id + 7) % 1000) * 2.5e-5) "
                "from unit where unit.id = unit_id "
                "and unit.boundary_version_id = event.boundary_version_id"
            )
        )
    assess(engine, PACK, "nine-kinds", cells=(6,))
    with engine.connect() as connection:
        version = connection.execute(sa.text("select id from boundary_version")).scalar_one()
    tile_archives.build(
        engine, version, data_dir / "archives",
        surroundings=PROJECT / "data" / "boundaries" / "context",
    )  # fmt: skip


def pool(engine: sa.Engine) -> int:
    """A treaty of the four sides and what they see together of the last quarter; its number."""
    terms = treaties.Terms(
        "alliance", 1, SIDES, 6, ("quarter",), 7, 2, treaties.scene_kinds(["theft"]),
        date(2025, 1, 1), None, "",
    )  # fmt: skip
    with transaction(engine) as connection:
        version = treaties.propose(connection, PACK, SIDES[0], terms)
        for side in SIDES:
            treaties.decide(connection, terms.name, version, side, "accept")
    day = date(2026, 1, 20)
    with engine.connect() as connection:
        agreed = treaties.in_force(connection, day, pack=PACK)
    treaty_sources.ensure_lines(engine, PACK)
    sides, sources = treaty_sources.gather(engine, agreed, on=day, zone="Asia/Shanghai")
    method = border_assess.Method(replicates=199)
    (run,) = border_assess.assess(engine, agreed, sides, "quarter", None, method, sources=sources)
    return run


def officers(engine: sa.Engine) -> dict[str, str]:
    """An account for each side; answers the secret of its first link."""
    with transaction(engine) as connection:
        connection.execute(sa.text("delete from account"))
        found = {}
        for side in SIDES:
            made = accounts.create(
                connection, f"desk-{side}", Role.border_officer, prefixes=[side],
                title=f"{side} 值班",
            )  # fmt: skip
            found[side] = accounts.new_link(connection, made.id, 1).secret
        return found


def enter(page_request: APIRequestContext, base: str, secret: str) -> None:
    """Begin a session by the link of an account."""
    answer = page_request.post(
        f"{base}/api/session/link",
        data={"link": secret, "password": PASSWORD},
        headers={"Origin": base},
    )
    assert answer.ok, answer.text()


class Side:
    """What a side's program says to the server."""

    def __init__(self, request: APIRequestContext, base: str) -> None:
        self.request, self.base = request, base

    def post(self, path: str, body: dict[str, Any]) -> Any:
        token = next(
            (
                one["value"]
                for one in self.request.storage_state()["cookies"]
                if one["name"].endswith("wusetu_csrf")
            ),
            "",
        )
        answer = self.request.post(
            self.base + path, data=body, headers={"X-CSRF-Token": token, "Origin": self.base}
        )
        assert answer.ok, (path, answer.status, answer.text())
        return answer.json()

    def get(self, path: str) -> Any:
        answer = self.request.get(self.base + path)
        assert answer.ok, (path, answer.status, answer.text())
        return answer.json()


def furnish(mine: Side, theirs: Side) -> int:
    """Desks, checkpoints and a zone both sides approved; answers its number."""
    border = f"/api/packs/{PACK}/border"
    for one, code, name, line in (
        (mine, KAIHUA, "开化值班", "0570-601 0110"),
        (theirs, XIUNING, "休宁值班", "0559-751 0110"),
    ):
        one.post(f"{border}/desks", {"code": code, "name": name, "office_line": line})
    for one, code, name, lon, lat in (
        (mine, "K1", "齐溪卡点", 118.268, 29.418),
        (theirs, "X1", "龙田卡点", 118.232, 29.436),
    ):
        one.post(
            f"{border}/checkpoints",
            {"code": code, "name": name, "kind": "road", "lon": lon, "lat": lat},
        )
    zone = mine.post(
        "/api/zones", {"pack": PACK, "name": ZONE, "units": [KAIHUA, XIUNING], "metres": 5000}
    )
    for one in (mine, theirs):
        one.post(f"/api/zones/{zone['id']}/versions/1/decisions", {"decision": "approve"})
    return int(zone["id"])


def engine_of(url: str | None) -> sa.Engine:
    """Engine of a map's database."""
    assert url is not None
    return make_engine(url)
