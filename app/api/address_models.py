"""Models of addresses in words."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from app.api.models import Model

Words = Annotated[str, Field(min_length=1, max_length=300)]
UnitCode = Annotated[str, Field(min_length=2, max_length=27, pattern=r"^[0-9]+$")]


class AddressQuestion(Model):
    """Addresses to resolve."""

    pack: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    addresses: Annotated[list[Words], Field(min_length=1, max_length=1000)]


class AddressCandidate(Model):
    """A code an address may mean."""

    code: str
    name: str | None = Field(description="Names of its units, from the coarsest")
    level: str | None = Field(description="Level of the code, `building` or `room` below the map's")
    unit: str | None = Field(description="Code of the finest unit of the map that holds it")
    place: str | None = Field(description="Place of the address base that was recognised")
    reasons: list[str]


class AddressAnswer(Model):
    """What one address means."""

    text: str
    status: Literal["found", "unsure", "ambiguous", "none"]
    code: str | None = Field(
        description="Unified code; of an ambiguous address what its candidates share"
    )
    name: str | None
    level: str | None = Field(description="Level of the code, `building` or `room` below the map's")
    unit: str | None = Field(description="Code of the finest unit of the map that holds it")
    place: str | None = Field(description="Place of the address base that was recognised")
    confidence: float = Field(ge=0, le=1)
    certain: bool = Field(description="May be used without looking")
    reasons: list[str] = Field(description="Machine words, see the documentation of addresses")
    candidates: list[AddressCandidate] = Field(description="Likeliest first, at most five")


class AddressAnswers(Model):
    """One answer per address, in order."""

    pack: str
    base: str = Field(description="Where the address base comes from")
    simulated: bool
    answers: list[AddressAnswer]


class ReviewItem(Model):
    """An address that was not certain."""

    id: int
    pack: str
    text: str
    code: str | None
    confidence: float
    reasons: list[str]
    candidates: list[str]
    seen: int
    first_seen: datetime
    last_seen: datetime
    state: Literal["open", "settled", "dismissed"]
    settled_code: str | None
    settled_at: datetime | None


class ReviewQueue(Model):
    """The queue of a map."""

    pack: str
    items: list[ReviewItem]


class LearntName(Model):
    """A name to learn."""

    name: Annotated[str, Field(min_length=2, max_length=80)]
    place: Annotated[str, Field(min_length=1, max_length=80)] | None = Field(
        None, description="Place of the base it means; none: the unit itself"
    )


class ReviewDecision(Model):
    """What an address means; without a code it is dismissed."""

    code: UnitCode | None = None
    alias: LearntName | None = None
