"""Who asks: role, jurisdiction, and what a role may do.

Imports nothing of the project. Promises: an `Identity` never changes; a jurisdiction that is empty
sees nothing, only `None` sees everything; `may` is the one question every door asks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, get_args

Action = Literal[
    "see_map",
    "ask_area",
    "see_records",
    "export",
    "manage_zones",
    "work_tasks",
    "dispatch",
    "read_audit",
    "administer",
    "border:read",
    "zone:write",
    "zone:approve",
    "check:write",
    "device:write",
    "device:manage",
    "alarm:write",
    "treaty:decide",
    "treaty:pull",
    "address:review",
    "feed:read",
    "feed:manage",
    "feed:push",
]
ACTIONS: tuple[Action, ...] = get_args(Action)
How = Literal["single", "session", "token"]


class Role(StrEnum):
    """What an account is for."""

    viewer = "viewer"
    analyst = "analyst"
    border_officer = "border_officer"
    grid_worker = "grid_worker"
    dispatcher = "dispatcher"
    auditor = "auditor"
    admin = "admin"


#: The one table. An admin does not read the audit: who can change accounts must not also be the one
#: who watches how they are used. Whoever may ask about areas but not see records is given no small
#: numbers (`services/small_numbers.py`).
MAY: dict[Role, frozenset[Action]] = {
    Role.viewer: frozenset({"see_map", "ask_area"}),
    Role.analyst: frozenset(
        {
            "see_map",
            "ask_area",
            "see_records",
            "export",
            "address:review",
            "feed:read",
            "feed:manage",
            "feed:push",
        }
    ),
    Role.border_officer: frozenset(
        {
            "see_map",
            "ask_area",
            "see_records",
            "export",
            "manage_zones",
            "border:read",
            "zone:write",
            "zone:approve",
            "check:write",
            "treaty:decide",
            "treaty:pull",
            "device:write",
            "device:manage",
            "alarm:write",
            "feed:read",
            "feed:push",
        }
    ),
    Role.grid_worker: frozenset({"see_map", "work_tasks"}),
    Role.dispatcher: frozenset(
        {
            "see_map",
            "ask_area",
            "see_records",
            "export",
            "work_tasks",
            "dispatch",
            "border:read",
            "check:write",
            "alarm:write",
            "feed:read",
        }
    ),
    Role.auditor: frozenset({"see_map", "read_audit"}),
    Role.admin: frozenset(ACTIONS) - {"read_audit"},
}


def can(role: Role, action: Action) -> bool:
    """Whether a role may do something at all, inside its jurisdiction."""
    return action in MAY[role]


def reduced(prefixes: Iterable[str]) -> tuple[str, ...]:
    """Prefixes without those another one already contains, in order."""
    kept: list[str] = []
    for one in sorted(set(prefixes)):
        if not (kept and one.startswith(kept[-1])):
            kept.append(one)
    return tuple(kept)


def inside(inner: tuple[str, ...] | None, outer: tuple[str, ...] | None) -> bool:
    """Whether a jurisdiction lies wholly in another (None is everything)."""
    if outer is None:
        return True
    if inner is None:
        return False
    return all(any(one.startswith(wide) for wide in outer) for one in inner)


@dataclass(frozen=True)
class Identity:
    """Who asks.

    Parameters
    ----------
    account : number of the account; None: the built-in identity of the single-machine mode
    name : login name
    role : what it may do
    prefixes : code prefixes it may see; None: everything; empty: nothing
    zones : joint zones it belongs to, ascending
    scopes : actions a token is limited to; None: all of the role
    how : how it proved itself
    scope_key : digest of prefixes and zones, part of every cache key and ETag of a scoped answer
    """

    account: int | None
    name: str
    role: Role
    prefixes: tuple[str, ...] | None
    zones: tuple[int, ...]
    scopes: frozenset[str] | None
    how: How
    scope_key: str = field(init=False)

    def __post_init__(self) -> None:
        text = "*" if self.prefixes is None else "=" + ",".join(self.prefixes)
        text += ";" + ",".join(map(str, self.zones))
        key = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        object.__setattr__(self, "scope_key", key)

    def may(self, action: Action) -> bool:
        """Whether this identity may do something (inside its jurisdiction).

        Role and token scopes both have to allow it; whoever sits at a single machine owns it and
        may do everything.
        """
        if self.how == "single":
            return True
        return can(self.role, action) and (self.scopes is None or action in self.scopes)

    def sees(self, code: str) -> bool:
        """Whether a code lies in the jurisdiction."""
        return self.prefixes is None or code.startswith(self.prefixes)


#: The identity of every request in the single-machine mode.
LOCAL = Identity(
    account=None,
    name="local",
    role=Role.admin,
    prefixes=None,
    zones=(),
    scopes=None,
    how="single",
)
