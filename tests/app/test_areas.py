"""Counts of areas through HTTP equal PostGIS on the same rows, whatever changed since the snapshot."""

from __future__ import annotations

import ast
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import h3
import numpy as np
import pytest
import shapely
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.api.area_models import AreaQuestion
from app.errors import Invalid, NotFound
from app.main import create_app
from app.services import areas as areas_module
from app.services import snapshots
from app.settings import CubeSettings
from geo.shapes import circle, corridor

from .conftest import Small, install, settings_for, until

ZONE = "Asia/Shanghai"
ROOT = Path(__file__).resolve().parents[2]
BOX = "POLYGON((119.4 29.2, 120.6 29.2, 120.6 29.8, 119.4 29.8, 119.4 29.2))"
SPAN = {"start": "2023-01-01", "end": "2025-01-01"}
ADDRESS = "/api/packs/small/areas/count"
# seven of ten events get a point; some of them the same one, some on a corner of `BOX`
POINTS = """
update event set geom = st_setsrid(case when id % 50 = 0 then st_makepoint(119.4, 29.2)
  else st_makepoint(119 + (id * 7919 % 1009) / 504.5, 29 + (id * 104729 % 499) / 499.0) end, 4326)
where id % 10 < 7
"""


class Asker:
    """The application on the small map with points, and PostGIS beside it."""

    def __init__(self, engine: sa.Engine, client: TestClient, data_dir: Path, small: Small) -> None:
        self.engine = engine
        self.client = client
        self.data_dir = data_dir
        self.small = small

    def build(self) -> snapshots.Published:
        return snapshots.build(self.engine, self.data_dir, "small", ZONE)

    def compact(self) -> snapshots.Published | None:
        return snapshots.compact(self.engine, self.data_dir, "small", ZONE)

    def run(self, statement: str, **values: object) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), values)

    def sql(self, where: str, **values: object) -> int:
        with self.engine.connect() as connection:
            return int(
                connection.scalar(
                    sa.text(
                        "select count(*) from event e join event_source s on s.id = e.source_id "
                        f"and s.pack = 'small' where {where}"
                    ),
                    values,
                )
            )

    def ask(self, area: dict[str, Any], **more: object) -> dict[str, Any]:
        answer = self.client.post(ADDRESS, json={"area": area, **SPAN, **more})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def covered(self, shape: shapely.Geometry, start: str = "2023-01-01", end: str = "2025-01-01",
                kinds: list[str] | None = None) -> int:  # fmt: skip
        return self.sql(
            "st_covers(st_setsrid(cast(:shape as geometry), 4326), e.geom) "
            "and e.occurred_at >= cast(:start as timestamp) at time zone 'Asia/Shanghai' "
            "and e.occurred_at < cast(:end as timestamp) at time zone 'Asia/Shanghai' "
            "and (cast(:kinds as text[]) is null or e.kind = any(:kinds))",
            shape=shapely.to_wkb(shape, hex=True), start=start, end=end, kinds=kinds,
        )  # fmt: skip


@pytest.fixture
def asker(engine: sa.Engine, db_url: str, tmp_path: Path) -> Iterator[Asker]:
    small = install(engine)
    with engine.begin() as connection:
        connection.execute(sa.text(POINTS))
    settings = settings_for(db_url, data_dir=tmp_path, cube=CubeSettings(check_seconds=0))
    with TestClient(create_app(settings)) as client:
        yield Asker(engine, client, tmp_path, small)


