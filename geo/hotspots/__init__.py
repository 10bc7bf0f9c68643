"""Where events cluster: Gi*, the scan statistic, near-repeat, emerging, across borders (METHODS 8, 9).

Pure: numpy, scipy, numba; no clock, no global randomness (every draw comes from a given seed), no
input is ever changed. Places are metres in one plane, x (east) before y; arrays are float64.
"""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float], None]
"""Told the share done, 0 to 1, ascending."""

Stop = Callable[[], bool]
"""Asked often (many times a second); True = give up: the work raises `Cancelled`."""


class Cancelled(Exception):
    """The caller asked to give up; nothing was changed."""


__all__ = ["Cancelled", "Progress", "Stop"]
