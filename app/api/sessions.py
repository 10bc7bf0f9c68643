"""Logging in and out over HTTP, and what an account changes about itself: wiring only."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Path, Request, Response

from app.api.account_store import Accounts, Person, agent, errors, open_sessions
from app.api.models import Words
from app.api.models_accounts import (
    CodeProof,
    LinkLogin,
    Login,
    NewCodes,
    OpenSessionInfo,
    PasswordAndCode,
    PasswordChange,
    PasswordProof,
    ProviderInfo,
    RecoveryCodes,
    SessionInfo,
    Ways,
    jurisdiction_of,
)
from app.api.session_cookies import forget_cookies, own_cookie, set_cookies
from app.database import transaction
from app.security import codes
from app.security.doors import Asking
from app.security.identity import ACTIONS
from app.security.secrets import csrf_of
from app.services import accounts_login, accounts_own
from app.services.accounts_login import Session
from app.settings import Settings

router = APIRouter(prefix="/api", tags=["accounts"])

SessionNumber = Annotated[int, Path(ge=1, le=2**53 - 1, description="Number of the session")]


@router.get(
    "/session/ways",
    operation_id="ways",
    summary="How one gets in",
    responses=errors(422, 503),
)
async def ways(request: Request, response: Response) -> Ways:
    """Say whether there are accounts, and which providers one can log in at; open to everybody."""
    settings: Settings = request.app.state.settings
    response.headers["Cache-Control"] = "no-store"
    return Ways(
        access=settings.access,
        password_length=settings.accounts.password_length,
        providers=[
            ProviderInfo(
                id=one.provider.id,
                title=Words(zh=one.provider.title.zh, en=one.provider.title.en),
                login=f"/api/oidc/{one.provider.id}/login",
            )
            for one in request.app.state.oidc.values()
        ],
    )


@router.get(
    "/session",
    operation_id="session",
    summary="Who asks",
    responses=errors(401, 422, 503),
)
def session(request: Request, response: Response, identity: Asking) -> SessionInfo:
    """Role, jurisdiction, what may be done, and the token every unsafe request has to repeat."""
    response.headers["Cache-Control"] = "no-store"
    settings: Settings = request.app.state.settings
    secret = own_cookie(request) if identity.how == "session" else None
    own = None
    if identity.account is not None:
        with transaction(request.app.state.engine) as connection:
            own = connection.execute(
                sa.text(
                    "select title, password_hash is not null as has_password, "
                    "totp_secret is not null as has_codes, case when :days > 0 then "
                    "password_at + make_interval(days => :days) end as expires "
                    "from account where id = :id"
                ),
                {"id": identity.account, "days": settings.accounts.password_days},
            ).one_or_none()
    return SessionInfo(
        access=settings.access,
        how=identity.how,
        account=identity.account,
        name=identity.name,
        title=own.title if own else "",
        role=identity.role,
        actions=[one for one in ACTIONS if identity.may(one)],
        prefixes=jurisdiction_of(identity.prefixes),
        zones=list(identity.zones),
        csrf=csrf_of(secret) if secret else None,
        has_password=bool(own and own.has_password),
        has_codes=bool(own and own.has_codes),
        password_expires_at=own.expires if own else None,
    )


def _begun(request: Request, response: Response, begun: Session) -> None:
    set_cookies(request, response, begun)
    response.headers["Cache-Control"] = "no-store"
    response.status_code = 204


@router.post(
    "/session",
    operation_id="login",
    summary="Log in with name and password",
    status_code=204,
    response_class=Response,
    responses=errors(401, 403, 409, 422, 429, 503),
)
async def login(body: Login, request: Request, response: Response, store: Accounts) -> None:
    """Begin a session: its secret comes as a cookie, and the browser's old session is over.

    401 `wrong_login`: name, password or code is wrong. 401 `code_needed`: send the one-time code
    too. 403 `password_expired`: send a new password too. 429: the name is locked for a while.
    """
    begun = await store.slow(
        accounts_login.login,
        store.engine,
        store.settings.accounts,
        name=body.name,
        password=body.password,
        code=body.code,
        new_password=body.new_password,
        client=agent(request),
        replaces=own_cookie(request),
    )
    _begun(request, response, begun)


@router.post(
    "/session/link",
    operation_id="useLink",
    summary="Set a password with a one-time link",
    status_code=204,
    response_class=Response,
    responses=errors(401, 403, 409, 422, 503),
)
async def use_link(body: LinkLogin, request: Request, response: Response, store: Accounts) -> None:
    """Set the password of the link's account and begin a session; the link is used up."""
    begun = await store.slow(
        accounts_login.use_link,
        store.engine,
        store.settings.accounts,
        link=body.link,
        password=body.password,
        client=agent(request),
        replaces=own_cookie(request),
    )
    _begun(request, response, begun)


