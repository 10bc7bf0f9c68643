"""Boundary versions: ids, parents, validity, idempotence, lookup by point."""

from __future__ import annotations

import threading
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import sqlalchemy as sa
import yaml
from shapely import box

from app.errors import Conflict, Invalid, NotFound
from app.services import boundaries
from app.services.boundaries import ImportResult, import_units, leaf_index, newest_version
from geo.codes import load_layout
from geo.coverage import geodesic_km2
from geo.locate import LocateIndex

ROOT = Path(__file__).resolve().parents[2]
LAYOUT = load_layout(yaml.safe_load((ROOT / "data/layouts/unified-27.yaml").read_text()))
ROWS = [
    ("330100", "杭州市", box(120, 30, 122, 31)),
    ("330102", "上城区", box(120, 30, 121, 31)),
    ("330105", "拱墅区", box(121, 30, 122, 31)),
    ("330102001", "湖滨街道", box(120, 30, 120.5, 31)),
    ("330102002", "小营街道", box(120.5, 30, 121, 31)),
]


def units(rows: list[tuple[str, str, Any]], **columns: Any) -> gpd.GeoDataFrame:
    """Frame in the reverse of code order: order must not matter."""
    codes, names, shapes = zip(*rows[::-1], strict=True)
    more = {key: value[::-1] for key, value in columns.items()}
    return gpd.GeoDataFrame({"code": codes, "name": names, **more}, geometry=list(shapes), crs=4326)


def store(engine: sa.Engine, frame: gpd.GeoDataFrame, **more: Any) -> ImportResult:
    with engine.begin() as connection:
        arguments = {"pack": "hangzhou", "label": "2024", "layout": LAYOUT, **more}
        return import_units(connection, frame=frame, **arguments)


def table(engine: sa.Engine, columns: str = "id, code, level, name, parent_id") -> list[tuple]:
    with engine.connect() as connection:
        rows = connection.execute(sa.text(f"select {columns} from unit order by id"))
        return [tuple(row) for row in rows]


def test_ids_run_level_by_level_in_code_order(engine: sa.Engine) -> None:
    result = store(engine, units(ROWS), title_zh="杭州", title_en="Hangzhou")
    assert result.created
    assert result.dropped == 0
    assert result.version.levels == ("city", "county", "town")
    assert result.version.layout == LAYOUT
    assert result.version.valid_to is None
    assert table(engine) == [
        (1, "3301", "city", "杭州市", None),
        (2, "330102", "county", "上城区", 1),
        (3, "330105", "county", "拱墅区", 1),
        (4, "330102001", "town", "湖滨街道", 2),
        (5, "330102002", "town", "小营街道", 2),
    ]
    stored = table(
        engine, "area_km2, st_contains(geom, label_point), st_srid(geom), st_astext(geom)"
    )
    areas = geodesic_km2([row[2] for row in ROWS])
    assert [row[0] for row in stored] == pytest.approx(areas.tolist())
    assert {row[1:3] for row in stored} == {(True, 4326)}
    assert stored[0][3] == shapely.to_wkt(shapely.multipolygons([ROWS[0][2]]), trim=True).replace(
        ", ", ","
    ).replace("N (", "N(")


def test_the_report_has_no_findings_when_there_are_none(engine: sa.Engine) -> None:
    report = store(engine, units(ROWS), strict=True).report
    levels = {level["level"]: level for level in report["levels"]}
    assert [levels[k]["units"] for k in ("city", "county", "town")] == [1, 2, 2]
    # the second county has no towns: that is no gap of the first
    assert levels["town"]["parent_uncovered"]["count"] == 0
    with engine.connect() as connection:
        version = newest_version(connection, "hangzhou")
        assert boundaries.stored_report(connection, version) == report


def test_the_same_units_are_one_version(engine: sa.Engine) -> None:
    first = store(engine, units(ROWS))
    again = store(engine, units(ROWS[::-1]))
    assert not again.created
    assert again.version == first.version
    assert again.report == first.report
    assert len(table(engine)) == 5


def test_a_label_is_never_given_other_units(engine: sa.Engine) -> None:
    store(engine, units(ROWS))
    moved = [*ROWS[:4], ("330102002", "小营街道", box(120.5, 30, 120.9, 31))]
    with pytest.raises(Conflict, match="other units"):
        store(engine, units(moved))
    with pytest.raises(Conflict, match="valid from 1900-01-01, not 2020-01-01"):
        store(engine, units(ROWS), valid_from=date(2020, 1, 1))
    assert len(table(engine)) == 5


