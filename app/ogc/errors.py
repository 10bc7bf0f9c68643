"""How this room says no: the standards ask for 400 where the rest of the interface says 422."""

from __future__ import annotations

from app.errors import WusetuError


class BadRequest(WusetuError):
    """A parameter is unknown, given twice, or means nothing; the message says which and why."""

    code = "bad_request"
    status = 400


class NotOffered(WusetuError):
    """The answer is not made in the form that was asked for."""

    code = "not_acceptable"
    status = 406


def bad(name: str, reason: str) -> BadRequest:
    """Make the error of one parameter."""
    return BadRequest(f"{name}: {reason}", [{"field": f"query.{name}", "reason": reason}])
