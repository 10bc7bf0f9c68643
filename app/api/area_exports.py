"""An analyst's answer as a file."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Request, Response
from pydantic import Field

from app.api.analysis_models import AnalysisQuestion
from app.api.auditing import AuditDep
from app.api.dependencies import NO_STORE, ExportDep, HeavyDep, Pack, errors
from app.api.files import attachment
from app.api.quick_json import QuickRoute, asked
from app.services import analysis, report, report_document, report_files, report_map_page
from app.services.areas import Areas, look
from app.services.asking import Asker
from app.services.audit import bounded

router = APIRouter(prefix="/api/packs/{pack}/areas", tags=["export"], route_class=QuickRoute)

Format = Literal["csv", "gpkg", "geojson", "parquet", "html", "pdf", "report.html", "png"]
MEDIA: dict[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "gpkg": "application/geopackage+sqlite3",
    "geojson": "application/geo+json",
    "parquet": "application/vnd.apache.parquet",
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "report.html": "text/html; charset=utf-8",
    "png": "image/png",
}


class AreaExport(AnalysisQuestion):
    """An analyst's question, and the file its answer is wanted as."""

    format: Format
    lang: Literal["zh", "en"] = "zh"
    title: str | None = Field(
        default=None, max_length=80, description="Heading; never a person's name, number or plate"
    )


EXAMPLES = {
    "report": {
        "summary": "Report about a circle, as PDF",
        "value": {
            "area": {"circle": {"lon": 120.155, "lat": 30.274, "metres": 1500}},
            "start": "2024-01-01",
            "end": "2024-07-01",
            "format": "pdf",
            "lang": "zh",
            "title": "市场周边",
        },
    }
}


@router.post(
    "/export",
    operation_id="exportArea",
    summary="The answer to an analyst's question as a file",
    response_class=Response,
    responses={
        200: {
            "description": "The file; each says run, boundary version, question, who, when, cut-off",
            "content": {
                kind.split(";")[0]: {"schema": {"type": "string", "format": "binary"}}
                for kind in MEDIA.values()
            },
        },
        **errors(404, 422, 503),
    },
)
def export_area(
    *,
    pack: Pack,
    request: Request,
    question: Annotated[AreaExport, Body(openapi_examples=EXAMPLES)],
    store: ExportDep,
    auditing: AuditDep,
    _turn: HeavyDep,
) -> Response:
    """Ask as `analyseArea` does, and write what it answers: what is suppressed there is here, too."""
    areas: Areas = request.app.state.areas
    data_dir: Path = request.app.state.settings.data_dir
    written = asked(question)
    bounded(written)  # what cannot be written down is refused before it is asked
    with tempfile.TemporaryDirectory(prefix="wusetu-export-") as folder:
        with auditing.entry("export", pack=pack, run=question.run, question=written) as entry:
            asker = Asker(store.identity, store.caches, store.read, store.write)
            answer = analysis.analyse(areas, asker, pack, question)
            sight = look(areas, pack, store.identity.prefixes)
            made = report.build(
                store, sight, question, answer,
                lang=question.lang, title=question.title, now=datetime.now(UTC),
            )  # fmt: skip
            path = Path(folder) / f"{made.file_name}.{question.format}"
            _write(made, question.format, path, data_dir)
            entry.rows = len(made.rows)
        body = path.read_bytes()
    return Response(
        body,
        media_type=MEDIA[question.format],
        headers=attachment(path.name, NO_STORE),
    )


def _write(made: report.Report, form: Format, path: Path, data_dir: Path) -> None:
    if form == "gpkg":
        report_files.gpkg(made, path)
    elif form == "parquet":
        report_files.parquet(made, path)
    else:
        makers = {
            "csv": lambda: report_files.csv(made),
            "geojson": lambda: report_files.geojson(made),
            "html": lambda: report_map_page.page(made),
            "pdf": lambda: report_document.pdf(made, data_dir),
            "report.html": lambda: report_document.html(made),
            "png": lambda: report_document.png(made, data_dir),
        }
        path.write_bytes(makers[form]())
