"""Treaties and packages misused by a side that may sign: what its treaty does not let it do is refused."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from app.database import transaction
from app.errors import Conflict, Invalid
from app.services import treaties, treaty_files, treaty_keys, treaty_packages, treaty_pull
from app.services.treaties import Terms
from app.services.treaty_packages import Package

from .conftest import install
from .test_treaty import DAY, MINE, TERMS, THEIRS, Pair
from .test_treaty import pair as pair  # noqa: PLC0414  (a fixture)


def again(pair: Pair, one: Package, data: bytes | None = None, **more: Any) -> Package:
    """The package signed anew by its own side, with something else in it."""
    body = one.data if data is None else data
    said = {
        **one.about, "nonce": secrets.token_hex(16), "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(), **more,
    }  # fmt: skip
    made: Package = pair.sign(said, body)
    return made


# who agrees --------------------------------------------------------------------------------------
def test_some_sides_do_not_replace_what_all_agreed(engine: sa.Engine) -> None:
    third = "330103"
    install(engine)
    three = replace(TERMS, name="three", sides=tuple(sorted((MINE, THEIRS, third))), min_count=12)
    with transaction(engine) as connection:
        treaties.propose(connection, "small", MINE, three)
        for side in three.sides:
            treaties.decide(connection, "three", 1, side, "accept")
        assert treaties.limits(connection, "small", [MINE, third], DAY) == (12, 6)
    with pytest.raises(Conflict, match="sides"), transaction(engine) as connection:
        treaties.propose(connection, "small", MINE, replace(TERMS, name="three", min_count=2))
    with engine.connect() as connection:
        assert treaties.limits(connection, "small", [MINE, third], DAY) == (12, 6)


def test_nobody_here_decides_for_a_side_that_signs_elsewhere(pair: Pair) -> None:
    with transaction(pair.receiver) as connection:
        number = treaties.propose(
            connection, "small", THEIRS, replace(TERMS, name="counties", note="once more")
        )
    with (
        pytest.raises(Conflict, match="installation of its own"),
        transaction(pair.receiver) as connection,
    ):
        treaties.decide(connection, "counties", number, MINE, "accept")
    # nor with a key made here when all of that side's are out of use
    with pair.receiver.connect() as connection:
        for one in treaty_keys.keys(connection, MINE):
            treaty_keys.retire(connection, one.key_id)
        with pytest.raises(Conflict, match="installation of its own"):
            treaty_keys.own_key(connection, pair.keys[pair.receiver], MINE)
        with pytest.raises(Conflict, match="installation of its own"):
            treaty_keys.rotate(connection, pair.keys[pair.receiver], MINE)
        connection.rollback()


@pytest.mark.parametrize(
    "change",
    [
        {"kinds": {"theft": {"resident": float("nan")}}},
        {"min_count": float("inf")},
        {"periods": [["month"]]},
        {"periods": None},
    ],
)
def test_odd_numbers_are_no_terms(change: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        Terms.of(json.loads(json.dumps({**TERMS.body(), **change})))


# what a package says -----------------------------------------------------------------------------
def test_nothing_is_told_before_the_agreed_delay(pair: Pair) -> None:
    one = pair.export()
    early = again(pair, one, cutoff=(DAY - timedelta(days=TERMS.delay_days - 1)).isoformat())
    assert "7 days" in pair.refused(lambda: early, "content")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda starts: [*starts, "2024-10-01"], "over"),  # it ends after the cut-off
        (lambda starts: [*starts[:-1], "2024-07-02"], "first day"),
        (lambda starts: [starts[0], *starts[2:]], "gap"),
        (lambda starts: starts[::-1], "gap"),
        (lambda starts: [*starts, starts[-1]], "gap"),
    ],
)
def test_periods_are_whole_over_and_without_gap(pair: Pair, change: Any, words: str) -> None:
    one = pair.export()
    starts = list(one.about["periods"]["quarter"])
    assert len(starts) > 2
    assert starts[-1] == "2024-07-01"
    made = again(pair, one, periods={"quarter": change(starts)})
    assert words in pair.refused(lambda: made, "content")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "call 13812345678"},
        {"name": "x" * 5_000},
        {"name": "a\u202eb"},
        {"name": ""},
    ],
)
def test_a_name_is_a_name(pair: Pair, change: dict[str, Any]) -> None:
    pair.refused(lambda: again(pair, pair.export(), **change), "content")


def test_numbers_of_a_manifest_have_a_size(pair: Pair) -> None:
    one = pair.export()
    change: dict[str, Any]
    for change in ({"sequence": 2**31}, {"rows": -1}, {"bytes": 2**70}, {"version": 2**40}):
        with pytest.raises(Invalid) as found:
            again(pair, one, **change)
        assert found.value.detail["reason"] == "malformed", change


def test_a_small_file_does_not_become_a_large_one(pair: Pair) -> None:
    one = pair.export()
    rows = 20_000
    long = "8" * 100_000  # once in the file, and 2 GB when written out for every row
    columns: dict[str, Any] = {
        "part": ["count"] * rows,
        "cell": pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [long]),
        "kind": ["theft"] * rows, "period": ["quarter"] * rows, "start": [DAY] * rows,
        "events": [5] * rows, "measure": [None] * rows, "value": [None] * rows,
        "geometry": [None] * rows,
    }  # fmt: skip
    at = treaty_files.SCHEMA.get_field_index("cell")
    words = pa.dictionary(pa.int32(), pa.string())
    schema = treaty_files.SCHEMA.set(at, pa.field("cell", words, nullable=False))
    table = pa.table(columns, schema=schema)
    # the file does not say that it was written from a dictionary
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", store_schema=False)
    body = out.getvalue()
    assert len(body) < 100_000
    pool = pa.default_memory_pool()
    before = pool.max_memory() or 0
    assert "long" in pair.refused(lambda: again(pair, one, body, rows=rows), "content")
    assert (pool.max_memory() or 0) - before < 64 * 2**20


# a stolen key ------------------------------------------------------------------------------------
def test_a_stolen_key_does_not_end_a_side_for_good(pair: Pair) -> None:
    one = pair.export()
    last = again(pair, one, sequence=2**31 - 1)
    treaty_packages.take_in(pair.receiver, last, DAY)
    later = pair.export()
    pair.refused(lambda: later, "old", Conflict)
    with transaction(pair.sender) as connection:
        new = treaty_keys.rotate(connection, pair.keys[pair.sender], MINE)
    with transaction(pair.receiver) as connection:
        treaty_keys.register(connection, MINE, new.public_key)
        treaty_keys.retire(connection, one.about["key"])
        assert treaty_pull.taken(connection, "counties", MINE) < 2**31 - 1
    fresh = pair.export()
    fresh = again(pair, fresh, name="named anew")
    treaty_packages.take_in(pair.receiver, fresh, DAY)
    older = again(pair, fresh, sequence=fresh.about["sequence"])
    pair.refused(lambda: older, "old", Conflict)
    with pair.receiver.connect() as connection:
        row = connection.execute(
            sa.text("select nonce from treaty_package where side = :side order by id desc"),
            {"side": MINE},
        ).scalars()
        assert next(row) == fresh.about["nonce"]
        told = treaty_packages.newest(connection, pair.version(pair.receiver), MINE)
    assert told is not None
    assert told.name == "named anew"