def shapes(count: int, seed: int) -> Iterator[tuple[dict[str, Any], shapely.Geometry]]:
    """Random areas, as they are sent and as they are meant."""
    random = np.random.default_rng(seed)
    for number in range(count):
        x, y = random.uniform(119, 121), random.uniform(29, 30)
        if number % 4 == 0:
            metres = float(random.uniform(500, 60_000))
            yield {"circle": {"lon": x, "lat": y, "metres": metres}}, circle(x, y, metres)
        elif number % 4 == 1:
            line = [(x, y), (x + random.uniform(-0.5, 0.5), y + 0.3), (x + 0.2, y - 0.1)]
            metres = float(random.uniform(200, 20_000))
            yield {"corridor": {"coordinates": line, "metres": metres}}, corridor(line, metres)
        else:
            angles = np.sort(random.uniform(0, 2 * np.pi, 12))
            radius = random.uniform(0.1, 0.6, 12)
            shape = shapely.Polygon(
                np.column_stack([x + radius * np.cos(angles), y + radius * np.sin(angles)])
            )
            if number % 4 == 3 and shape.buffer(-0.05).geom_type == "Polygon":
                hole = shape.buffer(-0.05).simplify(0.02)
                if not hole.is_empty and shape.contains(hole):
                    shape = shapely.Polygon(shape.exterior, [hole.exterior])
            if not shape.is_valid:
                continue
            whole = shapely.MultiPolygon([shape])
            text = (
                {"wkt": shape.wkt} if number % 2 else {"geojson": shapely.geometry.mapping(whole)}
            )
            # WKT and GeoJSON keep every digit
            yield text, whole


def change(asker: Asker) -> None:
    """Late, corrected, deleted and short-lived events."""
    asker.run("update event set geom = st_translate(geom, 0.05, 0.01) where id % 17 = 0")
    asker.run("update event set geom = null where id % 23 = 0")
    asker.run("update event set occurred_at = occurred_at - interval '40 days' where id % 29 = 0")
    asker.run("delete from event where id % 13 = 0")
    asker.run(
        "insert into event (source_id, reference, kind, occurred_at, located_by, geom) "
        "select (select id from event_source), 'late' || n, 'fire', "
        "timestamptz '2023-07-01' + n * interval '3 h', 'point', "
        "st_setsrid(st_makepoint(119 + n / 250.0, 29.5), 4326) from generate_series(1, 300) n"
    )
    asker.run("update event set kind = 'theft' where reference like 'late%' and id % 2 = 0")
    asker.run("delete from event where reference like 'late1%'")


@pytest.mark.parametrize("state", ["no snapshot", "fresh", "changed", "folded"])
def test_counts_equal_postgis(asker: Asker, state: str) -> None:
    if state != "no snapshot":
        asker.build()
    if state in ("changed", "folded"):
        asker.ask({"wkt": BOX})
        change(asker)
    if state == "folded":
        assert asker.compact() is not None
        until(lambda: asker.ask({"wkt": BOX})["changed"] == 0)
    random = np.random.default_rng(3)
    counted = 0
    for sent, meant in shapes(24, 11):
        start = f"2023-{random.integers(1, 13):02d}-{random.integers(1, 28):02d}T07:31:00"
        end = f"2024-{random.integers(1, 13):02d}-{random.integers(1, 28):02d}T19:02:59"
        kinds = [None, ["fire"], ["theft", "petition", "noise"]][random.integers(3)]
        answer = asker.ask(sent, start=start + "+08:00", end=end + "+08:00", kinds=kinds,
                           breakdowns=["kind", "day", "week", "month", "hour_of_week", "unit"])  # fmt: skip
        assert answer["total"] == asker.covered(meant, start, end, kinds), sent
        counted += answer["total"]
        for name in ("by_day", "by_week", "by_month"):
            assert sum(answer[name]["counts"]) == answer["total"]
        assert sum(answer["by_kind"].values()) == answer["total"]
        assert sum(answer["by_hour_of_week"]) == answer["total"]
        assert sum(one["count"] for one in answer["by_unit"]) == answer["total"]
        assert (answer["snapshot"] is None) == (state == "no snapshot")
        assert (answer["changed"] > 0) == (state == "changed")
    assert counted > 1000
    edge = asker.ask({"wkt": BOX})
    assert edge["total"] == asker.covered(shapely.from_wkt(BOX))
    # the corner itself counts
    inner = shapely.from_wkt(BOX).buffer(-1e-7, join_style="mitre")
    assert edge["total"] > asker.ask({"wkt": inner.wkt})["total"] >= 100


