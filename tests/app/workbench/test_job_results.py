"""What jobs find, against the database, and their files opened by their own libraries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import h3
import numpy as np
import pytest
import rasterio
import sqlalchemy as sa
from fastapi.testclient import TestClient
from rasterio.warp import transform_bounds
from rio_cogeo import cog_validate

from app.database import claim, transaction
from app.errors import Invalid, NotFound
from app.security.identity import LOCAL
from app.services import job_geojson, jobs
from app.services.job_steps import back, local, moment
from app.services.job_work import Outcome
from app.settings import JobSettings
from tiles.palette import CLASSES

from .conftest import PARAMETERS, Bench, question

INSIDE = "occurred_at >= '2023-01-01+08' and occurred_at < '2025-01-01+08' and geom is not null"
KINDS = "kind <> 'noise'"


@pytest.fixture(scope="module")
def found(bench: Bench) -> dict[str, Outcome]:
    """One result of every type over the whole map."""
    return {type_: bench.compute(question(type_)) for type_ in PARAMETERS}


@pytest.mark.parametrize("type_", PARAMETERS)
def test_a_result_says_how_it_was_made(bench: Bench, found: dict[str, Outcome], type_: str) -> None:
    result = found[type_].result
    assert result.type == type_
    assert (
        result.question.model_dump(mode="json")["parameters"].items()
        >= {
            name: value for name, value in PARAMETERS[type_].items() if not isinstance(value, list)
        }.items()
    )
    assert result.seed == 7
    assert result.method.zh
    assert result.method.en
    assert result.run == bench.value("select max(id) from run")
    assert result.boundary_version == "2023"
    assert result.cutoff == bench.value("select data_cutoff from run")
    assert result.simulated
    assert result.approximate
    assert result.events == bench.value(f"select count(*) from event where {INSIDE} and {KINDS}")
    # asked again, also after other questions: the same bytes
    again = bench.compute(result.question.model_dump(mode="json"))
    assert again.result.model_dump_json() == result.model_dump_json()
    assert (again.tif, again.png) == (found[type_].tif, found[type_].png)
    parts = [part for part, _ in bench.steps]
    assert parts == sorted(parts)
    assert all(0 <= part <= 1 for part in parts)


def test_cells_hold_every_event_and_expectation(bench: Bench, found: dict[str, Outcome]) -> None:
    result = found["gi"].result
    cells = result.cells
    with bench.engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                f"select st_x(geom) as x, st_y(geom) as y from event where {INSIDE} and {KINDS}"
            )
        ).all()
    counted: dict[str, int] = {}
    for row in rows:
        cell = h3.latlng_to_cell(row.y, row.x, 7)
        counted[cell] = counted.get(cell, 0) + 1
    assert {c: n for c, n in zip(cells.cell, cells.observed, strict=True) if n} == counted
    # dwellings and floating population are known wherever anything is
    theft = bench.compute(question("gi", kinds=["theft"])).result.cells
    known = np.array([np.nan if one is None else one for one in theft.expected])
    inside = np.array(theft.observed)[~np.isnan(known)]
    assert np.nansum(known) == pytest.approx(inside.sum(), rel=1e-6)
    hot = [c for c, mark in zip(cells.cell, cells.found, strict=True) if mark == "hot"]
    assert len(hot) == result.hot > 0
    # the planted spot is where it is hot
    west, south, east, north = bench.value(
        "select array[st_xmin(geom), st_ymin(geom), st_xmax(geom), st_ymax(geom)] from unit "
        "where code = '330102001001002'"
    )
    at = [h3.cell_to_latlng(one) for one in hot]
    assert any(south < lat < north and west < lon < east for lat, lon in at)


def test_an_area_kinds_and_hours_narrow_a_job(bench: Bench) -> None:
    area = {"rectangle": {"west": 119.2, "south": 29.1, "east": 120.3, "north": 29.8}}
    hours = list(range(0, 168, 5))
    narrow = bench.compute(question("knox", area=area, kinds=["theft"], hours_of_week=hours)).result
    wanted = bench.value(
        f"select count(*) from event where {INSIDE} and kind = 'theft' "
        "and st_x(geom) between 119.2 and 120.3 and st_y(geom) between 29.1 and 29.8 and "
        "mod(((extract(isodow from occurred_at at time zone 'Asia/Shanghai') - 1) * 24 + "
        "extract(hour from occurred_at at time zone 'Asia/Shanghai'))::int, 5) = 0"
    )
    assert narrow.events == wanted > 10
    assert narrow.kinds == ["theft"]
    units = bench.compute(question("knox", area={"units": ["330101"]})).result
    ground = "select geom from unit where code = '330101'"
    assert units.events == bench.value(
        f"select count(*) from event where {INSIDE} and {KINDS} and st_covers(({ground}), geom)"
    )


def test_a_corrected_event_counts_once(bench: Bench) -> None:
    """Also in what changed since the newest snapshot."""
    from app.services import snapshots

    before = bench.compute(question("density")).result.events
    snapshots.build(bench.engine, bench.data_dir, "small", "Asia/Shanghai")
    asked = question("knox")
    with transaction(bench.engine) as connection:
        one = connection.execute(
            sa.text(f"select id, geom::text from event where {INSIDE} and {KINDS} limit 1")
        ).one()
        connection.execute(
            sa.text(
                "update event set geom = st_setsrid(st_makepoint(119.5, 29.5), 4326) where id = :id"
            ),
            {"id": one.id},
        )
    assert bench.compute(asked).result.events == before
    bench.run("update event set geom = null where id = :id", id=one.id)
    assert bench.compute(asked).result.events == before - 1
    bench.run(
        "update event set geom = cast(:geom as geometry) where id = :id", geom=one.geom, id=one.id
    )
    assert bench.compute(asked).result.events == before


def test_clusters_of_a_scan(bench: Bench, found: dict[str, Outcome]) -> None:
    result = found["scan"].result
    assert result.steps == 22
    assert result.total + result.left_out == result.events
    best = result.clusters[0]
    assert best.significant
    assert best.p == 1 / 40
    assert [one.rank for one in result.clusters] == list(range(1, len(result.clusters) + 1))
    taken: set[str] = set()
    for one in result.clusters:
        assert not taken & set(one.cells)
        taken |= set(one.cells)
        # prospective: all of them end now
        assert one.end == moment(int(back(*_span(result))[-1]))
    inside = ", ".join(f"'{one}'" for one in best.cells)
    with bench.engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                f"select st_x(geom) as x, st_y(geom) as y from event where {INSIDE} and {KINDS} "
                "and occurred_at >= :start and occurred_at < :end"
            ),
            {"start": best.start, "end": best.end},
        ).all()
    counted = sum(h3.latlng_to_cell(row.y, row.x, 6) in inside for row in rows)
    assert counted == best.observed
    space = bench.compute(
        question("scan", parameters={"mode": "spatial", "res": 6, "replicates": 19})
    )
    assert space.result.steps == 1
    assert space.result.left_out <= result.left_out


def _span(result: Any) -> tuple[tuple[int, int], int]:
    start, end = (int(one.timestamp()) for one in (result.covered_start, result.covered_end))
    return (start, end), result.question.parameters.step_days


def test_bands_of_near_repeats_add_up(bench: Bench, found: dict[str, Outcome]) -> None:
    result = found["knox"].result
    assert len(result.bands) == 4
    n = bench.value(f"select count(*) from event where {INSIDE} and kind = 'theft'")
    everything = bench.compute(
        question(
            "knox",
            kinds=["theft"],
            parameters={"metres": [0, 1e6], "days": [0, 1e4], "replicates": 19},
        )
    ).result.bands[0]
    assert everything.observed == n * (n - 1) // 2
    assert everything.ratio == pytest.approx(1)


def test_emerging_steps_are_whole_months(bench: Bench, found: dict[str, Outcome]) -> None:
    result = found["emerging"].result
    assert [one.month for one in result.steps] == [3, 6, 9, 12, 3, 6]  # the evening before, in UTC
    assert result.steps_end.isoformat() == "2024-09-30T16:00:00+00:00"
    assert sum(result.counts.values()) == len(result.cells.cell)
    marked = {
        c
        for c, mark in zip(result.cells.category, result.cells.found, strict=True)
        if mark != "none"
    }
    assert marked
    assert "none" not in marked
    assert sum(result.cells.observed) + result.left_out == result.events


def test_a_surface_is_a_cloud_optimised_geotiff(
    bench: Bench, found: dict[str, Outcome], tmp_path: Path
) -> None:
    made = found["density"]
    assert made.tif is not None
    assert made.png is not None
    path = tmp_path / "one.tif"
    path.write_bytes(made.tif)
    valid, wrong, _ = cog_validate(path)
    assert valid, wrong
    result = made.result
    with rasterio.open(path) as file:
        values = file.read(1, masked=True)
        assert file.shape == (result.rows, result.columns)
        assert float(values.sum()) * result.cell**2 / 1e6 == pytest.approx(result.events, rel=1e-5)
        assert float(values.max()) == pytest.approx(result.highest, rel=1e-6)
        tags = file.tags()
        box = transform_bounds(file.crs, "EPSG:4326", *file.bounds)
    assert tags["RUN"] == str(result.run)
    assert json.loads(tags["QUESTION"])["type"] == "density"
    assert tags["METHOD_ZH"] == result.method.zh
    assert tags["CUTOFF"]
    assert result.picture.bounds == pytest.approx(box, abs=0.03)
    picture = tmp_path / "one.png"
    picture.write_bytes(made.png)
    with rasterio.open(picture) as file:
        assert file.shape == (result.picture.height, result.picture.width)
        bands = file.read()
    seen = {tuple(one) for one in bands.reshape(4, -1).T.tolist()}
    shades = {
        tuple(int(one.colour[i : i + 2], 16) for i in (1, 3, 5)) for one in result.picture.legend
    }
    assert {one[:3] for one in seen if one[3]} <= shades
    assert len(shades) == 7
    # never a class colour; below the first grey nothing is drawn
    assert not {one.light.fill.lower() for one in CLASSES[1:]} & {
        one.colour for one in result.picture.legend
    }
    assert any(one[3] == 0 for one in seen)


def test_one_event_is_a_surface_too(bench: Bench) -> None:
    area = {"circle": {"lon": 119.01, "lat": 29.01, "metres": 10}}
    with pytest.raises(Invalid, match="no event"):
        bench.compute(question("density", area=area))


def test_a_forecast_is_kept_back_where_last_year_is_as_good(
    bench: Bench, found: dict[str, Outcome]
) -> None:
    made = found["forecast"]
    result = made.result
    assert not result.shown
    assert result.cells is None
    assert result.picture is None
    assert made.tif is None
    assert result.model.events == result.last_year.events > 500
    assert result.model.pai == pytest.approx(result.model.hit_rate / result.model.area_share)
    with pytest.raises(NotFound, match="may be shown"):
        job_geojson.collection(json.loads(result.model_dump_json()))


def test_a_forecast_that_wins_is_shown(bench: Bench, tmp_path: Path) -> None:
    """A spot that moves every three months: last year's cells are always late."""
    bench.run(
        "insert into event (source_id, reference, kind, occurred_at, located_by, "
        "boundary_version_id, unit_id, geom) "
        "select (select min(id) from event_source), 'moving' || m || '-' || n, 'homicide', "
        "  timestamptz '2023-02-01 04:00Z' + make_interval(months => m, days => n % 25), 'point', "
        "  place.boundary_version_id, place.id, place.label_point "
        "from generate_series(0, 21) m cross join generate_series(1, 40) n "
        "join (select *, row_number() over (order by code) as number from unit "
        "      where level = 'village') place on place.number = 1 + m / 3"
    )
    try:
        made = bench.compute(
            question(
                "forecast",
                kinds=["homicide"],
                parameters={"res": 5, "area_share": 0.02, "held_out": 9},
            )
        )
        result = made.result
        assert result.shown, result.model_dump(exclude={"cells"})
        assert result.p <= 0.05
        assert result.model.hits > result.last_year.hits
        assert made.tif is not None
        assert result.cells is not None
        path = tmp_path / "one.tif"
        path.write_bytes(made.tif)
        assert cog_validate(path)[0]
        expected = sum(one or 0 for one in result.cells.expected)
        with rasterio.open(path) as file:
            cell = abs(file.transform.a * file.transform.e) / 1e6
            total = float(file.read(1, masked=True).sum()) * cell
        # cells at the edge are drawn whole
        assert total == pytest.approx(expected, rel=0.3)
    finally:
        bench.run("delete from event where reference like 'moving%'")


