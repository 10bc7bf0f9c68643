"""Logging in: password, one-time codes, one-time links; locking; sessions.

Promises: a name nobody has and a wrong password get the same answer after the same work; a try is
counted before it is looked at, so tries at the same moment cannot outrun the lock; no code and no
link works twice; every login makes a session of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from app.database import transaction
from app.errors import Forbidden, Invalid, LoginNeeded, NotFound, TooMany
from app.security import codes, passwords
from app.security.identity import Identity
from app.security.names import LONGEST, canonical
from app.security.secrets import digest, new_secret
from app.services.accounts import record
from app.settings import AccountSettings

#: Most sessions of one account; the oldest go first.
SESSIONS = 100
CLIENT = 120


class WrongLogin(LoginNeeded):
    """Name, password or code is wrong; which one is not said."""

    code = "wrong_login"


class CodeNeeded(LoginNeeded):
    """The password is right, the code of the second device is missing."""

    code = "code_needed"


class PasswordExpired(Forbidden):
    """The password is right and has to be changed in the same request."""

    code = "password_expired"


@dataclass(frozen=True)
class Session:
    """A session just begun; its secret goes into the cookie."""

    secret: str
    account: int
    name: str
    seconds: int


@dataclass(frozen=True)
class OpenSession:
    """A session as its owner sees it."""

    id: int
    proof: str
    client: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


def wrong() -> WrongLogin:
    """Make the one answer for everything that is wrong."""
    return WrongLogin("the name, the password or the code is wrong")


def count_try(connection: sa.Connection, name: str, settings: AccountSettings) -> None:
    """Count a try with a name before it is looked at.

    Raises
    ------
    TooMany
        The name is locked; this says nothing about whether anyone has it.
    """
    values = {
        "digest": digest(name),
        "after": settings.lock_after,
        "first": settings.lock_seconds,
        "most": settings.lock_longest_seconds,
    }
    # tries in a row are forgotten after a day; the power is bounded before it can overflow
    tries = "case when login_try.tried_at < now() - interval '1 day' then 1 else login_try.tries + 1 end"
    counted = connection.execute(
        sa.text(
            "insert into login_try (name_digest, tries, locked_until) values (:digest, 1, "  # noqa: S608
            "case when :after <= 1 then now() + make_interval(secs => :first) end) "
            f"on conflict (name_digest) do update set tries = {tries}, tried_at = now(), "
            f"locked_until = case when {tries} >= :after then now() + make_interval(secs => "
            f"least(:most, :first * power(2, least({tries} - :after, 30)))) end "
            "where login_try.locked_until is null or login_try.locked_until <= now() "
            # further away than any lock: the clock was set back since
            "or login_try.locked_until > now() + make_interval(secs => :most + 60) "
            "returning tries"
        ),
        values,
    ).one_or_none()
    if counted is None:
        rest = connection.scalar(
            sa.text(
                "select ceil(extract(epoch from locked_until - now()))::int from login_try "
                "where name_digest = :digest"
            ),
            values,
        )
        raise TooMany(
            "too many failed tries with this name; wait, or ask an admin to unlock it",
            retry_after=max(1, int(rest or 1)),
        )


def passed(connection: sa.Connection, name: str) -> None:
    """Forget the failed tries with a name."""
    connection.execute(
        sa.text("delete from login_try where name_digest = :digest"), {"digest": digest(name)}
    )


def code_key(name: str) -> str:
    """Return what the tries with codes of an account are counted under: no name has a colon."""
    return f"code:{name}"


def count_code(engine: sa.Engine, settings: AccountSettings, name: str) -> None:
    """Count a try with a one-time code before it is looked at.

    Raises
    ------
    TooMany
        Too many codes were wrong.
    """
    with transaction(engine) as connection:
        count_try(connection, code_key(name), settings)


def right_password(
    engine: sa.Engine, settings: AccountSettings, name: str, password: str
) -> Any | None:
    """Row of the account when name and password fit, else None; takes as long either way.

    Raises
    ------
    TooMany
        The name is locked.
    """
    with transaction(engine) as connection:
        count_try(connection, name, settings)
        row = connection.execute(
            sa.text(
                "select id, name, password_hash, totp_secret, totp_step, :days > 0 and "
                "password_at < now() - make_interval(days => :days) as expired "
                "from account where name = :name and disabled_at is null"
            ),
            {"name": name, "days": settings.password_days},
        ).one_or_none()
    # outside of the transaction: this is slow by design
    right = passwords.fits(None if row is None else row.password_hash, password)
    return row if right else None


def login(
    engine: sa.Engine,
    settings: AccountSettings,
    *,
    name: str,
    password: str,
    code: str | None = None,
    new_password: str | None = None,
    client: str = "",
    replaces: str | None = None,
) -> Session:
    """Begin a session with name and password.

    Parameters
    ----------
    code : one-time code or recovery code, where the account asks for one
    new_password : sets this one, needed when the old one is too old
    client : what the browser says it is
    replaces : secret of the session the browser had until now; it is over

    Raises
    ------
    WrongLogin
        Name, password or code is wrong.
    CodeNeeded, PasswordExpired
        The password is right, something else is missing; nothing began.
    Invalid
        The new password is not good enough.
    TooMany
        The name is locked.
    """
    # what no account can be called is one name, so that no text of a stranger gets any further
    known = canonical(name) if len(name) <= LONGEST and "\0" not in name else ""
    row = right_password(engine, settings, known, password)
    if row is None:
        note_failure(engine, known)
        raise wrong()
    with transaction(engine) as connection:  # codes are counted apart
        passed(connection, known)
    if row.expired and new_password is None:
        raise PasswordExpired("the password is too old: give a new one beside it")
    if row.totp_secret is not None and not code:
        raise CodeNeeded("give the code of the second device")
    if new_password is not None:
        passwords.check_new(new_password, row.name, settings.password_length)
        if passwords.normal(new_password) == passwords.normal(password):
            raise Invalid("the new password is the old one")
    fresh = passwords.make_hash(new_password) if new_password is not None else None
    if fresh is None and passwords.outdated(row.password_hash):
        fresh = passwords.make_hash(password)
    if row.totp_secret is not None:
        count_code(engine, settings, row.name)
    with transaction(engine) as connection:
        good = row.totp_secret is None or use_code(connection, row.id, code or "")
        # the row may have changed while the password was compared
        still = connection.execute(
            sa.text(
                "select from account where id = :id and disabled_at is null "
                "and password_hash = :hash and totp_secret is not distinct from :totp for update"
            ),
            {"id": row.id, "hash": row.password_hash, "totp": row.totp_secret},
        ).one_or_none()
        if good and still is not None:
            if fresh is not None:
                set_password(connection, row.id, fresh, changed=new_password is not None)
            return begin(connection, settings, row.id, "password", client=client, replaces=replaces)
    note_failure(engine, known)
    raise wrong()


def note_failure(engine: sa.Engine, name: str) -> None:
    """Write down a failed try; the name itself is not, for it may be a password."""
    with transaction(engine) as connection:
        account = connection.scalar(
            sa.text("select id from account where name = :name"), {"name": name}
        )
        locked = connection.scalar(
            sa.text("select locked_until > now() from login_try where name_digest = :digest"),
            {"digest": digest(name)},
        )
        record(connection, "locked" if locked else "login_failed", account)


def set_password(connection: sa.Connection, account: int, fresh: str, *, changed: bool) -> None:
    """Store a hash; a changed password ends every session and link, a rehashed one none."""
    connection.execute(
        sa.text(
            "update account set password_hash = :hash, "
            "password_at = case when :changed then now() else password_at end where id = :id"
        ),
        {"hash": fresh, "changed": changed, "id": account},
    )
    if changed:
        for table in ("account_session", "account_link"):
            connection.execute(
                sa.text(f"delete from {table} where account_id = :id"),  # noqa: S608 - our names
                {"id": account},
            )
        record(connection, "password_changed", account)


def use_code(connection: sa.Connection, account: int, code: str) -> bool:
    """Use a one-time code or a recovery code up; False when it is wrong or was used."""
    row = connection.execute(
        sa.text("select name, totp_secret, totp_step from account where id = :id for update"),
        {"id": account},
    ).one()
    if row.totp_secret is None:
        return False
    step = codes.step_of(row.totp_secret, code, row.totp_step)
    if step is not None:
        connection.execute(
            sa.text("update account set totp_step = :step where id = :id"),
            {"step": step, "id": account},
        )
        passed(connection, code_key(row.name))
        return True
    recovery = codes.recovery_form(code)
    if recovery is None:
        return False
    used = connection.execute(
        sa.text("delete from account_recovery where account_id = :id and digest = :digest"),
        {"id": account, "digest": digest(recovery)},
    ).rowcount
    if used:
        passed(connection, code_key(row.name))
        record(connection, "recovery_code_used", account)
    return bool(used)


def begin(
    connection: sa.Connection,
    settings: AccountSettings,
    account: int,
    proof: str,
    *,
    client: str = "",
    replaces: str | None = None,
) -> Session:
    """Begin a session with a new secret; the browser's old one is over."""
    if replaces is not None:
        connection.execute(
            sa.text("delete from account_session where digest = :digest"),
            {"digest": digest(replaces)},
        )
    _tidy(connection, account)
    secret = new_secret()
    seconds = settings.session_hours * 3600
    name = connection.execute(
        sa.text(
            "with begun as (insert into account_session "
            "(digest, account_id, proof, client, expires_at) values (:digest, :id, :proof, "
            ":client, now() + make_interval(secs => :seconds))) "
            "select name from account where id = :id"
        ),
        {
            "digest": digest(secret),
            "id": account,
            "proof": proof,
            "client": "".join(one for one in client if one.isprintable())[:CLIENT],
            "seconds": seconds,
        },
    ).scalar_one()
    record(connection, "login", account, proof=proof)
    return Session(secret, account, name, seconds)


