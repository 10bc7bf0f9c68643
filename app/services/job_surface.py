"""Surfaces as files: a cloud-optimised GeoTIFF, and a picture for the map. Imports rasterio.

Promises: the same surface is the same bytes; greys only, never a class colour; the picture lies in
Web Mercator, as the map does, so that its four corners are enough to place it.
"""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from rasterio.transform import array_bounds
from rasterio.warp import Resampling, reproject, transform_bounds

from app.api.job_models import Picture, Shade

Floats = npt.NDArray[np.float64]
#: From light to dark on the light ground, ink at the end; told apart in print (LOOK 5).
GREYS = ("#d3d7dc", "#b4bac2", "#959da7", "#76808c", "#59636f", "#3f4854", "#232a33")
OPAQUE = 224
LONGEST_SIDE = 1600


def tif(values: Floats, transform: Affine, crs: str, tags: dict[str, str]) -> bytes:
    """Cloud-optimised GeoTIFF of one band: float32, nan outside, deflate, with overviews."""
    rows, columns = values.shape
    with MemoryFile() as memory:
        with memory.open(
            driver="COG", height=rows, width=columns, count=1, dtype="float32", crs=crs,
            transform=transform, nodata=float("nan"), compress="DEFLATE", predictor="FLOATING_POINT",
            blocksize=256, overviews="AUTO", overview_resampling="AVERAGE", num_threads=1,
        ) as file:  # fmt: skip
            file.write(values.astype(np.float32), 1)
            file.set_band_description(1, "events per km2")
            file.update_tags(**tags)
        return bytes(memory.read())


def breaks(values: Floats, number: int = len(GREYS)) -> list[float]:
    """Find round lower bounds of the greys: ascending, the first above nothing at all."""
    highest = float(np.nanmax(values, initial=0.0))
    if not highest > 0:
        return []
    # the root of the density spreads the greys where few peaks stand over wide plains
    found = []
    for one in range(number):
        raw = highest * ((one + 0.5) / (number + 0.5)) ** 2
        scale = 10 ** (math.floor(math.log10(raw)) - 1)
        found.append(float(f"{math.floor(raw / scale) * scale:.2g}"))
    return [a for a, b in itertools.zip_longest(found, found[1:]) if a > 0 and a != b]


def picture(values: Floats, transform: Affine, crs: str) -> tuple[bytes, Picture]:
    """Draw a surface: PNG with transparency, and where it lies."""
    rows, columns = values.shape
    west, south, east, north = transform_bounds(
        crs, "EPSG:3857", *array_bounds(rows, columns, transform), densify_pts=21
    )
    side = max((east - west), (north - south)) / min(LONGEST_SIDE, 2 * max(rows, columns))
    width, height = math.ceil((east - west) / side), math.ceil((north - south) / side)
    there = Affine(side, 0, west, 0, -side, north)
    drawn = np.full((height, width), np.nan)
    reproject(
        values, drawn, src_transform=transform, src_crs=crs, src_nodata=np.nan,
        dst_transform=there, dst_crs="EPSG:3857", dst_nodata=np.nan, resampling=Resampling.bilinear,
    )  # fmt: skip
    edges = breaks(values)
    greys = GREYS[len(GREYS) - len(edges) :]
    shade = np.searchsorted(edges, np.nan_to_num(drawn, nan=-1.0), side="right")
    table = np.zeros((len(edges) + 1, 4), np.uint8)
    for at, grey in enumerate(greys, start=1):
        table[at] = [int(grey[i : i + 2], 16) for i in (1, 3, 5)] + [OPAQUE]
    bands = np.moveaxis(table[shade], -1, 0)
    with MemoryFile() as memory, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # a PNG never is
        with memory.open(
            driver="PNG", height=height, width=width, count=4, dtype="uint8", zlevel=9
        ) as file:
            file.write(bands)
        body = bytes(memory.read())
    box = transform_bounds(
        "EPSG:3857", "EPSG:4326", west, north - height * side, west + width * side, north
    )
    legend = [Shade(above=edge, colour=grey) for edge, grey in zip(edges, greys, strict=True)]
    return body, Picture(bounds=box, width=width, height=height, legend=legend)
