"""Compiled code of older sources is forgotten. May import numba.

numba keeps compiled functions beside their source, or where it is told to (`NUMBA_CACHE_DIR`), or where
the user may write when neither can be written, and looks at that one file only, not at those whose
functions and numbers were compiled in: where only `geo.cube.cover` is another one than yesterday,
`geo.cube.quick` would go on counting with yesterday's.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import numba

STAMP = "sources.sha256"


@numba.njit(cache=True)
def _any() -> None:
    """Never called: tells where functions of this folder are kept."""


def place() -> Path | None:
    """Folder in which numba keeps the compiled functions of this one; None: nothing is compiled."""
    stats = getattr(_any, "stats", None)
    return Path(stats.cache_path) if stats else None


def forget(folder: Path, kept: Path) -> bool:
    """Remove what was compiled of a folder's sources when any of them is another one than then.

    Parameters
    ----------
    folder : Path
        Where the sources lie; `compiled.py` beside it is one of them.
    kept : Path
        Where what was compiled of them alone is kept, see `place`.

    Returns
    -------
    bool
        Whether it was of other sources. False, too, where nothing can be written: nothing was kept there.

    """
    made = hashlib.sha256()
    # with what is made of a function before it is compiled
    for path in [*sorted(folder.glob("*.py")), *folder.parent.glob("compiled.py")]:
        made.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    digest = made.hexdigest()
    stamp = kept / STAMP
    try:
        if stamp.read_text(encoding="ascii") == digest:
            return False
    except (OSError, ValueError):
        pass  # never written, or damaged
    try:
        kept.mkdir(parents=True, exist_ok=True)
        for one in kept.glob("*.nb[ic]"):
            one.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{STAMP}-", dir=kept)
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(digest)
        os.replace(name, stamp)
    except OSError:
        return False
    return True
