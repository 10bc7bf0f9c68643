"""Addresses in words over HTTP. Wiring only."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from app.api.address_models import (
    AddressAnswers,
    AddressQuestion,
    ReviewDecision,
    ReviewItem,
    ReviewQueue,
)
from app.api.dependencies import NO_STORE, Door, Store, errors
from app.security.identity import LOCAL
from app.services import address_base
from app.services import address_resolve as service

router = APIRouter(prefix="/api/addresses", tags=["addresses"])
SeeDep = Annotated[Store, Depends(Door("see_map"))]
ReviewDep = Annotated[Store, Depends(Door("address:review"))]


@router.post(
    "/resolve",
    operation_id="resolveAddresses",
    summary="What addresses in words mean",
    responses=errors(404, 413, 422, 503),
)
def resolve_addresses(
    *, question: AddressQuestion, request: Request, response: Response, store: SeeDep
) -> AddressAnswers:
    """Codes of one's own jurisdiction, with confidence and reasons; the texts are kept nowhere."""
    response.headers["Cache-Control"] = NO_STORE
    state = request.app.state
    # the base is one for all; the answers are cut to the jurisdiction
    whole = Store(state.engine, LOCAL, state.caches.of(LOCAL.scope_key), store.timeout_ms)
    with whole.read() as connection:
        ground = state.addresses.ground(connection, question.pack)
        source, simulated = address_base.described(connection, question.pack)
    return AddressAnswers(
        pack=question.pack,
        base=source,
        simulated=simulated,
        answers=service.answers(ground, store.identity, question.addresses),
    )


@router.get(
    "/review",
    operation_id="addressReview",
    summary="Addresses of feeds that were not certain",
    responses=errors(404, 422, 503),
)
def address_review(
    *,
    response: Response,
    store: ReviewDep,
    pack: Annotated[
        str, Query(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Series of boundaries")
    ],
    state: Annotated[
        Literal["open", "settled", "dismissed"], Query(description="Which of them")
    ] = "open",
    limit: Annotated[int, Query(ge=1, le=500, description="At most so many")] = 100,
) -> ReviewQueue:
    """List them, what came most often first."""
    response.headers["Cache-Control"] = NO_STORE
    with store.read() as connection:
        return ReviewQueue(pack=pack, items=service.review(connection, pack, state, limit))


@router.post(
    "/review/{item}",
    operation_id="settleAddress",
    summary="Say what an address means, or dismiss it",
    responses=errors(404, 409, 422, 503),
)
def settle_address(
    *,
    item: Annotated[
        int, Path(ge=1, le=2**31 - 1, description="Number of the address in the queue")
    ],
    decision: ReviewDecision,
    store: ReviewDep,
) -> ReviewItem:
    """Known from then on; a name given with it is learnt."""
    with store.write() as connection:
        return service.decide(connection, store.identity, item, decision)
