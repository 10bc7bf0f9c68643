"""The sample: facts of the packs, made files through the ordinary import, the resumable load."""

import json
import os
import shutil
import subprocess
import sys
from datetime import date

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
import yaml
from click.testing import CliRunner

from app.cli import sample as cli
from app.errors import Conflict, Invalid, NotFound
from app.services import cells_assess, sample, sample_events, sample_packs
from app.services.caches import Caches
from app.services.events import import_file
from app.services.exposure_table import exposure_table
from app.services.exposures import import_frame
from app.services.indicator_values import Question, values
from app.services.periods import month_bounds
from app.services.runs import run_facts
from app.services.scenes import load_scene
from app.settings import PROJECT

MEASURES = ["resident", "floating", "firms", "dwellings"]
COUNTIES = ("330108", "330114")  # Binjiang and Qiantang: 10 towns


@pytest.fixture(scope="session")
def small_packs(tmp_path_factory):
    """A packs folder whose Hangzhou has two of its counties; everything else as shipped."""
    import geopandas as gpd
    import shapely

    root = tmp_path_factory.mktemp("packs")
    home = sample_packs.PACKS / "hangzhou"
    target = root / "hangzhou"
    target.mkdir()
    units = gpd.read_parquet(home / "units.parquet")
    kept = units[units.code.str.startswith(COUNTIES) | (units.code == "3301")].copy()
    city = shapely.coverage_union_all(kept[kept.level == "county"].geometry.to_numpy())
    kept.loc[kept.code == "3301", "geometry"] = city
    kept.to_parquet(target / "units.parquet")
    values = pd.read_parquet(home / "exposures.parquet")
    values = values[values.code.str.startswith(COUNTIES)]
    grids = kept[kept.level == "grid"].code
    hole = grids.iloc[5]  # the planted holes lie elsewhere: one here, its village still known
    village = (
        values[values.code.str.startswith(hole[:12])].groupby(["measure", "as_of"]).value.sum()
    )
    village = village.reset_index().assign(code=hole[:12])
    values = pd.concat([values[values.code != hole], village])
    values = values.drop_duplicates(["code", "measure"])
    values.to_parquet(target / "exposures.parquet", index=False)
    shutil.copy(home / "successions.csv", target)
    body = yaml.safe_load((home / "pack.yaml").read_text(encoding="utf-8"))
    body["simulation"] |= {
        "events": 12_000,
        "plants": [
            {"code": "330114002", "kind": "theft", "relative_risk": 4.0, "story": "hot"},
            {"near": {"point": [120.2, 30.2], "km": 3}, "kind": "fire", "relative_risk": 2.0},
        ],
        "scatter": [{"count": 3, "level": "village", "kinds": "all", "low": 2.0, "high": 3.0}],
    }
    (target / "pack.yaml").write_text(yaml.safe_dump(body, allow_unicode=True), encoding="utf-8")
    shutil.copy(sample_packs.PACKS / "simulation.yaml", root)
    shutil.copytree(sample_packs.PACKS / "context", root / "context")
    return root, hole


@pytest.fixture
def small(small_packs, monkeypatch):
    """The small pack, in place of the shipped ones."""
    monkeypatch.setattr(sample_packs, "PACKS", small_packs[0])
    return sample_packs.read_pack("hangzhou")


def load(engine, folder, pack, **more):
    return {s.name: s for s in sample.Loader(engine, folder, pack, **more).load()}


# the packs that ship ----------------------------------------------------------------------------


def test_packs_are_complete_and_say_what_they_are():
    assert sample_packs.pack_names() == ["alliance", "hangzhou"]
    for name in sample_packs.pack_names():
        pack = sample_packs.read_pack(name)
        assert pack.pack == name
        assert pack.real
        assert pack.approximate
        assert "审图号" in pack.licence
        assert list(sample_packs.read_kinds()) == list(load_scene(pack.scene).kinds)
    size = {
        p: (sample_packs.PACKS / p / "units.parquet").stat().st_size
        for p in sample_packs.pack_names()
    }
    assert size["hangzhou"] <= 8e6
    assert size["alliance"] <= 12e6
    with pytest.raises(NotFound, match="there are alliance, hangzhou"):
        sample_packs.read_pack("atlantis")


