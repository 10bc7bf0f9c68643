"""A made-up address base over real units, and addresses as people write them.

Streets run through neighbouring grids of a town with rising numbers and recur across counties
(人民路 is everywhere); estates have buildings with units and floors, some reach into a second grid;
villages number their doors; schools, markets and the like are landmarks. `written` writes one entry
of the base the way an intake desk gets it, with the code it means. Seeded by the generator passed in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from geo.addresses.base import SCHEMA, Kind
from geo.addresses.names import Unit

T = TypeVar("T")

_STEMS = [
    "人民",
    "解放",
    "中山",
    "建设",
    "文化",
    "和平",
    "延安",
    "新华",
    "胜利",
    "光明",
    "健康",
    "长江",
    "黄山",
    "北山",
    "南山",
    "东山",
    "西溪",
    "古墩",
    "文三",
    "文二",
    "天目山",
    "教工",
    "学院",
    "保俶",
    "体育场",
    "环城",
    "庆春",
    "凤起",
    "望江",
    "清江",
    "秋涛",
    "钱江",
    "富春",
    "江南",
    "江北",
    "滨江",
    "闻涛",
    "江陵",
    "西兴",
    "长河",
    "浦沿",
    "通惠",
    "市心",
    "金城",
    "建设一",
    "建设二",
    "建设三",
    "育才",
    "晨晖",
    "博奥",
    "鸿达",
    "宁东",
    "奔竞",
    "风情",
    "湘湖",
    "时代",
    "湖滨",
    "迎宾",
    "东湖",
    "西湖",
    "临平",
    "南苑",
    "北苑",
    "星光",
    "藕花洲",
    "世纪",
    "望梅",
    "荷禹",
    "邱山",
    "超山",
    "塘栖",
    "运河",
    "余之城",
    "高教",
    "良睦",
    "常二",
    "荆长",
    "文一",
    "文二西",
    "五常",
    "联胜",
    "龙舟",
    "中泰",
    "凤新",
    "禹航",
    "安乐",
    "狮山",
    "宝塔",
    "科技",
    "创业",
    "纬一",
    "纬二",
    "经一",
    "经二",
    "经三",
    "兴业",
    "振兴",
    "春江",
    "鹿山",
    "银湖",
    "大源",
    "苋浦",
    "桂花",
    "横凉亭",
    "花坞",
    "孙权",
    "恩波",
    "迎春",
    "江滨",
    "白云源",
    "瑶琳",
    "梅林",
    "新安",
    "排岭",
    "睦州",
    "环湖",
    "千岛湖",
    "阳光",
    "曙光",
    "幸福",
    "团结",
    "友谊",
    "丰收",
]
_STREET_ENDS = ("路", "街", "大道", "巷", "弄")
_ESTATE_STEMS = [
    "阳光",
    "金色",
    "绿城",
    "春江",
    "翡翠",
    "桂花",
    "丹桂",
    "兰亭",
    "水岸",
    "碧桂",
    "锦绣",
    "世纪",
    "东方",
    "紫金",
    "御景",
    "江南",
    "香樟",
    "梧桐",
    "银杏",
    "星洲",
    "风荷",
    "云荷",
    "朗诗",
    "山水",
    "康乐",
    "嘉绿",
    "德加",
    "名都",
    "湖畔",
    "运河",
    "南都",
    "金都",
    "天阳",
    "景芳",
    "采荷",
    "凯旋",
    "闸弄口",
    "三里亭",
    "大关",
    "和睦",
    "朝晖",
    "翠苑",
    "古荡",
    "塘河",
    "左岸",
    "滨盛",
    "文晖",
    "华丰",
    "长木",
    "永佳",
    "蓝庭",
    "西山",
    "昌运",
    "雅居",
    "乐府",
    "玉泉",
    "府苑",
    "清水",
    "龙湖",
    "万科",
    "和家",
    "明月",
    "观澜",
    "星海",
    "望江",
    "悦府",
    "盛世",
    "书香",
    "学林",
    "桃源",
    "柳浪",
]
_ESTATE_FRONTS = (
    *[""] * 6,
    *[
        "绿城",
        "万科",
        "滨江",
        "融创",
        "德信",
        "中海",
        "保利",
        "龙湖",
        "金地",
        "昆仑",
        "大华",
        "野风",
        "欣盛",
        "众安",
        "宋都",
    ],
)
_ESTATE_ENDS = (
    "花园",
    "小区",
    "公寓",
    "苑",
    "新村",
    "家园",
    "名邸",
    "府",
    "里",
    "嘉园",
    "雅苑",
    "华庭",
)
_LANDMARKS = [
    "小学",
    "中学",
    "幼儿园",
    "卫生服务中心",
    "农贸市场",
    "文化礼堂",
    "派出所",
    "邮政支局",
    "农商银行",
    "供电所",
    "老年活动中心",
    "加油站",
    "物流园",
    "体育公园",
    "菜鸟驿站",
    "便民服务中心",
]


def make_base(units: Sequence[Unit], rng: np.random.Generator, addresses: int) -> pa.Table:
    """Make a base of about so many addresses.

    Parameters
    ----------
    units : towns, villages and grids with canonical codes, each code beginning with its parent's
    addresses : how many entries, reached to within a few per cent

    Returns
    -------
    pyarrow.Table
        Rows of `base.SCHEMA`; codes end with the four digits of the building.
    """
    towns = {one.code: one.name for one in units if one.level == "town"}
    villages = {one.code: one.name for one in units if one.level == "village"}
    grids = sorted(one.code for one in units if one.level == "grid")
    grids_of: dict[str, list[str]] = defaultdict(list)
    town_of = {}
    for grid in grids:
        town = next(grid[:n] for n in range(len(grid), 0, -1) if grid[:n] in towns)
        grids_of[town].append(grid)
        town_of[grid] = town
    village_of = {
        grid: next(grid[:n] for n in range(len(grid), 0, -1) if grid[:n] in villages)
        for grid in grids
    }
    maker = _Maker(rng, addresses / max(1, len(grids)) / 44)
    for town, inside in grids_of.items():
        urban = towns[town].endswith("街道")
        maker.streets(inside, len(inside) // (4 if urban else 9) + 1)
        for grid in inside:
            name = villages[village_of[grid]]
            if name.endswith("村"):
                maker.village(name, grid)
            else:
                maker.estates(grid)
            maker.landmark(towns[town], name, grid)
    return maker.table()


class _Draws:
    """Draws one at a time out of a pool: half a million calls of the generator would take a minute."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng, self._pool, self._at = rng, rng.random(65_536).tolist(), 0

    def random(self) -> float:
        if self._at == len(self._pool):
            self._pool, self._at = self._rng.random(65_536).tolist(), 0
        self._at += 1
        value: float = self._pool[self._at - 1]
        return value

    def integer(self, low: int, high: int) -> int:
        """Integer in [low, high)."""
        return low + int(self.random() * (high - low))

    def one(self, things: Sequence[T]) -> T:
        return things[int(self.random() * len(things))]


