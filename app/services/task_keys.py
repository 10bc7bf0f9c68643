"""Secrets shared with outside grid platforms, and the signature made with them.

A signature is `v2=` and HMAC-SHA256 over the lines `v2`, key id, time, method with the whole target (path and
query), and the bytes of the body, so that none of them can be changed or sent again later. Signatures of the
scheme before (no `v2`, neither in front nor as first line) are good where there is no query, which they left out. Imports nothing of the project but errors and YAML.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from pathlib import Path

import yaml

from app.errors import Invalid, LoginNeeded

#: Seconds a signature is good for, before and after.
WINDOW = 300
KEY, TIME, SIGNATURE = "X-Wusetu-Key", "X-Wusetu-Time", "X-Wusetu-Signature"
#: What a signature of the second scheme begins with.
V2 = "v2="
LEAST_SECRET = 16


class Keys:
    """Secrets by key id; several at once while one takes the place of another."""

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        self._secrets = dict(secrets)

    def __bool__(self) -> bool:
        return bool(self._secrets)

    def __contains__(self, key: object) -> bool:
        return key in self._secrets

    def signed(
        self, key: str, method: str, target: str, body: bytes, *, at: int | None = None
    ) -> dict[str, str]:
        """Headers that sign a request.

        Parameters
        ----------
        target : path and, when there is one, `?` and the query, as they stand in the request

        Raises
        ------
        Invalid
            There is no such key.
        """
        if key not in self._secrets:
            raise Invalid(f"no secret for the key {key!r}: see WUSETU_TASKS_KEYS_FILE")
        now = int(time.time()) if at is None else at
        return {
            KEY: key,
            TIME: str(now),
            SIGNATURE: V2 + signature(self._secrets[key], key, now, f"{method} {target}", body),
        }

    def check(self, headers: Mapping[str, str], method: str, target: str, body: bytes) -> str:
        """Key id of a request that is signed as it should be.

        Parameters
        ----------
        target : path and, when there is one, `?` and the query

        Raises
        ------
        LoginNeeded
            A header is missing, the key unknown, the time too far off, or the signature wrong; which
            of them is not said.
        """
        key, given = headers.get(KEY, ""), headers.get(SIGNATURE, "")
        at = headers.get(TIME, "")
        # an unknown key takes as long as a wrong signature
        secret = self._secrets.get(key, bytes(32))
        good = at.isascii() and at.isdigit() and len(at) < 13
        # the first scheme left the query out: it signs nothing that has one
        version = 1 if "?" not in target and not given.startswith(V2) else 2
        line, moment = f"{method} {target}", int(at) if good else 0
        wanted = signature(secret, key, moment, line, body, version=version)
        given = given.removeprefix(V2)
        same = hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace"))
        if not (same and good and key in self._secrets and abs(time.time() - int(at)) <= WINDOW):
            raise LoginNeeded("the request is not signed as it should be")
        return key


def signature(secret: bytes, key: str, at: int, line: str, body: bytes, *, version: int = 2) -> str:
    """HMAC-SHA256 of a request, hexadecimal; `line` is method and target.

    >>> signature(b"secret", "k1", 1, "POST /x?to=1", b"{}")[:16]
    'c2a54fde07ccc090'
    >>> signature(b"secret", "k1", 1, "POST /x", b"{}", version=1)[:16]
    '90d8422e414a32ef'
    """
    lines = [key, str(at), line, ""]
    head = "\n".join(["v2", *lines] if version == 2 else lines).encode()
    return hmac.new(secret, head + body, hashlib.sha256).hexdigest()


def read_keys(path: Path | None) -> Keys:
    """Keys of a YAML file: `keys: [{id: k1, secret_file: /run/secrets/k1}]`.

    Raises
    ------
    Invalid
        The file or a secret cannot be read, is too short, or an id is given twice; secrets are not
        repeated.
    """
    if path is None:
        return Keys({})
    try:
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
        found: dict[str, bytes] = {}
        for one in body["keys"]:
            name, file = str(one["id"]), Path(one["secret_file"])
            secret = (path.parent / file).read_bytes().strip()
            if len(secret) < LEAST_SECRET:
                raise Invalid(f"{path.name}: the secret of {name!r} has fewer than 16 bytes")
            if name in found:
                raise Invalid(f"{path.name}: the key {name!r} is given twice")
            found[name] = secret
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise Invalid(
            f"{path}: cannot be read as a list `keys` of id and secret_file ({type(error).__name__})"
        ) from error
    return Keys(found)
