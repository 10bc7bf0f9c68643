"""Exposures from a raster: a GeoTIFF of amounts per pixel becomes values of a measure.

Imports `geo.raster` for the sums, `exposures` and `exposure_grids` for storing them. Promises: the leaf units get the
part of each pixel they cover, coarser units the sum of their children; a unit the raster knows too
little of gets no value, and neither does anything above it; what lies outside all units, or in a
unit without a value, is told and never spread over the others; the pixels of each unit are kept as
weights (`exposure_grids`); all or nothing, and the same file again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
import sqlalchemy as sa

from app.errors import Invalid
from app.services.boundaries import BoundaryVersion, newest_version
from app.services.exposure_grids import Keeper
from app.services.exposures import EARLIEST, check_measure, import_frame
from geo.raster import RasterError, RasterSums, sum_by_area

Floats = npt.NDArray[np.float64]

#: a unit known for less than this part of its area is named
WHOLE = 0.999


@dataclass(frozen=True)
class Partly:
    """A leaf unit without a value in part of its area."""

    code: str
    name: str
    known: float


@dataclass
class RasterReport:
    """What an import of a raster did; amounts are in the unit of the raster.

    total : all of the pixels that units touch; = assigned + left_out + outside
    assigned : what the leaf units with a value got
    left_out : lies in leaf units known too little of
    outside : lies in no leaf unit
    shared : of `assigned` and `left_out`, lies in several units and was divided among them
    leaves, units : leaf units with a value; units of every level with one
    missing : leaf units known too little of, or not at all
    partly : leaf units known in part, the worst first
    new, updated, unchanged : values stored (0 in a dry run)
    """

    version: str
    crs: str
    band: int
    total: float
    assigned: float
    left_out: float
    outside: float
    shared: float
    pixels: int
    leaves: int
    units: int
    missing: int
    partly: list[Partly] = field(default_factory=list)
    new: int = 0
    updated: int = 0
    unchanged: int = 0

    @property
    def outside_share(self) -> float:
        """Part of the total that lies in no leaf unit."""
        return self.outside / self.total if self.total else 0.0


def import_raster(
    engine: sa.Engine,
    path: str | Path,
    *,
    pack: str,
    measure: str,
    as_of: date,
    source: str = "",
    band: int | None = None,
    crs: str | None = None,
    nodata: float | None = None,
    zero: bool = False,
    least: float = 0.5,
    dry_run: bool = False,
    today: date | None = None,
    progress: Callable[[float], None] | None = None,
) -> RasterReport:
    """Sum a raster over the leaf units of a pack's newest version and store it as a measure.

    Parameters
    ----------
    engine : sa.Engine
    path : str or Path
        GeoTIFF of amounts per pixel (not of densities).
    pack, measure : str
    as_of : date
        Day the values describe.
    source : str
        Where the values come from, kept with them; default: the name of the file.
    band, crs, nodata, zero
        See `geo.raster.sum_by_area`.
    least : float
        A leaf unit gets a value when at least this part (0 to 1) of its area has pixels with one.
    dry_run : bool
        Sum and report, store nothing.
    today : date, optional
        The present; default: that of the clock.
    progress : callable, optional
        Called with the part done, 0 to 1.

    Raises
    ------
    NotFound
        The pack has no boundaries.
    Invalid
        The raster or an option cannot be used; nothing was written.
    """
    check_measure(measure)
    latest = (today or datetime.now(UTC).date()) + timedelta(days=1)
    if not EARLIEST <= as_of <= latest:
        raise Invalid(f"as of {as_of}: a day from {EARLIEST} to {latest} is wanted")
    if not 0 <= least <= 1:
        raise Invalid(f"least {least:g} is no part between 0 and 1")
    with engine.connect() as connection:
        version = newest_version(connection, pack)
        units = _units(connection, version)
    leaves = (units.leaves + 1).tolist()
    with closing(Keeper(leaves, [units.codes[i] for i in units.leaves])) as keeper:
        try:
            sums = sum_by_area(
                path,
                units.shapes,
                band=band,
                crs=crs,
                nodata=nodata,
                zero=zero,
                progress=progress,
                keep=None if dry_run else keeper.keep,
            )
        except RasterError as error:
            said = str(error)
            for word, option in _OPTIONS.items():
                said = said.replace(f"({word}", f"({option}")
            raise Invalid(said) from error
        values = _values(units, sums, least)
        report = _report(version, units, sums, values)
        if dry_run:
            return report
        if report.leaves == 0:
            raise Invalid(
                f"{Path(path).name} has values for less than {least:.0%} of every unit: "
                "nothing to store"
            )
        known = np.flatnonzero(~np.isnan(values))
        frame = pd.DataFrame(
            {
                "code": [units.codes[i] for i in known],
                "measure": measure,
                "value": values[known],
            }
        )
        named = source or Path(path).name
        without = [one for one in leaves if np.isnan(values[one - 1])]
        done = import_frame(
            engine,
            frame,
            pack=pack,
            source=named,
            as_of=as_of,
            today=today,
            beside=lambda connection: keeper.store(
                connection, version=version.id, measure=measure, as_of=as_of, source=named,
                without=without,
            ),
        )  # fmt: skip
    assert done.rejected == 0, done.reasons
    report.new, report.updated, report.unchanged = done.new, done.updated, done.unchanged
    return report


_OPTIONS = {"band)": "--band)", "crs,": "--crs,", "nodata)": "--nodata)"}


@dataclass(frozen=True)
class _Units:
    """Units in id order, coarse first (n,): position = id - 1; `shapes` of the `leaves` alone."""

    codes: list[str]
    names: list[str]
    parents: npt.NDArray[np.int64]  # position of the parent, -1 for none
    depth: npt.NDArray[np.int64]
    leaves: npt.NDArray[np.int64]
    shapes: npt.NDArray[np.object_]


def _units(connection: sa.Connection, version: BoundaryVersion) -> _Units:
    rows = connection.execute(
        sa.text(
            "select code, name, level, coalesce(parent_id, 0) as above, case when exists (select "
            "from unit c where c.boundary_version_id = :v and c.parent_id = u.id) then null "
            "else st_asbinary(geom) end as shape from unit u where boundary_version_id = :v order by id"
        ),
        {"v": version.id},
    ).all()
    leaves = np.array([i for i, row in enumerate(rows) if row.shape is not None], dtype=np.int64)
    return _Units(
        codes=[row.code for row in rows],
        names=[row.name for row in rows],
        parents=np.array([row.above - 1 for row in rows], dtype=np.int64),
        depth=np.array([version.levels.index(row.level) for row in rows], dtype=np.int64),
        leaves=leaves,
        shapes=shapely.from_wkb([bytes(rows[i].shape) for i in leaves]),
    )


def _values(units: _Units, sums: RasterSums, least: float) -> Floats:
    """Value of every unit (n,), nan where it or something in it is not known."""
    values = np.zeros(len(units.codes))
    # rounding must not lose a unit that is known as a whole
    enough = ~np.isnan(sums.values) & (sums.known >= least - 1e-9)
    values[units.leaves] = np.where(enough, sums.values, np.nan)
    for depth in range(int(units.depth.max()), 0, -1):
        # finer levels are complete before their sums are handed on; nan spoils them
        at = np.flatnonzero((units.depth == depth) & (units.parents >= 0))
        np.add.at(values, units.parents[at], values[at])
    return values


def _report(
    version: BoundaryVersion, units: _Units, sums: RasterSums, values: Floats
) -> RasterReport:
    missing = np.isnan(values[units.leaves])
    left_out = float(np.nansum(sums.values[missing]))
    some = np.flatnonzero((sums.known < WHOLE) & ~np.isnan(sums.values))
    worst = some[np.argsort(sums.known[some], kind="stable")]
    return RasterReport(
        version=version.label,
        crs=sums.crs,
        band=sums.band,
        total=sums.total,
        assigned=float(sums.assigned - left_out),
        left_out=left_out,
        outside=sums.outside,
        shared=sums.shared,
        pixels=sums.pixels,
        leaves=int((~missing).sum()),
        units=int((~np.isnan(values)).sum()),
        missing=int(missing.sum()),
        partly=[
            Partly(units.codes[i], units.names[i], float(known))
            for i, known in zip(units.leaves[worst].tolist(), sums.known[worst], strict=True)
        ],
    )
