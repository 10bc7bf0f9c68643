"""Random secrets and their digests: what is shown once, and what is stored.

Secrets have 256 random bits, so one plain SHA-256 is a safe digest and costs next to nothing per
request; passwords, which people choose, are the business of `passwords`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

#: A program's token says what it is, so that scanners of leaked secrets can find it.
TOKEN_PREFIX = "wusetu_"  # noqa: S105 - a mark, no secret
#: Longest secret anyone hands us; ours are shorter.
LONGEST = 128


def new_secret() -> str:
    """256 random bits, 43 characters that need no quoting anywhere."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """Return what is stored of a secret: SHA-256, 32 bytes."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def csrf_of(session: str) -> str:
    """Return the token an unsafe request of a session has to repeat.

    Derived from the session's own secret, so that it needs no storage, belongs to this session
    alone, and says nothing about the secret.
    """
    made = hmac.new(session.encode("utf-8", "surrogatepass"), b"wusetu csrf", hashlib.sha256)
    return base64.urlsafe_b64encode(made.digest()).rstrip(b"=").decode()


def same(given: str, right: str) -> bool:
    """Whether two texts are the same, in a time that does not say where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), right.encode())
