"""The evaluation of the sides as an indicator scene: its measures from the checks. Uses `evaluation`.

Takes an engine of the installation, which sees every check. Promises: the numbers are those of
`evaluation.tallies`; they go through the ordinary import and run of indicators, so a side's values are
seen by whoever may see that side, and by nobody else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date

import pandas as pd
import sqlalchemy as sa

from app.errors import Invalid, NotFound
from app.services import indicator_feeds, indicator_run
from app.services.boundaries import newest_version
from app.services.evaluation import Tally, tallies
from app.services.periods import first_day, month_number
from app.services.scenes import Scene
from app.services.units import read_units

#: Scene that ships.
SCENE = "border-evaluation"
SOURCE = "two-sided checks"

_FIRST = """
select min(c.opened_at at time zone :zone)::date from check_case c join zone z on z.id = c.zone_id
where z.pack = :pack
"""


def measures_of(tally: Tally) -> dict[str, float]:
    """Numerators and denominators of one side and month; times are sums of hours.

    >>> measures_of(Tally(cases=2, answered=1, response=[0.5]))["response_hours"]
    0.5
    """
    return {
        "cases": tally.cases, "answered": tally.answered, "joint": tally.joint,
        "ended": tally.ended, "solved": tally.solved,
        "handling_hours": math.fsum(tally.handling),
        "response_hours": math.fsum(tally.response),
    }  # fmt: skip


def table(  # noqa: PLR0917
    connection: sa.Connection, sides: Iterable[str], pack: str, first: int, stop: int,
    calendar: str,
) -> pd.DataFrame:  # fmt: skip
    """Rows code, period, measure, value of the months `[first, stop)`.

    A side of the map without a check in a month has zeros: nothing happened, which is known.

    Parameters
    ----------
    connection : sees all checks
    sides : codes of the sides of the map
    first, stop : numbers of months
    calendar : time zone of the months
    """
    counted = tallies(connection, pack, None, first, stop, calendar)
    return pd.DataFrame(
        [
            (side, f"{first_day(month):%Y-%m}", measure, repr(float(value)))
            for month in range(first, stop)
            for side in sorted({*sides, *(side for _, side in counted)})
            for measure, value in measures_of(counted.get((month, side), Tally())).items()
        ],
        columns=["code", "period", "measure", "value"],
    )


def evaluate(
    engine: sa.Engine,
    scene: Scene,
    pack: str,
    *,
    zone: str,
    today: date,
    start: date | None = None,
    end: date | None = None,
) -> tuple[indicator_feeds.Report, indicator_run.Made]:
    """Send the measures of the checks to a scene and compute its indicators.

    Doing it again corrects the months it is about: checks that ran on have ended since.

    Parameters
    ----------
    engine : of the installation itself
    scene : has feeds with some of these measures; others of its measures are left alone
    pack : map the zones are of
    zone : time zone of the installation; the scene's own goes before
    today : local day; only months that are over are evaluated
    start, end : days of the first and the last month; default: from the first check to the last month

    Raises
    ------
    NotFound
        No such map, or it has no check.
    Invalid
        The scene has none of these measures, or the months are not in order or not over.
    """
    known = {measure.id for feed in scene.feeds for measure in feed.measures}
    told = measures_of(Tally())
    if not known & set(told):
        raise Invalid(f"scene {scene.name} has no feed with any of the measures {', '.join(told)}")
    calendar = scene.time_zone or zone
    with engine.connect() as connection:
        units = read_units(connection, newest_version(connection, pack).id)
        level = next((one for one in units.levels if units.range(one)[1] > 1), units.levels[-1])
        at, count = units.range(level)
        oldest = start or connection.scalar(sa.text(_FIRST), {"pack": pack, "zone": calendar})
        if oldest is None:
            raise NotFound(f"no check was opened in a zone of the map {pack!r}")
        first, present = month_number(oldest), month_number(today)
        stop = month_number(end) + 1 if end else present
        if not first < stop <= present:
            raise Invalid(
                f"from {first_day(first)} to before {first_day(stop)}: months are evaluated in "
                f"order and when they are over, the last before {first_day(present)}"
            )
        rows = table(connection, units.codes[at - 1 : at - 1 + count], pack, first, stop, calendar)
    report = indicator_feeds.import_values(
        engine, rows[rows.measure.isin(sorted(known))].reset_index(drop=True), scene=scene,
        pack=pack, source=SOURCE, today=today,
    )  # fmt: skip
    return report, indicator_run.run(engine, scene, pack, zone=zone)