def test_breakdowns_equal_postgis(asker: Asker) -> None:
    asker.build()
    change(asker)
    answer = asker.ask({"wkt": BOX}, breakdowns=["kind", "month", "hour_of_week"])
    local = "(e.occurred_at at time zone 'Asia/Shanghai')"
    covers = f"from event e where st_covers(st_geomfromtext('{BOX}', 4326), e.geom)"
    span = "and e.occurred_at >= '2022-12-31T16:00Z' and e.occurred_at < '2024-12-31T16:00Z'"
    with asker.engine.connect() as connection:
        kind = dict(tuple(row) for row in connection.exec_driver_sql(
            f"select kind, count(*) {covers} {span} group by 1").all())  # fmt: skip
        month = connection.exec_driver_sql(
            f"select date_trunc('month', {local})::date::text, count(*) {covers} {span} "
            "group by 1 order by 1"
        ).all()
        hour = dict(tuple(row) for row in connection.exec_driver_sql(
            f"select (extract(isodow from {local})::int - 1) * 24 + extract(hour from {local})::int, "
            f"count(*) {covers} {span} group by 1").all())  # fmt: skip
    assert {k: n for k, n in answer["by_kind"].items() if n} == kind
    assert list(zip(answer["by_month"]["dates"], answer["by_month"]["counts"], strict=True)) == [
        tuple(row) for row in month
    ]
    assert answer["by_hour_of_week"] == [hour.get(h, 0) for h in range(168)]
    some = asker.ask({"wkt": BOX}, hours_of_week=[0, 1, 167])
    assert some["total"] == sum(hour.get(h, 0) for h in (0, 1, 167))


def test_units_with_and_without_points(asker: Asker) -> None:
    asker.build()
    change(asker)
    version = asker.small.version
    for code in ("3301", "330101", "330102001", "330102002003", "330102000002", "330101001001004"):
        answer = asker.ask({"unit": code.ljust(27, "0")}, breakdowns=["unit"])
        below = (
            "e.boundary_version_id = :version and e.unit_id in (select id from unit "
            "where boundary_version_id = :version and code like :code) "
            "and e.occurred_at >= '2022-12-31T16:00Z' and e.occurred_at < '2024-12-31T16:00Z'"
        )
        assert answer["total"] == asker.sql(below, version=version, code=code + "%")
        without = asker.sql(below + " and e.geom is null", version=version, code=code + "%")
        assert sum(one["count"] for one in answer["unplaced"]) == without
        for one in answer["by_unit"]:
            if one["code"] != code:
                assert one["count"] == asker.sql(below, version=version, code=one["code"] + "%")
            else:
                assert one["count"] == asker.sql(
                    "e.unit_id = :unit and e.boundary_version_id = :version "
                    "and e.occurred_at >= '2022-12-31T16:00Z' and e.occurred_at < '2024-12-31T16:00Z'",
                    unit=asker.small.id_of(code), version=version,
                )  # fmt: skip
    towns = asker.ask({"unit": "3301"}, breakdowns=["unit"], level="town")
    assert {one["level"] for one in towns["by_unit"]} == {"city", "county", "town"}
    assert sum(one["count"] for one in towns["by_unit"]) == towns["total"]
    # the seven events of an older version are in no unit, and it is said
    assert towns["other_boundaries"] == asker.sql(
        "e.boundary_version_id <> :version", version=version
    )


