"""Density of events as a surface (METHODS 8 of the area's own plane). Imports `geo.surface`."""

from __future__ import annotations

import numpy as np

from app.api.job_models import DensityQuestion, DensityResult
from app.errors import Invalid
from app.services import job_surface
from app.services.job_ground import Study
from app.services.job_work import Outcome, Work, found, tags, words
from geo import surface

KERNEL = {"quartic": ("四次核", "quartic kernel"), "gaussian": ("高斯核", "Gaussian kernel")}
METHOD = (
    (
        "核密度：{zh}，带宽 {bandwidth:,.0f} 米，{cell:,.0f} 米等积网格（LAEA），"
        "每个事件的核在区域边界内归一，全图积分等于事件数。"
    ),
    (
        "Kernel density: {en}, bandwidth {bandwidth:,.0f} m, equal-area cells of {cell:,.0f} m "
        "(LAEA); the kernel of each event is normalised inside the area, so that the surface adds "
        "up to the number of events."
    ),
)


def run(study: Study, question: DensityQuestion, work: Work) -> Outcome:
    """Make the surface, as numbers, raster and picture."""
    asked = question.parameters
    work.said(0.2, "computing")
    try:
        made = surface.density(
            study.events.lon,
            study.events.lat,
            study.outline,
            bandwidth=asked.metres,
            kernel=asked.kernel,
            cell=asked.cell,
        )
    except surface.SurfaceError as error:
        raise Invalid(str(error), {"field": "parameters", "reason": "no_surface"}) from error
    zh, en = KERNEL[asked.kernel]
    about = found(study, words(*METHOD, zh=zh, en=en, bandwidth=made.bandwidth, cell=made.cell))
    work.said(0.7, "drawing")
    png, picture = job_surface.picture(made.values, made.transform, made.crs)
    body = job_surface.tif(
        made.values,
        made.transform,
        made.crs,
        {
            **tags(study, about),
            "UNIT": "events per km2",
            "BANDWIDTH_METRES": f"{made.bandwidth:.6g}",
            "KERNEL": made.kernel,
        },
    )
    rows, columns = made.values.shape
    result = DensityResult(
        type="density",
        question=question,
        **about,
        bandwidth=made.bandwidth,
        bandwidth_rule="given" if asked.metres is not None else "default",
        kernel=asked.kernel,
        cell=made.cell,
        crs=made.crs,
        rows=rows,
        columns=columns,
        integral=made.integral(),
        highest=float(np.nanmax(made.values)),
        picture=picture,
    )
    return Outcome(result, body, png)
