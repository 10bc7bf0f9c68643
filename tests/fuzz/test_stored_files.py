"""Files of maps and what we store ourselves, damaged: an answer or the promised error, never more."""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
import yaml
from hypothesis import strategies as st

from app.errors import Invalid
from app.services import boundary_checks, boundary_files
from app.settings import PROJECT
from geo.codes import CodeLayout, load_layout
from geo.cube import Columns, Snapshot, SnapshotError, Spec
from geo.locate import LocateError, LocateIndex
from tiles.archive import Archive, ArchiveError, write

from .conftest import Hunt, files, spoilt


@pytest.fixture(scope="module")
def layout() -> CodeLayout:
    return load_layout(yaml.safe_load((PROJECT / "data/layouts/unified-27.yaml").read_bytes()))


def units() -> gpd.GeoDataFrame:
    codes = ["330101", "330102", "330103"]
    shapes = [shapely.box(120 + n / 10, 30, 120.1 + n / 10, 30.1) for n in range(3)]
    shapes[1] = shapes[1].difference(shapely.box(120.12, 30.02, 120.14, 30.04))
    return gpd.GeoDataFrame(
        {"code": codes, "level": "county", "name": ["甲区", "乙区", "丙区"]},
        geometry=shapes,
        crs=4326,
    )


def read_units(file: Path, layout: CodeLayout | None) -> None:
    """Read a file of units as far as an import does before it asks the database."""
    notes = boundary_checks.Notes()
    with contextlib.suppress(Invalid):
        frame = boundary_files.read_all(
            [boundary_files.Source(file)], notes, lambda _what, _part: None
        )
        boundary_checks.prepare(frame, layout, notes, lambda _what, _part: None)


def test_boundaries_as_geojson(hunt: Hunt, layout: CodeLayout, tmp_path: Path) -> None:
    file = tmp_path / "units.geojson"

    def check(given: tuple[bytes, bool]) -> None:
        file.write_bytes(given[0])
        read_units(file, layout if given[1] else None)

    hunt(st.tuples(files(units().to_json().encode()), st.booleans()), check)


