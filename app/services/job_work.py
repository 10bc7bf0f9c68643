"""What all kinds of jobs share: progress, cancelling, how a result describes itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.api.job_models import Step
from app.api.models import Words
from app.services.job_ground import Study
from app.services.job_steps import moment


@dataclass(frozen=True)
class Work:
    """How the work talks to whoever waits.

    Parameters
    ----------
    said : told the part done, 0–1, and the step
    stopped : whether to give up
    """

    said: Callable[[float, Step], None]
    stopped: Callable[[], bool]

    def part(self, first: float, last: float, step: Step) -> Callable[[float], None]:
        """Progress of a piece of work that is [first, last] of the whole."""
        return lambda done: self.said(first + (last - first) * done, step)


@dataclass(frozen=True)
class Outcome:
    """What a job found: its answer, and for surfaces the raster and its picture.

    `keep`, when there is one, stores what it found in the transaction that says done, and makes the answer.
    """

    result: Any
    tif: bytes | None = None
    png: bytes | None = None
    keep: Callable[[sa.Connection], Any] | None = None


def column(values: npt.NDArray[np.floating[Any]], digits: int = 10) -> list[float | None]:
    """Numbers with so many significant digits, None where there is none."""
    found = np.asarray(values, np.float64)
    good = np.isfinite(found)
    return [
        float(f"{one:.{digits}g}") if ok else None
        for one, ok in zip(found.tolist(), good.tolist(), strict=True)
    ]


def found(study: Study, method: Words, rule: Words | None = None) -> dict[str, Any]:
    """Return what every result says about itself."""
    facts = study.facts
    return {
        "method": method,
        "rule": rule,
        "pack": facts.pack,
        "run": facts.id,
        "boundary_version": study.events.boundary_version,
        "time_zone": study.events.time_zone,
        "cutoff": facts.data_cutoff,
        "newest": study.events.newest,
        "covered_start": moment(study.covered[0]),
        "covered_end": moment(study.covered[1]),
        "events": len(study.events),
        "simulated": facts.simulated,
        "approximate": study.approximate,
        "kinds": list(study.kinds),
        "seed": study.question.seed,
    }


def words(zh: str, en: str, /, **values: object) -> Words:
    """Make a text of both languages with values filled in."""
    return Words(zh=zh.format(**values), en=en.format(**values))


def tags(study: Study, about: dict[str, Any]) -> dict[str, str]:
    """Facts of a result for the metadata of a raster; no clock: the same result, the same bytes."""
    return {
        "METHOD_ZH": about["method"].zh,
        "METHOD_EN": about["method"].en,
        "MAP": about["pack"],
        "RUN": str(about["run"]),
        "BOUNDARY_VERSION": about["boundary_version"],
        "CUTOFF": about["cutoff"].isoformat() if about["cutoff"] else "",
        "EVENTS": str(about["events"]),
        "SIMULATED": str(about["simulated"]).lower(),
        "QUESTION": study.question.model_dump_json(exclude_none=True),
    }
