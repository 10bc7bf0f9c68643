"""Login names and titles of accounts: one canonical form, and nothing that names a person.

Imports the project's errors only.
"""

from __future__ import annotations

import re
import unicodedata

from app.errors import Invalid

#: Latin letters, digits, Chinese characters; no look-alikes from other scripts.
_NAME = re.compile(r"[a-z0-9\u4e00-\u9fff][a-z0-9\u4e00-\u9fff._-]{1,63}")
#: Telephone numbers, numbers of identity cards and of officers are longer.
_LONG_NUMBER = re.compile(r"[0-9](?:[ ._-]?[0-9]){6}")
_PREFIX = re.compile(r"[0-9A-Za-z._-]{1,64}")
#: Longest text looked at; anything longer cannot be a name.
LONGEST = 64


def canonical(name: str) -> str:
    """Return the one form of a login name: full width, capitals and the like are the same name."""
    folded = unicodedata.normalize("NFKC", name.strip()).casefold()
    return unicodedata.normalize("NFKC", folded)


def checked_name(name: str) -> str:
    """Canonical login name of a new account.

    Raises
    ------
    Invalid
        It is too short or long, has other characters, or looks like a number of a person.
    """
    found = canonical(name) if len(name) <= LONGEST else ""
    if not _NAME.fullmatch(found):
        raise Invalid(
            "a login name has 2 to 64 letters a–z, digits, Chinese characters, dots, dashes and "
            "underscores, and begins with a letter, digit or Chinese character"
        )
    _no_person(found, "login name")
    return found


def checked_title(title: str) -> str:
    """Title of an account.

    Raises
    ------
    Invalid
        It is too long, has control characters, or looks like a number of a person.
    """
    found = unicodedata.normalize("NFC", title.strip())
    if len(found) > 80 or any(unicodedata.category(one)[0] == "C" for one in found):
        raise Invalid("a title has at most 80 characters, none of them invisible")
    _no_person(found, "title")
    return found


def checked_prefixes(prefixes: list[str] | None) -> tuple[str, ...] | None:
    """Code prefixes of a jurisdiction, canonical, without those contained in others.

    Raises
    ------
    Invalid
        One is no beginning of a code.
    """
    from app.security.identity import reduced

    if prefixes is None:
        return None
    for one in prefixes:
        if not _PREFIX.fullmatch(one):
            raise Invalid(f"{one[:40]!r} is no beginning of a code")
    return reduced(_shortest(one) for one in prefixes)


def _shortest(code: str) -> str:
    """Prefix of a zero-filled 27-digit code; shorter ones are taken as they stand.

    A six-digit code may be a whole code of another layout: cutting its zeros would widen the
    jurisdiction, so nobody does that silently.
    """
    if code.isascii() and code.isdigit() and len(code) == 27:
        for end in (2, 4, 6, 9, 12, 15, 19, 21, 23):
            if not code[end:].strip("0"):
                return code[:end]
    return code


def _no_person(text: str, what: str) -> None:
    if _LONG_NUMBER.search(unicodedata.normalize("NFKC", text)):
        raise Invalid(
            f"the {what} holds a long number: an account is a desk or a program, "
            "never a person with a telephone or card number"
        )
