"""An analyst's answer as a file, each opened again by its own library."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyarrow.parquet
import pyogrio
import pypdf
import pytest
import rasterio
from fastapi.testclient import TestClient
from scipy.stats import gamma

from app.database import transaction
from app.main import create_app
from app.security.identity import MAY, Role
from app.services import accounts, accounts_tokens, report_document, report_map_page
from app.services.report import COLUMNS
from geo import risk

from .conftest import Bench

ADDRESS = "/api/packs/small/areas/export"
AREA = {"circle": {"lon": 120.1, "lat": 29.5, "metres": 25_000}}
QUESTION: dict[str, Any] = {"area": AREA, "start": "2024-01-01", "end": "2024-12-01"}
FORMATS = {
    "csv": "text/csv", "gpkg": "application/geopackage+sqlite3", "geojson": "application/geo+json",
    "parquet": "application/vnd.apache.parquet", "html": "text/html", "pdf": "application/pdf",
    "report.html": "text/html", "png": "image/png",
}  # fmt: skip


@pytest.fixture(scope="module")
def answer(desk: TestClient) -> dict[str, Any]:
    """What the same question answers as JSON."""
    found: dict[str, Any] = desk.post("/api/packs/small/areas/analyse", json=QUESTION).json()
    assert found["overall"]["observed"] > 100
    assert found["children"]
    assert found["cells"]
    return found


def export(desk: TestClient, form: str, **more: Any) -> bytes:
    made = desk.post(ADDRESS, json={**QUESTION, "format": form, **more})
    assert made.status_code == 200, made.text
    assert made.headers["content-type"].startswith(FORMATS[form])
    assert f'.{form}"' in made.headers["content-disposition"]
    assert made.headers["cache-control"] == "private, no-store"
    return made.content


def table(body: bytes) -> tuple[dict[str, str], pd.DataFrame]:
    """Notes and rows of a CSV, as docs/api.md says to read it."""
    text = body.decode("utf-8-sig")
    notes = int(text.split("\r\n", 1)[0].rsplit(":", 1)[1])
    lines = list(csv.reader(io.StringIO(text)))[:notes]
    frame = pd.read_csv(io.StringIO(text), skiprows=notes, dtype={"code": str})
    frame["code"] = frame["code"].str.strip()
    return dict(one[0][2:].split(": ", 1) for one in lines), frame


def check_notes(notes: dict[str, Any], answer: dict[str, Any]) -> None:
    """Every file says run, boundary version, question, who, when and cut-off."""
    assert notes["run"].startswith(f"{answer['run']}, published ")
    assert notes["boundary version"] == "2023"
    assert json.loads(notes["question"])["area"]["circle"] == AREA["circle"]
    assert notes["data cutoff"] == "2024-11-30T15:00:00+00:00"
    assert notes["asked by"] == "local (admin)"
    assert re.match(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+08:00, Wusetu", notes["generated"])
    assert notes["events"] == "simulated"
    assert notes["badges"]


def check_rows(frame: pd.DataFrame, answer: dict[str, Any]) -> None:
    """The numbers of a file are those of the answer."""
    area = frame[frame["part"] == "area"].iloc[0]
    overall = answer["overall"]
    assert area["observed"] == overall["observed"]
    for column, name in (("expected", "expected"), ("relative_risk", "relative_risk"),
                         ("low", "low"), ("high", "high"), ("p", "exceedance")):  # fmt: skip
        assert area[column] == pytest.approx(overall[name], rel=1e-12)
    assert area["colour"] == overall["colour"]
    units = frame[frame["part"] == "unit"]
    assert units["observed"].sum() == overall["observed"]
    assert len(units) == len(answer["children"])
    kinds = frame[frame["part"] == "kind"].set_index("code")
    for one in answer["kinds"]:
        assert kinds.loc[one["kind"], "observed"] == one["observed"]
    assert len(frame[frame["part"] == "cell"]) == len(answer["cells"])
    assert len(frame[frame["part"] == "comparison"]) == len(answer["comparisons"])
    assert len(frame[frame["part"] == "hour_of_week"]) == 168


def test_csv_recomputes_the_colours(desk: TestClient, answer: dict[str, Any]) -> None:
    notes, frame = table(export(desk, "csv"))
    assert list(frame.columns) == list(COLUMNS)
    check_notes(notes, answer)
    check_rows(frame, answer)
    body = json.loads(notes["colour rule"])
    rule = risk.ColourRule.from_rows(
        {name: row for name, row in body.items() if name != "version"}, body["version"]
    )
    kinds = frame[frame["part"] == "kind"]
    made = risk.colours(kinds["p"].to_numpy(), kinds["relative_risk"].to_numpy(), rule)
    names = np.array(["none", "green", "blue", "yellow", "orange", "red"])
    assert names[made].tolist() == kinds["colour"].tolist()
    # from the counts and priors alone: nothing of the server's posteriors
    known = frame[frame["alpha"].notna()]
    assert set(known["part"]) >= {"area", "kind", "unit", "comparison"}
    assert known["relative_risk"].notna().all()
    shape, rate = (
        (known["alpha"] + known[f"effective_{name}"]).to_numpy()
        for name in ("observed", "expected")
    )
    posterior = gamma(shape, scale=1 / rate)
    for name, mine in (
        ("relative_risk", posterior.mean()), ("p", posterior.sf(1)),
        ("low", posterior.ppf(0.025)), ("high", posterior.ppf(0.975)),
    ):  # fmt: skip
        assert known[name].to_numpy() == pytest.approx(mine, rel=1e-6, abs=1e-9)
    alike = kinds[kinds["alpha"].notna()]
    assert (alike["effective_observed"] == alike["observed"]).all()
    assert alike["effective_expected"].to_numpy() == pytest.approx(alike["expected"].to_numpy())
    area = frame[frame["part"] == "area"]
    alone = int(risk.colours(area["p"].to_numpy(), area["relative_risk"].to_numpy(), rule)[0])
    veto = "red" in set(kinds["colour"])
    assert names[max(alone, 4) if veto else alone] == area["colour"].iloc[0]


def test_codes_of_a_csv_stay_text(desk: TestClient) -> None:
    text = export(desk, "csv").decode("utf-8-sig")
    assert re.search(r"\r\nunit,\t330101\d+,", text)


def test_geopackage(desk: TestClient, answer: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "one.gpkg"
    path.write_bytes(export(desk, "gpkg"))
    layers = {name for name, _ in pyogrio.list_layers(path)}
    assert layers == {"area", "units", "comparisons", "cells", "numbers"}
    area = geopandas.read_file(path, layer="area")
    assert area.crs.to_epsg() == 4326
    assert area.geometry.is_valid.all()
    km2 = area.to_crs("+proj=laea +lat_0=29.5 +lon_0=120.1").area.sum() / 1e6
    assert km2 == pytest.approx(answer["km2"], rel=1e-3)
    check_rows(geopandas.read_file(path, layer="numbers"), answer)
    for layer in sorted(layers):
        check_notes(pyogrio.read_info(path, layer=layer)["layer_metadata"], answer)
    units = geopandas.read_file(path, layer="units")
    assert set(units["code"]) <= {one["code"] for one in answer["children"]}
    assert units.geometry.is_valid.all()


def test_geojson(desk: TestClient, answer: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "one.geojson"
    path.write_bytes(export(desk, "geojson"))
    whole = json.loads(path.read_text())
    check_notes(whole["about"], answer)
    shapes = geopandas.read_file(path)
    assert shapes.crs.to_epsg() == 4326
    assert set(shapes["part"]) == {"area", "unit", "comparison", "cell"}
    every = [one["properties"] for one in whole["features"]] + whole["numbers"]
    check_rows(pd.DataFrame(every), answer)


def test_parquet(desk: TestClient, answer: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "one.parquet"
    path.write_bytes(export(desk, "parquet"))
    frame = geopandas.read_parquet(path)
    assert frame.crs.to_epsg() == 4326
    check_rows(frame, answer)
    assert frame["geometry"].notna().sum() > 10
    notes = json.loads(pyarrow.parquet.read_schema(path).metadata[b"wusetu"])
    check_notes(notes, answer)


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("zh", ["区域内共", "近似边界", "模拟事件", "按类别", "对照区域", "数据截至", "网格", "偷盗", "第 1 页，共"]),
        ("en", ["events in the area", "Approximate boundaries", "Simulated events", "By kind",
                "Comparison areas", "data as of", "Theft", "Page 1 of"]),
    ],
)  # fmt: skip
def test_pdf(desk: TestClient, answer: dict[str, Any], lang: str, words: list[str]) -> None:
    body = export(desk, "pdf", lang=lang, title="市场周边 Market")
    file = pypdf.PdfReader(io.BytesIO(body))
    assert 2 <= len(file.pages) <= 4
    assert file.metadata is not None
    assert file.metadata.title == "市场周边 Market"
    width, height = (float(one) for one in file.pages[0].mediabox[2:])
    assert (round(width), round(height)) == (595, 842)
    text = "\n".join(page.extract_text() for page in file.pages)
    squeezed = text.replace("\xa0", " ")
    for word in [*words, "市场周边", str(answer["overall"]["observed"]),
                 f"{answer['overall']['expected']:,.1f}", "local", "2024-11-30 23:00"]:  # fmt: skip
        assert word in squeezed, word
    fonts = {
        str(font.get_object()["/BaseFont"])
        for page in file.pages
        for font in page["/Resources"]["/Font"].values()
    }
    assert any("CJK" in one or "SC" in one for one in fonts), fonts  # real letters, embedded


def test_the_pages_for_print_and_map_ask_nobody(desk: TestClient, answer: dict[str, Any]) -> None:
    """What a browser makes of them is in tests/e2e."""
    report = export(desk, "report.html", title="<b>周边</b>").decode()
    assert "<script" not in report
    assert "&lt;b&gt;周边&lt;/b&gt;" in report
    assert report.count("<svg") == 4
    page = export(desk, "html", title="</script><b>x").decode()
    for body in (report, page):
        assert not re.findall(
            r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["'](?!data:)""", body
        )
        assert not re.findall(r"@import|url\((?!data:|#)", body)
        assert f"{answer['overall']['observed']:,}" in body
        assert "近似边界" in body
        assert "default-src 'none'" in body
    assert "</script><b>" not in page


