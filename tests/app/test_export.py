"""Exports: every colour recomputed from the file alone."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
import sqlalchemy as sa
from click.testing import CliRunner
from scipy.stats import gamma

from app.api.models import COLOURS
from app.cli import cli
from app.errors import Invalid
from app.services.caches import Caches
from app.services.export import _cells, csv_chunks, export_table
from app.services.export_files import write_run
from app.services.lookup import why
from app.services.runs import Layer

from .conftest import HOT, MEASURES, NO_EXPOSURE, Assessed

RED, ORANGE, YELLOW, GREEN = (COLOURS.index(one) for one in ("red", "orange", "yellow", "green"))


def _table(assessed: Assessed, kind: str, period: str = "month", ord_: int = 21):
    with assessed.engine.connect() as connection:
        return export_table(connection, Caches(), assessed.run, Layer("grid", kind, period, ord_))


def _read(data: bytes) -> tuple[dict[str, str], pd.DataFrame]:
    """Read notes and table as a stranger would, with the first line as the only hint."""
    text = data.decode("utf-8-sig")
    count = int(text.split("\r\n", 1)[0].rsplit(":", 1)[1])
    lines = [row[0] for row in csv.reader(text.split("\r\n")[:count])]
    notes = dict(line.removeprefix("# ").split(": ", 1) for line in lines)
    frame = pd.read_csv(io.BytesIO(data), skiprows=count, encoding="utf-8-sig", dtype={"code": str})
    frame["code"] = frame["code"].str.strip()
    return notes, frame


def _recompute(notes: dict[str, str], frame: pd.DataFrame) -> list[str]:
    rule = json.loads(notes["colour rule"])
    found = []
    for row in frame.itertuples():
        if np.isnan(row.x):
            found.append("none")
            continue
        theta = (row.alpha + row.s) / (row.alpha + row.x)
        p = gamma.sf(1, row.alpha + row.s, scale=1 / (row.alpha + row.x))
        assert row.relative_risk == pytest.approx(theta, rel=1e-12)
        assert row.p == pytest.approx(p, abs=1e-9)
        colour = "blue"
        if p <= rule["green"]["p_max"] and theta <= rule["green"]["theta_max"]:
            colour = "green"
        for name in ("yellow", "orange", "red"):
            if p >= rule[name]["p_min"] and theta >= rule[name]["theta_min"]:
                colour = name
        if "veto" in str(row.flags).split() and COLOURS.index(colour) < ORANGE:
            colour = "orange"
        found.append(colour)
    return found


@pytest.mark.parametrize("kind", ["overall", "theft", "vice"])
@pytest.mark.parametrize(("period", "ord_"), [("month", 0), ("month", 21), ("year", 1)])
def test_every_colour_is_recomputed_from_the_csv_alone(
    assessed: Assessed, kind: str, period: str, ord_: int
) -> None:
    notes, frame = _read(b"".join(csv_chunks(_table(assessed, kind, period, ord_))))
    assert len(frame) == len(assessed.small.of_level("grid"))
    assert _recompute(notes, frame) == frame.colour.tolist()
    assert (frame.colour == "none").sum() == (2 if kind == "vice" else 1)
    if kind != "overall":
        part = frame.expected / frame.expected.sum()
        assert np.allclose(part, frame["share"], equal_nan=True)


@pytest.mark.parametrize("kind", ["overall", "theft"])
def test_the_csv_says_what_why_says(assessed: Assessed, kind: str) -> None:
    frame = _read(b"".join(csv_chunks(_table(assessed, kind))))[1].set_index("code")
    for code in (HOT, "330101001001001", "330102000001004"):
        row = frame.loc[code]
        with assessed.engine.connect() as connection:
            found = why(connection, Caches(), assessed.run, code, kind=kind, ord_=21)
        known = found.estimate
        assert (row["observed"], row["expected"]) == (found.observed, found.expected)
        assert row["alpha"] == found.alpha
        assert row[["relative_risk", "low", "high", "p"]].tolist() == pytest.approx(
            [known.theta, known.low, known.high, known.p], rel=1e-12
        )
        assert row["s"] - row["effective_observed"] == pytest.approx(found.remembered_observed)
        assert row["x"] - row["effective_expected"] == pytest.approx(found.remembered_expected)
        assert row["k"] > 0
        assert row["complexity"] == pytest.approx(found.complexity)


def test_codes_stay_text_and_notes_say_what_it_is(assessed: Assessed) -> None:
    data = b"".join(csv_chunks(_table(assessed, "theft")))
    assert data.startswith(b"\xef\xbb\xbf# rows of notes: 22\r\n")
    assert f"\r\n\t{HOT},".encode() in data
    notes, frame = _read(data)
    assert notes["run"].startswith(f"{assessed.run}, published 20")
    assert notes["boundary version"] == "2023"
    assert notes["scene"] == "nine-kinds, version 1"
    assert notes["period"] == "month 2024-11-01 up to and without 2024-12-01, Asia/Shanghai"
    assert json.loads(notes["weights"]) == {"theft": {"dwellings": 0.5, "floating": 0.5}}
    assert notes["events"] == "simulated"
    row = frame.set_index("code").loc[HOT]
    assert row["exposure_firms"] == assessed.small.exposures[HOT]["firms"]
    assert row["rank"] <= row["rank_high"] <= row["ranked"]
    nothing = frame.set_index("code").loc[NO_EXPOSURE]
    assert nothing[["expected", "x", "alpha", "relative_risk", "rank", "share"]].isna().all()
    assert not np.isnan(nothing["observed"])


def test_an_incomplete_period_says_so(assessed: Assessed) -> None:
    notes = _table(assessed, "theft", "year", 1).notes
    assert "(not covered completely)" in notes["period"]


def test_no_name_becomes_a_formula() -> None:
    assert _cells("name", ["=1+1", "@x", "西湖区", "", None]) == [
        "'=1+1",
        "'@x",
        "西湖区",
        "",
        None,
    ]
    for text in ("＝1+1", "＠x", "\t=1", "\r=1"):
        assert _cells("name_en", [text]) == [f"'{text}"]
    assert _cells("code", ["3301", None]) == ["\t3301", None]
    assert _cells("observed", [-1, 0.1 + 0.2]) == [-1, 0.1 + 0.2]


def test_geopackage_has_the_same_columns_and_the_shapes(assessed: Assessed, tmp_path: Path) -> None:
    table = _table(assessed, "overall")
    path = tmp_path / "a.gpkg"
    with assessed.engine.connect() as connection:
        write_run(connection, table, "gpkg", path)
        area = connection.execute(
            sa.text("select sum(st_area(geom)) from unit where level = 'grid'")
        ).scalar_one()
    frame = geopandas.read_file(path, layer="assessment")
    assert set(table.columns) == set(frame.columns) - {"geometry"}
    assert frame.crs == "EPSG:4326"
    assert shapely.area(frame.geometry.to_numpy()).sum() == pytest.approx(area)
    assert frame["code"].tolist() == table.columns["code"]
    assert _recompute(table.notes, frame) == frame.colour.tolist()
    info = pyogrio.read_info(path, layer="assessment")
    assert info["layer_metadata"]["boundary version"] == "2023"


@pytest.mark.parametrize("folder", ["/nonexist", "/proc"])
def test_a_folder_that_takes_no_file_is_one_clear_line(folder: str) -> None:
    arguments = ["export", f"{folder}/o.csv", "--pack", "small", "--level", "town"]
    found = CliRunner().invoke(cli, arguments).exception
    assert isinstance(found, Invalid)
    assert f"folder {folder}" in found.message


def test_the_command_writes_whole_files_or_none(
    assessed: Assessed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WUSETU_DATABASE_URL", assessed.url)
    run = CliRunner()

    def export(name: str, *more: str):
        return run.invoke(cli, ["export", str(tmp_path / name), "--level", "town", *more])

    assert export("a.csv", "--pack", "small", "--kind", "fire").exit_code == 0
    notes, frame = _read((tmp_path / "a.csv").read_bytes())
    assert notes["period"].startswith("month 2024-11-01")
    assert len(frame) == len(assessed.small.of_level("town"))
    assert all(f"exposure_{measure}" in frame for measure in MEASURES)
    assert (
        export("b.gpkg", "--run", "1", "--period", "quarter", "--start", "2023-04-01").exit_code
        == 0
    )
    assert len(geopandas.read_file(tmp_path / "b.gpkg", layer="assessment")) == 5
    before = sorted(tmp_path.iterdir())
    for wrong, reason in (
        (("c.xlsx", "--pack", "small"), "must end with .csv, .gpkg, .parquet or .pmtiles"),
        (("c.csv",), "either --pack or --run"),
        (("c.csv", "--pack", "big"), "no published run of 'big'"),
        (("c.csv", "--pack", "small", "--kind", "noise"), "no kind 'noise'"),
        (("c.csv", "--pack", "small", "--start", "2023-01-15"), "no month begins on 2023-01-15"),
    ):
        failed = export(*wrong)
        assert failed.exit_code != 0
        assert reason in str(failed.exception)
    assert sorted(tmp_path.iterdir()) == before
