"""Read what pip-audit or npm audit wrote: exit 1 for vulnerabilities, 0 for none or no answer.

audited.py python|node NAME EXIT-CODE FILE
"""

import json
import sys
from pathlib import Path
from typing import Any


def found(kind: str, answer: Any) -> list[str] | None:
    """One line per vulnerability; None: it is no answer."""
    if not isinstance(answer, dict):
        return None
    if kind == "python":
        if not isinstance(answer.get("dependencies"), list):
            return None
        return [
            f"{one['name']} {one['version']}: {bug['id']} (fixed in "
            f"{', '.join(bug.get('fix_versions') or []) or 'nothing yet'})"
            for one in answer["dependencies"]
            for bug in one.get("vulns", ())
        ]
    if not isinstance(answer.get("vulnerabilities"), dict) or "error" in answer:
        return None
    return [
        f"{name}: {one.get('severity')}, {one.get('range')}"
        for name, one in answer["vulnerabilities"].items()
    ]


def main(kind: str, name: str, code: str, path: str) -> int:
    """Say what was found."""
    try:
        lines = found(kind, json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        lines = None
    if lines is None:
        print(f"   {name}: not checked, nobody could be asked (exit code {code})")
        return 0
    print(
        f"   {name}: {len(lines)} known vulnerabilities" + "".join(f"\n   {one}" for one in lines)
    )
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
