"""How routes write down what they answer: a dependency with the purpose, and a block around it.

Promises: the entry is in the database before the answer leaves; without it there is no answer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from fastapi import Depends, Header, Query, Request

from app.api.envelope import request_id
from app.errors import Forbidden, Invalid, NotFound, WusetuError
from app.security.identity import Action, Identity
from app.services.audit import Audit, Entry, checked_purpose

log = logging.getLogger("wusetu.audit")


class Auditing:
    """The audit as one request sees it."""

    def __init__(self, request: Request, purpose: str | None) -> None:
        self.request = request
        self.purpose = purpose
        self.audit: Audit = request.app.state.audit
        self.identity: Identity = request.state.identity

    @contextmanager
    def entry(
        self,
        action: Action | Literal["zone.index", "treaty.pull", "pooled.assess"],
        *,
        pack: str | None = None,
        run: int | None = None,
        question: dict[str, Any] | None = None,
    ) -> Iterator[Entry]:
        """Write down what the block answers when it ends; it fills in `rows`.

        What was not found or not allowed is written down too, for it was asked. What was malformed
        or could not be answered is not: nothing left.

        Raises
        ------
        Unavailable
            The database did not take the entry.
        """
        one = Entry(
            action,
            pack=pack,
            run=run,
            question=question or {},
            purpose=self.purpose,
            request_id=request_id(self.request.scope),
        )
        try:
            yield one
        except NotFound as error:
            one.outcome, one.rows = error.code, None
            self.audit.write(self.identity, one)
            raise
        self.audit.write(self.identity, one)


async def _auditing(
    request: Request,
    x_purpose: Annotated[
        str | None,
        Header(max_length=1800, description="What for: UTF-8, percent-encoded; see `purpose`"),
    ] = None,
    purpose: Annotated[
        str | None,
        Query(
            max_length=200,
            description="What for, as it stands in the audit; never names or numbers of persons. "
            "The installation may demand it",
        ),
    ] = None,
) -> Auditing:
    return auditing(request, x_purpose, purpose)


def auditing(request: Request, x_purpose: str | None, purpose: str | None) -> Auditing:
    """Make the audit of a request that says its purpose by header, by parameter, or not at all.

    Raises
    ------
    Invalid
        The two differ, or the installation demands one and there is none.
    """
    audit: Audit = request.app.state.audit
    given = purpose
    if x_purpose is not None:
        try:
            decoded = unquote(x_purpose, errors="strict")
        except UnicodeDecodeError as error:
            raise Invalid("the header X-Purpose is no percent-encoded UTF-8") from error
        if purpose is not None and purpose != decoded:
            raise Invalid("the header X-Purpose and the parameter purpose differ")
        given = decoded
    demanded = audit.settings.purpose == "demanded"
    return Auditing(request, checked_purpose(given, demanded=demanded))


AuditDep = Annotated[Auditing, Depends(_auditing)]


def note_refusal(request: Request, error: Forbidden) -> None:
    """Write down that somebody known tried what is not allowed; the answer is no in any case."""
    audit: Audit | None = getattr(request.app.state, "audit", None)
    identity = request.scope.get("state", {}).get("identity")
    if audit is None or not isinstance(identity, Identity):
        return
    entry = Entry(
        "refused",
        outcome=error.code,
        question={"method": request.method, "path": request.url.path[:400]},
        request_id=request_id(request.scope),
    )
    try:
        audit.write(identity, entry)
    except WusetuError as silent:
        log.warning("a refusal was not written down: %s", silent.message)
