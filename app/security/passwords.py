"""Passwords: argon2id hashes, and which ones are good enough.

Imports the project's errors only. A password is normalised (NFKC) before anything else, so that it
does not depend on the keyboard it was typed with.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.errors import Invalid

#: Longest password, characters after normalising; more adds no safety and costs time.
LONGEST = 128
#: Second recommended option of RFC 9106: 64 MiB, 3 passes, 4 lanes; about 50 ms.
HASHER = PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=4)

#: What people choose when they must choose; digits and signs around it do not help.
_WORDS = (
    "password passwort passw0rd p@ssword p@ssw0rd pass admin administrator root user guest test "
    "welcome letmein login master secret changeme default iloveyou monkey dragon football "
    "sunshine princess superman qwerty qwertyuiop qwert asdfgh asdfghjkl zxcvbn zxcvbnm qazwsx "
    "qazwsxedc abc abcd abcdef abcdefg woaini woaini1314 woainima nihao wode mima zhongguo china "
    "beijing hangzhou zhejiang shanghai police gongan wusetu huanghe aini"
)
_COMMON = frozenset(_WORDS.split())
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm", "01234567890")


def normal(password: str) -> str:
    """Return the one form of a password."""
    return unicodedata.normalize("NFKC", password)


def check_new(password: str, name: str, least: int) -> None:
    """Do nothing when `password` is good enough for the account `name`.

    Raises
    ------
    Invalid
        It is too short or long, common, digits alone, a row of keys, or contains the name.
    """
    text = normal(password)
    if len(text) < least:
        raise Invalid(f"the password is too short: at least {least} characters")
    if len(text) > LONGEST:
        raise Invalid(f"the password is too long: at most {LONGEST} characters")
    if any(unicodedata.category(one) in {"Cc", "Cs"} for one in text):
        raise Invalid("the password has control characters")
    low = text.casefold()
    letters = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", low)
    if not letters or letters in _COMMON or low in _COMMON:
        raise Invalid("the password is too easy to guess: a common word or numbers alone")
    if len(set(low)) < 5 or _in_rows(low) or _repeats(low):
        raise Invalid("the password is too easy to guess: a row of keys or a repetition")
    if len(name) >= 3 and name in low:
        raise Invalid("the password contains the login name")


def _in_rows(text: str) -> bool:
    """Whether most characters are followed by their neighbour on the keys or in the alphabet."""
    pairs = [first + second for first, second in pairwise(text)]
    near = sum(any(pair in row or pair in row[::-1] for row in _ROWS) for pair in pairs)
    return near >= 0.75 * len(pairs)


def _repeats(text: str) -> bool:
    """Whether text is a short piece over and over."""
    return any(text == (text[:size] * (len(text) // size + 1))[: len(text)] for size in range(1, 5))


def make_hash(password: str) -> str:
    """Hash with a salt and the parameters in it; slow by design."""
    return HASHER.hash(normal(password))


def fits(stored: str | None, password: str) -> bool:
    """Whether a password is the one of a hash; without a hash it takes as long and says no."""
    text = normal(password)
    if len(text) > LONGEST:
        text = ""
    try:
        HASHER.verify(stored if stored is not None else _nobody(), text)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None and text != ""


def outdated(stored: str) -> bool:
    """Whether a hash was made with other parameters than today's."""
    return HASHER.check_needs_rehash(stored)


_NOBODY: list[str] = []


def _nobody() -> str:
    """Return a hash nobody knows the password of, made once per process."""
    if not _NOBODY:
        import secrets

        _NOBODY.append(HASHER.hash(secrets.token_urlsafe(32)))
    return _NOBODY[0]
