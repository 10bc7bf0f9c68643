"""`wusetu serve` and `wusetu db` as processes: the address, the port, the end."""

from __future__ import annotations

import contextlib
import http.server
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.cluster import Cluster

pytestmark = pytest.mark.machine
WUSETU = [sys.executable, "-c", "from app.cli import main; main()"]
Wusetu = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def home(place: Path, make: Callable[..., Cluster]) -> Cluster:
    """The private cluster of the data folder the commands below use; not made yet."""
    return make(place / "data")


@pytest.fixture
def environment(home: Cluster) -> dict[str, str]:
    return {**os.environ, "WUSETU_DATA_DIR": str(home.root), "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def wusetu(environment: dict[str, str]) -> Wusetu:
    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*WUSETU, *arguments], env={**environment, **more}, check=False,
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    return run


class Server:
    """`wusetu serve` in a process group of its own, as a terminal would run it."""

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*WUSETU, "serve", *arguments], env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def address(self, seconds: float = 300) -> str:
        """Wait for the address."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            if self.lines and self.lines[-1].startswith("http://"):
                return self.lines[-1]
            time.sleep(0.02)
        raise AssertionError(self.lines[:20])

    def end(self, number: int, group: bool = True) -> int:
        """Send a signal, to the whole group as Ctrl-C does, and wait."""
        (os.killpg if group else os.kill)(self.process.pid, number)
        code = self.process.wait(180)
        self._reader.join(60)
        return code


@pytest.fixture
def serve(environment: dict[str, str]) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*arguments: str) -> Server:
        servers.append(Server(environment, *arguments))
        return servers[-1]

    yield start
    for one in servers:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(one.process.pid, signal.SIGKILL)
        one.process.wait()


def read(address: str) -> int:
    with urllib.request.urlopen(address, timeout=120) as answer:
        return answer.status


def free_port() -> int:
    """A port nobody is given by chance: below those the system hands out itself."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    begin = 10_000 + os.getpid() % max(1, first - 11_000)  # workers of the tests beside us
    for port in range(begin, first):
        with contextlib.closing(socket.socket()) as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
    pytest.skip("no port is free")


@pytest.mark.parametrize(
    ("number", "arguments"),
    [
        (signal.SIGINT, ()),
        (signal.SIGTERM, ()),
        (signal.SIGHUP, ()),
        (signal.SIGINT, ("--workers", "2")),
    ],
)
def test_the_address_comes_last_and_the_end_takes_the_cluster_with_it(
    serve: Callable[..., Server], home: Cluster, number: int, arguments: tuple[str, ...]
) -> None:
    server = serve("--port", "0", *arguments)
    address = server.address()
    assert read(f"{address}api/manifest") == 200
    assert home.running()
    code = server.end(number, group=number == signal.SIGINT)
    assert code == 0, server.lines
    assert server.lines[-1] == address, "nothing may follow the address"
    assert not home.running()
    assert not home._members()
    assert not (home.root / "server.json").exists()


def test_a_killed_server_is_followed_by_another(
    serve: Callable[..., Server], home: Cluster
) -> None:
    port = str(free_port())
    first = serve("--port", port)
    first.address()
    first.end(signal.SIGKILL)
    assert home.running()
    second = serve("--port", port)
    second.address()
    assert second.end(signal.SIGINT) == 0
    assert not home.running()


def test_an_import_elsewhere_keeps_the_cluster(serve: Callable[..., Server], home: Cluster) -> None:
    server = serve("--port", "0")
    server.address()
    with contextlib.closing(home._connect("wusetu")) as connection, connection.cursor() as cursor:
        cursor.execute("set application_name = 'wusetu'")
        assert server.end(signal.SIGINT) == 0
        assert "left running" in server.lines[-1]
        cursor.execute("select 1")