def test_a_pack_file_that_is_wrong_is_told(small, small_packs, tmp_path, monkeypatch):
    shutil.copytree(small_packs[0], tmp_path / "p")
    monkeypatch.setattr(sample_packs, "PACKS", tmp_path / "p")
    file = tmp_path / "p" / "hangzhou" / "pack.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("330114002", "330999"), encoding="utf-8")
    with pytest.raises(Invalid, match="a plant names 330999, which is no unit"):
        sample_events.make_events(sample_packs.read_pack("hangzhou"), 10)
    file.write_text(text + "colour: red\n", encoding="utf-8")
    with pytest.raises(Invalid, match=r"pack\.yaml, colour: "):
        sample_packs.read_pack("hangzhou")


def totals(pack, measure):
    """County totals of a measure: what is stated at a unit, else the sum of its children."""
    table = pd.read_parquet(sample_packs.PACKS / pack / "exposures.parquet")
    table = table[table.measure == measure].set_index("code").value
    stated = [c for c in table.index if len(c) < 15]
    free = table[[not any(c != s and c.startswith(s) for s in stated) for c in table.index]]
    return free.groupby(free.index.str[:6]).sum()


def test_residents_are_the_census(shared):
    census = pd.read_csv(
        shared / "cn_population/county_census2020_ghsl.csv", dtype={"CODE": str}
    ).set_index("CODE").POPU  # fmt: skip
    hangzhou, alliance = totals("hangzhou", "resident"), totals("alliance", "resident")
    assert hangzhou.sum() == census[census.index.str[:4] == "3301"].sum() == 11_936_010
    # as the city published the census for the districts of 2021
    for code, people in {
        "330102": 1_323_467, "330105": 1_120_985, "330109": 2_011_699, "330110": 1_226_673,
        "330113": 1_175_841, "330114": 769_150, "330106": 1_112_992, "330182": 442_709,
    }.items():  # fmt: skip
        assert hangzhou[code] == people
    assert len(hangzhou) == 13
    assert len(alliance) == 35
    assert (alliance == census[alliance.index]).all()


@pytest.mark.parametrize("pack", ["hangzhou", "alliance"])
def test_a_few_grids_have_no_exposure_and_no_total_misses_them(pack):
    import pyarrow.parquet

    units = pyarrow.parquet.read_table(
        sample_packs.PACKS / pack / "units.parquet", columns=["code", "level"]
    ).to_pandas()
    table = pd.read_parquet(sample_packs.PACKS / pack / "exposures.parquet")
    assert not table.duplicated(["code", "measure"]).any()
    assert set(table.measure) == set(MEASURES)
    assert set(table.code) <= set(units.code)
    assert (table.value >= 0).all()
    assert (table.value == table.value.round()).all()
    given = set(table.code)
    empty = [c for c in units.code[units.level == "grid"] if c not in given]
    assert 10 <= len(empty) <= 60
    villages = {c[:12] for c in empty}
    # a hole is stated further up, so that parents have a value
    assert all(village in given or village[:9] in given for village in villages)
    assert any(village not in given for village in villages)  # a village without, too
    people = table[(table.measure == "resident") & (table.code.str.len() == 15)].value
    assert people.min() > 0


