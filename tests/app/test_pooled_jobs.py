"""Pooled runs asked for over the web: who may, what is made, that cancelling leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.database import transaction
from app.main import create_app
from app.services import jobs
from app.services.job_process import _store
from app.services.job_work import Outcome
from app.settings import JobSettings

from .border_house import DEEP, MINE, THEIRS, House, house
from .conftest import until
from .test_cells import scatter
from .test_pooled_runs import OFFICER, accept_all, plant

ASKED = {"pack": "small", "period": "quarter", "from": "2024-07-01"}


@pytest.fixture(scope="module")
def home(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    for one in house(cluster, template, tmp_path_factory.mktemp("pooled")):
        scatter(one.engine, one.small)
        plant(one.engine)
        accept_all(one.engine)
        yield one


@pytest.fixture
def desk(home: House) -> Iterator[TestClient]:
    """The application, with processes for jobs."""
    with TestClient(create_app(home.settings())) as client:
        yield client


@pytest.fixture
def quiet(home: House) -> Iterator[TestClient]:
    """The application without such processes: a job only waits."""
    settings = home.settings().model_copy(update={"jobs": JobSettings(at_once=0)})
    with TestClient(create_app(settings)) as client:
        yield client


def count(home: House, table: str) -> int:
    with home.engine.connect() as connection:
        return int(connection.execute(sa.text(f"select count(*) from {table}")).scalar_one())


def test_an_officer_has_a_period_looked_at_anew(home: House, desk: TestClient) -> None:
    mine, theirs = home.as_(OFFICER, MINE), home.as_(OFFICER, THEIRS)
    made = desk.post("/api/pooled", json=ASKED, headers=mine)
    assert made.status_code == 202, made.text
    job = made.json()["id"]
    where = f"/api/pooled/jobs/{job}"
    assert made.headers["location"] == where
    assert (made.json()["state"], made.json()["treaty"]) == ("queued", "counties")
    found: dict[str, Any] = {}

    def over() -> bool:
        found.update(desk.get(where, headers=mine).json())
        return found["state"] not in {"queued", "running"}

    until(over, 300)
    assert found["state"] == "done", found
    assert found["progress"] == 1
    run = found["run"]
    # both sides see the run, one's job is one's own
    for who in (mine, theirs):
        clusters = desk.get(f"/api/pooled/{run}/clusters", headers=who).json()
        assert (clusters["run"]["from"], clusters["run"]["replicates"]) == ("2024-07-01", 999)
        assert "together" in {one["properties"]["seen"] for one in clusters["features"]}
    assert desk.get(where, headers=theirs).status_code == 404
    assert desk.delete(where, headers=theirs).status_code == 404
    # it is none of the questions about an area
    assert desk.get("/api/jobs", headers=mine).json() == []
    for path in (f"/api/jobs/{job}", f"/api/jobs/{job}/result"):
        assert desk.get(path, headers=mine).status_code == 404
    assert desk.delete(f"/api/jobs/{job}", headers=mine).status_code == 404
    with home.engine.connect() as connection:
        said = connection.execute(
            sa.text("select action, pack, question from audit_entry where action like 'pooled%'")
        ).one()
    assert tuple(said) == ("pooled.assess", "small", ASKED)
    # the job goes, the run stays
    assert desk.delete(where, headers=mine).json()["state"] == "done"
    assert desk.get(where, headers=mine).status_code == 404
    assert desk.get(f"/api/pooled/{run}/clusters", headers=mine).status_code == 200


@pytest.mark.parametrize(("role", "prefix", "more", "status"), [
    ("viewer", MINE, {}, 403),
    ("dispatcher", MINE, {}, 403),
    (OFFICER, DEEP, {}, 404),
    (OFFICER, MINE, {"pack": "other"}, 404),
    (OFFICER, MINE, {"treaty": "other"}, 404),
    (OFFICER, MINE, {"period": "month"}, 422),
    (OFFICER, MINE, {"period": "week"}, 422),
])  # fmt: skip
def test_who_may_not(
    home: House, quiet: TestClient, role: str, prefix: str, more: dict[str, str], status: int
) -> None:
    before = count(home, "analysis_job")
    answer = quiet.post("/api/pooled", json=ASKED | more, headers=home.as_(role, prefix))
    assert answer.status_code == status, answer.text
    assert count(home, "analysis_job") == before


def test_what_cannot_be_looked_at_says_why(home: House, desk: TestClient) -> None:
    mine = home.as_(OFFICER, MINE)
    made = desk.post("/api/pooled", json=ASKED | {"from": "2031-01-01"}, headers=mine).json()

    def over() -> bool:
        return desk.get(f"/api/pooled/jobs/{made['id']}", headers=mine).json()["state"] == "failed"

    until(over, 300)
    error = desk.get(f"/api/pooled/jobs/{made['id']}", headers=mine).json()["error"]
    assert error["code"] == "not_found"
    assert "not all sides told quarter 2031-01-01" in error["message"]


def test_cancelled_leaves_no_run(home: House, quiet: TestClient) -> None:
    mine = home.as_(OFFICER, MINE)
    job = quiet.post("/api/pooled", json=ASKED, headers=mine).json()["id"]
    with transaction(home.engine) as connection:
        assert jobs.begin(connection, job) is not None
    left = quiet.delete(f"/api/pooled/jobs/{job}", headers=mine)
    assert left.json()["state"] == "cancelled"

    def keep(_: sa.Connection) -> Any:
        raise AssertionError("nobody wants it any more")

    with transaction(home.engine) as connection:
        _store(connection, job, Outcome(None, keep=keep))
    assert quiet.get(f"/api/pooled/jobs/{job}", headers=mine).json()["state"] == "cancelled"
