"""The evaluation of the sides as a scene, by itself: when a month is over, and again when its last checks are.

Takes the engine of the installation. Promises: each month twice, whichever worker looks and however often;
what failed is tried again at the next look, and keeps no other map from being evaluated.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from app.database import transaction
from app.errors import WusetuError
from app.services import border_measures, scene_store
from app.services.checks import LONGEST
from app.services.periods import first_day, month_number

log = logging.getLogger("wusetu.evaluation")

# maps with a check of a month that is over
_PACKS = """
select z.pack from check_case c join zone z on z.id = c.zone_id
where c.opened_at < (cast(:month as date))::timestamp at time zone :zone group by 1 order by 1
"""


def evaluate_due(engine: sa.Engine, *, zone: str, now: datetime | None = None) -> list[str]:
    """Evaluate the last month of every map where it is due; the maps that were evaluated.

    Parameters
    ----------
    zone : time zone of the installation; the scene's own goes before
    now : none: now
    """
    moment = now or datetime.now(UTC)
    done = []
    with transaction(engine) as connection:
        free = connection.execute(
            sa.text("select pg_try_advisory_xact_lock(hashtext('wusetu evaluation'))")
        ).scalar_one()
        if not free:
            return []
        scene = scene_store.scene_of(connection, border_measures.SCENE)
        calendar = ZoneInfo(scene.time_zone or zone)
        today = moment.astimezone(calendar).date()
        present = first_day(month_number(today))
        month = first_day(month_number(today) - 1)
        begin = datetime(present.year, present.month, 1, tzinfo=calendar)
        # checks opened in the last hour of the month end at most so much later
        wanted = 2 if moment >= begin + LONGEST + timedelta(hours=1) else 1
        packs = connection.execute(
            sa.text(_PACKS), {"month": present, "zone": str(calendar)}
        ).scalars()
        for pack in list(packs):
            looks = connection.execute(
                sa.text("select looks from evaluation_clock where pack = :pack and month = :month"),
                {"pack": pack, "month": month},
            ).scalar_one_or_none()
            if (looks or 0) >= wanted:
                continue
            try:
                border_measures.evaluate(engine, scene, pack, zone=zone, today=today)
            except (WusetuError, sa.exc.SQLAlchemyError) as error:
                # what was done for the maps before it stands: else they were evaluated again and again
                log.warning("%s: %s was not evaluated: %s", pack, month, type(error).__name__)
                continue
            connection.execute(
                sa.text(
                    "insert into evaluation_clock (pack, month, looks) values (:pack, :month, :looks) "
                    "on conflict (pack, month) do update set looks = excluded.looks, at = excluded.at"
                ),
                {"pack": pack, "month": month, "looks": wanted},
            )
            done.append(pack)
    return done