@pytest.mark.parametrize("type_", ["gi", "scan", "emerging"])
def test_results_as_geojson(found: dict[str, Outcome], type_: str, tmp_path: Path) -> None:
    result = json.loads(found[type_].result.model_dump_json())
    path = tmp_path / "one.geojson"
    path.write_bytes(job_geojson.collection(result))
    frame = geopandas.read_file(path)
    assert frame.crs.to_epsg() == 4326
    assert frame.is_valid.all()
    if type_ == "scan":
        assert frame["llr"].tolist() == [one["llr"] for one in result["clusters"]]
    else:
        assert frame["cell"].tolist() == result["cells"]["cell"]
        assert frame["observed"].tolist() == result["cells"]["observed"]
        centre = frame.geometry.iloc[0].centroid
        assert h3.latlng_to_cell(centre.y, centre.x, result["res"]) == frame["cell"].iloc[0]
    about = json.loads(path.read_text())["about"]
    assert about["method"] == result["method"]
    assert about["question"] == result["question"]


def test_parts_of_a_result_over_http(
    bench: Bench, desk: TestClient, found: dict[str, Outcome]
) -> None:
    """Who gets which file, and what is written down of it."""
    numbers = {}
    with transaction(bench.engine) as connection:
        for type_ in ("gi", "density"):
            made = found[type_]
            wanted = made.result.question
            claim(connection, None)
            job = jobs.create(connection, LOCAL, wanted, JobSettings()).id
            connection.execute(
                sa.text("update analysis_job set state = 'running' where id = :id"), {"id": job}
            )
            parts = {
                "json": made.result.model_dump_json().encode(),
                "tif": made.tif,
                "png": made.png,
            }
            jobs.finish(
                connection, job, method=made.result.method, run=made.result.run,
                rows=made.result.events, parts={n: b for n, b in parts.items() if b is not None},
            )  # fmt: skip
            numbers[type_] = job
    gi, density = (f"/api/jobs/{numbers[one]}/result" for one in ("gi", "density"))
    assert desk.get(gi).content == found["gi"].result.model_dump_json().encode()
    shapes = desk.get(gi + ".geojson")
    assert shapes.headers["content-type"] == "application/geo+json"
    assert "attachment" in shapes.headers["content-disposition"]
    assert desk.get(gi + ".tif").status_code == 404
    assert desk.get(gi + ".png").status_code == 404
    assert desk.get(density + ".geojson").status_code == 404
    tif, png = desk.get(density + ".tif"), desk.get(density + ".png")
    assert tif.content == found["density"].tif
    assert png.content == found["density"].png
    assert png.headers["cache-control"] == "private, no-store"
    events = found["gi"].result.events
    with bench.engine.connect() as connection:
        entries = connection.execute(
            sa.text(
                "select action, outcome, row_count from audit_entry "
                "where (question ->> 'job')::int = any(:jobs) order by id"
            ),
            {"jobs": list(numbers.values())},
        ).all()
    assert [tuple(one) for one in entries] == [
        ("ask_area", "answered", events), ("export", "answered", events),
        ("export", "not_found", None), ("ask_area", "not_found", None),
        ("export", "not_found", None), ("export", "answered", events),
        ("ask_area", "answered", events),
    ]  # fmt: skip


def test_steps_of_time() -> None:
    day = 86_400
    assert back((0, 10 * day), 3).tolist() == [day, 4 * day, 7 * day, 10 * day]
    with pytest.raises(Invalid):
        back((0, day), 3)
    span = (int(moment(0).timestamp()), 400 * day)
    months = local(span, "month", "Asia/Shanghai")
    assert moment(int(months[0])).isoformat() == "1970-01-31T16:00:00+00:00"
    assert len(months) == 13
    weeks = local(span, "week", "Asia/Shanghai")
    assert set(np.diff(weeks).tolist()) == {7 * day}
    with pytest.raises(Invalid):
        local((0, 40 * day), "quarter", "Asia/Shanghai")
