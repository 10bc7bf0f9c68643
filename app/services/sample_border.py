"""The sample's treaty and what its sides see together. Imports `treaties`, `border_assess`.

Promises: the treaty is proposed and accepted like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import sqlalchemy as sa

from app.database import transaction
from app.services import border_assess, treaties, treaty_sources
from app.services.boundaries import newest_version
from app.services.sample_packs import Pack, TreatyRule
from app.services.treaties import Terms
from app.services.units import read_units

Progress = Callable[[str, float], None]


def load(engine: sa.Engine, pack: Pack, zone: str, progress: Progress) -> str | None:
    """Accept the pack's treaty for all sides and pool the newest periods; None: it has none."""
    rule = pack.treaty
    if rule is None:
        return None
    on = pack.simulation.last + timedelta(days=rule.delay_days)
    with engine.connect() as connection:
        found = treaties.versions(connection, on, name=rule.name)
        table = read_units(connection, newest_version(connection, pack.pack).id)
    if not found:
        level = next(one for one in table.levels if table.range(one)[1] > 1)
        first, count = table.range(level)
        _accept(engine, pack, rule, tuple(sorted(table.codes[first - 1 : first - 1 + count])))
    with engine.connect() as connection:
        version = treaties.in_force(connection, on, name=rule.name)
    treaty_sources.ensure_lines(engine, pack.pack)
    sides, sources = treaty_sources.gather(engine, version, on=on, zone=zone)
    method = border_assess.Method(replicates=rule.replicates)
    made = []
    for period in rule.periods:
        starts = border_assess.common(sides, period)[-rule.newest.get(period, 1) :]
        if starts:
            made += border_assess.assess(
                engine, version, sides, period, starts, method, sources=sources, progress=progress
            )
    return f"treaty {rule.name} of {len(sides)} sides, {len(made)} periods pooled"


def _accept(engine: sa.Engine, pack: Pack, rule: TreatyRule, sides: tuple[str, ...]) -> None:
    terms = Terms(
        rule.name, 1, sides, rule.resolution,
        tuple(one for one in treaties.PERIODS if one in rule.periods), rule.delay_days,
        rule.min_count, treaties.scene_kinds(rule.kinds), pack.simulation.first,
        note="Sample: made-up events",
    )  # fmt: skip
    with transaction(engine) as connection:
        number = treaties.propose(connection, pack.pack, sides[0], terms)
        for side in sides:
            treaties.decide(connection, rule.name, number, side, "accept")


def remove(connection: sa.Connection, pack: str) -> None:
    """Remove a pack's pooled runs, packages and treaties."""
    for statement in (
        "delete from pooled_run where pack = :pack",
        "delete from treaty_package where treaty_id in (select id from treaty where pack = :pack)",
        "delete from treaty where pack = :pack",
    ):
        connection.execute(sa.text(statement), {"pack": pack})
