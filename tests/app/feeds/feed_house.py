"""Feeds of the toy city for the tests: how they are entered, and what is in the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app.database import transaction
from app.services import feeds
from app.services.feeds import Feed

COLUMNS = ("ref", "kind", "at", "lon", "lat", "code", "address")


def entered(engine: sa.Engine, mapping: dict[str, Any], adapter: str, **more: Any) -> Feed:
    """A feed of the toy city; `more` of `feeds.add`, the rest are settings."""
    own = {key: more.pop(key) for key in ("code", "expected_s", "every_s", "title") if key in more}
    name = more.pop("name", "alarms")
    with transaction(engine) as connection:
        return feeds.add(
            connection,
            pack="toy",
            name=name,
            adapter=adapter,
            mapping=mapping,
            settings=more,
            **own,
        )


def row(n: int, **more: Any) -> dict[str, Any]:
    """A good row; `more` in place of what it holds."""
    good = {
        "ref": f"A{n}", "kind": "盗窃", "at": "2024-05-06 07:08:09", "lon": 120.05, "lat": 30.05,
        "code": None, "address": None,
    }  # fmt: skip
    return good | more


def csv_of(rows: list[dict[str, Any]]) -> str:
    """Rows as the text of a file."""
    lines = [",".join(COLUMNS)]
    lines += [",".join("" if r[c] is None else str(r[c]) for c in COLUMNS) for r in rows]
    return "\n".join(lines) + "\n"


def stored(engine: sa.Engine) -> dict[str, str]:
    """Reference → kind of every event."""
    with engine.connect() as connection:
        rows = connection.execute(sa.text("select reference, kind from event"))
        return {one.reference: one.kind for one in rows}


def scalar(engine: sa.Engine, text: str, **more: Any) -> Any:
    """One value of the store."""
    with engine.connect() as connection:
        return connection.execute(sa.text(text), more).scalar()


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def drop(folder: Path, name: str, text: str) -> Path:
    """Put a file into a folder, as a sender does who renames it at the end."""
    path = folder / name
    hidden = folder / f".{name}.part"
    hidden.write_text(text, encoding="utf-8")
    return hidden.rename(path)


Sleep = Callable[[float], None]