def test_events_known_only_to_a_unit_stand_beside_the_count(asker: Asker) -> None:
    asker.build()
    place = next(p for p in asker.small.places if p.code == "330101001001001")
    west, south, east, north = place.box
    d = (east - west) / 10
    inside = shapely.box(west + d, south + d, east - d, north - d)
    found = asker.ask({"wkt": inside.wkt})["unplaced"]
    assert [one["code"] for one in found] == [
        "3301", "330101", "330101001", "330101001001", "330101001001001"
    ]  # fmt: skip
    for one in found:
        assert one["count"] == asker.sql(
            "e.unit_id = :unit and e.geom is null and e.boundary_version_id = :version",
            unit=asker.small.id_of(one["code"]), version=asker.small.version,
        )  # fmt: skip
    # the unit itself: its neighbours share an edge, not ground
    exact = asker.ask({"wkt": shapely.box(*place.box).wkt})["unplaced"]
    assert [one["code"] for one in exact] == [one["code"] for one in found]


def test_cells(asker: Asker) -> None:
    asker.build()
    change(asker)
    cells = [h3.latlng_to_cell(29.2, 119.4, 6), h3.latlng_to_cell(29.5, 120.0, 5)]
    with asker.engine.connect() as connection:
        points = connection.exec_driver_sql(
            "select st_x(geom), st_y(geom) from event where geom is not null "
            "and occurred_at >= '2022-12-31T16:00Z' and occurred_at < '2024-12-31T16:00Z'"
        ).all()
    wanted = sum(
        any(h3.latlng_to_cell(y, x, h3.get_resolution(c)) == c for c in cells) for x, y in points
    )
    assert asker.ask({"cells": cells})["total"] == wanted > 50


def test_cells_around_the_globe(asker: Asker) -> None:
    asker.build()
    every = sorted(h3.get_res0_cells())
    with_point = asker.ask({"wkt": "POLYGON((0 -90, 180 -90, 180 90, 0 90, 0 -90))"})["total"]
    assert asker.ask({"cells": every}, breakdowns=["unit"])["total"] == with_point > 0
    # across the antimeridian and around the pole: not the ground on the other side of the globe
    beside = asker.ask({"wkt": BOX})["unplaced"]
    assert beside
    for latitude, longitude, level in ((29.5, 180, 2), (29.5, -179.9, 3), (90, 0, 0), (-90, 0, 3)):
        answer = asker.ask({"cells": [h3.latlng_to_cell(latitude, longitude, level)]})
        assert (answer["total"], answer["unplaced"]) == (0, [])


def test_new_late_corrected_and_deleted_events_count_at_once(asker: Asker) -> None:
    built = asker.build()
    before = asker.ask({"wkt": BOX})
    assert before["snapshot"] == built.id
    add = (
        "insert into event (source_id, reference, kind, occurred_at, located_by, geom) values "
        "((select id from event_source), 'x', :kind, '2023-03-03', 'point', "
        "st_setsrid(st_makepoint(120, 29.5), 4326))"
    )
    asker.run(add, kind="fire")
    assert asker.ask({"wkt": BOX})["total"] == before["total"] + 1
    asker.run(
        "update event set geom = st_setsrid(st_makepoint(119, 29), 4326) where reference = 'x'"
    )
    assert asker.ask({"wkt": BOX})["total"] == before["total"]
    asker.run("delete from event where reference = 'x'")
    after = asker.ask({"wkt": BOX})
    assert (after["total"], after["snapshot"]) == (before["total"], built.id)
    assert after["data_cutoff"] == before["data_cutoff"]


def test_a_transaction_begun_before_the_snapshot_counts_once(asker: Asker) -> None:
    total = asker.ask({"wkt": BOX})["total"]
    with asker.engine.connect() as late:
        late.exec_driver_sql(
            "insert into event (source_id, reference, kind, occurred_at, located_by, geom) values "
            "((select id from event_source), 'late', 'fire', '2023-03-03', 'point', "
            "st_setsrid(st_makepoint(120, 29.5), 4326))"
        )
        asker.build()
        assert asker.ask({"wkt": BOX})["total"] == total
        asker.run("update event set kind = 'fire' where reference = 'e1'")
        assert asker.ask({"wkt": BOX})["total"] == total
        late.commit()
    for _ in range(2):
        assert asker.ask({"wkt": BOX})["total"] == total + 1
    asker.compact()
    for _ in range(3):
        assert asker.ask({"wkt": BOX})["total"] == total + 1


