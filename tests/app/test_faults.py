"""What fails beside a running server, and what the map does meanwhile.

A private cluster of this file's own, the assessed small map with its tiles in it, and real server
processes. Each test breaks one thing, looks, mends it, and waits until all is as before.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
import sqlalchemy as sa

from app.cluster import Cluster
from app.database import make_engine, make_web_engine, migrate, transaction
from app.security.identity import Role
from app.security.secrets import digest
from app.services import accounts, accounts_login, accounts_tokens, tile_archives
from app.services.assess import assess
from app.settings import AccountSettings

from .conftest import LEVELS, Small, install, until

pytestmark = pytest.mark.machine
STALE = "x-wusetu-stale"
WUSETU = [sys.executable, "-c", "from app.cli import main; main()"]


class Server:
    """`wusetu serve` on the house's database."""

    before = ""

    def __init__(self, house: House, **more: str) -> None:
        environment = {
            **os.environ,
            "WUSETU_DATABASE_URL": house.url,
            "WUSETU_DATABASE_WEB_URL": make_web_engine(house.url).url.render_as_string(False),
            "WUSETU_DATA_DIR": str(house.folder),
            "WUSETU_LOG": "json",
            "PYTHONUNBUFFERED": "1",
            **more,
        }
        self.process = subprocess.Popen(
            [*WUSETU[:2], self.before + WUSETU[2], "serve", "--port", "0"], env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.said: list[str] = []
        self.log: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self.process.stdout, self.said), (self.process.stderr, self.log))
        ]
        for one in self._readers:
            one.start()
        until(lambda: self.process.poll() is not None or self._served(), 300)
        assert self._served(), self.log
        self.client = httpx.Client(base_url=self.said[-1], timeout=120)

    def _served(self) -> bool:
        return bool(self.said) and self.said[-1].startswith("http://")

    @staticmethod
    def _read(stream: Any, lines: list[str]) -> None:
        for line in stream:
            lines.append(line.strip())

    def end(self, number: int = signal.SIGTERM) -> int:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        code = self.process.wait(120)
        for one in self._readers:
            one.join(60)
        self.client.close()
        return code

    def get(self, address: str) -> httpx.Response:
        return self.client.get(address)

    def heard(self) -> bool:
        """Whether the server hears the database's announcements."""
        return "wusetu_database_heard 1.0" in self.get("/metrics").text

    def requests(self) -> list[dict[str, Any]]:
        found = [json.loads(one) for one in self.log]
        return [one for one in found if one["logger"] == "wusetu.access"]


