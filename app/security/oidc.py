"""OpenID Connect: the settings file, and the talk with a provider. Stores nothing.

Authorization code flow with state, nonce and PKCE (S256). Promises: nothing is believed that is not
in an ID token signed with a key of the provider, issued by it, for us, now, and for this very
login; keys are only asked at the addresses of the provider's own discovery document.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.errors import Invalid, Unavailable, WusetuError
from app.security.hosts import is_loopback, origin_of
from app.security.identity import Role
from app.security.names import checked_prefixes, checked_title
from app.yaml_text import read_yaml

log = logging.getLogger("wusetu.security")

WELL_KNOWN = "/.well-known/openid-configuration"
#: Signatures with a public key alone: with a shared one the client secret could sign.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
              "EdDSA", "Ed25519"]  # fmt: skip
TIMEOUT = 10.0
LEEWAY = 60  # seconds the provider's clock may differ
KEEP = 3600.0  # seconds the discovery document and keys are kept


class OidcRefused(WusetuError):
    """The provider's answer is not believed, or it does not let this account in."""

    code = "oidc_refused"
    status = 403


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Title(_Part):
    """A name in both interface languages."""

    zh: str = Field(min_length=1, max_length=40)
    en: str = Field(min_length=1, max_length=40)


class Rule(_Part):
    """What the members of a group are here."""

    group: str = Field(min_length=1, max_length=200)
    role: Role
    prefixes: list[str] | Literal["all"]
    zones: list[int] = []
    title: str = Field(default="", max_length=80)

    @model_validator(mode="after")
    def _sound(self) -> Rule:
        try:
            checked_title(self.title)
            checked_prefixes(None if self.prefixes == "all" else list(self.prefixes))
        except Invalid as error:
            raise ValueError(error.message) from error
        if any(not 0 < one < 2**31 for one in self.zones):
            raise ValueError("a zone is a number from 1")
        return self