def test_a_kind_nobody_knew_counts_at_once(asker: Asker) -> None:
    asker.build()
    before = asker.ask({"wkt": BOX}, breakdowns=["kind", "month"])
    asker.run("update event set kind = 'flood' where kind = 'fire'")
    after = asker.ask({"wkt": BOX}, breakdowns=["kind", "month"])
    assert after["total"] == before["total"]
    assert after["by_month"] == before["by_month"]
    assert (after["by_kind"]["flood"], after["by_kind"]["fire"]) == (before["by_kind"]["fire"], 0)
    assert asker.ask({"wkt": BOX}, kinds=["flood"])["total"] == before["by_kind"]["fire"]
    assert asker.ask({"wkt": BOX}, kinds=["theft"])["total"] == before["by_kind"]["theft"]
    assert asker.compact() is not None
    assert asker.ask({"wkt": BOX}, kinds=["flood"])["total"] == before["by_kind"]["fire"]


def test_goes_over_to_a_newer_snapshot_without_waiting(asker: Asker) -> None:
    first = asker.build()
    assert asker.ask({"wkt": BOX})["snapshot"] == first.id
    for _ in range(4):  # more than are kept
        change(asker)
        asker.run("delete from event where reference like 'late%'")
        newer = asker.compact()
        assert newer is not None
        total = asker.covered(shapely.from_wkt(BOX))

        def gone_over(newer: snapshots.Published = newer, total: int = total) -> bool:
            answer = asker.ask({"wkt": BOX})
            assert answer["total"] == total
            return bool(answer["snapshot"] == newer.id)

        until(gone_over)


def test_an_idle_worker_misses_nothing_when_its_snapshot_went(asker: Asker) -> None:
    asker.build()
    asker.ask({"wkt": BOX})
    for step in range(3):
        asker.run("delete from event where id % 7 = :step", step=step)
        assert asker.compact() is not None
    assert asker.ask({"wkt": BOX})["total"] == asker.covered(shapely.from_wkt(BOX))


def spoil(folder: Path) -> None:
    path = max(folder.glob("*.npy"), key=lambda one: one.stat().st_size)
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    path.write_bytes(body)


