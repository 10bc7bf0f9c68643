"""The private cluster through every accident it has to survive, on real PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa

from app import cluster as cluster_module
from app.cluster import Cluster
from app.database import make_engine, transaction
from app.errors import ClusterError, Unavailable

pytestmark = pytest.mark.machine
Make = Callable[..., Cluster]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can do this")


def query(cluster: Cluster, statement: str) -> object:
    with contextlib.closing(cluster._connect("postgres")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()[0] if cursor.description else None


def postmaster(cluster: Cluster) -> int:
    pid = cluster._recorded()
    assert pid in cluster._members()
    return pid


def listing(folder: Path) -> dict[str, tuple[int, int, int]]:
    return {
        str(one): (one.lstat().st_mtime_ns, one.lstat().st_size, one.lstat().st_mode)
        for one in [folder, *folder.rglob("*")]
    }


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def kill(cluster: Cluster) -> None:
    """Kill every process of a cluster, and wait until they are gone."""
    for pid in cluster._members():
        with contextlib.suppress(ProcessLookupError):  # it may have gone since it was listed
            os.kill(pid, signal.SIGKILL)
    until(lambda: not cluster._members())


START = """
import sys; from pathlib import Path; from app.cluster import Cluster
cluster = Cluster(Path(sys.argv[1])); print("ready", flush=True); sys.stdin.readline()
new = cluster.start(); cluster.create_database("both"); cluster._connect("both").close()
print(new)
"""


def test_life(make: Make) -> None:
    one = make()
    assert not one.running()
    assert one.start() is True
    assert one.start() is False
    assert query(one, "show data_checksums") == "on"
    assert query(one, "show fsync") == "on"
    assert query(one, "show server_encoding") == "UTF8"
    assert query(one, "show listen_addresses") == ""
    engine = sa.create_engine(one.url("postgres"))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("select 1").scalar() == 1
        until(lambda: one.others() == 1)
    engine.dispose()
    one.stop()
    one.stop()
    assert not one.running()
    assert not one._members()
    assert one.start() is True


def test_started_twice_at_once_both_end_up_connected(place: Path, make: Make) -> None:
    one = make()
    both = [
        subprocess.Popen(
            [sys.executable, "-c", START, str(one.root)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in both:  # both are past their imports and wait for the word
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted(out.strip() for out, _ in said) == ["False", "True"]
    assert len({one._recorded(), make()._recorded()}) == 1


def test_killed_and_started_again_with_a_busy_backend_left(make: Make) -> None:
    one = make()
    one.start()
    query(one, "create table kept as select 7 as seven")
    busy = one._connect("postgres")
    orphan = busy.get_backend_pid()
    with busy.cursor() as cursor:
        cursor.execute("set client_min_messages = error")
    sender = threading.Thread(target=_loop, args=(busy,), daemon=True)
    sender.start()
    until(lambda: query(one, f"select state = 'active' from pg_stat_activity where pid = {orphan}"))
    os.kill(postmaster(one), signal.SIGKILL)
    until(lambda: one._recorded() not in one._members())
    time.sleep(0.5)
    assert orphan in one._members(), "the busy backend must outlive its postmaster for this test"
    assert (one.data / "postmaster.pid").exists()
    assert one.start() is True
    assert query(one, "select seven from kept") == 7
    assert orphan not in one._members()
    sender.join(60)
    assert not sender.is_alive()


def _loop(connection: psycopg2.extensions.connection) -> None:
    with contextlib.suppress(psycopg2.Error), connection.cursor() as cursor:
        cursor.execute("do $$ begin loop end loop; end $$")


@pytest.mark.parametrize("impostor", ["sleep", "postgres of another cluster"])
def test_reboot_gave_the_pid_to_somebody_else(place: Path, make: Make, impostor: str) -> None:
    one = make()
    one.start()
    query(one, "create table kept as select 7 as seven")
    kill(one)
    if impostor == "sleep":
        other = subprocess.Popen(
            ["sleep", "3600"], cwd="/", user=one.user.pw_uid if one.user else None
        )
        pid = other.pid
    else:
        neighbour = make(place / "neighbour")
        neighbour.start()
        pid = postmaster(neighbour)
    record = one.data / "postmaster.pid"
    lines = record.read_text().split("\n")
    record.write_text("\n".join([str(pid), *lines[1:]]))
    lock = one.socket_dir / ".s.PGSQL.5432.lock"
    lock.write_text("\n".join([str(pid), *lock.read_text().split("\n")[1:]]))
    assert one.start() is True
    assert query(one, "select seven from kept") == 7
    os.kill(pid, 0)  # it was left in peace
    if impostor == "sleep":
        other.kill()
        other.wait()


def test_socket_swept_away_under_a_running_server(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "PATIENCE_SECONDS", 1)
    one = make()
    one.start()
    query(one, "create table kept as select 7 as seven")
    first = postmaster(one)
    (one.socket_dir / ".s.PGSQL.5432").unlink()
    assert not one.running()
    assert one.start() is True
    assert postmaster(one) != first
    assert query(one, "select seven from kept") == 7


def test_a_stopped_process_is_reported_and_never_shot(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make()
    one.start()
    pid = postmaster(one)
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 2)
    monkeypatch.setattr(cluster_module, "PATIENCE_SECONDS", 1)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(ClusterError, match=rf"process {pid}\) runs in .* but does not answer"):
            one.start()
    finally:
        os.kill(pid, signal.SIGCONT)
    until(one.running)
    assert postmaster(one) == pid


def test_stop_after_a_kill_is_quiet(make: Make) -> None:
    one = make()
    one.start()
    os.kill(postmaster(one), signal.SIGKILL)
    until(lambda: not one._members())
    one.stop()
    assert one.start() is True


def test_interrupted_initdb_is_made_anew(place: Path, make: Make) -> None:
    for attempt in range(10):  # a busy machine may notice the start only when all is done
        one = make(place / str(attempt))
        process = subprocess.Popen(
            [sys.executable, "-c", START, str(one.root)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            text=True, start_new_session=True,
        )  # fmt: skip
        process.stdin.write("\n")
        process.stdin.flush()
        until(lambda one=one: one.data.exists() or any(one.root.glob("pg.making-*/base")))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()
        if any(one.root.glob("pg.making-*")) and not one.data.exists():
            break
    else:
        pytest.fail("initdb was never caught at work")
    assert one.start() is True
    assert not any(one.root.glob("pg.making-*"))


def test_an_empty_folder_is_used_and_a_full_one_is_not_touched(place: Path, make: Make) -> None:
    one = make()
    one.data.mkdir(parents=True)
    one.start()
    other = make(place / "other")
    other.data.mkdir(parents=True)
    (other.data / "letter.txt").write_text("mine")
    with pytest.raises(ClusterError, match="holds files but no cluster"):
        other.start()
    assert (other.data / "letter.txt").read_text() == "mine"


@pytest.mark.parametrize(("version", "advice"), [("99", "Install PostgreSQL 99"), ("9", "pg_dump")])
def test_another_major_version_is_named_and_nothing_touched(
    make: Make, version: str, advice: str
) -> None:
    one = make()
    one.start()
    one.stop()
    (one.data / "PG_VERSION").write_text(f"{version}\n")
    before = listing(one.root)
    fresh = make()
    with pytest.raises(ClusterError) as caught:
        fresh.start()
    assert f"is of PostgreSQL {version}, installed is " in caught.value.message
    assert str(fresh.programs[0].major) in caught.value.message
    assert advice in caught.value.message
    assert listing(one.root) == before


@pytest.mark.parametrize(
    "name", ["with spaces, and 'quotes'", "五色图 数据", "d" * 120, "per%cent?&host=x"]
)
def test_folders_of_any_name(place: Path, make: Make, name: str) -> None:
    one = make(place / name / "data")
    one.start()
    socket = one.socket_dir / ".s.PGSQL.5432"
    assert len(os.fsencode(socket)) <= 107
    assert socket.is_socket()
    found = one.socket_dir.stat()
    assert found.st_mode & 0o777 == 0o700
    assert found.st_uid == (one.user.pw_uid if one.user else os.geteuid())
    engine = sa.create_engine(one.url("postgres"))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("select 1").scalar() == 1
    engine.dispose()
    outside = one.socket_dir
    os.kill(postmaster(one), signal.SIGKILL)
    until(lambda: not one._members())
    one.start()  # the same folder again
    assert one.socket_dir == outside
    one.stop()
    assert not outside.exists() or outside.parent == one.home


@pytest.mark.parametrize("trap", ["open to all", "link", "gone"])
def test_a_socket_folder_that_is_not_ours_alone_is_not_trusted(
    place: Path, make: Make, trap: str
) -> None:
    one = make(place / "名")
    one.start()
    one.stop()
    bad = place / "wst-bad"
    if trap == "open to all":
        bad.mkdir()
        bad.chmod(0o777)
    elif trap == "link":
        real = place / "real"
        real.mkdir(mode=0o700)
        one._own(real)
        bad.symlink_to(real)
    (one.home / "socket").write_text(str(bad))
    one.start()
    assert one.socket_dir != bad
    assert one._private(one.socket_dir)
    assert one.running()


def test_variables_of_the_caller_do_not_matter(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PGHOST": "nowhere.invalid", "PGPORT": "1", "PGUSER": "nobody", "PGDATABASE": "none",
        "PGDATA": "/nowhere", "LC_ALL": "zh_CN.UTF-8", "LD_LIBRARY_PATH": "/nowhere",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    one = make()
    one.start()
    assert query(one, "select 1") == 1


def test_the_log_is_kept_and_quoted(make: Make) -> None:
    one = make(shared_buffers="nonsense")
    with pytest.raises(ClusterError) as caught:
        one.start()
    assert 'invalid value for parameter "shared_buffers"' in caught.value.message
    assert str(one.log) in caught.value.message
    assert make().start() is True


@as_root
def test_root_hands_over_to_a_user_without_rights(make: Make) -> None:
    one = make()
    one.start()
    owners = set()
    for pid in one._members():
        with contextlib.suppress(FileNotFoundError):  # it may have gone since it was listed
            owners.add(Path("/proc", str(pid)).stat().st_uid)
    assert owners == {one.user.pw_uid}
    assert one.user.pw_uid != 0


@as_root
def test_a_home_closed_to_others_moves_the_cluster(place: Path, make: Make) -> None:
    closed = place / "home"
    closed.mkdir(mode=0o700)
    one = make(closed / "data")
    assert one.moved
    assert one.home.parent == Path("/var/lib/wusetu")
    one.start()
    query(one, "create table kept as select 7 as seven")
    one.stop()
    closed.chmod(0o755)  # opened later: the data stays where it is
    again = make(closed / "data")
    again.start()
    assert query(again, "select seven from kept") == 7


# A process of its own: this one has threads, and a fork of it could hang in one of their locks.
START_AS = """
import os, sys; from pathlib import Path
from app.cluster import Cluster; from app.errors import ClusterError
uid = int(sys.argv[1])
if uid != os.geteuid():
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
try:
    Cluster(Path(sys.argv[2])).start()
    print("started")
