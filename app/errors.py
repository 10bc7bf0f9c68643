"""Domain errors, and how the web answers them: one JSON body, stable codes, no internals."""

from __future__ import annotations

from typing import Any


class WusetuError(Exception):
    """Base of every error a user can mend; carries a stable `code` and an HTTP `status`."""

    code = "error"
    status = 400

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


class ClusterError(WusetuError):
    """The private PostgreSQL cluster could not be made, started or used."""

    code = "cluster"
    status = 503
