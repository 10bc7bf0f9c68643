"""Models of feeds: how they are, their dead letters, what was sent."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field

from app.api.models import Model

FeedState = Literal["fine", "late", "stopped", "failing", "new", "paused"]
LetterState = Literal["open", "replayed", "superseded"]


class FeedDay(Model):
    """What arrived on one local day."""

    day: date
    rows: int
    rejected: int


class FeedDiagnosis(Model):
    """What the points of a feed look like, found by trying every reading."""

    reading: Literal["wgs84", "gcj02", "bd09", "swapped"] | None = Field(
        description="As what the points agree with the codes; null: nothing explains them"
    )
    share: float = Field(description="Part of the tried points that disagree as declared")
    reading_share: float | None = Field(description="The same under the reading")
    points: int = Field(description="How many were tried")


class FeedHealth(Model):
    """A feed and how it is."""

    id: int
    pack: str
    name: str = Field(description="Also the name of the source of its events")
    title: str
    code: str = Field(description="Jurisdiction it belongs to; empty: the whole map")
    adapter: Literal["folder", "push", "pull", "sql", "kafka"]
    crs: str = Field(description="Declared CRS of its points")
    simulated: bool
    state: FeedState
    expected_s: float | None = Field(description="Its interval, seconds; null: not known yet")
    learnt: bool = Field(description="The interval was learnt from the arrivals")
    last_arrival: datetime | None
    last_origin: str | None = Field(description="File, page, offsets or request of the last batch")
    lag_s: float | None = Field(
        description="Seconds from the newest event to the last arrival; null: no event yet"
    )
    looked_at: datetime | None = Field(description="Last look without failure; null: none")
    failures: int = Field(description="Looks in a row that failed")
    error: str | None = Field(description="Why the last one failed")
    rows: int = Field(description="Rows of the last week under the present mapping")
    new: int = Field(description="Of these, new events")
    updated: int = Field(description="Of these, corrected events")
    rejected: int = Field(description="Of these, rows that could not be used")
    compared: int = Field(description="Of these, rows whose code and point could be compared")
    mismatch: int = Field(description="Of these, how many disagree")
    reasons: dict[str, int] = Field(description="Rejected rows by reason, most first")
    dead: int = Field(description="Open dead letters")
    days: list[FeedDay] = Field(description="The last 30 local days, oldest first")
    diagnosis: FeedDiagnosis | None = Field(description="Null: nothing is wrong with the points")


class FeedList(Model):
    """Feeds by map and name."""

    feeds: list[FeedHealth]
    as_of: datetime


class DeadLetter(Model):
    """A row that could not be used."""

    id: int
    place: str = Field(description="Line, row, offset or cursor inside its batch")
    origin: str = Field(description="File, page, offsets or request")
    field: str = Field(description="Columns that are wrong, as the feed calls them")
    value: str = Field(description="What stands there; withheld where it looks like a person's")
    reason: str
    said: str = Field(description="What is wrong, in words")
    row: dict[str, Any] | None = Field(
        description="The mapped columns; null: not kept, so it cannot be read again"
    )
    at: datetime
    state: LetterState


class DeadLetters(Model):
    """Dead letters, newest first."""

    letters: list[DeadLetter]
    next: int | None = Field(description="Give it as `before` for older ones; null: no more")


class ReplayReport(Model):
    """What reading the dead letters again did."""

    stored: int
    superseded: int = Field(description="Overtaken by a newer row of the same reference")
    failed: int = Field(description="Failed again, with the new reason")
    unkept: int = Field(description="Not kept: the source has to send them again")


class RefusedFeedRow(Model):
    """A row that was not stored; it is a dead letter now."""

    row: int = Field(description="Row of the request, from 1")
    field: str
    reason: str
    text: str


class BatchReport(Model):
    """What became of a batch."""

    batch: int
    known: bool = Field(description="This key was taken before: nothing was done")
    rows: int
    new: int
    updated: int
    unchanged: int
    rejected: int
    mismatch: int = Field(description="Rows whose code and point disagree")
    refused: list[RefusedFeedRow] = Field(description="The first 100 of them")
