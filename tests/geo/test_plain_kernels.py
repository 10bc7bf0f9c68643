"""The compiled kernels as plain Python: the same answers, and lines that can be counted."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import shapely
from rasterio.transform import from_origin

from geo import cells, inside, locate, locate_build, pixels, raster
from geo.hotspots import knox, search
from geo.hotspots.scan import Times, Windows, scan
from geo.locate import LocateIndex
from geo.raster import sum_by_area

from .test_cells import bent_cell, star
from .test_locate import border_points, by_geos, hard_points, voronoi
from .test_raster import seats, write

MODULES = (cells, inside, knox, locate, locate_build, pixels, raster, search)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every compiled function as it was written, wherever it was imported."""
    module: ModuleType
    taken = 0
    for module in MODULES:
        for name, function in list(vars(module).items()):
            if hasattr(function, "py_func"):
                monkeypatch.setattr(module, name, function.py_func)
                taken += 1
    assert taken > 10


def located() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    shapes = np.array([*voronoi(12, 4), shapely.Point(120, 29.7).buffer(0.3)])
    ids = np.arange(1, len(shapes) + 1, dtype=np.int32)
    points = np.concatenate([border_points(shapes, rng, 300), hard_points(shapes, rng, 200)])
    return shapes, ids, points


@pytest.mark.usefixtures("plain")
def test_locating_is_the_same_uncompiled() -> None:
    shapes, ids, points = located()
    with np.errstate(all="ignore"):
        index = LocateIndex.build(shapes, ids)
        found = index.locate(points[:, 0], points[:, 1])
    assert np.array_equal(found, by_geos(shapes, ids, points))


def cut() -> list[shapely.Geometry]:
    name = bent_cell()
    import h3

    lat, lon = h3.cell_to_latlng(name)
    return [star(119.5, 30, 0.06, 9, 1), star(lon + 0.01, lat, 0.05, 12, 3)]


def test_cells_are_the_same_uncompiled(request: pytest.FixtureRequest) -> None:
    shapes = np.array(cut())
    compiled = cells.overlap(shapes, 7)
    request.getfixturevalue("plain")
    with np.errstate(all="ignore"):
        found = cells.overlap(shapes, 7)
    assert np.array_equal(found.cells, compiled.cells)
    assert found.weight == pytest.approx(compiled.weight, abs=1e-12)


def test_sums_of_rasters_are_the_same_uncompiled(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    rng = np.random.default_rng(2)
    path = write(tmp_path / "a.tif", rng.random((20, 24)), from_origin(118, 30, 0.01, 0.01))
    shapes = seats(9, 3, (117.95, 29.85, 118.2, 30.02))
    compiled = sum_by_area(path, shapes)
    request.getfixturevalue("plain")
    with np.errstate(all="ignore"):
        found = sum_by_area(path, shapes)
    assert found.values == pytest.approx(compiled.values, rel=1e-12)
    assert found.outside == pytest.approx(compiled.outside, rel=1e-12)


def test_scans_are_the_same_uncompiled(request: pytest.FixtureRequest) -> None:
    rng = np.random.default_rng(8)
    x, y = rng.random(25) * 3000, rng.random(25) * 3000
    e = rng.gamma(1, 1, (6, 25))
    cases = rng.poisson(3 * e)
    windows = Windows.build(x, y, e, 0.5)

    def found() -> list[object]:
        every = [
            scan(cases, e, windows, times, replicates=4)
            for times in (None, Times(4), Times(2, 1, prospective=False))
        ]
        return [
            (r.maxima.tolist(), [(c.centre, c.llr, c.first) for c in r.clusters]) for r in every
        ]

    compiled = found()
    request.getfixturevalue("plain")
    assert found() == compiled


def test_near_repeats_are_the_same_uncompiled(request: pytest.FixtureRequest) -> None:
    rng = np.random.default_rng(9)
    x, y, days = rng.random(60) * 900, rng.random(60) * 900, rng.integers(0, 30, 60)
    compiled = knox.knox(x, y, days, (0, 100, 300), (0, 7, 14), replicates=5)
    request.getfixturevalue("plain")
    found = knox.knox(x, y, days, (0, 100, 300), (0, 7, 14), replicates=5)
    assert np.array_equal(found.observed, compiled.observed)
    assert np.array_equal(found.p, compiled.p)
