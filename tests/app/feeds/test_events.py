"""Events end to end on a real database: locating rule, idempotence, rejects, interruption."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import shapely
import sqlalchemy as sa
from click.testing import CliRunner

from app.cli.events import command
from app.database import transaction
from app.errors import Conflict, Invalid, NotFound
from app.services.boundaries import import_units
from app.services.event_places import Place, apply_rule, open_place
from app.services.event_relocate import feeds, relocate
from app.services.events import Progress, import_file
from geo import crs
from geo.binning import LOCATED_BY
from geo.codes import CodeLayout

NOW = datetime(2025, 1, 1, tzinfo=UTC)
GRID = "330102001001001"


def stored(engine: sa.Engine) -> dict[str, Any]:
    """Events by reference."""
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "select e.*, u.code as unit, st_x(e.geom) lon, st_y(e.geom) lat from event e left "
                "join unit u on u.boundary_version_id = e.boundary_version_id and u.id = e.unit_id"
            )
        )
        return {row.reference: row for row in rows}


def rejected(path: Path) -> list[dict[str, str]]:
    """Rows of a reject file."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def load(engine: sa.Engine, pack: str, mapping: dict[str, Any], tmp_path: Path) -> Any:
    """Import with the toy's mapping."""

    def run(path: Path, **more: Any) -> Any:
        given = {"pack": pack, "mapping": mapping, "now": NOW, "rejects": tmp_path / "rejects.csv"}
        return import_file(engine, path, **(given | more))

    return run


# the locating rule ---------------------------------------------------------------------------

NOWHERE = {"lon": "", "lat": ""}
SEA = {"lon": 121.5, "lat": 30.05}
CASES: list[tuple[str, dict[str, Any], tuple[str, str | None, bool]]] = [
    ("point", {}, ("point", GRID, False)),
    ("shared edge: lowest code", {"lon": 120.1}, ("point", GRID, False)),
    ("code alone", {**NOWHERE, "code": GRID}, ("code", GRID, False)),
    ("code to the room", {**NOWHERE, "code": GRID + "000100010001"}, ("code", GRID, False)),
    ("zero-filled", {**NOWHERE, "code": "330105".ljust(27, "0")}, ("code", "330105", False)),
    ("cut to what there is", {**NOWHERE, "code": "330102001001777"}, ("code", GRID[:12], False)),
    ("agree", {"code": GRID}, ("code", GRID, False)),
    ("coarse code, point refines", {"code": "330102"}, ("point", GRID, False)),
    ("coarse code disagrees", {"code": "330105"}, ("code", "330105", True)),
    ("fine code disagrees", {"code": "330105002002002"}, ("code", "330105002002002", True)),
    ("code good, point outside", {**SEA, "code": GRID}, ("code", GRID, True)),
    ("unknown code, point good", {"code": "440300"}, ("point", GRID, False)),
    ("address", {**NOWHERE, "address": "浙江省杭州市上城区清波街道12号"}, ("address", "330102001", False)),
    ("address, top left out", {**NOWHERE, "address": "湖墅街道城西社区第２网格　3幢"},
     ("address", "330105002002002", False)),
    ("address ambiguous", {**NOWHERE, "address": "城东社区"}, ("none", None, False)),
    ("point beats address", {"address": "拱墅区"}, ("point", GRID, False)),
    ("point outside, address good", {**SEA, "address": "拱墅区"}, ("address", "330105", False)),
    ("nothing given", NOWHERE, ("none", None, False)),
]  # fmt: skip


def test_locating_rule(engine: sa.Engine, load: Any, write: Any) -> None:
    report = load(write(*(row for _, row, _ in CASES)))
    events = stored(engine)
    found = {
        name: (events[f"A{i}"].located_by, events[f"A{i}"].unit, events[f"A{i}"].mismatch)
        for i, (name, _, _) in enumerate(CASES, 1)
    }
    assert found == {name: expected for name, _, expected in CASES}
    assert report.rejected == 0
    assert (report.compared, report.mismatch) == (5, 3)
    assert report.mismatch_share == pytest.approx(3 / 5)


