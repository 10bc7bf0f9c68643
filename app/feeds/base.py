"""What an adapter hands out, and the settings of every adapter.

Imports `event_files` and `event_mapping`; nothing of the database of the installation. An adapter is a
generator of batches. Promises of every adapter: code after a `yield` runs only after the batch is
committed together with its cursor, so that an adapter killed at any moment begins again where the
last committed batch ended; a batch read again has the same key or the same rows. What is wrong with
the feed as a whole is a `WusetuError`; what is wrong with a part that can be left aside stands in
`problems`, and the rest goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from app.errors import Invalid
from app.services.event_files import Chunk
from app.services.event_mapping import EventMapping
from app.services.event_rows import RowChecker

Adapter = Literal["folder", "push", "pull", "sql", "kafka"]
Cursor = dict[str, Any]
#: rows of one batch, that is of one transaction
BATCH = 10_000


@dataclass
class Stream:
    """What batches of one file have in common: a reference twice in it is told."""

    checker: RowChecker | None = None


@dataclass(frozen=True)
class Batch:
    """Some rows that are stored in one transaction.

    Parameters
    ----------
    key : names the batch inside its feed; taken once
    origin : where it came from, for people
    chunk : the mapped columns, `lines` from 1
    point : columns of east and north in the chunk; None: there are none
    cursor : where to go on after it; None: the feed's cursor stays as it is
    before : the cursor the batch was read from; another one by now: somebody else was quicker
    places : where each line came from (index: line - 1); None: its line
    stream : shared by the batches of one file
    """

    key: str
    origin: str
    chunk: Chunk
    point: tuple[str, str] | None
    cursor: Cursor | None = None
    before: Cursor | None = None
    places: Sequence[str] | None = None
    stream: Stream = field(default_factory=Stream)

    def place(self, line: int) -> str:
        """Where a line came from."""
        text = str(line) if self.places is None else self.places[line - 1]
        return text[:200]


class Source(Protocol):
    """An open adapter."""

    problems: list[str]

    def batches(self, cursor: Cursor) -> Iterator[Batch]:
        """Hand out what is there beyond the cursor, until there is no more."""

    def close(self) -> None:
        """Let go of connections."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FolderSettings(_Settings):
    """A folder files are dropped into."""

    folder: Path = Field(description="The folder; taken files go to its subfolder `taken`")
    settle_s: float = Field(
        default=5, gt=0, le=86_400, description="A file is whole when it has not grown for so long"
    )
    patience_s: float = Field(
        default=600,
        ge=0,
        le=604_800,
        description="A file that cannot be read is looked at again for so long, then put aside",
    )
    marker: str = Field(
        default="", max_length=20, pattern=r"^(\.[A-Za-z0-9._-]+)?$",
        description="Take a file only when one of its name and this ending is beside it, as `.ok`",
    )  # fmt: skip

    @field_validator("folder")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        if not value.is_absolute():
            raise ValueError("give the whole path: the watcher may run elsewhere")
        return value


class PushSettings(_Settings):
    """Programs send rows over HTTP."""

    key: str = Field(
        default="", max_length=64, pattern=r"^[A-Za-z0-9._-]*$",
        description="Id of a shared secret: requests have to be signed with it, too",
    )  # fmt: skip


class PullSettings(_Settings):
    """Rows are fetched from an address."""

    url: str = Field(description="http(s)://host/path?query, without user and password")
    records: str = Field(
        default="", max_length=200,
        description="Where the list of rows is in the answer, as `data.items`; empty: the answer itself",
    )  # fmt: skip
    cursor: str = Field(
        default="", max_length=220, pattern=r"^(answer:.+|row:.+|link)?$",
        description="Where the next cursor stands: `answer:next_token`, `row:updated_at` (the highest one), "
        "`link` (the link rel=next); empty: the whole is fetched each time",
    )  # fmt: skip
    cursor_param: str = Field(
        default="cursor", pattern=r"^[A-Za-z0-9_.$\[\]-]{1,60}$", description="Its query parameter"
    )
    token_file: Path | None = Field(default=None, description="File with a bearer token")
    ca_file: Path | None = Field(default=None, description="Certificates to trust (PEM)")
    timeout_s: float = Field(default=30, gt=0, le=600, description="Longest wait for an answer")
    tries: int = Field(default=5, ge=1, le=20, description="Tries until a look has failed")

    @model_validator(mode="after")
    def _safe(self) -> PullSettings:
        plain_address(self.url)
        if self.token_file is not None and not _guarded(self.url):
            raise ValueError("a token is sent over https:// only (http:// to this machine itself)")
        return self


