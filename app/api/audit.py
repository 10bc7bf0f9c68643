"""The audit over HTTP, for auditors: wiring only. To read it is an entry of its own."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AwareDatetime, Field

from app.api.auditing import AuditDep
from app.api.dependencies import Door, Store, errors
from app.api.models import Model
from app.services import audit as service

router = APIRouter(prefix="/api", tags=["audit"])
ReadAuditDep = Annotated[Store, Depends(Door("read_audit"))]


class AuditEntry(Model):
    """One entry."""

    id: int
    at: datetime
    action: str = Field(
        description="What was asked: an action of the roles, `refused`, or `account.…`"
    )
    outcome: str = Field(description="`answered`, or the code of the error")
    account: int | None = Field(description="Who asked; null: the machine itself or nobody known")
    name: str
    role: str
    how: str = Field(description="session, token, single; empty: not by a request")
    prefixes: list[str] | None = Field(description="Jurisdiction then; null: everything or nobody")
    purpose: str | None
    request_id: str | None
    pack: str | None
    run: int | None
    question: dict[str, Any] = Field(
        description="What was asked, the area too; very large parts by digest, size and bounds"
    )
    rows: int | None = Field(description="Rows, or events counted, that left; null: none could")
    place: int | None = Field(description="Place in the chain; null: it gets one within seconds")
    digest: str | None = Field(description="Digest of the chain at this place, hexadecimal")


class AuditPage(Model):
    """Entries, newest first."""

    entries: list[AuditEntry]
    next: int | None = Field(description="Ask with `before` for the next page; null: the last one")
    head_place: int = Field(description="Last place of the whole chain: note it with its digest")
    head_digest: str


def _entry(row: service.Row) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at=row.at,
        action=row.action,
        outcome=row.outcome,
        account=row.account_id,
        name=row.account,
        role=row.role,
        how=row.how,
        prefixes=row.prefixes,
        purpose=row.purpose,
        request_id=row.request_id,
        pack=row.pack,
        run=row.run,
        question=row.question,
        rows=row.row_count,
        place=row.seq,
        digest=None if row.digest is None else bytes(row.digest).hex(),
    )


@router.get(
    "/audit",
    operation_id="audit",
    summary="Who asked what, for what purpose, when, how many rows left",
    responses=errors(422, 503),
)
def audit(
    *,
    response: Response,
    store: ReadAuditDep,
    auditing: AuditDep,
    account: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="Number of the account that asked")
    ] = None,
    action: Annotated[
        str | None,
        Query(
            pattern=r"^[a-z_]{1,40}(\.[a-z_]{1,40})?$",
            description="For example ask_area, export, refused, account, account.login",
        ),
    ] = None,
    since: Annotated[AwareDatetime | None, Query(description="Not before")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Before this moment")] = None,
    before: Annotated[
        int | None, Query(ge=1, le=2**53 - 1, description="Only entries with smaller numbers")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="Most entries wanted")] = 100,
) -> AuditPage:
    """Show an auditor the entries of accounts whose jurisdiction lies wholly in the auditor's."""
    response.headers["Cache-Control"] = "no-store"
    asked: dict[str, Any] = {
        "account": account,
        "action": action,
        "since": since and since.isoformat(),
        "until": until and until.isoformat(),
        "before": before,
    }
    question = {name: value for name, value in asked.items() if value is not None}
    with auditing.entry("read_audit", question=question) as entry:
        with store.read() as connection:
            rows = service.listed(
                connection,
                account=account,
                action=action,
                since=since,
                until=until,
                before=before,
                limit=limit,
            )
            place, digest = service.head(connection)
        entry.rows = len(rows)
    return AuditPage(
        entries=[_entry(one) for one in rows],
        next=rows[-1].id if len(rows) == limit else None,
        head_place=place,
        head_digest=digest.hex(),
    )