def test_what_leads_nowhere_is_refused(
    engine: sa.Engine, load: Any, write: Any, mapping: Any, tmp_path: Path
) -> None:
    path = write(
        SEA, {**SEA, "code": "440300"}, {**NOWHERE, "code": "440300"}, {"lon": 30.05, "lat": 120.05},
        {"lon": 30.05, "lat": 80.05},
    )  # fmt: skip
    report = load(path)
    assert report.rejected == 5
    reasons = [(row["line"], row["reason"]) for row in rejected(tmp_path / "rejects.csv")]
    assert reasons == [
        ("2", "outside"), ("3", "outside"), ("4", "unknown_code"), ("5", "swapped"), ("6", "outside"),
    ]  # fmt: skip
    assert stored(engine) == {}
    assert load(path, mapping={**mapping, "outside": "keep"}).rejected == 2
    assert {e.located_by for e in stored(engine).values()} == {"none"}


def test_rule_is_that_of_its_brute_force_twin(engine: sa.Engine, pack: str, toy: Any) -> None:
    with engine.connect() as connection:
        place = open_place(connection, pack)
    random = np.random.default_rng(3)
    n = 400
    lon = np.where(random.random(n) < 0.3, np.nan, random.uniform(119.95, 120.45, n))
    lat = np.where(np.isnan(lon), np.nan, random.uniform(29.95, 30.45, n))
    pool = [*toy.code, "4403", "330102001001777", None, None, None, None]
    codes = [pool[i] for i in random.integers(0, len(pool), n)]
    located = apply_rule(place, lon, lat, pa.array(codes, pa.string()), pa.nulls(n, pa.string()))
    units = dict(zip(toy.code, toy.geometry, strict=True))
    for i in range(n):
        assert one(place, located, i) == twin(units, lon[i], lat[i], codes[i]), (lon[i], codes[i])


def one(place: Place, located: Any, i: int) -> tuple[str | None, str, bool]:
    unit = int(located.unit[i])
    code = place.codes[unit - 1] if unit else None
    return code, LOCATED_BY[located.by[i]], bool(located.mismatch[i])


def twin(units: Any, lon: float, lat: float, code: str | None) -> tuple[str | None, str, bool]:
    """The rule, one event at a time and in plain words."""
    by_code = None
    while code:
        if code in units:
            by_code = code
            break
        code = code[:-1]
    given = not np.isnan(lon)
    covering = [
        c for c in units if len(c) == 15 and given and units[c].covers(shapely.Point(lon, lat))
    ]
    by_point = min(covering, default=None)
    if by_code is None:
        return by_point, "point" if by_point else "none", False
    if not given or by_point is None:
        return by_code, "code", given
    if not by_point.startswith(by_code):
        return by_code, "code", True
    return by_point, "code" if by_code == by_point else "point", False


def test_a_point_in_a_gap_of_the_finer_level_is_known_coarsely(
    engine: sa.Engine, toy: gpd.GeoDataFrame, layout: CodeLayout, mapping: Any, write: Any
) -> None:
    # neither the village nor its town is filled: a point in the hole is known to the village
    holed = toy[(toy.code != GRID) & ~toy.code.str.startswith("330102001002")]
    with transaction(engine) as connection:
        import_units(connection, pack="holed", label="1", frame=holed, layout=layout)
    path = write({}, {"lat": 30.15}, {"lon": 120.15})
    import_file(engine, path, pack="holed", mapping=mapping, now=NOW)
    units = [event.unit for _, event in sorted(stored(engine).items())]
    assert units == [GRID[:12], GRID[:-1] + "2", GRID[:9]]


def test_codes_of_units_that_ended(engine: sa.Engine, load: Any, write: Any) -> None:
    with transaction(engine) as connection:
        for old, new, share in (
            ("330103", "330105", 1.0), ("330199", "330103", 1.0),
            ("330104", "330102", 0.6), ("330104", "330105", 0.4),
        ):  # fmt: skip
            connection.execute(
                sa.text("insert into succession values ('toy', :a, :b, :s, '2021-04-09', '')"),
                {"a": old, "b": new, "s": share},
            )
    load(
        write(*({"code": code, **NOWHERE} for code in ("330103001", "330199", "330104", "330107")))
    )
    # what was split is known to the city alone: to choose a part would be a guess
    assert [e.unit for _, e in sorted(stored(engine).items())] == [
        "330105",
        "330105",
        "3301",
        "3301",
    ]


