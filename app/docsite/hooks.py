"""What mkdocs asks while it builds: marks of the tests at fenced blocks become plain fences.

mkdocs loads this file by its path, so it imports nothing of the project. The marks (see
`tests/docs/pages.py`): ``sh run``, ``sh run slow``, ``sh checked=FILE``, ``LANGUAGE file=NAME``,
``text output``. Without them a page would show its fences as text.
"""

from __future__ import annotations

import re
from typing import Any

_FENCE = re.compile(r"^(?P<open>`{3,})(?P<language>\w+) (?P<marks>[^`\n]+)$", re.MULTILINE)


def plain_fences(text: str) -> str:
    """Replace the marks behind the language of a fence; a file's name becomes its title."""

    def plain(found: re.Match[str]) -> str:
        name = next((mark[5:] for mark in found["marks"].split() if mark.startswith("file=")), None)
        title = f' title="{name}"' if name else ""
        return f"{found['open']}{found['language']}{title}"

    return _FENCE.sub(plain, text)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Event of mkdocs: the text of one page, before it is read."""
    return plain_fences(markdown)
