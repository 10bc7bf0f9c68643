"""How the sides work together: counted by hand, intervals against scipy, scoped by row security."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from app.services.border_assess import interval
from app.services.evaluation import share

from .border_house import DEEP, MINE, THEIRS, House, house

OFFICER = "border_officer"
PATH = "/api/packs/small/border/evaluation"
#: Opened (local day), end state, hours to it, hours to mine's and theirs' answer, reported.
CASES = [
    *[("2024-05-03", "closed", 6.0, (0.5, "accept"), (1.0, "accept"), True)] * 7,
    *[("2024-05-09", "expired", 24.0, (0.5, "accept"), None, False)] * 3,
    *[("2024-06-03", "closed", 3.0, (0.25, "accept"), (0.5, "accept"), True)] * 9,
    ("2024-06-09", "declined", 1.0, (0.5, "decline"), (1.0, "decline"), False),
    ("2024-06-10", "closed", 4.0, (0.5, "accept"), (1.0, "accept"), False),
    ("2024-06-30", "expired", 24.0, (0.5, "accept"), None, False),
]


@pytest.fixture(scope="module")
def home(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    for one in house(cluster, template, tmp_path_factory.mktemp("evaluation")):
        with one.engine.begin() as connection:
            for sides in ([MINE, THEIRS], [THEIRS, "330103"]):
                zone(connection, sides)
            for case in CASES:
                enter(connection, 1, [MINE, THEIRS], *case)
            # of a zone mine has no part in
            enter(connection, 2, [THEIRS, "330103"], *CASES[0])
        yield one


def zone(connection: sa.Connection, sides: list[str]) -> None:
    number = connection.execute(
        sa.text(
            "insert into zone (pack, name, side, sides) values ('small', 'z', :side, :sides) "
            "returning id"
        ),
        {"side": sides[0], "sides": sides},
    ).scalar_one()
    connection.execute(
        sa.text(
            "insert into zone_version (zone_id, version, state, side, sides, units, valid_from, geom) "
            "values (:zone, 1, 'live', :side, :sides, :sides, '2024-01-01', "
            "st_multi(st_makeenvelope(119.9, 29.4, 120.1, 29.6, 4326)))"
        ),
        {"zone": number, "side": sides[0], "sides": sides},
    )


def enter(
    connection: sa.Connection, number: int, sides: list[str], day: str, state: str,
    hours: float | None, mine: Any, theirs: Any, reported: bool,
) -> None:  # fmt: skip
    at = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(hours=7)  # 1 a.m. local
    case = connection.execute(
        sa.text(
            "insert into check_case (zone_id, version, side, sides, reference, reason, opened_at, "
            "ends_at) values (:zone, 1, :side, :sides, '1', 'r', :at, :ends) returning id"
        ),
        {
            "zone": number, "side": sides[0], "sides": sides, "at": at,
            "ends": at + timedelta(hours=24),
        },
    ).scalar_one()  # fmt: skip
    steps = [
        (said[1], side, said[0]) for side, said in zip(sides, (mine, theirs), strict=True) if said
    ]
    steps += [("hit", sides[0], 1.5)] if reported else []
    if hours and state != "declined":
        steps.append(({"closed": "close", "expired": "expire"}[state], sides[0], hours))
    for step, side, after in steps:
        connection.execute(
            sa.text("select check_step(:case, :step, :side, :at, null, '{}')"),
            {"case": case, "step": step, "side": side, "at": at + timedelta(hours=after)},
        )
    assert (
        connection.execute(
            sa.text("select state from check_case where id = :case"), {"case": case}
        ).scalar_one()
        == state
    )


def ask(home: House, prefix: str | None, query: str = "") -> Any:
    with home.app() as client:
        return client.get(
            f"{PATH}?from=2024-05-01&to=2024-06-30{query}", headers=home.as_(OFFICER, prefix)
        )


def test_counted_by_hand(home: House) -> None:
    body = ask(home, MINE).json()
    assert (body["from"], body["to"]) == ("2024-05-01", "2024-07-01")
    rows = {(one["month"][:7], one["side"]): one for one in body["months"]}
    assert set(rows) == {(m, s) for m in ("2024-05", "2024-06") for s in (MINE, THEIRS)}
    may, june, other = rows["2024-05", MINE], rows["2024-06", MINE], rows["2024-06", THEIRS]
    assert (may["cases"], june["cases"], other["cases"]) == (10, 12, 12)
    assert (june["answers"]["part"], june["answers"]["whole"]) == (12, 12)
    assert (other["answers"]["part"], other["answers"]["whole"]) == (11, 12)
    assert (june["joint"]["part"], june["solved"]["part"], june["solved"]["whole"]) == (10, 9, 12)
    assert (may["joint"]["part"], may["solved"]["part"], may["solved"]["whole"]) == (7, 7, 10)
    assert may["handling"]["value"] == pytest.approx((7 * 6 + 3 * 24) / 10)
    assert june["handling"]["value"] == pytest.approx((9 * 3 + 1 + 4 + 24) / 12)
    assert other["response"]["value"] == pytest.approx((9 * 0.5 + 2) / 11)
    change = june["handling"]
    assert change["change"] == pytest.approx(june["handling"]["value"] / may["handling"]["value"])
    assert change["change_low"] < change["change"] < change["change_high"]
    assert may["joint"]["change"] is None  # nothing before
    for row in rows.values():
        for name in ("answers", "joint", "solved", "handling", "response"):
            one = row[name]
            assert one["low"] <= one["value"] <= one["high"], (row, name)


def test_each_side_sees_its_own_checks(home: House) -> None:
    both = ask(home, None).json()["months"]
    assert {one["side"] for one in both} == {MINE, THEIRS, "330103"}
    theirs = ask(home, THEIRS).json()["months"]
    assert [one["cases"] for one in theirs if one["side"] == THEIRS] == [11, 12]
    mine = ask(home, MINE).json()["months"]
    assert [one["cases"] for one in mine if one["side"] == THEIRS] == [10, 12]
    assert ask(home, DEEP).json()["months"] == []
    only = ask(home, None, "&zone=2").json()["months"]
    assert [(one["side"], one["cases"]) for one in only if one["month"] == "2024-05-01"] == [
        (THEIRS, 1), ("330103", 1)
    ]  # fmt: skip


@pytest.mark.parametrize("query", ["&zone=0", "&to=2034-01-01", "&from=2024-07-01",
                                   "&from=0001-01-01&to=0001-01-01"])  # fmt: skip
def test_odd_questions(home: House, query: str) -> None:
    with home.app() as client:
        base = "" if "from" in query else "from=2024-05-01&"
        more = "" if "to=" in query or "from" not in query else "&to=2024-06-01"
        answer = client.get(f"{PATH}?{base}{query[1:]}{more}", headers=home.as_(OFFICER, MINE))
        assert answer.status_code == 422, answer.text


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_shares_have_exact_intervals(pair: tuple[int, int]) -> None:
    k, n = pair
    value, low, high = share(k, n)
    exact = stats.binomtest(k, n).proportion_ci(0.95, "exact")
    assert value == k / n
    assert (low, high) == (pytest.approx(exact.low, abs=1e-9), pytest.approx(exact.high, abs=1e-9))


@given(st.integers(0, 500), st.floats(0.1, 500))
def test_counts_have_exact_intervals(k: int, e: float) -> None:
    low, high = interval(k, e)
    assert low * e == pytest.approx(stats.chi2.ppf(0.025, 2 * k) / 2 if k else 0.0, abs=1e-7)
    assert high * e == pytest.approx(stats.chi2.ppf(0.975, 2 * k + 2) / 2, rel=1e-7)
