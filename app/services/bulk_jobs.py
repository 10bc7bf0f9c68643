"""The folder of a bulk job: what it was asked, the boundaries it locates in, its finished parts.

Imports the rooms of events and `geo.binning`; no database, so that any worker can open it. Layout:

    job.json            what was asked; its sha256 is the job
    place/              units, codes and locate index of the boundary version
    parts/00000/        events.parquet, cube.arrow, rejects.json, part.json, and what
                        settles references: nowhere.parquet, keys.npy
    settled/00000/      the same, for a part that repeats a reference of another one
    settled.json        written when every part is there and repeats are settled
    rejects.csv         all refused rows
    unpacked/           texts of gzip inputs, while parts are made

Promises: a part is written under another name, synced and renamed, so that it is there as a whole
or not at all; its files are checked by digest before they are used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from app.errors import Conflict, Invalid, NotFound
from app.services.boundaries import BoundaryVersion
from app.services.bulk_files import Input, Part
from app.services.event_files import Wanted
from app.services.event_mapping import EventMapping, parse_mapping
from app.services.event_places import Place
from geo.binning import BinningError, BinSpec, Locator
from geo.codes import load_layout

FORMAT = 1
FILES = ("events.parquet", "cube.arrow", "nowhere.parquet", "keys.npy", "rejects.json")


@dataclass(frozen=True)
class Job:
    """A bulk job on disk; made by `create`, opened by `open_job`."""

    folder: Path
    body: dict[str, Any]

    @cached_property
    def digest(self) -> str:
        """Identity of the job: sha256 of what was asked."""
        return hashlib.sha256(_json(self.body)).hexdigest()

    @cached_property
    def mapping(self) -> EventMapping:
        """How the inputs are read."""
        return parse_mapping(self.body["mapping"], "job.json")

    @cached_property
    def wanted(self) -> Wanted:
        """What is read of an input."""
        return wanted_of(self.mapping)

    @cached_property
    def now(self) -> datetime:
        """The present of the job: the same for every worker and after an interruption."""
        return datetime.fromisoformat(self.body["now"])

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of the scene, in its order."""
        return tuple(self.body["kinds"])

    @cached_property
    def spec(self) -> BinSpec:
        """What is added to each event."""
        return BinSpec(keys=True, h3=tuple(self.body["h3"]))

    @cached_property
    def inputs(self) -> list[Input]:
        """Files."""
        return [Input(**{**one, "header": tuple(one["header"])}) for one in self.body["inputs"]]

    @cached_property
    def parts(self) -> list[Part]:
        """Parts, by number."""
        return [Part(**one) for one in self.body["parts"]]

    @property
    def pack(self) -> str:
        """Series of boundaries."""
        return str(self.body["pack"])

    @cached_property
    def place(self) -> Place:
        """Boundaries the events are located in."""
        return load_place(self.folder / "place")

    def unpacked(self, number: int) -> Path:
        """Where the text of a gzip input lies while parts are made."""
        return self.folder / "unpacked" / f"{number:05}.csv"

    def at(self, number: int) -> Path:
        """Folder of a part's files, whether it is there or not."""
        room = "settled" if number in (self.settled() or ()) else "parts"
        return self.folder / room / f"{number:05}"

    def done(self, number: int, settled: bool = False) -> dict[str, Any] | None:
        """Tell about a finished part; None when it is not there or damaged."""
        where = self.at(number) if settled else self.folder / "parts" / f"{number:05}"
        try:
            body: dict[str, Any] = json.loads((where / "part.json").read_text(encoding="utf-8"))
            for name in FILES:
                if file_digest(where / name) != body["sha256"][name]:
                    return None
        except (OSError, ValueError, KeyError):
            return None
        return body

    def settled(self) -> set[int] | None:
        """Parts that stand in `settled`; None until every part is there and settled."""
        try:
            body = json.loads((self.folder / "settled.json").read_text(encoding="utf-8"))
            return set(body["parts"])
        except (OSError, ValueError, KeyError):
            return None


