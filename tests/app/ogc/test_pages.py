"""The pages for people: every one in both languages, without script, nothing from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from .conftest import RES, House

VOID = {"meta", "link", "img", "input", "br", "hr"}
PATHS = [
    "", "/conformance", "/api", "/collections", "/collections/units-small-county",
    "/collections/units-small-county/queryables", "/collections/units-small-county/schema",
    "/collections/units-small-grid/items?limit=20", "/collections/units-small-county/items/330101",
    f"/collections/cells-small-{RES}/items", "/collections/zones-small/items", "/collections/zones-small/items/1",
    "/collections/facilities-small/items", "/collections/facilities-small/items/device-1",
    "/collections/hotspots-small/items", "/collections/hotspots-small", "/collections/facilities-small/tiles",
    "/collections/units-small-county/tiles/WebMercatorQuad", "/tileMatrixSets", "/tileMatrixSets/WebMercatorQuad",
]  # fmt: skip


class Read(HTMLParser):
    """Checks that elements close in order, and keeps what a page loads and where it leads."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        given = dict(attrs)
        self.attributes |= set(given)
        for name in ("src", "href"):
            if given.get(name):
                (self.leads if tag == "a" else self.loads).append(str(given[name]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("path", PATHS)
def test_a_page(client: TestClient, path: str, lang: str) -> None:
    sign = "&" if "?" in path else "?"
    answer = client.get(f"/ogc{path}{sign}lang={lang}", headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    page = Read()
    page.feed(answer.text)
    assert not page.open
    assert not page.names & {"script", "style", "iframe", "object"}
    assert not [one for one in page.attributes if one.startswith("on") or one == "style"]
    assert all(one.startswith("http://testserver/") for one in page.loads)
    assert {"h1", "main", "header"} <= page.names
    assert f'lang="{"zh-CN" if lang == "zh" else "en"}"' in answer.text
    for one in page.leads:
        if one.startswith("http://testserver/ogc") and "/items/" not in one and "after=" not in one:
            assert client.get(one).status_code == 200, one


def test_the_browser_chooses_form_and_language(client: TestClient) -> None:
    def answer(accept: str, language: str = "") -> tuple[str, str]:
        headers = {"Accept": accept, "Accept-Language": language}
        found = client.get("/ogc/collections", headers=headers)
        return found.headers["content-type"].split(";")[0], found.headers.get(
            "content-language", ""
        )

    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
    assert answer(browser, "en-GB,en;q=0.9") == ("text/html", "en")
    assert answer(browser, "fr,zh;q=0.5") == ("text/html", "zh")
    assert answer(browser) == ("text/html", "zh")
    for accept in ("*/*", "application/json", "application/geo+json, application/json", ""):
        assert answer(accept)[0] == "application/json", accept
    assert answer("application/json,text/html;q=0.5")[0] == "application/json"
    assert client.get("/ogc", headers={"Accept": "image/png"}).status_code == 406
    assert client.get("/ogc/").status_code == 200


def test_every_word_is_text(client: TestClient, house: House) -> None:
    bad = "<script>alert(1)</script>"
    with house.engine.begin() as connection:
        connection.execute(
            sa.text(
                "insert into scene_unit (pack, code, level, name, place, geom) values "
                "('small', 'site-x', 'site', :name, '330101001', 'SRID=4326;POINT(119.4 29.4)')"
            ),
            {"name": bad},
        )
    try:
        for path in ("items", "items/site-site-x"):
            text = client.get(f"/ogc/collections/facilities-small/{path}?f=html").text
            assert "&lt;script&gt;" in text
            assert bad not in text
    finally:
        with house.engine.begin() as connection:
            connection.exec_driver_sql("delete from scene_unit where code = 'site-x'")
    text = client.get(
        "/ogc/collections/units-small-county/items?f=html&name=%22%3E%3Cscript%3E"
    ).text
    assert "<script" not in text


def test_colours_and_shapes_are_drawn(client: TestClient) -> None:
    text = client.get("/ogc/collections/units-small-grid/items?f=html&limit=50").text
    assert len(re.findall(r"<path d=\"M", text)) == 50
    rows = client.get("/ogc/collections/units-small-grid/items?limit=50").json()["features"]
    fills = [one["properties"]["fill"] for one in rows]
    assert re.findall(r'<path d="[^"]+" fill="(#[0-9A-F]{6})"', text) == fills
