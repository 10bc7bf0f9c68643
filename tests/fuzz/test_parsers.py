"""Every parser of text, fed with what is nearly right: it answers, or raises the error it promises."""

from __future__ import annotations

import contextlib
import itertools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import strategies as st

from app.errors import Invalid, NotFound
from app.services.event_files import Wanted, open_feed
from app.services.event_mapping import EventMapping, load_mapping, parse_mapping
from app.services.event_rows import RowChecker
from app.services.scenes import load_scene, parse_scene
from app.services.succession_files import _read
from app.settings import PROJECT
from geo.codes import CodeError, CodeLayout, LayoutError, load_layout, plain_code
from geo.shapes import ShapeError, from_geojson, from_wkt
from tiles.packed import pack, unpack

from .conftest import TELLING, Hunt, files

LAYOUT = (PROJECT / "data/layouts/unified-27.yaml").read_bytes()
SCENE = (PROJECT / "data/scenes/nine-kinds.yaml").read_bytes()
MAPPING = (PROJECT / "data/mappings/vancouver-thefts.yaml").read_bytes()
OWN_MAPPING = """
source: feed
encoding: utf-8
crs: gcj02
time_zone: Asia/Shanghai
delimiter: ","
columns:
  reference: ref
  kind: kind
  time: {date: day, time: hour, format: "%Y-%m-%d %H:%M"}
  lon: lon
  lat: lat
  code: code
  address: address
kinds:
  words: {盗窃: theft, fire: fire}
  default: dispute
""".encode()
NOW = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def layout() -> CodeLayout:
    return load_layout(yaml.safe_load(LAYOUT))


def test_codes(hunt: Hunt, layout: CodeLayout) -> None:
    good = ["3301", "330102", "330100000000000", "330102001001001", "3.30102E+26", "330102.0"]
    texts = st.one_of(
        st.text(max_size=40),
        st.text("0123456789", max_size=40),
        st.sampled_from(good),
        st.sampled_from([one.decode("latin-1") for one in TELLING]),
        st.builds(str.__add__, st.sampled_from(good), st.text(max_size=2)),
    )
    values = st.one_of(texts, texts, st.integers(), st.floats(), st.none(), st.booleans())

    def check(given: list[Any]) -> None:
        codes, reasons = layout.parse_many(given)
        for value, code, reason in zip(given, codes, reasons, strict=True):
            found: tuple[str | None, str | None]
            try:
                found = layout.parse(value), None
            except CodeError as error:
                found = None, error.reason
            assert found == (code, reason)
            if code is not None:
                assert layout.parse(layout.expand(code)) == code
            with contextlib.suppress(CodeError):
                plain_code(value)

    hunt(st.lists(values, max_size=6), check)


def test_layouts(hunt: Hunt) -> None:
    anything = st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-3, 40), st.floats(), st.text(max_size=3)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from(["name", "segments", "length", "level", "x"]), inner),
        ),
        max_leaves=12,
    )

    def check(body: Any) -> None:
        with contextlib.suppress(LayoutError):
            made = load_layout(body)
            assert load_layout(made.as_mapping()) == made

    hunt(anything, check)


def test_mapping_files(hunt: Hunt, tmp_path: Path) -> None:
    file = tmp_path / "mapping.yaml"

    def check(data: bytes) -> None:
        file.write_bytes(data)
        with contextlib.suppress(Invalid, NotFound):
            load_mapping(file)

    hunt(files(MAPPING, OWN_MAPPING), check)


def test_scene_files(hunt: Hunt, tmp_path: Path) -> None:
    file = tmp_path / "scene.yaml"

    def check(data: bytes) -> None:
        file.write_bytes(data)
        with contextlib.suppress(Invalid):
            load_scene(file)

    hunt(files(SCENE), check)


def test_succession_files(hunt: Hunt, layout: CodeLayout, tmp_path: Path) -> None:
    file = tmp_path / "succession.csv"
    good = (
        "from_code,to_code,share,effective,source\r\n"
        '330102001,330102002,0.4,2021-04-09,"民政, 2021"\r\n'
        "330102001,330105001,0.6,2021-04-09,\r\n"
    )

    def check(given: tuple[bytes, str, bool]) -> None:
        data, encoding, cut = given
        file.write_bytes(data)
        with contextlib.suppress(Invalid):
            rows, rejects = _read(file, encoding, layout if cut else None)
            assert all(line > 0 for line, _ in itertools.chain(rows, rejects))

    encodings = st.sampled_from(["utf-8", "utf-8-sig", "gb18030", "utf-16", "nonsense"])
    hunt(st.tuples(files(good.encode()), encodings, st.booleans()), check)


