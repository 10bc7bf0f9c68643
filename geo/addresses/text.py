"""Address text made comparable, and the numbers in it.

`normalise` folds what is written differently but means the same: full and half width, traditional
and simplified, 三幢 and 3幢, 3栋, 3号楼 and 3#. `numbers` reads door, building, unit, floor and room
from the words after a place. Pure text; nothing is looked up.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import opencc

_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_STEPS = {"十": 10, "百": 100, "千": 1000}
_NUMERAL = "零〇一二三四五六七八九十百千两"
#: words that make the numeral before them a number; 三墩镇 and 四季青 keep theirs
_COUNTED = "号楼|号院|号|幢|栋|座|弄|单元|层|楼|室|房|组|网格"
_WRITTEN = re.compile(rf"([{_NUMERAL}]+)(?={_COUNTED})")
_ORDINAL = re.compile(rf"第([{_NUMERAL}]+|\d+)(?=网格|组|单元|层)")
_NOISE = re.compile(r"[\s,，.。、;；:：/\\|_~·'\"“”‘’!！?？<>《》【】\[\]{}]+")
_PROVINCE = re.compile(
    r"^(?:中国)?(?:北京|天津|河北|山西|辽宁|吉林|黑龙江|上海|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南"
    r"|重庆|四川|贵州|云南|陕西|甘肃|青海|台湾|内蒙古|广西壮族|广西|西藏|宁夏回族|宁夏|新疆维吾尔|新疆)(?:省|自治区)"
)


@lru_cache(1)
def _simplifier() -> opencc.OpenCC:
    return opencc.OpenCC("t2s")


def numeral(text: str) -> int:
    """Read a Chinese numeral below ten thousand.

    >>> numeral("二十三"), numeral("十"), numeral("一百零五"), numeral("二〇三"), numeral("一二")
    (23, 10, 105, 203, 12)
    """
    if not any(c in _STEPS for c in text):
        return int("".join(str(_DIGITS[c]) for c in text))
    total, digit = 0, 0
    for c in text:
        if c in _STEPS:
            total += (digit or 1) * _STEPS[c]
            digit = 0
        else:
            digit = _DIGITS[c]
    return total + digit


def normalise(text: str) -> str:
    """Fold an address to one way of writing it; the province at its front is dropped.

    >>> normalise(" 浙江省 蕭山區　北幹街道，三號樓３單元５０２室")
    '萧山区北干街道3幢3单元502室'
    >>> normalise("三墩镇 阳光花园(东区) 3#-2-501")
    '三墩镇阳光花园(东区)3幢-2-501'
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    plain = _NOISE.sub("", _simplifier().convert(folded)).replace("—", "-").replace("–", "-")
    plain = _ORDINAL.sub(lambda m: "第" + (m[1] if m[1].isdecimal() else str(numeral(m[1]))), plain)
    plain = _WRITTEN.sub(lambda m: str(numeral(m[1])), plain)
    plain = re.sub(r"(\d+|[a-z])(?:号楼|栋|座|#楼|#)", r"\1幢", plain)
    return _PROVINCE.sub("", plain)


@dataclass(frozen=True)
class Numbers:
    """Numbers after a place; 0: not given. Lettered buildings count from a = 1."""

    door: int = 0
    building: int = 0
    unit: int = 0
    floor: int = 0
    room: int = 0

    def __bool__(self) -> bool:
        return bool(self.door or self.building)


_SHORT = re.compile(r"^(?:第)?(\d{1,3})(?:幢)?-(\d{1,2})-(\d{3,4})(?!\d)")
_SHORTER = re.compile(r"^(?:第)?(\d{1,3})(?:幢)?-(\d{3,4})(?!\d)")
_DOOR = re.compile(r"(\d{1,5})(?:-\d{1,3})?号(?!院)")
_BUILDING = re.compile(r"(\d{1,4}|[a-z])幢")
_UNIT = re.compile(r"(\d{1,2}|[a-z])单元")
_FLOOR = re.compile(r"(\d{1,3})(?:楼|层)")
_ROOM = re.compile(r"(\d{3,5})(?:室|房)")
_LAST = re.compile(r"(?:幢|单元|楼|层|号)-?(\d{3,4})$")
_BARE = re.compile(r"^(\d{1,4})(?![\d米路])")


def _value(text: str) -> int:
    return int(text) if text.isdecimal() else ord(text) - ord("a") + 1


def _first(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.search(text)
    return _value(found[1]) if found else 0


def numbers(text: str) -> Numbers:
    """Read the numbers of normalised text that follows the name of a place.

    >>> numbers("259号3幢2单元501室")
    Numbers(door=259, building=3, unit=2, floor=5, room=501)
    >>> numbers("3-2-1501")
    Numbers(door=0, building=3, unit=2, floor=15, room=1501)
    """
    short = _SHORT.match(text)
    if short:
        building, unit, room = map(int, short.groups())
        return Numbers(0, building, unit, room // 100, room)
    shorter = _SHORTER.match(text)
    if shorter:
        building, room = map(int, shorter.groups())
        return Numbers(0, building, 0, room // 100, room)
    door, building = _first(_DOOR, text), _first(_BUILDING, text)
    unit, floor = _first(_UNIT, text), _first(_FLOOR, text)
    room = _first(_ROOM, text) or _first(_LAST, text)
    if not door and not building:
        building = _first(_BARE, text)
    if room >= 100:
        floor = floor or room // 100
    return Numbers(door, building, unit, floor, room)
