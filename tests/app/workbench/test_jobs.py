"""Questions worked on in the background: processes, cancelling, interruptions, jurisdictions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.database import claim, transaction
from app.errors import NotFound, TooMany
from app.main import create_app
from app.security.identity import LOCAL, Identity, Role
from app.services import accounts, job_process, jobs
from app.settings import PROJECT, JobSettings

from ..conftest import until
from .conftest import Bench, Ended, question

LONG = {
    "parameters": {
        "metres": [0, 5_000, 10_000, 20_000, 50_000], "days": [0, 50, 100, 200, 300],
        "replicates": 9_999,
    }
}  # fmt: skip
MINE, THEIRS = "330101", "330102"


def store(bench: Bench, asked: dict[str, Any], identity: Identity = LOCAL, **more: Any) -> int:
    """Store a question as the web does; before the first test with `desk`, which would take it."""
    wanted = jobs.QUESTION.validate_python(asked)
    with transaction(bench.web) as connection:
        claim(connection, identity.prefixes, role=identity.role, account=identity.account)
        return jobs.create(connection, identity, wanted, JobSettings(**more)).id


def process(bench: Bench, job: int) -> subprocess.Popen[bytes]:
    """Start a job's process, as another server would."""
    return subprocess.Popen(
        [sys.executable, "-m", "app.services.job_process", str(job)],
        cwd=PROJECT,
        env={
            **os.environ,
            "WUSETU_DATABASE_URL": bench.url,
            "WUSETU_DATA_DIR": str(bench.data_dir),
        },
    )


def state(bench: Bench, job: int) -> tuple[str, str | None]:
    with bench.engine.connect() as connection:
        row = connection.execute(
            sa.text("select state, error_code from analysis_job where id = :job"), {"job": job}
        ).one()
    return row.state, row.error_code


def bury(bench: Bench) -> list[int]:
    with transaction(bench.engine) as connection:
        return jobs.bury(connection)


def test_a_process_of_another_server_sees_that_its_job_is_not_wanted(bench: Bench) -> None:
    job = store(bench, question("knox", **LONG))
    child = process(bench, job)
    until(lambda: state(bench, job)[0] == "running", 300)
    with transaction(bench.web) as connection:
        claim(connection, None, role="admin")
        assert jobs.end(connection, LOCAL, job).state == "cancelled"
    assert child.wait(300) == job_process.UNWANTED
    assert state(bench, job) == ("cancelled", None)


def test_a_killed_process_is_an_interrupted_job(bench: Bench) -> None:
    job = store(bench, question("knox", **LONG))
    child = process(bench, job)
    until(lambda: state(bench, job)[0] == "running", 300)
    assert bury(bench) == []  # it holds its lock
    # nobody else takes up what is taken
    assert job_process.work_on(bench.settings(), bench.url, job) == job_process.DONE
    child.send_signal(signal.SIGKILL)
    child.wait(60)
    until(lambda: bury(bench) == [job], 60)
    assert state(bench, job) == ("failed", "interrupted")
    with bench.engine.connect() as connection:
        kept = jobs.read(connection, LOCAL, job)
    assert kept.error is not None
    assert kept.error.code == "interrupted"
    # asked again from what is stored, with less to do
    again = kept.question.model_copy(update={"parameters": kept.question.parameters.model_copy(
        update={"replicates": 19})})  # fmt: skip
    other = store(bench, again.model_dump(mode="json"))
    assert job_process.work_on(bench.settings(), bench.url, other) == job_process.DONE
    assert state(bench, other) == ("done", None)


def test_a_stopped_server_leaves_interrupted_jobs(bench: Bench) -> None:
    with TestClient(create_app(bench.settings())) as client:
        job = client.post("/api/jobs", json=question("knox", **LONG)).json()["id"]
        until(lambda: state(bench, job)[0] == "running", 300)
    assert state(bench, job) == ("failed", "interrupted")