ROWS = [
    {"ref": f"r{n}", "kind": kind, "day": f"2024-0{n + 1}-1{n}", "hour": f"1{n}:30",
     "lon": 120.1 + n / 7, "lat": 30.2, "code": code, "address": "文三路 1 号, \"后门\""}
    for n, (kind, code) in enumerate(
        [("盗窃", "330102001001001"), ("fire", ""), ("盗窃", "330100"), ("fire", "3.3E+14")])
]  # fmt: skip


def as_csv(delimiter: str = ",") -> bytes:
    import csv
    import io

    out = io.StringIO()
    writer = csv.DictWriter(out, list(ROWS[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return out.getvalue().encode()


def as_ndjson() -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode()


def as_geojson() -> bytes:
    features = [
        {"type": "Feature", "properties": row,
         "geometry": {"type": "Point", "coordinates": [row["lon"], row["lat"]]}}
        for row in ROWS
    ]  # fmt: skip
    body = {"type": "FeatureCollection", "features": features}
    return json.dumps(body, ensure_ascii=False).encode()


def read_rows(path: Path, mapping: EventMapping, layout: CodeLayout | None, batch: int) -> int:
    """Read a feed to its end, as an import does."""
    columns = mapping.columns
    wanted = Wanted(tuple(columns.names()), tuple(columns.optional()), columns.point,
                    mapping.encoding, mapping.delimiter)  # fmt: skip
    feed = open_feed(path, wanted)
    checker = RowChecker(mapping, feed.point, layout, mapping.allowed_kinds(), NOW)
    seen = 0
    for chunk in feed.chunks(batch):
        rows, broken = checker.check(chunk)
        lines = [*rows.lines.tolist(), *(one.line for one in broken)]
        assert len(set(lines)) == len(lines)
        assert len(lines) == len(chunk.lines) + len(chunk.broken)
        seen += len(lines)
    assert seen <= feed.rows
    return seen


@pytest.mark.parametrize("name", ["csv", "txt", "ndjson", "json", "geojson"])
def test_event_rows(hunt: Hunt, layout: CodeLayout, tmp_path: Path, name: str) -> None:
    file = tmp_path / f"rows.{name}"
    good = {
        "csv": [as_csv()], "txt": [as_csv("\t"), as_csv("|"), as_csv(";")], "ndjson": [as_ndjson()],
        "json": [as_ndjson(), as_geojson()], "geojson": [as_geojson()],
    }[name]  # fmt: skip
    body = yaml.safe_load(OWN_MAPPING)
    body["delimiter"] = {"txt": "\t"}.get(name, ",")
    mappings = {}
    for encoding, pointless in itertools.product(("utf-8", "gb18030"), (False, True)):
        columns = {
            k: v for k, v in body["columns"].items() if not (pointless and k in {"lon", "lat"})
        }
        mappings[encoding, pointless] = parse_mapping(
            {**body, "encoding": encoding, "columns": columns}
        )
    for one in good[:1]:
        file.write_bytes(one)
        assert read_rows(file, mappings["utf-8", False], layout, 2) == len(ROWS)

    def check(given: tuple[bytes, str, bool, bool, int]) -> None:
        data, encoding, pointless, cut, batch = given
        file.write_bytes(data)
        with contextlib.suppress(Invalid):
            read_rows(file, mappings[encoding, pointless], layout if cut else None, batch)

    hunt(
        st.tuples(
            files(*good), st.sampled_from(["utf-8", "utf-8", "gb18030"]), st.booleans(),
            st.booleans(), st.sampled_from([1, 2, 1000]),
        ),
        check,
    )  # fmt: skip


SQUARE = [[120.0, 30.0], [120.1, 30.0], [120.1, 30.1], [120.0, 30.1], [120.0, 30.0]]
HOLE = [[120.02, 30.02], [120.04, 30.02], [120.04, 30.04], [120.02, 30.04], [120.02, 30.02]]
CRS = ["wgs84", "cgcs2000", "gcj02", "bd09", "EPSG:4547", "EPSG:3857", "EPSG:99999", "", "中"]


def check_area(made: Any) -> None:
    assert made.geom_type == "MultiPolygon"
    assert made.is_valid
    assert made.area > 0


def test_areas_as_geojson(hunt: Hunt) -> None:
    numbers = st.one_of(
        st.floats(), st.integers(), st.floats(119.9, 120.2), st.sampled_from([180, -180, 90, 1e308])
    )
    odd = st.one_of(st.none(), st.booleans(), st.text(max_size=2), numbers)
    position = st.one_of(
        st.lists(numbers, min_size=2, max_size=2), st.lists(odd, max_size=5), odd,
        st.sampled_from(SQUARE),
    )  # fmt: skip
    ring = st.one_of(
        st.just(SQUARE),
        st.just(HOLE),
        st.lists(position, max_size=8),
        st.lists(st.lists(numbers, min_size=2, max_size=2), min_size=3, max_size=8).map(
            lambda points: [*points, points[0]]
        ),
    )
    polygon = st.one_of(st.lists(ring, max_size=3), odd)
    coordinates = st.one_of(polygon, st.lists(polygon, max_size=3))
    shape = st.fixed_dictionaries(
        {"type": st.sampled_from(["Polygon", "MultiPolygon", "Point", None, 3])},
        optional={"coordinates": coordinates, "crs": odd, "bbox": odd},
    )
    body = st.one_of(
        shape,
        odd,
        st.fixed_dictionaries({"type": st.just("Feature"), "geometry": st.one_of(shape, odd)}),
        st.fixed_dictionaries(
            {"type": st.just("FeatureCollection"), "features": st.lists(st.one_of(shape, odd))}
        ),
    )
    good = {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE]]}
    texts = files(
        json.dumps(good).encode(), json.dumps({"type": "Feature", "geometry": good}).encode()
    )

    def check(given: tuple[Any, str, int]) -> None:
        value, crs, most = given
        if isinstance(value, bytes):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return
        with contextlib.suppress(ShapeError):
            check_area(from_geojson(value, crs, most))

    most = st.sampled_from([0, 5, 12, 100_000])
    hunt(st.tuples(st.one_of(body, texts), st.sampled_from(CRS), most), check)


def test_areas_as_text(hunt: Hunt) -> None:
    good = [
        "POLYGON((120 30, 120.1 30, 120.1 30.1, 120 30))",
        "SRID=4326;MULTIPOLYGON Z (((120 30 1, 120.1 30 1, 120.1 30.1 1, 120 30 1)), EMPTY)",
        "GEOMETRYCOLLECTION (POINT (1 2), POLYGON EMPTY)",
        "CURVEPOLYGON (CIRCULARSTRING (0 0, 4 0, 4 4, 0 4, 0 0))",
    ]
    data = files(*(one.encode() for one in good)).map(
        lambda one: one.decode("utf-8", "surrogateescape")
    )

    def check(given: tuple[str, str, int]) -> None:
        with contextlib.suppress(ShapeError):
            check_area(from_wkt(*given))

    words = st.one_of(data, data, st.text(max_size=60))
    hunt(st.tuples(words, st.sampled_from(CRS), st.sampled_from([0, 5, 100_000])), check)


def test_packed_values(hunt: Hunt) -> None:
    def there(payload: bytes) -> None:
        try:
            colour, theta = unpack(payload)
        except ValueError:
            assert len(payload) % 2
            return
        if (colour <= 5).all():
            assert pack(colour, theta) == payload
        else:
            with pytest.raises(ValueError, match="colour"):
                pack(colour, theta)

    hunt(st.binary(max_size=40), there)
    numbers = st.one_of(st.floats(), st.just(np.nan), st.integers(-2, 300))

    def back(given: tuple[list[float], list[float]]) -> None:
        with contextlib.suppress(ValueError):
            payload = pack(*given)
            colour, theta = unpack(payload)
            assert colour.tolist() == given[0]
            assert len(theta) == len(given[1])

    hunt(st.tuples(st.lists(st.integers(-1, 7), max_size=4), st.lists(numbers, max_size=4)), back)


def test_scene_text(hunt: Hunt) -> None:
    """Any text at all is a scene or `Invalid`."""

    def check(text: str) -> None:
        with contextlib.suppress(Invalid):
            parse_scene(text)

    words = st.lists(st.sampled_from([one.decode("latin-1") for one in TELLING]), max_size=8)
    hunt(st.one_of(st.text(max_size=80), words.map("".join)), check)
