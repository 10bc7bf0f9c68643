"""The monthly brief: as numbers with their sources, as a page, as PDF."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from app.api.auditing import AuditDep
from app.api.brief_models import Brief, BriefAnswer, KeptBrief
from app.api.dependencies import NO_STORE, HeavyDep, Pack, Store, StoreDep, Within, errors
from app.api.files import attachment
from app.errors import Invalid
from app.services import brief as service
from app.services import brief_document, brief_kept
from app.services.brief_document import Copy
from app.services.small_numbers import sees_small

router = APIRouter(prefix="/api/packs/{pack}", tags=["brief"])

Format = Literal["json", "html", "pdf"]
MEDIA: dict[str, str] = {"html": "text/html; charset=utf-8", "pdf": "application/pdf"}
Month = Annotated[
    str | None,
    Query(
        pattern=r"^(19|20|21)[0-9]{2}-(0[1-9]|1[0-2])$",
        description="Month, YYYY-MM; neither this nor `ord`: the newest complete one",
    ),
]


def _site(request: Request) -> str:
    given: str | None = request.app.state.settings.accounts.public_url
    return (given or str(request.base_url)).rstrip("/")


@router.get(
    "/brief",
    operation_id="brief",
    summary="Monthly brief: what rose, where, why, what was done",
    response_model=BriefAnswer,
    responses={
        200: {
            "description": "JSON, or a document that says run, boundaries, cut-off and wording",
            "content": {
                kind.split(";")[0]: {"schema": {"type": "string", "format": "binary"}}
                for kind in MEDIA.values()
            },
        },
        **errors(404, 409, 422, 503),
    },
)
def brief(
    *,
    pack: Pack,
    request: Request,
    store: StoreDep,
    auditing: AuditDep,
    _turn: HeavyDep,
    month: Month = None,
    ord: Annotated[  # noqa: A002 - the name of the parameter
        int | None,
        Query(ge=0, le=32767, description="Index of the month in the manifest, instead of `month`"),
    ] = None,
    within: Within = None,
    run: Annotated[
        int | None,
        Query(ge=1, le=2**31 - 1, description="Run; none: the newest published one of the map"),
    ] = None,
    version: Annotated[
        int | None,
        Query(
            ge=1, le=2**31 - 1, description="A kept wording of `month`, as it was given out then"
        ),
    ] = None,
    format: Annotated[  # noqa: A002 - the name of the parameter
        Format, Query(description="json: sentences with their sources; html, pdf: a document")
    ] = "json",
    lang: Annotated[
        Literal["zh", "en"], Query(description="Language of a document; JSON has both")
    ] = "zh",
) -> Response | BriefAnswer:
    """Write the brief of a month, every sentence with the numbers it was made from.

    To roles that do not see records counts of 1 to 4 are "<5". A document is kept as it was given
    out: `version` asks for it again.
    """
    if month is not None and ord is not None:
        raise Invalid("give month or ord, not both", {"field": "month", "reason": "both"})
    first = date.fromisoformat(f"{month}-01") if month else None
    small = sees_small(store.identity)
    about = service.About(pack, first, ord, within, run, small=small)
    asked = {
        "brief": format, "month": month, "ord": ord, "within": within, "lang": lang, "version": version,
    }  # fmt: skip
    prefixes = store.identity.prefixes
    question = {name: value for name, value in asked.items() if value is not None}
    with auditing.entry("export", pack=pack, run=run, question=question) as entry:
        made, kept = _made(store, about, version)
        entry.rows = sum(len(one.facts) for part in made.sections for one in part.sentences)
        entry.run = made.run
        if format == "json":
            if kept is None:
                with store.read() as connection:
                    kept = brief_kept.newest(connection, made, prefixes)
            digest = brief_kept.digest(made)
            same = kept if kept is not None and kept.digest == digest else None
            return BriefAnswer(brief=made, digest=digest, kept=same)
        if kept is None:
            with store.write() as connection:
                kept = brief_kept.keep(connection, made, prefixes)
        copy = Copy(made, kept, lang, datetime.now(UTC), _site(request))
        data_dir: Path = request.app.state.settings.data_dir
        with store.read() as connection:
            body = (
                brief_document.html(connection, copy)
                if format == "html"
                else brief_document.pdf(connection, copy, data_dir)
            )
    name = f"wusetu-{pack}-brief-{made.month:%Y-%m}-v{kept.version}.{format}"
    return Response(
        body,
        media_type=MEDIA[format],
        headers=attachment(name, NO_STORE),
    )


def _made(
    store: Store, about: service.About, version: int | None
) -> tuple[Brief, KeptBrief | None]:
    """Brief of today's numbers, or a kept one."""
    with store.read() as connection:
        if version is None:
            return service.build(connection, store.caches, about), None
        if about.month is None:
            raise Invalid(
                "a kept version is asked for by month", {"field": "month", "reason": "missing"}
            )
        key = (about.pack, about.month, service.scope(connection, store.caches, about), version)
        return brief_kept.read(connection, key, store.identity.prefixes, small=about.small)


@router.get(
    "/briefs",
    operation_id="keptBriefs",
    summary="Briefs that were given out",
    responses=errors(422, 503),
)
def kept_briefs(pack: Pack, store: StoreDep) -> list[KeptBrief]:
    """Wordings kept for the jurisdiction of who asks, newest month first, at most 500."""
    with store.read() as connection:
        return brief_kept.listed(
            connection, pack, store.identity.prefixes, small=sees_small(store.identity)
        )
