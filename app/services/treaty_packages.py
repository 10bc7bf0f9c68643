"""Packages: what a side told, signed, as it travels between installations.

A package is two files: `NAME.parquet` (`treaty_files`) and `NAME.manifest`, the signature in 128
hexadecimal digits, a line feed, and the manifest it signs, JSON that names treaty, version and digest
of its terms, side, sequence, nonce, key, cut-off, periods, rows, bytes and sha256 of the file. Every byte of
both is covered.

Promises: a package is taken in whole or not at all; refused, each with its own reason, are other
schemas, unknown treaties, versions that are not in force here, terms that differ, unknown, retired or
other sides' keys, altered bytes, what was taken in before, and what is older than what was.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app.database import transaction
from app.errors import Conflict, Invalid, NotFound
from app.services import treaties, treaty_files, treaty_keys
from app.services.treaties import Version, canonical
from app.services.treaty_side import SideTold, tell_side

SCHEMA = "wusetu-treaty-package/1"
_MANIFEST = re.compile(rb"([0-9a-f]{128})\n(\{.*\})", re.DOTALL)
_FIELDS = {
    "schema": str, "treaty": str, "version": int, "terms": str, "side": str, "name": str,
    "sequence": int, "nonce": str, "key": str, "made_at": str, "cutoff": str, "simulated": bool,
    "periods": dict, "rows": int, "bytes": int, "sha256": str,
}  # fmt: skip
MOST_MANIFEST = 2**20


@dataclass(frozen=True)
class Package:
    """A package as it travels."""

    manifest: bytes
    data: bytes
    about: Mapping[str, Any]

    @property
    def stem(self) -> str:
        """Name of its files."""
        one = self.about
        return f"{one['treaty']}-v{one['version']}-{one['side']}-{one['sequence']:06d}"


def export(
    engine: sa.Engine, data_dir: Path, version: Version, side: str, *, on: date, zone: str
) -> Package:
    """Count, sign and keep what a side tells now.

    Raises
    ------
    NotFound, Invalid, Conflict
        The side is none of the treaty's or of the map, or signs elsewhere.
    """
    if version.state != "in_force":
        raise Conflict(f"version {version.terms.version} of the treaty is not in force")
    if side not in version.terms.sides:
        raise Invalid(f"{side} is no side of this treaty", {"field": "side", "reason": "unknown"})
    told = tell_side(engine, version.pack, side, version.terms, on=on, zone=zone)
    body = treaty_files.write(told)
    with transaction(engine) as connection:
        connection.execute(sa.text("select pg_advisory_xact_lock(hashtext('wusetu packages'))"))
        key, private = treaty_keys.own_key(connection, data_dir, side)
        last: int = connection.execute(
            sa.text(
                "select coalesce(max(sequence), 0) from treaty_package "
                "where treaty_id = :treaty and side = :side"
            ),
            {"treaty": version.treaty, "side": side},
        ).scalar_one()
        about = {
            "schema": SCHEMA, "treaty": version.terms.name, "version": version.terms.version,
            "terms": version.digest, "side": side, "name": told.name, "sequence": last + 1,
            "nonce": secrets.token_hex(16), "key": key,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "cutoff": told.cutoff.isoformat(), "simulated": told.simulated,
            "periods": {
                one: [start.isoformat() for start in starts]
                for one, starts in sorted(told.periods.items())
            },
            "rows": _rows(told), "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest(),
        }  # fmt: skip
        signed = canonical(about)
        manifest = private.sign(signed).hex().encode() + b"\n" + signed
        found = Package(manifest, body, about)
        _store(connection, version, found, "out")
    return found


def _rows(told: SideTold) -> int:
    return len(told.cells) * len(told.exposures) + sum(len(one.name) for one in told.told.values())


def _store(connection: sa.Connection, version: Version, one: Package, direction: str) -> None:
    about = one.about
    connection.execute(
        sa.text(
            "insert into treaty_package (treaty_id, version, side, sides, direction, sequence, "
            "nonce, key_id, cutoff, made_at, digest, rows, manifest, data) values (:treaty, "
            ":version, :side, :sides, :direction, :sequence, :nonce, :key, :cutoff, :made, :digest, "
            ":rows, :manifest, :data)"
        ),
        {
            "treaty": version.treaty, "version": version.terms.version, "side": about["side"],
            "sides": list(version.terms.sides), "direction": direction,
            "sequence": about["sequence"], "nonce": about["nonce"], "key": about["key"],
            "cutoff": date.fromisoformat(about["cutoff"]),
            "made": datetime.fromisoformat(about["made_at"]), "digest": about["sha256"],
            "rows": about["rows"], "manifest": one.manifest.decode(), "data": one.data,
        },
    )  # fmt: skip


def parse(manifest: bytes, data: bytes) -> Package:
    """Take a package apart; nothing of it is believed yet.

    Raises
    ------
    Invalid
        `detail.reason`: `malformed`, `schema`.
    """
    if len(manifest) > MOST_MANIFEST or len(data) > treaty_files.MOST_BYTES:
        raise Invalid("the package is too large", {"reason": "malformed"})
    found = _MANIFEST.fullmatch(manifest)
    try:
        about = json.loads(found[2]) if found else None
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict):
        raise Invalid("this is no manifest of a package", {"reason": "malformed"})
    if about.get("schema") != SCHEMA:
        raise Invalid(
            f"a package of schema {about.get('schema')!r}; this program reads {SCHEMA}",
            {"reason": "schema"},
        )
    for name, kind in _FIELDS.items():
        value = about.get(name)
        good = isinstance(value, kind)
        if isinstance(value, int) and kind is int:
            good = not isinstance(value, bool) and 0 <= value < 2**31
        if not good:
            raise Invalid(f"the manifest says no {name}", {"reason": "malformed"})
    try:
        date.fromisoformat(about["cutoff"])
        good = datetime.fromisoformat(about["made_at"]).tzinfo is not None
    except ValueError:
        good = False
    if not good or not re.fullmatch(r"[0-9a-f]{32}", about["nonce"]) or about["sequence"] < 1:
        raise Invalid(
            "the manifest has a malformed time, nonce or sequence", {"reason": "malformed"}
        )
    return Package(manifest, data, about)


def take_in(engine: sa.Engine, one: Package, day: date) -> Version:
    """Take a package in, whole; returns the version it was told under.

    Raises
    ------
    Invalid
        `detail.reason`: `treaty`, `version`, `key`, `signature`, `altered`, `content`.
    Conflict
        `detail.reason`: `replay`, `old`.
    """
    about = one.about
    with transaction(engine) as connection:
        connection.execute(sa.text("select pg_advisory_xact_lock(hashtext('wusetu packages'))"))
        version = _version(connection, about, day)
        side = about["side"]
        if side not in version.terms.sides:
            raise Invalid(f"{side} is no side of this treaty", {"reason": "treaty"})
        signature, signed = one.manifest.split(b"\n", 1)
        known = next((k for k in treaty_keys.keys(connection) if k.key_id == about["key"]), None)
        if known is not None and known.own:
            raise Invalid(f"side {side} tells here by its own events", {"reason": "key"})
        treaty_keys.verify(connection, side, about["key"], signature.decode(), signed)
        if len(one.data) != about["bytes"] or (
            hashlib.sha256(one.data).hexdigest() != about["sha256"]
        ):
            raise Invalid("the file is not the one that was signed", {"reason": "altered"})
        _fresh(connection, version, about)
        told = treaty_files.read(one.data, version.terms, about)
        delay = version.terms.delay_days
        if told.cutoff > day - timedelta(days=delay):
            raise Invalid(
                f"it tells of days before {told.cutoff}: agreed is a delay of {delay} days",
                {"reason": "content"},
            )
        _store(connection, version, one, "in")
    return version


def _version(connection: sa.Connection, about: Mapping[str, Any], day: date) -> Version:
    there = treaties.versions(connection, day, name=about["treaty"])
    if not there:
        raise Invalid(f"no treaty {about['treaty']!r} here", {"reason": "treaty"})
    found = next((v for v in there if v.terms.version == about["version"]), None)
    current = next((v for v in there if v.state == "in_force"), None)
    if found is None or found is not current:
        now = f"version {current.terms.version} is" if current else "none is"
        raise Invalid(
            f"a package by version {about['version']} of treaty {about['treaty']}; here {now} in "
            "force",
            {"reason": "version"},
        )
    if found.digest != about["terms"]:
        raise Invalid(
            f"the sender's terms of version {about['version']} are not those accepted here",
            {"reason": "version"},
        )
    return found


def _fresh(connection: sa.Connection, version: Version, about: Mapping[str, Any]) -> None:
    row = connection.execute(
        sa.text(
            "select exists (select from treaty_package where nonce = :nonce) as replay, "
            "coalesce(max(p.sequence) filter (where k.retired_at is null), 0) as last, "
            "coalesce(bool_or(p.sequence = :sequence), false) as there "
            "from treaty_package p join treaty_key k on k.key_id = p.key_id "
            "where p.treaty_id = :treaty and p.side = :side"
        ),
        {
            "nonce": about["nonce"], "treaty": version.treaty, "side": about["side"],
            "sequence": about["sequence"],
        },
    ).one()  # fmt: skip
    if row.replay:
        raise Conflict("this package was taken in before", {"reason": "replay"})
    # what a key out of use has signed is taken no more, and its numbers hold nobody up
    if row.there or about["sequence"] <= row.last:
        raise Conflict(
            f"number {about['sequence']} of {about['side']} is older than number "
            f"{max(row.last, about['sequence'])}, which was taken in",
            {"reason": "old"},
        )


def newest(connection: sa.Connection, version: Version, side: str) -> SideTold | None:
    """Read what a side told last in packages of this version; None: nothing yet."""
    row = connection.execute(
        sa.text(
            "select manifest, data from treaty_package where treaty_id = :treaty "
            "and version = :version and side = :side and direction = 'in' "
            "order by id desc limit 1"
        ),
        {"treaty": version.treaty, "version": version.terms.version, "side": side},
    ).one_or_none()
    if row is None:
        return None
    one = parse(row.manifest.encode(), bytes(row.data))
    return treaty_files.read(one.data, version.terms, one.about)


# files -------------------------------------------------------------------------------------------
def write_files(one: Package, folder: Path) -> tuple[Path, Path]:
    """Write both files, the manifest last: without it a package is not complete.

    Raises
    ------
    Invalid
        The folder cannot be written.
    """
    paths = folder / f"{one.stem}.parquet", folder / f"{one.stem}.manifest"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, body in zip(paths, (one.data, one.manifest), strict=True):
            partial = path.with_name(path.name + ".part")
            partial.write_bytes(body)
            partial.replace(path)
    except OSError as error:
        raise Invalid(f"{folder} cannot be written: {error.strerror or error}") from error
    return paths


def read_files(manifest: Path) -> Package:
    """Read a package by the path of its manifest.

    Raises
    ------
    Invalid
        A file is missing or unreadable; see `parse`.
    """
    data = manifest.with_suffix(".parquet")
    try:
        for path, most in ((manifest, MOST_MANIFEST), (data, treaty_files.MOST_BYTES)):
            if path.stat().st_size > most:
                raise Invalid(f"{path.name} is too large", {"reason": "malformed"})
        return parse(manifest.read_bytes(), data.read_bytes())
    except OSError as error:
        raise Invalid(
            f"{error.filename or manifest}: {error.strerror or error}", {"reason": "malformed"}
        ) from error


def sent(
    connection: sa.Connection, name: str, *, side: str | None = None, after: int = 0
) -> list[sa.Row[Any]]:
    """List packages sent from here by a treaty, oldest first, without their data.

    Raises
    ------
    NotFound
        There is no such treaty that may be seen.
    """
    there = connection.execute(
        sa.text("select id from treaty where name = :name"), {"name": name}
    ).scalar_one_or_none()
    if there is None:
        raise NotFound(f"no treaty {name!r}")
    rows = connection.execute(
        sa.text(
            "select id, version, side, sequence, key_id, cutoff, made_at, digest, rows, "
            "length(data) as bytes, manifest from treaty_package where treaty_id = :treaty "
            "and direction = 'out' and (cast(:side as text) is null or side = :side) "
            "and sequence > :after order by side, sequence"
        ),
        {"treaty": there, "side": side, "after": after},
    )
    return list(rows.all())


def sent_data(connection: sa.Connection, name: str, package: int) -> bytes:
    """Read the file of a package sent from here.

    Raises
    ------
    NotFound
        There is none that may be seen.
    """
    found = connection.execute(
        sa.text(
            "select p.data from treaty_package p join treaty t on t.id = p.treaty_id "
            "where p.id = :package and t.name = :name and p.direction = 'out'"
        ),
        {"package": package, "name": name},
    ).scalar_one_or_none()
    if found is None:
        raise NotFound(f"no package {package} of treaty {name!r}")
    return bytes(found)
