"""Devices of the sample: some hundred made-up ones on each map, a few with an alarm.

Imports the rooms of devices. Promises: everything goes through the ordinary registry, rules and
intake; they are marked as simulated, and their alarms raise no event, so that the sample's counts stay.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from app.api import device_models as models
from app.database import transaction
from app.security.identity import LOCAL
from app.services import device_rules
from app.services.border import Borders
from app.services.caches import ScopedCaches
from app.services.device_ingest import Ingest
from app.services.device_simulate import Made, make, value
from app.services.units import unit_table
from app.settings import Settings

COUNT = 120
#: A sample is looked at for days: its devices are not expected to say anything meanwhile.
_PACE = 604_800
_HEARD, _FLAPPING, _SMOKY = 0.9, 3, 2


def load(
    engine: sa.Engine,
    folder: Path,
    pack: str,
    seed: int,
    *,
    zone: str,
    progress: Callable[[str, float], None],
) -> str | None:
    """Enter the devices of a map once; what was done, None: they are there."""
    with engine.connect() as connection:
        there = connection.execute(
            sa.text("select exists (select from device where pack = :pack)"), {"pack": pack}
        ).scalar_one()
    if there:
        return None
    caches = ScopedCaches().of(LOCAL.scope_key)
    borders = Borders(engine, folder, lambda one, version: unit_table(one, caches, version))
    progress("devices", 0.0)
    made = make(engine, borders, pack, COUNT, seed, every_s=_PACE)
    sides = sorted({one.side for one in made})
    with transaction(engine) as connection:
        for side in sides:
            for draft in rules(pack, side):
                device_rules.make(borders, connection, LOCAL, draft)
    progress("devices", 0.5)
    raised = _say(engine, pack, made, seed, zone)
    return f"{len(made)} made up, {raised} with an alarm"


def rules(pack: str, side: str) -> list[models.RuleDraft]:
    """Rules of a side: smoke, movement at night, and a silence of 20 hours as an example."""
    return [
        models.RuleDraft(
            pack=pack, within=side, kind="smoke", words=models.Words(zh="烟雾报警", en="Smoke"),
            sense="above", level=50, reset=30, quiet_s=600,
        ),
        models.RuleDraft(
            pack=pack, within=side, kind="infrared", sense="above", level=1, quiet_s=1_800,
            words=models.Words(zh="夜间闯入", en="Movement at night"),
            night=models.Night.model_validate({"from": "22:00", "to": "05:00"}),
        ),
        models.RuleDraft(
            pack=pack, within=side, kind="water", sense="silence", level=0, hold_s=72_000,
            words=models.Words(zh="二十小时无用水", en="No flow for 20 hours"), enabled=False,
        ),
    ]  # fmt: skip


def _say(engine: sa.Engine, pack: str, made: list[Made], seed: int, zone: str) -> int:
    """Let most of them say something; two see smoke, some flap, some were never heard."""
    rng = np.random.default_rng(seed)
    now = datetime.now(UTC)
    heard = [one for one in made if rng.random() < _HEARD]
    smoky = [one for one in heard if one.kind == "smoke"][:_SMOKY]
    ingest = Ingest(engine, Settings(time_zone=zone))
    raised = 0
    for side in sorted({one.side for one in heard}):
        rows = [
            {
                "device": one.reference, "at": now.isoformat(),
                "value": 82.5 if one in smoky else 0.0 if one.kind == "infrared" else value(one.kind, now, rng),
            }
            for one in heard if one.side == side
        ]  # fmt: skip
        raised += len(ingest.take(pack, rows, side=side).alarms)
    names = [one.reference for one in heard if one not in smoky][:_FLAPPING]
    with transaction(engine) as connection:
        connection.execute(
            sa.text(
                "update device_state set state = 'flapping', returns = array[:now, :now, :now]::timestamptz[] "
                "where device_id in (select id from device where pack = :pack and reference = any(:names))"
            ),
            {"now": now, "pack": pack, "names": names},
        )
    return raised


def remove(connection: sa.Connection, pack: str) -> None:
    """Remove the made-up devices of a map with all they said, and the rules made with them."""
    given = {"pack": pack, "words": [one.words.zh for one in rules(pack, "1")]}
    for statement in (
        (
            "delete from reading where device_id in "
            "(select id from device where pack = :pack and simulated)"
        ),
        "delete from device where pack = :pack and simulated",
        (
            "delete from device_rule r where pack = :pack and made_by is null "
            "and title_zh = any(:words) and not exists "
            "(select from device_alarm a where a.rule_id = r.id and a.version = r.version)"
        ),
    ):
        connection.execute(sa.text(statement), given)
