"""Counts of 1 to 4 stay hidden from accounts without records, also by subtraction and by moving an area."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from app.database import claim, make_engine, transaction
from app.main import create_app
from app.security.identity import MAY, Role
from app.services import accounts, accounts_tokens, snapshots
from app.services.analysis_risk import Risks
from app.services.assess import assess
from app.services.small_numbers import states
from app.settings import CubeSettings, DatabaseSettings, LimitSettings, Settings

from .conftest import install
from .test_analysis import POINTS, ZONE

SPAN = {"start": "2023-01-01", "end": "2025-01-01"}


class Office:
    """The small map with accounts."""

    def __init__(
        self, engine: sa.Engine, client: TestClient, headers: dict[str, dict[str, str]]
    ) -> None:
        self.engine = engine
        self.client = client
        self.headers = headers

    def post(self, who: str, path: str, body: Any, status: int = 200) -> Any:
        answer = self.client.post(path, json=body, headers=self.headers[who])
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def analyse(self, who: str, area: dict[str, Any], **more: Any) -> Any:
        body = {"area": area, **SPAN, **more}
        return self.post(who, "/api/packs/small/areas/analyse", body)

    def forget(self) -> None:
        with self.engine.begin() as connection:
            connection.exec_driver_sql("delete from asked_area")


@pytest.fixture(scope="module")
def office(
    cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Office]:
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    name = f"s_{uuid.uuid4().hex[:12]}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name} template {template} strategy file_copy")
    url = cluster.url(name)
    engine = make_engine(url)
    install(engine)
    with engine.begin() as connection:
        connection.execute(sa.text(POINTS))
    assess(engine, "small", "nine-kinds", zone=ZONE)
    data = tmp_path_factory.mktemp("hidden")
    snapshots.build(engine, data, "small", ZONE)
    headers: dict[str, dict[str, str]] = {}
    desks = [
        ("viewer", Role.viewer, None), ("other", Role.viewer, None), ("analyst", Role.analyst, None),
        ("mine", Role.analyst, "330101"), ("theirs", Role.analyst, "330102"),
        ("deep", Role.analyst, "330101001"), ("mine too", Role.viewer, "330101"),
    ]  # fmt: skip
    with transaction(engine) as connection:
        for desk, role, prefix in desks:
            made = accounts.create(
                connection, desk.replace(" ", "-"), role, kind="program",
                prefixes=None if prefix is None else [prefix],
            )  # fmt: skip
            for title, scopes in ((desk, sorted(MAY[role])), (f"{desk} limited", ["ask_area"])):
                _, token = accounts_tokens.create(
                    connection, account=made.id, title=title, scopes=scopes, days=1, longest=1
                )
                headers[title] = {"Authorization": f"Bearer {token}"}
    options = Settings(
        database=DatabaseSettings(url=url), data_dir=data, access="accounts",
        cube=CubeSettings(check_seconds=0), limits=LimitSettings(heavy_rate=0),
    )  # fmt: skip
    with TestClient(create_app(options), base_url="http://127.0.0.1:8000") as client:
        yield Office(engine, client, headers)
    engine.dispose()
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()


@given(st.lists(st.integers(0, 12), min_size=1, max_size=120))
@settings(max_examples=200, deadline=None)
def test_nothing_is_worked_out_from_a_list_and_its_total(counts: list[int]) -> None:
    made = states(counts)
    *cells, total = made
    for count, state in zip(counts, cells, strict=True):
        assert state != 0 or not 0 < count < 5
    small = [n for n, state in zip(counts, cells, strict=True) if state == 1]
    held = [n for n, state in zip(counts, cells, strict=True) if state == 2]
    if not small and not held:
        assert not any(0 < n < 5 for n in counts)
        return
    if total:
        assert sum(counts) < 5 or not any(n >= 5 for n in counts) or held
        return
    # what is known: the sum of the hidden ones; "<5" is 1 to 4, a withheld one anything from 0
    rest = sum(small) + sum(held)
    for count, state in zip(counts, cells, strict=True):
        if not 0 < count < 5:
            continue
        others, more = len(small) - (state == 1), len(held) - (state == 2)
        low = -1 if more else rest - 4 * others
        high = rest - others
        values = range(1, 5) if state == 1 else range(rest + 1)
        possible = [n for n in values if low <= n <= high]
        assert len(possible) > 1, (counts, made, count)


CIRCLES = [
    {"circle": {"lon": 119.3 + 0.1 * n, "lat": 29.4, "metres": 1500 * (n + 1)}} for n in range(10)
]


def known_parts(answer: dict[str, Any]) -> Iterator[tuple[list[int | None], int | None]]:
    """Lists of an answer with their total, as they are shown."""
    total = answer["overall"]["observed"]
    for part in ("kinds", "children"):
        yield [one["observed"] for one in answer[part]], total
    yield [one["count"] for one in answer["cells"]], total
    inner = answer["answer"]
    yield list(inner["by_kind"].values()), inner["total"]
    yield inner["by_month"]["counts"], inner["total"]
    yield inner["by_hour_of_week"], inner["total"]


@pytest.mark.parametrize("who", ["viewer", "analyst limited"])
def test_tables_keep_small_numbers_by_subtraction(office: Office, who: str) -> None:
    hidden = 0
    for area in CIRCLES:
        office.forget()
        exact, shown = office.analyse("analyst", area), office.analyse(who, area)
        assert not exact["suppressed"]
        for (full, total), (some, told) in zip(known_parts(exact), known_parts(shown), strict=True):
            assert told in (total, None)
            assert (told is None) >= (total is not None and 0 < total < 5)
            gone = [n for n, one in zip(full, some, strict=True) if one is None]
            assert all(one is None or one == n for n, one in zip(full, some, strict=True))
            assert not any(one is not None and 0 < one < 5 for one in some)
            hidden += len(gone)
            if told is not None and any(0 < n < 5 for n in gone):
                assert len(gone) > 1, "one hidden number is the total less the others"
        for one in (shown["overall"], *shown["kinds"], *shown["children"], *shown["comparisons"]):
            assert one["suppressed"] == (one["observed"] is None)
            if one["suppressed"]:
                assert one["observed_text"] in ("<5", "…")
                assert one["relative_risk"] is one["low"] is one["exceedance"] is None
                assert one["colour"] == "none"
        for span in (shown["change"]["previous"], shown["change"]["last_year"]):
            assert span is None or span["observed"] is None or not 0 < span["observed"] < 5
        assert shown["answer"]["by_day"] is shown["answer"]["by_week"] is None
        assert all(not 0 < (one["count"] or 0) < 5 for one in shown["answer"]["unplaced"])
    assert hidden > 50


def test_the_overall_risk_tells_no_hidden_kind(office: Office) -> None:
    """Harm weights are known: a score by them would be one equation too many."""
    office.forget()
    area = {"circle": {"lon": 119.5, "lat": 29.4, "metres": 12_000}}
    shown = office.analyse("viewer", area, parts=["kinds"])
    assert any(one["suppressed"] for one in shown["kinds"])
    exact = office.analyse("analyst", area, parts=["kinds"])
    assert shown["overall"]["relative_risk"] != exact["overall"]["relative_risk"]
    # plain sums: nothing beyond the total that is shown anyway; shares with a point are of all time
    assert shown["overall"]["expected"] == pytest.approx(exact["overall"]["expected"], rel=0.01)
    assert "同等" in shown["rule"]["zh"]


def points(office: Office) -> list[tuple[float, float]]:
    with office.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "select distinct st_x(geom), st_y(geom) from event where geom is not null order by 1, 2"
        )
        return [(row[0], row[1]) for row in rows]


def test_two_areas_that_differ_by_a_few_are_not_both_answered(office: Office) -> None:
    office.forget()
    longitudes = sorted({x for x, _ in points(office)})
    at = len(longitudes) // 2
    middle = [(a + b) / 2 for a, b in itertools.pairwise(longitudes)]
    wide = {"rectangle": {"west": 119, "south": 29, "east": middle[at], "north": 30}}
    count = office.analyse("analyst", wide, parts=[])["overall"]["observed"]
    step = at
    while True:  # the nearest one that takes some events away, but fewer than five
        step -= 1
        narrow = {"rectangle": {**wide["rectangle"], "east": middle[step]}}
        less = count - office.analyse("analyst", narrow, parts=[])["overall"]["observed"]
        if less:
            break
    assert 0 < less < 5, "the points of this map lie apart"
    first = office.analyse("viewer", wide, parts=["kinds", "children", "cells", "month"])
    assert first["overall"]["observed"] == count
    for _ in range(2):  # also when it is asked again
        second = office.analyse("viewer", narrow, parts=["kinds", "children", "cells", "month"])
        assert second["overall"]["observed"] is None
        assert second["overall"]["observed_text"] == "<5"
        assert second["answer"]["total"] is None
        assert not any(one["observed"] for part in ("kinds", "children") for one in second[part])
        assert not any(one["count"] for one in second["cells"])
        assert not any(second["answer"]["by_month"]["counts"])
    path = "/api/packs/small/areas/count"
    plain = {"wkt": "POLYGON((119 29, {0} 29, {0} 30, 119 30, 119 29))".format(middle[step])}
    assert office.post("viewer", path, {"area": plain, **SPAN})["total"] is None
    # the first one may be asked again, and another account is told the second
    assert office.analyse("viewer", wide, parts=[])["overall"]["observed"] == count
    assert office.analyse("other", narrow, parts=[])["overall"]["observed"] == count - less
    assert office.analyse("other", wide, parts=[])["overall"]["observed"] is None
    # spans too: a day with a few events cannot be cut off
    assert office.analyse("analyst", wide, parts=[])["overall"]["observed"] == count


def test_spans_that_differ_by_a_few_are_not_both_answered(office: Office) -> None:
    office.forget()
    area = {"units": ["3301"]}
    whole = office.analyse("analyst", area, kinds=["theft"], parts=["day"])
    days = whole["answer"]["by_day"]
    day, less = next(
        (d, n) for d, n in zip(days["dates"], days["counts"], strict=True) if 0 < n < 5
    )
    before = sum(n for d, n in zip(days["dates"], days["counts"], strict=True) if d < day)
    second = str(np.datetime64(day) + 1)
    shown = office.analyse("viewer", area, kinds=["theft"], end=second, parts=[])
    if before + less >= 5:
        assert shown["overall"]["observed"] == before + less
        cut = office.analyse("viewer", area, kinds=["theft"], end=day, parts=[])["overall"]
        assert cut["observed"] is None or cut["observed"] == 0 or before == 0
    else:
        assert shown["overall"]["observed"] is None


def test_counts_alone_are_hidden_too(office: Office) -> None:
    office.forget()
    path = "/api/packs/small/areas/count"
    seen = 0
    for area in CIRCLES:
        office.forget()
        body = {"area": area, **SPAN, "breakdowns": ["kind", "month", "unit", "day"]}
        exact, shown = office.post("analyst", path, body), office.post("viewer", path, body)
        assert not exact["suppressed"]
        for name in ("by_kind",):
            for key, count in exact[name].items():
                assert shown[name][key] in (count, None)
                if 0 < count < 5:
                    assert shown[name][key] is None
                    seen += 1
        assert shown["by_day"] is None
    assert seen > 10


def test_zeros_nobody_asked_for_hide_nothing(office: Office) -> None:
    """Of two kinds one is small: that a third, not asked for, is "withheld" would fool nobody."""
    path, told = "/api/packs/small/areas/count", 0
    for area in CIRCLES:
        exact = office.post("analyst", path, {"area": area, **SPAN, "breakdowns": ["kind"]})
        small = [kind for kind, n in exact["by_kind"].items() if 0 < n < 5]
        large = [kind for kind, n in exact["by_kind"].items() if n >= 5]
        if not small or not large:
            continue
        told += 1
        pair = [small[0], large[0]]
        office.forget()
        shown = office.post(
            "viewer", path, {"area": area, **SPAN, "breakdowns": ["kind"], "kinds": pair}
        )
        gone = [kind for kind in pair if shown["by_kind"][kind] is None]
        assert small[0] in gone
        assert len(gone) == 2 or shown["total"] is None
        office.forget()
        again = office.analyse("viewer", area, kinds=pair, parts=["kinds"])
        assert {one["kind"] for one in again["kinds"] if one["observed"] is None} == set(gone)
    assert told


def test_a_kind_that_differs_by_a_few_is_told_once(office: Office) -> None:
    """Totals may be told, for they differ by many; what each kind has would tell a few events."""
    asked = 0
    ask: dict[str, Any] = {"parts": ["kinds", "change"], "start": "2024-01-01"}
    for west in np.linspace(119.3, 119.9, 13).tolist():
        areas = [
            {"rectangle": {"west": 119, "south": 29, "east": east, "north": 30}}
            for east in (west, west + 0.04)
        ]
        exact = [office.analyse("analyst", area, **ask)["kinds"] for area in areas]
        counts = [{one["kind"]: one["observed"] for one in each} for each in exact]
        apart = {kind: n - counts[0][kind] for kind, n in counts[1].items()}
        plenty = [kind for kind, n in counts[0].items() if n >= 5]
        pair = next(
            (
                sorted(both)
                for both in itertools.combinations(plenty, 2)
                if sum(apart[kind] for kind in both) >= 5
                and any(0 < apart[kind] < 5 for kind in both)
            ),
            None,
        )
        if pair is None:
            continue
        asked += 1
        office.forget()
        first, second = (office.analyse("viewer", area, kinds=pair, **ask) for area in areas)
        assert {one["observed"] for one in first["kinds"]} == {counts[0][kind] for kind in pair}
        assert second["overall"]["observed"] == sum(counts[1][kind] for kind in pair)
        assert all(one["observed"] is None for one in second["kinds"])
        assert all(second["answer"]["by_kind"][kind] is None for kind in pair)
    assert asked > 1


def test_tables_of_two_levels_tell_no_more_than_one(office: Office) -> None:
    """What is hidden beside a small number stays hidden where it is all there is of its parent."""
    levels = ["county", "town", "village", "grid"]
    hidden = 0
    asked: list[dict[str, Any]] = [
        *CIRCLES[4:],
        {"units": ["3301"]},
        {"units": ["330101"]},
        {"units": ["330102"]},
    ]
    for area, kind in itertools.product(asked, ["theft", "fire", "fraud"]):
        office.forget()
        ask: dict[str, Any] = {"parts": ["children"], "kinds": [kind]}
        exact, shown = (
            {level: office.analyse(who, area, level=level, **ask)["children"] for level in levels}
            for who in ("analyst", "viewer")
        )
        known = {
            row["code"]: row["observed"]
            for level in levels for row in shown[level] if row["code"] and row["observed"] is not None
        }  # fmt: skip
        full = {
            row["code"]: row["observed"] for level in levels for row in exact[level] if row["code"]
        }
        for upper, lower in itertools.pairwise(levels):
            for parent in exact[upper]:
                code = parent["code"]
                parts = [
                    row["code"]
                    for row in exact[lower]
                    if code and row["code"] and row["code"].startswith(code)
                ]
                if not parts or sum(full[part] for part in parts) != parent["observed"]:
                    continue  # some are known to the parent alone
                gone = [part for part in parts if part not in known]
                hidden += len(gone)
                if code in known:
                    assert len(gone) != 1, "the parent less the others tells the one"
                else:
                    assert gone, "the parts tell their parent"
    assert hidden


def test_last_year_by_kind_tells_no_small_number(office: Office) -> None:
    area = {"circle": {"lon": 119.5, "lat": 29.4, "metres": 12_000}}
    span = {"start": "2024-03-01", "end": "2024-05-01"}
    office.forget()
    exact = office.analyse("analyst", area, **span, parts=["kinds", "change"])
    shown = office.analyse("viewer", area, **span, parts=["kinds", "change"])
    before, now = exact["change"]["last_year"], {k["kind"]: k for k in shown["kinds"]}
    counts = [one["observed"] for one in before["kinds"]]
    assert sum(counts) == before["observed"]
    assert any(0 < n < 5 for n in counts)
    told = shown["change"]["last_year"]["kinds"]
    gone = 0
    for full, one in zip(before["kinds"], told, strict=True):
        assert one["observed"] in (full["observed"], None)
        assert not 0 < (one["observed"] or 0) < 5
        gone += one["observed"] is None
        if one["observed"] is None or now[one["kind"]]["observed"] is None:
            assert one["ratio"] is one["low"] is one["high"] is None
    assert gone > 1


def test_what_was_asked_is_kept_for_the_account_alone(office: Office) -> None:
    office.forget()
    office.analyse("viewer", CIRCLES[9], parts=[])
    office.analyse("analyst", CIRCLES[8], parts=[])
    with office.engine.connect() as connection:
        (row,) = connection.exec_driver_sql(
            "select asker, expires_at - at as left from asked_area"
        ).all()
        assert len(bytes(row.asker)) == 32
        assert row.left.total_seconds() == pytest.approx(24 * 3600, abs=60)
        number = connection.exec_driver_sql(
            "select id from account where name = 'viewer'"
        ).scalar_one()
        connection.exec_driver_sql("set local role wusetu_web")
        for account, seen in ((number, 1), (number + 1, 0), (0, 0)):
            connection.execute(
                sa.text("select set_config('wusetu.account', :a, true)"), {"a": str(account)}
            )
            assert (
                connection.exec_driver_sql("select count(*) from asked_area").scalar_one() == seen
            )


# saved areas -------------------------------------------------------------------------------------
def saved(**more: Any) -> dict[str, Any]:
    days = np.datetime64("today") + 30
    return {
        "pack": "small", "name": "农贸市场", "purpose": "巡查", "expires_on": str(days),
        "area": {"circle": {"lon": 119.5, "lat": 29.5, "metres": 500}}, **more,
    }  # fmt: skip


def test_saved_areas_are_seen_by_whom_they_are_for(office: Office) -> None:
    client, headers = office.client, office.headers
    private = office.post("mine", "/api/areas", saved(), 201)
    shared = office.post("mine", "/api/areas", saved(scope="jurisdiction", name="夜市"), 201)
    whole = office.post("analyst", "/api/areas", saved(scope="jurisdiction", name="全市"), 201)
    assert private["mine"]
    assert private["area"]["circle"]["metres"] == 500

    def seen(who: str) -> set[int]:
        return {one["id"] for one in client.get("/api/areas", headers=headers[who]).json()}

    assert seen("mine") == {private["id"], shared["id"]}
    assert seen("mine too") == seen("analyst") - {whole["id"]} == {shared["id"]}
    assert seen("theirs") == seen("deep") == set()
    for who, number, status in (
        ("theirs", shared["id"], 404), ("mine too", shared["id"], 200), ("analyst", private["id"], 404),
    ):  # fmt: skip
        path = f"/api/areas/{number}"
        assert client.get(path, headers=headers[who]).status_code == status
        # nobody changes what is another's, and it answers as what is not there
        assert client.patch(path, json={"name": "x"}, headers=headers[who]).status_code == 404
        assert client.delete(path, headers=headers[who]).status_code == 404
        assert client.get(f"{path}/notes", headers=headers[who]).status_code == status
        note = client.post(f"{path}/notes", json={"text": "看过"}, headers=headers[who])
        assert note.status_code == (201 if status == 200 else 404)
    path = f"/api/areas/{shared['id']}"
    notes = client.get(f"{path}/notes", headers=headers["mine"]).json()
    assert [(one["text"], one["mine"]) for one in notes] == [("看过", False)]
    changed = client.patch(
        path, json={"scope": "private", "purpose": "复查"}, headers=headers["mine"]
    )
    assert (changed.json()["scope"], changed.json()["purpose"], changed.json()["notes"]) == (
        "private", "复查", 1,
    )  # fmt: skip
    assert seen("mine too") == set()
    assert client.delete(path, headers=headers["mine"]).status_code == 204
    assert seen("mine") == {private["id"]}
    with office.engine.begin() as connection:
        assert not connection.exec_driver_sql("select count(*) from saved_area_note").scalar_one()
        connection.exec_driver_sql("update saved_area set expires_on = current_date - 2")
    assert seen("mine") == seen("analyst") == set()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "电话 13800138000"}, "name"), ({"purpose": "浙A12345"}, "purpose"),
        ({"name": "11010519491231002X"}, "name"), ({"expires_on": "2001-01-01"}, "expires_on"),
        ({"expires_on": "2199-01-01"}, "expires_on"), ({"name": "   "}, "name"),
        ({"pack": "none"}, None),
    ],
)  # fmt: skip
def test_what_may_not_be_kept_is_refused(
    office: Office, change: dict[str, Any], field: str | None
) -> None:
    status = 404 if field is None else 422
    detail = office.post("mine", "/api/areas", saved(**change), status)["detail"]
    if field:
        assert detail["field"] == field
    if field != "expires_on":
        return
    with office.engine.connect() as connection:
        assert not connection.execute(
            sa.text("select count(*) from saved_area where expires_on = :day"),
            {"day": change["expires_on"]},
        ).scalar_one()


def test_the_database_itself_keeps_notes_and_areas_to_whom_they_are_for(office: Office) -> None:
    """What the web's role sees and writes by any statement, whatever the program asks before."""
    private = office.post("mine", "/api/areas", saved(), 201)["id"]
    shared = office.post("mine", "/api/areas", saved(scope="jurisdiction"), 201)["id"]
    for area in (private, shared):
        office.post("mine", f"/api/areas/{area}/notes", {"text": "看过"}, 201)
    with office.engine.connect() as connection:
        number: dict[str, int] = dict(
            connection.exec_driver_sql("select name, id from account").all()
        )
    told = {"mine": {private, shared}, "mine-too": {shared}, "theirs": set(), "deep": set()}
    jurisdiction = {"mine": "330101", "mine-too": "330101", "theirs": "330102", "deep": "330101001"}
    note = sa.text(
        "insert into saved_area_note (area_id, account_id, text) values (:area, :by, 'x')"
    )
    for who, areas in told.items():
        with office.engine.connect() as connection:
            connection.exec_driver_sql("set local role wusetu_web")
            claim(connection, (jurisdiction[who],), role="analyst", account=number[who])
            ids = sa.text("select area_id from saved_area_note where area_id = any(:areas)")
            asked = {"areas": [private, shared]}
            assert set(connection.scalars(ids, asked)) == areas, who
            changed = connection.execute(
                sa.text("update saved_area set name = 'x' where id = any(:areas)"), asked
            )
            assert changed.rowcount == (2 if who == "mine" else 0), who
            for area, by in (
                (private, number[who]),
                (shared, number["mine"]),
                (shared, number[who]),
            ):
                allowed = area in areas and by == number[who]
                refused = pytest.raises(sa.exc.DBAPIError, match="row-level security")
                with nullcontext() if allowed else refused, connection.begin_nested():
                    connection.execute(note, {"area": area, "by": by})


