"""The small map with a point for every event of a grid, assessed, and the application on it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.api.job_models import JobQuestion
from app.database import make_engine, make_web_engine
from app.main import create_app
from app.services import job_process, jobs
from app.services.assess import assess
from app.services.job_work import Outcome, Work
from app.settings import DatabaseSettings, JobSettings, Settings

from ..conftest import install, until

SPAN: dict[str, Any] = {"pack": "small", "start": "2023-01-01", "end": "2025-01-01", "seed": 7}
#: One quick question of every type.
PARAMETERS: dict[str, dict[str, Any]] = {
    "gi": {"res": 7, "ring": 1},
    "scan": {"res": 6, "replicates": 39, "step_days": 30},
    "knox": {"metres": [0, 1000, 5000], "days": [0, 7, 30], "replicates": 39},
    "emerging": {"res": 6, "step": "quarter"},
    "density": {"metres": 5000},
    "forecast": {"res": 6, "held_out": 5},
}
SCATTER = """
update event set geom = st_setsrid(st_makepoint(
  st_xmin(u.geom) + (st_xmax(u.geom) - st_xmin(u.geom)) * (mod(event.id * 7919, 1000) + .5) / 1000,
  st_ymin(u.geom) + (st_ymax(u.geom) - st_ymin(u.geom)) * (mod(event.id * 104729, 1000) + .5) / 1000),
  4326)
from unit u where u.boundary_version_id = event.boundary_version_id and u.id = unit_id
  and u.level = 'grid'
"""


def question(type_: str, **more: Any) -> dict[str, Any]:
    """One quick question of a type."""
    return {"type": type_, "parameters": PARAMETERS[type_], **SPAN, **more}


@dataclass
class Bench:
    """A database with the small map, and what works on it."""

    url: str
    engine: sa.Engine
    web: sa.Engine
    data_dir: Path
    steps: list[tuple[float, str]] = field(default_factory=list)

    def settings(self, **more: Any) -> Settings:
        return Settings(
            database=DatabaseSettings(url=self.url, pool_size=4), data_dir=self.data_dir, **more
        )

    def compute(self, asked: dict[str, Any], scope: tuple[str, ...] | None = None) -> Outcome:
        """Answer a job's question as its process does, in this one."""
        self.steps = []
        wanted: JobQuestion = jobs.QUESTION.validate_python(asked)
        work = Work(lambda part, step: self.steps.append((part, step)), lambda: False)
        return job_process.compute((self.engine, self.web), self.settings(), wanted, scope, work)

    def run(self, sql: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text(sql), values)

    def value(self, sql: str, **values: Any) -> Any:
        with self.engine.connect() as connection:
            return connection.execute(sa.text(sql), values).scalar()


def make_bench(cluster: Any, template: str, folder: Path) -> Iterator[Bench]:
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    name = f"j_{uuid.uuid4().hex[:12]}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name} template {template} strategy file_copy")
    url = cluster.url(name)
    engine = make_engine(url)
    install(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(SCATTER)
    assess(engine, "small", "nine-kinds", zone="Asia/Shanghai", cells=())
    web = make_web_engine(url, DatabaseSettings(url=url))
    yield Bench(url, engine, web, folder)
    web.dispose()
    engine.dispose()
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()


@pytest.fixture(scope="module")
def bench(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The small map with points, for one file of tests."""
    yield from make_bench(cluster, template, tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def desk(bench: Bench) -> Iterator[TestClient]:
    """The application on it, with processes for jobs."""
    jobs_settings = JobSettings(at_once=1, per_account=1)
    with TestClient(create_app(bench.settings(jobs=jobs_settings))) as one:
        yield one


Ended = Callable[[TestClient, int], dict[str, Any]]


@pytest.fixture
def ended() -> Ended:
    """Wait for the end of a job and return it."""

    def wait(client: TestClient, job: int) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def over() -> bool:
            found.update(client.get(f"/api/jobs/{job}").json())
            return found["state"] not in {"queued", "running"}

        until(over, 300)
        return found

    return wait