def test_our_own_port_is_said_and_another_program_named(
    serve: Callable[..., Server], wusetu: Wusetu, place: Path
) -> None:
    server = serve("--port", "0")
    address = server.address()
    port = address.rsplit(":", 1)[1].strip("/")
    again = wusetu("serve", "--port", port)
    assert again.returncode == 0, again.stderr
    assert "served already" in again.stdout
    assert again.stdout.splitlines()[-1] == address
    assert wusetu("serve", "--check", "--port", port).returncode == 4
    # the same server seen from another project's folder is another program
    other = wusetu("serve", "--port", port, WUSETU_DATA_DIR=str(place / "other"))
    assert other.returncode == 2
    assert "Address already in use" in other.stderr
    assert f"PORT={int(port) + 1}" in other.stderr
    assert not (place / "other" / "pg").exists()


def test_another_program_has_the_port(wusetu: Wusetu, home: Cluster) -> None:
    stranger = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=stranger.serve_forever, daemon=True).start()
    try:
        done = wusetu("serve", "--port", str(stranger.server_port))
    finally:
        stranger.shutdown()
        stranger.server_close()
    assert done.returncode == 2
    assert re.search(r"cannot listen on 127.0.0.1 port \d+: Address already in use", done.stderr)
    assert not home.data.exists()


def test_samples_are_loaded_before_the_port_is_served(
    serve: Callable[..., Server], wusetu: Wusetu, home: Cluster
) -> None:
    refused = wusetu("serve", "--port", "0", "--sample", "nowhere")
    assert refused.returncode == 2
    assert "nowhere" in refused.stderr
    assert "http" not in refused.stdout
    assert not home.running()
    # interrupted: both end, nothing is served, and the cluster goes with them
    with open(os.devnull) as lock:  # (stands for the lock of the set-up)
        server = serve("--port", "0", "--sample", "hangzhou", "--lock", str(lock.fileno()))
        end = time.monotonic() + 120
        while not any("boundaries" in line for line in server.lines):
            assert time.monotonic() < end, server.lines
            time.sleep(0.05)
        assert server.end(signal.SIGINT) == 130
    assert any("interrupted" in line for line in server.lines), server.lines
    assert not any(line.startswith("http") for line in server.lines)
    assert not home.running()
    assert not home._members()


def test_no_such_address(wusetu: Wusetu) -> None:
    done = wusetu("serve", "--host", "nowhere.invalid", "--port", "0")
    assert done.returncode == 2
    assert "no address 'nowhere.invalid'" in done.stderr


def test_a_server_of_the_users_own_is_used_and_left(
    serve: Callable[..., Server], environment: dict[str, str], db_url: str, home: Cluster
) -> None:
    environment["WUSETU_DATABASE_URL"] = db_url
    server = serve("--port", "0")
    assert read(f"{server.address()}api/manifest") == 200
    assert not home.data.exists()
    assert server.end(signal.SIGINT) == 0


def test_db_commands(wusetu: Wusetu, home: Cluster) -> None:
    stopped = wusetu("db", "status")
    assert stopped.returncode == 3
    assert "stopped" in stopped.stdout
    assert "PostgreSQL started" in wusetu("db", "start").stdout
    assert "runs already" in wusetu("db", "start").stdout
    assert "runs already" in wusetu("db", "start", "--migrate").stdout
    assert wusetu("db", "migrate").stdout == "the schema is up to date\n"
    status = wusetu("db", "status")
    assert status.returncode == 0
    assert home.url("wusetu") in status.stdout
    assert wusetu("db", "url").stdout == home.url("wusetu") + "\n"
    told = wusetu("db", "psql", "-Atc", "select count(*) > 5 from information_schema.tables "
                  "where table_schema = 'wusetu'")  # fmt: skip
    assert told.stdout == "t\n", told.stderr
    with contextlib.closing(home._connect("wusetu")) as connection:
        connection.cursor().execute("set application_name = 'wusetu'")
        connection.commit()
        assert "left running: 1 " in wusetu("db", "stop", "--if-unused").stdout
    assert "is stopped" in wusetu("db", "stop", "--if-unused").stdout
    assert not home.running()


