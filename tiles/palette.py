"""The one record of the five colours and of no data: legend, layers, charts, exports, styles.

Imports nothing. `python -m tiles.palette FILE` writes it as JSON for the front end; a test holds
the committed file to this record. Values and reasons: the look of the product, colour tokens.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

INK, WHITE = "#12161C", "#FFFFFF"
SETS = ("light", "wall", "stepped_light", "stepped_wall")
"""Sets of fills: paper, dark wall, and the two with a strict order of lightness."""


@dataclass(frozen=True)
class Fill:
    """A class in one set.

    Attributes
    ----------
    fill : str
        Colour of the area; for no data the ground of the hatch.
    on : str
        Text on the fill.
    ground : str
        Text of this class on the page (paper or dark wall).
    hatch : str or None
        Lines over the fill; no data only.
    """

    fill: str
    on: str
    ground: str
    hatch: str | None = None


@dataclass(frozen=True)
class Class:
    """A class of the map; `value` is the byte of the packed values."""

    value: int
    id: str
    zh: str
    en: str
    meaning_zh: str
    meaning_en: str
    light: Fill
    wall: Fill
    stepped_light: Fill
    stepped_wall: Fill

    def fill(self, chosen: str) -> Fill:
        """Fill in one of `SETS`."""
        found: Fill = getattr(self, chosen)
        return found


NO_DATA_LIGHT = Fill("#F1F2F4", INK, "#646E7B", "#A9B0BA")
NO_DATA_WALL = Fill("#1A2029", WHITE, "#87919D", "#46515E")

CLASSES: tuple[Class, ...] = (
    Class(
        0, "none", "无数据", "No data", "无数据", "No data",
        NO_DATA_LIGHT, NO_DATA_WALL, NO_DATA_LIGHT, NO_DATA_WALL,
    ),
    Class(
        1, "green", "绿", "Green", "明显低于预期", "Clearly below expected",
        Fill("#B7E0AC", INK, "#2F6B34"), Fill("#52997A", INK, "#86C9A0"),
        Fill("#E6F6DF", INK, "#2F6B34"), Fill("#14453A", WHITE, "#86C9A0"),
    ),
    Class(
        2, "blue", "蓝", "Blue", "正常范围", "Within normal range",
        Fill("#86B0DA", INK, "#2F5F96"), Fill("#254D78", WHITE, "#8DB6E6"),
        Fill("#B2CFEE", INK, "#2F5F96"), Fill("#2F62A0", WHITE, "#8DB6E6"),
    ),
    Class(
        3, "yellow", "黄", "Yellow", "略偏高", "Slightly above expected",
        Fill("#F5CC48", INK, "#7A5B00"), Fill("#F8DC78", INK, "#F2D060"),
        Fill("#E3AE2B", INK, "#7A5B00"), Fill("#FCE68C", INK, "#F2D060"),
    ),
    Class(
        4, "orange", "橙", "Orange", "可能偏高", "Probably above expected",
        Fill("#E67A28", INK, "#9A4A08"), Fill("#EC8A32", INK, "#F7A35F"),
        Fill("#CE5A1B", INK, "#9A4A08"), Fill("#EE8B33", INK, "#F7A35F"),
    ),
    Class(
        5, "red", "红", "Red", "明显高于预期", "Clearly above expected",
        Fill("#C0262E", WHITE, "#A81624"), Fill("#DB343F", WHITE, "#FF7A78"),
        Fill("#7A0C20", WHITE, "#A81624"), Fill("#C92A3A", WHITE, "#FF7A78"),
    ),
)  # fmt: skip
"""In the order of the packed byte."""


def document() -> dict[str, Any]:
    """JSON form: sets and classes, classes in byte order."""
    return {"sets": list(SETS), "classes": [asdict(one) for one in CLASSES]}


def text() -> str:
    """Content of `frontend/src/style/palette.json`."""
    return json.dumps(document(), ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")
