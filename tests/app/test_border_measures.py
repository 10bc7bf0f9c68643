"""The evaluation of the sides as an indicator scene: from checks to values, the same as the page's.

Real steps of checks, the command, row security through the API.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from app.cli.border import command
from app.errors import Invalid, NotFound
from app.services import border_measures
from app.services.scenes import load_scene

from .border_house import DEEP, MINE, THEIRS, House, house
from .test_evaluation import CASES, OFFICER, enter, zone
from .test_evaluation import PATH as EVALUATION

ZONE = "Asia/Shanghai"
VALUES = "/api/indicators/border-evaluation/values?level=county&period=month"
#: Measure of the evaluation → indicator, factor.
SAME = {
    "answers": ("answer_share", 100),
    "joint": ("joint_share", 100),
    "solved": ("solved_share", 100),
    "handling": ("handling_time", 1),
    "response": ("response_time", 1),
}


@pytest.fixture(scope="module")
def home(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    for one in house(cluster, template, tmp_path_factory.mktemp("measures")):
        with one.engine.begin() as connection:
            zone(connection, [MINE, THEIRS])
        yield one


def asked(home: House, path: str, prefix: str | None) -> Any:
    with home.app() as client:
        answer = client.get(path, headers=home.as_(OFFICER, prefix))
    assert answer.status_code == 200, answer.text
    return answer.json()


def values(home: House, ord_: int, prefix: str | None) -> dict[tuple[str, str], Any]:
    body = asked(home, f"{VALUES}&ord={ord_}", prefix)
    return {(row["indicator"], row["code"]): row for row in body["rows"]}


def test_without_a_check_nothing_is_sent(home: House) -> None:
    scene = load_scene(border_measures.SCENE)
    with pytest.raises(NotFound, match="no check was opened"):
        border_measures.evaluate(home.engine, scene, "small", zone=ZONE, today=date(2024, 8, 2))
    with pytest.raises(Invalid, match="no feed with any of the measures cases"):
        border_measures.evaluate(
            home.engine, load_scene("safety-league"), "small", zone=ZONE, today=date(2024, 8, 2)
        )
    with home.engine.connect() as connection:
        assert not connection.scalar(sa.text("select count(*) from indicator_value"))


@pytest.fixture(scope="module")
def told(home: House, monkeypatch_module: pytest.MonkeyPatch) -> str:
    """Checks of May and June, evaluated by the command; what it said."""
    with home.engine.begin() as connection:
        for case in CASES:
            enter(connection, 1, [MINE, THEIRS], *case)
    monkeypatch_module.setenv("WUSETU_DATABASE_URL", home.url)
    monkeypatch_module.setenv("WUSETU_DATA_DIR", str(home.data_dir))
    line = ["evaluate", "--pack", "small", "--to", "2024-07-09"]
    result = CliRunner().invoke(command, line)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_values_are_those_of_the_evaluation(home: House, told: str) -> None:
    assert "0 rejected" in told
    body = asked(home, f"{EVALUATION}?from=2024-05-01&to=2024-07-31", None)
    compared = 0
    for row in body["months"]:
        found = values(home, int(row["month"][5:7]) - 5, None)
        side = row["side"]
        assert found["checks", side]["printed"] == str(row["cases"])
        for name, (indicator, factor) in SAME.items():
            mine, theirs = found[indicator, side], row[name]
            if theirs["value"] is None:
                assert mine["value"] is None
                continue
            assert mine["value"] == pytest.approx(factor * theirs["value"], rel=1e-12)
            assert mine["printed"] == f"{factor * theirs['value']:.2f}"
            compared += 1
            change = (mine["change"] or {}).get("previous") or {}
            if theirs["change"] is None:
                continue
            assert change["ratio"] == pytest.approx(theirs["change"], rel=1e-9)
            if factor == 1:  # a time: the interval is that of the pace, turned round
                pace = found[indicator.replace("time", "pace"), side]["change"]["previous"]
                assert 1 / pace["high"] == pytest.approx(theirs["change_low"], rel=1e-9)
                assert 1 / pace["low"] == pytest.approx(theirs["change_high"], rel=1e-9)
            else:
                assert change["low"] == pytest.approx(theirs["change_low"], rel=1e-9)
                assert change["high"] == pytest.approx(theirs["change_high"], rel=1e-9)
    assert compared == 2 * 2 * len(SAME)
    june = values(home, 1, None)
    assert june["joint_share", MINE]["printed"] == "83.33"  # 10 of 12, as entered
    assert june["solved_share", MINE]["printed"] == "75.00"  # 9 of 12
    assert june["handling_time", MINE]["printed"] == "4.67"  # (9 · 3 + 1 + 4 + 24) / 12
    assert june["total", MINE]["value"] > values(home, 0, None)["total", MINE]["value"]


@pytest.mark.parametrize(
    ("prefix", "seen"), [(MINE, {MINE}), (THEIRS, {THEIRS}), (None, {MINE, THEIRS})]
)
def test_a_side_sees_its_own_values(
    home: House, told: str, prefix: str | None, seen: set[str]
) -> None:
    assert told
    assert {code for _, code in values(home, 1, prefix)} == seen


def test_a_part_of_a_side_sees_none(home: House, told: str) -> None:
    assert told
    with home.app() as client:
        answer = client.get(VALUES, headers=home.as_(OFFICER, DEEP))
    assert answer.status_code == 404
    assert "there are none" in answer.json()["message"]


def test_again_corrects_what_has_gone_on(home: House, told: str) -> None:
    assert told
    scene = load_scene(border_measures.SCENE)
    day = date(2024, 8, 2)
    same, _ = border_measures.evaluate(home.engine, scene, "small", zone=ZONE, today=day)
    assert (same.stored, same.rejected) == (0, 0)
    with home.engine.begin() as connection:
        enter(connection, 1, [MINE, THEIRS], "2024-07-04", "closed", 2.0, *CASES[0][3:5], True)
        # still open: it counts, and has not ended
        connection.execute(
            sa.text(
                "insert into check_case (zone_id, version, side, sides, reference, reason, "
                "opened_at, ends_at) values (1, 1, :side, :sides, '1', 'r', '2024-07-31 10:00Z', "
                "'2024-08-03 10:00Z')"
            ),
            {"side": MINE, "sides": [MINE, THEIRS]},
        )
    again, _ = border_measures.evaluate(home.engine, scene, "small", zone=ZONE, today=day)
    assert again.stored > 0
    july = values(home, 2, MINE)
    assert july["checks", MINE]["printed"] == "2"
    assert july["answer_share", MINE]["printed"] == "50.00"
    assert july["solved_share", MINE]["printed"] == "100.00"
    assert july["handling_time", MINE]["printed"] == "2.00"


@pytest.mark.parametrize(("start", "end"), [((2024, 8, 1), None), (None, (2024, 8, 1)),
                                            ((2024, 6, 1), (2024, 5, 1))])  # fmt: skip
def test_only_months_that_are_over(home: House, told: str, start: Any, end: Any) -> None:
    assert told
    with pytest.raises(Invalid, match="when they are over"):
        border_measures.evaluate(
            home.engine, load_scene(border_measures.SCENE), "small", zone=ZONE,
            today=date(2024, 8, 2), start=date(*start) if start else None,
            end=date(*end) if end else None,
        )  # fmt: skip