def test_boundaries_as_wkb(hunt: Hunt, layout: CodeLayout, tmp_path: Path) -> None:
    """GeoParquet whose shapes are broken WKB."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = tmp_path / "units.parquet"
    units().to_parquet(file)
    whole = pq.read_table(file)
    at = whole.column_names.index("geometry")
    good = whole["geometry"].to_pylist()

    def check(shapes: list[bytes | None]) -> None:
        column = pa.array(shapes, pa.binary())
        pq.write_table(whole.set_column(at, whole.schema.field(at), column), file)
        read_units(file, layout)

    one = st.one_of(spoilt(*good), st.sampled_from(good), st.binary(max_size=40), st.none())
    hunt(st.tuples(one, one, one).map(list), check)


def test_boundaries_as_tables(hunt: Hunt, layout: CodeLayout, tmp_path: Path) -> None:
    """Whole files of other formats, damaged anywhere."""
    frame = units()
    goods = []
    for name in ("units.gpkg", "units.parquet", "units.fgb"):
        file = tmp_path / name
        frame.to_parquet(file) if name.endswith("parquet") else frame.to_file(file)
        goods.append(st.tuples(st.just(name), spoilt(file.read_bytes())))

    def check(given: tuple[str, bytes]) -> None:
        (tmp_path / given[0]).write_bytes(given[1])
        read_units(tmp_path / given[0], layout)

    hunt(st.one_of(goods), check)


def damage(folder: Path, spoil: Callable[[Path], None], check: Callable[[Path], None]) -> None:
    """Check a copy of a folder after something was done to it."""
    copy = folder.with_name("damaged")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    spoil(copy)
    check(copy)


def spoilt_files(folder: Path) -> st.SearchStrategy[tuple[str, bytes | None]]:
    """Name of a file of a folder and what it holds now; None: it is gone."""
    there = sorted(path for path in folder.rglob("*") if path.is_file())
    about = [path for path in there if path.suffix == ".json"]
    one = [
        st.tuples(st.just(path.name), st.one_of(spoilt(path.read_bytes()), st.none()))
        for path in [*there, *about * len(there)]  # descriptions as often as arrays
    ]
    return st.one_of(one)


def put(name: str, data: bytes | None) -> Callable[[Path], None]:
    """Write a file, or take it away."""

    def act(folder: Path) -> None:
        (folder / name).unlink()
        if data is not None:
            (folder / name).write_bytes(data)

    return act


def test_snapshots(hunt: Hunt, tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    n = 60
    lon = random.uniform(120, 120.3, n)
    lon[:5] = np.nan
    columns = Columns(
        lon, np.where(np.isnan(lon), np.nan, 30.05), random.integers(1.6e9, 1.7e9, n),
        random.integers(0, 2, n).astype(np.uint8), random.integers(0, 4, n).astype(np.int32),
    )  # fmt: skip
    folder = tmp_path / "snapshot"
    made = Snapshot.build(columns, Spec(("theft", "fire"), "Asia/Shanghai"))
    digest = made.save(folder)

    def check(given: tuple[tuple[str, bytes | None], bool, bool]) -> None:
        (name, data), verify, mapped = given

        def load(copy: Path) -> None:
            with contextlib.suppress(SnapshotError):
                found = Snapshot.load(copy, verify, mapped)
                if verify and found.digest == digest:  # as the keeper of snapshots asks
                    assert len(found) == n
                    for key, array in made.arrays.items():
                        assert found.arrays[key].tobytes() == array.tobytes()

        damage(folder, put(name, data), load)

    hunt(st.tuples(spoilt_files(folder), st.booleans(), st.booleans()), check)


def test_locate_indexes(hunt: Hunt, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    made = LocateIndex.build(units().geometry.to_numpy(), np.array([1, 2, 3]))
    made.save(folder)
    lon, lat = (a.ravel() for a in np.meshgrid(np.linspace(119.9, 120.4, 40), [29.9, 30.03, 30.1]))
    expected = made.locate(lon, lat)

    def check(given: tuple[tuple[str, bytes | None], bool]) -> None:
        (name, data), mapped = given

        def load(copy: Path) -> None:
            try:
                found = LocateIndex.load(copy, mapped)
            except LocateError:
                return
            assert (found.locate(lon, lat) == expected).all(), "damage went unnoticed"

        damage(folder, put(name, data), load)

    hunt(st.tuples(spoilt_files(folder), st.booleans()), check)


def test_tile_archives(hunt: Hunt, tmp_path: Path) -> None:
    tiles = [
        (z, x, y, gzip.compress(f"{z}/{x}/{y}".encode(), mtime=0))
        for z in range(4)
        for x in range(1 << z)
        for y in range(1 << z)
    ]
    made = write(tmp_path, tiles, (119, 29, 121, 31), {"name": "试"})
    good = (tmp_path / f"{made.digest}.pmtiles").read_bytes()
    file = tmp_path / "damaged.pmtiles"

    def check(data: bytes) -> None:
        file.write_bytes(data)
        with contextlib.suppress(ArchiveError), Archive(file) as archive:
            for z, x, y in [(0, 0, 0), (3, 7, 7), (3, 0, 4), (12, 3000, 1500), (24, 1, 1)]:
                archive.get(z, x, y)

    # most of what matters lies in front: header, directory, description
    front = 700
    near = spoilt(good[:front]).map(lambda data: data + good[front:])
    hunt(st.one_of(near, spoilt(good), st.binary(max_size=200)), check)


def test_descriptions_of_other_shapes(hunt: Hunt, tmp_path: Path) -> None:
    """Well-formed JSON that says something else than a description should."""
    snapshot, index = tmp_path / "snapshot", tmp_path / "index"
    none = np.zeros(0)
    columns = Columns(
        none, none, none.astype(np.int64), none.astype(np.uint8), none.astype(np.int32)
    )
    Snapshot.build(columns, Spec(("theft",), "Asia/Shanghai")).save(snapshot)
    LocateIndex.build(units().geometry.to_numpy(), np.array([1, 2, 3])).save(index)
    odd: st.SearchStrategy[Any] = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3),
        st.lists(st.integers(0, 3), max_size=3), st.just({}), st.just({"raster": "0" * 64}),
        st.just({"../up": "0" * 64}),
    )  # fmt: skip
    keys = ["format", "sha256", "kinds", "time_zone", "rows", "grid"]
    changes = st.dictionaries(st.sampled_from(keys), odd, min_size=1, max_size=2)

    def check(given: tuple[dict[str, Any], bool, Any]) -> None:
        new, drop, whole = given
        for folder, name, load, error in (
            (snapshot, "manifest.json", Snapshot.load, SnapshotError),
            (index, "meta.json", LocateIndex.load, LocateError),
        ):
            body = json.loads((folder / name).read_text())
            body = {k: v for k, v in body.items() if k not in new} if drop else {**body, **new}
            text = json.dumps(whole if whole is not None else body).encode()
            with contextlib.suppress(error):
                damage(folder, put(name, text), load)

    hunt(st.tuples(changes, st.booleans(), odd), check)