class Provider(_Part):
    """One OpenID Connect provider."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    title: Title
    discovery: str = Field(description="Address of the discovery document")
    client_id: str = Field(min_length=1)
    client_secret_file: Path | None = None
    scopes: list[str] = ["openid"]
    groups_claim: str = "groups"
    allow_http: bool = False
    rules: list[Rule] = Field(min_length=1)

    @model_validator(mode="after")
    def _sound(self) -> Provider:
        if not self.discovery.endswith(WELL_KNOWN):
            raise ValueError(f"the discovery address ends in {WELL_KNOWN}")
        if not self.trusts(self.discovery):
            raise ValueError("the discovery address begins with https:// (or set allow_http)")
        if "openid" not in self.scopes:
            raise ValueError("the scopes contain openid")
        return self

    def trusts(self, address: str) -> bool:
        """Whether an address may be asked: https, or http where that was allowed."""
        origin = origin_of(address)
        if origin is None:
            return False
        name = httpx.URL(address).host
        return origin.startswith("https:") or self.allow_http or is_loopback(name)

    def rule_for(self, groups: list[str]) -> Rule | None:
        """First rule whose group is among `groups`."""
        return next((one for one in self.rules if one.group in groups), None)

    def secret(self) -> str | None:
        """Client secret, read anew each time so that it can be changed."""
        if self.client_secret_file is None:
            return None
        try:
            return self.client_secret_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Unavailable("the client secret of the provider cannot be read") from error


class _File(_Part):
    providers: list[Provider]


def load_providers(file: Path | None) -> dict[str, Provider]:
    """Read the providers of the settings file, by id; none without a file.

    Raises
    ------
    Invalid
        The file cannot be read, or says something that makes no sense; place and reason are named.
    """
    if file is None:
        return {}
    try:
        _, body = read_yaml(file.read_text(encoding="utf-8"), str(file))
        found = _File.model_validate(body).providers
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{file}: cannot be read") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise Invalid(f"{file}: {place}: {first['msg']}") from error
    if len({one.id for one in found}) != len(found):
        raise Invalid(f"{file}: two providers have the same id")
    return {one.id: one for one in found}


@dataclass(frozen=True)
class Claims:
    """What a provider says about who logged in, as far as we look."""

    external: bytes
    groups: list[str]


class Talk:
    """The talk with one provider; keeps its discovery document and keys for an hour."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self._lock = threading.Lock()
        self._document: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, Any] | None = None

    def address(self, redirect: str, state: str, nonce: str, verifier: str) -> str:
        """Where to send the browser.

        Raises
        ------
        Unavailable
            The provider does not answer, or not as it should.
        """
        document = self._discover()
        with self._client(redirect) as client:
            found, _ = client.create_authorization_url(
                document["authorization_endpoint"], state=state, nonce=nonce, code_verifier=verifier
            )
        return str(found)

    def claims(
        self, redirect: str, code: str, nonce: str, verifier: str, issuer: str | None = None
    ) -> Claims:
        """Change a code into what the provider says.

        Parameters
        ----------
        issuer : `iss` of the callback; another one than the provider's is refused (RFC 9207)

        Raises
        ------
        OidcRefused
            The provider refuses the code, or its token is not believed.
        Unavailable
            The provider does not answer.
        """
        document = self._discover()
        if issuer is not None and issuer != document["issuer"]:
            raise OidcRefused("the answer names another provider")
        with self._client(redirect) as client:
            try:
                given = client.fetch_token(
                    document["token_endpoint"], code=code, code_verifier=verifier
                )
            except httpx.HTTPError as error:
                raise self._silent() from error
            except Exception as error:  # authlib: one class per way of refusing
                log.warning("provider %s refused a code: %s", self.provider.id, error)
                raise OidcRefused("the provider refused the login") from error
            token = self._token(str(given.get("id_token", "")), document, nonce)
            groups = token.get(self.provider.groups_claim)
            if groups is None and self._may_ask(document.get("userinfo_endpoint")):
                groups = self._more(client, document["userinfo_endpoint"], token["sub"])
        if isinstance(groups, str):
            groups = [groups]
        if not isinstance(groups, list):
            groups = []
        mark = f"{document['issuer']}\n{token['sub']}".encode()
        return Claims(
            hashlib.sha256(mark).digest(), [one for one in groups if isinstance(one, str)]
        )

    def _token(self, text: str, document: dict[str, Any], nonce: str) -> dict[str, Any]:
        from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
        from joserfc import jwt
        from joserfc.errors import JoseError

        try:
            try:
                decoded = jwt.decode(text, self._key_set(document), algorithms=ALGORITHMS)
            except (JoseError, ValueError):  # the provider may have new keys
                decoded = jwt.decode(
                    text, self._key_set(document, anew=True), algorithms=ALGORITHMS
                )
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                options={
                    "iss": {"essential": True, "value": document["issuer"]},
                    "aud": {"essential": True, "value": self.provider.client_id},
                    "nonce": {"essential": True, "value": nonce},
                },
                params={"nonce": nonce, "client_id": self.provider.client_id},
            )
            claims.validate(leeway=LEEWAY)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            log.warning("token of provider %s: %s", self.provider.id, type(error).__name__)
            raise OidcRefused("the provider's answer is not believed") from error
        if claims.get("nonce") != nonce or not isinstance(claims.get("sub"), str):
            raise OidcRefused("the provider's answer is not believed")
        return dict(claims)

    def _more(self, client: Any, address: str, subject: str) -> Any:
        try:
            answer = client.get(address)
            answer.raise_for_status()
            found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise self._silent() from error
        if not isinstance(found, dict) or found.get("sub") != subject:
            raise OidcRefused("the provider's answers do not fit together")
        return found.get(self.provider.groups_claim)

    def _client(self, redirect: str) -> Any:
        with warnings.catch_warnings():  # it tells its programmers about its next version
            warnings.simplefilter("ignore", DeprecationWarning)
            from authlib.integrations.httpx_client import (  # type: ignore[import-untyped]
                OAuth2Client,
            )
        secret = self.provider.secret()
        return OAuth2Client(
            client_id=self.provider.client_id,
            client_secret=secret,
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
            scope=" ".join(self.provider.scopes),
            redirect_uri=redirect,
            code_challenge_method="S256",
            timeout=TIMEOUT,
            follow_redirects=False,
        )

    def _may_ask(self, address: object) -> bool:
        return isinstance(address, str) and self.provider.trusts(address)

    def _silent(self) -> Unavailable:
        return Unavailable(f"the provider {self.provider.id} does not answer as it should")

    def _get(self, address: str) -> dict[str, Any]:
        try:
            with httpx.Client(timeout=TIMEOUT, follow_redirects=False) as client:
                answer = client.get(address)
                answer.raise_for_status()
                found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise self._silent() from error
        if not isinstance(found, dict):
            raise self._silent()
        return found

    def _discover(self) -> dict[str, Any]:
        with self._lock:
            if self._document is not None and time.monotonic() < self._document[0] + KEEP:
                return self._document[1]
            found = self._get(self.provider.discovery)
            own = self.provider.discovery.removesuffix(WELL_KNOWN)
            good = isinstance(found.get("issuer"), str) and found["issuer"].rstrip("/") == own
            places = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            if not good or not all(self._may_ask(found.get(one)) for one in places):
                log.error("the discovery document of provider %s is not sound", self.provider.id)
                raise self._silent()
            self._document = (time.monotonic(), found)
            return found

    def _key_set(self, document: dict[str, Any], *, anew: bool = False) -> Any:
        from joserfc.jwk import KeySet

        with self._lock:
            if self._keys is None or anew or time.monotonic() > self._keys[0] + KEEP:
                body: Any = self._get(document["jwks_uri"])
                self._keys = (time.monotonic(), KeySet.import_key_set(body))
            return self._keys[1]