def test_old_census_rows_reach_the_districts_of_2021(engine, shared):
    """The census under 330103 and 330104, through the ordinary imports, on the real successions."""
    import geopandas as gpd

    from app.database import transaction
    from app.services.boundaries import import_units
    from app.services.succession_files import import_successions

    real = PROJECT / "data" / "boundaries" / "hangzhou"
    units = gpd.read_parquet(real / "units.parquet")
    layout = yaml.safe_load((sample.LAYOUTS / "unified-27.yaml").read_text(encoding="utf-8"))
    from geo.codes import load_layout

    with transaction(engine) as connection:
        version = import_units(
            connection, pack="hangzhou", label="2023", layout=load_layout(layout),
            frame=units[units.level.isin(["city", "county"])], valid_from=date(2023, 6, 30),
        ).version  # fmt: skip
        result = import_successions(connection, "hangzhou", real / "successions.csv")
    assert result.stored == 9
    assert not result.rejects
    assert not result.notes
    census = pd.read_csv(shared / "cn_population/county_census2020_ghsl.csv", dtype={"CODE": str})
    census = census[census.CODE.str[:4] == "3301"]
    frame = pd.DataFrame({"code": census.CODE, "measure": "resident", "value": census.POPU})
    report = import_frame(engine, frame, pack="hangzhou", as_of=date(2020, 11, 1))
    assert report.rejected == 0
    with engine.connect() as connection:
        values = exposure_table(connection, version.id, ["resident"], date(2024, 1, 1))[0]
        codes = connection.execute(sa.text("select id, code from unit order by id")).all()
    found = {code: values[i] for i, code in codes}
    assert found["3301"] == pytest.approx(11_936_010, abs=0.1)
    expected = totals_of(real)
    assert {c for c in found if len(c) == 6} == set(expected)
    for code, people in expected.items():
        assert found[code] == pytest.approx(people, abs=0.1), code


def totals_of(folder):
    """County totals as shipped."""
    table = pd.read_parquet(folder / "exposures.parquet")
    table = table[table.measure == "resident"].set_index("code").value
    stated = [c for c in table.index if len(c) < 15]
    free = table[[not any(c != s and c.startswith(s) for s in stated) for c in table.index]]
    return free.groupby(free.index.str[:6]).sum().to_dict()


# made files -------------------------------------------------------------------------------------


def test_made_files_carry_mapping_truth_and_counts(small, tmp_path):
    made = sample_events.make_events(small, 3000, 5)
    files = sample_events.write_events(made, tmp_path / "new" / "made.csv")
    assert sorted(p.name for p in files.values()) == sorted(
        p.name for p in (tmp_path / "new").iterdir()
    )
    truth = pd.read_csv(files["truth"], dtype=str)
    assert truth.code[0] == "330114002"
    assert (truth.kind == "fire").sum() == (truth.story.isna()).sum() >= 5
    near = truth[truth.kind == "fire"].code
    assert set(near.str[:6]) == {"330108"}
    assert set(near.str.len()) == {12}
    lot = truth[truth.story.fillna("").str.startswith("by lot")]
    assert lot.story.tolist() == ["by lot: lasting", "by lot: new", "by lot: ended"]
    assert lot["first"].tolist()[1] == lot["first"].max() > "2024-01-01"
    assert lot["last"].tolist()[2] < "2026-01-01"
    assert not set(lot.code) & set(near)
    assert not lot.code.str.startswith("330114002").any()
    counts = json.loads(files["counts"].read_text(encoding="utf-8"))
    rows = pd.read_csv(files["events"], dtype=str)
    assert counts["rows"] == len(rows) == counts["good"] + sum(counts["broken"].values())
    assert sum(counts["located"].values()) == counts["good"]
    again = sample_events.write_events(
        sample_events.make_events(small, 3000, 5), tmp_path / "b.csv"
    )
    assert again["events"].read_bytes() == files["events"].read_bytes()
    with pytest.raises(Invalid, match=r"ends in \.csv or \.parquet"):
        sample_events.write_events(made, tmp_path / "made.xlsx")
    with pytest.raises(Invalid, match="cannot be written"):
        sample_events.write_events(made, files["events"] / "below" / "made.csv")
    with pytest.raises(Invalid, match="at least one event"):
        sample_events.make_events(small, 0)


def test_cli_makes_a_file_that_the_ordinary_import_reads(small, engine, tmp_path):
    loaded = sample.Loader(engine, tmp_path, small)
    loaded._boundaries()
    out = tmp_path / "made.csv"
    ran = CliRunner().invoke(
        cli.command, ["simulate", "--out", str(out), "--events", "2000", "--seed", "3"]
    )
    assert ran.exit_code == 0, ran.output
    assert f"--mapping {tmp_path / 'made.mapping.yaml'}" in ran.output
    counts = json.loads((tmp_path / "made.counts.json").read_text(encoding="utf-8"))
    report = import_file(
        engine, out, pack="hangzhou", mapping=tmp_path / "made.mapping.yaml",
        cache_folder=tmp_path / "locate",
    )  # fmt: skip
    assert dict(report.reasons) == counts["broken"]
    assert report.new == counts["good"]
    again = import_file(
        engine, out, pack="hangzhou", mapping=tmp_path / "made.mapping.yaml",
        cache_folder=tmp_path / "locate",
    )  # fmt: skip
    assert (again.new, again.updated, again.unchanged) == (0, 0, counts["good"])
    names = CliRunner().invoke(cli.command, ["list"])
    assert "杭州市" in names.output