def _tidy(connection: sa.Connection, account: int) -> None:
    """Delete what is over, and the oldest sessions of an account that has too many."""
    for statement in (
        "delete from account_session where expires_at < now() - interval '1 day'",
        "delete from account_link where expires_at < now()",
        "delete from oidc_flow where expires_at < now()",
        "delete from login_try where tried_at < now() - interval '2 days'",
    ):
        connection.execute(sa.text(statement))
    connection.execute(
        sa.text(
            "delete from account_session where id in (select id from account_session "
            "where account_id = :id order by id desc offset :most)"
        ),
        {"id": account, "most": SESSIONS - 1},
    )


def use_link(
    engine: sa.Engine,
    settings: AccountSettings,
    *,
    link: str,
    password: str,
    client: str = "",
    replaces: str | None = None,
) -> Session:
    """Set the password of a one-time link's account and begin a session.

    Raises
    ------
    WrongLogin
        The link is unknown, used or over.
    Invalid
        The password is not good enough; the link stays good.
    """
    gone = WrongLogin("the link was used already, or is over; ask an admin for another one")
    question = (
        "select a.id, a.name from account_link l join account a on a.id = l.account_id "
        "where l.digest = :digest and l.expires_at > now() and a.disabled_at is null"
    )
    with transaction(engine) as connection:
        row = connection.execute(sa.text(question), {"digest": digest(link)}).one_or_none()
    if row is None:
        raise gone
    passwords.check_new(password, row.name, settings.password_length)
    fresh = passwords.make_hash(password)
    with transaction(engine) as connection:
        # of two at the same moment one deletes the row and the other finds none
        used = connection.execute(
            sa.text("delete from account_link where digest = :digest and expires_at > now()"),
            {"digest": digest(link)},
        ).rowcount
        enabled = connection.scalar(
            sa.text("select disabled_at is null from account where id = :id for update"),
            {"id": row.id},
        )
        if not used or not enabled:
            raise gone
        # whoever lost the second device gets in by the admin's link, and sets it up again
        connection.execute(
            sa.text(
                "update account set totp_secret = null, totp_pending = null, totp_step = null "
                "where id = :id"
            ),
            {"id": row.id},
        )
        connection.execute(
            sa.text("delete from account_recovery where account_id = :id"), {"id": row.id}
        )
        set_password(connection, row.id, fresh, changed=True)
        for key in (row.name, code_key(row.name)):
            passed(connection, key)
        return begin(connection, settings, row.id, "link", client=client, replaces=replaces)


def end(connection: sa.Connection, session: int, identity: Identity) -> None:
    """End one's own session.

    Raises
    ------
    NotFound
        It is not one's own, or over.
    """
    ended = connection.execute(
        sa.text("delete from account_session where id = :id and account_id = :account"),
        {"id": session, "account": identity.account},
    ).rowcount
    if not ended:
        raise NotFound(f"there is no session {session} of this account")
    record(connection, "logout", identity.account, identity)


def sessions(connection: sa.Connection, account: int, idle_minutes: int) -> list[OpenSession]:
    """Open sessions of an account, newest first."""
    rows = connection.execute(
        sa.text(
            "select id, proof, client, created_at, seen_at, expires_at from account_session "
            "where account_id = :id and expires_at > now() "
            "and seen_at > now() - make_interval(mins => :idle) order by id desc"
        ),
        {"id": account, "idle": idle_minutes},
    )
    return [OpenSession(**row._mapping) for row in rows]


def end_all(connection: sa.Connection, account: int, by: Identity | None = None) -> int:
    """End every session of an account; says how many."""
    ended = connection.execute(
        sa.text("delete from account_session where account_id = :id"), {"id": account}
    ).rowcount
    record(connection, "sessions_ended", account, by, sessions=ended)
    return ended