def test_a_later_version_closes_the_one_before(engine: sa.Engine) -> None:
    store(engine, units(ROWS[:3]), label="2020")
    with pytest.raises(Invalid, match="--valid-from"):
        store(engine, units(ROWS), label="2024")
    result = store(engine, units(ROWS), label="2024", valid_from=date(2021, 4, 1))
    assert result.closed == "2020"
    # one in between, and one before all
    middle = store(engine, units(ROWS[:2]), label="2010", valid_from=date(2010, 1, 1))
    assert (middle.closed, middle.version.valid_to) == ("2020", date(2021, 4, 1))
    with pytest.raises(Conflict, match="not free"):
        store(engine, units(ROWS[:1]), label="x", valid_from=date(2010, 1, 1))
    with pytest.raises(Conflict, match="not free"):
        store(
            engine,
            units(ROWS[:1]),
            label="x",
            valid_from=date(2000, 1, 1),
            valid_to=date(2010, 1, 2),
        )
    with pytest.raises(Invalid, match="before it begins"):
        store(
            engine, units(ROWS), label="x", valid_from=date(2030, 1, 1), valid_to=date(2030, 1, 1)
        )
    with engine.connect() as connection:
        spans = [
            (v.label, v.valid_from, v.valid_to) for v in boundaries.versions(connection, "hangzhou")
        ]
        assert spans == [
            ("2020", date(1900, 1, 1), date(2010, 1, 1)),
            ("2010", date(2010, 1, 1), date(2021, 4, 1)),
            ("2024", date(2021, 4, 1), None),
        ]
        for day, label in [
            (date(2009, 12, 31), "2020"),
            (date(2010, 1, 1), "2010"),
            (date(2021, 3, 31), "2010"),
            (date(2021, 4, 1), "2024"),
            (None, "2024"),
        ]:
            assert newest_version(connection, "hangzhou", day).label == label
        with pytest.raises(NotFound, match="2020: 1900-01-01"):
            newest_version(connection, "hangzhou", date(1899, 1, 1))
        last = store(
            engine,
            units(ROWS),
            pack="old",
            valid_from=date(2020, 1, 1),
            valid_to=date(2022, 1, 1),
        ).version
        assert newest_version(connection, "old", date(2021, 12, 31)) == last
        assert newest_version(connection, "old") == last
        with pytest.raises(NotFound, match="no boundaries on 2022-01-01"):
            newest_version(connection, "old", date(2022, 1, 1))
        with pytest.raises(NotFound, match="packs: hangzhou, old"):
            newest_version(connection, "nowhere")
        with pytest.raises(NotFound, match="there are: 2020, 2010, 2024"):
            boundaries.get_version(connection, "hangzhou", "1999")


def test_no_version_is_put_inside_another(engine: sa.Engine) -> None:
    store(engine, units(ROWS[:3]), label="2020")
    inside = {"valid_from": date(2019, 1, 1), "valid_to": date(2020, 1, 1)}
    with pytest.raises(Conflict, match="the days from 2020-01-01 on would have no map"):
        store(engine, units(ROWS), label="x", **inside)
    store(engine, units(ROWS), label="2024", valid_from=date(2021, 4, 1))
    with pytest.raises(Conflict, match="from 2020-01-01 to 2021-04-01 would have no map"):
        store(engine, units(ROWS), label="x", **inside)
    # up to its very end nothing is lost
    last = {"valid_from": date(2019, 1, 1), "valid_to": date(2021, 4, 1)}
    assert store(engine, units(ROWS), label="y", **last).closed == "2020"


def test_a_roll_back_leaves_nothing(engine: sa.Engine) -> None:
    store(engine, units(ROWS[:3]), label="2020")
    with engine.connect() as connection:
        import_units(
            connection, pack="hangzhou", label="2024", frame=units(ROWS), layout=LAYOUT,
            valid_from=date(2021, 1, 1),
        )  # fmt: skip
        connection.rollback()
        assert newest_version(connection, "hangzhou").label == "2020"
        assert newest_version(connection, "hangzhou").valid_to is None
    assert len(table(engine)) == 3


