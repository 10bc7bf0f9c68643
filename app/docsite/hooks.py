"""What mkdocs asks while it builds: which pages are of which language, and fences without marks.

mkdocs loads this file by its path, so it imports nothing of the project.

A page of the handbook is `docs/NAME.md` in English and `docs/zh/NAME.md` in Chinese. The plugin for
languages wants one of them, so each language's build is given its own; a page that is not
translated yet is the English one on both sides.

The marks of the tests at fenced blocks (see `tests/docs/docs_pages.py`): ``sh run``,
``sh checked=FILE``, ``LANGUAGE file=NAME``, ``text output``. Without this a page would show its
fences as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_FENCE = re.compile(r"^(?P<open>`{3,})(?P<language>\w+) (?P<marks>[^`\n]+)$", re.MULTILINE)


def plain_fences(text: str) -> str:
    """Replace the marks behind the language of a fence; a file's name becomes its title."""

    def plain(found: re.Match[str]) -> str:
        name = next((mark[5:] for mark in found["marks"].split() if mark.startswith("file=")), None)
        title = f' title="{name}"' if name else ""
        return f"{found['open']}{found['language']}{title}"

    return _FENCE.sub(plain, text)


def not_of(language: str, pages: Iterable[str]) -> set[str]:
    """Pages (paths below `docs/`) that the build of one language, `zh` or `en`, leaves out."""
    there = set(pages)
    twins = {one for one in there if "/" not in one and f"zh/{one}" in there}
    return twins if language == "zh" else {f"zh/{one}" for one in twins}


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """Event of mkdocs: the files of one language's build, before the plugin for languages."""
    out = not_of(config.plugins["i18n"].current_language, (one.src_uri for one in files))
    for one in [one for one in files if one.src_uri in out]:
        files.remove(one)
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Event of mkdocs: the text of one page, before it is read."""
    return plain_fences(markdown)