except ClusterError as error:
    print(error.message)
"""


def start_as(uid: int, root: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", START_AS, str(uid), str(root)], check=False,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("what", ["the folder", "a running cluster", "a stopped cluster"])
def test_without_permission_the_folder_and_the_way_out_are_named(
    place: Path, make: Make, what: str
) -> None:
    root = place / "theirs"
    if os.geteuid() != 0 and what != "the folder":
        pytest.skip("only root can be two users")
    if what == "the folder":
        root.mkdir()
        root.chmod(0o555)
    else:
        one = make(root)
        one.start()
        if what == "a stopped cluster":
            one.stop()
    message = start_as(65534 if os.geteuid() == 0 else os.geteuid(), root)
    assert str(root) in message
    assert "Permission denied" in message
    assert "WUSETU_DATA_DIR" in message


@as_root
def test_root_continues_the_cluster_of_a_plain_user(place: Path, make: Make) -> None:
    root = place / "theirs"
    root.mkdir()
    os.chown(root, 65534, 65534)
    assert start_as(65534, root) == "started"
    one = make(root)
    assert one.user.pw_uid == 65534
    assert one.start() is False
    one.stop()
    assert one.start() is True


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 150 MB."""
    folder = Path(tempfile.mkdtemp(prefix="wusetu-disk-"))
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=150m,mode=0755", "tmpfs", str(folder)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        folder.rmdir()
        pytest.skip(f"no small file system can be mounted: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()


def fill(folder: Path, leave: int) -> Path:
    found = os.statvfs(folder)
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - leave)
    return ballast


