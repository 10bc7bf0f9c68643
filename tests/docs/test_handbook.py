"""Each page of the handbook says the same in both languages, as far as its structure shows it.

`docs/NAME.md` is English, `docs/zh/NAME.md` its Chinese twin. Whoever changes one of them without the
other changes the headings, fences, table rows, list items, names in code or links of one: seen here.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from itertools import pairwise

import pytest
from docs_pages import DOCS

from app.docsite.hooks import not_of

HANDBOOK = sorted(one.stem for one in DOCS.glob("*.md"))

_FENCE = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE = re.compile(r"`([^`]+)`")


def target(link: str, folder: str) -> str:
    """What a link means on the site, whatever the language: `zh/` and `en/` fall away."""
    path, mark, anchor = "".join(link.split()).partition("#")
    if ":" in path or not path:
        return path + mark + anchor
    path = posixpath.normpath(posixpath.join(folder, path))
    return re.sub(r"^(zh|en)/", "", path) + mark + anchor


def structure(text: str, folder: str = "") -> dict[str, list[str]]:
    """Parts of a page that do not depend on its language; `folder`: where it lies below docs/."""
    fences = _FENCE.findall(text)
    prose = _COMMENT.sub("", _FENCE.sub("", text))
    lines = prose.splitlines()
    bare = [_CODE.sub("`", line).replace("\\|", "") for line in lines]
    return {
        "levels of headings": re.findall(r"^(#+) ", prose, re.MULTILINE),
        "fenced blocks": fences,
        "bars of table rows": [
            str(line.count("|")) for line in bare if line.lstrip().startswith("|")
        ],
        "list items": re.findall(r"^( *(?:[-*]|\d+\.)) ", prose, re.MULTILINE),
        # the order of words differs between languages
        "code in the text": sorted(" ".join(one.split()) for one in _CODE.findall(prose)),
        "links": sorted(target(one, folder) for one in re.findall(r"\]\(([^)]+)\)", prose)),
    }


def differences(english: str, chinese: str) -> list[str]:
    """What one page has and its twin has not."""
    ours, theirs = structure(english), structure(chinese, "zh")
    said = []
    for part, one in ours.items():
        other = theirs[part]
        if one != other:
            more, less = Counter(one) - Counter(other), Counter(other) - Counter(one)
            said.append(f"{part}: only English {dict(more)}, only Chinese {dict(less)}")
    return said


def test_every_page_is_in_both_languages() -> None:
    assert [name for name in HANDBOOK if not (DOCS / "zh" / f"{name}.md").is_file()] == []


@pytest.mark.parametrize("name", HANDBOOK)
def test_both_languages_say_the_same(name: str) -> None:
    english, chinese = (
        (DOCS / folder / f"{name}.md").read_text(encoding="utf-8") for folder in ("", "zh")
    )
    assert differences(english, chinese) == []
    title = chinese.splitlines()[0]
    assert re.search(r"^# .*([\u3400-\u9fff]|API|OGC)", title), "the navigation shows the title"


def stuck(text: str) -> list[str]:
    """Lines that a blank line must precede: here a list or what follows a table needs one."""
    lines = _FENCE.sub("```", text).splitlines()
    item = re.compile(r" *(?:[-*]|\d+\.) ")
    said, inside = [], False
    for before, line in pairwise(lines):
        inside = bool(before.strip()) and (inside or bool(item.match(before)))
        text_before = bool(before.strip()) and before[0] not in "#|" and not inside
        after_table = before.startswith("|") and bool(line.strip()) and line[0] != "|"
        loose = inside and bool(line.strip()) and line[0] != " " and not item.match(line)
        if (item.match(line) and text_before) or after_table or loose:
            said.append(line)
    return said


def test_lists_and_tables_stand_alone() -> None:
    pages = sorted([*DOCS.glob("*.md"), *DOCS.glob("*/*.md"), *DOCS.glob("*/howto/*.md")])
    found = {str(one.relative_to(DOCS)): stuck(one.read_text(encoding="utf-8")) for one in pages}
    assert {name: lines for name, lines in found.items() if lines} == {}
    assert stuck("text\n- one\n") == ["- one"]
    assert stuck("| a |\n|---|\ntext\n") == ["text"]
    assert stuck("- a\ntext\n") == ["text"]
    assert stuck("## A\n- a\n  b\n- c\n\ntext\n\n| a |\n") == []


def test_a_change_on_one_side_is_seen() -> None:
    english = (
        "# A\n\nSee [b](b.md#c), `x y`.\n\n- one\n\n| a | `b|c` |\n|---|---|\n\n```sh\nls\n```\n"
    )
    chinese = english.replace("one", "一").replace("See", "见")
    assert differences(english, chinese) == []
    assert differences(english, chinese.replace("b.md", "../zh/b.md")) == []
    for old, new in (
        ("# A", "## A"), ("b.md#c", "../b.md"), ("x y", "x"), ("- one", "one"), ("| a ", "| a | "),
        ("ls", "ls -l"),
    ):  # fmt: skip
        assert len(differences(english.replace(old, new), chinese)) == 1, old


def test_each_build_is_given_its_own_pages() -> None:
    pages = ["events.md", "api.md", "zh/api.md", "zh/index.md", "en/index.md", "img/a.svg"]
    assert not_of("zh", pages) == {"api.md"}
    assert not_of("en", pages) == {"zh/api.md"}


def test_links_are_seen_from_their_page() -> None:
    assert target("../img/a.svg", "zh") == target("img/a.svg", "") == "img/a.svg"
    assert target("howto/x.md#y", "zh") == target("en/howto/x.md#y", "")
    assert target("https://example.org/#a", "zh") == "https://example.org/#a"
