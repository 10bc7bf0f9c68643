"""The map for notebooks and programs: the questions of the API, answered as GeoDataFrames.

Imports nothing of the server but talks to it. Promises: what it hands out is what the API answered,
no number is made here; frames are EPSG:4326 with the notes of the answer in `attrs`; an error of the
API is a `ClientError` with its code, message and request id.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import httpx

if TYPE_CHECKING:
    import geopandas
    import pandas

Moment = date | datetime | str
Format = Literal["csv", "gpkg", "geojson", "parquet", "html", "pdf", "report.html", "png"]
JobType = Literal["gi", "scan", "knox", "emerging", "density", "forecast"]
Lang = Literal["zh", "en"]
#: Pauses between two looks at a job, seconds: first and longest.
PAUSES = (0.2, 2.0)


class ClientError(Exception):
    """The server said no.

    Attributes
    ----------
    code, message, detail, request_id : as the API answered; see docs/api.md
    status : of the answer
    """

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(body.get("code", "error"))
        self.message = str(body.get("message", ""))
        self.detail = body.get("detail")
        self.request_id = body.get("request_id")
        super().__init__(f"{self.code} ({status}): {self.message}")


@dataclass(frozen=True)
class Analysis:
    """What was asked of an area, answered.

    Attributes
    ----------
    rows : GeoDataFrame
        All rows of the answer, `part` says of what: area, kind, unit, comparison, cell, previous,
        last_year, month, hour_of_week; columns as in docs/exports.md. `attrs` holds the notes.
    notes : dict
        Run, boundary version, question, who, when, cut-off, colour rule.
    """

    rows: geopandas.GeoDataFrame
    notes: dict[str, str]

    def part(self, name: str) -> geopandas.GeoDataFrame:
        """Rows of one part."""
        return self.rows[self.rows["part"] == name].reset_index(drop=True)

    @property
    def overall(self) -> pandas.Series:
        """Row of the area itself."""
        found: pandas.Series = self.part("area").iloc[0]
        return found


@dataclass(frozen=True)
class JobAnswer:
    """What a job found.

    Attributes
    ----------
    id : number of the job
    result : dict, as the API gave it (`JobResult`)
    frame : GeoDataFrame of cells or clusters, DataFrame of near-repeat bands; None for surfaces
    """

    id: int
    result: dict[str, Any]
    frame: geopandas.GeoDataFrame | pandas.DataFrame | None
    _get: Callable[[str], bytes] = field(repr=False)

    @property
    def question(self) -> dict[str, Any]:
        """The question: asked again it is the same job."""
        return dict(self.result["question"])

    def raster(self, path: str | os.PathLike[str]) -> Path:
        """Save the surface (cloud-optimised GeoTIFF) and say where."""
        target = Path(path)
        target.write_bytes(self._get(f"/api/jobs/{self.id}/result.tif"))
        return target


class Client:
    """A door to a server.

    Parameters
    ----------
    url : str
        Address of the server, such as `https://map.example`.
    token : str, optional
        Of a program (`wusetu_…`); none: a single machine without accounts.
    purpose : str, optional
        What for; stands in the audit beside every question. Some installations demand it.
    timeout : float
        Seconds an answer may take.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        purpose: str | None = None,
        timeout: float = 120,
    ) -> None:
        headers = {"User-Agent": "wusetu-client"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if purpose:
            headers["X-Purpose"] = quote(purpose)
        self._http = httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = self._http.request(method, path, **more)
        if answer.is_error:
            try:
                body = answer.json()
            except ValueError:
                body = {"message": answer.text[:200]}
            raise ClientError(answer.status_code, body)
        return answer

    # what there is ---------------------------------------------------------------------------
    def maps(self) -> list[dict[str, Any]]:
        """List the maps with their run, levels, kinds and periods (`Manifest`)."""
        found: list[dict[str, Any]] = self._ask("GET", "/api/manifest").json()["maps"]
        return found

    def map(self, pack: str) -> dict[str, Any]:
        """One map.

        Raises
        ------
        KeyError
            There is no such map.
        """
        for one in self.maps():
            if one["pack"] == pack:
                return one
        raise KeyError(pack)

    # published runs --------------------------------------------------------------------------
    def values(
        self,
        pack: str,
        level: str,
        *,
        kind: str = "overall",
        period: Literal["month", "quarter", "year"] = "month",
        ord: int | None = None,  # noqa: A002 - the word of the API
        run: int | None = None,
    ) -> geopandas.GeoDataFrame:
        """All units of a level with their shapes, counts, relative risks and colours.

        Parameters
        ----------
        ord : index of the period in `map(pack)["periods"]`; none: the last complete one
        run : none: the newest

        Returns
        -------
        GeoDataFrame, columns as those of the CSV of a run (docs/api.md)
        """
        import pyogrio

        about = self.map(pack)
        if ord is None:
            periods = about["periods"][period]
            ord = max(one["ord"] for one in periods if one["complete"])  # noqa: A001
        number = about["run"] if run is None else run
        answer = self._ask(
            "GET",
            f"/api/runs/{number}/export.gpkg",
            params={"level": level, "kind": kind, "period": period, "ord": ord},
        )
        with tempfile.NamedTemporaryFile(suffix=".gpkg") as file:
            file.write(answer.content)
            file.flush()
            frame: geopandas.GeoDataFrame = pyogrio.read_dataframe(file.name)
            info = pyogrio.read_info(file.name)
        frame.attrs.update(info.get("layer_metadata") or {})
        return frame

    def units(self, pack: str, level: str) -> geopandas.GeoDataFrame:
        """Units of a level: code, name, name_en, parent_code, geometry."""
        frame = self.values(pack, level, period="month", ord=0)
        return frame[["code", "name", "name_en", "parent_code", "geometry"]]

    # areas -----------------------------------------------------------------------------------
    def area(self, pack: str, area: Any, start: Moment, end: Moment, **more: Any) -> dict[str, Any]:
        """Answer of `analyseArea`: exact count, expected count, relative risk with interval, rule.

        Parameters
        ----------
        area : see `analyse`
        more : kinds, hours_of_week, located_by, run, compare, parts, level, cell_res, weights
        """
        body = _question(area, start, end, more)
        found: dict[str, Any] = self._ask(
            "POST", f"/api/packs/{pack}/areas/analyse", json=body
        ).json()
        return found

    def analyse(self, pack: str, area: Any, start: Moment, end: Moment, **more: Any) -> Analysis:
        """Ask everything about an area, as rows with shapes.

        Parameters
        ----------
        area : a shapely polygon (EPSG:4326), a list of unit codes, WKT text, or a mapping as the
            API takes it, such as `{"circle": {"lon": 120.2, "lat": 30.3, "metres": 1500}}`
        start, end : dates, times with their offset, or their text; half-open
        more : as of `area`
        """
        import geopandas
        import pandas
        import shapely.geometry

        body = {**_question(area, start, end, more), "format": "geojson"}
        whole = self._ask("POST", f"/api/packs/{pack}/areas/export", json=body).json()
        shapes = [shapely.geometry.shape(one["geometry"]) for one in whole["features"]]
        rows = [one["properties"] for one in whole["features"]] + whole["numbers"]
        frame = geopandas.GeoDataFrame(
            pandas.DataFrame(rows), geometry=[*shapes, *[None] * len(whole["numbers"])],
            crs="EPSG:4326",
        )  # fmt: skip
        frame["observed"] = frame["observed"].astype("Int64")
        frame.attrs.update(whole["about"])
        return Analysis(frame, dict(whole["about"]))

    def export(
        self,
        pack: str,
        area: Any,
        start: Moment,
        end: Moment,
        path: str | os.PathLike[str],
        *,
        format: Format | None = None,  # noqa: A002 - the word of the API
        lang: Lang = "zh",
        title: str | None = None,
        **more: Any,
    ) -> Path:
        """Save an answer as a file and say where.

        Parameters
        ----------
        format : none: by the ending of `path` (csv gpkg geojson parquet html pdf report.html png)
        """
        target = Path(path)
        if format is None:
            ending = target.name.split(".", 1)[-1].lower()
            form = "report.html" if ending.endswith("report.html") else ending.rsplit(".", 1)[-1]
        else:
            form = format
        body = {**_question(area, start, end, more), "format": form, "lang": lang}
        if title:
            body["title"] = title
        target.write_bytes(self._ask("POST", f"/api/packs/{pack}/areas/export", json=body).content)
        return target

    # jobs ------------------------------------------------------------------------------------
    def job(
        self,
        type: JobType,  # noqa: A002 - the word of the API
        pack: str,
        start: Moment,
        end: Moment,
        *,
        area: Any = None,
        parameters: Mapping[str, Any] | None = None,
        seed: int = 20260101,
        progress: Callable[[float, str], None] | None = None,
        **more: Any,
    ) -> JobAnswer:
        """Ask something that takes longer, and wait for it; interrupted, the job is cancelled.

        Parameters
        ----------
        type : gi, scan, knox, emerging, density, forecast (docs/jobs.md)
        area : as of `analyse`; none: the whole map
        progress : told the part done, 0 to 1, and the step
        more : kinds, hours_of_week, run

        Raises
        ------
        ClientError
            It was refused, failed, or somebody cancelled it.
        """
        body: dict[str, Any] = {
            "type": type, "pack": pack, "start": _moment(start), "end": _moment(end), "seed": seed,
            "parameters": dict(parameters or {}), **more,
        }  # fmt: skip
        if area is not None:
            body["area"] = _area(area)
        return self.ask(body, progress=progress)

    def ask(
        self,
        question: Mapping[str, Any],
        *,
        progress: Callable[[float, str], None] | None = None,
    ) -> JobAnswer:
        """Ask a job's stored question (again) and wait for the answer."""
        job = self._ask("POST", "/api/jobs", json=dict(question)).json()
        pause = PAUSES[0]
        try:
            while job["state"] in {"queued", "running"}:
                time.sleep(pause)
                pause = min(pause * 1.5, PAUSES[1])
                job = self._ask("GET", f"/api/jobs/{job['id']}").json()
                if progress is not None:
                    progress(job["progress"], job["step"])
        except BaseException:
            self._http.request("DELETE", f"/api/jobs/{job['id']}")
            raise
        if job["state"] != "done":
            raise ClientError(409, job["error"] or {"code": job["state"], "message": "cancelled"})
        return self._result(job["id"])

    def _result(self, job: int) -> JobAnswer:
        import geopandas
        import pandas

        result = self._ask("GET", f"/api/jobs/{job}/result").json()
        frame: Any = None
        if "bands" in result:
            frame = pandas.DataFrame(result["bands"])
        elif result.get("cells") or result.get("clusters"):
            shapes = self._ask("GET", f"/api/jobs/{job}/result.geojson").content
            frame = geopandas.read_file(io.BytesIO(shapes), engine="pyogrio")
        if frame is not None:
            frame.attrs["method"] = result["method"]["en"]
        return JobAnswer(job, result, frame, lambda path: self._ask("GET", path).content)


def _moment(value: Moment) -> str:
    return value if isinstance(value, str) else value.isoformat()


def _area(area: Any) -> dict[str, Any]:
    """Area in the words of the API."""
    if isinstance(area, Mapping):
        return dict(area)
    if isinstance(area, str):
        return {"wkt": area}
    if hasattr(area, "__geo_interface__") and hasattr(area, "geom_type"):
        return {"geojson": json.loads(json.dumps(area.__geo_interface__))}
    if isinstance(area, Sequence):
        return {"units": [str(one) for one in area]}
    raise TypeError(
        f"an area is a polygon, unit codes, WKT or a mapping, not {type(area).__name__}"
    )


def _question(area: Any, start: Moment, end: Moment, more: Mapping[str, Any]) -> dict[str, Any]:
    return {"area": _area(area), "start": _moment(start), "end": _moment(end), **more}