def test_notes_never_hold_what_is_a_persons(office: Office) -> None:
    number = office.post("mine", "/api/areas", saved(), 201)["id"]
    path = f"/api/areas/{number}/notes"
    assert office.post("mine", path, {"text": "车牌 浙A12345"}, 422)["detail"]["reason"] == "person"
    assert office.post("mine", path, {"text": "x" * 2001}, 422)
    assert office.client.get(path, headers=office.headers["mine"]).json() == []


def test_a_jurisdiction_expects_what_the_run_does_and_sees_no_more(office: Office) -> None:
    months = {"start": "2023-05-01", "end": "2024-02-01", "parts": ["kinds", "children"]}
    for area in ({"units": ["330101"]}, {"units": ["330101001"]}):
        whole, mine = (office.analyse(who, area, **months) for who in ("analyst", "mine"))
        for one, other in zip(whole["kinds"], mine["kinds"], strict=True):
            assert one["observed"] == other["observed"]
            if one["expected"] is None:
                assert other["expected"] is None
            else:
                assert other["expected"] == pytest.approx(one["expected"], rel=1e-9)
    wide = {"rectangle": {"west": 119, "south": 29, "east": 121, "north": 30}}
    cut = office.analyse("mine", wide, **months)
    assert cut["cut"]
    assert not office.analyse("analyst", wide, **months)["cut"]
    assert all(one["code"] is None or one["code"].startswith("330101") for one in cut["children"])
    own = office.post("mine", "/api/packs/small/areas/shape", {"units": ["330101"]})
    assert cut["km2"] == pytest.approx(own["km2"], rel=1e-4)
    for part in ("2023-05-11T04:05:06+08:00", "2023-06-30"):
        found = office.analyse(
            "mine", {"units": ["330101"]}, start="2023-05-01", end=part, parts=[]
        )
        full = office.analyse("mine", {"units": ["330101"]}, **{**months, "end": "2023-07-01"})
        assert 0 < found["overall"]["expected"] < full["overall"]["expected"]
    refused = {"area": {"units": ["330102"]}, **SPAN}
    office.post("mine", "/api/packs/small/areas/analyse", refused, 404)


