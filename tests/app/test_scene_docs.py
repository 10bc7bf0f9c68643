"""docs/scenes.md: its files and commands work as they stand there; its reference is the models'."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from app.cli import cli
from app.services.indicator_values import Question, league, values
from app.services.scene_schema import PAGE, page_text

BLOCK = re.compile(r"```(?:\w+) (file=\S+|run|output)\n(.*?)```\n", re.DOTALL)


def test_the_reference_is_that_of_the_models() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page_text(text), "run `wusetu scene schema`"
    assert re.findall(r"^\| `\w+` \|  \|.*", text, re.MULTILINE) == [], "keys without a value"
    with pytest.raises(ValueError, match="has lost its marks"):
        page_text("nothing")


def test_a_newcomer_gets_through(
    db_url: str, engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WUSETU_DATABASE_URL", db_url)
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    said, ran = "", []
    for what, body in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if what.startswith("file="):
            (tmp_path / what[5:]).write_text(body, encoding="utf-8")
        elif what == "output":
            assert said == body
        else:
            for line in body.splitlines():
                name, *words = shlex.split(line)
                assert name == "wusetu"
                found = runner.invoke(cli, words)
                # comparing says 1 when there is something to say
                assert found.exit_code == (1 if words[:2] == ["scene", "diff"] else 0), found.output
                said = found.output
                ran.append(tuple(words[:2]))
    assert ran == [
        ("scene", "check"), ("indicators", "units"), ("indicators", "import"), ("scene", "apply"),
        ("indicators", "run"), ("scene", "diff"), ("indicators", "status"),
    ]  # fmt: skip
    # what the page says about West
    with engine.connect() as connection:
        answer = values(connection, "noise", None, Question("town", "month", 1))
        west = {row.indicator: row for row in answer.rows if row.code == "990102"}
        assert (west["noise_rate"].printed, west["noise_rate"].class_) == ("50.00", "bad")
        assert west["noise_rate"].step == "remind"
        table = league(connection, "noise", None, Question("town", "month", 1))
        assert [row.name for row in table.rows] == ["东镇", "西镇"]


def test_every_command_of_the_page_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for group, command in set(re.findall(r"wusetu (scene|indicators) (\w+)", text)):
        found = CliRunner().invoke(cli, [group, command, "--help"])
        assert found.exit_code == 0, (group, command)
