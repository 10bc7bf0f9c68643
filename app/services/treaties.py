"""Treaties: what may cross a province line, proposed by one side and accepted by all.

Takes connections and plain arguments, never a request; the day it is is an argument, too.

Promises: terms never change, they are followed by another version; a version is in force when every
side accepted it and its time has come; writing is done by functions of the database, for a side the
asker speaks for.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from app.errors import Conflict, Invalid, NotFound
from app.services.border_words import checked
from app.services.refusals import refused
from app.services.scenes import DEFAULT, load_scene

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
PERIODS = ("month", "quarter", "year")
#: Where no treaty says otherwise: nothing below this count and nothing finer crosses a line.
MIN_COUNT = 5
FINEST = 8


@dataclass(frozen=True)
class Terms:
    """What a version of a treaty says.

    Attributes
    ----------
    sides : code prefixes, ascending
    resolution : of the H3 cells that cross
    periods : of `month`, `quarter`, `year`: each a table of its own
    delay_days : a period crosses so many days after its end
    min_count : no count from 1 to below it crosses
    kinds : kind → exposure → weight, each kind's adding up to 1 (METHODS 1)
    valid_from, valid_to : local days `[ , )`; no end: until another version takes its place
    """

    name: str
    version: int
    sides: tuple[str, ...]
    resolution: int
    periods: tuple[str, ...]
    delay_days: int
    min_count: int
    kinds: Mapping[str, Mapping[str, float]]
    valid_from: date
    valid_to: date | None = None
    note: str = ""

    @property
    def measures(self) -> tuple[str, ...]:
        """Exposures that cross, in order."""
        return tuple(sorted({one for weights in self.kinds.values() for one in weights}))

    def body(self) -> dict[str, Any]:
        """As they are signed and stored."""
        return {
            "name": self.name, "version": self.version, "sides": list(self.sides),
            "resolution": self.resolution, "periods": list(self.periods),
            "delay_days": self.delay_days, "min_count": self.min_count,
            "kinds": {kind: dict(sorted(one.items())) for kind, one in sorted(self.kinds.items())},
            "valid_from": self.valid_from.isoformat(),
            "valid_to": self.valid_to.isoformat() if self.valid_to else None, "note": self.note,
        }  # fmt: skip

    @property
    def digest(self) -> str:
        """Sha256 of the terms."""
        return hashlib.sha256(canonical(self.body())).hexdigest()

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Terms:
        """Read terms.

        Raises
        ------
        Invalid
            Something is missing or makes no sense; the message names it.
        """
        try:
            found = cls(
                name=str(body["name"]),
                version=int(body["version"]),
                sides=tuple(sorted({str(one) for one in body["sides"]})),
                resolution=int(body["resolution"]),
                periods=tuple(one for one in PERIODS if one in body["periods"]),
                delay_days=int(body["delay_days"]),
                min_count=int(body["min_count"]),
                kinds={
                    str(kind): {str(name): float(value) for name, value in weights.items()}
                    for kind, weights in body["kinds"].items()
                },
                valid_from=date.fromisoformat(body["valid_from"]),
                valid_to=date.fromisoformat(body["valid_to"]) if body.get("valid_to") else None,
                note=str(body.get("note") or ""),
            )
            unknown = set(body["periods"]) - set(PERIODS)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise Invalid(f"these are no terms of a treaty: {error!r}") from error
        found.check()
        if unknown:
            raise _wrong("periods", f"of {', '.join(PERIODS)}")
        return found

    def check(self) -> None:
        """Refuse terms that make no sense.

        Raises
        ------
        Invalid
        """
        if not NAME.fullmatch(self.name):
            raise _wrong("name", "a to z, digits and hyphens, at most 40")
        if not 2 <= len(self.sides) <= 16:
            raise _wrong("sides", "2 to 16 sides")
        for one, other in zip(self.sides, self.sides[1:], strict=False):
            if not re.fullmatch(r"[0-9A-Za-z]{1,27}", one) or other.startswith(one):
                raise _wrong("sides", f"{one} and {other}: code prefixes, none inside another")
        for field, value, low, high in (
            ("resolution", self.resolution, 4, FINEST),
            ("delay_days", self.delay_days, 0, 3660),
            ("min_count", self.min_count, 2, 1000),
        ):
            if not low <= value <= high:
                raise _wrong(field, f"{low} to {high}")
        if not self.periods:
            raise _wrong("periods", f"at least one of {', '.join(PERIODS)}")
        if not self.kinds:
            raise _wrong("kinds", "at least one kind")
        for kind, weights in self.kinds.items():
            if kind == "overall" or not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", kind):
                raise _wrong("kinds", f"{kind!r} is no kind (overall is a sum of kinds)")
            # so written that what is no number fails, too
            good = all(0 <= one <= 1 for one in weights.values())
            if not weights or not good or abs(sum(weights.values()) - 1) > 1e-6:
                raise _wrong("kinds", f"the weights of {kind} are not negative and add up to 1")
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            raise _wrong("valid_to", "after valid_from")


def _wrong(field: str, words: str) -> Invalid:
    return Invalid(f"{field}: {words}", {"field": field, "reason": "terms"})


def canonical(body: Any) -> bytes:
    """Bytes of a JSON body that are the same wherever it is written."""
    return json.dumps(
        body, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    ).encode()


def scene_kinds(names: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Kinds with their exposure weights, from the scene of the project.

    Raises
    ------
    Invalid
        There is no such kind.
    """
    kinds = load_scene(DEFAULT).kinds
    unknown = sorted(set(names or ()) - set(kinds))
    if unknown:
        raise _wrong("kinds", f"no kind {unknown[0]!r}; there are {', '.join(kinds)}")
    return {
        kind: {name: weight for name, weight in kinds[kind].weights.items() if weight}
        for kind in (kinds if names is None else names)
    }


