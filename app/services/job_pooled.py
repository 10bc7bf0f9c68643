"""The job `pooled`: one period as all sides of a treaty see it together. Uses `border_assess`.

Unlike other jobs it works with what crosses by the treaty, of all sides, and what it finds is seen by
all of them: a pooled run, stored in the transaction that says the job is done.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from app.api.treaty_models import PooledQuestion, PooledResult
from app.services import border_assess, pooled, treaties, treaty_sources
from app.services.job_work import Outcome, Work


def run(engine: sa.Engine, zone: str, question: PooledQuestion, work: Work) -> Outcome:
    """Find the clusters of a period.

    Parameters
    ----------
    engine : of the installation itself
    zone : time zone of the installation

    Raises
    ------
    NotFound, Conflict, Invalid
        The treaty is not in force any more, or not all sides told the period.
    """
    on = datetime.now(ZoneInfo(zone)).date()
    with engine.connect() as connection:
        version = treaties.in_force(connection, on, pack=question.pack, name=question.treaty)
    work.said(0.02, "counting")
    treaty_sources.ensure_lines(engine, version.pack)
    sides, sources = treaty_sources.gather(engine, version, on=on, zone=zone)
    asked = None if question.start is None else [question.start]
    (start,) = border_assess.chosen(version.terms, sides, question.period, asked)
    work.said(0.2, "testing")
    here = border_assess.region(sides, version.terms)
    with engine.connect() as connection:
        lines = border_assess.shared_lines(connection, version.pack, [one.side for one in sides])
    part = work.part(0.2, 0.9, "testing")
    method = border_assess.Method()
    kinds = border_assess.search(
        here, version.terms, method, question.period, start, lambda _kind, done: part(done)
    )
    work.said(0.92, "drawing")
    found = border_assess.build(here, kinds, version, method, question.period, start, lines)
    events = sum(int(one.totals.sum()) for one in kinds.values())

    def keep(connection: sa.Connection) -> PooledResult:
        number = border_assess.store(connection, found, sources)
        said = pooled.one_run(connection, number)
        return PooledResult(run=number, events=events, method=said.method)

    return Outcome(None, keep=keep)
