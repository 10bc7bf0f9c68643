"""Exposures: import, succession, the table by unit; totals are conserved and nothing is guessed."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import sqlalchemy as sa
from click.testing import CliRunner

from app.cli.exposures import command
from app.database import transaction
from app.errors import Invalid, NotFound
from app.services.boundaries import import_units
from app.services.exposure_table import exposure_table
from app.services.exposures import (
    ExposureReport,
    import_file,
    import_frame,
    scene_measures,
)
from app.services.succession import Step, Succession
from geo.codes import CodeLayout

DAY = date(2020, 11, 1)


@pytest.fixture
def table(engine: sa.Engine, pack: str) -> Any:
    """Values by code of the newest version."""

    def read(*measures: str, on: date = date(2025, 1, 1)) -> dict[str, Any]:
        with engine.connect() as connection:
            version = connection.scalar(
                sa.text(
                    "select id from boundary_version where pack = :p order by valid_from desc limit 1"
                ),
                {"p": pack},
            )
            values = exposure_table(connection, int(version), measures, on)
            codes = connection.scalars(
                sa.text("select code from unit where boundary_version_id = :v order by id"),
                {"v": version},
            ).all()
        assert values.dtype == np.float64
        assert values.shape == (len(measures), len(codes) + 1)
        assert np.isnan(values[:, 0]).all()
        by_code = dict(zip(codes, values[:, 1:].T.tolist(), strict=True))
        return {c: v[0] if len(v) == 1 else v for c, v in by_code.items()}

    return read


def frame(**values: float) -> pd.DataFrame:
    """Long table of residents, one day; keys are codes behind an underscore."""
    return pd.DataFrame(
        {"code": [k[1:] for k in values], "measure": "resident", "value": list(values.values())}
    )


def counts(report: ExposureReport) -> tuple[int, int, int, int]:
    return report.new, report.updated, report.unchanged, report.rejected


def test_given_else_the_sum_of_all_children_else_nothing(
    engine: sa.Engine, pack: str, table: Any, toy: gpd.GeoDataFrame
) -> None:
    grids = toy.code[toy.level == "grid"].tolist()
    given = {f"_{c}": float(i + 1) for i, c in enumerate(grids) if c.startswith("330102")}
    given |= {"_330105001": 500.0, "_330105002001001": 7.0}
    assert counts(import_frame(engine, frame(**given), pack=pack, as_of=DAY)) == (10, 0, 0, 0)
    values = table("resident")
    of = {c: v for c, v in values.items() if not np.isnan(v)}
    ours = [k[1:] for k in given]
    for code in ("330102", "330102001", "330102002", "330102001001"):
        expected = sum(v for k, v in given.items() if k[1:].startswith(code))
        assert of[code] == pytest.approx(expected, abs=1e-9)
    # a town with a value says nothing about its parts; a village with one grid missing has none
    assert of["330105001"] == 500
    assert set(of) == {*ours, "330102", "330102001", "330102002",
                       *(c[:12] for c in grids if c.startswith("330102"))}  # fmt: skip
    # one value more and everything above is complete
    rest = {f"_{c}": 1.0 for c in grids if c.startswith("330105002") and f"_{c}" not in given}
    import_frame(engine, frame(**rest), pack=pack, as_of=DAY)
    values = table("resident")
    assert values["330105"] == 500 + 7 + 3
    assert values["3301"] == values["330102"] + values["330105"]


def test_the_newest_day_not_after_the_run(engine: sa.Engine, pack: str, table: Any) -> None:
    rows = frame(_330102=1, _330105=2).assign(as_of="2020-11-01")
    newer = frame(_330102=10).assign(as_of="2023-01-01")
    import_frame(engine, pd.concat([rows, newer]), pack=pack)
    assert [table("resident", on=on)["330102"] for on in
            (date(2022, 12, 31), date(2023, 1, 1))] == [1, 10]  # fmt: skip
    assert table("resident")["3301"] == 12
    assert np.isnan(table("resident", on=date(2020, 10, 31))["330102"])


def test_area_is_computed(table: Any, engine: sa.Engine) -> None:
    values = table("resident", "area_km2")
    with engine.connect() as connection:
        areas = dict(connection.execute(sa.text("select code, area_km2 from unit")).all())
    assert {c: v[1] for c, v in values.items()} == areas
    assert values["3301"][1] == pytest.approx(sum(values[c][1] for c in ("330102", "330105")))


def test_the_same_again_and_corrected(engine: sa.Engine, pack: str) -> None:
    assert counts(import_frame(engine, frame(_330102=1, _330105=2), pack=pack, as_of=DAY)) == (
        2,
        0,
        0,
        0,
    )
    assert counts(import_frame(engine, frame(_330102=1, _330105=2), pack=pack, as_of=DAY)) == (
        0,
        0,
        2,
        0,
    )
    assert counts(import_frame(engine, frame(_330102=1, _330105=3), pack=pack, as_of=DAY)) == (
        0,
        1,
        1,
        0,
    )


def test_rejects_name_line_and_reason(engine: sa.Engine, pack: str, tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_text(
        "Code,Measure,Value,As_Of\n"
        "330102,resident,5,2020-11-01\n"
        "330102000000,resident,6,2020-11-01\n"
        "330105,resident,-1,2020-11-01\n"
        "330105,resident,nan,2020-11-01\n"
        "330105,resident,,2020-11-01\n"
        "330105,resident,many,2020-11-01\n"
        "440300,resident,1,2020-11-01\n"
        "3.30105E+26,resident,1,2020-11-01\n"
        "330105,Residents!,1,2020-11-01\n"
        "330105,area_km2,1,2020-11-01\n"
        "330105,resident,1,last year\n"
        "330105,resident\n"
        "330105,resident,8,2020-11-01\n",
        encoding="utf-8",
    )
    rejects = tmp_path / "r.csv"
    assert counts(import_file(engine, path, pack=pack, rejects=rejects)) == (2, 0, 0, 11)
    with rejects.open(encoding="utf-8-sig", newline="") as file:
        found = [
            (int(r["line"]), r["column"], r["value"], r["reason"]) for r in csv.DictReader(file)
        ]
    assert found == [
        (3, "Code", "330102000000", "repeated"), (4, "Value", "-1", "negative"),
        (5, "Value", "nan", "bad_value"), (6, "Value", "", "missing_value"),
        (7, "Value", "many", "bad_value"), (8, "Code", "440300", "unknown_code"),
        (9, "Code", "3.30105E+26", "code_mangled"), (10, "Measure", "Residents!", "bad_measure"),
        (11, "Measure", "area_km2", "computed"), (12, "As_Of", "last year", "bad_date"),
        (13, "", "", "fields"),
    ]  # fmt: skip


def test_rejects_run_no_formula(engine: sa.Engine, pack: str, tmp_path: Path) -> None:
    path, rejects = tmp_path / "e.csv", tmp_path / "r.csv"
    evil = ["=1+1", "＝1+1", "@x", "＋1", "－x"]
    rows = [f"330102,resident,{one},2020-11-0{n}\n" for n, one in enumerate(evil, 1)]
    path.write_text("code,measure,value,as_of\n" + "".join(rows), encoding="utf-8")
    import_file(engine, path, pack=pack, rejects=rejects)
    with rejects.open(encoding="utf-8-sig", newline="") as file:
        assert [row["value"] for row in csv.DictReader(file)] == [f"'{one}" for one in evil]


def test_wide_files(engine: sa.Engine, pack: str, table: Any, tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_text("CODE,POPU,FIRMS\n330102,5,\n330105,6,7\n", encoding="gbk")
    report = import_file(
        engine, path, pack=pack, as_of=DAY, encoding="gb18030",
        measures={"resident": "POPU", "firms": "FIRMS"},
    )  # fmt: skip
    assert (counts(report), report.totals) == ((3, 0, 0, 1), {"resident": 11.0, "firms": 7.0})
    assert report.examples[0].line == 2
    assert table("firms", "resident")["330105"] == [7, 6]
    pd.read_csv(path).to_parquet(tmp_path / "w.parquet")
    again = import_file(
        engine, tmp_path / "w.parquet", pack=pack, as_of=DAY, measures={"resident": "POPU"}
    )
    assert counts(again) == (0, 0, 2, 0)


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        ("area,measure,value\n", {}, "no column 'code'"),
        ("code,POPU\n", {}, "say which is which (--measure resident=COLUMN)"),
        ("code,POPU\n", {"measures": {"resident": "POP"}}, "no column 'POP'"),
        ("code,POPU\n", {"measures": {"area_km2": "POPU"}}, "computed"),
        ("code,POPU\n", {"measures": {"Residents": "POPU"}}, "measure 'Residents'"),
        ("code,measure,value\n", {"as_of": None}, "--as-of"),
        ("", {}, "empty"),
    ],
)
def test_a_file_that_cannot_be_used(
    engine: sa.Engine, pack: str, tmp_path: Path, text: str, more: Any, said: str
) -> None:
    path = tmp_path / "e.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Invalid) as caught:
        import_file(engine, path, **({"pack": pack, "as_of": DAY} | more))
    assert said in caught.value.message
    with pytest.raises(NotFound):
        import_frame(engine, frame(_1=1), pack="elsewhere", as_of=DAY)


# succession ----------------------------------------------------------------------------------

REFORM = date(2021, 4, 9)


def follow(
    steps: list[tuple[str, str, float]], units: set[str], **values: float
) -> dict[str, float]:
    succession = Succession([Step(*s, REFORM) for s in steps], REFORM, units)
    return succession.carry(values, DAY)


def test_shares_are_carried_and_conserved() -> None:
    steps = [("A", "B", 1.0), ("C", "B", 0.25), ("C", "D", 0.75), ("E", "E", 0.6), ("E", "F", 0.4)]
    found = follow(steps, {"B", "D", "E", "F"}, A=100, B=10, C=40, E=50, G=1)
    assert found == pytest.approx({"B": 120, "D": 30, "E": 30, "F": 20, "G": 1})
    assert sum(found.values()) == pytest.approx(201)
    after = Succession([Step(*s, REFORM) for s in steps], REFORM, {"B", "D", "E", "F"})
    assert after.carry({"E": 50.0, "F": 1.0}, REFORM) == {"E": 50, "F": 1}


def test_a_successor_without_all_it_is_made_of_has_no_value() -> None:
    found = follow([("A", "C", 1.0), ("B", "C", 1.0)], {"C"}, A=100)
    assert np.isnan(found["C"])
    since = {"C": date(2000, 1, 1)}
    step = [Step("A", "C", 1.0, REFORM)]
    assert np.isnan(Succession(step, REFORM, {"C"}, since=since).carry({"A": 1.0}, DAY)["C"])
    assert Succession(step, REFORM, {"C"}).carry({"A": 1.0}, DAY) == {"C": 1.0}


def test_steps_follow_one_another() -> None:
    later = date(2024, 1, 1)
    steps = [Step("A", "B", 1.0, REFORM), Step("B", "C", 0.5, later), Step("B", "D", 0.5, later)]
    assert Succession(steps, later, {"C", "D"}).carry({"A": 8.0}, DAY) == {"C": 4.0, "D": 4.0}
    # a value described after a step is not moved by it; an older map is not moved either
    assert Succession(steps, later, {"C", "D"}).carry({"B": 8.0}, date(2022, 1, 1)) == {
        "C": 4.0,
        "D": 4.0,
    }
    old = Succession(steps, date(1900, 1, 1), {"A"}, valid_to=REFORM)
    assert old.carry({"A": 8.0}, DAY) == {"A": 8.0}


def test_a_map_without_a_known_first_day_is_told_by_its_units() -> None:
    steps = [Step("A", "A", 0.6, REFORM), Step("A", "N", 0.4, REFORM)]
    ever = date(1900, 1, 1)
    assert Succession(steps, ever, {"A", "N"}).carry({"A": 10.0}, DAY) == {"A": 6.0, "N": 4.0}
    assert Succession(steps, ever, {"A"}, valid_to=REFORM).carry({"A": 10.0}, DAY) == {"A": 10.0}


def test_the_census_of_2020_reaches_the_districts_of_2021(
    engine: sa.Engine, shared: Path, layout: CodeLayout
) -> None:
    counties = gpd.read_file(shared / "cn_boundaries/counties5_amap_wgs84.geojson")
    code = "district_adcode"
    counties = counties[counties[code].astype(str).str.startswith("3301")]
    units = gpd.GeoDataFrame(
        {"code": [*counties[code].astype(str), "3301"], "name": [*counties[code].astype(str), "杭州市"]},
        geometry=[*counties.geometry, counties.geometry.union_all()], crs=4326,
    )  # fmt: skip
    with transaction(engine) as connection:
        import_units(connection, pack="hangzhou", label="2021", frame=units, layout=layout)
        for old, new, share in (
            ("330103", "330105", 1.0), ("330104", "330102", 0.7), ("330104", "330114", 0.3),
            ("330109", "330109", 0.9), ("330109", "330114", 0.1),
            ("330110", "330110", 0.5), ("330110", "330113", 0.5),
        ):  # fmt: skip
            connection.execute(
                sa.text("insert into succession values ('hangzhou', :a, :b, :s, :d, 'test')"),
                {"a": old, "b": new, "s": share, "d": REFORM},
            )
    census = pd.read_csv(shared / "cn_population/county_census2020_ghsl.csv", dtype={"CODE": str})
    city = census[census.CODE.str.startswith("3301")]
    report = import_frame(
        engine,
        pd.DataFrame({"code": city.CODE, "measure": "resident", "value": city.POPU}),
        pack="hangzhou", as_of=DAY, source="census 2020",
    )  # fmt: skip
    assert (counts(report), report.succeeded) == ((len(city), 0, 0, 0), 2)
    with engine.connect() as connection:
        version = connection.scalar(sa.text("select id from boundary_version"))
        values = exposure_table(connection, int(version), ["resident"], date(2024, 1, 1))[0]
        codes = connection.scalars(sa.text("select code from unit order by id")).all()
    by_code = dict(zip(codes, values[1:].tolist(), strict=True))
    assert by_code["3301"] == pytest.approx(11_936_010)
    assert sum(v for c, v in by_code.items() if len(c) == 6) == pytest.approx(11_936_010)
    old = dict(zip(city.CODE, city.POPU, strict=True))
    assert by_code["330105"] == pytest.approx(old["330105"] + old["330103"])
    assert by_code["330114"] == pytest.approx(0.3 * old["330104"] + 0.1 * old["330109"])
    assert len([c for c in by_code if len(c) == 6]) == 13


def test_levels_may_be_skipped(engine: sa.Engine, layout: CodeLayout) -> None:
    box = shapely.box
    units = gpd.GeoDataFrame(
        {
            "code": ["3301", "330101", "330101001", "330100001"],
            "name": ["city", "county", "town of the county", "town of the city"],
        },
        geometry=[box(120, 30, 122, 31), box(120, 30, 121, 31), box(120, 30, 121, 31), box(121, 30, 122, 31)],
        crs=4326,
    )  # fmt: skip
    with transaction(engine) as connection:
        import_units(connection, pack="skip", label="1", frame=units, layout=layout)
    import_frame(engine, frame(_330101001=3, _330100001=4), pack="skip", as_of=DAY)
    with engine.connect() as connection:
        version = connection.scalar(sa.text("select id from boundary_version"))
        values = exposure_table(connection, int(version), ["resident"], DAY)
        codes = connection.scalars(sa.text("select code from unit order by id")).all()
    assert dict(zip(codes, values[0, 1:].tolist(), strict=True)) == {
        "3301": 7, "330101": 3, "330101001": 3, "330100001": 4,
    }  # fmt: skip


def test_exit_codes(
    db_url: str, pack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WUSETU_DATABASE_URL", db_url)
    path = tmp_path / "w.csv"
    path.write_text("CODE,POPU\n330102,5\n330105,x\n", encoding="utf-8")
    words = ["import", str(path), "--pack", "toy", "--measure", "resident=POPU"]
    runner = CliRunner()
    result = runner.invoke(command, [*words, "--as-of", "2020-11-01"])
    assert result.exit_code == 3
    assert "1 new" in result.output
    assert "line 3, POPU: 'x' is no number" in result.output
    path.write_text("CODE,POPU\n330102,5\n", encoding="utf-8")
    assert runner.invoke(command, [*words, "--as-of", "2020-11-01"]).exit_code == 0
    assert isinstance(runner.invoke(command, words).exception, Invalid)


def test_a_measure_no_scene_uses_is_told(
    db_url: str, engine: sa.Engine, pack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WUSETU_DATABASE_URL", db_url)
    path = tmp_path / "w.csv"
    path.write_text("code,measure,value\n330102,residents,5\n330105,resident,6\n")
    words = ["import", str(path), "--pack", "toy", "--as-of", "2020-11-01"]
    result = CliRunner().invoke(command, words)
    assert result.exit_code == 0
    (note,) = [line for line in result.output.splitlines() if line.startswith("note")]
    said, _, known = note.partition("; they know ")
    assert said == "note      no scene uses residents"
    assert "resident" in known.split(", ")
    path.write_text("code,measure,value\n330102,resident,5\n")
    assert "note" not in CliRunner().invoke(command, words).output
    # the newest run may have a scene of its own
    with transaction(engine) as connection:
        version = connection.scalar(sa.text("select max(id) from boundary_version"))
        connection.execute(
            sa.text(
                "insert into run (pack, boundary_version_id, scene, scene_body, status, time_zone, "
                "kinds, measures) values ('toy', :v, 'own', '{\"measures\": {\"residents\": {}}}', "
                "'published', 'Asia/Shanghai', '{}', '{}')"
            ),
            {"v": version},
        )
        assert "residents" in scene_measures(connection, "toy")
        assert "residents" not in scene_measures(connection, "other")


def test_days_that_cannot_be_are_refused(engine: sa.Engine, pack: str) -> None:
    days = ["2020-11-01", "2025-01-02", "2025-01-03", "2100-01-01", "1948-12-31", "1949-01-01"]
    table = pd.DataFrame(
        {"code": "330102001001001", "measure": "resident", "value": 1.0, "as_of": days}
    )
    report = import_frame(engine, table, pack=pack, today=date(2025, 1, 1))
    assert counts(report) == (3, 0, 0, 3)
    assert [(b.line, b.column, b.value, b.reason) for b in report.examples] == [
        (3, "as_of", "2025-01-03", "future_date"),
        (4, "as_of", "2100-01-01", "future_date"),
        (5, "as_of", "1948-12-31", "early_date"),
    ]


def test_a_file_in_gb18030_is_told_the_option_of_here(
    engine: sa.Engine, pack: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("code,measure,value,备注\n330102,resident,1,甲\n".encode("gb18030"))
    with pytest.raises(Invalid, match="it would fit gb18030: say `--encoding gb18030`"):
        import_file(engine, path, pack=pack, as_of=DAY)


def test_a_file_of_an_old_mac_and_one_without_rows(
    engine: sa.Engine, pack: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"code,measure,value\r330102,resident,1\r330105,resident,2\r")
    assert counts(import_file(engine, path, pack=pack, as_of=DAY)) == (2, 0, 0, 0)
    path.write_bytes(b"code,measure,value\n")
    with pytest.raises(Invalid, match=r"a\.csv has no rows"):
        import_file(engine, path, pack=pack, as_of=DAY)
