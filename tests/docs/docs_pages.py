"""Fenced blocks of the documentation that are commands, files and what is printed.

Marks behind the language of a fence:

run
    run by a test; `exit=N` when it ends otherwise than 0, `server` when it asks a running server,
    `fresh` when it wants an empty database
checked=FILE
    a test or script of the project does it, for it wants another machine
file=NAME
    a file the reader makes
output
    a part of what the command before prints
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from app.settings import PROJECT

DOCS = PROJECT / "docs"
ADDRESS = "http://127.0.0.1:8000"
SHELLS = {"sh", "bash", "console", "shell"}
_BLOCK = re.compile(r"^```(\w+)?([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_END = "== this block ended with"


@dataclass(frozen=True)
class Block:
    """One fenced block: language, marks, text."""

    language: str
    marks: tuple[str, ...]
    text: str

    def value(self, name: str) -> str | None:
        """Value of a mark `name=value`."""
        start = f"{name}="
        return next((one[len(start) :] for one in self.marks if one.startswith(start)), None)


def blocks(page: Path) -> list[Block]:
    """Blocks of a page in order."""
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [Block(language, tuple(marks.split()), body) for language, marks, body in found]


def script(found: list[Block], base: str, fresh: str, fresh_data: Path) -> str:
    """Shell script that runs the blocks in one shell, so that `export` and `cd` hold."""
    lines = ["exec 2>&1"]
    for one in found:
        if "run" not in one.marks:
            continue
        assert base or "server" not in one.marks, "this page wants a server"
        text = re.sub(r"\\\n\s*", " ", one.text.replace(ADDRESS, base or ADDRESS))
        own = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        lines.append("ended=0")
        if "fresh" in one.marks:
            assert fresh, "this page wants an empty database"
            place = f"WUSETU_DATABASE_URL={shlex.quote(fresh)} WUSETU_DATA_DIR={shlex.quote(str(fresh_data))}"
            own = [f"{place} {line}" for line in own]
        # the first command that fails ends its block
        lines += [f"if [ $ended = 0 ]; then {line}\nended=$?; fi" for line in own]
        lines.append(f'echo; echo "{_END} $ended"')
    return "\n".join(lines)


def judged(page: Path, found: list[Block], printed: str) -> list[str]:
    """Hold what was printed to the page; give it back block by block."""
    parts = re.split(rf"^{_END} (\d+)\n", printed, flags=re.MULTILINE)
    told = list(zip(parts[::2], parts[1::2], strict=False))
    said: list[str] = []
    for one in found:
        if "run" in one.marks:
            assert len(said) < len(told), f"{page.name} stopped after:\n{printed}"
            text, code = told[len(said)]
            assert code == (one.value("exit") or "0"), f"{one.text}ended with {code}:\n{text}"
            said.append(text)
        elif "output" in one.marks:
            assert one.text.strip("\n") in said[-1], f"not printed:\n{one.text}but:\n{said[-1]}"
    return said
