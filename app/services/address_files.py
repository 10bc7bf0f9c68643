"""A column of addresses of a CSV file, resolved block by block.

Imports `address_resolve`. Promises: memory is bounded by the block; the answer file appears whole or not
at all; every row of the file is in it, in order, with all its columns.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from app.errors import Invalid
from app.services.address_resolve import Ground
from geo.addresses.resolve import Resolved

_BLOCK = 5_000
_ADDED = ("code", "status", "confidence", "certain", "reasons")


def resolve_file(
    ground: Ground,
    file: Path,
    out: Path,
    column: str,
    progress: Callable[[int], None] = lambda _rows: None,
) -> tuple[Counter[str], list[tuple[str, Resolved]]]:
    """Resolve `column` of `file` into `out`: its columns and `resolved_…`.

    Returns
    -------
    counts, uncertain
        Rows by status; texts that were not certain, at most 20,000, with what was found.

    Raises
    ------
    Invalid
        The file has no such column, or `out` is the file itself.
    """
    if out.resolve() == file.resolve():
        raise Invalid(f"{out} would overwrite the file itself")
    counts: Counter[str] = Counter()
    uncertain: list[tuple[str, Resolved]] = []
    partial = out.with_name(out.name + ".part")
    try:
        with (
            file.open(encoding="utf-8-sig", newline="") as source,
            partial.open("w", encoding="utf-8", newline="") as target,
        ):
            reader = csv.DictReader(source)
            fields = list(reader.fieldnames or ())
            if column not in fields:
                raise Invalid(f"{file.name}: no column {column!r}; there are {', '.join(fields)}")
            writer = csv.DictWriter(
                target,
                [*fields, *(f"resolved_{name}" for name in _ADDED)],
                lineterminator="\n",
                extrasaction="ignore",
            )
            writer.writeheader()
            for block in _blocks(reader):
                for row in block:
                    text = str(row[column] or "")
                    found = ground.resolve(text)
                    counts[found.status.value] += 1
                    if not found.certain and len(uncertain) < 4 * _BLOCK:
                        uncertain.append((text, found))
                    said = (found.code, found.status.value, found.confidence, int(found.certain),
                            " ".join(found.reasons))  # fmt: skip
                    row.update(zip((f"resolved_{name}" for name in _ADDED), said, strict=True))
                writer.writerows(block)
                progress(len(block))
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return counts, uncertain


def _blocks(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while block := list(islice(rows, _BLOCK)):
        yield block
