"""What an account changes about itself: its password, its second device.

Promises: each of it asks for the password again, and a guess counts like one at the login.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from app.database import transaction
from app.errors import Conflict, Invalid
from app.security import codes, passwords
from app.security.identity import Identity
from app.security.secrets import digest
from app.services.accounts import record
from app.services.accounts_login import (
    Session,
    WrongLogin,
    begin,
    count_code,
    note_failure,
    passed,
    right_password,
    set_password,
    use_code,
    wrong,
)
from app.settings import AccountSettings


def _confirm(
    engine: sa.Engine, settings: AccountSettings, identity: Identity, password: str
) -> Any:
    """Row of one's own account when the password fits; a guess counts like a login.

    Raises
    ------
    Conflict
        The account has no password here.
    WrongLogin, TooMany
        As for `login`.
    """
    with engine.connect() as connection:
        own = connection.execute(
            sa.text("select name, password_hash is not null as has from account where id = :id"),
            {"id": identity.account},
        ).one_or_none()
    if own is None or not own.has:
        raise Conflict("this account has no password here")
    row = right_password(engine, settings, own.name, password)
    if row is None:
        note_failure(engine, own.name)
        raise WrongLogin("the password is wrong")
    with transaction(engine) as connection:
        passed(connection, row.name)
    return row


def change_password(
    engine: sa.Engine,
    settings: AccountSettings,
    identity: Identity,
    *,
    password: str,
    new_password: str,
    client: str = "",
) -> Session:
    """Change one's own password; every session is over, a new one begins here.

    Raises
    ------
    WrongLogin, TooMany, Conflict, Invalid
        The old password is wrong, the name locked, there is none, the new one not good enough.
    """
    row = _confirm(engine, settings, identity, password)
    passwords.check_new(new_password, row.name, settings.password_length)
    if passwords.normal(new_password) == passwords.normal(password):
        raise Invalid("the new password is the old one")
    fresh = passwords.make_hash(new_password)
    with transaction(engine) as connection:
        set_password(connection, row.id, fresh, changed=True)
        return begin(connection, settings, row.id, "password", client=client)


def begin_totp(
    engine: sa.Engine, settings: AccountSettings, identity: Identity, password: str
) -> str:
    """Return a new secret for one-time codes; it counts from the first code confirmed on.

    Raises
    ------
    WrongLogin, TooMany, Conflict
        The password is wrong, the name locked; codes are asked for already.
    """
    row = _confirm(engine, settings, identity, password)
    secret = codes.new_secret()
    with transaction(engine) as connection:
        changed = connection.execute(
            sa.text(
                "update account set totp_pending = :secret where id = :id and totp_secret is null"
            ),
            {"secret": secret, "id": row.id},
        ).rowcount
    if not changed:
        raise Conflict("one-time codes are asked for already; switch them off first")
    return secret


def confirm_totp(engine: sa.Engine, identity: Identity, code: str) -> list[str]:
    """Ask for one-time codes from now on; returns the recovery codes, shown once.

    Raises
    ------
    Conflict
        Nothing waits to be confirmed.
    Invalid
        The code is wrong.
    """
    with transaction(engine) as connection:
        pending = connection.scalar(
            sa.text("select totp_pending from account where id = :id for update"),
            {"id": identity.account},
        )
        if pending is None:
            raise Conflict("begin with a new secret first")
        step = codes.step_of(pending, code, None)
        if step is None:
            raise Invalid("the code is wrong; check the clock of the device")
        recovery = codes.new_recovery()
        connection.execute(
            sa.text(
                "update account set totp_secret = totp_pending, totp_pending = null, "
                "totp_step = :step where id = :id"
            ),
            {"step": step, "id": identity.account},
        )
        connection.execute(
            sa.text("delete from account_recovery where account_id = :id"),
            {"id": identity.account},
        )
        connection.execute(
            sa.text("insert into account_recovery (account_id, digest) values (:id, :digest)"),
            [{"id": identity.account, "digest": digest(one)} for one in recovery],
        )
        record(connection, "codes_on", identity.account, identity)
    return recovery


def end_totp(
    engine: sa.Engine, settings: AccountSettings, identity: Identity, *, password: str, code: str
) -> None:
    """Ask for no one-time codes any more.

    Raises
    ------
    WrongLogin, TooMany, Conflict
        Password or code is wrong, the name is locked, no codes are asked for.
    """
    row = _confirm(engine, settings, identity, password)
    if row.totp_secret is None:
        raise Conflict("no one-time codes are asked for")
    count_code(engine, settings, row.name)
    with transaction(engine) as connection:
        good = use_code(connection, row.id, code)
        if good:
            connection.execute(
                sa.text("update account set totp_secret = null, totp_step = null where id = :id"),
                {"id": row.id},
            )
            connection.execute(
                sa.text("delete from account_recovery where account_id = :id"), {"id": row.id}
            )
            record(connection, "codes_off", row.id, identity)
    if not good:
        note_failure(engine, row.name)
        raise wrong()
