"""Rules of devices: made, changed by another version, ended; and as the kernel takes them.

Takes connections of the web's role (row security decides) and plain arguments, never a request.
Promises: a version never changes but for its end; every version is an entry of the audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta, tzinfo
from typing import Any, NamedTuple

import sqlalchemy as sa

from app.api import device_models as models
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.security.identity import Identity
from app.services.border import Borders
from app.services.border_words import checked
from app.services.scenes import load_scene, scene_names
from geo.devices import Near, Rule

_COLUMNS = (
    "id, version, pack, side, within, kind, title_zh, title_en, sense, level, reset, hold_s, "
    "night_from, night_to, quiet_s, near_n, near_metres, near_s, heard, event_kind, enabled, "
    "valid_from"
)
#: Least quiet time of every rule, whatever it says.
LEAST_QUIET_S = 60


class Present(NamedTuple):
    """A rule in force, ready for the kernel."""

    id: int
    version: int
    within: str
    kind: str
    event_kind: str | None
    rule: Rule


def present(connection: sa.Connection, pack: str, zone: tzinfo) -> list[Present]:
    """Rules of a map in force, by number."""
    rows = connection.execute(
        sa.text(
            f"select {_COLUMNS} from device_rule "  # noqa: S608
            "where pack = :pack and valid_to is null and enabled order by id"
        ),
        {"pack": pack},
    )
    return [as_present(row, zone) for row in rows]


def as_present(row: Any, zone: tzinfo) -> Present:
    """Row of `device_rule` as the kernel takes it."""
    near = None
    if row.near_n is not None:
        near = Near(row.near_n, row.near_metres, timedelta(seconds=row.near_s))
    rule = Rule(
        sense=row.sense,
        level=row.level,
        zone=zone,
        reset=row.reset,
        hold=timedelta(seconds=row.hold_s),
        night=None if row.night_from is None else (row.night_from, row.night_to),
        # without one a device that flickers would raise an alarm at every change
        quiet=timedelta(seconds=max(row.quiet_s, LEAST_QUIET_S)),
        near=near,
        heard=row.heard,
    )
    return Present(row.id, row.version, row.within, row.kind, row.event_kind, rule)


def rules(
    connection: sa.Connection, pack: str | None = None, number: int | None = None
) -> list[models.DeviceRule]:
    """Read the present versions of rules that may be seen."""
    rows = connection.execute(
        sa.text(
            f"select {_COLUMNS} from device_rule where valid_to is null "  # noqa: S608
            "and (cast(:pack as text) is null or pack = :pack) "
            "and (cast(:id as int) is null or id = :id) order by id"
        ),
        {"pack": pack, "id": number},
    )
    return [_model(row) for row in rows]


def one_rule(connection: sa.Connection, number: int) -> models.DeviceRule:
    """One rule.

    Raises
    ------
    NotFound
        There is none in force that may be seen.
    """
    found = rules(connection, number=number)
    if not found:
        raise NotFound(f"no rule {number}")
    return found[0]


def _model(row: Any) -> models.DeviceRule:
    fields = dict(row._mapping)
    words = models.Words(zh=fields.pop("title_zh"), en=fields.pop("title_en"))
    begin, end = fields.pop("night_from"), fields.pop("night_to")
    n, metres, within_s = fields.pop("near_n"), fields.pop("near_metres"), fields.pop("near_s")
    night = None if begin is None else models.Night.model_validate({"from": begin, "to": end})
    near = None if n is None else models.Neighbours(n=n, metres=metres, within_s=within_s)
    return models.DeviceRule(**fields, words=words, night=night, neighbours=near)


def make(
    borders: Borders, connection: sa.Connection, identity: Identity, draft: models.RuleDraft
) -> models.DeviceRule:
    """Make a rule for devices of one's own.

    Raises
    ------
    NotFound
        No such map.
    Forbidden
        The unit is not one's own.
    Invalid
        Unknown unit or kind, numbers that do not fit together, words that name a person.
    """
    number: int = connection.execute(sa.text("select nextval('device_rule_number')")).scalar_one()
    _store(borders, connection, identity, draft, number, 1)
    return one_rule(connection, number)


def change(
    borders: Borders,
    connection: sa.Connection,
    identity: Identity,
    number: int,
    draft: models.RuleDraft,
) -> models.DeviceRule:
    """Give a rule another version; the present one ends.

    Raises
    ------
    NotFound
        No such rule of one's own in force, or no such map.
    Forbidden, Invalid
        As `make`.
    """
    before = one_rule(connection, number)
    if before.pack != draft.pack:
        raise Invalid("a rule stays on its map", {"field": "pack", "reason": "other_map"})
    end(connection, identity, number, "the rule was changed")
    _store(borders, connection, identity, draft, number, before.version + 1)
    return one_rule(connection, number)


def end(
    connection: sa.Connection, identity: Identity, number: int, reason: str = "the rule was ended"
) -> None:
    """End a rule and clear what it raised; its past is kept.

    Raises
    ------
    NotFound
        No such rule of one's own in force.
    """
    done = connection.execute(
        sa.text(
            "update device_rule set valid_to = clock_timestamp() "
            "where id = :id and valid_to is null"
        ),
        {"id": number},
    )
    if done.rowcount == 0:
        raise NotFound(f"no rule {number}")
    connection.execute(
        sa.text(
            "update device_alarm set state = 'cleared', cleared_at = clock_timestamp(), "
            "cleared_by = :account, reason = :reason where rule_id = :id and state = 'raised'"
        ),
        {"account": identity.account, "reason": reason, "id": number},
    )


def known_kinds(connection: sa.Connection, pack: str) -> Sequence[str]:
    """Kinds of events there are: those of the newest run of a map and of the shipped scenes."""
    found: set[str] = set(
        connection.execute(
            sa.text(
                "select unnest(kinds) from (select kinds from run where pack = :pack "
                "and status = 'published' order by id desc limit 1) newest"
            ),
            {"pack": pack},
        ).scalars()
    )
    for name in scene_names():
        found |= set(load_scene(name).kinds)
    return sorted(found)


def _store(  # noqa: PLR0917
    borders: Borders,
    connection: sa.Connection,
    identity: Identity,
    draft: models.RuleDraft,
    number: int,
    version: int,
) -> None:
    here = borders.map(connection, draft.pack)
    unit = here.table.lookup(draft.within)
    code = here.table.codes[unit - 1] if unit else ""
    side = here.side_of(code) if unit else None
    if not unit or side is None:
        raise Invalid(
            f"within: no unit {draft.within!r} inside a side of this map",
            {"field": "within", "reason": "unknown"},
        )
    if not identity.sees(code):
        raise Forbidden("this unit is not of this account's jurisdiction")
    if draft.event_kind is not None:
        known = known_kinds(connection, draft.pack)
        if draft.event_kind not in known:
            raise Invalid(
                f"event_kind: kinds are {', '.join(known)}",
                {"field": "event_kind", "reason": "unknown"},
            )
    _fits(draft)
    night, near = draft.night, draft.neighbours
    try:
        with connection.begin_nested():
            connection.execute(
                sa.text(
                    "insert into device_rule (id, version, pack, side, within, kind, title_zh, "
                    "title_en, sense, level, reset, hold_s, night_from, night_to, quiet_s, near_n, "
                    "near_metres, near_s, heard, event_kind, enabled, made_by, valid_from) values "
                    "(:id, :version, :pack, :side, :within, :kind, :zh, :en, :sense, :level, "
                    ":reset, :hold, :begin, :end, :quiet, :n, :metres, :within_s, :heard, "
                    ":event_kind, :enabled, :account, clock_timestamp())"
                ),
                {
                    "id": number, "version": version, "pack": draft.pack, "side": side,
                    "within": code, "kind": draft.kind,
                    "zh": checked("words.zh", draft.words.zh, 80, needed=True),
                    "en": checked("words.en", draft.words.en, 80, needed=True),
                    "sense": draft.sense, "level": draft.level, "reset": draft.reset,
                    "hold": draft.hold_s, "begin": night.begin if night else None,
                    "end": night.end if night else None, "quiet": draft.quiet_s,
                    "n": near.n if near else None, "metres": near.metres if near else None,
                    "within_s": near.within_s if near else None, "heard": draft.heard,
                    "event_kind": draft.event_kind, "enabled": draft.enabled,
                    "account": identity.account,
                },
            )  # fmt: skip
    except sa.exc.IntegrityError as error:
        # somebody else changed it at the same time
        raise Conflict("this rule was changed just now; look at it again") from error


def _fits(draft: models.RuleDraft) -> None:
    wrong = None
    if draft.sense == "silence":
        if draft.hold_s == 0:
            wrong = ("hold_s", "silence needs hold_s, for example 72000 for 20 hours")
        elif draft.neighbours is not None:
            wrong = ("neighbours", "silence is confirmed by nobody else")
        elif draft.reset is not None:
            wrong = ("reset", "silence ends with the next value above level")
    elif draft.reset is not None and (
        draft.reset > draft.level if draft.sense == "above" else draft.reset < draft.level
    ):
        wrong = ("reset", "reset lies on the quiet side of level")
    if draft.night is not None and draft.night.begin == draft.night.end:
        wrong = ("night", "from and to are the same hour")
    if wrong:
        raise Invalid(f"{wrong[0]}: {wrong[1]}", {"field": wrong[0], "reason": "does_not_fit"})
