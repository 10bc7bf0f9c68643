"""Assess: counts by brute force, conservation, numbers of the kernel, one-transaction publishing."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from app.database import raw, transaction
from app.errors import Conflict, Invalid, NotFound
from app.services.assess import assess, choose_scene, pack_lock, silent
from app.services.boundaries import ancestor_table, newest_version
from app.services.caches import Caches
from app.services.runs import list_runs, prune_runs, quality_notes, run_facts
from app.services.scenes import OVERALL, Scene, load_scene
from app.services.tracks import read_alpha, read_tracks
from app.services.units import read_units
from geo import exposure, risk, score

from .conftest import HOT, KINDS, LEVELS, MEASURES, NO_EXPOSURE, NO_FIRMS, ZONE, Assessed, Small

MONTHS = 22  # February 2023 … November 2024


def _month(event) -> int:
    local = event.at.astimezone(ZONE)
    return 12 * local.year + local.month - (12 * 2023 + 2)


def _brute(small: Small) -> dict[str, Counter]:
    """Events per unit: Counter of (kind, month), an event in its unit and everything above."""
    found = {place.code: Counter() for place in small.places}
    for event in small.events:
        if event.kind in KINDS:
            for code in small.ancestors(event.unit):
                found[code][event.kind, _month(event)] += 1
    return found


def _observed(assessed: Assessed, period: str) -> dict[tuple[int, str], np.ndarray]:
    with assessed.engine.connect() as connection:
        tracks = read_tracks(
            connection,
            assessed.run,
            range(1, len(assessed.small.places) + 1),
            [*KINDS, OVERALL],
            period,
        )
    return {key: track.observed for key, track in tracks.items()}


def test_counts_equal_brute_force(assessed: Assessed) -> None:
    found = _observed(assessed, "month")
    brute = _brute(assessed.small)
    for number, place in enumerate(assessed.small.places, start=1):
        for kind in KINDS:
            wanted = [brute[place.code][kind, month] for month in range(MONTHS)]
            assert found[number, kind].tolist() == wanted, (place.code, kind)


def test_every_unit_kind_and_period_is_there(assessed: Assessed) -> None:
    units = len(assessed.small.places)
    with assessed.engine.connect() as connection:
        rows = connection.execute(
            sa.text("select count(*), sum(cardinality(colour)) from assessment")
        ).one()
    assert tuple(rows) == (units * 10 * 3, units * 10 * (MONTHS + 8 + 2))


def test_children_and_known_only_here_add_up_to_the_parent(assessed: Assessed) -> None:
    small = assessed.small
    found = _observed(assessed, "month")
    own = Counter((e.unit, e.kind, _month(e)) for e in small.events if e.kind in KINDS)
    for number, place in enumerate(small.places, start=1):
        below = [i for i, one in enumerate(small.places, start=1) if one.parent == place.code]
        for kind in KINDS:
            only_here = np.array([own[place.code, kind, month] for month in range(MONTHS)])
            children = sum((found[i, kind] for i in below), np.zeros(MONTHS, int))
            assert (found[number, kind] == children + only_here).all()


def test_months_add_up_to_quarters_and_years(assessed: Assessed) -> None:
    months, quarters, years = (_observed(assessed, one) for one in ("month", "quarter", "year"))
    quarter = np.array([(month + 1) // 3 for month in range(MONTHS)])
    year = np.array([(month + 1) // 12 for month in range(MONTHS)])
    for key, counts in months.items():
        assert quarters[key].tolist() == np.bincount(quarter, counts).astype(int).tolist()
        assert years[key].tolist() == np.bincount(year, counts).astype(int).tolist()


def test_nothing_is_lost(assessed: Assessed) -> None:
    small = assessed.small
    wanted = [event for event in small.events if event.kind in KINDS]
    with assessed.engine.connect() as connection:
        facts = run_facts(connection, Caches(), assessed.run)
    top = _observed(assessed, "year")[1, OVERALL].sum()
    located = facts.located
    assert facts.event_count == len(wanted) + 7
    assert top + located["no_unit"] + located["other_version"] == facts.event_count
    assert located["no_unit"] == sum(event.unit is None for event in wanted)
    assert located["other_version"] == 7
    assert located["other_kinds"] == 20
    assert located["mismatch"] == sum(event.mismatch for event in wanted)
    by = Counter(event.located_by for event in wanted)
    assert located["by"] == {**by, "code": by["code"] + 7}
    level = {place.code: place.level for place in small.places}
    assert located["level"] == Counter(level[e.unit] for e in wanted if e.unit)
    assert facts.simulated
    assert facts.grid_share == located["level"]["grid"] / facts.event_count


def test_periods_are_local_and_say_what_is_complete(assessed: Assessed) -> None:
    with assessed.engine.connect() as connection:
        facts = run_facts(connection, Caches(), assessed.run)
        stored = connection.execute(
            sa.text("select period, ord, start, complete from run_period where run_id = :run"),
            {"run": assessed.run},
        ).all()
    months, quarters, years = (facts.periods[one] for one in ("month", "quarter", "year"))
    assert (str(months[0].start), str(months[-1].end), len(months)) == (
        "2023-02-01",
        "2024-12-01",
        22,
    )
    assert all(one.complete for one in months)
    assert [one.complete for one in quarters] == [False, *[True] * 6, False]
    assert [one.complete for one in years] == [False, False]
    assert [str(one.start) for one in years] == ["2023-01-01", "2024-01-01"]
    assert years[0].covered_days == 334
    said = {
        (p, one.ord, one.start, one.complete) for p, every in facts.periods.items() for one in every
    }
    assert said == {tuple(row) for row in stored}


def _shares(small: Small, level: str) -> np.ndarray:
    scene = load_scene()
    ids = small.of_level(level)
    values = np.array(
        [[small.exposures[small.places[i - 1].code].get(m, np.nan) for i in ids] for m in MEASURES]
    )
    weights = np.array(
        [[kind.weights.get(m, 0.0) for m in MEASURES] for kind in scene.kinds.values()]
    )
    return exposure.kind_shares(values, weights, np.ones(len(ids), int))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("period", ["month", "quarter"])
def test_stored_numbers_are_the_kernels(assessed: Assessed, level: str, period: str) -> None:
    small = assessed.small
    ids = small.of_level(level)
    shares = _shares(small, level)
    scene = load_scene()
    reference = 1 if level in LEVELS[1:] else 0
    observed = _observed(assessed, period)
    panels, expected, colours = [], [], []
    with assessed.engine.connect() as connection:
        tracks = read_tracks(connection, assessed.run, ids, [*KINDS, OVERALL], period)
        alpha = read_alpha(connection, assessed.run, level, [*KINDS, OVERALL], period)
    for at, kind in enumerate(scene.kinds):
        panel = np.stack([observed[i, kind] for i in ids], axis=1).astype(float)
        wanted = risk.filter_panel(panel, shares[at])
        strength = risk.unit_alpha(wanted.alpha, wanted.flags)
        colour = risk.colours(
            risk.exceedance(strength, wanted.s, wanted.x),
            risk.relative_risk(strength, wanted.s, wanted.x),
        )
        np.testing.assert_array_equal(alpha[reference, kind], wanted.alpha)
        for column, i in enumerate(ids):
            track = tracks[i, kind]
            np.testing.assert_array_equal(track.expected, wanted.expected[:, column])
            np.testing.assert_array_equal(track.s, wanted.s[:, column])
            np.testing.assert_array_equal(track.x, wanted.x[:, column])
            np.testing.assert_array_equal(track.k, wanted.k[:, column])
            np.testing.assert_array_equal(track.colour, colour[:, column])
            np.testing.assert_array_equal(track.flags, wanted.flags[:, column])
        panels.append(panel)
        expected.append(wanted.expected)
        colours.append(colour)
    harm = [kind.harm for kind in scene.kinds.values()]
    overall = score.composite(np.stack(panels), np.stack(expected), harm, np.stack(colours))
    for column, i in enumerate(ids):
        track = tracks[i, OVERALL]
        np.testing.assert_array_equal(track.s, overall.s[:, column])
        np.testing.assert_array_equal(track.k, overall.k[:, column])
        np.testing.assert_array_equal(track.colour, overall.colours[:, column])
        np.testing.assert_allclose(track.fresh_observed, overall.observed[:, column], atol=1e-9)
        plain = np.nansum([one[:, column] for one in expected], axis=0)
        if not np.isnan(overall.expected[0, column]):
            np.testing.assert_allclose(track.expected, plain)


def test_no_data_is_a_class_and_counts_in_the_parent(assessed: Assessed) -> None:
    small = assessed.small
    nothing, partly = small.id_of(NO_EXPOSURE), small.id_of(NO_FIRMS)
    with assessed.engine.connect() as connection:
        tracks = read_tracks(
            connection, assessed.run, [nothing, partly], ["theft", "vice", OVERALL], "month"
        )
        row = connection.execute(
            sa.text("select exposures, shares, complexity from run_unit where unit_id = :unit"),
            {"unit": partly},
        ).one()
    for kind in ("theft", "vice", OVERALL):
        assert set(tracks[nothing, kind].colour) == {0}
        assert np.isnan(tracks[nothing, kind].expected).all()
    assert tracks[nothing, OVERALL].observed.sum() > 0
    assert set(tracks[partly, "vice"].colour) == {0}
    assert 0 not in tracks[partly, "theft"].colour
    assert 0 not in tracks[partly, OVERALL].colour
    assert row.exposures[2] is None
    assert row.shares[1] is None
    assert row.shares[2] > 0
    assert row.complexity > 0


def test_the_city_alone_is_as_expected_and_says_why(assessed: Assessed) -> None:
    with assessed.engine.connect() as connection:
        tracks = read_tracks(connection, assessed.run, [1], [*KINDS, OVERALL], "month")
    for track in tracks.values():
        assert set(track.colour) == {risk.BLUE}
        np.testing.assert_allclose(track.s, track.x)
        assert ((track.flags & risk.SHORT) > 0).all()


def test_planted_theft_turns_red(assessed: Assessed) -> None:
    unit = assessed.small.id_of(HOT)
    with assessed.engine.connect() as connection:
        track = read_tracks(connection, assessed.run, [unit], ["theft"], "month")[unit, "theft"]
    assert track.colour[-6:].tolist() == [risk.RED] * 6


def test_packed_rows_hold_the_colours(assessed: Assessed) -> None:
    with assessed.engine.connect() as connection:
        wrong = connection.execute(
            sa.text(
                "select count(*) from packed_values p join assessment a "
                "on a.run_id = p.run_id and a.kind = p.kind and a.period = p.period "
                "and a.unit_id between p.first_id and p.first_id + n - 1 "
                "where get_byte(payload, a.unit_id - first_id) <> a.colour[p.ord + 1]"
            )
        ).scalar_one()
        units = connection.execute(
            sa.text("select sum(n) from packed_values where kind = 'fire' and period = 'year'")
        ).scalar_one()
        codes = connection.execute(
            sa.text("select distinct level, county_code from packed_values order by 1, 2")
        ).all()
    assert wrong == 0
    assert units == 2 * len(assessed.small.places)
    assert ("city", "3301") in [tuple(row) for row in codes]
    assert ("grid", "330102") in [tuple(row) for row in codes]


def test_ancestors_agree_with_the_boundaries(assessed: Assessed) -> None:
    with assessed.engine.connect() as connection:
        version = newest_version(connection, "small")
        table = read_units(connection, version.id)
        other = ancestor_table(connection, version)
    assert version.id == assessed.small.version
    for column, level in enumerate(LEVELS):
        np.testing.assert_array_equal(table.ancestors[:, column], other[level])


# publishing ---------------------------------------------------------------------------------------


def _statuses(engine: sa.Engine) -> list[tuple[int, str]]:
    with engine.connect() as connection:
        rows = connection.execute(sa.text("select id, status from run order by id")).all()
    return [tuple(row) for row in rows]


def _rows(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(sa.text("select count(*) from assessment")).scalar_one()


def test_a_running_run_is_seen_by_nobody(engine: sa.Engine, small: Small) -> None:
    seen = []

    def look(stage: str, done: int, total: int) -> None:
        if done:
            with engine.connect() as connection:
                statuses = connection.execute(sa.text("select status from run")).scalars().all()
                rows = connection.execute(sa.text("select count(*) from packed_values")).scalar()
                seen.append((statuses, rows, list_runs(connection)))

    run = assess(engine, "small", zone="Asia/Shanghai", progress=look)
    assert len(seen) > 10
    assert all(one == (["running"], 0, []) for one in seen)
    assert _statuses(engine) == [(run, "published")]


def test_a_publish_is_announced(engine: sa.Engine, small: Small) -> None:
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
            "listen wusetu_run"
        )
        run = assess(engine, "small", finest="town", zone="Asia/Shanghai")
        driver = raw(connection)
        select.select([driver], [], [], 5)
        driver.poll()
        assert [json.loads(one.payload) for one in driver.notifies] == [
            {"run": run, "pack": "small"}
        ]


def test_finest_level_brings_the_coarser_ones(engine: sa.Engine, small: Small) -> None:
    run = assess(engine, "small", finest="town", zone="Asia/Shanghai")
    with engine.connect() as connection:
        assert run_facts(connection, Caches(), run).levels == ("city", "county", "town")


def test_an_error_leaves_the_last_run_and_a_reason(engine: sa.Engine, small: Small) -> None:
    first = assess(engine, "small", finest="town", zone="Asia/Shanghai")
    before = _rows(engine)

    def fail(stage: str, done: int, total: int) -> None:
        if done > 100:
            raise Conflict("the disk is full")

    with pytest.raises(Conflict):
        assess(engine, "small", zone="Asia/Shanghai", progress=fail)
    assert [status for _, status in _statuses(engine)] == ["published", "failed"]
    assert _rows(engine) == before
    with engine.connect() as connection:
        assert [one.id for one in list_runs(connection)] == [first]
        message = connection.execute(sa.text("select message from run where status = 'failed'"))
        assert message.scalar_one() == "the disk is full"


SCRIPT = """
import sys, time
from app.database import make_engine
from app.services.assess import assess
def progress(stage, done, total):
    if stage.startswith("grid"):
        print(stage, flush=True)
        time.sleep(0.5)
