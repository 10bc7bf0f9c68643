"""Request and response models of accounts, sessions and tokens.

A field nobody declared is an error, so no request can set what its route does not offer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from app.api.models import Model, Words
from app.security.identity import Action, Role

#: Longer than any password that is accepted; what is longer is refused before any work.
Secret = Annotated[str, Field(min_length=1, max_length=512)]
Name = Annotated[str, Field(min_length=1, max_length=64, description="Login name")]
Line = Annotated[str, StringConstraints(max_length=80)]
Zone = Annotated[int, Field(ge=1, le=2**31 - 1)]
_Prefix = Annotated[str, Field(pattern=r"^[0-9A-Za-z._-]{1,64}$")]
# a word for everything: something forgotten or null must never widen a jurisdiction
Jurisdiction = Literal["all"] | Annotated[list[_Prefix], Field(max_length=1000)]
SEES = "Code prefixes it sees; `all`: everything; an empty list: nothing"
Zones = Annotated[list[Zone], Field(max_length=1000, description="Joint zones it belongs to")]


class Ways(Model):
    """How one gets in; told to everybody."""

    access: Literal["single", "accounts"]
    password_length: int = Field(description="Fewest characters of a new password")
    providers: list[ProviderInfo]


class ProviderInfo(Model):
    """An OpenID Connect provider one can log in at."""

    id: str
    title: Words
    login: str = Field(description="Address that leads there; takes `next`")


class Login(Model):
    """Name and password, and what the account may ask for beside them."""

    name: Name
    password: Secret
    code: str | None = Field(
        default=None, max_length=40, description="One-time code or recovery code"
    )
    new_password: Secret | None = Field(
        default=None, description="Replaces the password; needed when it is too old"
    )


class LinkLogin(Model):
    """A one-time link and the password it sets."""

    link: Annotated[str, Field(min_length=20, max_length=128)]
    password: Secret


class SessionInfo(Model):
    """Who asks, and what it may do."""

    access: Literal["single", "accounts"]
    how: Literal["single", "session", "token"]
    account: int | None = Field(description="Number of the account; null on a single machine")
    name: str
    title: str
    role: Role
    actions: list[Action] = Field(description="What it may do")
    prefixes: Jurisdiction = Field(description=SEES)
    zones: list[int]
    csrf: str | None = Field(
        description="Value of the header X-CSRF-Token of every unsafe request of this session"
    )
    has_password: bool = Field(description="Whether it logs in with a password here")
    has_codes: bool = Field(description="Whether it is asked for one-time codes")
    password_expires_at: datetime | None


class PasswordChange(Model):
    """The present password and the next one."""

    password: Secret
    new_password: Secret


class PasswordProof(Model):
    """The present password, given again."""

    password: Secret


class CodeProof(Model):
    """A one-time code."""

    code: Annotated[str, Field(min_length=6, max_length=40)]


class PasswordAndCode(Model):
    """The present password and a code."""

    password: Secret
    code: Annotated[str, Field(min_length=6, max_length=40)]


class NewCodes(Model):
    """A secret for one-time codes; counts once a code of it was given."""

    secret: str = Field(description="Base32, for typing")
    address: str = Field(description="What the QR code says")
    qr: str = Field(description="The QR code as SVG")


class RecoveryCodes(Model):
    """Codes for when the second device is lost; shown this once."""

    codes: list[str]


class OpenSessionInfo(Model):
    """An open session."""

    id: int
    proof: Literal["password", "link", "oidc"]
    client: str = Field(description="What the browser says it is")
    created_at: datetime
    seen_at: datetime = Field(description="Last use, exact to half a minute")
    expires_at: datetime
    present: bool = Field(description="Whether it is the one that asks")


class AccountInfo(Model):
    """An account: a desk or a program."""

    id: int
    name: str
    title: str
    kind: Literal["desk", "program"]
    role: Role
    prefixes: Jurisdiction = Field(description=SEES)
    zones: list[int]
    has_password: bool
    has_codes: bool
    external: bool = Field(description="Whether it logs in at an OpenID provider")
    disabled_at: datetime | None
    locked_until: datetime | None
    created_at: datetime


class NewAccount(Model):
    """An account to make."""

    name: Name
    title: Line = ""
    kind: Literal["desk", "program"] = "desk"
    role: Role
    prefixes: Jurisdiction = Field(description=SEES)
    zones: Zones = Field(default=[])


class AccountChange(Model):
    """What to change of an account; what is not named stays."""

    title: Line | None = None
    role: Role | None = None
    prefixes: Jurisdiction | None = Field(default=None, description=SEES)
    zones: Zones | None = None
    disabled: bool | None = None


class LinkInfo(Model):
    """A one-time link to set a password; shown this once."""

    link: str
    expires_at: datetime


class MadeAccount(Model):
    """An account just made, with the link to set its password."""

    account: AccountInfo
    link: LinkInfo


class TokenInfo(Model):
    """A token; its secret was shown once."""

    id: int
    account: int
    name: str = Field(description="Login name of the account")
    title: str
    scopes: list[Action]
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = Field(description="Last use, exact to half a minute")


class NewToken(Model):
    """A token to make."""

    title: Annotated[str, Field(min_length=1, max_length=80)]
    scopes: list[Action] = Field(min_length=1, max_length=20)
    days: int = Field(ge=1, le=3660, description="Life in days")
    account: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        default=None, description="Of another account, for admins; null: one's own"
    )


class MadeToken(Model):
    """A token just made, with its secret, shown this once."""

    token: TokenInfo
    secret: str = Field(description="For the header `Authorization: Bearer …`")


Ways.model_rebuild()


def prefixes_of(given: Jurisdiction) -> list[str] | None:
    """Prefixes as the services take them: None is everything."""
    return None if given == "all" else list(given)


def jurisdiction_of(prefixes: tuple[str, ...] | None) -> Jurisdiction:
    """Prefixes as they are shown."""
    return "all" if prefixes is None else list(prefixes)
