"""Snapshots on disk: one file per array and a manifest, whole or not at all. May import numpy.

Promises: a folder that stands under its name is complete: every file was written, flushed to the
disk and digested before the folder got its name. The same rows under the same spec give the same
bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap as mapping
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

#: 1: tiles of a fixed size, events by kind; 2: longitudes and latitudes apart; 3: part by kind;
#: 4: 16 x 16 spots of a tile instead of cells
FORMAT = 5
MANIFEST = "manifest.json"
#: bytes of a large page
_LARGE = 1 << 21
_POPULATE = 22  # MADV_POPULATE_READ of Linux 5.14, which Python does not name


class SnapshotError(ValueError):
    """A snapshot that is missing, torn, damaged or of another format; or rows it does not hold."""


def write(folder: Path, arrays: Mapping[str, npt.NDArray[Any]], about: Mapping[str, Any]) -> str:
    """Write a folder that must not exist yet; give back the digest of its manifest.

    Raises
    ------
    FileExistsError
        Something stands there already: a snapshot is never changed.

    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        raise FileExistsError(f"{folder} exists; a snapshot is never changed")
    new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        digests = {}
        for name, array in arrays.items():
            path = new / f"{name}.npy"
            with path.open("wb") as stream:
                np.save(stream, array)
                stream.flush()
                os.fsync(stream.fileno())
            digests[name] = file_digest(path)
            forget(path)
        text = json.dumps({"format": FORMAT, **about, "sha256": digests}, indent=1, sort_keys=True)
        with (new / MANIFEST).open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        new.chmod(0o755)
        _sync(new)
        os.rename(new, folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return hashlib.sha256(text.encode()).hexdigest()


def read(
    folder: Path, verify: bool, mmap: bool
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any], str]:
    """Arrays, manifest and its digest of what `write` wrote.

    Raises
    ------
    SnapshotError
        Names the file and what is wrong with it.

    """
    folder = Path(folder)
    try:
        text = (folder / MANIFEST).read_bytes()
        about: dict[str, Any] = json.loads(text)
        if about["format"] != FORMAT:
            raise SnapshotError(f"{folder} has format {about['format']}, not {FORMAT}")
        arrays = {}
        for name, digest in about["sha256"].items():
            path = folder / f"{name}.npy"
            if verify and mmap:
                _fetch(path)
            if verify and file_digest(path) != digest:
                raise SnapshotError(f"{path} is damaged: its digest differs")
            array = np.load(path, mmap_mode="r" if mmap else None)
            if isinstance(array, np.memmap):
                _advise(cast("Any", array)._mmap)
            array.flags.writeable = False  # mapped or not: one compiled version serves both
            arrays[name] = np.asarray(array)  # a plain view: compiled code takes no memmap
    except FileNotFoundError as error:
        raise SnapshotError(f"{error.filename} is missing") from error
    except SnapshotError:
        raise
    except Exception as error:  # a damaged file makes its readers raise anything
        raise SnapshotError(f"{folder} cannot be read: {error}") from error
    return arrays, about, hashlib.sha256(text).hexdigest()


def check_format(folder: Path) -> None:
    """Read the manifest alone.

    Raises
    ------
    SnapshotError
        It is missing, torn, or tells of a format that is not read here.

    """
    try:
        about = json.loads((Path(folder) / MANIFEST).read_bytes())
        found = about["format"]
    except FileNotFoundError as error:
        raise SnapshotError(f"{error.filename} is missing") from error
    except Exception as error:  # a damaged file makes its readers raise anything
        raise SnapshotError(f"{folder} cannot be read: {error}") from error
    if found != FORMAT:
        raise SnapshotError(f"{folder} has format {found}, not {FORMAT}")


def file_digest(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _advise(mapped: mapping.mmap, *more: int) -> None:
    """Ask the system to hold a mapped file in large pages; where it cannot nothing changes.

    A question looks at thousands of places all over the files. With pages of 4 kB the processor has to
    look many of them up first.
    """
    if sys.platform != "linux" or len(mapped) < _LARGE:
        return
    with contextlib.suppress(OSError):
        for advice in (mapping.MADV_HUGEPAGE, *more):
            mapped.madvise(advice)


def _fetch(path: Path) -> None:
    """Read a file into the system's memory before anybody reads it in small pieces, in small pages."""
    with path.open("rb") as stream:
        if os.fstat(stream.fileno()).st_size:
            with mapping.mmap(stream.fileno(), 0, access=mapping.ACCESS_READ) as mapped:
                # a fault of the disk is told by the call, not by a signal
                _advise(mapped, _POPULATE)


def forget(path: Path) -> None:
    """Let the system forget what it holds of a written file: it comes back in large pages."""
    if hasattr(os, "posix_fadvise"):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
