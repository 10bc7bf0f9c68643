"""Scenes and their indicators over HTTP. Wiring only."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from app.api.dependencies import REVALIDATE, Level, StoreDep, Within, errors
from app.api.indicator_models import Calendar, IndicatorValues, League, SceneDetail, SceneList
from app.services import indicator_values as values_service
from app.services import indicators as service
from app.services.small_numbers import sees_small

router = APIRouter(tags=["indicators"])
SceneName = Annotated[
    str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Name of the scene")
]
PackName = Annotated[
    str | None,
    Query(
        pattern=r"^[a-z0-9][a-z0-9-]{0,39}$",
        description="Map or register; none: that of the newest run of the scene",
    ),
]
CalendarType = Annotated[Calendar, Query(description="Period type; the scene says which it has")]
NewestOrd = Annotated[
    int | None,
    Query(ge=0, le=32767, description="Index of the period; none: the newest complete one"),
]
IndicatorName = Annotated[
    str | None,
    Query(
        pattern=r"^[a-z][a-z0-9_]{0,39}$",
        description="Id of an indicator, group, field, or `total`",
    ),
]


@router.get(
    "/api/scenes",
    operation_id="listScenes",
    summary="Scenes in force or shipped",
    responses=errors(422, 503),
)
def list_scenes(*, response: Response, store: StoreDep) -> SceneList:
    """By name; a scene is data, not a place: everybody sees all of them."""
    response.headers["Cache-Control"] = REVALIDATE
    with store.read() as connection:
        return service.scenes(connection)


@router.get(
    "/api/scenes/{scene}",
    operation_id="scene",
    summary="A scene: palette, tree of indicators, versions, newest runs",
    responses=errors(404, 422, 503),
)
def scene_detail(*, scene: SceneName, response: Response, store: StoreDep) -> SceneDetail:
    """Periods and levels of each pack's newest run; its feeds, and which have stopped."""
    response.headers["Cache-Control"] = REVALIDATE
    with store.read() as connection:
        return service.scene_detail(connection, scene)


@router.get(
    "/api/indicators/{scene}/values",
    operation_id="indicatorValues",
    summary="Values of indicators for the units of a level",
    responses=errors(404, 422, 503),
)
def indicator_values(
    *,
    scene: SceneName,
    level: Level,
    response: Response,
    store: StoreDep,
    period: CalendarType = "month",
    ord: NewestOrd = None,  # noqa: A002 - the name of the period index everywhere
    within: Within = None,
    indicator: IndicatorName = None,
    pack: PackName = None,
) -> IndicatorValues:
    """Value, class, change with exact interval, and the last twelve values; small counts as "<5"."""
    response.headers["Cache-Control"] = REVALIDATE
    small = sees_small(store.identity)
    question = values_service.Question(level, period, ord, within, indicator, small)
    with store.read() as connection:
        return values_service.values(connection, scene, pack, question)


@router.get(
    "/api/indicators/{scene}/league",
    operation_id="indicatorLeague",
    summary="League table with intervals of the ranks",
    responses=errors(404, 422, 503),
)
def indicator_league(
    *,
    scene: SceneName,
    level: Level,
    response: Response,
    store: StoreDep,
    period: CalendarType = "month",
    ord: NewestOrd = None,  # noqa: A002
    within: Within = None,
    indicator: IndicatorName = None,
    pack: PackName = None,
) -> League:
    """Best first; units of one group cannot be told apart; ranks are among what may be seen.

    What is suppressed has no rank and comes last.
    """
    response.headers["Cache-Control"] = REVALIDATE
    small = sees_small(store.identity)
    question = values_service.Question(level, period, ord, within, indicator, small)
    with store.read() as connection:
        return values_service.league(connection, scene, pack, question)
