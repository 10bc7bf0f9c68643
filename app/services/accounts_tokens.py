"""Tokens of programs: shown once, limited to actions, always with an end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.security.identity import Action, Identity, can
from app.security.names import checked_title
from app.security.secrets import TOKEN_PREFIX, digest, new_secret
from app.services.accounts import get, record

#: Most tokens of one account that are good at the same time.
TOKENS = 50


@dataclass(frozen=True)
class Token:
    """A token as it may be shown; its secret was shown once."""

    id: int
    account_id: int
    account: str
    title: str
    scopes: tuple[Action, ...]
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None


_SELECT = (
    "select t.id, t.account_id, a.name as account, t.title, t.scopes, t.created_at, "
    "t.expires_at, t.used_at, t.revoked_at "
    "from account_token t join account a on a.id = t.account_id "
)


def create(
    connection: sa.Connection,
    *,
    account: int,
    title: str,
    scopes: Sequence[Action],
    days: int,
    longest: int,
    by: Identity | None = None,
) -> tuple[Token, str]:
    """Make a token of an account; returns it and its secret.

    Raises
    ------
    NotFound
        There is no such account, or it is another one and `by` may not manage it.
    Forbidden
        A scope is more than the account's role may do.
    Invalid
        No scope, no title, or a life longer than `longest` days.
    Conflict
        The account is disabled, or has too many tokens.
    """
    own = by is not None and by.account == account
    if by is not None and not own and not by.may("administer"):
        raise NotFound(f"there is no account {account}")
    found = get(connection, account, None if own else by)
    name = checked_title(title)
    if not name:
        raise Invalid("say what the token is for")
    if not 1 <= days <= longest:
        raise Invalid(f"a token lives 1 to {longest} days")
    wanted = sorted(set(scopes))
    if not wanted:
        raise Invalid("a token needs at least one action")
    if beyond := [one for one in wanted if not can(found.role, one)]:
        raise Forbidden(f"this account may not do {', '.join(beyond)} itself")
    if found.disabled_at is not None:
        raise Conflict("the account is disabled")
    # the row of the account is locked: two at the same moment are counted one after the other
    connection.execute(sa.text("select from account where id = :id for update"), {"id": account})
    good = connection.execute(
        sa.text(
            "select count(*) from account_token "
            "where account_id = :id and revoked_at is null and expires_at > now()"
        ),
        {"id": account},
    ).scalar_one()
    if good >= TOKENS:
        raise Conflict(f"the account has {good} tokens; revoke one first")
    secret = TOKEN_PREFIX + new_secret()
    number = connection.execute(
        sa.text(
            "insert into account_token (digest, account_id, title, scopes, expires_at) values "
            "(:digest, :id, :title, :scopes, now() + make_interval(days => :days)) returning id"
        ),
        {
            "digest": digest(secret),
            "id": account,
            "title": name,
            "scopes": wanted,
            "days": days,
        },
    ).scalar_one()
    record(connection, "token_made", account, by, token=number, scopes=wanted, days=days)
    row = connection.execute(sa.text(_SELECT + "where t.id = :id"), {"id": number}).one()
    return _token(row), secret


def _token(row: sa.Row[tuple[object, ...]]) -> Token:
    fields = dict(row._mapping)
    fields["scopes"] = tuple(fields["scopes"])
    return Token(**fields)


def listed(connection: sa.Connection, by: Identity | None, account: int | None) -> list[Token]:
    """Tokens of an account that are not revoked, newest first; over ones for a month longer.

    Raises
    ------
    NotFound
        The account is another one and `by` may not manage it.
    """
    if account is not None and by is not None and by.account != account:
        if not by.may("administer"):
            raise NotFound(f"there is no account {account}")
        get(connection, account, by)
    rows = connection.execute(
        sa.text(
            _SELECT + "where t.revoked_at is null and t.expires_at > now() - interval '30 days' "
            "and (t.account_id = :id or cast(:id as int) is null) order by t.id desc"
        ),
        {"id": account},
    )
    return [_token(row) for row in rows]


def revoke(connection: sa.Connection, token: int, by: Identity | None = None) -> None:
    """Revoke a token at once.

    Raises
    ------
    NotFound
        There is none that is good, or it is of an account `by` does not manage.
    """
    missing = NotFound(f"there is no token {token}")
    row = connection.execute(
        sa.text("select account_id from account_token where id = :id and revoked_at is null"),
        {"id": token},
    ).one_or_none()
    if row is None:
        raise missing
    if by is not None and by.account != row.account_id:
        if not by.may("administer"):
            raise missing
        try:
            get(connection, row.account_id, by)
        except NotFound:
            raise missing from None
    connection.execute(
        sa.text("update account_token set revoked_at = now() where id = :id"), {"id": token}
    )
    record(connection, "token_revoked", row.account_id, by, token=token)
