"""Gi* on the cells of an area (METHODS 8). Imports `geo.hotspots`."""

from __future__ import annotations

import numpy as np

from app.api.job_models import GiCells, GiQuestion, GiResult
from app.services.job_ground import RULE, Study
from app.services.job_work import Work, column, found, words
from geo import risk
from geo.hotspots import gi

METHOD = (
    (
        "Gi*（Getis–Ord，二值权重，含自身，{ring} 环内的 H3 {res} 级网格），对经验贝叶斯标准化残差计算；"
        "双侧 p 值，Benjamini–Hochberg 控制错误发现率 {q:g}。"
    ),
    (
        "Gi* (Getis–Ord, binary weights, self included, cells of H3 resolution {res} and {ring} ring(s) "
        "around each) on EB-standardised residuals; two-sided p-values, Benjamini–Hochberg false "
        "discovery rate {q:g}."
    ),
)


def run(study: Study, question: GiQuestion, work: Work) -> GiResult:
    """Find cells whose neighbourhood is higher or lower than the area."""
    asked = question.parameters
    res = study.resolution(asked.res)
    work.said(0.1, "exposures")
    cells = study.cells(res)
    work.said(0.6, "computing")
    counts = cells.counts()
    observed = cells.comparable(counts).astype(float)
    expected = cells.expected(counts)
    expected[expected == 0] = np.nan
    known = expected[~np.isnan(expected)]
    alpha = None
    residual = np.full(len(cells), np.nan)
    if len(known):
        alpha = float(risk.filter_expected(observed[None], expected[None]).alpha[0])
        residual = gi.residuals(observed, expected, alpha)
    z = gi.gi_star(residual, gi.ring_neighbours(cells.over.cells, asked.ring))
    p = gi.p_values(z)
    mark = gi.hot_and_cold(z, asked.q)
    return GiResult(
        type="gi",
        question=question,
        **found(study, words(*METHOD, ring=asked.ring, res=res, q=asked.q), RULE),
        res=res,
        ring=asked.ring,
        q=asked.q,
        alpha=alpha,
        hot=int((mark == gi.HOT).sum()),
        cold=int((mark == gi.COLD).sum()),
        cells=GiCells(
            cell=cells.names,
            observed=counts.sum(axis=0).tolist(),
            expected=column(expected),
            residual=column(residual),
            z=column(z),
            p=column(p),
            found=[("none", "hot", "cold")[one] for one in mark.tolist()],
        ),
    )
