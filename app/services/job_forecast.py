"""Forecast of next month by cell, shown only where it is worth it (METHODS 12). Imports `geo`."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from affine import Affine
from rasterio.features import rasterize

from app.api.job_models import (
    ForecastCells,
    ForecastQuestion,
    ForecastResult,
    ForecastScore,
    Picture,
)
from app.errors import Invalid
from app.services import job_surface
from app.services.job_ground import RULE, Study, StudyCells
from app.services.job_scan import panel
from app.services.job_steps import local, moment
from app.services.job_work import Outcome, Work, column, found, tags, words
from geo import cells as h3
from geo import forecast
from geo.surface import plane

Floats = npt.NDArray[np.float64]
METHOD = (
    (
        "下月预测：H3 {res} 级网格，逐格漂移经验贝叶斯水平 × 全域月均 × 季节系数；"
        "用最后 {months} 个完整月检验，与“上年同格”在等面积（{share:g}）下比较，优于它才展示。"
    ),
    (
        "Forecast of next month: H3 cells of resolution {res}, each cell's level by the drifting "
        "empirical Bayes filter × the mean month × season; judged on the last {months} whole months "
        "against the same cells as last year at equal area ({share:g}), shown only where it wins."
    ),
)


def run(study: Study, question: ForecastQuestion, work: Work) -> Outcome:
    """Forecast, judge, and keep the forecast back when it is not worth showing."""
    asked = question.parameters
    res = study.resolution(asked.res)
    edges = local(study.covered, "month", study.events.time_zone)
    work.said(0.1, "exposures")
    cells = study.cells(res)
    work.said(0.4, "computing")
    cases, _ = panel(cells, edges)
    # the mixture of kinds as it was before the months that judge
    before = cells.events.time < edges[max(1, len(edges) - 1 - asked.held_out)]
    share = cells.expected(cells.counts(before))
    area = cells.km2
    try:
        made = forecast.forecast(
            cases, share / np.nansum(share) if np.nansum(share) > 0 else share, area,
            area_share=asked.area_share, held_out=asked.held_out,
        )  # fmt: skip
    except ValueError as error:
        raise Invalid(str(error), {"field": "end", "reason": "too_few_months"}) from error
    about = found(
        study,
        words(*METHOD, res=res, months=asked.held_out, share=asked.area_share),
        RULE,
    )
    work.said(0.8, "drawing")
    table: ForecastCells | None = None
    tif = png = None
    drawn: Picture | None = None
    if made.beats_last_year:
        per_km2 = made.expected / area
        table = ForecastCells(
            cell=cells.names,
            observed=cases[-1].tolist(),
            expected=column(made.expected),
            chosen=made.chosen.tolist(),
            per_km2=column(per_km2),
        )
        values, transform, crs = raster(study, cells, per_km2)
        png, drawn = job_surface.picture(values, transform, crs)
        tif = job_surface.tif(
            values, transform, crs, {**tags(study, about), "UNIT": "expected events per km2"}
        )
    result = ForecastResult(
        type="forecast",
        question=question,
        **about,
        res=res,
        shown=made.beats_last_year,
        month=moment(int(edges[-1])),
        held_out_start=moment(int(edges[-1 - asked.held_out])),
        held_out=made.months,
        model=_score(made.model),
        last_year=_score(made.last_year),
        p=made.p,
        cells=table,
        picture=drawn,
    )
    return Outcome(result, tif, png)


def _score(one: forecast.Score) -> ForecastScore:
    def number(value: float) -> float | None:
        return float(value) if math.isfinite(value) else None

    return ForecastScore(
        hits=one.hits,
        events=one.events,
        hit_rate=number(one.hit_rate),
        low=number(one.low),
        high=number(one.high),
        area_share=one.area_share,
        pai=number(one.pai),
        pei=number(one.pei),
        by_month=one.by_month.tolist(),
    )


def raster(study: Study, cells: StudyCells, values: Floats) -> tuple[Floats, Affine, str]:
    """Values of cells on an equal-area grid of about a tenth of a cell's width, nan outside."""
    west, south, east, north = study.outline.bounds
    crs = plane((west + east) / 2, (south + north) / 2)
    there = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    corners, start = h3.outlines(cells.over.cells)
    x, y = there.transform(corners[:, 0], corners[:, 1])
    xy = np.column_stack([x, y])
    shapes = [
        shapely.Polygon(xy[a:b])
        for a, b in zip(start[:-1].tolist(), start[1:].tolist(), strict=True)
    ]
    low, high = xy.min(axis=0), xy.max(axis=0)
    side = math.sqrt(shapes[0].area) / 10
    side = max(side, math.sqrt(float(np.prod(high - low)) / 2_000_000))
    columns, rows = (math.ceil(one) for one in (high - low) / side)
    transform = Affine(side, 0, low[0], 0, -side, high[1])
    pairs = [(one, value) for one, value in zip(shapes, values.tolist(), strict=True)
             if math.isfinite(value)]  # fmt: skip
    burned = rasterize(
        pairs, out_shape=(rows, columns), transform=transform, fill=np.nan, dtype="float64"
    )
    return np.asarray(burned, np.float64), transform, crs
