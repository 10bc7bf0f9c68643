"""How the server logs: plain lines for people, or one JSON object per line for machines.

Imports nothing of the project. Promises: in JSON a line says what happened to which request
(`request_id`, route template, status, duration, account number) and never where: no address that
was asked, no query string, no coordinate, no text of an exception, which may quote what was stored.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, Literal

#: Lines about finished requests; told at level INFO.
ACCESS = "wusetu.access"
#: Attributes of a record that are ours, and go into the line as they are.
FIELDS = ("request_id", "method", "route", "status", "ms", "account")


class JsonLines(logging.Formatter):
    """One JSON object per record."""

    def format(self, record: logging.LogRecord) -> str:
        """Line of a record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in FIELDS:
            if hasattr(record, name):
                line[name] = getattr(record, name)
        if record.exc_info and record.exc_info[0] is not None:
            kind, _, trace = record.exc_info
            line["exception"] = f"{kind.__module__}.{kind.__qualname__}"
            # where in the program, not with which values
            line["trace"] = [
                f"{frame.filename}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(trace)
            ]
        return json.dumps(line, ensure_ascii=False)


def configure(form: Literal["json", "text"]) -> None:
    """Set the program's logging up; repeated calls change nothing but the form.

    Parameters
    ----------
    form : `text`: warnings and errors; `json`: also each request and what the keepers do
    """
    root = logging.getLogger()
    for one in list(root.handlers):
        if getattr(one, "wusetu", False):
            root.removeHandler(one)
    handler = logging.StreamHandler(sys.stderr)
    handler.wusetu = True  # type: ignore[attr-defined]
    handler.setFormatter(
        JsonLines()
        if form == "json"
        else logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("wusetu").setLevel(logging.INFO if form == "json" else logging.WARNING)
    if form == "json":  # uvicorn brings handlers of its own
        for name in ("uvicorn", "uvicorn.error"):
            logging.getLogger(name).handlers.clear()
            logging.getLogger(name).propagate = True
