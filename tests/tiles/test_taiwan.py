"""Real boundaries of three levels: 22 counties, 368 towns, 7,701 villages, some of them broken."""

from __future__ import annotations

import gzip
from collections import Counter, defaultdict
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from mapbox_vector_tile.Mapbox import vector_tile_pb2

from tiles import cut, geometry, levels
from tiles.geometry import Units
from tiles.mvt import Columns


def taiwan(folder: Path) -> Units:
    frames = [
        gpd.read_parquet(folder / f"tw_{name}.parquet").sort_values(code)
        for name, code in (("counties", "COUNTYCODE"), ("towns", "TOWNCODE"), ("villages", "VILLCODE"))
    ]  # fmt: skip
    county, town, village = frames
    geoms = np.concatenate([f.geometry.to_numpy() for f in frames]).astype(object)
    bad = ~shapely.is_valid(geoms)
    assert bad.sum() == 7
    geoms[bad] = shapely.make_valid(geoms[bad], method="structure", keep_collapsed=False)
    first = np.cumsum([1, len(county), len(town)])
    county_id = dict(zip(county.COUNTYCODE, range(first[0], first[1]), strict=True))
    town_id = dict(zip(town.TOWNCODE, range(first[1], first[2]), strict=True))
    label = shapely.point_on_surface(geoms)
    return Units(
        ("county", "town", "village"),
        np.arange(1, len(geoms) + 1),
        np.array(
            [0] * len(county)
            + [county_id[c] for c in town.COUNTYCODE]
            + [town_id.get(c, 0) for c in village.TOWNCODE]
        ),
        np.repeat([0, 1, 2], [len(f) for f in frames]),
        [*county.COUNTYCODE, *town.TOWNCODE, *village.VILLCODE],
        [*county.COUNTYNAME, *town.TOWNNAME, *village.VILLNAME.fillna("")],
        shapely.area(geoms) * 1e4,
        np.column_stack([shapely.get_x(label), shapely.get_y(label)]),
        geoms,
    )


def test_every_unit_at_every_zoom(shared: Path) -> None:
    units = taiwan(shared / "hierarchy")
    ranges = levels.ranges(units.levels, geometry.sides(units))
    report = geometry.Report()
    mercator = geometry.project(units.label)
    total: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for shapes in geometry.by_zoom(units, ranges, report):
        assert shapely.is_valid(shapes.geoms).all()
        ids = units.ids[shapes.index]
        columns = Columns.of(ids, {"code": [units.codes[k] for k in shapes.index]})
        label = geometry.label_units(mercator[shapes.index], shapes.zoom, shapes.extent)
        drawn: set[int] = set()
        labels: Counter[int] = Counter()
        tiles = cut.units_and_labels(
            shapes.geoms, label, (columns, columns), zoom=shapes.zoom, extent=shapes.extent
        )
        for _, data in tiles:
            tile = vector_tile_pb2.tile.FromString(gzip.decompress(data))
            for layer in tile.layers:
                found = [feature.id for feature in layer.features]
                if layer.name == "units":
                    drawn.update(found)
                else:
                    labels.update(found)
        wanted = set(ids.tolist())
        assert drawn == wanted, (shapes.level, shapes.zoom)
        assert labels == Counter(wanted), (shapes.level, shapes.zoom)
        if shapes.level != "village":
            # neighbours share their borders; the few villages across one are all the overlap
            area = shapely.area(shapes.geoms).sum()
            overlap = area - shapely.union_all(shapes.geoms).area
            assert overlap <= 1e-5 * area + len(shapes.geoms), (shapes.level, shapes.zoom)
        total[shapes.level, shapes.zoom]["units"] = len(wanted)
    assert len(total) == sum(r.high - r.low + 1 for r in ranges.values())
    # few of the 7,701 villages do not fit their neighbours, and few towns their villages
    assert len(report.unmatched) == pytest.approx(31, abs=15)
    assert len(report.alone) <= 10
    assert len(report.filled) <= 10
