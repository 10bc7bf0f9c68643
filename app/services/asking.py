"""Who asks, as a service needs to know it. Imports nothing of the web."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import sqlalchemy as sa

from app.security.identity import Identity
from app.services.caches import Caches

Transaction = Callable[[], AbstractContextManager[sa.Connection]]


@dataclass(frozen=True)
class Asker:
    """Who asks, and the database as they see it.

    Attributes
    ----------
    identity : role and jurisdiction
    caches : those of the jurisdiction
    read, write : make one transaction with the jurisdiction claimed
    """

    identity: Identity
    caches: Caches
    read: Transaction
    write: Transaction
