"""Loading the sample: a pack of `data/boundaries/` and its made-up events, and removing it again.

Imports the services it is made of (`boundaries`, `exposures`, `events`, `assess`, `tile_archives`,
`sample_events`). Promises: everything goes through the ordinary imports; each step is skipped when
its result is there, so an interrupted load is simply run again and a finished one is a no-op.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet
import sqlalchemy as sa
import yaml

from app.database import transaction
from app.errors import Conflict, Invalid
from app.services.sample_events import SOURCE, make_events, write_events
from app.services.sample_packs import Pack
from app.settings import PROJECT

LAYOUTS = PROJECT / "data" / "layouts"
DEFAULT = "hangzhou"

Progress = Callable[[str, float], None]
"""Called with what is being done and the part of it done, 0 to 1."""


@dataclass
class Step:
    """One step of a load; `done` False: it was there already."""

    name: str
    done: bool
    text: str
    seconds: float


@dataclass
class Loader:
    """Loads one pack; every step asks the database first.

    Parameters
    ----------
    engine : sa.Engine
    folder : Path
        Data folder of the installation: archives, locate index, the truth of the sample.
    pack : Pack
    events : int, optional
        About how many events; default: what the pack says.
    zone : str
        Days of the snapshot are local ones of it.
    progress : callable
    tell : callable
        Called with each finished step.
    """

    engine: sa.Engine
    folder: Path
    pack: Pack
    events: int | None = None
    zone: str = "Asia/Shanghai"
    progress: Progress = lambda _text, _part: None
    tell: Callable[[Step], None] = lambda _step: None
    steps: list[Step] = field(default_factory=list)
    _version: int = 0

    def load(self) -> list[Step]:
        """Do what is missing, in order.

        Raises
        ------
        WusetuError
            Whatever the ordinary imports raise; what was finished before stays.
        """
        for name, step in (
            ("boundaries", self._boundaries),
            ("successions", self._successions),
            ("exposures", self._exposures),
            ("events", self._events),
            ("assessment", self._assess),
            ("alerts", self._alerts),
            ("indicators", self._indicators),
            ("addresses", self._addresses),
            ("tiles", self._tiles),
            ("snapshot", self._snapshot),
            ("devices", self._devices),
            ("border", self._border),
        ):
            begin = time.monotonic()
            self.progress(name, 0.0)
            text = step()
            there = text is None
            done = Step(name, not there, text or "there already", time.monotonic() - begin)
            self.steps.append(done)
            self.tell(done)
        return self.steps

    def begun(self) -> bool:
        """Whether the events are there already, so that little or nothing is left to do."""
        there = self._one(
            "select exists (select 1 from event_source where pack = :p and name = :s)",
            p=self.pack.pack,
            s=SOURCE,
        )
        return bool(there) and self._expected() is not None

    def _one(self, query: str, **values: Any) -> Any:
        with self.engine.connect() as connection:
            return connection.execute(sa.text(query), values).scalar()

    def _boundaries(self) -> str | None:
        query = "select id from boundary_version where pack = :pack and label = :label"
        found = self._one(query, pack=self.pack.pack, label=self.pack.label)
        if found is not None:
            self._version = int(found)
            return None
        from app.services import boundaries, boundary_files
        from app.services.boundary_checks import Notes
        from geo.codes import load_layout

        path = self.pack.folder / "units.parquet"
        notes = Notes()
        frame = boundary_files.read_all(
            [boundary_files.Source(path, level_column="level")], notes, self.progress
        )
        frame["approximate"] = ~frame.level.isin(["city", "county"])
        layout = yaml.safe_load((LAYOUTS / f"{self.pack.layout}.yaml").read_text(encoding="utf-8"))
        with transaction(self.engine) as connection:
            result = boundaries.import_units(
                connection,
                pack=self.pack.pack,
                label=self.pack.label,
                frame=frame,
                layout=load_layout(layout),
                title_zh=self.pack.title.zh,
                title_en=self.pack.title.en,
                valid_from=self.pack.valid_from,
                source=self.pack.source,
                licence=self.pack.licence,
                strict=True,
                notes=notes,
                progress=self.progress,
            )
        self._version = result.version.id
        return f"{result.report['units']:,} units, {', '.join(result.version.levels)}"

    def _successions(self) -> str | None:
        path = self.pack.folder / "successions.csv"
        if not path.is_file():
            return None
        with path.open(encoding="utf-8") as file:
            wanted = sum(1 for _ in csv.DictReader(file))
        found = self._one("select count(*) from succession where pack = :p", p=self.pack.pack)
        if found >= wanted:
            return None
        from app.services.succession_files import import_successions

        with transaction(self.engine) as connection:
            result = import_successions(connection, self.pack.pack, path)
        if result.rejects:
            raise Invalid(f"{path.name}, line {result.rejects[0][0]}: {result.rejects[0][1]}")
        return f"{result.stored} shares of units that ended"

    def _exposures(self) -> str | None:
        path = self.pack.folder / "exposures.parquet"
        source = self.pack.exposures.source
        found = self._one(
            "select count(*) from exposure where pack = :p and source = :s",
            p=self.pack.pack,
            s=source,
        )
        if found >= pyarrow.parquet.read_metadata(path).num_rows:
            return None
        from app.services.exposures import import_file

        report = import_file(self.engine, path, pack=self.pack.pack, source=source)
        if report.rejected:
            raise Invalid(f"{path.name}: {report.rejected} values were rejected")
        return f"{report.rows:,} values of {', '.join(report.totals)}"

    @property
    def truth(self) -> Path:
        """Where the truth about the made events is kept."""
        return self.folder / "sample" / self.pack.pack

    def _events(self) -> str | None:
        there = self._one(
            "select count(*) from event where source_id = "
            "(select id from event_source where pack = :p and name = :s)",
            p=self.pack.pack,
            s=SOURCE,
        )
        if there and there == self._expected():
            return None
        from app.services.events import import_file

        self.progress("making up events", 0.0)
        made = make_events(self.pack, self.events)
        out = self.truth / "events.parquet"
        files = write_events(made, out)
        # what says that all of it is loaded must not be there while it is not
        counts = files["counts"].read_text(encoding="utf-8")
        files["counts"].unlink()
        last = self.pack.simulation.last
        now = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
        report = import_file(
            self.engine,
            out,
            pack=self.pack.pack,
            mapping=files["mapping"],
            rejects=self.truth / "rejects.csv",
            progress=lambda at: self.progress("events", at.done / max(at.total, 1)),
            now=max(now, datetime.now(UTC)),
            cache_folder=self.folder / "locate",
        )
        if dict(report.reasons) != dict(made.simulation.bad):
            raise Conflict(
                f"the import refused {dict(report.reasons)}, planted were "
                f"{dict(made.simulation.bad)}: the sample and the import do not fit"
            )
        files["counts"].write_text(counts, encoding="utf-8")
        out.unlink()
        return (
            f"{report.new:,} made up, {report.rejected} planted broken rows refused, "
            f"{report.mismatch:,} mismatches"
        )

    def _expected(self) -> int | None:
        try:
            body = json.loads((self.truth / "events.counts.json").read_text(encoding="utf-8"))
            return cast("int", body["good"])
        except (OSError, ValueError, KeyError):
            return None

    def _assess(self) -> str | None:
        fresh = self.steps[-1].done
        found = self._one(
            "select max(id) from run where pack = :p and boundary_version_id = :v "
            "and status = 'published'",
            p=self.pack.pack,
            v=self._version,
        )
        if found is not None and not fresh:
            return None
        from app.services.assess import assess

        run = assess(
            self.engine,
            self.pack.pack,
            self.pack.scene,
            zone="Asia/Shanghai",
            look=False,
            progress=lambda text, done, total: self.progress(text, done / max(total, 1)),
        )
        return f"run {run} published"

    def _alerts(self) -> str | None:
        query = "select max(id) from run where pack = :p and status = 'published'"
        run = self._one(query, p=self.pack.pack)
        seen = self._one("select max(run) from alert_clock where pack = :p", p=self.pack.pack)
        if seen is not None and seen >= run:
            return None
        from app.services import sample_tasks  # seconds of imports

        return sample_tasks.load(self.engine, self.pack.pack, run)

    def _indicators(self) -> str | None:
        made_of = ("boundaries", "exposures", "events")
        fresh = any(one.done for one in self.steps if one.name in made_of)
        told = []
        for name in self.pack.scenes:
            found = self._one(
                "select max(id) from indicator_run where pack = :p and scene = :s "
                "and status = 'published'",
                p=self.pack.pack,
                s=name,
            )
            if found is not None and not fresh:
                continue
            from app.services import indicator_sample

            last = self.pack.simulation.last
            made = indicator_sample.load(
                self.engine,
                name,
                zone="Asia/Shanghai",
                today=max(last, datetime.now(UTC).date()),
                pack=self.pack.pack,
            )
            told.append(f"{name}: {made.results:,} series")
        return ", ".join(told) or None

    def _addresses(self) -> str | None:
        # a small sample has a small base
        wanted = min(self.pack.addresses, self.events or self.pack.addresses)
        there = self._one("select count(*) from address_base where pack = :p", p=self.pack.pack)
        if not wanted or there:
            return None
        from app.services import address_base, address_sample

        report = address_sample.load(self.engine, self.pack.pack, wanted, self.pack.simulation.seed)
        former = self.pack.folder / "former_names.csv"
        if former.is_file():
            with transaction(self.engine) as connection:
                address_base.add_names(connection, self.pack.pack, former)
        return f"{report.stored:,} made-up addresses"

    def _tiles(self) -> str | None:
        if self._tiles_there():
            return None
        from app.services import tile_archives

        built = tile_archives.build(
            self.engine,
            self._version,
            self.folder / "archives",
            lambda text, done, total: self.progress(text, done / max(total, 1)),
            self.pack.folder.parent / "context",
        )
        return f"{built.tiles:,} tiles, {built.bytes / 1e6:.1f} MB" if built.made else None

    def _border(self) -> str | None:
        fresh = any(step.done for step in self.steps if step.name == "events")
        query = "select exists (select from pooled_run where pack = :p)"
        if self.pack.treaty is None or (not fresh and self._one(query, p=self.pack.pack)):
            return None
        from app.services import sample_border

        return sample_border.load(self.engine, self.pack, "Asia/Shanghai", self.progress)

    def _devices(self) -> str | None:
        from app.services import sample_devices

        return sample_devices.load(
            self.engine, self.folder, self.pack.pack, self.pack.simulation.seed,
            zone=self.zone, progress=self.progress,
        )  # fmt: skip

    def _snapshot(self) -> str | None:
        from app.services import snapshots

        made = snapshots.renew(
            self.engine,
            self.folder,
            self.pack.pack,
            self.zone,
            lambda text, done, total: self.progress(text, done / max(total, 1)),
        )
        return f"{made.events:,} events, {made.bytes / 1e6:.1f} MB" if made else None

    def _tiles_there(self) -> bool:
        from app.services import tile_archives

        with self.engine.connect() as connection:
            levels = connection.scalar(
                sa.text("select levels from boundary_version where id = :v"), {"v": self._version}
            )
            good = tile_archives.existing(connection, self._version, self.folder / "archives")
        return {*levels, tile_archives.CONTEXT} <= good.keys()


def remove(engine: sa.Engine, pack: Pack) -> None:
    """Remove a loaded sample: its runs, made events, exposures, successions and boundaries.

    Killed in between, it is simply run again.

    Raises
    ------
    Conflict
        The pack holds events, boundaries or exposures that are not the sample's; nothing is
        removed.
    """
    values = {"p": pack.pack, "s": SOURCE, "l": pack.label, "e": pack.exposures.source}
    foreign = {
        "events of other feeds than": "select 1 from event_source where pack = :p "
        "and name not in (:s, 'devices-simulated')",
        "other devices than": "select 1 from device where pack = :p and not simulated",
        "other boundaries than": "select 1 from boundary_version where pack = :p and label <> :l",
        "other exposures than": "select 1 from exposure where pack = :p and source <> :e",
        "values of other feeds than": "select 1 from indicator_feed "
        "where pack = :p and not simulated",
    }
    from app.services import sample_border, sample_devices, sample_tasks

    with transaction(engine) as connection:
        for what, query in foreign.items():
            if connection.scalar(sa.text(f"{query} limit 1"), values):
                raise Conflict(
                    f"the pack {pack.pack} holds {what} the sample's: nothing was removed"
                )
        sample_border.remove(connection, pack.pack)
        sample_tasks.remove(connection, pack.pack)
        sample_devices.remove(connection, pack.pack)
        for statement in (
            "delete from run where pack = :p",
            "delete from indicator_run where pack = :p",
            "delete from indicator_value where pack = :p",
            "delete from indicator_feed where pack = :p",
            "delete from event where source_id in (select id from event_source where pack = :p)",
            "delete from event_source where pack = :p",
            "delete from exposure where pack = :p",
            "delete from succession where pack = :p",
            "delete from address_base where pack = :p and simulated",
            "delete from address_alias where pack = :p and origin = 'pack'",
        ):
            connection.execute(sa.text(statement), values)
    # each unit that goes asks for events that point at it: the dead ones must be out of its way
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("vacuum (analyze) event"))
    with transaction(engine) as connection:
        connection.execute(sa.text("delete from boundary_version where pack = :p"), values)
