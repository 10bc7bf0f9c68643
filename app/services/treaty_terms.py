"""Terms and decisions as they travel between installations: one signed JSON file.

Promises: a side's decision counts here only when it is signed with a registered key of that side, over
the very terms; terms that are here already are never changed; a file is taken in whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa

from app.database import transaction
from app.errors import Invalid, NotFound
from app.services import treaties, treaty_keys
from app.services.treaties import Terms, canonical

SCHEMA = "wusetu-treaty-terms/1"
MOST_BYTES = 2**20


def signed_body(terms: Terms, side: str, decision: str, reason: str) -> bytes:
    """Bytes a side signs when it decides."""
    return canonical(
        {
            "schema": SCHEMA, "treaty": terms.name, "version": terms.version,
            "terms": terms.digest, "side": side, "decision": decision, "reason": reason,
        }
    )  # fmt: skip


def decide(  # noqa: PLR0917
    engine: sa.Engine, data_dir: Path, name: str, version: int, side: str, decision: str,
    reason: str, day: date,
) -> str:  # fmt: skip
    """Decide for a side of this installation, signed with its key; returns the state after it.

    Raises
    ------
    NotFound, Conflict, Invalid
        As `treaties.decide`; the side decides in an installation of its own.
    """
    with transaction(engine) as connection:
        there = treaties.versions(connection, day, name=name)
        one = next((v for v in there if v.terms.version == version), None)
        if one is None:
            raise NotFound(f"no version {version} of treaty {name!r}")
        if side not in one.terms.sides:
            raise Invalid(
                f"{side} is no side of this treaty", {"field": "side", "reason": "unknown"}
            )
        why = treaties.checked_reason(decision, reason)
        key, private = treaty_keys.own_key(connection, data_dir, side)
        signature = private.sign(signed_body(one.terms, side, decision, why)).hex()
        return treaties.decide(
            connection, name, version, side, decision, why, signed=(key, signature)
        )


def document(connection: sa.Connection, name: str, version: int, day: date) -> bytes:
    """File with the terms of a version and every signed decision.

    Raises
    ------
    NotFound
        There is no such version.
    """
    there = treaties.versions(connection, day, name=name)
    one = next((v for v in there if v.terms.version == version), None)
    if one is None:
        raise NotFound(f"no version {version} of treaty {name!r}")
    public = {key.key_id: key.public_key for key in treaty_keys.keys(connection)}
    body = {
        "schema": SCHEMA, "proposed_by": one.proposed_by, "terms": one.terms.body(),
        "decisions": [
            {
                "side": d.side, "decision": d.decision, "reason": d.reason, "key": d.key_id,
                "public_key": public.get(d.key_id or ""), "signature": d.signature,
            }
            for d in one.decisions
            if d.signature is not None
        ],
    }  # fmt: skip
    return json.dumps(body, ensure_ascii=False, indent=1).encode() + b"\n"


def take_in(engine: sa.Engine, body: bytes, pack: str | None, day: date) -> list[str]:
    """Take terms and decisions in; returns what is new, one line each.

    Parameters
    ----------
    pack : map the treaty is about here; needed when the treaty is not here yet

    Raises
    ------
    Invalid
        It is no such file; a decision is not signed by its side; the terms differ from those here.
    Conflict
        Not the next version.
    """
    found = _parse(body)
    terms = Terms.of(found["terms"])
    said = []
    with transaction(engine) as connection:
        there = treaties.versions(connection, day, name=terms.name)
        one = next((v for v in there if v.terms.version == terms.version), None)
        if one is not None and one.digest != terms.digest:
            raise Invalid(
                f"version {terms.version} of treaty {terms.name} says something else here",
                {"reason": "version"},
            )
        if one is None:
            where = there[0].pack if there else pack
            if where is None:
                raise Invalid("say which map this treaty is about: --pack", {"reason": "pack"})
            treaties.propose(connection, where, str(found["proposed_by"]), terms, numbered=True)
            said.append(f"version {terms.version} of treaty {terms.name}: terms taken in")
        decided = {d.side for d in one.decisions} if one else set()
        own = {key.side for key in treaty_keys.keys(connection) if key.own and not key.retired_at}
        for d in found["decisions"]:
            side = str(d["side"])
            if side in decided or side in own:
                continue
            words = signed_body(terms, side, str(d["decision"]), str(d["reason"]))
            treaty_keys.verify(connection, side, str(d["key"]), str(d["signature"]), words)
            state = treaties.decide(
                connection, terms.name, terms.version, side, str(d["decision"]), str(d["reason"]),
                signed=(str(d["key"]), str(d["signature"])),
            )  # fmt: skip
            said.append(f"{side} {d['decision']}ed it: {state}")
    return said


def _parse(body: bytes) -> Mapping[str, Any]:
    if len(body) > MOST_BYTES:
        raise Invalid("the file is too large", {"reason": "malformed"})
    try:
        found = json.loads(body)
        good = isinstance(found, dict) and isinstance(found.get("decisions"), list)
        good = good and all(
            isinstance(one, dict) and {"side", "decision", "reason", "key", "signature"} <= set(one)
            for one in found["decisions"]
        )
    except (ValueError, RecursionError):
        good = False
    if not good:
        raise Invalid("these are no terms of a treaty", {"reason": "malformed"})
    if found.get("schema") != SCHEMA:
        raise Invalid(
            f"terms of schema {found.get('schema')!r}; this program reads {SCHEMA}",
            {"reason": "schema"},
        )
    if not isinstance(found.get("terms"), dict) or "proposed_by" not in found:
        raise Invalid("the file says no terms", {"reason": "malformed"})
    return cast("Mapping[str, Any]", found)
