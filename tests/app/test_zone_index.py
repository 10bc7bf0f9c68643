"""The index of a zone: sums over its cells, withheld where a side has few events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h3
import pytest
import shapely
from fastapi.testclient import TestClient

from app.services.assess import assess
from geo import risk

from .border_house import MINE, THEIRS, House, house
from .conftest import KINDS, ZONE
from .test_cells import scatter

OFFICER = "border_officer"
RES = 7
BOX = (119.9, 29.4, 120.1, 29.6)


@dataclass
class Place:
    """The house with a run, events with points, and a zone in force."""

    house: House
    run: int
    points: dict[str, tuple[float, float]]
    zone: int
    client: TestClient

    def index(self, prefix: str | None, query: str, zone: int | None = None) -> Any:
        path = f"/api/zones/{zone or self.zone}/index?{query}"
        return self.client.get(path, headers=self.house.as_(OFFICER, prefix))


@pytest.fixture(scope="module")
def place(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    for home in house(cluster, template, tmp_path_factory.mktemp("index")):
        points = scatter(home.engine, home.small)
        run = assess(home.engine, "small", "nine-kinds", zone="Asia/Shanghai", cells=(RES,))
        with home.app() as client:
            yield Place(home, run, points, zone(home, client, BOX), client)


def zone(home: House, client: TestClient, box: tuple[float, ...]) -> int:
    body = {
        "pack": "small", "name": "区", "units": [MINE, THEIRS],
        "area": shapely.box(*box).__geo_interface__,
    }  # fmt: skip
    made = client.post("/api/zones", json=body, headers=home.as_(OFFICER, MINE))
    number: int = made.json()["id"]
    for prefix in (MINE, THEIRS):
        done = client.post(
            f"/api/zones/{number}/versions/1/decisions", json={"decision": "approve"},
            headers=home.as_(OFFICER, prefix),
        )  # fmt: skip
        assert done.status_code == 200, done.text
    return number


def test_the_index_is_the_sum_of_its_cells(place: Place) -> None:
    cells = {
        cell
        for cell in h3.geo_to_cells(shapely.box(119.7, 29.3, 120.3, 29.7), RES)
        if shapely.contains_xy(shapely.box(*BOX), *reversed(h3.cell_to_latlng(cell)))
    }
    observed = sum(
        event.kind in KINDS
        and event.at.astimezone(ZONE).year == 2024
        and h3.latlng_to_cell(*reversed(place.points[f"e{n}"]), RES) in cells
        for n, event in enumerate(place.house.small.events)
        if f"e{n}" in place.points
    )
    admin = place.house.as_("admin", None)
    expected = 0.0
    for cell in sorted(cells):
        why = place.client.get(
            f"/api/runs/{place.run}/cells/{cell}/why?period=year&ord=1", headers=admin
        )
        assert why.status_code == 200, why.text
        expected += why.json()["why"]["expected"] or 0.0
    answer = place.index(MINE, "period=year&ord=1").json()
    assert answer["cells"] == len(cells)
    assert answer["observed"] == observed
    assert observed > 30
    assert answer["expected"] == pytest.approx(expected, rel=1e-9)
    assert answer["low"] < answer["relative_risk"] < answer["high"]
    assert 0 < answer["exceedance"] < 1
    assert answer["colour"] in risk.COLOURS
    assert answer["change_low"] < answer["change"] < answer["change_high"]
    # the same for both sides: one picture
    assert place.index(THEIRS, "period=year&ord=1").json() == answer
    months = [place.index(MINE, f"ord={n}").json() for n in range(11, 22)]
    shown = [one["observed"] for one in months if not one["withheld"]]
    assert sum(shown) <= observed


def test_few_events_of_a_side_withhold_all(place: Place) -> None:
    answer = place.index(MINE, "ord=3&kind=homicide").json()
    found = [place.index(MINE, f"ord={n}&kind=fire").json() for n in range(22)]
    held = [one for one in found if one["withheld"]]
    assert held
    for one in held:
        assert one["min_count"] == 5
        assert one["observed"] is one["expected"] is one["relative_risk"] is one["change"] is None
    assert answer["kind"] == "homicide"


def test_all_kinds_less_the_kinds_told_is_no_small_number(place: Place) -> None:
    def asked(ord_: int, kind: str) -> int | None:
        found: int | None = place.index(MINE, f"period=year&ord={ord_}&kind={kind}").json()[
            "observed"
        ]
        return found

    all_kinds = [asked(n, "overall") for n in (0, 1)]
    assert any(all_kinds)
    for n, total in enumerate(all_kinds):
        kinds = [asked(n, one) or 0 for one in KINDS]
        if total is not None:
            assert total == sum(kinds) or total - sum(kinds) >= 5


def test_what_is_not_there(place: Place) -> None:
    for query, status in (("ord=99", 404), ("ord=1&kind=noise", 404), ("ord=1&period=week", 422),
                          ("kind=theft", 422)):  # fmt: skip
        assert place.index(MINE, query).status_code == status, query
    assert place.index(MINE, "ord=1", zone=99).status_code == 404
    assert place.index("330101001", "ord=1").status_code == 404


def test_the_strictest_treaty_says_how_few_are_few(place: Place) -> None:
    """The last test of this file: the treaty stays."""
    before = place.index(MINE, "period=year&ord=1").json()
    assert (before["min_count"], before["res"]) == (5, RES)
    assert not before["withheld"]
    body = {
        "pack": "small", "name": "strict", "sides": [MINE, THEIRS], "valid_from": "2020-01-01",
        "resolution": 8, "min_count": 1000,
    }  # fmt: skip
    officer = {one: place.house.as_(OFFICER, one) for one in (MINE, THEIRS)}
    assert place.client.post("/api/treaties", json=body, headers=officer[MINE]).status_code == 201
    said = {"version": 1, "decision": "accept"}
    for one in (MINE, THEIRS):
        assert place.index(MINE, "period=year&ord=1").json() == before
        place.client.post("/api/treaties/strict/decisions", json=said, headers=officer[one])
    after = place.index(MINE, "period=year&ord=1").json()
    assert (after["min_count"], after["withheld"], after["observed"]) == (1000, True, None)
    # what is not over for as long as agreed is not told either
    for version, days, told in ((2, 3660, False), (3, 1, True)):
        place.client.post(
            "/api/treaties", headers=officer[MINE], json=body | {"min_count": 5, "delay_days": days}
        )
        for one in (MINE, THEIRS):
            place.client.post(
                "/api/treaties/strict/decisions", json=said | {"version": version},
                headers=officer[one],
            )  # fmt: skip
        after = place.index(MINE, "period=year&ord=1").json()
        assert (after["withheld"], after["observed"]) == (
            (False, before["observed"]) if told else (True, None)
        )
