"""Check docker-compose.yml and Dockerfile without Docker: form, and the rules we keep.

Usage: check_compose.py docker-compose.yml Dockerfile
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

SERVICE_KEYS = {
    "image", "build", "restart", "init", "depends_on", "environment", "command", "ports",
    "volumes", "healthcheck", "profiles",
}  # fmt: skip
SECRET = re.compile(r"password|secret|token|key", re.IGNORECASE)


def compose_faults(document: Any) -> list[str]:
    """Return what is wrong with a parsed compose file; empty when nothing is."""
    if not isinstance(document, dict) or not isinstance(document.get("services"), dict):
        return ["no services"]
    services = document["services"]
    return [
        f"service {name}: {fault}"
        for name, service in services.items()
        for fault in (
            *_form(service),
            *_waiting(service, services),
            *_doors(service, document.get("volumes") or {}),
            *_secrets(service),
        )
    ]


def _form(service: dict[str, Any]) -> Iterator[str]:
    for key in sorted(set(service) - SERVICE_KEYS):
        yield f"unknown key {key!r}"
    if "image" not in service and "build" not in service:
        yield "neither image nor build"
    if str(service.get("image", "")).endswith(":latest"):
        yield "image is not pinned"
    if not (service.get("healthcheck") or {}).get("test"):
        yield "no healthcheck"


def _waiting(service: dict[str, Any], services: dict[str, Any]) -> Iterator[str]:
    mine = set(service.get("profiles") or ())
    for other, how in (service.get("depends_on") or {}).items():
        theirs = set((services.get(other) or {}).get("profiles") or ())
        if other not in services:
            yield f"depends on {other!r}, which is not there"
        elif theirs and not (mine and mine <= theirs):
            yield f"depends on {other!r}, which is not started with it"
        elif how.get("condition") != "service_healthy":
            yield f"does not wait until {other} is healthy"


def _doors(service: dict[str, Any], volumes: dict[str, Any]) -> Iterator[str]:
    for port in service.get("ports", []):
        if not str(port).startswith("127.0.0.1:"):
            yield f"port {port} is open to other machines"
    for mount in service.get("volumes", []):
        source = str(mount).split(":", 1)[0]
        if not source.startswith((".", "/")) and source not in volumes:
            yield f"volume {source!r} is not declared"


def _secrets(service: dict[str, Any]) -> Iterator[str]:
    for key, value in (service.get("environment") or {}).items():
        text = str(value)
        secret = SECRET.search(key) or re.search(r"://[^:/@]+:[^/]*@", text)
        if secret and not re.search(r"\$\{\w+:\?[^}]+\}", text):
            yield f"{key} has no ${{VAR:?}}: a secret must be given, never defaulted"


def dockerfile_faults(text: str, root: Path) -> list[str]:
    """Return what is wrong with a Dockerfile; empty when nothing is."""
    faults = []
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    if not any(line.startswith("USER ") and line.split()[1] not in {"root", "0"} for line in lines):
        faults.append("the container runs as root")
    for line in lines:
        if line.startswith("FROM ") and line.split()[1].endswith(":latest"):
            faults.append(f"not pinned: {line}")
        if line.startswith("COPY ") and "--from" not in line:
            faults += [
                f"COPY of {source}, which is not there"
                for source in line.split()[1:-1]
                if not (root / source).exists()
            ]
    for script in re.findall(r"\b(scripts/\w+\.sh)\b", text):
        if not (root / script).exists():
            faults.append(f"{script} is not there")
    return faults


def main(compose: str, dockerfile: str) -> int:
    """Print every fault; 1 when there is one."""
    faults = [
        *(f"{compose}: {one}" for one in compose_faults(yaml.safe_load(Path(compose).read_text()))),
        *(
            f"{dockerfile}: {one}"
            for one in dockerfile_faults(Path(dockerfile).read_text(), Path(dockerfile).parent)
        ),
    ]
    for one in faults:
        print(one)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
