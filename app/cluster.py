"""The private PostgreSQL + PostGIS cluster of a single-machine installation.

May import `app.errors`, `app.postgres`, `app.cluster_home`, psycopg2 and filelock; knows nothing of the schema.
Promises: starting is idempotent and safe from several processes at once; whatever state the last
life ended in (kill -9, power cut, full disk, half an initdb) is either recovered from or explained
in one message; a data folder of another major version is never touched. Whether the server runs is
decided by connecting to it, never by `pg_ctl status` or a pid file alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import psycopg2
import psycopg2.errors
from filelock import FileLock, Timeout
from psycopg2 import sql

from app import postgres
from app.cluster_home import PORT, Home, explained, said
from app.errors import ClusterError

#: Database superuser of the cluster; only those who may enter the socket folder can be it.
OWNER = "wusetu"
#: A new cluster and its first extension take about 60 MB.
ROOM_TO_MAKE = 128 * 2**20
#: Less than one more WAL segment: PostgreSQL would stop in the middle of its work.
ROOM_TO_START = 20 * 2**20
LOCK_SECONDS = 180
#: Long, because crash recovery replays up to `max_wal_size`.
START_SECONDS = 600
STOP_SECONDS = 60
CONNECT_SECONDS = 10
#: How long a living server that does not say why may be silent.
PATIENCE_SECONDS = 5
LOG_MAX = 8 * 2**20
#: In the answer of a server that is starting, recovering or stopping.
_CHANGING = "the database system is"

#: Written once into a new cluster's postgresql.conf, where the operator may change them.
TUNING = """
# --- written when the cluster was made; change them as you like
shared_buffers = 256MB
work_mem = 32MB
maintenance_work_mem = 256MB
effective_cache_size = 1GB
max_connections = 200
# bulk imports: rare checkpoints, small WAL
max_wal_size = 4GB
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9
wal_compression = on
# one machine, no standby: COPY into a table made in the same transaction needs no WAL
wal_level = minimal
max_wal_senders = 0
# solid state disks
random_page_cost = 1.1
# statements here are short; compiling them costs more than it saves
jit = off
log_line_prefix = '%m [%p] %a '
log_checkpoints = off
log_autovacuum_min_duration = -1
"""


class Cluster(Home):
    """A cluster that belongs to one data folder: unix socket only, unprivileged owner.

    Parameters
    ----------
    root
        Data folder of the installation. The cluster lives in it (`pg/`, `server.log`), or, when
        root runs it and no other user can reach that folder, in `/var/lib/wusetu/<hash>`.
    options
        PostgreSQL settings for this start only, for example `{"fsync": "off"}` in tests.

    Raises
    ------
    ClusterError
        PostgreSQL with PostGIS is not installed, or `root` cannot be used.
    """

    def __init__(self, root: Path, options: Mapping[str, str] | None = None) -> None:
        self.options = dict(options or {})
        self.programs = postgres.find(Path(root).expanduser().absolute())
        super().__init__(root)

    def _program(self, name: str, *argv: str | Path) -> subprocess.CompletedProcess[str]:
        chosen = self._chosen()
        return self._run(chosen.bin / name, *argv, env=chosen.env)

    def _chosen(self) -> postgres.Programs:
        """Return the programs of the data folder's major version, or the best for a new one.

        Raises
        ------
        ClusterError
            The data folder is of a version that is not installed; nothing was touched.
        """
        try:
            text = (self.data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            return self.programs[0]
        except PermissionError as error:
            raise explained(error, self.home) from error
        for one in self.programs:
            if str(one.major) == text:
                return one
        have = ", ".join(str(one.major) for one in self.programs)
        newer = text.isdigit() and int(text) > max(one.major for one in self.programs)
        raise ClusterError(
            f"the data folder {self.data} is of PostgreSQL {text}, installed is {have}; "
            "nothing was touched. "
            + (
                f"Install PostgreSQL {text} with PostGIS again"
                if newer
                else f"Install PostgreSQL {text} with PostGIS beside it and move the data with "
                "pg_dump (docs/operations.md)"
            )
            + ", or choose another folder with WUSETU_DATA_DIR"
        )

    # -- addresses -------------------------------------------------------------------------

    def url(self, database: str = "wusetu") -> str:
        """SQLAlchemy URL of `database`; valid once started."""
        # both libpq and SQLAlchemy take the folder unescaped as long as it is plain
        return (
            f"postgresql+psycopg2://{OWNER}@/{quote(database)}?host={self.socket_dir}&port={PORT}"
        )

    # -- asking ----------------------------------------------------------------------------

    def _ask(self) -> str | None:
        """None when the server is up, else its (or the system's) reason."""
        folder = self.socket_dir
        if not self._private(folder):
            return f"{folder} is not there, or not private"
        try:
            self._connect("postgres").close()
        except psycopg2.OperationalError as error:
            reason = str(error).strip()
            # "too many clients" and the like are answers of a server that runs
            return None if "FATAL:" in reason and _CHANGING not in reason else reason
        return None

    def _connect(self, database: str) -> psycopg2.extensions.connection:
        # every parameter is given, so that no PG… variable of the caller changes the meaning
        return psycopg2.connect(
            host=str(self.socket_dir),
            port=PORT,
            user=OWNER,
            dbname=database,
            password="",
            connect_timeout=CONNECT_SECONDS,
            application_name="wusetu cluster",
        )

    def running(self) -> bool:
        """Whether the server accepts connections now."""
        return self._ask() is None

    def died(self) -> bool:
        """Whether the server ended without tidying up: killed, not stopped on purpose."""
        pid = self._recorded()
        if pid is None:
            return False
        with contextlib.suppress(OSError):  # the cheap look, made every second
            name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
            if name.startswith("postgres") and rest.split()[0] not in {"Z", "X"}:
                return False
        return pid not in self._members()

    def others(self, patience: float = 0) -> int:
        """Count the client connections besides our own questions; 0 when it does not run.

        Parameters
        ----------
        patience
            Seconds to wait for connections that are just being closed to be gone.
        """
        until = time.monotonic() + patience
        while (found := self._others()) and time.monotonic() < until:
            time.sleep(0.05)
        return found

    def _others(self) -> int:
        try:
            connection = self._connect("postgres")
        except psycopg2.OperationalError:
            return 0
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(
                "select count(*) from pg_stat_activity where backend_type = 'client backend'"
                " and pid <> pg_backend_pid() and application_name <> 'wusetu cluster'"
            )
            row = cursor.fetchone()
        return int(row[0]) if row else 0

    # -- life ------------------------------------------------------------------------------

    def start(self) -> bool:
        """Make the cluster if there is none, and start it if it does not run.

        Returns
        -------
        bool
            True when this call started the server, False when it ran already.

        Raises
        ------
        ClusterError
            It cannot be made or started; the message names the folder and the reason.
        """
        self._chosen()  # a foreign version ends here, before anything is written
        with said(self.home):
            if self.running():
                return False
            self.home.mkdir(parents=True, exist_ok=True)
            if self.moved:
                self.home.parent.chmod(0o755)
                self.home.chmod(0o755)
            with self._locked():
                if self.running():
                    return False
                self._make()
                if self._bury():
                    return False
                self._launch()
                return True

    def stop(self) -> None:
        """Stop the server if it runs, and tidy up after it."""
        if not self.data.exists():
            return
        with said(self.home), self._locked():
            if self._recorded() is not None and self._recorded() in self._members():
                done = self._program(
                    "pg_ctl", "stop", "-m", "fast", "-w", "-t", str(STOP_SECONDS), "-D", self.data
                )
                if done.returncode:
                    self._program("pg_ctl", "stop", "-m", "immediate", "-w", "-D", self.data)
            folder = self.socket_dir
            if folder.parent != self.home and self._private(folder) and not self._members():
                shutil.rmtree(folder, ignore_errors=True)
                (self.home / "socket").unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the one lock of this cluster's folder (freed by the system when we die)."""
        path = self.home / "cluster.lock"
        lock = FileLock(path, mode=0o644)
        try:
            lock.acquire(timeout=LOCK_SECONDS)
        except Timeout as error:
            raise ClusterError(
                f"another process has been starting or stopping the cluster in {self.home} "
                f"for {LOCK_SECONDS} s ({path})"
            ) from error
        try:
            self._own(path)
            yield
        finally:
            lock.release()

    def _make(self) -> None:
        """Make a cluster: in a folder beside, renamed when it is whole."""
        if (self.data / "PG_VERSION").exists():
            self._need(ROOM_TO_START)
            return
        if self.data.exists():
            if any(self.data.iterdir()):
                raise ClusterError(
                    f"{self.data} holds files but no cluster; move them away and try again"
                )
            self.data.rmdir()
        for left in self.home.glob("pg.making-*"):  # we hold the lock: its maker is dead
            shutil.rmtree(left)
        self._need(ROOM_TO_MAKE)
        making = Path(tempfile.mkdtemp(prefix="pg.making-", dir=self.home))
        try:
            self._own(making)
            done = self._program(
                "initdb", "-D", making, "-U", OWNER, "-E", "UTF8", "--locale=C.UTF-8",
                "--auth-local=trust", "--auth-host=reject", "--data-checksums",
                "--no-instructions",
            )  # fmt: skip
            if done.returncode:
                self._full(done.stdout + done.stderr)
                raise ClusterError(
                    f"PostgreSQL could not make a cluster in {self.home}: {_tail(done.stderr)}"
                )
            with (making / "postgresql.conf").open("a", encoding="utf-8") as conf:
                conf.write(TUNING)
            making.rename(self.data)
        finally:
            shutil.rmtree(making, ignore_errors=True)

    def _launch(self) -> None:
        """Start the server and wait until it answers."""
        folder = self._make_socket_dir()
        if self.log.exists() and self.log.stat().st_size > LOG_MAX:
            self.log.replace(self.log.with_suffix(".log.1"))
        self.log.touch(mode=0o640)
        self._own(self.log)
        begin = self.log.stat().st_size
        settings = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": str(folder),
            "unix_socket_permissions": "0700",
            "dynamic_shared_memory_type": "mmap",  # a 64 MB /dev/shm breaks parallel joins
            **self.options,
        }
        options = " ".join(f"-c {shlex.quote(f'{k}={v}')}" for k, v in settings.items())
        done = self._program(
            "pg_ctl", "start", "-w", "-t", str(START_SECONDS), "-s",
            "-D", self.data, "-l", self.log, "-o", options,
        )  # fmt: skip
        reason = self._ask()
        if reason is None:
            return
        with self.log.open("rb") as log:
            log.seek(begin)
            said = log.read().decode("utf-8", "replace")
        self._full(said + done.stderr)
        self._low()
        raise ClusterError(
            f"PostgreSQL did not start in {self.data}: "
            f"{_tail(said) or _tail(done.stderr) or reason}\n(its log: {self.log})"
        )

    # -- after an unclean end --------------------------------------------------------------

    def _bury(self) -> bool:
        """Make the way free for a start (we hold the lock); True when a server answers after all."""
        pid = self._recorded()
        members = self._members()
        if pid is not None and pid in members:
            if self._await(pid):
                return True
            members = self._members()
        if pid is not None and pid in members:
            if (self.socket_dir / f".s.PGSQL.{PORT}").exists():
                # Perhaps a disk that stalls. A living server is never shot.
                raise ClusterError(
                    f"PostgreSQL (process {pid}) runs in {self.data} but does not answer: "
                    f"{self._ask()}"
                )
            # its socket was swept away (a cleaner of the temporary folder): begin again
            self._program("pg_ctl", "stop", "-m", "fast", "-w", "-t", "60", "-D", self.data)
            members = self._members()
        self._end_orphans(members)
        # PostgreSQL forgives a pid file whose process is gone, but not one whose number was given
        # to another process of the same user since (after a reboot that is likely).
        if (pid := self._recorded()) is not None and Path("/proc", str(pid)).exists():
            (self.data / "postmaster.pid").unlink()
        if self._private(folder := self.socket_dir):
            for left in folder.glob(".s.PGSQL.*"):
                left.unlink()
        return False

    def _await(self, pid: int) -> bool:
        """Wait for a server that is starting, recovering or stopping; True when it answers."""
        patience = time.monotonic() + PATIENCE_SECONDS
        limit = time.monotonic() + START_SECONDS
        while time.monotonic() < min(patience, limit):
            reason = self._ask()
            if reason is None:
                return True
            if _CHANGING in reason:
                patience = time.monotonic() + PATIENCE_SECONDS
            if pid not in self._members():
                break
            time.sleep(0.1)
        return False

    def _end_orphans(self, members: set[int]) -> None:
        """End backends that outlived a killed postmaster.

        They do so only while busy. What they do is lost already (recovery discards it), and a new
        server must not start beside them.
        """
        for number, seconds in ((signal.SIGQUIT, 3), (signal.SIGKILL, 30)):
            until = time.monotonic() + seconds
            while members and time.monotonic() < until:
                for one in members:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(one, number)
                time.sleep(0.05)
                members = self._members()
        if members:
            raise ClusterError(
                f"PostgreSQL processes of an earlier life hold {self.data} and cannot be ended: "
                + ", ".join(map(str, sorted(members)))
            )

    # -- disk ------------------------------------------------------------------------------

    def _need(self, size: int) -> None:
        if self.free() < size:
            raise self._no_room(f"; at least {_mb(size)} are needed")

    def _low(self) -> None:
        if self.free() < ROOM_TO_START:
            raise self._no_room("")

    def _full(self, text: str) -> None:
        if re.search(r"No space left on device|Disk quota exceeded", text):
            raise self._no_room("")

    def _no_room(self, more: str) -> ClusterError:
        return ClusterError(
            f"the disk is full: {_mb(self.free())} free in {self.home}{more}. "
            "Free some space and start again; no data was lost"
        )

    # -- databases -------------------------------------------------------------------------

    def create_database(self, name: str) -> None:
        """Make database `name` unless it is there; safe when two processes ask at once."""
        try:
            opened = self._connect("postgres")
        except psycopg2.OperationalError as error:
            raise ClusterError(f"the private cluster does not let us in: {error}") from error
        with contextlib.closing(opened) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("select 1 from pg_database where datname = %s", (name,))
                if cursor.fetchone() is not None:
                    return
                with contextlib.suppress(
                    psycopg2.errors.DuplicateDatabase, psycopg2.errors.UniqueViolation
                ):
                    cursor.execute(sql.SQL("create database {}").format(sql.Identifier(name)))


def _tail(text: str, lines: int = 6) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


def _mb(size: int) -> str:
    return f"{size / 2**20:.0f} MB"
