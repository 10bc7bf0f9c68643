"""The cookies of a session: set, read, forgotten.

With https they are `__Host-` cookies: the browser itself sees to it that they are sent by https
alone, to this host alone, and that no other host can set them.
"""

from __future__ import annotations

from fastapi import Request, Response

from app.security.doorkeeper import cookie, cookie_name, is_https
from app.security.secrets import csrf_of
from app.services.accounts_login import Session
from app.settings import Settings

#: Where the secret of a browser on its way to a provider is kept meanwhile.
FLOW = "flow"
FLOW_SECONDS = 600


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def own_address(request: Request) -> str:
    """Scheme, host and port people reach us at."""
    public = _settings(request).accounts.public_url
    # the doorkeeper has seen that the host is ours
    return public or f"{request.scope['scheme']}://{request.headers['host']}"


def own_cookie(request: Request, name: str = "session") -> str | None:
    """Value of one of our cookies, None when there is none."""
    wanted = cookie_name(_settings(request), request.scope["scheme"], name)
    return cookie(request.scope["headers"], wanted)


def set_cookie(
    request: Request, response: Response, name: str, value: str, seconds: int, *, hidden: bool
) -> None:
    """Set a cookie for this host and every path; `hidden`: from scripts."""
    settings, scheme = _settings(request), request.scope["scheme"]
    response.set_cookie(
        cookie_name(settings, scheme, name),
        value,
        max_age=seconds,
        path="/",
        secure=is_https(settings, scheme),
        httponly=hidden,
        samesite="lax",
    )


def set_cookies(request: Request, response: Response, begun: Session) -> None:
    """Hand a new session to the browser."""
    set_cookie(request, response, "session", begun.secret, begun.seconds, hidden=True)
    set_cookie(request, response, "csrf", csrf_of(begun.secret), begun.seconds, hidden=False)


def forget_cookies(request: Request, response: Response) -> None:
    """Let the browser forget its session."""
    for name, hidden in (("session", True), ("csrf", False)):
        set_cookie(request, response, name, "", 0, hidden=hidden)
