"""A full disk beside a running server; the house of `test_faults`."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from app.database import make_engine

from .conftest import until
from .test_faults import STALE, House, house, same

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