def test_no_word_becomes_a_part_of_the_page_that_shows_the_map(
    desk: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers and tips are set as HTML by the map's own script, so their words come escaped."""
    evil = "<img src=x onerror=alert(7)>"
    told = report_map_page.line

    def named(report: Any, row: Any) -> Any:
        return replace(told(report, row), name=evil)

    monkeypatch.setattr(report_map_page, "line", named)
    page = export(desk, "html", title=evil).decode()
    found = [
        page[max(0, one.start() - 40) : one.start()] for one in re.finditer(r"onerror=alert", page)
    ]
    assert len(found) > 3, found  # heading, layer, units
    assert {one.rpartition("img src=x ")[0].endswith(("&lt;", r"\u0026lt;")) for one in found} == {
        True
    }, found


def test_png(desk: TestClient, tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    path.write_bytes(export(desk, "png"))
    with rasterio.open(path) as file:
        pixels = file.read()
    assert pixels.shape[2] > 1200
    seen = {tuple(one) for one in pixels[:3].reshape(3, -1).T[::7].tolist()}
    assert (0xC0, 0x26, 0x2E) in seen  # a red unit
    assert (0x86, 0xB0, 0xDA) in seen  # a blue one


def test_a_pdf_without_a_chinese_font_says_how_to_get_one(
    desk: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(report_document, "FAMILIES", ("No Such Font",))
    report_document._fonts.cache_clear()
    answer = desk.post(ADDRESS, json={**QUESTION, "format": "pdf"})
    assert answer.status_code == 503
    assert "fonts-noto-cjk" in answer.json()["message"]
    monkeypatch.undo()
    report_document._fonts.cache_clear()
    folder = tmp_path / "fonts"
    folder.mkdir()
    monkeypatch.setenv("WUSETU_FONTS", f"{folder}:/nowhere")
    assert report_document.font_folders(tmp_path) == [folder]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"title": "浙A12345 的区域"}, "title"), ({"title": "call 13800138000"}, "title"),
        ({"title": "a\u0007b"}, "title"), ({"format": "xls"}, "format"), ({"lang": "fr"}, "lang"),
        ({"area": {"units": ["999999"]}}, None),
    ],
)  # fmt: skip
def test_what_is_refused(desk: TestClient, wrong: dict[str, Any], field: str | None) -> None:
    answer = desk.post(ADDRESS, json={**QUESTION, "format": "csv", **wrong})
    assert answer.status_code == (422 if field else 404), answer.text
    if field:
        assert field in answer.text