# idempotence ---------------------------------------------------------------------------------


def counts(report: Any) -> tuple[int, int, int, int]:
    return report.new, report.updated, report.unchanged, report.rejected


def test_the_same_file_again_changes_nothing(engine: sa.Engine, load: Any, write: Any) -> None:
    path = write({}, {"code": GRID, **NOWHERE}, {"kind": "?"}, {"kind": "火警"})
    assert counts(load(path)) == (3, 0, 0, 1)
    before = stored(engine)
    assert counts(load(path, batch=1)) == (0, 0, 3, 1)
    assert stored(engine) == before
    corrected = write(
        {"kind": "火警"}, {"code": GRID, **NOWHERE}, {"kind": "?"}, {"kind": "火警", "lon": 120.06}
    )
    assert counts(load(corrected)) == (0, 2, 1, 1)
    after = stored(engine)
    assert after["A1"].kind == "fire"
    assert after["A4"].lon == 120.06
    assert {r: e.id for r, e in before.items()} == {r: e.id for r, e in after.items()}


def test_a_reference_belongs_to_its_source(engine: sa.Engine, load: Any, write: Any) -> None:
    path = write({})
    assert counts(load(path)) == (1, 0, 0, 0)
    assert counts(load(path, source="petitions")) == (1, 0, 0, 0)
    with engine.connect() as connection:
        names = {info.name: info.events for _, info in feeds(connection)}
    assert names == {"alarm": 1, "petitions": 1}


def test_a_reference_twice_in_one_file(
    engine: sa.Engine, load: Any, write: Any, tmp_path: Path
) -> None:
    path = write({}, {"ref": "A1", "kind": "火警"}, {"ref": "A3"})
    for batch in (1, 50):
        load(path, batch=batch)
        (row,) = rejected(tmp_path / "rejects.csv")
        assert (row["line"], row["value"], row["reason"]) == ("3", "A1", "repeated_reference")
        assert stored(engine)["A1"].kind == "theft"


def test_rows_without_a_reference(engine: sa.Engine, pack: str, mapping: Any, write: Any) -> None:
    del mapping["columns"]["reference"]
    rows = [{}, {}, {"kind": "火警"}, {}]
    path = write(*rows)
    assert counts(import_file(engine, path, pack=pack, mapping=mapping, now=NOW)) == (4, 0, 0, 0)
    assert len({e.reference for e in stored(engine).values()}) == 4
    # any order, any batch: the same references; one row more is one event more
    more = write({"kind": "火警"}, *[{}] * 4)
    report = import_file(engine, more, pack=pack, mapping=mapping, now=NOW, batch=2)
    assert counts(report) == (1, 0, 4, 0)


def test_simulated_and_real_events_never_share_a_source(
    load: Any, write: Any, mapping: Any
) -> None:
    load(write({}))
    with pytest.raises(Conflict, match="real events"):
        load(write({}), mapping={**mapping, "simulated": True})


# files as a whole ----------------------------------------------------------------------------


@pytest.fixture
def empty(engine: sa.Engine) -> Any:
    """Check that nothing was written."""

    def check() -> None:
        with engine.connect() as connection:
            for table in ("event", "event_source"):
                assert connection.scalar(sa.text(f"select count(*) from {table}")) == 0

    return check


