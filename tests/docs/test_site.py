"""The built documentation as the application serves it: offline, under its policy, in both languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from e2e_page import Watched, watched
from e2e_reach import SIZES, picture
from e2e_server import served
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, expect, sync_playwright

from app.api import pages
from app.docsite import build
from app.main import create_app
from app.settings import PROJECT, DatabaseSettings, Settings


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation of the present sources, links checked."""
    place = tmp_path_factory.mktemp("site") / "docs"
    assert build.build(place, force=True, strict=True)
    return place


@pytest.fixture(scope="module")
def base(site: Path, empty_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the application with this documentation; the map may be empty."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"),
        database=DatabaseSettings(url=empty_url),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages.install, "__defaults__", (pages.DIST, site))
        with served(settings) as address:
            yield address


@pytest.fixture(scope="module")
def chrome(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield one
        one.close()


@pytest.fixture
def page(chrome: Browser, base: str) -> Iterator[Watched]:
    with watched(chrome, base, 1440, 900) as one:
        yield one
        assert one.hosts() <= {base.removeprefix("http://")}
        assert one.complaints == []


def test_the_built_site_keeps_the_policy(site: Path) -> None:
    assert list(build.outside(site)) == []
    assert (site / "en" / "index.html").is_file()
    for name in ("tutorial", "methods", "howto/grid", "reference/cli", "alerts"):
        assert (site / name / "index.html").is_file()
        assert (site / "en" / name / "index.html").is_file()
    assert not list(site.rglob("*.map"))


def test_every_link_leads_somewhere(site: Path) -> None:
    """Pages and anchors, on both sides; and no page leads into the other language by itself."""
    wrong, anchors = [], {}
    texts = {one: one.read_text(encoding="utf-8") for one in site.rglob("index.html")}
    for place, text in texts.items():
        anchors[place] = {unquote(one) for one in re.findall(r'\b(?:id|name)="([^"]+)"', text)}
    for place, text in texts.items():
        article = text[text.index("<article") : text.index("</article>")]
        for link in re.findall(r'\b(?:href|src)="([^"]+)"', article):
            parts = urlsplit(link)
            if parts.scheme or link.startswith("/"):
                continue
            to = place if not parts.path else (place.parent / unquote(parts.path)).resolve()
            to = to / "index.html" if to.is_dir() else to
            english = [one.relative_to(site).parts[0] == "en" for one in (place, to)]
            lost = parts.fragment and unquote(parts.fragment) not in anchors.get(to, ())
            if not to.is_file() or (to in texts and (english[0] != english[1] or lost)):
                wrong.append((str(place.relative_to(site)), link))
    assert wrong == []


def test_what_asks_elsewhere_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    for text, said in (
        ('<script src="https://cdn.example/a.js"></script>', "cdn.example"),
        ('<link rel="stylesheet" href="//fonts.example/a.css">', "//"),
        ("<style>p{}</style>", "inline style sheet"),
        ("<script>let a</script>", "inline script"),
    ):
        page.write_text(text)
        assert any(said in one or "//" in one for one in build.outside(tmp_path)), text
    page.write_text('<a href="https://example.org">elsewhere</a><script src="a.js"></script>')
    assert list(build.outside(tmp_path)) == []
    (tmp_path / "a.css").write_text("@import 'https://fonts.example/x.css';")
    assert list(build.outside(tmp_path)) != []


def test_chinese_can_be_found_by_its_characters() -> None:
    assert build.spaced("装好 five 五色") == "\u200b装\u200b好\u200b five \u200b五\u200b色\u200b"


@pytest.mark.e2e
@pytest.mark.parametrize(
    "address",
    [
        "/docs/",
        "/docs/tutorial/",
        "/docs/methods/",
        "/docs/reference/settings/",
        "/docs/en/howto/grid/",
    ],
)
def test_pages_are_whole_and_readable(page: Watched, address: str) -> None:
    page.page.goto(page.base + address)
    expect(page.page.locator("article h1")).to_be_visible()
    expect(page.page.locator("html.js")).to_be_attached()  # its scripts were allowed to run
    assert page.page.evaluate(
        "[...document.images].every(one => one.complete && one.naturalWidth > 0)"
    )
    assert page.violations() == []
    wide = {}
    for size in SIZES:
        page.page.set_viewport_size({"width": size.width, "height": size.height})
        picture(page, f"{address.strip('/').replace('/', '-')}-{size.width}")
        over = page.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if over > 0:
            wide[size.width] = over
    assert wide == {}
    assert page.violations() == []  # as a phone, too


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("start", "word", "found"), [("/docs/", "备份", "备份"), ("/docs/en/", "backup", "Backup")]
)
def test_search_works_without_a_network(page: Watched, start: str, word: str, found: str) -> None:
    page.page.goto(page.base + start)
    page.page.locator("input.md-search__input").click()
    page.page.keyboard.type(word)
    results = page.page.locator(".md-search-result__item")
    expect(results.first).to_be_visible()
    expect(page.page.locator(".md-search-result__list")).to_contain_text(found, ignore_case=True)


@pytest.mark.e2e
def test_the_language_is_switched_on_the_same_page(page: Watched) -> None:
    page.page.goto(f"{page.base}/docs/tutorial/")
    page.page.locator("header .md-select").hover()
    page.page.locator("header .md-select__link[hreflang=en]").click()
    page.page.wait_for_url("**/docs/en/tutorial/")
    expect(page.page.locator("article h1")).to_contain_text("Tutorial")
    expect(page.page.locator("html")).to_have_attribute("lang", "en")


def _client(
    empty_url: str, tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> TestClient:
    monkeypatch.setattr(pages.install, "__defaults__", (pages.DIST, site))
    settings = Settings(data_dir=tmp_path, database=DatabaseSettings(url=empty_url))
    return TestClient(create_app(settings))


def test_addresses_below_docs(
    empty_url: str, tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _client(empty_url, tmp_path, site, monkeypatch) as client:
        assert client.get("/docs", follow_redirects=False).headers["location"] == "/docs/"
        answer = client.get("/docs/")
        assert answer.status_code == 200
        assert "五色图" in answer.text
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert client.get("/docs/nothing/").status_code == 404
        assert client.get("/docs/%2e%2e/pyproject.toml").status_code == 404
        assert client.post("/docs/").status_code == 405


def test_a_page_says_how_to_build_it(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _client(empty_url, tmp_path, tmp_path / "none", monkeypatch) as client:
        answer = client.get("/docs/tutorial/")
        assert answer.status_code == 200
        assert "wusetu docs build" in answer.text
        assert answer.headers["cache-control"] == "no-store"


def test_it_is_built_again_only_when_something_changed(tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "docs").mkdir(parents=True)
    (root / "docs" / "index.md").write_text("# One\n")
    site = tmp_path / "site"
    site.mkdir()
    assert not build.is_current(site, root)
    (site / build.MARK).write_text(build.fingerprint(root))
    assert build.is_current(site, root)
    assert not build.build(site, root)  # nothing to do: mkdocs is not even looked for
    (root / "docs" / "index.md").write_text("# Two\n")
    assert not build.is_current(site, root)
    assert build.SITE.is_relative_to(PROJECT)
