"""Keys of the sides: who signed what crosses a line. Imports `cryptography`.

Promises: the private key of a side never leaves the data folder of its installation (`keys/`, readable by
the owner alone) and never enters the database; it is made when it is first needed. Public keys of other
installations' sides are registered by hand, told over another way than the packages.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from app.errors import Conflict, Invalid, NotFound


@dataclass(frozen=True)
class Key:
    """A public key of a side; `own`: its private key lies here."""

    key_id: str
    side: str
    public_key: str
    own: bool
    registered_at: datetime
    retired_at: datetime | None


def keys(connection: sa.Connection, side: str | None = None) -> list[Key]:
    """All keys, newest first."""
    rows = connection.execute(
        sa.text(
            "select key_id, side, public_key, own, registered_at, retired_at from treaty_key "
            "where cast(:side as text) is null or side = :side order by registered_at desc, key_id"
        ),
        {"side": side},
    )
    return [Key(**row._mapping) for row in rows]


def key_id(public: bytes) -> str:
    """Name of a public key: first 16 digits of its sha256."""
    return hashlib.sha256(public).hexdigest()[:16]


def _raw(public: Ed25519PublicKey) -> bytes:
    return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def _path(data_dir: Path, name: str) -> Path:
    return data_dir / "keys" / f"{name}.pem"


def own_key(connection: sa.Connection, data_dir: Path, side: str) -> tuple[str, Ed25519PrivateKey]:
    """Find the key a side signs with, made when there is none: its name and the private key.

    Raises
    ------
    Conflict
        The side is another installation's; or its private key is not in the data folder.
    """
    connection.execute(sa.text("select pg_advisory_xact_lock(hashtext('wusetu treaty keys'))"))
    known = keys(connection, side)
    # also when all of them are out of use: nobody else takes its place
    if any(not one.own for one in known):
        raise Conflict(f"side {side} signs in an installation of its own")
    good = [one for one in known if one.retired_at is None]
    if not good:
        return _make(connection, data_dir, side)
    path = _path(data_dir, good[0].key_id)
    try:
        private = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError) as error:
        raise Conflict(
            f"the private key {good[0].key_id} of side {side} is not in {path.parent}: bring it "
            f"back, or make a new one with `wusetu treaty key rotate --side {side}`"
        ) from error
    if (
        not isinstance(private, Ed25519PrivateKey)
        or key_id(_raw(private.public_key())) != path.stem
    ):
        raise Conflict(f"{path.name} does not hold the key it is named after")
    return good[0].key_id, private


def _make(connection: sa.Connection, data_dir: Path, side: str) -> tuple[str, Ed25519PrivateKey]:
    private = Ed25519PrivateKey.generate()
    public = _raw(private.public_key())
    name = key_id(public)
    path = _path(data_dir, name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    body = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    # nobody else may read it, not even for the moment between making and closing
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    _insert(connection, name, side, public.hex(), own=True)
    return name, private


def _insert(connection: sa.Connection, name: str, side: str, public: str, *, own: bool) -> None:
    connection.execute(
        sa.text(
            "insert into treaty_key (key_id, side, public_key, own) "
            "values (:name, :side, :public, :own)"
        ),
        {"name": name, "side": side, "public": public, "own": own},
    )


def register(connection: sa.Connection, side: str, public: str) -> Key:
    """Register the public key of another installation's side; from now on it tells by packages.

    Raises
    ------
    Invalid
        It is no Ed25519 public key in 64 hexadecimal digits.
    Conflict
        The side signs here, or the key is known.
    """
    text = public.strip().lower()
    try:
        body = bytes.fromhex(text)
        Ed25519PublicKey.from_public_bytes(body)
    except ValueError as error:
        raise Invalid("a public key is 64 hexadecimal digits (Ed25519)") from error
    name = key_id(body)
    there = keys(connection)
    if any(one.key_id == name for one in there):
        raise Conflict(f"key {name} is registered already")
    if any(one.own and one.side == side and one.retired_at is None for one in there):
        raise Conflict(f"side {side} signs here: retire its key first")
    _insert(connection, name, side, text, own=False)
    return next(one for one in keys(connection, side) if one.key_id == name)


def retire(connection: sa.Connection, name: str) -> Key:
    """Take a key out of use: nothing signed with it is taken from now on.

    Raises
    ------
    NotFound
        There is no such key in use.
    """
    found = connection.execute(
        sa.text(
            "update treaty_key set retired_at = now() where key_id = :name and retired_at is null "
            "returning side"
        ),
        {"name": name},
    ).scalar_one_or_none()
    if found is None:
        raise NotFound(f"no key {name} in use")
    return next(one for one in keys(connection, found) if one.key_id == name)


def rotate(connection: sa.Connection, data_dir: Path, side: str) -> Key:
    """Make a new key for a side of this installation and retire the old one."""
    known = keys(connection, side)
    if any(not one.own for one in known):
        raise Conflict(f"side {side} signs in an installation of its own")
    for one in known:
        if one.retired_at is None:
            retire(connection, one.key_id)
    name, _ = _make(connection, data_dir, side)
    return next(one for one in keys(connection, side) if one.key_id == name)


def verify(connection: sa.Connection, side: str, name: str, signature: str, body: bytes) -> None:
    """Let pass what a side signed with a key in use.

    Raises
    ------
    Invalid
        `detail.reason`: `key` (unknown, of another side, retired), `signature` (it does not fit).
    """
    found = next((one for one in keys(connection) if one.key_id == name), None)
    if found is None:
        raise Invalid(f"key {name} is not registered here", {"reason": "key"})
    if found.side != side:
        raise Invalid(f"key {name} is that of {found.side}, not of {side}", {"reason": "key"})
    if found.retired_at is not None:
        raise Invalid(f"key {name} of {side} is retired", {"reason": "key"})
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(found.public_key))
        public.verify(bytes.fromhex(signature), body)
    except (InvalidSignature, ValueError) as error:
        raise Invalid(
            f"the signature does not fit: altered, or not signed by {side}",
            {"reason": "signature"},
        ) from error
