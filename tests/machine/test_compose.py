"""The compose file keeps its rules, and the check sees each one broken."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("check_compose", ROOT / "scripts/check_compose.py")
check = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(check)
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_ours_is_right() -> None:
    assert check.compose_faults(COMPOSE) == []
    assert check.dockerfile_faults((ROOT / "Dockerfile").read_text(), ROOT) == []


BREAKS: dict[str, Callable[[dict[str, Any]], object]] = {
    "open to other machines": lambda s: s["app"].update(ports=["8000:8000"]),
    "no healthcheck": lambda s: s["database"].pop("healthcheck"),
    "does not wait until database is healthy": lambda s: s["app"].update(
        depends_on={"database": {"condition": "service_started"}}
    ),
    "depends on 'db'": lambda s: s["app"].update(depends_on={"db": {}}),
    "POSTGRES_PASSWORD has no": lambda s: s["database"]["environment"].update(
        POSTGRES_PASSWORD="${POSTGRES_PASSWORD:-wusetu}"
    ),
    "WUSETU_DATABASE_URL has no": lambda s: s["app"]["environment"].update(
        WUSETU_DATABASE_URL="postgresql://wusetu:wusetu@database/wusetu"
    ),
    "volume 'elsewhere' is not declared": lambda s: s["app"].update(volumes=["elsewhere:/data"]),
    "depends on 'broker', which is not started with it": lambda s: s["app"]["depends_on"].update(
        broker={"condition": "service_healthy"}
    ),
    "unknown key 'helthcheck'": lambda s: s["app"].update(helthcheck={}),
    "neither image nor build": lambda s: s["database"].pop("image"),
}


@pytest.mark.parametrize("expected", BREAKS)
def test_every_rule_is_seen_broken(expected: str) -> None:
    document = copy.deepcopy(COMPOSE)
    BREAKS[expected](document["services"])
    faults = check.compose_faults(document)
    assert any(expected in one for one in faults), faults


def test_a_dockerfile_that_runs_as_root_is_seen() -> None:
    faults = check.dockerfile_faults("FROM debian:latest\nCOPY nothing /app\n", ROOT)
    assert len(faults) == 3
