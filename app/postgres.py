"""Which PostgreSQL + PostGIS programs this machine offers, and how to call them.

Standard library only, beside the project's own settings. Three places are looked at: the folder named by `WUSETU_PG_BIN`, the
packages unpacked by `scripts/postgres.sh` into the data folder, and the distribution's own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app.errors import ClusterError
from app.settings import PROJECT

#: Oldest major version the SQL of the project is tested on.
OLDEST = 15


@dataclass(frozen=True)
class Programs:
    """One installation of PostgreSQL with PostGIS.

    Attributes
    ----------
    bin
        Folder with `initdb`, `postgres`, `pg_ctl`, `psql`.
    major
        Major version, for example 15.
    env
        Variables its programs need; not empty for unpacked packages only.
    """

    bin: Path
    major: int
    env: dict[str, str] = field(default_factory=dict)


def _major(bin_dir: Path) -> int | None:
    """Major version of the server in `bin_dir`; None when it is not usable."""
    if not (bin_dir / "initdb").exists():
        return None
    # Debian's layout names the version; only an unknown layout is asked.
    if bin_dir.parent.name.isdigit() and bin_dir.parent.parent.name == "postgresql":
        return int(bin_dir.parent.name)
    try:
        answer = subprocess.run(  # noqa: S603
            [bin_dir / "postgres", "--version"], capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return None
    found = re.search(r"(\d+)[.\s\w]", answer)
    return int(found[1]) if found else None


def _unpacked_env(root: Path) -> dict[str, str]:
    """Variables under which programs unpacked into `root` find their libraries and data."""
    libraries = [
        str(folder)
        for pattern in ("usr/lib/*-linux-*", "lib/*-linux-*", "usr/lib/*-linux-*/blas")
        for folder in sorted(root.glob(pattern))
        if folder.is_dir()
    ]
    return {
        "LD_LIBRARY_PATH": ":".join(libraries),
        "PROJ_DATA": str(root / "usr/share/proj"),
        "PROJ_LIB": str(root / "usr/share/proj"),  # its name before PROJ 9.1
    }


def _has_postgis(bin_dir: Path, major: int) -> bool:
    prefix = bin_dir.parents[3]  # /usr/lib/postgresql/15/bin
    folders = (
        prefix / "share/postgresql" / str(major) / "extension",
        bin_dir.parent / "share/extension",
        bin_dir.parent / "share/postgresql/extension",
    )
    return any(next(folder.glob("postgis*.control"), None) for folder in folders)


def _candidates(data_dir: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    if named := os.environ.get("WUSETU_PG_BIN"):
        bin_dir = Path(named).resolve()
        root = next((up for up in bin_dir.parents if (up / ".unpacked").exists()), None)
        yield bin_dir, _unpacked_env(root) if root else {}
        return
    # the set-up unpacks into the project's data folder; a test's cluster has another one
    for root in (Path("/"), data_dir / "deb", PROJECT / ".wusetu" / "deb"):
        try:
            there = sorted((root / "usr/lib/postgresql").glob("*/bin"), reverse=True)
            env = _unpacked_env(root) if there and root != Path("/") else {}
        except PermissionError:  # in the closed home of another user
            continue
        for bin_dir in there:
            yield bin_dir, env
    if which := shutil.which("initdb"):
        yield Path(which).resolve().parent, {}


def find(data_dir: Path) -> list[Programs]:
    """Usable installations, the best one first: distribution before unpacked, newest first.

    Parameters
    ----------
    data_dir
        The project's data folder (`deb/` inside it holds unpacked packages).

    Raises
    ------
    ClusterError
        There is none; the message says what to do.
    """
    found: list[Programs] = []
    without: list[Path] = []
    for bin_dir, env in _candidates(data_dir):
        major = _major(bin_dir)
        if major is None or any(one.bin == bin_dir for one in found):
            continue
        if _has_postgis(bin_dir, major):
            found.append(Programs(bin_dir, major, env))
        else:
            without.append(bin_dir)
    if found:
        return found
    if named := os.environ.get("WUSETU_PG_BIN"):
        raise ClusterError(f"WUSETU_PG_BIN={named} holds no PostgreSQL with PostGIS")
    beside = f" ({without[0]} has no PostGIS)" if without else ""
    raise ClusterError(
        f"PostgreSQL with PostGIS is not installed{beside}: run `make up`, "
        "or set WUSETU_DATABASE_URL to a server of yours"
    )
