"""The audit on a real database: what is written down, that it stays, who reads it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from fastapi.testclient import TestClient

from app.database import make_engine, make_web_engine, transaction
from app.errors import Invalid
from app.main import create_app
from app.security.identity import MAY, Role
from app.services import accounts, accounts_tokens, audit
from app.services.assess import assess
from app.settings import AuditSettings, DatabaseSettings, Settings

from ..conftest import install, until

MINE, THEIRS = "330101", "330102"
COUNT = "/api/packs/small/areas/count"
BOX = "POLYGON((119.1 29.1, 120.9 29.1, 120.9 29.9, 119.1 29.9, 119.1 29.1))"
QUESTION = {"area": {"wkt": BOX}, "start": "2022-01-01", "end": "2026-01-01"}


@pytest.fixture(scope="module")
def mapped(cluster: Any, template: str) -> Iterator[tuple[str, int, Callable[..., None]]]:
    """Name of a database with the small map and one run, to be cloned; never connected to."""
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    name = f"m_{uuid.uuid4().hex[:12]}"

    def do(*statements: str) -> None:
        with admin.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    do(f"create database {name} template {template} strategy file_copy")
    engine = make_engine(cluster.url(name))
    install(engine)
    run = assess(engine, "small", "nine-kinds", zone="Asia/Shanghai", look=False)
    engine.dispose()
    yield name, run, do
    do(f"drop database {name} with (force)")
    admin.dispose()


@dataclass
class Office:
    """A map with accounts whose questions are written down."""

    url: str
    engine: sa.Engine
    run: int

    @contextmanager
    def app(self, **more: Any) -> Iterator[TestClient]:
        """The application."""
        settings = Settings(
            access="accounts",
            database=DatabaseSettings(url=self.url, pool_size=3),
            audit=AuditSettings(**{"seal_seconds": 3600.0, **more}),
        )
        with TestClient(create_app(settings), follow_redirects=False) as client:
            yield client

    def token(self, role: str, prefix: str | None = None) -> dict[str, str]:
        """Headers of a program of a new account."""
        with transaction(self.engine) as connection:
            made = accounts.create(
                connection,
                f"{role}-{uuid.uuid4().hex[:6]}".replace("_", "-"),
                Role(role),
                kind="program",
                prefixes=None if prefix is None else [prefix],
            )
            _, secret = accounts_tokens.create(
                connection,
                account=made.id,
                title="program",
                scopes=sorted(MAY[Role(role)]),
                days=1,
                longest=1,
            )
        return {"Authorization": f"Bearer {secret}"}

    def entries(self, action: str = "%") -> list[Any]:
        """What was written down, oldest first."""
        return self.sql(
            "select * from audit_entry where action like :action order by id", action=action
        )

    def sql(self, text: str, **values: Any) -> list[Any]:
        """Ask as the owner."""
        with self.engine.begin() as connection:
            found = connection.execute(sa.text(text), values)
            return list(found) if found.returns_rows else []

    def tamper(self, *statements: str) -> None:
        """Do what only an owner who takes the triggers away can do."""
        with self.engine.begin() as connection:
            for table in ("audit_entry", "audit_chain", "account_event"):
                connection.exec_driver_sql(f"alter table {table} disable trigger user")
            for statement in statements:
                connection.exec_driver_sql(statement)

    def broken(self, *statements: str) -> str:
        """Say what `verify` finds after statements that are taken back."""
        with self.engine.connect() as connection, connection.begin() as taken_back:
            for table in ("audit_entry", "audit_chain", "account_event"):
                connection.exec_driver_sql(f"alter table {table} disable trigger user")
            for statement in statements:
                connection.exec_driver_sql(statement)
            found = audit.verify(connection).broken
            taken_back.rollback()
        return str(found)

    def verify(self, expected: tuple[int, bytes] | None = None) -> audit.Verified:
        """Check the chain after everything is in it."""
        while audit.seal(self.engine):
            pass
        with self.engine.connect() as connection:
            return audit.verify(connection, expected)


@pytest.fixture
def office(cluster: Any, mapped: tuple[str, int, Callable[..., None]]) -> Iterator[Office]:
    source, run, do = mapped
    name = f"o_{uuid.uuid4().hex[:12]}"
    do(f"create database {name} template {source} strategy file_copy")
    engine = make_engine(cluster.url(name))
    yield Office(cluster.url(name), engine, run)
    engine.dispose()
    do(f"drop database {name} with (force)")


# what is written down ----------------------------------------------------------------------------
def test_areas_and_exports_are_written_down_with_purpose_and_rows(office: Office) -> None:
    asker = office.token("analyst", MINE)
    with office.app() as client:
        purpose = {"X-Purpose": quote("巡逻安排 第3号"), "X-Request-ID": "asked-1"}
        mine = {**QUESTION, "area": {"unit": MINE}}
        counted = client.post(COUNT, headers=asker | purpose, json=mine)
        assert counted.status_code == 200
        assert client.post(COUNT, headers=asker, json=QUESTION).status_code == 200
        address = f"/api/runs/{office.run}/export.csv?level=grid&ord=3"
        table = client.get(address + "&purpose=planning", headers=asker)
        assert table.status_code == 200
        file = client.get(address.replace("csv", "gpkg"), headers=asker)
        assert file.status_code == 200
        for path in (f"/api/runs/{office.run}/summary?level=grid", "/api/manifest"):
            assert client.get(path, headers=asker).status_code == 200  # the map itself is not
    area, drawn, plain, package = [one for one in office.entries() if not one.account_event_id]
    assert (area.action, area.outcome, area.purpose) == ("ask_area", "answered", "巡逻安排 第3号")
    assert (area.request_id, area.pack, area.prefixes) == ("asked-1", "small", [MINE])
    assert drawn.question["area"] == {"wkt": BOX, "crs": "wgs84"}
    assert area.question["area"]["unit"] == MINE
    assert area.row_count == counted.json()["total"] > 0
    assert (area.account.partition("-")[0], area.role, area.how) == ("analyst", "analyst", "token")
    assert (plain.action, plain.purpose, plain.run) == ("export", "planning", office.run)
    rows = [
        row for row in csv.reader(io.StringIO(table.text.lstrip("\ufeff")))
        if row and not row[0].startswith("#")
    ]  # fmt: skip
    assert plain.row_count == len(rows) - 1 > 0
    assert package.question == {
        "format": "gpkg", "level": "grid", "kind": "overall", "period": "month", "ord": 3,
    }  # fmt: skip
    assert (package.row_count, package.purpose) == (plain.row_count, None)


def test_what_was_tried_is_written_down_too(office: Office) -> None:
    analyst, worker = office.token("analyst", MINE), office.token("grid_worker", MINE)
    with office.app() as client:
        theirs = {**QUESTION, "area": {"unit": THEIRS}}
        assert client.post(COUNT, headers=analyst, json=theirs).status_code == 404
        assert client.post(COUNT, headers=worker, json=QUESTION).status_code == 403
        bad = {**QUESTION, "area": {"wkt": "POLYGON EMPTY"}}
        assert client.post(COUNT, headers=analyst, json=bad).status_code == 422
        assert client.get("/api/accounts", headers=analyst).status_code == 403
    missed, refused, other = [one for one in office.entries() if not one.account_event_id]
    assert (missed.action, missed.outcome, missed.row_count) == ("ask_area", "not_found", None)
    assert missed.question["area"] == {"crs": "wgs84", "unit": THEIRS}
    assert (refused.action, refused.outcome, refused.role) == (
        "refused",
        "forbidden",
        "grid_worker",
    )
    assert refused.question == {"method": "POST", "path": COUNT}
    assert other.question["path"] == "/api/accounts"


def test_a_purpose_may_be_demanded_and_is_looked_at(office: Office) -> None:
    asker = office.token("analyst")
    with office.app(purpose="demanded") as client:
        missing = client.post(COUNT, headers=asker, json=QUESTION)
        assert missing.status_code == 422
        assert missing.json()["detail"] == {"field": "purpose", "reason": "missing"}
        assert client.post(COUNT + "?purpose=x", headers=asker, json=QUESTION).status_code == 200
        for given, reason in (("call 13800138000", "person"), ("a\x00b", "malformed")):
            bad = client.post(COUNT, headers=asker | {"X-Purpose": quote(given)}, json=QUESTION)
            assert bad.status_code == 422
            assert bad.json()["detail"]["reason"] == reason
            assert given not in bad.text
        for headers in ({"X-Purpose": "%FF"}, {"X-Purpose": "other"}):
            bad = client.post(COUNT + "?purpose=x", headers=asker | headers, json=QUESTION)
            assert bad.status_code == 422
    assert [one.purpose for one in office.entries("ask_area")] == ["x"]
    with pytest.raises(Invalid):
        audit.checked_purpose("x" * 201)


def test_a_character_postgresql_does_not_store_is_replaced() -> None:
    text = audit.bounded({"area": {"unit": "33\x00"}, "end": "2024"})
    assert json.loads(text) == {"area": {"unit": "33\ufffd"}, "end": "2024"}


def test_what_no_json_holds_is_written_as_text_or_refused(office: Office) -> None:
    asker = office.token("analyst")
    shape = '{"type":"Polygon","coordinates":[[[119,29],[120,29],[120,30],[119,29]]],"x":%s}'
    span = '"start":"2024-01-01","end":"2025-01-01"'
    with office.app() as client:
        for member, status in (
            ("NaN", 200),
            ("-1e999", 200),
            ('"\\ud800"', 422),
            ('{"\\ud800":1}', 422),
            ("[" * 150 + "]" * 150, 200),
            ('{"a":' * 900 + "1" + "}" * 900, 422),
        ):
            body = f'{{"area":{{"geojson":{shape % member}}},{span}}}'
            sent = {**asker, "Content-Type": "application/json"}
            answer = client.post(COUNT, headers=sent, content=body)
            assert answer.status_code == status, (member[:20], answer.text)
    written = [one.question["area"]["geojson"]["x"] for one in office.entries("ask_area")]
    assert written[:2] == ["NaN", "-Infinity"]
    assert len(written) == 3


def test_a_large_area_is_kept_by_digest_and_bounds() -> None:
    ring = [[119 + n / 10_000, 29.0] for n in range(9_999)] + [[119.5, 30.25], [119.0, 29.0]]
    question = {"area": {"geojson": {"coordinates": [ring]}, "crs": "gcj02"}, "start": "2024-01-01"}
    small = audit.bounded(question)
    assert len(small) < 400
    assert '"bounds": [119.0, 29.0, 119.9998, 30.25]' in small
    assert '"crs": "gcj02"' in small
    assert '"start": "2024-01-01"' in small
    text = audit.bounded({"area": {"wkt": f"POLYGON(({','.join(['1 2', '3.5 4'] * 9_000)}))"}})
    assert '"bounds": [1.0, 2.0, 3.5, 4.0]' in text


def test_a_shape_of_very_many_corners_is_known_by_its_corners(office: Office) -> None:
    angle = np.linspace(0, 2 * np.pi, 6_000, endpoint=False)
    ring = np.column_stack([120 + np.cos(angle), 30 + np.sin(angle)])
    ring = np.vstack([ring, ring[:1]])
    corner = hashlib.sha256(
        ring[:, 0].astype("<f8").tobytes() + ring[:, 1].astype("<f8").tobytes()
        + bytes(len(ring) - 1) + bytes([1])
    ).hexdigest()  # fmt: skip
    asker = office.token("analyst")
    area = {"geojson": {"type": "Polygon", "coordinates": [ring.tolist()]}}
    with office.app() as client:
        for crs in ("wgs84", "EPSG:4490", "gcj02"):
            body = {**QUESTION, "area": {**area, "crs": crs}}
            assert client.post(COUNT, headers=asker, json=body).status_code == 200
    same, also, other = (one.question["area"] for one in office.entries("ask_area"))
    assert same == {
        "corners_sha256": corner, "corners": 6_001, "bounds": [119.0, 29.0, 121.0, 31.0], "crs": "wgs84",
    }  # fmt: skip
    assert also == same | {"crs": "EPSG:4490"}
    # corners that were converted are not those that were asked: the text decides
    assert set(other) == {"sha256", "characters", "crs", "bounds"}


def test_without_an_entry_there_is_no_answer(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    asker, auditor = office.token("analyst"), office.token("auditor")
    office.sql("revoke insert on audit_pending from wusetu_web")
    with office.app() as client, caplog.at_level(logging.DEBUG):
        export = f"/api/runs/{office.run}/export."
        for answer in (
            client.post(COUNT, headers=asker, json=QUESTION),
            client.get(export + "csv?level=grid", headers=asker),
            client.get(export + "gpkg?level=grid", headers=asker),
            client.get("/api/audit", headers=auditor),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert int(answer.headers["retry-after"]) > 0
            assert "119.1" not in answer.text
        # no instead of yes needs no witness, and the map is not a question about an area
        assert client.post(COUNT, headers=auditor, json=QUESTION).status_code == 403
        assert client.get("/api/manifest", headers=asker).status_code == 200
    assert "an entry was not taken" in caplog.text
    assert "119.1" not in caplog.text  # nor is what was asked in the log


def test_an_entry_survives_a_connection_the_server_closed(office: Office) -> None:
    asker = office.token("analyst")
    with office.app() as client:
        for _ in range(2):
            assert client.post(COUNT, headers=asker, json=QUESTION).status_code == 200
            office.sql(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name = 'wusetu audit' and datname = current_database()"
            )
    assert len(office.entries("ask_area")) == 2


# it stays ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("table", ["audit_entry", "audit_chain"])
@pytest.mark.parametrize(
    "change",
    ["update {} set {} = default", "delete from {}", "truncate {} cascade",
     "set session_replication_role = replica; delete from {}"],
)  # fmt: skip
def test_even_the_owner_cannot_change_it(office: Office, table: str, change: str) -> None:
    office.token("viewer")
    audit.seal(office.engine)
    column = {"audit_entry": "purpose", "audit_chain": "sealed_at"}[table]
    with pytest.raises(sa.exc.ProgrammingError, match="only added to"):
        office.sql(change.format(table, column))
    assert office.verify().broken is None


def test_the_web_only_adds(office: Office) -> None:
    office.token("viewer")
    web = make_web_engine(office.url)
    for statement in (
        "update audit_entry set action = 'x'", "delete from audit_entry", "truncate audit_entry",
        "insert into audit_entry (action, at) values ('ask_area', '2000-01-01')",
        "insert into audit_chain values (1, 1, sha256('x'))", "delete from audit_pending",
        "insert into audit_entry (action, account_event_id) values ('account.login', 99)",
    ):  # fmt: skip
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied"), web.begin() as one:
            one.exec_driver_sql(statement)
    with web.begin() as one:
        one.exec_driver_sql("insert into audit_entry (action) values ('ask_area')")
        assert one.exec_driver_sql("select count(*) from audit_entry").scalar_one() == 0
    web.dispose()
    assert len(office.entries("ask_area")) == 1


def test_the_chain_names_the_first_entry_that_changed(office: Office) -> None:
    asker = office.token("analyst")
    with office.app() as client:
        for _ in range(4):
            assert client.post(COUNT, headers=asker, json=QUESTION).status_code == 200
    sound = office.verify()
    assert (sound.broken, sound.pending) == (None, 0)
    assert sound.entries == len(office.entries())
    second, third = [one.id for one in office.entries("ask_area")][1:3]
    head = (sound.entries, sound.head)
    assert office.verify(head).broken is None
    for change in (
        "at = at + interval '1 microsecond'", "action = 'export'", "outcome = 'not_found'",
        "account_id = account_id + 1", "account = 'somebody'", "role = 'admin'", "how = 'session'",
        "prefixes = array['33']", "purpose = 'another'", "request_id = 'other'", "pack = 'other'",
        "run = 1", "question = question || '{\"start\": \"2021-01-01\"}'",
        "row_count = row_count + 1",
    ):  # fmt: skip
        said = office.broken(f"update audit_entry set {change} where id in ({second}, {third})")
        assert said.startswith(f"entry {second} "), change
    assert office.verify().broken is None
    office.tamper(
        f"delete from audit_chain where entry_id >= {third}",
        f"delete from audit_entry where id >= {third}",
    )
    assert office.verify().broken is None  # a shorter chain is a chain …
    assert "was noted" in str(office.verify(head).broken)  # … but not the one that was noted


def test_the_chain_notices_what_is_missing_or_beside_it(office: Office) -> None:
    for _ in range(3):
        office.token("viewer")
    sound = office.verify()
    assert sound.entries == len(office.entries()) == 6
    last = office.entries()[-1]

    broken = office.broken
    assert "place 3" in broken("delete from audit_chain where seq = 3")
    unchained = f"delete from audit_chain where entry_id = {last.id}"
    assert f"entry {last.id} has no place" in broken(unchained)
    assert "None" in broken(unchained, f"insert into audit_pending values ({last.id})")
    assert "account event" in broken("update account_event set detail = '{\"x\": 1}' where id = 1")
    assert "account event" in broken("delete from account_event where id = 1")
    assert "is not as it was" in broken("update audit_chain set digest = sha256('x') where seq = 2")
    assert office.verify().broken is None


def test_the_server_seals_by_itself_and_two_do_not_disturb_each_other(office: Office) -> None:
    asker = office.token("analyst")
    with office.app(seal_seconds=0.05) as one, office.app(seal_seconds=0.05) as two:
        for client in (one, two) * 4:
            assert client.post(COUNT, headers=asker, json=QUESTION).status_code == 200
        until(lambda: not office.sql("select from audit_pending"))
    found = office.verify()
    assert (found.broken, found.pending) == (None, 0)
    assert found.entries == len(office.entries())


def test_a_late_transaction_gets_its_place_later(office: Office) -> None:
    with office.engine.connect() as slow, slow.begin():
        slow.exec_driver_sql("insert into audit_entry (action) values ('late')")
        office.token("viewer")
        assert audit.seal(office.engine) == 2
    found = office.verify()
    assert (found.broken, found.entries) == (None, 3)
    order = [row.action for row in office.sql(
        "select action from audit_entry e join audit_chain c on c.entry_id = e.id order by seq"
    )]  # fmt: skip
    assert order[-1] == "late"


def test_the_command_checks_the_chain(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.cli import cli

    monkeypatch.setenv("WUSETU_DATABASE_URL", office.url)
    office.token("viewer")

    def run(*more: str) -> tuple[int, str]:
        result = CliRunner().invoke(cli, ["audit", "verify", *more])
        return result.exit_code, result.output

    code, said = run()
    assert code == 0
    head = said.rpartition(": ")[2].strip()
    assert head.startswith("2:")
    assert run("--expect", head)[0] == 0
    assert run("--expect", "2:" + "0" * 64)[0] == 1
    assert run("--expect", "9:" + "0" * 64)[0] == 1
    assert run("--expect", "x")[0] == 2
    office.tamper("update audit_entry set account = 'other' where id = 2")
    code, said = run()
    assert (code, "entry 2 " in said, "1 entries before it" in said) == (1, True, True)


# who reads it ------------------------------------------------------------------------------------
def test_only_auditors_read_it_and_only_their_own(office: Office) -> None:
    desks = {prefix: office.token("analyst", prefix) for prefix in (MINE, THEIRS, None)}
    whole, mine = office.token("auditor"), office.token("auditor", MINE)
    office.token("auditor", "330101001")
    with office.app() as client:
        for headers in desks.values():
            assert client.post(COUNT, headers=headers, json=QUESTION).status_code == 200
        for role in Role:
            if role is not Role.auditor:
                assert client.get("/api/audit", headers=office.token(role)).status_code == 403
        found = client.get("/api/audit?action=ask_area", headers=whole).json()
        assert {tuple(one["prefixes"] or ()) for one in found["entries"]} == {
            (MINE,),
            (THEIRS,),
            (),
        }
        own = client.get("/api/audit?limit=500", headers=mine)
        assert own.headers["cache-control"] == "no-store"
        entries = own.json()["entries"]
        assert {one["action"] for one in entries} == {
            "ask_area", "account.created", "account.token_made",
        }  # fmt: skip
        assert all(one["prefixes"] and one["prefixes"][0].startswith(MINE) for one in entries)
        assert THEIRS not in own.text
        refused = client.get("/api/audit?action=refused&limit=2", headers=whole).json()
        assert [one["outcome"] for one in refused["entries"]] == ["forbidden"] * 2
        page = client.get(
            f"/api/audit?action=refused&before={refused['next']}", headers=whole
        ).json()
        assert len(page["entries"]) == len(Role) - 3
        assert page["next"] is None
        account = found["entries"][0]["account"]
        its = client.get(f"/api/audit?account={account}", headers=whole).json()["entries"]
        assert {one["account"] for one in its} == {account}
        since = found["entries"][0]["at"]
        later = client.get("/api/audit", params={"since": since}, headers=whole).json()["entries"]
        assert min(one["at"] for one in later) == since
        sooner = client.get("/api/audit", params={"until": since}, headers=whole).json()["entries"]
        assert max(one["at"] for one in sooner) < since
    reads = office.entries("read_audit")
    assert len(reads) == 7  # to read it is an entry of its own
    assert reads[0].question == {"action": "ask_area"}
    assert reads[0].row_count == 3
