"""Real clients: GDAL reads every collection over HTTP, and tiles are decoded by two decoders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import mapbox_vector_tile
import morecantile
import numpy as np
import pyogrio
import pytest
import shapely
from fastapi.testclient import TestClient

from tiles.palette import CLASSES

from .conftest import MINE, RES, House, process

FILLS = {one.id: one.light.fill for one in CLASSES}
SQUARES = morecantile.tms.get("WebMercatorQuad")
pytestmark = pytest.mark.skipif(
    "OAPIF" not in pyogrio.list_drivers(), reason="this GDAL has no OAPIF driver"
)


@pytest.fixture(autouse=True)
def straight(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ask this machine itself, never a proxy."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    for name in list(os.environ):
        if name.lower() in {"http_proxy", "https_proxy", "all_proxy"}:
            monkeypatch.delenv(name)
    yield
    pyogrio.set_gdal_config_options({"GDAL_HTTP_AUTH": None, "GDAL_HTTP_BEARER": None})


def collections(address: str, **headers: str) -> list[dict[str, Any]]:
    found = httpx.get(f"{address}/ogc/collections", headers=headers, trust_env=False)
    return list(found.json()["collections"])


def features(address: str, name: str, **query: Any) -> list[dict[str, Any]]:
    query = {"limit": 10_000, **query}
    url = f"{address}/ogc/collections/{name}/items"
    return list(httpx.get(url, params=query, trust_env=False).json()["features"])


def test_gdal_reads_every_collection(address: str) -> None:
    source = f"OAPIF:{address}/ogc"
    listed = collections(address)
    assert sorted(pyogrio.list_layers(source)[:, 0]) == sorted(one["id"] for one in listed)
    for one in listed:
        wanted = features(address, one["id"])
        frame = pyogrio.read_dataframe(source, layer=one["id"], fid_as_index=False)
        assert len(frame) == len(wanted) > 0, one["id"]
        assert pyogrio.read_info(source, layer=one["id"], force_feature_count=True)[
            "features"
        ] == len(wanted)
        assert frame.crs.to_authority() in {("OGC", "CRS84"), ("EPSG", "4326")}
        shapes = np.array([shapely.geometry.shape(each["geometry"]) for each in wanted])
        assert shapely.equals(frame.geometry.values, shapes).all(), one["id"]
        for name in wanted[0]["properties"]:
            if name not in frame.columns:  # nothing but nulls
                assert all(each["properties"][name] is None for each in wanted)
                continue
            for given, each in zip(frame[name], wanted, strict=True):
                told = each["properties"][name]
                if told is None:
                    assert given is None or given != given
                elif isinstance(told, float):
                    assert given == pytest.approx(told)
                elif name in {"start", "end", "valid_from", "valid_to"}:
                    assert str(given)[:10] == told[:10]
                else:
                    assert given == told, (one["id"], name)
        if "fill" in frame.columns:
            assert set(zip(frame["colour_name"], frame["fill"], strict=True)) <= set(FILLS.items())


def test_gdal_turns_pages_and_filters_at_the_server(address: str) -> None:
    name = "units-small-grid"
    wanted = features(address, name)
    source = f"OAPIF:{address}/ogc/collections/{name}"
    options = {"PAGE_SIZE": "7"}
    frame = pyogrio.read_dataframe(source, **options)
    assert frame["code"].tolist() == [one["id"] for one in wanted]
    box = (119.72, 29.31, 120.03, 29.66)
    inside = [
        one["id"] for one in wanted
        if shapely.intersects(shapely.geometry.shape(one["geometry"]), shapely.box(*box))
    ]  # fmt: skip
    assert pyogrio.read_dataframe(source, bbox=box, **options)["code"].tolist() == inside
    red = [one["id"] for one in wanted if one["properties"]["colour"] == 5]
    assert pyogrio.read_dataframe(source, where="colour = 5")["code"].tolist() == red


def test_gdal_asks_for_a_kind_and_a_month(address: str) -> None:
    name = "units-small-town"
    source = f"OAPIF:{address}/ogc/collections/{name}?kind=theft&ord=3"
    wanted = features(address, name, kind="theft", ord=3)
    frame = pyogrio.read_dataframe(source)
    assert frame["colour"].tolist() == [one["properties"]["colour"] for one in wanted]
    assert set(frame["kind"]) == {"theft"}
    assert set(frame["ord"]) == {3}


@pytest.mark.parametrize("code", ["EPSG:4326", "EPSG:4490", "EPSG:3857", "EPSG:4549"])
def test_gdal_takes_the_axes_as_they_are_meant(address: str, code: str) -> None:
    source = f"OAPIF:{address}/ogc/collections/units-small-county"
    plain = pyogrio.read_dataframe(source)
    frame = pyogrio.read_dataframe(source, CRS=code)
    # of two that differ in the order of their axes alone GDAL takes the first
    same = {"EPSG:4326": ("OGC", "CRS84")}
    assert frame.crs.to_authority() in {tuple(code.split(":")), same.get(code)}
    back = frame.to_crs("OGC:CRS84")
    for one, other in zip(plain.geometry, back.geometry, strict=True):
        assert shapely.hausdorff_distance(one, other) < 1e-6


def test_gdal_needs_a_token_where_there_are_accounts(house: House) -> None:
    with process(house, WUSETU_ACCESS="accounts") as address:
        source = f"OAPIF:{address}/ogc"
        with pytest.raises(pyogrio.errors.DataSourceError):
            pyogrio.list_layers(source)
        head = house.as_("viewer", MINE)
        secret = head["Authorization"].removeprefix("Bearer ")
        pyogrio.set_gdal_config_options({"GDAL_HTTP_AUTH": "BEARER", "GDAL_HTTP_BEARER": secret})
        layers = sorted(pyogrio.list_layers(source)[:, 0])
        assert layers == sorted(one["id"] for one in collections(address, **head))
        assert not [one for one in layers if one.startswith(("zones", "hotspots"))]
        for level in ("county", "grid"):
            frame = pyogrio.read_dataframe(source, layer=f"units-small-{level}")
            wanted = [
                x.code for x in house.small.places if x.level == level and x.code.startswith(MINE)
            ]
            assert frame["code"].tolist() == wanted


# tiles -------------------------------------------------------------------------------------------
def tile_of(
    client: TestClient, name: str, lon: float, lat: float, zoom: int, **query: Any
) -> bytes:
    at = SQUARES.tile(lon, lat, zoom)
    found = client.get(f"/ogc/collections/{name}/tiles/WebMercatorQuad")
    template = next(one["href"] for one in found.json()["links"] if one.get("templated"))
    path = template.replace("{tileMatrix}", str(zoom)).replace("{tileRow}", str(at.y))
    answer = client.get(path.replace("{tileCol}", str(at.x)), params=query or None)
    assert answer.status_code in {200, 204}, answer.text
    return bytes(answer.content)


@pytest.mark.parametrize(
    ("name", "layer", "key", "zoom"),
    [
        ("units-small-county", "units", "code", 7),
        ("units-small-grid", "units", "code", 11),
        (f"cells-small-{RES}", "cells", "cell", 7),
        ("facilities-small", "facilities", "id", 7),
        ("hotspots-small", "hotspots", "id", 7),
        ("zones-small", "zones", "name", 9),
    ],
)
def test_tiles_hold_what_the_features_are(
    client: TestClient, tmp_path: Path, name: str, layer: str, key: str, zoom: int
) -> None:
    lon, lat = 119.96, 29.52
    body = tile_of(client, name, lon, lat, zoom)
    decoded = mapbox_vector_tile.decode(body)[layer]["features"]
    known = {
        str(one["id"] if key == "id" else one["properties"][key]): one["properties"]
        for one in client.get(f"/ogc/collections/{name}/items?limit=10000").json()["features"]
    }
    assert decoded
    for one in decoded:
        told = one["properties"]
        wanted = known[str(told[key])]
        for field in (
            "colour",
            "colour_name",
            "class_zh",
            "class_en",
            "theta",
            "name",
            "type",
            "found",
        ):
            if field in told and field in wanted:
                assert told[field] == (
                    pytest.approx(wanted[field]) if field == "theta" else wanted[field]
                )
    # everything of the collection that lies well inside of the tile is in it
    at = SQUARES.tile(lon, lat, zoom)
    square = shapely.box(*SQUARES.bounds(at))
    whole = client.get(f"/ogc/collections/{name}/items?limit=10000").json()["features"]
    inside = {
        str(one["id"] if key == "id" else one["properties"][key])
        for one in whole
        if shapely.within(shapely.geometry.shape(one["geometry"]), square)
    }
    assert inside <= {str(one["properties"][key]) for one in decoded}
    # and GDAL reads the same
    path = tmp_path / f"{at.z}-{at.x}-{at.y}.mvt"
    path.write_bytes(body)
    frame = pyogrio.read_dataframe(f"MVT:{path}", layer=layer)
    if layer == "cells":  # what only reaches into the margin GDAL leaves out
        decoded = [one for one in decoded if one["properties"][key] in set(frame[key])]
        assert inside <= set(frame[key])
    assert len(frame) == len(decoded)
    if "colour" in frame.columns:
        assert frame["colour"].tolist() == [one["properties"]["colour"] for one in decoded]
    if key in frame.columns:
        assert frame[key].astype(str).tolist() == [str(one["properties"][key]) for one in decoded]


def test_no_exact_count_is_in_a_tile(client: TestClient) -> None:
    body = tile_of(client, "hotspots-small", 119.9, 29.5, 7)
    for one in mapbox_vector_tile.decode(body)["hotspots"]["features"]:
        assert not {"observed", "expected", "relative_risk", "z", "p"} & set(one["properties"])


def test_tiles_of_a_kind_and_a_month(client: TestClient) -> None:
    base = "/ogc/collections/units-small-town"
    told = client.get(f"{base}/tiles/WebMercatorQuad/tilejson.json?kind=theft&ord=3").json()
    path = told["tiles"][0].replace("{z}", "8")
    at = SQUARES.tile(119.5, 29.5, 8)
    body = client.get(path.replace("{y}", str(at.y)).replace("{x}", str(at.x))).content
    wanted = {one["id"]: one["properties"]["colour"] for one in
              client.get(f"{base}/items?kind=theft&ord=3").json()["features"]}  # fmt: skip
    found = mapbox_vector_tile.decode(body)["units"]["features"]
    assert found
    for one in found:
        assert one["properties"]["colour"] == wanted[one["properties"]["code"]]
    style = client.get(f"{base}/style.json?kind=theft&ord=3&set=wall").json()
    assert style["version"] == 8
    url = next(iter(style["sources"].values()))["url"]
    assert client.get(url).json()["tiles"] == told["tiles"]


def test_limits_are_those_of_the_matrix_set(client: TestClient) -> None:
    told = client.get("/ogc/collections/units-small-county/tiles/WebMercatorQuad").json()
    for one in told["tileMatrixSetLimits"]:
        zoom = int(one["tileMatrix"])
        for lon, lat in ((119.001, 29.999), (120.999, 29.001)):
            at = SQUARES.tile(lon, lat, zoom)
            assert one["minTileCol"] <= at.x <= one["maxTileCol"]
            assert one["minTileRow"] <= at.y <= one["maxTileRow"]
    own = client.get("/ogc/tileMatrixSets/WebMercatorQuad").json()
    assert own["tileMatrices"][0]["scaleDenominator"] == pytest.approx(559082264.0287178)
    away = SQUARES.tile(-70, -30, 7)
    path = f"/ogc/collections/units-small-county/tiles/WebMercatorQuad/7/{away.y}/{away.x}"
    assert client.get(path).status_code == 204
