"""Boxes over the 180th meridian: the narrowest arc, and a map there frames itself the short way."""

from __future__ import annotations

import geopandas as gpd
import pytest
import shapely
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from app.database import claim
from app.services import framing
from app.services.boundaries import import_units
from app.services.caches import Caches
from app.services.manifest import _bounds
from app.services.search import search
from app.services.units import unit_detail

PART = st.tuples(st.integers(-180, 180), st.integers(0, 60)).map(
    lambda one: (float(one[0]), float(min(180, one[0] + one[1])))
)


@given(st.lists(PART, min_size=1, max_size=6))
def test_the_narrowest_box_that_holds_all(parts: list[tuple[float, float]]) -> None:
    """Against every box that begins where a part begins."""
    best = 1e9
    for west, _ in parts:
        best = min(best, max((a - west) % 360 + (b - a) for a, b in parts))
    west, east = framing.short_way(parts)
    width = east - west + (360 if west > east else 0)
    plain = max(b for _, b in parts) - min(a for a, _ in parts)
    # a point at 180 is not one at -180 here, so the plain box may be as good as any
    assert width == min(plain, best)
    for a, b in parts:
        held = (west <= a and b <= east) if west <= east else (a >= west or b <= east)
        assert held


@pytest.mark.parametrize(
    ("boxes", "wanted"),
    [
        ([(176, -19, 180, -16), (-180, -19, -178, -16)], (176, -19, -178, -16)),
        ([(100, 10, 101, 11), (-100, -5, -99, 11)], (100, -5, -99, 11)),
        ([(-80, 10, -70, 11), (90, 10, 99, 11)], (-80, 10, 99, 11)),
    ],
)
def test_maps_are_framed_the_short_way(
    engine: sa.Engine, boxes: list[tuple[float, ...]], wanted: tuple[float, ...]
) -> None:
    frame = gpd.GeoDataFrame(
        {"code": ["7"], "level": ["city"], "name": ["岛"]},
        geometry=[shapely.MultiPolygon([shapely.box(*one) for one in boxes])],
        crs=4326,
    )
    with engine.begin() as connection:
        version = import_units(connection, frame=frame, pack="far", label="1").version.id
        claim(connection, None)
        assert tuple(_bounds(connection, version, "city")) == wanted
        detail = unit_detail(connection, Caches(), "far", "7")
        assert tuple(detail.bounds) == wanted
        hit = search(connection, Caches(), "far", "7", 5).hits[0]
        assert tuple(hit.bounds) == wanted
