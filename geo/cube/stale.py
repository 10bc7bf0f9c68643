"""Compiled code of older sources is forgotten. May import the standard library alone.

numba keeps compiled functions beside their source and looks at that one file only, not at those whose
functions and numbers were compiled in: where only `geo.cube.cover` is another one than yesterday,
`geo.cube.quick` would go on counting with yesterday's.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

STAMP = "sources.sha256"


def forget(folder: Path) -> bool:
    """Remove what was compiled of a folder's sources when any of them is another one than then.

    Parameters
    ----------
    folder : Path
        Where the sources lie; compiled code is looked for in its `__pycache__`.

    Returns
    -------
    bool
        Whether it was of other sources. False, too, where nothing can be written: nothing was kept there.

    """
    made = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        made.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    digest, kept = made.hexdigest(), folder / "__pycache__"
    stamp = kept / STAMP
    try:
        if stamp.read_text(encoding="ascii") == digest:
            return False
    except (OSError, ValueError):
        pass  # never written, or damaged
    try:
        kept.mkdir(exist_ok=True)
        for one in kept.glob("*.nb[ic]"):
            one.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{STAMP}-", dir=kept)
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(digest)
        os.replace(name, stamp)
    except OSError:
        return False
    return True
