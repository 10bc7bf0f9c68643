"""`wusetu boundaries` from the outside: exit codes, reports, bad units, successions, real files."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import shapely
import sqlalchemy as sa
from shapely import box

from app.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(db_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line; gives back exit code, output, errors."""
    monkeypatch.setenv("WUSETU_DATABASE_URL", db_url)
    monkeypatch.setenv("COLUMNS", "150")

    def one(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["wusetu", "boundaries", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return one


def write(path: Path, *rows: tuple[Any, str, Any], **columns: Any) -> Path:
    frame = gpd.GeoDataFrame(
        {"code": [r[0] for r in rows], "name": [r[1] for r in rows], **columns},
        geometry=[r[2] for r in rows],
        crs=4326,
    )
    frame.to_parquet(path)
    return path


GOOD = [
    ("330102", "上城区", box(120, 30, 120.1, 30.1)),
    ("330105", "拱墅区", box(120.1, 30, 120.2, 30.1)),
]
BOW = shapely.from_wkt("POLYGON((120.2 30, 120.3 30.1, 120.3 30, 120.2 30.1, 120.2 30))")


def rows_stored(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(sa.text("select code from unit order by id")))


def test_a_clean_import(run: Run, tmp_path: Path, engine: sa.Engine) -> None:
    file = write(tmp_path / "a.parquet", *GOOD)
    report = tmp_path / "report.json"
    arguments = ("import", file, "--pack", "hz", "--label", "2024", "--layout", "unified-27",
                 "--title-zh", "杭州", "--title-en", "Hangzhou", "--attribution", "made here",
                 "--licence", "CC0", "--report", report, "--strict", "--approximate")  # fmt: skip
    code, out, _ = run(*arguments)
    assert code == 0
    assert "hz 2024: stored 2 units, levels county, valid from 1900-01-01; 0 findings" in out
    assert rows_stored(engine) == ["330102", "330105"]
    assert json.loads(report.read_text(encoding="utf-8"))["units"] == 2
    assert "already there, nothing changed" in run(*arguments)[1]
    code, out, _ = run("list")
    assert code == 0
    assert "杭州 Hangzhou" in out
    assert "approximate" in out
    assert "county 2" in out
    code, out, _ = run("show", "hz")
    assert code == 0
    assert "source: made here" in out
    assert "licence: CC0" in out
    assert json.loads(run("show", "hz", "2024", "--json")[1])["units"] == 2
    assert run("show", "hz", "1999")[0] == 2


def test_list_of_nothing(run: Run) -> None:
    code, out, _ = run("list")
    assert code == 0
    assert "no boundaries yet" in out


def test_a_self_crossing_polygon(run: Run, tmp_path: Path, engine: sa.Engine) -> None:
    file = write(tmp_path / "a.parquet", *GOOD, ("330106", "西湖区", BOW))
    arguments = ("import", file, "--pack", "hz", "--label", "1", "--layout", "unified-27")
    report = tmp_path / "r.json"
    code, out, err = run(*arguments, "--strict", "--report", report)
    assert code == 2
    assert out == ""
    assert "refused (strict): 1 findings" in err
    assert "repaired county 330106 西湖区: Self-intersection" in err
    assert json.loads(report.read_text(encoding="utf-8"))["levels"][0]["repaired"]
    assert rows_stored(engine) == []
    code, out, _ = run(*arguments)
    assert code == 0
    assert "repaired county 330106 西湖区: Self-intersection" in out
    assert len(rows_stored(engine)) == 3


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("330102", "重复区", BOW), "code '330102' is already 上城区 (county, a.parquet: row 1)"),
        (("3" * 26, "长", BOW), "26 digits; there are 2, 4, 6"),
        (("3.30102E+26", "表", BOW), "turned into a number by a spreadsheet"),
        (("", "无", BOW), "code '' is empty"),
        ((None, "无", BOW), "is empty"),
        (("33O106", "字", BOW), "characters that are not digits"),
        (("33", "浙江省", BOW), "belongs to no level of unified-27"),
        (("330106", "空", None), "no geometry"),
        (("330106", "空", shapely.Polygon()), "no geometry"),
        (("330106", "点", shapely.Point(120, 30)), "a Point, not a polygon"),
        (("330106", "线", shapely.from_wkt("POLYGON((1 1,2 2,3 3,1 1))")), "no area is left"),
        (("330106", "反", box(30, 120, 30.1, 120.1)), "longitude and latitude are swapped"),
    ],
)
def test_a_bad_row_is_left_out_with_its_reason(
    run: Run, tmp_path: Path, engine: sa.Engine, row: tuple[Any, str, Any], reason: str
) -> None:
    file = write(tmp_path / "a.parquet", *GOOD, row)
    code, out, _ = run("import", file, "--pack", "hz", "--label", "1", "--layout", "unified-27")
    assert code == 3
    assert "left out: a.parquet: row 3" in out
    assert reason in out
    assert rows_stored(engine) == ["330102", "330105"]
    # and a strict import refuses the whole file
    code, _, err = run(
        "import", file, "--pack", "x", "--label", "1", "--layout", "unified-27", "--strict"
    )
    assert code == 2
    assert reason in err