class _Maker:
    def __init__(self, rng: np.random.Generator, scale: float) -> None:
        self.rng, self.scale = _Draws(rng), scale
        self.rows: dict[str, list[object]] = {name: [] for name in SCHEMA.names}
        self.buildings: dict[str, int] = defaultdict(int)
        self.doors: dict[str, int] = defaultdict(int)
        self.taken: dict[str, set[str]] = defaultdict(set)

    def _add(
        self, *, grid: str, place: str, kind: Kind, number: int, units: int, floors: int, also: str
    ) -> None:
        self.buildings[grid] += 1
        row = (f"{grid}{self.buildings[grid]:04d}", place, str(kind), number, units, floors, also)
        for name, value in zip(SCHEMA.names, row, strict=True):
            self.rows[name].append(value)

    def _name(
        self, inside: str, stems: Sequence[str], ends: Sequence[str], before: Sequence[str] = ("",)
    ) -> str:
        for _ in range(40):
            name = self.rng.one(before) + self.rng.one(stems) + self.rng.one(ends)
            if name not in self.taken[inside]:
                self.taken[inside].add(name)
                return name
        return name

    def _many(self, mean: float) -> int:
        return max(1, round(mean * self.scale * (0.5 + self.rng.random())))

    def streets(self, grids: list[str], count: int) -> None:
        """Streets through neighbouring grids, odd and even sides, with gaps."""
        for _ in range(count):
            name = self._name(grids[0][:9], _STEMS, _STREET_ENDS)
            first = self.rng.integer(0, len(grids))
            number = self.rng.integer(1, 40)
            for grid in grids[first : first + self.rng.integer(2, 9)]:
                for _ in range(self._many(11)):
                    number += self.rng.one([1, 1, 2, 2, 3, 6])
                    self._add(
                        grid=grid,
                        place=name,
                        kind=Kind.STREET,
                        number=number,
                        units=0,
                        floors=0,
                        also="",
                    )

    def estates(self, grid: str) -> None:
        """One to three estates; every fifth goes on from the grid before."""
        for _ in range(self.rng.integer(1, 4)):
            name = self._name(grid[:6], _ESTATE_STEMS, _ESTATE_ENDS, _ESTATE_FRONTS)
            also = name[:2] + "社区房" if self.rng.random() < 0.05 else ""
            units, floors = self.rng.integer(1, 5), self.rng.one([6, 7, 11, 18, 26, 33])
            for number in range(1, self._many(15) + 1):
                self._add(
                    grid=grid,
                    place=name,
                    kind=Kind.ESTATE,
                    number=number,
                    units=units,
                    floors=floors,
                    also=also,
                )

    def village(self, name: str, grid: str) -> None:
        """Doors of a village, numbered on from grid to grid."""
        key = grid[:12] + name
        for _ in range(self._many(36)):
            self.doors[key] += self.rng.one([1, 1, 1, 2])
            self._add(
                grid=grid,
                place=name,
                kind=Kind.VILLAGE,
                number=self.doors[key],
                units=0,
                floors=0,
                also="",
            )

    def landmark(self, town: str, village: str, grid: str) -> None:
        """Now and then a landmark, named after its village or town."""
        if self.rng.random() < 0.35:
            stem = village if self.rng.random() < 0.7 else town
            for end in ("社区", "村", "街道", "镇", "乡"):
                if stem.endswith(end) and len(stem) - len(end) >= 2:
                    stem = stem[: -len(end)]
            name = stem + self.rng.one(_LANDMARKS)
            if name not in self.taken[grid[:9]]:
                self.taken[grid[:9]].add(name)
                self._add(
                    grid=grid, place=name, kind=Kind.LANDMARK, number=0, units=0,
                    floors=self.rng.integer(1, 6), also="",
                )  # fmt: skip

    def table(self) -> pa.Table:
        """All rows so far."""
        return pa.table(self.rows, schema=SCHEMA)


