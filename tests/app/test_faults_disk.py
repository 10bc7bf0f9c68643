"""A full disk and a jumping clock beside a running server; the house of `test_faults`."""

from __future__ import annotations

import contextlib
import glob
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app.database import make_engine, transaction
from app.security.identity import Role
from app.services import accounts, accounts_tokens

from .conftest import until
from .test_faults import STALE, House, Server, healed, house, same

__all__ = ["house"]  # the fixture
pytestmark = pytest.mark.machine

QUESTION = {"area": {"unit": "330101"}, "start": "2023-01-01", "end": "2025-01-01"}
COUNT = "/api/packs/small/areas/count"


@pytest.fixture
def small_disk(house: House) -> Iterator[Path]:
    """A file system of 4 MB that belongs to the cluster's user."""
    folder = Path(tempfile.mkdtemp(prefix="wusetu-disk-"))
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0755", "tmpfs", str(folder)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        folder.rmdir()
        pytest.skip(f"no small file system can be mounted: {done.stderr.strip()}")
    space = folder / "space"
    space.mkdir()
    house.cluster._own(space)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()


def entries(house: House) -> int:
    """Answered questions about areas in the audit."""
    engine = make_engine(house.url)
    with engine.connect() as connection:
        found = connection.scalar(
            sa.text(
                "select count(*) from audit_entry where action = 'ask_area' "
                "and outcome = 'answered'"
            )
        )
    engine.dispose()
    return int(found or 0)


def owner(house: House, statement: str) -> None:
    engine = make_engine(house.url)
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def test_the_disk_of_the_database_is_full(house: House, small_disk: Path) -> None:
    """No entry, no answer; what was answered is written; the map goes on; mended by room alone."""
    server = house.serve()
    before = house.view(server)
    assert server.client.post(COUNT, json=QUESTION).status_code == 200
    said = entries(house)
    house.ask(f"create tablespace small location '{small_disk / 'space'}'")
    try:
        owner(house, "alter table audit_entry set tablespace small")
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:  # to the last byte
                file.write(b"x" * 4096)
        answered = 0
        refused: list[httpx.Response] = []

        def full() -> bool:
            nonlocal answered
            answer = server.client.post(COUNT, json=QUESTION)
            answered += answer.status_code == 200
            if answer.status_code != 200:
                refused.append(answer)
            return bool(refused)

        until(full)  # what is left of the last page is used up first
        assert refused[0].status_code == 503
        assert refused[0].json()["code"] == "unavailable"
        assert "total" not in refused[0].text
        assert entries(house) == said + answered
        # the map asks for no entry
        after = house.view(server)
        same(before, after)
        assert all(STALE not in one.headers for one in after.values())
        assert server.get(house.unasked).is_success
        assert server.get("/api/health/ready").is_success
        ballast.unlink()
        until(lambda: server.client.post(COUNT, json=QUESTION).status_code == 200)
        assert entries(house) == said + answered + 1
    finally:
        owner(house, "alter table audit_entry set tablespace pg_default")
        house.ask("drop tablespace small")
    assert server.end() == 0


def faketime() -> str | None:
    """The library that lies about the time, where this machine has it."""
    places = ["/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1"]
    given = os.environ.get("WUSETU_FAKETIME")
    return given or next((found for one in places for found in glob.glob(one)), None)


@pytest.fixture
def library() -> str:
    found = faketime()
    if found is None:
        pytest.skip("no libfaketime on this machine (apt install libfaketime, or WUSETU_FAKETIME)")
    return found


class Clock:
    """The wall clock of a server; the monotonic clock goes on as ever."""

    def __init__(self, library: str, note: Path) -> None:
        self.note = note
        self.set("+0")
        self.environment = {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(note),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }

    def set(self, jump: str) -> None:
        fresh = self.note.with_suffix(".fresh")
        fresh.write_text(jump)
        fresh.replace(self.note)


def test_the_clock_jumps(house: House, library: str, tmp_path: Path) -> None:
    """Sessions, tokens, rates and kept answers neither end, nor last, nor wait because of it."""
    engine = make_engine(house.url)
    with transaction(engine) as connection:
        connection.execute(sa.text("delete from account"))
        made = accounts.create(connection, "desk", Role.analyst, prefixes=None)
        link = accounts.new_link(connection, made.id, 1)
        _, token = accounts_tokens.create(
            connection, account=made.id, title="one", scopes=["see_map"], days=1, longest=1
        )
    engine.dispose()
    clock = Clock(library, tmp_path / "clock")
    server = house.serve(WUSETU_ACCESS="accounts", **clock.environment)
    origin = {"Origin": server.said[-1].rstrip("/")}
    secret = {"link": link.secret, "password": "correct horse battery"}
    opened = server.client.post("/api/session/link", json=secret, headers=origin)
    assert opened.status_code == 204, opened.text
    program = httpx.Client(
        base_url=server.said[-1], timeout=120, headers={"Authorization": f"Bearer {token}"}
    )
    before = house.view(server)
    shown: Any = server.client.get("/api/session").json()
    csrf = {"X-CSRF-Token": shown["csrf"]}
    for jump in ("+400d", "-400d", "+0"):
        clock.set(jump)
        same(before, house.view(server))
        assert program.get("/api/manifest").is_success
        assert server.client.get("/api/session").is_success
        # rates: more than one second's worth of questions at once, and none is told to wait a year
        answers = [server.client.post(COUNT, json=QUESTION, headers=csrf) for _ in range(8)]
        assert {one.status_code for one in answers} == {200}
        # nothing was kept because of the clock: a revoked session is out at once
    closed = make_engine(house.url)
    with transaction(closed) as connection:
        connection.execute(sa.text("update account set disabled_at = now() where name = 'desk'"))
    closed.dispose()
    until(lambda: server.client.get("/api/session").status_code == 401)
    until(lambda: program.get("/api/manifest").status_code == 401)
    program.close()
    assert server.end() == 0
    assert healed_after(house)


def healed_after(house: House) -> bool:
    """Whether a server of the ordinary clock finds all as it was."""
    server: Server = house.serve()
    until(server.heard)
    good = healed(house, server)
    assert server.end() == 0
    return good
