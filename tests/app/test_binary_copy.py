"""The binary COPY writer: what PostgreSQL reads is what was given."""

from __future__ import annotations

import datetime as dt
import io

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from app.database import raw
from app.services.binary_copy import HEADER, TRAILER, arrow_rows, read_columns, rows


def test_postgres_reads_what_was_written(engine: sa.Engine) -> None:
    random = np.random.default_rng(3)
    small = random.integers(-30000, 30000, (5, 3)).astype(np.int16)
    whole = random.integers(-(2**31), 2**31 - 1, (5, 3)).astype(np.int32)
    real = random.normal(size=(5, 3))
    real[1, 2] = np.nan
    one = real[:, 0].copy()
    text = np.array([b"3301", b"3302", b"330101", "浙".encode(), b""], "S")
    columns = (7, np.arange(5, dtype=np.int32), text, "网格", small, whole, real, one)
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "create temp table t (a int, b int, c text, d text, e smallint[], f int[], "
            "g float8[], h float8)"
        )
        data = HEADER + b"".join(rows(columns)) + TRAILER
        raw(connection).cursor().copy_expert("copy t from stdin (format binary)", io.BytesIO(data))
        found = connection.exec_driver_sql("select * from t order by b").all()
    for at, row in enumerate(found):
        assert row[:4] == (7, at, text[at].decode(), "网格")
        assert row[4] == small[at].tolist()
        assert row[5] == whole[at].tolist()
        np.testing.assert_array_equal(row[6], real[at])
        assert row[7] == one[at]


def test_no_rows_give_no_blocks() -> None:
    assert list(rows((1, np.empty(0, np.int32)))) == []


def test_wrong_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="different lengths"):
        list(rows((np.zeros(2, np.int32), np.zeros(3))))
    with pytest.raises(ValueError, match="int16, int32 or float64"):
        list(rows((np.zeros(2, np.uint8),)))


def test_numbers_read_back(engine: sa.Engine) -> None:
    buffer = io.BytesIO()
    with engine.connect() as connection:
        raw(connection).cursor().copy_expert(
            "copy (select n, n::smallint, n / 7::float8 from generate_series(-1, 1) n) "
            "to stdout (format binary)",
            buffer,
        )
    data, types = buffer.getvalue(), (">i4", ">i2", ">f8")
    found = read_columns(data, types)
    assert [one.tolist() for one in found] == [[-1, 0, 1], [-1, 0, 1], [-1 / 7, 0, 1 / 7]]
    assert [one.dtype for one in found] == [np.int32, np.int16, np.float64]
    assert read_columns(HEADER + TRAILER, types)[2].shape == (0,)
    for wrong in (b"", data[:-1], data[:-4] + TRAILER):
        with pytest.raises(ValueError, match="not a binary COPY of 3 columns"):
            read_columns(wrong, types)
    for other in ((">i4", ">i4", ">f8"), (">i4", ">i2", ">f8", ">i4"), (">i2", ">i4", ">f8")):
        with pytest.raises(ValueError, match="not a binary COPY"):
            read_columns(data, other)


# naive, as Arrow and PostgreSQL keep them
_TIMES = st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 1, 1))  # noqa: DTZ001
_TYPES = (
    (pa.string(), "text", st.text(st.characters(exclude_characters="\0", codec="utf-8"))),
    (pa.bool_(), "boolean", st.booleans()),
    (pa.int16(), "smallint", st.integers(-(2**15), 2**15 - 1)),
    (pa.int32(), "int", st.integers(-(2**31), 2**31 - 1)),
    (pa.int64(), "bigint", st.integers(-(2**63), 2**63 - 1)),
    (pa.float64(), "float8", st.floats(allow_nan=False)),
    (pa.timestamp("us"), "timestamp", _TIMES),
    (pa.timestamp("s"), "timestamp", _TIMES.map(lambda at: at.replace(microsecond=0))),
    (pa.binary(3), "bytea", st.binary(min_size=3, max_size=3)),
    (pa.binary(), "bytea", st.binary()),
)


@hypothesis.settings(
    max_examples=60,
    deadline=None,
    # the table goes with each transaction
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(data=st.data())
def test_postgres_reads_arrow_columns(engine: sa.Engine, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 6))
    chosen = data.draw(st.lists(st.sampled_from(_TYPES), min_size=1, max_size=8))
    values = [
        data.draw(st.lists(given | st.none(), min_size=count + 1, max_size=count + 1))
        for _, _, given in chosen
    ]
    # a slice: what stands before it is not sent
    columns = [pa.array(v, kind).slice(1) for v, (kind, _, _) in zip(values, chosen, strict=True)]
    with engine.connect() as connection:
        names = ", ".join(f"c{i} {sql}" for i, (_, sql, _) in enumerate(chosen))
        connection.exec_driver_sql(f"create temp table t (at serial, {names})")
        listed = ", ".join(f"c{i}" for i in range(len(chosen)))
        sent = io.BytesIO(b"".join((HEADER, arrow_rows(columns), TRAILER)))
        raw(connection).cursor().copy_expert(f"copy t ({listed}) from stdin (format binary)", sent)
        found = connection.exec_driver_sql(f"select {listed} from t order by at").all()
        connection.rollback()
    back = [tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in found]
    assert back == list(zip(*(v[1:] for v in values), strict=True))


def test_arrow_columns_without_wire_form() -> None:
    with pytest.raises(ValueError, match="no wire form of float"):
        arrow_rows([pa.array([1.0], pa.float32())])
    with pytest.raises(ValueError, match="different lengths"):
        arrow_rows([pa.array([1]), pa.array([1, 2])])
