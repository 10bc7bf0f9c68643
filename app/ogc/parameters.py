"""What a request for features asks: every parameter read, checked and given a meaning.

Imports the rooms beside it. Promises: a parameter nobody knows, one given twice and one that means
nothing are errors (400) that name it; nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, cast

import shapely

from app.ogc import crs as systems
from app.ogc.collections import SELECTORS, Collection
from app.ogc.cql import LANGUAGES
from app.ogc.crs import Crs
from app.ogc.errors import NotOffered, bad
from app.ogc.fields import Field

Form = Literal["json", "html"]
Lang = Literal["zh", "en"]
LIMIT, MOST = 100, 10_000
COMMON = frozenset({"f", "lang"})
#: What documents take: clients that are given an address with a choice repeat it everywhere.
DOCUMENT = COMMON | {name for names in SELECTORS.values() for name in names}
PAGE = frozenset(
    {"limit", "after", "bbox", "bbox-crs", "crs", "datetime", "filter", "filter-lang", "filter-crs",
     "purpose"}
)  # fmt: skip
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})", re.ASCII)
_DECIMAL = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
Interval = tuple[datetime | None, datetime | None]


@dataclass(frozen=True)
class Asked:
    """A question about the features of a collection.

    Attributes
    ----------
    limit : most features of one page
    after : key of the last feature of the page before; None: the first page
    box : ground the features touch, longitude latitude; None: anywhere
    crs : system of the answer
    moment : `[from, to]`, None for an open end; both moments belong to it
    equal : properties that have a value
    filter : CQL2 with its language and the system of its coordinates
    chosen : run, kind, period, ord, job: what the collection shows
    identifier : only this feature; None: all
    """

    limit: int = LIMIT
    after: str | None = None
    box: shapely.Geometry | None = None
    crs: Crs = systems.DEFAULT
    moment: Interval | None = None
    equal: Mapping[str, Any] = field(default_factory=dict)
    filter: tuple[str, str, Crs] | None = None
    chosen: Mapping[str, Any] = field(default_factory=dict)
    identifier: str | None = None

    def but(self, **changes: Any) -> Asked:
        """Return the same question with something changed."""
        return replace(self, **changes)


def once(items: Iterable[tuple[str, str]], allowed: Iterable[str]) -> dict[str, str]:
    """Parameters by name.

    Raises
    ------
    BadRequest
        One is unknown, given twice, or holds a NUL.
    """
    known = set(allowed)
    found: dict[str, str] = {}
    for name, value in items:
        if name not in known:
            raise bad(name[:64], f"unknown parameter; allowed: {', '.join(sorted(known))}")
        if name in found:
            raise bad(name, "given twice")
        if "\0" in value:
            raise bad(name, "a NUL is no character")
        found[name] = value
    return found


def allowed(collection: Collection) -> set[str]:
    """Names of all parameters the items of a collection take."""
    return {*COMMON, *PAGE, *SELECTORS[collection.room], *collection.fields}


def form(given: Mapping[str, str], accept: str) -> Form:
    """Decide between JSON and a page for people.

    Raises
    ------
    BadRequest
        `f` names another form.
    """
    if "f" in given:
        if given["f"] not in {"json", "html"}:
            raise bad("f", "json or html")
        return cast("Form", given["f"])
    weights = {"html": 0.0, "json": 0.0, "any": 0.0}
    for part in accept.lower().split(","):
        media, *rest = (one.strip() for one in part.split(";"))
        try:
            weight = float(next((one[2:] for one in rest if one.startswith("q=")), "1"))
        except ValueError:
            weight = 0.0
        if media in {"text/html", "application/xhtml+xml"}:
            kind = "html"
        elif media.endswith(("json", "openapi")) or media == "application/*":
            kind = "json"
        elif media == "*/*":
            kind = "any"
        else:
            continue
        weights[kind] = max(weights[kind], weight)
    if not any(weights.values()) and accept.strip():
        raise NotOffered("this is answered as JSON and as HTML; see the parameter f")
    return "html" if weights["html"] > max(weights["json"], weights["any"] - 1e-9) else "json"


def language(given: Mapping[str, str], accept: str) -> Lang:
    """Language of a page: `lang`, else what the browser prefers.

    Raises
    ------
    BadRequest
        `lang` is neither zh nor en.
    """
    if "lang" in given:
        if given["lang"] not in {"zh", "en"}:
            raise bad("lang", "zh or en")
        return cast("Lang", given["lang"])
    for part in accept.lower().split(","):
        if part.strip().startswith("zh"):
            return "zh"
        if part.strip().startswith("en"):
            return "en"
    return "zh"


def asked(collection: Collection, given: Mapping[str, str]) -> Asked:
    """Read the parameters of a page of features; `given` is of `once`.

    Raises
    ------
    BadRequest
        One means nothing.
    """
    there = collection.crs
    selectors = SELECTORS[collection.room]
    box = None
    if "bbox-crs" in given and "bbox" not in given:
        raise bad("bbox-crs", "there is no bbox")
    if "bbox" in given:
        box = systems.box(given["bbox"], systems.chosen(given.get("bbox-crs"), there, "bbox-crs"))
    chosen = {
        name: value_of(collection.fields[name], given[name]) for name in selectors if name in given
    }
    return Asked(
        limit=_limit(given.get("limit")),
        after=given.get("after"),
        box=box,
        crs=systems.chosen(given.get("crs"), there, "crs"),
        moment=interval(given["datetime"]) if "datetime" in given else None,
        equal={
            name: value_of(one, given[name])
            for name, one in collection.fields.items()
            if name in given and name not in selectors
        },
        filter=_filter(given, there),
        chosen=chosen,
    )


def _filter(given: Mapping[str, str], there: list[Crs]) -> tuple[str, str, Crs] | None:
    if "filter" not in given:
        for name in ("filter-lang", "filter-crs"):
            if name in given:
                raise bad(name, "there is no filter")
        return None
    language = given.get("filter-lang", LANGUAGES[0])
    if language not in LANGUAGES:
        raise bad("filter-lang", f"{' or '.join(LANGUAGES)}")
    crs = systems.chosen(given.get("filter-crs"), there, "filter-crs")
    return given["filter"], language, crs


def _limit(text: str | None) -> int:
    if text is None:
        return LIMIT
    if not _NUMBER.fullmatch(text) or int(text) < 1:
        raise bad("limit", f"a whole number from 1, at most {MOST} are answered")
    return min(int(text), MOST)  # the standard: more than the most is no error


def value_of(one: Field, text: str) -> Any:
    """Value of a property as a parameter gives it.

    Raises
    ------
    BadRequest
        It is not of the property's type, or none of its values.
    """
    found: Any = text
    if one.type == "integer":
        if not _NUMBER.fullmatch(text):
            raise bad(one.name, "a whole number is wanted")
        found = int(text)
    elif one.type == "number":
        if not _DECIMAL.fullmatch(text):
            raise bad(one.name, "a number is wanted")
        found = float(text)
    elif one.type == "boolean":
        if text not in {"true", "false"}:
            raise bad(one.name, "true or false is wanted")
        found = text == "true"
    elif one.type == "date":
        try:
            found = date.fromisoformat(text)
        except ValueError:
            raise bad(one.name, "a day such as 2026-03-01 is wanted") from None
    elif one.type == "date-time":
        found = moment(text, one.name)
    if one.enum and found not in one.enum:
        raise bad(one.name, f"one of {', '.join(map(str, one.enum))}")
    return found


def moment(text: str, name: str = "datetime") -> datetime:
    """Read a moment of RFC 3339.

    Raises
    ------
    BadRequest
        It is none, or does not say its offset.
    """
    try:
        # a + in an address is a blank when it was not encoded
        found = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise bad(name, f"{text[:40]!r} is no moment; write 2026-03-01T00:00:00Z") from None
    if found.tzinfo is None:
        raise bad(name, f"{text[:40]!r} does not say its offset, such as Z")
    if not 1 < found.year < 9999:
        raise bad(name, "a year from 2 to 9998 is wanted")
    return found.astimezone(UTC)


def interval(text: str) -> Interval:
    """Read `datetime`: a moment, a day, or two of them with `/` between; `..` or nothing: open.

    A day without a time is the whole day, UTC.

    Raises
    ------
    BadRequest
        It is none of these, or ends before it begins.
    """
    first, slash, last = text.partition("/")
    if not slash:
        return _edge(first, last=False), _edge(first, last=True)
    start = None if first in {"", ".."} else _edge(first, last=False)
    end = None if last in {"", ".."} else _edge(last, last=True)
    if start is None and end is None:
        raise bad("datetime", "one end at least is wanted")
    if start is not None and end is not None and end < start:
        raise bad("datetime", "it ends before it begins")
    return start, end


def _edge(text: str, *, last: bool) -> datetime:
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text, re.ASCII):
        day = moment(f"{text}T00:00:00Z")
        return day + timedelta(days=1, microseconds=-1) if last else day
    return moment(text)


def touches(moment: Interval, start: datetime | None, end: datetime | None) -> bool:
    """Whether a question's interval meets `[start, end)`; None is open."""
    first, last = moment
    return (last is None or start is None or start <= last) and (
        first is None or end is None or first < end
    )
