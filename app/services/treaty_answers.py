"""Treaties as the web shows and changes them. Takes connections of the web's role and plain arguments."""

from __future__ import annotations

from datetime import date

import sqlalchemy as sa

from app.api import treaty_models as models
from app.errors import Invalid, NotFound
from app.security.identity import Identity
from app.services import treaties as service
from app.services.border import Borders, speaking
from app.services.treaties import Terms, Version


def treaties(
    connection: sa.Connection, day: date, *, pack: str | None = None, name: str | None = None
) -> list[models.Treaty]:
    """Treaties that may be seen, by name."""
    found: dict[str, list[Version]] = {}
    for one in service.versions(connection, day, pack=pack, name=name):
        found.setdefault(one.terms.name, []).append(one)
    return [
        models.Treaty(
            name=key,
            pack=rows[0].pack,
            in_force=next((one.terms.version for one in rows if one.state == "in_force"), None),
            versions=[_version(one) for one in rows],
        )
        for key, rows in found.items()
    ]


def _version(one: Version) -> models.TreatyVersion:
    terms = one.terms
    return models.TreatyVersion.model_validate(
        {
            "version": terms.version, "state": one.state, "proposed_by": one.proposed_by,
            "sides": list(terms.sides), "resolution": terms.resolution,
            "periods": list(terms.periods), "delay_days": terms.delay_days,
            "min_count": terms.min_count, "kinds": terms.kinds, "valid_from": terms.valid_from,
            "valid_to": terms.valid_to, "note": terms.note, "digest": one.digest,
            "decisions": [
                {
                    "side": d.side, "decision": d.decision, "reason": d.reason, "at": d.at,
                    "signed": d.signature is not None,
                }
                for d in one.decisions
            ],
            "waiting": one.waiting if one.state == "proposed" else [],
        }
    )  # fmt: skip


def one_treaty(connection: sa.Connection, day: date, name: str) -> models.Treaty:
    """One treaty.

    Raises
    ------
    NotFound
        There is none that may be seen.
    """
    found = treaties(connection, day, name=name)
    if not found:
        raise NotFound(f"no treaty {name!r}")
    return found[0]


def propose(
    borders: Borders,
    connection: sa.Connection,
    identity: Identity,
    draft: models.TreatyDraft,
    day: date,
) -> models.Treaty:
    """Propose a version for one's own side.

    Raises
    ------
    NotFound, Invalid, Forbidden, Conflict
        No such map; the terms make no sense; not one's side; the name is taken.
    """
    here = borders.map(connection, draft.pack)
    unknown = sorted(set(draft.sides) - set(here.sides))
    if unknown:
        raise Invalid(
            f"{unknown[0]} is no side of this map", {"field": "sides", "reason": "unknown"}
        )
    side = speaking(identity, sorted(set(draft.sides)), draft.side)
    terms = Terms(
        draft.name, 1, tuple(sorted(set(draft.sides))), draft.resolution,
        tuple(one for one in service.PERIODS if one in draft.periods), draft.delay_days,
        draft.min_count, service.scene_kinds(draft.kinds), draft.valid_from, draft.valid_to,
        draft.note,
    )  # fmt: skip
    service.propose(connection, draft.pack, side, terms, identity.account)
    return one_treaty(connection, day, draft.name)


def decide(
    connection: sa.Connection,
    identity: Identity,
    name: str,
    wanted: models.TreatyDecisionDraft,
    day: date,
) -> models.Treaty:
    """Accept or reject a version for one's own side.

    Raises
    ------
    NotFound, Forbidden, Conflict, Invalid
        See `treaties.decide`.
    """
    there = service.versions(connection, day, name=name)
    one = next((v for v in there if v.terms.version == wanted.version), None)
    if one is None:
        raise NotFound(f"no version {wanted.version} of treaty {name!r}")
    side = speaking(identity, one.terms.sides, wanted.side)
    service.decide(
        connection, name, wanted.version, side, wanted.decision, wanted.reason, identity.account
    )
    return one_treaty(connection, day, name)