try:
    assess(make_engine(sys.argv[1]), "small", zone="Asia/Shanghai", progress=progress)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_or_cancelled_in_the_middle_nothing_changes(
    engine: sa.Engine, db_url: str, small: Small, number: signal.Signals
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, db_url], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert child.stdout
    assert child.stdout.readline().startswith("grid")
    child.send_signal(number)
    code = child.wait(120)
    assert _rows(engine) == 0
    left = [status for _, status in _statuses(engine)]
    if number == signal.SIGINT:
        assert (code, left) == (130, [])
    else:
        assert (code, left) == (-9, ["running"])
    # the lock died with the process, and the next one cleans up
    deadline = time.monotonic() + 120
    while True:
        try:
            run = assess(engine, "small", finest="town", zone="Asia/Shanghai", wait=False)
            break
        except Conflict:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert _statuses(engine) == [(run, "published")]


def test_a_second_assess_says_so_or_waits(engine: sa.Engine, small: Small) -> None:
    stages: list[str] = []
    runs: list[int] = []
    with pack_lock(engine, "small", True, silent):
        with pytest.raises(Conflict, match="being assessed already"):
            assess(engine, "small", wait=False)
        other = threading.Thread(
            target=lambda: runs.append(
                assess(
                    engine,
                    "small",
                    finest="town",
                    zone="Asia/Shanghai",
                    progress=lambda stage, *_: stages.append(stage),
                )
            )
        )
        other.start()
        deadline = time.monotonic() + 120
        while not stages and time.monotonic() < deadline:
            time.sleep(0.02)
        assert stages == ["waiting for another assess of this pack"]
    other.join(300)
    assert len(runs) == 1


