"""The assessment of a run: values for the map, summary, ranking, why, series."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from app.api.dependencies import (
    PRIVATE,
    Code,
    Kind,
    KindPath,
    LevelPath,
    Limit,
    Ord,
    OrdPath,
    PeriodPath,
    PeriodType,
    Run,
    StoreDep,
    Within,
    errors,
)
from app.api.layers import LayerDep
from app.api.models import Ranking, Series, Summary, Why
from app.api.packed_answer import packed_answer
from app.services import lookup
from app.services import ranking as ranking_service
from app.services import summary as summary_service
from app.services import values as values_service
from app.services.runs import Layer

router = APIRouter(prefix="/api/runs/{run}", tags=["assessment"])

PAYLOAD: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`2 n` bytes, `n` the units of the level: `n` bytes colour (0 no data, "
        "1 green, 2 blue, 3 yellow, 4 orange, 5 red), then `n` bytes relative risk (0 no data, "
        "else 128 + 16 log2 θ); byte `i` of both belongs to unit `first_id + i` of the manifest",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    304: {"description": "The client has it already"},
}


@router.get(
    "/values/{level}/{kind}/{period}/{ord}",
    operation_id="values",
    summary="Colours and relative risks of a whole level, two bytes per unit",
    response_class=Response,
    responses={**PAYLOAD, **errors(404, 422, 503)},
)
def values(
    *,
    request: Request,
    run: Run,
    level: LevelPath,
    kind: KindPath,
    period: PeriodPath,
    ord: OrdPath,  # noqa: A002 - the name of the period index everywhere
    store: StoreDep,
) -> Response:
    """Answer what the map needs to colour itself when the kind or the period changes."""
    return packed_answer(
        request,
        store,
        run,
        f"{level}-{kind}-{period}-{ord}",
        lambda connection: values_service.compressed(
            connection, store.caches, run, Layer(level, kind, period, ord)
        ),
    )


@router.get(
    "/summary",
    operation_id="summary",
    summary="A scope at a glance",
    responses=errors(404, 422, 503),
)
def summary(
    *,
    run: Run,
    layer: LayerDep,
    store: StoreDep,
    response: Response,
    within: Within = None,
) -> Summary:
    """Legend counts with their change, kinds with their worst class, trends."""
    response.headers["Cache-Control"] = PRIVATE
    with store.read() as connection:
        return summary_service.summary(connection, store.caches, run, layer, within)


@router.get(
    "/ranking",
    operation_id="ranking",
    summary="Units by relative risk, with the interval of their rank",
    responses=errors(404, 422, 503),
)
def ranking(
    *,
    run: Run,
    layer: LayerDep,
    store: StoreDep,
    response: Response,
    within: Within = None,
    limit: Limit = 100,
) -> Ranking:
    """Highest risk first; ranks are among all units of the level in the reference area."""
    response.headers["Cache-Control"] = PRIVATE
    with store.read() as connection:
        return ranking_service.ranking(
            connection,
            store.caches,
            run,
            layer,
            within=within,
            limit=limit,
        )


@router.get(
    "/units/{code}/why",
    operation_id="why",
    summary="Why a unit has its colour",
    responses=errors(404, 422, 503),
)
def why(
    *,
    run: Run,
    code: Code,
    store: StoreDep,
    response: Response,
    kind: Kind = "overall",
    period: PeriodType = "month",
    ord: Ord = 0,  # noqa: A002
) -> Why:
    """Observed, expected, exposures, memory, relative risk with interval, contributions."""
    response.headers["Cache-Control"] = PRIVATE
    with store.read() as connection:
        return lookup.why(connection, store.caches, run, code, kind=kind, period=period, ord_=ord)


@router.get(
    "/units/{code}/series",
    operation_id="series",
    summary="All periods of one unit and kind",
    responses=errors(404, 422, 503),
)
def series(
    *,
    run: Run,
    code: Code,
    store: StoreDep,
    response: Response,
    kind: Kind = "overall",
    period: PeriodType = "month",
) -> Series:
    """Observed and expected counts, relative risk with interval and colour, in order."""
    response.headers["Cache-Control"] = PRIVATE
    with store.read() as connection:
        return lookup.series(connection, store.caches, run, code, kind=kind, period=period)
