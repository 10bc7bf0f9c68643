"""GeoJSON with codes written as numbers: the digits survive."""

from __future__ import annotations

import gzip
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services import event_geojson
from app.services.event_files import Wanted, open_feed
from app.services.event_geojson import quote_long_numbers

CODE = 330102001001001000100010001
WANTED = Wanted(("code", "n", "note"), optional=("note",))


def quoted(text: str, block: int = 1 << 20) -> tuple[str, int]:
    out = io.BytesIO()
    count = quote_long_numbers(io.BytesIO(text.encode()), out, block)
    return out.getvalue().decode(), count


def collection(*properties: dict[str, Any]) -> str:
    features = [
        {
            "type": "Feature",
            "properties": one,
            "geometry": {"type": "Point", "coordinates": [120, 30]},
        }
        for one in properties
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


@pytest.mark.parametrize("name", ["a.geojson", "a.geojson.gz"])
def test_a_bare_code_of_27_digits_keeps_them(tmp_path: Path, name: str) -> None:
    note = f'he said \\ "{CODE}", and [{CODE}]'
    text = collection(
        {"code": CODE, "n": 1, "note": note},
        {"code": 330102, "n": 2.5},
        {"code": str(CODE + 1), "n": -3, "note": "none"},
    )
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    feed = open_feed(path, WANTED)
    assert feed.rows == 3
    (chunk,) = feed.chunks(100)
    assert chunk.table["code"].to_pylist() == [str(CODE), "330102", str(CODE + 1)]
    assert chunk.table["n"].to_pylist() == [1, 2.5, -3]
    assert chunk.table["note"].to_pylist() == [note, None, "none"]
    assert chunk.table[event_geojson.GEOMETRY[0]].to_pylist() == [120, 120, 120]


def test_without_long_numbers_nothing_is_copied(tmp_path: Path, monkeypatch: Any) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("copied")

    monkeypatch.setattr(event_geojson, "quote_long_numbers", fail)
    path = tmp_path / "a.geojson"
    path.write_text(collection({"code": 330102001001001000, "n": 1}))
    (chunk,) = open_feed(path, WANTED).chunks(10)
    assert chunk.table["code"].to_pylist() == [330102001001001000]


def test_the_copy_is_gone_with_the_feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    path = tmp_path / "a.geojson"
    path.write_text(collection({"code": CODE, "n": 1}))
    feed = open_feed(path, WANTED)
    assert len(list((tmp_path / "t").iterdir())) == 1
    del feed
    assert list((tmp_path / "t").iterdir()) == []


def test_only_whole_numbers_outside_strings_are_quoted() -> None:
    long = "1" * 19
    same = f'{{"a": "{long}", "b": 0.{long}, "c": {long}.5, "d": {long}e3, "e": {"1" * 18}}}'
    assert quoted(same) == (same, 0)
    assert quoted(f"[{long},-{long} ,{long}]") == (f'["{long}","-{long}" ,"{long}"]', 3)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.sampled_from('ab"\\\\1234567890,: []{}五'), max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


def quote_twin(value: Any) -> Any:
    """The same, of the parsed value."""
    if isinstance(value, dict):
        return {key: quote_twin(one) for key, one in value.items()}
    if isinstance(value, list):
        return [quote_twin(one) for one in value]
    long = isinstance(value, int) and re.fullmatch(r"-?\d{19,}", str(value))
    return str(value) if long else value


@settings(max_examples=150, deadline=None)
@given(st.lists(values, max_size=5), st.integers(1, 40), st.booleans())
def test_blocks_of_any_size_give_what_a_parser_gives(
    given_values: list[Any], block: int, ascii_only: bool
) -> None:
    text = json.dumps(given_values, ensure_ascii=ascii_only)
    found, _ = quoted(text, block)
    assert json.loads(found) == quote_twin(given_values)
