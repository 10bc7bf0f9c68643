"""Codes of units: cutting, checking, coarsening. May import numpy, pandas.

Promises: a code is text; its canonical form is the prefix without zero fill, so that one unit has
one code; a parent is a prefix. How a code is cut (`CodeLayout`) is data. No input is guessed at:
what is not a code raises `CodeError` with one of `REASONS`.

    >>> layout = load_layout({"name": "demo", "segments": [
    ...     {"name": "city", "length": 4, "level": "city"},
    ...     {"name": "county", "length": 2, "level": "county"}]})
    >>> layout.parse("330100"), layout.level_of("3301"), layout.expand("3301")
    ('3301', 'city', '330100')
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

#: every reason a `CodeError` can have, with what to say about it
REASONS = {
    "empty": "is empty",
    "mangled": "was turned into a number by a spreadsheet and has lost digits: export it as text",
    "digits": "has characters that are not digits 0-9",
    "length": "has a length at which no segment ends",
    "zero": "has only zeros",
}
_NUMBER = re.compile(r"[+-]?\d+([.,]\d*)?([eE][+-]?\d+)?")
_POWER = re.compile(r"\d+([.,]\d+)?[eE]\+\d+")
_EXACT_INTEGER = 2.0**53


class CodeError(ValueError):
    """A text that is no code; `reason` is a key of `REASONS`, `text` what was given."""

    def __init__(self, reason: str, text: object, hint: str = "") -> None:
        super().__init__(f"code {text!r} {REASONS[reason]}{hint}")
        self.reason = reason
        self.text = text


class LayoutError(ValueError):
    """A layout that cannot be: no segments, a length below one, a level twice."""


@dataclass(frozen=True)
class Segment:
    """One piece of a code; `level` is None for a piece that is no level of its own."""

    name: str
    length: int
    level: str | None = None


@dataclass(frozen=True)
class CodeLayout:
    """How a code is cut, from coarse to fine.

    A segment without a level belongs to the next finer level that has one (a province's two
    digits are part of the city's four); segments after the last level are finer than any unit.
    """

    name: str
    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        if not self.segments:
            raise LayoutError(f"layout {self.name!r} has no segments")
        for segment in self.segments:
            if segment.length < 1:
                raise LayoutError(f"layout {self.name!r}: segment {segment.name!r} has no length")
        if not self.levels:
            raise LayoutError(f"layout {self.name!r} names no level")
        if len(set(self.levels)) != len(self.levels):
            raise LayoutError(f"layout {self.name!r} names a level twice: {', '.join(self.levels)}")

    @cached_property
    def levels(self) -> tuple[str, ...]:
        """Levels from coarse to fine."""
        return tuple(s.level for s in self.segments if s.level is not None)

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """Length of a code that stops after each segment."""
        return tuple(accumulate(s.length for s in self.segments))

    @property
    def length(self) -> int:
        """Digits of a full code."""
        return self.ends[-1]

    @cached_property
    def level_lengths(self) -> dict[str, int]:
        """Digits of a canonical code of each level, coarse to fine."""
        return {s.level: e for s, e in zip(self.segments, self.ends, strict=True) if s.level}

    @cached_property
    def _level_by_length(self) -> dict[int, str]:
        return {length: level for level, length in self.level_lengths.items()}

    @cached_property
    def _end_of_digit(self) -> npt.NDArray[np.intp]:
        # entry i: canonical length of a code whose last digit that is not zero is the i-th (from 1)
        table = np.zeros(self.length + 1, dtype=np.intp)
        start = 0
        for end in self.ends:
            table[start + 1 : end + 1] = end
            start = end
        return table

    def parse(self, text: object) -> str:
        """Canonical code of `text`.

        Spaces and a byte order mark around it and a spreadsheet's leading apostrophe are dropped;
        an integer, or a float that holds one exactly, is taken as its digits.

        Raises
        ------
        CodeError
            With a reason of `REASONS`.

        """
        digits = _clean(text)
        if len(digits) not in self.ends:
            allowed = ", ".join(map(str, self.ends))
            raise CodeError("length", text, f": {len(digits)} digits; there are {allowed}")
        length = int(self._end_of_digit[len(digits.rstrip("0"))])
        if length == 0:
            raise CodeError("zero", text)
        return digits[:length]

    def parse_many(
        self, values: Sequence[object] | npt.NDArray[Any] | pd.Series[Any]
    ) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
        """Canonical codes of many values at once; the same answers as `parse`.

        Returns
        -------
        codes : object (n,)
            Canonical code, None where the value is no code.
        reasons : object (n,)
            None where the code is good, else a key of `REASONS`.

        """
        given = np.asarray(values, dtype=object)
        codes = np.full(len(given), None, dtype=object)
        reasons = np.full(len(given), None, dtype=object)
        missing = np.asarray(pd.isna(given), dtype=bool)
        reasons[missing] = "empty"
        rows = np.flatnonzero(~missing)
        if len(rows) == 0:
            return codes, reasons
        # one byte per character; one more column than a full code so that a longer text shows
        width = self.length + 1
        plain = given[rows]
        try:
            text = plain.astype(f"S{width}")
        except UnicodeEncodeError:
            text = np.array([str(v).encode("ascii", "replace")[:width] for v in plain], f"S{width}")
        table = np.ascontiguousarray(text).view(np.uint8).reshape(len(text), width)
        used = table != 0
        length = used.sum(axis=1)
        good = ((table >= ord("0")) & (table <= ord("9")) | ~used).all(axis=1)
        good &= np.isin(length, self.ends)
        nonzero = used & (table != ord("0"))
        last = np.where(nonzero.any(axis=1), width - np.argmax(nonzero[:, ::-1], axis=1), 0)
        good &= last > 0
        keep = np.zeros(len(text), dtype=np.intp)
        keep[good] = self._end_of_digit[last[good]]
        cut = np.where(np.arange(width) < keep[:, None], table, 0).astype(np.uint8)
        codes[rows[good]] = cut[good].view(f"S{width}").ravel().astype(f"U{width}").astype(object)
        # what the fast way does not take is rare: the careful way names the reason
        for row in rows[~good].tolist():
            try:
                codes[row] = self.parse(given[row])
            except CodeError as error:
                reasons[row] = error.reason
        return codes, reasons

    def level_of(self, code: str) -> str | None:
        """Level of a canonical code; None when it lies between levels or below the finest."""
        return self._level_by_length.get(len(code))

    def at_level(self, code: str, level: str) -> str | None:
        """Prefix of a canonical code at `level`; None when the code is coarser or skips the level.

        A town of a city without counties is 4419 00 003: it has a city and no county.
        """
        if level not in self.level_lengths:
            raise ValueError(f"no level {level!r} in layout {self.name}: {', '.join(self.levels)}")
        length = self.level_lengths[level]
        if len(code) < length:
            return None
        prefix = code[:length]
        return prefix if self._end_of_digit[len(prefix.rstrip("0"))] == length else None

    def parent(self, code: str) -> str | None:
        """Canonical code of the next coarser level the code has; None at the top."""
        for level in reversed(self.levels):
            if self.level_lengths[level] < len(code):
                found = self.at_level(code, level)
                if found is not None:
                    return found
        return None

    def expand(self, code: str) -> str:
        """Zero-filled to the full length."""
        return code.ljust(self.length, "0")

    def as_mapping(self) -> dict[str, Any]:
        """Give back what `load_layout` reads."""
        return {
            "name": self.name,
            "segments": [
                {"name": s.name, "length": s.length, "level": s.level} for s in self.segments
            ],
        }


def plain_code(value: object) -> str:
    """Code of a map without a layout: any text, trimmed; whole numbers as their digits.

    Raises
    ------
    CodeError
        `empty`, or `mangled` for what a spreadsheet made of a long number.
    """
    if isinstance(value, (int, float, np.integer, np.floating)):
        return _clean(value)
    if value is None or value is pd.NA:
        raise CodeError("empty", value)
    text = _trim(value)
    if not text:
        raise CodeError("empty", value)
    if _POWER.fullmatch(text):
        raise CodeError("mangled", value)
    return text


def load_layout(mapping: Mapping[str, Any]) -> CodeLayout:
    """Layout from `{"name": …, "segments": [{"name", "length", "level"?}, …]}`.

    Raises
    ------
    LayoutError
        When something is missing or contradicts itself.

    """
    try:
        segments = tuple(
            Segment(
                name=str(s.get("name") or s.get("level") or f"segment {i + 1}"),
                length=int(s["length"]),
                level=s.get("level"),
            )
            for i, s in enumerate(mapping["segments"])
        )
        name = str(mapping["name"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LayoutError(f"layout is missing or misspells {error}") from error
    return CodeLayout(name, segments)


def _trim(value: object) -> str:
    return str(value).strip().strip("\ufeff").strip().removeprefix("'")


def _clean(value: object) -> str:
    if isinstance(value, (float, np.floating)):
        if np.isnan(value):
            raise CodeError("empty", value)
        number = float(value)
        if not number.is_integer() or abs(number) >= _EXACT_INTEGER:
            raise CodeError("mangled", value)
        value = int(number)
    if value is None or value is pd.NA:
        raise CodeError("empty", value)
    text = _trim(value)
    if not text:
        raise CodeError("empty", value)
    if text.isascii() and text.isdigit():
        return text
    if text.isascii() and _NUMBER.fullmatch(text):
        whole, _, rest = text.partition(".")
        # 330102.0 is what a table with gaps makes of 330102: nothing is lost below 16 digits
        if whole.isdigit() and rest and not rest.strip("0") and len(whole) <= 15:
            return whole
        raise CodeError("mangled", value)
    raise CodeError("digits", value)
