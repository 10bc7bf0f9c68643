"""Imports go one way: app → tiles → geo."""

from __future__ import annotations

import ast
import sys
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


#: all that the pure room may use beside the standard library; more needs a reason
KERNELS = {
    "affine",
    "ahocorasick_rs",
    "geo",
    "h3",
    "h3ronpy",
    "llvmlite",
    "numba",
    "numpy",
    "opencc",
    "pandas",
    "pyarrow",
    "pypinyin",
    "pyproj",
    "rapidfuzz",
    "rasterio",
    "scipy",
    "shapely",
}
#: of the standard library: what knows the time, draws without a seed, or talks to the world
IMPURE = {
    "asyncio",
    "http",
    "logging",
    "random",
    "secrets",
    "socket",
    "sqlite3",
    "subprocess",
    "time",
    "urllib",
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


def test_kernels_import_numbers_and_shapes_only() -> None:
    for path in (ROOT / "geo").rglob("*.py"):
        names = imported(path)
        assert names - KERNELS <= sys.stdlib_module_names, path
        assert not names & IMPURE, path


def test_hotspots_import_no_web_of_rooms() -> None:
    """The statistics stand on numbers: no shapes, no files."""
    for path in (ROOT / "geo" / "hotspots").glob("*.py"):
        outside = imported(path) - sys.stdlib_module_names
        assert outside <= {"geo", "h3ronpy", "numpy", "pyarrow", "pyproj", "scipy"}, path
