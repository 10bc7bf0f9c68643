"""Instructions numba has no words for: 64 events looked up at once, memory fetched ahead. May import numba, llvmlite.

Promises: the same bits as looking at one event after the other (`geo.cube.count.spots_sure` does that
where the machine has no such instructions). A set of spots is a row of bits for each row of spots, 128
bytes: where one event looks up a word and shifts it, 64 look up their bytes in a register.

What is chosen is what numba compiles for (`NUMBA_CPU_NAME`, `NUMBA_CPU_FEATURES`), so that kept code
of another machine is never run.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.core.registry import cpu_target
from numba.extending import intrinsic

TOGETHER = 64
_ROWS = 128  # bytes of a set
_I1, _I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))


def instruction(function: Callable[..., Any]) -> Any:
    """Make a function of what writes its instructions; compiled code alone can call it."""
    return intrinsic(function)


# how bytes of a set are looked up: builder, the address of a set, which of its bytes
Way = Callable[[Any, Any, Any], Any]


def _vbmi(builder: Any, rows: Any, which: Any) -> Any:
    """Look up 64 bytes: two registers hold the set (AVX-512 VBMI)."""
    bytes64 = ir.VectorType(_I8, 64)
    permute = builder.module.declare_intrinsic(
        "llvm.x86.avx512.vpermi2var.qi.512", fnty=ir.FunctionType(bytes64, [bytes64] * 3)
    )
    at = builder.bitcast(rows, bytes64.as_pointer())
    low, high = (builder.load(builder.gep(at, [_I64(half)]), align=1) for half in range(2))
    return builder.call(permute, [low, which, high])


def _avx2(builder: Any, rows: Any, which: Any) -> Any:
    """Look up 32 bytes: eight times 16 of the set; a byte of another 16 gives zero."""
    bytes16, bytes32 = ir.VectorType(_I8, 16), ir.VectorType(_I8, 32)
    at = builder.bitcast(rows, bytes16.as_pointer())
    twice = ir.Constant(ir.VectorType(_I32, 32), [lane % 16 for lane in range(32)])
    found = ir.Constant(bytes32, [0] * 32)
    for part in range(_ROWS // 16):
        table = builder.load(builder.gep(at, [_I64(part)]), align=1)
        table = builder.shuffle_vector(table, ir.Constant(bytes16, ir.Undefined), twice)
        # below 16 when it is one of these; then 0x70 more leaves the highest bit alone
        inside = builder.xor(which, _all(_I8, 32, part * 16))
        found = builder.or_(
            found, _shuffled(builder, table, builder.add(inside, _all(_I8, 32, 0x70)))
        )
    return found


#: by the feature that it needs, the best first: so many at a time
WAYS: dict[str, tuple[int, Way]] = {"avx512vbmi": (64, _vbmi), "avx2": (32, _avx2)}


def features() -> frozenset[str]:
    """Features of the processor that numba compiles for, as LLVM names them."""
    told = cpu_target.target_context.codegen().magic_tuple()[2]
    found = {one[1:] for one in told.split(",") if one.startswith("+")}
    # 64 lanes of 16 bits and shuffles of them are another feature than the permutation
    return frozenset(found if "avx512bw" in found else found - {"avx512vbmi"})


def looking(feature: str) -> Any:
    """Make the compiled function of a way.

    Parameters
    ----------
    feature : str
        Of `WAYS`; the processor must have it.

    Returns
    -------
    function of (cell uint16 (n,), at int, spots uint32 (2, 32))
        Called by compiled code only, which does not compile with arrays of another type or with
        gaps between their numbers: addresses are taken from them. `cell` as in `geo.cube.build`, `spots` two sets: bit c of row r
        for the spot in that column and row. Gives two uint64: bit i says whether event `at` + i is in a
        spot of the first and of the second set. `at` + 64 must not be above n.

    """
    lanes, way = WAYS[feature]

    @instruction
    def look(context: Any, cell: Any, at: Any, spots: Any) -> Any:  # noqa: ARG001 numba wants it
        _refuse_others(cell, types.uint16, 1)
        _refuse_others(spots, types.uint32, 2)

        def code(context: Any, builder: Any, signature: Any, args: Sequence[Any]) -> Any:
            cells = context.make_array(signature.args[0])(context, builder, args[0]).data
            sets = context.make_array(signature.args[2])(context, builder, args[2]).data
            sets = builder.bitcast(sets, _I8.as_pointer())
            words = ir.VectorType(_I16, lanes)
            first = builder.bitcast(builder.gep(cells, [args[1]]), words.as_pointer())
            found = [_I64(0), _I64(0)]
            for part in range(TOGETHER // lanes):
                place = builder.load(builder.gep(first, [_I64(part)]), align=2)
                which, bit = _in_set(builder, place, lanes)
                for k in range(2):
                    rows = builder.gep(sets, [_I64(k * _ROWS)])
                    held = builder.and_(way(builder, rows, which), bit)
                    yes = builder.icmp_unsigned("!=", held, _all(_I8, lanes, 0))
                    yes = builder.bitcast(yes, ir.IntType(lanes))
                    yes = yes if lanes == TOGETHER else builder.zext(yes, _I64)
                    found[k] = builder.or_(found[k], builder.shl(yes, _I64(part * lanes)))
            return context.make_tuple(builder, signature.return_type, found)

        return types.UniTuple(types.uint64, 2)(cell, types.int64, spots), code

    return look


@instruction
def ones(context: Any, bits: Any) -> Any:  # noqa: ARG001 numba wants it
    """Count the bits of a uint64 that are set."""

    def code(context: Any, builder: Any, signature: Any, args: Sequence[Any]) -> Any:  # noqa: ARG001
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), code


@instruction
def lowest(context: Any, bits: Any) -> Any:  # noqa: ARG001 numba wants it
    """Position of the lowest bit that is set, of a uint64 that is not 0."""

    def code(context: Any, builder: Any, signature: Any, args: Sequence[Any]) -> Any:  # noqa: ARG001
        return builder.cttz(args[0], _I1(1))

    return types.uint64(types.uint64), code


@instruction
def ahead(context: Any, array: Any, at: Any) -> Any:  # noqa: ARG001 numba wants it
    """Have the line of memory fetched that holds `array[at]`, without waiting; any `at` is allowed."""

    def code(context: Any, builder: Any, signature: Any, args: Sequence[Any]) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        place = builder.bitcast(builder.gep(data, [args[1]]), _I8.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [place.type, _I32, _I32, _I32])
        fetch = builder.module.declare_intrinsic("llvm.prefetch.p0", fnty=kind)
        # to be read, soon and more than once, as data
        builder.call(fetch, [place, _I32(0), _I32(3), _I32(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), code


def _refuse_others(array: Any, dtype: Any, dimensions: int) -> None:
    want = types.Array(dtype, dimensions, "C")
    if not isinstance(array, types.Array) or array.copy(readonly=False) != want:
        raise TypingError(f"{array} is not {want}")


def _all(kind: Any, lanes: int, value: int) -> Any:
    return ir.Constant(ir.VectorType(kind, lanes), [value] * lanes)


def _shuffled(builder: Any, table: Any, which: Any) -> Any:
    """Bytes of a register, looked up inside each 16 of it."""
    kind = table.type
    name = "avx2.pshuf.b" if kind.count == 32 else "avx512.pshuf.b.512"
    shuffle = builder.module.declare_intrinsic(
        f"llvm.x86.{name}", fnty=ir.FunctionType(kind, [kind, kind])
    )
    return builder.call(shuffle, [table, which])


def _in_set(builder: Any, place: Any, lanes: int) -> tuple[Any, Any]:
    """Byte of a set, and bit of that byte, of each cell: 256 * row + column, 8 x 8 cells a spot."""

    def above(bits: int) -> Any:
        return builder.lshr(place, _all(_I16, lanes, bits))

    # a row of the set is four bytes: the row of the spot, and the highest two bits of its column
    which = builder.or_(
        builder.and_(above(9), _all(_I16, lanes, 0x7C)),
        builder.and_(above(6), _all(_I16, lanes, 3)),
    )
    bit = builder.and_(above(3), _all(_I16, lanes, 7))
    narrow = ir.VectorType(_I8, lanes)
    powers = ir.Constant(narrow, [1 << (lane & 7) for lane in range(lanes)])
    return builder.trunc(which, narrow), _shuffled(builder, powers, builder.trunc(bit, narrow))


_HAS = next((feature for feature in WAYS if feature in features()), "")
#: whether the processor looks up many at once; else `look` must not be called
AT_ONCE = bool(_HAS)
look: Any = looking(_HAS) if AT_ONCE else None
