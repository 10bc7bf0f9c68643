"""The reference is complete and current: commands, settings, errors, scenes, tables, colours."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import click
import pytest
import sqlalchemy as sa

from app.docsite import reference
from app.docsite.catalogue import Catalogue, Relation, read
from app.docsite.chinese import Chinese
from app.settings import PROJECT


@pytest.fixture
def found(engine: sa.Engine) -> Catalogue:
    with engine.connect() as connection:
        return read(connection)


def test_nothing_is_undocumented_or_stale(found: Catalogue) -> None:
    made, missing = reference.pages(found)
    assert missing == [], "describe these where they are made"
    old = [str(one.relative_to(PROJECT)) for one in reference.stale(made)]
    assert old == [], "run `wusetu docs reference`"


def test_what_nobody_described_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = click.Command("bare", params=[click.Option(["--dark"])])
    monkeypatch.setattr(reference, "commands", lambda: iter([("wusetu bare", bare)]))
    missing = reference.Missing()
    reference.cli_page("en", missing)
    assert missing == [
        "not described: command wusetu bare",
        "not described: option --dark of wusetu bare",
    ]
    missing.clear()
    empty = Relation("t", "r", None, False, (("a", "int", None),))
    reference.sql_page("en", missing, Catalogue((empty,), (("f", "", "int", None),)))
    assert missing == [f"not described: {one}" for one in ("table t", "column t.a", "function f")]


def test_chinese_that_is_missing_obsolete_or_wrong_is_named(tmp_path: Path) -> None:
    (tmp_path / "cli.po").write_text(
        'msgid "Only `a` of {place}, see --deep."\nmsgstr "只看 {place}，见 --deep。"\n\n'
        'msgid "Gone."\nmsgstr "没有了。"\n\n'
        'msgid "Good   `a`."\nmsgstr "好的 `a`。"\n'
    )
    chinese = Chinese(tmp_path)
    tell = chinese.of("cli")
    assert tell("Good   `a`.") == "Good `a`."  # an entry has single spaces, as a text is asked
    assert tell("Only `a`\n    of {place}, see --deep.") == "只看 {place}，见 --deep。"
    assert chinese.of("sql")("Nobody\n said it.") == "Nobody said it."
    assert chinese.of("scene")("Nobody said it.") == "Nobody said it."
    assert tell("") == ""
    assert chinese.faults() == [
        "code or places differ (cli): Only `a` of {place}, see --deep. / 只看 {place}，见 --deep。",
        "not translated (cli): Good `a`.",
        "not translated (sql, scene): Nobody said it.",
        "obsolete (cli): Gone.",
        "obsolete (cli): Good   `a`.",
    ]
    for file, text in chinese.files().items():
        file.write_text(text)
    # said on two pages, it stands once, on the first; what is obsolete went
    assert "#: scene sql\nmsgid" in (tmp_path / "sql.po").read_text()
    again = Chinese(tmp_path)
    assert again.entries == {
        "Good `a`.": "",
        "Only `a` of {place}, see --deep.": "只看 {place}，见 --deep。",
        "Nobody said it.": "",
    }


def test_a_stale_page_is_found(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    assert reference.stale({page: "new"}) == [page]
    page.write_text("new")
    assert reference.stale({page: "new"}) == []


def test_every_variable_the_program_reads_is_listed() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "app", "geo", "tiles", "scripts", "Dockerfile", "docker-compose.yml",
         ".env.example", "wusetu.py", "frontend/vite.config.ts"],
        cwd=PROJECT, check=False, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    if not tracked:
        pytest.skip("not a git checkout")
    used: set[str] = set()
    for name in tracked:
        file = PROJECT / name
        if file.is_file() and file.suffix in {"", ".py", ".sh", ".yml", ".ts", ".example"}:
            text = file.read_text(encoding="utf-8", errors="ignore")
            used |= set(re.findall(r"\bWUSETU_[A-Z_]*[A-Z]\b(?!_)", text))
    listed = set(
        re.findall(r"WUSETU_[A-Z_]+", (PROJECT / "docs/en/reference/settings.md").read_text())
    )
    assert used - listed - reference.INNER_VARIABLES == set()
