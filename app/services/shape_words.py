"""Why a shape cannot be counted, or what was done to it: in words, zh and en. Imports nothing but models."""

from __future__ import annotations

from app.api.analysis_models import Reason

#: by the machine words of `geo.shapes`, `geo.cube` and the analysis
WORDS: dict[str, tuple[str, str]] = {
    "antimeridian": ("图形跨越了 180° 经线，请在该处断开", "The shape crosses longitude 180°: cut it there"),
    "bad_geometry": ("不是可计数的多边形", "This is no polygon that can be counted"),
    "bad_size": ("尺寸超出允许范围", "The size is out of range"),
    "crossing": ("边线在此处自相交或重叠", "Edges cross or overlap here"),
    "empty": ("图形是空的", "The shape is empty"),
    "empty_area": ("运算后没有剩余面积", "Nothing is left of the area"),
    "not_closed": ("此处的环没有闭合：起点与终点不同", "The ring that begins here does not end where it began"),
    "not_finite": ("坐标不是有限的数字", "A coordinate is not a finite number"),
    "not_a_cell": ("不是 H3 网格编号", "This is no H3 cell"),
    "too_complex": ("边线过于复杂，请简化", "The edges are too many: simplify the shape"),
    "too_deep": ("区域组合的层数过多", "Areas are combined too deep"),
    "too_many_vertices": ("顶点过多，请简化", "Too many vertices: simplify the shape"),
    "unknown_crs": ("未知的坐标系", "The coordinate system is not known"),
    "wrong_crs": ("坐标与所选坐标系不符（经度在前，纬度在后）", "The coordinates do not fit the coordinate system (longitude stands first)"),
    "zero_area": ("此处的图形没有面积", "The shape has no extent here"),
    "snapped": ("{count} 个顶点已吸附到单位边界", "{count} vertices were moved onto borders of units"),
    "cut": ("超出辖区的部分已裁去", "What lies beyond your jurisdiction was cut off"),
    "outside": ("图形不在辖区内", "The shape lies outside of your jurisdiction"),
    "bad_file": ("文件无法读取", "The file cannot be read"),
    "off_map": ("位于地图范围之外：请核对坐标系与经纬度顺序", "It lies off the map: check the coordinate system, longitude first"),
    "end_before_start": ("结束早于开始，请对调", "The end is before the start: swap them"),
    "empty_span": ("时段为空：结束须晚于开始（结束日不计入）", "The span is empty: the end must be later (its day is not counted)"),
    "bad_time": ("时间超出可用范围", "The time is out of range"),
    "unknown_kind": ("没有这一事件类别，请从列表中选择", "There is no such kind: choose from the list"),
    "no_kinds": ("未选择事件类别，请至少选一类", "No kind is chosen: choose one at least"),
    "no_hours": ("未选择时段，请至少选一周中的一小时", "No hour of the week is chosen: choose one at least"),
    "bad_hours": ("一周中的小时为 0 至 167", "Hours of the week are 0 to 167"),
    "bad_level": ("没有这一级单位，或该级单位过多：请换一级", "There is no such level, or it has too many units here: choose another"),
    "too_many_cells": ("六边形过多：请缩小区域或选更大的六边形", "Too many cells: choose a smaller area or larger cells"),
    "cells_in_scope": ("限定辖区时不能按六边形选区：请画出区域", "Cells cannot be chosen inside a jurisdiction: draw the area"),
    "other_boundaries": ("部分事件按旧边界定位，请先重新定位", "Some events are located on other boundaries: locate them again first"),
}  # fmt: skip


def reason(
    code: str,
    *,
    at: tuple[float, float] | None = None,
    message: str | None = None,
    **values: object,
) -> Reason:
    """Reason by its machine word; `message` is the exact sentence in English, where there is one."""
    zh, en = WORDS.get(code, ("无法使用", "This cannot be used"))
    return Reason(code=code, zh=zh.format(**values), en=message or en.format(**values), at=at)
