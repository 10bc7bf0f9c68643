"""Compiling of inner loops. May import numba only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """`numba.njit` that frees the interpreter for other threads, cached beside the source.

    The type checker sees the function itself.
    """
    return cast("Function", numba.njit(cache=True, nogil=True, error_model="numpy")(function))
