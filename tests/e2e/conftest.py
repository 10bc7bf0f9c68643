"""The real server on a real database with a small real map, and the system's Chromium."""

from __future__ import annotations

import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.database import make_engine
from app.settings import PROJECT, DatabaseSettings, Settings

sys.path.insert(0, str(Path(__file__).parent))  # the helper layers beside this file

from e2e_desk import Desk
from e2e_map import load
from e2e_page import ARGUMENTS, AXE, Watched, watched
from e2e_server import served
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = ["chromium", "google-chrome-stable", "google-chrome"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


def _chromium() -> str | None:
    given = os.environ.get("WUSETU_CHROMIUM")
    return given or next((path for name in CHROMIUM if (path := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's browser; nothing is downloaded.

    Of one file each: while it is open, a loop runs in this thread, and no other can.
    """
    program = _chromium()
    if program is None:
        pytest.skip("no Chromium on this machine (set WUSETU_CHROMIUM to its path)")
    if not (PROJECT / "frontend" / "dist" / "index.html").is_file() or not AXE.is_file():
        pytest.skip("the front end is not built (cd frontend; npm ci; npm run build)")
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield one
        one.close()


@pytest.fixture(scope="session")
def small_map(
    cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """Settings of a database that holds the small map, with its tiles."""
    name = f"e2e_{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name} template {template} strategy file_copy")
    folder = tmp_path_factory.mktemp("e2e")
    settings = Settings(data_dir=folder, database=DatabaseSettings(url=cluster.url(name)))
    engine = make_engine(cluster.url(name))
    load(engine, folder)
    engine.dispose()
    yield settings
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()


@pytest.fixture(scope="session")
def server(small_map: Settings) -> Iterator[str]:
    """Address of the real application."""
    with served(small_map) as address:
        yield address


@pytest.fixture(scope="module")
def site(browser: Browser, small_map: Settings) -> Iterator[str]:
    """Address of the same application with accounts."""
    with served(small_map.model_copy(update={"access": "accounts"})) as address:
        yield address


Opener = Callable[..., Watched]


@pytest.fixture
def visit(browser: Browser, server: str) -> Iterator[Opener]:
    """Open pages; afterwards no page may have asked another host or complained."""
    pages: list[Watched] = []
    with ExitStack() as stack:

        def opener(width: int = 1440, height: int = 900, **options: Any) -> Watched:
            one = stack.enter_context(watched(browser, server, width, height, **options))
            pages.append(one)
            return one

        yield opener
        for one in pages:
            assert one.hosts() <= {server.removeprefix("http://")}
            assert one.complaints == []


@pytest.fixture
def desk(visit: Opener) -> Desk:
    """The command view on a desk of 1440 × 900, not opened yet."""
    return Desk(visit())
