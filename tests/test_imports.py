"""Imports go one way: app → tiles → geo."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = {
    "geo": {
        "app",
        "tiles",
        "fastapi",
        "sqlalchemy",
        "psycopg2",
        "geoalchemy2",
        "pydantic_settings",
    },
    "tiles": {"app", "fastapi", "pydantic_settings"},
}


def imported(path: Path) -> set[str]:
    """Top-level names a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("room", FORBIDDEN)
def test_no_import_goes_upward(room: str) -> None:
    files = list((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        assert not imported(path) & FORBIDDEN[room], path