# the load ---------------------------------------------------------------------------------------


def test_load_is_complete_resumable_and_removable(small, small_packs, engine, tmp_path):
    first = load(engine, tmp_path, small)
    # this pack has no treaty
    assert {name for name, step in first.items() if not step.done} == {"border"}, first
    with engine.connect() as connection:

        def one(query, **values):
            return connection.execute(sa.text(query), values).scalar()

        # what was planted is what was found
        counts = json.loads((tmp_path / "sample/hangzhou/events.counts.json").read_text())
        by = dict(
            connection.execute(sa.text("select located_by, count(*) from event group by 1")).all()
        )
        planted = counts["located"]
        assert sum(by.values()) == counts["good"]
        assert by["code"] == planted["point and code"] + planted["code"]
        assert by["point"] == planted["point"]
        assert by["address"] + by["none"] == planted["address"] + planted["none"]
        assert by["address"] >= 0.97 * planted["address"]  # a name may be there twice
        assert one("select count(*) from event where mismatch") == counts["disagreeing"] > 0
        rejects = pd.read_csv(tmp_path / "sample/hangzhou/rejects.csv")
        assert rejects.reason.value_counts().to_dict() == counts["broken"]
        # points were put where their code says
        leaf = one(
            "select count(*) from event e join unit u on u.boundary_version_id ="
            " e.boundary_version_id and u.id = e.unit_id where not st_covers(u.geom, e.geom)"
            " and not mismatch"
        )
        assert leaf == 0
        report = one("select report from boundary_version")
        assert report["rejected"]["count"] == 0
        assert all(level["gaps"]["count"] == 0 for level in report["levels"])
        assert one("select bool_and(simulated) from event_source")
        grid_share = one(
            "select avg((u.level = 'grid')::int) from event e join unit u on"
            " u.boundary_version_id = e.boundary_version_id and u.id = e.unit_id"
        )
        assert grid_share > 0.9
        colour = dict(
            connection.execute(
                sa.text(
                    "select code, colour[24] from assessment where kind = :k and period = 'month'"
                ),
                {"k": "theft"},
            ).all()
        )
        assert colour["330114002"] == 5  # the hot town is red
        assert colour[small_packs[1]] == 0  # the grid without exposure has no data
        assert colour[small_packs[1][:12]] > 0  # its village has
        assert set(np.unique(list(colour.values()))) >= {0, 2, 5}
        _adds_up(connection)
        _cells_add_up(connection)
    _report_is_there(engine)
    second = load(engine, tmp_path, small)
    assert not any(step.done for step in second.values())
    # interrupted before the run was published: events are kept, the run is made
    with engine.begin() as connection:
        connection.execute(sa.text("delete from run"))
    third = load(engine, tmp_path, small)
    assert [name for name, step in third.items() if step.done] == ["assessment", "alerts"]
    # interrupted in the events: those that are missing come back, and a new run
    with engine.begin() as connection:
        connection.execute(sa.text("delete from event where reference like 'HZ00001%'"))
    fourth = load(engine, tmp_path, small)
    assert [name for name, step in fourth.items() if step.done] == [
        "events",
        "assessment",
        "alerts",
        "indicators",
    ]
    with engine.connect() as connection:
        assert connection.scalar(sa.text("select count(*) from event")) == counts["good"]
    # an archive was lost
    next((tmp_path / "archives").rglob("*.pmtiles")).unlink()
    fifth = load(engine, tmp_path, small)
    assert [name for name, step in fifth.items() if step.done] == ["tiles"]
    _refuses_what_is_not_its_own(engine, small)
    sample.remove(engine, small)
    with engine.connect() as connection:
        for table in ("event", "event_source", "run", "unit", "boundary_version", "exposure",
                      "succession", "assessment", "tile_geometry", "indicator_run", "indicator_value"):  # fmt: skip
            assert connection.scalar(sa.text(f"select count(*) from {table}")) == 0, table