@pytest.mark.parametrize("member", ['"\\ud800"', '{"a":' * 900 + "1" + "}" * 900])
def test_what_cannot_be_written_down_is_refused(desk: TestClient, member: str) -> None:
    ring = "[[[119,29],[120,29],[120,30],[119,29]]]"
    area = f'{{"geojson":{{"type":"Polygon","coordinates":{ring},"x":{member}}}}}'
    asked = json.dumps({**QUESTION, "format": "csv", "area": "here"}).replace('"here"', area)
    answer = desk.post(ADDRESS, content=asked, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text


def test_each_file_is_written_down(bench: Bench, desk: TestClient) -> None:
    before = bench.value("select coalesce(max(id), 0) from audit_entry")
    body = export(desk, "csv", kinds=["theft"], parts=["kinds"])
    _, frame = table(body)
    entry = bench.value(
        "select array[action, outcome, row_count::text, question ->> 'format'] from audit_entry "
        "where id > :before",
        before=before,
    )
    assert entry == ["export", "answered", str(len(frame)), "csv"]


@pytest.fixture(scope="module")
def accounts_desk(bench: Bench) -> Iterator[TestClient]:
    """The application where people log in."""
    with TestClient(create_app(bench.settings(access="accounts"))) as one:
        yield one


def token(bench: Bench, role: Role, prefix: str | None, scopes: set[str]) -> dict[str, str]:
    with transaction(bench.engine) as connection:
        name = f"x-{role}-{'mine' if prefix else 'all'}"
        made = accounts.create(
            connection, name, role, kind="program", prefixes=None if prefix is None else [prefix]
        )
        _, secret = accounts_tokens.create(
            connection, account=made.id, title="t", scopes=sorted(scopes), days=1, longest=1
        )
    return {"Authorization": f"Bearer {secret}"}


@pytest.mark.parametrize("form", ["csv", "geojson", "parquet", "pdf", "html", "report.html"])
def test_what_is_suppressed_is_suppressed_in_files(
    bench: Bench, accounts_desk: TestClient, form: str, tmp_path: Path
) -> None:
    """A program that may export but see no records gets no number of 1 to 4."""
    scopes = set(MAY[Role.analyst]) - {"see_records"}
    name = f"small-{form.replace('.', '-')}"
    with transaction(bench.engine) as connection:
        made = accounts.create(connection, name, Role.analyst, kind="program", prefixes=None)
        _, secret = accounts_tokens.create(
            connection, account=made.id, title="t", scopes=sorted(scopes), days=1, longest=1
        )
    headers = {"Authorization": f"Bearer {secret}"}
    asked = {**QUESTION, "format": form, "lang": "zh"}
    answer = accounts_desk.post(ADDRESS, json=asked, headers=headers)
    assert answer.status_code == 200, answer.text
    if form in {"csv", "geojson", "parquet"}:
        if form == "csv":
            notes, frame = table(answer.content)
            assert "<5" in notes["suppressed"]
            hidden = frame["suppressed"] == "yes"
        elif form == "geojson":
            whole = answer.json()
            frame = pd.DataFrame(
                [one["properties"] for one in whole["features"]] + whole["numbers"]
            )
            hidden = frame["suppressed"].astype(bool)
        else:
            path = tmp_path / "one.parquet"
            path.write_bytes(answer.content)
            frame = geopandas.read_parquet(path)
            hidden = frame["suppressed"]
        assert hidden.sum() > 20
        assert frame[hidden]["observed"].isna().all()
        assert frame[hidden]["observed_text"].isin(["<5", "…"]).all()
        untold = [
            "relative_risk",
            "low",
            "high",
            "p",
            "alpha",
            "effective_observed",
            "effective_expected",
        ]
        assert frame[hidden][untold].isna().all(axis=None)
        counts = frame[~hidden]["observed"].dropna().astype(int)
        assert not counts.isin([1, 2, 3, 4]).any()
    elif form == "pdf":
        text = "".join(
            page.extract_text() for page in pypdf.PdfReader(io.BytesIO(answer.content)).pages
        )
        assert "<5" in text
        assert "为保护小数" in text
    else:
        assert "&lt;5" in answer.text or "<5" in answer.text


def test_a_file_of_a_jurisdiction_holds_its_own_only(
    bench: Bench, accounts_desk: TestClient
) -> None:
    headers = token(bench, Role.analyst, "330101", set(MAY[Role.analyst]))
    answer = accounts_desk.post(ADDRESS, json={**QUESTION, "format": "geojson"}, headers=headers)
    codes = {
        one["properties"]["code"] for one in answer.json()["features"]
        if one["properties"]["part"] in {"unit", "comparison"}
    }  # fmt: skip
    assert codes
    assert all(code.startswith("330101") for code in codes)
    assert "330102" not in answer.text
    viewer = token(bench, Role.viewer, None, set(MAY[Role.viewer]))
    refused = accounts_desk.post(ADDRESS, json={**QUESTION, "format": "csv"}, headers=viewer)
    assert refused.status_code == 403