@dataclass
class House:
    """A cluster, its assessed map, and the addresses a map view asks."""

    folder: Path
    cluster: Cluster
    url: str
    small: Small
    run: int
    tile: str
    other_tile: str
    servers: list[Server] = field(default_factory=list)
    fresh: Iterator[str] = field(
        default_factory=lambda: (
            f"{level}&ord={ord_}&kind={kind}"
            for level, ord_, kind in itertools.product(LEVELS, range(20), ("fire", "fraud"))
        )
    )

    @property
    def values(self) -> str:
        return f"/api/runs/{self.run}/values/grid/theft/month/5"

    @property
    def summary(self) -> str:
        return f"/api/runs/{self.run}/summary?level=grid&ord=21"

    @property
    def unasked(self) -> str:
        """An address nobody asked yet."""
        return f"/api/runs/{self.run}/summary?level={next(self.fresh)}"

    def serve(self, **more: str) -> Server:
        self.servers.append(Server(self, **more))
        return self.servers[-1]

    def view(self, server: Server) -> dict[str, httpx.Response]:
        """Everything the map view asks for."""
        return {
            one: server.get(one) for one in ("/api/manifest", self.values, self.summary, self.tile)
        }

    def ask(self, statement: str) -> Any:
        """One statement of the administrator."""
        admin = sa.create_engine(self.cluster.url("postgres"), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            found = connection.exec_driver_sql(statement)
            rows = found.all() if found.returns_rows else []
        admin.dispose()
        return rows

    def cut(self) -> None:
        """End every connection of the servers but not of the watch."""
        self.ask(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = 'wusetu' and application_name in ('wusetu', 'wusetu audit')"
        )


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    folder = Path(tempfile.mkdtemp(prefix="wusetu-faults-"))
    folder.chmod(0o755)
    if (deb := Path(os.environ["WUSETU_DATA_DIR"]) / "deb").exists():
        (folder / "deb").symlink_to(deb.resolve())
    cluster = Cluster(folder, options={"fsync": "off", "full_page_writes": "off"})
    cluster.start()
    cluster.create_database("wusetu")
    url = cluster.url("wusetu")
    migrate(url)
    engine = make_engine(url)
    small = install(engine)
    built = tile_archives.build(engine, small.version, folder / "archives")
    run = assess(engine, "small", "nine-kinds", zone="Asia/Shanghai")
    tiles = []
    with engine.connect() as connection:
        for level in ("city", "county"):
            low = connection.scalar(
                sa.text("select min_zoom from tile_archive where digest = :one"),
                {"one": built.archives[level]},
            )
            # 119.9° E, 29.6° N is inside of the map
            x, y = int((119.9 / 360 + 0.5) * 2**low), int(0.413_85 * 2**low)
            tiles.append(f"/tiles/{built.archives[level]}/{low}/{x}/{y}.mvt")
    engine.dispose()
    one = House(folder, cluster, url, small, run, *tiles)
    yield one
    for server in one.servers:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
    cluster.stop()
    if cluster.moved:
        shutil.rmtree(cluster.home, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def shared_server(house: House) -> Server:
    return house.serve(WUSETU_DATABASE_POOL_SIZE="3", WUSETU_DATABASE_STATEMENT_TIMEOUT_MS="2000")


@pytest.fixture
def server(house: House, shared_server: Server) -> Server:
    """One server that lives through all faults, with the map view in its memory."""
    until(lambda: shared_server.get("/api/health/ready").is_success and shared_server.heard())

    def kept() -> bool:
        house.view(shared_server)
        return all(STALE not in one.headers for one in house.view(shared_server).values())

    until(kept)
    return shared_server


def same(before: dict[str, httpx.Response], after: dict[str, httpx.Response]) -> None:
    for address, answer in before.items():
        assert after[address].status_code == answer.status_code in {200, 204}, address
        assert after[address].content == answer.content, address


def healed(house: House, server: Server) -> bool:
    return (
        server.get("/api/health/ready").is_success
        and server.heard()
        and all(STALE not in one.headers for one in house.view(server).values())
        and server.get(house.unasked).is_success
    )


def lost(server: Server) -> bool:
    return STALE in server.get("/api/manifest").headers


def test_the_tile_is_one(house: House, server: Server) -> None:
    assert server.get(house.tile).status_code == 200


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_postgresql_away(house: House, server: Server, how: str) -> None:
    before = house.view(server)
    if how == "stopped":
        house.cluster.stop()
    else:
        for pid in house.cluster._members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    until(lambda: lost(server))
    after = house.view(server)
    same(before, after)
    for address, answer in after.items():
        assert (STALE in answer.headers) is (address != house.tile), address
    since = datetime.fromisoformat(after["/api/manifest"].headers[STALE])
    assert since.tzinfo is not None
    assert after[house.summary].headers[STALE] == after["/api/manifest"].headers[STALE]
    refused = server.get(house.unasked)
    assert refused.status_code == 503
    assert refused.json()["code"] == "unavailable"
    assert server.get("/api/health/live").is_success
    until(lambda: server.get("/api/health/ready").status_code == 503)
    assert server.get("/api/health").status_code == 503
    assert server.get("/metrics").is_success
    house.cluster.start()
    until(lambda: healed(house, server))


def test_postgresql_restarted(house: House, server: Server) -> None:
    before = house.view(server)
    house.cluster.stop()
    house.cluster.start()
    until(lambda: healed(house, server))
    same(before, house.view(server))


def test_postgresql_slow(house: House, server: Server) -> None:
    """Statements run into the time limit; the line is heard all the while."""
    before = house.view(server)
    with contextlib.closing(house.cluster._connect("wusetu")) as blocker:
        blocker.cursor().execute(
            "lock table wusetu.assessment, wusetu.run in access exclusive mode"
        )
        answer = server.get(house.unasked)
        assert answer.status_code == 503
        assert "too long" in answer.json()["message"]
        after = house.view(server)
        same(before, after)
        assert STALE in after[house.summary].headers
        assert STALE not in after[house.values].headers, "it is kept, and the run is known to be"
        blocker.rollback()
    until(lambda: healed(house, server))


def test_postgresql_read_only(house: House, server: Server) -> None:
    before = house.view(server)
    house.ask("alter database wusetu set default_transaction_read_only = on")
    try:
        house.cut()
        same(before, house.view(server))
        assert server.get(house.unasked).is_success
    finally:
        house.ask("alter database wusetu reset default_transaction_read_only")
    house.cut()
    until(lambda: healed(house, server))


def test_out_of_connections(house: House, server: Server) -> None:
    before = house.view(server)
    house.ask("alter role wusetu_web connection limit 0")
    try:
        house.cut()
        refused = server.get(house.unasked)
        assert refused.status_code == 503
        after = house.view(server)
        same(before, after)
        assert STALE in after["/api/manifest"].headers
        assert server.get("/api/health").status_code == 503
    finally:
        house.ask("alter role wusetu_web connection limit -1")
    until(lambda: healed(house, server))


def test_a_pruned_run_is_never_given_from_memory(house: House, server: Server) -> None:
    engine = make_engine(house.url)
    run = assess(engine, "small", "nine-kinds", finest="county", zone="Asia/Shanghai")
    address = f"/api/runs/{run}/summary?level=county&ord=21"
    until(lambda: server.get("/api/manifest").json()["maps"][0]["run"] == run)
    assert server.get(address).is_success
    with engine.begin() as connection:
        connection.execute(sa.text("delete from run where id = :run"), {"run": run})
    engine.dispose()
    until(lambda: server.get(address).status_code == 404)
    house.view(server)
    house.cluster.stop()
    until(lambda: server.get("/api/health/ready").status_code == 503)
    assert server.get(address).status_code == 503
    house.cluster.start()
    until(lambda: healed(house, server))


def test_tiles_missing_and_damaged(house: House, server: Server) -> None:
    before = house.view(server)
    archive = house.folder / "archives" / f"{house.tile.split('/')[2]}.pmtiles"
    whole = archive.read_bytes()
    archive.unlink()
    # what is open stays open
    same(before, house.view(server))
    missing = server.get("/api/health")
    assert missing.status_code == 503
    assert [one["name"] for one in missing.json()["components"] if not one["ok"]] == ["archives"]
    archive.write_bytes(whole)
    assert server.get("/api/health").is_success
    # one nobody opened yet is missing, then damaged, then mended; the rest is served throughout
    archive = house.folder / "archives" / f"{house.other_tile.split('/')[2]}.pmtiles"
    whole = archive.read_bytes()
    archive.unlink()
    assert server.get(house.other_tile).status_code == 404
    archive.write_bytes(whole[:200])
    damaged = server.get(house.other_tile)
    assert (damaged.status_code, damaged.json()["code"]) == (503, "unavailable")
    assert server.get("/api/health").status_code == 503
    same(before, house.view(server))
    archive.write_bytes(whole)
    assert server.get(house.other_tile).status_code == 200
    assert server.get("/api/health").is_success


def test_log_lines_of_a_real_server(house: House, server: Server) -> None:
    assert server.requests()
    text = "\n".join(server.log)
    assert "level=grid" not in text, "no query strings"
    for one in server.requests():
        assert set(one) >= {"request_id", "route", "status", "ms", "method", "account"}


class Sleeping(Server):
    """libfaketime turns Python's sleep, until a moment of the monotonic clock, into an error."""

    before = "import select, time; time.sleep = lambda s: select.select([], [], [], s); "


def _faketime() -> Path | None:
    for root in (Path("/"), Path(os.environ["WUSETU_DATA_DIR"]) / "deb"):
        for found in root.glob("usr/lib/*/faketime/libfaketimeMT.so.1"):
            return found
    return None


def test_the_clock_jumps(house: House, tmp_path: Path) -> None:
    """The server's wall clock goes forth and back; the database's and the desks' do not."""
    library = _faketime()
    if library is None:
        pytest.skip("no libfaketime here: `make test` installs it where the distribution has it")
    file = tmp_path / "clock"

    def jump(to: str) -> None:
        (tmp_path / "next").write_text(f"{to}\n")
        (tmp_path / "next").replace(file)

    jump("+0")
    settings, password = AccountSettings(), "correct horse battery"
    engine = make_engine(house.url)
    with transaction(engine) as connection:
        made = [accounts.create(connection, one, Role.admin).id for one in ("clock", "busy")]
        link = accounts.new_link(connection, made[0], 1).secret
        tokens = [
            accounts_tokens.create(
                connection, account=account, title="t", scopes=["see_map"], days=1, longest=90
            )[1]
            for account in (made[0], made[0], made[0], made[0], made[0], made[1])
        ]
    *_, over, busy = tokens
    used = accounts_login.use_link(engine, settings, link=link, password=password).secret
    secret = pyotp.random_base32()
    with transaction(engine) as connection:
        connection.execute(
            sa.text("update account set totp_secret = :secret where id = :id"),
            {"secret": secret, "id": made[0]},
        )
        connection.execute(
            sa.text(
                "update account_token set expires_at = now() - interval '1 hour' where digest = :one"
            ),
            {"one": digest(over)},
        )
    server = Sleeping(
        house,
        WUSETU_ACCESS="accounts", WUSETU_LIMITS_RATE="0.001", WUSETU_LIMITS_BURST="20",
        LD_PRELOAD=str(library), FAKETIME_TIMESTAMP_FILE=str(file), FAKETIME_CACHE_DURATION="1",
        NO_FAKE_STAT="1",
        DONT_FAKE_MONOTONIC="1", FAKETIME_DONT_FAKE_MONOTONIC="1",
    )  # fmt: skip

    house.servers.append(server)

    def ask(address: str, token: str | None = None, **headers: str) -> httpx.Response:
        who = (
            {"Authorization": f"Bearer {token}"} if token else {"Cookie": f"wusetu_session={used}"}
        )
        return server.client.get(address, headers={**who, **headers})

    def ahead() -> float:
        """Days between the server's clock and ours."""
        said = server.get("/api/health/live").headers["date"]
        return (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds() / 86_400

    def log_in() -> int:
        step = int(time.time()) // 30 + 1  # accepted for a minute from now
        code = pyotp.TOTP(secret).generate_otp(step)
        body = {"name": "clock", "password": password, "code": code}
        return server.client.post("/api/session", json=body).status_code

    before = ask(house.values)
    assert before.status_code == 200
    for _ in range(40):
        if (refused := ask("/api/nothing", busy)).status_code == 429:
            break
    for fresh, (to, days) in zip(
        tokens, (("+0", 0), ("+3d", 3), ("-3d", -3), ("+0", 0)), strict=False
    ):
        jump(to)
        until(lambda days=days: abs(ahead() - days) < 0.5)
        # a session known in memory, a token never seen before, an answer kept before the jump
        after = [ask(house.values), ask(house.values, fresh)]
        assert [one.content for one in after] == [before.content] * 2
        assert all(STALE not in one.headers for one in after)
        etag = {"If-None-Match": before.headers["etag"]}
        assert ask(house.values, **etag).status_code == 304
        assert ask(house.values, over).status_code == 401
        # no budget is filled up, none is taken away
        refused = ask("/api/nothing", busy)
        assert refused.status_code == 429
        assert 0 < int(refused.headers["retry-after"]) <= 1_000
        # codes belong to the wall clock: a wrong one refuses them and uses none up
        if days > 0:
            assert log_in() == 401
    assert log_in() == 204
    assert server.end() == 0
    engine.dispose()


def test_one_server_killed_and_one_told_to_end(house: House, shared_server: Server) -> None:
    """The last test: it ends the shared server."""
    before = house.view(shared_server)
    assert shared_server.end(signal.SIGKILL) == -signal.SIGKILL
    server = house.serve()
    same(before, house.view(server))
    answers: list[httpx.Response] = []
    with contextlib.closing(house.cluster._connect("wusetu")) as blocker:
        blocker.cursor().execute("lock table wusetu.assessment in access exclusive mode")
        asking = threading.Thread(target=lambda: answers.append(server.get(house.unasked)))
        asking.start()
        waiting = (
            "select count(*) from pg_stat_activity where application_name = 'wusetu' "
            "and wait_event_type = 'Lock' and datname = 'wusetu'"
        )
        until(lambda: house.ask(waiting)[0][0] > 0)
        server.process.terminate()
        place = httpx.URL(server.said[-1])

        def closed() -> bool:
            try:
                httpx.get(place, timeout=5)
            except httpx.HTTPError:
                return True
            return False

        until(closed)
        assert server.process.poll() is None, "a request is still being answered"
        blocker.rollback()
        asking.join(60)
    assert [one.status_code for one in answers] == [200]
    assert server.process.wait(60) == 0
    server.end()
    line = next(one for one in server.requests() if one["route"].endswith("/summary"))
    assert line["status"] == 200
    assert not [one for one in server.log if json.loads(one)["level"] in {"error", "critical"}]
    left = "select application_name from pg_stat_activity where application_name like 'wusetu%%'"
    assert house.ask(left) == []