def test_another_pack_is_not_held_up(engine: sa.Engine, small: Small) -> None:
    with pack_lock(engine, "other", True, silent):
        assert assess(engine, "small", finest="city", zone="Asia/Shanghai", wait=False)


def test_the_same_data_gives_the_same_run(engine: sa.Engine, small: Small) -> None:
    runs = [assess(engine, "small", finest="village", zone="Asia/Shanghai") for _ in range(2)]
    with engine.connect() as connection:
        different = connection.execute(
            sa.text(
                "select count(*) from assessment a join assessment b using (unit_id, kind, period) "
                "where a.run_id = :a and b.run_id = :b and (a.memory_s, a.colour, a.flags) "
                "is distinct from (b.memory_s, b.colour, b.flags)"
            ),
            dict(zip("ab", runs, strict=True)),
        ).scalar_one()
    assert different == 0


def test_prune_keeps_the_newest(engine: sa.Engine, small: Small) -> None:
    runs = [assess(engine, "small", finest="city", zone="Asia/Shanghai") for _ in range(3)]
    with transaction(engine) as connection:
        failed, running = connection.execute(
            sa.text(
                "insert into run (pack, boundary_version_id, scene, scene_body, status, time_zone, "
                "kinds, measures) select pack, boundary_version_id, scene, scene_body, new, "
                "time_zone, kinds, measures from run, unnest(array['failed', 'running']) as new "
                "where id = :run returning id"
            ),
            {"run": runs[0]},
        ).scalars()
        assert prune_runs(connection, 2) == [runs[0], failed]
        assert running in connection.execute(sa.text("select id from run")).scalars().all()
        with pytest.raises(Invalid):
            prune_runs(connection, 0)
        with pytest.raises(Conflict):
            prune_runs(connection, 1, "nowhere")
    with engine.connect() as connection:
        left = connection.execute(sa.text("select distinct run_id from assessment")).scalars()
        assert sorted(left) == runs[1:]
        with pytest.raises(NotFound):
            run_facts(connection, Caches(), runs[0])


