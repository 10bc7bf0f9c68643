"""Codes: canonical form, levels, parents, every reason of refusal; the fast way equals the slow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from geo.codes import REASONS, CodeError, CodeLayout, LayoutError, load_layout, plain_code

FILE = Path(__file__).resolve().parents[2] / "data" / "layouts" / "unified-27.yaml"
LAYOUT = load_layout(yaml.safe_load(FILE.read_text(encoding="utf-8")))


def test_the_layout_has_27_digits_and_five_levels() -> None:
    assert LAYOUT.length == 27
    assert LAYOUT.level_lengths == {"city": 4, "county": 6, "town": 9, "village": 12, "grid": 15}


@pytest.mark.parametrize(
    ("text", "code", "level"),
    [
        ("330100", "3301", "city"),
        ("330100" + "0" * 21, "3301", "city"),
        ("33", "33", None),
        ("330110", "330110", "county"),
        (" 330102\n", "330102", "county"),
        ("\ufeff330102", "330102", "county"),
        ("'330102", "330102", "county"),
        (330102, "330102", "county"),
        (np.int64(330102001), "330102001", "town"),
        (330102.0, "330102", "county"),
        ("330102.0", "330102", "county"),
        ("330102001001001" + "0" * 12, "330102001001001", "grid"),
        ("330102001001001000100000000", "3301020010010010001", None),
    ],
)
def test_parse(text: object, code: str, level: str | None) -> None:
    assert LAYOUT.parse(text) == code
    assert LAYOUT.level_of(code) == level


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("   ", "empty"),
        (None, "empty"),
        (float("nan"), "empty"),
        (pd.NA, "empty"),
        ("3.30102E+26", "mangled"),
        ("3.30102e26", "mangled"),
        ("3,30102E+26", "mangled"),
        (3.30102e26, "mangled"),
        ("330102001001001.5", "mangled"),
        ("330102001001001001000000000.0", "mangled"),
        ("-330102", "mangled"),
        ("33O102", "digits"),
        ("３３０１０２", "digits"),
        ("330102-1", "digits"),
        ("1" * 26, "length"),
        ("1" * 28, "length"),
        ("1" * 300, "length"),
        ("33010", "length"),
        ("000000", "zero"),
    ],
)
def test_every_refusal_names_its_reason(text: object, reason: str) -> None:
    with pytest.raises(CodeError) as caught:
        LAYOUT.parse(text)
    assert caught.value.reason == reason
    assert caught.value.text is text
    assert reason in REASONS
    codes, reasons = LAYOUT.parse_many([text, "330102"])
    assert codes.tolist() == [None, "330102"]
    assert reasons.tolist() == [reason, None]


def test_the_message_says_how_long_a_code_may_be() -> None:
    with pytest.raises(CodeError, match=r"26 digits; there are 2, 4, 6, 9, 12"):
        LAYOUT.parse("1" * 26)


TEXTS = st.one_of(
    st.none(),
    st.text(max_size=30),
    st.text("0123456789.eE+ '", max_size=30),
    st.builds(
        lambda length, digits: digits[:length].ljust(length, "0"),
        st.sampled_from([*LAYOUT.ends, 5, 26, 28]),
        st.text("012", max_size=27),
    ),
    st.integers(0, 10**28),
    st.floats(),
)


@given(st.lists(TEXTS, max_size=30))
def test_many_at_once_equal_one_by_one(values: list[object]) -> None:
    codes, reasons = LAYOUT.parse_many(values)
    for value, code, reason in zip(values, codes, reasons, strict=True):
        if reason is None:
            assert LAYOUT.parse(value) == code
        else:
            assert code is None
            with pytest.raises(CodeError) as caught:
                LAYOUT.parse(value)
            assert caught.value.reason == reason


@given(st.text("01", min_size=27, max_size=27).filter(lambda t: "1" in t))
def test_canonical_expands_and_parses_back(text: str) -> None:
    code = LAYOUT.parse(text)
    assert LAYOUT.expand(code) == text
    assert LAYOUT.parse(code) == code
    parent = LAYOUT.parent(code)
    if parent is not None:
        assert code.startswith(parent)
        assert LAYOUT.parse(parent) == parent


def test_ancestors() -> None:
    assert LAYOUT.parent("330102001001001") == "330102001001"
    assert LAYOUT.parent("3301020010010010001") == "330102001001001"
    assert LAYOUT.parent("330102") == "3301"
    assert LAYOUT.parent("3301") is None
    assert LAYOUT.at_level("330102001", "county") == "330102"
    assert LAYOUT.at_level("330102", "town") is None
    with pytest.raises(ValueError, match="no level 'ward'"):
        LAYOUT.at_level("330102", "ward")


def test_a_skipped_level_is_no_parent() -> None:
    # Dongguan has towns and no counties
    assert LAYOUT.parse("441900003") == "441900003"
    assert LAYOUT.at_level("441900003", "county") is None
    assert LAYOUT.parent("441900003") == "4419"


def test_a_layout_may_lack_levels_and_must_make_sense() -> None:
    assert load_layout(LAYOUT.as_mapping()) == LAYOUT
    for segments in ([], [{"length": 2}], [{"length": 0, "level": "a"}], [{"level": "a"}]):
        with pytest.raises(LayoutError):
            load_layout({"name": "x", "segments": segments})
    with pytest.raises(LayoutError, match="twice"):
        load_layout({"name": "x", "segments": [{"length": 1, "level": "a"}] * 2})
    with pytest.raises(LayoutError):
        CodeLayout("x", ())


def test_codes_without_a_layout() -> None:
    given = [" KERR ", "E05012270", "09007", 64000, 64000.0, "\ufeffDS", "'007"]
    want = ["KERR", "E05012270", "09007", "64000", "64000", "DS", "007"]
    assert [plain_code(v) for v in given] == want
    for value, reason in [
        (" ", "empty"),
        (None, "empty"),
        (pd.NA, "empty"),
        (float("nan"), "empty"),
        ("3.3E+26", "mangled"),
        (3.3e26, "mangled"),
    ]:
        with pytest.raises(CodeError) as caught:
            plain_code(value)
        assert caught.value.reason == reason
