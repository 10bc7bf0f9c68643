"""The place of the private cluster: its folder, its user, its socket, its processes.

May import `app.errors`. Promises: what it makes is owned by the cluster's user; a socket folder
is used only when no one else can enter it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import pwd
import re
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from app.errors import ClusterError

PORT = 5432
#: `sun_path` of a unix socket holds 108 bytes with the closing zero.
LONGEST_SOCKET = 107


class Home:
    """Where a cluster lives and as whom.

    Parameters
    ----------
    root
        Data folder of the installation.

    Attributes
    ----------
    home
        `root`, or `/var/lib/wusetu/<hash>` when root runs it and no other user can enter `root`.
    data
        PostgreSQL's data folder, `home/pg`.
    log
        The server's log, `home/server.log`.
    user
        The user that owns and runs the cluster; None: the present one.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root).expanduser().absolute()
        self._choose_home()

    def _choose_home(self) -> None:
        """Set `home`, `data`, `log`, `user`: who owns the cluster, and where."""
        self.user: pwd.struct_passwd | None = None
        self.home = self.root
        if os.geteuid() == 0:
            # initdb refuses root: a system user of no rights owns and runs the cluster
            self.user = _system_user()
            tag = hashlib.sha256(os.fsencode(self.root.resolve())).hexdigest()[:12]
            moved = Path("/var/lib/wusetu") / tag
            with said(self.root):
                if not self.root.exists():
                    self.root.mkdir(parents=True)
                    self.root.chmod(0o755)  # whatever the umask
                if (self.root / "pg").exists():
                    owner = (self.root / "pg").stat().st_uid
                    if owner not in (0, self.user.pw_uid):
                        self.user = pwd.getpwuid(owner)  # a plain user made it; stay that user
            if moved.exists() or not self._reachable(self.root):
                self.home = moved
        self.data = self.home / "pg"
        self.log = self.home / "server.log"

    @property
    def moved(self) -> bool:
        """Whether the cluster is outside the data folder because its user cannot enter that."""
        return self.home != self.root

    def _reachable(self, folder: Path) -> bool:
        return self._run("/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)).returncode == 0

    def _run(
        self, *argv: str | Path, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as the cluster's user, with none of the caller's PG… variables."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LD_", "LC_"))}
        clean |= {"LC_ALL": "C.UTF-8", "LANG": "C.UTF-8", **(env or {})}
        if self.user:
            clean |= {"HOME": self.user.pw_dir, "USER": self.user.pw_name}
        return subprocess.run(  # noqa: S603
            [os.fspath(one) for one in argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            env=clean,
            check=False,
            user=self.user.pw_uid if self.user else None,
            group=self.user.pw_gid if self.user else None,
            extra_groups=[] if self.user else None,
        )

    # -- socket ---

    @property
    def socket_dir(self) -> Path:
        """Folder of the unix socket: inside the cluster's own folder where that is short and
        plain enough, else a folder of random name in the temporary folder, noted in `home`.
        """  # noqa: D205
        inside = self.home / "run"
        if _fits(inside):
            return inside
        try:
            noted = Path(os.fsdecode((self.home / "socket").read_bytes().strip()))
        except FileNotFoundError:
            return inside  # not started yet
        except OSError as error:
            raise explained(error, self.home) from error
        return noted

    def _private(self, folder: Path) -> bool:
        """Whether `folder` is a real folder that the cluster's user alone can enter."""
        try:
            found = folder.lstat()
        except OSError:
            return False
        owner = self.user.pw_uid if self.user else os.geteuid()
        return (
            stat.S_ISDIR(found.st_mode) and found.st_uid == owner and not stat.S_IMODE(found.st_mode) & 0o077
        )  # fmt: skip

    def _make_socket_dir(self) -> Path:
        folder = self.socket_dir
        if _fits(folder):
            if self._private(folder):
                return folder
            if folder.parent == self.home:  # ours by its place: only the mode can be wrong
                folder.mkdir(mode=0o700, exist_ok=True)
                self._own(folder)
                folder.chmod(0o700)
                return folder
        # A name no one can foresee, made with 0700 by mkdtemp: nobody can sit on it beforehand.
        folder = Path(tempfile.mkdtemp(prefix="wst-", dir=_short_temp()))
        self._own(folder)
        note = self.home / "socket"
        note.write_bytes(os.fsencode(folder))
        note.chmod(0o644)
        return folder

    def _own(self, path: Path) -> None:
        if self.user:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    # -- processes and disk ---

    def _recorded(self) -> int | None:
        """Pid in `postmaster.pid`; None when there is none. It may name anyone."""
        try:
            return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None

    def _members(self) -> set[int]:
        """Pids of living PostgreSQL processes of this data folder (each has it as its cwd).

        Asked as the cluster's user: root in a container may not look into others' /proc.
        """
        done = self._run(
            "find", "/proc", "-mindepth", "2", "-maxdepth", "2", "-name", "cwd", "-type", "l",
            "-printf", "%h\t%l\n",
        )  # fmt: skip
        here = str(self.data.resolve())
        found = set()
        for line in done.stdout.splitlines():
            process, _, cwd = line.partition("\t")
            if cwd != here or not (name := process.rpartition("/")[2]).isdigit():
                continue
            with contextlib.suppress(OSError):
                if Path(process, "comm").read_text().startswith("postgres"):
                    found.add(int(name))
        return found

    def free(self) -> int:
        """Bytes the cluster may still write in its folder."""
        found = os.statvfs(self.home)
        return found.f_bavail * found.f_frsize


def _system_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ClusterError("root may not run PostgreSQL, and there is no user postgres or nobody")


def _fits(folder: Path) -> bool:
    """Whether a socket in `folder` has a name the system, libpq and URLs all take as it is."""
    name = os.fsencode(folder / f".s.PGSQL.{PORT}")
    # the ".lock" beside the socket is an ordinary file and has no such limit
    return len(name) <= LONGEST_SOCKET and bool(re.fullmatch(rb"[A-Za-z0-9_./+-]+", name))


def _short_temp() -> Path:
    folder = Path(tempfile.gettempdir())
    return folder if _fits(folder / "wst-12345678") else Path("/tmp")  # noqa: S108


def explained(error: OSError, place: Path) -> ClusterError:
    """Say what the system refused, where (`place`, unless `error` knows better), and to whom."""
    path = Path(os.fsdecode(error.filename or place))
    who = pwd.getpwuid(os.geteuid()).pw_name if _known(os.geteuid()) else str(os.geteuid())
    owner = ""
    with contextlib.suppress(OSError, KeyError):
        owner = f" (it belongs to {pwd.getpwuid(path.stat().st_uid).pw_name})"
    return ClusterError(
        f"{path}: {error.strerror or error} for user {who}{owner}; "
        "run as the user who made it, or choose another folder with WUSETU_DATA_DIR"
    )


def _known(uid: int) -> bool:
    with contextlib.suppress(KeyError):
        pwd.getpwuid(uid)
        return True
    return False


@contextlib.contextmanager
def said(place: Path) -> Iterator[None]:
    """Turn what the system refuses into one clear error."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ClusterError(f"the disk is full: {place}") from error
        raise explained(error, place) from error