def _report_is_there(engine):
    """The safety report of the two counties: every indicator has values, feeds and events are told."""
    with engine.connect() as connection:
        found = values(connection, "safety-report", "hangzhou", Question("county", "month"))
        assert {row.code for row in found.rows} == set(COUNTIES)
        assert len({row.indicator for row in found.rows}) == 1 + 7 + 12 + 33
        assert found.simulated
        known = {row.indicator for row in found.rows if row.value is not None}
        assert len(known) == 53
        assert {one.id: str(one.through) for one in found.feeds} == dict.fromkeys(
            ("daily", "registers", "events"), "2026-01-01"
        )


def _adds_up(connection):
    """Nothing is lost or counted twice: over levels, periods and kinds, and against the events."""
    units = connection.execute(sa.text("select id, coalesce(parent_id, 0) from unit")).all()
    size = max(i for i, _ in units) + 1
    parent = np.zeros(size, int)
    for i, above in units:
        parent[i] = above
    zone = connection.execute(sa.text("select time_zone from run")).scalar_one()
    starts = connection.execute(
        sa.text("select start from run_period where period = 'month' order by ord")
    ).scalars()
    month_of = {start: ord_ for ord_, start in enumerate(starts)}
    assert len(month_of) == 24
    found = {}
    for unit, kind, period, observed in connection.execute(
        sa.text("select unit_id, kind, period, observed from assessment")
    ):
        counts = found.setdefault((kind, period), np.zeros((size, len(observed)), int))
        counts[unit] = observed
    kinds = sorted({kind for kind, _ in found} - {"overall"})
    assert len(kinds) == 9
    # events of which no more is known than this unit
    own = {kind: np.zeros((size, 24), int) for kind in kinds}
    for unit, kind, start, n in connection.execute(
        sa.text(
            "select unit_id, kind, date_trunc('month', occurred_at at time zone :zone)::date,"
            " count(*) from event where unit_id is not null group by 1, 2, 3"
        ),
        {"zone": zone},
    ):
        own[kind][unit, month_of[start]] += n
    coarse = np.isin(np.arange(size), parent[1:])
    assert sum(counts[coarse].sum() for counts in own.values()) > 0  # some are known coarsely
    own["overall"] = np.sum([own[kind] for kind in kinds], axis=0)
    for kind in [*kinds, "overall"]:
        months = found[kind, "month"]
        below = np.zeros_like(months)
        np.add.at(below, parent[1:], months[1:])
        assert (months[1:] == below[1:] + own[kind][1:]).all(), kind
        assert below[0].sum() == own[kind].sum(), kind
        assert (found[kind, "quarter"] == months.reshape(size, 8, 3).sum(axis=2)).all(), kind
        assert (found[kind, "year"] == months.reshape(size, 2, 12).sum(axis=2)).all(), kind
    for period in ("month", "quarter", "year"):
        together = np.sum([found[kind, period] for kind in kinds], axis=0)
        assert (found["overall", period] == together).all(), period


def _cells_add_up(connection):
    """Σ cells + events without a point = Σ units + events of no unit = events, by kind and month."""
    run = connection.scalar(sa.text("select max(id) from run"))
    facts = run_facts(connection, Caches(), run)
    first = cells_assess.first_month(facts)
    shape = (len(facts.kinds), len(facts.periods["month"]))
    assert month_bounds(facts.periods["month"], first) == list(range(shape[1]))
    stored, nowhere, no_unit, top = (np.zeros(shape, int) for _ in range(4))
    for kind, month, events, points, units in connection.execute(
        sa.text(
            "select kind, (12 * extract(year from at) + extract(month from at) - 1)::int - :first,"
            " count(*), count(geom), count(unit_id) from (select *, occurred_at at time zone :zone"
            " as at from event) as event group by 1, 2"
        ),
        {"zone": connection.scalar(sa.text("select time_zone from run")), "first": first},
    ):
        at = facts.kinds.index(kind), month
        stored[at] += events
        nowhere[at] += events - points
        no_unit[at] += events - units
    for kind, observed in connection.execute(
        sa.text(
            "select kind, observed from assessment join unit on unit.id = unit_id and unit.parent_id"
            " is null where period = 'month' and kind <> 'overall' and run_id = :run"
        ),
        {"run": run},
    ):
        top[facts.kinds.index(kind)] += observed
    assert stored.sum() == facts.event_count
    assert nowhere.sum() > 0
    assert (top + no_unit == stored).all()
    for res in (6, 7, 8):
        counts = cells_assess.load(connection, run, res)
        cells = np.zeros(shape, int)
        np.add.at(cells, (counts.kind, counts.month), counts.events)
        assert len(np.unique(counts.cell)) > {6: 10, 7: 50, 8: 200}[res]
        assert (cells + nowhere == stored).all(), res


