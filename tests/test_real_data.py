"""Real data, end to end, by the commands the README prints."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import DatabaseSettings, Settings

README = Path(__file__).resolve().parent.parent / "README.md"


def commands(section: str, shared: Path) -> list[list[str]]:
    """Command lines of the README's code block under `section`, with the data's real folder."""
    text = README.read_text(encoding="utf-8")
    block = re.search(rf"### {section}\n.*?```sh\n(.*?)```", text, re.DOTALL)
    assert block, f"README has no section {section!r} with a code block"
    joined = block[1].replace("\\\n", " ").replace("../shared/data", str(shared))
    return [shlex.split(line) for line in joined.splitlines() if line.strip()]


def run(command: list[str], db_url: str, data_dir: Path) -> str:
    """Run one README command as a user would; give back what it printed."""
    assert command[0] == ".venv/bin/wusetu", command
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from app.cli import main; main()",
            *(
                re.sub(r"^/tmp/(?=[^/]+$)", f"{data_dir}/", part) for part in command[1:]
            ),  # not another user's
        ],
        env={**os.environ, "WUSETU_DATABASE_URL": db_url, "WUSETU_DATA_DIR": str(data_dir)},
        cwd=README.parent,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_vancouver_thefts_become_a_map(db_url: str, tmp_path: Path, shared: Path) -> None:
    printed = [run(line, db_url, tmp_path) for line in commands("Vancouver", shared)]
    assert "21,918 kept, 0 rejected" in "".join(printed)

    settings = Settings(data_dir=tmp_path, database=DatabaseSettings(url=db_url))
    with TestClient(create_app(settings)) as client:
        (shown,) = client.get("/api/manifest").json()["maps"]
        assert shown["levels"][0]["count"] == 22
        assert not shown["simulated"]
        run_id = shown["run"]
        year = {"kind": "overall", "period": "year", "ord": 0}
        ranking = client.get(f"/api/runs/{run_id}/ranking", params={"level": "town", **year}).json()
        assert ranking["total"] == 22
        # 43 of the 21,918 lie in none of the 22 areas (Stanley Park) and name none
        assert sum(row["observed"] for row in ranking["rows"]) == 21_918 - 43
        assert ranking["rows"][0]["unit"]["name"] == "Downtown"
        why = client.get(f"/api/runs/{run_id}/units/CBD/why", params=year).json()
        assert why["colour"] == "red"
        total = sum(part["value"] for part in why["contributions"])
        assert total == pytest.approx(why["estimate"]["theta"] - 1, abs=1e-9)
        tiles = shown["levels"][0]["tiles"]
        assert client.get(tiles.format(z=10, x=161, y=350)).status_code == 200


def test_taiwan_loads_with_three_levels_and_names_its_invalid_villages(
    db_url: str, engine: sa.Engine, tmp_path: Path, shared: Path
) -> None:
    (line,) = commands("Taiwan", shared)
    run(line, db_url, tmp_path)
    with engine.connect() as connection:
        counts = dict(
            connection.execute(sa.text("select level, count(*) from unit group by level")).all()
        )
        report = connection.scalar(sa.text("select report from boundary_version"))
    assert counts == {"county": 22, "town": 368, "village": 7701}
    repaired = {level["level"]: len(level["repaired"]) for level in report["levels"]}
    assert repaired == {"county": 0, "town": 0, "village": 7}
