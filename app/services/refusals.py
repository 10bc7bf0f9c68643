"""What the database's own rules refuse, as an answer. Imports nothing of the rooms.

Steps that span sides are taken by functions of the database; where one says no, its words are the
answer. Promises: an error that is no such word stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2.errors
from sqlalchemy.exc import DBAPIError

from app.errors import Conflict


def refusal(error: DBAPIError) -> Exception:
    """Turn what the database's rules said into an answer; leave anything else as it is."""
    cause = error.orig
    if isinstance(cause, psycopg2.errors.CheckViolation):
        said = cause.diag.message_primary
        if said and cause.diag.constraint_name is None:
            return Conflict(said)
    return error


@contextmanager
def refused() -> Iterator[None]:
    """Ask the database inside; what its rules say against it leaves as a `Conflict`.

    Raises
    ------
    Conflict
    """
    try:
        yield
    except DBAPIError as error:
        raise refusal(error) from error
