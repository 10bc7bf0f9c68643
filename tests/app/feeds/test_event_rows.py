"""Checking of rows: every reason, times in their zone, references made of content, persons."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services import event_persons as persons
from app.services import event_times as times
from app.services.addresses import AddressResolver, normalise
from app.services.event_files import Chunk
from app.services.event_mapping import EventMapping, parse_mapping
from app.services.event_rows import RowChecker, Tally
from geo.codes import CodeLayout

NOW = datetime(2025, 1, 1, tzinfo=UTC)
GOOD = {
    "ref": "A1", "kind": "盗窃", "at": "2024-05-06 07:08:09", "lon": "120.05", "lat": "30.05",
    "code": "330102001001001", "address": "上城区",
}  # fmt: skip


def chunk(*rows: dict[str, Any]) -> Chunk:
    columns = {name: [(GOOD | row)[name] for row in rows] for name in GOOD}
    return Chunk(pa.table(columns), np.arange(2, len(rows) + 2, dtype=np.int64))


def checker(mapping: Any, layout: CodeLayout | None, **more: Any) -> RowChecker:
    chosen: EventMapping = parse_mapping({**mapping, **more})
    return RowChecker(chosen, chosen.columns.point, layout, chosen.allowed_kinds(), NOW)


@pytest.mark.parametrize(
    ("column", "value", "reason", "said"),
    [
        ("ref", "", "missing_reference", "no reference"),
        ("ref", "x" * 201, "too_long", "longer than 200"),
        ("ref", "a\0b", "bad_character", "NUL"),
        ("ref", "11010519491231002X", "person", "identity number"),
        ("ref", "JQ-13800138000", "person", "phone number"),
        ("ref", "浙A12345", "person", "plate"),
        ("address", "上城区1号 电话13800138000", "person", "phone number"),
        ("address", "甲" * 501, "too_long", "longer than 500"),
        ("kind", "", "missing_kind", "no kind"),
        ("kind", "NULL", "missing_kind", "no kind"),
        ("kind", "抢劫", "unknown_kind", "known are 盗窃, 火警"),
        ("at", "", "missing_time", "no time"),
        ("at", "yesterday", "bad_time", "as iso"),
        ("at", "2024-02-30 00:00", "bad_time", "as iso"),
        ("at", "1900-01-01", "implausible_time", "before 2000"),
        ("at", "2100-01-01", "implausible_time", "2099-12-31T16:00 UTC is to come"),
        ("code", "3301020010010010001000100", "code_length", "25 digits; there are"),
        ("code", "33010200100100100010001000", "code_length", "26 digits"),
        ("code", "3.30102E+26", "code_mangled", "spreadsheet"),
        ("code", "33O102", "code_digits", "not digits"),
        ("code", "000000", "code_zero", "only zeros"),
        ("lon", "12o.05", "bad_coordinate", "no number"),
        ("lon", "nan", "bad_coordinate", "no number"),
        ("lat", "inf", "bad_coordinate", "no number"),
        ("lat", "", "half_point", "missing"),
        ("lon", "", "half_point", "missing"),
        ("lon", "200", "out_of_range", "no longitude"),
        ("lat", "95", "out_of_range", "no longitude"),
    ],
)
def test_one_wrong_value(
    mapping: Any, layout: CodeLayout, column: str, value: str, reason: str, said: str
) -> None:
    rows, broken = checker(mapping, layout).check(
        chunk({}, {"ref": "A2", column: value}, {"ref": "A3"})
    )
    assert rows.reference.to_pylist() == ["A1", "A3"]
    (one,) = broken
    assert (one.line, one.reason) == (3, reason)
    assert column in one.column
    assert said in one.text
    if reason == "person":
        assert one.value == persons.WITHHELD
        assert value not in repr(one)
    elif value and value not in ("NULL", "nan"):
        assert value[:20] in one.value


def test_swapped(mapping: Any, layout: CodeLayout) -> None:
    _, broken = checker(mapping, layout).check(chunk({"lon": "30.05", "lat": "120.05"}))
    (one,) = broken
    assert (one.reason, one.column, one.value) == ("swapped", "lon lat", "30.05, 120.05")


def test_a_value_beside_a_person_is_never_shown(mapping: Any, layout: CodeLayout) -> None:
    _, broken = checker(mapping, layout).check(chunk({"kind": "13800138000"}))
    (one,) = broken
    assert (one.reason, one.value) == ("unknown_kind", persons.WITHHELD)


def test_what_is_given_is_trimmed_and_null_words_are_nothing(
    mapping: Any, layout: CodeLayout
) -> None:
    rows, broken = checker(mapping, layout).check(
        chunk(
            {
                "ref": " A1　",
                "kind": "\t盗窃 ",
                "lon": "NULL",
                "lat": "",
                "code": "N/A",
                "address": " ",
            }
        )
    )
    assert broken == []
    assert rows.reference.to_pylist() == ["A1"]
    assert rows.kind.to_pylist() == ["theft"]
    assert rows.code.to_pylist() == rows.address.to_pylist() == [None]
    assert np.isnan(rows.lon).all()


def test_kinds(mapping: Any, layout: CodeLayout) -> None:
    def kinds(given_kinds: dict[str, Any], *words: str) -> list[str]:
        rows, _ = checker(mapping, layout, kinds=given_kinds).check(
            chunk(*({"ref": w, "kind": w} for w in words))
        )
        found: list[str] = rows.kind.to_pylist()
        return found

    assert kinds({"constant": "fire"}, "x", "y") == ["fire", "fire"]
    assert kinds({}, "theft", "盗窃", "vice") == ["theft", "vice"]
    assert kinds({"words": {"a": "fire"}, "default": "theft"}, "a", "b") == ["fire", "theft"]


def test_spreadsheet_floats_and_typed_columns(mapping: Any, layout: CodeLayout) -> None:
    table = pa.table(
        {
            "ref": pa.array(["A1", "A2", "A3"]).dictionary_encode(),
            "kind": ["盗窃"] * 3,
            "at": pa.array([1_700_000_000] * 3),
            "lon": pa.array([120.05, float("nan"), 120.05]),
            "lat": pa.array([30.05, float("nan"), 30.05]),
            "code": pa.array([330102.0, None, 3.30102e26]),
            "address": pa.nulls(3),
        }
    )
    columns = {**mapping["columns"], "time": {"column": "at", "format": "epoch_s"}}
    rows, broken = checker(mapping, layout, columns=columns).check(
        Chunk(table, np.array([1, 2, 3]))
    )
    assert rows.code.to_pylist() == ["330102", None]
    assert rows.occurred_at[0] == np.datetime64("2023-11-14T22:13:20")
    assert [b.reason for b in broken] == ["code_mangled"]


# times ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pattern", "zone", "utc"),
    [
        ("2024-05-06", "iso", "Asia/Shanghai", "2024-05-05T16:00"),
        ("2024-05-06 07:08", "iso", "Asia/Shanghai", "2024-05-05T23:08"),
        ("2024-05-06T07:08:09.5", "iso", "Asia/Shanghai", "2024-05-05T23:08:09.5"),
        ("2024-05-06T07:08:09Z", "iso", "Asia/Shanghai", "2024-05-06T07:08:09"),
        ("2024-05-06T07:08:09+02:00", "iso", "Asia/Shanghai", "2024-05-06T05:08:09"),
        ("2024/5/6 7:08", "%Y/%m/%d %H:%M", "Asia/Shanghai", "2024-05-05T23:08"),
        ("2024年05月06日 07时", "%Y年%m月%d日 %H时", "Asia/Shanghai", "2024-05-05T23:00"),
        ("06.05.2024 07:08 +0200", "%d.%m.%Y %H:%M %z", "Asia/Shanghai", "2024-05-06T05:08"),
        ("1714950489000", "epoch_ms", "Asia/Shanghai", "2024-05-05T23:08:09"),
        # the hour that is left out, and the one that comes twice
        ("2020-03-08 02:30", "iso", "America/Vancouver", "2020-03-08T10:00"),
        ("2020-11-01 01:30", "iso", "America/Vancouver", "2020-11-01T08:30"),
        ("2024-13-06", "iso", "Asia/Shanghai", None),
        ("2024-05-06", "%Y/%m/%d", "Asia/Shanghai", None),
        ("soon", "epoch_s", "Asia/Shanghai", None),
        ("1e40", "epoch_s", "Asia/Shanghai", None),
    ],
)
def test_times(text: str, pattern: str, zone: str, utc: str | None) -> None:
    expected = np.datetime64(utc or "NaT", "us")
    alone = times.from_text(pa.array([text]), pattern, zone)
    np.testing.assert_array_equal(alone, np.array([expected]))
    among = times.from_text(pa.array([text, None, "?", text]), pattern, zone)
    nat = np.datetime64("NaT", "us")
    np.testing.assert_array_equal(among, np.array([expected, nat, nat, expected]))


def test_times_in_two_columns_and_in_parts(mapping: Any, layout: CodeLayout) -> None:
    table = chunk({}).table
    for name, value in (
        ("d", "2024-05-06"),
        ("t", "07:08"),
        ("Y", "2024"),
        ("M", "05"),
        ("D", "6"),
    ):
        table = table.append_column(name, pa.array([value]))
    for where, utc in (
        ({"date": "d", "time": "t"}, "2024-05-05T23:08"),
        ({"date": "d"}, "2024-05-05T16:00"),
        ({"year": "Y", "month": "M", "day": "D"}, "2024-05-05T16:00"),
    ):
        columns = {**mapping["columns"], "time": where}
        rows, broken = checker(mapping, layout, columns=columns).check(Chunk(table, np.array([2])))
        assert broken == []
        assert rows.occurred_at[0] == np.datetime64(utc)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1990, 2030), st.integers(0, 13), st.integers(0, 32), st.integers(-1, 24),
            st.integers(0, 60), st.sampled_from([0.0, 1.5, 59.0, float("nan")]),
        ), min_size=1, max_size=20,
    )
)  # fmt: skip
def test_parts_are_those_of_the_standard_library(rows: list[tuple[float, ...]]) -> None:
    parts = [np.array(column, dtype=np.float64) for column in zip(*rows, strict=True)]
    ours = times.from_parts(parts, "Asia/Shanghai")
    for row, found in zip(rows, ours, strict=True):
        try:
            if any(part != int(part) for part in row):
                raise ValueError
            local = datetime(*(int(p) for p in row), tzinfo=ZoneInfo("Asia/Shanghai"))  # type: ignore[misc,arg-type]
        except ValueError:
            assert np.isnat(found)
            continue
        # the hour Shanghai's clocks left out in spring 1990 and 1991 does not exist
        if local.astimezone(UTC).astimezone(local.tzinfo).replace(tzinfo=None) == local.replace(
            tzinfo=None
        ):
            assert found == np.datetime64(local.astimezone(UTC).replace(tzinfo=None), "us")


# references ----------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 12) | st.integers(0, 500), max_size=120), st.integers(1, 9))
def test_tally_is_its_brute_force_twin(keys: list[int], batch: int) -> None:
    tally, seen, ours, theirs = Tally(), Counter[int](), [], []
    for at in range(0, len(keys), batch):
        ours += tally.add(np.array(keys[at : at + batch], dtype=np.uint64)).tolist()
    for key in keys:
        theirs.append(seen[key])
        seen[key] += 1
    assert ours == theirs


def test_references_of_content_do_not_depend_on_batches(mapping: Any, layout: CodeLayout) -> None:
    columns = {k: v for k, v in mapping["columns"].items() if k != "reference"}
    rows = [{}, {"kind": "火警"}, {}, {"lat": "30.06"}, {}, {"address": ""}, {"code": "330102"}]

    def references(*parts: int) -> list[str]:
        check = checker(mapping, layout, columns=columns)
        found, at = [], 0
        for part in parts:
            good, _ = check.check(chunk(*rows[at : at + part]))
            found += good.reference.to_pylist()
            at += part
        return found

    whole = references(7)
    assert len(set(whole)) == 7
    assert references(1, 2, 4) == references(3, 3, 1) == whole
    # pinned: a stored reference must mean the same row in every later version
    assert whole[0] == "content-" + whole[2].split("-")[1] + "-1"
    assert whole[0] == PINNED


PINNED = "content-adf18917302fa72e1b0ec2d2-1"


# persons -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("11010519491231002X", "identity number"),
        ("A11010519491231002xB", "identity number"),
        ("110105194912310021", None),  # checksum
        ("1101051949123100221", None),  # one digit more
        ("330106202413450014", None),  # no such day
        ("13800138000", "phone number"),
        ("+86 138-0013-8000", "phone number"),
        ("12800138000", None),
        ("138001380001", None),
        ("浙A12345", "plate"),
        ("浙A·D12345", "plate"),
        ("粤B1234学", "plate"),
        # written otherwise, or made to look like something else
        ("１３８００１３８０００", "phone number"),
        ("电话：１３８－００１３－８０００", "phone number"),
        ("138 0013.8000", "phone number"),
        ("138\u201300\u200b13\u00a08000", "phone number"),
        ("١٣٨٠٠١٣٨٠٠٠", "phone number"),
        ("①③⑧００①③⑧０００", "phone number"),
        ("手机一三八〇〇一三八〇〇〇", "phone number"),
        ("110105 19491231 002X", "identity number"),
        ("１１０１０５１９４９１２３１００２Ｘ", "identity number"),
        ("浙a12345", "plate"),
        ("浙 A-12345", "plate"),
        ("浙Ａ１２３４５", "plate"),
        ("浙\u041012345", "plate"),
        ("浙\u200bA12\u200b345", "plate"),
        ("138.0013.8000", "phone number"),
        ("131.12345678", None),  # a place, not a phone
        ("POINT(131.12345678 45.12345678)", None),
        ("1391234.5678", None),
        ("二〇二四年一月一日第一二三号", None),
        ("中山一路二巷三弄四号五楼", None),
        ("①②③号楼", None),
        ("浙A2024010112", None),
        ("330102001001001000100010001", None),
        ("JQ202401010000123", None),
        ("浙江省杭州市上城区1号", None),
    ],
)
def test_persons(text: str, what: str | None) -> None:
    assert persons.looks_like(text) == what
    found = persons.find(pa.array([None, "x", text]))
    assert found == ({2: what} if what else {})


# addresses -----------------------------------------------------------------------------------

UNITS = [
    (1, "杭州市", None), (2, "衢州市", None), (3, "上城区", 1), (4, "柯城区", 2), (5, "清波街道", 3),
    (6, "城东社区", 5), (7, "城东社区", 4), (8, "网格1", 6), (9, "网格12", 6), (10, "Sunset", None),
    (11, "South Cambie", None), (12, "", None), (13, "上城区", 2),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("杭州市", 1),
        ("浙江省杭州市上城区", 3),
        ("浙江省 杭州市 上城区 清波街道", 5),
        ("清波街道城东社区网格12号楼", 9),
        ("清波街道城东社区网格1 2幢", 8),
        ("清波街道城东社区网格13", 6),
        ("杭州市上城区清波街道城东社区网格１", 8),
        ("上城区", 0),
        ("上城区清波街道", 5),
        ("城东社区", 0),
        ("柯城区城东社区", 7),
        ("江苏省杭州市", 1),
        ("在杭州市", 0),
        ("杭州", 0),
        ("", 0),
        ("SUNSET", 10),
        ("Sunset Beach", 0),
        ("Sunset, 12 Main St", 10),
        ("South  Cambie", 11),
        ("SouthCambie", 0),
    ],
)
def test_addresses(text: str, unit: int) -> None:
    resolver = AddressResolver(UNITS)
    assert resolver.resolve(text) == unit
    assert resolver.resolve_many([text, None, text]) == [unit, 0, unit]


def test_normalise() -> None:
    assert normalise("　杭州市　Ａ座 12 号 ") == "杭州市a座12号"
    assert normalise("West   End") == "west end"


def test_frame_of_a_chunk_is_not_changed(mapping: Any, layout: CodeLayout) -> None:
    one = chunk({}, {"ref": "A2"})
    before = one.table.to_pandas()
    checker(mapping, layout).check(one)
    pd.testing.assert_frame_equal(one.table.to_pandas(), before)


def test_codes_of_a_column_with_gaps_are_its_digits(mapping: Any, layout: CodeLayout) -> None:
    codes = [330105001001.0, 330105002002001.0, None, float("nan"), 330102001001001000.0]
    table = chunk(*({"ref": f"A{i}"} for i in range(5))).table
    table = table.set_column(
        table.column_names.index("code"), "code", pa.array(codes, pa.float64())
    )
    rows, broken = checker(mapping, layout).check(Chunk(table, np.arange(1, 6)))
    assert rows.code.to_pylist() == ["330105001001", "330105002002001", None, None]
    # above 2**53 a float has lost digits
    assert [(b.line, b.reason) for b in broken] == [(5, "code_mangled")]
