"""Settings, one class per concern; read from the environment, checked at start.

Nothing here is read at import time: `load()` is called by the application factory, the command
line and the tests.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PROJECT = Path(__file__).resolve().parent.parent


class DatabaseSettings(BaseSettings):
    """Where the store of record is (`WUSETU_DATABASE_…`)."""

    model_config = SettingsConfigDict(env_prefix="WUSETU_DATABASE_")

    url: str | None = Field(
        default=None,
        description="PostgreSQL URL of a server of yours; empty: a private cluster is made and run",
    )
    web_url: str | None = Field(
        default=None,
        description="The same database as role wusetu_web; empty: sessions of `url` take that role",
    )
    pool_size: int = Field(default=8, ge=1, le=200, description="Connections kept open per process")
    statement_timeout_ms: int = Field(
        default=30_000, ge=0, description="Longest statement a web request may run, milliseconds"
    )


class ServerSettings(BaseSettings):
    """How the web server listens (`WUSETU_SERVER_…`)."""

    model_config = SettingsConfigDict(env_prefix="WUSETU_SERVER_")

    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on")
    grace_seconds: int = Field(
        default=25,
        ge=1,
        le=600,
        description="Longest time running requests are given to end when the server is stopped",
    )
    names: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Further host names people may use for this server, separated by commas",
    )

    @field_validator("names", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip().lower() for part in value.split(",") if part.strip())
        return value


class AccountSettings(BaseSettings):
    """How people and programs prove who they are (`WUSETU_ACCOUNTS_…`)."""

    model_config = SettingsConfigDict(env_prefix="WUSETU_ACCOUNTS_")

    public_url: str | None = Field(
        default=None,
        description="Address people type, for example https://map.example; "
        "needed to listen on more than this machine",
    )
    idle_minutes: int = Field(
        default=60, ge=1, le=10_080, description="A session unused for so long is over"
    )
    session_hours: int = Field(
        default=12, ge=1, le=8_784, description="A session is over after so long in any case"
    )
    password_length: int = Field(
        default=12, ge=8, le=64, description="Fewest characters of a new password"
    )
    password_days: int = Field(
        default=180, ge=0, description="A password must be changed after so long; 0: never"
    )
    lock_after: int = Field(
        default=5, ge=1, le=100, description="Failed tries in a row until a name is locked"
    )
    lock_seconds: int = Field(
        default=30, ge=1, le=3_600, description="First time a name is locked; doubles each try"
    )
    lock_longest_seconds: int = Field(
        default=900, ge=1, le=86_400, description="Longest time a name is locked"
    )
    link_hours: int = Field(
        default=24, ge=1, le=168, description="A one-time link is good for so long"
    )
    token_days: int = Field(
        default=366, ge=1, le=3_660, description="Longest life of a program's token"
    )
    grace_minutes: int = Field(
        default=15,
        ge=0,
        le=1_440,
        description="Known sessions may go on reading for so long while the database is silent",
    )
    oidc_file: Path | None = Field(
        default=None, description="YAML file with the OpenID Connect providers and their groups"
    )

    @field_validator("public_url")
    @classmethod
    def _bare_address(cls, value: str | None) -> str | None:
        if not value:
            return None
        parts = urlsplit(value)
        if (
            parts.scheme not in {"http", "https"}
            or not parts.hostname
            or parts.username
            or parts.path.strip("/")
            or parts.query
            or parts.fragment
        ):
            raise ValueError("give scheme, host and port alone, for example https://map.example")
        return f"{parts.scheme}://{parts.netloc}".lower()


class CubeSettings(BaseSettings):
    """How the snapshots for counting areas are kept (`WUSETU_CUBE_…`)."""

    model_config = SettingsConfigDict(env_prefix="WUSETU_CUBE_")

    check_seconds: float = Field(
        default=15,
        ge=0,
        le=86_400,
        description="Pause between two looks of the server at what changed; 0: it never looks",
    )
    delta_rows: int = Field(
        default=20_000,
        ge=1,
        le=10_000_000,
        description="Changed rows (or 0.5 % of the events, whichever is more) until a new snapshot",
    )


class AuditSettings(BaseSettings):
    """What is written down about who asked what (`WUSETU_AUDIT_…`)."""

    model_config = SettingsConfigDict(env_prefix="WUSETU_AUDIT_")

    purpose: Literal["optional", "demanded"] = Field(
        default="optional",
        description="demanded: an area, export or record is not answered without its purpose",
    )
    durable: bool = Field(
        default=False,
        description="Wait for the disk at each entry; else a crash of the database machine may lose "
        "the last second",
    )
    patience_ms: int = Field(
        default=2_000,
        ge=10,
        le=60_000,
        description="Longest an answer waits for its entry, milliseconds; then it is not given",
    )
    seal_seconds: float = Field(
        default=1.0, gt=0, le=3_600, description="Pause between two additions to the chain"
    )


class LimitSettings(BaseSettings):
    """How much one request, one account and one worker may take (`WUSETU_LIMITS_…`)."""

    model_config = SettingsConfigDict(env_prefix="WUSETU_LIMITS_")

    body_bytes: int = Field(default=2**20, ge=1_024, description="Largest request body")
    area_bytes: int = Field(
        default=8 * 2**20, ge=1_024, description="Largest body of a question about an area"
    )
    header_bytes: int = Field(
        default=16_384, ge=1_024, description="Largest headers of a request, all together"
    )
    target_bytes: int = Field(
        default=8_192, ge=256, description="Longest address with its parameters"
    )
    body_seconds: float = Field(
        default=30, gt=0, description="Longest time a body may take to come in"
    )
    rate: float = Field(
        default=200,
        ge=0,
        description="Requests per second of one account and worker, in the long run; 0: no limit",
    )
    burst: int = Field(default=2_000, ge=1, description="Requests of one account at once")
    heavy_rate: float = Field(
        default=5,
        ge=0,
        description="Areas and exports per second of one account and worker; 0: no limit",
    )
    heavy_burst: int = Field(default=60, ge=1, description="Areas and exports at once")
    heavy_jobs: int = Field(
        default=4, ge=1, le=64, description="Areas and exports worked on at once per worker"
    )
    heavy_per_account: int = Field(
        default=2, ge=1, le=64, description="Of these, most of one account"
    )
    heavy_waiting: int = Field(
        default=32, ge=0, description="Most that wait their turn, per worker"
    )
    heavy_wait_seconds: float = Field(default=10, gt=0, description="Longest wait for a turn")


class TaskSettings(BaseSettings):
    """Outside grid platforms tasks are told to (`WUSETU_TASKS_…`)."""

    model_config = SettingsConfigDict(env_prefix="WUSETU_TASKS_")

    keys_file: Path | None = Field(
        default=None, description="YAML: `keys: [{id, secret_file}]`, secrets shared with them"
    )


class JobSettings(BaseSettings):
    """Questions worked on in the background (`WUSETU_JOBS_…`)."""

    model_config = SettingsConfigDict(env_prefix="WUSETU_JOBS_")

    at_once: int = Field(
        default=2, ge=0, le=64, description="Processes at once, all workers together; 0: none here"
    )
    per_account: int = Field(default=1, ge=1, le=64, description="Of these, most of one account")
    waiting: int = Field(
        default=10, ge=1, le=1_000, description="Most jobs of one account that wait or run"
    )
    keep_days: int = Field(
        default=30, ge=1, le=3_660, description="A job goes after so long, with its result"
    )
    longest_seconds: int = Field(
        default=3_600, ge=1, le=86_400, description="A job that takes longer is ended"
    )
    look_seconds: float = Field(
        default=2, gt=0, le=3_600, description="Pause between two looks at what waits"
    )


class DeviceSettings(BaseSettings):
    """How devices are heard and their readings kept (`WUSETU_DEVICES_…`)."""

    model_config = SettingsConfigDict(env_prefix="WUSETU_DEVICES_")

    keep_days: int = Field(
        default=30, ge=2, le=3_660, description="Readings older than this are dropped, day by day"
    )
    offline_after: float = Field(
        default=3, ge=1, le=1_000, description="A device silent for so many of its paces is offline"
    )
    offline_least_s: int = Field(
        default=10, ge=1, le=86_400, description="But not before so many seconds"
    )
    flapping_returns: int = Field(
        default=3, ge=2, le=100, description="A device that came back so often is flapping …"
    )
    flapping_minutes: int = Field(
        default=60, ge=1, le=10_080, description="… within so many minutes"
    )
    tick_seconds: float = Field(
        default=1, gt=0, le=3_600, description="Pause between two looks of the devices' clock"
    )


class Settings(BaseSettings):
    """Everything (`WUSETU_…`)."""

    model_config = SettingsConfigDict(env_prefix="WUSETU_")

    data_dir: Path = Field(
        default=PROJECT / ".wusetu", description="Folder of the cluster, archives and snapshots"
    )
    time_zone: str = Field(default="Asia/Shanghai", description="Calendar of the periods")
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    server: ServerSettings = Field(default_factory=ServerSettings)
    cube: CubeSettings = Field(default_factory=CubeSettings)
    log: Literal["text", "json"] = Field(
        default="text",
        description="text: warnings and errors for people; json: one object per line, requests too",
    )
    access: Literal["single", "accounts"] = Field(
        default="single",
        description="single: whoever is at this machine, loopback only; accounts: everyone logs in",
    )
    accounts: AccountSettings = Field(default_factory=AccountSettings)
    audit: AuditSettings = Field(default_factory=AuditSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    jobs: JobSettings = Field(default_factory=JobSettings)
    tasks: TaskSettings = Field(default_factory=TaskSettings)
    devices: DeviceSettings = Field(default_factory=DeviceSettings)

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"unknown time zone {value!r}") from error
        return value


def load() -> Settings:
    """Read the settings from the environment."""
    return Settings()