@router.delete(
    "/session",
    operation_id="logout",
    summary="Log out",
    status_code=204,
    response_class=Response,
    responses=errors(401, 403, 404, 409, 422, 503),
)
def logout(request: Request, response: Response, identity: Person, store: Accounts) -> None:
    """End the session that asks; what the browser kept of its answers goes too."""
    with store.write() as connection:
        accounts_login.end(connection, request.scope["state"]["door"].number, identity)
    forget_cookies(request, response)
    response.headers["Clear-Site-Data"] = '"cache"'
    response.headers["Cache-Control"] = "no-store"


@router.put(
    "/session/password",
    operation_id="changePassword",
    summary="Change one's own password",
    status_code=204,
    response_class=Response,
    responses=errors(401, 403, 409, 422, 429, 503),
)
async def change_password(
    body: PasswordChange, request: Request, response: Response, identity: Person, store: Accounts
) -> None:
    """Set a new password; every session of the account is over, a new one begins here."""
    begun = await store.slow(
        accounts_own.change_password,
        store.engine,
        store.settings.accounts,
        identity,
        password=body.password,
        new_password=body.new_password,
        client=agent(request),
    )
    _begun(request, response, begun)


@router.post(
    "/session/codes",
    operation_id="beginCodes",
    summary="Begin with one-time codes",
    responses=errors(401, 403, 409, 422, 429, 503),
)
async def begin_codes(
    body: PasswordProof, response: Response, identity: Person, store: Accounts
) -> NewCodes:
    """Make a secret for an authenticator; it counts once a code of it was sent by `PUT`."""
    secret = await store.slow(
        accounts_own.begin_totp, store.engine, store.settings.accounts, identity, body.password
    )
    address = codes.address(secret, identity.name)
    response.headers["Cache-Control"] = "no-store"
    return NewCodes(secret=secret, address=address, qr=codes.picture(address))


@router.put(
    "/session/codes",
    operation_id="confirmCodes",
    summary="Ask for one-time codes from now on",
    responses=errors(401, 403, 409, 422, 503),
)
def confirm_codes(
    body: CodeProof, response: Response, identity: Person, store: Accounts
) -> RecoveryCodes:
    """Prove that the authenticator has the secret; answers the recovery codes, this once."""
    found = accounts_own.confirm_totp(store.engine, identity, body.code)
    response.headers["Cache-Control"] = "no-store"
    return RecoveryCodes(codes=found)


@router.post(
    "/session/codes/off",
    operation_id="endCodes",
    summary="Ask for no one-time codes any more",
    status_code=204,
    response_class=Response,
    responses=errors(401, 403, 409, 422, 429, 503),
)
async def end_codes(body: PasswordAndCode, identity: Person, store: Accounts) -> None:
    """Switch the second device off, with the password and a last code."""
    await store.slow(
        accounts_own.end_totp,
        store.engine,
        store.settings.accounts,
        identity,
        password=body.password,
        code=body.code,
    )


@router.get(
    "/session/all",
    operation_id="ownSessions",
    summary="One's own open sessions",
    responses=errors(401, 403, 409, 422, 503),
)
def own_sessions(
    request: Request, response: Response, identity: Person, store: Accounts
) -> list[OpenSessionInfo]:
    """List the browsers logged in with this account, newest first."""
    response.headers["Cache-Control"] = "no-store"
    with store.read() as connection:
        assert identity.account is not None
        return open_sessions(
            request,
            accounts_login.sessions(
                connection, identity.account, store.settings.accounts.idle_minutes
            ),
        )


@router.delete(
    "/session/all/{session}",
    operation_id="endOwnSession",
    summary="End one of one's own sessions",
    status_code=204,
    response_class=Response,
    responses=errors(401, 403, 404, 409, 422, 503),
)
def end_own_session(session: SessionNumber, identity: Person, store: Accounts) -> None:
    """End a session at once, this one or another browser's."""
    with store.write() as connection:
        accounts_login.end(connection, session, identity)