def test_a_damaged_snapshot_is_told_and_never_counted_from(
    asker: Asker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = asker.build()
    change(asker)
    second = asker.compact()
    assert second is not None
    spoil(snapshots.path_of(asker.data_dir, second.digest))
    total = asker.covered(shapely.from_wkt(BOX))
    with caplog.at_level(logging.ERROR):
        answer = asker.ask({"wkt": BOX})
    assert (answer["total"], answer["snapshot"]) == (total, first.id)
    assert "is damaged" in caplog.text
    assert f"snapshot {second.id}" in caplog.text
    # the one before is missing as well: few events are counted without, many wait for a new one
    spoil(snapshots.path_of(asker.data_dir, first.digest))
    settings = asker.client.app.state.settings  # type: ignore[attr-defined]
    with TestClient(create_app(settings)) as other:
        answer = other.post(ADDRESS, json={"area": {"wkt": BOX}, **SPAN}).json()
        assert (answer["total"], answer["snapshot"]) == (total, None)
        monkeypatch.setattr(areas_module, "FEW", 100)
        refused = other.post(ADDRESS, json={"area": {"wkt": BOX}, **SPAN})
        assert refused.status_code == 503
        assert "wusetu cube build small" in refused.json()["message"]
        asker.build()
        answer = other.post(ADDRESS, json={"area": {"wkt": BOX}, **SPAN}).json()
        assert answer["total"] == total


def test_other_boundaries_get_a_snapshot_of_their_own(asker: Asker) -> None:
    built = asker.build()
    asker.run(
        "insert into boundary_version (pack, label, title_zh, title_en, layout, levels, "
        "approximate, valid_from, digest, report) select pack, '2025', title_zh, title_en, layout, "
        "levels, approximate, '2025-01-01', 'x', report from boundary_version where label = '2023'"
    )
    asker.run(
        "insert into unit select (select id from boundary_version where label = '2025'), id, code, "
        "level, name, name_en, parent_id, approximate, area_km2, label_point, geom from unit "
        "where boundary_version_id = :version",
        version=asker.small.version,
    )
    total = asker.covered(shapely.from_wkt(BOX))
    answer = asker.ask({"wkt": BOX})
    assert (answer["total"], answer["boundary_version"]) == (total, "2025")
    assert answer["snapshot"] is None
    assert answer["other_boundaries"] == asker.sql("e.unit_id is not null")
    assert asker.ask({"unit": "3301"})["total"] == 0
    with asker.engine.connect() as connection:
        assert snapshots.why_renew(connection, asker.data_dir, "small", ZONE)
    newer = asker.compact()
    assert newer is not None
    assert newer.id > built.id
    asker.run(
        "update event set boundary_version_id = (select id from boundary_version where "
        "label = '2025') where boundary_version_id = :version",
        version=asker.small.version,
    )
    answer = asker.ask({"unit": "3301"})
    assert answer["snapshot"] == newer.id
    assert answer["total"] == asker.sql(
        "e.boundary_version_id = (select id from boundary_version where label = '2025') "
        "and e.occurred_at >= '2022-12-31T16:00Z' and e.occurred_at < '2024-12-31T16:00Z'"
    )


RING = [[119, 29], [120, 29], [120, 30], [119, 30], [119, 29]]
BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "crossing": (
        {"geojson": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}},
        "area", "crossing",
    ),
    "zero area": ({"wkt": "POLYGON((0 0, 1 1, 2 2, 0 0))"}, "area", "zero_area"),
    "antimeridian": (
        {"wkt": "POLYGON((170 0, -170 0, -170 1, 170 1, 170 0))"}, "area", "antimeridian",
    ),
    "metres": (
        {"wkt": "POLYGON((500000 3200000, 500100 3200000, 500100 3200100, 500000 3200000))"},
        "area", "wrong_crs",
    ),
    "nobody's crs": ({"wkt": BOX, "crs": "mars"}, "area", "unknown_crs"),
    "empty": ({"wkt": "POLYGON EMPTY"}, "area", "empty"),
    "negative radius": ({"circle": {"lon": 120, "lat": 30, "metres": -5}}, "area", "zero_area"),
    "no cell": ({"cells": ["nonsense"]}, "area", "not_a_cell"),
    "below zero": ({"cells": ["-1"]}, "area", "not_a_cell"),
    "beyond 64 bits": ({"cells": ["8" * 100]}, "area", "not_a_cell"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_areas_that_make_no_sense_are_refused_with_the_reason(
    client: TestClient, case: str
) -> None:
    area, field, reason = BAD[case]
    answer = client.post(ADDRESS, json={"area": area, **SPAN})
    assert answer.status_code == 422, answer.text
    body = answer.json()
    assert (body["detail"]["field"], body["detail"]["reason"]) == (field, reason), body
    if case == "crossing":
        assert body["detail"]["at"] == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(
    ("more", "field", "reason"),
    [
        ({"end": "2023-01-01"}, "end", "empty_span"),
        ({"end": "2022-12-31T10:00:00Z"}, "end", "end_before_start"),
        ({"start": "2023-01-01T00:00:00.5Z"}, "start", "bad_time"),
        ({"kinds": []}, "kinds", "no_kinds"),
        ({"kinds": ["nobody"]}, "kinds", "unknown_kind"),
        ({"hours_of_week": []}, "hours_of_week", "no_hours"),
        ({"level": "town"}, "level", "bad_level"),
        ({"level": "moon", "breakdowns": ["unit"]}, "level", "bad_level"),
    ],
)
def test_other_nonsense_is_refused_with_the_reason(
    client: TestClient, more: dict[str, Any], field: str, reason: str
) -> None:
    answer = client.post(ADDRESS, json={"area": {"wkt": BOX}, **SPAN, **more})
    assert answer.status_code == 422, answer.text
    detail = answer.json()["detail"]
    assert (detail["field"], detail["reason"]) == (field, reason)


@pytest.mark.parametrize(
    "area",
    [
        {"wkt": BOX, "crs": "EPSG:3857"},  # degrees taken for metres: a spot off Africa
        {"wkt": "POLYGON((29.2 80, 29.8 80, 29.8 81, 29.2 80))"},
        {"circle": {"lon": 120, "lat": 29.5, "metres": 1000}, "crs": "EPSG:3857"},
    ],
)
def test_an_area_off_the_map_is_refused(client: TestClient, area: dict[str, Any]) -> None:
    answer = client.post(ADDRESS, json={"area": area, **SPAN})
    assert answer.status_code == 422, answer.text
    detail = answer.json()["detail"]
    assert (detail["field"], detail["reason"]) == ("area", "off_map")
    assert len(detail["at"]) == 2


def test_malformed_requests_are_refused(client: TestClient) -> None:
    for body in (
        {},
        {"area": {}, **SPAN},
        {"area": {"wkt": BOX, "unit": "3301"}, **SPAN},
        {"area": {"wkt": BOX}, "start": "2023-01-01T00:00:00", "end": "2024-01-01"},
        {"area": {"wkt": BOX}, **SPAN, "surprise": 1},
        {"area": {"wkt": BOX}, **SPAN, "breakdowns": ["person"]},
        {"area": {"wkt": BOX}, **SPAN, "hours_of_week": [168]},
    ):
        answer = client.post(ADDRESS, json=body)
        assert answer.status_code == 422, body
        assert answer.json()["detail"]
    for unit in ("999", "3301\x00"):
        assert client.post(ADDRESS, json={"area": {"unit": unit}, **SPAN}).status_code == 404
    nowhere = ADDRESS.replace("small", "nowhere")
    assert client.post(nowhere, json={"area": {"wkt": BOX}, **SPAN}).status_code == 404
    assert client.post(ADDRESS + "?x=1", json={"area": {"wkt": BOX}, **SPAN}).status_code == 422


def test_too_many_corners_and_too_large_a_body(client: TestClient) -> None:
    angle = np.linspace(0, 2 * np.pi, 100_002)
    ring = np.column_stack([120 + 0.1 * np.cos(angle), 29.5 + 0.1 * np.sin(angle)])
    ring[-1] = ring[0]
    many = {"geojson": {"type": "Polygon", "coordinates": [ring.round(9).tolist()]}}
    answer = client.post(ADDRESS, json={"area": many, **SPAN})
    assert answer.status_code == 422
    assert answer.json()["detail"]["reason"] == "too_many_vertices"
    huge = json.dumps({"area": {"wkt": BOX + " " * 9_000_000}, **SPAN})
    answer = client.post(ADDRESS, content=huge, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"

    def pieces() -> Iterator[bytes]:  # no declared length
        for start in range(0, len(huge), 1 << 20):
            yield huge[start : start + (1 << 20)].encode()

    answer = client.post(ADDRESS, content=pieces(), headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_an_area_is_cut_to_the_scope_before_it_is_counted(asker: Asker) -> None:
    asker.build()
    held = asker.client.app.state.areas  # type: ignore[attr-defined]

    def ask(area: dict[str, Any], scope: list[str] | None, **more: object) -> Any:
        wanted = AreaQuestion.model_validate({"area": area, **SPAN, **more})
        return areas_module.ask(held, "small", wanted, scope)

    whole, west, east = (ask({"wkt": BOX}, scope).total for scope in (None, ["330101"], ["330102"]))
    assert 0 < west < whole
    half = shapely.from_wkt(BOX).intersection(shapely.box(119, 29, 120, 30))
    assert west == asker.covered(half)
    assert west + east >= whole  # a point on their common edge is in both
    assert ask({"wkt": BOX}, []).total == 0
    assert ask({"unit": "3301"}, ["330101"]).total == ask({"unit": "330101"}, None).total
    with pytest.raises(NotFound):
        ask({"unit": "330102"}, ["330101"])
    with pytest.raises(Invalid, match="cells"):
        ask({"cells": [h3.latlng_to_cell(29.5, 120, 6)]}, ["330101"])
    beside = ask({"wkt": BOX}, ["330101"], breakdowns=["unit"])
    for one in [*beside.unplaced, *beside.by_unit]:
        assert one.code is None or one.code.startswith("330101")


def test_only_one_function_hands_areas_to_a_snapshot() -> None:
    """Nothing else in the program counts in a snapshot, or opens one."""
    names_of = ("count", "Snapshot", "open", "ask", "rows")
    doors: dict[str, set[str]] = {name: set() for name in names_of}
    for path in (ROOT / "app").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        name = str(path.relative_to(ROOT))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("geo.cube"):
                names = {alias.name for alias in node.names}
                if "ask" in names or node.module == "geo.cube.ask":
                    doors["count"].add(name)
                if node.module == "geo.cube.rows":
                    doors["rows"].add(name)
                if "Snapshot" in names or node.module in ("geo.cube.snapshot", "geo.cube.store"):
                    doors["Snapshot"].add(name)
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith("geo.cube") for alias in node.names), name
            if isinstance(node, ast.Attribute) and node.attr == "open_snapshot":
                doors["open"].add(name)
        if isinstance(tree, ast.Module):
            doors["ask"] |= {
                name
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom)
                and node.module == "app.services.areas"
                and "ask" in {alias.name for alias in node.names}
            }
    assert doors["count"] == {"app/services/areas.py"}
    assert doors["Snapshot"] <= {
        "app/services/areas.py",
        "app/services/snapshots.py",
        "app/services/bulk_adopt.py",
    }
    assert doors["open"] == {"app/services/areas.py"}
    assert doors["ask"] == {"app/api/areas.py"}
    assert doors["rows"] == {"app/services/areas.py"}
    text = (ROOT / "app/services/areas.py").read_text(encoding="utf-8")
    assert text.count("count(*piece)") == text.count("ask_located(piece") == 1, "in _count"
    assert text.count("_count(self._held,") == text.count("rows(snapshot,") == 1, "in Sight"
    # what a sight counts was cut to the jurisdiction where the question was made
    assert text.count("scope=self.scope") == 1


def test_answers_say_what_they_counted(asker: Asker) -> None:
    begun = datetime.now(UTC)
    built = asker.build()
    answer = asker.ask({"wkt": BOX})
    assert answer["snapshot"] == built.id
    assert answer["boundary_version"] == "2023"
    assert answer["time_zone"] == ZONE
    assert begun - timedelta(seconds=5) < datetime.fromisoformat(answer["as_of"])
    with asker.engine.connect() as connection:
        newest = connection.scalar(
            sa.text("select date_trunc('second', max(occurred_at)) from event")
        )
    assert datetime.fromisoformat(answer["data_cutoff"]) == newest
    asker.run("delete from event where occurred_at >= :newest", newest=newest)
    later = asker.ask({"wkt": BOX})
    assert datetime.fromisoformat(later["data_cutoff"]) < newest
    headers = asker.client.post(ADDRESS, json={"area": {"wkt": BOX}, **SPAN}).headers
    assert headers["cache-control"] == "private, no-store"