@dataclass(frozen=True)
class Decision:
    """What a side decided about a version."""

    side: str
    decision: str
    reason: str
    at: Any
    key_id: str | None = None
    signature: str | None = None


@dataclass(frozen=True)
class Version:
    """A version with its decisions; `state`: proposed, accepted, in_force, over, rejected."""

    treaty: int
    pack: str
    terms: Terms
    proposed_by: str
    state: str
    decisions: tuple[Decision, ...]
    digest: str

    @property
    def waiting(self) -> list[str]:
        """Sides that have not decided."""
        said = {one.side for one in self.decisions}
        return [one for one in self.terms.sides if one not in said]


_VERSIONS = """
select t.id as treaty, t.pack, t.name, v.version, v.side, v.sides, v.resolution, v.periods, v.delay_days,
  v.min_count, v.kinds, v.valid_from, v.valid_to, v.note, v.digest, s.state,
  exists (select from treaty_in_force(t.pack, cast(:day as date)) f
          where f.treaty_id = t.id and f.version = v.version) as in_force,
  coalesce(v.valid_to <= cast(:day as date), false) or exists (
    select from treaty_in_force(t.pack, cast(:day as date)) f
    where f.treaty_id = t.id and f.version > v.version) as over,
  (select coalesce(json_agg(json_build_object('side', d.side, 'decision', d.decision, 'reason', d.reason,
     'at', d.at, 'key_id', d.key_id, 'signature', d.signature) order by d.side), '[]')
   from treaty_decision d where d.treaty_id = v.treaty_id and d.version = v.version) as decisions
from treaty t join treaty_version v on v.treaty_id = t.id
join treaty_state s on s.treaty_id = v.treaty_id and s.version = v.version
where (cast(:pack as text) is null or t.pack = :pack) and (cast(:name as text) is null or t.name = :name)
order by t.name, v.version desc
"""


def versions(
    connection: sa.Connection, day: date, *, pack: str | None = None, name: str | None = None
) -> list[Version]:
    """Versions that may be seen, by treaty, newest first; `day` is the local day it is."""
    rows = connection.execute(sa.text(_VERSIONS), {"pack": pack, "name": name, "day": day})
    found = []
    for row in rows:
        terms = Terms(
            row.name, row.version, tuple(row.sides), row.resolution,
            tuple(one for one in PERIODS if one in row.periods), row.delay_days, row.min_count,
            row.kinds, row.valid_from, row.valid_to, row.note,
        )  # fmt: skip
        state = row.state
        if state == "accepted":
            state = "in_force" if row.in_force else "over" if row.over else "accepted"
        found.append(
            Version(
                row.treaty, row.pack, terms, row.side, state,
                tuple(Decision(**one) for one in row.decisions), row.digest,
            )
        )  # fmt: skip
    return found


