"""What every page keeps: both languages say the same, no command is untried, words are the screen's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from docs_pages import DOCS, SHELLS, blocks

from app.docsite.hooks import plain_fences
from app.settings import PROJECT

ZH, EN = DOCS / "zh", DOCS / "en"
#: Pages with a file in each language's folder; those of the handbook are in test_handbook.py.
NAMES = sorted(str(one.relative_to(EN)) for one in EN.rglob("*.md"))
WORDS = PROJECT / "frontend" / "src"


def test_both_languages_have_the_same_pages() -> None:
    handbook = {one.name for one in DOCS.glob("*.md")}
    chinese = {str(one.relative_to(ZH)) for one in ZH.rglob("*.md")}
    assert not handbook & set(NAMES), "a page of the handbook has its English text in docs/"
    assert sorted(chinese - handbook) == NAMES


def test_every_page_is_in_the_navigation() -> None:
    text = (PROJECT / "mkdocs.yml").read_text(encoding="utf-8")
    nav = yaml.safe_load(text[text.index("\nnav:") :])["nav"]

    def files(node: object) -> set[str]:
        if isinstance(node, str):
            return {node}
        inner = node.values() if isinstance(node, dict) else node
        assert inner is not None
        return {one for each in inner for one in files(each)}  # type: ignore[attr-defined]

    there = {*NAMES, *(one.name for one in DOCS.glob("*.md"))}
    assert files(nav) == there, "a page of docs/ is not in mkdocs.yml, or is gone"


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_have_the_same_blocks(name: str) -> None:
    if name.startswith("reference/"):
        return
    chinese, english = blocks(ZH / name), blocks(EN / name)
    assert chinese == english


@pytest.mark.parametrize("name", NAMES)
def test_no_command_is_untried(name: str) -> None:
    for one in blocks(ZH / name):
        if one.language not in SHELLS or "run" in one.marks:
            continue
        checked = one.value("checked")
        assert checked, f"neither run nor checked:\n{one.text}"
        assert (PROJECT / checked).is_file(), checked


@pytest.mark.parametrize(("lang", "folder"), [("zh", ZH), ("en", EN)])
def test_words_in_bold_are_on_the_screen(lang: str, folder: Path) -> None:
    files = [*WORDS.rglob(f"{lang}.ts"), *WORDS.rglob("words.ts")]
    known = "\n".join(one.read_text(encoding="utf-8") for one in files).replace("\u00a0", " ")
    unknown = [
        (page.name, word)
        for page in sorted((folder / "howto").glob("*.md"))
        for found in re.findall(r"\*\*(.+?)\*\*", page.read_text(encoding="utf-8"))
        for word in [found.replace("\\*", "*")]
        if not any(f"{mark}{word}" in known for mark in ('"', "`", "'"))
    ]
    assert unknown == [], "no words of the front end"


def test_marks_do_not_reach_the_reader() -> None:
    text = "```yaml file=a.yaml\nx: 1\n```\n\n```sh run exit=3\nls\n```\n\n```text\nplain\n```\n"
    assert plain_fences(text) == (
        '```yaml title="a.yaml"\nx: 1\n```\n\n```sh\nls\n```\n\n```text\nplain\n```\n'
    )