def test_a_job_that_takes_too_long_is_ended(bench: Bench) -> None:
    job = store(bench, question("knox", **LONG))
    child = subprocess.Popen(
        [sys.executable, "-m", "app.services.job_process", str(job)],
        cwd=PROJECT,
        env={
            **os.environ, "WUSETU_DATABASE_URL": bench.url, "WUSETU_DATA_DIR": str(bench.data_dir),
            "WUSETU_JOBS_LONGEST_SECONDS": "1",
        },
    )  # fmt: skip
    assert child.wait(300) == job_process.UNWANTED
    assert state(bench, job) == ("failed", "too_long")


def test_what_makes_no_sense_fails_with_its_reason(bench: Bench) -> None:
    job = store(bench, question("gi", parameters={"res": 11}))
    assert job_process.work_on(bench.settings(), bench.url, job) == job_process.FAILED
    assert state(bench, job) == ("failed", "invalid")
    with bench.engine.connect() as connection:
        problem = jobs.read(connection, LOCAL, job).error
    assert problem is not None
    assert "at most 60,000" in problem.message


def test_turns_are_dealt_to_accounts(bench: Bench) -> None:
    """Few at once, fewer of one account, in the order asked."""
    with transaction(bench.engine) as connection:
        connection.execute(sa.text("delete from analysis_job"))
        one, two = (
            accounts.create(connection, name, Role.analyst, kind="desk", prefixes=None).id
            for name in ("turn-one", "turn-two")
        )
    people = {
        number: Identity(number, "", Role.analyst, None, (), None, "session")
        for number in (one, two)
    }
    first = [store(bench, question("gi"), people[one], waiting=3) for _ in range(3)]
    with pytest.raises(TooMany):
        store(bench, question("gi"), people[one], waiting=3)
    second = [store(bench, question("gi"), people[two], waiting=3) for _ in range(2)]

    def claimed(**settings: int) -> int | None:
        with transaction(bench.engine) as connection:
            return jobs.claim_next(connection, JobSettings(**settings))

    limits = {"at_once": 3, "per_account": 2}
    assert claimed(at_once=3, per_account=1) == first[0]
    assert claimed(at_once=3, per_account=1) == second[0]
    assert claimed(at_once=2, per_account=2) is None
    assert claimed(at_once=3, per_account=1) is None
    assert claimed(**limits) == first[1]
    assert claimed(at_once=4, per_account=2) == second[1]
    assert claimed(at_once=9, per_account=2) is None
    # one that never started is dealt again
    bench.run("update analysis_job set claimed_until = now() where id = :job", job=first[0])
    assert claimed(at_once=9, per_account=2) == first[0]
    bench.run("delete from analysis_job")


