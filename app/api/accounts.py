"""Accounts and tokens over HTTP, for admins and for one's own programs: wiring only."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from app.api.account_store import Accounts, AccountStore, Admin, Person, errors, open_sessions
from app.api.models_accounts import (
    AccountChange,
    AccountInfo,
    LinkInfo,
    MadeAccount,
    MadeToken,
    NewAccount,
    NewToken,
    OpenSessionInfo,
    TokenInfo,
    jurisdiction_of,
    prefixes_of,
)
from app.api.session_cookies import own_address
from app.services import accounts as service
from app.services import accounts_login, accounts_tokens

router = APIRouter(prefix="/api", tags=["accounts"])

Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of the account")]
TokenNumber = Annotated[int, Path(ge=1, le=2**53 - 1, description="Number of the token")]


def _info(found: service.Account) -> AccountInfo:
    return AccountInfo(
        id=found.id,
        name=found.name,
        title=found.title,
        kind=found.kind,  # type: ignore[arg-type]
        role=found.role,
        prefixes=jurisdiction_of(found.prefixes),
        zones=list(found.zones),
        has_password=found.has_password,
        has_codes=found.has_totp,
        external=found.external,
        disabled_at=found.disabled_at,
        locked_until=found.locked_until,
        created_at=found.created_at,
    )


def _link(store: AccountStore, made: service.Link) -> LinkInfo:
    return LinkInfo(
        link=f"{own_address(store.request)}/login#link={made.secret}", expires_at=made.expires_at
    )


@router.get(
    "/accounts",
    operation_id="listAccounts",
    summary="Accounts, by name",
    responses=errors(401, 403, 409, 422, 503),
)
def list_accounts(response: Response, identity: Admin, store: Accounts) -> list[AccountInfo]:
    """List the accounts inside the jurisdiction of the admin who asks."""
    response.headers["Cache-Control"] = "no-store"
    with store.read() as connection:
        return [_info(one) for one in service.listed(connection, identity)]


@router.post(
    "/accounts",
    operation_id="makeAccount",
    summary="Make an account",
    status_code=201,
    responses=errors(401, 403, 409, 422, 503),
)
def make_account(
    body: NewAccount, response: Response, identity: Admin, store: Accounts
) -> MadeAccount:
    """Make an account inside one's own jurisdiction; answers the one-time link, this once."""
    response.headers["Cache-Control"] = "no-store"
    with store.write() as connection:
        made = service.create(
            connection,
            body.name,
            body.role,
            title=body.title,
            kind=body.kind,
            prefixes=prefixes_of(body.prefixes),
            zones=body.zones,
            by=identity,
        )
        link = service.new_link(connection, made.id, store.settings.accounts.link_hours, identity)
    return MadeAccount(account=_info(made), link=_link(store, link))


@router.patch(
    "/accounts/{account}",
    operation_id="changeAccount",
    summary="Change an account",
    responses=errors(401, 403, 404, 409, 422, 503),
)
def change_account(
    account: Number, body: AccountChange, response: Response, identity: Admin, store: Accounts
) -> AccountInfo:
    """Change title, role, jurisdiction, or whether it is disabled; it counts at once."""
    changes = body.model_dump(exclude_none=True)
    if body.prefixes is not None:
        changes["prefixes"] = prefixes_of(body.prefixes)
    response.headers["Cache-Control"] = "no-store"
    with store.write() as connection:
        return _info(service.change(connection, account, changes, identity))


@router.post(
    "/accounts/{account}/link",
    operation_id="makeLink",
    summary="Make a one-time link to set a new password",
    status_code=201,
    responses=errors(401, 403, 404, 409, 422, 503),
)
def make_link(account: Number, response: Response, identity: Admin, store: Accounts) -> LinkInfo:
    """Make a link; older ones are over, and so are the account's sessions."""
    response.headers["Cache-Control"] = "no-store"
    with store.write() as connection:
        made = service.new_link(connection, account, store.settings.accounts.link_hours, identity)
    return _link(store, made)


@router.post(
    "/accounts/{account}/unlock",
    operation_id="unlockAccount",
    summary="Forget failed tries",
    status_code=204,
    response_class=Response,
    responses=errors(401, 403, 404, 409, 422, 503),
)
def unlock_account(account: Number, identity: Admin, store: Accounts) -> None:
    """Let a locked account try again at once."""
    with store.write() as connection:
        service.unlock(connection, account, identity)


@router.get(
    "/accounts/{account}/sessions",
    operation_id="accountSessions",
    summary="Open sessions of an account",
    responses=errors(401, 403, 404, 409, 422, 503),
)
def account_sessions(
    account: Number, request: Request, response: Response, identity: Admin, store: Accounts
) -> list[OpenSessionInfo]:
    """List the browsers logged in with an account, newest first."""
    response.headers["Cache-Control"] = "no-store"
    with store.read() as connection:
        service.get(connection, account, identity)
        idle = store.settings.accounts.idle_minutes
        return open_sessions(request, accounts_login.sessions(connection, account, idle))


@router.delete(
    "/accounts/{account}/sessions",
    operation_id="endAccountSessions",
    summary="End every session of an account",
    status_code=204,
    response_class=Response,
    responses=errors(401, 403, 404, 409, 422, 503),
)
def end_account_sessions(account: Number, identity: Admin, store: Accounts) -> None:
    """Log every browser of an account out at once."""
    with store.write() as connection:
        service.get(connection, account, identity)
        accounts_login.end_all(connection, account, identity)


# tokens ------------------------------------------------------------------------------------------
def _token(found: accounts_tokens.Token) -> TokenInfo:
    return TokenInfo(
        id=found.id,
        account=found.account_id,
        name=found.account,
        title=found.title,
        scopes=list(found.scopes),
        created_at=found.created_at,
        expires_at=found.expires_at,
        used_at=found.used_at,
    )


@router.get(
    "/tokens",
    operation_id="listTokens",
    summary="Tokens of an account",
    responses=errors(401, 403, 404, 409, 422, 503),
)
def list_tokens(
    response: Response,
    identity: Person,
    store: Accounts,
    account: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="Another account, for admins")
    ] = None,
) -> list[TokenInfo]:
    """List one's own tokens, or those of an account one administers; never their secrets."""
    response.headers["Cache-Control"] = "no-store"
    with store.read() as connection:
        return [
            _token(one)
            for one in accounts_tokens.listed(connection, identity, account or identity.account)
        ]


@router.post(
    "/tokens",
    operation_id="makeToken",
    summary="Make a token for a program",
    status_code=201,
    responses=errors(401, 403, 404, 409, 422, 503),
)
def make_token(body: NewToken, response: Response, identity: Person, store: Accounts) -> MadeToken:
    """Make a token with some of the account's actions and an end; its secret is shown this once."""
    response.headers["Cache-Control"] = "no-store"
    owner = body.account or identity.account
    assert owner is not None
    with store.write() as connection:
        made, secret = accounts_tokens.create(
            connection,
            account=owner,
            title=body.title,
            scopes=body.scopes,
            days=body.days,
            longest=store.settings.accounts.token_days,
            by=identity,
        )
    return MadeToken(token=_token(made), secret=secret)


@router.delete(
    "/tokens/{token}",
    operation_id="revokeToken",
    summary="Revoke a token",
    status_code=204,
    response_class=Response,
    responses=errors(401, 403, 404, 409, 422, 503),
)
def revoke_token(token: TokenNumber, identity: Person, store: Accounts) -> None:
    """Revoke a token at once: one's own, or one of an account one administers."""
    with store.write() as connection:
        accounts_tokens.revoke(connection, token, identity)
