"""Compiling of inner loops. May import numba only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """`numba.njit` that frees the interpreter for other threads, cached beside the source.

    The type checker sees the function itself.
    """
    return cast("Function", numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def borrowing(function: Function) -> Function:
    """Compile a function that makes no arrays: those handed to it live with its caller.

    numba counts who holds an array, one locked addition and subtraction for each that is handed on.
    Where a call answers in some ten nanoseconds that is most of the time; here it is left out.
    """
    return cast("Function", cast("Any", numba.njit)(cache=True, nogil=True, _nrt=False)(function))


def comparing(function: Function) -> Function:
    """Do as `borrowing` where no number is nan and -0.0 is 0.0: then many are compared at once."""
    return cast(
        "Function",
        cast("Any", numba.njit)(cache=True, nogil=True, _nrt=False, fastmath={"nnan", "nsz"})(
            function
        ),
    )
