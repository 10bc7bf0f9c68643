"""Logging in at an OpenID Connect provider: who was sent there, and who came back.

Promises: a state is used once, only by the browser that was sent, only for some minutes; the
settings file alone decides role and jurisdiction, anew at each login; of the provider's claims only
a digest of issuer and subject is stored, so no name or address of a person gets in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app.database import transaction
from app.security.names import checked_prefixes
from app.security.oidc import Claims, OidcRefused, Provider, Rule, Talk
from app.security.secrets import digest, new_secret
from app.services import accounts
from app.services.accounts_login import Session, begin
from app.settings import AccountSettings

MINUTES = 10  # a login at the provider may take


@dataclass(frozen=True)
class Sent:
    """A browser on its way to the provider."""

    address: str
    browser: str


def send(engine: sa.Engine, talk: Talk, redirect: str, wanted: str) -> Sent:
    """Begin a login; `wanted` is a checked address to go on to afterwards.

    Raises
    ------
    Unavailable
        The provider does not answer.
    """
    state, nonce, verifier, browser = (new_secret() for _ in range(4))
    address = talk.address(redirect, state, nonce, verifier)
    with transaction(engine) as connection:
        connection.execute(sa.text("delete from oidc_flow where expires_at < now()"))
        connection.execute(
            sa.text(
                "insert into oidc_flow (digest, browser, provider, nonce, verifier, next, "
                "expires_at) values (:digest, :browser, :provider, :nonce, :verifier, :next, "
                "now() + make_interval(mins => :minutes))"
            ),
            {
                "digest": digest(state),
                "browser": digest(browser),
                "provider": talk.provider.id,
                "nonce": nonce,
                "verifier": verifier,
                "next": wanted,
                "minutes": MINUTES,
            },
        )
    return Sent(address, browser)


def receive(
    engine: sa.Engine,
    settings: AccountSettings,
    talk: Talk,
    redirect: str,
    *,
    state: str,
    code: str | None,
    issuer: str | None,
    browser: str | None,
    client: str,
    replaces: str | None,
) -> tuple[Session, str]:
    """End a login at a provider: the new session and where to go on to.

    Raises
    ------
    OidcRefused
        The state is unknown, used or another browser's; the provider refused; no group fits.
    Unavailable
        The provider does not answer.
    """
    with transaction(engine) as connection:
        flow = connection.execute(
            sa.text(
                "delete from oidc_flow where digest = :digest and browser = :browser "
                "and provider = :provider and expires_at > now() returning nonce, verifier, next"
            ),
            {
                "digest": digest(state),
                "browser": digest(browser or ""),
                "provider": talk.provider.id,
            },
        ).one_or_none()
    if flow is None:
        raise OidcRefused("this login is over or began in another browser; begin again")
    if not code:
        raise OidcRefused("the provider let nobody in")
    claims = talk.claims(redirect, code, flow.nonce, flow.verifier, issuer)
    rule = talk.provider.rule_for(claims.groups)
    if rule is None:
        raise OidcRefused("no group of this account has a place here")
    with transaction(engine) as connection:
        account = _account(connection, talk.provider, claims, rule)
        begun = begin(connection, settings, account, "oidc", client=client, replaces=replaces)
    return begun, flow.next


def _account(connection: sa.Connection, provider: Provider, claims: Claims, rule: Rule) -> int:
    """Account of a login at a provider, made or brought up to the settings file."""
    wanted: list[str] | None = None if rule.prefixes == "all" else list(rule.prefixes)
    row = connection.execute(
        sa.text(
            "select id, role, prefixes, zones, disabled_at from account "
            "where external = :external for update"
        ),
        {"external": claims.external},
    ).one_or_none()
    if row is None:
        made = accounts.create(
            connection,
            f"{provider.id}.{_letters(claims.external)}",
            rule.role,
            title=rule.title or provider.title.zh,
            prefixes=wanted,
            zones=rule.zones,
            external=claims.external,
        )
        return made.id
    if row.disabled_at is not None:
        raise OidcRefused("this account is disabled")
    reach = checked_prefixes(wanted)
    fresh: dict[str, Any] = {
        "role": rule.role.value,
        "prefixes": None if reach is None else list(reach),
        "zones": sorted(set(rule.zones)),
    }
    if any(getattr(row, name) != value for name, value in fresh.items()):
        # the settings file decides, even over the last admin: its author has the machine
        connection.execute(
            sa.text(
                "update account set role = :role, prefixes = :prefixes, zones = :zones "
                "where id = :id"
            ),
            {**fresh, "id": row.id},
        )
        accounts.record(connection, "changed", row.id, provider=provider.id, **fresh)
    number: int = row.id
    return number


def _letters(external: bytes) -> str:
    """Twelve letters of a digest: a name that stays, and says nothing about a person."""
    return "".join("abcdefghijklmnop"[byte & 15] for byte in external[:12])
