"""What looks like a person's number: told apart so that it is never stored. Imports pyarrow.

Promises: an identity number (18 digits with a true checksum, a region and a birth date), a mobile
phone number and a vehicle plate are found anywhere in a text, as long as no digit (for plates: no
letter or digit) touches them, also full-width, in digits of other scripts or Chinese numerals, with
Cyrillic or Greek letters that look like Latin ones, written apart, with invisible characters between.
Names are not searched for: no column holds one.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

WITHHELD = "(withheld)"
_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_APART = r"[-. ·]?"
_IDENTITY = re.compile(
    rf"(?<!\d)([1-8]\d{{5}}{_APART}\d{{4}}{_APART}\d{{4}}{_APART}\d{{3}}[\dXx])(?!\d)"
)
# a longitude with eight decimals is none, nor are metres with four
_MOBILE = re.compile(
    r"(?<!\d)(?!1[3-9]\d(?:\.\d{8}|\d{4}\.\d{4})(?!\d))"
    rf"(?:\+?86{_APART})?1[3-9]\d{_APART}\d{{4}}{_APART}\d{{4}}(?!\d)"
)
_PLATE = re.compile(
    rf"[{_PROVINCES}] ?[A-HJ-Z][·. -]?(?:[A-HJ-NP-Z0-9]{{5,6}}|[A-HJ-NP-Z0-9]{{4}}[挂学警港澳领])"
    "(?![A-Za-z0-9])",
    re.IGNORECASE,
)
#: letters of other scripts that look like the Latin ones of plates and card numbers
_ALIKE = dict(
    zip(
        "АВЕКМНРСТУХЅЈавекмнрстухѕјΑΒΕΖΗΚΜΝΡΤΥΧ",
        "ABEKMHPCTYXSJabekmhpctyxsjABEZHKMNPTYX",
        strict=True,
    )
)
_NUMERALS = "〇零一二三四五六七八九幺壹贰叁肆伍陆柒捌玖"
_NUMERAL = dict(zip(_NUMERALS, "001234567891123456789", strict=True))
#: that many in a row are digits read out, not a quantity or a name
_READ_OUT = re.compile(rf"[{_NUMERALS}]{{11,}}")
# the planes above the first two have no digits, and looking through them takes longer than all of this
_OTHER_DIGITS = "".join(
    map(chr, (n for n in range(128, 0x20000) if unicodedata.category(chr(n)) == "Nd"))
)
# what any of the three needs to have, for the quick look over a whole column; what is written in no
# plain way is looked at whole
_LIKELY = (
    rf"[0-9]{{17}}[0-9Xx]|[0-9]{{6}}{_APART}(?:19|20)[0-9]{{2}}{_APART}[0-9]{{4}}{_APART}[0-9]{{3}}[0-9Xx]"
    rf"|1[3-9][0-9]{_APART}[0-9]{{4}}{_APART}[0-9]{{4}}"
    rf"|[{_PROVINCES}] ?[A-Za-zＡ-Ｚａ-ｚ{''.join(_ALIKE)}]"
    rf"|[{_OTHER_DIGITS}]|[{_NUMERALS}]{{11}}|\p{{Cf}}|\p{{No}}{{3}}|[0-9]\p{{M}}|[0-9][\x{{2010}}-\x{{2015}}\x{{2212}}\x{{a0}}\x{{2000}}-\x{{200a}}\x{{202f}}\x{{205f}}\x{{3000}}]"
)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def identity_number(text: str) -> bool:
    """Tell whether 18 characters are an identity number: checksum and birth date are right.

    >>> identity_number("11010519491231002X"), identity_number("330106202413450012")
    (True, False)
    """
    total = sum(w * int(c) for w, c in zip(_WEIGHTS, text[:17], strict=True))
    if "10X98765432"[total % 11] != text[17].upper():
        return False
    try:
        born = date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return False
    return 1900 <= born.year <= 2100


def _plain(text: str) -> str:
    """Text with every digit, blank, dash and look-alike as the plain one, and nothing invisible."""
    if text.isascii():
        return text
    found = []
    for one in unicodedata.normalize("NFKC", text):
        category = unicodedata.category(one)
        if category in {"Cf", "Mn", "Me"}:
            continue
        if category == "Nd":
            found.append(str(unicodedata.digit(one)))
        elif category == "Pd" or one == "−":
            found.append("-")
        elif category == "Zs":
            found.append(" ")
        else:
            found.append(_ALIKE.get(one, one))
    plain = "".join(found)
    return _READ_OUT.sub(lambda run: "".join(_NUMERAL[one] for one in run[0]), plain)


def looks_like(text: str) -> str | None:
    """Name what about a person stands in a text: `identity number`, `phone number`, `plate`.

    >>> looks_like("A-20240101-7"), looks_like("tel 13800138000"), looks_like("浙A12345")
    (None, 'phone number', 'plate')
    """
    text = _plain(text)
    if any(identity_number(re.sub("[-. ·]", "", found)) for found in _IDENTITY.findall(text)):
        return "identity number"
    if _MOBILE.search(text):
        return "phone number"
    if _PLATE.search(text):
        return "plate"
    return None


def find(values: pa.Array) -> dict[int, str]:
    """Rows of a text column (n,) that hold something of a person → what it is."""
    likely: npt.NDArray[np.bool_] = pc.fill_null(
        pc.match_substring_regex(values, _LIKELY), False
    ).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(likely)
    found = {}
    for row, text in zip(rows.tolist(), values.take(pa.array(rows)).to_pylist(), strict=True):
        what = looks_like(text)
        if what:
            found[row] = what
    return found


def shown(value: object) -> str:
    """Value as it may stand in a reject file or a message."""
    text = str(value)
    return WITHHELD if looks_like(text) else text[:200]
