"""Emerging hot and cold spots of an area (METHODS 8). Imports `geo.hotspots`."""

from __future__ import annotations

from collections import Counter

import numpy as np

from app.api.job_models import EmergingCells, EmergingName, EmergingQuestion, EmergingResult
from app.services.job_ground import RULE, Study
from app.services.job_scan import panel
from app.services.job_steps import local, moment
from app.services.job_work import Work, column, found, words
from geo.hotspots import gi
from geo.hotspots.emerging import CATEGORIES, emerging

STEP = {"week": ("每周", "week"), "month": ("每月", "month"), "quarter": ("每季", "quarter")}
METHOD = (
    (
        "新兴热点：{zh} Gi*（H3 {res} 级，{ring} 环，经验贝叶斯标准化残差，错误发现率 {q:g}），"
        "Mann–Kendall 检验 z 的趋势，按出现方式分为八类（冷热各一套）。"
    ),
    (
        "Emerging hot spots: Gi* of every {en} (H3 resolution {res}, {ring} ring(s) around each, "
        "EB-standardised residuals, false discovery rate {q:g}), Mann–Kendall trend of z, eight "
        "categories each of hot and cold spots."
    ),
)
NAMES: tuple[EmergingName, ...] = CATEGORIES  # type: ignore[assignment]


def run(study: Study, question: EmergingQuestion, work: Work) -> EmergingResult:
    """Tell which cells become hot, stay hot, cool down."""
    asked = question.parameters
    res = study.resolution(asked.res)
    edges = local(study.covered, asked.step, study.events.time_zone)
    work.said(0.1, "exposures")
    cells = study.cells(res)
    work.said(0.5, "computing")
    cases, expected = panel(cells, edges)
    values = np.empty(expected.shape)
    for step, (o, e) in enumerate(zip(cases, expected, strict=True)):
        # a step without events is known to be empty: as expected everywhere
        values[step] = (
            gi.residuals(o, e) if np.nansum(e) > 0 else np.where(np.isnan(e), np.nan, 0.0)
        )
        work.said(0.5 + 0.3 * (step + 1) / len(cases), "computing")
    answer = emerging(values, gi.ring_neighbours(cells.over.cells, asked.ring), asked.q)
    whole = (cells.events.time >= edges[0]) & (cells.events.time < edges[-1])
    counts = cells.counts(whole)
    every = Counter(answer.names())
    zh, en = STEP[asked.step]
    return EmergingResult(
        type="emerging",
        question=question,
        **found(study, words(*METHOD, zh=zh, en=en, res=res, ring=asked.ring, q=asked.q), RULE),
        res=res,
        ring=asked.ring,
        q=asked.q,
        steps=[moment(one) for one in edges[:-1].tolist()],
        steps_end=moment(int(edges[-1])),
        left_out=len(study.events) - int(whole.sum()),
        counts={name: every[name] for name in sorted(every)},
        cells=EmergingCells(
            cell=cells.names,
            observed=counts.sum(axis=0).tolist(),
            expected=column(cells.expected(counts)),
            category=[NAMES[abs(one)] for one in answer.category.tolist()],
            found=[
                "hot" if one > 0 else "cold" if one < 0 else "none"
                for one in answer.category.tolist()
            ],
            z=column(answer.z[-1]),
            trend=column(answer.trend_z),
            trend_p=column(answer.trend_p),
            hot_steps=(answer.state == gi.HOT).sum(axis=0).tolist(),
            cold_steps=(answer.state == gi.COLD).sum(axis=0).tolist(),
        ),
    )
