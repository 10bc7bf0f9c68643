"""Pooled runs asked for over the web: jobs of type `pooled`. Uses `jobs`, `treaties`, `border`.

Takes connections of the web's role. Promises: only who speaks for a side of a treaty in force asks;
limits, row security, cancelling and keeping are those of all jobs.
"""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import sqlalchemy as sa

from app.api.job_models import JobProblem
from app.api.treaty_models import PooledDraft, PooledJob, PooledQuestion
from app.errors import Forbidden
from app.security.identity import Identity
from app.services import border, border_assess, jobs, treaties
from app.settings import JobSettings


def create(
    connection: sa.Connection, identity: Identity, draft: PooledDraft, settings: JobSettings,
    today: date,
) -> PooledJob:  # fmt: skip
    """Store the question; a process takes it up.

    Raises
    ------
    NotFound, Conflict
        No treaty of the account's sides is in force, or several.
    Forbidden
        The account speaks for none of its sides.
    Invalid
        The treaty does not let this type of period cross.
    TooMany
        The account has too many jobs that wait or run.
    """
    version = treaties.in_force(connection, today, pack=draft.pack, name=draft.treaty)
    if not border.spoken_for(identity, version.terms.sides):
        raise Forbidden("this account speaks for none of the sides of this treaty")
    border_assess.agreed(version.terms, draft.period)
    question = PooledQuestion(
        pack=draft.pack, treaty=version.terms.name, period=draft.period, start=draft.start
    )
    return _job(jobs.insert(connection, identity, question, settings), identity)


def read(connection: sa.Connection, identity: Identity, job: int) -> PooledJob:
    """How far one is.

    Raises
    ------
    NotFound
        It is not there, or not for this caller.
    """
    return _job(jobs.row_of(connection, job, pooled=True), identity)


def end(connection: sa.Connection, identity: Identity, job: int) -> PooledJob:
    """Cancel one that waits or runs, remove one that has ended; the pooled run it made stays.

    Raises
    ------
    NotFound
        It is not there, or not for this caller.
    """
    return _job(jobs.end_row(connection, job, pooled=True), identity)


def _job(row: sa.Row[Any], identity: Identity) -> PooledJob:
    question = PooledQuestion.model_validate_json(json.dumps(row.question))
    problem = JobProblem(code=row.error_code, message=row.error or "") if row.error_code else None
    return PooledJob(
        id=row.id, state=row.state, progress=row.progress, step=row.step, pack=question.pack,
        treaty=question.treaty, period=question.period, **{"from": question.start}, run=row.run,
        mine=row.account_id == identity.account, error=problem, created_at=row.created_at,
        started_at=row.started_at, ended_at=row.ended_at, expires_at=row.expires_at,
    )  # fmt: skip
