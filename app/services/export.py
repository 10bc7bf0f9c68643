"""One level, kind and period of a run as a table and as CSV: enough to recompute every colour.

CSV: UTF-8 with a byte order mark and CRLF, so that Excel reads it as it is. The first rows are notes that
begin with `#`; the first of them says how many there are. Codes begin with a tab character inside
the cell: spreadsheets then keep them as text (27 digits do not fit in a number), and readers that
trim cells see nothing of it. A name that a spreadsheet would take for a formula gets a leading
apostrophe. Numbers carry all their digits. Empty cell = no data.

The same columns with the polygons (codes plain) are written by `export_files`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from app.api.models import COLOURS
from app.services.caches import Caches
from app.services.explain import flag_names
from app.services.manifest import VERSION
from app.services.ranking import ranked_areas
from app.services.runs import Layer, RunFacts, run_facts, run_info
from app.services.scenes import OVERALL
from app.services.tile_archives import version_row
from app.services.tracks import Floats, Ints, parameters, read_alpha, read_slice
from app.services.units import UnitTable, unit_table
from geo import risk, score

BLOCK = 1000
CODES = ("code", "parent_code")
FORMULA = tuple("=+-@＝＋－＠\t\r\n")  # the wide ones begin a formula too in Chinese Excel
UNITS = (
    "observed, expected, s, x, effective_*: events; alpha: events' worth of prior; "
    "relative_risk, low, high: 1 = as expected; p: P(relative risk > 1), 0–1; share: 0–1; "
    "complexity: 100 = average unit; index: 0–100"
)
RECOMPUTE = (
    "relative_risk = (alpha + s) / (alpha + x); p = P(Gamma(alpha + s, rate alpha + x) > 1); "
    "colour = first matching row of the rule, else blue; flag veto lifts it to orange; "
    "effective_* are this period alone (O, E; for overall the harm-weighted O', E')"
)


@dataclass(frozen=True, eq=False)
class ExportTable:
    """Columns of equal length in id order, and the notes that explain them."""

    run: int
    version_id: int
    level: str
    ids: list[int]
    file_name: str
    notes: dict[str, str]
    columns: dict[str, list[Any]]

    def __len__(self) -> int:
        return len(self.columns["code"])


def _plain(values: Floats | list[Any]) -> list[float | None]:
    """Return Python floats, None where there is no finite number."""
    numbers = np.array(values, np.float64)
    found = numbers.astype(object)
    found[~np.isfinite(numbers)] = None
    return list(found.tolist())


def _exposures(
    connection: sa.Connection, facts: RunFacts, first: int, count: int, kind: str
) -> dict[str, list[float | None]]:
    rows = connection.execute(
        sa.text(
            "select exposures, shares, complexity from run_unit where run_id = :run "
            "and unit_id between :first and :last order by unit_id"
        ),
        {"run": facts.id, "first": first, "last": first + count - 1},
    ).all()
    columns: dict[str, list[float | None]] = {
        f"exposure_{measure}": _plain([row.exposures[at] for row in rows])
        for at, measure in enumerate(facts.measures)
    }
    if kind != OVERALL:
        at = facts.kinds.index(kind)
        columns["share"] = _plain([row.shares[at] for row in rows])
    columns["complexity"] = _plain([row.complexity for row in rows])
    return columns


METHOD = (
    "exposure-adjusted discounted empirical Bayes: expected = share of the exposure x events of the "
    "reference area; counts and expectations of earlier periods are remembered with weight k; gamma "
    "prior of strength alpha; overall: counts weighted by harm"
)


def version_notes(version: Mapping[str, Any]) -> dict[str, str]:
    """Where the shapes of a boundary version come from; `version` as `tile_archives.version_row`."""
    return {
        "boundary source": str(version["source"]) or "not given",
        "boundary licence": str(version["licence"]) or "not given",
        "shapes": "approximate: not all are surveyed" if version["approximate"] else "as received",
    }


def made_notes(asked_by: str) -> dict[str, str]:
    """Who asked, and when it was made."""
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    return {"asked by": asked_by, "generated": f"{moment}, Wusetu {VERSION}"}


def _notes(
    connection: sa.Connection, facts: RunFacts, layer: Layer, asked_by: str
) -> dict[str, str]:
    kind = layer.kind
    info = run_info(connection, facts.id)
    scene = facts.scene
    span = facts.check(layer)
    kinds = {kind: scene.kinds[kind]} if kind != OVERALL else scene.kinds
    return {
        "map": facts.pack,
        "boundary version": info.boundary_version,
        **version_notes(version_row(connection, facts.version_id)),
        "run": f"{facts.id}, published {facts.published_at.isoformat()}",
        "scene": f"{scene.name}, version {scene.version}",
        "level": layer.level,
        "kind": kind,
        "period": f"{layer.period} {span.start.isoformat()} up to and without {span.end.isoformat()}"
        + ("" if span.complete else " (not covered completely)")
        + f", {facts.time_zone}",
        "data cutoff": facts.data_cutoff.isoformat() if facts.data_cutoff else "none",
        "events": "simulated" if facts.simulated else "as received",
        "method": METHOD,
        "weights": json.dumps({one: body.weights for one, body in kinds.items()}),
        "harm": json.dumps({one: body.harm for one, body in kinds.items()}),
        "filter": json.dumps(scene.filter.model_dump()),
        "colour rule": json.dumps(
            {"version": scene.colour_rule.version, **scene.colour_rule.rows()}
        ),
        "units": UNITS,
        "recompute": RECOMPUTE,
        **made_notes(asked_by),
    }


def export_table(
    connection: sa.Connection,
    caches: Caches,
    run: int,
    layer: Layer,
    asked_by: str = "command line",
) -> ExportTable:
    """All units of a level that may be seen, those without data too, in id (code) order.

    Raises
    ------
    NotFound
        No such run, level, kind or period.
    """
    facts = run_facts(connection, caches, run)
    span = facts.check(layer)
    kind = layer.kind
    table = unit_table(connection, caches, facts.version_id)
    first, count = table.range(layer.level)
    found = read_slice(connection, run, layer, first, count)
    references = table.references(layer.level, facts.scene.reference_level)[found.ids - first]
    rates = read_alpha(connection, run, layer.level, [kind], layer.period)
    alpha = np.array([rates[int(one), kind][layer.ord] for one in references], np.float64)
    alpha = np.where(
        np.isnan(found.x), np.nan, risk.unit_alpha(alpha, found.flags, parameters(facts))
    )
    known = risk.posterior(alpha, found.s, found.x)
    columns: dict[str, list[Any]] = {
        **_identity(table, found.ids.tolist()),
        "observed": found.observed.tolist(),
        "expected": _plain(found.expected),
        "s": _plain(found.s),
        "x": _plain(found.x),
        "k": _plain(found.k),
        "effective_observed": _plain(found.fresh_observed),
        "effective_expected": _plain(found.fresh_expected),
        "alpha": _plain(alpha),
        "relative_risk": _plain(known.theta),
        "low": _plain(known.low),
        "high": _plain(known.high),
        "p": _plain(known.p),
        "colour": [COLOURS[one] for one in found.colour],
        "flags": [
            " ".join((["history_dropped"] if one & risk.DROPPED else []) + flag_names(int(one)))
            for one in found.flags
        ],
        **_rank_columns(connection, caches, facts, table, layer=layer, ids=found.ids),
        **_exposures(connection, facts, first, count, kind),
    }
    if kind == OVERALL:
        columns["index"] = _plain(score.governance_index(known.theta))
    return ExportTable(
        run=run,
        version_id=facts.version_id,
        level=layer.level,
        ids=found.ids.tolist(),
        file_name=f"wusetu-{facts.pack}-run{run}-{layer.level}-{kind}-"
        f"{layer.period}-{span.start.isoformat()}",
        notes=_notes(connection, facts, layer, asked_by),
        columns=columns,
    )


def _identity(table: UnitTable, ids: list[int]) -> dict[str, list[Any]]:
    parents = [int(table.parent_of[one - 1]) for one in ids]
    return {
        "code": [table.codes[one - 1] for one in ids],
        "name": [table.names[one - 1] for one in ids],
        "name_en": [table.names_en[one - 1] for one in ids],
        "parent_code": [(table.codes[one - 1] or None) if one else None for one in parents],
    }


def _rank_columns(
    connection: sa.Connection,
    caches: Caches,
    facts: RunFacts,
    table: UnitTable,
    *,
    layer: Layer,
    ids: Ints,
) -> dict[str, list[int | None]]:
    ranks: dict[str, list[int | None]] = {
        name: [None] * len(ids) for name in ("rank", "rank_low", "rank_high", "ranked")
    }
    for area in ranked_areas(connection, caches, facts, table, layer=layer):
        places = np.searchsorted(ids, area.ids).tolist()
        columns = (area.rank, area.low, area.high, np.full(len(area), len(area)))
        for name, values in zip(ranks, columns, strict=True):
            for at, value in zip(places, values.tolist(), strict=True):
                ranks[name][at] = value
    return ranks


def _cells(name: str, values: list[Any]) -> list[Any]:
    """Make texts safe for spreadsheets; the writer itself gives numbers all their digits."""
    if name in CODES:
        return [None if one is None else f"\t{one}" for one in values]
    return [f"'{one}" if isinstance(one, str) and one[:1] in FORMULA else one for one in values]


def csv_chunks(table: ExportTable) -> Iterator[bytes]:
    """Yield the CSV in pieces of about a thousand rows."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")

    def taken() -> bytes:
        text = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return text.encode("utf-8")

    notes = [f"# {name}: {text}" for name, text in table.notes.items()]
    writer.writerows([[note] for note in [f"# rows of notes: {len(notes) + 1}", *notes]])
    writer.writerow(list(table.columns))
    yield b"\xef\xbb\xbf" + taken()
    for start in range(0, len(table), BLOCK):
        block = [
            _cells(name, values[start : start + BLOCK]) for name, values in table.columns.items()
        ]
        writer.writerows(zip(*block, strict=True))
        yield taken()


def write_csv(table: ExportTable, path: Path) -> None:
    """Write the CSV to a file."""
    with path.open("wb") as file:
        file.writelines(csv_chunks(table))