def test_a_spoilt_file_writes_nothing(load: Any, write: Any, tmp_path: Path, empty: Any) -> None:
    whole = write(*[{}] * 300)
    frame = pd.read_csv(whole, dtype=str)
    table = pa.Table.from_pandas(frame)
    pa.parquet.write_table(table, tmp_path / "events.parquet")
    parquet = (tmp_path / "events.parquet").read_bytes()
    text = whole.read_bytes()
    packed = gzip.compress(text)
    spoilt = {
        "empty.csv": (b"", "empty"),
        "cut.csv.gz": (packed[: len(packed) // 2], "truncated"),
        "cut.parquet": (parquet[: len(parquet) - 9], "truncated"),
        "hollow.parquet": (parquet[:200] + b"\0" * 3000 + parquet[3200:], "truncated"),
        "bytes.csv": (text + "A9,盗窃".encode("gbk") + b",x,y,z,,\n", "line 302, byte"),
        "column.csv": (text.replace(b"lon", b"east", 1), "no column 'lon'; its columns are 'ref'"),
        "quote.csv": (text + b'A9,"never closed\n' + text, "line 302: a quote"),
        "events.xyz": (text, "format not known"),
    }
    for name, (content, message) in spoilt.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(Invalid, match=message):
            load(path, batch=10)
        assert not (tmp_path / "rejects.csv").exists(), name
        empty()
    with pytest.raises(NotFound, match="no file"):
        load(tmp_path / "none.csv")
    with pytest.raises(NotFound, match="toy"):
        load(whole, pack="elsewhere")
    with pytest.raises(Invalid, match="overwrite"):
        load(whole, rejects=whole)
    empty()


@pytest.mark.parametrize(
    ("geo", "message"),
    [
        (b"{", "is no JSON"),
        (b"[]", "names no column with points .`primary_column` is 'None'"),
        (b'{"primary_column": 7}', "names no column with points"),
        (b'{"primary_column": "shape"}', "`primary_column` is 'shape'"),
    ],
)
def test_geoparquet_metadata_that_makes_no_sense(
    load: Any, write: Any, mapping: Any, tmp_path: Path, empty: Any, geo: bytes, message: str
) -> None:
    frame = pd.read_csv(write({}), dtype=str)
    table = pa.Table.from_pandas(frame).replace_schema_metadata({b"geo": geo})
    pa.parquet.write_table(table, tmp_path / "events.parquet")
    columns = {k: v for k, v in mapping["columns"].items() if k not in ("lon", "lat")}
    with pytest.raises(Invalid, match=r"events\.parquet: its GeoParquet metadata .*" + message):
        load(tmp_path / "events.parquet", mapping={**mapping, "columns": columns})
    empty()


def test_a_curve_among_points_is_left_out_alone(
    load: Any, write: Any, mapping: Any, tmp_path: Path
) -> None:
    frame = pd.read_csv(write({}, {}, {}), dtype=str)
    point = shapely.to_wkb(shapely.Point(120.05, 30.05))
    curve = b"\x01\x08\x00\x00\x00\x00\x00\x00\x00"  # an empty circular string
    table = pa.Table.from_pandas(frame).append_column("shape", pa.array([point, curve, point]))
    table = table.replace_schema_metadata({b"geo": b'{"primary_column": "shape"}'})
    pa.parquet.write_table(table, tmp_path / "events.parquet")
    columns = {k: v for k, v in mapping["columns"].items() if k not in ("lon", "lat")}
    report = load(tmp_path / "events.parquet", mapping={**mapping, "columns": columns})
    assert (report.new, report.rejected) == (2, 1)
    row = rejected(tmp_path / "rejects.csv")[0]
    assert (row["line"], row["value"], row["reason"]) == ("2", "curve", "geometry")


def test_dry_run_stores_nothing(load: Any, write: Any, empty: Any, tmp_path: Path) -> None:
    report = load(write({}, {"kind": "?"}), dry_run=True)
    assert (report.rows, report.rejected, report.new) == (2, 1, 0)
    assert report.located == {"point": 1}
    assert len(rejected(tmp_path / "rejects.csv")) == 1
    empty()


def test_interrupted_keeps_what_is_committed(engine: sa.Engine, load: Any, write: Any) -> None:
    path = write(*[{"code": GRID}] * 40)

    def stop(at: Progress) -> None:
        if at.done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(path, batch=5, progress=stop)
    kept = len(stored(engine))
    assert 5 <= kept <= 20
    assert kept % 5 == 0
    assert counts(load(path)) == (40 - kept, 0, kept, 0)


def test_every_format_gives_the_same_events(
    engine: sa.Engine, load: Any, write: Any, mapping: Any, tmp_path: Path
) -> None:
    rows = [{}, {"code": GRID}, {"code": GRID, **NOWHERE}, {"kind": "火警", "lon": 120.35}]
    path = write(*rows)
    assert counts(load(path)) == (4, 0, 0, 0)
    before = stored(engine)
    frame = pd.read_csv(path, dtype={"code": str})
    frame["code"] = frame["code"].where(frame["code"].notna(), None)
    gbk = write(*rows, name="gbk.csv", encoding="gbk")
    bom = tmp_path / "bom.csv"
    bom.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    packed = tmp_path / "events.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    typed = frame.assign(at=pd.to_datetime(frame["at"]))
    typed.to_parquet(tmp_path / "events.parquet")
    zoned = typed.assign(at=typed["at"].dt.tz_localize("Asia/Shanghai").dt.tz_convert("UTC"))
    zoned.to_parquet(tmp_path / "zoned.parquet")
    lines = [json.dumps({k: v for k, v in row.items() if pd.notna(v)}, ensure_ascii=False)
             for row in frame.to_dict("records")]  # fmt: skip
    (tmp_path / "events.ndjson").write_text("\n".join(lines), encoding="utf-8")
    points = gpd.GeoDataFrame(
        frame.drop(columns=["lon", "lat"]),
        geometry=[None if np.isnan(x) else shapely.Point(x, y)
                  for x, y in zip(frame.lon, frame.lat, strict=True)],
        crs=4326,
    )  # fmt: skip
    points.to_file(tmp_path / "events.geojson")
    points.to_parquet(tmp_path / "geo.parquet")
    with (
        (tmp_path / "events.geojson").open("rb") as plain,
        gzip.open(tmp_path / "events.geojson.gz", "wb") as target,
    ):
        shutil.copyfileobj(plain, target)
    as_geometry = {**mapping, "columns": {k: v for k, v in mapping["columns"].items()
                                          if k not in ("lon", "lat")}}  # fmt: skip
    for file, body in (
        (gbk, {**mapping, "encoding": "gbk"}), (bom, mapping), (packed, mapping),
        (tmp_path / "events.parquet", mapping), (tmp_path / "zoned.parquet", mapping),
        (tmp_path / "events.ndjson", mapping), (tmp_path / "events.geojson", as_geometry),
        (tmp_path / "events.geojson.gz", as_geometry), (tmp_path / "geo.parquet", as_geometry),
    ):  # fmt: skip
        assert counts(load(file, mapping=body, batch=3)) == (0, 0, 4, 0), file.name
        assert stored(engine) == before, file.name


# the declared CRS ----------------------------------------------------------------------------


def test_a_feed_that_forgot_its_crs_is_told(load: Any, write: Any, mapping: Any) -> None:
    random = np.random.default_rng(5)
    # close to the western edge of their grid: half a kilometre to the east matters not, to the
    # west it does, so points of the eastern edge are those that show it
    column, row = random.integers(0, 4, 200), random.integers(0, 4, 200)
    lon = 120.0 + column * 0.1 + random.uniform(0.0955, 0.0995, 200)
    lat = 30.0 + row * 0.1 + random.uniform(0.02, 0.08, 200)
    x, y = crs.from_wgs84(lon, lat, "gcj02")
    rows = [
        {"lon": a, "lat": b,
         "code": f"3301{('02', '05')[c // 2]}{r // 2 + 1:03}{c % 2 + 1:03}{r % 2 + 1:03}"}
        for a, b, c, r in zip(x, y, column, row, strict=True)
    ]  # fmt: skip
    report = load(write(*rows))
    assert report.mismatch_share > 0.5
    assert "GCJ-02" in report.hint
    again = load(write(*rows), mapping={**mapping, "crs": "gcj02"})
    assert again.mismatch == 0
    assert again.hint is None
    assert again.updated == 200


# new boundaries ------------------------------------------------------------------------------


def test_events_move_to_new_boundaries(
    engine: sa.Engine, load: Any, write: Any, toy: gpd.GeoDataFrame, layout: CodeLayout
) -> None:
    load(write({}, {"lon": 120.35}, {"code": "330105002002002", **NOWHERE}, NOWHERE))
    # 330105 loses its two eastern columns' north: only the south of it is left
    newer = toy[~toy.code.str.startswith("330105002")]
    with transaction(engine) as connection:
        import_units(connection, pack="toy", label="2", frame=newer, layout=layout,
                     valid_from=datetime(2024, 1, 1, tzinfo=UTC).date())  # fmt: skip
        new = connection.scalar(sa.text("select max(id) from boundary_version"))
    first = relocate(engine, pack="toy", batch=3)
    assert (first.events, first.changed, first.lost) == (4, 4, 0)
    events = stored(engine)
    assert {e.boundary_version_id for e in events.values()} == {new}
    assert [events[f"A{i}"].unit for i in (1, 2, 3, 4)] == [GRID, "330105001002001", "330105", None]
    again = relocate(engine, pack="toy")
    assert (again.events, again.changed) == (4, 0)


# the command line ----------------------------------------------------------------------------


@pytest.fixture
def run(db_url: str, pack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run `wusetu events …`; exit code and what was printed."""
    monkeypatch.setenv("WUSETU_DATABASE_URL", db_url)
    monkeypatch.setenv("WUSETU_DATA_DIR", str(tmp_path / "data"))

    def go(*words: object) -> tuple[int, str]:
        result = CliRunner().invoke(command, [str(w) for w in words])
        if isinstance(result.exception, (Invalid, NotFound)):
            return 2, result.exception.message
        return result.exit_code, result.output

    return go


def test_exit_codes(run: Any, write: Any, mapping: Any, tmp_path: Path) -> None:
    file = tmp_path / "alarm.yaml"
    file.write_text(json.dumps(mapping), encoding="utf-8")
    good = ("--pack", "toy", "--mapping", file)
    code, text = run("import", write({}), *good)
    assert (code, "1 new" in text) == (0, True)
    rejects = tmp_path / "r.csv"
    code, text = run("import", write({}, {"lat": 99}), *good, "--rejects", rejects)
    assert code == 3
    assert "1 × out_of_range" in text
    assert len(rejected(rejects)) == 1
    (tmp_path / "void.csv").touch()
    code, text = run("import", tmp_path / "void.csv", *good)
    assert (code, "empty" in text) == (2, True)
    code, text = run("sources")
    assert code == 0
    assert "alarm" in text
    code, text = run("relocate", "--pack", "toy")
    assert (code, "0; 0 of them" in text) == (0, True)


def test_the_real_thefts_load_completely(engine: sa.Engine, shared: Path, tmp_path: Path) -> None:
    areas = gpd.read_file(shared / "events/vancouver_neighbourhoods.geojson")
    frame = gpd.GeoDataFrame(
        {"code": areas.mapid, "name": areas.name, "level": "town"},
        geometry=areas.geometry,
        crs=4326,
    )
    with transaction(engine) as connection:
        import_units(connection, pack="vancouver", label="1", frame=frame)
    path = shared / "events/vancouver_thefts_2020.csv.gz"
    for new in (21_918, 0):
        report = import_file(
            engine, path, pack="vancouver", mapping="vancouver-thefts", batch=7_000
        )
        assert counts(report) == (new, 0, 21_918 - new, 0)
        assert report.located == {"point": 21_873, "address": 2, "none": 43}
    with engine.connect() as connection:
        kinds = connection.execute(
            sa.text("select kind, count(*) from event group by 1 order by 1")
        )
        assert dict(kinds.all()) == {
            "bicycle_theft": 1987, "other_theft": 8650, "theft_from_vehicle": 10428,
            "vehicle_theft": 853,
        }  # fmt: skip
        span = connection.execute(
            sa.text("select min(occurred_at), max(occurred_at) from event")
        ).one()
    assert span[0] == datetime(2020, 1, 1, 8, tzinfo=UTC)
    truth = gpd.sjoin(
        gpd.GeoDataFrame(
            geometry=gpd.points_from_xy(*pd.read_csv(path)[["X", "Y"]].to_numpy().T), crs=32610
        ).to_crs(4326),
        frame, how="inner", predicate="covered_by",
    )  # fmt: skip
    with engine.connect() as connection:
        ours = dict(
            connection.execute(
                sa.text("select u.code, count(*) from event e join unit u on u.id = e.unit_id and "
                        "u.boundary_version_id = e.boundary_version_id "
                        "where located_by = 'point' group by 1")
            ).all()
        )  # fmt: skip
    theirs = truth[~truth.index.duplicated()].code.value_counts()
    assert sum(ours.values()) == theirs.sum()
    # two of the thefts lie on a shared edge, where the lowest code wins
    assert (theirs.reindex(ours) - pd.Series(ours)).abs().sum() <= 4
