"""A file of devices into the registry. Imports `devices`; no web.

Promises: unknown columns refuse the file before anything is written (there is none for a person);
a bad row is refused with its line and reason, the others are entered, some hundreds per transaction.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app.api import device_models as models
from app.database import transaction
from app.errors import Invalid, NotFound
from app.security.identity import LOCAL
from app.services import devices as registry
from app.services.border import Borders

COLUMNS = tuple(models.DeviceDraft.model_fields)
NEEDED = ("reference", "kind")
_TOGETHER = 500


def import_csv(engine: sa.Engine, borders: Borders, pack: str, path: Path) -> models.DeviceReport:
    """Enter the devices of a CSV file; rows of the report are lines of the file.

    Parameters
    ----------
    path : UTF-8 with a header of `COLUMNS`, in any order

    Raises
    ------
    NotFound
        No such file or map.
    Invalid
        It is no such file; nothing was entered.
    """
    total = models.DeviceReport(new=0, changed=0, unchanged=0, refused=[])
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(_rows(csv.reader(file, strict=True), path.name))
    except FileNotFoundError as error:
        raise NotFound(f"no file {path}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Invalid(f"{path.name} cannot be read as a CSV file in UTF-8: {error}") from error
    seen: dict[str, int] = {}
    for start in range(0, len(rows), _TOGETHER):
        kept = []
        for line, row in rows[start : start + _TOGETHER]:
            first = seen.setdefault(row.get("reference", ""), line)
            if first != line:
                text = f"line {first} has the same reference"
                total.refused.append(
                    models.RefusedRow(row=line, field="reference", reason="twice", text=text)
                )
            else:
                kept.append((line, row))
        with transaction(engine) as connection:
            done = registry.enter(borders, connection, LOCAL, pack, [row for _, row in kept])
        total.new += done.new
        total.changed += done.changed
        total.unchanged += done.unchanged
        total.refused += [one.model_copy(update={"row": kept[one.row][0]}) for one in done.refused]
    return total


def _rows(reader: Any, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    header = [one.strip() for one in next(reader, [])]
    unknown = [one for one in header if one not in COLUMNS]
    if unknown or len(set(header)) < len(header) or not set(NEEDED) <= set(header):
        raise Invalid(
            f"{name}: columns are {', '.join(COLUMNS)}, each once, with {' and '.join(NEEDED)}; "
            f"{len(unknown)} of its columns are others"
        )
    for cells in reader:
        if not any(cells):
            continue
        if len(cells) != len(header):
            yield reader.line_num, {"reference": "", "kind": ""}
            continue
        row: dict[str, Any] = {}
        for field, text in zip(header, cells, strict=True):
            if text.strip():
                row[field] = text.strip()
        yield reader.line_num, row