def test_full_disk(small_disk: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    ballast = fill(small_disk, 30 * 2**20)
    one = make(small_disk / "data")
    with pytest.raises(ClusterError, match=r"the disk is full: 30 MB free in .*wusetu-disk"):
        one.start()
    # the same when the room ends during initdb
    with monkeypatch.context() as patch:
        patch.setattr(cluster_module, "ROOM_TO_MAKE", 0)
        with pytest.raises(ClusterError, match=r"the disk is full: \d+ MB free in .*wusetu-disk"):
            one.start()
    assert sorted(one.name for one in (small_disk / "data").iterdir()) == ["cluster.lock"]
    ballast.unlink()
    one.start()
    query(one, "create table kept as select 7 as seven")
    # full while it works
    engine = make_engine(one.url("postgres"))
    much = "create table much as select repeat(md5(n::text), 40) from generate_series(1, 200000) n"
    with (
        pytest.raises(Unavailable, match=r"full: could not (extend|write)|does not answer|lost"),
        transaction(engine) as connection,
    ):
        connection.exec_driver_sql(much)
    engine.dispose()
    kill(one)  # before the disk is filled: while it lives it writes
    ballast = fill(small_disk, 2**20)
    with pytest.raises(ClusterError, match=r"the disk is full: 1 MB free in .*wusetu-disk"):
        one.start()
    ballast.unlink()
    one.start()
    assert query(one, "select seven from kept") == 7


def test_no_postgresql_says_what_to_do(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WUSETU_PG_BIN", str(place))
    with pytest.raises(ClusterError, match="holds no PostgreSQL with PostGIS"):
        Cluster(place / "data")


def test_log_is_turned_over(make: Make) -> None:
    one = make()
    one.start()
    one.stop()
    with one.log.open("ab") as log:
        log.truncate(cluster_module.LOG_MAX + 1)
    one.start()
    assert one.log.stat().st_size < 10_000
    assert one.log.with_suffix(".log.1").stat().st_size > cluster_module.LOG_MAX
    shutil.rmtree(one.log.with_suffix(".log.1"), ignore_errors=True)