def test_two_imports_at_once_are_one_version(engine: sa.Engine) -> None:
    results: list[ImportResult] = []
    threads = [
        threading.Thread(target=lambda: results.append(store(engine, units(ROWS)))) for _ in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(r.created for r in results) == [False, True]
    assert results[0].version == results[1].version


def test_two_layouts_may_not_share_a_name(engine: sa.Engine) -> None:
    store(engine, units(ROWS))
    other = load_layout(
        {"name": "unified-27", "segments": [{"name": "county", "length": 6, "level": "county"}]}
    )
    with pytest.raises(Conflict, match="another layout is called 'unified-27'"):
        store(engine, units(ROWS[1:3]), label="x", valid_from=date(2025, 1, 1), layout=other)


def test_names_are_stored_as_they_are(engine: sa.Engine) -> None:
    odd = "tab\there \\N back\\slash\nnew\r'quote' \"double\" 龘𠀀 \x00"
    rows = [("330102", odd, ROWS[1][2]), ("330105", "\\N", ROWS[2][2])]
    store(engine, units(rows, name_en=["\\.", None], approximate=[True, False]))
    assert table(engine, "name, name_en, approximate") == [
        (odd.replace("\x00", "").strip(), "\\.", True),
        ("\\N", None, False),
    ]
    with engine.connect() as connection:
        assert newest_version(connection, "hangzhou").approximate


def test_parents_come_from_the_layout_over_a_missing_level(engine: sa.Engine) -> None:
    rows = [
        ("3301", "杭州市", ROWS[0][2]),
        ("4419", "东莞市", box(113, 22, 114, 23)),
        ("441900003", "东城街道", box(113, 22, 113.5, 23)),
        ("330102001", "湖滨街道", ROWS[3][2]),
        ("330102", "上城区", ROWS[1][2]),
        ("330199001", "飞地", box(121, 30, 121.5, 31)),
        ("510104001", "锦江", box(104, 30, 104.1, 30.1)),
    ]
    result = store(engine, units(rows))
    parents = {code: parent for _, code, _, _, parent in table(engine)}
    ids = {code: number for number, code, *_ in table(engine)}
    assert parents["441900003"] == ids["4419"]
    assert parents["330102001"] == ids["330102"]
    # its county is not there: the city takes it, and the report says so
    assert parents["330199001"] == ids["3301"]
    assert parents["510104001"] is None
    levels = {level["level"]: level for level in result.report["levels"]}
    assert [o["code"] for o in levels["town"]["orphans"]["largest"]] == ["330199001", "510104001"]
    assert levels["county"]["orphans"]["count"] == 0


def test_parents_without_a_layout(engine: sa.Engine) -> None:
    shapes = [box(0, 0, 2, 1), box(0, 0, 1, 1), box(1, 0, 2, 1)]
    cases = {
        "column": ([("A", shapes[0]), ("x", shapes[1]), ("y", shapes[2])], [None, "A", "B"]),
        "prefix": ([("A", shapes[0]), ("A1", shapes[1]), ("B1", shapes[2])], [None] * 3),
        "place": ([("A", shapes[0]), ("x", shapes[1]), ("y", box(5, 5, 6, 6))], [None] * 3),
    }
    for by, (rows, parent) in cases.items():
        frame = units(
            [(code, code, shape) for code, shape in rows],
            level=["county", "town", "town"],
            parent=parent,
        )
        result = store(engine, frame, pack=by, layout=None)
        level = result.report["levels"][1]
        assert level["parents_by"] == by
        assert [o["code"] for o in level["orphans"]["largest"]] == [rows[2][0]]
        # map and jurisdictions go by prefix: a code that does not begin with its parent's is told
        apart = [(o["code"], o["parent"]) for o in level["codes_apart"]["largest"]]
        assert apart == ([] if by == "prefix" else [("x", "A")])
        told = [note for note in result.report["notes"] if note.startswith("town: the codes of 1 ")]
        assert len(told) == len(apart)
        with engine.connect() as connection:
            table_ = boundaries.ancestor_table(connection, result.version)
        assert table_["county"].tolist() == [0, 1, 1, 0]
        assert table_["town"].tolist() == [0, 0, 2, 3]


def test_ancestors(engine: sa.Engine) -> None:
    result = store(engine, units(ROWS))
    with engine.connect() as connection:
        found = boundaries.ancestor_table(connection, result.version)
    assert {k: v.tolist() for k, v in found.items()} == {
        "city": [0, 1, 1, 1, 1, 1],
        "county": [0, 0, 2, 3, 2, 2],
        "town": [0, 0, 0, 0, 4, 5],
    }
    assert found["city"].dtype == np.int32


def test_leaves_are_the_finest_units_of_every_branch(engine: sa.Engine, tmp_path: Path) -> None:
    result = store(engine, units(ROWS))
    steps: list[float] = []
    with engine.connect() as connection:
        index = leaf_index(
            connection, result.version, tmp_path / "locate", lambda _, part: steps.append(part)
        )
        assert steps[-1] == 1.0
        # two towns, and the county that has none
        assert index.ids.tolist() == [3, 4, 5]
        assert index.mapped
        x = np.array([120.2, 120.5, 121.0, 121.5, 125.0])
        assert index.locate(x, np.full(5, 30.5)).tolist() == [4, 4, 3, 3, 0]
        steps.clear()
        leaf_index(connection, result.version, tmp_path / "locate", lambda _, p: steps.append(p))
        assert steps == []
        # a damaged copy is built again
        path = tmp_path / "locate" / result.version.digest / "raster.npy"
        path.write_bytes(path.read_bytes()[:-4])
        assert leaf_index(connection, result.version, tmp_path / "locate").locate(
            x, np.full(5, 30.5)
        ).tolist() == [4, 4, 3, 3, 0]
        LocateIndex.load(path.parent)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"pack": "Hang Zhou"}, "lower-case letters"),
        ({"pack": ""}, "lower-case letters"),
        ({"label": " "}, "label"),
    ],
)
def test_names_of_packs_and_labels(engine: sa.Engine, more: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid, match=message):
        store(engine, units(ROWS), **more)


