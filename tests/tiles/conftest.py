"""Fixtures: a small awkward map, put into a real database, with tiles and a published run."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import sqlalchemy as sa
from shapely import MultiPolygon, Polygon, box

from app.cluster import Cluster
from app.database import raw, transaction
from app.services import tile_archives
from tiles import packed
from tiles.geometry import Units

WEST, SOUTH, STEP = 120.0, 30.0, 0.01


def awkward() -> Units:
    """One county, two towns (and a hole in the map), six villages of every unpleasant kind.

    Cells of a 6 × 4 raster of 0.01 degrees. Village 1 has an enclave (village 2, 40 m wide),
    village 3 is in two parts, village 4 a sliver 3 m wide, villages 5 and 6 leave a gap of one
    cell that belongs to nobody. Town 2 has no villages below its last part.
    """

    def cells(x0: float, y0: float, x1: float, y1: float) -> Polygon:
        return box(WEST + x0 * STEP, SOUTH + y0 * STEP, WEST + x1 * STEP, SOUTH + y1 * STEP)

    sliver = 0.003
    enclave = cells(0.9, 0.9, 0.94, 0.94)
    village1 = cells(0, 0, 2, 2).difference(enclave)
    part_a, part_b = cells(0, 2, 1, 4), cells(2, 2, 3, 4)
    village4 = cells(2, 0, 2 + sliver, 2)
    village5 = cells(1, 2, 2, 4)
    rest = cells(2 + sliver, 0, 3, 2)
    village6 = rest
    gap = cells(4, 1, 5, 2)
    town2 = cells(3, 0, 6, 4).difference(gap)
    villages = [village1, enclave, MultiPolygon([part_a, part_b]), village4, village5, village6]
    # the same corner must be a point of every neighbour: node the outlines once
    shapes = _noded([*villages, town2])
    town1 = shapely.coverage_union_all(shapes[:6])
    county = shapely.coverage_union_all(shapes)
    geoms = np.array([county, town1, shapes[6], *shapes[:6]], object)
    names = ["西湖区", "北山街道", "转塘街道", *(f"第{k}村" for k in range(1, 7))]
    label = shapely.point_on_surface(geoms)
    return Units(
        ("county", "town", "village"),
        np.arange(1, 10),
        np.array([0, 1, 1, 2, 2, 2, 2, 2, 2]),
        np.array([0, 1, 1, 2, 2, 2, 2, 2, 2]),
        ["330106", "330106001", "330106002", *(f"330106001{k:03d}" for k in range(1, 7))],
        names,
        shapely.area(geoms) * 1e4,
        np.column_stack([shapely.get_x(label), shapely.get_y(label)]),
        geoms,
        ["West Lake District", "Beishan", "Zhuantang", *[""] * 6],
    )


def _noded(shapes: list[shapely.Geometry]) -> list[shapely.Geometry]:
    """Rebuild overlay-free shapes from one noded set of lines: a corner of one is one of all."""
    lines = shapely.union_all([shape.boundary for shape in shapes])
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(lines)))
    inside = shapely.point_on_surface(faces)
    return [shapely.coverage_union_all(faces[shapely.covers(one, inside)]) for one in shapes]


def insert(engine: sa.Engine, units: Units, pack: str, **about: str) -> int:
    """Put units into the store of record as an import does; the id of the version."""
    with transaction(engine) as connection:
        version: int = connection.execute(
            sa.text(
                "insert into boundary_version (pack, label, title_zh, title_en, levels, source,"
                " licence, valid_from, digest, report) values (:pack, 'v1', '测试', 'Test',"
                " :levels, :source, 'CC0', '2024-01-01', :pack, '{}') returning id"
            ),
            {"pack": pack, "levels": list(units.levels), "source": about.get("source", "made up")},
        ).scalar_one()
        shapes = np.array(
            [g if g.geom_type == "MultiPolygon" else MultiPolygon([g]) for g in units.geoms], object
        )
        wkb = shapely.to_wkb(shapely.set_srid(shapes, 4326), hex=True, include_srid=True)
        points = shapely.to_wkb(
            shapely.set_srid(shapely.points(units.label), 4326), hex=True, include_srid=True
        )
        rows = io.StringIO(
            "".join(
                f"{version}\t{units.ids[k]}\t{units.codes[k]}\t{units.levels[units.level[k]]}\t"
                f"{units.names[k]}\t{units.parents[k] or chr(92) + 'N'}\t{units.area_km2[k]}\t"
                f"{points[k]}\t{wkb[k]}\t{(units.names_en[k:] or [''])[0] or chr(92) + 'N'}\n"
                for k in range(len(units.ids))
            )
        )
        with raw(connection).cursor() as cursor:
            cursor.copy_expert(
                "copy unit (boundary_version_id, id, code, level, name, parent_id, area_km2,"
                " label_point, geom, name_en) from stdin",
                rows,
            )
    return version


def publish(engine: sa.Engine, units: Units, version: int, seed: int = 7) -> int:
    """Publish a run of one kind and one month with random colours; the run's number."""
    rng = np.random.default_rng(seed)
    with transaction(engine) as connection:
        run: int = connection.execute(
            sa.text(
                "insert into run (pack, boundary_version_id, scene, scene_body, status, time_zone,"
                " kinds, measures, published_at) select pack, id, 's', '{}', 'published',"
                " 'Asia/Shanghai', '{theft}', '{area_km2}', now() from boundary_version"
                " where id = :v returning id"
            ),
            {"v": version},
        ).scalar_one()
        connection.execute(
            sa.text("insert into run_period values (:r, 'month', 0, '2024-01-01', true)"),
            {"r": run},
        )
        for k, level in enumerate(units.levels):
            ids = units.ids[units.level == k]
            theta = np.exp(rng.normal(0, 0.7, len(ids)))
            colour = rng.integers(1, 6, len(ids))
            theta[::4], colour[::4] = np.nan, 0
            connection.execute(
                sa.text(
                    "insert into packed_values values (:r, :level, 'theft', 'month', 0, '3301',"
                    " :first, :n, :payload)"
                ),
                {
                    "r": run, "level": level, "first": int(ids[0]), "n": len(ids),
                    "payload": packed.pack(colour, theta),
                },
            )  # fmt: skip
    return run


@pytest.fixture(scope="session")
def units() -> Units:
    return awkward()


@pytest.fixture(scope="session")
def stores() -> tuple[Any, Any]:
    """`insert` and `publish`, for fixtures of a wider scope."""
    return insert, publish


@pytest.fixture(scope="module")
def module_db_url(cluster: Cluster, template: str) -> Iterator[str]:
    """URL of an empty database shared by the tests of one module that only read."""
    name = f"m_{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name} template {template} strategy file_copy")
    yield cluster.url(name)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archives"


@pytest.fixture
def version(engine: sa.Engine, units: Units) -> int:
    return insert(engine, units, "awkward")


@pytest.fixture
def built(engine: sa.Engine, version: int, folder: Path) -> tile_archives.Built:
    return tile_archives.build(engine, version, folder)
