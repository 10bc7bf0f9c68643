"""What a route demands of whoever asks, as dependencies of FastAPI."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from app.errors import Forbidden, LoginNeeded
from app.security.identity import Action, Identity


async def asking(request: Request) -> Identity:
    """Who asks.

    Raises
    ------
    LoginNeeded
        The doorkeeper let the request pass without an identity: a public address.
    """
    found = request.scope.get("state", {}).get("identity")
    if not isinstance(found, Identity):
        raise LoginNeeded("log in first")
    return found


Asking = Annotated[Identity, Depends(asking)]


def demand(identity: Identity, action: Action) -> None:
    """Do nothing when the identity may do it.

    Raises
    ------
    Forbidden
        It may not; the message names the action and nothing of the map.
    """
    if not identity.may(action):
        raise Forbidden(f"this account may not do this ({action})")


def allowed(action: Action) -> Callable[[Identity], Identity]:
    """Dependency: the identity, when it may do `action`."""

    async def check(identity: Asking) -> Identity:
        demand(identity, action)
        return identity

    return check  # type: ignore[return-value]
