"""OGC API - Features: pages, reference systems, filters, rights. The map's own answers are the twin."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyproj
import pytest
import shapely
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.ogc.documents import CONFORMANCE
from app.security.identity import Role
from tiles.palette import CLASSES

from .conftest import HOT, MINE, RES, THEIRS, House

CRS = "http://www.opengis.net/def/crs/"
CRS84, LATLON = f"{CRS}OGC/1.3/CRS84", f"{CRS}EPSG/0/4326"
ROOMS = [
    "units-small-county",
    f"cells-small-{RES}",
    "hotspots-small",
    "zones-small",
    "facilities-small",
]


def get(client: TestClient, path: str, status: int = 200, **query: Any) -> Any:
    headers = query.pop("headers", {})
    answer = client.get(f"/ogc{path}", params=query, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


def items(client: TestClient, room: str, **query: Any) -> list[dict[str, Any]]:
    """All features, page after page."""
    found, body = [], get(client, f"/collections/{room}/items", **query)
    while True:
        assert body["numberReturned"] == len(body["features"])
        found += body["features"]
        following = [one["href"] for one in body["links"] if one["rel"] == "next"]
        if not following:
            assert body["numberMatched"] == len(found)
            return found
        body = client.get(following[0]).json()


def ids(features: list[dict[str, Any]]) -> list[str]:
    return [str(one["id"]) for one in features]


# documents ---------------------------------------------------------------------------------------
def test_every_link_leads_somewhere(client: TestClient) -> None:
    waiting, seen = ["http://testserver/ogc"], set()
    while waiting:
        here = waiting.pop()
        if here in seen or "/items/" in here or "after=" in here:
            continue
        seen.add(here)
        answer = client.get(here, headers={"Accept": "application/json"})
        assert answer.status_code in {200, 204}, (here, answer.text)
        if "json" not in answer.headers.get("content-type", ""):
            continue
        body = answer.json()
        assert isinstance(body, dict)
        for one in [
            *body.get("links", []),
            *(x for c in body.get("collections", []) for x in c["links"]),
        ]:
            if not one.get("templated") and urlsplit(one["href"]).netloc == "testserver":
                waiting.append(one["href"])
    assert len(seen) > 60


def test_what_is_declared_and_listed(client: TestClient, house: House) -> None:
    assert get(client, "/conformance")["conformsTo"] == list(CONFORMANCE)
    listed = get(client, "/collections")["collections"]
    levels = ["city", "county", "town", "village", "grid"]
    assert [one["id"] for one in listed] == [*(f"units-small-{one}" for one in levels), *ROOMS[1:]]
    for one in listed:
        assert one == get(client, f"/collections/{one['id']}")
        assert one["extent"]["spatial"]["bbox"] == [[119.0, 29.0, 121.0, 30.0]]
        assert one["storageCrs"] == one["crs"][0] == CRS84
        assert {f"{CRS}EPSG/0/{n}" for n in (4326, 4490, 3857, 4549)} < set(one["crs"])
    definition = get(client, "/api")
    assert definition["openapi"].startswith("3.0.")
    for one in listed:
        parameters = definition["paths"][f"/collections/{one['id']}/items"]["get"]["parameters"]
        limit = next(each for each in parameters if each.get("name") == "limit")
        assert limit["schema"]["maximum"] == 10_000
    assert definition["servers"] == [{"url": "http://testserver/ogc"}]


def test_queryables_are_the_properties(client: TestClient) -> None:
    for name in ROOMS:
        told = get(client, f"/collections/{name}/queryables")
        properties = get(client, f"/collections/{name}/items")["features"][0]["properties"]
        assert [*properties, "geometry"] == list(told["properties"])
        schema = get(client, f"/collections/{name}/schema")["properties"]
        assert set(schema) == set(told["properties"])


# units and cells ---------------------------------------------------------------------------------
@pytest.mark.parametrize("level", ["city", "county", "town", "village", "grid"])
@pytest.mark.parametrize(
    ("kind", "period", "ord_"), [("overall", "month", 20), ("theft", "year", 1)]
)
def test_units_have_the_colours_of_the_map(
    client: TestClient, house: House, level: str, kind: str, period: str, ord_: int
) -> None:
    found = items(client, f"units-small-{level}", kind=kind, period=period, ord=ord_, limit=37)
    packed = client.get(f"/api/runs/{house.run}/values/{level}/{kind}/{period}/{ord_}").content
    colours, risks = np.frombuffer(packed, np.uint8).reshape(2, -1)
    places = [one for one in house.small.places if one.level == level]
    assert ids(found) == [one.code for one in places]
    for one, place, colour, risk in zip(found, places, colours, risks, strict=True):
        told = one["properties"]
        assert told["colour"] == colour
        assert told["colour_name"] == CLASSES[colour].id
        assert told["fill"] == CLASSES[colour].light.fill
        assert told["parent"] == place.parent
        assert told["run"] == house.run
        if risk:
            assert told["theta"] == pytest.approx(2 ** ((int(risk) - 128) / 16), abs=1e-4)
        else:
            assert told["theta"] is None
        shape = shapely.geometry.shape(one["geometry"])
        assert shapely.equals_exact(
            shape.normalize(), shapely.multipolygons([shapely.box(*place.box)]).normalize(), 1e-6
        )


def test_cells_have_the_colours_of_the_map(client: TestClient, house: House) -> None:
    found = items(client, f"cells-small-{RES}", kind="theft", ord=20, limit=50)
    chunks = client.get(f"/api/runs/{house.run}/cells/{RES}/chunks").json()
    colours = np.concatenate([
        np.frombuffer(
            client.get(f"/api/runs/{house.run}/cells/{RES}/values/theft/month/20/{one['chunk']}").content,
            np.uint8,
        ).reshape(2, -1)
        for one in sorted(chunks, key=lambda one: one["first_id"])
    ], axis=1)  # fmt: skip
    assert len(found) == colours.shape[1]
    assert [one["properties"]["colour"] for one in found] == colours[0].tolist()
    assert set(HOT) <= set(ids(found))
    for one in found[::40]:
        again = get(
            client, f"/collections/cells-small-{RES}/items/{one['id']}", kind="theft", ord=20
        )
        assert again["properties"] == one["properties"]
        assert again["geometry"] == one["geometry"]


def test_the_period_is_the_newest_complete_one_unless_it_says(client: TestClient) -> None:
    def first(**query: Any) -> dict[str, Any]:
        found = get(client, "/collections/units-small-county/items", **query)
        assert found["numberMatched"] == 2
        return dict(found["features"][0]["properties"])

    assert first()["start"] == "2024-11-01"
    assert (
        first(period="year")["start"] == "2023-01-01" or first(period="year")["end"] == "2025-01-01"
    )
    assert first(ord=0)["start"] == "2023-02-01"
    assert first(datetime="2023-05-02T00:00:00Z")["start"] == "2023-05-01"
    # the last hours of a local month are still the month, though another day in UTC
    assert first(datetime="2023-05-31T15:59:00Z")["start"] == "2023-05-01"
    assert first(datetime="2023-05-31T16:00:00Z")["start"] == "2023-06-01"
    assert first(datetime="2023-03-01/2023-07-15")["start"] == "2023-07-01"
    assert first(datetime="../2023-07-15T00:00:00Z")["start"] == "2023-07-01"
    assert first(datetime="2024-01-01/..", period="quarter")["start"] == "2024-10-01"
    none = get(client, "/collections/units-small-county/items", datetime="2019-01-01/2019-12-31")
    assert none["numberMatched"] == 0
    assert none["features"] == []
    away = get(
        client, "/collections/units-small-county/items", ord=0, datetime="2024-01-01T00:00:00Z"
    )
    assert away["numberMatched"] == 0


@pytest.mark.parametrize(
    "name", ["units-small-grid", f"cells-small-{RES}", "facilities-small", "hotspots-small"]
)
def test_pages_are_the_whole_in_order(client: TestClient, name: str) -> None:
    whole = items(client, name, limit=10_000)
    for limit in (1, 7):
        if len(whole) / limit < 200:
            assert items(client, name, limit=limit) == whole
    assert len(set(ids(whole))) == len(whole)
    body = get(client, f"/collections/{name}/items", limit=3)
    following = [one["href"] for one in body["links"] if one["rel"] == "next"]
    assert bool(following) == (len(whole) > 3)


def test_a_page_is_of_the_run_the_first_one_was_of(client: TestClient) -> None:
    body = get(client, "/collections/units-small-town/items", limit=2, kind="fraud")
    following = next(one["href"] for one in body["links"] if one["rel"] == "next")
    for part in ("run=", "ord=", "kind=fraud", "limit=2", "after="):
        assert part in following


# where -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("code", [4326, 4490, 3857, 4549])
@pytest.mark.parametrize("name", ["units-small-county", f"cells-small-{RES}", "facilities-small"])
def test_answers_in_the_axis_order_of_the_authority(
    client: TestClient, name: str, code: int
) -> None:
    plain = items(client, name)
    answer = client.get(f"/ogc/collections/{name}/items", params={"crs": f"{CRS}EPSG/0/{code}"})
    assert answer.headers["content-crs"] == f"<{CRS}EPSG/0/{code}>"
    # pyproj, told nothing of our order, keeps the authority's
    there = pyproj.Transformer.from_crs("OGC:CRS84", f"EPSG:{code}")
    for one, other in zip(plain, answer.json()["features"], strict=False):
        lonlat = shapely.get_coordinates(shapely.geometry.shape(one["geometry"]))
        wanted = np.column_stack(there.transform(*lonlat.T))
        given = shapely.get_coordinates(shapely.geometry.shape(other["geometry"]))
        assert np.abs(given - wanted).max() < (0.02 if code in {3857, 4549} else 2e-7)
    assert client.get(f"/ogc/collections/{name}/items").headers["content-crs"] == f"<{CRS84}>"


@pytest.mark.parametrize(
    "name", ["units-small-grid", f"cells-small-{RES}", "facilities-small", "zones-small"]
)
@pytest.mark.parametrize("code", [None, 4326, 3857, 4549])
def test_boxes_in_any_system(client: TestClient, name: str, code: int | None) -> None:
    box = (119.72, 29.31, 120.03, 29.66)
    query: dict[str, Any] = {"bbox": ",".join(map(str, box)), "limit": 10_000}
    ground: shapely.Geometry = shapely.box(*box)
    if code == 4326:
        query = {**query, "bbox": "29.31,119.72,29.66,120.03", "bbox-crs": LATLON}
    elif code is not None:
        there = pyproj.Transformer.from_crs("OGC:CRS84", f"EPSG:{code}", always_xy=True)
        west, south, east, north = there.transform_bounds(*box)
        given = (west, south, east, north) if code == 3857 else (south, west, north, east)
        query |= {"bbox": ",".join(map(str, given)), "bbox-crs": f"{CRS}EPSG/0/{code}"}
        plane = shapely.segmentize(shapely.box(west, south, east, north), 500)
        ground = shapely.transform(
            plane, lambda xy: np.column_stack(there.transform(*xy.T, direction="INVERSE"))
        )
    wanted = [
        str(one["id"])
        for one in items(client, name, limit=10_000)
        if shapely.intersects(shapely.geometry.shape(one["geometry"]), ground)
    ]
    assert ids(items(client, name, **query)) == wanted
    assert wanted
    six = ",".join([*query["bbox"].split(",")[:2], "-5", *query["bbox"].split(",")[2:], "9"])
    assert ids(items(client, name, **{**query, "bbox": six})) == wanted


def test_odd_boxes(client: TestClient) -> None:
    def found(box: str) -> list[str]:
        return ids(items(client, "units-small-county", bbox=box))

    assert found("170,20,-170,40") == []
    assert found("119.5,20,-170,40") == ["330101", "330102"]  # over the 180th meridian
    assert found("119.5,29.5,119.5,29.5") == ["330101"]
    assert found("120,29.5,120,29.5") == ["330101", "330102"]  # on the line: both
    assert found("119.5,29.5,120.5,29.5") == ["330101", "330102"]


@pytest.mark.parametrize(
    ("name", "query", "word"),
    [
        ("units-small-county", {"colur": "5"}, "colur"),
        ("units-small-county", {"limit": "0"}, "limit"),
        ("units-small-county", {"limit": "ten"}, "limit"),
        ("units-small-county", {"bbox": "1,2,3"}, "bbox"),
        ("units-small-county", {"bbox": "1,2,3,x"}, "bbox"),
        ("units-small-county", {"bbox": "1,9,2,3"}, "bbox"),
        ("units-small-county", {"bbox": "1,2,3,nan"}, "bbox"),
        ("units-small-county", {"bbox": "0,1,1,1e400", "bbox-crs": f"{CRS}EPSG/0/3857"}, "bbox"),
        ("units-small-county", {"bbox-crs": LATLON}, "bbox-crs"),
        ("units-small-county", {"crs": "EPSG:2154"}, "crs"),
        ("units-small-county", {"datetime": "yesterday"}, "datetime"),
        ("units-small-county", {"datetime": "2024-03-01T00:00:00"}, "datetime"),
        ("units-small-county", {"datetime": "../.."}, "datetime"),
        ("units-small-county", {"datetime": "2024-03-01/2023-03-01"}, "datetime"),
        ("units-small-county", {"colour": "red"}, "colour"),
        ("units-small-county", {"colour": "9"}, "colour"),
        ("units-small-county", {"period": "week"}, "period"),
        ("units-small-county", {"start": "March"}, "start"),
        ("units-small-county", {"theta": "1e"}, "theta"),
        ("units-small-county", {"f": "xml"}, "f"),
        ("units-small-county", {"lang": "fr"}, "lang"),
        ("units-small-county", {"filter": "colour >"}, "filter"),
        ("units-small-county", {"filter": "nothing = 1"}, "nothing"),
        ("units-small-county", {"filter-lang": "cql2-text"}, "filter-lang"),
        ("units-small-county", {"filter": "colour=5", "filter-lang": "sql"}, "filter-lang"),
        ("units-small-county", {"code": "3301\x00"}, "code"),
        ("zones-small", {"kind": "theft"}, "kind"),
        ("hotspots-small", {"run": "1"}, "run"),
        ("facilities-small", {"alarming": "maybe"}, "alarming"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused_by_name(
    client: TestClient, name: str, query: dict[str, str], word: str
) -> None:
    body = get(client, f"/collections/{name}/items", 400, **query)
    assert body["code"] == "bad_request"
    assert word in body["message"]


def test_twice_is_refused_and_too_much_is_cut(client: TestClient) -> None:
    answer = client.get("/ogc/collections/units-small-county/items?limit=1&limit=2")
    assert answer.status_code == 400
    get(client, "/collections/units-small-county/items", limit=99_999_999)
    get(client, "/collections/units-small-county", 400, limit=3)
    get(client, "", 400, x=1)


@pytest.mark.parametrize(
    "path",
    [
        "/collections/units-small-room", "/collections/units-other-county", "/collections/nothing",
        "/collections/units-small-county/items/330199", "/collections/units-small-county/items/330101001",
        f"/collections/cells-small-{RES}/items/8f2830828052d25", "/collections/cells-small-9/items",
        "/collections/zones-small/items/99", "/collections/units-small-county/items?run=99",
        "/collections/units-small-county/items?run=99999999999", "/collections/units-small-county/items?kind=x",
        "/collections/units-small-county/items?ord=999", "/collections/hotspots-small/items?job=99",
        "/collections/units-small-county/tiles/WorldCRS84Quad", "/tileMatrixSets/Other", "/nowhere",
        "/collections/units-small-county/tiles/WebMercatorQuad/2/9/0",
        "/collections/units-small-county/tiles/WebMercatorQuad/a/b/c",
        "/collections/units-small-county/tiles/WebMercatorQuad/-1/0/0",
        "/collections/units-small-county/tiles/WebMercatorQuad/2147483648/0/0",
        "/collections/units-small-county/tiles/WebMercatorQuad/a/0/0",
    ],
)  # fmt: skip
def test_what_is_not_there(client: TestClient, path: str) -> None:
    answer = client.get(f"/ogc{path}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_properties_are_parameters(client: TestClient) -> None:
    whole = items(client, "units-small-grid", kind="theft", limit=10_000)
    for name, value in (("colour", 5), ("colour_name", "blue"), ("parent", "330101001001"),
                        ("name", "网格001"), ("level", "grid"), ("level", "town")):  # fmt: skip
        wanted = [one for one in whole if one["properties"][name] == value]
        assert items(client, "units-small-grid", kind="theft", **{name: value}) == wanted, name
    whole = items(client, f"cells-small-{RES}")
    wanted = [one for one in whole if one["properties"]["colour"] == 3]
    assert items(client, f"cells-small-{RES}", colour=3, limit=5) == wanted
    assert ids(items(client, "facilities-small", type="device", simulated="false")) == [
        "device-1",
        "device-2",
    ]


def test_head_is_get_without_the_body(client: TestClient) -> None:
    for path in ("", "/collections", "/collections/units-small-county/items", "/api"):
        answer = client.head(f"/ogc{path}")
        assert answer.status_code == 200
        assert answer.content == b""
        full = client.get(f"/ogc{path}")
        assert answer.headers["content-type"] == full.headers["content-type"]


def test_links_are_headers_too(client: TestClient) -> None:
    answer = client.get("/ogc/collections/units-small-grid/items?limit=2")
    following = answer.links["next"]["url"]
    assert client.get(following).json()["features"][0]["id"] == "330101001001003"


# other rooms -------------------------------------------------------------------------------------
def test_hotspots_are_those_of_ones_jobs(client: TestClient, house: House) -> None:
    found = items(client, "hotspots-small")
    assert [(one["properties"]["type"], one["properties"]["found"]) for one in found] == [
        ("scan", "hot"), ("gi", "hot"), ("gi", "cold"),
    ]  # fmt: skip
    cluster = found[0]["properties"]
    assert (cluster["rank"], cluster["observed"], cluster["relative_risk"]) == (1, 31, 3.4)
    assert cluster["start"] == "2024-01-31T16:00:00Z"
    assert found[1]["properties"]["cell"] == HOT[0]
    assert len(items(client, "hotspots-small", job=1)) == 1
    assert len(items(client, "hotspots-small", datetime="2024-01-15/2024-01-20")) == 2
    assert len(items(client, "hotspots-small", found="cold")) == 1
    with house.engine.connect() as connection:
        entry = connection.execute(
            sa.text("select action, row_count, question from audit_entry order by id desc limit 1")
        ).one()
    assert entry.action == "export"
    assert entry.question["collection"] == "hotspots-small"
    assert entry.row_count == 154


def test_the_next_page_of_hotspots_is_of_the_same_jobs(client: TestClient, house: House) -> None:
    page = get(client, "/collections/hotspots-small/items", limit=2)
    (following,) = (one["href"] for one in page["links"] if one["rel"] == "next")
    wanted = client.get(following).json()["features"]
    assert [one["properties"]["found"] for one in wanted] == ["cold"]
    with house.engine.begin() as connection:
        newer = connection.execute(
            sa.text(
                "insert into analysis_job (type, state, pack, question, account_id, prefixes, rows, "
                "expires_at) select type, state, pack, question, account_id, prefixes, rows, expires_at "
                "from analysis_job where type = 'gi' and account_id is null returning id"
            )
        ).scalar_one()
        connection.execute(
            sa.text(
                "insert into analysis_result (job_id, name, body) select :new, name, body "
                "from analysis_result where job_id = "
                "(select min(id) from analysis_job where type = 'gi' and account_id is null)"
            ),
            {"new": newer},
        )
    try:
        assert client.get(following).json()["features"] == wanted
        assert items(client, "hotspots-small")[-1]["properties"]["job"] == newer
    finally:
        with house.engine.begin() as connection:
            connection.execute(sa.text("delete from analysis_job where id = :id"), {"id": newer})
    get(client, "/collections/hotspots-small/items", 400, after="x~1,2,3,4")
    get(client, "/collections/hotspots-small/items", 404, after="x~99999")


def test_zones_and_facilities(client: TestClient) -> None:
    found = items(client, "zones-small")
    assert [one["properties"]["name"] for one in found] == ["联防一区", "their draft"]
    assert found[0]["properties"]["in_force"] is True
    assert found[0]["properties"]["valid_from"] == "2024-03-01T00:00:00Z"
    assert items(client, "zones-small", datetime="2024-02-01T00:00:00Z") == []
    places = items(client, "facilities-small")
    assert ids(places) == ["checkpoint-1", "device-1", "device-2", "site-site-1", "site-site-2"]
    assert places[0]["geometry"]["coordinates"] == [119.95, 29.5]


# doors -------------------------------------------------------------------------------------------
def test_nobody_is_told_anything(many: TestClient) -> None:
    for path in ("", "/collections", "/collections/units-small-county/items", "/api", "/style.css"):
        answer = many.get(f"/ogc{path}", headers={"Accept": "application/geo+json"})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        page = many.get(f"/ogc{path}", headers={"Accept": "text/html"})
        assert page.status_code == 303
        assert page.headers["location"].startswith("/login?next=/ogc")


@pytest.mark.parametrize("role", Role)
def test_a_role_sees_its_rooms(many: TestClient, house: House, role: Role) -> None:
    headers = house.as_(role, None)
    listed = {
        one["id"].split("-")[0] for one in get(many, "/collections", headers=headers)["collections"]
    }
    wanted = {"units", "cells", "facilities"}
    if role in {Role.analyst, Role.border_officer, Role.dispatcher, Role.admin}:
        wanted.add("hotspots")
    border = role in {Role.border_officer, Role.dispatcher, Role.admin}
    assert listed == wanted | ({"zones"} if border else set())
    for room in ("hotspots", "zones"):
        for path in ("", "/items", "/queryables", "/tiles", "/style.json"):
            get(
                many,
                f"/collections/{room}-small{path}",
                200 if room in listed else 403,
                headers=headers,
            )
    kinds = {one["id"].split("-")[0] for one in
             get(many, "/collections/facilities-small/items", headers=headers)["features"]}  # fmt: skip
    assert kinds == ({"site", "checkpoint", "device"} if border else {"site"})


def test_a_jurisdiction_sees_its_own(many: TestClient, house: House) -> None:
    headers = house.as_("border_officer", MINE)
    for level in ("city", "county", "town", "village", "grid"):
        found = get(many, f"/collections/units-small-{level}/items", headers=headers, limit=10_000)[
            "features"
        ]
        wanted = [
            one.code
            for one in house.small.places
            if one.level == level and one.code.startswith(MINE)
        ]
        assert ids(found) == wanted
    whole = json.dumps(
        [get(many, f"/collections/{name}/items", headers=headers, limit=10_000)["features"]
         for name in (*ROOMS, "units-small-grid")]
    )  # fmt: skip
    assert "their" not in whole
    mine = get(many, f"/collections/cells-small-{RES}/items", headers=headers, limit=10_000)[
        "features"
    ]
    assert mine
    assert all(one["properties"]["code"].startswith(MINE) for one in mine)
    for path in (f"units-small-county/items/{THEIRS}", f"cells-small-{RES}/items/{HOT[1]}",
                 "zones-small/items/2", "facilities-small/items/device-2"):  # fmt: skip
        get(many, f"/collections/{path}", 404, headers=headers)
    theirs = get(many, "/collections/hotspots-small/items", headers=house.as_("analyst", THEIRS))
    assert theirs["features"] == []
    own = get(many, "/collections/hotspots-small/items", headers=house.as_("analyst", MINE))
    assert len(own["features"]) == 3
