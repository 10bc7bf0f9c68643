"""`wusetu.Client` against a real server: the notebook of the documentation, and what it does not show."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas
import pypdf
import pytest
import shapely
import uvicorn

import wusetu
from app.database import transaction
from app.main import create_app
from app.security.identity import MAY, Role
from app.services import accounts, accounts_tokens
from app.settings import PROJECT, JobSettings

from ..conftest import until
from .conftest import SPAN, Bench

NOTEBOOK = PROJECT / "docs" / "notebook.md"


@pytest.fixture(scope="module")
def server(bench: Bench) -> Iterator[str]:
    """Address of the real application, where programs need a token."""
    settings = bench.settings(access="accounts", jobs=JobSettings(at_once=1))
    config = uvicorn.Config(create_app(settings), host="127.0.0.1", port=0, log_level="warning")
    one = uvicorn.Server(config)
    thread = threading.Thread(target=one.run, daemon=True)
    thread.start()
    until(lambda: one.started or not thread.is_alive(), 120)
    assert one.started
    port = one.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    one.should_exit = True
    thread.join(60)


@pytest.fixture(scope="module")
def token(bench: Bench) -> str:
    with transaction(bench.engine) as connection:
        made = accounts.create(connection, "notebook", Role.analyst, kind="program", prefixes=None)
        _, secret = accounts_tokens.create(
            connection, account=made.id, title="notebook", scopes=sorted(MAY[Role.analyst]),
            days=1, longest=1,
        )  # fmt: skip
    return secret


def test_the_notebook_of_the_documentation_runs(
    bench: Bench, server: str, token: str, tmp_path: Path
) -> None:
    cells = re.findall(r"```python\n(.*?)```", NOTEBOOK.read_text(encoding="utf-8"), re.DOTALL)
    assert len(cells) == 7
    names: dict[str, Any] = {"url": server, "token": token, "folder": tmp_path}
    for cell in cells:
        exec(compile(cell, NOTEBOOK.name, "exec"), names)
    answer = names["answer"]
    assert isinstance(answer.rows, geopandas.GeoDataFrame)
    assert answer.rows.crs.to_epsg() == 4326
    assert answer.overall["observed"] == answer.part("unit")["observed"].sum() > 0
    assert set(answer.part("kind")["code"]) == {"theft", "fraud"}
    assert answer.notes["asked by"] == "notebook (analyst)"
    assert len(names["grids"]) == bench.value("select count(*) from unit where level = 'grid'")
    assert len(names["worst"]) > 0
    assert names["hot"].result["hot"] == (names["cells"]["found"] == "hot").sum()
    text = pypdf.PdfReader(tmp_path / "report.pdf").pages[0].extract_text()
    assert "一区" in text
    assert "Area analysis" in (tmp_path / "map.html").read_text(encoding="utf-8")
    purposes = bench.value(
        "select array_agg(distinct purpose) from audit_entry where purpose is not null"
    )
    assert purposes == ["weekly review"]


def test_units_and_answers_as_they_are(server: str, token: str) -> None:
    with wusetu.Client(server, token) as client:
        towns = client.units("small", "town")
        assert list(towns.columns) == ["code", "name", "name_en", "parent_code", "geometry"]
        assert towns.geometry.is_valid.all()
        wkt = shapely.to_wkt(shapely.box(119.9, 29.3, 120.3, 29.7))
        whole = client.area("small", wkt, "2024-01-01", "2024-07-01", parts=[])
        boxed = client.area("small", shapely.from_wkt(wkt), "2024-01-01", "2024-07-01", parts=[])
        assert whole["overall"] == boxed["overall"]
        assert whole["overall"]["observed"] > 0
        bands = client.job("knox", **{k: v for k, v in SPAN.items() if k != "seed"},
                           parameters={"metres": [0, 500], "days": [0, 9], "replicates": 19})  # fmt: skip
        assert list(bands.frame["observed"]) == [one["observed"] for one in bands.result["bands"]]
        with pytest.raises(KeyError):
            client.map("other")
        with pytest.raises(TypeError, match="an area is"):
            client.area("small", 5, "2024-01-01", "2024-07-01")


def test_errors_are_said(server: str, token: str) -> None:
    with pytest.raises(wusetu.ClientError) as nobody:
        wusetu.Client(server).maps()
    assert nobody.value.status == 401
    assert nobody.value.code == "login_needed"
    with wusetu.Client(server, token) as client:
        with pytest.raises(wusetu.ClientError) as failed:
            client.job("gi", "small", "2024-01-01", "2024-07-01", parameters={"res": 11})
        assert failed.value.code == "invalid"
        assert "at most 60,000" in failed.value.message
        with pytest.raises(wusetu.ClientError) as refused:
            client.area("small", "POLYGON((0 0, 1 1, 1 0, 0 1, 0 0))", "2024-01-01", "2024-07-01")
        assert refused.value.status == 422
        assert refused.value.detail["at"]


def test_an_interrupted_cell_cancels_its_job(bench: Bench, server: str, token: str) -> None:
    class Interrupted(Exception):
        pass

    def stop(part: float, step: str) -> None:
        if step:
            raise Interrupted

    long = {"metres": [0, 50_000], "days": [0, 300], "replicates": 9_999}
    with wusetu.Client(server, token) as client, pytest.raises(Interrupted):
        client.job("knox", "small", "2023-01-01", "2025-01-01", parameters=long, progress=stop)
    assert bench.value("select state from analysis_job order by id desc limit 1") == "cancelled"
