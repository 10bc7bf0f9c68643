"""Compiled code of older sources is forgotten, wherever it is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from geo.cube.stale import forget


def test_compiled_code_of_other_sources_is_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "cube"
    kept = folder / "__pycache__"
    kept.mkdir(parents=True)

    def compiled() -> set[str]:
        (kept / "top.g-1.nbi").touch()
        (kept / "top.g-1.1.nbc").touch()
        (kept / "top.pyc").touch()
        forgotten = forget(folder, kept)
        found = {path.suffix for path in kept.iterdir()} - {".sha256"}
        assert forgotten == (found == {".pyc"})
        return found

    (folder / "low.py").write_text("1")
    (folder / "top.py").write_text("2")
    assert compiled() == {".pyc"}  # of what, nobody knows
    assert compiled() == {".pyc", ".nbi", ".nbc"}
    (folder / "low.py").write_text("3")  # `top` may hold code of it
    assert compiled() == {".pyc"}
    (folder / "more.py").write_text("")
    assert compiled() == {".pyc"}
    (tmp_path / "compiled.py").write_text("")  # how all of them are compiled
    assert compiled() == {".pyc"}
    (tmp_path / "others.py").write_text("")
    assert compiled() == {".pyc", ".nbi", ".nbc"}
    (kept / "sources.sha256").write_bytes(b"\xff")
    assert compiled() == {".pyc"}


def test_compiled_code_is_forgotten_wherever_it_is_kept(tmp_path: Path) -> None:
    def load() -> Path:
        code = "import geo.cube; from geo.cube.stale import place; print(place())"
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return Path(done.stdout.strip())

    kept = load()
    assert tmp_path in kept.parents
    old = kept / "top.g-1.nbi"
    old.touch()
    load()
    assert old.exists()
    (kept / "sources.sha256").write_text("of other sources")
    load()
    assert not old.exists()