def test_periods_of_one_type_alone(engine: sa.Engine, small: Small) -> None:
    body = load_scene().body() | {"periods": ["year"]}
    scene = type(load_scene()).model_validate(body)
    run = assess(engine, "small", scene, finest="county", zone="Asia/Shanghai")
    with engine.connect() as connection:
        facts = run_facts(connection, Caches(), run)
    assert list(facts.periods) == ["year"]
    assert [one.complete for one in facts.periods["year"]] == [False, False]


def test_the_scene_of_the_last_run_is_taken_again(engine: sa.Engine, small: Small) -> None:
    assess(engine, "small", None, finest="city")
    with engine.begin() as connection:
        assert choose_scene(connection, "small", None).name == "nine-kinds"
        connection.execute(sa.text("update run set scene = 'vancouver-thefts'"))
        assert choose_scene(connection, "small", None).name == "vancouver-thefts"


def test_a_scene_file_of_ones_own_is_taken_again(engine: sa.Engine, small: Small) -> None:
    body = load_scene().body() | {"name": "my-own", "periods": ["year"], "version": 7}
    own = Scene.model_validate(body)
    assess(engine, "small", own, finest="city")
    with engine.begin() as connection:
        assert choose_scene(connection, "small", None) == own
        connection.execute(sa.text("update run set scene_body = '{}'"))
        with pytest.raises(Invalid, match="'my-own' of the newest run"):
            choose_scene(connection, "small", None)


