"""Accounts: make, change, list; one-time links; what happened is written down beside it.

Takes connections and plain arguments, never a request. Promises: an account whose jurisdiction is
limited manages only accounts inside it; there is always an admin left who can log in; every change
of an account is in `account_event` of the same transaction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.security.identity import Identity, Role, inside
from app.security.names import canonical, checked_name, checked_prefixes, checked_title
from app.security.secrets import digest, new_secret

FIRST_ADMIN = "admin"
KINDS = ("desk", "program")
#: Most joint zones of one account.
ZONES = 1000


@dataclass(frozen=True)
class Account:
    """An account as it may be shown."""

    id: int
    name: str
    title: str
    kind: str
    role: Role
    prefixes: tuple[str, ...] | None
    zones: tuple[int, ...]
    has_password: bool
    has_totp: bool
    external: bool
    disabled_at: datetime | None
    locked_until: datetime | None
    created_at: datetime


@dataclass(frozen=True)
class Link:
    """A one-time link just made; its secret is shown once."""

    secret: str
    expires_at: datetime


_SELECT = (
    "select a.id, a.name, a.title, a.kind, a.role, a.prefixes, a.zones, "
    "a.password_hash is not null as has_password, a.totp_secret is not null as has_totp, "
    "a.external is not null as external, a.disabled_at, a.created_at, "
    "(select max(t.locked_until) from login_try t where t.locked_until > now() and "
    "t.name_digest in (sha256(convert_to(a.name, 'UTF8')), "
    "sha256(convert_to('code:' || a.name, 'UTF8')))) as locked_until "
    "from account a "
)


def _account(row: Any) -> Account:
    fields = dict(row._mapping)
    fields["role"] = Role(fields["role"])
    fields["prefixes"] = None if row.prefixes is None else tuple(row.prefixes)
    fields["zones"] = tuple(row.zones)
    return Account(**fields)


def record(
    connection: sa.Connection,
    what: str,
    account: int | None,
    by: Identity | None = None,
    **detail: Any,
) -> None:
    """Write down what happened to an account; `detail` holds no secrets."""
    connection.execute(
        sa.text(
            "insert into account_event (what, account_id, actor_id, detail) "
            "values (:what, :account, :actor, cast(:detail as jsonb))"
        ),
        {
            "what": what,
            "account": account,
            "actor": by.account if by else None,
            "detail": json.dumps(detail, ensure_ascii=False),
        },
    )


def get(connection: sa.Connection, account: int, by: Identity | None = None) -> Account:
    """One account.

    Raises
    ------
    NotFound
        There is none, or none inside the jurisdiction of `by`.
    """
    row = connection.execute(sa.text(_SELECT + "where a.id = :id"), {"id": account}).one_or_none()
    if row is None or not _manages(by, _account(row)):
        raise NotFound(f"there is no account {account}")
    return _account(row)


def by_name(connection: sa.Connection, name: str) -> Account:
    """Account of a login name.

    Raises
    ------
    NotFound
        There is none.
    """
    row = connection.execute(
        sa.text(_SELECT + "where a.name = :name"), {"name": canonical(name)}
    ).one_or_none()
    if row is None:
        raise NotFound(f"there is no account {name!r}")
    return _account(row)


def listed(connection: sa.Connection, by: Identity | None = None) -> list[Account]:
    """Accounts inside the jurisdiction of `by`, by name."""
    rows = connection.execute(sa.text(_SELECT + "order by a.name"))
    return [one for row in rows if _manages(by, one := _account(row))]


def _manages(by: Identity | None, account: Account) -> bool:
    """Whether `by` may see and change an account; None: the command line."""
    return by is None or (
        inside(account.prefixes, by.prefixes)
        and (by.prefixes is None or set(account.zones) <= set(by.zones))
    )


def _may_give(
    by: Identity | None, prefixes: tuple[str, ...] | None, zones: tuple[int, ...]
) -> None:
    if by is None or by.prefixes is None:
        return
    if not inside(prefixes, by.prefixes) or not set(zones) <= set(by.zones):
        raise Forbidden("nobody can give a jurisdiction that reaches beyond their own")


def _zones(zones: Sequence[int]) -> tuple[int, ...]:
    found = tuple(sorted(set(zones)))
    if len(found) > ZONES or any(not 0 < one < 2**31 for one in found):
        raise Invalid("a zone is a number from 1; at most a thousand of them")
    return found


def create(
    connection: sa.Connection,
    name: str,
    role: Role,
    *,
    title: str = "",
    kind: str = "desk",
    prefixes: list[str] | None = None,
    zones: Sequence[int] = (),
    external: bytes | None = None,
    by: Identity | None = None,
) -> Account:
    """Make an account without a password.

    Raises
    ------
    Invalid
        The name, title, a prefix or a zone is none.
    Conflict
        The name is taken.
    Forbidden
        The jurisdiction reaches beyond that of `by`.
    """
    if kind not in KINDS:
        raise Invalid("an account is a desk or a program")
    reach, joint = checked_prefixes(prefixes), _zones(zones)
    _may_give(by, reach, joint)
    values = {
        "name": checked_name(name),
        "title": checked_title(title),
        "kind": kind,
        "role": role.value,
        "prefixes": None if reach is None else list(reach),
        "zones": list(joint),
        "external": external,
    }
    found = connection.scalar(
        sa.text(
            "insert into account (name, title, kind, role, prefixes, zones, external) values "
            "(:name, :title, :kind, :role, :prefixes, :zones, :external) "
            "on conflict do nothing returning id"
        ),
        values,
    )
    if found is None:
        raise Conflict("this login name is taken")
    record(
        connection, "created", found, by,
        role=role.value, kind=kind, prefixes=values["prefixes"], zones=values["zones"],
    )  # fmt: skip
    return get(connection, found)


def change(
    connection: sa.Connection,
    account: int,
    changes: dict[str, Any],
    by: Identity | None = None,
) -> Account:
    """Change title, role, prefixes, zones or disabled; what is not named stays.

    Raises
    ------
    NotFound, Invalid, Forbidden
        As for `get` and `create`.
    Conflict
        No admin who can log in would be left.
    """
    _one_at_a_time(connection)
    before = get(connection, account, by)
    values: dict[str, Any] = {}
    if "title" in changes:
        values["title"] = checked_title(changes["title"])
    if "role" in changes:
        values["role"] = Role(changes["role"]).value
    reach = checked_prefixes(changes["prefixes"]) if "prefixes" in changes else before.prefixes
    joint = _zones(changes["zones"]) if "zones" in changes else before.zones
    _may_give(by, reach, joint)
    if reach != before.prefixes:
        values["prefixes"] = None if reach is None else list(reach)
    if joint != before.zones:
        values["zones"] = list(joint)
    sets = [f"{name} = :{name}" for name in values]
    if "disabled" in changes and changes["disabled"] != (before.disabled_at is not None):
        sets.append("disabled_at = " + ("now()" if changes["disabled"] else "null"))
        values["disabled"] = bool(changes["disabled"])
    if not sets:
        return before
    connection.execute(
        sa.text(f"update account set {', '.join(sets)} where id = :id"),  # noqa: S608 - our names
        {**values, "id": account},
    )
    if values.get("disabled"):
        _end_everything(connection, account)
    if before.role is Role.admin and not has_admin(connection):
        raise Conflict("this is the last admin who can log in; make another one first")
    record(connection, "changed", account, by, **values)
    return get(connection, account)


def _one_at_a_time(connection: sa.Connection) -> None:
    """Let two admins not take each other's role away at the same moment."""
    connection.execute(sa.text("select pg_advisory_xact_lock(hashtext('wusetu accounts'))"))


