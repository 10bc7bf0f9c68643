"""Packages: what a side told, as it travels between installations."""

from __future__ import annotations

import sqlalchemy as sa

from app.services.treaties import Version
from app.services.treaty_side import SideTold


def newest(connection: sa.Connection, version: Version, side: str) -> SideTold | None:
    """Read what a side told last in packages of this version; None: nothing yet."""
    return None
