"""Words people write about border matters: refused where they could name a person or a vehicle.

May import `event_persons`. Stricter than an import: there a number must be a true identity number to
be withheld; here somebody is typing and can be told, so what only looks like one is refused too.
"""

from __future__ import annotations

import re
import unicodedata

from app.errors import Invalid
from app.services.event_persons import looks_like

#: A case file has a number, and nothing but letters, digits and what stands between them.
_REFERENCE = re.compile(r"[\w一-鿿][\w一-鿿 ()〔〕\[\]【】/.#№–-]{0,39}")
_FIELDS = re.compile(
    r"姓名|名字|身份证|证件号|护照|电话|手机|微信|车牌|号牌|司机|驾驶员"
    r"|\b(?:full ?name|surname|passport|phone|mobile|plate|id ?card|id ?number|driver)\b",
    re.IGNORECASE,
)
_LONG_ID = re.compile(r"(?<!\d)(?:\d{17}[\dX]|[1-8]\d{14})(?!\d)")
_BETWEEN = re.compile(r"[\s·・.\-_]+")


def names_person(text: str) -> str | None:
    """Say what of a person or vehicle a text seems to hold, also when written apart or full-width.

    >>> names_person("开公侦〔2026〕0417"), names_person("浙 h·12 345")
    (None, 'plate')
    """
    plain = unicodedata.normalize("NFKC", text)
    if _FIELDS.search(plain):
        return "name of a personal field"
    joined = _BETWEEN.sub("", plain).upper()
    if _LONG_ID.search(joined):
        return "identity number"
    return looks_like(plain) or looks_like(plain.upper()) or looks_like(joined)


def checked(field: str, text: str, most: int, *, needed: bool = False) -> str:
    """Text as it is stored.

    Raises
    ------
    Invalid
        Missing, too long, with control characters, or it seems to name a person; the text itself is
        not repeated.
    """
    found = " ".join(unicodedata.normalize("NFC", text).split())
    if needed and not found:
        raise Invalid(f"{field}: say something", {"field": field, "reason": "missing"})
    if len(found) > most or not found.isprintable():
        raise Invalid(
            f"{field}: at most {most} characters, none of them invisible",
            {"field": field, "reason": "malformed"},
        )
    if what := names_person(found):
        raise Invalid(
            f"{field} seems to hold a {what}: areas, places and case references only",
            {"field": field, "reason": "person"},
        )
    return found


def reference(text: str) -> str:
    """Case reference as it is stored: it has a digit and looks like nothing of a person.

    Raises
    ------
    Invalid
        As `checked`, or it is no reference at all.
    """
    found = checked("reference", text, 40, needed=True)
    if not _REFERENCE.fullmatch(found) or not any(one.isdigit() for one in found):
        raise Invalid(
            "reference: the number of a case file, with a digit in it, without signs a number "
            "does not have",
            {"field": "reference", "reason": "malformed"},
        )
    return found
