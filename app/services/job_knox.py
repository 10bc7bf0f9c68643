"""Near-repeat table of an area (METHODS 8). Imports `geo.hotspots`."""

from __future__ import annotations

import math

import numpy as np

from app.api.job_models import KnoxBand, KnoxQuestion, KnoxResult
from app.errors import Invalid
from app.services.job_ground import Study
from app.services.job_scan import metres
from app.services.job_steps import DAY
from app.services.job_work import Work, found, words
from geo.hotspots.knox import knox

METHOD = (
    "Knox 近重复检验：按距离 × 时间分段数事件对，期望为所有时间重排的均值，{replicates} 次随机置换给出单侧（大于）p 值。",
    (
        "Knox near-repeat test: pairs of events by distance × time band; expected is the mean over "
        'all ways to deal the times out; p "greater" from {replicates} random permutations.'
    ),
)


def run(study: Study, question: KnoxQuestion, work: Work) -> KnoxResult:
    """Count pairs that are close in space and in time."""
    asked = question.parameters
    events = study.events
    x, y = metres(study, np.column_stack([events.lon, events.lat]))
    work.said(0.1, "testing")
    try:
        table = knox(
            x,
            y,
            events.time / DAY,
            asked.metres,
            asked.days,
            replicates=asked.replicates,
            seed=question.seed,
            progress=work.part(0.1, 0.97, "testing"),
            cancelled=work.stopped,
        )
    except ValueError as error:
        raise Invalid(str(error), {"field": "parameters", "reason": "pairs"}) from error
    bands = [
        KnoxBand(
            metres_from=float(table.distances[i]),
            metres_to=float(table.distances[i + 1]),
            days_from=float(table.times[j]),
            days_to=float(table.times[j + 1]),
            observed=int(table.observed[i, j]),
            expected=float(table.expected[i, j]),
            ratio=float(table.ratio[i, j]) if math.isfinite(table.ratio[i, j]) else None,
            p=float(table.p[i, j]),
            significant=bool(table.p[i, j] <= 0.05 and table.ratio[i, j] >= 1.2),
        )
        for i in range(table.observed.shape[0])
        for j in range(table.observed.shape[1])
    ]
    return KnoxResult(
        type="knox",
        question=question,
        **found(study, words(*METHOD, replicates=asked.replicates)),
        replicates=asked.replicates,
        bands=bands,
    )
