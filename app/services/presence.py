"""Who has the border page open: sides and desks, never persons. Takes connections of the web's role.

A page says so every half minute; what was not heard for `GOOD_FOR` is gone. Nothing of it is kept, and
nothing says which account it was.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from app.api import border_models as models
from app.errors import Conflict, Forbidden
from app.security.identity import Identity
from app.services.border import now, speaking, spoken_for
from app.services.refusals import refused

#: Seconds after which a page that is not heard counts as closed; as in the migration.
GOOD_FOR = 90


def present(connection: sa.Connection, names: Mapping[str, str], pack: str) -> models.PresenceList:
    """Read who is there, as far as it may be seen: of a desk that may not be seen its side alone.

    Parameters
    ----------
    names : side → name
    """
    rows = connection.execute(
        sa.text(
            "select p.side, d.id as desk, d.name as desk_name, min(p.since) as since from presence p "
            "left join duty_desk d on d.id = p.desk_id where p.pack = :pack "
            "and p.seen_at > clock_timestamp() - make_interval(secs => :good) "
            "group by 1, 2, 3 order by 1, 3 nulls first"
        ),
        {"pack": pack, "good": GOOD_FOR},
    )
    return models.PresenceList(
        present=[
            models.Presence(side_name=names.get(row.side, row.side), **row._mapping) for row in rows
        ],
        good_for_s=GOOD_FOR,
        as_of=now(connection),
    )


def be(
    connection: sa.Connection,
    identity: Identity,
    sides: Mapping[str, str],
    pack: str,
    draft: models.PresenceDraft,
) -> None:
    """Say that a page of one's own side is open.

    The desk is the one named; else that of the account's own unit, where there is just one; else the only
    one inside its jurisdiction; else the side is all that is said. An account that holds several sides and
    names none is at no desk: nothing is written.

    Raises
    ------
    Forbidden
        The account does not speak for that side, or is not at that desk.
    """
    desk, side = draft.desk, draft.side
    rows = connection.execute(
        sa.text(
            "select id, code, side from duty_desk where pack = :pack "
            "and (id = :desk or code ^@ any(cast(:inside as text[])))"
        ),
        {"pack": pack, "desk": desk, "inside": list(identity.prefixes or ())},
    ).all()
    if desk is not None:
        found = next((row for row in rows if row.id == desk), None)
        if found is None:
            raise Forbidden("this account is not at that desk")
        side = found.side
    else:
        inside = [row for row in rows if side in {None, row.side}]
        own = [row for row in inside if row.code in (identity.prefixes or ())]
        one = own if len(own) == 1 else inside
        if len(one) == 1:
            desk, side = one[0].id, one[0].side
        elif side is not None:
            side = speaking(identity, list(sides), side)
        elif len(spoken := spoken_for(identity, list(sides))) == 1:
            side = spoken[0]
        else:
            return
    try:
        with refused():
            connection.execute(
                sa.text("select be_present(:pack, :side, :desk)"),
                {"pack": pack, "side": side, "desk": desk},
            )
    except Conflict as said:
        raise Forbidden(said.message) from said
