"""Exact address resolver: the unit whose names, from coarse to fine, begin an address.

May import nothing but the standard library. Promises: no guess. An address is normalised (full and
half width, spaces), an optional province is passed over, and then the names of units must follow
one another down the hierarchy without a gap; only names at the top may be left out. The longest
match decides; when it leads to two different units, the answer is none.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

PROVINCES = [
    "北京市",
    "天津市",
    "河北省",
    "山西省",
    "内蒙古自治区",
    "辽宁省",
    "吉林省",
    "黑龙江省",
    "上海市",
    "江苏省",
    "浙江省",
    "安徽省",
    "福建省",
    "江西省",
    "山东省",
    "河南省",
    "湖北省",
    "湖南省",
    "广东省",
    "广西壮族自治区",
    "海南省",
    "重庆市",
    "四川省",
    "贵州省",
    "云南省",
    "西藏自治区",
    "陕西省",
    "甘肃省",
    "青海省",
    "宁夏回族自治区",
    "新疆维吾尔自治区",
    "台湾省",
    "香港特别行政区",
    "澳门特别行政区",
]
_WIDE = r"[^\x00-\x7f]"
_SPACE = re.compile(rf"(?<={_WIDE})\s+|\s+(?={_WIDE})|^\s+|\s+$")


def normalise(text: str) -> str:
    """Fold full-width forms and case; drop spaces beside Chinese, keep one between Latin words.

    >>> normalise(" 杭州市 上城区　１２号")
    '杭州市上城区12号'
    """
    folded = re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).casefold()
    return _SPACE.sub("", folded)


class AddressResolver:
    """Resolver over the units of one boundary version.

    Parameters
    ----------
    units : iterable of (id, name, parent id or None)
        Ids from 1.
    """

    def __init__(self, units: Iterable[tuple[int, str, int | None]]) -> None:
        self._anywhere: dict[str, list[int]] = defaultdict(list)
        self._below: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for unit, name, parent in units:
            plain = normalise(name)
            if plain:
                self._anywhere[plain].append(unit)
                if parent is not None:
                    self._below[parent][plain].append(unit)
        self._lengths = sorted({len(name) for name in self._anywhere})
        self._known: dict[str, int] = {}

    def resolve(self, address: str) -> int:
        """Id of the finest unit an address names for certain, 0 when there is none."""
        text = normalise(address)
        reached: list[tuple[int, int]] = []
        starts = {0} | {len(name) for name in PROVINCES if text.startswith(name)}
        for start in starts:
            self._step(text, start, self._anywhere, self._lengths, reached)
        best, found = 0, set[int]()
        while reached:
            at, unit = reached.pop()
            if at > best:
                best, found = at, {unit}
            elif at == best:
                found.add(unit)
            below = self._below.get(unit)
            if below:
                self._step(text, at, below, sorted({len(name) for name in below}), reached)
        return found.pop() if len(found) == 1 else 0

    def resolve_many(self, addresses: Iterable[str | None]) -> list[int]:
        """`resolve` of each; None gives 0. Repeated texts are resolved once."""
        result = []
        for address in addresses:
            if address is None:
                result.append(0)
                continue
            found = self._known.get(address)
            if found is None:
                found = self.resolve(address)
                if len(self._known) < 100_000:
                    self._known[address] = found
            result.append(found)
        return result

    @staticmethod
    def _step(
        text: str,
        at: int,
        names: dict[str, list[int]],
        lengths: list[int],
        reached: list[tuple[int, int]],
    ) -> None:
        for length in lengths:
            end = at + length
            if end > len(text):
                return
            units = names.get(text[at:end])
            if units and _ends(text, end):
                reached.extend((end, unit) for unit in units)


def _ends(text: str, end: int) -> bool:
    """Tell whether a name may end here: not inside a number or a run of Latin words."""
    last, rest = text[end - 1], text[end:]
    if not rest or not last.isascii() or not last.isalnum():
        return True
    if last.isdigit():
        return not rest[0].isdigit()
    # "Sunset" does not stand in "Sunset Beach"
    return not (rest[0].isascii() and (rest[0].isalnum() or rest[0] in " -'"))
