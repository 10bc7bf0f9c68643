"""A folder files are dropped into. Imports `event_files`; sees files only, no database.

Promises: a file that still grows is waited for (size and time of change stay the same for `settle_s`
as seen here, so that clocks of other machines play no part); hidden files, unfinished names (`.part`,
`.tmp` …), folders, links and devices are left alone; files are taken in the order of their names, each row
before its file is moved to `taken/`; a file that is written anew while it is read stays, and is read again;
a file that cannot be read is waited for, then moved to `failed/` with the reason beside it, and holds up no
other. A file is known by its content and the mapping: the same file again changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import stat
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.errors import Invalid, NotFound, WusetuError
from app.feeds.base import BATCH, Batch, Cursor, FolderSettings, Stream
from app.services import event_persons
from app.services.event_files import Feed, Wanted, open_feed
from app.services.event_mapping import EventMapping

log = logging.getLogger("wusetu.feeds")

TAKEN, FAILED = "taken", "failed"
_UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", ".swp", "~")
_REASON = ".reason.txt"


class _Changed(Exception):
    """A file is not the one any more that was found whole."""


@dataclass(frozen=True)
class _Seen:
    """A file as it was first seen in its present size."""

    size: int
    changed: int
    inode: int
    at: float

    def same(self, found: os.stat_result) -> bool:
        return (self.size, self.changed, self.inode) == (
            found.st_size,
            found.st_mtime_ns,
            found.st_ino,
        )


class FolderSource:
    """Looks at a folder; remembers between looks what it saw.

    Parameters
    ----------
    settings : the folder
    mapping : what is read of its files
    batch : rows of one batch
    clock : seconds that never go back
    """

    def __init__(
        self,
        settings: FolderSettings,
        mapping: EventMapping,
        batch: int = BATCH,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.mapping = mapping
        self.problems: list[str] = []
        #: files that are there and not yet believed to be whole
        self.waiting = 0
        self._batch = batch
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def close(self) -> None:
        """Nothing is held open."""

    def batches(self, cursor: Cursor) -> Iterator[Batch]:  # noqa: ARG002 - files are moved instead
        """Hand out the rows of every file that is whole.

        Raises
        ------
        NotFound
            The folder is not there.
        """
        self.problems = []
        for path in self._whole():
            try:
                feed, digest = self._open(path)
                # what goes wrong while a batch is stored is not seen here
                yield from self._rows(path, feed, digest)
                self._same(path)
            except _Changed:
                self.waiting += 1
                self._seen.pop(path.name, None)
                continue
            except WusetuError as error:
                self._not_read(path, error.message)
                continue
            except Exception as error:
                # the message may hold what stands in the file
                place = traceback.extract_tb(error.__traceback__)[-1]
                said = f"{type(error).__name__} in {place.name}, line {place.lineno}"
                log.warning("a file of a folder cannot be read: %s", said)
                self._not_read(path, f"{path.name} cannot be read: {said}")
                continue
            self._move(path, TAKEN)
        aside = self._aside()
        if aside:
            shown = ", ".join(map(shown_name, aside[:3]))
            self.problems.append(f"put aside in {FAILED}/: {shown}")

    def _whole(self) -> list[Path]:
        """Files that have not changed for long enough, by name."""
        folder, now = self.settings.folder, self._clock()
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            raise NotFound(f"the folder {folder} cannot be read: {error.strerror}") from error
        there: dict[str, _Seen] = {}
        whole = []
        for name in names:
            if not self._wanted(name, names):
                continue
            path = folder / name
            try:
                found = path.lstat()
            except OSError:
                continue  # gone meanwhile
            if not stat.S_ISREG(found.st_mode):
                continue
            before = self._seen.get(name)
            seen = (
                before
                if before is not None and before.same(found)
                else _Seen(found.st_size, found.st_mtime_ns, found.st_ino, now)
            )
            there[name] = seen
            if now - seen.at >= self.settings.settle_s:
                whole.append(path)
        self._seen = there
        self.waiting = len(there) - len(whole)
        return whole

    def _wanted(self, name: str, names: list[str]) -> bool:
        marker = self.settings.marker
        if name.startswith(".") or name.lower().endswith(_UNFINISHED):
            return False
        if not marker:
            return True
        return not name.endswith(marker) and name + marker in names

    def _same(self, path: Path) -> None:
        """Do nothing while a file is the one that was found whole.

        Raises
        ------
        _Changed
            It is gone, was written on, or another one has its name.
        """
        try:
            found = path.lstat()
        except OSError as error:
            raise _Changed from error
        if not stat.S_ISREG(found.st_mode) or not self._seen[path.name].same(found):
            raise _Changed

    def _open(self, path: Path) -> tuple[Feed, str]:
        chosen = self.mapping
        try:
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise Invalid(f"{path.name} cannot be read: {error.strerror}") from error
        feed = open_feed(
            path,
            Wanted(
                columns=tuple(chosen.columns.names()),
                optional=tuple(chosen.columns.optional()),
                point=chosen.columns.point,
                encoding=chosen.encoding,
                delimiter=chosen.delimiter,
            ),
        )
        return feed, digest.hexdigest()

    def _rows(self, path: Path, feed: Feed, digest: str) -> Iterator[Batch]:
        stream = Stream()
        # read by a mended mapping it is not the same: it mends events and brings what was refused
        mapped = json.dumps(self.mapping.body(), sort_keys=True).encode()
        key = f"file-{digest[:40]}-{hashlib.sha256(mapped).hexdigest()[:12]}-{self._batch}"
        name = shown_name(path.name)[:300]
        for number, chunk in enumerate(feed.chunks(self._batch)):
            lines = [*chunk.lines.tolist(), *(one.line for one in chunk.broken)]
            span = f", rows {min(lines)} to {max(lines)}" if lines else ""
            self._same(path)
            yield Batch(
                key=f"{key}-{number}",
                origin=f"{name}{span}",
                chunk=chunk,
                point=feed.point,
                stream=stream,
            )

    def _not_read(self, path: Path, reason: str) -> None:
        """Wait for a file that cannot be read; put it aside when it had its time."""
        seen = self._seen[path.name]
        waited = self._clock() - seen.at
        # a name that is no text came with the reason
        reason = reason.replace(path.name, shown_name(path.name))
        if waited < self.settings.settle_s + self.settings.patience_s:
            self.waiting += 1
            # the columns of a file without a header are its first row: not for who reads the state
            said = reason.partition("; its columns are ")[0]
            self.problems.append(f"{said} (waited for)")
            return
        moved = self._move(path, FAILED)
        beside = moved.with_name(moved.name + _REASON)
        beside.unlink(missing_ok=True)  # it may be a link
        beside.write_text(reason + "\n", encoding="utf-8")

    def _move(self, path: Path, where: str) -> Path:
        folder = self.settings.folder / where
        if folder.is_symlink():
            # whoever may drop files would choose where we write
            raise Invalid(f"{where}/ is a link: files are moved into a folder of its own only")
        folder.mkdir(exist_ok=True)
        goal, n = folder / path.name, 1
        while goal.exists():
            n += 1
            goal = folder / f"{path.stem}-{n}{path.suffix}"
        path.rename(goal)
        if self.settings.marker:
            path.with_name(path.name + self.settings.marker).unlink(missing_ok=True)
        self._seen.pop(path.name, None)
        return goal

    def _aside(self) -> list[str]:
        try:
            names = sorted(os.listdir(self.settings.folder / FAILED))
        except OSError:
            return []
        return [name for name in names if not re.search(rf"{re.escape(_REASON)}$", name)]


def shown_name(name: str) -> str:
    r"""Name of a file as text: what is no UTF-8 or no printed character as `?`.

    >>> shown_name("报警.csv"), shown_name("\udcb1\udca8.csv"), shown_name("tel 13800138000.csv")
    ('报警.csv', '??.csv', '(withheld)')
    """
    text = "".join(one if one.isprintable() else "?" for one in name)
    return event_persons.WITHHELD if event_persons.looks_like(text) else text
