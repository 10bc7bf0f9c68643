"""What the fuzz tests share: how often they try, how good files are spoilt, and a guard on time."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

#: Seconds of this process's own work (not of the clock: a busy machine changes nothing) that one
#: example may take before it counts as a hang.
LONGEST = 60

Hunt = Callable[[st.SearchStrategy[Any], Callable[[Any], object]], None]


@pytest.fixture(params=[200, pytest.param(5000, marks=pytest.mark.slow)])
def examples(request: pytest.FixtureRequest) -> int:
    """How many examples a parser is tried with."""
    number: int = request.param
    return number


def _hang(*_: object) -> None:
    raise AssertionError(f"one example worked for more than {LONGEST} s")


@pytest.fixture
def hunt(examples: int) -> Iterator[Hunt]:
    """Try a parser on the same examples at every run; each must end."""

    def run(strategy: st.SearchStrategy[Any], check: Callable[[Any], object]) -> None:
        @settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],  # what it finds is printed as found: shrinking can take hours
            report_multiple_bugs=False,
        )
        @given(strategy)
        def one(value: Any) -> None:
            signal.setitimer(signal.ITIMER_PROF, LONGEST)
            try:
                check(value)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)

        one()

    before = signal.signal(signal.SIGPROF, _hang)
    yield run
    signal.signal(signal.SIGPROF, before)


#: Bytes that mean something to one parser or another.
TELLING = [
    b"", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\n", b'"', b"'", b",", b"[", b"]",
    b"{", b"}", b":", b"- ", b"&a ", b"*a", b"!!int ", b"? ", b"null", b"NaN", b"Infinity", b"-1", b"1e999",
    b"9" * 30, b"9" * 5000, b"2024-13-45", b"0b_", b"1:99", b"\xe4\xb8", b"\xb9\xfa", "，".encode(),
    "\u2028".encode(), b"[" * 2000, b"{" * 3000, b'{"a":' * 1500, b"true", b"\xf0\x9f\x98\x80", b"\\ud800",
]  # fmt: skip

_place = st.integers(0, 2**20)
_change = st.tuples(
    st.sampled_from(["flip", "put", "over", "drop", "twice", "cut", "tail"]),
    _place,
    st.integers(1, 64),
    st.one_of(st.sampled_from(TELLING), st.binary(max_size=8)),
)


def _spoil(good: bytes, changes: list[tuple[str, int, int, bytes]]) -> bytes:
    data = bytearray(good)
    for kind, place, length, new in changes:
        at = place % (len(data) + 1)
        if kind == "flip" and at < len(data):
            data[at] ^= length
        elif kind == "put":
            data[at:at] = new
        elif kind == "over":
            data[at : at + len(new)] = new
        elif kind == "drop":
            del data[at : at + length]
        elif kind == "twice":
            data[at:at] = data[at : at + length]
        elif kind == "cut":
            del data[at:]
        elif kind == "tail":
            del data[:at]
    return bytes(data)


def spoilt(*good: bytes) -> st.SearchStrategy[bytes]:
    """Good files with a few bytes flipped, put in, written over, dropped, doubled or cut off."""
    return st.builds(_spoil, st.sampled_from(good), st.lists(_change, min_size=1, max_size=4))


def files(*good: bytes) -> st.SearchStrategy[bytes]:
    """Spoilt good files, some in another encoding, and now and then bytes of no meaning at all."""
    texts = [one.decode() for one in good]
    other = [
        text.encode(name, "replace") for text in texts for name in ("utf-16", "gb18030", "latin-1")
    ]
    kinds = [spoilt(*good), spoilt(*good), spoilt(*other), st.binary(max_size=300)]
    return st.one_of(*kinds)
