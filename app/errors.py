"""Domain errors, and how the web answers them: one JSON body, stable codes, no internals."""

from __future__ import annotations

from typing import Any


class WusetuError(Exception):
    """Base of every error a user can mend; carries a stable `code` and an HTTP `status`."""

    code = "error"
    status = 400
    #: Seconds after which asking again makes sense, for the header `Retry-After`.
    retry_after: int | None = None

    def __init__(self, message: str, detail: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class NotFound(WusetuError):
    """The thing asked for is not there, or not for this caller."""

    code = "not_found"
    status = 404


class Invalid(WusetuError):
    """A parameter or a file is wrong; the message says where and how to mend it."""

    code = "invalid"
    status = 422


class Conflict(WusetuError):
    """The request does not fit the present state."""

    code = "conflict"
    status = 409


class Unavailable(WusetuError):
    """A part the answer needs is not there at the moment."""

    code = "unavailable"
    status = 503


class LoginNeeded(WusetuError):
    """Nobody is logged in, or not any more."""

    code = "login_needed"
    status = 401


class Forbidden(WusetuError):
    """Whoever asks may not do this."""

    code = "forbidden"
    status = 403


class TooMany(WusetuError):
    """Too many tries; `retry_after` says in how many seconds to come back."""

    code = "too_many"
    status = 429

    def __init__(self, message: str, retry_after: int, detail: Any = None) -> None:
        super().__init__(message, detail)
        self.retry_after = retry_after


class ClusterError(WusetuError):
    """The private PostgreSQL cluster could not be made, started or used."""

    code = "cluster"
    status = 503