class SqlSettings(_Settings):
    """Rows are read from a database."""

    url: str = Field(
        description="SQLAlchemy address without a password, as postgresql://me@host/db"
    )
    password_file: Path | None = Field(default=None, description="File with the password")
    table: str = Field(
        default="", pattern=r"^([^\x00-\x1f\"`;]{1,63}\.)?[^\x00-\x1f\"`;.]{1,63}$|^$",
        description="Table or view, perhaps with its schema",
    )  # fmt: skip
    query: str = Field(default="", max_length=10_000, description="Or one select")
    cursor: str = Field(min_length=1, max_length=63, description="Column that only grows")
    overlap: float = Field(
        default=0, ge=0,
        description="Read so much again (seconds of a time, else units of the column): what was committed late",
    )  # fmt: skip
    batch: int = Field(default=BATCH, ge=1, le=100_000, description="Rows of one batch")

    @model_validator(mode="after")
    def _one(self) -> SqlSettings:
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError

        if bool(self.table) == bool(self.query):
            raise ValueError("give either table or query")
        words = self.query.strip().lower()
        if self.query and (not words.startswith(("select", "with")) or ";" in words.rstrip("; \n")):
            raise ValueError("query: one select, nothing else")
        try:
            parsed = make_url(self.url)
        except (ArgumentError, ValueError) as error:
            raise ValueError("url: no address of a database") from error
        if parsed.password is not None:
            raise ValueError("url: the password belongs into password_file")
        return self


class KafkaSettings(_Settings):
    """Rows are read from a topic."""

    brokers: str = Field(min_length=1, max_length=400, description="host:port, separated by commas")
    topic: str = Field(pattern=r"^[A-Za-z0-9._-]{1,249}$", description="The topic")
    user: str = Field(default="", max_length=100, description="User of SASL")
    password_file: Path | None = Field(default=None, description="Its password")
    tls: bool = Field(default=False, description="Speak TLS")
    ca_file: Path | None = Field(default=None, description="Certificates to trust (PEM)")
    wait_s: float = Field(
        default=2, gt=0, le=60, description="No message for so long: there is no more"
    )
    batch: int = Field(default=BATCH, ge=1, le=100_000, description="Messages of one batch")


SETTINGS: dict[str, type[_Settings]] = {
    "folder": FolderSettings,
    "push": PushSettings,
    "pull": PullSettings,
    "sql": SqlSettings,
    "kafka": KafkaSettings,
}


def parse_settings(adapter: str, given: dict[str, Any]) -> Any:
    """Check the settings of an adapter.

    Raises
    ------
    Invalid
        One line per field that is wrong.
    """
    if adapter not in SETTINGS:
        raise Invalid(f"no adapter {adapter!r}: there are {', '.join(SETTINGS)}")
    try:
        return SETTINGS[adapter].model_validate(given)
    except ValidationError as error:
        lines = []
        for item in error.errors(include_url=False, include_context=False, include_input=False):
            name = ".".join(str(step) for step in item["loc"]) or adapter
            lines.append(f"{name}: {item['msg'].removeprefix('Value error, ')}")
        raise Invalid("\n".join(lines)) from error


def plain_address(url: str) -> None:
    """Do nothing for a http(s) address without user, password and fragment.

    Raises
    ------
    ValueError
        It is none; it is not repeated.
    """
    parts = urlsplit(url)
    good = parts.scheme in {"http", "https"} and parts.hostname and not parts.fragment
    if not good or parts.username or parts.password or any(map(str.isspace, url)):
        raise ValueError("url: an http(s):// address without user, password and fragment")


def _guarded(url: str) -> bool:
    import ipaddress

    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = False
    return parts.scheme == "https" or here


def read_secret(path: Path | None) -> str | None:
    """First line of a file with a secret; None without a file.

    Raises
    ------
    Invalid
        It cannot be read or is empty.
    """
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"the secret {path} cannot be read") from error
    if not lines or not lines[0].strip():
        raise Invalid(f"the secret {path} is empty")
    return lines[0].strip()


def point_of(mapping: EventMapping) -> tuple[str, str] | None:
    """Columns of east and north a mapping names."""
    return mapping.columns.point
