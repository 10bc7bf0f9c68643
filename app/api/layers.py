"""Which values of a run a request means: one dependency for every route that asks by query."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from app.api.dependencies import Kind, Level, Ord, PeriodType
from app.services.runs import Layer


async def layer(
    *,
    level: Level,
    kind: Kind = "overall",
    period: PeriodType = "month",
    ord: Ord = 0,  # noqa: A002 - the name of the period index everywhere
) -> Layer:
    """Level, kind and period of a question; the overall of the first month unless it says."""
    return Layer(level, kind, period, ord)


LayerDep = Annotated[Layer, Depends(layer)]
