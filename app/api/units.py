"""Units of a map: detail, children, search."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.api.dependencies import Code, Pack, Phrase, StoreDep, errors
from app.api.models import SearchAnswer, UnitBrief, UnitDetail
from app.services import search as search_service
from app.services import units as service

router = APIRouter(prefix="/api/packs/{pack}", tags=["units"])


@router.get(
    "/units/{code}",
    operation_id="unit",
    summary="A unit with its place and kin",
    responses=errors(404, 422, 503),
)
def unit(pack: Pack, code: Code, store: StoreDep) -> UnitDetail:
    """Bounds, label point, area, ancestors and number of children."""
    with store.read() as connection:
        return service.unit_detail(connection, store.caches, pack, code)


@router.get(
    "/units/{code}/children",
    operation_id="children",
    summary="Units directly below a unit",
    responses=errors(404, 422, 503),
)
def children(pack: Pack, code: Code, store: StoreDep) -> list[UnitBrief]:
    """Next finer units present, coarse levels first, in code order."""
    with store.read() as connection:
        return service.children(connection, store.caches, pack, code)


@router.get(
    "/search",
    operation_id="search",
    summary="Units by name or code, best first",
    responses=errors(404, 422, 503),
)
def search(
    pack: Pack,
    q: Phrase,
    store: StoreDep,
    limit: Annotated[int, Query(ge=1, le=100, description="Most hits wanted")] = 20,
) -> SearchAnswer:
    """Chinese or English name, in part or whole; code in any zero-filled form or its beginning."""
    with store.read() as connection:
        return search_service.search(connection, store.caches, pack, q, limit)