def _end_everything(connection: sa.Connection, account: int) -> None:
    for statement in (
        "delete from account_session where account_id = :id",
        "delete from account_link where account_id = :id",
        "update account_token set revoked_at = now() where account_id = :id and revoked_at is null",
    ):
        connection.execute(sa.text(statement), {"id": account})


def has_admin(connection: sa.Connection) -> bool:
    """Whether an admin over everything can log in: enabled, with a password or elsewhere."""
    found: bool = connection.execute(
        sa.text(
            "select exists (select from account where role = 'admin' and disabled_at is null "
            "and prefixes is null and (password_hash is not null or external is not null))"
        )
    ).scalar_one()
    return found


def new_link(
    connection: sa.Connection, account: int, hours: int, by: Identity | None = None
) -> Link:
    """Make a one-time link to set a password; older ones, and the sessions, are over.

    Raises
    ------
    NotFound
        There is no such account, or it lies outside the jurisdiction of `by`.
    Conflict
        It is disabled, or logs in at an OpenID provider.
    """
    found = get(connection, account, by)
    if found.disabled_at is not None:
        raise Conflict("the account is disabled")
    if found.external:
        raise Conflict("the account logs in at its OpenID provider and has no password here")
    for table in ("account_link", "account_session"):
        connection.execute(
            sa.text(f"delete from {table} where account_id = :id"),  # noqa: S608 - our names
            {"id": account},
        )
    secret = new_secret()
    expires = connection.execute(
        sa.text(
            "insert into account_link (digest, account_id, expires_at) "
            "values (:digest, :id, now() + make_interval(hours => :hours)) returning expires_at"
        ),
        {"digest": digest(secret), "id": account, "hours": hours},
    ).scalar_one()
    record(connection, "link_made", account, by)
    return Link(secret, expires)


def unlock(connection: sa.Connection, account: int, by: Identity | None = None) -> None:
    """Forget the failed tries of an account.

    Raises
    ------
    NotFound
        There is no such account, or it lies outside the jurisdiction of `by`.
    """
    found = get(connection, account, by)
    connection.execute(
        sa.text("delete from login_try where name_digest in (:name, :code)"),
        {"name": digest(found.name), "code": digest(f"code:{found.name}")},
    )
    record(connection, "unlocked", account, by)


def first_admin(connection: sa.Connection, hours: int) -> Link | None:
    """Link for the first admin, who is made when missing; None when an admin can log in.

    Raises
    ------
    Conflict
        The account `admin` exists and is no enabled admin: only a person can say what that means.
    """
    _one_at_a_time(connection)
    if has_admin(connection):
        return None
    try:
        found = by_name(connection, FIRST_ADMIN)
    except NotFound:
        found = create(connection, FIRST_ADMIN, Role.admin)
    if found.role is not Role.admin or found.disabled_at is not None or found.prefixes is not None:
        raise Conflict(
            f"no admin can log in, and the account {FIRST_ADMIN!r} is disabled or limited: "
            "make one with `wusetu accounts add NAME --role admin`"
        )
    return new_link(connection, found.id, hours)