def test_notes_name_what_to_look_at(assessed: Assessed) -> None:
    with assessed.engine.connect() as connection:
        notes = quality_notes(connection, run_facts(connection, Caches(), assessed.run))
    text = "\n".join(notes)
    assert "located to no unit" in text
    assert "7 events are located in another boundary version" in text
    assert "20 events are of kinds the scene does not count" in text
    assert "1 units of level grid have no exposure" in text


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("delete from event", "there are no events"),
        ("delete from event where kind <> 'noise'", "20 events of other kinds"),
        ("delete from exposure", "Import exposures first"),
    ],
)
def test_what_is_missing_is_named(
    engine: sa.Engine, small: Small, statement: str, reason: str
) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    with pytest.raises(Invalid, match=reason):
        assess(engine, "small", "nine-kinds")
    assert _statuses(engine) == []


def test_unknown_names(engine: sa.Engine, small: Small) -> None:
    with pytest.raises(NotFound, match="no boundaries of 'nowhere'"):
        assess(engine, "nowhere")
    with pytest.raises(NotFound, match="no level 'street'"):
        assess(engine, "small", finest="street")
    with pytest.raises(NotFound, match="no scene 'zebra'"):
        assess(engine, "small", "zebra")
    with pytest.raises(NotFound, match="no scene file"):
        assess(engine, "small", Path("/nowhere/x.yaml"))
