"""The binary COPY writer: what PostgreSQL reads is what was given."""

from __future__ import annotations

import io

import numpy as np
import pytest
import sqlalchemy as sa

from app.database import raw
from app.services.binary_copy import HEADER, TRAILER, read_ints, rows


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


def test_ints_read_back(engine: sa.Engine) -> None:
    buffer = io.BytesIO()
    with engine.connect() as connection:
        raw(connection).cursor().copy_expert(
            "copy (select n, -n * 70000 from generate_series(1, 3) n) to stdout (format binary)",
            buffer,
        )
    data = buffer.getvalue()
    assert read_ints(data, 2).tolist() == [[1, -70000], [2, -140000], [3, -210000]]
    assert read_ints(HEADER + TRAILER, 2).shape == (0, 2)
    for wrong in (b"", data[:-1], data[:-4] + TRAILER):
        with pytest.raises(ValueError, match="not a binary COPY"):
            read_ints(wrong, 2)
    with pytest.raises(ValueError, match="of 3 int4"):
        read_ints(data, 3)
