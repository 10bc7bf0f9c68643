"""A raster becomes a measure: leaf units by area, coarser ones their sum, again changes nothing."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio
import sqlalchemy as sa
from click.testing import CliRunner
from rasterio.transform import from_origin

from app.cli import cli
from app.database import claim
from app.errors import Invalid, NotFound
from app.services.exposure_table import exposure_table
from app.services.raster_exposures import RasterReport, import_raster
from tests.app.conftest import NO_GRIDS, Small

DAY = date(2023, 6, 1)


def write(path: Path, data: np.ndarray, west: float = 118.995, size: float = 0.01) -> Path:
    """Pixels that lie across the edges of the small map (119 to 121 E, 29 to 30 N)."""
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=data.shape[0], width=data.shape[1],
        dtype=data.dtype, crs="EPSG:4326", nodata=-1, transform=from_origin(west, 30.005, size, size),
    ) as file:  # fmt: skip
        file.write(data, 1)
    return path


def people() -> np.ndarray:
    return np.random.default_rng(4).random((101, 201)) * 50


def run(engine: sa.Engine, path: Path, **more: object) -> RasterReport:
    given = {"pack": "small", "measure": "walkers", "as_of": DAY} | more
    return import_raster(engine, path, **given)  # type: ignore[arg-type]


def stored(engine: sa.Engine) -> dict[str, float]:
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text("select code, value from exposure where measure = 'walkers'")
        ).all()
    return {row.code: row.value for row in rows}


def grids(engine: sa.Engine) -> tuple[int, list[str]]:
    """Number of the one grid kept of walkers (0: none), and codes of its units."""
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "select g.id, u.code from exposure_grid g left join exposure_grid_unit u "
                "on u.grid_id = g.id where measure = 'walkers' order by u.code"
            )
        ).all()
    assert len({row.id for row in rows}) <= 1
    return (rows[0].id if rows else 0), [row.code for row in rows if row.code]


def test_from_file_to_table(engine: sa.Engine, small: Small, tmp_path: Path) -> None:
    data = people()
    path = write(tmp_path / "people.tif", data)
    dry = run(engine, path, dry_run=True)
    assert (dry.new, stored(engine), grids(engine)) == (0, {}, (0, []))
    report = run(engine, path)
    number, kept = grids(engine)
    above = {place.parent for place in small.places}
    assert kept == sorted(place.code for place in small.places if place.code not in above)
    # pixels half out on all four sides
    part = np.ones_like(data)
    part[[0, -1]] /= 2
    part[:, [0, -1]] /= 2
    assert report.total == pytest.approx(data.sum())
    assert report.assigned == pytest.approx((data * part).sum())
    assert report.outside_share == pytest.approx((data * (1 - part)).sum() / data.sum())
    assert (report.left_out, report.shared, report.missing, report.partly) == (0, 0, 0, [])
    assert report.new == report.units == len(small.places)
    assert dry.total == report.total
    found = stored(engine)
    assert found["3301"] == pytest.approx(report.assigned)
    for place in small.places:
        below = [found[one.code] for one in small.places if one.parent == place.code]
        assert not below or found[place.code] == pytest.approx(sum(below), rel=1e-12)
    box = next(place.box for place in small.places if place.code == NO_GRIDS)
    west, south, east, north = ((b - o) / 0.01 for b, o in zip(box, (118.995, 29) * 2, strict=True))
    x = (np.minimum(east, np.arange(1, 202)) - np.maximum(west, np.arange(201))).clip(0)
    bottom = 100.5 - np.arange(1, 102)
    y = (np.minimum(north, bottom + 1) - np.maximum(south, bottom)).clip(0)
    assert found[NO_GRIDS] == pytest.approx(y @ data @ x)

    again = run(engine, path)
    assert (again.new, again.updated, again.unchanged) == (0, 0, len(small.places))
    assert grids(engine) == (number, kept)
    data[:, :30] *= 3
    write(path, data * 2)
    more = run(engine, path)
    assert (more.new, more.updated, more.unchanged) == (0, len(small.places), 0)
    whole = 2 * (data * part).sum()
    assert stored(engine)["3301"] == pytest.approx(whole)
    assert grids(engine)[0] > number
    assert grids(engine)[1] == kept
    with engine.connect() as connection:
        table = exposure_table(connection, small.version, ["walkers"], DAY)
    assert table[0, small.id_of("3301")] == pytest.approx(whole)


def test_what_is_not_known_stays_unknown(engine: sa.Engine, small: Small, tmp_path: Path) -> None:
    # the raster ends 500 m into the eastern county
    data = people()[:, :101]
    report = run(engine, write(tmp_path / "west.tif", data))
    found = stored(engine)
    assert "330101" in found
    assert not {"330102", "3301"} & set(found)
    assert report.missing > 0
    # of a unit without a value nothing is kept
    assert set(grids(engine)[1]) == set(found) - {place.parent for place in small.places}
    assert report.assigned + report.left_out + report.outside == pytest.approx(report.total)
    assert report.partly[0].known == min(one.known for one in report.partly) < 0.999
    lax = run(engine, tmp_path / "west.tif", least=0.01)
    assert lax.leaves > report.leaves
    assert lax.left_out < report.left_out
    hole = people()
    hole[40:60, 90:110] = -1
    holes = run(engine, write(tmp_path / "hole.tif", hole))
    assert holes.partly
    whole = run(engine, tmp_path / "hole.tif", zero=True)
    assert (whole.partly, whole.missing) == ([], 0)


def test_refused_and_nothing_written(engine: sa.Engine, small: Small, tmp_path: Path) -> None:
    good = write(tmp_path / "a.tif", people())
    bad = people()
    bad[3, 4] = -7
    for path, more, message in (
        (write(tmp_path / "b.tif", bad), {}, r"-7 in column 4, row 3 .*say so \(--nodata\)"),
        (write(tmp_path / "c.tif", people(), west=10.0), {}, "they do not meet"),
        (tmp_path / "none.tif", {}, "cannot be read as a raster"),
        (good, {"band": 2}, "no band 2"),
        (good, {"measure": "area_km2"}, "never imported"),
        (good, {"measure": "Wrong Name"}, "small letters"),
        (good, {"as_of": date(2900, 1, 1)}, "a day from 1949-01-01 to"),
        (good, {"least": 2.0}, "between 0 and 1"),
        (write(tmp_path / "d.tif", people()[:2, :2]), {}, "less than 50% of every unit"),
    ):
        with pytest.raises(Invalid, match=message):
            run(engine, path, **more)
    with pytest.raises(NotFound):
        run(engine, good, pack="nowhere")
    assert stored(engine) == {}
    assert grids(engine) == (0, [])


@pytest.mark.parametrize(("prefix", "seen"), [(None, True), ("330101", True), ("330102", False)])
def test_pixels_are_seen_where_the_units_are(
    engine: sa.Engine, small: Small, tmp_path: Path, prefix: str | None, seen: bool
) -> None:
    run(engine, write(tmp_path / "people.tif", people()))
    with engine.connect() as connection:
        first = "set local role wusetu_web; "
        claim(connection, None if prefix is None else (prefix,), first=first)
        codes = set(connection.scalars(sa.text("select code from exposure_grid_unit")))
        units = set(connection.scalars(sa.text("select code from exposure")))
    assert codes
    assert codes <= units
    assert any(code.startswith("330101") for code in codes) == seen


def test_command(
    db_url: str, engine: sa.Engine, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WUSETU_DATABASE_URL", db_url)
    path = write(tmp_path / "people.tif", people())
    words = ["exposures", "raster", str(path), "--pack", "small", "--measure", "walkers"]
    dry = CliRunner().invoke(cli, [*words, "--as-of", "2023-06-01", "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert "nothing was stored" in dry.output
    assert stored(engine) == {}
    done = CliRunner().invoke(cli, [*words, "--as-of", "2023-06-01"])
    assert done.exit_code == 0, done.output
    assert f"{len(small.places)} new, 0 updated, 0 unchanged" in done.output
    assert "lies in no unit" in done.output
    two = CliRunner().invoke(cli, [*words, "--as-of", "2023-06-01", "--band", "9"])
    assert isinstance(two.exception, Invalid)
