"""The analyst's questions: counts equal PostGIS, expected counts those of the run, parts add up."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import h3
import numpy as np
import pyproj
import pytest
import rasterio
import shapely
import sqlalchemy as sa
from fastapi.testclient import TestClient
from rasterio.transform import from_origin

from app.database import make_engine
from app.main import create_app
from app.services import shape_words, snapshots
from app.services.assess import assess
from app.services.raster_exposures import import_raster
from app.settings import CubeSettings, LimitSettings
from geo.shapes import circle, corridor

from .conftest import Small, install, settings_for

ZONE = "Asia/Shanghai"
WHOLE = {"rectangle": {"west": 119, "south": 29, "east": 121, "north": 30}}
SPAN = {"start": "2023-01-01", "end": "2025-01-01"}
POINTS = """
update event set geom = st_setsrid(case when id % 50 = 0 then st_makepoint(119.4, 29.2)
  when id % 50 = 1 then st_makepoint(119.5, 29 + (id * 104729 % 499) / 499.0)
  else st_makepoint(119 + (id * 7919 % 1009) / 504.5, 29 + (id * 104729 % 499) / 499.0) end, 4326)
where id % 10 < 7
"""
LOCAL = "(e.occurred_at at time zone 'Asia/Shanghai')"


class Desk:
    """The application on the small map with points, assessed; PostGIS beside it."""

    def __init__(self, engine: sa.Engine, client: TestClient, small: Small, run: int) -> None:
        self.engine = engine
        self.client = client
        self.small = small
        self.run = run

    def post(self, path: str, body: Any, status: int = 200) -> Any:
        answer = self.client.post(f"/api/packs/small/areas/{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def analyse(self, area: dict[str, Any], **more: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.post("analyse", {"area": area, **SPAN, **more})
        return found

    def rows(self, statement: str, **values: Any) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(sa.text(statement), values).all())

    def covered(
        self, shape: shapely.Geometry, where: str = "true", **values: Any
    ) -> dict[str, int]:
        """Events PostGIS finds in an area, by kind."""
        found = self.rows(
            "select e.kind, count(*) from event e "
            "where st_covers(st_setsrid(cast(:shape as geometry), 4326), e.geom) "
            f"and {LOCAL} >= cast(:start as timestamp) and {LOCAL} < cast(:end as timestamp) "
            f"and {where} group by 1",
            shape=shapely.to_wkb(shape, hex=True), **{**SPAN, **values},
        )  # fmt: skip
        return dict(tuple(row) for row in found)


@pytest.fixture(scope="module")
def desk(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    name = f"n_{uuid.uuid4().hex[:12]}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name} template {template} strategy file_copy")
    url = cluster.url(name)
    engine = make_engine(url)
    small = install(engine)
    with engine.begin() as connection:
        # of events on other boundaries it is not known how they were located
        connection.execute(sa.text("delete from event where reference like 'old%'"))
        connection.execute(sa.text(POINTS))
    run = assess(engine, "small", "nine-kinds", zone=ZONE)
    data = tmp_path_factory.mktemp("analysed")
    snapshots.build(engine, data, "small", ZONE)
    settings = settings_for(
        url, data_dir=data, cube=CubeSettings(check_seconds=0), limits=LimitSettings(heavy_rate=0)
    )
    with TestClient(create_app(settings)) as client:
        yield Desk(engine, client, small, run)
    engine.dispose()
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()


def shapes(number: int, seed: int) -> Iterator[tuple[dict[str, Any], shapely.Geometry]]:
    """Random areas as they are sent and as they are meant: holes, slivers, parts, touching borders."""
    random = np.random.default_rng(seed)
    made = 0
    while made < number:
        sort = made % 7
        x, y = random.uniform(119, 121), random.uniform(29, 30)
        if sort == 0:
            metres = float(random.uniform(500, 60_000))
            yield {"circle": {"lon": x, "lat": y, "metres": metres}}, circle(x, y, metres)
        elif sort == 1:
            line = [(x, y), (x + random.uniform(-0.5, 0.5), y + 0.3), (x + 0.2, y - 0.1)]
            metres = float(random.uniform(200, 20_000))
            yield {"corridor": {"coordinates": line, "metres": metres}}, corridor(line, metres)
        elif sort == 2:  # edges run along borders of units and through points
            west, south = random.choice([119, 119.4, 119.5, 120]), random.choice([29, 29.2, 29.5])
            box = shapely.box(west, south, west + 0.5, south + 0.5)
            bounds = dict(zip(("west", "south", "east", "north"), box.bounds, strict=True))
            yield {"rectangle": bounds}, box
        elif sort == 3:  # a sliver
            shape = shapely.Polygon([(x, y), (x + 1, y + 0.4), (x + 1, y + 0.4 + 1e-4)])
            yield {"wkt": shape.wkt}, shapely.from_wkt(shape.wkt)
        elif sort == 4:  # two parts that touch in a corner
            many = shapely.MultiPolygon(
                [shapely.box(x, y, x + 0.2, y + 0.2), shapely.box(x - 0.3, y - 0.1, x, y)]
            )
            yield {"geojson": shapely.geometry.mapping(many)}, many
        else:
            angles = np.sort(random.uniform(0, 2 * np.pi, 14))
            radius = random.uniform(0.1, 0.7, 14)
            star = shapely.Polygon(
                np.column_stack([x + radius * np.cos(angles), y + radius * np.sin(angles)])
            )
            if not star.is_valid:
                continue
            hole = star.buffer(-0.05).simplify(0.02)
            if sort == 6 and hole.geom_type == "Polygon" and star.contains(hole):
                star = shapely.Polygon(star.exterior, [hole.exterior])
            yield {"geojson": shapely.geometry.mapping(star)}, star
        made += 1


@pytest.mark.parametrize("number", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_counts_equal_postgis(desk: Desk, number: int) -> None:
    counted = 0
    for sent, meant in shapes(number, number):
        found = desk.analyse(sent, parts=["kinds"])
        exact = desk.covered(meant)
        assert found["overall"]["observed"] == found["answer"]["total"] == sum(exact.values()), sent
        by_kind = {one["kind"]: one["observed"] for one in found["kinds"] if one["observed"]}
        assert by_kind == exact
        assert not found["suppressed"]
        counted += sum(exact.values())
    assert counted > 20 * number


def near(one: float | None, other: float | None, relative: float = 1e-9) -> bool:
    assert one is not None
    assert other is not None
    return math.isclose(one, other, rel_tol=relative, abs_tol=1e-12)


def test_a_unit_gives_the_runs_own_expected_counts(desk: Desk) -> None:
    known = 0
    for code in ("3301", "330101", "330102001", "330101001001", "330101001001002"):
        for start, end, ord_ in (("2023-06-01", "2023-07-01", 5), ("2024-02-01", "2024-03-01", 13)):
            stored = {
                row.kind: row
                for row in desk.rows(
                    "select kind, observed[:o] as observed, expected[:o] as expected from assessment "
                    "where run_id = :run and code = :code and period = 'month' and start_of = :start"
                    .replace("and start_of = :start", ""),
                    run=desk.run, code=code, o=_ord(desk, start) + 1,
                )
            }  # fmt: skip
            found = desk.analyse({"units": [code]}, start=start, end=end, parts=["kinds"])
            for one in found["kinds"]:
                row = stored.get(one["kind"])
                if row is None or math.isnan(row.expected):
                    assert one["expected"] is None
                    continue
                assert one["observed"] == row.observed
                assert near(one["expected"], row.expected), (code, one["kind"], ord_)
                known += 1
            scene = sum(one["expected"] for one in found["kinds"] if one["expected"] is not None)
            assert near(found["overall"]["expected"], scene)
    assert known > 50


def _ord(desk: Desk, start: str) -> int:
    return int(
        desk.rows(
            "select ord from run_period where run_id = :run and period = 'month' and start = :start",
            run=desk.run, start=start,
        )[0].ord
    )  # fmt: skip


def leaves(desk: Desk) -> list[Any]:
    return desk.rows(
        "select u.id, u.code, st_asbinary(u.geom) as geom, r.shares from unit u "
        "join run_unit r on r.run_id = :run and r.unit_id = u.id "
        "where u.boundary_version_id = :version and u.level = 'grid' order by u.id",
        run=desk.run, version=desk.small.version,
    )  # fmt: skip


def twin(desk: Desk, area: shapely.Geometry) -> dict[str, float]:
    """Expected counts of a drawn area over the whole span, by another way."""
    laea = pyproj.Transformer.from_crs(
        "EPSG:4326", "+proj=laea +lat_0=29.5 +lon_0=120 +ellps=WGS84", always_xy=True
    )

    def size(shape: shapely.Geometry) -> float:
        dense = shapely.segmentize(shape, 0.001)
        flat = shapely.transform(dense, lambda at: np.column_stack(laea.transform(*at.T)))
        return float(shapely.area(flat))

    kinds = list(desk.rows("select kinds from run where id = :run", run=desk.run)[0].kinds)
    inside = np.zeros(len(kinds))
    for row in leaves(desk):
        shape = shapely.from_wkb(bytes(row.geom))
        share = size(shapely.intersection(shape, area)) / size(shape)
        inside += np.nan_to_num(share * np.array(row.shares, float))
    # METHODS 2, of the events with a point: those are what a drawn area counts
    events = dict(
        tuple(row)
        for row in desk.rows(
            "select e.kind, count(*) from event e where e.geom is not null and e.unit_id is not null "
            f"and {LOCAL} >= '2023-01-01' and {LOCAL} < '2025-01-01' group by 1"
        )
    )
    # the guard of METHODS 3: what the run's rate is to the events it counted
    rates = {
        row.kind: (np.nansum(row.rate), row.observed)
        for row in desk.rows(
            "select r.kind, r.rate, (select sum(o) from assessment a, unnest(a.observed) o, unit u "
            "where a.run_id = :run and a.kind = r.kind and a.period = 'month' and u.id = a.unit_id "
            "and u.boundary_version_id = :version and u.level = 'grid') as observed "
            "from run_rate r where r.run_id = :run and r.level = 'grid' and r.period = 'month'",
            run=desk.run, version=desk.small.version,
        )
    }  # fmt: skip
    return {
        kind: inside[k] * events.get(kind, 0) * rates[kind][0] / float(rates[kind][1])
        for k, kind in enumerate(kinds)
    }


def test_expected_counts_of_drawn_areas_equal_a_plain_sum(desk: Desk) -> None:
    for sent, meant in list(shapes(14, 5)):
        found = desk.analyse(sent, parts=["kinds"])
        wanted = twin(desk, meant)
        for one in found["kinds"]:
            if one["kind"] in wanted and one["expected"] is not None:
                assert near(one["expected"], wanted[one["kind"]], 2e-2), (sent, one)


# rasters -----------------------------------------------------------------------------------------
@pytest.fixture
def crowd(desk: Desk, tmp_path: Path) -> Iterator[np.ndarray]:
    """A raster of residents, a hundredth of a degree; in the west of 119.55 nobody but a few."""
    data = np.random.default_rng(8).gamma(0.5, 40, (100, 200))
    data[:, 20:55] = 0
    data[10:20, 20:55] = 0.5
    data[:, 180:] = -1
    data[50, 190] = 3  # so little is known there that a unit has no value
    path = tmp_path / "crowd.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=100, width=200, dtype=data.dtype,
        crs="EPSG:4326", nodata=-1, transform=from_origin(119, 30, 0.01, 0.01),
    ) as file:  # fmt: skip
        file.write(data, 1)
    import_raster(desk.engine, path, pack="small", measure="resident", as_of=date(2023, 6, 1))
    yield data
    with desk.engine.begin() as connection:
        connection.execute(sa.text("delete from exposure_grid"))
        connection.execute(sa.text("delete from exposure where source = 'crowd.tif'"))


def people_in(data: np.ndarray, box: tuple[float, float, float, float]) -> float:
    """Sum of the pixels in a box, by the part inside."""
    west, south, east, north = box
    column = 119 + np.arange(201) / 100
    row = 30 - np.arange(101) / 100
    x = (np.minimum(east, column[1:]) - np.maximum(west, column[:-1])).clip(0) * 100
    y = (np.minimum(north, row[:-1]) - np.maximum(south, row[1:])).clip(0) * 100
    return float(y @ np.maximum(data, 0) @ x)


def weighed_twin(
    desk: Desk, area: tuple[float, float, float, float], data: np.ndarray | None
) -> dict[str, float]:
    """Share of the exposure in a rectangle by kind, added up from measures and units."""
    (run,) = desk.rows("select kinds, measures, scene_body from run where id = :run", run=desk.run)
    rows = desk.rows(
        "select r.unit_id, u.code, r.exposures from run_unit r join unit u on u.id = r.unit_id "
        "and u.boundary_version_id = :version where r.run_id = :run and u.level = 'grid'",
        run=desk.run, version=desk.small.version,
    )  # fmt: skip
    boxes = {place.code: place.box for place in desk.small.places}
    exposures = np.array([row.exposures for row in rows], float)
    inside = np.zeros_like(exposures)
    for at, row in enumerate(rows):
        whole = boxes[row.code]
        part = (*np.maximum(whole[:2], area[:2]), *np.minimum(whole[2:], area[2:]))
        if part[0] >= part[2] or part[1] >= part[3]:
            continue
        # a cylinder keeps areas: what counts is the sine of the latitude, nearly
        up = [math.sin(math.radians(one)) for one in (whole[1], part[1], part[3], whole[3])]
        ground = (part[2] - part[0]) / (whole[2] - whole[0]) * (up[2] - up[1]) / (up[3] - up[0])
        inside[at] = ground
        if data is not None and whole[2] < 120.8 + 1e-9 and (all_ := people_in(data, whole)) > 0:
            inside[at, run.measures.index("resident")] = people_in(data, part) / all_
    found = {}
    for kind in run.kinds:
        weights = run.scene_body["kinds"][kind]["weights"]
        given = np.array([weights.get(one, 0.0) for one in run.measures])
        used = given > 0
        known = np.isfinite(exposures[:, used]).all(axis=1)
        total = exposures[known][:, used].sum(axis=0)
        part = exposures[known][:, used] * inside[known][:, used]
        found[kind] = float((part.sum(axis=0) / total) @ given[used])
    return found


AREAS = [
    (119.13, 29.05, 119.62, 29.97),
    (119.21, 29.01, 119.215, 29.99),
    (120.3, 29.2, 120.93, 29.7),
]


@pytest.mark.parametrize("area", AREAS, ids=["wide", "thin", "edge"])
def test_units_partly_inside_count_by_raster(
    desk: Desk, crowd: np.ndarray, area: tuple[float, float, float, float]
) -> None:
    box = dict(zip(("west", "south", "east", "north"), area, strict=True))
    sent = {"rectangle": box}
    by_area = desk.analyse(sent, parts=["kinds", "children"], weights="area")
    found = desk.analyse(sent, parts=["kinds", "children", "comparisons"])
    again = desk.analyse(sent, parts=["kinds"])
    assert again["kinds"] == found["kinds"]
    plain, wanted = weighed_twin(desk, area, None), weighed_twin(desk, area, crowd)
    for one, other in zip(found["kinds"], by_area["kinds"], strict=True):
        kind = one["kind"]
        if kind not in wanted or other["expected"] is None:
            continue
        assert near(one["expected"] / other["expected"], wanted[kind] / plain[kind], 1e-4), kind
        assert one["observed"] == other["observed"]
    sums = sum(one["expected"] or 0 for one in found["children"])
    assert near(sums, found["overall"]["expected"], 1e-8)
    told = found["weights"]
    assert (by_area["weights"]["rule"], told["rule"]) == ("area", "raster")
    assert told["cut"] == by_area["weights"]["cut"] >= told["by_raster"] > 0
    assert told["rasters"] == [
        {"measure": "resident", "as_of": "2023-06-01", "source": "crowd.tif"}
    ]
    assert "栅格" in found["rule"]["zh"]
    assert "crowd.tif" in found["rule"]["en"]
    assert "raster" not in by_area["rule"]["en"]


def test_where_a_raster_has_nothing_units_count_by_area(desk: Desk, crowd: np.ndarray) -> None:
    empty = {"rectangle": {"west": 120.85, "south": 29.01, "east": 120.95, "north": 29.99}}
    found, by_area = (desk.analyse(empty, weights=one) for one in ("raster", "area"))
    assert {**found, "answer": None} == {**by_area, "answer": None}
    assert found["weights"]["rule"] == "area"
    mixed = {"rectangle": {"west": 120.3, "south": 29.01, "east": 120.95, "north": 29.99}}
    told = desk.analyse(mixed, parts=[])
    assert told["weights"]["cut"] > told["weights"]["by_raster"] > 0
    assert "The raster has nothing in" in told["rule"]["en"]
    assert "没有数据" in told["rule"]["zh"]
    # units asked for by code are whole
    whole = desk.analyse({"units": ["330101001"]}, parts=[])
    assert (whole["weights"]["rule"], whole["weights"]["cut"]) == ("area", 0)


def test_parts_weighed_by_raster_add_up(desk: Desk, crowd: np.ndarray) -> None:
    """Parts that cut units expect together what the whole map expects."""
    whole = desk.analyse(WHOLE, parts=["kinds"])
    cuts = (119, 119.2345, 119.3331, 120.1234567, 121)
    parts = [
        desk.analyse(
            {"rectangle": {"west": west, "south": 29, "east": east, "north": 30}}, parts=["kinds"]
        )
        for west, east in pairwise(cuts)
    ]
    assert {part["weights"]["rule"] for part in parts} == {"raster"}
    for at, one in enumerate(whole["kinds"]):
        if one["expected"] is not None:
            assert near(one["expected"], sum(part["kinds"][at]["expected"] for part in parts))


def test_areas_are_conserved(desk: Desk) -> None:
    """The parts of an area expect together what it expects; the whole map expects what happened."""
    whole = desk.analyse(WHOLE, parts=["kinds"])
    parts = [
        desk.analyse(
            {"rectangle": {"west": west, "south": 29, "east": east, "north": 30}}, parts=["kinds"]
        )
        for west, east in ((119, 119.3331), (119.3331, 120.1234567), (120.1234567, 121))
    ]
    for at, one in enumerate(whole["kinds"]):
        if one["expected"] is not None:
            assert near(one["expected"], sum(part["kinds"][at]["expected"] for part in parts))
        assert one["observed"] == sum(part["kinds"][at]["observed"] for part in parts)
    cut = {"units": ["3301"]}
    halves = {"combine": {"op": "union", "areas": [{"units": ["330101"]}, {"units": ["330102"]}]}}
    ground = desk.post("shape", cut), desk.post("shape", halves)
    assert near(ground[0]["km2"], ground[1]["km2"], 1e-4)  # a geodesic edge is one or two
    assert near(desk.analyse(halves)["overall"]["expected"], whole["overall"]["expected"], 1e-8)


@pytest.mark.parametrize(
    "area",
    [{"units": ["3301"]}, {"units": ["330101"]}, {"units": ["330101", "330102001"]}, WHOLE,
     {"circle": {"lon": 119.6, "lat": 29.4, "metres": 30_000}}],
)  # fmt: skip
@pytest.mark.parametrize("level", [None, "town", "grid"])
def test_the_table_of_units_adds_up(desk: Desk, area: dict[str, Any], level: str | None) -> None:
    found = desk.analyse(area, level=level, parts=["children", "kinds"])
    assert sum(one["observed"] for one in found["children"]) == found["overall"]["observed"]
    sums = sum(one["expected"] or 0 for one in found["children"])
    assert near(sums, found["overall"]["expected"], 1e-8)
    assert level is None or found["child_level"] == level
    named = [one for one in found["children"] if not one["rest"]]
    assert {one["level"] for one in named} == {found["child_level"]}
    assert all(0 < one["share_inside"] <= 1 + 1e-12 for one in named if one["share_inside"])
    assert sum(one["rest"] for one in found["children"]) <= 1


def test_children_of_a_unit_are_what_they_are_alone(desk: Desk) -> None:
    found = desk.analyse({"units": ["330101"]}, parts=["children"])
    assert found["child_level"] == "town"
    for one in found["children"]:
        if one["rest"]:
            continue
        alone = desk.analyse({"units": [one["code"]]}, parts=[])["overall"]
        assert one["observed"] == alone["observed"]
        for field in ("expected", "relative_risk", "low", "high", "exceedance"):
            assert near(one[field], alone[field]), (one, alone)


def test_spans_and_hours_add_up(desk: Desk) -> None:
    area = {"circle": {"lon": 119.7, "lat": 29.5, "metres": 40_000}}
    whole = desk.analyse(area, parts=["kinds"])
    cut = "2023-08-14T13:27:41+08:00"
    parts = [
        desk.analyse(area, parts=["kinds"], end=cut),
        desk.analyse(area, parts=["kinds"], start=cut),
    ]
    nights = [h for h in range(168) if h % 24 < 7]
    hours = [
        desk.analyse(area, parts=["kinds"], hours_of_week=nights),
        desk.analyse(area, parts=["kinds"], hours_of_week=[h for h in range(168) if h % 24 >= 7]),
    ]
    meant = circle(119.7, 29.5, 40_000)
    night = desk.covered(meant, f"extract(hour from {LOCAL}) < 7")
    assert hours[0]["overall"]["observed"] == sum(night.values())
    for two in (parts, hours):
        assert sum(one["overall"]["observed"] for one in two) == whole["overall"]["observed"]
        for at, one in enumerate(whole["kinds"]):
            if one["expected"] is not None:
                # where all events have a point expected counts add up exactly; the share of those
                # that have one differs a little from span to span
                both = sum(part["kinds"][at]["expected"] or 0 for part in two)
                assert near(one["expected"], both, 0.05)


@pytest.mark.parametrize("ways", [["code"], ["point"], ["address"], ["code", "point"]])
def test_located_by_is_exact(desk: Desk, ways: list[str]) -> None:
    for sent, meant in shapes(8, 21):
        found = desk.analyse(sent, located_by=ways, parts=["kinds", "children", "month", "cells"])
        exact = desk.covered(meant, "e.located_by = any(:ways)", ways=ways)
        assert found["overall"]["observed"] == sum(exact.values())
        assert {one["kind"]: one["observed"] for one in found["kinds"] if one["observed"]} == exact
        assert sum(one["observed"] for one in found["children"]) == sum(exact.values())
        assert sum(found["answer"]["by_month"]["counts"]) == sum(exact.values())
        assert sum(one["count"] for one in found["cells"]) == sum(exact.values())
    unit = desk.analyse({"units": ["330101"]}, located_by=ways)["overall"]["observed"]
    counted = desk.rows(
        "select count(*) from event e join unit u on u.id = e.unit_id "
        "and u.boundary_version_id = e.boundary_version_id where u.code like '330101%' "
        f"and e.located_by = any(:ways) and {LOCAL} >= '2023-01-01' and {LOCAL} < '2025-01-01'",
        ways=ways,
    )[0][0]
    assert unit == counted


def test_comparisons_share_no_ground_with_the_area(desk: Desk) -> None:
    for area in (
        {"units": ["330101001001002"]}, {"units": ["330101001"]},
        {"circle": {"lon": 119.3, "lat": 29.3, "metres": 5_000}},
    ):  # fmt: skip
        found = desk.analyse(area, compare=4, parts=["comparisons"])["comparisons"]
        assert found
        assert len({one["level"] for one in found}) == 1
        similar = [one["similarity"] for one in found]
        assert similar == sorted(similar, reverse=True)
        mine = shapely.from_geojson(str(desk.post("shape", area)["geojson"]).replace("'", '"'))
        for one in found:
            other = shapely.from_geojson(
                str(desk.post("shape", {"units": [one["code"]]})["geojson"]).replace("'", '"')
            )
            assert shapely.area(shapely.intersection(mine, other)) < 1e-12
            alone = desk.analyse({"units": [one["code"]]}, parts=[])["overall"]
            assert (one["observed"], alone["observed"]) == (alone["observed"], one["observed"])
            assert near(one["expected"], alone["expected"])
    assert desk.analyse({"units": ["330101001"]}, compare=0)["comparisons"] == []


def test_cells_are_those_of_the_points(desk: Desk) -> None:
    area = {"rectangle": {"west": 119.2, "south": 29.2, "east": 119.9, "north": 29.7}}
    found = desk.analyse(area, cell_res=6, parts=["cells"])
    points = desk.rows(
        "select st_x(geom), st_y(geom) from event e where st_covers("
        "st_makeenvelope(119.2, 29.2, 119.9, 29.7, 4326), e.geom) "
        f"and {LOCAL} >= '2023-01-01' and {LOCAL} < '2025-01-01'"
    )
    wanted: dict[str, int] = {}
    for x, y in points:
        cell = h3.latlng_to_cell(y, x, 6)
        wanted[cell] = wanted.get(cell, 0) + 1
    assert {one["cell"]: one["count"] for one in found["cells"]} == wanted
    assert found["cell_res"] == 6
    assert desk.analyse(area, parts=["cells"])["cell_res"] >= 6


def test_change_is_of_the_same_area(desk: Desk) -> None:
    area = {"circle": {"lon": 119.7, "lat": 29.5, "metres": 40_000}}
    found = desk.analyse(area, start="2024-03-01", end="2024-05-01", parts=["change"])
    before = found["change"]["previous"]
    assert (before["start"][:10], before["end"][:10]) == ("2024-01-01", "2024-03-01")
    year = found["change"]["last_year"]
    assert (year["start"][:10], year["end"][:10]) == ("2023-03-01", "2023-05-01")
    for one in (before, year):
        alone = desk.analyse(area, start=one["start"], end=one["end"], parts=[])
        assert one["observed"] == alone["overall"]["observed"]
        days = (
            np.datetime64(one["end"][:10]) - np.datetime64(one["start"][:10])
        ).astype(int) / 61  # fmt: skip
        ratio = found["overall"]["observed"] / one["observed"] * days
        assert near(one["ratio"], ratio)
        assert one["low"] < ratio < one["high"]
    for start, end in (
        ("2023-02-01", "2023-03-01"),
        ("0001-01-01", "9999-12-31"),
        ("2023-02-01", "9999-12-31T23:59:59-23:59"),
    ):
        early = desk.analyse(area, start=start, end=end, parts=["change"])["change"]
        assert early["previous"] is None
        assert early["last_year"] is None


def test_relative_risk_is_the_posterior_of_the_span(desk: Desk) -> None:
    from geo import risk

    found = desk.analyse({"units": ["330101"]}, kinds=["theft"], parts=["kinds"])
    (alpha,) = (
        row.alpha[-1]
        for row in desk.rows(
            "select alpha from run_rate where run_id = :run and level = 'grid' and kind = 'theft' "
            "and period = 'month'", run=desk.run,
        )
    )  # fmt: skip
    one = found["overall"]
    wanted = risk.single(alpha, one["observed"], one["expected"])
    assert near(one["relative_risk"], float(wanted.theta))
    assert near(one["low"], float(wanted.low))
    assert near(one["exceedance"], float(wanted.p))
    assert found["kinds"][0]["relative_risk"] == one["relative_risk"]
    assert str(desk.run) in found["rule"]["zh"]


def test_shapes_are_combined_and_snapped(desk: Desk) -> None:
    one, two = shapely.box(119.2, 29.2, 119.8, 29.8), shapely.box(119.5, 29.5, 120.2, 29.9)
    areas = [{"wkt": one.wkt}, {"wkt": two.wkt}]
    for op, meant in (
        ("union", one | two), ("minus", one - two), ("intersect", one & two),
    ):  # fmt: skip
        area = {"combine": {"op": op, "areas": areas}}
        found = desk.post("shape", area)
        made = shapely.from_geojson(str(found["geojson"]).replace("'", '"'))
        assert shapely.equals(made, meant)
        counted = desk.analyse(area, parts=[])["overall"]["observed"]
        assert counted == sum(desk.covered(meant).values())
    place = next(p for p in desk.small.places if p.code == "330101001001001")
    west, south, east, north = place.box
    d = 1e-5
    rough = shapely.box(west + d, south - d, east - d, north + d)
    found = desk.post("shape", {"wkt": rough.wkt, "snap_metres": 50})
    made = shapely.from_geojson(str(found["geojson"]).replace("'", '"'))
    assert shapely.equals_exact(shapely.normalize(made), shapely.normalize(
        shapely.MultiPolygon([shapely.box(*place.box)])), 1e-12)  # fmt: skip
    (reason,) = found["reasons"]
    assert reason["code"] == "snapped"
    assert "5" in reason["zh"]


@pytest.mark.parametrize(
    ("area", "reason"),
    [
        ({"wkt": "POLYGON((119 29, 120 30, 120 29, 119 30, 119 29))"}, "crossing"),
        ({"wkt": "POLYGON((119 29, 120 30, 121 31, 119 29))"}, "zero_area"),
        ({"geojson": {"type": "Polygon", "coordinates": [[[119, 29], [120, 29], [120, 30]]]}}, "not_closed"),
        ({"rectangle": {"west": 120, "south": 29, "east": 119, "north": 30}}, "bad_size"),
        ({"cells": ["zz"]}, "not_a_cell"),
        ({"cells": ["-1"]}, "not_a_cell"),
        ({"combine": {"op": "intersect", "areas": [{"units": ["330101"]}, {"wkt": "POLYGON((1 1,2 1,2 2,1 1))"}]}}, "empty_area"),
    ],
)  # fmt: skip
def test_bad_shapes_are_refused_in_words(desk: Desk, area: dict[str, Any], reason: str) -> None:
    for path, body in (("shape", area), ("analyse", {"area": area, **SPAN})):
        detail = desk.post(path, body, 422)["detail"]
        assert detail["reason"] == reason
        assert detail["words"]["zh"]
        assert detail["words"]["en"]
        if reason in ("crossing", "zero_area", "not_closed"):
            assert 118 < detail["at"][0] < 121


def test_there_are_counts_without_a_run(
    desk: Desk, tmp_path: Path, engine: sa.Engine, db_url: str
) -> None:
    install(engine)
    settings = settings_for(db_url, data_dir=tmp_path, cube=CubeSettings(check_seconds=0))
    with TestClient(create_app(settings)) as client:
        answer = client.post(
            "/api/packs/small/areas/analyse", json={"area": {"units": ["3301"]}, **SPAN}
        )
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert found["run"] is None
        assert found["overall"]["expected"] is None
        assert found["overall"]["observed"] > 1000
        assert desk.post("analyse", {"area": WHOLE, **SPAN, "run": 999}, 404)["code"] == "not_found"


@pytest.mark.parametrize(
    "code",
    [
        "off_map", "end_before_start", "empty_span", "unknown_kind", "no_kinds", "no_hours", "bad_level",
        "too_many_cells", "other_boundaries",
    ],
)  # fmt: skip
def test_every_refusal_is_said_in_both_languages(code: str) -> None:
    """The Chinese sentence says what is wrong, not merely that something is."""
    said = shape_words.reason(code)
    assert said.zh != shape_words.reason("nothing known").zh
    assert said.en
