"""Tiles of the cells of a boundary version, from arrays read once and kept."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
import sqlalchemy as sa

from app.services.caches import Caches
from app.services.cells_grid import places
from app.services.units import unit_table
from tiles import cells as cell_tiles
from tiles.cells import CellLayer
from tiles.levels import ZoomRange


class Reads(Protocol):
    """Where a transaction comes from when one is needed."""

    caches: Caches

    def read(self) -> AbstractContextManager[sa.Connection]:
        """Begin a read-only transaction."""


def layer(store: Reads, digest: str) -> CellLayer:
    """Cells of a digest that may be seen, ready to be cut into tiles; the database is asked once.

    Raises
    ------
    NotFound
        There are no such cells.
    """

    def make() -> CellLayer:
        with store.read() as connection:
            grid = places(connection, store.caches, digest)
            table = unit_table(connection, store.caches, grid.version_id)
        # the parent of a leaf: nobody looks into a leaf, and neighbours then share their code
        above = [
            table.codes[parent - 1] if parent else code
            for code, parent in zip(table.codes, table.parent_of.tolist(), strict=True)
        ]
        own = np.flatnonzero(grid.own)
        codes = [above[one - 1] for one in grid.owner[own].tolist()]
        return CellLayer(grid.cells[own], codes, grid.res, own)

    return store.caches.cell_layers.get(digest, make)


def native(one: CellLayer) -> ZoomRange:
    """Zooms for which tiles of a layer are made."""
    return cell_tiles.native(one.res)
