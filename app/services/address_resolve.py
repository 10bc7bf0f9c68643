"""Addresses in words → codes, inside a jurisdiction; and the queue of those a person looks at.

Imports `address_base`, `geo.addresses` and the database. Promises: an answer names no code outside the
jurisdiction of who asks; what is not certain goes into the review queue once, without unit, floor
and room; a settled address is known from then on, at once in every worker.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from app.api.address_models import (
    AddressAnswer,
    AddressCandidate,
    ReviewDecision,
    ReviewItem,
)
from app.errors import Conflict, Invalid, NotFound
from app.security.identity import Identity
from app.services import address_base, event_persons
from app.services.boundaries import newest_version
from geo.addresses.resolve import Candidate, Resolved, Resolver, Status
from geo.addresses.text import normalise

_ROOM = re.compile(
    r"(?:\d+|[a-z])单元.*$|\d{3,5}(?:室|房).*$|(?<=幢)-?\d{3,4}$|(?<=\d)-\d{1,2}-\d{3,4}$"
)
_QUEUE = 2_000


@dataclass(frozen=True)
class Ground:
    """A resolver with what was settled by people."""

    resolver: Resolver
    settled: dict[str, str]
    names: dict[str, str]

    def resolve(self, text: str) -> Resolved:
        """Resolve one address; what a person settled comes first."""
        known = self.settled.get(to_building(text))
        if known is not None:
            return Resolved(Status.FOUND, known, 1.0, True, ("settled",))
        return self.resolver.resolve(text)


def to_building(text: str) -> str:
    """Normalised address without unit, floor and room.

    >>> to_building("阳光花园三幢2单元501室"), to_building("阳光花园3-2-501")
    ('阳光花园3幢', '阳光花园3')
    """
    return _ROOM.sub("", normalise(text))


class Addresses:
    """Resolvers of all maps, made when first asked for and again when their base changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[address_base.State, Ground]] = {}

    def ground(self, connection: sa.Connection, pack: str) -> Ground:
        """Return the resolver of a map; `connection` sees the whole base.

        Raises
        ------
        NotFound
            The map has no address base.
        """
        now = address_base.state(connection, pack)
        if now is None:
            raise NotFound(
                f"map {pack} has no address base; import one: wusetu addresses import FILE --pack {pack}"
            )
        known = self._known.get(pack)
        if known and known[0] == now:
            return known[1]
        with self._lock:
            known = self._known.get(pack)
            if not known or known[0] != now:
                known = (now, _make(connection, pack))
                self._known[pack] = known
        return known[1]


def _make(connection: sa.Connection, pack: str) -> Ground:
    version = newest_version(connection, pack)
    units = address_base.read_units(connection, version)
    base = address_base.read_base(connection, pack, version)
    other = address_base.other_names(connection, pack, version)
    settled = connection.execute(
        sa.text(
            "select text, settled_code from address_review where pack = :p and state = 'settled'"
        ),
        {"p": pack},
    )
    return Ground(
        Resolver(units, base, other),
        dict(tuple(row) for row in settled),
        {unit.code: unit.name for unit in units},
    )


def answers(ground: Ground, identity: Identity, texts: Sequence[str]) -> list[AddressAnswer]:
    """Answer each text, cut to the jurisdiction."""
    return [_answer(ground, text, _inside(ground.resolve(text), identity)) for text in texts]


def _inside(found: Resolved, identity: Identity) -> Resolved:
    if identity.prefixes is None:
        return found
    prefixes = identity.prefixes

    def may(code: str) -> bool:
        return any(code.startswith(one) for one in prefixes)

    candidates = tuple(one for one in found.candidates if may(one.code))
    if found.code and may(found.code):
        return replace(found, candidates=candidates)
    return Resolved(
        Status.NONE, "", 0.0, False, ("outside",) if found.code else found.reasons, candidates
    )


def _answer(ground: Ground, text: str, found: Resolved) -> AddressAnswer:
    return AddressAnswer(
        text=event_persons.shown(text),
        status=found.status.value,
        code=found.code or None,
        name=_name(ground, found.code),
        level=_level(ground, found.code),
        unit=_unit(ground, found.code),
        place=_place(ground, found.place),
        confidence=found.confidence,
        certain=found.certain,
        reasons=list(found.reasons),
        candidates=[
            AddressCandidate(
                code=one.code,
                name=_name(ground, one.code),
                level=_level(ground, one.code),
                unit=_unit(ground, one.code),
                place=_place(ground, one.place),
                reasons=list(one.reasons),
            )
            for one in _distinct(found.candidates)
        ],
    )


def _distinct(candidates: Iterable[Candidate]) -> list[Candidate]:
    return list({one.code: one for one in candidates if one.code}.values())[:5]


