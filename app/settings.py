"""Settings, one class per concern; read from the environment, checked at start.

Nothing here is read at import time: `load()` is called by the application factory, the command
line and the tests.
"""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT = Path(__file__).resolve().parent.parent


class DatabaseSettings(BaseSettings):
    """Where the store of record is (`WUSETU_DATABASE_…`)."""

    model_config = SettingsConfigDict(env_prefix="WUSETU_DATABASE_")

    url: str | None = Field(
        default=None,
        description="PostgreSQL URL of a server of yours; empty: a private cluster is made and run",
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


class Settings(BaseSettings):
    """Everything (`WUSETU_…`)."""

    model_config = SettingsConfigDict(env_prefix="WUSETU_")

    data_dir: Path = Field(
        default=PROJECT / ".wusetu", description="Folder of the cluster, archives and snapshots"
    )
    time_zone: str = Field(default="Asia/Shanghai", description="Calendar of the periods")
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    server: ServerSettings = Field(default_factory=ServerSettings)

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
