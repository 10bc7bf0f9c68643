"""Exported pages in a browser without a network: they draw, they say their numbers, they ask nobody."""

from __future__ import annotations

import io
import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pypdf
import pytest
from e2e_map import COUNTIES, PACK
from e2e_page import Watched, watched
from playwright.sync_api import Browser, expect

QUESTION = {
    "area": {"units": [COUNTIES[1]]}, "start": "2024-01-01", "end": "2025-01-01",
    "title": "余杭区 研判", "lang": "zh",
}  # fmt: skip


def post(server: str, address: str, body: dict[str, Any]) -> bytes:
    """Ask the server, outside of any browser."""
    request = Request(
        server + address, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urlopen(request, timeout=300) as answer:
        found: bytes = answer.read()
    return found


@pytest.fixture(scope="module")
def answer(server: str) -> dict[str, Any]:
    body = {name: QUESTION[name] for name in ("area", "start", "end")}
    found: dict[str, Any] = json.loads(post(server, f"/api/packs/{PACK}/areas/analyse", body))
    return found


def opened(browser: Browser, server: str, form: str, folder: Path) -> Iterator[Watched]:
    path = folder / f"one.{form}"
    path.write_bytes(post(server, f"/api/packs/{PACK}/areas/export", {**QUESTION, "format": form}))
    with watched(browser, "", 1200, 800, offline=True) as one:
        one.page.goto(path.as_uri())
        yield one
        assert one.hosts() == set()
        assert one.complaints == []
        assert {request.url for request in one.requests if request.url.startswith("file:")} == {
            path.as_uri()
        }


@pytest.fixture
def map_page(browser: Browser, server: str, tmp_path: Path) -> Iterator[Watched]:
    yield from opened(browser, server, "html", tmp_path)


@pytest.fixture
def report_page(browser: Browser, server: str, tmp_path: Path) -> Iterator[Watched]:
    yield from opened(browser, server, "report.html", tmp_path)


def test_the_map_opens_offline(map_page: Watched, answer: dict[str, Any]) -> None:
    page = map_page.page
    shapes = page.locator("path.leaflet-interactive")
    expect(shapes.first).to_be_visible()
    drawn = [one for one in answer["children"] if one["code"] and not one["rest"]]
    assert shapes.count() >= len(drawn) > 5
    about = page.locator("#about")
    expect(about).to_contain_text("余杭区 研判")
    expect(about).to_contain_text(f"{answer['overall']['observed']:,}")
    expect(about).to_contain_text("近似边界")
    about.locator("summary").click()
    expect(about).to_contain_text("数据截至")
    expect(about).to_contain_text(answer["boundary_version"])
    for words in ("明显高于预期", "正常范围", "无数据"):
        expect(page.locator("#legend")).to_contain_text(words)
    names = {one["name"] for one in [*answer["children"], *answer["comparisons"]]}
    place = page.evaluate(FREE)
    assert place
    page.mouse.move(*place)
    tip = page.locator(".leaflet-tooltip")
    expect(tip).to_contain_text("相对风险")
    assert any(name in tip.inner_text() for name in names if name)


#: A place on the screen where a unit lies open to the pointer.
FREE = """() => {
  for (const path of document.querySelectorAll('path.leaflet-interactive')) {
    if (path.getAttribute('fill') === 'none') continue
    const box = path.getBoundingClientRect()
    for (let i = 1; i < 12; i++) for (let j = 1; j < 12; j++) {
      const x = box.x + box.width * i / 12, y = box.y + box.height * j / 12
      if (document.elementFromPoint(x, y) === path) return [x, y]
    }
  }
}"""


def test_the_report_opens_offline_and_prints(
    report_page: Watched, answer: dict[str, Any], tmp_path: Path
) -> None:
    page = report_page.page
    expect(page.locator("h1")).to_have_text("余杭区 研判")
    expect(page.locator(".lead")).to_contain_text(f"{answer['overall']['observed']:,}")
    expect(page.locator("svg").first).to_be_visible()
    assert page.locator("tbody tr").count() == len(answer["children"]) + len(answer["comparisons"])
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    printed = pypdf.PdfReader(io.BytesIO(page.pdf(format="A4", print_background=True)))
    assert 2 <= len(printed.pages) <= 8
    # the browser writes some signs as the radicals they look like
    text = unicodedata.normalize("NFKC", "".join(one.extract_text() for one in printed.pages))
    assert "数据截至" in text
