"""How a number was made, in words, zh and en."""

from __future__ import annotations

from app.api.analysis_models import UnitWeights
from app.api.models import Words
from app.services.analysis_rates import RunRates
from app.services.manifest import LEVEL_TITLES


def rule_words(
    rates: RunRates | None, *, drawn: bool, whole: bool, alike: bool, weights: UnitWeights
) -> Words:
    """Say how the expected count and the relative risk of an area were made."""
    if rates is None:
        return Words(
            zh="此地图在当前边界上还没有评估，因此没有预期数。",
            en="Nothing was assessed on these boundaries yet, so nothing is expected.",
        )
    level, level_en = _level(rates)
    if drawn and weights.rule == "raster":
        zh, en = _raster_words(rates, weights)
    elif drawn:
        zh = (
            f"预期数＝各{level}落在区域内的面积份额（等积投影）×该单位的底数份额×参照范围在"
            "同一时段内有坐标的事件数；部分落入的单位按面积折算。"
        )
        en = (
            f"Expected: over the units of level {level_en}, the share of their ground inside (equal-area "
            "projection) times their share of the exposure times the events with a point of the "
            "reference area in exactly this span; units partly inside count by area."
        )
    else:
        zh = "预期数＝所选单位的底数份额×参照范围在同一时段内的事件数（与评估相同）。"
        en = (
            "Expected: the units' share of the exposure times the events of the reference area in "
            "exactly this span, as in the run."
        )
    zh += f"相对风险：仅用本时段的伽马后验，先验强度取第 {rates.facts.id} 次评估最新的{level} α；区间为 95%。"
    en += (
        f" Relative risk: gamma posterior of this span alone with the newest alpha of level {level_en} "
        f"of run {rates.facts.id}; 95 % interval."
    )
    if alike:
        zh += "参照范围的水平取自该次评估，在各期内按时间均匀分摊（一周中的小时按历史分布），不反映个别事件。"
        en += (
            " The level of the reference area is that of the run, spread over each period by time (hours "
            "of the week as in all its history): it follows no single event."
        )
    elif not whole:
        zh += "参照范围的整月水平取自该次评估；月内的分布按您辖区内的事件。"
        en += (
            " Whole periods of the reference area are those of the run; inside a period the events of "
            "your own jurisdiction are followed."
        )
    if alike:
        zh += "总体：各类事件同等计数（不按危害加权）；1–4 显示为“<5”。"
        en += ' Overall: all kinds count alike (not weighed by harm); 1 to 4 is shown as "<5".'
    return Words(zh=zh, en=en)


def _raster_words(rates: RunRates, weights: UnitWeights) -> tuple[str, str]:
    """Say how units were weighed by rasters, zh and en."""
    level, level_en = _level(rates)
    by_area = weights.cut - weights.by_raster
    names = rates.facts.scene.measures
    sources = [
        (
            f"{names[one.measure].zh}（{one.source}，{one.as_of}）",
            f"{names[one.measure].en} ({one.source}, {one.as_of})",
        )
        for one in weights.rasters
    ]
    zh = (
        f"预期数＝各{level}落在区域内的份额×该单位的底数份额×参照范围在同一时段内有坐标的事件数；"
        f"部分落入的 {weights.cut} 个单位中，{weights.by_raster} 个按栅格折算（区域内像元之和÷单位内像元之和，"
        f"像元按精确面积计）：{'、'.join(one for one, _ in sources)}；其他指标按面积（等积投影）。"
    )
    en = (
        f"Expected: over the units of level {level_en}, the share inside times their share of the exposure "
        "times the events with a point of the reference area in exactly this span; of the "
        f"{weights.cut} units partly inside {weights.by_raster} count by raster (sum of the pixels inside "
        f"over that of the unit, by exact area weights): {', '.join(one for _, one in sources)}; other "
        "measures by area (equal-area projection)."
    )
    if by_area:
        zh += f"{by_area} 个单位在栅格中没有数据，按面积折算。"
        en += f" The raster has nothing in {by_area} of them: these count by area."
    return zh, en


def _level(rates: RunRates) -> tuple[str, str]:
    """Name the level of the finest units, zh and en."""
    level = rates.table.levels[rates.leaf]
    zh, en = LEVEL_TITLES.get(level, (f"“{level}”级单位", level))
    return zh, en.lower()