@pytest.mark.parametrize("number", ["nan", "inf"])
def test_a_coordinate_that_is_no_number(
    run: Run, tmp_path: Path, engine: sa.Engine, number: str
) -> None:
    ring = [(120.2, 30), (120.3, float(number)), (120.3, 30.1), (120.2, 30)]
    file = write(tmp_path / "a.parquet", *GOOD, ("330106", "西湖区", shapely.Polygon(ring)))
    code, out, _ = run("import", file, "--pack", "hz", "--label", "1", "--layout", "unified-27")
    assert code == 3
    assert "left out: a.parquet: row 3 (330106): a coordinate is no number" in out
    assert rows_stored(engine) == ["330102", "330105"]


def test_the_list_is_never_cut(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    file = write(tmp_path / "a.parquet", *GOOD)
    title = "A rather long title of a map " * 4
    label = "2024-with-a-rather-long-label"
    assert run("import", file, "--pack", "hz", "--label", label, "--layout", "unified-27",
               "--title-zh", "杭州", "--title-en", title.strip())[0] == 0  # fmt: skip
    out = run("list")[1]
    line = next(one for one in out.splitlines() if "│ hz" in one)
    for text in (label, title.strip(), "1900-01-01", "county 2", "unified-27", "surveyed"):
        assert text in line


def test_the_example_of_the_help_stands_as_it_is(run: Run) -> None:
    out = run("import", "--help")[1]
    assert "\\b" not in out
    assert "\x08" not in out
    assert "--label 2021 \\\n" in out


def test_a_code_of_another_level_than_the_file_says(run: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", *GOOD, ("330102001", "街道", BOW))
    code, out, _ = run(
        "import", file, "--pack", "hz", "--label", "1", "--layout", "unified-27",
        "--level", "county",
    )  # fmt: skip
    assert code == 3
    assert "code '330102001' is a town by its length, the file says county" in out


def test_codes_that_do_not_begin_with_their_parents(
    run: Run, tmp_path: Path, engine: sa.Engine
) -> None:
    # given towns whose parent is told by a column, one of them with a code of its own kind
    file = write(
        tmp_path / "a.parquet", ("A", "甲", box(120, 30, 122, 31)),
        ("A1", "乙", box(120, 30, 121, 31)), ("K7", "丙", box(121, 30, 122, 31)),
        level=["county", "town", "town"], parent=[None, "A", "A"],
    )  # fmt: skip
    command = ["import", file, "--pack", "x", "--label", "1", "--level-column", "level"]
    # when it is imported, then the report says which, what does not work, and how to mend it
    code, _, err = run(*command, "--strict")
    assert (code, rows_stored(engine)) == (2, [])
    assert "refused (strict): 1 findings" in err
    code, out, _ = run(*command)
    assert (code, rows_stored(engine)) == (0, ["A", "A1", "K7"])
    assert "codes apart town: K7 丙 does not begin with the code of A 甲" in out
    assert "note: town: the codes of 1 of 2 units do not begin with their parent's code" in out
    assert "jurisdiction" in out
    assert "codes of a layout (--layout)" in out
    # and a report from before this was checked is still shown
    with engine.begin() as connection:
        connection.execute(
            sa.text("update boundary_version set report = report #- '{levels,1,codes_apart}'")
        )
    code, out, _ = run("show", "x")
    assert (code, "codes apart town" in out) == (0, False)


def test_rows_of_one_unit_become_one(run: Run, tmp_path: Path, engine: sa.Engine) -> None:
    part = ("330105", "拱墅区", box(121, 30, 121.1, 30.1))
    file = write(tmp_path / "a.parquet", *GOOD, part)
    code, out, _ = run("import", file, "--pack", "hz", "--label", "1", "--layout", "unified-27")
    assert code == 0
    assert "merged county 330105 拱墅区: 2 rows with one code" in out
    with engine.connect() as connection:
        parts = connection.scalars(sa.text("select st_numgeometries(geom) from unit order by id"))
        assert list(parts) == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--label", "1"), "Missing option '--pack'"),
        (("--pack", "hz", "--label", "1", "--layout", "x"), "no layout 'x': use one of unified-27"),
        (("--pack", "Hz", "--label", "1", "--layout", "unified-27"), "lower-case letters"),
        (("--pack", "hz", "--label", "1"), "code '330102' has no level"),
        (("--pack", "hz", "--label", "1", "--level", "Bad Level"), "is no lower-case word"),
        (("--pack", "hz", "--label", "1", "--level", "county", "--crs", "EPSG:1"), "unknown CRS"),
        (("--pack", "hz", "--label", "1", "--report", "/nowhere/r"), "report cannot be written"),
    ],
)
def test_what_is_refused(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    file = write(tmp_path / "a.parquet", *GOOD)
    code, _, err = run("import", file, *arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_looking_at_the_help_loads_no_library_for_shapes() -> None:
    script = "import sys, app.cli.boundaries; print([m for m in sys.modules if m == 'shapely'])"
    got = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert got.stdout == "[]\n"


def test_no_file(run: Run, tmp_path: Path) -> None:
    code, _, err = run("import", "--pack", "hz", "--label", "1")
    assert (code, "name at least one file" in err) == (2, True)
    code, _, err = run("import", tmp_path / "x.geojson", "--pack", "hz", "--label", "1")
    assert (code, "is no file" in err) == (2, True)


def test_a_layout_of_ones_own(run: Run, tmp_path: Path, engine: sa.Engine) -> None:
    layout = tmp_path / "own.yaml"
    layout.write_text(
        "\ufeffname: own-5\nsegments:\n  - {name: county, length: 2, level: county}\n"
        "  - {name: town, length: 3, level: town}\n",
        encoding="utf-8",
    )
    file = write(
        tmp_path / "a.parquet",
        ("12000", "县", box(0, 0, 2, 1)),
        ("12001", "镇", box(0, 0, 2, 1)),
    )
    code, _, _ = run("import", file, "--pack", "own", "--label", "1", "--layout", layout)
    assert code == 0
    assert rows_stored(engine) == ["12", "12001"]
    layout.write_text("name: broken\nsegments: [{length: x}]\n")
    code, _, err = run("import", file, "--pack", "own", "--label", "2", "--layout", layout)
    assert code == 2
    assert "layout own.yaml" in err


SUCCESSIONS = """from_code,to_code,share,effective,source
330103,330105,1,2021-04-09,
330104000,330102,0.7,2021-04-09,
330104,330113,0.3,2021-04-09,notice 1
330110,330110,0.5,2021-04-09,
330110,330113,0.4,2021-04-09,
330111,330112,2,2021-04-09,
330112,3.3E+26,1,2021-04-09,
330112,330113,1,soon,
"""


def test_successions(run: Run, tmp_path: Path, engine: sa.Engine) -> None:
    file = tmp_path / "s.csv"
    file.write_text("\ufeff" + SUCCESSIONS, encoding="utf-8")
    command = ("successions", "import", file, "--pack", "hz")
    code, _, err = run(*command)
    assert (code, "no boundaries of 'hz'" in err) == (2, True)
    units = write(tmp_path / "a.parquet", *GOOD)
    run("import", units, "--pack", "hz", "--label", "1", "--layout", "unified-27")
    for _ in range(2):
        code, out, err = run(*command)
        assert code == 3
        assert "hz: 3 successions stored, 5 rows left out" in out
        assert "line 5: the shares of 330110 on 2021-04-09 add up to 0.9, not 1" in err
        assert "line 6: the shares of 330110" in err
        assert "line 7: share 2 is not in (0, 1]" in err
        assert "line 8: code '3.3E+26' was turned" in err
        assert "line 9: Invalid isoformat" in err
        assert "note: no version of hz has a unit 330113" in err
        with engine.connect() as connection:
            rows = connection.execute(
                sa.text("select from_code, to_code, share, source from succession order by 1, 2")
            ).all()
        assert [tuple(r) for r in rows] == [
            ("330103", "330105", 1.0, ""),
            ("330104", "330102", 0.7, ""),
            ("330104", "330113", 0.3, "notice 1"),
        ]
    # a corrected file replaces what it speaks of
    file.write_text("from_code,to_code,share,effective\n330104,330102,1,2021-04-09\n")
    assert run(*command)[0] == 0
    with engine.connect() as connection:
        assert connection.scalar(sa.text("select count(*) from succession")) == 2
    for text, message in [
        ("", "it is empty"),
        ("from_code,share\n", "no column to_code, effective; its columns: from_code, share"),
        ("from_code,to_code,share,effective\n1,2,3,4\n", "holds no usable row"),
        ("from_code,to_code,share,effective\n", "holds no usable row"),
    ]:
        file.write_text(text)
        code, _, err = run(*command)
        assert (code, message in err) == (2, True), err


def test_vancouver(run: Run, shared: Path, engine: sa.Engine) -> None:
    code, out, _ = run(
        "import", shared / "events/vancouver_neighbourhoods.geojson", "--pack", "vancouver",
        "--label", "2020", "--level", "town", "--code", "mapid",
    )  # fmt: skip
    assert code == 0
    assert "stored 22 units, levels town" in out
    codes = rows_stored(engine)
    assert len(codes) == 22
    assert codes == sorted(codes)
    # one level has no parents whose codes it could begin with
    assert "parent's code" not in out
    # neighbours were drawn one by one: they overlap by some hundred square metres
    assert "MP Mount Pleasant and RP Riley Park" in out


def test_taiwan_from_three_files(run: Run, shared: Path, tmp_path: Path) -> None:
    sources = []
    for level, file, word in (
        ("village", "tw_villages", "VILL"),
        ("county", "tw_counties", "COUNTY"),
        ("town", "tw_towns", "TOWN"),
    ):
        path = shared / "hierarchy" / f"{file}.parquet"
        text = f"{path};level={level};code={word}CODE;name={word}NAME;name_en={word}ENG"
        sources += ["--source", text]
    report = tmp_path / "report.json"
    code, out, _ = run(
        "import", *sources, "--pack", "taiwan", "--label", "2021", "--report", report
    )
    assert code == 0
    assert "stored 8091 units, levels county town village" in out
    assert out.count("repaired village") == 7
    assert "parent's code" not in out
    assert "repaired village 67000020010 汫水里: Self-intersection" in out
    found = {level["level"]: level for level in json.loads(report.read_text("utf-8"))["levels"]}
    assert len(found["village"]["repaired"]) == 7


def test_twenty_thousand_units_in_good_time(run: Run, tmp_path: Path, engine: sa.Engine) -> None:
    rows: list[tuple[str, str, Any]] = []
    # steps that are exact in binary: neighbours share their corners to the last digit
    wide, high = 2.0**-3, 2.0**-5
    for i in range(20):
        code, x = f"3301{i + 1:02d}", 120 + i * wide
        rows.append((code, code, box(x, 30, x + wide, 31)))
        for j in range(32):
            town, y = f"{code}{j + 1:03d}", 30 + j * high
            rows.append((town, town, box(x, y, x + wide, y + high)))
            for k in range(32):
                village, left = f"{town}{k + 1:03d}", x + k * wide / 32
                shape = box(left, y, left + wide / 32, y + high)
                rows.append((village, village, shapely.segmentize(shape, 2.0**-9)))
    file = write(tmp_path / "a.parquet", *rows)
    start = time.process_time()
    code, out, _ = run("import", file, "--pack", "hz", "--label", "1", "--layout", "unified-27")
    took = time.process_time() - start
    assert code == 0
    assert "; 0 findings" in out
    assert len(rows_stored(engine)) == len(rows) == 21_140
    # of the processor, so that a busy machine does not decide; about eight alone
    assert took < 20
    with engine.connect() as connection:
        assert connection.scalar(sa.text("select count(*) from unit where parent_id is null")) == 20


def test_a_code_that_begins_another_of_its_level(
    run: Run, tmp_path: Path, engine: sa.Engine
) -> None:
    # given a jurisdiction over A1 that would reach over A10 and A10B, too
    file = write(
        tmp_path / "a.parquet", ("A1", "甲", box(120, 30, 121, 31)),
        ("A10", "乙", box(121, 30, 122, 31)), ("A10B", "丙", box(122, 30, 123, 31)),
        ("A2", "丁", box(123, 30, 124, 31)), level=["county"] * 4,
    )  # fmt: skip
    command = ["import", file, "--pack", "x", "--label", "1", "--level-column", "level"]
    code, _, err = run(*command, "--strict")
    assert (code, rows_stored(engine)) == (2, [])
    assert "refused (strict): 2 findings" in err
    code, out, _ = run(*command)
    assert (code, rows_stored(engine)) == (0, ["A1", "A10", "A10B", "A2"])
    assert "codes begun county: A10 乙 begins with the code of A1 甲" in out
    assert "codes begun county: A10B 丙 begins with the code of A10 乙" in out
    assert "a jurisdiction over the one reaches over the other" in out


def test_a_code_that_cannot_stand_in_an_address(
    run: Run, tmp_path: Path, engine: sa.Engine
) -> None:
    file = write(
        tmp_path / "a.parquet", ("A/1", "甲", box(120, 30, 121, 31)),
        ("..", "乙", box(121, 30, 122, 31)), ("x" * 65, "丙", box(122, 30, 123, 31)),
        ("A?2#%", "丁", box(123, 30, 124, 31)), level=["county"] * 4,
    )  # fmt: skip
    code, out, _ = run("import", file, "--pack", "x", "--label", "1", "--level-column", "level")
    assert (code, rows_stored(engine)) == (3, ["A?2#%"])
    assert out.count("cannot be part of an address") == 3
    assert "row 1 (A/1): code 'A/1'" in out


def test_a_layout_that_would_never_end(run: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", *GOOD)
    layout = tmp_path / "deep.yaml"
    layout.write_text("name: x\nsegments: &a [*a]\n", encoding="utf-8")
    code, _, err = run("import", file, "--pack", "hz", "--label", "1", "--layout", str(layout))
    assert code == 2
    assert "layout deep.yaml, line 2: not YAML: aliases (*name) are not read" in err
