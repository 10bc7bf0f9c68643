"""Sentences from templates and facts: no number gets into a text but as a fact.

Reads `data/reports/brief.yaml`. Imports the models of the brief. Promises: a template with a digit of
its own, or with slots in one language only, is refused when it is read, with its name.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from app.api.brief_models import BriefFact, BriefSentence, How
from app.api.models import Words
from app.errors import Invalid
from app.settings import PROJECT
from app.yaml_text import read_yaml

FILE = PROJECT / "data" / "reports" / "brief.yaml"
#: Digits a template may hold: they belong to the method, which has no address.
CONSTANT = re.compile(r"95%|90%|<5")
#: What a fact is called, by its slot.
WHAT = {
    "observed": ("观测件数", "events observed"),
    "expected": ("预期件数", "events expected"),
    "before": ("较早件数", "earlier events"),
    "ratio": ("日均之比", "ratio per day"),
    "low": ("区间下限", "lower end of the interval"),
    "high": ("区间上限", "upper end of the interval"),
    "theta": ("相对风险", "relative risk"),
    "value": ("贡献", "contribution"),
    "rank": ("名次", "rank"),
    "rank_low": ("名次区间上端", "best rank of the interval"),
    "rank_high": ("名次区间下端", "worst rank of the interval"),
    "of": ("参加排名的单位", "units ranked"),
    "units": ("单位数", "number of units"),
    "count": ("个数", "number"),
    "change": ("比上月", "against the month before"),
    "colour": ("风险评估色", "risk colour"),
    "was": ("上月颜色", "colour of the month before"),
    "share": ("份额", "share"),
    "opened": ("新开预警", "new alerts"),
    "earlier": ("此前未结预警", "alerts from before"),
    "located": ("落到网格的预警", "alerts that carry a grid"),
    "closed": ("已办结任务", "tasks done"),
    "open": ("未办结任务", "tasks not done"),
    "overdue": ("逾期任务", "tasks overdue"),
    "confirmed": ("属实", "confirmed"),
    "not_confirmed": ("不属实", "not confirmed"),
    "unclear": ("说不清", "unclear"),
    "basis": ("依据", "rests on"),
    "median": ("中位时间", "median time"),
    "run": ("评估", "run"),
    "version": ("版本", "version"),
    "rule": ("规则版本", "version of the rule"),
    "boundary": ("边界版本", "boundary version"),
    "cutoff": ("数据截至", "data as of"),
    "month": ("月份", "month"),
}  # fmt: skip


@dataclass(frozen=True)
class Said:
    """A piece of text in both languages, with what it was made from."""

    zh: str
    en: str
    facts: tuple[BriefFact, ...] = ()


def plain(zh: str, en: str | None = None) -> Said:
    """Text without a number: a name, a word."""
    return Said(zh, zh if en is None else en)


def fact(
    value: bool | float | str | None,
    zh: str,
    en: str | None = None,
    *,
    address: str | None = None,
    how: How = "value",
    of: Iterable[str] = (),
    what: tuple[str, str] | None = None,
) -> Said:
    """Text of a number, colour or day with its source.

    Parameters
    ----------
    value : as it stands at the address; None: kept back
    zh, en : as it is printed; English the same when left out
    address : with a JSON pointer as fragment; None when it is calculated from `of`
    what : name of the fact; None: by its slot
    """
    name = what or ("", "")
    one = BriefFact(
        slot="", what=Words(zh=name[0], en=name[1]), value=value,
        text=Words(zh=zh, en=zh if en is None else en), address=address, how=how, of=list(of),
    )  # fmt: skip
    return Said(zh, zh if en is None else en, (one,))


def joined(parts: Iterable[Said], zh: str = "、", en: str = ", ") -> Said:
    """Parts as a list; English says "and" before the last."""
    given = list(parts)
    english = en.join(one.en for one in given)
    if len(given) > 1 and en == ", ":
        english = ", ".join(one.en for one in given[:-1]) + " and " + given[-1].en
    return Said(
        zh.join(one.zh for one in given), english, tuple(f for one in given for f in one.facts)
    )


def _slots(text: str) -> set[str]:
    try:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
    except ValueError as error:
        raise Invalid(f"{text!r}: {error}") from error


@dataclass(frozen=True)
class Templates:
    """Titles and sentences, by name."""

    titles: dict[str, Words]
    sentences: dict[str, Words]

    def title(self, name: str) -> Words:
        """Title of a section."""
        return self.titles[name]

    def part(self, name: str, /, **slots: Said) -> Said:
        """Fill a template; the facts come in the order they stand in the Chinese text."""
        template = self.sentences[name]
        facts: list[BriefFact] = []
        for _, slot, _, _ in string.Formatter().parse(template.zh):
            if slot is not None:
                facts += [_named(one, slot) for one in slots[slot].facts]
        return Said(
            template.zh.format(**{key: one.zh for key, one in slots.items()}),
            template.en.format(**{key: one.en for key, one in slots.items()}),
            tuple(facts),
        )

    def say(self, name: str, page: str | None = None, /, **slots: Said) -> BriefSentence:
        """Fill a template into a sentence; facts of `basis` it rests on without printing them."""
        basis = slots.pop("basis", None)
        made = self.part(name, **slots)
        facts = [*made.facts, *(_named(one, "basis") for one in (basis.facts if basis else ()))]
        text = made.en[:1].upper() + made.en[1:]
        return BriefSentence(id=name, text=Words(zh=made.zh, en=text), facts=facts, page=page)


def _named(one: BriefFact, slot: str) -> BriefFact:
    if one.slot:  # named by the part it came with
        return one
    zh, en = WHAT.get(slot, (slot, slot))
    what = one.what if one.what.zh else Words(zh=zh, en=en)
    return one.model_copy(update={"slot": slot, "what": what})


def has_digit(template: str) -> bool:
    """Whether a template has a digit of its own."""
    return re.search(r"\d", CONSTANT.sub("", template)) is not None


def checked(body: Any, where: str) -> dict[str, Words]:
    """Sentences with the same slots in both languages and no digit of their own.

    Raises
    ------
    Invalid
        With the name of the sentence and what is wrong.
    """
    if not isinstance(body, dict):
        raise Invalid(f"{where}: sentences are a mapping of names to zh and en")
    found = {}
    for name, one in body.items():
        given = one if isinstance(one, dict) else {}
        texts = {lang: given.get(lang) for lang in ("zh", "en")}
        for lang, text in texts.items():
            if not isinstance(text, str) or not text:
                raise Invalid(f"{where}, {name}: {lang} is missing")
            if has_digit(text):
                raise Invalid(
                    f"{where}, {name}, {lang}: a digit of its own; numbers come in by slots"
                )
        zh, en = str(texts["zh"]), str(texts["en"])
        try:
            wrong = _slots(en) ^ _slots(zh)
        except Invalid as error:
            raise Invalid(f"{where}, {name}: {error.message}") from error
        if wrong:
            raise Invalid(f"{where}, {name}: slot {min(wrong)!r} is not in both languages")
        found[str(name)] = Words(zh=zh, en=en)
    return found


@lru_cache(maxsize=1)
def templates() -> Templates:
    """Sentences of `data/reports/brief.yaml`.

    Raises
    ------
    Invalid
        One lacks a language, has a digit or slots of its own in one language.
    """
    _, body = read_yaml(FILE.read_text(encoding="utf-8"), FILE.name)
    titles = {name: Words.model_validate(one) for name, one in body["titles"].items()}
    return Templates(titles, checked(body["sentences"], FILE.name))


# numbers as text ---------------------------------------------------------------------------------
def count(value: float) -> str:
    """Whole number in groups of three.

    >>> count(12345)
    '12,345'
    """
    return f"{value:,.0f}"


def expected(value: float) -> str:
    """One decimal under 10.

    >>> expected(7.66), expected(1234.5)
    ('7.7', '1,234')
    """
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"


def ratio(value: float | None) -> str:
    """Two decimals, one from 10 on; None is beyond all bounds.

    >>> ratio(1.318), ratio(12.34), ratio(None)
    ('1.32', '12.3', '∞')
    """
    if value is None:
        return "∞"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def end(value: float | None) -> str:
    """End of an interval, with as many decimals as tell it from 1.

    >>> end(1.318), end(1.0004), end(None)
    ('1.32', '1.0004', '∞')
    """
    printed = ratio(value)
    digits = 3
    while value is not None and value != 1 and float(printed) == 1 and digits <= 6:
        printed = f"{value:.{digits}f}"
        digits += 1
    return printed


def signed(value: float) -> str:
    """Two decimals with their sign.

    >>> signed(0.412), signed(-0.05)
    ('+0.41', '−0.05')
    """
    return f"{value:+.2f}".replace("-", "−")


def percent(value: float) -> str:
    """One decimal of a share of 1.

    >>> percent(0.96021)
    '96.0%'
    """
    return f"{100 * value:.1f}%"
