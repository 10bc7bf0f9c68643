"""To an OpenID Connect provider and back: redirects of a browser, never JSON.

What goes wrong on the way leads to the login page, with a short name of the reason in its address.
"""

from __future__ import annotations

import logging
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from app.api.account_store import Accounts, agent, errors
from app.api.session_cookies import (
    FLOW,
    FLOW_SECONDS,
    own_address,
    own_cookie,
    set_cookie,
    set_cookies,
)
from app.errors import NotFound, WusetuError
from app.security.hosts import safe_next
from app.security.oidc import Talk
from app.security.secrets import LONGEST
from app.services import accounts_oidc

log = logging.getLogger("wusetu.security")

router = APIRouter(prefix="/api/oidc", tags=["accounts"])
Provider = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,31}$", description="Id of the provider")]
SENT: dict[int | str, dict[str, Any]] = {303: {"description": "Go on there"}}


def _talk(request: Request, provider: str) -> Talk:
    found: Talk | None = request.app.state.oidc.get(provider)
    if found is None:
        raise NotFound(f"there is no provider {provider}")
    return found


def _redirect(request: Request, provider: str) -> str:
    return f"{own_address(request)}/api/oidc/{provider}/callback"


def _go(address: str) -> Response:
    return RedirectResponse(address, status_code=303, headers={"Cache-Control": "no-store"})


def _failed(provider: str, error: WusetuError) -> Response:
    log.warning("login at provider %s: %s", provider, error.message)
    return _go(f"/login?error={error.code}")


@router.get(
    "/{provider}/login",
    operation_id="oidcLogin",
    summary="Log in at an OpenID Connect provider",
    status_code=303,
    response_class=Response,
    responses={**SENT, **errors(404, 409, 422, 503)},
)
async def oidc_login(
    provider: Provider,
    request: Request,
    store: Accounts,
    next: Annotated[  # noqa: A002 - its name everywhere
        str, Query(max_length=2000, description="Address of this site to go on to afterwards")
    ] = "/",
) -> Response:
    """Send the browser to the provider, with a state that only this browser can bring back."""
    talk = _talk(request, provider)
    try:
        sent = await run_in_threadpool(
            accounts_oidc.send, store.engine, talk, _redirect(request, provider), safe_next(next)
        )
    except WusetuError as error:
        return _failed(provider, error)
    answer = _go(sent.address)
    set_cookie(request, answer, FLOW, sent.browser, FLOW_SECONDS, hidden=True)
    return answer


@router.get(
    "/{provider}/callback",
    operation_id="oidcCallback",
    summary="Back from an OpenID Connect provider",
    status_code=303,
    response_class=Response,
    responses={**SENT, **errors(404, 409, 422, 503)},
)
async def oidc_callback(
    *,
    provider: Provider,
    request: Request,
    store: Accounts,
    state: Annotated[str, Query(max_length=LONGEST, description="State we sent")] = "",
    code: Annotated[str | None, Query(max_length=4096, description="Code of the login")] = None,
    iss: Annotated[str | None, Query(max_length=2000, description="Issuer (RFC 9207)")] = None,
) -> Response:
    """Begin a session for whoever the provider names; providers add parameters of their own."""
    talk = _talk(request, provider)
    try:
        begun, wanted = await run_in_threadpool(
            accounts_oidc.receive,
            store.engine,
            store.settings.accounts,
            talk,
            _redirect(request, provider),
            state=state,
            code=code,
            issuer=iss,
            browser=own_cookie(request, FLOW),
            client=agent(request),
            replaces=own_cookie(request),
        )
    except WusetuError as error:
        return _failed(provider, error)
    store.forget()
    answer = _go(safe_next(wanted))
    set_cookies(request, answer, begun)
    set_cookie(request, answer, FLOW, "", 0, hidden=True)
    return answer


#: Providers add parameters of their own to the way back: those are not ours to refuse.
oidc_callback.any_parameters = True  # type: ignore[attr-defined]
