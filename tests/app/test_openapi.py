"""The description of the API: complete, and the committed copy is the application's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import cli
from app.cli.openapi import FILE, document
from app.settings import PROJECT

BODY = json.loads(document())
ROUTES = [
    (path, method, operation)
    for path, item in BODY["paths"].items()
    for method, operation in item.items()
]


def test_the_committed_copy_is_not_stale() -> None:
    assert FILE.read_text(encoding="utf-8") == document(), "run `wusetu openapi`"


def test_check_shows_the_drift(tmp_path: Path) -> None:
    path = tmp_path / "openapi.json"
    run = CliRunner()
    assert run.invoke(cli, ["openapi", "--file", str(path)]).exit_code == 0
    assert run.invoke(cli, ["openapi", "--check", "--file", str(path)]).exit_code == 0
    path.write_text(path.read_text().replace("Wusetu", "Other"))
    found = run.invoke(cli, ["openapi", "--check", "--file", str(path)])
    assert found.exit_code == 1
    assert '-    "title": "Other"' in found.output
    assert "Other" in path.read_text()


@pytest.mark.parametrize(("path", "method", "operation"), ROUTES, ids=lambda value: str(value)[:60])
def test_every_operation_is_described(path: str, method: str, operation: dict) -> None:
    assert operation["operationId"]
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"]
    answers = operation["responses"]
    good = next(answers[one] for one in ("200", "201", "202", "204", "303") if one in answers)
    assert good["description"] != "Successful Response" or "204" in answers or "json" in str(good)
    if "content" in good and not path.startswith("/tiles/"):
        for kind, content in good["content"].items():
            assert "schema" in content
            assert content["schema"], (path, kind)
    assert "422" in answers
    if path not in {"/api/health", "/api/health/ready"}:
        assert "503" in answers
    for status in ("404", "422", "503"):
        if status in answers and path not in {"/api/health", "/api/health/ready"}:
            schema = answers[status]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ErrorBody"}
    for parameter in operation.get("parameters", []):
        assert parameter["description"], (path, parameter["name"])


def test_operation_ids_are_unique() -> None:
    names = [operation["operationId"] for _, _, operation in ROUTES]
    assert len(set(names)) == len(names)


def test_every_address_is_in_the_documentation() -> None:
    text = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8")
    for path, _, operation in ROUTES:
        assert path in text, f"{path} is not in docs/api.md"
        assert operation["operationId"] in text