def test_jobs_belong_to_who_asked(bench: Bench) -> None:
    with transaction(bench.engine) as connection:
        made = {
            (role, prefix): accounts.create(
                connection, f"own-{role}-{prefix or 'all'}", Role(role), kind="desk",
                prefixes=None if prefix is None else [prefix],
            ).id
            for role, prefix in (
                ("analyst", MINE), ("analyst", THEIRS), ("analyst", None), ("admin", MINE), ("admin", None),
            )
        }  # fmt: skip
    people = {
        key: Identity(
            number, "", Role(key[0]), None if key[1] is None else (key[1],), (), None, "session"
        )
        for key, number in made.items()
    }
    stored = {key: store(bench, question("gi"), one) for key, one in people.items()}
    for job in stored.values():
        bench.run(
            "insert into analysis_result (job_id, name, body) values (:job, 'json', '{}')", job=job
        )
    sees = {
        ("analyst", MINE): {("analyst", MINE)},
        ("analyst", THEIRS): {("analyst", THEIRS)},
        ("analyst", None): {("analyst", None)},
        ("admin", MINE): {("analyst", MINE), ("admin", MINE)},
        ("admin", None): set(people),
    }
    for key, one in people.items():
        with transaction(bench.web) as connection:
            claim(connection, one.prefixes, role=one.role, account=one.account)
            seen = {job.id for job in jobs.listed(connection, one)}
            assert seen >= {stored[other] for other in sees[key]}, key
            assert not seen & {stored[other] for other in set(people) - sees[key]}, key
            results = sa.text("select job_id from analysis_result where job_id = any(:jobs)")
            given = {"jobs": list(stored.values())}
            assert set(connection.scalars(results, given)) == {stored[other] for other in sees[key]}
            for other in set(people) - sees[key]:
                with pytest.raises(NotFound, match="no job"):
                    jobs.read(connection, one, stored[other])
                with pytest.raises(NotFound, match="no job"):
                    jobs.end(connection, one, stored[other])
    # a jurisdiction that was taken away takes its jobs along
    one = people["analyst", MINE]
    with transaction(bench.web) as connection:
        claim(connection, (THEIRS,), role=one.role, account=one.account)
        assert stored["analyst", MINE] not in {job.id for job in jobs.listed(connection, one)}
    # nobody asks in another's name, or for more than his own
    for account, prefixes in ((made["analyst", THEIRS], [MINE]), (made["analyst", MINE], None)):
        forged = sa.text(
            "insert into analysis_job (type, pack, question, account_id, prefixes, expires_at) "
            "values ('gi', 'small', '{}', :account, :prefixes, now())"
        ).bindparams(account=account, prefixes=prefixes)
        with bench.web.connect() as connection, connection.begin():
            claim(connection, (MINE,), role="analyst", account=made["analyst", MINE])
            with pytest.raises(sa.exc.DBAPIError, match="row-level security"):
                connection.execute(forged)
    bench.run("delete from analysis_job")


def test_jobs_go_when_their_time_has_come(bench: Bench) -> None:
    job = store(bench, question("gi"))
    assert bench.value(
        "select expires_at between now() + interval '29 days' and now() + interval '31 days' "
        "from analysis_job where id = :job",
        job=job,
    )
    bench.run("update analysis_job set expires_at = now() where id = :job", job=job)
    with transaction(bench.engine) as connection:
        with pytest.raises(NotFound):
            jobs.read(connection, LOCAL, job)
        assert jobs.forget_old(connection) == 1
    assert bench.value("select count(*) from analysis_job where id = :job", job=job) == 0


# From here on a server takes up what waits: tests that store jobs of their own stand before it.


def test_a_job_is_done_in_a_process_of_its_own(
    bench: Bench, desk: TestClient, ended: Ended
) -> None:
    made = desk.post("/api/jobs", json=question("gi"))
    assert made.status_code == 202, made.text
    job = made.json()["id"]
    assert made.headers["location"] == f"/api/jobs/{job}"
    assert made.json()["state"] == "queued"
    about = ended(desk, job)
    assert about["state"] == "done", about
    assert about["progress"] == 1
    assert about["step"] == ""
    assert about["mine"]
    assert about["error"] is None
    assert about["created_at"] <= about["started_at"] <= about["ended_at"] < about["expires_at"]
    answer = desk.get(f"/api/jobs/{job}/result")
    assert answer.status_code == 200
    body = answer.json()
    assert body["events"] == about["rows"] > 4000
    assert body["method"] == about["method"]
    # another process, the stored question: the same bytes
    again = bench.compute(about["question"]).result.model_dump_json().encode()
    assert again == answer.content
    assert [one["id"] for one in desk.get("/api/jobs?pack=small&limit=1").json()] == [job]
    assert desk.get("/api/jobs?pack=other").json() == []
    entries = bench.value(
        "select array_agg(row_count order by id) from audit_entry where question @> "
        "cast(:job as jsonb)",
        job=f'{{"job": {job}}}',
    )
    assert entries == [body["events"]]
    # what has ended is removed
    assert desk.delete(f"/api/jobs/{job}").json()["state"] == "done"
    assert desk.get(f"/api/jobs/{job}").status_code == 404
    assert bench.value("select count(*) from analysis_result where job_id = :job", job=job) == 0


