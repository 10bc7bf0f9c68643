"""Fixtures: a real server, one migrated template, a clone of it per test.

The server is a private cluster of the tests' own, one per pytest worker, on an address no one else
uses; with `WUSETU_DATABASE_URL` it is that server, and the databases made there are dropped again.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
import sqlalchemy as sa

from app import settings
from app.cluster import Cluster
from app.database import make_engine, migrate
from app.errors import ClusterError

# The same examples at every run: a failure is the change's, not the day's.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None)
hypothesis.settings.load_profile("steady")
# A shell that starts the tests in the background ignores Ctrl-C for all of them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

# No test may reach the user's own data: neither their server's database nor their data folder.
GIVEN_URL = os.environ.pop("WUSETU_DATABASE_URL", None)
_MEMORY = Path("/dev/shm")


def _folder() -> Path:
    """Folder of this process alone; in memory where there is plenty.

    Every database made is a thousand files: on a disk that is busy that takes five times as long.
    """
    for old in _MEMORY.glob("wusetu-test-*-*"):  # of a run that was killed: memory is dear
        process = old.name.split("-")[2]
        with contextlib.suppress(OSError):
            long_ago = time.time() - old.stat().st_mtime > 6 * 3600
            if long_ago and not Path("/proc", process).exists():
                shutil.rmtree(old, ignore_errors=True)
    with contextlib.suppress(OSError):
        if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > 8 << 30:
            return Path(tempfile.mkdtemp(prefix=f"wusetu-test-{os.getpid()}-", dir=_MEMORY))
    return Path(tempfile.mkdtemp(prefix="wusetu-test-"))


_DATA_DIR = _folder()
_DATA_DIR.chmod(0o755)  # the cluster's user must get through
if (_deb := settings.load().data_dir / "deb").is_dir():
    (_DATA_DIR / "deb").symlink_to(_deb.resolve())  # programs unpacked without root
os.environ["WUSETU_DATA_DIR"] = str(_DATA_DIR)
# A test that wants a new snapshot makes it; one that comes by itself half-way is another answer.
os.environ["WUSETU_CUBE_CHECK_SECONDS"] = "0"
os.environ["WUSETU_SERVER_NAMES"] = "testserver,map.example"  # hosts the tests say


@atexit.register
def _leave_nothing() -> None:
    with contextlib.suppress(ClusterError):
        one = Cluster(_DATA_DIR)
        one.stop()
        if one.moved:
            shutil.rmtree(one.home, ignore_errors=True)
    shutil.rmtree(_DATA_DIR, ignore_errors=True)


class GivenServer:
    """The server of `WUSETU_DATABASE_URL`, in the words of `Cluster`."""

    def __init__(self, url: str) -> None:
        self._url = sa.make_url(url).set(drivername="postgresql+psycopg2")

    def url(self, database: str = "postgres") -> str:
        """URL of another database of the same server."""
        return self._url.set(database=database).render_as_string(hide_password=False)


#: Files (or folders) whose tests take longest: workers begin with them, so that none is left at the
#: end with a long file and nobody beside it.
LONG_FIRST = (
    "tests/e2e/test_border.py",
    "tests/fuzz/test_openapi_fuzz.py",
    "tests/docs/test_tutorial.py",
    "tests/app/test_sample.py",
    "tests/app/test_door_walk.py",
    "tests/e2e/",
    "tests/app/test_faults.py",
    "tests/machine/",
    "tests/geo/test_pooled.py",
    "tests/fuzz/",
    "tests/test_real_data.py",
    "tests/docs/",
    "tests/app/ogc/",
    "tests/tiles/",
    "tests/app/feeds/",
    "tests/test_benchmarks.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, each file in its own order."""

    def turn(item: pytest.Item) -> int:
        found = (n for n, start in enumerate(LONG_FIRST) if item.nodeid.startswith(start))
        return next(found, len(LONG_FIRST))

    items.sort(key=turn)


def pytest_collection_finish() -> None:
    """Look for garbage among what tests make, seldom, and never among what is loaded by now.

    All modules and thousands of tests stay to the end; walking them again and again was a sixth of
    the time of the tests of the web.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


#: Files (or folders) that measure the coverage of `geo`, the only one the suite asks for. Watching
#: every line doubles the time of what runs beside: the other tests run unwatched.
MEASURED = (
    "tests/geo/",
    "tests/app/test_analysis.py",
    "tests/app/test_raster_exposures.py",
    "tests/app/test_small_numbers.py",
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Watch the lines of the tests that measure, with their fixtures, and of no others."""
    coverage = item.config.pluginmanager.getplugin("_cov")
    watch = getattr(coverage, "cov_controller", None)
    if watch is not None and watch.started is not (wanted := item.nodeid.startswith(MEASURED)):
        watch.resume() if wanted else watch.pause()
    return (yield)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster | GivenServer]:
    """The server of the tests."""
    if GIVEN_URL:
        yield GivenServer(GIVEN_URL)
        return
    # Nothing here has to outlive a power cut; the log is kept short, perhaps in memory.
    options = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "512MB"}
    one = Cluster(_DATA_DIR, options=options)
    one.start()
    yield one
    one.stop()


def _admin(cluster: Cluster | GivenServer, *statements: str) -> None:
    engine = sa.create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.fixture(scope="session")
def template(cluster: Cluster | GivenServer) -> Iterator[str]:
    """Name of a database with the whole schema and no rows."""
    name = f"wusetu_template_{uuid.uuid4().hex[:12]}"
    _admin(cluster, f"create database {name}")
    migrate(cluster.url(name))
    yield name
    _admin(cluster, f"drop database {name} with (force)")


@pytest.fixture
def db_url(cluster: Cluster | GivenServer, template: str) -> Iterator[str]:
    """URL of an empty database of this test alone."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    # copied as files, not through the log: a tenth of the time
    _admin(cluster, f"create database {name} template {template} strategy file_copy")
    yield cluster.url(name)
    _admin(cluster, f"drop database {name} with (force)")


@pytest.fixture
def engine(db_url: str) -> Iterator[sa.Engine]:
    """Engine on this test's database."""
    one = make_engine(db_url)
    yield one
    one.dispose()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The real data; tests that need it are skipped where it is not beside the project."""
    if not SHARED.exists():
        pytest.skip("the real data is not beside the project")
    return SHARED


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser for `playwright`'s `executable_path`; skips where there is none."""
    names = (os.environ.get("WUSETU_CHROMIUM"), "chromium", "google-chrome-stable", "google-chrome")
    for name in filter(None, names):
        if found := shutil.which(name):
            return found
    pytest.skip("no Chromium here: `make test` installs one where the distribution has it")
