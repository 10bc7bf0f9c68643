"""Arrays of a snapshot for compiled code as one array of addresses. May import numpy, numba.

Handing twenty arrays to compiled code takes longer than counting an area of 1 km: each is looked at,
counted and put together anew. Addresses are looked up once per snapshot.

Promises: what `table` gives is right as long as its arrays live; arrays of another type or shape than
the compiled code takes are refused before their address is taken.
"""

# Python and numpy integers are one to the compiler:
# mypy: disable-error-code="no-untyped-call, no-untyped-def, misc"

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from geo.cube.store import SnapshotError

Array = npt.NDArray[Any]

#: arrays of the table, in its order; type and number of dimensions
COLUMNS = (
    ("block_key", "int32", 1), ("block_tiles", "uint32", 1), ("tile_id", "uint8", 1),
    ("tile_start", "uint32", 1), ("time", "uint32", 1), ("kind", "uint8", 1), ("cell", "uint16", 1),
    ("point", "float64", 2), ("cube_row", "int32", 1), ("cube", "uint32", 3),
    ("part_start", "uint32", 1), ("part", "uint16", 1), ("step_edge", "int64", 1),
)  # fmt: skip
#: numbers before them
BASE, SIDE, SHIFT, FIRST = 0, 1, 2, 3
#: of an array: address and three lengths
WORDS = 4


def table(arrays: Mapping[str, Array]) -> npt.NDArray[np.int64]:
    """Numbers and addresses of the arrays of a snapshot.

    Raises
    ------
    SnapshotError
        An array is not of the type that `geo.cube.build` makes.

    """
    words = [int(arrays[name][0]) for name in ("base", "side", "part_shift")]
    for name, dtype, dimensions in COLUMNS:
        array = arrays[name]
        if array.dtype != dtype or array.ndim != dimensions or not array.flags.c_contiguous:
            raise SnapshotError(f"{name} is {array.dtype} {array.shape}, not {dtype}")
        words += [array.ctypes.data, *array.shape, *[0] * (WORDS - 1 - dimensions)]
    return np.array(words, np.int64)


def _viewer(dtype: Any, dimensions: int) -> Any:
    made = numba.types.Array(dtype, dimensions, "C", readonly=True)

    @intrinsic
    def view(_context, words, _position):
        def code(context, builder, signature, arguments):
            words_array = make_array(signature.args[0])(context, builder, arguments[0])
            position = arguments[1]

            def word(n):
                at = builder.add(position, position.type(n))
                return builder.load(builder.gep(words_array.data, [at]))

            shape = [word(1 + n) for n in range(dimensions)]
            size = context.get_abi_sizeof(context.get_data_type(dtype))
            strides: list[Any] = []
            step = position.type(size)
            for length in reversed(shape):
                strides.insert(0, step)
                step = builder.mul(step, length)
            array = make_array(made)(context, builder)
            populate_array(
                array,
                data=builder.inttoptr(word(0), array.data.type),
                shape=cgutils.pack_array(builder, shape),
                strides=cgutils.pack_array(builder, strides),
                itemsize=position.type(size),
                meminfo=None,
            )
            return array._getvalue()

        return made(words, numba.types.intp), code

    return view


as_int32 = _viewer(numba.types.int32, 1)
as_uint32 = _viewer(numba.types.uint32, 1)
as_uint16 = _viewer(numba.types.uint16, 1)
as_uint8 = _viewer(numba.types.uint8, 1)
as_int64 = _viewer(numba.types.int64, 1)
as_points = _viewer(numba.types.float64, 2)
as_cube = _viewer(numba.types.uint32, 3)