def in_force(
    connection: sa.Connection, day: date, *, pack: str | None = None, name: str | None = None
) -> Version:
    """Find the version that holds on a day.

    Raises
    ------
    NotFound
        None does; the message says who has to accept.
    Conflict
        The map has several treaties in force: say which.
    """
    there = versions(connection, day, pack=pack, name=name)
    found = [one for one in there if one.state == "in_force"]
    what = f"treaty {name!r}" if name else f"treaty of map {pack!r}"
    if not found:
        waiting = next((one for one in there if one.state == "proposed"), None)
        more = (
            f": {waiting.terms.name} version {waiting.terms.version} waits for "
            f"{', '.join(waiting.waiting)}"
            if waiting
            else ""
        )
        raise NotFound(f"no {what} in force{more}")
    if len(found) > 1:
        names = ", ".join(one.terms.name for one in found)
        raise Conflict(f"several treaties of map {pack!r} are in force, say which: {names}")
    return found[0]


def limits(
    connection: sa.Connection, pack: str, sides: Sequence[str], day: date
) -> tuple[int, int]:
    """Least count and finest resolution between some sides of a map: the strictest in force.

    Without a treaty they are `MIN_COUNT` and `FINEST`.
    """
    found = _between(connection, pack, sides, day)
    return (
        max((one.min_count for one in found), default=MIN_COUNT),
        min((one.resolution for one in found), default=FINEST),
    )


def delay(connection: sa.Connection, pack: str, sides: Sequence[str], day: date) -> int:
    """Days after its end that a period is told between some sides of a map; 0 without a treaty."""
    return max((one.delay_days for one in _between(connection, pack, sides, day)), default=0)


def _between(connection: sa.Connection, pack: str, sides: Sequence[str], day: date) -> list[Terms]:
    return [
        one.terms
        for one in versions(connection, day, pack=pack)
        if one.state == "in_force" and len(set(sides) & set(one.terms.sides)) > 1
    ]


def propose(
    connection: sa.Connection, pack: str, side: str, terms: Terms, account: int | None = None,
    *, numbered: bool = False,
) -> int:  # fmt: skip
    """Add a version for a side; it still has to accept it itself. Returns its number.

    Parameters
    ----------
    terms : its `version` counts only when `numbered`, else the next one is taken

    Raises
    ------
    Invalid
        The terms make no sense.
    Conflict
        The asker does not speak for the side; another map has the name; the number is not next.
    """
    terms.check()
    if side not in terms.sides:
        raise _wrong("side", f"{side} is none of {', '.join(terms.sides)}")
    note = checked("note", terms.note, 500)
    version = terms.version
    if not numbered:
        version = 1 + int(
            connection.execute(
                sa.text(
                    "select coalesce(max(version), 0) from treaty_version v join treaty t "
                    "on t.id = v.treaty_id where t.name = :name"
                ),
                {"name": terms.name},
            ).scalar_one()
        )
    body = {**terms.body(), "version": version, "note": note}
    digest = Terms.of(body).digest
    with refused():
        found: int = connection.execute(
            sa.text(
                "select treaty_propose(:pack, :name, :side, cast(:terms as jsonb), :digest, "
                ":account, :version)"
            ),
            {
                "pack": pack, "name": terms.name, "side": side, "terms": json.dumps(body),
                "digest": digest, "account": account, "version": version,
            },
        ).scalar_one()  # fmt: skip
    return found


def checked_reason(decision: str, reason: str) -> str:
    """Reason as it is stored and signed.

    Raises
    ------
    Invalid
        A rejection without one, or words that name a person.
    """
    return checked("reason", reason, 500, needed=decision == "reject")


def decide(  # noqa: PLR0917
    connection: sa.Connection, name: str, version: int, side: str, decision: str, reason: str = "",
    account: int | None = None, *, signed: tuple[str, str] | None = None,
) -> str:  # fmt: skip
    """Accept or reject a version for a side; returns the state after it.

    Parameters
    ----------
    signed : key id and signature of a side that decides with its key

    Raises
    ------
    NotFound
        No such version that may be seen.
    Conflict
        Decided already, rejected by another side, its time is over, not the asker's side.
    Invalid
        A rejection without a reason.
    """
    why = checked_reason(decision, reason)
    key, signature = signed or (None, None)
    with refused():
        state: str | None = connection.execute(
            sa.text(
                "select treaty_decide(:name, :version, :side, :decision, :reason, :account, :key, "
                ":signature)"
            ),
            {
                "name": name, "version": version, "side": side, "decision": decision,
                "reason": why, "account": account, "key": key, "signature": signature,
            },
        ).scalar_one()  # fmt: skip
    if state is None:
        raise NotFound(f"no version {version} of treaty {name!r}")
    return state