def _name(ground: Ground, code: str) -> str | None:
    names = [
        ground.names[code[:length]]
        for length in ground.resolver.base.lengths
        if length <= len(code) and code[:length] in ground.names
    ]
    return "".join(names[:-1] + names[-1:]) or None


def _unit(ground: Ground, code: str) -> str | None:
    """Finest unit of the map a code lies in."""
    cuts = (code[:length] for length in reversed(ground.resolver.base.lengths))
    return next((one for one in cuts if one in ground.names), None)


def _place(ground: Ground, place: int) -> str | None:
    return ground.resolver.base.name[place] if place >= 0 else None


def _level(ground: Ground, code: str) -> str | None:
    words = ("city", "county", "town", "village", "grid", "building")
    fit = [i for i, length in enumerate(ground.resolver.base.lengths) if length <= len(code)]
    if not fit:
        return None
    if len(code) > ground.resolver.base.lengths[-1]:
        return "room"
    return words[fit[-1]] if fit[-1] < len(words) else "building"


def queue(connection: sa.Connection, pack: str, found: Iterable[tuple[str, Resolved]]) -> int:
    """Put uncertain addresses into the review queue; return how many are new or came again.

    Texts that hold something of a person are left out.
    """
    rows: dict[str, dict[str, object]] = {}
    for text, one in found:
        plain = to_building(text)[:300]
        if one.certain or not plain or event_persons.looks_like(text) or len(rows) >= _QUEUE:
            continue
        rows[plain] = {
            "p": pack, "t": plain, "c": one.code, "f": one.confidence, "r": list(one.reasons),
            "k": [each.code for each in _distinct(one.candidates)],
        }  # fmt: skip
    if rows:
        connection.execute(
            sa.text(
                "insert into address_review (pack, text, code, confidence, reasons, candidates) "
                "values (:p, :t, :c, :f, :r, :k) on conflict (pack, text) do update set "
                "seen = address_review.seen + 1, last_seen = now()"
            ),
            list(rows.values()),
        )
    return len(rows)


_ITEM = (
    "select id, pack, text, code, confidence, reasons, candidates, seen, first_seen, last_seen, state, "
    "settled_code, settled_at from address_review "
)


def review(connection: sa.Connection, pack: str, state: str, limit: int) -> list[ReviewItem]:
    """Return the queue of a map, what came most often first."""
    rows = connection.execute(
        sa.text(_ITEM + "where pack = :p and state = :s order by seen desc, id limit :n"),
        {"p": pack, "s": state, "n": limit},
    ).mappings()
    return [_item(row) for row in rows]


def _item(row: sa.RowMapping) -> ReviewItem:
    return ReviewItem(**{**row, "code": row["code"] or None})


def decide(
    connection: sa.Connection, identity: Identity, item: int, decision: ReviewDecision
) -> ReviewItem:
    """Settle or dismiss an address, and learn a name from it.

    Raises
    ------
    NotFound, Conflict, Invalid
        No such item in the jurisdiction; decided already; the code is not of the map.
    """
    found = (
        connection.execute(sa.text(_ITEM + "where id = :i for update"), {"i": item})
        .mappings()
        .first()
    )
    if found is None:
        raise NotFound(f"no address {item} to review")
    if found["state"] != "open":
        raise Conflict(f"address {item} is {found['state']} already")
    pack = found["pack"]
    if decision.code is not None:
        _known(connection, pack, decision.code)
    if decision.alias is not None:
        if decision.code is None:
            raise Invalid("a name is learnt for a code: give the code, too", {"field": "code"})
        what = event_persons.looks_like(decision.alias.name)
        if what:
            raise Invalid(f"the name looks like a {what}", {"field": "alias"})
        connection.execute(
            sa.text(
                "insert into address_alias (pack, name, code, place, origin, account_id) "
                "values (:p, :n, :c, :w, 'review', :a) on conflict do nothing"
            ),
            {"p": pack, "n": decision.alias.name, "c": decision.code, "w": decision.alias.place,
             "a": identity.account},
        )  # fmt: skip
    connection.execute(
        sa.text(
            "update address_review set state = :s, settled_code = :c, account_id = :a, "
            "settled_at = now() where id = :i"
        ),
        {
            "s": "settled" if decision.code else "dismissed", "c": decision.code,
            "a": identity.account, "i": item,
        },
    )  # fmt: skip
    address_base.touch(connection, pack)
    row = connection.execute(sa.text(_ITEM + "where id = :i"), {"i": item}).mappings().one()
    return _item(row)


def _known(connection: sa.Connection, pack: str, code: str) -> None:
    version = newest_version(connection, pack)
    there = connection.execute(
        sa.text("select exists (select from unit where boundary_version_id = :v and :c ^@ code)"),
        {"v": version.id, "c": code},
    ).scalar()
    if not there:
        raise Invalid(f"no unit of map {pack} has code {code} or a part of it", {"field": "code"})
