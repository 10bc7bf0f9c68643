"""Rows of events as arrays, and what a snapshot is made under. May import numpy.

Promises: the order of rows never matters; a row is a place (or none), a time, a kind and a unit,
never a person.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

#: seconds since 1970 that a row may have: the years 1 to 9999, less two days at either end
EARLIEST, LATEST = -62_135_424_000, 253_402_128_000

_DTYPES: dict[str, np.dtype[Any]] = {
    "lon": np.dtype(np.float64),
    "lat": np.dtype(np.float64),
    "time": np.dtype(np.int64),
    "kind": np.dtype(np.uint8),
    "unit": np.dtype(np.int32),
    "located": np.dtype(np.uint8),
}


class ColumnsError(ValueError):
    """Rows that cannot be events; the message names the first row, counted from 0."""


@dataclass(frozen=True)
class Columns:
    """Events, one array per column, all (n,).

    Attributes
    ----------
    lon, lat : float64 (n,)
        Degrees EPSG:4326; both nan in a row without a point.
    time : int64 (n,)
        Whole seconds since 1970-01-01T00:00Z (a fraction is cut off by the caller, downward).
    kind : uint8 (n,)
        Position in `Spec.kinds`.
    unit : int32 (n,)
        Recorded unit, the finest known; 0 none.
    located : uint8 (n,)
        How the row was located, a number of the caller's; kept, never read.

    Raises
    ------
    ColumnsError
        Arrays of different lengths, half a point, a point out of range, a negative unit, a time
        outside the years 1 to 9999.

    """

    lon: npt.NDArray[np.float64]
    lat: npt.NDArray[np.float64]
    time: npt.NDArray[np.int64]
    kind: npt.NDArray[np.uint8]
    unit: npt.NDArray[np.int32]
    located: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))

    def __post_init__(self) -> None:
        if not len(self.located) and len(self.lon):
            object.__setattr__(self, "located", np.zeros(len(self.lon), np.uint8))
        for name, dtype in _DTYPES.items():
            given = np.asarray(getattr(self, name))
            array: npt.NDArray[Any] = np.ascontiguousarray(given).astype(dtype, copy=False)
            if array.ndim != 1 or len(array) != len(self.lon):
                raise ColumnsError(f"{name} has shape {array.shape}, lon ({len(self.lon)},)")
            if given.dtype != dtype and given.size:
                with np.errstate(invalid="ignore"):
                    changed = np.flatnonzero((array != given) & ~np.isnan(given.astype(np.float64)))
                if len(changed):
                    raise ColumnsError(
                        f"row {changed[0]}: {name} {given[changed[0]]} is no {dtype}"
                    )
            object.__setattr__(self, name, array)
        self._refuse((self.time < EARLIEST) | (self.time > LATEST), "time", "is out of range")
        self._refuse(self.unit < 0, "unit", "is negative")
        with np.errstate(invalid="ignore"):
            self._refuse(np.isnan(self.lon) != np.isnan(self.lat), "lon", "is half a point")
            self._refuse(abs(self.lon) > 180, "lon", "is out of range")
            self._refuse(abs(self.lat) > 90, "lat", "is out of range")

    def _refuse(self, wrong: npt.NDArray[np.bool_], name: str, reason: str) -> None:
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ColumnsError(f"row {row}: {name} {getattr(self, name)[row]} {reason}")

    def __len__(self) -> int:
        return len(self.lon)

    @classmethod
    def trusted(cls, **arrays: Any) -> Columns:
        """Rows of arrays that are known to be right: nothing is checked, all six must be given."""
        made = object.__new__(cls)
        for name in _DTYPES:
            object.__setattr__(made, name, arrays[name])
        return made

    @classmethod
    def empty(cls) -> Columns:
        """No rows."""
        return cls(**{name: np.zeros(0, dtype) for name, dtype in _DTYPES.items()})

    @classmethod
    def concat(cls, parts: Iterable[Columns]) -> Columns:
        """Rows of all parts; parts add up."""
        every = [cls.empty(), *parts]
        return cls.trusted(
            **{f.name: np.concatenate([getattr(p, f.name) for p in every]) for f in fields(cls)}
        )

    def take(self, rows: npt.NDArray[Any]) -> Columns:
        """Rows by position or by mask."""
        return Columns.trusted(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass(frozen=True)
class Delta:
    """What changed since a snapshot was made: rows to add and rows to take away.

    A corrected event is its old row in `removed` and its new one in `added`.
    """

    added: Columns = field(default_factory=Columns.empty)
    removed: Columns = field(default_factory=Columns.empty)


@dataclass(frozen=True)
class Spec:
    """What a snapshot is made under: part of its identity.

    Attributes
    ----------
    kinds : tuple of str
        Names of the kinds, 1 to 256, no two alike; `Columns.kind` is the position.
    time_zone : str
        IANA name; local days, weeks, months and hours of the week are this zone's.

    Raises
    ------
    ValueError
        No kinds, too many, doubled ones, or a zone nobody knows.

    """

    kinds: tuple[str, ...]
    time_zone: str = "Asia/Shanghai"

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", tuple(self.kinds))
        if not 1 <= len(self.kinds) <= 256:
            raise ValueError(f"{len(self.kinds)} kinds: want 1 to 256")
        if len(set(self.kinds)) != len(self.kinds):
            raise ValueError(f"kinds are doubled: {self.kinds}")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"unknown time zone {self.time_zone!r}") from error
