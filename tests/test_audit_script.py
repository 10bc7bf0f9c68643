"""What `make audit` makes of answers and of silence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BUG = {"id": "X-1", "fix_versions": ["2"]}


@pytest.mark.parametrize(
    ("kind", "answer", "code"),
    [
        ("python", {"dependencies": [{"name": "a", "version": "1", "vulns": []}]}, 0),
        ("python", {"dependencies": [{"name": "a", "version": "1", "vulns": [BUG]}]}, 1),
        ("python", {}, 0),
        ("node", {"vulnerabilities": {}}, 0),
        ("node", {"vulnerabilities": {"a": {"severity": "high", "range": "<2"}}}, 1),
        ("node", {"error": {"code": "ENOAUDIT"}}, 0),
        ("node", None, 0),
        ("python", [], 0),
    ],
)
def test_found_fails_and_silence_passes(
    tmp_path: Path, kind: str, answer: object, code: int
) -> None:
    file = tmp_path / "answer.json"
    file.write_text("" if answer is None else json.dumps(answer))
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/audited.py", kind, "lock", "1", file],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "known vulnerabilities" in done.stdout or "not checked" in done.stdout
