"""Fenced blocks of the documentation that are commands, files and what is printed.

Marks behind the language of a fence: `run` (run by a test; `exit=N` when it ends otherwise than 0),
`checked=FILE` (a test or script of the project does it, for it wants another machine), `file=NAME`
(a file the reader makes), `output` (a part of what the command before prints).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from app.settings import PROJECT

DOCS = PROJECT / "docs"
SHELLS = {"sh", "bash", "console", "shell"}
_BLOCK = re.compile(r"^```(\w+)?([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block: language, marks, text."""

    language: str
    marks: tuple[str, ...]
    text: str

    def value(self, name: str) -> str | None:
        """Value of a mark `name=value`."""
        return next((one.partition("=")[2] for one in self.marks if one.startswith(f"{name}=")), None)

    @property
    def is_command(self) -> bool:
        return self.language in SHELLS


def blocks(page: Path) -> list[Block]:
    """Blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    return [Block(language, tuple(marks.split()), body) for language, marks, body in _BLOCK.findall(text)]


def commands(text: str) -> list[str]:
    """Command lines of a block, comments left out, continued lines joined."""
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    return [line.split("  #")[0].strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]
