"""Fetch a package from another installation over HTTPS. Imports httpx.

Promises: nothing is asked without encryption but this machine itself; certificates are checked;
redirects are not followed; the token goes into no message; what comes is cut off at the largest size.
"""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import sqlalchemy as sa

from app.errors import Forbidden, Invalid, NotFound, Unavailable
from app.services.treaty_files import MOST_BYTES
from app.services.treaty_packages import MOST_MANIFEST, Package, parse

TIMEOUT = 60.0


def taken(connection: sa.Connection, name: str, side: str) -> int:
    """Sequence of the newest package of a side taken in, by a key in use; 0: none."""
    found: int = connection.execute(
        sa.text(
            "select coalesce(max(sequence), 0) from treaty_package p "
            "join treaty t on t.id = p.treaty_id join treaty_key k on k.key_id = p.key_id "
            "where t.name = :name and p.side = :side and direction = 'in' "
            "and k.retired_at is null"
        ),
        {"name": name, "side": side},
    ).scalar_one()
    return found


def checked_address(address: str) -> str:
    """Address of an installation without its last slash.

    Raises
    ------
    Invalid
        Not https (http only to this machine itself), or with a user, query or fragment in it.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = False
    if parts.scheme != "https" and not (parts.scheme == "http" and here):
        raise Invalid("packages are fetched over https:// only")
    if not host or parts.username or parts.query or parts.fragment:
        raise Invalid("give the address of the installation alone: https://host/")
    return address.rstrip("/")


def fetch(  # noqa: PLR0917
    address: str, name: str, side: str, after: int, token: str, ca: Path | None = None
) -> Package | None:
    """Fetch the newest package of a side after a number; None: there is none. Nothing is believed yet.

    Raises
    ------
    Invalid
        The address; what came is no package.
    Unavailable, Forbidden, NotFound
        The other installation does not answer, refuses the token, knows no such treaty.
    """
    base = checked_address(address)
    try:
        trust: Any = ssl.create_default_context(cafile=str(ca)) if ca else True
    except (OSError, ssl.SSLError) as error:
        raise Invalid(f"{ca} holds no certificates") from error
    headers = {"Authorization": f"Bearer {token}", "X-Purpose": "treaty%20pull"}
    with httpx.Client(verify=trust, timeout=TIMEOUT, headers=headers) as client:
        path = f"{base}/api/treaties/{quote(name, safe='')}/packages"
        listed = _get(client, path, 64 * MOST_MANIFEST, {"side": side, "after": str(after)})
        try:
            rows = httpx.Response(200, content=listed).json()["packages"]
            newest = max(rows, key=lambda one: int(one["sequence"]), default=None)
            if newest is None:
                return None
            number, manifest = int(newest["id"]), str(newest["manifest"]).encode()
        except (ValueError, KeyError, TypeError) as error:
            raise Invalid("the other installation's answer is no list of packages") from error
        body = _get(client, f"{path}/{number}/data.parquet", MOST_BYTES, {})
    one = parse(manifest, body)
    if one.about["side"] != side or one.about["treaty"] != name:
        raise Invalid("another package came than the one asked for", {"reason": "treaty"})
    return one


def _said(answer: httpx.Response) -> str:
    """First words of an error, as it was told."""
    try:
        part = next(answer.iter_bytes(2_000), b"")
        return str(httpx.Response(200, content=part).json()["message"])[:200]
    except (ValueError, KeyError, TypeError):
        return "no reason told"


def _get(client: httpx.Client, address: str, most: int, query: dict[str, str]) -> bytes:
    body = bytearray()
    try:
        with client.stream("GET", address, params=query) as answer:
            if answer.status_code in {401, 403}:
                raise Forbidden("the other installation refuses the token")
            if answer.status_code == 404:
                raise NotFound("the other installation knows no such treaty")
            if answer.status_code != 200:
                raise Unavailable(
                    f"the other installation answered {answer.status_code}: {_said(answer)}"
                )
            for part in answer.iter_bytes():
                body += part
                if len(body) > most:
                    raise Invalid("the other installation sends more than a package holds")
    except httpx.HTTPError as error:
        raise Unavailable(
            f"the other installation does not answer: {type(error).__name__}"
        ) from error
    return bytes(body)
