"""The numbers a brief is made from: answers of the API with their addresses, asked once each.

Calls the services behind the API's answers and keeps them as the API would send them, so that a
JSON pointer into an address gives exactly the number that is printed. Promises: what a role may not
see has a state (`small_numbers`), and `counted` prints it as "<5" or "…".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, urlencode

import numpy as np
import sqlalchemy as sa

from app.api.models import RateChange, Words
from app.services import brief_say as text
from app.services.brief_say import Said, fact, plain
from app.services.caches import Caches
from app.services.lookup import why as why_of
from app.services.manifest import LEVEL_TITLES
from app.services.periods import Span
from app.services.ranking import ranking
from app.services.runs import Layer, RunFacts, run_info
from app.services.scenes import OVERALL
from app.services.summary import summary
from app.services.tracks import Ints, read_tracks, scope_kinds
from app.services.units import UnitTable
from geo import small_numbers as rule

Against = Literal["last_year", "previous"]
PLURAL = {
    "city": "cities", "county": "counties", "town": "towns", "village": "villages",
    "grid": "grids", "microgrid": "microgrids",
}  # fmt: skip
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
#: Tables of more numbers than this are hidden by their rows alone.
LARGEST = 4_000


def LEVELS(level: str) -> tuple[str, str]:  # noqa: N802 - a table with a default
    """Name of a level in Chinese, and of several of its units in English."""
    return LEVEL_TITLES.get(level, (level, level))[0], PLURAL.get(level, f"{level}s")


def names_of(unit: dict[str, Any]) -> Words:
    """Names of a unit of an answer."""
    return Words(zh=unit["name"], en=unit["name_en"] or unit["name"])


@dataclass
class Kind:
    """A kind in the scope: where its count stands, and what it is compared with.

    Attributes
    ----------
    now : address and pointer of the count
    states : what may be told of the count (`now`) and of the earlier ones
    """

    id: str
    title: Said
    now: tuple[str, str]
    observed: int
    earlier: dict[str, tuple[str, str, RateChange | None]] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)

    def change(self, against: str) -> tuple[str, str, RateChange | None] | None:
        """Address, pointer and change against an earlier period; None: there is none."""
        return self.earlier.get(against)


class Facts:
    """Answers about one run, scope and month.

    Parameters
    ----------
    within : code of the scope in any form; None: the whole map
    small : whether counts of 1 to 4 may be told
    """

    def __init__(
        self,
        connection: sa.Connection,
        caches: Caches,
        run: RunFacts,
        table: UnitTable,
        span: Span,
        *,
        within: str | None,
        small: bool,
    ) -> None:
        self.connection, self._caches = connection, caches
        self.run, self.table, self.span, self.small = run, table, span, small
        self._answers: dict[str, Any] = {}
        self.scope_id = table.find(within) if within else None
        self.scope_code = table.codes[self.scope_id - 1] if self.scope_id else ""
        top = table.top()
        #: the unit the scope is; None: a map of several
        self.root = self.scope_id or (top[0] if len(top) == 1 else None)
        row = connection.execute(
            sa.text("select label, title_zh, title_en, approximate from boundary_version where id = :id"),
            {"id": run.version_id},
        ).one()  # fmt: skip
        self.label, self.approximate = row.label, row.approximate
        self.scope_name = plain(row.title_zh, row.title_en)
        if self.root:
            self.scope_name = plain(table.names[self.root - 1], table.names_en[self.root - 1])
        day = span.start
        self.month_name = (f"{day.year}年{day.month}月", f"{MONTHS[day.month - 1]} {day.year}")
        self._levels()
        self.main = self._summary(self.main_level)
        self.league = self._ranking(self.main_level, max(1, len(self.members(self.main_level))))
        self.fine_league = (
            self._ranking(self.fine_level, max(1, self.fine_count)) if self.fine_level else ""
        )
        self.kinds = self._kinds()
        self._hide()

    # where numbers stand ---------------------------------------------------------------------
    def answer(self, source: str) -> Any:
        """Answer at an address, as the API sends it."""
        return self._answers[source]

    def value(self, source: str, pointer: str) -> Any:
        """Value at a JSON pointer of an answer."""
        found = self._answers[source]
        for step in pointer.split("/")[1:]:
            found = found[int(step)] if isinstance(found, list) else found[step]
        return found

    @staticmethod
    def at(source: str, pointer: str) -> str:
        """Address with a pointer."""
        return f"{source}#{pointer}"

    def number(self, source: str, pointer: str, printed: Callable[[Any], str]) -> Said:
        """Fact of a number at an address."""
        value = self.value(source, pointer)
        return fact(value, printed(value), address=self.at(source, pointer))

    def counted(self, source: str, pointer: str, state: int, value: int | None = None) -> Said:
        """Fact of a count, kept back where its state says so."""
        found = self.value(source, pointer) if value is None else value
        if state != rule.SHOWN:
            return fact(None, rule.shown(found, state), address=self.at(source, pointer))
        return fact(found, text.count(found), address=self.at(source, pointer))

    def keep(self, source: str, answer: Any) -> str:
        """Remember an answer by its address; the address."""
        self._answers[source] = answer.model_dump(mode="json")
        return source

    def _layer(self, level: str) -> Layer:
        return Layer(level, OVERALL, "month", self.span.ord)

    def _query(self, **more: Any) -> str:
        within = {"within": self.scope_code} if self.scope_code else {}
        return urlencode(
            {**more, "kind": OVERALL, "period": "month", "ord": self.span.ord, **within}
        )

    def _summary(self, level: str) -> str:
        source = f"/api/runs/{self.run.id}/summary?{self._query(level=level)}"
        if source in self._answers:
            return source
        return self.keep(
            source,
            summary(
                self.connection, self._caches, self.run.id, self._layer(level),
                self.scope_code or None,
            ),
        )  # fmt: skip

    def _ranking(self, level: str, limit: int) -> str:
        source = f"/api/runs/{self.run.id}/ranking?{self._query(level=level)}&limit={limit}"
        return self.keep(
            source,
            ranking(
                self.connection, self._caches, self.run.id, self._layer(level),
                within=self.scope_code or None, limit=limit,
            ),
        )  # fmt: skip

    def why(self, code: str, kind: str = OVERALL) -> str:
        """Address of why a unit has its colour."""
        query = urlencode({"kind": kind, "period": "month", "ord": self.span.ord})
        source = f"/api/runs/{self.run.id}/units/{quote(code, safe='')}/why?{query}"
        if source not in self._answers:
            self.keep(
                source,
                why_of(
                    self.connection, self._caches, self.run.id, code,
                    kind=kind, period="month", ord_=self.span.ord,
                ),
            )  # fmt: skip
        return source

    def run_source(self) -> str:
        """Address of the facts of the run."""
        source = f"/api/runs/{self.run.id}"
        if source not in self._answers:
            self.keep(source, run_info(self.connection, self.run.id))
        return source

    def scene_source(self) -> str | None:
        """Address that tells the version of the colour rule."""
        rows = self.answer(self.league)["rows"]
        return self.why(rows[0]["unit"]["code"]) if rows else None

    def page(self, code: str = "", level: str | None = None) -> str:
        """Page that shows a unit or the scope, from the root of the site."""
        state = {"map": self.run.pack, "ord": str(self.span.ord)}
        if self.scope_code and self.root != self.table.top()[0]:
            state["scope"] = self.scope_code
        if level:
            state["level"] = level
        if code and code != self.scope_code:
            state["unit"] = code
        return "/#" + urlencode(state)

    # levels and units ------------------------------------------------------------------------
    def _levels(self) -> None:
        own = self.table.levels.index(self._scope_level()) if self.scope_id else -1
        if self.root and not self.scope_id:
            own = self.table.level_of[self.root - 1]
        finer = [
            level for level in self.run.levels
            if self.table.levels.index(level) > own and len(self.members(level))
        ]  # fmt: skip
        # a unit without units below it is told about itself
        self.main_level = finer[0] if finer else self._scope_level()
        self.fine_level = finer[1] if len(finer) > 1 else None
        self.fine_count = len(self.members(self.fine_level)) if self.fine_level else 0

    def _scope_level(self) -> str:
        return str(self.table.levels[self.table.level_of[(self.root or 1) - 1]])

    def members(self, level: str) -> Ints:
        """Ids of the units of a level in the scope, ascending."""
        first, _ = self.table.range(level)
        return (np.flatnonzero(self.table.members(level, self.scope_id)) + first).astype(np.int32)

    def levels_told(self) -> list[tuple[str, str]]:
        """Summaries of the levels told about: address and level."""
        levels = [self.main_level, *([self.fine_level] if self.fine_level else [])]
        return [(self._summary(level), level) for level in levels]

    def unit_name(self, code: str) -> Said:
        """Name of a unit."""
        at = self.table.find(code) - 1
        return plain(self.table.names[at] or code, self.table.names_en[at] or self.table.names[at])

    def parent_name(self, code: str) -> Said:
        """Name of the unit above."""
        path = self.table.path(self.table.find(code))
        if not path:
            return plain("–")
        at = path[-1] - 1
        return plain(self.table.names[at], self.table.names_en[at] or self.table.names[at])

    def rank_at(self, code: str) -> str:
        """Pointer of a unit's row in the league table."""
        rows = self.answer(self.league)["rows"]
        return next(f"/rows/{at}" for at, row in enumerate(rows) if row["unit"]["code"] == code)

    def warm(self) -> list[str]:
        """Codes of the red and orange units, red first, then by relative risk."""
        rows = [
            row for row in self.answer(self.league)["rows"] if row["colour"] in ("red", "orange")
        ]
        rows.sort(key=lambda row: (row["colour"] != "red", -row["theta"]))
        return [row["unit"]["code"] for row in rows]

    def fine_top(self, most: int) -> list[str]:
        """Codes of the units of the finer level with the highest relative risk above 1."""
        if self.fine_level is None:
            return []
        rows = self.answer(self.fine_league)["rows"]
        return [row["unit"]["code"] for row in rows[:most] if row["theta"] > 1]

    # kinds -----------------------------------------------------------------------------------
    def kind_title(self, kind: str) -> Said:
        """Title of a kind."""
        one = self.run.scene.kinds[kind]
        return plain(one.zh, one.en.lower())

    def month_said(self) -> Said:
        """Month as a fact."""
        return fact(
            self.span.start.isoformat(), *self.month_name, address=self.at(self.main, "/start")
        )

    def _kinds(self) -> list[Kind]:
        found = []
        for at, row in enumerate(self.answer(self.main)["kinds"]):
            kind = row["kind"]
            title = plain("全部", "all kinds") if kind == OVERALL else self.kind_title(kind)
            one = Kind(kind, title, (self.main, f"/kinds/{at}/observed"), row["observed"])
            if row["change"] is not None:
                change = RateChange.model_validate(row["change"])
                one.earlier["last_year"] = (self.main, f"/kinds/{at}/change", change)
            if self.root is not None:
                source = self.why(self.table.codes[self.root - 1], kind)
                before = self.answer(source)["previous"]
                if before is not None:
                    change = RateChange.model_validate(before)
                    one.earlier["previous"] = (source, "/previous", change)
            found.append(one)
        return found

    # small numbers ---------------------------------------------------------------------------
    def total(self) -> Said:
        """Events of the scope."""
        return self.counted(*self.kinds[0].now, self.kinds[0].states["now"])

    def _hide(self) -> None:
        """Say of every count whether it may be told (METHODS 11)."""
        listed = {"now": [one.observed for one in self.kinds]}
        for against in ("last_year", "previous"):
            changes = [one.earlier.get(against) for one in self.kinds]
            if all(one is not None and one[2] is not None for one in changes):
                listed[against] = [one[2].observed for one in changes if one and one[2]]
        for name in ("now", "last_year", "previous"):
            counts = listed.get(name)
            if self.small or counts is None:
                made = [rule.SHOWN] * len(self.kinds)
            else:  # the first is the total of the others
                table = rule.suppress(counts[1:])
                parts, total = table.cells.tolist(), table.total
                whole = total or (rule.SMALL if 0 < counts[0] < rule.THRESHOLD else rule.SHOWN)
                made = [whole, *parts]
            for one, state in zip(self.kinds, made, strict=True):
                one.states[name] = state
        self._units: dict[tuple[str, str], int] = {}
        if self.small:
            return
        for level in {self.main_level, self.fine_level} - {None}:
            self._hide_level(str(level))

    def _hide_level(self, level: str) -> None:
        ids = self.members(level).tolist()
        kinds = scope_kinds(self.run)
        tracks = read_tracks(self.connection, self.run.id, ids, kinds, "month")
        ids = [one for one in ids if (one, OVERALL) in tracks]
        if not ids:
            return
        counts = np.array(
            [[int(tracks[one, kind].observed[self.span.ord]) for kind in kinds[1:]] for one in ids],
            np.int64,
        )
        if counts.size <= LARGEST:
            found = rule.suppress(counts)
            cells, rows = found.cells, found.rows
        else:  # too large to choose: whoever has a small number tells no other, and no total is told
            small = rule.mask(counts)
            cells = np.where(
                small,
                rule.SMALL,
                np.where(small.any(axis=1, keepdims=True), rule.WITHHELD, rule.SHOWN),
            )
            rows = np.full(len(ids), rule.WITHHELD if small.any() else rule.SHOWN)
        for at, one in enumerate(ids):
            code = self.table.codes[one - 1]
            self._units[code, OVERALL] = int(rows[at])
            for kind, state in zip(kinds[1:], cells[at].tolist(), strict=True):
                self._units[code, kind] = int(state)

    def unit_state(self, code: str, kind: str = OVERALL) -> int:
        """Tell what may be told of a unit's count of a kind."""
        return self._units.get((code, kind), rule.SHOWN)
