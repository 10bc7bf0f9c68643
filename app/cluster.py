"""The private PostgreSQL + PostGIS cluster of a single-machine installation."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from filelock import FileLock

from app.errors import ClusterError


def find_bin() -> Path:
    """Folder with `initdb` and `postgres`."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    which = shutil.which("initdb")
    if which:
        return Path(which).resolve().parent
    raise ClusterError("PostgreSQL is not installed: run `make up`")


class Cluster:
    """A cluster in `root`: unix socket only, unprivileged owner, safe to start twice."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / "pg"
        self.bin = find_bin()
        self.user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        import hashlib

        tag = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:10]
        self.socket_dir = Path(tempfile.gettempdir()) / f"wst-{tag}"

    def _run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        def demote() -> None:
            if self.user:
                os.setgid(self.user.pw_gid)
                os.setuid(self.user.pw_uid)

        return subprocess.run(  # noqa: S603
            argv, preexec_fn=demote, text=True, capture_output=True, cwd="/", check=False
        )

    def url(self, database: str = "wusetu") -> str:
        """SQLAlchemy URL of `database`."""
        return f"postgresql+psycopg2://wusetu@/{database}?host={self.socket_dir}"

    def start(self) -> None:
        """Make the cluster if there is none, and start it if it does not run."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.socket_dir.mkdir(mode=0o700, exist_ok=True)
        self.data.mkdir(mode=0o700, exist_ok=True)
        if self.user:
            os.chown(self.socket_dir, self.user.pw_uid, self.user.pw_gid)
            os.chown(self.data, self.user.pw_uid, self.user.pw_gid)
        with FileLock(self.root / "cluster.lock"):
            if not (self.data / "PG_VERSION").exists():
                self._run(
                    str(self.bin / "initdb"), "-D", str(self.data), "-U", "wusetu", "-A", "trust",
                    "--locale=C.UTF-8", "-E", "UTF8",
                ).check_returncode()  # fmt: skip
            if self._run(str(self.bin / "pg_ctl"), "status", "-D", str(self.data)).returncode:
                options = (
                    f"-c listen_addresses='' -c unix_socket_directories={self.socket_dir} "
                    "-c dynamic_shared_memory_type=mmap -c jit=off"
                )
                self._run(
                    str(self.bin / "pg_ctl"), "start", "-w", "-D", str(self.data),
                    "-l", str(self.data / "server.log"), "-o", options,
                ).check_returncode()  # fmt: skip

    def create_database(self, name: str) -> None:
        """Make database `name` unless it is there; safe when two processes ask at once."""
        import psycopg2
        import psycopg2.errors
        from psycopg2 import sql

        connection = psycopg2.connect(host=str(self.socket_dir), user="wusetu", dbname="postgres")
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute("select 1 from pg_database where datname = %s", (name,))
                if cursor.fetchone() is None:
                    try:
                        cursor.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
                    except (psycopg2.errors.DuplicateDatabase, psycopg2.errors.UniqueViolation):
                        pass
        finally:
            connection.close()

    def stop(self) -> None:
        """Stop the server if it runs."""
        self._run(str(self.bin / "pg_ctl"), "stop", "-m", "fast", "-w", "-D", str(self.data))