def _refuses_what_is_not_its_own(engine, pack):
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "insert into event_source (pack, name, simulated, crs, time_zone, mapping)"
                " values ('hangzhou', 'police', false, 'wgs84', 'Asia/Shanghai', '{}')"
            )
        )
    with pytest.raises(Conflict, match=r"events of other feeds.*nothing was removed"):
        sample.remove(engine, pack)
    with engine.begin() as connection:
        assert connection.scalar(sa.text("select count(*) from run")) == 2
        connection.execute(sa.text("delete from event_source where name = 'police'"))


def test_an_import_that_does_not_find_what_was_planted_is_told(
    small, engine, tmp_path, monkeypatch
):
    loader = sample.Loader(engine, tmp_path, small, events=500)
    loader._boundaries()
    real = sample.make_events

    def less(*arguments):
        made = real(*arguments)
        made.simulation.bad["swapped"] += 1
        return made

    monkeypatch.setattr(sample, "make_events", less)
    with pytest.raises(Conflict, match="the sample and the import do not fit"):
        loader._events()
    monkeypatch.setattr(sample, "make_events", real)
    loader.steps.append(sample.Step("exposures", False, "", 0))
    assert "0 made up" in (loader._events() or "")  # kept what was good; now complete
    assert loader._events() is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hangzhou", "alliance"])
def test_the_shipped_packs_load_whole(name, engine, tmp_path):
    """The real thing: strict boundaries, every planted broken row refused, run, tiles."""
    pack = sample_packs.read_pack(name)
    load(engine, tmp_path, pack)
    assert not any(step.done for step in load(engine, tmp_path, pack).values())
    with engine.connect() as connection:
        at = connection.scalar(sa.text("select count(*) from event"))
        assert at == pytest.approx({"hangzhou": 600_000, "alliance": 150_000}[name], rel=0.05)
        rows = connection.execute(
            sa.text(
                "select code, colour[24] from assessment where kind = 'theft' and period = 'month'"
            )
        ).all()
        if name == "hangzhou":
            assert dict(rows)["330102014"] == 5
        _cells_add_up(connection)
    sample.remove(engine, pack)


@pytest.mark.slow
def test_two_packs_side_by_side(db_url, engine, tmp_path):
    def run(*names):
        there = os.environ | {"WUSETU_DATABASE_URL": db_url, "WUSETU_DATA_DIR": str(tmp_path)}
        script = "from app.cli import main; main()"
        return subprocess.run(
            [sys.executable, "-c", script, "sample", "load", *names, "--events", "500"],
            capture_output=True, text=True, env=there, check=False,
        )  # fmt: skip

    wrong = run("hangzhou", "atlantis")
    assert wrong.returncode == 2
    assert "there are alliance, hangzhou" in wrong.stderr
    made = run("hangzhou", "alliance")
    assert made.returncode == 0, made.stderr
    assert "alliance: boundaries" in made.stderr
    assert "sample alliance: loaded" in made.stderr
    assert "sample hangzhou: loaded" in made.stdout
    with engine.connect() as connection:  # a page opens with the first
        packs = connection.execute(sa.text("select pack from boundary_version order by id"))
        assert list(packs.scalars()) == ["hangzhou", "alliance"]
    again = run("alliance", "hangzhou", "alliance")
    assert again.returncode == 0
    assert again.stdout.count("all there already") == 2
