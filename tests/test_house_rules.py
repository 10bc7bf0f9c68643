"""Rules of the house that no linter knows: sizes of files, the Makefile, hooks, where things are said."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 500
TARGET = re.compile(r"^([a-z0-9][a-z0-9-]*):(.*)$", re.M)


# files -------------------------------------------------------------------------------------------
def long_files(limit: int = LONGEST) -> set[str]:
    """Source files of the product above a number of lines; tests and styles may be long."""
    rooms = ("app", "geo", "tiles", "migrations")
    found = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    source = ROOT / "frontend" / "src"
    found += [
        one for one in source.rglob("*.ts*") if not one.name.endswith((".gen.ts", ".test.ts"))
    ]
    return {
        path.relative_to(ROOT).as_posix()
        for path in found
        if len(path.read_text(encoding="utf-8").splitlines()) > limit
    }


def test_files_above_500_lines_are_listed() -> None:
    text = (ROOT / "docs" / "open.md").read_text(encoding="utf-8")
    entry = re.search(r"^- Files above 500 lines: (.*?)(?=^\S|\Z)", text, re.M | re.S)
    listed = set(re.findall(r"`([^`]+)`", entry[1])) if entry else set()
    found = long_files()
    assert found <= listed, f"too long and not listed in docs/open.md: {sorted(found - listed)}"
    nearly = long_files(LONGEST - 30)  # one that just got shorter may stay on the list
    assert listed <= nearly, f"listed in docs/open.md and short enough: {sorted(listed - nearly)}"


# Makefile ------------------------------------------------------------------------------------------
def rules() -> dict[str, list[str]]:
    """Target → its lines, the first one included."""
    found: dict[str, list[str]] = {}
    name = None
    for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines():
        head = TARGET.match(line)
        if head:
            name = head[1]
            assert name not in found, f"{name} twice"
            found[name] = [line]
        elif name and line.startswith("\t"):
            found[name].append(line)
        else:
            name = None
    return found


def test_targets_are_three_lines_at_most_and_say_what_they_do() -> None:
    assert len(rules()) > 10
    for name, lines in rules().items():
        assert len(lines) <= 3, f"make {name}: what it does belongs in scripts/"
        assert " ## " in lines[0], f"make {name} does not say what it does"


def test_no_target_is_a_file() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", text, re.M)
    assert phony
    assert set(phony[1].split()) == set(rules())


def test_help_lists_every_target() -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make on this machine")
    said = subprocess.run(
        [make, "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    listed = re.findall(r"^  make ([a-z0-9-]+) +(\S.*)$", said, re.M)
    assert {name for name, _ in listed} == set(rules())


def test_scripts_behind_targets_are_there_and_can_be_run() -> None:
    for name, lines in rules().items():
        for script in re.findall(r"scripts/[\w.-]+", "\n".join(lines[1:])):
            path = ROOT / script
            assert path.is_file(), f"make {name} calls {script}"
            assert path.stat().st_mode & 0o111, f"{script} is no program"


# hooks ---------------------------------------------------------------------------------------------
def test_hooks_need_no_network_and_run_what_is_there() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    (repo,) = yaml.safe_load(text)["repos"]
    assert repo["repo"] == "local"
    names = [hook["id"] for hook in repo["hooks"]]
    assert {"ruff-check", "ruff-format", "mypy", "biome"} <= set(names)
    assert len(set(names)) == len(names)
    for hook in repo["hooks"]:
        assert hook["language"] == "system", f"{hook['id']} would be fetched"
        assert "additional_dependencies" not in hook
        program = shlex.split(hook["entry"])[0]
        assert program.startswith(".venv/bin/") or program in ("npm", "sh"), program
        for pattern in (hook.get("files"), hook.get("exclude")):
            re.compile(pattern or "")
        for part in shlex.split(hook["entry"])[1:]:
            if part.startswith("tests/"):
                assert (ROOT / part).is_file(), part


# words ---------------------------------------------------------------------------------------------
def test_contributing_names_every_room_and_only_what_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for room in ("geo/", "tiles/", "app/services/", "app/api/", "app/cli/", "migrations/sql/",
                 "frontend/src/", "data/scenes/", "data/layouts/", "benchmarks/", "scripts/",
                 "tests/geo/", "tests/tiles/", "tests/app/", "tests/e2e/"):  # fmt: skip
        assert f"`{room}" in text, room
        assert (ROOT / room).is_dir(), room
    for target in re.findall(r"^make ([a-z0-9-]+)|`make ([a-z0-9 -]+)`", text, re.M):
        for one in " ".join(target).split():
            assert one in rules(), f"make {one}"
    named = re.findall(r"`((?:docs|tests|scripts|app|data)/[\w./-]+\.\w+)`", text)
    named += re.findall(r"pytest (tests/[\w./]+)", text)
    named += re.findall(r"\]\(([\w./-]+)\)", text)
    for path in named:
        assert (ROOT / path).exists(), path


def test_the_picture_of_the_architecture_is_shown() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert text.count("](img/") == 1  # one picture
    assert "img/architecture.svg" in text
    picture = (ROOT / "docs" / "img" / "architecture.svg").read_text(encoding="utf-8")
    for room in ("geo/", "tiles/", "app/", "frontend/"):
        assert f">{room}</text>" in picture
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