def test_db_commands_with_a_server_of_the_users_own(wusetu: Wusetu, db_url: str) -> None:
    secret = "postgresql://wusetu:open-sesame@127.0.0.1:1/none"
    dead = wusetu("db", "status", WUSETU_DATABASE_URL=secret)
    assert dead.returncode == 3
    assert "open-sesame" not in dead.stdout + dead.stderr
    assert "refused" in dead.stdout
    live = wusetu("db", "status", WUSETU_DATABASE_URL=db_url)
    assert live.returncode == 0, live.stderr
    assert "answers" in live.stdout
    refused = wusetu("db", "stop", WUSETU_DATABASE_URL=db_url)
    assert refused.returncode == 2
    assert "no private cluster" in refused.stderr


def test_port_of_the_settings(environment: dict[str, str], serve: Callable[..., Server]) -> None:
    port = free_port()
    environment["WUSETU_SERVER_PORT"] = str(port)
    server = serve()
    assert server.address() == f"http://127.0.0.1:{port}/"
    assert server.end(signal.SIGINT) == 0


def answer(address: str) -> tuple[int, str | None, bytes]:
    """Status, since when the answer may be out of date, body."""
    try:
        with urllib.request.urlopen(address, timeout=120) as found:
            return found.status, found.headers.get("X-Wusetu-Stale"), found.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers.get("X-Wusetu-Stale"), refused.read()


def until(done: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def test_a_cluster_that_dies_under_a_server_is_started_again(
    serve: Callable[..., Server], home: Cluster
) -> None:
    server = serve("--port", "0")
    address = server.address()
    page = f"{address}api/manifest"
    before = answer(page)
    assert before[:2] == (200, None)
    # heard: answers are kept from now on, this one too
    until(lambda: b"wusetu_database_heard 1.0" in answer(f"{address}metrics")[2])
    assert answer(page) == before
    killed = home._recorded()
    for pid in home._members():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    seen: list[tuple[int, str | None, bytes]] = []

    def healed() -> bool:
        seen.append(answer(page))
        return home._recorded() not in {None, killed} and seen[-1] == before

    # what was asked before is answered all the while, marked with the time it was lost
    until(healed)
    assert {(status, body) for status, _, body in seen} == {(200, before[2])}
    marks = {since for _, since, _ in seen if since}
    assert len(marks) <= 1
    until(lambda: read(f"{address}api/health/ready") == 200)
    until(lambda: any("PostgreSQL runs again" in line for line in server.lines))
    assert server.end(signal.SIGINT) == 0
    assert not home.running()
    assert not home._members()


def test_a_cluster_stopped_on_purpose_stays_stopped(
    make: Callable[..., Cluster], place: Path
) -> None:
    from app.cluster_guard import Guard

    cluster = make(place / "data", fsync="off")
    cluster.start()
    looks = 0
    real = cluster.died

    def died() -> bool:
        nonlocal looks
        looks += 1
        return real()

    cluster.died = died  # type: ignore[method-assign]
    guard = Guard(cluster, look=0.01)
    guard.start()
    cluster.stop()
    then = looks
    until(lambda: looks > then + 3)
    assert not cluster.running()
    guard.stop()


def test_a_cluster_that_cannot_start_is_tried_again_with_pauses(
    make: Callable[..., Cluster], place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from app.cluster_guard import Guard

    cluster = make(place / "data", fsync="off")
    cluster.start()
    for pid in cluster._members():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    hidden = cluster.data / "global"
    hidden.rename(cluster.data / "away")
    guard = Guard(cluster, look=0.01, pause=0.01, longest=0.1)
    with caplog.at_level("WARNING", "wusetu.cluster"):
        guard.start()
        until(lambda: caplog.text.count("cannot be started") >= 2)
        (cluster.data / "away").rename(hidden)
        until(cluster.running)
        guard.stop()
    assert "PostgreSQL runs again" in caplog.text