def create(folder: Path, body: dict[str, Any], place: Place) -> Job:
    """Make the folder of a job, or open it when it was asked the very same.

    Raises
    ------
    Conflict
        The folder holds another job, or other files.
    """
    folder = Path(folder)
    if (folder / "job.json").exists():
        there = open_job(folder)
        same = ("mapping", "pack", "version", "inputs", "parts", "h3", "kinds")
        differs = [name for name in same if _json(there.body[name]) != _json(body[name])]
        if differs:
            raise Conflict(
                f"{folder} holds a job that was asked something else ({', '.join(differs)} "
                "differ): finish that one, or take another folder"
            )
        return there
    if folder.exists() and any(not p.name.startswith(".") for p in folder.iterdir()):
        leftover = {p.name for p in folder.iterdir()} - {"place"}
        if leftover:
            raise Conflict(f"{folder} holds other files ({min(leftover)}): take another folder")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "place", ignore_errors=True)
    save_place(place, folder / "place")
    (folder / "parts").mkdir(exist_ok=True)
    write_file(folder / "job.json", _json(body))
    return open_job(folder)


def open_job(folder: str | Path) -> Job:
    """Open the folder of a job.

    Raises
    ------
    NotFound
        There is no job.
    Invalid
        The job is of another format, or damaged.
    """
    folder = Path(folder).resolve()
    try:
        body = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        if body["format"] != FORMAT:
            raise Invalid(f"{folder} is a job of format {body['format']}, not {FORMAT}")
    except FileNotFoundError as error:
        raise NotFound(f"no bulk job in {folder}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Invalid(f"{folder}/job.json is damaged: {error}") from error
    return Job(folder, body)


def wanted_of(mapping: EventMapping) -> Wanted:
    """Say what a mapping reads."""
    return Wanted(
        columns=tuple(mapping.columns.names()),
        optional=tuple(mapping.columns.optional()),
        point=mapping.columns.point,
        encoding=mapping.encoding,
        delimiter=mapping.delimiter,
    )


def version_body(version: BoundaryVersion) -> dict[str, Any]:
    """Boundary version as plain values."""
    body = asdict(version)
    return {k: v.isoformat() if isinstance(v, date) else v for k, v in body.items()}


def save_place(place: Place, folder: Path) -> None:
    """Write the units of a boundary version to a folder that is not there yet."""
    new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    new.chmod(0o755)
    try:
        place.locator.save(new / "locator")
        units = pa.table(
            {
                "code": pa.array(place.codes, pa.string()),
                "name": pa.array(place.names, pa.string()),
                "parent": pa.array(place.parents, pa.int32()),
            }
        )
        pa.parquet.write_table(units, new / "units.parquet")
        body = {
            "version": version_body(place.version),
            "successors": place.successors,
            "bounds": list(place.bounds),
        }
        (new / "place.json").write_bytes(_json(body))
        os.replace(new, folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


def load_place(folder: Path) -> Place:
    """Open what `save_place` wrote.

    Raises
    ------
    Invalid
        It is missing or damaged.
    """
    try:
        body = json.loads((folder / "place.json").read_text(encoding="utf-8"))
        version = body["version"]
        layout = version["layout"]
        until = version["valid_to"]
        units = pa.parquet.read_table(folder / "units.parquet")
        return Place(
            version=BoundaryVersion(
                **{
                    **version,
                    "layout": load_layout(layout) if layout else None,
                    "levels": tuple(version["levels"]),
                    "valid_from": date.fromisoformat(version["valid_from"]),
                    "valid_to": date.fromisoformat(until) if until else None,
                }
            ),
            codes=tuple(units["code"].to_pylist()),
            names=tuple(units["name"].to_pylist()),
            parents=tuple(units["parent"].to_pylist()),
            successors=body["successors"],
            locator=Locator.load(folder / "locator"),
            bounds=tuple(body["bounds"]),
        )
    except BinningError as error:
        raise Invalid(f"the boundaries of the job are damaged: {error}") from error
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise Invalid(f"the boundaries of the job in {folder} are damaged: {error}") from error


def publish(folder: Path, write: Callable[[Path], None]) -> None:
    """Make a folder of files: all of it, on the disk, or nothing. One that is there is replaced."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    new.chmod(0o755)
    try:
        write(new)
        for path in new.iterdir():
            _sync(path)
        _sync(new)
        # a damaged one, or one that two workers made at once
        shutil.rmtree(folder, ignore_errors=True)
        try:
            os.replace(new, folder)
        except OSError:
            if not folder.exists():
                raise
            shutil.rmtree(new, ignore_errors=True)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


def write_file(path: Path, data: bytes) -> None:
    """Write a file: all of it, on the disk, or nothing."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_digest(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _json(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, sort_keys=True, indent=1).encode("utf-8")