def test_a_running_job_is_cancelled(bench: Bench, desk: TestClient, ended: Ended) -> None:
    """Its process goes at once; what waits behind it is taken up."""
    job = desk.post("/api/jobs", json=question("knox", **LONG)).json()["id"]
    behind = desk.post("/api/jobs", json=question("density")).json()["id"]
    runner = desk.app.state.runner  # type: ignore[attr-defined]

    def computing() -> bool:
        found = desk.get(f"/api/jobs/{job}").json()
        assert found["state"] in {"queued", "running"}, found
        return bool(found["progress"] > 0.1)

    until(computing, 300)
    assert desk.get(f"/api/jobs/{job}/result").status_code == 404
    assert desk.get(f"/api/jobs/{behind}").json()["state"] == "queued"  # one at a time
    child = runner._children[job]
    left = desk.delete(f"/api/jobs/{job}")
    assert left.json()["state"] == "cancelled"
    assert child.wait(300) != 0
    assert ended(desk, behind)["state"] == "done"
    assert desk.get(f"/api/jobs/{job}").json()["state"] == "cancelled"
    assert bench.value("select count(*) from analysis_result where job_id = :job", job=job) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "other"}, {"seed": -1}, {"parameters": {"res": 99}}, {"parameters": {"size": 1}},
        {"pack": "../x"}, {"kinds": []}, {"start": "yesterday"}, {"area": {"units": []}},
        {"start": "2025-01-01", "end": "2024-01-01"}, {"start": "2024-01-01", "end": "2024-01-01"},
    ],
)  # fmt: skip
def test_malformed_questions_are_refused_at_once(desk: TestClient, wrong: dict[str, Any]) -> None:
    answer = desk.post("/api/jobs", json={**question("gi"), **wrong})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("member", ['"\\u0000"', '"\\ud800"', '{"a":' * 900 + "1" + "}" * 900])
def test_what_cannot_be_kept_is_refused(desk: TestClient, member: str) -> None:
    ring = "[[[119,29],[120,29],[120,30],[119,29]]]"
    area = f'{{"geojson":{{"type":"Polygon","coordinates":{ring},"x":{member}}}}}'
    asked = json.dumps({**question("gi"), "area": "here"}).replace('"here"', area)
    kind = {"Content-Type": "application/json"}
    assert desk.post("/api/jobs", content=asked, headers=kind).status_code == 422
    wrong = {**question("gi"), "kinds": ["\0"]}
    assert desk.post("/api/jobs", json=wrong).status_code == 422


@pytest.mark.parametrize("type_", ["gi", "scan", "knox", "emerging", "density", "forecast"])
def test_a_neighbours_events_change_nothing(bench: Bench, type_: str, tmp_path: Path) -> None:
    """Nor do its exposures, in any part of a jurisdiction's result."""
    asked = question(type_)
    mine = (MINE,)
    before = bench.compute(asked, mine)
    everything = bench.compute(asked)
    assert 0 < before.result.events < everything.result.events
    bench.run(
        "insert into event (source_id, reference, kind, occurred_at, located_by, "
        "boundary_version_id, unit_id, geom) select (select min(id) from event_source), "
        ":type || id || '-' || n, 'theft', timestamptz '2024-06-01 12:00Z', 'point', "
        "boundary_version_id, id, label_point from unit, generate_series(1, 5) n "
        "where code like :their and level = 'grid'",
        type=type_, their=THEIRS + "%",
    )  # fmt: skip
    bench.run(
        "update run_unit set exposures = array(select 3 * e from unnest(exposures) e) "
        "where code like :their",
        their=THEIRS + "%",
    )
    after = bench.compute(asked, mine)
    assert after.result.model_dump_json() == before.result.model_dump_json()
    assert after.tif == before.tif
    assert after.png == before.png
    assert bench.compute(asked).result.events > everything.result.events
