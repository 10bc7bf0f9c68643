"""Row-level security underneath the services: a jurisdiction sees its own and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from app.database import claim, make_web_engine
from app.errors import Invalid, NotFound
from app.services import export, lookup
from app.services import manifest as manifest_service
from app.services.caches import Caches
from app.services.coloured import find as find_layer
from app.services.coloured import tile
from app.services.ranking import ranking
from app.services.runs import Layer, list_runs, run_facts
from app.services.search import search
from app.services.summary import summary
from app.services.units import children, unit_detail
from app.services.values import values
from app.settings import DatabaseSettings

from .conftest import Assessed

MINE, THEIRS = "330101", "330102"
#: A county, a town inside it, several pieces, everything
SCOPES = [("330101",), ("330101001",), ("330102", "330101001"), ("3301",)]
LAYER = Layer("grid", "overall", "month", 21)


@pytest.fixture(scope="module")
def web(assessed: Assessed) -> Iterator[sa.Engine]:
    engine = make_web_engine(assessed.url, DatabaseSettings(url=assessed.url))
    yield engine
    engine.dispose()


@contextmanager
def asking(web: sa.Engine, prefixes: tuple[str, ...] | None) -> Iterator[sa.Connection]:
    with web.connect() as connection, connection.begin():
        claim(connection, prefixes)
        yield connection


def inside(code: str, prefixes: tuple[str, ...]) -> bool:
    return any(code.startswith(one) for one in prefixes)


def test_the_role_owns_nothing_and_reads_no_event(web: sa.Engine) -> None:
    with asking(web, None) as connection:
        assert connection.scalar(sa.text("select current_user")) == "wusetu_web"
        owned = connection.scalar(
            sa.text(
                "select count(*) from pg_class join pg_roles on pg_roles.oid = relowner "
                "where rolname = 'wusetu_web'"
            )
        )
        assert owned == 0
        bypass = connection.execute(
            sa.text("select rolsuper, rolbypassrls from pg_roles where rolname = current_user")
        ).one()
        assert tuple(bypass) == (False, False)
    for statement in (
        "select * from event",
        "select event_count from run",
        "delete from run",
        "update unit set name = ''",
        "create table mine (a int)",
    ):
        with (
            pytest.raises(sa.exc.ProgrammingError, match="permission denied"),
            asking(web, None) as connection,
        ):
            connection.execute(sa.text(statement))


def test_every_table_with_a_place_is_under_row_security(web: sa.Engine) -> None:
    # columns that name a place; a new table with one must be decided on
    with asking(web, None) as connection:
        open_tables = set(
            connection.execute(
                sa.text(
                    "select distinct c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid "
                    "where c.relkind = 'r' and not c.relrowsecurity and not a.attisdropped "
                    "and c.relnamespace = 'wusetu'::regnamespace "
                    "and a.attname in ('code', 'county_code', 'unit_id', 'from_code', 'unit_code') "
                    "and has_table_privilege('wusetu_web', c.oid, 'select')"
                )
            ).scalars()
        )
    assert open_tables <= {"tile_geometry"}  # shapes are public inside the installation


def test_without_a_claim_there_is_nothing(web: sa.Engine, assessed: Assessed) -> None:
    with web.connect() as connection, connection.begin():
        for table in ("unit", "assessment", "packed_values", "run_unit", "exposure", "run_totals"):
            assert connection.scalar(sa.text(f"select count(*) from {table}")) == 0
        with pytest.raises(NotFound):
            lookup.why(connection, Caches(), assessed.run, MINE)


def test_a_claim_ends_with_its_transaction(web: sa.Engine) -> None:
    with web.connect() as connection:
        with connection.begin():
            claim(connection, None)
            assert connection.scalar(sa.text("select count(*) from unit"))
        with connection.begin():
            assert connection.scalar(sa.text("select count(*) from unit")) == 0


def test_an_empty_prefix_is_refused(web: sa.Engine) -> None:
    with pytest.raises(Invalid), asking(web, ("",)):
        pass


@pytest.mark.parametrize("scope", SCOPES)
def test_values_are_those_of_everything_cut_to_the_jurisdiction(
    web: sa.Engine, assessed: Assessed, scope: tuple[str, ...]
) -> None:
    for level in ("county", "town", "village", "grid"):
        for kind in ("overall", "theft"):
            layer = Layer(level, kind, "month", 9)
            with asking(web, None) as connection:
                caches = Caches()
                whole = np.frombuffer(values(connection, caches, assessed.run, layer), np.uint8)
                table = caches.units.get(run_facts(connection, caches, assessed.run).version_id,
                                         lambda: pytest.fail("not cached"))  # fmt: skip
            first, count = table.range(level)
            own = np.array(
                [inside(code, scope) for code in table.codes[first - 1 : first - 1 + count]]
            )
            with asking(web, scope) as connection:
                found = np.frombuffer(values(connection, Caches(), assessed.run, layer), np.uint8)
            assert np.array_equal(found.reshape(2, -1), whole.reshape(2, -1) * own)
            assert own.any() or level == "county"


def texts(value: Any) -> Iterator[str]:
    """Every text inside a model, a list or a dictionary."""
    if hasattr(value, "model_dump"):
        yield from texts(value.model_dump(mode="json"))
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from texts(key)
            yield from texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from texts(one)
    elif value is not None:
        yield str(value)


Question = Callable[[sa.Connection, Caches, int], Any]
QUESTIONS: dict[str, Question] = {
    "manifest": lambda c, k, run: manifest_service.manifest(c, k),
    "runs": lambda c, k, run: list_runs(c),
    "summary": lambda c, k, run: summary(c, k, run, LAYER),
    "towns": lambda c, k, run: summary(c, k, run, Layer("town", "theft", "quarter", 2)),
    "ranking": lambda c, k, run: ranking(c, k, run, LAYER, limit=1000),
    "search": lambda c, k, run: search(c, k, "small", "3301", 100),
    "names": lambda c, k, run: search(c, k, "small", "一", 100),
    "export": lambda c, k, run: export.export_table(c, k, run, LAYER).columns,
}


@pytest.mark.parametrize("scope", SCOPES[:3])
@pytest.mark.parametrize("question", QUESTIONS)
def test_no_answer_names_what_is_not_mine(
    web: sa.Engine, assessed: Assessed, scope: tuple[str, ...], question: str
) -> None:
    with asking(web, None) as connection:
        rows = connection.execute(sa.text("select code, name from unit")).all()
    above = {code for code, _ in rows for one in scope if one.startswith(code)}
    mine = {text for row in rows for text in row if inside(row.code, scope) or row.code in above}
    hidden = {text for row in rows for text in row} - mine
    with asking(web, scope) as connection:
        answer = QUESTIONS[question](connection, Caches(), assessed.run)
    found = set(texts(answer))
    assert not found & hidden
    if question in {"ranking", "search", "export"}:  # the test would notice
        with asking(web, None) as connection:
            everything = set(texts(QUESTIONS[question](connection, Caches(), assessed.run)))
        assert everything & hidden


@pytest.mark.parametrize("scope", SCOPES)
def test_a_summary_counts_ones_own_units_and_their_events(
    web: sa.Engine, assessed: Assessed, scope: tuple[str, ...]
) -> None:
    with asking(web, None) as connection:
        codes = [code for (code,) in connection.execute(sa.text("select code from unit"))]
        rows = connection.execute(
            sa.text(
                "select code, kind, observed[22] as observed from assessment "
                "where run_id = :run and period = 'month'"
            ),
            {"run": assessed.run},
        ).all()
    mine = {code for code in codes if inside(code, scope)}
    grids = {code for code in mine if len(code) == 15}
    top = {code for code in mine if not any(code != one and code.startswith(one) for one in mine)}
    with asking(web, scope) as connection:
        found = summary(connection, Caches(), assessed.run, LAYER)
        ranked = ranking(connection, Caches(), assessed.run, LAYER, limit=1000)
    assert sum(one.count for one in found.counts) == len(grids)
    for one in found.kinds:
        assert one.observed == sum(
            row.observed for row in rows if row.code in top and row.kind == one.kind
        )
    assert {row.unit.code for row in ranked.rows} <= grids
    assert ranked.of == len(ranked.rows)
    assert sorted(row.rank for row in ranked.rows)[0] == 1


def test_what_is_not_mine_is_not_there(web: sa.Engine, assessed: Assessed) -> None:
    scope = ("330101001",)
    for code in (THEIRS, MINE, "3301", "330102001001", "330102001001001"):
        for question in (
            lambda c, code=code: lookup.why(c, Caches(), assessed.run, code),
            lambda c, code=code: lookup.series(
                c, Caches(), assessed.run, code, kind="theft", period="month"
            ),
            lambda c, code=code: unit_detail(c, Caches(), "small", code),
            lambda c, code=code: children(c, Caches(), "small", code),
            lambda c, code=code: summary(c, Caches(), assessed.run, LAYER, within=code),
            lambda c, code=code: ranking(c, Caches(), assessed.run, LAYER, within=code),
        ):
            with asking(web, scope) as connection:
                with pytest.raises(NotFound) as refused:
                    question(connection)
                absent = code + "999" if not code.startswith("9") else code
                # the words for "not yours" and "not there" are the same
                assert code in refused.value.message
                assert "jurisdiction" not in refused.value.message
                assert absent not in refused.value.message


def test_why_is_the_same_answer_for_whoever_may_ask(web: sa.Engine, assessed: Assessed) -> None:
    code = "330101001001"
    with asking(web, None) as connection:
        whole = lookup.why(connection, Caches(), assessed.run, code, ord_=21)
    with asking(web, ("330101001",)) as connection:
        part = lookup.why(connection, Caches(), assessed.run, code, ord_=21)
    assert part == whole


def test_totals_of_a_part_are_its_own(web: sa.Engine, assessed: Assessed) -> None:
    with asking(web, None) as connection:
        whole = run_facts(connection, Caches(), assessed.run)
        tracks = connection.execute(
            sa.text(
                "select sum(o) from assessment, unnest(observed) o where run_id = :run "
                "and code = '330101' and kind = 'overall' and period = 'month'"
            ),
            {"run": assessed.run},
        ).scalar()
    with asking(web, ("330101",)) as connection:
        part = run_facts(connection, Caches(), assessed.run)
        assert [one.event_count for one in list_runs(connection)] == [None]
    assert part.event_count == tracks
    assert 0 < part.event_count < whole.event_count
    assert set(part.located) == {"level"}
    assert part.levels == whole.levels


def test_coloured_tiles_show_the_colours_of_ones_own_units_alone(
    assessed: Assessed,
) -> None:
    import mapbox_vector_tile

    def codes(prefixes: tuple[str, ...] | None) -> dict[str, int]:
        # tiles are made and asked for in one transaction that leaves nothing behind
        with assessed.engine.connect() as connection:
            connection.execute(
                sa.text(
                    "insert into tile_archive (boundary_version_id, level, digest, min_zoom, "
                    "max_zoom, bounds, bytes, tiles) select boundary_version_id, 'grid', 'abc', "
                    "0, 8, '{0,0,1,1}', 1, 1 from run where id = :run"
                ),
                {"run": assessed.run},
            )
            connection.execute(
                sa.text(
                    "insert into tile_geometry select boundary_version_id, level, 0, id, "
                    "st_multi(st_transform(geom, 3857)) from unit where level = 'grid'"
                )
            )
            connection.execute(sa.text("set local role wusetu_web"))
            claim(connection, prefixes)
            layer = find_layer(
                connection, assessed.run, "grid", "overall", period="month", order=21
            )
            body = tile(connection, layer, 0, 0, 0)
            connection.rollback()
        found = mapbox_vector_tile.decode(body)["units"]["features"] if body else []
        return {one["properties"]["code"]: one["properties"]["colour"] for one in found}

    whole = codes(None)
    assert len({one[:6] for one in whole}) == 2
    for scope in SCOPES[:3]:
        part = codes(scope)
        assert part == {code: c for code, c in whole.items() if inside(code, scope)}
        assert part