def test_another_crs_is_refused(engine: sa.Engine) -> None:
    with pytest.raises(Invalid, match="convert them to WGS84"):
        store(engine, units(ROWS).to_crs(32650))
    with pytest.raises(Invalid, match="columns code and geometry; there are name"):
        store(engine, units(ROWS).drop(columns="code"))


def test_taiwan(engine: sa.Engine, shared: Path) -> None:
    frames = []
    for level, file, word in (
        ("county", "tw_counties", "COUNTY"),
        ("town", "tw_towns", "TOWN"),
        ("village", "tw_villages", "VILL"),
    ):
        frame = gpd.read_parquet(shared / "hierarchy" / f"{file}.parquet")
        frames.append(
            gpd.GeoDataFrame(
                {
                    "code": frame[f"{word}CODE"],
                    "level": level,
                    "name": frame[f"{word}NAME"],
                    "name_en": frame[f"{word}ENG"],
                },
                geometry=frame.geometry,
            )
        )
    frame = pd.concat(frames)
    result = store(engine, frame, pack="taiwan", label="2021", layout=None)
    levels = {level["level"]: level for level in result.report["levels"]}
    assert [levels[k]["units"] for k in ("county", "town", "village")] == [22, 368, 7701]
    assert sorted(r["code"] for r in levels["village"]["repaired"]) == [
        "10002110007", "10013170006", "10013170007", "63000080037", "64000020025",
        "67000020010", "68000130008",
    ]  # fmt: skip
    assert all(r["reason"] and r["name"] for r in levels["village"]["repaired"])
    assert levels["county"]["repaired"] == levels["town"]["repaired"] == []
    assert {level["orphans"]["count"] for level in levels.values()} == {0}
    assert {level["codes_apart"]["count"] for level in levels.values()} == {0}
    # towns and counties are an exact coverage; one town was drawn without its islands
    assert levels["county"]["edges_unmatched"]["count"] == 0
    assert levels["town"]["overlaps"]["count"] == 0
    worst = levels["village"]["outside_parent"]["largest"][0]
    assert (worst["name"], worst["parent_name"]) == ("山外里", "金湖鎮")
    with engine.connect() as connection:
        good = connection.scalar(
            sa.text(
                "select bool_and(st_isvalid(geom) and st_contains(geom, label_point)) from unit"
            )
        )
        assert good
        wrong = connection.scalar(
            sa.text(
                "select count(*) from unit c join unit p on p.id = c.parent_id"
                " where left(c.code, length(p.code)) <> p.code"
            )
        )
        assert wrong == 0
