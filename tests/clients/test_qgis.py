"""QGIS reads every layer with the right counts, codes and colours. Run by `make test-qgis`.

`WUSETU_QGIS` is the Python that has `qgis`; QGIS itself runs without a window (`qgis_look.py`).
Formats a QGIS is too old for are named and skipped: GeoParquet and PMTiles come with its GDAL.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app.database import make_engine
from app.settings import DatabaseSettings, Settings
from tiles import palette

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from e2e_map import PACK, load
from e2e_server import served

pytestmark = pytest.mark.qgis
LOOK = Path(__file__).parent / "qgis_look.py"
FILLS = {one.id: one.light.fill.lower() for one in palette.CLASSES}
LEVEL, KIND, ORD = "town", "dispute", 22


@dataclass
class House:
    """A served map, files of it, and a QGIS to look at them."""

    address: str
    folder: Path
    python: str
    run: int
    version: int
    engine: sa.Engine
    bounds: list[float]
    rows: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def colours(self, kind: str, order: int) -> list[dict[str, Any]]:
        """Code, label point and colour of every unit of the level, from the store of record."""
        with self.engine.connect() as connection:
            rows = connection.execute(
                sa.text(
                    "select u.code, u.name, st_x(label_point) as lon, st_y(label_point) as lat, "
                    "colour[:at] as colour from unit u join assessment a on a.unit_id = u.id "
                    "where u.level = :level and a.kind = :kind and a.period = 'month' order by u.id"
                ),
                {"at": order + 1, "level": LEVEL, "kind": kind},
            ).mappings()
            return [{**row, "colour": palette.CLASSES[row["colour"]].id} for row in rows]

    def look(self, *questions: dict[str, Any]) -> list[dict[str, Any]]:
        """What QGIS answers."""
        plain = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        done = subprocess.run(
            [self.python, str(LOOK)],
            input=json.dumps(questions),
            capture_output=True,
            text=True,
            timeout=300,
            env={
                **{k: v for k, v in plain.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")},
                "QT_QPA_PLATFORM": "offscreen",
                "HOME": str(self.folder),
                "XDG_RUNTIME_DIR": str(self.folder),
            },
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return list(json.loads(done.stdout))

    def file(self, path: str, name: str) -> Path:
        """Fetch a file of the application."""
        answer = httpx.get(self.address + path, timeout=120, trust_env=False)
        assert answer.status_code == 200, answer.text
        where = self.folder / name
        where.write_bytes(answer.content)
        return where

    def driver(self, name: str) -> None:
        """Skip where this QGIS was built without a driver."""
        if name not in self.facts["drivers"]:
            pytest.skip(f"QGIS {self.facts['qgis']} has GDAL {self.facts['gdal']} without {name}")


@pytest.fixture(scope="module")
def house(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    python = os.environ.get("WUSETU_QGIS")
    if not python:
        pytest.skip("`make test-qgis` says where QGIS is")
    name = f"q_{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name} template {template} strategy file_copy")
    folder = tmp_path_factory.mktemp("qgis")
    engine = make_engine(cluster.url(name))
    load(engine, folder)
    with engine.connect() as connection:
        run = connection.execute(sa.text("select max(id) from run")).scalar_one()
        version = connection.execute(sa.text("select max(id) from boundary_version")).scalar_one()
        bounds = connection.execute(
            sa.text(
                "select st_xmin(b), st_ymin(b), st_xmax(b), st_ymax(b) from "
                "(select st_extent(geom) as b from unit where level = 'city') as whole"
            )
        ).one()
    settings = Settings(data_dir=folder, database=DatabaseSettings(url=cluster.url(name)))
    with served(settings) as address:
        made = House(address, folder, python, run, version, engine, list(bounds))
        made.rows = made.colours(KIND, ORD)
        made.facts = made.look({"kind": "facts"})[0]
        yield made
    engine.dispose()
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()


def query(form: str) -> str:
    return f"/export.{form}?level={LEVEL}&kind={KIND}&ord={ORD}"


def same_codes_and_colours(house: House, found: dict[str, Any], colour: str = "colour") -> None:
    assert found.get("error") is None, found
    assert found["count"] == len(house.rows)
    assert {one["code"]: one[colour] for one in found["rows"]} == {
        one["code"]: one["colour"] for one in house.rows
    }


def same_pixels(rows: list[dict[str, Any]], found: dict[str, Any]) -> None:
    """The pixel at every label is the fill of its class; of no data the hatch may be hit."""
    assert found.get("error") is None, found
    assert found["errors"] == []
    seen = set()
    for one, pixel in zip(rows, found["pixels"], strict=True):
        seen.add(one["colour"])
        if one["colour"] == "none":
            assert pixel not in {fill for name, fill in FILLS.items() if name != "none"}
        else:
            assert pixel == FILLS[one["colour"]], (one, pixel)
    assert len(seen) > 2, "a picture of one colour shows nothing"


def looked(house: House, uri: str, provider: str, name: str) -> dict[str, Any]:
    return {
        "kind": "picture", "uri": uri, "provider": provider, "bounds": house.bounds,
        "points": [[one["lon"], one["lat"]] for one in house.rows],
        "file": str(house.folder / f"{name}.png"),
    }  # fmt: skip


def test_a_geopackage_opens_coloured(house: House) -> None:
    file = house.file(f"/api/runs/{house.run}{query('gpkg')}", "run.gpkg")
    uri = f"{file}|layername=assessment"
    features, picture = house.look(
        {"kind": "features", "uri": uri, "provider": "ogr"}, looked(house, uri, "ogr", "gpkg")
    )
    same_codes_and_colours(house, features)
    assert features["crs"] == "EPSG:4326"
    for one in palette.CLASSES:
        label, _ = features["categories"][one.id]
        assert one.meaning_zh in label
        assert one.meaning_en in label
    same_pixels(house.rows, picture)


def test_boundaries_of_every_level_open(house: House) -> None:
    file = house.file(f"/api/boundaries/{house.version}/export.gpkg", "boundaries.gpkg")
    listed = httpx.get(f"{house.address}/api/boundaries", trust_env=False).json()
    counts = {one["level"]: one["units"] for one in listed[0]["levels"]}
    found = house.look(
        *(
            {"kind": "features", "uri": f"{file}|layername={one}", "provider": "ogr"}
            for one in counts
        )
    )
    assert [one["count"] for one in found] == list(counts.values())
    towns = found[list(counts).index(LEVEL)]["rows"]
    assert {one["code"] for one in towns} == {one["code"] for one in house.rows}


def test_geoparquet_opens(house: House) -> None:
    house.driver("Parquet")
    file = house.file(f"/api/runs/{house.run}{query('parquet')}", "run.parquet")
    (features,) = house.look({"kind": "features", "uri": str(file), "provider": "ogr"})
    same_codes_and_colours(house, features)


def test_pmtiles_open(house: House) -> None:
    house.driver("PMTiles")
    file = house.file(f"/api/runs/{house.run}{query('pmtiles')}", "run.pmtiles")
    uri = f"{file}|layername=labels"
    (features,) = house.look({"kind": "features", "uri": uri, "provider": "ogr"})
    same_codes_and_colours(house, features, "colour_name")


def test_coloured_tiles_are_drawn_by_their_style(house: House) -> None:
    base = f"{house.address}/tiles/coloured/{house.run}/{LEVEL}/{KIND}/month/{ORD}"
    about = httpx.get(f"{base}/tilejson.json", trust_env=False).json()
    uri = (
        f"type=xyz&url={base}/%7Bz%7D/%7Bx%7D/%7By%7D.mvt&zmin={about['minzoom']}"
        f"&zmax={about['maxzoom']}&styleUrl={base}/style.json"
    )
    same_pixels(house.rows, house.look(looked(house, uri, "vectortile", "tiles"))[0])


def ogc(house: House, collection: str) -> str:
    return f" url='{house.address}/ogc' typename='{collection}' version='OGC_API_FEATURES'"


def test_every_collection_of_ogc_features_opens(house: House) -> None:
    base = f"{house.address}/ogc/collections"
    listed = [one["id"] for one in httpx.get(base, trust_env=False).json()["collections"]]
    assert f"units-{PACK}-{LEVEL}" in listed
    wanted = {
        name: httpx.get(f"{base}/{name}/items?limit=1", trust_env=False).json()["numberMatched"]
        for name in listed
    }
    small = [name for name in listed if wanted[name] <= 3000]
    found = house.look(
        *({"kind": "features", "uri": ogc(house, one), "provider": "OAPIF"} for one in small)
    )
    assert {name: one.get("error") or len(one["rows"]) for name, one in zip(small, found, strict=True)} == {
        name: wanted[name] for name in small
    }  # fmt: skip


def test_ogc_features_have_the_codes_and_colours(house: House) -> None:
    """Of the newest complete month, all kinds: what the collection shows unless it is asked."""
    collection = f"units-{PACK}-{LEVEL}"
    address = f"{house.address}/ogc/collections/{collection}/items?limit=10000"
    first = httpx.get(address, trust_env=False).json()["features"][0]["properties"]
    rows = house.colours(first["kind"], first["ord"])
    picture = looked(house, ogc(house, collection), "OAPIF", "ogc")
    features, drawn = house.look(
        {"kind": "features", "uri": ogc(house, collection), "provider": "OAPIF"},
        {**picture, "fill": "fill"},
    )
    assert features.get("error") is None, features
    assert {one["code"]: one["colour_name"] for one in features["rows"]} == {
        one["code"]: one["colour"] for one in rows
    }
    for one in features["rows"]:
        assert one["fill"].lower() == FILLS[one["colour_name"]]
    same_pixels(rows, drawn)


def test_ogc_tiles_are_drawn_by_their_style(house: House) -> None:
    base = f"{house.address}/ogc/collections/units-{PACK}-{LEVEL}"
    about = httpx.get(f"{base}/tiles/WebMercatorQuad/tilejson.json", trust_env=False).json()
    template = f"{base}/tiles/WebMercatorQuad/%7Bz%7D/%7By%7D/%7Bx%7D"
    more = f"kind={KIND}%26ord={ORD}"
    uri = (
        f"type=xyz&url={template}?{more}&zmin={about['minzoom']}&zmax={about['maxzoom']}"
        f"&styleUrl={base}/style.json?{more}"
    )
    same_pixels(house.rows, house.look(looked(house, uri, "vectortile", "ogc-tiles"))[0])
