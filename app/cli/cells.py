"""`wusetu cells`: assess finer H3 cells of a run, say what there is."""

from __future__ import annotations

import time

import click


@click.group()
def command() -> None:
    """H3 cells of a run: what is assessed, and finer ones on request."""


@command.command()
@click.option("--pack", required=True, help="Map; its newest run is meant.")
@click.option("--run", type=click.IntRange(min=1), help="Another run of that map.")
@click.option(
    "--res", "resolutions", type=click.IntRange(6, 10), multiple=True, required=True,
    help="H3 resolution, 6 to 10; may be given more than once.",
)  # fmt: skip
def assess(pack: str, run: int | None, resolutions: tuple[int, ...]) -> None:
    """Assess further resolutions, from the very events the run was made of.

    Coarse ones come with every run. Each resolution appears at once or, when interrupted, not at
    all; one that is there is left as it is.
    """
    from app.cli.assess import progress_bar
    from app.cli.runs import _engine
    from app.errors import NotFound
    from app.services.cells_assess import assess_more
    from app.services.runs import newest_run, run_info

    with _engine() as engine:
        with engine.connect() as connection:
            number = run or newest_run(connection, pack)
            if run_info(connection, number).pack != pack:
                raise NotFound(f"run {number} is not one of {pack}")
        for res in sorted(set(resolutions)):
            began = time.monotonic()
            with progress_bar() as show:
                made = assess_more(engine, number, [res], show)
            took = time.monotonic() - began
            said = f"{made[res]:,} cells in {took:.1f} s" if made else "there already"
            click.echo(f"run {number}, resolution {res}: {said}")


@command.command()
@click.option("--pack", help="Only runs of this map.")
def status(pack: str | None) -> None:
    """List the assessed resolutions of every published run, with their size."""
    import sqlalchemy as sa

    from app.cli.runs import _engine

    with _engine() as engine, engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "select run.id, run.pack, res, cells, inside, outside, no_point, "
                "(select sum(length(payload)) from run_cell_value as v "
                " where v.run_id = run.id and v.res = c.res) as bytes "
                "from run_cell as c join run on run.id = run_id where status = 'published' "
                "and (cast(:pack as text) is null or pack = :pack) order by run.id desc, res"
            ),
            {"pack": pack},
        ).all()
    if not rows:
        click.echo("no cells: they are assessed with a run when events have points")
    for row in rows:
        click.echo(
            f"{row.id:>6}  {row.pack:<16} resolution {row.res:>2}  {row.cells:>9,} cells  "
            f"{row.inside:,} events in them, {row.outside:,} off the map, {row.no_point:,} without "
            f"a point; {(row.bytes or 0) / 1e6:.1f} MB"
        )
