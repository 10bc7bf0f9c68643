"""The reason of an alert in one sentence, Chinese and English, made of its numbers. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date

from app.services.scene_parts import Words
from geo.alerts import LASTING, SINGLE, STEADY
from geo.small_numbers import THRESHOLD

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip


@dataclass(frozen=True)
class Numbers:
    """What an alert says about one unit, kind and period.

    Attributes
    ----------
    theta, low, high, p : float
        Posterior mean, 95 % interval and P(θ > 1) of what holds the alert open.
    observed, expected : O and E of the period
    s, x : remembered events and expected events, the period included
    steady : bool
        The numbers are those of the remembered posterior, not of the single period.
    """

    observed: int
    expected: float
    theta: float
    low: float
    high: float
    p: float
    s: float
    x: float
    steady: bool
    colour: int
    check: bool


def period_words(period: str, start: date) -> Words:
    """Name of a period.

    >>> period_words("month", date(2025, 12, 1)).zh, period_words("quarter", date(2025, 4, 1)).en
    ('2025年12月', 'Q2 2025')
    """
    year, quarter = start.year, (start.month + 2) // 3
    if period == "month":
        return Words(zh=f"{year}年{start.month}月", en=f"{MONTHS[start.month - 1]} {year}")
    if period == "quarter":
        return Words(zh=f"{year}年第{quarter}季度", en=f"Q{quarter} {year}")
    return Words(zh=f"{year}年", en=str(year))


def percent(p: float) -> str:
    """Probability as it is shown: never rounded up to certainty.

    >>> percent(0.99996), percent(0.9312)
    ('>99.9%', '93.1%')
    """
    return ">99.9%" if p > 0.9995 else f"{100 * p:.1f}%"


def amount(value: float) -> str:
    """Write an expected count with two digits that matter.

    >>> amount(0.0712), amount(3.146), amount(41.7)
    ('0.07', '3.1', '42')
    """
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


@dataclass(frozen=True)
class Course:
    """How an alert came to this period.

    Attributes
    ----------
    fired : bits of what fires in this period
    ever : bits of what fired since it opened
    age : periods since it opened, 0 in the first
    """

    fired: int
    ever: int
    age: int


def reason(period: str, start: date, one: Numbers, course: Course) -> Words:
    """One sentence: what was observed and expected, how much above, how sure, and since when."""
    when = period_words(period, start)
    zh = f"{when.zh}发生{one.observed}件，预期{amount(one.expected)}件"
    en = f"{when.en}: {one.observed} observed, {amount(one.expected)} expected"
    s, x = one.s - one.observed, one.x - one.expected
    if one.steady and s >= 0.5:
        zh += f"，连同此前记忆的{amount(s)}件（预期{amount(x)}件）"
        en += f", with {amount(s)} remembered from before ({amount(x)} expected)"
    zh += (
        f"；相对风险{one.theta:.1f}（95%区间{one.low:.1f}–{one.high:.1f}），"
        f"高于预期的概率{percent(one.p)}"
    )
    en += (
        f"; relative risk {one.theta:.1f} (95% interval {one.low:.1f} to {one.high:.1f}), "
        f"{percent(one.p)} likely above expectation"
    )
    since = _since(period, course)
    zh, en = f"{zh}；{since.zh}", f"{en}; {since.en}"
    if one.check:
        zh += "；先核对数据：底数有误或重复上报"
        en += "; check the data first: wrong exposure or repeated reports"
    return Words(zh=f"{zh}。", en=f"{en}.")


def closing(period: str, start: date, one: Numbers) -> str:
    """Why the numbers of a period close an alert, Chinese."""
    when = period_words(period, start).zh
    if not math.isfinite(one.p):
        return f"{when}没有数据：底数缺失"
    return (
        f"{when}发生{one.observed}件，预期{amount(one.expected)}件，高于预期的概率{percent(one.p)}"
    )


_SMALL = r"(?<![\d.])[1-4](?:\.\d+)?(?![\d.])"
_REMEMBERED = r"(?<![\d.])[0-4](?:\.\d+)?(?![\d.])"
#: Where the sentences above print a count, and what stands there instead of a small one.
_COUNTS = (
    (re.compile(rf"(?<=发生){_SMALL}(?=件)"), f"不足{THRESHOLD}"),
    (re.compile(rf"{_SMALL}(?= observed)"), f"fewer than {THRESHOLD}"),
    (re.compile(rf"(?<=此前记忆的){_REMEMBERED}(?=件)"), f"不足{THRESHOLD}"),
    (re.compile(rf"(?<=with ){_REMEMBERED}(?= remembered)"), f"fewer than {THRESHOLD}"),
)


def without_small(sentence: str) -> str:
    """Sentence of an alert for who may not see small numbers: counts of 1 to 4 are not printed.

    Expected counts and the relative risk stand: what is published of whole units is not hidden.

    >>> without_small("2025年12月发生3件，预期0.40件")
    '2025年12月发生不足5件，预期0.40件'
    >>> without_small("May 2025: 14 observed, 3.1 expected")
    'May 2025: 14 observed, 3.1 expected'
    """
    for pattern, instead in _COUNTS:
        sentence = pattern.sub(instead, sentence)
    return sentence


def _since(period: str, course: Course) -> Words:
    fired, ever, age = course.fired, course.ever, course.age
    unit = {"month": "个月", "quarter": "个季度", "year": "年"}[period]
    if not fired:
        return Words(
            zh=f"已持续{age + 1}{unit}，正在回落",
            en=f"open for {age + 1} {period}s, on the way down",
        )
    if ever == SINGLE:
        return Words(zh="新出现：此前没有记录到偏高", en="new: nothing unusual was known before")
    if ever & LASTING and not ever & (STEADY | SINGLE):
        return Words(zh="橙色持续", en="orange has lasted")
    if age == 0:
        return Words(zh="本期首次触发", en="first raised in this period")
    return Words(zh=f"已持续{age + 1}{unit}", en=f"in its {_ordinal(age + 1)} {period}")


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if 10 < number % 100 < 14 else ending}"
