"""Addresses in words: text, numbers, the base, resolving; and how often it is right on a noisy set."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.addresses.base import SCHEMA, Base, common
from geo.addresses.names import Unit, UnitMeaning
from geo.addresses.resolve import REASONS, Resolver, Status
from geo.addresses.sample import Writer, make_base
from geo.addresses.text import Numbers, normalise, numbers, numeral

LENGTHS = (4, 6, 9, 12, 15, 19)
UNITS = [
    Unit("3301", "city", "杭州市"),
    Unit("330106", "county", "西湖区"),
    Unit("330109", "county", "萧山区"),
    Unit("330106003", "town", "翠苑街道"),
    Unit("330106004", "town", "文新街道"),
    Unit("330109007", "town", "瓜沥镇"),
    Unit("330106003051", "village", "翠苑一区社区"),
    Unit("330106003052", "village", "九莲社区"),
    Unit("330106004051", "village", "骆家庄社区"),
    Unit("330109007201", "village", "江南村"),
    Unit("330109007202", "village", "北塘头村"),
    *[
        Unit(f"{village}{n:03d}", "grid", f"{name}第{n}网格")
        for village, name in [
            ("330106003051", "翠苑一区社区"),
            ("330106003052", "九莲社区"),
            ("330106004051", "骆家庄社区"),
            ("330109007201", "江南村"),
            ("330109007202", "北塘头村"),
        ]
        for n in (1, 2)
    ],
]


def row(code: str, place: str, kind: str, number: int = 0, units: int = 0, floors: int = 0, also: str = "") -> dict[str, object]:  # fmt: skip
    return {
        "code": code, "place": place, "kind": kind, "number": number, "units": units,
        "floors": floors, "aliases": also,
    }  # fmt: skip


ROWS = [
    *[row(f"330106003051001{n:04d}", "文三路", "street", n) for n in (1, 3, 5, 9, 12, 14)],
    *[row(f"330106003052001{n:04d}", "文三路", "street", n) for n in (21, 25, 30)],
    *[row(f"330109007201001{n:04d}", "人民路", "street", n) for n in (1, 2)],
    *[row(f"330106004051001{n:04d}", "人民路", "street", n) for n in (1, 2, 8)],
    *[
        row(f"330106004051002{n:04d}", "骆家庄花园", "estate", n, 2, 11, "老骆家")
        for n in (1, 2, 3)
    ],
    *[row(f"330109007201002{n + 100:04d}", "江南村", "village", n) for n in (11, 12)],
    row("3301060030510020050", "翠苑农贸市场", "landmark"),
]


def base(rows: list[dict[str, object]] = ROWS) -> Base:
    return Base.build(pa.Table.from_pylist(rows, schema=SCHEMA), LENGTHS, 6)


@pytest.fixture(scope="module")
def resolver() -> Resolver:
    old = {"下城区": UnitMeaning(("330106",), "county", 0.9)}
    return Resolver(UNITS, base(), old)


@given(st.integers(0, 99))
def test_numerals_read_back(number: int) -> None:
    digits = "零一二三四五六七八九"
    tens, ones = divmod(number, 10)
    written = (
        digits[ones]
        if not tens
        else ("" if tens == 1 else digits[tens]) + "十" + (digits[ones] if ones else "")
    )
    assert numeral(written) == number


@given(st.text(max_size=40))
def test_normalising_twice_changes_nothing_more_for_plain_numbers(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == normalise(normalise(once))
    numbers(once)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12号", Numbers(door=12)),
        ("12-3号", Numbers(door=12)),
        ("3幢2单元501室", Numbers(0, 3, 2, 5, 501)),
        ("a幢1204室", Numbers(0, 1, 0, 12, 1204)),
        ("3幢-2-501", Numbers(0, 3, 2, 5, 501)),
        ("3-501", Numbers(0, 3, 0, 5, 501)),
        ("7", Numbers(0, 7)),
        ("500米", Numbers()),
        ("", Numbers()),
    ],
)
def test_numbers_after_a_place(text: str, expected: Numbers) -> None:
    assert numbers(text) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("浙江省杭州市西湖区翠苑街道文三路9号", "3301060030510010009"),
        ("西湖文三路２１号", "3301060030520010021"),
        ("文三路 二十五号 附近", "3301060030520010025"),
        ("西湖區文新街道人民路8號", "3301060040510010008"),
        ("萧山区人民路2号", "3301090072010010002"),
        ("下城区文三路9号", "3301060030510010009"),
        ("骆家庄花园三幢2单元1101室", "330106004051002000302111101"),
        ("骆家庄花园3#-2-1101", "330106004051002000302111101"),
        ("骆家庄花园B座", "3301060040510020002"),
        ("老骆家2幢", "3301060040510020002"),
        ("瓜沥镇江南村12号", "3301090072010020112"),
        ("翠苑农贸市场门口", "3301060030510020050"),
        ("文三路4号", "330106003051001"),
        ("江南村第2网格", "330109007201002"),
    ],
)
def test_certain_answers(resolver: Resolver, text: str, code: str) -> None:
    answer = resolver.resolve(text)
    assert (answer.code, answer.certain, answer.status) == (code, True, Status.FOUND), answer
    assert set(answer.reasons) <= set(REASONS)


def test_a_name_in_two_counties_is_ambiguous_and_names_both(resolver: Resolver) -> None:
    answer = resolver.resolve("人民路2号")
    assert answer.status is Status.AMBIGUOUS
    assert not answer.certain
    assert answer.code == "3301"
    found = {one.code for one in answer.candidates}
    assert found == {"3301060040510010002", "3301090072010010002"}


def test_context_decides_between_them(resolver: Resolver) -> None:
    assert resolver.resolve("骆家庄社区人民路2号").code == "3301060040510010002"


def test_a_disagreeing_unit_takes_certainty(resolver: Resolver) -> None:
    answer = resolver.resolve("萧山区文三路9号")
    assert answer.code == "3301060030510010009"
    assert answer.status is Status.UNSURE
    assert "disagrees" in answer.reasons


def test_a_slip_is_found_by_its_sound_but_not_certain_without_support(resolver: Resolver) -> None:
    answer = resolver.resolve("闻三路9号")
    assert answer.code == "3301060030510010009"
    assert not answer.certain
    supported = resolver.resolve("西湖区翠苑街道闻三路9号")
    assert supported.certain
    assert "alike" in supported.reasons


def test_a_letter_missing(resolver: Resolver) -> None:
    assert resolver.resolve("西湖区翠苑农市场").code == "3301060030510020050"


def test_only_the_end_of_a_name_spelt_rightly() -> None:
    rows = [
        row("3301060040510020001", "绿城雅居府", "estate", 1),
        row("3301060030510020001", "雅居府", "estate", 1),
    ]
    answer = Resolver(UNITS, base(rows)).resolve("西湖区绿成雅居府1幢")
    assert answer.code == "3301060040510020001"


def test_a_number_that_is_not_there(resolver: Resolver) -> None:
    answer = resolver.resolve("西湖区文三路999号")
    assert answer.code == "330106003"
    assert "number-unknown" in answer.reasons
    narrowed = resolver.resolve("西湖区九莲社区文三路999号")
    assert narrowed.code.startswith("330106003052")


def test_a_room_the_building_does_not_have(resolver: Resolver) -> None:
    answer = resolver.resolve("骆家庄花园3幢5单元1101室")
    assert answer.code == "3301060040510020003"
    assert "no-such-room" in answer.reasons


def test_two_places_support_each_other(resolver: Resolver) -> None:
    answer = resolver.resolve("人民路8号骆家庄花园2幢")
    assert answer.code == "3301060040510020002"
    assert "crossing" in answer.reasons


@pytest.mark.parametrize("text", ["", "   ", "某某某", "１２３", "Somewhere 5"])
def test_nothing_known_is_not_guessed(resolver: Resolver, text: str) -> None:
    answer = resolver.resolve(text)
    assert (answer.status, answer.code, answer.certain) == (Status.NONE, "", False)


def test_units_alone(resolver: Resolver) -> None:
    answer = resolver.resolve("杭州市西湖区翠苑街道")
    assert (answer.code, answer.reasons) == ("330106003", ("unit-only",))


@given(
    st.text(
        alphabet="杭州西湖区翠苑街道文三路人民江南村骆家庄花园0123456789号幢-室()单元", max_size=30
    )
)
def test_any_text_is_answered_and_candidates_are_codes(text: str) -> None:
    answer = _any.resolve(text)
    assert 0 <= answer.confidence <= 1
    assert answer.certain <= (answer.status is Status.FOUND)
    for one in answer.candidates:
        assert one.code.isdigit()


_any = Resolver(UNITS, base())


def test_the_same_text_is_answered_once(resolver: Resolver) -> None:
    first, second = resolver.resolve_many(["文三路9号"] * 2)
    assert first is second


def test_an_empty_base_knows_units_only() -> None:
    answer = Resolver(UNITS, base([])).resolve("西湖区文三路9号")
    assert answer.code == "330106"
    assert not Resolver([], base([])).resolve("文三路").code


@given(st.lists(st.text("0123456789", min_size=1, max_size=19), min_size=1, max_size=6))
def test_common_prefix(codes: list[str]) -> None:
    shared = common(codes, LENGTHS)
    best = [n for n in LENGTHS if all(len(c) >= n and c[:n] == codes[0][:n] for c in codes)]
    assert shared == (codes[0][: best[-1]] if best else "")


def test_entries_and_neighbours_equal_a_search_of_all() -> None:
    some = base()
    for place in range(len(some.name)):
        low, high = some.start[place], some.start[place + 1]
        told = some.number[low:high].tolist()
        for number in range(1, 32):
            assert some.entries(place, number) == [
                low + i for i, one in enumerate(told) if one == number
            ]
            around = some.between(place, number)
            if number not in told and around:
                assert some.number[around[0]] < number < some.number[around[1]]


def test_how_often_it_is_right() -> None:
    """A made base over made units, written with noise no one tuned anything on."""
    units = [Unit("3301", "city", "杭州市")]
    for c, county in enumerate(["西湖区", "萧山区", "余杭区"]):
        units.append(Unit(f"33010{c + 1}", "county", county))
        for t, town in enumerate(["古荡街道", "三墩镇", "良渚街道", "塘栖镇"]):
            code = f"33010{c + 1}{t + 1:03d}"
            units.append(Unit(code, "town", "东西南"[c] + town))
            for v in range(6):
                end = "社区" if town.endswith("街道") else "村"
                name = "金木水火土石"[v] + "桥塘山湾"[t] + "甲乙丙"[c] + end
                units.append(Unit(f"{code}{v + 1:03d}", "village", name))
                units += [
                    Unit(f"{code}{v + 1:03d}{g + 1:03d}", "grid", f"{name}第{g + 1}网格")
                    for g in range(4)
                ]
    rng = np.random.default_rng(20240501)
    rows = make_base(units, rng, 9_000)
    assert abs(rows.num_rows - 9_000) < 2_500
    codes = rows.column("code").to_pylist()
    assert len(set(codes)) == len(codes)
    resolver = Resolver(units, Base.build(rows, LENGTHS, 6))
    writer = Writer(units)
    tests = [
        writer.written(one, rng)
        for one in rows.take(rng.choice(rows.num_rows, 2_000, replace=False)).to_pylist()
    ]
    answers = resolver.resolve_many([one.text for one in tests])
    village = np.mean([a.code[:12] == t.code[:12] for a, t in zip(answers, tests, strict=True)])
    grid = np.mean([a.code[:15] == t.code[:15] for a, t in zip(answers, tests, strict=True)])
    sure = [(a, t) for a, t in zip(answers, tests, strict=True) if a.certain]
    wrong = [
        (t.text, t.code, a.code)
        for a, t in sure
        if not (t.code.startswith(a.code) or a.code.startswith(t.code))
    ]
    assert village >= 0.95
    assert grid >= 0.90
    assert len(sure) >= 0.8 * len(tests)
    assert len(wrong) <= 0.01 * len(sure), wrong
