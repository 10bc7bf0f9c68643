"""Scan statistic on the cells of an area (METHODS 8). Imports `geo.hotspots`.

Expected counts per step: each step's events of a kind shared out by the exposures (METHODS 2), so that
a month busy everywhere is no cluster.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pyproj

from app.api.job_models import ScanCluster, ScanQuestion, ScanResult
from app.errors import Invalid
from app.services.job_ground import RULE, Study, StudyCells
from app.services.job_steps import back, moment
from app.services.job_work import Work, found, words
from geo import cells as h3
from geo.hotspots import scan
from geo.hotspots.windows import Windows
from geo.surface import plane

MODE = {
    "spatial": ("纯空间圆形窗口", "circles over the whole span"),
    "prospective": ("前瞻性时空圆柱", "prospective space-time cylinders"),
    "retrospective": ("回顾性时空圆柱", "retrospective space-time cylinders"),
}
METHOD = (
    (
        "Kulldorff 扫描统计量（泊松模型），{zh}，H3 {res} 级网格，窗口至多含预期数的 {share:g}；"
        "蒙特卡洛 {replicates} 次，p = 名次/（次数+1），次级聚集互不重叠。"
    ),
    (
        "Kulldorff's scan statistic (Poisson), {en}, H3 cells of resolution {res}, windows up to "
        "{share:g} of the expected count; {replicates} Monte Carlo replicates, p = rank / "
        "(replicates + 1), secondary clusters share no cell."
    ),
)


def run(study: Study, question: ScanQuestion, work: Work) -> ScanResult:
    """Find circles and cylinders with an excess."""
    asked = question.parameters
    res = study.resolution(asked.res)
    edges = (
        np.array(study.covered, np.int64)
        if asked.mode == "spatial"
        else back(study.covered, asked.step_days)
    )
    steps = len(edges) - 1
    longest = min(asked.longest_steps or min(30, max(1, steps // 2)), steps)
    work.said(0.05, "exposures")
    cells = study.cells(res)
    cases, expected = panel(cells, edges)
    centre = h3.centres(cells.over.cells)
    x, y = metres(study, centre)
    work.said(0.1, "computing")
    try:
        windows = Windows.build(
            x, y, expected, asked.max_share, max_radius=asked.max_metres or math.inf
        )
    except ValueError as error:
        raise Invalid(str(error), {"field": "parameters", "reason": "too_many_windows"}) from error
    work.said(0.15, "testing")
    times = (
        None
        if asked.mode == "spatial"
        else scan.Times(longest=longest, prospective=asked.mode == "prospective")
    )
    answer = scan.scan(
        cases,
        expected,
        windows,
        times,
        replicates=asked.replicates,
        seed=question.seed,
        max_clusters=asked.max_clusters,
        progress=work.part(0.15, 0.97, "testing"),
        cancelled=work.stopped,
    )
    zh, en = MODE[asked.mode]
    names = cells.names
    return ScanResult(
        type="scan",
        question=question,
        **found(
            study,
            words(*METHOD, zh=zh, en=en, res=res, share=asked.max_share,
                  replicates=asked.replicates),
            RULE,
        ),
        res=res,
        places=int((np.nansum(expected, axis=0) > 0).sum()),
        circles=windows.circles,
        steps=steps,
        longest_steps=longest if times else 1,
        scan_start=moment(edges[0]),
        total=answer.total,
        left_out=len(study.events) - answer.total,
        replicates=asked.replicates,
        clusters=[
            ScanCluster(
                rank=rank,
                centre=(float(centre[one.centre, 0]), float(centre[one.centre, 1])),
                metres=float(one.radius),
                cells=sorted(names[at] for at in one.members.tolist()),
                start=moment(edges[one.first]),
                end=moment(edges[one.last + 1]),
                observed=one.observed,
                expected=float(one.expected),
                relative_risk=one.relative_risk if math.isfinite(one.relative_risk) else None,
                llr=float(one.llr),
                p=float(one.p),
                significant=one.p <= 0.05,
            )
            for rank, one in enumerate(answer.clusters, start=1)
        ],
    )  # fmt: skip


def panel(
    cells: StudyCells, edges: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return counts and expected counts of every step and cell, (T, n) each."""
    time = cells.events.time
    cases, expected = [], []
    for first, last in itertools.pairwise(edges.tolist()):
        counts = cells.counts((time >= first) & (time < last))
        cases.append(cells.comparable(counts))
        expected.append(cells.expected(counts))
    return np.stack(cases), np.stack(expected)


def metres(
    study: Study, lonlat: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Places in the equal-area plane around the area."""
    west, south, east, north = study.outline.bounds
    there = pyproj.Transformer.from_crs(
        "EPSG:4326", plane((west + east) / 2, (south + north) / 2), always_xy=True
    )
    x, y = there.transform(lonlat[:, 0], lonlat[:, 1])
    return np.asarray(x, np.float64), np.asarray(y, np.float64)
