"""A place to follow a page in: a folder like the project's, a database, the commands on the path."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pages.py beside this file

from pages import Block, blocks

from app.settings import PROJECT

Follow = Callable[..., list[str]]


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder in which the paths of the pages lead where they lead in the project's."""
    folder = tmp_path / "wusetu"
    folder.mkdir()
    for name in ("data", "scripts", "Makefile", "docker-compose.yml"):
        (folder / name).symlink_to(PROJECT / name)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "wusetu"):
        (programs / name).symlink_to(Path(sys.executable).with_name(name))
    return folder


@pytest.fixture
def follow(desk: Path, db_url: str, tmp_path: Path) -> Follow:
    """Do what a page says, in one shell; give back what each command block printed."""

    def run(page: Path, base: str | None = None, **more: str) -> list[str]:
        return follow_page(page, desk, db_url, tmp_path / "data", base, **more)

    return run


def follow_page(
    page: Path, desk: Path, db_url: str, data_dir: Path, base: str | None = None, **more: str
) -> list[str]:
    """Run the blocks of a page; every exit code and every printed part must be as it says."""
    found = [one for one in blocks(page) if {"run", "output"} & set(one.marks) or one.value("file")]
    environment = {
        **os.environ, "WUSETU_DATABASE_URL": db_url, "WUSETU_DATA_DIR": str(data_dir),
        "PYTHONPATH": str(PROJECT), "LC_ALL": "C.UTF-8",
        "PATH": f"{desk / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}", **more,
    }  # fmt: skip
    mark = "== block ended with"
    script = ["exec 2>&1"]
    for one in found:
        if name := one.value("file"):
            (desk / name).write_text(one.text, encoding="utf-8")
        elif "run" in one.marks:
            text = one.text if base is None else one.text.replace("http://127.0.0.1:8000", base)
            # the whole block in this shell, so that `export` and `cd` hold; it stops at a failure
            script += ["ended=0", *_watched(text), f'echo "{mark} $ended"']
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=desk, env=environment, check=False, text=True,
        capture_output=True, stdin=subprocess.DEVNULL, timeout=900,
    )  # fmt: skip
    ends = re.split(rf"^{mark} (\d+)$\n?", done.stdout, flags=re.MULTILINE)
    printed = list(zip(ends[::2], ends[1::2], strict=False))
    said: list[str] = []
    at = -1
    for one in found:
        if "run" in one.marks:
            at += 1
            assert at < len(printed), f"{page.name} stopped after:\n{done.stdout}{done.stderr}"
            text, code = printed[at]
            assert code == (one.value("exit") or "0"), f"{one.text}\nended with {code}:\n{text}"
            said.append(text)
        elif "output" in one.marks:
            assert one.text.strip("\n") in said[-1], f"not printed: {one.text}\nbut:\n{said[-1]}"
    return said


def _watched(text: str) -> list[str]:
    """Commands of a block, each only when those before it did well."""
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [f"if [ $ended = 0 ]; then {line}\nended=$?; fi" for line in lines]


__all__ = ["Block", "Follow", "follow_page"]
