"""How a number was made, in words, zh and en. Imports nothing but models."""

from __future__ import annotations

from app.api.models import Words
from app.services.analysis_rates import RunRates


def rule_words(rates: RunRates | None, *, drawn: bool, whole: bool, alike: bool) -> Words:
    """Say how the expected count and the relative risk of an area were made."""
    if rates is None:
        return Words(
            zh="此地图在当前边界上还没有评估，因此没有预期数。",
            en="Nothing was assessed on these boundaries yet, so nothing is expected.",
        )
    level = rates.table.levels[rates.leaf]
    if drawn:
        zh = (
            f"预期数＝各“{level}”级单元落在区域内的面积份额（等积投影）×该单元的暴露份额×参照区在"
            "同一时段内有坐标的事件数；部分落入的单元按面积折算。"
        )
        en = (
            f"Expected: over the units of level {level}, the share of their ground inside (equal-area "
            "projection) times their share of the exposure times the events with a point of the "
            "reference area in exactly this span; units partly inside count by area."
        )
    else:
        zh = "预期数＝所选单元的暴露份额×参照区在同一时段内的事件数（与评估运行相同）。"
        en = (
            "Expected: the units' share of the exposure times the events of the reference area in "
            "exactly this span, as in the run."
        )
    zh += f"相对风险：仅用本时段的伽马后验，先验强度取运行 {rates.facts.id} 最新的“{level}”级 α；区间为 95%。"
    en += (
        f" Relative risk: gamma posterior of this span alone with the newest alpha of level {level} "
        f"of run {rates.facts.id}; 95 % interval."
    )
    if alike:
        zh += "参照区的水平取自运行，在各期内按时间均匀分摊（一周中的小时按历史分布），不反映个别事件。"
        en += (
            " The level of the reference area is that of the run, spread over each period by time (hours "
            "of the week as in all its history): it follows no single event."
        )
    elif not whole:
        zh += "参照区的整月水平取自运行；月内的分布按您管辖范围内的事件。"
        en += (
            " Whole periods of the reference area are those of the run; inside a period the events of "
            "your own jurisdiction are followed."
        )
    if alike:
        zh += "总体：各类事件同等计数（不按危害加权）；1–4 显示为“<5”。"
        en += ' Overall: all kinds count alike (not weighed by harm); 1 to 4 is shown as "<5".'
    return Words(zh=zh, en=en)