def test_an_expected_count_tells_no_event(office: Office) -> None:
    """Of a whole city the count expected by its own events would be the count itself."""
    area = {"units": ["3301"]}
    ends = [f"2024-03-{day:02}" for day in (2, 3, 4, 5)] + ["2024-03-01T06:30:00+08:00"]
    asked = {"start": "2024-03-01", "kinds": ["theft"], "parts": []}
    grown: dict[str, list[float]] = {}
    for who in ("analyst", "viewer", "mine too"):
        office.forget()
        place = {"units": ["330101"]} if who == "mine too" else area
        grown[who] = [
            office.analyse(who, place, **{**asked, "end": end})["overall"]["expected"]
            for end in ends
        ]
    day = grown["viewer"][0]
    assert day > 0
    assert grown["viewer"] == pytest.approx([day, 2 * day, 3 * day, 4 * day, day * 6.5 / 24])
    assert grown["analyst"] != pytest.approx(
        [n * grown["analyst"][0] for n in (1, 2, 3, 4, 6.5 / 24)]
    )
    assert grown["mine too"] == pytest.approx(
        [n * grown["mine too"][0] for n in (1, 2, 3, 4, 6.5 / 24)]
    )
    # whole months are the run's own, for everybody
    month = {"start": "2023-05-01", "end": "2023-08-01", "parts": ["kinds"]}
    for place in (area, {"units": ["330101001"]}):
        office.forget()
        exact, told = (office.analyse(who, place, **month) for who in ("analyst", "viewer"))
        for one, other in zip(exact["kinds"], told["kinds"], strict=True):
            assert one["kind"] == other["kind"]
            assert (other["expected"] is None) == (one["expected"] is None)
            if one["expected"] is not None:
                assert other["expected"] == pytest.approx(one["expected"], rel=1e-9)
    # hours of the week: all of them together are the whole
    parts = []
    for hours in (range(84), range(84, 168)):
        office.forget()
        told = office.analyse(
            "viewer", area, **{**asked, "end": "2024-04-01"}, hours_of_week=list(hours)
        )
        parts.append(told["overall"]["expected"])
    office.forget()
    full = office.analyse("viewer", area, **{**asked, "end": "2024-04-01"})["overall"]["expected"]
    assert sum(parts) == pytest.approx(full)


def test_a_relative_risk_tells_no_kind_it_leaves_out() -> None:
    """With α and E known, θ tells the events of the kinds that are compared."""
    telling = Risks._telling(
        np.array([10.0, 10, 3, 10, 20]), np.array([10, 13, 12, 17, 20], np.int64)
    )
    assert telling.tolist() == [False, True, True, True, False]
    none = Risks._telling(np.array([10.0, 10]), np.array([10, 17], np.int64))
    assert none.tolist() == [False, False]