class Written(NamedTuple):
    """An address in words and the code of the building it means."""

    text: str
    code: str


_NUMERALS = "零一二三四五六七八九"
#: letters that are typed for one another, by sound or by look
_SLIPS = {
    "路": "陆", "街": "阶", "苑": "院", "园": "圆", "江": "姜", "山": "三", "新": "心", "城": "成", "湖": "胡", "文": "闻",
    "清": "青", "青": "清", "桥": "乔", "河": "何", "阳": "扬", "金": "今", "华": "花", "丰": "峰", "里": "理", "塘": "唐",
    "梅": "美", "建": "健", "设": "社", "光": "广", "民": "明", "明": "民", "和": "河", "安": "按", "康": "糠", "星": "兴",
}  # fmt: skip
_FULL = str.maketrans("0123456789", "０１２３４５６７８９")
_TRADITIONAL = str.maketrans(
    "区县镇乡兴东庆丰华园单号楼层湖桥门广万萧临义宁荣阳龙凤余杭",
    "區縣鎮鄉興東慶豐華園單號樓層湖橋門廣萬蕭臨義寧榮陽龍鳳餘杭",
)


def _chinese(number: int) -> str:
    if number < 10:
        return _NUMERALS[number]
    if number < 20:
        return "十" + (_NUMERALS[number % 10] if number % 10 else "")
    if number < 100:
        return _NUMERALS[number // 10] + "十" + (_NUMERALS[number % 10] if number % 10 else "")
    return "".join(_NUMERALS[int(c)] for c in str(number))


class Writer:
    """Writes entries of a base as people do: levels left out, short, old, misspelt, run together.

    Parameters
    ----------
    units : counties, towns and villages
    old : county code → old names that people still write, with the part of the county they mean
    """

    def __init__(self, units: Sequence[Unit], old: dict[str, list[str]] | None = None) -> None:
        self.names = {one.code: (one.level, one.name) for one in units}
        self.old = old or {}

    def written(self, row: dict[str, object], rng: np.random.Generator) -> Written:
        """Write one row of the base."""
        code, place, kind = str(row["code"]), str(row["place"]), str(row["kind"])
        number, units = int(str(row["number"])), int(str(row["units"] or 0))
        floors = int(str(row["floors"] or 0))
        parts = []
        # whoever writes knows that names recur, and nearly always says county or town
        sparse = rng.random() < 0.03
        for length, keep in (
            (4, 0.5),
            (6, 0.3 if sparse else 0.8),
            (9, 0.3 if sparse else 0.7),
            (12, 0.3),
        ):
            level, name = self.names.get(code[:length], ("", ""))
            if not name or rng.random() > keep or (kind == Kind.VILLAGE and name == place):
                continue
            if level == "county" and code[:6] in self.old and rng.random() < 0.1:
                name = str(rng.choice(self.old[code[:6]]))
            elif rng.random() < 0.12 and len(name) >= 3 and level != "village":
                name = (
                    name.removesuffix("街道")
                    .removesuffix("区")
                    .removesuffix("县")
                    .removesuffix("市")
                )
            parts.append(name)
        if kind in (Kind.VILLAGE, Kind.STREET) and len(parts) < 2 and not sparse:
            parts.append(self.names.get(code[:9], ("", ""))[1])
        if rng.random() < 0.25:
            parts.insert(0, "浙江省")
        name = place
        draw = rng.random()
        if draw < 0.04 and len(name) >= 4:
            cut = int(rng.integers(1, len(name) - 1))
            name = name[:cut] + name[cut + 1 :]
        elif draw < 0.10:
            slips = [i for i, c in enumerate(name) if c in _SLIPS]
            if slips and len(name) >= 3:
                at = int(rng.choice(slips))
                name = name[:at] + _SLIPS[name[at]] + name[at + 1 :]
        gap = str(rng.choice([" ", "，", "　", "、", ","])) if rng.random() < 0.15 else ""
        text = gap.join([*parts, name]) + self._numbered(kind, number, units, floors, rng)
        if rng.random() < 0.08:
            text += str(rng.choice(["附近", "旁边", "门口", "对面", "（近路口）", "内"]))
        return Written(self._typed(text, rng), code)

    @staticmethod
    def _numbered(kind: str, number: int, units: int, floors: int, rng: np.random.Generator) -> str:
        if kind == Kind.LANDMARK or not number:
            return ""
        if kind != Kind.ESTATE:
            written = _chinese(number) if rng.random() < 0.05 else str(number)
            return f"{written}号"
        written = _chinese(number) if rng.random() < 0.2 else str(number)
        text = written + str(rng.choice(["幢", "栋", "号楼", "座", "幢"]))
        if written.isdecimal() and rng.random() < 0.1:
            text = written + "#"
        if units and rng.random() < 0.6:
            unit, floor = int(rng.integers(1, units + 1)), int(rng.integers(1, floors + 1))
            room = floor * 100 + int(rng.integers(1, 5))
            if written.isdecimal() and rng.random() < 0.25:
                return f"{number}-{unit}-{room}"
            text += f"{unit}单元{room}" + ("室" if rng.random() < 0.7 else "")
        return text

    @staticmethod
    def _typed(text: str, rng: np.random.Generator) -> str:
        if rng.random() < 0.08:
            text = text.translate(_FULL)
        if rng.random() < 0.05:
            text = text.translate(_TRADITIONAL)
        return text
